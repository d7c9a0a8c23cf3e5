"""The queue: whose turn it is, what a job may take, and what a restart makes of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pandas as pd
import pytest

from optimize.web import processes
from optimize.web import worker as worker_module
from optimize.web.explanations import asked_id
from optimize.web.jobs import Job, Kind, Outcome, State, command_of
from optimize.web.processes import began, run_confined
from optimize.web.queue import Queue, new_id
from optimize.web.settings import Settings
from optimize.web.worker import Worker
from tests.web.conftest import until

SPEC: Mapping[str, Any] = {
    "programme": "pv_siting", "joint": False, "scenario": "", "goal": "npv", "gap": 0.001, "time_limit_s": 30.0, "seed": 0,
}  # fmt: skip
Begin = Callable[..., Worker]

# What a solve does when it is told to stop: say what it has.
_SOLVE = """
import json, signal, sys, time
def end(*_):
    print(json.dumps({"status": "solved", "run": "results/x", "stop_reason": "interrupted"})); sys.exit(0)
signal.signal(signal.SIGTERM, end)
print(json.dumps({"status": "begun"}), flush=True)
time.sleep(60)
"""


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "queue.sqlite")


@pytest.fixture
def begin(tmp_path: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Start a worker whose jobs run a script instead of a solve."""
    workers = []

    def make(script: str, **settings: Any) -> Worker:
        def start(module: Any, folder: Path, stdout: IO[bytes], stderr: IO[bytes], memory_mb: int) -> Any:
            return subprocess.Popen(
                [sys.executable, "-S", "-c", script],
                cwd=folder,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

        monkeypatch.setattr(worker_module, "start", start)
        worker = Worker(Settings(workspace=tmp_path, **settings), queue, tmp_path / "jobs")
        worker.start()
        workers.append(worker)
        return worker

    yield make
    for worker in workers:
        if worker._thread.is_alive():
            worker.stop()


def add(queue: Queue, folder: Path, kind: Kind = Kind.SOLVE, owner: str = "a", cores: int = 1) -> Job:
    name = new_id()
    (folder / "jobs" / name).mkdir(parents=True)
    return queue.add(kind, owner, "", SPEC, cores, name)


def state(queue: Queue, job: Job) -> State:
    found = queue.get(job.id)
    assert found is not None
    return found.state


def test_answers_come_before_solves_and_nobody_fills_the_queue(queue: Queue, tmp_path: Path) -> None:
    first, second = add(queue, tmp_path), add(queue, tmp_path)
    other = add(queue, tmp_path, owner="b")
    answer = add(queue, tmp_path, Kind.EXPLAIN, owner="c")
    turns = []
    for _ in range(4):
        job = queue.next_fitting(9)
        assert job is not None and queue.begin(job.id)
        turns.append(job.id)
    # the second of one user waits for the first of another
    assert turns == [answer.id, first.id, other.id, second.id]


def test_a_large_job_gets_its_turn(queue: Queue, tmp_path: Path) -> None:
    add(queue, tmp_path, cores=4)
    add(queue, tmp_path)
    assert queue.next_fitting(2) is None


def test_a_cancelled_solve_keeps_its_plan(queue: Queue, tmp_path: Path, begin: Begin) -> None:
    job = add(queue, tmp_path)
    worker = begin(_SOLVE)
    until(lambda: "begun" in _output(tmp_path, job), 20)
    queue.cancel(job.id)
    worker.look()
    until(lambda: state(queue, job) is State.DONE, 20)
    ended = queue.get(job.id)
    assert ended is not None and ended.outcome == Outcome.SOLVED and ended.has_plan and ended.cancelling


def test_a_waiting_job_is_cancelled_at_once(queue: Queue, tmp_path: Path) -> None:
    job = add(queue, tmp_path)
    queue.cancel(job.id)
    assert state(queue, job) is State.CANCELLED
    assert queue.next_fitting(9) is None


def test_cores_are_not_given_twice(queue: Queue, tmp_path: Path, begin: Begin) -> None:
    jobs = [add(queue, tmp_path) for _ in range(3)]
    begin(_SOLVE, cores=2)
    until(lambda: len(queue.in_state(State.RUNNING)) == 2, 20)
    assert state(queue, jobs[2]) is State.QUEUED


@pytest.mark.parametrize(
    ("code", "expected", "outcome"),
    [
        (3, State.DONE, Outcome.INFEASIBLE),
        (4, State.DONE, Outcome.NO_PLAN),
        (5, State.FAILED, Outcome.FAILED_CHECK),
        (2, State.FAILED, Outcome.BAD_INPUT),
        (1, State.FAILED, Outcome.ERROR),
        (-9, State.FAILED, Outcome.ERROR),
    ],
)
def test_how_a_command_ends_is_how_the_job_ends(
    queue: Queue, tmp_path: Path, begin: Begin, code: int, expected: State, outcome: Outcome
) -> None:
    job = add(queue, tmp_path)
    end = f"import os, sys; print('what went wrong', file=sys.stderr); sys.exit({code})"
    begin("import os; os.kill(os.getpid(), 9)" if code < 0 else end)
    until(lambda: state(queue, job) is expected, 20)
    ended = queue.get(job.id)
    assert ended is not None and ended.outcome == outcome
    assert "what went wrong" in ended.message or outcome not in (Outcome.BAD_INPUT, Outcome.ERROR) or code < 0


def test_too_much_memory_ends_a_job(queue: Queue, tmp_path: Path, begin: Begin) -> None:
    job = add(queue, tmp_path)
    begin("import time; x = bytearray(300_000_000)\nwhile True: time.sleep(1)", job_memory_mb=100)
    until(lambda: state(queue, job) is State.FAILED, 20)
    ended = queue.get(job.id)
    assert ended is not None and ended.outcome == Outcome.MEMORY


def test_too_much_time_ends_a_job(
    queue: Queue, tmp_path: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_AROUND_S", -29.5)  # half a second for this job
    monkeypatch.setattr(worker_module, "_SOFT_S", 0.5)
    job = add(queue, tmp_path)
    begin("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)")
    until(lambda: state(queue, job) is State.FAILED, 20)
    ended = queue.get(job.id)
    assert ended is not None and ended.outcome == Outcome.TIME


def test_the_next_server_begins_again_what_the_last_one_left(
    queue: Queue, tmp_path: Path, begin: Begin
) -> None:
    job, waiting = add(queue, tmp_path), add(queue, tmp_path)
    first = begin(_SOLVE, cores=1)
    running = until(lambda: (found := queue.get(job.id)) and found.pid and found, 20)
    first.stop()
    assert began(running.pid) == 0  # nothing of it goes on
    assert state(queue, job) is State.RUNNING and state(queue, waiting) is State.QUEUED
    begin("print('{}')", cores=1)
    until(lambda: state(queue, job) is State.DONE and state(queue, waiting) is State.DONE, 20)
    again = queue.get(job.id)
    assert again is not None and again.attempts == 2


def test_a_server_that_was_killed_leaves_no_process_behind(queue: Queue, tmp_path: Path) -> None:
    job = add(queue, tmp_path)
    orphan = subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; time.sleep(60)"], start_new_session=True
    )
    queue.begin(job.id)
    queue.name_process(job.id, orphan.pid, began(orphan.pid))
    Worker(Settings(workspace=tmp_path), queue, tmp_path / "jobs")._recover()
    assert orphan.wait(10) == -9
    assert state(queue, job) is State.QUEUED


def test_a_job_that_takes_the_server_down_is_not_begun_for_ever(queue: Queue, tmp_path: Path) -> None:
    job = add(queue, tmp_path)
    for _ in range(3):
        assert queue.begin(job.id)
        Worker(Settings(workspace=tmp_path), queue, tmp_path / "jobs")._recover()
    assert state(queue, job) is State.FAILED


def test_nothing_a_user_says_becomes_an_option() -> None:
    spec = {**SPEC, "scenario": "--help", "goal": "--write-model=/etc/x"}
    job = Job("0" * 12, Kind.SOLVE, "a", "", spec, 1, State.QUEUED, "")
    assert "--scenario=--help" in command_of(job) and "--goal=--write-model=/etc/x" in command_of(job)
    asked = {"run": "../x", "instance": "../x", "asked": "--all", "time_limit_s": 1.0}
    words = command_of(Job("0" * 12, Kind.EXPLAIN, "a", "", asked, 1, State.QUEUED, ""))
    assert words.index("--all") > words.index("--")


@pytest.mark.parametrize(
    ("project", "asked"), [("P:cooling", "P"), ("DC1-towers", "DC1-towers"), ("left:out", "left:out")]
)
def test_works_listed_by_quality_are_asked_about_as_a_whole(project: str, asked: str) -> None:
    plan = SimpleNamespace(projects=pd.DataFrame({"id": ["P:cooling", "DC1-towers"]}))
    assert asked_id(SimpleNamespace(parts=[plan]), project) == asked  # type: ignore[arg-type]


def test_a_confined_process_is_told_no_secrets_and_ends_at_its_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTIMIZE_TOKEN", "secret")
    (tmp_path / "json.py").write_text("raise SystemExit('a file of the folder was imported')")
    assert run_confined(["json.tool", "--help"], tmp_path, 20, 500).code == 0
    assert "OPTIMIZE_TOKEN" not in processes._surroundings()
    assert run_confined(["http.server", "0"], tmp_path, 0.5, 500).limit == "time"


def _output(folder: Path, job: Job) -> str:
    path = folder / "jobs" / job.id / "stdout"
    return path.read_text() if path.is_file() else ""

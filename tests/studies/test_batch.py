"""Batches: nothing lost, nothing twice, the same runs however they were solved."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from optimize.errors import InputFaults, UsageError
from optimize.io.run_store import read_manifest, read_summary
from optimize.io.write import write_instance
from optimize.pv_siting.programme import PROGRAMME
from optimize.registry import PROGRAMMES
from optimize.studies import batch_case
from optimize.studies.batch import Batch, run_batch
from optimize.studies.batch_case import Answer, Case, name_folder
from optimize.studies.batch_state import BatchState, Finished
from optimize.studies.scenarios import read_scenarios
from optimize.verification.run import verify_run
from tests.pv_siting.conftest import simple_draft

SCENARIOS = """
[scenarios.today]
en = "As it is"
[scenarios.again]
en = "As it is, under another name"
[scenarios.cheap]
set = { "budgets.scale" = 0.9 }
[[scenarios.cheap.change]]
table = "pv_siting/kinds"
where = { kind = "rooftop" }
scale = { capex_cny_per_kw = 0.5 }
[grids.money]
set = { "budgets.scale" = [0.02, 0.04] }
"""
NUM_RUNS = 4  # five scenarios, two of which ask the same
OPTIONS = {"goal": ("npv",), "gap": 0.0, "time_limit_s": 60.0, "threads": 1, "seed": 0, "engine": "auto"}


class DirectPool:
    """A pool that calls at once, in this process."""

    width = 1

    def __init__(self) -> None:
        self.solved: list[str] = []
        self.warm: list[bool] = []

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        if function is batch_case.solve_case:
            self.solved.append(arguments[0].scenario.name)
            self.warm.append(arguments[1] is not None)
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future


class Silent:
    def checking(self, done: int, number: int) -> None: ...
    def solving(self, number: int, already: Sequence[Finished]) -> None: ...
    def started(self, case: Case) -> None: ...
    def finished(self, finished: Finished) -> None: ...


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch") / "town"
    write_instance(folder, [(PROGRAMME.schema, simple_draft())])
    (folder.parent / "scenarios.toml").write_text(SCENARIOS, encoding="utf-8")
    name_folder("town", folder)
    return folder


def _batch(town: Path, results: Path, text: str | None = None) -> Batch:
    path = town.parent / "scenarios.toml"
    if text is not None:
        path = results.parent / "other.toml"
        path.write_text(text, encoding="utf-8")
    return Batch("town", town, results, ["pv_siting"], read_scenarios(path), OPTIONS)


def _run(batch: Batch, **options: Any) -> tuple[list[Finished], DirectPool]:
    pool = DirectPool()
    return run_batch(batch, pool, Silent(), options.pop("stop", threading.Event()), **options), pool


def _plans(results: Path) -> dict[str, tuple[float, pd.DataFrame]]:
    """Objective and projects of every run, by fingerprint."""
    found: dict[str, tuple[float, pd.DataFrame]] = {}
    for run in sorted(results.glob("pv_siting/*/*")):
        assert run.parent.name not in found, f"{run}: solved twice"
        found[run.parent.name] = read_summary(run)["objective"], pd.read_csv(run / "projects.csv")
    return found


def _same_plans(a: Path, b: Path) -> None:
    first, second = _plans(a), _plans(b)
    assert first.keys() == second.keys()
    for key, (objective, projects) in first.items():
        assert second[key][0] == objective
        pd.testing.assert_frame_equal(second[key][1], projects)


@pytest.fixture(scope="module")
def whole(town: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the batch solved in one go, in this process."""
    results = tmp_path_factory.mktemp("whole") / "results"
    ends, pool = _run(_batch(town, results))
    assert [end.scenario for end in ends] == ["today", "again", "cheap", *(f"money-{k}" for k in range(1, 3))]
    assert all(end.status == "solved" for end in ends)
    assert len(pool.solved) == NUM_RUNS and pool.warm == [False] + [True] * (NUM_RUNS - 1)
    return results


def test_every_scenario_is_a_run_that_verifies(whole: Path) -> None:
    runs = sorted(whole.glob("pv_siting/*/0001"))
    assert len(runs) == NUM_RUNS
    names = set()
    for run in runs:
        verdict = verify_run(run, PROGRAMMES)
        assert verdict.verified, verdict.failures
        names.add(read_manifest(run)["scenario"]["name"])
    assert names == {"today", "cheap", *(f"money-{k}" for k in range(1, 3))}


def test_a_run_whose_changes_were_tampered_with_does_not_verify(whole: Path, tmp_path: Path) -> None:
    run = next(r for r in whole.glob("pv_siting/*/0001") if read_manifest(r)["changes"])
    copy = tmp_path / "0001"
    copy.mkdir()
    for file in run.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    manifest["changes"][0]["scale"]["capex_cny_per_kw"] = 0.6
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(UsageError, match="fingerprint"):
        verify_run(copy, PROGRAMMES, Path(read_manifest(run)["instance"]))


def test_warm_and_cold_agree(whole: Path, town: Path, tmp_path: Path) -> None:
    """A scenario alone, from nothing, has the optimum it has within the batch."""
    scenario = read_scenarios(town.parent / "scenarios.toml")[2]
    (end,), _ = _run(Batch("town", town, tmp_path, ["pv_siting"], [scenario], OPTIONS))
    (key,) = _plans(tmp_path)
    assert end.objective == pytest.approx(_plans(whole)[key][0], rel=1e-6)


def test_what_is_finished_is_not_solved_again(whole: Path, town: Path) -> None:
    ends, pool = _run(_batch(town, whole))
    assert pool.solved == [] and len(ends) == NUM_RUNS + 1
    assert len(list(whole.glob("pv_siting/*/*"))) == NUM_RUNS


def test_a_run_stored_just_before_the_end_is_taken_over(town: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    text = "[scenarios.today]"
    _run(_batch(town, results, text))
    for record in (results / ".scenarios").glob("*.json"):
        record.unlink()
    ends, pool = _run(_batch(town, results, text))
    assert pool.solved == [] and [end.status for end in ends] == ["solved"]
    assert len(list(results.glob("pv_siting/*/*"))) == 1


def test_a_stopped_batch_goes_on_to_the_same_end(whole: Path, town: Path, tmp_path: Path) -> None:
    results, stop = tmp_path / "results", threading.Event()

    class StopAfterTwo(Silent):
        count = 0

        def finished(self, finished: Finished) -> None:
            self.count += 1
            if self.count == 2:
                stop.set()

    ends = run_batch(_batch(town, results), DirectPool(), StopAfterTwo(), stop)
    assert 2 <= len(ends) < NUM_RUNS + 1
    _, pool = _run(_batch(town, results))
    assert len(pool.solved) == NUM_RUNS - 2
    _same_plans(whole, results)


def test_failures_are_told_and_tried_again(
    town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    text = '[scenarios.today]\n[scenarios.less]\nset = { "budgets.scale" = 0.5 }'
    solve = batch_case.solve_case

    def failing(case: Case, warm_start: Any) -> Answer:
        if case.scenario.name == "today":
            return Answer(error="MemoryError: none left", trace="Traceback: where it was")
        return solve(case, None)

    monkeypatch.setattr("optimize.studies.batch.solve_case", failing)
    ends, _ = _run(_batch(town, results, text))
    assert [(end.status, end.reason) for end in ends] == [
        ("failed", "MemoryError: none left"),
        ("solved", ""),
    ]
    assert "Traceback: where it was" in capsys.readouterr().err
    monkeypatch.setattr("optimize.studies.batch.solve_case", solve)
    ends, pool = _run(_batch(town, results, text))
    assert pool.solved == ["today"] and [end.status for end in ends] == ["solved", "solved"]


def test_faults_of_all_scenarios_come_before_anything_is_solved(town: Path, tmp_path: Path) -> None:
    text = """
    [scenarios.a]
    set = { "budgets.scal" = 0.5 }
    [scenarios.b]
    set = { "budgets.scale" = -1 }
    [[scenarios.c.change]]
    table = "pv_siting/kinds"
    scale = { capex = 2 }
    """
    results = tmp_path / "results"
    with pytest.raises(InputFaults) as caught:
        _run(_batch(town, results, text))
    for words in (
        "scenario a: instance.toml",
        'did you mean "budgets.scale"',
        "scenario b:",
        "scenario c: pv_siting/kinds",
    ):
        assert words in str(caught.value)
    assert not list(results.glob("pv_siting/*"))
    with pytest.raises(InputFaults, match='did you mean "pv_siting/kinds"'):
        _run(_batch(town, results, '[[scenarios.a.change]]\ntable = "pv_siting/kind"\ndrop = true'))


def test_only_one_batch_at_a_time_writes_into_a_folder(town: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    with BatchState(results).held(), pytest.raises(UsageError, match="another"):
        _run(_batch(town, results, "[scenarios.today]"))


def _command(town: Path, results: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "optimize", "run", str(town), "--scenarios", str(town.parent / "scenarios.toml"),
        "--results", str(results), "--gap", "0", "--time-limit", "60", *more,
    ]  # fmt: skip


def test_killed_at_half_and_resumed(whole: Path, town: Path, tmp_path: Path) -> None:
    """Real processes, killed without warning: nothing lost, nothing twice, no process left behind."""
    results = tmp_path / "results"
    process = subprocess.Popen(
        _command(town, results, "--jobs", "1"), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("[2/"):
            break
    process.kill()
    process.wait()
    process.stdout.close()
    before = {run: (run / "manifest.json").stat().st_mtime_ns for run in results.glob("pv_siting/*/0*")}
    assert 2 <= len(before) < NUM_RUNS
    _wait_until_gone(process.pid)
    ended = subprocess.run(
        _command(town, results, "--jobs", "1", "--json"), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len({record["scenario"] for record in told}) == len(told)
    assert all((run / "manifest.json").stat().st_mtime_ns == then for run, then in before.items())
    _same_plans(whole, results)


def _wait_until_gone(session: int) -> None:
    """All processes of the killed command end by themselves."""
    for _ in range(200):
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(session, signal.SIGKILL)
    pytest.fail("processes outlived their batch")

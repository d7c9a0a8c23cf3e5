"""Runs the queue's jobs as processes of the product's own commands, within cores, time and memory.

One thread looks at everything a few times a second.  A job is cancelled by the signal that ends a solve with its
best plan so far; one that takes too much memory or time gets the same signal first, and is killed when it goes on.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from optimize.errors import ExitCode
from optimize.web.jobs import PROGRESS, STDERR, STDOUT, Job, Kind, Outcome, State, command_of
from optimize.web.processes import began, kill, resident_bytes, start
from optimize.web.queue import Queue
from optimize.web.settings import Settings

_LOOK_S = 0.25
# Looking at memory asks the system for all its processes.
_LOOK_AT_MEMORY_S = 2.0
# Reading, kernels compiled for the first time, the check: what comes on top of a solve's own limit.
_AROUND_S = 300.0
# After the signal that keeps the best plan: as long as storing and checking may take.
_SOFT_S = 60.0
_SOFT_MEMORY = 0.85
_MOST_ATTEMPTS = 3
_LONGEST_MESSAGE = 2000

_OUTCOMES: Mapping[int, tuple[State, Outcome]] = {
    ExitCode.SOLVED: (State.DONE, Outcome.SOLVED),
    ExitCode.INFEASIBLE: (State.DONE, Outcome.INFEASIBLE),
    ExitCode.NO_PLAN: (State.DONE, Outcome.NO_PLAN),
    ExitCode.FAILED_CHECK: (State.FAILED, Outcome.FAILED_CHECK),
    ExitCode.BAD_INPUT: (State.FAILED, Outcome.BAD_INPUT),
}


@dataclass
class _Running:
    job: Job
    process: subprocess.Popen[bytes]
    began: float
    deadline: float
    told_at: float | None = None  # when it got the soft signal
    ended_for: Outcome | None = None
    files: list[IO[bytes]] = field(default_factory=list)


class Worker:
    """Starts, watches and ends the jobs of one workspace."""

    def __init__(self, settings: Settings, queue: Queue, folder: Path) -> None:
        self._settings, self._queue, self._folder = settings, queue, folder
        self._running: dict[str, _Running] = {}
        self._memory_seen = 0.0
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="jobs", daemon=True)

    def start(self) -> None:
        self._recover()
        self._thread.start()

    def stop(self) -> None:
        """End the processes; their jobs stay marked as running, and the next server begins them again."""
        self._stop.set()
        self._wake.set()
        self._thread.join()
        for running in self._running.values():
            kill(running.process.pid)
            running.process.wait()
            _close(running)

    def look(self) -> None:
        """Something was queued or cancelled: look at once."""
        self._wake.set()

    # --- the loop -------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self._reap()
                self._restrain()
                self._hand_out()
            except Exception:  # a bug or a full disk: the other jobs go on, and the log says what happened
                traceback.print_exc()
            self._wake.wait(_LOOK_S)
            self._wake.clear()

    def _recover(self) -> None:
        """Jobs that ran when the last server went away: end what is left of them, and begin again."""
        for job in self._queue.in_state(State.RUNNING):
            if job.pid and began(job.pid) == job.pid_started:
                kill(job.pid)
            if job.cancelling:
                self._queue.end(job.id, State.CANCELLED, "", {}, "")
            elif job.attempts >= _MOST_ATTEMPTS:
                words = f"its process was lost {_MOST_ATTEMPTS} times with the server"
                self._queue.end(job.id, State.FAILED, Outcome.LOST, {}, words)
            else:
                self._queue.requeue(job.id)

    def _hand_out(self) -> None:
        while not self._stop.is_set():
            free = self._settings.cores - sum(running.job.cores for running in self._running.values())
            job = self._queue.next_fitting(free)
            if job is None:
                return
            if self._queue.begin(job.id):
                self._begin(job)

    def _begin(self, job: Job) -> None:
        folder = self._folder / job.id
        (folder / PROGRESS).unlink(missing_ok=True)
        files: list[IO[bytes]] = []
        try:
            files += [(folder / name).open("wb") for name in (STDOUT, STDERR)]
            process = start(
                ["optimize", *command_of(job)], folder, files[0], files[1], self._settings.job_memory_mb
            )
        except OSError as error:
            for stream in files:
                stream.close()
            self._queue.end(job.id, State.FAILED, Outcome.ERROR, {}, error.strerror or "cannot be started")
            return
        now = time.monotonic()
        limit = float(job.spec["time_limit_s"]) + _AROUND_S
        self._running[job.id] = _Running(job, process, now, now + limit, files=files)
        self._queue.name_process(job.id, process.pid, began(process.pid))

    def _reap(self) -> None:
        for name, running in list(self._running.items()):
            code = running.process.poll()
            if code is None:
                continue
            _close(running)
            del self._running[name]
            state, outcome, result, message = _end_of(running, code, self._folder / name)
            self._queue.end(name, state, outcome, result, message)

    def _restrain(self) -> None:
        """Pass on cancellations, and end what takes more than it may."""
        now = time.monotonic()
        limit = self._settings.job_memory_mb * 1e6
        looks_at_memory = now >= self._memory_seen + _LOOK_AT_MEMORY_S
        self._memory_seen = now if looks_at_memory else self._memory_seen
        for name, running in self._running.items():
            resident = resident_bytes(running.process.pid) if looks_at_memory else 0.0
            if resident > limit:
                running.ended_for = Outcome.MEMORY
                kill(running.process.pid)
            elif running.told_at is not None:
                if now > running.told_at + _SOFT_S:
                    kill(running.process.pid)
            elif resident > _SOFT_MEMORY * limit:
                self._tell(running, Outcome.MEMORY)
            elif now > running.deadline:
                self._tell(running, Outcome.TIME)
            else:
                kept = self._queue.get(name)
                if kept is not None and kept.cancelling:
                    self._tell(running, None)

    def _tell(self, running: _Running, why: Outcome | None) -> None:
        running.told_at, running.ended_for = time.monotonic(), why
        with contextlib.suppress(ProcessLookupError):
            running.process.send_signal(signal.SIGTERM)


# --- how a job ended -----------------------------------------------------------------------------------


def _end_of(running: _Running, code: int, folder: Path) -> tuple[State, str, dict[str, Any], str]:
    """State, outcome, result and message of a process that has ended."""
    result = _last_object(folder / STDOUT)
    if running.ended_for is Outcome.MEMORY and code != ExitCode.SOLVED:
        return State.FAILED, Outcome.MEMORY, {}, ""
    if running.ended_for is Outcome.TIME and code != ExitCode.SOLVED:
        return State.FAILED, Outcome.TIME, {}, ""
    if running.told_at is not None and code != ExitCode.SOLVED:
        return State.CANCELLED, "", {}, ""
    state, outcome = _OUTCOMES.get(code, (State.FAILED, Outcome.ERROR))
    message = ""
    if outcome is Outcome.BAD_INPUT and result.get("faults"):
        message = ""  # they say it
    elif outcome is Outcome.BAD_INPUT or (
        outcome is Outcome.INFEASIBLE and running.job.kind is not Kind.SOLVE
    ):
        message = str(result.get("error", "")) or _last_words(folder / STDERR)
    elif outcome is Outcome.ERROR:
        message = _last_words(folder / STDERR)
    elif outcome is Outcome.FAILED_CHECK:
        message = "; ".join(map(str, result.get("violations", [])[:3]))
    return state, outcome, result, message[:_LONGEST_MESSAGE]


def _last_object(path: Path) -> dict[str, Any]:
    """The last JSON object of a command's output; {} where there is none."""
    for line in reversed(path.read_text(encoding="utf-8", errors="replace").splitlines()):
        with contextlib.suppress(json.JSONDecodeError):
            found = json.loads(line)
            if isinstance(found, dict):
                return found
    return {}


def _last_words(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "\n".join(line.removeprefix("optimize: ") for line in lines[-3:])


def _close(running: _Running) -> None:
    for stream in running.files:
        stream.close()

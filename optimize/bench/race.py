"""The race: one process per contender, one after the other, with a hard guard on its time."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import math
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from optimize.bench.child import Task
from optimize.bench.contenders import Contender
from optimize.bench.marks import (
    Claim,
    Contradiction,
    Marks,
    contradictions,
    marks_of,
    without_refuted_bounds,
)
from optimize.errors import ExitCode, SolverError, UsageError
from optimize.io.place import place_of
from optimize.programme import Programme
from optimize.result import StopReason, TracePoint

READING_LIMIT_S = 1_800.0
VERIFYING_LIMIT_S = 300.0
_AWAKE_EVERY_S = 0.5
GRACE_S, GRACE_SHARE = 10.0, 0.25
"""How far past the time limit a contender may run before it is killed; what it had said counts."""

NOT_INSTALLED, NOT_RUN, KILLED, FAILED, WRONG_PLAN, WRONG_BOUND = (
    "not installed",
    "not run",
    "killed",
    "failed",
    "wrong plan",
    "wrong bound",
)


@dataclass
class Entry:
    """One contender's row.  ``plan`` is the verified value, ``gross`` that before costs; times in seconds after reading."""

    contender: str
    status: str = NOT_RUN
    note: str = ""
    remark: str = ""
    without: tuple[str, ...] = ()
    engine: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    points: list[TracePoint] = field(default_factory=list)
    cpu_at_s: list[float] = field(default_factory=list)
    plan: float | None = None
    gross: float | None = None
    bound: float | None = None
    checked: bool | None = None
    build_s: float | None = None
    seconds: float | None = None
    cpu_s: float | None = None
    start_mb: float | None = None
    peak_mb: float | None = None
    fingerprint: str = ""

    @property
    def marks(self) -> Marks:
        return marks_of(self.points)

    @property
    def gap_of_gross(self) -> float | None:
        """The gap as a share of the plan's value before costs, where the goal has one."""
        if self.plan is None or self.bound is None or not self.gross:
            return None
        return abs(self.bound - self.plan) / abs(self.gross)

    @property
    def cpu_marks(self) -> Marks:
        """The same by the processor's clock, which another process on the machine does not slow down."""
        points = [
            dataclasses.replace(point, seconds=cpu_s)
            for point, cpu_s in zip(self.points, self.cpu_at_s, strict=True)
        ]
        return marks_of(points)


@dataclass(frozen=True)
class Race:
    """All rows, the product's first, and what cannot all be true."""

    entries: tuple[Entry, ...]
    contradictions: tuple[Contradiction, ...]
    interrupted: bool

    @property
    def exit_code(self) -> ExitCode:
        product = self.entries[0]
        if self.contradictions or product.status == WRONG_PLAN:
            return ExitCode.FAILED_CHECK
        if product.status == FAILED:
            return ExitCode.INTERNAL_ERROR
        if product.status == StopReason.INFEASIBLE:
            return ExitCode.INFEASIBLE
        return ExitCode.NO_PLAN if product.plan is None else ExitCode.SOLVED


@contextlib.contextmanager
def instance_folder(programme: Programme, given: Path | None, drawing: Sequence[str]) -> Iterator[Path]:
    """The given folder, or one generated with the arguments ``drawing`` of `generate` and removed after."""
    if given is not None:
        if not place_of(given).holds(programme.schema):
            raise UsageError(f"--instance {given}: no tables for {programme.name}")
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="optimize-bench-") as home:
        folder = Path(home) / "instance"
        # not in this process: a child's peak memory begins at what its parent held
        command = [sys.executable, "-m", "optimize", "generate", programme.name, *drawing, str(folder)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise UsageError(made.stderr.strip().removeprefix("optimize: "))
        yield folder


def run_race(
    contenders: Sequence[Contender], task: Task, maximise: bool, tell: Callable[[Entry], None]
) -> Race:
    """Let the contenders run one after the other; ``tell`` hears of each row as it is done.

    Ctrl-C or SIGTERM ends the running contender and the race, and what there is is returned.

    Raises
    ------
    UsageError : the instance is not valid, or not one for the engine that is asked for.
    """
    entries = [Entry(c.title, remark=c.remark, without=c.without, versions=_versions(c)) for c in contenders]
    interrupted = False
    try:
        with _terminated_as_interrupted():
            for contender, entry in zip(contenders, entries, strict=True):
                if not contender.is_installed:
                    entry.status, entry.note = NOT_INSTALLED, contender.hint
                else:
                    own = dataclasses.replace(task, contender=contender.name, without=contender.without)
                    _run(own, entry)
                tell(entry)
    except KeyboardInterrupt:
        interrupted = True
    if len({entry.fingerprint for entry in entries if entry.fingerprint}) > 1:
        raise SolverError("the instance changed during the race: its rows cannot be compared")
    return Race(tuple(entries), tuple(_refute(entries, maximise)), interrupted)


def _refute(entries: Sequence[Entry], maximise: bool) -> list[Contradiction]:
    """Find bounds that verified plans refute; what was reached by such a bound does not count."""
    no_plan_at_all = -math.inf if maximise else math.inf
    claims = [
        Claim(
            entry.contender,
            entry.plan if entry.checked else None,
            no_plan_at_all if entry.status == StopReason.INFEASIBLE else entry.bound,
        )
        for entry in entries
    ]
    found = contradictions(claims, maximise)
    plans = [claim.plan for claim in claims if claim.plan is not None]
    for entry in entries:
        entry.points = without_refuted_bounds(entry.points, plans, maximise)
        if entry.contender in {one.contender for one in found}:
            entry.status, entry.note = WRONG_BOUND, "refuted by a better plan that was verified"
    return found


def _run(task: Task, entry: Entry) -> None:
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as noise:
        # a session of its own: Ctrl-C is for the race, which then ends the child
        process = subprocess.Popen(
            _command(task), stdout=subprocess.PIPE, stderr=noise, text=True, start_new_session=True
        )
        try:
            overran = _listen(process, task, entry)
        except KeyboardInterrupt:
            entry.status, entry.note = StopReason.INTERRUPTED.value, "stopped from outside"
            _settle(entry)
            raise
        finally:
            os.kill(process.pid, signal.SIGKILL)  # Popen.kill would fetch the status, and with it the usage
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            entry.peak_mb = entry.peak_mb or usage.ru_maxrss * 1024 / 1e6
        if overran:
            entry.status, entry.note = KILLED, overran
        elif entry.status == NOT_RUN:
            noise.seek(0)
            last = noise.read().strip().splitlines()[-1:]
            entry.status = FAILED
            entry.note = f"process ended with {process.returncode}: {''.join(last) or 'no message'}"
    _settle(entry)


def _command(task: Task) -> list[str]:
    return [sys.executable, "-m", "optimize.bench.child", json.dumps(dataclasses.asdict(task))]


def _listen(process: subprocess.Popen[str], task: Task, entry: Entry) -> str:
    """Take in what the child says until it is done; returns why it has to be killed, if it has."""
    assert process.stdout is not None
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_pass_on, args=(process.stdout, lines), daemon=True).start()
    deadline, doing = time.monotonic() + READING_LIMIT_S, f"reading took over {READING_LIMIT_S:.0f} s"
    while True:
        try:
            # in short waits: a signal that reaches the reading thread first does not wake this one
            line = lines.get(timeout=min(max(deadline - time.monotonic(), 0.0), _AWAKE_EVERY_S))
        except queue.Empty:
            if time.monotonic() < deadline:
                continue
            return doing
        if line is None:
            return ""
        said = json.loads(line)
        event = said.pop("event")
        if event == "refused":
            raise UsageError(f"{task.instance} is not a valid instance:\n{said['note']}")
        if event == "unsuited":
            raise UsageError(
                f"--without: the fast engine, whose ingredients these are, cannot take {said['note']}"
            )
        if event == "ready":
            limit_s = task.time_limit_s * (1.0 + GRACE_SHARE) + GRACE_S
            deadline, doing = time.monotonic() + limit_s, f"still running after {limit_s:.0f} s"
        elif event == "ended":
            deadline, doing = time.monotonic() + VERIFYING_LIMIT_S, "its plan could not be verified in time"
        _note(entry, event, said)


def _pass_on(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _note(entry: Entry, event: str, said: Mapping[str, Any]) -> None:
    if event == "ready":
        entry.fingerprint, entry.start_mb = said["fingerprint"], said["start_mb"]
    elif event == "built":
        entry.build_s = said["seconds"]
    elif event == "point":
        entry.points.append(TracePoint(said["seconds"], said["plan"], said["bound"]))
        entry.cpu_at_s.append(said["cpu_s"])
    elif event == "ended":
        last = entry.points[-1] if entry.points else TracePoint(0.0, None, None)
        plan = last.plan if said["plan"] is None else said["plan"]
        bound = last.bound if said["bound"] is None else said["bound"]
        entry.points.append(TracePoint(said["seconds"], plan, bound))
        entry.cpu_at_s.append(said["cpu_s"])
        entry.status, entry.seconds, entry.engine = said["stop"], said["seconds"], said["engine"]
        entry.cpu_s, entry.peak_mb = said["cpu_s"], said["peak_mb"]
    elif event == "verified":
        entry.checked, entry.plan, entry.note = said["passed"], said["objective"], said["note"]
        entry.gross = said.get("gross")
    elif event == "failed":
        entry.status, entry.note, entry.peak_mb = FAILED, said["note"], said["peak_mb"]


def _settle(entry: Entry) -> None:
    """Plan, bound and points as they count: without a plan that holds there are no times to it."""
    if entry.points:
        entry.bound = entry.points[-1].bound
        entry.seconds = entry.seconds or entry.points[-1].seconds
        if entry.checked is None:
            entry.plan = entry.points[-1].plan
    if entry.checked is False:
        entry.status, entry.plan = WRONG_PLAN, None
        entry.points = [dataclasses.replace(point, plan=None) for point in entry.points]


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    def on_signal(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _versions(contender: Contender) -> dict[str, str]:
    found = {}
    for package in contender.packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found

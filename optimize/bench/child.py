"""One contender in a process of its own: JSON lines on stdout while it runs.

``python -m optimize.bench.child TASK`` where TASK is a JSON object (`Task`).  The lines, in order:
``ready`` (tables read, the clock starts), ``point`` (a better plan or bound), ``built``, ``ended`` and
``verified``; or ``refused`` (the instance is not valid), ``unsuited`` (the fast engine, if asked for, cannot
take it) or ``failed``.  A process that is killed has said what it had until then.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import resource
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimize.bench.contenders import CONTENDERS, Course
from optimize.errors import InputFaults, UsageError
from optimize.io.instance_folder import read_instance
from optimize.names import Engine
from optimize.programme import SolveOptions
from optimize.registry import PROGRAMMES, find_programme
from optimize.result import TracePoint


@dataclass(frozen=True)
class Task:
    """What one contender has to do."""

    contender: str
    programme: str
    instance: str
    goal: str
    gap: float
    time_limit_s: float
    threads: int
    seed: int
    engine: Engine = "auto"
    without: tuple[str, ...] = ()


class _Telling:
    """Writes JSON lines to the real stdout; what solvers print there goes to stderr instead."""

    def __init__(self) -> None:
        self._lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._lock = threading.Lock()
        self.began = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def tell(self, event: str, **values: Any) -> None:
        with self._lock:
            self._lines.write(json.dumps({"event": event, **values}) + "\n")
            self._lines.flush()


def run_task(task: Task, telling: _Telling) -> None:
    """Read, solve, verify, telling each step."""
    programme = find_programme(task.programme)
    try:
        (part,) = read_instance(Path(task.instance), PROGRAMMES, [task.programme]).programmes
    except (InputFaults, UsageError) as error:
        telling.tell("refused", note=str(error))
        return
    contender = next(c for c in CONTENDERS if c.name == task.contender)
    importlib.import_module(contender.module)  # an optional one is not loaded yet; loading is not solving
    telling.tell("ready", fingerprint=part.data.fingerprint, start_mb=_peak_mb())
    telling.began = time.monotonic()
    cpu_before_s = time.process_time()

    def cpu_s() -> float:
        return time.process_time() - cpu_before_s

    def on_point(point: TracePoint) -> None:
        telling.tell("point", seconds=telling.seconds(), cpu_s=cpu_s(), plan=point.plan, bound=point.bound)

    options = SolveOptions(
        goal=(task.goal,),
        gap=task.gap,
        time_limit_s=task.time_limit_s,
        threads=task.threads,
        seed=task.seed,
        engine=task.engine,
        without=tuple(task.without),
        progress=on_point,
    )
    course = Course(
        programme, part.data, options, on_built=lambda: telling.tell("built", seconds=telling.seconds())
    )
    try:
        finish = contender.run(course)
    except UsageError:
        reason = None
        if task.engine == "fast":
            reason = programme.unsupported_by_fast(programme.load(part.data), options)
        if reason is None:
            raise
        telling.tell("unsuited", note=reason)
        return
    seconds = telling.seconds()
    if finish.build_s is not None:
        telling.tell("built", seconds=finish.build_s)
    telling.tell(
        "ended",
        seconds=seconds,
        cpu_s=cpu_s(),
        stop=finish.stop.value,
        plan=finish.objective,
        bound=finish.bound,
        peak_mb=_peak_mb(),
        engine=finish.engine,
    )
    if finish.objective is not None:
        telling.tell("verified", **dataclasses.asdict(finish.verify()))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main() -> int:
    task = Task(**json.loads(sys.argv[1]))
    telling = _Telling()
    try:
        run_task(task, telling)
    except Exception as error:  # whatever a solver throws is this contender's result, not the race's
        traceback.print_exc()
        telling.tell("failed", note=f"{type(error).__name__}: {error}", peak_mb=_peak_mb())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

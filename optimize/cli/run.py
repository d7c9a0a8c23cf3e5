"""``optimize run``: many scenarios of one instance."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from optimize.cli.arguments import overrides_of
from optimize.cli.progress import stopping_softly
from optimize.errors import ExitCode, UsageError, gravest
from optimize.io.instance_folder import read_instance
from optimize.registry import PROGRAMMES
from optimize.report.summary import STATUS_CODES
from optimize.studies.batch import Batch, Pool, run_batch
from optimize.studies.batch_case import Case
from optimize.studies.batch_report import finished_json, finished_line, summary_lines
from optimize.studies.batch_state import FAILED, Finished
from optimize.studies.local_pool import LocalPool
from optimize.studies.scenarios import Scenario, read_scenarios

_CODES = {**STATUS_CODES, FAILED: ExitCode.INTERNAL_ERROR}


def run_scenarios(call: argparse.Namespace) -> int:
    scenarios = _with_settings(read_scenarios(call.scenarios), overrides_of(call.settings))
    # the instance itself has to be sound before anybody looks at what scenarios make of it
    loaded = read_instance(call.path, PROGRAMMES, call.programme)
    goals = tuple(name.strip() for name in call.goal.split(",") if name.strip())
    for part in loaded.programmes:
        known = [goal.name for goal in part.programme.goals]
        if not goals or any(name not in known for name in goals):
            raise UsageError(f"--goal {call.goal}: {part.programme.name} knows {', '.join(known)}")
    batch = Batch(
        name=call.path.resolve().as_posix(),
        instance=call.path,
        results=call.results,
        programmes=[part.programme.name for part in loaded.programmes],
        scenarios=scenarios,
        options={
            "goal": goals,
            "gap": call.gap,
            "time_limit_s": call.time_limit,
            "threads": call.threads,
            "seed": call.seed,
            "engine": call.engine,
        },
    )
    stop = threading.Event()
    with _pool(call, batch) as pool, _watcher(call, len(scenarios)) as watcher, stopping_softly(stop):
        ends = run_batch(batch, pool, watcher, stop, again=call.again)
    number = len(scenarios) * len(batch.programmes)
    if not call.json:
        print("\n".join(summary_lines(ends, number, call.results.as_posix())), flush=True)
    codes = [_CODES[end.status] for end in ends]
    if len(ends) < number:
        codes.append(ExitCode.NO_PLAN)
    return gravest(codes)


def _with_settings(scenarios: Sequence[Scenario], settings: dict[str, object]) -> list[Scenario]:
    """``--set`` holds for every scenario that does not set the same itself."""
    return [Scenario(s.name, s.zh, s.en, {**settings, **s.overrides}, s.changes, s.varies) for s in scenarios]


@contextlib.contextmanager
def _pool(call: argparse.Namespace, batch: Batch) -> Iterator[Pool]:
    if call.cluster is None:
        with LocalPool(call.jobs, batch.name, batch.instance) as pool:
            yield pool
        return
    try:
        from optimize.studies.cluster import cluster_pool
    except ImportError as error:
        raise UsageError("--cluster needs Dask: pip install -c constraints.txt -e '.[cluster]'") from error
    with cluster_pool(call.cluster, call.jobs, batch.name, batch.instance) as pool:
        yield pool


class _Lines:
    """Plain lines, or JSON, as cases end."""

    def __init__(self, num_scenarios: int, *, as_json: bool) -> None:
        self._num_scenarios, self._as_json = num_scenarios, as_json
        self._number, self._ended = 0, 0

    def checking(self, done: int, number: int) -> None:
        if done == number and not self._as_json:
            plural = "" if self._num_scenarios == 1 else "s"
            print(f"checked: {self._num_scenarios} scenario{plural} without fault", flush=True)

    def solving(self, number: int, already: Sequence[Finished]) -> None:
        self._number, self._ended = number, len(already)
        if self._as_json:
            for end in already:
                print(json.dumps(finished_json(end), ensure_ascii=False), flush=True)
        elif already:
            print(f"{len(already)} of {number} are finished from before", flush=True)

    def started(self, case: Case) -> None:
        """Nothing to say yet."""

    def finished(self, finished: Finished) -> None:
        self._ended += 1
        if self._as_json:
            print(json.dumps(finished_json(finished), ensure_ascii=False), flush=True)
        else:
            print(f"[{self._ended}/{self._number}] {finished_line(finished)}", flush=True)


class _Bars:
    """Progress bars on a terminal: the whole batch, and what is being solved."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._all = progress.add_task("checking", total=None)
        self._running: dict[tuple[str, str], object] = {}

    def checking(self, done: int, number: int) -> None:
        self._progress.update(self._all, completed=done, total=number)

    def solving(self, number: int, already: Sequence[Finished]) -> None:
        self._progress.update(self._all, description="solving", completed=len(already), total=number)

    def started(self, case: Case) -> None:
        name = (case.scenario.name, case.programme)
        self._running[name] = self._progress.add_task(f"  {name[0]} · {name[1]}", total=None)

    def finished(self, finished: Finished) -> None:
        task = self._running.pop((finished.scenario, finished.programme), None)
        if task is not None:
            self._progress.remove_task(task)  # type: ignore[arg-type]
        self._progress.advance(self._all)
        self._progress.console.print(finished_line(finished), highlight=False, markup=False)


@contextlib.contextmanager
def _watcher(call: argparse.Namespace, num_scenarios: int) -> Iterator[_Lines | _Bars]:
    console = Console(stderr=True)
    if call.json or not console.is_terminal or not sys.stdout.isatty():
        yield _Lines(num_scenarios, as_json=call.json)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bars(progress)

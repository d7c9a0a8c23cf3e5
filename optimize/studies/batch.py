"""Many scenarios of one instance: all checked first, then solved in parallel, each from a neighbour.

The coordinator (this module) hands cases to a pool of workers (processes here, or a cluster), stores
what they return and writes down what is finished.  Workers share nothing but the instance folder: a
case that was lost with its worker is simply handed out again.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from optimize.errors import InputFaults
from optimize.io.run_store import save_run
from optimize.registry import find_programme
from optimize.report.summary import place_of_instance
from optimize.studies.batch_case import Answer, Case, Checked, check_case, solve_case
from optimize.studies.batch_state import FAILED, BatchState, Finished, finished_of, key_of
from optimize.studies.neighbours import order_by_neighbours
from optimize.studies.scenario_checks import unknown_table_faults
from optimize.studies.scenarios import Scenario

# A case whose worker is lost so often is given up: it may be what kills them.
_MOST_ATTEMPTS = 3
_LOOK_S = 0.5


class Pool(Protocol):
    """Where cases are solved."""

    @property
    def width(self) -> int:
        """How many cases are solved at once."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have a worker call ``function``."""


class Watcher(Protocol):
    """Who is told how a batch goes."""

    def checking(self, done: int, number: int) -> None: ...

    def solving(self, number: int, already: Sequence[Finished]) -> None: ...

    def started(self, case: Case) -> None: ...

    def finished(self, finished: Finished) -> None: ...


@dataclass(frozen=True)
class Batch:
    """What is to be solved, and where it goes.

    Attributes
    ----------
    name : of the instance folder among workers.
    instance, results : folders, as the user named them.
    programmes : names.
    options : of `SolveOptions`, by name.
    """

    name: str
    instance: Path
    results: Path
    programmes: Sequence[str]
    scenarios: Sequence[Scenario]
    options: Mapping[str, Any] = field(default_factory=dict)

    def cases(self, programme: str) -> list[Case]:
        return [Case(self.name, programme, scenario, self.options) for scenario in self.scenarios]


def run_batch(
    batch: Batch, pool: Pool, watcher: Watcher, stop: threading.Event, *, again: bool = False
) -> list[Finished]:
    """Solve what is not finished yet; every case's end, in the order of the scenarios.

    Parameters
    ----------
    stop : when set, no further case is begun; those being solved are waited for.
    again : solve what is finished once more.

    Raises
    ------
    InputFaults : all faults of all scenarios; nothing was solved.
    UsageError : another batch is at work in the same results folder.
    """
    state = BatchState(batch.results)
    _check_tables(batch)
    cases = [case for programme in batch.programmes for case in batch.cases(programme)]
    fingerprints = _checked(cases, pool, watcher)
    with state.held():
        work = _Work(batch, pool, watcher, state, stop)
        for start in range(0, len(cases), len(batch.scenarios)):
            end = start + len(batch.scenarios)
            work.add(cases[start:end], fingerprints[start:end], again=again)
        work.run()
    return work.ends()


def _check_tables(batch: Batch) -> None:
    faults = [fault for scenario in batch.scenarios for fault in unknown_table_faults(scenario)]
    if faults:
        raise InputFaults(faults)


def _checked(cases: Sequence[Case], pool: Pool, watcher: Watcher) -> list[str]:
    """Fingerprint of every case's instance, once all of them are without fault."""
    done: list[Checked] = []
    futures = [pool.submit(check_case, case) for case in cases]
    for case, future in zip(cases, futures, strict=True):
        try:
            done.append(future.result())
        except BrokenExecutor:  # a process was lost: asked again, of a new one
            done.append(pool.submit(check_case, case).result())
        watcher.checking(len(done), len(cases))
    faults = [
        dataclasses.replace(fault, table=f"scenario {case.scenario.name}: {fault.table}")
        for case, checked in zip(cases, done, strict=True)
        for fault in checked.faults
    ]
    if faults:
        raise InputFaults(list(dict.fromkeys(faults)))
    return [checked.fingerprint for checked in done]


class _Work:
    """The cases of a batch while they are solved."""

    def __init__(
        self, batch: Batch, pool: Pool, watcher: Watcher, state: BatchState, stop: threading.Event
    ) -> None:
        self._batch, self._pool, self._watcher, self._state, self._stop = batch, pool, watcher, state, stop
        self._cases: list[Case] = []
        self._keys: list[str] = []
        self._fingerprints: list[str] = []
        self._parents: list[int | None] = []
        self._order: list[int] = []
        self._done: dict[str, Finished] = {}
        self._attempts: dict[int, int] = {}
        self._running: dict[Future[Answer], int] = {}
        self._places: dict[str, dict[str, Any]] = {}
        self._started_from: dict[int, str] = {}

    def add(self, cases: Sequence[Case], fingerprints: Sequence[str], *, again: bool) -> None:
        """The cases of one programme."""
        first = len(self._cases)
        self._cases += cases
        self._fingerprints += fingerprints
        self._keys += [key_of(case, mark) for case, mark in zip(cases, fingerprints, strict=True)]
        parents: dict[int, int | None] = {}
        for step in order_by_neighbours([case.scenario for case in cases]):
            parents[step.position] = None if step.parent is None else first + step.parent
            self._order.append(first + step.position)
        self._parents += [parents[position] for position in range(len(cases))]
        if not again:
            for position in range(first, len(self._cases)):
                key = self._keys[position]
                found = self._state.find(key, self._cases[position], self._fingerprints[position])
                if found is not None:
                    self._done[key] = found

    def run(self) -> None:
        already = [self._end(position) for position in range(len(self._cases))]
        self._watcher.solving(len(self._cases), [end for end in already if end is not None])
        while True:
            self._hand_out()
            if not self._running:
                return
            ended, _ = wait(self._running, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
            for future in ended:
                self._take_in(future)

    def ends(self) -> list[Finished]:
        """Every case that came to an end."""
        found = [self._end(position) for position in range(len(self._cases))]
        return [end for end in found if end is not None]

    def _end(self, position: int) -> Finished | None:
        """How a case ended; one that asks the same as another has its end, under its own name."""
        found = self._done.get(self._keys[position])
        if found is None:
            return None
        scenario = self._cases[position].scenario
        return dataclasses.replace(
            found, scenario=scenario.name, zh=scenario.zh, en=scenario.en, varies=scenario.varies
        )

    def _hand_out(self) -> None:
        running = set(self._running.values())
        asked = {self._keys[position] for position in running}
        for position in self._order:
            if self._stop.is_set() or len(self._running) >= self._pool.width:
                return
            key, parent = self._keys[position], self._parents[position]
            if key in self._done or key in asked:
                continue
            if parent is not None and self._keys[parent] not in self._done:
                continue
            future = self._pool.submit(solve_case, self._cases[position], self._start_of(position))
            self._running[future] = position
            asked.add(key)
            self._watcher.started(self._cases[position])

    def _start_of(self, position: int) -> Any:
        """Plan and multipliers of the nearest neighbour that has some."""
        parent = self._parents[position]
        while parent is not None:
            finished = self._done.get(self._keys[parent])
            found = self._state.warm_start(finished)
            if finished is not None and found is not None:
                self._started_from[position] = finished.run
                return found
            parent = self._parents[parent]
        return None

    def _take_in(self, future: Future[Answer]) -> None:
        """Store what a worker returned; a case that was lost with its worker is left to be handed out again."""
        position = self._running.pop(future)
        case, key = self._cases[position], self._keys[position]
        try:
            answer = future.result()
        except (BrokenExecutor, CancelledError):
            self._attempts[position] = self._attempts.get(position, 0) + 1
            if self._attempts[position] < _MOST_ATTEMPTS:
                return
            answer = Answer(error=f"its process ended {_MOST_ATTEMPTS} times without an answer (memory?)")
        except Exception as error:  # what a cluster makes of a worker that dies again and again
            trace = "".join(traceback.format_exception(error))
            answer = Answer(error=f"{type(error).__name__}: {error}", trace=trace)
        if answer.error:
            if answer.trace:  # a bug is told whole, as everywhere; the table has one line for it
                print(answer.trace, file=sys.stderr, flush=True)
            scenario = case.scenario
            finished = Finished(
                key, scenario.name, scenario.zh, scenario.en, case.programme, FAILED,
                reason=answer.error, varies=scenario.varies,
            )  # fmt: skip
        else:
            finished = finished_of(key, case, answer.summary, self._stored(position, answer))
        self._state.keep(finished)
        self._done[key] = finished
        self._watcher.finished(finished)

    def _stored(self, position: int, answer: Answer) -> str:
        """Folder of the run, relative to the results; "" where there is no checked plan."""
        if answer.summary["status"] != "solved":
            return ""
        batch, case, fingerprint = self._batch, self._cases[position], self._fingerprints[position]
        programme = find_programme(case.programme)
        if case.programme not in self._places:
            home = batch.results / case.programme / fingerprint
            self._places[case.programme] = place_of_instance(batch.instance, programme, home)
        scenario = case.scenario
        told = scenario.told()
        manifest = {
            **self._places[case.programme],
            **answer.manifest,
            "changes": [change.record() for change in scenario.changes],
            "scenario": told,
            "case": self._keys[position],
        }
        if position in self._started_from:
            home = batch.results / case.programme / fingerprint
            manifest["start"] = os.path.relpath(batch.results / self._started_from[position], home / "run")
        run = save_run(
            batch.results, case.programme, fingerprint, answer.tables,
            {**answer.summary, "scenario": told}, manifest, answer.files,
        )  # fmt: skip
        return run.relative_to(batch.results).as_posix()

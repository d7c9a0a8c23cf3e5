"""Solving one programme, or the city, so that a run that is killed loses little of it.

A solve is cut into slices, each from the plan and the multipliers of the one before, the first of
``checkpoint_s`` seconds, each other twice as long as the one before it.  Between slices what was found is
put on disk.  What solves within the first slice is not cut at all.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from optimize.city.checker import check_city, city_goals
from optimize.city.instance import City
from optimize.city.plan import read_plan
from optimize.city.result import SolvedCity
from optimize.city.solve import solve_city
from optimize.errors import UnreadablePlan
from optimize.io.run_store import text_cells
from optimize.io.warm_starts import warm_start_of
from optimize.monthly.checkpoints import Checkpoint, Checkpoints, question_key
from optimize.monthly.stability import CHANGES, without_fines
from optimize.names import CITY
from optimize.programme import Goal, Programme, SolveOptions
from optimize.report.city import city_tables, summarise_city
from optimize.report.stored import run_tables
from optimize.report.summary import status_of, summarise_run
from optimize.result import StopReason
from optimize.schema import InstanceData
from optimize.solve import Solved, solve
from optimize.warm_start import WarmStart

# What is left of the time after a slice is added to it where it is less than this share of the slice.
_LEAST_SHARE = 0.5


@dataclass(frozen=True)
class Found:
    """How a solve ended.

    Attributes
    ----------
    status : of the run's summary (``solved``, ``infeasible``, ``no plan``, ``failed check``).
    figures : of the plan, as the checker recounts them.
    start : what the last slice began from; None: from nothing.
    slice_s : time limit of the last slice.
    kept : the plan is the one in force, under the present inputs.
    """

    status: str
    figures: Mapping[str, float]
    solved: Any
    options: SolveOptions
    seconds: float
    slices: int = 1
    slice_s: float | None = None
    start: WarmStart | None = None
    kept: bool = False
    interrupted: bool = False


class Teller(Protocol):
    """Who is told what happens on the way (`optimize.monthly.log.Log`)."""

    def tell(self, event: str, text: str, **facts: Any) -> None: ...


class Subject(Protocol):
    """What is planned by one solve: a programme, or the programmes of a city together."""

    @property
    def name(self) -> str: ...

    @property
    def goals(self) -> tuple[Goal, ...]: ...

    @property
    def programmes(self) -> tuple[Programme, ...]: ...

    @property
    def resumes(self) -> bool: ...

    @property
    def counts_changes(self) -> bool: ...

    def solve(self, options: SolveOptions, slices: Slices) -> Found: ...

    def keep(self, found: Found, tables: Mapping[str, pd.DataFrame]) -> Found | None: ...

    def summary(self, found: Found) -> dict[str, Any]: ...

    def tables(self, found: Found) -> dict[str, pd.DataFrame]: ...

    def unfined(self, found: Found) -> float: ...


@dataclass(frozen=True)
class Slices:
    """How solves of a job are cut, and where what they find is put; None: nowhere, and they are not cut."""

    first_s: float
    checkpoints: Checkpoints | None
    log: Teller


@dataclass(frozen=True)
class ProgrammeSubject:
    """One programme by itself."""

    programme: Programme
    data: InstanceData

    @property
    def name(self) -> str:
        return self.programme.name

    @property
    def goals(self) -> tuple[Goal, ...]:
        return self.programme.goals

    @property
    def programmes(self) -> tuple[Programme, ...]:
        return (self.programme,)

    @property
    def resumes(self) -> bool:
        """Whether its search goes on from a warm start."""
        return self.programme.resumes

    @property
    def counts_changes(self) -> bool:
        """Whether changes against the plan in force can be limited."""
        return _counts_changes(self.programme)

    def solve(self, options: SolveOptions, slices: Slices) -> Found:
        """Solve in slices from ``options.warm_start``, or from the checkpoint of this very question."""
        began = time.monotonic()
        key = question_key(self.name, self.data.fingerprint, options)
        here = Checkpoint(options.warm_start, None, 0, 0.0)
        if slices.checkpoints is not None:
            here = self._resumed(slices.checkpoints, key, slices.log) or here
        best: Solved | None = None
        while True:
            begun_from, slice_began = here.start, time.monotonic()
            share, last = self._share(options, slices, here)
            asked = dataclasses.replace(options, time_limit_s=share, warm_start=begun_from)
            solved = solve(self.programme, self.data, asked)
            best = _better(best, solved)
            here = self._put_down(best, here, time.monotonic() - slice_began)
            if slices.checkpoints is not None and here.objective is not None:
                slices.checkpoints.keep(self.name, key, here)
            unfinished = solved.result.stop in (StopReason.TIME_LIMIT, StopReason.INTERRUPTED)
            if last or not unfinished or options.interrupt.is_set():
                found = _found(best, options, time.monotonic() - began)
                return dataclasses.replace(found, slices=here.slices, slice_s=share, start=begun_from)

    def _resumed(self, checkpoints: Checkpoints, key: str, log: Teller) -> Checkpoint | None:
        found, fault = checkpoints.find(self.name, key)
        if fault:
            log.tell(
                "checkpoint ignored", f"{self.name}: the checkpoint is damaged ({fault}) and is not used"
            )
        if found is not None:
            log.tell(
                "resumed",
                f"{self.name}: goes on from an interrupted run, {found.seconds:.0f} s into its solve",
            )
        return found

    def _share(self, options: SolveOptions, slices: Slices, here: Checkpoint) -> tuple[float, bool]:
        """Seconds of the next slice, and whether it is the last."""
        left = max(options.time_limit_s - here.seconds, min(slices.first_s, options.time_limit_s))
        share = slices.first_s * 2.0**here.slices
        last = slices.checkpoints is None or not self.programme.resumes or left - share < _LEAST_SHARE * share
        return (left, True) if last else (share, False)

    def _put_down(self, best: Solved, here: Checkpoint, seconds: float) -> Checkpoint:
        """Where the solve is after one more slice; without a checked plan it begins from what it began from."""
        slices, spent = here.slices + 1, here.seconds + seconds
        if not self.programme.resumes or best.check is None or not best.check.passed:
            return dataclasses.replace(here, slices=slices, seconds=spent)
        return Checkpoint(start_of(self.programme, best), best.result.objective, slices, spent)

    def keep(self, found: Found, tables: Mapping[str, pd.DataFrame]) -> Found | None:
        """The plan of ``tables`` under the present inputs with the bound just proven; None: it breaks a rule."""
        solved: Solved = found.solved
        try:
            plan = self.programme.read_plan(tables)
            report = self.programme.check(solved.instance, plan)
        except (UnreadablePlan, KeyError, ValueError, IndexError, TypeError):
            return None  # it has what the instance no longer has
        if not report.passed:
            return None
        value = report.figures[solved.result.goal[-1]]
        result = dataclasses.replace(solved.result, solution=plan, objective=value)
        kept = dataclasses.replace(solved, result=result, check=report)
        return dataclasses.replace(found, status="solved", figures=report.figures, solved=kept, kept=True)

    def summary(self, found: Found) -> dict[str, Any]:
        return summarise_run(self.programme, self.data, found.solved, found.options, found.seconds)

    def tables(self, found: Found) -> dict[str, pd.DataFrame]:
        return run_tables(self.programme, found.solved)

    def unfined(self, found: Found) -> float:
        """The last goal of a plan without what its changes were fined."""
        goal = found.options.goal[-1]
        return without_fines(goal, found.figures[goal], found.figures.get(CHANGES, 0.0), self.data)


@dataclass(frozen=True)
class CitySubject:
    """Several programmes under one budget.  Their search takes no warm start, so that it is one slice."""

    city: City

    @property
    def name(self) -> str:
        return CITY

    @property
    def goals(self) -> tuple[Goal, ...]:
        known = city_goals(self.city)
        return tuple(goal for goal in self.city.parts[0].programme.goals if goal.name in known)

    @property
    def programmes(self) -> tuple[Programme, ...]:
        return tuple(part.programme for part in self.city.parts)

    @property
    def resumes(self) -> bool:
        return False

    @property
    def counts_changes(self) -> bool:
        return all(_counts_changes(programme) for programme in self.programmes)

    def solve(self, options: SolveOptions, slices: Slices) -> Found:
        began = time.monotonic()
        solved = solve_city(self.city, options)
        report = None if solved.check is None else solved.check.report
        return Found(
            status=status_of(solved.result.stop, report),
            figures={} if report is None else report.figures,
            solved=solved,
            options=options,
            seconds=time.monotonic() - began,
            interrupted=solved.result.stop is StopReason.INTERRUPTED,
        )

    def keep(self, found: Found, tables: Mapping[str, pd.DataFrame]) -> Found | None:
        """As `ProgrammeSubject.keep`."""
        solved: SolvedCity = found.solved
        try:
            plan = read_plan(self.city, tables)
            check = check_city(self.city, plan)
        except (UnreadablePlan, KeyError, ValueError, IndexError, TypeError):
            return None
        if not check.report.passed:
            return None
        value = check.report.figures[solved.result.goal[-1]]
        result = dataclasses.replace(solved.result, plan=plan, objective=value)
        kept = dataclasses.replace(solved, result=result, check=check)
        return dataclasses.replace(
            found, status="solved", figures=check.report.figures, solved=kept, kept=True
        )

    def summary(self, found: Found) -> dict[str, Any]:
        return summarise_city(found.solved, found.seconds)

    def tables(self, found: Found) -> dict[str, pd.DataFrame]:
        return city_tables(found.solved)

    def unfined(self, found: Found) -> float:
        """As `ProgrammeSubject.unfined`; each programme fines its own changes."""
        goal = found.options.goal[-1]
        value = found.figures[goal]
        for part in self.city.parts:
            changes = found.solved.check.parts[part.programme.name].figures.get(CHANGES, 0.0)
            value = without_fines(goal, value, changes, part.data)
        return value


def _counts_changes(programme: Programme) -> bool:
    return any(goal.name == CHANGES for goal in programme.goals)


def start_of(programme: Programme, solved: Solved) -> WarmStart:
    """What a later solve begins from, exactly as it is read again from files."""
    tables = run_tables(programme, solved)
    empty = pd.DataFrame({"row": [], "multiplier": []})
    return warm_start_of(text_cells(tables["projects"]), text_cells(tables.get("multipliers", empty)))


def _found(solved: Solved, options: SolveOptions, seconds: float) -> Found:
    return Found(
        status=status_of(solved.result.stop, solved.check),
        figures={} if solved.check is None else solved.check.figures,
        solved=solved,
        options=options,
        seconds=seconds,
        interrupted=solved.result.stop is StopReason.INTERRUPTED,
    )


def _better(held: Solved | None, fresh: Solved) -> Solved:
    """The better plan of two slices of one solve, with the better bound; the fresh one where it reached its gap."""
    if held is None or held.result.solution is None:
        return fresh
    if fresh.result.solution is None:
        return held
    if fresh.result.stop in (StopReason.OPTIMAL, StopReason.GAP_REACHED):
        return fresh
    side = 1.0 if fresh.result.maximise else -1.0
    best = max(held, fresh, key=lambda solved: side * (solved.result.objective or 0.0))
    bounded = min(held, fresh, key=lambda solved: side * _bound(solved, side))
    return dataclasses.replace(
        best,
        result=dataclasses.replace(
            best.result,
            stop=fresh.result.stop,
            bound=bounded.result.bound,
            certificate=bounded.result.certificate,
            prices=bounded.result.prices,
        ),
    )


def _bound(solved: Solved, side: float) -> float:
    return side * float("inf") if solved.result.bound is None else solved.result.bound

"""One programme on arrays, solved again and again with other sides of rows: what fronts and margins share."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optimize.checking import CheckReport
from optimize.engine.choice import LagrangianBound, decided_plan
from optimize.engine.choice_polish import Polish
from optimize.engine.choice_structure import find_structure
from optimize.engine.core import solve_relaxed
from optimize.engine.goals import GoalsOutcome, solve_goals
from optimize.engine.stopping import Watch
from optimize.engine.sweep import LevelSolver
from optimize.errors import FailedCheck, UsageError
from optimize.milp import FloatArray, IntArray, Milp, Objective
from optimize.programme import Programme, SolveOptions, StatedArrays
from optimize.result import StopReason, relative_gap
from optimize.schema import InstanceData
from optimize.studies.plan_model import settled_plan

# The checker's figures are sums in another order.
SAME_FIGURE = 1e-6
_FEASIBLE = 1e-6
# Integer columns from which levels are searched around a plan in hand, and the bound's share of the time.
_LARGE = 8_000
_SHARE_OF_BOUND = 0.5
# A solve is not begun with less.
_LEAST_S = 0.5
# Plans of earlier levels that later ones may begin from.
_PLANS_KEPT = 8


@dataclass(frozen=True)
class Point:
    """Best plan of one level: ``x`` shape (n,), None where there is none; ``bound`` is proven.

    ``multipliers`` : shape (m,), of its rows, None where the engine has told none.
    """

    stop: StopReason
    x: FloatArray | None
    value: float | None
    bound: float | None
    multipliers: FloatArray | None = None

    @property
    def gap(self) -> float | None:
        return relative_gap(self.value, self.bound)


class SharedTime:
    """A time limit that several solves share: each may take its part of what the ones before have left.

    Parameters
    ----------
    options : its time limit is that of all together; the clock starts now.
    """

    def __init__(self, options: SolveOptions) -> None:
        self.options = options
        self._until = time.monotonic() + options.time_limit_s
        self._left = 1.0

    def expect(self, parts: float) -> None:
        """So many parts are still to come, each with the same time."""
        self._left = max(parts, 1.0)

    @property
    def remaining_s(self) -> float:
        return max(self._until - time.monotonic(), 0.0)

    @property
    def is_over(self) -> bool:
        return self.remaining_s <= 0.0 or self.options.interrupt.is_set()

    def next(self, parts: float = 1.0) -> SolveOptions:
        """The options of the next solve, which takes ``parts`` of those expected."""
        seconds = max(self.remaining_s * min(parts / self._left, 1.0), _LEAST_S)
        self._left = max(self._left - parts, parts)
        return dataclasses.replace(self.options, time_limit_s=seconds)

    def why_over(self) -> str:
        return "stopped" if self.options.interrupt.is_set() else "the time was up"


class StatedProgramme:
    """A programme's arrays for some goals.

    Raises
    ------
    UsageError : an unknown goal, or arrays that hold no plans (reclaimed water).
    """

    def __init__(self, programme: Programme, data: InstanceData, goals: Sequence[str]) -> None:
        check_goals(programme, goals)
        self.programme, self.data, self.goals = programme, data, tuple(goals)
        self.instance: Any = programme.load(data)
        stated = programme.state_arrays(self.instance, self.goals)
        if stated is None or stated.plan_of is None:
            raise UsageError(f"{programme.name}: its arrays hold no plans")
        self.stated: StatedArrays = stated
        self._plan_of = stated.plan_of

    @property
    def group(self) -> IntArray | None:
        """Shape (n,), candidate of each column with those that say "nothing"; None where none says so.

        Such candidates have so many columns that relaxations generate them.
        """
        idle = self.stated.idle
        if not (idle >= 0).any():
            return None
        group = self.stated.candidate.copy()
        group[idle[idle >= 0]] = np.flatnonzero(idle >= 0)
        return group

    def milp_for(self, goal: str) -> Milp:
        objective = self.stated.objectives[goal]
        return self.stated.milp.with_objective(objective.cost, objective.maximise, objective.offset)

    def value(self, goal: str, x: FloatArray) -> float:
        objective = self.stated.objectives[goal]
        return float(objective.cost @ x) + objective.offset

    def settled(self, x: FloatArray) -> FloatArray:
        """``x`` with shortfalls and money carried over as a money goal among the goals wants them.

        Other goals do not mind what these are.
        """
        free = ~self.stated.milp.integral
        for goal in self.goals:
            if self.stated.objectives[goal].cost[free].any():
                return settled_plan(self.milp_for(goal), x)
        return x

    def checked(self, x: FloatArray) -> CheckReport:
        """The plan of a point, checked from the raw tables.

        Raises
        ------
        FailedCheck : a row is broken, or a goal's value is not the checker's.
        """
        report = self.programme.check(self.instance, self._plan_of(x))
        wrong = [str(violation) for violation in report.violations[:3]]
        for goal in self.goals:
            told, true = self.value(goal, x), report.figures[goal]
            if abs(told - true) > SAME_FIGURE * max(1.0, abs(true)):
                wrong.append(f"{goal} is {told:.12g}, recomputed {true:.12g}")
        if wrong:
            raise FailedCheck(f"a plan of {self.programme.name} failed its check: {'; '.join(wrong)}")
        return report


def check_goals(programme: Programme, goals: Sequence[str]) -> None:
    """Raises UsageError where a goal is unknown to the programme."""
    known = [goal.name for goal in programme.goals]
    unknown = [name for name in goals if name not in known]
    if unknown:
        raise UsageError(
            f"goal {', '.join(unknown)} is unknown to {programme.name}; known: {', '.join(known)}"
        )


class Ladder:
    """Solves levels of one programme and goal, each from what the earlier ones left.

    Parameters
    ----------
    time : of all levels.
    group : of `StatedProgramme.group`.
    known : plans from elsewhere, shape (n,) each, to begin from where they keep a level's rows.
    around : search large programmes around such a plan (`solve_around`).
    multipliers : those of the rows, shape (m,), that a level begins from before one has been solved (None: none).
    """

    def __init__(
        self,
        time: SharedTime,
        group: IntArray | None,
        known: Sequence[FloatArray] = (),
        *,
        around: bool = False,
        multipliers: Callable[[], FloatArray | None] = lambda: None,
    ) -> None:
        self._time, self._group, self._known, self._around = time, group, known, around
        self._multipliers = multipliers
        self._found: list[FloatArray] = []
        self._options = time.options
        self._solver = LevelSolver(self._solve_whole)

    def solve(self, milp: Milp, parts: float = 1.0) -> Point:
        """One level; ``parts`` of the shared time."""
        self._options = self._time.next(parts)
        outcome = self._solver.solve(milp, Watch(self._options, milp.maximise))
        if outcome.x is not None:
            self._found = [*self._found[-_PLANS_KEPT + 1 :], outcome.x]
        multipliers = None if outcome.certificate is None else outcome.certificate.multipliers
        return Point(outcome.stop, outcome.x, outcome.objective, outcome.bound, multipliers)

    def _solve_whole(
        self, milp: Milp, watch: Watch, start: FloatArray | None, row_multipliers: FloatArray | None
    ) -> GoalsOutcome:
        objective = Objective("goal", milp.cost, milp.maximise, milp.offset)
        if start is None:
            start = self._best_known(milp)
        if row_multipliers is None and milp.integral.sum() > _LARGE:
            row_multipliers = self._multipliers()
        if self._around and start is not None and self._group is None and milp.integral.sum() > _LARGE:
            around = solve_around(milp, watch, start, row_multipliers)
            if around is not None:
                return around
        return solve_goals(
            milp, [objective], self._options, start=start, watch=watch, row_multipliers=row_multipliers,
            group=self._group,
        )  # fmt: skip

    def _best_known(self, milp: Milp) -> FloatArray | None:
        fitting = [x for x in (*self._known, *self._found) if milp.violation(x) <= _FEASIBLE]
        sign = 1.0 if milp.maximise else -1.0
        return max(fitting, key=lambda x: sign * milp.value(x), default=None)


def solve_around(
    milp: Milp, watch: Watch, start: FloatArray, row_multipliers: FloatArray | None
) -> GoalsOutcome | None:
    """A large choice programme searched from a plan in hand; None where it has no structure.

    A level is a row that every choice stands in and that next to no choice keeps: repairing the multipliers'
    choices, as the engine begins, takes it for ever there.  The patterns' linear programme keeps it, and what that
    leaves undecided is decided; exchanges and cores around the plan need no repair.
    """
    structure = find_structure(milp)
    if structure is None:
        return None
    bound = LagrangianBound(structure)
    first = None if row_multipliers is None else structure.linking_multipliers(row_multipliers)
    share = watch.child(seconds=_SHARE_OF_BOUND * watch.remaining(), bounds=True)
    multipliers = bound.minimise(share, first)
    if multipliers is None:
        return None
    watch.offer_certificate(bound.certificate(milp, multipliers))
    bound.others = start[structure.others]
    polish = Polish(milp, structure, bound.prices(multipliers), bound.clusters, bound.others, watch)
    watch.offer_plan(milp.value(start))
    relaxed = bound.relaxation(milp, multipliers)
    best = polish.exchanged_in_turns(start, watch.within_gap(relaxed.bound))
    if not watch.gap_reached and not watch.must_stop:
        decided = decided_plan(milp, bound, polish, watch, best)
        assert decided is not None  # it is no worse than the plan it had
        best = decided
    if not watch.gap_reached and not watch.must_stop:
        best = polish.exchanged(best)
    outcome = solve_relaxed(milp, watch, dataclasses.replace(relaxed, improve=polish.exchanged), best)
    return GoalsOutcome(
        outcome.stop, outcome.x, outcome.objective, watch.bound, tuple(watch.trace), {},
        certificate=watch.certificate,
    )  # fmt: skip

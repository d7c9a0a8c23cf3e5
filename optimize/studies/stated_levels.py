"""One programme on arrays, solved again and again with other sides of rows: what fronts and margins share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optimize.checking import CheckReport
from optimize.engine.goals import GoalsOutcome, solve_goals
from optimize.engine.stopping import Watch
from optimize.engine.sweep import LevelSolver
from optimize.errors import FailedCheck, UsageError
from optimize.milp import FloatArray, Milp, Objective
from optimize.programme import Programme, SolveOptions, StatedArrays
from optimize.result import StopReason, relative_gap
from optimize.schema import InstanceData
from optimize.studies.plan_model import settled_plan

# The checker's figures are sums in another order.
_SAME_FIGURE = 1e-6


@dataclass(frozen=True)
class Point:
    """Best plan of one level: ``x`` shape (n,), None where there is none; ``bound`` is proven."""

    stop: StopReason
    x: FloatArray | None
    value: float | None
    bound: float | None

    @property
    def gap(self) -> float | None:
        return relative_gap(self.value, self.bound)


class StatedProgramme:
    """A programme's arrays for some goals.

    Raises
    ------
    UsageError : an unknown goal, or arrays that hold no plans (reclaimed water).
    """

    def __init__(self, programme: Programme, data: InstanceData, goals: Sequence[str]) -> None:
        known = [goal.name for goal in programme.goals]
        unknown = [name for name in goals if name not in known]
        if unknown:
            raise UsageError(
                f"goal {', '.join(unknown)} is unknown to {programme.name}; known: {', '.join(known)}"
            )
        self.programme, self.data, self.goals = programme, data, tuple(goals)
        self.instance: Any = programme.load(data)
        stated = programme.state_arrays(self.instance, self.goals)
        if stated is None or stated.plan_of is None:
            raise UsageError(
                f"{programme.name}: its plans cannot be solved level by level; vary it with --set or scenarios"
            )
        self.stated: StatedArrays = stated
        self._plan_of = stated.plan_of

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
            if abs(told - true) > _SAME_FIGURE * max(1.0, abs(true)):
                wrong.append(f"{goal} is {told:.12g}, recomputed {true:.12g}")
        if wrong:
            raise FailedCheck(f"a plan of {self.programme.name} failed its check: {'; '.join(wrong)}")
        return report


class Ladder:
    """Solves levels of one programme and goal, each from what the earlier ones left.

    Parameters
    ----------
    options : the limits hold for each level.
    """

    def __init__(self, options: SolveOptions) -> None:
        self._options = options
        self._solver = LevelSolver(self._solve_whole)

    def solve(self, milp: Milp) -> Point:
        outcome = self._solver.solve(milp, Watch(self._options, milp.maximise))
        return Point(outcome.stop, outcome.x, outcome.objective, outcome.bound)

    def _solve_whole(
        self, milp: Milp, watch: Watch, start: FloatArray | None, row_multipliers: FloatArray | None
    ) -> GoalsOutcome:
        objective = Objective("goal", milp.cost, milp.maximise, milp.offset)
        return solve_goals(
            milp, [objective], self._options, start=start, watch=watch, row_multipliers=row_multipliers
        )

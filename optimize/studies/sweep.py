"""One instance at many levels of one parameter: plan, proven bound and gap at each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from optimize.checking import CheckReport
from optimize.engine.goals import GoalsOutcome, solve_goals
from optimize.engine.stopping import Watch
from optimize.engine.sweep import LevelSolver
from optimize.errors import UsageError
from optimize.milp import FloatArray, IntArray, Milp, Objective
from optimize.programme import Levels, Programme, SolveOptions
from optimize.result import StopReason, relative_gap
from optimize.schema import InstanceData
from optimize.solve import solve

_TARGETS = "targets"


@dataclass(frozen=True)
class Level:
    """One level: what holds for it, and its plan when asked.

    Attributes
    ----------
    value : of the parameter.
    objective, bound : of the goal; the bound is proven for this level.  None: none found.
    """

    value: float
    programme: Programme
    instance: Any
    stop: StopReason
    objective: float | None
    bound: float | None
    seconds: float
    _columns: FloatArray | None
    _levels: Levels | None
    _solution: Any = None

    @property
    def gap(self) -> float | None:
        return relative_gap(self.objective, self.bound)

    @cached_property
    def solution(self) -> Any:
        """The plan; None where there is none."""
        if self._levels is None or self._columns is None:
            return self._solution
        return self._levels.plan_of(self.instance, self._columns)

    def check(self) -> CheckReport | None:
        """The plan checked against the raw tables, row by row; None where there is no plan."""
        return None if self.solution is None else self.programme.check(self.instance, self.solution)


def sweep(
    programme: Programme,
    data: InstanceData,
    parameter: str,
    values: Sequence[float],
    options: SolveOptions,
) -> Iterator[Level]:
    """Solve ``data`` with ``parameter`` at each of ``values``, in their order, each from the one before.

    Ascending budgets (descending targets) are quickest: a plan of one level is then a plan of the next.

    Parameters
    ----------
    parameter : dotted path of a parameter, e.g. ``budgets.scale``, or ``targets.CLAUSE.required``.
    options : for each level; the time limit is per level, the gap is reached at each.

    Raises
    ------
    UsageError : no such parameter, or more than one goal.
    """
    if len(options.goal) != 1:
        raise UsageError("a sweep has one goal")
    levels: Levels | None = None
    solver: LevelSolver | None = None
    for value in values:
        watch = Watch(options, programme.goal(options.goal[0]).maximise)
        instance = programme.load(data_at(data, parameter, value))
        milp = None if levels is None else levels.restate(instance)
        if milp is None and programme.state_levels is not None and options.engine != "formulation":
            levels = programme.state_levels(instance, options.goal[0])
            solver = LevelSolver(partial(_solve_whole, options=options, group=levels.group))
            milp = levels.restate(instance)
        if milp is None or solver is None:
            yield _solved_plainly(programme, data, parameter, value, options)
            continue
        outcome = solver.solve(milp, watch)
        yield Level(
            value, programme, instance, outcome.stop, outcome.objective, outcome.bound,
            watch.seconds(), outcome.x, levels,
        )  # fmt: skip


def data_at(data: InstanceData, parameter: str, value: float) -> InstanceData:
    """The data with one parameter, or one figure of a target, at another value."""
    root, _, rest = parameter.partition(".")
    if root == _TARGETS:
        clause, _, figure = rest.partition(".")
        if clause not in data.targets or figure not in ("required", "penalty_cny_per_unit"):
            raise UsageError(f"{parameter}: the targets set are {', '.join(data.targets) or 'none'}")
        target = data.targets[clause]
        if figure == "required":
            target = dataclasses.replace(target, required=value)
        else:
            target = dataclasses.replace(target, penalty_cny_per_unit=value)
        return dataclasses.replace(data, targets={**data.targets, clause: target})
    if parameter not in data.parameters:
        raise UsageError(f"{parameter} is not a parameter of {data.programme}")
    return dataclasses.replace(data, parameters={**data.parameters, parameter: value})


def _solve_whole(
    milp: Milp,
    watch: Watch,
    start: FloatArray | None,
    row_multipliers: FloatArray | None,
    *,
    options: SolveOptions,
    group: IntArray | None,
) -> GoalsOutcome:
    if group is not None:
        group = np.append(group, np.full(milp.num_columns - len(group), -1))
    objective = Objective(options.goal[0], milp.cost, milp.maximise, milp.offset)
    return solve_goals(
        milp, [objective], options, start=start, watch=watch, group=group, row_multipliers=row_multipliers
    )


def _solved_plainly(
    programme: Programme, data: InstanceData, parameter: str, value: float, options: SolveOptions
) -> Level:
    watch = Watch(options, programme.goal(options.goal[0]).maximise)
    solved = solve(programme, data_at(data, parameter, value), options)
    result = solved.result
    return Level(
        value, programme, solved.instance, result.stop, result.objective, result.bound,
        watch.seconds(), None, None, result.solution,
    )  # fmt: skip

"""Fronts of two or three goals: the most of the first at each level of the others, with proven gaps.

The epsilon-constraint method (Haimes, Lasdon and Wismer 1971): the first goal is optimised while the
others must reach a level each; the levels run from what the best plans of the other goals leave to
what can be reached at all.  A plan that another one beats in one goal without losing in any other is
no point of the front.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optimize.errors import UsageError
from optimize.milp import FloatArray, Milp
from optimize.programme import Programme, SolveOptions
from optimize.result import StopReason
from optimize.schema import InstanceData
from optimize.studies.stated_levels import Ladder, Point, StatedProgramme

# A level asks a billionth less than the plan it comes from, so that this plan keeps it.
_ROOM = 1e-9
_SAME = 1e-9


@dataclass(frozen=True)
class FrontPoint:
    """A plan of the front.

    Attributes
    ----------
    values : by goal, as the checker recomputes them.
    at_least : by goal but the first: the level asked for (at most, where the goal is minimised).
    bound : of the first goal at these levels: no plan that keeps them is better.
    best_of : the goals of which no plan found has more, if any.
    knee : the point that gives up least of all goals together.
    """

    values: Mapping[str, float]
    at_least: Mapping[str, float]
    bound: float | None
    gap: float | None
    best_of: str | None = None
    knee: bool = False


@dataclass(frozen=True)
class Front:
    """Points from the best of the first goal to the best of the others.

    ``singles``: by goal, value and bound of its own optimum.  ``not_reached``: levels without a plan,
    with what is known (proven to have none, or no plan in time).
    """

    programme: Programme
    goals: tuple[str, ...]
    points: tuple[FrontPoint, ...]
    singles: Mapping[str, tuple[float, float | None]]
    not_reached: tuple[tuple[Mapping[str, float], str], ...]


def trace_front(
    programme: Programme,
    data: InstanceData,
    goals: Sequence[str],
    num_points: int,
    options: SolveOptions,
    told: Callable[[str], None] = lambda words: None,
) -> Front | None:
    """The front; None where the targets cannot be met at all.

    Parameters
    ----------
    goals : two or three; the first is optimised, the others are held at levels.
    num_points : levels of each other goal, from 2.
    options : the limits hold for each solve.

    Raises
    ------
    UsageError : not two or three different goals, fewer than two points, no plan in time.
    FailedCheck : a plan fails its check.
    """
    if len(goals) not in (2, 3) or len(set(goals)) != len(goals):
        raise UsageError(f"a front is of two or three different goals, not of {', '.join(goals) or 'none'}")
    if num_points < 2:
        raise UsageError("a front has at least two points")
    tracing = _Tracing(StatedProgramme(programme, data, goals), options, told)
    return tracing.front(num_points)


class _Tracing:
    def __init__(self, stated: StatedProgramme, options: SolveOptions, told: Callable[[str], None]) -> None:
        self.stated, self.options, self.told = stated, options, told
        self.first, *self.others = stated.goals
        self.sign = {goal: 1.0 if stated.stated.objectives[goal].maximise else -1.0 for goal in stated.goals}

    def front(self, num_points: int) -> Front | None:
        singles: dict[str, Point] = {}
        for goal in self.stated.goals:
            self.told(f"the best {goal} alone")
            singles[goal] = Ladder(self.options).solve(self.stated.milp_for(goal))
            if singles[goal].stop is StopReason.INFEASIBLE:
                return None
            x = singles[goal].x
            if x is None:
                raise UsageError(f"no plan for {goal} within the limits; give more (--time-limit)")
            singles[goal] = dataclasses.replace(singles[goal], x=self.stated.settled(x))
        levels = [self._levels(goal, singles, num_points) for goal in self.others]
        points, missing = self._solve_levels(levels)
        # The single optima are plans too: the first goal's with its bound, the others' for what they are.
        points += [(self._as_level(goal, single), self._reached(single)) for goal, single in singles.items()]
        found = [self._described(point, level) for point, level in points]
        found = _with_shared_bounds(found, self.first, self.sign)
        kept = _nondominated(found, self.stated.goals, self.sign)
        return Front(
            self.stated.programme,
            self.stated.goals,
            _with_knee(_with_best(kept, self.stated.goals, self.sign), self.stated.goals, self.sign),
            {goal: (_value(point), point.bound) for goal, point in singles.items()},
            tuple(missing),
        )

    def _levels(self, goal: str, singles: Mapping[str, Point], number: int) -> list[float]:
        """From the least that the other optima reach of a goal to its own optimum."""
        reached = []
        for point in singles.values():
            assert point.x is not None
            reached.append(self.sign[goal] * self.stated.value(goal, point.x))
        best = max(reached)
        levels = np.linspace(min(reached), best, number)
        return [float(self.sign[goal] * (level - _ROOM * max(1.0, abs(level)))) for level in levels]

    def _solve_levels(
        self, levels: Sequence[Sequence[float]]
    ) -> tuple[list[tuple[Point, dict[str, float]]], list[tuple[Mapping[str, float], str]]]:
        """From the tightest levels to the loosest: plans of the one are plans of the next."""
        ladder, milp = Ladder(self.options), self._with_level_rows()
        found: list[tuple[Point, dict[str, float]]] = []
        missing: list[tuple[Mapping[str, float], str]] = []
        for asked in itertools.product(*(reversed(of_goal) for of_goal in levels)):
            level = dict(zip(self.others, asked, strict=True))
            self.told(f"{self.first} at " + ", ".join(f"{goal} {value:.6g}" for goal, value in level.items()))
            point = ladder.solve(self._at(milp, asked))
            if point.x is not None:
                found.append((dataclasses.replace(point, x=self.stated.settled(point.x)), level))
            else:
                proven = point.stop is StopReason.INFEASIBLE
                missing.append((level, "no plan reaches this" if proven else "no plan found in time"))
        return found, missing

    def _reached(self, point: Point) -> dict[str, float]:
        assert point.x is not None
        return {goal: self.stated.value(goal, point.x) for goal in self.others}

    def _as_level(self, goal: str, single: Point) -> Point:
        return single if goal == self.first else dataclasses.replace(single, bound=None)

    def _with_level_rows(self) -> Milp:
        milp = self.stated.milp_for(self.first)
        for goal in self.others:
            cost = self.stated.stated.objectives[goal].cost
            milp = milp.with_row(cost, -np.inf, np.inf, f"level_{goal}")
        return milp

    def _at(self, milp: Milp, asked: Sequence[float]) -> Milp:
        lower, upper = milp.row_lower.copy(), milp.row_upper.copy()
        first = milp.num_rows - len(self.others)
        for position, (goal, level) in enumerate(zip(self.others, asked, strict=True)):
            side = level - self.stated.stated.objectives[goal].offset
            if self.sign[goal] > 0:
                lower[first + position] = side
            else:
                upper[first + position] = side
        return dataclasses.replace(milp, row_lower=lower, row_upper=upper)

    def _described(self, point: Point, level: Mapping[str, float]) -> FrontPoint:
        assert point.x is not None
        report = self.stated.checked(point.x)
        values = {goal: float(report.figures[goal]) for goal in self.stated.goals}
        return FrontPoint(values, level, point.bound, point.gap)


def _value(point: Point) -> float:
    assert point.value is not None
    return point.value


def _with_shared_bounds(
    points: Sequence[FrontPoint], first: str, sign: Mapping[str, float]
) -> list[FrontPoint]:
    """A bound at looser levels holds at tighter ones too."""
    shared = []
    for point in points:
        bounds = [
            sign[first] * other.bound
            for other in points
            if other.bound is not None
            and all(sign[g] * other.at_least[g] <= sign[g] * level for g, level in point.at_least.items())
        ]
        bound = sign[first] * min(bounds) if bounds else None
        value = point.values[first]
        gap = None if bound is None else max(sign[first] * (bound - value), 0.0) / max(abs(value), 1e-9)
        shared.append(dataclasses.replace(point, bound=bound, gap=gap))
    return shared


def _nondominated(
    points: Sequence[FrontPoint], goals: Sequence[str], sign: Mapping[str, float]
) -> list[FrontPoint]:
    """Points that no other beats; of equal ones the first.  Ordered by the first goal, the best first."""
    if not points:
        return []
    values = np.array([[sign[g] * p.values[g] for g in goals] for p in points])
    room = _SAME * np.maximum(1.0, np.abs(values).max(axis=0))
    kept = []
    for k, own in enumerate(values):
        no_worse = (values >= own - room).all(axis=1)
        better = (values > own + room).any(axis=1)
        same_before = no_worse[:k] & ~better[:k]
        if not (no_worse & better).any() and not same_before.any():
            kept.append(k)
    kept.sort(key=lambda k: tuple(-values[k]))
    return [points[k] for k in kept]


def _with_best(
    points: Sequence[FrontPoint], goals: Sequence[str], sign: Mapping[str, float]
) -> list[FrontPoint]:
    """Marks the best point of each goal; no plan found for the goal alone is better."""
    named: dict[int, list[str]] = {}
    for goal in goals if points else ():
        best = int(np.argmax([sign[goal] * point.values[goal] for point in points]))
        named.setdefault(best, []).append(goal)
    return [
        dataclasses.replace(point, best_of=", ".join(named[k])) if k in named else point
        for k, point in enumerate(points)
    ]


def _with_knee(
    points: Sequence[FrontPoint], goals: Sequence[str], sign: Mapping[str, float]
) -> tuple[FrontPoint, ...]:
    """Marks the point farthest above the plane through the single optima, each goal from 0 to 1."""
    if len(points) < 3:
        return tuple(points)
    values: FloatArray = np.array([[sign[g] * p.values[g] for g in goals] for p in points])
    low, high = values.min(axis=0), values.max(axis=0)
    share = (values - low) / np.where(high > low, high - low, 1.0)
    knee = int(np.argmax(share.sum(axis=1)))
    if share[knee].sum() <= share.sum(axis=1).min() + _SAME or math.isclose(
        share[knee].max(), share[knee].sum()
    ):
        return tuple(points)
    return tuple(dataclasses.replace(p, knee=k == knee) for k, p in enumerate(points))

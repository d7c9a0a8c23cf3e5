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
from optimize.milp import FloatArray
from optimize.programme import Programme, SolveOptions
from optimize.report.text import amount, percent
from optimize.result import StopReason
from optimize.schema import InstanceData
from optimize.studies.front_questions import Found, Questions, questions_of
from optimize.studies.stated_levels import SharedTime

# A level asks a billionth less than the plan it comes from, so that this plan keeps it.
_ROOM = 1e-9
_SAME = 1e-9
# Plans that differ by more than this in some goal are told apart, whatever the gap.
_MOST_ROOM = 0.002
# The optimum of each goal alone, from which the levels follow and begin, has the time of so many levels.
_PARTS_OF_SINGLE = 2.0


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
    options : the gap holds for each solve, the time limit for all together; what is interrupted ends with
        the points there are.

    Raises
    ------
    UsageError : not two or three different goals, fewer than two points, no plan of a goal alone in time.
    FailedCheck : a plan fails its check.
    """
    if len(goals) not in (2, 3) or len(set(goals)) != len(goals):
        raise UsageError(f"a front is of two or three different goals, not of {', '.join(goals) or 'none'}")
    if num_points < 2:
        raise UsageError("a front has at least two points")
    time = SharedTime(options)
    return _Tracing(programme, questions_of(programme, data, goals, time), goals, time, told).front(
        num_points
    )


class _Tracing:
    def __init__(
        self,
        programme: Programme,
        questions: Questions,
        goals: Sequence[str],
        time: SharedTime,
        told: Callable[[str], None],
    ) -> None:
        self.programme, self.questions, self.time, self.told = programme, questions, time, told
        self.goals = tuple(goals)
        self.first, *self.others = goals
        self.sign = {goal: 1.0 if programme.goal(goal).maximise else -1.0 for goal in goals}

    def front(self, num_points: int) -> Front | None:
        singles: dict[str, Found] = {}
        self.time.expect(_PARTS_OF_SINGLE * len(self.goals) + num_points ** len(self.others) - 1)
        for goal in self.goals:
            self.told(f"the best {self.programme.goal(goal).en} alone")
            singles[goal] = self.questions.best(goal, _PARTS_OF_SINGLE)
            self.told(self._answer(goal, singles[goal]))
            if singles[goal].stop is StopReason.INFEASIBLE:
                return None
            if not singles[goal].figures:
                raise UsageError(
                    f"no plan for {goal} alone in its share of the time; give more (--time-limit) or ask for "
                    "fewer --points; `optimize solve` says whether there is one"
                )
        levels = [self._levels(goal, singles, num_points) for goal in self.others]
        points, missing = self._solve_levels(levels, singles[self.first])
        # The single optima are plans too: the first goal's with its bound, the others' for what they are.
        points += [(self._as_level(goal, single), self._reached(single)) for goal, single in singles.items()]
        found = [FrontPoint(found.figures, level, found.bound, found.gap) for found, level in points]
        found = _with_shared_bounds(found, self.first, self.sign)
        kept = _apart(_nondominated(found, self.goals, self.sign), self.goals, self.sign)
        return Front(
            self.programme,
            self.goals,
            _with_knee(_with_best(kept, self.goals, self.sign), self.goals, self.sign),
            {goal: (_value(found), found.bound) for goal, found in singles.items()},
            tuple(missing),
        )

    def _levels(self, goal: str, singles: Mapping[str, Found], number: int) -> list[float]:
        """From the least that the other optima reach of a goal to its own optimum."""
        reached = [self.sign[goal] * found.figures[goal] for found in singles.values()]
        levels = np.linspace(min(reached), max(reached), number)
        return [float(self.sign[goal] * (level - _ROOM * max(1.0, abs(level)))) for level in levels]

    def _solve_levels(
        self, levels: Sequence[Sequence[float]], best: Found
    ) -> tuple[list[tuple[Found, dict[str, float]]], list[tuple[Mapping[str, float], str]]]:
        """From the tightest levels to the loosest: plans of the one are plans of the next.

        ``best`` : of the first goal alone; the levels it keeps need no other answer.
        """
        answers: list[tuple[Found, dict[str, float]]] = []
        missing: list[tuple[Mapping[str, float], str]] = []
        for asked in itertools.product(*(reversed(of_goal) for of_goal in levels)):
            level = dict(zip(self.others, asked, strict=True))
            if all(self.sign[g] * best.figures[g] >= self.sign[g] * value for g, value in level.items()):
                continue
            if self.time.is_over:
                missing.append((level, f"not begun: {self.time.why_over()}"))
                continue
            self.told(self._question(level))
            found = self.questions.at(level)
            self.told(self._answer(self.first, found))
            if found.figures:
                answers.append((found, level))
            else:
                missing.append((level, self._why_none(found)))
        return answers, missing

    def _why_none(self, found: Found) -> str:
        if found.stop is StopReason.INFEASIBLE:
            return "no plan reaches this"
        stopped = self.time.options.interrupt.is_set()
        return "stopped before there was a plan" if stopped else "no plan found in time"

    def _question(self, level: Mapping[str, float]) -> str:
        parts = []
        for goal, value in level.items():
            of = self.programme.goal(goal)
            parts.append(f"{of.en} {'≥' if of.maximise else '≤'} {amount(value, of.unit)}")
        return f"the best {self.programme.goal(self.first).en} with {' and '.join(parts)}"

    def _answer(self, goal: str, found: Found) -> str:
        if found.value is None:
            return "  none" if found.stop is StopReason.INFEASIBLE else "  no plan found in its time"
        gap = percent(found.gap)
        unit = self.programme.goal(goal).unit
        return f"  {amount(found.value, unit)} · gap {gap} · {self.time.remaining_s:.0f} s left"

    def _reached(self, found: Found) -> dict[str, float]:
        return {goal: found.figures[goal] for goal in self.others}

    def _as_level(self, goal: str, single: Found) -> Found:
        return single if goal == self.first else dataclasses.replace(single, bound=None)


def _value(found: Found) -> float:
    assert found.value is not None
    return found.value


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


def _apart(points: Sequence[FrontPoint], goals: Sequence[str], sign: Mapping[str, float]) -> list[FrontPoint]:
    """Without points that differ from one before by less than their gap in every goal; the best of each goal stay."""
    ends = {int(np.argmax([sign[goal] * point.values[goal] for point in points])) for goal in goals if points}
    kept: list[FrontPoint] = []
    for k, point in enumerate(points):
        room = max(_SAME, min(point.gap or 0.0, _MOST_ROOM))
        same = any(
            all(abs(point.values[g] - other.values[g]) <= room * abs(point.values[g]) for g in goals)
            for other in kept
        )
        if k in ends or not same:
            kept.append(point)
    return kept


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

"""What a front asks: the best plan of one goal, and of one goal while others reach a level; every plan checked.

`ArrayQuestions` answers on a programme's arrays, each question from what the earlier ones left;
`NetworkQuestions` by a programme that holds goals at levels itself (reclaimed water, whose arrays hold no plans).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from optimize.checking import CheckReport
from optimize.errors import FailedCheck
from optimize.milp import FloatArray, Milp
from optimize.programme import Programme
from optimize.result import StopReason, relative_gap
from optimize.schema import InstanceData
from optimize.studies.stated_levels import (
    SAME_FIGURE,
    Ladder,
    Point,
    SharedTime,
    StatedProgramme,
    check_goals,
)


@dataclass(frozen=True)
class Found:
    """An answer: the plan's figures as the checker recomputes them ({}: no plan), and a proven bound of the goal."""

    stop: StopReason
    value: float | None
    bound: float | None
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def gap(self) -> float | None:
        return relative_gap(self.value, self.bound)


class Questions(Protocol):
    """The two questions; ``parts`` of the shared time each."""

    def best(self, goal: str, parts: float) -> Found:
        """The best plan of a goal alone."""

    def at(self, levels: Mapping[str, float]) -> Found:
        """The best plan of the first goal that reaches these levels of the others."""


def questions_of(
    programme: Programme, data: InstanceData, goals: Sequence[str], time: SharedTime
) -> Questions:
    """Whoever answers for a programme; raises UsageError for unknown goals."""
    check_goals(programme, goals)
    if programme.goal_levels is not None:
        return NetworkQuestions(programme, data, goals, time)
    return ArrayQuestions(StatedProgramme(programme, data, goals), time)


class ArrayQuestions:
    """Answers on the programme's arrays."""

    def __init__(self, stated: StatedProgramme, time: SharedTime) -> None:
        self._stated, self._time = stated, time
        self._first, *self._others = stated.goals
        self._optima: list[FloatArray] = []
        self._of_first: FloatArray | None = None
        self._ladder = Ladder(
            time, stated.group, self._optima, around=True, multipliers=self._first_multipliers
        )
        self._levels: Milp | None = None

    def best(self, goal: str, parts: float) -> Found:
        ladder = Ladder(self._time, self._stated.group, self._optima)
        point = ladder.solve(self._stated.milp_for(goal), parts)
        if point.x is not None:
            self._optima.append(self._stated.settled(point.x))
        if goal == self._first:
            self._of_first = point.multipliers
        return self._found(point)

    def _first_multipliers(self) -> FloatArray | None:
        """Multipliers of a level's rows before one has been solved: those of the first goal alone."""
        if self._of_first is None:
            return None
        return np.append(self._of_first, np.zeros(len(self._others)))

    def at(self, levels: Mapping[str, float]) -> Found:
        return self._found(self._ladder.solve(self._with_sides(levels)))

    def _found(self, point: Point) -> Found:
        if point.x is None:
            return Found(point.stop, None, point.bound)
        report = self._stated.checked(self._stated.settled(point.x))
        figures = {goal: float(report.figures[goal]) for goal in self._stated.goals}
        return Found(point.stop, point.value, point.bound, figures)

    def _with_sides(self, levels: Mapping[str, float]) -> Milp:
        milp = self._with_level_rows()
        lower, upper = milp.row_lower.copy(), milp.row_upper.copy()
        first = milp.num_rows - len(self._others)
        for position, goal in enumerate(self._others):
            objective = self._stated.stated.objectives[goal]
            sides = lower if objective.maximise else upper
            sides[first + position] = levels[goal] - objective.offset
        return dataclasses.replace(milp, row_lower=lower, row_upper=upper)

    def _with_level_rows(self) -> Milp:
        if self._levels is None:
            milp = self._stated.milp_for(self._first)
            for goal in self._others:
                cost = self._stated.stated.objectives[goal].cost
                milp = milp.with_row(cost, -np.inf, np.inf, f"level_{goal}")
            self._levels = milp
        return self._levels


class NetworkQuestions:
    """Answers of a programme that holds goals at levels itself."""

    def __init__(
        self, programme: Programme, data: InstanceData, goals: Sequence[str], time: SharedTime
    ) -> None:
        assert programme.goal_levels is not None
        self._programme, self._goals, self._time = programme, tuple(goals), time
        self._instance: Any = programme.load(data)
        self._levels = programme.goal_levels(self._instance)

    def best(self, goal: str, parts: float) -> Found:
        return self._found(self._levels.best(goal, self._time.next(parts)), goal)

    def at(self, levels: Mapping[str, float]) -> Found:
        first = self._goals[0]
        return self._found(self._levels.at(first, levels, self._time.next()), first)

    def _found(self, result: Any, goal: str) -> Found:
        if result.solution is None:
            return Found(result.stop, None, result.bound)
        report: CheckReport = self._programme.check(self._instance, result.solution)
        wrong = [str(violation) for violation in report.violations[:3]]
        true = report.figures[goal]
        if abs(result.objective - true) > SAME_FIGURE * max(1.0, abs(true)):
            wrong.append(f"{goal} is {result.objective:.12g}, recomputed {true:.12g}")
        if wrong:
            raise FailedCheck(f"a plan of {self._programme.name} failed its check: {'; '.join(wrong)}")
        figures = {name: float(report.figures[name]) for name in self._goals}
        return Found(result.stop, result.objective, result.bound, figures)

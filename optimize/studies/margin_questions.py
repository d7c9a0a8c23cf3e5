"""What margins ask: the best plan as it is, with a larger budget, with a target that asks less, with earlier choices kept.

`ArrayMargins` answers on a programme's arrays, each question from what the earlier ones left; `SolvedMargins`
solves the changed instance anew (reclaimed water, whose arrays hold no plans).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from optimize.clauses import ClauseTarget
from optimize.errors import UsageError
from optimize.milp import FloatArray, IntArray, Milp
from optimize.programme import PricedRows, Programme
from optimize.schema import InstanceData
from optimize.solve import solve
from optimize.studies.front_questions import Found
from optimize.studies.stated_levels import Ladder, Point, SharedTime, StatedProgramme, check_goals
from optimize.studies.sweep import data_at

ALL = "all sources"


class MarginQuestions(Protocol):
    """The questions, each with its part of the shared time."""

    def budgets_cny(self) -> dict[str, float]:
        """Money of all years by source; all sources together first, where there are several."""

    def base(self, parts: float) -> Found:
        """The plan as it is."""

    def raised(self, source: str, share: float) -> Found:
        """With a budget (`ALL`: all of them) raised by a share of it."""

    def asking(self, target: ClauseTarget, required: float) -> Found:
        """With a target that asks for another amount."""

    def nested(self, share: float) -> tuple[Found, Found]:
        """With all budgets raised: chosen anew, and with what the last step has chosen kept."""


def margin_questions_of(
    programme: Programme, data: InstanceData, goal: str, time: SharedTime, *, nested: bool
) -> MarginQuestions:
    """Whoever answers for a programme.

    Raises
    ------
    UsageError : an unknown goal, or nested steps where single projects cannot be kept.
    """
    check_goals(programme, (goal,))
    if programme.goal_levels is None:
        return ArrayMargins(StatedProgramme(programme, data, (goal,)), time)
    if nested:
        raise UsageError(
            f"{programme.name}: its arrays do not name single works, so none can be kept; leave --nested out"
        )
    return SolvedMargins(programme, data, goal, time)


class ArrayMargins:
    """Answers on the programme's arrays."""

    def __init__(self, stated: StatedProgramme, time: SharedTime) -> None:
        self._stated, self._time = stated, time
        (self._goal,) = stated.goals
        self._milp = stated.milp_for(self._goal)
        self._ladder = Ladder(time, stated.group)
        self._kept: FloatArray | None = None
        self._budgets = _budget_rows(stated.stated.priced)

    def budgets_cny(self) -> dict[str, float]:
        return {
            source: sum(group.required for group in groups if len(groups) == 1 or not _is_total(group))
            for source, groups in self._budgets.items()
        }

    def base(self, parts: float) -> Found:
        point = self._ladder.solve(self._milp, parts)
        if point.x is not None:
            self._stated.checked(point.x)
            self._kept = point.x
        return _found(point)

    def raised(self, source: str, share: float) -> Found:
        return _found(self._ladder.solve(self._with_more(self._budgets[source], share)))

    def asking(self, target: ClauseTarget, required: float) -> Found:
        # Stated anew: a share is part of every coefficient of its row.
        data = data_at(self._stated.data, f"targets.{target.id}.required", required)
        stated = StatedProgramme(self._stated.programme, data, (self._goal,))
        return _found(self._ladder.solve(stated.milp_for(self._goal)))

    def nested(self, share: float) -> tuple[Found, Found]:
        assert self._kept is not None
        groups = self._budgets.get(ALL) or [g for many in self._budgets.values() for g in many]
        raised = self._with_more(groups, share)
        free = self._ladder.solve(raised)
        held = Ladder(self._time, self._stated.group).solve(self._held(raised, self._kept))
        if held.x is not None:
            self._kept = held.x
        return _found(free), _found(held)

    def _with_more(self, groups: Sequence[PricedRows], share: float) -> Milp:
        lower, upper = self._milp.row_lower.copy(), self._milp.row_upper.copy()
        for group in groups:
            lower[group.rows] += share * group.required * group.per_unit
            upper[group.rows] += share * group.required * group.per_unit
        milp = dataclasses.replace(self._milp, row_lower=lower, row_upper=upper)
        # Money may be carried over up to a share of the budgets as they were.
        rest = ~milp.integral & np.isfinite(milp.upper) & (milp.cost == 0)
        return milp.with_bounds(milp.lower, np.where(rest, (1.0 + share) * milp.upper, milp.upper))

    def _held(self, milp: Milp, x: FloatArray) -> Milp:
        """``milp`` in which every project of ``x`` stays as it is."""
        stated = self._stated.stated
        has = stated.candidate >= 0
        chosen = np.zeros(len(stated.candidate_ids), np.bool_)
        chosen[stated.candidate[has & (x > 0.5)]] = True
        of_chosen = has & chosen[stated.candidate]
        upper = np.where(of_chosen & (x < 0.5), 0.0, milp.upper)
        resting = stated.idle[chosen & (stated.idle >= 0)]
        upper[resting] = 0.0
        lower = milp.row_lower.copy()
        choosing = choice_rows(milp, stated.candidate, len(stated.candidate_ids))[chosen]
        lower[choosing[choosing >= 0]] = 1.0
        return dataclasses.replace(milp, upper=upper, row_lower=lower)


class SolvedMargins:
    """Answers by solving the changed instance with the programme's own engine."""

    def __init__(self, programme: Programme, data: InstanceData, goal: str, time: SharedTime) -> None:
        self._programme, self._data, self._goal, self._time = programme, data, goal, time

    def budgets_cny(self) -> dict[str, float]:
        budgets = self._data.tables["budgets"]
        scale = float(self._data.parameters["budgets.scale"])
        by_source = budgets.groupby("source", sort=False)["amount_cny"].sum() * scale
        found = {str(source): float(cny) for source, cny in by_source.items() if cny > 0}
        return {ALL: sum(found.values())} | found if len(found) > 1 else found

    def base(self, parts: float) -> Found:
        return self._solved(self._data, parts)

    def raised(self, source: str, share: float) -> Found:
        budgets = self._data.tables["budgets"]
        own = (budgets["source"] == source).to_numpy() | (source == ALL)
        raised = budgets.assign(amount_cny=budgets["amount_cny"] * np.where(own, 1.0 + share, 1.0))
        tables = {**self._data.tables, "budgets": raised}
        return self._solved(dataclasses.replace(self._data, tables=tables))

    def asking(self, target: ClauseTarget, required: float) -> Found:
        return self._solved(data_at(self._data, f"targets.{target.id}.required", required))

    def nested(self, share: float) -> tuple[Found, Found]:
        raise AssertionError("refused before anything is solved")

    def _solved(self, data: InstanceData, parts: float = 1.0) -> Found:
        options = dataclasses.replace(self._time.next(parts), goal=(self._goal,))
        solved = solve(self._programme, data, options)
        result = solved.result
        if solved.check is None or not solved.check.passed:
            return Found(result.stop, None, result.bound)
        return Found(result.stop, result.objective, result.bound, dict(solved.check.figures))


def _found(point: Point) -> Found:
    return Found(point.stop, point.value, point.bound)


def _budget_rows(priced: Sequence[PricedRows]) -> dict[str, list[PricedRows]]:
    """Budget rows by source; first all of them in proportion."""
    found: dict[str, list[PricedRows]] = {}
    for group in priced:
        if group.clause == "budget" and group.required > 0:
            source = ALL if _is_total(group) else group.where.rpartition(" ")[0]
            found.setdefault(source, []).append(group)
    first = {ALL: found.pop(ALL)} if ALL in found else {}
    return first | found


def _is_total(group: PricedRows) -> bool:
    return group.where.startswith(ALL)


def choice_rows(milp: Milp, candidate: IntArray, num_candidates: int) -> IntArray:
    """Row that lets each candidate choose at most one of its options; -1: none found. Shape (candidates,)."""
    counts = np.diff(milp.matrix.indptr)
    filled = np.flatnonzero((counts > 0) & (milp.row_upper == 1))
    matrix = sp.csr_array(milp.matrix[filled])
    starts = matrix.indptr[:-1]
    member = candidate[matrix.indices]
    least, most = np.minimum.reduceat(member, starts), np.maximum.reduceat(member, starts)
    ones = np.minimum.reduceat(matrix.data, starts) == np.maximum.reduceat(matrix.data, starts)
    size = np.bincount(candidate[candidate >= 0], minlength=num_candidates)
    whole = (least == most) & (least >= 0) & ones & (matrix.data[starts] == 1.0)
    whole &= np.diff(matrix.indptr) == size[np.maximum(least, 0)]
    rows = np.full(num_candidates, -1, dtype=np.int64)
    rows[least[whole]] = filled[whole]
    return rows

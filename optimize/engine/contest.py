"""Programmes against an adversary: the worst rows or the worst cases, with a bound that holds for all of them.

What makes them tractable is that whichever of the two sides is held, an ordinary programme is left:

* the adversary held (weights on deviations, on cases): a relaxation, whose Lagrangian bound, with exact
  blocks, is a bound of the whole.  The best weights are the multipliers of the linearised programme on
  few columns; columns that the multipliers call near to use are added until there are no more.
* thresholds held: plans that withstand every adversary, found by the same search as any others.

Small programmes are linearised and solved by branch and cut as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from optimize.engine.budgeted_rows import BudgetedRows
from optimize.engine.choice import LagrangianBound
from optimize.engine.choice_structure import find_structure
from optimize.engine.goals import GoalsOutcome
from optimize.engine.highs import LpOutcome, solve_lp, solve_milp
from optimize.engine.stopping import Watch
from optimize.engine.tail_value import TailValue
from optimize.milp import BoolArray, FloatArray, IntArray, Milp
from optimize.programme import SolveOptions
from optimize.result import StopReason

Engine = Callable[[Milp, Watch, FloatArray | None, FloatArray | None], GoalsOutcome]

_FEASIBLE = 1e-6
# Linearised and solved whole up to this many choices and entries.
_WHOLE_COLUMNS = 8_000
_WHOLE_ENTRIES = 2_000_000
_SHARE_OF_WHOLE = 0.6
# Columns the linearised relaxation begins with, and most that a round adds.
_NEAR = 8_000
_ADDED = 4_000
_ROUNDS = 8
_SHARE_OF_PROOF = 0.6
_SHARE_OF_MULTIPLIERS = 0.25
# Columns among which branch and cut improves a plan, and its nodes.
_IMPROVED = 2_000
_NODES = 200
# Shares of the time that is left: the first search, each later one, each improvement.
_FIRST, _LATER, _IMPROVE = 0.65, 0.8, 0.5
# A search is not asked for more than a part of the gap that the whole may have.
_PART_OF_GAP = 0.5
_STALLED = 3
# No search is begun with less time left.
_LEAST_SECONDS = 1.0
# Another adversary is looked for while the last one bettered the bound by this share of the gap.
_WORTH_A_ROUND = 0.05


class Contest(Protocol):
    """What the two kinds have in common."""

    def plain(self, milp: Milp) -> Milp | None:
        """The ordinary programme that the contest is, where the adversary has no choice."""

    def worth(self, milp: Milp, x: FloatArray) -> float | None:
        """What the plan is worth against the worst; None where it does not withstand it."""

    def searched(self, milp: Milp, near: FloatArray | None, hint: FloatArray | None) -> Milp:
        """An ordinary programme to look for plans in: near a plan, or as a relaxation's ``hint`` says."""

    def linearised(self, milp: Milp, columns: IntArray) -> tuple[Milp, Any]:
        """The contest itself on some columns, and what `extended` and `against` ask for."""

    def extended(self, x: FloatArray, columns: IntArray, key: Any) -> FloatArray:
        """The plan as a point of the linearised programme."""

    def against(self, milp: Milp, relaxed: LpOutcome, columns: IntArray, key: Any) -> tuple[Milp, FloatArray]:
        """The relaxation against the adversary of the linearised relaxation, and what `searched` takes."""


@dataclass(frozen=True)
class WorstRows:
    """Rows that hold although entries rise; the goal is the programme's own."""

    rows: BudgetedRows

    def plain(self, milp: Milp) -> Milp | None:
        if self.rows.most == 0 or not self.rows.num_pairs:
            return milp
        return self.rows.at_thresholds(milp, np.zeros(len(self.rows.rows))) if self.rows.is_all else None

    def worth(self, milp: Milp, x: FloatArray) -> float | None:
        stands = milp.violation(x) <= _FEASIBLE and self.rows.holds(milp, x)
        return milp.value(x) if stands else None

    def searched(self, milp: Milp, near: FloatArray | None, hint: FloatArray | None) -> Milp:
        z = np.zeros(len(self.rows.rows)) if near is None else self.rows.thresholds(near)
        return self.rows.at_thresholds(milp, z if hint is None else hint)

    def linearised(self, milp: Milp, columns: IntArray) -> tuple[Milp, Any]:
        return self.rows.linearised(milp, columns)

    def extended(self, x: FloatArray, columns: IntArray, key: Any) -> FloatArray:
        return self.rows.extended(x, columns, key)

    def against(self, milp: Milp, relaxed: LpOutcome, columns: IntArray, key: Any) -> tuple[Milp, FloatArray]:
        assert relaxed.x is not None and relaxed.row_duals is not None
        z = relaxed.x[len(columns) : len(columns) + len(self.rows.rows)]
        return self.rows.against(milp, self.rows.weights(relaxed.row_duals, key)), np.maximum(z, 0.0)


@dataclass(frozen=True)
class WorstCases:
    """A goal over cases; the rows are the programme's own."""

    goal: TailValue

    def plain(self, milp: Milp) -> Milp | None:
        if self.goal.weight > 0.0 and self.goal.tail < 1.0 and self.goal.num_cases > 1:
            return None
        number = self.goal.num_cases
        return self.goal.against(milp, np.full(number, 1.0 / number))

    def worth(self, milp: Milp, x: FloatArray) -> float | None:
        return self.goal.of(x) if milp.violation(x) <= _FEASIBLE else None

    def searched(self, milp: Milp, near: FloatArray | None, hint: FloatArray | None) -> Milp:
        number = self.goal.num_cases
        weights = np.full(number, 1.0 / number) if near is None else self.goal.weights_of(near)
        return self.goal.against(milp, weights if hint is None else hint)

    def linearised(self, milp: Milp, columns: IntArray) -> tuple[Milp, Any]:
        return self.goal.linearised(milp, columns), None

    def extended(self, x: FloatArray, columns: IntArray, key: Any) -> FloatArray:
        return self.goal.extended(x, columns)

    def against(self, milp: Milp, relaxed: LpOutcome, columns: IntArray, key: Any) -> tuple[Milp, FloatArray]:
        assert relaxed.row_duals is not None
        weights = self.goal.weights(relaxed.row_duals)
        return self.goal.against(milp, weights), weights


@dataclass(frozen=True)
class ContestOutcome:
    """Best plan, what it is worth against the worst, and a bound that no plan exceeds; None: none found."""

    stop: StopReason
    x: FloatArray | None
    value: float | None
    bound: float | None


def solve_contest(
    milp: Milp,
    contest: Contest,
    options: SolveOptions,
    engine: Engine,
    start: FloatArray | None = None,
    near: FloatArray | None = None,
    row_multipliers: FloatArray | None = None,
    bound: float | None = None,
) -> ContestOutcome:
    """Best plan against the worst, with a bound.

    Parameters
    ----------
    engine : solves ordinary programmes: (programme, watch, start plan, row multipliers) -> outcome.
    start : shape (n,), a plan that may withstand the worst.
    near : shape (n,), a plan of the programme without the adversary, to begin the search near to.
    row_multipliers : shape (m,), of the programme without the adversary.
    bound : known to hold already.
    """
    watch = Watch(options, milp.maximise)
    if bound is not None:
        watch.offer_bound(bound)
    plain = contest.plain(milp)
    if plain is not None:
        outcome = engine(plain, watch, near if start is None else start, row_multipliers)
        return ContestOutcome(
            outcome.stop, outcome.x, outcome.objective, _tighter(milp, outcome.bound, bound)
        )
    return _Solving(milp, contest, watch, engine).solve(start, near, row_multipliers)


class _Solving:
    def __init__(self, milp: Milp, contest: Contest, watch: Watch, engine: Engine) -> None:
        self.milp, self.contest, self.watch, self.engine = milp, contest, watch, engine
        self.best: FloatArray | None = None
        self.value: float | None = None
        self.columns = np.zeros(milp.num_columns, dtype=np.bool_)
        self.distance: FloatArray | None = None
        self.hint: FloatArray | None = None
        self.multipliers: FloatArray | None = None
        self.searched = False

    def solve(
        self, start: FloatArray | None, near: FloatArray | None, multipliers: FloatArray | None
    ) -> ContestOutcome:
        if start is not None:
            self._offer(start)
        everything = np.arange(self.milp.num_columns)
        if int((self.milp.integral & (self.milp.upper > 0)).sum()) <= _WHOLE_COLUMNS:
            whole, key = self.contest.linearised(self.milp, everything)
            if whole.matrix.nnz <= _WHOLE_ENTRIES:
                infeasible = self._whole(whole, everything, key)
                if infeasible or not self._goes_on():
                    stop = StopReason.INFEASIBLE if infeasible else self.watch.stop_reason()
                    return ContestOutcome(stop, self.best, self.value, self.watch.bound)
        self.multipliers = multipliers
        self._search(near if self.best is None else self.best, None, _FIRST)
        self._prove()
        self._improve_in_turns()
        return ContestOutcome(self.watch.stop_reason(), self.best, self.value, self.watch.bound)

    def _offer(self, x: FloatArray) -> bool:
        """Keep a plan that withstands the worst and is the best so far."""
        value = self.contest.worth(self.milp, x)
        if value is None or (self.value is not None and not self._better(value, self.value)):
            return False
        self.best, self.value = x, value
        self.watch.offer_plan(value)
        return True

    def _better(self, value: float, than: float) -> bool:
        return value > than if self.milp.maximise else value < than

    def _whole(self, whole: Milp, columns: IntArray, key: Any) -> bool:
        """Branch and cut on the linearised programme; True: no plan withstands the worst."""
        begin = None if self.best is None else self.contest.extended(self.best, columns, key)
        part = self.watch.child(seconds=_SHARE_OF_WHOLE * self.watch.remaining(), bounds=True)
        outcome = solve_milp(whole, part, begin)
        if outcome.x is not None:
            self._offer(outcome.x[: len(columns)])
        return outcome.stop is StopReason.INFEASIBLE

    def _search(self, near: FloatArray | None, hint: FloatArray | None, share: float) -> None:
        """Plans of one ordinary programme, from the plan in hand or one that the engine can mend."""
        programme = self.contest.searched(self.milp, near, hint)
        begin = near
        if not self.searched and near is not None and programme.violation(near) <= _FEASIBLE:
            # At first a plan that can be mended helps; around one that needs no mending the search stays too near.
            begin = None
        part = self.watch.child(seconds=share * self.watch.remaining(), gap=_PART_OF_GAP * self.watch.gap)
        outcome = self.engine(programme, part, begin, self.multipliers)
        self.searched = True
        if outcome.x is not None:
            self._offer(outcome.x)
        if outcome.certificate is not None and len(outcome.certificate.multipliers) == programme.num_rows:
            self.multipliers = outcome.certificate.multipliers
        if self.distance is None:
            self.distance = self._distance(programme, self.multipliers)

    def _distance(self, programme: Milp, multipliers: FloatArray | None) -> FloatArray | None:
        """How far each column is from use at the multipliers, shape (n,); None where nothing says so."""
        structure = find_structure(programme)
        if structure is None:
            return None
        bound = LagrangianBound(structure)
        if multipliers is None:
            found = bound.minimise(self.watch.child(seconds=_SHARE_OF_MULTIPLIERS * self.watch.remaining()))
        else:
            found = structure.linking_multipliers(multipliers)
        return None if found is None else bound.relaxation(programme, found).distance

    # --- the bound ----------------------------------------------------------------------------------

    def _prove(self) -> None:
        """Bounds against ever better adversaries, each found on more columns than the one before."""
        if self.distance is None:
            self.columns[:] = True
        else:
            self.columns |= ~self.milp.integral | (self.milp.lower > 0)
            self._add_near(_NEAR)
        if self.best is not None:
            self.columns |= self.best > 0
        part = self.watch.child(seconds=_SHARE_OF_PROOF * self.watch.remaining())
        for _ in range(_ROUNDS):
            if part.must_stop or not (self._goes_on() and self._round(part)):
                return

    def _add_near(self, number: int) -> bool:
        """Up to ``number`` columns nearest to use; False: there were no new ones."""
        assert self.distance is not None
        usable = self.milp.integral & (self.milp.upper > 0) & ~self.columns
        places = np.flatnonzero(usable & np.isfinite(self.distance))
        nearest = places[np.argsort(self.distance[places], kind="stable")[:number]]
        self.columns[nearest] = True
        return len(nearest) > 0

    def _round(self, watch: Watch) -> bool:
        """One adversary and the bound against it; False: columns that could better it are all there."""
        columns = np.flatnonzero(self.columns)
        programme, key = self.contest.linearised(self.milp, columns)
        relaxed = solve_lp(programme, watch.child())
        if relaxed.stop is not StopReason.OPTIMAL or relaxed.row_duals is None:
            return False
        relaxation, self.hint = self.contest.against(self.milp, relaxed, columns, key)
        structure = find_structure(relaxation)
        if structure is None:
            if self.columns.all():
                self.watch.offer_bound(_needed(relaxed.objective))
            return False
        bound = LagrangianBound(structure)
        self.multipliers = relaxed.row_duals[: self.milp.num_rows]
        multipliers = structure.linking_multipliers(self.multipliers)
        before = self.watch.bound
        self.watch.offer_bound(bound.certificate(relaxation, multipliers).bound)
        self.distance = bound.relaxation(relaxation, multipliers).distance
        within = float(self.watch.gap * max(1.0, abs(_needed(relaxed.objective))))
        usable = self.milp.integral & (self.milp.upper > 0)
        missing = usable & ~self.columns & (self.distance <= within)
        found = _needed(self.watch.bound)
        if not missing.any() or (before is not None and abs(found - before) < _WORTH_A_ROUND * within):
            return False
        nearest = np.flatnonzero(missing)
        self.columns[nearest[np.argsort(self.distance[nearest], kind="stable")[:_ADDED]]] = True
        return True

    # --- better plans ---------------------------------------------------------------------------------

    def _improve_in_turns(self) -> None:
        """A search near to the plan in hand, then branch and cut around it, until neither helps."""
        without = 0
        while self._goes_on() and without < _STALLED:
            before = self.value
            self._search(self.best, self.hint if self.best is None or without % 2 else None, _LATER)
            if self._goes_on():
                self._improve(_IMPROVED * (1 + without))
            moved = self.value is not None and (before is None or self._better(self.value, before))
            without = 0 if moved else without + 1

    def _goes_on(self) -> bool:
        return not (self.watch.gap_reached or self.watch.must_stop or self.watch.remaining() < _LEAST_SECONDS)

    def _improve(self, number: int) -> None:
        if self.best is None or self.distance is None:
            return
        free: BoolArray = ~self.milp.integral | (self.milp.lower > 0) | (self.best > 0.5)
        usable = np.flatnonzero(self.milp.integral & (self.milp.upper > 0))
        nearest = usable[np.argsort(self.distance[usable], kind="stable")[:number]]
        free[nearest] = True
        columns = np.flatnonzero(free)
        programme, key = self.contest.linearised(self.milp, columns)
        part = self.watch.child(seconds=_IMPROVE * self.watch.remaining(), gap=_PART_OF_GAP * self.watch.gap)
        outcome = solve_milp(
            programme, part, self.contest.extended(self.best, columns, key), max_nodes=_NODES
        )
        if outcome.x is not None:
            x = np.zeros(self.milp.num_columns)
            x[columns] = outcome.x[: len(columns)]
            self._offer(x)


def _tighter(milp: Milp, one: float | None, other: float | None) -> float | None:
    bounds = [b for b in (one, other) if b is not None]
    return (min if milp.maximise else max)(bounds, default=None)


def _needed(value: float | None) -> float:
    assert value is not None
    return value

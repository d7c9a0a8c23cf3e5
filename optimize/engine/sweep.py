"""Many programmes that differ in the sides of rows and the bounds of columns only, one after another.

What is found at one level serves the others: any multipliers bound every level (weak duality; only
the sides enter anew), and a plan is a plan of every level whose rows it keeps.  What a level needs
beyond that is found in steps, each dearer than the one before, until its gap is reached: plans in
hand, exchanges among the columns of least regret, multipliers minimised from the last ones and
exchanges once more, the whole engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine.choice import LagrangianBound
from optimize.engine.choice_polish import Polish
from optimize.engine.choice_structure import ChoiceStructure, find_structure
from optimize.engine.goals import GoalsOutcome
from optimize.engine.stopping import Watch
from optimize.milp import Milp
from optimize.result import Certificate, StopReason, relative_gap

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_FEASIBLE = 1e-6
# Columns of each group, the ones of least regret, among which plans are improved.
_NEAR_PER_GROUP = 12
# A plan is improved to this share of the wanted gap, so that it serves some of the next levels too.
_LASTING = 0.6
# With more linking rows the cutting planes take longer than the engine's own way to multipliers.
_MINIMISED_ROWS = 300
_KEPT_PLANS = 8
_KEPT_MULTIPLIERS = 3


class LevelSolver:
    """Solves levels with the whole engine where it must, and with what other levels left where it can.

    Parameters
    ----------
    solve_whole : the engine: (programme, watch, start plan, row multipliers) -> outcome.
    """

    def __init__(
        self, solve_whole: Callable[[Milp, Watch, FloatArray | None, FloatArray | None], GoalsOutcome]
    ) -> None:
        self._solve_whole = solve_whole
        self._stated: Milp | None = None
        self._bound: LagrangianBound | None = None
        self._multipliers: list[FloatArray] = []
        self._plans: list[FloatArray] = []
        self._core: _Core | None = None
        self._core_bound: tuple[Milp, LagrangianBound] | None = None

    def solve(self, milp: Milp, watch: Watch) -> GoalsOutcome:
        """Plan, bound and certificate of one level."""
        if self._bound is None or not self._moves_to(milp):
            return self._solve_anew(milp, watch)
        multipliers = self._best_multipliers(milp, watch)
        best = self._best_plan(milp, watch)
        if not watch.gap_reached and best is not None:
            best = self._improved(milp, watch, multipliers, best)
        if not watch.gap_reached and len(self._bound.structure.side) <= _MINIMISED_ROWS:
            multipliers = self._minimised(milp, watch, multipliers)
            if not watch.gap_reached and best is not None:
                best = self._improved(milp, watch, multipliers, best)
        gap = None if best is None else relative_gap(milp.value(best), watch.bound)
        if best is None or gap is None or gap > watch.gap:
            # From a plan that is close the engine would go hardly further than asked; the next level needs more.
            self._keep_plan(best)
            return _with_better_plan(self._solve_anew(milp, watch, None, multipliers), milp, best)
        self._keep_plan(best)
        return GoalsOutcome(
            watch.stop_reason(), best, milp.value(best), watch.bound, tuple(watch.trace), {},
            certificate=watch.certificate,
        )  # fmt: skip

    def _solve_anew(
        self,
        milp: Milp,
        watch: Watch,
        start: FloatArray | None = None,
        multipliers: FloatArray | None = None,
    ) -> GoalsOutcome:
        rows = None
        if self._bound is not None and multipliers is not None:
            rows = self._rows(milp, multipliers)
        outcome = self._solve_whole(milp, watch, start, rows)
        self._keep_plan(outcome.x)
        if outcome.certificate is not None and outcome.stop is not StopReason.INFEASIBLE:
            self._learn(milp, outcome.certificate)
        if outcome.x is None or outcome.certificate is None or self._bound is None or not watch.gap_reached:
            return outcome
        best = self._improved(milp, watch, self._multipliers[-1], outcome.x)
        self._keep_plan(best)
        return replace(outcome, x=best, objective=milp.value(best), stop=watch.stop_reason())

    def _learn(self, milp: Milp, certificate: Certificate) -> None:
        """Structure and multipliers of a level that the engine has solved."""
        if self._bound is None or not self._moves_to(milp):
            structure = find_structure(milp)
            self._stated, self._bound, self._core = milp, None, None
            self._multipliers.clear()
            if structure is None:
                return
            self._bound = LagrangianBound(structure)
        found = self._bound.structure.linking_multipliers(certificate.multipliers)
        self._multipliers = [*self._multipliers, found][-_KEPT_MULTIPLIERS:]
        self._core = None

    def _moves_to(self, milp: Milp) -> bool:
        """Whether the structure in hand could be moved to the sides of ``milp``."""
        assert self._bound is not None and self._stated is not None
        moved = structure_at(self._bound.structure, self._stated, milp)
        if moved is None:
            return False
        others = self._bound.others
        self._bound = self._bound.at(moved)
        self._bound.others = np.clip(others, moved.others_lower, moved.others_upper)
        self._stated = milp
        return True

    def _best_multipliers(self, milp: Milp, watch: Watch) -> FloatArray:
        """Those in hand whose bound is best here; its certificate is offered."""
        assert self._bound is not None
        found = [self._bound.evaluate(multipliers) for multipliers in self._multipliers]
        best = int(np.argmin([np.inf if at is None else at.bound for at in found]))
        watch.offer_certificate(self._bound.certificate(milp, self._multipliers[best]))
        return self._multipliers[best]

    def _minimised(self, milp: Milp, watch: Watch, multipliers: FloatArray) -> FloatArray:
        assert self._bound is not None
        found = self._bound.minimise(watch.child(bounds=True), multipliers)
        if found is None:
            return multipliers
        watch.offer_certificate(self._bound.certificate(milp, found))
        self._multipliers = [*self._multipliers, found][-_KEPT_MULTIPLIERS:]
        return found

    def _best_plan(self, milp: Milp, watch: Watch) -> FloatArray | None:
        sign = 1.0 if milp.maximise else -1.0
        best_first = sorted(self._plans, key=lambda x: -sign * milp.value(x))
        best = next((x for x in best_first if milp.violation(x) <= _FEASIBLE), None)
        if best is not None:
            watch.offer_plan(milp.value(best))
        return best

    def _keep_plan(self, x: FloatArray | None) -> None:
        if x is not None and not any(x is plan for plan in self._plans):
            self._plans = [*self._plans, x][-_KEPT_PLANS:]

    def _rows(self, milp: Milp, multipliers: FloatArray) -> FloatArray:
        assert self._bound is not None
        s = self._bound.structure
        return s.sign * s.row_multipliers(multipliers, milp.num_rows)

    def _improved(self, milp: Milp, watch: Watch, multipliers: FloatArray, best: FloatArray) -> FloatArray:
        """A plan at least as good as ``best`` by exchanges of near columns."""
        if self._core is None or self._core.at(milp, best) is None:
            self._core, self._core_bound = self._near(milp, multipliers, best), None
        core = self._core.at(milp, best)
        if core is None or watch.bound is None:
            return best
        part, start = core
        bound = self._bound_of(part)
        if bound is None:
            return best
        structure = bound.structure
        rows = self._rows(milp, multipliers)
        bound.others = start[structure.others]
        prices = bound.prices(structure.linking_multipliers(rows))
        inner = watch.child(plans=True, gap=_LASTING * watch.gap)
        inner.bound, inner.plan = watch.bound, part.value(start)
        polish = Polish(part, structure, prices, bound.clusters, bound.others, inner)
        found = polish.exchanged_in_turns(start, inner.within_gap(watch.bound))
        return self._core.back(found, milp, best)

    def _bound_of(self, part: Milp) -> LagrangianBound | None:
        """The bound of the core's programme, moved from the last level's where it can be."""
        moved = None
        if self._core_bound is not None:
            stated, bound = self._core_bound
            structure = structure_at(bound.structure, stated, part)
            moved = None if structure is None else bound.at(structure)
        if moved is None:
            structure = find_structure(part)
            moved = None if structure is None else LagrangianBound(structure)
        self._core_bound = None if moved is None else (part, moved)
        return moved

    def _near(self, milp: Milp, multipliers: FloatArray, plan: FloatArray) -> _Core:
        assert self._bound is not None
        s = self._bound.structure
        regret = self._bound.prices(multipliers).regret
        order = np.lexsort((regret, s.group_of_column))
        rank = np.arange(len(order)) - np.repeat(s.group_start[:-1], np.diff(s.group_start))
        kept = np.ones(milp.num_columns, dtype=np.bool_)
        kept[s.columns[order[rank >= _NEAR_PER_GROUP]]] = False
        return _Core.of(milp, kept | (plan != 0))


def _with_better_plan(outcome: GoalsOutcome, milp: Milp, best: FloatArray | None) -> GoalsOutcome:
    """The outcome with the plan ``best`` where that is better: the engine, cut short, may end with less."""
    if best is None:
        return outcome
    value = milp.value(best)
    if outcome.objective is not None and (outcome.objective >= value) == milp.maximise:
        return outcome
    return replace(outcome, x=best, objective=value)


def structure_at(s: ChoiceStructure, stated: Milp, milp: Milp) -> ChoiceStructure | None:
    """The structure ``s`` of ``stated`` with the sides and bounds of ``milp``; None: more than these differ.

    Columns, entries, objective and the choice rows have to be the same.
    """
    if milp.matrix is not stated.matrix and not _same_matrix(milp.matrix, stated.matrix):
        return None
    linked = np.zeros(milp.num_rows, dtype=np.bool_)
    linked[s.origin] = True
    linked[s.local_rows] = True
    sides = (milp.row_lower, stated.row_lower), (milp.row_upper, stated.row_upper)
    if any((a[~linked] != b[~linked]).any() or (np.isfinite(a) != np.isfinite(b)).any() for a, b in sides):
        return None
    if ((milp.row_lower == milp.row_upper) != (stated.row_lower == stated.row_upper)).any():
        return None
    choice = milp.integral
    if (milp.cost != stated.cost).any() or (milp.lower[choice] != stated.lower[choice]).any():
        return None
    if (milp.upper[choice] != stated.upper[choice]).any():
        return None
    others_lower, others_upper = milp.lower[s.others], milp.upper[s.others]
    if not (np.isfinite(others_lower).all() and np.isfinite(others_upper).all()):
        return None
    capacity = s.capacity.copy()
    capacity[: len(s.local_rows)] = milp.row_upper[s.local_rows] * (1.0 + 1e-12)
    side = np.where(s.scale > 0, milp.row_upper[s.origin], milp.row_lower[s.origin]) * s.scale
    return replace(s, side=side, capacity=capacity, others_lower=others_lower, others_upper=others_upper)


def _same_matrix(a: sp.csr_array, b: sp.csr_array) -> bool:
    return (
        a.shape == b.shape
        and np.array_equal(a.indptr, b.indptr)
        and np.array_equal(a.indices, b.indices)
        and np.array_equal(a.data, b.data)
    )


@dataclass(frozen=True)
class _Core:
    """Columns of a programme that plans are improved on; all others are at their lower bounds."""

    columns: IntArray
    matrix: sp.csr_array
    kept: BoolArray

    @classmethod
    def of(cls, milp: Milp, kept: BoolArray) -> _Core:
        columns = np.flatnonzero(kept)
        return cls(columns, sp.csr_array(sp.csc_array(milp.matrix)[:, columns]), kept)

    def at(self, milp: Milp, plan: FloatArray) -> tuple[Milp, FloatArray] | None:
        """The programme on these columns and the plan there; None: the plan has other columns too."""
        if (plan[~self.kept] != 0).any() or (milp.lower[~self.kept] != 0).any():
            return None
        c = self.columns
        part = replace(
            milp,
            cost=milp.cost[c],
            matrix=self.matrix,
            lower=milp.lower[c],
            upper=milp.upper[c],
            integral=milp.integral[c],
            column_names=None,
        )
        return part, plan[c]

    def back(self, found: FloatArray, milp: Milp, best: FloatArray) -> FloatArray:
        """A plan of the core as a plan of the programme, if it is one and better than ``best``."""
        x = np.zeros(milp.num_columns)
        x[self.columns] = found
        better = milp.value(x) > milp.value(best) if milp.maximise else milp.value(x) < milp.value(best)
        return x if better and milp.violation(x) <= _FEASIBLE else best

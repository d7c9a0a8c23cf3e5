"""A plan at once from multipliers of a choice programme: repair, the exchanges that gain most, undecided blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimize.engine.candidates import best_of_group
from optimize.engine.choice import LagrangianBound
from optimize.engine.choice_polish import Polish
from optimize.engine.choice_structure import find_structure
from optimize.engine.core import Relaxation
from optimize.engine.stopping import Watch
from optimize.milp import Milp

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Columns of each candidate among which a plan is looked for: those further from the relaxation are hardly in one.
_NEAR_COLUMNS = 24
_TAKEN = 1e-6


def quick_plan(
    milp: Milp,
    group: IntArray,
    row_multipliers: FloatArray,
    relaxed: Relaxation,
    watch: Watch,
    start: FloatArray | None = None,
    *,
    decide: bool = True,
) -> FloatArray | None:
    """The better of a plan near the Lagrangian maximiser and one near ``start``; offered to ``watch``.

    Parameters
    ----------
    group : shape (n,), candidate of each column; -1: the column belongs to none.
    row_multipliers : shape (m,), of a relaxation of ``milp`` or of a similar programme.
    relaxed : its columns outside the groups are the first values of these.
    start : shape (n,), a plan, or what was one of a similar programme.
    decide : solve what the relaxation leaves undecided by branch and cut where that is not enough for the gap.

    Returns
    -------
    shape (n,); None: the near columns have no choice structure, or rows stay broken.
    """
    movable = milp.integral & (milp.upper > milp.lower)
    free = ~milp.integral | (group < 0) | (relaxed.x > _TAKEN)
    free[best_of_group(-relaxed.distance, group, movable, _NEAR_COLUMNS)] = True
    if start is not None:
        free |= start > _TAKEN
    held = np.clip(np.zeros(milp.num_columns), milp.lower, milp.upper)
    near, rows = milp.restriction(free, held)
    part = watch.child(plans=True)
    part.offer_bound(relaxed.bound if watch.bound is None else watch.bound)
    own_start = None if start is None else start[free]
    found = _plan_of(near, row_multipliers[rows], relaxed.x[free], part, own_start, decide)
    if found is None:
        return None
    held[free] = found
    return held


def _plan_of(
    milp: Milp,
    row_multipliers: FloatArray,
    others: FloatArray,
    watch: Watch,
    start: FloatArray | None,
    decide: bool,
) -> FloatArray | None:
    structure = find_structure(milp)
    if structure is None or watch.bound is None:
        return None
    bound = LagrangianBound(structure)
    bound.others = np.clip(others[structure.others], structure.others_lower, structure.others_upper)
    multipliers = structure.linking_multipliers(row_multipliers)
    if bound.evaluate(multipliers) is None:
        return None
    polish = Polish(milp, structure, bound.prices(multipliers), bound.clusters, bound.others, watch)
    enough = watch.within_gap(watch.bound)
    plans = [None if start is None else polish.mended(start), polish.quick_plan()]
    best = polish.best(*(None if x is None else polish.exchanged_in_turns(x, enough) for x in plans))
    if not decide or watch.gap_reached or watch.must_stop:
        return best
    return polish.best(best, polish.decided(watch.bound, best))

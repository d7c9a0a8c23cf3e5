"""A plan at once from multipliers of a choice programme: repair, the exchanges that gain most, undecided blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimize.engine.choice import LagrangianBound
from optimize.engine.choice_polish import Polish
from optimize.engine.choice_structure import find_structure
from optimize.engine.stopping import Watch
from optimize.milp import Milp

FloatArray = NDArray[np.float64]


def quick_plan(
    milp: Milp, row_multipliers: FloatArray, others: FloatArray, watch: Watch, start: FloatArray | None = None
) -> FloatArray | None:
    """The better of a plan near the Lagrangian maximiser and one near ``start``; offered to ``watch``.

    Where that is not enough for the gap, what the relaxation leaves undecided is solved by branch and cut.

    Parameters
    ----------
    row_multipliers : shape (m,), of a relaxation of ``milp`` or of a similar programme.
    others : shape (n,), a point whose columns outside the groups are the first values of these.
    start : shape (n,), a plan, or what was one of a similar programme.

    Returns
    -------
    shape (n,); None: the programme has no choice structure, or rows stay broken.
    """
    structure = find_structure(milp)
    if structure is None:
        return None
    bound = LagrangianBound(structure)
    bound.others = np.clip(others[structure.others], structure.others_lower, structure.others_upper)
    multipliers = structure.linking_multipliers(row_multipliers)
    if bound.evaluate(multipliers) is None:
        return None
    certificate = bound.certificate(milp, multipliers)
    polish = Polish(milp, structure, bound.prices(multipliers), bound.clusters, bound.others, watch)
    watch.offer_certificate(certificate)
    enough = watch.within_gap(certificate.bound)
    plans = [None if start is None else polish.mended(start), polish.quick_plan()]
    best = polish.best(*(None if x is None else polish.exchanged_in_turns(x, enough) for x in plans))
    if watch.gap_reached or watch.must_stop:
        return best
    return polish.best(best, polish.decided(certificate.bound))

"""Solve a choice programme with many columns per candidate: relaxation by columns, plans, proof.

Few candidates with large projects leave a wide gap between the relaxation and the best plan: cuts lower
the bound, neighbourhoods of a thousand columns find the plans, branch and cut closes what is left.
Many candidates leave hardly any: the undecided ones are solved around the others.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from optimize.engine.candidates import candidates_of
from optimize.engine.choice import LagrangianBound, solve_from_multipliers
from optimize.engine.choice_quick import quick_plan
from optimize.engine.choice_structure import find_structure
from optimize.engine.column_plans import (
    better,
    close,
    left_after_fixing,
    search_near,
    search_undecided,
)
from optimize.engine.column_relaxation import (
    ColumnRelaxation,
    best_columns,
    prove_infeasible,
    relax_by_columns,
    relaxation_at,
)
from optimize.engine.core import Relaxation, outcome_of, solve_by_core
from optimize.engine.highs import MilpOutcome, solve_milp
from optimize.engine.many_candidates import relax_many
from optimize.engine.neighbourhoods import search_neighbourhoods
from optimize.engine.rounding_cuts import tighten_by_rounding
from optimize.engine.stopping import Watch
from optimize.milp import Milp
from optimize.result import StopReason

__all__ = ["candidates_of", "prove_infeasible", "relax_by_columns", "solve_by_columns"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# With more candidates than this a core holds only those the relaxation is undecided about.
_MANY_CANDIDATES = 800
# Up to so many columns cuts are worth their memory, and branch and cut on the whole its time.
_TIGHTEN_BELOW = 120_000
_CLOSE_BELOW = 30_000
# Columns of each candidate in a first and a second core, and their nodes.
_FIRST_CORE = (6, 30)
_SECOND_CORE = (20, 300)
_CLOSE_AT_ONCE = 5_000
# Shares of the time left: of the cores and of the cuts.
_SHARE_OF_FIRST_CORE = 0.06
_SHARE_OF_CUTS = 0.12
_SHARE_OF_SECOND_CORE = 0.3
# On one thread the search has so many seconds to itself, and closing this share of what is left beyond:
# for the first ten or twenty seconds branch and cut on the whole has nothing to say.
_SEARCH_SECONDS = 60.0
_SHARE_OF_CLOSING = 0.5
# Many candidates: share of the neighbourhoods, before the exchanges of the choice engine.
_SHARE_BEFORE_EXCHANGES = 0.85
_FRUITLESS_ROUNDS = 24
# Columns of the first neighbourhood among many candidates.
_FIRST_OF_MANY = 3_000
# From so many candidates on the relaxation is one of rows priced, not of columns generated.
_MANY_FROM = 3_000
_UNBROKEN = 1e-6


def solve_by_columns(
    milp: Milp,
    group: IntArray,
    watch: Watch,
    start: FloatArray | None = None,
    row_multipliers: FloatArray | None = None,
) -> MilpOutcome:
    """Solve ``milp``; same contract as `highs.solve_milp`.

    Parameters
    ----------
    group : shape (n,), candidate of each column; -1: the column belongs to none.
    row_multipliers : shape (m,), of a similar programme, to begin from.
    """
    if len(np.unique(group[group >= 0])) > _MANY_FROM:
        found = _solve_many(milp, group, watch, start, row_multipliers)
        if found is not None:
            return found
        if watch.must_stop:
            return outcome_of(milp, watch, _kept(milp, start))
    inside = None if row_multipliers is None else best_columns(milp, group, row_multipliers)
    return _solve_relaxed(milp, group, watch, relax_by_columns(milp, group, watch, inside), start)


def _solve_relaxed(
    milp: Milp, group: IntArray, watch: Watch, found: ColumnRelaxation, start: FloatArray | None
) -> MilpOutcome:
    if found.infeasible:
        return MilpOutcome(StopReason.INFEASIBLE, None, None, None)
    relaxed = found.relaxation
    best = _kept(milp, start)
    if relaxed is None:
        return outcome_of(milp, watch, best) if watch.must_stop else solve_by_core(milp, watch, start)
    if best is not None:
        watch.offer_plan(milp.value(best))
    few = len(np.unique(group[group >= 0])) <= _MANY_CANDIDATES
    small = few and milp.num_columns <= _TIGHTEN_BELOW
    quick = None
    if found.row_duals is not None:
        quick = quick_plan(milp, group, found.row_duals, relaxed, watch, start, decide=not small)
    if watch.gap_reached:
        return outcome_of(milp, watch, better(milp, quick, best))
    if small:
        best = _solve_few(milp, group, watch, found, better(milp, quick, best))
        if best is None and not watch.must_stop:
            return solve_milp(milp, watch)
        return outcome_of(milp, watch, best)
    if quick is None or not few:
        best = search_undecided(milp, group, watch, relaxed, best)
    best = better(milp, quick, best)
    if best is not None and not watch.must_stop and not watch.gap_reached:
        part = watch.child(seconds=_SHARE_BEFORE_EXCHANGES * watch.remaining(), plans=True)
        part.offer_bound(relaxed.bound)
        best = search_neighbourhoods(
            milp, group, part, relaxed, best, fruitless_rounds=_FRUITLESS_ROUNDS, first_size=_FIRST_OF_MANY
        )
    structure = None if found.row_duals is None else find_structure(milp)
    if structure is None or found.row_duals is None:
        if best is None and not watch.must_stop:
            return solve_milp(milp, watch)
        return outcome_of(milp, watch, best)
    bound = LagrangianBound(structure)
    bound.others = relaxed.x[structure.others]
    prices = structure.linking_multipliers(found.row_duals)
    return solve_from_multipliers(milp, bound, prices, watch, best)


def _kept(milp: Milp, start: FloatArray | None) -> FloatArray | None:
    """The plan ``start`` where it is one of ``milp``."""
    return start if start is not None and milp.violation(start) <= _UNBROKEN else None


def _solve_few(
    milp: Milp, group: IntArray, watch: Watch, found: ColumnRelaxation, best: FloatArray | None
) -> FloatArray | None:
    """Cuts, cores and neighbourhoods, and branch and cut on what is left; None: no plan was found."""
    relaxed = found.relaxation
    assert relaxed is not None

    part = watch.child(seconds=_SHARE_OF_FIRST_CORE * watch.remaining(), plans=True)
    best = search_near(milp, group, part, relaxed, best, *_FIRST_CORE)
    if milp.num_columns <= _TIGHTEN_BELOW and not watch.must_stop and not watch.gap_reached:
        part = watch.child(seconds=_SHARE_OF_CUTS * watch.remaining(), bounds=True)
        tightened = tighten_by_rounding(milp, group, found.inside, part)
        if tightened is not None:
            relaxed = relaxation_at(milp, tightened.x, tightened.bound, tightened.reduced)
    if not watch.must_stop and not watch.gap_reached:
        part = watch.child(seconds=_SHARE_OF_SECOND_CORE * watch.remaining(), plans=True)
        best = search_near(milp, group, part, relaxed, best, *_SECOND_CORE)
    if watch.must_stop or watch.gap_reached:
        return best
    if watch.options.threads > 1 and _closable(milp, relaxed, best):
        return _search_and_close(milp, group, watch, relaxed, best)
    if best is not None and int(left_after_fixing(milp, relaxed, best).sum()) > _CLOSE_AT_ONCE:
        # What is too large to be closed is searched for as long as there is time.
        rounds = _FRUITLESS_ROUNDS if _closable(milp, relaxed, best) else None
        kept = 0.0 if rounds is None else _SHARE_OF_CLOSING * max(watch.remaining() - _SEARCH_SECONDS, 0.0)
        part = watch.child(seconds=watch.remaining() - kept, plans=True)
        part.offer_bound(relaxed.bound)
        best = search_neighbourhoods(milp, group, part, relaxed, best, fruitless_rounds=rounds)
    if watch.must_stop or watch.gap_reached or not _closable(milp, relaxed, best):
        return best
    return close(milp, watch, relaxed, best)


def _closable(milp: Milp, relaxed: Relaxation, best: FloatArray | None) -> bool:
    return (
        milp.num_columns <= _TIGHTEN_BELOW
        or int(left_after_fixing(milp, relaxed, best).sum()) <= _CLOSE_BELOW
    )


def _search_and_close(
    milp: Milp, group: IntArray, watch: Watch, relaxed: Relaxation, best: FloatArray | None
) -> FloatArray | None:
    """Neighbourhoods on one core, branch and cut for the bound on the other, until either is done."""
    closing = watch.child(plans=True, bounds=True)
    searching = watch.child(plans=True)
    searching.offer_bound(relaxed.bound)
    with ThreadPoolExecutor(max_workers=1) as pool:
        closed = pool.submit(close, milp, closing, relaxed, best)
        try:
            if best is not None:
                best = search_neighbourhoods(
                    milp, group, searching, relaxed, best, until=lambda: watch.gap_reached or closed.done()
                )
                closing.end()
        except BaseException:
            closing.end()
            raise
    return better(milp, best, closed.result())


def _solve_many(
    milp: Milp,
    group: IntArray,
    watch: Watch,
    start: FloatArray | None,
    row_multipliers: FloatArray | None = None,
) -> MilpOutcome | None:
    """Bound for all, and a plan of the undecided around the others; None: these leave no room for one."""
    left = relax_many(milp, group, watch, row_multipliers)
    if left is None:
        return None
    part = watch.child(plans=True)
    if watch.bound is not None:
        part.offer_bound(watch.bound)
    start = _kept(milp, start)
    own_start = None if start is None else start[left.free]
    outcome = _solve_relaxed(left.rest, group[left.free], part, left.relaxation, own_start)
    if outcome.x is None:
        return None
    x = left.held.copy()
    x[left.free] = outcome.x
    return outcome_of(milp, watch, better(milp, start, x))

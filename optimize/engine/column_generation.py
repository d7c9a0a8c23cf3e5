"""Solve a choice programme with many columns per candidate: relaxation by columns, plans, proof.

Few candidates with large projects leave a wide gap between the relaxation and the best plan: cuts lower
the bound, neighbourhoods of a thousand columns find the plans, branch and cut closes what is left.
Many candidates leave hardly any: the undecided ones are solved around the others.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from optimize.engine.candidates import best_of_group, candidates_of, optional, plainest
from optimize.engine.certificate import linear_certificate
from optimize.engine.choice import LagrangianBound, solve_from_multipliers
from optimize.engine.choice_structure import find_structure
from optimize.engine.column_plans import (
    better,
    close,
    left_after_fixing,
    outcome_of,
    search_near,
    search_undecided,
)
from optimize.engine.column_relaxation import (
    ColumnRelaxation,
    best_columns,
    prove_infeasible,
    relax_by_columns,
    relaxation_at,
    sampled_multipliers,
)
from optimize.engine.core import Relaxation, solve_by_core
from optimize.engine.highs import MilpOutcome, solve_milp
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
# With more candidates than this the multipliers of a sample are taken for all, and so many of the
# least decided candidates solved around the others.
_MOST_IN_RELAXATION = 30_000
_UNDECIDED_OF_MANY = 5_000
_GROWTH = 2
_ROOM_IN_BROKEN_ROWS = 2.0
_SHARE_OF_ROUND = 0.3
_SHARE_OF_GAP = 0.25
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
    row_multipliers : shape (m,), of a similar programme: they choose the first columns.
    """
    if len(np.unique(group[group >= 0])) > _MOST_IN_RELAXATION:
        around = _solve_around_sample(milp, group, watch, start)
        if around is not None:
            return around
    inside = None if row_multipliers is None else best_columns(milp, group, row_multipliers)
    return _solve_relaxed(milp, group, watch, relax_by_columns(milp, group, watch, inside), start)


def _solve_relaxed(
    milp: Milp, group: IntArray, watch: Watch, found: ColumnRelaxation, start: FloatArray | None
) -> MilpOutcome:
    if found.infeasible:
        return MilpOutcome(StopReason.INFEASIBLE, None, None, None)
    relaxed = found.relaxation
    if relaxed is None:
        return solve_by_core(milp, watch, start)
    best = start if start is not None and milp.violation(start) <= _UNBROKEN else None
    if best is not None:
        watch.offer_plan(milp.value(best))
    few = len(np.unique(group[group >= 0])) <= _MANY_CANDIDATES
    if few and milp.num_columns <= _TIGHTEN_BELOW:
        best = _solve_few(milp, group, watch, found, best)
        if best is None and not watch.must_stop:
            return solve_milp(milp, watch)
        return outcome_of(milp, watch, best)
    best = search_undecided(milp, group, watch, relaxed, best)
    if best is not None and not watch.must_stop and not watch.gap_reached:
        part = watch.child(seconds=_SHARE_BEFORE_EXCHANGES * watch.remaining(), plans=True)
        part.offer_bound(relaxed.bound)
        best = search_neighbourhoods(milp, group, part, relaxed, best, fruitless_rounds=_FRUITLESS_ROUNDS)
    structure = None if found.row_duals is None else find_structure(milp)
    if structure is None or found.row_duals is None:
        if best is None and not watch.must_stop:
            return solve_milp(milp, watch)
        return outcome_of(milp, watch, best)
    bound = LagrangianBound(structure)
    bound.others = relaxed.x[structure.others]
    prices = structure.linking_multipliers(found.row_duals)
    return solve_from_multipliers(milp, bound, prices, watch, best)


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


def _solve_around_sample(
    milp: Milp, group: IntArray, watch: Watch, start: FloatArray | None
) -> MilpOutcome | None:
    """Bound and plan from the multipliers of a sample; None: these leave no room for a plan.

    At the multipliers most candidates have one clearly best column.  They keep it; the least
    decided ones, and enough of those in rows that this breaks, are a programme of their own under
    what the others leave of every row.  Its multipliers know the true sides, so they bound the
    whole better than the sample's; with them the same is done once more.
    """
    prices = sampled_multipliers(milp, group, watch)
    number = _UNDECIDED_OF_MANY
    solved: tuple[Milp, BoolArray, FloatArray, ColumnRelaxation] | None = None
    settled = False
    while prices is not None and not watch.must_stop:
        before = watch.bound
        watch.offer_certificate(linear_certificate(milp, prices))
        after = watch.bound
        if solved is not None and before is not None and after is not None:
            settled = abs(before - after) <= _SHARE_OF_GAP * watch.gap * abs(after)
        if settled:
            break
        held, undecided = _decided(milp, group, prices, number)
        if int(undecided.sum()) > _MOST_IN_RELAXATION:
            break
        free = ~milp.integral | (group < 0) | undecided[group]
        rest, rows = milp.restriction(free, held)
        own = group[free]
        inside = (own < 0) | plainest(rest, own) | best_columns(rest, own, prices[rows])
        part = watch.child(seconds=_SHARE_OF_ROUND * watch.remaining())
        found = relax_by_columns(rest, own, part, inside)
        if found.row_duals is None:
            number *= _GROWTH
            continue
        solved = rest, free, held, found
        prices = prices.copy()
        prices[rows] = found.row_duals
    if solved is None:
        return None
    rest, free, held, found = solved
    part = watch.child(plans=True)
    outcome = _solve_relaxed(rest, group[free], part, found, None if start is None else start[free])
    if outcome.x is None:
        return None
    x = held.copy()
    x[free] = outcome.x
    if start is not None and (milp.value(start) > milp.value(x)) == milp.maximise:
        x = start
    return outcome_of(milp, watch, x)


def _decided(milp: Milp, group: IntArray, prices: FloatArray, number: int) -> tuple[FloatArray, BoolArray]:
    """Each candidate's best column at ``prices``, as a point (n,), and who had better stay undecided.

    Undecided are the ``number`` candidates whose second best column is least worse, and of those
    that use a broken row as many as take up twice what is too much.
    """
    sign = 1.0 if milp.maximise else -1.0
    worth = sign * (milp.cost - milp.matrix.T @ prices)
    two = best_of_group(worth, group, milp.upper > milp.lower, 2)
    leading = np.r_[True, group[two[1:]] != group[two[:-1]]]
    first, second = two[leading], two[~leading]
    num_groups = int(group.max()) + 1
    best = np.full(num_groups, np.nan)
    best[group[first]] = worth[first]
    lead = np.full(num_groups, np.inf)
    lead[group[second]] = best[group[second]] - worth[second]
    # Leaving an optional candidate out is worth nothing.
    may_be_empty = optional(milp, group)
    lead = np.where(may_be_empty, np.minimum(lead, np.abs(best)), lead)
    held = np.clip(np.zeros(milp.num_columns), milp.lower, milp.upper)
    held[first] = np.where(may_be_empty[group[first]] & (worth[first] < 0), 0.0, 1.0)
    undecided = np.zeros(num_groups, dtype=np.bool_)
    undecided[np.argsort(lead, kind="stable")[:number]] = True
    use = milp.matrix @ held
    for row in np.flatnonzero((use > milp.row_upper + _UNBROKEN) | (use < milp.row_lower - _UNBROKEN)):
        start, end = milp.matrix.indptr[row], milp.matrix.indptr[row + 1]
        columns, amounts = milp.matrix.indices[start:end], milp.matrix.data[start:end]
        owners = group[columns]
        inside = owners >= 0
        if use[row] > milp.row_upper[row]:
            # Who uses the row now can use less of it.
            change = amounts * held[columns]
            missing = use[row] - milp.row_upper[row]
        else:
            # Who could use the row more.
            change = amounts * (1.0 - held[columns])
            missing = milp.row_lower[row] - use[row]
        inside &= change > 0
        names, place = np.unique(owners[inside], return_inverse=True)
        most = np.zeros(len(names))
        np.maximum.at(most, place, change[inside])
        order = np.argsort(lead[names], kind="stable")
        enough = int(np.searchsorted(np.cumsum(most[order]), _ROOM_IN_BROKEN_ROWS * missing)) + 1
        undecided[names[order[:enough]]] = True
    return held, undecided

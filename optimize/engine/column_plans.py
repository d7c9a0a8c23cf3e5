"""Plans of a programme with many columns per candidate, from its relaxation, by branch and cut on a part.

A programme over the columns closest to the relaxation gives a first plan.  With many candidates and few
rows the relaxation decides nearly all of them, and the undecided ones are a programme of their own.
What cannot move in any better plan is fixed by its reduced cost, and the rest solved as a whole.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimize.engine.candidates import best_of_group, plainest
from optimize.engine.core import Relaxation
from optimize.engine.highs import solve_milp
from optimize.engine.stopping import Watch
from optimize.milp import Milp
from optimize.result import StopReason

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_CORE_NODES = 500
# Shares of the time left: until a first plan is found, and of every round for a better one.
_SHARE_OF_FIRST_PLAN = 0.3
_SHARE_OF_BETTER_PLAN = 0.1
_CORE_GROWTH = 2
# Among many candidates a core holds so many columns of those the relaxation is undecided about.
_NEAR_COLUMNS = 12
_UNDECIDED = 200
# A plan is worth more time while it gains this share of the wanted gap.
_SHARE_OF_GAP = 0.25
_UNBROKEN = 1e-6


def better(milp: Milp, x: FloatArray | None, y: FloatArray | None) -> FloatArray | None:
    """The better of two plans, the first where they are worth the same."""
    if x is None or y is None:
        return y if x is None else x
    return y if milp.value(y) != milp.value(x) and (milp.value(y) > milp.value(x)) == milp.maximise else x


def search_near(
    milp: Milp,
    group: IntArray,
    watch: Watch,
    relaxed: Relaxation,
    best: FloatArray | None,
    count: int,
    nodes: int,
) -> FloatArray | None:
    """A plan of the ``count`` nearest columns of each candidate, its plainest and those of ``best``.

    At least as good as ``best``; None: no plan is known.
    """
    movable = milp.integral & (milp.upper > milp.lower)
    free = ~milp.integral | (group < 0) | plainest(milp, group) | (relaxed.x > _UNBROKEN)
    free[best_of_group(-relaxed.distance, group, movable, count)] = True
    if best is not None:
        free |= best > 0.5
    held = np.clip(np.zeros(milp.num_columns), milp.lower, milp.upper)
    part = watch.child(plans=True, gap=0.2 * watch.gap)
    start = None if best is None else best[free]
    outcome = solve_milp(milp.restricted(free, held), part, start, max_nodes=nodes)
    if outcome.x is None:
        return best
    found = held.copy()
    found[free] = outcome.x
    return better(milp, best, found)


def left_after_fixing(milp: Milp, relaxed: Relaxation, best: FloatArray | None) -> BoolArray:
    """Whole columns that a better plan than ``best`` could hold another value of; shape (n,)."""
    left = milp.integral & (milp.upper > milp.lower)
    if best is not None:
        left &= relaxed.loss <= abs(relaxed.bound - milp.value(best)) * (1 + 1e-9) + 1e-9
    return left


def close(milp: Milp, watch: Watch, relaxed: Relaxation, best: FloatArray | None) -> FloatArray | None:
    """Solve what fixing leaves by branch and cut; the bound found, one of ``milp``, is offered to ``watch``."""
    free = ~milp.integral | left_after_fixing(milp, relaxed, best)
    held = np.where(free, 0.0, np.round(relaxed.x))
    fits = best is not None and bool((np.abs(best - held)[~free] < 0.5).all())
    part = watch.child(plans=True)
    outcome = solve_milp(milp.restricted(free, held), part, best[free] if best is not None and fits else None)
    if best is None:
        if outcome.bound is not None:
            watch.offer_bound(outcome.bound)
    elif outcome.stop is StopReason.INFEASIBLE:
        watch.offer_bound(milp.value(best))  # nothing better than the plan in hand is left
    elif outcome.bound is not None:
        bounds = (outcome.bound, milp.value(best))
        watch.offer_bound(max(bounds) if milp.maximise else min(bounds))
    if outcome.x is None:
        return best
    found = held.copy()
    found[free] = outcome.x
    return better(milp, best, found)


def search_undecided(
    milp: Milp, group: IntArray, watch: Watch, relaxed: Relaxation, best: FloatArray | None
) -> FloatArray | None:
    """A plan that differs from the relaxation only where it is undecided; None: not found in time.

    With many candidates and few rows a vertex of the relaxation has hardly more fractional
    candidates than rows that bind; a few more, nearly undecided, make room for whole ones.  More
    and more are free, while that pays.
    """
    movable = milp.integral & (milp.upper > milp.lower)
    near = np.zeros(milp.num_columns, dtype=np.bool_)
    near[best_of_group(-relaxed.distance, group, movable, _NEAR_COLUMNS)] = True
    near |= relaxed.x > _UNBROKEN
    fractional = np.minimum(relaxed.x - milp.lower, milp.upper - relaxed.x) > _UNBROKEN
    num_groups = int(group.max(initial=-1)) + 1
    # How much the second best column of each candidate costs.
    two = best_of_group(-relaxed.distance, group, movable, 2)
    doubt = np.full(num_groups, -np.inf)
    np.maximum.at(doubt, group[two], relaxed.distance[two])
    doubt[group[fractional & (group >= 0)]] = -1.0
    order = np.argsort(doubt, kind="stable")
    order = order[doubt[order] > -np.inf]
    number = int((doubt[order] < 0).sum()) + _UNDECIDED
    # A plan within the gap of the bound ends everything.
    side = -1.0 if milp.maximise else 1.0
    target = relaxed.bound + side * 0.98 * watch.gap * abs(relaxed.bound) if watch.gap > 0 else None
    least = _SHARE_OF_GAP * watch.gap * abs(relaxed.bound)
    whole = np.where(milp.integral, np.round(relaxed.x), relaxed.x)
    while not watch.must_stop and not watch.gap_reached:
        chosen = np.zeros(num_groups, dtype=np.bool_)
        chosen[order[:number]] = True
        free = ~milp.integral | (near & (group >= 0) & chosen[group])
        held = np.where(free, 0.0, whole)
        agrees = best is not None and bool((np.abs(best - held)[~free] < 0.5).all())
        share = _SHARE_OF_FIRST_PLAN if best is None else _SHARE_OF_BETTER_PLAN
        part = watch.child(seconds=share * watch.remaining(), plans=True, gap=0.2 * watch.gap)
        start = best[free] if best is not None and agrees else None
        outcome = solve_milp(milp.restricted(free, held), part, start, target, max_nodes=_CORE_NODES)
        before = None if best is None else milp.value(best)
        if outcome.x is not None:
            found = held.copy()
            found[free] = outcome.x
            if before is None or (milp.value(found) > before) == milp.maximise:
                best = found
        worth_going_on = best is None or before is None or abs(milp.value(best) - before) > least
        if number >= len(order) or not worth_going_on:
            break
        number *= _CORE_GROWTH
    return best

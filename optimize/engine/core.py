"""Large programmes that are nearly solved by a relaxation: relaxation, core, reduced-cost fixing.

Where many candidates each take one of a few options under few linking rows, a relaxation leaves
few candidates undecided.  So, from a relaxation that gives a proven bound, a point, and for each
column how far it is from moving:

1. solve a *core*: columns close to moving are free, the others keep their relaxed value (a
   restriction: good plans, no bound); enlarge it while it holds no plan or pays;
2. with a plan z and the bound B, an integer column whose move costs more than |B - z| moves in no
   better plan: fix it, and solve what is left.  Its bound holds for the whole.

Source: Balas and Zemel (1980), the core concept for knapsacks; reduced-cost fixing is standard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimize.engine.certificate import dual_bound, linear_certificate
from optimize.engine.highs import LpOutcome, MilpOutcome, solve_lp, solve_milp
from optimize.engine.stopping import Watch
from optimize.milp import Milp
from optimize.result import StopReason, relative_gap

FloatArray = NDArray[np.float64]

# Above this many columns the simplex method is slower than an interior point without crossover.
_INTERIOR_POINT_FROM = 300_000
_FIRST_CORE = 2_000
# A linear relaxation larger than this takes longer than enlarging the core until it holds a plan.
_CHECK_EARLY_BELOW = 200_000
_CORE_GROWTH = 3
_NEIGHBOURHOOD_COLUMNS = 1_500
_NEIGHBOURHOOD_NODES = 300
_CORE_NODES = 20
# What is left after fixing is solved as a whole below this many free integer columns.
_CLOSE_BELOW = 40_000
# ... and before anything else is tried below this many.
_CLOSE_AT_ONCE = 5_000


@dataclass(frozen=True)
class Relaxation:
    """What a relaxation says about a programme of n columns.

    Attributes
    ----------
    x : shape (n,), the relaxed point.
    bound : proven bound on the objective.
    distance : shape (n,), how far each integer column is from moving (0: always in the core).
    loss : shape (n,), proven loss when the column leaves ``x``; 0 where nothing is known.
    cluster : shape (n,), columns of one cluster belong together (-1: to none); None: not known.
    improve : a local search that returns a plan at least as good as the one given; None: there is none.
    """

    x: FloatArray
    bound: float
    distance: FloatArray
    loss: FloatArray
    cluster: NDArray[np.int64] | None = None
    improve: Callable[[FloatArray], FloatArray] | None = None


def solve_by_core(milp: Milp, watch: Watch, start: FloatArray | None = None) -> MilpOutcome:
    """Solve ``milp`` from its linear relaxation; same contract as `highs.solve_milp`."""
    relaxed = _relax_linearly(milp, watch)
    if isinstance(relaxed, MilpOutcome):
        return relaxed
    return solve_relaxed(milp, watch, relaxed, start)


def solve_relaxed(
    milp: Milp, watch: Watch, relaxed: Relaxation, start: FloatArray | None = None
) -> MilpOutcome:
    """Solve ``milp`` from any relaxation of it."""
    watch.offer_bound(relaxed.bound)
    best: FloatArray | None = None
    if start is not None and milp.violation(start) <= 1e-6:
        best = start
        watch.offer_plan(milp.value(start))
    idle = milp.integral & (relaxed.x - milp.lower < 1e-4) & (milp.upper > milp.lower)
    ranked = np.sort(relaxed.distance[idle])
    size, feasible = _FIRST_CORE, False
    while not watch.must_stop and not watch.gap_reached:
        fixed = _fixed_by_loss(milp, relaxed, best)
        num_left = int((milp.integral & ~fixed & (milp.upper > milp.lower)).sum())
        small = _CLOSE_AT_ONCE if size == _FIRST_CORE else _CLOSE_BELOW
        if best is not None and num_left <= max(small, size):
            best = _close(milp, watch, relaxed, fixed, best)
            break
        whole = size >= len(ranked)
        reach = np.inf if whole else ranked[size]
        free = ~milp.integral | ((relaxed.distance <= reach) & ~fixed)
        best = _search_core(milp, watch, relaxed, free, best, whole=whole and not fixed.any())
        if best is None and not feasible and (whole or milp.num_columns <= _CHECK_EARLY_BELOW):
            # A Lagrangian bound does not notice that rows cannot all hold; the relaxation does.
            check = solve_lp(milp, watch.child(seconds=0.3 * watch.remaining()))
            if check.stop is StopReason.INFEASIBLE:
                return MilpOutcome(StopReason.INFEASIBLE, None, None, None)
            feasible = True
        if best is not None and not watch.must_stop and not watch.gap_reached:
            best = _improved(milp, watch, relaxed, best)
            best = _search_neighbourhoods(milp, watch, relaxed, best)
        if whole:
            break
        size *= _CORE_GROWTH
    if best is None and not watch.must_stop:
        return solve_milp(milp, watch)
    return outcome_of(milp, watch, best)


def _relax_linearly(milp: Milp, watch: Watch) -> Relaxation | MilpOutcome:
    outcome: LpOutcome | None = None
    if milp.num_columns > _INTERIOR_POINT_FROM:
        outcome = solve_lp(milp, watch, "interior_point_only")
    if outcome is None or outcome.x is None:
        outcome = solve_lp(milp, watch)
    if outcome.stop is StopReason.INFEASIBLE:
        return MilpOutcome(StopReason.INFEASIBLE, None, None, None)
    if outcome.x is None or outcome.row_duals is None or outcome.objective is None:
        # No multipliers in time: a plain solve may still find something in what is left.
        return solve_milp(milp, watch)
    bound, reduced = dual_bound(milp, outcome.row_duals)
    if not np.isfinite(bound):
        exact = solve_lp(milp, watch)
        if exact.x is None or exact.objective is None or exact.row_duals is None:
            return solve_milp(milp, watch)
        outcome, bound = exact, exact.objective
        _, reduced = dual_bound(milp, exact.row_duals)
    assert outcome.x is not None and outcome.row_duals is not None
    watch.offer_certificate(linear_certificate(milp, outcome.row_duals))
    gain = reduced if milp.maximise else -reduced
    low = outcome.x - milp.lower < 0.5
    high = milp.upper - outcome.x < 0.5
    loss = np.where(low & (gain < 0), -gain, np.where(high & (gain > 0), gain, 0.0))
    return Relaxation(outcome.x, bound, np.abs(reduced), loss)


def _fixed_by_loss(milp: Milp, relaxed: Relaxation, best: FloatArray | None) -> NDArray[np.bool_]:
    if best is None:
        return np.zeros(milp.num_columns, dtype=np.bool_)
    room = abs(relaxed.bound - milp.value(best)) * (1 + 1e-9) + 1e-9
    return milp.integral & (relaxed.loss > room)


def _search_core(
    milp: Milp,
    watch: Watch,
    relaxed: Relaxation,
    free: NDArray[np.bool_],
    best: FloatArray | None,
    *,
    whole: bool,
) -> FloatArray | None:
    held = relaxed.x if best is None else best
    held = np.where(milp.integral, np.clip(np.round(held), milp.lower, milp.upper), held)
    core = milp.restricted(free, held)
    part = watch.child(seconds=0.3 * watch.remaining(), plans=True, bounds=whole)
    part.gap = 0.2 * watch.gap
    # A plan within the gap of the proven bound ends everything.
    sign = -1.0 if milp.maximise else 1.0
    target = relaxed.bound + sign * 0.98 * watch.gap * abs(relaxed.bound) if watch.gap > 0 else None
    begin = best[free] if best is not None else None
    outcome = solve_milp(core, part, begin, target, max_nodes=None if whole else _CORE_NODES)
    if outcome.x is None:
        return best
    found = held.copy()
    found[free] = outcome.x
    if best is None or _better(milp, milp.value(found), milp.value(best)):
        return found
    return best


def _improved(milp: Milp, watch: Watch, relaxed: Relaxation, best: FloatArray) -> FloatArray:
    if relaxed.improve is None:
        return best
    found = relaxed.improve(best)
    watch.offer_plan(milp.value(found))
    return found


def _search_neighbourhoods(milp: Milp, watch: Watch, relaxed: Relaxation, best: FloatArray) -> FloatArray:
    """Re-optimise a few clusters at a time, all others held at the plan in hand.

    Ends after as many fruitless rounds as there are clusters, so that runs repeat exactly where no
    limit cuts in.
    """
    if relaxed.cluster is None:
        return best
    names = np.unique(relaxed.cluster[relaxed.cluster >= 0])
    if len(names) < 4:
        return best
    rng = np.random.default_rng(watch.options.seed)
    # What can be closed as a whole later must be left the time for it.
    closable = int((milp.integral & (milp.upper > milp.lower)).sum()) <= _CLOSE_BELOW
    until = (0.75 if closable else 0.3) * watch.remaining()
    width, fruitless = 2, 0
    while fruitless < len(names) and not watch.must_stop and not watch.gap_reached:
        if watch.remaining() < until:
            break
        chosen = np.isin(relaxed.cluster, rng.choice(names, width, replace=False))
        ranked = np.sort(relaxed.distance[chosen])
        reach = ranked[min(_NEIGHBOURHOOD_COLUMNS, len(ranked)) - 1]
        free = ~milp.integral | (chosen & (relaxed.distance <= reach)) | (chosen & (best > 0.5))
        part = watch.child(seconds=0.1 * watch.remaining(), gap=0.1 * watch.gap, plans=True)
        outcome = solve_milp(milp.restricted(free, best), part, best[free], max_nodes=_NEIGHBOURHOOD_NODES)
        value = milp.value(best)
        fruitless += 1
        if outcome.x is not None:
            found = best.copy()
            found[free] = outcome.x
            if abs(milp.value(found) - value) > 1e-9 * abs(value) and _better(milp, milp.value(found), value):
                best, fruitless = _improved(milp, watch, relaxed, found), 0
        width = 2 if fruitless < len(names) // 2 else 3
    return best


def _close(
    milp: Milp,
    watch: Watch,
    relaxed: Relaxation,
    fixed: NDArray[np.bool_],
    best: FloatArray,
) -> FloatArray:
    """Solve what is left after fixing; offers the proven bound to ``watch``."""
    value = milp.value(best)
    # A fixed column keeps its relaxed value in every better plan; where the plan in hand differs
    # there, it is no start for the rest.
    free = ~fixed
    held = np.where(fixed, np.round(relaxed.x), best)
    rest = milp.restricted(free, held)
    agrees = bool((np.abs(best[fixed] - held[fixed]) < 0.5).all())
    outcome = solve_milp(rest, watch.child(plans=True), best[free] if agrees else None)
    if outcome.stop is StopReason.INFEASIBLE:
        watch.offer_bound(value)  # nothing better than the plan in hand is left
        return best
    if outcome.x is not None:
        found = held.copy()
        found[free] = outcome.x
        if _better(milp, milp.value(found), value):
            best, value = found, milp.value(found)
    if outcome.bound is not None:
        watch.offer_bound(max(outcome.bound, value) if milp.maximise else min(outcome.bound, value))
    return best


def _better(milp: Milp, value: float, than: float) -> bool:
    return value > than if milp.maximise else value < than


def outcome_of(milp: Milp, watch: Watch, x: FloatArray | None) -> MilpOutcome:
    """The end of a search with the plan ``x`` (None: none found) and the bound that ``watch`` has."""
    objective = None if x is None else milp.value(x)
    bound = watch.bound
    if objective is not None:
        watch.offer_plan(objective)
        if bound is not None:
            bound = max(bound, objective) if milp.maximise else min(bound, objective)
    gap = relative_gap(objective, bound)
    if gap is not None and gap <= 1e-9:
        stop = StopReason.OPTIMAL
    elif gap is not None and gap <= watch.gap:
        stop = StopReason.GAP_REACHED
    elif watch.interrupted:
        stop = StopReason.INTERRUPTED
    else:
        stop = StopReason.TIME_LIMIT if watch.expired else StopReason.SEARCH_ENDED
    return MilpOutcome(stop, x, objective, bound)

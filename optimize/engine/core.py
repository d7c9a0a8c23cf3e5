"""Large programmes that are nearly solved by their relaxation: relaxation, core, reduced-cost fixing.

Where many candidates each take one of a few options under few linking rows, the relaxation leaves
at most as many candidates fractional as there are rows.  So:

1. solve the relaxation; its multipliers give a proven bound and a reduced cost per column;
2. solve a *core*: columns of small reduced cost stay free, the others keep their relaxed value
   (a restriction: good plans, no bound); enlarge it when it holds no plan;
3. with a plan z and the bound B, an integer column at its bound whose reduced cost exceeds |B - z|
   cannot move in any better plan: fix it, and solve what is left.  Its bound holds for the whole.

Source: Balas and Zemel (1980), the core concept for knapsacks; reduced-cost fixing is standard.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimize.engine.certificate import dual_bound
from optimize.engine.highs import LpOutcome, MilpOutcome, solve_lp, solve_milp
from optimize.engine.milp import Milp
from optimize.engine.stopping import Watch
from optimize.result import StopReason, relative_gap

FloatArray = NDArray[np.float64]

# Above this many columns the simplex method is slower than an interior point without crossover.
_INTERIOR_POINT_FROM = 30_000
_FIRST_CORE = 3_000
_CORE_GROWTH = 4


def solve_by_core(milp: Milp, watch: Watch, start: FloatArray | None = None) -> MilpOutcome:
    """Solve ``milp`` as above; same contract as `highs.solve_milp`."""
    relaxed = _relax(milp, watch)
    if isinstance(relaxed, MilpOutcome):
        return relaxed
    x = _best_start(milp, watch, start)
    x = _search_core(milp, watch, relaxed, x)
    if x is None and not watch.must_stop:
        return solve_milp(milp, watch)
    if x is None or watch.gap_reached or watch.must_stop:
        return _outcome(milp, watch, x)
    return _close(milp, watch, relaxed, x)


@dataclass(frozen=True)
class _Relaxation:
    x: FloatArray
    bound: float
    reduced_costs: FloatArray


def _relax(milp: Milp, watch: Watch) -> _Relaxation | MilpOutcome:
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
    watch.offer_bound(bound)
    assert outcome.x is not None
    return _Relaxation(outcome.x, bound, reduced)


def _best_start(milp: Milp, watch: Watch, start: FloatArray | None) -> FloatArray | None:
    if start is None or milp.violation(start) > 1e-6:
        return None
    watch.offer_plan(milp.value(start))
    return start


def _search_core(
    milp: Milp, watch: Watch, relaxed: _Relaxation, best: FloatArray | None
) -> FloatArray | None:
    idle = milp.integral & (relaxed.x - milp.lower < 1e-4)
    distance = np.abs(relaxed.reduced_costs)
    ranked = np.sort(distance[idle])
    size = _FIRST_CORE
    while not watch.must_stop:
        whole = size >= len(ranked)
        free = ~milp.integral | (distance <= (np.inf if whole else ranked[size]))
        kept = np.clip(np.round(relaxed.x), milp.lower, milp.upper)
        core = milp.with_bounds(np.where(free, milp.lower, kept), np.where(free, milp.upper, kept))
        part = watch.child(seconds=0.4 * watch.remaining(), plans=True, bounds=whole)
        part.gap = 0.3 * watch.gap
        outcome = solve_milp(core, part)
        if outcome.x is not None and (best is None or _better(milp, milp.value(outcome.x), milp.value(best))):
            best = outcome.x
        if outcome.x is not None or whole:
            return best
        size *= _CORE_GROWTH
    return best


def _close(milp: Milp, watch: Watch, relaxed: _Relaxation, best: FloatArray) -> MilpOutcome:
    value = milp.value(best)
    room = abs(relaxed.bound - value) * (1 + 1e-9) + 1e-9
    at_lower = relaxed.x - milp.lower < 0.5
    reduced = relaxed.reduced_costs if milp.maximise else -relaxed.reduced_costs
    stays_low = milp.integral & at_lower & (reduced < -room)
    stays_high = milp.integral & (milp.upper - relaxed.x < 0.5) & (reduced > room)
    rest = milp.with_bounds(
        np.where(stays_high, milp.upper, milp.lower), np.where(stays_low, milp.lower, milp.upper)
    )
    part = watch.child(plans=True)
    outcome = solve_milp(rest, part, start=best)
    if outcome.x is not None and _better(milp, milp.value(outcome.x), value):
        best = outcome.x
    if outcome.stop is StopReason.INFEASIBLE:
        watch.offer_bound(value)  # nothing better than the plan in hand is left
    elif outcome.bound is not None:
        value = milp.value(best)
        bound = max(outcome.bound, value) if milp.maximise else min(outcome.bound, value)
        watch.offer_bound(bound)
    return _outcome(milp, watch, best)


def _better(milp: Milp, value: float, than: float) -> bool:
    return value > than if milp.maximise else value < than


def _outcome(milp: Milp, watch: Watch, x: FloatArray | None) -> MilpOutcome:
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
        stop = StopReason.TIME_LIMIT
    return MilpOutcome(stop, x, objective, bound)

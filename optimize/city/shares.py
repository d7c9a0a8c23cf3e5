"""Shares of the pool: what a plan needs of it, and how far a plan can move a linked demand."""

from __future__ import annotations

import numpy as np

from optimize.city.arrays import CityArrays
from optimize.city.instance import at_once
from optimize.city.plan import CityPlan
from optimize.engine.highs import solve_lp
from optimize.engine.stopping import Watch
from optimize.milp import FloatArray
from optimize.programme import SolveOptions

_KEPT = 1e-9
# Earlier money is that much dearer, so that a share is asked for in the year it is spent.
_EARLIER = 1e-3


def read_city_plan(arrays: CityArrays, x: FloatArray, goal: str, *, tidy: bool = True) -> CityPlan:
    """The plan of a point; ``tidy``: shares as small as what is chosen needs."""
    if tidy:
        x = _with_least_shares(arrays, x, goal)
    share = arrays.share_cny(x)
    if tidy:
        share = _spread_over_years(arrays, share)
    solutions = {part.name: part.read_plan(arrays.of_part(k, x)) for k, part in enumerate(arrays.parts)}
    return CityPlan(share, solutions)


def _with_least_shares(arrays: CityArrays, x: FloatArray, goal: str) -> FloatArray:
    """The same choices with the least money, the goal kept; ``x`` itself where that is not solved."""
    milp = arrays.milp
    free = ~milp.integral
    objective = arrays.objectives[goal]
    reached = float(objective.cost @ x)
    slack = _KEPT * max(1.0, abs(reached))
    sides = (reached - slack, np.inf) if objective.maximise else (-np.inf, reached + slack)
    cost = np.zeros(milp.num_columns)
    num_years = arrays.shares.shape[2]
    for t in range(num_years):
        columns = arrays.shares[:, :, t]
        cost[columns[columns >= 0]] = 1.0 + _EARLIER * (num_years - 1 - t)
    rest = milp.with_row(objective.cost, *sides, "kept").with_objective(cost, False)
    outcome = solve_lp(rest.restricted(free, x), Watch(SolveOptions(time_limit_s=60.0), maximise=False))
    if outcome.x is None:
        return x
    tidied = x.copy()
    tidied[free] = outcome.x
    return tidied


def _spread_over_years(arrays: CityArrays, share_cny: FloatArray) -> FloatArray:
    """What is built in one stage takes its money from all years alike, as far as others leave it."""
    city = arrays.city
    share = share_cny.copy()
    for k, part in enumerate(city.parts):
        if not at_once(part.data):
            continue
        left = np.maximum(city.pool_cny - (share.sum(axis=0) - share[k]), 0.0)
        total = left.sum(axis=1, keepdims=True)
        needed = share[k].sum(axis=1, keepdims=True)
        share[k] = np.where(total > 0, left * np.minimum(needed / np.where(total > 0, total, 1.0), 1.0), 0.0)
    return share

"""(W10) [W-PRICE] Price systems that cover their cost."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyomo.environ import Any as AnyIndex
from pyomo.environ import (
    Binary,
    Constraint,
    Var,
    quicksum,
)

from optimize.engine.pyomo_bridge import ElasticConstraint
from optimize.water.formulation.model import (
    Index,
    WaterModel,
)
from optimize.water.investments import Investments

SystemKey = tuple[str, int]
SystemTerms = dict[SystemKey, list[Any]]


def add_prices(w: WaterModel) -> None:
    """(W10) [W-PRICE].

    The clause counts systems (by quality) that lose money.  Where it asks for none, each must balance;
    otherwise ``system_unbalanced`` releases a row by as much as the system's cost can be.
    """
    m, c = w.m, w.c
    m.revenue_covers_cost = Constraint(AnyIndex)
    m.price_target = Constraint(AnyIndex)
    m.system_unbalanced = Var(AnyIndex, domain=Binary, dense=False)
    if "W-PRICE" not in w.targets:
        return
    target, s = w.targets["W-PRICE"], w.stage_of("W-PRICE")
    revenue, cost, most = _money_by_system(w, s)
    strict = target.hard and target.required < 1
    for system, g in sorted(cost.keys() | revenue.keys()):
        where = f"{system} {c.quality_ids[g]}"
        balance = quicksum(revenue.get((system, g), ())) - quicksum(cost.get((system, g), ()))
        if strict:
            m.revenue_covers_cost[system, g] = balance >= 0
            row = m.revenue_covers_cost[system, g]
            w.elastic.append(ElasticConstraint("W-PRICE", where, "CNY/a", row, 0.0))
        else:
            m.system_unbalanced[system, g] = 0
            m.revenue_covers_cost[system, g] = (
                balance + most.get((system, g), 0.0) * m.system_unbalanced[system, g] >= 0
            )
    if not strict:
        count = quicksum(m.system_unbalanced.values())
        w.demand("W-PRICE", "", m.price_target, count, target.required, "all")


def _money_by_system(w: WaterModel, s: int) -> tuple[SystemTerms, SystemTerms, dict[SystemKey, float]]:
    """Yearly revenue and cost terms by (price system, quality), and the most the cost can be."""
    m, c, tables = w.m, w.c, w.instance
    plant_system, user_system, corridor_system, site_system = (
        frame["system"].tolist()
        for frame in (tables.plants, tables.users, tables.corridors, tables.storage_sites)
    )
    capital = tables.parameters.price_capital_share
    revenue: SystemTerms = {}
    cost: SystemTerms = {}
    most: dict[SystemKey, float] = {}

    def spend(key: SystemKey, amount: float, term: Any, largest: float = 1.0) -> None:
        if amount > 0:
            cost.setdefault(key, []).append(amount * term)
            most[key] = most.get(key, 0.0) + amount * largest

    def run(key: SystemKey, rate: float, variable: Any, index: Index, largest: float) -> None:
        spend(key, float(rate) * float(c.days[index[-1]]), variable[index], largest)

    def own(key: SystemKey, investments: Investments, i: int, term: Any, share: float = 1.0) -> None:
        yearly = capital * investments.annual_capital_cny[i] + investments.yearly_cost_cny[i]
        spend(key, share * float(yearly), term)

    largest = w.largest_flow
    widest = float(c.pipe_capacity_m3_per_d.max(initial=0.0))
    for e, a, g, _, t in (index for index in m.flow if index[3] == s):
        top = min(float(largest[e, g, s, t]), float(c.existing_pipe_m3_per_d[e, g]) + widest)
        run((corridor_system[e], g), c.carriage.cost_cny[a, e], m.flow, (e, a, g, s, t), top)
    for p, g, _, t in (index for index in m.product if index[2] == s):
        top = float(c.available_m3_per_d[p, t] * c.recovery[p, g])
        run((plant_system[p], g), c.production.cost_cny[p, g], m.product, (p, g, s, t), top)
    for variable, extra in ((m.delivered, None), (m.hauled, c.haulage.cost_cny)):
        for q, g, _, t in (index for index in variable if index[2] == s):
            key, index = (user_system[c.demand_user[q]], g), (q, g, s, t)
            earned = float(c.max_price_cny_per_m3[q]) * float(c.days[t])
            revenue.setdefault(key, []).append(earned * variable[index])
            if extra is not None:
                run(key, extra[q], variable, index, float(c.demand_m3_per_d[s, q, t]))
    for i, _, t in (index for index in m.reused if index[1] == s):
        key = (user_system[c.cascade_user[i]], int(c.cascade_quality[i]))
        run(key, c.reuse.cost_cny[i], m.reused, (i, s, t), float(c.cascade_limit_m3_per_d[s, i, t]))
    for k in range(len(c.modules)):
        key = (plant_system[c.module_plant[k]], int(c.module_quality[k]))
        own(key, c.modules, k, m.module_built[k, s])
    for e, g, d, _ in (index for index in m.pipe_built if index[-1] == s):
        own((corridor_system[e], g), c.pipes, c.pipe_row(e, g, d), m.pipe_built[e, g, d, s])
    for h in range(len(c.storage)):
        own((site_system[h], int(c.storage_quality[h])), c.storage, h, m.storage_built[h, s])
    for i in range(len(c.cascades)):
        key = (user_system[c.cascade_user[i]], int(c.cascade_quality[i]))
        own(key, c.cascades, i, m.cascade_built[i, s])
    # A connection serves all of a user's demands: it is split over them by their base size.
    base = tables.user_demands["base_m3_per_d"].to_numpy(float)
    total = np.bincount(c.demand_user, weights=base, minlength=len(c.user_ids))
    for q, u in enumerate(c.demand_user.tolist()):
        key, share = (user_system[u], int(c.demand_need[q])), base[q] / total[u] if total[u] > 0 else 0.0
        own(key, c.connections, u, m.user_connected[u, s], share)
        if (u, s) in m.tanker_served:
            own(key, c.tankers, u, m.tanker_served[u, s], share)
    return revenue, cost, most

"""(W1)-(W6) Treatment, pipes, conservation, storage, users."""

from __future__ import annotations

from itertools import product as every
from typing import Any

import numpy as np
from pyomo.environ import Any as AnyIndex
from pyomo.environ import (
    Binary,
    Constraint,
    Var,
    quicksum,
)

from optimize.water.formulation.model import (
    Index,
    WaterModel,
    carried_qualities,
    modules_of,
    useful_m3_per_d,
)

Term = tuple[float, Any, Index]


def add_treatment(w: WaterModel) -> None:
    """(W1), (W4)."""
    m, c = w.m, w.c
    made = [np.flatnonzero(c.can_treat[p]).tolist() for p in range(len(c.plant_ids))]
    m.effluent_not_overdrawn = Constraint(AnyIndex)
    m.effluent_stays_compliant = Constraint(AnyIndex)
    m.product_only_if_built = Constraint(AnyIndex)
    m.one_module_size = Constraint(AnyIndex)
    useful = useful_m3_per_d(w.c)
    for p, qualities in enumerate(made):
        limit = float(c.tn_limit_mg_per_l[p])
        for s, t in every(w.stages, w.periods):
            if not qualities:
                continue
            drawn = quicksum(m.product[p, g, s, t] / float(c.recovery[p, g]) for g in qualities)
            m.effluent_not_overdrawn[p, s, t] = drawn <= float(c.available_m3_per_d[p, t])
            if not np.isnan(limit):
                effluent = float(c.effluent_m3_per_d[p, t])
                kept_g = quicksum(
                    1000.0 * float(c.production.tn_kg[p, g]) * m.product[p, g, s, t] for g in qualities
                )
                left = effluent - quicksum(m.product[p, g, s, t] for g in qualities)
                m.effluent_stays_compliant[p, s, t] = (
                    effluent * float(c.tn_mg_per_l[p]) - kept_g <= limit * left
                )
        for g in qualities:
            steps = modules_of(c, p, g)
            if len(steps) > 1:
                m.one_module_size[p, g] = quicksum(m.module_built[k, w.stages[-1]] for k in steps) <= 1
            for s, t in every(w.stages, w.periods):
                most = min(float(c.available_m3_per_d[p, t] * c.recovery[p, g]), useful[g, s, t])
                m.product_only_if_built[p, g, s, t] = m.product[p, g, s, t] <= float(
                    c.existing_treatment_m3_per_d[p, g]
                ) + quicksum(
                    min(float(c.module_capacity_m3_per_d[k]), most) * m.module_built[k, s] for k in steps
                )


def add_pipes(w: WaterModel) -> None:
    """(W2), (W4)."""
    m, c = w.m, w.c
    m.one_diameter = Constraint(AnyIndex)
    m.flow_only_if_built = Constraint(AnyIndex)
    m.flow_only_from_built_treatment = Constraint(AnyIndex)
    largest = w.largest_flow
    carried, diameters = carried_qualities(c), range(len(c.diameter_ids))
    source_only = (
        set(range(len(c.plant_ids)))
        - set(c.corridor_to.tolist())
        - set(c.corridor_from[~c.directed].tolist())
    )
    source_only -= set(c.storage_node.tolist())
    for e, g in every(range(len(c.corridor_ids)), carried):
        if len(diameters) > 1:
            m.one_diameter[e, g] = quicksum(m.pipe_built[e, g, d, w.stages[-1]] for d in diameters) <= 1
        existing = float(c.existing_pipe_m3_per_d[e, g])
        plant = int(c.corridor_from[e])
        sized_by_treatment = (
            plant in source_only and c.can_treat[plant, g] and c.existing_treatment_m3_per_d[plant, g] == 0
        )
        for s, t in every(w.stages, w.periods):
            most = float(largest[e, g, s, t])
            carried_both_ways = quicksum(m.flow[e, a, g, s, t] for a in ((0,) if c.directed[e] else (0, 1)))
            m.flow_only_if_built[e, g, s, t] = carried_both_ways <= min(existing, most) + quicksum(
                min(float(c.pipe_capacity_m3_per_d[d]), most) * m.pipe_built[e, g, d, s] for d in diameters
            )
            if sized_by_treatment and np.isfinite(most):
                m.flow_only_from_built_treatment[e, g, s, t] = m.flow[e, 0, g, s, t] <= most * quicksum(
                    m.module_built[k, s] for k in modules_of(c, plant, g)
                )


def add_conservation(w: WaterModel) -> None:
    """(W3): sources + inflow = deliveries + outflow at every node."""
    m, c = w.m, w.c
    terms: dict[tuple[int, int], list[Term]] = {}

    def at(node: int, g: int, sign: float, variable: Any, index: Index) -> None:
        terms.setdefault((int(node), int(g)), []).append((sign, variable, index))

    for e, a, g in {index[:3] for index in m.flow}:
        start, end = (
            (c.corridor_from[e], c.corridor_to[e]) if a == 0 else (c.corridor_to[e], c.corridor_from[e])
        )
        at(start, g, -1.0, m.flow, (e, a, g))
        at(end, g, 1.0, m.flow, (e, a, g))
    for p, g in {index[:2] for index in m.product}:
        at(c.plant_node[p], g, 1.0, m.product, (p, g))
    for q, g in {index[:2] for index in m.delivered}:
        at(c.user_node[c.demand_user[q]], g, -1.0, m.delivered, (q, g))
    for q, g in {index[:2] for index in m.hauled}:
        at(c.plant_node[c.tanker_plant[c.demand_user[q]]], g, -1.0, m.hauled, (q, g))
    for i, user in enumerate(c.cascade_user):
        at(c.user_node[user], c.cascade_quality[i], 1.0, m.reused, (i,))
    for h, node in enumerate(c.storage_node):
        at(node, c.storage_quality[h], -1.0, m.stored_in, (h,))
        at(node, c.storage_quality[h], 1.0, m.stored_out, (h,))
    m.water_conserved = Constraint(AnyIndex)
    for node, g in sorted(terms):
        for s, t in every(w.stages, w.periods):
            balance = quicksum(
                sign * v[(*index, s, t)] for sign, v, index in sorted(terms[node, g], key=_term_key)
            )
            m.water_conserved[node, g, s, t] = balance == 0


def _term_key(term: Term) -> tuple[str, Index]:
    return (term[1].name, term[2])


def add_storage(w: WaterModel) -> None:
    """(W5)."""
    m, c = w.m, w.c
    m.storage_balanced = Constraint(AnyIndex)
    m.stored_only_if_built = Constraint(AnyIndex)
    m.peak_release_from_volume = Constraint(AnyIndex)
    months = [t for t in w.periods if c.days[t] > 0]
    for h, s in every(range(len(c.storage)), w.stages):
        volume = float(c.storage_volume_m3[h])
        for t in months:
            before = months[t - 1] if t > 0 else months[-1]
            net = float(c.days[t]) * (m.stored_in[h, s, t] - m.stored_out[h, s, t])
            m.storage_balanced[h, s, t] = m.level[h, s, t] == m.level[h, s, before] + net
            m.stored_only_if_built[h, s, t] = m.level[h, s, t] <= volume * m.storage_built[h, s]
        for t in w.periods:
            if c.days[t] == 0:
                m.stored_in[h, s, t].fix(0.0)
                m.storage_balanced[h, s, t] = m.level[h, s, t] == m.stored_out[h, s, t]
                m.peak_release_from_volume[h, s, t] = m.stored_out[h, s, t] <= volume * m.storage_built[h, s]


def add_users(w: WaterModel) -> None:
    """(W6)."""
    m, c = w.m, w.c
    m.delivered_only_if_connected = Constraint(AnyIndex)
    m.minimum_taken = Constraint(AnyIndex)
    m.hauled_only_if_tankered = Constraint(AnyIndex)
    m.one_way_of_service = Constraint(AnyIndex)
    carried = carried_qualities(c)
    for q, u in enumerate(c.demand_user.tolist()):
        piped = [g for g in carried if c.accepts[q, g]]
        for s, t in every(w.stages, w.periods):
            demand = float(c.demand_m3_per_d[s, q, t])
            taken = quicksum(m.delivered[q, g, s, t] for g in piped)
            m.delivered_only_if_connected[q, s, t] = taken <= demand * m.user_connected[u, s]
            least = float(c.min_take_share[q]) * demand
            if least > 0:
                m.minimum_taken[q, s, t] = taken >= least * m.user_connected[u, s]
            if c.tanker_plant[u] >= 0 and piped:
                hauled = quicksum(m.hauled[q, g, s, t] for g in piped)
                m.hauled_only_if_tankered[q, s, t] = hauled <= demand * m.tanker_served[u, s]
    for u, s in every(range(len(c.user_ids)), w.stages):
        ways = [m.user_connected[u, s]]
        ways += [v[u, s] for v in (m.tanker_served, m.growth_refused) if (u, s) in v]
        if len(ways) > 1:
            m.one_way_of_service[u, s] = quicksum(ways) <= 1
    _add_single_feeds(w)


def _add_single_feeds(w: WaterModel) -> None:
    """(W6): a single-feed user takes its water through one corridor."""
    m, c = w.m, w.c
    largest = w.largest_flow
    widest = float(c.pipe_capacity_m3_per_d.max(initial=0.0))
    inward = {
        int(u): [
            (e, a)
            for a, end in ((0, c.corridor_to), (1, c.corridor_from))
            for e in np.flatnonzero(end == c.user_node[u]).tolist()
            if a == 0 or not c.directed[e]
        ]
        for u in np.flatnonzero(c.single_feed)
    }
    m.feed_used = Var([(u, e, a) for u, ways in inward.items() for e, a in ways], domain=Binary)
    m.one_feed = Constraint(AnyIndex)
    m.inflow_only_by_feed = Constraint(AnyIndex)
    for u, ways in inward.items():
        m.one_feed[u] = quicksum(m.feed_used[u, e, a] for e, a in ways) <= 1
        for (e, a), g, s, t in every(ways, carried_qualities(c), w.stages, w.periods):
            most = min(float(largest[e, g, s, t]), float(c.existing_pipe_m3_per_d[e, g]) + widest)
            m.inflow_only_by_feed[u, e, a, g, s, t] = m.flow[e, a, g, s, t] <= most * m.feed_used[u, e, a]

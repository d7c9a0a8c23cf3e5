"""The reclaimed-water model in Pyomo, as one reads it in a paper.

Sets: n nodes (plants p, junctions, users u), q demands, g qualities, e corridors (direction a: 0 along,
1 against), d diameters, k module sizes, h storage sites, c cascades, t periods, s stages.  A stage is a
build year; all variables of it describe the state once everything built up to that year stands, which
operates from the next year on (growth: the part reached by then).  Unless ``water.phased``, there is one
stage: everything is built in the base year out of the budgets of all years together.

Variables (m3/d unless said)
  pipe_built[e,g,d,s] module_built[k,s] user_connected[u,s] tanker_served[u,s] storage_built[h,s]
  cascade_built[c,s] zld_built[i,s]                                   stands by stage s, binary, never taken away
  growth_refused[u,s] plant_upgraded[p,s] feed_used[u,e,a] pilot_done[i] system_unbalanced[y,g]   binary
  mix_used[kind,i,m,s]                                                binary, only where several mixes are open
  flow[e,a,g,s,t] product[p,g,s,t] delivered[q,g,s,t] hauled[q,g,s,t] reused[c,s,t]   >= 0
  stored_in[h,s,t] stored_out[h,s,t] >= 0, level[h,s,t] m3;  carry[f,s] CNY;  shortfall[clause,where] its unit

Equations
  (W1) sum_g product/recovery <= effluent less ecological discharge; product <= standing + built modules, at most
       one new size per plant and quality; nitrogen left in the discharge within the plant's limit (the concentrate
       returns what the product does not keep out)
  (W2) at most one new diameter per corridor and quality; |flow| <= existing + built capacity.  Direction may
       differ between periods.  Within one, flows of one quality both ways cancel: carrying costs are not
       negative, so the net flow (which is what the plan holds) is never worse and needs no binary
  (W3) conservation at every node, quality, period.  Users accept qualities by table; water is not mixed in pipes
  (W4) capacities of pipes, modules, cascades.  Flow is also bounded by what accepting users can take
  (W5) storage: level over the cyclic year; on the peak day (last period, no days of its own, demand of the
       highest month times the user's peak factor) a site gives at most its volume.  The minimum take holds
       on that day too: it sizes the works
  (W6) min take <= sum_g delivered <= demand if connected; tanker instead of a pipe, from the plant named; a user
       is piped, tankered or refused growth, at most one; single feed
  (W7) [W-QUOTA] listed users connected or refused growth.  Refusing forgoes growth at a stated loss per m3
  (W8) [W-CASCADE] a giver's effluent: share of its own use, reduced by refused growth; a source at its node
  (W9) [W-PILOT] and [W-ZLD] counts; a pilot needs connected members and volume, by kind and district
  (W10) [W-PRICE] per price system and quality: revenue at the highest price a user would pay covers cost.  Plants,
       corridors and users belong to a system by table; trade between systems is not priced
  (W11) [W-CAP] fresh water = demand - refused growth - reclaimed, in total and by table
  (W12) budgets by source and build year with carry-over, one funding mix per investment, locks
  (W13) [W-UPGRADE], [W-TN], [W-VOLUME], [W-NEAR] (volume-weighted pipe length), exact number of plants

Goals: npv = sum_s stage weight * (alternative cost avoided + nitrogen and CO2 valued - running cost - refusal
loss) - present cost of investments - penalties; cost = running cost, refusal loss, present cost, penalties;
volume, tn, co2 of a year at the last stage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product as every
from typing import Any

import numpy as np
from pyomo.environ import Any as AnyIndex
from pyomo.environ import (
    Binary,
    ConcreteModel,
    Constraint,
    NonNegativeReals,
    Objective,
    Var,
    maximize,
    minimize,
    quicksum,
)

from optimize.clauses import ClauseTarget
from optimize.engine.highs import solve_lp
from optimize.engine.pyomo_bridge import ElasticConstraint, ModelOutcome, solve_model
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions
from optimize.result import Result, StopReason
from optimize.water.coefficients import BoolArray, Coefficients, FlowRates, derive_coefficients
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, Investments, clause_stage
from optimize.water.locks import ProjectRef, resolve_locks
from optimize.water.plan import PlanValues, plan_from_values
from optimize.water.solution import Solution

BUDGET_CLAUSE = "CITY-BUDGET"
Index = tuple[Any, ...]
Term = tuple[float, Any, Index]
Option = tuple[Any, Index]
SystemKey = tuple[str, int]
SystemTerms = dict[SystemKey, list[Any]]

STRENGTHENING = ("flow_only_from_built_treatment",)
"""Components that cut off no plan: they only tighten the relaxation."""

_VARIABLES = (
    "pipe_built", "module_built", "user_connected", "tanker_served", "storage_built", "cascade_built",
    "zld_built", "pilot_done", "growth_refused", "mix_used", "flow", "product", "delivered", "hauled",
    "reused", "stored_in", "stored_out", "level",
)  # fmt: skip


@dataclass
class WaterModel:
    """A model under construction: Pyomo model, arrays, and the rows that may give way."""

    instance: Instance
    c: Coefficients
    m: ConcreteModel
    elastic: list[ElasticConstraint] = field(default_factory=list)
    built_of_kind: dict[str, tuple[Investments, Any, Callable[..., int]]] = field(default_factory=dict)

    @cached_property
    def largest_flow(self) -> FloatArray:
        """Bound on the flow of a corridor, (E, G, S, T), for the big-M rows."""
        return _largest_flow(self.c)

    @property
    def stages(self) -> range:
        return range(len(self.c.stage_weight))

    @property
    def periods(self) -> range:
        return range(len(self.c.days))

    @property
    def targets(self) -> Mapping[str, ClauseTarget]:
        return self.instance.targets

    def stage_of(self, clause: str) -> int:
        return clause_stage(self.instance.parameters, self.targets[clause])

    def demand(self, clause: str, where: str, component: Any, body: Any, required: float, key: Any) -> None:
        """Add ``body`` >= or <= ``required`` as the clause's row: hard and elastic, or soft."""
        target = self.targets[clause]
        is_cap = target.clause.sense == "<="
        body = body + self.m.nothing
        give = 0.0
        if not target.hard:
            self.m.shortfall[clause, where] = 0.0
            give = self.m.shortfall[clause, where]
        component[key] = body - give <= required if is_cap else body + give >= required
        if target.hard:
            self.elastic.append(
                ElasticConstraint(clause, where, target.clause.unit, component[key], required, is_cap=is_cap)
            )


def build_model(instance: Instance, coefficients: Coefficients | None = None) -> WaterModel:
    """The model with all goals active."""
    c = coefficients or derive_coefficients(instance)
    w = WaterModel(instance, c, ConcreteModel())
    # Keeps a row a row where nothing can contribute to it: it is infeasible, not an error.
    w.m.nothing = Var(bounds=(0.0, 0.0))
    w.m.shortfall = Var(AnyIndex, domain=NonNegativeReals, dense=False)
    _declare_investments(w)
    _declare_flows(w)
    _add_treatment(w)
    _add_pipes(w)
    _add_conservation(w)
    _add_storage(w)
    _add_users(w)
    _add_cascades(w)
    _add_quota_and_caps(w)
    _add_pilots(w)
    _add_prices(w)
    _add_effect_targets(w)
    _add_plant_counts(w)
    _add_budgets(w)
    _add_locks(w)
    _add_goals(w)
    return w


# ---------------------------------------------------------------------------------- variables


def _declare_investments(w: WaterModel) -> None:
    m, c = w.m, w.c
    size = c.shape
    carried = _carried_qualities(c)
    m.pipe_built = Var(range(size["E"]), carried, range(size["D"]), w.stages, domain=Binary)
    m.module_built = Var(range(len(c.modules)), w.stages, domain=Binary)
    m.user_connected = Var(range(size["U"]), w.stages, domain=Binary)
    m.tanker_served = Var(np.flatnonzero(c.tanker_plant >= 0).tolist(), w.stages, domain=Binary)
    m.storage_built = Var(range(len(c.storage)), w.stages, domain=Binary)
    m.cascade_built = Var(range(len(c.cascades)), w.stages, domain=Binary)
    parks = np.flatnonzero(c.zld_candidate).tolist() if "W-ZLD" in w.targets or _names_a_park(w) else []
    m.zld_built = Var(parks, w.stages, domain=Binary)
    may_refuse = {"W-QUOTA", "W-CAP"} & set(w.targets)
    refusable = np.flatnonzero(c.quota_listed).tolist() if may_refuse else []
    m.growth_refused = Var(refusable, w.stages, domain=Binary)
    w.built_of_kind = {
        "module": (c.modules, m.module_built, lambda index: index),
        "pipe": (c.pipes, m.pipe_built, lambda index: _pipe_position(c, *index)),
        "connection": (c.connections, m.user_connected, lambda index: index),
        "tanker": (c.tankers, m.tanker_served, lambda index: index),
        "storage": (c.storage, m.storage_built, lambda index: index),
        "cascade": (c.cascades, m.cascade_built, lambda index: index),
        "zld": (c.zld, m.zld_built, lambda index: index),
    }
    m.what_stands_stays = Constraint(AnyIndex)
    for kind, (_, built, _) in w.built_of_kind.items():
        for index in built:
            if index[-1] > 0:
                before = (*index[:-1], index[-1] - 1)
                m.what_stands_stays[kind, *index] = built[index] >= built[before]


def _names_a_park(w: WaterModel) -> bool:
    return any(
        "parks" in (lock.project.table, lock.other and lock.other.table) for lock in resolve_locks(w.instance)
    )


def _pipe_position(c: Coefficients, e: int, g: int, d: int) -> int:
    return (e * len(c.quality_ids) + g) * len(c.diameter_ids) + d


def _carried_qualities(c: Coefficients) -> list[int]:
    """Qualities that have a source."""
    made: BoolArray = np.any(c.can_treat, axis=0)
    made[c.cascade_quality] = True
    return np.flatnonzero(made).tolist()


def _declare_flows(w: WaterModel) -> None:
    m, c, at = w.m, w.c, (w.stages, w.periods)
    carried = _carried_qualities(c)
    directions = [(e, a) for e, one_way in enumerate(c.directed) for a in ((0,) if one_way else (0, 1))]
    taken = [(q, g) for q, g in every(range(len(c.demand_ids)), carried) if c.accepts[q, g]]
    hauled = [(q, g) for q, g in taken if c.tanker_plant[c.demand_user[q]] >= 0]
    m.flow = Var([(e, a, g) for (e, a) in directions for g in carried], *at, domain=NonNegativeReals)
    m.product = Var(
        list(zip(*(i.tolist() for i in np.nonzero(c.can_treat)), strict=True)), *at, domain=NonNegativeReals
    )
    m.delivered = Var(taken, *at, domain=NonNegativeReals)
    m.hauled = Var(hauled, *at, domain=NonNegativeReals)
    m.reused = Var(range(len(c.cascades)), *at, domain=NonNegativeReals)
    m.stored_in = Var(range(len(c.storage)), *at, domain=NonNegativeReals)
    m.stored_out = Var(range(len(c.storage)), *at, domain=NonNegativeReals)
    m.level = Var(range(len(c.storage)), *at, domain=NonNegativeReals)


# ------------------------------------------------------------------------------ physical rows


def _add_treatment(w: WaterModel) -> None:
    """(W1), (W4)."""
    m, c = w.m, w.c
    made = [np.flatnonzero(c.can_treat[p]).tolist() for p in range(len(c.plant_ids))]
    m.effluent_not_overdrawn = Constraint(AnyIndex)
    m.effluent_stays_compliant = Constraint(AnyIndex)
    m.product_only_if_built = Constraint(AnyIndex)
    m.one_module_size = Constraint(AnyIndex)
    useful = _useful_m3_per_d(w.c)
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
            steps = _steps(c, p, g)
            if len(steps) > 1:
                m.one_module_size[p, g] = quicksum(m.module_built[k, w.stages[-1]] for k in steps) <= 1
            for s, t in every(w.stages, w.periods):
                most = min(float(c.available_m3_per_d[p, t] * c.recovery[p, g]), useful[g, s, t])
                m.product_only_if_built[p, g, s, t] = m.product[p, g, s, t] <= float(
                    c.existing_treatment_m3_per_d[p, g]
                ) + quicksum(
                    min(float(c.module_capacity_m3_per_d[k]), most) * m.module_built[k, s] for k in steps
                )


def _steps(c: Coefficients, p: int, g: int) -> list[int]:
    """Module sizes of a plant and quality."""
    return np.flatnonzero((c.module_plant == p) & (c.module_quality == g)).tolist()


def _useful_m3_per_d(c: Coefficients) -> FloatArray:
    """Most of each quality that can be of use in a period, (G, S, T); unbounded where it can be stored."""
    useful = np.einsum("qg,sqt->gst", c.accepts.astype(float), c.demand_m3_per_d)
    useful[c.storage_quality] = np.inf
    return useful


def _largest_flow(c: Coefficients) -> FloatArray:
    """What users behind a corridor, or all users, can take; unbounded where water can be stored."""
    num_nodes, num_users = len(c.node_ids), len(c.user_ids)
    useful = _useful_m3_per_d(c)
    largest = np.broadcast_to(useful, (len(c.corridor_ids), *useful.shape)).copy()
    degree = np.bincount(np.concatenate([c.corridor_from, c.corridor_to]), minlength=num_nodes)
    lets_out = np.zeros(num_nodes, dtype=bool)
    lets_out[c.corridor_from] = True
    lets_out[c.corridor_to[~c.directed]] = True
    gives = np.zeros(num_users, dtype=bool)
    gives[c.cascade_user] = True
    # Water that enters a dead end can only be used there.
    dead_end = ~gives & ((degree[c.user_node] == 1) | ~lets_out[c.user_node])
    dead_end &= ~np.isin(c.user_node, c.storage_node)
    own = np.zeros((num_users, *useful.shape))
    np.add.at(own, c.demand_user, np.einsum("qg,sqt->qgst", c.accepts.astype(float), c.demand_m3_per_d))
    user_at = np.full(num_nodes, -1)
    user_at[c.user_node[dead_end]] = np.flatnonzero(dead_end)
    for end in (c.corridor_from, c.corridor_to):
        rows = np.flatnonzero(user_at[end] >= 0)
        largest[rows] = np.minimum(largest[rows], own[user_at[end][rows]])
    return largest


def _add_pipes(w: WaterModel) -> None:
    """(W2), (W4)."""
    m, c = w.m, w.c
    m.one_diameter = Constraint(AnyIndex)
    m.flow_only_if_built = Constraint(AnyIndex)
    m.flow_only_from_built_treatment = Constraint(AnyIndex)
    largest = w.largest_flow
    carried, diameters = _carried_qualities(c), range(len(c.diameter_ids))
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
                    m.module_built[k, s] for k in _steps(c, plant, g)
                )


def _add_conservation(w: WaterModel) -> None:
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


def _add_storage(w: WaterModel) -> None:
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


def _add_users(w: WaterModel) -> None:
    """(W6)."""
    m, c = w.m, w.c
    m.delivered_only_if_connected = Constraint(AnyIndex)
    m.minimum_taken = Constraint(AnyIndex)
    m.hauled_only_if_tankered = Constraint(AnyIndex)
    m.one_way_of_service = Constraint(AnyIndex)
    carried = _carried_qualities(c)
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
        for (e, a), g, s, t in every(ways, _carried_qualities(c), w.stages, w.periods):
            most = min(float(largest[e, g, s, t]), float(c.existing_pipe_m3_per_d[e, g]) + widest)
            m.inflow_only_by_feed[u, e, a, g, s, t] = m.flow[e, a, g, s, t] <= most * m.feed_used[u, e, a]


def _add_cascades(w: WaterModel) -> None:
    """(W8), [W-CASCADE]."""
    m, c = w.m, w.c
    m.reuse_only_if_built = Constraint(AnyIndex)
    m.reuse_within_reduced_effluent = Constraint(AnyIndex)
    for i, s, t in every(range(len(c.cascades)), w.stages, w.periods):
        u = int(c.cascade_user[i])
        m.reuse_only_if_built[i, s, t] = (
            m.reused[i, s, t] <= float(c.cascade_limit_m3_per_d[s, i, t]) * m.cascade_built[i, s]
        )
        own = c.demand_user == u
        growth = float(c.growth_m3_per_d[s, own, t].sum())
        if (u, s) in m.growth_refused and growth > 0:
            used = float(c.demand_m3_per_d[s, own, t].sum())
            m.reuse_within_reduced_effluent[i, s, t] = m.reused[i, s, t] <= float(
                c.cascade_return_share[i]
            ) * (used - growth * m.growth_refused[u, s])
    m.cascade_target = Constraint(AnyIndex)
    if "W-CASCADE" in w.targets:
        s = w.stage_of("W-CASCADE")
        mean = quicksum(
            float(c.days[t] / c.days.sum()) * m.reused[i, s, t]
            for i, t in every(range(len(c.cascades)), w.periods)
        )
        w.demand("W-CASCADE", "", m.cascade_target, mean, w.targets["W-CASCADE"].required, "all")


# -------------------------------------------------------------------------------- policy rows


def _yearly(w: WaterModel, s: int, users: set[int] | None = None) -> Any:
    """Reclaimed water used in a year of stage s, m3/a, by the users named (None: all)."""
    c = w.c
    return quicksum(
        float(c.days[index[-1]]) * variable[index]
        for variable in (w.m.delivered, w.m.hauled)
        for index in variable
        if index[2] == s and (users is None or int(c.demand_user[index[0]]) in users)
    )


def _add_quota_and_caps(w: WaterModel) -> None:
    """(W7) [W-QUOTA], (W11) [W-CAP]."""
    m, c = w.m, w.c
    m.quota_target = Constraint(AnyIndex)
    m.intake_capped = Constraint(AnyIndex)
    if "W-QUOTA" in w.targets:
        s = w.stage_of("W-QUOTA")
        settled = quicksum(
            m.user_connected[u, s] + m.growth_refused[u, s] for u in np.flatnonzero(c.quota_listed).tolist()
        )
        w.demand("W-QUOTA", "", m.quota_target, settled, w.targets["W-QUOTA"].required, "all")
    if "W-CAP" in w.targets:
        s = w.stage_of("W-CAP")
        everyone = set(range(len(c.user_ids)))
        w.demand("W-CAP", "", m.intake_capped, _intake(w, s, everyone), w.targets["W-CAP"].required, "all")
        caps = w.instance.intake_caps
        for scope, name, cap in zip(caps["scope"], caps["id"], caps["cap_m3_per_a"], strict=True):
            users = set(np.flatnonzero((w.instance.users[scope] == name).to_numpy()).tolist())
            w.demand(
                "W-CAP", f"{scope} {name}", m.intake_capped, _intake(w, s, users), float(cap), (scope, name)
            )


def _intake(w: WaterModel, s: int, users: set[int]) -> Any:
    """Fresh water taken by ``users`` in a year of stage s, m3/a."""
    m, c = w.m, w.c
    own = np.isin(c.demand_user, list(users))
    whole = float((c.demand_m3_per_d[s, own] @ c.days).sum())
    refused = quicksum(
        float((c.growth_m3_per_d[s, c.demand_user == u] @ c.days).sum()) * m.growth_refused[u, s]
        for u in sorted(users)
        if (u, s) in m.growth_refused
    )
    return whole - refused - _yearly(w, s, users)


def _add_pilots(w: WaterModel) -> None:
    """(W9) [W-PILOT], [W-ZLD]."""
    m, c, pilots = w.m, w.c, w.instance.pilots
    m.pilot_done = Var(range(len(pilots)) if "W-PILOT" in w.targets else [], domain=Binary)
    m.pilot_needs_users = Constraint(AnyIndex)
    m.pilot_needs_volume = Constraint(AnyIndex)
    m.pilot_target = Constraint(AnyIndex)
    if "W-PILOT" in w.targets:
        s = w.stage_of("W-PILOT")
        position = {user: u for u, user in enumerate(c.user_ids)}
        members = w.instance.pilot_members
        for i, (name, least_users, least_volume) in enumerate(
            zip(pilots["pilot"], pilots["min_users"], pilots["min_volume_m3_per_a"], strict=True)
        ):
            users = {position[user] for user in members.loc[members["pilot"] == name, "user"]}
            if least_users > 0:
                joined = quicksum(m.user_connected[u, s] for u in sorted(users))
                m.pilot_needs_users[i] = joined >= int(least_users) * m.pilot_done[i]
            if least_volume > 0:
                m.pilot_needs_volume[i] = _yearly(w, s, users) >= float(least_volume) * m.pilot_done[i]
        w.demand(
            "W-PILOT",
            "",
            m.pilot_target,
            quicksum(m.pilot_done.values()),
            w.targets["W-PILOT"].required,
            "all",
        )
        rows = w.instance.pilot_requirements
        for kind, district, minimum in zip(rows["kind"], rows["district"], rows["minimum"], strict=True):
            fits = np.ones(len(pilots), dtype=bool)
            if kind != "*":
                fits &= (pilots["kind"] == kind).to_numpy()
            if district:
                fits &= (pilots["district"] == district).to_numpy()
            count = quicksum(m.pilot_done[i] for i in np.flatnonzero(fits).tolist())
            where = f"{kind} {district}".strip()
            if minimum > 0:
                w.demand("W-PILOT", where, m.pilot_target, count, float(minimum), (kind, district))
    _add_zero_discharge(w)


def _add_zero_discharge(w: WaterModel) -> None:
    m, c = w.m, w.c
    m.zld_needs_reclaimed_water = Constraint(AnyIndex)
    m.zld_target = Constraint(AnyIndex)
    for i, s in m.zld_built:
        users = set(c.park_user[i].tolist())
        own = np.isin(c.demand_user, list(users))
        needed = float(c.zld_min_share[i] * (c.demand_m3_per_d[s, own] @ c.days).sum())
        m.zld_needs_reclaimed_water[i, s] = _yearly(w, s, users) >= needed * m.zld_built[i, s]
    if "W-ZLD" in w.targets:
        s = w.stage_of("W-ZLD")
        count = quicksum(m.zld_built[i, s] for i in np.flatnonzero(c.zld_candidate).tolist())
        w.demand("W-ZLD", "", m.zld_target, count, w.targets["W-ZLD"].required, "all")


def _add_prices(w: WaterModel) -> None:
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
        own((corridor_system[e], g), c.pipes, _pipe_position(c, e, g, d), m.pipe_built[e, g, d, s])
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


def _add_effect_targets(w: WaterModel) -> None:
    """(W13) [W-TN], [W-VOLUME], [W-NEAR]."""
    m, c = w.m, w.c
    m.nitrogen_target = Constraint(AnyIndex)
    m.volume_target = Constraint(AnyIndex)
    m.near_target = Constraint(AnyIndex)
    if "W-TN" in w.targets:
        kept = _nitrogen_kg_per_a(w, w.stage_of("W-TN"))
        w.demand("W-TN", "", m.nitrogen_target, kept, w.targets["W-TN"].required, "all")
    if "W-VOLUME" in w.targets:
        used = _yearly(w, w.stage_of("W-VOLUME"))
        w.demand("W-VOLUME", "", m.volume_target, used, w.targets["W-VOLUME"].required, "all")
    if "W-NEAR" in w.targets:
        s, target = w.stage_of("W-NEAR"), w.targets["W-NEAR"]
        carried = quicksum(
            float(c.length_km[index[0]] * c.days[index[-1]]) * m.flow[index]
            for index in m.flow
            if index[3] == s
        )
        taken = quicksum(
            float(c.days[index[-1]]) * m.delivered[index] for index in m.delivered if index[2] == s
        )
        m.near_target["all"] = carried <= target.required * taken
        # A mean is not linear in its limit: the row gives way in m3 km, told per m3 of all demand.
        whole = max(float((c.demand_m3_per_d[s] @ c.days).sum()), 1.0)
        row = m.near_target["all"]
        w.elastic.append(
            ElasticConstraint(
                "W-NEAR", "per m3 of all demand", "km", row, target.required, whole, is_cap=True
            )
        )


def _nitrogen_kg_per_a(w: WaterModel, s: int) -> Any:
    m, c = w.m, w.c
    treated = quicksum(
        float(c.days[t] * c.production.tn_kg[p, g]) * m.product[p, g, s, t]
        for p, g, stage, t in m.product
        if stage == s
    )
    reused = quicksum(
        float(c.days[t] * c.reuse.tn_kg[i]) * m.reused[i, s, t] for i, stage, t in m.reused if stage == s
    )
    return treated + reused


def _add_plant_counts(w: WaterModel) -> None:
    """(W13) [W-UPGRADE], exact number of plants."""
    m, c = w.m, w.c
    exact = w.instance.parameters.num_plants_exact
    counted = exact > 0 or "W-UPGRADE" in w.targets
    plants = sorted(set(c.module_plant.tolist())) if counted else []
    m.plant_upgraded = Var(plants, w.stages, domain=Binary)
    m.upgraded_only_by_module = Constraint(AnyIndex)
    m.module_upgrades_plant = Constraint(AnyIndex)
    m.exact_number_of_plants = Constraint(AnyIndex)
    m.upgrade_target = Constraint(AnyIndex)
    for p, s in m.plant_upgraded:
        modules = np.flatnonzero(c.module_plant == p).tolist()
        m.upgraded_only_by_module[p, s] = m.plant_upgraded[p, s] <= quicksum(
            m.module_built[k, s] for k in modules
        )
        if exact > 0:
            for k in modules:
                m.module_upgrades_plant[p, k, s] = m.module_built[k, s] <= m.plant_upgraded[p, s]
    if exact > 0:
        m.exact_number_of_plants["all"] = (
            m.nothing + quicksum(m.plant_upgraded[p, w.stages[-1]] for p in plants) == exact
        )
    if "W-UPGRADE" in w.targets:
        s = w.stage_of("W-UPGRADE")
        count = quicksum(m.plant_upgraded[p, s] for p in plants)
        w.demand("W-UPGRADE", "", m.upgrade_target, count, w.targets["W-UPGRADE"].required, "all")


def _add_budgets(w: WaterModel) -> None:
    """(W12): money by source and build year, one mix per investment."""
    m, c = w.m, w.c
    m.mix_used = Var(AnyIndex, domain=Binary, dense=False)
    m.one_mix_if_built = Constraint(AnyIndex)
    m.mix_stays = Constraint(AnyIndex)
    spent: dict[tuple[int, int], list[Any]] = {}
    for kind, (investments, built, position) in w.built_of_kind.items():
        source = c.budgets.source_of(investments.district)
        for index in built:
            i, s = position(index[:-1] if len(index) > 2 else index[0]), index[-1]
            if investments.capex_cny[i] == 0:
                continue
            for mix in range(len(investments.mixes)):
                now, before = (
                    _paid_state(w, kind, index, mix),
                    _paid_state(w, kind, (*index[:-1], s - 1), mix),
                )
                for amount, f in zip(investments.paid_cny[mix, i].tolist(), source[i].tolist(), strict=True):
                    if amount != 0 and np.isfinite(c.budgets.amount_cny[f, s]):
                        spent.setdefault((f, s), []).append(amount * (now - before))
            if len(investments.mixes) > 1:
                chosen = [m.mix_used[kind, *index, mix] for mix in range(len(investments.mixes))]
                m.one_mix_if_built[kind, *index] = quicksum(chosen) == built[index]
                for mix in range(len(investments.mixes)) if s > 0 else ():
                    before = m.mix_used[kind, *index[:-1], s - 1, mix]
                    m.mix_stays[kind, *index, mix] = m.mix_used[kind, *index, mix] >= before
    _add_budget_rows(w, spent)


def _paid_state(w: WaterModel, kind: str, index: Index, mix: int) -> Any:
    """Binary of "stands and was paid by this mix"; 0 before the first stage."""
    investments, built, _ = w.built_of_kind[kind]
    if index[-1] < 0:
        return 0.0
    if len(investments.mixes) == 1:
        return built[index]
    if (kind, *index, mix) not in w.m.mix_used:
        w.m.mix_used[kind, *index, mix] = 0
    return w.m.mix_used[kind, *index, mix]


def _add_budget_rows(w: WaterModel, spent: dict[tuple[int, int], list[Any]]) -> None:
    m, c, parameters = w.m, w.c, w.instance.parameters
    share = parameters.carry_over_share if parameters.phased else 0.0
    m.carry = Var(AnyIndex, domain=NonNegativeReals, dense=False)
    m.budget_kept = Constraint(AnyIndex)
    m.carry_over_limited = Constraint(AnyIndex)
    for f in sorted({source for source, _ in spent}):
        before = 0.0
        for s in w.stages:
            amount = float(c.budgets.amount_cny[f, s])
            money = quicksum(spent.get((f, s), ()))
            if (f, s) in spent:
                m.budget_kept[f, s] = money - before <= amount
                year = str(parameters.base_year + s) if parameters.phased else "all years"
                where = f"{c.budgets.sources[f]} {year}"
                w.elastic.append(
                    ElasticConstraint(BUDGET_CLAUSE, where, "CNY", m.budget_kept[f, s], amount, is_cap=True)
                )
            if share > 0 and s < w.stages[-1]:
                m.carry[f, s] = 0.0
                m.carry_over_limited[f, s] = m.carry[f, s] <= share * (amount + before - money)
                before = m.carry[f, s]


def _add_locks(w: WaterModel) -> None:
    """(W12): decisions taken beforehand."""
    m = w.m
    names = (
        "forced_in",
        "forced_out",
        "fixed",
        "not_before",
        "not_after",
        "done_if_any",
        "together",
        "apart",
    )
    for name in names:
        setattr(m, name, Constraint(AnyIndex))
    m.project_done = Var(AnyIndex, domain=Binary, dense=False)
    last = w.stages[-1]
    for row, lock in enumerate(resolve_locks(w.instance)):
        options = _options(w, lock.project)
        if lock.kind == "force_in":
            m.forced_in[row] = m.nothing + quicksum(v[(*i, last)] for v, i in options) >= 1
        elif lock.kind == "force_out" or (lock.kind == "fix" and lock.value == "none"):
            for n, (v, i) in enumerate(options):
                m.forced_out[row, n] = v[(*i, last)] <= 0
        elif lock.kind == "fix":
            _fix(w, row, _option_of(w, lock.project, lock.value), lock.stage)
        elif lock.kind == "earliest" and lock.stage is not None:
            for n, ((v, i), s) in enumerate(every(options, w.stages)):
                if s < lock.stage:
                    m.not_before[row, n] = v[(*i, s)] <= 0
        elif lock.kind == "latest" and lock.stage is not None:
            for n, (v, i) in enumerate(options):
                in_time = v[(*i, min(lock.stage, last))] if lock.stage >= 0 else 0.0
                if lock.stage < last:
                    m.not_after[row, n] = v[(*i, last)] <= in_time
        elif lock.other is not None:
            first, second = _done(w, lock.project), _done(w, lock.other)
            if lock.kind == "together":
                m.together[row] = first == second
            else:
                m.apart[row] = first + second <= 1


def _fix(w: WaterModel, row: int, option: Option, stage: int | None) -> None:
    variable, index = option
    last = w.stages[-1] if stage is None or not w.instance.parameters.phased else stage
    w.m.fixed[row, "built"] = variable[(*index, last)] >= 1
    if stage is not None and last > 0 and w.instance.parameters.phased:
        w.m.fixed[row, "not earlier"] = variable[(*index, last - 1)] <= 0


def _options(w: WaterModel, project: ProjectRef) -> list[Option]:
    """Ways of doing a project: (variable, index without stage)."""
    m, i = w.m, project.position
    if project.table == "plants":
        return [(m.module_built, (k,)) for k in np.flatnonzero(w.c.module_plant == i).tolist()]
    if project.table == "corridors":
        pipes = every([i], _carried_qualities(w.c), range(len(w.c.diameter_ids)))
        return [(m.pipe_built, index) for index in pipes]
    if project.table == "users":
        tanker = [(m.tanker_served, (i,))] if w.c.tanker_plant[i] >= 0 else []
        return [(m.user_connected, (i,)), *tanker]
    built = {"storage_sites": m.storage_built, "cascades": m.cascade_built, "parks": m.zld_built}[
        project.table
    ]
    return [(built, (i,))] if (i, w.stages[0]) in built else []


def _option_of(w: WaterModel, project: ProjectRef, value: str) -> Option:
    """The way of doing a project that ``value`` names."""
    tables = w.instance
    options = _options(w, project)
    if project.table == "plants":
        steps = tables.modules["quality"] + ":" + tables.modules["step"]
        return next(option for option in options if steps[option[1][0]] == value)
    if project.table == "corridors":
        quality, diameter = (w.c.quality_ids, w.c.diameter_ids)
        return next(o for o in options if f"{quality[o[1][1]]}:{diameter[o[1][2]]}" == value)
    return options[-1] if value == "tanker" else options[0]


def _done(w: WaterModel, project: ProjectRef) -> Any:
    """Binary that is 1 exactly if anything of the project is built."""
    key = (project.table, project.position)
    if key not in w.m.project_done:
        w.m.project_done[key] = 0
        done = w.m.project_done[key]
        built = [v[(*i, w.stages[-1])] for v, i in _options(w, project)]
        w.m.done_if_any[*key, "only"] = done <= quicksum(built)
        for n, option in enumerate(built):
            w.m.done_if_any[*key, n] = option <= done
    return w.m.project_done[key]


# -------------------------------------------------------------------------------------- goals


def _flow_classes(w: WaterModel) -> list[tuple[Any, FlowRates, Callable[[Index], Any]]]:
    """Every flow variable with its rates and the position of its rate."""
    m, c = w.m, w.c
    return [
        (m.product, c.production, lambda index: (index[0], index[1])),
        (m.flow, c.carriage, lambda index: (index[1], index[0])),
        (m.delivered, c.delivery, lambda index: index[0]),
        (m.hauled, c.delivery, lambda index: index[0]),
        (m.hauled, c.haulage, lambda index: index[0]),
        (m.reused, c.reuse, lambda index: index[0]),
    ]


def _sum_over_year(
    w: WaterModel, rate_of: Callable[[FlowRates], FloatArray], stage_factor: FloatArray
) -> Any:
    """Sum of rate x m3/d x days over all flows, each stage times its factor."""
    total = []
    for variable, rates, position in _flow_classes(w):
        rate = rate_of(rates)
        for index in variable:
            amount = float(rate[position(index)] * w.c.days[index[-1]] * stage_factor[index[-2]])
            if amount != 0.0:
                total.append(amount * variable[index])
    return quicksum(total)


def _add_goals(w: WaterModel) -> None:
    m, c, parameters = w.m, w.c, w.instance.parameters
    last = np.zeros(len(c.stage_weight))
    last[-1] = 1.0
    outlay = _present_outlay(w)
    value = _sum_over_year(
        w,
        lambda r: r.net_value_cny(parameters.carbon_cny_per_t, parameters.tn_value_cny_per_kg),
        c.stage_weight,
    )
    m.goal_npv = Objective(expr=value - outlay, sense=maximize)
    m.goal_cost = Objective(
        expr=_sum_over_year(w, lambda r: r.cost_cny, c.stage_weight) + outlay, sense=minimize
    )
    m.goal_volume = Objective(expr=_yearly(w, w.stages[-1]), sense=maximize)
    m.goal_tn = Objective(expr=_sum_over_year(w, lambda r: r.tn_kg, last), sense=maximize)
    m.goal_co2 = Objective(expr=_sum_over_year(w, lambda r: r.co2_kg / 1000.0, last), sense=maximize)


def _present_outlay(w: WaterModel) -> Any:
    """Present cost of investments and of refused growth, and penalties, CNY."""
    m, c = w.m, w.c
    terms = []
    for investments, built, position in w.built_of_kind.values():
        for index in built:
            i, s = position(index[:-1] if len(index) > 2 else index[0]), index[-1]
            # Standing by stage s but not by s - 1 means built in s: the sum telescopes.
            later = investments.present_cost_cny[s + 1, i] if s < w.stages[-1] else 0.0
            terms.append(float(investments.present_cost_cny[s, i] - later) * built[index])
    for u, s in m.growth_refused:
        own = c.demand_user == u
        loss = float((c.growth_m3_per_d[s, own] @ c.days) @ c.refusal_cost_cny_per_m3[own])
        terms.append(float(c.stage_weight[s]) * loss * m.growth_refused[u, s])
    for clause, where in m.shortfall:
        terms.append(w.targets[clause].penalty_cny_per_unit * m.shortfall[clause, where])
    return quicksum(terms)


# -------------------------------------------------------------------------------------- solve


def solve_formulation(instance: Instance, options: SolveOptions) -> Result[Solution]:
    """Solve the Pyomo model by HiGHS."""
    watch = Watch(options, options.goal[-1] != "cost")
    return solve_built(build_model(instance), options, watch)


def solve_built(w: WaterModel, options: SolveOptions, watch: Watch) -> Result[Solution]:
    """Solve a built model; ``watch`` has run since before it was built."""
    outcome = solve_model(w.m, options, w.elastic, watch)
    solution, objective = None, outcome.objective
    if outcome.x is not None:
        x = _polished(outcome, options, watch)
        goal = outcome.compiled.objective(options.goal[-1])
        objective = float(goal.cost @ x) + goal.offset
        values = {name: outcome.compiled.values(getattr(w.m, name), x) for name in _VARIABLES}
        solution = plan_from_values(w.instance, w.c, PlanValues(**values))
    return Result(
        stop=outcome.stop,
        solution=solution,
        objective=objective,
        bound=outcome.bound,
        maximise=outcome.maximise,
        goal=options.goal,
        engine="formulation",
        trace=outcome.trace,
        timings=outcome.timings,
        relaxations=outcome.relaxations,
    )


def _polished(outcome: ModelOutcome, options: SolveOptions, watch: Watch) -> FloatArray:
    """The plan with its flows at their best for the last goal; integers and earlier goals are kept."""
    x = outcome.x
    assert x is not None
    milp = outcome.compiled.milp(options.goal[-1])
    for name in options.goal[:-1]:
        earlier = outcome.compiled.objective(name)
        reached = float(earlier.cost @ x)
        slack = 1e-9 * max(1.0, abs(reached))
        side = (reached - slack, np.inf) if earlier.maximise else (-np.inf, reached + slack)
        milp = milp.with_row(earlier.cost, *side, f"keep_{name}")
    lower, upper = np.where(milp.integral, x, milp.lower), np.where(milp.integral, x, milp.upper)
    linear = solve_lp(milp.with_bounds(lower, upper), watch.child(seconds=30.0))
    return linear.x if linear.stop is StopReason.OPTIMAL and linear.x is not None else x

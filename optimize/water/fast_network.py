"""The reclaimed-water instance as a `Network` for the engine's search.

Plants and cascades are sources, users are customers, demands requirements, qualities grades.
Clauses become groups (counts of users) and effects (totals of water or nitrogen); what the search
cannot steer is settled by the model with the search's works (`optimize.water.fast`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimize.engine.network_data import Network, arcs_of
from optimize.water.coefficients import Coefficients
from optimize.water.fast_goal import Weights
from optimize.water.fast_locks import LockedDecisions
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray, Investments

PROHIBITIVE = 1e13
NUM_NEIGHBOURS = 60


@dataclass(frozen=True)
class Wishes:
    """What the search is asked to reach: groups of users and effects, each hard or priced.

    Effects are given per m3: by demand (Q,) on delivery and by source and quality (P', G) on making.
    """

    group_users: list[IntArray]
    group_need: list[float]
    group_price: list[float]
    group_hard: list[bool]
    effect_delivered: list[FloatArray]
    effect_made: list[FloatArray]
    effect_need: list[float]
    effect_price: list[float]
    effect_hard: list[bool]

    @staticmethod
    def none() -> Wishes:
        return Wishes([], [], [], [], [], [], [], [], [])

    def add_group(self, users: IntArray, need: float, price: float, hard: bool) -> None:
        """Ask for ``need`` of ``users`` to be connected."""
        if need > 0:
            self.group_users.append(users)
            self.group_need.append(need)
            self.group_price.append(price)
            self.group_hard.append(hard)

    def add_effect(
        self, delivered: FloatArray, made: FloatArray, need: float, price: float, hard: bool
    ) -> None:
        """Ask for a yearly total."""
        if need > 0:
            self.effect_delivered.append(delivered)
            self.effect_made.append(made)
            self.effect_need.append(need)
            self.effect_price.append(price)
            self.effect_hard.append(hard)


def cascade_sources(c: Coefficients) -> IntArray:
    """Cascades that become sources: one per user, the first."""
    _, first = np.unique(c.cascade_user, return_index=True)
    return np.sort(first)


def cheapest_mix(investments: Investments, budget: FloatArray, source: IntArray) -> IntArray:
    """Mix of each investment that burdens the budgets least, relative to their size, (n,)."""
    share = 1.0 / np.where(np.isfinite(budget), np.maximum(budget, 1.0), np.inf)
    burden = (investments.paid_cny * share[source][None]).sum(axis=2)
    return np.asarray(burden.argmin(axis=0))


def purses_of(c: Coefficients, budget_cny: FloatArray) -> IntArray:
    """Sources with a limit that something may be paid from."""
    asked = np.zeros(len(budget_cny), bool)
    for investments in (c.pipes, c.modules, c.connections, c.tankers, c.cascades, c.zld):
        source = c.budgets.source_of(investments.district)
        asked[np.unique(source[(investments.paid_cny > 0).any(axis=0)])] = True
    return np.flatnonzero(np.isfinite(budget_cny) & asked)


def _spend(investments: Investments, c: Coefficients, purses: IntArray) -> FloatArray:
    """Money from each finite purse, (n, R)."""
    budget = c.budgets.amount_cny[:, 0]
    source = c.budgets.source_of(investments.district)
    rows = np.arange(len(investments))
    paid = investments.paid_cny[cheapest_mix(investments, budget, source), rows]
    position = np.full(len(budget), -1)
    position[purses] = np.arange(len(purses))
    spend = np.zeros((len(investments), len(purses) + 1))
    for column in range(3):
        np.add.at(spend, (rows, position[source[:, column]]), paid[:, column])
    return spend[:, : len(purses)]


def derive_network(
    instance: Instance, c: Coefficients, locks: LockedDecisions, wishes: Wishes, reserved_cny: FloatArray,
    weights: Weights, price_weight: float = 0.0,
) -> Network:  # fmt: skip
    """Arrays of the search.

    Parameters
    ----------
    weights : what a plan is worth.
    reserved_cny : (F,) money by source kept back for works the search does not decide on.
    price_weight : weight of a supplier's balance (revenue at the highest price less cost) added to
        the worth of a plan, so that systems which lose money are avoided [W-PRICE].
    """
    shape = c.shape
    num_edges, num_grades, num_sizes = shape["E"], shape["G"], shape["D"]
    budget = c.budgets.amount_cny[:, 0] - reserved_cny
    purses = purses_of(c, budget)
    parameters = instance.parameters
    values = {
        "production": weights.per_m3(c.production), "carriage": weights.per_m3(c.carriage),
        "delivery": weights.per_m3(c.delivery, delivers=True), "reuse": weights.per_m3(c.reuse),
    }  # fmt: skip
    order = np.argsort(c.pipe_capacity_m3_per_d, kind="stable")
    pipe_cost = np.zeros((num_edges, num_grades, num_sizes + 2))
    present = weights.money * c.pipes.present_cost_cny[0]
    pipe_cost[:, :, 1:-1] = present.reshape(num_edges, num_grades, num_sizes)[:, :, order]
    pipe_cost[:, :, -1] = PROHIBITIVE
    pipe_spend = np.zeros((num_edges, num_grades, num_sizes + 2, len(purses)))
    pipe_spend[:, :, 1:-1] = _spend(c.pipes, c, purses).reshape(num_edges, num_grades, num_sizes, -1)[
        :, :, order
    ]
    may, must = locks.pipe_may[:, :, order], locks.pipe_must[:, :, order]
    pipe_max = np.where(may.any(axis=2), num_sizes - np.argmax(may[:, :, ::-1], axis=2), 0)
    pipe_min = np.where(must.any(axis=2), np.argmax(must, axis=2) + 1, 0)
    pipe_max = np.where(pipe_min > 0, pipe_min, pipe_max)
    against = np.where(c.directed, 1e12, -values["carriage"][1])
    first_arc, arc_tip, arc_edge, arc_sign = arcs_of(len(c.node_ids), c.corridor_from, c.corridor_to)
    sources = _source_arrays(c, locks, values, purses, weights.money)
    delivery = np.repeat(values["delivery"][:, None], num_grades, axis=1)
    connect_price = weights.money * c.connections.present_cost_cny[0]
    if price_weight > 0.0:
        balance = price_weight * weights.stage_weight
        delivery = delivery + balance * c.max_price_cny_per_m3[:, None]
        yearly = _recovered_cny_per_a(c.pipes, parameters.price_capital_share)
        pipe_cost[:, :, 1:-1] += balance * yearly.reshape(num_edges, num_grades, num_sizes)[:, :, order]
        connect_price = connect_price + balance * _recovered_cny_per_a(
            c.connections, parameters.price_capital_share
        )
        sources["unit_cost"][: shape["P"]] += balance * c.production.cost_cny
        sources["step_cost"] += price_weight * sources["step_present"]
    del sources["step_present"]
    users_of_group = [np.zeros(0, np.int64), *wishes.group_users]
    group = np.concatenate([np.full(len(users), k - 1) for k, users in enumerate(users_of_group)])
    member = np.concatenate(users_of_group)
    by_user = np.argsort(member, kind="stable")
    demand = c.demand_m3_per_d[0]
    # the search wants the demands of a user side by side, whatever the order of the table
    q = np.argsort(c.demand_user, kind="stable")
    demand, demand_user = demand[q], c.demand_user[q]
    num_effects = len(wishes.effect_need)
    num_sources = len(sources["source_node"])
    delivered = np.zeros((len(demand), num_grades, num_effects))
    made = np.zeros((num_sources, num_grades, num_effects))
    for k in range(num_effects):
        delivered[:, :, k] = wishes.effect_delivered[k][q, None]
        made[:, :, k] = wishes.effect_made[k]
    return Network(
        first_arc=first_arc, arc_tip=arc_tip, arc_edge=arc_edge, arc_sign=arc_sign,
        weight=np.ascontiguousarray(c.days, float),
        size_capacity=np.concatenate([[0.0], c.pipe_capacity_m3_per_d[order], [np.inf]]),
        pipe_existing=np.ascontiguousarray(c.existing_pipe_m3_per_d, float),
        pipe_cost=pipe_cost, pipe_spend=pipe_spend,
        pipe_min=pipe_min.astype(np.int64), pipe_max=pipe_max.astype(np.int64),
        flow_cost=np.ascontiguousarray(np.stack([-values["carriage"][0], against], axis=1)),
        **sources,
        customer_node=c.user_node.astype(np.int64),
        connect_cost=np.ascontiguousarray(connect_price, float),
        connect_spend=np.ascontiguousarray(_spend(c.connections, c, purses)),
        may_serve=(locks.connected_may & ~locks.tanker_must).astype(np.int64),
        first_requirement=np.searchsorted(demand_user, np.arange(shape["U"] + 1)).astype(np.int64),
        customer_of=demand_user.astype(np.int64),
        accepts=np.ascontiguousarray(c.accepts[q]),
        demand=np.ascontiguousarray(demand, float),
        least_take=np.ascontiguousarray(demand * c.min_take_share[q, None]),
        unit_value=np.ascontiguousarray(delivery[q]),
        budget=np.maximum(budget[purses], 0.0),
        first_group=np.searchsorted(member[by_user], np.arange(shape["U"] + 1)).astype(np.int64),
        group_of=group[by_user].astype(np.int64),
        group_need=np.array(wishes.group_need, float),
        group_price=np.array(wishes.group_price, float),
        group_hard=np.array(wishes.group_hard, np.int64),
        effect_need=np.array(wishes.effect_need, float),
        effect_price=np.array(wishes.effect_price, float),
        effect_hard=np.array(wishes.effect_hard, np.int64),
        effect_delivered=delivered, effect_made=made,
        neighbours=_neighbours(instance, c),
    )  # fmt: skip


def _recovered_cny_per_a(investments: Investments, capital_share: float) -> FloatArray:
    """Yearly cost that prices have to recover, (n,)."""
    return np.asarray(capital_share * investments.annual_capital_cny + investments.yearly_cost_cny)


def _source_arrays(
    c: Coefficients, locks: LockedDecisions, values: dict[str, FloatArray], purses: IntArray, money: float
) -> dict[str, np.ndarray]:
    shape = c.shape
    num_plants, num_grades = shape["P"], shape["G"]
    cascades = cascade_sources(c)
    cascades = cascades[locks.cascade_may[cascades]]
    num = num_plants + len(cascades)
    counts = np.zeros((num_plants, num_grades), int)
    np.add.at(counts, (c.module_plant, c.module_quality), 1)
    num_steps = max(int(counts.max(initial=0)), 1)
    capacity = np.zeros((num, num_grades, num_steps + 1))
    cost = np.zeros_like(capacity)
    spend = np.zeros((*capacity.shape, len(purses)))
    step_min = np.zeros((num, num_grades), np.int64)
    step_max = np.zeros((num, num_grades), np.int64)
    module_spend = _spend(c.modules, c, purses)
    for k in np.argsort(c.module_capacity_m3_per_d, kind="stable"):
        if not locks.module_may[k]:
            continue
        at = (c.module_plant[k], c.module_quality[k])
        step_max[at] += 1
        s = step_max[at]
        capacity[at][s:] = c.module_capacity_m3_per_d[k]
        cost[at][s] = c.modules.present_cost_cny[0, k]
        spend[at][s] = module_spend[k]
        if locks.module_must[k]:
            step_min[at] = s
    step_max = np.where(step_min > 0, step_min, step_max)
    per_unit = np.full((num, num_grades), np.inf)
    per_unit[:num_plants] = np.where(c.can_treat, 1.0 / c.recovery, np.inf)
    unit_cost = np.zeros((num, num_grades))
    unit_cost[:num_plants] = -values["production"]
    existing = np.zeros((num, num_grades))
    existing[:num_plants] = c.existing_treatment_m3_per_d
    cascade_spend = _spend(c.cascades, c, purses)
    for row, i in enumerate(cascades, start=num_plants):
        g = c.cascade_quality[i]
        per_unit[row, g] = 1.0
        unit_cost[row, g] = -values["reuse"][i]
        capacity[row, g, 1:] = c.cascade_limit_m3_per_d[0, i].max(initial=0.0)
        cost[row, g, 1:] = c.cascades.present_cost_cny[0, i]
        spend[row, g, 1:] = cascade_spend[i]
        step_max[row, g] = 1
        step_min[row, g] = int(locks.cascade_must[i])
    node = np.concatenate([c.plant_node, c.user_node[c.cascade_user[cascades]]]).astype(np.int64)
    at_node = np.full(len(c.node_ids), -1, np.int64)
    at_node[node] = np.arange(num)
    available = _available(c)
    return {
        "source_node": node, "source_at": at_node,
        "raw_available": np.ascontiguousarray(
            np.concatenate([available, c.cascade_limit_m3_per_d[0][cascades]]), float
        ),
        "raw_per_unit": per_unit, "step_existing": existing, "step_capacity": capacity, "step_cost": money * cost,
        # a step's yearly cost is close to its present cost over the years it is counted for
        "step_present": cost, "step_spend": spend, "step_min": step_min, "step_max": step_max, "unit_cost": unit_cost,
    }  # fmt: skip


def _available(c: Coefficients) -> FloatArray:
    """Effluent that may be drawn, (P, T); less where the nitrogen limit of the rest binds.

    Drawing leaves (1 - kept) of its nitrogen behind: with the least kept share over qualities,
    effluent * (limit - tn) >= drawn * (limit * recovery - 1000 * tn_kg * recovery) bounds what is drawn.
    """
    limit = c.tn_limit_mg_per_l[:, None]
    burden = np.where(c.can_treat, (limit - 1000.0 * c.production.tn_kg) * c.recovery, -np.inf).max(axis=1)
    room = (c.tn_limit_mg_per_l - c.tn_mg_per_l)[:, None] * c.effluent_m3_per_d
    binds = ~np.isnan(c.tn_limit_mg_per_l) & (burden > 0)
    most = np.where(binds[:, None], np.maximum(room, 0.0) / np.where(binds, burden, 1.0)[:, None], np.inf)
    return np.asarray(np.minimum(c.available_m3_per_d, most))


def _neighbours(instance: Instance, c: Coefficients) -> IntArray:
    """Nearest users of each user by their places (by order of the table where places are missing)."""
    users = instance.users
    lon, lat = users["lon"].to_numpy(float), users["lat"].to_numpy(float)
    known = np.isfinite(lon) & np.isfinite(lat)
    spread = np.arange(len(users)) * 1e-3
    place = np.column_stack([
        np.where(known, np.nan_to_num(lon) * np.cos(np.radians(np.nan_to_num(lat).mean())), 1e3 + spread),
        np.where(known, np.nan_to_num(lat), 0.0),
    ])  # fmt: skip
    num = min(len(users), NUM_NEIGHBOURS + 1)
    if num <= 1:
        return np.zeros((len(users), 0), np.int64)
    from scipy.spatial import cKDTree  # a quarter of a second that small instances need not wait for

    _, near = cKDTree(place).query(place, k=num)
    near = np.asarray(near, np.int64)
    own = near == np.arange(len(users))[:, None]
    missing = ~own.any(axis=1)  # many at one place: drop the farthest instead of oneself
    own[missing, -1] = True
    return np.ascontiguousarray(near[~own].reshape(len(users), num - 1))

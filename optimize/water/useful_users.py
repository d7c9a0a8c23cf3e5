"""Users that no network can serve at a profit, or at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, dijkstra

from optimize.water.coefficients import BoolArray, Coefficients, Offered
from optimize.water.fast_goal import Weights, weights_of
from optimize.water.fast_locks import LockedDecisions
from optimize.water.flow_bounds import find_bridges, makeable_m3_per_d
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray
from optimize.water.locks import offers_zero_discharge

COUNTED_BY_USER = ("W-PILOT", "W-QUOTA", "W-UPGRADE", "CITY-REVISE")
"""Clauses for which a user that none of them names counts nothing, whatever it takes."""


def useful_users(
    instance: Instance, c: Coefficients, locks: LockedDecisions, goals: Sequence[str], offered: Offered
) -> Offered:
    """Users' pipes and tankers without those that bring nothing.

    Proof.  A user no source of an accepted quality can reach takes nothing by pipe; without its connection
    a plan is cheaper, and no row misses it unless one counts connections (`_named`).  Where the goal is net
    present value and no row counts water (`_only_profit_counts`), let a plan serve a user whose water, each
    m3 made at the source and carried on the way that make it worth most, brings less than the connection costs.
    Take away the user's flows, from source to user (flows split into paths), and the connection: less is drawn,
    made, carried and spent, so every row holds, and the plan is worth more.  Trunk pipes stay as they are.
    The same holds for all users behind a bridge with no source beyond it: whoever of them is served, a pipe
    lies on the bridge, and serves nobody else.
    """
    named = _named(instance, c, locks)
    connected = _reached_users(c, locks, offered) | named
    tanker = offered.tanker
    if _only_profit_counts(instance, c, goals):
        weights = weights_of(instance, c, goals[0])
        by_pipe, by_tanker = _most_worth(c, weights)
        outlay = weights.money * np.stack([c.connections.present_cost_cny[0], c.tankers.present_cost_cny[0]])
        connected &= (by_pipe >= outlay[0]) | named
        tanker = tanker & ((by_tanker >= outlay[1]) | named)
        worth = np.where(connected, np.maximum(by_pipe - outlay[0], 0.0), 0.0)
        connected &= ~_behind_dear_bridges(c, locks, weights, worth, named)
    return replace(offered, connected=connected, tanker=tanker)


def _named(instance: Instance, c: Coefficients, locks: LockedDecisions) -> BoolArray:
    """Users that a lock, the plan in force, or a clause that counts users names, (U,)."""
    targets, users = instance.targets, np.arange(len(c.user_ids))
    named = locks.connected_must | locks.tanker_must
    named[locks.any_way_of] = True
    for project in locks.paired_projects:
        if project.table == "users":
            named[project.position] = True
    for kind in ("connection", "tanker"):
        own = c.revision.kinds.get(kind)
        if own is not None:
            named[own.rows] = True
    if "W-QUOTA" in targets:
        named |= c.quota_listed
    if "W-PILOT" in targets:
        named |= np.isin(np.array(c.user_ids), instance.pilot_members["user"].to_numpy(str))
    if offers_zero_discharge(instance):
        named |= np.isin(users, np.concatenate([np.zeros(0, np.int64), *c.park_user]))
    return np.asarray(named)


def _only_profit_counts(instance: Instance, c: Coefficients, goals: Sequence[str]) -> bool:
    """Whether taking water from a user that no row names can break no row, and net present value is all that counts.

    A plant's nitrogen limit may ask for water to be drawn.
    """
    return (
        tuple(goals) == ("npv",)
        and len(c.stage_weight) == 1
        and set(instance.targets) <= set(COUNTED_BY_USER)
        and bool(np.isnan(c.tn_limit_mg_per_l).all())
    )


def _reached_users(c: Coefficients, locks: LockedDecisions, offered: Offered) -> BoolArray:
    """Users to which some source's water of an accepted quality can come by pipe, (U,)."""
    open_lane = c.existing_pipe_m3_per_d > 0
    open_lane |= (locks.pipe_may & offered.pipe).any(axis=2)
    makes = makeable_m3_per_d(c).max(axis=2) > 0
    served = np.zeros(len(c.user_ids), bool)
    for g in np.flatnonzero(makes.any(axis=0)):
        start, end = _arcs(c, open_lane[:, g])
        source = np.flatnonzero(makes[:, g])
        origin = len(makes)  # one more node, from which all sources are reached
        start, end = np.concatenate([start, np.full(len(source), origin)]), np.concatenate([end, source])
        graph = coo_array((np.ones(len(start)), (start, end)), shape=(origin + 1, origin + 1)).tocsr()
        reached = np.zeros(origin + 1, bool)
        reached[breadth_first_order(graph, origin, return_predecessors=False)] = True
        q = np.flatnonzero(c.accepts[:, g])
        served[c.demand_user[q]] |= reached[c.user_node[c.demand_user[q]]]
    return served


def _arcs(c: Coefficients, open_corridor: BoolArray) -> tuple[IntArray, IntArray]:
    """Start and end of every way through the open corridors: both, unless the corridor is directed."""
    along, back = np.flatnonzero(open_corridor), np.flatnonzero(open_corridor & ~c.directed)
    start = np.concatenate([c.corridor_from[along], c.corridor_to[back]])
    return start, np.concatenate([c.corridor_to[along], c.corridor_from[back]])


def _most_worth(c: Coefficients, weights: Weights) -> tuple[FloatArray, FloatArray]:
    """Most that all water of a user can be worth by pipe and by tanker, trunks and modules free, (U,) each."""
    made_at = _best_source(c, weights)
    yearly = c.demand_m3_per_d[0] @ c.days
    delivery = weights.per_m3(c.delivery, delivers=True)

    def total(node: IntArray, per_m3: FloatArray) -> FloatArray:
        best = np.where(c.accepts, made_at[node], -np.inf).max(axis=1, initial=-np.inf)
        worth = yearly * np.maximum(per_m3 + best, 0.0)
        by_user = np.bincount(c.demand_user, weights=worth, minlength=len(c.user_ids))
        return np.asarray(by_user, float)

    plant = np.maximum(c.tanker_plant[c.demand_user], 0)
    at_plant = c.plant_node[plant] if len(c.plant_node) else np.zeros(len(plant), np.int64)
    return (
        total(c.user_node[c.demand_user], delivery),
        total(at_plant, delivery + weights.per_m3(c.haulage)),
    )


def _best_source(c: Coefficients, weights: Weights) -> FloatArray:
    """Worth of 1 m3 of each quality at each node, made and carried there at best, (N, G); -inf where none can be."""
    making: FloatArray = np.full((len(c.node_ids), len(c.quality_ids)), -np.inf)
    at = np.nonzero(c.can_treat)
    np.maximum.at(making, (c.plant_node[at[0]], at[1]), weights.per_m3(c.production)[at])
    np.maximum.at(making, (c.user_node[c.cascade_user], c.cascade_quality), weights.per_m3(c.reuse))
    graph = _carriage_graph(c, weights.per_m3(c.carriage))
    best = np.full_like(making, -np.inf)
    for g in np.flatnonzero(np.isfinite(making).any(axis=0)):
        highest = making[:, g].max()
        from_source = _with_origin(graph, highest - making[:, g])
        cost = np.asarray(dijkstra(from_source, indices=[len(making)]))[0, :-1]
        best[:, g] = highest - cost
    return best


def _carriage_graph(c: Coefficients, worth: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Arcs of the network with what carrying 1 m3 costs: start, end, cost."""
    start, end = _arcs(c, np.ones(len(c.corridor_ids), bool))
    cost = np.concatenate([-worth[0], -worth[1][~c.directed]])
    return start, end, np.maximum(cost, 0.0)


def _with_origin(graph: tuple[IntArray, IntArray, FloatArray], first_cost: FloatArray) -> csr_array:
    """The graph with one more node, from which each source is reached at its own cost; of parallel arcs the cheapest."""
    start, end, cost = graph
    num = len(first_cost)
    own = np.flatnonzero(np.isfinite(first_cost))
    start = np.concatenate([start, np.full(len(own), num)])
    end, cost = np.concatenate([end, own]), np.concatenate([cost, first_cost[own]])
    order = np.lexsort((cost, end, start))
    start, end, cost = start[order], end[order], cost[order]
    first = np.ones(len(start), bool)
    first[1:] = (start[1:] != start[:-1]) | (end[1:] != end[:-1])
    # csgraph takes 0 for "no arc": an arc that costs nothing is given next to nothing
    return coo_array(
        (np.maximum(cost[first], 1e-15), (start[first], end[first])), shape=(num + 1, num + 1)
    ).tocsr()


def _behind_dear_bridges(
    c: Coefficients, locks: LockedDecisions, weights: Weights, worth: FloatArray, named: BoolArray
) -> BoolArray:
    """Users all of whom behind a bridge, none of them named, are worth less than its cheapest pipe, (U,)."""
    bridges = find_bridges(len(c.node_ids), c.corridor_from, c.corridor_to)
    present = weights.money * c.pipes.present_cost_cny[0].reshape(locks.pipe_may.shape)
    price = np.where(locks.pipe_may, present, np.inf).min(axis=(1, 2), initial=np.inf)
    settled = (c.existing_pipe_m3_per_d > 0).any(axis=1) | settled_corridors(c, locks)
    barred = np.zeros(len(c.node_ids))
    barred[c.plant_node] = 1.0
    barred[c.user_node[c.cascade_user]] = 1.0
    barred[c.user_node[named]] = 1.0
    at_nodes = np.zeros(len(c.node_ids))
    np.add.at(at_nodes, c.user_node, worth)
    left_out = np.zeros(len(c.user_ids), bool)
    for sum_of, behind in ((bridges.behind, True), (bridges.before, False)):
        dear = (sum_of(at_nodes) < price[bridges.corridor]) & ~settled[bridges.corridor]
        for bridge in np.flatnonzero(dear & (sum_of(barred) == 0)).tolist():
            own = bridges.nodes_behind(bridge) == behind
            part = bridges.component == bridges.component[c.corridor_from[bridges.corridor[bridge]]]
            left_out |= (own & part)[c.user_node]
    return left_out


def settled_corridors(c: Coefficients, locks: LockedDecisions) -> BoolArray:
    """Corridors whose pipes locks or the plan in force speak of, (E,)."""
    shape = locks.pipe_may.shape
    settled = np.asarray(
        (locks.pipe_must | spoken_of(c, "pipe", int(np.prod(shape))).reshape(shape)).any(axis=(1, 2))
    )
    settled[locks.any_pipe_of] = True
    for project in locks.paired_projects:
        if project.table == "corridors":
            settled[project.position] = True
    return settled


def spoken_of(c: Coefficients, kind: str, num: int) -> BoolArray:
    """Investments that the plan in force speaks of, (num,)."""
    spoken = np.zeros(num, bool)
    own = c.revision.kinds.get(kind)
    if own is not None:
        spoken[own.rows] = True
    return spoken

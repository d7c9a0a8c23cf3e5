"""How much a corridor can carry that is of any use: by quality and period, from what lies on either side of it.

A corridor whose loss would cut the network in two (a *bridge*) carries, net, what the far side uses less what it
makes itself: no more than all of the one side can use, nor than all of the other can make.  That holds for
every plan, because water is conserved at every node.  Any other corridor carries no more than all users take
and all sources make, once flows in circles, which nobody needs, are cancelled.

None of the models that use these bounds holds storage; over the mean of all periods storage gives back what it takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimize.water.coefficients import BoolArray, Coefficients
from optimize.water.investments import FloatArray, IntArray

_ROUNDING = 1e-12
"""Of a sum of positive numbers, more than its rounding."""


@dataclass(frozen=True)
class Bridges:
    """Corridors that alone connect the two sides of their ends, B of them.

    A depth-first search numbers the nodes; what lies behind a bridge is a range of these numbers.

    Attributes
    ----------
    corridor : (B,) rows of the corridors.
    first, last : (B,) numbers of the nodes behind run from ``first`` to ``last - 1``.
    head_behind : (B,) whether the end ``corridor_to`` is the one behind.
    number : (N,) number of each node.
    component : (N,) number of the first node of the connected part each node is in.
    """

    corridor: IntArray
    first: IntArray
    last: IntArray
    head_behind: BoolArray
    number: IntArray
    component: IntArray

    def behind(self, of_nodes: FloatArray) -> FloatArray:
        """Sum over the nodes behind each bridge of an array whose first axis is nodes, (B, ...)."""
        ordered = np.concatenate([of_nodes[np.argsort(self.number)], np.zeros_like(of_nodes[:1])])
        ranges = np.column_stack([self.first, self.last]).ravel()
        # sums of their own, not differences of running ones: nothing behind has to be exactly nothing
        return np.asarray(np.add.reduceat(ordered, ranges, axis=0)[::2] if len(ranges) else ordered[:0])

    def before(self, of_nodes: FloatArray) -> FloatArray:
        """Sum over the other nodes of the connected part, (B, ...); no less than it is."""
        whole = np.zeros_like(of_nodes)
        np.add.at(whole, self.component, of_nodes)
        all_of_part = whole[self.component[np.argsort(self.number)[self.first]]]
        left = all_of_part - self.behind(of_nodes)
        return np.asarray(np.where(left > _ROUNDING * all_of_part, left + _ROUNDING * all_of_part, 0.0))

    def nodes_behind(self, bridge: int) -> BoolArray:
        """Which nodes lie behind, (N,)."""
        return np.asarray((self.number >= self.first[bridge]) & (self.number < self.last[bridge]))


def find_bridges(num_nodes: int, tail: IntArray, head: IntArray) -> Bridges:
    """Bridges of the network, directions left aside (Tarjan 1974: A note on finding the bridges of a graph)."""
    corridors_at: list[list[tuple[int, int]]] = [[] for _ in range(num_nodes)]
    for e, (a, b) in enumerate(zip(tail.tolist(), head.tolist(), strict=True)):
        corridors_at[a].append((e, b))
        corridors_at[b].append((e, a))
    number, lowest = [-1] * num_nodes, [0] * num_nodes
    component = [0] * num_nodes
    found: list[tuple[int, int, int, int]] = []
    count = 0
    for root in range(num_nodes):
        if number[root] >= 0:
            continue
        number[root] = lowest[root] = count
        component[root] = root
        count += 1
        path = [(root, -1, iter(corridors_at[root]))]
        while path:
            node, by, others = path[-1]
            for e, other in others:
                if e == by:
                    continue
                if number[other] >= 0:
                    lowest[node] = min(lowest[node], number[other])
                    continue
                number[other] = lowest[other] = count
                component[other] = root
                count += 1
                path.append((other, e, iter(corridors_at[other])))
                break
            else:
                path.pop()
                if path:
                    above = path[-1][0]
                    lowest[above] = min(lowest[above], lowest[node])
                    if lowest[node] > number[above]:
                        found.append((by, number[node], count, node))
    corridor, first, last, node_behind = np.array(found, np.int64).reshape(-1, 4).T
    return Bridges(
        corridor=corridor,
        first=first,
        last=last,
        head_behind=np.asarray(head[corridor] == node_behind),
        number=np.array(number, np.int64),
        component=np.array(component, np.int64),
    )


def most_useful_m3_per_d(c: Coefficients) -> FloatArray:
    """Most a corridor can carry of a quality, net, so that it is of use, (E, G, T); of stages the largest.

    Of a network that is not reduced only what users at dead ends can take is known: its bound begins with prices
    of a linear relaxation, and capacities that the relaxation alone knows would mislead them.
    """
    demand = _demand_m3_per_d(c)
    useful = np.einsum("qg,qt->gt", c.accepts.astype(float), demand)
    if c.reduction is None:
        return np.asarray(np.minimum(useful[None], dead_end_use(c)))
    made = makeable_m3_per_d(c)
    most = np.minimum(useful, made.sum(axis=0))
    most = np.broadcast_to(most, (len(c.corridor_ids), *most.shape)).copy()
    bridges = find_bridges(len(c.node_ids), c.corridor_from, c.corridor_to)
    used = _usable_at_nodes(c, demand)
    into = np.minimum(bridges.behind(used), bridges.before(made))
    out = np.minimum(bridges.before(used), bridges.behind(made))
    along = np.where(bridges.head_behind[:, None, None], into, out)
    against = np.where(bridges.head_behind[:, None, None], out, into)
    against[c.directed[bridges.corridor]] = 0.0
    own = np.maximum(along, against)
    most[bridges.corridor] = np.minimum(most[bridges.corridor], own)
    return most


def dead_end_use(c: Coefficients) -> FloatArray:
    """Most a corridor to a user at a dead end can carry, (E, G, T); elsewhere inf.

    Water that enters a dead end can only be used there (unless it gives or stores water).
    """
    nodes = np.concatenate([c.corridor_from, c.corridor_to])
    degree = np.bincount(nodes, minlength=len(c.node_ids))
    num_periods = len(c.days)
    use = np.full((len(c.node_ids), len(c.quality_ids), num_periods), np.inf)
    dead = np.flatnonzero((degree[c.user_node] == 1) & ~np.isin(np.arange(len(c.user_ids)), c.cascade_user))
    dead = dead[~np.isin(c.user_node[dead], c.storage_node)]
    use[c.user_node[dead]] = 0.0
    own = np.isin(c.demand_user, dead)
    q, g = np.nonzero(c.accepts & own[:, None])
    np.add.at(use, (c.user_node[c.demand_user[q]], g), c.demand_m3_per_d[0][q])
    return np.asarray(np.minimum(use[c.corridor_from], use[c.corridor_to]))


def makeable_m3_per_d(c: Coefficients) -> FloatArray:
    """Most that can be made of each quality at each node, (N, G, T): the others of a plant make none then."""
    shape = c.shape
    largest = np.zeros((shape["P"], shape["G"]))
    np.maximum.at(largest, (c.module_plant, c.module_quality), c.module_capacity_m3_per_d)
    capacity = np.where(c.can_treat, c.existing_treatment_m3_per_d + largest, 0.0)
    of_plants = np.minimum(c.available_m3_per_d[:, None, :] * c.recovery[:, :, None], capacity[:, :, None])
    made = np.zeros((shape["N"], shape["G"], shape["T"]))
    np.add.at(made, c.plant_node, of_plants)
    reusable = c.cascade_limit_m3_per_d.max(axis=0, initial=0.0)
    np.add.at(made, (c.user_node[c.cascade_user], c.cascade_quality), reusable)
    return made


def _demand_m3_per_d(c: Coefficients) -> FloatArray:
    """Demand of those who may be served, (Q, T)."""
    demand = c.demand_m3_per_d.max(axis=0)
    if c.reduction is None:
        return np.asarray(demand)
    served = c.reduction.offered.connected | c.reduction.offered.tanker
    return np.asarray(np.where(served[c.demand_user][:, None], demand, 0.0))


def _usable_at_nodes(c: Coefficients, demand: FloatArray) -> FloatArray:
    """Most that can leave the network at each node, (N, G, T): users' own, and tankers filled at a plant."""
    shape = c.shape
    used = np.zeros((shape["N"], shape["G"], shape["T"]))
    q, g = np.nonzero(c.accepts)
    np.add.at(used, (c.user_node[c.demand_user[q]], g), demand[q])
    plant = c.tanker_plant[c.demand_user[q]]
    by_tanker = plant >= 0
    np.add.at(used, (c.plant_node[plant[by_tanker]], g[by_tanker]), demand[q[by_tanker]])
    return used

"""Exact optimum of a fixed-charge network with few terminals and no capacities that bind.

With concave costs an optimal flow is a forest, so what an arc carries is the net demand of the terminals
on one side of it.  With C(i, I) the least cost of bringing the terminals I what they need from node i,

    C(i, I) = min over J in I of C(i, J) + C(i, I - J)                      (split)
            = min over arcs (i, j) of unit d(I) + fixed + C(j, I)            (send; backwards if d(I) < 0)

(Erickson, Monma and Veinott, Math. Oper. Res. 12 (1987)).  Work: 3^terminals times nodes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from optimize.engine.fixed_charge import NEGLIGIBLE, BoolArray, FixedChargeNetwork, FloatArray, IntArray
from optimize.engine.fixed_charge_plans import flow_programme
from optimize.engine.highs import solve_lp
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions

# Splits looked at, each for all nodes: about a nanosecond each.
_MOST_WORK = 2e10
_MOST_STATES = 60_000_000
_MOST_TERMINALS = 25
_SETS_AT_A_TIME = 256
# Costs closer than this share of one another are equal.
_EQUAL = 1e-12


def is_few_terminals(network: FixedChargeNetwork) -> bool:
    """Whether the method applies and takes seconds at most."""
    terminals = int((network.demand != 0).sum()) - 1 + (network.slack > NEGLIGIBLE * network.total)
    nodes = network.num_nodes + 1
    never_full = bool((network.capacity >= network.total * (1 - NEGLIGIBLE)).all())
    if terminals > _MOST_TERMINALS:
        return False
    work = 0.5 * 3.0**terminals * nodes
    return network.is_plain and never_full and work <= _MOST_WORK and 2.0**terminals * nodes <= _MOST_STATES


def solve_few_terminals(network: FixedChargeNetwork, watch: Watch) -> FloatArray | None:
    """An optimal flow, shape (A,), of a network that `is_few_terminals`; None if none exists or time is up."""
    tail, head, fixed, unit, demand = _balanced(network)
    terminals = np.flatnonzero(demand)
    if len(terminals) == 0:
        return np.zeros(network.num_arcs)
    # the costs are asked for at one of the terminals, which then needs no set
    root, others = terminals[-1], terminals[:-1]
    amount, sets = demand[others], 1 << len(others)
    cost = np.full((sets, len(demand)), np.inf)
    net = np.zeros(sets)
    negligible = NEGLIGIBLE * network.total
    first_out, out = _by_node(tail, len(demand))
    first_in, into = _by_node(head, len(demand))
    for begin in range(1, sets, _SETS_AT_A_TIME):
        if watch.must_stop:
            return None
        fill(begin, min(begin + _SETS_AT_A_TIME, sets), cost, net, others, amount, negligible,
             first_out, out, head, first_in, into, tail, fixed, unit)  # fmt: skip
    if not np.isfinite(cost[-1, root]):
        return None
    trace = _Trace(cost, net, others, negligible, (tail, head, fixed, unit))
    flow = trace.flow(sets - 1, int(root))[: network.num_arcs]
    if network.slack <= negligible:
        return flow
    # supply that is left over may have gone to another supply's node first, where that costs nothing
    used = np.where(flow > negligible, network.total, 0.0)
    return solve_lp(flow_programme(network, network.unit_cost, used), watch).x


def _balanced(
    n: FixedChargeNetwork,
) -> tuple[IntArray, IntArray, FloatArray, FloatArray, FloatArray]:
    """Tails, heads, costs and demands of a network whose leftover supply goes to one more node."""
    sources = np.flatnonzero(n.demand < 0)
    if n.slack <= NEGLIGIBLE * n.total:
        return n.tail, n.head, n.fixed_cost, n.unit_cost, n.demand
    free = np.zeros(len(sources))
    return (
        np.concatenate([n.tail, sources]),
        np.concatenate([n.head, np.full(len(sources), n.num_nodes)]),
        np.concatenate([n.fixed_cost, free]),
        np.concatenate([n.unit_cost, free]),
        np.append(n.demand, n.slack),
    )


def _by_node(end: IntArray, num_nodes: int) -> tuple[IntArray, IntArray]:
    order = np.argsort(end, kind="stable").astype(np.int64)
    return np.searchsorted(end[order], np.arange(num_nodes + 1)).astype(np.int64), order


@njit(cache=True, nogil=True)  # the watch of another thread goes on
def fill(  # type: ignore[no-untyped-def]
    begin,
    end,
    cost,
    net,
    terminals,
    amount,
    negligible,
    first_out,
    out,
    head,
    first_in,
    into,
    tail,
    fixed,
    unit,
):
    """Least costs of the sets ``begin``..``end`` - 1 at all nodes; all smaller sets are known."""
    num_nodes = cost.shape[1]
    waiting = np.zeros(num_nodes, np.bool_)
    for own in range(begin, end):
        lowest = own & -own
        position = 0
        while (lowest >> position) != 1:
            position += 1
        row = cost[own]
        rest = own ^ lowest
        net[own] = net[rest] + amount[position]
        if rest == 0:
            row[terminals[position]] = 0.0
        else:
            part = (rest - 1) & rest
            while True:
                one, other = cost[lowest | part], cost[rest ^ part]
                for i in range(num_nodes):
                    row[i] = min(row[i], one[i] + other[i])
                if part == 0:
                    break
                part = (part - 1) & rest
        carried = net[own]
        if abs(carried) <= negligible:
            row[:] = row.min()  # a component of its own
            continue
        # cheapest ways to the set, by labels that are corrected until none changes
        forward = carried > 0
        waiting[:] = np.isfinite(row)
        changed = True
        while changed:
            changed = False
            for j in range(num_nodes):
                if not waiting[j]:
                    continue
                waiting[j] = False
                low, high = (first_in[j], first_in[j + 1]) if forward else (first_out[j], first_out[j + 1])
                for k in range(low, high):
                    a = into[k] if forward else out[k]
                    i = tail[a] if forward else head[a]
                    reached = row[j] + fixed[a] + unit[a] * abs(carried)
                    if reached < row[i]:
                        row[i] = reached
                        waiting[i] = True
                        changed = True


def compile_kernels() -> None:
    """Compile (or load from the cache on disk) on a network of one arc; a few seconds the first time."""
    one, none = np.ones(1), np.zeros(1, np.int64)
    arc = FixedChargeNetwork(
        none, none + 1, one, one, one, np.array([-1.0, 1.0]), none - 1, np.zeros(1, np.bool_), None,
        np.zeros(2, np.bool_),
    )  # fmt: skip
    solve_few_terminals(arc, Watch(SolveOptions(time_limit_s=600.0), maximise=False))


class _Trace:
    """Reads the flow of the cheapest way to serve a set of terminals from a node back from the costs."""

    def __init__(
        self, cost: FloatArray, net: FloatArray, terminals: IntArray, negligible: float,
        arcs: tuple[IntArray, IntArray, FloatArray, FloatArray],
    ) -> None:  # fmt: skip
        self._cost, self._net, self._terminals, self._negligible = cost, net, terminals, negligible
        self._tail, self._head, self._fixed, self._unit = arcs

    def flow(self, every: int, root: int) -> FloatArray:
        """Flow on each arc, shape (A,)."""
        flow = np.zeros(len(self._tail))
        left = [(every, root)]
        while left:
            own, i = left.pop()
            at, way = self._origin(own, i)
            flow[way] += abs(self._net[own])
            if own & (own - 1):
                part = self._split(own)[1][at]
                left += [(int(part), at), (own ^ int(part), at)]
        return flow

    def _origin(self, own: int, i: int) -> tuple[int, list[int]]:
        """The node where a set is split, or its only terminal, and the arcs between it and ``i``.

        Breadth first, because arcs that cost nothing may form circles.
        """
        costs, carried = self._cost[own], abs(self._net[own])
        starts = self._starts(own)
        if carried <= self._negligible:
            return int(starts.argmax()), []
        here, there = (self._tail, self._head) if self._net[own] > 0 else (self._head, self._tail)
        came_by, queue = {i: -1}, [i]
        for at in queue:
            if starts[at]:
                way, node = [], at
                while came_by[node] >= 0:
                    way.append(came_by[node])
                    node = int(here[came_by[node]])
                return at, way
            arcs = np.flatnonzero(here == at)
            reached = costs[there[arcs]] + self._fixed[arcs] + self._unit[arcs] * carried
            for a in arcs[_equal(reached, costs[at])]:
                if int(there[a]) not in came_by:
                    came_by[int(there[a])] = int(a)
                    queue.append(int(there[a]))
        raise ArithmeticError("a cost of the recursion has no origin")

    def _starts(self, own: int) -> BoolArray:
        """Nodes where the cost of a set is not that of sending it on, shape (N,)."""
        if own & (own - 1) == 0:
            only: BoolArray = np.arange(self._cost.shape[1]) == self._terminals[own.bit_length() - 1]
            return only
        return _equal(self._split(own)[0], self._cost[own])

    def _split(self, own: int) -> tuple[FloatArray, IntArray]:
        """Least cost of two parts of a set at each node, and one of the parts."""
        lowest = own & -own
        rest = own ^ lowest
        parts = np.arange(rest, dtype=np.int64)
        parts = parts[parts & rest == parts]
        costs = self._cost[lowest | parts] + self._cost[rest ^ parts]
        best = costs.argmin(axis=0)
        return costs[best, np.arange(costs.shape[1])], lowest | parts[best]


def _equal(one: FloatArray, other: FloatArray | float) -> BoolArray:
    with np.errstate(invalid="ignore"):  # inf - inf: neither is reached
        return np.asarray(np.abs(one - other) <= _EQUAL * np.maximum(1.0, np.abs(other)))

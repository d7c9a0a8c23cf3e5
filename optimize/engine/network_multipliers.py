"""Which multipliers a network's Lagrangian relaxation has, and where each lies in one vector.

Conservation of water holds at every node for every *item*: a commodity (who gets it) or an origin
(who made it).  In full there is a multiplier for each node and item, N x W of them, which at city size
is too many.  So an item has multipliers of its own at some nodes only; at any other node it shares
one with all other items of its grade that have none of their own there.

Sharing keeps every value a valid bound: it is the full relaxation, at a point where some multipliers
happen to be equal, and any point is valid.  What falls apart into lanes then treats items that share
a multiplier at both ends of a lane as one item with the sum of their amounts, since equal gains fill a
knapsack in any order; the subgradient of a shared multiplier is the sum of theirs.

Commodities have their own where their water may sensibly pass: at the nodes on the cheapest ways to
the customer from any source.  Origins have theirs at the nodes nearest to the source.  On a branch
without a source others' multipliers than the branch's own customers' equal those at its root: their
water has nothing to gain there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from optimize.engine.network_bound_data import Ends, Lanes, Places
from optimize.engine.network_data import Floats, Ints
from optimize.engine.seasonal_network import SeasonalNetwork

CHUNK = 256  # customers whose distances to all nodes are held at a time
SAMPLE, FAR = 32, 3.0  # customers who tell how far to look for nodes around the others, and how much farther


@dataclass(frozen=True)
class Layer:
    """Own multipliers of the items of one kind, sorted by node and item; items are sorted by grade."""

    node: Ints  # (n,)
    item: Ints  # (n,)
    grade_start: Ints  # (G+1,)
    place: int  # of the first own multiplier in the vector
    common: int  # place of the shared multiplier of node 0 and grade 0; node by node, grade by grade

    @property
    def num_items(self) -> int:
        return int(self.grade_start[-1])

    def grade_of(self, item: Ints) -> Ints:
        return np.searchsorted(self.grade_start, item, side="right").astype(np.int64) - 1

    def places(self, node: Ints, item: Ints) -> Ints:
        """Place of the multiplier of an item at a node, its own or the shared one."""
        num_grades = len(self.grade_start) - 1
        shared = self.common + node * num_grades + self.grade_of(item)
        if len(self.node) == 0:
            return shared
        keys, wanted = self.node * self.num_items + self.item, node * self.num_items + item
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[at] == wanted, self.place + at, shared)


@dataclass(frozen=True)
class Multipliers:
    """Places of all multipliers, and the entries of lanes, sources and customers that point to them."""

    commodities: Layer
    origins: Layer
    origin_source: Ints  # (O,) source of each origin
    origin_grade: Ints
    size: int
    dead_ends: tuple[tuple[int, int], ...]  # node and the next to the root, from the roots outward
    lanes: Lanes
    origin_lanes: Lanes
    ends: Ends

    @property
    def most_entries(self) -> tuple[int, int]:
        """Of a lane or source in the two layers."""
        widest = max(_widest(self.lanes.first), _widest(self.ends.source_first))
        return widest, _widest(self.origin_lanes.first)

    def amounts(self, network: SeasonalNetwork) -> tuple[Floats, Floats]:
        """Amounts of commodities and origins, (T, items): single ones, then what each lane (and source) bundles."""
        single = network.demand[:, network.requirement_of]
        limit = origin_limits(network)[:, self.origin_source, self.origin_grade]
        source = (self.ends.source_first, self.ends.source_item)
        bundled = _bundled(
            single, self.commodities.grade_start, [(self.lanes.first, self.lanes.item), source]
        )
        return bundled, _bundled(
            limit, self.origins.grade_start, [(self.origin_lanes.first, self.origin_lanes.item)]
        )

    def scale(self, network: SeasonalNetwork, least: float) -> tuple[Floats, Floats]:
        """1 / amount of each multiplier, shared ones by the sum of those that share; commodities, origins."""
        limit = origin_limits(network)[:, self.origin_source, self.origin_grade]
        amounts = (network.demand[:, network.requirement_of], limit)
        return tuple(  # type: ignore[return-value]
            _scale(layer, amount, self.size, network.num_nodes, least)
            for layer, amount in zip((self.commodities, self.origins), amounts, strict=True)
        )

    def by_commodity(self, potential: Floats) -> Floats:
        """The vector that has these potentials (N, G) for all commodities, and none for origins."""
        x = np.zeros(self.size)
        layer = self.commodities
        x[layer.place : layer.place + len(layer.node)] = potential[layer.node, layer.grade_of(layer.item)]
        x[layer.common : layer.common + potential.size] = potential.ravel()
        return x

    def taken_from(self, coarser: Multipliers, x: Floats) -> Floats:
        """A vector (T, size of the coarser) where these multipliers are, (T, size)."""
        out = np.zeros((len(x), self.size))
        for mine, theirs in ((self.commodities, coarser.commodities), (self.origins, coarser.origins)):
            out[:, mine.place : mine.place + len(mine.node)] = x[:, theirs.places(mine.node, mine.item)]
            shared = (self.origins.place if mine is self.commodities else self.size) - mine.common
            out[:, mine.common : mine.common + shared] = x[:, theirs.common : theirs.common + shared]
        return out

    def in_full(self, x: Floats, network: SeasonalNetwork) -> tuple[Floats, Floats]:
        """Potentials (T, N, W) and births (T, N, P, G), shared ones repeated, 0 for what cannot be made."""
        birth = np.zeros((len(x), network.num_nodes, *network.raw_per_unit.shape))
        birth[:, :, self.origin_source, self.origin_grade] = x[
            :, self._places(self.origins, network.num_nodes)
        ]
        return x[:, self._places(self.commodities, network.num_nodes)], birth

    def from_full(self, potential: Floats, birth: Floats, network: SeasonalNetwork) -> Floats:
        """The inverse of `in_full`; of multipliers that share a place one is taken."""
        x = np.zeros((len(potential), self.size))
        x[:, self._places(self.commodities, network.num_nodes)] = potential
        x[:, self._places(self.origins, network.num_nodes)] = birth[
            :, :, self.origin_source, self.origin_grade
        ]
        return x

    def _places(self, layer: Layer, num_nodes: int) -> Places:
        """Place of every node and item, (N, items)."""
        num_grades = len(layer.grade_start) - 1
        shared = layer.common + np.arange(num_nodes * num_grades, dtype=np.int32).reshape(num_nodes, -1)
        places = shared[:, layer.grade_of(np.arange(layer.num_items))]
        places[layer.node, layer.item] = layer.place + np.arange(len(layer.node), dtype=np.int32)
        if layer is self.commodities:
            own = layer.place + len(layer.node)
            for node, neighbour in self.dead_ends:
                places[node] = np.where(places[node] < own, places[node], places[neighbour])
        return places


def origin_limits(network: SeasonalNetwork) -> Floats:
    """Most that can come from a source, (T, P, G); 0 where it cannot make a grade."""
    can = np.isfinite(network.raw_per_unit)
    by_raw = network.raw_available[:, :, None] / np.where(can, network.raw_per_unit, 1.0)
    largest = np.where(np.isfinite(network.step_cost), network.step_capacity, 0.0).max(axis=2)
    return np.where(can, np.minimum(by_raw, largest), 0.0)


def multipliers_of(network: SeasonalNetwork, most: int) -> Multipliers:
    """At most about ``most`` multipliers of each kind, beside the shared ones (2 N G)."""
    num_grades, num_nodes = len(network.grade_start) - 1, network.num_nodes
    ways = _Ways(network)
    customer = np.repeat(np.arange(len(network.customer_node)), np.diff(network.first_requirement))
    owner = customer[network.requirement_of]
    source, grade = np.nonzero(np.isfinite(network.raw_per_unit))
    by_grade = np.lexsort((source, grade))
    source, grade = source[by_grade], grade[by_grade]
    start = np.searchsorted(grade, np.arange(num_grades + 1)).astype(np.int64)

    node, item = ways.around_customers(owner, most)
    commodities = Layer(node, item, network.grade_start, 0, len(node))
    at = len(node) + num_nodes * num_grades
    node, item = ways.around_sources(source, most)
    origins = Layer(node, item, start, at, at + len(node))
    return Multipliers(
        commodities, origins, source, grade, origins.common + num_nodes * num_grades, ways.dead_ends,
        _lanes(commodities, network, ways.dead_end_corridors), _lanes(origins, network, {}),
        _ends(network, commodities, origins, source, grade, len(network.tail) * num_grades),
    )  # fmt: skip


class _Ways:
    """Cheapest ways in the network, per unit of flow in pipes that are full, and its dead ends."""

    def __init__(self, network: SeasonalNetwork) -> None:
        self._network = network
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = network.pipe_cost[:, :, 1:] / network.size_capacity[:, :, 1:]
        rate = np.where(np.isfinite(rate) & (rate > 0.0), rate, np.inf).min(axis=(1, 2), initial=np.inf)
        fare = np.clip(network.flow_cost.sum(axis=0).min(axis=1), 0.0, None)
        length = np.where(np.isfinite(rate), rate, 0.0) + np.where(fare < 1e12, fare, 0.0)
        length = np.maximum(length, 1e-9 * max(float(length.max(initial=0.0)), 1.0))
        n = network.num_nodes
        # of parallel corridors the shortest counts; csr_array would add them up
        order = np.lexsort((length, network.head, network.tail))
        pair = network.tail[order] * n + network.head[order]
        first = np.concatenate([[True], pair[1:] != pair[:-1]]) if len(pair) else np.zeros(0, bool)
        kept = order[first]
        self._graph = csr_array((length[kept], (network.tail[kept], network.head[kept])), (n, n))
        self._behind = {node: (neighbour, inside) for node, neighbour, inside in branches(network)}

    @property
    def dead_ends(self) -> tuple[tuple[int, int], ...]:
        """Nodes of branches without a source and the next to the root, from the roots outward."""
        return tuple((node, neighbour) for node, (neighbour, _) in self._behind.items())

    @property
    def dead_end_corridors(self) -> dict[int, int]:
        """Corridors to the root of a branch without a source, with the node behind them."""
        found = {}
        for e, (u, v) in enumerate(
            zip(self._network.tail.tolist(), self._network.head.tolist(), strict=True)
        ):
            if u in self._behind and self._behind[u][0] == v:
                found[e] = u
            elif v in self._behind and self._behind[v][0] == u:
                found[e] = v
        return found

    def around_customers(self, owner: Ints, most: int) -> tuple[Ints, Ints]:
        """Nodes and commodities of own multipliers, sorted; ``owner`` (W,) customer of each commodity.

        Each commodity has the same number of nodes: those with the cheapest way from a source through
        the node to the customer.
        """
        net, n = self._network, self._network.num_nodes
        places, where = np.unique(net.customer_node[owner], return_inverse=True)
        reach = min(n, max(1, most // max(len(owner), 1)))
        to_source = np.zeros(n)
        if len(net.source_node):
            to_source = dijkstra(
                self._graph, directed=False, indices=np.unique(net.source_node), min_only=True
            )
        nearest = (
            np.broadcast_to(np.arange(n), (len(places), n))
            if reach == n
            else np.empty((len(places), reach), np.int64)
        )
        if reach < n:
            sample = self._ways_through(places[:: max(1, len(places) // SAMPLE)], to_source, np.inf)
            farthest = np.partition(sample, reach - 1, axis=1)[:, reach - 1]
            far_enough = FAR * max(float(np.median(farthest)), 0.0)
            for at in range(0, len(places), CHUNK):
                way = self._ways_through(places[at : at + CHUNK], to_source, far_enough)
                nearest[at : at + CHUNK] = np.argpartition(way, reach - 1, axis=1)[:, :reach]
        item = np.repeat(np.arange(len(owner)), reach)
        node = nearest[where].ravel()
        if self._behind:
            node, item = self._without_foreign(node, item, net.customer_node[owner])
        order = np.lexsort((item, node))
        return node[order], item[order]

    def _ways_through(self, places: Ints, to_source: Floats, limit: float) -> Floats:
        """Cheapest way from a source through every node to each place, (places, N); inf beyond ``limit``."""
        way = dijkstra(self._graph, directed=False, indices=places, limit=limit)
        way += np.where(way > 0.0, to_source, -np.inf)  # the customer's own node comes first
        return np.asarray(way)

    def _without_foreign(self, node: Ints, item: Ints, home: Ints) -> tuple[Ints, Ints]:
        """On branches without a source exactly the commodities of the customers behind have their own."""
        outside = ~np.isin(node, np.fromiter(self._behind, np.int64))
        nodes, items = [node[outside]], [item[outside]]
        for dead_end, (_, inside) in self._behind.items():
            own = np.flatnonzero(np.isin(home, inside))
            nodes.append(np.full(len(own), dead_end))
            items.append(own)
        return np.concatenate(nodes), np.concatenate(items)

    def around_sources(self, source: Ints, most: int) -> tuple[Ints, Ints]:
        """Nodes and origins of own multipliers, sorted: at each node the nearest; ``source`` (O,)."""
        net, n = self._network, self._network.num_nodes
        if len(source) == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        reach = min(len(net.source_node), max(1, most * len(net.source_node) // (n * len(source))))
        near = np.ones((n, len(net.source_node)), bool)
        if reach < len(net.source_node):
            way = dijkstra(self._graph, directed=False, indices=net.source_node).T
            near[:] = False
            np.put_along_axis(near, np.argpartition(way, reach - 1, axis=1)[:, :reach], values=True, axis=1)
        node, item = np.nonzero(near[:, source])
        return node.astype(np.int64), item.astype(np.int64)


def branches(network: SeasonalNetwork) -> list[tuple[int, int, list[int]]]:
    """Nodes of branches without a source, from the roots outward: node, the next to the root, nodes behind."""
    around: list[list[int]] = [[] for _ in range(network.num_nodes)]
    for u, v in zip(network.tail.tolist(), network.head.tolist(), strict=True):
        around[u].append(v)
        around[v].append(u)
    source = set(network.source_node.tolist())
    behind: dict[int, list[int]] = {}
    peeled: list[tuple[int, int, list[int]]] = []
    leaves = [n for n in range(network.num_nodes) if len(around[n]) == 1 and n not in source]
    while leaves:
        node = leaves.pop()
        if len(around[node]) != 1:
            continue
        neighbour = around[node].pop()
        around[neighbour].remove(node)
        inside = [node, *behind.pop(node, [])]
        behind.setdefault(neighbour, []).extend(inside)
        peeled.append((node, neighbour, inside))
        if len(around[neighbour]) == 1 and neighbour not in source:
            leaves.append(neighbour)
    return peeled[::-1]


def _widest(first: Ints) -> int:
    return int(np.diff(first).max(initial=0))


def _distinct(values: Ints) -> Ints:
    """In rising order; sorted, for `numpy.unique` hashes, which of millions of whole numbers takes many times longer."""
    values = np.sort(values)
    return values[np.concatenate([[True], values[1:] != values[:-1]])] if len(values) else values


def _runs(first: Ints, of: Ints) -> tuple[Ints, Ints]:
    """Positions first[i] ... first[i + 1] - 1 for each i in ``of``, end to end, and which of them each is of."""
    length = first[of + 1] - first[of]
    run = np.repeat(np.arange(len(of)), length)
    start = np.concatenate([[0], np.cumsum(length)])[:-1]
    return first[of][run] + np.arange(len(run)) - start[run], run


def _lanes(layer: Layer, network: SeasonalNetwork, dead_ends: dict[int, int]) -> Lanes:
    """Entries of every lane: items with an own multiplier at either end, and one for all others of the grade."""
    num_edges, num_grades = len(network.tail), len(layer.grade_start) - 1
    width = layer.num_items + num_grades  # after the items of each grade one place for all others
    first = np.searchsorted(layer.node, np.arange(network.num_nodes + 1))
    use_tail, use_head = np.ones(num_edges, bool), np.ones(num_edges, bool)
    for e, node in dead_ends.items():
        use_tail[e], use_head[e] = network.tail[e] == node, network.head[e] == node
    keys = []
    for end, used in ((network.tail, use_tail), (network.head, use_head)):
        corridor = np.flatnonzero(used)
        at, run = _runs(first, end[corridor])
        item = layer.item[at]
        keys.append(corridor[run] * width + item + layer.grade_of(item))
    lane_start = (
        np.arange(num_edges)[:, None] * width + (layer.grade_start + np.arange(num_grades + 1))[None, :-1]
    )
    lane_start = np.append(lane_start.ravel(), num_edges * width)
    own = _distinct(np.concatenate(keys))
    listed = np.diff(np.searchsorted(own, lane_start))
    in_grade = np.tile(np.diff(layer.grade_start), num_edges)
    bundles = np.flatnonzero(listed < in_grade)
    rest = lane_start[bundles] + in_grade[bundles]
    key = np.sort(np.concatenate([own, rest]))
    lane_first = np.searchsorted(key, lane_start).astype(np.int64)
    lane = np.repeat(np.arange(num_edges * num_grades), np.diff(lane_first))
    corridor, grade = lane // num_grades, lane % num_grades
    item = key - corridor * width - grade
    bundled = item == layer.grade_start[grade + 1]
    # others' multipliers on a branch equal those at its root: one place stands for both ends
    shared_head = network.head.copy()
    for e in dead_ends:
        shared_head[e] = network.tail[e]
    places = []
    for end, shared_end in ((network.tail, network.tail), (network.head, shared_head)):
        known = layer.places(end[corridor], np.where(bundled, layer.grade_start[grade], item))
        shared = layer.common + shared_end[corridor] * num_grades + grade
        places.append(np.where(bundled, shared, known).astype(np.int32))
    column = np.where(bundled, layer.num_items + lane, item)
    return Lanes(lane_first, places[0], places[1], column.astype(np.int32))


def _bundled(single: Floats, grade_start: Ints, entries: list[tuple[Ints, Places]]) -> Floats:
    """Amounts of items, then of the bundles of each list of entries: what the grade has beside those listed."""
    num_items, num_grades = single.shape[1], len(grade_start) - 1
    whole = np.stack([single[:, a:b].sum(axis=1) for a, b in pairwise(grade_start)], axis=1)
    parts = [single]
    for first, column in entries:
        count = len(first) - 1
        grade = np.arange(count) % num_grades
        own = column < num_items
        of = np.repeat(np.arange(count), np.diff(first))[own]
        listed = np.stack([
            np.bincount(of, weights=amount[column[own]], minlength=count) for amount in single
        ])  # fmt: skip
        complete = np.bincount(of, minlength=count) == np.diff(grade_start)[grade]
        # outward: a bundle that is larger than those in it only relaxes
        rest = np.maximum(whole[:, grade] - listed, 0.0) + 1e-12 * whole[:, grade]
        parts.append(np.where(complete, 0.0, rest))
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


def _ends(
    network: SeasonalNetwork, commodities: Layer, origins: Layer, source: Ints, grade: Ints, num_lanes: int
) -> Ends:
    """Entries of sources and customers."""
    num_grades, num_nodes = len(network.grade_start) - 1, network.num_nodes
    origin_at = np.full(network.raw_per_unit.shape, -1, np.int64)
    origin_at[source, grade] = origins.places(network.source_node[source], np.arange(len(source)))
    source_first, source_at, source_item = _source_entries(network, commodities, num_lanes)
    customer = np.repeat(np.arange(len(network.customer_node)), np.diff(network.first_requirement))
    at_requirement = np.repeat(np.arange(len(network.first_commodity) - 1), np.diff(network.first_commodity))
    owner = customer[at_requirement]
    haul_node = np.maximum(network.haul_node, 0)
    block = np.arange(num_nodes * num_grades)
    own_block = origins.node * num_grades + origins.grade_of(origins.item)
    by_block = np.argsort(own_block, kind="stable")
    assert np.array_equal(by_block, np.arange(len(own_block)))
    node_first = np.searchsorted(own_block, np.arange(len(block) + 1))
    shared = np.diff(node_first) < np.diff(origins.grade_start)[block % num_grades]
    return Ends(
        source_first, source_at, source_item, origin_at,
        network.first_requirement, network.first_commodity, network.commodities_of,
        np.repeat(np.arange(num_grades), np.diff(network.grade_start)),
        commodities.places(network.customer_node[owner], network.commodities_of).astype(np.int32),
        commodities.places(haul_node[owner], network.commodities_of).astype(np.int32),
        network.customer_node, network.haul_node,
        (origins.place + node_first).astype(np.int64), origins.item.astype(np.int32),
        np.where(shared, origins.common + block, -1),
    )  # fmt: skip


def _source_entries(network: SeasonalNetwork, layer: Layer, num_lanes: int) -> tuple[Ints, Places, Places]:
    """What a source may make of each grade: commodities with an own multiplier at its node, and all others."""
    num_sources, num_grades = len(network.source_node), len(layer.grade_start) - 1
    first = np.searchsorted(
        layer.node * num_grades + layer.grade_of(layer.item), np.arange(network.num_nodes * num_grades + 1)
    )
    block = (network.source_node[:, None] * num_grades + np.arange(num_grades)[None, :]).ravel()
    at, run = _runs(first, block)
    own = np.bincount(run, minlength=len(block))
    bundles = np.flatnonzero(own < np.tile(np.diff(layer.grade_start), num_sources))
    run = np.concatenate([run, bundles])
    place = np.concatenate([layer.place + at, layer.common + block[bundles]])
    column = np.concatenate([layer.item[at], layer.num_items + num_lanes + bundles])
    order = np.argsort(run, kind="stable")
    source_first = np.searchsorted(run[order], np.arange(len(block) + 1)).astype(np.int64)
    return source_first, place[order].astype(np.int32), column[order].astype(np.int32)


def _scale(layer: Layer, amount: Floats, size: int, num_nodes: int, least: float) -> Floats:
    """1 / amount at the places of a layer, 0 elsewhere and for what has no amount, (T, size)."""
    num_grades = len(layer.grade_start) - 1
    place = np.arange(size)
    out = np.zeros((len(amount), size))
    block = layer.node * num_grades + layer.grade_of(layer.item)
    grade = np.tile(np.arange(num_grades), num_nodes)
    for t, row in enumerate(amount):
        own = row[layer.item]
        total = np.array([row[a:b].sum() for a, b in pairwise(layer.grade_start)])
        rest = total[grade] - np.bincount(block, weights=own, minlength=num_nodes * num_grades)
        for first, value in ((layer.place, own), (layer.common, rest)):
            at = place[first : first + len(value)]
            out[t, at] = np.where(value > 1e-9 * total.max(initial=0.0), 1.0 / np.maximum(value, least), 0.0)
    return out

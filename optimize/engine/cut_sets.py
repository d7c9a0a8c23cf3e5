"""Rows for node sets that get too little at a relaxed point (see `cut_set_kernels`)."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from optimize.engine.cut_rounds import Rows
from optimize.engine.cut_set_kernels import explore, grow_from_every_node, links_of
from optimize.engine.fixed_charge import (
    NEGLIGIBLE,
    BoolArray,
    FixedChargeNetwork,
    FloatArray,
    IntArray,
    NetworkModel,
)

# A set has to miss this share of its need; more sets than this are not kept in a round.
_LEAST_MISSING = 0.01
_MOST_SETS = 20_000
_MOST_ROWS = 200
# Sets in which one arc's use takes part, in one round.
_MOST_PER_ARC = 3
_STEPS, _CLIMB_STEPS = 25, 30
_TABU_STEPS = 5
# Arcs looked at from one start.
_EFFORT = 200_000
# Arcs used at least so much join their nodes: the parts are starts of the search for larger sets.
_LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)


class CutSets:
    """Finds rows of node sets; call with a point of the model."""

    def __init__(self, network: FixedChargeNetwork, model: NetworkModel) -> None:
        self._network, self._model = network, model
        self._widest = network.widest
        self._links = links_of(
            network.tail,
            network.head,
            self._widest,
            network.demand,
            network.slack,
            NEGLIGIBLE * network.total,
        )
        size = max(min(_MOST_SETS, 20_000_000 // max(network.num_nodes, 1)), 1)
        self._found = np.zeros((size, network.num_nodes), np.bool_)
        self._score = np.zeros(size)
        self._known: set[bytes] = set()

    def __call__(self, point: FloatArray, hard: bool) -> Rows:
        x = np.maximum(point[self._model.flow], 0.0)
        y = np.maximum(self._model.used_or_one(point), 0.0)
        num = grow_from_every_node(
            self._links, _STEPS, _EFFORT, x, y, _LEAST_MISSING, self._found, self._score, 0
        )
        if hard:
            num = self._climb(x, y, num)
        return self._rows(x, y, num)

    def _climb(self, x: FloatArray, y: FloatArray, num: int) -> int:
        """Larger sets, and sets from every node with nodes dropped again."""
        nodes = self._network.num_nodes
        for start in self._parts(x, y):
            num = explore(self._links, start, _CLIMB_STEPS, nodes // 2, _TABU_STEPS, _EFFORT, x, y,
                          _LEAST_MISSING, self._found, self._score, num)  # fmt: skip
        for v in range(nodes):
            start = np.arange(nodes) == v
            num = explore(self._links, start, 2 * _CLIMB_STEPS, _STEPS, _TABU_STEPS, _EFFORT, x, y,
                          _LEAST_MISSING, self._found, self._score, num)  # fmt: skip
        return num

    def _parts(self, x: FloatArray, y: FloatArray) -> list[BoolArray]:
        n = self._network
        parts: dict[bytes, BoolArray] = {}
        strength = np.where(np.isinf(y), x > NEGLIGIBLE * n.total, y)
        for level in _LEVELS:
            kept = strength >= level
            graph = sp.csr_array(
                (np.ones(int(kept.sum())), (n.tail[kept], n.head[kept])), shape=(n.num_nodes, n.num_nodes)
            )
            num, label = connected_components(graph, directed=False)
            for part in range(num):
                inside = label == part
                if 1 < inside.sum() <= n.num_nodes // 2:
                    parts[inside.tobytes()] = inside
        return list(parts.values())

    def _rows(self, x: FloatArray, y: FloatArray, num: int) -> Rows:
        """The rows that miss most, few for each arc, each divided by the set's need."""
        n, model = self._network, self._model
        times = np.zeros(n.num_arcs, np.int64)
        parts: list[tuple[IntArray, FloatArray]] = []
        for k in np.argsort(-self._score[:num], kind="stable"):
            arcs, need = _arcs_in(n, self._found[k])
            most = np.minimum(self._widest[arcs], need)
            by_use = most * y[arcs] < x[arcs]
            if (times[arcs[by_use]] >= _MOST_PER_ARC).any():
                continue
            columns = np.where(by_use, model.used[arcs], model.flow[arcs])
            key = np.sort(columns).tobytes()
            if key in self._known:
                continue
            self._known.add(key)
            times[arcs[by_use]] += 1
            parts.append((columns, np.where(by_use, most, 1.0) / need))
            if len(parts) >= _MOST_ROWS:
                break
        if not parts:
            return Rows.none(model.milp.num_columns)
        row = np.repeat(np.arange(len(parts)), [len(columns) for columns, _ in parts])
        columns, values = (np.concatenate(part) for part in zip(*parts, strict=True))
        matrix = sp.csr_array(
            sp.coo_array((values, (row, columns)), shape=(len(parts), model.milp.num_columns))
        )
        return Rows(matrix, np.full(len(parts), 1.0 - NEGLIGIBLE))


def _arcs_in(n: FixedChargeNetwork, inside: BoolArray) -> tuple[IntArray, float]:
    """Arcs by which a set must be reached, or, if it has to give away, left; and how much must pass."""
    net = float(n.demand[inside].sum())
    starts, ends = inside[n.tail], inside[n.head]
    if net > 0:
        return np.flatnonzero(ends & ~starts), net
    return np.flatnonzero(starts & ~ends), -net - max(n.slack, 0.0)

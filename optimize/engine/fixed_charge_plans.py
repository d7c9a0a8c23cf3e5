"""Plans of a fixed-charge network: linear slopes first, then programmes over a part of the arcs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import dijkstra

from optimize.engine.fixed_charge import (
    NEGLIGIBLE,
    BoolArray,
    FixedChargeNetwork,
    FloatArray,
    NetworkModel,
    incidence,
)
from optimize.engine.highs import solve_lp, solve_milp
from optimize.engine.stopping import Watch
from optimize.milp import Milp

_SLOPE_ROUNDS = 20
_NEIGHBOURHOOD_NODES = 500
_FIRST_SIZE, _SIZE_GROWTH = 0.15, 1.3
# Of the time that neighbourhoods have, one gets at most so much.
_NEIGHBOURHOOD_SHARE = 0.15


def plan_by_slopes(network: FixedChargeNetwork, watch: Watch) -> FloatArray | None:
    """The cheapest flow met while fixed costs are spread over the flow of the round before, shape (A,).

    Kim and Pardalos, Operations Research Letters 24 (1999).  None where the network is more than plain, or no
    flow exists.
    """
    if not network.is_plain:
        return None
    n, most = network, network.widest
    per_unit = n.fixed_cost / np.maximum(most, NEGLIGIBLE * n.total)
    milp = flow_programme(n, n.unit_cost + per_unit, most)
    best: FloatArray | None = None
    for _ in range(_SLOPE_ROUNDS):
        flow = solve_lp(milp, watch).x
        if flow is None:
            break
        if best is None or n.cost(flow) < n.cost(best):
            best = flow
        carried = flow > NEGLIGIBLE * n.total
        spread = np.where(carried, n.fixed_cost / np.where(carried, flow, 1.0), per_unit)
        if np.array_equal(spread, per_unit):
            break
        per_unit = spread
        milp = replace(milp, cost=n.unit_cost + per_unit)
    return best


def flow_programme(network: FixedChargeNetwork, unit_cost: FloatArray, most: FloatArray) -> Milp:
    """The flows of a network at unit costs (A,), none above ``most`` (A,); no decision in it."""
    return Milp(
        cost=unit_cost,
        matrix=incidence(network),
        row_lower=network.demand,
        row_upper=np.where(network.demand < 0, 0.0, network.demand),
        lower=np.zeros(network.num_arcs),
        upper=most,
        integral=np.zeros(network.num_arcs, np.bool_),
        maximise=False,
    )


def improve_among(
    milp: Milp, allowed: BoolArray, watch: Watch, start: FloatArray | None, max_nodes: int | None = None
) -> FloatArray | None:
    """The best plan found with the decisions ``allowed``, all others held where ``start`` has them (else at 0).

    Parameters
    ----------
    allowed : shape (n,), columns.

    Returns
    -------
    a plan of ``milp``, ``start`` where none better was found.
    """
    held = np.zeros(milp.num_columns) if start is None else start
    fixed = milp.integral & ~allowed
    part = milp.with_bounds(np.where(fixed, held, milp.lower), np.where(fixed, held, milp.upper))
    outcome = solve_milp(part, watch, start, max_nodes=max_nodes)
    if outcome.x is None or (start is not None and milp.value(outcome.x) >= milp.value(start)):
        return start
    return outcome.x


class Neighbourhoods:
    """Improves a plan around one node after the other: arcs near it are decided anew, the rest stays."""

    def __init__(self, network: FixedChargeNetwork, model: NetworkModel, milp: Milp, seed: int) -> None:
        self._model, self._milp = model, milp
        self._network = network
        self._rng = np.random.default_rng(seed)
        own = model.used >= 0
        nodes = network.num_nodes
        both = (np.concatenate([network.tail, network.head]), np.concatenate([network.head, network.tail]))
        self._graph = sp.csr_array((np.ones(2 * network.num_arcs), both), shape=(nodes, nodes))
        self._own = np.flatnonzero(own)

    def improve(self, x: FloatArray, watch: Watch) -> FloatArray:
        """Until the watch stops, or neighbourhoods have grown to the whole without success."""
        size, fruitless = _FIRST_SIZE, 0
        while not watch.must_stop and not watch.gap_reached and size <= 1.0:
            part = watch.child(seconds=_NEIGHBOURHOOD_SHARE * watch.remaining())
            found = improve_among(self._milp, self._around(size), part, x, _NEIGHBOURHOOD_NODES)
            assert found is not None
            fruitless += 1
            if self._milp.value(found) < self._milp.value(x):
                x, fruitless = found, 0
                watch.offer_plan(self._milp.value(x))
            if fruitless * size > 2.0:
                size, fruitless = size * _SIZE_GROWTH, 0
        return x

    def _around(self, size: float) -> BoolArray:
        """Decisions on arcs of the share ``size`` of all nodes nearest to a random one, shape (n,)."""
        n = self._network
        steps = dijkstra(self._graph, indices=[int(self._rng.integers(n.num_nodes))], unweighted=True)[0]
        steps = steps + self._rng.random(n.num_nodes)
        near = steps <= np.sort(steps)[max(int(size * n.num_nodes) - 1, 1)]
        allowed = np.zeros(self._milp.num_columns, np.bool_)
        arcs = self._own[near[n.tail[self._own]] & near[n.head[self._own]]]
        allowed[self._model.used[arcs]] = True
        return allowed

"""Networks of one commodity whose arcs have a fixed and a unit cost: what `network_cuts` and its neighbours solve.

    min  sum_a unit_a x_a + fixed_a y_a
    s.t. inflow - outflow = demand at every node (a supply may be used in part)
         0 <= x_a <= capacity_a y_a  (y_a = 1 without a price where an arc is no decision)
         at most one arc of a group is used; exactly ``num_counted`` of the counted arcs are used
         all inflow of a single-feed node comes by one arc

A facility that is opened is an arc from where its supply is to where it is given out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.milp import Milp, MilpBuilder

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# Amounts below this share of all demand are rounding.
NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class FixedChargeNetwork:
    """See the module's docstring.

    Attributes
    ----------
    tail, head : shape (A,), nodes.
    capacity : shape (A,), may be infinite.
    fixed_cost, unit_cost : shape (A,), none negative.
    demand : shape (N,), what a node receives exactly; negative: what it can supply at most.
    group : shape (A,), arcs of one group exclude each other; -1: in none.
    counted : shape (A,); exactly ``num_counted`` (None: any number) of these arcs are used.
    single_feed : shape (N,).
    """

    tail: IntArray
    head: IntArray
    capacity: FloatArray
    fixed_cost: FloatArray
    unit_cost: FloatArray
    demand: FloatArray
    group: IntArray
    counted: BoolArray
    num_counted: int | None
    single_feed: BoolArray
    total: float = field(init=False)
    """All that is received: no arc carries more."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", float(self.demand[self.demand > 0].sum()))

    @property
    def num_nodes(self) -> int:
        return len(self.demand)

    @property
    def num_arcs(self) -> int:
        return len(self.tail)

    @property
    def slack(self) -> float:
        """Supply that is left over."""
        return float(-self.demand.sum())

    @property
    def widest(self) -> FloatArray:
        """Most that each arc can carry in a plan that sends nothing in circles, shape (A,)."""
        supply, need = -self.demand, self.demand
        most = np.minimum(self.capacity, self.total)
        only_out = np.bincount(self.head, minlength=self.num_nodes) == 0
        only_in = np.bincount(self.tail, minlength=self.num_nodes) == 0
        most = np.where(only_out[self.tail], np.minimum(most, np.maximum(supply[self.tail], 0.0)), most)
        return np.where(only_in[self.head], np.minimum(most, np.maximum(need[self.head], 0.0)), most)

    @property
    def decided(self) -> BoolArray:
        """Arcs whose use is a decision of its own, shape (A,)."""
        return np.asarray(
            (self.fixed_cost > 0)
            | (self.group >= 0)
            | (self.counted & (self.num_counted is not None))
            | self.single_feed[self.head]
        )

    @property
    def is_plain(self) -> bool:
        """Whether nothing but conservation and capacity ties the arcs together."""
        tied = (self.group >= 0).any() or self.single_feed.any() or self.num_counted is not None
        return not bool(tied)

    def cost(self, flow: FloatArray) -> float:
        """Cost of a flow, each arc with flow paid for; what a count or a group asks for besides is not."""
        return float(self.unit_cost @ flow + self.fixed_cost @ (flow > NEGLIGIBLE * self.total))


@dataclass(frozen=True)
class NetworkModel:
    """The network as a programme: column ``flow[a]``, and ``used[a]`` (-1 where it is no decision)."""

    milp: Milp
    flow: IntArray
    used: IntArray

    def used_or_one(self, x: FloatArray) -> FloatArray:
        """Use of each arc at a point, shape (A,); inf where it is no decision."""
        return np.where(self.used >= 0, x[self.used], np.inf)

    def point(self, flow: FloatArray, negligible: float) -> FloatArray:
        """The point of a flow, shape (n,)."""
        x = np.zeros(self.milp.num_columns)
        x[self.flow] = np.where(flow > negligible, flow, 0.0)
        own = self.used >= 0
        x[self.used[own]] = flow[own] > negligible
        return x


def build_network_model(network: FixedChargeNetwork) -> NetworkModel:
    """The programme of the module's docstring, with the row that all demand passes what leaves the supplies."""
    b, n, most = MilpBuilder(maximise=False), network, network.widest
    flow = b.add_columns("flow", n.num_arcs, upper=most, cost=n.unit_cost)
    own = np.flatnonzero(n.decided)
    used = np.full(n.num_arcs, -1, np.int64)
    used[own] = b.add_columns("used", len(own), upper=1.0, cost=n.fixed_cost[own], integral=True)
    upper = np.where(n.demand < 0, 0.0, n.demand)
    b.add_rows("conserved", n.num_nodes, [(n.head, flow, 1.0), (n.tail, flow, -1.0)],
               lower=n.demand, upper=upper)  # fmt: skip
    b.add_rows("only_if_used", len(own), [(None, flow[own], 1.0), (None, used[own], -most[own])], upper=0.0)
    grouped = np.flatnonzero(n.group >= 0)
    groups, of = np.unique(n.group[grouped], return_inverse=True)
    b.add_rows("one_of_group", len(groups), [(of, used[grouped], 1.0)], upper=1.0)
    fed = np.flatnonzero(n.single_feed[n.head])
    nodes, at = np.unique(n.head[fed], return_inverse=True)
    b.add_rows("one_feed", len(nodes), [(at, used[fed], 1.0)], upper=1.0)
    if n.num_counted is not None:
        counted = np.flatnonzero(n.counted)
        b.add_rows("counted", 1, [(np.zeros(len(counted), np.int64), used[counted], 1.0)],
                   lower=n.num_counted, upper=n.num_counted)  # fmt: skip
    _add_supply_rows(b, n, used, most)
    return NetworkModel(b.build(), flow, used)


def _add_supply_rows(b: MilpBuilder, n: FixedChargeNetwork, used: IntArray, most: FloatArray) -> None:
    """What leaves the supplies has to hold all demand: in capacity, and in number of arcs."""
    own = n.demand < 0
    leaving = np.flatnonzero(own[n.tail] & ~own[n.head])
    if len(leaving) == 0 or (used[leaving] < 0).any():
        return
    at = np.zeros(len(leaving), np.int64)
    b.add_rows("supplies_suffice", 1, [(at, used[leaving], most[leaving])], lower=n.total * (1 - NEGLIGIBLE))
    least = fewest(most[leaving], n.total)
    b.add_rows("enough_supplies", 1, [(at, used[leaving], 1.0)], lower=float(least))


def fewest(sizes: FloatArray, total: float) -> int:
    """Fewest items that hold ``total`` together; one more than there are where all do not."""
    held = np.cumsum(np.sort(sizes)[::-1])
    return int(np.searchsorted(held, total * (1 - NEGLIGIBLE))) + 1


def incidence(network: FixedChargeNetwork) -> sp.csr_array:
    """Inflow less outflow of each node, shape (N, A)."""
    arcs, ones = np.arange(network.num_arcs), np.ones(network.num_arcs)
    return sp.csr_array(
        sp.coo_array(
            (np.concatenate([ones, -ones]), (np.concatenate([network.head, network.tail]), np.tile(arcs, 2))),
            shape=(network.num_nodes, network.num_arcs),
        )
    )

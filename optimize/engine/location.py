"""Facilities with a price and a capacity, and customers they serve directly: capacitated location with proof.

    min  sum_i fixed_i y_i + sum_ij serve_ij x_ij     x_ij: share of customer j that facility i serves
    s.t. sum_i x_ij = 1,  sum_j need_j x_ij <= capacity_i y_i,  x_ij <= y_i,  sum_i y_i = p where asked for
         x_ij whole for customers on a single feed

1. The rows of the customers are dualised (`location_bound`): a knapsack per facility, and the choice of
   facilities that together hold all demand.  The bound is close, and prices each facility.
2. A programme over the cheapest facilities gives a plan.
3. Facilities whose opening, or closing, costs more than the room between bound and plan are fixed.  What is
   left is a programme of few facilities; its rows x_ij <= y_i come where its relaxation breaks them.

Beasley, EJOR 33 (1988); Avella, Boccia, Sforza and Vasil'ev, J. Heuristics 15 (2009).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from optimize.engine.cut_rounds import Rows, tighten, with_rows
from optimize.engine.fixed_charge import (
    NEGLIGIBLE,
    BoolArray,
    FixedChargeNetwork,
    FloatArray,
    IntArray,
    fewest,
)
from optimize.engine.highs import solve_milp
from optimize.engine.location_bound import LocationBound, LocationPrices
from optimize.engine.stopping import Watch
from optimize.milp import Milp, MilpBuilder
from optimize.result import StopReason

_BOUND_SHARE, _FIRST_SHARE, _ROOT_SHARE = 0.3, 0.3, 0.3
_FIRST_FACILITIES = 4
# The first plan need not be better than this share of the bound.
_FIRST_GAP = 1e-3
_LEAST_ROW = 1e-6
_ROWS_AT_ONCE = 20_000


@dataclass(frozen=True)
class Location:
    """See the module's docstring; facilities I, customers J.

    Attributes
    ----------
    serve : shape (J, I), cost of serving all of a customer; inf where that cannot be.
    arc, opening : shapes (J, I) and (I,), arcs of the network (-1: none).
    """

    fixed: FloatArray
    capacity: FloatArray
    need: FloatArray
    serve: FloatArray
    whole: BoolArray
    num_open: int | None
    arc: IntArray
    opening: IntArray
    num_arcs: int

    @property
    def least_open(self) -> int:
        """Facilities that it takes to hold all demand."""
        return fewest(self.capacity, float(self.need.sum()))

    def opened(self, x: FloatArray) -> BoolArray:
        """Facilities that serve by shares (J, I), and the cheapest idle ones that the number asked for needs."""
        is_open: BoolArray = np.asarray((x > NEGLIGIBLE).any(axis=0))
        lacking = 0 if self.num_open is None else self.num_open - int(is_open.sum())
        if lacking > 0:
            idle = np.flatnonzero(~is_open)
            is_open[idle[np.argsort(self.fixed[idle], kind="stable")[:lacking]]] = True
        return is_open

    def cost(self, x: FloatArray) -> float:
        """Cost of shares (J, I)."""
        return float((np.where(x > 0, self.serve, 0.0) * x).sum() + self.fixed @ self.opened(x))

    def flow(self, x: FloatArray) -> FloatArray:
        """Flow on the arcs of the network, shape (A,)."""
        flow = np.zeros(self.num_arcs)
        served = self.arc >= 0
        flow[self.arc[served]] = (x * self.need[:, None])[served]
        own = self.opening >= 0
        flow[self.opening[own]] = (x * self.need[:, None]).sum(axis=0)[own]
        return flow


def location_of(n: FixedChargeNetwork) -> Location | None:
    """The network as facilities and customers; None where it is more than that."""
    if (n.group >= 0).any():
        return None
    customer = n.demand > 0
    gives = np.flatnonzero(customer[n.head])
    facility = np.zeros(n.num_nodes, np.bool_)
    facility[n.tail[gives]] = True
    inner = np.flatnonzero(~customer[n.head])
    into = np.bincount(n.head[inner], minlength=n.num_nodes)
    supply = np.maximum(-n.demand, 0.0)
    simple = (
        not (facility & customer).any()
        and (supply[n.tail[inner]] > 0).all()
        and not facility[n.tail[inner]].any()
        and facility[n.head[inner]].all()
        and (into[facility] == (supply[facility] == 0)).all()
        and (np.bincount(n.tail[inner], minlength=n.num_nodes) <= 1).all()
        and (n.fixed_cost[gives] == 0).all()
        and (n.capacity[gives] >= n.demand[n.head[gives]] * (1 - NEGLIGIBLE)).all()
        and not n.counted[gives].any()
        and (n.num_counted is None or bool(n.counted[inner].all()))
        and len(np.unique(n.tail[gives] * n.num_nodes + n.head[gives])) == len(gives)
    )
    if not simple:
        return None
    facilities, customers = np.flatnonzero(facility), np.flatnonzero(customer)
    opening = np.full(n.num_nodes, -1, np.int64)
    opening[n.head[inner]] = inner
    opening = opening[facilities]
    opened = opening >= 0
    if n.num_counted is not None and not opened.all():
        return None
    column, row = np.searchsorted(facilities, n.tail[gives]), np.searchsorted(customers, n.head[gives])
    capacity = np.where(opened, np.minimum(n.capacity[opening], supply[n.tail[opening]]), supply[facilities])
    shape = (len(customers), len(facilities))
    arc, serve = np.full(shape, -1, np.int64), np.full(shape, np.inf)
    arc[row, column] = gives
    need = n.demand[customers]
    # a unit through a facility costs what its opening arc charges for it, too
    through = np.where(opened, n.unit_cost[opening], 0.0)
    serve[row, column] = (n.unit_cost[gives] + through[column]) * need[row]
    return Location(
        np.where(opened, n.fixed_cost[opening], 0.0), np.minimum(capacity, n.total), need, serve,
        n.single_feed[customers], n.num_counted, arc, opening, n.num_arcs,
    )  # fmt: skip


def solve_location(p: Location, watch: Watch) -> FloatArray | None:
    """The best flow found on the arcs of the network, shape (A,); bounds and plans are offered to ``watch``."""
    lagrangian = LocationBound(p.fixed, p.capacity, p.need, p.serve, p.whole, p.num_open, p.least_open)
    prices = lagrangian.improve(watch.child(seconds=_BOUND_SHARE * watch.remaining()))
    watch.offer_bound(prices.bound)
    x = _first_plan(p, prices, watch)
    best = None if x is None else p.cost(x)
    allowed, must = lagrangian.left(prices, np.inf if best is None else best)
    closed = _solve_over(p, allowed, must, watch, x, share=1.0, proves=True)
    if closed is not None and (x is None or p.cost(closed) < p.cost(x)):
        x = closed
    return None if x is None else p.flow(x)


def _first_plan(p: Location, prices: LocationPrices, watch: Watch) -> FloatArray | None:
    """A plan over the facilities that the bound opens first."""
    num = len(p.fixed)
    size = int(1.3 * prices.is_open.sum()) + _FIRST_FACILITIES
    while not watch.must_stop:
        allowed = np.zeros(num, np.bool_)
        allowed[np.argsort(prices.worth, kind="stable")[:size]] = True
        allowed |= prices.is_open
        if allowed.all():
            return None
        x = _solve_over(p, allowed, np.zeros(num, np.bool_), watch, None, share=_FIRST_SHARE, proves=False)
        if x is not None:
            return x
        size *= 2
    return None


def _solve_over(
    p: Location, allowed: BoolArray, must: BoolArray, watch: Watch, start: FloatArray | None, *, share: float,
    proves: bool,
) -> FloatArray | None:  # fmt: skip
    """The best plan with the ``allowed`` facilities of which those that ``must`` are open; None if there is none.

    ``proves``: all others hold no plan better than ``start``, so that what is proven here bounds all.
    """
    core = _Core(p, allowed, must)
    part = watch.child(seconds=share * watch.remaining(), plans=True)
    if not proves:
        part.gap = max(watch.gap, _FIRST_GAP)
    root = part.child(seconds=_ROOT_SHARE * part.remaining())
    root.plan = watch.plan
    tightened = tighten(core.milp, core.broken_rows, root)
    best = None if start is None else p.cost(start)
    milp = core.milp if tightened is None else tightened.milp
    if tightened is not None and best is not None:
        milp = tightened.narrowed(best)
    if core.is_small:
        milp = with_rows(milp, core.rows_not_given())
    if tightened is not None and proves:
        watch.offer_bound(tightened.bound if best is None else min(tightened.bound, best))
    outcome = solve_milp(milp, part, None if start is None else core.point(start))
    if proves and outcome.stop is StopReason.INFEASIBLE and best is not None:
        watch.offer_bound(best)
    if proves and outcome.bound is not None:
        watch.offer_bound(outcome.bound if best is None else min(outcome.bound, best))
    return None if outcome.x is None else core.shares(outcome.x)


class _Core:
    """The programme over some facilities."""

    def __init__(self, p: Location, allowed: BoolArray, must: BoolArray) -> None:
        self._p, self._facilities = p, np.flatnonzero(allowed)
        serve = p.serve[:, allowed]
        self._at = np.argwhere(np.isfinite(serve))  # (n, 2): customer, position of the facility
        j, i = self._at.T
        b = MilpBuilder(maximise=False)
        self._open = b.add_columns("open", len(self._facilities), lower=must[allowed].astype(float), upper=1.0,
                                   cost=p.fixed[allowed], integral=True)  # fmt: skip
        whole = p.whole[j]
        self._share = np.zeros(len(j), np.int64)
        self._share[~whole] = b.add_columns(
            "share", int((~whole).sum()), upper=1.0, cost=serve[j[~whole], i[~whole]]
        )
        self._share[whole] = b.add_columns("whole", int(whole.sum()), upper=1.0, cost=serve[j[whole], i[whole]],
                                           integral=True)  # fmt: skip
        b.add_rows("served", len(p.need), [(j, self._share, 1.0)], lower=1.0, upper=1.0)
        capacity = p.capacity[allowed]
        b.add_rows("within_capacity", len(capacity),
                   [(i, self._share, p.need[j]), (None, self._open, -capacity)], upper=0.0)  # fmt: skip
        at = np.zeros(len(capacity), np.int64)
        most = np.inf if p.num_open is None else p.num_open
        b.add_rows(
            "enough_open", 1, [(at, self._open, 1.0)], lower=float(p.num_open or p.least_open), upper=most
        )
        b.add_rows(
            "demand_held", 1, [(at, self._open, capacity)], lower=float(p.need.sum()) * (1 - NEGLIGIBLE)
        )
        self.milp: Milp = b.build()
        n, ones = len(j), np.ones(len(j))
        rows = np.arange(n)
        self._strong = sp.csr_array(
            sp.coo_array(
                (
                    np.concatenate([ones, -ones]),
                    (np.tile(rows, 2), np.concatenate([self._open[i], self._share])),
                ),
                shape=(n, self.milp.num_columns),
            )
        )
        self._given = np.zeros(n, np.bool_)

    @property
    def is_small(self) -> bool:
        return len(self._at) <= _ROWS_AT_ONCE

    def broken_rows(self, x: FloatArray, hard: bool) -> Rows:
        """Rows x_ij <= y_i that the point breaks; there is nothing harder to look for."""
        del hard
        broken = (self._strong @ x < -_LEAST_ROW) & ~self._given
        self._given |= broken
        return Rows(sp.csr_array(self._strong[np.flatnonzero(broken)]), np.zeros(int(broken.sum())))

    def rows_not_given(self) -> Rows:
        """The rows x_ij <= y_i that have not been asked for."""
        left = np.flatnonzero(~self._given)
        return Rows(sp.csr_array(self._strong[left]), np.zeros(len(left)))

    def point(self, shares: FloatArray) -> FloatArray:
        """Shares (J, I) as a point of the programme."""
        x = np.zeros(self.milp.num_columns)
        j, i = self._at.T
        x[self._share] = shares[j, self._facilities[i]]
        is_open = self._p.opened(shares)[self._facilities]
        x[self._open] = np.maximum(is_open, self.milp.lower[self._open])
        return x

    def shares(self, x: FloatArray) -> FloatArray:
        """Shares (J, I) of a point."""
        shares = np.zeros(self._p.serve.shape)
        j, i = self._at.T
        shares[j, self._facilities[i]] = x[self._share]
        return shares

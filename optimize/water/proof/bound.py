"""The bound that multipliers prove, in numpy, rounded outwards (mathematics: `optimize.water.proof`).

Rounding.  Inputs are exact numbers; a gain is a sum of at most four of them, so it is within 4 eps of the
sum of their sizes.  A corridor is filled from a list of falling gains; moving a break between two gains by
some flow moves the worth by that flow times the difference of the gains, so errors in the breaks (a sum of k
amounts is within k eps) and in the gains together change the worth of a flow F by no more than
(k + 32) eps F times the largest size of a gain's terms.  That is added to every worth; sums of worths are
taken exactly (`math.fsum`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from optimize.water.coefficients import BoolArray
from optimize.water.investments import FloatArray, IntArray
from optimize.water.proof.multipliers import NetworkMultipliers
from optimize.water.proof.terms import Lanes, Sources, Terms

EPS = 2.0**-52
_CELLS = 2_000_000
"""Numbers of one array of a slice of corridors: some 16 MB."""


@dataclass
class _Sum:
    """Terms of the bound, and by how much they may be too small."""

    terms: list[float] = field(default_factory=list)
    slack: list[float] = field(default_factory=list)

    def add(self, terms: FloatArray, slack: FloatArray) -> None:
        self.terms += terms.ravel().tolist()
        self.slack += slack.ravel().tolist()

    def upper(self) -> float:
        if any(math.isinf(term) for term in self.terms):
            return math.inf if math.inf in self.terms else -math.inf
        slack = math.fsum(self.slack) * (1.0 + 1e-9)
        return math.nextafter(math.fsum([*self.terms, slack]), math.inf)


def bound_of(terms: Terms, multipliers: NetworkMultipliers) -> float:
    """No plan of the seasons is worth more; -inf where something that must be built may not."""
    total = _Sum()
    constants = np.array(terms.constants)
    total.add(constants, 4 * EPS * np.abs(constants))
    _add_lanes(total, terms, multipliers)
    _add_sources(total, terms, multipliers)
    _add_users(total, terms, multipliers)
    return total.upper()


# --- filling by gains -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Filling:
    """Worth of flows, a row each: ``part`` more m3/d gain ``slope`` each, slopes not rising, none below 0."""

    slope: FloatArray  # (R, k)
    part: FloatArray  # (R, k)
    size: FloatArray  # (R,) of the terms of the largest gain that counts

    def worth(self, capacity: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Worth within each capacity (R, S), and its slack."""
        end = np.cumsum(self.part, axis=1)
        start = end - self.part
        worth = np.empty(capacity.shape)
        for s in range(capacity.shape[1]):
            used = np.clip(capacity[:, [s]] - start, 0.0, self.part)
            worth[:, s] = (self.slope * used).sum(axis=1)
        reach = np.minimum(end[:, -1:] if end.shape[1] else 0.0, capacity)
        slack = 2 * (self.slope.shape[1] + 32) * EPS * self.size[:, None] * reach
        return worth, slack


def _fill(
    gain: FloatArray, amount: FloatArray, origin_gain: FloatArray, limit: FloatArray, fare: FloatArray
) -> _Filling:
    """Dearest commodities and, at the same time, dearest origins.

    Parameters
    ----------
    gain, amount : shape (R, n), of commodities.
    origin_gain, limit : shape (R, m), of origins, gains -inf where there is none.
    fare : shape (R,).
    """
    num = gain.shape[1]
    order = np.argsort(-gain, axis=1, kind="stable")
    gain = np.take_along_axis(gain, order, axis=1)
    amount = np.take_along_axis(amount, order, axis=1)
    order = np.argsort(-origin_gain, axis=1, kind="stable")
    origin_gain = np.take_along_axis(origin_gain, order, axis=1)
    limit = np.take_along_axis(limit, order, axis=1)
    paying = gain + (origin_gain[:, :1] - fare[:, None]) > 0.0
    keep = min(num, 1 + int(paying.sum(axis=1).max(initial=0)))
    gain, amount = gain[:, :keep], amount[:, :keep]
    ends = np.concatenate([np.cumsum(amount, axis=1), np.cumsum(limit, axis=1)], axis=1)
    order = np.argsort(ends, axis=1, kind="stable")
    ends = np.take_along_axis(ends, order, axis=1)
    ends_commodity = order < keep
    item = np.cumsum(ends_commodity, axis=1) - ends_commodity
    origin = np.arange(order.shape[1]) - item
    beyond = (item >= keep) | (origin >= limit.shape[1])
    of_item = np.take_along_axis(gain, np.minimum(item, keep - 1), axis=1)
    of_origin = np.take_along_axis(origin_gain, np.minimum(origin, limit.shape[1] - 1), axis=1)
    slope = np.where(beyond, -np.inf, of_item + of_origin - fare[:, None])
    pays = slope > 0.0
    # the first that does not pay might, but for rounding; those after it gain no more
    counts = np.roll(pays, 1, axis=1)
    counts[:, 0] = True
    counts &= np.isfinite(slope)
    sizes = np.where(counts, np.abs(of_item) + np.where(counts, np.abs(of_origin), 0.0), 0.0).max(axis=1)
    width = 1 + int(pays.sum(axis=1).max(initial=0))
    part = np.diff(ends, axis=1, prepend=0.0)
    return _Filling(np.maximum(slope, 0.0)[:, :width], part[:, :width], sizes + np.abs(fare))


def _joined(ahead: _Filling, back: _Filling) -> _Filling:
    """Both ways within one capacity."""
    slope = np.concatenate([ahead.slope, back.slope], axis=1)
    part = np.concatenate([ahead.part, back.part], axis=1)
    order = np.argsort(-slope, axis=1, kind="stable")
    return _Filling(
        np.take_along_axis(slope, order, axis=1),
        np.take_along_axis(part, order, axis=1),
        np.maximum(ahead.size, back.size),
    )


# --- corridors ------------------------------------------------------------------------------------

Range: TypeAlias = slice
"""Commodities of one quality."""


def _qualities(terms: Terms) -> Iterator[tuple[int, Range]]:
    for g in range(terms.sources.makes.shape[1]):
        yield g, slice(*np.searchsorted(terms.quality, [g, g + 1]).tolist())


def _add_lanes(total: _Sum, terms: Terms, multipliers: NetworkMultipliers) -> None:
    num_seasons, num_edges = multipliers.num_seasons, len(terms.lanes.tail)
    for g, own in _qualities(terms):
        origins = np.flatnonzero((terms.sources.origin_limit[:, :, g] > 0.0).any(axis=0))
        amount = terms.users.demand[:, terms.demand[own]]
        width = max(amount.shape[1] + len(origins), 1)
        step = max(_CELLS // (2 * num_seasons * width), 1)
        for first in range(0, num_edges, step):
            edges = np.arange(first, min(first + step, num_edges))
            worth = np.zeros((len(edges), terms.lanes.cost.shape[2]))
            slack = np.zeros_like(worth)
            if amount.shape[1] and len(origins):
                _fill_lanes(worth, slack, terms, multipliers, g, own, origins, amount, edges)
            cost = terms.lanes.cost[edges, g]
            total.add((worth - cost).max(axis=1), _slack_of_best(worth, slack, cost))


def _slack_of_best(worth: FloatArray, slack: FloatArray, cost: FloatArray) -> FloatArray:
    """Slack of the best of several worths less their costs, the last axis."""
    allowed = np.isfinite(cost)
    size = np.where(allowed, slack + 16 * EPS * (np.abs(worth) + np.abs(np.where(allowed, cost, 0.0))), 0.0)
    return np.asarray(size.max(axis=-1, initial=0.0))


def _fill_lanes(
    worth: FloatArray, slack: FloatArray, terms: Terms, multipliers: NetworkMultipliers, g: int, own: Range,
    origins: IntArray, amount: FloatArray, edges: IntArray,
) -> None:  # fmt: skip
    """Add what some corridors of a quality carry in all seasons to ``worth`` and ``slack``, (edges, S)."""
    lanes = terms.lanes
    rise = _rise(multipliers.potential[:, :, own], lanes, edges)
    birth = _rise(multipliers.birth[:, :, origins, g], lanes, edges)
    limit = terms.sources.origin_limit[:, origins, g]
    capacity, fare = lanes.capacity[edges, g], lanes.fare[:, :, edges]
    most = np.minimum(amount.sum(axis=1)[:, None], capacity.max(axis=1)[None, :])
    gains: list[FloatArray] = []
    births: list[FloatArray] = []
    pays: list[BoolArray] = []
    for way, sign in enumerate((1.0, -1.0)):
        gains.append(sign * rise)
        births.append(np.where((limit > 0.0)[:, None, :], sign * birth, -np.inf))
        best, best_birth = gains[way].max(axis=2), births[way].max(axis=2)
        usable = np.isfinite(best_birth) & lanes.allowed[way, edges]
        pays.append((best + best_birth - fare[:, way] > 0.0) & usable)
        # what does not pay might, but for rounding
        idle = usable & ~pays[way]
        size = np.abs(best) + np.where(idle, np.abs(best_birth), 0.0) + np.abs(fare[:, way])
        slack += np.where(idle, 32 * EPS * most * size, 0.0).sum(axis=0)[:, None]

    def filled(way: int, t: IntArray, e: IntArray) -> _Filling:
        return _fill(gains[way][t, e], amount[t], births[way][t, e], limit[t], fare[t, way, e])

    own_worth = np.zeros((2, *rise.shape[:2], capacity.shape[1]))
    own_slack = np.zeros_like(own_worth)
    shared = pays[0] & pays[1] & ~lanes.single[:, None]
    for way in (0, 1):
        t, e = np.nonzero(pays[way] & ~shared)
        own_worth[way, t, e], own_slack[way, t, e] = filled(way, t, e).worth(capacity[e])
    t, e = np.nonzero(shared)
    own_worth[0, t, e], own_slack[0, t, e] = _joined(filled(0, t, e), filled(1, t, e)).worth(capacity[e])
    worth += own_worth.max(axis=0).sum(axis=0)
    slack += own_slack.max(axis=0).sum(axis=0) + rise.shape[0] * EPS * np.abs(own_worth).max(axis=0).sum(
        axis=0
    )


def _rise(potential: FloatArray, lanes: Lanes, edges: IntArray) -> FloatArray:
    """Difference from tail to head, (T, edges, …)."""
    return np.asarray(potential[:, lanes.head[edges]] - potential[:, lanes.tail[edges]])


# --- sources and users ----------------------------------------------------------------------------


def _add_sources(total: _Sum, terms: Terms, multipliers: NetworkMultipliers) -> None:
    sources = terms.sources
    for g, own in _qualities(terms):
        makers = np.flatnonzero(sources.makes[:, g])
        amount = terms.users.demand[:, terms.demand[own]]
        cost = sources.cost[makers, g]
        worth, slack = np.zeros_like(cost), np.zeros_like(cost)
        if amount.shape[1] and len(makers):
            _fill_sources(worth, slack, sources, multipliers, g, own, makers, amount)
        total.add((worth - cost).max(axis=1), _slack_of_best(worth, slack, cost))


def _fill_sources(
    worth: FloatArray, slack: FloatArray, sources: Sources, multipliers: NetworkMultipliers, g: int, own: Range,
    makers: IntArray, amount: FloatArray,
) -> None:  # fmt: skip
    """Add what some sources make of a quality in all seasons, season by season."""
    node = sources.node[makers]
    for t in range(multipliers.num_seasons):
        limit = sources.limit[t, makers, g]
        filling = _fill(
            multipliers.potential[t, node, own],
            np.broadcast_to(amount[t], (len(makers), amount.shape[1])),
            multipliers.birth[t, node, makers, g][:, None],
            limit[:, None],
            sources.unit[t, makers, g],
        )
        made, made_slack = filling.worth(np.minimum(sources.capacity[makers, g], limit[:, None]))
        worth += made
        slack += made_slack + EPS * np.abs(worth)


def _add_users(total: _Sum, terms: Terms, multipliers: NetworkMultipliers) -> None:
    users = terms.users
    piped, piped_size = _service(terms, multipliers, users.node, np.zeros_like(users.haulage), users.least)
    hauled, hauled_size = _service(
        terms, multipliers, np.maximum(users.haul_node, 0), users.haulage, np.zeros_like(users.least)
    )
    choices = np.stack([
        piped - users.connect,
        np.where(users.must | (users.haul_node < 0), -np.inf, hauled - users.haul),
        np.where(users.must, -np.inf, -users.idle),
    ])  # fmt: skip
    num = multipliers.num_seasons * len(terms.demand) + 32
    cost = np.where(np.isfinite(users.connect), users.connect, 0.0) + users.haul + users.idle
    total.add(choices.max(axis=0), num * EPS * (piped_size + hauled_size + np.abs(cost)))


def _service(
    terms: Terms, multipliers: NetworkMultipliers, node: IntArray, extra: FloatArray, least: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """What serving each user at some node is worth, each demand in its cheapest water, and the size of its terms.

    -inf where something has to be taken and there is no water for it.
    """
    users = terms.users
    where = node[users.of_demand]
    price, size = _cheapest(terms, multipliers, where)
    known = np.isfinite(price)
    margin = users.value - np.where(known, price, 0.0) - extra
    taken = np.where(margin > 0.0, users.demand, least)
    worth = np.where(known, margin * taken, np.where(least > 0.0, -np.inf, 0.0)).sum(axis=0)
    terms_of = np.where(known, np.abs(users.value) + size + np.abs(extra), 0.0) * users.demand
    num = len(users.node)
    total = np.zeros(num)
    np.add.at(total, users.of_demand, worth)
    size_of_user = np.zeros(num)
    np.add.at(size_of_user, users.of_demand, terms_of.sum(axis=0))
    return total, size_of_user


def _cheapest(
    terms: Terms, multipliers: NetworkMultipliers, where: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Least price of each demand's water at a node, (T, Q), inf where there is none, and the size of what it may be of."""
    limit = terms.sources.origin_limit
    price = np.full(terms.users.demand.shape, np.inf)
    size = np.zeros_like(price)
    for g, own in _qualities(terms):
        demand = terms.demand[own]
        if not len(demand):
            continue
        node = where[demand]
        birth = np.where(limit[:, None, :, g] > 0.0, multipliers.birth[:, :, :, g], np.inf).min(
            axis=2, initial=np.inf
        )[:, node]
        potential = multipliers.potential[:, node, np.arange(own.start, own.stop)]
        price[:, demand] = np.minimum(price[:, demand], potential + birth)
        sizes = np.abs(potential) + np.where(np.isfinite(birth), np.abs(birth), 0.0)
        size[:, demand] = np.maximum(size[:, demand], sizes)
    return price, size

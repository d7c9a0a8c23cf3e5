"""Front door of the network search: construct, improve for a number of iterations, keep the best.

The normal end is the iteration budget, so the same seed gives the same design; the watch is the
guard.  Infeasible in-between plans are allowed; `Design.violation` tells what is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from optimize.engine import network_search as kernel
from optimize.engine.network_data import (
    Assignment,
    Floats,
    Ints,
    Loads,
    Network,
    arcs_of,
    copy_of,
    empty_assignment,
    empty_loads,
    new_prices,
    new_workspace,
)
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FIRST_PRICES = (0.5, 1.0, 2.0, 4.0, 8.0)
BINDING_SHARE = 0.9  # of a budget, spent at the first price: below it money is hardly short
BOLDNESS = 1.0
OTHER_STARTS = tuple((price, 0.6) for price in (0.25, 0.5, 0.75, 1.0, 1.5))
"""Prices and boldness tried besides where the network is small enough for that to take no time."""
MOST_CUSTOMERS_FOR_OTHERS = 500
CONSTRUCT_SLICE = 64  # customers inserted between looks at the clock
SPARE_MEMBERS = 3  # customers tried first for each that a group asks for: some cannot be served
SHARES = {"area": 0.15, "trunk": 0.50, "source": 0.05, "open": 0.05, "close": 0.05, "force": 0.20}
"""Of the moves.  Trunks as a whole bring most: what is laid for one user after the other never becomes one trunk."""
NUM_NEAR_SOURCE = 80
HEAT = 4e-4  # start temperature per plan value and sqrt(60 / customers)
SCOUT_SHARE, SCOUT_TIME = 0.25, 0.1  # of the iterations of the search that follows, of the time left
SHORT_OF_TIME = 0.1  # share by which the clock has to be ahead of the iterations to be looked at
EASY_SHARE = 0.9  # of the iterations, and of the time where that is what ends them


@dataclass(frozen=True)
class Design:
    """Best design found: sizes (E, G), steps (P, G), who is served from where; net is its worth."""

    size: Ints
    step: Ints
    assignment: Assignment
    flow: Floats
    net: float
    violation: float
    iterations: int


@dataclass(frozen=True)
class SearchSettings:
    """What a search does besides the plainest, to be left out where what it brings is measured.

    Parameters
    ----------
    starts : first designs of small networks at `OTHER_STARTS` as well.
    trunks : all users of a trunk or of a source taken out together.
    episodes : sources opened and closed as a whole.
    forced : users without service served whatever it costs, with those around them.
    """

    starts: bool = True
    trunks: bool = True
    episodes: bool = True
    forced: bool = True


class _Held(NamedTuple):
    """A plan to come back to: its assignment, violation and worth, and the prices of money it was found at."""

    best: Assignment
    value: Floats
    price: Floats


class DesignSearch:
    """State of a search; ``construct`` gives the first design, ``improve`` betters it."""

    def __init__(self, network: Network, seed: int, settings: SearchSettings = SearchSettings()) -> None:
        self.network = network
        self.seed = seed
        self.settings = settings
        self.loads = empty_loads(network)
        self.prices = new_prices(network)
        self._work = new_workspace(network)
        self._plan, self._saved, self._spare, self._best = (empty_assignment(network) for _ in range(4))
        self._best_value = np.array([np.inf, -np.inf])
        self.iterations = 0
        self._shares = cumulated_shares(settings, num_sources=len(network.source_node))
        value = network.unit_value.max(axis=1, initial=0.0) * (network.demand @ network.weight)
        worth = np.bincount(network.customer_of, weights=value, minlength=len(network.customer_node))
        self._order = _with_asked_first(network, np.argsort(-worth, kind="stable").astype(np.int64))

    @property
    def violation(self) -> float:
        return float(self._best_value[0])

    @property
    def net(self) -> float:
        return float(self._best_value[1])

    def construct(self, watch: Watch, effect_share: float = 0.0) -> None:
        """First designs at rising prices of money until one fits the budgets, then shed customers.

        Where the first price leaves money over, money without a price is tried, too; in small networks
        fixed costs that count for less in the first insertions, as more customers will share them.

        Parameters
        ----------
        effect_share : price of what has to be reached, as a share of its penalty.
        """
        for price in FIRST_PRICES:
            if self._design_at(price, BOLDNESS, effect_share, watch) or watch.must_stop:
                break  # dearer money reaches no more
        ample = (self.loads.spent < BINDING_SHARE * self.network.budget).all()
        if price == FIRST_PRICES[0] and ample and len(self.network.budget) and not watch.must_stop:
            self._design_at(0.0, BOLDNESS, effect_share, watch)
        small = len(self._order) <= MOST_CUSTOMERS_FOR_OTHERS
        if self.settings.starts and small and len(self.network.budget):
            kept = self.prices.of_purse.copy()
            for price, boldness in OTHER_STARTS:
                if not watch.must_stop:
                    self._design_at(price, boldness, effect_share, watch)
            self.prices.of_purse[:] = kept

    def _design_at(self, price: float, boldness: float, effect_share: float, watch: Watch) -> bool:
        """A design at one price of money, shed where it spends too much; kept if it is the best.

        Returns whether it fits the budgets as it is.
        """
        self._clear()
        self.prices.of_purse[:] = price
        self.prices.of_effect[:] = effect_share * self.network.effect_price
        self._insert_all(boldness, watch)
        fits = bool((self.loads.spent <= self.network.budget).all())
        if not fits:
            kernel.shed(self.network, self.loads, self.prices, self._plan, self._spare)
        self._keep()
        return fits

    def _insert_all(self, boldness: float, watch: Watch) -> None:
        """Every customer in turn, in slices so that the clock is seen, then tidied up."""
        slices = [
            self._order[first : first + CONSTRUCT_SLICE]
            for first in range(0, len(self._order), CONSTRUCT_SLICE)
        ]
        for part in slices:
            if watch.must_stop:
                return
            self._call(kernel.construct, self._work, self._plan, self._spare, part, boldness, 0)
        for part in reversed(slices):
            if watch.must_stop:
                return
            self._call(kernel.tidy, self._work, self._plan, self._spare, part, len(part), False)

    def improve(
        self, watch: Watch, iterations: int, on_better: Callable[[float], None] | None = None
    ) -> None:
        """Most of the iterations with priced money, the rest with the budgets strict.

        Where the watch ends first, each part gets its share of the time instead.
        """
        easy = int(EASY_SHARE * iterations)
        self._anneal(watch.child(seconds=EASY_SHARE * watch.remaining()), easy, 1.0, 0.3, False, on_better)
        self._anneal(watch, iterations - easy, 0.1, 0.0, True, on_better)

    def improve_in_rounds(self, watch: Watch, iterations: int, scouts: int) -> None:
        """Short searches from the design at hand, each with its own chance, then a long one from the best.

        Which basin a search ends in shows early, and a longer one hardly leaves it.  Where the time is short,
        one scout goes ahead.

        Parameters
        ----------
        iterations : of the long search; a scout takes `SCOUT_SHARE` of them.
        """
        held = self._held()
        best = held
        for _ in range(scouts):
            part = watch.child(seconds=SCOUT_TIME * watch.remaining())
            self._take(held)
            self.improve(part, int(SCOUT_SHARE * iterations))
            found = self._held()
            if (found.value[0], -found.value[1]) < (best.value[0], -best.value[1]):
                best = found
            if part.must_stop:
                break
        self._take(best)
        self.improve(watch, iterations)

    def _held(self) -> _Held:
        return _Held(copy_of(self._best), self._best_value.copy(), self.prices.of_purse.copy())

    def _take(self, held: _Held) -> None:
        """Make a saved plan the best, at the prices it was found with."""
        self._best = copy_of(held.best)
        self._best_value[:] = held.value
        self.prices.of_purse[:] = held.price

    def design(self) -> Design:
        """The best design so far; the search can go on from it."""
        self._return_to_best()
        return Design(
            self.loads.size.copy(),
            self.loads.step.copy(),
            copy_of(self._best),
            self.loads.flow.copy(),
            self.net,
            self.violation,
            self.iterations,
        )

    def _anneal(
        self, watch: Watch, iterations: int, start: float, end: float, strict: bool,
        on_better: Callable[[float], None] | None,
    ) -> None:  # fmt: skip
        if not iterations or watch.must_stop:
            return
        self._return_to_best()
        base = np.maximum(self.prices.of_purse, 0.02) if strict else self.prices.of_purse
        base = base.copy()
        chunk = self._chunk()
        heat = HEAT * abs(self.net) / np.sqrt(max(len(self._order), 1) / 60.0)
        began, seconds = watch.seconds(), max(watch.remaining(), 1e-9)
        done = 0
        while done < iterations and not watch.must_stop:
            count = min(chunk, iterations - done)
            # the end that comes first sets the temperature; only a watch that is short is looked at
            late = (watch.seconds() - began) / seconds
            at = done / iterations
            at = late if late > at + SHORT_OF_TIME else at
            high, low = (start + (end - start) * min(x, 1.0) for x in (at, at + count / iterations))
            before = self._best_value.copy()
            kernel.improve(
                self.network, self.loads, self.prices, self._work, self._plan, self._saved, self._spare,
                self._best, self._best_value, base, self._shares, self._near_sources,
                self.seed * 1_000_003 + self.iterations, count, heat * high, heat * low, strict,
            )  # fmt: skip
            done += count
            self.iterations += count
            improved = self._best_value[1] > before[1] or self._best_value[0] < before[0]
            if on_better is not None and improved and self.violation == 0.0:
                on_better(self.net)
            if self.iterations % (20 * chunk) < chunk:
                self._refresh()
        if strict:
            self.prices.of_purse[:] = base  # instead of the last that was drawn around it

    @cached_property
    def _near_sources(self) -> Ints:
        """The customers nearest to each source by the cost of the smallest pipes, nearest first, (P, B)."""
        network = self.network
        num = min(NUM_NEAR_SOURCE, len(self._order))
        if not self.settings.episodes or not len(network.source_node):
            return np.zeros((0, num), np.int64)
        return self._rank_customers(num)

    def _rank_customers(self, num: int) -> Ints:
        """The first ``num`` customers on the ways from each source, (P, num)."""
        from scipy.sparse.csgraph import dijkstra  # a moment that searches without episodes need not wait for

        near = np.empty((len(self.network.source_node), num), np.int64)
        for row, node in enumerate(self.network.source_node):
            distance = dijkstra(self._graph, indices=node)[self.network.customer_node]
            near[row] = np.argsort(distance, kind="stable")[:num]
        return near

    @cached_property
    def _graph(self) -> csr_array:
        """Corridors with the cost of their smallest pipe, both ways."""
        from scipy.sparse import csr_array

        network = self.network
        num = len(network.first_arc) - 1
        length = 1.0 + np.maximum(network.pipe_cost[network.arc_edge, 0, 1], 0.0)
        return csr_array((length, network.arc_tip, network.first_arc), shape=(num, num))

    def _chunk(self) -> int:
        """Iterations between looks at the clock."""
        return 50 if len(self._order) <= 500 else (10 if len(self._order) <= 2_000 else 2)

    def _refresh(self) -> None:
        """Recompute the loads: sums of differences drift."""
        saved = copy_of(self._plan)
        self._reset_loads()
        kernel.restore(self.network, self.loads, self._plan, saved)

    def _return_to_best(self) -> None:
        self._reset_loads()
        kernel.restore(self.network, self.loads, self._plan, self._best)

    def _clear(self) -> None:
        self._reset_loads()

    def _reset_loads(self) -> None:
        self._plan.served[:] = 0
        for array, fresh in zip(self.loads, empty_loads(self.network), strict=True):
            array[...] = fresh

    def _keep(self) -> None:
        kernel.keep_if_better(self.network, self.loads, self._plan, self._best, self._best_value)

    def _call(self, function: Callable[..., None], *rest: object) -> None:
        function(self.network, self.loads, self.prices, *rest)


def cumulated_shares(settings: SearchSettings, num_sources: int) -> Floats:
    """Shares of the moves as `network_search.improve` takes them, of those that are left in."""
    taken = {
        "trunk": settings.trunks, "source": settings.trunks, "force": settings.forced,
        "open": settings.episodes and num_sources > 0, "close": settings.episodes and num_sources > 0,
    }  # fmt: skip
    shares = np.array([share * taken.get(move, True) for move, share in SHARES.items()])
    return np.asarray(np.cumsum(shares)[:-1] / shares.sum())


def _with_asked_first(network: Network, order: Ints) -> Ints:
    """The order with customers of each hard group at the head, some more than it asks for."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    member = np.repeat(np.arange(len(order)), np.diff(network.first_group))
    asked = [np.zeros(0, np.int64)]
    for group in np.flatnonzero(network.group_hard):
        own = member[network.group_of == group]
        num = int(np.ceil(SPARE_MEMBERS * network.group_need[group]))
        asked.append(own[np.argsort(place[own], kind="stable")][:num])
    head = np.unique(np.concatenate(asked))
    head = head[np.argsort(place[head], kind="stable")]
    return np.concatenate([head, order[~np.isin(order, head)]])


@cache
def compile_kernels() -> None:
    """Compile (or load from the cache on disk) all kernels of the search, on a network of one pipe.

    Costs 15 to 30 s of one core the first time after installation, then a fraction of a second once per process.
    """
    first, tip, edge, sign = arcs_of(2, np.array([0]), np.array([1]))
    one, none = np.ones(1), np.zeros(0)
    zero, whole = np.zeros((1, 1)), np.zeros((1, 1), np.int64)
    network = Network(
        first, tip, edge, sign, one, np.array([0.0, 2.0, np.inf]), zero, np.array([[[0.0, 1.0, 1e9]]]),
        np.array([[[[0.0], [1.0], [0.0]]]]), whole, whole + 1, np.zeros((1, 2)), np.zeros(1, np.int64),
        np.array([0, -1]), np.array([[9.0]]), np.ones((1, 1)), zero, np.array([[[0.0, 2.0]]]),
        np.array([[[0.0, 1.0]]]), np.array([[[[0.0], [1.0]]]]), whole, whole + 1, zero, np.ones(1, np.int64),
        np.zeros(1), zero.copy(), np.ones(1, np.int64), np.array([0, 1]), np.zeros(1, np.int64),
        np.ones((1, 1), bool), np.ones((1, 1)), zero.copy(), np.full((1, 1), 9.0), np.array([0.5]),
        np.zeros(2, np.int64), np.zeros(0, np.int64), none, none, np.zeros(0, np.int64), none, none,
        np.zeros(0, np.int64), np.zeros((1, 1, 0)), np.zeros((1, 1, 0)), np.zeros((1, 0), np.int64),
    )  # fmt: skip
    search = DesignSearch(network, 0)
    watch = Watch(SolveOptions(time_limit_s=600.0), maximise=True)
    search.construct(watch)
    search.improve(watch, 2)


def loads_of(network: Network, assignment: Assignment) -> Loads:
    """Loads of an assignment computed afresh (for tests and certificates)."""
    loads = empty_loads(network)
    plan = empty_assignment(network)
    kernel.restore(network, loads, plan, assignment)
    return loads

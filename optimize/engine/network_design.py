"""Front door of the network search: construct, improve for a number of iterations, keep the best.

The normal end is the iteration budget, so the same seed gives the same design; the watch is the
guard.  Infeasible in-between plans are allowed; `Design.violation` tells what is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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

FIRST_PRICES = (0.5, 1.0, 2.0, 4.0, 8.0)
BINDING_SHARE = 0.9  # of a budget, spent at the first price: below it money is hardly short
BOLDNESS = 1.0
CONSTRUCT_SLICE = 64  # customers inserted between looks at the clock
SPARE_MEMBERS = 3  # customers tried first for each that a group asks for: some cannot be served
HEAT = 4e-4  # start temperature per plan value and sqrt(60 / customers)


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


class DesignSearch:
    """State of a search; ``construct`` gives the first design, ``improve`` betters it."""

    def __init__(self, network: Network, seed: int) -> None:
        self.network = network
        self.seed = seed
        self.loads = empty_loads(network)
        self.prices = new_prices(network)
        self._work = new_workspace(network)
        self._plan, self._saved, self._spare, self._best = (empty_assignment(network) for _ in range(4))
        self._best_value = np.array([np.inf, -np.inf])
        self.iterations = 0
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

        Where the first price leaves money over, money without a price is tried, too.

        Parameters
        ----------
        effect_share : price of what has to be reached, as a share of its penalty.
        """
        for price in FIRST_PRICES:
            if self._design_at(price, effect_share, watch) or watch.must_stop:
                break  # dearer money reaches no more
        ample = (self.loads.spent < BINDING_SHARE * self.network.budget).all()
        if price == FIRST_PRICES[0] and ample and len(self.network.budget) and not watch.must_stop:
            self._design_at(0.0, effect_share, watch)

    def _design_at(self, price: float, effect_share: float, watch: Watch) -> bool:
        """A design at one price of money, shed where it spends too much; kept if it is the best.

        Returns whether it fits the budgets as it is.
        """
        self._clear()
        self.prices.of_purse[:] = price
        self.prices.of_effect[:] = effect_share * self.network.effect_price
        self._insert_all(watch)
        fits = bool((self.loads.spent <= self.network.budget).all())
        if not fits:
            kernel.shed(self.network, self.loads, self.prices, self._plan, self._spare)
        self._keep()
        return fits

    def _insert_all(self, watch: Watch) -> None:
        """Every customer in turn, in slices so that the clock is seen, then tidied up."""
        slices = [
            self._order[first : first + CONSTRUCT_SLICE]
            for first in range(0, len(self._order), CONSTRUCT_SLICE)
        ]
        for part in slices:
            if watch.must_stop:
                return
            self._call(kernel.construct, self._work, self._plan, self._spare, part, BOLDNESS, 0)
        for part in reversed(slices):
            if watch.must_stop:
                return
            self._call(kernel.tidy, self._work, self._plan, self._spare, part, len(part), False)

    def improve(
        self, watch: Watch, iterations: int, on_better: Callable[[float], None] | None = None
    ) -> None:
        """Half of the iterations with priced money, half with the budgets strict."""
        easy = iterations // 2
        self._anneal(watch, easy, 1.0, 0.5, False, on_better)
        self._anneal(watch, iterations - easy, 0.25, 0.0, True, on_better)

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
        done = 0
        while done < iterations and not watch.must_stop:
            count = min(chunk, iterations - done)
            high, low = (start + (end - start) * at / iterations for at in (done, done + count))
            before = self._best_value.copy()
            kernel.improve(
                self.network, self.loads, self.prices, self._work, self._plan, self._saved, self._spare,
                self._best, self._best_value, base, self.seed * 1_000_003 + self.iterations, count,
                heat * high, heat * low, strict,
            )  # fmt: skip
            done += count
            self.iterations += count
            improved = self._best_value[1] > before[1] or self._best_value[0] < before[0]
            if on_better is not None and improved and self.violation == 0.0:
                on_better(self.net)
            if self.iterations % (20 * chunk) < chunk:
                self._refresh()

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


def compile_kernels() -> None:
    """Compile (or load from the cache on disk) all kernels of the search, on a network of one pipe.

    Costs 15 to 30 s of one core the first time after installation, then a fraction of a second.
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

"""Upper bound on the worth of a network design by a Lagrangian knapsack relaxation, compiled.

Each requirement and grade is a commodity of its own.  Conservation at the nodes, the purses and the
raw amounts are dualised.  What is left falls apart: a corridor and grade buys, for each size, the
most valuable commodities that fit (a continuous knapsack whose items are potential differences less
the flow cost, each at most its demand), and takes the best size or none; a source does the same over
its steps; a customer is connected if its requirements are worth the potentials at its node.

Water is also followed by its origin: from one source no pipe carries more than the source can make,
so that pipes near sources are not bought by small shares of very large ones.  Both counts of a pipe's
flow are equal, which costs no multiplier.  In a season with one period a pipe's water runs one way.

The value for any multipliers is a valid bound; the volume method (Barahona and Anbil, 2000) improves
them.  Seasons are means of periods, which relaxes the problem; the more seasons, the less.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from optimize.engine.network_bound_data import Chosen, Fixed, Priced, new_scratch, no_tangents
from optimize.engine.network_bound_kernels import NUM_TANGENTS, fill_pipes, fill_sources
from optimize.engine.network_bound_steps import price_works, products, serve_customers, turned_and_moved
from optimize.engine.network_data import Floats, Ints
from optimize.engine.network_multipliers import Multipliers, multipliers_of
from optimize.engine.seasonal_network import SeasonalNetwork
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions

ROUNDING = 1e-9  # outward, relative to the gross sum of the terms
SMALLEST_WEIGHT, LARGEST_WEIGHT = 0.005, 0.1  # of the newest subgradient in the volume direction
FIRST_LENGTH, LONGEST, SHORTEST = 0.3, 2.0, 1e-5
SHORTER, SHORTER_LATE, LATE_WEIGHT = 0.7, 0.85, 0.03  # late: once the newest subgradient weighs no more
SLOW_SHARE = 0.03  # of the gap: with less gained in a hundred rounds the newest subgradient weighs less
SLOW_SHARE_OF_MANY, MANY = 0.012, 150  # the same from so many customers on: large networks take more rounds
LEAST_FOLLOWED = 0.05  # step length from which a bound that follows another goes on
UNLUCKY = 10  # rounds without a better bound after which steps get shorter
BIRTH_SCALE = 0.3  # of the origins' steps beside those of the commodities
LEAST_AMOUNT = 1e-3  # below which steps of a multiplier do not grow any more
IN_FULL = 2**62  # multipliers: every item has its own at every node


@dataclass
class Prices:
    """Multipliers of the global rows: purses (R,), raw amounts (T, P), effects (M,), all >= 0."""

    purse: Floats
    raw: Floats
    effect: Floats

    def moved(self, direction: Prices, length: float, scale: Prices) -> Prices:
        return Prices(*(
            np.maximum(0.0, own - length * step * along)
            for own, along, step in zip(self._parts(), direction._parts(), scale._parts(), strict=True)
        ))  # fmt: skip

    def blended(self, other: Prices, weight: float) -> Prices:
        return Prices(*(
            weight * new + (1 - weight) * old
            for old, new in zip(self._parts(), other._parts(), strict=True)
        ))  # fmt: skip

    def product(self, other: Prices, scale: Prices) -> float:
        return float(sum(
            (a * b * s).sum() for a, b, s in zip(self._parts(), other._parts(), scale._parts(), strict=True)
        ))  # fmt: skip

    def _parts(self) -> tuple[Floats, Floats, Floats]:
        return self.purse, self.raw, self.effect


@dataclass(frozen=True)
class _Turn:
    """What the last evaluation found: how the direction is to be turned, and scaled products before that."""

    weight: float
    dd: float
    dg: float
    gg: float
    price_slope: Prices

    @property
    def square(self) -> float:
        """Scaled square of the direction after the turn."""
        stay = 1.0 - self.weight
        return stay**2 * self.dd + 2.0 * self.weight * stay * self.dg + self.weight**2 * self.gg


@dataclass(frozen=True)
class BoundSettings:
    """What a bound does besides the plainest, to be left out where what it brings is measured.

    Parameters
    ----------
    origins : water is told apart by the source it comes from.
    most_multipliers : by season, about, of items' own at nodes (see `network_multipliers`); the rest are shared.
    threads : in which pipes are evaluated, at most 2.
    """

    origins: bool = True
    most_multipliers: int = IN_FULL
    threads: int = 1


class LagrangianBound:
    """Multipliers and the best bound; ``run`` goes on where it was until the watch says stop."""

    def __init__(
        self, network: SeasonalNetwork, potential: Floats, prices: Prices,
        settings: BoundSettings = BoundSettings(),
    ) -> None:  # fmt: skip
        """Begin from potentials of nodes and grades, (N, G), for the mean season, and from prices."""
        multipliers = multipliers_of(network, settings.most_multipliers)
        share = np.full((network.num_seasons, 1), 1.0 / network.num_seasons)
        self._begin(network, multipliers, share * multipliers.by_commodity(potential), prices, settings)

    def _begin(
        self, network: SeasonalNetwork, multipliers: Multipliers, centre: Floats, prices: Prices,
        settings: BoundSettings,
    ) -> None:  # fmt: skip
        self.network, self.multipliers, self.settings = network, multipliers, settings
        self._centre, self._prices = centre, prices
        self._fixed = _fixed(network, multipliers)
        self._price_scale = _price_scale(network)
        by_commodity, by_origin = multipliers.scale(network, LEAST_AMOUNT)
        # without origins their multipliers stay where they begin, at nothing
        self._scale = by_commodity + BIRTH_SCALE * by_origin if settings.origins else by_commodity
        seasons = network.num_seasons
        self._chosen = _nothing_chosen(network)
        self._orders = [
            _first_order(lanes.first, seasons) for lanes in (multipliers.lanes, multipliers.origin_lanes)
        ]
        self._source_order = _first_order(multipliers.ends.source_first, seasons)
        self._tangents = no_tangents(seasons, len(multipliers.lanes.first) - 1, NUM_TANGENTS)
        self._slopes = [np.zeros_like(centre), np.zeros_like(centre)]
        self.use_threads(settings.threads)
        self._direction: Floats | None = None
        self._length, self._unlucky, self._weight = FIRST_LENGTH, 0, LARGEST_WEIGHT
        self.iterations = 0
        self.best = np.inf

    def use_threads(self, threads: int) -> None:
        """Evaluate the pipes in so many threads from now on, at most 2."""
        self.settings = replace(self.settings, threads=threads)
        threads = min(threads, 2)
        network, (widest, most_origins) = self.network, self.multipliers.most_entries
        sizes = max(network.pipe_cost.shape[2], network.step_cost.shape[2])
        self._scratches = [
            new_scratch(network.num_seasons, widest, most_origins, sizes) for _ in range(threads)
        ]
        self._pool = ThreadPoolExecutor(1) if threads > 1 else None
        num_grades, first = network.pipe_cost.shape[1], self.multipliers.lanes.first
        self._half = int(np.searchsorted(first[::num_grades], first[-1] / 2))

    def refined(self, network: SeasonalNetwork, share: Floats, season_of: Ints) -> LagrangianBound:
        """The bound over more seasons, from these multipliers.

        ``share`` (T',) is the weight of each new season in the old one that it belongs to, ``season_of`` (T',).
        """
        centre = share[:, None] * self._centre[season_of]
        raw = share[:, None] * self._prices.raw[season_of]
        return self._followed(network, self.multipliers, centre, replace(self._prices, raw=raw))

    def branched(self, network: SeasonalNetwork) -> LagrangianBound:
        """The bound with other costs (inf: forbidden) of the same works, from these multipliers."""
        return self._followed(network, self.multipliers, self._centre.copy(), self._prices)

    def widened(self, most_multipliers: int) -> LagrangianBound:
        """The bound with more multipliers of items' own, from these."""
        finer = multipliers_of(self.network, most_multipliers)
        centre = finer.taken_from(self.multipliers, self._centre)
        settings = replace(self.settings, most_multipliers=most_multipliers)
        return self._followed(self.network, finer, centre, self._prices, settings)

    def _followed(
        self, network: SeasonalNetwork, multipliers: Multipliers, centre: Floats, prices: Prices,
        settings: BoundSettings | None = None,
    ) -> LagrangianBound:  # fmt: skip
        follower = LagrangianBound.__new__(LagrangianBound)
        follower._begin(network, multipliers, centre, prices, settings or self.settings)
        follower._weight, follower._length = self._weight, max(self._length, LEAST_FOLLOWED)
        return follower

    def best_multipliers(self) -> tuple[Floats, Floats, Prices]:
        """Those of the best bound in full: potentials (T, N, W), births (T, N, P, G), prices."""
        return *self.multipliers.in_full(self._centre, self.network), self._prices

    def value_at(self, potential: Floats, birth: Floats, prices: Prices) -> float:
        """The bound that such multipliers prove, as shared as those at hand; the best stays as it is."""
        slopes = [slope.copy() for slope in self._slopes]
        value = self._value(self.multipliers.from_full(potential, birth, self.network), prices)[0]
        for slope, kept in zip(self._slopes, slopes, strict=True):
            slope[:] = kept
        return value

    def run(self, watch: Watch, target: float, most_iterations: int) -> float:
        """Volume method towards ``target`` (the best plan); returns the best bound."""
        if self._direction is None:
            self.best, slope = self._value(self._centre, self._prices)
            _, square = products(self._slopes[0], self._slopes[0], self._slopes[1], self._scale)
            self._direction, self._price_direction = self._slopes[0].copy(), slope
            self._trial = np.empty_like(self._centre)
            self._turn = _Turn(0.0, square, square, square, slope)
            self._at_last_check = self.best
        for _ in range(most_iterations):
            if watch.must_stop or self.best <= target:
                break
            self._iterate(target)
        return self.best

    def _iterate(self, target: float) -> None:
        """One step from the centre, along the direction after its last turn."""
        turn = self._turn
        assert self._direction is not None
        self._price_direction = self._price_direction.blended(turn.price_slope, turn.weight)
        direction = self._price_direction
        price_square = direction.product(direction, self._price_scale)
        length = self._length * (self.best - target) / max(turn.square + price_square, 1e-300)
        square = turned_and_moved(
            self._centre,
            self._direction,
            self._slopes[0],
            self._slopes[1],
            self._scale,
            turn.weight,
            length,
            self._trial,
        )
        prices = self._prices.moved(direction, length, self._price_scale)
        value, slope = self._value(self._trial, prices)
        along, steep = products(self._direction, self._slopes[0], self._slopes[1], self._scale)
        dd = square + price_square
        dg = along + direction.product(slope, self._price_scale)
        gg = steep + slope.product(slope, self._price_scale)
        apart = gg - 2 * dg + dd
        weight = (dd - dg) / apart if apart > 1e-300 else self._weight
        weight = min(self._weight, max(self._weight / 10, weight))
        self._turn = _Turn(weight, square, along, steep, slope)
        self.iterations += 1
        if value < self.best - 1e-9 * abs(self.best):
            self.best, self._centre, self._trial, self._prices = value, self._trial, self._centre, prices
            self._length = min(LONGEST, self._length * 1.1) if dg >= 0 else self._length
            self._unlucky = 0
        else:
            self._unlucky += 1
            if self._unlucky >= UNLUCKY:
                shorter = SHORTER if self._weight > LATE_WEIGHT else SHORTER_LATE
                self._length, self._unlucky = max(SHORTEST, self._length * shorter), 0
        if self.iterations % 100 == 0:
            many = len(self.network.customer_node) >= MANY
            slow = SLOW_SHARE_OF_MANY if many else SLOW_SHARE
            if self._at_last_check - self.best < slow * abs(self.best - target):
                self._weight = max(SMALLEST_WEIGHT, self._weight * 0.7)
            self._at_last_check = self.best

    def _value(self, x: Floats, prices: Prices) -> tuple[float, Prices]:
        """Bound at these multipliers, rounded outward, and the subgradient of the global rows.

        The subgradient of conservation is added to the slopes.
        """
        net, chosen = self.network, self._chosen
        raw = np.where(np.isfinite(net.raw_per_unit), net.raw_per_unit, 0.0)
        unit = np.where(np.isfinite(net.unit_cost), net.unit_cost, 0.0)
        sizes = net.pipe_cost.shape[2]
        priced = Priced(
            net.flow_cost - (net.effect_carried @ prices.effect)[:, :, None],
            _priced(net.pipe_cost, net.pipe_spend, prices.purse).reshape(-1, sizes),
            _priced(net.step_cost, net.step_spend, prices.purse),
            _priced(net.connect_cost, net.connect_spend, prices.purse),
            _priced(net.haul_cost, net.haul_spend, prices.purse),
            unit + raw * prices.raw[:, :, None] - net.effect_made @ prices.effect,
            net.unit_value + net.effect_delivered @ prices.effect,
        )
        total, gross = self._evaluate(x, priced)
        constant = float(
            prices.purse @ net.budget
            + (prices.raw * net.raw_available).sum()
            - prices.effect @ net.effect_need
        )
        value = total + constant + ROUNDING * (gross + abs(constant))
        slope = Prices(
            net.budget - self._spent(prices.purse),
            net.raw_available - (raw * chosen.made).sum(axis=2),
            np.tensordot(chosen.taken, net.effect_delivered, 2)
            + np.tensordot(chosen.made, net.effect_made, 3)
            + np.tensordot(chosen.carried, net.effect_carried, 2)
            - net.effect_need,
        )
        return value, slope

    def _evaluate(self, x: Floats, priced: Priced) -> tuple[float, float]:
        """Value of all subproblems, and the sum of the sizes of its terms (for outward rounding)."""
        mine, others = self.multipliers, self._half
        lanes, origins, ends = mine.lanes, mine.origin_lanes, mine.ends
        fixed, chosen = self._fixed, self._chosen

        def pipes(part: int, first: int, last: int) -> tuple[float, float]:
            slope, scratch = self._slopes[part], self._scratches[part]
            return fill_pipes(
                first,
                last,
                x,
                lanes,
                origins,
                self._orders[0],
                self._orders[1],
                fixed,
                priced,
                self._tangents,
                chosen,
                slope,
                scratch,
            )

        num_corridors = len(self.network.tail)
        beside = None if self._pool is None else self._pool.submit(pipes, 1, others, num_corridors)
        parts = [
            pipes(0, 0, num_corridors if beside is None else others),
            fill_sources(
                x, ends, self._source_order, fixed, priced, chosen, self._slopes[0], self._scratches[0]
            ),
            serve_customers(x, ends, fixed, priced, chosen, self._slopes[0]),
        ]
        if beside is not None:
            parts.append(beside.result())
        return sum(worth for worth, _ in parts), sum(terms for _, terms in parts)

    def _spent(self, price: Floats) -> Floats:
        """Money of the chosen works from each purse, each by its cheapest mix."""
        net, chosen = self.network, self._chosen
        size = chosen.size.reshape(net.pipe_cost.shape[:2])
        e, g = np.nonzero(size)
        p, h = np.nonzero(chosen.step)
        spent = np.zeros(len(price))
        for spend in (
            net.pipe_spend[:, e, g, size[e, g]],
            net.step_spend[:, p, h, chosen.step[p, h]],
            net.connect_spend[:, chosen.connected > 0],
            net.haul_spend[:, chosen.hauled > 0],
        ):
            mix = (spend @ price).argmin(axis=0)
            spent += spend[mix, np.arange(spend.shape[1])].sum(axis=0)
        return spent


def _priced(cost: Floats, spend: Floats, price: Floats) -> Floats:
    """Costs and the money of works at its price, by their cheapest mix; shape as ``cost``."""
    priced = np.empty(cost.shape)
    money = np.ascontiguousarray(spend).reshape(len(spend), cost.size, len(price))
    price_works(np.ascontiguousarray(cost).reshape(-1), money, price, priced.reshape(-1))
    return priced


def _first_order(first: Ints, num_seasons: int) -> NDArray[np.int32]:
    """Entries of each lane in any order, (T, entries), counted from its first."""
    own = (np.arange(first[-1]) - np.repeat(first[:-1], np.diff(first))).astype(np.int32)
    return np.tile(own, (num_seasons, 1))


def _nothing_chosen(network: SeasonalNetwork) -> Chosen:
    num_edges, num_grades = network.pipe_cost.shape[:2]
    num_sources, num_customers = len(network.source_node), len(network.customer_node)
    seasons = network.num_seasons
    return Chosen(
        np.zeros(num_edges * num_grades, np.int64), np.zeros((seasons, num_edges)),
        np.zeros((num_sources, num_grades), np.int64),
        np.zeros(num_customers, np.int64), np.zeros(num_customers, np.int64),
        np.zeros((seasons, num_sources, num_grades)), np.zeros(network.demand.shape),
    )  # fmt: skip


def _fixed(network: SeasonalNetwork, multipliers: Multipliers) -> Fixed:
    can = np.isfinite(network.raw_per_unit)
    by_raw = network.raw_available[:, :, None] / np.where(can, network.raw_per_unit, 1.0)
    amount, limit = multipliers.amounts(network)
    return Fixed(
        network.one_way, amount, limit, network.size_capacity.reshape(-1, network.size_capacity.shape[2]),
        network.step_capacity, np.where(can, by_raw, np.inf),
        network.idle_cost, network.haul_unit_cost, network.demand, network.least_take,
    )  # fmt: skip


def _price_scale(network: SeasonalNetwork) -> Prices:
    """Step sizes of the global rows beside 1 / demand for the potentials.

    A row violated by its whole side moves its price by as large a share of a typical price as an
    unmet demand moves a potential.
    """
    value = network.unit_value.sum(axis=0)
    potential = max(float(np.abs(value).mean()) if len(value) else 1.0, 1e-9)
    total = np.where(
        network.effect_need != 0.0,
        np.abs(network.effect_need),
        (network.effect_delivered * network.demand[:, :, None]).sum(axis=(0, 1)),
    )
    budget = network.budget
    if len(budget):
        budget = np.maximum(budget, 0.01 * budget.mean() + 1.0)
    return Prices(
        0.3 / (budget * potential),
        0.1 / np.maximum(network.raw_available, 1.0),
        network.demand.mean(axis=0).sum() / np.maximum(total, 1e-9) ** 2,
    )


@cache
def compile_kernels() -> None:
    """Compile (or load from the cache on disk) the kernels of the bound, on a network of one pipe."""
    one, whole, row = np.ones(1), np.zeros(1, np.int64), np.ones((1, 1))
    steps = np.array([[[0.0, 2.0]]])
    network = SeasonalNetwork(
        tail=whole, head=whole + 1, flow_cost=np.zeros((1, 1, 2)), one_way=False, size_capacity=steps,
        pipe_cost=steps, pipe_spend=np.zeros((1, 1, 1, 2, 1)), source_node=whole, unit_cost=np.zeros((1, 1, 1)),
        raw_available=9 * row, raw_per_unit=row, step_capacity=steps, step_cost=steps,
        step_spend=np.zeros((1, 1, 1, 2, 1)), customer_node=whole + 1, connect_cost=one,
        connect_spend=np.zeros((1, 1, 1)), idle_cost=np.zeros(1), haul_node=whole - 1, haul_cost=one,
        haul_spend=np.zeros((1, 1, 1)), haul_unit_cost=row, first_requirement=np.array([0, 1]), demand=row,
        least_take=np.zeros((1, 1)), unit_value=9 * row, grade_start=np.array([0, 1]), requirement_of=whole,
        first_commodity=np.array([0, 1]), commodities_of=whole, budget=9 * one, effect_need=np.zeros(0),
        effect_delivered=np.zeros((1, 1, 0)), effect_made=np.zeros((1, 1, 1, 0)), effect_carried=np.zeros((1, 1, 0)),
    )  # fmt: skip
    prices = Prices(np.zeros(1), np.zeros((1, 1)), np.zeros(0))
    bound = LagrangianBound(network, np.zeros((2, 1)), prices)
    bound.run(Watch(SolveOptions(time_limit_s=600.0), maximise=True), 0.0, 2)

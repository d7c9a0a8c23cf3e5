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

from dataclasses import dataclass

import numpy as np

from optimize.engine.network_bound_kernels import (
    Chosen,
    Fixed,
    Lists,
    Priced,
    blended,
    evaluate,
    moved,
    new_lists,
    products,
)
from optimize.engine.network_data import Floats
from optimize.engine.seasonal_network import SeasonalNetwork
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions

ROUNDING = 1e-9  # outward, relative to the gross sum of the terms
SMALLEST_WEIGHT, LARGEST_WEIGHT = 0.01, 0.1  # of the newest subgradient in the volume direction
FIRST_LENGTH, LONGEST, SHORTEST, SHORTER = 0.3, 2.0, 1e-5, 0.7
UNLUCKY = 10  # rounds without a better bound after which steps get shorter
BIRTH_SCALE = 0.3  # of the origins' steps beside those of the commodities


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


@dataclass
class _Point:
    """Multipliers, or a direction in their space."""

    potential: Floats  # (T, N, W)
    birth: Floats  # (T, N, P * G)
    prices: Prices


@dataclass(frozen=True)
class BoundSettings:
    """What a bound does besides the plainest, to be left out where what it brings is measured.

    Parameters
    ----------
    origins : water is told apart by the source it comes from.
    """

    origins: bool = True


class LagrangianBound:
    """Multipliers and the best bound; ``run`` goes on where it was until the watch says stop."""

    def __init__(
        self, network: SeasonalNetwork, potential: Floats, prices: Prices,
        settings: BoundSettings = BoundSettings(),
    ) -> None:  # fmt: skip
        """Begin from potentials of nodes and grades, (N, G), for the mean season, and from prices."""
        self.settings = settings
        share = np.full(network.num_seasons, 1.0 / network.num_seasons)
        grade = np.repeat(np.arange(len(network.grade_start) - 1), np.diff(network.grade_start))
        by_commodity = np.ascontiguousarray(potential[:, grade])
        _level_dead_ends(network, by_commodity)
        birth = np.zeros((network.num_seasons, network.num_nodes, network.unit_cost[0].size))
        self._begin(network, _Point(share[:, None, None] * by_commodity, birth, prices))

    def _begin(self, network: SeasonalNetwork, point: _Point) -> None:
        self.network = network
        self._centre = point
        self._fixed = _fixed(network)
        num_edges, num_grades = network.pipe_cost.shape[:2]
        num_sources, num_customers = len(network.source_node), len(network.customer_node)
        seasons = network.num_seasons
        self._chosen = Chosen(
            np.zeros((num_edges, num_grades), np.int64), np.zeros((seasons, num_edges)), np.zeros((num_sources, num_grades), np.int64),
            np.zeros(num_customers, np.int64), np.zeros(num_customers, np.int64),
            np.zeros((seasons, num_sources, num_grades)), np.zeros((seasons, network.demand.shape[1])),
        )  # fmt: skip
        self._lists: Lists = new_lists(network)
        self._slope = np.zeros_like(point.potential)
        self._birth_slope = np.zeros_like(point.birth)
        self._scale = 1.0 / np.maximum(network.demand[:, network.requirement_of], 1e-3)
        limit = self._fixed.origin_limit.reshape(seasons, -1)
        self._birth_scale = np.where(limit > 0.0, BIRTH_SCALE / np.maximum(limit, 1e-3), 0.0)
        if not self.settings.origins:
            self._birth_scale[...] = 0.0  # their multipliers stay where they begin, at nothing
        self._price_scale = _price_scale(network)
        self._direction: _Point | None = None
        self._length, self._unlucky, self._weight = FIRST_LENGTH, 0, LARGEST_WEIGHT
        self.iterations = 0
        self.best = np.inf

    def refined(self, network: SeasonalNetwork, share: Floats, season_of: Floats) -> LagrangianBound:
        """The bound over more seasons, from these multipliers.

        ``share`` (T',) is the weight of each new season in the old one that it belongs to, ``season_of`` (T',).
        """
        old = self._centre
        finer = LagrangianBound.__new__(LagrangianBound)
        finer.settings = self.settings
        point = _Point(
            share[:, None, None] * old.potential[season_of],
            share[:, None, None] * old.birth[season_of],
            Prices(old.prices.purse, share[:, None] * old.prices.raw[season_of], old.prices.effect),
        )
        finer._begin(network, point)
        return finer

    def run(self, watch: Watch, target: float, most_iterations: int) -> float:
        """Volume method towards ``target`` (the best plan); returns the best bound."""
        if self._direction is None:
            self.best, slope = self._value(self._centre)
            self._direction = _Point(self._slope.copy(), self._birth_slope.copy(), slope)
            self._at_last_check = self.best
        trial = _Point(np.empty_like(self._slope), np.empty_like(self._birth_slope), self._centre.prices)
        for _ in range(most_iterations):
            if watch.must_stop or self.best <= target:
                break
            trial = self._iterate(trial, target)
        return self.best

    def best_multipliers(self) -> tuple[Floats, Floats, Prices]:
        """Those of the best bound: potentials (T, N, W), births (T, N, P, G), prices."""
        point = self._centre
        return point.potential, point.birth.reshape(self._birth_shape), point.prices

    def value_at(self, potential: Floats, birth: Floats, prices: Prices) -> float:
        """The bound that any such multipliers prove; the best stays as it is."""
        flat = np.ascontiguousarray(birth.reshape(*birth.shape[:2], -1))
        return self._value(_Point(np.ascontiguousarray(potential), flat, prices))[0]

    @property
    def _birth_shape(self) -> tuple[int, ...]:
        return (*self._centre.birth.shape[:2], *self.network.raw_per_unit.shape)

    def _iterate(self, trial: _Point, target: float) -> _Point:
        """One step from the centre; returns the arrays that may be written to next."""
        direction, centre = self._direction, self._centre
        assert direction is not None
        dd = (
            products(direction.potential, direction.potential, self._scale)[0]
            + products(direction.birth, direction.birth, self._birth_scale)[0]
            + direction.prices.product(direction.prices, self._price_scale)
        )
        length = self._length * (self.best - target) / max(dd, 1e-300)
        moved(centre.potential, direction.potential, self._scale, length, trial.potential)
        moved(centre.birth, direction.birth, self._birth_scale, length, trial.birth)
        trial.prices = centre.prices.moved(direction.prices, length, self._price_scale)
        value, slope = self._value(trial)
        _, dg, gg = np.add(
            products(direction.potential, self._slope, self._scale),
            products(direction.birth, self._birth_slope, self._birth_scale),
        )
        dg += direction.prices.product(slope, self._price_scale)
        gg += slope.product(slope, self._price_scale)
        apart = gg - 2 * dg + dd
        weight = (dd - dg) / apart if apart > 1e-300 else self._weight
        weight = min(self._weight, max(self._weight / 10, weight))
        blended(direction.potential, self._slope, weight)
        blended(direction.birth, self._birth_slope, weight)
        direction.prices = direction.prices.blended(slope, weight)
        self.iterations += 1
        if value < self.best - 1e-9 * abs(self.best):
            self.best, self._centre, trial = value, trial, centre
            self._length = min(LONGEST, self._length * 1.1) if dg >= 0 else self._length
            self._unlucky = 0
        else:
            self._unlucky += 1
            if self._unlucky >= UNLUCKY:
                self._length, self._unlucky = max(SHORTEST, self._length * SHORTER), 0
        if self.iterations % 100 == 0:
            if self._at_last_check - self.best < 0.003 * abs(self.best - target):
                self._weight = max(SMALLEST_WEIGHT, self._weight * 0.7)
            self._at_last_check = self.best
        return trial

    def _value(self, point: _Point) -> tuple[float, Prices]:
        """Bound at these multipliers, rounded outward, and the subgradient of the global rows."""
        net, chosen, prices = self.network, self._chosen, point.prices
        raw = np.where(np.isfinite(net.raw_per_unit), net.raw_per_unit, 0.0)
        unit = np.where(np.isfinite(net.unit_cost), net.unit_cost, 0.0)
        priced = Priced(
            net.flow_cost - (net.effect_carried @ prices.effect)[:, :, None],
            net.pipe_cost + (net.pipe_spend @ prices.purse).min(axis=0),
            net.step_cost + (net.step_spend @ prices.purse).min(axis=0),
            net.connect_cost + (net.connect_spend @ prices.purse).min(axis=0),
            net.haul_cost + (net.haul_spend @ prices.purse).min(axis=0),
            unit + raw * prices.raw[:, :, None] - net.effect_made @ prices.effect,
            net.unit_value + net.effect_delivered @ prices.effect,
        )
        shape = (*point.birth.shape[:2], *net.raw_per_unit.shape)
        total, gross = evaluate(
            point.potential, point.birth.reshape(shape), self._fixed, priced, chosen, self._slope,
            self._birth_slope.reshape(shape), self._lists,
        )  # fmt: skip
        constant = float(
            prices.purse @ net.budget
            + (prices.raw * net.raw_available).sum()
            - prices.effect @ net.effect_need
        )
        value = total + constant + ROUNDING * (gross + abs(constant))
        slope = Prices(
            net.budget - self._spent(prices.purse),
            net.raw_available - (raw * chosen.made).sum(axis=2),
            (net.effect_delivered * chosen.taken[:, :, None]).sum(axis=(0, 1))
            + (net.effect_made * chosen.made[:, :, :, None]).sum(axis=(0, 1, 2))
            + (net.effect_carried * chosen.carried[:, :, None]).sum(axis=(0, 1))
            - net.effect_need,
        )
        return value, slope

    def _spent(self, price: Floats) -> Floats:
        """Money of the chosen works from each purse, each by its cheapest mix."""
        net, chosen = self.network, self._chosen
        e, g = np.nonzero(chosen.size)
        p, h = np.nonzero(chosen.step)
        spent = np.zeros(len(price))
        for spend in (
            net.pipe_spend[:, e, g, chosen.size[e, g]],
            net.step_spend[:, p, h, chosen.step[p, h]],
            net.connect_spend[:, chosen.connected > 0],
            net.haul_spend[:, chosen.hauled > 0],
        ):
            mix = (spend @ price).argmin(axis=0)
            spent += spend[mix, np.arange(spend.shape[1])].sum(axis=0)
        return spent


def _fixed(network: SeasonalNetwork) -> Fixed:
    can = np.isfinite(network.raw_per_unit)
    by_raw = network.raw_available[:, :, None] / np.where(can, network.raw_per_unit, 1.0)
    largest = np.where(np.isfinite(network.step_cost), network.step_capacity, 0.0).max(axis=2)
    return Fixed(
        network.tail, network.head, network.one_way, network.size_capacity,
        network.source_node, np.where(can, by_raw, np.inf), np.where(can, np.minimum(by_raw, largest), 0.0),
        network.step_capacity, network.customer_node, network.idle_cost, network.haul_node,
        network.haul_unit_cost, network.first_requirement, network.demand, network.least_take,
        network.grade_start,
        np.repeat(np.arange(len(network.grade_start) - 1), np.diff(network.grade_start)),
        network.requirement_of, network.first_commodity, network.commodities_of,
    )  # fmt: skip


def _level_dead_ends(network: SeasonalNetwork, potential: Floats) -> None:
    """On a branch without a source, potentials of others' commodities start equal to those at its root.

    The potential of a grade there is what the branch's own customers would pay; nobody else's water
    gains by going there.
    """
    owner = np.repeat(np.arange(len(network.customer_node)), np.diff(network.first_requirement))
    node_of = network.customer_node[owner[network.requirement_of]]
    for node, neighbour, inside in _branches(network):
        foreign = ~np.isin(node_of, inside)
        potential[node, foreign] = potential[neighbour, foreign]


def _branches(network: SeasonalNetwork) -> list[tuple[int, int, list[int]]]:
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

"""Upper bound on the worth of a network design by a Lagrangian knapsack relaxation, compiled.

Each requirement and grade is a commodity of its own.  Conservation at the nodes, the purses and the
raw amounts are dualised.  What is left falls apart: a corridor and grade buys, for each size, the
most valuable commodities that fit (a continuous knapsack whose items are potential differences less
the flow cost, each at most its demand), and takes the best size or none; a source does the same over
its steps; a customer is connected if its requirements are worth the potentials at its node.  The
value for any multipliers is a valid bound; the volume method (Barahona and Anbil, 2000) improves
them.  Periods are averaged beforehand, which relaxes the problem.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from optimize.engine.network_data import Floats, Ints
from optimize.engine.network_search import compiled, inlined
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions

ROUNDING = 1e-9  # outward, relative to the gross sum of the terms
SMALLEST_WEIGHT, LARGEST_WEIGHT = 0.002, 0.1  # of the newest subgradient in the volume direction


@dataclass(frozen=True)
class AveragedNetwork:
    """One-period network; flows per day, values per unit of daily flow over the whole horizon.

    N nodes, E corridors, G grades, S sizes (index 0: none), P sources, K steps (index 0: none),
    U customers, Q requirements sorted by customer, W commodities sorted by grade, R purses.
    A decision that may not be taken costs inf.
    """

    tail: Ints  # (E,)
    head: Ints  # (E,)
    flow_cost: Floats  # (E, 2)
    size_capacity: Floats  # (E, G, S+1) existing pipe included
    pipe_cost: Floats  # (E, G, S+1)
    pipe_spend: Floats  # (X, E, G, S+1, R) by funding mix
    source_node: Ints  # (P,)
    unit_cost: Floats  # (P, G), inf where it cannot be made
    raw_available: Floats  # (P,)
    raw_per_unit: Floats  # (P, G), inf where it cannot be made
    step_capacity: Floats  # (P, G, K+1) existing included
    step_cost: Floats  # (P, G, K+1)
    step_spend: Floats  # (X, P, G, K+1, R)
    customer_node: Ints  # (U,)
    connect_cost: Floats  # (U,) -inf: must be connected, +inf: must not
    connect_spend: Floats  # (X, U, R)
    idle_cost: Floats  # (U,) of not serving a customer
    haul_node: Ints  # (U,) where water for a delivery off the network is drawn, -1: none
    haul_cost: Floats  # (U,)
    haul_spend: Floats  # (X, U, R)
    haul_unit_cost: Floats  # (Q,)
    first_requirement: Ints  # (U+1,)
    demand: Floats  # (Q,)
    least_take: Floats  # (Q,)
    unit_value: Floats  # (Q,)
    grade_start: Ints  # (G+1,) commodities of each grade
    requirement_of: Ints  # (W,)
    first_commodity: Ints  # (Q+1,)
    commodities_of: Ints  # commodities of each requirement, ragged
    budget: Floats  # (R,)
    effect_need: Floats  # (M,) totals that have to be reached
    effect_delivered: Floats  # (Q, M) per unit of daily flow
    effect_made: Floats  # (P, G, M)
    constant: float = 0.0  # present value of what is decided already

    @property
    def num_multipliers(self) -> int:
        nodes = 1 + max(
            int(a.max(initial=0)) for a in (self.tail, self.head, self.customer_node, self.source_node)
        )
        return nodes * len(self.requirement_of)


class _Fixed(NamedTuple):
    """Arrays the kernel reads and that never change."""

    tail: Ints
    head: Ints
    flow_cost: Floats
    size_capacity: Floats
    source_node: Ints
    source_limit: Floats  # (P, G)
    raw_per_unit: Floats
    step_capacity: Floats
    customer_node: Ints
    idle_cost: Floats
    haul_node: Ints
    haul_unit_cost: Floats
    first_requirement: Ints
    demand: Floats
    least_take: Floats
    grade_start: Ints
    requirement_of: Ints
    first_commodity: Ints
    commodities_of: Ints


class _Priced(NamedTuple):
    """Costs and values at the current prices of money, raw amounts and effects."""

    pipe: Floats
    step: Floats
    connect: Floats
    haul: Floats
    unit: Floats
    value: Floats


class _Chosen(NamedTuple):
    """What the subproblems choose."""

    size: Ints
    step: Ints
    connected: Ints
    hauled: Ints
    made: Floats  # (P, G)
    taken: Floats  # (Q,)


@inlined
def _fill(
    items: Floats, amounts: Floats, order: Ints, count: int, capacity: Floats, cost: Floats, values: Floats
) -> int:
    """Worth of each capacity when filled with the best items first; returns the best option."""
    best = 0
    for s in range(len(capacity)):
        left, worth = capacity[s], 0.0
        if np.isfinite(cost[s]):
            for i in range(count - 1, -1, -1):
                k = order[i]
                take = min(left, amounts[k])
                worth += take * items[k]
                left -= take
                if left <= 0.0:
                    break
            values[s] = worth - cost[s]
        else:
            values[s] = -np.inf
        if values[s] > values[best]:
            best = s
    return best


@compiled
def _evaluate(
    potential: Floats, fixed: _Fixed, priced: _Priced, chosen: _Chosen, gradient: Floats
) -> tuple[float, float]:
    """Value of the subproblems, and the sum of the sizes of its terms (for outward rounding)."""
    total, gross = 0.0, 0.0
    gradient[:, :] = 0.0
    num_grades = len(fixed.grade_start) - 1
    width = potential.shape[1]
    items, amounts = np.zeros(width), np.zeros(width)
    values = np.zeros(max(priced.pipe.shape[2], priced.step.shape[2]))
    for k in range(width):
        amounts[k] = fixed.demand[fixed.requirement_of[k]]
    for e in range(len(fixed.tail)):
        u, v = fixed.tail[e], fixed.head[e]
        along, against = fixed.flow_cost[e, 0], fixed.flow_cost[e, 1]
        for g in range(num_grades):
            first, last = fixed.grade_start[g], fixed.grade_start[g + 1]
            everything, highest, count = 0.0, 0.0, 0
            for k in range(first, last):
                rise = potential[v, k] - potential[u, k]
                worth = max(rise - along, -rise - against)
                items[k] = worth
                if worth > 0.0:
                    count += 1
                    everything += worth * amounts[k]
                    highest = max(highest, worth)
            capacity, cost = fixed.size_capacity[e, g], priced.pipe[e, g]
            pays = not np.isfinite(cost[0]) or cost[0] < 0.0
            for s in range(len(cost)):
                pays = pays or min(everything, highest * capacity[s]) > cost[s]
            chosen.size[e, g] = 0
            if not pays:
                continue
            order = np.empty(count, np.int64)
            keys = np.empty(count)
            i = 0
            for k in range(first, last):
                if items[k] > 0.0:
                    order[i], keys[i] = k, items[k]
                    i += 1
            order = order[np.argsort(keys)]
            best = _fill(items, amounts, order, count, capacity, cost, values)
            chosen.size[e, g] = best
            total += values[best]
            gross += abs(values[best]) + 2.0 * abs(cost[best])
            left = capacity[best]
            for i in range(count - 1, -1, -1):
                k = order[i]
                flow = min(left, amounts[k])
                left -= flow
                sign = flow if potential[v, k] > potential[u, k] else -flow
                gradient[v, k] += sign
                gradient[u, k] -= sign
                if left <= 0.0:
                    break
    for p in range(len(fixed.source_node)):
        node = fixed.source_node[p]
        for g in range(num_grades):
            chosen.step[p, g] = 0
            chosen.made[p, g] = 0.0
            if not np.isfinite(fixed.raw_per_unit[p, g]):
                continue
            first, last = fixed.grade_start[g], fixed.grade_start[g + 1]
            count = 0
            for k in range(first, last):
                items[k] = potential[node, k] - priced.unit[p, g]
                count += items[k] > 0.0
            order = np.empty(count, np.int64)
            keys = np.empty(count)
            i = 0
            for k in range(first, last):
                if items[k] > 0.0:
                    order[i], keys[i] = k, items[k]
                    i += 1
            order = order[np.argsort(keys)]
            capacity = np.minimum(fixed.step_capacity[p, g], fixed.source_limit[p, g])
            best = _fill(items, amounts, order, count, capacity, priced.step[p, g], values)
            chosen.step[p, g] = best
            total += values[best]
            gross += abs(values[best]) + 2.0 * abs(priced.step[p, g, best])
            left = capacity[best]
            for i in range(count - 1, -1, -1):
                k = order[i]
                flow = min(left, amounts[k])
                left -= flow
                gradient[node, k] += flow
                chosen.made[p, g] += flow
                if left <= 0.0:
                    break
    for j in range(len(fixed.customer_node)):
        by_pipe, by_haul = -priced.connect[j], -priced.haul[j]
        first, last = fixed.first_requirement[j], fixed.first_requirement[j + 1]
        for way in range(2):
            node = fixed.customer_node[j] if way == 0 else fixed.haul_node[j]
            if node < 0:
                continue
            for q in range(first, last):
                least = np.inf
                for i in range(fixed.first_commodity[q], fixed.first_commodity[q + 1]):
                    least = min(least, potential[node, fixed.commodities_of[i]])
                margin = priced.value[q] - least
                if way == 0:
                    margin_taken = margin * (fixed.demand[q] if margin > 0.0 else fixed.least_take[q])
                    by_pipe += margin_taken if np.isfinite(least) else -1e300 * (fixed.least_take[q] > 0.0)
                else:
                    by_haul += max(0.0, margin - fixed.haul_unit_cost[q]) * fixed.demand[q]
        chosen.connected[j] = 0
        chosen.hauled[j] = 0
        way, idle = -1, -fixed.idle_cost[j]
        if priced.connect[j] == -np.inf or (
            by_pipe > idle and (by_pipe >= by_haul or fixed.haul_node[j] < 0)
        ):
            way = 0
        elif fixed.haul_node[j] >= 0 and by_haul > idle:
            way = 1
        for q in range(first, last):
            chosen.taken[q] = 0.0
        if way < 0:
            total += idle
            gross -= idle
            continue
        if way == 0:
            chosen.connected[j] = 1
        else:
            chosen.hauled[j] = 1
        node = fixed.customer_node[j] if way == 0 else fixed.haul_node[j]
        if priced.connect[j] > -np.inf:
            total -= priced.connect[j] if way == 0 else priced.haul[j]
        for q in range(first, last):
            best, least = -1, np.inf
            for i in range(fixed.first_commodity[q], fixed.first_commodity[q + 1]):
                if potential[node, fixed.commodities_of[i]] < least:
                    best = fixed.commodities_of[i]
                    least = potential[node, best]
            if best < 0:
                continue
            margin = priced.value[q] - least - (fixed.haul_unit_cost[q] if way == 1 else 0.0)
            amount = fixed.demand[q] if margin > 0.0 else (fixed.least_take[q] if way == 0 else 0.0)
            total += margin * amount
            gross += abs(margin * amount)
            gradient[node, best] -= amount
            chosen.taken[q] = amount
    return total, gross


@compiled
def _step(centre: Floats, direction: Floats, scale: Floats, length: float, potential: Floats) -> None:
    """potential = centre - length * scale * direction."""
    for n in range(centre.shape[0]):
        for k in range(centre.shape[1]):
            potential[n, k] = centre[n, k] - length * scale[k] * direction[n, k]


@compiled
def _products(direction: Floats, gradient: Floats, scale: Floats) -> tuple[float, float, float]:
    """Scaled products d.d, d.g and g.g."""
    dd, dg, gg = 0.0, 0.0, 0.0
    for n in range(direction.shape[0]):
        for k in range(direction.shape[1]):
            d, g = direction[n, k], gradient[n, k]
            dd += d * d * scale[k]
            dg += d * g * scale[k]
            gg += g * g * scale[k]
    return dd, dg, gg


@compiled
def _blend(direction: Floats, gradient: Floats, weight: float) -> None:
    """direction = weight * gradient + (1 - weight) * direction."""
    for n in range(direction.shape[0]):
        for k in range(direction.shape[1]):
            direction[n, k] += weight * (gradient[n, k] - direction[n, k])


@dataclass
class _Side:
    """Multipliers of the global rows: purses, raw amounts, effects (all >= 0)."""

    purse: Floats
    raw: Floats
    effect: Floats

    def moved(self, direction: _Side, length: float, scale: _Side) -> _Side:
        return _Side(*(
            np.maximum(0.0, own - length * step * along)
            for own, along, step in zip(self._parts(), direction._parts(), scale._parts(), strict=True)
        ))  # fmt: skip

    def blended(self, other: _Side, weight: float) -> _Side:
        return _Side(*(
            weight * new + (1 - weight) * old
            for old, new in zip(self._parts(), other._parts(), strict=True)
        ))  # fmt: skip

    def product(self, other: _Side, scale: _Side) -> float:
        return float(sum(
            (a * b * s).sum() for a, b, s in zip(self._parts(), other._parts(), scale._parts(), strict=True)
        ))  # fmt: skip

    def _parts(self) -> tuple[Floats, Floats, Floats]:
        return self.purse, self.raw, self.effect


class LagrangianBound:
    """Multipliers and the best bound; ``run`` improves them until the watch says stop."""

    def __init__(
        self,
        network: AveragedNetwork,
        start: Floats,
        purse_price: Floats,
        raw_price: Floats,
        effect_price: Floats,
    ) -> None:
        """Multipliers to begin from; ``start`` (N, G) holds the potentials of nodes and grades."""
        self.network = network
        grade = np.repeat(np.arange(len(network.grade_start) - 1), np.diff(network.grade_start))
        self._potential = np.ascontiguousarray(start[:, grade])
        self._level_dead_ends()
        self._centre = self._potential.copy()
        self._gradient = np.zeros_like(self._potential)
        limit = np.where(
            np.isfinite(network.raw_per_unit),
            network.raw_available[:, None]
            / np.where(np.isfinite(network.raw_per_unit), network.raw_per_unit, 1.0),
            0.0,
        )
        self._fixed = _Fixed(
            network.tail, network.head, network.flow_cost, network.size_capacity, network.source_node, limit,
            network.raw_per_unit, network.step_capacity, network.customer_node, network.idle_cost, network.haul_node,
            network.haul_unit_cost, network.first_requirement, network.demand, network.least_take,
            network.grade_start, network.requirement_of, network.first_commodity, network.commodities_of,
        )  # fmt: skip
        num_edges, num_grades = network.pipe_cost.shape[:2]
        num_sources, num_customers = len(network.source_node), len(network.customer_node)
        self._chosen = _Chosen(
            np.zeros((num_edges, num_grades), np.int64), np.zeros((num_sources, num_grades), np.int64),
            np.zeros(num_customers, np.int64), np.zeros(num_customers, np.int64),
            np.zeros((num_sources, num_grades)), np.zeros(len(network.demand)),
        )  # fmt: skip
        self._side = _Side(purse_price, raw_price, effect_price)
        self.iterations = 0
        self.best = np.inf
        self._scale = 1.0 / np.maximum(network.demand[network.requirement_of], 1e-3)

    def _level_dead_ends(self) -> None:
        """At a dead end, potentials of others' commodities start equal to the neighbour's.

        The potential of a grade there is what its own customers would pay; nobody else's water gains
        by going there.
        """
        net = self.network
        ends = np.concatenate([net.tail, net.head])
        others = np.concatenate([net.head, net.tail])
        degree = np.bincount(ends, minlength=len(self._potential))
        customer_at = np.full(len(self._potential), -1)
        customer_at[net.customer_node] = np.arange(len(net.customer_node))
        owner = np.repeat(np.arange(len(net.customer_node)), np.diff(net.first_requirement))[
            net.requirement_of
        ]
        rows = np.flatnonzero(
            (degree[ends] == 1) & (customer_at[ends] >= 0) & ~np.isin(ends, net.source_node)
        )
        for node, neighbour in zip(ends[rows], others[rows], strict=True):
            foreign = owner != customer_at[node]
            self._potential[node, foreign] = self._potential[neighbour, foreign]

    def run(self, watch: Watch, target: float, most_iterations: int) -> float:
        """Volume method towards ``target`` (the best plan); returns the best bound."""
        scale = self._side_scale()
        value, gradient = self._value(self._potential, self._side)
        if self.best == np.inf:
            self.best, self._centre_side = value, self._side
            self._direction, self._direction_side = self._gradient.copy(), gradient
        theta, unlucky, most, checked = 0.3, 0, LARGEST_WEIGHT, self.best
        for iteration in range(1, most_iterations + 1):
            if watch.must_stop or self.best <= target:
                break
            dd, _, _ = _products(self._direction, self._gradient, self._scale)
            dd += self._direction_side.product(self._direction_side, scale)
            length = theta * (self.best - target) / max(dd, 1e-300)
            _step(self._centre, self._direction, self._scale, length, self._potential)
            side = self._centre_side.moved(self._direction_side, length, scale)
            value, gradient = self._value(self._potential, side)
            dd, dg, gg = _products(self._direction, self._gradient, self._scale)
            dd += self._direction_side.product(self._direction_side, scale)
            dg += self._direction_side.product(gradient, scale)
            gg += gradient.product(gradient, scale)
            apart = gg - 2 * dg + dd
            weight = (dd - dg) / apart if apart > 1e-300 else most
            weight = min(most, max(most / 10, weight))
            _blend(self._direction, self._gradient, weight)
            self._direction_side = self._direction_side.blended(gradient, weight)
            if value < self.best - 1e-9 * abs(self.best):
                self.best = value
                self._centre, self._potential = self._potential, self._centre
                self._centre_side = side
                theta = min(2.0, theta * 1.1) if dg >= 0 else theta
                unlucky = 0
            else:
                unlucky += 1
                if unlucky >= 10:
                    theta, unlucky = max(1e-5, theta * 0.7), 0
            if iteration % 100 == 0:
                if checked - self.best < 0.003 * abs(self.best - target):
                    most = max(SMALLEST_WEIGHT * 5, most * 0.7)
                checked = self.best
            self.iterations += 1
        return self.best

    def _side_scale(self) -> _Side:
        """Step sizes of the global rows beside 1 / demand for the potentials.

        A row violated by its whole side moves its price by as large a share of a typical price as an
        unmet demand moves a potential.
        """
        net = self.network
        potential = max(float(np.abs(net.unit_value).mean()) if len(net.unit_value) else 1.0, 1e-9)
        budget = np.maximum(net.budget, 0.01 * net.budget.mean() + 1.0) if len(net.budget) else net.budget
        return _Side(
            0.3 / (budget * potential),
            0.1 / np.maximum(net.raw_available, 1.0),
            net.demand.sum() / np.maximum(net.effect_need, 1e-9) ** 2,
        )

    def _value(self, potential: Floats, side: _Side) -> tuple[float, _Side]:
        """Bound at these multipliers, rounded outward, and the subgradient of the global rows."""
        net, chosen = self.network, self._chosen
        raw = np.where(np.isfinite(net.raw_per_unit), net.raw_per_unit, 0.0)
        unit = np.where(np.isfinite(net.unit_cost), net.unit_cost, 0.0)
        priced = _Priced(
            net.pipe_cost + (net.pipe_spend @ side.purse).min(axis=0),
            net.step_cost + (net.step_spend @ side.purse).min(axis=0),
            net.connect_cost + (net.connect_spend @ side.purse).min(axis=0),
            net.haul_cost + (net.haul_spend @ side.purse).min(axis=0),
            unit + raw * side.raw[:, None] - net.effect_made @ side.effect,
            net.unit_value + net.effect_delivered @ side.effect,
        )
        total, gross = _evaluate(potential, self._fixed, priced, chosen, self._gradient)
        constant = float(
            side.purse @ net.budget + side.raw @ net.raw_available - side.effect @ net.effect_need
        )
        value = total + constant + net.constant + ROUNDING * (gross + abs(constant))
        spent = self._spent(side.purse)
        gradient = _Side(
            net.budget - spent,
            net.raw_available - (raw * chosen.made).sum(axis=1),
            (net.effect_delivered * chosen.taken[:, None]).sum(axis=0)
            + (net.effect_made * chosen.made[:, :, None]).sum(axis=(0, 1))
            - net.effect_need,
        )
        return value, gradient

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


def compile_kernels() -> None:
    """Compile (or load from the cache on disk) the kernels of the bound, on a network of one pipe."""
    one, whole = np.ones(1), np.zeros(1, np.int64)
    steps = np.array([[[0.0, 2.0]]])
    network = AveragedNetwork(
        tail=whole, head=whole + 1, flow_cost=np.zeros((1, 2)), size_capacity=steps, pipe_cost=steps,
        pipe_spend=np.zeros((1, 1, 1, 2, 1)), source_node=whole, unit_cost=np.zeros((1, 1)),
        raw_available=9 * one, raw_per_unit=np.ones((1, 1)), step_capacity=steps, step_cost=steps,
        step_spend=np.zeros((1, 1, 1, 2, 1)), customer_node=whole + 1, connect_cost=one,
        connect_spend=np.zeros((1, 1, 1)), idle_cost=np.zeros(1), haul_node=whole - 1, haul_cost=one,
        haul_spend=np.zeros((1, 1, 1)), haul_unit_cost=one, first_requirement=np.array([0, 1]), demand=one,
        least_take=np.zeros(1), unit_value=9 * one, grade_start=np.array([0, 1]), requirement_of=whole,
        first_commodity=np.array([0, 1]), commodities_of=whole, budget=9 * one, effect_need=np.zeros(0),
        effect_delivered=np.zeros((1, 0)), effect_made=np.zeros((1, 1, 0)),
    )  # fmt: skip
    bound = LagrangianBound(network, np.zeros((2, 1)), np.zeros(1), np.zeros(1), np.zeros(0))
    bound.run(Watch(SolveOptions(time_limit_s=600.0), maximise=True), 0.0, 2)

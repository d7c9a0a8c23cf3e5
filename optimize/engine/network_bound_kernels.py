"""Compiled subproblems of the Lagrangian relaxation of a network design: see `network_bound`.

A pipe's water is counted twice: by who gets it (commodities) and by who made it (origins).  Both
counts of a flow F are equal, so its worth is the sum of two concave functions of F, each a list of
gains filled from the best downwards.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from optimize.engine.network_data import Floats, Ints
from optimize.engine.network_search import compiled, inlined
from optimize.engine.seasonal_network import SeasonalNetwork


class Fixed(NamedTuple):
    """Arrays of a `SeasonalNetwork` that never change; shapes as there."""

    tail: Ints
    head: Ints
    one_way: bool
    size_capacity: Floats
    source_node: Ints
    source_limit: Floats  # (T, P, G) inf where a grade cannot be made
    origin_limit: Floats  # (T, P, G) most that can come from a source, 0 where a grade cannot be made
    step_capacity: Floats
    customer_node: Ints
    idle_cost: Floats
    haul_node: Ints
    haul_unit_cost: Floats
    first_requirement: Ints
    demand: Floats
    least_take: Floats
    grade_start: Ints
    grade_of: Ints  # (W,)
    requirement_of: Ints
    first_commodity: Ints
    commodities_of: Ints


class Priced(NamedTuple):
    """Costs and values at the current prices of money, raw amounts and effects."""

    fare: Floats  # (T, E, 2)
    pipe: Floats  # (E, G, S+1)
    step: Floats  # (P, G, K+1)
    connect: Floats  # (U,)
    haul: Floats  # (U,)
    unit: Floats  # (T, P, G)
    value: Floats  # (T, Q)


class Chosen(NamedTuple):
    """What the subproblems choose."""

    size: Ints  # (E, G)
    carried: Floats  # (T, E)
    step: Ints  # (P, G)
    connected: Ints  # (U,)
    hauled: Ints  # (U,)
    made: Floats  # (T, P, G)
    taken: Floats  # (T, Q)


class Lists(NamedTuple):
    """Scratch: descending gains by season and direction, and the worth of a flow at its break points.

    Multipliers move little from one evaluation to the next, so the last order is nearly the new one.
    """

    order: NDArray[np.int32]  # (T, E, W) commodities of each grade by falling rise, as last seen
    rise: Floats  # (W,)
    commodity: Ints  # (T, 2, W)
    amount: Floats  # (T, 2, W)
    gain: Floats  # (T, 2, W)
    num_commodities: Ints  # (T, 2)
    origin: Ints  # (T, 2, P)
    limit: Floats  # (T, 2, P)
    origin_gain: Floats  # (T, 2, P)
    num_origins: Ints  # (T, 2)
    flow: Floats  # (T, 2, W+P)
    worth: Floats  # (T, 2, W+P)
    num_points: Ints  # (T, 2)


def new_lists(network: SeasonalNetwork) -> Lists:
    """Scratch for a network."""
    t, w, p = network.num_seasons, len(network.requirement_of), max(len(network.source_node), 1)
    order = np.broadcast_to(np.arange(w, dtype=np.int32), (t, len(network.tail), w))
    return Lists(
        order.copy(), np.zeros(w),
        np.zeros((t, 2, w), np.int64), np.zeros((t, 2, w)), np.zeros((t, 2, w)), np.zeros((t, 2), np.int64),
        np.zeros((t, 2, p), np.int64), np.zeros((t, 2, p)), np.zeros((t, 2, p)), np.zeros((t, 2), np.int64),
        np.zeros((t, 2, w + p + 1)), np.zeros((t, 2, w + p + 1)), np.zeros((t, 2), np.int64),
    )  # fmt: skip


@inlined
def _put_in_order(order: NDArray[np.int32], rise: Floats) -> None:
    """Sort by falling rise, in place; quick where the order is nearly right."""
    for i in range(1, len(order)):
        k = order[i]
        own = rise[k]
        j = i - 1
        while j >= 0 and rise[order[j]] < own:
            order[j + 1] = order[j]
            j -= 1
        order[j + 1] = k


@inlined
def _merge(lists: Lists, t: int, d: int, cost: float) -> None:
    """Break points of the best worth of a flow, up to where one more unit no longer pays."""
    n, m = lists.num_commodities[t, d], lists.num_origins[t, d]
    i, j, count, flow, worth = 0, 0, 0, 0.0, 0.0
    left = lists.amount[t, d, 0] if n > 0 else 0.0
    room = lists.limit[t, d, 0] if m > 0 else 0.0
    while i < n and j < m:
        gain = lists.gain[t, d, i] + lists.origin_gain[t, d, j] - cost
        if gain <= 0.0:
            break
        part = min(left, room)
        flow += part
        worth += gain * part
        lists.flow[t, d, count], lists.worth[t, d, count] = flow, worth
        count += 1
        left -= part
        room -= part
        if left <= 0.0:
            i += 1
            if i < n:
                left = lists.amount[t, d, i]
        if room <= 0.0:
            j += 1
            if j < m:
                room = lists.limit[t, d, j]
    lists.num_points[t, d] = count


@inlined
def _worth_at(lists: Lists, t: int, d: int, capacity: float) -> float:
    """Best worth of a flow up to a capacity."""
    before, worth = 0.0, 0.0
    for i in range(lists.num_points[t, d]):
        flow = lists.flow[t, d, i]
        if flow >= capacity:
            share = (capacity - before) / (flow - before) if flow > before else 1.0
            return float(worth + (lists.worth[t, d, i] - worth) * share)
        before, worth = flow, lists.worth[t, d, i]
    return worth


@inlined
def _share_both_ways(lists: Lists, t: int, capacity: float) -> tuple[float, float, float]:
    """Flow each way that together are worth most within a capacity, and that worth."""
    at = np.zeros(2, np.int64)
    flow, worth = np.zeros(2), np.zeros(2)
    left, total = capacity, 0.0
    while left > 0.0:
        best, best_slope = -1, 0.0
        for d in range(2):
            i = at[d]
            if i < lists.num_points[t, d]:
                slope = (lists.worth[t, d, i] - worth[d]) / max(lists.flow[t, d, i] - flow[d], 1e-300)
                if slope > best_slope:
                    best, best_slope = d, slope
        if best < 0:
            break
        part = min(left, lists.flow[t, best, at[best]] - flow[best])
        total += best_slope * part
        left -= part
        flow[best] += part
        worth[best] += best_slope * part
        at[best] += 1
    return flow[0], flow[1], total


@inlined
def _list_commodities(
    lists: Lists, t: int, d: int, gains: Floats, amounts: Floats, first: int, requirement_of: Ints,
    floor: float, key: Floats, candidate: Ints,
) -> None:  # fmt: skip
    """Commodities whose gain lies above ``floor``, best first; ``gains`` counts from ``first``."""
    count = 0
    for i in range(len(gains)):
        if gains[i] > floor:
            candidate[count], key[count] = first + i, -gains[i]
            count += 1
    order = np.argsort(key[:count])
    for i in range(count):
        k = candidate[order[i]]
        lists.commodity[t, d, i] = k
        lists.gain[t, d, i] = -key[order[i]]
        lists.amount[t, d, i] = amounts[requirement_of[k]]
    lists.num_commodities[t, d] = count


@inlined
def _list_ordered(
    lists: Lists, t: int, d: int, order: NDArray[np.int32], fixed: Fixed, floor: float
) -> None:  # fmt: skip
    """The same from an order by falling rise: direction 1 reads it from its end."""
    count = 0
    for i in range(len(order)):
        k = order[i] if d == 0 else order[len(order) - 1 - i]
        gain = lists.rise[k] if d == 0 else -lists.rise[k]
        if not gain > floor:
            break
        lists.commodity[t, d, count] = k
        lists.gain[t, d, count] = gain
        lists.amount[t, d, count] = fixed.demand[t, fixed.requirement_of[k]]
        count += 1
    lists.num_commodities[t, d] = count


@inlined
def _list_origins(
    lists: Lists, t: int, d: int, gains: Floats, limits: Floats, floor: float, key: Floats, candidate: Ints
) -> None:
    """Origins whose gain lies above ``floor``, best first."""
    count = 0
    for p in range(len(gains)):
        if limits[p] > 0.0 and gains[p] > floor:
            candidate[count], key[count] = p, -gains[p]
            count += 1
    order = np.argsort(key[:count])
    for i in range(count):
        p = candidate[order[i]]
        lists.origin[t, d, i] = p
        lists.origin_gain[t, d, i] = -key[order[i]]
        lists.limit[t, d, i] = limits[p]
    lists.num_origins[t, d] = count


@inlined
def _may_pay(
    potential: Floats, birth: Floats, fixed: Fixed, fare_of: Floats, e: int, g: int, cost: Floats
) -> bool:
    """Whether some size of a pipe could be worth its cost, told without sorting what it carries."""
    if not np.isfinite(cost[0]) or cost[0] < 0.0:
        return True
    u, v = fixed.tail[e], fixed.head[e]
    everything, highest = 0.0, 0.0
    for t in range(potential.shape[0]):
        ahead, back = -np.inf, -np.inf
        for p in range(birth.shape[2]):
            if fixed.origin_limit[t, p, g] > 0.0:
                rise = birth[t, v, p, g] - birth[t, u, p, g]
                ahead, back = max(ahead, rise), max(back, -rise)
        ahead -= fare_of[t, e, 0]
        back -= fare_of[t, e, 1]
        worth, gain = 0.0, 0.0
        for k in range(fixed.grade_start[g], fixed.grade_start[g + 1]):
            rise = potential[t, v, k] - potential[t, u, k]
            one = max(rise + ahead, back - rise)
            if one > 0.0:
                both = max(rise + ahead, 0.0) + max(back - rise, 0.0)
                worth += both * fixed.demand[t, fixed.requirement_of[k]]
                gain = max(gain, one)
        everything += worth
        highest += gain
    pays = False
    for s in range(len(cost)):
        pays = pays or min(everything, highest * fixed.size_capacity[e, g, s]) > cost[s]
    return pays


@compiled
def _fill_pipes(
    potential: Floats, birth: Floats, fixed: Fixed, priced: Priced, chosen: Chosen, slope: Floats,
    birth_slope: Floats, lists: Lists,
) -> tuple[float, float]:  # fmt: skip
    """Best size of every corridor and grade, and what it carries; worth, and sum of sizes of its terms."""
    total, gross = 0.0, 0.0
    fare_of = priced.fare
    chosen.carried[:] = 0.0
    seasons, num_origins = len(potential), birth.shape[2]
    key, candidate = np.empty(num_origins), np.empty(num_origins, np.int64)
    origin_gains = np.empty((2, num_origins))
    best, best_origin, both = np.zeros(2), np.zeros(2), np.zeros(2)
    for e in range(len(fixed.tail)):
        u, v = fixed.tail[e], fixed.head[e]
        for g in range(len(fixed.grade_start) - 1):
            first, last = fixed.grade_start[g], fixed.grade_start[g + 1]
            cost = priced.pipe[e, g]
            chosen.size[e, g] = 0
            if not _may_pay(potential, birth, fixed, fare_of, e, g, cost):
                continue
            for t in range(seasons):
                best_origin[:] = -np.inf
                for p in range(num_origins):
                    if fixed.origin_limit[t, p, g] > 0.0:
                        rise = birth[t, v, p, g] - birth[t, u, p, g]
                        origin_gains[0, p], origin_gains[1, p] = rise, -rise
                        best_origin[0] = max(best_origin[0], rise)
                        best_origin[1] = max(best_origin[1], -rise)
                order = lists.order[t, e, first:last]
                for k in range(first, last):
                    lists.rise[k] = potential[t, v, k] - potential[t, u, k]
                _put_in_order(order, lists.rise)
                best[0] = lists.rise[order[0]] if last > first else -np.inf
                best[1] = -lists.rise[order[-1]] if last > first else -np.inf
                for d in range(2):
                    fare = fare_of[t, e, d]
                    lists.num_points[t, d] = 0
                    if not best[d] + best_origin[d] - fare > 0.0:
                        continue
                    _list_ordered(lists, t, d, order, fixed, fare - best_origin[d])
                    _list_origins(
                        lists, t, d, origin_gains[d], fixed.origin_limit[t, :, g], fare - best[d], key, candidate
                    )  # fmt: skip
                    _merge(lists, t, d, fare)
            size, best_value = 0, -np.inf
            for s in range(len(cost)):
                if not np.isfinite(cost[s]):
                    continue
                value = -cost[s]
                for t in range(seasons):
                    if fixed.one_way or min(lists.num_points[t, 0], lists.num_points[t, 1]) == 0:
                        value += max(
                            _worth_at(lists, t, 0, fixed.size_capacity[e, g, s]),
                            _worth_at(lists, t, 1, fixed.size_capacity[e, g, s]),
                        )
                    else:
                        value += _share_both_ways(lists, t, fixed.size_capacity[e, g, s])[2]
                if value > best_value:
                    size, best_value = s, value
            chosen.size[e, g] = size
            total += best_value
            gross += abs(best_value) + 2.0 * abs(cost[size])
            capacity = fixed.size_capacity[e, g, size]
            for t in range(seasons):
                both[0], both[1] = 0.0, 0.0
                if fixed.one_way or min(lists.num_points[t, 0], lists.num_points[t, 1]) == 0:
                    ahead = _worth_at(lists, t, 0, capacity) >= _worth_at(lists, t, 1, capacity)
                    d = 0 if ahead else 1
                    if lists.num_points[t, d] > 0:
                        both[d] = min(capacity, lists.flow[t, d, lists.num_points[t, d] - 1])
                else:
                    both[0], both[1], _ = _share_both_ways(lists, t, capacity)
                for d in range(2):
                    sign = 1.0 - 2.0 * d
                    left = both[d]
                    chosen.carried[t, e] += left
                    for i in range(lists.num_commodities[t, d]):
                        if left <= 0.0:
                            break
                        part = min(left, lists.amount[t, d, i])
                        left -= part
                        k = lists.commodity[t, d, i]
                        slope[t, v, k] += sign * part
                        slope[t, u, k] -= sign * part
                    left = both[d]
                    for i in range(lists.num_origins[t, d]):
                        if left <= 0.0:
                            break
                        part = min(left, lists.limit[t, d, i])
                        left -= part
                        p = lists.origin[t, d, i]
                        birth_slope[t, v, p, g] += sign * part
                        birth_slope[t, u, p, g] -= sign * part
    return total, gross


@compiled
def _fill_sources(
    potential: Floats, birth: Floats, fixed: Fixed, priced: Priced, chosen: Chosen, slope: Floats,
    birth_slope: Floats, lists: Lists,
) -> tuple[float, float]:  # fmt: skip
    """Best step of every source and grade, and what it makes."""
    total, gross = 0.0, 0.0
    seasons, _, width = potential.shape
    key, candidate, gains = np.empty(width), np.empty(width, np.int64), np.empty(width)
    for p in range(len(fixed.source_node)):
        node = fixed.source_node[p]
        for g in range(len(fixed.grade_start) - 1):
            chosen.step[p, g] = 0
            chosen.made[:, p, g] = 0.0
            if not np.isfinite(fixed.source_limit[0, p, g]):
                continue
            first, last = fixed.grade_start[g], fixed.grade_start[g + 1]
            for t in range(seasons):
                for k in range(first, last):
                    gains[k - first] = potential[t, node, k] + birth[t, node, p, g] - priced.unit[t, p, g]
                _list_commodities(
                    lists, t, 0, gains[: last - first], fixed.demand[t], first, fixed.requirement_of, 0.0,
                    key, candidate,
                )  # fmt: skip
                lists.num_origins[t, 0] = 1
                lists.origin_gain[t, 0, 0] = 0.0
                lists.limit[t, 0, 0] = fixed.source_limit[t, p, g]
                _merge(lists, t, 0, 0.0)
            step, best_value = 0, -np.inf
            for s in range(priced.step.shape[2]):
                if not np.isfinite(priced.step[p, g, s]):
                    continue
                value = -priced.step[p, g, s]
                for t in range(seasons):
                    value += _worth_at(lists, t, 0, fixed.step_capacity[p, g, s])
                if value > best_value:
                    step, best_value = s, value
            chosen.step[p, g] = step
            total += best_value
            gross += abs(best_value) + 2.0 * abs(priced.step[p, g, step])
            for t in range(seasons):
                left = min(fixed.step_capacity[p, g, step], fixed.source_limit[t, p, g])
                for i in range(lists.num_commodities[t, 0]):
                    if left <= 0.0:
                        break
                    part = min(left, lists.amount[t, 0, i])
                    left -= part
                    slope[t, node, lists.commodity[t, 0, i]] += part
                    birth_slope[t, node, p, g] += part
                    chosen.made[t, p, g] += part
    return total, gross


@inlined
def _cheapest(
    potential: Floats, birth: Floats, fixed: Fixed, t: int, node: int, q: int
) -> tuple[float, int, int]:
    """Least price of a requirement's water at a node, with its commodity (-1: none) and origin."""
    least, commodity, origin = np.inf, -1, -1
    for i in range(fixed.first_commodity[q], fixed.first_commodity[q + 1]):
        k = fixed.commodities_of[i]
        g = fixed.grade_of[k]
        for p in range(birth.shape[2]):
            if fixed.origin_limit[t, p, g] > 0.0:
                price = potential[t, node, k] + birth[t, node, p, g]
                if price < least:
                    least, commodity, origin = price, k, p
    return least, commodity, origin


@compiled
def _serve_customers(
    potential: Floats, birth: Floats, fixed: Fixed, priced: Priced, chosen: Chosen, slope: Floats,
    birth_slope: Floats,
) -> tuple[float, float]:  # fmt: skip
    """By pipe, off the network, or not at all: whatever is worth most to each customer."""
    total, gross = 0.0, 0.0
    seasons = potential.shape[0]
    for j in range(len(fixed.customer_node)):
        by_pipe, by_haul = -priced.connect[j], -priced.haul[j]
        first, last = fixed.first_requirement[j], fixed.first_requirement[j + 1]
        for way in range(2):
            node = fixed.customer_node[j] if way == 0 else fixed.haul_node[j]
            if node < 0:
                continue
            for q in range(first, last):
                for t in range(seasons):
                    least, commodity, _ = _cheapest(potential, birth, fixed, t, node, q)
                    demand, must = fixed.demand[t, q], fixed.least_take[t, q]
                    if commodity < 0:
                        by_pipe -= 1e300 if way == 0 and must > 0.0 else 0.0
                        continue
                    margin = priced.value[t, q] - least
                    if way == 0:
                        by_pipe += margin * (demand if margin > 0.0 else must)
                    else:
                        by_haul += max(0.0, margin - fixed.haul_unit_cost[t, q]) * demand
        chosen.connected[j] = 0
        chosen.hauled[j] = 0
        chosen.taken[:, first:last] = 0.0
        may_haul = fixed.haul_node[j] >= 0
        way, idle = -1, -fixed.idle_cost[j]
        if priced.connect[j] == -np.inf or (by_pipe > idle and (by_pipe >= by_haul or not may_haul)):
            way = 0
        elif may_haul and by_haul > idle:
            way = 1
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
            for t in range(seasons):
                least, commodity, origin = _cheapest(potential, birth, fixed, t, node, q)
                if commodity < 0:
                    continue
                margin = priced.value[t, q] - least - (fixed.haul_unit_cost[t, q] if way == 1 else 0.0)
                must = fixed.least_take[t, q] if way == 0 else 0.0
                amount = fixed.demand[t, q] if margin > 0.0 else must
                total += margin * amount
                gross += abs(margin * amount)
                slope[t, node, commodity] -= amount
                birth_slope[t, node, origin, fixed.grade_of[commodity]] -= amount
                chosen.taken[t, q] = amount
    return total, gross


@compiled
def evaluate(
    potential: Floats, birth: Floats, fixed: Fixed, priced: Priced, chosen: Chosen, slope: Floats,
    birth_slope: Floats, lists: Lists,
) -> tuple[float, float]:  # fmt: skip
    """Value of all subproblems, and the sum of the sizes of its terms (for outward rounding).

    ``potential`` (T, N, W) and ``birth`` (T, N, P, G) are the multipliers of conservation by
    commodity and by origin; their subgradients are written to ``slope`` and ``birth_slope``.
    """
    slope[:] = 0.0
    birth_slope[:] = 0.0
    total, gross = _fill_pipes(potential, birth, fixed, priced, chosen, slope, birth_slope, lists)
    worth, terms = _fill_sources(potential, birth, fixed, priced, chosen, slope, birth_slope, lists)
    total += worth
    gross += terms
    worth, terms = _serve_customers(potential, birth, fixed, priced, chosen, slope, birth_slope)
    return total + worth, gross + terms


@compiled
def moved(centre: Floats, direction: Floats, scale: Floats, length: float, out: Floats) -> None:
    """out = centre - length * scale * direction, for (T, N, W) arrays and a (T, W) scale."""
    for t in range(centre.shape[0]):
        for n in range(centre.shape[1]):
            for k in range(centre.shape[2]):
                out[t, n, k] = centre[t, n, k] - length * scale[t, k] * direction[t, n, k]


@compiled
def products(direction: Floats, gradient: Floats, scale: Floats) -> tuple[float, float, float]:
    """Scaled products d.d, d.g and g.g."""
    dd, dg, gg = 0.0, 0.0, 0.0
    for t in range(direction.shape[0]):
        for n in range(direction.shape[1]):
            for k in range(direction.shape[2]):
                d, g, s = direction[t, n, k], gradient[t, n, k], scale[t, k]
                dd += d * d * s
                dg += d * g * s
                gg += g * g * s
    return dd, dg, gg


@compiled
def blended(direction: Floats, gradient: Floats, weight: float) -> None:
    """direction = weight * gradient + (1 - weight) * direction."""
    for t in range(direction.shape[0]):
        for n in range(direction.shape[1]):
            for k in range(direction.shape[2]):
                direction[t, n, k] += weight * (gradient[t, n, k] - direction[t, n, k])

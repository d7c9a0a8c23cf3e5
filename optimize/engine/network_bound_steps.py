"""Compiled choices of customers, and the vector steps of the volume method: see `network_bound`."""

from __future__ import annotations

import numpy as np

from optimize.engine.network_bound_data import Chosen, Ends, Fixed, Places, Priced
from optimize.engine.network_data import Floats
from optimize.engine.network_search import entry, inlined


@inlined
def _cheapest_origin(x: Floats, block: int, ends: Ends, limit: Floats) -> tuple[float, int]:
    """Least multiplier of an origin at a node and grade, and its place (-1: none)."""
    least, place, start = np.inf, -1, ends.node_first[0]
    for j in range(ends.node_first[block], ends.node_first[block + 1]):
        if limit[ends.node_item[j - start]] > 0.0 and x[j] < least:
            least, place = x[j], j
    common = ends.node_common[block]
    if common >= 0 and x[common] < least:
        least, place = x[common], common
    return least, place


@inlined
def _cheapest(
    x: Floats, node: int, num_grades: int, q: int, at: Places, ends: Ends, limit: Floats
) -> tuple[float, int, int]:
    """Least price of a requirement's water at a node, with the places of its commodity (-1: none) and origin."""
    least, commodity, origin = np.inf, -1, -1
    for i in range(ends.first_commodity[q], ends.first_commodity[q + 1]):
        born, place = _cheapest_origin(
            x, node * num_grades + ends.grade_of[ends.commodities_of[i]], ends, limit
        )
        if place >= 0 and x[at[i]] + born < least:
            least, commodity, origin = x[at[i]] + born, at[i], place
    return least, commodity, origin


@entry
def serve_customers(
    x: Floats, ends: Ends, fixed: Fixed, priced: Priced, chosen: Chosen, slope: Floats
) -> tuple[float, float]:
    """By pipe, off the network, or not at all: whatever is worth most to each customer."""
    total, gross = 0.0, 0.0
    seasons, num_grades = len(x), priced.step.shape[1]
    for j in range(len(ends.customer_node)):
        by_pipe, by_haul = -priced.connect[j], -priced.haul[j]
        first, last = ends.first_requirement[j], ends.first_requirement[j + 1]
        for way in range(2):
            node = ends.customer_node[j] if way == 0 else ends.haul_node[j]
            if node < 0:
                continue
            at = ends.pipe_at if way == 0 else ends.haul_at
            for q in range(first, last):
                for t in range(seasons):
                    least, commodity, _ = _cheapest(x[t], node, num_grades, q, at, ends, fixed.limit[t])
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
        may_haul = ends.haul_node[j] >= 0
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
        node = ends.customer_node[j] if way == 0 else ends.haul_node[j]
        at = ends.pipe_at if way == 0 else ends.haul_at
        if priced.connect[j] > -np.inf:
            total -= priced.connect[j] if way == 0 else priced.haul[j]
        for q in range(first, last):
            for t in range(seasons):
                least, commodity, origin = _cheapest(x[t], node, num_grades, q, at, ends, fixed.limit[t])
                if commodity < 0:
                    continue
                margin = priced.value[t, q] - least - (fixed.haul_unit_cost[t, q] if way == 1 else 0.0)
                must = fixed.least_take[t, q] if way == 0 else 0.0
                amount = fixed.demand[t, q] if margin > 0.0 else must
                total += margin * amount
                gross += abs(margin * amount)
                slope[t, commodity] -= amount
                slope[t, origin] -= amount
                chosen.taken[t, q] = amount
    return total, gross


@entry
def price_works(cost: Floats, spend: Floats, price: Floats, priced: Floats) -> None:
    """priced = cost + money at its price by the cheapest mix; cost (n,), spend (X, n, R), price (R,)."""
    for i in range(len(cost)):
        least = np.inf
        for mix in range(len(spend)):
            money = 0.0
            for r in range(len(price)):
                money += spend[mix, i, r] * price[r]
            least = min(least, money)
        priced[i] = cost[i] + least


@entry
def products(direction: Floats, slope: Floats, more_slope: Floats, scale: Floats) -> tuple[float, float]:
    """Scaled products d.g and g.g of (T, M) arrays, where g is the sum of both slopes, left in the first."""
    dg, gg = 0.0, 0.0
    for t in range(len(direction)):
        for i in range(direction.shape[1]):
            g = slope[t, i] + more_slope[t, i]
            slope[t, i] = g
            scaled = g * scale[t, i]
            dg += direction[t, i] * scaled
            gg += g * scaled
    return dg, gg


@entry
def turned_and_moved(
    centre: Floats, direction: Floats, slope: Floats, more_slope: Floats, scale: Floats, weight: float, length: float,
    out: Floats,
) -> float:  # fmt: skip
    """Blend the slope into the direction and step along it from the centre; slopes are cleared.

    direction = weight * slope + (1 - weight) * direction; out = centre - length * scale * direction.
    Returns the scaled square of the new direction.
    """
    dd = 0.0
    for t in range(len(direction)):
        for i in range(direction.shape[1]):
            d = direction[t, i] + weight * (slope[t, i] - direction[t, i])
            direction[t, i] = d
            scaled = d * scale[t, i]
            dd += d * scaled
            out[t, i] = centre[t, i] - length * scaled
            slope[t, i] = 0.0
            more_slope[t, i] = 0.0
    return dd

"""A start for the multipliers of a network's Lagrangian relaxation, where no linear relaxation was solved.

With one potential for all commodities of a grade, no pipe pays as long as no potential rises along it by
more than its best price per capacity.  The dearest such potentials are the cheapest ways from the sources,
and what is left to choose are the prices of money and raw water: some hundreds of numbers in place of
millions.  Their bound comes near to the linear relaxation's, at a shortest path by grade for each try.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from optimize.engine.network_bound import Prices
from optimize.engine.network_data import Floats, Ints
from optimize.engine.seasonal_network import SeasonalNetwork

ROUNDS = 60  # of prices that are tried
FIRST_ASKED = 0.05  # share of the value that the first steps ask for
NEWEST_WEIGHT = 0.3  # of the newest slopes in the direction
UNLUCKY, LESS = 6, 0.6  # rounds without a better value after which less is asked for, and how much
MONEY_SCALE = 5.0  # of steps of the prices of money beside those of raw water
SHORTEST = 1e-9  # relative to the longest way, as ways of no length would be no ways


@dataclass(frozen=True)
class Start:
    """Potentials (N, G) of all commodities of a grade, prices, and the bound these prove where nothing exists yet."""

    potential: Floats
    prices: Prices
    value: float


@dataclass(frozen=True)
class _Tried:
    value: float
    potential: Floats  # (N, G)
    money_left: Floats  # (R,) slope by the price of money
    raw_left: Floats  # (P,) slope by that of raw water


def start_over_cheapest_ways(network: SeasonalNetwork, rounds: int = ROUNDS) -> Start:
    """The best prices of money and raw water that some steps down their slopes find, over the mean season (T = 1)."""
    highest = float(np.abs(network.unit_value).max(initial=0.0))
    purse, raw = np.zeros(len(network.budget)), np.zeros(len(network.source_node))
    mean_value = max(float(np.abs(network.unit_value).mean()) if network.unit_value.size else 1.0, 1e-9)
    purse_scale = MONEY_SCALE / np.maximum(network.budget * mean_value, 1.0)
    raw_scale = 1.0 / np.maximum(network.raw_available[0], 1.0)
    best = tried = _try(network, purse, raw)
    best_purse, best_raw = purse, raw
    money_left, raw_left = tried.money_left, tried.raw_left
    asked, unlucky = FIRST_ASKED * abs(best.value), 0
    for _ in range(rounds):
        square = float((money_left**2 * purse_scale).sum() + (raw_left**2 * raw_scale).sum())
        length = (tried.value - best.value + asked) / max(square, 1e-300)
        purse = np.maximum(0.0, purse - length * purse_scale * money_left)
        raw = np.clip(raw - length * raw_scale * raw_left, 0.0, highest)
        tried = _try(network, purse, raw)
        money_left = (1.0 - NEWEST_WEIGHT) * money_left + NEWEST_WEIGHT * tried.money_left
        raw_left = (1.0 - NEWEST_WEIGHT) * raw_left + NEWEST_WEIGHT * tried.raw_left
        unlucky = 0 if tried.value < best.value else unlucky + 1
        if tried.value < best.value:
            best, best_purse, best_raw = tried, purse, raw
        if unlucky >= UNLUCKY:
            asked, unlucky = LESS * asked, 0
            purse, raw, tried = best_purse, best_raw, best
    potential = np.minimum(best.potential, highest)  # unreachable nodes pay what customers would
    prices = Prices(best_purse, best_raw[None, :], np.zeros(len(network.effect_need)))
    return Start(potential, prices, best.value)


def _try(network: SeasonalNetwork, purse: Floats, raw: Floats) -> _Tried:
    """Bound at prices and the potentials that belong to them, and its slopes."""
    pipe_rate, pipe_money = _best_rates(
        network.pipe_cost[:, :, 1:], network.pipe_spend[:, :, :, 1:], network.size_capacity[:, :, 1:], purse
    )
    # what exists already is free, but not as much as is wanted
    pipe_rate = np.where(np.isinf(pipe_rate) & (network.size_capacity[:, :, 0] > 0.0), 0.0, pipe_rate)
    step_rate, step_money = _best_rates(network.step_cost, network.step_spend, network.step_capacity, purse)
    per_unit = np.where(np.isfinite(network.raw_per_unit), network.raw_per_unit, 0.0)
    at_source = network.unit_cost[0] + step_rate + raw[:, None] * per_unit
    potential = np.empty((network.num_nodes, at_source.shape[1]))
    root = np.empty(potential.shape, np.int64)
    money = np.empty((*potential.shape, len(purse)))
    for g in range(potential.shape[1]):
        ways = _ways(network, pipe_rate[:, g], pipe_money[:, g], at_source[:, g], step_money[:, g])
        potential[:, g], root[:, g], money[:, g] = ways
    connect, connect_money = _cheapest_mix(network.connect_cost, network.connect_spend, purse)
    at, taken, served, worth = _served(network, potential, connect)
    source = root[at]
    raw_used = np.bincount(
        source, weights=taken * per_unit[source, at[1]], minlength=len(network.source_node)
    )
    spent = taken @ money[at] + connect_money[served].sum(axis=0)
    value = worth + float(purse @ network.budget + raw @ network.raw_available[0])
    return _Tried(value, potential, network.budget - spent, network.raw_available[0] - raw_used)


def _cheapest_mix(cost: Floats, spend: Floats, purse: Floats) -> tuple[Floats, Floats]:
    """Costs with their money at its price, (...), and that money, (..., R), by the cheapest funding mix."""
    priced = spend @ purse  # (X, ...)
    mix = priced.argmin(axis=0)
    money = np.take_along_axis(spend, mix[None, ..., None], axis=0)[0]
    return cost + priced.min(axis=0), money


def _best_rates(cost: Floats, spend: Floats, capacity: Floats, purse: Floats) -> tuple[Floats, Floats]:
    """Least price per capacity over the sizes, the last axis (inf: none may be built), and its money, (..., R)."""
    priced, money = _cheapest_mix(cost, spend, purse)
    may = np.isfinite(priced) & (capacity > 0.0)
    held = np.where(may, capacity, 1.0)
    rate = np.where(may, priced / held, np.inf)
    size = rate.argmin(axis=-1)[..., None]
    least = np.take_along_axis(rate, size, axis=-1)[..., 0]
    of_size = np.take_along_axis(money / held[..., None], size[..., None], axis=-2)[..., 0, :]
    return least, np.where(np.isfinite(least)[..., None], of_size, 0.0)


def _ways(
    network: SeasonalNetwork, rate: Floats, money: Floats, at_source: Floats, source_money: Floats
) -> tuple[Floats, Ints, Floats]:
    """Cheapest ways of one grade from any source to all nodes.

    Price of water there (N,), the source it comes from (N,; 0 where there is none, at inf) and the money spent on
    the way per unit (N, R).
    """
    n, fare = network.num_nodes, np.clip(network.flow_cost[0], 0.0, None)
    can, num_lanes = np.flatnonzero(np.isfinite(at_source)), len(rate)
    tail = np.concatenate([network.tail, network.head, np.full(len(can), n)])
    head = np.concatenate([network.head, network.tail, network.source_node[can]])
    length = np.concatenate([rate + fare[:, 0], rate + fare[:, 1], np.maximum(at_source[can], 0.0)])
    spent = np.concatenate([money, money, source_money[can]])
    open_ = np.flatnonzero(length < 1e14)  # beyond lie ways that nothing may take
    length = np.maximum(length, SHORTEST * max(float(length[open_].max(initial=0.0)), 1.0))
    # of parallel ways the shortest counts; csr_array would add them up
    order = open_[np.lexsort((length[open_], head[open_], tail[open_]))]
    key = tail[order] * (n + 1) + head[order]
    first = np.ones(len(key), bool)
    first[1:] = key[1:] != key[:-1]
    order, key = order[first], key[first]
    graph = csr_array((length[order], (tail[order], head[order])), (n + 1, n + 1))
    price, before = dijkstra(graph, directed=True, indices=np.array(n), return_predecessors=True)
    reached = np.flatnonzero(before >= 0)
    last = order[np.searchsorted(key, before[reached] * (n + 1) + reached)]
    on_way, source, back = np.zeros((n + 1, money.shape[1])), np.zeros(n + 1, np.int64), np.full(n + 1, n)
    on_way[reached], back[reached] = spent[last], before[reached]
    from_source = last >= 2 * num_lanes
    source[reached[from_source]] = can[last[from_source] - 2 * num_lanes]
    # every turn adds what lies before what was added so far, so that long ways take few
    while (back != n).any():
        source = np.where(back == n, source, source[back])
        on_way, back = on_way + on_way[back], back[back]
    return price[:n], source[:n], on_way[:n]


def _served(
    network: SeasonalNetwork, potential: Floats, connect: Floats
) -> tuple[tuple[Ints, Ints], Floats, Ints, float]:
    """Where each requirement gets its water at these prices, node and grade (Q,), and how much; who is connected, what that is worth."""
    num_customers, requirement = len(network.customer_node), network.requirement_of
    customer = np.repeat(np.arange(num_customers), np.diff(network.first_requirement))
    grade = np.repeat(np.arange(potential.shape[1]), np.diff(network.grade_start))
    price = potential[network.customer_node[customer[requirement]], grade]
    by_price = np.lexsort((price, requirement))
    cheapest = np.full(len(customer), np.inf)
    own_grade = np.zeros(len(customer), np.int64)
    # of each requirement the first, as the last that is written stays
    cheapest[requirement[by_price[::-1]]] = price[by_price[::-1]]
    own_grade[requirement[by_price[::-1]]] = grade[by_price[::-1]]
    reached = np.isfinite(cheapest)
    margin = np.where(reached, network.unit_value[0] - np.where(reached, cheapest, 0.0), 0.0)
    amount = np.where(reached, np.where(margin > 0.0, network.demand[0], network.least_take[0]), 0.0)
    net = np.bincount(customer, weights=margin * amount, minlength=num_customers) - connect
    net[
        np.bincount(customer, weights=~reached & (network.least_take[0] > 0.0), minlength=num_customers) > 0
    ] = -np.inf
    served = np.flatnonzero(net > -network.idle_cost)
    taken = amount * np.isin(customer, served)
    worth = np.maximum(net, -network.idle_cost)
    worth = worth[np.isfinite(worth)].sum()
    return (network.customer_node[customer], own_grade), taken, served, float(worth)

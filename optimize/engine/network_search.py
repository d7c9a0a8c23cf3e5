"""Constructive search and large-neighbourhood improvement of a network design, compiled.

A customer is inserted at its marginal cost: for each requirement a shortest path from the customer
back to any source, where an arc costs what the pipe on it has to grow (priced money included) and
the flow cost.  Improvement destroys customers, inserts them anew in another order, and accepts by
simulated annealing: those of an area, all who share a trunk or a source, those near a source that is
opened as if it cost nothing, those of one that is closed, those near a customer who is served whatever
it costs.  Money is priced: the price of each purse follows its overspending in the first phase; in the
second only plans within the budgets count.

All of it is in one file because numba's cache on disk does not see changes in other files.
"""

# ruff: noqa: NPY002 - inside compiled code only the legacy generator is quick; it is seeded on entry
from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from optimize.engine.network_data import Assignment, Floats, Ints, Loads, Network, Prices, Workspace

Function = TypeVar("Function", bound=Callable[..., Any])

TINY = 1e-8  # flow below which a pipe counts as empty
MARGIN = 1e-6  # flow left at a source so that rounding never overdraws it
OVERRUN_PRICE = (
    1000.0  # present value lost per unit of money spent over a budget: more than money can be worth
)
OVERRUN_EASY = 1.02  # share of a budget beyond which the easy phase penalises overspending
AREA, TRUNK, SOURCE, OPEN, CLOSE = range(5)
"""Moves, in the order of their cumulated shares; what is left of the draws forces a customer in."""
FEWEST_DESTROYED, MOST_DESTROYED = 40, 120
"""Limit to what a trunk or source takes along, drawn anew each time: a trunk of many users moves only as a whole."""
FORCED_WORTH = 10.0  # of a forced customer, in its own worth: more than any way to it costs


def compiled(function: Function) -> Function:
    """Compile with numba, cached on disk; the interpreter lock is released while it runs."""
    return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def entry(function: Function) -> Function:
    """Compile without reference counts: for functions that make no arrays of their own.

    Each call with a `Network` would count the references of its 46 arrays up and down again, which
    took nine tenths of the time of a search.  numba refuses to compile a function that allocates so.
    """
    decorate = numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
    return cast(Function, decorate(function))


def internal(function: Function) -> Function:
    """As `entry`, for calls from other compiled functions only: no wrapper, which halves the time."""
    decorate = numba.njit(
        cache=True, nogil=True, error_model="numpy", _nrt=False,
        no_cpython_wrapper=True, no_cfunc_wrapper=True,
    )  # fmt: skip
    return cast(Function, decorate(function))


def inlined(function: Function) -> Function:
    """Compile into the caller: for the inner loop, where passing the arrays costs more than the work."""
    return cast(Function, numba.njit(inline="always", error_model="numpy")(function))


@internal
def _needed(capacity: Floats, flow: float) -> int:
    """Smallest size that carries ``flow`` (0: none; the last carries anything)."""
    if flow <= TINY:
        return 0
    for size in range(1, len(capacity)):
        if capacity[size] >= flow - TINY:
            return size
    return len(capacity)


@internal
def _add_flow(network: Network, loads: Loads, edge: int, grade: int, sign: float, take: Floats) -> None:
    """Put ``sign * take`` on a pipe; its size follows the peak."""
    flow = loads.flow[edge, grade]
    along, against = network.flow_cost[edge, 0], network.flow_cost[edge, 1]
    peak, cost, lowest, highest = 0.0, 0.0, 0.0, 0.0
    for t in range(len(take)):
        old = flow[t]
        new = old + sign * take[t]
        if abs(new) < TINY:
            new = 0.0
        flow[t] = new
        lowest, highest = min(lowest, new), max(highest, new)
        cost += network.weight[t] * (
            (new * along if new > 0 else -new * against) - (old * along if old > 0 else -old * against)
        )
        peak = max(peak, abs(new))
    loads.peak[edge, grade] = peak
    loads.sense[edge, grade] = 0 if lowest < 0.0 < highest or peak == 0.0 else (1 if highest > 0.0 else -1)
    size = _needed(network.size_capacity, peak - network.pipe_existing[edge, grade])
    if size > network.pipe_max[edge, grade]:
        size = len(network.size_capacity) - 1
    size = max(size, network.pipe_min[edge, grade])
    before = loads.size[edge, grade]
    if size != before:
        cost += network.pipe_cost[edge, grade, size] - network.pipe_cost[edge, grade, before]
        for r in range(len(loads.spent)):
            loads.spent[r] += (
                network.pipe_spend[edge, grade, size, r] - network.pipe_spend[edge, grade, before, r]
            )
        loads.size[edge, grade] = size
    loads.net[0] -= cost


@internal
def _add_made(network: Network, loads: Loads, source: int, grade: int, sign: float, take: Floats) -> None:
    """Let a source make ``sign * take`` more of a grade; its step follows the peak."""
    made = loads.made[source, grade]
    peak, amount = 0.0, 0.0
    for t in range(len(take)):
        made[t] += sign * take[t]
        if made[t] < TINY:
            made[t] = 0.0
        loads.raw_used[source, t] += sign * take[t] * network.raw_per_unit[source, grade]
        amount += sign * take[t] * network.weight[t]
        peak = max(peak, made[t])
    step = _needed(network.step_capacity[source, grade], peak - network.step_existing[source, grade])
    step = min(step, network.step_capacity.shape[2] - 1)
    step = max(step, network.step_min[source, grade])
    before = loads.step[source, grade]
    cost = amount * network.unit_cost[source, grade]
    if step != before:
        cost += network.step_cost[source, grade, step] - network.step_cost[source, grade, before]
        for r in range(len(loads.spent)):
            loads.spent[r] += (
                network.step_spend[source, grade, step, r] - network.step_spend[source, grade, before, r]
            )
        loads.step[source, grade] = step
    for m in range(len(loads.effect)):
        loads.effect[m] += amount * network.effect_made[source, grade, m]
    loads.net[0] -= cost


@internal
def _add_requirement(network: Network, loads: Loads, plan: Assignment, q: int, sign: float) -> None:
    """Add (+1) or take off (-1) one assigned requirement."""
    grade, take = plan.grade[q], plan.take[q]
    if grade < 0:
        return
    for k in range(plan.path_length[q]):
        arc = plan.path[q, k]
        _add_flow(network, loads, network.arc_edge[arc], grade, sign * network.arc_sign[arc], take)
    _add_made(network, loads, plan.source[q], grade, sign, take)
    amount = 0.0
    for t in range(len(take)):
        amount += take[t] * network.weight[t]
    loads.net[0] += sign * amount * network.unit_value[q, grade]
    for m in range(len(loads.effect)):
        loads.effect[m] += sign * amount * network.effect_delivered[q, grade, m]


@internal
def _connect(network: Network, loads: Loads, plan: Assignment, customer: int, sign: int) -> None:
    """Connect (+1) or disconnect (-1) a customer; its requirements are handled apart."""
    loads.net[0] -= sign * network.connect_cost[customer]
    for r in range(len(loads.spent)):
        loads.spent[r] += sign * network.connect_spend[customer, r]
    for k in range(network.first_group[customer], network.first_group[customer + 1]):
        loads.group_count[network.group_of[k]] += sign
    plan.served[customer] = 1 if sign > 0 else 0


@entry
def remove_customer(network: Network, loads: Loads, plan: Assignment, customer: int) -> None:
    """Take a customer off the network (its assignment stays readable)."""
    if plan.served[customer] == 0:
        return
    for q in range(network.first_requirement[customer], network.first_requirement[customer + 1]):
        _add_requirement(network, loads, plan, q, -1.0)
    _connect(network, loads, plan, customer, -1)


@internal
def _copy_customer(network: Network, source: Assignment, target: Assignment, customer: int) -> None:
    """Copy a customer's assignment without touching loads."""
    target.served[customer] = source.served[customer]
    for q in range(network.first_requirement[customer], network.first_requirement[customer + 1]):
        target.grade[q] = source.grade[q]
        target.source[q] = source.source[q]
        length = source.path_length[q]
        target.path_length[q] = length
        for k in range(length):
            target.path[q, k] = source.path[q, k]
        for t in range(source.take.shape[1]):
            target.take[q, t] = source.take[q, t]


@internal
def put_customer(network: Network, loads: Loads, plan: Assignment, saved: Assignment, customer: int) -> None:
    """Serve a customer again as it was saved."""
    remove_customer(network, loads, plan, customer)
    _copy_customer(network, saved, plan, customer)
    if saved.served[customer] == 0:
        return
    for q in range(network.first_requirement[customer], network.first_requirement[customer + 1]):
        _add_requirement(network, loads, plan, q, 1.0)
    _connect(network, loads, plan, customer, 1)


@inlined
def _source_cost(
    network: Network, loads: Loads, prices: Prices, q: int, p: int, g: int, volume: float, boldness: float
) -> float:
    """Priced cost of making requirement q's water at source p, inf where it cannot."""
    if not np.isfinite(network.raw_per_unit[p, g]) or network.raw_per_unit[p, g] <= 0.0:
        return np.inf
    top = network.step_existing[p, g] + network.step_capacity[p, g, network.step_max[p, g]]
    peak, lost = 0.0, 0.0
    for t in range(len(network.weight)):
        room = (network.raw_available[p, t] - loads.raw_used[p, t]) / network.raw_per_unit[p, g]
        room = min(room, top - loads.made[p, g, t]) - MARGIN
        wanted = network.demand[q, t]
        take = min(wanted, room)
        if take < network.least_take[q, t] - TINY or (take <= 0.0 and wanted > 0.0):
            return np.inf
        lost += (wanted - take) * network.weight[t]
        peak = max(peak, loads.made[p, g, t] + take)
    step = _needed(network.step_capacity[p, g], peak - network.step_existing[p, g])
    step = max(step, network.step_min[p, g])
    if step > network.step_max[p, g]:
        return np.inf
    growth = prices.step[p, g, step] - prices.step[p, g, loads.step[p, g]]
    unserved = lost * max(0.0, prices.value[q, g])
    return float(boldness * growth + prices.unit[p, g] * (volume - lost) + unserved)


@inlined
def _pipe_cost(
    network: Network, loads: Loads, prices: Prices, q: int, edge: int, g: int, sign: int,
    volume: float, most: float, new_size: int, boldness: float,
) -> float:  # fmt: skip
    """Priced cost of sending requirement q's water through a corridor, inf where it cannot."""
    size = loads.size[edge, g]
    along, against = network.flow_cost[edge, 0], network.flow_cost[edge, 1]
    if size == 0 and network.pipe_existing[edge, g] <= 0.0:
        if new_size > network.pipe_max[edge, g]:
            return np.inf
        cost = boldness * prices.pipe[edge, g, new_size] + volume * (along if sign > 0 else against)
        return float(max(cost, 1e-9))
    room = network.size_capacity[size] + network.pipe_existing[edge, g]
    if loads.sense[edge, g] == sign and loads.peak[edge, g] + most <= room:
        return float(max(volume * (along if sign > 0 else against), 1e-9))
    flow, demand = loads.flow[edge, g], network.demand[q]
    peak, moved = 0.0, 0.0
    for t in range(len(demand)):
        old = flow[t]
        new = old + sign * demand[t]
        moved += network.weight[t] * (
            (new * along if new > 0 else -new * against) - (old * along if old > 0 else -old * against)
        )
        peak = max(peak, abs(new))
    need = _needed(network.size_capacity, peak - network.pipe_existing[edge, g])
    if need > network.pipe_max[edge, g]:
        return np.inf
    need = max(need, network.pipe_min[edge, g])
    cost = boldness * (prices.pipe[edge, g, need] - prices.pipe[edge, g, size]) + moved
    return float(max(cost, 1e-9))


@internal
def _push(keys: Floats, nodes: Ints, count: int, key: float, node: int) -> int:
    """Insert into the binary heap; returns the new count."""
    i = count
    while i > 0:
        above = (i - 1) >> 1
        if keys[above] <= key:
            break
        keys[i] = keys[above]
        nodes[i] = nodes[above]
        i = above
    keys[i] = key
    nodes[i] = node
    return count + 1


@inlined
def _pop(keys: Floats, nodes: Ints, count: int) -> int:
    """Drop the least of the binary heap; returns the new count."""
    count -= 1
    key, node = keys[count], nodes[count]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= count:
            break
        if child + 1 < count and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[i] = keys[child]
        nodes[i] = nodes[child]
        i = child
    keys[i] = key
    nodes[i] = node
    return count


@internal
def _find_supply(
    network: Network, loads: Loads, prices: Prices, work: Workspace, plan: Assignment,
    q: int, boldness: float, limit: float,
) -> float:  # fmt: skip
    """Cheapest grade, source and path for requirement q, written to ``plan``.

    Returns the priced cost measured from the best value any accepted grade has; inf where no
    supply costs less than ``limit``.
    """
    volume, peak = 0.0, 0.0
    for t in range(len(network.weight)):
        volume += network.demand[q, t] * network.weight[t]
        peak = max(peak, network.demand[q, t])
    highest = -np.inf
    for g in range(network.accepts.shape[1]):
        if network.accepts[q, g]:
            highest = max(highest, prices.value[q, g])
    start = network.customer_node[network.customer_of[q]]
    new_size = _needed(network.size_capacity, peak)
    keys, nodes, longest = work.heap_key, work.heap_node, plan.path.shape[1]
    best, found = limit, False
    for g in range(network.accepts.shape[1]):
        base = (highest - prices.value[q, g]) * volume
        if not network.accepts[q, g] or base >= best:
            continue
        work.clock[0] += 1
        stamp = work.clock[0]
        work.distance[start] = 0.0
        work.stamp[start] = stamp
        work.parent[start] = -1
        count = _push(keys, nodes, 0, 0.0, start)
        source = -1
        while count > 0:
            cost, node = keys[0], nodes[0]
            count = _pop(keys, nodes, count)
            if cost > work.distance[node] + 1e-12:
                continue
            if cost + base >= best:
                break
            p = network.source_at[node]
            if p >= 0 and p != work.closed[0]:
                total = cost + base + _source_cost(network, loads, prices, q, p, g, volume, boldness)
                if total < best:
                    best, source = total, p
            for arc in range(network.first_arc[node], network.first_arc[node + 1]):
                # the search runs from the customer outwards, the water the other way
                further = cost + _pipe_cost(
                    network, loads, prices, q, network.arc_edge[arc], g, -network.arc_sign[arc],
                    volume, peak, new_size, boldness,
                )  # fmt: skip
                if further + base >= best:
                    continue
                tip = network.arc_tip[arc]
                if work.stamp[tip] != stamp or further < work.distance[tip] - 1e-12:
                    work.stamp[tip] = stamp
                    work.distance[tip] = further
                    work.parent[tip] = arc
                    count = _push(keys, nodes, count, further, tip)
        if source >= 0 and _write_path(network, work, plan, q, g, source, start, longest):
            found = True
            for t in range(len(network.weight)):
                room = (network.raw_available[source, t] - loads.raw_used[source, t]) / network.raw_per_unit[
                    source, g
                ]
                top = (
                    network.step_existing[source, g]
                    + network.step_capacity[source, g, network.step_max[source, g]]
                )
                room = min(room, top - loads.made[source, g, t]) - MARGIN
                plan.take[q, t] = max(0.0, min(network.demand[q, t], room))
    if not found:
        plan.grade[q] = -1
        return np.inf
    return best


@internal
def _write_path(
    network: Network, work: Workspace, plan: Assignment, q: int, g: int, source: int, start: int, longest: int
) -> bool:
    """Follow the parents from the source to the customer; arcs are stored in flow direction."""
    length, node = 0, network.source_node[source]
    while node != start:
        arc = work.parent[node]
        if length >= longest:
            return False
        edge = network.arc_edge[arc]
        # the search used `arc` from the customer's side to `node`; its twin runs the other way
        for twin in range(network.first_arc[node], network.first_arc[node + 1]):
            if network.arc_edge[twin] == edge and network.arc_sign[twin] == -network.arc_sign[arc]:
                plan.path[q, length] = twin
                node = network.arc_tip[twin]
                break
        length += 1
    plan.path_length[q] = length
    plan.grade[q] = g
    plan.source[q] = source
    return True


@internal
def _best_value(network: Network, prices: Prices, q: int) -> float:
    """Value of meeting requirement q in full by its best grade."""
    highest, volume = -np.inf, 0.0
    for g in range(network.accepts.shape[1]):
        if network.accepts[q, g]:
            highest = max(highest, prices.value[q, g])
    for t in range(len(network.weight)):
        volume += network.demand[q, t] * network.weight[t]
    return highest * volume if np.isfinite(highest) else 0.0


@internal
def insert_customer(
    network: Network, loads: Loads, prices: Prices, work: Workspace, plan: Assignment,
    customer: int, boldness: float,
) -> bool:  # fmt: skip
    """Serve a customer if that is worth its marginal cost; fixed costs count by ``boldness``."""
    if plan.served[customer] == 1 or network.may_serve[customer] == 0:
        return bool(plan.served[customer] == 1)
    first, last = network.first_requirement[customer], network.first_requirement[customer + 1]
    worth = -prices.connect[customer]
    for q in range(first, last):
        worth += _best_value(network, prices, q)
    for k in range(network.first_group[customer], network.first_group[customer + 1]):
        c = network.group_of[k]
        if loads.group_count[c] < network.group_need[c]:
            worth += network.group_price[c]
    if worth <= 0.0:
        return False
    for q in range(first, last):
        obliged = False
        for t in range(len(network.weight)):
            obliged = obliged or network.least_take[q, t] > TINY
        value = _best_value(network, prices, q)
        limit = worth if obliged else min(worth, value)
        cost = _find_supply(network, loads, prices, work, plan, q, boldness, limit)
        if np.isfinite(cost):
            worth -= cost
            _add_requirement(network, loads, plan, q, 1.0)
        elif obliged or worth <= value:
            plan.grade[q] = -1
            for k in range(first, q):
                _add_requirement(network, loads, plan, k, -1.0)
            return False
        else:
            worth -= value
    _connect(network, loads, plan, customer, 1)
    return True


@entry
def reprice(network: Network, prices: Prices) -> None:
    """Costs at the current prices of purses and effects."""
    # plain loops: array expressions take numba ten times as long to compile
    num_purses, num_effects = len(prices.of_purse), len(prices.of_effect)
    for e in range(prices.pipe.shape[0]):
        for g in range(prices.pipe.shape[1]):
            for s in range(prices.pipe.shape[2]):
                cost = network.pipe_cost[e, g, s]
                for r in range(num_purses):
                    cost += prices.of_purse[r] * network.pipe_spend[e, g, s, r]
                prices.pipe[e, g, s] = cost
    for p in range(prices.step.shape[0]):
        for g in range(prices.step.shape[1]):
            for s in range(prices.step.shape[2]):
                cost = network.step_cost[p, g, s]
                for r in range(num_purses):
                    cost += prices.of_purse[r] * network.step_spend[p, g, s, r]
                prices.step[p, g, s] = cost
            prices.unit[p, g] = network.unit_cost[p, g]
            for m in range(num_effects):
                prices.unit[p, g] -= prices.of_effect[m] * network.effect_made[p, g, m]
    for j in range(len(prices.connect)):
        prices.connect[j] = network.connect_cost[j]
        for r in range(num_purses):
            prices.connect[j] += prices.of_purse[r] * network.connect_spend[j, r]
    for q in range(prices.value.shape[0]):
        for g in range(prices.value.shape[1]):
            prices.value[q, g] = network.unit_value[q, g]
            for m in range(num_effects):
                prices.value[q, g] += prices.of_effect[m] * network.effect_delivered[q, g, m]
    for g in range(prices.unit.shape[1]):
        least = np.inf
        for p in range(prices.unit.shape[0]):
            if np.isfinite(network.raw_per_unit[p, g]):
                least = min(least, prices.unit[p, g])
        if np.isfinite(least):
            for p in range(prices.unit.shape[0]):
                prices.unit[p, g] -= least
            for q in range(prices.value.shape[0]):
                prices.value[q, g] -= least


@entry
def score(network: Network, loads: Loads, prices: Prices, strict: bool) -> float:
    """Present value less penalties: what acceptance looks at."""
    value = loads.net[0]
    for c in range(len(network.group_need)):
        value -= network.group_price[c] * max(0.0, network.group_need[c] - loads.group_count[c])
    for m in range(len(network.effect_need)):
        value -= network.effect_price[m] * max(0.0, network.effect_need[m] - loads.effect[m])
    for r in range(len(network.budget)):
        if strict:
            value -= OVERRUN_PRICE * max(0.0, loads.spent[r] - network.budget[r])
        else:
            value -= prices.of_purse[r] * loads.spent[r]
            value -= 3.0 * max(0.0, loads.spent[r] - OVERRUN_EASY * network.budget[r])
    return float(value)


@entry
def violation(network: Network, loads: Loads) -> float:
    """Sum of relative violations of budgets and hard needs; 0 for a feasible plan."""
    total = 0.0
    for r in range(len(network.budget)):
        total += max(
            0.0,
            loads.spent[r] / max(network.budget[r], 1.0) - network.budget[r] / max(network.budget[r], 1.0),
        )
    for c in range(len(network.group_need)):
        if network.group_hard[c]:
            total += max(0.0, network.group_need[c] - loads.group_count[c]) / network.group_need[c]
    for m in range(len(network.effect_need)):
        if network.effect_hard[m]:
            total += max(0.0, network.effect_need[m] - loads.effect[m]) / network.effect_need[m]
    return 0.0 if total < 1e-9 else total


@internal
def _try_drop(
    network: Network, loads: Loads, prices: Prices, plan: Assignment, spare: Assignment,
    customer: int, strict: bool,
) -> None:  # fmt: skip
    """Take a customer off where that raises the score."""
    if plan.served[customer] == 0:
        return
    before = score(network, loads, prices, strict)
    _copy_customer(network, plan, spare, customer)
    remove_customer(network, loads, plan, customer)
    if score(network, loads, prices, strict) <= before + 1e-9 * abs(before):
        put_customer(network, loads, plan, spare, customer)


@internal
def _try_again(
    network: Network, loads: Loads, prices: Prices, work: Workspace, plan: Assignment,
    spare: Assignment, customer: int, strict: bool,
) -> None:  # fmt: skip
    """Serve a customer anew at its true marginal cost, kept where the score does not fall."""
    before = score(network, loads, prices, strict)
    _copy_customer(network, plan, spare, customer)
    served = plan.served[customer]
    remove_customer(network, loads, plan, customer)
    inserted = insert_customer(network, loads, prices, work, plan, customer, 1.0)
    if (served and not inserted) or score(network, loads, prices, strict) < before:
        put_customer(network, loads, plan, spare, customer)


@entry
def tidy(
    network: Network, loads: Loads, prices: Prices, work: Workspace, plan: Assignment,
    spare: Assignment, customers: Ints, count: int, strict: bool,
) -> None:  # fmt: skip
    """Drop what does not pay, from the last to the first, then try each customer again."""
    for k in range(count - 1, -1, -1):
        _try_drop(network, loads, prices, plan, spare, customers[k], strict)
    for k in range(count):
        _try_again(network, loads, prices, work, plan, spare, customers[k], strict)


@entry
def construct(
    network: Network, loads: Loads, prices: Prices, work: Workspace, plan: Assignment,
    spare: Assignment, order: Ints, boldness: float, passes: int,
) -> None:  # fmt: skip
    """Insert every customer in the given order at the current prices, then tidy up."""
    reprice(network, prices)
    for k in range(len(order)):
        insert_customer(network, loads, prices, work, plan, order[k], boldness)
    for _ in range(passes):
        tidy(network, loads, prices, work, plan, spare, order, len(order), False)


@compiled
def shed(network: Network, loads: Loads, prices: Prices, plan: Assignment, spare: Assignment) -> None:
    """Drop the customers that give least for the money until the plan is within its budgets."""
    num = len(plan.served)
    ratio = np.empty(num)
    for _ in range(8):
        if violation(network, loads) == 0.0:
            return
        for j in range(num):
            ratio[j] = np.inf
            if plan.served[j] == 0:
                continue
            net = loads.net[0]
            before = loads.spent.copy()
            _copy_customer(network, plan, spare, j)
            remove_customer(network, loads, plan, j)
            freed = 0.0
            for r in range(len(before)):
                if before[r] > network.budget[r]:
                    freed += before[r] - loads.spent[r]
            if freed > 0.0:
                ratio[j] = (net - loads.net[0]) / freed
                for k in range(network.first_group[j], network.first_group[j + 1]):
                    c = network.group_of[k]
                    if loads.group_count[c] < network.group_need[c]:
                        ratio[j] += network.group_price[c] / freed
            put_customer(network, loads, plan, spare, j)
        order = np.argsort(ratio)
        for k in range(num):
            over = 0.0
            for r in range(len(loads.spent)):
                over += max(0.0, loads.spent[r] - network.budget[r])
            if over == 0.0 or not np.isfinite(ratio[order[k]]):
                break
            if k * 6 > num and k > 2:
                break  # what is left has changed: look at the ratios anew
            remove_customer(network, loads, plan, order[k])


@internal
def _copy_plan(network: Network, source: Assignment, target: Assignment) -> None:
    for j in range(len(source.served)):
        _copy_customer(network, source, target, j)


@entry
def restore(network: Network, loads: Loads, plan: Assignment, saved: Assignment) -> None:
    """Make ``saved`` the plan again, loads included."""
    for j in range(len(plan.served)):
        remove_customer(network, loads, plan, j)
    for j in range(len(plan.served)):
        put_customer(network, loads, plan, saved, j)


@entry
def keep_if_better(
    network: Network, loads: Loads, plan: Assignment, best: Assignment, best_value: Floats
) -> bool:
    """Copy the plan to ``best`` if it violates less, or as little and is worth more."""
    broken = violation(network, loads)
    worth = loads.net[0]
    for c in range(len(network.group_need)):
        worth -= network.group_price[c] * max(0.0, network.group_need[c] - loads.group_count[c])
    for m in range(len(network.effect_need)):
        worth -= network.effect_price[m] * max(0.0, network.effect_need[m] - loads.effect[m])
    if broken < best_value[0] or (broken == best_value[0] and worth > best_value[1] * (1 + 1e-12) + 1e-6):
        best_value[0] = broken
        best_value[1] = worth
        _copy_plan(network, plan, best)
        return True
    return False


@internal
def _choose_area(network: Network, work: Workspace, seed: int, most: int, count: int) -> int:
    """Add a customer and most of its nearest neighbours to the destroyed set."""
    if work.mark[seed] == 0:
        work.mark[seed] = 1
        work.chosen[count] = seed
        count += 1
    for k in range(min(most, network.neighbours.shape[1])):
        j = network.neighbours[seed, k]
        if work.mark[j] == 0 and np.random.random() < 0.85:
            work.mark[j] = 1
            work.chosen[count] = j
            count += 1
    return count


@internal
def _choose(work: Workspace, customer: int, count: int) -> int:
    """Add a customer to the destroyed set if it is not in it."""
    if work.mark[customer] == 1:
        return count
    work.mark[customer] = 1
    work.chosen[count] = customer
    return count + 1


@internal
def _choose_users_of(
    network: Network, work: Workspace, plan: Assignment, seed: int, edge: int, grade: int, source: int,
    most: int, count: int,
) -> int:  # fmt: skip
    """Add the customers who get a grade through a corridor, or, if ``edge`` is -1, from a source.

    Those near ``seed`` come first.
    """
    num = len(plan.served)
    reach = network.neighbours.shape[1]
    for i in range(num + reach + 1):
        if count >= most:
            break
        j = seed if i == 0 else (network.neighbours[seed, i - 1] if i <= reach else i - reach - 1)
        if plan.served[j] == 0 or work.mark[j] == 1:
            continue
        for q in range(network.first_requirement[j], network.first_requirement[j + 1]):
            if plan.grade[q] != grade:
                continue
            hit = edge < 0 and plan.source[q] == source
            if edge >= 0:
                for k in range(plan.path_length[q]):
                    if network.arc_edge[plan.path[q, k]] == edge:
                        hit = True
                        break
            if hit:
                count = _choose(work, j, count)
                break
    return count


@internal
def _choose_together(
    network: Network, loads: Loads, work: Workspace, plan: Assignment, by_source: bool, most: int
) -> int:  # fmt: skip
    """All who share a trunk (or a source and grade) with somebody, and a few beside them."""
    seed = np.random.randint(0, len(plan.served))
    for _ in range(50):
        if plan.served[seed] == 1:
            break
        seed = np.random.randint(0, len(plan.served))
    first, last = network.first_requirement[seed], network.first_requirement[seed + 1]
    if plan.served[seed] == 0 or first == last:
        return 0
    q = first + np.random.randint(0, last - first)
    if plan.grade[q] < 0:
        return 0
    edge, grade = -1, plan.grade[q]
    if not by_source and plan.path_length[q] > 0:
        edge = network.arc_edge[plan.path[q, np.random.randint(0, plan.path_length[q])]]
    if not by_source and np.random.random() < 0.5:
        for _ in range(100):  # any pipe in use: the paths of customers favour the trunks of many
            e, g = np.random.randint(0, loads.peak.shape[0]), np.random.randint(0, loads.peak.shape[1])
            if loads.peak[e, g] > 0.0:
                edge, grade = e, g
                break
    count = _choose_users_of(network, work, plan, seed, edge, grade, plan.source[q], most, 0)
    members = count
    for _ in range(min(4, members)):
        j = work.chosen[np.random.randint(0, members)]
        for _ in range(3):
            if network.neighbours.shape[1] > 0:
                near = network.neighbours[j, np.random.randint(0, network.neighbours.shape[1])]
                count = _choose(work, near, count)
    return count


@internal
def _choose_around_source(
    network: Network, work: Workspace, plan: Assignment, near_source: Ints, closes: bool, most: int
) -> int:  # fmt: skip
    """The customers near a source that is to be opened, or those of one that is to be closed."""
    source = np.random.randint(0, near_source.shape[0])
    count, near = 0, 20 + np.random.randint(0, 60)
    if closes:
        near = 20
        for j in range(len(plan.served)):
            if plan.served[j] == 0 or count >= most:
                continue
            for q in range(network.first_requirement[j], network.first_requirement[j + 1]):
                if plan.grade[q] >= 0 and plan.source[q] == source:
                    count = _choose(work, j, count)
                    break
    if closes and count > 0:
        work.closed[0] = source
    else:
        work.opened[0] = source
    for k in range(min(near, near_source.shape[1])):
        count = _choose(work, near_source[source, k], count)
    return count


@internal
def _choose_around_unserved(network: Network, prices: Prices, work: Workspace, plan: Assignment) -> int:
    """The worthiest of a few customers without service, to be forced in, and most of its neighbours."""
    num = len(plan.served)
    best, seed = 0.0, np.random.randint(0, num)
    for _ in range(4):
        j = np.random.randint(0, num)
        if plan.served[j] == 1 or network.may_serve[j] == 0:
            continue
        worth = _worth(network, prices, j)
        if worth > best:
            best, seed = worth, j
    if best > 0.0:
        work.forced[0] = seed
    return _choose_area(network, work, seed, 5 + np.random.randint(0, 55), 0)


@internal
def _worth(network: Network, prices: Prices, customer: int) -> float:
    """What all a customer asks for is worth by its best grades."""
    worth = 0.0
    for q in range(network.first_requirement[customer], network.first_requirement[customer + 1]):
        worth += max(0.0, _best_value(network, prices, q))
    return worth


@internal
def _destroyed_set(
    network: Network, loads: Loads, prices: Prices, work: Workspace, plan: Assignment, shares: Floats,
    near_source: Ints, strict: bool,
) -> int:  # fmt: skip
    """Draw a move and the customers it destroys; the work space says what it opens, closes or forces in."""
    num = len(plan.served)
    kind = np.random.random()
    most = FEWEST_DESTROYED + np.random.randint(0, MOST_DESTROYED - FEWEST_DESTROYED + 1)
    count = 0
    if kind >= shares[CLOSE]:
        count = _choose_around_unserved(network, prices, work, plan)
    elif kind >= shares[SOURCE]:
        count = _choose_around_source(network, work, plan, near_source, kind >= shares[OPEN], most)
    elif kind >= shares[AREA]:
        count = _choose_together(network, loads, work, plan, kind >= shares[TRUNK], most)
    if count == 0:
        size = 3 + np.random.randint(0, 50 if np.random.random() < 0.2 else 25)
        count = _choose_area(network, work, np.random.randint(0, num), size, 0)
    if strict and np.random.random() < 0.5:
        count = _choose_area(network, work, np.random.randint(0, num), 2 + np.random.randint(0, 12), count)
    return count


@internal
def _move_prices(network: Network, loads: Loads, prices: Prices) -> None:
    """Raise the price of overspent purses and of effects fallen short, lower the others."""
    for r in range(len(network.budget)):
        if loads.spent[r] > network.budget[r]:
            prices.of_purse[r] = prices.of_purse[r] * 1.01 + 1e-3
        elif loads.spent[r] < 0.998 * network.budget[r]:
            prices.of_purse[r] *= 0.99
            if prices.of_purse[r] < 1e-4:
                prices.of_purse[r] = 0.0
    for m in range(len(network.effect_need)):
        if loads.effect[m] < network.effect_need[m]:
            prices.of_effect[m] = min(
                network.effect_price[m], prices.of_effect[m] * 1.05 + 1e-3 * network.effect_price[m]
            )
        elif loads.effect[m] > 1.002 * network.effect_need[m]:
            prices.of_effect[m] *= 0.95


@internal
def _insert_all(
    network: Network, loads: Loads, prices: Prices, work: Workspace, plan: Assignment, count: int,
    boldness: float,
) -> bool:  # fmt: skip
    """Insert the destroyed customers in their order, as the move opens, closes or forces; returns if it does."""
    opened, closed, forced = work.opened[0], work.closed[0], work.forced[0]
    if opened >= 0:
        for g in range(prices.step.shape[1]):
            for s in range(prices.step.shape[2]):
                prices.step[opened, g, s] = 0.0
    if forced >= 0:
        prices.connect[forced] -= FORCED_WORTH * _worth(network, prices, forced)
        insert_customer(network, loads, prices, work, plan, forced, boldness)
    for k in range(count):
        insert_customer(network, loads, prices, work, plan, work.order[k], boldness)
    work.opened[0] = work.closed[0] = work.forced[0] = -1
    if opened >= 0 or forced >= 0:
        reprice(network, prices)
    return bool(opened >= 0 or closed >= 0 or forced >= 0)


@entry
def improve(
    network: Network, loads: Loads, prices: Prices, work: Workspace, plan: Assignment, saved: Assignment,
    spare: Assignment, best: Assignment, best_value: Floats, base_price: Floats, shares: Floats,
    near_source: Ints, seed: int, iterations: int, heat: float, cooling: float, strict: bool,
) -> int:  # fmt: skip
    """Large-neighbourhood search for a number of iterations.

    Parameters
    ----------
    best_value : (2,) violation and worth of ``best``.
    base_price : (R,) prices of money around which the strict phase draws its own.
    shares : (5,) of the moves, cumulated, in the order of `AREA` to `CLOSE`; the rest forces customers in.
    near_source : (P, B) customers nearest to each source, nearest first.
    heat, cooling : temperature at the start, in present value, and what it falls to.
    strict : only plans within the budgets count; else money is priced adaptively.

    Returns
    -------
    Number of accepted plans.
    """
    np.random.seed(seed)
    accepted = 0
    for iteration in range(iterations):
        temperature = heat + (cooling - heat) * iteration / iterations
        if strict and iteration % 8 == 0:
            factor = 2.0 * np.random.random()
            for r in range(len(base_price)):
                prices.of_purse[r] = base_price[r] * factor
            reprice(network, prices)
        elif not strict and iteration % 10 == 0:
            _move_prices(network, loads, prices)
            reprice(network, prices)
        count = _destroyed_set(network, loads, prices, work, plan, shares, near_source, strict)
        before = score(network, loads, prices, strict)
        order = work.order
        for k in range(count):
            j = work.chosen[k]
            _copy_customer(network, plan, saved, j)
            remove_customer(network, loads, plan, j)
            order[k] = j
        _shuffle(network, prices, work, count)
        draw = np.random.random()
        boldness = 1.0 if draw < 0.4 else (0.5 if draw < 0.7 else 0.2)
        eased = _insert_all(network, loads, prices, work, plan, count, boldness)
        if eased or boldness < 1.0 or np.random.random() < 0.3:
            tidy(network, loads, prices, work, plan, spare, order, count, strict)
        else:
            for k in range(count):
                _try_drop(network, loads, prices, plan, spare, order[k], strict)
        after = score(network, loads, prices, strict)
        if after >= before + temperature * np.log(np.random.random() + 1e-12):
            accepted += 1
            keep_if_better(network, loads, plan, best, best_value)
        else:
            for k in range(count):
                remove_customer(network, loads, plan, work.chosen[k])
            for k in range(count):
                put_customer(network, loads, plan, saved, work.chosen[k])
        for k in range(count):
            work.mark[work.chosen[k]] = 0
    return accepted


@internal
def _shuffle(network: Network, prices: Prices, work: Workspace, count: int) -> None:
    """Random order, or half of the time by value with noise, the most valuable first."""
    order = work.order
    if np.random.random() < 0.5:
        for k in range(count - 1, 0, -1):
            other = np.random.randint(0, k + 1)
            order[k], order[other] = order[other], order[k]
        return
    for k in range(count):  # insertion sort: the sets are small
        j = order[k]
        worth = _worth(network, prices, j) - prices.connect[j]
        key = -worth * (0.5 + np.random.random())
        i = k
        while i > 0 and work.order_key[i - 1] > key:
            work.order_key[i] = work.order_key[i - 1]
            order[i] = order[i - 1]
            i -= 1
        work.order_key[i] = key
        order[i] = j

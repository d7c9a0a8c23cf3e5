"""Compiled loops of the choice engine: pricing, exact blocks, row use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

compiled: Callable[..., Any] = njit(cache=True, nogil=True, fastmath=False)

_NODE_LIMIT = 20_000
_BISECTIONS = 40


@compiled
def price(value, link_start, link_row, link_coefficient, multipliers, reduced, first, last):  # type: ignore[no-untyped-def]
    """reduced[j] = value[j] - sum of multipliers over the linking rows of column j, first <= j < last."""
    for j in range(first, last):
        worth = value[j]
        for p in range(link_start[j], link_start[j + 1]):
            worth -= multipliers[link_row[p]] * link_coefficient[p]
        reduced[j] = worth


@compiled
def best_of_group(reduced, weight, price_of_weight, first, last, must):  # type: ignore[no-untyped-def]
    """Column of largest reduced - price * weight in one group (-1: nothing), with that worth."""
    best, chosen = (-np.inf, -1) if must else (0.0, -1)
    for j in range(first, last):
        worth = reduced[j] - price_of_weight * weight[j]
        if worth > best:
            best, chosen = worth, j
    return best, chosen


@compiled
def solve_blocks(  # type: ignore[no-untyped-def]
    block_start, group_start, must, reduced, weight, capacity, chosen, plan_value, upper, local_price,
    first_block, last_block,
):  # fmt: skip
    """Best choice in each block from ``first_block`` to before ``last_block`` under its local row.

    Writes chosen (column by group, -1 nothing), plan_value and a valid ``upper`` by block (equal
    where the search ended), and the multiplier of the local row.  Returns the number of blocks
    that hold no choice at all.
    """
    empty = 0
    for b in range(first_block, last_block):
        first, last = block_start[b], block_start[b + 1]
        total, use = 0.0, 0.0
        for g in range(first, last):
            worth, j = best_of_group(reduced, weight, 0.0, group_start[g], group_start[g + 1], must[g])
            chosen[g] = j
            total += worth
            if j >= 0:
                use += weight[j]
        local_price[b] = 0.0
        if use <= capacity[b]:
            plan_value[b], upper[b] = total, total
            continue
        if not _solve_knapsack(
            b,
            first,
            last,
            group_start,
            must,
            reduced,
            weight,
            capacity[b],
            chosen,
            plan_value,
            upper,
            local_price,
        ):
            empty += 1
    return empty


@compiled
def _dual_use(first, last, group_start, must, reduced, weight, mu):  # type: ignore[no-untyped-def]
    use = 0.0
    for g in range(first, last):
        _, j = best_of_group(reduced, weight, mu, group_start[g], group_start[g + 1], must[g])
        if j >= 0:
            use += weight[j]
    return use


@compiled
def _solve_knapsack(  # type: ignore[no-untyped-def]
    b, first, last, group_start, must, reduced, weight, capacity, chosen, plan_value, upper, local_price
):
    """Multiple-choice knapsack of one block: Lagrangian bound, greedy plan, depth-first search."""
    low, high = 0.0, 1e-6
    for step in range(200):
        use = _dual_use(first, last, group_start, must, reduced, weight, high)
        if use <= capacity:
            break
        low = high
        high *= 4.0
        if step == 199 or high > 1e30:
            plan_value[b], upper[b] = -np.inf, -np.inf
            return False
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        use = _dual_use(first, last, group_start, must, reduced, weight, middle)
        if use <= capacity:
            high = middle
        else:
            low = middle
    mu = high
    count = last - first
    room, plan = capacity, 0.0
    bests = np.empty(count)
    for q in range(count):
        g = first + q
        bests[q], j = best_of_group(reduced, weight, mu, group_start[g], group_start[g + 1], must[g])
        chosen[g] = j
        if j >= 0:
            room -= weight[j]
            plan += reduced[j]
    plan = _fill(first, last, group_start, reduced, weight, chosen, room, plan)
    bound = mu * capacity + bests.sum()
    local_price[b] = mu
    if bound <= plan + 1e-12 * max(1.0, abs(plan)):
        plan_value[b], upper[b] = plan, bound
        return True
    plan, ended = _search(
        first, count, group_start, must, reduced, weight, capacity, mu, bests, bound, plan, chosen
    )
    plan_value[b] = plan
    upper[b] = plan if ended else bound
    return True


@compiled
def _fill(first, last, group_start, reduced, weight, chosen, room, plan):  # type: ignore[no-untyped-def]
    """Spend what room the Lagrangian choice leaves on the best single upgrades."""
    while True:
        best_gain, best_group, best_column = 1e-12, -1, -1
        for g in range(first, last):
            now_value = reduced[chosen[g]] if chosen[g] >= 0 else 0.0
            now_weight = weight[chosen[g]] if chosen[g] >= 0 else 0.0
            for j in range(group_start[g], group_start[g + 1]):
                if weight[j] - now_weight <= room and reduced[j] - now_value > best_gain:
                    best_gain, best_group, best_column = reduced[j] - now_value, g, j
        if best_group < 0:
            return plan
        old = chosen[best_group]
        room -= weight[best_column] - (weight[old] if old >= 0 else 0.0)
        plan += best_gain
        chosen[best_group] = best_column


@compiled
def _search(  # type: ignore[no-untyped-def]
    first, count, group_start, must, reduced, weight, capacity, mu, bests, bound, plan, chosen
):
    """Depth-first over the columns whose Lagrangian loss is below what is to be gained."""
    start, column = _candidates(
        first, count, group_start, must, reduced, weight, capacity, mu, bests, bound - plan
    )
    tail = np.zeros(count + 1)
    for q in range(count - 1, -1, -1):
        tail[q] = tail[q + 1] + bests[q]
    position = start[:count].copy()
    value, room = np.zeros(count + 1), np.zeros(count + 1)
    picked = np.empty(count, np.int64)
    room[0] = capacity
    depth, nodes = 0, 0
    while depth >= 0:
        if position[depth] >= start[depth + 1]:
            position[depth] = start[depth]
            depth -= 1
            continue
        j = column[position[depth]]
        position[depth] += 1
        worth = value[depth] + (reduced[j] if j >= 0 else 0.0)
        left = room[depth] - (weight[j] if j >= 0 else 0.0)
        if left < 0.0 or worth + mu * left + tail[depth + 1] <= plan + 1e-12:
            continue
        nodes += 1
        if nodes > _NODE_LIMIT:
            return plan, False
        picked[depth] = j
        if depth == count - 1:
            if worth > plan:
                plan = worth
                for q in range(count):
                    chosen[first + q] = picked[q]
        else:
            depth += 1
            value[depth], room[depth] = worth, left
    return plan, True


@compiled
def _candidates(  # type: ignore[no-untyped-def]
    first, count, group_start, must, reduced, weight, capacity, mu, bests, slack
):
    """Columns by group that may stand in a better plan, none dominated, the most promising first."""
    total = group_start[first + count] - group_start[first] + count
    start, column = np.zeros(count + 1, np.int64), np.empty(total, np.int64)
    size = 0
    for q in range(count):
        g = first + q
        begin = size
        if not must[g] and bests[q] <= slack:
            column[size] = -1
            size += 1
        for j in range(group_start[g], group_start[g + 1]):
            if bests[q] - (reduced[j] - mu * weight[j]) > slack or weight[j] > capacity:
                continue
            if not must[g] and reduced[j] <= 0.0:
                continue
            dominated = False
            for k in range(group_start[g], group_start[g + 1]):
                as_good = weight[k] <= weight[j] and reduced[k] >= reduced[j] and k != j
                if as_good and (weight[k] < weight[j] or reduced[k] > reduced[j] or k < j):
                    dominated = True
                    break
            if dominated:
                continue
            place = size
            while (
                place > begin and _worth(column[place - 1], reduced, weight, mu) < reduced[j] - mu * weight[j]
            ):
                column[place] = column[place - 1]
                place -= 1
            column[place] = j
            size += 1
        start[q + 1] = size
    return start, column[:size]


@compiled
def _worth(j, reduced, weight, mu):  # type: ignore[no-untyped-def]
    return reduced[j] - mu * weight[j] if j >= 0 else 0.0


@compiled
def add_use(  # type: ignore[no-untyped-def]
    chosen, cluster_of_group, value, link_start, link_row, link_coefficient, use, worth
):
    """Row use (clusters x rows) and value (clusters) of the chosen columns."""
    for g in range(chosen.shape[0]):
        j = chosen[g]
        if j < 0:
            continue
        c = cluster_of_group[g]
        worth[c] += value[j]
        for p in range(link_start[j], link_start[j + 1]):
            use[c, link_row[p]] += link_coefficient[p]


@compiled
def regrets(block_start, group_start, must, reduced, weight, local_price, regret, block_bound, capacity):  # type: ignore[no-untyped-def]
    """Lagrangian loss of each column against the best of its group, and each block's Lagrangian bound."""
    for b in range(block_start.shape[0] - 1):
        mu = local_price[b]
        total = mu * capacity[b] if mu > 0.0 else 0.0
        for g in range(block_start[b], block_start[b + 1]):
            best, _ = best_of_group(reduced, weight, mu, group_start[g], group_start[g + 1], must[g])
            total += best
            for j in range(group_start[g], group_start[g + 1]):
                regret[j] = best - (reduced[j] - mu * weight[j])
        block_bound[b] = total


@compiled
def sum_rows(start, end, data):  # type: ignore[no-untyped-def]
    """Sum of the absolute entries of each row."""
    sums = np.zeros(start.shape[0])
    for r in range(start.shape[0]):
        for p in range(start[r], end[r]):
            sums[r] += abs(data[p])
    return sums


@compiled
def count_links(rows, start, column, position, num_columns):  # type: ignore[no-untyped-def]
    """Entries of ``rows`` in each choice column; ``position``: choice column of a column, or -1."""
    count = np.zeros(num_columns, np.int64)
    for r in rows:
        for p in range(start[r], start[r + 1]):
            j = position[column[p]]
            if j >= 0:
                count[j] += 1
    return count


@compiled
def fill_links(rows, scale, start, column, data, position, place, link_row, link_coefficient):  # type: ignore[no-untyped-def]
    """Write the entries of ``rows`` column by column; ``place`` is where each column goes on."""
    for k in range(rows.shape[0]):
        r = rows[k]
        for p in range(start[r], start[r + 1]):
            j = position[column[p]]
            if j >= 0:
                link_row[place[j]] = k
                link_coefficient[place[j]] = scale[k] * data[p]
                place[j] += 1


@compiled
def members_by_row(first, column, link_start, link_row, num_rows):  # type: ignore[no-untyped-def]
    """Sets of columns (``column[first[i]:first[i + 1]]``, -1 skipped) that touch each row: (start, member)."""
    start = np.zeros(num_rows + 1, np.int64)
    seen = np.full(num_rows, -1, np.int64)
    for i in range(first.shape[0] - 1):
        for k in range(first[i], first[i + 1]):
            j = column[k]
            if j >= 0:
                for p in range(link_start[j], link_start[j + 1]):
                    if seen[link_row[p]] != i:
                        seen[link_row[p]] = i
                        start[link_row[p] + 1] += 1
    for r in range(num_rows):
        start[r + 1] += start[r]
    member = np.empty(start[num_rows], np.int64)
    place = start[:-1].copy()
    seen[:] = -1
    for i in range(first.shape[0] - 1):
        for k in range(first[i], first[i + 1]):
            j = column[k]
            if j >= 0:
                for p in range(link_start[j], link_start[j + 1]):
                    r = link_row[p]
                    if seen[r] != i:
                        seen[r] = i
                        member[place[r]] = i
                        place[r] += 1
    return start, member

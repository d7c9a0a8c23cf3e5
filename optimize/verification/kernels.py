"""Compiled loops of the verification: prices, disjoint groups, and blocks under one local row.

Written apart from the engine's loops on purpose, and by another method: blocks are enumerated
by weight and value (Pareto states), not searched by depth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

compiled: Callable[..., Any] = njit(cache=True, fastmath=False)

EPS = 2.0**-52
_HALVINGS = 60
_MOST_STATES = 4_000


@compiled
def price_rows(rows, multiplier, indptr, indices, data, reduced, size, terms):  # type: ignore[no-untyped-def]
    """Take multiplier * row off ``reduced``; add up absolute terms in ``size`` and their number in ``terms``."""
    for r in range(rows.shape[0]):
        y = multiplier[r]
        for p in range(indptr[rows[r]], indptr[rows[r] + 1]):
            j = indices[p]
            reduced[j] -= y * data[p]
            size[j] += abs(y * data[p])
            terms[j] += 1


@compiled
def disjoint_rows(rows, indptr, indices, owner):  # type: ignore[no-untyped-def]
    """Of ``rows`` in order, those that share no column with one taken before; writes each column's owner."""
    taken = np.zeros(rows.shape[0], np.bool_)
    number = 0
    for r in range(rows.shape[0]):
        first, last = indptr[rows[r]], indptr[rows[r] + 1]
        free = True
        for p in range(first, last):
            if owner[indices[p]] >= 0:
                free = False
                break
        if free:
            taken[r] = True
            for p in range(first, last):
                owner[indices[p]] = number
            number += 1
    return taken


@compiled
def best_of_rows(rows, must, indptr, indices, upward, is_open, best):  # type: ignore[no-untyped-def]
    """Largest value of the open columns of each row (0 where none need be chosen)."""
    for r in range(rows.shape[0]):
        worth = -np.inf if must[r] else 0.0
        for p in range(indptr[rows[r]], indptr[rows[r] + 1]):
            j = indices[p]
            if is_open[j] and upward[j] > worth:
                worth = upward[j]
        best[r] = worth


@compiled
def bound_blocks(block_start, group_start, option, must, upward, weight, is_open, capacity, bound):  # type: ignore[no-untyped-def]
    """Upper bound of every block; -inf where none of its choices fits."""
    for b in range(block_start.shape[0] - 1):
        bound[b] = _bound_block(
            block_start[b], block_start[b + 1], group_start, option, must, upward, weight, is_open,
            capacity[b],
        )  # fmt: skip


@compiled
def _at_price(g, price, group_start, option, must, upward, weight, is_open):  # type: ignore[no-untyped-def]
    """Best worth, its column (-1: nothing) at a price of the local row; ties go to the lighter one."""
    worth, chosen = (-np.inf, -1) if must[g] else (0.0, -1)
    light = np.inf if must[g] else 0.0
    for p in range(group_start[g], group_start[g + 1]):
        j = option[p]
        if not is_open[j]:
            continue
        value = upward[j] - price * weight[j]
        if value > worth or (value == worth and weight[j] < light):
            worth, chosen, light = value, j, weight[j]
    return worth, chosen


@compiled
def _use(first, last, price, group_start, option, must, upward, weight, is_open):  # type: ignore[no-untyped-def]
    use = 0.0
    for g in range(first, last):
        _, j = _at_price(g, price, group_start, option, must, upward, weight, is_open)
        if j >= 0:
            use += weight[j]
    return use


@compiled
def _bound_block(first, last, group_start, option, must, upward, weight, is_open, capacity):  # type: ignore[no-untyped-def]
    count = last - first
    least = 0.0
    for g in range(first, last):
        lightest = np.inf if must[g] else 0.0
        for p in range(group_start[g], group_start[g + 1]):
            if is_open[option[p]]:
                lightest = min(lightest, weight[option[p]])
        least += lightest
    if least > capacity:
        return -np.inf
    low, high = 0.0, 0.0
    if _use(first, last, 0.0, group_start, option, must, upward, weight, is_open) > capacity:
        high = 1e-6
        while _use(first, last, high, group_start, option, must, upward, weight, is_open) > capacity:
            low = high
            high *= 4.0
            if high > 1e60:
                return np.inf
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            if _use(first, last, middle, group_start, option, must, upward, weight, is_open) > capacity:
                low = middle
            else:
                high = middle
    best, picked = np.empty(count), np.empty(count, np.int64)
    size, plan, used = 0.0, 0.0, 0.0
    for q in range(count):
        best[q], picked[q] = _at_price(first + q, high, group_start, option, must, upward, weight, is_open)
        size += abs(best[q])
        if picked[q] >= 0:
            plan += upward[picked[q]]
            used += weight[picked[q]]
            size += abs(upward[picked[q]])
    if high == 0.0:
        return best.sum() + EPS * (count + 2) * size
    # Everything below is a sum of at most `count` terms of this size.
    slack = 8.0 * EPS * (count + 4) * (size + high * capacity)
    if high * capacity + best.sum() - slack <= plan:
        return high * capacity + best.sum() + slack
    plan = _fill(first, count, group_start, option, upward, weight, is_open, picked, capacity - used, plan)
    listed = _enumerate(
        first, count, group_start, option, must, upward, weight, is_open, capacity, high, best, plan, slack
    )
    return min(listed, high * capacity + best.sum()) + slack


@compiled
def _fill(first, count, group_start, option, upward, weight, is_open, picked, room, plan):  # type: ignore[no-untyped-def]
    """Value after the best single changes that still fit."""
    while True:
        gain, where, what = 0.0, -1, -1
        for q in range(count):
            old = picked[q]
            value = upward[old] if old >= 0 else 0.0
            load = weight[old] if old >= 0 else 0.0
            for p in range(group_start[first + q], group_start[first + q + 1]):
                j = option[p]
                if is_open[j] and upward[j] - value > gain and weight[j] - load <= room:
                    gain, where, what = upward[j] - value, q, j
        if where < 0:
            return plan
        room -= weight[what] - (weight[picked[where]] if picked[where] >= 0 else 0.0)
        plan += gain
        picked[where] = what


@compiled
def _enumerate(  # type: ignore[no-untyped-def]
    first, count, group_start, option, must, upward, weight, is_open, capacity, price, best, plan, slack
):
    """Best value over all choices that fit: states (weight, value) group by group.

    States that cannot beat ``plan`` are dropped; where too many are left, neighbours are merged
    into one that is as light as the lighter and as good as the better, which keeps a bound.
    """
    tail = np.zeros(count + 1)
    for q in range(count - 1, -1, -1):
        tail[q] = tail[q + 1] + best[q]
    load, value = np.zeros(1), np.zeros(1)
    for q in range(count):
        g = first + q
        room = 1 + group_start[g + 1] - group_start[g]
        new_load, new_value = np.empty(len(load) * room), np.empty(len(load) * room)
        size = 0
        for p in range(group_start[g] - 1, group_start[g + 1]):
            if p < group_start[g]:
                if must[g]:
                    continue
                gain, heavy = 0.0, 0.0
            else:
                j = option[p]
                if not is_open[j]:
                    continue
                gain, heavy = upward[j], weight[j]
            for s in range(len(load)):
                total = load[s] + heavy
                worth = value[s] + gain
                if total > capacity:
                    continue
                if worth + price * (capacity - total) + tail[q + 1] < plan - slack:
                    continue
                new_load[size], new_value[size] = total, worth
                size += 1
        if size == 0:
            return plan
        order = np.argsort(new_load[:size])
        load, value = np.empty(size), np.empty(size)
        kept = 0
        for s in order:
            if kept > 0 and new_value[s] <= value[kept - 1]:
                continue
            if kept > 0 and new_load[s] == load[kept - 1]:
                value[kept - 1] = new_value[s]
                continue
            load[kept], value[kept] = new_load[s], new_value[s]
            kept += 1
        while kept > _MOST_STATES:
            half = (kept + 1) // 2
            for s in range(half):
                load[s] = load[2 * s]
                value[s] = value[min(2 * s + 1, kept - 1)]
            kept = half
        load, value = load[:kept].copy(), value[:kept].copy()
    return max(plan, value[-1])

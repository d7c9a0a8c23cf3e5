"""Compiled enumeration of the patterns of blocks."""

from __future__ import annotations

import numpy as np

from optimize.engine.choice_kernels import best_of_group, compiled

_NODE_LIMIT = 20_000
_SHRINK = 0.6
_ATTEMPTS = 24
_FITS = 1e-9


@compiled
def list_patterns(  # type: ignore[no-untyped-def]
    block_start, group_start, must, reduced, weight, capacity, local_price, block_value, best, limit, most
):
    """Patterns of regret up to ``limit`` (less in blocks that have more than ``most``), least first.

    The first of each block is ``best``, the maximiser.  Returns count (blocks), regret (patterns),
    first (patterns + 1) and column.
    """
    num_blocks = block_start.shape[0] - 1
    count = np.zeros(num_blocks, np.int64)
    widest = 1
    for b in range(num_blocks):
        widest = max(widest, block_start[b + 1] - block_start[b])
    found, lost = np.empty((most, widest), np.int64), np.empty(most)
    regret, first = np.empty(4 * num_blocks + most), np.zeros(4 * num_blocks + most + 1, np.int64)
    column = np.empty((4 * num_blocks + most) * 4, np.int64)
    patterns, size = 0, 0
    for b in range(num_blocks):
        begin, end = block_start[b], block_start[b + 1]
        reach, number = limit, -1
        for _ in range(_ATTEMPTS):
            number = _enumerate(
                begin, end, group_start, must, reduced, weight, capacity[b], local_price[b], block_value[b], reach,
                found, lost,
            )  # fmt: skip
            if number >= 0:
                break
            reach *= _SHRINK
        number = max(number, 0)
        order = np.argsort(lost[:number])
        if patterns + number + 1 > regret.shape[0]:
            regret = _longer(regret, patterns + number + 1)
            first = _longer(first, patterns + number + 2)
        if size + (number + 1) * (end - begin) > column.shape[0]:
            column = _longer(column, size + (number + 1) * (end - begin))
        first[patterns] = size
        for g in range(begin, end):
            if best[g] >= 0:
                column[size] = best[g]
                size += 1
        regret[patterns] = 0.0
        patterns += 1
        for k in order:
            same = True
            for q in range(end - begin):
                if found[k, q] != best[begin + q]:
                    same = False
                    break
            if same:
                continue
            first[patterns] = size
            for q in range(end - begin):
                if found[k, q] >= 0:
                    column[size] = found[k, q]
                    size += 1
            regret[patterns] = lost[k]
            patterns += 1
        count[b] = patterns
    first[patterns] = size
    for b in range(num_blocks - 1, 0, -1):
        count[b] -= count[b - 1]
    return count, regret[:patterns].copy(), first[: patterns + 1].copy(), column[:size].copy()


@compiled
def _longer(values, least):  # type: ignore[no-untyped-def]
    longer = np.empty(2 * least, values.dtype)
    longer[: values.shape[0]] = values
    return longer


@compiled
def _enumerate(  # type: ignore[no-untyped-def]
    first, last, group_start, must, reduced, weight, capacity, mu, block_value, reach, found, lost
):
    """Fill ``found`` and ``lost``; returns the number of patterns, -1 where there are too many."""
    count = last - first
    tail = np.zeros(count + 1)
    for q in range(count - 1, -1, -1):
        g = first + q
        worth, _ = best_of_group(reduced, weight, mu, group_start[g], group_start[g + 1], must[g])
        tail[q] = tail[q + 1] + worth
    least = block_value - reach
    position = np.empty(count + 1, np.int64)
    value, room = np.zeros(count + 1), np.zeros(count + 1)
    picked = np.empty(count, np.int64)
    room[0] = capacity
    position[0] = group_start[first] - 1
    depth, number, nodes = 0, 0, 0
    while depth >= 0:
        g = first + depth
        j = position[depth]
        if j >= group_start[g + 1]:
            depth -= 1
            continue
        position[depth] += 1
        worth, left = value[depth], room[depth]
        if j < group_start[g]:  # nothing
            if must[g]:
                continue
            j = -1
        else:
            worth += reduced[j]
            left -= weight[j]
        if left < -_FITS * max(1.0, capacity):
            continue
        if worth + (mu * left if mu > 0.0 else 0.0) + tail[depth + 1] < least:
            continue
        nodes += 1
        if nodes > _NODE_LIMIT:
            return -1
        picked[depth] = j
        if depth < count - 1:
            depth += 1
            value[depth], room[depth] = worth, left
            position[depth] = group_start[first + depth] - 1
            continue
        if worth < least:
            continue
        if number >= found.shape[0]:
            return -1
        for q in range(count):
            found[number, q] = picked[q]
        lost[number] = max(block_value - worth, 0.0)
        number += 1
    return number

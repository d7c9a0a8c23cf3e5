"""Clusters of blocks that share few linking rows with each other.

Linking rows are joined from the narrowest to the widest: the blocks of a row become one cluster
unless that would hold too large a share of all blocks.  Rows that are left over are *wide*.
Districts with their own budgets fall apart like this, and only the city's rows are wide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimize.engine.choice_kernels import compiled
from optimize.engine.choice_structure import ChoiceStructure

IntArray = NDArray[np.int64]

# A cluster holds at most this share of all blocks.
_LARGEST_SHARE = 0.125


@dataclass(frozen=True)
class Clusters:
    """``of_group``: shape (groups,), cluster of each group; ``wide``: linking rows of several clusters."""

    of_group: IntArray
    wide: IntArray
    number: int


def cluster_blocks(s: ChoiceStructure) -> Clusters:
    """Clusters of the blocks of ``s``."""
    block = s.block_of_group[s.group_of_column]
    column = np.repeat(np.arange(len(s.columns)), np.diff(s.link_start))
    key = np.unique(s.link_row * np.int64(s.num_blocks) + block[column])
    row, touched = key // s.num_blocks, key % s.num_blocks
    start = np.searchsorted(row, np.arange(len(s.side) + 1)).astype(np.int64)
    order = np.argsort(np.diff(start), kind="stable")
    largest = max(int(_LARGEST_SHARE * s.num_blocks), 1)
    label, is_wide = _join(order, start, touched.astype(np.int64), s.num_blocks, largest)
    names, of_block = np.unique(label, return_inverse=True)
    return Clusters(of_block.astype(np.int64)[s.block_of_group], np.flatnonzero(is_wide), len(names))


def split_clusters(s: ChoiceStructure, clusters: Clusters, number: int) -> IntArray:
    """About ``number`` parts of the clusters of like size; shape (groups,), part of each group."""
    first = s.block_start[:-1]
    of_block = clusters.of_group[first]
    order = np.argsort(of_block, kind="stable")
    if clusters.number >= number:
        part = of_block * number // clusters.number
    else:
        size = np.bincount(of_block, minlength=clusters.number)
        within = np.empty(s.num_blocks, dtype=np.int64)
        within[order] = np.arange(s.num_blocks) - (np.cumsum(size) - size)[of_block[order]]
        parts = np.maximum(np.round(size * number / s.num_blocks), 1).astype(np.int64)
        part = (np.cumsum(parts) - parts)[of_block] + within * parts[of_block] // size[of_block]
    _, part = np.unique(part, return_inverse=True)
    return part.astype(np.int64)[s.block_of_group]


@compiled
def _join(order, start, touched, num_blocks, largest):  # type: ignore[no-untyped-def]
    parent = np.arange(num_blocks)
    size = np.ones(num_blocks, np.int64)
    seen = np.full(num_blocks, -1, np.int64)
    is_wide = np.zeros(order.shape[0], np.bool_)
    for position in range(order.shape[0]):
        row = order[position]
        total, root = 0, -1
        for p in range(start[row], start[row + 1]):
            root = _root(parent, touched[p])
            if seen[root] != row:
                seen[root] = row
                total += size[root]
        if root < 0 or total == size[root]:
            continue
        if total > largest:
            is_wide[row] = True
            continue
        for p in range(start[row], start[row + 1]):
            other = _root(parent, touched[p])
            if other != root:
                parent[other] = root
                size[root] += size[other]
    label = np.empty(num_blocks, np.int64)
    for b in range(num_blocks):
        label[b] = _root(parent, b)
    return label, is_wide


@compiled
def _root(parent, b):  # type: ignore[no-untyped-def]
    while parent[b] != b:
        parent[b] = parent[parent[b]]
        b = parent[b]
    return b

"""Clusters of blocks that share few linking rows with each other.

Linking rows are joined from the narrowest to the widest: the blocks of a row become one cluster
unless that would hold too large a share of all blocks.  Rows that are left over are *wide*.
Districts with their own budgets fall apart like this, and only the city's rows are wide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimize.engine.choice_kernels import compiled, members_by_row
from optimize.engine.choice_structure import ChoiceStructure

IntArray = NDArray[np.int64]

# A cluster holds at most this share of all groups.
_LARGEST_SHARE = 0.125


@dataclass(frozen=True)
class Clusters:
    """Clusters and finer parts of them.

    Attributes
    ----------
    of_group : shape (groups,), cluster of each group.
    wide : linking rows of several clusters.
    number : of clusters.
    part_of_group, num_parts : the same for parts of like size, of blocks that share narrow rows.
    """

    of_group: IntArray
    wide: IntArray
    number: int
    part_of_group: IntArray
    num_parts: int


def cluster_blocks(s: ChoiceStructure, num_parts: int) -> Clusters:
    """Clusters of the blocks of ``s``, and about ``num_parts`` parts of them."""
    start, touched = members_by_row(
        s.group_start[s.block_start], np.arange(len(s.columns)), s.link_start, s.link_row, len(s.side)
    )
    order = np.argsort(np.diff(start), kind="stable")
    size = np.diff(s.block_start)

    def joined(largest: float) -> tuple[IntArray, IntArray]:
        label, is_wide = _join(order, start, touched, size, max(int(largest), 1))
        return np.unique(label, return_inverse=True)[1].astype(np.int64), np.flatnonzero(is_wide)

    of_block, wide = joined(_LARGEST_SHARE * s.num_groups)
    fine, _ = joined(s.num_groups / num_parts)
    part = _parts(of_block, fine, size, num_parts)
    return Clusters(
        of_block[s.block_of_group],
        wide,
        int(of_block.max(initial=-1)) + 1,
        part[s.block_of_group],
        int(part.max(initial=-1)) + 1,
    )


def _parts(of_block: IntArray, fine: IntArray, size: IntArray, number: int) -> IntArray:
    """Runs of fine clusters, cluster by cluster, of about equally many groups."""
    order = np.lexsort((fine, of_block))
    ahead = np.cumsum(size[order]) - size[order]
    first = np.r_[True, np.diff(fine[order]) != 0]
    ahead = ahead[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
    part = np.empty(len(order), dtype=np.int64)
    part[order] = ahead * number // max(int(size.sum()), 1)
    return np.unique(part, return_inverse=True)[1].astype(np.int64)


@compiled
def _join(order, start, touched, groups, largest):  # type: ignore[no-untyped-def]
    num_blocks = groups.shape[0]
    parent = np.arange(num_blocks)
    size = groups.copy()
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

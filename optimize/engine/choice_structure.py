"""Finding the structure of a choice problem in a mixed-integer programme.

*Groups* are sets of binary columns of which at most one (or exactly one) is chosen; *blocks* are
groups tied together by one local knapsack row; *linking rows* are all other rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine.choice_kernels import count_links, fill_links, sum_rows
from optimize.milp import Milp

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# A row that ties at most this many groups is solved exactly inside its block.
_LOCAL_GROUPS = 24
_MAX_LINKING_ROWS = 20_000
# Entries summed at a time: what numpy needs beside them is a small part of a large structure.
_ENTRIES_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class ChoiceStructure:
    """A maximisation sorted by block and group; ``columns`` maps back to the programme.

    Attributes
    ----------
    columns : shape (k,), programme column of each choice column.
    local_rows : shape (l,), programme row solved inside each of the first l blocks.
    group_start : shape (groups + 1,), choice columns of each group.
    must_choose : shape (groups,), True where exactly one column is chosen.
    block_start : shape (blocks + 1,), groups of each block.
    weight, capacity : use of the block's local row by column (k,), its side by block (inf: none).
    value : shape (k,), objective, sign turned so that more is better.
    link : CSC arrays (start, row, coefficient) of the choice columns in the linking rows.
    side : shape (m,), linking rows stand as ``row <= side``; equality where ``equal``.
    origin, scale : shape (m,), programme row of each linking row and the factor it was taken by.
    others : programme columns that are not choices, with their ``others_link`` (CSC, m x o).
    """

    columns: IntArray
    local_rows: IntArray
    group_start: IntArray
    must_choose: BoolArray
    block_start: IntArray
    weight: FloatArray
    capacity: FloatArray
    value: FloatArray
    link_start: IntArray
    link_row: IntArray
    link_coefficient: FloatArray
    side: FloatArray
    equal: BoolArray
    origin: IntArray
    scale: FloatArray
    others: IntArray
    others_value: FloatArray
    others_lower: FloatArray
    others_upper: FloatArray
    others_link: sp.csc_array
    sign: float
    offset: float

    @property
    def num_groups(self) -> int:
        return len(self.group_start) - 1

    @property
    def num_blocks(self) -> int:
        return len(self.block_start) - 1

    @cached_property
    def group_of_column(self) -> IntArray:
        return np.repeat(np.arange(self.num_groups), np.diff(self.group_start))

    def row_multipliers(self, multipliers: FloatArray, num_rows: int) -> FloatArray:
        """Multipliers of the programme's own rows (d objective / d side of the maximisation)."""
        rows = np.zeros(num_rows)
        np.add.at(rows, self.origin, multipliers * self.scale)
        return rows

    def linking_multipliers(self, row_multipliers: FloatArray) -> FloatArray:
        """Multipliers of the linking rows from those of the programme's rows; the inverse of the above."""
        multipliers = self.sign * row_multipliers[self.origin] / self.scale
        return np.where(self.equal, multipliers, np.maximum(multipliers, 0.0))

    @cached_property
    def block_of_group(self) -> IntArray:
        return np.repeat(np.arange(self.num_blocks), np.diff(self.block_start))

    @cached_property
    def row_use(self) -> FloatArray:
        """Sum of the absolute coefficients of the choice columns in each linking row, shape (m,)."""
        total = np.zeros(len(self.side))
        for first in range(0, len(self.link_row), _ENTRIES_AT_ONCE):
            entries = slice(first, first + _ENTRIES_AT_ONCE)
            total += np.bincount(
                self.link_row[entries], np.abs(self.link_coefficient[entries]), minlength=len(total)
            )
        return total

    def part(self, blocks: IntArray) -> ChoiceStructure:
        """The choice among some ``blocks`` (ascending), sides and other columns scaled to their share of the use.

        Its best multipliers are close to those of the whole where the blocks are like the others.
        """
        groups = _inside(self.block_start, blocks)
        own = _inside(self.group_start, groups)
        entries = _inside(self.link_start, own)
        some = replace(
            self,
            columns=self.columns[own],
            local_rows=self.local_rows[blocks[blocks < len(self.local_rows)]],
            group_start=_starts(self.group_start, groups),
            must_choose=self.must_choose[groups],
            block_start=_starts(self.block_start, blocks),
            weight=self.weight[own],
            capacity=self.capacity[blocks],
            value=self.value[own],
            link_start=_starts(self.link_start, own),
            link_row=self.link_row[entries],
            link_coefficient=self.link_coefficient[entries],
        )
        fraction = len(own) / max(len(self.columns), 1)
        share = np.where(
            self.row_use > 0, some.row_use / np.where(self.row_use > 0, self.row_use, 1.0), fraction
        )
        return replace(
            some,
            side=self.side * share,
            others_lower=self.others_lower * fraction,
            others_upper=self.others_upper * fraction,
        )


def _inside(start: IntArray, picked: IntArray) -> IntArray:
    """Positions ``start[p]`` to ``start[p + 1]`` of each of ``picked``, one after the other."""
    first = _starts(start, picked)
    return np.arange(first[-1]) + np.repeat(start[picked] - first[:-1], np.diff(first))


def _starts(start: IntArray, picked: IntArray) -> IntArray:
    """The array of starts that is left of ``start`` when only ``picked`` stay."""
    return np.concatenate([[0], np.cumsum(start[picked + 1] - start[picked])]).astype(np.int64)


def find_structure(milp: Milp) -> ChoiceStructure | None:
    """The choice structure of ``milp``; None where it has none worth the name.

    Needs finite bounds on the columns that are not choices, and few linking rows.
    """
    matrix = milp.matrix
    binary = milp.integral & (milp.lower == 0) & (milp.upper <= 1)
    choosing = group_rows(milp, binary)
    group_of = _first_row_of(matrix, choosing, milp.num_columns)
    grouped = group_of >= 0
    if grouped.sum() < 0.5 * milp.num_columns or len(choosing) < 2:
        return None
    # Binary columns in no group are groups of their own; the rest stays outside the blocks.
    loners = np.flatnonzero(binary & ~grouped & (milp.upper == 1))
    fixed_off = binary & (milp.upper == 0)
    used_rows = np.unique(group_of[grouped])
    group_of[grouped] = np.searchsorted(used_rows, group_of[grouped])
    group_of[loners] = len(used_rows) + np.arange(len(loners))
    must = np.concatenate([milp.row_lower[used_rows] >= 1, np.zeros(len(loners), np.bool_)])
    choices = np.flatnonzero((group_of >= 0) & ~fixed_off)
    others = np.flatnonzero((group_of < 0) & ~fixed_off)
    if not (np.isfinite(milp.lower[others]).all() and np.isfinite(milp.upper[others]).all()):
        return None
    rest = _without(milp, used_rows)
    local, block_of_group = _local_rows(milp, rest, group_of, len(must))
    linking = np.setdiff1d(rest, local, assume_unique=True)
    if len(linking) > _MAX_LINKING_ROWS:
        return None
    return _assemble(milp, choices, others, group_of, must, block_of_group, local, linking)


def group_rows(milp: Milp, binary: BoolArray) -> IntArray:
    """Rows of which no two share a column: at most (or exactly) one of their binary columns is chosen.

    A row that asks for its one column is such a row too: what is decided is a choice of one.
    """
    counts = np.diff(milp.matrix.indptr)
    exactly = (milp.row_upper == 1) & (milp.row_lower == 1)
    fits = exactly | ((milp.row_upper == 1) & (milp.row_lower <= 0) & (counts > 1))
    rows = np.flatnonzero(fits & (counts > 0))
    matrix = milp.matrix[rows]
    row_of = np.repeat(np.arange(len(rows)), counts[rows])
    odd = (matrix.data != 1.0) | ~binary[matrix.indices]
    candidates = rows[np.bincount(row_of[odd], minlength=len(rows)) == 0]
    # A column may stand in several such rows (a pair that must not meet): the row listed first keeps it.
    owner = _first_row_of(milp.matrix, candidates, milp.num_columns)
    kept = np.bincount(owner[owner >= 0], minlength=milp.num_rows)[candidates]
    return np.asarray(candidates[kept == counts[candidates]], dtype=np.int64)


def _first_row_of(matrix: sp.csr_array, rows: IntArray, num_columns: int) -> IntArray:
    owner = np.full(num_columns, -1, dtype=np.int64)
    if len(rows):
        part = matrix[rows]
        row_of = np.repeat(rows, np.diff(part.indptr))
        # written in reverse so that the first row wins
        owner[part.indices[::-1]] = row_of[::-1]
    return owner


def _without(milp: Milp, rows: IntArray) -> IntArray:
    """Rows that say something, but those of ``rows``."""
    keep = np.ones(milp.num_rows, dtype=np.bool_)
    keep[rows] = False
    keep &= np.isfinite(milp.row_lower) | np.isfinite(milp.row_upper)
    # A row on one column that holds at both its bounds says nothing.
    single = np.flatnonzero(np.diff(milp.matrix.indptr) == 1)
    entry = milp.matrix.indptr[single]
    column, amount = milp.matrix.indices[entry], milp.matrix.data[entry]
    ends = np.sort(np.stack([amount * milp.lower[column], amount * milp.upper[column]]), axis=0)
    keep[single[(ends[0] >= milp.row_lower[single]) & (ends[1] <= milp.row_upper[single])]] = False
    return np.flatnonzero(keep)


def _local_rows(milp: Milp, rows: IntArray, group_of: IntArray, num_groups: int) -> tuple[IntArray, IntArray]:
    """Rows solved inside blocks (one a block), and the block of each group."""
    most = np.bincount(group_of[group_of >= 0], minlength=1).max()
    rows = rows[np.diff(milp.matrix.indptr)[rows] <= _LOCAL_GROUPS * most]
    matrix = milp.matrix[rows]
    row_of = np.repeat(np.arange(len(rows)), np.diff(matrix.indptr))
    groups = group_of[matrix.indices]
    bad = np.bincount(row_of[(groups < 0) | (matrix.data < 0)], minlength=len(rows)) > 0
    pairs = np.unique(row_of * np.int64(num_groups + 1) + np.maximum(groups, 0))
    touched = np.bincount(pairs // (num_groups + 1), minlength=len(rows))
    upper_only = np.isfinite(milp.row_upper[rows]) & ~np.isfinite(milp.row_lower[rows])
    fits = upper_only & ~bad & (touched >= 1) & (touched <= _LOCAL_GROUPS) & (milp.row_upper[rows] >= 0)
    block = np.full(num_groups, -1, dtype=np.int64)
    local: list[int] = []
    # Wide rows first: a feeder is worth more as a block than a pair inside it.
    for position in np.flatnonzero(fits)[np.argsort(-touched[fits], kind="stable")]:
        members = np.unique(groups[matrix.indptr[position] : matrix.indptr[position + 1]])
        if (block[members] == -1).all():
            block[members] = len(local)
            local.append(int(position))
    alone = np.flatnonzero(block == -1)
    block[alone] = len(local) + np.arange(len(alone))
    return rows[np.array(local, dtype=np.int64)], block


def _assemble(
    milp: Milp,
    choices: IntArray,
    others: IntArray,
    group_of: IntArray,
    must: BoolArray,
    block_of_group: IntArray,
    local: IntArray,
    linking: IntArray,
) -> ChoiceStructure:
    sign = 1.0 if milp.maximise else -1.0
    group_order = np.argsort(block_of_group, kind="stable")
    rank = np.empty_like(group_order)
    rank[group_order] = np.arange(len(group_order))
    order = choices[np.argsort(rank[group_of[choices]], kind="stable")]
    group = rank[group_of[order]]
    num_groups, num_blocks = len(must), int(block_of_group.max()) + 1
    block = block_of_group[group_order]
    position = np.full(milp.num_columns, -1, dtype=np.int64)
    position[order] = np.arange(len(order))
    # every column lies in the local row of its own block only
    local_matrix = milp.matrix[local]
    weight = np.zeros(len(order))
    inside = position[local_matrix.indices] >= 0
    weight[position[local_matrix.indices[inside]]] = local_matrix.data[inside]
    capacity = np.full(num_blocks, np.inf)
    # A choice that fills the row to the last digit must not be lost to the rounding of its sum.
    capacity[: len(local)] = milp.row_upper[local] * (1.0 + 1e-12)
    origin, scale, side, equal = _as_upper_rows(milp, linking)
    matrix = milp.matrix
    count = count_links(origin, matrix.indptr, matrix.indices, position, len(order))
    link_start = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    link_row = np.empty(link_start[-1], dtype=np.int32)
    link_coefficient = np.empty(link_start[-1])
    fill_links(
        origin, scale, matrix.indptr, matrix.indices, matrix.data, position, link_start[:-1].copy(),
        link_row, link_coefficient,
    )  # fmt: skip
    others_link = sp.diags_array(scale) @ sp.csc_array(matrix[origin][:, others]) if len(others) else None
    return ChoiceStructure(
        columns=order,
        local_rows=local,
        group_start=np.searchsorted(group, np.arange(num_groups + 1)).astype(np.int64),
        must_choose=must[group_order],
        block_start=np.searchsorted(block, np.arange(num_blocks + 1)).astype(np.int64),
        weight=weight,
        capacity=capacity,
        value=sign * milp.cost[order],
        link_start=link_start,
        link_row=link_row,
        link_coefficient=link_coefficient,
        side=side,
        equal=equal,
        origin=origin,
        scale=scale,
        others=others,
        others_value=sign * milp.cost[others],
        others_lower=milp.lower[others],
        others_upper=milp.upper[others],
        others_link=sp.csc_array((len(side), 0)) if others_link is None else sp.csc_array(others_link),
        sign=sign,
        offset=milp.offset,
    )


def _as_upper_rows(milp: Milp, linking: IntArray) -> tuple[IntArray, FloatArray, FloatArray, BoolArray]:
    """Linking rows as ``scale * row <= side`` (or ``==``), scaled to a mean coefficient of one.

    Returns (programme row, scale, side, equal); a row with two sides stands twice.
    """
    low, high = milp.row_lower[linking], milp.row_upper[linking]
    equal = low == high
    upper, lower = np.isfinite(high), np.isfinite(low) & ~equal
    origin = np.concatenate([linking[upper], linking[lower]])
    start, end = milp.matrix.indptr[origin].astype(np.int64), milp.matrix.indptr[origin + 1].astype(np.int64)
    sums = sum_rows(start, end, milp.matrix.data)
    scale = np.where(sums > 0, np.maximum(end - start, 1) / np.where(sums > 0, sums, 1.0), 1.0)
    scale[int(upper.sum()) :] *= -1.0
    side = np.concatenate([high[upper], low[lower]]) * scale
    return origin, scale, side, np.concatenate([equal[upper], np.zeros(int(lower.sum()), dtype=np.bool_)])

"""A bound recomputed from a programme's arrays and row multipliers alone, rounded outwards.

For a maximisation (a minimisation is turned round) with rows split into priced rows P, block rows
B, group rows G and the rest,

    max c'x  <=  sum_P max(y_i lo_i, y_i up_i) + max { (c - A_P'y)'x : rows B and G, boxes }

whatever y is; the rest is left out, which only makes the right side larger.  P are the rows with a
multiplier, B the rows named by the certificate.  G is any family of rows without multiplier in
which at most (or exactly) one of some binary columns is chosen and no two of which share a column;
the right side then falls apart into groups, into blocks of groups tied by one row of B, and into
single columns.  So nothing a certificate claims can make the bound wrong, only weaker:

* a multiplier whose side is infinite (its sign is wrong for the row) is left out;
* a row of B that is no upper limit with non-negative coefficients over binary columns, or shares a
  group with an earlier one, is left out.

Rounding: a reduced cost of k terms, computed in floating point, is within (k + 2) * 2^-52 * (sum of
absolute terms) of the true one (Higham 2002, section 3.1, with a factor of two to spare); it enters with
that added.  Products are moved to the next number up, sums are taken exactly (`math.fsum`) and moved up.
Sides of block rows are taken 5e-13 wider, which is more than the sum of their weights can be off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from optimize.milp import BoolArray, FloatArray, IntArray, Milp
from optimize.verification import kernels

_WIDER = 5e-13


@dataclass(frozen=True)
class ProvenBound:
    """What the multipliers prove.

    Attributes
    ----------
    bound : no plan has a better objective; infinite where the multipliers prove nothing.
    block_bounds : shape of the block rows asked for, in the sense of the goal; NaN where left out.
    left_out : multipliers with the wrong sign for their row (row ids).
    num_groups, num_blocks : how many were solved exactly.
    """

    bound: float
    block_bounds: FloatArray
    left_out: IntArray
    num_groups: int
    num_blocks: int


def prove_bound(milp: Milp, multipliers: FloatArray, block_rows: IntArray) -> ProvenBound:
    """Bound on the objective of ``milp``.

    Parameters
    ----------
    multipliers : shape (m,), d objective / d side; 0: the row is not priced.
    block_rows : rows to be solved exactly inside their blocks.
    """
    sign = 1.0 if milp.maximise else -1.0
    y = sign * multipliers
    wrong = ((y > 0) & ~np.isfinite(milp.row_upper)) | ((y < 0) & ~np.isfinite(milp.row_lower))
    y = np.where(wrong | ~np.isfinite(y), 0.0, y)
    downward, upward = _reduced_costs(milp, sign, y)
    binary = milp.integral & (milp.lower == 0) & (milp.upper <= 1)
    is_open = milp.upper >= 1
    usable = y == 0
    usable[block_rows] = False
    groups, owner = _groups(milp, binary, usable)
    must = milp.row_lower[groups] >= 1
    blocks = _Blocks(milp, binary, groups, owner)
    accepted = np.array([blocks.take(int(row)) for row in block_rows], dtype=np.bool_)
    of_block = blocks.bounds(must, upward, is_open)
    block_bounds = np.full(len(block_rows), np.nan)
    block_bounds[accepted] = sign * of_block
    alone = np.flatnonzero(~blocks.is_tied)
    of_group = np.empty(len(alone))
    kernels.best_of_rows(
        groups[alone], must[alone], milp.matrix.indptr, milp.matrix.indices, upward, is_open, of_group
    )
    single = (owner < 0) & ~blocks.loner
    terms = np.concatenate(
        [
            of_block,
            of_group,
            _largest(downward, upward, milp.lower, milp.upper)[single],
            _of_sides(milp, y),
        ]
    )
    return ProvenBound(
        bound=_outward(sign, terms, milp.offset),
        block_bounds=block_bounds,
        left_out=np.flatnonzero(wrong & (multipliers != 0)),
        num_groups=len(groups),
        num_blocks=int(accepted.sum()),
    )


def _reduced_costs(milp: Milp, sign: float, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lower and upper ends of every reduced cost c - A'y."""
    reduced = sign * milp.cost
    size = np.abs(milp.cost)
    terms = np.zeros(milp.num_columns, dtype=np.int64)
    priced = np.flatnonzero(y)
    matrix = milp.matrix
    kernels.price_rows(priced, y[priced], matrix.indptr, matrix.indices, matrix.data, reduced, size, terms)
    error = (terms + 2) * kernels.EPS * size
    error[terms == 0] = 0.0
    return np.nextafter(reduced - error, -np.inf), np.nextafter(reduced + error, np.inf)


def _groups(milp: Milp, binary: BoolArray, usable: BoolArray) -> tuple[IntArray, IntArray]:
    """Disjoint rows of which one column is chosen at most, and the position of each column's row."""
    matrix = milp.matrix
    counts = np.diff(matrix.indptr)
    # a column that has to be chosen is a group too: what is decided counts, even where it costs
    some = (milp.row_lower <= 0) & (counts > 1) | (milp.row_lower == 1) & (counts > 0)
    fits = usable & (milp.row_upper == 1) & some
    odd = (matrix.data != 1.0) | ~binary[matrix.indices]
    before = np.concatenate([[0], np.cumsum(odd)])
    fits &= before[matrix.indptr[1:]] == before[matrix.indptr[:-1]]
    candidates = np.flatnonzero(fits)
    owner = np.full(milp.num_columns, -1, dtype=np.int64)
    taken = kernels.disjoint_rows(candidates, matrix.indptr, matrix.indices, owner)
    return candidates[taken], owner


class _Blocks:
    """Groups tied together by one row each; columns of no group are groups of their own."""

    def __init__(self, milp: Milp, binary: BoolArray, groups: IntArray, owner: IntArray) -> None:
        self._milp, self._binary = milp, binary
        self._groups, self._owner = groups, owner
        self.is_tied = np.zeros(len(groups), dtype=np.bool_)
        self.loner = np.zeros(milp.num_columns, dtype=np.bool_)
        self._weight = np.zeros(milp.num_columns)
        self._members: list[tuple[IntArray, IntArray]] = []
        self._capacity: list[float] = []

    def take(self, row: int) -> bool:
        """Make a block of the groups in ``row``; False where the row cannot be one."""
        milp = self._milp
        columns, weights = self._entries(row)
        groups = np.unique(self._owner[columns])
        groups = groups[groups >= 0]
        alone = columns[self._owner[columns] < 0]
        fits = (
            np.isfinite(milp.row_upper[row])
            and not np.isfinite(milp.row_lower[row])
            and bool((weights >= 0).all() and self._binary[columns].all())
            and not (self.is_tied[groups].any() or self.loner[alone].any())
        )
        if fits:
            self.is_tied[groups] = True
            self.loner[alone] = True
            self._weight[columns] = weights
            self._members.append((groups, alone))
            self._capacity.append(float(milp.row_upper[row]) * (1.0 + _WIDER))
        return fits

    def bounds(self, must: BoolArray, upward: FloatArray, is_open: BoolArray) -> FloatArray:
        """Upper bound of each block taken, in order."""
        options: list[IntArray] = []
        musts: list[BoolArray] = []
        sizes: list[int] = []
        block_start = [0]
        for groups, alone in self._members:
            for group in groups:
                columns, _ = self._entries(int(self._groups[group]))
                options.append(columns)
                sizes.append(len(columns))
            options.append(alone)
            sizes += [1] * len(alone)
            musts += [must[groups], np.zeros(len(alone), dtype=np.bool_)]
            block_start.append(len(sizes))
        bound = np.empty(len(self._members))
        kernels.bound_blocks(
            np.array(block_start, dtype=np.int64),
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            np.concatenate([*options, np.zeros(0, np.int64)]).astype(np.int64),
            np.concatenate([*musts, np.zeros(0, np.bool_)]),
            upward,
            self._weight,
            is_open,
            np.array(self._capacity),
            bound,
        )
        return bound

    def _entries(self, row: int) -> tuple[IntArray, FloatArray]:
        matrix = self._milp.matrix
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        return matrix.indices[part].astype(np.int64), matrix.data[part]


def _largest(downward: FloatArray, upward: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Largest reduced cost times column in its box, from the ends of the reduced cost."""
    at_high = _product(np.where(high >= 0, upward, downward), high)
    at_low = _product(np.where(low >= 0, upward, downward), low)
    return np.maximum(at_high, at_low)


def _of_sides(milp: Milp, y: FloatArray) -> FloatArray:
    priced = np.flatnonzero(y)
    side = np.where(y[priced] > 0, milp.row_upper[priced], milp.row_lower[priced])
    return _product(y[priced], side)


def _product(a: FloatArray, b: FloatArray) -> FloatArray:
    """a * b rounded up; 0 * infinity is 0."""
    zero = (a == 0) | (b == 0)
    product = np.where(zero, 0.0, a) * np.where(zero, 0.0, b)
    return np.where(zero, 0.0, np.nextafter(product, np.inf))


def _outward(sign: float, terms: FloatArray, offset: float) -> float:
    if np.isposinf(terms).any():
        return sign * math.inf
    if np.isneginf(terms).any():
        return -sign * math.inf  # a group or block without any choice: there is no plan at all
    total = math.nextafter(math.fsum([*terms.tolist(), sign * offset]), math.inf)
    return sign * total

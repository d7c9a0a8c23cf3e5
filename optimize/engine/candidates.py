"""Columns by the candidate they belong to: the best of each, the plainest, who must choose.

``group``, shape (n,), is the candidate of each column; -1: the column belongs to none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimize.engine.choice_kernels import compiled
from optimize.engine.choice_structure import group_rows
from optimize.milp import Milp

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def candidates_of(milp: Milp) -> IntArray:
    """Candidate of each column, shape (n,): the row by which one of its columns at most is chosen."""
    rows = own_rows(milp)
    group = np.full(milp.num_columns, -1, dtype=np.int64)
    part = milp.matrix[rows]
    group[part.indices] = np.repeat(np.arange(len(rows)), np.diff(part.indptr))
    return group


def own_rows(milp: Milp) -> IntArray:
    """Rows by which one column at most of a candidate is chosen; of no two candidates the same."""
    return group_rows(milp, milp.integral & (milp.lower == 0) & (milp.upper <= 1))


def best_of_group(worth: FloatArray, group: IntArray, usable: BoolArray, count: int) -> IntArray:
    """Up to ``count`` usable columns of the largest worth in each group, best first; groups in order."""
    columns = np.flatnonzero(usable & (group >= 0))
    columns = columns[np.argsort(group[columns], kind="stable")]  # next to nothing where it is in order
    return np.asarray(_best_of_runs(worth, group, columns, count), dtype=np.int64)


@compiled
def _best_of_runs(worth, group, columns, count):  # type: ignore[no-untyped-def]
    best = np.empty(columns.shape[0], np.int64)
    written = start = 0
    for position in range(columns.shape[0]):
        column = columns[position]
        if position and group[column] != group[columns[position - 1]]:
            start = written
        place = written
        while place > start and worth[column] > worth[best[place - 1]]:
            place -= 1
        if place - start >= count:
            continue
        last = min(written, start + count - 1)
        for k in range(last, place, -1):
            best[k] = best[k - 1]
        best[place] = column
        written = last + 1
    return best[:written]


def plainest(milp: Milp, group: IntArray) -> BoolArray:
    """Columns with the fewest entries of each group: usually "do nothing"."""
    entries = np.bincount(milp.matrix.indices, minlength=milp.num_columns).astype(np.float64)
    chosen = np.zeros(milp.num_columns, dtype=np.bool_)
    chosen[best_of_group(-entries, group, milp.upper > milp.lower, 1)] = True
    return chosen


def optional(milp: Milp, group: IntArray) -> BoolArray:
    """Candidates of which no column needs to be chosen; shape (candidates,)."""
    may_stay_empty = np.ones(int(group.max()) + 1, dtype=np.bool_)
    rows = own_rows(milp)
    asked = rows[milp.row_lower[rows] >= 1]
    may_stay_empty[group[milp.matrix.indices[milp.matrix.indptr[asked]]]] = False
    return may_stay_empty

"""Finite bounds for columns that have none, where a single row and the other columns' bounds imply one.

A bound from multipliers is infinite as soon as a column without bound has a reduced cost that is
off by its last digit.  With ``sum_k a_k x_k <= u`` and l_k <= x_k <= u_k,

    a_j x_j <= u - sum_{k != j} min(a_k l_k, a_k u_k),

so no point of the programme is lost.  Bounds are taken a billionth of the terms' sum wider, far
more than rounding can have moved them.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from optimize.milp import FloatArray, IntArray, Milp

_MOST_PASSES = 20
_WIDER = 1e-9


def with_implied_bounds(milp: Milp) -> Milp:
    """The same programme; columns keep their bounds where they have them or nothing implies any."""
    up, down = np.isfinite(milp.row_upper), np.isfinite(milp.row_lower)
    # every row as "<=": its upper side, and its lower side turned round
    matrix = sp.vstack([milp.matrix[up], -milp.matrix[down]], format="csr")
    side = np.concatenate([milp.row_upper[up], -milp.row_lower[down]])
    rows = np.repeat(np.arange(len(side)), np.diff(matrix.indptr))
    columns, values = matrix.indices.astype(np.int64), matrix.data
    lower, upper = milp.lower.copy(), milp.upper.copy()
    for _ in range(_MOST_PASSES):
        open_before = int(np.isinf(lower).sum() + np.isinf(upper).sum())
        if open_before == 0:
            break
        _tighten(rows, columns, values, side, lower, upper)
        if int(np.isinf(lower).sum() + np.isinf(upper).sum()) == open_before:
            break
    return milp.with_bounds(lower, upper)


def _tighten(
    rows: IntArray,
    columns: IntArray,
    values: FloatArray,
    side: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
) -> None:
    """One pass over all entries; writes into ``lower`` and ``upper`` where they are infinite."""
    least = values * np.where(values > 0, lower[columns], upper[columns])
    finite = np.isfinite(least)
    part = np.where(finite, least, 0.0)
    num_open = np.bincount(rows, ~finite, len(side))
    total = np.bincount(rows, part, len(side))
    size = np.bincount(rows, np.abs(part), len(side)) + np.abs(side)
    # the row's other columns all have the bound that is needed
    usable = num_open[rows] - ~finite == 0
    wanted = usable & np.where(values > 0, np.isinf(upper[columns]), np.isinf(lower[columns]))
    r, j, a = rows[wanted], columns[wanted], values[wanted]
    room = side[r] - (total[r] - part[wanted])
    bound = (room + _WIDER * size[r]) / a
    rising = a > 0
    highest = np.full(len(upper), np.inf)
    np.minimum.at(highest, j[rising], bound[rising])
    lowest = np.full(len(lower), -np.inf)
    np.maximum.at(lowest, j[~rising], bound[~rising])
    upper[:] = np.where(np.isinf(upper), np.maximum(highest, lower), upper)
    lower[:] = np.where(np.isinf(lower), np.minimum(lowest, upper), lower)

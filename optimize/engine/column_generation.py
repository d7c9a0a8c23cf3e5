"""Linear relaxation of a programme with many columns per candidate, by generating its columns.

Only few columns of such a programme matter to its relaxation.  A restricted relaxation over some
columns gives row multipliers; these price *all* columns; the columns that would improve it are
added until none is left.  Weak duality gives a proven bound from the multipliers of every round
(`certificate.dual_bound`), so the loop may stop early and is still right.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine.certificate import dual_bound
from optimize.engine.core import Relaxation
from optimize.engine.highs import solve_lp
from optimize.engine.milp import Milp
from optimize.engine.stopping import Watch

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_MOST_ROUNDS = 60
_FIRST_PER_GROUP = 3
_ADDED_PER_GROUP = 3
_CLOSE_ENOUGH = 1e-4
# Price of breaking a row while too few columns are there, relative to the largest value of a column.
_BREAKING = 10.0


def relax_by_columns(milp: Milp, group: IntArray, watch: Watch) -> Relaxation | None:
    """The relaxation of ``milp``; None when its rows cannot all hold or time runs out.

    Parameters
    ----------
    group : shape (n,), candidate of each column; -1: the column is always kept.
    """
    sign = 1.0 if milp.maximise else -1.0
    gain = sign * milp.cost
    movable = milp.upper > milp.lower
    inside = group < 0
    inside[_best_of_group(gain + _tie(len(gain)), group, movable, _FIRST_PER_GROUP)] = True
    inside |= _cheapest(milp, group)
    by_column = sp.csc_array(milp.matrix)
    for _ in range(_MOST_ROUNDS):
        part = _with_breaking(milp, by_column, inside)
        outcome = solve_lp(part, watch.child(bounds=False))
        if outcome.x is None or outcome.row_duals is None or outcome.objective is None:
            return None
        bound, reduced = dual_bound(milp, outcome.row_duals)
        watch.offer_bound(bound)
        broken = outcome.x[int(inside.sum()) :].sum()
        value = outcome.objective
        attractive = sign * reduced
        fresh = _best_of_group(attractive, group, movable & ~inside & (attractive > 1e-9), _ADDED_PER_GROUP)
        close = abs(bound - value) <= _CLOSE_ENOUGH * min(watch.gap, 1.0) * 100 * max(abs(value), 1.0)
        if (close and broken < 1e-6) or not len(fresh):
            break
        if watch.must_stop:
            return None
        inside[fresh] = True
    if broken > 1e-6:
        return None
    x = np.where(milp.lower > 0, milp.lower, 0.0)
    x[inside] = outcome.x[: int(inside.sum())]
    low = x - milp.lower < 0.5
    high = milp.upper - x < 0.5
    loss = np.where(low & (attractive < 0), -attractive, np.where(high & (attractive > 0), attractive, 0.0))
    return Relaxation(x, bound, np.abs(reduced), loss)


def _tie(size: int) -> FloatArray:
    """So small that it only tells equal columns apart."""
    return np.arange(size, 0, -1) * 1e-12


def _best_of_group(worth: FloatArray, group: IntArray, usable: BoolArray, count: int) -> IntArray:
    """Up to ``count`` usable columns of the largest worth in each group."""
    columns = np.flatnonzero(usable & (group >= 0))
    columns = columns[np.lexsort((-worth[columns], group[columns]))]
    own = group[columns]
    starts = np.flatnonzero(np.r_[True, own[1:] != own[:-1]]) if len(own) else np.zeros(0, np.int64)
    rank = np.arange(len(own)) - np.repeat(starts, np.diff(np.r_[starts, len(own)]))
    return columns[rank < count]


def _cheapest(milp: Milp, group: IntArray) -> BoolArray:
    """Columns with the fewest entries of each group: usually "do nothing"."""
    entries = np.bincount(milp.matrix.indices, minlength=milp.num_columns).astype(np.float64)
    chosen = np.zeros(milp.num_columns, dtype=np.bool_)
    chosen[_best_of_group(-entries, group, milp.upper > milp.lower, 1)] = True
    return chosen


def _with_breaking(milp: Milp, by_column: sp.csc_array, inside: BoolArray) -> Milp:
    """The restricted relaxation; rows may break at a price, so that it always has a point."""
    from dataclasses import replace

    columns = np.flatnonzero(inside)
    rows_low = np.flatnonzero(np.isfinite(milp.row_lower))
    rows_high = np.flatnonzero(np.isfinite(milp.row_upper))
    size = np.zeros(milp.num_rows)
    np.maximum.at(size, milp.matrix.tocoo().row, np.abs(milp.matrix.tocoo().data))
    size = np.maximum(size, 1e-9)
    number = len(rows_low) + len(rows_high)
    rows = np.concatenate([rows_low, rows_high])
    amount = np.concatenate([size[rows_low], -size[rows_high]])
    slack = sp.csc_array((amount, (rows, np.arange(number))), shape=(milp.num_rows, number))
    price = _BREAKING * max(float(np.abs(milp.cost).max()), 1.0)
    n = len(columns)
    return replace(
        milp,
        cost=np.concatenate([milp.cost[columns], np.full(number, -price if milp.maximise else price)]),
        matrix=sp.csr_array(sp.hstack([by_column[:, columns], slack], format="csr")),
        lower=np.concatenate([milp.lower[columns], np.zeros(number)]),
        upper=np.concatenate([milp.upper[columns], np.full(number, np.inf)]),
        integral=np.zeros(n + number, dtype=np.bool_),
        column_names=None,
        row_names=None,
    )

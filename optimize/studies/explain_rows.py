"""A project forced into a programme, and the rows that the choices of a point break."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from optimize.engine.highs import solve_lp
from optimize.engine.stopping import Watch
from optimize.milp import ElasticRows, FloatArray, IntArray, Milp, MilpBuilder, Term
from optimize.programme import SolveOptions

_SHORT = 1e-6
# Rows without a name give way only where nothing else does.
_DEAR = 1e6
# A whole figure given up; a CNY of a large budget must still cost more than the solver's tolerance of 1e-7.
_PER_SHARE = 1e4


def forced(milp: Milp, idle: int, columns: IntArray) -> Milp:
    """``milp`` with one of ``columns`` chosen: no idle column, or its row of at most one made equal."""
    if idle >= 0:
        upper = milp.upper.copy()
        upper[idle] = 0.0
        return milp.with_bounds(milp.lower, upper)
    ones = np.zeros(milp.num_columns)
    ones[columns] = 1.0
    by_column = milp.matrix[:, columns].tocsr()
    whole = np.flatnonzero(np.diff(by_column.indptr) == len(columns))
    for row in whole.tolist():
        start, end = milp.matrix.indptr[row], milp.matrix.indptr[row + 1]
        inside = ones[milp.matrix.indices[start:end]] > 0
        closed = milp.upper[milp.matrix.indices[start:end]] == 0
        if milp.row_upper[row] == 1 and (inside | closed).all() and (milp.matrix.data[start:end] == 1).all():
            lower = milp.row_lower.copy()
            lower[row] = 1.0
            return dataclasses.replace(milp, row_lower=lower)
    return milp.with_row(ones, 1.0, np.inf, "forced_in")


def shortfalls(milp: Milp, x: FloatArray, elastic: Sequence[ElasticRows]) -> tuple[FloatArray, list[int]]:
    """By how much each of ``elastic`` has to give way for the choices of ``x``, and rows that cannot.

    Money may be carried over and shortfalls taken anew; the smallest sum, relative to each figure.
    """
    free = ~milp.integral
    part, rows = milp.restriction(free, x)
    place = np.full(milp.num_rows, -1)
    place[rows] = np.arange(len(rows))
    builder = MilpBuilder(maximise=False)
    kept = builder.add_columns("kept", part.num_columns, lower=part.lower, upper=part.upper)
    coo = part.matrix.tocoo()
    terms: list[Term] = [(coo.row, kept[coo.col], coo.data)]
    scale = np.array([max(abs(group.required), 1.0) for group in elastic])
    give = builder.add_columns("give", len(elastic), cost=_PER_SHARE)  # in shares of the figure
    for k, group in enumerate(elastic):
        own = place[group.rows]
        there = own >= 0
        per_unit = np.broadcast_to(np.asarray(group.per_unit, np.float64), group.rows.shape)[there]
        sign = -1.0 if group.is_cap else 1.0
        terms.append((own[there], np.full(int(there.sum()), give[k]), sign * scale[k] * per_unit))
    over = builder.add_columns("over", part.num_rows, cost=_DEAR)
    under = builder.add_columns("under", part.num_rows, cost=_DEAR)
    terms += [(np.arange(part.num_rows), over, -1.0), (np.arange(part.num_rows), under, 1.0)]
    builder.add_rows("row", part.num_rows, terms, lower=part.row_lower, upper=part.row_upper)
    if part.num_rows == 0:
        return np.zeros(len(elastic)), []
    outcome = solve_lp(builder.build(), Watch(SolveOptions(time_limit_s=30.0), maximise=False))
    if outcome.x is None:
        return np.zeros(len(elastic)), []
    size = np.maximum(1.0, np.maximum(_finite(part.row_lower), _finite(part.row_upper)))
    broken = (outcome.x[over] + outcome.x[under]) > _SHORT * size
    return scale * outcome.x[give], rows[broken].tolist()


def _finite(sides: FloatArray) -> FloatArray:
    return np.where(np.isfinite(sides), np.abs(sides), 0.0)

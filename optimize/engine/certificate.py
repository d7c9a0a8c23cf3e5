"""A bound that can be recomputed by anyone from row multipliers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from optimize.engine.choice_structure import group_rows
from optimize.engine.highs import solve_lp
from optimize.engine.stopping import Watch
from optimize.milp import BlockNames, Milp
from optimize.result import Certificate, KeptGoal

FloatArray = NDArray[np.float64]


def dual_bound(milp: Milp, row_duals: FloatArray) -> tuple[float, FloatArray]:
    """Bound on the objective by weak duality, valid for *any* multipliers.

    For a maximisation, with reduced costs r = c - A'y,

        c'x = r'x + y'(Ax) <= sum_j max(r_j l_j, r_j u_j) + sum_i max(y_i lo_i, y_i up_i)

    (mirrored for a minimisation).  A multiplier whose side is infinite is set to zero first.

    Parameters
    ----------
    row_duals : shape (m,), d objective / d side.

    Returns
    -------
    (bound, reduced costs of shape (n,)); the bound is infinite where a column with nonzero
    reduced cost is unbounded.
    """
    sign = 1.0 if milp.maximise else -1.0
    y = sign * row_duals
    y = np.where((y > 0) & ~np.isfinite(milp.row_upper), 0.0, y)
    y = np.where((y < 0) & ~np.isfinite(milp.row_lower), 0.0, y)
    reduced = sign * milp.cost - milp.matrix.T @ y
    bound = float(
        _largest(reduced, milp.lower, milp.upper).sum() + _largest(y, milp.row_lower, milp.row_upper).sum()
    )
    return sign * bound + milp.offset, sign * reduced


def linear_certificate(milp: Milp, row_duals: FloatArray) -> Certificate:
    """Certificate from the multipliers of the linear relaxation; its bound may be infinite.

    Rows by which one option at most is chosen need no multiplier: the best option of each is
    taken instead, which proves as much with far less to store.
    """
    sign = 1.0 if milp.maximise else -1.0
    y = sign * row_duals
    y = np.where((y > 0) & ~np.isfinite(milp.row_upper), 0.0, y)
    y = np.where((y < 0) & ~np.isfinite(milp.row_lower), 0.0, y)
    rows = group_rows(milp, milp.integral & (milp.lower == 0) & (milp.upper <= 1))
    y[rows] = 0.0
    reduced = sign * milp.cost - milp.matrix.T @ y
    groups = milp.matrix[rows]
    grouped = np.zeros(milp.num_columns, dtype=np.bool_)
    grouped[groups.indices] = True
    worth = np.where(milp.upper[groups.indices] > 0, reduced[groups.indices], -np.inf)
    best = np.maximum.reduceat(worth, groups.indptr[:-1]) if len(rows) else np.zeros(0)
    best = np.where(milp.row_lower[rows] >= 1, best, np.maximum(best, 0.0))
    boxes = _largest(reduced, milp.lower, milp.upper)[~grouped]
    bound = float(best.sum() + boxes.sum() + _largest(y, milp.row_lower, milp.row_upper).sum())
    return Certificate("linear", sign * bound + milp.offset, sign * y, row_names(milp))


def certify_linearly(milp: Milp, kept: Sequence[KeptGoal], watch: Watch) -> Certificate | None:
    """Certificate from the linear relaxation of ``milp``; None where it is not solved in time.

    Parameters
    ----------
    kept : earlier goals; ``milp`` has their rows already, as its last ones.
    """
    outcome = solve_lp(milp, watch)
    if outcome.row_duals is None:
        return None
    certificate = linear_certificate(milp, outcome.row_duals)
    return replace(certificate, kept=tuple(kept)) if np.isfinite(certificate.bound) else None


def row_names(milp: Milp) -> Sequence[str]:
    """A name for every row, each once."""
    return milp.row_names if milp.row_names is not None else BlockNames([("row", milp.num_rows)])


def _largest(weight: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    side = np.where(weight > 0, high, low)
    return np.where(weight == 0, 0.0, weight * np.where(weight == 0, 0.0, side))

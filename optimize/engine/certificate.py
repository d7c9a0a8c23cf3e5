"""A bound that can be recomputed by anyone from row multipliers alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimize.milp import Milp

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


def _largest(weight: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    side = np.where(weight > 0, high, low)
    return np.where(weight == 0, 0.0, weight * np.where(weight == 0, 0.0, side))

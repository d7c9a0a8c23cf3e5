"""Compiled mixed-integer rounding: coefficients of cuts and how far they cut a point off; see `rounding_cuts`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

compiled: Callable[..., Any] = njit(cache=True)

# Sums are exact to this.
ROUNDING = 1e-9
# A right side nearer to the next whole number below is too weak, nearer to the one above is rounded
# down without the fractional part, whose coefficients would be large.
_LEAST_FRACTION = 0.02
_PLAIN_ROUNDING_FROM = 0.98


@compiled
def _coefficient(amount: float, integral: bool, fraction: float, share: float) -> float:
    """F of the module docstring; ``share`` is 1 / (1 - fraction), or 0 for plain rounding down."""
    if not integral:
        return min(amount, 0.0) * share
    amount -= ROUNDING
    whole = float(np.floor(amount))
    return whole + max(amount - whole - fraction, 0.0) * share


@compiled
def _share(fraction: float) -> float:
    return 0.0 if fraction > _PLAIN_ROUNDING_FROM else 1.0 / (1.0 - fraction)


@compiled
def rounded(amounts: FloatArray, totals: FloatArray, integral: BoolArray) -> FloatArray:
    """Coefficients of the cuts from ``amounts @ x <= totals``, in the place of ``amounts``; (cuts, columns)."""
    for k in range(len(totals)):
        total = totals[k] + ROUNDING
        fraction = total - np.floor(total)
        share = _share(fraction)
        for j in range(amounts.shape[1]):
            amounts[k, j] = _coefficient(amounts[k, j], integral[j], fraction, share)
    return amounts


@compiled
def violations(
    amounts: FloatArray,
    number: IntArray,
    factor: FloatArray,
    totals: FloatArray,
    x: FloatArray,
    integral: BoolArray,
    loss: FloatArray,
    slack: BoolArray,
) -> FloatArray:
    """By how far the cut from ``factor`` times sum ``number`` leaves ``x`` outside; < 0: of no use. (q,)"""
    result = np.full(len(number), -1.0)
    for k in range(len(number)):
        row, times = number[k], factor[k]
        total = times * totals[row] + ROUNDING
        whole = np.floor(total)
        fraction = total - whole
        share = _share(fraction)
        if fraction < _LEAST_FRACTION or (share == 0.0 and slack[row]):
            continue
        left, length = -whole - times * loss[row] * share, 0.0
        usable = True
        for j in range(len(x)):
            amount = times * amounts[row, j]
            if share == 0.0 and not integral[j] and amount < 0.0:
                usable = False
                break
            value = _coefficient(amount, integral[j], fraction, share)
            left += value * x[j]
            length += value * value
        if usable and length > 0.0:
            result[k] = left / np.sqrt(length)
    return result


def compile_kernels() -> None:
    """Compile all of the above for the types they are called with."""
    amounts, one = np.full((1, 2), 0.5), np.ones(1)
    integral, no = np.ones(2, dtype=np.bool_), np.zeros(1, dtype=np.bool_)
    violations(amounts, np.zeros(1, dtype=np.int64), one, one, np.ones(2), integral, one, no)
    rounded(amounts, one, integral)

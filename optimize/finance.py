"""Discounting, annuities and the present value of a project inside an evaluation horizon."""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def discount_factor(rate: float, year: ArrayLike) -> FloatArray:
    """Present value in year 0 of 1 CNY paid at the end of ``year`` years: (1 + rate)^-year."""
    return np.asarray((1.0 + rate) ** -np.asarray(year, dtype=np.float64))


def annuity_factor(rate: float, years: ArrayLike) -> FloatArray:
    """Present value of 1 CNY a year paid at the ends of years 1..n (n may be fractional)."""
    n = np.asarray(years, dtype=np.float64)
    if rate < 1e-15:
        return n.copy()  # to the last digit; below, the rate itself would be lost in the product
    # expm1 keeps its digits where the rate is tiny
    return np.asarray(-np.expm1(-n * np.log1p(rate)) / rate)


def capital_recovery_factor(rate: float, years: ArrayLike) -> FloatArray:
    """Yearly payment that repays 1 CNY over ``years``: the inverse of the annuity factor."""
    return np.asarray(1.0 / annuity_factor(rate, years))


@overload
def present_cost_of_asset(
    rate: float, life_years: float, start_year: float, horizon_years: float
) -> np.float64: ...
@overload
def present_cost_of_asset(
    rate: float, life_years: ArrayLike, start_year: ArrayLike, horizon_years: float
) -> FloatArray: ...
def present_cost_of_asset(
    rate: float, life_years: ArrayLike, start_year: ArrayLike, horizon_years: float
) -> np.float64 | FloatArray:
    """Present value per CNY of CAPEX of an asset kept alive until the horizon ends.

    The asset is bought at ``start_year`` (0 = first year), replaced like for like at the end of
    each life, and what is left of the last one at the horizon is credited by its remaining
    annuities (so that short- and long-lived measures compare fairly).  This equals the annuity
    stream of one asset, cut at the horizon:
    ``crf(rate, life) * annuity(rate, horizon - start) * discount(start)``.
    """
    start = np.asarray(start_year, dtype=np.float64)
    served = np.maximum(horizon_years - start, 0.0)
    cost: FloatArray = (
        capital_recovery_factor(rate, life_years)
        * annuity_factor(rate, served)
        * discount_factor(rate, start)
    )
    return cost

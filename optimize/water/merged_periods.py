"""Periods of the year in which everything is the same, as one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optimize.water.coefficients import Coefficients, Offered, Reduction
from optimize.water.investments import FloatArray

_SAME = 12
"""Digits to which periods have to agree."""


def merge_periods(c: Coefficients) -> Coefficients:
    """Periods in which everything is the same as one, with their days added; not for networks with storage.

    Proof.  Investments do not depend on the period, and every row but those of storage speaks of one period
    or of sums over periods weighted by days.  So the mean, by days, of a plan's flows over equal periods holds
    in each of them, and all sums stay.  A plan of the merged network is one of the whole with the same
    flows in each period.  A peak day (no days) equal to a period is held by that period's rows.
    """
    scale = [np.abs(rows).max(axis=-1, keepdims=True, initial=1e-300) for rows in _by_period(c)]
    alike = np.concatenate(
        [(rows / most).reshape(-1, len(c.days)) for rows, most in zip(_by_period(c), scale, strict=True)]
    )
    _, first, period_of = np.unique(alike.round(_SAME), axis=1, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")  # keep the order of the year
    kept, period_of = first[order], np.argsort(order)[np.ravel(period_of)]
    days = np.bincount(period_of, weights=c.days, minlength=len(kept)).astype(float)
    if len(kept) == len(c.days):
        return c
    return replace(
        c,
        days=days,
        available_m3_per_d=c.available_m3_per_d[:, kept],
        effluent_m3_per_d=c.effluent_m3_per_d[:, kept],
        demand_m3_per_d=c.demand_m3_per_d[:, :, kept],
        growth_m3_per_d=c.growth_m3_per_d[:, :, kept],
        cascade_limit_m3_per_d=c.cascade_limit_m3_per_d[:, :, kept],
        reduction=Reduction(c, Offered.everything(c), np.asarray(period_of, np.int64)),
    )


def _by_period(c: Coefficients) -> tuple[FloatArray, ...]:
    """All that differs by period (the last axis)."""
    return (
        c.available_m3_per_d, c.effluent_m3_per_d, c.demand_m3_per_d, c.growth_m3_per_d,
        c.cascade_limit_m3_per_d,
    )  # fmt: skip

"""Operating periods of the year, and demand by stage and period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimize.units import DAYS_PER_MONTH
from optimize.water.instance import Instance
from optimize.water.investments import (
    FloatArray,
    IntArray,
    derive_stage_weights,
    index_of,
)

SEASONS = ((2, 3, 4), (5, 6, 7), (8, 9, 10), (11, 0, 1))
"""Months (0-based) of spring, summer, autumn, winter."""


@dataclass(frozen=True)
class Calendar:
    """Operating periods: ``average`` (12, T) turns monthly means into means over a period."""

    days: FloatArray
    average: FloatArray
    peak_month: int | None


def derive_calendar(instance: Instance) -> Calendar:
    """Periods of the year.

    The peak day stands for the worst day of the month in which all users together need most
    (the first of equals); it has no days of its own, so it sizes works and earns nothing.
    """
    parameters = instance.parameters
    month_days = np.array(DAYS_PER_MONTH, dtype=np.float64)
    groups = {
        1: (tuple(range(12)),),
        4: SEASONS,
        12: tuple((month,) for month in range(12)),
    }[parameters.periods]
    average = np.zeros((12, len(groups)))
    for period, months in enumerate(groups):
        share = month_days[list(months)]
        average[list(months), period] = share / share.sum()
    days = np.array([month_days[list(months)].sum() for months in groups])
    if not parameters.peak_day:
        return Calendar(days, average, None)
    base = _grown(instance, 1.0)
    monthly = (base[:, None] * profile_factors(instance, instance.user_demands["profile"].tolist())).sum(
        axis=0
    )
    return Calendar(np.append(days, 0.0), average, int(monthly.argmax()))


def profile_factors(instance: Instance, names: list[str]) -> FloatArray:
    """Monthly factors of each named profile, (n, 12); the empty name is even."""
    table = instance.profiles
    profiles = list(dict.fromkeys(table["profile"]))
    factors = np.ones((len(profiles) + 1, 12))
    factors[index_of(profiles, table["profile"]), table["month"].to_numpy(int) - 1] = table["factor"]
    return factors[index_of(profiles, names)]


def by_period(monthly: FloatArray, calendar: Calendar, peak_factor: FloatArray | float = 1.0) -> FloatArray:
    """Means over the periods from monthly means in the last axis, the peak day appended."""
    periods = monthly @ calendar.average
    if calendar.peak_month is None:
        return periods
    peak = monthly[..., calendar.peak_month] * peak_factor
    return np.concatenate([periods, peak[..., None]], axis=-1)


def _grown(instance: Instance, growth_reached: float) -> FloatArray:
    """Mean demand of the year with a part of the growth, (Q,)."""
    growth = instance.users["growth_share"].to_numpy(float)[demand_user(instance)]
    base = instance.user_demands["base_m3_per_d"].to_numpy(float)
    return np.asarray(base * (1.0 + growth * growth_reached))


def demand_user(instance: Instance) -> IntArray:
    return index_of(list(instance.users["user"]), instance.user_demands["user"])


def stage_demand(instance: Instance, calendar: Calendar) -> tuple[FloatArray, FloatArray]:
    """Demand and its part that is growth, (S, Q, T); growth is linear over the stages."""
    stages = len(derive_stage_weights(instance.parameters))
    factors = profile_factors(instance, instance.user_demands["profile"].tolist())
    peak = instance.users["peak_day_factor"].to_numpy(float)[demand_user(instance)]
    reached = [(stage + 1) / stages for stage in range(stages)]
    shape = by_period(factors, calendar, peak)
    demand = np.stack([_grown(instance, share)[:, None] * shape for share in reached])
    base = _grown(instance, 0.0)[:, None] * shape
    return demand, np.maximum(demand - base, 0.0)

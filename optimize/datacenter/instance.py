"""The typed instance of the data-centre programme, and the simplest facts read off it."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.clauses import ClauseTarget
from optimize.schema import InstanceData

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Instance:
    """Raw tables in base units, parameters and targets; varied by `dataclasses.replace` only.

    Years are positions ``t = 0 .. num_years-1`` of calendar years ``base_year + t``.  A project
    built in year ``t`` works from year ``t + 1`` on, until ``horizon_years`` after the base year.
    """

    name_zh: str
    name_en: str
    districts: pd.DataFrame
    budgets: pd.DataFrame
    funding: pd.DataFrame
    locks: pd.DataFrame
    centres: pd.DataFrame
    measures: pd.DataFrame
    measure_trades: pd.DataFrame
    trades: pd.DataFrame
    zones: pd.DataFrame
    hosts: pd.DataFrame
    host_capacity: pd.DataFrame
    heat_sinks: pd.DataFrame
    sink_months: pd.DataFrame
    offers: pd.DataFrame
    offer_payments: pd.DataFrame
    plan_in_force: pd.DataFrame
    parameters: Mapping[str, Any]
    targets: Mapping[str, ClauseTarget]

    @property
    def base_year(self) -> int:
        return int(self.parameters["base_year"])

    @property
    def num_years(self) -> int:
        return int(self.parameters["num_years"])

    @property
    def horizon_years(self) -> int:
        return int(self.parameters["economics.horizon_years"])

    @property
    def discount_rate(self) -> float:
        return float(self.parameters["economics.discount_rate"])

    def setting(self, name: str) -> float:
        """A numeric parameter ``datacenter.<name>``."""
        return float(self.parameters[f"datacenter.{name}"])

    def last_counting_year(self, target: ClauseTarget) -> int:
        """Last investment year (position) that counts for ``target``; -1 if none does."""
        last = self.num_years - 1
        if target.deadline_year is None:
            return last
        return min(last, target.deadline_year - self.base_year)

    @cached_property
    def it_load_kw(self) -> FloatArray:
        return self.centres["it_load_kw"].to_numpy(np.float64)

    @cached_property
    def electricity_price(self) -> FloatArray:
        """CNY/kWh of each centre."""
        own = self.centres["electricity_price_cny_per_kwh"].to_numpy(np.float64)
        return np.where(np.isnan(own), self.setting("electricity_price_cny_per_kwh"), own)

    @cached_property
    def pue_before(self) -> FloatArray:
        parts = ["cooling_kwh_per_kwh_it", "power_kwh_per_kwh_it", "other_kwh_per_kwh_it"]
        return np.asarray(1.0 + self.centres[parts].to_numpy(np.float64).sum(axis=1))


def load(data: InstanceData) -> Instance:
    """The instance of validated tables."""
    return Instance(
        name_zh=data.name_zh,
        name_en=data.name_en,
        parameters=dict(data.parameters),
        targets=dict(data.targets),
        **{name: frame.reset_index(drop=True) for name, frame in data.tables.items()},
    )


def split_list(text: str) -> list[str]:
    """Entries of a cell that lists ids separated by ``|``."""
    return [part.strip() for part in text.split("|") if part.strip()]


def rows_of(frame: pd.DataFrame) -> Iterator[Any]:
    """Rows of a short table as named tuples (typed loosely: columns are known by the schema).

    As pandas' own ``itertuples``, which takes three times as long for a few rows.
    """
    row = _row_of(tuple(frame.columns))
    return map(row._make, zip(*(cells.tolist() for _, cells in frame.items()), strict=True))


@cache
def _row_of(names: tuple[str, ...]) -> Any:
    return namedtuple("Row", names)

"""How a demand for reclaimed water moves with a data centre, from the raw tables alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from optimize.schema import InstanceData
from optimize.units import DAYS_PER_MONTH, HOURS_PER_YEAR

_L_PER_M3 = 1000.0


def present_water_m3(centres: InstanceData) -> dict[str, float]:
    """Water each centre would use without any plan in the year after the last investment year, m3/a."""
    table = centres.tables["centres"]
    grown = (1.0 + table["load_growth_per_year"]) ** (int(centres.parameters["num_years"]) - 1)
    yearly = table["wue_l_per_kwh"] * table["it_load_kw"] * grown * HOURS_PER_YEAR / _L_PER_M3
    return dict(zip(table["centre"], yearly.astype(float), strict=True))


def yearly_per_base(water: InstanceData, demand: str) -> float:
    """Yearly demand, m3/a with its growth, per m3/d of ``base_m3_per_d``."""
    facts = rows_by_id(water, "user_demands", "demand")[demand]
    profiles = water.tables["profiles"]
    rows = profiles[profiles["profile"] == facts["profile"]]
    factor = np.ones(12)
    factor[rows["month"].to_numpy(np.int64) - 1] = rows["factor"].to_numpy(np.float64)
    growth = 1.0 + float(rows_by_id(water, "users", "user")[facts["user"]]["growth_share"])
    return float(growth * (factor * np.array(DAYS_PER_MONTH)).sum())


def yearly_demand_m3(water: InstanceData, demand: str) -> float:
    """The demand of a year as the tables state it, m3/a with its growth."""
    facts = rows_by_id(water, "user_demands", "demand")[demand]
    return float(facts["base_m3_per_d"]) * yearly_per_base(water, demand)


def with_demand_moved(water: InstanceData, change_m3: Mapping[str, float]) -> InstanceData:
    """The water programme's data with yearly demands changed by ``change_m3``, m3/a by demand."""
    if not change_m3:
        return water
    table = water.tables["user_demands"].copy()
    place = {name: row for row, name in enumerate(table["demand"])}
    base = table["base_m3_per_d"].to_numpy(np.float64, copy=True)
    for demand, change in change_m3.items():
        base[place[demand]] = max(base[place[demand]] + change / yearly_per_base(water, demand), 0.0)
    table["base_m3_per_d"] = base
    return replace(water, tables={**water.tables, "user_demands": table})


def rows_by_id(data: InstanceData, table: str, key: str) -> dict[str, dict[str, Any]]:
    """The rows of a table by their id."""
    frame = data.tables[table]
    records = frame.to_dict(orient="records")
    return {str(row[key]): {str(name): value for name, value in row.items()} for row in records}

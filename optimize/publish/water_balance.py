"""Where a plan's reclaimed water comes from, of which quality it is, and who uses it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from optimize.milp import FloatArray
from optimize.publish.facts import PlanFacts
from optimize.units import DAYS_PER_MONTH, DAYS_PER_YEAR

CASCADE, STORE, UNKNOWN = "*cascade", "*store", "*users"
_SEASONS = ((2, 3, 4), (5, 6, 7), (8, 9, 10), (11, 0, 1))


@dataclass(frozen=True)
class WaterBalance:
    """Flows of one stage (the last), m3/d by period.

    Attributes
    ----------
    year : first calendar year of the stage.
    days : shape (periods,), days of the year that each period stands for; a peak day has none and is left out.
    made : origin (plant, CASCADE or STORE), quality, and a column for each period.
    used : quality, use (kind of user, STORE, or UNKNOWN where the instance is not there), and the same columns.
    """

    year: int
    days: FloatArray
    made: pd.DataFrame
    used: pd.DataFrame

    @property
    def num_periods(self) -> int:
        return len(self.days)

    def total(self, period: int | None) -> float:
        """Water used, m3/d of a period, or m3/a."""
        users = self.used[self.used["use"] != STORE]
        return float(self.amounts(users, period).sum())

    def amounts(self, rows: pd.DataFrame, period: int | None) -> FloatArray:
        """m3/d of a period, or m3/a."""
        flows = rows[list(range(self.num_periods))].to_numpy(np.float64)
        return flows @ self.days if period is None else flows[:, period]


def water_balance_of(plan: PlanFacts) -> WaterBalance | None:
    """The balance of a plan's last stage; None where no water is delivered."""
    deliveries = plan.table("deliveries")
    if deliveries.empty:
        return None
    year = int(deliveries["year"].max())
    production = _stage(plan.table("production"), year)
    deliveries = _stage(deliveries, year)
    days = _days(int(max(production["period"].max(), deliveries["period"].max())) + 1)
    made = [_by_period(production, ["plant", "quality"], "product_m3_per_d", len(days))]
    used = [_by_period(_with_use(plan, deliveries), ["quality", "use"], "delivered_m3_per_d", len(days))]
    cascades = _with_quality(plan, _stage(plan.table("reuse"), year), "cascades", "cascade")
    stores = _with_quality(plan, _stage(plan.table("storage"), year), "storage_sites", "site")
    made.append(_by_period(cascades.assign(plant=CASCADE), ["plant", "quality"], "flow_m3_per_d", len(days)))
    made.append(_by_period(stores.assign(plant=STORE), ["plant", "quality"], "outflow_m3_per_d", len(days)))
    used.append(_by_period(stores.assign(use=STORE), ["quality", "use"], "inflow_m3_per_d", len(days)))
    origin = pd.concat(made, ignore_index=True).rename(columns={"plant": "origin"})
    return WaterBalance(year, days, origin, pd.concat(used, ignore_index=True))


def _stage(rows: pd.DataFrame, year: int) -> pd.DataFrame:
    return rows[rows["year"] == year]


def _days(num_periods: int) -> FloatArray:
    """Days of each period; one more than 1, 4 or 12 is a peak day."""
    months = np.array(DAYS_PER_MONTH, dtype=np.float64)
    if num_periods >= 12:
        return months
    if num_periods >= 4:
        return np.array([sum(months[m] for m in season) for season in _SEASONS])
    return np.array([DAYS_PER_YEAR])


def _by_period(rows: pd.DataFrame, keys: list[str], value: str, num_periods: int) -> pd.DataFrame:
    columns = list(range(num_periods))
    if rows.empty:
        return pd.DataFrame(columns=[*keys, *columns])
    table = rows.pivot_table(index=keys, columns="period", values=value, aggfunc="sum", fill_value=0.0)
    return table.reindex(columns=columns, fill_value=0.0).reset_index()


def _with_use(plan: PlanFacts, deliveries: pd.DataFrame) -> pd.DataFrame:
    if plan.instance is None:
        return deliveries.assign(use=UNKNOWN)
    tables = plan.instance.tables
    user = tables["user_demands"].set_index("demand")["user"]
    kind = tables["users"].set_index("user")["kind"]
    return deliveries.assign(use=deliveries["demand"].map(user).map(kind).to_numpy())


def _with_quality(plan: PlanFacts, rows: pd.DataFrame, table: str, key: str) -> pd.DataFrame:
    """Rows with the quality that their cascade or storage site has; none where the instance is not there."""
    if rows.empty or plan.instance is None:
        return rows.iloc[:0].assign(quality="")
    quality = plan.instance.tables[table].set_index(key)["quality"]
    return rows.assign(quality=rows[key].map(quality).to_numpy())

"""The city's plan: who gets what of the pool, and each programme's own plan under its share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from optimize.city.instance import City
from optimize.errors import UnreadablePlan
from optimize.milp import FloatArray
from optimize.plan_columns import plan_columns
from optimize.programme import Programme

# Between the programme's name and the table's in the file names of a run.
_SEPARATOR = "."
# Before the tables of the plan on today's fixed shares.
SILOS = "silos"


@dataclass(frozen=True)
class CityPlan:
    """A split of the pool and the plans under it.

    Attributes
    ----------
    share_cny : shape (parts, sources, years).
    solutions : by programme, in the order of the city's parts.
    """

    share_cny: FloatArray
    solutions: Mapping[str, Any]


def split_table(city: City, share_cny: FloatArray) -> pd.DataFrame:
    """The split, a row for each source, year and programme: CNY now, in today's fixed shares, and the pool."""
    num_parts, num_sources, num_years = share_cny.shape
    order = (1, 2, 0)
    return pd.DataFrame(
        {
            "source": np.repeat(np.array(city.sources, dtype=object), num_years * num_parts),
            "year": np.tile(np.repeat(np.array(city.years, dtype=np.int64), num_parts), num_sources),
            "programme": np.tile(np.array(city.names, dtype=object), num_sources * num_years),
            "share_cny": share_cny.transpose(order).ravel(),
            "today_cny": city.today_cny.transpose(order).ravel(),
            "pool_cny": np.repeat(city.pool_cny.ravel(), num_parts),
        }
    )


def plan_tables(city: City, plan: CityPlan, instances: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The split and every programme's tables, named by the programme."""
    tables = {"split": split_table(city, plan.share_cny)}
    for part in city.parts:
        name = part.programme.name
        own = part.programme.plan_tables(instances[name], plan.solutions[name])
        tables |= tables_below(name, own)
    return tables


def read_plan(city: City, tables: Mapping[str, pd.DataFrame]) -> CityPlan:
    """The plan of stored tables (text cells); inverse of `plan_tables`."""
    split = plan_columns(
        tables, "split", texts=("source", "programme"), whole=("year",), floats=("share_cny",)
    )
    shape = (len(city.parts), len(city.sources), len(city.years))
    share = np.zeros(shape)
    place = {
        (name, source, year): (k, f, t)
        for k, name in enumerate(city.names)
        for f, source in enumerate(city.sources)
        for t, year in enumerate(city.years)
    }
    keys = list(zip(split["programme"], split["source"], split["year"].tolist(), strict=True))
    if len(set(keys)) != len(keys) or set(keys) != set(place):
        raise UnreadablePlan("split.csv: not one row for each source, year and programme of the city")
    for key, amount in zip(keys, split["share_cny"], strict=True):
        share[place[key]] = amount
    return CityPlan(share, {part.programme.name: _read(part.programme, tables) for part in city.parts})


def tables_of(prefix: str, tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables below a prefix, without it."""
    start = prefix + _SEPARATOR
    return {name[len(start) :]: frame for name, frame in tables.items() if name.startswith(start)}


def tables_below(prefix: str, tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Inverse of `tables_of`."""
    return {f"{prefix}{_SEPARATOR}{name}": frame for name, frame in tables.items()}


def _read(programme: Programme, tables: Mapping[str, pd.DataFrame]) -> Any:
    return programme.read_plan(tables_of(programme.name, tables))

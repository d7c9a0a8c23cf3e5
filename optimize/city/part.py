"""A programme as one part of the city's: its arrays, and what they take of what is shared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optimize.city.instance import City
from optimize.milp import ElasticRows, FloatArray, IntArray, Milp, Objective
from optimize.programme import StatedArrays

NO_COLUMN: IntArray = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Entries:
    """Columns of a part and what each takes of one shared thing; shape (k,) both."""

    columns: IntArray
    amounts: FloatArray

    @classmethod
    def where_not_zero(cls, columns: IntArray, amounts: FloatArray) -> Entries:
        some = np.flatnonzero(amounts)
        return cls(columns[some], amounts[some])


@dataclass(frozen=True)
class MoneyRows:
    """Rows whose upper side is what the part gets of the pool.

    One entry each: the side of ``row`` grows by ``per_cny`` with every CNY of the share of ``source``
    in ``year`` (positions in the city's).
    """

    row: IntArray
    source: IntArray
    year: IntArray
    per_cny: FloatArray


@dataclass(frozen=True)
class CityPart:
    """Arrays of one programme, all its rows, with the whole pool in reach.

    Attributes
    ----------
    milp, objectives : as for the programme alone; ``money`` says which sides the share replaces.
    elastic : rows that may give way, without the budgets of the pool.
    group : shape (n,), candidate of each column, -1: of none.
    by_columns : candidates have so many columns that a relaxation is better solved by generating them.
    changes, changes_of_nothing : of the plan in force, by column and where nothing is chosen.
    energy_mwh, co2_t : what counts for [CITY-ENERGY], [CITY-CO2]: savings of public institutions.
    power_mwh : by site or centre of ``pv_at_centres``: yield of the site's PV, what the centre still draws.
    heat_kwh : by (sink, month) of ``shared_heat``: heat delivered to the sink or made by its sites.
    water_m3 : by demand of ``cooling_water``: change of the yearly demand.
    water_taken : by (demand, period): reclaimed water delivered, m3/d.
    water_needed : by (demand, period): need per m3 of the year (m3/d per m3/a) and need as the tables
        state it, m3/d.
    intake_rows : rows of [W-CAP], whose sides moving demands shift, with these demands.
    read_plan : the programme's plan from the part's columns.
    named : the part's columns with the names of its projects; None where it holds no single projects.
    """

    name: str
    milp: Milp
    objectives: Mapping[str, Objective]
    elastic: Sequence[ElasticRows]
    money: MoneyRows
    group: IntArray
    read_plan: Callable[[FloatArray], Any]
    named: Callable[[], StatedArrays] | None = None
    by_columns: bool = False
    changes: FloatArray | None = None
    changes_of_nothing: float = 0.0
    energy_mwh: FloatArray | None = None
    co2_t: FloatArray | None = None
    power_mwh: Mapping[str, Entries] = field(default_factory=dict)
    heat_kwh: Mapping[tuple[str, int], Entries] = field(default_factory=dict)
    water_m3: Mapping[str, Entries] = field(default_factory=dict)
    water_taken: Mapping[tuple[str, int], Entries] = field(default_factory=dict)
    water_needed: Mapping[tuple[str, int], tuple[float, float]] = field(default_factory=dict)
    intake_rows: Mapping[int, Sequence[str]] = field(default_factory=dict)


def split_budgets(
    city: City, elastic: Sequence[ElasticRows], clause: str, all_years: str = ""
) -> tuple[MoneyRows, list[ElasticRows]]:
    """The rows of the pool's budgets, and every other row that may give way.

    Parameters
    ----------
    clause : by which the programme names a budget.
    all_years : the year's name where the programme spends the money of all years as one.
    """
    place = {
        f"{source} {year}": (f, t)
        for f, source in enumerate(city.sources)
        for t, year in enumerate(city.years)
    }
    whole = {f"{source} {all_years}": f for f, source in enumerate(city.sources)} if all_years else {}
    entries: list[tuple[int, int, int, float]] = []
    rest = []
    for group in elastic:
        if group.clause == clause and group.where in place:
            per_cny = np.broadcast_to(np.asarray(group.per_unit, np.float64), group.rows.shape)
            f, t = place[group.where]
            entries += [(int(row), f, t, float(k)) for row, k in zip(group.rows, per_cny, strict=True)]
        elif group.clause == clause and group.where in whole:
            f = whole[group.where]
            entries += [(int(group.rows[0]), f, t, 1.0) for t in range(len(city.years))]
        elif group.clause != clause or group.where.startswith("owner "):
            rest.append(group)
    row, source, year, per_unit = (np.array(column) for column in zip(*entries, strict=True)) if entries else (
        NO_COLUMN, NO_COLUMN, NO_COLUMN, np.zeros(0),
    )  # fmt: skip
    return MoneyRows(row, source, year, per_unit), rest

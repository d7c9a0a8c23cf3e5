"""The city: its programmes, the money they share, what links them, and what is asked of all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from optimize.city.contracts import contracts_cny, granted, over_years, split_after_contracts
from optimize.clauses import ClauseTarget
from optimize.io.instance_folder import LoadedProgramme
from optimize.milp import FloatArray
from optimize.programme import Programme
from optimize.schema import InstanceData

DATACENTER, WATER, PV_SITING = "datacenter", "water", "pv_siting"
MUNICIPAL, OWNER = "municipal", "owner"


@dataclass(frozen=True)
class City:
    """Programmes under one public budget.

    Attributes
    ----------
    parts : the programmes taken together, as read.
    sources : shared purses: ``municipal`` and the districts.  Owners pay for their own projects only.
    years : calendar years of investment.
    pool_cny : shape (sources, years), public money of all programmes, no less than their contracts need.
    today_cny : shape (parts, sources, years), today's fixed shares; they add up to the pool.
    targets : [CITY-CO2], [CITY-ENERGY], [CITY-REVISE], where asked for.
    cooling_water, shared_heat, pv_at_centres : cross-links between two programmes taken together.
    """

    name_zh: str
    name_en: str
    parts: tuple[LoadedProgramme, ...]
    sources: tuple[str, ...]
    years: tuple[int, ...]
    pool_cny: FloatArray
    today_cny: FloatArray
    carry_over_share: float
    targets: Mapping[str, ClauseTarget]
    baseline_energy_tce: float
    baseline_co2_t: float
    tce_per_mwh: float
    cooling_water: pd.DataFrame
    shared_heat: pd.DataFrame
    pv_at_centres: pd.DataFrame
    fingerprint: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(part.programme.name for part in self.parts)

    def part(self, name: str) -> LoadedProgramme:
        return next(part for part in self.parts if part.programme.name == name)

    @property
    def is_coupled(self) -> bool:
        """Whether anything but money ties the programmes."""
        tables = (self.cooling_water, self.shared_heat, self.pv_at_centres)
        return bool(self.targets) or any(len(table) for table in tables)


def derive_city(parts: tuple[LoadedProgramme, ...], data: InstanceData) -> City:
    """The city of validated tables; ``data`` are those of the city itself."""
    own = parts[0].data.tables["districts"]["district"]
    sources = (MUNICIPAL, *own)
    first, num = int(data.parameters["base_year"]), int(data.parameters["num_years"])
    years = tuple(range(first, first + num))
    scale = float(data.parameters["budgets.scale"])
    today = np.stack([scale * money_by_year(part.data.tables["budgets"], sources, years) for part in parts])
    contracts = np.stack([contracts_cny(part, sources, years) for part in parts])
    carried = float(data.parameters["budgets.carry_over_share"])
    given = data.tables["budgets"]
    money = scale * money_by_year(given, sources, years)
    for k, part in enumerate(parts):
        if at_once(part.data):  # its contracts take the money of all years, first what others leave
            others = contracts.sum(axis=0) - contracts[k]
            room = np.maximum(money - others, 0.0) if len(given) else today[k]
            contracts[k] = over_years(contracts[k].sum(axis=1), room)
    if len(given):
        pool = granted(money, contracts.sum(axis=0), carried)
        today = split_after_contracts(pool, today, contracts)
    else:
        today = np.stack([granted(own, due, carried) for own, due in zip(today, contracts, strict=True)])
        pool = today.sum(axis=0)
    names = {part.programme.name for part in parts}

    def between(table: str, *both: str) -> pd.DataFrame:
        rows = data.tables[table]
        return rows if names.issuperset(both) else rows.iloc[:0]

    def baseline(path: str) -> float:
        value = data.parameters[path]
        return 0.0 if value is None else float(value)

    return City(
        name_zh=data.name_zh,
        name_en=data.name_en,
        parts=parts,
        sources=sources,
        years=years,
        pool_cny=pool,
        today_cny=today,
        carry_over_share=carried,
        targets=data.targets,
        baseline_energy_tce=baseline("city.baseline_energy_tce"),
        baseline_co2_t=baseline("city.baseline_co2_t"),
        tce_per_mwh=float(data.parameters["emissions.grid_kgce_per_kwh"]),
        cooling_water=between("cooling_water", DATACENTER, WATER),
        shared_heat=between("shared_heat", DATACENTER, PV_SITING),
        pv_at_centres=between("pv_at_centres", DATACENTER, PV_SITING),
        fingerprint=data.fingerprint,
    )


def shared_goals(programmes: Sequence[Programme]) -> list[str]:
    """Goals that every programme knows, with the same unit and sense: those that add up."""
    first, *others = programmes
    return [
        goal.name
        for goal in first.goals
        if all(
            any((g.name, g.unit, g.maximise) == (goal.name, goal.unit, goal.maximise) for g in other.goals)
            for other in others
        )
    ]


def money_by_year(budgets: pd.DataFrame, sources: tuple[str, ...], years: tuple[int, ...]) -> FloatArray:
    """Public money of a budget table, shape (sources, years), CNY; other rows are left out."""
    money = np.zeros((len(sources), len(years)))
    place = {source: row for row, source in enumerate(sources)}
    for source, year, amount in zip(budgets["source"], budgets["year"], budgets["amount_cny"], strict=True):
        if source in place and year in years:
            money[place[source], years.index(year)] += amount
    return money


def at_once(data: InstanceData) -> bool:
    """Whether a programme spends the money of all years in one stage."""
    return data.programme == WATER and not data.parameters["water.phased"]


def with_share(data: InstanceData, city: City, share_cny: FloatArray) -> InstanceData:
    """A programme's data with ``share_cny``, shape (sources, years), as its public budgets.

    What owners may spend stays as the programme has it.
    """
    scale = float(data.parameters["budgets.scale"])
    budgets = data.tables["budgets"]
    owner = budgets[budgets["source"] == OWNER].copy()
    owner["amount_cny"] = scale * owner["amount_cny"]
    public = pd.DataFrame(
        {
            "source": np.repeat(np.array(city.sources, dtype=object), len(city.years)),
            "year": np.tile(np.array(city.years, dtype=np.int64), len(city.sources)),
            "amount_cny": share_cny.ravel(),
        }
    )
    table = pd.concat([public, owner], ignore_index=True) if len(owner) else public
    return replace(
        data,
        tables={**data.tables, "budgets": table.astype({"source": budgets["source"].dtype})},
        parameters={**data.parameters, "budgets.scale": 1.0},
    )

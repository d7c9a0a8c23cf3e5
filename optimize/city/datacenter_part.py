"""Data centres as a part of the city."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from optimize.city.instance import DATACENTER, City, with_share
from optimize.city.part import CityPart, Entries, split_budgets
from optimize.city.schema import CO2, ENERGY
from optimize.datacenter.arrays import build_milp, impossible_options, objectives_of
from optimize.datacenter.changes import derive_changes
from optimize.datacenter.instance import Instance, load
from optimize.datacenter.kinds import CLOSE, NONE, NOTHING
from optimize.datacenter.options import Options, derive_options
from optimize.datacenter.plan import plan_from_choice
from optimize.datacenter.solution import Solution
from optimize.datacenter.stated import name_arrays
from optimize.milp import FloatArray, IntArray

_L_PER_M3 = _KWH_PER_MWH = 1000.0
# Owners whose centres are public institutions.
PUBLIC_OWNERS = ("municipal", "district")


def datacenter_part(city: City, goals: Sequence[str]) -> CityPart:
    """All rows of the data-centre programme with the whole pool in reach.

    Where the city asks for energy or CO2, packages are compared by energy too.  By water they are not:
    see docs/formulations/city.md.
    """
    instance = load(with_share(city.part(DATACENTER).data, city, city.pool_cny))
    seen = (*goals, "energy") if {ENERGY, CO2} & set(city.targets) else tuple(goals)
    options = derive_options(instance, seen)
    milp, elastic, penalty = build_milp(instance, options)
    upper = milp.upper.copy()
    upper[np.flatnonzero(impossible_options(instance, options))] = 0.0
    money, rest = split_budgets(city, elastic, "budget")
    group = np.full(milp.num_columns, NONE)
    group[: len(options)] = options.centre
    objectives = {goal.name: goal for goal in objectives_of(instance, options, tuple(goals), penalty)}
    changes = derive_changes(instance, options)
    public = instance.centres["owner_kind"].isin(PUBLIC_OWNERS).to_numpy()[options.centre]

    def read_plan(x: FloatArray) -> Solution:
        chosen = np.flatnonzero(x[: len(options)] > 0.5)
        return plan_from_choice(instance, options, chosen[options.kind[chosen] != NOTHING])

    milp = milp.with_bounds(milp.lower, upper)
    return CityPart(
        name=DATACENTER,
        milp=milp,
        objectives=objectives,
        elastic=rest,
        money=money,
        group=group,
        read_plan=read_plan,
        named=lambda: name_arrays(instance, options, milp, elastic, list(objectives.values())),
        by_columns=True,
        changes=_spread(milp.num_columns, changes.weight),
        changes_of_nothing=changes.weight_of_nothing,
        energy_mwh=_spread(milp.num_columns, options.energy_mwh * public),
        co2_t=_spread(milp.num_columns, options.co2_t * public),
        power_mwh=_drawn(city, instance, options),
        heat_kwh=_heat(city, instance, options),
        water_m3=_water_changes(city, instance, options),
    )


def _spread(num_columns: int, values: FloatArray) -> FloatArray:
    """Figures of the options as figures of all columns."""
    spread = np.zeros(num_columns)
    spread[: len(values)] = values
    return spread


def _drawn(city: City, instance: Instance, options: Options) -> dict[str, Entries]:
    """What each linked centre draws in the year after the last investment year, MWh, by option."""
    before = instance.pue_before * options.path.last_kwh / _KWH_PER_MWH
    after = np.where(options.kind == CLOSE, 0.0, before[options.centre] - options.energy_mwh)
    return {
        centre: Entries.where_not_zero(rows, after[rows])
        for centre in dict.fromkeys(city.pv_at_centres["centre"])
        for rows in [_options_of(instance, options, centre)]
    }


def _heat(city: City, instance: Instance, options: Options) -> dict[tuple[str, int], Entries]:
    """Heat delivered to each linked sink by month, kWh."""
    sinks = list(instance.heat_sinks["sink"])
    linked = np.flatnonzero(options.link >= 0)
    link = options.link[linked]
    entries = {}
    for sink in dict.fromkeys(city.shared_heat["sink"]):
        own = options.links.sink[link] == sinks.index(sink)
        for month in range(12):
            amounts = options.links.delivered_kwh[link[own], month]
            entries[sink, month + 1] = Entries.where_not_zero(linked[own], amounts)
    return entries


def _water_changes(city: City, instance: Instance, options: Options) -> dict[str, Entries]:
    """Change of each linked demand by option, m3/a; a centre that closes needs no water any more."""
    wue = instance.centres["wue_l_per_kwh"].to_numpy(np.float64)
    present = wue * options.path.last_kwh / _L_PER_M3
    change = np.where(options.kind == CLOSE, -present[options.centre], options.water_m3)
    links: pd.DataFrame = city.cooling_water
    entries = {}
    for demand, rows in links.groupby("demand", sort=False):
        own = np.concatenate([_options_of(instance, options, centre) for centre in rows["centre"]])
        entries[str(demand)] = Entries.where_not_zero(own, change[own])
    return entries


def _options_of(instance: Instance, options: Options, centre: str) -> IntArray:
    place = list(instance.centres["centre"]).index(centre)
    return np.flatnonzero(options.centre == place).astype(np.int64)

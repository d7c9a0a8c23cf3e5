"""Public-sector PV as a part of the city."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optimize.city.instance import PV_SITING, City, with_share
from optimize.city.part import CityPart, Entries, split_budgets
from optimize.milp import FloatArray, IntArray
from optimize.pv_siting.arrays import build_arrays
from optimize.pv_siting.extraction import carried_over, extract_solution
from optimize.pv_siting.instance import Instance, load
from optimize.pv_siting.limits import derive_limits
from optimize.pv_siting.options import OptionKeys, Options, derive_chosen_options, derive_options
from optimize.pv_siting.solution import Solution
from optimize.pv_siting.stated import name_arrays
from optimize.units import DAYS_PER_MONTH, DAYS_PER_YEAR


def pv_part(city: City, goals: Sequence[str]) -> CityPart:
    """All rows of the PV programme with the whole pool in reach."""
    instance = load(with_share(city.part(PV_SITING).data, city, city.pool_cny))
    options = derive_options(instance)
    limits = derive_limits(instance, options)
    arrays = build_arrays(instance, options, limits, goals)
    money, rest = split_budgets(city, arrays.elastic, "budget")
    keys = OptionKeys.of(options)
    group = np.full(arrays.milp.num_columns, -1, dtype=np.int64)
    group[arrays.chosen] = options.site

    def read_plan(x: FloatArray) -> Solution:
        chosen = np.flatnonzero(x[arrays.chosen] > 0.5)
        carried = carried_over(instance, arrays, x)
        return extract_solution(instance, *derive_chosen_options(instance, keys.take(chosen)), carried)

    def spread(values: FloatArray) -> FloatArray:
        columns = np.zeros(arrays.milp.num_columns)
        columns[arrays.chosen] = values
        return columns

    return CityPart(
        name=PV_SITING,
        milp=arrays.milp,
        objectives=arrays.objectives,
        elastic=rest,
        money=money,
        group=group,
        read_plan=read_plan,
        named=lambda: name_arrays(instance, keys, options.mix_names, arrays),
        changes=spread(limits.changes.weight),
        changes_of_nothing=limits.changes.weight_of_nothing,
        energy_mwh=spread(options.energy_mwh),
        co2_t=spread(options.co2_t),
        power_mwh=_yields(city, instance, options, arrays.chosen),
        heat_kwh=_heat(city, instance, options, arrays.chosen),
    )


def _yields(city: City, instance: Instance, options: Options, chosen: IntArray) -> dict[str, Entries]:
    """PV yield at each linked site, MWh a year."""
    return {
        site: Entries.where_not_zero(chosen[own], options.energy_mwh[own])
        for site in city.pv_at_centres["site"]
        for own in [_options_of(instance, options, site)]
    }


def _heat(
    city: City, instance: Instance, options: Options, chosen: IntArray
) -> dict[tuple[str, int], Entries]:
    """Hot water that the linked sites' own systems serve, by sink and month, kWh."""
    served = served_share(instance, options)
    needed = instance.sites["hot_water_kwh_per_a"].to_numpy(np.float64)
    entries = {}
    for sink, rows in city.shared_heat.groupby("sink", sort=False):
        own = np.concatenate([_options_of(instance, options, site) for site in rows["site"]])
        yearly = served[own] * needed[options.site[own]]
        for month, days in enumerate(DAYS_PER_MONTH, start=1):
            entries[str(sink), month] = Entries.where_not_zero(chosen[own], yearly * days / DAYS_PER_YEAR)
    return entries


def served_share(instance: Instance, options: Options) -> FloatArray:
    """Share of the site's hot water that each option serves."""
    share_of = dict(zip(instance.hot_water["hot_water"], instance.hot_water["share_served"], strict=True)) | {
        "": 0.0
    }
    by_configuration = [share_of[name] for name in instance.configurations["hot_water"]]
    by_offer = [share_of[name] for name in instance.offers["hot_water"]]
    own = np.append(np.array(by_configuration, np.float64), 0.0)[options.configuration]
    offered = np.append(np.array(by_offer, np.float64), 0.0)[options.offer]
    return np.asarray(np.where(options.offer >= 0, offered, own))


def _options_of(instance: Instance, options: Options, site: str) -> IntArray:
    place = list(instance.sites["site"]).index(site)
    return np.flatnonzero(options.site == place).astype(np.int64)

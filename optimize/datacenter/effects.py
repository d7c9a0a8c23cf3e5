"""Value, cost, yearly effect and CAPEX of every option."""

from __future__ import annotations

from typing import Any

import numpy as np

from optimize.datacenter.heat import HOURS_PER_DAY, HeatLinks
from optimize.datacenter.in_force import PlanInForce
from optimize.datacenter.instance import FloatArray, Instance
from optimize.datacenter.kinds import CLOSE, NOTHING, OFFER, STAGED
from optimize.datacenter.measures import IntArray
from optimize.datacenter.packages import KG_PER_T, L_PER_M3, LoadPath, Packages, value_per_kwh
from optimize.finance import capital_recovery_factor, discount_factor

KWH_PER_MWH = 1000.0
DAYS_PER_YEAR = 365.0
Effects = dict[str, Any]


def derive_effects(
    instance: Instance,
    columns: dict[str, IntArray],
    packages: Packages,
    links: HeatLinks,
    path: LoadPath,
    plan: PlanInForce | None,
) -> Effects:
    """Value, cost, yearly effect, CAPEX and works of every option; of what is contracted at its actual CAPEX."""
    size = len(columns["centre"])
    names = ("npv_cny", "cost_cny", "energy_mwh", "co2_t", "water_m3", "capex_first_cny", "capex_second_cny")
    effects = {name: np.zeros(size) for name in names}
    effects |= {name: np.zeros(size, np.bool_) for name in ("works_first", "works_second")}
    _add_retrofits(effects, instance, columns, packages, path)
    _add_heat(effects, instance, columns, packages, links, path)
    _add_closures(effects, instance, columns, path)
    _add_offers(effects, instance, columns)
    if plan is not None:
        _take_actual_capex(effects, instance, columns, packages, links, path, plan)
    return effects


def _grid_factor(instance: Instance) -> float:
    """tCO2 per kWh."""
    return float(instance.parameters["emissions.grid_kg_co2_per_kwh"]) / KG_PER_T


def _add_retrofits(
    effects: Effects,
    instance: Instance,
    columns: dict[str, IntArray],
    packages: Packages,
    path: LoadPath,
) -> None:
    """Packages and staged packages: +first from year, -first +second from second_year."""
    worth = value_per_kwh(instance)
    water_price = instance.setting("water_price_cny_per_m3") / L_PER_M3

    def add(rows: IntArray, package: IntArray, year: IntArray, sign: float) -> None:
        centre = columns["centre"][rows]
        value = worth[centre] * packages.saving[package] - water_price * packages.water[package]
        cost = packages.annual_cny[package] * path.annuity[year]
        saved_kwh = packages.saving[package] * path.last_kwh[centre]
        effects["npv_cny"][rows] += sign * (value * path.energy_pv[centre, year] - cost)
        effects["cost_cny"][rows] += sign * cost
        effects["energy_mwh"][rows] += sign * saved_kwh / KWH_PER_MWH
        effects["co2_t"][rows] += sign * saved_kwh * _grid_factor(instance)
        effects["water_m3"][rows] += sign * packages.water[package] * path.last_kwh[centre] / L_PER_M3

    rows = np.flatnonzero(columns["first"] >= 0)
    first = columns["first"][rows]
    add(rows, first, columns["year"][rows], 1.0)
    effects["capex_first_cny"][rows] = packages.capex_cny[first]
    effects["works_first"][rows] = packages.works[first]
    rows = np.flatnonzero(columns["kind"] == STAGED)
    first, second = columns["first"][rows], columns["second"][rows]
    late = columns["second_year"][rows]
    add(rows, first, late, -1.0)
    add(rows, second, late, 1.0)
    effects["capex_second_cny"][rows] = packages.capex_cny[second] - packages.capex_cny[first]
    added = packages.mask[second] & ~packages.mask[first]
    endangering = sum(1 << bit for bit, weeks in enumerate(instance.measures["downtime_weeks"]) if weeks > 0)
    effects["works_second"][rows] = (added & endangering) != 0


def _add_heat(
    effects: Effects,
    instance: Instance,
    columns: dict[str, IntArray],
    packages: Packages,
    links: HeatLinks,
    path: LoadPath,
) -> None:
    """Value and cost of the heat link, from the year in which the heat measure is built."""
    rows = np.flatnonzero(columns["link"] >= 0)
    link = columns["link"][rows]
    at_once = packages.heat[columns["first"][rows]]
    start = np.where(at_once, columns["year"][rows], columns["second_year"][rows])
    effects["npv_cny"][rows] += links.npv_per_annuity[link] * path.annuity[start]
    effects["cost_cny"][rows] += links.annual_cny[link] * path.annuity[start]
    effects["energy_mwh"][rows] -= links.electricity_kwh_per_year[link] / KWH_PER_MWH
    effects["co2_t"][rows] += links.co2_t_per_year[link]
    effects["capex_first_cny"][rows] += np.where(at_once, links.capex_cny[link], 0.0)
    effects["capex_second_cny"][rows] += np.where(at_once, 0.0, links.capex_cny[link])


def _add_closures(
    effects: Effects,
    instance: Instance,
    columns: dict[str, IntArray],
    path: LoadPath,
) -> None:
    """Closing: the centre's energy, water and upkeep end; the host's energy, water and fee begin."""
    rows = np.flatnonzero(columns["kind"] == CLOSE)
    centre, year = columns["centre"][rows], columns["year"][rows]
    centres = instance.centres
    hosts = {
        name: instance.hosts[name].to_numpy(np.float64)[columns["host"][rows]]
        for name in (
            "pue", "wue_l_per_kwh", "consolidation_ratio", "hosting_fee_cny_per_kw_year",
            "migration_fixed_cny", "migration_cny_per_kw", "migration_life_years",
        )
    }  # fmt: skip
    ratio = hosts["consolidation_ratio"]
    saving = instance.pue_before[centre] - ratio * hosts["pue"]
    water = ratio * hosts["wue_l_per_kwh"] - centres["wue_l_per_kwh"].to_numpy(np.float64)[centre]
    water_price = instance.setting("water_price_cny_per_m3") / L_PER_M3
    capex = centres["cost_factor"].to_numpy(np.float64)[centre] * (
        hosts["migration_fixed_cny"] + hosts["migration_cny_per_kw"] * instance.it_load_kw[centre]
    )
    recovery = capital_recovery_factor(instance.discount_rate, hosts["migration_life_years"])
    energy_pv, annuity = path.energy_pv[centre, year], path.annuity[year]
    fee = hosts["hosting_fee_cny_per_kw_year"] * ratio * energy_pv / (HOURS_PER_DAY * DAYS_PER_YEAR)
    cost = capex * recovery * annuity + fee
    value = value_per_kwh(instance)[centre] * saving - water_price * water
    kept = centres["site_om_cny_per_year"].to_numpy(np.float64)[centre] * annuity
    saved_kwh = saving * path.last_kwh[centre]
    effects["npv_cny"][rows] = value * energy_pv + kept - cost
    effects["cost_cny"][rows] = cost
    effects["energy_mwh"][rows] = saved_kwh / KWH_PER_MWH
    effects["co2_t"][rows] = saved_kwh * _grid_factor(instance)
    effects["water_m3"][rows] = water * path.last_kwh[centre] / L_PER_M3
    effects["capex_first_cny"][rows] = capex
    effects["works_first"][rows] = True


def _add_offers(effects: Effects, instance: Instance, columns: dict[str, IntArray]) -> None:
    rows = np.flatnonzero(columns["kind"] == OFFER)
    offers = instance.offers.iloc[columns["offer"][rows]]
    saved_kwh = offers["energy_saved_kwh_per_year"].to_numpy(np.float64)
    effects["npv_cny"][rows] = offers["npv_cny"].to_numpy(np.float64)
    effects["cost_cny"][rows] = offers["cost_cny"].to_numpy(np.float64)
    effects["energy_mwh"][rows] = saved_kwh / KWH_PER_MWH
    effects["co2_t"][rows] = saved_kwh * _grid_factor(instance)
    effects["works_first"][rows] = offers["year"].to_numpy() > 0


def _take_actual_capex(
    effects: Effects,
    instance: Instance,
    columns: dict[str, IntArray],
    packages: Packages,
    links: HeatLinks,
    path: LoadPath,
    plan: PlanInForce,
) -> None:
    """What is contracted and says what it costs: annuities, and O&M that is a share of CAPEX, go with it."""
    row = plan.frozen_row[columns["centre"]]
    actual = np.where(row >= 0, plan.actual_capex_cny[row], np.nan)
    known = np.flatnonzero(~np.isnan(actual) & (columns["kind"] != NOTHING))
    own = known[columns["kind"][known] != OFFER]
    paid = effects["capex_first_cny"][own] + effects["capex_second_cny"][own]
    bound = _bound_to_capex(effects, instance, columns, packages, links, path, own)
    # what is estimated to cost nothing is written off over the horizon
    free = paid == 0
    factor = np.where(free, 1.0, actual[own] / np.where(free, 1.0, paid))
    recovery = capital_recovery_factor(
        instance.discount_rate, np.full(len(own), float(instance.horizon_years))
    )
    more = np.where(free, actual[own] * recovery * path.annuity[columns["year"][own]], (factor - 1.0) * bound)
    effects["capex_second_cny"][own] *= factor
    effects["capex_first_cny"][own] = np.where(free, actual[own], factor * effects["capex_first_cny"][own])
    effects["cost_cny"][own] += more
    effects["npv_cny"][own] -= more
    offers = known[columns["kind"][known] == OFFER]
    names = instance.offers["offer"].to_numpy()[columns["offer"][offers]]
    for option, name in zip(offers.tolist(), names, strict=True):
        payments = instance.offer_payments[instance.offer_payments["offer"] == name]
        amount = payments["amount_cny"].to_numpy(np.float64)
        years = payments["year"].to_numpy(np.float64) - instance.base_year
        present = float(amount @ discount_factor(instance.discount_rate, years))
        dearer = (actual[option] / amount.sum() - 1.0) * present
        effects["cost_cny"][option] += dearer
        effects["npv_cny"][option] -= dearer


def _bound_to_capex(
    effects: Effects,
    instance: Instance,
    columns: dict[str, IntArray],
    packages: Packages,
    links: HeatLinks,
    path: LoadPath,
    rows: IntArray,
) -> FloatArray:
    """Present value of the annuities and of the O&M of these options that are no offers."""
    first, second = columns["first"][rows], columns["second"][rows]
    year, late = columns["year"][rows], columns["second_year"][rows]
    annual = np.append(packages.annual_cny, 0.0)
    begins = path.annuity[year]
    later = np.where(second >= 0, path.annuity[late], 0.0)
    bound = annual[first] * (begins - later) + annual[second] * later
    link = columns["link"][rows]
    at_once = np.append(packages.heat, False)[first]
    bound += np.append(links.annual_cny, 0.0)[link] * np.where(at_once, begins, later)
    closing = columns["kind"][rows] == CLOSE
    life = np.append(instance.hosts["migration_life_years"].to_numpy(np.float64), 1.0)[columns["host"][rows]]
    recovery = capital_recovery_factor(instance.discount_rate, life)
    return np.asarray(bound + closing * effects["capex_first_cny"][rows] * recovery * begins)

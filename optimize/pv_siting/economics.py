"""What each layout is worth and costs when built in a given year, and (P11) whether an investor takes it.

Effects of an installation built in investment year t (0 = base year) start in year t + 1 and run
to the horizon; its assets are replaced like for like, so each is an annuity stream
(`finance.present_cost_of_asset`).  Generation declines by ``first_year_degradation`` in its first
year and ``degradation_per_a`` in each later one, and starts again when modules are replaced.

Whose money: with own funds the public sector gets everything.  Under an energy-management contract
the investor pays CAPEX and O&M and gets export, subsidy and the host's payments for
``contract_years``; the public sector keeps the discount on the tariff and the avoided CO2.  What
remains after the contract is not counted (it would only add to the plan's value).  Generation
subsidies come from a fund outside these budgets and count as income.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.finance import annuity_factor, discount_factor, present_cost_of_asset
from optimize.pv_siting.energy import Energy
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.layouts import Layouts, gather
from optimize.pv_siting.site_codes import positions

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def degraded_share(instance: Instance, age: FloatArray) -> FloatArray:
    """Generation in year ``age`` (1 = first) of a module's life, relative to new."""
    pv = instance.pv
    return np.asarray((1.0 - pv.first_year_degradation) * (1.0 - pv.degradation_per_a) ** (age - 1.0))


def degraded_annuity(instance: Instance, rate: float, life_years: FloatArray, num_years: float) -> FloatArray:
    """Present value, at commissioning, of 1 kWh/a (when new) worth 1 CNY over ``num_years``."""
    years = np.arange(1.0, np.floor(num_years) + 1.0)

    def of_lives(lives: FloatArray) -> FloatArray:
        age = np.floor((years - 1.0) % lives[:, None]) + 1.0
        return np.asarray(degraded_share(instance, age) @ discount_factor(rate, years))

    return _by_life(life_years, of_lives)


def _by_life(life_years: FloatArray, figure: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """``figure`` of each life; catalogues know few lives, so each is worked out once."""
    code, lives = pd.factorize(life_years)
    return np.asarray(figure(lives)[code])


@dataclass(frozen=True)
class Economics:
    """Figures of each layout that do not depend on the year it is built in.

    CAPEX in CNY of the base year, split into PV, storage and hot water with their lives;
    yearly sums in CNY/a.  ``energy_cny_a`` and ``co2_kg_a`` decline with the modules.
    """

    capex_cny: FloatArray
    life_years: FloatArray
    opex_cny_a: FloatArray
    energy_cny_a: FloatArray
    used_cny_a: FloatArray
    exported_cny_a: FloatArray
    subsidy_cny_a: FloatArray
    steady_income_cny_a: FloatArray
    other_income_cny_a: FloatArray
    generation_co2_kg_a: FloatArray
    heat_co2_kg_a: FloatArray

    @property
    def module_life_years(self) -> FloatArray:
        return self.life_years[:, 0]


def derive_economics(instance: Instance, layouts: Layouts, energy: Energy) -> Economics:
    """CAPEX (columns PV, storage, hot water), lives and yearly sums of each layout."""
    kinds, storages, heat = instance.kinds, instance.storages, instance.hot_water
    kind, storage, system = layouts.kind, layouts.storage, layouts.hot_water
    factor = instance.sites["cost_factor"].to_numpy(np.float64)[layouts.site]
    capex = np.stack(
        [
            gather(kinds, "capex_fixed_cny", kind) + gather(kinds, "capex_cny_per_kw", kind) * layouts.kw,
            gather(storages, "capex_fixed_cny", storage)
            + gather(storages, "capex_cny_per_kwh", storage) * layouts.storage_kwh,
            gather(heat, "capex_fixed_cny", system)
            + gather(heat, "capex_cny_per_kwh", system) * layouts.heat_kwh,
        ],
        axis=1,
    )
    opex = (
        gather(kinds, "opex_cny_per_kw_a", kind) * layouts.kw
        + gather(storages, "opex_cny_per_kwh_a", storage) * layouts.storage_kwh
        + gather(heat, "opex_share", system) * capex[:, 2] * factor
    )
    tariff_class = instance.site_codes.tariff[layouts.site]
    tariff = gather(instance.tariffs, "price_cny_per_kwh", tariff_class)
    subsidy = np.maximum(
        gather(kinds, "subsidy_cny_per_kwh", kind),
        gather(instance.tariffs, "subsidy_cny_per_kwh", tariff_class),
    )
    per_kwh = gather(heat, "electricity_kwh_per_kwh", system)
    served = (system >= 0) * layouts.heat_kwh
    other = gather(kinds, "other_income_cny_per_kw_a", kind) * layouts.kw
    used = energy.used_kwh * tariff
    exported = energy.exported_kwh * instance.pv.feed_in_cny_per_kwh * (kind >= 0)
    horizon = float(instance.horizon_years)
    return Economics(
        capex_cny=capex * factor[:, None],
        life_years=np.stack(
            [
                gather(kinds, "life_years", kind, horizon),
                gather(storages, "life_years", storage, horizon),
                gather(heat, "life_years", system, horizon),
            ],
            axis=1,
        ),
        opex_cny_a=opex,
        energy_cny_a=used + exported,
        used_cny_a=used,
        exported_cny_a=exported,
        subsidy_cny_a=energy.generation_kwh * subsidy * (kind >= 0),
        steady_income_cny_a=other + served * (instance.pv.hot_water_price_cny_per_kwh - per_kwh * tariff),
        other_income_cny_a=other,
        generation_co2_kg_a=energy.generation_kwh * instance.grid_kg_co2_per_kwh,
        heat_co2_kg_a=served
        * (instance.pv.hot_water_kg_co2_per_kwh - per_kwh * instance.grid_kg_co2_per_kwh),
    )


def at_actual_costs(instance: Instance, layouts: Layouts, economics: Economics) -> Economics:
    """The figures with the CAPEX of what is contracted as it is in fact; its parts share it as estimated.

    O&M that is a share of CAPEX goes with it.
    Offers are not asked: their payments are their CAPEX (`offer_payments_cny`).
    """
    plan = instance.in_force
    if plan is None:
        return economics
    row = np.where(layouts.offer < 0, plan.frozen_row(layouts.site), -1)
    actual = np.where(row >= 0, plan.actual_capex_cny[row], np.nan)
    known = np.flatnonzero(~np.isnan(actual))
    in_base_year = actual[known] / (1.0 + instance.pv.capex_change_per_a) ** plan.year[row[known]]
    estimated = economics.capex_cny[known].sum(axis=1)
    capex = economics.capex_cny.copy()
    # what is estimated to cost nothing has no shares: PV, or else the hot water, takes it all
    main = np.where(layouts.kind[known] >= 0, 0, 2)
    alone = np.zeros((len(known), capex.shape[1]))
    alone[np.arange(len(known)), main] = 1.0
    share = np.where(
        estimated[:, None] > 0, capex[known] / np.where(estimated > 0, estimated, 1.0)[:, None], alone
    )
    capex[known] = share * in_base_year[:, None]
    of_capex = gather(instance.hot_water, "opex_share", layouts.hot_water)
    opex = economics.opex_cny_a + of_capex * (capex[:, 2] - economics.capex_cny[:, 2])
    return replace(economics, capex_cny=capex, opex_cny_a=opex)


def offer_payments_cny(instance: Instance) -> FloatArray:
    """Payments of the offers, shape (offer_payments,); a contracted offer's at its actual CAPEX."""
    payments = instance.offer_payments
    amount = payments["amount_cny"].to_numpy(np.float64)
    plan = instance.in_force
    if plan is None:
        return amount
    taken = np.flatnonzero((plan.offer >= 0) & ~np.isnan(plan.actual_capex_cny))
    offer = positions(instance.offers["offer"], payments["offer"])
    total = np.bincount(offer, amount, minlength=len(instance.offers))
    factor = np.ones(len(instance.offers))
    factor[plan.offer[taken]] = plan.actual_capex_cny[taken] / total[plan.offer[taken]]
    return np.asarray(amount * factor[offer])


def price_factor(instance: Instance, year: int) -> float:
    """CAPEX in investment year ``year`` relative to the base year."""
    return float((1.0 + instance.pv.capex_change_per_a) ** year)


def benefit_cny(instance: Instance, economics: Economics, year: int) -> FloatArray:
    """Present value of everything an installation built in ``year`` brings, O&M not deducted."""
    rate, horizon = instance.discount_rate, instance.horizon_years
    built = float(discount_factor(rate, year))
    life = economics.module_life_years
    whole = degraded_annuity(instance, rate, life, horizon - year)
    subsidised = degraded_annuity(instance, rate, life, min(instance.pv.subsidy_years, horizon - year))
    steady = float(annuity_factor(rate, horizon - year))
    carbon = instance.carbon_cny_per_t / 1000.0
    return np.asarray(
        built
        * (
            (economics.energy_cny_a + carbon * economics.generation_co2_kg_a) * whole
            + economics.subsidy_cny_a * subsidised
            + (economics.steady_income_cny_a + carbon * economics.heat_co2_kg_a) * steady
        )
    )


def operation_cny(instance: Instance, economics: Economics, year: int) -> FloatArray:
    """Present value of O&M of an installation built in ``year``."""
    rate = instance.discount_rate
    years = annuity_factor(rate, instance.horizon_years - year)
    return np.asarray(economics.opex_cny_a * float(years) * float(discount_factor(rate, year)))


def asset_cny(instance: Instance, economics: Economics, year: int) -> FloatArray:
    """Present value of the annuities of all assets of an installation built in ``year``."""
    rate, horizon = instance.discount_rate, float(instance.horizon_years)
    return _annuitised(economics, lambda lives: present_cost_of_asset(rate, lives, float(year), horizon)) * (
        price_factor(instance, year)
    )


def _annuitised(economics: Economics, figure: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """CAPEX of PV, storage and hot water, each times the ``figure`` of its life, summed."""
    total = np.zeros(len(economics.capex_cny))
    for part in range(economics.capex_cny.shape[1]):
        total += economics.capex_cny[:, part] * _by_life(economics.life_years[:, part], figure)
    return total


def contract_is_bankable(instance: Instance, economics: Economics, year: int) -> BoolArray:
    """(P11) Whether the investor's net present value at its hurdle rate is not negative.

    The host pays ``(1 - host_discount)`` of its tariff, hence never more than the tariff.
    """
    pv = instance.pv
    rate, years = pv.emc_hurdle_rate, float(pv.emc_contract_years)
    life = economics.module_life_years
    income = (
        economics.used_cny_a * (1.0 - pv.emc_host_discount) + economics.exported_cny_a
    ) * degraded_annuity(instance, rate, life, years)
    income = income + economics.subsidy_cny_a * degraded_annuity(
        instance, rate, life, min(float(pv.subsidy_years), years)
    )
    income = income + (economics.other_income_cny_a - economics.opex_cny_a) * float(
        annuity_factor(rate, years)
    )
    # Assets that outlive the contract are paid in full within it, the others are replaced.
    outlay = _annuitised(
        economics, lambda lives: present_cost_of_asset(rate, np.minimum(lives, years), 0.0, years)
    )
    return np.asarray(income >= outlay * price_factor(instance, year))


def contract_value_cny(instance: Instance, economics: Economics, year: int) -> FloatArray:
    """Public sector's present value of a contract signed in ``year``."""
    rate = instance.discount_rate
    years = min(instance.pv.emc_contract_years, instance.horizon_years - year)
    yearly = (
        economics.used_cny_a * instance.pv.emc_host_discount
        + economics.generation_co2_kg_a * instance.carbon_cny_per_t / 1000.0
    )
    stream = degraded_annuity(instance, rate, economics.module_life_years, years)
    return np.asarray(yearly * stream * float(discount_factor(rate, year)))

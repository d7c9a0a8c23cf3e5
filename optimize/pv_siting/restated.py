"""The options of an instance under other figures: what each is then worth, and who then pays what.

Nothing is chosen anew: the options are those the instance offers with its own figures, also where other
figures would let an option drop out (an investor's return, a roof too small for the hot water).
"""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from optimize.funding import split_capex
from optimize.programme import OptionPayments, RestatedOptions
from optimize.pv_siting import economics as money
from optimize.pv_siting.energy import Curves, derive_energy
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.layouts import Layouts, derive_layouts, gather
from optimize.pv_siting.options import OptionKeys, Options, derive_options, source_names
from optimize.pv_siting.schema import EMC, HOT_WATER_PROJECT, OWN_LEVEL
from optimize.warm_start import match_rows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_ROUNDING = 1e-9  # as in `layouts`: keeps 29.999999999 from being rounded down to 29


def restate_options(instance: Instance, goals: tuple[str, ...]) -> RestatedOptions:
    """The options of ``instance`` for instances that differ in costs, yields, prices and demand."""
    restated = _Restated(instance, derive_options(instance))
    return RestatedOptions(restated.npv_cny, restated.payments)


class _Restated:
    def __init__(self, instance: Instance, options: Options) -> None:
        self._instance, self._options = instance, options
        self._keys = OptionKeys.of(options)

    @cached_property
    def _layouts(self) -> tuple[Layouts, IntArray]:
        """The layouts the options are of, and which of them each option is."""
        layouts, keys = derive_layouts(self._instance), self._keys
        whole = [np.asarray(k, np.int64) for k in (keys.site, keys.configuration, keys.offer)]
        of_option = match_rows((layouts.site, layouts.configuration, layouts.offer), whole)
        used, position = np.unique(of_option, return_inverse=True)
        return layouts.take(used), position

    @cached_property
    def _curves(self) -> Curves:
        return Curves(self._instance)

    @cached_property
    def _offered(self) -> IntArray:
        """Sites with offers, ascending."""
        return np.flatnonzero(self._instance.site_codes.offered)

    def npv_cny(self, other: Instance) -> FloatArray:
        """Present value of every option, CNY, shape (options,)."""
        figures, layout, keys = self._economics(other), self._layouts[1], self._keys
        by_contract = np.asarray(keys.mix) == self._options.mix_names.index(EMC)
        npv = np.zeros(len(layout))
        for year in range(other.num_years):
            rows = np.flatnonzero((keys.year == year) & (keys.offer < 0))
            own = money.benefit_cny(other, figures, year) - (
                money.asset_cny(other, figures, year) + money.operation_cny(other, figures, year)
            )
            contract = money.contract_value_cny(other, figures, year)
            at = layout[rows]
            npv[rows] = np.where(by_contract[rows], contract[at], own[at])
        self._add_offers(other, npv)
        return npv

    def _economics(self, other: Instance) -> money.Economics:
        """Figures of the layouts, whatever year they are built in."""
        layouts = _refitted(other, self._layouts[0])
        figures = money.derive_economics(other, layouts, derive_energy(other, layouts, self._curves))
        return money.at_actual_costs(other, layouts, figures)

    def _add_offers(self, other: Instance, npv: FloatArray) -> None:
        """Offers: few, and with payments of their own; derived whole."""
        rows = np.flatnonzero(self._keys.offer >= 0)
        if not len(rows):
            return
        offered = derive_options(other, self._offered)
        found = match_rows((offered.offer.astype(np.int64),), (self._keys.offer[rows].astype(np.int64),))
        npv[rows] = offered.npv_cny[found]

    def payments(self, other: Instance) -> OptionPayments:
        """Who pays what for every option; an offer is a fixed price."""
        options, sources = self._options, source_names(self._instance)
        by_year = np.array([money.price_factor(other, year) for year in range(other.num_years)])
        capex = self._economics(other).capex_cny.sum(axis=1)[self._layouts[1]] * by_year[options.year]
        rows = np.flatnonzero((options.offer < 0) & (options.mix != options.mix_names.index(EMC)))
        parts = [self._paid(other, rows[some], kind, mix, capex) for some, kind, mix in self._splits(rows)]
        is_offer = options.offer[options.payment_option] >= 0
        parts.append(
            (
                options.payment_option[is_offer].astype(np.int64),
                options.payment_source[is_offer].astype(np.int64),
                options.payment_year[is_offer].astype(np.int64),
                options.payment_cny[is_offer],
            )
        )
        option, source, year, amount = (np.concatenate([part[k] for part in parts]) for k in range(4))
        return OptionPayments(option, source, year + other.base_year, amount, sources)

    def _splits(self, rows: IntArray) -> list[tuple[IntArray, str, str]]:
        """Positions in ``rows`` of each project kind and mix."""
        options, instance = self._options, self._instance
        layouts, layout = self._layouts
        kinds = [*instance.kinds["kind"], HOT_WATER_PROJECT]
        kind = layouts.kind[layout[rows]]
        mix = np.asarray(options.mix, np.int64)[rows]
        return [
            (np.flatnonzero((kind == k) & (mix == m)), kinds[k], options.mix_names[m])
            for k in np.unique(kind)
            for m in np.unique(mix[kind == k])
        ]

    def _paid(
        self, other: Instance, rows: IntArray, kind: str, mix: str, capex_cny: FloatArray
    ) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
        options, codes = self._options, self._instance.site_codes
        site = options.site[rows]
        if mix != OWN_LEVEL:
            paid = split_capex(other.funding, kind, mix, capex_cny[rows])
        else:
            paid = np.zeros((len(rows), 3))
            paid[np.arange(len(rows)), np.where(codes.municipal[site], 0, 1)] = capex_cny[rows]
        owner = len(self._instance.districts) + 1
        purses = np.stack([np.zeros(len(rows)), codes.district[site] + 1, np.full(len(rows), owner)], axis=1)
        at, column = np.nonzero(paid)
        return (
            rows[at],
            purses[at, column].astype(np.int64),
            np.asarray(options.year, np.int64)[rows][at],
            paid[at, column],
        )


def _refitted(other: Instance, layouts: Layouts) -> Layouts:
    """The layouts with another demand for hot water, which leaves PV another part of the roof."""
    served = gather(other.hot_water, "share_served", layouts.hot_water)
    heat_kwh = other.sites["hot_water_kwh_per_a"].to_numpy(np.float64)[layouts.site] * served
    kw = _fitting_kw(other, layouts, heat_kwh)
    relief = gather(other.storages, "hosting_relief_share", layouts.storage)
    return dataclasses.replace(
        layouts,
        kw=kw,
        storage_kwh=kw * gather(other.storages, "kwh_per_kw", layouts.storage),
        heat_kwh=heat_kwh,
        hosting_kw=kw * (1.0 - relief),
    )


def _fitting_kw(other: Instance, layouts: Layouts, heat_kwh: FloatArray) -> FloatArray:
    """Capacity beside the hot water on the same roof, kW; of all other layouts what it was."""
    on_roof = np.append((other.kinds["surface"] == "roof").to_numpy(np.bool_), False)[layouts.kind]
    shared = np.flatnonzero(on_roof & (layouts.hot_water >= 0) & (layouts.configuration >= 0))
    if other.in_force is not None:  # a capacity that is contracted stays
        row = other.in_force.frozen_row(layouts.site[shared])
        shared = shared[np.isnan(np.where(row >= 0, other.in_force.kw[row], np.nan))]
    configuration = layouts.configuration[shared]
    per_kwh = gather(other.hot_water, "roof_m2_per_kwh", layouts.hot_water[shared])
    free_m2 = (
        other.sites["usable_roof_m2"].to_numpy(np.float64)[layouts.site[shared]] - heat_kwh[shared] * per_kwh
    )
    wanted = gather(other.configurations, "fill_share", configuration) * free_m2
    wanted /= gather(other.kinds, "m2_per_kw", layouts.kind[shared])
    largest = gather(other.configurations, "max_kw", configuration)
    wanted = np.where(np.isnan(largest), wanted, np.minimum(wanted, largest))
    step = other.pv.kw_step
    kw = layouts.kw.copy()
    kw[shared] = np.maximum(np.floor(wanted / step + _ROUNDING), 0.0) * step
    return kw

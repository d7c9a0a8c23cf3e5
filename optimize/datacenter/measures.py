"""Admissible sets of measures, enumerated exactly, and the effect of each set (R1).

Sets are bit masks over the rows of the measures table.  Centres that may use the same measures
form a class and share one enumeration.  Effects multiply: what a set leaves of a component is the
product of ``1 - saving_share`` over its measures, evaluated and not linearised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.datacenter.instance import FloatArray, Instance, rows_of, split_list
from optimize.errors import UsageError
from optimize.finance import capital_recovery_factor

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

COMPONENT_ORDER = ("cooling", "power", "other", "it")
MOST_MEASURES = 62
MOST_SETS_PER_CLASS = 1 << 21


@dataclass(frozen=True)
class MeasureSets:
    """Sets of measures and their effect; one row per set, columns per kW of IT load where said.

    Attributes
    ----------
    mask : shape (P,), bit m is set where measure m belongs to the set.
    left : shape (P, 4), share of cooling, power, other and IT energy that is left.
    capex_fixed, capex_per_kw : CNY, CNY/kW.
    annual_fixed, annual_per_kw : yearly annuity of the CAPEX over each measure's own life plus O&M.
    weeks_fixed, weeks_per_kw : shape (P, number of trades), contractor weeks.
    water_change : L per kWh of IT energy.
    min_residual_life : years, the largest of the measures'.
    works, advanced, battery, heat, leaves_scope : what one of the measures does.
    """

    mask: IntArray
    left: FloatArray
    capex_fixed: FloatArray
    capex_per_kw: FloatArray
    annual_fixed: FloatArray
    annual_per_kw: FloatArray
    weeks_fixed: FloatArray
    weeks_per_kw: FloatArray
    water_change: FloatArray
    min_residual_life: FloatArray
    works: BoolArray
    advanced: BoolArray
    battery: BoolArray
    heat: BoolArray
    leaves_scope: BoolArray

    def __len__(self) -> int:
        return len(self.mask)

    def take(self, rows: IntArray) -> MeasureSets:
        return MeasureSets(**{name: values[rows] for name, values in vars(self).items()})


def trades_of(instance: Instance) -> list[str]:
    """Trades whose weeks are limited (those with a row in the trades table), sorted."""
    return sorted(set(instance.trades["trade"]))


def derive_eligibility(instance: Instance) -> IntArray:
    """Mask of the measures each centre may use in some investment year; shape (centres,).

    [DC-SAFE]: tier, residual life, cooling type, size and power density as the table asks.
    """
    centres, measures = instance.centres, instance.measures
    if len(measures) > MOST_MEASURES:
        raise UsageError(f"expected at most {MOST_MEASURES} measures, found {len(measures)}")
    load = instance.it_load_kw
    racks = centres["rack_count"].to_numpy(np.float64)
    density = np.where(racks > 0, load / np.maximum(racks, 1.0), np.inf)
    tier = centres["tier"].to_numpy()
    life = centres["residual_life_years"].to_numpy(np.float64)
    cooling = centres["cooling_type"].to_numpy()
    eligible = np.zeros(len(centres), dtype=np.int64)
    for bit, row in enumerate(rows_of(measures)):
        fits = (tier >= row.min_tier) & (tier <= row.max_tier)
        fits &= life >= row.min_residual_life_years
        fits &= (load >= row.min_it_load_kw) & (density >= row.min_kw_per_rack)
        if not np.isnan(row.max_it_load_kw):
            fits &= load <= row.max_it_load_kw
        types = split_list(str(row.cooling_types))
        if types:
            fits &= np.isin(cooling, types)
        eligible |= fits.astype(np.int64) << bit
    return eligible


def exclusion_masks(measures: pd.DataFrame) -> list[int]:
    """One mask per exclusion group; a package holds at most one of its measures."""
    groups: dict[str, int] = {}
    for bit, text in enumerate(measures["exclusion_groups"]):
        for group in split_list(text):
            groups[group] = groups.get(group, 0) | 1 << bit
    return list(groups.values())


def enumerate_masks(measures: pd.DataFrame, eligible: int) -> IntArray:
    """All admissible non-empty sets of the eligible measures.

    Sets grow measure by measure and are cut where two of an exclusion group meet (which no
    further measure can mend); prerequisites are tested on complete sets.

    Raises
    ------
    UsageError : more than MOST_SETS_PER_CLASS sets; exclusion groups would have to tell apart.
    """
    exclusions = exclusion_masks(measures)
    sets = np.zeros(1, dtype=np.int64)
    for bit in range(len(measures)):
        if not eligible >> bit & 1:
            continue
        open_to_it = np.ones(len(sets), dtype=np.bool_)
        for group in exclusions:
            if group >> bit & 1:
                open_to_it &= (sets & group) == 0
        sets = np.concatenate([sets, sets[open_to_it] | (1 << bit)])
        if len(sets) > MOST_SETS_PER_CLASS:
            raise UsageError(
                f"expected at most {MOST_SETS_PER_CLASS} admissible sets of measures, found more: "
                "give measures of one kind a common exclusion group"
            )
    names = list(measures["measure"])
    for bit, text in enumerate(measures["requires"]):
        needed = sum(1 << names.index(name) for name in split_list(text))
        if needed and eligible >> bit & 1:
            sets = sets[((sets >> bit & 1) == 0) | ((sets & needed) != 0)]
    return np.asarray(sets[sets != 0])


def derive_sets(instance: Instance, masks: IntArray) -> MeasureSets:
    """Effect, cost and needs of each set of measures."""
    measures = instance.measures
    member = ((masks[:, None] >> np.arange(len(measures))) & 1).astype(np.bool_)
    saving = measures["saving_share"].to_numpy(np.float64)
    acts_on = measures["acts_on"].to_numpy()
    left = np.ones((len(masks), len(COMPONENT_ORDER)))
    for bit in range(len(measures)):
        if acts_on[bit] in COMPONENT_ORDER:
            left[member[:, bit], COMPONENT_ORDER.index(acts_on[bit])] *= 1.0 - saving[bit]
    fixed = measures["fixed_capex_cny"].to_numpy(np.float64)
    per_kw = measures["capex_cny_per_kw"].to_numpy(np.float64)
    annual = measures["om_share"].to_numpy(np.float64) + capital_recovery_factor(
        instance.discount_rate, measures["life_years"].to_numpy(np.float64)
    )
    weeks_fixed, weeks_per_kw = derive_measure_weeks(instance, list(measures["measure"]))
    weight = member.astype(np.float64)

    def largest(column: str) -> FloatArray:
        values = measures[column].to_numpy(np.float64)
        return np.asarray(np.where(member, values, 0.0).max(axis=1, initial=0.0))

    def any_of(column: str) -> BoolArray:
        return np.asarray((member & measures[column].to_numpy(np.bool_)).any(axis=1))

    return MeasureSets(
        mask=masks,
        left=left,
        capex_fixed=weight @ fixed,
        capex_per_kw=weight @ per_kw,
        annual_fixed=weight @ (fixed * annual),
        annual_per_kw=weight @ (per_kw * annual),
        weeks_fixed=weight @ weeks_fixed,
        weeks_per_kw=weight @ weeks_per_kw,
        water_change=weight @ measures["water_change_l_per_kwh"].to_numpy(np.float64),
        min_residual_life=largest("min_residual_life_years"),
        works=largest("downtime_weeks") > 0.0,
        advanced=any_of("advanced"),
        battery=any_of("second_life_battery"),
        heat=any_of("recovers_heat"),
        leaves_scope=any_of("leaves_limit_scope"),
    )


def derive_measure_weeks(instance: Instance, names: list[str]) -> tuple[FloatArray, FloatArray]:
    """Fixed weeks and weeks per kW of each named measure; shapes (names, limited trades)."""
    trades = trades_of(instance)
    fixed = np.zeros((len(names), len(trades)))
    per_kw = np.zeros_like(fixed)
    for row in rows_of(instance.measure_trades):
        if row.measure in names and row.trade in trades:
            cell = names.index(row.measure), trades.index(row.trade)
            fixed[cell] += row.fixed_weeks
            per_kw[cell] += row.weeks_per_100_kw / 100.0
    return fixed, per_kw

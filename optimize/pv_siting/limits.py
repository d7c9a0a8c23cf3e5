"""What the rows of the model ask for: limits and targets as arrays over the options.

Both ways of solving (`formulation`, `fast`) state their rows from these arrays; `checker` does not
see them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.clauses import REVISE, ClauseTarget
from optimize.pv_siting.changes import Changes, derive_changes
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.layouts import derive_hosting_left
from optimize.pv_siting.options import Options, derive_site_type_flags, source_names
from optimize.pv_siting.site_codes import positions

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
CodeArray = NDArray[np.int32]

# Clauses by the equation that states them.
CAPACITY, LEAD, FUND = "PV-50MW", "PV-LEAD", "PV-FUND"
COUNTS = ("PV-BIPV", "PV-CARPORT", "PV-HEAT", "PV-FLEX")
CONTRACTS = "PV-EMC"
EFFECTS = ("PV-ENERGY", "PV-CO2")
# Goals of which less is better.
MINIMISED = ("cost", "changes")


@dataclass(frozen=True)
class TargetRow:
    """``coefficient @ option_chosen + per_unit * shortfall >= side`` (``<=`` and minus for a cap).

    ``shortfall`` is in the clause's unit and exists for soft clauses only; ``shortfall_bound`` is
    an upper bound no plan exceeds.
    """

    target: ClauseTarget
    coefficient: FloatArray
    side: float
    per_unit: float
    shortfall_bound: float

    @property
    def is_cap(self) -> bool:
        return self.target.clause.sense == "<="


@dataclass(frozen=True)
class Requirement:
    """A site that must get one of its options, and why."""

    site: int
    reason: str


@dataclass(frozen=True)
class Limits:
    """Attributes

    budget_cny : shape (sources, years), inf: unlimited; no less than what is contracted takes.
    limited_sources : sources that some option draws on and that are limited in some year.
    feeder, substation : position for each option, -1: none or never binding.
    feeder_left_kw, substation_left_kw : by position, no less than what is contracted takes.
    installer_kw : shape (years,), inf: unlimited; no less than what is contracted takes.
    first_side_kw : shape (years,), right side of the order rule.
    minimum_district, minimum_kw, minimum_year : rows of (P9); year as investment year.
    district : district of each option.
    first : shape (n,), True for options at sites that go first.
    targets : rows of the clauses the instance asks for.
    required : sites that must get an option.
    together, not_together : pairs of site positions, shape (k, 2).
    changes : what the options change of the plan in force.
    """

    budget_cny: FloatArray
    limited_sources: IntArray
    feeder: CodeArray
    feeder_left_kw: FloatArray
    substation: CodeArray
    substation_left_kw: FloatArray
    installer_kw: FloatArray
    first_side_kw: FloatArray
    minimum_district: IntArray
    minimum_kw: FloatArray
    minimum_year: IntArray
    district: CodeArray
    first: NDArray[np.bool_]
    targets: tuple[TargetRow, ...]
    required: tuple[Requirement, ...]
    together: IntArray
    not_together: IntArray
    changes: Changes


def derive_limits(instance: Instance, options: Options) -> Limits:
    """All sides and coefficients of the rows.

    What is contracted is a fact: where it alone takes more of a budget, a feeder, a substation or the
    installers' year than there is, that much is there, and nothing for others.
    """
    changes = derive_changes(instance, options)
    feeder_of_site = instance.site_codes.feeder
    substation_of_feeder = np.append(
        positions(instance.substations["substation"], instance.feeders["substation"]), -1
    ).astype(np.int32)
    feeder_left, substation_left = derive_hosting_left(instance)
    if changes.frozen.any():
        taken = np.where(changes.frozen, options.hosting_kw, 0.0)
        feeder = feeder_of_site[options.site]
        feeder_left = np.maximum(feeder_left, _sum_by(feeder, taken, len(feeder_left)))
        substation_left = np.maximum(
            substation_left, _sum_by(substation_of_feeder[feeder], taken, len(substation_left))
        )
    budget = budgets_with_contracts(instance, options)
    minima = instance.district_minima
    by_year = minima["by_year"].to_numpy(np.int64)
    return Limits(
        budget_cny=budget,
        limited_sources=np.flatnonzero(
            np.isfinite(budget).any(axis=1) & (np.bincount(options.payment_source, minlength=len(budget)) > 0)
        ),
        feeder=_where_it_can_bind(options, feeder_of_site, feeder_left),
        feeder_left_kw=feeder_left,
        substation=_where_it_can_bind(
            options, substation_of_feeder[feeder_of_site], substation_left, feeder_of_site, feeder_left
        ),
        substation_left_kw=substation_left,
        installer_kw=_installers(instance, options, changes),
        first_side_kw=_first_sides(instance, options, changes),
        minimum_district=positions(instance.districts["district"], minima["district"]),
        minimum_kw=minima["capacity_kw"].to_numpy(np.float64),
        minimum_year=np.where(by_year > 0, by_year - instance.base_year, instance.num_years - 1),
        district=instance.site_codes.district[options.site],
        first=derive_site_type_flags(instance)[1][options.site],
        targets=tuple(
            _target_row(instance, options, changes, target) for target in instance.targets.values()
        ),
        required=_requirements(instance),
        together=_pairs(instance, "together"),
        not_together=_pairs(instance, "not_together"),
        changes=changes,
    )


def _sum_by(group: CodeArray, values: FloatArray, size: int) -> FloatArray:
    """Sums by group; -1 is no group."""
    return np.asarray(np.bincount(group + 1, values, minlength=size + 1)[1:], dtype=np.float64)


def budgets_by_source(instance: Instance) -> FloatArray:
    """CNY, shape (sources, years); infinite where a source has none."""
    names = source_names(instance)
    budget = np.zeros((len(names), instance.num_years))
    if not (instance.budgets["source"] == "owner").any():
        budget[-1] = np.inf
    rows = instance.budgets[instance.budgets["year"].isin(instance.years)]
    source = positions(pd.Series(names), rows["source"])
    year = rows["year"].to_numpy(np.int64) - instance.base_year
    budget[source, year] = rows["amount_cny"].to_numpy(np.float64) * instance.budget_scale
    return budget


def budgets_with_contracts(instance: Instance, options: Options) -> FloatArray:
    """`budgets_by_source` where what is contracted overruns none of them.

    A year is granted what its contracts need beyond its own money and all that the years before could
    leave it, were nothing else paid.
    """
    budget = budgets_by_source(instance)
    plan = instance.in_force
    if plan is None or not plan.frozen.any():
        return budget
    frozen = plan.is_frozen(options.site[options.payment_option])
    contracted = np.zeros_like(budget)
    np.add.at(
        contracted,
        (options.payment_source[frozen], options.payment_year[frozen]),
        options.payment_cny[frozen],
    )
    kept = np.zeros(len(budget))
    for t in range(instance.num_years):
        granted = np.maximum(contracted[:, t] - budget[:, t] - kept, 0.0)
        budget[:, t] += granted
        left = budget[:, t] + kept - contracted[:, t]
        kept = instance.carry_over_share * np.where(np.isfinite(left), left, 0.0)
    return budget


def _first_sides(instance: Instance, options: Options, changes: Changes) -> FloatArray:
    """Contracts of years in which nothing can be begun anew may have broken the order."""
    side = np.zeros(instance.num_years)
    coefficient = (derive_site_type_flags(instance)[1][options.site] - instance.pv.first_share) * options.kw
    for t in range(min(instance.num_years, max(instance.first_open_year - instance.base_year, 0))):
        side[t] = min(0.0, float(coefficient[changes.frozen & (options.year <= t)].sum()))
    return side


def _installers(instance: Instance, options: Options, changes: Changes) -> FloatArray:
    capacity = np.full(instance.num_years, np.inf)
    rows = instance.installers[instance.installers["year"].isin(instance.years)]
    capacity[rows["year"].to_numpy(np.int64) - instance.base_year] = rows["capacity_kw"]
    contracted = np.bincount(
        options.year[changes.frozen], options.kw[changes.frozen], minlength=instance.num_years
    )
    return np.asarray(np.maximum(capacity, contracted))


def _where_it_can_bind(
    options: Options,
    group_of_site: CodeArray,
    left_kw: FloatArray,
    inner_of_site: CodeArray | None = None,
    inner_left_kw: FloatArray | None = None,
) -> CodeArray:
    """Group of each option; -1 where even the largest option of every site fits together.

    Of the sites of one ``inner`` group (the feeders below a substation) no more can come than that
    group has left.
    """
    largest = np.zeros(len(group_of_site))
    np.maximum.at(largest, options.site, options.hosting_kw)
    group = group_of_site
    if inner_of_site is not None and inner_left_kw is not None:
        inner = np.where(inner_of_site >= 0, inner_of_site, len(inner_left_kw) + np.arange(len(group)))
        first, of_site = np.unique(inner, return_index=True, return_inverse=True)[1:]
        room = np.concatenate([inner_left_kw, np.full(len(group), np.inf)])[inner[first]]
        largest = np.minimum(np.bincount(of_site, largest), room)
        group = group_of_site[first]
    grouped = group >= 0
    wanted = np.bincount(group[grouped], largest[grouped], minlength=len(left_kw))
    binds = np.append(wanted > left_kw, False)
    return np.where(binds[group_of_site], group_of_site, -1).astype(np.int32)[options.site]


def _target_row(instance: Instance, options: Options, changes: Changes, target: ClauseTarget) -> TargetRow:
    if target.id == REVISE:
        coefficient, side, per_unit = changes.weight, target.required - changes.weight_of_nothing, 1.0
        return _bounded(instance, options, target, coefficient, side, per_unit)
    in_time = options.year + instance.base_year <= instance.deadline(target.id)
    measure = _MEASURES[target.id](instance, options)
    if target.id == LEAD:
        coefficient = (measure - target.required) * options.kw * in_time
        side, per_unit = 0.0, instance.pv.reference_capacity_kw
    else:
        coefficient = measure * in_time
        side, per_unit = target.required, 1.0
    return _bounded(instance, options, target, coefficient, side, per_unit)


def _bounded(
    instance: Instance,
    options: Options,
    target: ClauseTarget,
    coefficient: FloatArray,
    side: float,
    per_unit: float,
) -> TargetRow:
    direction = -1.0 if target.clause.sense == "<=" else 1.0
    worst = np.zeros(len(instance.sites))
    np.minimum.at(worst, options.site, direction * coefficient)
    bound = max(direction * side - float(worst.sum()), 0.0) / per_unit
    return TargetRow(target, np.asarray(coefficient, dtype=np.float64), side, per_unit, bound)


# What one option adds to each clause, in the clause's unit (PV-LEAD: 1 at schools and hospitals).
_MEASURES: dict[str, Callable[[Instance, Options], FloatArray]] = {
    CAPACITY: lambda instance, options: options.kw,
    FUND: lambda instance, options: options.wrong_payer.astype(np.float64),
    LEAD: lambda instance, options: derive_site_type_flags(instance)[0][options.site].astype(np.float64),
    "PV-BIPV": lambda instance, options: options.bipv.astype(np.float64),
    "PV-CARPORT": lambda instance, options: options.carport.astype(np.float64),
    "PV-HEAT": lambda instance, options: options.heat.astype(np.float64),
    "PV-FLEX": lambda instance, options: options.flex.astype(np.float64),
    CONTRACTS: lambda instance, options: options.contract.astype(np.float64),
    "PV-ENERGY": lambda instance, options: options.energy_mwh,
    "PV-CO2": lambda instance, options: options.co2_t,
}


def _requirements(instance: Instance) -> tuple[Requirement, ...]:
    reasons: dict[int, str] = {}
    must = np.flatnonzero(instance.sites["must_choose"].to_numpy(np.bool_))
    reasons.update(dict.fromkeys(must.tolist(), "must choose"))
    for kind in ("force_in", "fix"):
        locked = (instance.locks["kind"] == kind).to_numpy(np.bool_)
        for site in instance.site_codes.of_lock[locked].tolist():
            reasons.setdefault(site, f"lock {kind}")
    return tuple(Requirement(site, reasons[site]) for site in sorted(reasons))


def _pairs(instance: Instance, kind: str) -> IntArray:
    rows = (instance.locks["kind"] == kind).to_numpy(np.bool_)
    codes = instance.site_codes
    return np.stack([codes.of_lock[rows], codes.of_lock_other[rows]], axis=1)

"""Warnings: what is allowed but probably not meant, and targets that supply or money cannot reach."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.errors import Fault
from optimize.pv_siting.instance import Instance, load, records
from optimize.pv_siting.layouts import Layouts, derive_hosting_left, derive_layouts, positions
from optimize.schema import InstanceData

FloatArray = NDArray[np.float64]


def find_warnings(data: InstanceData) -> list[Fault]:
    """All warnings about ``data`` (which has no faults)."""
    instance = load(data)
    layouts = derive_layouts(instance)
    return [
        *_warnings_of_grid(instance),
        *_warnings_of_sites(instance, layouts),
        *_warnings_of_locks(instance, layouts),
        *_warnings_of_capacity(instance, layouts),
        *_warnings_of_counts(instance, layouts),
        *_warnings_of_deadlines(instance),
    ]


def _warnings_of_grid(instance: Instance) -> Iterator[Fault]:
    existing = instance.sites.groupby("feeder")["existing_pv_kw"].sum()
    feeders = instance.feeders
    standing = existing.reindex(feeders["feeder"]).fillna(0.0).to_numpy(np.float64)
    for row in np.flatnonzero(standing > feeders["hosting_capacity_kw"].to_numpy()):
        yield Fault(
            "feeders", "hosting_capacity_kw", f"at least the {standing[row]:g} kW standing there",
            f"{feeders['hosting_capacity_kw'].iloc[row]:g}", "no new PV will be placed on it", row=int(row),
        )  # fmt: skip


def _warnings_of_sites(instance: Instance, layouts: Layouts) -> Iterator[Fault]:
    without = np.setdiff1d(np.arange(len(instance.sites)), layouts.site)
    if len(without):
        names = ", ".join(instance.sites["site"].iloc[without[:3]])
        yield Fault(
            "sites", "site", "something that fits each site",
            f"{len(without)} sites where nothing fits ({names}{', …' if len(without) > 3 else ''})",
            "they take no part",
        )  # fmt: skip
    offers = instance.offers
    kind = positions(instance.kinds["kind"], offers["kind"])
    on_roof = np.append((instance.kinds["surface"] == "roof").to_numpy(), False)[kind]
    m2_per_kw = np.append(instance.kinds["m2_per_kw"].to_numpy(np.float64), 0.0)[kind]
    site = positions(instance.sites["site"], offers["site"])
    roof = instance.sites["usable_roof_m2"].to_numpy(np.float64)[site]
    kw = offers["kw"].to_numpy(np.float64)
    for row in np.flatnonzero(on_roof & (kw * m2_per_kw > 1.2 * roof)):
        yield Fault("offers", "kw", f"what fits the {roof[row]:g} m2 of roof", f"{kw[row]:g}", row=int(row))


def _warnings_of_locks(instance: Instance, layouts: Layouts) -> Iterator[Fault]:
    locks = instance.locks
    out = set(locks.loc[locks["kind"] == "force_out", "id"])
    possible = set(instance.sites["site"].iloc[np.unique(layouts.site)])
    for row, lock in enumerate(records(locks)):
        if lock["kind"] not in ("force_in", "fix"):
            continue
        if lock["id"] in out:
            yield Fault("locks", "id", "one decision", f"{lock['id']} is forced in and out", row=row)
        elif lock["id"] not in possible:
            yield Fault("locks", "id", "a site where something fits", f"{lock['id']}: nothing does", row=row)


def _warnings_of_capacity(instance: Instance, layouts: Layouts) -> Iterator[Fault]:
    target = instance.targets.get("PV-50MW")
    supply = _placeable_kw(instance, layouts)
    for row, minimum in enumerate(records(instance.district_minima)):
        here = (instance.sites["district"] == minimum["district"]).to_numpy()
        if supply[here].sum() < minimum["capacity_kw"]:
            yield Fault(
                "district_minima", "capacity_kw", f"at most the {supply[here].sum():.0f} kW that fit there",
                f"{minimum['capacity_kw']:g}", row=row,
            )  # fmt: skip
    if target is None:
        return
    where = "targets.PV-50MW.required"
    total = min(float(supply.sum()), _grid_kw(instance, supply))
    if total < target.required:
        yield Fault(
            "instance.toml",
            where,
            f"at most the {total:.0f} kW that fit roofs and grid",
            f"{target.required:g}",
        )
    last = instance.deadline("PV-50MW")
    capacity = instance.installers.set_index("year")["capacity_kw"]
    years = [year for year in instance.years if year <= last]
    can_build = sum(float(capacity.get(year, np.inf)) for year in years)
    if can_build < target.required:
        yield Fault(
            "instance.toml",
            where,
            f"at most the {can_build:.0f} kW installers can build by {last}",
            f"{target.required:g}",
        )
    yield from _warnings_of_money(instance, layouts, target.required, last)


def _warnings_of_money(
    instance: Instance, layouts: Layouts, required_kw: float, last: int
) -> Iterator[Fault]:
    others_pay = instance.pv.emc_allowed or (instance.funding["source"] == "owner").any()
    if others_pay or not len(instance.kinds) or len(instance.offers):
        return
    rows = instance.budgets[(instance.budgets["year"] <= last) & (instance.budgets["source"] != "owner")]
    money = float(rows["amount_cny"].sum()) * instance.budget_scale
    cheapest = float(instance.kinds["capex_cny_per_kw"].min() * instance.sites["cost_factor"].min())
    cheapest *= min(1.0, (1.0 + instance.pv.capex_change_per_a) ** (instance.num_years - 1))
    if cheapest > 0 and money / cheapest < required_kw:
        yield Fault(
            "instance.toml", "targets.PV-50MW.required",
            f"at most the {money / cheapest:.0f} kW that budgets until {last} can pay for", f"{required_kw:g}",
        )  # fmt: skip


def _placeable_kw(instance: Instance, layouts: Layouts) -> FloatArray:
    largest = np.zeros(len(instance.sites))
    np.maximum.at(largest, layouts.site, layouts.kw)
    return largest


def _grid_kw(instance: Instance, supply: FloatArray) -> float:
    """Capacity the feeders can host when storage relieves them as far as the catalogue allows."""
    relief = float(instance.storages["hosting_relief_share"].max()) if len(instance.storages) else 0.0
    feeder = positions(instance.feeders["feeder"], instance.sites["feeder"])
    left, _ = derive_hosting_left(instance)
    known = feeder >= 0
    wanted = np.bincount(feeder[known], supply[known], minlength=len(left))
    hosted = np.minimum(wanted, left / (1.0 - relief)) if relief < 1.0 else wanted
    return float(hosted.sum() + supply[~known].sum())


def _warnings_of_counts(instance: Instance, layouts: Layouts) -> Iterator[Fault]:
    def sites_with(flags: pd.Series, position: NDArray[np.int64]) -> int:
        counted = np.append(flags.to_numpy(np.bool_), False)[position]
        return len(np.unique(layouts.site[counted]))

    every_system = pd.Series(np.ones(len(instance.hot_water), dtype=np.bool_))
    eligible = {
        "PV-BIPV": sites_with(instance.kinds["counts_bipv"], layouts.kind),
        "PV-CARPORT": sites_with(instance.kinds["counts_carport"], layouts.kind),
        "PV-FLEX": sites_with(instance.storages["counts_flex"], layouts.storage),
        "PV-HEAT": sites_with(every_system, layouts.hot_water),
    }
    for clause, count in eligible.items():
        target = instance.targets.get(clause)
        if target is not None and count < target.required:
            yield Fault(
                "instance.toml", f"targets.{clause}.required", f"at most the {count} sites where one fits",
                f"{target.required:g}",
            )  # fmt: skip
    target = instance.targets.get("PV-EMC")
    if target is not None and target.required > 0 and not instance.pv.emc_allowed:
        yield Fault(
            "instance.toml", "targets.PV-EMC.required", "pv_siting.emc.allowed = true", f"{target.required:g}"
        )


def _warnings_of_deadlines(instance: Instance) -> Iterator[Fault]:
    for clause, target in instance.targets.items():
        year = target.deadline_year
        if year is not None and year not in instance.years:
            yield Fault("instance.toml", f"targets.{clause}.deadline_year", "a year of the plan", str(year))

"""Warnings: what is allowed but probably not meant, and targets that supply or money cannot reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from optimize.errors import Fault
from optimize.pv_siting.instance import Instance, load, records
from optimize.pv_siting.layouts import derive_connection_room, derive_hosting_left, derive_layouts
from optimize.pv_siting.site_codes import positions
from optimize.schema import InstanceData

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


_SITES_PER_PART = 100_000


@dataclass(frozen=True)
class _Supply:
    """What fits at each site, shape (sites,).

    ``possible`` : something fits; ``largest_kw`` : the largest installation that does;
    ``bipv``, ``carport``, ``flex``, ``heat`` : something fits that counts for the clause.
    """

    possible: BoolArray
    largest_kw: FloatArray
    bipv: BoolArray
    carport: BoolArray
    flex: BoolArray
    heat: BoolArray


def find_warnings(data: InstanceData) -> list[Fault]:
    """All warnings about ``data`` (which has no faults)."""
    instance = load(data)
    supply = _derive_supply(instance)
    return [
        *_warnings_of_grid(instance),
        *_warnings_of_sites(instance, supply),
        *_warnings_of_locks(instance, supply),
        *_warnings_of_capacity(instance, supply),
        *_warnings_of_counts(instance, supply),
        *_warnings_of_deadlines(instance),
    ]


def _derive_supply(instance: Instance) -> _Supply:
    num_sites = len(instance.sites)
    flags = {f.name: np.zeros(num_sites, dtype=np.bool_) for f in fields(_Supply) if f.name != "largest_kw"}
    largest = np.zeros(num_sites)
    room = derive_connection_room(instance)
    counts_bipv, counts_carport = (
        np.append(instance.kinds[name].to_numpy(np.bool_), False)
        for name in ("counts_bipv", "counts_carport")
    )
    counts_flex = np.append(instance.storages["counts_flex"].to_numpy(np.bool_), False)
    for first in range(0, num_sites, _SITES_PER_PART):
        part = np.arange(first, min(first + _SITES_PER_PART, num_sites))
        layouts = derive_layouts(instance, part, room)
        np.maximum.at(largest, layouts.site, layouts.kw)
        for name, counted in (
            ("possible", np.ones(len(layouts), dtype=np.bool_)),
            ("bipv", counts_bipv[layouts.kind]),
            ("carport", counts_carport[layouts.kind]),
            ("flex", counts_flex[layouts.storage]),
            ("heat", layouts.hot_water >= 0),
        ):
            flags[name][layouts.site[counted]] = True
    return _Supply(largest_kw=largest, **flags)


def _warnings_of_grid(instance: Instance) -> Iterator[Fault]:
    existing = instance.sites.groupby("feeder")["existing_pv_kw"].sum()
    feeders = instance.feeders
    standing = existing.reindex(feeders["feeder"]).fillna(0.0).to_numpy(np.float64)
    for row in np.flatnonzero(standing > feeders["hosting_capacity_kw"].to_numpy()):
        yield Fault(
            "feeders", "hosting_capacity_kw", f"at least the {standing[row]:g} kW standing there",
            f"{feeders['hosting_capacity_kw'].iloc[row]:g}", "no new PV will be placed on it", row=int(row),
        )  # fmt: skip


def _warnings_of_sites(instance: Instance, supply: _Supply) -> Iterator[Fault]:
    without = np.flatnonzero(~supply.possible)
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
    site = instance.site_codes.of_offer
    roof = instance.sites["usable_roof_m2"].to_numpy(np.float64)[site]
    kw = offers["kw"].to_numpy(np.float64)
    for row in np.flatnonzero(on_roof & (kw * m2_per_kw > 1.2 * roof)):
        yield Fault("offers", "kw", f"what fits the {roof[row]:g} m2 of roof", f"{kw[row]:g}", row=int(row))


def _warnings_of_locks(instance: Instance, supply: _Supply) -> Iterator[Fault]:
    locks = instance.locks
    out = set(locks.loc[locks["kind"] == "force_out", "id"])
    possible = supply.possible[instance.site_codes.of_lock]
    for row, lock in enumerate(records(locks)):
        if lock["kind"] not in ("force_in", "fix"):
            continue
        if lock["id"] in out:
            yield Fault("locks", "id", "one decision", f"{lock['id']} is forced in and out", row=row)
        elif not possible[row]:
            yield Fault("locks", "id", "a site where something fits", f"{lock['id']}: nothing does", row=row)


def _warnings_of_capacity(instance: Instance, supply: _Supply) -> Iterator[Fault]:
    target = instance.targets.get("PV-50MW")
    by_district = np.bincount(
        instance.site_codes.district, supply.largest_kw, minlength=len(instance.districts)
    )
    minima = instance.district_minima
    placeable = by_district[positions(instance.districts["district"], minima["district"])]
    for row, minimum in enumerate(records(minima)):
        if placeable[row] < minimum["capacity_kw"]:
            yield Fault(
                "district_minima", "capacity_kw", f"at most the {placeable[row]:.0f} kW that fit there",
                f"{minimum['capacity_kw']:g}", row=row,
            )  # fmt: skip
    if target is None:
        return
    where = "targets.PV-50MW.required"
    total = min(float(supply.largest_kw.sum()), _grid_kw(instance, supply.largest_kw))
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
    yield from _warnings_of_money(instance, target.required, last)


def _warnings_of_money(instance: Instance, required_kw: float, last: int) -> Iterator[Fault]:
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


def _grid_kw(instance: Instance, largest_kw: FloatArray) -> float:
    """Capacity the feeders can host when storage relieves them as far as the catalogue allows."""
    relief = float(instance.storages["hosting_relief_share"].max()) if len(instance.storages) else 0.0
    feeder = instance.site_codes.feeder
    left, _ = derive_hosting_left(instance)
    known = feeder >= 0
    wanted = np.bincount(feeder[known], largest_kw[known], minlength=len(left))
    hosted = np.minimum(wanted, left / (1.0 - relief)) if relief < 1.0 else wanted
    return float(hosted.sum() + largest_kw[~known].sum())


def _warnings_of_counts(instance: Instance, supply: _Supply) -> Iterator[Fault]:
    eligible = {
        "PV-BIPV": int(supply.bipv.sum()),
        "PV-CARPORT": int(supply.carport.sum()),
        "PV-FLEX": int(supply.flex.sum()),
        "PV-HEAT": int(supply.heat.sum()),
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

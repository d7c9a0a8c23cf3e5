"""Reading a city: its programmes' tables and its own, every fault at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optimize.city.instance import DATACENTER, MUNICIPAL, PV_SITING, WATER, City, derive_city
from optimize.city.schema import CO2, ENERGY, SCHEMA
from optimize.city.water_demand import present_water_m3, rows_by_id, yearly_demand_m3
from optimize.errors import Fault, InputFaults, UsageError
from optimize.io.fingerprint import Content, fingerprint_files
from optimize.io.instance_folder import (
    LoadedInstance,
    instance_files,
    read_instance,
    read_section,
)
from optimize.io.place import Place, is_instance, place_of
from optimize.io.run_store import file_digest
from optimize.io.validation import TOML, locate, nearest
from optimize.names import CITY
from optimize.programme import Programme
from optimize.revision import find_deadline_faults
from optimize.schema import InstanceData

_ROOM = 1e-9


def holds_city(path: Path, overrides: Mapping[str, Any] | None = None) -> bool:
    """Whether an instance says anything about the city as a whole."""
    named = any(key.split(".")[0] == CITY for key in overrides or {})
    if named or not is_instance(path):
        return named
    place = place_of(path)
    return place.holds(SCHEMA) or _has_section(place.settings())


def _has_section(settings: Content) -> bool:
    return b"[city" in (settings if isinstance(settings, bytes) else settings.read_bytes())


def read_city(
    path: Path,
    programmes: Sequence[Programme],
    wanted: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
) -> tuple[LoadedInstance, City]:
    """The programmes of an instance folder (all, or those wanted) and the city they make up.

    Raises
    ------
    UsageError : as `read_instance`.
    InputFaults : every fault of every programme and of the city's own tables.
    """
    faults: list[Fault] = []
    instance: LoadedInstance | None = None
    try:
        instance = read_instance(path, programmes, wanted, overrides)
    except InputFaults as error:
        faults += error.faults
    place = place_of(path)
    section = read_section(path, SCHEMA, [p.name for p in programmes], overrides)
    faults += section.faults
    if instance is not None and section.data is not None:
        parts = {part.programme.name: part.data for part in instance.programmes}
        found = locate(list(_find_faults(section.data, parts, place, programmes)), section.raws)
        faults += place.located(found)
    if faults or instance is None or section.data is None:
        raise InputFaults(list(dict.fromkeys(faults)))
    files = dict(section.files)
    for part in instance.programmes:
        files |= dict(instance_files(path, part.programme))
    names = ",".join(part.programme.name for part in instance.programmes)
    settings = json.dumps([names, overrides or {}], sort_keys=True, default=str)
    data = replace(section.data, fingerprint=fingerprint_files(list(files.items()), settings))
    return instance, derive_city(instance.programmes, data)


def city_files(path: Path, parts: Sequence[Programme]) -> dict[str, Content]:
    """Everything a city's run depends on, by its name within an instance folder."""
    files = dict(read_section(path, SCHEMA, [p.name for p in parts], None).files)
    for programme in parts:
        files |= dict(instance_files(path, programme))
    return files


def read_city_of(
    run: Path, manifest: Mapping[str, Any], programmes: Sequence[Programme], folder: Path
) -> City:
    """The city of a stored run as it was.

    Parameters
    ----------
    folder : where the instance lies.

    Raises
    ------
    UsageError : it is no longer the same.
    """
    again = "give the instance as it was with --instance"
    names = manifest.get("programmes", ())
    parts = [programme for programme in programmes if programme.name in names]
    if not is_instance(folder) or (folder.is_dir() and not (folder / TOML).is_file()):
        raise UsageError(f"{folder} is not the instance of {run}: it has no {TOML}; {again}")
    then, now = manifest.get("instance_files", {}), city_files(folder, parts)
    there = {name: file_digest(content) for name, content in now.items()}
    changed = [name for name in {*then, *now} if then.get(name) is None or there.get(name) != then[name]]
    if changed:
        raise UsageError(
            f"{folder} is not the instance of {run}: {', '.join(sorted(changed))} differ; {again}"
        )
    try:
        _, city = read_city(folder, programmes, list(names), manifest.get("overrides", {}))
    except InputFaults as error:
        raise UsageError(f"{folder} is not the instance of {run}: {error.faults[0]}; {again}") from error
    if city.fingerprint != manifest.get("fingerprint"):
        raise UsageError(
            f"{folder} with the run's overrides is not the instance of {run}: its fingerprint is "
            f"{city.fingerprint}, the run's is {manifest.get('fingerprint')}; {again}"
        )
    return city


def _find_faults(
    data: InstanceData, parts: Mapping[str, InstanceData], place: Place, programmes: Sequence[Programme]
) -> Iterator[Fault]:
    """What the city's tables say about the programmes' that is not so."""
    yield from _budget_faults(data, parts)
    yield from _target_faults(data)
    there = {p.name for p in programmes if place.holds(p.schema)}
    for table, needed in _LINKED.items():
        for name in needed:
            if len(data.tables[table]) and name not in there:
                yield Fault(table, "(file)", f"an instance with {name} tables", "none", "remove the table")
    yield from _reference_faults(data, parts)
    if {DATACENTER, WATER} <= set(parts):
        yield from _cooling_faults(data.tables["cooling_water"], parts[DATACENTER], parts[WATER])
    if {DATACENTER, PV_SITING} <= set(parts):
        yield from _heat_faults(data.tables["shared_heat"], parts[DATACENTER], parts[PV_SITING])


def _budget_faults(data: InstanceData, parts: Mapping[str, InstanceData]) -> Iterator[Fault]:
    first, num = data.parameters["base_year"], data.parameters["num_years"]
    districts = set(next(iter(parts.values())).tables["districts"]["district"])
    budgets = data.tables["budgets"]
    for row, (source, year) in enumerate(zip(budgets["source"], budgets["year"], strict=True)):
        if source not in districts | {MUNICIPAL}:
            mend = "owners pay for their own projects: give their money in the programme's budgets"
            known = nearest(source, districts | {MUNICIPAL})
            yield Fault("budgets", "source", "municipal or a district", f'"{source}"', known or mend, row)
        if not first <= year < first + num:
            yield Fault("budgets", "year", f"{first} to {first + num - 1}", str(year), "remove the row", row)


def _target_faults(data: InstanceData) -> Iterator[Fault]:
    yield from find_deadline_faults(CITY, data.targets)
    for clause, path in ((ENERGY, "city.baseline_energy_tce"), (CO2, "city.baseline_co2_t")):
        if clause in data.targets and data.parameters[path] is None:
            mend = "say what public institutions use without any plan"
            yield Fault("instance.toml", path, f"a number, because {clause} is asked for", "missing", mend)
        if clause in data.targets and data.targets[clause].deadline_year is not None:
            where = f"city.clauses.{clause}.deadline_year"
            yield Fault(
                "instance.toml", where, "no deadline: the year after the last investment year counts",
                str(data.targets[clause].deadline_year), "remove it",
            )  # fmt: skip


# Cross-links: the programmes a table ties, and what each column names.
_LINKED = {
    "cooling_water": (DATACENTER, WATER),
    "shared_heat": (DATACENTER, PV_SITING),
    "pv_at_centres": (DATACENTER, PV_SITING),
}
_REFERENCES = (
    ("cooling_water", "centre", DATACENTER, "centres", "centre"),
    ("cooling_water", "demand", WATER, "user_demands", "demand"),
    ("shared_heat", "site", PV_SITING, "sites", "site"),
    ("shared_heat", "sink", DATACENTER, "heat_sinks", "sink"),
    ("pv_at_centres", "site", PV_SITING, "sites", "site"),
    ("pv_at_centres", "centre", DATACENTER, "centres", "centre"),
)


def _reference_faults(data: InstanceData, parts: Mapping[str, InstanceData]) -> Iterator[Fault]:
    for table, column, programme, other, key in _REFERENCES:
        if programme not in parts:
            continue
        known = set(parts[programme].tables[other][key])
        for row, name in enumerate(data.tables[table][column]):
            if name not in known:
                expected = f"an entry of {programme}/{other}.{key}"
                yield Fault(table, column, expected, f'"{name}"', nearest(name, known), row)


def _cooling_faults(links: pd.DataFrame, centres: InstanceData, water: InstanceData) -> Iterator[Fault]:
    """A linked demand must be one whose rows stay linear when it moves with the centre."""
    if not len(links):
        return
    if water.parameters["water.phased"]:
        mend = "build in one stage, or remove cooling_water"
        yield Fault("instance.toml", "water.phased", "false where cooling_water links", "true", mend)
    if water.parameters["water.peak_day"]:
        mend = "leave the peak day out, or remove cooling_water"
        yield Fault("instance.toml", "water.peak_day", "false where cooling_water links", "true", mend)
    if "W-CAP" in water.targets and not water.targets["W-CAP"].hard:
        mend = "ask for the cap hard, or remove cooling_water"
        yield Fault(
            "instance.toml", "water.clauses.W-CAP.hard", "true where cooling_water links", "false", mend
        )
    demands = rows_by_id(water, "user_demands", "demand")
    users = rows_by_id(water, "users", "user")
    candidate_parks = set(water.tables["parks"].query("zld_candidate")["park"])
    givers = set(water.tables["cascades"]["user"])
    sold_by = water.tables["user_demands"]["user"].value_counts()
    present = present_water_m3(centres)
    needed: dict[str, float] = {}
    for row, (centre, demand) in enumerate(zip(links["centre"], links["demand"], strict=True)):
        if demand not in demands or centre not in present:
            continue
        user = demands[demand]["user"]
        facts = users[user]
        for holds, expected, found, mend in (
            (facts["min_take_share"] > 0, "a user with min_take_share 0", f"{facts['min_take_share']:g}",
             "what a centre takes is settled by the plan: write 0"),
            (facts["quota_listed"], "a user that is not quota_listed", "true", "list the centre's water as a user of its own"),
            (facts["park"] in candidate_parks, "a user outside candidate zero-discharge parks", facts["park"],
             "list the centre's water as a user of its own"),
            (user in givers, "a user that gives no cascade", user, "list the centre's water as a user of its own"),
            (sold_by[user] > 1, "a user with this demand only", f"{sold_by[user]} demands",
             "list the centre's water as a user of its own"),
        ):  # fmt: skip
            if holds:
                yield Fault("cooling_water", "demand", expected, str(found), mend, row)
        needed[demand] = needed.get(demand, 0.0) + present[centre]
        stated = yearly_demand_m3(water, demand)
        if needed[demand] > stated * (1 + _ROOM):
            expected = f"a demand of at least the centres' present water, {needed[demand]:,.0f} m3/a"
            mend = "raise base_m3_per_d of the demand, or lower wue_l_per_kwh of the centre"
            yield Fault("cooling_water", "demand", expected, f"{stated:,.0f} m3/a", mend, row)


def _heat_faults(links: pd.DataFrame, centres: InstanceData, pv: InstanceData) -> Iterator[Fault]:
    """A sink takes at least the hot water of its institutions."""
    months = centres.tables["sink_months"]
    heat_of = pv.tables["sites"].set_index("site")["hot_water_kwh_per_a"]
    for sink, rows in links.groupby("sink", sort=False):
        known = rows[rows["site"].isin(heat_of.index)]
        yearly = float(heat_of.reindex(known["site"]).sum())
        takes = float(months.loc[months["sink"] == sink, "capacity_kwh"].sum())
        if yearly > takes * (1 + _ROOM):
            expected = f"sinks that take the hot water of their sites in a year, {yearly:,.0f} kWh"
            mend = "raise capacity_kwh in datacenter/sink_months or remove the link"
            row = int(np.asarray(rows.index)[0])
            yield Fault("shared_heat", "sink", expected, f"{sink}: {takes:,.0f} kWh", mend, row)

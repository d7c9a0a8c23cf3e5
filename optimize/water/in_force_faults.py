"""What is wrong with a plan in force: rows that say nothing, and contracts that cannot be what they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from optimize.errors import Fault
from optimize.funding import mixes_of
from optimize.revision import FROZEN_STATES
from optimize.schema import InstanceData
from optimize.water.in_force import OTHER_WORKS, Places, Work

Row: TypeAlias = Mapping[str, Any]
_CHOICE = {"plants": "a step of modules", "pipes": "a diameter of pipes", "users": "pipe or tanker"}
_CAPEX = {
    "module": ("modules", "capex_cny"), "connection": ("users", "connection_capex_cny"),
    "tanker": ("users", "tanker_capex_cny"), "storage": ("storage_sites", "capex_cny"),
    "cascade": ("cascades", "capex_cny"), "zld": ("parks", "zld_capex_cny"),
}  # fmt: skip
_KEPT = "keep it in the tables, or take it out of the plan in force"


def find_in_force_faults(data: InstanceData) -> Iterator[Fault]:
    """What is wrong with the table `plan_in_force`.

    Projects that are not frozen may name what is no longer there: they have to change, which is no fault.
    """
    places = Places(data.tables)
    rows = list(enumerate(_records(data.tables["plan_in_force"])))
    for position, row in rows:
        named = row["table"] in _CHOICE
        if named == (row["choice"] == ""):
            expected = _CHOICE.get(row["table"], "nothing: other works are built or not")
            yield Fault("plan_in_force", "choice", expected, f'"{row["choice"]}"', row=position)
        if not named and row["project"].partition(":")[0] not in OTHER_WORKS:
            expected = " or ".join(f"{kind}:…" for kind in OTHER_WORKS)
            yield Fault("plan_in_force", "project", expected, f'"{row["project"]}"', row=position)
    frozen = [(position, row) for position, row in rows if row["state"] in FROZEN_STATES]
    for position, row in frozen:
        for column, expected in _unvaluable(data, places, row):
            mend = f"it is {row['state']} and stays: {_KEPT}"
            yield Fault("plan_in_force", column, expected, f'"{row[column]}"', mend, row=position)
    yield from _lock_faults(data, places, [row for _, row in frozen])
    yield from _too_many_plants(data, [row for _, row in frozen])


def _records(frame: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _unvaluable(data: InstanceData, places: Places, row: Row) -> Iterator[tuple[str, str]]:
    """Columns of a contract by which it cannot be built, placed in time or paid, with what is expected."""
    first = int(data.parameters["base_year"])
    last = first + int(data.parameters["num_years"]) - 1
    if not first <= row["year"] <= last:
        yield "year", f"a year in {first}..{last}"
    table, project, choice = row["table"], row["project"], row["choice"]
    work = places.work(table, project, choice)
    if places.project(table, project)[1] < 0:
        yield "project", _expected_project(table)
    elif work is None:
        yield (
            ("choice", _expected_choice(table)) if table in _CHOICE else ("project", _expected_project(table))
        )
    else:
        mixes = mixes_of(data.tables["funding"], work[0])
        unnamed = row["mix"] == "" and (len(mixes) < 2 or _is_free(data, work, row))
        if row["mix"] not in mixes and not unnamed:
            among = f"one of {', '.join(mixes)}" if mixes else "empty"
            yield "mix", f"{among}: who pays a {work[0]} (funding table)"


def _is_free(data: InstanceData, work: Work, row: Row) -> bool:
    """Whether a contract has nothing to pay; pipes always do."""
    table, column = _CAPEX.get(work[0], ("", ""))
    actual = float(row["actual_capex_cny"])
    estimated = float(data.tables[table][column].iloc[work[1]]) if table else np.inf
    return (estimated if np.isnan(actual) else actual) == 0.0


def _expected_project(table: str) -> str:
    return {
        "plants": "plant:quality of plants and qualities",
        "pipes": "corridor:quality of corridors and qualities",
        "users": "a user",
    }.get(table, "storage:, cascade: or zld: and a storage site, a cascade or a candidate park")


def _expected_choice(table: str) -> str:
    made = " of a quality that is made somewhere" if table == "pipes" else ""
    filled = " where the user has a tanker_plant" if table == "users" else ""
    return f"{_CHOICE[table]}{made}{filled}"


def _lock_faults(data: InstanceData, places: Places, frozen: list[Row]) -> Iterator[Fault]:
    """Locks that say otherwise than what is contracted."""
    by_place: dict[str, list[Row]] = {}
    for row in frozen:
        for name in _lock_names(row):
            by_place.setdefault(name, []).append(row)
    phased = bool(data.parameters["water.phased"])
    for position, lock in enumerate(_records(data.tables["locks"])):
        for row in by_place.get(lock["id"], ()):
            if _says_otherwise(lock, row, places, phased):
                what = f"{row['project']} {row['choice']} {row['year']} ({row['state']})".replace("  ", " ")
                expected = f"what the plan in force has: {what}"
                yield Fault("locks", "kind", expected, f'"{lock["kind"]}"', row=position)


def _lock_names(row: Row) -> tuple[str, ...]:
    """Ids by which locks name a project: the plant or corridor with or without its quality, other works without kind."""
    name = str(row["project"])
    if row["table"] in ("plants", "pipes"):
        return name, name.rpartition(":")[0]
    return (name,) if row["table"] == "users" else (name.partition(":")[2],)


def _says_otherwise(lock: Row, row: Row, places: Places, phased: bool) -> bool:
    year = int(lock["year"])
    if lock["kind"] == "force_out" or (lock["kind"] == "fix" and lock["value"] == "none"):
        return True
    if lock["kind"] == "fix":
        return _fixes_otherwise(lock, row, places) or (phased and year not in (0, int(row["year"])))
    if lock["kind"] == "earliest":
        return phased and year > int(row["year"])
    return bool(lock["kind"] == "latest" and phased and year < int(row["year"]))


def _fixes_otherwise(lock: Row, row: Row, places: Places) -> bool:
    """Whether a `fix` asks for another choice of the same project."""
    if row["table"] == "users":
        return bool(lock["value"] != row["choice"])
    quality, _, choice = str(lock["value"]).rpartition(":")
    if row["table"] not in ("plants", "pipes"):
        return False
    fixed: Work | None = places.work(row["table"], f"{lock['id']}:{quality}", choice)
    own = places.work(row["table"], row["project"], row["choice"])
    return fixed != own and fixed in places.works_of(places.project(row["table"], row["project"]))


def _too_many_plants(data: InstanceData, frozen: list[Row]) -> Iterator[Fault]:
    exact = int(data.parameters["water.num_plants_exact"])
    plants = {str(row["project"]).rpartition(":")[0] for row in frozen if row["table"] == "plants"}
    if 0 < exact < len(plants):
        expected = f"0, or at least {len(plants)}: so many plants have contracts"
        yield Fault("instance.toml", "water.num_plants_exact", expected, str(exact))

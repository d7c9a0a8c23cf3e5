"""Whether scenarios can be laid over an instance, before anything is solved.

Settings are looked at for every scenario: that costs next to nothing.  Tables are read and validated anew for those
that are to be looked at closely, as a solve would.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from optimize.city.schema import SCHEMA as CITY_SCHEMA
from optimize.errors import Fault, InputFaults, UsageError
from optimize.io.instance_folder import read_instance, read_settings
from optimize.io.table_changes import table_path
from optimize.io.validation import nearest, typed_parameters
from optimize.programme import Programme
from optimize.registry import PROGRAMMES
from optimize.studies.scenarios import Scenario


def scenario_faults(
    folder: Path, scenarios: Sequence[Scenario], closely: Collection[str]
) -> dict[str, list[Fault]]:
    """What is wrong with each scenario of an instance, by its name; those in order are left out.

    Parameters
    ----------
    closely : names of the scenarios whose tables are validated too.

    Raises
    ------
    UsageError : the folder is no instance.
    """
    present = [programme for programme in PROGRAMMES if (folder / programme.name).is_dir()]
    before = set(_setting_faults(folder, present, {}))
    is_sound = _is_sound(folder, present)
    found: dict[str, list[Fault]] = {}
    told: set[Fault] = set()
    for scenario in scenarios:
        faults = [*_setting_faults(folder, present, scenario.overrides), *unknown_table_faults(scenario)]
        faults = [fault for fault in faults if fault not in before]
        if not faults and is_sound and scenario.name in closely:
            faults = _faults_of_all(folder, _concerned(present, scenario), scenario)
        # what a scenario has from its base is told there
        faults = [fault for fault in dict.fromkeys(faults) if fault not in told]
        told.update(faults)
        if faults:
            found[scenario.name] = faults
    return found


def unknown_table_faults(scenario: Scenario) -> Iterator[Fault]:
    """Changes of tables that no programme has."""
    known = sorted({table_path(p.schema, table) for p in PROGRAMMES for table in p.schema.tables})
    for change in scenario.changes:
        if change.table not in known:
            where, mend = f"scenario {scenario.name}", nearest(change.table, known)
            yield Fault(where, change.table, "a table of an instance", "no such table", mend)


def _setting_faults(
    folder: Path, present: Sequence[Programme], overrides: Mapping[str, Any]
) -> Iterator[Fault]:
    """Settings that nobody knows, or with values they cannot have."""
    try:
        tree, faults = read_settings(folder, overrides)
    except UsageError as error:
        yield Fault("instance.toml", "", "a parameter that can be set", str(error))
        return
    yield from faults
    sections = [*(programme.name for programme in PROGRAMMES), CITY_SCHEMA.programme]
    for schema in (*(programme.schema for programme in present), CITY_SCHEMA):
        others = [name for name in sections if name != schema.programme]
        yield from typed_parameters(schema, tree, others)[2]


def _is_sound(folder: Path, present: Sequence[Programme]) -> bool:
    try:
        read_instance(folder, PROGRAMMES, [programme.name for programme in present])
    except InputFaults:
        return False
    return True


def _concerned(present: Sequence[Programme], scenario: Scenario) -> list[str]:
    """The programmes whose instance a scenario changes; all where it changes what they share."""
    places = [change.table for change in scenario.changes] + [
        key.replace(".", "/", 1) for key in scenario.overrides
    ]
    names = [programme.name for programme in present]
    named = [name for name in names if any(place.startswith(f"{name}/") for place in places)]
    is_own = all(any(place.startswith(f"{name}/") for name in names) for place in places)
    return named if is_own and named else names


def _faults_of_all(folder: Path, programmes: Sequence[str], scenario: Scenario) -> list[Fault]:
    try:
        read_instance(folder, PROGRAMMES, programmes, scenario.overrides, scenario.changes)
    except InputFaults as error:
        return [replace(fault, cell="") for fault in error.faults]
    return []

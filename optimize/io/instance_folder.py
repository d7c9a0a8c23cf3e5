"""Reading an instance, a folder or a workbook: parameters, shared tables, and the tables of each programme."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optimize.errors import Fault, InputFaults, UsageError
from optimize.io.fingerprint import Content, fingerprint_files
from optimize.io.place import Place, place_of
from optimize.io.table_changes import TableChange, change_tables, concerned
from optimize.io.tables import RawTable, decode
from optimize.io.validation import TOML, assemble, locate
from optimize.programme import Programme
from optimize.schema import InstanceData, Schema

# Sections of the toml that are no programme's: those of the city as a whole.
_CITY_ROOTS = ("city",)


@dataclass(frozen=True)
class LoadedProgramme:
    """Validated data of one programme with what was noticed on the way."""

    programme: Programme
    data: InstanceData
    warnings: tuple[Fault, ...]
    num_tables: int
    num_rows: int


@dataclass(frozen=True)
class Section:
    """What an instance folder holds for one schema.

    ``data`` is None where there are faults in the tables; ``files`` are all that were read, by their
    names within the folder.
    """

    data: InstanceData | None
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    raws: Mapping[str, RawTable | None]
    files: tuple[tuple[str, Content], ...]


@dataclass(frozen=True)
class LoadedInstance:
    """An instance folder read and validated as a whole."""

    path: Path
    name_zh: str
    name_en: str
    programmes: tuple[LoadedProgramme, ...]

    @property
    def districts(self) -> list[str]:
        """Ids of the districts, which all programmes share."""
        return list(self.programmes[0].data.tables["districts"]["district"])


def read_instance(
    path: Path,
    programmes: Sequence[Programme],
    wanted: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    changes: Sequence[TableChange] = (),
) -> LoadedInstance:
    """Read and validate the programmes of an instance folder.

    Parameters
    ----------
    programmes : all programmes there are; those with a folder in ``path`` are read.
    wanted : names to restrict to; () means all that are there.
    overrides : dotted parameter path -> value, laid over ``instance.toml``.
    changes : laid over the tables; those of tables that are not read are left aside.

    Raises
    ------
    UsageError : the folder is not an instance, or lacks a wanted programme.
    InputFaults : every fault of every programme read.
    """
    place = place_of(path)
    present = [p for p in programmes if place.holds(p.schema)]
    absent = [name for name in wanted if name not in {p.name for p in present}]
    if absent:
        raise UsageError(
            f"{path} has no tables for {', '.join(absent)}; it has "
            f"{', '.join(p.name for p in present) or 'none'}"
        )
    if not present:
        raise UsageError(f"{path} has no tables of any programme ({', '.join(p.name for p in programmes)})")
    tree, faults = _read_toml(place)
    for key, value in (overrides or {}).items():
        _lay_over(tree, key, value)
    names = _names(tree, path)
    roots = [*(p.name for p in programmes), *_CITY_ROOTS]
    faults += place.odd_whole([p.schema for p in programmes], _CITY_ROOTS)
    loaded = []
    for programme in present:
        if wanted and programme.name not in wanted:
            continue
        part, found = _read_programme(place, programme, tree, names, roots, overrides, changes)
        faults += found
        if part is not None:
            loaded.append(part)
    if faults:
        raise InputFaults(place.located(faults))
    return LoadedInstance(path, *names, tuple(loaded))


def read_section(
    path: Path, schema: Schema, other_roots: Sequence[str], overrides: Mapping[str, Any] | None = None
) -> Section:
    """What the instance holds for a schema that is no programme's; ``other_roots`` belong to others."""
    place = place_of(path)
    tree, faults = read_settings(path, overrides)
    section = _read_schema(place, schema, tree, _names(tree, path), other_roots)
    found = tuple(place.located((*faults, *section.faults)))
    return replace(section, data=None if found else section.data, faults=found)


def read_settings(
    path: Path, overrides: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], list[Fault]]:
    """What ``instance.toml`` says, with overrides laid over it; a fault where it cannot be read.

    Raises
    ------
    UsageError : the path is no instance, or an override goes below a value.
    """
    tree, faults = _read_toml(place_of(path))
    for key, value in (overrides or {}).items():
        _lay_over(tree, key, value)
    return tree, faults


def instance_files(path: Path, programme: Programme) -> list[tuple[str, Content]]:
    """Name within an instance folder and content of everything one programme reads."""
    return place_of(path).files(programme.schema)


def instance_content(path: Path, names: Iterable[str], schemas: Iterable[Schema]) -> dict[str, Content]:
    """Files of an instance by their names, as far as they are there; ``schemas`` are those it may hold."""
    place = place_of(path)
    found = {name: content for schema in schemas for name, content in place.files(schema)}
    for name in names:
        if name not in found and place.named(name).is_file():
            found[name] = place.named(name)
    return {name: found[name] for name in names if name in found}


def _read_schema(
    place: Place,
    schema: Schema,
    tree: Mapping[str, Any],
    names: tuple[str, str],
    roots: Sequence[str],
    changes: Sequence[TableChange] = (),
) -> Section:
    """Tables and parameters of one schema; ``data`` is there even if they have faults."""
    raws: dict[str, RawTable | None] = {}
    faults: list[Fault] = []
    unreadable: set[str] = set()
    for table in schema.tables:
        raw = place.read(schema, table)
        raws[table.name] = None
        if isinstance(raw, Fault):
            faults.append(raw)
            unreadable.add(table.name)
        else:
            raws[table.name] = raw
    faults += place.odd_parts(schema)
    if not faults:  # what cannot be read cannot be changed
        raws, faults = change_tables(schema, raws, changes)
    others = [root for root in roots if root != schema.programme]
    data, found, warnings = assemble(schema, raws, tree, *names, other_roots=others)
    # A file that could not be read has been reported as such; that it is missing too would be noise.
    faults += [
        fault
        for fault in found
        if not (fault.found == "missing file" and Path(fault.table).stem in unreadable)
    ]
    return Section(data, tuple(faults), tuple(warnings), raws, tuple(place.files(schema)))


def _read_programme(
    place: Place,
    programme: Programme,
    tree: Mapping[str, Any],
    names: tuple[str, str],
    roots: Sequence[str],
    overrides: Mapping[str, Any] | None,
    changes: Sequence[TableChange],
) -> tuple[LoadedProgramme | None, list[Fault]]:
    own = concerned(programme.schema, changes)
    section = _read_schema(place, programme.schema, tree, names, roots, own)
    assert section.data is not None
    data, named = _with_named_files(place, programme, section.data)
    settings = json.dumps(overrides or {}, sort_keys=True, default=str)
    if own:
        settings += json.dumps([change.record() for change in own], sort_keys=True, default=str)
    data = replace(data, fingerprint=fingerprint_files([*section.files, *named], settings))
    if section.faults:
        return None, list(section.faults)
    faults = locate(programme.find_faults(data), section.raws)
    if faults:
        return None, faults
    warnings = place.located((*section.warnings, *locate(programme.find_warnings(data), section.raws)))
    rows = sum(len(frame) for frame in data.tables.values())
    tables = sum(raw is not None for raw in section.raws.values())
    return LoadedProgramme(programme, data, tuple(warnings), tables, rows), []


def _with_named_files(
    place: Place, programme: Programme, data: InstanceData
) -> tuple[InstanceData, list[tuple[str, Content]]]:
    """Files that parameters name, found from the instance; whether they are there is not asked."""
    parameters = dict(data.parameters)
    named: list[tuple[str, Content]] = []
    for parameter in programme.schema.parameters:
        name = str(parameters.get(parameter.path) or "")
        if parameter.is_file and name:
            file = place.named(name)
            parameters[parameter.path] = str(file)
            if file.is_file():
                named.append((name, file))
    return replace(data, parameters=parameters), named


def _read_toml(place: Place) -> tuple[dict[str, Any], list[Fault]]:
    content = place.settings()
    text = decode(content if isinstance(content, bytes) else content.read_bytes())
    if text is None:
        return {}, [Fault(TOML, "(file)", "text in UTF-8", "other bytes")]
    try:
        return tomllib.loads(text), []
    except tomllib.TOMLDecodeError as error:
        return {}, [Fault(TOML, "(file)", "TOML", str(error), "see `optimize template`")]


def _names(tree: Mapping[str, Any], path: Path) -> tuple[str, str]:
    name = tree.get("name", {})
    if isinstance(name, str):
        return name, name
    if isinstance(name, Mapping):
        return str(name.get("zh", path.name)), str(name.get("en", path.name))
    return path.name, path.name


def _lay_over(tree: dict[str, Any], key: str, value: Any) -> None:
    node: Any = tree
    *parents, leaf = key.split(".")
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise UsageError(f"--set {key}: '{parent}' is a value, not a section")
    node[leaf] = value

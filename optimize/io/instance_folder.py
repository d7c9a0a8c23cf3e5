"""One instance folder: ``instance.toml``, shared tables, and a folder of tables per programme."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optimize.errors import Fault, InputFaults, UsageError
from optimize.io.fingerprint import fingerprint_files
from optimize.io.table_changes import TableChange, change_tables, concerned
from optimize.io.tables import RawTable, decode, find_table, read_table
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
    files: tuple[tuple[str, Path], ...]


@dataclass(frozen=True)
class LoadedInstance:
    """An instance folder read and validated as a whole."""

    path: Path
    name_zh: str
    name_en: str
    programmes: tuple[LoadedProgramme, ...]


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
    if not path.is_dir():
        raise UsageError(f"{path} is not a folder; an instance is a folder with {TOML} and tables")
    if not (path / TOML).is_file():
        raise UsageError(f"{path} holds no {TOML}; `optimize template` writes an example")
    present = [p for p in programmes if (path / p.name).is_dir()]
    absent = [name for name in wanted if name not in {p.name for p in present}]
    if absent:
        raise UsageError(
            f"{path} has no tables for {', '.join(absent)}; it has "
            f"{', '.join(p.name for p in present) or 'none'}"
        )
    if not present:
        raise UsageError(f"{path} has no programme folder ({', '.join(p.name for p in programmes)})")
    tree, faults = _read_toml(path / TOML)
    for key, value in (overrides or {}).items():
        _lay_over(tree, key, value)
    name_zh, name_en = _names(tree, path)
    roots = [*(p.name for p in programmes), *_CITY_ROOTS]
    loaded = []
    for programme in present:
        if wanted and programme.name not in wanted:
            continue
        part, found = _read_programme(path, programme, tree, (name_zh, name_en), roots, overrides, changes)
        faults += found
        if part is not None:
            loaded.append(part)
    if faults:
        raise InputFaults(list(dict.fromkeys(faults)))
    return LoadedInstance(path, name_zh, name_en, tuple(loaded))


def read_section(
    path: Path, schema: Schema, other_roots: Sequence[str], overrides: Mapping[str, Any] | None = None
) -> Section:
    """What the folder holds for a schema that is no programme's; ``other_roots`` belong to others."""
    tree, faults = _read_toml(path / TOML)
    for key, value in (overrides or {}).items():
        _lay_over(tree, key, value)
    section = _read_schema(path, schema, tree, _names(tree, path), other_roots)
    found = (*faults, *section.faults)
    return replace(section, data=None if found else section.data, faults=found)


def instance_files(path: Path, programme: Programme) -> list[tuple[str, Path]]:
    """Name within the folder and path of everything one programme reads."""
    return _schema_files(path, programme.schema)


def _schema_files(path: Path, schema: Schema) -> list[tuple[str, Path]]:
    files = [(TOML, path / TOML)]
    for table in schema.tables:
        file = find_table(path if table.shared else path / schema.programme, table.name)
        if file is not None:
            files.append((file.relative_to(path).as_posix(), file))
    return files


def _read_schema(
    path: Path,
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
        folder = path if table.shared else path / schema.programme
        file = find_table(folder, table.name)
        raws[table.name] = None
        if file is None:
            continue
        shown = file.relative_to(path).as_posix()
        raw = read_table(file, shown)
        if isinstance(raw, Fault):
            faults.append(raw)
            unreadable.add(table.name)
        else:
            raws[table.name] = raw
    faults += _unknown_files(path, schema)
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
    return Section(data, tuple(faults), tuple(warnings), raws, tuple(_schema_files(path, schema)))


def _read_programme(
    path: Path,
    programme: Programme,
    tree: Mapping[str, Any],
    names: tuple[str, str],
    roots: Sequence[str],
    overrides: Mapping[str, Any] | None,
    changes: Sequence[TableChange],
) -> tuple[LoadedProgramme | None, list[Fault]]:
    own = concerned(programme.schema, changes)
    section = _read_schema(path, programme.schema, tree, names, roots, own)
    assert section.data is not None
    data, named = _with_named_files(path, programme, section.data)
    settings = json.dumps(overrides or {}, sort_keys=True, default=str)
    if own:
        settings += json.dumps([change.record() for change in own], sort_keys=True, default=str)
    data = replace(data, fingerprint=fingerprint_files([*section.files, *named], settings))
    if section.faults:
        return None, list(section.faults)
    faults = locate(programme.find_faults(data), section.raws)
    if faults:
        return None, faults
    warnings = (*section.warnings, *locate(programme.find_warnings(data), section.raws))
    rows = sum(len(frame) for frame in data.tables.values())
    tables = sum(raw is not None for raw in section.raws.values())
    return LoadedProgramme(programme, data, warnings, tables, rows), []


def _with_named_files(
    path: Path, programme: Programme, data: InstanceData
) -> tuple[InstanceData, list[tuple[str, Path]]]:
    """Files that parameters name, found from the instance folder; whether they are there is not asked."""
    parameters = dict(data.parameters)
    named = []
    for parameter in programme.schema.parameters:
        name = str(parameters.get(parameter.path) or "")
        if parameter.is_file and name:
            file = path / name
            parameters[parameter.path] = str(file)
            if file.is_file():
                named.append((name, file))
    return replace(data, parameters=parameters), named


def _unknown_files(path: Path, schema: Schema) -> list[Fault]:
    known = {table.name for table in schema.tables if not table.shared}
    from_schema = ", ".join(sorted(known))
    folder = path / schema.programme
    return [
        Fault(
            file.relative_to(path).as_posix(),
            "(file)",
            f"one of {from_schema}",
            "unknown table",
            "rename or remove it",
        )
        for file in (sorted(folder.iterdir()) if folder.is_dir() else ())
        if file.suffix in (".csv", ".parquet") and file.stem not in known
    ]


def _read_toml(path: Path) -> tuple[dict[str, Any], list[Fault]]:
    text = decode(path.read_bytes())
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

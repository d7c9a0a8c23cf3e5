"""What an instance's workbook is filled with: tables and settings of drafts, or of an instance as it lies there."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from optimize.errors import Fault, InputFaults
from optimize.io.place import Place
from optimize.io.tables import RawTable, decode
from optimize.io.validation import TOML, tree_of
from optimize.io.workbook_headings import column_name, sheet_name
from optimize.schema import Column, InstanceDraft, Schema, Table
from optimize.units import alternative_names


@dataclass(frozen=True)
class WorkbookContent:
    """What a workbook is filled with.

    Attributes
    ----------
    tables : by the name of the sheet (`workbook_headings.sheet_name`).
    settings : by dotted path, as ``instance.toml`` has them, names of the city included.
    """

    schemas: tuple[Schema, ...]
    tables: Mapping[str, RawTable]
    settings: Mapping[str, Any]


def content_of_drafts(drafts: Sequence[tuple[Schema, InstanceDraft]]) -> WorkbookContent:
    """Drafts of one or several programmes; figures lose the noise of binary fractions, as in CSV files."""
    tables: dict[str, RawTable] = {}
    settings: dict[str, Any] = {"name.zh": drafts[0][1].name_zh, "name.en": drafts[0][1].name_en}
    for schema, draft in drafts:
        settings |= dict(_flat(tree_of(draft)))
        for table in schema.tables:
            frame = draft.tables.get(table.name)
            if frame is not None:
                rounded = frame.reset_index(drop=True).copy()
                for name in rounded.select_dtypes("float"):
                    rounded[name] = [float(f"{value:.10g}") for value in rounded[name]]
                lines = pd.RangeIndex(2, len(rounded) + 2).to_numpy()
                tables.setdefault(sheet_name(schema, table), RawTable.of_frame(table.name, rounded, lines))
    return WorkbookContent(tuple(schema for schema, _ in drafts), tables, settings)


def content_of_place(place: Place, schemas: Sequence[Schema]) -> WorkbookContent:
    """An instance as it lies there, faulty cells and all; of ``schemas`` those that it holds.

    Raises
    ------
    InputFaults : files that cannot be read at all.
    """
    settings_text = place.settings()
    text = decode(settings_text if isinstance(settings_text, bytes) else settings_text.read_bytes())
    faults: list[Fault] = []
    tree: dict[str, Any] = {}
    try:
        tree = tomllib.loads(text or "")
    except tomllib.TOMLDecodeError as error:
        faults.append(Fault(TOML, "(file)", "TOML", str(error), "see `optimize template`"))
    tables: dict[str, RawTable] = {}
    held = tuple(schema for schema in schemas if place.holds(schema) or schema.programme in tree)
    for schema in held:
        for table in schema.tables:
            raw = place.read(schema, table)
            if isinstance(raw, Fault):
                faults.append(raw)
            elif raw is not None:
                tables.setdefault(sheet_name(schema, table), raw)
    if faults:
        raise InputFaults(faults)
    name = tree.get("name")
    if isinstance(name, str):
        tree["name"] = {"zh": name, "en": name}
    settings = {path: value for path, value in _flat(tree) if path not in ("format", "description")}
    return WorkbookContent(held, tables, settings)


def columns_of(table: Table, raw: RawTable | None) -> list[tuple[str, Column | None, int | None]]:
    """(name in the table, column of the schema, place in ``raw``): those of the schema first, then what else there is."""
    known = {
        name: column for column in table.columns for name in (column.name, *alternative_names(column.name))
    }
    there = (
        {}
        if raw is None
        else {column_name(table, name): k for k, name in reversed(list(enumerate(raw.names)))}
    )
    found: list[tuple[str, Column | None, int | None]] = []
    for column in table.columns:
        called = next((n for n in (column.name, *alternative_names(column.name)) if n in there), column.name)
        found.append((called, column, there.get(called)))
    told = {called for called, _, _ in found}
    return found + [(name, known.get(name), k) for name, k in there.items() if name not in told and name]


def cells_of(raw: RawTable, position: int, column: Column | None) -> list[Any]:
    """Cells as numbers and truths where they can be read as such, else as they stand; None where empty."""
    cells = raw.cells(position)
    if isinstance(cells, Fault):
        raise InputFaults([cells])
    if is_bool_dtype(cells.dtype) or is_numeric_dtype(cells.dtype):
        values = cells.astype(object).where(cells.notna(), None).tolist()
        return (
            values
            if column is None or column.kind != "str"
            else [None if v is None else str(v) for v in values]
        )
    texts = [
        "" if missing else str(value).strip() for value, missing in zip(cells, pd.isna(cells), strict=True)
    ]
    kind = "str" if column is None else column.kind
    return [_typed(text, kind) for text in texts]


def _typed(text: str, kind: str) -> Any:
    if not text:
        return None
    if kind == "bool":
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind in ("int", "float"):
        try:
            number = float(text)
        except ValueError:
            return text
        return number if math.isfinite(number) else text
    return text


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value

"""Tables of an instance folder as rows of text, page by page, and single cells written anew."""

from __future__ import annotations

import csv
import functools
import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimize.city.schema import SCHEMA as CITY_SCHEMA
from optimize.errors import UsageError
from optimize.io.tables import decode
from optimize.registry import PROGRAMMES
from optimize.schema import Schema, Table

ROWS_PER_PAGE = 50
_LONGEST_CELL = 2000
_MOST_KEPT_BYTES = 4 << 20
_BOM = "\ufeff"


@dataclass(frozen=True)
class Place:
    """A table: of a programme (``schema.programme``), or shared by all."""

    schema: Schema
    table: Table

    @property
    def path(self) -> str:
        """Within the folder, as faults name it."""
        return (
            f"{self.table.name}.csv"
            if self.table.shared
            else f"{self.schema.programme}/{self.table.name}.csv"
        )

    @property
    def key(self) -> str:
        """As an address: ``pv_siting.sites``, ``districts``."""
        return self.path.removesuffix(".csv").replace("/", ".")


@dataclass(frozen=True)
class Page:
    """Some rows of a table: text cells by heading, with the line of the file each stands in."""

    names: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    number: int
    first: int


def places(folder: Path) -> list[Place]:
    """The tables an instance folder holds, shared ones first."""
    found: dict[str, Place] = {}
    for schema in (*(programme.schema for programme in PROGRAMMES), CITY_SCHEMA):
        for table in schema.tables:
            place = Place(schema, table)
            if (folder / place.path).is_file():
                found.setdefault(place.path, place)
    return sorted(found.values(), key=lambda place: not place.table.shared)


def find_place(folder: Path, key: str) -> Place:
    """The table with this key.

    Raises
    ------
    UsageError : the instance has none; so no key can be made to lead anywhere else.
    """
    for place in places(folder):
        if place.key == key:
            return place
    raise UsageError(f"this instance has no table {key}")


def read_page(folder: Path, place: Place, first: int = 0, most: int = ROWS_PER_PAGE) -> Page:
    """Rows ``first`` and following of a table."""
    head, rows = _split(folder / place.path)
    if not rows:
        return Page((), (), 0, 0)
    body = [(head + 2 + position, tuple(row)) for position, row in enumerate(rows[1:]) if any(row)]
    names = tuple(name.strip() for name in rows[0])
    width = len(names)
    shown = tuple((line, (*row, *[""] * width)[:width]) for line, row in body[first : first + most])
    return Page(names, shown, len(body), first)


def read_cell(folder: Path, place: Place, line: int, column: str) -> str | None:
    """One cell as text; None where there is none."""
    head, rows = _split(folder / place.path)
    position = line - head - 1
    names = [name.strip() for name in rows[0]] if rows else []
    if column not in names or not 1 <= position < len(rows):
        return None
    row = rows[position]
    return row[names.index(column)] if names.index(column) < len(row) else ""


def first_of_page_with(folder: Path, place: Place, line: int) -> int:
    """Number of the first row of the page that shows a line."""
    head, rows = _split(folder / place.path)
    before = sum(any(row) for row in rows[1 : max(line - head - 1, 1)])
    return before // ROWS_PER_PAGE * ROWS_PER_PAGE


def write_cell(folder: Path, place: Place, line: int, column: str, value: str) -> None:
    """Replace one cell; the file is written at once, all other cells as they were.

    Raises
    ------
    UsageError : there is no such cell, or the value is no text of a cell.
    """
    if len(value) > _LONGEST_CELL or any(ord(c) < 32 for c in value):
        raise UsageError(f"a cell holds at most {_LONGEST_CELL} characters on one line")
    path = folder / place.path
    head, rows = _split(path)
    position = line - head - 1
    names = [name.strip() for name in rows[0]] if rows else []
    if column not in names or not 1 <= position < len(rows):
        raise UsageError(f"{place.path} has no cell {column} in line {line}")
    row = [*rows[position], *[""] * (len(names) - len(rows[position]))]
    row[names.index(column)] = value
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([*rows[:position], row, *rows[position + 1 :]])
    text = decode(path.read_bytes()) or ""
    comments = "".join(text.splitlines(keepends=True)[:head])
    replace_text(path, f"{_BOM}{comments}{stream.getvalue()}")


def replace_text(path: Path, text: str) -> None:
    """Write a file anew, so that snapshots that share the old one keep it."""
    handle, name = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _split(path: Path) -> tuple[int, list[list[str]]]:
    """Comment lines before the header, counted, and all rows from the header on, empty ones too; not to be changed."""
    stat = path.stat()
    read = _kept if stat.st_size < _MOST_KEPT_BYTES else _parsed
    return read(path, stat.st_mtime_ns, stat.st_ino)


def _parsed(path: Path, _changed_ns: int, _inode: int) -> tuple[int, list[list[str]]]:
    text = decode(path.read_bytes())
    if text is None:
        return 0, []
    lines = text.splitlines(keepends=True)
    head = 0
    for line in lines:
        if not line.startswith("#") and line.strip().strip(","):
            break
        head += 1
    reader = csv.reader(io.StringIO("".join(lines[head:])), skipinitialspace=True)
    try:
        return head, list(reader)
    except csv.Error:
        return head, []


_kept = functools.lru_cache(maxsize=16)(_parsed)


def faults_by_cell(
    found: Sequence[Mapping[str, Any]], place: Place
) -> dict[tuple[int, str], Mapping[str, Any]]:
    """Faults of a table by line and column."""
    return {
        (fault["row"], fault["column"]): fault
        for fault in found
        if fault["table"] == place.path and fault["row"] is not None
    }

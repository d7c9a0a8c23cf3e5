"""One sheet of a workbook as the CSV table it stands for, with the cell that every figure came from."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optimize.errors import Fault
from optimize.i18n.catalogue import LANGUAGES
from optimize.io.validation import expected_of
from optimize.io.workbook_cells import Flaw, Sheet
from optimize.io.workbook_headings import (
    NOTES,
    cell_name,
    choices_by_words,
    column_name,
    heading,
    names_by_heading,
    plain,
)
from optimize.schema import Column, Table
from optimize.units import alternative_names

# A heading is looked for in so many rows; above it there may be titles and explanations.
_ROWS_ABOVE = 30
_TRUTHS = {"true": "true", "yes": "true", "是": "true", "false": "false", "no": "false", "否": "false"}
_EXCEL_EPOCH = datetime.date(1899, 12, 30)
_UNLIKELY_YEARS = range(1900, 2200)
_LARGEST_WHOLE = 1e15


@dataclass(frozen=True)
class TableSheet:
    """A sheet as a table.

    Attributes
    ----------
    file : the file of an instance folder that it stands for (``pv_siting/sites.csv``).
    content : that file: CSV in UTF-8, a line for each row below the headings.
    first_row : row of the headings in the sheet, which are line 1 of the file.
    columns : place of each column in the sheet, from 1, by its name and by the names of its other units.
    known_headings : what the columns of the table may be called, in Chinese and in English.
    faults : cells that hold no value of their own, merged cells, a heading that is not there; lines are rows of the sheet.
    """

    title: str
    file: str
    content: bytes
    first_row: int
    columns: Mapping[str, int]
    faults: tuple[Fault, ...]
    num_rows: int
    known_headings: tuple[str, ...] = ()

    def cell(self, row: int | None, column: str) -> str:
        """``pv_siting.sites!H118``; row None: the heading.  "" where the column is not in the sheet."""
        place = self.columns.get(column)
        if place is None and row is None:
            return ""
        return f"{self.title}!{cell_name(self.first_row if row is None else row, place or 1)}"


def table_of(sheet: Sheet, table: Table, file: str) -> TableSheet:
    """Read ``sheet`` as ``table``; what is wrong with its cells is told, what is wrong with its values is not."""
    top = _heading_row(sheet, table)
    if top is None:
        fault = Fault(
            sheet.title, "(header)", "a row of headings", "an empty sheet", "see `optimize template`"
        )
        return TableSheet(sheet.title, file, b"", 1, {}, () if table.optional else (fault,), 0)
    names = _names(sheet.rows[top], table)
    body = _without_empty_end(sheet.rows[top + 1 :])
    known = {
        name: column for column in table.columns for name in (column.name, *alternative_names(column.name))
    }
    faults = _merged(sheet, top, names)
    texts: list[list[str]] = []
    for place, name in names.items():
        column = known.get(name)
        cells = [row[place] if place < len(row) else "" for row in body]
        texts.append(_choices([_text(cell, column) for cell in cells], column))
        for number, cell in enumerate(cells):
            flaw = _flaw(cell, column)
            if flaw is None or column is None:
                continue
            row = top + 2 + number
            faults.append(
                Fault(sheet.title, column.name, expected_of(column), flaw.found, flaw.mend, number, row)
            )
    columns: dict[str, int] = {}
    for place, name in names.items():
        for word in (name, known[name].name) if name in known else (name,):
            columns.setdefault(word, place + 1)
    rows = list(zip(*texts, strict=True)) if texts else []
    content = _csv(list(names.values()), rows)
    known_headings = tuple(heading(column, language) for language in LANGUAGES for column in table.columns)
    return TableSheet(sheet.title, file, content, top + 1, columns, tuple(faults), len(rows), known_headings)


def _heading_row(sheet: Sheet, table: Table) -> int | None:
    """The first row that names most columns of the table; where none names any, the first that is not empty."""
    known = names_by_heading(table)
    best, most, first = None, 0, None
    for number, row in enumerate(sheet.rows[:_ROWS_ABOVE]):
        texts = [str(cell) for cell in row if cell != ""]
        if not texts or texts[0].startswith("#"):
            continue
        first = number if first is None else first
        found = len({known[plain(text)] for text in texts if plain(text) in known})
        if found > most:
            best, most = number, found
    return first if best is None else best


def _names(row: Sequence[Any], table: Table) -> dict[int, str]:
    """Column names by place, without columns that have no heading; notes are told apart, they may repeat."""
    names: dict[int, str] = {}
    for place, cell in enumerate(row):
        shown = _text(cell, None)
        if not shown:
            continue
        name = column_name(table, shown)
        is_note = name == shown and shown.startswith(NOTES) and plain(shown) not in names_by_heading(table)
        names[place] = f"note_{place + 1}" if is_note else name
    return names


def _without_empty_end(rows: list[list[Any]]) -> list[list[Any]]:
    last = len(rows)
    while last and not any(cell != "" and str(cell).strip() for cell in rows[last - 1]):
        last -= 1
    return rows[:last]


def _merged(sheet: Sheet, top: int, names: Mapping[int, str]) -> list[Fault]:
    faults = []
    for first_row, first, last_row, last in sheet.merged:
        inside = [place for place in names if first <= place <= last]
        if last_row < top or not inside:
            continue
        name, shown = (
            names[inside[0]],
            f"{cell_name(first_row + 1, first + 1)}:{cell_name(last_row + 1, last + 1)}",
        )
        mend = "take the merging away (Merge & Center) and fill in every cell"
        line = first_row + 1 if first_row > top else None
        faults.append(
            Fault(
                sheet.title, name, "a cell for every row and column", f"merged cells {shown}", mend, line=line
            )
        )
    return faults


def _text(cell: Any, column: Column | None) -> str:
    """A cell as it would stand in a CSV file."""
    if isinstance(cell, str):
        text = cell.strip()
        if column is not None and column.kind == "bool":
            return _TRUTHS.get(text.lower(), text)
        return text
    return value_text(cell)


def _choices(texts: list[str], column: Column | None) -> list[str]:
    """Choices that are given in words, as the tables have them."""
    if column is None or not column.choices or {*texts} <= {"", *column.choices}:
        return texts
    known = choices_by_words(column)
    return [text if text in column.choices else known.get(plain(text), text) for text in texts]


def value_text(cell: Any) -> str:
    """A value of a workbook as text: whole numbers without a point, truth as true or false, dates in ISO 8601."""
    match cell:
        case str():
            return cell.strip()
        case bool():
            return "true" if cell else "false"
        case float() if cell.is_integer() and abs(cell) < _LARGEST_WHOLE:
            return str(int(cell))
        case float():
            return repr(cell)
        case datetime.datetime() | datetime.date() | datetime.time():
            return cell.isoformat()
        case _:
            return str(cell)


def _flaw(cell: Any, column: Column | None) -> Flaw | None:
    """What is wrong with a cell by itself: no value, or a date or time where a number is wanted."""
    if isinstance(cell, Flaw):
        return cell
    if not isinstance(cell, datetime.date | datetime.time | datetime.timedelta):
        return None
    if column is None or column.kind in ("str", "bool"):
        return None
    if isinstance(cell, datetime.datetime):
        cell = cell.date()
    if not isinstance(cell, datetime.date):
        return Flaw(f"the time {cell}", "give the cell the number format General, and write the number")
    serial = (cell - _EXCEL_EPOCH).days
    if column.name.endswith("year") and serial not in _UNLIKELY_YEARS:
        return Flaw(f"the date {cell.isoformat()}", f"write {cell.year}")
    return Flaw(
        f"the date {cell.isoformat()}", f"give the cell the number format General: its number is {serial}"
    )


def _csv(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return stream.getvalue().encode("utf-8")

"""Tables and parameters of an instance from the sheets of one Excel workbook."""

from __future__ import annotations

import csv
import datetime
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import tomlkit
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException

from optimize.errors import Fault, InputFaults, UsageError
from optimize.io.validation import TOML, nearest
from optimize.monthly.instance_files import known_tables, replace_table, set_parameter, value_of

# Stands for the "/" of a table's name, which the name of a sheet must not hold.
SHEET_SEPARATOR = "."
PARAMETERS_SHEET = "instance"
_KEY, _VALUE = "key", "value"
# Sheets of the planner's own, which are left alone.
_ASIDE = ("#", "_")


def read_workbook(path: Path, place: Path) -> dict[str, str]:
    """Write each sheet as the table it is called after, below ``place``; by file, where it came from.

    A sheet ``instance`` has columns ``key`` (a dotted parameter such as ``budgets.scale``) and ``value``; it is
    laid over an ``instance.toml`` that is there.  Sheets that begin with ``#`` or ``_`` are left alone.

    Raises
    ------
    UsageError : it is no workbook.
    InputFaults : sheets of no table, cells that hold an error or a formula that was never calculated.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not a file")
    try:
        # what a formula gave when the workbook was saved, and the formula itself
        values = openpyxl.load_workbook(path, read_only=True, data_only=True)
        formulas = openpyxl.load_workbook(path, read_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, OSError) as error:
        raise UsageError(f"{path} is no Excel workbook (.xlsx): {error}") from error
    known = {name.replace("/", SHEET_SEPARATOR): name for name in known_tables()}
    faults: list[Fault] = []
    origins = {}
    for sheet in values.worksheets:
        title = str(sheet.title).strip()
        if title.startswith(_ASIDE):
            continue
        if title != PARAMETERS_SHEET and title not in known:
            mend = nearest(title, [*known, PARAMETERS_SHEET]) or 'sheets that begin with "#" are left alone'
            faults.append(
                Fault(
                    path.name,
                    f"sheet {title}",
                    "the name of a table (pv_siting.sites)",
                    "unknown table",
                    mend,
                )
            )
            continue
        rows, found = _rows_of(f"{path.name}!{title}", sheet, formulas[sheet.title])
        faults += found
        if title == PARAMETERS_SHEET:
            faults += _lay_over(f"{path.name}!{title}", rows, place / TOML)
            origins[TOML] = f"{path.as_posix()}, sheet {title}"
        else:
            file = replace_table(place, known[title])
            with file.open("w", encoding="utf-8", newline="") as stream:
                csv.writer(stream, lineterminator="\n").writerows(rows)
            origins[file.relative_to(place).as_posix()] = f"{path.as_posix()}, sheet {title}"
    values.close()
    formulas.close()
    if faults:
        raise InputFaults(faults)
    return origins


def _rows_of(shown: str, values: Any, formulas: Any) -> tuple[list[list[str]], list[Fault]]:
    """Cells as text, without empty rows at the end and empty columns at the right."""
    rows, faults = [], []
    pairs = zip(values.iter_rows(values_only=True), formulas.iter_rows(values_only=True), strict=True)
    for number, (given, typed) in enumerate(pairs, start=1):
        for column, fault in _wrong_cells(given, typed):
            faults.append(Fault(shown, get_column_letter(column), *fault, line=number))
        rows.append([_text(value) for value in given])
    while rows and not any(rows[-1]):
        rows.pop()
    width = max((k + 1 for row in rows for k, cell in enumerate(row) if cell), default=0)
    return [[*row[:width], *[""] * (width - len(row))] for row in rows], faults


def _wrong_cells(given: Sequence[Any], typed: Sequence[Any]) -> Iterator[tuple[int, tuple[str, str, str]]]:
    for column, (value, formula) in enumerate(zip(given, typed, strict=False), start=1):
        if isinstance(value, str) and value.startswith("#") and value.endswith(("!", "?", "/A", "0!")):
            yield column, ("a value", f"the error {value}", "mend the formula")
        elif value is None and isinstance(formula, str) and formula.startswith("="):
            yield column, ("a value", f"a formula without one ({formula[:40]})", "open and save it in Excel")


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        case datetime.datetime() | datetime.date():
            return value.isoformat()
        case _:
            return str(value).strip()


def _lay_over(shown: str, rows: Sequence[Sequence[str]], toml: Path) -> list[Fault]:
    """Set the sheet's parameters in ``instance.toml``, which is begun where there is none."""
    heading = [cell.lower() for cell in rows[0]] if rows else []
    if _KEY not in heading or _VALUE not in heading:
        return [Fault(shown, "(header)", f"columns {_KEY} and {_VALUE}", ", ".join(heading) or "nothing")]
    document = tomlkit.parse(toml.read_text(encoding="utf-8-sig")) if toml.is_file() else tomlkit.document()
    faults = []
    for number, row in enumerate(rows[1:], start=2):
        key, value = row[heading.index(_KEY)], row[heading.index(_VALUE)]
        if key and not set_parameter(document, key, value_of(value)):
            faults.append(
                Fault(shown, _KEY, "a parameter", f'"{key}" below one that has a value', line=number)
            )
    toml.write_text(tomlkit.dumps(document), encoding="utf-8")
    return faults

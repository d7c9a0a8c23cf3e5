"""An instance in one Excel workbook: a sheet for each table, one of parameters, one of targets.

A workbook stands for an instance folder: each sheet is read as the CSV file that it would be there, so that
everything that holds for folders (validation, fingerprints, digests, archives) holds for workbooks, and the
same cells give the same fingerprint however the file was saved.  What differs is how a place is told: by
sheet and cell (``pv_siting.sites!H118``).
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from optimize.errors import Fault, InputFaults, UsageError
from optimize.io.validation import TOML, nearest
from optimize.io.workbook_cells import Book
from optimize.io.workbook_headings import NAME_SEPARATOR, is_aside, name_of_title, sheet_name
from optimize.io.workbook_settings import PARAMETERS, TARGETS, Settings, read_settings
from optimize.io.workbook_table import TableSheet, table_of
from optimize.schema import Schema, Table

ENDING = ".xlsx"
# Formats that people save by mistake, and say so by the ending.
_OTHER_ENDINGS = (".xls", ".xlsm", ".xlsb", ".ods", ".et")


def is_workbook(path: Path) -> bool:
    """Whether a path means a workbook rather than a folder."""
    return path.suffix.lower() in (ENDING, *_OTHER_ENDINGS) and not path.is_dir()


def open_workbook(path: Path) -> InstanceWorkbook:
    """The workbook as it is now; opened once as long as the file stays the same.

    Raises
    ------
    UsageError : it is not there, is no .xlsx, or is not safe to read (`optimize.io.workbook_safety`).
    """
    if not path.is_file():
        raise UsageError(f"{path} is not there")
    if path.suffix.lower() != ENDING:
        raise UsageError(
            f"{path}: save it as an Excel workbook ({ENDING}), in Excel or LibreOffice by Save As"
        )
    stat = path.stat()
    return _opened(path.absolute(), stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=2)
def _opened(path: Path, _changed_ns: int, _size: int) -> InstanceWorkbook:
    return InstanceWorkbook(path)


class InstanceWorkbook:
    """The sheets of a workbook by the names of the tables they stand for; each is read when it is asked for.

    Attributes
    ----------
    path : of the file.
    titles : title of each sheet by its name (``pv_siting.sites``, ``districts``, ``instance``).
    faults : sheets that mean the same table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._book = Book(path)
        self.titles: dict[str, str] = {}
        faults = []
        for title in self._book.titles:
            if is_aside(title):
                continue
            name = name_of_title(title)
            if name in self.titles:
                faults.append(
                    Fault(
                        title,
                        "(sheet)",
                        "one sheet for each table",
                        f'"{self.titles[name]}", too',
                        "remove one",
                    )
                )
            self.titles.setdefault(name, title)
        self.faults = tuple(faults)
        self._tables: dict[str, TableSheet] = {}

    def table(self, schema: Schema, table: Table) -> TableSheet | None:
        """The sheet of a table, None where there is none."""
        name = sheet_name(schema, table)
        if name not in self.titles:
            return None
        if name not in self._tables:
            self._tables[name] = table_of(
                self._book.sheet(self.titles[name]), table, _file_name(schema, table)
            )
        return self._tables[name]

    def holds(self, schema: Schema) -> bool:
        """Whether any table of the schema's own has a row, or any target of it is set."""
        own = [self.table(schema, table) for table in schema.tables if not table.shared]
        rows = any(sheet is not None and sheet.num_rows for sheet in own)
        return rows or any(path.startswith(f"{schema.programme}.clauses.") for path in self.settings.values)

    @functools.cached_property
    def settings(self) -> Settings:
        """Parameters and targets."""
        sheets = [
            self._book.sheet(self.titles[name]) if name in self.titles else None
            for name in (PARAMETERS, TARGETS)
        ]
        return read_settings(*sheets)

    def unknown_sheets(self, schemas: Iterable[Schema], other_roots: Iterable[str] = ()) -> list[Fault]:
        """Sheets that are no table of ``schemas``; those that begin with a name of ``other_roots`` are others'."""
        known = [sheet_name(schema, table) for schema in schemas for table in schema.tables]
        known += [PARAMETERS, TARGETS]
        others = tuple(f"{root}{NAME_SEPARATOR}" for root in other_roots)
        mend = 'rename it; sheets whose titles begin with "#" are left alone'
        return [
            Fault(title, "(sheet)", "the name of a table (pv_siting.sites)", "unknown table", nearest(name, known) or mend)
            for name, title in self.titles.items()
            if name not in known and not name.startswith(others)
        ]  # fmt: skip

    def faults_of(self, schemas: Sequence[Schema]) -> list[Fault]:
        """What is wrong with sheets and cells by themselves: cells without a value, sheets of no table."""
        sheets = [self.table(schema, table) for schema in schemas for table in schema.tables]
        found = [*self.faults, *self.unknown_sheets(schemas), *self.settings.faults]
        found += [fault for sheet in sheets if sheet is not None for fault in sheet.faults]
        return self.located_all(found)

    def located(self, fault: Fault) -> Fault:
        """A fault with its sheet and cell; its line becomes the row of the sheet.

        ``fault.table`` may be a sheet's title, or the file it stands for, with lines of that file.
        """
        if fault.cell:
            return fault
        if fault.table == TOML:
            cell = self.settings.cell(fault.column)
            title = cell.rpartition("!")[0] or self.titles.get(PARAMETERS, PARAMETERS)
            return replace(fault, table=title, cell=cell)
        for sheet in self._tables.values():
            if fault.table == sheet.file and fault.line is not None:
                fault = replace(fault, line=fault.line + sheet.first_row - 1)
            if fault.table in (sheet.file, sheet.title):
                if fault.found == "unknown column":
                    mend = nearest(fault.column, sheet.known_headings) or fault.mend
                    fault = replace(fault, mend=mend)
                return replace(fault, table=sheet.title, cell=sheet.cell(fault.line, fault.column))
        if fault.found == "missing file":
            name = Path(fault.table).with_suffix("").as_posix().replace("/", NAME_SEPARATOR)
            return replace(fault, table=name, column="(sheet)", found="no such sheet")
        return fault

    def located_all(self, faults: Sequence[Fault]) -> list[Fault]:
        """Every fault in its place, in the order of sheets and rows.

        Where a cell holds no value of its own, what follows from that is left out: that it is empty or no
        number, and that rows without their keys are the same.
        """
        own = {self.located(fault) for sheet in self._tables.values() for fault in sheet.faults}
        cells = {(fault.cell, fault.column) for fault in own}
        rows = {(fault.table, fault.line) for fault in own}
        found = [
            fault
            for fault in dict.fromkeys(self.located(fault) for fault in faults)
            if fault in own
            or not (
                (fault.cell, fault.column) in cells
                or (fault.expected.endswith("unique") and (fault.table, fault.line) in rows)
            )
        ]
        places = {title: place for place, title in enumerate(self.titles.values())}
        return sorted(found, key=lambda fault: (places.get(fault.table, -1), fault.line or 0))


def unpack_workbook(
    path: Path, folder: Path, schemas: Sequence[Schema]
) -> tuple[Mapping[str, str], list[Fault]]:
    """Write every sheet as the file it stands for, below ``folder``; what is wrong with values is written as it is.

    Returns
    -------
    (title of the sheet by file, faults of cells that hold no value, of sheets and of settings).
    """
    book = open_workbook(path)
    origins = unpack_tables(book, folder, schemas)
    if PARAMETERS in book.titles or TARGETS in book.titles:
        (folder / TOML).write_bytes(book.settings.toml())
        origins[TOML] = book.titles.get(PARAMETERS, TARGETS)
    return origins, book.faults_of(schemas)


def unpack_tables(book: InstanceWorkbook, folder: Path, schemas: Sequence[Schema]) -> dict[str, str]:
    """Write the tables; files that are there are replaced.  Returns the title of the sheet by file.

    Of a programme that has no row in the workbook, and no folder yet, nothing is written: there would be a
    programme without anything in it.
    """
    origins: dict[str, str] = {}
    for schema in schemas:
        is_there = (folder / schema.programme).is_dir() or book.holds(schema)
        for table in schema.tables:
            sheet = book.table(schema, table)
            if sheet is None or sheet.file in origins or not (is_there or table.shared):
                continue
            target = folder / sheet.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.with_suffix(".parquet").unlink(missing_ok=True)
            target.write_bytes(sheet.content)
            origins[sheet.file] = sheet.title
    return origins


def workbook_to_folder(path: Path, folder: Path, schemas: Sequence[Schema]) -> None:
    """Unpack a workbook into a new folder.

    Raises
    ------
    UsageError : the folder is there already; it is no workbook.
    InputFaults : sheets of no table, cells that hold no value; nothing is written.
    """
    if folder.exists():
        raise UsageError(f"{folder} exists already; choose another place")
    try:
        _, faults = unpack_workbook(path, folder, schemas)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if faults:
        shutil.rmtree(folder, ignore_errors=True)
        raise InputFaults(faults)


def _file_name(schema: Schema, table: Table) -> str:
    return f"{table.name}.csv" if table.shared else f"{schema.programme}/{table.name}.csv"

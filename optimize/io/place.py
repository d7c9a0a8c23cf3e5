"""Where an instance lies: a folder of files, or a workbook whose sheets stand for such files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from optimize.errors import Fault, UsageError
from optimize.io.fingerprint import Content
from optimize.io.tables import RawTable, find_table, read_csv_bytes, read_table
from optimize.io.validation import TOML
from optimize.io.workbook import InstanceWorkbook, is_workbook, open_workbook
from optimize.io.workbook_table import TableSheet
from optimize.schema import Schema, Table


class Place(Protocol):
    """What reading an instance asks of the place where it lies; files are called as they are in a folder."""

    @property
    def path(self) -> Path: ...

    def holds(self, schema: Schema) -> bool:
        """Whether there is anything of a programme."""
        ...

    def settings(self) -> Content:
        """``instance.toml``."""
        ...

    def read(self, schema: Schema, table: Table) -> RawTable | Fault | None:
        """A table as found, None where there is none; a table that cannot be read at all is a fault."""
        ...

    def files(self, schema: Schema) -> list[tuple[str, Content]]:
        """Name and content of everything a schema is read from."""
        ...

    def named(self, name: str) -> Path:
        """A file that a parameter names."""
        ...

    def odd_parts(self, schema: Schema) -> list[Fault]:
        """Tables that the schema does not have, and cells that are none."""
        ...

    def odd_whole(self, schemas: Sequence[Schema], other_roots: Iterable[str]) -> list[Fault]:
        """What is wrong with the place as a whole."""
        ...

    def located(self, faults: Sequence[Fault]) -> list[Fault]:
        """Faults as a reader finds them there, each once."""
        ...


def place_of(path: Path) -> Place:
    """Where the instance called ``path`` lies.

    Raises
    ------
    UsageError : there is no instance; a workbook that cannot be read safely.
    """
    if is_workbook(path):
        return WorkbookPlace(open_workbook(path))
    if not path.is_dir():
        raise UsageError(
            f"{path} is not a folder or workbook; an instance is a folder with {TOML} and tables, or an Excel workbook (.xlsx)"
        )
    if not (path / TOML).is_file():
        raise UsageError(f"{path} holds no {TOML}; `optimize template` writes an example")
    return FolderPlace(path)


def is_instance(path: Path) -> bool:
    """Whether something lies there that can be an instance."""
    return path.is_dir() or (is_workbook(path) and path.is_file())


class FolderPlace:
    """A folder with ``instance.toml``, shared tables, and a folder of tables for each programme."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def holds(self, schema: Schema) -> bool:
        return (self.path / schema.programme).is_dir()

    def settings(self) -> Content:
        return self.path / TOML

    def read(self, schema: Schema, table: Table) -> RawTable | Fault | None:
        file = self._find(schema, table)
        return None if file is None else read_table(file, file.relative_to(self.path).as_posix())

    def files(self, schema: Schema) -> list[tuple[str, Content]]:
        found: list[tuple[str, Content]] = [(TOML, self.path / TOML)]
        for table in schema.tables:
            file = self._find(schema, table)
            if file is not None:
                found.append((file.relative_to(self.path).as_posix(), file))
        return found

    def named(self, name: str) -> Path:
        return self.path / name

    def odd_parts(self, schema: Schema) -> list[Fault]:
        known = {table.name for table in schema.tables if not table.shared}
        folder = self.path / schema.programme
        return [
            Fault(
                file.relative_to(self.path).as_posix(),
                "(file)",
                f"one of {', '.join(sorted(known))}",
                "unknown table",
                "rename or remove it",
            )
            for file in (sorted(folder.iterdir()) if folder.is_dir() else ())
            if file.suffix in (".csv", ".parquet") and file.stem not in known
        ]

    def odd_whole(self, schemas: Sequence[Schema], other_roots: Iterable[str]) -> list[Fault]:
        return []

    def located(self, faults: Sequence[Fault]) -> list[Fault]:
        return list(dict.fromkeys(faults))

    def _find(self, schema: Schema, table: Table) -> Path | None:
        return find_table(self.path if table.shared else self.path / schema.programme, table.name)


class WorkbookPlace:
    """One Excel workbook."""

    def __init__(self, book: InstanceWorkbook) -> None:
        self._book = book

    @property
    def path(self) -> Path:
        return self._book.path

    def holds(self, schema: Schema) -> bool:
        return self._book.holds(schema)

    def settings(self) -> Content:
        return self._book.settings.toml()

    def read(self, schema: Schema, table: Table) -> RawTable | Fault | None:
        sheet = self._sheet(schema, table)
        if sheet is None:
            return None
        if not sheet.columns:
            return sheet.faults[0]
        raw = read_csv_bytes(sheet.content, sheet.title)
        if isinstance(raw, Fault):
            return raw
        return RawTable(raw.path, raw.names, raw.lines + (sheet.first_row - 1), raw.cells)

    def files(self, schema: Schema) -> list[tuple[str, Content]]:
        found: list[tuple[str, Content]] = [(TOML, self._book.settings.toml())]
        for table in schema.tables:
            sheet = self._sheet(schema, table)
            if sheet is not None:
                found.append((sheet.file, sheet.content))
        return found

    def _sheet(self, schema: Schema, table: Table) -> TableSheet | None:
        """The sheet of a table; one that may be missing and has no rows is as good as none."""
        sheet = self._book.table(schema, table)
        return None if sheet is None or (table.optional and not sheet.num_rows) else sheet

    def named(self, name: str) -> Path:
        return self._book.path.parent / name

    def odd_parts(self, schema: Schema) -> list[Fault]:
        sheets = [self._book.table(schema, table) for table in schema.tables]
        return [fault for sheet in sheets if sheet is not None for fault in sheet.faults]

    def odd_whole(self, schemas: Sequence[Schema], other_roots: Iterable[str]) -> list[Fault]:
        return [
            *self._book.faults,
            *self._book.unknown_sheets(schemas, other_roots),
            *self._book.settings.faults,
        ]

    def located(self, faults: Sequence[Fault]) -> list[Fault]:
        return self._book.located_all(faults)

"""Tables of an instance from queries of a database (SQLAlchemy): PostgreSQL, SQLite, and what else it speaks."""

from __future__ import annotations

import csv
import datetime
import decimal
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from optimize.errors import Fault, InputFaults
from optimize.monthly.database import Refused, asked, one_moment, shown, url_of
from optimize.monthly.instance_files import replace_table
from optimize.monthly.ledger_rows import Ledger
from optimize.monthly.ledger_table import read_within

_TABLE = re.compile(r"\w+(\.\w+)?")
_ROWS_AT_ONCE = 5_000


def read_database(
    address: str, queries: Mapping[str, str], place: Path, ledger: str = ""
) -> tuple[dict[str, str], Ledger | None]:
    """Write the table of each query below ``place``; by file, where it came from.

    Parameters
    ----------
    queries : by table, a SELECT or the name of a table or view.
    ledger : table of the ledger, which is returned as it was at the same moment; "": there is none.

    Raises
    ------
    UsageError : the address is none, or its driver is not installed.
    InputFaults : all queries that the database refuses, columns that are no text or numbers, a damaged ledger.
    SourceUnavailable : no connection, or it was lost.
    """
    url = url_of(address)
    faults: list[Fault] = []
    origins = {}
    found = None
    with one_moment(url) as connection:
        for name, query in queries.items():
            statement = f"SELECT * FROM {query.strip()}" if _TABLE.fullmatch(query.strip()) else query
            path = replace_table(place, name)
            try:
                with asked(connection, f"{name} was read"):
                    faults += _write_rows(connection, statement, name, path)
            except Refused as error:
                faults.append(Fault(name, "(query)", "a query the database answers", str(error)))
            origins[path.relative_to(place).as_posix()] = f"{shown(url)}: {' '.join(statement.split())}"
        if ledger:
            try:
                found = read_within(connection, ledger)
            except InputFaults as error:
                faults += error.faults
    if faults:
        raise InputFaults(faults)
    return origins, found


def _write_rows(connection: Connection, statement: str, name: str, path: Path) -> list[Fault]:
    # a colon in a query is no parameter of ours
    question = sa.text(statement.replace(":", r"\:"))
    result = connection.execute(question, execution_options={"yield_per": _ROWS_AT_ONCE})
    if not result.returns_rows:
        return [Fault(name, "(query)", "a SELECT", "a statement that gives no rows")]
    columns = list(result.keys())
    faults: dict[str, Fault] = {}
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        for number, row in enumerate(result, start=1):
            cells = [_text(value) for value in row]
            for column, cell, value in zip(columns, cells, row, strict=True):
                if cell is None and column not in faults:
                    kind = type(value).__name__
                    faults[column] = Fault(
                        name, column, "texts, numbers or truth values", f"{kind} in row {number}"
                    )
            writer.writerow(["" if cell is None else cell for cell in cells])
    return list(faults.values())


def _text(value: Any) -> str | None:
    """A value as it would stand in a file; None: it is of a kind that cannot."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return "" if value != value else repr(value)
        case str() | int():
            return str(value)
        case decimal.Decimal():
            return format(value, "f")
        case datetime.date():
            return value.isoformat()
        case _:
            return None

"""Tables of an instance from queries of a database (SQLAlchemy): PostgreSQL, SQLite, and what else it speaks."""

from __future__ import annotations

import csv
import datetime
import decimal
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from optimize.errors import Fault, InputFaults, UsageError
from optimize.monthly.instance_files import SourceUnavailable, replace_table

_TABLE = re.compile(r"\w+(\.\w+)?")
_ROWS_AT_ONCE = 5_000
_CONNECT_TIMEOUT_S = 15
# A server that has gone without a word is noticed after half a minute.
_POSTGRESQL = {
    "connect_timeout": _CONNECT_TIMEOUT_S,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
}
_SQLITE_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")


def read_database(address: str, queries: Mapping[str, str], place: Path) -> dict[str, str]:
    """Write the table of each query below ``place``; by file, where it came from.

    Parameters
    ----------
    queries : by table, a SELECT or the name of a table or view.

    Raises
    ------
    UsageError : the address is none, or its driver is not installed.
    InputFaults : all queries that the database refuses, and columns that are no text or numbers.
    SourceUnavailable : no connection, or it was lost.
    """
    url = _url_of(address)
    shown = url.render_as_string(hide_password=True)
    faults: list[Fault] = []
    origins = {}
    with _one_moment(url, shown) as connection:
        for name, query in queries.items():
            statement = f"SELECT * FROM {query.strip()}" if _TABLE.fullmatch(query.strip()) else query
            path = replace_table(place, name)
            try:
                with connection.begin_nested():
                    faults += _write_rows(connection, statement, name, path)
            except DBAPIError as error:
                if _is_gone(connection, error):
                    raise SourceUnavailable(
                        f"{shown} went away while {name} was read: {_first_line(error)}"
                    ) from error
                faults.append(Fault(name, "(query)", "a query the database answers", _first_line(error)))
            origins[path.relative_to(place).as_posix()] = f"{shown}: {' '.join(statement.split())}"
    if faults:
        raise InputFaults(faults)
    return origins


def _url_of(address: str) -> URL:
    try:
        url = make_url(address)
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError) as error:
        # the message of a malformed address may hold its password
        raise UsageError("[instance] database is no address such as postgresql+psycopg://reader@host/city, or of a "
                         "kind of database that is not known") from error  # fmt: skip
    database = url.database
    if url.get_backend_name() == "sqlite" and (not database or not Path(database).is_file()):
        raise UsageError(f"{database or 'the SQLite database'} is not a file")
    return url


@contextmanager
def _one_moment(url: URL, shown: str) -> Iterator[Connection]:
    """A connection that sees the database as it is now, whatever others write meanwhile, and writes nothing."""
    is_postgresql = url.get_backend_name() == "postgresql"
    try:
        engine = sa.create_engine(
            url, poolclass=sa.NullPool, connect_args=_POSTGRESQL if is_postgresql else {}
        )
        if url.get_backend_name() == "sqlite":
            sa.event.listen(engine, "connect", _leave_transactions_to_us)
            sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    except ModuleNotFoundError as error:
        raise UsageError(f"{shown} needs the Python package {error.name}; for PostgreSQL: pip install 'optimize[postgresql]'") from error  # fmt: skip
    try:
        connection = engine.connect()
    except SQLAlchemyError as error:
        raise SourceUnavailable(f"{shown} cannot be reached: {_first_line(error)}") from error
    try:
        if is_postgresql:
            connection = connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        with connection.begin():
            yield connection
    except DBAPIError as error:
        raise SourceUnavailable(f"{shown} went away: {_first_line(error)}") from error
    finally:
        connection.close()
        engine.dispose()


def _leave_transactions_to_us(connection: Any, _: Any) -> None:
    """Python's driver would begin a transaction at the first write only: two SELECTs would see two states."""
    connection.isolation_level = None


def _write_rows(connection: Connection, statement: str, name: str, path: Path) -> list[Fault]:
    # a colon in a query is no parameter of ours
    asked = sa.text(statement.replace(":", r"\:"))
    result = connection.execute(asked, execution_options={"yield_per": _ROWS_AT_ONCE})
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


def _is_gone(connection: Connection, error: DBAPIError) -> bool:
    """Whether it is the connection that failed, not the query."""
    if error.connection_invalidated or getattr(error.orig, "sqlite_errorname", "") in _SQLITE_BUSY:
        return True
    try:
        connection.exec_driver_sql("SELECT 1")
    except SQLAlchemyError:
        return True
    return False


def _first_line(error: BaseException) -> str:
    """The driver's own words, without SQLAlchemy's frame around them."""
    cause = getattr(error, "orig", None) or error
    return next(iter(str(cause).strip().splitlines()), type(cause).__name__)

"""Connections to a database (SQLAlchemy): PostgreSQL, SQLite, and what else it speaks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from optimize.errors import UsageError
from optimize.monthly.instance_files import SourceUnavailable

_CONNECT_TIMEOUT_S = 15
# A server that has gone without a word is noticed after half a minute.
_POSTGRESQL = {
    "connect_timeout": _CONNECT_TIMEOUT_S,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
}
_SQLITE_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")


class Refused(Exception):
    """The database answered that it does not do what it was asked; the connection is as good as before."""


def url_of(address: str) -> URL:
    """The address, which names a kind of database that is known; raises UsageError where it does not."""
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


def shown(url: URL) -> str:
    """The address without its password."""
    return url.render_as_string(hide_password=True)


@contextmanager
def one_moment(url: URL) -> Iterator[Connection]:
    """A connection that sees the database as it is now, whatever others write meanwhile, and writes nothing.

    Raises
    ------
    UsageError : its driver is not installed.
    SourceUnavailable : no connection, or it was lost.
    """
    with _connected(url, "BEGIN") as connection:
        if url.get_backend_name() == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin():
            yield connection


@contextmanager
def all_or_nothing(url: URL) -> Iterator[Connection]:
    """A connection that writes all that is asked of it once the block ends well, or nothing.

    Raises
    ------
    UsageError : its driver is not installed.
    SourceUnavailable : no connection, it was lost, or others held the database too long.
    """
    # SQLite: the one who writes is known before anything is read
    with _connected(url, "BEGIN IMMEDIATE") as connection, connection.begin():
        yield connection


@contextmanager
def asked(connection: Connection, what: str) -> Iterator[None]:
    """One question, after which the next can be asked whatever came of it.

    Raises
    ------
    Refused : the database does not answer it, in the driver's own words.
    SourceUnavailable : the connection was lost.
    """
    try:
        with connection.begin_nested():
            yield
    except DBAPIError as error:
        if _is_gone(connection, error):
            place = shown(connection.engine.url)
            raise SourceUnavailable(f"{place} went away while {what}: {_first_line(error)}") from error
        raise Refused(_first_line(error)) from error


@contextmanager
def _connected(url: URL, sqlite_begin: str) -> Iterator[Connection]:
    engine = _engine_of(url, sqlite_begin)
    try:
        connection = engine.connect()
    except SQLAlchemyError as error:
        raise SourceUnavailable(f"{shown(url)} cannot be reached: {_first_line(error)}") from error
    try:
        yield connection
    except DBAPIError as error:
        raise SourceUnavailable(f"{shown(url)} went away: {_first_line(error)}") from error
    finally:
        connection.close()
        engine.dispose()


def _engine_of(url: URL, sqlite_begin: str) -> Engine:
    is_postgresql = url.get_backend_name() == "postgresql"
    try:
        engine = sa.create_engine(
            url, poolclass=sa.NullPool, connect_args=_POSTGRESQL if is_postgresql else {}
        )
    except ModuleNotFoundError as error:
        raise UsageError(f"{shown(url)} needs the Python package {error.name}; for PostgreSQL: pip install 'optimize[postgresql]'") from error  # fmt: skip
    if url.get_backend_name() == "sqlite":
        sa.event.listen(engine, "connect", _leave_transactions_to_us)
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(sqlite_begin))
    return engine


def _leave_transactions_to_us(connection: Any, _: Any) -> None:
    """Python's driver would begin a transaction at the first write only: two SELECTs would see two states."""
    connection.isolation_level = None


def _is_gone(connection: Connection, error: DBAPIError) -> bool:
    """Whether it is the connection that failed, not what was asked."""
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

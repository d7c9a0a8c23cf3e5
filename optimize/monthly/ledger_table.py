"""The ledger as a table of a database: one row an entry, numbered from 1, with the hash of the row before in its own.

The database itself refuses to change, delete or replace rows, by triggers where we know how its kind writes
them; whatever is done to the table all the same is found by the hashes when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateTable

from optimize.errors import Fault, InputFaults, UsageError
from optimize.io.tables import RawTable
from optimize.monthly.database import Refused, all_or_nothing, asked, one_moment, shown, url_of
from optimize.monthly.instance_files import SourceUnavailable
from optimize.monthly.ledger_rows import COLUMNS, HASH, STORED, Cells, Ledger, chain_faults, entries_of

ENTRY = "entry"
_HASH_LENGTH = 64
_TYPES: Mapping[str, Any] = {"str": sa.Text, "int": sa.Integer, "float": sa.Double}
# Others who append at the same moment are waited for so often.
_ATTEMPTS = 20
_REFUSAL = "rows of a ledger are appended, never changed"
_MEND = "put the row back as it was"


class _Overtaken(Exception):
    """Somebody else appended since the ledger was read."""


def read(address: str, name: str) -> Ledger:
    """The ledger as it is now; a table that is not there is an empty one.

    Raises
    ------
    InputFaults : it cannot be read, or the first row whose hash does not fit.
    SourceUnavailable : no connection, or it was lost.
    """
    with one_moment(url_of(address)) as connection:
        return read_within(connection, name)


def read_within(connection: Connection, name: str) -> Ledger:
    """The ledger as a transaction sees it; raises as `read` does."""
    table = _table(name)
    try:
        with asked(connection, f"{name} was read"):
            if not _exists(connection, table):
                return Ledger()
            columns = [table.c[ENTRY], *(table.c[column] for column in COLUMNS)]
            found = connection.execute(sa.select(*columns).order_by(table.c[ENTRY])).all()
    except Refused as error:
        raise InputFaults([Fault(name, "(table)", "a ledger that may be read", str(error))]) from error
    numbers = np.array([row[0] for row in found], dtype=np.int64)
    misplaced = np.flatnonzero(numbers != np.arange(1, len(found) + 1))
    if len(misplaced):
        k = int(misplaced[0])
        raise InputFaults([Fault(name, ENTRY, str(k + 1), str(numbers[k]), f"{_MEND}; rows are missing before it", line=k + 1)])  # fmt: skip
    rows: list[Cells] = [dict(zip(COLUMNS, map(_text, row[1:]), strict=True)) for row in found]
    faults = chain_faults(name, rows, 1, _MEND)
    if faults:
        raise InputFaults(faults)
    frame = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    entries, faults = entries_of(RawTable.of_frame(name, frame, numbers), STORED)
    if faults:
        raise InputFaults(faults)
    return Ledger(tuple(entries), tuple(row[HASH] for row in rows))


def append(address: str, name: str, further: Callable[[Ledger], tuple[Ledger, list[Cells]]]) -> Ledger:
    """Add rows behind those that are there, all or none; a table that is not there is made.

    Parameters
    ----------
    further : the ledger with what is to be added, and the rows of that; asked again where others were faster.

    Raises
    ------
    InputFaults : the ledger is damaged, or what ``further`` raises.
    UsageError : the database does not let them be written.
    SourceUnavailable : no connection, it was lost, or others kept writing.
    """
    url = url_of(address)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with all_or_nothing(url) as connection:
                before = read_within(connection, name)
                after, rows = further(before)
                _write(connection, name, rows, len(before.entries))
                return after
        except _Overtaken as error:
            if attempt == _ATTEMPTS:
                raise SourceUnavailable(f"others kept writing {name}; asked {attempt} times") from error
        except Refused as error:
            raise _unwritten(name, url, error) from error
    raise AssertionError("at least one attempt is made")


def begin(address: str, name: str, rows: Sequence[Cells]) -> None:
    """Make the table, with rows that are a ledger already; raises as `append` does."""
    url = url_of(address)
    try:
        with all_or_nothing(url) as connection:
            _write(connection, name, rows, 0)
    except Refused as error:
        raise _unwritten(name, url, error) from error


def is_there(address: str, name: str) -> bool:
    """Whether the database has the table."""
    with one_moment(url_of(address)) as connection:
        return _exists(connection, _table(name))


def statements_of(address: str, name: str) -> list[str]:
    """SQL by which an administrator makes the table, and the triggers that keep its rows as they are."""
    url = url_of(address)
    create = str(CreateTable(_table(name)).compile(dialect=url.get_dialect()())).strip()
    return [create, *_guards(url, name).statements]


def missing_guards(address: str, name: str) -> list[str]:
    """Triggers that should keep the rows as they are, and are not there or switched off."""
    url = url_of(address)
    guards = _guards(url, name)
    if not guards.triggers:
        return []
    with one_moment(url) as connection:
        installed = sa.text(_INSTALLED[url.get_backend_name()])
        known = set(connection.execute(installed, {"name": guards.table}).scalars())
    return [trigger for trigger in guards.triggers if trigger not in known]


def _unwritten(name: str, url: URL, error: Refused) -> UsageError:
    return UsageError(
        f"{shown(url)} does not let {name} be written ({error}); who appends needs SELECT and INSERT. "
        "`optimize ledger begin JOB --print` shows the statements by which an administrator makes the table"
    )


def _write(connection: Connection, name: str, rows: Sequence[Cells], behind: int) -> None:
    """Insert rows behind the first ``behind``; where there is no table it is made."""
    table = _table(name)
    with asked(connection, f"{name} was written"):
        if not _exists(connection, table):
            connection.execute(CreateTable(table))
            for statement in _guards(connection.engine.url, name).statements:
                connection.execute(sa.text(statement))
    typed = [{ENTRY: behind + k, **_typed(row)} for k, row in enumerate(rows, start=1)]
    try:
        with asked(connection, f"{name} was written"):
            if typed:
                connection.execute(sa.insert(table), typed)
    except Refused as error:
        if isinstance(error.__cause__, IntegrityError):
            raise _Overtaken from error
        raise


def _table(name: str) -> sa.Table:
    """The table; texts may be empty and are never NULL, numbers that are not said are NULL."""
    schema, _, own = name.rpartition(".")
    columns = [
        sa.Column(column.name, _TYPES[column.kind], nullable=column.kind != "str")
        for column in STORED.columns
    ]
    whole = sa.CheckConstraint(f"length({HASH}) = {_HASH_LENGTH}")  # a row typed in by hand has none
    number = sa.Column(ENTRY, sa.Integer, primary_key=True, autoincrement=False)
    return sa.Table(own, sa.MetaData(), number, *columns, whole, schema=schema or None)


def _exists(connection: Connection, table: sa.Table) -> bool:
    return sa.inspect(connection).has_table(table.name, table.schema)


def _typed(row: Cells) -> dict[str, Any]:
    """Cells as the database has them."""
    of = {"str": str, "int": int, "float": float}
    return {
        column.name: None if column.kind != "str" and not row[column.name] else of[column.kind](row[column.name])
        for column in STORED.columns
    }  # fmt: skip


def _text(value: Any) -> str:
    """What the database has as the cell whose hash was taken."""
    if value is None:
        return ""
    return value if isinstance(value, str) else repr(value)


# --- what keeps rows as they are --------------------------------------------------------------------

# Triggers that are in force for a table.
_INSTALLED = {
    "postgresql": "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(:name) AND tgenabled <> 'D'",
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :name",
}


@dataclass(frozen=True)
class _Guards:
    """Triggers of a table, as its kind of database names it, and the statements that make them."""

    table: str
    triggers: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()


def _guards(url: URL, name: str) -> _Guards:
    """What keeps the rows as they are; nothing where we do not know how this kind of database writes it."""
    quoted = url.get_dialect()().identifier_preparer
    table = _table(name)
    shown_as, own = quoted.format_table(table), table.name
    if url.get_backend_name() == "postgresql":
        function = quoted.format_table(sa.Table(f"{own}_stays", sa.MetaData(), schema=table.schema))
        return _postgresql_guards(shown_as, f"{own}_stays", quoted.quote(f"{own}_stays"), function)
    if url.get_backend_name() == "sqlite":
        return _sqlite_guards(own, shown_as)
    return _Guards(own)


def _postgresql_guards(table: str, trigger: str, quoted: str, function: str) -> _Guards:
    """One trigger, before any statement that is no INSERT."""
    refuse = (
        f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
    )
    before = (
        f"CREATE TRIGGER {quoted} BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
    )
    return _Guards(table, (trigger,), (refuse, before))


def _sqlite_guards(own: str, table: str) -> _Guards:
    """A trigger for each; INSERT OR REPLACE would delete a row without a word."""
    there = f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {ENTRY} = NEW.{ENTRY})"
    events = {"update": "UPDATE", "delete": "DELETE", "replace": "INSERT"}
    made = {
        f"{own}_no_{what}": f"BEFORE {event} ON {table} {there if what == 'replace' else ''}"
        for what, event in events.items()
    }
    statements = [
        f"CREATE TRIGGER \"{trigger}\" {before} BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        for trigger, before in made.items()
    ]
    return _Guards(own, tuple(made), tuple(statements))

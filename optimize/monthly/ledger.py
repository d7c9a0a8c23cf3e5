"""The ledger of projects: one row for everything that happened to one, appended to and never edited.

It lies in a CSV file, or in a table of the database the instance is read from.  Either way the rows are those
of `optimize.monthly.ledger_rows`, chained by their hashes.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import fcntl
import io
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from optimize.errors import Fault, InputFaults, UsageError
from optimize.io.tables import RawTable, decode, read_table
from optimize.monthly.ledger_rows import (
    COLUMNS,
    HASH,
    STORED,
    TABLE,
    Cells,
    chain_faults,
    entries_of,
    followed,
    hashed,
)
from optimize.monthly.ledger_rows import Entry as Entry
from optimize.monthly.ledger_rows import Ledger as Ledger
from optimize.monthly.ledger_rows import decision_of as decision_of
from optimize.monthly.ledger_rows import is_period as is_period
from optimize.monthly.sources import address_of

_ADDRESS = re.compile(r"//[^@/]*@")


@dataclass(frozen=True)
class LedgerTable:
    """A ledger that is a table.

    Attributes
    ----------
    database : SQLAlchemy address, with ``${NAME}`` for what is taken from the environment.
    name : of the table, with its schema where it is not the database's own.
    """

    database: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} in {_ADDRESS.sub('//', self.database)}"


LedgerPlace: TypeAlias = Path | LedgerTable
Check: TypeAlias = Callable[[Ledger, Sequence[Entry]], Sequence[Fault]]
"""What keeps entries from following a ledger: `optimize.monthly.ledger_states.entry_faults`."""


def read_ledger(place: LedgerPlace) -> Ledger:
    """The ledger at a place; one that was not begun yet is empty.

    Raises
    ------
    InputFaults : cells that cannot be read, and the first row whose hash does not fit.
    SourceUnavailable : the database does not answer.
    """
    if isinstance(place, LedgerTable):
        from optimize.monthly import ledger_table  # loaded where there is one

        return ledger_table.read(address_of(place.database), place.name)
    if not place.exists():
        return Ledger()
    if not place.is_file():
        raise UsageError(f"{place} is not a file; a ledger is a CSV that `optimize ledger add` begins")
    cells, entries, faults = _parsed(place)
    faults = faults or chain_faults(place.name, cells, 2, "put the file back as it was")
    if faults:
        raise InputFaults(faults)
    return Ledger(tuple(entries), tuple(row[HASH] for row in cells))


def read_entries(path: Path) -> list[Entry]:
    """Entries still to be appended, from a CSV with the ledger's columns (those without a default at least).

    Raises
    ------
    UsageError : there is no such file.
    InputFaults : all faults of its cells.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not a file")
    raw = read_table(path, path.name)
    if isinstance(raw, Fault):
        raise InputFaults([raw])
    entries, faults = entries_of(raw, TABLE)
    if faults:
        raise InputFaults(faults)
    return entries


def append_entries(
    place: LedgerPlace, entries: Sequence[Entry], check: Check, now: datetime.datetime | None = None
) -> Ledger:
    """Add entries behind those that are there, all or none, and return the ledger.

    What stands there stays as it is, bit by bit; two calls at once wait for each other.

    Parameters
    ----------
    now : when they are written down; None: the clock's time.

    Raises
    ------
    InputFaults : the ledger there is damaged, or the entries may not follow it.
    UsageError : the database does not let them be written.
    """

    def further(ledger: Ledger) -> tuple[Ledger, list[Cells]]:
        faults = check(ledger, entries)
        if faults:
            raise InputFaults(faults)
        return followed(ledger, entries, now)

    if isinstance(place, LedgerTable):
        from optimize.monthly import ledger_table  # loaded where there is one

        return ledger_table.append(address_of(place.database), place.name, further)
    place.parent.mkdir(parents=True, exist_ok=True)
    with _held(place):
        after, rows = further(read_ledger(place))
        before = place.read_bytes() if place.exists() else b""
        _replace(place, before + _csv_of(rows, heading=not before))
    return after


def begin_ledger(place: LedgerPlace, ledger: Ledger) -> None:
    """A ledger where there is none, with the entries of another as they stand, hashes and all.

    Raises
    ------
    UsageError : there is one already, or the database does not let it be made.
    InputFaults : rows that would not come out as they stand (other software wrote them).
    """
    rows = hashed(ledger.entries)
    if tuple(row[HASH] for row in rows) != ledger.hashes:
        wrong = next(k for k, row in enumerate(rows) if row[HASH] != ledger.hashes[k])
        expected = "cells as `optimize ledger add` writes them (numbers with a point, no blanks around)"
        raise InputFaults(
            [Fault("ledger", HASH, expected, "others", "keep the file", line=ledger.entries[wrong].line)]
        )
    if is_begun(place):
        raise UsageError(f"{place} is there already; a ledger is appended to, not begun anew")
    if isinstance(place, LedgerTable):
        from optimize.monthly import ledger_table  # loaded where there is one

        ledger_table.begin(address_of(place.database), place.name, rows)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with _held(place):
        write_ledger(place, ledger)


def is_begun(place: LedgerPlace) -> bool:
    """Whether there is a ledger at a place, be it an empty one."""
    if isinstance(place, LedgerTable):
        from optimize.monthly import ledger_table  # loaded where there is one

        return ledger_table.is_there(address_of(place.database), place.name)
    return place.exists()


def write_ledger(path: Path, ledger: Ledger) -> None:
    """The ledger as a file."""
    _replace(path, _csv_of(hashed(ledger.entries), heading=True))


def _parsed(path: Path) -> tuple[list[Cells], list[Entry], list[Fault]]:
    raw = read_table(path, path.name)
    if isinstance(raw, Fault):
        return [], [], [raw]
    text = decode(path.read_bytes()) or ""
    if not text.endswith("\n"):
        return (
            [],
            [],
            [Fault(path.name, "(file)", "a whole last line", "a line that is cut off", line=len(raw) + 1)],
        )
    entries, faults = entries_of(raw, STORED)
    columns = {name: _texts(raw, place) for place, name in enumerate(raw.names)}
    rows: list[Cells] = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return rows, entries, faults


def _texts(raw: RawTable, place: int) -> list[str]:
    cells = raw.cells(place)
    assert not isinstance(cells, Fault)  # a CSV, whose columns are all read with it
    return [str(cell).strip() for cell in cells]


def _csv_of(rows: Sequence[Cells], *, heading: bool) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if heading:
        writer.writerow(COLUMNS)
    writer.writerows([row[name] for name in COLUMNS] for row in rows)
    # the sign by which Excel knows UTF-8 stands once, before the heading
    return (b"\xef\xbb\xbf" if heading else b"") + out.getvalue().encode()


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """One appends at a time; the lock is the system's and goes with its process."""
    with (path.parent / f".{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace(path: Path, content: bytes) -> None:
    """The file with this content or, whatever happens on the way, as it was."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

"""Where a period's instance comes from: a folder, a workbook, queries of a database, or these over a folder.

Whatever the source is, what is read is written as an instance folder, which the period keeps: it is what
was solved, and what its plan is verified against.
"""

from __future__ import annotations

import os
import re
import shutil
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from optimize.errors import Fault, InputFaults, UsageError
from optimize.io.run_store import file_digest
from optimize.io.validation import TOML, nearest
from optimize.monthly.instance_files import SourceUnavailable as SourceUnavailable
from optimize.monthly.instance_files import known_tables, written_at_once
from optimize.monthly.ledger_rows import Ledger

_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Source:
    """Where an instance is read from.

    Attributes
    ----------
    folder : an instance folder; None: the workbook holds everything.
    workbook : an .xlsx whose sheets stand instead of the folder's tables, or for all of them.
    database : SQLAlchemy address; ``${NAME}`` in it is taken from the environment, so that no password stands in
        a file.
    queries : by table (``pv_siting/sites``, ``districts``) a SELECT, or the name of a table or view; what they
        give stands instead of the folder's tables.
    """

    folder: Path | None = None
    workbook: Path | None = None
    database: str = ""
    queries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceRead:
    """What was read.

    Attributes
    ----------
    folder : the instance as a folder of its own.
    hashes : SHA-256 by file name within it.
    origins : by file name, in words where it came from (never with a password).
    ledger : of the database, as it was at the moment its tables were read; None: none was asked for.
    """

    folder: Path
    hashes: Mapping[str, str]
    origins: Mapping[str, str]
    ledger: Ledger | None = None


def read_source(
    source: Source, out: Path, environment: Mapping[str, str] = os.environ, ledger_table: str = ""
) -> SourceRead:
    """Write the instance as it is now into the folder ``out``, which must not exist yet; at once or not at all.

    A workbook's sheets are tables (``sites`` of public PV is ``pv_siting.sites``) and a sheet ``instance`` of
    parameters.  What it holds, and what queries give, stands instead of the folder's tables of that name.  A
    database is read in one read-only transaction, so that all tables are of one moment.

    Parameters
    ----------
    ledger_table : a ledger of the database that is read with them.

    Raises
    ------
    UsageError : nothing names an instance, or a path or address is wrong.
    InputFaults : a sheet or query that gives no table, all at once.
    SourceUnavailable : the source cannot be reached or goes away while it is read; nothing is left behind.
    """
    if source.folder is None and source.workbook is None:
        raise UsageError("the job names no instance: give [instance] folder or workbook (queries need a folder "
                         "with at least instance.toml)")  # fmt: skip
    _refuse_unknown_tables(source)
    with written_at_once(out) as place:
        origins: dict[str, str] = {}
        ledger = None
        if source.folder is not None:
            origins |= _copy_folder(source.folder, place)
        if source.workbook is not None:
            from optimize.monthly.source_workbook import read_workbook  # loaded where there is one

            origins |= read_workbook(source.workbook, place)
        if source.queries or ledger_table:
            from optimize.monthly.source_database import read_database  # loaded where there is one

            address = address_of(source.database, environment)
            queried, ledger = read_database(address, source.queries, place, ledger_table)
            origins |= queried
        if not (place / TOML).is_file():
            raise UsageError(f"{source.workbook or source.folder} holds neither {TOML} nor a sheet instance")
        names = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
        hashes = {name: file_digest(place / name) for name in names}
    return SourceRead(out, hashes, origins, ledger)


def address_of(address: str, environment: Mapping[str, str] = os.environ) -> str:
    """A database's address with ``${NAME}`` taken from the environment.

    What stands for a part of the address (a password) may hold any sign; a variable that is the whole
    address is taken as it is.
    """
    names = _VARIABLE.findall(address)
    missing = [name for name in names if not environment.get(name)]
    if missing:
        raise UsageError(f"[instance] database: {', '.join(missing)} is not set in the environment")
    if _VARIABLE.fullmatch(address):
        return environment[names[0]]
    return _VARIABLE.sub(lambda match: urllib.parse.quote(environment[match[1]], safe=""), address)


def _refuse_unknown_tables(source: Source) -> None:
    known = known_tables()
    faults = [
        Fault(
            "job.toml",
            f"instance.tables.{name}",
            "a table of an instance",
            "no such table",
            nearest(name, known),
        )
        for name in source.queries
        if name not in known
    ]
    if faults:
        raise InputFaults(faults)
    if source.queries and not source.database:
        raise UsageError("the job has queries and names no [instance] database")


def _copy_folder(folder: Path, place: Path) -> dict[str, str]:
    """All files of an instance folder, as long as nobody writes into it meanwhile."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; an instance is a folder with {TOML} and tables")
    if not (folder / TOML).is_file():
        raise UsageError(f"{folder} holds no {TOML}; `optimize template` writes an example")
    before = _stamps(folder)
    try:
        for name in before:
            target = place / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, target)
    except FileNotFoundError as error:
        raise SourceUnavailable(f"{error.filename} went away while {folder} was read") from error
    if _stamps(folder) != before:
        raise SourceUnavailable(f"{folder} was written to while it was read")
    return {name: (folder / name).as_posix() for name in before}


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file that is not hidden."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            stat = path.stat()
            found[name.as_posix()] = (stat.st_size, stat.st_mtime_ns)
    return found

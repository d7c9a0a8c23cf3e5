"""Where a period's instance comes from: a folder, a workbook, or queries of a database over a folder.

Whatever the source is, what is read is written as an instance folder, which the period keeps: it is what
was solved, and what its plan is verified against.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from optimize.errors import OptimizeError


class SourceUnavailable(OptimizeError):
    """The source cannot be reached now (a server, a network folder): worth another try, unlike wrong input."""


@dataclass(frozen=True)
class Source:
    """Where an instance is read from.

    Attributes
    ----------
    folder : an instance folder; None: the workbook holds everything.
    workbook : an .xlsx whose sheets are tables (``sites`` of public PV is ``pv_siting.sites``) and, where there
        is no folder, a sheet ``instance`` of parameters; its tables stand instead of the folder's.
    database : SQLAlchemy URL; ``${NAME}`` in it is taken from the environment, so that no password stands in a file.
    queries : by table (``pv_siting/sites``, ``districts``) a SELECT whose columns are the table's; they stand
        instead of the folder's tables.
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
    """

    folder: Path
    hashes: Mapping[str, str]
    origins: Mapping[str, str]


def read_source(source: Source, out: Path) -> SourceRead:
    """Write the instance as it is now into the folder ``out``, which must not exist yet; at once or not at all.

    A database is read in one read-only transaction, so that all tables are of one moment.

    Raises
    ------
    UsageError : nothing names an instance, or a path or URL is wrong.
    InputFaults : a sheet or query that gives no table, all at once.
    SourceUnavailable : the database cannot be reached or goes away while it is read; nothing is left behind.
    """
    raise NotImplementedError("lands with the next commits")

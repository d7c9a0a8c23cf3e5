"""The inputs of a period as they are read: copied, validated, and held against those of the last one."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from optimize.errors import Fault, InputFaults, UsageError
from optimize.io.instance_folder import LoadedInstance, read_instance
from optimize.io.run_store import file_digest
from optimize.monthly.job import Job
from optimize.monthly.ledger import LedgerTable, read_ledger, write_ledger
from optimize.monthly.ledger_rows import Ledger
from optimize.monthly.log import Log
from optimize.monthly.periods import Period
from optimize.monthly.sources import SourceRead, SourceUnavailable, read_source
from optimize.registry import PROGRAMMES

T = TypeVar("T")

INPUTS, INSTANCE, LEDGER = "inputs", "instance", "ledger.csv"
# Tables so short may lose most of their rows for good reasons.
_SHORT_TABLE = 20
# What a network folder answers when it is the network, not the file.
_PASSING = frozenset(
    {errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN,
     errno.ECONNRESET, errno.ECONNREFUSED, errno.EAGAIN, errno.EBUSY}
)  # fmt: skip


@dataclass(frozen=True)
class Inputs:
    """What a period begins from.

    Attributes
    ----------
    folder : the instance as read, before the ledger is laid over it.
    rows : by programme and table, how many rows it has.
    """

    folder: Path
    read: SourceRead
    ledger: Ledger
    rows: Mapping[str, int]


def read_inputs(job: Job, place: Path, last: Period | None, log: Log, *, accept_lost_rows: bool) -> Inputs:
    """Copy instance and ledger into ``place`` and validate them.

    Raises
    ------
    SourceUnavailable : the source did not answer, however often it was asked.
    InputFaults : all faults of the tables; or tables that look like truncated exports.
    """
    folder = place / INPUTS
    of_database = job.revising.ledger if isinstance(job.revising.ledger, LedgerTable) else None
    asked = "" if of_database is None else of_database.name
    read = _patiently(lambda: read_source(job.source, folder, ledger_table=asked), job, log)
    ledger = copied_ledger(job, place, last, read.ledger)
    loaded = read_instance(folder, PROGRAMMES, job.solving.programmes, job.solving.settings)
    rows = count_rows(loaded)
    if last is not None and not accept_lost_rows:
        refuse_truncated(folder, rows, last, job.max_lost_rows)
    if last is not None:
        share_unchanged(folder, last.folder / INPUTS)
    return Inputs(folder, read, ledger, rows)


def count_rows(loaded: LoadedInstance) -> dict[str, int]:
    """Rows of every table by ``programme/table``."""
    return {
        f"{part.programme.name}/{name}": len(frame)
        for part in loaded.programmes
        for name, frame in part.data.tables.items()
    }


def share_unchanged(folder: Path, before: Path) -> int:
    """Files that are the same in ``before`` become links to those; how many there were.

    Published periods are never written to, so that they may share what they have in common.
    """
    shared = 0
    for path in sorted(folder.rglob("*")):
        old = before / path.relative_to(folder)
        if path.is_symlink() or not path.is_file() or not old.is_file():
            continue
        if path.stat().st_size != old.stat().st_size or file_digest(path) != file_digest(old):
            continue
        link = path.with_name(f".{path.name}.link")
        try:
            os.link(old, link)
        except OSError:  # no links here, or too many of one file: the copy does as well
            return shared
        link.replace(path)
        shared += 1
    return shared


def _patiently(read: Callable[[], T], job: Job, log: Log) -> T:
    """What ``read`` gives, asked again where the source did not answer; faults in data are not asked again."""
    wait_s = job.wait_s
    for attempt in range(1, job.attempts + 1):
        try:
            return read()
        except (SourceUnavailable, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _PASSING:
                raise
            if attempt == job.attempts:
                if isinstance(error, OSError):
                    raise SourceUnavailable(f"{error}; asked {attempt} times") from error
                raise
            log.tell(
                "asked again", f"the source did not answer ({error}); again in {wait_s:g} s", attempt=attempt
            )
            time.sleep(wait_s)
            wait_s *= 2
    raise AssertionError("at least one attempt is made")


def copied_ledger(job: Job, place: Path, last: Period | None, of_database: Ledger | None) -> Ledger:
    """The ledger as it is now, copied into ``place``; one that was not begun yet is empty.

    Parameters
    ----------
    of_database : as it was read with the tables; None: the job has none, or a file.

    Raises
    ------
    UsageError : the last period had a ledger, and now there is none.
    InputFaults : it is not the last period's with further entries.
    """
    where = job.revising.ledger
    head = "" if last is None else str(last.manifest["ledger"]["head"])
    if of_database is not None:
        ledger = of_database
        if ledger.entries:
            write_ledger(place / LEDGER, ledger)
    elif isinstance(where, Path) and where.is_file():
        shutil.copyfile(where, place / LEDGER)
        ledger = read_ledger(place / LEDGER)
    else:
        ledger = Ledger()
    if last is None or not head or head in ledger.hashes:
        return ledger
    if not ledger.entries:
        raise UsageError(
            f"{last.name} was planned with a ledger ({last.folder / LEDGER}), and now there is none"
            + ("; name it in [revise]" if where is None else f": {where} is not there, or empty")
        )
    shown = where.name if where is not None else LEDGER
    expected = f"the entry it ended with in {last.name} ({head[:12]}), and what was appended since"
    mend = f"entries are appended, never changed; the ledger of then is {last.folder / LEDGER}"
    raise InputFaults([Fault(shown, "hash", expected, "another history", mend)])


def refuse_truncated(folder: Path, rows: Mapping[str, int], last: Period, most_lost: float) -> None:
    """Hold tables against those of the last period.

    Raises
    ------
    InputFaults : a table has lost more than ``most_lost`` of its rows, or its file no longer ends its last line.
    """
    mend = "is the export whole? If it is, --accept-lost-rows takes it once"
    before: Mapping[str, Any] = last.manifest.get("rows", {})
    faults = []
    for table, then in before.items():
        now = rows.get(table, 0)
        if then > _SHORT_TABLE and now < (1.0 - most_lost) * then:
            expected = f"at least {1.0 - most_lost:.0%} of the {then} rows of {last.name}"
            faults.append(
                Fault(table, "(rows)", expected, str(now), f"{mend}, instance.max_lost_rows always")
            )
    for path in sorted(folder.rglob("*.csv")):
        name = path.relative_to(folder)
        old = last.folder / INPUTS / name
        if old.is_file() and _ends_its_last_line(old) and not _ends_its_last_line(path):
            faults.append(
                Fault(name.as_posix(), "(file)", f"an end of its last line, as in {last.name}", "none", mend)
            )
    if faults:
        raise InputFaults(faults)


def _ends_its_last_line(path: Path) -> bool:
    with path.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) == 0:
            return False
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) in (b"\n", b"\r")

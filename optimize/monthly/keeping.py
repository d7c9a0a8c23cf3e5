"""Which periods and records of failures stay, by the job's policy."""

from __future__ import annotations

import shutil
from pathlib import Path

from optimize.monthly.failures import list_failures
from optimize.monthly.job import Job, Keeping
from optimize.monthly.log import Log
from optimize.monthly.periods import REMOVING, Name, flush_folder, last_good, names_in


def tidy(job: Job, log: Log) -> None:
    """Remove what the policy does not keep; only for who holds the job's lock."""
    gone = surplus_periods(job.home, job.keeping)
    for name in gone:
        remove(job.home / str(name))
    if gone:
        log.tell("removed", f"periods beyond the policy: {', '.join(map(str, gone))}")
    records = list_failures(job.home)
    for record in records[: max(len(records) - job.keeping.failures, 0)]:
        record.unlink()


def surplus_periods(home: Path, keeping: Keeping) -> list[Name]:
    """Periods that the policy does not keep; never the plan in force or the one it was made from."""
    names = names_in(home)
    if not keeping.periods or not names:
        return []
    months = sorted({name.month for name in names})
    kept = set(months[-keeping.periods :])
    if keeping.yearly:
        kept |= {
            max(month for month in months if month[:4] == year) for year in {month[:4] for month in months}
        }
    newest, _ = last_good(home)
    if newest is not None:
        kept.add(newest.name.month)
        before, _ = last_good(home, before=newest.name.month)
        kept |= {before.name.month} if before is not None else set()
    return [name for name in names if name.month not in kept]


def remove(folder: Path) -> None:
    """Take a folder out of sight in one step, then delete it: nothing half removed is ever seen."""
    aside = folder.with_name(f"{REMOVING}{folder.name}")
    if aside.exists():
        shutil.rmtree(aside)
    folder.rename(aside)
    flush_folder(folder.parent)
    shutil.rmtree(aside)

"""How a job is: the age of the last good plan, what the last run came to, and whether somebody has to look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optimize.errors import ExitCode
from optimize.monthly.failures import list_failures, read_failure
from optimize.monthly.job import Job
from optimize.monthly.lock import holder
from optimize.monthly.periods import last_good, read_current
from optimize.report.text import amount, percent

_DAY_S = 86_400.0


@dataclass(frozen=True)
class Status:
    """One job.

    Attributes
    ----------
    period, folder, published_at, outcome : of the last good plan; "" where there is none.
    age_days : since it was published; None: there is none.
    current : what the pointer points to; "" where to nothing.
    damaged : newer periods that are not as they were written, with the first thing wrong.
    plans : of the period's manifest.
    failures : runs that have failed since the last good plan; last_failure : the newest of them.
    running : process, machine and start of the run at work; None: there is none.
    stale_after_days : age from which on somebody has to look.
    """

    job: str
    period: str
    folder: str
    published_at: str
    outcome: str
    age_days: float | None
    current: str
    damaged: Mapping[str, str]
    plans: tuple[Mapping[str, Any], ...]
    failures: int
    last_failure: Mapping[str, Any] | None
    running: Mapping[str, Any] | None
    stale_after_days: float

    @property
    def stale(self) -> bool:
        return self.age_days is None or self.age_days > self.stale_after_days

    @property
    def code(self) -> ExitCode:
        return ExitCode.STALE if self.stale else ExitCode.SOLVED

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {**vars(self), "plans": list(self.plans), "damaged": dict(self.damaged), "stale": self.stale}


def status_of_job(job: Job, now: datetime, stale_after_days: float | None = None) -> Status:
    """Look at a job; nothing is changed, and a run at work is not disturbed."""
    period, damaged = last_good(job.home)
    published = "" if period is None else str(period.manifest["published_at"])
    age = None if period is None else (now - datetime.fromisoformat(published)).total_seconds() / _DAY_S
    since = [found for found in map(read_failure, list_failures(job.home)) if _later(found, published)]
    current = read_current(job.home)
    return Status(
        job=job.name,
        period="" if period is None else str(period.name),
        folder="" if period is None else period.folder.as_posix(),
        published_at=published,
        outcome="" if period is None else str(period.manifest["outcome"]),
        age_days=age,
        current="" if current is None else str(current),
        damaged={str(name): faults[0] for name, faults in damaged.items()},
        plans=() if period is None else tuple(period.manifest["plans"]),
        failures=len(since),
        last_failure=_in_short(since[-1]) if since else None,
        running=holder(job.home),
        stale_after_days=job.telling.stale_after_days if stale_after_days is None else stale_after_days,
    )


def status_lines(status: Status) -> list[str]:
    """For a person."""
    if not status.period:
        lines = [f"{status.job}: no plan has been published yet"]
    else:
        age = status.age_days or 0.0
        old = f" — older than {status.stale_after_days:g} days" if status.stale else ""
        lines = [f"{status.job}: last good plan {status.period} ({status.outcome}), {age:.1f} days old{old}"]
        lines += [f"  plan      {_plan_line(plan)}" for plan in status.plans]
        lines.append(f"  folder    {status.folder}")
    if status.period and status.current != status.period:
        lines.append(f"  current   points to {status.current or 'nothing'}; the next run mends it")
    lines += [f"  damaged   {name}: {fault}" for name, fault in status.damaged.items()]
    if status.last_failure is not None:
        times = f"{status.failures} run{'' if status.failures == 1 else 's'} failed since"
        last = status.last_failure
        lines.append(f"  failures  {times}; the last, {last['at'][:16].replace('T', ' ')}: {last['reason']}")
    if status.running is not None:
        whose = status.running
        lines.append(
            f"  running   process {whose.get('pid', '?')} on {whose.get('host', '?')} since {whose.get('since', '?')}"
        )
    return lines


def _plan_line(plan: Mapping[str, Any]) -> str:
    value = amount(plan["value"], plan["goal_unit"])
    return (
        f"{plan['programme']} {plan['goal'][-1]} {value} · gap {percent(plan['gap'])} · {plan['stop_reason']}"
    )


def _later(failure: Mapping[str, Any], published: str) -> bool:
    """Whether a failure is newer than the last good plan; one that cannot be read counts."""
    if not published or not failure.get("at"):
        return True
    return datetime.fromisoformat(str(failure["at"])) > datetime.fromisoformat(published)


def _in_short(failure: Mapping[str, Any]) -> dict[str, Any]:
    return {key: failure.get(key) for key in ("at", "period", "code", "reason")}

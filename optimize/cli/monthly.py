"""``optimize monthly | status``: the unattended job."""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from optimize.cli.arguments import Commands, share
from optimize.cli.progress import stopping_softly
from optimize.errors import ExitCode, UsageError
from optimize.monthly.due import Asked
from optimize.monthly.job import JOB_FILE, Job, job_template, read_job
from optimize.monthly.period import End, run_period
from optimize.monthly.status import status_lines, status_of_job


def add_parsers(commands: Commands) -> None:
    command = commands.add_parser(
        "monthly", help="plan a month's revision, check it and publish it, unattended (docs/monthly.md)"
    )
    command.set_defaults(run=_monthly)
    command.add_argument("job", type=Path, metavar="JOB", help="job.toml, or the folder it lies in")
    command.add_argument("--init", action="store_true", help="write a commented job.toml, and plan nothing")
    command.add_argument(
        "--instance", type=Path, metavar="FOLDER", help="with --init: the instance folder the job plans"
    )
    command.add_argument("--period", metavar="YYYY-MM", help="the month (that of the clock)")
    command.add_argument("--force", action="store_true", help="plan it again although it is published")
    command.add_argument(
        "--accept-lost-rows", action="store_true", help="tables that have lost many rows are meant so"
    )
    command.add_argument(
        "--if-due", action="store_true", help="say nothing where the period is published already (cron)"
    )
    command.add_argument("--verbose", action="store_true", help="print the log as it is written")
    command.add_argument("--json", action="store_true", help="one JSON object at the end")

    command = commands.add_parser("status", help="a monthly job: age of the last good plan, last failure")
    command.set_defaults(run=_status)
    command.add_argument("job", type=Path, metavar="JOB", help="job.toml, or the folder it lies in")
    command.add_argument(
        "--stale-after", type=share, metavar="DAYS", help="age that raises the alarm (tell.stale_after_days)"
    )
    command.add_argument("--json", action="store_true")


def _monthly(call: argparse.Namespace) -> int:
    if call.init:
        return _init(call)
    if call.instance is not None:
        raise UsageError("--instance goes with --init; a job's instance stands in its file")
    job = read_job(call.job)
    interrupt = threading.Event()
    asked = Asked(call.period, call.force, call.accept_lost_rows)
    echo = _say if call.verbose and not call.json else None
    with stopping_softly(interrupt):
        end = run_period(job, asked, clock_of(job), interrupt, echo, _warn)
    if call.json:
        print(json.dumps(_record(job, end), ensure_ascii=False))
    elif end.outcome == "already":
        if not call.if_due:
            print("\n".join(end.lines))
    elif end.outcome != "kept" and echo is None:
        # nothing worth changing is nothing worth a mail from cron
        print("\n".join(end.lines))
    return ExitCode.SOLVED


def clock_of(job: Job) -> Callable[[], datetime]:
    """The time in the job's time zone, or the machine's."""
    return lambda: datetime.now(job.timezone).astimezone(job.timezone)


def _init(call: argparse.Namespace) -> int:
    file = call.job if call.job.suffix == ".toml" else call.job / JOB_FILE
    if file.exists():
        raise UsageError(f"{file} is there already; it is not written over")
    instance = "instance" if call.instance is None else _seen_from(call.instance, file.parent)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(job_template(instance), encoding="utf-8")
    print(f"{file} written: look at what it says, then: optimize monthly {file}")
    return ExitCode.SOLVED


def _seen_from(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def _status(call: argparse.Namespace) -> int:
    job = read_job(call.job)
    status = status_of_job(job, clock_of(job)(), call.stale_after)
    if call.json:
        print(json.dumps(status.record(), ensure_ascii=False))
    else:
        print("\n".join(status_lines(status)))
    return status.code


def _record(job: Job, end: End) -> dict[str, object]:
    manifest = end.period.manifest
    return {
        "job": job.name,
        "period": str(end.period.name),
        "outcome": end.outcome,
        "folder": end.period.folder.as_posix(),
        "plans": manifest["plans"],
        "changes": manifest["changes"],
    }


def _say(line: str) -> None:
    print(line, flush=True)


def _warn(line: str) -> None:
    print(f"optimize: {line}", file=sys.stderr, flush=True)

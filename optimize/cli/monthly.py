"""``optimize monthly``: the unattended job."""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from pathlib import Path

from optimize.cli import clock
from optimize.cli.progress import stopping_softly
from optimize.errors import ExitCode, UsageError
from optimize.monthly.due import Asked
from optimize.monthly.job import JOB_FILE, Job, job_template, read_job
from optimize.monthly.period import End, run_period


def run_monthly(call: argparse.Namespace) -> int:
    if call.init:
        return _init(call)
    if call.instance is not None:
        raise UsageError("--instance goes with --init; a job's instance stands in its file")
    job = read_job(call.job)
    interrupt = threading.Event()
    asked = Asked(call.period, call.force, call.accept_lost_rows)
    echo = _say if call.verbose and not call.json else None
    with stopping_softly(interrupt):
        end = run_period(job, asked, clock.clock_of(job), interrupt, echo, _warn)
    if call.json:
        print(json.dumps(_record(job, end), ensure_ascii=False))
    elif end.outcome == "already":
        if not call.if_due:
            print("\n".join(end.lines))
    elif end.outcome != "kept" and echo is None:
        # nothing worth changing is nothing worth a mail from cron
        print("\n".join(end.lines))
    return ExitCode.SOLVED


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

"""``optimize reproduce | audit | gc``: stored plans made again, handed to an auditor, cleared away."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from optimize.cli.arguments import Commands, share
from optimize.errors import ExitCode, UsageError
from optimize.io.run_store import SUMMARY, folders_below
from optimize.monthly.audit import export_audit
from optimize.monthly.reproduce import reproduce, reproduction_lines
from optimize.studies.store_keeping import Policy, plan_sweep, sweep_store

_LISTED = 20


def add_parsers(commands: Commands) -> None:
    command = commands.add_parser(
        "reproduce", help="make stored plans again from their inputs and compare them bit by bit"
    )
    command.set_defaults(run=_reproduce)
    command.add_argument("places", type=Path, nargs="+", metavar="RUN", help="runs, or published periods")
    command.add_argument(
        "--instance", type=Path, metavar="PATH", help="the instance folder, if it has been moved"
    )
    command.add_argument("--json", action="store_true", help="one JSON object per run on stdout")

    command = commands.add_parser(
        "audit", help="one archive of a plan: inputs, model, bound, check, versions, who and when"
    )
    command.set_defaults(run=_audit)
    command.add_argument("subject", type=Path, metavar="RUN", help="a run, or a published period")
    command.add_argument("file", type=Path, metavar="FILE.zip")

    command = commands.add_parser(
        "gc", help="remove old runs of a store by policy (says what; --yes does it)"
    )
    command.set_defaults(run=_gc)
    command.add_argument("store", type=Path, nargs="?", default=Path("results"), metavar="STORE")
    command.add_argument("--keep-newest", type=_count, default=3, metavar="N",
                         help="runs of each programme, instance and scenario that stay (3)")  # fmt: skip
    command.add_argument(
        "--keep-days", type=share, default=90.0, metavar="D", help="all runs within D days stay (90)"
    )
    command.add_argument(
        "--keep", type=Path, action="append", default=[], metavar="RUN", help="this run stays"
    )
    command.add_argument("--yes", action="store_true", help="remove them")
    command.add_argument("--json", action="store_true")


def _reproduce(call: argparse.Namespace) -> int:
    codes = []
    for place in call.places:
        runs = [place] if (place / SUMMARY).is_file() else folders_below(place)[0]
        if not runs:
            raise UsageError(f"{place} holds no run")
        for run in runs:
            found = reproduce(run, call.instance)
            if call.json:
                print(json.dumps(found.record(), ensure_ascii=False), flush=True)
            else:
                print("\n".join(reproduction_lines(found)), flush=True)
            codes.append(ExitCode.SOLVED if found.reproduced else ExitCode.FAILED_CHECK)
    return max(codes)


def _audit(call: argparse.Namespace) -> int:
    audit = export_audit(call.subject, call.file)
    print(f"{audit.file}: {audit.num_files} files, {'verified' if audit.verified else 'NOT as stated'}")
    for failure in audit.failures:
        print(f"  ✘ {failure}", file=sys.stderr)
    return ExitCode.SOLVED if audit.verified else ExitCode.FAILED_CHECK


def _gc(call: argparse.Namespace) -> int:
    sweep = plan_sweep(call.store, Policy(call.keep_newest, call.keep_days, tuple(call.keep)))
    if call.yes:
        sweep_store(call.store, sweep)
    number = len(sweep.gone)
    if call.json:
        record = {"removed": call.yes, "runs": list(sweep.gone), "kept": sweep.kept, "bytes": sweep.bytes,
                  "leftovers": [path.as_posix() for path in sweep.leftovers]}  # fmt: skip
        print(json.dumps(record, ensure_ascii=False))
        return ExitCode.SOLVED
    lines = [f"  {run}" for run in sweep.gone[:_LISTED]]
    if number > _LISTED:
        lines.append(f"  … and {number - _LISTED} more")
    verb = "removed" if call.yes else "would be removed"
    lines.append(
        f"{number} runs and {len(sweep.leftovers)} leftovers {verb} ({sweep.bytes / 1e6:.1f} MB); {sweep.kept} runs stay"
    )
    if not call.yes and (number or sweep.leftovers):
        lines.append("Nothing was removed; --yes does it")
    print("\n".join(lines))
    return ExitCode.SOLVED


def _count(word: str) -> int:
    value = int(word)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{word} is not a whole number from 0")
    return value

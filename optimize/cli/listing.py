"""``optimize show | runs | gc``: the store looked through; no programme and no solver is needed."""

from __future__ import annotations

import argparse
import json

from optimize.errors import ExitCode
from optimize.io.run_store import read_summary
from optimize.names import CITY
from optimize.report import text
from optimize.report.city import city_json, city_lines
from optimize.report.summary import json_line
from optimize.studies.store_index import RunQuery, query_runs
from optimize.studies.store_keeping import Policy, plan_sweep, sweep_store
from optimize.studies.store_report import runs_json, runs_lines

# Runs named by `gc`; the others are counted.
_LISTED = 20


def run_show(call: argparse.Namespace) -> int:
    for run in call.runs:
        summary = read_summary(run)
        if call.json:
            line = city_json if summary["programme"] == CITY else json_line
            print(json.dumps(line(summary, str(run)), ensure_ascii=False))
        else:
            lines = city_lines if summary["programme"] == CITY else text.run_lines
            print("\n".join(lines(summary, str(run))))
    return ExitCode.SOLVED


def run_runs(call: argparse.Namespace) -> int:
    found = query_runs(call.results, RunQuery(call.programme, call.where, call.newest))
    lines = runs_json(found) if call.json else runs_lines(found, call.results)
    if lines:
        print("\n".join(lines))
    return ExitCode.SOLVED


def run_gc(call: argparse.Namespace) -> int:
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

"""``optimize stress``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from optimize.errors import ExitCode
from optimize.registry import PROGRAMMES
from optimize.studies.stored_runs import read_run
from optimize.studies.stress import stress_run
from optimize.studies.stress_report import stress_json, stress_lines, stress_tables
from optimize.studies.tables import write_tables


def run_stress(call: argparse.Namespace) -> int:
    run = read_run(call.run_folder, PROGRAMMES)
    stress = stress_run(run, PROGRAMMES, call.samples, call.seed, call.instance, _progress(call))
    if call.csv is not None:
        write_tables(call.csv, stress_tables(stress))
    name = call.run_folder.as_posix()
    if call.json:
        print(json.dumps(stress_json(stress, name), ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(stress_lines(stress, name)))
    return ExitCode.SOLVED


def _progress(call: argparse.Namespace) -> Callable[[int], None]:
    if call.json or not sys.stderr.isatty():
        return lambda done: None
    return lambda done: print(
        f"\r{done} of {call.samples} samples", end="" if done < call.samples else "\n", file=sys.stderr
    )

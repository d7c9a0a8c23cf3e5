"""``optimize hydraulics``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import fields

from optimize.errors import ExitCode
from optimize.registry import PROGRAMMES
from optimize.report.summary import plain_mapping
from optimize.studies.hydraulics import Verdict, study_hydraulics
from optimize.studies.hydraulics_report import hydraulics_json, hydraulics_lines, hydraulics_tables
from optimize.studies.hydraulics_store import store_repaired, write_network
from optimize.studies.stored_runs import read_run
from optimize.studies.tables import write_tables
from optimize.water.hydraulics.assumptions import Standards
from optimize.water.hydraulics.epanet import load_simulator

_CODES: Mapping[Verdict, ExitCode] = {
    "clean": ExitCode.SOLVED,
    "repaired": ExitCode.SOLVED,
    "over its limits": ExitCode.FAILED_CHECK,
    "violations left": ExitCode.NO_PLAN,
}


def run_hydraulics(call: argparse.Namespace) -> int:
    began = time.monotonic()
    asked = {
        field.name: getattr(call, field.name) for field in fields(Standards) if hasattr(call, field.name)
    }
    standards = Standards(**asked)
    run = read_run(call.run_folder, PROGRAMMES)
    load_simulator()
    found = study_hydraulics(
        run, PROGRAMMES, standards, repairs=call.repair, instance=call.instance, told=_teller(call)
    )
    if call.inp is not None:
        write_network(found, call.inp)
    if call.csv is not None:
        write_tables(call.csv, hydraulics_tables(found))
    folder = store_repaired(call.results, found, time.monotonic() - began)
    name, stored = call.run_folder.as_posix(), None if folder is None else folder.as_posix()
    if call.json:
        told = plain_mapping(hydraulics_json(found, name, stored))
        print(json.dumps(told, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(hydraulics_lines(found, name, stored)))
    if not call.repair and found.verdict == "violations left":
        return ExitCode.FAILED_CHECK
    return _CODES[found.verdict]


def _teller(call: argparse.Namespace) -> Callable[[str], None]:
    if call.json or not sys.stderr.isatty():
        return lambda text: None
    return lambda text: print(text, file=sys.stderr)

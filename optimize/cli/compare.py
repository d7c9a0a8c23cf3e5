"""``optimize compare``: stored runs side by side."""

from __future__ import annotations

import argparse
import json

from optimize.errors import ExitCode
from optimize.registry import PROGRAMMES
from optimize.studies.compare import compare_runs
from optimize.studies.compare_report import comparison_json, comparison_lines, comparison_tables
from optimize.studies.compare_sides import read_sides
from optimize.studies.tables import write_tables


def run_compare(call: argparse.Namespace) -> int:
    comparison = compare_runs(read_sides(call.runs, PROGRAMMES))
    written = [] if call.csv is None else write_tables(call.csv, comparison_tables(comparison))
    if call.json:
        print(json.dumps(comparison_json(comparison), ensure_ascii=False, allow_nan=False))
        return ExitCode.SOLVED
    print("\n".join(comparison_lines(comparison)))
    if written:
        print(f"tables in {call.csv}: {', '.join(path.name for path in written)}")
    return ExitCode.SOLVED

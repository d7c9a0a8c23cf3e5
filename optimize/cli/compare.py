"""``optimize compare | runs``: stored runs side by side, and the store listed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from optimize.cli.arguments import Commands, count
from optimize.errors import ExitCode
from optimize.names import CITY
from optimize.registry import PROGRAMMES
from optimize.studies.compare import compare_runs
from optimize.studies.compare_report import comparison_json, comparison_lines, comparison_tables
from optimize.studies.compare_sides import read_sides
from optimize.studies.store_index import RunQuery, query_runs
from optimize.studies.store_report import runs_json, runs_lines
from optimize.studies.tables import write_tables


def add_parsers(commands: Commands) -> None:
    command = commands.add_parser(
        "compare", help="runs side by side: projects that differ, money, effects, clauses"
    )
    command.set_defaults(run=_compare)
    command.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="two or more runs; RUN+RUN takes runs of different programmes together; one joint run "
        "stands beside its own plan on today's fixed shares",
    )
    command.add_argument("--csv", type=Path, metavar="FOLDER", help="also write the tables, all rows, as CSV")
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")

    command = commands.add_parser("runs", help="list the stored runs, or those that answer a question")
    command.set_defaults(run=_runs)
    command.add_argument("--results", type=Path, default=Path("results"), metavar="FOLDER")
    command.add_argument(
        "--programme", choices=[*(p.name for p in PROGRAMMES), CITY], help="only of this programme"
    )
    command.add_argument(
        "--where", default="", metavar="SQL", help='condition on the columns, e.g. "npv > 5e8 and gap < 0.01"'
    )
    command.add_argument("--newest", type=count, metavar="N", help="only the N newest")
    command.add_argument("--json", action="store_true", help="one JSON object per run on stdout")


def _compare(call: argparse.Namespace) -> int:
    comparison = compare_runs(read_sides(call.runs, PROGRAMMES))
    written = [] if call.csv is None else write_tables(call.csv, comparison_tables(comparison))
    if call.json:
        print(json.dumps(comparison_json(comparison), ensure_ascii=False, allow_nan=False))
        return ExitCode.SOLVED
    print("\n".join(comparison_lines(comparison)))
    if written:
        print(f"tables in {call.csv}: {', '.join(path.name for path in written)}")
    return ExitCode.SOLVED


def _runs(call: argparse.Namespace) -> int:
    found = query_runs(call.results, RunQuery(call.programme, call.where, call.newest))
    lines = runs_json(found) if call.json else runs_lines(found, call.results)
    if lines:
        print("\n".join(lines))
    return ExitCode.SOLVED

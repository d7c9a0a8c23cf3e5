"""``optimize show | verify``: stored runs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from optimize.city.schema import CITY
from optimize.city.verify import is_city_run, verify_city
from optimize.cli.arguments import Commands
from optimize.errors import ExitCode, UsageError
from optimize.io.run_store import read_summary
from optimize.registry import PROGRAMMES
from optimize.report import text
from optimize.report.city import city_json, city_lines
from optimize.report.summary import json_line
from optimize.report.verdict import verdict_json, verdict_lines
from optimize.verification.run import verify_run


def add_parsers(commands: Commands) -> None:
    command = commands.add_parser("show", help="print the summary of a stored run")
    command.set_defaults(run=_show)
    command.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    command.add_argument("--json", action="store_true")

    command = commands.add_parser(
        "verify", help="check stored runs again from the raw tables and the stored multipliers"
    )
    command.set_defaults(run=_verify)
    command.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    command.add_argument(
        "--instance", type=Path, metavar="PATH", help="the instance folder, if it has been moved"
    )
    command.add_argument("--json", action="store_true", help="one JSON object per run on stdout")


def _show(call: argparse.Namespace) -> int:
    for run in call.runs:
        summary = read_summary(run)
        if call.json:
            line = city_json if summary["programme"] == CITY else json_line
            print(json.dumps(line(summary, str(run)), ensure_ascii=False))
        else:
            lines = city_lines if summary["programme"] == CITY else text.run_lines
            print("\n".join(lines(summary, str(run))))
    return ExitCode.SOLVED


def _verify(call: argparse.Namespace) -> int:
    codes = []
    for run in call.runs:
        try:
            verify = verify_city if is_city_run(run) else verify_run
            verdict = verify(run, PROGRAMMES, call.instance)
        except UsageError as error:
            if call.json:
                status = {"run": run.as_posix(), "status": "not verified", "error": str(error)}
                print(json.dumps(status, ensure_ascii=False), flush=True)
            print(f"optimize: {error}", file=sys.stderr)
            codes.append(ExitCode.BAD_INPUT)
            continue
        if call.json:
            print(json.dumps(verdict_json(verdict), ensure_ascii=False, allow_nan=False), flush=True)
        else:
            print("\n".join(verdict_lines(verdict)), flush=True)
        codes.append(ExitCode.SOLVED if verdict.verified else ExitCode.FAILED_CHECK)
    return max(codes)

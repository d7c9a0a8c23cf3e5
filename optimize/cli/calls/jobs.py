"""Calls of ``optimize monthly | status | ledger``: the unattended job, and what became of its projects."""

from __future__ import annotations

import argparse
from pathlib import Path

from optimize.cli.arguments import Commands, share
from optimize.deferred import Deferred
from optimize.monthly.events import EVENTS


def add_parsers(commands: Commands) -> None:
    _add_ledger(commands)
    _add_monthly(commands)
    _add_status(commands)


def _add_monthly(commands: Commands) -> None:
    command = commands.add_parser(
        "monthly", help="plan a month's revision, check it and publish it, unattended (docs/monthly.md)"
    )
    command.set_defaults(run=Deferred("optimize.cli.monthly", "run_monthly"))
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


def _add_status(commands: Commands) -> None:
    command = commands.add_parser("status", help="a monthly job: age of the last good plan, last failure")
    command.set_defaults(run=Deferred("optimize.cli.status", "run_status"))
    command.add_argument("job", type=Path, metavar="JOB", help="job.toml, or the folder it lies in")
    command.add_argument(
        "--stale-after", type=share, metavar="DAYS", help="age that raises the alarm (tell.stale_after_days)"
    )
    command.add_argument("--json", action="store_true")


def _add_ledger(commands: Commands) -> None:
    group = commands.add_parser("ledger", help="what became of the projects of a monthly job").add_subparsers(
        required=True, metavar="ACTION"
    )
    command = group.add_parser("add", help="append what happened; nothing that stands there is changed")
    command.set_defaults(run=Deferred("optimize.cli.ledger", "run_add"), undone="written")
    _add_job(command)
    command.add_argument("event", nargs="?", choices=EVENTS, metavar="EVENT", help=", ".join(EVENTS))
    command.add_argument("programme", nargs="?", metavar="PROGRAMME")
    command.add_argument("project", nargs="?", default="", metavar="PROJECT")
    command.add_argument("--from", type=Path, dest="file", metavar="FILE.csv", help="many entries at once")
    command.add_argument(
        "--table", default="", help="table of the plan that lists it (where there are several)"
    )
    command.add_argument("--period", default="", metavar="YYYY-MM", help="month it belongs to (this one)")
    command.add_argument(
        "--decision", default="", metavar="COLUMN=VALUE;…", help="what is not as in the plan in force"
    )
    command.add_argument("--year", type=int, default=0, help="in which it starts, where it is not the plan's")
    command.add_argument("--cost", type=float, metavar="CNY", help="whole CAPEX as known now")
    command.add_argument("--paid", type=float, metavar="CNY", help="paid with this entry")
    command.add_argument("--cancellation-cost", type=float, metavar="CNY", help="owed if it is dropped")
    command.add_argument("--source", default="", help="budget that paid: municipal, a district, owner")
    command.add_argument("--who", default="", help="who says so (your user name)")
    command.add_argument("--note", default="", help="why")

    command = group.add_parser("begin", help="make an empty ledger, or one with the entries of another")
    command.set_defaults(run=Deferred("optimize.cli.ledger", "run_begin"), undone="written")
    _add_job(command)
    command.add_argument(
        "--from",
        type=Path,
        dest="file",
        metavar="LEDGER.csv",
        help="a ledger whose rows are taken as they stand",
    )
    command.add_argument(
        "--print", action="store_true", help="print the SQL by which an administrator makes the table"
    )

    command = group.add_parser("show", help="the state, costs and payments of each project")
    command.set_defaults(run=Deferred("optimize.cli.ledger", "run_show"), undone="shown")
    _add_job(command)
    command.add_argument("--period", default="9999-12", metavar="YYYY-MM", help="as it was after this month")
    command.add_argument("--project", default="", help="all entries of one project")
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")

    command = group.add_parser("verify", help="whether every row stands as it was written")
    command.set_defaults(run=Deferred("optimize.cli.ledger", "run_verify"))
    _add_job(command)
    command.add_argument(
        "--head",
        default="",
        metavar="HASH",
        help="a hash the ledger once ended with: it has to be there still",
    )
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_job(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "job", type=Path, metavar="JOB", help="job.toml, its folder, or the ledger itself (.csv)"
    )

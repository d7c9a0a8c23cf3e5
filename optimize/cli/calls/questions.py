"""Calls of ``optimize explain | stress | front | margins``: questions about a plan or an instance."""

from __future__ import annotations

import argparse
from pathlib import Path

from optimize.cli.arguments import (
    Commands,
    add_instance_arguments,
    add_stored_run_arguments,
    count,
    positive,
    seed,
    share,
)
from optimize.deferred import Deferred

# Projects solved for again where --top is not given.
TOP = 10
_SAMPLES = 200


def add_parsers(commands: Commands) -> None:
    _add_explain(commands)
    _add_stress(commands)
    _add_front(commands)
    _add_margins(commands)


def _add_explain(commands: Commands) -> None:
    command = commands.add_parser(
        "explain", help="why a project is in a plan or not, and what each is worth to it"
    )
    command.set_defaults(run=Deferred("optimize.cli.explain", "run_explain"))
    add_stored_run_arguments(command)
    command.add_argument("ids", nargs="*", metavar="ID", help="projects: ids of the instance's tables")
    command.add_argument("--all", action="store_true", help="rank every project of the plan by importance")
    command.add_argument(
        "--top", type=count, metavar="N", help=f"rank, and solve again for the N first ({TOP})"
    )
    command.add_argument("--gap", type=share, default=1e-5, help="gap of each new solve (0.00001)")
    command.add_argument(
        "--time-limit", type=positive, default=10.0, metavar="S", help="seconds for each new solve (10)"
    )
    command.add_argument(
        "--csv", type=Path, metavar="FOLDER", help="also write the ranking, all rows, as CSV"
    )
    command.add_argument("--json", action="store_true", help="one JSON object per project on stdout")


def _add_stress(commands: Commands) -> None:
    command = commands.add_parser(
        "stress", help="a stored plan under other costs, yields, prices, demand and delays"
    )
    command.set_defaults(run=Deferred("optimize.cli.stress", "run_stress"))
    add_stored_run_arguments(command)
    command.add_argument("--samples", type=count, default=_SAMPLES, metavar="N", help=f"samples ({_SAMPLES})")
    command.add_argument(
        "--csv", type=Path, metavar="FOLDER", help="also write the tables, every sample too, as CSV"
    )
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_front(commands: Commands) -> None:
    command = commands.add_parser(
        "front", help="the most of one goal at each level of another, with proven gaps"
    )
    command.set_defaults(run=Deferred("optimize.cli.front", "run_front"))
    add_instance_arguments(command)
    command.add_argument(
        "--goals", default="npv,co2", help="two or three goals, the one optimised first (npv,co2)"
    )
    command.add_argument("--points", type=count, default=7, metavar="N", help="levels of each other goal (7)")
    _add_limits(command)


def _add_margins(commands: Commands) -> None:
    command = commands.add_parser("margins", help="what more of each budget and less of each target is worth")
    command.set_defaults(run=Deferred("optimize.cli.front", "run_margins"))
    add_instance_arguments(command)
    command.add_argument("--goal", help="one goal (npv, or that of the run)")
    command.add_argument(
        "--step", type=positive, action="append", metavar="SHARE",
        help="step of the budgets, may be repeated (0.01, 0.05 and 0.1)",
    )  # fmt: skip
    command.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="NAME",
        help="only this budget, may be repeated (all)",
    )
    command.add_argument(
        "--nested", action="store_true", help="also raise all budgets with earlier choices kept"
    )
    _add_limits(command)


def _add_limits(command: argparse.ArgumentParser) -> None:
    command.add_argument("--gap", type=share, default=1e-3, help="stop each solve at this proven gap (0.001)")
    command.add_argument(
        "--time-limit",
        type=positive,
        default=300.0,
        metavar="S",
        help="seconds for all solves together (300)",
    )
    command.add_argument("--seed", type=seed, default=0)
    command.add_argument("--csv", type=Path, metavar="FOLDER", help="also write the tables as CSV")
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")

"""Calls of ``optimize solve | run | robust | bench``: commands that make plans."""

from __future__ import annotations

import os
from pathlib import Path

from optimize.cli.arguments import (
    Commands,
    add_instance_arguments,
    add_run_arguments,
    add_solve_arguments,
    count,
    positive,
    seeds,
    share,
)
from optimize.deferred import Deferred
from optimize.names import PROGRAMME_NAMES

# Of `robust`, where they are not given; whether they are is asked as well.
WEIGHT, SAMPLES, FRESH = "0.5", "50", "50"


def add_parsers(commands: Commands) -> None:
    _add_solve(commands)
    _add_run(commands)
    _add_robust(commands)
    _add_bench(commands)


def _add_solve(commands: Commands) -> None:
    command = commands.add_parser("solve", help="solve an instance and check the plans")
    command.set_defaults(run=Deferred("optimize.cli.solve", "run_solve"))
    add_instance_arguments(command)
    add_solve_arguments(command)
    command.add_argument(
        "--write-model",
        type=Path,
        metavar="FILE",
        help="also write the model as .mps or .lp (one programme, formulation)",
    )
    command.add_argument(
        "--joint", action="store_true", help="plan all programmes together under one public budget"
    )
    command.add_argument("--json", action="store_true", help="one JSON object per programme on stdout")
    command.add_argument(
        "--progress",
        type=Path,
        metavar="FILE",
        help="append a JSON line per new plan or bound, for programs that watch",
    )
    command.add_argument("--scenarios", type=Path, metavar="FILE", help="where --scenario is found")
    command.add_argument(
        "--scenario", metavar="NAME", help="solve the instance as this scenario of --scenarios changes it"
    )


def _add_run(commands: Commands) -> None:
    command = commands.add_parser(
        "run", help="solve many scenarios of an instance, and go on where it stopped"
    )
    command.set_defaults(run=Deferred("optimize.cli.run", "run_scenarios"))
    add_instance_arguments(command)
    command.add_argument(
        "--scenarios", type=Path, required=True, metavar="FILE", help="see docs/scenarios.md"
    )
    add_solve_arguments(command)
    command.add_argument(
        "--jobs", type=count, default=os.cpu_count() or 1, help="processes on this machine (%(default)s)"
    )
    command.add_argument(
        "--cluster", metavar="local|tcp://HOST:PORT", help="solve on Dask instead (extra: cluster)"
    )
    command.add_argument("--again", action="store_true", help="solve finished scenarios once more")
    command.add_argument("--json", action="store_true", help="one JSON object per scenario and programme")


def _add_robust(commands: Commands) -> None:
    command = commands.add_parser(
        "robust", help="plans that withstand dearer projects or bad cases, and what that costs"
    )
    command.set_defaults(run=Deferred("optimize.cli.robust", "run_robust"))
    add_instance_arguments(command)
    command.add_argument(
        "--gamma",
        metavar="K[,K…]",
        help="no budget is overspent whichever K projects turn out dearer by robust.cost_deviation; `all`: all of them",
    )
    command.add_argument(
        "--cvar",
        metavar="ALPHA",
        help="the worst 1 - ALPHA of sampled cases count besides their mean, e.g. 0.9",
    )
    command.add_argument(
        "--weight", metavar="W[,W…]", help=f"weight of the worst cases beside the mean, 0 to 1 ({WEIGHT})"
    )
    command.add_argument("--samples", metavar="N", help=f"cases a plan of --cvar is made for ({SAMPLES})")
    command.add_argument(
        "--fresh",
        default=FRESH,
        metavar="N",
        help=f"fresh samples each plan is put through; 0: none ({FRESH})",
    )
    command.add_argument("--goal", default="npv", help="one goal (npv)")
    add_run_arguments(command, "solve", 120.0)
    command.add_argument("--csv", type=Path, metavar="FOLDER", help="also write the tables as CSV")
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_bench(commands: Commands) -> None:
    command = commands.add_parser("bench", help="race the product against other solvers on one instance")
    command.set_defaults(run=Deferred("optimize.bench.command", "bench"))
    command.add_argument("programme", choices=PROGRAMME_NAMES)
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("--size", help="generate an instance of this size (see generate)")
    what.add_argument("--instance", type=Path, metavar="FOLDER", help="take this instance folder")
    command.add_argument("--family", default="", help="family of the generated instance (see generate)")
    whom = command.add_mutually_exclusive_group()
    whom.add_argument(
        "--against", metavar="A,B", help="other solvers; default: pyomo-highs,highs,scip,cp-sat,linopy"
    )
    whom.add_argument(
        "--without",
        metavar="all|A,B",
        help="instead of other solvers, the product without each of these ingredients; A+B: without both",
    )
    command.add_argument("--goal", default="npv", help="one goal (npv)")
    command.add_argument("--gap", type=share, default=1e-4, help="stop at this proven relative gap (0.0001)")
    command.add_argument(
        "--time-limit", type=positive, default=60.0, metavar="S", help="seconds for each contender (60)"
    )
    command.add_argument("--threads", type=count, default=1, help="cores for each contender (1)")
    command.add_argument(
        "--seed",
        "--seeds",
        dest="seeds",
        type=seeds,
        default=(1,),
        metavar="N[,N…]",
        help="of the instance and of the solvers; a race for each (1)",
    )
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")

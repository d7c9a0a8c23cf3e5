"""``optimize bench``."""

from __future__ import annotations

import argparse
from pathlib import Path

from optimize.cli.arguments import Commands, count, positive, seed, share
from optimize.registry import PROGRAMMES


def add_parsers(commands: Commands) -> None:
    names = [programme.name for programme in PROGRAMMES]
    command = commands.add_parser("bench", help="race the product against other solvers on one instance")
    command.set_defaults(run=_bench)
    command.add_argument("programme", choices=names)
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("--size", help="generate an instance of this size (see generate)")
    what.add_argument("--instance", type=Path, metavar="FOLDER", help="take this instance folder")
    command.add_argument("--family", default="", help="family of the generated instance (see generate)")
    command.add_argument(
        "--against",
        default="pyomo-highs,highs,scip,cp-sat,linopy",
        metavar="A,B",
        help="default: %(default)s",
    )
    command.add_argument("--goal", default="npv", help="one goal (npv)")
    command.add_argument("--gap", type=share, default=1e-4, help="stop at this proven relative gap (0.0001)")
    command.add_argument(
        "--time-limit", type=positive, default=60.0, metavar="S", help="seconds for each contender (60)"
    )
    command.add_argument("--threads", type=count, default=1, help="cores for each contender (1)")
    command.add_argument("--seed", type=seed, default=1, help="of the instance and of the solvers (1)")
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _bench(call: argparse.Namespace) -> int:
    # The contenders' solvers are loaded when they are asked for, not by every command.
    from optimize.bench.command import bench

    return bench(call)

"""``optimize front | margins``: trade-offs between goals, and what a little more is worth."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from optimize.cli.arguments import (
    Commands,
    add_instance_arguments,
    count,
    overrides_of,
    positive,
    seed,
    share,
)
from optimize.cli.progress import stopping_softly
from optimize.errors import ExitCode, UsageError
from optimize.io.instance_folder import read_instance
from optimize.io.run_instance import read_instance_of
from optimize.io.run_store import MANIFEST
from optimize.programme import Programme, SolveOptions
from optimize.registry import PROGRAMMES
from optimize.schema import InstanceData
from optimize.studies.front_report import front_json, front_lines, front_table, margins_json, margins_lines
from optimize.studies.fronts import trace_front
from optimize.studies.margins import find_margins, margins_tables
from optimize.studies.stored_runs import read_run
from optimize.studies.tables import write_tables

_SHARES = (0.01, 0.05, 0.10)


def add_parsers(commands: Commands) -> None:
    command = commands.add_parser(
        "front", help="the most of one goal at each level of another, with proven gaps"
    )
    command.set_defaults(run=_front)
    add_instance_arguments(command)
    command.add_argument(
        "--goals", default="npv,co2", help="two or three goals, the one optimised first (npv,co2)"
    )
    command.add_argument("--points", type=count, default=7, metavar="N", help="levels of each other goal (7)")
    _add_limits(command)

    command = commands.add_parser("margins", help="what more of each budget and less of each target is worth")
    command.set_defaults(run=_margins)
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


def _front(call: argparse.Namespace) -> int:
    goals = tuple(name.strip() for name in call.goals.split(",") if name.strip())
    programme, data, _ = _subject(call)
    options = _options(call, goals[:1])
    with stopping_softly(options.interrupt):
        front = trace_front(programme, data, goals, call.points, options, _progress(call))
    if front is None:
        return _infeasible(call)
    if call.csv is not None:
        write_tables(call.csv, {"front": front_table(front)})
    print(
        json.dumps(front_json(front), ensure_ascii=False, allow_nan=False)
        if call.json
        else "\n".join(front_lines(front))
    )
    return ExitCode.SOLVED


def _margins(call: argparse.Namespace) -> int:
    programme, data, goal = _subject(call)
    shares = sorted(set(call.step or _SHARES))
    options = _options(call, ((call.goal or goal),))
    with stopping_softly(options.interrupt):
        margins = find_margins(
            programme, data, options, shares, sources=call.source, nested=call.nested, told=_progress(call)
        )
    if margins is None:
        return _infeasible(call)
    if call.csv is not None:
        write_tables(call.csv, margins_tables(margins))
    print(
        json.dumps(margins_json(margins), ensure_ascii=False, allow_nan=False)
        if call.json
        else "\n".join(margins_lines(margins))
    )
    return ExitCode.SOLVED


def _subject(call: argparse.Namespace) -> tuple[Programme, InstanceData, str]:
    """The one programme meant: of an instance folder, or that of a stored run as it was solved."""
    if (call.path / MANIFEST).is_file():
        if call.settings or call.programme:
            raise UsageError(
                f"{call.path} is a run, whose programme and settings stand; name its instance folder"
            )
        run = read_run(call.path, PROGRAMMES)
        _, data = read_instance_of(run.folder, run.manifest, run.programme, PROGRAMMES)
        return run.programme, data, str(run.summary["goal"][-1])
    instance = read_instance(call.path, PROGRAMMES, call.programme, overrides_of(call.settings))
    if len(instance.programmes) != 1:
        names = ", ".join(part.programme.name for part in instance.programmes)
        raise UsageError(f"{call.path} has several programmes ({names}); name one --programme")
    part = instance.programmes[0]
    return part.programme, part.data, part.programme.goals[0].name


def _options(call: argparse.Namespace, goal: tuple[str, ...]) -> SolveOptions:
    return SolveOptions(goal=goal, gap=call.gap, time_limit_s=call.time_limit, seed=call.seed)


def _progress(call: argparse.Namespace) -> Callable[[str], None]:
    if call.json or not sys.stderr.isatty():
        return lambda words: None
    return lambda words: print(words, file=sys.stderr)


def _infeasible(call: argparse.Namespace) -> int:
    words = f"no plan meets every hard target; `optimize solve {call.path}` says what would have to give way"
    print(json.dumps({"status": "infeasible", "error": words}) if call.json else words)
    return ExitCode.INFEASIBLE

"""``optimize front | margins``: trade-offs between goals, and what a little more is worth."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from optimize.cli.arguments import overrides_of
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


def run_front(call: argparse.Namespace) -> int:
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


def run_margins(call: argparse.Namespace) -> int:
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

"""The command line: arguments, progress, exit codes. What is decided is decided elsewhere."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import signal
import sys
import threading
import time
import tomllib
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.live import Live
from rich.text import Text

from optimize import __version__
from optimize.bench.command import bench
from optimize.errors import ExitCode, InputFaults, OptimizeError, UsageError
from optimize.io.instance_folder import LoadedInstance, LoadedProgramme, read_instance
from optimize.io.run_store import read_summary, save_run
from optimize.io.schema_docs import instances_page
from optimize.io.write import write_instance
from optimize.programme import Engine, Programme, SolveOptions
from optimize.registry import PROGRAMMES, find_programme
from optimize.report import text
from optimize.report.stored import run_tables
from optimize.report.summary import (
    STATUS_CODES,
    json_line,
    manifest_of,
    place_of_instance,
    summarise_run,
)
from optimize.report.verdict import verdict_json, verdict_lines
from optimize.result import TracePoint, relative_gap
from optimize.solve import solve
from optimize.verification.run import verify_run

# Where several programmes end differently, the job runner hears of the gravest.
_GRAVEST_FIRST = (
    ExitCode.INTERNAL_ERROR,
    ExitCode.FAILED_CHECK,
    ExitCode.INFEASIBLE,
    ExitCode.NO_PLAN,
    ExitCode.SOLVED,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = _parser()
    try:
        call = parser.parse_args(arguments)
    except SystemExit as stop:  # argparse has printed the reason
        return int(stop.code or 0)
    try:
        return int(call.run(call))
    except InputFaults as error:
        _print_faults(error, as_json=getattr(call, "json", False))
        return ExitCode.BAD_INPUT
    except OptimizeError as error:
        if getattr(call, "json", False):
            print(json.dumps({"status": "error", "error": str(error)}, ensure_ascii=False))
        print(f"optimize: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # the reader of our output has gone; there is nobody left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.SOLVED
    except KeyboardInterrupt:
        print("optimize: stopped before there was a plan", file=sys.stderr)
        return ExitCode.NO_PLAN
    except Exception:  # a bug: say so, keep the trace, give job runners their code
        traceback.print_exc()
        print("optimize: internal error, please report it with the lines above", file=sys.stderr)
        return ExitCode.INTERNAL_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="optimize", description="Optimal, proven and checked plans for a city's green programmes."
    )
    parser.add_argument("--version", action="version", version=f"optimize {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    names = [programme.name for programme in PROGRAMMES]

    command = commands.add_parser("solve", help="solve an instance and check the plans")
    command.set_defaults(run=_solve)
    _add_instance_arguments(command)
    command.add_argument(
        "--goal", default="npv", help="goal, or several separated by commas, the first first"
    )
    command.add_argument("--gap", type=_share, default=1e-3, help="stop at this proven relative gap (0.001)")
    command.add_argument(
        "--time-limit", type=_positive, default=300.0, metavar="S", help="seconds for each programme (300)"
    )
    command.add_argument("--threads", type=_count, default=1, help="cores to use (1)")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--engine", choices=get_args(Engine), default="auto")
    command.add_argument(
        "--write-model",
        type=Path,
        metavar="FILE",
        help="also write the model as .mps or .lp (one programme, formulation)",
    )
    command.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="FOLDER",
        help="where runs are stored (results)",
    )
    command.add_argument("--json", action="store_true", help="one JSON object per programme on stdout")

    command = commands.add_parser("check", help="validate an instance; nothing is solved")
    command.set_defaults(run=_check)
    _add_instance_arguments(command)
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")

    command = commands.add_parser("template", help="write a commented, solvable example")
    command.set_defaults(run=_template)
    command.add_argument("programme", choices=names)
    command.add_argument("folder", type=Path)

    command = commands.add_parser("generate", help="write a synthetic instance of a given size")
    command.set_defaults(run=_generate)
    command.add_argument("programme", choices=[*names, "all"], help="all: one instance of all programmes")
    command.add_argument(
        "--size", required=True, help="; ".join(f"{p.name}: {' '.join(p.sizes)}" for p in PROGRAMMES)
    )
    command.add_argument("--seed", type=_seed, default=1)
    command.add_argument(
        "--family", default="", help="; ".join(f"{p.name}: {' '.join(p.families)}" for p in PROGRAMMES)
    )
    command.add_argument("out", type=Path)

    command = commands.add_parser("show", help="print the summary of a stored run")
    command.set_defaults(run=_show)
    command.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    command.add_argument("--json", action="store_true")

    command = commands.add_parser("bench", help="race the product against other solvers on one instance")
    command.set_defaults(run=bench)
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
    command.add_argument("--gap", type=_share, default=1e-4, help="stop at this proven relative gap (0.0001)")
    command.add_argument(
        "--time-limit", type=_positive, default=60.0, metavar="S", help="seconds for each contender (60)"
    )
    command.add_argument("--threads", type=_count, default=1, help="cores for each contender (1)")
    command.add_argument("--seed", type=_seed, default=1, help="of the instance and of the solvers (1)")
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")

    command = commands.add_parser(
        "verify", help="check stored runs again from the raw tables and the stored multipliers"
    )
    command.set_defaults(run=_verify)
    command.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    command.add_argument(
        "--instance", type=Path, metavar="PATH", help="the instance folder, if it has been moved"
    )
    command.add_argument("--json", action="store_true", help="one JSON object per run on stdout")

    command = commands.add_parser("docs", help="print a generated page of the documentation")
    command.set_defaults(run=_docs)
    command.add_argument("page", choices=["instances"])
    return parser


def _add_instance_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("path", type=Path, help="instance folder")
    command.add_argument(
        "--programme",
        action="append",
        default=[],
        choices=[p.name for p in PROGRAMMES],
        help="only this programme (may be repeated)",
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="override a parameter of instance.toml, e.g. budgets.scale=0.8",
    )


def _solve(call: argparse.Namespace) -> int:
    overrides = _overrides(call.settings)
    instance = read_instance(call.path, PROGRAMMES, call.programme, overrides)
    if call.write_model is not None:
        if len(instance.programmes) != 1:
            raise UsageError("--write-model writes one model: name one --programme")
        if call.write_model.suffix not in (".mps", ".lp"):
            raise UsageError(f"--write-model {call.write_model}: the name must end in .mps or .lp")
    goals = tuple(name.strip() for name in call.goal.split(",") if name.strip())
    for part in instance.programmes:
        known = [goal.name for goal in part.programme.goals]
        if not goals or any(name not in known for name in goals):
            raise UsageError(f"--goal {call.goal}: {part.programme.name} knows {', '.join(known)}")
    if not call.json:
        print(_instance_line(instance, call.path))
        _print_warnings(instance)
    interrupt = threading.Event()
    codes: list[ExitCode] = []
    with _stopping_softly(interrupt):
        for part in instance.programmes:
            if interrupt.is_set():
                print(f"{part.programme.name}: not solved, interrupted", file=sys.stderr)
                codes.append(ExitCode.NO_PLAN)
                continue
            codes.append(_solve_programme(call, part, goals, overrides, interrupt))
    if not call.json and ExitCode.SOLVED in codes:
        print(
            f"Next: optimize show {call.results}/…/RUN · optimize solve {call.path} --set budgets.scale=0.8"
        )
    return next(code for code in _GRAVEST_FIRST if code in codes)


def _solve_programme(
    call: argparse.Namespace,
    part: LoadedProgramme,
    goals: tuple[str, ...],
    overrides: dict[str, Any],
    interrupt: threading.Event,
) -> ExitCode:
    programme, data = part.programme, part.data
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    began = time.monotonic()
    with _live_line(programme, goals[-1], quiet=call.json) as progress:
        options = SolveOptions(
            goal=goals,
            gap=call.gap,
            time_limit_s=call.time_limit,
            threads=call.threads,
            seed=call.seed,
            engine=call.engine,
            progress=progress,
            interrupt=interrupt,
            write_model=call.write_model,
        )
        solved = solve(programme, data, options)
    seconds = time.monotonic() - began
    summary = summarise_run(programme, data, solved, options, seconds)
    run: str | None = None
    if summary["status"] == "solved":
        home = call.results / programme.name / data.fingerprint
        place = place_of_instance(call.path, programme, home)
        folder = save_run(
            call.results,
            programme.name,
            data.fingerprint,
            run_tables(programme, solved),
            summary,
            manifest_of(data, solved, options, place, overrides, started),
        )
        run = folder.as_posix()
    if call.json:
        print(json.dumps(json_line(summary, run), ensure_ascii=False, allow_nan=False), flush=True)
    else:
        print("\n".join(["", *text.run_lines(summary, run)]), flush=True)
    return STATUS_CODES[summary["status"]]


def _check(call: argparse.Namespace) -> int:
    instance = read_instance(call.path, PROGRAMMES, call.programme, _overrides(call.settings))
    if call.json:
        warnings = [_fault_record(w) for part in instance.programmes for w in part.warnings]
        print(json.dumps({"status": "valid", "faults": [], "warnings": warnings}, ensure_ascii=False))
        return ExitCode.SOLVED
    print(_instance_line(instance, call.path))
    _print_warnings(instance)
    return ExitCode.SOLVED


def _template(call: argparse.Namespace) -> int:
    programme = find_programme(call.programme)
    write_instance(call.folder, [(programme.schema, programme.example())], commented=True)
    print(f"{call.folder}: an example of {programme.name}; next: optimize solve {call.folder}")
    return ExitCode.SOLVED


def _generate(call: argparse.Namespace) -> int:
    chosen = PROGRAMMES if call.programme == "all" else (find_programme(call.programme),)
    drafts = []
    for programme in chosen:
        family = call.family or programme.families[0]
        for given, known, word in (
            (call.size, programme.sizes, "--size"),
            (family, programme.families, "--family"),
        ):
            if given not in known:
                raise UsageError(f"{word} {given}: {programme.name} knows {', '.join(known)}")
        drafts.append((programme.schema, programme.generate(call.size, call.seed, family)))
    write_instance(call.out, drafts)
    print(f"{call.out}: {call.programme} {call.size}, seed {call.seed}; next: optimize solve {call.out}")
    return ExitCode.SOLVED


def _show(call: argparse.Namespace) -> int:
    for run in call.runs:
        summary = read_summary(run)
        if call.json:
            print(json.dumps(json_line(summary, str(run)), ensure_ascii=False))
        else:
            print("\n".join(text.run_lines(summary, str(run))))
    return ExitCode.SOLVED


def _verify(call: argparse.Namespace) -> int:
    codes = []
    for run in call.runs:
        try:
            verdict = verify_run(run, PROGRAMMES, call.instance)
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


def _docs(call: argparse.Namespace) -> int:
    print(instances_page(PROGRAMMES), end="")
    return ExitCode.SOLVED


def _overrides(settings: Sequence[str]) -> dict[str, Any]:
    overrides: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {setting}: write KEY=VALUE, e.g. budgets.scale=0.8")
        try:
            overrides[key.strip()] = tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            overrides[key.strip()] = value
    return overrides


def _instance_line(instance: LoadedInstance, path: Path) -> str:
    parts = instance.programmes
    tables, rows = sum(p.num_tables for p in parts), sum(p.num_rows for p in parts)
    warnings = sum(len(p.warnings) for p in parts)
    first = parts[0].data.parameters
    years = f"{first['base_year']}–{first['base_year'] + first['num_years'] - 1}"
    plural = "" if len(parts) == 1 else "s"
    return (
        f"{instance.name_en} {years} · {len(parts)} programme{plural} · {path} · checked: {tables} tables, "
        f"{text.grouped(rows)} rows, {warnings} warning{'' if warnings == 1 else 's'}"
    )


def _print_warnings(instance: LoadedInstance) -> None:
    warnings = [w for part in instance.programmes for w in part.warnings]
    if warnings:
        print("\n".join(text.fault_lines(warnings, word="warning")))


def _print_faults(error: InputFaults, *, as_json: bool) -> None:
    if as_json:
        records = [_fault_record(fault) for fault in error.faults]
        print(json.dumps({"status": "bad input", "faults": records}, ensure_ascii=False))
        return
    head, *rows = text.fault_lines(error.faults)
    print("\n".join([f"{head} — nothing was solved", *rows]), file=sys.stderr)


def _fault_record(fault: Any) -> dict[str, Any]:
    return {
        "table": fault.table,
        "row": fault.line,
        "column": fault.column,
        "expected": fault.expected,
        "found": fault.found,
        "mend": fault.mend,
    }


@contextlib.contextmanager
def _stopping_softly(interrupt: threading.Event) -> Iterator[None]:
    """First Ctrl-C or SIGTERM: end with the best plan so far. Second Ctrl-C: end now."""

    def on_signal(number: int, frame: object) -> None:
        if interrupt.is_set():
            raise KeyboardInterrupt
        interrupt.set()
        print("stopping with the best plan so far; again to stop at once", file=sys.stderr)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _ProgressLine:
    """Plan, bound, gap and time on one line, drawn anew several times a second."""

    def __init__(self, programme: Programme, goal: str) -> None:
        self._title = programme.en
        self._unit = programme.goal(goal).unit
        self._began = time.monotonic()
        self._point: TracePoint | None = None

    def __call__(self, point: TracePoint) -> None:
        self._point = point

    def __rich__(self) -> Text:
        parts = [f"{self._title}  solving"]
        if self._point is not None:
            plan, bound = self._point.plan, self._point.bound
            parts += [
                f"{word} {text.amount(value, self._unit)}"
                for word, value in (("plan", plan), ("bound", bound))
                if value is not None
            ]
            gap = relative_gap(plan, bound)
            if gap is not None:
                parts.append(f"gap {text.percent(gap)}")
        parts.append(f"{time.monotonic() - self._began:.0f} s")
        return Text("  ".join(parts))


@contextlib.contextmanager
def _live_line(programme: Programme, goal: str, *, quiet: bool) -> Iterator[_ProgressLine | None]:
    """Live progress on a terminal; nothing in a pipe."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    line = _ProgressLine(programme, goal)
    with Live(line, console=console, refresh_per_second=4, transient=True):
        yield line


def _positive(word: str) -> float:
    value = float(word)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{word} is not a positive number")
    return value


def _share(word: str) -> float:
    value = float(word)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{word} is not a number from 0")
    return value


def _count(word: str) -> int:
    value = int(word)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{word} is not a whole number from 1")
    return value


def _seed(word: str) -> int:
    value = int(word)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{word} is not a whole number from 0")
    return value


def entry() -> None:
    """Console script ``optimize``."""
    sys.exit(main())

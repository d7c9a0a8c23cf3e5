"""``optimize solve``."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import sys
import threading
import time

from optimize.cli.arguments import overrides_of
from optimize.cli.output import instance_line, print_warnings
from optimize.cli.progress import live_line, progress_lines, stopping_softly, told_to
from optimize.errors import ExitCode, UsageError, gravest
from optimize.io.instance_folder import LoadedProgramme, read_instance
from optimize.programme import SolveOptions
from optimize.registry import PROGRAMMES
from optimize.report import text
from optimize.report.store import store_run
from optimize.report.summary import STATUS_CODES, json_line, summarise_run
from optimize.solve import solve
from optimize.studies.scenarios import Scenario, find_scenario, read_scenarios


def run_solve(call: argparse.Namespace) -> int:
    scenario = scenario_asked(call)
    if call.joint:
        from optimize.cli.joint import solve_joint  # loads all programmes and what ties them

        return solve_joint(call, scenario)
    instance = read_instance(call.path, PROGRAMMES, call.programme, scenario.overrides, scenario.changes)
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
        print(instance_line(instance, call.path))
        print_warnings(instance)
    interrupt = threading.Event()
    codes: list[ExitCode] = []
    with stopping_softly(interrupt):
        for part in instance.programmes:
            if interrupt.is_set():
                print(f"{part.programme.name}: not solved, interrupted", file=sys.stderr)
                codes.append(ExitCode.NO_PLAN)
                continue
            codes.append(_solve_programme(call, part, goals, scenario, interrupt))
    if not call.json and ExitCode.SOLVED in codes:
        print(
            f"Next: optimize report {call.results}/…/RUN · optimize serve --instance {call.path} · "
            f"optimize solve {call.path} --set budgets.scale=0.8"
        )
    return gravest(codes)


def scenario_asked(call: argparse.Namespace) -> Scenario:
    """The scenario named, with ``--set`` for what it does not set itself; without one only that.

    Raises
    ------
    UsageError : only one of --scenario and --scenarios is given, or there is no such scenario.
    """
    settings = overrides_of(call.settings)
    if call.scenario is None and call.scenarios is None:
        return Scenario("", "", "", settings)
    if call.scenario is None or call.scenarios is None:
        raise UsageError(
            "--scenario NAME and --scenarios FILE go together; `optimize run` solves all of a file"
        )
    found = find_scenario(read_scenarios(call.scenarios), call.scenario, call.scenarios)
    return dataclasses.replace(found, overrides={**settings, **found.overrides})


def _solve_programme(
    call: argparse.Namespace,
    part: LoadedProgramme,
    goals: tuple[str, ...],
    scenario: Scenario,
    interrupt: threading.Event,
) -> ExitCode:
    programme, data = part.programme, part.data
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    began = time.monotonic()
    unit = programme.goal(goals[-1]).unit
    about = {"programme": programme.name, "goal": goals[-1], "unit": unit}
    with (
        live_line(programme, goals[-1], quiet=call.json) as line,
        progress_lines(call.progress, **about) as lines,
    ):
        options = SolveOptions(
            goal=goals,
            gap=call.gap,
            time_limit_s=call.time_limit,
            threads=call.threads,
            seed=call.seed,
            engine=call.engine,
            progress=told_to(line, lines),
            interrupt=interrupt,
            write_model=call.write_model,
        )
        solved = solve(programme, data, options)
    seconds = time.monotonic() - began
    summary = summarise_run(programme, data, solved, options, seconds)
    told = None if call.scenario is None else scenario.told()
    folder = store_run(
        call.results, call.path, programme, data, solved, options, summary, scenario.overrides, started,
        told, scenario.changes,
    )  # fmt: skip
    run = None if folder is None else folder.as_posix()
    if call.json:
        print(json.dumps(json_line(summary, run), ensure_ascii=False, allow_nan=False), flush=True)
    else:
        print("\n".join(["", *text.run_lines(summary, run)]), flush=True)
    return STATUS_CODES[summary["status"]]

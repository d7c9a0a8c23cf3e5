"""``optimize solve --joint``: all programmes under one public budget."""

from __future__ import annotations

import argparse
import datetime
import json
import threading
import time

from optimize.city.checker import city_goals
from optimize.city.reading import read_city
from optimize.city.solve import solve_city
from optimize.cli.output import instance_line, print_warnings
from optimize.cli.progress import progress_lines, stopping_softly, titled_line, told_to
from optimize.errors import ExitCode, UsageError
from optimize.names import CITY
from optimize.programme import SolveOptions
from optimize.registry import PROGRAMMES
from optimize.report.city import city_json, city_lines, store_city, summarise_city
from optimize.report.summary import STATUS_CODES
from optimize.studies.scenarios import Scenario


def solve_joint(call: argparse.Namespace, scenario: Scenario) -> ExitCode:
    """Read, solve, check, print and store the joint plan; ``scenario`` holds ``--set``, too."""
    overrides = scenario.overrides
    if scenario.changes:
        raise UsageError(
            f"--scenario {scenario.name} changes tables; with --joint a scenario can only set parameters"
        )
    if call.write_model is not None:
        raise UsageError("--write-model writes one programme's model; leave --joint out")
    if call.engine != "auto":
        raise UsageError(f"--engine {call.engine}: a joint plan has ways of its own; leave --engine out")
    instance, city = read_city(call.path, PROGRAMMES, call.programme, overrides)
    goals = tuple(name.strip() for name in call.goal.split(",") if name.strip())
    known = city_goals(city)
    if not goals or any(name not in known for name in goals):
        raise UsageError(f"--goal {call.goal}: {', '.join(city.names)} share the goals {', '.join(known)}")
    if not call.json:
        print(instance_line(instance, call.path))
        print_warnings(instance)
    goal = city.parts[0].programme.goal(goals[-1])
    interrupt = threading.Event()
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    began = time.monotonic()
    with (
        stopping_softly(interrupt),
        titled_line("One budget for the city", goal.unit, quiet=call.json) as line,
        progress_lines(call.progress, programme=CITY, goal=goal.name, unit=goal.unit) as lines,
    ):
        options = SolveOptions(
            goal=goals,
            gap=call.gap,
            time_limit_s=call.time_limit,
            threads=call.threads,
            seed=call.seed,
            progress=told_to(line, lines),
            interrupt=interrupt,
        )
        solved = solve_city(city, options)
    summary = summarise_city(solved, time.monotonic() - began)
    more = {"scenario": scenario.told()} if call.scenario else {}
    summary |= more
    folder = store_city(call.results, call.path, solved, options, summary, overrides, started, more=more)
    run = None if folder is None else folder.as_posix()
    if call.json:
        print(json.dumps(city_json(summary, run), ensure_ascii=False, allow_nan=False), flush=True)
    else:
        print("\n".join(["", *city_lines(summary, run)]), flush=True)
    return STATUS_CODES[summary["status"]]

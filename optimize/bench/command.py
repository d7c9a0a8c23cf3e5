"""The ``bench`` command: from its arguments to races, tables and an exit code."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from optimize.bench.child import Task
from optimize.bench.contenders import Contender, find_contenders
from optimize.bench.ingredients import product_without, shares_record
from optimize.bench.race import Entry, Race, instance_folder, run_race
from optimize.bench.report import (
    head_lines,
    progress_line,
    race_record,
    share_lines,
    standing_lines,
    table_lines,
)
from optimize.bench.seeds import standings
from optimize.errors import ExitCode, UsageError, gravest
from optimize.programme import Programme
from optimize.registry import find_programme

PEERS = "pyomo-highs,highs,scip,cp-sat,linopy"


def bench(call: Namespace) -> ExitCode:
    """Race once for every seed, print, and tell how it ended; the rows come on stderr as they are done.

    Raises
    ------
    UsageError : a contender, ingredient, goal, size or folder that is not known.
    """
    programme = find_programme(call.programme)
    if call.without is None:
        contenders = find_contenders(PEERS if call.against is None else call.against)
    else:
        contenders = product_without(call.without, programme)
    for word, given, known in (
        ("--goal", call.goal, [goal.name for goal in programme.goals]),
        ("--size", call.size, [None, *programme.sizes]),
        ("--family", call.family, ["", *programme.families]),
    ):
        if given not in known:
            raise UsageError(f"{word} {given}: {programme.name} knows {', '.join(filter(None, known))}")
    races, records = [], []
    for seed in call.seeds:
        race, record = _race(call, programme, contenders, seed)
        races.append(race)
        records.append(record)
        if race.interrupted:
            break
    goal = programme.goal(call.goal)
    together = standings(races, goal.maximise, one_instance=call.instance is not None)
    if call.json:
        several = {"races": records, "standings": [one.record() for one in together]}
        print(
            json.dumps(records[0] if len(call.seeds) == 1 else several, ensure_ascii=False, allow_nan=False)
        )
    elif len(races) > 1:
        print("\n".join(standing_lines(together, call.seeds[: len(races)], goal)))
    return gravest([race.exit_code for race in races])


def _race(
    call: Namespace, programme: Programme, contenders: Sequence[Contender], seed: int
) -> tuple[Race, dict[str, Any]]:
    """One race, printed unless JSON is asked for, and its record."""
    goal = programme.goal(call.goal)
    family = ["--family", call.family] if call.family else []
    drawing = ["--size", str(call.size), "--seed", str(seed), *family]
    case = str(call.instance) if call.instance else f"{' '.join([call.size, *family[1:]])} seed {seed}"
    with instance_folder(programme, call.instance, drawing) as folder:
        task = Task(
            contender="",
            programme=programme.name,
            instance=str(folder),
            goal=call.goal,
            gap=call.gap,
            time_limit_s=call.time_limit,
            threads=call.threads,
            seed=seed,
            engine="auto" if call.without is None else "fast",
        )
        if not call.json:
            print("\n".join(head_lines(programme, task, case)), flush=True)
        race = run_race(contenders, task, goal.maximise, tell=_tell)
    record = race_record(race, programme, task, case)
    if call.without is not None:
        record["shares"] = shares_record(race, goal.maximise)
    if not call.json:
        by_step = call.without is not None
        lines = share_lines(race, goal, programme.ingredients) if by_step else table_lines(race, goal)
        print("\n".join(lines), flush=True)
    return race, record


def _tell(entry: Entry) -> None:
    print(progress_line(entry), file=sys.stderr, flush=True)

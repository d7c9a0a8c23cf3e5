"""The ``bench`` command: from its arguments to a race, a table and an exit code."""

from __future__ import annotations

import json
import sys
from argparse import Namespace

from optimize.bench.child import Task
from optimize.bench.contenders import find_contenders
from optimize.bench.race import Entry, instance_folder, run_race
from optimize.bench.report import head_lines, progress_line, race_record, table_lines
from optimize.errors import ExitCode, UsageError
from optimize.registry import find_programme


def bench(call: Namespace) -> ExitCode:
    """Race, print, and tell how it ended; the rows come on stderr as they are done.

    Raises
    ------
    UsageError : a contender, goal, size or folder that is not known.
    """
    programme = find_programme(call.programme)
    contenders = find_contenders(call.against)
    for word, given, known in (
        ("--goal", call.goal, [goal.name for goal in programme.goals]),
        ("--size", call.size, [None, *programme.sizes]),
        ("--family", call.family, ["", *programme.families]),
    ):
        if given not in known:
            raise UsageError(f"{word} {given}: {programme.name} knows {', '.join(filter(None, known))}")
    family = ["--family", call.family] if call.family else []
    drawing = ["--size", str(call.size), "--seed", str(call.seed), *family]
    case = str(call.instance) if call.instance else f"{' '.join([call.size, *family[1:]])} seed {call.seed}"
    goal = programme.goal(call.goal)
    with instance_folder(programme, call.instance, drawing) as folder:
        task = Task(
            contender="",
            programme=programme.name,
            instance=str(folder),
            goal=call.goal,
            gap=call.gap,
            time_limit_s=call.time_limit,
            threads=call.threads,
            seed=call.seed,
        )
        if not call.json:
            print("\n".join(head_lines(programme, task, case)), flush=True)
        race = run_race(contenders, task, goal.maximise, tell=_tell)
    if call.json:
        print(json.dumps(race_record(race, programme, task, case), ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(table_lines(race, goal)))
    return race.exit_code


def _tell(entry: Entry) -> None:
    print(progress_line(entry), file=sys.stderr, flush=True)

"""``optimize explain``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optimize.city.stored import is_city_run
from optimize.cli.calls.questions import TOP
from optimize.errors import ExitCode, UsageError
from optimize.io.run_instance import read_instance_of
from optimize.programme import SolveOptions
from optimize.registry import PROGRAMMES
from optimize.studies.explain import Explainer, Explanation
from optimize.studies.explain_by_locks import LockExplainer
from optimize.studies.explain_city import CityExplainer
from optimize.studies.explain_report import Wording, explanation_json, explanation_lines, ranking_lines
from optimize.studies.plan_model import load_plan_model
from optimize.studies.stored_runs import read_city_run, read_run
from optimize.studies.tables import plain_records, write_tables

AnyExplainer = Explainer | LockExplainer | CityExplainer

_SHOWN = 20


def run_explain(call: argparse.Namespace) -> int:
    ranks = call.all or call.top is not None
    if ranks == bool(call.ids):
        raise UsageError(
            "name projects (optimize explain RUN ID …), or ask for the ranking with --all or --top N"
        )
    if call.csv is not None and not ranks:
        raise UsageError("--csv writes the ranking: add --all or --top N")
    options = SolveOptions(gap=call.gap, time_limit_s=call.time_limit, seed=call.seed)
    summary, explainer = _explainer(call.run_folder, call.instance, options)
    words = Wording.of(summary)
    if ranks:
        return _rank(call, words, explainer)
    for position, project in enumerate(explainer.find(list(dict.fromkeys(call.ids)))):
        told = explainer.explain(project)  # type: ignore[arg-type]
        if call.json:
            print(json.dumps(explanation_json(told), ensure_ascii=False, allow_nan=False), flush=True)
        else:
            print("\n".join([*([""] if position else []), *explanation_lines(told, words)]), flush=True)
    return ExitCode.SOLVED


def _explainer(
    folder: Path, instance: Path | None, options: SolveOptions
) -> tuple[Mapping[str, Any], AnyExplainer]:
    """The run's summary, and who answers about its projects."""
    if is_city_run(folder):
        city = read_city_run(folder, PROGRAMMES)
        options = dataclasses.replace(options, goal=tuple(city.summary["goal"]))
        return city.summary, CityExplainer(city, PROGRAMMES, instance, options)
    run = read_run(folder, PROGRAMMES)
    model = load_plan_model(run, PROGRAMMES, instance)
    if model is not None:
        return run.summary, Explainer(model, options)
    _, data = read_instance_of(run.folder, run.manifest, run.programme, PROGRAMMES, instance)
    return run.summary, LockExplainer(run, data, options)


def _rank(call: argparse.Namespace, words: Wording, explainer: AnyExplainer) -> int:
    ranking = explainer.rank()
    top = TOP if call.top is None else call.top
    exact: dict[str, Explanation] = {}
    for name in _first(list(ranking["id"]), top):
        (project,) = explainer.find([name])
        exact[name] = explainer.explain(project)  # type: ignore[arg-type]
        if not call.json and sys.stderr.isatty():
            print(f"solved again without {name} ({len(exact)} of {min(top, len(ranking))})", file=sys.stderr)
    told = [exact.get(name) for name in ranking["id"]]
    for column in ("loss", "low", "high"):
        ranking[column] = [None if e is None else getattr(e, column) for e in told]
    if call.csv is not None:
        write_tables(call.csv, {"importance": ranking})
    records = plain_records(ranking)
    if call.json:
        for record in records:
            print(json.dumps(record, ensure_ascii=False, allow_nan=False))
        return ExitCode.SOLVED
    shown = (
        records if call.all and call.top is None and len(records) <= _SHOWN else records[: max(top, _SHOWN)]
    )
    print(f"{len(records)} projects of the plan, the most important first")
    print("\n".join(ranking_lines(shown, exact, words)))
    if len(shown) < len(records):
        print(f"  … and {len(records) - len(shown)} more; all with --csv FOLDER or --json")
    return ExitCode.SOLVED


def _first(names: Sequence[str], number: int) -> Sequence[str]:
    return names[:number]

"""``optimize robust``: plans that withstand dearer projects or the worst of many cases, and their price."""

from __future__ import annotations

import argparse
import json
import math
import sys
import threading
from collections.abc import Callable

from optimize.cli.arguments import overrides_of
from optimize.cli.calls.planning import SAMPLES, WEIGHT
from optimize.cli.output import print_warnings
from optimize.cli.progress import stopping_softly
from optimize.errors import ExitCode, Fault, InputFaults, UsageError, gravest
from optimize.io.instance_folder import LoadedInstance, read_instance
from optimize.programme import SolveOptions
from optimize.registry import PROGRAMMES
from optimize.result import StopReason
from optimize.studies.robust import find_robust, refuse_unsuitable
from optimize.studies.robust_plans import Place, Question, Robustness
from optimize.studies.robust_question import unstated
from optimize.studies.robust_report import robust_json, robust_lines, robust_tables
from optimize.studies.tables import write_tables

_CALL = "optimize robust"


def run_robust(call: argparse.Namespace) -> int:
    overrides = overrides_of(call.settings)
    question, instance = _read(call, overrides)
    if len(instance.programmes) != 1:
        names = ", ".join(part.programme.name for part in instance.programmes)
        raise UsageError(f"{call.path} has several programmes ({names}); name one --programme")
    part = instance.programmes[0]
    programme = part.programme
    known = [goal.name for goal in programme.goals]
    if call.goal not in known:
        raise UsageError(f"--goal {call.goal}: {programme.name} knows {', '.join(known)}")
    if not call.json:
        print_warnings(instance)
    interrupt = threading.Event()
    options = SolveOptions(
        goal=(call.goal,),
        gap=call.gap,
        time_limit_s=call.time_limit,
        threads=call.threads,
        seed=call.seed,
        interrupt=interrupt,
    )
    with stopping_softly(interrupt):
        place = Place(call.results, call.path, overrides)
        told = _progress(call)
        try:
            found = find_robust(programme, part.data, question, options, place, told)
        finally:
            told("")
    if found is None:
        words = (
            f"no plan meets every hard target; `optimize solve {call.path}` says what would have to give way"
        )
        print(json.dumps({"status": "infeasible", "error": words}) if call.json else words)
        return ExitCode.INFEASIBLE
    if call.csv is not None:
        write_tables(call.csv, robust_tables(found))
    print(
        json.dumps(robust_json(found), ensure_ascii=False, allow_nan=False)
        if call.json
        else "\n".join([*robust_lines(found), *_next(found)])
    )
    return _code(found)


def _code(found: Robustness) -> ExitCode:
    codes = [ExitCode.NO_PLAN] if found.not_begun else [ExitCode.SOLVED]
    for plan in found.plans:
        if plan.planned is None:
            proven = plan.stop is StopReason.INFEASIBLE
            codes.append(ExitCode.INFEASIBLE if proven else ExitCode.NO_PLAN)
    return gravest(codes)


def _next(found: Robustness) -> list[str]:
    plans = (found.plain, *found.plans)
    runs = list(dict.fromkeys(plan.run.as_posix() for plan in plans if plan.run is not None))
    return [f"Next: optimize compare {runs[0]} {runs[-1]}"] if len(runs) > 1 else []


def _read(call: argparse.Namespace, overrides: dict[str, object]) -> tuple[Question, LoadedInstance]:
    """The question and the instance, or all that is wrong with either."""
    faults, question = _question(call)
    instance = None
    try:
        instance = read_instance(call.path, PROGRAMMES, call.programme, overrides)
    except InputFaults as error:
        faults += list(error.faults)
    if instance is not None and len(instance.programmes) == 1 and (call.gamma is None) != (call.cvar is None):
        part = instance.programmes[0]
        refuse_unsuitable(part.programme, question, (call.goal,))
        faults += unstated(part.data, by_cost=call.gamma is not None)
    if faults:
        raise InputFaults(faults)
    assert instance is not None
    return question, instance


def _question(call: argparse.Namespace) -> tuple[list[Fault], Question]:
    """What is asked, with every fault of the call."""
    faults: list[Fault] = []

    def fault(option: str, expected: str, found: str, mend: str = "") -> None:
        faults.append(Fault(_CALL, option, expected, found, mend))

    if (call.gamma is None) == (call.cvar is None):
        both = "both" if call.gamma is not None else "neither"
        fault(
            "--gamma or --cvar", "one of the two", both, "--gamma 5 for dearer projects, --cvar 0.9 for cases"
        )
    for option in ("weight", "samples"):
        if getattr(call, option) is not None and call.cvar is None:
            fault(f"--{option}", "--cvar with it", "no --cvar")
    gammas = _numbers(call.gamma, fault, "--gamma", "whole numbers of projects from 0, or all", _projects)
    alphas = _numbers(call.cvar, fault, "--cvar", "a share between 0 and 1, e.g. 0.9", _inside)
    if len(alphas) > 1:
        fault("--cvar", "one share", call.cvar)
    weights = _numbers(call.weight or WEIGHT, fault, "--weight", "weights from above 0 to 1", _weight)
    whole = "a whole number from "
    samples = _numbers(call.samples or SAMPLES, fault, "--samples", f"{whole}2", lambda w: _whole(w, 2))
    fresh = _numbers(call.fresh, fault, "--fresh", f"{whole}0", lambda w: _whole(w, 0))
    for option, values in (("--samples", samples), ("--fresh", fresh)):
        if len(values) > 1:
            fault(option, "one number", str(getattr(call, option[2:])))
    return faults, Question(
        gammas=tuple(sorted(set(gammas))),
        weights=tuple(sorted(set(weights))) if call.gamma is None else (),
        alpha=alphas[0] if alphas else 0.9,
        num_cases=int(samples[0]) if samples else 2,
        seed=call.seed,
        num_fresh=int(fresh[0]) if fresh else 0,
    )


def _numbers(
    words: str | None,
    fault: Callable[..., None],
    option: str,
    expected: str,
    read: Callable[[str], float],
) -> list[float]:
    found = []
    for word in [] if words is None else words.split(","):
        try:
            found.append(read(word.strip()))
        except ValueError:
            fault(option, expected, word.strip() or "nothing")
    return found


def _projects(word: str) -> float:
    return math.inf if word == "all" else float(_whole(word, 0))


def _whole(word: str, least: int) -> int:
    value = int(word)
    if value < least:
        raise ValueError(word)
    return value


def _inside(word: str) -> float:
    value = float(word)
    if not 0.0 < value < 1.0:
        raise ValueError(word)
    return value


def _weight(word: str) -> float:
    value = float(word)
    if not 0.0 < value <= 1.0:
        raise ValueError(word)
    return value


def _progress(call: argparse.Namespace) -> Callable[[str], None]:
    """One line on a terminal, written over; "" clears it."""
    if call.json or not sys.stderr.isatty():
        return lambda words: None
    return lambda words: print(
        f"\r\033[K{f'working on: {words}' if words else ''}", end="", file=sys.stderr, flush=True
    )

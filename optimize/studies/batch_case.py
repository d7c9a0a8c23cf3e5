"""One scenario of one programme, as a worker process checks and solves it.

A worker has the instance folder under a short name (`name_folder`): it is told where the folder lies
once, and each piece of work then only carries what a scenario changes.
"""

from __future__ import annotations

import datetime
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from optimize.errors import Fault, InputFaults, OptimizeError, UsageError
from optimize.io.instance_folder import read_instance
from optimize.programme import SolveOptions
from optimize.registry import PROGRAMMES, find_programme
from optimize.report.stored import run_files, run_tables
from optimize.report.summary import manifest_of, summarise_run
from optimize.solve import solve
from optimize.studies.scenarios import Scenario
from optimize.warm_start import WarmStart

_FOLDERS: dict[str, Path] = {}


@dataclass(frozen=True)
class Case:
    """A scenario for one programme.

    Attributes
    ----------
    instance : name of the instance folder, see `name_folder`.
    options : of `SolveOptions`, by name; what a process cannot send is left out.
    """

    instance: str
    programme: str
    scenario: Scenario
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """A case whose instance was validated: its fingerprint, or its faults."""

    fingerprint: str = ""
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What a worker returns: a run to be stored, or why there is none.

    Attributes
    ----------
    error : what went wrong, in one line; "" where nothing did.
    trace : where, for an error that is nobody's input.
    """

    summary: Mapping[str, Any] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    error: str = ""
    trace: str = ""


def name_folder(instance: str, folder: Path) -> None:
    """Tell this process where the instance called ``instance`` lies."""
    _FOLDERS[instance] = folder


def check_case(case: Case) -> Checked:
    """Validate the case's instance; nothing is solved."""
    try:
        loaded = _read(case)
    except InputFaults as error:
        return Checked(faults=error.faults)
    except UsageError as error:
        return Checked(faults=(Fault("set", "(parameter)", "a parameter that can be set", str(error)),))
    return Checked(fingerprint=loaded.data.fingerprint)


def solve_case(case: Case, warm_start: WarmStart | None) -> Answer:
    """Solve and check the case; an error becomes an answer that says so."""
    began = time.monotonic()
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    programme = find_programme(case.programme)
    try:
        data = _read(case).data
        options = SolveOptions(**case.options, warm_start=warm_start)
        solved = solve(programme, data, options)
        summary = summarise_run(programme, data, solved, options, time.monotonic() - began)
        manifest = manifest_of(data, solved, options, {}, dict(case.scenario.overrides), started)
        kept = summary["status"] == "solved"
        tables = run_tables(programme, solved) if kept else {}
        files = run_files(solved.result.certificate) if kept else {}
    except OptimizeError as error:
        return Answer(error=str(error))
    except Exception as error:  # a bug: the other scenarios go on, this one says what happened
        return Answer(error=f"{type(error).__name__}: {error}", trace=traceback.format_exc())
    return Answer(summary, manifest, tables, files)


def _read(case: Case) -> Any:
    folder, scenario = _FOLDERS[case.instance], case.scenario
    loaded = read_instance(folder, PROGRAMMES, [case.programme], scenario.overrides, scenario.changes)
    return loaded.programmes[0]

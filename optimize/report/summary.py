"""The facts of a run as plain data: ``summary.json``, ``manifest.json`` and the ``--json`` line."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

import optimize
from optimize import __version__
from optimize.checking import CheckReport
from optimize.errors import ExitCode
from optimize.io.fingerprint import fingerprint_files
from optimize.io.instance_folder import instance_files
from optimize.io.run_store import NETWORK_MULTIPLIERS, file_digest
from optimize.programme import Goal, Programme, SolveOptions
from optimize.result import Certificate, Relaxation, Result, StopReason, TracePoint, relative_gap
from optimize.schema import InstanceData

if TYPE_CHECKING:  # the engine would come with it
    from optimize.solve import Solved

_PACKAGES = ("highspy", "ortools", "pyomo", "numpy", "pandas", "scipy", "numba", "pvlib")

# A price this small beside the objective is rounding.
_LEAST_PRICE = 1e-15

STATUS_CODES: Mapping[str, ExitCode] = {
    "solved": ExitCode.SOLVED,
    "infeasible": ExitCode.INFEASIBLE,
    "no plan": ExitCode.NO_PLAN,
    "failed check": ExitCode.FAILED_CHECK,
}


def status_of(stop: StopReason, check: CheckReport | None) -> str:
    """One of the keys of STATUS_CODES."""
    if check is not None:
        return "solved" if check.passed else "failed check"
    return "infeasible" if stop is StopReason.INFEASIBLE else "no plan"


def summarise_run(
    programme: Programme, data: InstanceData, solved: Solved, options: SolveOptions, seconds: float
) -> dict[str, Any]:
    """Everything a reader of a run needs, as JSON-able data (no NaN, no infinity)."""
    result, check = solved.result, solved.check
    summary = programme.summarise(solved.instance, result.solution, check) if check is not None else None
    content = {
        "programme": programme.name,
        "programme_zh": programme.zh,
        "programme_en": programme.en,
        "instance_zh": data.name_zh,
        "instance_en": data.name_en,
        **outcome_record(result, programme.goal(result.goal[-1]), check, seconds),
        "build": [] if summary is None else list(summary.build),
        "effect": [] if summary is None else list(summary.effect),
        "shadow_prices": _shadow_prices(result),
        "notes": list(result.notes),
    }
    return plain_mapping(content)


class Outcome(Protocol):
    """What the results of one programme's solve and of a city's have in common."""

    @property
    def stop(self) -> StopReason: ...
    @property
    def objective(self) -> float | None: ...
    @property
    def bound(self) -> float | None: ...
    @property
    def gap(self) -> float | None: ...
    @property
    def maximise(self) -> bool: ...
    @property
    def goal(self) -> tuple[str, ...]: ...
    @property
    def engine(self) -> str: ...
    @property
    def trace(self) -> tuple[TracePoint, ...]: ...
    @property
    def timings(self) -> Mapping[str, float]: ...
    @property
    def relaxations(self) -> tuple[Relaxation, ...]: ...
    @property
    def certificate(self) -> Certificate | None: ...


def outcome_record(result: Outcome, goal: Goal, check: CheckReport | None, seconds: float) -> dict[str, Any]:
    """How a solve ended, what its plan reaches as the checker has it, and what proves its bound."""
    return {
        "status": status_of(result.stop, check),
        "stop_reason": result.stop.value,
        "goal": list(result.goal),
        "goal_en": goal.en,
        "goal_zh": goal.zh,
        "goal_unit": goal.unit,
        "maximise": result.maximise,
        "objective": result.objective,
        "bound": result.bound,
        "gap": result.gap,
        "checked": check is not None and check.passed,
        "rows_checked": 0 if check is None else check.num_rows_checked,
        "violations": [] if check is None else [str(v) for v in check.violations],
        "seconds": round(seconds, 3),
        "engine": result.engine,
        "clauses": [] if check is None else clause_records(check),
        "figures": {} if check is None else dict(check.figures),
        "money": [] if check is None else money_records(check),
        "relaxations": relaxation_records(result.relaxations),
        "certificate": _certificate(result),
    }


def outcome_manifest(
    result: Outcome, options: SolveOptions, engine: str, overrides: Mapping[str, Any], started_utc: str
) -> dict[str, Any]:
    """What was asked of a solve and how it went; ``engine`` as it was asked for."""
    return {
        "overrides": dict(overrides),
        "started_utc": started_utc,
        "options": {
            "goal": list(options.goal),
            "gap": options.gap,
            "time_limit_s": options.time_limit_s,
            "threads": options.threads,
            "seed": options.seed,
            "engine": engine,
        },
        "engine": result.engine,
        "certificate": _kept_by_certificate(result.certificate),
        "versions": versions(),
        "timings": dict(result.timings),
        "trace": [dataclasses.asdict(point) for point in result.trace],
    }


def manifest_of(
    data: InstanceData,
    solved: Solved,
    options: SolveOptions,
    instance: Mapping[str, Any],
    overrides: Mapping[str, Any],
    started_utc: str,
) -> dict[str, Any]:
    """What is needed to do the run again and to see how it went.

    ``instance`` says where the inputs lie and what they are; see `place_of_instance`.
    """
    asked = outcome_manifest(solved.result, options, options.engine, overrides, started_utc)
    return plain_mapping({**instance, "fingerprint": data.fingerprint, **asked})


def place_of_instance(
    path: Path, programme: Programme, home: Path, known_as: Path | None = None
) -> dict[str, Any]:
    """How a run finds its instance again: its path as given and as seen from the run's folder.

    Parameters
    ----------
    home : folder the run's folder will lie in.
    known_as : where the instance will lie when run and instance have been moved together; None: where it is.
    """
    return {
        "instance": str(known_as or path),
        "instance_from_run": os.path.relpath(path.resolve(), home.resolve() / "run"),
        "instance_files": {name: file_digest(file) for name, file in instance_files(path, programme)},
    }


@functools.cache
def versions() -> dict[str, str]:
    """Versions of everything that can change a plan; of this package the content, too."""
    found = {
        "optimize": __version__,
        "optimize source": _source_digest(),
        "python": platform.python_version(),
    }
    for package in _PACKAGES:
        found[package] = importlib.metadata.version(package)
    return found | {"machine": platform.machine(), "processor": _processor()}


def _source_digest() -> str:
    """A short name for the code that is running, whatever it calls itself."""
    home = Path(optimize.__file__).parent
    return fingerprint_files((file.relative_to(home).as_posix(), file) for file in home.rglob("*.py"))


def _processor() -> str:
    """The processor's name: kernels are compiled for it, and its rounding may be its own."""
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor()


def json_line(summary: Mapping[str, Any], run: str | None) -> dict[str, Any]:
    """The object that ``--json`` prints for one programme."""
    keys = (
        "programme", "status", "stop_reason", "goal", "goal_unit", "objective", "bound", "gap", "checked", "seconds",
        "engine", "clauses", "figures", "violations", "relaxations",
    )  # fmt: skip
    return {key: summary[key] for key in keys} | {"run": run}


def _certificate(result: Outcome) -> dict[str, Any] | None:
    """What the stored multipliers prove."""
    certificate = result.certificate
    if certificate is None:
        return None
    bound, network = certificate.closest(result.maximise), certificate.network
    if network is not None and bound != certificate.bound:
        return {
            "kind": "network",
            "bound": bound,
            "gap": relative_gap(result.objective, bound),
            "num_multipliers": network.num_multipliers,
            "num_blocks": 0,
        }
    return {
        "kind": certificate.kind,
        "bound": certificate.bound,
        "gap": relative_gap(result.objective, certificate.bound),
        "num_multipliers": int(np.count_nonzero(certificate.multipliers)),
        "num_blocks": len(certificate.block_rows),
    }


def _shadow_prices(result: Result[Any]) -> list[dict[str, Any]]:
    """Budgets and targets with a price, those with the most at stake first."""
    if result.prices is None:
        return []
    rows = result.prices.rows
    stake = (rows["approx_gain_per_unit"] * rows["required"].clip(lower=1.0)).abs()
    priced = rows["approx_gain_per_unit"].abs() > _LEAST_PRICE * max(1.0, abs(result.objective or 0.0))
    return frame_records(rows[priced].loc[stake[priced].sort_values(ascending=False, kind="stable").index])


def _kept_by_certificate(certificate: Certificate | None) -> dict[str, Any] | None:
    if certificate is None:
        return None
    kept = [dataclasses.asdict(goal) for goal in certificate.kept]
    network = certificate.network
    return {
        "kind": certificate.kind,
        "bound": certificate.bound,
        "kept": kept,
        "network": None if network is None else {
            "bound": network.bound,
            "file": None if network.content is None else NETWORK_MULTIPLIERS,
            "num_bytes": network.num_bytes,
            "num_seasons": network.num_seasons,
            "num_multipliers": network.num_multipliers,
        },
    }  # fmt: skip


def clause_records(check: CheckReport) -> list[dict[str, Any]]:
    """Every clause with what the plan reaches."""
    return [
        {
            "id": outcome.target.id,
            "zh": outcome.target.clause.zh,
            "en": outcome.target.clause.en,
            "where": outcome.where,
            "sense": outcome.target.clause.sense,
            "required": outcome.target.required,
            "reached": outcome.reached,
            "unit": outcome.target.clause.unit,
            "hard": outcome.target.hard,
            "met": outcome.met,
            "binding": outcome.binding,
        }
        for outcome in check.clauses
    ]


def money_records(check: CheckReport) -> list[dict[str, Any]]:
    """Spent and budget by source and year."""
    return frame_records(check.money)


def relaxation_records(ways: Sequence[Relaxation]) -> list[list[dict[str, Any]]]:
    """The ways out of an infeasible instance, each a list of rows."""
    return [
        [
            dataclasses.asdict(row) | {"change": row.change, "exact": way.exact, "only": way.only}
            for row in way.rows
        ]
        for way in ways
    ]


def frame_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict(orient="records")]


def plain_mapping(content: Mapping[str, Any]) -> dict[str, Any]:
    """Python numbers and strings only, to be written as JSON."""
    return {key: _plain(value) for key, value in content.items()}


def _plain(value: Any) -> Any:
    """Python numbers and strings only; what is not a finite number becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if hasattr(value, "item"):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value

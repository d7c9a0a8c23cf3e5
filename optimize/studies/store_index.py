"""The store as one table: listed and queried with DuckDB over a Parquet index.

The index is derived from the runs and is never the truth: every call compares it with the folders
that are there, reads what is new or changed, forgets what is gone, and builds it anew where it is
missing or unreadable.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from optimize.errors import UsageError
from optimize.io.run_store import MANIFEST, SUMMARY, read_manifest, read_summary

# The number is raised when the columns change; indexes of other numbers are left alone.
INDEX = Path(".index") / "runs-3.parquet"
_FACTS = (
    "run", "stamp", "programme", "instance", "started", "status", "goal", "objective", "bound", "gap",
    "unit", "maximise", "stop_reason", "engine", "seconds", "threads", "clauses_missed", "spent_cny",
    "scenario", "robust", "overrides", "changes", "fingerprint",
)  # fmt: skip
_TEXTS = (
    "run", "programme", "instance", "started", "status", "goal", "unit", "stop_reason", "engine",
    "scenario", "robust", "overrides", "changes", "fingerprint",
)  # fmt: skip
_HIDDEN = ("stamp",)


@dataclass(frozen=True)
class RunQuery:
    """Which runs: of a programme, meeting an SQL condition on the columns, the newest first."""

    programme: str | None = None
    where: str = ""
    newest: int | None = None


@dataclass(frozen=True)
class FoundRuns:
    """Runs that answer a query: one row each, a column for every fact and figure.

    ``num_all``: runs in the store; ``unreadable``: folders that look like runs and are none, in words.
    """

    frame: pd.DataFrame
    num_all: int
    unreadable: tuple[str, ...]


def query_runs(store: Path, query: RunQuery) -> FoundRuns:
    """The runs below ``store`` that answer ``query``.

    Raises
    ------
    UsageError : there is no such folder, or the condition is no SQL on the columns.
    """
    if not store.is_dir():
        raise UsageError(f"{store} is no folder; runs are stored where --results says")
    index, unreadable = _current_index(store)
    return FoundRuns(_selected(index, query), len(index), unreadable)


def _selected(index: pd.DataFrame, query: RunQuery) -> pd.DataFrame:
    columns = [name for name in index.columns if name not in _HIDDEN]
    conditions, values = ["true"], []
    if query.programme is not None:
        conditions.append("programme = ?")
        values.append(query.programme)
    if query.where.strip():
        conditions.append(f"({query.where}\n)")
    text = f"SELECT * FROM runs WHERE {' AND '.join(conditions)} ORDER BY started DESC, run DESC"
    if query.newest is not None:
        text += f" LIMIT {query.newest}"
    with duckdb.connect(":memory:") as connection:
        connection.register("index_of_runs", pa.Table.from_pandas(index[columns], preserve_index=False))
        connection.execute("CREATE TABLE runs AS SELECT * FROM index_of_runs")
        # A condition reads this table and nothing else of the machine.
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        try:
            if len(connection.extract_statements(text)) != 1:
                raise UsageError(f"--where {query.where}: one condition, without ;")
            return connection.execute(text, values).df()[columns]
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise UsageError(
                f"--where {query.where}: {reason}; the columns are {', '.join(columns)}"
            ) from error


# --- the index ------------------------------------------------------------------------------------


def _current_index(store: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The index as the folders are now, and what could not be read."""
    there = _stamps(store)
    index = _read_index(store / INDEX)
    known = {} if index is None else dict(zip(index["run"], index["stamp"], strict=True))
    kept = {run for run, stamp in known.items() if there.get(run) == stamp}
    rows, unreadable = [], []
    for run, stamp in there.items():
        if run in kept:
            continue
        try:
            rows.append(_facts(store, run, stamp))
        except (UsageError, KeyError, TypeError, ValueError, AttributeError) as error:
            unreadable.append(
                f"{run}: {error}" if isinstance(error, UsageError) else f"{run}: not a run's summary"
            )
    if index is not None and not rows and len(kept) == len(index):
        return index, tuple(unreadable)
    parts = [pd.DataFrame(rows)] if rows else []
    if index is not None:
        parts.insert(0, index[index["run"].isin(kept)])
    fresh = _typed(pd.concat(parts, ignore_index=True) if parts else pd.DataFrame())
    _write_index(store / INDEX, fresh)
    return fresh, tuple(unreadable)


def _stamps(store: Path) -> dict[str, int]:
    """Every run folder below ``store`` with a stamp that changes when its files do."""
    found = {}
    for programme in _folders(store):
        for home in _folders(programme.path):
            for run in _folders(home.path):
                try:
                    summary = os.stat(os.path.join(run.path, SUMMARY))  # noqa: PTH116, PTH118 - ten thousand times
                    manifest = os.stat(os.path.join(run.path, MANIFEST))  # noqa: PTH116, PTH118
                except OSError:
                    continue
                stamp = hash((summary.st_mtime_ns, summary.st_size, manifest.st_mtime_ns, manifest.st_size))
                found[f"{programme.name}/{home.name}/{run.name}"] = stamp
    return found


def _folders(path: str | Path) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return sorted((e for e in entries if not e.name.startswith(".") and e.is_dir()), key=lambda e: e.name)


def _facts(store: Path, run: str, stamp: int) -> dict[str, Any]:
    summary, manifest = read_summary(store / run), read_manifest(store / run)
    facts: dict[str, Any] = {
        "run": run,
        "stamp": stamp,
        "programme": str(summary["programme"]),
        "instance": str(summary["instance_en"]),
        "started": str(manifest["started_utc"]),
        "status": str(summary["status"]),
        "goal": ",".join(summary["goal"]),
        "objective": _number(summary["objective"]),
        "bound": _number(summary["bound"]),
        "gap": _number(summary["gap"]),
        "unit": str(summary["goal_unit"]),
        "maximise": bool(summary["maximise"]),
        "stop_reason": str(summary["stop_reason"]),
        "engine": str(summary["engine"]),
        "seconds": _number(summary["seconds"]),
        "threads": _number(manifest["options"].get("threads")),
        "clauses_missed": float(sum(not clause["met"] for clause in summary["clauses"])),
        "spent_cny": math.fsum(row["spent_cny"] for row in summary["money"]),
        "scenario": str(manifest.get("scenario", {}).get("name", "")),
        "robust": _robust_words(summary.get("robust", {})),
        "overrides": json.dumps(manifest.get("overrides", {}), ensure_ascii=False, sort_keys=True),
        "changes": json.dumps(manifest.get("changes", []), ensure_ascii=False),
        "fingerprint": str(manifest["fingerprint"]),
    }
    figures: Mapping[str, Any] = summary["figures"]
    named = {(f"figure_{name}" if name in facts else name): _number(value) for name, value in figures.items()}
    return facts | named


def _robust_words(asked: Mapping[str, Any]) -> str:
    """What a robust plan withstands, as the options that ask for it; "" for plans without robustness."""
    if asked.get("gamma"):
        level = asked["gamma"]
        return f"gamma {level if isinstance(level, str) else f'{level:g}'}"
    return f"cvar {asked['alpha']:g} weight {asked['weight']:g}" if asked.get("weight") else ""


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """All columns in their order and type, also where there is no row."""
    figures = sorted(name for name in frame.columns if name not in _FACTS)
    whole = frame.reindex(columns=[*_FACTS, *figures])
    types: dict[str, Any] = dict.fromkeys(whole.columns, "float64")
    types |= dict.fromkeys(_TEXTS, "object") | {"stamp": "int64", "maximise": "bool"}
    return whole.astype(types)


def _read_index(path: Path) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError, pa.ArrowException):
        return None  # derived data: what cannot be read is built anew
    return frame if set(_FACTS) <= set(frame.columns) else None


def _write_index(path: Path, frame: pd.DataFrame) -> None:
    """At once, so that two listings at a time do no harm; a store that cannot be written has no index."""
    try:
        path.parent.mkdir(exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    except OSError:
        return
    os.close(handle)
    place = Path(name)
    try:
        frame.to_parquet(place, index=False)
        place.chmod(0o644)
        place.replace(path)
    except BaseException:
        place.unlink(missing_ok=True)
        raise

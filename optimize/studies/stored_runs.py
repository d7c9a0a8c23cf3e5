"""Runs of the store as studies read them: the projects and payments of any programme in one shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optimize.city.plan import SILOS
from optimize.errors import UsageError
from optimize.io.run_store import altered_files, read_manifest, read_summary, read_text_table
from optimize.names import CITY
from optimize.programme import Programme, ProjectTable

_ABOUT = ("name_zh", "name_en", "district")


@dataclass(frozen=True)
class StoredRun:
    """A run of one programme.

    Attributes
    ----------
    projects : one row per project: kind, id, name_zh, name_en, district ("" where there is none),
        year (first year of the project), decision (how, when and by whose money, as text),
        capex_cny (NaN where the run does not say), and a column for each of ``effects``.
    effects : figures of the checker that projects add up to, by their names.
    payments : id, district, source, year, amount_cny; None where the run lists none.
    """

    folder: Path
    programme: Programme
    summary: Mapping[str, Any]
    manifest: Mapping[str, Any]
    projects: pd.DataFrame
    effects: tuple[str, ...]
    payments: pd.DataFrame | None


def read_run(folder: Path, programmes: Sequence[Programme]) -> StoredRun:
    """One run as it was written.

    Raises
    ------
    UsageError : there is no run, none of these programmes, or it is no longer as it was written.
    """
    summary, manifest = read_summary(folder), read_manifest(folder)
    programme = next((p for p in programmes if p.name == summary.get("programme")), None)
    if programme is None:
        if summary.get("programme") == CITY:
            raise UsageError(f"{folder} is a joint plan; this command takes a run of one programme")
        raise UsageError(f"{folder} is a run of '{summary.get('programme')}', which is no programme")
    _refuse_altered(folder, manifest)
    return _stored(folder, programme, summary, manifest, lambda name: folder / f"{name}.csv")


@dataclass(frozen=True)
class StoredCity:
    """A run of several programmes under one budget; each of ``parts`` is read like a run of its programme.

    A part's summary has its own clauses, figures and money, and the joint plan's goal; its objective is its
    own figure of that goal, and it has no bound.
    """

    folder: Path
    summary: Mapping[str, Any]
    manifest: Mapping[str, Any]
    parts: tuple[StoredRun, ...]


def read_city_run(folder: Path, programmes: Sequence[Programme], *, silos: bool = False) -> StoredCity:
    """A joint run as it was written.

    Parameters
    ----------
    silos : read the plan on today's fixed shares that lies in it.

    Raises
    ------
    UsageError : as `read_run`; or it holds no plan on fixed shares.
    """
    summary, manifest = read_summary(folder), read_manifest(folder)
    _refuse_altered(folder, manifest)
    told = summary["silos"] if silos else summary
    if silos and told["objective"] is None:
        raise UsageError(f"{folder} holds no plan on today's fixed shares to compare with; name another run")
    if silos and "parts" not in told:
        raise UsageError(f"{folder} was stored by an earlier version, without the figures of its plan on fixed "
                         "shares; solve it again, or name another run")  # fmt: skip
    goal = {
        key: summary[key] for key in ("goal", "goal_en", "goal_zh", "goal_unit", "maximise", "instance_en")
    }
    parts = []
    for named in summary["programmes"]:
        programme = next(p for p in programmes if p.name == named["name"])
        prefix = f"{SILOS}.{programme.name}" if silos else programme.name
        figures = told["parts"][programme.name]["figures"]
        own = {
            **goal,
            **told["parts"][programme.name],
            "programme": programme.name,
            "bound": None,
            "gap": None,
        }
        own["objective"] = figures[summary["goal"][-1]]
        parts.append(_stored(folder, programme, own, manifest, _below(folder, prefix)))
    return StoredCity(folder, summary, manifest, tuple(parts))


def _below(folder: Path, prefix: str) -> Callable[[str], Path]:
    return lambda name: folder / f"{prefix}.{name}.csv"


def _refuse_altered(folder: Path, manifest: Mapping[str, Any]) -> None:
    altered = altered_files(folder, manifest)
    if altered:
        raise UsageError(f"{folder} is not as it was written: {altered[0]}; `optimize verify` says more")


def _stored(
    folder: Path, programme: Programme, summary: Mapping[str, Any], manifest: Mapping[str, Any],
    place: Callable[[str], Path],
) -> StoredRun:  # fmt: skip
    """``place`` : the file of a table."""
    parts = [listed_projects(read_text_table(place(t.name)), t) for t in programme.project_tables]
    projects = pd.concat(parts, ignore_index=True)
    effects = tuple(dict.fromkeys(name for table in programme.project_tables for name in table.effects))
    payments = _payments_of(place("payments"), programme, projects)
    return StoredRun(folder, programme, summary, manifest, projects, effects, payments)


def listed_projects(cells: pd.DataFrame, table: ProjectTable) -> pd.DataFrame:
    """The projects of one table of text cells, in the shape of `StoredRun.projects`."""
    columns: dict[str, Any] = {"kind": np.full(len(cells), table.kind, dtype=object)}
    columns["id"] = _joined(cells, table.id, ":")
    for name in _ABOUT:
        columns[name] = cells[name].to_numpy(object) if name in cells else np.full(len(cells), "", object)
    columns["year"] = cells["year"].astype(np.int64).to_numpy()
    columns["decision"] = _joined(cells, table.decision, " · ")
    columns["payer"] = cells["mix"].to_numpy(object) if "mix" in cells else np.full(len(cells), "", object)
    columns["capex_cny"] = _numbers(cells[table.capex]) if table.capex else np.full(len(cells), np.nan)
    for figure, (column, factor) in table.effects.items():
        columns[figure] = factor * _numbers(cells[column])
    return pd.DataFrame(columns)


def _joined(cells: pd.DataFrame, names: Sequence[str], between: str) -> list[str]:
    """The cells of each row that say something: "0" is the year of what does not happen.

    Runs of earlier versions lack some columns.
    """
    rows = zip(*(cells[name] for name in names if name in cells), strict=True)
    return [between.join(cell for cell in row if cell not in ("", "0")) for row in rows]


def _numbers(cells: pd.Series) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([float(cell) if cell else np.nan for cell in cells], dtype=np.float64)


def _payments_of(path: Path, programme: Programme, projects: pd.DataFrame) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    cells = read_text_table(path)
    (key,) = programme.project_tables[0].id
    district = dict(zip(projects["id"], projects["district"], strict=True))
    return pd.DataFrame(
        {
            "id": cells[key].to_numpy(object),
            "district": [district[name] for name in cells[key]],
            "source": cells["source"].to_numpy(object),
            "year": cells["year"].astype(np.int64),
            "amount_cny": _numbers(cells["amount_cny"]),
        }
    )

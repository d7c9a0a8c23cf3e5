"""What differs between the inputs of two periods, cell by cell and in base units, and which group it belongs to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optimize.clauses import REVISE, ClauseTarget
from optimize.io.instance_folder import LoadedProgramme, read_instance
from optimize.io.table_changes import table_path
from optimize.monthly.instance_files import lay_over_toml, replace_table, written_at_once
from optimize.programme import Programme
from optimize.registry import PROGRAMMES
from optimize.schema import InstanceData, Table

GROUPS = ("prices", "costs", "budgets", "targets", "candidates", "measurements", "ledger", "other")

_TOML = "instance.toml"
_BUDGETS = ("budgets", "funding")
_LEDGER = ("plan_in_force", "locks")
# The first of these that stands in the name of a column or parameter says what it is.
_COSTS = ("capex", "opex", "cost", "ceiling")
_PRICES = (
    "price",
    "tariff",
    "subsidy",
    "carbon_cny",
    "income",
    "alternative_cny",
    "cny_per_kwh",
    "cny_per_m3",
)
_ABSENT = object()


@dataclass(frozen=True)
class Difference:
    """One thing that differs.

    Attributes
    ----------
    table : ``programme/table``, or ``instance.toml``.
    key : of the row, its columns joined by ``:``; of a parameter its path.
    column : "" where the whole row came or went.
    before, after : the cell, or the row by column; None: it was, or is, not there.
    """

    group: str
    table: str
    key: str
    column: str
    before: Any
    after: Any

    @property
    def words(self) -> str:
        """In a line."""
        place = f"{self.table} {self.key.strip(':')}"
        if self.column == "" and self.table != _TOML:
            return f"{place}: {'new' if self.before is None else 'gone'}"
        return (
            f"{place}{f' {self.column}' if self.column else ''}: {_shown(self.before)} → {_shown(self.after)}"
        )


@dataclass(frozen=True)
class Inputs:
    """Validated data of the programmes of one period, by name."""

    folder: Path
    data: Mapping[str, InstanceData]

    @classmethod
    def read(cls, folder: Path, programmes: Sequence[str]) -> Inputs:
        """Of the revised instance in ``folder``."""
        loaded: tuple[LoadedProgramme, ...] = read_instance(folder, PROGRAMMES, programmes).programmes
        return cls(folder, {part.programme.name: part.data for part in loaded})

    @property
    def programmes(self) -> tuple[Programme, ...]:
        return tuple(programme for programme in PROGRAMMES if programme.name in self.data)


def find_differences(
    before: Inputs, now: Inputs, measured: Sequence[tuple[str, str, str]]
) -> tuple[Difference, ...]:
    """All differences of the programmes that both periods have.

    Parameters
    ----------
    measured : (table, key, column) of values the ledger measured, of parameters ("", "", path).
    """
    found: dict[tuple[str, str, str], Difference] = {}
    for programme in now.programmes:
        old, new = before.data.get(programme.name), now.data[programme.name]
        if old is None:
            continue
        group = _Groups(programme, set(measured))
        for table in programme.schema.tables:
            path = table_path(programme.schema, table)
            for difference in _of_table(path, table, old.tables[table.name], new.tables[table.name], group):
                found[difference.table, difference.key, difference.column] = difference
        for difference in _of_settings(programme, old, new, group):
            found[difference.table, difference.key, difference.column] = difference
    return tuple(_with_their_candidates(list(found.values()), now.programmes))


def _with_their_candidates(
    found: Sequence[Difference], programmes: Sequence[Programme]
) -> Iterator[Difference]:
    """Rows about a candidate that came or went (its offers, its locks) come and go with it."""
    tables = {f"{p.name}/{table}": p.name for p in programmes for table, _ in p.lockable}
    moved = {(tables[d.table], d.key) for d in found if d.table in tables and not d.column}
    for difference in found:
        row = difference.after if difference.before is None else difference.before
        if not difference.column and isinstance(row, Mapping):
            programme = difference.table.split("/")[0]
            if any((programme, value) in moved for value in row.values()):
                yield replace(difference, group="candidates")
                continue
        yield difference


class _Groups:
    """Which group a difference belongs to."""

    def __init__(self, programme: Programme, measured: set[tuple[str, str, str]]) -> None:
        self._measured = measured
        self._candidates = {table for table, _ in programme.lockable}

    def of_row(self, table: Table) -> str:
        if table.name in _BUDGETS:
            return "budgets"
        if table.name in _LEDGER:
            return "ledger"
        refers = {part.split(".")[0] for column in table.columns for part in column.references.split("|")}
        return "candidates" if table.name in self._candidates or refers & self._candidates else "other"

    def of_cell(self, path: str, table: Table, key: str, column: str) -> str:
        if table.name in _BUDGETS:
            return "budgets"
        if table.name in _LEDGER:
            return "ledger"
        if (path, key, column) in self._measured:
            return "measurements"
        return _by_name(column) or ("candidates" if table.name in self._candidates else "other")

    def of_parameter(self, path: str) -> str:
        if path.startswith("budgets."):
            return "budgets"
        if path.startswith("revision.") or f".clauses.{REVISE}" in path:
            return "ledger"
        if ".clauses." in path:
            return "targets"
        if ("", "", path) in self._measured:
            return "measurements"
        return _by_name(path) or "other"


def _by_name(name: str) -> str | None:
    if any(word in name for word in _COSTS):
        return "costs"
    return "prices" if any(word in name for word in _PRICES) else None


def _of_table(
    path: str, table: Table, old: pd.DataFrame, new: pd.DataFrame, group: _Groups
) -> Iterator[Difference]:
    keys = list(table.key)
    if not keys:  # rows without a name are compared as a whole
        if not old.equals(new):
            yield Difference(group.of_row(table), path, "", "rows", len(old), len(new))
        return
    old, new = old.set_index(_joined(old, keys)), new.set_index(_joined(new, keys))
    for key in new.index.difference(old.index, sort=False):
        yield Difference(group.of_row(table), path, str(key), "", None, _record(new.loc[key]))
    for key in old.index.difference(new.index, sort=False):
        yield Difference(group.of_row(table), path, str(key), "", _record(old.loc[key]), None)
    common = new.index.intersection(old.index, sort=False)
    for column in [c.name for c in table.columns if not c.key and c.name not in ("source", "confidence")]:
        a, b = old.loc[common, column].to_numpy(object), new.loc[common, column].to_numpy(object)
        with np.errstate(invalid="ignore"):
            differs = (a != b) & ~(pd.isna(a) & pd.isna(b))
        for place in np.flatnonzero(differs.astype(np.bool_)).tolist():
            key = str(common[place])
            yield Difference(group.of_cell(path, table, key, column), path, key, column, a[place], b[place])


def _joined(frame: pd.DataFrame, keys: Sequence[str]) -> pd.Index:
    return pd.Index(
        [":".join(map(str, row)) for row in frame[list(keys)].itertuples(index=False)], dtype=object
    )


def _record(row: pd.Series) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


def _of_settings(
    programme: Programme, old: InstanceData, new: InstanceData, group: _Groups
) -> Iterator[Difference]:
    a, b = _settings(programme, old), _settings(programme, new)
    for path in dict.fromkeys((*a, *b)):
        if a.get(path, _ABSENT) != b.get(path, _ABSENT):
            yield Difference(group.of_parameter(path), _TOML, path, "", a.get(path), b.get(path))


def _settings(programme: Programme, data: InstanceData) -> dict[str, Any]:
    files = {parameter.path for parameter in programme.schema.parameters if parameter.is_file}
    found = {path: value for path, value in data.parameters.items() if path not in files}
    for clause, target in data.targets.items():
        found |= {f"{programme.name}.clauses.{clause}.{k}": v for k, v in _target(target).items()}
    return found


def _target(target: ClauseTarget) -> dict[str, Any]:
    told: dict[str, Any] = {"required": target.required, "hard": target.hard}
    if not target.hard:
        told["penalty_cny_per_unit"] = target.penalty_cny_per_unit
    if target.deadline_year is not None:
        told["deadline_year"] = target.deadline_year
    return told


def _shown(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "—"
    if not isinstance(value, float):
        return str(value)
    if value != 0 and not 1e-3 <= abs(value) < 1e15:
        return f"{value:g}"
    return f"{value:,.4f}".rstrip("0").rstrip(".")


# --- one group taken back ---------------------------------------------------------------------------


def write_without(now: Inputs, before: Inputs, group: Sequence[Difference], out: Path) -> None:
    """The period's instance as the folder ``out``, with these differences as they were before."""
    by_table: dict[str, list[Difference]] = {}
    for difference in group:
        by_table.setdefault(difference.table, []).append(difference)
    with written_at_once(out) as place:
        shutil.copytree(now.folder, place, dirs_exist_ok=True)
        settings = {d.key: d.before for d in by_table.pop(_TOML, [])}
        if settings:
            lay_over_toml(place / _TOML, settings)
        for programme in now.programmes:
            for table in programme.schema.tables:
                own = by_table.pop(table_path(programme.schema, table), [])
                if own:
                    frame = _taken_back(table, now.data[programme.name], before.data[programme.name], own)
                    _write(frame, replace_table(place, table_path(programme.schema, table)))


def _taken_back(
    table: Table, now: InstanceData, before: InstanceData, differences: Sequence[Difference]
) -> pd.DataFrame:
    keys = list(table.key)
    if not keys:
        return before.tables[table.name]
    frame = now.tables[table.name].copy()
    frame = frame.set_index(_joined(frame, keys)).astype(object)
    new = [d.key for d in differences if not d.column and d.before is None]
    gone = [d.before for d in differences if not d.column and d.after is None]
    for difference in differences:
        if difference.column:
            frame.at[difference.key, difference.column] = difference.before
    frame = frame.drop(index=new)
    return pd.concat([frame, pd.DataFrame(gone, columns=frame.columns)], ignore_index=True)


def _write(frame: pd.DataFrame, path: Path) -> None:
    shown = frame.astype(object).where(frame.notna(), "")
    for name in shown.columns:
        shown[name] = [str(v).lower() if isinstance(v, bool | np.bool_) else v for v in shown[name]]
    shown.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")

"""The plan in force as rows of ``plan_in_force``: what the last period planned, as far as the ledger says no other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from optimize.city.stored import is_city_run
from optimize.errors import Fault
from optimize.io.run_store import read_text_table
from optimize.monthly.ledger_states import Key, ProjectRecord
from optimize.programme import Programme, ProjectTable
from optimize.revision import STATES
from optimize.schema import Table

_YEAR = "year"
_STATE, _ACTUAL, _OWED = "state", "actual_capex_cny", "cancellation_cost_cny"
# Columns of a plan in force that holds projects of several tables: where a project is listed, its id there, and
# the one thing besides year and payer that is decided of it (its own column in that table).
TABLE, PROJECT, CHOICE = "table", "project", "choice"
_DECIDED_BESIDES = (_YEAR, "mix")
# What earlier versions listed among other works of reclaimed water, though nothing of it is built.
_LABEL = "pilot"

Projects: TypeAlias = dict[Key, Mapping[str, str]]
"""The cells of each project of a plan."""


def projects_of(run: Path, programme: Programme) -> Projects:
    """The projects of a run, or of a programme's part of a joint run, as text cells."""
    prefix = f"{programme.name}." if is_city_run(run) else ""
    found: Projects = {}
    for table in programme.project_tables:
        cells = read_text_table(run / f"{prefix}{table.name}.csv")
        names = [str(name) for name in cells.columns]
        for row in cells.itertuples(index=False, name=None):
            project = dict(zip(names, map(str, row), strict=True))
            if project.get("kind") == _LABEL:
                continue
            found[(programme.name, table.name, ":".join(project[name] for name in table.id))] = project
    return found


def in_force_rows(
    programme: Programme, planned: Projects, records: Mapping[Key, ProjectRecord]
) -> tuple[list[dict[str, Any]], list[Fault]]:
    """Rows of the programme's ``plan_in_force``, and contracts that do not say what was contracted.

    Parameters
    ----------
    planned : of the plan in force; {}: there is none, and only what is contracted is in force.
    records : what the ledger knows of the programme's projects.
    """
    declared = programme.schema.table("plan_in_force")
    tables = {table.name: table for table in programme.project_tables}
    contracted = [key for key, record in records.items() if record.frozen and key not in planned]
    rows, faults = [], list[Fault]()
    for key in (*planned, *contracted):
        record = records.get(key, ProjectRecord())
        if record.ended:
            continue
        row = _row(declared, tables[key[1]], key, planned.get(key, {}), record)
        missing = [name for name in _needed(declared, tables[key[1]]) if not row.get(name)]
        if missing:
            told = _told(declared, tables[key[1]], missing)
            expected = f"{told} of {key[2]}, which is {record.state} and in no plan"
            mend = "append an entry of the same state with --decision and --year"
            faults.append(Fault("ledger", "decision", expected, "nothing", mend))
        rows.append(row)
    return rows, faults


def _needed(declared: Table, table: ProjectTable) -> list[str]:
    """Columns without which a row says nothing."""
    named = {*table.decision, *table.id}
    needed = [c.name for c in declared.columns if c.required and c.name in named]
    return [*needed, CHOICE] if choice_column(declared, table) else needed


def _told(declared: Table, table: ProjectTable, names: Iterable[str]) -> str:
    """Columns by the names they have in the project's own table."""
    own = choice_column(declared, table)
    return ", ".join(own if name == CHOICE else name for name in names)


def choice_column(declared: Table, table: ProjectTable) -> str:
    """The column of ``table`` that the plan in force holds as `CHOICE`; "" where it holds none."""
    if all(column.name != CHOICE for column in declared.columns):
        return ""
    return next((name for name in table.decision if name not in _DECIDED_BESIDES), "")


def _row(
    declared: Table, table: ProjectTable, key: Key, project: Mapping[str, str], record: ProjectRecord
) -> dict[str, Any]:
    ids = dict(zip(table.id, key[2].split(":"), strict=False))
    otherwise = {name for name, value in record.decision.items() if project.get(name, "") != value}
    row: dict[str, Any] = {}
    for column in declared.columns:
        name = column.name
        if name == PROJECT:
            row[name] = key[2]
        elif name == CHOICE:
            own = choice_column(declared, table)
            row[name] = record.decision.get(own, project.get(own, ""))
        elif name in ids:
            row[name] = ids[name]
        elif name == TABLE:
            row[name] = table.name
        elif name == _YEAR:
            row[name] = str(record.year or project.get(name, ""))
        elif name in record.decision:
            row[name] = record.decision[name]
        elif name == _STATE:
            row[name] = record.state if record.state in STATES else STATES[0]
        elif name == _ACTUAL:
            row[name] = _money(record.actual_cost_cny if record.frozen else None)
        elif name == _OWED:
            row[name] = _money(None if record.frozen else record.cancellation_cost_cny)
        elif name in table.decision:
            row[name] = project.get(name, "")
        else:  # a figure of what is built (its capacity) is a fact once it is contracted, as it was planned
            row[name] = project.get(name, "") if record.frozen and not otherwise else ""
    return row


def _money(value: float | None) -> str:
    return "" if value is None else repr(float(value))

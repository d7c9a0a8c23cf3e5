"""A listing of the store for the terminal and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from optimize.io.table_changes import changes_of
from optimize.report.text import amount, grouped, percent
from optimize.studies.store_index import FoundRuns
from optimize.studies.tables import aligned, plain_records

_SHOWN = (
    "run", "started", "instance", "goal", "objective", "unit", "gap", "clauses_missed", "scenario", "robust",
    "overrides", "changes",
)  # fmt: skip
_HEAD = ("run", "started (UTC)", "instance", "scenario", "goal", "plan", "gap", "missed", "changed")
# Columns of figures, before the last.
_RIGHT = 3


def runs_json(found: FoundRuns) -> list[str]:
    """One JSON object for each run; figures of other programmes are left out."""
    records = plain_records(found.frame)
    return [
        json.dumps({k: v for k, v in record.items() if v is not None}, ensure_ascii=False)
        for record in records
    ]


def runs_lines(found: FoundRuns, store: Path) -> list[str]:
    """A line for each run, and what could not be read."""
    number, whole = grouped(len(found.frame)), grouped(found.num_all)
    plural = "" if found.num_all == 1 else "s"
    head = (
        f"{whole} run{plural} in {store}"
        if number == whole
        else f"{number} of {whole} run{plural} in {store}"
    )
    rows = [_row(record) for record in plain_records(found.frame[list(_SHOWN)])]
    lines = [head]
    if rows:
        lines += _table(rows)
    return lines + [f"  not readable: {words}" for words in found.unreadable]


def _row(record: dict[str, Any]) -> list[str]:
    changed = [f"robust: {record['robust']}"] if record["robust"] else []
    changed += [f"{key}={value}" for key, value in json.loads(record["overrides"]).items()]
    changed += [change.words() for change in changes_of(json.loads(record["changes"]))]
    missed = int(record["clauses_missed"])
    return [
        record["run"],
        record["started"][:16].replace("T", " "),
        record["instance"],
        record["scenario"],
        record["goal"],
        amount(record["objective"], record["unit"]),
        percent(record["gap"]),
        str(missed) if missed else "",
        "; ".join(changed),
    ]


def _table(rows: list[list[str]]) -> list[str]:
    """All columns; that of scenarios only where some run is one."""
    kept = [k for k, name in enumerate(_HEAD) if name != "scenario" or any(row[k] for row in rows)]
    cells = [[row[k] for k in kept] for row in rows]
    return aligned([_HEAD[k] for k in kept], cells, left=len(kept) - _RIGHT - 1, words_last=True)

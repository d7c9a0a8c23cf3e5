"""The rows of a ledger of projects: what each says, and the hash that ties it to the row before.

Each row carries the SHA-256 of its own cells and of the row before, so that a row that was edited, left out or
put in between is found, and the last row's hash names the ledger as a whole.  What a sequence of rows amounts
to, and which may follow which, is in `optimize.monthly.ledger_states`.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import pandas as pd

from optimize.errors import Fault
from optimize.io.tables import RawTable
from optimize.io.validation import typed_table
from optimize.monthly.events import EVENTS
from optimize.schema import Column, Table

Cells: TypeAlias = Mapping[str, str]
"""A row as text, by column."""

_PERIOD = re.compile(r"\d{4}-(0[1-9]|1[0-2])")

TABLE = Table(
    "ledger",
    "what happened to projects, in the order in which it was written down",
    (
        Column("period", "str", "month it belongs to, YYYY-MM", zh="月份"),
        Column("recorded_at", "str", "when it was written down (UTC); filled in", default="", zh="记录时间"),
        Column("programme", "str", "datacenter, water or pv_siting", zh="专项"),
        Column("table", "str", "table of the plan that lists the project; may be left out where the programme has only one", default="", zh="表"),
        Column("project", "str", "id of the project, of several columns joined by `:`; of `measured`, key of the row that was measured, empty for a parameter", default="", zh="项目"),
        Column("event", "str", "what happened", choices=EVENTS, zh="事件"),
        Column("decision", "str", "what is not as in the plan in force, `column=value;column=value`; of `measured`, `table.column=value` or `parameter=value`", default="", zh="内容"),
        Column("year", "int", "calendar year in which it starts, where it is not the plan's; 0: as planned", minimum=0, maximum=2100, default=0, zh="年份"),
        Column("actual_cost_cny", "float", "whole CAPEX as known now; empty: as estimated", "CNY", 0, default=None, typical=1e6, zh="实际投资"),
        Column("paid_cny", "float", "paid with this entry", "CNY", 0, default=None, typical=1e6, zh="本次支付"),
        Column("cancellation_cost_cny", "float", "owed from now on if the project is dropped or changed in scale", "CNY", 0, default=None, typical=1e5, zh="取消代价"),
        Column("source", "str", "budget that paid: `municipal`, a district id, `owner`; several that paid have an entry each", default="", zh="资金来源"),
        Column("who", "str", "who says so", default="", zh="记录人"),
        Column("note", "str", "why", default="", zh="备注"),
    ),
    zh="项目台账",
)  # fmt: skip
HASH = "hash"
COLUMNS = (*(column.name for column in TABLE.columns), HASH)


@dataclass(frozen=True)
class Entry:
    """One row of the ledger; the meaning of each column is in `TABLE`.

    Attributes
    ----------
    decision : by column (of ``measured``: by ``table.column`` or parameter), as text.
    year : 0: as planned.
    actual_cost_cny, paid_cny, cancellation_cost_cny : None: not said.
    line : of the file; 0: not written yet.
    """

    period: str
    programme: str
    project: str
    event: str
    table: str = ""
    decision: Mapping[str, str] = field(default_factory=dict)
    year: int = 0
    actual_cost_cny: float | None = None
    paid_cny: float | None = None
    cancellation_cost_cny: float | None = None
    source: str = ""
    who: str = ""
    note: str = ""
    recorded_at: str = ""
    line: int = 0

    @property
    def words(self) -> str:
        """The project and what happened to it, in a line."""
        place = "/".join(part for part in (self.programme, self.table, self.project) if part)
        said = [f"{name}={value}" for name, value in self.decision.items()]
        said += [str(self.year)] * (self.year > 0)
        return " ".join([place, self.event, *said])


@dataclass(frozen=True)
class Ledger:
    """All rows up to now.

    Attributes
    ----------
    hashes : of each entry.
    """

    entries: tuple[Entry, ...] = ()
    hashes: tuple[str, ...] = ()

    @property
    def head(self) -> str:
        """Names the ledger as it is now; "" where it is empty."""
        return self.hashes[-1] if self.hashes else ""

    def until(self, period: str) -> Ledger:
        """Without what belongs to later periods."""
        kept = [place for place, entry in enumerate(self.entries) if entry.period <= period]
        return Ledger(tuple(self.entries[k] for k in kept), tuple(self.hashes[k] for k in kept))


def is_period(word: str) -> bool:
    """Whether ``word`` is a month, ``YYYY-MM``."""
    return _PERIOD.fullmatch(word) is not None


def followed(
    ledger: Ledger, entries: Sequence[Entry], now: datetime.datetime | None
) -> tuple[Ledger, list[Cells]]:
    """The ledger with further entries, and the rows that hold them, each with its hash.

    Parameters
    ----------
    now : when they are written down; None: the clock's time.
    """
    moment = (now or datetime.datetime.now(datetime.UTC)).astimezone(datetime.UTC)
    stamp = moment.isoformat(timespec="seconds")
    added = tuple(replace(entry, recorded_at=stamp) for entry in entries)
    rows = hashed(added, ledger.head)
    hashes = (*ledger.hashes, *(row[HASH] for row in rows))
    return Ledger((*ledger.entries, *added), hashes), rows


def hashed(entries: Sequence[Entry], before: str = "") -> list[Cells]:
    """The rows of entries that follow a row with the hash ``before``."""
    rows: list[Cells] = []
    for entry in entries:
        cells = _cells_of(entry)
        before = hash_of(before, cells)
        rows.append({**cells, HASH: before})
    return rows


def hash_of(before: str, cells: Cells) -> str:
    """SHA-256 of a row's cells and of the hash of the row before."""
    own = [cells.get(column.name, "").strip() for column in TABLE.columns]
    return hashlib.sha256(json.dumps([before, *own], ensure_ascii=False).encode()).hexdigest()


def chain_faults(shown: str, rows: Sequence[Cells], first: int, mend: str) -> list[Fault]:
    """The first row that is not as it was written; behind it nothing can be told.

    Parameters
    ----------
    first : number of the first row, by which a reader finds it.
    mend : how what stood there comes back.
    """
    before = ""
    for position, row in enumerate(rows):
        if hash_of(before, row) != row.get(HASH, ""):
            return [
                Fault(
                    shown, HASH, "the hash of this row and the one before",
                    f"\"{row.get(HASH, '')[:12]}…\": this row was edited, or one before it was put in or left out",
                    f"{mend} (a published period keeps a copy); mistakes are mended by further entries",
                    line=position + first,
                )
            ]  # fmt: skip
        before = row[HASH]
    return []


STORED = Table(
    "ledger", TABLE.meaning, (*TABLE.columns, Column(HASH, "str", "of this row and the one before"))
)


def entries_of(raw: RawTable, table: Table) -> tuple[list[Entry], list[Fault]]:
    """Every row as an entry, or all faults of its cells; ``table``: `TABLE`, or `STORED` with hashes."""
    frame, faults, _ = typed_table(table, raw)
    faults = [*faults, *_form_faults(raw, frame)]
    if faults:
        return [], faults
    return [_entry_of(row, int(line)) for row, line in zip(_rows(frame), raw.lines, strict=True)], []


def _rows(frame: pd.DataFrame) -> Iterator[dict[str, object]]:
    names = [str(name) for name in frame.columns]
    for values in zip(*(frame[name].tolist() for name in names), strict=True):
        yield dict(zip(names, values, strict=True))


def _form_faults(raw: RawTable, frame: pd.DataFrame) -> list[Fault]:
    found = []
    for row, (period, decision) in enumerate(zip(frame["period"], frame["decision"], strict=True)):
        line = int(raw.lines[row])
        if period and not is_period(period):
            found.append(Fault(raw.path, "period", "a month, YYYY-MM", f'"{period}"', line=line))
        for part in filter(None, str(decision).split(";")):
            if "=" not in part or part.startswith("="):
                found.append(Fault(raw.path, "decision", "column=value;column=value", f'"{part}"', line=line))
    return found


def decision_of(text: str) -> dict[str, str]:
    """``column=value;column=value`` by column; raises ValueError where a part has no ``=``."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise ValueError(part)
        found[name.strip()] = value.strip()
    return found


def _entry_of(row: Mapping[str, object], line: int) -> Entry:
    def number(name: str) -> float | None:
        value = float(str(row[name]))
        return None if np.isnan(value) else value

    return Entry(
        period=str(row["period"]),
        programme=str(row["programme"]),
        project=str(row["project"]),
        event=str(row["event"]),
        table=str(row["table"]),
        decision=decision_of(str(row["decision"])),
        year=int(str(row["year"])),
        actual_cost_cny=number("actual_cost_cny"),
        paid_cny=number("paid_cny"),
        cancellation_cost_cny=number("cancellation_cost_cny"),
        source=str(row["source"]),
        who=str(row["who"]),
        note=str(row["note"]),
        recorded_at=str(row["recorded_at"]),
        line=line,
    )


def _cells_of(entry: Entry) -> dict[str, str]:
    """The row of an entry, by column; a cell is one line and not read as a formula by a spreadsheet."""

    def text(value: object) -> str:
        return (
            ""
            if value is None
            else repr(float(value))
            if isinstance(value, float)
            else " ".join(str(value).split())
        )

    decision = ";".join(f"{name}={value}" for name, value in entry.decision.items())
    special = {"decision": decision, "year": str(entry.year) if entry.year else ""}
    cells = {c.name: special.get(c.name, text(getattr(entry, c.name))) for c in TABLE.columns}
    return {
        name: f"'{cell}" if name in _FREE_TEXT and cell[:1] in _FORMULA else cell
        for name, cell in cells.items()
    }


# First signs by which a spreadsheet takes a text for a formula.
_FORMULA = ("=", "+", "-", "@")
_FREE_TEXT = ("who", "note")

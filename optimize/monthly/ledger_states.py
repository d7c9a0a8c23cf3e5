"""Which events may follow which, and what a ledger amounts to: the state, costs and payments of each project.

::

    idea → proposed → budgeted → tendered → contracted → on_site → accepted
      ╰──────┴───────────┴──────────┴────────────┴───────────┴──→ cancelled | failed → idea, proposed

Up to the contract steps may be left out (small works are not tendered) or taken back (a tender without bids).
From the contract on nothing is taken back but by cancelling; a further entry of the same state tells a new cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from optimize.errors import Fault
from optimize.io.table_changes import table_path
from optimize.io.validation import nearest
from optimize.monthly.events import ENDS, LADDER
from optimize.monthly.ledger_rows import Entry, Ledger
from optimize.programme import Programme, ProjectTable
from optimize.registry import PROGRAMMES
from optimize.schema import Column

FROZEN = ("contracted", "on_site", "accepted")

_BEFORE_CONTRACT = {"idea", "proposed", "budgeted", "tendered", "contracted"}
_NEXT: Mapping[str, set[str]] = {
    # a ledger may begin in the middle of a programme
    "": {*LADDER, *ENDS},
    **{state: {*_BEFORE_CONTRACT, *ENDS} for state in ("idea", "proposed", "budgeted", "tendered")},
    "contracted": {"contracted", "on_site", "accepted", *ENDS},
    "on_site": {"on_site", "accepted", *ENDS},
    "accepted": {"accepted"},
    "cancelled": {"idea", "proposed"},
    "failed": {"idea", "proposed"},
}
_MAY_BE_DELAYED = set(LADDER) - {"accepted"}
_YEAR = "year"
# Columns of a plan in force that have a column of their own in the ledger.
_TOLD_ELSEWHERE = (
    _YEAR, "state", "actual_capex_cny", "cancellation_cost_cny", "table", "project", "choice",
)  # fmt: skip

Key: TypeAlias = tuple[str, str, str]
"""Programme, table of the plan and id of a project."""


@dataclass(frozen=True)
class Payment:
    """Money that has left a budget."""

    year: int
    source: str
    amount_cny: float


@dataclass(frozen=True)
class ProjectRecord:
    """What the ledger knows of one project.

    Attributes
    ----------
    state : the last of the ladder, ``cancelled`` or ``failed``; "" where only remarks were made.
    since : period in which it came into this state.
    decision : columns that are not as in the plan in force, as text.
    year : in which it starts, as last told; 0: as planned.
    delayed : ``year`` was last told by a delay.
    actual_cost_cny, cancellation_cost_cny : as last told; None: never.
    """

    state: str = ""
    since: str = ""
    decision: Mapping[str, str] = field(default_factory=dict)
    year: int = 0
    delayed: bool = False
    actual_cost_cny: float | None = None
    cancellation_cost_cny: float | None = None
    payments: tuple[Payment, ...] = ()
    note: str = ""

    @property
    def frozen(self) -> bool:
        """Whether it is contracted or further, so that no plan may move it."""
        return self.state in FROZEN

    @property
    def ended(self) -> bool:
        """Whether it is given up and may not be planned again unless it is taken up again."""
        return self.state in ENDS

    @property
    def paid_cny(self) -> float:
        return sum(payment.amount_cny for payment in self.payments)


@dataclass(frozen=True)
class Standing:
    """What a ledger amounts to.

    Attributes
    ----------
    measured : by (``programme/table.column`` or parameter, key of the row), the value last measured, as text.
    """

    projects: Mapping[Key, ProjectRecord]
    measured: Mapping[tuple[str, str], str]

    def of(self, programme: str) -> dict[Key, ProjectRecord]:
        return {key: record for key, record in self.projects.items() if key[0] == programme}


def fold(ledger: Ledger, period: str = "9999-12") -> Standing:
    """State of every project after all entries up to ``period``."""
    projects: dict[Key, ProjectRecord] = {}
    measured: dict[tuple[str, str], str] = {}
    for entry in ledger.until(period).entries:
        if entry.event == "measured":
            measured |= {(path, entry.project): value for path, value in measured_of(entry).items()}
            continue
        key = key_of(entry)
        projects[key] = _after(projects.get(key, ProjectRecord()), entry)
    return Standing(projects, measured)


def key_of(entry: Entry) -> Key:
    """The project an entry is about; the only table of a programme need not be named."""
    table = entry.table
    if not table:
        tables = [t.name for p in PROGRAMMES if p.name == entry.programme for t in p.project_tables]
        table = tables[0] if len(tables) == 1 else ""
    return entry.programme, table, entry.project


def measured_of(entry: Entry) -> dict[str, str]:
    """The values of a measurement by ``programme/table.column`` or parameter."""
    found = {}
    for name, value in entry.decision.items():
        table, dot, column = name.rpartition(".")
        programme = next((p for p in PROGRAMMES if p.name == entry.programme), None)
        declared = next((t for t in programme.schema.tables if t.name == table), None) if programme else None
        if programme is None or declared is None or not dot:
            found[name] = value
        else:
            found[f"{table_path(programme.schema, declared)}.{column}"] = value
    return found


def _after(record: ProjectRecord, entry: Entry) -> ProjectRecord:
    changed = replace(record, note=entry.note or record.note)
    if entry.event in LADDER or entry.event in ENDS:
        changed = replace(changed, state=entry.event)
        if entry.event != record.state:
            changed = replace(changed, since=entry.period)
        if record.ended:  # taken up again: what was decided and agreed then is past, what was paid is not
            changed = replace(changed, decision={}, year=0, delayed=False, actual_cost_cny=None, cancellation_cost_cny=None)  # fmt: skip
    if entry.year:
        changed = replace(changed, year=entry.year, delayed=entry.event == "delayed")
    changed = replace(
        changed,
        decision={**changed.decision, **entry.decision},
        actual_cost_cny=changed.actual_cost_cny if entry.actual_cost_cny is None else entry.actual_cost_cny,
        cancellation_cost_cny=(
            changed.cancellation_cost_cny
            if entry.cancellation_cost_cny is None
            else entry.cancellation_cost_cny
        ),
    )
    if entry.paid_cny:
        payment = Payment(int(entry.period[:4]), entry.source, entry.paid_cny)
        changed = replace(changed, payments=(*changed.payments, payment))
    return changed


# --- what may be written ---------------------------------------------------------------------------


def entry_faults(ledger: Ledger, entries: Sequence[Entry], shown: str = "ledger") -> list[Fault]:
    """Everything that keeps ``entries`` from following the ledger, all at once."""
    faults: list[Fault] = []
    state: dict[Key, tuple[str, str]] = {}
    for entry in ledger.entries:
        _step(state, entry)
    for position, entry in enumerate(entries):
        line = entry.line or (position + 2 if len(entries) > 1 else None)
        found = [*_subject_faults(entry), *_content_faults(entry), *_order_faults(state, entry)]
        faults += [
            Fault(shown, column, expected, told, mend, line=line) for column, expected, told, mend in found
        ]
        _step(state, entry)
    return faults


_Found: TypeAlias = tuple[str, str, str, str]
"""Column, expected, found, mend."""


def _step(state: dict[Key, tuple[str, str]], entry: Entry) -> None:
    if entry.event == "measured":
        return
    key = key_of(entry)
    now = state.get(key, ("", ""))[0]
    state[key] = (entry.event if entry.event in _NEXT else now, entry.period)


def _order_faults(state: Mapping[Key, tuple[str, str]], entry: Entry) -> Iterable[_Found]:
    if entry.event == "measured":
        return
    now, last = state.get(key_of(entry), ("", ""))
    told = f"{entry.event} after {now or 'nothing'}"
    if last > entry.period:
        yield "period", f"{last} or later, as in the last entry of {entry.project}", entry.period, ""
    if entry.event in _NEXT and entry.event not in _NEXT[now]:
        allowed = ", ".join(event for event in (*LADDER, *ENDS) if event in _NEXT[now])
        yield "event", f"one of {allowed} after {now}", entry.event, _way(now)
    if entry.event == "delayed" and now and now not in _MAY_BE_DELAYED:
        yield "event", "a delay before the project is accepted or given up", told, ""


def _way(now: str) -> str:
    if now in ENDS:
        return "a project that was given up is taken up again as idea or proposed"
    return "a contract ends by cancelled; a new cost is told by the same state again"


def _subject_faults(entry: Entry) -> Iterable[_Found]:
    names = [programme.name for programme in PROGRAMMES]
    programme = next((p for p in PROGRAMMES if p.name == entry.programme), None)
    if programme is None:
        yield (
            "programme",
            f"one of {', '.join(names)}",
            f'"{entry.programme}"',
            nearest(entry.programme, names),
        )
        return
    if entry.event == "measured":
        yield from _measured_faults(entry, programme)
        return
    if not entry.project:
        yield "project", "the id of a project", "empty", ""
    tables = {table.name: table for table in programme.project_tables}
    table = tables.get(key_of(entry)[1])
    if table is None:
        yield "table", f"one of {', '.join(tables)}", f'"{entry.table}"', nearest(entry.table, tables)
        return
    if len(table.id) > 1 and entry.project.count(":") != len(table.id) - 1:
        yield "project", f"{':'.join(table.id)}", f'"{entry.project}"', ""
    columns = _decision_columns(programme, table)
    for name in entry.decision:
        if name == _YEAR:
            yield "decision", "the year in its own column", "year", "write it in column year"
        elif name not in columns:
            yield "decision", f"one of {', '.join(columns)}", f'"{name}"', nearest(name, columns)


def _decision_columns(programme: Programme, table: ProjectTable) -> list[str]:
    """What may be said of a project: how the plan does it, and what else its plan in force holds (a capacity)."""
    in_force = [c.name for t in programme.schema.tables if t.name == "plan_in_force" for c in t.columns]
    columns = dict.fromkeys((*table.decision, *in_force))
    return [name for name in columns if name not in (*table.id, *_TOLD_ELSEWHERE)]


def _measured_faults(entry: Entry, programme: Programme) -> Iterable[_Found]:
    parameters = {parameter.path: parameter for parameter in programme.schema.parameters}
    columns = {f"{t.name}.{c.name}": c for t in programme.schema.tables for c in t.columns if not c.key}
    if not entry.decision:
        yield (
            "decision",
            "table.column=value, or parameter=value",
            "empty",
            "decision=sites.annual_load_kwh=420000",
        )
    known: Mapping[str, object] = columns if entry.project else parameters
    for name, value in entry.decision.items():
        declared = columns.get(name) if entry.project else parameters.get(name)
        if declared is None:
            what = (
                "a table.column that is no key"
                if entry.project
                else "a parameter, or a project to which it belongs"
            )
            yield "decision", what, f'"{name}"', nearest(name, known)
        elif declared.kind in ("float", "int") and not _is_number(value):
            yield "decision", f"a number for {name}", f'"{value}"', ""
        elif isinstance(declared, Column) and declared.choices and value not in declared.choices:
            yield "decision", f"{name} one of {', '.join(declared.choices)}", f'"{value}"', ""


def _content_faults(entry: Entry) -> Iterable[_Found]:
    if entry.event == "delayed" and not entry.year:
        yield "year", "the year to which it is delayed", "empty", ""
    if entry.event == "paid" and not entry.paid_cny:
        yield "paid_cny", "what was paid", "nothing", ""
    if entry.paid_cny and not entry.source:
        yield (
            "source",
            "the budget that paid: municipal, a district or owner",
            "empty",
            "one entry for each that paid",
        )
    if entry.paid_cny and entry.event in ("measured", "idea"):
        yield "paid_cny", f"nothing for {entry.event}", f"{entry.paid_cny:g}", "enter it as paid"
    if entry.year and not 2000 <= entry.year <= 2100:
        yield "year", "a calendar year from 2000 to 2100", str(entry.year), ""


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False

"""From the ledger and the plan in force to what a period's instance has to say about them.

The revision is ordinary input: rows of ``plan_in_force``, locks, budgets without sunk money, measured values
instead of estimates, and settings.  It is laid over the instance folder of the period, so that whatever reads
that folder afterwards (solving, checking, `optimize front`, `optimize verify`) needs to know nothing of ledgers.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from optimize.clauses import REVISE
from optimize.errors import Fault, InputFaults
from optimize.io.instance_folder import LoadedProgramme, read_instance
from optimize.io.table_changes import TableChange, change_tables, concerned
from optimize.io.tables import RawTable, find_table, read_table
from optimize.io.validation import TOML, nearest
from optimize.monthly.in_force import Projects, in_force_rows, projects_of
from optimize.monthly.instance_files import SCHEMAS, lay_over_toml, replace_table, written_at_once
from optimize.monthly.ledger_rows import Ledger
from optimize.monthly.ledger_states import Key, ProjectRecord, Standing, fold
from optimize.monthly.sunk import less_sunk_money
from optimize.programme import Programme
from optimize.registry import PROGRAMMES
from optimize.schema import Schema

PLAN_IN_FORCE = "plan_in_force"
FIRST_OPEN_YEAR = "revision.first_open_year"
_LOCKS = "locks"
_YEAR = "year"


@dataclass(frozen=True)
class RevisionRules:
    """What a job asks of revisions.

    Attributes
    ----------
    amendment_months : months (1–12) in which this year's list may be changed; in others nothing new starts
        before next year.  (): all.
    penalty_cny_per_change : what a change against the plan in force has to be worth; 0: nothing.
    max_changes : at most so many; None: as many as are worth it.  Where it is given there is no penalty.
    lapse : what was not contracted by the end of its year starts in a later one.
    """

    amendment_months: tuple[int, ...] = ()
    penalty_cny_per_change: float = 0.0
    max_changes: int | None = None
    lapse: bool = True


@dataclass(frozen=True)
class Revision:
    """What is laid over a period's instance.

    Attributes
    ----------
    overrides : dotted parameter path -> value.
    changes : of tables, in order; each ``programme/table``.
    measured : (``programme/table``, key of the row, column) of what was measured; of a parameter ("", "", path).
    words : (zh, en) of each thing a reader of the period's log should know.
    """

    overrides: Mapping[str, Any] = field(default_factory=dict)
    changes: tuple[TableChange, ...] = ()
    measured: tuple[tuple[str, str, str], ...] = ()
    words: tuple[tuple[str, str], ...] = ()


def revise(
    folder: Path, ledger: Ledger, in_force: Mapping[str, Path], period: str, rules: RevisionRules
) -> Revision:
    """What the ledger up to ``period`` and the plan in force say about the instance in ``folder``.

    Parameters
    ----------
    folder : the period's instance as read (`optimize.monthly.sources.read_source`).
    in_force : by programme, the run folder of the plan in force (a joint run for each of its programmes);
        {}: the first period, in which all years are open.
    period : ``YYYY-MM``; entries of later periods do not count yet.

    Raises
    ------
    InputFaults : ledger and instance contradict each other (a contracted project without a decision, a measured
        value of no row, sunk money of no budget ...), all at once.
    """
    standing = fold(ledger, period)
    named = {key[0] for key in standing.projects} | {path.split("/")[0] for path, _ in standing.measured}
    wanted = [
        p.name for p in PROGRAMMES if (p.name in in_force or p.name in named) and (folder / p.name).is_dir()
    ]
    work = _Work(standing)
    for name in sorted(named - {p.name for p in PROGRAMMES if (folder / p.name).is_dir()}):
        if any(p.name == name for p in PROGRAMMES):
            work.fault(name, "a programme of the instance", "no tables of it")
    if wanted:
        loaded = read_instance(folder, PROGRAMMES, wanted)
        for part in loaded.programmes:
            work.lay_over(part, in_force.get(part.programme.name), period, rules)
        work.take_measurements(loaded.programmes)
        work.take_sunk_money(folder, loaded.programmes)
    if work.faults:
        raise InputFaults(work.faults)
    return Revision(work.overrides, tuple(work.changes), tuple(work.measured), tuple(work.words))


def holding_plan(
    folder: Path, ledger: Ledger, in_force: Mapping[str, Path], rules: RevisionRules
) -> Revision:
    """What makes the instance a plan was made from one that holds that plan, as the ledger knew it then.

    Parameters
    ----------
    folder : the instance with the revision of its period laid over it.
    ledger : as it was in that period.
    """
    work = _Work(fold(ledger))
    for part in read_instance(folder, PROGRAMMES, list(in_force)).programmes:
        work.hold(part.programme, projects_of(in_force[part.programme.name], part.programme), rules)
    if work.faults:
        raise InputFaults(work.faults)
    return Revision(work.overrides, tuple(work.changes))


class _Work:
    """A revision on its way; ``faults`` tell what cannot be."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self.overrides: dict[str, Any] = {}
        self.changes: list[TableChange] = []
        self.measured: list[tuple[str, str, str]] = []
        self.words: list[tuple[str, str]] = []
        self.faults: list[Fault] = []

    def fault(self, column: str, expected: str, found: str, mend: str = "") -> None:
        self.faults.append(Fault("ledger", column, expected, found, mend))

    # --- projects ---------------------------------------------------------------------------------

    def lay_over(self, part: LoadedProgramme, run: Path | None, period: str, rules: RevisionRules) -> None:
        """What one programme's projects are bound to."""
        planned: Projects = {} if run is None else projects_of(run, part.programme)
        self.hold(part.programme, planned, rules)
        if run is not None:
            self._open_years(part, period, rules)
        self._lock(part, self._lapsed(part, planned, period, rules))

    def hold(self, programme: Programme, planned: Projects, rules: RevisionRules) -> None:
        """The plan in force, and what a change of it has to be worth."""
        own = self._standing.of(programme.name)
        rows, faults = in_force_rows(programme, planned, own)
        self.faults += faults
        path = f"{programme.name}/{PLAN_IN_FORCE}"
        self.changes.append(TableChange(path, drop=True))
        if rows:
            self.changes.append(TableChange(path, rows=rows))
            self._stay_near(programme, rules)

    def _stay_near(self, programme: Programme, rules: RevisionRules) -> None:
        """The clause that counts changes: at most so many, or each at a price."""
        root = f"{programme.name}.clauses.{REVISE}"
        if rules.max_changes is not None:
            self.overrides |= {f"{root}.required": float(rules.max_changes), f"{root}.hard": True}
        elif rules.penalty_cny_per_change > 0.0:
            self.overrides |= {
                f"{root}.required": 0.0,
                f"{root}.hard": False,
                f"{root}.penalty_cny_per_unit": rules.penalty_cny_per_change,
            }

    def _open_years(self, part: LoadedProgramme, period: str, rules: RevisionRules) -> None:
        """From which year on something new may start: this one where its list may be changed, else the next."""
        parameters = part.data.parameters
        if FIRST_OPEN_YEAR not in parameters:
            return
        opened = _first_year(period, rules)
        first, behind = (
            int(parameters["base_year"]),
            int(parameters["base_year"]) + int(parameters["num_years"]),
        )
        opened = min(opened, behind)
        self.overrides[FIRST_OPEN_YEAR] = opened if opened > first else 0

    def _lapsed(
        self, part: LoadedProgramme, planned: Projects, period: str, rules: RevisionRules
    ) -> dict[Key, int]:
        """Projects whose year ended without a contract, with the first year they can start in now.

        Only a ledger tells what was contracted; where it has no contract of the programme at all, the plan of past
        years is taken as carried out.
        """
        opened, records = _first_year(period, rules), self._standing.of(part.programme.name)
        kept = rules.lapse and any(record.frozen for record in records.values())
        if not kept or not part.data.parameters.get("water.phased", True):
            return {}
        lapsed: dict[Key, int] = {}
        for key, cells in planned.items():
            record = records.get(key, ProjectRecord())
            year = record.year or int(cells[_YEAR])
            if year < int(period[:4]) and not record.frozen and not record.ended:
                lapsed[key] = opened
        if lapsed:
            name, number = part.programme.name, len(lapsed)
            self.words.append(
                (
                    f"{name}：{number} 个项目未在计划年份签约，最早 {opened} 年开工；往年未用资金除可结转部分外失效",
                    f"{name}: {number} projects were not contracted in their year and start in {opened} at the earliest; "
                    "what past years left unspent lapses but for what may be carried over",
                )
            )
        return lapsed

    def _lock(self, part: LoadedProgramme, lapsed: Mapping[Key, int]) -> None:
        """Projects that were given up stay out; what is late, or missed its year, does not start earlier."""
        programme = part.programme
        ids = {str(name) for table, key in programme.lockable for name in part.data.tables[table][key]}
        locks = part.data.tables[_LOCKS]
        path, rows = f"{programme.name}/{_LOCKS}", []
        listed = {table.name: table for table in programme.project_tables}
        records = {**dict.fromkeys(lapsed, ProjectRecord()), **self._standing.of(programme.name)}
        for key, record in records.items():
            _, table_name, project = key
            name = listed[table_name].lock_name(project)
            if not {name, name.rpartition(":")[0]} & ids:
                continue  # withdrawn from the tables, or no candidate that a lock may name
            there = locks[(locks["id"] == name) & (locks["other"] == "")]
            kinds = set(there["kind"])
            why = "not contracted" if key in lapsed else record.state or "delayed"
            note = " ".join(filter(None, (why, record.since, record.note)))
            if record.ended:
                if kinds - {"force_out"}:  # what was asked of it is void
                    self.changes.append(TableChange(path, where={"id": name}, drop=True))
                if kinds != {"force_out"}:
                    rows.append({"kind": "force_out", "id": name, "note": note})
            elif (record.delayed or key in lapsed) and not record.frozen:
                if "earliest" in kinds:
                    self.changes.append(TableChange(path, where={"id": name, "kind": "earliest"}, drop=True))
                rows.append(
                    {"kind": "earliest", "id": name, "year": str(lapsed.get(key, record.year)), "note": note}
                )
        if rows:
            self.changes.append(TableChange(path, rows=rows))

    # --- measured values --------------------------------------------------------------------------

    def take_measurements(self, parts: Iterable[LoadedProgramme]) -> None:
        """What was measured stands instead of what was estimated."""
        schemas = {part.programme.name: part for part in parts}
        for (path, key), value in self._standing.measured.items():
            if not key:
                self.overrides[path] = _typed_value(value)
                self.measured.append(("", "", path))
                continue
            table, _, column = path.rpartition(".")
            part = schemas.get(table.split("/")[0]) or next(iter(schemas.values()))
            declared = part.programme.schema.table(table.split("/")[-1])
            where = dict(zip(declared.key, key.split(":"), strict=False))
            if len(where) != len(declared.key) or len(key.split(":")) != len(declared.key):
                self.fault(path, f"a key of {':'.join(declared.key)}", f'"{key}"')
                continue
            known = [":".join(map(str, row)) for row in part.data.tables[declared.name][list(declared.key)].itertuples(index=False)]  # fmt: skip
            if key not in known:
                self.fault(path, f"a row of {table}", f'"{key}"', nearest(key, known))
                continue
            self.changes.append(TableChange(table, where=where, set={column: value}))
            self.measured.append((table, key, column))

    # --- money ------------------------------------------------------------------------------------

    def take_sunk_money(self, folder: Path, parts: Iterable[LoadedProgramme]) -> None:
        """What was paid for projects that are given up is no longer in the budgets."""
        changes, words, faults = less_sunk_money(folder, list(parts), self._standing)
        self.changes += changes
        self.words += words
        self.faults += faults


def _first_year(period: str, rules: RevisionRules) -> int:
    """The first year whose list a period may still change."""
    year, month = int(period[:4]), int(period[5:])
    return year + (bool(rules.amendment_months) and month not in rules.amendment_months)


def _typed_value(text: str) -> Any:
    """A parameter's value as TOML would have it."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


# --- the revised instance ---------------------------------------------------------------------------


def write_revised(folder: Path, revision: Revision, out: Path) -> None:
    """The instance in ``folder`` with the revision laid over it, as the folder ``out``; at once or not at all.

    Raises
    ------
    InputFaults : a change that its table cannot take.
    """
    faults: list[Fault] = []
    with written_at_once(out) as place:
        shutil.copytree(folder, place, dirs_exist_ok=True)
        for schema in SCHEMAS:
            own = concerned(schema, revision.changes)
            if own and (place / schema.programme).is_dir():
                faults += _change(place, schema, own)
        if faults:
            raise InputFaults(faults)
        if revision.overrides:
            lay_over_toml(place / TOML, revision.overrides)


def _change(place: Path, schema: Schema, changes: list[TableChange]) -> list[Fault]:
    raws: dict[str, RawTable | None] = {}
    faults: list[Fault] = []
    for table in schema.tables:
        file = find_table(place if table.shared else place / schema.programme, table.name)
        raw = None if file is None else read_table(file, file.relative_to(place).as_posix())
        if isinstance(raw, Fault):
            faults.append(raw)
            raw = None
        raws[table.name] = raw
    changed, found = change_tables(schema, raws, changes)
    if faults or found:
        return [*faults, *found]
    for table in schema.tables:
        after = changed[table.name]
        if after is not None and after is not raws[table.name]:
            name = table.name if table.shared else f"{schema.programme}/{table.name}"
            write_raw(after, replace_table(place, name))
    return []


def write_raw(raw: RawTable, path: Path) -> None:
    """A table's cells as CSV; nothing at all where it has no columns."""
    if not raw.names:
        return
    frame = pd.DataFrame({name: _cells(raw, place) for place, name in enumerate(raw.names)})
    frame.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def _cells(raw: RawTable, place: int) -> list[str]:
    cells = raw.cells(place)
    if isinstance(cells, Fault):
        raise InputFaults([cells])
    return ["" if cell is None or cell != cell else str(cell).strip() for cell in cells]

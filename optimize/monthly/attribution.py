"""Why a period's plan is not the last one: each change of a project put down to groups of changed inputs.

The inputs of the two periods are compared cell by cell and the differences put into groups (prices, costs,
budgets, targets, candidates, measurements, ledger, other).  Each group is then taken back by itself and the
instance solved again: what reverts with a group is put down to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from optimize.city.stored import is_city_run
from optimize.errors import InputFaults
from optimize.io.run_store import read_text_table
from optimize.monthly.differences import GROUPS, Difference, Inputs, find_differences, write_without
from optimize.monthly.in_force import PROJECT, TABLE
from optimize.programme import Programme
from optimize.registry import PROGRAMMES
from optimize.studies.stored_runs import listed_projects, read_city_run, read_run

_EXAMPLES = 5
_CHANGES = "changes"
_BETWEEN = " · "
Key = tuple[str, str, str]
"""Programme, table of the plan and id of a project, as the ledger has them."""


@dataclass(frozen=True)
class PlanView:
    """A plan as its changes are told.

    Attributes
    ----------
    projects : by programme, the projects in the shape of `optimize.studies.stored_runs.StoredRun.projects`.
    objective, bound : of the last goal.
    chosen : by programme, (table, id) of what its checker counts as changes by choice; a programme whose
        instance held no plan in force is not in it.
    """

    projects: Mapping[str, pd.DataFrame]
    objective: float
    bound: float | None
    chosen: Mapping[str, frozenset[tuple[str, str]]] = field(default_factory=dict)


SolveAgain = Callable[[Path], PlanView | None]
"""Solves an instance folder from the period's own plan; None where no plan was found in time.

A gap as wide as the period's hides what a group does below it; a fifth of it is a good choice.
"""


@dataclass(frozen=True)
class LedgerSays:
    """State of a project, the year it was put off to (0: it was not), and the note with it; "" nothing."""

    state: str = ""
    delayed_to: int = 0
    note: str = ""


@dataclass(frozen=True)
class ProjectChange:
    """One project that is not as it was.

    Attributes
    ----------
    kind : ``added``, ``dropped``, ``moved`` (another year, what is built the same), ``resized`` (done
        otherwise) or ``refunded`` (only others pay).
    before, after : decisions in words; "" where it is not in the plan.
    capex_before_cny, capex_after_cny : CNY; 0 where it is not in the plan, NaN where the plan does not say.
    effects : by figure, the change from before to after.
    counted : a change by choice, as the programme counts them for limits and penalties (reclaimed water does
        not count who pays).
    ledger : what the ledger says of it.
    causes : groups that bring the old decision back when they are taken back, by themselves; () where only
        several together do, or where the gaps leave the choice open.
    """

    programme: str
    table: str
    project: str
    name_zh: str
    name_en: str
    district: str
    kind: str
    before: str
    after: str
    capex_before_cny: float
    capex_after_cny: float
    effects: Mapping[str, float]
    counted: bool
    ledger: LedgerSays = LedgerSays()
    causes: tuple[str, ...] = ()

    @property
    def forced(self) -> bool:
        """Nothing was chosen: the ledger or the tables leave no other way."""
        return not self.counted and self.kind != "refunded"


@dataclass(frozen=True)
class GroupEffect:
    """One group of changed inputs.

    Attributes
    ----------
    num_differences : cells and rows that differ.
    examples : a few of them in words.
    objective_without : of the plan with the group taken back; None where none was found.
    effect : objective of the period minus ``objective_without``: what the group does to it.
    num_projects : changes put down to it.
    remark : why there is no plan without it, in words.
    """

    group: str
    num_differences: int
    examples: tuple[str, ...]
    objective_without: float | None
    bound_without: float | None
    effect: float | None
    num_projects: int
    remark: str = ""


@dataclass(frozen=True)
class ChangeExplained:
    """The change from one period's plan to the next, and why.

    Attributes
    ----------
    projects : that are not as they were, those of most money first.
    groups : of inputs that differ, in the order of GROUPS.
    """

    period_before: str
    period: str
    goal: str
    goal_unit: str
    maximise: bool
    objective_before: float
    objective: float
    bound: float | None
    projects: tuple[ProjectChange, ...]
    groups: tuple[GroupEffect, ...] = ()

    def count(self, kind: str) -> int:
        """Changes of one kind."""
        return sum(project.kind == kind for project in self.projects)

    @property
    def changed(self) -> tuple[ProjectChange, ...]:
        """Without those of which only the payer is another and that no limit counts."""
        return tuple(project for project in self.projects if project.counted or project.forced)


@dataclass(frozen=True)
class PeriodPlan:
    """What a period planned.

    Attributes
    ----------
    folder : its revised instance; of the plan in force, holding that plan, so that what the ledger says since is
        what differs.  None: it cannot be read any more, and no causes are looked for.
    """

    period: str
    folder: Path | None
    plan: PlanView


@dataclass(frozen=True)
class Asked:
    """What the change is measured by.

    Attributes
    ----------
    measured : values the ledger measured (`optimize.monthly.revise.Revision.measured`).
    ledger : what the ledger says of projects.
    """

    goal: str
    unit: str
    maximise: bool
    measured: Sequence[tuple[str, str, str]] = field(default_factory=tuple)
    ledger: Mapping[Key, LedgerSays] = field(default_factory=dict)


def explain_change(
    before: PeriodPlan, now: PeriodPlan, asked: Asked, solve_again: SolveAgain | None, scratch: Path
) -> ChangeExplained:
    """Compare two periods' plans and put each change down to groups of changed inputs.

    Parameters
    ----------
    solve_again : called once for each group that differs, with a folder below ``scratch``, as long as a project
        changed that had a choice; None: no causes are looked for.
    """
    projects = find_changes(before.plan, now.plan, asked.ledger)
    names = [name for name in now.plan.projects if name in before.plan.projects]
    groups: dict[str, list[Difference]] = {}
    if before.folder is not None and now.folder is not None:
        old, new = Inputs.read(before.folder, names), Inputs.read(now.folder, names)
        differences = find_differences(old, new, asked.measured)
        groups = {name: [d for d in differences if d.group == name] for name in GROUPS}
    effects = []
    decided = _decisions(before.plan)
    causes: dict[Key, list[str]] = {_key(project): [] for project in projects}
    for name, own in groups.items():
        if not own:
            continue
        without, remark = None, ""
        if solve_again is not None and projects:
            folder = scratch / f"without-{name}"
            try:
                write_without(new, old, own, folder)
                without = solve_again(folder)
                remark = "" if without is not None else "no plan found"
            except InputFaults as error:
                remark = f"it cannot be taken back by itself: {error.faults[0]}"
        reverted = [] if without is None else _reverted(projects, decided, _decisions(without))
        for key in reverted:
            causes[key].append(name)
        effects.append(_effect(name, own, now.plan, without, len(reverted), remark))
    explained = [replace(project, causes=tuple(causes[_key(project)])) for project in projects]
    return ChangeExplained(
        period_before=before.period,
        period=now.period,
        goal=asked.goal,
        goal_unit=asked.unit,
        maximise=asked.maximise,
        objective_before=before.plan.objective,
        objective=now.plan.objective,
        bound=now.plan.bound,
        projects=tuple(explained),
        groups=tuple(effects),
    )


def view_of_run(run: Path, objective: float | None = None) -> PlanView:
    """The plan of a stored run, of one programme or joint."""
    if is_city_run(run):
        city = read_city_run(run, PROGRAMMES)
        parts, summary = {part.programme.name: part.projects for part in city.parts}, city.summary
    else:
        stored = read_run(run, PROGRAMMES)
        parts, summary = {stored.programme.name: stored.projects}, stored.summary
    files = {name: run / f"{name}.csv" for name in _changes_tables(parts, joint=is_city_run(run)).values()}
    tables = {name: read_text_table(file) for name, file in files.items() if file.is_file()}
    bound = summary["bound"]
    reached = float(summary["objective"]) if objective is None else objective
    chosen = _chosen(tables, parts, joint=is_city_run(run))
    return PlanView(parts, reached, None if bound is None else float(bound), chosen)


def view_of_tables(
    tables: Mapping[str, pd.DataFrame], programmes: Sequence[Programme], objective: float, bound: float | None,
    *, joint: bool,
) -> PlanView:  # fmt: skip
    """The plan in tables of text cells, as a run's folder has them (of a joint plan ``programme.table``)."""
    projects = {}
    for programme in programmes:
        prefix = f"{programme.name}." if joint else ""
        own = [listed_projects(tables[f"{prefix}{t.name}"], t) for t in programme.project_tables]
        projects[programme.name] = pd.concat(own, ignore_index=True)
    return PlanView(projects, objective, bound, _chosen(tables, projects, joint=joint))


def _changes_tables(programmes: Iterable[str], *, joint: bool) -> dict[str, str]:
    """The table of changes of each programme."""
    return {name: f"{name}.{_CHANGES}" if joint else _CHANGES for name in programmes}


def _chosen(
    tables: Mapping[str, pd.DataFrame], programmes: Iterable[str], *, joint: bool
) -> dict[str, frozenset[tuple[str, str]]]:
    """What the checker counted, by programme."""
    found = {}
    for name, table in _changes_tables(programmes, joint=joint).items():
        if table in tables:
            cells = tables[table]
            own = cells[cells["forced"] == "false"]
            found[name] = frozenset(zip(*_places(_programme(name), own), strict=True))
    return found


def _programme(name: str) -> Programme:
    return next(programme for programme in PROGRAMMES if programme.name == name)


def _places(programme: Programme, rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Table and id of the project of each row."""
    if PROJECT in rows:  # projects of several tables
        return list(rows[TABLE]), list(rows[PROJECT])
    (table,) = programme.project_tables
    ids = rows[list(table.id)].itertuples(index=False, name=None)
    return [table.name] * len(rows), [":".join(map(str, row)) for row in ids]


# --- what changed -----------------------------------------------------------------------------------


def find_changes(
    before: PlanView, now: PlanView, ledger: Mapping[Key, LedgerSays] | None = None
) -> tuple[ProjectChange, ...]:
    """Projects that are not as they were, those of most money first."""
    found = []
    says = ledger or {}
    for programme, frame in now.projects.items():
        if programme not in before.projects:
            continue
        old, new = _rows(programme, before.projects[programme]), _rows(programme, frame)
        effects = _effects(programme)
        chosen = now.chosen.get(programme)
        for place in dict.fromkeys((*old, *new)):
            a, b = old.get(place), new.get(place)
            kind = _kind(a, b)
            if kind is not None:
                # where nothing is in force any more, what is dropped had to be
                counted = b is not None if chosen is None else place in chosen
                told = says.get((programme, *place), LedgerSays())
                found.append(_change(programme, place, kind, a, b, effects, counted, told))
    return tuple(sorted(found, key=lambda c: -_money(c.capex_before_cny) - _money(c.capex_after_cny)))


def _rows(programme: str, frame: pd.DataFrame) -> dict[tuple[str, str], Mapping[str, object]]:
    """Projects by table and id."""
    table = {table.kind: table.name for table in _programme(programme).project_tables}
    records = [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]
    return {(table[str(row["kind"])], str(row["id"])): row for row in records}


def _effects(programme: str) -> tuple[str, ...]:
    tables = _programme(programme).project_tables
    return tuple(dict.fromkeys(name for table in tables for name in table.effects))


def _kind(a: Mapping[str, object] | None, b: Mapping[str, object] | None) -> str | None:
    if a is None:
        return "added"
    if b is None:
        return "dropped"
    if a["decision"] == b["decision"]:
        return None
    if _without(a, "payer") == _without(b, "payer"):
        return "refunded"
    return "moved" if _without(a, "year", "payer") == _without(b, "year", "payer") else "resized"


def _without(row: Mapping[str, object], *names: str) -> tuple[str, ...]:
    """The parts of a decision but for some."""
    left = {str(row[name]) for name in names}
    return tuple(part for part in str(row["decision"]).split(_BETWEEN) if part not in left)


def _change(
    programme: str,
    place: tuple[str, str],
    kind: str,
    a: Mapping[str, object] | None,
    b: Mapping[str, object] | None,
    effects: Sequence[str],
    counted: bool,
    ledger: LedgerSays,
) -> ProjectChange:
    told = b if b is not None else a
    assert told is not None
    return ProjectChange(
        programme=programme,
        table=place[0],
        project=place[1],
        name_zh=str(told["name_zh"]),
        name_en=str(told["name_en"]),
        district=str(told["district"]),
        kind=kind,
        before="" if a is None else str(a["decision"]),
        after="" if b is None else str(b["decision"]),
        capex_before_cny=_number(a, "capex_cny"),
        capex_after_cny=_number(b, "capex_cny"),
        effects={name: _number(b, name) - _number(a, name) for name in effects},
        counted=counted,
        ledger=ledger,
    )


def _number(row: Mapping[str, object] | None, name: str) -> float:
    return 0.0 if row is None else float(str(row.get(name, "nan")))


def _money(value: float) -> float:
    return 0.0 if np.isnan(value) else value


# --- why --------------------------------------------------------------------------------------------


def _key(project: ProjectChange) -> Key:
    return project.programme, project.table, project.project


def _decisions(plan: PlanView) -> dict[Key, str]:
    return {
        (programme, table, name): str(row["decision"])
        for programme, frame in plan.projects.items()
        for (table, name), row in _rows(programme, frame).items()
    }


def _reverted(
    projects: Sequence[ProjectChange], before: Mapping[Key, str], without: Mapping[Key, str]
) -> list[Key]:
    """Changes that are not there where a group is taken back."""
    keys = [_key(project) for project in projects]
    return [key for key in keys if without.get(key, "") == before.get(key, "")]


def _effect(
    name: str, own: Sequence[Difference], now: PlanView, without: PlanView | None, projects: int, remark: str
) -> GroupEffect:
    return GroupEffect(
        group=name,
        num_differences=len(own),
        examples=tuple(difference.words for difference in own[:_EXAMPLES]),
        objective_without=None if without is None else without.objective,
        bound_without=None if without is None else without.bound,
        effect=None if without is None else now.objective - without.objective,
        num_projects=projects,
        remark=remark,
    )

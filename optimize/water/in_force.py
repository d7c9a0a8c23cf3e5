"""The plan that is being revised: its projects as investments, and what contracts make of costs and money.

A project is a treatment of a plant (plant, quality), a new pipe (corridor, quality), a user, a storage site,
a cascade, or near-zero-discharge works; its choice is the size, the diameter, or pipe or tanker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.revision import FROZEN_STATES
from optimize.water.instance import Instance
from optimize.water.locks import ResolvedLock, resolve_locks

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

OTHER_WORKS = {
    "storage": ("storage_sites", "site"), "cascade": ("cascades", "cascade"), "zld": ("parks", "park"),
}  # fmt: skip
"""Kinds of other works, with their table and its key."""
TANKER = "tanker"

Work: TypeAlias = tuple[str, int]
"""An investment: its kind (`optimize.water.investments.DEFAULT_PAYER`) and its row of that kind."""

Project: TypeAlias = tuple[str, int]
"""A table of a plan, or a kind of other works, and a position: p * G + g of plants, e * G + g of pipes."""


class Places:
    """Where the projects and choices of a plan are in the tables."""

    def __init__(self, tables: Mapping[str, pd.DataFrame]) -> None:
        self._tables = tables

    @cached_property
    def _positions(self) -> dict[str, dict[str, int]]:
        keys = {
            "plants": "plant", "qualities": "quality", "corridors": "corridor", "pipes": "diameter", "users": "user",
            **dict(OTHER_WORKS.values()),
        }  # fmt: skip
        return {t: {name: row for row, name in enumerate(self._tables[t][key])} for t, key in keys.items()}

    @cached_property
    def _modules(self) -> dict[tuple[str, str, str], int]:
        columns = (self._tables["modules"][name] for name in ("plant", "quality", "step"))
        return {key: row for row, key in enumerate(zip(*columns, strict=True))}

    @cached_property
    def _modules_of(self) -> dict[int, list[int]]:
        """Modules of each treatment."""
        found: dict[int, list[int]] = {}
        for (plant, quality, _), row in self._modules.items():
            found.setdefault(self.project("plants", f"{plant}:{quality}")[1], []).append(row)
        return found

    @cached_property
    def _made(self) -> set[str]:
        return {*self._tables["treatment"]["quality"], *self._tables["cascades"]["quality"]}

    def project(self, table: str, name: str) -> Project:
        """Position -1 where the tables do not have it."""
        at = self._positions
        if table in ("plants", "pipes"):
            place, _, quality = name.rpartition(":")
            k, g = (
                at["plants" if table == "plants" else "corridors"].get(place, -1),
                at["qualities"].get(quality, -1),
            )
            return table, -1 if min(k, g) < 0 else k * len(at["qualities"]) + g
        if table == "users":
            return table, at["users"].get(name, -1)
        kind, _, own = name.partition(":")
        return kind, at[OTHER_WORKS[kind][0]].get(own, -1) if kind in OTHER_WORKS else -1

    def work(self, table: str, name: str, choice: str) -> Work | None:
        """The investment that is a project's choice; None where it cannot be built any more."""
        project, position = self.project(table, name)
        if position < 0:
            return None
        if project == "plants":
            plant, _, quality = name.rpartition(":")
            row = self._modules.get((plant, quality, choice))
            return None if row is None else ("module", row)
        if project == "pipes":
            d = self._positions["pipes"].get(choice, -1)
            made = name.rpartition(":")[2] in self._made
            return None if d < 0 or not made else ("pipe", position * len(self._positions["pipes"]) + d)
        if project == "users":
            return self._way(position, choice)
        if project == "zld" and not self._tables["parks"]["zld_candidate"].iloc[position]:
            return None
        return project, position

    def _way(self, user: int, mode: str) -> Work | None:
        if mode == TANKER:
            return (TANKER, user) if self._tables["users"]["tanker_plant"].iloc[user] else None
        return ("connection", user) if mode == "pipe" else None

    def fixed_work(self, lock: ResolvedLock) -> Work | None:
        """The investment that a `fix` lock names."""
        table, position = lock.project.table, lock.project.position
        if table in ("plants", "corridors"):
            place = self._tables[table][{"plants": "plant", "corridors": "corridor"}[table]].iloc[position]
            quality, _, choice = lock.value.rpartition(":")
            return self.work("plants" if table == "plants" else "pipes", f"{place}:{quality}", choice)
        if table == "users":
            return (TANKER if lock.value == TANKER else "connection"), position
        return next(kind for kind, (own, _) in OTHER_WORKS.items() if own == table), position

    def works_of(self, project: Project) -> list[Work]:
        """All investments of which a project can be one."""
        table, position = project
        if table == "plants":
            return [("module", row) for row in self._modules_of.get(position, ())]
        if table == "pipes":
            num = len(self._positions["pipes"])
            return [("pipe", position * num + d) for d in range(num)]
        return [("connection", position), (TANKER, position)] if table == "users" else [project]


@dataclass(frozen=True)
class PlanInForce:
    """The plan in force, one entry a row of its table.

    Attributes
    ----------
    projects : position -1 where it is no longer in the tables.
    works : the investment that is its choice; None where it can no longer be built.
    stage : build year, 0 = base year; 0 for all where building is not phased; -1 outside the plan's years.
    frozen : contracted or later: it stays.
    can_stay : it could be decided as it is.
    actual_capex_cny : of frozen projects, NaN where not stated; cancellation_cny : 0 for frozen ones.
    mix : who pays frozen ones, "" where there is one mix.
    """

    places: Places
    projects: tuple[Project, ...]
    works: tuple[Work | None, ...]
    stage: IntArray
    frozen: BoolArray
    can_stay: BoolArray
    actual_capex_cny: FloatArray
    cancellation_cny: FloatArray
    mix: tuple[str, ...]

    def contracts(self, kind: str) -> list[int]:
        """Rows of the table that are frozen investments of a kind."""
        return [
            j for j, work in enumerate(self.works) if work is not None and self.frozen[j] and work[0] == kind
        ]

    def rows_of(self, kind: str) -> IntArray:
        """The investments of `contracts`."""
        return np.array([self._work(j)[1] for j in self.contracts(kind)], dtype=np.int64)

    def at_actual_cost(self, kind: str, capex_cny: FloatArray) -> FloatArray:
        """CAPEX of a kind's investments, shape (n,), what is contracted at what it costs in fact."""
        known = [j for j in self.contracts(kind) if not np.isnan(self.actual_capex_cny[j])]
        if not known:
            return capex_cny
        capex = capex_cny.copy()
        capex[[self._work(j)[1] for j in known]] = self.actual_capex_cny[known]
        return capex

    def paid_as_agreed(self, kind: str, mixes: Sequence[str], paid_cny: FloatArray) -> FloatArray:
        """Payments of a kind, shape (mixes, n, 3): those of a contract are what its own mix says, whichever is asked."""
        agreed = [j for j in self.contracts(kind) if self.mix[j] in mixes]
        if not agreed or len(mixes) < 2:
            return paid_cny
        paid = paid_cny.copy()
        for j in agreed:
            row = self._work(j)[1]
            paid[:, row] = paid_cny[mixes.index(self.mix[j]), row]
        return paid

    def agreed_mix(self, kind: str, row: int) -> str:
        """Who pays a contracted investment; "" where it is not contracted, or one mix is open."""
        at = [j for j in self.contracts(kind) if self._work(j)[1] == row]
        return self.mix[at[0]] if at else ""

    def _work(self, j: int) -> Work:
        work = self.works[j]
        assert work is not None
        return work


def derive_plan_in_force(instance: Instance) -> PlanInForce:
    """Positions of the table's rows."""
    rows, p = instance.plan_in_force, instance.parameters
    places = Places(vars(instance))
    names = [list(rows[column]) for column in ("table", "project", "choice")]
    projects = tuple(places.project(table, name) for table, name, _ in zip(*names, strict=True))
    works = tuple(places.work(*key) for key in zip(*names, strict=True))
    year = rows["year"].to_numpy(np.int64) - p.base_year
    stage = np.where((year >= 0) & (year < p.num_years), year, -1) if p.phased else np.zeros_like(year)
    frozen = rows["state"].isin(FROZEN_STATES).to_numpy(np.bool_)
    allowed = _allowed_by_locks(instance, places, projects, works, stage)
    return PlanInForce(
        places=places,
        projects=projects,
        works=works,
        stage=stage,
        frozen=frozen,
        can_stay=(stage >= 0) & np.array([work is not None for work in works], dtype=np.bool_) & allowed,
        actual_capex_cny=np.where(frozen, rows["actual_capex_cny"].to_numpy(np.float64), np.nan),
        cancellation_cny=np.where(frozen, 0.0, rows["cancellation_cost_cny"].to_numpy(np.float64)),
        mix=tuple(rows["mix"]),
    )


def _allowed_by_locks(
    instance: Instance,
    places: Places,
    projects: Sequence[Project],
    works: Sequence[Work | None],
    stage: IntArray,
) -> BoolArray:
    """Projects that no lock of their own asks to be otherwise."""
    num_qualities = len(instance.qualities)
    allowed = np.ones(len(projects), dtype=np.bool_)
    own: dict[tuple[str, int], list[ResolvedLock]] = {}
    for lock in resolve_locks(instance):
        own.setdefault((lock.project.table, lock.project.position), []).append(lock)
    for j, project in enumerate(projects):
        of_network = project[0] in ("plants", "pipes")
        quality = project[1] % num_qualities if of_network else -1
        for lock in own.get(_locked_place(project, num_qualities), ()) if project[1] >= 0 else ():
            if lock.project.quality in (-1, quality):
                allowed[j] &= _allows(
                    lock, places, project, works[j], int(stage[j]), instance.parameters.phased
                )
    return allowed


def _locked_place(project: Project, num_qualities: int) -> tuple[str, int]:
    """Table and position by which locks name the place of a project."""
    table, position = project
    if table in ("plants", "pipes"):
        return {"plants": "plants", "pipes": "corridors"}[table], position // num_qualities
    return OTHER_WORKS[table][0] if table in OTHER_WORKS else table, position


def _allows(
    lock: ResolvedLock, places: Places, project: Project, work: Work | None, stage: int, phased: bool
) -> bool:
    if lock.kind == "force_out" or (lock.kind == "fix" and lock.value == "none"):
        return False
    if lock.kind == "earliest" and lock.stage is not None:
        return stage >= lock.stage
    if lock.kind == "latest" and lock.stage is not None:
        return stage <= lock.stage
    if lock.kind != "fix":
        return True
    fixed = places.fixed_work(lock)
    if fixed not in places.works_of(project):
        return True  # the lock speaks of another quality of the same place
    return fixed == work and (not phased or lock.stage in (None, stage))

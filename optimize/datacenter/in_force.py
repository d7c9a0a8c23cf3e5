"""The plan that is being revised: its projects by the ids of the options, and what is wrong with its table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from optimize.datacenter.heat import distances_km
from optimize.datacenter.instance import FloatArray, Instance, rows_of
from optimize.datacenter.kinds import ACTIONS, NONE
from optimize.datacenter.measures import BoolArray, IntArray
from optimize.errors import Fault
from optimize.finance import discount_factor
from optimize.revision import FROZEN_STATES, ChangeWeights, find_revision_faults
from optimize.schema import InstanceData
from optimize.warm_start import positions_of

_GONE = -2  # an id or year that no option has


@dataclass(frozen=True)
class OptionIds:
    """What tells options apart, shape (n,) each: positions, measures as bits, investment years; -1: none."""

    centre: IntArray
    kind: IntArray
    first: IntArray
    year: IntArray
    second: IntArray
    second_year: IntArray
    host: IntArray
    sink: IntArray
    offer: IntArray
    mix: IntArray


def ids_of_projects(instance: Instance, projects: pd.DataFrame) -> OptionIds:
    """Ids of decisions as a plan's table names them; -2 for what is not in the tables any more."""
    kinds = {action: kind for kind, action in ACTIONS.items()}
    return OptionIds(
        centre=_positions(instance.centres["centre"], projects["centre"]),
        kind=np.array([kinds[action] for action in projects["action"]], dtype=np.int64),
        first=_masks(instance, projects["measures"]),
        year=_years(instance, projects["year"]),
        second=_masks(instance, projects["later_measures"]),
        second_year=_years(instance, projects["later_year"]),
        host=_positions(instance.hosts["host"], projects["host"]),
        sink=_positions(instance.heat_sinks["sink"], projects["sink"]),
        offer=_positions(instance.offers["offer"], projects["offer"]),
        mix=_positions(instance.funding["mix"].drop_duplicates(), projects["mix"]),
    )


def _positions(ids: pd.Series, wanted: pd.Series) -> IntArray:
    found = positions_of(list(ids), list(wanted))
    return np.where((found < 0) & (wanted != "").to_numpy(np.bool_), _GONE, found)


def _masks(instance: Instance, measures: pd.Series) -> IntArray:
    """Bits of the measures named in each cell, 0 for an empty one."""
    bits = {name: 1 << bit for bit, name in enumerate(instance.measures["measure"])}
    masks = np.zeros(len(measures), dtype=np.int64)
    for row, cell in enumerate(measures):
        names = [name for name in str(cell).split("+") if name]
        masks[row] = sum(bits[n] for n in names) if all(n in bits for n in names) else _GONE
    return masks


def _years(instance: Instance, calendar: pd.Series) -> IntArray:
    year = pd.to_numeric(calendar).to_numpy(np.int64) - instance.base_year
    outside = np.where((year >= 0) & (year < instance.num_years), year, _GONE)
    return np.where(pd.to_numeric(calendar).to_numpy(np.int64) > 0, outside, NONE)


class PlanInForce:
    """The plan in force of an instance, one entry a row of its table.

    Attributes
    ----------
    ids : of its projects.
    of_centre : shape (centres,), row of each centre's project, -1 without one.
    frozen : contracted or later: it stays.
    actual_capex_cny : of frozen projects, NaN where not stated.
    owed_cny : present value of what is owed when the project is dropped or becomes another one.
    """

    def __init__(self, instance: Instance) -> None:
        rows = instance.plan_in_force
        self.weights = ChangeWeights.of(instance.parameters)
        self.first_open = int(instance.parameters["revision.first_open_year"]) - instance.base_year
        self.ids = ids_of_projects(instance, rows)
        self.of_centre = np.full(len(instance.centres), -1, dtype=np.int64)
        known = self.ids.centre >= 0
        self.of_centre[self.ids.centre[known]] = np.flatnonzero(known)
        self.frozen: BoolArray = rows["state"].isin(FROZEN_STATES).to_numpy(np.bool_)
        actual = rows["actual_capex_cny"].to_numpy(np.float64)
        self.actual_capex_cny: FloatArray = np.where(self.frozen, actual, np.nan)
        owed = np.where(self.frozen, 0.0, rows["cancellation_cost_cny"].to_numpy(np.float64))
        self.owed_cny = owed * float(discount_factor(instance.discount_rate, max(self.first_open, 0)))

    @cached_property
    def frozen_row(self) -> IntArray:
        """Shape (centres,), row of each centre's project where it is frozen, else -1."""
        row = self.of_centre
        frozen = np.append(self.frozen, False)[row]
        return np.where(frozen, row, -1)

    def masks_of_centre(self) -> dict[int, frozenset[int]]:
        """Packages that the projects in force have, by centre."""
        ids = self.ids
        return {
            int(ids.centre[row]): frozenset({int(ids.first[row]), int(ids.second[row])} - {0, _GONE})
            for row in np.flatnonzero(ids.centre >= 0)
        }

    def same_project(self, options: OptionIds) -> BoolArray:
        """Options that do what is in force, whenever and whoever pays."""
        return self._same(options, ("kind", "first", "second", "host", "sink", "offer"))

    def same_years(self, options: OptionIds) -> BoolArray:
        return self._same(options, ("year", "second_year"))

    def same_payers(self, options: OptionIds) -> BoolArray:
        return self._same(options, ("mix",))

    def holds(self, options: OptionIds) -> BoolArray:
        """Options that are what is in force."""
        return self.same_project(options) & self.same_years(options) & self.same_payers(options)

    def weight_of(self, options: OptionIds) -> FloatArray:
        """What options other than "nothing" count as changes, shape (n,)."""
        changed = np.zeros(len(options.centre))
        for weight, same in (
            (self.weights.resized, self.same_project),
            (self.weights.moved, self.same_years),
            (self.weights.refunded, self.same_payers),
        ):
            changed = np.maximum(changed, weight * ~same(options))
        return np.where(self.of_centre[options.centre] < 0, self.weights.added, changed)

    def _same(self, options: OptionIds, names: tuple[str, ...]) -> BoolArray:
        row = self.of_centre[options.centre]
        same = row >= 0
        if len(self.frozen):
            for name in names:
                same &= getattr(self.ids, name)[row] == getattr(options, name)
        return np.asarray(same)


# --- faults ------------------------------------------------------------------------------------------


def find_in_force_faults(data: InstanceData) -> Iterator[Fault]:
    """What is wrong with the plan in force and the parameters of its revision.

    Projects that are not frozen may name what is no longer there: they have to change, which is no fault.
    """
    first = int(data.parameters["base_year"])
    years = range(first, first + int(data.parameters["num_years"]))
    yield from find_revision_faults(data.programme, data.parameters, data.targets)
    for row, project in enumerate(rows_of(data.tables["plan_in_force"])):
        for column, expected, found in _misfits(project):
            yield Fault("plan_in_force", column, expected, f"'{found}'", row=row)
        if project.state in FROZEN_STATES:
            mend = (
                f"it is {project.state} and stays: keep it in the tables, or take it out of the plan in force"
            )
            for column, expected, found in _unvaluable(data, project, years):
                yield Fault("plan_in_force", column, expected, f"'{found}'", mend, row=row)
    yield from _lock_faults(data)


def _out_of_reach(data: InstanceData, project) -> Iterator[tuple[str, str, object]]:  # type: ignore[no-untyped-def]
    """A heat link has the length of its distance: where that is unknown or too far, so is what it costs."""
    places = data.tables["centres"].set_index("centre"), data.tables["heat_sinks"].set_index("sink")
    if not project.sink or project.centre not in places[0].index or project.sink not in places[1].index:
        return
    (lon, lat), sink = places[0].loc[project.centre, ["lon", "lat"]], places[1].loc[project.sink]
    at = [np.array([float(v)]) for v in (lon, lat, sink["lon"], sink["lat"])]
    if not distances_km(*at)[0, 0] <= sink["max_distance_km"]:
        yield "sink", f"a heat sink within {sink['max_distance_km']:g} km", project.sink


# What each action says besides when: columns that are named, and those that may be.
_NAMED = {
    "retrofit": ("measures",),
    "staged": ("measures", "later_measures"),
    "close": ("host",),
    "offer": ("offer",),
}
_MAY_BE = {"retrofit": ("sink",), "staged": ("sink",), "close": (), "offer": ()}


def _misfits(project) -> Iterator[tuple[str, str, object]]:  # type: ignore[no-untyped-def]
    for column in ("measures", "later_measures", "host", "sink", "offer"):
        found, named = getattr(project, column), column in _NAMED[project.action]
        if named and not found:
            yield column, f"what a project `{project.action}` has", found
        elif found and not named and column not in _MAY_BE[project.action]:
            yield column, f"nothing: the project is `{project.action}`", found
    if (project.action == "staged") != (project.later_year > 0):
        yield "later_year", "a year where and only where the project is staged", project.later_year


def _unvaluable(data, project, years) -> Iterator[tuple[str, str, object]]:  # type: ignore[no-untyped-def]
    """What keeps a contracted project from being valued."""
    tables = data.tables
    if project.centre not in set(tables["centres"]["centre"]):
        yield "centre", "a centre", project.centre
        return
    for column in ("year", "later_year"):
        year = getattr(project, column)
        if year not in years and not (column == "later_year" and project.action != "staged"):
            yield column, f"a year in {years[0]}..{years[-1]}", year
    known = set(tables["measures"]["measure"])
    for column in ("measures", "later_measures"):
        if not {name for name in getattr(project, column).split("+") if name} <= known:
            yield column, "measures joined by +", getattr(project, column)
    first, later = (set(getattr(project, c).split("+")) for c in ("measures", "later_measures"))
    if project.action == "staged" and not (first < later and project.year < project.later_year):
        yield "later_measures", "a larger package in a later year", project.later_measures
    if project.host and project.host not in set(tables["hosts"]["host"]):
        yield "host", "a host", project.host
    if project.sink and project.sink not in set(tables["heat_sinks"]["sink"]):
        yield "sink", "a heat sink", project.sink
    recovering = set(tables["measures"].loc[tables["measures"]["recovers_heat"], "measure"])
    if bool(recovering & (later if project.later_measures else first)) != bool(project.sink):
        yield "sink", "a heat sink where and only where heat is recovered", project.sink
    yield from _out_of_reach(data, project)
    offered = dict(zip(tables["offers"]["offer"], tables["offers"]["centre"], strict=True))
    if project.offer and offered.get(project.offer) != project.centre:
        yield "offer", "an offer of the centre", project.offer
    paid = tables["offer_payments"].groupby("offer")["amount_cny"].sum()
    if project.offer and not np.isnan(project.actual_capex_cny) and not paid.get(project.offer, 0.0) > 0:
        yield "actual_capex_cny", "empty: the offer names no payments", project.actual_capex_cny
    if project.mix and not project.offer and project.mix not in set(tables["funding"]["mix"]):
        yield "mix", "a mix of the funding table, or empty: the owner's own level", project.mix


def _lock_faults(data: InstanceData) -> Iterator[Fault]:
    """Locks that say otherwise than what is contracted."""
    table = data.tables["plan_in_force"]
    frozen = {row.centre: row for row in rows_of(table[table["state"].isin(FROZEN_STATES)])}
    for position, lock in enumerate(rows_of(data.tables["locks"])):
        project = frozen.get(lock.id)
        if project is None:
            continue
        says = {
            "retrofit": {"", "retrofit", project.measures},
            "staged": {"", "retrofit"},
            "close": {"", "close", f"close:{project.host}"},
            "offer": {"", project.offer},
        }[project.action]
        otherwise = {
            "force_out": True,
            "fix": lock.value not in says or lock.year not in (0, project.year),
            "earliest": project.year < lock.year,
            "latest": max(project.year, project.later_year) > lock.year,
        }.get(lock.kind, False)
        if otherwise:
            what = f"{project.action} {project.year} ({project.state})"
            yield Fault(
                "locks", "kind", f"what the plan in force has: {what}", f"'{lock.kind}'", row=position
            )

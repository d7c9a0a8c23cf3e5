"""The plan that is being revised: its projects as positions, and what is wrong with its table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.errors import Fault
from optimize.pv_siting.schema import EMC, HOT_WATER_PROJECT, OFFER, OWN_LEVEL
from optimize.pv_siting.site_codes import positions
from optimize.revision import FROZEN_STATES, ChangeWeights, find_revision_faults
from optimize.schema import InstanceData

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
AnyIntArray = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class PlanInForce:
    """The plan in force, one entry a row of its table.

    Attributes
    ----------
    of_site : shape (sites,), row of each site's project, -1 without one.
    site, configuration, offer, mix : positions; -1: none, or no longer in the tables.
    year : investment year, 0 = base year; may lie outside the plan's years.
    frozen : contracted or later: it stays.
    kw, actual_capex_cny : of frozen projects, NaN where not stated.
    cancellation_cny : owed when the project is dropped or becomes another one; 0 for frozen ones.
    """

    of_site: IntArray
    site: IntArray
    configuration: IntArray
    offer: IntArray
    mix: IntArray
    year: IntArray
    frozen: BoolArray
    kw: FloatArray
    actual_capex_cny: FloatArray
    cancellation_cny: FloatArray

    def holds(
        self,
        site: AnyIntArray,
        configuration: AnyIntArray,
        offer: AnyIntArray,
        year: AnyIntArray,
        mix: AnyIntArray,
    ) -> BoolArray:
        """Decisions that are those of the plan in force; all arrays of one shape."""
        row = self.of_site[site]
        same = self.same_project(site, configuration, offer)
        return np.asarray(same & (self.year[row] == year) & (self.mix[row] == mix))

    def same_project(self, site: AnyIntArray, configuration: AnyIntArray, offer: AnyIntArray) -> BoolArray:
        """Decisions for the configuration or offer in force, whenever and whoever pays."""
        row = self.of_site[site]
        return np.asarray(
            (row >= 0) & (self.configuration[row] == configuration) & (self.offer[row] == offer)
        )

    def frozen_row(self, site: AnyIntArray) -> IntArray:
        """Row of each site's project where it is frozen, else -1."""
        row = self.of_site[site]
        return np.where((row >= 0) & self.frozen[row], row, -1)

    def is_frozen(self, site: AnyIntArray) -> BoolArray:
        return np.asarray(self.frozen_row(site) >= 0)


def weights_of(
    plan: PlanInForce,
    weights: ChangeWeights,
    site: AnyIntArray,
    configuration: AnyIntArray,
    offer: AnyIntArray,
    year: AnyIntArray,
    mix: AnyIntArray,
) -> FloatArray:
    """What each decision counts as a change of what its site has in the plan in force; all of one shape."""
    row = plan.of_site[site]
    changed = np.zeros(row.shape)
    for weight, kind in (
        (weights.resized, ~plan.same_project(site, configuration, offer)),
        (weights.moved, plan.year[row] != year),
        (weights.refunded, plan.mix[row] != mix),
    ):
        changed = np.maximum(changed, weight * kind)
    return np.where(row < 0, weights.added, changed)


def derive_plan_in_force(
    rows: pd.DataFrame, tables: Mapping[str, Any], mix_names: tuple[str, ...], base_year: int
) -> PlanInForce:
    """Positions of the table's rows (at least one) in ``sites``, ``configurations`` and ``offers``."""
    site = positions(tables["sites"]["site"], rows["site"])
    of_site = np.full(len(tables["sites"]), -1, dtype=np.int64)
    known = site >= 0
    of_site[site[known]] = np.flatnonzero(known)
    frozen = rows["state"].isin(FROZEN_STATES).to_numpy(np.bool_)
    stated = {name: rows[name].to_numpy(np.float64) for name in ("kw", "actual_capex_cny")}
    mix = rows["mix"].where(rows["offer"] == "", OFFER)
    return PlanInForce(
        of_site=of_site,
        site=site,
        configuration=_named(tables["configurations"]["configuration"], rows["configuration"]),
        offer=_named(tables["offers"]["offer"], rows["offer"]),
        mix=positions(pd.Series(mix_names), mix),
        year=rows["year"].to_numpy(np.int64) - base_year,
        frozen=frozen,
        kw=np.where(frozen, stated["kw"], np.nan),
        actual_capex_cny=np.where(frozen, stated["actual_capex_cny"], np.nan),
        cancellation_cny=np.where(frozen, 0.0, rows["cancellation_cost_cny"].to_numpy(np.float64)),
    )


def _named(ids: pd.Series, wanted: pd.Series) -> IntArray:
    """Positions; -1 for "" too, and -2 for an id that is not there, which no option has."""
    found = positions(ids, wanted)
    return np.where((found < 0) & (wanted != "").to_numpy(np.bool_), -2, found)


def find_in_force_faults(data: InstanceData) -> Iterator[Fault]:
    """What is wrong with the plan in force and the parameters of its revision.

    Projects that are not frozen may name what is no longer there (a candidate withdrawn, a year
    gone by): they have to change, which is no fault.
    """
    table = data.tables["plan_in_force"]
    first = int(data.parameters["base_year"])
    years = range(first, first + int(data.parameters["num_years"]))
    both = (table["configuration"] == "") == (table["offer"] == "")
    for row in np.flatnonzero(both.to_numpy()).tolist():
        found = "neither" if table["offer"].iloc[row] == "" else "both"
        yield Fault("plan_in_force", "configuration", "a configuration or an offer", found, row=row)
    yield from _faults_of_frozen(data, years)
    yield from _faults_of_frozen_locks(data)
    yield from find_revision_faults(data.programme, data.parameters, data.targets)


def _faults_of_frozen(data: InstanceData, years: range) -> Iterator[Fault]:
    tables = data.tables
    table = tables["plan_in_force"]
    of_offer = dict(zip(tables["offers"]["offer"], tables["offers"]["site"], strict=True))
    paid = tables["offer_payments"].groupby("offer")["amount_cny"].sum()
    configurations = dict(
        zip(tables["configurations"]["configuration"], tables["configurations"]["kind"], strict=True)
    )
    mixes = set(zip(tables["funding"]["project_kind"], tables["funding"]["mix"], strict=True))
    sites = set(tables["sites"]["site"])
    for row in np.flatnonzero(table["state"].isin(FROZEN_STATES).to_numpy()).tolist():
        site, configuration, offer, year, mix, state, actual = (
            table[name].iloc[row]
            for name in ("site", "configuration", "offer", "year", "mix", "state", "actual_capex_cny")
        )

        def fault(column: str, expected: str, found: object, row: int = row, state: str = state) -> Fault:
            mend = f"it is {state} and stays: keep it in the tables, or take it out of the plan in force"
            return Fault("plan_in_force", column, expected, f'"{found}"', mend, row=row)

        if site not in sites:
            yield fault("site", "an institution of `sites`", site)
        if year not in years:
            yield fault("year", f"a year in {years[0]}..{years[-1]}", year)
        if offer != "" and of_offer.get(offer) != site:
            yield fault("offer", "an offer of the site", offer)
        elif offer != "" and not np.isnan(actual) and not paid.get(offer, 0.0) > 0:
            yield fault("actual_capex_cny", "empty: the offer names no payments", actual)
        if offer == "" and configuration not in configurations:
            yield fault("configuration", "an entry of configurations", configuration)
        elif offer == "" and mix not in (OWN_LEVEL, EMC):
            kind = configurations[configuration] or HOT_WATER_PROJECT
            if not {(kind, mix), ("*", mix)} & mixes:
                yield fault("mix", f"{OWN_LEVEL}, {EMC}, or a mix of the funding table for {kind}", mix)


def _faults_of_frozen_locks(data: InstanceData) -> Iterator[Fault]:
    """Locks that say otherwise than what is contracted."""
    table = data.tables["plan_in_force"]
    frozen = {str(row["site"]): row for row in table[table["state"].isin(FROZEN_STATES)].to_dict("records")}
    for position, lock in enumerate(data.tables["locks"].to_dict("records")):
        project = frozen.get(lock["id"])
        if project is None:
            continue
        year = int(lock["year"])
        said = {
            "force_out": True,
            "fix": lock["value"] != (project["offer"] or project["configuration"])
            or year not in (0, project["year"]),
            "earliest": year > project["year"],
            "latest": year < project["year"],
        }.get(lock["kind"], False)
        if said:
            what = f"{project['offer'] or project['configuration']} {project['year']} ({project['state']})"
            yield Fault("locks", "kind", f"what the plan in force has: {what}", lock["kind"], row=position)

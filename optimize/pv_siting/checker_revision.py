"""Part of `checker`: (P13) what is contracted stands, nothing begins too early, and what has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.pv_siting.checker_figures import join_projects, recount
from optimize.pv_siting.checker_fit import check_fit, check_mixes
from optimize.pv_siting.checker_rows import FailingProjects, Rows
from optimize.pv_siting.instance import Instance, records
from optimize.revision import FROZEN_STATES, Decision, change_figures, find_changes

BoolArray = NDArray[np.bool_]

DECISION = Decision("site", what=("configuration", "offer"), when=("year",), pays=("mix",))


def contracted_sites(instance: Instance) -> pd.Series:
    """Sites whose project is contracted or later."""
    plan = instance.plan_in_force
    return plan.loc[plan["state"].isin(FROZEN_STATES), "site"]


def check_revision(instance: Instance, projects: pd.DataFrame, rows: Rows) -> None:
    """What is contracted is in the plan as it is; before the first open year begins nothing else."""
    if instance.plan_in_force.empty and not instance.first_open_year:
        return
    before = _plan_in_force(instance)
    both = before.merge(projects[["site", *DECISION.columns]], how="left", indicator=True)
    frozen = both["state"].isin(FROZEN_STATES)
    kept = (both["_merge"] == "both").to_numpy()
    rows.true("P13", list(both["site"][frozen]), kept[frozen.to_numpy()], "as contracted")
    early = projects[projects["year"] < instance.first_open_year]
    known = early.merge(before[["site", *DECISION.columns]], how="left", indicator=True)["_merge"] == "both"
    rows.true(
        "P13", list(early["site"]), known.to_numpy(np.bool_), f"nothing new before {instance.first_open_year}"
    )


def changes_of(instance: Instance, projects: pd.DataFrame) -> pd.DataFrame:
    """What ``projects`` change of the plan in force: `revision.find_changes`."""
    return find_changes(
        _plan_in_force(instance),
        projects,
        DECISION,
        instance.change_weights,
        lambda sites: _possible(instance, sites),
        max(instance.first_open_year - instance.base_year, 0),
        instance.discount_rate,
    )


def figures_of_changes(instance: Instance, projects: pd.DataFrame) -> dict[str, float]:
    """`revision.change_figures`; without a plan in force every project is a change."""
    if instance.plan_in_force.empty:
        return {"changes": instance.change_weights.added * len(projects)}
    return change_figures(changes_of(instance, projects))


def change_tables(instance: Instance, projects: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The table of changes, where there is a plan in force."""
    return {} if instance.plan_in_force.empty else {"changes": changes_of(instance, projects)}


def _plan_in_force(instance: Instance) -> pd.DataFrame:
    plan = instance.plan_in_force
    return plan.assign(mix=plan["mix"].where(plan["offer"] == "", "offer"))


def _possible(instance: Instance, sites: Sequence[str]) -> BoolArray:
    """Whether these projects in force could be decided anew, each alone."""
    plan = _plan_in_force(instance).set_index("site").loc[list(sites)].reset_index()
    by_offer = plan["offer"] != ""
    possible = (
        plan["site"].isin(instance.sites["site"])
        & plan["year"].isin(list(instance.years))
        & (by_offer | plan["configuration"].isin(instance.configurations["configuration"]))
        & (~by_offer | plan["offer"].isin(instance.offers["offer"]))
    ).to_numpy(np.bool_, copy=True)
    known = np.flatnonzero(possible)
    wide = join_projects(instance, plan.iloc[known].assign(kw=np.nan))
    figures = recount(instance, wide)
    rows = FailingProjects()
    check_fit(instance, wide, figures, rows)
    check_mixes(instance, wide, figures, rows)
    possible[known[list(rows.projects)]] = False
    own = (wide["offer"] == "").to_numpy()
    empty = own & (wide["kind"] != "").to_numpy() & (figures.kw <= 0)
    crowded = own & (figures.hosting_kw > _room_alone(instance, wide) * (1 + 1e-6))
    possible[known[empty | crowded]] = False
    allowed = _allowed_by_locks(instance, plan)
    return np.asarray(possible & allowed)


def _room_alone(instance: Instance, wide: pd.DataFrame) -> NDArray[np.float64]:
    """Hosting capacity a project finds when nothing new is built beside it, kW."""
    standing = instance.sites.groupby("feeder")["existing_pv_kw"].sum()
    feeders = instance.feeders.set_index("feeder")
    old = standing.reindex(feeders.index).fillna(0.0)
    left = (feeders["hosting_capacity_kw"] - old).clip(lower=0.0)
    below = old.groupby(feeders["substation"]).sum()
    substations = instance.substations.set_index("substation")["hosting_capacity_kw"]
    above = (substations - below.reindex(substations.index).fillna(0.0)).clip(lower=0.0)
    by_feeder = pd.concat([left, feeders["substation"].map(above)], axis=1).min(axis=1)
    return wide["feeder"].map(by_feeder).fillna(np.inf).to_numpy(np.float64)


def _allowed_by_locks(instance: Instance, plan: pd.DataFrame) -> BoolArray:
    locks: dict[str, list[Mapping[str, object]]] = {}
    for lock in records(instance.locks[instance.locks["id"].isin(plan["site"])]):
        locks.setdefault(str(lock["id"]), []).append(lock)
    return np.array(
        [
            all(
                _allows(lock, row["offer"] or row["configuration"], row["year"])
                for lock in locks.get(row["site"], ())
            )
            for row in records(plan)
        ],
        dtype=np.bool_,
    )


def _allows(lock: Mapping[str, object], what: object, year: int) -> bool:
    when = int(str(lock["year"]))
    return {
        "force_out": False,
        "fix": lock["value"] == what and when in (0, year),
        "earliest": year >= when,
        "latest": year <= when,
    }.get(str(lock["kind"]), True)

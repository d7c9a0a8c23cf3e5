"""Part of `checker`: (P13) what is contracted stands, nothing begins too early, and what has changed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.pv_siting.checker_figures import join_projects, recount
from optimize.pv_siting.checker_fit import check_fit, check_mixes
from optimize.pv_siting.checker_rows import FailingProjects, Rows
from optimize.pv_siting.instance import Instance, records
from optimize.revision import CHANGES, FROZEN_STATES

BoolArray = NDArray[np.bool_]

_DECISION = ["configuration", "offer", "year", "mix"]
CHANGE_COLUMNS = (
    "site", "change", "forced", "weight", "cancellation_cost_cny",
    *(f"{name}_before" for name in _DECISION), *(f"{name}_after" for name in _DECISION),
)  # fmt: skip


def contracted_sites(instance: Instance) -> pd.Series:
    """Sites whose project is contracted or later."""
    plan = instance.plan_in_force
    return plan.loc[plan["state"].isin(FROZEN_STATES), "site"]


def check_revision(instance: Instance, projects: pd.DataFrame, rows: Rows) -> None:
    """What is contracted is in the plan as it is; before the first open year begins nothing else."""
    if instance.plan_in_force.empty and not instance.first_open_year:
        return
    before = _plan_in_force(instance)
    both = before.merge(projects[["site", *_DECISION]], how="left", indicator=True)
    frozen = both["state"].isin(FROZEN_STATES)
    kept = (both["_merge"] == "both").to_numpy()
    rows.true("P13", list(both["site"][frozen]), kept[frozen.to_numpy()], "as contracted")
    early = projects[projects["year"] < instance.first_open_year]
    known = early.merge(before[["site", *_DECISION]], how="left", indicator=True)["_merge"] == "both"
    rows.true(
        "P13", list(early["site"]), known.to_numpy(np.bool_), f"nothing new before {instance.first_open_year}"
    )


def find_changes(instance: Instance, projects: pd.DataFrame) -> pd.DataFrame:
    """What ``projects`` change of the plan in force, one row a changed project: CHANGE_COLUMNS.

    ``change`` : its kinds, joined by ``+``; ``forced``: it could not stay as it was, and so does not count
    (``weight`` 0); ``cancellation_cost_cny``: present value of what is owed for it.
    """
    both = _plan_in_force(instance).merge(
        projects[["site", *_DECISION]], on="site", how="outer", suffixes=("_before", "_after"), indicator=True
    )
    added, dropped = both["_merge"] == "right_only", both["_merge"] == "left_only"
    there = ~(added | dropped)

    def differs(name: str) -> pd.Series:
        return there & (both[f"{name}_before"] != both[f"{name}_after"])

    kinds = {
        "added": added,
        "dropped": dropped,
        "resized": differs("configuration") | differs("offer"),
        "moved": differs("year"),
        "refunded": differs("mix"),
    }
    changed = pd.concat(kinds, axis=1).any(axis=1)
    both = both[changed]
    is_kind = {kind: flag[changed].to_numpy(np.bool_) for kind, flag in kinds.items()}
    unfrozen = ~is_kind["added"] & ~both["state"].isin(FROZEN_STATES).to_numpy(np.bool_)
    forced = np.zeros(len(both), dtype=np.bool_)
    forced[unfrozen] = ~_possible(instance, both["site"][unfrozen])
    weight = np.max([getattr(instance.change_weights, kind) * is_kind[kind] for kind in CHANGES], axis=0)
    lost = unfrozen & (is_kind["dropped"] | is_kind["resized"])
    delay = max(instance.first_open_year - instance.base_year, 0)
    owed = both["cancellation_cost_cny"].to_numpy(np.float64) * (1.0 + instance.discount_rate) ** -delay
    names = ["+".join(kind for kind in CHANGES if is_kind[kind][row]) for row in range(len(both))]
    both = both.assign(
        change=names,
        forced=forced,
        weight=np.where(forced, 0.0, weight),
        cancellation_cost_cny=np.where(lost, owed, 0.0),
    )
    return both[list(CHANGE_COLUMNS)].reset_index(drop=True)


def change_figures(instance: Instance, projects: pd.DataFrame) -> dict[str, float]:
    """Changes as they count, those that were forced, and what is owed for cancelled projects."""
    if instance.plan_in_force.empty:
        return {"changes": instance.change_weights.added * len(projects)}
    changes = find_changes(instance, projects)
    return {
        "changes": float(changes["weight"].sum()),
        "forced_changes": float(changes["forced"].sum()),
        "cancellation_cost": float(changes["cancellation_cost_cny"].sum()),
    }


def change_tables(instance: Instance, projects: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The table of changes, where there is a plan in force."""
    return {} if instance.plan_in_force.empty else {"changes": find_changes(instance, projects)}


def _plan_in_force(instance: Instance) -> pd.DataFrame:
    plan = instance.plan_in_force
    return plan.assign(mix=plan["mix"].where(plan["offer"] == "", "offer"))


def _possible(instance: Instance, sites: pd.Series) -> BoolArray:
    """Whether these projects in force could be decided anew, each alone."""
    plan = _plan_in_force(instance).set_index("site").loc[sites].reset_index()
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

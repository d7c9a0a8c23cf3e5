"""Part of the checker: (R13) what has changed of the plan in force."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.datacenter.instance import Instance, rows_of
from optimize.datacenter.recount import Recount
from optimize.revision import FROZEN_STATES, ChangeWeights, Decision, change_figures, find_changes

DECISION = Decision(
    "centre",
    what=("action", "measures", "later_measures", "host", "sink", "offer"),
    when=("year", "later_year"),
    pays=("mix",),
)


def contracts_of(instance: Instance) -> pd.DataFrame:
    """Projects in force that are contracted or later."""
    return instance.plan_in_force[instance.plan_in_force["state"].isin(FROZEN_STATES)]


def changes_of(instance: Instance, projects: pd.DataFrame) -> pd.DataFrame:
    """What ``projects`` change of the plan in force: `revision.find_changes`."""
    first_open = int(instance.parameters["revision.first_open_year"])
    return find_changes(
        in_one_order(instance.plan_in_force),
        in_one_order(projects),
        DECISION,
        ChangeWeights.of(instance.parameters),
        lambda centres: _possible(instance, centres),
        max(first_open - instance.base_year, 0),
        instance.discount_rate,
    )


def figures_of_changes(instance: Instance, projects: pd.DataFrame) -> dict[str, float]:
    """`revision.change_figures`; without a plan in force every project is a change."""
    if instance.plan_in_force.empty:
        return {"changes": ChangeWeights.of(instance.parameters).added * len(projects)}
    return change_figures(changes_of(instance, projects))


def change_tables(instance: Instance, projects: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The table of changes, where there is a plan in force."""
    return {} if instance.plan_in_force.empty else {"changes": changes_of(instance, projects)}


def in_one_order(projects: pd.DataFrame) -> pd.DataFrame:
    """A package is a set: its measures in one order."""
    return projects.assign(
        **{
            name: ["+".join(sorted(str(text).split("+"))) for text in projects[name]]
            for name in ("measures", "later_measures")
        }
    )


def _possible(instance: Instance, centres: Sequence[str]) -> NDArray[np.bool_]:
    """Whether these projects in force could be decided anew, each alone."""
    recount = Recount(instance)
    plan = instance.plan_in_force.set_index("centre").loc[list(centres)].reset_index()
    rows = [{str(name): value for name, value in row.items()} for row in plan.to_dict("records")]
    return np.array(
        [not recount.project(row).faults and _allowed_by_locks(instance, row) for row in rows], dtype=np.bool_
    )


def _allowed_by_locks(instance: Instance, row: dict[str, object]) -> bool:
    first, later = int(str(row["year"])), int(str(row["later_year"]))
    for lock in rows_of(instance.locks[instance.locks["id"] == row["centre"]]):
        says = {
            "retrofit": {"", "retrofit", str(row["measures"])},
            "staged": {"", "retrofit"},
            "close": {"", "close", f"close:{row['host']}"},
            "offer": {"", str(row["offer"])},
        }[str(row["action"])]
        one_order = "+".join(sorted(lock.value.split("+")))
        allowed = {
            "force_out": False,
            "fix": bool({lock.value, one_order} & {*says, *("+".join(sorted(t.split("+"))) for t in says)})
            and lock.year in (0, first),
            "earliest": first >= lock.year,
            "latest": max(first, later) <= lock.year,
        }.get(lock.kind, True)
        if not allowed:
            return False
    return True

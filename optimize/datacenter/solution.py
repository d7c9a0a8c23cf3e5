"""The plan: one row per project, with what it pays and does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from optimize.datacenter.instance import Instance
from optimize.plan_columns import plan_columns

DECISION_COLUMNS = (
    "centre", "action", "year", "measures", "later_year", "later_measures", "host", "sink", "offer", "mix",
)  # fmt: skip
FIGURE_COLUMNS = (
    "capex_cny", "npv_cny", "cost_cny", "energy_saved_mwh_per_year", "co2_avoided_t_per_year",
    "water_m3_per_year", "pue_before", "pue_after",
)  # fmt: skip


@dataclass(frozen=True)
class Solution:
    """A plan.

    Attributes
    ----------
    projects : one row per centre that does something: DECISION_COLUMNS (calendar years, 0 where
        there is none; ids, "" where there is none; measures joined by ``+``) and FIGURE_COLUMNS.
        ``pue_after`` is NaN where the centre closes.
    payments : columns centre, source, year, amount_cny.
    """

    projects: pd.DataFrame
    payments: pd.DataFrame


def plan_tables(instance: Instance, solution: Solution) -> dict[str, pd.DataFrame]:
    """Tables of the run folder: the projects with their names, and who pays what when."""
    names = instance.centres[["centre", "name_zh", "name_en", "district", "owner_kind", "it_load_kw"]]
    return {
        "projects": names.merge(solution.projects, on="centre", how="inner"),
        "payments": solution.payments,
    }


def read_plan(tables: Mapping[str, pd.DataFrame]) -> Solution:
    """The plan of stored tables (text cells); inverse of `plan_tables`."""
    years = ("year", "later_year")
    return Solution(
        projects=plan_columns(
            tables,
            "projects",
            texts=[name for name in DECISION_COLUMNS if name not in years],
            whole=years,
            floats=FIGURE_COLUMNS,
            order=(*DECISION_COLUMNS, *FIGURE_COLUMNS),
        ),
        payments=plan_columns(
            tables, "payments", texts=("centre", "source"), whole=("year",), floats=("amount_cny",)
        ),
    )

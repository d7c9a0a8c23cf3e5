"""A plan: which project at which site in which year, paid by whom, with its figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from optimize.plan_columns import plan_columns
from optimize.pv_siting.instance import Instance

PROJECT_COLUMNS = (
    "site", "configuration", "offer", "year", "mix", "kw", "capex_cny", "npv_cny", "cost_cny",
    "generation_kwh_per_a", "used_on_site_kwh_per_a", "co2_t_per_a",
)  # fmt: skip


@dataclass(frozen=True)
class Solution:
    """A plan.

    Attributes
    ----------
    projects : one row per project, columns PROJECT_COLUMNS: ids (`configuration` or `offer`, the
        other is empty), calendar year, funding mix (`own`, a mix of the funding table, `emc`,
        `offer`), capacity, and figures: CAPEX whoever pays, present values, first-year energy,
        CO2 in the year after the last investment year.
    payments : columns site, source, year, amount_cny.
    carried_over : columns source, year, amount_cny: money of ``year`` kept for the next one.
    """

    projects: pd.DataFrame
    payments: pd.DataFrame
    carried_over: pd.DataFrame


def plan_tables(instance: Instance, solution: Solution) -> dict[str, pd.DataFrame]:
    """The plan as tables for people: projects, payments, districts, types."""
    sites = instance.sites.set_index("site")
    configurations = instance.configurations.set_index("configuration")
    offers = instance.offers.set_index("offer")
    projects = solution.projects.copy()
    about = sites.loc[projects["site"]]
    for position, column in enumerate(("name_zh", "name_en", "type", "level", "district", "lon", "lat")):
        projects.insert(position + 1, column, about[column].to_numpy())
    by_offer = (projects["offer"] != "").to_numpy()
    for column in ("kind", "storage", "hot_water"):
        values = configurations[column].reindex(projects["configuration"]).to_numpy(dtype=object)
        offered = offers[column].reindex(projects["offer"]).to_numpy(dtype=object)
        projects[column] = np.where(by_offer, offered, values)
    used = projects["used_on_site_kwh_per_a"] / projects["generation_kwh_per_a"].where(
        projects["generation_kwh_per_a"] > 0
    )
    projects["used_on_site_share"] = used.round(4)
    return {
        "projects": projects,
        "payments": solution.payments,
        "carried_over": solution.carried_over,
        "by_district": _totals(projects, ["district"]),
        "by_type": _totals(projects, ["type"]),
        "by_year_and_kind": _totals(projects, ["year", "kind"]),
    }


def read_plan(tables: Mapping[str, pd.DataFrame]) -> Solution:
    """The plan of stored tables (text cells); inverse of `plan_tables`."""
    texts = ("site", "configuration", "offer", "mix")
    figures = tuple(name for name in PROJECT_COLUMNS if name not in (*texts, "year"))
    return Solution(
        projects=plan_columns(
            tables, "projects", texts=texts, whole=("year",), floats=figures, order=PROJECT_COLUMNS
        ),
        payments=plan_columns(
            tables, "payments", texts=("site", "source"), whole=("year",), floats=("amount_cny",)
        ),
        carried_over=plan_columns(
            tables, "carried_over", texts=("source",), whole=("year",), floats=("amount_cny",)
        ),
    )


def _totals(projects: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    totals = projects.groupby(by, sort=True).agg(
        num_projects=("site", "size"),
        kw=("kw", "sum"),
        capex_cny=("capex_cny", "sum"),
        npv_cny=("npv_cny", "sum"),
        generation_kwh_per_a=("generation_kwh_per_a", "sum"),
        co2_t_per_a=("co2_t_per_a", "sum"),
    )
    return totals.round(3).reset_index()

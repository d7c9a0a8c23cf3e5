"""The plan in a few lines."""

from __future__ import annotations

import pandas as pd

from optimize.checking import CheckReport
from optimize.programme import Summary
from optimize.pv_siting.checker_revision import change_tables, changes_of
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.solution import Solution, plan_tables
from optimize.revision import revision_words


def run_tables(instance: Instance, solution: Solution) -> dict[str, pd.DataFrame]:
    """The plan for people, and what it changes of the plan in force."""
    return {**plan_tables(instance, solution), **change_tables(instance, solution.projects)}


def summarise(instance: Instance, solution: Solution, check: CheckReport) -> Summary:
    """What is built and what it brings."""
    projects = plan_tables(instance, solution)["projects"]
    figures = check.figures
    build = (
        f"{len(projects)} installations, {figures['capacity'] / 1000:.1f} MW ({_types(projects)})",
        f"{_kinds(instance, projects)}; {int((projects['mix'] == 'emc').sum())} under energy contracts",
        *_revision(instance, solution),
    )
    effect = (
        f"+{figures['energy'] / 1000:.1f} GWh/a solar, {figures['used_on_site_share']:.0%} used on site · "
        f"−{figures['co2'] / 1000:.1f} kt CO2/a · NPV {figures['npv'] / 1e6:.1f} M CNY",
    )
    return Summary(build, effect)


def _revision(instance: Instance, solution: Solution) -> tuple[str, ...]:
    if instance.plan_in_force.empty:
        return ()
    return (revision_words(instance.plan_in_force, changes_of(instance, solution.projects)),)


def _types(projects: pd.DataFrame) -> str:
    by_type = projects.groupby("type")["kw"].agg(["size", "sum"]).sort_values("sum", ascending=False)
    return ", ".join(f"{num} × {name}" for name, num in by_type["size"].items())


def _kinds(instance: Instance, projects: pd.DataFrame) -> str:
    names = dict(zip(instance.kinds["kind"], instance.kinds["name_en"], strict=True))
    count = projects.loc[projects["kind"] != "", "kind"].value_counts()
    parts = [f"{num} {names[kind] or kind}" for kind, num in count.items()]
    num_heat = int((projects["hot_water"] != "").sum())
    num_storage = int((projects["storage"] != "").sum())
    return ", ".join([*parts, f"{num_heat} with hot water", f"{num_storage} with storage"])

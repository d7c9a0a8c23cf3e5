"""The plan in a few lines."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from optimize.checking import CheckReport
from optimize.datacenter.checker_revision import change_tables, changes_of
from optimize.datacenter.instance import Instance
from optimize.datacenter.solution import Solution, plan_tables
from optimize.programme import Summary
from optimize.revision import revision_words

_MOST_NAMED = 4


def run_tables(instance: Instance, solution: Solution) -> dict[str, pd.DataFrame]:
    """The plan for people, and what it changes of the plan in force."""
    return {**plan_tables(instance, solution), **change_tables(instance, solution.projects)}


def summarise(instance: Instance, solution: Solution, check: CheckReport) -> Summary:
    """What is built and what it does, from the checker's figures."""
    figures = check.figures
    projects = solution.projects
    build = []
    retrofits = int(figures["num_retrofits"])
    if retrofits:
        names = dict(zip(instance.measures["measure"], instance.measures["name_en"], strict=True))
        final = projects["later_measures"].where(projects["action"] == "staged", projects["measures"])
        count = Counter(m for text in final for m in str(text).split("+") if m)
        common = ", ".join(f"{n} {names[m] or m}" for m, n in count.most_common(_MOST_NAMED))
        staged = f", {int(figures['num_staged'])} in two stages" if figures["num_staged"] else ""
        build.append(f"{retrofits} retrofits ({common}{staged})")
    if figures["num_closed"]:
        hosts = projects.loc[projects["action"] == "close", "host"].nunique()
        build.append(f"{int(figures['num_closed'])} rooms closed into {hosts} hosts")
    if figures["num_heat_links"]:
        build.append(
            f"{int(figures['num_heat_links'])} heat links "
            f"({figures['heat_mwh_per_year'] / 1000:.1f} GWh/a of heat)"
        )
    if figures["num_offers"]:
        build.append(f"{int(figures['num_offers'])} tendered offers taken")
    if len(instance.plan_in_force):
        build.append(revision_words(instance.plan_in_force, changes_of(instance, projects)))
    effect = [
        f"{-figures['energy'] / 1000:+.1f} GWh/a",
        f"{-figures['co2'] / 1000:+.1f} kt CO2/a",
    ]
    if retrofits:
        effect.append(
            f"PUE of those retrofitted {figures['pue_before_of_treated']:.2f} → "
            f"{figures['pue_after_of_treated']:.2f}"
        )
    effect.append(f"CAPEX {figures['capex_cny'] / 1e6:.1f} M CNY")
    return Summary(tuple(build) or ("nothing",), tuple(effect))

"""The plan in a few lines."""

from __future__ import annotations

import pandas as pd

from optimize.checking import CheckReport
from optimize.programme import Summary
from optimize.revision import revision_words
from optimize.water.checker_revision import change_tables, changes_of
from optimize.water.instance import Instance
from optimize.water.solution import Solution, plan_tables


def run_tables(instance: Instance, solution: Solution) -> dict[str, pd.DataFrame]:
    """The plan for people, and what it changes of the plan in force."""
    return {**plan_tables(instance, solution), **change_tables(instance, solution)}


def summarise(instance: Instance, solution: Solution, check: CheckReport) -> Summary:
    """What is built and what it brings, figures from the check."""
    build = _build_lines(instance, solution)
    if not instance.plan_in_force.empty:
        build += (revision_words(instance.plan_in_force, changes_of(instance, solution)),)
    return Summary(build=build, effect=_effect_lines(instance, solution, check))


def _build_lines(instance: Instance, solution: Solution) -> tuple[str, ...]:
    size = solution.modules.merge(instance.modules, on=["plant", "quality", "step"])
    by_quality = size.groupby("quality")["capacity_m3_per_d"].sum()
    capacity = ", ".join(f"{quality} {value:,.0f}" for quality, value in by_quality.items())
    lengths = solution.pipes.merge(instance.corridors[["corridor", "length_m"]], on="corridor")
    by_diameter = lengths.groupby("diameter")["length_m"].sum().reindex(instance.pipes["diameter"]).dropna()
    kilometres = ", ".join(f"{diameter} {value / 1000:,.1f}" for diameter, value in by_diameter.items())
    piped = int((solution.connections["mode"] == "pipe").sum())
    tankered = int((solution.connections["mode"] == "tanker").sum())
    plants = f"{size['plant'].nunique()} plants upgraded"
    pipes = f"{lengths['length_m'].sum() / 1000:,.1f} km of pipe"
    users = f"{piped} of {len(instance.users)} users connected" + (
        f", {tankered} by tanker" if tankered else ""
    )
    lines = [
        f"{plants} (m3/d: {capacity})" if capacity else plants,
        f"{pipes} (km: {kilometres})" if kilometres else pipes,
        users,
    ]
    names = {
        "storage": "storage sites",
        "cascade": "cascade links",
        "zld": "near-zero-discharge parks",
        "pilot": "pilots",
    }
    counts = {kind: int((solution.built["kind"] == kind).sum()) for kind in names}
    others = [f"{number} {names[kind]}" for kind, number in counts.items() if number]
    if len(solution.refusals):
        others.append(f"{solution.refusals['user'].nunique()} users refused growth")
    return (*lines, ", ".join(others)) if others else tuple(lines)


def _effect_lines(instance: Instance, solution: Solution, check: CheckReport) -> tuple[str, ...]:
    figures = check.figures
    volume = figures["volume"]
    near = solution.flows.merge(instance.corridors[["corridor", "length_m"]], on="corridor")
    share = figures["cascade_m3_per_d"] * 365.0 / volume if volume > 0 else 0.0
    first = (
        f"{volume / 1e6:,.2f} Mm3/a of fresh water replaced · {figures['tn'] / 1000:,.1f} t/a nitrogen kept out · "
        f"{figures['co2']:+,.0f} tCO2/a avoided"
    )
    second = (
        f"net present value {figures['npv'] / 1e6:,.1f} M CNY · investment {figures['capex_cny'] / 1e6:,.1f} M CNY · "
        f"running {figures['running_cost_cny_per_a'] / 1e6:,.2f} M CNY/a"
    )
    third = f"cascade {share:.0%} of the water · longest pipe in use {near['length_m'].max() / 1000:,.1f} km"
    return (first, second, third) if len(near) else (first, second)

"""The record by which the rest of the system knows this programme."""

from __future__ import annotations

import pandas as pd

from optimize.programme import Factor, Goal, Programme, ProjectTable, SolveOptions
from optimize.pv_siting.checker import check
from optimize.pv_siting.checker_revision import change_tables
from optimize.pv_siting.fast import prefer_fast, solve_fast, unsupported_by_fast
from optimize.pv_siting.generator import FAMILIES, SIZES, example, generate
from optimize.pv_siting.instance import Instance, find_faults, load
from optimize.pv_siting.levels import state_levels
from optimize.pv_siting.plausibility import find_warnings
from optimize.pv_siting.recounted import recount_projects
from optimize.pv_siting.report import summarise
from optimize.pv_siting.restated import restate_options
from optimize.pv_siting.schema import SCHEMA
from optimize.pv_siting.solution import Solution, read_plan
from optimize.pv_siting.solution import plan_tables as tables_of_plan
from optimize.pv_siting.stated import state_arrays
from optimize.result import Result

GOALS = (
    Goal("npv", True, "CNY", "净现值", "net present value"),
    Goal("cost", False, "CNY", "贴现成本", "discounted cost"),
    Goal("energy", True, "MWh/a", "年发电量", "yearly generation"),
    Goal("co2", True, "tCO2/a", "年碳减排量", "CO2 avoided a year"),
    Goal("capacity", True, "kW", "装机容量", "new capacity"),
    Goal("changes", False, "count", "调整项数", "changes to the plan in force"),
)

PROJECT_TABLES = (
    ProjectTable(
        "projects",
        kind="site",
        id=("site",),
        decision=("configuration", "offer", "year", "mix"),
        capex="capex_cny",
        effects={
            "npv": ("npv_cny", 1.0),
            "cost": ("cost_cny", 1.0),
            "energy": ("generation_kwh_per_a", 1e-3),
            "co2": ("co2_t_per_a", 1.0),
            "capacity": ("kw", 1.0),
        },
    ),
)

ROW_WORDS = {
    "one_option_per_site": "one installation for each site",
    "feeder_hosts": "the feeder it hangs on takes no more",
    "substation_hosts": "the substation it hangs on takes no more",
    "together": "a lock: together with another site or not at all",
    "not_together": "a lock: not together with another site",
}

FACTORS = (
    Factor("costs", columns=("sites.cost_factor",)),
    Factor("yields", columns=("kinds.yield_factor",)),
    Factor("prices", columns=("tariffs.price_cny_per_kwh",)),
    Factor("demand", columns=("sites.annual_load_kwh", "sites.hot_water_kwh_per_a")),
)


def plan_tables(instance: Instance, solution: Solution) -> dict[str, pd.DataFrame]:
    """The plan for people, and what it changes of the plan in force."""
    return {**tables_of_plan(instance, solution), **change_tables(instance, solution.projects)}


def solve_formulation(instance: Instance, options: SolveOptions) -> Result[Solution]:
    """As in `formulation`; Pyomo is loaded when it is asked for, not by every command."""
    from optimize.pv_siting import formulation

    return formulation.solve_formulation(instance, options)


PROGRAMME = Programme(
    name="pv_siting",
    zh="公共机构光伏",
    en="Public-sector PV",
    schema=SCHEMA,
    goals=GOALS,
    find_faults=find_faults,
    find_warnings=find_warnings,
    load=load,
    solve_formulation=solve_formulation,
    solve_fast=solve_fast,
    unsupported_by_fast=unsupported_by_fast,
    prefer_fast=prefer_fast,
    check=check,
    plan_tables=plan_tables,
    read_plan=read_plan,
    state_arrays=state_arrays,
    summarise=summarise,
    example=example,
    sizes=SIZES,
    families=FAMILIES,
    generate=generate,
    state_levels=state_levels,
    project_tables=PROJECT_TABLES,
    lockable=(("sites", "site"),),
    row_words=ROW_WORDS,
    factors=FACTORS,
    restate_options=restate_options,
    recount_projects=recount_projects,
    resumes=True,
)

"""The data-centre programme as the rest of the system sees it."""

from __future__ import annotations

import pandas as pd

from optimize.datacenter.checker import check
from optimize.datacenter.checker_revision import change_tables
from optimize.datacenter.data_checks import find_faults, find_warnings
from optimize.datacenter.example import example
from optimize.datacenter.fast import prefer_fast, solve_fast, unsupported_by_fast
from optimize.datacenter.generator import FAMILIES, SIZES, generate
from optimize.datacenter.instance import Instance, load
from optimize.datacenter.levels import state_levels
from optimize.datacenter.recounted import recount_projects
from optimize.datacenter.report import summarise
from optimize.datacenter.restated import restate_options
from optimize.datacenter.schema import SCHEMA
from optimize.datacenter.solution import Solution, read_plan
from optimize.datacenter.solution import plan_tables as tables_of_plan
from optimize.datacenter.stated import state_arrays
from optimize.programme import Factor, Goal, Programme, ProjectTable, SolveOptions
from optimize.result import Result

PROJECT_TABLES = (
    ProjectTable(
        "projects",
        kind="centre",
        id=("centre",),
        decision=(
            "action", "year", "measures", "later_year", "later_measures", "host", "sink", "offer", "mix",
        ),
        capex="capex_cny",
        effects={
            "npv": ("npv_cny", 1.0),
            "cost": ("cost_cny", 1.0),
            "energy": ("energy_saved_mwh_per_year", 1.0),
            "co2": ("co2_avoided_t_per_year", 1.0),
            "water_m3_per_year": ("water_m3_per_year", 1.0),
        },
    ),
)  # fmt: skip

ROW_WORDS = {
    "R5_partners_apart": "its backup partner is under works in the same year",
    "R7_heat_sink_capacity": "the heat user takes no more in some month",
    "lock_together": "a lock: together with another centre or not at all",
    "lock_not_together": "a lock: not together with another centre",
}

FACTORS = (
    Factor("costs", columns=("centres.cost_factor",)),
    Factor("yields", columns=("measures.saving_share",)),
    Factor(
        "prices",
        columns=("centres.electricity_price_cny_per_kwh",),
        parameters=("datacenter.electricity_price_cny_per_kwh",),
    ),
    Factor("demand", columns=("centres.it_load_kw",)),
)


def plan_tables(instance: Instance, solution: Solution) -> dict[str, pd.DataFrame]:
    """The plan for people, and what it changes of the plan in force."""
    return {**tables_of_plan(instance, solution), **change_tables(instance, solution.projects)}


def solve_formulation(instance: Instance, options: SolveOptions) -> Result[Solution]:
    """As in `formulation`; Pyomo is loaded when it is asked for, not by every command."""
    from optimize.datacenter import formulation

    return formulation.solve_formulation(instance, options)


PROGRAMME = Programme(
    name="datacenter",
    zh="数据中心",
    en="Data centres",
    schema=SCHEMA,
    goals=(
        Goal("npv", True, "CNY", "净现值", "net present value"),
        Goal("cost", False, "CNY", "成本现值", "discounted cost"),
        Goal("energy", True, "MWh/a", "年节电量", "electricity saved a year"),
        Goal("co2", True, "tCO2/a", "年碳减排量", "CO2 avoided a year"),
        Goal("changes", False, "count", "调整项数", "changes to the plan in force"),
    ),
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
    sizes=(*SIZES, "shanghai"),
    families=FAMILIES,
    generate=generate,
    state_levels=state_levels,
    project_tables=PROJECT_TABLES,
    lockable=(("centres", "centre"),),
    row_words=ROW_WORDS,
    factors=FACTORS,
    restate_options=restate_options,
    recount_projects=recount_projects,
    resumes=True,
)

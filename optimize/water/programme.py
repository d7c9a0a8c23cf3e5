"""The reclaimed-water programme as a record of functions."""

from __future__ import annotations

from optimize.programme import Factor, Goal, Programme, ProjectTable, SolveOptions
from optimize.result import Result
from optimize.water.checker import check
from optimize.water.example import example
from optimize.water.fast import prefer_fast, unsupported_by_fast
from optimize.water.fast_levels import NetworkLevels
from optimize.water.generator import FAMILIES, SIZES, generate
from optimize.water.infeasible import solve_fast_or_explain
from optimize.water.instance import LOCKABLE, Instance, find_faults, find_warnings, load
from optimize.water.report import summarise
from optimize.water.schema import SCHEMA
from optimize.water.solution import Solution, plan_tables, read_plan
from optimize.water.stated import state_arrays

GOALS = (
    Goal("npv", True, "CNY", "净现值", "net present value"),
    Goal("cost", False, "CNY", "总成本现值", "discounted cost"),
    Goal("volume", True, "m3/a", "再生水利用量", "reclaimed water used"),
    Goal("tn", True, "kg/a", "总氮削减量", "nitrogen kept out of the estuary"),
    Goal("co2", True, "tCO2/a", "碳减排量", "CO2 avoided"),
)

PROJECT_TABLES = (
    ProjectTable("plants", "treatment", ("plant", "quality", "step"), ("year",), "capex_cny"),
    ProjectTable("pipes", "pipe", ("corridor", "quality"), ("diameter", "year"), "capex_cny"),
    ProjectTable("users", "connection", ("user",), ("mode", "year")),
    ProjectTable("other_works", "other works", ("kind", "id"), ("year",)),
)

FACTORS = (
    Factor(
        "costs",
        columns=(
            "modules.capex_cny", "pipes.capex_cny_per_m", "corridors.fixed_capex_cny",
            "users.connection_capex_cny", "users.tanker_capex_cny", "storage_sites.capex_cny",
            "cascades.capex_cny", "parks.zld_capex_cny",
        ),
    ),
    Factor("yields", columns=("plants.effluent_m3_per_d", "plant_months.effluent_m3_per_d")),
    Factor("prices", columns=("user_demands.alternative_cny_per_m3",)),
    Factor("demand", columns=("user_demands.base_m3_per_d",)),
)  # fmt: skip


def solve_formulation(instance: Instance, options: SolveOptions) -> Result[Solution]:
    """As in `formulation`; Pyomo is loaded when it is asked for, not by every command."""
    from optimize.water import formulation

    return formulation.solve_formulation(instance, options)


PROGRAMME = Programme(
    name="water",
    zh="再生水利用",
    en="Reclaimed water",
    schema=SCHEMA,
    goals=GOALS,
    find_faults=find_faults,
    find_warnings=find_warnings,
    load=load,
    solve_formulation=solve_formulation,
    solve_fast=solve_fast_or_explain,
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
    project_tables=PROJECT_TABLES,
    lockable=LOCKABLE,
    factors=FACTORS,
    goal_levels=NetworkLevels,
)

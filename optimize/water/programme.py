"""The reclaimed-water programme as a record of functions."""

from __future__ import annotations

from optimize.deferred import Deferred
from optimize.names import FAMILIES, SIZES
from optimize.programme import Factor, Goal, Programme, ProjectTable
from optimize.water.fast_ingredients import INGREDIENTS
from optimize.water.instance import LOCKABLE
from optimize.water.schema import SCHEMA

GOALS = (
    Goal("npv", True, "CNY", "净现值", "net present value", gross="gross_benefit_cny"),
    Goal("cost", False, "CNY", "总成本现值", "discounted cost"),
    Goal("volume", True, "m3/a", "再生水利用量", "reclaimed water used"),
    Goal("tn", True, "kg/a", "总氮削减量", "nitrogen kept out of the estuary"),
    Goal("co2", True, "tCO2/a", "碳减排量", "CO2 avoided"),
    Goal("changes", False, "count", "现行计划调整项数", "changes to the plan in force"),
)

PROJECT_TABLES = (
    ProjectTable("plants", "treatment", ("plant", "quality"), ("step", "year", "mix"), "capex_cny"),
    ProjectTable("pipes", "pipe", ("corridor", "quality"), ("diameter", "year", "mix"), "capex_cny"),
    ProjectTable("users", "connection", ("user",), ("mode", "year", "mix")),
    ProjectTable("other_works", "other works", ("kind", "id"), ("year", "mix"), lock=("id",)),
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


PROGRAMME = Programme(
    name="water",
    zh="再生水利用",
    en="Reclaimed water",
    schema=SCHEMA,
    goals=GOALS,
    find_faults=Deferred("optimize.water.data_checks", "find_faults"),
    find_warnings=Deferred("optimize.water.data_checks", "find_warnings"),
    load=Deferred("optimize.water.instance", "load"),
    solve_formulation=Deferred("optimize.water.formulation", "solve_formulation"),
    solve_fast=Deferred("optimize.water.infeasible", "solve_fast_or_explain"),
    unsupported_by_fast=Deferred("optimize.water.fast", "unsupported_by_fast"),
    prefer_fast=Deferred("optimize.water.fast", "prefer_fast"),
    check=Deferred("optimize.water.checker", "check"),
    plan_tables=Deferred("optimize.water.report", "run_tables"),
    read_plan=Deferred("optimize.water.solution", "read_plan"),
    state_arrays=Deferred("optimize.water.stated", "state_arrays"),
    summarise=Deferred("optimize.water.report", "summarise"),
    example=Deferred("optimize.water.example", "example"),
    sizes=SIZES["water"],
    families=FAMILIES["water"],
    generate=Deferred("optimize.water.generator", "generate"),
    project_tables=PROJECT_TABLES,
    lockable=LOCKABLE,
    factors=FACTORS,
    state_bounding=Deferred("optimize.water.stated", "state_bounding"),
    prove_network=Deferred("optimize.water.proof.prove", "prove_bound"),
    goal_levels=Deferred("optimize.water.fast_levels", "NetworkLevels"),
    ingredients=INGREDIENTS,
)

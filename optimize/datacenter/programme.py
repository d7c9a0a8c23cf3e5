"""The data-centre programme as the rest of the system sees it."""

from __future__ import annotations

from optimize.datacenter.schema import SCHEMA
from optimize.deferred import Deferred
from optimize.names import FAMILIES, SIZES
from optimize.programme import Factor, Goal, Programme, ProjectTable

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
    find_faults=Deferred("optimize.datacenter.data_checks", "find_faults"),
    find_warnings=Deferred("optimize.datacenter.data_checks", "find_warnings"),
    load=Deferred("optimize.datacenter.instance", "load"),
    solve_formulation=Deferred("optimize.datacenter.formulation", "solve_formulation"),
    solve_fast=Deferred("optimize.datacenter.fast", "solve_fast"),
    unsupported_by_fast=Deferred("optimize.datacenter.fast", "unsupported_by_fast"),
    prefer_fast=Deferred("optimize.datacenter.fast", "prefer_fast"),
    check=Deferred("optimize.datacenter.checker", "check"),
    plan_tables=Deferred("optimize.datacenter.report", "run_tables"),
    read_plan=Deferred("optimize.datacenter.solution", "read_plan"),
    state_arrays=Deferred("optimize.datacenter.stated", "state_arrays"),
    summarise=Deferred("optimize.datacenter.report", "summarise"),
    example=Deferred("optimize.datacenter.example", "example"),
    sizes=SIZES["datacenter"],
    families=FAMILIES["datacenter"],
    generate=Deferred("optimize.datacenter.generator", "generate"),
    state_levels=Deferred("optimize.datacenter.levels", "state_levels"),
    project_tables=PROJECT_TABLES,
    lockable=(("centres", "centre"),),
    row_words=ROW_WORDS,
    factors=FACTORS,
    restate_options=Deferred("optimize.datacenter.restated", "restate_options"),
    recount_projects=Deferred("optimize.datacenter.recounted", "recount_projects"),
    resumes=True,
)

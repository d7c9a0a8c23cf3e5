"""The record by which the rest of the system knows this programme."""

from __future__ import annotations

from optimize.deferred import Deferred
from optimize.names import FAMILIES, SIZES
from optimize.programme import Factor, Goal, Programme, ProjectTable
from optimize.pv_siting.schema import SCHEMA

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


PROGRAMME = Programme(
    name="pv_siting",
    zh="公共机构光伏",
    en="Public-sector PV",
    schema=SCHEMA,
    goals=GOALS,
    find_faults=Deferred("optimize.pv_siting.instance", "find_faults"),
    find_warnings=Deferred("optimize.pv_siting.plausibility", "find_warnings"),
    load=Deferred("optimize.pv_siting.instance", "load"),
    solve_formulation=Deferred("optimize.pv_siting.formulation", "solve_formulation"),
    solve_fast=Deferred("optimize.pv_siting.fast", "solve_fast"),
    unsupported_by_fast=Deferred("optimize.pv_siting.fast", "unsupported_by_fast"),
    prefer_fast=Deferred("optimize.pv_siting.fast", "prefer_fast"),
    check=Deferred("optimize.pv_siting.checker", "check"),
    plan_tables=Deferred("optimize.pv_siting.report", "run_tables"),
    read_plan=Deferred("optimize.pv_siting.solution", "read_plan"),
    state_arrays=Deferred("optimize.pv_siting.stated", "state_arrays"),
    summarise=Deferred("optimize.pv_siting.report", "summarise"),
    example=Deferred("optimize.pv_siting.generator", "example"),
    sizes=SIZES["pv_siting"],
    families=FAMILIES["pv_siting"],
    generate=Deferred("optimize.pv_siting.generator", "generate"),
    state_levels=Deferred("optimize.pv_siting.levels", "state_levels"),
    project_tables=PROJECT_TABLES,
    lockable=(("sites", "site"),),
    row_words=ROW_WORDS,
    factors=FACTORS,
    restate_options=Deferred("optimize.pv_siting.restated", "restate_options"),
    recount_projects=Deferred("optimize.pv_siting.recounted", "recount_projects"),
    resumes=True,
)

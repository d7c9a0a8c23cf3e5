"""Every constraint of the formulation matters: without it the solver finds a plan the checker rejects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyomo.environ import Constraint

from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions
from optimize.water.checker import check
from optimize.water.formulation import STRENGTHENING, build_model, solve_built

OPTIONS = SolveOptions(goal=("npv",), gap=0.0, time_limit_s=30.0)
YEAR = 2022


def phased(town: Any) -> None:
    town.parameters["water.phased"] = True


def scarce_effluent(town: Any) -> None:
    town.rows["plants"]["P"]["effluent_m3_per_d"] = 100.0
    town.price(50.0)


def concentrate_pollutes(town: Any) -> None:
    town.rows["plants"]["P"]["tn_limit_mg_per_l"] = 11.0
    for row in town.rows["user_demands"].values():
        row["need"] = "hi"


def two_sizes_needed(town: Any) -> None:
    town.rows["user_demands"]["a"]["base_m3_per_d"] = 650.0
    del town.rows["modules"]["P-hi-m"]


def two_diameters_needed(town: Any) -> None:
    town.rows["pipes"]["L"]["capacity_m3_per_d"] = 300.0
    del town.rows["modules"]["P-hi-m"]


def seasons_with_tank(town: Any, capex: float = 1000.0) -> None:
    town.parameters["water.periods"] = 4
    for month, factor in enumerate((0.1, 0.1, 1, 1, 1, 2.8, 2.8, 2.8, 1, 1, 1, 0.1), 1):
        town.add("profiles", f"s{month}", profile="summer", month=month, factor=factor)
    for row in town.rows["user_demands"].values():
        row["profile"] = "summer"
    town.price(20.0)
    del town.rows["modules"]["P-hi-m"]
    town.add("storage_sites", "T", site="T", node="J", quality="lo", volume_m3=40_000.0, capex_cny=capex)


def peak_day_with_tank(town: Any) -> None:
    town.parameters["water.peak_day"] = True
    for row in town.rows["users"].values():
        row.update(min_take_share=1.0, peak_day_factor=1.6)
    del town.rows["modules"]["P-hi-m"]
    town.add("storage_sites", "T", site="T", node="J", quality="lo", volume_m3=200.0, capex_cny=50_000.0)


def connection_costs(town: Any) -> None:
    town.rows["users"]["A"]["connection_capex_cny"] = 100_000.0


def all_or_nothing(town: Any) -> None:
    town.rows["users"]["A"]["min_take_share"] = 1.0
    town.rows["plants"]["P"]["effluent_m3_per_d"] = 250.0
    del town.rows["modules"]["P-hi-m"]


def tanker(town: Any) -> None:
    town.rows["users"]["A"].update(tanker_plant="P", tanker_cny_per_m3=0.1, tanker_capex_cny=10_000.0)


def two_feeds_needed(town: Any) -> None:
    town.rows["users"]["B"]["single_feed"] = True
    town.rows["user_demands"]["b"]["base_m3_per_d"] = 400.0
    town.rows["modules"]["P-lo-m"]["capacity_m3_per_d"] = 800.0
    town.rows["pipes"]["L"].update(capacity_m3_per_d=260.0, capex_cny_per_m=301.0)
    town.add("corridors", "PA", corridor="PA", from_node="P", to_node="A", length_m=500.0)
    town.add("corridors", "PB", corridor="PB", from_node="P", to_node="B", length_m=500.0)
    del town.rows["modules"]["P-hi-m"]


def cascade(town: Any, opex: float = 0.1) -> None:
    town.add(
        "cascades", "c", cascade="c", user="A", quality="lo", return_share=0.8, capacity_m3_per_d=500.0,
        capex_cny=50_000.0, opex_cny_per_m3=opex,
    )  # fmt: skip


def cascade_of_refused_user(town: Any) -> None:
    cascade(town)
    town.rows["users"]["A"].update(quota_listed=True, growth_share=1.0, refusal_cost_cny_per_m3=0.01)
    town.rows["user_demands"]["b"]["base_m3_per_d"] = 600.0
    town.rows["modules"].clear()
    town.add("modules", "P-hi-x", plant="P", quality="hi", step="x", capacity_m3_per_d=1.0, capex_cny=1e7)
    town.lock("force_out", "A")
    town.aim("W-QUOTA", 1)


def cascade_asked(town: Any) -> None:
    cascade(town, opex=20.0)
    town.aim("W-CASCADE", 50)


def quota(town: Any) -> None:
    town.price(0.0)
    town.rows["users"]["A"].update(quota_listed=True, growth_share=0.5)
    town.aim("W-QUOTA", 1)


def intake_cap(town: Any) -> None:
    town.price(0.0)
    town.aim("W-CAP", 100_000)


def pilot(town: Any, least_users: int = 1, least_volume: float = 0.0) -> None:
    town.price(0.0)
    town.add(
        "pilots",
        "p",
        pilot="p",
        kind="park",
        district="d",
        min_users=least_users,
        min_volume_m3_per_a=least_volume,
    )
    town.add("pilot_members", "pA", pilot="p", user="A")
    town.aim("W-PILOT", 1)


def pilot_volume(town: Any) -> None:
    pilot(town, least_users=0, least_volume=30_000.0)


def zero_discharge(town: Any) -> None:
    town.price(0.0)
    town.add("parks", "park", park="park", zld_candidate=True, zld_capex_cny=1000.0, zld_min_share=0.5)
    town.rows["users"]["A"]["park"] = "park"
    town.aim("W-ZLD", 1)


def poor_customers(town: Any, allowed: int = 0) -> None:
    for row in town.rows["user_demands"].values():
        row["max_price_cny_per_m3"] = 0.1
    town.aim("W-PRICE", allowed)


def poor_customers_of_two_systems(town: Any) -> None:
    town.rows["user_demands"]["b"]["need"] = "hi"
    poor_customers(town, allowed=1)


def nitrogen(town: Any) -> None:
    town.price(0.0)
    town.parameters["water.tn_value_cny_per_kg"] = 0.0
    town.aim("W-TN", 500)


def volume(town: Any) -> None:
    town.price(0.0)
    town.parameters["water.tn_value_cny_per_kg"] = 0.0
    town.aim("W-VOLUME", 50_000)


def near(town: Any) -> None:
    town.aim("W-NEAR", 0.72)


def upgrade(town: Any) -> None:
    town.price(0.0)
    town.aim("W-UPGRADE", 1)


def two_plants(town: Any) -> None:
    town.add("plants", "R", plant="R", effluent_m3_per_d=1000.0)
    town.add("treatment", "R", plant="R", quality="lo", opex_cny_per_m3=0.5)
    town.add("modules", "R", plant="R", quality="lo", step="m", capacity_m3_per_d=600.0, capex_cny=1000.0)
    town.add("corridors", "RB", corridor="RB", from_node="R", to_node="B", length_m=10.0)
    town.parameters["water.num_plants_exact"] = 1
    town.rows["user_demands"]["a"]["base_m3_per_d"] = 550.0


def one_plant_for_nothing(town: Any) -> None:
    town.price(0.0)
    town.parameters["water.num_plants_exact"] = 1


def two_mixes(town: Any) -> None:
    for mix, source in (("city", "municipal"), ("own", "owner")):
        town.add("funding", mix, project_kind="module", mix=mix, source=source, share=1.0)


def mix_would_switch(town: Any) -> None:
    phased(town)
    two_mixes(town)
    del town.rows["modules"]["P-hi-m"]
    town.add("budgets", "o23", source="owner", year=YEAR + 1, amount_cny=150_000.0)
    for name in ("A", "B"):
        town.rows["users"][name]["connection_capex_cny"] = 0.0
    town.rows["budgets"]["m22"]["amount_cny"] = 150_000.0 + 350 * 500.0 + 1000.0
    town.rows["budgets"]["m23"]["amount_cny"] = 10_000.0
    town.rows["corridors"]["PJ"]["length_m"] = 150.0


def little_money(town: Any) -> None:
    for row in town.rows["budgets"].values():
        row["amount_cny"] = 100_000.0


def money_saved_up(town: Any) -> None:
    phased(town)
    town.parameters["budgets.carry_over_share"] = 0.5
    for row in town.rows["budgets"].values():
        row["amount_cny"] = 200_000.0


def forced_in(town: Any) -> None:
    town.price(0.0)
    town.lock("force_in", "P")


def forced_out(town: Any) -> None:
    town.lock("force_out", "JA")


def fixed(town: Any) -> None:
    town.price(0.0)
    town.lock("fix", "P", value="lo:m")


def not_before(town: Any) -> None:
    phased(town)
    town.lock("earliest", "A", year=YEAR + 1)


def not_after(town: Any) -> None:
    phased(town)
    town.rows["budgets"]["m22"]["amount_cny"] = 0.0
    town.lock("latest", "P", year=YEAR)


def together(town: Any) -> None:
    town.price(50.0)
    town.lock("together", "JA", other="AB")


def apart(town: Any) -> None:
    town.lock("not_together", "A", other="B")


def demand_fades(town: Any) -> None:
    phased(town)
    for row in town.rows["users"].values():
        row["growth_share"] = -1.0
    town.price(50.0)


def contracted(town: Any) -> None:
    """Membranes that nobody needs."""
    town.rows["plan_in_force"] = {
        "hi": {"table": "plants", "project": "P:hi", "choice": "m", "year": 2022, "state": "contracted"}
    }


def first_year_closed(town: Any) -> None:
    phased(town)
    town.parameters["revision.first_open_year"] = 2023


def few_changes(town: Any) -> None:
    town.aim("CITY-REVISE", 1.0)


CASES: dict[str, Callable[[Any], None]] = {
    "what_stands_stays": demand_fades,
    "effluent_not_overdrawn": scarce_effluent,
    "effluent_stays_compliant": concentrate_pollutes,
    "product_only_if_built": connection_costs,
    "one_module_size": two_sizes_needed,
    "one_diameter": two_diameters_needed,
    "flow_only_if_built": connection_costs,
    "water_conserved": connection_costs,
    "storage_balanced": seasons_with_tank,
    "stored_only_if_built": seasons_with_tank,
    "peak_release_from_volume": peak_day_with_tank,
    "delivered_only_if_connected": connection_costs,
    "minimum_taken": all_or_nothing,
    "hauled_only_if_tankered": tanker,
    "one_way_of_service": tanker,
    "one_feed": two_feeds_needed,
    "inflow_only_by_feed": two_feeds_needed,
    "reuse_only_if_built": cascade,
    "reuse_within_reduced_effluent": cascade_of_refused_user,
    "cascade_target": cascade_asked,
    "quota_target": quota,
    "intake_capped": intake_cap,
    "pilot_needs_users": pilot,
    "pilot_needs_volume": pilot_volume,
    "pilot_target": pilot,
    "zld_needs_reclaimed_water": zero_discharge,
    "zld_target": zero_discharge,
    "revenue_covers_cost": poor_customers,
    "price_target": poor_customers_of_two_systems,
    "nitrogen_target": nitrogen,
    "volume_target": volume,
    "near_target": near,
    "upgraded_only_by_module": upgrade,
    "module_upgrades_plant": two_plants,
    "exact_number_of_plants": one_plant_for_nothing,
    "upgrade_target": upgrade,
    "one_mix_if_built": two_mixes,
    "mix_stays": mix_would_switch,
    "budget_kept": little_money,
    "carry_over_limited": money_saved_up,
    "forced_in": forced_in,
    "forced_out": forced_out,
    "fixed": fixed,
    "not_before": not_before,
    "not_after": not_after,
    "done_if_any": together,
    "together": together,
    "apart": apart,
    "contracts_stand": contracted,
    "nothing_new_in_closed_years": first_year_closed,
    "changes_limited": few_changes,
}


def accepted(model: Any) -> tuple[bool, str]:
    """Whether the best plan of ``model`` passes the check, its objective included; and why not."""
    result = solve_built(model, OPTIONS, Watch(OPTIONS, True))
    assert result.solution is not None, result.stop
    report = check(model.instance, result.solution)
    assert result.objective is not None
    same = abs(report.figures["npv"] - result.objective) <= 1e-6 * max(1.0, abs(result.objective))
    why = "; ".join(map(str, report.violations)) or f"{report.figures['npv']} is not {result.objective}"
    return report.passed and same, why


@pytest.mark.parametrize("name", CASES)
def test_plan_is_rejected_without_the_row(name: str, town: Any) -> None:
    CASES[name](town)
    instance = town.instance()
    complete = build_model(instance)
    assert len(complete.m.component(name)) > 0
    good, why = accepted(complete)
    assert good, why
    without = build_model(instance)
    without.m.component(name).deactivate()
    assert not accepted(without)[0]


def test_every_row_of_the_formulation_has_a_case(town: Any) -> None:
    components = {c.local_name for c in build_model(town.instance()).m.component_objects(Constraint)}
    assert components - set(STRENGTHENING) == set(CASES)


@pytest.mark.parametrize("name", STRENGTHENING)
def test_strengthening_rows_cut_off_no_plan(name: str, town: Any) -> None:
    for row in town.rows["corridors"].values():
        row["directed"] = True
    instance = town.instance()
    complete, without = build_model(instance), build_model(instance)
    assert len(complete.m.component(name)) > 0
    without.m.component(name).deactivate()
    values = [solve_built(model, OPTIONS, Watch(OPTIONS, True)).objective for model in (complete, without)]
    assert values[0] == pytest.approx(values[1], rel=1e-9)

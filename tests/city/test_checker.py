"""The independent check of a joint plan: every row it recounts is missed when a plan breaks it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from optimize.city.checker import check_city, moved_demands
from optimize.city.instance import DATACENTER, PV_SITING, WATER, City
from optimize.city.plan import CityPlan
from optimize.city.solve import solve_city
from optimize.programme import SolveOptions
from tests.city.cities import drawn_city


@cache
def solved() -> tuple[City, CityPlan]:
    """A city and its best joint plan."""
    city = drawn_city(1)
    plan = solve_city(city, SolveOptions(gap=1e-7, time_limit_s=60)).result.plan
    assert plan is not None
    return city, plan


def violated(city: City, plan: CityPlan) -> str:
    return " | ".join(str(v) for v in check_city(city, plan).report.violations)


def with_rows(plan: CityPlan, name: str, projects: pd.DataFrame) -> CityPlan:
    solution = replace(plan.solutions[name], projects=projects)
    return CityPlan(plan.share_cny, {**plan.solutions, name: solution})


def test_the_best_plan_holds_and_its_figures_add_up() -> None:
    city, plan = solved()
    check = check_city(city, plan)
    assert check.report.passed
    parts = [report.figures["npv"] for report in check.parts.values()]
    short = sum(
        max(-c.slack, 0.0) * c.target.penalty_cny_per_unit for c in check.report.clauses if not c.target.hard
    )
    assert check.report.figures["npv"] == pytest.approx(sum(parts) - short)
    public = check.report.money[check.report.money["source"] != "owner"]
    whole = sum(
        report.money.loc[report.money["source"] != "owner", "spent_cny"].sum()
        for report in check.parts.values()
    )
    assert public["spent_cny"].sum() == pytest.approx(whole)


def test_shares_beyond_the_pool_and_spending_beyond_a_share_are_found() -> None:
    city, plan = solved()
    share = plan.share_cny.copy()
    share[0, 0, 0] += city.pool_cny[0, 0]
    share[1, 1, 0] = -1e6
    share[2] *= 0.5
    found = violated(city, CityPlan(share, plan.solutions))
    for told in (
        "(C1) shares of municipal 2024: required at most",
        "not negative",
        "(P5) pv_siting: municipal",
    ):
        assert told in found


def test_a_target_missed_is_found() -> None:
    city, plan = solved()
    energy = replace(city.targets["CITY-ENERGY"], required=1_000.0, hard=True)
    assert "(C2) CITY-ENERGY" in violated(replace(city, targets={"CITY-ENERGY": energy}), plan)


def test_power_of_a_linked_roof_counts_up_to_what_the_centre_draws() -> None:
    city, plan = solved()
    reached = {c.target.id: c.reached for c in check_city(city, plan).report.clauses}
    apart = replace(city, pv_at_centres=city.pv_at_centres.iloc[:0])
    alone = {c.target.id: c.reached for c in check_city(apart, plan).report.clauses}
    assert alone["CITY-ENERGY"] < reached["CITY-ENERGY"] - 1.0
    assert alone["CITY-CO2"] == reached["CITY-CO2"]


def test_hot_water_served_twice_is_found() -> None:
    city, plan = solved()
    centres = plan.solutions[DATACENTER].projects
    assert (centres["sink"] == "clinic-heat").any()
    roofs = plan.solutions[PV_SITING].projects
    heated = roofs.copy()
    heated.loc[heated["site"] == "clinic", "configuration"] = "roof50_heat"
    assert "(C3) heat of clinic-heat month" in violated(city, with_rows(plan, PV_SITING, heated))


def test_a_demand_moves_with_the_centre_and_water_beyond_it_is_found() -> None:
    city, plan = solved()
    moved = moved_demands(city, plan)
    centres = plan.solutions[DATACENTER].projects
    own = centres.loc[centres["centre"] == "DC1", "water_m3_per_year"]
    assert moved["cooling-DC1"] == pytest.approx(float(own.sum())) and moved["cooling-DC1"] != 0.0
    stays = with_rows(plan, DATACENTER, centres[centres["centre"] != "DC1"].reset_index(drop=True))
    assert moved_demands(city, stays)["cooling-DC1"] == 0.0
    # a centre that takes less leaves deliveries above what is needed
    deliveries = plan.solutions[WATER].deliveries
    assert (deliveries["demand"] == "cooling-DC1").any()
    if moved["cooling-DC1"] > 0:
        assert f"{WATER}: " in violated(city, stays)


def test_shares_stay_within_the_pool() -> None:
    city, plan = solved()
    assert np.all(plan.share_cny.sum(axis=0) <= city.pool_cny * (1 + 1e-9) + 1e-6)

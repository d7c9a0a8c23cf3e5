"""Phased building on the fast path: plans pass the check, lie between zero and the formulation, bounds hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from optimize.io.validation import data_from_draft
from optimize.programme import SolveOptions
from optimize.water.checker import check
from optimize.water.fast import solve_fast, unsupported_by_fast
from optimize.water.formulation import solve_formulation
from optimize.water.generator import generate
from optimize.water.instance import Instance, load
from optimize.water.report import run_tables
from optimize.water.schema import SCHEMA
from tests.water.conftest import Town
from tests.water.random_towns import random_town


@pytest.fixture(scope="module")
def small() -> Instance:
    """The benchmark's money spread evenly over three years."""
    instance = load(data_from_draft(SCHEMA, generate("s", 1)))
    years = range(3)
    total = instance.budgets["amount_cny"].sum()
    budgets = instance.budgets.iloc[[0] * len(years)].reset_index(drop=True)
    budgets["year"] = [instance.parameters.base_year + year for year in years]
    budgets["amount_cny"] = total / len(years)
    parameters = replace(instance.parameters, phased=True, num_years=len(years))
    return replace(instance, budgets=budgets, parameters=parameters)


def options(*goal: str, seconds: float = 2.0) -> SolveOptions:
    return SolveOptions(goal=goal or ("npv",), gap=0.0, time_limit_s=seconds)


def phase(town: Town, yearly_cny: float, years: int = 3, carry_over_share: float = 1.0) -> None:
    town.rows["budgets"] = {
        f"m{y}": {"source": "municipal", "year": 2022 + y, "amount_cny": yearly_cny} for y in range(years)
    }
    town.parameters.update(
        {"num_years": years, "water.phased": True, "budgets.carry_over_share": carry_over_share}
    )
    for row in town.rows["users"].values():
        row["growth_share"] = 0.4


def solved(instance: Instance, *goal: str, seconds: float = 2.0) -> Any:
    """Result of the fast path, its plan checked and its bound on the right side."""
    assert unsupported_by_fast(instance, options(*goal)) is None
    result = solve_fast(instance, options(*goal, seconds=seconds))
    report = check(instance, result.solution)
    assert report.passed, report.violations[:5]
    assert report.figures[result.goal[0]] == pytest.approx(result.objective, rel=1e-6, abs=1.0)
    return result


@pytest.mark.parametrize("goal", ["npv", "cost", "volume"])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seed", [0])
def test_plan_formulation_and_bound_are_in_order(seed: int, share: float, goal: str, town: Town) -> None:
    random_town(town, seed)
    phase(town, 900_000.0, carry_over_share=share)
    if goal == "cost":
        most = solve_formulation(town.instance(), options("volume", seconds=20.0)).objective
        assert most is not None
        town.aim("W-VOLUME", 0.5 * most)
    instance = town.instance()
    best = solve_formulation(instance, options(goal, seconds=20.0)).objective
    result = solved(instance, goal, seconds=0.5)
    assert best is not None
    slack = 1e-6 * max(1.0, abs(best))
    sign = -1.0 if goal == "cost" else 1.0
    assert sign * result.objective <= sign * best + slack
    assert sign * best <= sign * result.bound + slack
    assert goal != "npv" or result.objective >= 0.0  # nothing is always a plan


def test_ample_money_builds_everything_at_once(town: Town) -> None:
    """With money for all in the first year there is nothing to put off (sizes are chosen for a middle year)."""
    phase(town, 1e8)
    best = solve_formulation(town.instance(), options(seconds=20.0)).objective
    result = solved(town.instance())
    assert result.objective == pytest.approx(best, rel=0.01)
    assert set(result.solution.pipes["year"]) == {2022}


def test_scarce_money_spreads_over_the_years(town: Town) -> None:
    """The plant and one user in the first year, the other user later; more than one year would buy."""
    phase(town, 520_000.0, carry_over_share=0.0)
    town.price(8.0)
    result = solved(town.instance())
    years = set(result.solution.connections["year"]) | set(result.solution.pipes["year"])
    assert len(years) > 1


@pytest.mark.parametrize("goal", ["npv", "volume"])
def test_a_network_that_no_model_takes_whole(goal: str, small: Instance) -> None:
    result = solved(small, goal)
    assert result.objective > 0
    assert result.bound >= result.objective
    assert result.solution.connections["year"].nunique() > 1


def test_funding_mixes_are_kept_over_the_years(town: Town) -> None:
    phase(town, 1e8)
    town.add("funding", "a", project_kind="pipe", mix="city", source="municipal", share=1.0)
    town.add("funding", "b", project_kind="pipe", mix="owner", source="owner", share=1.0)
    result = solved(town.instance())
    funding = result.solution.funding
    assert set(funding["kind"]) == {"pipe"}
    assert len(funding) == len(result.solution.pipes)


@pytest.mark.parametrize("late", ["P:lo", "PJ:lo", "A"])
def test_what_is_late_is_built_when_it_may_be_and_the_rest_as_before(late: str, town: Town) -> None:
    phase(town, 1e8)
    before = solved(town.instance(), seconds=0.5)
    town.lock("earliest", late, year=2023)
    town.lock("earliest", "JB", year=2099)  # beyond the plan: never
    result = solved(town.instance(), seconds=0.5)
    exact = solve_formulation(town.instance(), options("npv"))
    assert result.objective <= exact.objective * (1 + 1e-6) + 1.0 <= result.bound * (1 + 1e-6) + 2.0
    assert result.objective < before.objective - 1.0
    tables = run_tables(town.instance(), result.solution)
    name, key = {"P:lo": ("plants", "plant"), "PJ:lo": ("pipes", "corridor"), "A": ("users", "user")}[late]
    own = tables[name][tables[name][key] == late.partition(":")[0]]
    assert len(own) and (own["year"].astype(int) >= 2023).all()
    assert "JB" not in set(tables["pipes"]["corridor"])


@pytest.mark.parametrize("limit", ["list", "year", "clause"])
def test_what_phased_building_cannot_be_combined_with_is_named(limit: str, town: Town) -> None:
    phase(town, 1e8)
    goals = ("npv", "volume") if limit == "list" else ("npv",)
    if limit == "year":
        town.lock("latest", "P", year=2023)
    if limit == "clause":
        town.aim("W-CASCADE", 10.0)
    reason = unsupported_by_fast(town.instance(), options(*goals))
    assert reason is not None and "phased" in reason

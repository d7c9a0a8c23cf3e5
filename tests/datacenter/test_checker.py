"""A plan that is tampered with does not pass."""

from __future__ import annotations

from typing import Any

import pytest

from optimize.datacenter.checker import check
from optimize.datacenter.example import example
from optimize.datacenter.fast import solve_fast
from optimize.datacenter.instance import Instance
from optimize.datacenter.solution import Solution
from optimize.programme import SolveOptions
from tests.datacenter.cases import instance_of


@pytest.fixture(scope="module")
def solved() -> tuple[Instance, Solution]:
    instance = instance_of(example())
    result = solve_fast(instance, SolveOptions(gap=0.0))
    assert result.solution is not None and check(instance, result.solution).passed
    return instance, result.solution


def tampered(solution: Solution, of_kind: str, values: dict[str, Any]) -> Solution:
    """The first project of the kind with cells changed."""
    projects = solution.projects.copy()
    row = projects.index[projects["action"] == of_kind][0]
    for column, value in values.items():
        projects[column] = projects[column].astype(object)
        projects.loc[row, column] = value
    return Solution(projects, solution.payments)


@pytest.mark.parametrize(
    ("action", "values"),
    [
        ("staged", {"year": 2023}),
        ("staged", {"sink": ""}),
        ("staged", {"later_measures": "containment"}),
        ("retrofit", {"year": 2030}),
        ("retrofit", {"year": 2024}),
        ("retrofit", {"measures": "setpoint"}),
        ("retrofit", {"measures": "modular_ups+battery_ups"}),
        ("retrofit", {"measures": "unknown"}),
        ("retrofit", {"mix": "unknown"}),
        ("retrofit", {"capex_cny": 1.0}),
        ("retrofit", {"npv_cny": 1.0}),
        ("retrofit", {"pue_after": 1.0}),
        ("retrofit", {"energy_saved_mwh_per_year": 0.0}),
        ("retrofit", {"centre": "nowhere"}),
        ("retrofit", {"action": "demolish"}),
        ("close", {"host": "nowhere"}),
        ("close", {"measures": "containment"}),
        ("close", {"centre": "A1"}),
        ("close", {"co2_avoided_t_per_year": 0.0}),
        ("offer", {"offer": "nowhere"}),
        ("offer", {"action": "retrofit", "measures": "containment"}),
    ],
)
def test_tampered_project(solved: tuple[Instance, Solution], action: str, values: dict[str, Any]) -> None:
    instance, solution = solved
    assert not check(instance, tampered(solution, action, values)).passed


def test_missing_project_misses_a_target(solved: tuple[Instance, Solution]) -> None:
    instance, solution = solved
    assert not check(instance, Solution(solution.projects.iloc[1:], solution.payments)).passed


def test_two_options_of_one_centre(solved: tuple[Instance, Solution]) -> None:
    instance, solution = solved
    twice = solution.projects.iloc[[0, *range(len(solution.projects))]]
    assert not check(instance, Solution(twice, solution.payments)).passed


def test_payments_must_be_those_of_the_plan(solved: tuple[Instance, Solution]) -> None:
    instance, solution = solved
    shifted = solution.payments.assign(amount_cny=solution.payments["amount_cny"] * 1.01)
    assert not check(instance, Solution(solution.projects, shifted)).passed
    assert not check(instance, Solution(solution.projects, solution.payments.iloc[1:])).passed


def test_money_table_adds_up(solved: tuple[Instance, Solution]) -> None:
    instance, solution = solved
    report = check(instance, solution)
    assert report.money["spent_cny"].sum() == pytest.approx(solution.payments["amount_cny"].sum())
    assert report.money.loc[report.money["source"] == "owner", "budget_cny"].isna().all()

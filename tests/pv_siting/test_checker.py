"""A tampered plan fails its check, and the check names the equation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from optimize.io.validation import data_from_draft
from optimize.programme import SolveOptions
from optimize.pv_siting.checker import check
from optimize.pv_siting.formulation import solve_formulation
from optimize.pv_siting.generator import example
from optimize.pv_siting.instance import Instance, load
from optimize.pv_siting.report import summarise
from optimize.pv_siting.schema import SCHEMA
from optimize.pv_siting.solution import Solution, plan_tables

Tamper = Callable[[Solution], Solution]


@pytest.fixture(scope="module")
def solved() -> tuple[Instance, Solution]:
    instance = load(data_from_draft(SCHEMA, example()))
    solution = solve_formulation(instance, SolveOptions(gap=0.0)).solution
    assert solution is not None
    return instance, solution


def projects(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Tamper:
    return lambda plan: replace(plan, projects=change(plan.projects.copy()).reset_index(drop=True))


def cell(row: int, column: str, value: object) -> Tamper:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        if isinstance(value, float):
            frame[column] = frame[column].astype(float)
        frame.loc[row, column] = value
        return frame

    return projects(change)


def payments(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Tamper:
    return lambda plan: replace(plan, payments=change(plan.payments.copy()).reset_index(drop=True))


def carried(rows: list[tuple[str, int, float]]) -> Tamper:
    """More rows of money kept; nothing else of the plan changes."""
    frame = pd.DataFrame(rows, columns=["source", "year", "amount_cny"])
    return lambda plan: replace(plan, carried_over=pd.concat([plan.carried_over, frame], ignore_index=True))


# What is done to the plan -> the equation that notices.
TAMPERS: dict[str, tuple[Tamper, str]] = {
    "a site twice": (projects(lambda p: pd.concat([p, p.iloc[[0]]])), "P3"),
    "a year moved": (cell(0, "year", 2026), "P5"),
    "a year outside": (cell(0, "year", 2031), "P2"),
    "an unknown site": (cell(0, "site", "nowhere"), "P2"),
    "an unknown configuration": (cell(0, "configuration", "palace"), "P2"),
    "another configuration": (cell(0, "configuration", "roof100"), "P2"),
    "more kW than fit": (cell(1, "kw", 1e4), "P2"),
    "less CAPEX reported": (cell(1, "capex_cny", 1.0), "figure"),
    "more value reported": (cell(1, "npv_cny", 1e9), "figure"),
    "less cost reported": (cell(1, "cost_cny", 1.0), "figure"),
    "more generation reported": (cell(1, "generation_kwh_per_a", 1e9), "figure"),
    "more own use reported": (cell(1, "used_on_site_kwh_per_a", 1e9), "figure"),
    "more CO2 reported": (cell(1, "co2_t_per_a", 1e9), "figure"),
    "a mix that is not open": (cell(1, "mix", "owner_share"), "P5"),
    "a contract no investor takes": (cell(0, "mix", "emc"), "P11"),
    "a payment dropped": (payments(lambda p: p.iloc[1:]), "P5"),
    "a payment moved to another purse": (payments(lambda p: p.assign(source="owner")), "P5"),
    "a payment moved to another year": (payments(lambda p: p.assign(year=2025)), "P5"),
    "money invented": (carried([("East", 2024, 5e6)]), "P5"),
    "money invented in the first of two rows": (carried([("East", 2024, 5e6), ("East", 2024, 0.01)]), "P5"),
    "negative money kept": (carried([("East", 2024, -10.0)]), "P5"),
    "negative money made up for": (carried([("East", 2024, -10.0), ("East", 2024, 10.0)]), "P5"),
    "a locked site dropped": (projects(lambda p: p[p["site"] != "school-1"]), "lock"),
    "hot water dropped": (projects(lambda p: p[~p["configuration"].str.contains("heat")]), "P8"),
    "everything dropped": (projects(lambda p: p.iloc[:0]), "P4"),
    "an offer of another site": (cell(1, "offer", "venue-1-a"), "P2"),
}


def test_plan_passes(solved: tuple[Instance, Solution]) -> None:
    report = check(*solved)
    assert report.passed, report.violations
    assert report.num_rows_checked > 100


@pytest.mark.parametrize("name", TAMPERS)
def test_tampered_plan_fails(name: str, solved: tuple[Instance, Solution]) -> None:
    instance, solution = solved
    tamper, equation = TAMPERS[name]
    report = check(instance, tamper(solution))
    assert equation in {violation.equation for violation in report.violations}


def test_own_configuration_where_offers_are_asked_fails(solved: tuple[Instance, Solution]) -> None:
    instance, solution = solved
    extra = solution.projects.iloc[[0]].assign(site="venue-1")
    tampered = replace(solution, projects=pd.concat([solution.projects, extra], ignore_index=True))
    found = [v for v in check(instance, tampered).violations if v.where == "venue-1"]
    assert any(v.required == "one of the site's offers" for v in found)


def test_tables_and_summary_hold_the_plan(solved: tuple[Instance, Solution]) -> None:
    instance, solution = solved
    tables = plan_tables(instance, solution)
    assert tables["projects"]["kw"].sum() == pytest.approx(solution.projects["kw"].sum())
    for name in ("by_district", "by_type"):
        assert tables[name]["capex_cny"].sum() == pytest.approx(solution.projects["capex_cny"].sum())
    summary = summarise(instance, solution, check(instance, solution))
    assert f"{len(solution.projects)} installations" in summary.build[0]
    assert "kt CO2/a" in summary.effect[0]


def test_money_table_adds_up(solved: tuple[Instance, Solution]) -> None:
    instance, solution = solved
    report = check(instance, solution)
    assert report.money["spent_cny"].sum() == pytest.approx(solution.payments["amount_cny"].sum())
    assert set(report.money.columns) == {"source", "year", "spent_cny", "budget_cny"}

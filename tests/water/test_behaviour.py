"""How plans answer to money, targets, locks and time, and relations between instances."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimize.io.validation import data_from_draft
from optimize.programme import SolveOptions
from optimize.result import StopReason
from optimize.water.checker import check
from optimize.water.data_checks import find_faults, find_warnings
from optimize.water.example import example
from optimize.water.formulation import solve_formulation
from optimize.water.instance import Instance, load
from optimize.water.report import summarise
from optimize.water.schema import SCHEMA
from optimize.water.solution import plan_tables

YEAR = 2022
RELATION = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def years(frame: pd.DataFrame, column: str, name: str) -> list[int]:
    return frame.loc[frame[column] == name, "year"].tolist()


# ------------------------------------------------------------------------------------ example


def test_example_uses_every_table_and_parameter_default_is_sound() -> None:
    draft = example()
    under_way = {"plan_in_force"}  # a template is a plan to come
    assert set(draft.tables) == {table.name for table in SCHEMA.tables} - under_way
    assert all(len(frame) for frame in draft.tables.values())
    data = data_from_draft(SCHEMA, draft)
    assert find_faults(data) == []
    assert find_warnings(data) == []


@pytest.mark.parametrize("goal", [("npv",), ("cost",), ("volume",), ("tn",), ("co2",)])
def test_example_is_solved_for_every_goal(goal: tuple[str, ...]) -> None:
    instance = load(data_from_draft(SCHEMA, example()))
    result = solve_formulation(instance, SolveOptions(goal=goal, gap=1e-3, time_limit_s=30))
    report = check(instance, result.solution)
    assert report.passed, report.violations
    assert report.figures[goal[0]] == pytest.approx(result.objective, rel=1e-6)
    summary = summarise(instance, result.solution, report)
    assert summary.build
    assert summary.effect
    tables = plan_tables(instance, result.solution)
    assert len(tables["pipes"]) == len(result.solution.pipes)
    assert len(tables["users"]) == len(result.solution.connections)


def test_lexicographic_goals(town: Any, solved: Any) -> None:
    most, _ = solved(town.instance(), "volume")
    both, report = solved(town.instance(), "volume", "cost")
    alone, _ = solved(town.instance(), "cost")
    assert report.passed
    assert report.figures["volume"] == pytest.approx(most.objective, rel=1e-6)
    assert both.objective > alone.objective


# ------------------------------------------------------------------------- infeasible and soft


def test_target_beyond_the_money_names_the_ways_out(town: Any, solved: Any) -> None:
    for row in town.rows["budgets"].values():
        row["amount_cny"] = 200_000.0
    town.aim("W-VOLUME", 150_000)
    result, _ = solved(town.instance())
    assert result.stop is StopReason.INFEASIBLE
    assert result.solution is None
    ways = {row.clause: row for way in result.relaxations for row in way.rows if len(way.rows) == 1}
    assert ways["CITY-BUDGET"].where == "municipal all years"
    # 411 m3/d: the module of 600 and PJ in "L" (400 000), JA and JB in "S" (60 000 and 90 000).
    assert ways["CITY-BUDGET"].reachable == pytest.approx(550_000, rel=1e-6)
    assert ways["W-VOLUME"].reachable < 150_000


def test_smallest_relaxation_is_exact(town: Any, solved: Any) -> None:
    town.aim("W-VOLUME", 1_000_000)
    result, _ = solved(town.instance())
    assert result.stop is StopReason.INFEASIBLE
    (row,) = result.relaxations[0].rows
    assert row.clause == "W-VOLUME"
    assert row.reachable == pytest.approx(500 * 365, rel=1e-6)


@pytest.mark.parametrize(
    ("clause", "required"),
    [("W-CASCADE", 5), ("W-PILOT", 1), ("W-ZLD", 1), ("W-UPGRADE", 9), ("W-QUOTA", 1), ("W-TN", 1e9)],
)
def test_targets_without_any_candidate_are_infeasible(
    clause: str, required: float, town: Any, solved: Any
) -> None:
    town.aim(clause, required)
    result, _ = solved(town.instance())
    assert result.stop is StopReason.INFEASIBLE
    assert clause in {row.clause for way in result.relaxations for row in way.rows}


def test_soft_target_pays_its_penalty(town: Any, solved: Any) -> None:
    free, _ = solved(town.instance())
    town.aim("W-VOLUME", 1_000_000, hard=False, penalty_cny_per_unit=0.5)
    result, report = solved(town.instance())
    missing = 1_000_000 - 500 * 365
    assert report.passed
    assert free.objective - result.objective == pytest.approx(0.5 * missing, rel=1e-9)
    (outcome,) = report.clauses
    assert not outcome.met


@pytest.mark.parametrize("price", [1.0, 1e4])
def test_soft_rows_by_table(price: float, town: Any, solved: Any) -> None:
    """A cap by table is bought off when cheap and kept when dear."""
    town.price(0.0)
    town.parameters["water.tn_value_cny_per_kg"] = 0.0
    town.aim("W-CAP", 1e9, hard=False, penalty_cny_per_unit=price)
    town.add("intake_caps", "A", scope="user", id="A", cap_m3_per_a=10_000.0)
    result, report = solved(town.instance())
    outcome = {o.where: o for o in report.clauses}["user A"]
    assert report.passed
    assert outcome.met is (price > 100)
    assert result.objective == pytest.approx(report.figures["npv"], rel=1e-6)


def test_deadline_looks_at_what_stands_by_then(town: Any, solved: Any) -> None:
    town.parameters["water.phased"] = True
    town.rows["budgets"]["m22"]["amount_cny"] = 0.0
    town.aim("W-VOLUME", 1000, deadline_year=YEAR + 1)
    assert solved(town.instance())[1].passed
    town.aim("W-VOLUME", 1000, deadline_year=YEAR)
    assert solved(town.instance())[0].stop is StopReason.INFEASIBLE


# -------------------------------------------------------------------------------------- locks


def test_each_kind_of_lock(town: Any, solved: Any) -> None:
    town.parameters["water.phased"] = True
    town.lock("force_in", "AB")
    town.lock("force_out", "JB")
    town.lock("fix", "P", value="lo:m", year=YEAR + 1)
    town.lock("earliest", "A", year=YEAR + 1)
    town.lock("latest", "PJ", year=YEAR)
    town.lock("together", "JA", other="A")
    result, report = solved(town.instance())
    assert report.passed, report.violations
    plan = result.solution
    assert years(plan.pipes, "corridor", "AB")
    assert not years(plan.pipes, "corridor", "JB")
    assert years(plan.modules, "step", "m") == [YEAR + 1]
    assert years(plan.connections, "user", "A") == [YEAR + 1]
    assert years(plan.pipes, "corridor", "PJ") == [YEAR]
    assert bool(years(plan.pipes, "corridor", "JA")) == bool(years(plan.connections, "user", "A"))


@pytest.mark.parametrize(
    ("kind", "name", "extra"),
    [
        ("force_out", "PJ", {}),
        ("fix", "P", {"value": "none"}),
        ("fix", "A", {"value": "none"}),
        ("force_in", "JB", {}),
        ("not_together", "A", {"other": "B"}),
        ("together", "JA", {"other": "AB"}),
    ],
)
def test_checker_sees_a_broken_lock(kind: str, name: str, extra: Any, town: Any, solved: Any) -> None:
    """The plan made without the lock breaks it."""
    for row in town.rows["corridors"].values():
        row["terrain_factor"] = 1.0
    town.rows["corridors"]["JB"]["terrain_factor"] = 19.0
    result, _ = solved(town.instance())
    if (kind, name) == ("together", "JA"):
        result = replace(result, solution=_without_pipe(result.solution, "AB"))
    town.lock(kind, name, **extra)
    report = check(town.instance(), result.solution)
    assert any("lock" in v.where for v in report.violations)


def _without_pipe(plan: Any, corridor: str) -> Any:
    return replace(plan, pipes=plan.pipes[plan.pipes["corridor"] != corridor].reset_index(drop=True))


def test_user_fixed_to_a_tanker(town: Any, solved: Any) -> None:
    town.rows["users"]["A"].update(tanker_plant="P", tanker_cny_per_m3=2.0)
    town.lock("fix", "A", value="tanker")
    result, report = solved(town.instance())
    assert report.passed
    modes = dict(zip(result.solution.connections["user"], result.solution.connections["mode"], strict=True))
    assert modes["A"] == "tanker"


def test_other_works_can_be_locked(town: Any, solved: Any) -> None:
    town.add("storage_sites", "T", site="T", node="J", quality="lo", volume_m3=100.0, capex_cny=1000.0)
    town.add("cascades", "c", cascade="c", user="A", quality="lo", return_share=0.5, capacity_m3_per_d=9.0)
    town.add("parks", "park", park="park", zld_candidate=True, zld_min_share=0.0, zld_capex_cny=1000.0)
    for name in ("T", "c", "park"):
        town.lock("force_in", name)
    result, report = solved(town.instance())
    assert report.passed
    assert set(result.solution.built["id"]) == {"T", "c", "park"}


# -------------------------------------------------------------------------------------- money


def test_solver_chooses_the_mix_that_fits_the_purses(town: Any, solved: Any) -> None:
    town.add("funding", "a", project_kind="*", mix="city", source="municipal", share=1.0)
    town.add(
        "funding", "b1", project_kind="*", mix="half", source="municipal", share=0.5, ceiling_cny=40_000.0
    )
    town.add("funding", "b2", project_kind="*", mix="half", source="district", share=0.5, takes_rest=True)
    town.rows["budgets"]["m22"]["amount_cny"] = 300_000.0
    town.rows["budgets"]["m23"]["amount_cny"] = 0.0
    town.add("budgets", "d22", source="d", year=YEAR, amount_cny=500_000.0)
    result, report = solved(town.instance())
    assert report.passed, report.violations
    assert len(result.solution.connections) == 2
    assert set(result.solution.funding["mix"]) == {"city", "half"}
    spent = report.money.set_index("source")["spent_cny"]
    assert spent["municipal"] <= 300_000.0
    assert spent["d"] <= 500_000.0
    assert spent.sum() == pytest.approx(report.figures["capex_cny"])


@pytest.mark.parametrize(("share", "works"), [(0.0, False), (0.5, False), (1.0, True)])
def test_carry_over(share: float, works: bool, town: Any, solved: Any) -> None:
    """600 000 are needed in one year for the only useful pipe; 300 000 come each year."""
    town.parameters.update({"water.phased": True, "budgets.carry_over_share": share})
    for row in town.rows["corridors"].values():
        row["fixed_capex_cny"] = 0.0
    town.rows["corridors"]["PJ"].update(length_m=0.0, fixed_capex_cny=500_000.0)
    for name in ("m22", "m23"):
        town.rows["budgets"][name]["amount_cny"] = 300_000.0
    for row in town.rows["modules"].values():
        row["capex_cny"] = 0.0
    result, report = solved(town.instance())
    assert report.passed
    assert (len(result.solution.pipes) > 0) is works
    if works:
        assert years(result.solution.pipes, "corridor", "PJ") == [YEAR + 1]


def test_phases_build_when_money_comes(town: Any, solved: Any) -> None:
    town.parameters["water.phased"] = True
    town.rows["budgets"]["m22"]["amount_cny"] = 480_000.0
    result, report = solved(town.instance())
    assert report.passed
    assert set(result.solution.pipes["year"]) == {YEAR, YEAR + 1}
    assert set(result.solution.deliveries["year"]) == {YEAR, YEAR + 1}
    whole = {**town.parameters, "water.phased": False}
    town.parameters = whole
    together, _ = solved(town.instance())
    assert together.objective > result.objective


# ---------------------------------------------------------------------------------- relations


def _scaled(instance: Instance, factor: float) -> Instance:
    """All money times ``factor``."""
    frames: dict[str, Any] = {}
    for table in SCHEMA.tables:
        frame = getattr(instance, table.name).copy()
        for column in table.columns:
            if "CNY" in column.unit:
                frame[column.name] = frame[column.name] * factor
        frames[table.name] = frame
    p = instance.parameters
    parameters = replace(
        p,
        carbon_cny_per_t=p.carbon_cny_per_t * factor,
        electricity_cny_per_kwh=p.electricity_cny_per_kwh * factor,
        tn_value_cny_per_kg=p.tn_value_cny_per_kg * factor,
    )
    return replace(instance, parameters=parameters, **frames)


@RELATION
@given(factor=st.floats(0.1, 20.0))
def test_money_scaled_scales_the_value(factor: float, town: Any, solved: Any) -> None:
    instance = town.instance()
    assert solved(_scaled(instance, factor))[0].objective == pytest.approx(
        factor * solved(instance)[0].objective, rel=1e-6
    )


@RELATION
@given(data=st.data())
def test_tighter_is_never_better(data: st.DataObject, town: Any, solved: Any) -> None:
    instance = town.instance()
    share = data.draw(st.one_of(st.just(0.0), st.floats(0.001, 1.0)))
    what = data.draw(st.sampled_from(["budgets", "plants", "pipes", "modules"]))
    column = {
        "budgets": "amount_cny", "plants": "effluent_m3_per_d", "pipes": "capacity_m3_per_d",
        "modules": "capacity_m3_per_d",
    }[what]  # fmt: skip
    if what == "budgets":
        share *= 0.005
    frame = getattr(instance, what)
    tighter = replace(instance, **{what: frame.assign(**{column: frame[column] * share})})
    assert solved(tighter)[0].objective <= solved(instance)[0].objective * (1 + 1e-9)


@settings(RELATION, max_examples=2)
@given(seed=st.integers(0, 10_000))
def test_order_of_rows_does_not_matter(seed: int, solved: Any) -> None:
    instance = load(data_from_draft(SCHEMA, example()))
    instance = replace(instance, parameters=replace(instance.parameters, periods=1, peak_day=False))
    rng = np.random.default_rng(seed)
    shuffled = {
        table.name: getattr(instance, table.name).sample(frac=1, random_state=rng).reset_index(drop=True)
        for table in SCHEMA.tables
    }
    result, report = solved(replace(instance, **shuffled))
    assert report.passed
    assert result.objective == pytest.approx(solved(instance)[0].objective, rel=1e-6)


@pytest.mark.parametrize("periods", [4, 12])
def test_even_months_are_one_period(periods: int, town: Any, solved: Any) -> None:
    one = solved(town.instance())[0].objective
    town.parameters["water.periods"] = periods
    assert solved(town.instance())[0].objective == pytest.approx(one, rel=1e-9)


def test_static_head_costs_one_way_only(town: Any, solved: Any) -> None:
    flat = solved(town.instance())[1].figures["running_cost_cny_per_a"]
    town.rows["corridors"]["PJ"]["static_head_m"] = -10.0
    assert solved(town.instance())[1].figures["running_cost_cny_per_a"] == pytest.approx(flat)
    town.rows["corridors"]["PJ"]["static_head_m"] = 10.0
    lift = 10 * 9.80665 / 3600 / 0.72 * 0.70 * 500 * 365
    assert solved(town.instance())[1].figures["running_cost_cny_per_a"] == pytest.approx(flat + lift)


def test_system_with_customers_and_no_works_of_its_own(town: Any, solved: Any) -> None:
    """Its water costs it only the connection; the works are another system's."""
    for row in town.rows["users"].values():
        row["system"] = "downstream"
    town.aim("W-PRICE", 1)
    result, report = solved(town.instance())
    assert report.passed, report.violations
    (outcome,) = report.clauses
    assert outcome.reached == 1.0
    assert len(result.solution.connections) == 2

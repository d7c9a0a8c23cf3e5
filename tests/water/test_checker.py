"""The checker finds every way of tampering with a plan, and recomputes what was planned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from optimize.io.validation import data_from_draft
from optimize.programme import SolveOptions
from optimize.water.checker import check
from optimize.water.example import example
from optimize.water.formulation import solve_formulation
from optimize.water.instance import Instance, load
from optimize.water.report import summarise
from optimize.water.schema import SCHEMA
from optimize.water.solution import Solution, nothing_built, plan_tables


@pytest.fixture(scope="module")
def instance() -> Instance:
    return load(data_from_draft(SCHEMA, example()))


@pytest.fixture(scope="module")
def plan(instance: Instance) -> Solution:
    """A plan that uses pipes, a tanker, pilots, a cascade, storage and several mixes."""
    draft = example()
    locks = pd.DataFrame(
        {"kind": "force_in", "id": ["chip-to-dye", "tank-J3", "chem"], "other": "", "value": "", "year": 0}
    )
    targets = {**draft.targets, "W-CASCADE": {"required": 100}}
    forced = replace(draft, tables={**draft.tables, "locks": locks}, targets=targets)
    result = solve_formulation(load(data_from_draft(SCHEMA, forced)), SolveOptions(gap=1e-3, time_limit_s=60))
    assert result.solution is not None
    return replace(result.solution, reported={"npv": result.objective})


@pytest.fixture(scope="module")
def forced_instance(instance: Instance) -> Instance:
    """The example without its locks: what the plan was made for, seen from the rest of the tables."""
    return replace(instance, locks=instance.locks.iloc[:0])


def changed(frame: pd.DataFrame, column: str, change: Callable[[Any], Any], row: int = 0) -> pd.DataFrame:
    """``frame`` with one cell changed."""
    copy = frame.copy()
    values = copy[column].tolist()
    values[row] = change(values[row])
    copy[column] = values
    return copy


def without(frame: pd.DataFrame, row: int = 0) -> pd.DataFrame:
    return frame.drop(index=frame.index[row]).reset_index(drop=True)


def tamper(frame: str, column: str, change: Callable[[Any], Any]) -> Callable[[Solution], Solution]:
    return lambda plan: replace(plan, **{frame: changed(getattr(plan, frame), column, change)})


def drop(frame: str) -> Callable[[Solution], Solution]:
    return lambda plan: replace(plan, **{frame: without(getattr(plan, frame))})


def twice(frame: str) -> Callable[[Solution], Solution]:
    def call(plan: Solution) -> Solution:
        rows = getattr(plan, frame)
        return replace(plan, **{frame: pd.concat([rows, rows.iloc[:1]], ignore_index=True)})

    return call


def drop_kind(kind: str) -> Callable[[Solution], Solution]:
    return lambda plan: replace(plan, built=plan.built[plan.built["kind"] != kind].reset_index(drop=True))


def false_pilot(plan: Solution) -> Solution:
    more = pd.DataFrame({"kind": ["pilot"], "id": ["north-green"], "year": [2022]})
    built = plan.built[plan.built["id"] != "north-green"]
    connections = plan.connections[plan.connections["user"] != "park-n"]
    deliveries = plan.deliveries[plan.deliveries["demand"] != "park-n-u"]
    return replace(
        plan,
        built=pd.concat([built, more], ignore_index=True),
        connections=connections.reset_index(drop=True),
        deliveries=deliveries.reset_index(drop=True),
    )


def to_tanker(plan: Solution) -> Solution:
    row = plan.connections["user"].tolist().index("cloud")
    return replace(plan, connections=changed(plan.connections, "mode", lambda _: "tanker", row))


def refuse_unlisted(plan: Solution) -> Solution:
    return replace(plan, refusals=pd.DataFrame({"user": ["wash"], "year": [2022]}))


def refuse_connected(plan: Solution) -> Solution:
    return replace(plan, refusals=pd.DataFrame({"user": ["steel"], "year": [2022]}))


def wrong_quality(plan: Solution) -> Solution:
    row = plan.deliveries["demand"].tolist().index("steel-c")
    return replace(plan, deliveries=changed(plan.deliveries, "quality", lambda _: "urban", row))


def less_than_least(plan: Solution) -> Solution:
    row = plan.deliveries["demand"].tolist().index("cloud-c")
    return replace(plan, deliveries=changed(plan.deliveries, "delivered_m3_per_d", lambda v: 0.5 * v, row))


def other_size(plan: Solution) -> Solution:
    row = plan.modules["step"].tolist().index("large")
    return replace(plan, modules=changed(plan.modules, "step", lambda _: "small", row))


MUTATIONS: dict[str, Callable[[Solution], Solution]] = {
    "a pipe is not built": drop("pipes"),
    "a pipe is thinner": tamper("pipes", "diameter", lambda d: "DN150" if d != "DN150" else "DN300"),
    "a pipe of another quality": tamper("pipes", "quality", lambda q: "urban" if q != "urban" else "pure"),
    "a pipe twice": twice("pipes"),
    "a pipe nowhere": tamper("pipes", "corridor", lambda _: "C99"),
    "a pipe before its time": tamper("pipes", "year", lambda y: y - 1),
    "a module is not built": drop("modules"),
    "a smaller module": other_size,
    "a user is not connected": drop("connections"),
    "a user served by a tanker that has none": to_tanker,
    "a user connected twice": twice("connections"),
    "a flow is larger": tamper("flows", "flow_m3_per_d", lambda v: 1.001 * v),
    "a flow runs backwards": tamper("flows", "flow_m3_per_d", lambda v: -v),
    "a flow is missing": drop("flows"),
    "a flow twice": twice("flows"),
    "a flow in a period that is none": tamper("flows", "period", lambda _: 77),
    "a flow that is no number": tamper("flows", "flow_m3_per_d", lambda _: float("nan")),
    "more product": tamper("production", "product_m3_per_d", lambda v: v + 1.0),
    "a delivery is missing": drop("deliveries"),
    "a delivery is larger": tamper("deliveries", "delivered_m3_per_d", lambda v: v + 1.0),
    "a delivery below the least take": less_than_least,
    "a quality that is not accepted": wrong_quality,
    "cascade works not built": drop_kind("cascade"),
    "a tank not built": drop_kind("storage"),
    "zero discharge left out": drop_kind("zld"),
    "pilots left out": drop_kind("pilot"),
    "a pilot without users": false_pilot,
    "reuse is larger": tamper("reuse", "flow_m3_per_d", lambda v: v + 1.0),
    "stored water from nowhere": tamper("storage", "outflow_m3_per_d", lambda v: v + 1.0),
    "a level too high": tamper("storage", "level_m3", lambda v: v + 1e4),
    "no mix": drop("funding"),
    "an unknown mix": tamper("funding", "mix", lambda _: "magic"),
    "two mixes": twice("funding"),
    "growth refused to a user not listed": refuse_unlisted,
    "growth refused to a connected user": refuse_connected,
    "a figure that is not true": lambda plan: replace(plan, reported={"npv": 1.001 * plan.reported["npv"]}),
}


def test_untouched_plan_passes(forced_instance: Instance, plan: Solution) -> None:
    report = check(forced_instance, plan)
    assert report.passed, report.violations
    assert report.num_rows_checked > 500
    assert set(report.figures) >= {"npv", "cost", "volume", "tn", "co2"}
    assert {o.target.id for o in report.clauses} == set(forced_instance.targets)
    for frame in ("pipes", "modules", "connections", "built", "funding", "flows", "reuse", "storage"):
        assert len(getattr(plan, frame)) > 0, frame


@pytest.mark.parametrize("what", MUTATIONS)
def test_tampered_plan_fails(what: str, forced_instance: Instance, plan: Solution) -> None:
    assert not check(forced_instance, MUTATIONS[what](plan)).passed


def test_money_by_source_and_year(forced_instance: Instance, plan: Solution) -> None:
    report = check(forced_instance, plan)
    assert list(report.money.columns) == ["source", "year", "spent_cny", "budget_cny"]
    assert report.money["spent_cny"].sum() == pytest.approx(report.figures["capex_cny"])
    limited = report.money.dropna(subset="budget_cny")
    assert (limited["spent_cny"] <= limited["budget_cny"] * (1 + 1e-9)).all()


def test_npv_by_hand(town: Any, solved: Any) -> None:
    """One user, one pipe: every term worked out on paper."""
    del town.rows["users"]["B"], town.rows["user_demands"]["b"]
    del town.rows["corridors"]["JB"], town.rows["corridors"]["AB"], town.rows["modules"]["P-hi-m"]
    town.rows["user_demands"]["a"].update(alternative_kwh_per_m3=0.5, user_opex_cny_per_m3=0.1)
    result, report = solved(town.instance())
    volume = 300 * 365
    annuity = (1 - 1.06**-20) / 0.06
    pumping_kwh = 0.010 * 0.7
    running = 0.5 + 0.1 + 0.7 * pumping_kwh
    co2_kg = 0.42 * (0.5 - pumping_kwh)
    tn_kg = 10 / 1000 * 0.9
    yearly = volume * (5.0 - running + 20.0 * tn_kg + 0.055 * co2_kg)
    pipe = 700 * 500.0
    connection = 20_000.0
    module_life, pipe_life = (1 - 1.06**-20) / 0.06, (1 - 1.06**-40) / 0.06
    works = (100_000 / module_life + pipe / pipe_life + connection / module_life) * annuity
    upkeep = 0.01 * (pipe + connection) * annuity
    assert report.passed
    assert result.objective == pytest.approx(yearly * annuity - works - upkeep, rel=1e-9)
    assert report.figures["volume"] == pytest.approx(volume)
    assert report.figures["tn"] == pytest.approx(volume * tn_kg)
    assert report.figures["co2"] == pytest.approx(volume * co2_kg / 1000)


def test_nothing_built_is_a_plan_worth_nothing(town: Any) -> None:
    instance = town.instance()
    report = check(instance, nothing_built())
    assert report.passed, report.violations
    assert report.figures["npv"] == 0.0
    assert report.figures["volume"] == 0.0
    assert summarise(instance, nothing_built(), report).build
    assert all(frame.empty for frame in plan_tables(instance, nothing_built()).values())


def test_nothing_built_misses_a_target(town: Any) -> None:
    town.aim("W-VOLUME", 1)
    assert [v.equation for v in check(town.instance(), nothing_built()).violations] == ["W-VOLUME"]

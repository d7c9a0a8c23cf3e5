"""A joint plan is revised: contracts stand and are paid, changes of all programmes are counted and limited."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from optimize.city.checker import check_city
from optimize.city.contracts import contracts_cny, granted, over_years, split_after_contracts
from optimize.city.instance import DATACENTER, PV_SITING, WATER, City, derive_city
from optimize.city.plan import CityPlan
from optimize.city.solve import solve_city
from optimize.clauses import CLAUSES, REVISE, ClauseTarget
from optimize.milp import FloatArray
from optimize.programme import SolveOptions
from optimize.result import StopReason
from optimize.water.checker_revision import projects_of
from tests.city.cities import example, with_tables

EXACT = SolveOptions(gap=0.0, time_limit_s=60)


def best_plan(city: City, *goal: str) -> tuple[CityPlan, dict[str, float]]:
    """The best joint plan, checked, and its figures."""
    joint = solve_city(city, replace(EXACT, goal=goal or ("npv",))).result
    assert joint.plan is not None
    report = check_city(city, joint.plan).report
    assert report.passed, report.violations
    assert report.figures[(goal or ("npv",))[-1]] == pytest.approx(joint.objective, rel=1e-6, abs=1e-6)
    return joint.plan, dict(report.figures)


def two_programmes(
    plans: dict[str, pd.DataFrame] | None = None, scale: float = 1.0, **revise: float | bool
) -> City:
    """Data centres and PV of the example with ``plans`` in force."""
    return revised_city((DATACENTER, PV_SITING), plans, scale, **revise)


def revised_city(
    names: tuple[str, ...], plans: dict[str, pd.DataFrame] | None, scale: float, **revise: float | bool
) -> City:
    """Some programmes of the example with ``plans`` in force."""
    parts, own = example()
    revised = [
        replace(part, data=with_tables(part.data, **_tables_of(part.data.tables, plans, part.programme.name)))
        for part in parts
        if part.programme.name in names
    ]
    target = ClauseTarget(CLAUSES[REVISE], **revise) if revise else None  # type: ignore[arg-type]
    own = replace(
        own,
        targets={} if target is None else {REVISE: target},
        parameters={**own.parameters, "budgets.scale": scale},
    )
    return derive_city(tuple(revised), own)


def _tables_of(
    tables: dict[str, pd.DataFrame], plans: dict[str, pd.DataFrame] | None, name: str
) -> dict[str, pd.DataFrame]:
    if plans is None:
        return {}
    empty = tables["plan_in_force"]
    return {"plan_in_force": plans[name].reindex(columns=empty.columns)}


def in_force(city: City, plan: CityPlan, contracted: int) -> dict[str, pd.DataFrame]:
    """The plan's projects as plans in force, the first ones of each programme contracted."""
    found = {}
    for name in city.names:
        solution = plan.solutions[name]
        projects = projects_of(solution).assign(mix="") if name == WATER else solution.projects.copy()
        projects["state"] = np.where(np.arange(len(projects)) < contracted, "contracted", "proposed")
        found[name] = projects.assign(actual_capex_cny=np.nan, cancellation_cost_cny=0.0)
    return found


@pytest.fixture(scope="module")
def before() -> tuple[City, CityPlan, dict[str, float]]:
    city = two_programmes()
    return city, *best_plan(city)


def test_plan_that_may_stay_is_no_change(before: tuple[City, CityPlan, dict[str, float]]) -> None:
    city, plan, figures = before
    revised = two_programmes(in_force(city, plan, 1), required=0.0)
    now = best_plan(revised)[1]
    assert now["changes"] == 0.0 and now["npv"] == pytest.approx(figures["npv"], rel=1e-6)


def test_changes_of_all_programmes_are_limited_together(
    before: tuple[City, CityPlan, dict[str, float]],
) -> None:
    """The plan in force is best for the climate: what is worth more is worth less with fewer changes."""
    city = before[0]
    plans = in_force(city, best_plan(city, "co2")[0], 0)
    free = best_plan(two_programmes(plans))[1]
    assert best_plan(two_programmes(plans), "changes")[1]["changes"] == 0.0 < free["changes"] - 1.0
    limited = best_plan(two_programmes(plans, required=1.0))[1]
    assert limited["changes"] == 1.0 and limited["npv"] < free["npv"] - 1.0
    soft = two_programmes(plans, required=0.0, hard=False, penalty_cny_per_unit=0.01)
    assert best_plan(soft)[1]["npv"] == pytest.approx(free["npv"] - 0.01 * free["changes"], abs=1e-3)


def test_too_few_changes_are_a_way_out(before: tuple[City, CityPlan, dict[str, float]]) -> None:
    """Less than half the money: some projects have to go."""
    plans = in_force(*before[:2], 0)
    found = solve_city(two_programmes(plans, scale=0.4, required=0.0), EXACT).result
    assert found.stop is StopReason.INFEASIBLE
    assert REVISE in {row.clause for way in found.relaxations for row in way.rows}


def test_contracts_are_paid_whatever_the_pool(before: tuple[City, CityPlan, dict[str, float]]) -> None:
    city, plan, _ = before
    plans = in_force(city, plan, 2)
    poor = two_programmes(plans, scale=0.0)
    again, _ = best_plan(poor)
    for name, key in ((DATACENTER, "centre"), (PV_SITING, "site")):
        contracted = plans[name].loc[plans[name]["state"] == "contracted", key]
        assert set(contracted) <= set(again.solutions[name].projects[key])
    due = sum(contracts_cny(part, poor.sources, poor.years) for part in poor.parts)
    assert poor.pool_cny == pytest.approx(due) and due.sum() > 0


def test_reclaimed_water_is_revised_with_the_others() -> None:
    """Its contracts are paid whatever the pool, of all years at once; its changes count with all others'."""
    names = (WATER, PV_SITING)
    city = revised_city(names, None, 1.0)
    plan, figures = best_plan(city)
    plans = in_force(city, plan, 2)
    now = best_plan(revised_city(names, plans, 1.0, required=0.0))[1]
    assert now["changes"] == 0.0 and now["npv"] == pytest.approx(figures["npv"], rel=1e-6)
    poor = revised_city(names, plans, 0.0)
    due = contracts_cny(poor.part(WATER), poor.sources, poor.years)
    water = poor.names.index(WATER)
    assert due[:, 1:].sum() == 0.0 < due.sum() == pytest.approx(poor.today_cny[water].sum())
    again, revised = best_plan(poor)
    contracted = plans[WATER].loc[plans[WATER]["state"] == "contracted", "project"]
    assert set(contracted) <= set(projects_of(again.solutions[WATER])["project"])
    assert revised["changes"] > 0.0
    limited = revised_city(names, plans, 0.7, required=2.0)
    rough = SolveOptions(gap=0.1, time_limit_s=30)
    asked = solve_city(limited, rough, exact_lanes=0, monolith_up_to=0).result
    assert asked.network == "relaxed" and asked.plan is not None  # one of the plans the network is asked for
    assert check_city(limited, asked.plan).report.figures["changes"] <= 2.0


def test_what_is_due_at_once_is_spread_as_there_is_room() -> None:
    room = np.array([[1.0, 3.0], [0.0, 0.0]])
    assert over_years(np.array([8.0, 2.0]), room) == pytest.approx(np.array([[2.0, 6.0], [1.0, 1.0]]))


def brute_most_kept(budget: FloatArray, due: FloatArray, share: float) -> bool:
    """Whether contracts alone can be paid year by year, everything else kept."""
    kept = 0.0
    for have, need in zip(budget, due, strict=True):
        if need > have + kept + 1e-9:
            return False
        kept = share * (have + kept - need)
    return True


def test_no_more_is_granted_than_contracts_lack() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        budget, due = rng.uniform(0, 10, (1, 4)).round(), rng.uniform(0, 12, (1, 4)).round()
        share = float(rng.choice([0.0, 0.5, 1.0]))
        enough = granted(budget, due, share)
        assert brute_most_kept(enough[0], due[0], share)
        for t in np.flatnonzero(enough[0] > budget[0]):
            less = enough[0].copy()
            less[t] -= 0.01
            assert not brute_most_kept(less, due[0], share)


def test_pool_is_split_after_contracts() -> None:
    own = np.array([[[1.0, 0.0]], [[3.0, 0.0]]])
    contracts = np.array([[[2.0, 1.0]], [[0.0, 0.0]]])
    split = split_after_contracts(np.array([[10.0, 4.0]]), own, contracts)
    assert split == pytest.approx(np.array([[[2 + 8 / 4, 1 + 3 / 2]], [[6.0, 3 / 2]]]))

"""Goals and rows of the fast path beside the plain net present value: formulation = fast <= bound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from optimize.clauses import CLAUSES, ClauseTarget
from optimize.engine.stopping import Watch
from optimize.io.validation import data_from_draft
from optimize.programme import SolveOptions
from optimize.water.checker import check
from optimize.water.coefficients import derive_coefficients
from optimize.water.fast import solve_fast, unsupported_by_fast
from optimize.water.fast_bound import WaterBound
from optimize.water.fast_integral import integral_bound
from optimize.water.fast_layout import Part
from optimize.water.fast_locks import locked_decisions
from optimize.water.fast_model import build_flow_model
from optimize.water.formulation import solve_formulation
from optimize.water.generator import generate
from optimize.water.instance import Instance, load
from optimize.water.schema import SCHEMA
from tests.water.random_towns import random_town

GOALS = ("npv", "cost", "volume", "tn", "co2")


@pytest.fixture(scope="module")
def small() -> Instance:
    return load(data_from_draft(SCHEMA, generate("s", 1)))


def options(*goal: str, seconds: float = 20.0, gap: float = 0.0) -> SolveOptions:
    return SolveOptions(goal=goal or ("npv",), gap=gap, time_limit_s=seconds)


def no_better(bound: float | None, best: float, goal: str) -> bool:
    """Whether the bound lies on the right side of the best value."""
    assert bound is not None
    slack = 1e-6 * max(1.0, abs(best))
    return bound <= best + slack if goal == "cost" else bound >= best - slack


def agree(instance: Instance, *goal: str) -> tuple[float, Any]:
    """Formulation and fast path end with the same value, which the bounds hold; returns it and the plan."""
    assert unsupported_by_fast(instance, options(*goal)) is None
    plain, fast = solve_formulation(instance, options(*goal)), solve_fast(instance, options(*goal))
    assert plain.objective is not None
    assert fast.objective == pytest.approx(plain.objective, rel=1e-6, abs=1.0)
    assert no_better(fast.bound, plain.objective, fast.goal[-1])
    report = check(instance, fast.solution)
    assert report.passed, report.violations
    assert report.figures[fast.goal[-1]] == pytest.approx(fast.objective, rel=1e-6, abs=1e-3)
    return plain.objective, fast.solution


def half_of_what_is_possible(town: Any) -> float:
    """A yearly volume the town can certainly reach, m3/a."""
    most = solve_formulation(town.instance(), options("volume")).objective
    assert most is not None
    return 0.5 * most


@pytest.mark.parametrize("goal", [("tn",), ("co2",), ("npv", "volume"), ("volume", "npv")])
@pytest.mark.parametrize("seed", [1])
def test_effects_and_lists_of_goals_agree_with_the_formulation(
    seed: int, goal: tuple[str, ...], town: Any
) -> None:
    random_town(town, seed)
    agree(town.instance(), *goal)


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("seed", [1])
def test_both_relaxations_bound_every_goal(seed: int, goal: str, town: Any) -> None:
    random_town(town, seed)
    if goal == "cost":
        town.aim("W-VOLUME", half_of_what_is_possible(town))
    instance = town.instance()
    best = solve_formulation(instance, options(goal)).objective
    assert best is not None
    sign = -1.0 if goal == "cost" else 1.0
    c = derive_coefficients(instance)
    bound = WaterBound(instance, c, locked_decisions(instance, c), goal)
    watch = Watch(options(), maximise=True)
    linear = bound.start(watch)
    assert linear is not None and no_better(sign * linear, best, goal)
    first = bound.improve(watch, sign * best, 1)
    last = bound.improve(watch, sign * best, 300)
    assert first is not None and last is not None and first >= last
    assert no_better(sign * last, best, goal)
    integral = integral_bound(instance, c, goal, (), Watch(options(), maximise=True))
    assert integral is not None and integral <= linear + 1e-6 * max(1.0, abs(linear))
    assert no_better(sign * integral, best, goal)


def single_feed(town: Any) -> None:
    for row in town.rows["users"].values():
        row["single_feed"] = True
    for row in town.rows["user_demands"].values():
        row["alternative_cny_per_m3"] = 6.0


def second_plant(town: Any) -> None:
    town.rows["plants"]["R"] = {**town.rows["plants"]["P"], "plant": "R"}
    town.rows["treatment"]["R-lo"] = {**town.rows["treatment"]["P-lo"], "plant": "R"}
    town.rows["modules"]["R-lo-s"] = {**town.rows["modules"]["P-lo-s"], "plant": "R"}
    town.rows["corridors"]["RB"] = {**town.rows["corridors"]["JB"], "corridor": "RB", "from_node": "R"}


def two_plants_exactly(town: Any) -> None:
    second_plant(town)
    town.parameters["water.num_plants_exact"] = 2


def one_plant_exactly(town: Any) -> None:
    second_plant(town)
    town.price(8.0)
    town.parameters["water.num_plants_exact"] = 1


def users_apart(town: Any) -> None:
    town.price(8.0)
    town.lock("not_together", "A", other="B")


def user_only_with_corridor(town: Any) -> None:
    town.price(8.0)
    town.lock("together", "A", other="JB")


def plants_together(town: Any) -> None:
    second_plant(town)
    town.price(3.0)
    town.lock("together", "P", other="R")


def corridor_forced_in(town: Any) -> None:
    town.lock("force_in", "AB")


def a_system_may_lose(town: Any) -> None:
    town.price(3.0)
    town.aim("W-PRICE", 1.0)


def losing_costs_a_penalty(town: Any) -> None:
    town.price(3.0)
    town.aim("W-PRICE", 0.0, hard=False, penalty_cny_per_unit=200_000.0)


@pytest.mark.parametrize(
    "change",
    [
        single_feed, two_plants_exactly, one_plant_exactly, users_apart, user_only_with_corridor,
        plants_together, corridor_forced_in, a_system_may_lose, losing_costs_a_penalty,
    ],
)  # fmt: skip
@pytest.mark.parametrize("seed", [11])
def test_rows_agree_with_the_formulation(seed: int, change: Any, town: Any) -> None:
    random_town(town, seed)
    town.rows["budgets"]["m22"]["amount_cny"] = 1e7
    change(town)
    agree(town.instance())


@pytest.mark.parametrize("goal", [("cost",), ("volume",), ("volume", "npv"), ("tn",)])
def test_goals_on_a_network_that_no_model_takes_whole(goal: tuple[str, ...], small: Instance) -> None:
    asked = with_target(small, "W-VOLUME", 4e6) if goal == ("cost",) else small
    result = solve_fast(asked, options(*goal, seconds=1.2))
    assert result.solution is not None
    report = check(asked, result.solution)
    assert report.passed, report.violations[:5]
    assert result.objective is not None and no_better(result.bound, result.objective, goal[-1])


def test_opposite_flows_that_a_goal_does_not_mind_are_cancelled(small: Instance) -> None:
    c = derive_coefficients(small)
    model = build_flow_model(small, c, Part.whole(c))
    x = np.zeros(model.milp.num_columns)
    x[model.flow[0, 0]], x[model.flow[1, 0]] = 5.0, 2.0
    y = model.without_counterflows(x)
    assert (y[model.flow[0, 0]] == 3.0).all() and (y[model.flow[1, 0]] == 0.0).all()
    assert model.goal_cost["npv"] @ y > model.goal_cost["npv"] @ x


def with_target(instance: Instance, clause: str, required: float) -> Instance:
    return replace(instance, targets={**instance.targets, clause: ClauseTarget(CLAUSES[clause], required)})


@pytest.mark.parametrize(("count", "kind"), [(2, "exact"), (4, "exact"), (0, "feeds"), (0, "pairs")])
def test_rows_on_a_network_that_no_model_takes_whole(count: int, kind: str, small: Instance) -> None:
    changed = small
    if kind == "exact":
        changed = replace(small, parameters=replace(small.parameters, num_plants_exact=count))
    if kind == "feeds":
        changed = replace(small, users=small.users.assign(single_feed=True))
    if kind == "pairs":
        names = list(small.users["user"])
        locks = small.locks.reindex(range(8))
        locks["kind"] = ["together", "not_together"] * 4
        locks["id"], locks["other"] = names[:8], names[8:16]
        locks[["value", "note"]] = ""
        locks["year"] = 0
        changed = replace(small, locks=locks)
    result = solve_fast(changed, options(seconds=1.2))
    assert result.solution is not None
    report = check(changed, result.solution)
    assert report.passed, report.violations[:5]
    assert result.objective is not None
    assert np.isfinite(result.objective) and no_better(result.bound, result.objective, "npv")

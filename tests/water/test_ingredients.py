"""Every ingredient of the fast path can be left out: its step is not taken, and what is found and proven still holds."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from optimize.engine import network_bound, network_design
from optimize.engine.network_bound import LagrangianBound
from optimize.engine.network_design import DesignSearch
from optimize.errors import UsageError
from optimize.programme import SolveOptions
from optimize.water import fast, fast_bound, fast_rounds, fast_steps
from optimize.water.checker import check
from optimize.water.fast import solve_fast
from optimize.water.fast_bound import WaterBound
from optimize.water.fast_ingredients import ALL, INGREDIENTS, Ingredients
from optimize.water.fast_neighbourhoods import Neighbourhoods
from optimize.water.formulation import solve_formulation
from tests.water.conftest import make_town
from tests.water.test_bound import two_plants_by_season

LIMIT_S = 20.0  # never needed: searches and bounds end by their number of rounds


@dataclass(frozen=True)
class Step:
    """Where an ingredient is seen at work: a call of ``owner.name``, of which ``shows`` looks at the arguments."""

    owner: Any
    name: str
    shows: Callable[..., bool] = lambda *_, **__: True


STEPS = {
    "reductions": Step(fast, "reduce_network"),
    "one_commodity": Step(fast, "solve_as_network"),
    "linear": Step(fast_bound, "solve_lp"),
    "lagrangian": Step(WaterBound, "_begin_lagrangian"),
    "origins": Step(
        LagrangianBound, "_value", lambda bound, x, _: bool(x[:, bound.multipliers.origins.place :].any())
    ),
    "widening": Step(
        fast_bound, "BoundSettings", lambda **keys: keys["most_multipliers"] < fast_bound.MOST_MULTIPLIERS
    ),
    "seasons": Step(WaterBound, "_refine"),
    "one_way": Step(fast_bound, "SeasonalNetwork", lambda **arrays: arrays["one_way"]),
    "integral": Step(fast_rounds, "integral_bound"),
    "starts": Step(DesignSearch, "_design_at", lambda _, price, boldness, *__: boldness == 0.6),
    "search": Step(DesignSearch, "improve_in_rounds"),
    "trunks": Step(network_design, "cumulated_shares", lambda settings, **_: settings.trunks),
    "episodes": Step(DesignSearch, "_rank_customers"),
    "forced": Step(network_design, "cumulated_shares", lambda settings, **_: settings.forced),
    "scouts": Step(DesignSearch, "improve_in_rounds", lambda _, watch, iterations, scouts: scouts > 0),
    "restarts": Step(fast_rounds, "search_anew"),
    "neighbourhoods": Step(Neighbourhoods, "advance"),
    "near_model": Step(fast_steps, "_solve_near"),
    "trim": Step(fast_steps, "trim"),
}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The ingredients seen at work, in a fast path that treats a tiny town as a large one."""
    monkeypatch.setattr(fast, "SMALL_LANE_PERIODS", 0)
    monkeypatch.setattr(fast_steps, "WHOLE_MODEL_LANES", 0)
    monkeypatch.setattr(fast_steps, "MOST_ITERATIONS", 250)
    monkeypatch.setattr(fast_rounds, "PATIENCE", 1)
    monkeypatch.setattr(fast_rounds, "STILL_ITERATIONS", 150)
    for module in (network_bound, network_design):  # they try their kernels on networks of their own
        module.compile_kernels()
        monkeypatch.setattr(module, "compile_kernels", lambda: None)
    names: set[str] = set()
    for name, step in STEPS.items():
        monkeypatch.setattr(step.owner, step.name, _watched(name, step, names))
    return names


def _watched(ingredient: str, step: Step, names: set[str]) -> Callable[..., Any]:
    function = getattr(step.owner, step.name)

    @functools.wraps(function)
    def call(*arguments: Any, **keys: Any) -> Any:
        if step.shows(*arguments, **keys):
            names.add(ingredient)
        return function(*arguments, **keys)

    return call


@pytest.fixture(scope="module")
def best() -> float:
    value = solve_formulation(two_plants_by_season(make_town(), 4), SolveOptions(gap=0.0)).objective
    assert value is not None
    return value


def test_every_ingredient_is_at_work_in_a_plain_solve(seen: set[str], town: Any, best: float) -> None:
    assert set(STEPS) == set(INGREDIENTS)
    solve_fast(two_plants_by_season(town, 4), SolveOptions(gap=0.0, time_limit_s=LIMIT_S))
    assert seen == set(INGREDIENTS)


@pytest.mark.parametrize("left_out", INGREDIENTS)
def test_without_any_one_bounds_bound_and_plans_hold(
    left_out: str, seen: set[str], town: Any, best: float
) -> None:
    instance = two_plants_by_season(town, 4)
    options = SolveOptions(gap=0.0, time_limit_s=LIMIT_S, without=(left_out,))
    result = solve_fast(instance, options)
    assert left_out not in seen
    assert result.objective is not None and result.bound is not None
    assert result.objective <= best + 1e-6 * abs(best)
    assert result.bound >= best - 1e-6 * abs(best)
    assert check(instance, result.solution).passed
    if result.certificate is not None:
        assert result.bound <= result.certificate.bound


@pytest.mark.parametrize("goal", ["npv", "volume", "cost"])
def test_with_nothing_left_plans_and_bounds_still_hold(goal: str, town: Any) -> None:
    town.aim("W-VOLUME", 20_000.0, hard=True)
    instance = two_plants_by_season(town, 4)
    best = solve_formulation(instance, SolveOptions(goal=(goal,), gap=0.0)).objective
    result = solve_fast(
        instance, SolveOptions(goal=(goal,), time_limit_s=LIMIT_S, without=tuple(INGREDIENTS))
    )
    assert best is not None and result.objective is not None and result.bound is not None
    room = 1e-6 * abs(best)
    low, high = (result.objective, result.bound)[:: 1 if result.maximise else -1]
    assert low <= best + room and best - room <= high
    assert check(instance, result.solution).passed


def test_options_say_what_is_left_out() -> None:
    assert Ingredients.of(SolveOptions()) == ALL
    assert Ingredients.of(SolveOptions(without=("trim", "seasons"))) == Ingredients(trim=False, seasons=False)
    with pytest.raises(UsageError, match=r"luck.*one_commodity, linear"):
        Ingredients.of(SolveOptions(without=("trim", "luck")))

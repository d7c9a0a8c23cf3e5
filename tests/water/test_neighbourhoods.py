"""Neighbourhoods of a plan: how far they get, and what they leave alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from optimize.engine.highs import solve_milp
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions
from optimize.water import fast_neighbourhoods
from optimize.water.checker import check
from optimize.water.coefficients import derive_coefficients
from optimize.water.fast_layout import Part
from optimize.water.fast_locks import locked_decisions
from optimize.water.fast_neighbourhoods import Neighbourhoods
from optimize.water.fast_steps import Solve
from optimize.water.formulation import solve_formulation
from optimize.water.instance import Instance
from tests.water.conftest import make_town
from tests.water.test_bound import two_plants_by_season


def solve_of(instance: Instance, **options: Any) -> Solve:
    c = derive_coefficients(instance)
    watch = Watch(SolveOptions(gap=0.0, time_limit_s=60.0, **options), True)
    return Solve(instance, c, locked_decisions(instance, c), ("npv",), (), watch)


def hold_nothing(solve: Solve) -> None:
    """The plan that builds nothing."""
    nothing = Part(*(np.zeros_like(may) for may in vars(Part.whole(solve.c)).values()))
    model = solve.model_of(nothing)
    assert solve.keep(model, solve_milp(model.milp, solve.watch.child()).x)


def run_to_the_end(neighbourhoods: Neighbourhoods) -> None:
    for _ in range(200):
        if not neighbourhoods.alive(60.0):
            return
        neighbourhoods.advance(60.0)
    raise AssertionError("neighbourhoods did not end")


@pytest.mark.parametrize("seed", range(6))
def test_from_nothing_to_the_best_plan(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last neighbourhood is the whole town."""
    monkeypatch.setattr(fast_neighbourhoods, "FIRST_CORRIDORS", 1)
    instance = two_plants_by_season(make_town(), seed)
    solve = solve_of(instance)
    hold_nothing(solve)
    run_to_the_end(Neighbourhoods(solve))
    assert solve.model is not None and solve.x is not None
    assert check(instance, solve.model.solution(instance, solve.x)).passed
    best = solve_formulation(instance, SolveOptions(gap=0.0)).objective
    assert best is not None
    assert solve.value == pytest.approx(best, rel=1e-6)


def test_far_away_the_plan_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no lane free to go and one corridor open, every pipe elsewhere is there still."""
    for name in ("MOST_FREE_LANES", "FEWEST_CORRIDORS"):
        monkeypatch.setattr(fast_neighbourhoods, name, 0)
    monkeypatch.setattr(fast_neighbourhoods, "FIRST_CORRIDORS", 1)
    town = make_town()
    two_plants_by_season(town, 2)
    town.rows["budgets"]["m22"]["amount_cny"] = 1e8  # enough for a dry pipe, too
    solve = solve_of(town.instance())
    model = solve.model_of(Part.whole(solve.c))
    best = solve_milp(model.milp, solve.watch.child()).x
    assert best is not None
    works = model.works(best)
    laid = np.flatnonzero(works.pipe.any(axis=(1, 2)))
    dry = next(k for k, at in enumerate(model.pipe_at) if not works.pipe[at[0]].any())
    wasteful = best.copy()
    wasteful[model.pipe[dry]] = 1.0  # a dry pipe that any model free to leave it out would leave out
    assert model.milp.violation(wasteful) < 1e-9
    solve.keep(model, wasteful)
    neighbourhoods = Neighbourhoods(solve)
    far = int(solve.c.corridor_from[laid[0]])
    monkeypatch.setattr(neighbourhoods, "_centre", lambda: far)
    monkeypatch.setattr(neighbourhoods, "_km_from", lambda _: np.arange(solve.c.shape["E"]) * 1.0)
    neighbourhoods.advance(60.0)
    assert solve.model is not None and solve.x is not None
    kept = solve.model.works(solve.x).pipe[model.pipe_at[dry][0]].any()
    assert kept == (model.pipe_at[dry][0] != 0)


def test_where_far_flows_stay_the_plan_holds_and_gets_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than one corridor and what hangs on it at a time."""
    for name, value in (("MOST_FREE_FLOWS", 0), ("MOST_FREE_LANES", 1), ("FIRST_CORRIDORS", 2)):
        monkeypatch.setattr(fast_neighbourhoods, name, value)
    monkeypatch.setattr(fast_neighbourhoods, "WIDER", 1.0)
    better = 0
    for seed in range(6):
        instance = two_plants_by_season(make_town(), seed)
        solve = solve_of(instance)
        hold_nothing(solve)
        nothing, neighbourhoods = solve.value, Neighbourhoods(solve)
        for _ in range(20):
            neighbourhoods.advance(60.0)
        assert solve.model is not None and solve.x is not None
        assert check(instance, solve.model.solution(instance, solve.x)).passed
        better += solve.value > nothing
    assert better > 0


def test_nothing_is_tried_without_a_plan_or_where_it_is_left_out() -> None:
    solve = solve_of(two_plants_by_season(make_town(), 2), without=("neighbourhoods",))
    assert not Neighbourhoods(solve).alive(60.0)
    hold_nothing(solve)
    assert not Neighbourhoods(solve).alive(60.0)

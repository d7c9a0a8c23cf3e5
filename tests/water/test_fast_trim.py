"""Pipes that a plan does not need are found, and left alone where somebody asked for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optimize.engine.highs import solve_milp
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions
from optimize.water.coefficients import derive_coefficients
from optimize.water.fast_layout import FlowModel, Part
from optimize.water.fast_locks import locked_decisions
from optimize.water.fast_steps import Solve, trim
from optimize.water.fast_trim import trimmed
from optimize.water.investments import FloatArray
from tests.water.conftest import Town, make_town


def _solve_of(town: Town) -> tuple[Solve, FlowModel, FloatArray]:
    """The town's best plan, held by a solve."""
    instance = town.instance()
    c = derive_coefficients(instance)
    watch = Watch(SolveOptions(gap=0.0, time_limit_s=30.0), True)
    solve = Solve(instance, c, locked_decisions(instance, c), ("npv",), (), watch)
    model = solve.model_of(Part.whole(c))
    x = solve_milp(model.milp, watch.child()).x
    assert x is not None
    return solve, model, x


def _with_pipe(model: FlowModel, x: FloatArray, corridor: str, diameter: str | None) -> FloatArray:
    """The plan with this pipe of quality "lo" on a corridor instead of what lies there."""
    c, y = model.c, x.copy()
    lane = (model.pipe_at[:, :2] == (c.corridor_ids.index(corridor), c.quality_ids.index("lo"))).all(axis=1)
    y[model.pipe[lane]] = 0.0
    if diameter is not None:
        y[model.pipe[lane & (model.pipe_at[:, 2] == c.diameter_ids.index(diameter))]] = 1.0
    return y


def test_the_best_plan_has_nothing_to_trim(town: Town) -> None:
    solve, model, x = _solve_of(town)
    assert trimmed(model, x, solve.locks) is None


@pytest.mark.parametrize(("corridor", "diameter"), [("AB", "S"), ("JB", "L")])
def test_dry_pipes_go_and_large_ones_become_narrower(town: Town, corridor: str, diameter: str) -> None:
    solve, model, best = _solve_of(town)
    wasteful = _with_pipe(model, best, corridor, diameter)
    assert model.milp.violation(wasteful) < 1e-9
    assert solve.keep(model, wasteful)
    worse = solve.value
    trim(solve)
    assert solve.value > worse
    assert solve.value == pytest.approx(model.milp.value(best), rel=1e-9)


def test_pipes_that_are_asked_for_stay(town: Town) -> None:
    town.lock("force_in", "AB")
    solve, model, best = _solve_of(town)
    dry = _with_pipe(model, _with_pipe(model, _solve_of(make_town())[2], "AB", "S"), "JB", "S")
    assert trimmed(model, dry, solve.locks) is None
    assert trimmed(model, dry, replace(solve.locks, any_pipe_of=np.zeros(0, np.int64))) is not None
    assert trimmed(model, best, solve.locks) is None

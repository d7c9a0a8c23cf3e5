"""Levels solved from one another: every bound and plan is one of its own level."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from optimize.engine.choice_structure import find_structure
from optimize.engine.goals import GoalsOutcome, solve_goals
from optimize.engine.highs import solve_milp
from optimize.engine.stopping import Watch
from optimize.engine.sweep import LevelSolver, structure_at
from optimize.milp import FloatArray, Milp, MilpBuilder, Objective
from optimize.programme import SolveOptions


def _programme(seed: int, scale: float) -> Milp:
    """Twenty candidates with four options each under five budgets and one count, by ``scale`` of the budgets."""
    random = np.random.default_rng(seed)
    groups, options = 20, 4
    value = random.uniform(1, 10, groups * options)
    price = value * random.uniform(0.3, 1.2, groups * options)
    district = np.repeat(random.integers(0, 5, groups), options)
    budget = 0.4 * np.bincount(district, price, 5) / options
    builder = MilpBuilder(maximise=True)
    x = builder.add_columns("x", groups * options, upper=1.0, cost=value, integral=True)
    builder.add_rows("one", groups, [(np.repeat(np.arange(groups), options), x, 1.0)], upper=1.0)
    builder.add_rows("budget", 5, [(district, x, price)], upper=scale * budget)
    marked = x[random.random(len(x)) < 0.2]
    builder.add_rows("count", 1, [(np.zeros(len(marked), np.int64), marked, 1.0)], lower=3.0)
    return builder.build()


def _whole(
    milp: Milp, watch: Watch, start: FloatArray | None, row_multipliers: FloatArray | None
) -> GoalsOutcome:
    objective = Objective("npv", milp.cost, milp.maximise)
    return solve_goals(
        milp, [objective], watch.options, start=start, strategy="core", watch=watch,
        row_multipliers=row_multipliers,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_each_level_has_its_own_bound_and_plan(seed: int) -> None:
    options = SolveOptions(gap=0.02, time_limit_s=20)
    solver = LevelSolver(_whole)
    for scale in np.linspace(0.7, 1.3, 4):
        milp = _programme(seed, float(scale))
        exact = solve_milp(milp, Watch(SolveOptions(gap=0.0, time_limit_s=20), True))
        outcome = solver.solve(milp, Watch(options, True))
        assert exact.objective is not None and outcome.x is not None
        assert outcome.bound is not None and outcome.objective is not None
        assert milp.violation(outcome.x) <= 1e-6
        assert outcome.objective <= exact.objective * (1 + 1e-9) <= outcome.bound * (1 + 2e-9)
        assert outcome.bound - outcome.objective <= 0.02 * outcome.objective * (1 + 1e-9)


def test_what_one_level_left_serves_the_next() -> None:
    """With a wide gap only the first level needs the engine."""
    calls = []

    def counted(milp: Milp, watch: Watch, start: FloatArray | None, rows: FloatArray | None) -> GoalsOutcome:
        calls.append(start is not None)
        return _whole(milp, watch, start, rows)

    solver = LevelSolver(counted)
    for scale in (1.0, 1.01, 1.02, 1.03):
        solver.solve(_programme(0, scale), Watch(SolveOptions(gap=0.05, time_limit_s=20), True))
    assert calls == [False]


def test_a_better_plan_in_hand_is_kept_where_the_engine_is_cut_short() -> None:
    """The engine ends a later level with no plan at all; the one improved from the level before stays."""
    calls = []

    def cut_short(
        milp: Milp, watch: Watch, start: FloatArray | None, rows: FloatArray | None
    ) -> GoalsOutcome:
        calls.append(milp)
        outcome = _whole(milp, watch, start, rows)
        return outcome if len(calls) == 1 else dataclasses.replace(outcome, x=None, objective=None)

    solver = LevelSolver(cut_short)
    first = solver.solve(_programme(1, 0.8), Watch(SolveOptions(gap=1e-6, time_limit_s=20), True))
    later = solver.solve(_programme(1, 1.0), Watch(SolveOptions(gap=1e-6, time_limit_s=20), True))
    assert len(calls) == 2 and first.objective is not None and later.x is not None
    assert later.objective is not None and later.objective >= first.objective
    assert _programme(1, 1.0).violation(later.x) <= 1e-6


def test_descending_levels_are_solved_too() -> None:
    solver = LevelSolver(_whole)
    for scale in (1.2, 1.0, 0.8):
        milp = _programme(3, scale)
        outcome = solver.solve(milp, Watch(SolveOptions(gap=0.02, time_limit_s=20), True))
        assert outcome.x is not None and milp.violation(outcome.x) <= 1e-6


def test_a_structure_moves_to_other_sides_and_to_nothing_else() -> None:
    milp = _programme(1, 1.0)
    structure = find_structure(milp)
    assert structure is not None
    moved = structure_at(structure, milp, _programme(1, 0.7))
    anew = find_structure(_programme(1, 0.7))
    assert moved is not None and anew is not None
    np.testing.assert_allclose(moved.side, anew.side)
    np.testing.assert_allclose(moved.capacity, anew.capacity)
    dearer = dataclasses.replace(milp, cost=milp.cost * 2.0)
    assert structure_at(structure, milp, dearer) is None
    forbidden = dataclasses.replace(milp, upper=np.where(np.arange(milp.num_columns) == 3, 0.0, milp.upper))
    assert structure_at(structure, milp, forbidden) is None
    assert structure_at(structure, milp, _programme(2, 1.0)) is None


def test_an_infeasible_level_does_not_spoil_the_next() -> None:
    solver = LevelSolver(_whole)
    options = SolveOptions(gap=0.02, time_limit_s=20)
    assert solver.solve(_programme(0, 1e-6), Watch(options, True)).x is None
    outcome = solver.solve(_programme(0, 1.0), Watch(options, True))
    assert outcome.x is not None

"""Clusters solved whole: L(y) >= B >= optimum, on random districts under a city's rows."""

from __future__ import annotations

import numpy as np
import pytest

from optimize.engine import choice, choice_clusters
from optimize.engine.choice import LagrangianBound, solve_by_choice
from optimize.engine.choice_polish import Polish
from optimize.engine.choice_structure import find_structure
from optimize.engine.highs import GrowingLp, solve_milp
from optimize.engine.stopping import Watch
from optimize.milp import Milp, MilpBuilder
from optimize.programme import SolveOptions
from optimize.result import StopReason


@pytest.fixture(autouse=True)
def _districts_are_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four districts each has more than the eighth of all groups that a cluster may have."""
    monkeypatch.setattr(choice_clusters, "_LARGEST_SHARE", 0.3)


def districts(seed: int, maximise: bool = True, groups: int = 32) -> Milp:
    """Groups of five options in districts of eight with two budgets each; the city's money, a count, a soft target.

    Some groups must choose; pairs of them share a feeder; in each district money may go to its second budget.
    """
    rng = np.random.default_rng(seed)
    sign = 1.0 if maximise else -1.0
    b = MilpBuilder(maximise)
    group = np.arange(groups)[:, None]
    size = rng.uniform(1, 10, (groups, 5))
    value = size * rng.uniform(0.7, 1.3, (groups, 5)) + rng.normal(0, 1, (groups, 5))
    x = b.add_columns("x", (groups, 5), upper=1, cost=sign * value, integral=True)
    exactly = rng.random(groups) < 0.2
    b.add_rows("one", groups, [(group, x, 1.0)], lower=np.where(exactly, 1, -np.inf), upper=1)
    b.add_rows("feeder", groups // 2, [(group // 2, x, size)], upper=rng.uniform(16, 20, groups // 2))
    budget = 2 * (group // 8) + rng.integers(0, 2, (groups, 5))
    number = 2 * (groups // 8)
    left = b.add_columns("left", number // 2, upper=100.0)
    first, second = np.arange(0, number, 2), np.arange(1, number, 2)
    limit = rng.uniform(9, 13, number)
    b.add_rows("budget", number, [(budget, x, size), (first, left, 1.0), (second, left, -1.0)], upper=limit)
    b.add_rows("city", 1, [(0, x, size * rng.uniform(0.5, 1.0, size.shape))], upper=0.7 * limit.sum())
    b.add_rows("pilots", 1, [(0, x[:, 0], 1.0)], lower=1)
    short = b.add_columns("short", 1, upper=100, cost=-sign * 3.0)
    b.add_rows("target", 1, [(0, x[:, 1], size[:, 1]), (0, short, 1.0)], lower=4.0)
    return b.build()


def watch(gap: float = 1e-6, maximise: bool = True) -> Watch:
    return Watch(SolveOptions(gap=gap, time_limit_s=1_000), maximise)


def bounds(milp: Milp, x: np.ndarray) -> tuple[float, float]:
    """L(y) and B(y) around the plan ``x``, more is better."""
    structure = find_structure(milp)
    assert structure is not None
    bound, clock = LagrangianBound(structure), watch(maximise=milp.maximise)
    y = bound.minimise(clock)
    assert y is not None and clock.bound is not None
    polish = Polish(milp, structure, bound.prices(y), bound.clusters, bound.others, clock)
    return structure.sign * clock.bound, structure.sign * bound.closed(polish, x)


@pytest.mark.parametrize("maximise", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_it_closes_most_of_what_the_bound_of_all_prices_leaves_above_the_best_plan(
    seed: int, maximise: bool
) -> None:
    milp = districts(seed, maximise)
    best = solve_milp(milp, watch(0.0, maximise))
    assert best.x is not None
    sign = 1.0 if maximise else -1.0
    lagrangian, closed = bounds(milp, best.x)
    assert sign * milp.value(best.x) <= closed + 1e-6 * abs(closed)
    # most of what is between them are parts of projects that fill the districts' budgets
    assert lagrangian - closed > 0.5 * (lagrangian - sign * milp.value(best.x))


def test_a_solve_is_within_the_gap_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    milp, told = districts(1), []
    closed = LagrangianBound.closed

    def noted(self: LagrangianBound, polish: Polish, x: np.ndarray) -> float:
        told.append(closed(self, polish, x))
        return told[-1]

    monkeypatch.setattr(LagrangianBound, "closed", noted)
    found = solve_by_choice(milp, watch(6e-3))
    assert found is not None and found.stop is StopReason.GAP_REACHED
    assert told and found.bound == told[0]


def test_multipliers_of_inequalities_are_never_negative_by_the_solvers_rounding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    solve = GrowingLp.solve

    def rounded(self: GrowingLp, seconds: float) -> tuple[np.ndarray, float] | None:
        solved = solve(self, seconds)
        return None if solved is None else (solved[0] - 1e-9, solved[1])

    monkeypatch.setattr(choice.GrowingLp, "solve", rounded)
    structure = find_structure(districts(1))
    assert structure is not None
    y = LagrangianBound(structure).minimise(watch())
    assert y is not None and (y[~structure.equal] >= 0.0).all()

"""The choice engine: bound >= optimum >= plan on random programmes with every kind of row."""

from __future__ import annotations

import numpy as np
import pytest

from optimize.engine import choice
from optimize.engine.choice import LagrangianBound, solve_by_choice
from optimize.engine.choice_quick import quick_plan
from optimize.engine.choice_structure import find_structure
from optimize.engine.core import Relaxation
from optimize.engine.goals import solve_goals
from optimize.engine.highs import MilpOutcome, solve_milp
from optimize.engine.stopping import Watch
from optimize.milp import Milp, MilpBuilder, Objective
from optimize.programme import SolveOptions
from optimize.result import StopReason


def watch(gap: float = 0.0, seconds: float = 60.0, maximise: bool = True) -> Watch:
    return Watch(SolveOptions(gap=gap, time_limit_s=seconds), maximise)


def programme(seed: int, groups: int = 24, options: int = 4, maximise: bool = True) -> Milp:
    """Groups in feeders of 4, two budgets with carry-over, a count, a soft target, an equation, a pair."""
    rng = np.random.default_rng(seed)
    b = MilpBuilder(maximise)
    sign = 1.0 if maximise else -1.0
    value = rng.normal(20, 15, (groups, options))
    size = rng.uniform(1, 10, (groups, options))
    cost = size * rng.uniform(0.8, 1.2, (groups, options))
    year = rng.integers(0, 2, (groups, options))
    x = b.add_columns("x", (groups, options), upper=1, cost=sign * value, integral=True)
    exactly = rng.random(groups) < 0.2
    b.add_rows(
        "one", groups, [(np.arange(groups)[:, None], x, 1.0)], lower=np.where(exactly, 1, -np.inf), upper=1
    )
    b.add_rows(
        "feeder",
        groups // 4,
        [(np.arange(groups)[:, None] // 4, x, size)],
        upper=rng.uniform(9, 22, groups // 4),
    )
    limit = 0.25 * cost.max(axis=1).sum()
    carry = b.add_columns("carry", 1, upper=0.3 * limit)
    b.add_rows("budget", 2, [(year, x, cost), ([0, 1], [carry[0], carry[0]], [1.0, -1.0])], upper=limit)
    pilot = rng.random((groups, options)) < 0.15
    if pilot.any():
        b.add_rows("pilots", 1, [(0, x[pilot], 1.0)], lower=min(2, int(pilot.any(axis=1).sum())))
    short = b.add_columns("short", 1, upper=1000, cost=-sign * 2.0)
    b.add_rows("target", 1, [(0, x, size), (0, short, 1.0)], lower=0.3 * size.max(axis=1).sum())
    b.add_rows("apart", 1, [(0, x[[0, 5]], 1.0)], upper=1)
    free = np.flatnonzero(~exactly)[-2:]
    b.add_rows("together", 1, [(0, x[free[0]], 1.0), (0, x[free[1]], -1.0)], lower=0, upper=0)
    return b.build()


def test_a_part_keeps_what_its_blocks_use_and_their_share_of_the_sides() -> None:
    s = find_structure(programme(4))
    assert s is not None
    whole = s.part(np.arange(s.num_blocks))
    assert np.array_equal(whole.link_coefficient, s.link_coefficient)
    assert whole.side == pytest.approx(s.side)
    blocks = np.arange(0, s.num_blocks, 2)
    some, rest = s.part(blocks), s.part(np.setdiff1d(np.arange(s.num_blocks), blocks))
    assert some.row_use + rest.row_use == pytest.approx(s.row_use)
    used = s.row_use > 0
    assert (some.side + rest.side)[used] == pytest.approx(s.side[used])
    for number, block in enumerate(blocks):
        own = slice(*s.group_start[s.block_start[[block, block + 1]]])
        assert np.array_equal(
            some.columns[slice(*some.group_start[some.block_start[[number, number + 1]]])], s.columns[own]
        )
    assert np.array_equal(some.capacity, s.capacity[blocks])


def test_multipliers_begun_on_some_blocks_prove_the_same_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    milp = programme(6, groups=48)
    bounds = []
    for staged_from in (10**9, 100):
        monkeypatch.setattr(choice, "_STAGED_FROM", staged_from)
        monkeypatch.setattr(choice, "_STAGE", 2)
        s = find_structure(milp)
        assert s is not None
        clock = watch()
        assert LagrangianBound(s).minimise(clock) is not None
        assert clock.bound is not None
        bounds.append(clock.bound)
    assert bounds[1] == pytest.approx(bounds[0], rel=1e-4)


@pytest.mark.parametrize("maximise", [True, False])
@pytest.mark.parametrize("seed", range(25))
def test_bound_optimum_and_plan_agree(seed: int, maximise: bool) -> None:
    milp = programme(seed, maximise=maximise)
    exact = solve_milp(milp, watch(maximise=maximise))
    if exact.stop is StopReason.INFEASIBLE:
        outcome = solve_by_choice(milp, watch(maximise=maximise))
        assert outcome is not None and outcome.stop is StopReason.INFEASIBLE
        return
    assert exact.objective is not None
    structure = find_structure(milp)
    assert structure is not None and np.isfinite(structure.capacity).sum() == 6
    lagrangian = LagrangianBound(structure)
    multipliers = lagrangian.minimise(watch(maximise=maximise))
    assert multipliers is not None
    relaxed = lagrangian.relaxation(milp, multipliers)
    sign = 1.0 if maximise else -1.0
    assert sign * relaxed.bound >= sign * exact.objective - 1e-6
    outcome = solve_by_choice(milp, watch(maximise=maximise))
    assert outcome is not None and outcome.x is not None
    assert milp.violation(outcome.x) <= 1e-7
    assert outcome.objective == pytest.approx(exact.objective, rel=1e-7, abs=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_any_multipliers_give_a_bound_and_losses_are_true(seed: int) -> None:
    """Forcing a column off its relaxed value costs at least its loss."""
    milp = programme(seed, groups=8, options=3)
    structure = find_structure(milp)
    assert structure is not None
    rng = np.random.default_rng(seed)
    lagrangian = LagrangianBound(structure)
    free = np.where(structure.equal, -np.inf, 0.0)
    exact = solve_milp(milp, watch())
    if exact.objective is None:
        pytest.skip("this seed makes an infeasible programme")
    for _ in range(5):
        multipliers = np.maximum(rng.normal(0, 2, len(structure.side)), free)
        relaxed = lagrangian.relaxation(milp, multipliers)
        assert relaxed.bound >= exact.objective - 1e-6
        for column in np.flatnonzero(relaxed.loss > 0)[:6]:
            lower, upper = milp.lower.copy(), milp.upper.copy()
            lower[column] = upper[column] = 1.0 - relaxed.x[column]
            forced = solve_milp(milp.with_bounds(lower, upper), watch())
            if forced.objective is not None:
                assert forced.objective <= relaxed.bound - relaxed.loss[column] + 1e-6


def test_large_programme_reaches_a_small_proven_gap() -> None:
    milp = programme(7, groups=3000, options=8)
    outcome = solve_by_choice(milp, watch(gap=2e-3))
    assert outcome is not None and outcome.x is not None and outcome.bound is not None
    assert milp.violation(outcome.x) <= 1e-7
    assert outcome.objective is not None
    assert 0 <= outcome.bound - outcome.objective <= 2e-3 * abs(outcome.objective) * 1.001


def test_an_interrupted_core_does_not_cost_the_plan_in_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan found by repair is returned when the core programme stops with a worse one."""
    b = MilpBuilder(maximise=True)
    rng = np.random.default_rng(2)
    use, value = rng.uniform(1, 9, (60, 3)), rng.uniform(1, 9, (60, 3))
    x = b.add_columns("x", (60, 3), upper=1, cost=value, integral=True)
    b.add_rows("one", 60, [(np.arange(60)[:, None], x, 1.0)], upper=1)
    b.add_rows("budget", 1, [(0, x, use)], upper=0.1 * use.sum())
    milp, given = b.build(), watch()
    solve_relaxed = choice.solve_relaxed

    def interrupted(milp: Milp, part: Watch, relaxed: Relaxation, start: object) -> MilpOutcome:
        if start is not None:
            return solve_relaxed(milp, part, relaxed, start)
        given.options.interrupt.set()
        return MilpOutcome(StopReason.INTERRUPTED, np.zeros(milp.num_columns), 0.0, None)

    monkeypatch.setattr(choice, "solve_relaxed", interrupted)
    outcome = solve_by_choice(milp, given)
    assert outcome is not None and outcome.x is not None
    assert outcome.stop is StopReason.INTERRUPTED
    assert milp.violation(outcome.x) <= 1e-7
    assert outcome.objective is not None and outcome.objective > 0


def test_same_seed_same_plan() -> None:
    milp = programme(3, groups=400, options=6)
    plans = [solve_by_choice(milp, watch(gap=1e-3)) for _ in range(2)]
    assert plans[0] is not None and plans[1] is not None
    assert plans[0].x is not None and plans[1].x is not None
    assert plans[0].x.tolist() == plans[1].x.tolist()


@pytest.mark.parametrize("saved", [0.0, 20.0])
def test_a_plan_at_once_carries_money_over_as_it_needs_it(saved: float) -> None:
    """Money lies in one year and is needed in another: with what is carried over held there is no plan."""
    rng = np.random.default_rng(1)
    b = MilpBuilder(maximise=True)
    cost, year = rng.uniform(2, 4, (6, 3)), np.array([1, 1, 0])
    x = b.add_columns("x", (6, 3), upper=1, cost=cost + rng.normal(0, 0.3, (6, 3)), integral=True)
    b.add_rows("one", 6, [(np.arange(6)[:, None], x, 1.0)], lower=1, upper=1)
    carry = b.add_columns("carry", 1, upper=20.0)
    b.add_rows("first", 1, [(0, x[:, year == 0], cost[:, year == 0]), (0, carry, 1.0)], upper=20.0)
    b.add_rows("later", 1, [(0, x[:, year == 1], cost[:, year == 1]), (0, carry, -1.0)], upper=0.0)
    b.add_rows("in_first", 1, [(0, x[:, year == 0], 1.0)], lower=2.0, upper=2.0)
    milp = b.build()
    held = np.zeros(milp.num_columns)
    held[carry] = saved
    group = np.full(milp.num_columns, -1)
    group[x] = np.arange(6)[:, None]
    near = Relaxation(held, 1e3, np.zeros(milp.num_columns), np.zeros(milp.num_columns))
    plan = quick_plan(milp, group, np.r_[np.zeros(6), 1.0, 1.0, 0.0], near, watch())
    assert plan is not None and milp.violation(plan) <= 1e-7


def test_a_plan_in_hand_is_kept_among_the_near_columns() -> None:
    """The plan in hand takes the column furthest from moving in every group; nothing quickly found is worse."""
    milp = programme(5, groups=60, options=40)
    exact = solve_milp(milp, watch(gap=1e-6))
    assert exact.x is not None
    group = np.append(np.repeat(np.arange(60), 40), [-1, -1])
    distance = np.where(exact.x[: len(group)] > 0.5, 1e9, 0.0)
    near = Relaxation(np.zeros(milp.num_columns), exact.objective * 1.5, distance, np.zeros(milp.num_columns))
    duals = np.zeros(milp.num_rows)
    alone = quick_plan(milp, group, duals, near, watch(), decide=False)
    plan = quick_plan(milp, group, duals, near, watch(), exact.x, decide=False)
    assert plan is not None and milp.value(plan) == pytest.approx(exact.objective)
    assert alone is None or milp.value(alone) < exact.objective


def test_a_programme_without_choices_is_declined() -> None:
    b = MilpBuilder(maximise=True)
    x = b.add_columns("flow", 5, upper=3, cost=1.0)
    b.add_rows("cap", 1, [(0, x, 1.0)], upper=4)
    milp = b.build()
    assert find_structure(milp) is None
    outcome = solve_goals(milp, [Objective("npv", milp.cost, True)], SolveOptions(), strategy="core")
    assert outcome.objective == pytest.approx(4.0)


@pytest.mark.parametrize(
    "change", ["zero budget", "one option", "equal values", "huge", "tiny", "no linking row"]
)
def test_degenerate_programmes_are_survived(change: str) -> None:
    rng = np.random.default_rng(1)
    groups, options = 40, 1 if change == "one option" else 3
    value = (
        np.full((groups, options), 5.0) if change == "equal values" else rng.uniform(1, 9, (groups, options))
    )
    value *= {"huge": 1e9, "tiny": 1e-6}.get(change, 1.0)
    use = rng.uniform(1, 9, (groups, options)) * (1e6 if change == "huge" else 1.0)
    b = MilpBuilder(maximise=True)
    x = b.add_columns("x", (groups, options), upper=1, cost=value, integral=True)
    b.add_rows("one", groups, [(np.arange(groups)[:, None], x, 1.0)], upper=1)
    if change != "no linking row":
        side = 0.0 if change == "zero budget" else 0.3 * use.sum()
        b.add_rows("budget", 1, [(0, x, use)], upper=side)
    milp = b.build()
    exact, outcome = solve_milp(milp, watch(gap=1e-6)), solve_by_choice(milp, watch(gap=1e-6))
    assert outcome is None or outcome.objective == pytest.approx(exact.objective, rel=1e-5)

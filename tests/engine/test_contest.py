"""Robust rows and the mean of the worst cases against enumerating every plan and every adversary."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize.engine import contest as contest_module
from optimize.engine.budgeted_rows import BudgetedRows
from optimize.engine.contest import Contest, WorstCases, WorstRows, solve_contest
from optimize.engine.goals import GoalsOutcome, solve_goals
from optimize.engine.highs import solve_lp
from optimize.engine.stopping import Watch
from optimize.engine.tail_value import TailValue, worst_mean
from optimize.milp import FloatArray, Milp, MilpBuilder, Objective
from optimize.programme import SolveOptions
from optimize.result import StopReason

_OPTIONS = SolveOptions(gap=1e-9, time_limit_s=20.0)
_GROUPS, _EACH, _ROWS = 4, 3, 2


def engine(
    milp: Milp, watch: Watch, start: FloatArray | None, row_multipliers: FloatArray | None
) -> GoalsOutcome:
    objective = Objective("goal", milp.cost, milp.maximise, milp.offset)
    return solve_goals(
        milp, [objective], watch.options, start=start, watch=watch, row_multipliers=row_multipliers
    )


def town(seed: int) -> tuple[Milp, BudgetedRows]:
    """Four candidates of three options, two budgets, deviations that differ."""
    rng = np.random.default_rng(seed)
    builder = MilpBuilder(maximise=True)
    number = _GROUPS * _EACH
    x = builder.add_columns("x", number, upper=1.0, integral=True, cost=rng.integers(5, 30, number))
    group = np.repeat(np.arange(_GROUPS), _EACH)
    builder.add_rows("one", _GROUPS, [(group, x, 1.0)], upper=1.0)
    amount = rng.integers(2, 12, (_ROWS, number)).astype(np.float64)
    row = np.repeat(np.arange(_ROWS), number)
    rows = builder.add_rows(
        "budget", _ROWS, [(row, np.tile(x, _ROWS), amount.ravel())], upper=rng.integers(12, 24, _ROWS)
    )
    rise = amount * rng.uniform(0.0, 0.6, (_ROWS, number)) * (rng.random((_ROWS, number)) < 0.8)
    return builder.build(), BudgetedRows(rows, sp.csr_array(rise), group, 0.0)


def plans(milp: Milp) -> Iterator[FloatArray]:
    for chosen in itertools.product(range(-1, _EACH), repeat=_GROUPS):
        x = np.zeros(milp.num_columns)
        for group, option in enumerate(chosen):
            if option >= 0:
                x[group * _EACH + option] = 1.0
        yield x


def withstands(milp: Milp, rows: BudgetedRows, most: float, x: FloatArray) -> bool:
    """Every set of candidates at their worst is tried."""
    if milp.violation(x) > 1e-9:
        return False
    rise = rows.deviation.toarray() * x
    by_group = np.stack([rise[:, rows.group == g].sum(axis=1) for g in range(_GROUPS)], axis=1)
    used = milp.matrix[rows.rows] @ x
    side = milp.row_upper[rows.rows]
    size = int(min(most, _GROUPS))
    return all(
        (used + by_group[:, list(worst)].sum(axis=1) <= side + 1e-9).all()
        for worst in itertools.combinations(range(_GROUPS), size)
    )


def most(rows: BudgetedRows, number: float) -> BudgetedRows:
    return BudgetedRows(rows.rows, rows.deviation, rows.group, number)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, np.inf])
def test_robust_rows_agree_with_enumeration(
    whole: bool, gamma: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not whole:
        monkeypatch.setattr(contest_module, "_WHOLE_COLUMNS", 0)
    for seed in range(4):
        milp, rows = town(seed)
        best = max(milp.value(x) for x in plans(milp) if withstands(milp, rows, gamma, x))
        found = solve_contest(milp, WorstRows(most(rows, gamma)), _OPTIONS, engine)
        assert found.x is not None and found.value is not None and found.bound is not None
        assert withstands(milp, rows, gamma, found.x)
        assert found.value == pytest.approx(milp.value(found.x), rel=1e-9)
        assert found.value <= best + 1e-6 <= found.bound + 2e-6
        if whole or gamma in (0.0, np.inf):
            assert found.bound == pytest.approx(best, rel=1e-7) == found.value
        else:  # no worse than the relaxation that the bound is of
            everything = np.arange(milp.num_columns)
            relaxed = solve_lp(most(rows, gamma).linearised(milp, everything)[0], Watch(_OPTIONS, True))
            assert relaxed.objective is not None and found.bound <= relaxed.objective + 1e-6


def test_none_is_the_programme_and_all_are_the_worst_costs() -> None:
    milp, rows = town(3)
    plain = engine(milp, Watch(_OPTIONS, True), None, None)
    assert solve_contest(milp, WorstRows(rows), _OPTIONS, engine).value == plain.objective
    dearer = rows.at_thresholds(milp, np.zeros(_ROWS))
    worst = engine(dearer, Watch(_OPTIONS, True), None, None)
    assert plain.objective is not None and worst.objective is not None
    assert worst.objective < plain.objective
    for number in (_GROUPS, np.inf):
        found = solve_contest(milp, WorstRows(most(rows, number)), _OPTIONS, engine)
        assert found.value == pytest.approx(worst.objective)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(0, 4), st.integers(0, 4**_GROUPS - 1))
def test_the_best_threshold_is_the_worst_case(seed: int, gamma: int, number: int) -> None:
    milp, rows = town(seed)
    x = next(itertools.islice(plans(milp), number, None))
    asked = most(rows, float(gamma))
    worst = asked.worst(x)
    at = asked.at_thresholds(milp, asked.thresholds(x))
    over = at.matrix[rows.rows] @ x - at.row_upper[rows.rows]
    assert over == pytest.approx(milp.matrix[rows.rows] @ x + worst - milp.row_upper[rows.rows], abs=1e-9)
    z = np.random.default_rng(seed).uniform(0, 5, _ROWS)
    other = asked.at_thresholds(milp, z)
    assert (other.matrix[rows.rows] @ x - other.row_upper[rows.rows] >= over - 1e-9).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_whatever_the_multipliers_the_weights_are_an_adversary(seed: int, gamma: int) -> None:
    milp, rows = town(seed)
    asked = most(rows, float(gamma))
    rng = np.random.default_rng(seed)
    programme, pairs = asked.linearised(milp, np.arange(milp.num_columns))
    weights = asked.weights(rng.normal(size=programme.num_rows), pairs)
    row, _, _ = asked._pairs
    assert (weights >= 0).all() and (weights <= 1).all()
    assert (np.bincount(row, weights, _ROWS) <= gamma + 1e-9).all()
    relaxed = asked.against(milp, weights)
    for x in itertools.islice(plans(milp), 0, None, 17):
        if withstands(milp, rows, gamma, x):
            assert relaxed.violation(x) <= 1e-9


def cases(milp: Milp, seed: int, weight: float, tail: float) -> TailValue:
    rng = np.random.default_rng(seed)
    values = milp.cost * np.exp(rng.normal(0.0, 0.5, (12, milp.num_columns)))
    return TailValue(values, np.zeros(milp.num_columns), tail, weight, constant=-7.5)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(("weight", "tail"), [(0.5, 0.25), (1.0, 0.1), (0.3, 1.0)])
def test_the_worst_cases_agree_with_enumeration(
    whole: bool, weight: float, tail: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not whole:
        monkeypatch.setattr(contest_module, "_WHOLE_COLUMNS", 0)
    for seed in range(3):
        milp, _ = town(seed)
        goal = cases(milp, seed, weight, tail)

        def by_sorting(x: FloatArray, goal: TailValue = goal) -> float:
            worth = np.sort(goal.values @ x - 7.5)
            size = goal.tail * len(worth)
            kept = worth[: int(size)].sum() + (size % 1) * (worth[int(size)] if size % 1 else 0.0)
            return float((1 - goal.weight) * worth.mean() + goal.weight * kept / size)

        best = max(by_sorting(x) for x in plans(milp) if milp.violation(x) <= 1e-9)
        found = solve_contest(milp, WorstCases(goal), _OPTIONS, engine)
        assert found.x is not None and found.value is not None and found.bound is not None
        assert found.value == pytest.approx(by_sorting(found.x), rel=1e-9)
        assert found.value <= best + 1e-6 <= found.bound + 2e-6
        if whole or tail == 1.0:
            assert found.value == pytest.approx(best, rel=1e-7)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0), st.floats(0.05, 1.0))
def test_weights_of_cases_are_a_bound_on_the_goal(seed: int, weight: float, tail: float) -> None:
    milp, _ = town(seed)
    goal = cases(milp, seed, weight, tail)
    rng = np.random.default_rng(seed)
    weights = goal.weights(rng.normal(size=20) * milp.cost.max())
    assert weights.sum() == pytest.approx(1.0) and (weights >= (1 - weight) / 12 - 1e-12).all()
    for x in itertools.islice(plans(milp), 0, None, 31):
        assert goal.of(x) <= goal.against(milp, weights).value(x) + 1e-9
        assert goal.of(x) == pytest.approx(goal.against(milp, goal.weights_of(x)).value(x), abs=1e-9)


def test_the_last_case_of_the_tail_counts_in_part() -> None:
    assert worst_mean(np.array([4.0, 1.0, 2.0, 8.0]), 0.5) == 1.5
    assert worst_mean(np.array([4.0, 1.0, 2.0, 8.0]), 0.375) == pytest.approx((1.0 + 0.5 * 2.0) / 1.5)


@pytest.mark.parametrize("whole", [True, False])
def test_what_no_plan_withstands_is_not_given_a_plan(whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not whole:
        monkeypatch.setattr(contest_module, "_WHOLE_COLUMNS", 0)
    milp, rows = town(0)
    budget = rows.rows[0]
    use = milp.matrix[[budget]].toarray().ravel()
    # to the last coin of a budget that dearer projects need too
    tight = milp.with_row(use, float(milp.row_upper[budget]) - 1.0, np.inf, "spend")
    steep = BudgetedRows(rows.rows, sp.csr_array(milp.matrix[rows.rows]), rows.group, 1.0)
    contest: Contest = WorstRows(steep)
    found = solve_contest(tight, contest, SolveOptions(gap=1e-9, time_limit_s=4.0), engine)
    assert found.x is None and found.value is None
    assert (found.stop is StopReason.INFEASIBLE) == whole

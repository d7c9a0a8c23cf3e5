"""The verifier's bound: above every plan for any multipliers, tight where blocks are exact, rounded outwards."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from optimize.milp import Milp, MilpBuilder
from optimize.verification.bound import prove_bound

NO_BLOCKS = np.zeros(0, np.int64)


def choice_programme(rng: np.random.Generator, maximise: bool) -> tuple[Milp, np.ndarray]:
    """Four groups in two blocks, two linking rows, a loner, a bounded integer; and its block rows."""
    builder = MilpBuilder(maximise=maximise)
    sizes = rng.integers(1, 4, 4)
    group = np.repeat(np.arange(4), sizes)
    x = builder.add_columns("x", len(group), upper=1, cost=rng.normal(0, 10, len(group)), integral=True)
    loner = builder.add_columns("loner", 1, upper=1, cost=rng.normal(0, 5, 1), integral=True)
    other = builder.add_columns("other", 1, lower=-1, upper=2, cost=rng.normal(0, 3, 1), integral=True)
    must = rng.random(4) < 0.3
    builder.add_rows("choose", 4, [(group, x, 1.0)], lower=np.where(must, 1.0, -np.inf), upper=1.0)
    weight = rng.integers(0, 6, len(group)).astype(float)
    local = builder.add_rows("local", 2, [(group // 2, x, weight)], upper=rng.integers(3, 9, 2).astype(float))
    columns = np.concatenate([x, loner, other])
    for sense in ("upper", "lower"):
        coefficient = rng.normal(0, 2, len(columns))
        side = float(rng.normal(2 if sense == "upper" else -2, 1))
        zeros = np.zeros(len(columns), np.int64)
        builder.add_rows("link", 1, [(zeros, columns, coefficient)], **{sense: side})
    return builder.build(), local


def plans(milp: Milp) -> np.ndarray:
    """Every feasible point of an all-integer programme, shape (points, columns)."""
    ranges = [range(int(low), int(high) + 1) for low, high in zip(milp.lower, milp.upper, strict=True)]
    points = np.array(list(itertools.product(*ranges)), dtype=np.float64)
    values = np.asarray(points @ milp.matrix.T)
    reaches = values >= milp.row_lower - 1e-9 * np.maximum(1.0, np.abs(milp.row_lower))
    keeps = values <= milp.row_upper + 1e-9 * np.maximum(1.0, np.abs(milp.row_upper))
    return np.asarray(points[(reaches & keeps).all(axis=1)])


@pytest.mark.parametrize("maximise", [True, False])
@pytest.mark.parametrize("seed", range(25))
def test_no_plan_is_better_whatever_the_multipliers(seed: int, maximise: bool) -> None:
    rng = np.random.default_rng(seed)
    milp, local = choice_programme(rng, maximise)
    values = [milp.value(plan) for plan in plans(milp)]
    if not values:
        pytest.skip("this seed has no plan")
    best = max(values) if maximise else min(values)
    for _ in range(8):
        multipliers = rng.normal(0, 3, milp.num_rows) * (rng.random(milp.num_rows) < 0.5)
        blocks = local if rng.random() < 0.7 else rng.choice(milp.num_rows, 2, replace=False)
        bound = prove_bound(milp, multipliers, blocks).bound
        assert bound >= best if maximise else bound <= best


@pytest.mark.parametrize("seed", range(15))
def test_blocks_are_solved_exactly(seed: int) -> None:
    """One block of nine groups against full enumeration."""
    rng = np.random.default_rng(seed)
    builder = MilpBuilder(maximise=True)
    group = np.repeat(np.arange(9), 3)
    value, weight = rng.normal(5, 6, 27), rng.integers(0, 20, 27).astype(float)
    x = builder.add_columns("x", 27, upper=1, cost=value, integral=True)
    must = rng.random(9) < 0.3
    capacity = float(weight.reshape(9, 3).min(axis=1)[must].sum() + rng.integers(0, 60))
    builder.add_rows("choose", 9, [(group, x, 1.0)], lower=np.where(must, 1.0, 0.0), upper=1.0)
    local = builder.add_rows("local", 1, [(np.zeros(27, np.int64), x, weight)], upper=capacity)
    options = [
        [(v, w) for v, w in zip(value[3 * g : 3 * g + 3], weight[3 * g : 3 * g + 3], strict=True)]
        + ([] if must[g] else [(0.0, 0.0)])
        for g in range(9)
    ]
    reached = {0.0: 0.0}
    for choices in options:
        fuller: dict[float, float] = {}
        for (load, worth), (v, w) in itertools.product(reached.items(), choices):
            if load + w <= capacity:
                fuller[load + w] = max(fuller.get(load + w, -np.inf), worth + v)
        reached = fuller
    proven = prove_bound(builder.build(), np.zeros(10), local)
    assert proven.bound == pytest.approx(max(reached.values()), rel=1e-12)
    assert proven.block_bounds[0] == pytest.approx(max(reached.values()), rel=1e-12)


def test_too_many_states_still_give_a_bound() -> None:
    """More states than are kept: neighbours are merged, which may only raise the bound."""
    rng = np.random.default_rng(5)
    builder = MilpBuilder(maximise=True)
    count = 40
    value = 1000 + rng.random(2 * count)
    weight = value + rng.random(2 * count) * 1e-3
    x = builder.add_columns("x", 2 * count, upper=1, cost=value, integral=True)
    builder.add_rows("choose", count, [(np.repeat(np.arange(count), 2), x, 1.0)], upper=1.0)
    zeros = np.zeros(2 * count, np.int64)
    local = builder.add_rows("local", 1, [(zeros, x, weight)], upper=20_500.0)
    milp = builder.build()
    bound = prove_bound(milp, np.zeros(count + 1), local).bound
    order = np.argsort(-value / weight)
    plan, room = 0.0, 20_500.0
    taken: set[int] = set()
    for j in order:
        if j // 2 not in taken and weight[j] <= room:
            taken.add(int(j) // 2)
            plan, room = plan + value[j], room - weight[j]
    assert plan <= bound <= 20_500.0


@pytest.mark.parametrize("maximise", [True, False])
def test_rounding_goes_outwards(maximise: bool) -> None:
    """Against exact arithmetic, with sums that cancel to the last digits."""
    rng = np.random.default_rng(1)
    for _ in range(40):
        builder = MilpBuilder(maximise=maximise)
        n = 12
        cost = rng.normal(0, 1, n) * 10.0 ** rng.integers(-8, 9, n)
        x = builder.add_columns("x", n, lower=-rng.random(n), upper=rng.random(n) * 1e6, cost=cost)
        coefficients = rng.normal(0, 1, (5, n)) * 10.0 ** rng.integers(-6, 7, (5, n))
        builder.add_rows("row", 5, [(np.arange(5)[:, None], x[None, :], coefficients)], upper=rng.random(5))
        milp = builder.build()
        y = rng.random(5) * 10.0 ** rng.integers(-6, 7, 5) * (1 if maximise else -1)
        bound = prove_bound(milp, y, NO_BLOCKS).bound
        exact = sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(y, milp.row_upper, strict=True))
        pick = max if maximise else min
        for j in range(n):
            reduced = Fraction(float(cost[j])) - sum(
                Fraction(float(y[i])) * Fraction(float(coefficients[i, j])) for i in range(5)
            )
            exact += pick(reduced * Fraction(float(milp.lower[j])), reduced * Fraction(float(milp.upper[j])))
        assert Fraction(bound) >= exact if maximise else Fraction(bound) <= exact
        assert abs(Fraction(bound) - exact) <= Fraction(1, 10**9) * max(abs(exact), 10**6)


def test_a_multiplier_of_the_wrong_sign_is_left_out_and_told() -> None:
    builder = MilpBuilder(maximise=True)
    x = builder.add_columns("x", 1, upper=4, cost=1.0)
    builder.add_rows("cap", 1, [(None, x, 1.0)], upper=3.0)
    milp = builder.build()
    proven = prove_bound(milp, np.array([-1.0]), NO_BLOCKS)
    assert proven.left_out.tolist() == [0] and proven.bound == pytest.approx(4.0)
    assert prove_bound(milp, np.array([1.0]), NO_BLOCKS).bound == pytest.approx(3.0)


@pytest.mark.parametrize("what", ["negative weight", "lower side", "continuous column", "shared group"])
def test_a_row_that_is_no_block_is_left_out(what: str) -> None:
    builder = MilpBuilder(maximise=True)
    x = builder.add_columns("x", 4, upper=1, cost=1.0, integral=what != "continuous column")
    builder.add_rows("choose", 2, [(np.array([0, 0, 1, 1]), x, 1.0)], upper=1.0)
    weight = -1.0 if what == "negative weight" else 1.0
    side = {"lower": 0.0} if what == "lower side" else {"upper": 1.0}
    first = builder.add_rows("first", 1, [(np.zeros(4, np.int64), x, weight)], **side)
    second = builder.add_rows("second", 1, [(np.zeros(2, np.int64), x[:2], 1.0)], upper=0.0)
    blocks = np.concatenate([first, second]) if what == "shared group" else first
    proven = prove_bound(builder.build(), np.zeros(4), blocks)
    assert np.isnan(proven.block_bounds[-1])
    assert proven.bound == pytest.approx({"shared group": 1.0, "continuous column": 4.0}.get(what, 2.0))


def test_a_column_without_bound_proves_nothing_unless_its_price_is_right() -> None:
    builder = MilpBuilder(maximise=True)
    x = builder.add_columns("x", 1, cost=1.0)
    builder.add_rows("cap", 1, [(None, x, 2.0)], upper=6.0)
    milp = builder.build()
    assert prove_bound(milp, np.array([0.25]), NO_BLOCKS).bound == np.inf
    assert prove_bound(milp, np.array([0.75]), NO_BLOCKS).bound == pytest.approx(4.5)


def test_what_is_decided_already_counts_in_full() -> None:
    """The one option of a contracted project is chosen whatever it costs."""
    builder = MilpBuilder(maximise=True)
    x = builder.add_columns("x", 3, upper=1, cost=np.array([-5.0, 3.0, 2.0]), integral=True)
    builder.add_rows("decided", 1, [(np.zeros(1, np.int64), x[:1], 1.0)], lower=1.0, upper=1.0)
    builder.add_rows("at_most_one", 1, [(np.zeros(2, np.int64), x[1:], 1.0)], upper=1.0)
    proven = prove_bound(builder.build(), np.zeros(2), NO_BLOCKS)
    assert proven.bound == pytest.approx(-2.0, abs=1e-12)

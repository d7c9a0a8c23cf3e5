"""Cuts by rounding hold at every plan there is, found by listing them all, and lower the bound."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine.column_relaxation import relax_by_columns
from optimize.engine.rounding_cuts import tighten_by_rounding
from optimize.engine.stopping import Watch
from optimize.milp import Milp, MilpBuilder
from optimize.programme import SolveOptions

EXACT = SolveOptions(gap=0.0, time_limit_s=20.0)
GROUPS, OPTIONS = 5, 4


def drawn(seed: int) -> tuple[Milp, NDArray[np.int64]]:
    """Five candidates of four options; two capacities, a count, and a priced shortfall (not whole)."""
    random = np.random.default_rng(seed)
    maximise = seed % 2 == 0
    builder = MilpBuilder(maximise=maximise)
    number = GROUPS * OPTIONS
    value = random.integers(0, 60, number) * (1.0 if maximise else -1.0)
    group = np.repeat(np.arange(GROUPS), OPTIONS)
    plain = np.arange(number) % OPTIONS == 0
    chosen = builder.add_columns("chosen", number, upper=1.0, cost=np.where(plain, 0.0, value), integral=True)
    short = builder.add_columns("short", 1, upper=2.0, cost=-7.0 if maximise else 7.0)
    builder.add_rows("one", GROUPS, [(group, chosen, 1.0)], lower=1.0 if seed % 3 else 0.0, upper=1.0)
    for row in range(2):
        use = np.where(plain, 0.0, random.integers(1, 30, number) + random.choice([0.0, 0.37], number))
        builder.add_rows(f"capacity{row}", 1, [(0, chosen, use)], upper=random.integers(25, 60) + 0.5)
    counted = (random.random(number) < 0.4) & ~plain
    builder.add_rows("count", 1, [(0, chosen[counted], 1.0), (0, short, 1.0)], lower=2.0)
    milp = builder.build()
    return milp, np.append(group, -1)


def plans(milp: Milp) -> NDArray[np.float64]:
    """Every plan, shape (plans, columns); the shortfall at its least and at its most."""
    found = []
    for picks in itertools.product(range(-1, OPTIONS), repeat=GROUPS):
        x = np.zeros(milp.num_columns)
        for group, pick in enumerate(picks):
            if pick >= 0:
                x[group * OPTIONS + pick] = 1.0
        for short in (0.0, 1.0, 2.0):
            x[-1] = short
            if milp.violation(x) <= 1e-9:
                found.append(x.copy())
    return np.array(found)


@pytest.mark.parametrize("seed", range(12))
def test_cuts_hold_at_every_plan_and_the_bound_at_the_best(seed: int) -> None:
    milp, group = drawn(seed)
    every = plans(milp)
    assert len(every)
    relaxed = relax_by_columns(milp, group, Watch(EXACT, milp.maximise))
    assert relaxed.relaxation is not None
    watch = Watch(EXACT, milp.maximise)
    tightened = tighten_by_rounding(milp, group, relaxed.inside, watch)
    assert tightened is not None
    assert (every @ tightened.cuts.T <= tightened.sides + 1e-7).all()
    sign = 1.0 if milp.maximise else -1.0
    best = float((sign * (every @ milp.cost)).max())
    assert sign * tightened.bound >= best - 1e-6
    assert sign * tightened.bound <= sign * relaxed.relaxation.bound + 1e-6
    assert all(point.bound is None or sign * point.bound >= best - 1e-6 for point in watch.trace)


def test_cuts_close_most_of_the_gap_of_one_knapsack() -> None:
    """max 10 (a + b + c), 6 (a + b + c) <= 10: the relaxation takes 10/6 of one, a plan takes one."""
    builder = MilpBuilder(maximise=True)
    x = builder.add_columns("x", 6, upper=1.0, cost=[0.0, 10.0] * 3, integral=True)
    group = np.repeat(np.arange(3), 2)
    builder.add_rows("one", 3, [(group, x, 1.0)], lower=1.0, upper=1.0)
    builder.add_rows("room", 1, [(0, x[1::2], 6.0)], upper=10.0)
    milp = builder.build()
    tightened = tighten_by_rounding(milp, group, np.ones(6, dtype=np.bool_), Watch(EXACT, True))
    assert tightened is not None
    assert tightened.bound == pytest.approx(10.0, abs=1e-6)


def test_a_column_that_may_be_negative_gets_no_cuts() -> None:
    milp = Milp(
        np.ones(2), sp.csr_array(np.ones((1, 2))), np.zeros(1), np.ones(1), np.array([-1.0, 0.0]),
        np.ones(2), np.ones(2, dtype=np.bool_), True,
    )  # fmt: skip
    group = np.array([0, 0])
    assert tighten_by_rounding(milp, group, np.ones(2, dtype=np.bool_), Watch(EXACT, True)) is None

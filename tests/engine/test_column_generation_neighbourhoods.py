"""Neighbourhoods: plans only get better, hold every row, and come out the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from optimize.engine.column_relaxation import relax_by_columns
from optimize.engine.highs import solve_milp
from optimize.engine.neighbourhoods import search_neighbourhoods
from optimize.engine.stopping import Watch
from optimize.milp import Milp, MilpBuilder
from optimize.programme import SolveOptions

GROUPS, OPTIONS, DISTRICTS = 36, 6, 6


def drawn(seed: int) -> tuple[Milp, NDArray[np.int64], NDArray[np.float64]]:
    """Candidates with a small budget in each district and one for all, and the plan that does nothing."""
    random = np.random.default_rng(seed)
    builder = MilpBuilder(maximise=True)
    number = GROUPS * OPTIONS
    group = np.repeat(np.arange(GROUPS), OPTIONS)
    plain = np.arange(number) % OPTIONS == 0
    cost = np.where(plain, 0.0, random.uniform(1.0, 10.0, number))
    value = np.where(plain, 0.0, cost * random.uniform(0.8, 1.6, number))
    chosen = builder.add_columns("chosen", number, upper=1.0, cost=value, integral=True)
    builder.add_rows("one", GROUPS, [(group, chosen, 1.0)], lower=1.0, upper=1.0)
    builder.add_rows("district", DISTRICTS, [(group % DISTRICTS, chosen, cost)], upper=14.0)
    builder.add_rows("all", 1, [(0, chosen, cost)], upper=60.0)
    return builder.build(), group, plain.astype(np.float64)


def search(
    seed: int, options: SolveOptions, fruitless: int
) -> tuple[Milp, NDArray[np.float64], NDArray[np.float64]]:
    milp, group, nothing = drawn(seed)
    relaxed = relax_by_columns(milp, group, Watch(options, True)).relaxation
    assert relaxed is not None
    watch = Watch(options, True)
    found = search_neighbourhoods(milp, group, watch, relaxed, nothing, fruitless_rounds=fruitless)
    return milp, found, nothing


@pytest.mark.parametrize("seed", range(3))
def test_plans_get_better_and_hold_every_row(seed: int) -> None:
    options = SolveOptions(gap=0.0, time_limit_s=30.0, seed=seed)
    milp, found, nothing = search(seed, options, 6)
    best = solve_milp(milp, Watch(options, True))
    assert best.objective is not None
    assert milp.violation(found) <= 1e-6
    assert milp.value(nothing) < 0.98 * best.objective
    assert 0.98 * best.objective <= milp.value(found) <= best.objective + 1e-6


def test_the_same_seed_gives_the_same_plan() -> None:
    options = SolveOptions(gap=0.0, time_limit_s=30.0, seed=5)
    assert (search(4, options, 3)[1] == search(4, options, 3)[1]).all()


def test_whoever_asks_for_an_end_gets_the_plan_in_hand() -> None:
    milp, group, nothing = drawn(0)
    watch = Watch(SolveOptions(gap=0.0, time_limit_s=30.0), True)
    relaxed = relax_by_columns(milp, group, watch).relaxation
    assert relaxed is not None
    ended = watch.child()
    ended.end()
    assert ended.must_stop and not watch.must_stop
    for found in (
        search_neighbourhoods(milp, group, ended, relaxed, nothing),
        search_neighbourhoods(milp, group, watch, relaxed, nothing, until=lambda: True),
    ):
        assert (found == nothing).all()

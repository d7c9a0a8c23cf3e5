"""Over 200 random towns: trying every design = formulation = fast path, in the order plan, optimum, bound; each row has its turn.

The designs are tried by `tests.water.enumeration`, which shares nothing with the models.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from optimize.programme import SolveOptions
from optimize.result import StopReason
from optimize.water.checker import check
from optimize.water.fast import solve_fast, unsupported_by_fast
from optimize.water.formulation import solve_formulation
from tests.water.enumeration import Enumeration
from tests.water.random_towns import FEATURES, GOALS, draw

NUM_TOWNS = 210
"""Every feature twice with every goal."""
CHUNK = 21
CHECKED = 8
"""Of so many plans one is checked from the tables: that takes as long as finding it."""
ENOUGH = 3
"""Towns in which a row has to be active."""
CLOSED, SHORT_S, LONG_S = 1e-7, 0.1, 20.0

FEATURE_OF = {
    "W1": "effluent", "W1 nitrogen": "two_qualities", "W2": "near", "W3": "effluent", "W4": "effluent", "W5": "storage",
    "W6": "tanker", "W6 least take": "least_take", "W6 feed": "single_feed", "W7": "quota", "W8": "cascade",
    "W8 clause": "cascade", "W9": "pilot", "W10": "price", "W11": "cap", "W12 budget": "money", "W12 locks": "locks",
    "W13 volume": "volume", "W13 nitrogen": "nitrogen", "W13 near": "near", "W13 plants": "plants",
}  # fmt: skip
"""Rows of the enumeration, with the feature whose towns are asked first."""


@cache
def best_of(seed: int) -> float | None:
    instance, goal = draw(seed)
    return Enumeration(instance).best(goal)


def slack(value: float) -> float:
    return 1e-6 * max(1.0, abs(value)) + 1e-3


@pytest.mark.parametrize("first", range(0, NUM_TOWNS, CHUNK))
def test_every_design_formulation_and_fast_path_agree(first: int) -> None:
    for seed in range(first, min(first + CHUNK, NUM_TOWNS)):
        _agree(seed)


def _agree(seed: int) -> None:
    instance, goal = draw(seed)
    best = best_of(seed)
    where = f"town {seed}, {goal}"
    plain = solve_formulation(instance, SolveOptions(goal=goal, gap=0.0, time_limit_s=LONG_S))
    stored = bool(len(instance.storage_sites))  # the fast path builds none, and cannot close the gap then
    seconds = SHORT_S if best is None or stored else LONG_S
    options = SolveOptions(goal=goal, gap=CLOSED, time_limit_s=seconds)
    assert unsupported_by_fast(instance, options) is None, where
    fast = solve_fast(instance, options)
    if best is None:
        assert plain.stop is StopReason.INFEASIBLE, where
        assert fast.solution is None, where
        return
    assert plain.objective is not None, where
    assert abs(plain.objective - best) <= slack(best), where
    sign = -1.0 if goal[-1] == "cost" else 1.0
    keeps_as_much = (
        not stored or len(goal) == 1
    )  # a later goal's bound is that of plans that keep what was reached
    if keeps_as_much:
        assert fast.bound is not None, where
        assert sign * fast.bound >= sign * best - slack(best), where
    if not stored:
        assert fast.objective is not None, where
        assert abs(fast.objective - best) <= slack(best), where
    if fast.objective is not None and fast.bound is not None:
        assert sign * fast.objective <= sign * fast.bound + slack(best), where
        if keeps_as_much:
            assert sign * fast.objective <= sign * best + slack(best), where
        if seed % CHECKED == 0:
            report = check(instance, fast.solution)
            assert report.passed, (where, report.violations[:3])
            assert abs(report.figures[goal[-1]] - fast.objective) <= slack(best), where


def _towns_with(feature: str) -> Iterator[int]:
    """Towns drawn for a feature first, then all others."""
    own = [
        seed for seed in range(NUM_TOWNS) if FEATURES[seed // len(GOALS) % len(FEATURES)].__name__ == feature
    ]
    yield from own
    yield from (seed for seed in range(NUM_TOWNS) if seed not in own)


@pytest.mark.parametrize("row", FEATURE_OF)
def test_every_row_is_active_in_some_towns(row: str) -> None:
    """Without the row the optimum is another."""
    active = 0
    for seed in _towns_with(FEATURE_OF[row]):
        instance, goal = draw(seed)
        best, without = best_of(seed), Enumeration(instance).best(goal, row)
        if best is None or without is None:
            active += best is not without
        else:
            active += abs(best - without) > slack(best)
        if active >= ENOUGH:
            return
    pytest.fail(f"{row} is active in {active} of {NUM_TOWNS} towns only")


def test_every_row_of_the_enumeration_has_its_turn() -> None:
    rows = {row.equation for seed in range(0, NUM_TOWNS, 5) for row in Enumeration(draw(seed)[0]).rows}
    assert rows - set(FEATURE_OF) == set()

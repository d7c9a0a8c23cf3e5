"""What the time goes to while the gap is open: who is next, when it ends, and that nothing is begun that does not fit."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import pytest

from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions
from optimize.result import StopReason, TracePoint
from optimize.water import fast, fast_bound, fast_rounds, fast_steps
from optimize.water.checker import check
from optimize.water.coefficients import derive_coefficients
from optimize.water.fast import solve_fast
from optimize.water.fast_bound import WaterBound
from optimize.water.fast_locks import locked_decisions
from optimize.water.fast_rounds import FAIR, Pace
from optimize.water.instance import Instance
from tests.water.test_bound import two_plants_by_season


@pytest.fixture
def open_gap(town: Any, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """A tiny town that is treated as a large one and whose gap no part closes."""
    monkeypatch.setattr(fast, "SMALL_LANE_PERIODS", 0)
    monkeypatch.setattr(fast_steps, "WHOLE_MODEL_LANES", 0)
    monkeypatch.setattr(fast_steps, "MOST_ITERATIONS", 200)
    monkeypatch.setattr(fast_rounds, "is_worth_branching", lambda c: False)
    return two_plants_by_season(town, 4)


def solved(instance: Instance, **options: Any) -> tuple[Any, float]:
    began = time.monotonic()
    result = solve_fast(instance, SolveOptions(gap=1e-9, **options))
    assert check(instance, result.solution).passed and result.bound >= result.objective
    return result, time.monotonic() - began


def test_all_the_time_is_used_and_no_more(open_gap: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_rounds, "PATIENCE", 10**9)
    result, seconds = solved(open_gap, time_limit_s=1.5)
    assert result.stop is StopReason.TIME_LIMIT and not result.notes
    assert 1.5 <= seconds < 3.5
    assert result.certificate is not None and result.certificate.network is not None


@pytest.mark.parametrize("threads", [1, 2])
def test_an_early_end_says_why(threads: int, open_gap: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_rounds, "PATIENCE", 3)
    monkeypatch.setattr(fast_rounds, "STILL_ITERATIONS", 100)
    result, seconds = solved(open_gap, time_limit_s=60.0, threads=threads)
    assert result.stop is StopReason.SEARCH_ENDED and seconds < 30.0
    (note,) = result.notes
    assert "3 searches in a row found no better plan" in note and "the bound stands still" in note


def test_an_interrupt_comes_back_with_what_there_is(
    open_gap: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_rounds, "PATIENCE", 10**9)
    interrupt, seen = threading.Event(), []

    def told(point: TracePoint) -> None:
        seen.append(point)
        if len(seen) > 5 and point.plan is not None:
            interrupt.set()

    result, seconds = solved(open_gap, time_limit_s=60.0, progress=told, interrupt=interrupt)
    assert result.stop is StopReason.INTERRUPTED and seconds < 30.0
    assert result.certificate is not None


class Player:
    step, why_ended = "", ""

    def __init__(self, *paid: tuple[float, float]) -> None:
        self.pace = Pace(memory_s=10.0)
        for seconds, gain in paid:
            self.pace.add(seconds, gain)


def next_of(*players: Player, worth_it: float = 0.1) -> Player:
    return fast_rounds._next_of(players, worth_it)  # type: ignore[arg-type, return-value]


def test_who_gained_more_of_late_is_next() -> None:
    once_fast, fast_now = Player((10.0, 100.0), (30.0, 0.0)), Player((20.0, 0.0), (20.0, 30.0))
    assert next_of(once_fast, fast_now) is fast_now
    untried = Player()
    assert next_of(fast_now, untried) is untried and untried.pace.per_second == math.inf


def test_nobody_starves_and_crumbs_are_worth_nothing() -> None:
    rich, poor = Player((FAIR + 0.1, 100.0)), Player((1.0, 0.0))
    assert next_of(rich, poor) is poor
    crumbs, nothing = Player((3.0, 0.2)), Player((2.0, 0.0))
    assert next_of(crumbs, nothing) is nothing
    assert next_of(crumbs, nothing, worth_it=0.01) is crumbs


@pytest.mark.parametrize(("needs_s", "begun"), [(1e-9, True), (1.0, False)])
def test_more_multipliers_are_begun_only_where_time_is_left(
    needs_s: float, begun: bool, town: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_bound, "SECONDS_PER_REFINED", needs_s)
    instance = two_plants_by_season(town, 4)
    c = derive_coefficients(instance)
    bound = WaterBound(instance, c, locked_decisions(instance, c))
    watch = Watch(SolveOptions(time_limit_s=20.0), maximise=True)
    bound.start(watch)
    for _ in range(60):
        bound.improve(watch, 0.0, 50)
        if bound.num_seasons > 1:
            break
    assert (bound.num_seasons > 1) is begun

"""The fast path: plans pass the check, bounds hold, limits and interruptions are kept."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimize.clauses import CLAUSES, ClauseTarget
from optimize.engine.highs import solve_lp, solve_milp
from optimize.engine.network_design import DesignSearch
from optimize.engine.stopping import Watch
from optimize.io.validation import data_from_draft
from optimize.programme import SolveOptions
from optimize.result import StopReason
from optimize.water.checker import check
from optimize.water.coefficients import derive_coefficients
from optimize.water.example import example
from optimize.water.fast import prefer_fast, solve_fast, unsupported_by_fast
from optimize.water.fast_bound import WaterBound
from optimize.water.fast_layout import Part
from optimize.water.fast_locks import locked_decisions
from optimize.water.fast_model import averaged, build_flow_model
from optimize.water.fast_thin import one_size
from optimize.water.formulation import solve_formulation
from optimize.water.generator import generate
from optimize.water.instance import Instance, load
from optimize.water.schema import SCHEMA
from optimize.water.solution import Solution
from tests.water.random_towns import random_town

# Proven as soon as there is a good plan of `small`: what comes then only brings the bound nearer.
PLAN_FOUND = 2.0


@pytest.fixture(scope="module")
def small() -> Instance:
    return load(data_from_draft(SCHEMA, generate("s", 1)))


@pytest.fixture(scope="module")
def free(small: Instance) -> Solution:
    """A plan that nothing but money limits."""
    return solve_fast(small, options(3.0, gap=PLAN_FOUND)).solution


def options(seconds: float = 4.0, **keys: Any) -> SolveOptions:
    return SolveOptions(time_limit_s=seconds, **keys)


def with_target(instance: Instance, clause: str, required: float, **keys: Any) -> Instance:
    target = ClauseTarget(CLAUSES[clause], required, **keys)
    return replace(instance, targets={**instance.targets, clause: target})


def test_plan_passes_the_check_and_lies_below_the_bound(small: Instance) -> None:
    result = solve_fast(small, options(3.0))
    report = check(small, result.solution)
    assert report.passed, report.violations[:5]
    assert report.figures["npv"] == pytest.approx(result.objective, rel=1e-6)
    assert result.objective > 0
    assert result.bound is not None
    assert result.bound >= result.objective


@pytest.mark.parametrize("seed", range(4))
def test_relaxations_bound_the_optimum(seed: int, town: Any) -> None:
    random_town(town, seed)
    instance = town.instance()
    c = derive_coefficients(instance)
    best = solve_formulation(instance, SolveOptions(gap=0.0, time_limit_s=20.0)).objective
    assert best is not None
    slack = 1e-6 * max(1.0, abs(best))
    bound = WaterBound(instance, c, locked_decisions(instance, c))
    watch = Watch(options(20.0), maximise=True)
    linear = bound.start(watch)
    assert linear is not None
    assert linear >= best - slack
    first = bound.improve(watch, best, 1)
    last = bound.improve(watch, best, 400)
    assert first is not None and last is not None
    assert first >= last >= best - slack


@pytest.mark.parametrize("seed", range(5, 8))
def test_model_over_everything_is_the_formulation(seed: int, town: Any) -> None:
    random_town(town, seed)
    instance = town.instance()
    c = derive_coefficients(instance)
    model = build_flow_model(instance, c, Part.whole(c))
    outcome = solve_milp(model.milp, Watch(options(20.0, gap=0.0), maximise=True))
    best = solve_formulation(instance, SolveOptions(gap=0.0, time_limit_s=20.0)).objective
    assert outcome.objective == pytest.approx(best, rel=1e-6, abs=1.0)


def test_averaging_and_one_size_relax(small: Instance) -> None:
    c = derive_coefficients(small)
    watch = Watch(options(60.0), maximise=True)

    def linear(coefficients: Any) -> float:
        whole = Part.whole(coefficients)
        outcome = solve_lp(build_flow_model(small, coefficients, whole, relaxed=True).milp, watch)
        assert outcome.objective is not None
        return outcome.objective

    mean = averaged(c, [np.arange(len(c.days))])
    assert linear(mean) >= linear(c) - 1.0
    assert linear(one_size(mean)) >= linear(mean) - 1.0


def test_same_seed_same_plan(small: Instance) -> None:
    # the gap is reached before any limit of time
    first, second = (solve_fast(small, options(60.0, gap=3.0)) for _ in range(2))
    assert first.objective == second.objective
    assert first.solution.pipes.equals(second.solution.pipes)


def test_hardly_any_time_gives_a_checked_plan_or_none(small: Instance) -> None:
    for seconds in (1e-3, 1.0):
        result = solve_fast(small, options(seconds))
        if result.solution is not None:
            assert check(small, result.solution).passed


def test_interruption_keeps_the_plan(small: Instance) -> None:
    stop = threading.Event()
    stop.set()
    result = solve_fast(small, options(30.0, interrupt=stop))
    assert result.stop is StopReason.INTERRUPTED
    if result.solution is not None:
        assert check(small, result.solution).passed


def test_interruption_of_the_search_keeps_what_it_found(
    small: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, net = threading.Event(), []

    def interrupted(search: DesignSearch, watch: Watch, iterations: int, scouts: int) -> None:
        net.append(search.net)
        search.improve(watch, 1_000)
        net.append(search.net)
        stop.set()

    monkeypatch.setattr(DesignSearch, "improve_in_rounds", interrupted)
    result = solve_fast(small, options(30.0, interrupt=stop))
    assert result.stop is StopReason.INTERRUPTED and len(net) == 2
    plans = [point.plan for point in result.trace if point.plan is not None]
    assert net[1] > net[0] and plans[-1] == result.objective > plans[0]
    assert check(small, result.solution).passed


@pytest.mark.parametrize(
    ("clause", "share"), [("W-VOLUME", 0.92), ("W-TN", 0.9), ("W-UPGRADE", 1.0), ("W-NEAR", 1.1)]
)
def test_targets_are_reached(clause: str, share: float, small: Instance, free: Solution) -> None:
    """Volume and nitrogen: a share of what the search reaches when it seeks nothing else."""
    reached = {"W-UPGRADE": float(free.modules["plant"].nunique()), "W-NEAR": 12.0}
    goal = {"W-VOLUME": "volume", "W-TN": "tn"}.get(clause)
    if goal is not None:
        reached[clause] = solve_fast(small, options(4.0, gap=PLAN_FOUND, goal=(goal,))).objective
    asked = with_target(small, clause, share * reached[clause])
    result = solve_fast(asked, options(4.0, gap=PLAN_FOUND))
    assert result.solution is not None
    report = check(asked, result.solution)
    assert report.passed, report.violations[:5]


def test_locks_hold(small: Instance, free: Solution) -> None:
    plan = free
    pipe = plan.pipes.iloc[0]
    served = set(plan.connections["user"])
    unserved = next(user for user in small.users["user"] if user not in served)
    locks = small.locks.reindex(range(3))
    locks["kind"] = ["force_out", "force_in", "force_out"]
    locks["id"] = [pipe["corridor"], unserved, sorted(served)[0]]
    locks[["other", "value", "note"]] = ""
    locks["year"] = 0
    locked = replace(small, locks=locks)
    result = solve_fast(locked, options(6.0, gap=PLAN_FOUND))
    report = check(locked, result.solution)
    assert report.passed, report.violations[:5]
    assert unserved in set(result.solution.connections["user"])
    assert pipe["corridor"] not in set(result.solution.pipes["corridor"])


def test_writing_the_model_is_left_to_the_formulation(small: Instance, tmp_path: Path) -> None:
    assert "writing" in str(unsupported_by_fast(small, options(write_model=tmp_path / "a.lp")))
    assert unsupported_by_fast(small, options()) is None


def test_pairs_with_storage_are_left_to_the_formulation(town: Any) -> None:
    town.add(
        "storage_sites", "S", site="S", node="J", quality="lo", volume_m3=100.0, capex_cny=1.0, district="d"
    )
    assert unsupported_by_fast(town.instance(), options()) is None
    town.lock("together", "A", other="S")
    assert "storage" in str(unsupported_by_fast(town.instance(), options()))


@pytest.mark.parametrize("size", ["s", "m"])
def test_sizes_at_which_branch_and_cut_finds_no_plan_prefer_the_fast_path(size: str) -> None:
    assert prefer_fast(load(data_from_draft(SCHEMA, generate(size, 0))), options())
    assert not prefer_fast(load(data_from_draft(SCHEMA, example())), options())

"""Fast engines = branch and cut on random small cases with all rows; infeasible cases explained alike.

``RANDOM_CASES`` sets how many cases run (the suite takes a few, a thorough check some hundreds).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from optimize.datacenter.arrays import build_milp, objectives_of
from optimize.datacenter.options import derive_options
from optimize.engine import column_generation, column_plans, column_relaxation, elastic, many_candidates
from optimize.engine.choice import solve_by_choice
from optimize.engine.column_generation import prove_infeasible, relax_by_columns, solve_by_columns
from optimize.engine.elastic import smallest_relaxations
from optimize.engine.highs import MilpOutcome, solve_milp
from optimize.engine.rounding_cuts import tighten_by_rounding
from optimize.engine.stopping import Watch
from optimize.milp import ElasticRows, Milp
from optimize.programme import SolveOptions
from optimize.result import StopReason
from tests.datacenter.cases import instance_of, vary

NUM_CASES = int(os.environ.get("RANDOM_CASES", "24"))
EXACT = SolveOptions(gap=0.0, time_limit_s=60.0)
GOALS = ("npv", "cost", "energy")
CLAUSES = {
    "DC-PUE": {"required": 0.5, "hard": False, "penalty_cny_per_unit": 3e6},
    "DC-CLOSE": {"required": 0.3},
    "DC-TECH": {"required": 1},
    "DC-SAFE": {"required": 0},
    "DC-HEAT": {"required": 200.0, "hard": False, "penalty_cny_per_unit": 400.0},
    "DC-BATT": {"required": 1},
    "DC-GREEN": {"required": 1, "hard": False, "penalty_cny_per_unit": 2e5},
    "DC-LIMIT": {"required": 4},
    "DC-ENERGY": {"required": 500.0},
    "DC-CO2": {"required": 100.0},
    "DC-WATER": {"required": 60_000.0},
}

Case = tuple[Milp, NDArray[np.int64], list[ElasticRows]]


@cache
def base(goal: str) -> Case:
    """All rows R2-R12 of the example, its clauses all asked for, carry-over included."""
    draft = vary(
        parameters={"budgets.carry_over_share": 0.7, "datacenter.max_packages_per_centre": 5},
        targets=CLAUSES,
    )
    instance = instance_of(draft)
    options = derive_options(instance, (goal,))
    milp, elastic_rows, penalty = build_milp(instance, options)
    objective = objectives_of(instance, options, (goal,), penalty)[0]
    group = np.full(milp.num_columns, -1)
    group[: len(options)] = options.centre
    return milp.with_objective(objective.cost, objective.maximise), group, elastic_rows


def case(seed: int) -> Case:
    """The base with values, sides and open options drawn anew."""
    random = np.random.default_rng(seed)
    milp, group, elastic_rows = base(GOALS[seed % len(GOALS)])
    choosing = (milp.row_lower == 1) & (milp.row_upper == 1)
    # Some cases are infeasible, most are not: targets fall more often than they rise, caps rise.
    target = np.isfinite(milp.row_lower)
    factor = np.where(target, random.uniform(0.2, 1.1, len(target)), random.uniform(0.7, 1.5, len(target)))
    factor = np.where(choosing, 1.0, factor)
    cost = milp.cost * random.uniform(0.7, 1.3, milp.num_columns)
    closed = (random.random(milp.num_columns) < 0.3) & milp.integral
    plainest = np.unique(group, return_index=True)[1]
    closed[plainest] = False
    varied = Milp(
        cost=cost,
        matrix=milp.matrix,
        row_lower=np.where(np.isfinite(milp.row_lower), milp.row_lower * factor, milp.row_lower),
        row_upper=np.where(np.isfinite(milp.row_upper), milp.row_upper * factor, milp.row_upper),
        lower=milp.lower,
        upper=np.where(closed, 0.0, milp.upper),
        integral=milp.integral,
        maximise=milp.maximise,
    )
    return varied, group, elastic_rows


def by_columns(milp: Milp, group: NDArray[np.int64]) -> MilpOutcome | None:
    return solve_by_columns(milp, group, Watch(EXACT, milp.maximise))


def by_multipliers(milp: Milp, group: NDArray[np.int64]) -> MilpOutcome | None:
    """Columns of a sample first, undecided candidates, then the choice engine: the way of large cases."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(column_generation, "_MANY_CANDIDATES", 1)
        patch.setattr(column_plans, "_UNDECIDED", 2)
        patch.setattr(column_relaxation, "_SAMPLE", 2)
        return solve_by_columns(milp, group, Watch(EXACT, milp.maximise))


def around_the_decided(milp: Milp, group: NDArray[np.int64], watch: Watch) -> MilpOutcome | None:
    """The way of the largest cases; None: the decided leave no room for a plan."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(many_candidates, "_LEAST_DECIDED", 3)
        patch.setattr(many_candidates, "_IN_SAMPLE", 4)
        patch.setattr(column_relaxation, "_FEW_CANDIDATES", 4)
        return column_generation._solve_many(milp, group, watch, None)


def test_plans_around_the_decided_hold_all_rows_under_a_valid_bound() -> None:
    found = 0
    for seed in range(NUM_CASES):
        milp, group, _ = case(seed)
        plain = solve_milp(milp, Watch(EXACT, milp.maximise))
        watch = Watch(EXACT, milp.maximise)
        outcome = around_the_decided(milp, group, watch)
        if plain.objective is None:
            assert outcome is None or outcome.x is None
            continue
        room = 1e-7 * max(1.0, abs(plain.objective))
        if watch.bound is not None:
            assert (
                plain.objective <= watch.bound + room
                if milp.maximise
                else plain.objective >= watch.bound - room
            )
        if outcome is not None and outcome.x is not None:
            assert outcome.objective is not None and outcome.bound is not None
            assert milp.violation(outcome.x) <= 1e-6
            low, high = sorted((outcome.objective, outcome.bound))
            assert low - room <= plain.objective <= high + room, f"seed {seed}"
            found += 1
    assert found > NUM_CASES // 3


def test_multipliers_of_narrow_rows_make_the_bound_of_many_candidates_closer() -> None:
    closer = 0
    for seed in range(NUM_CASES // 2):
        milp, group, _ = case(seed)
        bounds = []
        for is_left_out in (False, True):
            watch = Watch(EXACT, milp.maximise)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(column_relaxation, "_FEW_CANDIDATES", 4)
                if is_left_out:
                    patch.setattr(many_candidates, "_with_narrow", lambda *given: given[4])
                many_candidates.relax_many(milp, group, watch)
            bounds.append(None if watch.certificate is None else watch.certificate.bound)
        if bounds[0] is None or bounds[1] is None:
            continue
        gain = bounds[1] - bounds[0] if milp.maximise else bounds[0] - bounds[1]
        room = 1e-6 * max(1.0, abs(bounds[0]))
        assert gain >= -room, f"seed {seed}"
        closer += gain > room
    assert closer


def by_choice(milp: Milp, group: NDArray[np.int64]) -> MilpOutcome | None:
    return solve_by_choice(milp, Watch(EXACT, milp.maximise))


def on_two_threads(milp: Milp, group: NDArray[np.int64]) -> MilpOutcome | None:
    """Neighbourhoods and branch and cut side by side."""
    return solve_by_columns(milp, group, Watch(replace(EXACT, threads=2), milp.maximise))


@pytest.mark.parametrize("solve", [by_columns, on_two_threads, by_multipliers, by_choice])
def test_random_cases_reach_the_optimum(
    solve: Callable[[Milp, NDArray[np.int64]], MilpOutcome | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(column_generation, "_FIRST_CORE", (1, 1))
    monkeypatch.setattr(column_generation, "_SECOND_CORE", (2, 1))
    feasible = 0
    for seed in range(NUM_CASES):
        milp, group, _ = case(seed)
        plain = solve_milp(milp, Watch(EXACT, milp.maximise))
        found = solve(milp, group)
        assert found is not None, f"seed {seed}: structure not found"
        if plain.stop is StopReason.INFEASIBLE:
            assert found.x is None and found.stop is StopReason.INFEASIBLE, f"seed {seed}"
            continue
        feasible += 1
        assert plain.objective is not None and found.x is not None, f"seed {seed}: no plan"
        assert found.objective is not None and found.bound is not None
        room = 1e-7 * max(1.0, abs(plain.objective))
        sign = 1.0 if milp.maximise else -1.0
        assert milp.violation(found.x) <= 1e-6
        assert sign * found.bound >= sign * plain.objective - room, f"seed {seed}: bound beyond the optimum"
        assert found.objective == pytest.approx(plain.objective, rel=1e-6), f"seed {seed}"
    assert feasible > NUM_CASES // 3


def test_every_bound_on_the_way_is_valid() -> None:
    for seed in range(NUM_CASES):
        milp, group, _ = case(seed)
        plain = solve_milp(milp, Watch(EXACT, milp.maximise))
        watch = Watch(EXACT, milp.maximise)
        relaxed = relax_by_columns(milp, group, watch)
        if relaxed.infeasible:
            assert plain.stop is StopReason.INFEASIBLE, f"seed {seed}"
        elif plain.objective is not None:
            room = 1e-7 * max(1.0, abs(plain.objective))
            for point in watch.trace:
                assert point.bound is not None
                better = plain.objective - point.bound if milp.maximise else point.bound - plain.objective
                assert better <= room, f"seed {seed}"


def test_bounds_with_cuts_are_valid_and_tighter() -> None:
    tighter = 0
    for seed in range(NUM_CASES):
        milp, group, _ = case(seed)
        plain = solve_milp(milp, Watch(EXACT, milp.maximise))
        relaxed = relax_by_columns(milp, group, Watch(EXACT, milp.maximise))
        if plain.x is None or plain.objective is None or relaxed.relaxation is None:
            continue
        tightened = tighten_by_rounding(milp, group, relaxed.inside, Watch(EXACT, milp.maximise))
        assert tightened is not None
        sign = 1.0 if milp.maximise else -1.0
        room = 1e-7 * max(1.0, abs(plain.objective))
        assert sign * tightened.bound >= sign * plain.objective - room, f"seed {seed}"
        assert (tightened.cuts @ plain.x <= tightened.sides + 1e-7).all(), f"seed {seed}"
        tighter += sign * (relaxed.relaxation.bound - tightened.bound) > 10 * room
    assert tighter > NUM_CASES // 4


def test_infeasible_is_claimed_with_multipliers_only_where_branch_and_cut_agrees() -> None:
    claimed = 0
    for seed in range(NUM_CASES):
        milp, group, elastic_rows = case(seed)
        tight = milp.with_bounds(milp.lower, milp.upper)
        target = next(rows for rows in elastic_rows if rows.clause == "DC-BATT").rows[0]
        tight.row_lower[target] = 1.0 + seed % 4
        infeasible, _ = prove_infeasible(tight, group, Watch(EXACT, maximise=False))
        if infeasible:
            claimed += 1
            assert solve_milp(tight, Watch(EXACT, tight.maximise)).stop is StopReason.INFEASIBLE
    assert claimed > 0


def test_large_and_small_explanations_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """What columns say of a clause out of reach is what branch and cut says."""
    milp, group, elastic_rows = base("npv")
    position = next(k for k, rows in enumerate(elastic_rows) if rows.clause == "DC-BATT")
    asked = ElasticRows("DC-BATT", "", "count", elastic_rows[position].rows, required=9.0)
    elastic_rows = [*elastic_rows[:position], asked, *elastic_rows[position + 1 :]]
    lower = milp.row_lower.copy()
    lower[asked.rows] = 9.0
    hard = Milp(
        milp.cost, milp.matrix, lower, milp.row_upper, milp.lower, milp.upper, milp.integral, milp.maximise
    )
    exact = smallest_relaxations(hard, elastic_rows, Watch(EXACT, maximise=False))
    monkeypatch.setattr(elastic, "_COLUMNS_FROM", 0)
    by_bound = smallest_relaxations(hard, elastic_rows, Watch(EXACT, maximise=False), candidate=group)
    for relaxed in (exact, by_bound):
        assert relaxed.confirmed
        (row,) = relaxed.ways[0].rows
        assert (row.clause, relaxed.ways[0].exact) == ("DC-BATT", True)
    ((first,), (second,)) = exact.ways[0].rows, by_bound.ways[0].rows
    assert second.reachable <= first.reachable + 1e-6
    assert second.reachable == pytest.approx(first.reachable, abs=1.0)

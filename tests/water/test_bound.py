"""The Lagrangian bound: above the optimum in every form, and tighter with seasons and origins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from optimize.engine import network_bound
from optimize.engine.network_bound import IN_FULL, BoundSettings, LagrangianBound
from optimize.engine.network_start import start_over_cheapest_ways
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions
from optimize.water import fast_bound
from optimize.water.coefficients import derive_coefficients
from optimize.water.fast_bound import WaterBound, gross_bound
from optimize.water.fast_goal import weights_of
from optimize.water.fast_locks import locked_decisions
from optimize.water.formulation import solve_formulation
from optimize.water.instance import Instance
from optimize.water.proof.prove import prove_bound

WATCH = Watch(SolveOptions(time_limit_s=1e9), True)  # its clock begins when the module is read


def two_plants_by_season(town: Any, seed: int) -> Instance:
    """Two plants of different sizes, demands that rise in summer, money short, a limit on the mean distance."""
    rng = np.random.default_rng(seed)
    rows = town.rows
    rows["plants"]["P"]["effluent_m3_per_d"] = 400.0
    rows["plants"]["R"] = {**rows["plants"]["P"], "plant": "R", "effluent_m3_per_d": 250.0}
    rows["treatment"]["R-lo"] = {**rows["treatment"]["P-lo"], "plant": "R"}
    rows["modules"]["R-lo-s"] = {**rows["modules"]["P-lo-s"], "plant": "R", "capacity_m3_per_d": 200.0}
    rows["corridors"]["RB"] = {**rows["corridors"]["JB"], "corridor": "RB", "from_node": "R"}
    for corridor in rows["corridors"].values():
        corridor["length_m"] = float(rng.integers(200, 3000))
    for month in range(1, 13):
        town.add(
            "profiles", f"s{month}", profile="summer", month=month, factor=1.6 if 4 < month < 11 else 0.4
        )
    for demand in rows["user_demands"].values():
        demand["profile"] = "summer"
        demand["base_m3_per_d"] = float(rng.integers(80, 250))
        demand["alternative_cny_per_m3"] = float(rng.uniform(3.0, 7.0))
    for user in rows["users"].values():
        user["min_take_share"] = float(rng.choice([0.0, 0.5, 1.0]))
    rows["budgets"]["m22"]["amount_cny"] = float(rng.integers(400_000, 1_600_000))
    del rows["budgets"]["m23"]
    town.parameters["water.periods"] = 4
    if seed % 2:
        town.aim("W-NEAR", 1.0)
    return town.instance()


def improved(instance: Instance, target: float, slices: int) -> tuple[WaterBound, list[float]]:
    """Bounds after each slice."""
    bound = WaterBound(instance, c := derive_coefficients(instance), locked_decisions(instance, c))
    watch = Watch(SolveOptions(time_limit_s=60.0), maximise=True)
    assert bound.start(watch) is not None
    values = [bound.improve(watch, target, 200) for _ in range(slices)]
    return bound, [value for value in values if value is not None]


def lagrangian_of(instance: Instance, rounds: int = 30) -> LagrangianBound:
    """Multipliers in full after some rounds over every period."""
    bound = WaterBound(instance, c := derive_coefficients(instance), locked_decisions(instance, c))
    bound.start(WATCH)
    assert bound.improve(WATCH, 0.0, rounds) is not None
    bound._refine()
    lagrangian = bound._lagrangian
    assert lagrangian is not None
    lagrangian.run(WATCH, 0.0, rounds)
    return lagrangian


@pytest.mark.parametrize("most_multipliers", [IN_FULL, 8])
@pytest.mark.parametrize("seed", range(6))
def test_no_form_of_the_bound_cuts_off_the_optimum(
    seed: int, most_multipliers: int, town: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_bound, "MOST_MULTIPLIERS", most_multipliers)
    instance = two_plants_by_season(town, seed)
    best = solve_formulation(instance, SolveOptions(gap=0.0, time_limit_s=30.0)).objective
    assert best is not None
    # towards less than the optimum, so that a wrong bound would go through it
    bound, values = improved(instance, 0.9 * best - 1.0, 6)
    assert bound.num_seasons == 4
    assert values == sorted(values, reverse=True)
    assert values[-1] >= best - 1e-6 * max(1.0, abs(best))
    certificate = bound.prove()
    if certificate is not None:  # None: the linear relaxation is closer here
        assert certificate.network is not None and certificate.network.content is not None
        proven = prove_bound(instance, ("npv",), certificate.network.content).bound
        assert proven >= best - 1e-6 * max(1.0, abs(best))
        assert proven == pytest.approx(values[-1], rel=1e-6, abs=1.0)


@pytest.mark.parametrize("seed", range(3))
def test_shared_multipliers_are_full_ones_that_are_equal(seed: int, town: Any) -> None:
    full = lagrangian_of(two_plants_by_season(town, seed))
    for most in (0, 8, 12):
        shared = full.widened(most)
        assert shared.multipliers.size < full.multipliers.size
        assert shared.run(WATCH, 0.0, 20) < np.inf
        assert full.value_at(*shared.best_multipliers()) == pytest.approx(shared.best, rel=1e-12)
        assert shared.widened(IN_FULL).run(WATCH, 0.0, 0) == pytest.approx(shared.best, rel=1e-12)


@pytest.mark.parametrize("seasons", [1, 4])
def test_what_lanes_remember_changes_no_value(seasons: int, town: Any) -> None:
    instance = two_plants_by_season(town, 3)
    bound = WaterBound(instance, c := derive_coefficients(instance), locked_decisions(instance, c))
    bound.start(WATCH)
    bound.improve(WATCH, 0.0, 50)
    if seasons > 1:
        bound._refine()
    lagrangian, rng = bound._lagrangian, np.random.default_rng(0)
    assert lagrangian is not None and lagrangian.network.one_way == (seasons > 1)
    x, kept = lagrangian._centre.copy(), 0
    for size in (0.001, 0.01, 0.1, 1.0, 0.1, 0.01, 0.001) * 5:
        at = x + rng.normal(0.0, size * np.abs(x).mean(), x.shape)
        remembered, _ = lagrangian._value(at, lagrangian._prices)
        tangents = lagrangian._tangents
        kept += int((tangents.commodity < 1e299).sum())
        for levels in tangents:
            levels[:] = 1e300
        forgotten, _ = lagrangian._value(at, lagrangian._prices)
        assert remembered == pytest.approx(forgotten, rel=1e-13)
    assert kept > 0


@pytest.mark.parametrize("seed", range(4))
def test_without_a_linear_relaxation_the_bound_starts_over_the_cheapest_ways(
    seed: int, town: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_bound, "MOST_LINEAR_COLUMNS", 0)
    instance = two_plants_by_season(town, seed)
    best = solve_formulation(instance, SolveOptions(gap=0.0, time_limit_s=30.0)).objective
    assert best is not None
    bound = WaterBound(instance, c := derive_coefficients(instance), locked_decisions(instance, c))
    assert bound.start(WATCH) is None
    first, last = (bound.improve(WATCH, best, rounds) for rounds in (0, 200))
    assert first is not None and last is not None and best <= last < first
    assert first < gross_bound(c, weights_of(instance, c, "npv"))
    # what the start believes is what its multipliers prove; where money is short it has a price
    assert bound._lagrangian is not None
    network = bound._lagrangian.network
    assert first == pytest.approx(start_over_cheapest_ways(network).value, rel=1e-6)
    poor = replace(network, budget=0.1 * network.budget, raw_available=0.5 * network.raw_available)
    start = start_over_cheapest_ways(poor)
    assert start.prices.purse.max() > 0.0
    assert start.value < 0.99 * start_over_cheapest_ways(poor, 0).value
    lagrangian = LagrangianBound(poor, start.potential, start.prices)
    assert lagrangian.run(WATCH, 0.0, 0) == pytest.approx(start.value, rel=1e-6)


def test_a_bound_goes_on_from_few_multipliers_to_all_and_then_to_seasons(
    town: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_bound, "FIRST_MULTIPLIERS", 2)
    monkeypatch.setattr(fast_bound, "FIRST_NODES", 0)
    monkeypatch.setattr(fast_bound, "LEAST_ROUNDS", 60)
    instance = two_plants_by_season(town, 1)
    bound = WaterBound(instance, c := derive_coefficients(instance), locked_decisions(instance, c))
    bound.start(WATCH)
    seen = []
    for threads in (1, 2, 2, 2, 2, 2, 1, 2):
        bound.threads = threads
        seen.append((bound.improve(WATCH, 0.0, 60), bound.num_seasons, bound._lagrangian.multipliers.size))  # type: ignore[union-attr]
    values = [value for value, _, _ in seen if value is not None]
    assert len(values) == 8 and values == sorted(values, reverse=True)
    sizes = [size for _, seasons, size in seen if seasons == 1]
    assert sizes == sorted(sizes) and len(set(sizes)) > 1
    assert seen[-1][1] == 4


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("most_multipliers", [IN_FULL, 8])
def test_slopes_are_subgradients(most_multipliers: int, threads: int, town: Any) -> None:
    """The bound is convex: nowhere does it lie below a tangent; and multipliers by places are what moves it."""
    full = lagrangian_of(two_plants_by_season(town, 1))
    settings = BoundSettings(most_multipliers=most_multipliers, threads=threads)
    bound = full._followed(full.network, *_shared(full, most_multipliers), full._prices, settings)
    x, rng = bound._centre, np.random.default_rng(0)
    value, _ = bound._value(x, bound._prices)
    slope = bound._slopes[0] + bound._slopes[1]
    assert np.abs(slope).max() > 0.0
    for size in (1e-3, 0.1, 1.0):
        other = x + rng.normal(0.0, size * np.abs(x).mean(), x.shape)
        there, _ = bound._value(other, bound._prices)
        assert there >= value + (slope * (other - x)).sum() - 1e-6 * abs(value)
    assert bound._value(x, bound._prices)[0] == value


def _shared(full: LagrangianBound, most: int) -> tuple[Any, Any]:
    wide = full.widened(most)
    return wide.multipliers, wide._centre


def test_a_branch_starts_at_its_parents_multipliers_and_stays_above_what_it_allows(town: Any) -> None:
    instance = two_plants_by_season(town, 2)
    parent = lagrangian_of(instance, 100)
    cost = parent.network.step_cost.copy()
    cost[:, :, 1:] = np.inf
    child = parent.branched(replace(parent.network, step_cost=cost))
    assert child.run(WATCH, 0.0, 0) <= parent.best
    assert child.run(WATCH, -1.0, 50) >= 0.0  # without any module nothing is made, and nothing paid
    kept = parent.branched(parent.network)
    assert kept.run(WATCH, 0.0, 0) == parent.best


def test_seasons_and_origins_tighten_the_bound(town: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = two_plants_by_season(town, 4)
    _, with_both = improved(instance, 0.0, 8)
    monkeypatch.setattr(WaterBound, "_may_refine", lambda self: False)
    _, averaged = improved(instance, 0.0, 8)
    monkeypatch.setattr(network_bound, "BIRTH_SCALE", 0.0)
    _, by_commodity = improved(instance, 0.0, 8)
    assert with_both[-1] < averaged[-1] < by_commodity[-1]

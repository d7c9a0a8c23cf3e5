"""The Lagrangian bound: above the optimum in every form, and tighter with seasons and origins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from optimize.engine import network_bound
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions
from optimize.water.coefficients import derive_coefficients
from optimize.water.fast_bound import WaterBound
from optimize.water.fast_locks import locked_decisions
from optimize.water.formulation import solve_formulation
from optimize.water.instance import Instance
from optimize.water.proof.prove import prove_bound


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


@pytest.mark.parametrize("seed", range(8))
def test_no_form_of_the_bound_cuts_off_the_optimum(seed: int, town: Any) -> None:
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


def test_seasons_and_origins_tighten_the_bound(town: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = two_plants_by_season(town, 4)
    _, with_both = improved(instance, 0.0, 8)
    monkeypatch.setattr(WaterBound, "_may_refine", lambda self: False)
    _, averaged = improved(instance, 0.0, 8)
    monkeypatch.setattr(network_bound, "BIRTH_SCALE", 0.0)
    _, by_commodity = improved(instance, 0.0, 8)
    assert with_both[-1] < averaged[-1] < by_commodity[-1]

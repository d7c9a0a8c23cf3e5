"""How the best plan must move when the instance does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimize.programme import SolveOptions
from optimize.pv_siting.fast import solve_fast
from optimize.schema import InstanceDraft

from .conftest import changed, instance_of, simple_draft, with_cells

FEW = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def tight() -> InstanceDraft:
    """Money, grid and a target that bind a little."""
    money = simple_draft().tables["budgets"].assign(amount_cny=[4e5, 5e5, 3e5, 3.5e5, 3e5, 2e5])
    grid = with_cells(simple_draft(), "feeders", hosting_capacity_kw=[130.0, 140.0])
    return changed(grid, tables={"budgets": money}, targets={"PV-50MW": {"required": 60.0}})


def best(draft: InstanceDraft, goal: str = "npv") -> float:
    result = solve_fast(instance_of(draft), SolveOptions(goal=(goal,), gap=0.0))
    assert result.objective is not None
    return result.objective


@FEW
@given(st.floats(0.3, 4.0))
def test_money_in_other_units_scales_the_value(factor: float) -> None:
    draft = tight()
    scaled = draft
    for table in ("kinds", "storages", "hot_water", "tariffs", "budgets"):
        frame = draft.tables[table]
        money = {name: frame[name] * factor for name in frame.columns if "_cny" in name}
        scaled = with_cells(scaled, table, **money)
    scaled = changed(
        scaled,
        parameters={
            "pv_siting.feed_in_cny_per_kwh": 0.4155 * factor,
            "pv_siting.hot_water.price_cny_per_kwh": 0.45 * factor,
            "prices.carbon_cny_per_t": 55.0 * factor,
        },
    )
    assert best(scaled) == pytest.approx(factor * best(draft), rel=1e-6)


@FEW
@given(st.floats(0.1, 0.99))
def test_less_money_is_never_better(share: float) -> None:
    untargeted = changed(tight(), targets={"PV-50MW": {"required": 0.0}})
    assert best(changed(untargeted, parameters={"budgets.scale": share})) <= best(untargeted) + 1e-6


@FEW
@given(st.floats(0.3, 0.99))
def test_less_grid_is_never_better(share: float) -> None:
    hosting = tight().tables["feeders"]["hosting_capacity_kw"] * share
    narrow = changed(
        with_cells(tight(), "feeders", hosting_capacity_kw=hosting), targets={"PV-50MW": {"required": 0.0}}
    )
    wide = changed(tight(), targets={"PV-50MW": {"required": 0.0}})
    assert best(narrow, "capacity") <= best(wide, "capacity") + 1e-6


@FEW
@given(st.floats(0.0, 150.0))
def test_a_higher_target_is_never_better(required: float) -> None:
    asked = changed(tight(), targets={"PV-50MW": {"required": required}})
    assert best(asked) <= best(changed(tight(), targets={"PV-50MW": {"required": 0.0}})) + 1e-6


@FEW
@given(st.integers(0, 2**16))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shuffled = {
        name: frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)
        for name, frame in tight().tables.items()
    }
    assert best(changed(tight(), tables=shuffled)) == pytest.approx(best(tight()), rel=1e-9)


def test_keeping_money_is_never_worse() -> None:
    values = [best(changed(tight(), parameters={"budgets.carry_over_share": s})) for s in (0.0, 0.5, 1.0)]
    assert values == sorted(values)


@pytest.mark.parametrize("kept_options", [500_000, 0])
def test_the_same_call_gives_the_same_plan(kept_options: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the figures of the options are not kept, but those of the plan derived again."""
    options = SolveOptions(gap=0.0)
    first = solve_fast(instance_of(tight()), options).solution
    monkeypatch.setattr("optimize.pv_siting.fast._KEPT_OPTIONS", kept_options)
    second = solve_fast(instance_of(tight()), options).solution
    assert first is not None and second is not None
    assert first.projects.equals(second.projects)

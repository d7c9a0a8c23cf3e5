"""Relations between optima that must hold whatever the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize.datacenter.fast import solve_fast
from optimize.datacenter.instance import Instance
from optimize.programme import SolveOptions
from tests.datacenter.cases import tiny

SEEDS = st.integers(0, 10_000)
MONEY = {
    "measures": ("fixed_capex_cny", "capex_cny_per_kw"),
    "hosts": ("hosting_fee_cny_per_kw_year", "migration_fixed_cny", "migration_cny_per_kw"),
    "centres": ("site_om_cny_per_year", "electricity_price_cny_per_kwh"),
    "budgets": ("amount_cny",),
    "funding": ("ceiling_cny",),
}
PRICES = (
    "prices.carbon_cny_per_t", "datacenter.electricity_price_cny_per_kwh", "datacenter.water_price_cny_per_m3",
)  # fmt: skip


def optimum(instance: Instance) -> float:
    result = solve_fast(instance, SolveOptions(gap=0.0))
    assert result.objective is not None
    return result.objective


@settings(max_examples=8, deadline=None, derandomize=True)
@given(SEEDS, st.floats(0.2, 5.0))
def test_all_money_scaled_scales_the_value(seed: int, factor: float) -> None:
    instance = tiny(seed)
    tables = {
        name: getattr(instance, name).assign(**{c: getattr(instance, name)[c] * factor for c in columns})
        for name, columns in MONEY.items()
    }
    parameters = dict(instance.parameters) | {name: instance.parameters[name] * factor for name in PRICES}
    targets = {
        name: replace(t, penalty_cny_per_unit=t.penalty_cny_per_unit * factor)
        for name, t in instance.targets.items()
    }
    scaled = replace(instance, parameters=parameters, targets=targets, **tables)
    assert optimum(scaled) == pytest.approx(factor * optimum(instance), rel=1e-6)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(SEEDS, st.floats(0.0, 1.0))
def test_less_money_is_never_better(seed: int, share: float) -> None:
    instance = tiny(seed)
    tighter = replace(instance, parameters=dict(instance.parameters) | {"budgets.scale": share})
    assert optimum(tighter) <= optimum(instance) + 1e-3


@settings(max_examples=8, deadline=None, derandomize=True)
@given(SEEDS)
def test_order_of_rows_does_not_matter(seed: int) -> None:
    instance = tiny(seed)
    random = np.random.default_rng(seed)

    def shuffled(name: str):  # type: ignore[no-untyped-def]
        frame = getattr(instance, name)
        return frame.iloc[random.permutation(len(frame))].reset_index(drop=True)

    names = ("centres", "measures", "budgets", "trades", "measure_trades")
    permuted = replace(instance, **{name: shuffled(name) for name in names})
    assert optimum(permuted) == pytest.approx(optimum(instance), rel=1e-9)

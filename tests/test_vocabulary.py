"""Finance, funding mixes, clause outcomes, gaps and console formats."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from optimize.checking import ClauseOutcome
from optimize.clauses import CLAUSES, ClauseTarget
from optimize.finance import annuity_factor, capital_recovery_factor, discount_factor, present_cost_of_asset
from optimize.funding import mixes_of, split_capex
from optimize.report import text
from optimize.result import relative_gap
from optimize.units import alternative_names


def test_annuity_is_the_sum_of_discounted_years() -> None:
    assert annuity_factor(0.05, 7) == pytest.approx(sum(1.05**-k for k in range(1, 8)))
    assert annuity_factor(0.0, 7) == 7
    assert discount_factor(0.05, 2) == pytest.approx(1 / 1.1025)
    assert capital_recovery_factor(0.05, 7) * annuity_factor(0.05, 7) == pytest.approx(1)


@given(st.floats(0.0, 0.2), st.integers(1, 30), st.integers(1, 4))
def test_asset_replaced_to_the_horizon_costs_its_purchases(rate: float, life: int, times: int) -> None:
    """Whole lives in the horizon: the annuitised cost equals buying again at the end of each life."""
    purchases = sum((1 + rate) ** -(life * k) for k in range(times))
    assert present_cost_of_asset(rate, life, 0, life * times) == pytest.approx(purchases)


@given(st.floats(0.0, 0.2), st.integers(1, 40), st.integers(0, 10))
@example(5e-324, 1, 0)
def test_residual_value_is_credited(rate: float, life: int, start: int) -> None:
    """An asset that outlives the horizon costs less than its price, by the annuities left."""
    horizon = start + life / 2
    cost = present_cost_of_asset(rate, life, start, horizon)
    assert 0 < cost < discount_factor(rate, start)


def funding() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("school", "shared", "municipal", 0.5, 300.0, False),
            ("school", "shared", "district", 0.5, np.nan, True),
            ("*", "own", "owner", 1.0, np.nan, False),
        ],
        columns=["project_kind", "mix", "source", "share", "ceiling_cny", "takes_rest"],
    )


def test_ceilings_push_money_to_the_source_that_takes_the_rest() -> None:
    paid = split_capex(funding(), "school", "shared", np.array([400.0, 1000.0]))
    assert paid.tolist() == [[200.0, 200.0, 0.0], [300.0, 700.0, 0.0]]
    assert mixes_of(funding(), "school") == ["shared"]
    assert mixes_of(funding(), "office") == ["own"]
    assert split_capex(funding(), "office", "own", np.array([5.0])).tolist() == [[0.0, 0.0, 5.0]]


@pytest.mark.parametrize(
    ("clause", "required", "reached", "met", "binding"),
    [
        ("PV-50MW", 50_000, 50_010, True, True),
        ("PV-50MW", 50_000, 60_000, True, False),
        ("PV-50MW", 50_000, 49_000, False, True),
        ("PV-BIPV", 15, 15, True, True),
        ("PV-BIPV", 15, 16, True, False),
        ("W-CAP", 100.0, 99.99, True, True),
        ("W-CAP", 100.0, 101.0, False, True),
    ],
)
def test_clause_outcomes(clause: str, required: float, reached: float, met: bool, binding: bool) -> None:
    outcome = ClauseOutcome(ClauseTarget(CLAUSES[clause], required), reached)
    assert (outcome.met, outcome.binding) == (met, binding)


def test_clause_ids_are_unique_and_bilingual() -> None:
    assert len(CLAUSES) == len({(c.zh, c.programme) for c in CLAUSES.values()})
    assert all(c.zh and c.en and c.unit for c in CLAUSES.values())


def test_gap_is_relative_to_the_plan() -> None:
    assert relative_gap(-200.0, -190.0) == pytest.approx(0.05)
    assert relative_gap(100.0, None) is None
    assert relative_gap(0.0, 0.0) == 0.0


def test_alternative_units() -> None:
    assert alternative_names("capex_cny") == {"capex_wan_cny": 1e4, "capex_mcny": 1e6}
    assert alternative_names("length_m") == {"length_km": 1e3}
    assert alternative_names("capex_cny_per_kw") == {"capex_cny_per_w": 1e3}
    assert alternative_names("price_cny_per_kwh") == {}
    assert alternative_names("id") == {}


def test_figures_for_people() -> None:
    assert text.amount(412_600_000.0, "CNY") == "412.6 M CNY"
    assert text.amount(50_000.0, "kW") == "50 000 kW"
    assert text.amount(None, "CNY") == "unlimited"
    assert text.percent(0.0036) == "0.36 %"
    assert text.percent(0.00043) == "0.043 %"
    assert text.percent(0.00004) == "0.0040 %"
    assert text.percent(0.0) == "0.00 %"
    assert text.percent(None) == "unknown"

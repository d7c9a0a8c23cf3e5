"""Every constraint of the formulation: without it, some plan is found that the checker rejects."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyomo.environ as pyo
import pytest

from optimize.datacenter.checker import check
from optimize.datacenter.example import example
from optimize.datacenter.formulation import build_model
from optimize.datacenter.instance import Instance
from optimize.datacenter.kinds import NOTHING
from optimize.datacenter.options import derive_options
from optimize.datacenter.plan import plan_from_choice
from optimize.engine.pyomo_bridge import solve_model
from optimize.programme import SolveOptions
from tests.datacenter.cases import changed, instance_of, locks, no_locks, vary


def _tables(**tables) -> Instance:  # type: ignore[no-untyped-def]
    return instance_of(vary(tables={"locks": no_locks(), **tables}, targets={}))


def _scarce(carry: float) -> Instance:
    parameters = {"budgets.scale": 0.3, "budgets.carry_over_share": carry}
    return instance_of(vary(parameters=parameters, targets={}))


def _few_weeks() -> Instance:
    trades = example().tables["trades"].assign(weeks=2.5)
    return _tables(trades=trades)


def _two_heat_sources() -> Instance:
    centres = changed("centres", 2, residual_life_years=12.0, it_load_kw=500.0)
    return _tables(centres=centres.infer_objects())


def _rich_partners() -> Instance:
    tables = {"locks": no_locks(), "zones": example().tables["zones"].assign(max_share_under_works=1.0)}
    return instance_of(
        vary(tables=tables, targets={}, parameters={"budgets.scale": 50.0}, without=("trades",))
    )


CASES: dict[str, Callable[[], Instance]] = {
    "one_option_per_centre": _tables,
    "spent_within_budget": lambda: _scarce(0.0),
    "carried_over_is_unspent": lambda: _scarce(0.5),
    "weeks_within_trade": _few_weeks,
    "works_within_zone_share": lambda: _tables(zones=example().tables["zones"].assign(max_share_under_works=0.2)),
    "partners_never_together": _rich_partners,
    "moved_within_host": lambda: _tables(host_capacity=example().tables["host_capacity"].assign(capacity_kw=36.0)),
    "heat_within_sink": _two_heat_sources,
    "target_met": lambda: instance_of(vary(tables={"locks": no_locks()}, targets={"DC-BATT": {"required": 2}})),
    "cap_kept": lambda: instance_of(vary(tables={"locks": no_locks()}, targets={"DC-WATER": {"required": 0.0}})),
    "together_both_or_none": lambda: _tables(locks=locks(("together", "A1", "B2", "", 0), ("force_out", "B2", "", "", 0))),
    "not_together_at_most_one": lambda: _tables(locks=locks(("not_together", "A1", "A2", "", 0))),
}  # fmt: skip


def _checked(instance: Instance, dropped: str | None):  # type: ignore[no-untyped-def]
    options = derive_options(instance, ("npv",))
    model = build_model(instance, options)
    if dropped:
        model.component(dropped).deactivate()
    outcome = solve_model(model, SolveOptions(gap=0.0, time_limit_s=30.0))
    values = outcome.value(model.chosen)
    chosen = np.array([values[o] > 0.5 for o in range(len(options))])
    return check(
        instance, plan_from_choice(instance, options, np.flatnonzero(chosen & (options.kind != NOTHING)))
    )


@pytest.mark.parametrize("component", CASES)
def test_the_plan_is_wrong_without_the_constraint(component: str) -> None:
    instance = CASES[component]()
    assert _checked(instance, None).passed
    assert not _checked(instance, component).passed


def test_every_constraint_has_a_case() -> None:
    instance = instance_of(example())
    model = build_model(instance, derive_options(instance, ("npv",)))
    assert {c.local_name for c in model.component_objects(pyo.Constraint)} == set(CASES)

"""Each constraint of the formulation is needed: without it the checker rejects the plan."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from pyomo.environ import Constraint

from optimize.engine.pyomo_bridge import solve_model
from optimize.programme import SolveOptions
from optimize.pv_siting.checker import check
from optimize.pv_siting.extraction import extract_solution
from optimize.pv_siting.fast import solve_fast
from optimize.pv_siting.formulation import _carried_over, build_model, solve_formulation
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.limits import derive_limits
from optimize.pv_siting.options import derive_options
from optimize.pv_siting.solution import Solution
from optimize.schema import InstanceDraft

from .conftest import changed, instance_of, simple_draft, with_cells, worthless

EXACT = SolveOptions(gap=0.0, time_limit_s=30.0)


def locked(kind: str) -> InstanceDraft:
    locks = pd.DataFrame({"kind": [kind], "id": ["school"], "other": ["office"]})
    return changed(simple_draft(), tables={"locks": locks})


def dear_office(draft: InstanceDraft) -> InstanceDraft:
    return with_cells(draft, "sites", cost_factor=[1.0, 5.0, 1.0])


def asked(draft: InstanceDraft, **targets: float) -> InstanceDraft:
    return changed(
        draft, targets={name.replace("_", "-"): {"required": value} for name, value in targets.items()}
    )


def budgets(amounts: dict[tuple[str, int], float]) -> pd.DataFrame:
    rows = [(source, year, amount) for (source, year), amount in amounts.items()]
    return pd.DataFrame(rows, columns=["source", "year", "amount_cny"])


def carrying() -> InstanceDraft:
    """Money for one project now, kept money would pay a second one."""
    amounts = {("East", 2024): 450_000.0, ("West", 2024): 450_000.0}
    return changed(
        simple_draft(),
        tables={"budgets": budgets(amounts)},
        parameters={"budgets.carry_over_share": 1.0},
    )


def carrying_to_the_second_year() -> InstanceDraft:
    """The East can pay one of two schools; keeping the same money twice would pay both."""
    draft = simple_draft()
    school = draft.tables["sites"].iloc[[0]]
    two = pd.concat([school, school.assign(site="school-2")], ignore_index=True)
    amounts = {("East", 2024): 450_000.0}
    return changed(
        draft,
        tables={"sites": two, "budgets": budgets(amounts)},
        parameters={"budgets.carry_over_share": 1.0},
    )


def wrong_payer() -> InstanceDraft:
    funding = pd.DataFrame(
        {
            "project_kind": ["*"],
            "mix": ["city"],
            "source": ["municipal"],
            "share": [1.0],
            "takes_rest": [True],
        }
    )
    return asked(changed(simple_draft(), tables={"funding": funding}), PV_FUND=0)


def in_force(*rows: tuple[str, str, int, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["site", "configuration", "year", "state"])


def contracted() -> InstanceDraft:
    """Nothing earns anything, but one project is contracted."""
    plan = in_force(("school", "roof50", 2024, "contracted"))
    return changed(worthless(simple_draft()), tables={"plan_in_force": plan})


def few_changes() -> InstanceDraft:
    """The plan in force is far from the best one."""
    plan = in_force(("school", "air_heat", 2025, "proposed"), ("office", "carport", 2025, "budgeted"))
    return asked(changed(simple_draft(), tables={"plan_in_force": plan}), CITY_REVISE=1)


def contracts() -> InstanceDraft:
    return asked(
        changed(
            simple_draft(),
            parameters={"pv_siting.emc.allowed": True, "pv_siting.emc.hurdle_rate": 0.02},
        ),
        PV_EMC=1,
    )


# Component -> (an instance on which it binds, the equation the checker names).
CASES: dict[str, tuple[Callable[[], InstanceDraft], str]] = {
    "one_option_per_site": (simple_draft, "P3"),
    "required_sites_get_one": (
        lambda: with_cells(worthless(simple_draft()), "sites", must_choose=[False, True, False]),
        "P3",
    ),
    "together": (lambda: dear_office(locked("together")), "lock"),
    "not_together": (lambda: locked("not_together"), "lock"),
    "capacity_target": (lambda: asked(worthless(simple_draft()), PV_50MW=120), "P4"),
    "spending_within_budget": (
        lambda: changed(simple_draft(), tables={"budgets": budgets({("East", 2024): 300_000.0})}),
        "P5",
    ),
    "carry_within_unspent": (carrying_to_the_second_year, "P5"),
    "paid_by_own_level": (wrong_payer, "P5"),
    "feeder_hosts": (
        lambda: with_cells(simple_draft(), "feeders", hosting_capacity_kw=[120.0, 1e4]),
        "P6",
    ),
    "substation_hosts": (
        lambda: with_cells(simple_draft(), "substations", hosting_capacity_kw=[170.0]),
        "P6",
    ),
    "lead_share": (lambda: asked(simple_draft(), PV_LEAD=0.9), "P7"),
    "first_share": (lambda: changed(simple_draft(), parameters={"pv_siting.first_share": 0.8}), "P7"),
    "counts": (lambda: asked(worthless(simple_draft()), PV_HEAT=1, PV_BIPV=1, PV_FLEX=1), "P8"),
    "district_minimum": (
        lambda: changed(
            worthless(simple_draft()),
            tables={"district_minima": pd.DataFrame({"district": ["West"], "capacity_kw": [30.0]})},
        ),
        "P9",
    ),
    "installers": (
        lambda: changed(
            simple_draft(),
            tables={"installers": pd.DataFrame({"year": [2024, 2025], "capacity_kw": [120.0, 60.0]})},
        ),
        "P10",
    ),
    "contracts": (contracts, "P11"),
    "contracts_stand": (contracted, "P13"),
    "changes_limited": (few_changes, "P13"),
    "effects": (lambda: asked(worthless(simple_draft()), PV_ENERGY=90, PV_CO2=40), "P12"),
}


def solve_without(instance: Instance, component: str) -> Solution:
    candidates = derive_options(instance)
    limits = derive_limits(instance, candidates)
    model = build_model(instance, candidates, limits)
    model.component(component).deactivate()
    outcome = solve_model(model, EXACT)
    assert outcome.x is not None
    value = outcome.value(model.option_chosen)
    chosen = np.array([o for o, x in value.items() if x > 0.5], dtype=np.int64)
    carried = _carried_over(instance, candidates, model, outcome)
    return extract_solution(instance, candidates, chosen, carried)


def test_every_component_has_a_case() -> None:
    instance = instance_of(carrying())
    candidates = derive_options(instance)
    model = build_model(instance, candidates, derive_limits(instance, candidates))
    names = {component.local_name for component in model.component_objects(Constraint)}
    assert names == set(CASES)


@pytest.mark.parametrize("component", CASES)
def test_checker_rejects_the_plan_without(component: str) -> None:
    make, equation = CASES[component]
    instance = instance_of(make())
    report = check(instance, solve_without(instance, component))
    assert equation in {violation.equation for violation in report.violations}


@pytest.mark.parametrize("component", CASES)
def test_both_engines_agree_where_it_binds(component: str) -> None:
    instance = instance_of(CASES[component][0]())
    by_formulation = solve_formulation(instance, EXACT)
    by_arrays = solve_fast(instance, EXACT)
    assert by_formulation.objective == pytest.approx(by_arrays.objective, rel=1e-7)
    for result in (by_formulation, by_arrays):
        assert result.solution is not None
        report = check(instance, result.solution)
        assert report.passed, report.violations
        assert report.figures["npv"] == pytest.approx(result.objective, rel=1e-7)

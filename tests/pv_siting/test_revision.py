"""Revising a plan in force: what is contracted is a fact, money is owed, closed years are left alone."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from optimize.pv_siting.checker import check
from optimize.pv_siting.instance import Instance
from optimize.schema import InstanceDraft

from .conftest import changed, instance_of, simple_draft, with_cells
from .revised import ENGINES, OFFICE, SCHOOL, asking, budgets, revised, solved

pytestmark = pytest.mark.usefixtures("same_weather")


# --- contracted ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "engine"), [("contracted", "fast"), ("on_site", "formulation"), ("accepted", "fast")]
)
def test_contracted_project_stays_as_it_is(engine: str, state: str) -> None:
    free = solved(instance_of(simple_draft()), engine)[1].loc["school"]
    assert free["configuration"] != "air_heat"  # left to itself the model builds another one
    plan = {"site": "school", "configuration": "air_heat", "year": 2025, "state": state}
    kept = solved(instance_of(revised(plan)), engine)[1].loc["school"]
    assert (kept["configuration"], kept["year"]) == ("air_heat", 2025)


@pytest.mark.parametrize("state", ["proposed", "budgeted", "tendered"])
def test_what_is_not_contracted_may_change(state: str) -> None:
    plan = {"site": "school", "configuration": "air_heat", "year": 2025, "state": state}
    free, revision = solved(instance_of(simple_draft())), solved(instance_of(revised(plan)))
    assert revision[0].objective == pytest.approx(free[0].objective)


def test_contract_that_would_not_fit_anew_stands() -> None:
    """The roof has failed, the kind is closed to contracts by now, and an investor has its contract."""
    plan = SCHOOL | {"state": "on_site", "kw": 61.0, "actual_capex_cny": 333_000.0}
    draft = with_cells(simple_draft(), "sites", usable_roof_m2=[0.0, 0.0, 0.0], roof_residual_life_years=1.0)
    rows = (plan, OFFICE | {"configuration": "roof100", "mix": "emc", "state": "contracted", "kw": 40.0})
    result, projects = solved(instance_of(revised(*rows, draft=draft)))
    assert (projects.loc["school", "kw"], projects.loc["school", "capex_cny"]) == (61.0, 333_000.0)
    assert (projects.loc["office", "kw"], projects.loc["office", "mix"]) == (40.0, "emc")
    assert result.solution is not None
    paid = result.solution.payments.set_index("site")["amount_cny"]
    assert paid["school"] == pytest.approx(333_000.0) and "office" not in paid


def test_without_its_capacity_stated_a_contract_has_what_fits() -> None:
    plan = SCHOOL | {"state": "contracted"}
    anew = revised(SCHOOL)
    kw = solved(asked_to_keep(anew))[1].loc["school", "kw"]
    assert solved(instance_of(revised(plan)))[1].loc["school", "kw"] == kw


def asked_to_keep(draft: InstanceDraft) -> Instance:
    return instance_of(asking(draft, 0))


def test_actual_cost_lowers_value_by_its_annuities() -> None:
    estimated = solved(instance_of(revised(SCHOOL | {"state": "accepted"})))[1].loc["school"]
    dearer = SCHOOL | {"state": "accepted", "actual_capex_cny": 1.5 * float(estimated["capex_cny"])}
    actual = solved(instance_of(revised(dearer)))[1].loc["school"]
    assert actual["capex_cny"] == pytest.approx(1.5 * estimated["capex_cny"])
    lost = estimated["npv_cny"] - actual["npv_cny"]
    assert lost == pytest.approx(actual["cost_cny"] - estimated["cost_cny"])
    # roof50 has O&M besides its assets, which does not rise with the CAPEX
    assert 0 < lost < 0.5 * estimated["cost_cny"]


def test_contracted_offer_pays_its_actual_cost_and_may_be_late() -> None:
    offers = pd.DataFrame(
        {
            "offer": ["a", "b"],
            "site": "school",
            "kind": "rooftop",
            "kw": 80.0,
            "year": 2024,
            "npv_cny": [1.0, 5e6],
        }
    )
    payments = pd.DataFrame(
        {"offer": ["a", "a"], "source": ["East", "West"], "year": [2024, 2025], "amount_cny": [9e4, 3e4]}
    )
    draft = changed(simple_draft(), tables={"offers": offers, "offer_payments": payments})
    plan = {"site": "school", "offer": "a", "year": 2025, "state": "contracted", "actual_capex_cny": 2.4e5}
    instance = instance_of(revised(plan, draft=draft))
    result, projects = solved(instance)
    assert result.solution is not None
    kept = projects.loc["school"]
    assert (kept["offer"], kept["year"], kept["capex_cny"]) == ("a", 2025, 2.4e5)
    assert kept["npv_cny"] < -6e4  # 1 CNY was stated with half the payments
    paid = result.solution.payments.set_index(["source", "year"])["amount_cny"]
    assert paid["East", 2024] == pytest.approx(1.8e5) and paid["West", 2025] == pytest.approx(6e4)


# --- facts break no row ----------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_contracts_beyond_the_budget_are_paid_and_leave_nothing(engine: str, share: float) -> None:
    """The East paid 400 000 of 300 000 in 2024; 2025 has 60 000, which pays no other project but hot water."""
    money = budgets({("East", 2024): 3e5, ("East", 2025): 6e4, ("municipal", 2024): 0.0})
    plan = SCHOOL | {"state": "accepted", "actual_capex_cny": 4e5}
    draft = changed(simple_draft(), tables={"budgets": money})
    instance = instance_of(revised(plan, draft=draft, budgets__carry_over_share=share))
    result, projects = solved(instance, engine)
    assert list(projects.index) == ["school"]
    assert result.solution is not None
    kept = result.solution.carried_over
    assert kept.loc[kept["year"] == 2024, "amount_cny"].sum() == pytest.approx(0.0, abs=1.0)


def test_carried_money_pays_a_contract_before_anything_is_granted() -> None:
    """What 2024 leaves is needed by the contract of 2025: the office of 2024 cannot have it."""
    money = budgets({("West", 2024): 5e5, ("West", 2025): 0.0})
    office = {"site": "office", "configuration": "carport", "year": 2025, "state": "contracted"}
    other = simple_draft().tables["sites"].iloc[[1]].assign(site="other")
    sites = pd.concat([simple_draft().tables["sites"], other], ignore_index=True)
    draft = changed(simple_draft(), tables={"budgets": money, "sites": sites})
    cost = 4.5e5
    instance = instance_of(
        revised(office | {"actual_capex_cny": cost}, draft=draft, budgets__carry_over_share=0.9)
    )
    projects = solved(instance)[1]
    assert "other" not in projects.index
    roomier = dataclasses.replace(instance, budgets=instance.budgets.assign(amount_cny=[1.5e6, 0.0]))
    assert "other" in solved(roomier)[1].index


CROWDED: dict[str, InstanceDraft] = {
    "feeder": with_cells(simple_draft(), "feeders", hosting_capacity_kw=[10.0, 1e4]),
    "substation": with_cells(simple_draft(), "substations", hosting_capacity_kw=[10.0]),
    "installers": changed(
        simple_draft(),
        tables={"installers": pd.DataFrame({"year": [2024, 2025], "capacity_kw": [10.0, 0.0]})},
    ),
    "order": changed(simple_draft(), parameters={"pv_siting.first_share": 0.8}),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("row", CROWDED)
def test_contracts_beyond_what_there_is_break_no_row(engine: str, row: str) -> None:
    """The contract takes more than there is: it stands, and what shares its row gets nothing."""
    plan = SCHOOL | {"state": "contracted"}
    draft = revised(plan, draft=CROWDED[row], revision__first_open_year=2025)
    projects = solved(instance_of(draft), engine)[1]
    assert "school" in projects.index
    shares_its_row = {"feeder": ["office"], "substation": ["office", "hospital"]}.get(row, [])
    assert not (projects.reindex(shares_its_row)["kw"] > 10.0).any()


def test_contracts_that_keep_the_order_leave_room_in_it() -> None:
    """In a closed year a project in force may stay beside contracts that go first."""
    first = {"site": "hospital", "configuration": "roof100", "year": 2024, "state": "accepted"}
    draft = changed(simple_draft(), parameters={"pv_siting.first_share": 0.5})
    projects = solved(
        instance_of(asking(revised(first, SCHOOL, draft=draft, revision__first_open_year=2025), 0))
    )[1]
    assert projects["year"].to_dict() == {"school": 2024, "hospital": 2024}


# --- open years ------------------------------------------------------------------------------------


def test_nothing_new_begins_before_the_first_open_year() -> None:
    assert (solved(instance_of(simple_draft()))[1]["year"] == 2024).all()
    draft = revised(SCHOOL | {"configuration": "roof100"}, revision__first_open_year=2025)
    projects = solved(instance_of(draft))[1]
    assert projects["year"].to_dict() == {"school": 2024, "office": 2025, "hospital": 2025}


def test_a_closed_year_keeps_only_what_is_decided_as_it_is() -> None:
    instance = instance_of(revised(SCHOOL, revision__first_open_year=2025))
    plan = solved(instance_of(revised(SCHOOL)))[0].solution
    assert plan is not None
    found = [str(violation) for violation in check(instance, plan).violations]
    assert any("(P13) school: required nothing new before 2025" in text for text in found)


def test_no_open_year_leaves_what_is_in_force() -> None:
    projects = solved(instance_of(revised(SCHOOL, OFFICE, revision__first_open_year=2026)))[1]
    assert set(projects.index) <= {"school", "office"}

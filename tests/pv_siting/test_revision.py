"""Revising a plan in force: what is contracted is a fact, changes are counted and limited, money is owed."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from optimize.io.validation import data_from_draft
from optimize.programme import SolveOptions
from optimize.pv_siting.checker import check
from optimize.pv_siting.energy import Curves
from optimize.pv_siting.fast import solve_fast
from optimize.pv_siting.formulation import solve_formulation
from optimize.pv_siting.instance import Instance, find_faults
from optimize.pv_siting.levels import state_levels
from optimize.pv_siting.options import derive_options
from optimize.pv_siting.programme import PROGRAMME
from optimize.pv_siting.recounted import recount_projects
from optimize.pv_siting.restated import restate_options
from optimize.pv_siting.schema import SCHEMA
from optimize.pv_siting.solution import Solution
from optimize.pv_siting.stated import state_arrays
from optimize.result import Result, StopReason
from optimize.schema import InstanceDraft

from .conftest import changed, instance_of, simple_draft, with_cells
from .test_engines import with_fewer_options, with_most_kept

EXACT = SolveOptions(gap=0.0, time_limit_s=30.0)
ENGINES = {"formulation": solve_formulation, "fast": solve_fast}


@pytest.fixture(autouse=True, scope="module")
def same_weather() -> Iterator[None]:
    """The instances differ in neither weather nor profiles: curves are derived once."""
    with pytest.MonkeyPatch.context() as patch:
        curves = Curves(instance_of(simple_draft()))
        for module in ("options", "restated"):
            patch.setattr(f"optimize.pv_siting.{module}.Curves", lambda instance: curves)
        yield


def in_force(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([{"state": "proposed"} | row for row in rows])


def revised(*rows: dict[str, Any], draft: InstanceDraft | None = None, **parameters: Any) -> InstanceDraft:
    return changed(
        draft or simple_draft(),
        tables={"plan_in_force": in_force(*rows)},
        parameters={name.replace("__", "."): value for name, value in parameters.items()},
    )


def asking(draft: InstanceDraft, required: float, **how: Any) -> InstanceDraft:
    return changed(draft, targets={"CITY-REVISE": {"required": required, **how}})


def solved(instance: Instance, engine: str = "fast", *goal: str) -> tuple[Result[Solution], pd.DataFrame]:
    """The best plan, checked, and its projects by site."""
    options = dataclasses.replace(EXACT, goal=goal or ("npv",))
    result = ENGINES[engine](instance, options)
    assert result.solution is not None
    report = check(instance, result.solution)
    assert report.passed, report.violations
    assert report.figures[options.goal[-1]] == pytest.approx(result.objective, rel=1e-7, abs=1e-6)
    return result, result.solution.projects.set_index("site")


SCHOOL = {"site": "school", "configuration": "roof50", "year": 2024}
OFFICE = {"site": "office", "configuration": "carport", "year": 2025}


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


def budgets(amounts: dict[tuple[str, int], float]) -> pd.DataFrame:
    rows = [(source, year, amount) for (source, year), amount in amounts.items()]
    return pd.DataFrame(rows, columns=["source", "year", "amount_cny"])


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


# --- changes ---------------------------------------------------------------------------------------


def counted(draft: InstanceDraft, plan: pd.DataFrame) -> dict[str, float]:
    instance = instance_of(draft)
    empty = pd.DataFrame(columns=["site", "source", "year", "amount_cny"])
    carried = pd.DataFrame(columns=["source", "year", "amount_cny"])
    figures = dict.fromkeys(
        ("kw", "capex_cny", "npv_cny", "cost_cny", "generation_kwh_per_a", "used_on_site_kwh_per_a", "co2_t_per_a"), 0.0
    )  # fmt: skip
    return dict(check(instance, Solution(plan.assign(offer="", **figures), empty, carried)).figures)


def test_checker_counts_each_kind_by_its_weight() -> None:
    """A project counts once, as the kind of most weight."""
    rows = (SCHOOL, OFFICE, {"site": "hospital", "configuration": "roof50", "year": 2024})
    weights = {f"revision__weight_{kind}": weight for kind, weight in
               (("added", 1), ("dropped", 2), ("resized", 4), ("moved", 8), ("refunded", 16))}  # fmt: skip
    plan = pd.DataFrame(
        [
            ("school", "roof50", 2024, "own"),
            ("office", "carport", 2025, "own"),
            ("hospital", "roof50", 2024, "own"),
        ],
        columns=["site", "configuration", "year", "mix"],
    )
    draft = revised(*rows, **weights)
    assert counted(draft, plan)["changes"] == 0
    assert counted(draft, plan.iloc[1:])["changes"] == 2
    assert counted(draft, plan.assign(year=[2025, 2025, 2024]))["changes"] == 8
    assert counted(draft, plan.assign(configuration=["roof100", "carport", "bipv"]))["changes"] == 8
    assert (
        counted(draft, plan.assign(mix=["own", "emc", "own"], configuration=["roof50", "roof50", "roof50"]))[
            "changes"
        ]
        == 16
    )
    fewer = revised(rows[0], **weights)
    assert counted(fewer, plan)["changes"] == 2
    assert counted(simple_draft(), plan)["changes"] == 3  # without a plan in force all is added


def test_engines_find_what_brute_force_finds() -> None:
    """Each change beyond the first at its price, and cancellation costs; counted by the checker alone."""
    rng = np.random.default_rng(0)
    rows = [
        {"site": site, "configuration": rng.choice(["roof50", "roof100"]), "year": int(rng.choice([2024, 2025])),
         "state": state, "cancellation_cost_cny": 7e4}
        for site, state in (("school", "proposed"), ("office", "contracted"))
    ]  # fmt: skip
    draft = revised(*rows, draft=with_fewer_options(simple_draft()))
    money = draft.tables["budgets"].assign(amount_cny=rng.uniform(2e5, 9e5, 6).round(-3))
    early = pd.DataFrame({"kind": ["latest"], "id": ["hospital"], "year": [2024]})
    draft = changed(draft, tables={"budgets": money, "locks": early})
    limited = asking(draft, 1, hard=False, penalty_cny_per_unit=5e4)
    instance = instance_of(limited)
    figures = figures_of_all_plans(instance)
    for goal, best in (("npv", max), ("changes", min)):
        expected = best(figure[goal] for figure in figures)
        for solve in ENGINES.values():
            result = solve(instance, dataclasses.replace(EXACT, goal=(goal,)))
            assert result.objective == pytest.approx(expected, rel=1e-9, abs=1e-3)
            assert result.bound == pytest.approx(expected, rel=1e-6, abs=1e-3)


def figures_of_all_plans(instance: Instance) -> list[Mapping[str, float]]:
    """Of every combination of options (the second site's is contracted) that passes the checker."""
    options = derive_options(instance)
    of_site = [np.flatnonzero(options.site == site).tolist() for site in range(len(instance.sites))]
    reports = [
        check(instance, with_most_kept(instance, options, np.array([o for o in chosen if o >= 0], np.int64)))
        for chosen in itertools.product(
            *(own if site == 1 else [-1, *own] for site, own in enumerate(of_site))
        )
    ]
    return [report.figures for report in reports if report.passed]


def test_fewest_changes_then_value() -> None:
    draft = revised(SCHOOL, OFFICE)
    result, projects = solved(instance_of(draft), "fast", "changes", "npv")
    assert set(projects.index) == {"school", "office"}
    free = solved(instance_of(draft))[0]
    assert result.objective is not None and free.objective is not None
    assert result.objective < free.objective


def test_what_is_in_force_is_never_dropped_as_dominated() -> None:
    """A battery that costs more than it brings is no option of a plan made anew; in force it may stay."""
    in_vain = simple_draft().tables["storages"].assign(capex_fixed_cny=1e6, hosting_relief_share=0.0)
    draft = changed(simple_draft(), tables={"storages": in_vain})
    anew = derive_options(instance_of(draft))
    names = list(draft.tables["configurations"]["configuration"])
    assert names.index("roof100_battery") not in anew.configuration
    plan = {"site": "school", "configuration": "roof100_battery", "year": 2024}
    instance = instance_of(asking(revised(plan, draft=draft), 0))
    result, projects = solved(instance)
    assert projects["configuration"].to_dict() == {"school": "roof100_battery"}
    assert result.solution is not None
    assert check(instance, result.solution).figures["forced_changes"] == 0.0


@pytest.mark.parametrize("engine", ENGINES)
def test_soft_limit_costs_its_penalty_per_change(engine: str) -> None:
    """No change is worth what it costs; three are, where they cost nothing."""
    draft = revised(SCHOOL, OFFICE)
    dear = instance_of(asking(draft, 0, hard=False, penalty_cny_per_unit=1e9))
    assert set(solved(dear, engine)[1].index) == {"school", "office"}
    cheap = solved(instance_of(asking(draft, 0, hard=False, penalty_cny_per_unit=1.0)), engine)[0]
    free = solved(instance_of(draft), engine)[0]
    assert free.objective is not None and free.objective - cheap.objective == pytest.approx(3.0)


def test_more_changes_than_allowed_is_a_way_out() -> None:
    draft = changed(
        asking(revised(SCHOOL), 0),
        tables={"locks": pd.DataFrame({"kind": ["force_in"], "id": ["hospital"]})},
    )
    result = solve_fast(instance_of(draft), EXACT)
    assert result.stop is StopReason.INFEASIBLE
    named = {(row.clause, row.reachable) for way in result.relaxations for row in way.rows}
    assert ("CITY-REVISE", 1.0) in {(clause, round(reachable, 6)) for clause, reachable in named}


FORCED = {
    "roof too small": lambda draft: with_cells(draft, "sites", usable_roof_m2=[20.0, 800.0, 1500.0]),
    "roof too old": lambda draft: with_cells(draft, "sites", roof_residual_life_years=[5.0, 30.0, 30.0]),
    "roof too weak": lambda draft: with_cells(draft, "sites", structure_reserve_kg_per_m2=[1.0, 70.0, 70.0]),
    "no room on its feeder": lambda draft: with_cells(
        with_cells(draft, "sites", feeder=["F2", "F1", "F1"]), "feeders", hosting_capacity_kw=[1e4, 20.0]
    ),
    "withdrawn": lambda draft: changed(draft, tables={"sites": draft.tables["sites"].iloc[1:]}),
    "locked out": lambda draft: changed(
        draft, tables={"locks": pd.DataFrame({"kind": ["force_out"], "id": ["school"]})}
    ),
    "no such configuration": lambda draft: changed(
        draft, tables={"configurations": draft.tables["configurations"].iloc[1:]}
    ),
    "a year gone by": lambda draft: changed(
        draft, tables={"plan_in_force": draft.tables["plan_in_force"].assign(year=2023)}
    ),
    "tendered by now": lambda draft: changed(
        draft, tables={"offers": pd.DataFrame({"offer": ["a"], "site": ["school"], "kind": ["rooftop"], "kw": [50.0]})}
    ),
    "nobody pays so": lambda draft: changed(
        draft, tables={"plan_in_force": draft.tables["plan_in_force"].assign(mix="shared")}
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", FORCED)
def test_forced_changes_do_not_count_but_costs_are_owed(why: str) -> None:
    plan = revised(SCHOOL | {"cancellation_cost_cny": 1e5}, revision__first_open_year=2025)
    instance = instance_of(asking(FORCED[why](plan), 0))
    result, projects = solved(instance)
    assert result.solution is not None
    assert set(projects.index) <= {"school"}
    report = check(instance, result.solution)
    assert (report.figures["changes"], report.figures["forced_changes"]) == (0.0, 1.0)
    stays_one = len(projects) and projects.loc["school", "configuration"] == "roof50"
    owed = 0.0 if stays_one else 1e5 / 1.06
    assert report.figures["cancellation_cost"] == pytest.approx(owed)


def test_cancellation_costs_keep_a_project() -> None:
    """Owed where a project is dropped or becomes another one, not where it is only moved."""
    worse = {"site": "school", "configuration": "air_heat", "year": 2025}
    free, projects = solved(instance_of(revised(worse)))
    assert projects.loc["school", "configuration"] != "air_heat"
    _, projects = solved(instance_of(revised(worse | {"cancellation_cost_cny": 1e8})))
    assert projects.loc["school", ["configuration", "year"]].tolist() == ["air_heat", 2024]
    cheap = solved(instance_of(revised(worse | {"cancellation_cost_cny": 10.0})))[0]
    assert free.objective is not None and free.objective - cheap.objective == pytest.approx(10.0)
    assert solved(instance_of(revised(worse | {"cancellation_cost_cny": 10.0})), "fast", "cost")[
        0
    ].objective == (pytest.approx(10.0))


def test_table_of_changes_names_what_was_and_what_is() -> None:
    instance = instance_of(revised(SCHOOL, OFFICE, {"site": "gone", "configuration": "roof50", "year": 2024}))
    result, projects = solved(instance)
    assert result.solution is not None
    changes = PROGRAMME.plan_tables(instance, result.solution)["changes"].set_index("site")
    assert changes["change"].to_dict() == {
        "gone": "dropped", "hospital": "added", "office": "resized+moved", "school": "resized",
    }  # fmt: skip
    assert changes["forced"].to_dict()["gone"] and not changes["forced"].drop("gone").any()
    words = PROGRAMME.summarise(instance, result.solution, check(instance, result.solution)).build[-1]
    assert words == "of 3 projects in force 0 contracted, 3 changes (1 added, 2 resized), 1 forced"
    school = changes.loc["school"]
    assert (school["configuration_before"], school["configuration_after"]) == (
        "roof50",
        projects.loc["school", "configuration"],
    )


# --- beside the solve ------------------------------------------------------------------------------


def test_a_solve_begins_from_the_plan_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot stay is left out, what is contracted is in, shortfalls are as the plan leaves them."""
    draft = asking(
        revised(SCHOOL | {"state": "contracted"}, OFFICE, {"site": "gone", "configuration": "roof50", "year": 2024}),
        0, hard=False, penalty_cny_per_unit=1.0,
    )  # fmt: skip
    draft = changed(
        draft, targets={"PV-50MW": {"required": 1_000, "hard": False, "penalty_cny_per_unit": 1.0}}
    )
    instance = instance_of(changed(draft, parameters={"budgets.carry_over_share": 0.5}))
    seen = {}

    def spy(milp: Any, objectives: Any, options: Any, **how: Any) -> Any:
        seen.update(how, milp=milp)
        return solve_goals(milp, objectives, options, **how)

    from optimize.engine.goals import solve_goals

    monkeypatch.setattr("optimize.pv_siting.fast.solve_goals", spy)
    solve_fast(instance, EXACT)
    assert seen["milp"].violation(seen["start"]) <= 1e-9
    assert seen["start"][: (seen["milp"].integral).sum()].sum() == 2


def test_other_budgets_restate_the_contracts_overrun() -> None:
    plan = SCHOOL | {"state": "accepted", "actual_capex_cny": 4e5}
    money = budgets({("East", 2024): 3e5, ("East", 2025): 4e5, ("municipal", 2024): 1e5})
    instance = instance_of(revised(plan, draft=changed(simple_draft(), tables={"budgets": money})))
    levels = state_levels(instance, "npv")
    levels.restate(instance)
    other = dataclasses.replace(instance, budget_scale=0.5)
    restated, anew = levels.restate(other), state_arrays(other, ("npv",)).milp
    assert restated is not None
    assert restated.row_upper == pytest.approx(anew.row_upper)


def test_options_restated_with_other_costs_keep_what_contracts_cost() -> None:
    plan = SCHOOL | {"state": "accepted", "kw": 61.0, "actual_capex_cny": 4e5}
    instance = instance_of(revised(plan))
    dearer = dataclasses.replace(instance, sites=instance.sites.assign(cost_factor=2.0))
    restated = restate_options(instance, ("npv",)).npv_cny(dearer)
    result, _ = solved(dearer)
    assert result.solution is not None
    worth = recount_projects(dearer, result.solution)
    school = list(worth.ids).index("school")
    # the school's one option stands first
    assert restated[0] == pytest.approx(worth.npv_cny[school])


# --- faults ----------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[InstanceDraft, str, str]] = {
    "both": (revised(SCHOOL | {"offer": "a"}), "plan_in_force", "a configuration or an offer"),
    "neither": (revised(SCHOOL | {"configuration": ""}), "plan_in_force", "a configuration or an offer"),
    "site": (revised(SCHOOL | {"site": "gone", "state": "on_site"}), "plan_in_force", "an institution of `sites`"),
    "year": (revised(SCHOOL | {"year": 2023, "state": "on_site"}), "plan_in_force", "a year in 2024..2025"),
    "configuration": (
        revised(SCHOOL | {"configuration": "gone", "state": "on_site"}), "plan_in_force", "an entry of configurations",
    ),
    "offer": (
        revised({"site": "school", "offer": "a", "year": 2024, "state": "accepted"}), "plan_in_force",
        "an offer of the site",
    ),
    "mix": (
        revised(SCHOOL | {"mix": "shared", "state": "accepted"}), "plan_in_force",
        "own, emc, or a mix of the funding table for rooftop",
    ),
    "lock": (
        changed(
            revised(SCHOOL | {"state": "accepted"}),
            tables={"locks": pd.DataFrame({"kind": ["force_out"], "id": ["school"]})},
        ),
        "locks", "what the plan in force has: roof50 2024 (accepted)",
    ),
    "open year": (
        revised(SCHOOL, revision__first_open_year=2030), "instance.toml",
        "at most 2026, when no year of the plan is open",
    ),
    "deadline": (
        asking(revised(SCHOOL), 1, deadline_year=2024), "instance.toml", "none: changes are counted at once",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str) -> None:
    draft, table, expected = FAULTS[name]
    faults = find_faults(data_from_draft(SCHEMA, draft))
    assert [(fault.table, fault.expected) for fault in faults] == [(table, expected)]

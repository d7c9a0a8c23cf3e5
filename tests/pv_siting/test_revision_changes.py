"""Revising a plan in force: changes are counted, limited and told; faults of its tables."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from optimize.io.validation import data_from_draft
from optimize.pv_siting.checker import check
from optimize.pv_siting.fast import solve_fast
from optimize.pv_siting.instance import Instance, find_faults
from optimize.pv_siting.levels import state_levels
from optimize.pv_siting.options import derive_options
from optimize.pv_siting.programme import PROGRAMME
from optimize.pv_siting.recounted import recount_projects
from optimize.pv_siting.restated import restate_options
from optimize.pv_siting.schema import SCHEMA
from optimize.pv_siting.solution import Solution
from optimize.pv_siting.stated import state_arrays
from optimize.result import StopReason
from optimize.schema import InstanceDraft

from .conftest import changed, instance_of, simple_draft, with_cells
from .revised import ENGINES, EXACT, OFFICE, SCHOOL, asking, budgets, revised, solved
from .test_engines import with_fewer_options, with_most_kept

pytestmark = pytest.mark.usefixtures("same_weather")


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

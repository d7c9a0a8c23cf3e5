"""Brute force = formulation = fast = checker; goals, locks, funding, carry-over, infeasibility."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from optimize.programme import SolveOptions
from optimize.pv_siting.checker import check
from optimize.pv_siting.extraction import extract_solution
from optimize.pv_siting.fast import prefer_fast, solve_fast, unsupported_by_fast
from optimize.pv_siting.formulation import solve_formulation
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.options import Options, derive_options
from optimize.pv_siting.solution import Solution
from optimize.result import StopReason
from optimize.schema import InstanceDraft

from .conftest import changed, instance_of, simple_draft, with_cells, worthless

EXACT = SolveOptions(gap=0.0, time_limit_s=30.0)
ENGINES = {"formulation": solve_formulation, "fast": solve_fast}


def random_draft(seed: int) -> InstanceDraft:
    """The small instance with random roofs, limits and targets, tight enough to matter."""
    rng = np.random.default_rng(seed)
    draft = with_cells(
        simple_draft(),
        "sites",
        usable_roof_m2=rng.uniform(300.0, 1500.0, 3).round(),
        parking_m2=rng.uniform(0.0, 800.0, 3).round(),
        structure_reserve_kg_per_m2=rng.choice([18.0, 40.0, 70.0], 3),
        annual_load_kwh=rng.uniform(5e4, 5e5, 3).round(),
        shading_share=rng.uniform(0.0, 0.2, 3).round(2),
        existing_pv_kw=rng.choice([0.0, 40.0], 3),
    )
    draft = with_cells(draft, "feeders", hosting_capacity_kw=rng.uniform(80.0, 250.0, 2).round())
    kept = sorted(rng.choice(7, 3, replace=False))
    money = draft.tables["budgets"].assign(amount_cny=rng.uniform(1e5, 9e5, 6).round(-3))
    return changed(
        draft,
        tables={
            "configurations": draft.tables["configurations"].iloc[kept].reset_index(drop=True),
            "budgets": money,
        },
        parameters={
            "budgets.carry_over_share": float(rng.choice([0.0, 0.6])),
            "pv_siting.emc.allowed": bool(rng.random() < 0.5),
            "pv_siting.emc.hurdle_rate": 0.05,
            "pv_siting.capex_change_per_a": -0.05,
        },
        targets={
            "PV-LEAD": {"required": float(rng.uniform(0.0, 0.8)), "hard": bool(rng.random() < 0.5), "penalty_cny_per_unit": 1e6},
            "PV-50MW": {"required": 150.0, "hard": False, "penalty_cny_per_unit": 2_000.0, "deadline_year": 2024},
        },
    )  # fmt: skip


def best_by_brute_force(instance: Instance, goal: str, maximise: bool) -> float | None:
    """Every combination of options, judged by the checker alone."""
    options = derive_options(instance)
    of_site = [np.flatnonzero(options.site == site) for site in range(len(instance.sites))]
    best = None
    for combination in itertools.product(*([-1, *members.tolist()] for members in of_site)):
        chosen = np.array([o for o in combination if o >= 0], dtype=np.int64)
        report = check(instance, with_most_kept(instance, options, chosen))
        if report.passed:
            value = report.figures[goal]
            better = best is None or (value > best if maximise else value < best)
            best = value if better else best
    return best


def with_most_kept(instance: Instance, options: Options, chosen: np.ndarray) -> Solution:
    """The plan that keeps as much unspent money as it may."""
    plan = extract_solution(instance, options, chosen, pd.DataFrame(columns=["source", "year", "amount_cny"]))
    spent = plan.payments.groupby(["source", "year"])["amount_cny"].sum()
    budget = instance.budgets.set_index(["source", "year"])["amount_cny"]
    rows = []
    for source in instance.budgets["source"].unique():
        kept = 0.0
        for year in instance.years:
            left = budget.get((source, year), 0.0) + kept - spent.get((source, year), 0.0)
            kept = instance.carry_over_share * max(left, 0.0)
            rows.append((source, year, kept))
    carried = pd.DataFrame(rows, columns=["source", "year", "amount_cny"])
    return Solution(plan.projects, plan.payments, carried)


@pytest.mark.parametrize("seed", [1, 2])
def test_engines_find_what_brute_force_finds(seed: int) -> None:
    instance = instance_of(with_fewer_options(random_draft(seed)))
    expected = best_by_brute_force(instance, "npv", maximise=True)
    for solve in ENGINES.values():
        result = solve(instance, EXACT)
        if expected is None:
            assert result.stop is StopReason.INFEASIBLE
            continue
        assert result.objective == pytest.approx(expected, rel=1e-9, abs=1e-3)
        assert result.bound == pytest.approx(expected, rel=1e-6, abs=1e-3)


def with_fewer_options(draft: InstanceDraft) -> InstanceDraft:
    """Few enough for every combination to be checked."""
    configurations = draft.tables["configurations"].iloc[:2].reset_index(drop=True)
    return changed(draft, tables={"configurations": configurations})


@pytest.mark.parametrize("goal", ["npv", "cost", "energy", "co2", "capacity"])
@pytest.mark.parametrize("seed", [11, 12])
def test_engines_and_checker_agree_on_every_goal(seed: int, goal: str) -> None:
    instance = instance_of(random_draft(seed))
    options = SolveOptions(goal=(goal,), gap=0.0, time_limit_s=30.0)
    first, second = solve_formulation(instance, options), solve_fast(instance, options)
    assert first.stop == second.stop
    if first.objective is None:
        return
    assert first.objective == pytest.approx(second.objective, rel=1e-7, abs=1e-6)
    for result in (first, second):
        assert result.solution is not None
        report = check(instance, result.solution)
        assert report.passed, report.violations
        assert report.figures[goal] == pytest.approx(result.objective, rel=1e-7, abs=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_later_goal_keeps_the_earlier(engine: str, draft: InstanceDraft) -> None:
    instance = instance_of(draft)
    solve = ENGINES[engine]
    most = solve(instance, SolveOptions(goal=("capacity",), gap=0.0)).objective
    both = solve(instance, SolveOptions(goal=("capacity", "npv"), gap=0.0))
    assert both.solution is not None
    figures = check(instance, both.solution).figures
    assert figures["capacity"] == pytest.approx(most)
    assert figures["npv"] == pytest.approx(both.objective)


def locks(*rows: tuple[str, str, str, str, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["kind", "id", "other", "value", "year"])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("lock", "expected"),
    [
        (("force_in", "office", "", "", 0), lambda p: "office" in set(p["site"])),
        (("force_out", "school", "", "", 0), lambda p: "school" not in set(p["site"])),
        (("fix", "school", "", "air_heat", 2025), lambda p: ("school", "air_heat", 2025) in triples(p)),
        (("fix", "hospital", "", "roof50", 0), lambda p: ("hospital", "roof50") in pairs(p)),
        (("earliest", "school", "", "", 2025), lambda p: years(p)["school"] == 2025),
        (("latest", "hospital", "", "", 2024), lambda p: years(p)["hospital"] == 2024),
        (("together", "school", "office", "", 0), lambda p: ("school" in years(p)) == ("office" in years(p))),
        (("not_together", "school", "hospital", "", 0), lambda p: not {"school", "hospital"} <= set(p["site"])),
    ],
)  # fmt: skip
def test_lock(engine: str, lock, expected, draft: InstanceDraft) -> None:  # type: ignore[no-untyped-def]
    dear = with_cells(draft, "sites", cost_factor=[1.0, 5.0, 1.0])
    instance = instance_of(changed(dear, tables={"locks": locks(lock)}))
    result = ENGINES[engine](instance, EXACT)
    assert result.solution is not None
    assert expected(result.solution.projects)
    assert check(instance, result.solution).passed


def pairs(projects: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(projects["site"], projects["configuration"], strict=True))


def triples(projects: pd.DataFrame) -> set[tuple[str, str, int]]:
    return set(zip(projects["site"], projects["configuration"], projects["year"], strict=True))


def years(projects: pd.DataFrame) -> dict[str, int]:
    return dict(zip(projects["site"], projects["year"], strict=True))


@pytest.mark.parametrize("engine", ENGINES)
def test_funding_mix_is_chosen_where_money_is(engine: str, draft: InstanceDraft) -> None:
    funding = pd.DataFrame(
        {
            "project_kind": ["*", "*", "*"],
            "mix": ["shared", "shared", "owner"],
            "source": ["municipal", "district", "owner"],
            "share": [0.4, 0.6, 1.0],
            "ceiling_cny": [50_000.0, np.nan, np.nan],
            "takes_rest": [False, True, True],
        }
    )
    money = pd.DataFrame(
        [("municipal", 2024, 60_000.0), ("East", 2024, 600_000.0), ("owner", 2024, 0.0)],
        columns=["source", "year", "amount_cny"],
    )
    instance = instance_of(changed(draft, tables={"funding": funding, "budgets": money}))
    result = ENGINES[engine](instance, EXACT)
    assert result.solution is not None
    report = check(instance, result.solution)
    assert report.passed, report.violations
    (site,) = result.solution.projects["site"]
    paid = result.solution.payments.set_index("source")["amount_cny"]
    assert result.solution.projects["mix"].tolist() == ["shared"]
    assert site in {"school", "hospital"}
    assert paid["municipal"] == pytest.approx(50_000.0)  # the ceiling; the district takes the rest
    assert paid.sum() == pytest.approx(result.solution.projects["capex_cny"].sum())


@pytest.mark.parametrize("engine", ENGINES)
def test_money_kept_pays_next_year(engine: str, draft: InstanceDraft) -> None:
    money = pd.DataFrame(
        [("East", 2024, 260_000.0), ("East", 2025, 260_000.0)], columns=["source", "year", "amount_cny"]
    )
    alone = changed(
        draft,
        tables={
            "budgets": money,
            "configurations": pd.DataFrame({"configuration": ["roof100"], "kind": ["rooftop"]}),
        },
    )
    lapsing = ENGINES[engine](instance_of(alone), EXACT)
    kept = ENGINES[engine](instance_of(changed(alone, parameters={"budgets.carry_over_share": 0.9})), EXACT)
    assert lapsing.solution is not None and lapsing.solution.projects.empty
    assert kept.solution is not None
    assert kept.solution.projects["site"].tolist() == ["school"]
    assert kept.solution.projects["year"].tolist() == [2025]
    assert kept.solution.carried_over["amount_cny"].sum() > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_infeasible_targets_give_relaxations_in_their_units(engine: str, draft: InstanceDraft) -> None:
    instance = instance_of(
        changed(draft, targets={"PV-50MW": {"required": 5_000}, "PV-HEAT": {"required": 2}})
    )
    result = ENGINES[engine](instance, EXACT)
    assert result.stop is StopReason.INFEASIBLE
    (way, *_) = result.relaxations
    (row,) = way.rows
    assert (row.clause, row.unit, row.required) == ("PV-50MW", "kW", 5_000)
    reach = ENGINES[engine](
        instance_of(changed(draft, targets={"PV-HEAT": {"required": 2}})),
        SolveOptions(goal=("capacity",), gap=0.0),
    )
    assert row.reachable == pytest.approx(reach.objective, abs=1e-3)


@pytest.mark.parametrize("engine", ENGINES)
def test_too_small_budget_is_named(engine: str, draft: InstanceDraft) -> None:
    money = pd.DataFrame([("East", 2024, 100_000.0)], columns=["source", "year", "amount_cny"])
    locked = locks(("fix", "school", "", "roof100", 2024))
    instance = instance_of(changed(draft, tables={"budgets": money, "locks": locked}))
    result = ENGINES[engine](instance, EXACT)
    assert result.stop is StopReason.INFEASIBLE
    named = {(row.clause, row.where) for way in result.relaxations for row in way.rows}
    assert ("budget", "East 2024") in named


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("clause", "required"), [("PV-50MW", 100.0), ("PV-LEAD", 0.9), ("PV-HEAT", 1)])
def test_soft_target_costs_its_penalty(
    engine: str, clause: str, required: float, draft: InstanceDraft
) -> None:
    forced = locks(
        ("fix", "office", "", "roof50", 0),
        ("force_out", "school", "", "", 0),
        ("force_out", "hospital", "", "", 0),
    )
    plain = changed(worthless(draft), tables={"locks": forced})
    soft = {clause: {"required": required, "hard": False, "penalty_cny_per_unit": 1_000.0}}
    without = ENGINES[engine](instance_of(plain), EXACT)
    instance = instance_of(changed(plain, targets=soft, parameters={"pv_siting.reference_capacity_kw": 40.0}))
    result = ENGINES[engine](instance, EXACT)
    assert result.solution is not None and without.objective is not None
    # the office has 40 kW, is no school or hospital, and has no hot water
    missing = {"PV-50MW": 60.0, "PV-LEAD": 0.9, "PV-HEAT": 1.0}[clause]
    assert without.objective - result.objective == pytest.approx(1_000.0 * missing)
    report = check(instance, result.solution)
    assert report.passed and report.figures["npv"] == pytest.approx(result.objective)


@pytest.mark.parametrize("engine", ENGINES)
def test_site_with_offers_takes_an_offer_or_nothing(engine: str, draft: InstanceDraft) -> None:
    offers = pd.DataFrame(
        {
            "offer": ["a", "b"],
            "site": "school",
            "kind": ["rooftop", ""],
            "kw": [80.0, 0.0],
            "year": [2025, 0],
            "npv_cny": [np.nan, 1.0],
        }
    )
    payments = pd.DataFrame(
        {
            "offer": ["a", "a", "b"],
            "source": ["East", "West", "East"],
            "year": [2024, 2025, 2024],
            "amount_cny": [90_000.0, 90_000.0, -5_000.0],
        }
    )
    instance = instance_of(changed(draft, tables={"offers": offers, "offer_payments": payments}))
    result = ENGINES[engine](instance, EXACT)
    assert result.solution is not None
    report = check(instance, result.solution)
    assert report.passed, report.violations
    taken = result.solution.projects.set_index("site").loc["school"]
    assert (taken["offer"], taken["year"], taken["kw"], taken["capex_cny"]) == ("a", 2025, 80.0, 180_000.0)


def test_the_engine_is_chosen_by_size(draft: InstanceDraft) -> None:
    instance = instance_of(draft)
    assert not prefer_fast(instance, EXACT)
    assert unsupported_by_fast(instance, EXACT) is None

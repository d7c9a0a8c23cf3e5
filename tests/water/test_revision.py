"""Revising a plan in force: what is contracted is a fact, changes are counted and limited, money is owed."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from optimize.engine.highs import solve_lp
from optimize.engine.stopping import Watch
from optimize.monthly.stability import trace_changes
from optimize.programme import SolveOptions
from optimize.result import Result, StopReason
from optimize.water.checker import check
from optimize.water.checker_revision import projects_of
from optimize.water.data_checks import find_faults
from optimize.water.fast import solve_fast, unsupported_by_fast
from optimize.water.formulation import solve_formulation
from optimize.water.instance import Instance
from optimize.water.programme import PROGRAMME
from optimize.water.report import run_tables, summarise
from optimize.water.solution import Solution
from optimize.water.stated import state_arrays
from tests.water.conftest import YEAR, Town, make_town
from tests.water.random_towns import random_town
from tests.water.test_formulation_rows import cascade, seasons_with_tank, zero_discharge

EXACT = SolveOptions(gap=0.0, time_limit_s=20.0)
ENGINES = {"formulation": solve_formulation, "fast": solve_fast}
CHOICES = {
    "plants": {"P:lo": ("s", "m")},
    "pipes": {f"{corridor}:lo": ("S", "L", "XL") for corridor in ("PJ", "JA", "JB", "AB")},
    "users": {"A": ("pipe", "tanker"), "B": ("pipe",), "Z": ("pipe",)},
}
BUILDABLE = {"s", "m", "S", "L", "pipe"}


def in_force(town: Town, table: str, project: str, choice: str, **cells: Any) -> None:
    row = {"table": table, "project": project, "choice": choice, "year": YEAR, "state": "proposed", **cells}
    town.rows.setdefault("plan_in_force", {})[project] = row


def under_way(seed: int, *, phased: bool) -> Instance:
    """A random town with whatever in force, some of it contracted, some no longer possible."""
    rng = np.random.default_rng(seed)
    town = make_town()
    random_town(town, seed)
    years = 3 if phased else 1
    town.parameters |= {"num_years": 3, "water.phased": phased}
    for k in range(3):
        money = float(rng.integers(200_000, 1_500_000))
        town.add("budgets", f"m{22 + k}", source="municipal", year=YEAR + k, amount_cny=money)
    town.add("funding", "a", project_kind="pipe", mix="city", source="municipal", share=1.0)
    town.add("funding", "b", project_kind="pipe", mix="shared", source="municipal", share=0.5)
    town.parameters |= {
        "budgets.carry_over_share": float(rng.choice([0.0, 0.6])),
        "revision.first_open_year": int(rng.choice([0, YEAR + 1, YEAR + 1, YEAR + 3])),
        "revision.weight_dropped": float(rng.choice([1.0, 3.0])),
        "revision.weight_moved": float(rng.choice([0.0, 1.0])),
    }
    for table, projects in CHOICES.items():
        for project, choices in projects.items():
            if rng.random() < 0.3:
                continue
            choice = str(rng.choice(choices))
            frozen = choice in BUILDABLE and project != "Z" and rng.random() < 0.3
            in_force(
                town, table, project, choice,
                year=YEAR + int(rng.integers(0, years if frozen else years + 1)),
                state=str(rng.choice(["contracted", "on_site"])) if frozen else "proposed",
                actual_capex_cny=float(rng.integers(10_000, 400_000)) if frozen and rng.random() < 0.5 else None,
                cancellation_cost_cny=float(rng.choice([0.0, 20_000.0])),
                mix=str(rng.choice(["city", "shared"])) if table == "pipes" else "",
            )  # fmt: skip
    free = [name for name, row in town.rows.get("plan_in_force", {}).items() if row["state"] == "proposed"]
    free = [name for name in free if name != "Z"]
    if free and rng.random() < 0.5:
        town.lock("force_out", str(rng.choice(free)))
    if rng.random() < 0.6:
        hard = bool(rng.random() < 0.5)
        town.aim(
            "CITY-REVISE",
            float(rng.integers(0, 4)),
            hard=hard,
            **({} if hard else {"penalty_cny_per_unit": 3e4}),
        )
    return town.instance()


GOALS = (("npv",), ("cost",), ("changes", "npv"), ("volume", "changes"))


def agreeing(instance: Instance, goal: tuple[str, ...], engines: tuple[str, ...]) -> Result[Solution] | None:
    """The engines' best plan, checked; None: all of them say that there is none."""
    options = replace(EXACT, goal=goal)
    results = {name: ENGINES[name](instance, options) for name in engines}
    first = results[engines[0]]
    for name, result in results.items():
        assert (result.solution is None) == (first.solution is None), (name, result.stop)
        if result.solution is None:
            continue
        report = check(instance, result.solution)
        assert report.passed, (name, report.violations)
        assert report.figures[goal[-1]] == pytest.approx(result.objective, rel=1e-6, abs=1e-3), name
        assert result.objective == pytest.approx(first.objective, rel=1e-6, abs=1.0), name
    return first if first.solution is not None else None


@pytest.mark.parametrize("seed", [10, 16, 22])
def test_engines_and_checker_agree_on_random_plans_in_force(seed: int) -> None:
    """Between them with contracts, forced changes, every way of limiting changes, and one that has no plan."""
    agreeing(under_way(seed, phased=False), GOALS[seed // 2 % len(GOALS)], tuple(ENGINES))


@pytest.mark.parametrize("seed", [7, 17])
def test_phased_building_is_revised(seed: int) -> None:
    """The formulation is exact; the fast path finds a plan below its bound."""
    goal = GOALS[seed // 2 % len(GOALS)][0]
    instance, options = under_way(seed, phased=True), replace(EXACT, goal=(goal,))
    exact = agreeing(instance, (goal,), ("formulation",))
    assert unsupported_by_fast(instance, options) is None
    fast = solve_fast(instance, replace(options, time_limit_s=1.0))
    if exact is None:
        assert fast.solution is None
        return
    assert fast.solution is not None and fast.bound is not None
    report = check(instance, fast.solution)
    assert report.passed, report.violations
    assert report.figures[goal] == pytest.approx(fast.objective, rel=1e-6, abs=1e-3)
    sign, slack = (1.0 if fast.maximise else -1.0), 1e-6 * max(1.0, abs(exact.objective or 0.0))
    assert sign * fast.objective <= sign * exact.objective + slack <= sign * fast.bound + 2 * slack


# --- contracts ---------------------------------------------------------------------------------------


def best(town: Town, engine: str = "fast", *goal: str) -> tuple[Result[Solution], dict[str, float]]:
    instance = town.instance()
    result = ENGINES[engine](instance, replace(EXACT, goal=goal or ("npv",)))
    assert result.solution is not None, result.stop
    report = check(instance, result.solution)
    assert report.passed, report.violations
    assert report.figures[(goal or ("npv",))[-1]] == pytest.approx(result.objective, rel=1e-7, abs=1e-3)
    return result, dict(report.figures)


def contracted(town: Town, *rows: tuple[str, str, str], **cells: Any) -> None:
    for row in rows:
        in_force(town, *row, state="contracted", **cells)


USELESS = (("plants", "P:hi", "m"), ("pipes", "AB:hi", "S"), ("users", "B", "tanker"))


@pytest.mark.parametrize("engine", ENGINES)
def test_contracts_stand_whatever_they_are_worth(engine: str, town: Town) -> None:
    town.rows["users"]["B"] |= {"tanker_plant": "P", "tanker_cny_per_m3": 90.0}
    contracted(town, *USELESS)
    solution = best(town, engine)[0].solution
    assert {tuple(row) for row in projects_of(solution)[["table", "project", "choice"]].to_numpy()} >= set(
        USELESS
    )


def test_other_works_stand_by_contract(town: Town) -> None:
    """A tank, a cascade nobody needs, and works of a park without the water they would have asked for."""
    seasons_with_tank(town, capex=1e8)
    cascade(town, opex=50.0)
    zero_discharge(town)
    del town.targets["W-ZLD"]
    there = {"storage:T", "cascade:c", "zld:park"}
    contracted(town, *(("other_works", name, "") for name in there))
    assert unsupported_by_fast(town.instance(), EXACT) is not None
    solution = best(town, "formulation")[0].solution
    assert set(solution.built["kind"] + ":" + solution.built["id"]) >= there


@pytest.mark.parametrize("engine", ENGINES)
def test_a_lock_asks_for_works_of_a_park_without_the_clause(engine: str, town: Town) -> None:
    zero_discharge(town)
    del town.targets["W-ZLD"]
    town.lock("force_in", "park")
    assert list(best(town, engine)[0].solution.built["kind"]) == ["zld"]


def test_actual_cost_counts_with_annuities_upkeep_and_budgets(town: Town) -> None:
    work = ("pipes", "PJ:lo", "L")
    contracted(town, work)
    estimated = best(town)[1]
    town.rows["plan_in_force"]["PJ:lo"]["actual_capex_cny"] = 1_000_000.0
    result, actual = best(town)
    assert actual["capex_cny"] - estimated["capex_cny"] == pytest.approx(1_000_000.0 - 500.0 * 500.0)
    annuity = (1 - 1.06**-40) / 0.06
    years = (1 - 1.06**-20) / 0.06
    lost = (1_000_000.0 - 250_000.0) * (1 / annuity + 0.01) * years
    assert estimated["npv"] - actual["npv"] == pytest.approx(lost)
    tables = run_tables(town.instance(), result.solution)
    assert tables["pipes"].set_index("corridor").loc["PJ", "capex_cny"] == 1_000_000.0


@pytest.mark.parametrize("phased", [False, True])
def test_contracts_beyond_the_budget_are_paid_and_nothing_else(phased: bool, town: Town) -> None:
    town.parameters |= {"water.phased": phased, "budgets.carry_over_share": 0.5}
    town.rows["budgets"] = {"m": {"source": "municipal", "year": YEAR, "amount_cny": 10_000.0}}
    contracted(town, ("pipes", "PJ:lo", "L"), year=YEAR + phased)
    for engine in ENGINES:
        result, figures = best(town, engine)
        assert set(result.solution.pipes["corridor"]) == {"PJ"} and not len(result.solution.modules)
        assert figures["capex_cny"] == pytest.approx(250_000.0)


def test_who_pays_a_contract_is_settled(town: Town) -> None:
    """Another mix would be free for the budget."""
    town.rows["budgets"] = {"m": {"source": "municipal", "year": YEAR, "amount_cny": 400_000.0}}
    town.add("funding", "a", project_kind="pipe", mix="city", source="municipal", share=1.0)
    town.add("funding", "b", project_kind="pipe", mix="owner", source="owner", share=1.0)
    contracted(town, ("pipes", "PJ:lo", "L"), mix="city")
    result, _ = best(town)
    funding = result.solution.funding.set_index("id")["mix"]
    assert funding["PJ:lo:L"] == "city"
    money = check(town.instance(), result.solution).money.set_index("source")["spent_cny"]
    assert money["municipal"] >= 250_000.0
    swapped = result.solution.funding.assign(mix="owner")
    report = check(town.instance(), replace(result.solution, funding=swapped))
    assert any(v.where == "pipe PJ:lo:L" for v in report.violations)


def test_a_contracted_user_without_water_breaks_nothing(town: Town) -> None:
    town.rows["users"]["A"]["min_take_share"] = 1.0
    town.rows["budgets"] = {"m": {"source": "municipal", "year": YEAR, "amount_cny": 0.0}}
    contracted(town, ("users", "A", "pipe"))
    result, figures = best(town)
    assert list(result.solution.connections["user"]) == ["A"] and figures["volume"] == 0.0


# --- changes -----------------------------------------------------------------------------------------


BEST = (("plants", "P:lo", "m"), ("pipes", "PJ:lo", "L"), ("pipes", "JA:lo", "L"), ("pipes", "JB:lo", "S"),
        ("users", "A", "pipe"), ("users", "B", "pipe"))  # fmt: skip


def keeping(town: Town) -> None:
    """The town's best plan is in force."""
    for row in BEST:
        in_force(town, *row)


def test_the_plan_in_force_is_no_change_and_each_other_counts(town: Town) -> None:
    keeping(town)
    assert best(town)[1]["changes"] == 0.0
    rows = town.rows["plan_in_force"]
    del rows["B"]  # added
    rows["JA:lo"]["choice"] = "L" if rows["JA:lo"]["choice"] == "S" else "S"  # resized
    in_force(town, "users", "Z", "pipe")  # withdrawn: no change
    in_force(town, "pipes", "AB:hi", "S", cancellation_cost_cny=7_000.0)  # dropped
    town.parameters |= {"revision.weight_resized": 5.0, "revision.weight_dropped": 0.25}
    result, figures = best(town)
    assert (figures["changes"], figures["forced_changes"], figures["cancellation_cost"]) == (
        6.25,
        1.0,
        7_000.0,
    )
    told = run_tables(town.instance(), result.solution)["changes"].set_index("project")
    assert told["change"].to_dict() == {"B": "added", "JA:lo": "resized", "Z": "dropped", "AB:hi": "dropped"}
    assert told.loc["Z", "forced"] and told.loc["AB:hi", "table"] == "pipes"
    summary = summarise(town.instance(), result.solution, check(town.instance(), result.solution))
    assert any("3 changes" in line and "1 forced" in line for line in summary.build)


def test_moving_counts_where_years_are_told_apart(town: Town) -> None:
    town.parameters["water.phased"] = True
    in_force(town, "users", "A", "pipe", year=YEAR + 1)
    result, figures = best(town, "formulation")
    told = run_tables(town.instance(), result.solution)["changes"].set_index("project")
    assert told.loc["A", "change"] == "moved" and told.loc["A", "year_after"] == YEAR
    assert figures["changes"] == len(projects_of(result.solution))


def test_few_changes_and_a_price_for_each(town: Town) -> None:
    keeping(town)
    town.rows["user_demands"]["b"]["base_m3_per_d"] = 0.0  # nobody to lay pipes to
    free = best(town)
    assert free[1]["changes"] >= 2.0
    town.aim("CITY-REVISE", 1.0)
    held = best(town)
    assert held[1]["changes"] <= 1.0 and held[0].objective < free[0].objective - 1.0
    town.aim("CITY-REVISE", 0.0, hard=False, penalty_cny_per_unit=1.0)
    assert best(town)[0].objective == pytest.approx(free[0].objective - free[1]["changes"], abs=1e-3)
    del town.targets["CITY-REVISE"]
    assert best(town, "fast", "changes", "npv")[1]["changes"] == 0.0


def test_too_few_changes_are_a_way_out(town: Town) -> None:
    keeping(town)
    town.rows["budgets"] = {"m": {"source": "municipal", "year": YEAR, "amount_cny": 200_000.0}}
    town.aim("CITY-REVISE", 0.0)
    result = solve_formulation(town.instance(), EXACT)
    assert result.stop is StopReason.INFEASIBLE
    assert {row.clause for way in result.relaxations for row in way.rows} >= {"CITY-REVISE"}


def test_closed_years_keep_what_is_in_force_there(town: Town) -> None:
    town.parameters |= {"water.phased": True, "revision.first_open_year": YEAR + 1}
    in_force(town, "plants", "P:lo", "m")
    projects = projects_of(best(town)[0].solution)
    assert set(projects.loc[projects["year"] == YEAR, "project"]) <= {"P:lo"}
    assert len(projects) > 1
    town.parameters |= {"revision.first_open_year": YEAR + 2, "water.phased": False}
    assert set(projects_of(best(town)[0].solution)["project"]) <= {"P:lo"}


def test_curve_of_value_against_changes(town: Town) -> None:
    keeping(town)
    town.rows["user_demands"]["b"]["base_m3_per_d"] = 0.0
    data = town.data()
    points = trace_changes(PROGRAMME, data, "npv", 3, EXACT)
    assert points[0].changes == 0.0 and len(points) >= 2
    assert all(a.value < b.value for a, b in itertools.pairwise(points))


@pytest.mark.parametrize("seed", [2, 16])
def test_certificate_covers_revised_instances(seed: int) -> None:
    """No plan is worth more than the stated relaxation, in which contracted pipes lie: verification states it again."""
    instance = under_way(seed, phased=False)
    exact = agreeing(instance, ("npv",), ("formulation",))
    stated = state_arrays(instance, ("npv",))
    assert exact is not None and stated is not None
    linear = solve_lp(stated.for_goals(("npv",), ()), Watch(EXACT, True))
    assert linear.objective >= exact.objective - 1e-6 * abs(exact.objective)


# --- faults ------------------------------------------------------------------------------------------


def second_mix(town: Town) -> None:
    town.add("funding", "a", project_kind="pipe", mix="city", source="municipal", share=1.0)
    town.add("funding", "b", project_kind="pipe", mix="owner", source="owner", share=1.0)


FAULTS: dict[str, tuple[tuple[str, str, str], dict[str, Any], str, str]] = {
    "no such plant": (("plants", "Q:lo", "s"), {}, "project", "plant:quality of plants and qualities"),
    "no such corridor": (("pipes", "XY:lo", "S"), {}, "project", "corridor:quality of corridors and qualities"),
    "no such user": (("users", "Z", "pipe"), {}, "project", "a user"),
    "no such site": (("other_works", "storage:x", ""), {}, "project", "storage:, cascade: or zld: and a storage site, a cascade or a candidate park"),
    "no such step": (("plants", "P:lo", "xl"), {}, "choice", "a step of modules"),
    "no such diameter": (("pipes", "PJ:lo", "XL"), {}, "choice", "a diameter of pipes of a quality that is made somewhere"),
    "no tanker": (("users", "A", "tanker"), {}, "choice", "pipe or tanker where the user has a tanker_plant"),
    "year": (("users", "A", "pipe"), {"year": 2030}, "year", "a year in 2022..2023"),
    "who pays": (("pipes", "PJ:lo", "S"), {}, "mix", "one of city, owner: who pays a pipe (funding table)"),
    "no choice": (("pipes", "PJ:lo", ""), {"state": "proposed"}, "choice", "a diameter of pipes"),
    "a choice of other works": (("other_works", "storage:x", "big"), {"state": "proposed"}, "choice", "nothing: other works are built or not"),
    "no kind": (("other_works", "tank", ""), {"state": "proposed"}, "project", "storage:… or cascade:… or zld:…"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str, town: Town) -> None:
    row, cells, column, expected = FAULTS[name]
    if name == "who pays":
        second_mix(town)
    in_force(town, *row, **{"state": "contracted", **cells})
    faults = find_faults(town.data())
    assert [(fault.table, fault.column, fault.expected) for fault in faults] == [
        ("plan_in_force", column, expected)
    ]


def test_faults_of_locks_and_parameters_all_at_once(town: Town) -> None:
    contracted(town, ("plants", "P:lo", "s"), ("pipes", "PJ:lo", "S"), ("users", "A", "pipe"))
    town.rows["plants"]["Q"] = {**town.rows["plants"]["P"], "plant": "Q"}
    town.rows["treatment"]["Q-lo"] = {"plant": "Q", "quality": "lo", "opex_cny_per_m3": 0.5}
    town.rows["modules"]["Q-lo-s"] = {**town.rows["modules"]["P-lo-s"], "plant": "Q"}
    contracted(town, ("plants", "Q:lo", "s"))
    town.lock("fix", "P", value="lo:m")
    town.lock("force_out", "PJ:lo")
    town.lock("fix", "A", value="none")
    town.parameters |= {"revision.first_open_year": 2030, "water.num_plants_exact": 1}
    town.aim("CITY-REVISE", 1.0, deadline_year=2023)
    assert [fault.expected for fault in find_faults(town.data())] == [
        "at most 2024, when no year of the plan is open",
        "none: changes are counted at once",
        "what the plan in force has: P:lo s 2022 (contracted)",
        "what the plan in force has: PJ:lo S 2022 (contracted)",
        "what the plan in force has: A pipe 2022 (contracted)",
        "0, or at least 2: so many plants have contracts",
    ]


def test_locks_name_one_quality_of_a_plant_or_corridor(town: Town) -> None:
    """What was given up stays out; the other quality may be built."""
    town.rows["users"]["A"]["tanker_plant"] = "P"
    town.lock("force_out", "P:lo")
    town.lock("force_out", "JA:hi")
    assert not find_faults(town.data())
    solution = best(town)[0].solution
    assert set(solution.modules["quality"]) == {"hi"} and "JA" not in set(solution.pipes["corridor"])
    built = solution.modules.assign(quality="lo", step="m")
    report = check(town.instance(), replace(solution, modules=built))
    assert any("lock force_out P:lo" in v.where for v in report.violations)
    town.lock("force_in", "P:hi")
    assert [fault.column for fault in find_faults(town.data())] == ["id"]

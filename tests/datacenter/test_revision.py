"""Revising a plan in force: what is contracted is a fact, changes are counted and limited, money is owed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from optimize.datacenter import fast
from optimize.datacenter.checker import check
from optimize.datacenter.checker_revision import DECISION
from optimize.datacenter.data_checks import find_faults
from optimize.datacenter.example import example
from optimize.datacenter.fast import solve_fast
from optimize.datacenter.formulation import solve_formulation
from optimize.datacenter.instance import Instance
from optimize.datacenter.kinds import NOTHING
from optimize.datacenter.levels import state_levels
from optimize.datacenter.options import derive_options
from optimize.datacenter.plan import describe_options
from optimize.datacenter.programme import PROGRAMME
from optimize.datacenter.recounted import recount_projects
from optimize.datacenter.restated import restate_options
from optimize.datacenter.schema import PLAN_IN_FORCE, SCHEMA
from optimize.datacenter.solution import Solution
from optimize.datacenter.stated import state_arrays
from optimize.io.validation import data_from_draft
from optimize.programme import SolveOptions
from optimize.result import Result, StopReason
from optimize.schema import InstanceDraft
from tests.datacenter.cases import changed, every_project, instance_of, locks, no_locks, plan_of, tiny, vary

EXACT = SolveOptions(gap=0.0, time_limit_s=60.0)
ENGINES = {"formulation": solve_formulation, "fast": solve_fast}
BLANK = {"measures": "", "later_year": 0, "later_measures": "", "host": "", "sink": "", "offer": "", "mix": "",
         "state": "proposed", "actual_capex_cny": np.nan, "cancellation_cost_cny": 0.0}  # fmt: skip

RETROFIT = {"centre": "B1", "action": "retrofit", "year": 2023, "measures": "containment", "mix": "own"}
STAGED = {"centre": "A1", "action": "staged", "year": 2022, "measures": "containment", "later_year": 2024,
          "later_measures": "containment+setpoint", "mix": "own"}  # fmt: skip
CLOSING = {"centre": "B2", "action": "close", "year": 2023, "host": "cloud"}
HEATED = {
    "centre": "A1",
    "action": "retrofit",
    "year": 2022,
    "measures": "heat_pump",
    "sink": "pool",
    "mix": "own",
}
OFFERED = {"centre": "B4", "action": "offer", "year": 2023, "offer": "O1"}
EVERY_KIND = (RETROFIT, STAGED, CLOSING, OFFERED)


def in_force(*rows: dict[str, Any]) -> pd.DataFrame:
    columns = [column.name for column in PLAN_IN_FORCE.columns]
    return pd.DataFrame([BLANK | row for row in rows], columns=columns)


def revised(*rows: dict[str, Any], **how: Any) -> InstanceDraft:
    """The example without locks and targets, revised."""
    tables = {"locks": no_locks(), "plan_in_force": in_force(*rows)} | how.pop("tables", {})
    parameters = {"datacenter.max_packages_per_centre": 6} | how.pop("parameters", {})
    return vary(tables=tables, parameters=parameters, targets=how.pop("targets", {}), **how)


def contracted(*rows: dict[str, Any], **how: Any) -> Instance:
    return instance_of(revised(*(row | {"state": "contracted"} for row in rows), **how))


def solved(instance: Instance, engine: str = "fast", *goal: str) -> tuple[Result[Solution], pd.DataFrame]:
    """The best plan, checked, and its projects by centre."""
    options = replace(EXACT, goal=goal or ("npv",))
    result = ENGINES[engine](instance, options)
    assert result.solution is not None, result.stop
    report = check(instance, result.solution)
    assert report.passed, report.violations
    assert report.figures[options.goal[-1]] == pytest.approx(result.objective, rel=1e-7, abs=1e-6)
    return result, result.solution.projects.set_index("centre")


# --- engines ---------------------------------------------------------------------------------------


def under_way(seed: int) -> Instance:
    """The example with whatever options in force, some contracted, some of which are no longer there."""
    rng = np.random.default_rng(seed)
    targets: dict[str, dict[str, Any]] = {
        "CITY-REVISE": {"required": float(rng.integers(2, 6)), "hard": bool(rng.random() < 0.4), "penalty_cny_per_unit": 4e4},
        "DC-BATT": {"required": 1.0, "hard": False, "penalty_cny_per_unit": 1e5},
    }  # fmt: skip
    parameters = {
        "datacenter.max_packages_per_centre": 4, "budgets.carry_over_share": float(rng.choice([0.0, 0.6])),
        "revision.first_open_year": int(rng.choice([0, 2022, 2023])), "revision.weight_dropped": float(rng.choice([1.0, 3.0])),
        "revision.weight_moved": float(rng.choice([0.0, 1.0])), "budgets.scale": float(rng.choice([0.05, 0.3, 1.0])),
    }  # fmt: skip
    draft = vary(tables={"locks": no_locks()}, targets=targets, parameters=parameters)
    instance = instance_of(vary(draft, parameters={"revision.first_open_year": 0}))
    options = derive_options(instance, ("npv",))
    rows = []
    for centre, name in enumerate(instance.centres["centre"]):
        own = np.flatnonzero((options.centre == centre) & (options.kind != NOTHING))
        if rng.random() < 0.35 or not len(own):
            continue
        decision = describe_options(instance, options, rng.choice(own, 1)).iloc[0].to_dict()
        state = str(rng.choice(["proposed", "contracted", "on_site"], p=[0.6, 0.2, 0.2]))
        actual = float(rng.uniform(5e4, 5e5)) if rng.random() < 0.5 else np.nan
        rows.append(
            {"centre": name, **decision, "state": state, "actual_capex_cny": actual, "cancellation_cost_cny": float(rng.choice([0.0, 3e4]))}
        )  # fmt: skip
    centres = draft.tables["centres"].copy()
    failed = rng.random(len(centres)) < 0.3  # what was decided may no longer be allowed there
    centres["residual_life_years"] = np.where(failed, 2.0, centres["residual_life_years"])
    centres["closable"] = ~failed
    return instance_of(vary(draft, tables={"centres": centres, "plan_in_force": in_force(*rows)}))


GOALS = (("npv",), ("cost",), ("changes", "npv"), ("co2", "changes"))


def test_engines_and_checker_agree_on_random_plans_in_force() -> None:
    forced = feasible = 0
    for seed in range(8):
        instance, goal = under_way(seed), GOALS[seed % len(GOALS)]
        results = {name: solve(instance, replace(EXACT, goal=goal)) for name, solve in ENGINES.items()}
        assert len({result.stop is StopReason.INFEASIBLE for result in results.values()}) == 1, f"seed {seed}"
        for result in results.values():
            if result.solution is None:
                continue
            feasible += 1
            report = check(instance, result.solution)
            assert report.passed, (seed, report.violations)
            assert report.figures[goal[-1]] == pytest.approx(result.objective, rel=1e-6, abs=1e-6), (
                f"seed {seed}"
            )
            assert result.objective == pytest.approx(results["fast"].objective, rel=1e-6, abs=1e-6), (
                f"seed {seed}"
            )
            forced += report.figures["forced_changes"] > 0
    assert feasible >= 8 and forced >= 4


def test_brute_force_agrees() -> None:
    """One project contracted, one in force; each change costs its penalty; counted by the checker alone."""
    instance = tiny(1)
    options = derive_options(instance, ("npv",))
    decisions = describe_options(instance, options, np.arange(len(options)))
    retrofits = [np.flatnonzero((options.centre == c) & (decisions["action"] == "retrofit")) for c in (0, 1)]
    rows = [
        {"centre": instance.centres["centre"][c], **decisions.iloc[own[-1 - c]].to_dict(), "state": state,
         "cancellation_cost_cny": 2e4, "actual_capex_cny": 5e4}
        for c, (own, state) in enumerate(zip(retrofits, ("on_site", "budgeted"), strict=True))
    ]  # fmt: skip
    soft = {"CITY-REVISE": {"required": 0, "hard": False, "penalty_cny_per_unit": 1e4}}
    targets = dict(instance.targets) | dict(instance_of(vary(targets=soft)).targets)
    parameters = dict(instance.parameters) | {"budgets.scale": 3.0}
    instance = replace(
        instance,
        plan_in_force=in_force(*rows),
        targets=targets,
        parameters=parameters,
        zones=instance.zones.assign(max_share_under_works=1.0),
    )
    others = every_project(instance, rows[1]["centre"])
    first = {name: rows[0][name] for name in ("centre", *DECISION.columns)}
    plans = [plan_of(instance, [row for row in (first, other) if row is not None]) for other in others]
    reports = [report for plan in plans if (report := check(instance, plan)).passed]
    assert len(reports) > 5
    for goal, best in (("npv", max), ("changes", min)):
        expected = best(report.figures[goal] for report in reports)
        for engine in ENGINES:
            assert solved(instance, engine, goal)[0].objective == pytest.approx(expected, rel=1e-6)


# --- contracted ------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_contracts_stay_as_they_are(engine: str) -> None:
    """Of every kind; all are decided otherwise when they may."""
    free = solved(instance_of(revised()))[1]
    projects = solved(contracted(*EVERY_KIND), engine)[1]
    for row in EVERY_KIND:
        decided = BLANK | row
        centre = row["centre"]
        assert all(projects.loc[centre, name] == decided[name] for name in DECISION.columns), centre
        assert centre not in free.index or any(free.loc[centre, n] != decided[n] for n in DECISION.columns)


def test_contracts_that_could_not_be_decided_anew_stand() -> None:
    """No residual life, not closable, tendered by now, a mix nobody may take any more."""
    centres = example().tables["centres"].assign(residual_life_years=0.0, closable=False, tier=4)
    offers = pd.DataFrame({"offer": ["O1", "O9"], "centre": ["B4", "B1"], "npv_cny": [1.0, 2.0]})
    rows = (RETROFIT | {"mix": ""}, STAGED, CLOSING, OFFERED)
    how: dict[str, Any] = {"tables": {"centres": centres, "offers": offers}, "without": ("offer_payments",)}
    projects = solved(contracted(*rows, **how))[1]
    assert set(projects.index) >= {"B1", "A1", "B2"}
    assert projects.loc["B1", "measures"] == "containment"


@pytest.mark.parametrize(
    "row", [RETROFIT, STAGED, CLOSING, HEATED], ids=lambda row: row["action"] + row.get("sink", "")
)
def test_actual_cost_counts_with_its_annuities(row: dict[str, Any]) -> None:
    centre = row["centre"]
    estimated = solved(contracted(row))[1].loc[centre]
    dearer = row | {"actual_capex_cny": 1.5 * float(estimated["capex_cny"])}
    result, projects = solved(contracted(dearer))
    actual = projects.loc[centre]
    assert actual["capex_cny"] == pytest.approx(1.5 * estimated["capex_cny"])
    lost = estimated["npv_cny"] - actual["npv_cny"]
    assert lost == pytest.approx(actual["cost_cny"] - estimated["cost_cny"]) and lost > 0
    assert result.solution is not None
    paid = result.solution.payments.groupby("centre")["amount_cny"].sum()
    assert paid[centre] == pytest.approx(actual["capex_cny"])


def test_contracted_offer_pays_its_actual_cost_and_may_be_late() -> None:
    due = float(example().tables["offer_payments"].groupby("offer")["amount_cny"].sum()["O1"])
    row = OFFERED | {"year": 2024, "actual_capex_cny": 2 * due}
    result, projects = solved(contracted(row))
    assert result.solution is not None
    assert projects.loc["B4", "year"] == 2024
    assert projects.loc["B4", "npv_cny"] < 350_000.0 - 0.8 * due
    payments = result.solution.payments
    assert payments.loc[payments["centre"] == "B4", "amount_cny"].sum() == pytest.approx(2 * due)


ZONES = example().tables["zones"].assign(max_share_under_works=0.001)
WORKS = {"centre": "A1", "action": "retrofit", "year": 2022, "measures": "containment", "mix": "own"}
CROWDED: dict[str, tuple[tuple[dict[str, Any], ...], dict[str, Any]]] = {
    "budgets": (EVERY_KIND, {"parameters": {"budgets.scale": 0.0}}),
    "budgets with carry-over": (EVERY_KIND, {"parameters": {"budgets.scale": 0.01, "budgets.carry_over_share": 0.8}}),
    "weeks": (EVERY_KIND, {"tables": {"trades": example().tables["trades"].assign(weeks=0.001)}}),
    "zones": (EVERY_KIND, {"tables": {"zones": ZONES}}),
    "partners": ((WORKS, WORKS | {"centre": "A2", "mix": ""}), {}),
    "hosts": (EVERY_KIND, {"tables": {"host_capacity": example().tables["host_capacity"].assign(capacity_kw=0.0)}}),
    "sinks": ((HEATED, HEATED | {"centre": "A3"}), {"tables": {"centres": changed("centres", 2, lon=121.601, lat=31.201).infer_objects()}}),
}  # fmt: skip


@pytest.mark.parametrize("row", CROWDED)
def test_contracts_beyond_what_there_is_break_no_row(row: str) -> None:
    rows, how = CROWDED[row]
    instance = contracted(*rows, **how)
    objectives = [solved(instance, engine)[0].objective for engine in ENGINES]
    assert objectives[0] == pytest.approx(objectives[1])


# --- changes ---------------------------------------------------------------------------------------


def test_nothing_new_begins_before_the_first_open_year() -> None:
    early = RETROFIT | {"cancellation_cost_cny": 1e9}
    projects = solved(instance_of(revised(early, parameters={"revision.first_open_year": 2024})))[1]
    assert set(projects.drop("B1")["year"]) == {2024} and projects.loc["B1", "year"] in (2023, 2024)
    closed = solved(instance_of(revised(early, parameters={"revision.first_open_year": 2025})))[1]
    assert closed["year"].to_dict() == {"B1": 2023}


def test_limit_and_goal_of_changes() -> None:
    draft = revised(*EVERY_KIND)
    free, _ = solved(instance_of(draft))
    fewest, projects = solved(instance_of(draft), "fast", "changes", "npv")
    assert set(projects.index) == {"B1", "A1", "B2", "B4"}
    limited = vary(draft, targets={"CITY-REVISE": {"required": 0}})
    assert solved(instance_of(limited))[0].objective == pytest.approx(fewest.objective)
    priced = vary(draft, targets={"CITY-REVISE": {"required": 0, "hard": False, "penalty_cny_per_unit": 1.0}})
    result = solved(instance_of(priced))[0]
    assert free.objective is not None and result.objective is not None and result.solution is not None
    changes = check(instance_of(priced), result.solution).figures["changes"]
    assert changes > 4 and free.objective - result.objective == pytest.approx(changes)


FORCED: dict[str, dict[str, Any]] = {
    "no residual life": {"tables": {"centres": example().tables["centres"].assign(residual_life_years=1.0)}, "row": RETROFIT | {"measures": "modular_ups"}},
    "withdrawn": {"row": RETROFIT | {"centre": "gone"}},
    "no such measure": {"row": RETROFIT | {"measures": "magic"}},
    "tendered by now": {"row": RETROFIT | {"centre": "B4"}},
    "locked out": {"tables": {"locks": locks(("force_out", "B1", "", "", 0))}, "row": RETROFIT},
    "a year gone by": {"row": RETROFIT | {"year": 2020}},
    "too small for stages": {"row": STAGED, "parameters": {"datacenter.staging_min_it_load_kw": 1e6}},
    "not closable": {"tables": {"centres": example().tables["centres"].assign(closable=False)}, "row": CLOSING},
    "no such host": {"row": CLOSING | {"host": "moon"}},
    "no such mix": {"row": RETROFIT | {"mix": "lottery"}},
}  # fmt: skip


@pytest.mark.parametrize("why", FORCED)
def test_forced_changes_do_not_count_but_costs_are_owed(why: str) -> None:
    how = dict(FORCED[why])
    row = how.pop("row") | {"cancellation_cost_cny": 1e5}
    instance = instance_of(revised(row, targets={"CITY-REVISE": {"required": 0}}, **how))
    result, projects = solved(instance)
    assert result.solution is not None
    report = check(instance, result.solution)
    assert (report.figures["changes"], report.figures["forced_changes"]) == (0.0, 1.0)
    assert set(projects.index) <= {row["centre"]}
    changes = PROGRAMME.plan_tables(instance, result.solution)["changes"]
    owed = 0.0 if changes["change"].iloc[0] in ("moved", "refunded", "moved+refunded") else 1e5
    assert report.figures["cancellation_cost"] == pytest.approx(owed)


def test_packages_in_force_are_never_dropped_as_dominated() -> None:
    """Nor shortened away: what may still be built may stay."""
    short = {"datacenter.max_packages_per_centre": 2}
    draft = revised(parameters=short)
    offered, every = (
        derive_options(instance_of(draft), ("npv",), drop_dominated=drop).packages for drop in (True, False)
    )
    centre = list(draft.tables["centres"]["centre"]).index("A1")
    kept, known = (set(p.mask[p.centre == centre].tolist()) for p in (offered, every))
    names = list(draft.tables["measures"]["measure"])
    assert len(known - kept) >= 3
    for mask in sorted(known - kept)[:3]:
        measures = "+".join(name for bit, name in enumerate(names) if mask >> bit & 1 and name != "heat_pump")
        row = RETROFIT | {"centre": "A1", "measures": measures}
        instance = instance_of(revised(row, parameters=short))
        options = derive_options(instance, ("npv",))
        assert options.in_force is not None
        assert options.in_force.holds(options.ids).sum() == 1, measures


def test_the_order_in_which_measures_are_written_is_no_change() -> None:
    row = RETROFIT | {"measures": "setpoint+containment"}
    instance = instance_of(revised(row, targets={"CITY-REVISE": {"required": 0}}))
    result, projects = solved(instance)
    assert result.solution is not None
    assert set(projects.index) == {"B1"}
    assert check(instance, result.solution).figures["changes"] == 0.0
    frozen = solved(contracted(row))[1]
    assert frozen.loc["B1", "measures"] == "containment+setpoint"


def test_summary_tells_what_became_of_the_plan() -> None:
    instance = contracted(RETROFIT)
    result, _ = solved(instance)
    assert result.solution is not None
    words = PROGRAMME.summarise(instance, result.solution, check(instance, result.solution)).build[-1]
    assert words.startswith("of 1 projects in force 1 contracted, ") and "added" in words


# --- beside the solve ------------------------------------------------------------------------------


def test_a_solve_begins_from_the_plan_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = {
        "CITY-REVISE": {"required": 0, "hard": False, "penalty_cny_per_unit": 1.0},
        "DC-ENERGY": {"required": 1e6, "hard": False, "penalty_cny_per_unit": 1.0},
    }
    rows = (RETROFIT | {"state": "contracted"}, STAGED, RETROFIT | {"centre": "gone"})
    instance = instance_of(revised(*rows, targets=targets, parameters={"budgets.carry_over_share": 0.5}))
    seen: dict[str, Any] = {}
    solve_goals = fast.solve_goals

    def spy(milp: Any, objectives: Any, options: Any, **how: Any) -> Any:
        seen.update(how, milp=milp)
        return solve_goals(milp, objectives, options, **how)

    monkeypatch.setattr(fast, "solve_goals", spy)
    solve_fast(instance, EXACT)
    assert seen["milp"].violation(seen["start"]) <= 1e-9


def test_other_budgets_and_costs_keep_what_contracts_cost() -> None:
    instance = contracted(RETROFIT | {"actual_capex_cny": 3e5}, OFFERED)
    levels = state_levels(instance, "npv")
    levels.restate(instance)
    other = replace(instance, parameters=dict(instance.parameters) | {"budgets.scale": 0.01})
    restated, anew = levels.restate(other), state_arrays(other, ("npv",)).milp
    assert restated is not None and restated.row_upper == pytest.approx(anew.row_upper)
    dearer = replace(instance, centres=instance.centres.assign(cost_factor=2.0))
    worth = restate_options(instance, ("npv",)).npv_cny(dearer)
    options = derive_options(instance, ("npv",))
    result, _ = solved(dearer)
    assert result.solution is not None
    found = recount_projects(dearer, result.solution)
    mine = np.flatnonzero(
        options.contracted & (options.centre == list(instance.centres["centre"]).index("B1"))
    )
    assert worth[mine] == pytest.approx([found.npv_cny[found.ids.index("B1")]])


# --- faults ----------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "action and columns": (RETROFIT | {"host": "cloud"}, "nothing: the project is `retrofit`"),
    "nothing named": (CLOSING | {"host": ""}, "what a project `close` has"),
    "stages": (RETROFIT | {"later_year": 2024}, "a year where and only where the project is staged"),
    "centre": (RETROFIT | {"centre": "gone", "state": "on_site"}, "a centre"),
    "year": (RETROFIT | {"year": 2020, "state": "on_site"}, "a year in 2022..2024"),
    "measures": (RETROFIT | {"measures": "magic", "state": "on_site"}, "measures joined by +"),
    "smaller later": (STAGED | {"later_measures": "setpoint", "state": "on_site"}, "a larger package in a later year"),
    "host": (CLOSING | {"host": "moon", "state": "on_site"}, "a host"),
    "sink": (HEATED | {"sink": "", "state": "on_site"}, "a heat sink where and only where heat is recovered"),
    "out of reach": (HEATED | {"centre": "B4", "offer": "", "state": "on_site"}, "a heat sink within 1.5 km"),
    "offer": (OFFERED | {"centre": "B5", "state": "on_site"}, "an offer of the centre"),
    "mix": (RETROFIT | {"mix": "lottery", "state": "on_site"}, "a mix of the funding table, or empty: the owner's own level"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str) -> None:
    row, expected = FAULTS[name]
    faults = find_faults(data_from_draft(SCHEMA, revised(row)))
    assert [(fault.table, fault.expected) for fault in faults] == [("plan_in_force", expected)]


def test_faults_of_locks_and_parameters() -> None:
    draft = revised(
        RETROFIT | {"state": "contracted"},
        tables={"locks": locks(("force_out", "B1", "", "", 0), ("fix", "B1", "", "retrofit", 0))},
        parameters={"revision.first_open_year": 2030},
        targets={"CITY-REVISE": {"required": 1, "deadline_year": 2023}},
    )
    faults = find_faults(data_from_draft(SCHEMA, draft))
    assert {fault.expected for fault in faults} == {
        "what the plan in force has: retrofit 2023 (contracted)",
        "at most 2025, when no year of the plan is open",
        "none: changes are counted at once",
    }
    assert "datacenter.clauses.CITY-REVISE.deadline_year" in {fault.column for fault in faults}

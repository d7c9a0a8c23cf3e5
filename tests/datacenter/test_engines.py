"""Brute force = formulation = fast = checker; goals, locks, funding, carry-over, infeasibility."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from optimize.datacenter import fast
from optimize.datacenter.checker import check
from optimize.datacenter.example import example
from optimize.datacenter.fast import solve_fast
from optimize.datacenter.formulation import solve_formulation
from optimize.datacenter.instance import Instance
from optimize.datacenter.options import derive_options
from optimize.engine.column_generation import relax_by_columns, solve_by_columns
from optimize.engine.highs import solve_milp
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions
from optimize.result import StopReason
from tests.datacenter.cases import brute_force, changed, instance_of, locks, no_locks, tiny, vary

EXACT = SolveOptions(gap=0.0)
ENGINES = pytest.mark.parametrize("solve", [solve_formulation, solve_fast])


def best(instance: Instance, goal: str = "npv") -> float:
    """Optimum by the fast path, checked."""
    result = solve_fast(instance, replace(EXACT, goal=(goal,)))
    assert result.stop is StopReason.OPTIMAL and result.solution is not None
    report = check(instance, result.solution)
    assert report.passed, report.violations
    assert report.figures[goal] == pytest.approx(result.objective, rel=1e-6)
    return report.figures[goal]


@pytest.mark.parametrize("seed", [2, 4])
def test_brute_force_agrees(seed: int) -> None:
    instance = tiny(seed)
    goals = ("npv", "cost", "energy", "co2")
    optima = zip(goals, brute_force(instance, *goals), strict=True)
    for (goal, expected), solve in product(optima, (solve_formulation, solve_fast)):
        result = solve(instance, replace(EXACT, goal=(goal,)))
        assert result.objective == pytest.approx(expected, rel=1e-6)
        assert result.bound == pytest.approx(expected, rel=1e-6)
        assert result.solution is not None
        assert check(instance, result.solution).figures[goal] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("goal", [("npv",), ("cost",), ("energy",), ("co2",), ("energy", "cost")])
def test_both_engines_agree_on_the_example(goal: tuple[str, ...]) -> None:
    instance = instance_of(example())
    values = []
    for solve in (solve_formulation, solve_fast):
        result = solve(instance, replace(EXACT, goal=goal))
        assert result.solution is not None
        report = check(instance, result.solution)
        assert report.passed, report.violations
        values += [result.objective, report.figures[goal[-1]]]
    assert values == pytest.approx([values[0]] * 4, rel=1e-6)


def test_second_goal_keeps_the_first() -> None:
    instance = instance_of(example())
    energy = best(instance, "energy")
    result = solve_fast(instance, replace(EXACT, goal=("energy", "npv")))
    assert result.solution is not None
    assert check(instance, result.solution).figures["energy"] == pytest.approx(energy, rel=1e-6)
    assert result.objective <= best(instance, "npv") + 1.0


@pytest.mark.parametrize("goal", ["npv", "cost", "energy"])
def test_dropping_dominated_packages_loses_nothing(goal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = vary(parameters={"datacenter.staging_min_it_load_kw": 1e9})
    instance = instance_of(draft)
    reduced = len(derive_options(instance, (goal,)).packages)
    with_rule = best(instance, goal)
    monkeypatch.setattr(fast, "derive_options", lambda i, g: derive_options(i, g, drop_dominated=False))
    assert len(derive_options(instance, (goal,), drop_dominated=False).packages) > reduced
    assert best(instance, goal) == pytest.approx(with_rule, rel=1e-9)


def test_package_effects_multiply() -> None:
    options = derive_options(instance_of(example()), ("npv",), drop_dominated=False)
    centre = 3  # B1: cooling 0.85, power 0.28, other 0.05
    mask = 0b01011  # containment 0.20, setpoint 0.08, modular UPS 0.50
    row = np.flatnonzero((options.packages.centre == centre) & (options.packages.mask == mask))[0]
    assert options.packages.pue[row] == pytest.approx(1 + 0.85 * 0.8 * 0.92 + 0.28 * 0.5 + 0.05)


def test_cutting_servers_raises_the_pue() -> None:
    measures = changed("measures", 3, acts_on="it", saving_share=0.4)
    options = derive_options(instance_of(vary(tables={"measures": measures})), ("npv",), drop_dominated=False)
    row = np.flatnonzero((options.packages.centre == 3) & (options.packages.mask == 0b1000))[0]
    assert options.packages.pue[row] == pytest.approx(1 + 0.85 + 0.28 + 0.05 / 0.6)
    assert options.packages.saving[row] == pytest.approx(0.4 * (1 + 0.85 + 0.28))


@pytest.mark.parametrize(
    ("lock", "holds"),
    [
        (("force_out", "A1", "", "", 0), lambda p: "A1" not in p.index),
        (("force_in", "B2", "", "", 0), lambda p: "B2" in p.index),
        (("fix", "B3", "", "containment", 2024), lambda p: (p.loc["B3", ["measures", "year"]] == ["containment", 2024]).all()),
        (("fix", "B1", "", "close:cloud", 0), lambda p: p.loc["B1", "host"] == "cloud"),
        (("fix", "B5", "", "retrofit", 0), lambda p: p.loc["B5", "action"] in ("retrofit", "staged")),
        (("fix", "B4", "", "O2", 0), lambda p: p.loc["B4", "offer"] == "O2"),
        (("fix", "B6", "", "nothing", 0), lambda p: "B6" not in p.index),
        (("earliest", "A1", "", "", 2024), lambda p: p.loc["A1", "year"] == 2024),
        (("latest", "B5", "", "", 2022), lambda p: "B5" not in p.index or p.loc["B5", "year"] == 2022),
        (("together", "B2", "B1", "", 0), lambda p: ("B1" in p.index) == ("B2" in p.index)),
        (("not_together", "A1", "A2", "", 0), lambda p: not {"A1", "A2"} <= set(p.index)),
    ],
)  # fmt: skip
def test_locks(lock, holds) -> None:  # type: ignore[no-untyped-def]
    instance = instance_of(vary(tables={"locks": locks(lock)}, targets={}))
    values = []
    for solve in (solve_formulation, solve_fast):
        result = solve(instance, EXACT)
        assert result.solution is not None
        assert holds(result.solution.projects.set_index("centre"))
        assert check(instance, result.solution).passed
        values.append(result.objective)
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_must_choose_takes_an_option_that_costs() -> None:
    centres = changed("centres", 4, must_choose=True)
    centres["must_choose"] = centres["must_choose"].fillna(False).astype(bool)
    instance = instance_of(vary(tables={"centres": centres, "locks": no_locks()}))
    result = solve_fast(instance, replace(EXACT, goal=("cost",)))
    assert result.solution is not None and "B2" in set(result.solution.projects["centre"])


def test_subsidy_pays_its_share_up_to_the_ceiling() -> None:
    draft = vary(tables={"locks": locks(("fix", "A3", "", "containment+setpoint", 2022))}, targets={})
    budgets = draft.tables["budgets"].copy()
    owner = pd.DataFrame({"source": "owner", "year": [2022, 2023, 2024], "amount_cny": 95_000.0})
    instance = instance_of(vary(draft, tables={"budgets": pd.concat([budgets, owner])}))
    result = solve_fast(instance, EXACT)
    assert result.solution is not None
    project = result.solution.projects.set_index("centre").loc["A3"]
    assert project["mix"] == "subsidised" and project["capex_cny"] == pytest.approx(113_000.0)
    paid = result.solution.payments.query("centre == 'A3'").set_index("source")["amount_cny"]
    # A3: 15 000 + 300*300 + 2 000 + 20*300 CNY; 20 % by the city
    assert paid.to_dict() == pytest.approx({"municipal": 22_600.0, "owner": 90_400.0})


def test_carry_over_never_hurts_and_is_spent() -> None:
    values = [
        best(instance_of(vary(parameters={"budgets.carry_over_share": s, "budgets.scale": 0.5}, targets={})))
        for s in (0.0, 0.5, 1.0)
    ]
    assert values[0] <= values[1] <= values[2]
    assert values[0] < values[2]


@ENGINES
def test_infeasible_target_names_the_clause(solve) -> None:  # type: ignore[no-untyped-def]
    instance = instance_of(vary(targets={"DC-GREEN": {"required": 9}}))
    result = solve(instance, replace(EXACT, time_limit_s=20.0))
    assert result.stop is StopReason.INFEASIBLE and result.solution is None
    rows = [row for way in result.relaxations for row in way.rows]
    assert any(row.clause == "DC-GREEN" and row.reachable < 9 for row in rows)


@ENGINES
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_budgets_short_everywhere_are_told_in_proportion(solve, share: float) -> None:  # type: ignore[no-untyped-def]
    """One row for all budgets, and with it granted the instance has a plan; what is granted is carried over."""
    parameters = {"budgets.scale": 0.02, "budgets.carry_over_share": share}
    targets = {"DC-PUE": {"required": 0.5}}
    draft = vary(parameters=parameters, targets=targets, tables={"locks": no_locks()})
    result = solve(instance_of(draft), replace(EXACT, goal=("cost",), time_limit_s=60.0))
    assert result.stop is StopReason.INFEASIBLE
    rows = [way.rows[0] for way in result.relaxations if len(way.rows) == 1]
    (row,) = [r for r in rows if r.where == "all sources and years in proportion"]
    assert row.clause == "budget" and row.unit == "CNY"
    granted = parameters | {"budgets.scale": 0.02 * row.reachable / row.required * (1 + 1e-6)}
    plan = solve(instance_of(vary(draft, parameters=granted)), replace(EXACT, goal=("cost",)))
    assert (
        plan.solution is not None
        and check(instance_of(vary(draft, parameters=granted)), plan.solution).passed
    )


@ENGINES
def test_soft_target_pays_its_penalty(solve) -> None:  # type: ignore[no-untyped-def]
    soft = {"DC-GREEN": {"required": 9, "hard": False, "penalty_cny_per_unit": 1_000.0}}
    instance = instance_of(vary(targets=soft))
    result = solve(instance, EXACT)
    assert result.solution is not None
    report = check(instance, result.solution)
    assert report.passed
    short = 9 - report.clauses[0].reached
    assert short > 0 and report.figures["penalty_cny"] == pytest.approx(1_000.0 * short)
    assert report.figures["npv"] == pytest.approx(result.objective, rel=1e-6)


def test_projects_after_the_deadline_do_not_count() -> None:
    targets = {"DC-GREEN": {"required": 1, "deadline_year": 2023}}
    draft = vary(
        targets=targets,
        tables={"locks": locks(("earliest", "A1", "", "", 2024), ("earliest", "A2", "", "", 2024))},
    )
    assert solve_fast(instance_of(draft), replace(EXACT, time_limit_s=20.0)).stop is StopReason.INFEASIBLE


def test_column_generation_reaches_the_optimum() -> None:
    instance = instance_of(example())
    options = derive_options(instance, ("npv",))
    milp, _, penalty = fast.build_milp(instance, options)
    objective = fast.objectives_of(instance, options, ("npv",), penalty)[0]
    milp = milp.with_objective(objective.cost, objective.maximise)
    group = np.full(milp.num_columns, -1)
    group[: len(options)] = options.centre
    relaxed = relax_by_columns(milp, group, Watch(EXACT, True)).relaxation
    plain = solve_milp(milp, Watch(EXACT, True))
    found = solve_by_columns(milp, group, Watch(EXACT, True))
    assert relaxed is not None and plain.objective is not None
    assert relaxed.bound >= plain.objective - 1.0
    assert found.objective == pytest.approx(plain.objective, rel=1e-9)
    assert found.bound == pytest.approx(plain.objective, rel=1e-6)


def test_time_limit_returns_a_checked_plan_or_none() -> None:
    instance = instance_of(example())
    result = solve_fast(instance, replace(EXACT, time_limit_s=0.01))
    assert result.solution is None or check(instance, result.solution).passed

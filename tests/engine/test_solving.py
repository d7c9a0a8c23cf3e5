"""The engine on random small programmes: all ways agree, bounds hold, interruption keeps the plan."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pyomo.environ import (
    Binary,
    ConcreteModel,
    Constraint,
    NonNegativeReals,
    Objective,
    Var,
    maximize,
    minimize,
)

from optimize.engine.certificate import dual_bound
from optimize.engine.core import solve_by_core
from optimize.engine.goals import solve_goals
from optimize.engine.highs import solve_lp, solve_milp, write_model
from optimize.engine.pyomo_bridge import ElasticConstraint, compile_model, solve_model
from optimize.engine.second_opinion import solve_with
from optimize.engine.stopping import Watch
from optimize.milp import ElasticRows, Milp, MilpBuilder
from optimize.milp import Objective as Goal
from optimize.programme import SolveOptions
from optimize.result import StopReason


def choice_programme(seed: int, groups: int = 4, options: int = 3, rows: int = 2) -> Milp:
    """Groups with at most one option each, under ``rows`` shared capacities."""
    rng = np.random.default_rng(seed)
    builder = MilpBuilder(maximise=True)
    value = rng.integers(1, 40, (groups, options)).astype(float)
    use = rng.integers(0, 9, (rows, groups, options)).astype(float)
    x = builder.add_columns("chosen", (groups, options), upper=1, cost=value, integral=True)
    builder.add_rows("one_option", groups, [(np.arange(groups)[:, None], x, 1.0)], upper=1)
    builder.add_rows(
        "capacity",
        rows,
        [(np.arange(rows)[:, None, None], x[None], use)],
        upper=0.35 * use.max(axis=2).sum(axis=1),
    )
    return builder.build()


def brute_force(milp: Milp) -> float:
    best = -np.inf if milp.maximise else np.inf
    for point in itertools.product((0.0, 1.0), repeat=milp.num_columns):
        x = np.array(point)
        if milp.violation(x) <= 1e-9:
            best = max(best, milp.value(x)) if milp.maximise else min(best, milp.value(x))
    return best


def watch(**changes: object) -> Watch:
    return Watch(SolveOptions(**{"gap": 0.0, "time_limit_s": 30.0, **changes}), maximise=True)


@pytest.mark.parametrize("seed", range(8))
def test_every_solver_finds_the_brute_force_optimum(seed: int) -> None:
    milp = choice_programme(seed)
    expected = brute_force(milp)
    for outcome in (
        solve_milp(milp, watch()),
        solve_by_core(milp, watch()),
        solve_with("gscip", milp, watch()),
        solve_with("cp_sat", milp, watch()),
    ):
        assert outcome.x is not None
        assert outcome.objective == pytest.approx(expected, abs=1e-6)
        assert outcome.bound == pytest.approx(expected, abs=1e-6)
        assert milp.violation(outcome.x) <= 1e-9


@pytest.mark.parametrize("maximise", [True, False])
def test_programme_without_integers_is_its_own_bound(maximise: bool) -> None:
    b = MilpBuilder(maximise)
    x = b.add_columns("x", 2, upper=3.0, cost=1.0)
    b.add_rows("between", 1, [(0, x, 1.0)], lower=2.0, upper=4.0)
    outcome = solve_milp(b.build(), Watch(SolveOptions(), maximise))
    assert outcome.stop is StopReason.OPTIMAL
    assert outcome.bound == outcome.objective == pytest.approx(4.0 if maximise else 2.0)


def test_integer_and_continuous_in_one_row() -> None:
    """HiGHS 1.14.0 calls 15 optimal here (its issues 2995, 3043): min 2x + 3z, x + z >= 4.5, z integer."""
    builder = MilpBuilder(maximise=False)
    x = builder.add_columns("x", 1, upper=10, cost=2)
    z = builder.add_columns("z", 1, upper=10, cost=3, integral=True)
    builder.add_rows("demand", 1, [(0, x, 1.0), (0, z, 1.0)], lower=4.5)
    outcome = solve_milp(builder.build(), watch())
    assert outcome.objective == pytest.approx(9.0) and outcome.bound == pytest.approx(9.0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("maximise", [True, False])
def test_dual_bound_holds_for_any_multipliers(seed: int, maximise: bool) -> None:
    milp = choice_programme(seed)
    # minimising the values themselves would choose nothing, and any multipliers would do
    milp = milp.with_objective(milp.cost if maximise else -milp.cost, maximise, offset=3.0)
    best = brute_force(milp)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        bound, _ = dual_bound(milp, rng.normal(0, 3, milp.num_rows))
        assert bound >= best - 1e-9 if maximise else bound <= best + 1e-9
    relaxed = solve_lp(milp, watch())
    assert relaxed.row_duals is not None and relaxed.objective is not None
    tight, _ = dual_bound(milp, relaxed.row_duals)
    assert tight == pytest.approx(relaxed.objective, rel=1e-7)


def test_core_closes_a_large_choice_programme() -> None:
    milp = choice_programme(1, groups=4000, options=10, rows=5)
    outcome = solve_by_core(milp, watch(gap=1e-3, time_limit_s=60.0))
    assert outcome.objective is not None and outcome.bound is not None and outcome.x is not None
    assert milp.violation(outcome.x) <= 1e-9
    assert outcome.bound >= outcome.objective
    assert (outcome.bound - outcome.objective) / outcome.objective <= 1e-3


def test_infeasible_gives_the_smallest_relaxation_of_each_row() -> None:
    builder = MilpBuilder(maximise=False)
    x = builder.add_columns("built", 3, upper=1, cost=[5.0, 4.0, 3.0], integral=True)
    target = builder.add_rows("target", 1, [(0, x, 10.0)], lower=30)
    cap = builder.add_rows("budget", 1, [(0, x, [5.0, 4.0, 3.0])], upper=8)
    elastic = [
        ElasticRows("T", "city", "kW", target, required=30.0),
        ElasticRows("B", "2022", "CNY", cap, required=8.0, is_cap=True),
    ]
    milp = builder.build()
    outcome = solve_goals(
        milp, [Goal("cost", milp.cost, False)], SolveOptions(goal=("cost",)), elastic=elastic
    )
    assert outcome.stop is StopReason.INFEASIBLE
    ways = {way.rows[0].clause: way.rows[0].reachable for way in outcome.relaxations if len(way.rows) == 1}
    assert ways == {"T": pytest.approx(20.0), "B": pytest.approx(12.0)}


def test_lexicographic_goals_keep_the_first() -> None:
    builder = MilpBuilder(maximise=True)
    x = builder.add_columns("chosen", 3, upper=1, cost=[4.0, 4.0, 1.0], integral=True)
    builder.add_rows("one", 1, [(0, x, 1.0)], upper=1)
    milp = builder.build()
    second = Goal("co2", np.array([1.0, 3.0, 9.0]), True)
    outcome = solve_goals(milp, [Goal("npv", milp.cost, True), second], SolveOptions(goal=("npv", "co2")))
    assert outcome.x is not None
    assert outcome.x.tolist() == [0.0, 1.0, 0.0]


def small_model() -> ConcreteModel:
    model = ConcreteModel()
    model.built = Var([1, 2], domain=Binary)
    model.flow = Var([1, 2], domain=NonNegativeReals, bounds=(0, 5))
    model.idle = Var(domain=NonNegativeReals)
    model.flow_only_if_built = Constraint([1, 2], rule=lambda m, i: m.flow[i] <= 5 * m.built[i])
    model.demand_met = Constraint(expr=m_sum(model) >= 6)
    model.goal_cost = Objective(expr=3 * model.built[1] + 4 * model.built[2] + m_sum(model), sense=minimize)
    model.goal_flow = Objective(expr=m_sum(model) - 2, sense=maximize)
    return model


def m_sum(model: ConcreteModel) -> object:
    return model.flow[1] + model.flow[2]


def test_bridge_reads_goals_rows_and_values() -> None:
    model = small_model()
    outcome = solve_model(model, SolveOptions(goal=("cost",)))
    assert outcome.objective == pytest.approx(13.0)
    assert outcome.value(model.built) == {1: 1.0, 2: 1.0}
    assert outcome.value(model.idle) == {None: 0.0}
    compiled = compile_model(model)
    assert compiled.goal_names == ["cost", "flow"]
    assert len(compiled.rows(model.flow_only_if_built)) == 2
    assert len(compiled.rows(model.flow_only_if_built[1])) == 1
    flow = solve_model(model, SolveOptions(goal=("flow",)))
    assert flow.objective == pytest.approx(8.0)


def test_bridge_explains_infeasibility() -> None:
    model = small_model()
    model.no_money = Constraint(expr=3 * model.built[1] + 4 * model.built[2] <= 3)
    elastic = [
        ElasticConstraint("DEMAND", "city", "m3/d", model.demand_met, required=6.0),
        ElasticConstraint("BUDGET", "2022", "CNY", model.no_money, required=3.0, is_cap=True),
    ]
    outcome = solve_model(model, SolveOptions(goal=("cost",)), elastic)
    assert outcome.stop is StopReason.INFEASIBLE
    ways = {way.rows[0].clause: way.rows[0].reachable for way in outcome.relaxations if len(way.rows) == 1}
    assert ways == {"DEMAND": pytest.approx(5.0), "BUDGET": pytest.approx(7.0)}


def test_interrupt_ends_the_solve_with_what_is_held() -> None:
    options = SolveOptions(gap=0.0, time_limit_s=30.0)
    milp = choice_programme(3, groups=1000, options=12, rows=8)

    def stop_at_first_plan(point: object) -> None:
        if getattr(point, "plan", None) is not None:
            options.interrupt.set()

    run = Watch(
        SolveOptions(gap=0.0, time_limit_s=30.0, progress=stop_at_first_plan, interrupt=options.interrupt),
        maximise=True,
    )
    outcome = solve_milp(milp, run)
    assert outcome.stop is StopReason.INTERRUPTED
    assert outcome.x is not None and milp.violation(outcome.x) <= 1e-9


def test_write_model_round_trip(tmp_path: object) -> None:
    import highspy

    milp = choice_programme(0)
    path = tmp_path / "model.mps"  # type: ignore[operator]
    write_model(milp, path)
    again = highspy.Highs()
    again.setOptionValue("output_flag", False)
    again.readModel(str(path))
    again.run()
    assert again.getInfo().objective_function_value == pytest.approx(brute_force(milp))


def test_ortools_and_highspy_load_together_in_either_order() -> None:
    import subprocess
    import sys

    for code in (
        "import highspy, ortools.linear_solver.pywraplp",
        "import ortools.linear_solver.pywraplp, highspy",
    ):
        run = code + "; highspy.Highs()"
        assert subprocess.run([sys.executable, "-c", run], check=False).returncode == 0


def test_coefficients_beyond_any_sense_are_survived() -> None:
    builder = MilpBuilder(maximise=True)
    x = builder.add_columns("x", 3, upper=1, cost=[1, 2, 1e-200], integral=True)
    builder.add_rows("use", 1, [(0, x, [1e-252, 1e5, 3])], upper=2)
    assert solve_milp(builder.build(), watch()).objective == pytest.approx(1.0)

"""How other solvers are read, and that each tells of plans and bounds on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optimize.bench.contenders import Course, find_contenders, verdict_on
from optimize.engine.highs import run_plainly, solve_plainly
from optimize.engine.second_opinion import Solver, scip_figures, solve_with
from optimize.engine.stopping import Watch
from optimize.errors import UsageError
from optimize.io.instance_folder import read_instance
from optimize.io.write import write_instance
from optimize.milp import Milp, MilpBuilder
from optimize.programme import SolveOptions
from optimize.registry import find_programme
from optimize.result import TracePoint


def knapsack(maximise: bool = True) -> Milp:
    """Forty things, three limits, one continuous column, an offset."""
    rng = np.random.default_rng(5)
    builder = MilpBuilder(maximise)
    sign = 1.0 if maximise else -1.0
    x = builder.add_columns("x", 40, upper=1.0, cost=sign * rng.integers(10, 60, 40), integral=True)
    rest = builder.add_columns("rest", 1, upper=2.5, cost=sign * 3.0)
    for k in range(3):
        weight = rng.integers(5, 40, 40).astype(float)
        zeros = np.zeros(40, dtype=np.int64)
        terms = [(zeros, x, weight), (np.zeros(1, dtype=np.int64), rest, np.array([2.0 + k]))]
        builder.add_rows(f"limit{k}", 1, terms, upper=0.4 * weight.sum())
    milp = builder.build()
    return milp.with_objective(milp.cost, maximise, 100.0)


def watch(maximise: bool = True) -> Watch:
    return Watch(SolveOptions(gap=0.0, time_limit_s=20.0, seed=1), maximise)


SCIP_LINE = (
    "p17.7s|     1 |     0 |  2249 |     - | vbounds|   0 |  20k|1918 |1917 |   0 |  0 |   1 |   0 "
    "| 5.539439e+09 | 2.701892e+08 |1950.21%| unknown"
)


def test_scip_figures_are_taken_on_the_cautious_side() -> None:
    assert scip_figures(SCIP_LINE, maximise=True) == pytest.approx(
        (270_189_150.0, 5_539_439_500.0), rel=1e-12
    )
    assert scip_figures(SCIP_LINE, maximise=False) == pytest.approx(
        (270_189_250.0, 5_539_438_500.0), rel=1e-12
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Solving Nodes      : 1",
        " time | node  | left  |LP iter|LP it/n|mem/heur|mdpt |vars |cons |rows |cuts |sepa|confs|strbr|"
        "  dualbound   | primalbound  |  gap   | compl. ",
    ],
)
def test_other_lines_of_scip_hold_no_figures(line: str) -> None:
    assert np.isnan(scip_figures(line, maximise=True)).all()


def test_scip_without_a_plan_still_has_its_bound() -> None:
    plan, bound = scip_figures(SCIP_LINE.replace(" 2.701892e+08 ", "      --      "), maximise=True)
    assert np.isnan(plan) and bound == 5_539_439_500.0


@pytest.mark.parametrize("solver", ["gscip", "cp_sat"])
@pytest.mark.parametrize("maximise", [True, False])
def test_another_solver_tells_of_its_way_and_agrees(solver: Solver, maximise: bool) -> None:
    milp, own, other = knapsack(maximise), watch(maximise), watch(maximise)
    built = []
    found = solve_with(solver, milp, other, on_built=lambda: built.append(len(other.trace)))
    plain = solve_plainly(milp, own)
    assert found.objective == pytest.approx(plain.objective, abs=1e-4)
    assert built == [0]
    plans = [point.plan for point in other.trace if point.plan is not None]
    assert len(plans) > 1 and other.trace[0].seconds < other.trace[-1].seconds
    assert plans == sorted(plans, reverse=not maximise)


def test_plain_highs_tells_of_its_way() -> None:
    milp, own = knapsack(), watch()
    outcome = solve_plainly(milp, own)
    assert outcome.x is not None and outcome.objective == pytest.approx(milp.value(outcome.x))
    assert outcome.bound == pytest.approx(outcome.objective, rel=1e-6)
    assert len([point for point in own.trace if point.plan is not None]) > 1


@pytest.mark.parametrize("maximise", [True, False])
def test_scip_by_its_own_interface(maximise: bool) -> None:
    pytest.importorskip("pyscipopt")
    from optimize.bench.scip_model import solve_by_scip

    milp, own, built = knapsack(maximise), watch(maximise), []
    outcome = solve_by_scip(milp, own, lambda: built.append(len(own.trace)))
    assert built == [0] and outcome.x is not None
    assert milp.violation(outcome.x) <= 1e-6
    assert outcome.objective == pytest.approx(milp.value(outcome.x))
    assert outcome.objective == pytest.approx(solve_plainly(milp, watch(maximise)).objective, abs=1e-4)
    assert outcome.bound == pytest.approx(outcome.objective, rel=1e-6)
    assert len([point for point in own.trace if point.plan is not None]) > 1


def test_linopy_states_the_same_programme() -> None:
    pytest.importorskip("linopy")
    from optimize.bench.linopy_model import column_order, linopy_solver

    for maximise in (True, False):
        milp = knapsack(maximise)
        outcome = run_plainly(linopy_solver(milp), watch(maximise))
        assert outcome.x is not None
        x = np.zeros(milp.num_columns)
        x[column_order(milp)] = outcome.x
        assert milp.violation(x) <= 1e-6
        assert outcome.objective == pytest.approx(milp.value(x))
        assert milp.value(x) == pytest.approx(solve_plainly(milp, watch(maximise)).objective)


def test_the_product_takes_part_first_and_everybody_once() -> None:
    names = [contender.name for contender in find_contenders("scip, highs,scip,optimize")]
    assert names == ["optimize", "scip", "highs"]


@pytest.mark.parametrize("asked", ["gurobi", "highs,nobody", "", ","])
def test_an_unknown_contender_is_answered_with_those_known(asked: str) -> None:
    with pytest.raises(UsageError, match="known are pyomo-highs, highs, scip, cp-sat, linopy"):
        find_contenders(asked)


@pytest.mark.parametrize("goal", ["npv", "cost"])
def test_product_arrays_and_formulation_have_one_optimum(goal: str, tmp_path: Path) -> None:
    programme = find_programme("pv_siting")
    write_instance(tmp_path / "town", [(programme.schema, programme.example())])
    (part,) = read_instance(tmp_path / "town", [programme]).programmes
    found = []
    for contender in find_contenders("highs,pyomo-highs"):
        points: list[TracePoint] = []
        options = SolveOptions(goal=(goal,), gap=0.0, time_limit_s=20.0, progress=points.append)
        finish = contender.run(Course(programme, part.data, options, on_built=lambda: None))
        verdict = finish.verify()
        assert verdict.passed, verdict.note
        assert finish.bound == pytest.approx(verdict.objective, rel=1e-6)
        assert points[-1].plan == pytest.approx(verdict.objective)
        found.append(verdict.objective)
    assert found == pytest.approx([found[0]] * 3, rel=1e-6)


def test_a_plan_is_verified_on_the_rows_not_believed() -> None:
    milp = knapsack()
    full = np.ones(milp.num_columns)
    assert "a row or bound is broken" in verdict_on(milp, full, milp.value(full), watch()).note
    nothing = np.zeros(milp.num_columns)
    assert verdict_on(milp, nothing, 100.0, watch()).passed
    overstated = verdict_on(milp, nothing, 101.0, watch())
    assert not overstated.passed and overstated.objective == 100.0

"""Who takes part: the product, and what a user would take instead, each on the same rows.

A contender builds what it needs from the typed instance, tells when it has built it, reports plans and
bounds through the watch as they come, and leaves a plan that can be verified after the clock.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optimize.bench.linopy_model import column_order, linopy_solver
from optimize.bench.models import arrays_of, model_of
from optimize.bench.scip_model import solve_by_scip
from optimize.engine.highs import MilpOutcome, integral_solution, run_plainly, solve_plainly
from optimize.engine.pyomo_bridge import compile_model, solve_as_users_do
from optimize.engine.second_opinion import Solver, solve_with
from optimize.engine.stopping import Watch
from optimize.errors import UsageError
from optimize.milp import FloatArray, Milp
from optimize.programme import Programme, SolveOptions
from optimize.result import StopReason
from optimize.schema import InstanceData
from optimize.solve import solve

PRODUCT = "optimize"

_MOST_VIOLATION = 1e-6
"""Relative to max(1, |side|), as solvers promise it themselves."""


@dataclass(frozen=True)
class Verdict:
    """Whether a plan holds, its value and that before costs recomputed; ``note`` says what is wrong."""

    passed: bool
    objective: float | None
    note: str = ""
    gross: float | None = None


@dataclass(frozen=True)
class Finish:
    """How a contender ended. ``verify`` is called after the clock, and only where there is a plan."""

    stop: StopReason
    objective: float | None
    bound: float | None
    verify: Callable[[], Verdict]
    build_s: float | None = None
    engine: str = ""


@dataclass(frozen=True)
class Course:
    """What a contender is given: validated tables, limits, and whom to tell that the model is built."""

    programme: Programme
    data: InstanceData
    options: SolveOptions
    on_built: Callable[[], None]

    @property
    def goal(self) -> str:
        return self.options.goal[-1]

    def watch(self) -> Watch:
        """A clock that starts now; whatever is done after counts."""
        return Watch(self.options, self.programme.goal(self.goal).maximise)


@dataclass(frozen=True)
class Contender:
    """One way to solve.

    Parameters
    ----------
    packages : distributions whose versions are reported; the first must be installed.
    module : what is imported from the first package.
    hint : how to install it.
    remark : what to know when reading its row.
    without : of the product, ingredients that are left out.
    """

    name: str
    run: Callable[[Course], Finish]
    packages: tuple[str, ...]
    module: str
    hint: str = ""
    remark: str = ""
    without: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"without {' + '.join(self.without)}" if self.without else self.name

    @property
    def is_installed(self) -> bool:
        return _is_there(self.module)


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _run_product(course: Course) -> Finish:
    clock = course.watch()
    loaded_s = 0.0

    def load(data: InstanceData) -> Any:
        nonlocal loaded_s
        instance = course.programme.load(data)
        loaded_s = clock.seconds()
        return instance

    programme = dataclasses.replace(course.programme, load=load)
    solved = solve(programme, course.data, course.options)
    result, check = solved.result, solved.check

    def verify() -> Verdict:
        assert check is not None
        figure = check.figures[course.goal]
        if check.passed:
            gross = check.figures.get(course.programme.goal(course.goal).gross)
            return Verdict(True, figure, gross=gross)
        return Verdict(False, figure, f"{len(check.violations)} violations, first: {check.violations[0]}")

    steps = [result.timings[name] for name in ("derive_s", "build_s") if name in result.timings]
    build_s = loaded_s + sum(steps) if steps else None
    return Finish(result.stop, result.objective, result.bound, verify, build_s, result.engine)


def _run_pyomo(course: Course) -> Finish:
    watch = course.watch()
    model = model_of(course.programme, course.programme.load(course.data), course.goal)
    outcome = solve_as_users_do(model, course.goal, watch, course.on_built)

    def verify() -> Verdict:
        compiled = compile_model(model)
        return verdict_on(compiled.milp(course.goal), compiled.present_point(), outcome.objective, watch)

    return Finish(outcome.stop, outcome.objective, outcome.bound, verify)


Solve = Callable[[Milp, Watch, Callable[[], None]], MilpOutcome]


def _on_arrays(solve_arrays: Solve) -> Callable[[Course], Finish]:
    def run(course: Course) -> Finish:
        watch = course.watch()
        milp = arrays_of(course.programme, course.programme.load(course.data), course.goal)
        outcome = solve_arrays(milp, watch, course.on_built)

        def verify() -> Verdict:
            assert outcome.x is not None
            return verdict_on(milp, outcome.x, outcome.objective, watch)

        return Finish(outcome.stop, outcome.objective, outcome.bound, verify)

    return run


def _second_opinion(solver: Solver) -> Solve:
    def solve_arrays(milp: Milp, watch: Watch, on_built: Callable[[], None]) -> MilpOutcome:
        return solve_with(solver, milp, watch, on_built)

    return solve_arrays


def _solve_linopy(milp: Milp, watch: Watch, on_built: Callable[[], None]) -> MilpOutcome:
    solver = linopy_solver(milp)
    on_built()
    outcome = run_plainly(solver, watch)
    if outcome.x is None:
        return outcome
    x = np.zeros(milp.num_columns)
    x[column_order(milp)] = outcome.x
    return dataclasses.replace(outcome, x=x)


def verdict_on(milp: Milp, x: FloatArray, objective: float | None, watch: Watch) -> Verdict:
    """A solver's plan with its integers made exact, on the arrays."""
    exact = integral_solution(milp, x, watch)
    value, violation = milp.value(exact), milp.violation(exact)
    if violation > _MOST_VIOLATION:
        return Verdict(False, value, f"a row or bound is broken by {violation:.1e} (relative)")
    if objective is None or abs(value - objective) > _MOST_VIOLATION * max(1.0, abs(value)):
        return Verdict(False, value, f"the plan is worth {value:.10g}, {objective} was reported")
    return Verdict(True, value)


_EXTRA = "pip install -c constraints.txt -e '.[bench]'"


def _scip() -> Contender:
    """SCIP's own distribution where it is installed, else the one within OR-Tools."""
    if _is_there("pyscipopt"):
        return Contender(
            "scip", _on_arrays(solve_by_scip), ("pyscipopt",), "pyscipopt", remark="always on one thread"
        )
    remark = f"the SCIP within OR-Tools, linear programmes by GLOP, one thread; SCIP's own: {_EXTRA}"
    return Contender("scip", _on_arrays(_second_opinion("gscip")), ("ortools",), "ortools", remark=remark)


CONTENDERS = (
    Contender(PRODUCT, _run_product, ("optimize", "highspy", "numba"), "optimize"),
    Contender("pyomo-highs", _run_pyomo, ("pyomo", "highspy"), "pyomo"),
    Contender("highs", _on_arrays(solve_plainly), ("highspy",), "highspy"),
    _scip(),
    Contender(
        "cp-sat",
        _on_arrays(_second_opinion("cp_sat")),
        ("ortools",),
        "ortools",
        remark="whole numbers only: continuous columns move in thousandths",
    ),
    Contender("linopy", _on_arrays(_solve_linopy), ("linopy", "highspy"), "linopy", hint=_EXTRA),
)


def find_contenders(names: str) -> tuple[Contender, ...]:
    """The product, then those of a list separated by commas, each once.

    Raises
    ------
    UsageError : an unknown name, or none at all.
    """
    known = {contender.name: contender for contender in CONTENDERS}
    asked = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in asked if name not in known]
    if unknown or not asked:
        peers = ", ".join(name for name in known if name != PRODUCT)
        raise UsageError(f"--against {names}: known are {peers}")
    return tuple(known[name] for name in dict.fromkeys([PRODUCT, *asked]))

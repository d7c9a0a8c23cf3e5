"""The front door: choose an engine, solve, check."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from optimize.checking import CheckReport, Violation
from optimize.engine.certificate import certify_linearly
from optimize.engine.stopping import Watch
from optimize.errors import UsageError
from optimize.prices import derive_prices
from optimize.programme import Programme, SolveOptions
from optimize.result import KeptGoal, Result
from optimize.schema import InstanceData

# The engine's objective and the checker's figure come from different arithmetic on the same numbers.
_FIGURE_TOLERANCE = 1e-6
# Of the time limit, once more, for multipliers where the engine has none.
_CERTIFICATE_SHARE = 0.1


@dataclass(frozen=True)
class Solved:
    """A result with its independent check (None where there is no plan)."""

    instance: Any
    result: Result[Any]
    check: CheckReport | None


def solve(programme: Programme, data: InstanceData, options: SolveOptions) -> Solved:
    """Solve one programme's instance and check the plan against the raw tables.

    Raises
    ------
    UsageError : unknown goal, or an engine that does not support the instance.
    """
    _check_goals(programme, options)
    instance = programme.load(data)
    solve_by, notes = _choose_engine(programme, instance, options)
    result = solve_by(instance, options)
    result = dataclasses.replace(result, notes=(*notes, *result.notes))
    if result.solution is None:
        return Solved(instance, result, None)
    report = programme.check(instance, result.solution)
    if result.certificate is None and report.passed:
        result = _with_certificate(programme, instance, result, report, options)
    return Solved(instance, result, _with_objective_compared(report, result))


def _check_goals(programme: Programme, options: SolveOptions) -> None:
    known = [goal.name for goal in programme.goals]
    unknown = [name for name in options.goal if name not in known]
    if unknown or not options.goal:
        raise UsageError(
            f"goal {', '.join(unknown) or '(none)'} is unknown to {programme.name}; known: {', '.join(known)}"
        )


def _choose_engine(programme: Programme, instance: Any, options: SolveOptions) -> tuple[Any, tuple[str, ...]]:
    """The engine's function, and what is to be said of the choice."""
    if options.engine == "formulation" or programme.solve_fast is None:
        if options.engine == "fast":
            raise UsageError(f"{programme.name} has no fast engine; use --engine formulation")
        return programme.solve_formulation, ()
    reason = programme.unsupported_by_fast(instance, options)
    if options.engine == "fast":
        if reason is not None:
            raise UsageError(f"the fast engine cannot take {reason}; use --engine formulation")
        return programme.solve_fast, ()
    if options.write_model is not None or not programme.prefer_fast(instance, options):
        return programme.solve_formulation, ()
    if reason is not None:
        note = f"solved by the formulation, slow at this size: the fast engine cannot take {reason}"
        return programme.solve_formulation, (note,)
    return programme.solve_fast, ()


def _with_certificate(
    programme: Programme, instance: Any, result: Result[Any], report: CheckReport, options: SolveOptions
) -> Result[Any]:
    """Multipliers of the linear relaxation, where the engine's way to its bound left none.

    Branch and cut proves better bounds than any multipliers, but nobody can compute them again.
    """
    stated = programme.state_arrays(instance, result.goal)
    if stated is None:
        return result
    kept = [KeptGoal(name, report.figures[name]) for name in result.goal[:-1]]
    share = dataclasses.replace(options, time_limit_s=_CERTIFICATE_SHARE * options.time_limit_s)
    watch = Watch(share, result.maximise)
    certificate = certify_linearly(stated.for_goals(result.goal, kept), kept, watch)
    if certificate is None:
        return result
    bound = certificate.bound
    if result.bound is not None:
        bound = min(bound, result.bound) if result.maximise else max(bound, result.bound)
    if result.objective is not None:  # a bound on the wrong side of the plan is rounding
        bound = max(bound, result.objective) if result.maximise else min(bound, result.objective)
    prices = derive_prices(stated, certificate, result.goal) if stated.priced else None
    return dataclasses.replace(result, bound=bound, certificate=certificate, prices=prices)


def _with_objective_compared(report: CheckReport, result: Result[Any]) -> CheckReport:
    violations = list(report.violations)
    name = result.goal[-1]
    figure, objective = report.figures[name], result.objective
    assert objective is not None
    if abs(figure - objective) > _FIGURE_TOLERANCE * max(1.0, abs(figure)):
        violations.append(
            Violation("objective", name, f"{figure:.10g} (recomputed)", f"{objective:.10g} (reported)")
        )
    if result.bound is not None:
        short = objective - result.bound if result.maximise else result.bound - objective
        if short > _FIGURE_TOLERANCE * max(1.0, abs(objective)):
            violations.append(
                Violation("bound", name, f"no better than {result.bound:.10g}", f"{objective:.10g}")
            )
    return dataclasses.replace(report, violations=tuple(violations))

"""Solving a city: as one programme where it is small, else by splits of its money and what is shared."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from optimize.checking import CheckReport, Violation
from optimize.city.arrays import join_parts
from optimize.city.checker import CityCheck, check_city, city_goals
from optimize.city.decomposition import decompose
from optimize.city.instance import WATER, City
from optimize.city.part import CityPart
from optimize.city.parts import choice_parts, with_exact_water
from optimize.city.plan import CityPlan
from optimize.city.result import CityResult, Silos, SolvedCity
from optimize.city.shares import read_city_plan
from optimize.city.water_part import EXACT_LANES
from optimize.engine.certificate import certify_linearly
from optimize.engine.goals import solve_goals
from optimize.engine.stopping import Watch
from optimize.errors import UsageError
from optimize.programme import SolveOptions
from optimize.result import KeptGoal

# Up to this many integer columns the whole city is solved as one programme.
MONOLITH_UP_TO = 8_000
_SILO_SHARE = 0.35
_CERTIFICATE_SHARE = 0.1
_FIGURE_TOLERANCE = 1e-6


def solve_city(
    city: City, options: SolveOptions, *, monolith_up_to: int = MONOLITH_UP_TO, exact_lanes: int = EXACT_LANES
) -> SolvedCity:
    """The best joint plan found, today's fixed shares beside it, a proven bound; both plans checked.

    Parameters
    ----------
    monolith_up_to, exact_lanes : what is small (integer columns of the city; lanes of the network).

    Raises
    ------
    UsageError : a goal that not all programmes share, or more goals than the way of solving takes.
    """
    _check_goals(city, options)
    watch = Watch(options, _sense(city, options.goal[-1]))
    parts = choice_parts(city, options.goal)
    whole = with_exact_water(city, parts, options.goal, exact_lanes)
    if whole is not None and sum(int(part.milp.integral.sum()) for part in whole) <= monolith_up_to:
        result = _solve_whole(city, whole, options, watch)
    elif len(options.goal) > 1:
        raise UsageError(
            f"--goal {','.join(options.goal)}: a city of this size is planned for one goal; give one"
        )
    else:
        result = decompose(city, parts if whole is None else whole, options, watch)
    return _checked(result)


def _check_goals(city: City, options: SolveOptions) -> None:
    known = city_goals(city)
    unknown = [goal for goal in options.goal if goal not in known]
    if unknown or not options.goal:
        raise UsageError(
            f"--goal {','.join(options.goal)}: the joint plan knows the goals that {', '.join(city.names)} "
            f"share: {', '.join(known)}"
        )


def _sense(city: City, goal: str) -> bool:
    return city.parts[0].programme.goal(goal).maximise


def _solve_whole(city: City, parts: Sequence[CityPart], options: SolveOptions, watch: Watch) -> CityResult:
    """One programme: first with today's shares, then, from that plan, with the split decided."""
    goals = options.goal
    silos, start = _solve_silos(city, parts, options, watch)
    arrays = join_parts(city, parts, goals)
    objectives = [arrays.objectives[goal] for goal in goals]
    began = watch.seconds()
    own = dataclasses.replace(options, time_limit_s=max(watch.remaining(), 1e-2))
    outcome = solve_goals(
        arrays.milp, objectives, own, elastic=arrays.elastic, start=start, group=arrays.group,
        watch=watch, whole=arrays.unbounded(),
    )  # fmt: skip
    plan = None if outcome.x is None else read_city_plan(arrays, outcome.x, goals[-1])
    certificate = outcome.certificate
    if outcome.x is not None and certificate is None:
        kept = [KeptGoal(o.name, float(o.cost @ outcome.x) + o.offset) for o in objectives[:-1]]
        milp = arrays.stated().for_goals(goals, kept)
        extra = dataclasses.replace(
            options, time_limit_s=_CERTIFICATE_SHARE * options.time_limit_s, progress=None
        )
        certificate = certify_linearly(milp, kept, Watch(extra, watch.maximise))
    return CityResult(
        city=city,
        goal=goals,
        maximise=watch.maximise,
        stop=outcome.stop,
        plan=plan,
        objective=outcome.objective,
        bound=outcome.bound,
        silos=silos,
        engine="monolith",
        network="whole" if WATER in city.names else None,
        trace=outcome.trace,
        timings={"silos_s": began, **outcome.timings},
        relaxations=outcome.relaxations,
        certificate=certificate,
    )


def _solve_silos(
    city: City, parts: Sequence[CityPart], options: SolveOptions, watch: Watch
) -> tuple[Silos, np.ndarray[tuple[int], np.dtype[np.float64]] | None]:
    """Today's fixed shares: the same rows with the split given."""
    fixed = join_parts(city, parts, options.goal, city.today_cny)
    part_options = dataclasses.replace(options, time_limit_s=_SILO_SHARE * watch.remaining(), progress=None)
    objectives = [fixed.objectives[goal] for goal in options.goal]
    outcome = solve_goals(fixed.milp, objectives, part_options, group=fixed.group)
    if outcome.x is None:
        return Silos(None, None, outcome.bound, outcome.stop), None
    plan = CityPlan(city.today_cny, read_city_plan(fixed, outcome.x, options.goal[-1], tidy=False).solutions)
    return Silos(plan, outcome.objective, outcome.bound, outcome.stop), outcome.x


def _checked(result: CityResult) -> SolvedCity:
    """Both plans recounted; a joint plan whose figure is not the engine's is no plan."""
    check = None if result.plan is None else check_city(result.city, result.plan)
    silo_check = None if result.silos.plan is None else check_city(result.city, result.silos.plan)
    if check is not None:
        check = dataclasses.replace(check, report=_with_objective_compared(check, result))
    return SolvedCity(result, check, silo_check)


def _with_objective_compared(check: CityCheck, result: CityResult) -> CheckReport:
    violations = list(check.report.violations)
    goal = result.goal[-1]
    figure, objective = check.report.figures[goal], result.objective
    assert objective is not None
    if abs(figure - objective) > _FIGURE_TOLERANCE * max(1.0, abs(figure)):
        told = f"{objective:.10g} (reported)"
        violations.append(Violation("objective", goal, f"{figure:.10g} (recomputed)", told))
    if result.bound is not None:
        short = objective - result.bound if result.maximise else result.bound - objective
        if short > _FIGURE_TOLERANCE * max(1.0, abs(objective)):
            violations.append(
                Violation("bound", goal, f"no better than {result.bound:.10g}", f"{objective:.10g}")
            )
    return dataclasses.replace(check.report, violations=tuple(violations))

"""The same programme as `formulation`, as arrays straight to the engine (no Pyomo)."""

from __future__ import annotations

import numpy as np

from optimize.datacenter.arrays import (
    MINIMISED,
    build_milp,
    derive_budget_use,
    impossible_options,
    objectives_of,
)
from optimize.datacenter.instance import Instance
from optimize.datacenter.kinds import NONE, NOTHING
from optimize.datacenter.options import derive_options
from optimize.datacenter.plan import plan_from_choice
from optimize.datacenter.recall import plan_to_begin_from
from optimize.datacenter.solution import Solution
from optimize.datacenter.stated import name_arrays
from optimize.engine.goals import solve_goals
from optimize.engine.stopping import Watch
from optimize.prices import derive_prices
from optimize.programme import SolveOptions
from optimize.result import Result

# Pyomo builds about 20 000 options a second: beyond a few thousand it costs more than the solve.
_FAST_FROM_CENTRES = 25


def unsupported_by_fast(instance: Instance, options: SolveOptions) -> str | None:
    """The fast path takes every instance and goal; only writing the Pyomo model needs the other."""
    return None


def prefer_fast(instance: Instance, options: SolveOptions) -> bool:
    return len(instance.centres) > _FAST_FROM_CENTRES


def solve_fast(instance: Instance, options: SolveOptions) -> Result[Solution]:
    """Derive arrays, solve by relaxation and core, return the plan."""
    watch = Watch(options, options.goal[-1] not in MINIMISED)
    choices = derive_options(instance, options.goal)
    budget = derive_budget_use(instance, choices)
    milp, elastic, penalty = build_milp(instance, choices, budget)
    objectives = objectives_of(instance, choices, options.goal, penalty)
    derived = watch.seconds()
    group = np.full(milp.num_columns, NONE)
    group[: len(choices)] = choices.centre
    upper = milp.upper.copy()
    upper[np.flatnonzero(impossible_options(instance, choices, budget))] = 0.0
    bounded = milp.with_bounds(milp.lower, upper)
    start = row_multipliers = None
    if options.warm_start is not None:
        start = plan_to_begin_from(instance, choices, bounded, options.warm_start.projects)
        row_multipliers = options.warm_start.row_multipliers(milp.row_names)
    elif len(instance.plan_in_force):
        start = plan_to_begin_from(instance, choices, bounded, instance.plan_in_force)
    outcome = solve_goals(
        bounded,
        objectives,
        options,
        elastic=elastic,
        start=start,
        group=group,
        watch=watch,
        whole=milp,  # what gives way may make room for an impossible option
        row_multipliers=row_multipliers,
    )
    solution = prices = None
    if outcome.certificate is not None:
        stated = name_arrays(instance, choices, bounded, elastic, objectives)
        prices = derive_prices(stated, outcome.certificate, options.goal)
    if outcome.x is not None:
        selected = np.flatnonzero(outcome.x[: len(choices)] > 0.5)
        solution = plan_from_choice(instance, choices, selected[choices.kind[selected] != NOTHING])
    return Result(
        stop=outcome.stop,
        solution=solution,
        objective=outcome.objective,
        bound=outcome.bound,
        maximise=objectives[-1].maximise,
        goal=options.goal,
        engine="fast",
        trace=outcome.trace,
        timings={"derive_s": derived, **outcome.timings},
        relaxations=outcome.relaxations,
        certificate=outcome.certificate,
        prices=prices,
    )

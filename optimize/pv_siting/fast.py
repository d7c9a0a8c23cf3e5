"""The same model as arrays, straight to the engine: no Pyomo, for thousands to millions of options.

Equation numbers as in `formulation`.  Rows are stated from the same limits; the engine solves the
relaxation, a core around it, and closes the gap by reduced-cost fixing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimize.engine.goals import solve_goals
from optimize.engine.stopping import Watch
from optimize.prices import derive_prices
from optimize.programme import SolveOptions
from optimize.pv_siting.arrays import build_arrays
from optimize.pv_siting.extraction import carried_over, extract_solution
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.limits import MINIMISED, derive_limits
from optimize.pv_siting.options import OptionKeys, derive_chosen_options, derive_options
from optimize.pv_siting.recall import plan_to_begin_from
from optimize.pv_siting.solution import Solution
from optimize.pv_siting.stated import name_arrays
from optimize.result import Result

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Below this many options (before anything is left out) the formulation is built and solved as fast.
_FAST_FROM_OPTIONS = 4_000
# Figures of so many options are kept until the plan is there; of more of them those chosen are derived again,
# or they would be as large as the programme.
_KEPT_OPTIONS = 500_000


def unsupported_by_fast(instance: Instance, options: SolveOptions) -> str | None:
    """The fast path takes every instance and goal."""
    return None


def prefer_fast(instance: Instance, options: SolveOptions) -> bool:
    """Whether the options are too many for building them one by one in Pyomo."""
    per_site = len(instance.configurations) * instance.num_years
    return len(instance.sites) * per_site + len(instance.offers) >= _FAST_FROM_OPTIONS


def solve_fast(instance: Instance, options: SolveOptions) -> Result[Solution]:
    """Solve on arrays for ``options.goal``."""
    maximise = options.goal[-1] not in MINIMISED
    watch = Watch(options, maximise)
    candidates = derive_options(instance)
    derived_s = watch.seconds()
    programme = build_arrays(instance, candidates, derive_limits(instance, candidates), options.goal)
    keys, mix_names = OptionKeys.of(candidates), candidates.mix_names
    kept = candidates if len(candidates) <= _KEPT_OPTIONS else None
    del candidates
    start = row_multipliers = None
    if options.warm_start is not None:
        start = plan_to_begin_from(instance, programme, keys, mix_names, options.warm_start.projects)
        row_multipliers = options.warm_start.row_multipliers(programme.milp.row_names)
    elif instance.in_force is not None:
        start = plan_to_begin_from(instance, programme, keys, mix_names, instance.plan_in_force)
    built_s = watch.seconds()
    outcome = solve_goals(
        programme.milp,
        [programme.objectives[name] for name in options.goal],
        options,
        elastic=programme.elastic,
        start=start,
        strategy="auto",
        watch=watch,
        row_multipliers=row_multipliers,
    )
    solution = prices = None
    if outcome.certificate is not None:
        stated = name_arrays(instance, keys, mix_names, programme)
        prices = derive_prices(stated, outcome.certificate, options.goal)
    if outcome.x is not None:
        chosen = np.flatnonzero(outcome.x[programme.chosen] > 0.5)
        carried = carried_over(instance, programme, outcome.x)
        if kept is None:
            kept, chosen = derive_chosen_options(instance, keys.take(chosen))
        solution = extract_solution(instance, kept, chosen, carried)
    return Result(
        stop=outcome.stop,
        solution=solution,
        objective=outcome.objective,
        bound=outcome.bound,
        maximise=maximise,
        goal=options.goal,
        engine="fast",
        trace=outcome.trace,
        timings={"derive_s": derived_s, "build_s": built_s - derived_s, **outcome.timings},
        relaxations=outcome.relaxations,
        certificate=outcome.certificate,
        prices=prices,
    )

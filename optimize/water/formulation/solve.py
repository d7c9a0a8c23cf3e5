"""Building the whole model, and solving it by HiGHS."""

from __future__ import annotations

import numpy as np
from pyomo.environ import Any as AnyIndex
from pyomo.environ import (
    ConcreteModel,
    NonNegativeReals,
    Var,
)

from optimize.engine.highs import solve_lp
from optimize.engine.pyomo_bridge import ModelOutcome, solve_model
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions
from optimize.result import Result, StopReason
from optimize.water.coefficients import Coefficients, derive_coefficients
from optimize.water.formulation.locks import add_locks
from optimize.water.formulation.model import (
    WaterModel,
    declare_flows,
    declare_investments,
)
from optimize.water.formulation.money import add_budgets, add_goals
from optimize.water.formulation.network import (
    add_conservation,
    add_pipes,
    add_storage,
    add_treatment,
    add_users,
)
from optimize.water.formulation.policy import (
    add_cascades,
    add_effect_targets,
    add_pilots,
    add_plant_counts,
    add_quota_and_caps,
)
from optimize.water.formulation.prices import add_prices
from optimize.water.formulation.revision import add_revision
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray
from optimize.water.merged_periods import merge_periods
from optimize.water.plan import PlanValues, plan_from_values
from optimize.water.solution import Solution

_VARIABLES = (
    "pipe_built", "module_built", "user_connected", "tanker_served", "storage_built", "cascade_built",
    "zld_built", "pilot_done", "growth_refused", "mix_used", "flow", "product", "delivered", "hauled",
    "reused", "stored_in", "stored_out", "level",
)  # fmt: skip


def build_model(instance: Instance, coefficients: Coefficients | None = None) -> WaterModel:
    """The model with all goals active."""
    c = coefficients or derive_coefficients(instance)
    w = WaterModel(instance, c, ConcreteModel())
    # Keeps a row a row where nothing can contribute to it: it is infeasible, not an error.
    w.m.nothing = Var(bounds=(0.0, 0.0))
    w.m.shortfall = Var(AnyIndex, domain=NonNegativeReals, dense=False)
    declare_investments(w)
    declare_flows(w)
    add_treatment(w)
    add_pipes(w)
    add_conservation(w)
    add_storage(w)
    add_users(w)
    add_cascades(w)
    add_quota_and_caps(w)
    add_pilots(w)
    add_prices(w)
    add_effect_targets(w)
    add_plant_counts(w)
    add_budgets(w)
    add_locks(w)
    add_revision(w)
    add_goals(w)
    return w


def solve_formulation(instance: Instance, options: SolveOptions) -> Result[Solution]:
    """Solve the Pyomo model by HiGHS; equal periods are one in it, unless water is stored or the model written."""
    watch = Watch(options, options.goal[-1] != "cost")
    c = derive_coefficients(instance)
    if not len(c.storage) and options.write_model is None:
        c = merge_periods(c)
    return solve_built(build_model(instance, c), options, watch)


def solve_built(w: WaterModel, options: SolveOptions, watch: Watch) -> Result[Solution]:
    """Solve a built model; ``watch`` has run since before it was built."""
    outcome = solve_model(w.m, options, w.elastic, watch)
    solution, objective = None, outcome.objective
    if outcome.x is not None:
        x = _polished(outcome, options, watch)
        goal = outcome.compiled.objective(options.goal[-1])
        objective = float(goal.cost @ x) + goal.offset
        values = {name: outcome.compiled.values(getattr(w.m, name), x) for name in _VARIABLES}
        solution = plan_from_values(w.instance, w.c, PlanValues(**values))
    return Result(
        stop=outcome.stop,
        solution=solution,
        objective=objective,
        bound=outcome.bound,
        maximise=outcome.maximise,
        goal=options.goal,
        engine="formulation",
        trace=outcome.trace,
        timings=outcome.timings,
        relaxations=outcome.relaxations,
    )


def _polished(outcome: ModelOutcome, options: SolveOptions, watch: Watch) -> FloatArray:
    """The plan with its flows at their best for the last goal; integers and earlier goals are kept."""
    x = outcome.x
    assert x is not None
    milp = outcome.compiled.milp(options.goal[-1])
    for name in options.goal[:-1]:
        earlier = outcome.compiled.objective(name)
        reached = float(earlier.cost @ x)
        slack = 1e-9 * max(1.0, abs(reached))
        side = (reached - slack, np.inf) if earlier.maximise else (-np.inf, reached + slack)
        milp = milp.with_row(earlier.cost, *side, f"keep_{name}")
    lower, upper = np.where(milp.integral, x, milp.lower), np.where(milp.integral, x, milp.upper)
    linear = solve_lp(milp.with_bounds(lower, upper), watch.child(seconds=30.0))
    return linear.x if linear.stop is StopReason.OPTIMAL and linear.x is not None else x

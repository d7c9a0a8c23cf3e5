"""The programme stated once for instances that differ in budgets and in what targets ask for only."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pandas as pd

from optimize.datacenter import linking
from optimize.datacenter.arrays import beyond_budgets, beyond_capacities, build_milp, objectives_of
from optimize.datacenter.instance import FloatArray, Instance
from optimize.datacenter.kinds import NONE, NOTHING
from optimize.datacenter.options import derive_options
from optimize.datacenter.payments import derive_payments
from optimize.datacenter.plan import plan_from_choice
from optimize.datacenter.solution import Solution
from optimize.milp import BlockNames, Milp
from optimize.programme import Levels

# Packages depend on which clauses are set, not on what they ask for.
_FREE = {"budgets", "targets", "parameters"}
_FREE_PARAMETERS = {"budgets.scale", "budgets.carry_over_share"}


def state_levels(instance: Instance, goal: str) -> Levels:
    """Derive the options of ``instance`` for all instances that share them."""
    options = derive_options(instance, (goal,))
    payments = derive_payments(instance, options)
    beyond = beyond_capacities(instance, options)
    stated: list[tuple[Instance, Milp]] = []
    group = np.full(len(options), NONE)
    group[:] = options.centre

    def restate(other: Instance) -> Milp | None:
        if not _share_options(instance, other):
            return None
        if not (stated and _differ_in_budgets_only(stated[0][0], other)):
            milp, _, penalty = build_milp(other, options)
            objective = objectives_of(other, options, (goal,), penalty)[0]
            stated[:] = [(other, milp.with_objective(objective.cost, objective.maximise, objective.offset))]
        budget = linking.budget_use(other, payments)
        milp = _with_budgets(other, stated[0][1], budget.limit)
        upper = milp.upper.copy()
        upper[np.flatnonzero(beyond | beyond_budgets(other, options, budget))] = 0.0
        return milp.with_bounds(milp.lower, upper)

    def plan_of(other: Instance, x: FloatArray) -> Solution:
        selected = np.flatnonzero(x[: len(options)] > 0.5)
        return plan_from_choice(other, options, selected[options.kind[selected] != NOTHING])

    return Levels(restate, group, plan_of)


def _with_budgets(instance: Instance, milp: Milp, limit: FloatArray) -> Milp:
    """(R3) with other budgets; ``limit`` as in `linking.budget_use`."""
    assert isinstance(milp.row_names, BlockNames) and isinstance(milp.column_names, BlockNames)
    row_upper, upper = milp.row_upper.copy(), milp.upper.copy()
    row_upper[milp.row_names.members("R3_budget")] = limit
    share = float(instance.parameters["budgets.carry_over_share"])
    early = limit.reshape(-1, instance.num_years)[:, :-1]
    carried = milp.column_names.members("carried_over")
    if len(carried):
        row_upper[milp.row_names.members("R3_carried_over")] = share * early.ravel()
        upper[carried] = share * np.cumsum(early, axis=1).ravel()
    return replace(milp, row_upper=row_upper, upper=upper)


def _share_options(a: Instance, b: Instance) -> bool:
    names = [field.name for field in fields(Instance) if field.name not in _FREE]
    free = _FREE_PARAMETERS
    return (
        all(_same(getattr(a, name), getattr(b, name)) for name in names)
        and {k: v for k, v in a.parameters.items() if k not in free}
        == {k: v for k, v in b.parameters.items() if k not in free}
        and set(a.targets) == set(b.targets)
    )


def _differ_in_budgets_only(a: Instance, b: Instance) -> bool:
    """Whether the rows are the same but for the sides of budgets."""
    share = "budgets.carry_over_share"
    rows = ["source", "year"]
    return (
        dict(a.targets) == dict(b.targets)
        and a.parameters[share] == b.parameters[share]
        and a.budgets[rows].equals(b.budgets[rows])
    )


def _same(a: object, b: object) -> bool:
    if isinstance(a, pd.DataFrame) and isinstance(b, pd.DataFrame):
        return a is b or a.equals(b)
    return a == b

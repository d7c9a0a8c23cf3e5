"""The programme stated once for instances that differ in budgets, targets and installers only."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pandas as pd

from optimize.milp import BlockNames, FloatArray, Milp
from optimize.programme import Levels
from optimize.pv_siting.arrays import Arrays, build_arrays, most_carried_over
from optimize.pv_siting.extraction import carried_over, extract_solution
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.limits import budgets_with_contracts, derive_limits
from optimize.pv_siting.options import OptionKeys, Options, derive_chosen_options, derive_options
from optimize.pv_siting.solution import Solution

# No option depends on these: they only set sides of rows, or which rows there are.
_FREE = {"targets", "budgets", "budget_scale", "carry_over_share", "installers", "district_minima"}


def state_levels(instance: Instance, goal: str) -> Levels:
    """Derive the options of ``instance`` for all instances that share them."""
    candidates = derive_options(instance)
    keys = OptionKeys.of(candidates)
    stated: list[tuple[Instance, Arrays, Milp]] = []

    def restate(other: Instance) -> Milp | None:
        if stated and _differ(stated[0][0], other) <= {"budget_scale"}:
            return _with_budgets(other, candidates, *stated[0][1:])
        if not _differ(instance, other) <= _FREE:
            return None
        arrays = build_arrays(other, candidates, derive_limits(other, candidates), [goal])
        objective = arrays.objectives[goal]
        milp = arrays.milp.with_objective(objective.cost, objective.maximise, objective.offset)
        stated[:] = [(other, arrays, milp)]
        return milp

    def plan_of(other: Instance, x: FloatArray) -> Solution:
        arrays = build_arrays(other, candidates, derive_limits(other, candidates), [goal])
        chosen = np.flatnonzero(x[arrays.chosen] > 0.5)
        rest = carried_over(other, arrays, x)
        return extract_solution(other, *derive_chosen_options(other, keys.take(chosen)), rest)

    return Levels(restate, None, plan_of)


def _with_budgets(instance: Instance, candidates: Options, arrays: Arrays, milp: Milp) -> Milp:
    """(P5) with the budgets of ``instance``."""
    assert isinstance(milp.row_names, BlockNames)
    budget, share = budgets_with_contracts(instance, candidates), instance.carry_over_share
    pairs = arrays.carried_pairs
    side = np.array([budget[pair] for pair in pairs])
    row_upper, upper = milp.row_upper.copy(), milp.upper.copy()
    row_upper[milp.row_names.members("spending_within_budget")] = side
    if len(arrays.carried):
        row_upper[milp.row_names.members("carry_within_unspent")] = share * side
        upper[arrays.carried] = most_carried_over(budget, pairs, share)
    return replace(milp, row_upper=row_upper, upper=upper)


def _differ(a: Instance, b: Instance) -> set[str]:
    return {
        field.name for field in fields(Instance) if not _same(getattr(a, field.name), getattr(b, field.name))
    }


def _same(a: object, b: object) -> bool:
    if isinstance(a, pd.DataFrame) and isinstance(b, pd.DataFrame):
        return a is b or a.equals(b)
    return a == b

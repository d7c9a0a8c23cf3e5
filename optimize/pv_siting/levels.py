"""The programme stated once for instances that differ in budgets, targets and installers only."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pandas as pd

from optimize.milp import FloatArray, Milp
from optimize.programme import Levels
from optimize.pv_siting.arrays import build_arrays
from optimize.pv_siting.extraction import carried_over, extract_solution
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.limits import derive_limits
from optimize.pv_siting.options import OptionKeys, derive_chosen_options, derive_options
from optimize.pv_siting.solution import Solution

# No option depends on these: they only set sides of rows, or which rows there are.
_FREE = {"targets", "budgets", "budget_scale", "carry_over_share", "installers", "district_minima"}


def state_levels(instance: Instance, goal: str) -> Levels:
    """Derive the options of ``instance`` for all instances that share them."""
    candidates = derive_options(instance)
    keys = OptionKeys.of(candidates)

    def restate(other: Instance) -> Milp | None:
        if not _share_options(instance, other):
            return None
        arrays = build_arrays(other, candidates, derive_limits(other, candidates), [goal])
        objective = arrays.objectives[goal]
        return arrays.milp.with_objective(objective.cost, objective.maximise, objective.offset)

    def plan_of(other: Instance, x: FloatArray) -> Solution:
        arrays = build_arrays(other, candidates, derive_limits(other, candidates), [goal])
        chosen = np.flatnonzero(x[arrays.chosen] > 0.5)
        rest = carried_over(other, arrays, x)
        return extract_solution(other, *derive_chosen_options(other, keys.take(chosen)), rest)

    return Levels(restate, None, plan_of)


def _share_options(a: Instance, b: Instance) -> bool:
    names = [field.name for field in fields(Instance) if field.name not in _FREE]
    return all(_same(getattr(a, name), getattr(b, name)) for name in names)


def _same(a: object, b: object) -> bool:
    if isinstance(a, pd.DataFrame) and isinstance(b, pd.DataFrame):
        return a is b or a.equals(b)
    return a == b

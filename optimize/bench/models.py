"""Each programme's instance as arrays and as a Pyomo model, the same rows that the product solves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from optimize.datacenter import arrays as datacenter_arrays
from optimize.datacenter import formulation as datacenter_formulation
from optimize.datacenter import options as datacenter_options
from optimize.engine.pyomo_bridge import compile_model
from optimize.milp import Milp
from optimize.pv_siting import arrays as pv_arrays
from optimize.pv_siting import formulation as pv_formulation
from optimize.pv_siting import limits as pv_limits
from optimize.pv_siting import options as pv_options
from optimize.water import formulation as water_formulation


def arrays_of(programme: str, instance: Any, goal: str) -> Milp:
    """The whole mixed-integer programme of an instance for one goal."""
    return _ARRAYS[programme](instance, goal)


def model_of(programme: str, instance: Any, goal: str) -> Any:
    """The instance's Pyomo model with all goals active."""
    return _MODELS[programme](instance, goal)


def _datacenter_arrays(instance: Any, goal: str) -> Milp:
    choices = datacenter_options.derive_options(instance, (goal,))
    milp, _, penalty = datacenter_arrays.build_milp(instance, choices)
    (objective,) = datacenter_arrays.objectives_of(choices, (goal,), penalty)
    return milp.with_objective(objective.cost, objective.maximise, objective.offset)


def _pv_arrays(instance: Any, goal: str) -> Milp:
    candidates = pv_options.derive_options(instance)
    arrays = pv_arrays.build_arrays(instance, candidates, pv_limits.derive_limits(instance, candidates))
    objective = arrays.objectives[goal]
    return arrays.milp.with_objective(objective.cost, objective.maximise, objective.offset)


def _water_arrays(instance: Any, goal: str) -> Milp:
    # the whole model exists as a formulation only: the fast path works on parts of it
    return compile_model(_water_model(instance, goal)).milp(goal)


def _datacenter_model(instance: Any, goal: str) -> Any:
    choices = datacenter_options.derive_options(instance, (goal,))
    return datacenter_formulation.build_model(instance, choices)


def _pv_model(instance: Any, goal: str) -> Any:
    candidates = pv_options.derive_options(instance)
    limits = pv_limits.derive_limits(instance, candidates)
    return pv_formulation.build_model(instance, candidates, limits)


def _water_model(instance: Any, goal: str) -> Any:
    return water_formulation.build_model(instance).m


_ARRAYS: dict[str, Callable[[Any, str], Milp]] = {
    "datacenter": _datacenter_arrays,
    "pv_siting": _pv_arrays,
    "water": _water_arrays,
}
_MODELS: dict[str, Callable[[Any, str], Any]] = {
    "datacenter": _datacenter_model,
    "pv_siting": _pv_model,
    "water": _water_model,
}

"""Each programme's instance as arrays and as a Pyomo model, the same rows that the product solves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from optimize.datacenter import formulation as datacenter_formulation
from optimize.datacenter import options as datacenter_options
from optimize.engine.pyomo_bridge import compile_model
from optimize.milp import Milp
from optimize.programme import Programme
from optimize.pv_siting import formulation as pv_formulation
from optimize.pv_siting import limits as pv_limits
from optimize.pv_siting import options as pv_options
from optimize.water import formulation as water_formulation

# Their stated arrays are a relaxation for bounds; the whole model exists as a formulation only.
_RELAXED_ARRAYS = frozenset({"water"})


def arrays_of(programme: Programme, instance: Any, goal: str) -> Milp:
    """The whole mixed-integer programme of an instance for one goal."""
    if programme.name in _RELAXED_ARRAYS:
        return compile_model(model_of(programme, instance, goal)).milp(goal)
    stated = programme.state_arrays(instance, (goal,))
    assert stated is not None
    objective = stated.objectives[goal]
    return stated.milp.with_objective(objective.cost, objective.maximise, objective.offset)


def model_of(programme: Programme, instance: Any, goal: str) -> Any:
    """The instance's Pyomo model with all goals active."""
    return _MODELS[programme.name](instance, goal)


def _datacenter_model(instance: Any, goal: str) -> Any:
    choices = datacenter_options.derive_options(instance, (goal,))
    return datacenter_formulation.build_model(instance, choices)


def _pv_model(instance: Any, goal: str) -> Any:
    candidates = pv_options.derive_options(instance)
    limits = pv_limits.derive_limits(instance, candidates)
    return pv_formulation.build_model(instance, candidates, limits)


def _water_model(instance: Any, goal: str) -> Any:
    return water_formulation.build_model(instance).m


_MODELS: dict[str, Callable[[Any, str], Any]] = {
    "datacenter": _datacenter_model,
    "pv_siting": _pv_model,
    "water": _water_model,
}

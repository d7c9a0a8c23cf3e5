"""Goals held at levels: the network that is best for one goal among those that reach a level of others.

A level is what an earlier goal of a list is: a row that the plan has to keep.  Each question begins from the
best plan found so far that keeps its levels, is improved by a model over works near it, and is bounded by the
averaged relaxation with these rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optimize.engine import network_bound, network_design
from optimize.engine.goals import settled
from optimize.engine.stopping import Watch
from optimize.errors import UsageError
from optimize.programme import SolveOptions
from optimize.result import Result, StopReason
from optimize.water.coefficients import derive_coefficients
from optimize.water.fast import improve_kept, solve_for_first
from optimize.water.fast_goal import MINIMISED, Kept
from optimize.water.fast_layout import FlowModel, Part, sign_of
from optimize.water.fast_locks import locked_decisions
from optimize.water.fast_model import build_flow_model
from optimize.water.fast_revision import holds_contracted_storage
from optimize.water.fast_steps import Solve
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray
from optimize.water.reductions import reduce_network
from optimize.water.solution import Solution

# Rows of levels give way by this share, as those of earlier goals do.
_KEPT = 1e-9


@dataclass(frozen=True)
class _Plan:
    model: FlowModel
    x: FloatArray

    def figure(self, goal: str) -> float:
        return float(self.model.goal_cost[goal] @ self.x)


class NetworkLevels:
    """Levels of one network, built in one stage.

    Raises
    ------
    UsageError : building is phased, or a storage site is contracted.
    """

    def __init__(self, instance: Instance) -> None:
        if instance.parameters.phased:
            raise UsageError(
                "reclaimed water built in phases (water.phased) cannot be held at levels of other goals; "
                "leave phases out (--set water.phased=false), or vary targets in scenarios"
            )
        if holds_contracted_storage(instance):
            raise UsageError(
                "reclaimed water with a contracted storage site cannot be held at levels of other goals; "
                "vary targets in scenarios"
            )
        network_design.compile_kernels()
        network_bound.compile_kernels()
        c = derive_coefficients(instance)
        small = reduce_network(instance, c, locked_decisions(instance, c))
        self._instance, self._c, self._locks = instance, small.c, small.locks
        self._plans: list[_Plan] = []

    def best(self, goal: str, options: SolveOptions) -> Result[Solution]:
        """The best plan of one goal, as `fast` finds it."""
        watch = Watch(options, goal not in MINIMISED)
        return self._answer(solve_for_first(self._instance, self._c, self._locks, (goal,), watch), options)

    def at(self, goal: str, levels: Mapping[str, float], options: SolveOptions) -> Result[Solution]:
        """The best plan of ``goal`` that keeps ``levels``, from the best one so far that does."""
        watch = Watch(options, goal not in MINIMISED)
        kept = [Kept(name, level) for name, level in levels.items()]
        solve = Solve(self._instance, self._c, self._locks, (goal,), kept, watch, {})
        fitting = [plan for plan in self._plans if _keeps(plan, kept)]
        if fitting:
            best = max(fitting, key=lambda plan: sign_of(goal) * plan.figure(goal))
            model = best.model.aimed_at(goal, kept)
            solve.keep(model, settled(model.milp, best.x, watch))
        improve_kept(solve, watch)
        return self._answer(solve, options)

    def _answer(self, solve: Solve, options: SolveOptions) -> Result[Solution]:
        solution = objective = None
        if solve.model is not None and solve.x is not None:
            solution = solve.model.solution(self._instance, solve.x)
            objective = sign_of(solve.goal) * solve.value
            plain = build_flow_model(self._instance, self._c, _part_of(solve.model))
            self._plans.append(_Plan(plain, solve.x))
        stop = solve.watch.stop_reason()
        return Result(
            stop=StopReason.SEARCH_ENDED if solution is None and not solve.watch.must_stop else stop,
            solution=solution,
            objective=objective,
            bound=solve.watch.bound,
            maximise=solve.watch.maximise,
            goal=(solve.goal,),
            engine="fast",
            trace=tuple(solve.watch.trace),
        )


def _keeps(plan: _Plan, kept: Sequence[Kept]) -> bool:
    return all(
        sign_of(k.goal) * (plan.figure(k.goal) - k.reached) >= -_KEPT * max(1.0, abs(k.reached)) for k in kept
    )


def _part_of(model: FlowModel) -> Part:
    """The part of the network a model spans."""
    c = model.c
    shape = c.shape
    pipe = np.zeros((shape["E"], shape["G"], shape["D"]), bool)
    pipe[tuple(model.pipe_at.T)] = True
    module, connected, tanker = (np.zeros(n, bool) for n in (len(c.modules), shape["U"], shape["U"]))
    module[model.module_at], connected[model.connected_at], tanker[model.tanker_at] = True, True, True
    return Part(pipe, module, connected, tanker)

"""The programme of a run solved again with something changed, from the run's own plan.

Small programmes are solved whole.  Large ones are searched around the plan in hand (columns the
multipliers call near to moving are free, the others stay), so that two answers differ by what was
changed and not by the luck of two searches; their bound is the Lagrangian one, evaluated at the
multipliers of the unchanged programme, which is valid for any change of rows and columns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimize.engine.choice import LagrangianBound, solve_by_choice
from optimize.engine.choice_structure import find_structure
from optimize.engine.elastic import smallest_relaxations
from optimize.engine.highs import MilpOutcome, solve_lp, solve_milp
from optimize.engine.stopping import Watch
from optimize.milp import ElasticRows, FloatArray, Milp
from optimize.programme import SolveOptions
from optimize.result import Relaxation, StopReason
from optimize.studies.plan_model import PlanModel, settled_plan

# A plain solve is as good for fewer choices.
_WHOLE_UP_TO = 8_000
# Columns freed around the plan, a few first; all of them only where those hold no plan.
_FREE = (150, 400, 1_000)
_SHARE_OF_STAGE = 0.5
_NODES = 100
_FEASIBLE = 1e-6
# Plans found for one variant that may serve another.
_PLANS_KEPT = 40


@dataclass(frozen=True)
class Answer:
    """Best plan and bound found of a changed programme.

    ``x`` is None where there is no plan: proven so when ``infeasible``, with the smallest
    ``relaxations`` that would make one possible.
    """

    x: FloatArray | None
    value: float | None
    bound: float | None
    infeasible: bool = False
    relaxations: tuple[Relaxation, ...] = ()


class Resolver:
    """Solves variants of one run's programme; same columns and rows, other bounds and sides.

    Parameters
    ----------
    options : gap and time limit of each variant, seed.
    """

    def __init__(self, model: PlanModel, options: SolveOptions) -> None:
        self.model = model
        self.options = options
        self._multipliers: FloatArray | None = None
        self._distance: FloatArray | None = None
        self._plans: list[FloatArray] = [model.x]
        milp = model.milp
        if int((milp.integral & (milp.upper > milp.lower)).sum()) > _WHOLE_UP_TO:
            self._prepare()
        self.reference = self._improved_plan()

    def _prepare(self) -> None:
        """Multipliers of the run, or new ones, and how far each column is from moving."""
        milp = self.model.milp
        structure = find_structure(milp)
        if structure is None:
            return
        lagrangian = LagrangianBound(structure)
        multipliers = self.model.multipliers
        if multipliers is None or not self.model.certified:
            near = None if multipliers is None else structure.linking_multipliers(multipliers)
            found = lagrangian.minimise(self._watch(), near)
            if found is None:
                return
            multipliers = structure.sign * structure.row_multipliers(found, milp.num_rows)
        self._multipliers = multipliers
        self._distance = lagrangian.relaxation(milp, structure.linking_multipliers(multipliers)).distance

    def _improved_plan(self) -> Answer:
        """The run's plan after the same search that variants get: what they are compared with."""
        model = self.model
        self.reference = Answer(model.x, model.value, model.bound)
        if self._distance is None:
            if model.bound is not None and abs(model.bound - model.value) <= self.options.gap * abs(
                model.value
            ):
                return Answer(model.x, model.value, model.bound)
            found = self.solve(model.milp, model.x)
        else:
            found = self._around(model.milp, model.x, np.zeros(len(model.x), np.bool_))
        bounds = [b for b in (found.bound, model.bound) if b is not None]
        tightest = None if not bounds else min(bounds) if model.milp.maximise else max(bounds)
        if found.x is None or not self._better(found.value, model.value):
            return Answer(model.x, model.value, tightest)
        return dataclasses.replace(found, bound=tightest)

    def solve(self, milp: Milp, near: FloatArray, free: NDArray[np.bool_] | None = None) -> Answer:
        """Best plan of a variant.

        Parameters
        ----------
        near : shape (n,), choices to stay near to where the programme is large.
        free : shape (n,), columns that are free in any case.
        """
        if self._distance is None:
            return self._whole(milp, near)
        opened = np.zeros(milp.num_columns, np.bool_) if free is None else free
        answer = self._around(milp, near, opened)
        self._learn(answer)
        return answer

    def _best_start(self, milp: Milp, start: FloatArray) -> FloatArray:
        """The best plan of the variant among ``start`` and those found for others; ``start`` where none is one."""
        plans = [x for x in (start, *self._plans) if milp.violation(x) <= _FEASIBLE]
        sign = 1.0 if milp.maximise else -1.0
        return max(plans, key=lambda x: sign * milp.value(x), default=start)

    def _learn(self, answer: Answer) -> None:
        """A variant's plan that is a better plan of the unchanged programme is what others are compared with."""
        model, reference = self.model, self.reference
        if answer.x is not None:
            self._plans = [*self._plans[-_PLANS_KEPT + 1 :], answer.x]
        if answer.x is None or reference.value is None or model.milp.violation(answer.x) > _FEASIBLE:
            return
        if self._better(model.milp.value(answer.x), reference.value):
            self.reference = Answer(answer.x, model.milp.value(answer.x), reference.bound)

    def _whole(self, milp: Milp, near: FloatArray) -> Answer:
        watch = self._watch()
        start = settled_plan(milp, near)
        outcome = solve_milp(milp, watch, start if milp.violation(start) <= _FEASIBLE else None)
        return self._answer(milp, outcome)

    def _around(self, milp: Milp, near: FloatArray, opened: NDArray[np.bool_]) -> Answer:
        assert self._distance is not None and self._multipliers is not None
        watch = self._watch()
        structure = find_structure(milp)
        assert structure is not None
        evaluation = LagrangianBound(structure).evaluate(structure.linking_multipliers(self._multipliers))
        bound = None if evaluation is None else structure.sign * evaluation.bound + structure.offset
        ranked = np.sort(self._distance[milp.integral & (milp.upper > 0)])
        held = np.where(milp.integral, np.clip(np.round(near), milp.lower, milp.upper), near)
        start = self._best_start(milp, settled_plan(milp, held))
        held = np.where(milp.integral, start, held)
        best = start if milp.violation(start) <= _FEASIBLE else None
        for size in (*_FREE, len(ranked)):
            if watch.must_stop or (best is not None and size == len(ranked)):
                break
            reach = ranked[size] if size < len(ranked) else np.inf
            moving = ~milp.integral | opened | (self._distance <= reach)
            if best is None or size >= _FREE[-1]:
                moving |= held > 0.5
            part = watch.child(seconds=_SHARE_OF_STAGE * watch.remaining())
            begin = None if best is None else best[moving]
            outcome = solve_milp(milp.restricted(moving, held), part, begin, max_nodes=_NODES)
            if outcome.x is None:
                continue
            x = held.copy()
            x[moving] = outcome.x
            # the solver may run out of time before it has looked at the plan to begin from
            if best is None or self._better(milp.value(x), milp.value(best)):
                best, held = x, np.where(milp.integral, np.round(x), x)
        if best is not None:
            return Answer(best, milp.value(best), bound)
        relaxed = solve_lp(milp, self._watch())
        if relaxed.stop is StopReason.INFEASIBLE:
            return self._answer(milp, MilpOutcome(StopReason.INFEASIBLE, None, None, None))
        whole = solve_by_choice(milp, self._watch())
        return self._answer(milp, whole or MilpOutcome(StopReason.TIME_LIMIT, None, None, bound))

    def _answer(self, milp: Milp, outcome: MilpOutcome) -> Answer:
        if outcome.stop is not StopReason.INFEASIBLE:
            return Answer(outcome.x, outcome.objective, outcome.bound)
        return Answer(None, None, None, True, self._ways_out(milp, self.model.elastic))

    def _ways_out(self, milp: Milp, elastic: Sequence[ElasticRows]) -> tuple[Relaxation, ...]:
        milp = self.model.with_any_budget(milp)
        relaxed = smallest_relaxations(milp, elastic, Watch(self.options, maximise=False), alternatives=3)
        return relaxed.ways

    def _watch(self) -> Watch:
        return Watch(self.options, self.model.milp.maximise)

    def _better(self, value: float | None, than: float) -> bool:
        return value is not None and (value > than if self.model.milp.maximise else value < than)

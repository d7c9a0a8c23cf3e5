"""From a Pyomo model to arrays and back, through Pyomo's standard-form compiler."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from pyomo.contrib.solver.solvers.highs import Highs
from pyomo.core.base.constraint import ConstraintData
from pyomo.environ import ConcreteModel, Objective, maximize
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from optimize.engine import goals
from optimize.engine.highs import MilpOutcome, prepare_plainly, read_plainly
from optimize.engine.stopping import Watch
from optimize.errors import UsageError
from optimize.milp import MONEY, TARGET, ElasticRows, Milp
from optimize.milp import Objective as Goal
from optimize.programme import SolveOptions
from optimize.result import Relaxation, StopReason, TracePoint

GOAL_PREFIX = "goal_"


class CompiledModel:
    """Arrays of a model, with the way from its components to columns and rows."""

    def __init__(self, model: ConcreteModel) -> None:
        info = LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=None)
        self._variables = info.columns
        self._columns = {id(var): j for j, var in enumerate(info.columns)}
        self._rows: dict[int, list[int]] = {}
        sides = np.array([row.bound_type for row in info.rows], dtype=np.int64)
        for i, row in enumerate(info.rows):
            self._rows.setdefault(id(row.constraint), []).append(i)
        rhs = np.asarray(info.rhs, dtype=np.float64)
        costs = sp.csr_array(info.c).toarray()
        offsets = np.asarray(info.c_offset, dtype=np.float64)
        self._goals = {
            objective.local_name.removeprefix(GOAL_PREFIX): Goal(
                objective.local_name.removeprefix(GOAL_PREFIX),
                costs[k],
                objective.sense == maximize,
                float(offsets[k]),
            )
            for k, objective in enumerate(info.objectives)
        }
        lower, upper = (
            np.array([default if side is None else side for side in sides_of], dtype=np.float64)
            for default, sides_of in (
                (-np.inf, [var.lb for var in info.columns]),
                (np.inf, [var.ub for var in info.columns]),
            )
        )
        self._base = Milp(
            cost=np.zeros(len(info.columns)),
            matrix=sp.csr_array(info.A),
            row_lower=np.where(sides <= 0, rhs, -np.inf),
            row_upper=np.where(sides >= 0, rhs, np.inf),
            lower=lower,
            upper=upper,
            integral=np.array([not var.is_continuous() for var in info.columns], dtype=np.bool_),
            maximise=True,
            column_names=[var.name for var in info.columns],
            row_names=[row.constraint.name for row in info.rows],
        )

    @property
    def goal_names(self) -> list[str]:
        return list(self._goals)

    def objective(self, goal: str) -> Goal:
        if goal not in self._goals:
            raise UsageError(f"goal '{goal}' is unknown; known: {', '.join(self._goals)}")
        return self._goals[goal]

    def milp(self, goal: str) -> Milp:
        objective = self.objective(goal)
        return self._base.with_objective(objective.cost, objective.maximise, objective.offset)

    def columns(self, variable: Any) -> dict[Any, int]:
        """Column of each index of ``variable``; indices in no row and no goal are left out."""
        return {
            index: self._columns[id(data)] for index, data in variable.items() if id(data) in self._columns
        }

    def rows(self, constraint: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Row ids of a constraint component, of one constraint of it, or of a list of such."""
        if isinstance(constraint, list):
            members = constraint
        else:
            members = [constraint] if isinstance(constraint, ConstraintData) else list(constraint.values())
        found = [row for member in members for row in self._rows.get(id(member), ())]
        return np.array(found, dtype=np.int64)

    def values(self, variable: Any, x: np.ndarray[Any, np.dtype[np.float64]]) -> dict[Any, float]:
        """Value of each index of ``variable``; an unused one takes its bound next to zero."""
        return {
            index: float(x[self._columns[id(data)]]) if id(data) in self._columns else _idle_value(data)
            for index, data in variable.items()
        }

    def present_point(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The values that the model's variables hold now, shape (n,)."""
        return np.array(
            [_idle_value(var) if var.value is None else float(var.value) for var in self._variables]
        )


def compile_model(model: ConcreteModel) -> CompiledModel:
    """Compile all active constraints and all active objectives ``goal_<name>`` of ``model``."""
    return CompiledModel(model)


@dataclass(frozen=True)
class ElasticConstraint:
    """`elastic.ElasticRows` in terms of a Pyomo constraint (component, one member, or a list of members).

    ``per_unit``: one figure for all rows, or one for each of a list.
    """

    clause: str
    where: str
    unit: str
    constraint: Any
    required: float
    per_unit: float | np.ndarray[Any, np.dtype[np.float64]] = 1.0
    is_cap: bool = False
    rank: int = TARGET


def elastic_budgets(
    names: Sequence[str],
    limit_cny: Sequence[float],
    spent: Sequence[Any],
    carried: Sequence[Any | None],
    carry_share: float,
) -> list[ElasticConstraint]:
    """Budgets that may give way: all in proportion, then each; `funding.elastic_budgets` on Pyomo rows.

    Parameters
    ----------
    spent : constraint of each budget.
    carried : carry-over constraint of the same source and year, None where there is none.
    """
    total = float(sum(limit_cny))
    share = [limit / total if total > 0 else 1.0 / len(limit_cny) for limit in limit_cny]

    def giving(
        where: str, required: float, members: Sequence[int], parts: Sequence[float]
    ) -> ElasticConstraint:
        rows, per_unit = [spent[k] for k in members], list(parts)
        for k, part in zip(members, parts, strict=True):
            if carried[k] is not None:
                rows.append(carried[k])
                per_unit.append(carry_share * part)
        return ElasticConstraint(
            "budget", where, "CNY", rows, required, np.array(per_unit), is_cap=True, rank=MONEY
        )

    each = [giving(name, limit_cny[k], [k], [1.0]) for k, name in enumerate(names)]
    some = [k for k, part in enumerate(share) if part > 0]
    everywhere = giving("all sources and years in proportion", total, some, [share[k] for k in some])
    return [everywhere, *each] if len(each) > 1 else each


@dataclass(frozen=True)
class ModelOutcome:
    """What `solve_model` returns; ``values`` reads a variable's values from the plan."""

    stop: StopReason
    objective: float | None
    bound: float | None
    trace: tuple[TracePoint, ...]
    timings: Mapping[str, float]
    relaxations: tuple[Relaxation, ...]
    compiled: CompiledModel
    x: np.ndarray[Any, np.dtype[np.float64]] | None
    maximise: bool

    def value(self, variable: Any) -> dict[Any, float]:
        assert self.x is not None
        return self.compiled.values(variable, self.x)


def solve_model(
    model: ConcreteModel,
    options: SolveOptions,
    elastic: Sequence[ElasticConstraint] = (),
    watch: Watch | None = None,
) -> ModelOutcome:
    """Compile ``model`` and solve it for ``options.goal``.

    Pass a ``watch`` made before building the model so that building counts against the limit.
    """
    compiled = compile_model(model)
    objectives = [compiled.objective(name) for name in options.goal]
    watch = watch or Watch(options, objectives[-1].maximise)
    compile_seconds = watch.seconds()
    rows = [
        ElasticRows(
            clause=e.clause,
            where=e.where,
            unit=e.unit,
            rows=compiled.rows(e.constraint),
            required=e.required,
            per_unit=e.per_unit,
            is_cap=e.is_cap,
            rank=e.rank,
        )
        for e in elastic
    ]
    milp = compiled.milp(options.goal[-1])
    outcome = goals.solve_goals(milp, objectives, options, elastic=rows, watch=watch)
    return ModelOutcome(
        stop=outcome.stop,
        objective=outcome.objective,
        bound=outcome.bound,
        trace=outcome.trace,
        timings={"build_s": compile_seconds, **outcome.timings},
        relaxations=outcome.relaxations,
        compiled=compiled,
        x=outcome.x,
        maximise=objectives[-1].maximise,
    )


class _WatchedHighs(Highs):
    """Pyomo's own interface to HiGHS, which tells ``watch`` of plans and bounds as they come."""

    # Pyomo calls __init__ once more when it takes a model, so these are set from outside.
    watch: Watch
    on_built: Callable[[], None]
    outcome: MilpOutcome

    def _solve(self) -> Any:
        self.on_built()
        prepare_plainly(self._solver_model, self.watch)
        results = super()._solve()
        self.outcome = read_plainly(self._solver_model, self.watch)
        return results


def solve_as_users_do(
    model: ConcreteModel, goal: str, watch: Watch, on_built: Callable[[], None] = lambda: None
) -> MilpOutcome:
    """What ``SolverFactory("highs").solve(model)`` does, with nothing of ours between; for comparisons.

    The plan is loaded into the model's variables.

    Parameters
    ----------
    on_built : called when Pyomo has handed the model over to HiGHS.

    Raises
    ------
    SolverError : see `optimize.engine.highs.read_plainly`.
    """
    for objective in model.component_data_objects(Objective, active=True):
        if objective.local_name != GOAL_PREFIX + goal:
            objective.deactivate()
    solver = _WatchedHighs()
    solver.watch, solver.on_built = watch, on_built
    results = solver.solve(model, load_solutions=False, raise_exception_on_nonoptimal_result=False)
    if solver.outcome.x is not None:
        results.solution_loader.load_vars()
    return solver.outcome


def _idle_value(variable: Any) -> float:
    if variable.fixed:
        return float(variable.value)
    low = -np.inf if variable.lb is None else variable.lb
    high = np.inf if variable.ub is None else variable.ub
    return float(min(max(0.0, low), high))


__all__ = [
    "CompiledModel",
    "ElasticConstraint",
    "ModelOutcome",
    "Objective",
    "compile_model",
    "solve_as_users_do",
    "solve_model",
]

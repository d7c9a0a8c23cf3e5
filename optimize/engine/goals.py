"""One goal or a lexicographic list of goals on the same rows; infeasibility explained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from optimize.engine.choice import solve_by_choice
from optimize.engine.choice_tree import solve_by_tree
from optimize.engine.column_generation import candidates_of, prove_infeasible, solve_by_columns
from optimize.engine.core import solve_by_core
from optimize.engine.elastic import smallest_relaxations
from optimize.engine.highs import MilpOutcome, solve_lp, solve_milp, write_model
from optimize.engine.stopping import Watch
from optimize.errors import SolverError
from optimize.milp import ElasticRows, Milp, Objective
from optimize.programme import SolveOptions
from optimize.result import Certificate, KeptGoal, Relaxation, StopReason, TracePoint

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Strategy = Literal["auto", "milp", "core"]

# A plain solve closes smaller programmes before the relaxation-and-core detour has paid off.
_CORE_FROM = 8_000
# A large programme that ends without a plan is asked whether it can have one: within this share of the
# time the solve had.
_PROOF_SHARE = 0.25
_LEAST_PROOF_SECONDS = 2.0


@dataclass(frozen=True)
class GoalsOutcome:
    """``objective`` and ``bound`` are those of the last goal, given the earlier ones."""

    stop: StopReason
    x: FloatArray | None
    objective: float | None
    bound: float | None
    trace: tuple[TracePoint, ...]
    timings: Mapping[str, float]
    relaxations: tuple[Relaxation, ...] = ()
    certificate: Certificate | None = None


def solve_goals(
    milp: Milp,
    objectives: Sequence[Objective],
    options: SolveOptions,
    *,
    elastic: Sequence[ElasticRows] = (),
    start: FloatArray | None = None,
    strategy: Strategy = "auto",
    watch: Watch | None = None,
    group: IntArray | None = None,
    whole: Milp | None = None,
    row_multipliers: FloatArray | None = None,
) -> GoalsOutcome:
    """Solve for ``objectives`` in order; each later goal keeps what the earlier ones reached.

    An earlier goal is kept to within the gap it was solved to (its value may not fall below what
    its own plan reached).  When the rows cannot all hold, ``elastic`` rows give way.

    Parameters
    ----------
    group : shape (n,), candidate of each column (-1: of none); given where candidates have so many
        columns that the relaxation is better solved by generating them.
    whole : the programme to ask for relaxations where ``milp`` leaves out columns that only a
        relaxation makes possible (same columns and rows, wider bounds).
    start : shape (n,), a plan to begin from, of this programme or a similar one.
    row_multipliers : shape (m,), of the rows of a similar programme, for the last goal.

    Raises
    ------
    SolverError : the solver calls the programme infeasible and the elastic programme disagrees.
    """
    watch = watch or Watch(options, objectives[-1].maximise)
    outcome: MilpOutcome | None = None
    timings: dict[str, float] = {}
    parts: list[Watch] = []
    kept: list[KeptGoal] = []
    for position, objective in enumerate(objectives):
        last = position == len(objectives) - 1
        began = watch.seconds()
        goal_milp = milp.with_objective(objective.cost, objective.maximise, objective.offset)
        if last and options.write_model is not None:
            write_model(goal_milp, options.write_model)
        left = len(objectives) - position
        part = watch.child(
            seconds=watch.remaining() / left,
            maximise=objective.maximise,
            plans=last,
            bounds=last,
        )
        parts.append(part)
        known = row_multipliers if last else None
        if known is not None:  # the rows of earlier goals have none
            known = np.append(known, np.zeros(goal_milp.num_rows - len(known)))
        outcome = _solve_one(goal_milp, part, start, strategy, group, known)
        timings[f"solve_{objective.name}_s"] = watch.seconds() - began
        if outcome.stop is StopReason.INFEASIBLE or (outcome.x is None and _cannot_hold(milp, group, watch)):
            stop, ways = _explain_infeasible(
                whole if position == 0 and whole else milp, elastic, options, group
            )
            return GoalsOutcome(stop, None, None, None, tuple(watch.trace), timings, ways)
        if outcome.x is None:
            break
        start = outcome.x
        if not last:
            milp = _keeping(milp, objective, outcome.x)
            kept.append(KeptGoal(objective.name, float(objective.cost @ outcome.x) + objective.offset))
    assert outcome is not None
    if outcome.x is None and start is not None and len(parts) > 1:
        # The last goal ran out of time: the previous goal's plan is a plan of the last goal too.
        last_milp = milp.with_objective(objectives[-1].cost, objectives[-1].maximise, objectives[-1].offset)
        x = settled(last_milp, start, watch)
        outcome = MilpOutcome(outcome.stop, x, last_milp.value(x), outcome.bound)
    return GoalsOutcome(
        outcome.stop,
        outcome.x,
        outcome.objective,
        outcome.bound,
        tuple(watch.trace),
        timings,
        certificate=_of_last_goal(parts, kept, len(objectives)),
    )


def _of_last_goal(parts: Sequence[Watch], kept: Sequence[KeptGoal], num_goals: int) -> Certificate | None:
    """The certificate of the last goal; None where it was not reached or its solve found none."""
    if len(parts) < num_goals or parts[-1].certificate is None:
        return None
    return dataclasses.replace(parts[-1].certificate, kept=tuple(kept))


def settled(milp: Milp, x: FloatArray, watch: Watch) -> FloatArray:
    """The integers of the plan ``x`` with its continuous columns (shortfalls, money carried over) at their best.

    An earlier goal may not have minded what these are.
    """
    held = np.where(milp.integral, np.round(x), milp.lower)
    upper = np.where(milp.integral, np.round(x), milp.upper)
    # The limit may have done its work by now; the plan in hand still has to be made exact.
    rest = solve_lp(milp.with_bounds(held, upper), Watch(watch.options, milp.maximise))
    return x if rest.x is None else np.asarray(np.where(milp.integral, held, rest.x))


def _solve_one(
    milp: Milp,
    watch: Watch,
    start: FloatArray | None,
    strategy: Strategy,
    group: IntArray | None,
    row_multipliers: FloatArray | None,
) -> MilpOutcome:
    if group is not None and int(milp.integral.sum()) > _CORE_FROM:
        return solve_by_columns(milp, group, watch, start, row_multipliers)
    if strategy == "core" or (strategy == "auto" and int(milp.integral.sum()) > _CORE_FROM):
        outcome = solve_by_choice(milp, watch, start, row_multipliers)
        return outcome if outcome is not None else solve_by_core(milp, watch, start)
    outcome = solve_by_tree(milp, watch, start) if strategy == "auto" else None
    return outcome if outcome is not None else solve_milp(milp, watch, start)


def _keeping(milp: Milp, objective: Objective, x: FloatArray) -> Milp:
    reached = float(objective.cost @ x)
    slack = 1e-9 * max(1.0, abs(reached))
    lower, upper = (reached - slack, np.inf) if objective.maximise else (-np.inf, reached + slack)
    return milp.with_row(objective.cost, lower, upper, f"keep_{objective.name}")


def _cannot_hold(milp: Milp, group: IntArray | None, watch: Watch) -> bool:
    """Whether a large programme without a plan is proven to have none; takes a part of the solve's time."""
    if watch.interrupted or int(milp.integral.sum()) <= _CORE_FROM:
        return False
    seconds = max(_PROOF_SHARE * watch.options.time_limit_s, _LEAST_PROOF_SECONDS)
    options = dataclasses.replace(watch.options, progress=None, time_limit_s=seconds)
    candidate = candidates_of(milp) if group is None else group
    return prove_infeasible(milp, candidate, Watch(options, maximise=False))[0]


def _explain_infeasible(
    milp: Milp, elastic: Sequence[ElasticRows], options: SolveOptions, group: IntArray | None
) -> tuple[StopReason, tuple[Relaxation, ...]]:
    # The explanation has the time of the solve once more: without it the answer is of no use.
    watch = Watch(dataclasses.replace(options, progress=None), maximise=False)
    relaxed = smallest_relaxations(milp, elastic, watch, candidate=group)
    if relaxed.confirmed is False:
        raise SolverError(
            "HiGHS calls the programme infeasible, but the elastic programme needs no relaxation; "
            "solve it with another engine or seed"
        )
    # "Infeasible" is said only when the elastic programme agrees.
    stop = StopReason.INFEASIBLE if relaxed.confirmed else StopReason.TIME_LIMIT
    return stop, relaxed.ways

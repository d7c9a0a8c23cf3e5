"""The only user of ortools: another solver's answer to the same arrays, through MathOpt."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from ortools.math_opt import model_pb2, sparse_containers_pb2
from ortools.math_opt.python import mathopt

from optimize.engine.highs import MilpOutcome
from optimize.engine.stopping import Watch
from optimize.errors import SolverError
from optimize.milp import Milp
from optimize.result import StopReason, relative_gap

Solver = Literal["gscip", "cp_sat", "highs"]

_SOLVERS = {
    "gscip": mathopt.SolverType.GSCIP,
    "cp_sat": mathopt.SolverType.CP_SAT,
    "highs": mathopt.SolverType.HIGHS,
}

# For CP-SAT: steps of a continuous column per unit, and the largest value of a column (money in CNY).
_STEPS_PER_UNIT = 1e3
_LARGEST_VALUE = 1e10
# Relative; a bound this near the plan is the plan's value in other arithmetic.
_ROUNDING = 1e-6
# SCIP's table has 18 columns between bars: time first, dual bound, primal bound, gap, completed last.
_SCIP_COLUMNS = 18
_SCIP_FIGURE = re.compile(r"([+-]?\d\.(\d+))e([+-]\d+)")


def solve_with(
    solver: Solver, milp: Milp, watch: Watch, on_built: Callable[[], None] = lambda: None
) -> MilpOutcome:
    """Solve ``milp`` with SCIP, CP-SAT or OR-Tools' own HiGHS.

    CP-SAT rounds continuous columns to thousandths: with such columns its bound is that of the rounded
    programme.

    Plans and bounds are offered to ``watch`` as they come: from CP-SAT by callbacks, from SCIP (which
    has none in MathOpt) by reading its log; OR-Tools' HiGHS reports the end only.

    Parameters
    ----------
    on_built : called when the model is stated, before the solver takes it.

    Raises
    ------
    SolverError : the solver ends in a state that is neither plan, bound, infeasible nor limit.
    """
    model = mathopt.Model.from_model_proto(_as_proto(milp))
    parameters = mathopt.SolveParameters(
        time_limit=datetime.timedelta(seconds=max(watch.remaining(), 0.1)),
        relative_gap_tolerance=watch.gap,
        random_seed=watch.options.seed,
        # SCIP here is built for one thread and refuses any other figure.
        threads=None if solver == "gscip" else max(watch.options.threads, 1),
    )
    if not milp.integral.all():
        # CP-SAT knows whole numbers only: a continuous column moves in steps of 1 / scaling
        parameters.cp_sat.mip_var_scaling = _STEPS_PER_UNIT
        parameters.cp_sat.mip_max_bound = _LARGEST_VALUE
    on_built()
    result = mathopt.solve(
        model, _SOLVERS[solver], params=parameters, **_reporting(solver, parameters, milp, watch)
    )
    reason = result.termination.reason
    if reason in (
        mathopt.TerminationReason.INFEASIBLE,
        mathopt.TerminationReason.INFEASIBLE_OR_UNBOUNDED,
    ):
        return MilpOutcome(StopReason.INFEASIBLE, None, None, None)
    limits = (
        mathopt.TerminationReason.FEASIBLE,
        mathopt.TerminationReason.NO_SOLUTION_FOUND,
    )
    if reason is not mathopt.TerminationReason.OPTIMAL and reason not in limits:
        raise SolverError(f"{solver} stopped with {reason}: {result.termination.detail}")
    bound = result.termination.objective_bounds.dual_bound
    if np.isfinite(bound):
        watch.offer_bound(float(bound))
    # without a plan CP-SAT's last word is no bound at all, although it had reported one on the way
    proven = watch.bound
    if not result.has_primal_feasible_solution():
        return MilpOutcome(StopReason.TIME_LIMIT, None, None, proven)
    values = result.variable_values()
    x = np.array([values[v] for v in sorted(values, key=lambda v: v.id)])
    x = np.where(milp.integral, np.round(x), x)
    value = milp.value(x)
    watch.offer_plan(value)
    stop = StopReason.TIME_LIMIT
    if reason is mathopt.TerminationReason.OPTIMAL:
        # CP-SAT ends with an optimum of its rounded programme; what that proves may be less
        gap = relative_gap(value, proven)
        closed = gap is not None and gap <= max(watch.gap, _ROUNDING)
        stop = StopReason.GAP_REACHED if closed else StopReason.SEARCH_ENDED
    return MilpOutcome(stop, x, value, proven)


def _reporting(
    solver: Solver, parameters: mathopt.SolveParameters, milp: Milp, watch: Watch
) -> dict[str, Any]:
    """What to pass to `mathopt.solve` so that ``watch`` hears of plans and bounds."""
    if solver == "cp_sat":
        events = {mathopt.Event.MIP_SOLUTION, mathopt.Event.MIP}
        none_of_the_values = mathopt.VariableFilter(filtered_items=[])
        registration = mathopt.CallbackRegistration(events, mip_solution_filter=none_of_the_values)

        def on_event(data: mathopt.CallbackData) -> mathopt.CallbackResult:
            _offer(watch, data.mip_stats.primal_bound, data.mip_stats.dual_bound)
            return mathopt.CallbackResult()

        return {"cb": on_event, "callback_reg": registration}
    if solver == "gscip":
        parameters.gscip.int_params["display/freq"] = 1

        def on_lines(lines: Sequence[str]) -> None:
            for line in lines:
                _offer(watch, *scip_figures(line, milp.maximise))

        return {"msg_cb": on_lines}
    return {}


def _offer(watch: Watch, plan: float, bound: float) -> None:
    if np.isfinite(plan):
        watch.offer_plan(plan)
    if np.isfinite(bound):
        watch.offer_bound(bound)


def scip_figures(line: str, maximise: bool) -> tuple[float, float]:
    """Plan and bound of a line of SCIP's table, not finite where it shows none.

    The table is rounded to seven digits: a figure is taken on the cautious side of its last digit, the
    plan worse, the bound further away.
    """
    cells = line.split("|")
    plan, bound = np.nan, np.nan
    if len(cells) != _SCIP_COLUMNS:
        return plan, bound
    towards_better = 1.0 if maximise else -1.0
    bound = _cautious(cells[-4], towards_better)
    plan = _cautious(cells[-3], -towards_better)
    return plan, bound


def _cautious(cell: str, direction: float) -> float:
    found = _SCIP_FIGURE.fullmatch(cell.strip())
    if found is None:
        return float("nan")
    half_a_digit = 0.5 * 10.0 ** (int(found[3]) - len(found[2]))
    return float(found[0]) + direction * half_a_digit


def _as_proto(milp: Milp) -> model_pb2.ModelProto:
    proto = model_pb2.ModelProto()
    columns, rows = proto.variables, proto.linear_constraints
    columns.ids.extend(range(milp.num_columns))
    columns.lower_bounds.extend(milp.lower)
    columns.upper_bounds.extend(milp.upper)
    columns.integers.extend(milp.integral.tolist())
    rows.ids.extend(range(milp.num_rows))
    rows.lower_bounds.extend(milp.row_lower)
    rows.upper_bounds.extend(milp.row_upper)
    proto.objective.maximize = milp.maximise
    proto.objective.offset = milp.offset
    used = np.flatnonzero(milp.cost)
    proto.objective.linear_coefficients.CopyFrom(
        sparse_containers_pb2.SparseDoubleVectorProto(ids=used.tolist(), values=milp.cost[used].tolist())
    )
    matrix = milp.matrix.tocoo()
    order = np.lexsort((matrix.col, matrix.row))
    proto.linear_constraint_matrix.CopyFrom(
        sparse_containers_pb2.SparseDoubleMatrixProto(
            row_ids=matrix.row[order].tolist(),
            column_ids=matrix.col[order].tolist(),
            coefficients=matrix.data[order].tolist(),
        )
    )
    return proto

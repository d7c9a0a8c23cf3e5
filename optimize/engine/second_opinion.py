"""The only user of ortools: another solver's answer to the same arrays, through MathOpt."""

from __future__ import annotations

import datetime
from typing import Literal

import numpy as np
from ortools.math_opt import model_pb2, sparse_containers_pb2
from ortools.math_opt.python import mathopt

from optimize.engine.highs import MilpOutcome
from optimize.engine.stopping import Watch
from optimize.errors import SolverError
from optimize.milp import Milp
from optimize.result import StopReason

Solver = Literal["gscip", "cp_sat", "highs"]

_SOLVERS = {
    "gscip": mathopt.SolverType.GSCIP,
    "cp_sat": mathopt.SolverType.CP_SAT,
    "highs": mathopt.SolverType.HIGHS,
}


def solve_with(solver: Solver, milp: Milp, watch: Watch) -> MilpOutcome:
    """Solve ``milp`` with SCIP, CP-SAT or OR-Tools' own HiGHS.

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
    result = mathopt.solve(model, _SOLVERS[solver], params=parameters)
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
    proven = float(bound) if np.isfinite(bound) else None
    if not result.has_primal_feasible_solution():
        return MilpOutcome(StopReason.TIME_LIMIT, None, None, proven)
    values = result.variable_values()
    x = np.array([values[v] for v in sorted(values, key=lambda v: v.id)])
    x = np.where(milp.integral, np.round(x), x)
    optimal = reason is mathopt.TerminationReason.OPTIMAL
    return MilpOutcome(StopReason.GAP_REACHED if optimal else StopReason.TIME_LIMIT, x, milp.value(x), proven)


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

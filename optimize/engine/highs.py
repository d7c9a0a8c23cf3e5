"""HiGHS (used here and in `column_lp` only): arrays in, statuses checked, plans and bounds reported as they come."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import highspy
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine.stopping import Watch
from optimize.errors import SolverError
from optimize.milp import Milp
from optimize.result import StopReason

FloatArray = NDArray[np.float64]
LpMethod = Literal["choose", "simplex", "ipm", "interior_point_only"]

_INFINITY = float(highspy.kHighsInf)
# HiGHS keeps one thread pool per process, and run() fails when another solver asks for another size.
# Its branch and bound gains nothing from a second thread; our own parts use the other cores.
_THREADS = 1


@dataclass(frozen=True)
class MilpOutcome:
    """``x`` is integral to the last digit; ``bound`` is proven or None."""

    stop: StopReason
    x: FloatArray | None
    objective: float | None
    bound: float | None


@dataclass(frozen=True)
class LpOutcome:
    """Relaxation. ``row_duals`` are d objective / d side; valid as a bound only when OPTIMAL."""

    stop: StopReason
    x: FloatArray | None
    objective: float | None
    row_duals: FloatArray | None
    reduced_costs: FloatArray | None


def solve_milp(
    milp: Milp,
    watch: Watch,
    start: FloatArray | None = None,
    target: float | None = None,
    max_nodes: int | None = None,
    restarts: bool = True,
) -> MilpOutcome:
    """Branch and cut.

    Parameters
    ----------
    target : a plan this good ends the search.
    max_nodes : most branch-and-bound nodes; unlike seconds, the same on every machine.
    restarts : presolve and the root's cuts may begin anew once columns are fixed there.
    start : shape (n,), a plan to begin from; dropped by the solver if it is not feasible.

    Raises
    ------
    SolverError : on any status that is not one of plan, bound, infeasible or limit.
    """
    if milp.num_columns == 0:
        return _without_columns(milp, watch)
    scaled = _Scaled(milp)
    solver = _solver_for(scaled, watch, integer=True)
    _set(solver, "mip_rel_gap", max(watch.gap, 0.0))
    if start is not None:
        solution = highspy.HighsSolution()
        solution.col_value = list(start)
        _expect_ok(solver.setSolution(solution), "setSolution")
    if target is not None:
        _set(solver, "objective_target", target * scaled.cost_factor)
    if max_nodes is not None:
        _set(solver, "mip_max_nodes", max_nodes)
    if not restarts:
        _set(solver, "mip_allow_restart", False)
    _report_progress(solver, scaled, watch)
    _run(solver)
    status = solver.getModelStatus()
    info = solver.getInfo()
    x = None
    if info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible:
        x = integral_solution(milp, np.array(solver.getSolution().col_value), watch)
    objective = None if x is None else milp.value(x)
    if status in (highspy.HighsModelStatus.kInfeasible,):
        return MilpOutcome(StopReason.INFEASIBLE, None, None, None)
    if status not in _MILP_STATUSES:
        raise SolverError(f"HiGHS stopped with '{solver.modelStatusToString(status)}'")
    # without integer columns there is no branch and bound, and its bound stands at 0
    is_linear = not milp.integral.any() and status == highspy.HighsModelStatus.kOptimal
    bound = objective if is_linear else _finite(scaled.objective(info.mip_dual_bound))
    if objective is not None:
        watch.offer_plan(objective)
        if bound is not None:  # a bound on the wrong side of the plan is rounding
            bound = max(bound, objective) if milp.maximise else min(bound, objective)
    if bound is not None:
        watch.offer_bound(bound)
    if status == highspy.HighsModelStatus.kOptimal and objective is not None:
        exact = bound is not None and abs(bound - objective) <= 1e-9 * max(1.0, abs(objective))
        return MilpOutcome(StopReason.OPTIMAL if exact else StopReason.GAP_REACHED, x, objective, bound)
    stop = StopReason.INTERRUPTED if watch.interrupted else StopReason.TIME_LIMIT
    return MilpOutcome(stop, x, objective, bound)


def solve_lp(milp: Milp, watch: Watch, method: LpMethod = "choose") -> LpOutcome:
    """The linear relaxation with its multipliers (integrality is ignored).

    ``interior_point_only`` leaves out the crossover: much faster on large programmes, multipliers
    are then accurate to about 1e-7 and must be turned into a bound by `certificate.dual_bound`.
    """
    if milp.num_columns == 0:
        outcome = _without_columns(milp, watch)
        return LpOutcome(outcome.stop, outcome.x, outcome.objective, np.zeros(milp.num_rows), np.zeros(0))
    scaled = _Scaled(milp)
    solver = _solver_for(scaled, watch, integer=False)
    _set(solver, "solver", {"interior_point_only": "ipm"}.get(method, method))
    if method == "interior_point_only":
        _set(solver, "run_crossover", "off")
    _interrupt_when_told(solver, watch)
    _run(solver)
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kOptimal:
        solution = solver.getSolution()
        x = np.array(solution.col_value)
        return LpOutcome(
            StopReason.OPTIMAL,
            x,
            milp.value(x),
            scaled.row_duals(np.array(solution.row_dual)),
            scaled.reduced_costs(np.array(solution.col_dual)),
        )
    if status == highspy.HighsModelStatus.kInfeasible:
        return LpOutcome(StopReason.INFEASIBLE, None, None, None, None)
    if status in _LIMIT_STATUSES or status == highspy.HighsModelStatus.kUnknown:
        stop = StopReason.INTERRUPTED if watch.interrupted else StopReason.TIME_LIMIT
        return LpOutcome(stop, None, None, None, None)
    raise SolverError(f"HiGHS stopped with '{solver.modelStatusToString(status)}' on an LP")


def solve_plainly(milp: Milp, watch: Watch, on_built: Callable[[], None] = lambda: None) -> MilpOutcome:
    """HiGHS as it comes: the arrays as they stand, its own settings, as many threads as were asked for.

    What `optimize bench` compares with; the product itself calls `solve_milp`.  ``on_built`` is called
    when HiGHS has the model.  The plan is what HiGHS returns, integers not rounded.
    """
    solver = highspy.Highs()
    _set(solver, "output_flag", False)
    _pass(solver, milp, integer=True)
    on_built()
    return run_plainly(solver, watch)


def run_plainly(solver: Any, watch: Watch) -> MilpOutcome:
    """Run a ``highspy.Highs`` that holds a model as `solve_plainly` does."""
    prepare_plainly(solver, watch)
    _run(solver)
    return read_plainly(solver, watch)


def prepare_plainly(solver: Any, watch: Watch) -> None:
    """Limits, gap, seed and threads of ``watch`` for a solver that holds a model, and its progress."""
    _set(solver, "threads", watch.options.threads)
    _set(solver, "random_seed", watch.options.seed)
    _set(solver, "time_limit", max(watch.remaining(), 1e-3))
    _set(solver, "mip_rel_gap", watch.gap)

    def on_values(event: Any) -> None:
        plan, bound = _finite(event.data_out.mip_primal_bound), _finite(event.data_out.mip_dual_bound)
        if plan is not None:
            watch.offer_plan(plan)
        if bound is not None:
            watch.offer_bound(bound)

    # the log is written every few seconds only; the interrupt callback comes at every step
    for source in (solver.cbMipLogging, solver.cbMipImprovingSolution, solver.cbMipInterrupt):
        source.subscribe(on_values)


def read_plainly(solver: Any, watch: Watch) -> MilpOutcome:
    """Plan and bound of a solver that has run.

    Raises
    ------
    SolverError : on any status that is not one of plan, bound, infeasible or limit.
    """
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kInfeasible:
        return MilpOutcome(StopReason.INFEASIBLE, None, None, None)
    if status not in _MILP_STATUSES:
        raise SolverError(f"HiGHS stopped with '{solver.modelStatusToString(status)}'")
    info = solver.getInfo()
    x, objective = None, None
    if info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible:
        x, objective = np.array(solver.getSolution().col_value), float(info.objective_function_value)
        watch.offer_plan(objective)
    optimal = status == highspy.HighsModelStatus.kOptimal
    # without integers there is no branch and bound: the optimum of the linear programme is the bound
    bound = objective if optimal and info.mip_node_count < 0 else _finite(info.mip_dual_bound)
    if bound is not None:
        watch.offer_bound(bound)
    stop = watch.stop_reason()
    if optimal and stop is not StopReason.OPTIMAL:
        stop = StopReason.GAP_REACHED
    return MilpOutcome(stop, x, objective, bound)


class GrowingLp:
    """A minimisation that gains rows and changes bounds between solves, warm from the last basis."""

    def __init__(self, cost: FloatArray, lower: FloatArray, upper: FloatArray, seed: int) -> None:
        self._solver = highspy.Highs()
        _set(self._solver, "output_flag", False)
        _set(self._solver, "threads", _THREADS)
        _set(self._solver, "random_seed", seed)
        none = np.zeros(0)
        empty = sp.csr_array((0, len(cost)))
        milp = Milp(cost, empty, none, none, lower, upper, np.zeros(len(cost), np.bool_), False)
        _pass(self._solver, milp, integer=False)

    def add_rows(self, matrix: sp.csr_array, lower: FloatArray, upper: FloatArray | None = None) -> None:
        """Rows ``lower <= matrix @ x <= upper`` (None: no upper side)."""
        most = np.full(matrix.shape[0], _INFINITY) if upper is None else _clipped(upper)
        if not matrix.shape[0] == len(lower) == len(most):
            raise SolverError("rows and sides differ in length")  # highspy would read past the end
        status = self._solver.addRows(
            matrix.shape[0],
            _clipped(lower),
            most,
            matrix.nnz,
            matrix.indptr[:-1].astype(np.int32),
            matrix.indices.astype(np.int32),
            np.ascontiguousarray(matrix.data, dtype=np.float64),
        )
        _expect_ok(status, "addRows")

    def drop_rows(self, rows: NDArray[np.int32]) -> None:
        """Take rows away; those after them move up."""
        _expect_ok(self._solver.deleteRows(len(rows), np.ascontiguousarray(rows, np.int32)), "deleteRows")

    def set_bounds(self, columns: NDArray[np.int32], lower: FloatArray, upper: FloatArray) -> None:
        if not len(columns) == len(lower) == len(upper):
            raise SolverError("bounds and columns differ in length")  # highspy would read past the end
        status = self._solver.changeColsBounds(len(columns), columns, _clipped(lower), _clipped(upper))
        _expect_ok(status, "changeColsBounds")

    def solve(self, seconds: float) -> tuple[FloatArray, float] | None:
        """Optimal point and value, or None where the solver did not end with one."""
        deadline = self._solver.getRunTime() + max(seconds, 1e-3)
        _set(self._solver, "time_limit", deadline)
        _run(self._solver)
        if self._solver.getModelStatus() not in (highspy.HighsModelStatus.kOptimal, *_LIMIT_STATUSES):
            # A basis that has gone bad: once more from none.
            _expect_ok(self._solver.clearSolver(), "clearSolver")
            _run(self._solver)
        if self._solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        return (
            np.array(self._solver.getSolution().col_value),
            float(self._solver.getInfo().objective_function_value),
        )

    def row_duals(self, first: int, last: int) -> FloatArray:
        """Duals of rows first..last-1 at the last optimal point (>= 0 where there is no upper side)."""
        return np.array(self._solver.getSolution().row_dual[first:last], dtype=np.float64)


def write_model(milp: Milp, path: Path) -> None:
    """Write the programme as .mps or .lp (by the ending), with names where it has them."""
    solver = highspy.Highs()
    _set(solver, "output_flag", False)
    _pass(solver, milp, integer=True)
    for names, size, passing in (
        (milp.column_names, milp.num_columns, solver.passColName),
        (milp.row_names, milp.num_rows, solver.passRowName),
    ):
        for index, name in enumerate(_plain_names(names, size)):
            _expect_ok(passing(index, name), "passName")
    path.parent.mkdir(parents=True, exist_ok=True)
    _expect_ok(solver.writeModel(str(path)), "writeModel")


_LIMIT_STATUSES = frozenset(
    {
        highspy.HighsModelStatus.kTimeLimit,
        highspy.HighsModelStatus.kIterationLimit,
        highspy.HighsModelStatus.kSolutionLimit,
        highspy.HighsModelStatus.kInterrupt,
        highspy.HighsModelStatus.kObjectiveTarget,
        highspy.HighsModelStatus.kObjectiveBound,
    }
)
_MILP_STATUSES = _LIMIT_STATUSES | {highspy.HighsModelStatus.kOptimal}


class _Scaled:
    """Rows and objective multiplied by powers of two, so that money rows in CNY and count rows meet the
    solver's absolute tolerances alike. Columns are left alone: binaries stay binaries."""

    def __init__(self, milp: Milp) -> None:
        self.original = milp
        matrix = milp.matrix
        counts = np.diff(matrix.indptr)
        self.row_factor = np.ones(milp.num_rows)
        filled = np.flatnonzero(counts)
        if len(filled):
            magnitude = np.log2(np.abs(matrix.data))
            starts = matrix.indptr[filled]
            top = np.maximum.reduceat(magnitude, starts)
            # what is below the last digit of its row must not decide the row's scale
            low = np.maximum(np.minimum.reduceat(magnitude, starts), top - 50)
            self.row_factor[filled] = np.exp2(-np.round((top + low) / 2))
        largest = float(np.abs(milp.cost).max(initial=0.0))
        self.cost_factor = 1.0 if largest == 0.0 else float(np.exp2(-np.round(np.log2(largest)) + 10))
        self.milp = Milp(
            cost=milp.cost * self.cost_factor,
            matrix=sp.csr_array(
                (matrix.data * np.repeat(self.row_factor, counts), matrix.indices, matrix.indptr),
                shape=matrix.shape,
            ),
            row_lower=milp.row_lower * self.row_factor,
            row_upper=milp.row_upper * self.row_factor,
            lower=milp.lower,
            upper=milp.upper,
            integral=milp.integral,
            maximise=milp.maximise,
            offset=milp.offset * self.cost_factor,
        )

    def objective(self, value: float) -> float:
        return value / self.cost_factor

    def row_duals(self, duals: FloatArray) -> FloatArray:
        return duals * self.row_factor / self.cost_factor

    def reduced_costs(self, costs: FloatArray) -> FloatArray:
        return costs / self.cost_factor


def _solver_for(scaled: _Scaled, watch: Watch, *, integer: bool) -> Any:
    solver = highspy.Highs()
    _set(solver, "output_flag", False)
    _set(solver, "threads", _THREADS)
    _set(solver, "random_seed", watch.options.seed)
    _set(solver, "time_limit", max(watch.remaining(), 1e-3))
    _pass(solver, scaled.milp, integer=integer)
    return solver


def _pass(solver: Any, milp: Milp, *, integer: bool) -> None:
    for name, values in (("cost", milp.cost), ("matrix", milp.matrix.data)):
        if not np.isfinite(values).all():
            raise SolverError(f"{name} holds a value that is not a finite number")
    if np.isnan(milp.lower).any() or np.isnan(milp.upper).any():
        raise SolverError("a column bound is not a number")
    if np.isnan(milp.row_lower).any() or np.isnan(milp.row_upper).any():
        raise SolverError("a row side is not a number")
    kind = highspy.HighsVarType
    whole = milp.integral & integer
    integrality = np.where(whole, int(kind.kInteger), int(kind.kContinuous))
    sense = highspy.ObjSense.kMaximize if milp.maximise else highspy.ObjSense.kMinimize
    status = solver.passModel(
        milp.num_columns,
        milp.num_rows,
        milp.matrix.nnz,
        int(highspy.MatrixFormat.kRowwise),
        int(sense),
        milp.offset,
        np.ascontiguousarray(milp.cost, dtype=np.float64),
        _clipped(milp.lower),
        _clipped(milp.upper),
        _clipped(milp.row_lower),
        _clipped(milp.row_upper),
        milp.matrix.indptr.astype(np.int32),
        milp.matrix.indices.astype(np.int32),
        np.ascontiguousarray(milp.matrix.data, dtype=np.float64),
        integrality.astype(np.int32),
    )
    _expect_ok(status, "passModel")


def _clipped(values: FloatArray) -> FloatArray:
    return np.clip(values, -_INFINITY, _INFINITY)


def _report_progress(solver: Any, scaled: _Scaled, watch: Watch) -> None:
    def on_values(event: Any) -> None:
        plan = _finite(scaled.objective(event.data_out.mip_primal_bound))
        bound = _finite(scaled.objective(event.data_out.mip_dual_bound))
        if plan is not None:
            watch.offer_plan(plan)
        if bound is not None:
            watch.offer_bound(bound)

    solver.cbMipLogging.subscribe(on_values)
    solver.cbMipImprovingSolution.subscribe(on_values)
    _interrupt_when_told(solver, watch)


def _interrupt_when_told(solver: Any, watch: Watch) -> None:
    def on_chance(event: Any) -> None:
        if watch.must_stop:
            event.interrupt()

    for source in (solver.cbMipInterrupt, solver.cbSimplexInterrupt, solver.cbIpmInterrupt):
        source.subscribe(on_chance)


def _run(solver: Any) -> None:
    status = solver.run()
    if status == highspy.HighsStatus.kError:
        raise SolverError("HiGHS could not run the model")


def integral_solution(milp: Milp, x: FloatArray, watch: Watch) -> FloatArray:
    """``x`` with exact integers, the continuous rest solved again where rounding moved a row."""
    whole = np.where(milp.integral, np.round(x), x)
    whole = np.clip(whole, milp.lower, milp.upper)
    if milp.integral.all() or milp.violation(whole) <= 1e-9:
        return whole
    fixed = milp.with_bounds(
        np.where(milp.integral, whole, milp.lower), np.where(milp.integral, whole, milp.upper)
    )
    # The limit has done its work by now; the plan in hand still has to be made exact.
    grace = Watch(watch.options, watch.maximise)
    outcome = solve_lp(fixed, grace)
    if outcome.x is None:
        return whole
    return np.asarray(np.where(milp.integral, whole, outcome.x))


def _without_columns(milp: Milp, watch: Watch) -> MilpOutcome:
    if (milp.row_lower > 0).any() or (milp.row_upper < 0).any():
        return MilpOutcome(StopReason.INFEASIBLE, None, None, None)
    watch.offer_plan(milp.offset)
    watch.offer_bound(milp.offset)
    return MilpOutcome(StopReason.OPTIMAL, np.zeros(0), milp.offset, milp.offset)


def _finite(value: float) -> float | None:
    return float(value) if abs(value) < 1e29 else None


def _plain_names(names: Sequence[str] | None, size: int) -> list[str]:
    """Names that both file formats take: letters, digits and underscores, each once."""
    if names is None:
        return []
    plain = ["n_" + re.sub(r"\W+", "_", names[k], flags=re.ASCII).strip("_") for k in range(size)]
    counts = Counter(plain)
    return [name if counts[name] == 1 else f"{name}__{k}" for k, name in enumerate(plain)]


def _set(solver: Any, option: str, value: object) -> None:
    _expect_ok(solver.setOptionValue(option, value), f"option {option}={value}")


def _expect_ok(status: Any, what: str) -> None:
    if status == highspy.HighsStatus.kError:
        raise SolverError(f"HiGHS refused: {what}")

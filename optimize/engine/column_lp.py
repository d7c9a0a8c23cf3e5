"""A linear relaxation over some columns of a programme that gains columns and rows, warm from its last basis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.errors import SolverError
from optimize.milp import Milp

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_INFINITY = float(highspy.kHighsInf)


@dataclass(frozen=True)
class ColumnPoint:
    """Optimal point of the relaxation.

    Attributes
    ----------
    x : shape (columns held,), in the order of `ColumnLp.columns`.
    row_duals : shape (rows held,), d objective / d side.
    value : objective.
    """

    x: FloatArray
    row_duals: FloatArray
    value: float


class ColumnLp:
    """max or min over ``columns`` of ``milp``, all others at zero; rows ``<=`` may be added and dropped.

    Attributes
    ----------
    columns : shape (k,), columns of the programme held, in order.
    """

    def __init__(self, milp: Milp, columns: IntArray, seed: int) -> None:
        self._milp = milp
        self._by_column = sp.csc_array(milp.matrix)
        self.columns = np.zeros(0, dtype=np.int64)
        self._solver = solver = highspy.Highs()
        for option, value in (("output_flag", False), ("threads", 1), ("random_seed", seed)):
            _expect_ok(solver.setOptionValue(option, value), option)
        sense = highspy.ObjSense.kMaximize if milp.maximise else highspy.ObjSense.kMinimize
        _expect_ok(solver.changeObjectiveSense(sense), "changeObjectiveSense")
        none = sp.csr_array((milp.num_rows, 0))
        self._add_rows(none, milp.row_lower, milp.row_upper)
        self.add_columns(columns, np.zeros((len(columns), 0)))

    def add_columns(self, columns: IntArray, added_rows: FloatArray) -> None:
        """``added_rows``: shape (columns, rows added so far), their coefficients there."""
        part = self._by_column[:, columns]
        if added_rows.shape[1]:
            part = sp.csc_array(sp.vstack([part, sp.csc_array(added_rows.T)], format="csc"))
        milp = self._milp
        status = self._solver.addCols(
            len(columns),
            milp.cost[columns],
            np.clip(milp.lower[columns], -_INFINITY, _INFINITY),
            np.clip(milp.upper[columns], -_INFINITY, _INFINITY),
            part.nnz,
            part.indptr[:-1].astype(np.int32),
            part.indices.astype(np.int32),
            np.ascontiguousarray(part.data, dtype=np.float64),
        )
        _expect_ok(status, "addCols")
        self.columns = np.concatenate([self.columns, columns])

    def add_rows(self, coefficients: FloatArray, upper: FloatArray) -> None:
        """Rows ``coefficients @ x <= upper``; shape (rows, columns held)."""
        self._add_rows(sp.csr_array(coefficients), np.full(len(upper), -np.inf), upper)

    def drop_rows(self, rows: IntArray) -> None:
        _expect_ok(self._solver.deleteRows(len(rows), rows.astype(np.int32)), "deleteRows")

    def solve(self, seconds: float) -> ColumnPoint | None:
        """None where the solver did not end with an optimal point in time."""
        deadline = self._solver.getRunTime() + max(seconds, 1e-3)
        _expect_ok(self._solver.setOptionValue("time_limit", deadline), "time_limit")
        _expect_ok(self._solver.run(), "run")
        if self._solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        solution = self._solver.getSolution()
        return ColumnPoint(
            np.array(solution.col_value),
            np.array(solution.row_dual),
            float(self._solver.getInfo().objective_function_value),
        )

    def rows_of_basis_inverse(self, wanted: NDArray[np.bool_]) -> FloatArray:
        """Row of the basis inverse of each basic column that is ``wanted``, shape (any, rows held).

        ``wanted``: shape (columns held,).  Such a row times the rows of the programme is the row of
        the simplex tableau.
        """
        status, basic = self._solver.getBasicVariables()
        _expect_ok(status, "getBasicVariables")
        places = [k for k, column in enumerate(basic.tolist()) if column >= 0 and wanted[column]]
        rows = np.zeros((len(places), self._solver.getNumRow()))
        for position, place in enumerate(places):
            status, row = self._solver.getBasisInverseRow(place)
            _expect_ok(status, "getBasisInverseRow")
            rows[position] = row
        return rows

    def _add_rows(self, matrix: sp.csr_array, lower: FloatArray, upper: FloatArray) -> None:
        status = self._solver.addRows(
            matrix.shape[0],
            np.clip(lower, -_INFINITY, _INFINITY),
            np.clip(upper, -_INFINITY, _INFINITY),
            matrix.nnz,
            matrix.indptr[:-1].astype(np.int32),
            matrix.indices.astype(np.int32),
            np.ascontiguousarray(matrix.data, dtype=np.float64),
        )
        _expect_ok(status, "addRows")


def _expect_ok(status: Any, what: str) -> None:
    if status == highspy.HighsStatus.kError:
        raise SolverError(f"HiGHS refused: {what}")

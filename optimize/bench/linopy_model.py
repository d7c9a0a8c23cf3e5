"""The arrays as a linopy model. linopy is an optional extra: it is imported when it is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from optimize.milp import BoolArray, FloatArray, IntArray, Milp


def linopy_solver(milp: Milp) -> Any:
    """A ``highspy.Highs`` that linopy has filled, columns in the order of `column_order`."""
    import linopy
    import pandas as pd
    import xarray as xr

    model = linopy.Model()
    label = np.zeros(milp.num_columns, dtype=np.int64)
    cost = None
    for name, columns in _kinds(milp).items():
        index = pd.RangeIndex(len(columns), name=name)
        variables = model.add_variables(
            lower=xr.DataArray(milp.lower[columns], coords=[index]),
            upper=xr.DataArray(milp.upper[columns], coords=[index]),
            name=name,
            integer=name == "whole",
        )
        label[columns] = variables.labels.to_numpy()
        part = (variables * xr.DataArray(milp.cost[columns], coords=[index])).sum()
        cost = part if cost is None else cost + part
    model.add_objective(cost, sense="max" if milp.maximise else "min")
    equal = milp.row_lower == milp.row_upper
    for sign, side, wanted in (
        ("=", milp.row_upper, equal),
        ("<=", milp.row_upper, ~equal & np.isfinite(milp.row_upper)),
        (">=", milp.row_lower, ~equal & np.isfinite(milp.row_lower)),
    ):
        for rows in _of_like_length(milp.matrix, wanted):
            coefficients, variables = _padded(milp.matrix, rows, label)
            terms = xr.Dataset(
                {"coeffs": (("row", "_term"), coefficients), "vars": (("row", "_term"), variables)}
            )
            expression = linopy.LinearExpression(terms, model)
            model.add_constraints(expression, sign, xr.DataArray(side[rows], dims="row"))
    solver = model.to_highspy()
    solver.changeObjectiveOffset(milp.offset)  # linopy takes no constant in an objective
    return solver


def column_order(milp: Milp) -> IntArray:
    """Column of the arrays at each position of the solver."""
    return np.concatenate(list(_kinds(milp).values()))


def _kinds(milp: Milp) -> dict[str, IntArray]:
    kinds = {"whole": np.flatnonzero(milp.integral), "free": np.flatnonzero(~milp.integral)}
    return {name: columns for name, columns in kinds.items() if len(columns)}


def _of_like_length(matrix: sp.csr_array, wanted: BoolArray) -> list[IntArray]:
    """Rows in groups whose lengths differ by less than a factor of two: linopy pads to the longest."""
    lengths = np.diff(matrix.indptr)
    power = np.ceil(np.log2(np.maximum(lengths, 1)))
    rows = np.flatnonzero(wanted & (lengths > 0))
    return [rows[power[rows] == p] for p in np.unique(power[rows])]


def _padded(matrix: sp.csr_array, rows: IntArray, label: IntArray) -> tuple[FloatArray, IntArray]:
    """Coefficients and variable labels, each of shape (rows, longest row); -1 and 0 where there is none."""
    lengths = np.diff(matrix.indptr)[rows]
    place = np.arange(lengths.max())[None, :]
    filled = place < lengths[:, None]
    entry = (matrix.indptr[rows][:, None] + place)[filled]
    coefficients = np.zeros(filled.shape)
    variables = np.full(filled.shape, -1, dtype=np.int64)
    coefficients[filled] = matrix.data[entry]
    variables[filled] = label[matrix.indices[entry]]
    return coefficients, variables

"""A relaxation of the programme as arrays, for bounds that anyone can compute again; no solver.

All periods are averaged into one, the diameters of a corridor melted into one (`fast_thin`), and what
only forbids and is awkward over averaged periods is left out (see `fast_model.averaged` and
`build_flow_model`); storage, which only moves water between periods, is left out with its cost.  Every
plan of the programme has a point in the linear relaxation of these arrays with the same or a better
value, so what bounds that bounds the programme.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optimize.implied_bounds import with_implied_bounds
from optimize.milp import IntArray, Milp, Objective
from optimize.programme import StatedArrays
from optimize.water.coefficients import derive_coefficients
from optimize.water.fast_goal import MINIMISED
from optimize.water.fast_layout import FlowModel, Part
from optimize.water.fast_locks import locked_decisions, without_dates
from optimize.water.fast_model import averaged, build_flow_model
from optimize.water.fast_thin import thinned
from optimize.water.instance import Instance
from optimize.water.one_stage import view_for_bound

# Share of the terms' sum by which a bound is taken wider than computed.
_WIDER = 1e-9


def state_arrays(instance: Instance, goals: tuple[str, ...]) -> StatedArrays | None:
    """The averaged relaxation for ``goals``; None where building is phased: then it is none."""
    if instance.parameters.phased:
        return None
    c = derive_coefficients(instance)
    mean = averaged(c, [np.flatnonzero(c.days > 0)])
    thin = thinned(mean, locked_decisions(instance, c))
    return state_relaxation(build_flow_model(instance, thin, Part.whole(thin), relaxed=True), goals)


def state_bounding(instance: Instance, goals: tuple[str, ...]) -> StatedArrays | None:
    """`state_arrays`, or where building is phased those of a single stage that bounds one goal; None for several."""
    if not instance.parameters.phased:
        return state_arrays(instance, goals)
    if len(goals) > 1:
        return None
    undated = without_dates(instance)
    whole = derive_coefficients(instance)
    bounding, c = view_for_bound(undated, whole, goals[0])
    mean = averaged(c, [np.flatnonzero(c.days > 0)])
    thin = thinned(mean, locked_decisions(undated, whole))
    return state_relaxation(build_flow_model(bounding, thin, Part.whole(thin), relaxed=True), goals)


def state_relaxation(model: FlowModel, goals: Sequence[str]) -> StatedArrays:
    """The arrays of an averaged model, with a bound on every column."""
    return StatedArrays(
        milp=_with_least_shortfalls(with_implied_bounds(model.milp), model),
        objectives={goal: Objective(goal, model.goal_cost[goal], goal not in MINIMISED) for goal in goals},
        priced=(),
        candidate=np.full(model.milp.num_columns, -1, dtype=np.int64),
        candidate_ids=(),
        candidate_kind="work",
        idle=np.zeros(0, dtype=np.int64),
        describe=_describe_nothing,
    )


def _with_least_shortfalls(milp: Milp, model: FlowModel) -> Milp:
    """Shortfalls of soft clauses no larger than the row's worst point: a plan pays for no more than it misses.

    The clause's row holds no other column without bounds.
    """
    upper = milp.upper.copy()
    matrix = sp.csr_array(milp.matrix[model.shortfall_row])
    for k, (row, column) in enumerate(zip(model.shortfall_row, model.shortfall, strict=True)):
        part = slice(matrix.indptr[k], matrix.indptr[k + 1])
        columns, values = matrix.indices[part], matrix.data[part]
        others = columns != column
        (own,) = np.abs(values[~others])
        ends = values[others, None] * np.stack([milp.lower, milp.upper], axis=1)[columns[others]]
        short = max(
            milp.row_lower[row] - ends.min(axis=1).sum(), ends.max(axis=1).sum() - milp.row_upper[row], 0.0
        )
        if np.isfinite(short):
            upper[column] = (short + _WIDER * np.abs(ends).sum()) / own
    return milp.with_bounds(milp.lower, upper)


def _describe_nothing(columns: IntArray) -> pd.DataFrame:
    return pd.DataFrame(index=range(len(columns)))

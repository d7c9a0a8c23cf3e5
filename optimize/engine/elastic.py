"""When rows cannot all hold: the smallest relaxations, in the rows' own units.

A generic solver's word "infeasible" is not enough (two of them have each called feasible
programmes infeasible), so the claim is made only when a programme in which the policy rows may
give way, at a price, has a best plan in which at least one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine.highs import MilpOutcome, solve_milp
from optimize.engine.milp import Milp
from optimize.engine.stopping import Watch
from optimize.result import Relaxation, RelaxedRow

FloatArray = NDArray[np.float64]

_TOLERANCE = 1e-6


@dataclass(frozen=True)
class ElasticRows:
    """Rows of one policy statement that may give way.

    Parameters
    ----------
    clause, where, unit : how the statement is named to a planner.
    rows : row ids in the programme; they share one amount of relaxation.
    per_unit : change of a row's side per reported unit (1 where the row is in that unit).
    required : the statement's own figure, in ``unit``.
    is_cap : a cap gives way upwards, a target downwards.
    """

    clause: str
    where: str
    unit: str
    rows: NDArray[np.int64]
    required: float
    per_unit: float = 1.0
    is_cap: bool = False


def smallest_relaxations(
    milp: Milp, elastic: Sequence[ElasticRows], watch: Watch, alternatives: int = 4
) -> tuple[Relaxation, ...] | None:
    """Ways out of an infeasible programme, the smallest relative change first.

    Returns None when the elastic programme needs no relaxation at all (so "infeasible" was wrong),
    an empty tuple when not even relaxing everything helps, or when time ran out before a way out
    was found.
    """
    groups = [group for group in elastic if len(group.rows)]
    if not groups:
        return ()
    scale = np.array([max(abs(group.required), 1.0) for group in groups])
    together = _relax(milp, groups, scale, watch, seconds=0.4 * watch.remaining())
    if together is None:
        return ()
    amounts = together
    if (amounts <= _TOLERANCE * scale).all():
        return None
    found = [_relaxation(groups, amounts, scale)]
    # One row alone: what the planner asks first.  The rows the joint solution moved come first.
    order = np.argsort(-amounts / scale, kind="stable")
    share = watch.remaining() / max(len(groups), 1)
    for index in order:
        if watch.must_stop or len(found) > alternatives:
            break
        alone = _relax(milp, [groups[index]], scale[[index]], watch, seconds=max(share, 2.0))
        if alone is not None:
            found.append(_relaxation([groups[index]], alone, scale[[index]]))
    unique = {tuple((r.clause, r.where) for r in way.rows): way for way in reversed(found)}
    return tuple(sorted(unique.values(), key=_size))


def _size(way: Relaxation) -> tuple[int, float]:
    return len(way.rows), sum(abs(row.change) / max(abs(row.required), 1.0) for row in way.rows)


def _relax(
    milp: Milp, groups: Sequence[ElasticRows], scale: FloatArray, watch: Watch, seconds: float
) -> FloatArray | None:
    """Smallest total relative relaxation when only ``groups`` give way: amounts, shape (g,)."""
    elastic = _with_slack(milp, groups, scale)
    part = watch.child(seconds=seconds, gap=1e-4, maximise=False)
    outcome: MilpOutcome = solve_milp(elastic, part)
    if outcome.x is None:
        return None
    return np.asarray(outcome.x[milp.num_columns :])


def _with_slack(milp: Milp, groups: Sequence[ElasticRows], scale: FloatArray) -> Milp:
    rows = np.concatenate([group.rows for group in groups])
    columns = np.repeat(np.arange(len(groups)), [len(group.rows) for group in groups])
    direction = np.repeat(
        [-group.per_unit if group.is_cap else group.per_unit for group in groups],
        [len(group.rows) for group in groups],
    )
    # Targets may stand as ">=" or, moved over, as "<=": slack must loosen the row either way.
    only_upper = ~np.isfinite(milp.row_lower[rows])
    only_lower = ~np.isfinite(milp.row_upper[rows])
    direction = np.where(only_upper, -np.abs(direction), direction)
    direction = np.where(only_lower, np.abs(direction), direction)
    slack = sp.csr_array(sp.coo_array((direction, (rows, columns)), shape=(milp.num_rows, len(groups))))
    n, g = milp.num_columns, len(groups)
    return replace(
        milp,
        cost=np.concatenate([np.zeros(n), 1.0 / scale]),
        matrix=cast(sp.csr_array, sp.hstack([milp.matrix, slack], format="csr")),
        lower=np.concatenate([milp.lower, np.zeros(g)]),
        upper=np.concatenate([milp.upper, np.full(g, np.inf)]),
        integral=np.concatenate([milp.integral, np.zeros(g, dtype=np.bool_)]),
        maximise=False,
        offset=0.0,
        column_names=None,
        row_names=None,
    )


def _relaxation(groups: Sequence[ElasticRows], amounts: FloatArray, scale: FloatArray) -> Relaxation:
    return Relaxation(
        tuple(
            RelaxedRow(
                clause=group.clause,
                where=group.where,
                required=group.required,
                reachable=group.required + (amount if group.is_cap else -amount),
                unit=group.unit,
            )
            for group, amount, size in zip(groups, amounts, scale, strict=True)
            if amount > _TOLERANCE * size
        )
    )

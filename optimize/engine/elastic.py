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

from optimize.engine.choice import solve_by_choice
from optimize.engine.core import solve_by_core
from optimize.engine.highs import MilpOutcome, solve_lp, solve_milp
from optimize.engine.stopping import Watch
from optimize.milp import ElasticRows, Milp
from optimize.result import Relaxation, RelaxedRow, StopReason

FloatArray = NDArray[np.float64]

_TOLERANCE = 1e-6
_CORE_FROM = 8_000


@dataclass(frozen=True)
class Relaxed:
    """Answer of the elastic programme.

    ``confirmed`` is False when it needs no relaxation at all (so "infeasible" was wrong) and None
    when time ran out before either was known.
    """

    confirmed: bool | None
    ways: tuple[Relaxation, ...] = ()


def smallest_relaxations(
    milp: Milp, elastic: Sequence[ElasticRows], watch: Watch, alternatives: int = 4
) -> Relaxed:
    """Ways out of an infeasible programme, those that move fewest rows least first.

    No ways although confirmed: not even relaxing all of ``elastic`` helps.
    """
    groups = [group for group in elastic if len(group.rows)]
    if not groups:
        return Relaxed(confirmed=True)
    scale = np.array([max(abs(group.required), 1.0) for group in groups])
    joint = _relax(milp, groups, scale, watch, seconds=0.4 * watch.remaining())
    if joint is None:
        return Relaxed(confirmed=None)
    if joint.amounts is None:
        return Relaxed(confirmed=True)
    if (joint.amounts <= _TOLERANCE * scale).all():
        return Relaxed(confirmed=False if joint.exact else None)
    found = [_relaxation(groups, joint, scale)]
    # One row alone: what the planner asks first.  The rows the joint solution moved come first.
    order = np.argsort(-joint.amounts / scale, kind="stable")
    for index in order:
        if watch.must_stop or len(found) > alternatives:
            break
        alone = _relax(milp, [groups[index]], scale[[index]], watch, seconds=0.3 * watch.remaining())
        if alone is not None and alone.amounts is not None:
            found.append(_relaxation([groups[index]], alone, scale[[index]]))
    unique = {tuple((r.clause, r.where) for r in way.rows): way for way in reversed(found)}
    return Relaxed(confirmed=True, ways=tuple(sorted(unique.values(), key=_size)))


def _size(way: Relaxation) -> tuple[int, float]:
    return len(way.rows), sum(abs(row.change) / max(abs(row.required), 1.0) for row in way.rows)


@dataclass(frozen=True)
class _Amounts:
    """Relaxation of each group, shape (g,); None: impossible.  Not exact: a proven least amount."""

    amounts: FloatArray | None
    exact: bool


def _relax(
    milp: Milp, groups: Sequence[ElasticRows], scale: FloatArray, watch: Watch, seconds: float
) -> _Amounts | None:
    """Smallest total relative relaxation when only ``groups`` give way; None: not known in time."""
    elastic = _with_slack(milp, groups, scale)
    large = int(elastic.integral.sum()) > _CORE_FROM
    # The gap is relative to the relaxation: where a target is far out of reach, little of it is much
    # of what can be reached.
    part = watch.child(seconds=seconds, gap=1e-4 if large else 1e-8, maximise=False)
    outcome: MilpOutcome | None = None
    if large:
        relaxed = solve_lp(elastic, part)
        if relaxed.stop is StopReason.INFEASIBLE:
            return _Amounts(None, exact=True)
        outcome = solve_by_choice(elastic, part) or solve_by_core(elastic, part)
        if outcome.x is None and relaxed.x is not None:
            return _Amounts(np.asarray(relaxed.x[milp.num_columns :]), exact=False)
    else:
        outcome = solve_milp(elastic, part)
    if outcome.x is not None:
        return _Amounts(np.asarray(outcome.x[milp.num_columns :]), exact=True)
    return _Amounts(None, exact=True) if outcome.stop is StopReason.INFEASIBLE else None


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
    most = _most_slack(milp, rows, columns, direction, g)
    return replace(
        milp,
        cost=np.concatenate([np.zeros(n), 1.0 / scale]),
        matrix=cast(sp.csr_array, sp.hstack([milp.matrix, slack], format="csr")),
        lower=np.concatenate([milp.lower, np.zeros(g)]),
        upper=np.concatenate([milp.upper, most]),
        integral=np.concatenate([milp.integral, np.zeros(g, dtype=np.bool_)]),
        maximise=False,
        offset=0.0,
        column_names=None,
        row_names=None,
    )


def _most_slack(
    milp: Milp, rows: NDArray[np.int64], groups: NDArray[np.int64], direction: FloatArray, num_groups: int
) -> FloatArray:
    """No row needs to give way further than its worst point in the box of the columns."""
    weights = milp.matrix[rows]
    up, down = weights.maximum(0), weights.minimum(0)
    lower, upper = _finite(milp.lower), _finite(milp.upper)
    least, largest = up @ lower + down @ upper, up @ upper + down @ lower
    low, high = milp.row_lower[rows], milp.row_upper[rows]
    reach = np.maximum(
        np.where(np.isfinite(low), low - least, 0.0), np.where(np.isfinite(high), largest - high, 0.0)
    )
    most = np.zeros(num_groups)
    np.maximum.at(most, groups, np.maximum(reach, 0.0) / np.abs(direction))
    return most


def _finite(bounds: FloatArray) -> FloatArray:
    return np.asarray(np.clip(bounds, -1e12, 1e12))


def _relaxation(groups: Sequence[ElasticRows], relaxed: _Amounts, scale: FloatArray) -> Relaxation:
    assert relaxed.amounts is not None
    return Relaxation(
        exact=relaxed.exact,
        rows=tuple(
            RelaxedRow(
                clause=group.clause,
                where=group.where,
                required=group.required,
                reachable=group.required + (amount if group.is_cap else -amount),
                unit=group.unit,
            )
            for group, amount, size in zip(groups, relaxed.amounts, scale, strict=True)
            if amount > _TOLERANCE * size
        ),
    )

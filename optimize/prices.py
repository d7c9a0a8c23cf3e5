"""Shadow prices: what multipliers say about budgets, targets and candidates.

With multipliers y of the rows, an option j is worth its reduced value r_j = c_j - (A'y)_j: what it
adds to the goal less what the budgets and targets it uses are worth elsewhere.  Moving a side by one
unit moves the bound by its multiplier.  Both hold for small moves and up to the gap of the bound.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from optimize.milp import FloatArray, IntArray
from optimize.programme import StatedArrays
from optimize.result import Certificate, Prices


def derive_prices(stated: StatedArrays, certificate: Certificate, goals: Sequence[str]) -> Prices:
    """Prices of the priced rows and of every candidate with an option."""
    sign = 1.0 if stated.objectives[goals[-1]].maximise else -1.0
    return Prices(
        rows=_row_prices(stated, sign * certificate.multipliers),
        candidates=_candidate_values(stated, sign * _reduced_costs(stated, certificate, goals)),
    )


def _row_prices(stated: StatedArrays, multipliers: FloatArray) -> pd.DataFrame:
    rows = [
        (
            priced.clause,
            priced.where,
            "<=" if priced.is_cap else ">=",
            priced.unit,
            priced.required,
            # more of a cap is more room; of a target, less is
            (1.0 if priced.is_cap else -1.0) * float(multipliers[priced.rows] @ priced.per_unit) + 0.0,
        )
        for priced in stated.priced
    ]
    names = ["clause", "where", "sense", "unit", "required", "approx_gain_per_unit"]
    return pd.DataFrame(rows, columns=names)


def _reduced_costs(stated: StatedArrays, certificate: Certificate, goals: Sequence[str]) -> FloatArray:
    num_rows = stated.milp.num_rows
    multipliers = certificate.multipliers
    reduced = stated.objectives[goals[-1]].cost - stated.milp.matrix.T @ multipliers[:num_rows]
    for goal, price in zip(certificate.kept, multipliers[num_rows:], strict=True):
        reduced = reduced - price * stated.objectives[goal.goal].cost
    return np.asarray(reduced)


def _candidate_values(stated: StatedArrays, worth: FloatArray) -> pd.DataFrame:
    """Best open option of each candidate, and its worth against doing nothing."""
    columns = np.flatnonzero((stated.candidate >= 0) & (stated.milp.upper > 0))
    best = _best_of_each(stated.candidate[columns], worth[columns], len(stated.candidate_ids))
    some = np.flatnonzero(best >= 0)
    option = columns[best[some]]
    idle = np.where(stated.idle[some] >= 0, worth[stated.idle[some]], 0.0)
    ids = pd.Series(stated.candidate_ids, dtype=object).to_numpy()[some]
    described = stated.describe(option)
    described.insert(0, stated.candidate_kind, ids)
    described["approx_value"] = worth[option] - idle
    return described


def _best_of_each(group: IntArray, worth: FloatArray, num_groups: int) -> IntArray:
    """Position of the largest worth of each group, the first where several are; -1: empty group."""
    largest = np.full(num_groups, -np.inf)
    np.maximum.at(largest, group, worth)
    at_best = np.flatnonzero(worth == largest[group])[::-1]
    best = np.full(num_groups, -1, dtype=np.int64)
    best[group[at_best]] = at_best  # in reverse, so that the first stays
    return best

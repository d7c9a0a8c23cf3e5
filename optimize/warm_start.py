"""What a solved case gives the next one: its projects and the multipliers of its rows, by name.

Both are what a run's folder holds (``projects.csv``, ``multipliers.csv``), so a case can be started
from a stored run as well.  They may make a solve faster; its bound and its check do not rest on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.milp import BlockNames, FloatArray, IntArray, Milp

AnyIntArray = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class WarmStart:
    """A plan and multipliers to begin from.

    Attributes
    ----------
    projects : the plan's table of projects.
    multipliers : columns ``row``, ``multiplier`` of the last goal's rows; rows not named have none.
    """

    projects: pd.DataFrame
    multipliers: pd.DataFrame

    def row_multipliers(self, names: Sequence[str] | None) -> FloatArray | None:
        """Multipliers of the rows called ``names``, shape (m,); None where no row has one."""
        if not isinstance(names, BlockNames) or not len(self.multipliers):
            return None
        rows = names.find([str(name) for name in self.multipliers["row"]])
        values = self.multipliers["multiplier"].to_numpy(np.float64)
        known = rows >= 0
        if not known.any():
            return None
        found = np.zeros(len(names))
        found[rows[known]] = values[known]
        return found


def positions_of(names: Sequence[object], wanted: Sequence[object]) -> IntArray:
    """Position in ``names`` of each of ``wanted``; -1 for "" and for what is not there."""
    place = {name: position for position, name in enumerate(names) if name != ""}
    return np.array([place.get(name, -1) for name in wanted], dtype=np.int64)


def match_rows(table: Sequence[AnyIntArray], wanted: Sequence[IntArray]) -> IntArray:
    """The row of ``table`` that equals each row of ``wanted``, -1 where none does.

    Parameters
    ----------
    table, wanted : columns of whole numbers, in the same order; rows of ``table`` are distinct.
    """
    key, sought = _mixed(table), _mixed(wanted)
    order = np.argsort(key, kind="stable")
    place = np.minimum(np.searchsorted(key[order], sought), max(len(order) - 1, 0))
    if not len(order):
        return np.full(len(sought), -1, dtype=np.int64)
    found = order[place]
    # two different rows may mix to one key: a row is found only if it is the same in every column
    same = np.ones(len(sought), dtype=np.bool_)
    for column, value in zip(table, wanted, strict=True):
        same &= column[found] == value
    return np.where(same, found, -1).astype(np.int64)


def _mixed(columns: Sequence[AnyIntArray]) -> IntArray:
    key = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        key = key * np.int64(1_000_003) + column.astype(np.int64)
    return key


def with_amounts(
    milp: Milp, x: FloatArray, shortfalls: Sequence[tuple[int, int]], carried: Sequence[tuple[int, int]]
) -> FloatArray:
    """A plan's projects with what soft clauses then lack and purses then keep, shape (n,).

    Parameters
    ----------
    x : shape (n,), the chosen columns are 1.
    shortfalls, carried : column and row that bounds it, one each; money in the order of years.
    """
    x = x.copy()
    for column, row in (*shortfalls, *carried):
        entries = slice(milp.matrix.indptr[row], milp.matrix.indptr[row + 1])
        columns, amounts = milp.matrix.indices[entries], milp.matrix.data[entries]
        own = columns == column
        taken, per_unit = float(amounts[~own] @ x[columns[~own]]), float(amounts[own].sum())
        # money is kept as far as its row lets it, a clause lacks what its row asks for
        is_cap = np.isfinite(milp.row_upper[row])
        side = milp.row_upper[row] if is_cap else milp.row_lower[row]
        x[column] = np.clip((side - taken) / per_unit, milp.lower[column], milp.upper[column])
    return x

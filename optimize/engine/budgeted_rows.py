"""Rows that must hold although entries may rise: budgeted uncertainty (Bertsimas and Sim 2004).

Every column belongs to a candidate, of which one column at most is chosen.  A candidate at its worst
takes ``deviation`` more of each row; at most ``most`` candidates are at their worst at once.  A plan x
keeps row r, ``a'x <= b``, if

    a'x + max { sum of d'x over the candidates in S : |S| <= most } <= b
        = min over z >= 0 of   a'x + most z + sum over candidates i of max(d_i'x - z, 0)

* With thresholds z held, the row is an ordinary one, ``sum (a_j + max(d_j - z, 0)) x_j <= b - most z``,
  because one column of a candidate is chosen: its plans keep the row whatever z is.  The best z of a plan
  is its deviation that comes next after the ``most`` largest.
* With any weights w in [0, 1] on the candidates that sum to no more than ``most``,
  ``sum (a_j + w_i d_j) x_j <= b`` is a mean of the rows asked for: what it allows is a relaxation, so that
  a bound of this ordinary programme is one of the robust programme.  The multipliers of the linearised
  programme say which weights are best.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from optimize.milp import FloatArray, IntArray, Milp

# A row holds up to this share of its side.
_WITHIN = 1e-6


@dataclass(frozen=True)
class BudgetedRows:
    """Which rows, by how much, how many at once.

    Attributes
    ----------
    rows : shape (r,), rows of the programme with an upper side only.
    deviation : CSR, shape (r, n), what each column takes more at its worst, >= 0.
    group : shape (n,), candidate of each column, -1: none (its deviation is 0).
    most : candidates at their worst at once; a whole number, or infinite.
    """

    rows: IntArray
    deviation: sp.csr_array
    group: IntArray
    most: float

    @cached_property
    def _entry_row(self) -> IntArray:
        return np.repeat(np.arange(len(self.rows)), np.diff(self.deviation.indptr))

    @cached_property
    def _pairs(self) -> tuple[IntArray, IntArray, IntArray]:
        """Row and candidate of every pair that meets, and the pair of each entry."""
        size = np.int64(self.group.max(initial=0) + 2)
        key = self._entry_row * size + self.group[self.deviation.indices]
        distinct, of_entry = np.unique(key, return_inverse=True)
        return distinct // size, distinct % size, of_entry

    @property
    def num_pairs(self) -> int:
        return len(self._pairs[0])

    @property
    def is_all(self) -> bool:
        """Whether all candidates of any row may be at their worst at once."""
        row, _, _ = self._pairs
        return bool(self.most >= np.bincount(row, minlength=1).max())

    def taken(self, x: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Row, candidate and deviation of the plan's candidates, the largest of each row first."""
        row, group, of_entry = self._pairs
        entries = self.deviation
        amount = np.bincount(of_entry, entries.data * x[entries.indices], minlength=len(row))
        some = np.flatnonzero(amount > 0)
        order = some[np.lexsort((-amount[some], row[some]))]
        return row[order], group[order], np.asarray(amount[order], dtype=np.float64)

    def worst(self, x: FloatArray) -> FloatArray:
        """What the plan may take more of each row, shape (r,)."""
        row, _, amount = self.taken(x)
        hit = _rank(row) < self.most
        return np.bincount(row[hit], amount[hit], minlength=len(self.rows)).astype(np.float64)

    def thresholds(self, x: FloatArray) -> FloatArray:
        """The best z of the plan, shape (r,): the largest deviation that is not among the worst."""
        row, _, amount = self.taken(x)
        z = np.zeros(len(self.rows))
        after = np.flatnonzero(_rank(row) == self.most)
        z[row[after]] = amount[after]
        return z

    def holds(self, milp: Milp, x: FloatArray) -> bool:
        """Whether the plan keeps every row at its worst; its other rows are not looked at."""
        side = milp.row_upper[self.rows]
        used = milp.matrix[self.rows] @ x + self.worst(x)
        return bool((used <= side + _WITHIN * np.maximum(1.0, np.abs(side))).all())

    def at_thresholds(self, milp: Milp, z: FloatArray) -> Milp:
        """The ordinary programme for thresholds z, shape (r,): its plans keep the rows at their worst."""
        more = np.maximum(self.deviation.data - z[self._entry_row], 0.0)
        upper = milp.row_upper.copy()
        if np.isfinite(self.most):
            upper[self.rows] -= self.most * z
        return replace(self._with_more(milp, more), row_upper=upper)

    def against(self, milp: Milp, weights: FloatArray) -> Milp:
        """The relaxation in which every candidate deviates by a fixed share, shape (pairs,)."""
        return self._with_more(milp, self.deviation.data * weights[self._pairs[2]])

    def _with_more(self, milp: Milp, data: FloatArray) -> Milp:
        """``milp`` with ``data`` added to the entries that may rise."""
        rise = self.deviation
        some = data > 0
        place = (self.rows[self._entry_row[some]], rise.indices[some])
        more = sp.csr_array((data[some], place), shape=milp.matrix.shape)
        matrix = sp.csr_array(milp.matrix + more)
        matrix.sort_indices()
        return replace(milp, matrix=matrix)

    def linearised(self, milp: Milp, columns: IntArray) -> tuple[Milp, IntArray]:
        """The robust programme itself on some columns, the others at 0, and the pairs it has.

        After the columns come z (one a row) and the excess of each pair over it; after the rows of
        ``milp`` one for each pair, ``d'x - z - excess <= 0``.
        """
        row, _, _ = self._pairs
        place = np.full(milp.num_columns, -1, dtype=np.int64)
        place[columns] = np.arange(len(columns))
        entries = self.deviation
        here = np.flatnonzero(place[entries.indices] >= 0)
        pairs, of_entry = np.unique(self._pairs[2][here], return_inverse=True)
        num_rows, num_pairs, num = len(self.rows), len(pairs), len(columns)
        protected = sp.csr_array(
            (np.full(num_rows, self.most), (self.rows, np.arange(num_rows))), shape=(milp.num_rows, num_rows)
        )
        excess = sp.csr_array(
            (np.ones(num_pairs), (self.rows[row[pairs]], np.arange(num_pairs))),
            shape=(milp.num_rows, num_pairs),
        )
        taken = sp.csr_array(
            (entries.data[here], (of_entry, place[entries.indices[here]])), shape=(num_pairs, num)
        )
        minus_z = sp.csr_array(
            (-np.ones(num_pairs), (np.arange(num_pairs), row[pairs])), shape=(num_pairs, num_rows)
        )
        top = sp.hstack([milp.matrix[:, columns], protected, excess])
        bottom = sp.hstack([taken, minus_z, -sp.eye_array(num_pairs)])
        most_of_row = np.zeros(num_rows)
        np.maximum.at(most_of_row, self._entry_row, entries.data)
        most_of_pair = np.zeros(num_pairs)
        np.maximum.at(most_of_pair, of_entry, entries.data[here])
        added = np.zeros(num_rows + num_pairs)
        programme = Milp(
            cost=np.concatenate([milp.cost[columns], added]),
            matrix=sp.csr_array(sp.vstack([top, bottom], format="csr")),
            row_lower=np.concatenate([milp.row_lower, np.full(num_pairs, -np.inf)]),
            row_upper=np.concatenate([milp.row_upper, np.zeros(num_pairs)]),
            lower=np.concatenate([milp.lower[columns], added]),
            upper=np.concatenate([milp.upper[columns], most_of_row, most_of_pair]),
            integral=np.concatenate([milp.integral[columns], np.zeros(len(added), np.bool_)]),
            maximise=milp.maximise,
            offset=milp.offset,
        )
        return programme, pairs

    def extended(self, x: FloatArray, columns: IntArray, pairs: IntArray) -> FloatArray:
        """The plan as a point of the linearised programme."""
        row, _, of_entry = self._pairs
        entries = self.deviation
        amount = np.bincount(of_entry, entries.data * x[entries.indices], minlength=len(row))
        z = self.thresholds(x)
        return np.concatenate([x[columns], z, np.maximum(amount[pairs] - z[row[pairs]], 0.0)])

    def weights(self, row_multipliers: FloatArray, pairs: IntArray) -> FloatArray:
        """Shares by which candidates deviate, shape (pairs,), from multipliers of the linearised programme.

        Made to sum to no more than ``most`` in each row whatever the multipliers are.
        """
        row = self._pairs[0]
        first = len(row_multipliers) - len(pairs)
        price = np.abs(row_multipliers[self.rows])[row[pairs]]
        share = np.zeros(self.num_pairs)
        priced = price > 1e-12 * max(1.0, float(price.max(initial=0.0)))
        own = np.abs(row_multipliers[first:])
        share[pairs[priced]] = np.clip(own[priced] / price[priced], 0.0, 1.0)
        total = np.bincount(row, share, minlength=len(self.rows))
        return share * np.minimum(1.0, self.most / np.maximum(total, 1e-12))[row]


def _rank(row: IntArray) -> IntArray:
    """Position of each entry within its row; rows stand together."""
    starts = np.flatnonzero(np.r_[True, row[1:] != row[:-1]]) if len(row) else np.zeros(0, np.int64)
    return np.arange(len(row)) - np.repeat(starts, np.diff(np.r_[starts, len(row)]))

"""Cuts by mixed-integer rounding that hold for every column of a programme, also for those not generated.

A weighted sum of rows, ``a'x <= b`` with whole x >= 0, implies (Nemhauser and Wolsey 1990)

    sum_j F(a_j) x_j  <=  floor(b),     F(a) = floor(a) + max(0, frac(a) - f) / (1 - f),  f = frac(b)

and a continuous column or a row's slack enters with min(0, a) / (1 - f).  F needs only the weighted sum
of a column's own entries, so a cut found on the few columns of a restricted relaxation is known at once
for all others, and generating columns goes on as before.

Weights come from rows of the simplex tableau (Gomory's cuts and their multiples) and from single rows
that bind, divided by amounts that occur in them; there the option a candidate mostly takes is
substituted by one minus its others (Marchand and Wolsey 2001).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine.candidates import best_of_group, own_rows
from optimize.engine.column_lp import ColumnLp, ColumnPoint
from optimize.engine.rounding_kernels import ROUNDING, rounded, violations
from optimize.engine.stopping import Watch
from optimize.milp import Milp

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_MOST_ROUNDS = 40
_CUTS_PER_ROUND = 150
# Columns times cuts held, of 8 bytes each.
_MOST_ENTRIES = 25_000_000
# Rounds that lower the bound by less than this share of it, so many in a row, end the cutting.
_LEAST_PROGRESS = 3e-5
_SLOW_ROUNDS = 3
_ADDED_PER_GROUP = 3
_CLOSE = 1e-6
# Multiples of a tableau row, and how many amounts of a row are tried as divisors.
_MULTIPLES = (1.0, 2.0, 3.0, 5.0)
_MOST_DIVISORS = 10
_PARTS_OF_SIDE = (1.0, 2.0, 3.0, 4.0)
_FRACTIONS_OF_PART = (0.2, 0.5, 0.8)
_FRACTIONAL = 0.01
_LEAST_VIOLATION = 1e-3
_MOST_PARALLEL = 0.9
# Of the most violated candidates so many times the wanted number are compared.
_LOOKED_AT = 4
# Sums of terms larger than this are not exact enough.
_LARGEST_SUM = 1e5
_SLACK_TO_DROP = 1e-3
_IDLE_TO_DROP = 40


@dataclass(frozen=True)
class Tightened:
    """Relaxation with cuts; arrays over the columns of the programme, shape (n,).

    Attributes
    ----------
    bound : proven, at the multipliers of the last round.
    reduced : d objective / d column at these multipliers, cuts included.
    cuts, sides : shape (k, n) and (k,): ``cuts @ x <= sides`` at every point of the programme; those held
        at the end.
    row_duals : shape (m,), of the programme's own rows, d objective / d side.
    """

    x: FloatArray
    bound: float
    reduced: FloatArray
    cuts: FloatArray
    sides: FloatArray
    row_duals: FloatArray


def tighten_by_rounding(milp: Milp, group: IntArray, inside: BoolArray, watch: Watch) -> Tightened | None:
    """Rounds of relaxation, pricing and cuts; the bounds are offered to ``watch``.

    None: not one relaxation was solved in time, or a column may be negative.

    Parameters
    ----------
    group : shape (n,), candidate of each column (-1: of none).
    inside : shape (n,), columns to begin with, a restriction that has a point.
    """
    if (milp.lower < 0).any() or not np.isfinite(milp.upper).all():
        return None
    return _Cutting(milp, group, inside, watch).run()


class _Cutting:
    """The programme as a maximisation with rows of a size near one, its relaxation, and its cuts."""

    def __init__(self, milp: Milp, group: IntArray, inside: BoolArray, watch: Watch) -> None:
        self._original, self._group, self._watch = milp, group, watch
        self._sign = 1.0 if milp.maximise else -1.0
        self._scale = _row_scale(milp)
        largest = float(np.abs(milp.cost).max(initial=0.0)) or 1.0
        self._unit = float(np.exp2(np.round(np.log2(largest))))
        matrix = sp.csr_array(sp.diags_array(self._scale) @ milp.matrix)
        self._milp = replace(
            milp,
            cost=self._sign * milp.cost / self._unit,
            matrix=matrix,
            row_lower=milp.row_lower * self._scale,
            row_upper=milp.row_upper * self._scale,
            maximise=True,
            offset=0.0,
            column_names=None,
            row_names=None,
        )
        self._transposed = sp.csr_array(matrix.T)
        self._movable = milp.upper > milp.lower
        self._own_rows = _row_of_candidate(self._milp, group)
        self._lp = ColumnLp(self._milp, np.flatnonzero(inside), watch.options.seed)
        # Room for as many cuts as may be held: memory that is not written to is not taken.
        self._store = np.empty((max(_MOST_ENTRIES // max(milp.num_columns, 1), 1), milp.num_columns))
        self._sides = np.zeros(0)

    @property
    def _cuts(self) -> FloatArray:
        """Coefficients of the cuts held, shape (cuts, n)."""
        return self._store[: len(self._sides)]

    def run(self) -> Tightened | None:
        best: Tightened | None = None
        slow = 0
        for _ in range(_MOST_ROUNDS):
            found = self._relaxed()
            if found is None:
                break
            point, tightened = found
            self._watch.offer_bound(tightened.bound)
            if best is not None:
                gain = abs(best.bound - tightened.bound)
                slow = slow + 1 if gain < _LEAST_PROGRESS * abs(best.bound) else 0
            if best is None or self._sign * tightened.bound < self._sign * best.bound:
                best = tightened
            if slow >= _SLOW_ROUNDS or self._watch.must_stop or self._watch.gap_reached:
                break
            if not self._add_cuts(point, min(_CUTS_PER_ROUND, len(self._store) - len(self._sides))):
                break
        return None if best is None else replace(best, cuts=self._cuts, sides=self._sides)

    def _relaxed(self) -> tuple[ColumnPoint, Tightened] | None:
        """The relaxation with the present cuts, columns generated until none improves it."""
        milp, lp = self._milp, self._lp
        while True:
            point = lp.solve(self._watch.remaining())
            if point is None:
                return None
            duals, cut_duals = point.row_duals[: milp.num_rows], point.row_duals[milp.num_rows :]
            duals = np.where((duals > 0) & ~np.isfinite(milp.row_upper), 0.0, duals)
            duals = np.where((duals < 0) & ~np.isfinite(milp.row_lower), 0.0, duals)
            cut_duals = np.maximum(cut_duals, 0.0)
            reduced = milp.cost - self._transposed @ duals - cut_duals @ self._cuts
            side = np.where(duals > 0, milp.row_upper, milp.row_lower)
            used = duals != 0
            bound = float(duals[used] @ side[used] + cut_duals @ self._sides)
            bound += float(np.where(reduced > 0, milp.upper, milp.lower) @ reduced)
            inside = np.zeros(milp.num_columns, dtype=np.bool_)
            inside[lp.columns] = True
            usable = self._movable & ~inside & (reduced > _CLOSE)
            fresh = best_of_group(reduced, self._group, usable, _ADDED_PER_GROUP)
            if bound - point.value <= _CLOSE * abs(bound) or not len(fresh) or self._watch.must_stop:
                break
            lp.add_columns(fresh, self._cuts[:, fresh].T)
        x = milp.lower.copy()
        x[lp.columns] = point.x
        factor = self._sign * self._unit
        tightened = Tightened(
            x=x,
            bound=factor * bound + self._original.offset,
            reduced=factor * reduced,
            cuts=self._cuts,
            sides=self._sides,
            row_duals=factor * duals * self._scale,
        )
        return point, tightened

    def _drop_idle(self, point: ColumnPoint) -> None:
        slack = self._sides - self._cuts[:, self._lp.columns] @ point.x
        idle = slack > _SLACK_TO_DROP
        if int(idle.sum()) > _IDLE_TO_DROP:
            self._lp.drop_rows(self._milp.num_rows + np.flatnonzero(idle))
            kept = self._cuts[~idle]
            self._store[: len(kept)] = kept
            self._sides = self._sides[~idle]

    def _add_cuts(self, point: ColumnPoint, most: int) -> bool:
        if most <= 0:
            return False
        chosen = self._separated(point, most)
        if chosen is None:
            return False
        cuts, sides = self._for_all_columns(chosen)
        self._drop_idle(point)
        self._lp.add_rows(cuts[:, self._lp.columns], sides)
        held = len(self._sides)
        self._store[held : held + len(sides)] = cuts
        self._sides = np.concatenate([self._sides, sides])
        return True

    def _separated(self, point: ColumnPoint, most: int) -> _Sums | None:
        """The most violated cuts that point in different directions; None: there is none."""
        columns = self._lp.columns
        milp, m = self._milp, self._milp.num_rows
        x = np.clip(point.x, milp.lower[columns], milp.upper[columns])
        matrix = self._transposed[columns]
        cuts = self._cuts[:, columns]
        activity = np.concatenate([matrix.T @ x, cuts @ x])
        integral = milp.integral[columns]
        tableau, rows = self._tableau_weights(x, integral), self._row_weights(x, matrix, activity)
        sums = _Sums.of(np.vstack([tableau, rows]), self._lower(), self._upper())
        amounts = np.ascontiguousarray((matrix @ sums.weights[:, :m].T).T) + sums.weights[:, m:] @ cuts
        fractional = integral & (np.abs(x - np.round(x)) > _CLOSE)
        factors = [np.array(_MULTIPLES)] * len(tableau) + [
            1.0 / _divisors(np.abs(amounts[k, fractional]), sums.total[k])
            for k in range(len(tableau), len(sums.total))
        ]
        number = np.repeat(np.arange(len(factors)), [len(some) for some in factors])
        factor = np.concatenate([*factors, np.zeros(0)])
        usable = factor * sums.largest[number] <= _LARGEST_SUM
        number, factor = number[usable], factor[usable]
        has_slack = sums.slack != 0
        loss = (np.abs(sums.slack) * np.abs(activity - np.where(has_slack, sums.side, activity))).sum(axis=1)
        score = violations(amounts, number, factor, sums.total, x, integral, loss, has_slack.any(axis=1))
        order = np.argsort(-score, kind="stable")
        order = order[score[order] > _LEAST_VIOLATION][: _LOOKED_AT * most]
        kept: list[int] = []
        directions = np.empty((most, len(columns)))
        for k in order.tolist():
            total = factor[k] * sums.total[number[k]]
            direction = rounded(factor[k] * amounts[number[k]][None, :], np.array([total]), integral)[0]
            direction /= np.linalg.norm(direction)
            if kept and (directions[: len(kept)] @ direction).max() > _MOST_PARALLEL:
                continue
            directions[len(kept)] = direction
            kept.append(k)
            if len(kept) == most:
                break
        return sums.scaled(number[kept], factor[kept]) if kept else None

    def _for_all_columns(self, sums: _Sums) -> tuple[FloatArray, FloatArray]:
        """Cuts of the programme, shape (cuts, n), of a largest coefficient of one, and their sides."""
        total = sums.total + ROUNDING
        fraction = total - np.floor(total)
        cuts = rounded(self._weighted(sums.weights), sums.total, self._milp.integral)
        sides = np.floor(total)
        # A slack that enters is the row's distance from its side: written in the row's own columns.
        some = np.flatnonzero((sums.slack != 0).any(axis=1))
        if len(some):
            back = sums.slack[some] / (1.0 - fraction[some, None])
            cuts[some] += self._weighted(back)
            sides[some] += (back * np.where(back != 0, sums.side[some], 0.0)).sum(axis=1)
        size = 1.0 / np.maximum(np.maximum(cuts.max(axis=1), -cuts.min(axis=1)), _CLOSE)
        cuts *= size[:, None]
        return cuts, sides * size

    def _weighted(self, weights: FloatArray) -> FloatArray:
        """Weighted sums of the rows, shape (sums, n)."""
        m = self._milp.num_rows
        amounts = np.ascontiguousarray((self._transposed @ weights[:, :m].T).T)
        held = np.flatnonzero((weights[:, m:] != 0).any(axis=0))
        if len(held):
            amounts += weights[:, m + held] @ self._cuts[held]
        return amounts

    def _lower(self) -> FloatArray:
        return np.concatenate([self._milp.row_lower, np.full(len(self._sides), -np.inf)])

    def _upper(self) -> FloatArray:
        return np.concatenate([self._milp.row_upper, self._sides])

    def _tableau_weights(self, x: FloatArray, integral: BoolArray) -> FloatArray:
        fractional = integral & (np.abs(x - np.round(x)) > _FRACTIONAL)
        rows = self._lp.rows_of_basis_inverse(fractional)
        rows[np.abs(rows) < 1e-10] = 0.0
        return np.vstack([rows, -rows])

    def _row_weights(self, x: FloatArray, matrix: sp.csr_array, activity: FloatArray) -> FloatArray:
        """Weights of the rows that bind, alone and with the options mostly taken substituted."""
        milp = self._milp
        columns = self._lp.columns
        owner = self._group[columns]
        order = np.argsort(x, kind="stable")
        order = order[owner[order] >= 0]
        mostly = np.full(len(self._own_rows), -1, dtype=np.int64)
        mostly[owner[order]] = order
        known = np.flatnonzero((mostly >= 0) & (self._own_rows >= 0))
        is_own = np.zeros(milp.num_rows, dtype=np.bool_)
        is_own[self._own_rows[known]] = True
        by_row = sp.csr_array(matrix.T)
        binding = np.flatnonzero(self._binding(activity) & ~is_own & (np.diff(by_row.indptr) > 0))
        weights = np.zeros((2 * len(binding), len(activity)))
        for number, row in enumerate(binding.tolist()):
            start, end = by_row.indptr[row], by_row.indptr[row + 1]
            sign = 1.0 if np.isfinite(milp.row_upper[row]) else -1.0
            amount = np.zeros(len(columns))
            amount[by_row.indices[start:end]] = sign * by_row.data[start:end]
            weights[2 * number : 2 * number + 2, row] = sign
            weights[2 * number + 1, self._own_rows[known]] = -amount[mostly[known]]
        return weights

    def _binding(self, activity: FloatArray) -> BoolArray:
        """Rows of the programme that hold with equality on one side, shape (m,)."""
        milp = self._milp
        side = np.where(np.isfinite(milp.row_upper), milp.row_upper, milp.row_lower)
        return np.abs(activity[: milp.num_rows] - side) <= _CLOSE * np.maximum(1.0, np.abs(side))


@dataclass(frozen=True)
class _Sums:
    """Weighted sums of rows, ``weights @ rows - slack terms <= total``; q sums of r rows.

    Attributes
    ----------
    weights : shape (q, r).
    side : shape (q, r), the side of each row a sum uses; 0 where its weight is 0.
    slack : shape (q, r): a row used against its only side leaves a slack, the row's activity less its
        side times this weight, that is never positive.
    total, largest : shape (q,), right side, and sum of the sizes of its terms.
    """

    weights: FloatArray
    side: FloatArray
    slack: FloatArray
    total: FloatArray
    largest: FloatArray

    @classmethod
    def of(cls, weights: FloatArray, lower: FloatArray, upper: FloatArray) -> _Sums:
        use_upper = np.where(weights > 0, np.isfinite(upper), ~np.isfinite(lower))
        side = np.where(weights != 0, np.where(use_upper, upper, lower), 0.0)
        # With weight > 0 on "activity >= side" the slack s = activity - side >= 0 enters with -weight.
        against = (weights != 0) & (np.where(weights > 0, ~use_upper, use_upper)) & (lower != upper)
        slack = np.where(against, -weights, 0.0)
        terms = weights * side
        return cls(weights, side, slack, terms.sum(axis=1), np.abs(terms).sum(axis=1))

    def scaled(self, which: IntArray, factor: FloatArray) -> _Sums:
        """The sums ``which``, each times its factor (> 0)."""
        wide = factor[:, None]
        return _Sums(
            wide * self.weights[which],
            self.side[which],
            wide * self.slack[which],
            factor * self.total[which],
            factor * self.largest[which],
        )


def _divisors(amounts: FloatArray, side: float) -> FloatArray:
    """Amounts by which a row is divided before rounding: some that occur, and parts of its side."""
    values = np.unique(np.round(amounts[amounts > _CLOSE], 9))
    if len(values) > _MOST_DIVISORS:
        values = values[np.linspace(0, len(values) - 1, _MOST_DIVISORS).astype(np.int64)]
    if side <= _CLOSE:
        return values
    # Just above a part: what is larger fits less often.
    parts = [side / part * (1.0 + _CLOSE) for part in _PARTS_OF_SIDE]
    between = [side / (part + share) for part in _PARTS_OF_SIDE for share in _FRACTIONS_OF_PART]
    return np.concatenate([values, parts, between])


def _row_scale(milp: Milp) -> FloatArray:
    """Powers of two that bring the largest coefficient of each row near one, shape (m,)."""
    largest = np.zeros(milp.num_rows)
    rows = np.repeat(np.arange(milp.num_rows), np.diff(milp.matrix.indptr))
    np.maximum.at(largest, rows, np.abs(milp.matrix.data))
    return np.asarray(np.exp2(-np.round(np.log2(np.where(largest > 0, largest, 1.0)))))


def _row_of_candidate(milp: Milp, group: IntArray) -> IntArray:
    """The row by which one column at most of each candidate is chosen, -1: none; shape (candidates,)."""
    rows = own_rows(milp)
    own = np.full(int(group.max(initial=-1)) + 1, -1, dtype=np.int64)
    owner = group[milp.matrix.indices[milp.matrix.indptr[rows]]]
    own[owner[owner >= 0]] = rows[owner >= 0]
    return own

"""The linear relaxation of a programme, tightened by rows that are looked for where its optimum breaks them.

Callbacks of the solver are not to be had, so rows come in rounds before it starts: those that bind in the
end go into the programme that is branched on.  The bound is the value of the multipliers, computed anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine.certificate import dual_bound
from optimize.engine.highs import GrowingLp
from optimize.engine.stopping import Watch
from optimize.milp import Milp

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# A row this far from its side, as a share of it, does not bind; after so many rounds it is dropped.
_SLACK = 1e-2
_IDLE_ROUNDS = 5
# Rounds in a row in which the bound must rise by at least this share of itself.
_SLOW_ROUNDS = 8
_LEAST_PROGRESS = 2e-4
_LARGEST_COST = 1024.0


@dataclass(frozen=True)
class Rows:
    """``matrix @ x >= lower``; sides are positive, about 1."""

    matrix: sp.csr_array
    lower: FloatArray

    @staticmethod
    def none(num_columns: int) -> Rows:
        return Rows(sp.csr_array((0, num_columns)), np.zeros(0))


Separate = Callable[[FloatArray, bool], Rows]
"""Rows that a point breaks; True: look harder."""


@dataclass(frozen=True)
class Tightened:
    """A programme with the rows that bind, its relaxed optimum, bound, and reduced costs."""

    milp: Milp
    x: FloatArray
    bound: float
    reduced_costs: FloatArray
    supported: BoolArray
    """Columns that some relaxed optimum of the last rounds used."""

    def narrowed(self, cost: float) -> Milp:
        """The programme with bounds that every plan cheaper than ``cost`` keeps.

        A column whose reduced cost is r can move from its bound by the room between ``cost`` and the bound
        over r at most.
        """
        milp, reduced = self.milp, self.reduced_costs
        room = max(cost - self.bound, 0.0) + 1e-9 * abs(cost)
        with np.errstate(divide="ignore", over="ignore"):
            reach = np.where(reduced == 0.0, np.inf, room / np.abs(reduced))
        reach = np.where(milp.integral, np.floor(reach + 1e-6), reach)
        upper = np.where(reduced > 0, np.minimum(milp.upper, milp.lower + reach), milp.upper)
        lower = np.where(reduced < 0, np.maximum(milp.lower, milp.upper - reach), milp.lower)
        return milp.with_bounds(lower, upper)


def tighten(
    milp: Milp, separate: Separate, watch: Watch, least_progress: float = _LEAST_PROGRESS
) -> Tightened | None:
    """Add rows to the relaxation of a minimisation until none is found, they bring little, or time is up.

    None where not even the first relaxation was solved.
    """
    return _Tightening(milp, separate, watch, least_progress).run()


class _Tightening:
    def __init__(self, milp: Milp, separate: Separate, watch: Watch, least_progress: float) -> None:
        if milp.maximise:
            raise ValueError("a minimisation is expected")
        self._milp, self._separate, self._watch = milp, separate, watch
        self._least_progress = least_progress
        largest = float(np.abs(milp.cost).max(initial=0.0))
        self._factor = 1.0 if largest == 0.0 else float(np.exp2(np.round(np.log2(_LARGEST_COST / largest))))
        self._lp = GrowingLp(milp.cost * self._factor, milp.lower, milp.upper, watch.options.seed)
        self._lp.add_rows(milp.matrix, milp.row_lower, milp.row_upper)
        self._rows = Rows.none(milp.num_columns)
        self._idle = np.zeros(0, np.int64)
        self._supported = np.zeros(milp.num_columns, np.bool_)

    def run(self) -> Tightened | None:
        values: list[float] = []
        best: Tightened | None = None
        hard = False
        while not self._watch.must_stop:
            solved = self._lp.solve(self._watch.remaining())
            if solved is None:
                break
            x, value = solved
            values.append(value)
            if len(values) % _SLOW_ROUNDS == 1:
                self._supported[:] = False
            self._supported |= x > 1e-6
            best = self._better(best, x)
            if self._watch.gap_reached:
                break
            slow = _is_slow(values, self._least_progress)
            if hard and slow:
                break
            hard = hard or slow
            rows = self._separate(x, hard)
            if len(rows.lower) == 0:
                if hard:
                    break
                hard, values = True, values[-1:]
                continue
            self._drop_idle(x)
            self._add(rows)
        return best

    def _better(self, best: Tightened | None, x: FloatArray) -> Tightened | None:
        """What the multipliers of the present relaxation prove, if it is more than before."""
        num = self._milp.num_rows
        duals = self._lp.row_duals(0, num + len(self._rows.lower)) / self._factor
        tight = self._rows.matrix @ x - self._rows.lower <= _SLACK * np.maximum(self._rows.lower, 1.0)
        keep = tight | (duals[num:] != 0.0)
        milp = with_rows(self._milp, Rows(sp.csr_array(self._rows.matrix[keep]), self._rows.lower[keep]))
        bound, reduced = dual_bound(milp, np.concatenate([duals[:num], duals[num:][keep]]))
        if best is not None and bound <= best.bound:
            return best
        self._watch.offer_bound(bound)
        return Tightened(milp, x, bound, reduced, self._supported)

    def _add(self, rows: Rows) -> None:
        self._lp.add_rows(rows.matrix, rows.lower)
        matrix = sp.vstack([self._rows.matrix, rows.matrix], format="csr")
        self._rows = Rows(cast(sp.csr_array, matrix), np.concatenate([self._rows.lower, rows.lower]))
        self._idle = np.concatenate([self._idle, np.zeros(len(rows.lower), np.int64)])

    def _drop_idle(self, x: FloatArray) -> None:
        slack = self._rows.matrix @ x - self._rows.lower > _SLACK * np.maximum(self._rows.lower, 1.0)
        self._idle = np.where(slack, self._idle + 1, 0)
        old = self._idle > _IDLE_ROUNDS
        if old.sum() > 0.25 * len(old):
            self._lp.drop_rows((self._milp.num_rows + np.flatnonzero(old)).astype(np.int32))
            self._rows = Rows(sp.csr_array(self._rows.matrix[~old]), self._rows.lower[~old])
            self._idle = self._idle[~old]


def _is_slow(values: list[float], least_progress: float) -> bool:
    if len(values) <= _SLOW_ROUNDS:
        return False
    return values[-1] - values[-1 - _SLOW_ROUNDS] < least_progress * abs(values[-1])


def with_rows(milp: Milp, rows: Rows) -> Milp:
    """The programme with further rows."""
    matrix = sp.vstack([milp.matrix, rows.matrix], format="csr")
    return replace(
        milp,
        matrix=cast(sp.csr_array, matrix),
        row_lower=np.concatenate([milp.row_lower, rows.lower]),
        row_upper=np.concatenate([milp.row_upper, np.full(len(rows.lower), np.inf)]),
        row_names=None,
    )

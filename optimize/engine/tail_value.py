"""The mean and the mean of the worst of many cases as a goal: CVaR (Rockafellar and Uryasev 2000).

Case s of N values a plan x at ``v_s'x``, all cases being as likely.  With tail t the goal is

    (1 - w) mean_s v_s'x + w CVaR(x),   CVaR(x) = max over eta of  eta - sum_s max(eta - v_s'x, 0) / (t N)

the mean over the worst share t of the cases.  It is also the least of ``sum_s p_s v_s'x`` over weights
p_s = (1 - w)/N + q_s with 0 <= q_s <= w/(t N), sum q = w (Rockafellar and Uryasev 2002): with any such
weights held, the ordinary programme with values ``sum_s p_s v_s`` is a relaxation, so that its bound is
one for every eta.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from optimize.milp import FloatArray, IntArray, Milp


@dataclass(frozen=True)
class TailValue:
    """The goal.

    Attributes
    ----------
    values : shape (N, n), value of every column in every case; 0 where a column's own cost holds in all.
    fixed : shape (n,), value of every column that is the same in all cases.
    tail : share of the cases that count as the worst, in (0, 1].
    weight : of the worst cases, in [0, 1].
    constant : value of the plan in which every column is 0, the same in all cases.
    """

    values: FloatArray
    fixed: FloatArray
    tail: float
    weight: float
    constant: float = 0.0

    @property
    def num_cases(self) -> int:
        return len(self.values)

    def cases(self, x: FloatArray) -> FloatArray:
        """Value of the plan in every case, shape (N,)."""
        return self._of_columns(x) + self.constant

    def _of_columns(self, x: FloatArray) -> FloatArray:
        return self.values @ x + float(self.fixed @ x)

    def of(self, x: FloatArray) -> float:
        """The goal."""
        cases = self.cases(x)
        return (1.0 - self.weight) * float(cases.mean()) + self.weight * worst_mean(cases, self.tail)

    def weights_of(self, x: FloatArray) -> FloatArray:
        """The weights p that are worst for the plan, shape (N,)."""
        cap = self.weight / (self.tail * self.num_cases)
        q = np.zeros(self.num_cases)
        left = self.weight
        for case in np.argsort(self.cases(x), kind="stable"):
            q[case] = min(cap, left)
            left -= q[case]
        return (1.0 - self.weight) / self.num_cases + q

    def against(self, milp: Milp, weights: FloatArray) -> Milp:
        """The relaxation in which the cases have fixed weights p."""
        return milp.with_objective(self.fixed + weights @ self.values, maximise=True, offset=self.constant)

    def linearised(self, milp: Milp, columns: IntArray) -> Milp:
        """The programme with this goal on some columns, the others at 0.

        After the columns come eta and the N shortfalls, after the rows those of the cases; all in
        units of the largest value.
        """
        number, unit = self.num_cases, self._unit
        values = self.values[:, columns] + self.fixed[columns]
        reach = np.abs(values).sum(axis=1).max(initial=0.0) / unit + 1.0
        cost = np.concatenate(
            [
                (1.0 - self.weight) * values.mean(axis=0),
                [self.weight * unit],
                np.full(number, -self.weight * unit / (self.tail * number)),
            ]
        )
        cases = sp.hstack(
            [sp.csr_array(-values / unit), sp.csr_array(np.ones((number, 1))), -sp.eye_array(number)]
        )
        top = sp.hstack([milp.matrix[:, columns], sp.csr_array((milp.num_rows, number + 1))])
        return replace(
            milp,
            cost=cost,
            matrix=sp.csr_array(sp.vstack([top, cases], format="csr")),
            row_lower=np.concatenate([milp.row_lower, np.full(number, -np.inf)]),
            row_upper=np.concatenate([milp.row_upper, np.zeros(number)]),
            lower=np.concatenate([milp.lower[columns], [-reach], np.zeros(number)]),
            upper=np.concatenate([milp.upper[columns], [reach], np.full(number, 2.0 * reach)]),
            integral=np.concatenate([milp.integral[columns], np.zeros(number + 1, np.bool_)]),
            maximise=True,
            offset=self.constant,
            column_names=None,
            row_names=None,
        )

    def extended(self, x: FloatArray, columns: IntArray) -> FloatArray:
        """The plan as a point of the linearised programme."""
        cases = self._of_columns(x) / self._unit
        rank = max(int(np.ceil(self.tail * self.num_cases)), 1) - 1
        eta = float(np.sort(cases)[min(rank, self.num_cases - 1)])
        return np.concatenate([x[columns], [eta], np.maximum(eta - cases, 0.0)])

    def weights(self, row_multipliers: FloatArray) -> FloatArray:
        """Weights p from multipliers of the linearised programme; weights of the kind asked for in any case."""
        cap = self.weight / (self.tail * self.num_cases)
        q = np.clip(row_multipliers[-self.num_cases :] / self._unit, 0.0, cap)
        if q.sum() > self.weight:
            q *= self.weight / q.sum()
        room = cap - q
        q += room * min(1.0, (self.weight - q.sum()) / max(float(room.sum()), 1e-300))
        return (1.0 - self.weight) / self.num_cases + q

    @property
    def _unit(self) -> float:
        return max(float(np.abs(self.values).max(initial=0.0)), 1.0)


def worst_mean(cases: FloatArray, tail: float) -> float:
    """Mean of the worst (smallest) share ``tail`` of equally likely cases; the last one may count in part."""
    ordered = np.sort(cases)
    mass = tail * len(ordered)
    share = np.clip(mass - np.arange(len(ordered)), 0.0, 1.0)
    return float(share @ ordered / mass)

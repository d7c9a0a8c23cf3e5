"""When rows cannot all hold: the smallest relaxations, in the rows' own units.

A generic solver's word "infeasible" is not enough (two of them have each called feasible
programmes infeasible), so the claim is made only when a programme in which the policy rows may
give way, at a price, has a best plan in which at least one does.

Large programmes are asked in this order, because branch and cut on all columns is not back in time:

1. what each row could reach at best if every candidate did nothing but serve it: exact and at once;
2. the linear relaxation of the programme with slack, by generating its columns: weak duality proves
   how much has to give way at least;
3. a plan over the columns generated: what it needs is enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine.column_generation import candidates_of, prove_infeasible, relax_by_columns
from optimize.engine.highs import solve_milp
from optimize.engine.stopping import Watch
from optimize.milp import TARGET, ElasticRows, Milp
from optimize.result import Relaxation, RelaxedRow, StopReason

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_TOLERANCE = 1e-6
_COLUMNS_FROM = 8_000
# A plan this close to the least relaxation is close enough to be told.
_GAP_OF_LARGE = 1e-3
_SHARE_OF_JOINT, _SHARE_OF_ONE = 0.4, 0.25
_SINGLES_ASKED = 24
_WIDE = 1e-3
# With fewer ways out than these, others of more rows are looked for.
_FEW = 2
# A row gives way clearly less where it gives at most this share.
_CLEARLY = 0.75


@dataclass(frozen=True)
class Relaxed:
    """Answer of the elastic programme.

    ``confirmed`` is False when it needs no relaxation at all (so "infeasible" was wrong) and None
    when time ran out before either was known.
    """

    confirmed: bool | None
    ways: tuple[Relaxation, ...] = ()


def smallest_relaxations(
    milp: Milp,
    elastic: Sequence[ElasticRows],
    watch: Watch,
    alternatives: int = 4,
    candidate: IntArray | None = None,
) -> Relaxed:
    """Ways out of an infeasible programme: few rows, and what a planner asks first, come first.

    No ways although confirmed: not even relaxing all of ``elastic`` helps.

    Parameters
    ----------
    candidate : shape (n,), candidate of each column (-1: of none); None: read off the rows.
    """
    groups = [group for group in elastic if len(group.rows)]
    if not groups:
        return Relaxed(confirmed=True)
    if int(milp.integral.sum()) > _COLUMNS_FROM:
        asking: _Asking = _AskingColumns(milp, groups, watch, candidate)
    else:
        asking = _Asking(milp, groups, watch)
    everything = range(len(groups))
    joint = asking.relax(everything, _SHARE_OF_JOINT)
    confirmed = asking.confirmed(joint)
    if not confirmed:
        return Relaxed(confirmed)
    if joint is not None and joint.amounts is None:
        return Relaxed(confirmed=True)
    moved = np.zeros(len(groups)) if joint is None or joint.amounts is None else joint.amounts / asking.scale
    ways: list[Relaxation] = []
    for chosen in asking.choices(moved):
        if watch.must_stop or len(ways) >= alternatives:
            break
        part = asking.relax(chosen, _SHARE_OF_ONE)
        if part is not None and part.amounts is not None:
            ways.append(asking.way(chosen, part))
    if len(ways) < _FEW and not watch.must_stop:
        ways = list(asking.in_order([*ways, *asking.together()]))
    if len(ways) == 1 and not watch.must_stop:
        ways = asking.besides(ways[0])
    if joint is not None and joint.amounts is not None and len(ways) < _FEW:
        ways.append(asking.way(everything, joint))
    return Relaxed(confirmed=True, ways=asking.in_order(ways)[:alternatives])


@dataclass(frozen=True)
class _Amounts:
    """Relaxation of each group asked, shape (g,); None: no amount helps.

    ``enough``: a plan was found with these; else they are proven to be needed at least.
    ``bound``: proven least sum of the relative relaxations.
    """

    amounts: FloatArray | None
    enough: bool
    bound: float = 0.0


class _Asking:
    """One infeasible programme, asked which rows would have to give way by how much."""

    def __init__(self, milp: Milp, groups: Sequence[ElasticRows], watch: Watch) -> None:
        self._milp, self._groups, self._watch = milp, groups, watch
        self.scale = np.array([max(abs(group.required), 1.0) for group in groups])
        # Groups that no plan can serve whatever else gives way; they are part of every way out.
        self._lost: list[int] = []

    def relax(self, chosen: Iterable[int], share: float) -> _Amounts | None:
        """Smallest total relative relaxation when only ``chosen`` give way; None: not known in time."""
        chosen = list(chosen)
        elastic = _with_slack(self._milp, [self._groups[k] for k in chosen], self.scale[chosen])
        # The gap is relative to the relaxation: where a target is far out of reach, little of it is
        # much of what can be reached.
        part = self._watch.child(seconds=share * self._watch.remaining(), gap=1e-8, maximise=False)
        outcome = solve_milp(elastic, part)
        if outcome.x is not None:
            amounts = np.asarray(outcome.x[self._milp.num_columns :])
            return _Amounts(amounts, True, outcome.bound if outcome.bound is not None else 0.0)
        return _Amounts(None, True) if outcome.stop is StopReason.INFEASIBLE else None

    def confirmed(self, joint: _Amounts | None) -> bool | None:
        """Whether some relaxation is needed, from the answer when everything may give way."""
        if joint is None:
            return None
        if joint.amounts is None or joint.bound > _TOLERANCE:
            return True
        return False if (joint.amounts <= _TOLERANCE * self.scale).all() else None

    def choices(self, moved: FloatArray) -> list[list[int]]:
        """Which groups to ask alone, in this order; ``moved``: shape (g,), amounts of the joint answer."""
        return [
            [k] for k in sorted(range(len(self._groups)), key=lambda k: (self._groups[k].rank, -moved[k]))
        ]

    def together(self) -> list[Relaxation]:
        """A way in which all groups of one rank share what none of them can give alone, by rank."""
        ways = []
        for rank in sorted({group.rank for group in self._groups}):
            chosen = [k for k, group in enumerate(self._groups) if group.rank == rank or k in self._lost]
            part = self.relax(chosen, _SHARE_OF_ONE)
            if part is not None and part.amounts is not None:
                ways.append(self.way(chosen, part))
        return ways

    def besides(self, way: Relaxation) -> list[Relaxation]:
        """The way, and one that does without its rows; where there is none, the way is said to be the only one."""
        own = {(row.clause, row.where) for row in way.rows}
        rest = [k for k, group in enumerate(self._groups) if (group.clause, group.where) not in own]
        part = self.relax(rest, _SHARE_OF_ONE) if rest else _Amounts(None, True)
        if part is None:
            return [way]
        return [replace(way, only=True)] if part.amounts is None else [way, self.way(rest, part)]

    def way(self, chosen: Iterable[int], relaxed: _Amounts) -> Relaxation:
        assert relaxed.amounts is not None
        rows = zip([self._groups[k] for k in chosen], relaxed.amounts, self.scale[list(chosen)], strict=True)
        return Relaxation(
            exact=relaxed.enough,
            rows=tuple(
                RelaxedRow(
                    clause=group.clause,
                    where=group.where,
                    required=group.required,
                    reachable=group.required + (amount if group.is_cap else -amount),
                    unit=group.unit,
                )
                for group, amount, scale in rows
                if amount > _TOLERANCE * scale
            ),
        )

    def in_order(self, ways: Sequence[Relaxation]) -> tuple[Relaxation, ...]:
        """Each way once; few rows first, then what a planner asks first, then the least change."""
        rank = {(group.clause, group.where): group.rank for group in self._groups}

        def key(way: Relaxation) -> tuple[bool, int, int, float]:
            change = sum(abs(row.change) / max(abs(row.required), 1.0) for row in way.rows)
            worst = max((rank[row.clause, row.where] for row in way.rows), default=0)
            return not way.exact, len(way.rows), worst, change

        unique = {frozenset((r.clause, r.where) for r in way.rows): way for way in reversed(ways) if way.rows}
        # A way that moves all rows of a smaller one, hardly less, and more tells a planner nothing.
        spare = [
            rows
            for rows, way in unique.items()
            if not any(other < rows and not _eases(way, unique[other]) for other in unique)
        ]
        return tuple(sorted((unique[rows] for rows in spare), key=key))


class _AskingColumns(_Asking):
    """The same of a programme too large for branch and cut: bounds and plans over generated columns.

    Parameters
    ----------
    candidate : shape (n,), candidate of each column (-1: of none); None: read off the rows.
    """

    def __init__(
        self, milp: Milp, groups: Sequence[ElasticRows], watch: Watch, candidate: IntArray | None
    ) -> None:
        super().__init__(milp, groups, watch)
        self._candidate = candidates_of(milp) if candidate is None else candidate
        self._inside: BoolArray | None = None
        self._lost = [k for k in range(len(groups)) if self._missing(k) > _TOLERANCE * self.scale[k]]

    def relax(self, chosen: Iterable[int], share: float) -> _Amounts | None:
        chosen = list(chosen)
        milp, n = self._milp, self._milp.num_columns
        if not set(self._lost) <= set(chosen):
            return _Amounts(None, True)
        elastic = _with_slack(milp, [self._groups[k] for k in chosen], self.scale[chosen])
        part = self._watch.child(seconds=share * self._watch.remaining(), gap=_GAP_OF_LARGE, maximise=False)
        candidate = np.append(self._candidate, np.full(len(chosen), -1))
        begin = None if self._inside is None else np.append(self._inside, np.ones(len(chosen), np.bool_))
        found = relax_by_columns(elastic, candidate, part, begin)
        own = found.inside[:n]
        self._inside = own if self._inside is None else self._inside | own
        if found.infeasible:
            return _Amounts(None, True)
        if found.relaxation is None:
            return None
        bound = found.relaxation.bound
        # The columns of the relaxation hold a plan that needs little more than it does.
        plan = solve_milp(elastic.restricted(found.inside, found.relaxation.x * ~found.inside), part)
        if plan.x is not None:
            return _Amounts(np.asarray(plan.x[-len(chosen) :]), True, bound)
        return _Amounts(np.asarray(found.relaxation.x[n:]), False, bound)

    def confirmed(self, joint: _Amounts | None) -> bool | None:
        if self._lost:
            return True
        known = super().confirmed(joint)
        if known is None:
            infeasible, _ = prove_infeasible(self._milp, self._candidate, self._watch, self._inside)
            return True if infeasible else None
        return known

    def choices(self, moved: FloatArray) -> list[list[int]]:
        """Targets, what the joint answer moved, the first of a rank; with what no plan can reach in each."""
        first = {self._groups[k].rank: k for k in range(len(self._groups) - 1, -1, -1)}
        worth_asking = [
            (k,)
            for (k,) in super().choices(moved)
            if moved[k] > _TOLERANCE or self._groups[k].rank == TARGET or k == first[self._groups[k].rank]
        ][:_SINGLES_ASKED]
        if not self._lost:
            return [[k] for (k,) in worth_asking]
        return [self._lost, *([*self._lost, k] for (k,) in worth_asking if k not in self._lost)]

    def _missing(self, number: int) -> float:
        """Least relaxation of one group if every candidate served its rows only, in its own unit."""
        milp, group = self._milp, self._groups[number]
        worst = 0.0
        for row, unit in zip(group.rows, np.broadcast_to(group.per_unit, group.rows.shape), strict=True):
            start, end = milp.matrix.indptr[row], milp.matrix.indptr[row + 1]
            columns = milp.matrix.indices[start:end].astype(np.int64)
            weights = milp.matrix.data[start:end]
            if np.isfinite(milp.row_lower[row]):
                worst = max(worst, (milp.row_lower[row] - self._most(columns, weights)) / unit)
            if np.isfinite(milp.row_upper[row]):
                worst = max(worst, (-milp.row_upper[row] - self._most(columns, -weights)) / unit)
        return worst

    def _most(self, columns: IntArray, weights: FloatArray) -> float:
        """No point has a larger ``weights @ x``: the best column of each candidate, or none of them."""
        milp = self._milp
        best = np.maximum(weights * milp.upper[columns], weights * milp.lower[columns])
        owner = self._candidate[columns]
        own = owner >= 0
        most = np.zeros(int(owner.max(initial=-1)) + 1)
        np.maximum.at(most, owner[own], best[own])
        return float(best[~own].sum() + most.sum())


def _eases(way: Relaxation, smaller: Relaxation) -> bool:
    """Whether some row of ``smaller`` has to give way clearly less in ``way``, which moves others too."""
    less = {(row.clause, row.where): abs(row.change) for row in way.rows}
    return any(less[row.clause, row.where] < _CLEARLY * abs(row.change) for row in smaller.rows)


def _with_slack(milp: Milp, groups: Sequence[ElasticRows], scale: FloatArray) -> Milp:
    rows = np.concatenate([group.rows for group in groups])
    columns = np.repeat(np.arange(len(groups)), [len(group.rows) for group in groups])
    direction = np.concatenate(
        [
            np.broadcast_to(group.per_unit, group.rows.shape) * (-1.0 if group.is_cap else 1.0)
            for group in groups
        ]
    )
    # Targets may stand as ">=" or, moved over, as "<=": slack must loosen the row either way.
    only_upper = ~np.isfinite(milp.row_lower[rows])
    only_lower = ~np.isfinite(milp.row_upper[rows])
    direction = np.where(only_upper, -np.abs(direction), direction)
    direction = np.where(only_lower, np.abs(direction), direction)
    slack = sp.csr_array(sp.coo_array((direction, (rows, columns)), shape=(milp.num_rows, len(groups))))
    n, g = milp.num_columns, len(groups)
    # Where one row is enough, it is named rather than a statement about many.
    width = 1.0 + _WIDE * np.log2([len(group.rows) for group in groups])
    most = _most_slack(milp, rows, columns, direction, g)
    return replace(
        milp,
        cost=np.concatenate([np.zeros(n), width / scale]),
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

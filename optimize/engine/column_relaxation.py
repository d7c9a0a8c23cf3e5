"""Linear relaxation of a programme with many columns per candidate, by generating its columns.

Only few columns of such a programme matter to its relaxation.  A restricted relaxation over some
columns gives row multipliers; these price *all* columns; the columns that would improve it are
added until none is left.  Weak duality gives a proven bound from the multipliers of every round
(`certificate.dual_bound`), so the loop may stop early and is still right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine.candidates import best_of_group, plainest
from optimize.engine.certificate import dual_bound, linear_certificate
from optimize.engine.core import Relaxation
from optimize.engine.highs import solve_lp
from optimize.engine.stopping import Watch
from optimize.milp import Milp

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_MOST_ROUNDS = 60
_FIRST_PER_GROUP = 3
_ADDED_PER_GROUP = 3
# The relaxation is close enough when it is this share of the wanted gap from its bound.
_SHARE_OF_GAP = 0.25
# Multipliers of a sample of every fourth candidate choose the first columns, those of a sample of the
# sample its own, down to this many; rows that tie few candidates do not scale.
_SAMPLE = 600
_SAMPLE_STRIDE = 4
_SAMPLE_GAP = 1e-3
_MOST_IN_SAMPLE = 12_000
_FEW_CANDIDATES = 24
# Price of breaking a row while too few columns are there, relative to the largest value of a column;
# raised while rows that could hold break.
_BREAKING = 10.0
_PRICE_RAISES = 4
_UNBROKEN = 1e-6
# Rows that miss each other by less than this share of their coefficients are left to branch and cut.
_PROOF = 1e-5


@dataclass(frozen=True)
class ColumnRelaxation:
    """What generating columns found out about a relaxation.

    Attributes
    ----------
    relaxation : None where the rows cannot all hold, or time ran out.
    infeasible : True: proven by weak duality that no point keeps all rows.
    inside : shape (n,), the columns generated; a programme over these alone is a good restriction.
    row_duals : shape (m,), of the relaxation.
    """

    relaxation: Relaxation | None
    infeasible: bool
    inside: BoolArray
    row_duals: FloatArray | None = None


@dataclass(frozen=True)
class _Generated:
    """End of one run of generation: the restricted relaxation solved last."""

    x: FloatArray
    bound: float
    broken: float
    reduced: FloatArray
    row_duals: FloatArray
    inside: BoolArray
    ended: bool


def relax_by_columns(
    milp: Milp, group: IntArray, watch: Watch, inside: BoolArray | None = None
) -> ColumnRelaxation:
    """The relaxation of ``milp`` over few of its columns, proven for all of them.

    Parameters
    ----------
    group : shape (n,), candidate of each column; -1: the column is always kept.
    inside : shape (n,), columns to begin with; None: the best of each candidate.
    """
    if inside is None:
        prices = sampled_multipliers(milp, group, watch)
        if prices is None:
            inside = _first_columns(milp, group)
        else:
            inside = (group < 0) | plainest(milp, group) | best_columns(milp, group, prices)
    else:
        inside = inside | _first_columns(milp, group, 1)
    price = _BREAKING * max(float(np.abs(milp.cost).max(initial=0.0)), 1.0)
    for _ in range(_PRICE_RAISES):
        found = _generate(milp, group, watch, inside, price)
        if found is None:
            break
        inside = found.inside
        if found.broken <= _UNBROKEN:
            return ColumnRelaxation(
                relaxation_at(milp, found.x, found.bound, found.reduced), False, inside, found.row_duals
            )
        if not found.ended:
            break
        # Rows break at this price: because they cannot all hold, or because the price is too low.
        infeasible, inside = prove_infeasible(milp, group, watch, inside)
        if infeasible:
            return ColumnRelaxation(None, True, inside)
        price *= _BREAKING**2
    return ColumnRelaxation(None, False, inside)


def prove_infeasible(
    milp: Milp, group: IntArray, watch: Watch, inside: BoolArray | None = None
) -> tuple[bool, BoolArray]:
    """Whether multipliers prove that no point keeps all rows, and the columns generated on the way.

    Without an objective, any multipliers with a positive bound on "minimise 0" are such a proof
    (Farkas).  False: the rows can hold together, or time ran out.
    """
    aimless = milp.with_objective(np.zeros(milp.num_columns), maximise=False)
    inside = _first_columns(milp, group) if inside is None else inside
    found = _generate(aimless, group, watch.child(maximise=False), inside, 1.0, until_above=_PROOF)
    if found is None:
        return False, inside
    return found.bound > _PROOF, found.inside


def _generate(
    milp: Milp,
    group: IntArray,
    watch: Watch,
    inside: BoolArray,
    price: float,
    until_above: float | None = None,
) -> _Generated | None:
    """Rounds of restricted relaxation and pricing; None: not one relaxation was solved in time.

    Parameters
    ----------
    price : of breaking a row by its largest coefficient.
    until_above : a bound above this ends the rounds, and so does an unbroken point; None: rounds go
        on until no column improves the relaxation by enough.
    """
    sign = 1.0 if milp.maximise else -1.0
    movable = milp.upper > milp.lower
    by_column = sp.csc_array(milp.matrix)
    size = _row_sizes(milp)
    inside = inside.copy()
    found: _Generated | None = None
    for _ in range(_MOST_ROUNDS):
        outcome = solve_lp(_with_breaking(milp, by_column, inside, size, price), watch.child(bounds=False))
        if outcome.x is None or outcome.row_duals is None or outcome.objective is None:
            return found
        bound, reduced = dual_bound(milp, outcome.row_duals)
        num_inside = int(inside.sum())
        broken = float(outcome.x[num_inside:].sum())
        x = np.where(milp.lower > 0, milp.lower, 0.0)
        x[inside] = outcome.x[:num_inside]
        if until_above is None:
            watch.offer_bound(bound)
        attractive = sign * reduced
        fresh = best_of_group(attractive, group, movable & ~inside & (attractive > 1e-9), _ADDED_PER_GROUP)
        if until_above is None:
            value = outcome.objective
            close = abs(bound - value) <= _SHARE_OF_GAP * watch.gap * max(abs(value), 1.0)
            ended = (close and broken <= _UNBROKEN) or not len(fresh)
        else:
            ended = bound > until_above or broken <= _UNBROKEN or not len(fresh)
        found = _Generated(x, bound, broken, reduced, outcome.row_duals, inside.copy(), ended)
        if ended or watch.must_stop:
            if until_above is None:
                watch.offer_certificate(linear_certificate(milp, outcome.row_duals))
            return found
        inside[fresh] = True
    return found


def relaxation_at(milp: Milp, x: FloatArray, bound: float, reduced: FloatArray) -> Relaxation:
    """What a relaxed point, its bound and the reduced costs behind it say of every column."""
    attractive = reduced if milp.maximise else -reduced
    low = x - milp.lower < 0.5
    high = milp.upper - x < 0.5
    loss = np.where(low & (attractive < 0), -attractive, np.where(high & (attractive > 0), attractive, 0.0))
    return Relaxation(x, bound, np.abs(reduced), loss)


def _first_columns(milp: Milp, group: IntArray, count: int = _FIRST_PER_GROUP) -> BoolArray:
    """Columns of no candidate, and of each candidate the plainest and the ``count`` best."""
    gain = milp.cost if milp.maximise else -milp.cost
    inside = group < 0
    movable = milp.upper > milp.lower
    inside[best_of_group(gain + _tie(len(gain)), group, movable, count)] = True
    return np.asarray(inside | plainest(milp, group))


def best_columns(milp: Milp, group: IntArray, row_duals: FloatArray) -> BoolArray:
    """The columns of each candidate that are worth most at given multipliers."""
    sign = 1.0 if milp.maximise else -1.0
    worth = sign * (milp.cost - milp.matrix.T @ row_duals)
    inside = np.zeros(milp.num_columns, dtype=np.bool_)
    inside[best_of_group(worth, group, milp.upper > milp.lower, _FIRST_PER_GROUP)] = True
    return inside


def sampled_multipliers(milp: Milp, group: IntArray, watch: Watch) -> FloatArray | None:
    """Row multipliers of the relaxation over evenly chosen candidates, the sides scaled down to them.

    Rows that tie few candidates do not scale and are left out (multiplier 0); candidates' own rows
    too.  None: there are not many more candidates than the sample would have, or time ran out.
    """
    count = len(np.unique(group[group >= 0]))
    stride = min(max(_SAMPLE_STRIDE, count // _MOST_IN_SAMPLE), count // _SAMPLE)
    if stride < 2:
        return None
    wide, own = wide_rows(milp, group)
    sample, own_group, used = sample_of(milp, group, stride, wide, own)
    found = relax_by_columns(sample, own_group, watch.child(seconds=0.2 * watch.remaining(), gap=_SAMPLE_GAP))
    if found.row_duals is None:
        return None
    prices = np.zeros(milp.num_rows)
    prices[used] = np.where(own[used], 0.0, found.row_duals)
    return prices


def sample_of(
    milp: Milp, group: IntArray, stride: int, wide: BoolArray, own: BoolArray
) -> tuple[Milp, IntArray, IntArray]:
    """The programme over every ``stride``-th candidate, the sides of wide rows scaled down to them.

    Parameters
    ----------
    wide, own : shape (m,), of `wide_rows`; the other rows do not scale and are left out.

    Returns
    -------
    (programme, candidate of each of its columns, rows of ``milp`` that it has)
    """
    names, number = np.unique(group[group >= 0], return_inverse=True)
    place = np.full(milp.num_columns, -1, dtype=np.int64)
    place[group >= 0] = number
    columns = np.flatnonzero((place < 0) | (place % stride == 0))
    own_group = np.where(place[columns] >= 0, place[columns] // stride, -1)
    part = sp.csr_array(milp.matrix[:, columns])
    used = np.flatnonzero((wide | own) & (np.diff(part.indptr) > 0))
    fraction = (int(own_group.max()) + 1) / len(names)
    scale = np.where(own[used], 1.0, fraction)
    box = np.where(own_group < 0, fraction, 1.0)
    sample = replace(
        milp,
        cost=milp.cost[columns],
        matrix=sp.csr_array(part[used]),
        row_lower=milp.row_lower[used] * scale,
        row_upper=milp.row_upper[used] * scale,
        lower=milp.lower[columns] * box,
        upper=milp.upper[columns] * box,
        integral=milp.integral[columns],
        column_names=None,
        row_names=None,
    )
    return sample, own_group, used


def wide_rows(milp: Milp, group: IntArray) -> tuple[BoolArray, BoolArray]:
    """Rows that tie many candidates, and rows of one candidate only; shape (m,) each."""
    matrix = milp.matrix
    row_of = np.repeat(np.arange(milp.num_rows), np.diff(matrix.indptr))
    owner = group[matrix.indices]
    # Entries of a row lie in the order of the columns, so candidates change where the owner does.
    fresh = np.r_[True, (owner[1:] != owner[:-1]) | (row_of[1:] != row_of[:-1])] & (owner >= 0)
    tied = np.bincount(row_of[fresh], minlength=milp.num_rows)
    return tied > _FEW_CANDIDATES, tied == 1


def _tie(size: int) -> FloatArray:
    """So small that it only tells equal columns apart."""
    return np.asarray(np.arange(size, 0, -1) * 1e-12)


def _row_sizes(milp: Milp) -> FloatArray:
    entries = sp.coo_array(milp.matrix)
    size = np.zeros(milp.num_rows)
    np.maximum.at(size, entries.coords[0], np.abs(entries.data))
    return np.maximum(size, 1e-9)


def _with_breaking(
    milp: Milp, by_column: sp.csc_array, inside: BoolArray, size: FloatArray, price: float
) -> Milp:
    """The restricted relaxation; rows may break at a price, so that it always has a point.

    Breaking costs ``price`` for as much as the row's largest coefficient, shape (m,) ``size``.
    """
    columns = np.flatnonzero(inside)
    rows_low = np.flatnonzero(np.isfinite(milp.row_lower))
    rows_high = np.flatnonzero(np.isfinite(milp.row_upper))
    number = len(rows_low) + len(rows_high)
    rows = np.concatenate([rows_low, rows_high])
    amount = np.concatenate([size[rows_low], -size[rows_high]])
    slack = sp.csc_array((amount, (rows, np.arange(number))), shape=(milp.num_rows, number))
    n = len(columns)
    return replace(
        milp,
        cost=np.concatenate([milp.cost[columns], np.full(number, -price if milp.maximise else price)]),
        matrix=sp.csr_array(sp.hstack([by_column[:, columns], slack], format="csr")),
        lower=np.concatenate([milp.lower[columns], np.zeros(number)]),
        upper=np.concatenate([milp.upper[columns], np.full(number, np.inf)]),
        integral=np.zeros(n + number, dtype=np.bool_),
        column_names=None,
        row_names=None,
    )

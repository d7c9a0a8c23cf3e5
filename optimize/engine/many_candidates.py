"""Relaxation of a programme with very many candidates: a bound for all, a programme for the undecided.

Few of its rows tie many candidates (budgets, targets); most tie a handful (one host, one sink).  The
wide rows' multipliers come from a cutting-plane model of the Lagrangian bound, whose work grows only
with the number of columns; at these the narrow rows' are those of small relaxations, one for each
component of candidates that share such rows.  Nearly all candidates then have one clearly best column.
The others are a programme of their own under what these leave of every row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine.candidates import best_of_group, optional, own_rows, plainest
from optimize.engine.certificate import linear_certificate
from optimize.engine.choice import LagrangianBound
from optimize.engine.choice_mixture import Mixture
from optimize.engine.choice_structure import find_structure
from optimize.engine.column_relaxation import (
    ColumnRelaxation,
    relax_by_columns,
    sample_of,
    wide_rows,
)
from optimize.engine.stopping import Watch
from optimize.milp import Milp

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# Multipliers of a sample of about so many candidates start those of all.
_IN_SAMPLE = 6_000
_SHARE_OF_SAMPLE = 0.15
_SHARE_OF_MULTIPLIERS = 0.5
_SHARE_OF_COMPONENTS = 0.2
_SHARE_OF_RELAXATION = 0.5
_COMPONENT_GAP = 1e-5
# Columns of each undecided candidate in its programme.
_NEAR_COLUMNS = 12
# So many of the least decided join those that the relaxation mixes, and more where they cannot keep a row.
_LEAST_DECIDED = 1_000
_GROWTH = 3
# In a row that the mixed candidates cannot keep, others are undecided until they could give this many
# times as much as is missing.
_ROOM = 2.0
_MOST_UNDECIDED = 60_000
_UNBROKEN = 1e-6


@dataclass(frozen=True)
class Undecided:
    """The candidates that the relaxation leaves open, as a programme, all others held.

    Attributes
    ----------
    free : shape (n,), the columns of the programme ``rest``.
    held : shape (n,), the others' values.
    relaxation : of ``rest``, with columns enough.
    """

    rest: Milp
    free: BoolArray
    held: FloatArray
    relaxation: ColumnRelaxation


def relax_many(
    milp: Milp, group: IntArray, watch: Watch, row_multipliers: FloatArray | None = None
) -> Undecided | None:
    """Offer a bound of ``milp`` to ``watch``, and tell who is undecided; None: no such relaxation in time.

    Parameters
    ----------
    group : shape (n,), candidate of each column; -1: the column belongs to none.
    row_multipliers : shape (m,), of a similar programme, to begin from; None: a sample's.
    """
    wide, own = wide_rows(milp, group)
    found = _wide_multipliers(milp, group, wide, own, watch, row_multipliers)
    if found is None:
        return None
    multipliers, mixed, columns = found
    narrow = ~(wide | own)
    if _candidates_in(milp, group, narrow).any():
        multipliers = _with_narrow(milp, group, narrow, own, multipliers, watch)
    watch.offer_certificate(linear_certificate(milp, multipliers))
    return _left_open(milp, group, multipliers, narrow, mixed, columns, watch)


def _wide_multipliers(
    milp: Milp,
    group: IntArray,
    wide: BoolArray,
    own: BoolArray,
    watch: Watch,
    start: FloatArray | None,
) -> tuple[FloatArray, BoolArray, IntArray] | None:
    """Multipliers of the wide rows without the narrow ones, shape (m,), and what the maximisers mix there.

    The mixture: candidates of several columns, shape (candidates,), and all columns of positive weight.
    """
    rows = wide | own
    part = _rows_of(milp, rows)
    structure = find_structure(part)
    if structure is None:
        return None
    if start is None:
        start = _sampled(milp, group, wide, own, watch)
    bound = LagrangianBound(structure)
    bound.mixture = mixture = Mixture(bound.clusters.part_of_group, bound.clusters.num_parts)
    inner = watch.child(seconds=_SHARE_OF_MULTIPLIERS * watch.remaining(), bounds=True)
    found = bound.minimise(inner, None if start is None else structure.linking_multipliers(start[rows]))
    if found is None:
        return None
    multipliers = np.zeros(milp.num_rows)
    multipliers[rows] = structure.sign * structure.row_multipliers(found, part.num_rows)
    several, mixed_columns = mixture.undecided()
    mixed = np.zeros(int(group.max()) + 1, dtype=np.bool_)
    filled = several & (np.diff(structure.group_start) > 0)
    owner = group[structure.columns[structure.group_start[:-1][filled]]]
    mixed[owner[owner >= 0]] = True
    return multipliers, mixed, structure.columns[mixed_columns]


def _sampled(milp: Milp, group: IntArray, wide: BoolArray, own: BoolArray, watch: Watch) -> FloatArray | None:
    """Multipliers of evenly chosen candidates, shape (m,); None: there are not many more."""
    stride = len(np.unique(group[group >= 0])) // _IN_SAMPLE
    if stride < 2:
        return None
    sample, _, used = sample_of(milp, group, stride, wide, own)
    structure = find_structure(sample)
    if structure is None:
        return None
    found = LagrangianBound(structure).minimise(watch.child(seconds=_SHARE_OF_SAMPLE * watch.remaining()))
    if found is None:
        return None
    multipliers = np.zeros(milp.num_rows)
    multipliers[used] = structure.sign * structure.row_multipliers(found, sample.num_rows)
    return multipliers


def _with_narrow(
    milp: Milp, group: IntArray, narrow: BoolArray, own: BoolArray, multipliers: FloatArray, watch: Watch
) -> FloatArray:
    """``multipliers`` with the narrow rows' best at the wide rows' (all zero where time ran out)."""
    inside = _candidates_in(milp, group, narrow)
    # Columns of no candidate in these rows count too: without them a row's price could cost more than it gives.
    others = np.zeros(milp.num_columns, dtype=np.bool_)
    others[milp.matrix[np.flatnonzero(narrow)].indices] = True
    columns = np.flatnonzero(np.where(group >= 0, inside[group], others))
    matrix = sp.csr_array(milp.matrix[:, columns])
    rows = np.flatnonzero((narrow | own) & (np.diff(matrix.indptr) > 0))
    multipliers = multipliers.copy()
    before = multipliers[rows]
    multipliers[rows] = 0.0
    part = replace(
        milp,
        cost=(milp.cost - milp.matrix.T @ multipliers)[columns],
        matrix=sp.csr_array(matrix[rows]),
        row_lower=milp.row_lower[rows],
        row_upper=milp.row_upper[rows],
        lower=milp.lower[columns],
        upper=milp.upper[columns],
        integral=milp.integral[columns],
        column_names=None,
        row_names=None,
    )
    owner = np.where(group[columns] >= 0, np.unique(group[columns], return_inverse=True)[1], -1)
    inner = watch.child(seconds=_SHARE_OF_COMPONENTS * watch.remaining(), gap=_COMPONENT_GAP)
    found = relax_by_columns(part, owner, inner, plainest(part, owner) | (owner < 0))
    multipliers[rows] = before if found.row_duals is None else found.row_duals
    multipliers[own_rows(milp)] = 0.0
    return multipliers


def _left_open(
    milp: Milp,
    group: IntArray,
    multipliers: FloatArray,
    narrow: BoolArray,
    mixed: BoolArray,
    mixed_columns: IntArray,
    watch: Watch,
) -> Undecided | None:
    """The programme of the mixed candidates, and of those whose best columns break a narrow row."""
    sign = 1.0 if milp.maximise else -1.0
    worth = sign * (milp.cost - milp.matrix.T @ multipliers)
    movable = milp.upper > milp.lower
    held, lead = _best_and_lead(milp, group, worth)
    use = milp.matrix @ held
    broken = (use > milp.row_upper + _UNBROKEN) | (use < milp.row_lower - _UNBROKEN)
    undecided = mixed | _candidates_in(milp, group, narrow & broken)
    least_decided = np.argsort(lead, kind="stable")
    undecided[least_decided[:_LEAST_DECIDED]] = True
    near = plainest(milp, group)
    near[best_of_group(worth, group, movable, _NEAR_COLUMNS)] = True
    near[mixed_columns] = True
    number = _LEAST_DECIDED
    while not watch.must_stop and int(undecided.sum()) <= _MOST_UNDECIDED:
        free = ~milp.integral | (group < 0) | (undecided[group] & near)
        rest, rows = milp.restriction(free, held)
        own = group[free]
        more = _needed(milp, group, held, lead, rows, *_missing(rest, own))
        if (more & ~undecided).any():
            undecided |= more
            continue
        inner = watch.child(seconds=_SHARE_OF_RELAXATION * watch.remaining())
        found = relax_by_columns(rest, own, inner, np.ones(rest.num_columns, dtype=np.bool_))
        if found.relaxation is not None:
            return Undecided(rest, free, held, found)
        if undecided.all():
            break
        number *= _GROWTH
        undecided[least_decided[:number]] = True
    return None


def _missing(milp: Milp, group: IntArray) -> tuple[FloatArray, FloatArray]:
    """By how much every row is above its upper and below its lower side at best, shape (m,) each.

    Each row by itself, each candidate with its column of least (most) use, or none.
    """
    row = np.repeat(np.arange(milp.num_rows), np.diff(milp.matrix.indptr))
    column, amount = milp.matrix.indices, milp.matrix.data
    ends = np.sort(np.stack([amount * milp.lower[column], amount * milp.upper[column]]), axis=0)
    least, most = np.minimum(ends[0], 0.0), np.maximum(ends[1], 0.0)
    owner = group[column]
    # Columns of no candidate count each for itself.
    key = row * np.int64(milp.num_columns + int(group.max(initial=0)) + 1)
    key += np.where(owner >= 0, owner, int(group.max(initial=0)) + 1 + column)
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(key[order]) != 0]) if len(key) else np.zeros(0, np.int64)
    of_row = row[order][starts]
    low = np.bincount(of_row, np.minimum.reduceat(least[order], starts), milp.num_rows)
    high = np.bincount(of_row, np.maximum.reduceat(most[order], starts), milp.num_rows)
    return np.maximum(low - milp.row_upper, 0.0), np.maximum(milp.row_lower - high, 0.0)


def _needed(
    milp: Milp,
    group: IntArray,
    held: FloatArray,
    lead: FloatArray,
    rows: IntArray,
    above: FloatArray,
    below: FloatArray,
) -> BoolArray:
    """The least decided candidates that could give what ``rows`` miss; shape (candidates,)."""
    needed = np.zeros(len(lead), dtype=np.bool_)
    for position in np.flatnonzero((above > _UNBROKEN) | (below > _UNBROKEN)).tolist():
        start, end = milp.matrix.indptr[rows[position]], milp.matrix.indptr[rows[position] + 1]
        columns, amounts = milp.matrix.indices[start:end], milp.matrix.data[start:end]
        if above[position] > _UNBROKEN:
            change, missing = amounts * held[columns], above[position]  # who uses the row can use less
        else:
            change, missing = amounts * (1.0 - held[columns]), below[position]
        gives = (group[columns] >= 0) & (change > 0)
        names, place = np.unique(group[columns][gives], return_inverse=True)
        most = np.zeros(len(names))
        np.maximum.at(most, place, change[gives])
        order = np.argsort(lead[names], kind="stable")
        enough = int(np.searchsorted(np.cumsum(most[order]), _ROOM * missing)) + 1
        needed[names[order[:enough]]] = True
    return needed


def _best_and_lead(milp: Milp, group: IntArray, worth: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Each candidate's best column as a point (n,), and by how much it is better than the second best."""
    two = best_of_group(worth, group, milp.upper > milp.lower, 2)
    leading = np.r_[True, group[two[1:]] != group[two[:-1]]]
    first, second = two[leading], two[~leading]
    best = np.full(int(group.max()) + 1, np.nan)
    best[group[first]] = worth[first]
    lead = np.full(len(best), np.inf)
    lead[group[second]] = best[group[second]] - worth[second]
    # Leaving an optional candidate out is worth nothing.
    may_be_empty = optional(milp, group)
    lead = np.where(may_be_empty, np.minimum(lead, np.abs(best)), lead)
    held = np.clip(np.zeros(milp.num_columns), milp.lower, milp.upper)
    held[first] = np.where(may_be_empty[group[first]] & (worth[first] < 0), 0.0, 1.0)
    return held, lead


def _candidates_in(milp: Milp, group: IntArray, rows: BoolArray) -> BoolArray:
    """Candidates with a column in one of ``rows``, shape (candidates,)."""
    owner = group[milp.matrix[np.flatnonzero(rows)].indices]
    inside = np.zeros(int(group.max()) + 1, dtype=np.bool_)
    inside[owner[owner >= 0]] = True
    return inside


def _rows_of(milp: Milp, rows: BoolArray) -> Milp:
    return replace(
        milp,
        matrix=sp.csr_array(milp.matrix[np.flatnonzero(rows)]),
        row_lower=milp.row_lower[rows],
        row_upper=milp.row_upper[rows],
        row_names=None,
    )

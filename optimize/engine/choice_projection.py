"""Choice problems without the columns that only help, such as money carried over to the next year.

A column that costs nothing, is limited by one row and only eases others is best at its largest.  With B
(square) the entries of such columns c in the rows P that limit them, and N_i those in any other row i,

    A_P x + B c <= b_P,   A_i x + N_i c <= b_i,   c >= l,   N_i <= 0,   B^-1 >= 0,

c = B^-1 (b_P - A_P x) is the largest, and the choices x that it leaves are those of

    (A_i - N_i B^-1 A_P) x <= b_i - N_i B^-1 b_P,   B^-1 A_P x <= B^-1 b_P - l

(Fourier and Motzkin).  So a search that exchanges choices is not held back by a c that was right for the
plan before: what a year may spend becomes what all years up to it may.

A column s >= 0 with a price p that eases one row, A_i x - a s <= b_i, is s = (A_i x - b_i) / a where no choice
leaves the row room (a price on each change of a plan): the price goes to the choices, the row is gone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine.choice_structure import ChoiceStructure

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# Beyond so many choice columns a second copy of the rows costs more than exchanges gain by it.
_MOST_COLUMNS = 400_000
# Helping columns in a chain, each limited by the one before.
_LONGEST_CHAIN = 200
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Projection:
    """A structure without its helping columns.

    Attributes
    ----------
    structure : the same choices; ``origin`` and ``scale`` of its linking rows mean nothing.
    kept : which of the columns outside the groups are left, positions in ``others``.
    prices : shape (new rows, old rows), multipliers of the new rows from those of the old ones.
    """

    structure: ChoiceStructure
    kept: IntArray
    prices: sp.csr_array

    def multipliers(self, of_old: FloatArray) -> FloatArray:
        """Multipliers of the new rows; ``of_old``: shape (m,)."""
        found = np.asarray(self.prices @ of_old, dtype=np.float64)
        return np.where(self.structure.equal, found, np.maximum(found, 0.0))


def project(s: ChoiceStructure) -> Projection | None:
    """``s`` without the columns that only help or are always paid for; None where there are none or it cannot be done."""
    if not len(s.others) or len(s.columns) > _MOST_COLUMNS:
        return None
    paid = _without_paid(s)
    helped = _without_helping(s if paid is None else paid.structure)
    if paid is None or helped is None:
        return helped or paid
    return Projection(helped.structure, paid.kept[helped.kept], sp.csr_array(helped.prices @ paid.prices))


def _without_paid(s: ChoiceStructure) -> Projection | None:
    """``s`` without columns whose price every choice pays by what it uses of their only row."""
    entries = sp.coo_array(s.others_link)
    row, column = (np.asarray(place, dtype=np.int64) for place in entries.coords)
    alone = (np.bincount(row, minlength=len(s.side))[row] == 1) & (
        np.bincount(column, minlength=len(s.others))[column] == 1
    )
    fits = alone & (entries.data < 0) & ~s.equal[row]
    fits &= (s.others_value[column] < 0) & (s.others_lower[column] == 0)
    value, offset, gone, dropped = s.value.copy(), s.offset, [], []
    for i, j, amount in zip(row[fits], column[fits], -entries.data[fits], strict=True):
        of_choices = _use_of_row(s, i)
        least, most = _ends(s, of_choices)
        room = _ROUNDING * max(1.0, abs(s.side[i]))
        if least < s.side[i] - room or (most - s.side[i]) / amount > s.others_upper[j]:
            continue
        price = s.others_value[j] / amount
        value += price * of_choices
        offset -= float(s.sign * price * s.side[i])
        gone.append(i)
        dropped.append(j)
    if not gone:
        return None
    kept = np.setdiff1d(np.arange(len(s.others)), dropped)
    rows = np.setdiff1d(np.arange(len(s.side)), gone)
    choices = sp.csr_array(
        sp.csc_array((s.link_coefficient, s.link_row, s.link_start), shape=(len(s.side), len(s.columns)))
    )
    use = sp.csr_array(sp.hstack([choices[rows], sp.csr_array(s.others_link)[rows][:, kept]]))
    structure = _with_rows(replace(s, value=value, offset=offset), use, s.side[rows], rows, kept)
    return Projection(structure, kept, _selection(rows, len(s.side)))


def _use_of_row(s: ChoiceStructure, row: int) -> FloatArray:
    """What each choice column uses of a linking row, shape (k,)."""
    entry = np.flatnonzero(s.link_row == row)
    use = np.zeros(len(s.columns))
    use[np.searchsorted(s.link_start, entry, side="right") - 1] = s.link_coefficient[entry]
    return use


def _ends(s: ChoiceStructure, use: FloatArray) -> tuple[float, float]:
    """Least and most that a choice of one column of each group (or of none, where it may be) uses."""
    filled = np.flatnonzero(np.diff(s.group_start) > 0)
    first, must = s.group_start[filled], s.must_choose[filled]
    least, most = np.minimum.reduceat(use, first), np.maximum.reduceat(use, first)
    return (
        float(np.where(must, least, np.minimum(least, 0.0)).sum()),
        float(np.where(must, most, np.maximum(most, 0.0)).sum()),
    )


def _without_helping(s: ChoiceStructure) -> Projection | None:
    """``s`` without the columns that only help."""
    if not len(s.others):
        return None
    helping, limiting = _helping(s)
    if not len(helping):
        return None
    num_rows, entries = len(s.side), sp.csr_array(s.others_link)
    eased = sp.csr_array(entries[:, helping])
    inverse = _inverse(sp.csr_array(eased[limiting]))
    if inverse is None:
        return None
    # c = largest @ (side - use)
    largest = sp.csr_array(inverse @ _selection(limiting, num_rows))
    kept = np.setdiff1d(np.arange(len(s.others)), helping)
    choices = sp.csc_array((s.link_coefficient, s.link_row, s.link_start), shape=(num_rows, len(s.columns)))
    use = sp.csr_array(sp.hstack([choices, entries[:, kept]]))
    if not _within_bounds(s, use, kept, helping, largest):
        return None
    plain = np.setdiff1d(np.arange(num_rows), limiting)
    combined = sp.csr_array((sp.eye_array(num_rows, format="csr") - eased @ largest)[plain])
    floor_side = largest @ s.side - s.others_lower[helping]
    rows, floors = sp.csr_array(combined @ use), sp.csr_array(largest @ use)
    same, factor = _implied_by(rows, combined @ s.side, floors, floor_side)
    says_something = (np.diff(floors.indptr) > 0) | (floor_side < 0)
    own = np.flatnonzero((same < 0) & says_something)
    structure = _with_rows(
        s,
        sp.csr_array(sp.vstack([rows, floors[own]])),
        np.concatenate([combined @ s.side, floor_side[own]]),
        np.concatenate([plain, limiting[own]]),
        kept,
    )
    # Multipliers y of the old rows are v of the plain ones and w of the floors: y = combined' v + largest' w.
    of_plain = _selection(plain, num_rows)
    of_floors = eased[limiting].T @ (_selection(limiting, num_rows) - combined[:, limiting].T @ of_plain)
    known = np.flatnonzero(same >= 0)
    share = sp.csr_array((factor[known], (same[known], known)), shape=(len(plain), len(helping)))
    prices = sp.vstack([of_plain + share @ of_floors, sp.csr_array(of_floors)[own]])
    return Projection(structure, kept, sp.csr_array(prices))


def _selection(rows: IntArray, size: int) -> sp.csr_array:
    """The matrix that takes ``rows`` out of a vector of ``size``."""
    return sp.csr_array((np.ones(len(rows)), (np.arange(len(rows)), rows)), shape=(len(rows), size))


def _helping(s: ChoiceStructure) -> tuple[IntArray, IntArray]:
    """Columns outside the groups that cost nothing, that one row limits and others gain by; that row of each."""
    entries, number = sp.coo_array(s.others_link), len(s.others)
    row, column = entries.coords
    limits = entries.data > 0
    fits = (np.bincount(column[limits], minlength=number) == 1) & (s.others_value == 0)
    fits &= np.bincount(column, s.equal[row], minlength=number) == 0
    limiting = np.zeros(number, dtype=np.int64)
    limiting[column[limits]] = row[limits]
    # a row that limits two columns leaves a choice between them
    shared = np.bincount(limiting[fits], minlength=len(s.side)) > 1
    helping = np.flatnonzero(fits & ~shared[limiting])
    return helping, limiting[helping]


def _inverse(limits: sp.csr_array) -> sp.csr_array | None:
    """Inverse, >= 0, of the helping columns' entries in their limiting rows; None: they ease each other in a circle."""
    per_entry = sp.diags_array(1.0 / limits.diagonal())
    identity = sp.eye_array(limits.shape[0], format="csr")
    # No entry beside the diagonal is positive: what is handed on ends with the longest chain.
    handed_on = sp.csr_array(identity - per_entry @ limits)
    handed_on.eliminate_zeros()
    total, power = identity, handed_on
    for _ in range(_LONGEST_CHAIN):
        if not power.nnz:
            return sp.csr_array(total @ per_entry)
        total, power = sp.csr_array(total + power), sp.csr_array(power @ handed_on)
        power.eliminate_zeros()
    return None


def _within_bounds(
    s: ChoiceStructure, use: sp.csr_array, kept: IntArray, helping: IntArray, largest: sp.csr_array
) -> bool:
    """Whether the helping columns stay within their upper bounds whatever is chosen."""
    lower = np.concatenate([np.zeros(len(s.columns)), s.others_lower[kept]])
    upper = np.concatenate([np.ones(len(s.columns)), s.others_upper[kept]])
    rows = np.unique(largest.indices)
    limits = use[rows]
    ends = np.minimum(limits.data * lower[limits.indices], limits.data * upper[limits.indices])
    least = np.bincount(np.repeat(rows, np.diff(limits.indptr)), ends, minlength=len(s.side))
    most = largest @ (s.side - least)
    room = s.others_upper[helping]
    return bool((most <= room + _ROUNDING * np.maximum(1.0, np.abs(room))).all())


def _implied_by(
    rows: sp.csr_array, side: FloatArray, floors: sp.csr_array, floor_side: FloatArray
) -> tuple[IntArray, FloatArray]:
    """The row that is a multiple of each floor and no looser, -1: none, and the floor as a multiple of it."""
    rng = np.random.default_rng(0)
    probes = rng.uniform(0.5, 1.5, (rows.shape[1], 2))
    mark, floor_mark = rows @ probes, floors @ probes
    same, factor = np.full(floors.shape[0], -1, dtype=np.int64), np.zeros(floors.shape[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        slope, floor_slope = mark[:, 1] / mark[:, 0], floor_mark[:, 1] / floor_mark[:, 0]
    for q in range(floors.shape[0]):
        if not floor_mark[q].any():
            continue
        for i in np.flatnonzero(np.abs(slope - floor_slope[q]) <= _ROUNDING * np.abs(slope)):
            times = floor_mark[q, 0] / mark[i, 0]
            apart = sp.csr_array(floors[[q]] - times * rows[[i]])
            close = np.abs(apart.data).max(initial=0.0) <= _ROUNDING * np.abs(floors[[q]].data).max()
            if times > 0 and close and times * side[i] <= floor_side[q] + _ROUNDING * abs(floor_side[q]):
                same[q], factor[q] = i, times
                break
    return same, factor


def _with_rows(
    s: ChoiceStructure, use: sp.csr_array, side: FloatArray, of_row: IntArray, kept: IntArray
) -> ChoiceStructure:
    """``s`` with other linking rows, over the choices and the others that are ``kept``."""
    by_column = sp.csc_array(use)
    by_column.eliminate_zeros()
    link = by_column[:, : len(s.columns)]
    return replace(
        s,
        link_start=link.indptr.astype(np.int64),
        link_row=link.indices.astype(np.int32),
        link_coefficient=link.data,
        side=side,
        equal=s.equal[of_row],
        origin=s.origin[of_row],
        scale=s.scale[of_row],
        others=s.others[kept],
        others_value=s.others_value[kept],
        others_lower=s.others_lower[kept],
        others_upper=s.others_upper[kept],
        others_link=sp.csc_array(by_column[:, len(s.columns) :]),
    )

"""A small choice problem stated densely for `choice_tree`: one option per group under a few linking rows.

Binary columns in no group are groups of their own; where a group may stay empty, "nothing" is an option
of it.  What cannot be in any plan, what another option of the group is never worse than, and rows that
always hold are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimize.engine.choice_structure import group_rows
from optimize.engine.choice_tree_lp import Knapsacks
from optimize.milp import Milp

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# Every node looks at all options in all rows: a search of more than this is none.
_MOST_OPTIONS = 8_000
_MOST_ROWS = 40
# A smaller share of uses that are not zero, or of groups that no other is like, suits branch and cut.
_SPARSE, _DIFFERENT = 0.4, 0.8
# Options are compared in pairs within groups of at most this many.
_MOST_COMPARED = 200
_MOST_ROUNDS = 5
# A plan may break a row by this share of its largest coefficient or its side, at most.
_FEASIBLE = 1e-9
# ... and by half of what `Milp.violation` is held to everywhere else.
_FEASIBLE_FOR_ALL = 5e-7
# Values are taken for whole multiples of 1, 0.1 ... where they are so to the last digit, and where the
# rounding of a plan's value is far below one such part.
_WHOLE = 4e-16
_LARGEST_SUM = 1e8
_PARTS_OF_ONE = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)


@dataclass(frozen=True)
class SmallChoice:
    """``knapsacks`` and the way back to the programme.

    Attributes
    ----------
    column : shape (options,), programme column of each option; -1 for "nothing".
    held : shape (programme columns,), the plan without any option chosen.
    origin, factor : shape (rows,), programme row of each row and what it was multiplied by.
    step : the values of any two plans are the same or differ by at least this; 0: not known.
    sign, offset : objective of the programme = sign * value + offset.
    """

    knapsacks: Knapsacks
    column: IntArray
    held: FloatArray
    origin: IntArray
    factor: FloatArray
    step: float
    sign: float
    offset: float

    def suits_cuts(self) -> bool:
        """Whether rows concern few options, or groups are alike: what cuts and symmetries are good at."""
        p = self.knapsacks
        used = np.count_nonzero(p.use) < _SPARSE * np.count_nonzero(self.column >= 0) * len(p.side)
        start = np.searchsorted(p.group, np.arange(1, p.group[-1] + 1))
        options = np.column_stack([p.value, p.use])[np.lexsort((p.value, p.group))]
        different = {part.tobytes() for part in np.split(options, start)}
        return bool(used or len(different) < _DIFFERENT * (p.group[-1] + 1))

    def plan(self, options: IntArray) -> FloatArray:
        """The programme's columns, shape (n,), for one option of each group."""
        x = self.held.copy()
        chosen = self.column[options]
        x[chosen[chosen >= 0]] = 1.0
        return x

    def options(self, x: FloatArray) -> IntArray | None:
        """The option of each group in the plan ``x``; None where one of them was left out."""
        taken = np.where(self.column >= 0, x[self.column] > 0.5, False)
        group = self.knapsacks.group
        empty = np.bincount(group[taken], minlength=group[-1] + 1) == 0
        taken |= (self.column < 0) & empty[group]
        options = np.flatnonzero(taken)
        return options if np.array_equal(group[options], np.arange(group[-1] + 1)) else None

    def row_duals(self, multipliers: FloatArray, num_rows: int) -> FloatArray:
        """d objective / d side of the programme's rows, from multipliers of these rows."""
        duals = np.zeros(num_rows)
        np.add.at(duals, self.origin, self.sign * multipliers * self.factor)
        return duals


def small_choice_of(milp: Milp) -> SmallChoice | None:
    """``milp`` as a small choice problem; None where it is none or too large."""
    free = milp.lower < milp.upper
    held = np.where(free, 0.0, milp.lower)
    if milp.integral[~free].any() and (held != np.round(held))[milp.integral].any():
        return None
    if not 0 < free.sum() <= _MOST_OPTIONS or not np.isfinite(milp.cost).all():
        return None
    rest, rows = milp.restriction(free, held)
    if not (rest.integral.all() and (rest.lower == 0.0).all() and (rest.upper == 1.0).all()):
        return None
    choosing = group_rows(rest, np.ones(rest.num_columns, dtype=np.bool_))
    linking = np.setdiff1d(np.arange(rest.num_rows), choosing)
    linking = linking[np.isfinite(rest.row_lower[linking]) | np.isfinite(rest.row_upper[linking])]
    position, group = _options_of(rest, choosing)
    linking, position, group = _without_own_rows(rest, linking, position, group)
    if len(linking) > 2 * _MOST_ROWS:
        return None
    sign = 1.0 if milp.maximise else -1.0
    use, side, equal, origin, factor = _rows_of(rest, linking)
    use = np.where(position[:, None] >= 0, use[position], 0.0)
    value = np.where(position >= 0, sign * rest.cost[position], 0.0)
    stated = Knapsacks(use, value, group, side, equal, _slack(side, factor))
    kept, binding = _what_matters(stated)
    if binding.sum() > _MOST_ROWS:
        return None
    return SmallChoice(
        knapsacks=Knapsacks(
            np.ascontiguousarray(use[np.ix_(kept, binding)]), value[kept], group[kept],
            side[binding], equal[binding], stated.slack[binding],
        ),
        column=np.where(position[kept] >= 0, np.flatnonzero(free)[position[kept]], -1),
        held=held,
        origin=rows[origin[binding]],
        factor=factor[binding],
        # a plan in hand may hold options that were left out
        step=_common_step(value, group),
        sign=sign,
        offset=rest.offset,
    )  # fmt: skip


def _options_of(rest: Milp, choosing: IntArray) -> tuple[IntArray, IntArray]:
    """Column (-1: nothing) and group of each option, by group."""
    members = rest.matrix[choosing]
    group_of = np.full(rest.num_columns, -1, dtype=np.int64)
    group_of[members.indices] = np.repeat(np.arange(len(choosing)), np.diff(members.indptr))
    loners = np.flatnonzero(group_of < 0)
    group_of[loners] = len(choosing) + np.arange(len(loners))
    may_be_empty = np.append(np.flatnonzero(rest.row_lower[choosing] <= 0), group_of[loners])
    position = np.append(np.arange(rest.num_columns), np.full(len(may_be_empty), -1))
    group = np.append(group_of, may_be_empty)
    order = np.lexsort((position, group))
    return position[order], group[order]


def _without_own_rows(
    rest: Milp, linking: IntArray, position: IntArray, group: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Rows of several groups, and the options that the rows of one group alone ("at least one") leave.

    Where these leave a group nothing, all stays as it is: the relaxation proves that no plan is.
    """
    of_column = np.empty(rest.num_columns, dtype=np.int64)
    taken = position >= 0
    of_column[position[taken]] = group[taken]
    matrix = rest.matrix[linking]
    filled = np.flatnonzero(np.diff(matrix.indptr))
    touched, start = of_column[matrix.indices], matrix.indptr[:-1][filled]
    own = np.zeros(len(linking), dtype=np.bool_)
    if len(filled):
        first, last = np.minimum.reduceat(touched, start), np.maximum.reduceat(touched, start)
        own[filled[first == last]] = True
    if not own.any():
        return linking, position, group
    rows, of_row = rest.matrix[linking[own]], touched[matrix.indptr[:-1][own]]
    low, high = rest.row_lower[linking[own]], rest.row_upper[linking[own]]
    largest = np.maximum.reduceat(np.abs(rows.data), rows.indptr[:-1])
    kept = np.ones(len(position), dtype=np.bool_)
    begin = np.searchsorted(group, np.arange(group[-1] + 2))
    for row, of_group in enumerate(of_row):
        options = np.arange(begin[of_group], begin[of_group + 1])
        entries = slice(rows.indptr[row], rows.indptr[row + 1])
        use = np.zeros(rest.num_columns + 1)  # the last place is that of "nothing", position -1
        use[rows.indices[entries]] = rows.data[entries]
        amount = use[position[options]]
        rounding = min(_FEASIBLE * largest[row], _FEASIBLE_FOR_ALL)
        kept[options] &= (amount >= low[row] - rounding) & (amount <= high[row] + rounding)
    if len(np.unique(group[kept])) <= group[-1]:
        return linking, position, group
    return linking[~own], position[kept], group[kept]


def _rows_of(rest: Milp, linking: IntArray) -> tuple[FloatArray, FloatArray, BoolArray, IntArray, FloatArray]:
    """Rows as ``use <= side`` scaled to about one: use (columns, rows), side, equal, origin, factor."""
    low, high = rest.row_lower[linking], rest.row_upper[linking]
    equal = low == high
    upper, lower = np.isfinite(high), np.isfinite(low) & ~equal
    origin = np.concatenate([linking[upper], linking[lower]])
    dense = rest.matrix[origin].toarray()
    largest = np.abs(dense).max(axis=1, initial=0.0)
    factor = np.exp2(-np.round(np.log2(np.where(largest > 0, largest, 1.0))))
    factor[int(upper.sum()) :] *= -1.0
    side = np.concatenate([high[upper], low[lower]]) * factor
    is_equal = np.append(equal[upper], np.zeros(int(lower.sum()), dtype=np.bool_))
    return np.ascontiguousarray((dense * factor[:, None]).T), side, is_equal, origin, factor


def _slack(side: FloatArray, factor: FloatArray) -> FloatArray:
    own = _FEASIBLE * np.maximum(1.0, np.abs(side))
    size = np.abs(factor)
    return np.minimum(own, _FEASIBLE_FOR_ALL * np.maximum(size, np.abs(side)))


def _what_matters(p: Knapsacks) -> tuple[BoolArray, BoolArray]:
    """Options that may be in a best plan, and rows that some choice of them breaks."""
    every = np.ones(len(p.value), dtype=np.bool_)
    kept, binding = every, np.ones(len(p.side), dtype=np.bool_)
    for _ in range(_MOST_ROUNDS):
        names, group = np.unique(p.group[kept], return_inverse=True)
        if len(names) <= p.group[-1]:
            return every, binding  # a group that can choose nothing: the relaxation proves it
        start = np.searchsorted(group, np.arange(len(names)))
        least = np.minimum.reduceat(p.use[kept], start, axis=0)
        most = np.maximum.reduceat(p.use[kept], start, axis=0)
        room, spare = p.side - least.sum(axis=0), most.sum(axis=0) - p.side
        binding = (spare > 0) | (p.equal & (room > 0))
        fits = (p.use - least[p.group] <= room + p.slack).all(axis=1)
        fits &= ((most[p.group] - p.use <= spare + p.slack) | ~p.equal).all(axis=1)
        if (fits | ~kept).all():
            break
        kept = kept & fits
    if not (p.equal & binding).any():
        kept = kept & ~_beaten(p, np.searchsorted(p.group, np.arange(p.group[-1] + 1)), kept, binding)
    return kept, binding


def _beaten(p: Knapsacks, start: IntArray, kept: BoolArray, binding: BoolArray) -> BoolArray:
    """Options for which another kept one of the group is worth as much and uses no more of any row."""
    beaten = np.zeros(len(p.value), dtype=np.bool_)
    for first, last in zip(start, np.append(start[1:], len(p.value)), strict=True):
        options = first + np.flatnonzero(kept[first:last])
        if not 1 < len(options) <= _MOST_COMPARED:
            continue
        use, value = p.use[options][:, binding], p.value[options]
        no_worse = (value[:, None] >= value) & (use[:, None, :] <= use[None, :, :]).all(axis=2)
        # of two alike the first stays
        alike = no_worse & no_worse.T
        wins = no_worse & (~alike | np.triu(np.ones_like(alike), 1))
        beaten[options] = wins.any(axis=0)
    return beaten


def _common_step(value: FloatArray, group: IntArray) -> float:
    """The largest number of which all values are whole multiples, as far as it can be told; 0: none."""
    for parts in _PARTS_OF_ONE:
        scaled = value * parts
        whole = np.round(scaled)
        size = float(np.abs(whole).max(initial=0.0))
        if size * (group[-1] + 1) > _LARGEST_SUM:
            return 0.0
        if (np.abs(scaled - whole) <= _WHOLE * np.maximum(1.0, np.abs(scaled))).all():
            return float(np.gcd.reduce(whole.astype(np.int64))) / parts
    return 0.0

"""Plans of a choice problem from its multipliers: repair, exchanges by cluster, landing on wide rows.

At good multipliers the Lagrangian maximiser is nearly a plan: a few rows are over-used a little.
What separates a plan from the bound is regret (columns that are not the best of their group at the
multipliers) and priced slack (rows not filled to the brim).  `PlanSearch` works on both:

1. *repair* moves the groups that lose least until every row holds;
2. *exchange* changes one, two or three groups of a cluster at once, among the columns of least regret;
3. both are done first with the wide rows priced instead of kept, where clusters do not get in each
   other's way; what breaks a wide row then is taken back by the exchanges that lose least for it
   (*landing*), and a last exchange with all rows uses what is left.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine import choice_search_kernels as kernels
from optimize.engine.choice_clusters import Clusters
from optimize.engine.choice_kernels import members_by_row
from optimize.engine.choice_structure import ChoiceStructure
from optimize.engine.stopping import Watch

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# Columns of a group that a repair may choose from, and its steps between looks at the watch.
_NEAR_PER_GROUP = 24
_REPAIR_STEPS = 2_000
_REPAIR_STEPS_PER_GROUP = 20
_REPAIR_ATTEMPTS = 3
# A repair that gets stuck is told anew what the columns outside the groups leave room for.
_STEPS_OF_TURN = 400
_MOST_TURNS = 40
_STUCK = 0.9
_ROUNDING = 1e-9
# Moves of a cluster that meet in pairs, and those of least regret that meet in triples.
_PAIRED_MOVES = 2_000
_TRIPLED_MOVES = 300
_TRIPLE_ROUNDS = 6
_PASSES = 2
_LEAST_GAIN = 1e-9
# Turns of all clusters, with fewer moves each, go on while one gains this share of what is missing.
_MOVES_OF_TURN = 600
_LEAST_OF_TURNS = 0.1
# Landing: what a broken row costs, as a share of its multiplier, from first to last.
_FIRST_PREMIUM = 0.01
_LAST_PREMIUM = 3.0
_PREMIUM_GROWTH = 3.0
# Share of the time left for the exchanges before landing.
_SHARE_BEFORE_LANDING = 0.4
_LARGEST_INT32 = np.iinfo(np.int32).max
_UNLIMITED = 1e300


@dataclass(frozen=True)
class Prices:
    """What the multipliers say of every choice column.

    Attributes
    ----------
    multipliers : shape (rows,), of the linking rows.
    regret : shape (k,), Lagrangian loss of a column against the best of its group.
    idle_regret : shape (groups,), of choosing nothing; infinite where something must be chosen.
    chosen : shape (groups,), column of the Lagrangian maximiser (-1: nothing).
    reduced : shape (k,), value less what the linking rows cost.
    local_price, block_value : shape (blocks,), of the local row, and largest reduced value of the block.
    """

    multipliers: FloatArray
    regret: FloatArray
    idle_regret: FloatArray
    chosen: IntArray
    reduced: FloatArray
    local_price: FloatArray
    block_value: FloatArray


@dataclass(frozen=True)
class _Entries:
    """Columns of one cluster (-1: nothing) and their regret; ``num_rows`` they may touch."""

    group: IntArray
    column: IntArray
    regret: FloatArray
    num_rows: int


@dataclass(frozen=True)
class _Scratch:
    """Working arrays of the exchanges, shape (rows,): see the kernels."""

    place: IntArray
    floor: FloatArray
    ceiling: FloatArray
    price: FloatArray


class PlanSearch:
    """Search for plans of one structure, the columns outside the groups held.

    A plan is the column chosen in each group (-1: nothing), shape (groups,).

    Attributes
    ----------
    multipliers, wide : shape (rows,), of the linking rows and the mirror images of equations.
    """

    def __init__(self, s: ChoiceStructure, prices: Prices, clusters: Clusters, seed: int) -> None:
        self._s, self._prices, self._seed = s, prices, seed
        self._block = s.block_of_group
        self._mirrored = np.flatnonzero(s.equal)
        self._link = _with_mirror_images(s)
        self._link_arrays = (
            self._link.indptr.astype(np.int64, copy=False),
            self._link.indices.astype(np.int32, copy=False),
            self._link.data,
        )
        mirror = -prices.multipliers[self._mirrored]
        self.multipliers = np.maximum(np.concatenate([prices.multipliers, mirror]), 0.0)
        self._side = np.concatenate([s.side, -s.side[self._mirrored]])
        self._room = _ROUNDING * np.maximum(1.0, np.abs(self._side))
        # Where every row is wide, all rows are kept from the start.
        self.wide = np.zeros(len(self._side), dtype=np.bool_)
        if clusters.number > 1 and len(clusters.wide) < np.count_nonzero(s.row_use):
            self.wide[clusters.wide] = True
            self.wide[len(s.side) :] = self.wide[self._mirrored]
        self._capacity = np.where(np.isfinite(s.capacity), s.capacity, _UNLIMITED)
        self._near_start, self._near_column = _near_columns(s, prices)
        self._row_start, self._row_group = self._groups_by_row()
        self._clusters = self._entries_by_cluster(clusters)

    @property
    def has_wide_rows(self) -> bool:
        return bool(self.wide.any())

    @property
    def link(self) -> sp.csc_array:
        """Use of the linking rows by the choice columns, shape (rows, k)."""
        return self._link[: len(self._s.side)] if len(self._mirrored) else self._link

    def value(self, chosen: IntArray) -> float:
        """Value of the groups."""
        return float(self._s.value[chosen[chosen >= 0]].sum())

    def find(self, others: FloatArray, watch: Watch) -> IntArray | None:
        """A plan from the multipliers alone; None: no repair ended well.

        Parameters
        ----------
        others : shape (o,), the columns outside the groups, held.
        """
        chosen = self._prices.chosen
        if self.has_wide_rows:
            repaired = self.repaired(chosen, others, watch, keep_wide=False)
            if repaired is not None:
                first = watch.child(seconds=_SHARE_BEFORE_LANDING * watch.remaining())
                chosen = self.exchanged(repaired, others, first, wide_priced=True)
        return self.landed(chosen, others, watch)

    @property
    def maximiser(self) -> IntArray:
        """The Lagrangian maximiser, which may break rows."""
        return self._prices.chosen

    def repaired_in_turns(
        self, chosen: IntArray, others: FloatArray, fit: Callable[[IntArray], FloatArray], watch: Watch
    ) -> IntArray | None:
        """``chosen`` repaired and the columns outside the groups fitted to it, in turns; None: rows stay broken.

        Parameters
        ----------
        others : shape (o,), first values of the columns outside the groups.
        fit : values of theirs, shape (o,), with which a choice breaks rows least.
        """
        found = chosen.copy()
        slack, space, penalty = self._slack(found, others), self._space(found), self._first_penalty()
        before = np.inf
        for turn in range(_MOST_TURNS):
            broken = self._repair(found, slack, space, penalty, _STEPS_OF_TURN, self._seed + turn)
            if broken == 0:
                return found
            if watch.must_stop:
                return None
            is_stuck = broken > _STUCK * before
            before = np.inf if is_stuck else broken
            if is_stuck:
                slack, penalty = self._slack(found, fit(found)), self._first_penalty()
        return None

    def landed(self, chosen: IntArray, others: FloatArray, watch: Watch) -> IntArray | None:
        """A plan close to ``chosen``, which may break rows; None: not found.

        Broken rows cost a little more than their multiplier at first, then more and more, so that
        the exchanges which lose least for what they free come first.
        """
        premium = _FIRST_PREMIUM
        least = 0.25 * _typical(self.multipliers)
        while premium <= _LAST_PREMIUM and not watch.must_stop:
            broken = self._slack(chosen, others) < -self._room
            if not broken.any():
                break
            price = np.where(broken, premium * np.maximum(self.multipliers, least), 0.0)
            chosen = self.exchanged(chosen, others, watch, price=price, num_triples=0)
            premium *= _PREMIUM_GROWTH
        repaired = self.repaired(chosen, others, watch)
        return None if repaired is None else self.exchanged(repaired, others, watch)

    def repaired(
        self, chosen: IntArray, others: FloatArray, watch: Watch, *, keep_wide: bool = True
    ) -> IntArray | None:
        """``chosen`` with groups moved until every row (but the wide ones, if these need not) holds."""
        slices = 1 + _REPAIR_STEPS_PER_GROUP * self._s.num_groups // _REPAIR_STEPS
        for attempt in range(_REPAIR_ATTEMPTS):
            found = chosen.copy()
            slack, space = self._slack(found, others), self._space(found)
            if not keep_wide:
                slack[self.wide] = _UNLIMITED
            penalty = self._first_penalty()
            for number in range(slices):
                seed = self._seed + attempt + _REPAIR_ATTEMPTS * number
                if self._repair(found, slack, space, penalty, _REPAIR_STEPS, seed) == 0:
                    return found
                if watch.must_stop:
                    return None
        return None

    def _first_penalty(self) -> FloatArray:
        return np.asarray(np.maximum(2.0 * self.multipliers, 0.25 * _typical(self.multipliers)))

    def _repair(
        self,
        found: IntArray,
        slack: FloatArray,
        space: FloatArray,
        penalty: FloatArray,
        steps: int,
        seed: int,
    ) -> int:
        """Move groups of ``found``, all arrays in place; the number of rows that are still broken."""
        return int(
            kernels.repair(
                self._near_start, self._near_column, self._row_start, self._row_group, self._block,
                self._s.weight, self._prices.regret, self._prices.idle_regret, *self._link_arrays, self._room,
                found, slack, space, penalty, steps, seed,
            )
        )  # fmt: skip

    def exchanged(
        self,
        chosen: IntArray,
        others: FloatArray,
        watch: Watch,
        *,
        wide_priced: bool = False,
        price: FloatArray | None = None,
        num_triples: int = _TRIPLED_MOVES,
    ) -> IntArray:
        """Exchanges cluster by cluster until none is left or time is up; broken rows get no worse.

        Parameters
        ----------
        wide_priced : wide rows cost their multiplier and need not be kept.
        price : shape (rows,), cost of using a row, e.g. of one that is broken.
        """
        chosen = chosen.copy()
        slack, space = self._slack(chosen, others), self._space(chosen)
        cost = np.zeros(len(slack)) if price is None else price.copy()
        if wide_priced:
            slack[self.wide] = _UNLIMITED
            cost[self.wide] = self.multipliers[self.wide]
        total = abs(self.value(chosen))
        least = _LEAST_GAIN * max(1.0, total) / len(self._clusters)
        broken = slack < -self._room
        scratch = _Scratch(
            place=np.full(len(slack), -1, dtype=np.int64),
            floor=np.full(len(slack), -np.inf),
            ceiling=np.where(broken, -self._room, np.inf),
            price=cost,
        )
        # With the wide rows priced the clusters are independent: once through them is enough.
        for _ in range(1 if wide_priced else _PASSES):
            gained = 0.0
            for entries in self._clusters:
                triples, rounds = 0, 0
                while not watch.must_stop:
                    gain = self._exchange(entries, chosen, slack, space, scratch, least, triples)
                    gained += gain
                    mended = broken & (slack >= -self._room)
                    if mended.any():  # what holds again costs nothing more
                        scratch.price[mended], scratch.ceiling[mended] = 0.0, np.inf
                        broken &= ~mended
                    if gain > least:
                        triples = 0
                    elif triples == 0 and num_triples and rounds < _TRIPLE_ROUNDS:
                        triples, rounds = num_triples, rounds + 1
                    else:
                        break
            if gained <= 1e-6 * total or watch.must_stop:
                break
        return chosen

    def exchanged_in_turns(
        self, chosen: IntArray, others: FloatArray, watch: Watch, enough: float
    ) -> IntArray:
        """Exchanges until the groups are worth ``enough``, or gain little of what is missing.

        The first exchanges of a cluster gain most, so each has its turn.
        """
        chosen = chosen.copy()
        slack, space = self._slack(chosen, others), self._space(chosen)
        value = self.value(chosen)
        least = _LEAST_GAIN * max(1.0, abs(value)) / len(self._clusters)
        scratch = _Scratch(
            place=np.full(len(slack), -1, dtype=np.int64),
            floor=np.full(len(slack), -np.inf),
            ceiling=np.full(len(slack), np.inf),
            price=np.zeros(len(slack)),
        )
        while value < enough and not watch.must_stop:
            missing = enough - value
            for entries in self._clusters:
                value += self._exchange(entries, chosen, slack, space, scratch, least, 0, _MOVES_OF_TURN)
            if value - (enough - missing) <= _LEAST_OF_TURNS * missing:
                break
        return chosen

    def _exchange(
        self,
        entries: _Entries,
        chosen: IntArray,
        slack: FloatArray,
        space: FloatArray,
        scratch: _Scratch,
        least: float,
        num_triples: int,
        num_moves: int = _PAIRED_MOVES,
    ) -> float:
        s = self._s
        group, column = self._least_moves(entries, chosen, num_moves)
        size = len(group)
        gain, load = np.empty(size), np.empty(size)
        rows, change = np.empty(entries.num_rows, dtype=np.int64), np.empty((size, entries.num_rows))
        count, kept = kernels.gather(
            group, column, s.value, s.weight, *self._link_arrays, chosen, slack, scratch.place, rows,
            change, gain, load, scratch.floor, scratch.price,
        )  # fmt: skip
        dirty = np.zeros(s.num_groups, dtype=np.bool_)
        gained = kernels.exchange(
            count, kept, group, column, gain, load, change, rows, self._block, *self._link_arrays,
            chosen, slack, space, dirty, scratch.floor, scratch.ceiling, least, num_triples,
        )  # fmt: skip
        return float(gained)

    def _slack(self, chosen: IntArray, others: FloatArray) -> FloatArray:
        s = self._s
        use = kernels.use_of(chosen, s.link_start, s.link_row, s.link_coefficient, len(s.side))
        slack = s.side - use - s.others_link @ others
        return np.concatenate([slack, -slack[self._mirrored]])

    def _space(self, chosen: IntArray) -> FloatArray:
        s = self._s
        some = chosen >= 0
        load = np.bincount(self._block[some], s.weight[chosen[some]], minlength=s.num_blocks)
        return self._capacity - load

    def _groups_by_row(self) -> tuple[IntArray, IntArray]:
        """Groups with a near column in each row."""
        start, row, _ = self._link_arrays
        first, group = members_by_row(self._near_start, self._near_column, start, row, self._link.shape[0])
        return first, group

    def _entries_by_cluster(self, clusters: Clusters) -> list[_Entries]:
        """The near columns (and choosing nothing, where allowed) by cluster, with their regret."""
        s, prices = self._s, self._prices
        group = np.repeat(np.arange(s.num_groups), np.diff(self._near_start))
        column = self._near_column
        regret = np.where(column >= 0, prices.regret[column], prices.idle_regret[group])
        cluster = clusters.of_group if self.has_wide_rows else np.zeros(s.num_groups, dtype=np.int64)
        order = np.argsort(cluster[group], kind="stable")
        start = np.searchsorted(cluster[group[order]], np.arange(int(cluster.max(initial=0)) + 2))
        row_start, row_group, _ = self._link_arrays
        found = []
        for first, last in itertools.pairwise(start):
            own = order[first:last]
            rows = kernels.count_rows(
                np.unique(group[own]), s.group_start, row_start, row_group, self._link.shape[0]
            )
            found.append(_Entries(group[own], column[own], regret[own], rows))
        return found

    def _least_moves(self, entries: _Entries, chosen: IntArray, number: int) -> tuple[IntArray, IntArray]:
        """Group and new column of the ``number`` moves that lose least against ``chosen``, least first."""
        held = chosen[entries.group]
        loss = entries.regret - self._regret_of(held, entries.group)
        moving = np.flatnonzero(held != entries.column)
        loss = loss[moving]
        if len(moving) > number:
            nearest = np.argpartition(loss, number)[:number]
            moving, loss = moving[nearest], loss[nearest]
        moving = moving[np.argsort(loss, kind="stable")]
        return entries.group[moving], entries.column[moving]

    def _regret_of(self, column: IntArray, group: IntArray) -> FloatArray:
        """Regret of columns of some groups, -1 for nothing."""
        regret = self._prices.regret[column] if len(self._prices.regret) else np.zeros(len(column))
        return np.where(column >= 0, regret, self._prices.idle_regret[group])


def _with_mirror_images(s: ChoiceStructure) -> sp.csc_array:
    """Linking rows, then each equation once more with its sign turned: all are ``use <= side``."""
    # scipy takes the wider of both index types, and would copy all rows for it
    start = s.link_start.astype(s.link_row.dtype) if len(s.link_row) <= _LARGEST_INT32 else s.link_start
    link = sp.csc_array((s.link_coefficient, s.link_row, start), shape=(len(s.side), len(s.columns)))
    if not s.equal.any():
        return link
    return sp.csc_array(sp.vstack([link, -link.tocsr()[np.flatnonzero(s.equal)]], format="csc"))


def _near_columns(s: ChoiceStructure, prices: Prices) -> tuple[IntArray, IntArray]:
    """The columns of least regret of each group, choosing nothing (-1) among them where allowed."""
    start, column = kernels.near_columns(
        s.group_start, s.must_choose, prices.regret, prices.idle_regret, _NEAR_PER_GROUP
    )
    return start, column


def _typical(multipliers: FloatArray) -> float:
    largest = float(multipliers.max(initial=0.0))
    positive = multipliers[multipliers > 1e-9 * largest]
    return float(np.median(positive)) if len(positive) else 1.0

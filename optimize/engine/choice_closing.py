"""A better bound of a choice programme: clusters solved whole, with only the wide rows at their prices.

The Lagrangian bound L(y) prices every linking row, so that a cluster's own rows (a district's budget of each
year) are filled to the brim with parts of projects.  With multipliers y of the wide rows W alone,

    B(y) = y_W'b_W + sum_d max { (c - G_W'y_W)'x : x in X_d, G_d x <= b_d }

is a bound, too, and never above L(y), which relaxes the programmes of the clusters d (Guignard and Kim 1987).
These are small: with L_d the cluster's part of L(y) and z_d what a plan is worth there, a column whose regret
is more than L_d - z_d stands in no better choice.  Where dear changes leave blocks few choices, that is nearly
all of them.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine.choice_clusters import Clusters
from optimize.engine.choice_search import Prices
from optimize.engine.choice_structure import ChoiceStructure
from optimize.engine.choice_tree import solve_by_tree
from optimize.engine.stopping import Watch
from optimize.milp import Milp, MilpBuilder

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# A cluster is solved to this share of the wanted gap, within this share of the time; not where there is room for
# less than this share of the gap of all, or so few groups.
_SHARE_OF_GAP = 0.1
_SHARE_OF_TIME = 0.005
_LEAST_ROOM = 0.005
_FEWEST_GROUPS = 8
_ROUNDING = 1e-9


class ClusterBound:
    """The bound of one structure.

    Parameters
    ----------
    prices : exact for ``s`` at its multipliers.
    link : shape (rows, k), use of the linking rows by the choice columns.
    """

    def __init__(
        self, s: ChoiceStructure, prices: Prices, clusters: Clusters, link: sp.csc_array, watch: Watch
    ) -> None:
        self._s, self._prices, self._watch = s, prices, watch
        self._of_group, self._number = clusters.of_group, clusters.number
        self._of_column = clusters.of_group[s.group_of_column]
        self._of_row = self._narrow_rows(clusters, link)
        self._rows = sp.csr_array(link)
        self._profit = s.value - link.T @ np.where(self._of_row < 0, prices.multipliers, 0.0)
        self._loss, self._idle_loss = self._losses()

    def bound(self, chosen: IntArray, enough: float) -> float:
        """A bound on the objective, at most that of all prices; clusters with the most room come first.

        Parameters
        ----------
        chosen : shape (groups,), a choice that keeps the rows of the clusters; others may break.
        enough : a bound this good ends the search for a better one.
        """
        s, y = self._s, self._prices.multipliers
        narrow = self._of_row >= 0
        part = np.bincount(self._of_group[s.block_start[:-1]], self._prices.block_value, self._number)
        part += np.bincount(self._of_row[narrow], (y * s.side)[narrow], self._number)
        picked = chosen[chosen >= 0]
        room = np.maximum(
            part - np.bincount(self._of_column[picked], self._profit[picked], self._number), 0.0
        )
        reduced = s.others_value - s.others_link.T @ y
        boxes = np.where(reduced > 0, reduced * s.others_upper, reduced * s.others_lower)
        total = float(part.sum() + (y * s.side)[~narrow].sum() + boxes.sum())
        least = _LEAST_ROOM * self._watch.gap * abs(total)
        wanted = s.sign * (enough - s.offset)
        size = np.bincount(self._of_group, minlength=self._number)
        for d in np.argsort(-room, kind="stable").tolist():
            if self._watch.must_stop or total <= wanted or room[d] <= least:
                break
            if size[d] >= _FEWEST_GROUPS:
                total -= part[d] - self._closed(d, float(part[d]), float(room[d]), chosen)
        return s.sign * total + s.offset

    def _narrow_rows(self, clusters: Clusters, link: sp.csc_array) -> IntArray:
        """The cluster of each linking row, shape (rows,); -1 where it is wide, or other columns stand in it."""
        entries = link.tocoo()
        first = np.full(len(self._s.side), self._number, dtype=np.int64)
        last = np.full(len(self._s.side), -1, dtype=np.int64)
        np.minimum.at(first, entries.row, self._of_column[entries.col])
        np.maximum.at(last, entries.row, self._of_column[entries.col])
        last[clusters.wide] = -1
        has_others = np.diff(sp.csr_array(self._s.others_link).indptr) > 0
        return np.where((first != last) | has_others, -1, last)

    def _losses(self) -> tuple[FloatArray, FloatArray]:
        """Proven loss of each choice column, shape (k,), and of choosing nothing, shape (groups,)."""
        s, prices = self._s, self._prices
        local = prices.local_price[s.block_of_group]
        best = prices.regret + prices.reduced - s.weight * local[s.group_of_column]
        of_group = np.zeros(s.num_groups)
        filled = np.flatnonzero(np.diff(s.group_start) > 0)
        of_group[filled] = np.maximum.reduceat(best, s.group_start[filled])
        of_group = np.where(s.must_choose, of_group, np.maximum(of_group, 0.0))
        of_capacity = np.where(np.isfinite(s.capacity), s.capacity, 0.0) * prices.local_price
        # The block's Lagrangian bound, off which a forced choice takes its regret, may lie above its exact one.
        priced = of_capacity + np.bincount(s.block_of_group, of_group, s.num_blocks)
        surplus = np.maximum(priced - prices.block_value, 0.0)[s.block_of_group]
        loss = np.maximum(prices.regret - surplus[s.group_of_column], 0.0)
        loss[prices.chosen[prices.chosen >= 0]] = 0.0
        idle_loss = np.maximum(prices.idle_regret - surplus, 0.0)
        return loss, np.where(prices.chosen < 0, 0.0, idle_loss)

    def _closed(self, d: int, part: float, room: float, chosen: IntArray) -> float:
        """A bound on cluster ``d`` between what ``chosen`` has there and its Lagrangian ``part``."""
        reach = room + _ROUNDING * (abs(part) + room)
        columns = np.flatnonzero((self._of_column == d) & (self._loss <= reach))
        programme = self._programme(d, columns, reach)
        start = np.isin(columns, chosen[self._of_group == d]).astype(np.float64)
        seconds = _SHARE_OF_TIME * self._watch.remaining()
        limits = self._watch.child(seconds=seconds, gap=_SHARE_OF_GAP * self._watch.gap, maximise=True)
        outcome = solve_by_tree(programme, limits, start)
        if outcome is None or outcome.bound is None:
            return part
        return float(np.clip(outcome.bound, part - room, part))

    def _programme(self, d: int, columns: IntArray, reach: float) -> Milp:
        """Cluster ``d`` on the columns that lose at most ``reach``, the wide rows priced."""
        s = self._s
        groups, rows = np.flatnonzero(self._of_group == d), np.flatnonzero(self._of_row == d)
        tied = np.unique(s.block_of_group[groups])
        tied = tied[np.isfinite(s.capacity[tied])]
        group = s.group_of_column[columns]
        block = s.block_of_group[group]
        is_tied = np.isfinite(s.capacity[block])
        builder = MilpBuilder(maximise=True)
        x = builder.add_columns("x", len(columns), upper=1.0, cost=self._profit[columns], integral=True)
        must = s.must_choose[groups] | (self._idle_loss[groups] > reach)
        one = [(np.searchsorted(groups, group), x, 1.0)]
        builder.add_rows("one", len(groups), one, lower=np.where(must, 1.0, -np.inf), upper=1.0)
        local = [(np.searchsorted(tied, block[is_tied]), x[is_tied], s.weight[columns[is_tied]])]
        builder.add_rows("local", len(tied), local, upper=s.capacity[tied])
        use = sp.csr_array(self._rows[rows][:, columns]).tocoo()
        spare = _ROUNDING * np.abs(s.side[rows])
        lower = np.where(s.equal[rows], s.side[rows] - spare, -np.inf)
        builder.add_rows(
            "own", len(rows), [(use.row, x[use.col], use.data)], lower=lower, upper=s.side[rows] + spare
        )
        return builder.build()

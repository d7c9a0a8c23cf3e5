"""Better plans by branch and cut on one cluster at a time, the wide rows priced.

With the rows of the whole city priced instead of kept, the clusters are problems of their own and
do not block each other.  Their plans together use nearly what there is of the wide rows; landing
(`choice_search`) makes them one plan.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine.choice_clusters import Clusters
from optimize.engine.choice_search import PlanSearch
from optimize.engine.choice_structure import ChoiceStructure
from optimize.engine.highs import solve_lp, solve_milp
from optimize.engine.stopping import Watch
from optimize.milp import Milp, MilpBuilder

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_FEASIBLE = 1e-7
_FEWEST_CLUSTERS = 3
# Columns of a cluster that are free in its first programme, and how many more in the next round.
_NEAR_COLUMNS = 800
_NEAR_GROWTH = 1.6
_NODES = 300
# A round over all clusters takes at most this share of the time that is left.
_SHARE_OF_TIME = 0.4
_MOST_ROUNDS = 6


class Polish:
    """Plans of ``milp`` (as columns x) from a `PlanSearch` on its structure.

    Parameters
    ----------
    others : shape (o,), first values of the columns outside the groups.
    """

    def __init__(
        self,
        milp: Milp,
        s: ChoiceStructure,
        search: PlanSearch,
        clusters: Clusters,
        others: FloatArray,
        watch: Watch,
    ) -> None:
        self._milp, self._s, self._search, self._clusters = milp, s, search, clusters
        self._others, self._watch = others, watch
        self._link = sp.csc_array(
            (s.link_coefficient, s.link_row, s.link_start), shape=(len(s.side), len(s.columns))
        )

    def quick_plan(self) -> FloatArray | None:
        """A plan by repair alone; None: not found."""
        chosen = self._search.repaired_maximiser(self._others)
        return None if chosen is None else self._offered(self._as_plan(chosen))

    def first_plan(self) -> FloatArray | None:
        """A plan from the multipliers alone; None: not found."""
        quick = self.quick_plan()
        chosen = self._search.find(self._others, self._watch)
        return self.best(quick, None if chosen is None else self._offered(self._as_plan(chosen)))

    def mended(self, x: FloatArray) -> FloatArray | None:
        """A plan close to ``x``, which breaks rows (a plan of a similar programme); None: not found."""
        chosen = self._search.landed(self._chosen_of(x), self._others, self._watch)
        return None if chosen is None else self._offered(self._as_plan(chosen))

    def best(self, *plans: FloatArray | None) -> FloatArray | None:
        """The best of the plans there are."""
        return max((plan for plan in plans if plan is not None), key=self._worth, default=None)

    def _offered(self, x: FloatArray | None) -> FloatArray | None:
        if x is not None:
            self._watch.offer_plan(self._milp.value(x))
        return x

    def _worth(self, x: FloatArray) -> float:
        return self._s.sign * self._milp.value(x)

    def better(self, x: FloatArray, than: FloatArray) -> bool:
        """Whether ``x`` has the better objective."""
        return self._worth(x) > self._worth(than)

    def exchanged(self, x: FloatArray) -> FloatArray:
        """A plan at least as good as the plan ``x``, by exchanges."""
        s = self._s
        found = self._as_plan(self._search.exchanged(self._chosen_of(x), x[s.others], self._watch))
        return found if found is not None and self.better(found, x) else x

    def improved(self, x: FloatArray) -> FloatArray:
        """A plan at least as good as the plan ``x``: clusters solved one by one, then landed."""
        if not self._search.has_wide_rows or self._clusters.number < _FEWEST_CLUSTERS:
            return x
        watch, best = self._watch, x
        chosen = self._search.exchanged(self._chosen_of(x), x[self._s.others], watch, wide_priced=True)
        near, busy = _NEAR_COLUMNS, np.ones(self._clusters.number, dtype=np.bool_)
        for _ in range(_MOST_ROUNDS):
            if watch.must_stop or watch.gap_reached:
                break
            seconds = _SHARE_OF_TIME * watch.remaining() / max(int(busy.sum()), 1)
            for cluster in np.flatnonzero(busy).tolist():
                chosen, moved = self._solve_cluster(cluster, chosen, x[self._s.others], near, seconds)
                busy[cluster] = moved
            landed = self._search.landed(chosen, x[self._s.others], watch)
            found = None if landed is None else self._as_plan(landed)
            if found is not None and self.better(found, best):
                best = found
                watch.offer_plan(self._milp.value(best))
            if not busy.any():
                busy[:] = True
                near = int(near * _NEAR_GROWTH)
        return best

    def _solve_cluster(
        self, cluster: int, chosen: IntArray, others: FloatArray, near: int, seconds: float
    ) -> tuple[IntArray, bool]:
        """``chosen`` with the groups of one cluster chosen anew, and whether that was worth it."""
        if self._watch.must_stop:
            return chosen, False
        s = self._s
        groups = np.flatnonzero(self._clusters.of_group == cluster)
        columns = self._search.near_columns(cluster, near)
        kept = chosen[groups]
        columns = np.union1d(columns, kept[kept >= 0])
        part, start = self._part(columns, chosen, others)
        limits = self._watch.child(seconds=seconds, gap=0.02 * self._watch.gap)
        limits.maximise = True
        outcome = solve_milp(part, limits, start, max_nodes=_NODES)
        if outcome.x is None or part.value(outcome.x) <= part.value(start) * (1 + 1e-9):
            return chosen, False
        found = chosen.copy()
        found[groups] = -1
        picked = columns[outcome.x > 0.5]
        found[s.group_of_column[picked]] = picked
        return found, True

    def _part(self, columns: IntArray, chosen: IntArray, others: FloatArray) -> tuple[Milp, FloatArray]:
        """The programme of one cluster on ``columns``: wide rows priced, all other rows kept."""
        s = self._s
        builder = MilpBuilder(maximise=True)
        value = self._search.priced_values()[columns]
        x = builder.add_columns("chosen", len(columns), upper=1.0, cost=value, integral=True)
        group = np.unique(s.group_of_column[columns], return_inverse=True)
        must = s.must_choose[group[0]]
        builder.add_rows(
            "one", len(must), [(group[1], x, 1.0)], lower=np.where(must, 1.0, -np.inf), upper=1.0
        )
        block = s.block_of_group[s.group_of_column[columns]]
        local = np.isfinite(s.capacity)[block]
        names, row = np.unique(block[local], return_inverse=True)
        builder.add_rows(
            "local", len(names), [(row, x[local], s.weight[columns][local])], upper=s.capacity[names]
        )
        narrow = ~self._search.wide[: len(s.side)]
        link = self._link[:, columns].tocoo()
        inside = narrow[link.row]
        rows, row = np.unique(link.row[inside], return_inverse=True)
        taken = self._link @ _indicator(chosen, len(s.columns), s.group_of_column, columns)
        side = (s.side - taken - s.others_link @ others)[rows]
        lower = np.where(s.equal[rows], side, -np.inf)
        builder.add_rows(
            "link", len(rows), [(row, x[link.col[inside]], link.data[inside])], lower=lower, upper=side
        )
        start = (chosen[s.group_of_column[columns]] == columns).astype(np.float64)
        return builder.build(), start

    def _chosen_of(self, x: FloatArray) -> IntArray:
        s = self._s
        picked = np.flatnonzero(x[s.columns] > 0.5)
        chosen = np.full(s.num_groups, -1, dtype=np.int64)
        chosen[s.group_of_column[picked]] = picked
        return chosen

    def _as_plan(self, chosen: IntArray) -> FloatArray | None:
        """Columns of the programme with the rest at its best; None where a row is broken."""
        s, milp = self._s, self._milp
        x = np.clip(np.zeros(milp.num_columns), milp.lower, milp.upper)
        x[s.columns] = 0.0
        x[s.columns[chosen[chosen >= 0]]] = 1.0
        if len(s.others):
            free = np.zeros(milp.num_columns, dtype=np.bool_)
            free[s.others] = True
            rest = solve_lp(milp.restricted(free, x), self._watch)
            if rest.x is None:
                return None
            x[s.others] = rest.x
        return x if milp.violation(x) <= _FEASIBLE else None


def _indicator(
    chosen: IntArray, num_columns: int, group_of_column: IntArray, columns: IntArray
) -> FloatArray:
    """1 for the chosen columns of the groups that have none of ``columns``."""
    held = chosen.copy()
    held[group_of_column[columns]] = -1
    values = np.zeros(num_columns)
    values[held[held >= 0]] = 1.0
    return values

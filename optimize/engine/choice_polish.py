"""Plans of a programme from a search on its choice structure: the columns outside the groups come along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine import choice_search_kernels as kernels
from optimize.engine.choice_closing import ClusterBound
from optimize.engine.choice_clusters import Clusters, cluster_blocks
from optimize.engine.choice_patterns import UNDECIDED_TURNS, PatternSearch, first_patterns, more_patterns
from optimize.engine.choice_projection import project
from optimize.engine.choice_search import PlanSearch, Prices
from optimize.engine.choice_structure import ChoiceStructure
from optimize.engine.highs import solve_lp
from optimize.engine.stopping import Watch
from optimize.milp import Milp, MilpBuilder

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_FEASIBLE = 1e-7
_MOST_ROUNDS = 60
# A round that gains less than this share of the wanted gap is fruitless; so many in a row are enough.
_FRUITFUL = 0.02
_LEAST_GAP = 1e-5
# A plan by repair alone is found soon or not worth more than this share of the time.
_SHARE_OF_REPAIR = 0.15
_FRUITLESS_ROUNDS = 3
# Share of blocks with a local row from which the patterns' linear programme is worth its while.
_LEAST_TIED = 0.3
# What breaking a row costs against its multiplier while other columns are fitted to a choice.
_BREAKING = 1e3


class Polish:
    """Plans of ``milp``, as columns x of shape (n,).

    Parameters
    ----------
    others : shape (o,), first values of the columns outside the groups.
    """

    def __init__(
        self,
        milp: Milp,
        s: ChoiceStructure,
        prices: Prices,
        clusters: Clusters,
        others: FloatArray,
        watch: Watch,
    ) -> None:
        self._milp, self._whole, self._watch = milp, s, watch
        # What only helps follows from the choices, so that exchanges need not hold it.
        projection = project(s)
        if projection is not None:
            s, others = projection.structure, others[projection.kept]
            prices = replace(prices, multipliers=projection.multipliers(prices.multipliers))
            clusters = cluster_blocks(s, clusters.num_parts)
        self._s, self._others, self._prices, self._clusters = s, others, prices, clusters
        self._search = PlanSearch(s, prices, clusters, watch.options.seed)

    @property
    def structure(self) -> ChoiceStructure:
        """What is searched: the choices, without columns that only help."""
        return self._s

    @property
    def multipliers(self) -> FloatArray:
        """Of the linking rows of `structure`."""
        return self._prices.multipliers

    @cached_property
    def _patterns(self) -> PatternSearch:
        return PatternSearch(self._s, self._prices, self._clusters, self._search.link, self._watch)

    def quick_plan(self) -> FloatArray | None:
        """A plan by repair alone; None: not found."""
        return self._repaired(self._search.maximiser, self._others)

    def first_plan(self) -> FloatArray | None:
        """A plan from the patterns' linear programme, rounded and exchanged; None: not found."""
        # where few blocks have a row of their own, patterns are hardly more than single columns
        tied = np.isfinite(self._s.capacity).mean() > _LEAST_TIED
        rounded = self._patterns.rounded() if tied else None
        if rounded is not None:
            chosen = self._search.repaired(*rounded, self._watch)
            found = None if chosen is None else self._offered(self._as_plan(chosen))
            if found is not None:
                return self._offered(self.exchanged(found))
        chosen = self._search.find(self._others, self._watch)
        return None if chosen is None else self._offered(self._as_plan(chosen))

    def mended(self, x: FloatArray) -> FloatArray | None:
        """A plan close to ``x``, which breaks rows (a plan of a similar programme); None: not found."""
        return self._repaired(self._chosen_of(x), x[self._s.others])

    def _repaired(self, chosen: IntArray, others: FloatArray) -> FloatArray | None:
        watch = self._shortly()
        if len(self._s.others):
            found = self._search.repaired_in_turns(chosen, others, self._fitted, watch)
        else:
            found = self._search.repaired(chosen, others, watch)
        return None if found is None else self._offered(self._as_plan(found))

    def _fitted(self, chosen: IntArray) -> FloatArray:
        """The columns outside the groups, shape (o,), where the choice breaks rows least."""
        s = self._s
        use = kernels.use_of(chosen, s.link_start, s.link_row, s.link_coefficient, len(s.side))
        link = sp.coo_array(s.others_link)
        rows, row = np.unique(link.coords[0], return_inverse=True)
        column = np.asarray(link.coords[1], dtype=np.int64)
        side, equal = (s.side - use)[rows], s.equal[rows]
        multipliers = self._prices.multipliers[rows]
        price = _BREAKING * np.maximum(np.abs(multipliers), np.abs(multipliers).mean() + 1e-9)
        builder = MilpBuilder(maximise=True)
        others = builder.add_columns(
            "others", len(s.others), lower=s.others_lower, upper=s.others_upper, cost=s.others_value
        )
        above = builder.add_columns("above", len(rows), cost=-price)
        below = builder.add_columns("below", len(rows), upper=np.where(equal, np.inf, 0.0), cost=-price)
        builder.add_rows(
            "link",
            len(rows),
            [(row, others[column], link.data), (None, above, -1.0), (None, below, 1.0)],
            lower=np.where(equal, side, -np.inf),
            upper=side,
        )
        found = solve_lp(builder.build(), self._watch)
        return self._others if found.x is None else found.x[others]

    def _shortly(self) -> Watch:
        return self._watch.child(seconds=_SHARE_OF_REPAIR * self._watch.remaining())

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

    def quickly(self, x: FloatArray | None, bound: float) -> FloatArray | None:
        """The best plan of a second or so: ``x`` or one by repair alone, and its most rewarding exchanges.

        None: no plan was found.
        """
        best = self.best(x, self.quick_plan())
        return None if best is None else self.exchanged_in_turns(best, self._watch.within_gap(bound))

    def decided(
        self, bound: float, best: FloatArray | None = None, turns: Sequence[int] = range(UNDECIDED_TURNS)
    ) -> FloatArray | None:
        """A plan near the patterns' linear programme, where that is undecided by branch and cut, and exchanges.

        Where that is not enough, more blocks are decided, around the best plan (``best`` is one).  None: not found.

        Parameters
        ----------
        turns : which of the searches of `PatternSearch.decided`; 0 begins near the linear programme.
        """
        s, enough = self._s, self._watch.within_gap(bound)
        rounded = self._patterns.rounded()
        if rounded is None:
            return best
        begin = None if best is None else self._chosen_of(best)
        if turns[0] == 0 or begin is None:
            near = self._search.repaired(*rounded, self._shortly())
            begin = begin if near is None else near
        for turn in turns:
            if begin is None:
                break
            of_groups = s.sign * (enough - s.offset) - float(s.others_value @ rounded[1])
            found = self._patterns.decided(begin, of_groups, turn)
            plan = self._offered(self._as_plan(begin if found is None else found))
            if plan is not None:
                best = self.best(best, self.exchanged_in_turns(plan, enough))
            if best is None or self._watch.must_stop or s.sign * self._milp.value(best) >= s.sign * enough:
                break
            begin = self._chosen_of(best)
        return best

    def closed(self, prices: Prices, x: FloatArray) -> float:
        """A bound on the objective from clusters solved whole, around the plan ``x``; see `ClusterBound`.

        Parameters
        ----------
        prices : of `structure`, exact at `multipliers`.
        """
        clusters = ClusterBound(self._s, prices, self._clusters, self._search.link, self._watch)
        # With wide rows priced, exchanges soon find what a cluster by itself is worth, and few columns are left.
        apart = self._search.exchanged(
            self._chosen_of(x), x[self._s.others], self._watch, wide_priced=True, num_triples=0
        )
        value = self._milp.value(x)
        return clusters.bound(apart, value + self._s.sign * self._watch.gap * abs(value))

    def exchanged(self, x: FloatArray) -> FloatArray:
        """A plan at least as good as the plan ``x``, by exchanges."""
        s = self._s
        found = self._as_plan(self._search.exchanged(self._chosen_of(x), x[s.others], self._watch))
        return found if found is not None and self.better(found, x) else x

    def exchanged_in_turns(self, x: FloatArray, enough: float) -> FloatArray:
        """The same by the most rewarding exchanges only, and only until the objective is ``enough``."""
        chosen = self._search.exchanged_in_turns(
            self._chosen_of(x), x[self._s.others], self._watch, self._of_groups(enough, x)
        )
        found = self._as_plan(chosen)
        if found is None or not self.better(found, x):
            return x
        self._offered(found)
        return found

    def improved(self, x: FloatArray) -> FloatArray:
        """A plan at least as good as the plan ``x``: patterns of some blocks at a time, then exchanges."""
        watch, best, patterns, fruitless = self._watch, x, first_patterns(), 0
        for _ in range(_MOST_ROUNDS):
            if watch.must_stop or watch.gap_reached:
                break
            chosen, gained = self._patterns.improved(
                self._chosen_of(best), best[self._s.others], patterns, self._enough(best)
            )
            found = self._as_plan(chosen) if gained > 0.0 else None
            if found is not None and self.better(found, best):
                best = found
                self._offered(best)
                if not watch.gap_reached:
                    best = self.exchanged(best)
                    self._offered(best)
            if gained > _FRUITFUL * max(watch.gap, _LEAST_GAP) * abs(self._worth(best)):
                fruitless = 0
                continue
            more = more_patterns(patterns)
            fruitless += 1
            if more is None and fruitless >= _FRUITLESS_ROUNDS:
                break
            patterns = more or patterns
        return best

    def _enough(self, x: FloatArray) -> float:
        """What the groups have to be worth beside the other columns of ``x`` for the wanted gap."""
        bound = self._watch.bound
        return np.inf if bound is None else self._of_groups(self._watch.within_gap(bound), x)

    def _of_groups(self, objective: float, x: FloatArray) -> float:
        s = self._s
        return s.sign * (objective - s.offset) - float(s.others_value @ x[s.others])

    def _chosen_of(self, x: FloatArray) -> IntArray:
        s = self._s
        picked = np.flatnonzero(x[s.columns] > 0.5)
        chosen = np.full(s.num_groups, -1, dtype=np.int64)
        chosen[s.group_of_column[picked]] = picked
        return chosen

    def _as_plan(self, chosen: IntArray) -> FloatArray | None:
        """Columns of the programme with the rest at its best; None where a row is broken."""
        s, milp = self._whole, self._milp
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

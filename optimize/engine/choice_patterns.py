"""Patterns: whole choices of a block that lose little at the multipliers.

A block's local row makes the linear relaxation over single columns weak; over the block's whole
choices it is as tight as the Lagrangian bound (Dantzig and Wolfe 1960).  So the patterns of small
regret serve twice: their linear programme leaves only about as many blocks undecided as there are
linking rows, which rounds to a good beginning, and branch and cut over the patterns of some blocks
at a time, all rows kept, improves a plan where exchanges of single columns no longer do.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine import choice_pattern_kernels as kernels
from optimize.engine.choice_clusters import Clusters
from optimize.engine.choice_search import Prices
from optimize.engine.choice_structure import ChoiceStructure
from optimize.engine.highs import solve_lp, solve_milp
from optimize.engine.stopping import Watch
from optimize.milp import MilpBuilder

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_MOST_PER_BLOCK = 150
# Regrets up to that of so many columns for every group beside its best, and of so many in all: least, most.
_COLUMNS_PER_GROUP = 1.5
_FEWEST_COLUMNS, _MOST_COLUMNS = 10_000, 200_000
_UNLIMITED = 1e300
# Patterns beside the best of each block in the linear programme, and what breaking a row costs there.
_IN_PROGRAMME = 20_000
_DEAR = 3.0
# Neighbourhoods: blocks, patterns of each, nodes and seconds of the first round; growth where a round is fruitless.
_BLOCKS = 100
_FIRST_PATTERNS = 40
_GROWTH = 1.7
_NODES = 150
_FEWEST_SECONDS, _MOST_SECONDS, _SHARE_OF_TIME = 1.5, 6.0, 0.05
_ROW_TOLERANCE = 1e-9
# Blocks that the linear programme is nearly undecided about and nodes, search by search; patterns of each
# block, and shares of the time left and of the wanted gap.  The first search is the root alone, without a restart:
# that takes most of the time and brings next to nothing.
_NEARLY_UNDECIDED = (60, 60, 400)
_UNDECIDED_NODES = (1, 20, 200)
_SHARE_OF_UNDECIDED = (0.15, 0.15, 0.3)
UNDECIDED_TURNS = len(_UNDECIDED_NODES)
_NEAR_PATTERNS = 10
_SHARE_OF_GAP = 0.2
_FRACTION = 1e-6


@dataclass(frozen=True)
class Patterns:
    """Patterns by block, of least regret first.

    Attributes
    ----------
    start : shape (blocks + 1,), patterns of each block.
    block, regret, value : shape (p,).
    first, column : choice columns of each pattern, ``column[first[k]:first[k + 1]]``.
    use : shape (p, rows), of the linking rows.
    """

    start: IntArray
    block: IntArray
    regret: FloatArray
    value: FloatArray
    first: IntArray
    column: IntArray
    use: sp.csr_array


def list_patterns(s: ChoiceStructure, prices: Prices, link: sp.csc_array) -> Patterns:
    """Patterns of small regret; ``link``: shape (rows, k), use of the linking rows."""
    idle = np.where(np.isfinite(prices.idle_regret), prices.idle_regret, np.inf)
    regret = np.concatenate([prices.regret, idle])
    beside = int(np.clip(_COLUMNS_PER_GROUP * s.num_groups, _FEWEST_COLUMNS, _MOST_COLUMNS))
    rank = min(beside + s.num_groups, len(regret) - 1)
    limit = float(np.partition(regret, rank)[rank]) if len(regret) else 0.0
    if not np.isfinite(limit):
        limit = float(regret[np.isfinite(regret)].max(initial=0.0))
    capacity = np.where(np.isfinite(s.capacity), s.capacity, _UNLIMITED)
    count, lost, first, column = kernels.list_patterns(
        s.block_start, s.group_start, s.must_choose, prices.reduced, s.weight, capacity,
        prices.local_price, prices.block_value, prices.chosen, limit, _MOST_PER_BLOCK,
    )  # fmt: skip
    start = np.concatenate([[0], np.cumsum(count)])
    pattern = np.repeat(np.arange(len(lost)), np.diff(first))
    # indices as wide as those of ``link``, or scipy copies all of them
    index = link.indices.dtype
    parts = (np.ones(len(column)), column.astype(index), first.astype(index))
    chosen = sp.csr_array(parts, shape=(len(lost), len(s.columns)))
    return Patterns(
        start=start,
        block=np.repeat(np.arange(s.num_blocks), count),
        regret=lost,
        value=np.asarray(np.bincount(pattern, s.value[column], minlength=len(lost)), dtype=np.float64),
        first=first,
        column=column,
        use=sp.csr_array(chosen @ link.T),
    )


@dataclass(frozen=True)
class _RelaxedPatterns:
    """The linear programme over some patterns.

    Attributes
    ----------
    inside, value : patterns of the programme, and how much of each is taken.
    others : the columns outside the groups.
    chosen : the largest pattern of each block, as the column chosen by group; rows may break.
    """

    inside: IntArray
    value: FloatArray
    others: FloatArray
    chosen: IntArray


class PatternSearch:
    """Plans of one structure from the patterns of its blocks; a plan is the column chosen by group.

    Parameters
    ----------
    link, side, equal : the linking rows as ``link x <= side``, shape (rows, k) and (rows,).
    """

    def __init__(
        self, s: ChoiceStructure, prices: Prices, clusters: Clusters, link: sp.csc_array, watch: Watch
    ) -> None:
        self._s, self._prices, self._link, self._watch = s, prices, link, watch
        self._patterns = list_patterns(s, prices, link)
        self._cluster_of_block = clusters.of_group[s.block_start[:-1]]
        self._num_clusters = clusters.number
        self._rng = np.random.default_rng(watch.options.seed)

    def rounded(self) -> tuple[IntArray, FloatArray] | None:
        """The linear programme over patterns, rounded: columns by group (rows may break), and the other columns."""
        relaxed = self._relaxed
        return None if relaxed is None else (relaxed.chosen, relaxed.others)

    def decided(self, chosen: IntArray, enough: float, turn: int) -> IntArray | None:
        """Branch and cut over the blocks that the linear programme is undecided about, and some that nearly are.

        Parameters
        ----------
        chosen : a plan near the rounded programme; the blocks in which it differs are free too.
        enough : groups worth this end the search.
        turn : from 0 to `UNDECIDED_TURNS` - 1: more blocks, more nodes and more time.
        """
        s, p, relaxed = self._s, self._patterns, self._relaxed
        if relaxed is None:
            return None
        fractional = np.minimum(relaxed.value, 1.0 - relaxed.value) > _FRACTION
        open_blocks = np.union1d(
            p.block[relaxed.inside[fractional]], s.block_of_group[chosen != relaxed.chosen]
        )
        nearly = np.setdiff1d(np.flatnonzero(np.diff(p.start) > 1), open_blocks)
        nearly = nearly[np.argsort(p.regret[p.start[nearly] + 1], kind="stable")][: _NEARLY_UNDECIDED[turn]]
        blocks = np.union1d(open_blocks, nearly)
        near = np.arange(len(p.block)) - p.start[p.block] < _NEAR_PATTERNS
        near[relaxed.inside[relaxed.value > _FRACTION]] = True
        slack = s.side - self._use_of(chosen) - s.others_link @ relaxed.others
        limits = self._watch.child(
            seconds=_SHARE_OF_UNDECIDED[turn] * self._watch.remaining(), gap=_SHARE_OF_GAP * self._watch.gap
        )
        missing = enough - self._worth(chosen)
        picked = self._solve_blocks(blocks, chosen, slack, near, limits, _UNDECIDED_NODES[turn], missing)
        return None if picked is None else self._with_patterns(chosen, picked)

    @cached_property
    def _relaxed(self) -> _RelaxedPatterns | None:
        """The linear programme over the patterns of least regret; rows give way at a price."""
        p, s = self._patterns, self._s
        beside = np.arange(len(p.regret)) != p.start[p.block]
        kept = np.flatnonzero(beside)
        if len(kept) > _IN_PROGRAMME:
            kept = kept[np.argpartition(p.regret[kept], _IN_PROGRAMME)[:_IN_PROGRAMME]]
        active = np.unique(p.block[kept])
        inside = np.sort(np.concatenate([p.start[active], kept]))
        decided = p.start[:-1][np.setdiff1d(np.arange(s.num_blocks), active)]
        side = s.side - p.use[decided].sum(axis=0)
        builder = MilpBuilder(maximise=True)
        x = builder.add_columns("pattern", len(inside), upper=1.0, cost=p.value[inside])
        others = builder.add_columns(
            "others", len(s.others), lower=s.others_lower, upper=s.others_upper, cost=s.others_value
        )
        price = np.abs(self._prices.multipliers)
        typical = float(np.median(price[price > 0])) if (price > 0).any() else 1.0
        dear = -_DEAR * np.maximum(price, 0.3 * typical)
        slack = builder.add_columns("slack", len(side), cost=dear)
        surplus = builder.add_columns("surplus", len(side), upper=np.where(s.equal, np.inf, 0.0), cost=dear)
        row = np.searchsorted(active, p.block[inside])
        builder.add_rows("one", len(active), [(row, x, 1.0)], lower=1.0, upper=1.0)
        use, other = p.use[inside].tocoo(), s.others_link.tocoo()
        terms: list[tuple[Any, Any, Any]] = [
            (use.col, x[use.row], use.data),
            (other.row, others[other.col], other.data),
            (None, slack, -1.0),
            (None, surplus, 1.0),
        ]
        builder.add_rows("link", len(side), terms, lower=np.where(s.equal, side, -np.inf), upper=side)
        outcome = solve_lp(builder.build(), self._watch.child(seconds=0.3 * self._watch.remaining()))
        if outcome.x is None:
            return None
        order = np.argsort(outcome.x[x], kind="stable")
        largest = np.empty(len(active), dtype=np.int64)
        largest[row[order]] = inside[order]
        chosen = self._with_patterns(self._prices.chosen, np.concatenate([decided, largest]))
        return _RelaxedPatterns(inside, outcome.x[x], outcome.x[others], chosen)

    def improved(
        self, chosen: IntArray, others: FloatArray, patterns: int, enough: float = np.inf
    ) -> tuple[IntArray, float]:
        """One round: some blocks of every cluster chosen anew by branch and cut; the plan, and what it gained.

        The round ends when the groups are worth ``enough``.
        """
        threads = self._watch.options.threads
        gained, parts, worth = 0.0, self._neighbourhoods(), self._worth(chosen)
        near = np.arange(len(self._patterns.block)) - self._patterns.start[self._patterns.block] < patterns
        for position in range(0, len(parts), threads):
            if self._watch.must_stop or worth + gained >= enough:
                break
            slack = self._s.side - self._use_of(chosen) - self._s.others_link @ others
            # what rows of several clusters have left is split between those solved side by side
            together = [self._some_of(blocks, chosen) for blocks in parts[position : position + threads]]
            share = np.where(slack > 0, slack / len(together), slack)
            left = _SHARE_OF_TIME * self._watch.remaining()
            seconds = float(np.clip(left, _FEWEST_SECONDS, _MOST_SECONDS))

            def solve(
                blocks: IntArray,
                held: IntArray = chosen,
                share: FloatArray = share,
                seconds: float = seconds,
            ) -> IntArray | None:
                limits = self._watch.child(seconds=seconds, gap=1e-7)
                return self._solve_blocks(blocks, held, share, near, limits, _NODES)

            if len(together) == 1:
                found = [solve(together[0])]
            else:
                with ThreadPoolExecutor(len(together)) as pool:
                    found = list(pool.map(solve, together))
            for picked in found:
                if picked is not None:
                    before = self._worth(chosen)
                    chosen = self._with_patterns(chosen, picked)
                    gained += self._worth(chosen) - before
        return chosen, gained

    def _neighbourhoods(self) -> list[IntArray]:
        """Blocks with a choice, by cluster in random order; small clusters go together."""
        alive = np.flatnonzero(np.diff(self._patterns.start) > 1)
        rank = self._rng.permutation(self._num_clusters)[self._cluster_of_block[alive]]
        alive = alive[np.argsort(rank, kind="stable")]
        size = np.bincount(rank, minlength=self._num_clusters)
        parts, begin, end = [], 0, 0
        for number in size[size > 0].tolist():
            if end > begin and end + number - begin > _BLOCKS:
                parts.append(alive[begin:end])
                begin = end
            end += number
        return [*parts, alive[begin:end]]

    def _some_of(self, blocks: IntArray, chosen: IntArray) -> IntArray:
        """Of many ``blocks`` those that lose most in the plan, and others at random."""
        if len(blocks) <= _BLOCKS:
            return blocks
        s, prices = self._s, self._prices
        some = chosen >= 0
        value = np.bincount(s.block_of_group[some], prices.reduced[chosen[some]], minlength=s.num_blocks)
        lost = prices.block_value - value
        worst = blocks[np.argsort(-lost[blocks], kind="stable")][: _BLOCKS // 2]
        rest = np.setdiff1d(blocks, worst)
        return np.concatenate([worst, self._rng.choice(rest, _BLOCKS - len(worst), replace=False)])

    def _solve_blocks(
        self,
        blocks: IntArray,
        chosen: IntArray,
        slack: FloatArray,
        near: BoolArray,
        limits: Watch,
        nodes: int,
        missing: float = np.inf,
    ) -> IntArray | None:
        """Patterns of some ``blocks`` that are together better than what is chosen there; None: none found.

        Parameters
        ----------
        near : shape (p,), the patterns to choose from.
        missing : a gain that is enough.
        """
        if not len(blocks):
            return None
        s, p = self._s, self._patterns
        wanted = np.zeros(s.num_blocks, dtype=np.bool_)
        wanted[blocks] = True
        candidates = np.flatnonzero(wanted[p.block] & near)
        place = np.full(s.num_blocks, -1, dtype=np.int64)
        place[blocks] = np.arange(len(blocks))
        now = chosen[wanted[s.block_of_group] & (chosen >= 0)]
        of_now = place[s.block_of_group[s.group_of_column[now]]]
        used = self._link[:, now].tocoo()
        held = sp.csr_array((used.data, (of_now[used.col], used.row)), shape=(len(blocks), len(s.side)))
        use = sp.vstack([p.use[candidates], held]).tocoo()
        value = np.concatenate([p.value[candidates], np.bincount(of_now, s.value[now], len(blocks))])
        rows, row = np.unique(use.col, return_inverse=True)
        side = (slack + held.sum(axis=0))[rows]
        builder = MilpBuilder(maximise=True)
        x = builder.add_columns("pattern", len(value), upper=1.0, cost=value, integral=True)
        one = np.concatenate([place[p.block[candidates]], np.arange(len(blocks))])
        builder.add_rows("one", len(blocks), [(one, x, 1.0)], lower=1.0, upper=1.0)
        side = side + _ROW_TOLERANCE * np.abs(side)
        lower = np.where(s.equal[rows], side, -np.inf)
        builder.add_rows("link", len(rows), [(row, x[use.row], use.data)], lower=lower, upper=side)
        start = np.concatenate([np.zeros(len(candidates)), np.ones(len(blocks))])
        part = builder.build()
        limits.maximise = True
        before = part.value(start)
        target = before + missing if np.isfinite(missing) else None
        outcome = solve_milp(part, limits, start, target, max_nodes=nodes, restarts=nodes > 1)
        if outcome.x is None or part.value(outcome.x) <= before * (1 + 1e-9):
            return None
        picked = np.flatnonzero(outcome.x[: len(candidates)] > 0.5)
        return candidates[picked]

    def _with_patterns(self, chosen: IntArray, patterns: IntArray) -> IntArray:
        s, p = self._s, self._patterns
        found = chosen.copy()
        anew = np.zeros(s.num_blocks, dtype=np.bool_)
        anew[p.block[patterns]] = True
        found[anew[s.block_of_group]] = -1
        taken = np.concatenate([[0], np.cumsum(np.diff(p.first)[patterns])])
        inside = np.arange(taken[-1]) - np.repeat(taken[:-1], np.diff(taken))
        column = p.column[np.repeat(p.first[patterns], np.diff(taken)) + inside]
        found[s.group_of_column[column]] = column
        return found

    def _use_of(self, chosen: IntArray) -> FloatArray:
        return np.asarray(self._link[:, chosen[chosen >= 0]].sum(axis=1), dtype=np.float64).ravel()

    def _worth(self, chosen: IntArray) -> float:
        return float(self._s.value[chosen[chosen >= 0]].sum())


def first_patterns() -> int:
    """Patterns of each block in the neighbourhoods of the first round."""
    return _FIRST_PATTERNS


def more_patterns(patterns: int) -> int | None:
    """How many after a fruitless round; None: all there are have been tried."""
    return None if patterns >= _MOST_PER_BLOCK else min(int(_GROWTH * patterns), _MOST_PER_BLOCK)

"""Bound and core of a choice problem by Lagrangian relaxation with exact blocks.

For a maximisation with linking rows ``G x <= b`` and blocks X_k solved exactly,

    L(y) = y'b + sum_k max { (c - G'y)'x : x in X_k },   y >= 0 (free where the row is an equation)

is a bound for every y; its minimum is at least as tight as the linear relaxation, tighter where
blocks have integral structure (Geoffrion 1974).  L is minimised by a cutting-plane model that is
disaggregated over clusters of blocks and kept inside a box around the best y (Marsten, Hogan and
Blankenship 1975), started from the multipliers of a linear relaxation over a sample of the blocks.
"""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine import choice_kernels as kernels
from optimize.engine.certificate import row_names
from optimize.engine.choice_clusters import Clusters, cluster_blocks
from optimize.engine.choice_mixture import Mixture
from optimize.engine.choice_patterns import UNDECIDED_TURNS
from optimize.engine.choice_polish import Polish
from optimize.engine.choice_search import Prices
from optimize.engine.choice_structure import ChoiceStructure, find_structure
from optimize.engine.core import Relaxation, solve_relaxed
from optimize.engine.highs import GrowingLp, MilpOutcome, solve_lp
from optimize.engine.stopping import Watch
from optimize.milp import Milp, MilpBuilder
from optimize.result import Certificate, StopReason

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# The first multipliers come from a linear programme over so many columns; from many more of them
# the cutting-plane model is begun on every n-th block, where a round costs so much less.
_SAMPLE_COLUMNS = 50_000
_STAGED_FROM = 3_000_000
_STAGE = 10
_SHARE_OF_STAGE = 0.25
# Parts of the cutting-plane model by linking row: more of them need fewer rounds, each of which costs more.
_PARTS_PER_ROW = 0.75
_FEWEST_PARTS = 150
_MOST_PARTS = 400
_MAX_ROUNDS = 150
# A round may take so many times as long as the longest before it, and so many seconds in any case: near the end the
# simplex method sometimes goes round in circles, with multipliers in hand that are good enough.
_LONGEST_ROUND = 30.0
_LEAST_ROUND_S = 1.0
# Half width of the first box by size of the multiplier: a stage leaves little to mend.
_BOX, _BOX_AFTER_STAGE = 0.3, 0.02
_ROUND_TOLERANCE = 1e-6
_FEASIBLE = 1e-6
# Blocks are solved on several threads from this many columns.
_THREADS_FROM = 100_000
# Up to this many columns a core programme comes first, and has all or this share of the time.
_CORE_UP_TO = 200_000
_POLISH_FROM = 40_000
_SHARE_OF_CORE = 0.6
_DONE = (StopReason.OPTIMAL, StopReason.GAP_REACHED)
# L(y) falls without end where the rows cannot all hold; the solver takes 1e20 for infinite.
_LARGEST_MULTIPLIER = 1e18
# The bound need not be minimised closer than this share of the wanted gap.
_SHARE_OF_GAP = 0.03


def solve_by_choice(
    milp: Milp, watch: Watch, start: FloatArray | None = None, row_multipliers: FloatArray | None = None
) -> MilpOutcome | None:
    """Solve ``milp`` by its choice structure; None where it has none (see `find_structure`).

    Parameters
    ----------
    start : shape (n,), a plan to begin from; where it breaks rows it is mended.
    row_multipliers : shape (m,), of the rows of a similar programme; None: a sample's.
    """
    structure = find_structure(milp)
    if structure is None:
        return None
    bound = LagrangianBound(structure)
    first = None if row_multipliers is None else structure.linking_multipliers(row_multipliers)
    multipliers = bound.minimise(watch, first)
    if multipliers is None:
        return None
    return solve_from_multipliers(milp, bound, multipliers, watch, start)


def solve_from_multipliers(
    milp: Milp,
    bound: LagrangianBound,
    multipliers: FloatArray,
    watch: Watch,
    start: FloatArray | None = None,
) -> MilpOutcome:
    """Plans and proof from the multipliers of the linking rows, shape (m,), wherever they come from."""
    structure = bound.structure
    watch.offer_certificate(bound.certificate(milp, multipliers))
    relaxed = bound.relaxation(milp, multipliers)
    polish = Polish(milp, structure, bound.prices(multipliers), bound.clusters, bound.others, watch)
    relaxed = replace(relaxed, improve=polish.exchanged)
    mended = None
    if start is not None and milp.violation(start) > _FEASIBLE:
        # A plan of another case may be good enough; to search around it would be worse than from scratch.
        mended, start = polish.mended(start), None
    enough = structure.sign * watch.within_gap(relaxed.bound)

    def is_enough(x: FloatArray | None) -> bool:
        return x is not None and structure.sign * milp.value(x) >= enough

    if is_enough(mended):
        return solve_relaxed(milp, watch, relaxed, mended)
    if len(structure.columns) > _CORE_UP_TO:
        start = polish.best(start, mended, polish.quick_plan(), polish.first_plan())
        return solve_relaxed(milp, watch, relaxed, None if start is None else polish.improved(start))
    quick = polish.quickly(polish.best(start, mended), relaxed.bound)
    if not is_enough(quick) and not watch.must_stop:
        quick = decided_plan(milp, bound, polish, watch, quick)
        assert watch.bound is not None
        # regrets count from the relaxation's own bound, which stays with them
        enough = structure.sign * watch.within_gap(watch.bound)
    if is_enough(quick):
        return solve_relaxed(milp, watch, relaxed, quick)
    # A core solved by branch and cut, then exchanges, gives better plans here than exchanges alone.
    share = 1.0 if len(structure.columns) <= _POLISH_FROM else _SHARE_OF_CORE
    outcome = solve_relaxed(
        milp, watch.child(seconds=share * watch.remaining(), plans=True, bounds=True), relaxed, start
    )
    best = polish.best(quick, outcome.x)
    if best is None or (outcome.x is not None and outcome.stop in _DONE):
        return outcome
    if not watch.must_stop:
        best = polish.improved(best)
    return solve_relaxed(milp, watch, relaxed, best)


def decided_plan(
    milp: Milp, bound: LagrangianBound, polish: Polish, watch: Watch, best: FloatArray | None
) -> FloatArray | None:
    """The best of ``best`` and a plan of what the multipliers leave undecided; None: not found.

    Where the first look is not enough, clusters are solved whole for a better bound before the search goes on:
    where changes of a plan are dear, it is the bound that is wide of the mark.  ``watch`` has a bound.
    """
    sign = bound.structure.sign

    def is_enough(x: FloatArray | None) -> bool:
        assert watch.bound is not None
        return x is not None and sign * milp.value(x) >= sign * watch.within_gap(watch.bound)

    assert watch.bound is not None
    best = polish.decided(watch.bound, best, (0,))
    if best is not None and not is_enough(best) and not watch.must_stop:
        watch.offer_bound(bound.closed(polish, best))
    if not is_enough(best) and not watch.must_stop:
        best = polish.decided(watch.bound, best, range(1, UNDECIDED_TURNS))
    return best


@dataclass(frozen=True)
class _Evaluation:
    bound: float
    use: FloatArray
    worth: FloatArray


class LagrangianBound:
    """L(y) of a structure, its minimisation, and what the best y says about every column."""

    def __init__(self, structure: ChoiceStructure) -> None:
        self.structure = s = structure
        self.threads = 1
        self._reduced = np.empty(len(s.columns))
        self._chosen = np.empty(s.num_groups, dtype=np.int64)
        self._plan_value = np.empty(s.num_blocks)
        self._upper = np.empty(s.num_blocks)
        self._local_price = np.empty(s.num_blocks)
        # blocks without a local row never look at the price, but inf * 0 would poison the sums
        self._capacity = np.where(np.isfinite(s.capacity), s.capacity, 1e300)
        self.clusters: Clusters = cluster_blocks(
            s, int(np.clip(_PARTS_PER_ROW * len(s.side), _FEWEST_PARTS, _MOST_PARTS))
        )
        # The columns outside the groups as the last cutting-plane model had them.
        self.others = s.others_lower.copy()
        # The maximisers that the cutting-plane model mixes, for those who ask for them.
        self.mixture: Mixture | None = None

    def at(self, structure: ChoiceStructure) -> LagrangianBound:
        """The bound of the same structure with other sides; clusters and scratch arrays are shared."""
        moved = copy.copy(self)
        moved.structure = structure
        moved._capacity = np.where(np.isfinite(structure.capacity), structure.capacity, 1e300)
        return moved

    def evaluate(self, multipliers: FloatArray) -> _Evaluation | None:
        """L and the row use of its maximiser by cluster; None when a block holds no choice at all."""
        s = self.structure
        if self._solve_blocks(multipliers):
            return None
        use = np.zeros((self.clusters.num_parts, len(s.side)))
        worth = np.zeros(self.clusters.num_parts)
        kernels.add_use(
            self._chosen, self.clusters.part_of_group, s.value, s.link_start, s.link_row,
            s.link_coefficient, use, worth,
        )  # fmt: skip
        reduced = s.others_value - s.others_link.T @ multipliers
        boxes = np.where(reduced > 0, reduced * s.others_upper, reduced * s.others_lower)
        bound = float(self._upper.sum() + multipliers @ s.side + boxes.sum())
        return _Evaluation(bound, use, worth)

    def _solve_blocks(self, multipliers: FloatArray) -> int:
        """Price all columns and solve all blocks, on several threads; the number of blocks without a choice."""
        s = self.structure
        count = self.threads if len(s.columns) >= _THREADS_FROM else 1
        edges = np.linspace(0, s.num_blocks, count + 1).astype(np.int64)

        def part(first: int, last: int) -> int:
            begin, end = s.group_start[s.block_start[[first, last]]]
            kernels.price(
                s.value, s.link_start, s.link_row, s.link_coefficient, multipliers, self._reduced, begin, end
            )
            return int(
                kernels.solve_blocks(
                    s.block_start, s.group_start, s.must_choose, self._reduced, s.weight, self._capacity,
                    self._chosen, self._plan_value, self._upper, self._local_price, first, last,
                )
            )  # fmt: skip

        if count == 1:
            return part(0, s.num_blocks)
        with ThreadPoolExecutor(count) as pool:
            return sum(pool.map(part, edges[:-1], edges[1:]))

    def minimise(self, watch: Watch, start: FloatArray | None = None) -> FloatArray | None:
        """Best multipliers found; None when the problem has an empty block or no time is left.

        ``start``: shape (m,), multipliers to begin from; None: those of a sample.
        """
        s = self.structure
        m = len(s.side)
        self.threads = watch.options.threads
        staged = start is None and len(s.columns) >= _STAGED_FROM
        best = _first_multipliers(s, self.clusters, watch) if start is None else start
        evaluation = self.evaluate(best)
        if evaluation is None:
            return None
        best_bound = evaluation.bound
        watch.offer_bound(s.sign * best_bound + s.offset)
        if m == 0:
            return best
        master = self._master(watch)
        floor = np.where(s.equal, -np.inf, 0.0)
        scale = np.maximum(np.abs(best), 0.05 * _typical(np.abs(best), s))
        width = (_BOX_AFTER_STAGE if staged else _BOX) * scale
        columns = np.arange(m, dtype=np.int32)
        tolerance = max(_ROUND_TOLERANCE, _SHARE_OF_GAP * watch.gap)
        longest = np.inf
        for _ in range(_MAX_ROUNDS):
            if evaluation is not None:
                self._add_cuts(master, evaluation)
            if (np.abs(best) + width > _LARGEST_MULTIPLIER).any():
                break
            master.set_bounds(columns, np.maximum(floor, best - width), best + width)
            began = watch.seconds()
            solved = master.solve(min(watch.remaining(), longest))
            if solved is None or watch.must_stop:
                break
            times_so_long = _LONGEST_ROUND * (watch.seconds() - began)
            longest = max(0.0 if np.isinf(longest) else longest, times_so_long, _LEAST_ROUND_S)
            # the solver's bounds hold but for rounding, and a multiplier of the wrong sign proves nothing
            point, model = np.maximum(floor, solved[0][:m]), solved[1]
            if self.mixture is not None:
                first = len(s.others)
                self.mixture.weigh(master.row_duals(first, first + self.mixture.num_cuts))
            self.others = np.clip(
                s.others_lower + master.row_duals(0, len(s.others)), s.others_lower, s.others_upper
            )
            predicted = best_bound - model
            at_edge = (np.abs(point - best) >= width * (1 - 1e-9)) & (point > floor + 1e-12)
            if predicted <= tolerance * max(1.0, abs(best_bound)):
                if not at_edge.any():
                    break
                width *= 2.0
                evaluation = None
                continue
            evaluation = self.evaluate(point)
            if evaluation is None:
                return None
            if evaluation.bound < best_bound - 0.1 * predicted:
                width = np.minimum(width * 1.5, 10 * scale)
            else:
                width *= 0.6
            if evaluation.bound < best_bound:
                best, best_bound = point, evaluation.bound
                watch.offer_bound(s.sign * best_bound + s.offset)
                scale = np.maximum(scale, np.abs(best))
        return best

    def certificate(self, milp: Milp, multipliers: FloatArray) -> Certificate:
        """What proves L(y): multipliers of the programme's rows, and the blocks' exact bounds."""
        s = self.structure
        evaluation = self.evaluate(multipliers)
        assert evaluation is not None
        return Certificate(
            kind="lagrangian",
            bound=s.sign * evaluation.bound + s.offset,
            multipliers=s.sign * s.row_multipliers(multipliers, milp.num_rows),
            row_names=row_names(milp),
            block_rows=s.local_rows,
            block_bounds=s.sign * self._upper[: len(s.local_rows)],
        )

    def closed(self, polish: Polish, x: FloatArray) -> float:
        """A bound at the multipliers of ``polish`` from clusters solved whole around the plan ``x``."""
        return polish.closed(LagrangianBound(polish.structure).prices(polish.multipliers), x)

    def prices(self, multipliers: FloatArray) -> Prices:
        """Regrets of every choice column at ``multipliers``."""
        evaluation = self.evaluate(multipliers)
        assert evaluation is not None
        regret, _ = self._regrets()
        return Prices(
            multipliers,
            regret,
            self._idle_regret(regret),
            self._chosen.copy(),
            self._reduced.copy(),
            self._local_price.copy(),
            self._upper.copy(),
        )

    def _regrets(self) -> tuple[FloatArray, FloatArray]:
        """Regret of each column at the last evaluation, and the Lagrangian bound of each block."""
        s = self.structure
        regret, block_bound = np.empty(len(s.columns)), np.empty(s.num_blocks)
        kernels.regrets(
            s.block_start, s.group_start, s.must_choose, self._reduced, s.weight, self._local_price,
            regret, block_bound, self._capacity,
        )  # fmt: skip
        return regret, block_bound

    def _idle_regret(self, regret: FloatArray) -> FloatArray:
        """Regret of choosing nothing in each group; infinite where something must be chosen."""
        s = self.structure
        price = self._local_price[s.block_of_group[s.group_of_column]]
        best = regret + self._reduced - s.weight * price
        idle = np.zeros(s.num_groups)
        filled = np.flatnonzero(np.diff(s.group_start) > 0)
        idle[filled] = np.maximum(best[s.group_start[filled]], 0.0)
        return np.where(s.must_choose, np.inf, idle)

    def relaxation(self, milp: Milp, multipliers: FloatArray) -> Relaxation:
        """The maximiser at ``multipliers`` with each column's distance from it and proven loss."""
        s = self.structure
        evaluation = self.evaluate(multipliers)
        assert evaluation is not None
        regret, block_bound = self._regrets()
        # Forcing a column costs its regret off the block's Lagrangian bound, which may lie above
        # the block's exact one by `surplus`.
        surplus = np.maximum(block_bound - self._upper, 0.0)
        group = s.group_of_column
        loss = np.maximum(regret - surplus[s.block_of_group[group]], 0.0)
        picked = self._chosen[self._chosen >= 0]
        loss[picked] = 0.0
        distance = regret.copy()
        distance[picked] = np.inf
        filled = np.flatnonzero(np.diff(s.group_start) > 0)
        nearest = np.full(s.num_groups, np.inf)
        nearest[filled] = np.minimum.reduceat(distance, s.group_start[filled])
        # leaving a group empty is an alternative too
        distance[picked] = np.minimum(nearest, self._idle_regret(regret))[group[picked]]
        x = np.clip(np.zeros(milp.num_columns), milp.lower, milp.upper)
        x[s.columns[picked]] = 1.0
        full_distance = np.zeros(milp.num_columns)
        full_loss = np.zeros(milp.num_columns)
        full_distance[s.columns], full_loss[s.columns] = distance, loss
        fixed = milp.lower == milp.upper
        full_distance[fixed] = np.inf
        cluster = np.full(milp.num_columns, -1, dtype=np.int64)
        cluster[s.columns] = self.clusters.of_group[group]
        bound = s.sign * evaluation.bound + s.offset
        return Relaxation(x, bound, full_distance, full_loss, cluster)

    def _master(self, watch: Watch) -> GrowingLp:
        """Columns: multipliers (m), one epigraph value per cluster, one box excess per other column."""
        s = self.structure
        m, c, o = len(s.side), self.clusters.num_parts, len(s.others)
        at_lower = s.others_link @ s.others_lower if o else np.zeros(m)
        cost = np.concatenate([s.side - at_lower, np.ones(c), s.others_upper - s.others_lower])
        lower = np.concatenate([np.where(s.equal, -np.inf, 0.0), np.full(c, -np.inf), np.zeros(o)])
        master = GrowingLp(cost, lower, np.full(m + c + o, np.inf), watch.options.seed)
        self._constant = float(s.others_value @ s.others_lower)
        if o:
            boxes = sp.hstack([s.others_link.T, sp.csr_array((o, c)), sp.eye_array(o)], format="csr")
            master.add_rows(sp.csr_array(boxes), s.others_value)
        return master

    def _add_cuts(self, master: GrowingLp, evaluation: _Evaluation) -> None:
        o = len(self.structure.others)
        c = self.clusters.num_parts
        rows = sp.hstack([sp.csr_array(evaluation.use), sp.eye_array(c), sp.csr_array((c, o))])
        # the constant of the boxes rides on the first cluster
        worth = evaluation.worth.copy()
        worth[0] += self._constant
        master.add_rows(sp.csr_array(rows), worth)
        if self.mixture is not None:
            self.mixture.add(self._chosen)


def _typical(multipliers: FloatArray, s: ChoiceStructure) -> float:
    positive = multipliers[multipliers > 1e-9]
    if len(positive):
        return float(np.median(positive))
    return float(np.median(np.abs(s.value))) if len(s.value) else 1.0


def _first_multipliers(s: ChoiceStructure, clusters: Clusters, watch: Watch) -> FloatArray:
    """Multipliers of a sample: of the linear relaxation over few columns, or first over many more."""
    m = len(s.side)
    if m == 0 or not len(s.columns):
        return np.zeros(m)
    if len(s.columns) >= _STAGED_FROM:
        some = s.part(_spread_blocks(s, clusters, _STAGE))
        limits = watch.child(seconds=_SHARE_OF_STAGE * watch.remaining())
        multipliers = LagrangianBound(some).minimise(limits)
        return np.zeros(m) if multipliers is None else multipliers
    return _linear_multipliers(s.part(_spread_blocks(s, clusters, len(s.columns) // _SAMPLE_COLUMNS)), watch)


def _spread_blocks(s: ChoiceStructure, clusters: Clusters, step: int) -> IntArray:
    """Every ``step``-th block of every part, ascending."""
    order = np.argsort(clusters.part_of_group[s.block_start[:-1]], kind="stable")
    return np.sort(order[:: max(1, step)])


def _linear_multipliers(s: ChoiceStructure, watch: Watch) -> FloatArray:
    """Multipliers of the linking rows in the linear relaxation."""
    m = len(s.side)
    builder = MilpBuilder(maximise=True)
    x = builder.add_columns("x", len(s.columns), upper=1, cost=s.value)
    lower = np.where(s.must_choose, 1.0, -np.inf)
    builder.add_rows("choose", s.num_groups, [(s.group_of_column, x, 1.0)], lower=lower, upper=1)
    block = s.block_of_group[s.group_of_column]
    builder.add_rows("local", s.num_blocks, [(block, x, s.weight)], upper=s.capacity)
    # Rare columns may be missing from a sample: rows give way at a price no sound multiplier reaches.
    dear = 20.0 * float(np.quantile(np.abs(s.value), 0.99)) + 1.0
    slack = builder.add_columns("slack", m, cost=-dear)
    surplus = builder.add_columns("surplus", m, upper=np.where(s.equal, np.inf, 0.0), cost=-dear)
    others = builder.add_columns(
        "others", len(s.others), lower=s.others_lower, upper=s.others_upper, cost=s.others_value
    )
    other = s.others_link.tocoo()
    column = np.repeat(x, np.diff(s.link_start))
    rows = builder.add_rows(
        "link",
        m,
        [
            (s.link_row, column, s.link_coefficient),
            (other.row, others[other.col], other.data),
            (None, slack, -1.0),
            (None, surplus, 1.0),
        ],
        lower=np.where(s.equal, s.side, -np.inf),
        upper=s.side,
    )
    outcome = solve_lp(builder.build(), watch.child(seconds=0.25 * watch.remaining()))
    if outcome.row_duals is None:
        return np.zeros(m)
    duals = outcome.row_duals[rows]
    return np.where(s.equal, duals, np.maximum(duals, 0.0))

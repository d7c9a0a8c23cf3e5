"""Small choice problems solved to proven optimality: one option per group under a few linking rows.

1. The relaxation's bound, and a look at the tree from its root: most small programmes end here.
2. Plans: cores around the relaxation, then neighbourhoods (`choice_tree_search`), which go on beside 3.
3. Proof: depth-first search of the options that cost less than the room between bound and plan.  What is
   not closed soon is searched for plans above a *floor* only: a search that ends proves the floor to
   be a bound, and the next floor is lower (iterative deepening, Korf 1985, each search several times
   the work of the one before, Sarkar et al. 1991).

Sources: cores and neighbourhoods for this problem, Chen and Hao, EJOR 239 (2014), and Mansini and Zanotti,
INFORMS J. Comput. 32 (2020); depth-first search on reduced costs, Boussier et al., Discrete Applied
Math. 158 (2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimize.engine.certificate import linear_certificate
from optimize.engine.choice_tree_kernels import explore
from optimize.engine.choice_tree_lp import DOUBTS, FLOOR, NODES, PLAN, STEP, Knapsacks, Tree
from optimize.engine.choice_tree_problem import SmallChoice, small_choice_of
from optimize.engine.choice_tree_search import Neighbourhoods, part_of, plant, work_of_node
from optimize.engine.highs import MilpOutcome, solve_milp
from optimize.engine.stopping import Watch
from optimize.milp import Milp
from optimize.result import StopReason

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_FIRST_NODES = 2_000
# Fruitless neighbourhoods before the proof begins, and at a time beside it.
_PATIENCE, _PATIENCE_BESIDE = 40, 10
# Between two looks at the clock: products of the first node's size, a few hundredths of a second.
_PRODUCTS = 2e7
_MOST_AT_ONCE = 4_000
_LOOKS, _LOOKS_BEFORE_CUTS = 25, 4
# ... and so many times that before threads wait for each other.
_CHUNKS = 4
# Of the work of the proof, so much more in neighbourhoods; less when they have long been fruitless, more
# where the proof would take more than so many products (some minutes), or the first two rooms this many.
_BESIDE, _BESIDE_FRUITLESS, _FRUITLESS = 0.15, 0.1, 100
_BESIDE_HOPELESS, _HOPELESS, _HOPELESS_AT_FIRST = 4.0, 2e10, 1e9
# Seeds of searches on different threads are so far apart.
_SEEDS = 1_000_003
# Rooms between bound and floor: the first, their growth, and the share of the whole that becomes the whole.
_FIRST_ROOM = 0.1
_LEAST_GROWTH, _MOST_GROWTH = 1.05, 1.6
_WORK_GROWTH = 4.0
_WHOLE_ROOM = 0.93
_LARGEST_EXPONENT = 500.0
_FEASIBLE = 1e-6
# What the rounding of a sum can come to, as a share of the largest values; a plan must be better by more.
_ROUNDING = 1e-12
_EXACT = 2e-10
# A plan ends the search within this share of the wanted gap.
_OF_GAP = 0.95


def solve_by_tree(milp: Milp, watch: Watch, start: FloatArray | None = None) -> MilpOutcome | None:
    """Solve ``milp`` as a small choice problem; same contract as `highs.solve_milp`.

    None where it is none (see `small_choice_of`).  What rounding leaves unproven, and rows of few options
    that are not closed soon (cuts are worth more there), go on to `highs.solve_milp` with the plan.
    """
    choice = small_choice_of(milp)
    if choice is None:
        return None
    with ThreadPoolExecutor(max(watch.options.threads - 1, 1)) as others:
        tree = _TreeSolve(milp, choice, watch, start, others)
        try:
            return tree.solve()
        except (_Unproven, np.linalg.LinAlgError):  # the latter: a basis without an inverse
            return tree.go_on_with_cuts()


class _Unproven(Exception):
    """Rounding or a tree too deep left a part of the search without proof, or the tree is not the way."""


@dataclass(frozen=True)
class _Part:
    """Some options of the problem (``options``: which) and a search of them."""

    knapsacks: Knapsacks
    options: IntArray
    tree: Tree


class _TreeSolve:
    """One solve: the best plan, the best bound, and the searches that move them; values in own sign."""

    def __init__(
        self,
        milp: Milp,
        choice: SmallChoice,
        watch: Watch,
        start: FloatArray | None,
        others: ThreadPoolExecutor,
    ) -> None:
        self._milp, self._choice, self._watch, self._others = milp, choice, watch, others
        self._until_solved = watch.child()
        self._p = p = choice.knapsacks
        largest = np.zeros(p.group[-1] + 1)
        np.maximum.at(largest, p.group, np.abs(p.value))
        self._rounding = _ROUNDING * float(largest.sum())
        self._x: FloatArray | None = None
        self._taken: IntArray | None = None
        self._value, self._bound, self._root_bound = -np.inf, np.inf, np.inf
        self._loss = np.zeros((2, 2, len(p.value) + 1))
        # one search of neighbourhoods for this thread, and one for each of the others
        self._searches: list[Neighbourhoods] = []
        self._rooms = _Rooms()
        if start is not None and milp.violation(start) <= _FEASIBLE:
            self._x, self._taken = start, choice.options(start)
            self._value = choice.sign * (milp.value(start) - choice.offset)
            watch.offer_plan(milp.value(start))

    def solve(self) -> MilpOutcome:
        """Raises `_Unproven` where the tree is not the way, or not to the end."""
        try:
            return self._solve()
        finally:
            self._until_solved.end()

    def _solve(self) -> MilpOutcome:
        first = self._part(np.ones(len(self._p.value), dtype=np.bool_), -np.inf)
        explore(first.knapsacks, first.tree, 1)
        root_bound, multipliers = float(first.tree.bound[0]), first.tree.multiplier[0].copy()
        self._root_bound = root_bound
        if root_bound > -np.inf:
            self._lower_bound(root_bound)
            duals = self._choice.row_duals(multipliers, self._milp.num_rows)
            self._watch.offer_certificate(linear_certificate(self._milp, duals))
        if self._dig(first, min(_FIRST_NODES, _nodes_at_once(first.knapsacks))):
            return self._closed()
        options = self._watch.options
        self._searches = [
            Neighbourhoods(self._p, multipliers, root_bound, options.seed + _SEEDS * k)
            for k in range(max(options.threads, 1))
        ]
        if self._taken is None:
            self._take(self._searches[0].first_plan(self._watch))
        self._improve(_PATIENCE)
        return self._prove(self._searches[0].regret)

    def go_on_with_cuts(self) -> MilpOutcome:
        """Branch and cut from the plan in hand; the better of both plans and of both bounds."""
        outcome = solve_milp(self._milp, self._watch, self._x)
        if self._x is None and outcome.x is None:
            return outcome
        if outcome.bound is not None:
            self._lower_bound(self._choice.sign * (outcome.bound - self._choice.offset))
        if outcome.x is not None:
            value = self._choice.sign * (self._milp.value(outcome.x) - self._choice.offset)
            if value > self._value:
                self._x, self._value = outcome.x, value
        return self._outcome()

    def _prove(self, regret: FloatArray) -> MilpOutcome:
        """Searches with lower and lower floors until nothing better is left, or the watch ends it."""
        suits_cuts = self._choice.suits_cuts()
        floor, looks = -np.inf, _LOOKS_BEFORE_CUTS if suits_cuts else _LOOKS
        while not self._has_to_end():
            part = self._part(regret <= self._root_bound - max(floor, self._value + self._step()), floor)
            ended = self._dig(part, looks * _nodes_at_once(part.knapsacks) if looks else None)
            self._loss[:, :, part.options] = part.tree.loss[:, :-1], part.tree.loss_count[:, :-1]
            self._loss[:, :, -1] = part.tree.loss[:, -1], part.tree.loss_count[:, -1]
            if ended and floor <= self._value + self._step():
                return self._closed()
            if suits_cuts:
                raise _Unproven
            if ended:
                self._lower_bound(floor)
                work = float(part.tree.counter[NODES]) * work_of_node(part.knapsacks)
                self._rooms.note(self._root_bound - floor, work)
            looks = 0
            whole = self._root_bound - self._value - self._step()
            floor = self._root_bound - self._rooms.next(
                whole if np.isfinite(whole) else 0.1 * abs(self._root_bound)
            )
        return self._outcome()

    def _part(self, kept: BoolArray, floor: float) -> _Part:
        knapsacks, options, _ = part_of(self._p, kept, None)
        tree = plant(knapsacks, self._value, floor, self._step())
        tree.loss[:, :-1], tree.loss_count[:, :-1] = self._loss[:, :, options]
        tree.loss[:, -1], tree.loss_count[:, -1] = self._loss[:, :, -1]
        return _Part(knapsacks, options, tree)

    def _dig(self, part: _Part, max_nodes: int | None) -> bool:
        """Search a part on and keep its plans, neighbourhoods beside it; True when nothing of it is left."""
        tree, at_once = part.tree, _nodes_at_once(part.knapsacks)
        at_once_work = at_once * work_of_node(part.knapsacks)
        searched, work = 0, 0.0
        already = self._searches[0].work if self._searches else 0.0
        while max_nodes is None or searched < max_nodes:
            beside = self._begin(_PATIENCE, _CHUNKS * at_once_work)
            ended, chunks = False, 0
            while not ended and chunks < (_CHUNKS if beside else 1) and not (chunks and self._has_to_end()):
                ended = bool(explore(part.knapsacks, tree, at_once))
                chunks += 1
            searched, work = searched + chunks * at_once, work + chunks * at_once_work
            if tree.goal[PLAN] > self._value:
                self._take(part.options[tree.plan])
            if ended and tree.counter[DOUBTS]:
                raise _Unproven
            if ended and tree.goal[FLOOR] <= self._value + self._step():
                return True  # nothing better is left for the other threads either
            self._end(beside)
            if ended or self._has_to_end():
                return ended
            if self._searches and self._searches[0].work - already < self._share_of_plans(work) * work:
                self._improve(_PATIENCE_BESIDE, _CHUNKS * at_once_work)
            tree.goal[[PLAN, STEP]] = max(self._value, tree.goal[PLAN]), self._step()
        return False

    def _share_of_plans(self, work: float) -> float:
        """Work in neighbourhoods for each product of the proof; ``work``: of the present search."""
        whole = self._rooms.work_of(self._root_bound - self._value)
        if whole > _HOPELESS or (whole == 0.0 and work > _HOPELESS_AT_FIRST):
            return _BESIDE_HOPELESS
        return _BESIDE if self._searches[0].fruitless < _FRUITLESS else _BESIDE_FRUITLESS

    def _improve(self, patience: int, most_work: float = np.inf) -> None:
        """Better plans from neighbourhoods, on all threads."""
        if self._taken is None or self._has_to_end():
            return
        beside = self._begin(patience, most_work)
        found = self._searches[0].improved(self._taken, self._step(), patience, self._watch, most_work)
        self._take(found)
        self._end(beside)

    def _begin(self, patience: int, most_work: float) -> list[Future[IntArray]]:
        """Searches of neighbourhoods on other threads, from the plan in hand; nothing without one."""
        if self._taken is None:
            return []
        until = self._until_solved
        return [
            self._others.submit(search.improved, self._taken, self._step(), patience, until, most_work)
            for search in self._searches[1:]
        ]

    def _end(self, beside: Sequence[Future[IntArray]]) -> None:
        """Wait for what runs on other threads, so that runs repeat exactly, and keep the best plan."""
        for search in beside:
            self._take(search.result())

    def _take(self, options: IntArray | None) -> None:
        """Keep the plan if it is better than the one in hand."""
        if options is None:
            return
        x = self._choice.plan(options)
        value = self._choice.sign * (self._milp.value(x) - self._choice.offset)
        if value <= self._value:
            return
        if self._milp.violation(x) > _FEASIBLE:
            raise _Unproven
        self._x, self._taken, self._value = x, options, value
        self._watch.offer_plan(self._milp.value(x))

    def _lower_bound(self, bound: float) -> None:
        """Tell of a bound; that on a plan in hand is its value."""
        self._bound = min(self._bound, max(bound, self._value))
        self._watch.offer_bound(self._choice.sign * self._bound + self._choice.offset)

    def _exact_step(self) -> float:
        """By how much the next better plan is better at least; a value this far above is as good as equal."""
        if self._choice.step > 0:
            return 0.999 * self._choice.step
        return self._rounding + (_EXACT * abs(self._objective()) if self._x is not None else 0.0)

    def _step(self) -> float:
        """What the search asks of a better plan: more than the wanted gap lets it leave."""
        if self._x is None:
            return self._exact_step()
        return max(self._exact_step(), _OF_GAP * self._watch.gap * abs(self._objective()))

    def _objective(self) -> float:
        return self._choice.sign * self._value + self._choice.offset

    def _has_to_end(self) -> bool:
        return self._watch.must_stop or self._watch.gap_reached

    def _closed(self) -> MilpOutcome:
        """All was searched for something better than the plan in hand by a step."""
        if self._x is None:
            return MilpOutcome(StopReason.INFEASIBLE, None, None, None)
        step = self._step()
        whole = self._choice.step > 0 and step < self._choice.step
        self._lower_bound(self._value if whole else self._value + step)
        return self._outcome()

    def _outcome(self) -> MilpOutcome:
        sign, offset = self._choice.sign, self._choice.offset
        bound = sign * self._bound + offset if np.isfinite(self._bound) else None
        if self._x is None:
            stop = StopReason.INTERRUPTED if self._watch.interrupted else StopReason.TIME_LIMIT
            return MilpOutcome(stop, None, None, bound)
        return MilpOutcome(self._watch.stop_reason(), self._x, self._milp.value(self._x), bound)


class _Rooms:
    """Rooms between bound and floor, each to take a few times the work of the one before."""

    def __init__(self) -> None:
        self._searched: list[tuple[float, float]] = []

    def note(self, room: float, work: float) -> None:
        """A search of this room ended."""
        self._searched.append((room, work))

    def next(self, whole: float) -> float:
        """The next room to search; infinite where the ``whole`` is near."""
        if not self._searched:
            return _FIRST_ROOM * whole
        room, _ = self._searched[-1]
        rate = self._rate()
        growth = _MOST_GROWTH if rate <= 0 else 1.0 + np.log(_WORK_GROWTH) / rate / room
        room *= float(np.clip(growth, _LEAST_GROWTH, _MOST_GROWTH))
        return room if room < _WHOLE_ROOM * whole else np.inf

    def work_of(self, whole: float) -> float:
        """The work a search of the ``whole`` may take: it has grown exponentially so far; 0: not known."""
        rate = self._rate()
        if rate <= 0:
            return 0.0
        room, work = self._searched[-1]
        return work * float(np.exp(min(rate * max(whole - room, 0.0), _LARGEST_EXPONENT)))

    def _rate(self) -> float:
        """Growth of the logarithm of the work with the room; 0: not known."""
        if len(self._searched) < 2:
            return 0.0
        (before, less), (room, work) = self._searched[-2:]
        return float(np.log(max(work, 2.0) / max(less, 1.0)) / max(room - before, 1e-300))


def _nodes_at_once(p: Knapsacks) -> int:
    return int(np.clip(_PRODUCTS / (p.use.size + 1), 20, _MOST_AT_ONCE))

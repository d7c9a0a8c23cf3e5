"""Plans of a small choice problem: cores around the relaxation, and neighbourhoods of the plan in hand.

Some groups are free, all others keep their option; the tree of `choice_tree_kernels` searches the free ones
for something better.  No option is looked at that costs more than the room between bound and plan, and
most neighbourhoods look at much cheaper ones only: plans near the bound differ from the relaxation
in many groups by little, in no group by much.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimize.engine.choice_tree_kernels import explore, mend
from optimize.engine.choice_tree_lp import FLOOR, NODES, PLAN, PLANS, STEP, Knapsacks, Tree
from optimize.engine.stopping import Watch

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_MOST_LEVELS = 1_000
# Lists of open options for this many levels as long as the first; below, levels share their parent's.
_LISTS = 60
_FIRST_CORE = 12
_CORE_NODES = 4_000
_MOVES = 3_000
# Nodes of a neighbourhood: twice as many after every so many without a better plan, half as many after one.
_NODES, _NEIGHBOURS_TO_DOUBLE, _MOST_DOUBLINGS = 600, 20, 5
# Neighbourhoods grow while they are searched to their end, and shrink where they are not.
_WIDER, _NARROWER = 1.04, 0.93
_NARROWEST = 10.0
# Options look as costly on average as those of the next wider core after every so many fruitless neighbourhoods.
_FRUITLESS_TO_REACH_ON = 60
# Groups whose option costs something are drawn before others, by up to this share.
_COSTLY_FIRST = 0.9
# So often a neighbourhood leaves out so many options of the plan; a plan worse by less than this share of
# what is between plan and bound is gone on from.
_WITHOUT, _LEFT_OUT, _BACK = 0.3, 2, 0.15


def work_of_node(p: Knapsacks) -> float:
    """What a node of a search costs, in products: prices of all options, and the basis."""
    return p.use.size + 2.0 * len(p.side) ** 2


def plant(p: Knapsacks, best: float, floor: float, step: float) -> Tree:
    """A tree that has not been searched: slacks basic, every key the option of largest value.

    Parameters
    ----------
    best : value of the plan to beat (-inf: none), by ``step``.
    floor : what a plan must exceed at least.
    """
    n, m = p.use.shape
    start = np.searchsorted(p.group, np.arange(p.group[-1] + 1))
    key = np.lexsort((-p.value, p.group))[start]
    levels = min(n + 2, _MOST_LEVELS)
    whole = np.int64
    tree = Tree(
        basis=np.zeros((levels, m), whole), key=np.zeros((levels, len(start)), whole),
        inverse=np.zeros((levels, m, m)), basic_x=np.zeros((levels, m)),
        multiplier=np.zeros((levels, m)), rest=np.zeros((levels, m)), key_value=np.zeros(levels),
        age=np.zeros(levels, whole), bound=np.full(levels, np.inf),
        branch=np.zeros(levels, whole), branch_x=np.zeros(levels), branch_kind=np.zeros(levels, whole),
        trail_end=np.zeros(levels, whole), first_open=np.zeros(levels, whole), num_open=np.zeros(levels, whole),
        made_by=np.full(levels, -1), made_kind=np.zeros(levels, whole),
        made_share=np.zeros(levels), made_from=np.full(levels, np.inf),
        place=np.full(n, -1), slack_place=np.arange(m), forbidden=np.zeros(n, np.bool_),
        trail=np.zeros(n, whole), active=np.zeros(_LISTS * n, whole),
        reduced=p.value.copy(), along=np.zeros(n),
        loss=np.zeros((2, n + 1)), loss_count=np.zeros((2, n + 1)),
        plan=np.full(len(start), -1), goal=np.zeros(3), counter=np.zeros(7, whole),
    )  # fmt: skip
    tree.basis[0] = -1 - np.arange(m)
    tree.key[0] = key
    tree.inverse[0] = np.eye(m)
    tree.rest[0] = tree.basic_x[0] = p.side - p.use[key].sum(axis=0)
    tree.key_value[0] = p.value[key].sum()
    tree.num_open[0] = n
    tree.active[:n] = np.arange(n)
    tree.goal[[PLAN, FLOOR, STEP]] = best, floor, step
    return tree


def part_of(p: Knapsacks, kept: BoolArray, choice: IntArray | None) -> tuple[Knapsacks, IntArray, float]:
    """The problem on the ``kept`` options; groups without any keep their option of ``choice``.

    Returns the part, the option of each of its options, and the value of what is held.
    """
    options = np.flatnonzero(kept)
    names, group = np.unique(p.group[options], return_inverse=True)
    side, value = p.side, 0.0
    if choice is not None:
        held = np.delete(choice, names)
        side, value = p.side - p.use[held].sum(axis=0), float(p.value[held].sum())
    part = Knapsacks(p.use[options], p.value[options], group.astype(np.int64), side, p.equal, p.slack)
    return part, options, value


def compile_kernels() -> None:
    """Compile the tree and the mending of plans, on two groups of two options."""
    group = np.repeat(np.arange(2), 2)
    side, equal = np.array([1.0]), np.zeros(1, dtype=np.bool_)
    p = Knapsacks(np.array([[0.0], [1.0]] * 2), np.array([0.0, 1.0] * 2), group, side, equal, np.zeros(1))
    explore(p, plant(p, -np.inf, -np.inf, 0.0), 10)
    mend(p, np.zeros(4), np.array([1, 3]), 10)


class Neighbourhoods:
    """Searches around plans, by what each option costs at the relaxation's multipliers.

    Parameters
    ----------
    bound : proven bound on the value of any plan, that of ``multipliers``.

    Attributes
    ----------
    regret : shape (options,), by how much a plan with the option stays below ``bound`` at least.
    work : products spent so far, see `work_of_node`.
    fruitless : neighbourhoods in a row that held nothing better.
    """

    def __init__(self, p: Knapsacks, multipliers: FloatArray, bound: float, seed: int) -> None:
        self._p, self._bound = p, bound
        self._rng = np.random.default_rng(seed)
        self.work, self.fruitless = 0.0, 0
        self._doublings = 0.0
        self._loss = np.zeros((2, 2, len(p.value) + 1))
        self._here: IntArray | None = None
        start = np.searchsorted(p.group, np.arange(p.group[-1] + 1))
        reduced = p.value - p.use @ multipliers
        self.regret = np.maximum.reduceat(reduced, start)[p.group] - reduced
        order = np.lexsort((self.regret, p.group))
        second = np.minimum(start + 1, np.append(start[1:], len(p.value)) - 1)
        self._to_second = self.regret[order][second]
        self._relaxed = order[start]
        # how costly options may be: so that there are 2, 4, 8 ... for each row, at last any
        ranked = np.sort(self.regret)[len(start) :]
        sizes = len(p.side) * 2 ** np.arange(1, 12)
        self._reach = np.append(ranked[sizes[sizes < len(ranked)]], np.inf)
        self._width = np.full(len(self._reach), float(_FIRST_CORE + 4 * len(p.side)))

    def first_plan(self, watch: Watch) -> IntArray | None:
        """A plan from a core around the relaxation, or from the relaxation's choice mended; None: neither.

        Cores grow to twice the one before only while there is no plan at all.
        """
        mended = self._relaxed.copy()
        found = mended if mend(self._p, self.regret, mended, _MOVES) else None
        size = 2 * len(self._p.side) + _FIRST_CORE
        ranked = np.argsort(self._to_second, kind="stable")
        while not watch.must_stop:
            free = np.zeros(len(ranked), dtype=np.bool_)
            free[ranked[:size]] = True
            part, options, _ = part_of(self._p, free[self._p.group], self._relaxed)
            tree = plant(part, -np.inf, -np.inf, 0.0)
            explore(part, tree, _CORE_NODES)
            if tree.counter[PLANS]:
                choice = self._relaxed.copy()
                choice[free] = options[tree.plan]
                return choice
            if found is not None or size >= len(ranked):
                break
            size *= 2
        return found

    def improved(
        self, choice: IntArray, step: float, patience: int, watch: Watch, most_work: float = np.inf
    ) -> IntArray:
        """The plan after ``patience`` fruitless neighbourhoods in a row, or at the watch's end.

        Parameters
        ----------
        step : a better plan is better by this much.
        most_work : products to spend, more or less.
        """
        most_work += self.work
        value = self._p.value
        until, best = self.fruitless + patience, float(value[choice].sum())
        here = choice if self._here is None or not self._is_near(self._here, best) else self._here
        while self.fruitless < until and self.work < most_work and not watch.must_stop:
            self.fruitless += 1
            found = self._neighbour(here, step)
            if found is None:
                continue
            reached = float(value[found].sum())
            if reached >= best + step:
                choice, best, self.fruitless, until = found, reached, 0, patience
            here = found if self._is_near(found, best) else choice
        self._here = here
        return choice

    def _is_near(self, choice: IntArray, best: float) -> bool:
        """Whether a worse plan may be gone on from."""
        return float(self._p.value[choice].sum()) >= best - _BACK * (self._bound - best)

    def _neighbour(self, choice: IntArray, step: float) -> IntArray | None:
        """The best plan in a neighbourhood, if it is better; every few times without an option in hand.

        Then it may be worse: a way out of plans that no neighbourhood improves.
        """
        p, value = self._p, float(self._p.value[choice].sum())
        room = self._bound - value - step
        most = min(int(np.searchsorted(self._reach, room)), len(self._reach) - 1)
        wide = 1.0 + self.fruitless / _FRUITLESS_TO_REACH_ON
        scale = min(int(self._rng.geometric(1.0 / wide)) - 1, most)
        kept = self.regret <= min(room, self._reach[scale])
        kept[choice] = True
        free = self._some_groups(kept, choice, self._width[scale])
        if not free.any():
            return None
        floor = value + step
        if self._rng.random() < _WITHOUT:
            others = np.flatnonzero(free & (np.bincount(p.group[kept]) > 1))
            kept[choice[self._rng.choice(others, min(_LEFT_OUT, len(others)), replace=False)]] = False
            floor = value - _BACK * (self._bound - value)
        part, options, held = part_of(p, kept & free[p.group], choice)
        tree = plant(part, -np.inf, floor - held, step)
        learnt = np.append(options, len(p.value))
        tree.loss[:], tree.loss_count[:] = self._loss[:, :, learnt]
        ended = explore(part, tree, _NODES * 2 ** int(self._doublings))
        self._loss[:, :, learnt] = tree.loss, tree.loss_count
        self.work += float(tree.counter[NODES]) * work_of_node(part)
        self._doublings = min(self._doublings + 1.0 / _NEIGHBOURS_TO_DOUBLE, _MOST_DOUBLINGS)
        width = self._width[scale] * (_WIDER if ended else _NARROWER)
        self._width[scale] = min(max(width, _NARROWEST), float(len(p.value)))
        if not tree.counter[PLANS]:
            return None
        better = choice.copy()
        better[free] = options[tree.plan]
        if p.value[better].sum() > value:
            self._doublings = max(self._doublings - 1.0, 0.0)
        return better

    def _some_groups(self, kept: BoolArray, choice: IntArray, width: float) -> BoolArray:
        """Groups with more than one kept option drawn without return, about ``width`` options in all.

        A plan gets better where it costs something: such groups come first, more or less.
        """
        counts = np.bincount(self._p.group[kept])
        open_groups = np.flatnonzero(counts > 1)
        rank = self._rng.random(len(open_groups))
        rank[self.regret[choice[open_groups]] > 0] *= 1.0 - _COSTLY_FIRST * self._rng.random()
        drawn = open_groups[np.argsort(rank)]
        free = np.zeros(len(counts), dtype=np.bool_)
        free[drawn[: max(2, np.searchsorted(np.cumsum(counts[drawn]), width))]] = True
        return free

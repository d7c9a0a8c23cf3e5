"""Better plans by branch and cut on a part of the candidates, all others held at the plan in hand.

Packing a few large projects into many small budgets takes many changes at once, which no exchange of
two or three finds; a programme of a thousand or two near columns does.  Candidates are drawn at random,
or by the narrow rows that they share: whole districts, hosts, groups.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine.candidates import best_of_group
from optimize.engine.core import Relaxation
from optimize.engine.highs import solve_milp
from optimize.engine.stopping import Watch
from optimize.milp import Milp
from optimize.result import StopReason

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# Columns of each candidate that are free, in turn, and how many columns a neighbourhood has at first.
_NEAR_COLUMNS = (20, 12, 30)
_FIRST_SIZE = 1_200
_LEAST_SIZE, _MOST_SIZE = 300, 6_000
_GROWTH = 1.25
_NODES = 200
_SHARE_OF_TIME = 0.25
_MOST_SECONDS = 10.0
# The plan must gain this share of its value.
_LEAST_GAIN = 1e-9
# A row is narrow when at most this share of the candidates stands in it.
_NARROW = 0.3


def search_neighbourhoods(
    milp: Milp,
    group: IntArray,
    watch: Watch,
    relaxed: Relaxation,
    best: FloatArray,
    *,
    fruitless_rounds: int | None = None,
    first_size: int = _FIRST_SIZE,
    until: Callable[[], bool] = lambda: False,
) -> FloatArray:
    """A plan at least as good as ``best``.

    Parameters
    ----------
    group : shape (n,), candidate of each column (-1: of none, always free).
    relaxed : its ``distance`` says which columns are near.
    first_size : columns of the first neighbourhood.
    fruitless_rounds : so many in a row without a gain end the search; None: only the watch and ``until`` do.
    """
    most_fruitless = np.inf if fruitless_rounds is None else fruitless_rounds
    random = np.random.default_rng(watch.options.seed)
    names = np.unique(group[group >= 0])
    movable = milp.integral & (milp.upper > milp.lower)
    near = [_near(relaxed, group, movable, count) for count in _NEAR_COLUMNS]
    narrow = _narrow_rows(milp, group, names)

    def at_random(count: int, _: FloatArray) -> IntArray:
        return random.choice(names, count, replace=False)

    def by_rows(count: int, _: FloatArray) -> IntArray:
        some = _sharing_rows(milp, group, narrow, count, random)
        return some if len(some) <= count else random.choice(some, count, replace=False)

    def by_loss(count: int, plan: FloatArray) -> IntArray:
        loss = np.zeros(int(names[-1]) + 1)
        held = np.flatnonzero((plan > 0.5) & (group >= 0))
        loss[group[held]] = relaxed.distance[held]
        weight = loss[names] + max(float(loss.mean()), 1e-9)
        return random.choice(names, count, replace=False, p=weight / weight.sum())

    draw = (at_random, by_rows, by_loss) if len(narrow) else (at_random, by_loss)
    size, fruitless, number = float(first_size), 0, 0
    while fruitless < most_fruitless and not (watch.must_stop or watch.gap_reached or until()):
        turn = number % len(near)
        count = min(max(int(size / _NEAR_COLUMNS[turn]), 2), len(names))
        some = draw[(number + number // len(near)) % len(draw)](count, best)
        chosen = np.zeros(int(names[-1]) + 1, dtype=np.bool_)
        chosen[some] = True
        own = (group >= 0) & chosen[group]
        free = ~milp.integral | (group < 0) | (own & (near[turn] | (best > 0.5)))
        seconds = min(_SHARE_OF_TIME * watch.remaining(), _MOST_SECONDS)
        part = watch.child(seconds=seconds, gap=0.05 * watch.gap, plans=True)
        outcome = solve_milp(milp.restricted(free, best), part, best[free], max_nodes=_NODES)
        solved = outcome.stop in (StopReason.OPTIMAL, StopReason.GAP_REACHED)
        size = float(np.clip(size * _GROWTH if solved else size / _GROWTH, _LEAST_SIZE, _MOST_SIZE))
        number, fruitless = number + 1, fruitless + 1
        if outcome.x is not None:
            found = best.copy()
            found[free] = outcome.x
            gain = milp.value(found) - milp.value(best)
            if abs(gain) > _LEAST_GAIN * abs(milp.value(best)) and (gain > 0) == milp.maximise:
                best, fruitless = found, 0
    return best


def _near(relaxed: Relaxation, group: IntArray, movable: BoolArray, count: int) -> BoolArray:
    near = np.zeros(len(group), dtype=np.bool_)
    near[best_of_group(-relaxed.distance, group, movable, count)] = True
    return near


def _narrow_rows(milp: Milp, group: IntArray, names: IntArray) -> IntArray:
    """Rows of the programme that tie some candidates, but not most."""
    rows = np.repeat(np.arange(milp.num_rows), np.diff(milp.matrix.indptr))
    owner = group[milp.matrix.indices]
    inside = owner >= 0
    shape = (milp.num_rows, int(names[-1]) + 1)
    pairs = sp.csr_array(sp.coo_array((np.ones(int(inside.sum())), (rows[inside], owner[inside])), shape))
    pairs.sum_duplicates()
    tied = np.diff(pairs.indptr)
    return np.flatnonzero((tied > 1) & (tied <= _NARROW * len(names)))


def _sharing_rows(
    milp: Milp, group: IntArray, narrow: IntArray, count: int, random: np.random.Generator
) -> IntArray:
    """About ``count`` candidates: all those of narrow rows drawn one after the other."""
    some = np.zeros(0, dtype=np.int64)
    for row in random.permutation(narrow).tolist():
        start, end = milp.matrix.indptr[row], milp.matrix.indptr[row + 1]
        owner = group[milp.matrix.indices[start:end]]
        some = np.union1d(some, owner[owner >= 0])
        if len(some) >= count:
            break
    return some

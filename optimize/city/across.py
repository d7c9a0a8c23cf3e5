"""Plans of a city that is too large for branch and cut: at once from prices, then across programmes.

A relaxation of all programmes prices what they share.  What every candidate would do at these prices,
repaired, is a plan; branch and cut on a thousand columns at a time, of whichever programme, moves money
between the programmes where it serves better.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from optimize.city.arrays import CityArrays
from optimize.city.bound import Relaxed, carried
from optimize.city.instance import WATER
from optimize.engine.choice_quick import quick_plan
from optimize.engine.core import Relaxation
from optimize.engine.neighbourhoods import search_neighbourhoods
from optimize.engine.stopping import Watch
from optimize.milp import FloatArray, IntArray, Milp

_FIRST_SIZE = 3_000
_FRUITLESS_ROUNDS = 40
# A programme by itself: share of the time left, and fruitless rounds that end it.
_SHARE_ALONE = 0.35
_FRUITLESS_ALONE = 8


def plan_from_prices(
    arrays: CityArrays, relaxed: Relaxed, start: FloatArray | None, watch: Watch
) -> FloatArray | None:
    """A plan near the relaxation's prices, or ``start`` with the exchanges that gain most there; None: not found.

    Parameters
    ----------
    relaxed : of ``arrays``.
    start : shape (n,), a plan in hand.
    """
    near = _near(arrays, relaxed, relaxed.x)
    return quick_plan(arrays.milp, arrays.group, relaxed.certificate.multipliers, near, watch, start)


def improved_across(arrays: CityArrays, relaxed: Relaxed, x: FloatArray, watch: Watch) -> FloatArray:
    """A plan at least as good as ``x``: each programme in turn, shares and all, then all together.

    Parameters
    ----------
    relaxed : of these arrays or of earlier ones: its prices say which columns are near.
    """
    milp, near = arrays.milp, _near(arrays, relaxed, x)
    group = arrays.group.copy()
    of_part = [slice(first, last) for first, last in itertools.pairwise(arrays.first)]
    for part, own in zip(arrays.parts, of_part, strict=True):
        if part.name == WATER:  # few plans to choose from: any of them, always
            group[own] = -1
    num_candidates = [len(np.unique(group[own][group[own] >= 0])) for own in of_part]
    for k in np.argsort(num_candidates, kind="stable").tolist():
        if num_candidates[k] and not watch.must_stop:
            x = _improved_alone(milp, group, of_part[k], near, x, watch)
    return search_neighbourhoods(
        milp, group, watch, near, x, fruitless_rounds=_FRUITLESS_ROUNDS, first_size=_FIRST_SIZE
    )


def _near(arrays: CityArrays, relaxed: Relaxed, x: FloatArray) -> Relaxation:
    """Every column's distance from moving at the relaxation's prices, around the point ``x``."""
    milp = arrays.milp
    reduced = milp.cost - milp.matrix.T @ carried(relaxed.certificate, arrays)
    return Relaxation(x, relaxed.bound, np.abs(reduced), np.zeros(milp.num_columns))


def _improved_alone(
    milp: Milp, group: IntArray, own: slice, near: Relaxation, x: FloatArray, watch: Watch
) -> FloatArray:
    """Neighbourhoods of one programme's candidates, which are few to draw from; the others' choices held."""
    free = ~milp.integral | (group < 0)
    free[own] = True
    rest = milp.restricted(free, x)
    of_rest = replace(near, x=x[free], distance=near.distance[free], loss=near.loss[free])
    part = watch.child(seconds=_SHARE_ALONE * watch.remaining(), plans=True)
    part.offer_bound(near.bound)
    found = x.copy()
    found[free] = search_neighbourhoods(
        rest, group[free], part, of_rest, x[free], fruitless_rounds=_FRUITLESS_ALONE
    )
    return found

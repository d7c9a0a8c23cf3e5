"""Which sets of measures stay on a centre's list: compiled, because a centre has thousands of sets."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@njit(cache=True)
def _no_worse(table, other, row):  # type: ignore[no-untyped-def]
    column = 0
    while column < table.shape[1] and table[other, column] <= table[row, column]:
        column += 1
    return column == table.shape[1]


@njit(cache=True)
def _keep(table, order, kept):  # type: ignore[no-untyped-def]
    """Positions of undominated rows into ``kept``, visited in ``order``; returns how many."""
    count = 0
    for position in range(len(order)):
        row = order[position]
        beaten = False
        for k in range(count):
            if _no_worse(table, kept[k], row):
                beaten = True
                # What beats one row often beats the next: ask it first.
                for earlier in range(k, 0, -1):
                    kept[earlier], kept[earlier - 1] = kept[earlier - 1], kept[earlier]
                break
        if not beaten:
            kept[count] = row
            count += 1
    return count


def undominated(table: FloatArray) -> IntArray:
    """Positions of the rows for which no other row is at most as large in every column.

    Of equal rows the first in lexicographic order stays.  Rows are visited in lexicographic
    order, in which whatever dominates a row comes before it, so one pass over the rows kept so
    far is enough.
    """
    order = np.lexsort(table.T[::-1])
    kept = np.empty(len(table), dtype=np.int64)
    count = _keep(np.ascontiguousarray(table), order, kept)
    return np.sort(kept[:count])


def undominated_of_each(table: FloatArray, may_do_nothing: BoolArray) -> BoolArray:
    """The same for many centres at once; shape (centres, sets), True where a set stays.

    Rows are visited by the sum of their columns: a row that dominates another has a smaller sum.
    Where rounding hides that, both stay, which loses nothing.

    Parameters
    ----------
    table : shape (centres, 1 + sets, columns), smaller is better; first the row of the empty set.
    may_do_nothing : shape (centres,), True where the empty set may stand in for a set.
    """
    largest = np.maximum(np.abs(table).max(axis=1), 1e-300)
    key = np.einsum("ijk,ik->ij", table, 1.0 / largest)
    order = np.argsort(key, axis=1, kind="stable")
    stays = np.zeros(table.shape[:2], dtype=np.bool_)
    _keep_of_each(table, order, may_do_nothing, np.empty(table.shape[1], dtype=np.int64), stays)
    return stays[:, 1:]


@njit(cache=True)
def _keep_of_each(table, order, may_do_nothing, kept, stays):  # type: ignore[no-untyped-def]
    visited = np.empty(order.shape[1], dtype=np.int64)
    for centre in range(table.shape[0]):
        number = 0
        for row in order[centre]:
            if row > 0 or may_do_nothing[centre]:
                visited[number] = row
                number += 1
        count = _keep(table[centre], visited[:number], kept)
        for k in range(count):
            stays[centre, kept[k]] = True


@njit(cache=True)
def keep_most_wanted(stays, kind, net, capex, weeks, capex_price, week_price, most):  # type: ignore[no-untyped-def]
    """Shorten the list of each centre to the ``most`` sets that win at most prices; changes ``stays``.

    First the winner of most prices of every kind, then whatever wins most often, then by value.

    Parameters
    ----------
    stays, kind, net, capex, weeks : shape (centres, sets); ``kind`` from 0 to 255.
    capex_price, week_price : shape (prices,), prices at which the sets of one kind compete.
    """
    num_centres, num_sets = stays.shape
    for centre in range(num_centres):
        own = np.flatnonzero(stays[centre])
        if len(own) <= most:
            continue
        wins = np.zeros(num_sets)
        best = np.empty(256, dtype=np.int64)
        best_worth = np.empty(256)
        for price in range(len(capex_price)):
            best[:] = -1
            for s in own:
                k = kind[centre, s]
                worth = (
                    net[centre, s]
                    - capex_price[price] * capex[centre, s]
                    - week_price[price] * weeks[centre, s]
                )
                if best[k] < 0 or worth > best_worth[k]:
                    best[k], best_worth[k] = s, worth
            for k in range(256):
                if best[k] >= 0:
                    wins[best[k]] += 1.0
        best[:] = -1
        for s in own:
            k = kind[centre, s]
            if best[k] < 0 or wins[s] > wins[best[k]]:
                best[k] = s
        for k in range(256):
            if best[k] >= 0:
                wins[best[k]] += 1e6  # the leader of a kind comes before all others
        spread = max(np.abs(net[centre]).max(), 1e-300)
        for s in own:
            stays[centre, s] = False
            wins[s] += 0.5 * net[centre, s] / spread
        for _ in range(most):
            wanted = own[0]
            for s in own:
                if wins[s] > wins[wanted]:
                    wanted = s
            stays[centre, wanted] = True
            wins[wanted] = -np.inf


def compile_kernels() -> None:
    """Compile all of the above for the types they are called with."""
    undominated(np.eye(2))
    stays = undominated_of_each(np.zeros((1, 3, 2)), np.ones(1, dtype=np.bool_))
    prices, figures = np.zeros(1), np.zeros((1, 2))
    keep_most_wanted(stays, np.zeros((1, 2), np.int64), figures, figures, figures, prices, prices, 1)

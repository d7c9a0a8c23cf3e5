"""Compiled linear relaxation of a small choice problem: a dual simplex method that keeps one option per group.

One option of every group is its *key* and stands at one minus the others (generalised upper bounds,
Dantzig and Van Slyke 1967), so the basis has only as many columns as there are linking rows.  With
``y`` the multipliers of the rows,

    L(y) = y'side + sum over groups of max over its options (value - y'use)

is a bound for any y >= 0 (free for equations); every pivot moves along an edge of L and lowers it, so the
method can end as soon as L falls to what a better plan has to exceed.  Where a key's group has no
other basic option, a pivot passes over the point at which the key changes (long steps, Maros 2003).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# Sums may be taken in any order: every bound is compared with a margin far above their rounding.
compiled: Callable[..., Any] = njit(cache=True, fastmath={"reassoc", "contract"}, error_model="numpy")

# Rows are scaled to a largest coefficient of about one.
_FEASIBLE_ROW = 5e-10
_FEASIBLE_OPTION = 1e-9
_SMALLEST_PIVOT = 1e-9
_PIVOTS_PER_INVERSE = 60

OPTIMAL, CUT_OFF, INFEASIBLE, UNFINISHED = range(4)


class Knapsacks(NamedTuple):
    """max ``value @ x``, one option per group, ``x @ use <= side`` (== where ``equal``); n options, m rows.

    use (n, m), value (n,), group (n,) ascending, side (m,), equal (m,); slack (m,): by how much a plan
    may break a row (what summing up in another order can do).
    """

    use: FloatArray
    value: FloatArray
    group: IntArray
    side: FloatArray
    equal: BoolArray
    slack: FloatArray


class Tree(NamedTuple):
    """The state of a depth-first search over D levels, n options, m rows and G groups.

    By level: the relaxation's basis (option, or -1 - row for a slack), the key of each group, the
    inverse of the basis, the basic values, multipliers, what the keys leave of each side, the keys'
    value; age of the inverse; bound; the branching made here (option, value in the relaxation,
    1 forced or 0 forbidden first, 2 both done), the end of the trail before it; where the level's
    open options lie in ``active``; and the branching that made the level with the bound it came from.
    By option: place in the basis (-1 none), whether forbidden, reduced value, product with the row
    of the pivot; losses seen per unit when forbidden (0) and forced (1), their number, in the last
    place over all options.  ``trail`` lists forbidden options in order.  ``plan`` is the best choice found,
    ``goal`` and ``counter`` are indexed by the constants below.
    """

    basis: IntArray
    key: IntArray
    inverse: FloatArray
    basic_x: FloatArray
    multiplier: FloatArray
    rest: FloatArray
    key_value: FloatArray
    age: IntArray
    bound: FloatArray
    branch: IntArray
    branch_x: FloatArray
    branch_kind: IntArray
    trail_end: IntArray
    first_open: IntArray
    num_open: IntArray
    made_by: IntArray
    made_kind: IntArray
    made_share: FloatArray
    made_from: FloatArray
    place: IntArray
    slack_place: IntArray
    forbidden: BoolArray
    trail: IntArray
    active: IntArray
    reduced: FloatArray
    along: FloatArray
    loss: FloatArray
    loss_count: FloatArray
    plan: IntArray
    goal: FloatArray
    counter: IntArray


# places in Tree.goal: value of the best plan; what a plan must exceed at least; by how much it must
# exceed the best one
PLAN, FLOOR, STEP = range(3)
# places in Tree.counter
DEPTH, BACKTRACKING, NODES, PIVOTS, DOUBTS, PLANS, TRAIL = range(7)


@compiled
def swap_key(p, t, level, row):  # type: ignore[no-untyped-def]
    """Make the option that is basic at ``row`` the key of its group, and the key basic there."""
    basis, inverse, basic_x = t.basis[level], t.inverse[level], t.basic_x[level]
    option = basis[row]
    group = p.group[option]
    old = t.key[level, group]
    key_x = 1.0
    for r in range(len(basis)):
        if basis[r] >= 0 and p.group[basis[r]] == group:
            key_x -= basic_x[r]
            if r != row:
                for i in range(len(basis)):
                    inverse[row, i] += inverse[r, i]
    for i in range(len(basis)):
        inverse[row, i] = -inverse[row, i]
        t.rest[level, i] -= p.use[option, i] - p.use[old, i]
    t.key_value[level] += p.value[option] - p.value[old]
    basic_x[row] = key_x
    basis[row] = old
    t.key[level, group] = option
    t.place[old], t.place[option] = row, -1


@compiled
def change_key(p, t, level, group, option):  # type: ignore[no-untyped-def]
    """Another key for a group without basic options."""
    inverse, basic_x = t.inverse[level], t.basic_x[level]
    old = t.key[level, group]
    for i in range(len(basic_x)):
        change = p.use[option, i] - p.use[old, i]
        if change != 0.0:
            t.rest[level, i] -= change
            for r in range(len(basic_x)):
                basic_x[r] -= inverse[r, i] * change
    t.key_value[level] += p.value[option] - p.value[old]
    t.key[level, group] = option


@compiled
def is_alone(p, t, level, group):  # type: ignore[no-untyped-def]
    """Whether the key is the only option of its group that can be above zero."""
    for r in range(t.basis.shape[1]):
        option = t.basis[level, r]
        if option >= 0 and p.group[option] == group:
            return False
    return True


@compiled
def restart(p, t, level):  # type: ignore[no-untyped-def]
    """The basis of slacks at multipliers of zero: every key the open option of largest value."""
    for r in range(t.basis.shape[1]):
        if t.basis[level, r] >= 0:
            t.place[t.basis[level, r]] = -1
        t.basis[level, r] = -1 - r
        t.slack_place[r] = r
    q, end = t.first_open[level], t.first_open[level] + t.num_open[level]
    while q < end:
        group, best = p.group[t.active[q]], -np.inf
        while q < end and p.group[t.active[q]] == group:
            option = t.active[q]
            q += 1
            if not t.forbidden[option] and p.value[option] > best:
                best = p.value[option]
                t.key[level, group] = option
    invert(p, t, level)
    price(p, t, level)


@compiled
def invert(p, t, level):  # type: ignore[no-untyped-def]
    """The inverse of the basis, basic values and multipliers, from the data."""
    basis, key = t.basis[level], t.key[level]
    m = len(basis)
    columns, worth = np.zeros((m, m)), np.zeros(m)
    for r in range(m):
        option = basis[r]
        if option >= 0:
            own = key[p.group[option]]
            worth[r] = p.value[option] - p.value[own]
            for i in range(m):
                columns[i, r] = p.use[option, i] - p.use[own, i]
        else:
            columns[-option - 1, r] = 1.0
    inverse = np.linalg.inv(columns)
    t.inverse[level] = inverse
    rest = t.rest[level]
    rest[:] = p.side
    t.key_value[level] = 0.0
    for g in range(len(key)):
        t.key_value[level] += p.value[key[g]]
        for i in range(m):
            rest[i] -= p.use[key[g], i]
    for r in range(m):
        t.basic_x[level, r], t.multiplier[level, r] = 0.0, 0.0
        for i in range(m):
            t.basic_x[level, r] += inverse[r, i] * rest[i]
            t.multiplier[level, r] += worth[i] * inverse[i, r]
    t.age[level] = 0


@compiled
def price(p, t, level):  # type: ignore[no-untyped-def]
    """Reduced values of the open options, computed anew; returns L, whatever the basis is worth."""
    multiplier, rest, key = t.multiplier[level], t.rest[level], t.key[level]
    m = len(multiplier)
    bound = t.key_value[level]
    for i in range(m):
        if multiplier[i] < 0.0 and not p.equal[i]:
            multiplier[i] = 0.0
        bound += multiplier[i] * rest[i]
    q, end = t.first_open[level], t.first_open[level] + t.num_open[level]
    while q < end:
        group = p.group[t.active[q]]
        own = key[group]
        worth = p.value[own]
        for i in range(m):
            worth -= multiplier[i] * p.use[own, i]
        best, of_key = worth, worth
        if t.forbidden[own]:
            best = -np.inf
        while q < end and p.group[t.active[q]] == group:
            option = t.active[q]
            q += 1
            worth = p.value[option]
            for i in range(m):
                worth -= multiplier[i] * p.use[option, i]
            t.reduced[option] = worth
            if worth > best and not t.forbidden[option]:
                best = worth
        bound += best - of_key
    return bound


@compiled
def solve_relaxation(p, t, level, cutoff, max_pivots):  # type: ignore[no-untyped-def]
    """Lower L until it is optimal, at most ``cutoff``, or without end; UNFINISHED in numerical trouble.

    The multipliers give a valid bound however it ends; CUT_OFF and INFEASIBLE are proven from them.
    """
    for _ in range(max_pivots):
        if t.age[level] > _PIVOTS_PER_INVERSE:
            _renew(p, t, level)
        row, of_key = _leaving(p, t, level)
        if row < 0:
            return OPTIMAL
        if of_key:
            swap_key(p, t, level, row)
        direction = 1.0 if t.basic_x[level, row] < 0.0 else -1.0
        _multiply(p, t, level, t.inverse[level, row])
        option, slack, step = _entering(p, t, level, row, direction)
        if option < 0 and slack < 0:
            if _is_ray(p, t, level, row, direction):
                return INFEASIBLE
        elif _pivot(p, t, level, row, option, slack, direction * step):
            bound = t.key_value[level]
            for i in range(len(p.side)):
                bound += t.multiplier[level, i] * t.rest[level, i]
            if bound <= cutoff and price(p, t, level) <= cutoff:
                return CUT_OFF
            continue
        if t.age[level] == 0:
            break
        _renew(p, t, level)
    return UNFINISHED


@compiled
def _renew(p, t, level):  # type: ignore[no-untyped-def]
    invert(p, t, level)
    price(p, t, level)


@compiled
def _leaving(p, t, level):  # type: ignore[no-untyped-def]
    """Row of the steepest infeasibility (-1: none), and whether it is that of the key of its option's group."""
    basis, inverse, basic_x = t.basis[level], t.inverse[level], t.basic_x[level]
    m = len(basis)
    best, row, of_key = 0.0, -1, False
    for r in range(m):
        option, x = basis[r], basic_x[r]
        if option < 0:
            is_off = x < -_FEASIBLE_ROW or (p.equal[-option - 1] and x > _FEASIBLE_ROW)
        else:
            is_off = x < -_FEASIBLE_OPTION or (t.forbidden[option] and x > _FEASIBLE_OPTION)
        if is_off:
            norm = 1e-30
            for i in range(m):
                norm += inverse[r, i] * inverse[r, i]
            if x * x / norm > best:
                best, row, of_key = x * x / norm, r, False
        if option < 0:
            continue
        group = p.group[option]
        key_x, is_first = 1.0, True
        for s in range(m):
            if basis[s] >= 0 and p.group[basis[s]] == group:
                key_x -= basic_x[s]
                is_first = is_first and s >= r
        own = t.key[level, group]
        if not is_first or not (key_x < -_FEASIBLE_OPTION or (t.forbidden[own] and key_x > _FEASIBLE_OPTION)):
            continue
        largest, instead = -np.inf, -1
        norm = 1e-30
        for i in range(m):
            total = 0.0
            for s in range(m):
                if basis[s] >= 0 and p.group[basis[s]] == group:
                    total += inverse[s, i]
            norm += total * total
        for s in range(m):
            other = basis[s]
            if other >= 0 and p.group[other] == group and not t.forbidden[other] and basic_x[s] > largest:
                largest, instead = basic_x[s], s
        if instead >= 0 and key_x * key_x / norm > best:
            best, row, of_key = key_x * key_x / norm, instead, True
    return row, of_key


@compiled
def _multiply(p, t, level, weights):  # type: ignore[no-untyped-def]
    """along[option] = weights @ use[option] for the open options."""
    for q in range(t.first_open[level], t.first_open[level] + t.num_open[level]):
        option = t.active[q]
        total = 0.0
        for i in range(len(weights)):
            total += weights[i] * p.use[option, i]
        t.along[option] = total


@compiled
def _entering(p, t, level, row, direction):  # type: ignore[no-untyped-def]
    """(option, slack, step) of the pivot, -1 for what it is not; changes keys on the way (long steps)."""
    basis, weights, key = t.basis[level], t.inverse[level, row], t.key[level]
    m = len(basis)
    smallest = 1.0
    for i in range(m):
        smallest = max(smallest, abs(weights[i]))
    smallest *= _SMALLEST_PIVOT
    own_group = p.group[basis[row]] if basis[row] >= 0 else -1
    slope = -abs(t.basic_x[level, row])
    while True:
        step, rate, option, slack = np.inf, 0.0, -1, -1
        group, own, own_along, own_reduced = -1, -1, 0.0, 0.0
        for q in range(t.first_open[level], t.first_open[level] + t.num_open[level]):
            j = t.active[q]
            if p.group[j] != group:
                group = p.group[j]
                own = key[group]
                own_along, own_reduced = t.along[own], t.reduced[own]
            gain = direction * (own_along - t.along[j])
            if gain <= smallest or t.forbidden[j] or t.place[j] >= 0:
                continue
            ratio = max(own_reduced - t.reduced[j], 0.0) / gain
            if ratio < step - 1e-13 or (ratio <= step + 1e-13 and gain > rate):
                step, rate, option = min(ratio, step), gain, j
        for i in range(m):
            gain = -direction * weights[i]
            if gain <= smallest or t.slack_place[i] >= 0 or p.equal[i]:
                continue
            ratio = max(t.multiplier[level, i], 0.0) / gain
            if ratio < step - 1e-13 or (ratio <= step + 1e-13 and gain > rate):
                step, rate, option, slack = min(ratio, step), gain, -1, i
        if option < 0:
            return option, slack, step
        group = p.group[option]
        if slope + rate >= -_FEASIBLE_OPTION or group == own_group or not is_alone(p, t, level, group):
            return option, slack, step
        change_key(p, t, level, group, option)
        slope += rate


@compiled
def _is_ray(p, t, level, row, direction):  # type: ignore[no-untyped-def]
    """Whether the pivot row alone proves that no choice of open options meets the rows."""
    m = len(p.side)
    weights = np.empty(m)
    room, size = 0.0, 1.0
    for i in range(m):
        weights[i] = direction * t.inverse[level, row, i]
        if not p.equal[i]:
            weights[i] = max(weights[i], 0.0)
        room += weights[i] * t.rest[level, i]
        size += abs(weights[i] * t.rest[level, i])
    _multiply(p, t, level, weights)
    q, end = t.first_open[level], t.first_open[level] + t.num_open[level]
    while q < end:
        group = p.group[t.active[q]]
        own_along, least = t.along[t.key[level, group]], np.inf
        while q < end and p.group[t.active[q]] == group:
            option = t.active[q]
            q += 1
            if not t.forbidden[option]:
                least = min(least, t.along[option] - own_along)
        room -= least
        size += abs(least)
    return room < -1e-9 * size


@compiled
def _pivot(p, t, level, row, option, slack, step):  # type: ignore[no-untyped-def]
    """Exchange the basic column at ``row`` for an option or a slack; False where the pivot is too small."""
    basis, inverse, basic_x = t.basis[level], t.inverse[level], t.basic_x[level]
    m = len(basis)
    column = np.zeros(m)
    for r in range(m):
        if option < 0:
            column[r] = inverse[r, slack]
            continue
        own = t.key[level, p.group[option]]
        for i in range(m):
            column[r] += inverse[r, i] * (p.use[option, i] - p.use[own, i])
    if abs(column[row]) < _SMALLEST_PIVOT:
        return False
    for i in range(m):
        t.multiplier[level, i] += step * inverse[row, i]
    for q in range(t.first_open[level], t.first_open[level] + t.num_open[level]):
        t.reduced[t.active[q]] -= step * t.along[t.active[q]]
    x = basic_x[row] / column[row]
    for r in range(m):
        basic_x[r] -= x * column[r]
    basic_x[row] = x
    for i in range(m):
        inverse[row, i] /= column[row]
    for r in range(m):
        if r != row and column[r] != 0.0:
            for i in range(m):
                inverse[r, i] -= column[r] * inverse[row, i]
    if basis[row] >= 0:
        t.place[basis[row]] = -1
    else:
        t.slack_place[-basis[row] - 1] = -1
    if option >= 0:
        basis[row], t.place[option] = option, row
    else:
        basis[row], t.slack_place[slack] = -slack - 1, row
    t.age[level] += 1
    t.counter[PIVOTS] += 1
    return True

"""Compiled depth-first branch and bound over a small choice problem, on the relaxation of `choice_tree_lp`.

A node forces or forbids one option that the relaxation splits; options whose loss is more than the
room between the node's bound and the plan to beat are forbidden below it.  The whole state lies in
arrays, so a search can be left after some nodes and taken up again, and several can run at a time.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from optimize.engine.choice_tree_lp import (
    BACKTRACKING,
    CUT_OFF,
    DEPTH,
    DOUBTS,
    FLOOR,
    INFEASIBLE,
    NODES,
    OPTIMAL,
    PLAN,
    PLANS,
    STEP,
    TRAIL,
    UNFINISHED,
    compiled,
    price,
    restart,
    solve_relaxation,
    swap_key,
)

# Relaxed values this close to zero or one are not split.
_WHOLE = 1e-7
_SECOND_DONE = 2


@njit(cache=True, nogil=True, error_model="numpy")  # other threads search elsewhere meanwhile
def explore(p, t, max_nodes):  # type: ignore[no-untyped-def]
    """Search on for at most ``max_nodes`` nodes; True when nothing is left.

    Then no choice is worth more than `cutoff_of` the tree, unless ``counter[DOUBTS]`` is above zero: a part
    was left where rounding or the depth allowed no proof.
    """
    until = t.counter[NODES] + max_nodes
    while t.counter[NODES] < until:
        if t.counter[BACKTRACKING]:
            if not _backtrack(p, t):
                return True
        else:
            _visit(p, t)
    return False


@compiled
def cutoff_of(t):  # type: ignore[no-untyped-def]
    """What the next plan has to exceed."""
    return max(t.goal[FLOOR], t.goal[PLAN] + t.goal[STEP])


@compiled
def _visit(p, t):  # type: ignore[no-untyped-def]
    """Bound the present node; take its plan, cut it off, or branch."""
    level, cutoff = t.counter[DEPTH], cutoff_of(t)
    t.counter[NODES] += 1
    t.counter[BACKTRACKING] = 1
    status = solve_relaxation(p, t, level, cutoff, _most_pivots(p, level))
    if status == UNFINISHED:
        restart(p, t, level)
        status = solve_relaxation(p, t, level, cutoff, _most_pivots(p, 0))
    bound = cutoff
    if status not in (CUT_OFF, INFEASIBLE):
        bound = min(price(p, t, level), t.made_from[level])
    elif level == 0:
        t.bound[0] = cutoff if status == CUT_OFF else -np.inf
    _note_loss(p, t, level, bound)
    if status in (CUT_OFF, INFEASIBLE) or bound <= cutoff:
        return
    t.bound[level] = bound
    option, x = _most_telling(p, t, level)
    if option < 0 and status == OPTIMAL:
        if not _take_plan(p, t, level):
            t.counter[DOUBTS] += 1
        return
    if status != OPTIMAL or level + 2 >= len(t.bound):
        t.counter[DOUBTS] += 1
        return
    first, count = _forbid_losses(p, t, level, bound - cutoff)
    kind = 1 if x > 0.5 else 0
    t.branch[level], t.branch_x[level], t.branch_kind[level] = option, x, kind
    t.trail_end[level] = t.counter[TRAIL]
    t.first_open[level + 1], t.num_open[level + 1] = first, count
    _descend(p, t, level, kind)


@compiled
def _most_pivots(p, level):  # type: ignore[no-untyped-def]
    """Far more than a relaxation needs; the first one starts from nothing."""
    return 50 + 20 * len(p.side) + (10 * len(p.value) if level == 0 else 0)


@compiled
def _descend(p, t, level, kind):  # type: ignore[no-untyped-def]
    """Open the child of ``level`` that forces (1) or forbids (0) its branching option."""
    child, option = level + 1, t.branch[level]
    _copy(t, level, child)
    t.made_by[child], t.made_kind[child], t.made_from[child] = option, kind, t.bound[level]
    t.made_share[child] = 1.0 - t.branch_x[level] if kind == 1 else t.branch_x[level]
    t.counter[DEPTH], t.counter[BACKTRACKING] = child, 0
    if kind == 1:
        _force(p, t, child, option)
    else:
        _forbid(p, t, child, option)


@compiled
def _backtrack(p, t):  # type: ignore[no-untyped-def]
    """Open the other child of the nearest level that has one left and a bound worth it; False: none."""
    level = t.counter[DEPTH]
    _mark_places(t, level, False)
    while True:
        level -= 1
        while level >= 0 and t.branch_kind[level] == _SECOND_DONE:
            level -= 1
        if level < 0:
            return False
        while t.counter[TRAIL] > t.trail_end[level]:
            t.counter[TRAIL] -= 1
            t.forbidden[t.trail[t.counter[TRAIL]]] = False
        kind = 1 - t.branch_kind[level]
        t.branch_kind[level] = _SECOND_DONE
        if t.bound[level] > cutoff_of(t):
            break
    _copy(t, level, level + 1)
    _mark_places(t, level + 1, True)
    price(p, t, level + 1)
    _descend(p, t, level, kind)
    return True


@compiled
def _copy(t, origin, to):  # type: ignore[no-untyped-def]
    t.basis[to] = t.basis[origin]
    t.key[to] = t.key[origin]
    t.inverse[to] = t.inverse[origin]
    t.basic_x[to] = t.basic_x[origin]
    t.multiplier[to] = t.multiplier[origin]
    t.rest[to] = t.rest[origin]
    t.key_value[to] = t.key_value[origin]
    t.age[to] = t.age[origin]


@compiled
def _mark_places(t, level, is_basic):  # type: ignore[no-untyped-def]
    for r in range(t.basis.shape[1]):
        option, place = t.basis[level, r], r if is_basic else -1
        if option >= 0:
            t.place[option] = place
        else:
            t.slack_place[-option - 1] = place


@compiled
def _bar(t, option):  # type: ignore[no-untyped-def]
    t.forbidden[option] = True
    t.trail[t.counter[TRAIL]] = option
    t.counter[TRAIL] += 1


@compiled
def _forbid(p, t, level, option):  # type: ignore[no-untyped-def]
    """Forbid an option that the relaxation splits; a key gives way to another basic option of its group."""
    _bar(t, option)
    if t.key[level, p.group[option]] != option:
        return
    largest, row = -np.inf, -1
    for r in range(t.basis.shape[1]):
        other = t.basis[level, r]
        if other < 0 or p.group[other] != p.group[option] or t.forbidden[other]:
            continue
        if t.basic_x[level, r] > largest:
            largest, row = t.basic_x[level, r], r
    swap_key(p, t, level, row)


@compiled
def _force(p, t, level, option):  # type: ignore[no-untyped-def]
    """Make an option that the relaxation splits the key and forbid all others of its group."""
    group = p.group[option]
    if t.key[level, group] != option:
        swap_key(p, t, level, t.place[option])
    for q in range(t.first_open[level], t.first_open[level] + t.num_open[level]):
        other = t.active[q]
        if p.group[other] == group and other != option and not t.forbidden[other]:
            _bar(t, other)


@compiled
def _forbid_losses(p, t, level, room):  # type: ignore[no-untyped-def]
    """Forbid what would cost more than ``room``; returns where the options open to children are listed.

    They are written behind the level's own; groups with a single option left are not among them.
    Where the list has no room for that, children look at all options of this level.
    """
    q, end = t.first_open[level], t.first_open[level] + t.num_open[level]
    lists = end + t.num_open[level] <= len(t.active)
    last = end
    while q < end:
        group = p.group[t.active[q]]
        own, begin = t.key[level, group], last
        while q < end and p.group[t.active[q]] == group:
            option = t.active[q]
            q += 1
            stays = option == own or t.place[option] >= 0
            if not stays and not t.forbidden[option] and t.reduced[own] - t.reduced[option] > room:
                _bar(t, option)
            if lists and (stays or not t.forbidden[option]):
                t.active[last] = option
                last += 1
        if last - begin == 1:
            last = begin
    if lists:
        return end, last - end
    return t.first_open[level], t.num_open[level]


@compiled
def _note_loss(p, t, level, bound):  # type: ignore[no-untyped-def]
    """What the branching that made this level cost, per unit of the relaxed value moved."""
    option, kind, every = t.made_by[level], t.made_kind[level], len(p.value)
    if option < 0:
        return
    loss = max(0.0, t.made_from[level] - bound) / max(t.made_share[level], 1e-6)
    for place in (option, every):
        t.loss[kind, place] += loss
        t.loss_count[kind, place] += 1.0


@compiled
def _most_telling(p, t, level):  # type: ignore[no-untyped-def]
    """(option, relaxed value) with the largest product of expected losses either way; -1: none is split."""
    basis, every = t.basis[level], len(p.value)
    usual_out = max(t.loss[0, every] / max(1.0, t.loss_count[0, every]), 1e-12)
    usual_in = max(t.loss[1, every] / max(1.0, t.loss_count[1, every]), 1e-12)
    best, found, found_x = -1.0, -1, 0.0
    for r in range(len(basis)):
        if basis[r] < 0:
            continue
        group = p.group[basis[r]]
        key_x, is_first = 1.0, True
        for s in range(len(basis)):
            if basis[s] >= 0 and p.group[basis[s]] == group:
                key_x -= t.basic_x[level, s]
                is_first = is_first and s >= r
        for of_key in range(2 if is_first else 1):
            option, x = basis[r], t.basic_x[level, r]
            if of_key == 1:
                option, x = t.key[level, group], key_x
            if x < _WHOLE or x > 1.0 - _WHOLE:
                continue
            lost_out = (t.loss[0, option] + usual_out) / (t.loss_count[0, option] + 1.0) * x
            lost_in = (t.loss[1, option] + usual_in) / (t.loss_count[1, option] + 1.0) * (1.0 - x)
            if max(lost_out, 1e-12) * max(lost_in, 1e-12) > best:
                best, found, found_x = max(lost_out, 1e-12) * max(lost_in, 1e-12), option, x
    return found, found_x


@compiled
def _take_plan(p, t, level):  # type: ignore[no-untyped-def]
    """Keep the relaxation's whole choice if it is the best; False where it breaks a row after all."""
    choice = t.key[level].copy()
    for r in range(t.basis.shape[1]):
        option = t.basis[level, r]
        if option >= 0 and t.basic_x[level, r] > 0.5:
            choice[p.group[option]] = option
    value, used = 0.0, np.zeros(len(p.side))
    for option in choice:
        value += p.value[option]
        used += p.use[option]
    for i in range(len(p.side)):
        if used[i] > p.side[i] + p.slack[i] or (p.equal[i] and used[i] < p.side[i] - p.slack[i]):
            return False
    if value > t.goal[PLAN]:
        t.goal[PLAN] = value
        t.plan[:] = choice
        t.counter[PLANS] += 1
    return True


@compiled
def mend(p, regret, choice, max_moves):  # type: ignore[no-untyped-def]
    """Change one option of ``choice`` at a time until it breaks no row; True when it does not.

    The best move by weighted excess, then by regret; where none helps, rows that are broken weigh
    more (breakout method, Morris 1993).  A group just changed rests for a few moves.
    """
    num_groups, m = len(choice), len(p.side)
    weight, used, rests_until = np.ones(m), np.zeros(m), np.zeros(num_groups, np.int64)
    for option in choice:
        used += p.use[option]
    small = 1e-3 / (1.0 + np.abs(regret).max())
    for move in range(max_moves):
        is_broken = False
        for i in range(m):
            is_broken = is_broken or _excess(p, i, used[i]) > 0.0
        if not is_broken:
            return True
        best, to = np.inf, -1
        for option in range(len(p.value)):
            group = p.group[option]
            old = choice[group]
            if option == old or rests_until[group] > move:
                continue
            cost = small * (regret[option] - regret[old])
            for i in range(m):
                cost += weight[i] * _excess(p, i, used[i] + p.use[option, i] - p.use[old, i])
            if cost < best:
                best, to = cost, option
        if to < 0:
            return False
        now = 0.0
        for i in range(m):
            now += weight[i] * _excess(p, i, used[i])
        if best >= now - 1e-12:
            for i in range(m):
                if _excess(p, i, used[i]) > 0.0:
                    weight[i] += 1.0
        group = p.group[to]
        used += p.use[to] - p.use[choice[group]]
        choice[group] = to
        rests_until[group] = move + 2 + (7 * move + group) % 9
    return False


@compiled
def _excess(p, row, used):  # type: ignore[no-untyped-def]
    """By how much a row is broken, beyond what rounding may do."""
    over = used - p.side[row] - p.slack[row]
    if p.equal[row]:
        over = max(over, p.side[row] - p.slack[row] - used)
    return max(over, 0.0)

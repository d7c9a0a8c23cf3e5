"""Compiled loops of the plan search: repair of broken rows, exchanges of one, two or three groups.

All rows are ``use <= side``; ``slack`` is what is left of each.  A *move* gives one group another
column (-1: none).  Every loop keeps the local row of each block.
"""

from __future__ import annotations

import numpy as np

from optimize.engine.choice_kernels import compiled

_TINY = 1e-12
_SAMPLE = 400
_TABU = 12
_RAISE = 1.3


@compiled
def use_of(chosen, link_start, link_row, link_coefficient, num_rows):  # type: ignore[no-untyped-def]
    """Use of every row by the chosen columns."""
    use = np.zeros(num_rows)
    for g in range(chosen.shape[0]):
        j = chosen[g]
        if j >= 0:
            for p in range(link_start[j], link_start[j + 1]):
                use[link_row[p]] += link_coefficient[p]
    return use


@compiled
def _of(values, j, idle):  # type: ignore[no-untyped-def]
    return values[j] if j >= 0 else idle


@compiled
def _shift(old, new, link_start, link_row, link_coefficient, change, touched, count):  # type: ignore[no-untyped-def]
    """Add the row changes of old -> new to ``change``; returns the number of rows ever touched."""
    for j, sign in ((old, -1.0), (new, 1.0)):
        if j < 0:
            continue
        for p in range(link_start[j], link_start[j + 1]):
            r = link_row[p]
            if change[r] == 0.0:
                known = False
                for q in range(count):
                    if touched[q] == r:
                        known = True
                        break
                if not known:
                    touched[count] = r
                    count += 1
            change[r] += sign * link_coefficient[p]
    return count


@compiled
def _next_state(state):  # type: ignore[no-untyped-def]
    """Linear congruential generator modulo 2^64 (Knuth's MMIX)."""
    return state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)


@compiled
def _below(state, number):  # type: ignore[no-untyped-def]
    """A whole number from 0 to number - 1 from the upper half of ``state``."""
    return np.int64((state >> np.uint64(33)) % np.uint64(number))


@compiled
def repair(  # type: ignore[no-untyped-def]
    near_start, near_column, row_start, row_group, block_of_group, weight, regret, idle_regret,
    link_start, link_row, link_coefficient, room, chosen, slack, space, penalty, max_steps, seed,
):  # fmt: skip
    """Move groups until no row is broken: least regret plus penalised excess first.

    ``penalty`` (by row) rises while its row stays broken, so that rows which compete are weighed
    against each other.  Returns the number of rows still broken.
    """
    state = np.uint64(2 * seed + 1)
    num_rows = slack.shape[0]
    change = np.zeros(num_rows)
    touched = np.empty(num_rows, np.int64)
    moved_at = np.full(chosen.shape[0], -_TABU - 1, np.int64)
    broken = np.empty(num_rows, np.int64)
    place = np.full(num_rows, -1, np.int64)
    num_broken = 0
    for r in range(num_rows):
        if slack[r] < -room[r]:
            place[r] = num_broken
            broken[num_broken] = r
            num_broken += 1
    for step in range(max_steps):
        if num_broken == 0:
            return 0
        state = _next_state(state)
        row = broken[_below(state, num_broken)]
        first, last = row_start[row], row_start[row + 1]
        count_of_row = last - first
        if count_of_row == 0:
            return num_broken
        stride = max(1, count_of_row // _SAMPLE)
        best, best_group, best_column = np.inf, -1, -1
        for p in range(first + _below(state, stride), last, stride):
            g = row_group[p]
            if step - moved_at[g] <= _TABU:
                continue
            old = chosen[g]
            b = block_of_group[g]
            for q in range(near_start[g], near_start[g + 1]):
                j = near_column[q]
                if j == old:
                    continue
                if _of(weight, j, 0.0) - _of(weight, old, 0.0) > space[b] + _TINY:
                    continue
                count = _shift(old, j, link_start, link_row, link_coefficient, change, touched, 0)
                if change[row] < 0.0:
                    score = _of(regret, j, idle_regret[g]) - _of(regret, old, idle_regret[g])
                    for k in range(count):
                        r = touched[k]
                        before = max(-slack[r] - room[r], 0.0)
                        after = max(change[r] - slack[r] - room[r], 0.0)
                        score += penalty[r] * (after - before)
                    if score < best:
                        best, best_group, best_column = score, g, j
                for k in range(count):
                    change[touched[k]] = 0.0
        if best_group < 0 or best >= 0.0:
            for k in range(num_broken):
                penalty[broken[k]] *= _RAISE
            if best_group < 0:
                continue
        g, j = best_group, best_column
        old = chosen[g]
        space[block_of_group[g]] -= _of(weight, j, 0.0) - _of(weight, old, 0.0)
        count = _shift(old, j, link_start, link_row, link_coefficient, change, touched, 0)
        for k in range(count):
            r = touched[k]
            slack[r] -= change[r]
            change[r] = 0.0
            is_broken = slack[r] < -room[r]
            if is_broken and place[r] < 0:
                place[r] = num_broken
                broken[num_broken] = r
                num_broken += 1
            elif not is_broken and place[r] >= 0:
                num_broken -= 1
                other = broken[num_broken]
                broken[place[r]] = other
                place[other] = place[r]
                place[r] = -1
        chosen[g] = j
        moved_at[g] = step
    return num_broken


@compiled
def gather(  # type: ignore[no-untyped-def]
    moves_group, moves_column, value, weight, link_start, link_row, link_coefficient, chosen, slack,
    row_place, rows, change_rows, gain, load, floor, price,
):  # fmt: skip
    """Fill gain (value less priced use), load and dense row changes of the moves that change something.

    Returns (number of moves, number of rows): ``moves_*``, ``rows`` are compacted in place; rows
    that no triple of the moves can break are left out, ``floor`` is the slack at which they can.
    """
    num_rows = 0
    count = 0
    for m in range(moves_group.shape[0]):
        g, j = moves_group[m], moves_column[m]
        old = chosen[g]
        if j == old:
            continue
        moves_group[count], moves_column[count] = g, j
        gain[count] = _of(value, j, 0.0) - _of(value, old, 0.0)
        load[count] = _of(weight, j, 0.0) - _of(weight, old, 0.0)
        change_rows[count, :] = 0.0
        for column, sign in ((old, -1.0), (j, 1.0)):
            if column < 0:
                continue
            for p in range(link_start[column], link_start[column + 1]):
                r = link_row[p]
                if row_place[r] < 0:
                    row_place[r] = num_rows
                    rows[num_rows] = r
                    num_rows += 1
                change_rows[count, row_place[r]] += sign * link_coefficient[p]
                gain[count] -= price[r] * sign * link_coefficient[p]
        count += 1
    for q in range(num_rows):
        row_place[rows[q]] = -1
    kept = 0
    for q in range(num_rows):
        most = 0.0
        for m in range(count):
            if change_rows[m, q] > most:
                most = change_rows[m, q]
        row = rows[q]
        if 3.0 * most > slack[row]:
            rows[kept] = row
            if kept != q:
                for m in range(count):
                    change_rows[m, kept] = change_rows[m, q]
            kept += 1
            floor[row] = -np.inf
        else:
            floor[row] = 3.0 * most
    return count, kept


@compiled
def exchange(  # type: ignore[no-untyped-def]
    count, num_rows, moves_group, moves_column, gain, load, change_rows, rows, block_of_group,
    link_start, link_row, link_coefficient, chosen, slack, space, dirty, floor, ceiling, least, num_triples,
):  # fmt: skip
    """Best single or pair for each move worth having; then triples of the first ``num_triples`` moves.

    Returns the value gained.  Moves of a group that has changed are left alone (their changes are
    out of date), so the caller gathers them anew for another pass.  The pass ends when the slack of a
    row falls below ``floor`` (it was left out) or rises above ``ceiling`` (it was broken and is not).
    """
    order = np.argsort(-gain[:count])
    left = np.empty(num_rows)
    for q in range(num_rows):
        left[q] = slack[rows[q]]
    gained = 0.0
    two = np.empty(num_rows)
    three = np.empty(num_rows)
    for aa in range(count):
        a = order[aa]
        if gain[a] <= least:
            break
        if dirty[moves_group[a]]:
            continue
        tight = -1
        for q in range(num_rows):
            two[q] = left[q] - change_rows[a, q]
            if two[q] < 0.0 and change_rows[a, q] > 0.0 and (tight < 0 or two[q] < two[tight]):
                tight = q
        b = block_of_group[moves_group[a]]
        best, partner = least, -2
        if tight < 0 and load[a] <= space[b] + _TINY:
            best, partner = gain[a], -1
        for cc in range(aa + 1, count):
            c = order[cc]
            if gain[a] + gain[c] <= best:
                break
            if tight >= 0 and change_rows[c, tight] > two[tight]:
                continue
            if moves_group[c] == moves_group[a] or dirty[moves_group[c]]:
                continue
            if not _pair_fits(a, c, b, two, num_rows, change_rows, load, space, block_of_group, moves_group):
                continue
            best, partner = gain[a] + gain[c], c
        if partner >= -1:
            gained += best
            near = _apply(
                a, moves_group, moves_column, load, change_rows, num_rows, left, block_of_group,
                link_start, link_row, link_coefficient, chosen, slack, space, dirty, floor, ceiling,
            )  # fmt: skip
            if partner >= 0:
                near |= _apply(
                    partner, moves_group, moves_column, load, change_rows, num_rows, left, block_of_group,
                    link_start, link_row, link_coefficient, chosen, slack, space, dirty, floor, ceiling,
                )  # fmt: skip
            if near:
                return gained
    few = min(count, num_triples)
    if few < 3:
        return gained
    order = np.argsort(-gain[:few])
    for aa in range(few):
        a = order[aa]
        if dirty[moves_group[a]]:
            continue
        if gain[a] <= least:
            break
        best, second, third = least, -1, -1
        for cc in range(aa + 1, few):
            c = order[cc]
            if gain[a] + 2.0 * gain[c] <= best:
                break
            if dirty[moves_group[c]] or moves_group[c] == moves_group[a]:
                continue
            tight = -1
            for q in range(num_rows):
                three[q] = left[q] - change_rows[a, q] - change_rows[c, q]
                if three[q] < 0.0 and (tight < 0 or three[q] < three[tight]):
                    tight = q
            for ee in range(cc + 1, few):
                e = order[ee]
                total = gain[a] + gain[c] + gain[e]
                if total <= best:
                    break
                if tight >= 0 and change_rows[e, tight] > three[tight]:
                    continue
                if (
                    dirty[moves_group[e]]
                    or moves_group[e] == moves_group[a]
                    or moves_group[e] == moves_group[c]
                ):
                    continue
                if _triple_fits(
                    a, c, e, three, num_rows, change_rows, load, space, block_of_group, moves_group
                ):
                    best, second, third = total, c, e
        if second >= 0:
            gained += best
            near = False
            for m in (a, second, third):
                near |= _apply(
                    m, moves_group, moves_column, load, change_rows, num_rows, left, block_of_group,
                    link_start, link_row, link_coefficient, chosen, slack, space, dirty, floor, ceiling,
                )  # fmt: skip
            if near:
                return gained
    return gained


@compiled
def _pair_fits(a, c, b, two, num_rows, change_rows, load, space, block_of_group, moves_group):  # type: ignore[no-untyped-def]
    for q in range(num_rows):
        if two[q] - change_rows[c, q] < 0.0 and change_rows[a, q] + change_rows[c, q] > _TINY:
            return False
    d = block_of_group[moves_group[c]]
    if d == b:
        return load[a] + load[c] <= max(space[b], 0.0) + _TINY
    return load[a] <= space[b] + _TINY and load[c] <= space[d] + _TINY


@compiled
def _triple_fits(a, c, e, three, num_rows, change_rows, load, space, block_of_group, moves_group):  # type: ignore[no-untyped-def]
    for q in range(num_rows):
        if three[q] - change_rows[e, q] < 0.0:
            return False
    of_a, of_c = block_of_group[moves_group[a]], block_of_group[moves_group[c]]
    of_e = block_of_group[moves_group[e]]
    on_a = load[a] + (load[c] if of_c == of_a else 0.0) + (load[e] if of_e == of_a else 0.0)
    on_c = load[c] + (load[a] if of_a == of_c else 0.0) + (load[e] if of_e == of_c else 0.0)
    on_e = load[e] + (load[a] if of_a == of_e else 0.0) + (load[c] if of_c == of_e else 0.0)
    return on_a <= space[of_a] + _TINY and on_c <= space[of_c] + _TINY and on_e <= space[of_e] + _TINY


@compiled
def _apply(  # type: ignore[no-untyped-def]
    m, moves_group, moves_column, load, change_rows, num_rows, left, block_of_group,
    link_start, link_row, link_coefficient, chosen, slack, space, dirty, floor, ceiling,
):  # fmt: skip
    """Make move ``m``; True when a row leaves the band in which this pass holds."""
    g, j = moves_group[m], moves_column[m]
    near = False
    for column, sign in ((chosen[g], 1.0), (j, -1.0)):
        if column >= 0:
            for p in range(link_start[column], link_start[column + 1]):
                slack[link_row[p]] += sign * link_coefficient[p]
                near |= slack[link_row[p]] < floor[link_row[p]] or slack[link_row[p]] > ceiling[link_row[p]]
    for q in range(num_rows):
        left[q] -= change_rows[m, q]
    space[block_of_group[g]] -= load[m]
    chosen[g] = j
    dirty[g] = True
    return near


@compiled
def count_rows(groups, group_start, link_start, link_row, num_rows):  # type: ignore[no-untyped-def]
    """Rows that any column of ``groups`` touches."""
    seen = np.zeros(num_rows, np.bool_)
    count = 0
    for g in groups:
        for j in range(group_start[g], group_start[g + 1]):
            for p in range(link_start[j], link_start[j + 1]):
                if not seen[link_row[p]]:
                    seen[link_row[p]] = True
                    count += 1
    return count


@compiled
def near_columns(group_start, must, regret, idle_regret, most):  # type: ignore[no-untyped-def]
    """The ``most`` columns of least regret of each group, least first; nothing (-1) is one where allowed.

    Nothing is listed even where it is not among them.  Returns (start, column).
    """
    num_groups = must.shape[0]
    start = np.zeros(num_groups + 1, np.int64)
    column = np.empty(group_start[num_groups] + num_groups, np.int64)
    size = 0
    for g in range(num_groups):
        first, last = group_start[g], group_start[g + 1]
        order = first + np.argsort(regret[first:last])
        idle = not must[g]
        for k in range(order.shape[0]):
            if idle and idle_regret[g] < regret[order[k]]:
                column[size] = -1
                size += 1
                idle = False
            if size - start[g] >= most:
                break
            column[size] = order[k]
            size += 1
        if idle:
            column[size] = -1
            size += 1
        start[g + 1] = size
    return start, column[:size].copy()

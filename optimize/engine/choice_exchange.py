"""Improve a plan by changing the option of one group, or of two groups at once.

Two-group exchanges are what linking rows call for: one change is worth having and breaks a row,
another frees that row for less than the first gains.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine.choice_kernels import compiled
from optimize.engine.choice_structure import ChoiceStructure
from optimize.milp import Milp

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_PARTNERS = 4_000


class Exchange:
    """Local search on the plans of one structure.

    Parameters
    ----------
    distance : shape (n,), Lagrangian loss; the ``max_moves`` closest columns are tried.
    passes : most rounds over all moves.
    """

    def __init__(
        self, milp: Milp, s: ChoiceStructure, distance: FloatArray, max_moves: int, passes: int
    ) -> None:
        self._milp, self._s, self._passes = milp, s, passes
        self._group, self._block = s.group_of_column, s.block_of_group
        loss = distance[s.columns]
        near = np.argsort(loss, kind="stable")
        near = np.sort(near[np.isfinite(loss[near])][:max_moves])
        groups = np.unique(self._group[near])
        optional = groups[~s.must_choose[groups]]
        self._move_group = np.concatenate([self._group[near], optional])
        self._move_column = np.concatenate([near, np.full(len(optional), -1)])
        # Partners of a change are looked for among the groups that can use the broken row.
        link = sp.csc_array(
            (np.ones(len(s.link_row)), s.link_row, s.link_start), shape=(len(s.side), len(self._group))
        )
        near_link = link[:, near].tocoo()
        touches = sp.csr_array(
            (np.ones(near_link.nnz), (near_link.row, self._group[near[near_link.col]])),
            shape=(len(s.side), s.num_groups),
        )
        moves_of_group = sp.csr_array(
            (np.ones(len(self._move_group)), (self._move_group, np.arange(len(self._move_group)))),
            shape=(s.num_groups, len(self._move_group)),
        )
        by_row = sp.csr_array(touches @ moves_of_group)
        self._row_start, self._row_move = by_row.indptr.astype(np.int64), by_row.indices.astype(np.int64)
        self._link = link
        link.data[:] = s.link_coefficient

    def improve(self, x: FloatArray) -> FloatArray:
        """A plan at least as good as the feasible plan ``x`` (shape (n,)); columns that are not choices keep their values."""
        s, milp = self._s, self._milp
        picked = np.flatnonzero(x[s.columns] > 0.5)
        chosen = np.full(s.num_groups, -1, dtype=np.int64)
        chosen[self._group[picked]] = picked
        slack = s.side - s.others_link @ x[s.others] - self._link @ (x[s.columns] > 0.5)
        slack = np.where(s.equal, np.minimum(slack, 0.0), slack)
        load = np.bincount(self._block[self._group[picked]], s.weight[picked], minlength=s.num_blocks)
        _improve(
            self._move_group, self._move_column, self._row_start, self._row_move,
            self._block, s.value, s.weight, s.link_start, s.link_row, s.link_coefficient, s.equal,
            chosen, slack, s.capacity - load, self._passes, _PARTNERS,
        )  # fmt: skip
        found = x.copy()
        found[s.columns] = 0.0
        found[s.columns[chosen[chosen >= 0]]] = 1.0
        gain = milp.value(found) - milp.value(x)
        better = gain > 0 if milp.maximise else gain < 0
        return found if better and milp.violation(found) <= 1e-7 else x


@compiled
def _improve(  # type: ignore[no-untyped-def]
    move_group, move_column, row_start, row_move, block_of_group, value, weight, link_start, link_row,
    link_coefficient, equal, chosen, slack, space, passes, partners,
):  # fmt: skip
    change = np.zeros(slack.shape[0])
    touched = np.empty(slack.shape[0], np.int64)
    for _ in range(passes):
        improved = 0
        for a in range(move_group.shape[0]):
            g, j = move_group[a], move_column[a]
            if chosen[g] == j:
                continue
            gain = _value(value, j) - _value(value, chosen[g])
            if gain <= 1e-9:
                continue
            count = _add(chosen[g], j, link_start, link_row, link_coefficient, change, touched, 0)
            b = block_of_group[g]
            local = _weight(weight, j) - _weight(weight, chosen[g])
            broken = _first_broken(change, touched, count, slack, equal)
            if local <= space[b] + 1e-12 and broken < 0:
                _apply(change, touched, count, slack, space, b, local)
                chosen[g] = j
                improved += 1
                continue
            partner = -1
            if broken >= 0:
                partner = _find_partner(
                    g, gain, local, b, broken, row_start, row_move, move_group, move_column, block_of_group,
                    value, weight, link_start, link_row, link_coefficient, equal, chosen, slack, space,
                    change, touched, count, partners,
                )  # fmt: skip
            if partner < 0:
                _clear(change, touched, count)
                continue
            h, k = move_group[partner], move_column[partner]
            count = _add(chosen[h], k, link_start, link_row, link_coefficient, change, touched, count)
            space[block_of_group[h]] -= _weight(weight, k) - _weight(weight, chosen[h])
            chosen[h] = k
            _apply(change, touched, count, slack, space, b, local)
            chosen[g] = j
            improved += 1
        if improved == 0:
            break


@compiled
def _find_partner(  # type: ignore[no-untyped-def]
    g, gain, local, b, broken, row_start, row_move, move_group, move_column, block_of_group, value, weight,
    link_start, link_row, link_coefficient, equal, chosen, slack, space, change, touched, count, partners,
):  # fmt: skip
    """Best change of another group that makes the pair feasible and worth while."""
    best, found = 1e-9, -1
    first, last = row_start[broken], row_start[broken + 1]
    step = max(1, (last - first) // partners)
    need = change[broken] - slack[broken]
    for p in range(first, last, step):
        m = row_move[p]
        h, k = move_group[m], move_column[m]
        old = chosen[h]
        if h == g or old == k:
            continue
        total = gain + _value(value, k) - _value(value, old)
        if total <= best:
            continue
        freed = _coefficient(old, broken, link_start, link_row, link_coefficient) - _coefficient(
            k, broken, link_start, link_row, link_coefficient
        )
        if freed < need - 1e-12 and not equal[broken]:
            continue
        own = _weight(weight, k) - _weight(weight, old)
        c = block_of_group[h]
        if c == b:
            if local + own > space[b] + 1e-12:
                continue
        elif local > space[b] + 1e-12 or own > space[c] + 1e-12:
            continue
        longer = _add(old, k, link_start, link_row, link_coefficient, change, touched, count)
        fits = _first_broken(change, touched, longer, slack, equal) < 0
        _add(k, old, link_start, link_row, link_coefficient, change, touched, longer)
        for q in range(count, longer):
            change[touched[q]] = 0.0
        if fits:
            best, found = total, m
    return found


@compiled
def _value(value, j):  # type: ignore[no-untyped-def]
    return value[j] if j >= 0 else 0.0


@compiled
def _weight(weight, j):  # type: ignore[no-untyped-def]
    return weight[j] if j >= 0 else 0.0


@compiled
def _coefficient(j, row, link_start, link_row, link_coefficient):  # type: ignore[no-untyped-def]
    if j >= 0:
        for p in range(link_start[j], link_start[j + 1]):
            if link_row[p] == row:
                return link_coefficient[p]
    return 0.0


@compiled
def _add(old, new, link_start, link_row, link_coefficient, change, touched, count):  # type: ignore[no-untyped-def]
    """Add the row changes of old -> new; rows seen for the first time are listed in ``touched``."""
    for j, sign in ((old, -1.0), (new, 1.0)):
        if j < 0:
            continue
        for p in range(link_start[j], link_start[j + 1]):
            r = link_row[p]
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
def _first_broken(change, touched, count, slack, equal):  # type: ignore[no-untyped-def]
    for q in range(count):
        r = touched[q]
        if equal[r]:
            if abs(change[r]) > 1e-12:
                return r
        elif change[r] > 1e-12 and change[r] > slack[r]:
            return r
    return -1


@compiled
def _apply(change, touched, count, slack, space, block, local):  # type: ignore[no-untyped-def]
    space[block] -= local
    for q in range(count):
        slack[touched[q]] -= change[touched[q]]
        change[touched[q]] = 0.0


@compiled
def _clear(change, touched, count):  # type: ignore[no-untyped-def]
    for q in range(count):
        change[touched[q]] = 0.0

"""Compiled search for node sets whose arcs carry in, at a relaxed point, less than the set must get.

A set that needs ``d`` from outside gets it by the arcs that lead in; what passes arc a is at most
x_a, and at most min(capacity_a, d) y_a once less than d is counted as d at most.  So with any arcs C

    sum_{a in C} min(capacity_a, d) y_a + sum_{a not in C} x_a >= d

(simple dicuts of Ortega and Wolsey, Networks 41 (2003)); the best C takes the smaller term of each arc.
A set that has to give away is one whose complement needs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from optimize.engine.fixed_charge import FloatArray, IntArray

# What a set counts that needs nothing: worse than all others, but a search may pass through it.
INDIFFERENT = -1.0


class Links(NamedTuple):
    """Arcs and the arcs at each node: into node v are ``into[first_in[v]:first_in[v + 1]]``."""

    tail: IntArray
    head: IntArray
    capacity: FloatArray
    first_in: IntArray
    into: IntArray
    first_out: IntArray
    out: IntArray
    demand: FloatArray
    slack: float
    negligible: float


@njit(cache=True, nogil=True)
def missing(links, inside, members, num, net, x, y):  # type: ignore[no-untyped-def]
    """Share of what a set must get, or give, that its arcs do not carry; `INDIFFERENT` where that is nothing."""
    if net > links.negligible:
        first, arcs, beyond, need = links.first_in, links.into, links.tail, net
    elif -net - links.slack > links.negligible:
        first, arcs, beyond, need = links.first_out, links.out, links.head, -net - links.slack
    else:
        return INDIFFERENT
    carried = 0.0
    for q in range(num):
        for k in range(first[members[q]], first[members[q] + 1]):
            a = arcs[k]
            if not inside[beyond[a]]:
                carried += min(x[a], min(links.capacity[a], need) * y[a])
    return 1.0 - carried / need


@njit(cache=True, nogil=True)
def explore(links, start, steps, most, tabu_steps, effort, x, y, least, found, score, num_found):  # type: ignore[no-untyped-def]
    """From the set ``start``, add the neighbour or drop the member that leaves most missing, ``steps`` times.

    Parameters
    ----------
    most : members of a set.
    tabu_steps : steps for which a moved node stays; 0: nodes are never dropped.
    effort : arcs looked at before the search ends.
    found, score : (F, N) sets with more than ``least`` missing, and how much; filled from ``num_found`` on.

    Returns
    -------
    number of sets found.
    """
    num_nodes = len(links.demand)
    inside, stays = start.copy(), np.zeros(num_nodes, np.int64)
    members, num, net = np.zeros(num_nodes, np.int64), 0, 0.0
    for v in range(num_nodes):
        if inside[v]:
            members[num] = v
            num += 1
            net += links.demand[v]
    looked_at = np.zeros(num_nodes, np.int64)
    for step in range(1, steps + 1):
        best, moved, place = -np.inf, -1, -1
        if num < most:
            for q in range(num):
                v = members[q]
                for side in range(2):
                    first, arcs, beyond = (
                        (links.first_in, links.into, links.tail)
                        if side == 0
                        else (links.first_out, links.out, links.head)
                    )
                    for k in range(first[v], first[v + 1]):
                        w = beyond[arcs[k]]
                        if inside[w] or looked_at[w] == step or stays[w] > step:
                            continue
                        looked_at[w] = step
                        inside[w], members[num] = True, w
                        value = missing(links, inside, members, num + 1, net + links.demand[w], x, y)
                        inside[w] = False
                        effort -= _degree(links, w)
                        if value > best:
                            best, moved, place = value, w, -1
                effort -= num
        if tabu_steps > 0 and num > 1:
            for q in range(num):
                v = members[q]
                if stays[v] > step:
                    continue
                inside[v], members[q] = False, members[num - 1]
                value = missing(links, inside, members, num - 1, net - links.demand[v], x, y)
                inside[v], members[q] = True, v
                if value > best:
                    best, moved, place = value, v, q
        if moved < 0 or effort < 0:
            break
        if place < 0:
            inside[moved], members[num] = True, moved
            num, net = num + 1, net + links.demand[moved]
        else:
            inside[moved], members[place] = False, members[num - 1]
            num, net = num - 1, net - links.demand[moved]
        stays[moved] = step + tabu_steps
        if best > least and num_found < len(score):
            found[num_found], score[num_found] = inside, best
            num_found += 1
    return num_found


@njit(cache=True, nogil=True)
def _degree(links, v):  # type: ignore[no-untyped-def]
    return links.first_in[v + 1] - links.first_in[v] + links.first_out[v + 1] - links.first_out[v]


@njit(cache=True, nogil=True)
def grow_from_every_node(links, steps, effort, x, y, least, found, score, tabu_steps):  # type: ignore[no-untyped-def]
    """`explore` from each node that has a demand or an arc in use; returns the number of sets found."""
    num_found = 0
    start = np.zeros(len(links.demand), np.bool_)
    for v in range(len(start)):
        start[v] = True
        num_found = explore(
            links, start, steps, steps, tabu_steps, effort, x, y, least, found, score, num_found
        )
        start[v] = False
    return num_found


def links_of(
    tail: IntArray, head: IntArray, capacity: FloatArray, demand: FloatArray, slack: float, negligible: float
) -> Links:
    """Sorted by node."""
    nodes = np.arange(len(demand) + 1)
    into, out = (np.argsort(end, kind="stable").astype(np.int64) for end in (head, tail))
    first_in, first_out = np.searchsorted(head[into], nodes), np.searchsorted(tail[out], nodes)
    return Links(
        tail.astype(np.int64), head.astype(np.int64), np.ascontiguousarray(capacity, float),
        first_in.astype(np.int64), into, first_out.astype(np.int64), out,
        np.ascontiguousarray(demand, float), float(max(slack, 0.0)), float(negligible),
    )  # fmt: skip


def compile_kernels() -> None:
    """Compile (or load from the cache on disk) on a network of one arc; a few seconds the first time."""
    one, none = np.ones(1), np.zeros(1, np.int64)
    links = links_of(none, none + 1, one, np.array([-1.0, 1.0]), 0.0, 1e-9)
    found, score = np.zeros((4, 2), np.bool_), np.zeros(4)
    grow_from_every_node(links, 2, 100, one, one * 0.5, 0.01, found, score, 3)

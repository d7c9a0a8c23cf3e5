"""Decisions the search cannot weigh, settled between its runs: feeds, pairs of projects, numbers of plants.

What is settled here only narrows what the search looks at; the model that certifies its plan holds the
true rows, and the model over works near the plan chooses again among what is left.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from optimize.engine.network_design import Design
from optimize.water.coefficients import BoolArray, Coefficients
from optimize.water.fast_layout import Part
from optimize.water.fast_locks import LockedDecisions
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray
from optimize.water.locks import ProjectRef


def one_way_in(c: Coefficients, locks: LockedDecisions) -> LockedDecisions:
    """Single-feed users get new pipes only on the corridor nearest to a plant, and pass nothing on."""
    if not c.single_feed.any():
        return locks
    distance = _distance_to_plants(c)
    may = locks.pipe_may.copy()
    for node in c.user_node[c.single_feed]:
        own = np.flatnonzero((c.corridor_from == node) | (c.corridor_to == node))
        other = np.where(c.corridor_from[own] == node, c.corridor_to[own], c.corridor_from[own])
        leads_in = ~c.directed[own] | (c.corridor_to[own] == node)
        length = np.where(leads_in, distance[other] + c.length_km[own], np.inf)
        may[np.delete(own, length.argmin()) if len(own) else own] = False
    return replace(locks, pipe_may=may | locks.pipe_must)


def _distance_to_plants(c: Coefficients) -> FloatArray:
    """Length of the shortest way to a plant, (N,), km."""
    num = len(c.node_ids)
    length = np.maximum(c.length_km, 1e-6)  # csgraph takes 0 for "no corridor"
    graph = csr_array((length, (c.corridor_from, c.corridor_to)), shape=(num, num))
    return np.asarray(dijkstra(graph, directed=False, indices=c.plant_node, min_only=True))


def settle(instance: Instance, c: Coefficients, locks: LockedDecisions, design: Design) -> LockedDecisions:
    """Locks narrowed to what a design suggests; the same object where the design breaks no row."""
    exact = instance.parameters.num_plants_exact
    upgraded = np.flatnonzero(design.step[: len(c.plant_ids)].any(axis=1))
    if exact > 0 and len(upgraded) > exact:
        kept = upgraded[np.argsort(-_made(c, design)[upgraded], kind="stable")][:exact]
        locks = replace(locks, module_may=locks.module_may & np.isin(c.module_plant, kept))
    for pair in locks.pairs:
        first, second = (_amount(c, design, project) for project in (pair.first, pair.second))
        if pair.together and (first > 0) != (second > 0):
            locks = _demanded(locks, pair.second if first > 0 else pair.first)
        elif not pair.together and first > 0 and second > 0:
            locks = _forbidden(c, locks, pair.second if first >= second else pair.first)
    return locks


def without_pairs(c: Coefficients, locks: LockedDecisions) -> LockedDecisions:
    """Nothing of what is to be done together is done: always possible, and the last resort."""
    for pair in locks.pairs:
        if pair.together:
            locks = _forbidden(c, _forbidden(c, locks, pair.first), pair.second)
    return locks


def needed_besides(instance: Instance, c: Coefficients, locks: LockedDecisions, design: Design) -> Part:
    """Cheapest works that counts and locks may need beside a design's own."""
    shape = c.shape
    part = Part(
        np.zeros((shape["E"], shape["G"], shape["D"]), bool), np.zeros(len(c.modules), bool),
        np.zeros(shape["U"], bool), np.zeros(shape["U"], bool),
    )  # fmt: skip
    idle = design.step[: len(c.plant_ids)].max(axis=1, initial=0) == 0
    bare = design.size.max(axis=1, initial=0) == 0
    plants = {int(plant) for plant in locks.any_module_of if idle[plant]}
    corridors = {int(corridor) for corridor in locks.any_pipe_of if bare[corridor]}
    if instance.parameters.num_plants_exact > 0 or "W-UPGRADE" in instance.targets:
        plants |= set(np.flatnonzero(idle).tolist())
    for project in locks.paired_projects:
        if _amount(c, design, project) == 0:
            {"plants": plants, "corridors": corridors}.get(project.table, set()).add(project.position)
    for plant in sorted(plants):
        own = np.flatnonzero((c.module_plant == plant) & locks.module_may)
        if len(own):
            part.module[own[c.modules.present_cost_cny[0, own].argmin()]] = True
    cost = c.pipes.present_cost_cny[0].reshape(part.pipe.shape)
    carried = Part.whole(c).pipe & locks.pipe_may
    for corridor in sorted(corridors):
        allowed = np.where(carried[corridor], cost[corridor], np.inf)
        if np.isfinite(allowed).any():
            part.pipe[corridor].flat[allowed.argmin()] = True
    return part


def _made(c: Coefficients, design: Design) -> FloatArray:
    """Water each plant gives, (P,), m3/a."""
    source = design.assignment.source
    taken = np.where(design.assignment.grade >= 0, design.assignment.take @ c.days, 0.0)
    by_source = np.bincount(source, weights=taken, minlength=len(c.plant_ids))
    return np.asarray(by_source[: len(c.plant_ids)], float)


def _amount(c: Coefficients, design: Design, project: ProjectRef) -> float:
    """How much of a project a design holds, 0 if it is not done; comparable within a table."""
    i = project.position
    if project.table == "plants":
        return float(_made(c, design)[i] + 1.0) if design.step[i].any() else 0.0
    if project.table == "corridors":
        return float(np.abs(design.flow[i]).sum() + 1.0) if design.size[i].any() else 0.0
    if project.table == "users":
        own = c.demand_user == i
        return float(c.demand_m3_per_d[0, own].sum() + 1.0) if design.assignment.served[i] else 0.0
    return 0.0


def _demanded(locks: LockedDecisions, project: ProjectRef) -> LockedDecisions:
    if project.table == "users":
        ways: IntArray = np.union1d(locks.any_way_of, [project.position]).astype(np.int64)
        return replace(locks, any_way_of=ways)
    return locks  # a cheap work of its own is offered by `needed_besides`


def _forbidden(c: Coefficients, locks: LockedDecisions, project: ProjectRef) -> LockedDecisions:
    def less(may: BoolArray, where: BoolArray | int) -> BoolArray:
        narrowed = may.copy()
        narrowed[where] = False
        return narrowed

    i = project.position
    if project.table == "plants":
        return replace(locks, module_may=less(locks.module_may, c.module_plant == i))
    if project.table == "corridors":
        return replace(locks, pipe_may=less(locks.pipe_may, i))
    if project.table == "users":
        return replace(
            locks, connected_may=less(locks.connected_may, i), tanker_may=less(locks.tanker_may, i)
        )
    return locks

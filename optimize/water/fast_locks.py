"""Locks as lower and upper bounds of the yes/no decisions of an unphased instance, and as first stages of a phased one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimize.water.changes import NO_STAGE
from optimize.water.coefficients import BoolArray, Coefficients
from optimize.water.instance import Instance
from optimize.water.investments import IntArray
from optimize.water.locks import ProjectRef, resolve_locks


@dataclass(frozen=True)
class Pair:
    """Two projects of which both or none are done (``together``), or at most one."""

    first: ProjectRef
    second: ProjectRef
    together: bool


@dataclass(frozen=True)
class LockedDecisions:
    """What must and may be built; ``any_of_*`` name projects of which something must be built.

    Shapes: pipe (E, G, D), module (K,), connected and tanker (U,), cascade (C,), zld (parks,).
    """

    pipe_must: BoolArray
    pipe_may: BoolArray
    module_must: BoolArray
    module_may: BoolArray
    connected_must: BoolArray
    connected_may: BoolArray
    tanker_must: BoolArray
    tanker_may: BoolArray
    cascade_must: BoolArray
    cascade_may: BoolArray
    zld_must: BoolArray
    zld_may: BoolArray
    any_pipe_of: IntArray
    any_module_of: IntArray
    any_way_of: IntArray
    pairs: tuple[Pair, ...]

    @property
    def paired_projects(self) -> list[ProjectRef]:
        """Every project of a pair once."""
        return list(dict.fromkeys(project for pair in self.pairs for project in (pair.first, pair.second)))


def locked_decisions(instance: Instance, c: Coefficients) -> LockedDecisions:
    """Resolve the locks; storage is never built here, so what forces it in is left to others."""
    shape = c.shape
    sizes = {
        "pipe": (shape["E"], shape["G"], shape["D"]), "module": (len(c.modules),),
        "connected": (shape["U"],), "tanker": (shape["U"],), "cascade": (len(c.cascades),),
        "zld": (len(c.zld_candidate),),
    }  # fmt: skip
    must = {name: np.zeros(size, bool) for name, size in sizes.items()}
    may = {name: np.ones(size, bool) for name, size in sizes.items()}
    may["tanker"] &= c.tanker_plant >= 0
    steps = (instance.modules["quality"] + ":" + instance.modules["step"]).to_numpy()
    any_of: dict[str, list[int]] = {"corridors": [], "plants": [], "users": []}
    pairs = []
    for lock in resolve_locks(instance):
        project = lock.project
        parts = _parts(project, c)
        if lock.other is not None:
            pairs.append(Pair(project, lock.other, lock.kind == "together"))
        elif lock.kind == "force_out" or (lock.kind == "fix" and lock.value == "none"):
            for name, at in parts:
                may[name][at] = False
        elif project.table == "storage_sites":
            continue
        elif lock.kind == "fix":
            name, at = _named_part(project, lock.value, c, steps)
            must[name][at] = True
        elif lock.kind == "force_in":
            if project.table in any_of:
                any_of[project.table].append(project.position)
            else:
                must[parts[0][0]][parts[0][1]] = True
    _take_contracts(c, must, may)
    return LockedDecisions(
        must["pipe"], may["pipe"], must["module"], may["module"], must["connected"], may["connected"],
        must["tanker"], may["tanker"], must["cascade"], may["cascade"], must["zld"], may["zld"],
        np.array(any_of["corridors"], np.int64), np.array(any_of["plants"], np.int64),
        np.array(any_of["users"], np.int64), tuple(pairs),
    )  # fmt: skip


def earliest_stages(instance: Instance, c: Coefficients) -> Mapping[str, IntArray]:
    """Stage before which a phased instance's locks keep each investment from being built, by kind; 0: nothing does."""
    sizes = {
        "pipe": len(c.pipes),
        "module": len(c.modules),
        "connection": len(c.connections),
        "cascade": len(c.cascades),
    }
    lanes = (c.shape["E"], c.shape["G"], c.shape["D"])
    first = {kind: np.zeros(size, np.int64) for kind, size in sizes.items()}
    for lock in resolve_locks(instance):
        if lock.kind != "earliest" or lock.stage is None:
            continue
        for name, at in _parts(lock.project, c):
            kind = {"connected": "connection"}.get(name, name)
            if kind in first:
                own = first[kind].reshape(lanes) if kind == "pipe" else first[kind]
                own[at] = np.maximum(own[at], lock.stage)
    return first


def without_dates(instance: Instance) -> Instance:
    """What the last stage's network may have: all that may be built by then, nothing that may not."""
    locks, p = instance.locks, instance.parameters
    dated = locks["kind"] == "earliest"
    never = dated & (locks["year"] >= p.base_year + p.num_years)
    left = locks.assign(kind=locks["kind"].mask(never, "force_out"))[~dated | never]
    return replace(instance, locks=left.reset_index(drop=True))


def _take_contracts(c: Coefficients, must: dict[str, BoolArray], may: dict[str, BoolArray]) -> None:
    """(W14) Contracts must, and what may start in no year may not; changes ``must`` and ``may``."""
    revision = c.revision
    if revision.is_empty and revision.first_open == 0:
        return
    for name in must:
        kind = {"connected": "connection"}.get(name, name)
        rows, shape = np.arange(must[name].size), must[name].shape
        must[name] |= (revision.frozen_stage(kind, rows) != NO_STAGE).reshape(shape)
        may[name] &= revision.may_start(kind, rows).any(axis=0).reshape(shape)


def _parts(project: ProjectRef, c: Coefficients) -> list[tuple[str, Any]]:
    """Decisions that make up a project."""
    i, g = project.position, project.quality
    if project.table == "plants":
        return [("module", (c.module_plant == i) & ((g < 0) | (c.module_quality == g)))]
    if project.table == "users":
        return [("connected", i), ("tanker", i)]
    if project.table == "corridors" and g >= 0:
        return [("pipe", (i, g))]
    names = {"corridors": "pipe", "cascades": "cascade", "parks": "zld"}
    return [(names[project.table], i)] if project.table in names else []


def _named_part(
    project: ProjectRef, value: str, c: Coefficients, steps: NDArray[np.object_]
) -> tuple[str, Any]:
    """The decision that the value of a ``fix`` names."""
    i = project.position
    if project.table == "plants":
        return "module", (c.module_plant == i) & (steps == value)
    if project.table == "corridors":
        quality, diameter = value.rsplit(":", 1)
        return "pipe", (i, c.quality_ids.index(quality), c.diameter_ids.index(diameter))
    if project.table == "users":
        return ("tanker" if value == "tanker" else "connected"), i
    return {"cascades": "cascade", "parks": "zld"}[project.table], i

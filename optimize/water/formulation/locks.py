"""(W12) Decisions taken beforehand."""

from __future__ import annotations

from itertools import product as every
from typing import Any

import numpy as np
from pyomo.environ import Any as AnyIndex
from pyomo.environ import (
    Binary,
    Constraint,
    Var,
    quicksum,
)

from optimize.water.formulation.model import (
    Index,
    WaterModel,
    carried_qualities,
)
from optimize.water.locks import ProjectRef, resolve_locks

Option = tuple[Any, Index]


def add_locks(w: WaterModel) -> None:
    """(W12): decisions taken beforehand."""
    m = w.m
    names = (
        "forced_in",
        "forced_out",
        "fixed",
        "not_before",
        "not_after",
        "done_if_any",
        "together",
        "apart",
    )
    for name in names:
        setattr(m, name, Constraint(AnyIndex))
    m.project_done = Var(AnyIndex, domain=Binary, dense=False)
    last = w.stages[-1]
    for row, lock in enumerate(resolve_locks(w.instance)):
        options = _options(w, lock.project)
        if lock.kind == "force_in":
            m.forced_in[row] = m.nothing + quicksum(v[(*i, last)] for v, i in options) >= 1
        elif lock.kind == "force_out" or (lock.kind == "fix" and lock.value == "none"):
            for n, (v, i) in enumerate(options):
                m.forced_out[row, n] = v[(*i, last)] <= 0
        elif lock.kind == "fix":
            _fix(w, row, _option_of(w, lock.project, lock.value), lock.stage)
        elif lock.kind == "earliest" and lock.stage is not None:
            for n, ((v, i), s) in enumerate(every(options, w.stages)):
                if s < lock.stage:
                    m.not_before[row, n] = v[(*i, s)] <= 0
        elif lock.kind == "latest" and lock.stage is not None:
            for n, (v, i) in enumerate(options):
                in_time = v[(*i, min(lock.stage, last))] if lock.stage >= 0 else 0.0
                if lock.stage < last:
                    m.not_after[row, n] = v[(*i, last)] <= in_time
        elif lock.other is not None:
            first, second = _done(w, lock.project), _done(w, lock.other)
            if lock.kind == "together":
                m.together[row] = first == second
            else:
                m.apart[row] = first + second <= 1


def _fix(w: WaterModel, row: int, option: Option, stage: int | None) -> None:
    variable, index = option
    last = w.stages[-1] if stage is None or not w.instance.parameters.phased else stage
    w.m.fixed[row, "built"] = variable[(*index, last)] >= 1
    if stage is not None and last > 0 and w.instance.parameters.phased:
        w.m.fixed[row, "not earlier"] = variable[(*index, last - 1)] <= 0


def _options(w: WaterModel, project: ProjectRef) -> list[Option]:
    """Ways of doing a project: (variable, index without stage)."""
    m, i = w.m, project.position
    if project.table == "plants":
        own = (w.c.module_plant == i) & ((project.quality < 0) | (w.c.module_quality == project.quality))
        return [(m.module_built, (k,)) for k in np.flatnonzero(own).tolist()]
    if project.table == "corridors":
        qualities = [g for g in carried_qualities(w.c) if project.quality in (-1, g)]
        pipes = every([i], qualities, range(len(w.c.diameter_ids)))
        return [(m.pipe_built, index) for index in pipes]
    if project.table == "users":
        tanker = [(m.tanker_served, (i,))] if w.c.tanker_plant[i] >= 0 else []
        return [(m.user_connected, (i,)), *tanker]
    built = {"storage_sites": m.storage_built, "cascades": m.cascade_built, "parks": m.zld_built}[
        project.table
    ]
    return [(built, (i,))] if (i, w.stages[0]) in built else []


def _option_of(w: WaterModel, project: ProjectRef, value: str) -> Option:
    """The way of doing a project that ``value`` names."""
    tables = w.instance
    options = _options(w, project)
    if project.table == "plants":
        steps = tables.modules["quality"] + ":" + tables.modules["step"]
        return next(option for option in options if steps[option[1][0]] == value)
    if project.table == "corridors":
        quality, diameter = (w.c.quality_ids, w.c.diameter_ids)
        return next(o for o in options if f"{quality[o[1][1]]}:{diameter[o[1][2]]}" == value)
    return options[-1] if value == "tanker" else options[0]


def _done(w: WaterModel, project: ProjectRef) -> Any:
    """Binary that is 1 exactly if anything of the project is built."""
    key = (project.table, project.position)
    if key not in w.m.project_done:
        w.m.project_done[key] = 0
        done = w.m.project_done[key]
        built = [v[(*i, w.stages[-1])] for v, i in _options(w, project)]
        w.m.done_if_any[*key, "only"] = done <= quicksum(built)
        for n, option in enumerate(built):
            w.m.done_if_any[*key, n] = option <= done
    return w.m.project_done[key]

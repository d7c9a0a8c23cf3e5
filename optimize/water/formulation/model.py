"""What the model of reclaimed water is built on: its state, its variables, and what all rows share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product as every
from typing import Any

import numpy as np
from pyomo.environ import Any as AnyIndex
from pyomo.environ import (
    Binary,
    ConcreteModel,
    Constraint,
    NonNegativeReals,
    Var,
    quicksum,
)

from optimize.clauses import ClauseTarget
from optimize.engine.pyomo_bridge import ElasticConstraint
from optimize.water.coefficients import BoolArray, Coefficients
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, Investments, clause_stage
from optimize.water.locks import offers_zero_discharge

Index = tuple[Any, ...]


@dataclass
class WaterModel:
    """A model under construction: Pyomo model, arrays, and the rows that may give way."""

    instance: Instance
    c: Coefficients
    m: ConcreteModel
    elastic: list[ElasticConstraint] = field(default_factory=list)
    built_of_kind: dict[str, tuple[Investments, Any, Callable[..., int]]] = field(default_factory=dict)

    @cached_property
    def largest_flow(self) -> FloatArray:
        """Bound on the flow of a corridor, (E, G, S, T), for the big-M rows."""
        return _largest_flow(self.c)

    @property
    def stages(self) -> range:
        return range(len(self.c.stage_weight))

    @property
    def periods(self) -> range:
        return range(len(self.c.days))

    @property
    def targets(self) -> Mapping[str, ClauseTarget]:
        return self.instance.targets

    def stage_of(self, clause: str) -> int:
        return clause_stage(self.instance.parameters, self.targets[clause])

    def demand(self, clause: str, where: str, component: Any, body: Any, required: float, key: Any) -> None:
        """Add ``body`` >= or <= ``required`` as the clause's row: hard and elastic, or soft."""
        target = self.targets[clause]
        is_cap = target.clause.sense == "<="
        body = body + self.m.nothing
        give = 0.0
        if not target.hard:
            self.m.shortfall[clause, where] = 0.0
            give = self.m.shortfall[clause, where]
        component[key] = body - give <= required if is_cap else body + give >= required
        if target.hard:
            self.elastic.append(
                ElasticConstraint(clause, where, target.clause.unit, component[key], required, is_cap=is_cap)
            )


def declare_investments(w: WaterModel) -> None:
    m, c = w.m, w.c
    size = c.shape
    carried = carried_qualities(c)
    m.pipe_built = Var(range(size["E"]), carried, range(size["D"]), w.stages, domain=Binary)
    m.module_built = Var(range(len(c.modules)), w.stages, domain=Binary)
    m.user_connected = Var(range(size["U"]), w.stages, domain=Binary)
    m.tanker_served = Var(np.flatnonzero(c.tanker_plant >= 0).tolist(), w.stages, domain=Binary)
    m.storage_built = Var(range(len(c.storage)), w.stages, domain=Binary)
    m.cascade_built = Var(range(len(c.cascades)), w.stages, domain=Binary)
    parks = np.flatnonzero(c.zld_candidate).tolist() if offers_zero_discharge(w.instance) else []
    m.zld_built = Var(parks, w.stages, domain=Binary)
    may_refuse = {"W-QUOTA", "W-CAP"} & set(w.targets)
    refusable = np.flatnonzero(c.quota_listed).tolist() if may_refuse else []
    m.growth_refused = Var(refusable, w.stages, domain=Binary)
    w.built_of_kind = {
        "module": (c.modules, m.module_built, lambda index: index),
        "pipe": (c.pipes, m.pipe_built, lambda index: c.pipe_row(*index)),
        "connection": (c.connections, m.user_connected, lambda index: index),
        "tanker": (c.tankers, m.tanker_served, lambda index: index),
        "storage": (c.storage, m.storage_built, lambda index: index),
        "cascade": (c.cascades, m.cascade_built, lambda index: index),
        "zld": (c.zld, m.zld_built, lambda index: index),
    }
    m.what_stands_stays = Constraint(AnyIndex)
    for kind, (_, built, _) in w.built_of_kind.items():
        for index in built:
            if index[-1] > 0:
                before = (*index[:-1], index[-1] - 1)
                m.what_stands_stays[kind, *index] = built[index] >= built[before]


def declare_flows(w: WaterModel) -> None:
    m, c, at = w.m, w.c, (w.stages, w.periods)
    carried = carried_qualities(c)
    directions = [(e, a) for e, one_way in enumerate(c.directed) for a in ((0,) if one_way else (0, 1))]
    taken = [(q, g) for q, g in every(range(len(c.demand_ids)), carried) if c.accepts[q, g]]
    hauled = [(q, g) for q, g in taken if c.tanker_plant[c.demand_user[q]] >= 0]
    m.flow = Var([(e, a, g) for (e, a) in directions for g in carried], *at, domain=NonNegativeReals)
    m.product = Var(
        list(zip(*(i.tolist() for i in np.nonzero(c.can_treat)), strict=True)), *at, domain=NonNegativeReals
    )
    m.delivered = Var(taken, *at, domain=NonNegativeReals)
    m.hauled = Var(hauled, *at, domain=NonNegativeReals)
    m.reused = Var(range(len(c.cascades)), *at, domain=NonNegativeReals)
    m.stored_in = Var(range(len(c.storage)), *at, domain=NonNegativeReals)
    m.stored_out = Var(range(len(c.storage)), *at, domain=NonNegativeReals)
    m.level = Var(range(len(c.storage)), *at, domain=NonNegativeReals)


def carried_qualities(c: Coefficients) -> list[int]:
    """Qualities that have a source."""
    made: BoolArray = np.any(c.can_treat, axis=0)
    made[c.cascade_quality] = True
    return np.flatnonzero(made).tolist()


def modules_of(c: Coefficients, p: int, g: int) -> list[int]:
    """Module sizes of a plant and quality."""
    return np.flatnonzero((c.module_plant == p) & (c.module_quality == g)).tolist()


def used_m3_per_a(w: WaterModel, s: int, users: set[int] | None = None) -> Any:
    """Reclaimed water used in a year of stage s, m3/a, by the users named (None: all)."""
    c = w.c
    return quicksum(
        float(c.days[index[-1]]) * variable[index]
        for variable in (w.m.delivered, w.m.hauled)
        for index in variable
        if index[2] == s and (users is None or int(c.demand_user[index[0]]) in users)
    )


def useful_m3_per_d(c: Coefficients) -> FloatArray:
    """Most of each quality that can be of use in a period, (G, S, T); unbounded where it can be stored."""
    useful = np.einsum("qg,sqt->gst", c.accepts.astype(float), c.demand_m3_per_d)
    useful[c.storage_quality] = np.inf
    return useful


def _largest_flow(c: Coefficients) -> FloatArray:
    """What users behind a corridor, or all users, can take; unbounded where water can be stored."""
    num_nodes, num_users = len(c.node_ids), len(c.user_ids)
    useful = useful_m3_per_d(c)
    largest = np.broadcast_to(useful, (len(c.corridor_ids), *useful.shape)).copy()
    degree = np.bincount(np.concatenate([c.corridor_from, c.corridor_to]), minlength=num_nodes)
    lets_out = np.zeros(num_nodes, dtype=bool)
    lets_out[c.corridor_from] = True
    lets_out[c.corridor_to[~c.directed]] = True
    gives = np.zeros(num_users, dtype=bool)
    gives[c.cascade_user] = True
    # Water that enters a dead end can only be used there.
    dead_end = ~gives & ((degree[c.user_node] == 1) | ~lets_out[c.user_node])
    dead_end &= ~np.isin(c.user_node, c.storage_node)
    own = np.zeros((num_users, *useful.shape))
    np.add.at(own, c.demand_user, np.einsum("qg,sqt->qgst", c.accepts.astype(float), c.demand_m3_per_d))
    user_at = np.full(num_nodes, -1)
    user_at[c.user_node[dead_end]] = np.flatnonzero(dead_end)
    for end in (c.corridor_from, c.corridor_to):
        rows = np.flatnonzero(user_at[end] >= 0)
        largest[rows] = np.minimum(largest[rows], own[user_at[end][rows]])
    return largest

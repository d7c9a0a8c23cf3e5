"""The unphased reclaimed-water model as arrays, over any part of the network, without Pyomo.

Same equations as `optimize.water.formulation` (W1-W13) for one stage.  Storage is never built here:
that leaves plans out but admits none that the formulation forbids, and over one averaged period
(`averaged`) storage cannot help, so the relaxation stays valid with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from optimize.milp import Milp, MilpBuilder
from optimize.water.coefficients import BoolArray, Coefficients
from optimize.water.fast_locks import LockedDecisions, locked_decisions
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray, Investments
from optimize.water.plan import PlanValues, plan_from_values
from optimize.water.solution import Solution


@dataclass(frozen=True)
class Part:
    """The part of the network a model may build; True is allowed."""

    pipe: BoolArray  # (E, G, D)
    module: BoolArray  # (K,)
    connected: BoolArray  # (U,)
    tanker: BoolArray  # (U,)

    @staticmethod
    def whole(c: Coefficients) -> Part:
        """Everything but what has no use: pipes of qualities nobody makes."""
        shape = c.shape
        made: BoolArray = np.array(c.can_treat.any(axis=0))
        made[c.cascade_quality] = True
        pipe = np.broadcast_to(made[None, :, None], (shape["E"], shape["G"], shape["D"])).copy()
        return Part(pipe, np.ones(len(c.modules), bool), np.ones(shape["U"], bool), c.tanker_plant >= 0)


@dataclass(frozen=True)
class FlowModel:
    """Arrays of the model and where its columns are.

    A table of positions stands beside each block of columns: row k of ``pipe_at`` is (e, g, d) of
    column ``pipe[k]``, and so on; flow, product, delivered, hauled and reused have a second axis
    of periods, flow a first one of two directions.
    """

    c: Coefficients
    milp: Milp
    goal_cost: Mapping[str, FloatArray]
    pipe: IntArray
    pipe_at: IntArray
    module: IntArray
    module_at: IntArray
    connected: IntArray
    connected_at: IntArray
    tanker: IntArray
    tanker_at: IntArray
    cascade: IntArray
    zld: IntArray
    zld_at: IntArray
    pilot: IntArray
    refused: IntArray
    refused_at: IntArray
    mix: Mapping[str, IntArray]
    lane_at: IntArray
    flow: IntArray
    product: IntArray
    product_at: IntArray
    delivered: IntArray
    delivered_at: IntArray
    hauled: IntArray
    hauled_at: IntArray
    reused: IntArray
    upgraded: IntArray
    upgraded_at: IntArray
    shortfall: IntArray
    shortfall_row: IntArray
    rows_of: Mapping[str, tuple[int, int]]

    def start_from(self, other: FlowModel, x: FloatArray) -> FloatArray:
        """The plan ``x`` of a model over another part, as far as this part holds it.

        The plan stays feasible where this part contains the other one.
        """
        c, y = self.c, np.zeros(self.milp.num_columns)
        lanes = len(c.corridor_ids) * len(c.quality_ids)
        pairs = max(len(c.plant_ids), len(c.demand_ids)) * len(c.quality_ids)

        def pair(at: IntArray) -> IntArray:
            return np.asarray(at[:, 0] * len(c.quality_ids) + at[:, 1])

        blocks = [
            (_pipe_row(c, other.pipe_at), _pipe_row(c, self.pipe_at), other.pipe, self.pipe, len(c.pipes)),
            (other.module_at, self.module_at, other.module, self.module, len(c.modules)),
            (other.connected_at, self.connected_at, other.connected, self.connected, len(c.user_ids)),
            (other.tanker_at, self.tanker_at, other.tanker, self.tanker, len(c.user_ids)),
            (pair(other.lane_at), pair(self.lane_at), other.flow[0], self.flow[0], lanes),
            (pair(other.lane_at), pair(self.lane_at), other.flow[1], self.flow[1], lanes),
            (pair(other.product_at), pair(self.product_at), other.product, self.product, pairs),
            (pair(other.delivered_at), pair(self.delivered_at), other.delivered, self.delivered, pairs),
            (pair(other.hauled_at), pair(self.hauled_at), other.hauled, self.hauled, pairs),
        ]
        same = [(other.cascade, self.cascade), (other.zld, self.zld), (other.pilot, self.pilot),
                (other.refused, self.refused), (other.reused, self.reused)]  # fmt: skip
        for kind in self.mix:
            at = {"pipe": 0, "module": 1, "connection": 2, "tanker": 3}.get(kind)
            if at is None:
                same.append((other.mix[kind], self.mix[kind]))
            elif kind in other.mix:
                blocks.append((*blocks[at][:2], other.mix[kind], self.mix[kind], blocks[at][4]))
        for theirs, ours, from_columns, to_columns, size in blocks:
            place = _position(ours, theirs, size)
            y[to_columns[place[place >= 0]]] = x[from_columns[place >= 0]]
        for from_columns, to_columns in same:
            y[to_columns] = x[from_columns]
        built = c.module_plant[self.module_at[y[self.module] > 0.5]]
        y[self.upgraded] = np.isin(self.upgraded_at, built)
        activity = self.milp.matrix[self.shortfall_row] @ y
        short = np.maximum(
            self.milp.row_lower[self.shortfall_row] - activity,
            activity - self.milp.row_upper[self.shortfall_row],
        )
        y[self.shortfall] = np.maximum(short, 0.0)
        return y

    def solution(self, instance: Instance, x: FloatArray) -> Solution:
        """Frames of the plan."""
        c = self.c

        def by(at: IntArray, columns: IntArray) -> dict[tuple[int, ...], float]:
            values = x[columns]
            return {
                (*(int(i) for i in np.atleast_1d(at[k])), 0): float(values[k])
                for k in np.flatnonzero(values > 0.5)
            }

        def flows(at: IntArray, columns: IntArray) -> dict[tuple[int, ...], float]:
            values = np.maximum(x[columns], 0.0)
            return {
                (*(int(i) for i in np.atleast_1d(at[k])), 0, int(t)): float(values[k, t])
                for k, t in zip(*np.nonzero(values > 1e-12), strict=True)
            }

        carried = {
            (int(self.lane_at[k, 0]), a, int(self.lane_at[k, 1]), 0, int(t)): float(x[self.flow[a, k, t]])
            for a, k, t in zip(*np.nonzero(x[self.flow] > 1e-12), strict=True)
        }
        mixes: dict[tuple[object, ...], float] = {}
        for kind, columns in self.mix.items():
            at = {"pipe": self.pipe_at, "module": self.module_at, "connection": self.connected_at,
                  "tanker": self.tanker_at, "zld": self.zld_at}.get(kind, np.arange(len(columns)))  # fmt: skip
            for k, m in zip(*np.nonzero(x[columns] > 0.5), strict=True):
                mixes[(kind, *(int(i) for i in np.atleast_1d(at[k])), 0, int(m))] = 1.0
        return plan_from_values(
            instance, c,
            PlanValues(
                pipe_built=by(self.pipe_at, self.pipe),
                module_built=by(self.module_at, self.module),
                user_connected=by(self.connected_at, self.connected),
                tanker_served=by(self.tanker_at, self.tanker),
                storage_built={},
                cascade_built=by(np.arange(len(self.cascade)), self.cascade),
                zld_built=by(self.zld_at, self.zld),
                pilot_done={k: float(value) for k, value in enumerate(x[self.pilot])},
                growth_refused=by(self.refused_at, self.refused),
                mix_used=mixes,
                flow=carried,
                product=flows(self.product_at, self.product),
                delivered=flows(self.delivered_at, self.delivered),
                hauled=flows(self.hauled_at, self.hauled),
                reused=flows(np.arange(len(self.cascade)), self.reused),
                stored_in={}, stored_out={}, level={},
            ),
        )  # fmt: skip


def averaged(c: Coefficients, groups: list[IntArray]) -> Coefficients:
    """The same network over fewer periods: means over each group of periods, by days.

    A convex combination of the rows of the group's periods holds for the mean flows, because the
    investments do not depend on the period; so this relaxes the model.  The peak day (no days) is
    left out.
    """
    weight = np.zeros((len(c.days), len(groups)))
    for k, group in enumerate(groups):
        weight[group, k] = c.days[group] / c.days[group].sum()
    return replace(
        c,
        days=np.array([c.days[group].sum() for group in groups]),
        available_m3_per_d=c.available_m3_per_d @ weight,
        effluent_m3_per_d=c.effluent_m3_per_d @ weight,
        demand_m3_per_d=c.demand_m3_per_d @ weight,
        growth_m3_per_d=c.growth_m3_per_d @ weight,
        cascade_limit_m3_per_d=c.cascade_limit_m3_per_d @ weight,
    )


@dataclass
class _Draft:
    """A model under construction."""

    instance: Instance
    c: Coefficients
    b: MilpBuilder
    cost: dict[str, list[tuple[IntArray, FloatArray]]] = field(default_factory=dict)
    rows_of: dict[str, tuple[int, int]] = field(default_factory=dict)
    shortfall: list[int] = field(default_factory=list)
    shortfall_row: list[int] = field(default_factory=list)
    upgraded: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    def add_cost(self, goal: str, columns: IntArray, values: FloatArray | float) -> None:
        wide = np.broadcast_to(np.asarray(values, float), columns.shape)
        self.cost.setdefault(goal, []).append((columns.ravel(), wide.ravel()))

    def add_outlay(self, columns: IntArray, present_cost_cny: FloatArray | float) -> None:
        self.add_cost("npv", columns, -np.asarray(present_cost_cny, float))
        self.add_cost("cost", columns, present_cost_cny)


def build_flow_model(instance: Instance, c: Coefficients, part: Part, *, relaxed: bool = False) -> FlowModel:
    """Build the model over a part of the network.

    Parameters
    ----------
    relaxed : leave out what only forbids and is awkward over averaged periods ([W-PRICE], single
        feeds, exact number of plants); for bounds.
    """
    d = _Draft(instance, c, MilpBuilder(maximise=True))
    b, num_periods = d.b, len(c.days)
    targets = instance.targets
    lane_at = np.argwhere(part.pipe.any(axis=2) | (c.existing_pipe_m3_per_d > 0))
    pipe_at = np.argwhere(part.pipe)
    module_at = np.flatnonzero(part.module)
    connected_at = np.flatnonzero(part.connected)
    tanker_at = np.flatnonzero(part.tanker & (c.tanker_plant >= 0))
    zld_at = np.flatnonzero(c.zld_candidate) if "W-ZLD" in targets else np.zeros(0, np.int64)
    may_refuse = "W-QUOTA" in targets or "W-CAP" in targets
    refused_at = np.flatnonzero(c.quota_listed) if may_refuse else np.zeros(0, np.int64)
    pipe = b.add_columns("pipe_built", len(pipe_at), upper=1.0, integral=True)
    module = b.add_columns("module_built", len(module_at), upper=1.0, integral=True)
    connected = b.add_columns("user_connected", len(connected_at), upper=1.0, integral=True)
    tanker = b.add_columns("tanker_served", len(tanker_at), upper=1.0, integral=True)
    cascade = b.add_columns("cascade_built", len(c.cascades), upper=1.0, integral=True)
    zld = b.add_columns("zld_built", len(zld_at), upper=1.0, integral=True)
    num_pilots = len(instance.pilots) if "W-PILOT" in targets else 0
    pilot = b.add_columns("pilot_done", num_pilots, upper=1.0, integral=True)
    refused = b.add_columns("growth_refused", len(refused_at), upper=1.0, integral=True)
    product_at = np.argwhere(c.can_treat)
    serves = np.isin(c.demand_user, connected_at)
    made: BoolArray = np.array(c.can_treat.any(axis=0))
    made[c.cascade_quality] = True
    takes = c.accepts & made[None, :]
    delivered_at = np.argwhere(takes & serves[:, None])
    hauled_at = np.argwhere(takes & np.isin(c.demand_user, tanker_at)[:, None])
    backward = np.where(c.directed[lane_at[:, 0]], 0.0, np.inf)
    flow = b.add_columns(
        "flow", (2, len(lane_at), num_periods),
        upper=np.stack([np.full(len(lane_at), np.inf), backward])[:, :, None],
    )  # fmt: skip
    product = b.add_columns("product", (len(product_at), num_periods))
    delivered = b.add_columns("delivered", (len(delivered_at), num_periods))
    hauled = b.add_columns("hauled", (len(hauled_at), num_periods))
    reused = b.add_columns("reused", (len(c.cascades), num_periods))
    mixes = _mix_columns(
        d, {"pipe": (pipe, _pipe_row(c, pipe_at), c.pipes), "module": (module, module_at, c.modules),
            "connection": (connected, connected_at, c.connections), "tanker": (tanker, tanker_at, c.tankers),
            "cascade": (cascade, np.arange(len(c.cascades)), c.cascades), "zld": (zld, zld_at, c.zld)},
    )  # fmt: skip
    model = FlowModel(
        c, _EMPTY, {}, pipe, pipe_at, module, module_at, connected, connected_at, tanker, tanker_at, cascade,
        zld, zld_at, pilot, refused, refused_at, mixes, lane_at, flow, product, product_at, delivered,
        delivered_at, hauled, hauled_at, reused, _NONE, np.unique(c.module_plant), _NONE, _NONE, {},
    )  # fmt: skip
    _add_treatment(d, model)
    _add_pipes(d, model)
    _add_conservation(d, model)
    _add_users(d, model)
    _add_cascades(d, model)
    _add_policy(d, model, relaxed)
    _add_budgets(d, model)
    _add_goals(d, model)
    locks = locked_decisions(instance, c)
    _add_forced(d, model, locks)
    milp = b.build()
    milp = milp.with_bounds(*_locked_bounds(model, milp, locks))
    goal_cost = {}
    for goal, terms in d.cost.items():
        goal_cost[goal] = np.zeros(milp.num_columns)
        for columns, values in terms:
            np.add.at(goal_cost[goal], columns, values)
    return replace(
        model, milp=milp.with_objective(goal_cost["npv"], True), goal_cost=goal_cost, rows_of=d.rows_of,
        upgraded=d.upgraded, upgraded_at=np.unique(c.module_plant) if len(d.upgraded) else _NONE,
        shortfall=np.array(d.shortfall, np.int64), shortfall_row=np.array(d.shortfall_row, np.int64),
    )  # fmt: skip


_EMPTY = MilpBuilder(True).build()
_NONE: IntArray = np.zeros(0, np.int64)


def _pipe_row(c: Coefficients, pipe_at: IntArray) -> IntArray:
    """Rows of the pipe investments of pipes (e, g, d)."""
    return np.asarray(
        (pipe_at[:, 0] * len(c.quality_ids) + pipe_at[:, 1]) * len(c.diameter_ids) + pipe_at[:, 2]
    )


def _position(keys: IntArray, wanted: IntArray, size: int) -> IntArray:
    """Position of each wanted key among ``keys``, -1 where it is missing; keys are below ``size``."""
    table = np.full(size, -1, np.int64)
    table[keys] = np.arange(len(keys))
    return table[wanted]


def _lane_key(c: Coefficients, at: IntArray) -> IntArray:
    return np.asarray(at[:, 0] * len(c.quality_ids) + at[:, 1])


# ------------------------------------------------------------------------------ physical rows


def _add_treatment(d: _Draft, m: FlowModel) -> None:
    """(W1), (W4)."""
    c, b, shape = d.c, d.b, d.c.shape
    p, g = m.product_at.T
    periods = np.arange(len(c.days))
    d.rows_of["effluent_not_overdrawn"] = (b.num_rows, b.num_rows + shape["P"] * len(periods))
    b.add_rows(
        "effluent_not_overdrawn", (shape["P"], len(periods)),
        [(p[:, None] * len(periods) + periods, m.product, 1.0 / c.recovery[p, g][:, None])],
        upper=c.available_m3_per_d,
    )  # fmt: skip
    limited = np.flatnonzero(~np.isnan(c.tn_limit_mg_per_l))
    if len(limited):
        row = _position(limited, p, shape["P"])
        keep = row >= 0
        limit = c.tn_limit_mg_per_l[limited]
        # effluent * tn - kept <= limit * (effluent - product)
        share = 1000.0 * c.production.tn_kg[p, g] - c.tn_limit_mg_per_l[p]
        b.add_rows(
            "effluent_stays_compliant", (len(limited), len(periods)),
            [(row[keep, None] * len(periods) + periods, m.product[keep], share[keep, None])],
            lower=c.effluent_m3_per_d[limited] * (c.tn_mg_per_l[limited] - limit)[:, None],
        )  # fmt: skip
    key = p * shape["G"] + g
    of_module = _position(key, c.module_plant[m.module_at] * shape["G"] + c.module_quality[m.module_at],
                          shape["P"] * shape["G"])  # fmt: skip
    useful = np.einsum("qg,qt->gt", c.accepts.astype(float), c.demand_m3_per_d[0])
    most = np.minimum(c.available_m3_per_d[p] * c.recovery[p, g][:, None], useful[g])
    known = of_module >= 0
    b.add_rows(
        "product_only_if_built", m.product.shape,
        [
            (None, m.product, 1.0),
            (
                of_module[known, None] * len(periods) + periods,
                m.module[known, None],
                -np.minimum(c.module_capacity_m3_per_d[m.module_at[known], None], most[of_module[known]]),
            ),
        ],
        upper=c.existing_treatment_m3_per_d[p, g][:, None],
    )  # fmt: skip
    b.add_rows("one_module_size", len(p), [(of_module[known], m.module[known], 1.0)], upper=1.0)


def _add_pipes(d: _Draft, m: FlowModel) -> None:
    """(W2), (W4)."""
    c, b = d.c, d.b
    size = c.shape["E"] * c.shape["G"]
    lane = _position(_lane_key(c, m.lane_at), _lane_key(c, m.pipe_at), size)
    periods = np.arange(len(c.days))
    e, g = m.lane_at.T
    useful = np.einsum("qg,qt->gt", c.accepts.astype(float), c.demand_m3_per_d[0])
    most = np.minimum(useful[g], dead_end_use(c)[e, g])
    b.add_rows(
        "flow_only_if_built", (len(m.lane_at), len(periods)),
        [
            (None, m.flow[0], 1.0),
            (None, m.flow[1], 1.0),
            (
                lane[:, None] * len(periods) + periods,
                m.pipe[:, None],
                -np.minimum(c.pipe_capacity_m3_per_d[m.pipe_at[:, 2], None], most[lane]),
            ),
        ],
        upper=np.minimum(c.existing_pipe_m3_per_d[e, g][:, None], most),
    )  # fmt: skip
    b.add_rows("one_diameter", len(m.lane_at), [(lane, m.pipe, 1.0)], upper=1.0)


def dead_end_use(c: Coefficients) -> FloatArray:
    """Most a corridor to a user at a dead end can carry, (E, G, T); elsewhere inf.

    Water that enters a dead end can only be used there (unless it gives or stores water).
    """
    nodes = np.concatenate([c.corridor_from, c.corridor_to])
    degree = np.bincount(nodes, minlength=len(c.node_ids))
    num_periods = len(c.days)
    use = np.full((len(c.node_ids), len(c.quality_ids), num_periods), np.inf)
    dead = np.flatnonzero((degree[c.user_node] == 1) & ~np.isin(np.arange(len(c.user_ids)), c.cascade_user))
    dead = dead[~np.isin(c.user_node[dead], c.storage_node)]
    use[c.user_node[dead]] = 0.0
    own = np.isin(c.demand_user, dead)
    q, g = np.nonzero(c.accepts & own[:, None])
    np.add.at(use, (c.user_node[c.demand_user[q]], g), c.demand_m3_per_d[0][q])
    return np.asarray(np.minimum(use[c.corridor_from], use[c.corridor_to]))


def _add_conservation(d: _Draft, m: FlowModel) -> None:
    """(W3)."""
    c = d.c
    num_qualities, num_periods = len(c.quality_ids), len(c.days)
    periods = np.arange(num_periods)

    def row(node: IntArray, g: IntArray) -> IntArray:
        return np.asarray((node * num_qualities + g)[:, None] * num_periods + periods)

    e, g = m.lane_at.T
    start, end = row(c.corridor_from[e], g), row(c.corridor_to[e], g)
    p, pg = m.product_at.T
    q, qg = m.delivered_at.T
    h, hg = m.hauled_at.T
    first = d.b.num_rows
    d.rows_of["water_conserved"] = (first, first + len(c.node_ids) * num_qualities * num_periods)
    d.b.add_rows(
        "water_conserved", (len(c.node_ids), num_qualities, num_periods),
        [
            (start, m.flow[0], -1.0), (end, m.flow[0], 1.0),
            (end, m.flow[1], -1.0), (start, m.flow[1], 1.0),
            (row(c.plant_node[p], pg), m.product, 1.0),
            (row(c.user_node[c.demand_user[q]], qg), m.delivered, -1.0),
            (row(c.plant_node[c.tanker_plant[c.demand_user[h]]], hg), m.hauled, -1.0),
            (row(c.user_node[c.cascade_user], c.cascade_quality), m.reused, 1.0),
        ],
        lower=0.0, upper=0.0,
    )  # fmt: skip


def _add_users(d: _Draft, m: FlowModel) -> None:
    """(W6)."""
    c, b = d.c, d.b
    num_periods, num_users = len(c.days), len(c.user_ids)
    periods = np.arange(num_periods)
    for name, columns, at, served, served_at, least in (
        ("delivered_only_if_connected", m.delivered, m.delivered_at, m.connected, m.connected_at, False),
        ("minimum_taken", m.delivered, m.delivered_at, m.connected, m.connected_at, True),
        ("hauled_only_if_tankered", m.hauled, m.hauled_at, m.tanker, m.tanker_at, False),
    ):
        user = _position(served_at, c.demand_user, num_users)
        demands = np.flatnonzero(user >= 0)
        amount = c.demand_m3_per_d[0][demands]
        if least:
            amount = amount * c.min_take_share[demands, None]
        where = _position(demands, at[:, 0], len(c.demand_ids))
        b.add_rows(
            name, (len(demands), num_periods),
            [
                (where[:, None] * num_periods + periods, columns, 1.0),
                (None, served[user[demands], None], -amount),
            ],
            lower=0.0 if least else -np.inf, upper=np.inf if least else 0.0,
        )  # fmt: skip
    b.add_rows(
        "one_way_of_service", num_users,
        [(m.connected_at, m.connected, 1.0), (m.tanker_at, m.tanker, 1.0), (m.refused_at, m.refused, 1.0)],
        upper=1.0,
    )  # fmt: skip


def _add_cascades(d: _Draft, m: FlowModel) -> None:
    """(W8)."""
    c, b = d.c, d.b
    num = len(c.cascades)
    if not num:
        return
    b.add_rows(
        "reuse_only_if_built", m.reused.shape,
        [(None, m.reused, 1.0), (None, m.cascade[:, None], -c.cascade_limit_m3_per_d[0])], upper=0.0,
    )  # fmt: skip
    giver = _position(m.refused_at, c.cascade_user, len(c.user_ids))
    rows = np.flatnonzero(giver >= 0)
    if len(rows):
        of = (c.cascade_user[rows, None] == c.demand_user[None, :]).astype(float)
        share = c.cascade_return_share[rows, None]
        b.add_rows(
            "reuse_within_reduced_effluent", (len(rows), len(c.days)),
            [
                (None, m.reused[rows], 1.0),
                (None, m.refused[giver[rows], None], share * (of @ c.growth_m3_per_d[0])),
            ],
            upper=share * (of @ c.demand_m3_per_d[0]),
        )  # fmt: skip


# -------------------------------------------------------------------------------- policy rows


def _demand_row(
    d: _Draft, clause: str, terms: list[tuple[IntArray, FloatArray]], required: float, constant: float = 0.0
) -> None:
    """One row of a clause: ``sum of terms + constant`` at least (most) ``required``; soft ones may fall short."""
    target = d.instance.targets[clause]
    cap = target.clause.sense == "<="
    parts = [
        (np.zeros(col.size, np.int64), col.ravel(), np.broadcast_to(v, col.shape).ravel()) for col, v in terms
    ]
    if not target.hard:
        short = d.b.add_columns("shortfall", 1)
        d.add_outlay(short, np.array([target.penalty_cny_per_unit]))
        parts.append((np.zeros(1, np.int64), short, np.array([-1.0 if cap else 1.0])))
        d.shortfall.append(int(short[0]))
        d.shortfall_row.append(d.b.num_rows)
    side = required - constant
    d.rows_of.setdefault(clause, (d.b.num_rows, d.b.num_rows + 1))
    d.b.add_rows(clause, 1, parts, lower=-np.inf if cap else side, upper=side if cap else np.inf)


def _used(m: FlowModel, users: IntArray | None = None) -> list[tuple[IntArray, FloatArray]]:
    """Reclaimed water of a year, m3/a, of the users named (None: all)."""
    c, terms = m.c, []
    for columns, at in ((m.delivered, m.delivered_at), (m.hauled, m.hauled_at)):
        keep = np.ones(len(at), bool) if users is None else np.isin(c.demand_user[at[:, 0]], users)
        terms.append((columns[keep], np.broadcast_to(c.days, columns[keep].shape)))
    return terms


def _negative(terms: list[tuple[IntArray, FloatArray]]) -> list[tuple[IntArray, FloatArray]]:
    return [(columns, -values) for columns, values in terms]


def _add_policy(d: _Draft, m: FlowModel, relaxed: bool) -> None:
    """(W7)-(W11), (W13)."""
    c, targets = d.c, d.instance.targets
    whole_year = c.days.sum()
    if "W-CASCADE" in targets:
        _demand_row(d, "W-CASCADE", [(m.reused, np.broadcast_to(c.days / whole_year, m.reused.shape))],
                    targets["W-CASCADE"].required)  # fmt: skip
    if "W-QUOTA" in targets:
        listed = c.quota_listed[m.connected_at]
        ones = [(m.connected[listed], np.ones(listed.sum())), (m.refused, np.ones(len(m.refused)))]
        _demand_row(d, "W-QUOTA", ones, targets["W-QUOTA"].required)
    if "W-CAP" in targets:
        _add_intake_caps(d, m)
    if "W-PILOT" in targets:
        _add_pilots(d, m)
    if "W-ZLD" in targets:
        for column, park in zip(m.zld, m.zld_at, strict=True):
            users = c.park_user[park]
            own = np.isin(c.demand_user, users)
            needed = float(c.zld_min_share[park] * (c.demand_m3_per_d[0][own] @ c.days).sum())
            _plain_row(
                d,
                "zld_needs_reclaimed_water",
                [*_used(m, users), (np.array([column]), np.array([-needed]))],
                0.0,
            )
        _demand_row(d, "W-ZLD", [(m.zld, np.ones(len(m.zld)))], targets["W-ZLD"].required)
    if "W-VOLUME" in targets:
        _demand_row(d, "W-VOLUME", _used(m), targets["W-VOLUME"].required)
    if "W-TN" in targets:
        _demand_row(d, "W-TN", _nitrogen(m), targets["W-TN"].required)
    if "W-NEAR" in targets:
        target = targets["W-NEAR"]
        length = np.broadcast_to((c.length_km[m.lane_at[:, 0], None] * c.days)[None], m.flow.shape)
        taken = np.broadcast_to(-target.required * c.days, m.delivered.shape)
        _plain_row(d, "W-NEAR", [(m.flow, -length), (m.delivered, -taken)], 0.0)
    if "W-UPGRADE" in targets:
        _add_upgrades(d, m)
    if "W-PRICE" in targets and not relaxed:
        _add_prices(d, m)


def _plain_row(
    d: _Draft, name: str, terms: list[tuple[IntArray, FloatArray]], lower: float, upper: float = np.inf
) -> None:
    parts = [(np.zeros(col.size, np.int64), col.ravel(), v.ravel()) for col, v in terms]
    d.b.add_rows(name, 1, parts, lower=lower, upper=upper)


def _nitrogen(m: FlowModel) -> list[tuple[IntArray, FloatArray]]:
    """Nitrogen kept out in a year, kg/a."""
    c = m.c
    p, g = m.product_at.T
    return [
        (m.product, c.production.tn_kg[p, g][:, None] * c.days),
        (m.reused, c.reuse.tn_kg[:, None] * c.days),
    ]


def _add_intake_caps(d: _Draft, m: FlowModel) -> None:
    """(W11): fresh water is demand less refused growth less reclaimed."""
    c, instance = d.c, d.instance
    scopes = [(np.arange(len(c.user_ids)), instance.targets["W-CAP"].required)]
    caps = instance.intake_caps
    for scope, name, cap in zip(caps["scope"], caps["id"], caps["cap_m3_per_a"], strict=True):
        scopes.append((np.flatnonzero((instance.users[scope] == name).to_numpy()), float(cap)))
    growth = c.growth_m3_per_d[0] @ c.days
    for users, cap in scopes:
        own = np.isin(c.demand_user, users)
        whole = float((c.demand_m3_per_d[0][own] @ c.days).sum())
        keep = np.isin(m.refused_at, users)
        refused = np.array([growth[c.demand_user == u].sum() for u in m.refused_at[keep]])
        terms = [*_negative(_used(m, users)), (m.refused[keep], -refused)]
        _demand_row(d, "W-CAP", terms, cap, whole)


def _add_pilots(d: _Draft, m: FlowModel) -> None:
    """(W9)."""
    c, instance = d.c, d.instance
    pilots, target = instance.pilots, instance.targets["W-PILOT"]
    for i, users in enumerate(pilot_users(instance, c)):
        least_users, least_volume = pilots["min_users"].iloc[i], pilots["min_volume_m3_per_a"].iloc[i]
        if least_users > 0:
            joined = m.connected[np.isin(m.connected_at, users)]
            terms = [(joined, np.ones(len(joined))), (m.pilot[[i]], np.array([-float(least_users)]))]
            _plain_row(d, "pilot_needs_users", terms, 0.0)
        if least_volume > 0:
            terms = [*_used(m, users), (m.pilot[[i]], np.array([-float(least_volume)]))]
            _plain_row(d, "pilot_needs_volume", terms, 0.0)
    _demand_row(d, "W-PILOT", [(m.pilot, np.ones(len(m.pilot)))], target.required)
    for fits, minimum in pilot_requirements(instance):
        _demand_row(d, "W-PILOT", [(m.pilot[fits], np.ones(fits.sum()))], minimum)


def pilot_users(instance: Instance, c: Coefficients) -> list[IntArray]:
    """Members of each pilot."""
    position = {user: u for u, user in enumerate(c.user_ids)}
    members = instance.pilot_members
    return [
        np.array([position[u] for u in members.loc[members["pilot"] == name, "user"]], dtype=np.int64)
        for name in instance.pilots["pilot"]
    ]


def pilot_requirements(instance: Instance) -> list[tuple[NDArray[np.bool_], float]]:
    """Which pilots count for each row of the table, and how many of them there must be."""
    pilots, rows, found = instance.pilots, instance.pilot_requirements, []
    for kind, district, minimum in zip(rows["kind"], rows["district"], rows["minimum"], strict=True):
        fits = np.ones(len(pilots), dtype=bool)
        if kind != "*":
            fits &= (pilots["kind"] == kind).to_numpy()
        if district:
            fits &= (pilots["district"] == district).to_numpy()
        if minimum > 0:
            found.append((fits, float(minimum)))
    return found


def _add_upgrades(d: _Draft, m: FlowModel) -> None:
    """(W13): plants with a module count as upgraded."""
    c, b = d.c, d.b
    plants = np.unique(c.module_plant)
    upgraded = b.add_columns("plant_upgraded", len(plants), upper=1.0, integral=True)
    d.upgraded = upgraded
    row = _position(plants, c.module_plant[m.module_at], len(c.plant_ids))
    b.add_rows(
        "upgraded_only_by_module", len(plants), [(None, upgraded, 1.0), (row, m.module, -1.0)], upper=0.0
    )
    _demand_row(d, "W-UPGRADE", [(upgraded, np.ones(len(plants)))], d.instance.targets["W-UPGRADE"].required)


def _add_prices(d: _Draft, m: FlowModel) -> None:
    """(W10), for a hard clause that asks for no losing system."""
    c, tables, b = d.c, d.instance, d.b
    num_qualities = len(c.quality_ids)
    names = sorted({*tables.plants["system"], *tables.users["system"], *tables.corridors["system"]})

    def row_of(column: list[str], g: IntArray) -> IntArray:
        return np.array([names.index(name) for name in column], dtype=np.int64) * num_qualities + g

    plant, user, corridor = (
        np.array(frame["system"].tolist(), dtype=object)
        for frame in (tables.plants, tables.users, tables.corridors)
    )
    capital = tables.parameters.price_capital_share

    def yearly(investments: Investments, at: IntArray) -> FloatArray:
        return np.asarray(capital * investments.annual_capital_cny[at] + investments.yearly_cost_cny[at])

    e, g = m.lane_at.T
    p, pg = m.product_at.T
    q, qg = m.delivered_at.T
    h, hg = m.hauled_at.T
    price = c.max_price_cny_per_m3
    terms = [
        (row_of(corridor[e].tolist(), g)[:, None], m.flow[a], -c.carriage.cost_cny[a][e][:, None] * c.days)
        for a in (0, 1)
    ]
    terms += [
        (row_of(plant[p].tolist(), pg)[:, None], m.product, -c.production.cost_cny[p, pg][:, None] * c.days),
        (row_of(user[c.demand_user[q]].tolist(), qg)[:, None], m.delivered, price[q][:, None] * c.days),
        (
            row_of(user[c.demand_user[h]].tolist(), hg)[:, None], m.hauled,
            (price[h] - c.haulage.cost_cny[h])[:, None] * c.days,
        ),
        (
            row_of(user[c.cascade_user].tolist(), c.cascade_quality)[:, None], m.reused,
            -c.reuse.cost_cny[:, None] * c.days,
        ),
        (row_of(user[c.cascade_user].tolist(), c.cascade_quality), m.cascade,
         -yearly(c.cascades, np.arange(len(c.cascades)))),
        (row_of(plant[c.module_plant[m.module_at]].tolist(), c.module_quality[m.module_at]), m.module,
         -yearly(c.modules, m.module_at)),
        (row_of(corridor[m.pipe_at[:, 0]].tolist(), m.pipe_at[:, 1]), m.pipe,
         -yearly(c.pipes, _pipe_row(c, m.pipe_at))),
    ]  # fmt: skip
    base = tables.user_demands["base_m3_per_d"].to_numpy(float)
    total = np.bincount(c.demand_user, weights=base, minlength=len(c.user_ids))
    share = base / np.maximum(total[c.demand_user], 1e-300)
    for columns, at, investments in (
        (m.connected, m.connected_at, c.connections),
        (m.tanker, m.tanker_at, c.tankers),
    ):
        where = _position(at, c.demand_user, len(c.user_ids))
        own = np.flatnonzero(where >= 0)
        money = yearly(investments, at)[where[own]] * share[own]
        terms.append(
            (row_of(user[c.demand_user[own]].tolist(), c.demand_need[own]), columns[where[own]], -money)
        )
    b.add_rows("revenue_covers_cost", len(names) * num_qualities, terms, lower=0.0)


# -------------------------------------------------------------------------------------- money


def _mix_columns(
    d: _Draft, kinds: Mapping[str, tuple[IntArray, IntArray, Investments]]
) -> dict[str, IntArray]:
    """Funding mix of each investment of the kinds that offer several, (n, M)."""
    mixes = {}
    for kind, (built, at, investments) in kinds.items():
        num = len(investments.mixes)
        if num > 1 and len(built):
            paid = investments.capex_cny[at] > 0
            mixes[kind] = d.b.add_columns("mix_used", (len(built), num), upper=np.where(paid, 1.0, 0.0)[:, None],
                                          integral=True)  # fmt: skip
            d.b.add_rows(
                "one_mix_if_built", len(built),
                [(np.arange(len(built))[:, None], mixes[kind], 1.0), (None, built, np.where(paid, -1.0, 0.0))],
                lower=0.0, upper=0.0,
            )  # fmt: skip
    return mixes


def investments_of(m: FlowModel) -> list[tuple[str, IntArray, IntArray, Investments]]:
    """Kind, columns, rows of the investments, and the investments, of every kind in the model."""
    c = m.c
    return [
        ("pipe", m.pipe, _pipe_row(c, m.pipe_at), c.pipes),
        ("module", m.module, m.module_at, c.modules),
        ("connection", m.connected, m.connected_at, c.connections),
        ("tanker", m.tanker, m.tanker_at, c.tankers),
        ("cascade", m.cascade, np.arange(len(c.cascades)), c.cascades),
        ("zld", m.zld, m.zld_at, c.zld),
    ]


def _add_budgets(d: _Draft, m: FlowModel) -> None:
    """(W12), one stage: no carry-over."""
    c = d.c
    finite = np.flatnonzero(np.isfinite(c.budgets.amount_cny[:, 0]))
    row = _position(finite, np.arange(len(c.budgets.sources)), len(c.budgets.sources))
    terms = []
    for kind, columns, at, investments in investments_of(m):
        source = row[c.budgets.source_of(investments.district)[at]]  # (n, 3)
        for mix in range(len(investments.mixes)):
            payers = m.mix[kind][:, mix] if kind in m.mix else columns
            paid = investments.paid_cny[mix][at]
            keep = (source >= 0) & (paid > 0)
            wide = np.broadcast_to(payers[:, None], source.shape)
            terms.append((source[keep], wide[keep], paid[keep]))
    d.rows_of["budget_kept"] = (d.b.num_rows, d.b.num_rows + len(finite))
    d.b.add_rows("budget_kept", len(finite), terms, upper=c.budgets.amount_cny[finite, 0])


def _add_goals(d: _Draft, m: FlowModel) -> None:
    c, parameters = d.c, d.instance.parameters
    weight = float(c.stage_weight[0])
    e = m.lane_at[:, 0]
    p, pg = m.product_at.T
    classes = [
        (m.product, c.production, (p, pg)),
        (m.flow[0], c.carriage, (0, e)),
        (m.flow[1], c.carriage, (1, e)),
        (m.delivered, c.delivery, (m.delivered_at[:, 0],)),
        (m.hauled, c.delivery, (m.hauled_at[:, 0],)),
        (m.hauled, c.haulage, (m.hauled_at[:, 0],)),
        (m.reused, c.reuse, (np.arange(len(c.cascades)),)),
    ]
    for columns, rates, at in classes:
        value = rates.net_value_cny(parameters.carbon_cny_per_t, parameters.tn_value_cny_per_kg)
        d.add_cost("npv", columns, weight * value[at][:, None] * c.days)
        d.add_cost("cost", columns, weight * rates.cost_cny[at][:, None] * c.days)
        d.add_cost("tn", columns, rates.tn_kg[at][:, None] * c.days)
        d.add_cost("co2", columns, rates.co2_kg[at][:, None] * c.days / 1000.0)
    for columns, values in _used(m):
        d.add_cost("volume", columns, values)
    for _, columns, rows, investments in investments_of(m):
        d.add_outlay(columns, investments.present_cost_cny[0][rows])
    growth = c.growth_m3_per_d[0] @ c.days * c.refusal_cost_cny_per_m3
    loss = np.array([growth[c.demand_user == u].sum() for u in m.refused_at])
    if len(loss):
        d.add_outlay(m.refused, weight * loss)


def _add_forced(d: _Draft, m: FlowModel, locks: LockedDecisions) -> None:
    """(W12): projects of which something has to be built."""
    for position in locks.any_pipe_of:
        own = m.pipe[m.pipe_at[:, 0] == position]
        _plain_row(d, "forced_in", [(own, np.ones(len(own)))], 1.0)
    for position in locks.any_module_of:
        own = m.module[d.c.module_plant[m.module_at] == position]
        _plain_row(d, "forced_in", [(own, np.ones(len(own)))], 1.0)
    for position in locks.any_way_of:
        ways = np.concatenate([m.connected[m.connected_at == position], m.tanker[m.tanker_at == position]])
        _plain_row(d, "forced_in", [(ways, np.ones(len(ways)))], 1.0)


def _locked_bounds(m: FlowModel, milp: Milp, locks: LockedDecisions) -> tuple[FloatArray, FloatArray]:
    """(W12): column bounds of the locks that name one decision."""
    lower, upper = milp.lower.copy(), milp.upper.copy()
    e, g, d = m.pipe_at.T
    for columns, must, may in (
        (m.pipe, locks.pipe_must[e, g, d], locks.pipe_may[e, g, d]),
        (m.module, locks.module_must[m.module_at], locks.module_may[m.module_at]),
        (m.connected, locks.connected_must[m.connected_at], locks.connected_may[m.connected_at]),
        (m.tanker, locks.tanker_must[m.tanker_at], locks.tanker_may[m.tanker_at]),
        (m.cascade, locks.cascade_must, locks.cascade_may),
        (m.zld, locks.zld_must[m.zld_at], locks.zld_may[m.zld_at]),
    ):
        lower[columns[must]] = 1.0
        upper[columns[~may]] = 0.0
    return lower, upper

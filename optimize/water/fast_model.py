"""The unphased reclaimed-water model as arrays, over any part of the network, without Pyomo.

Same equations as `optimize.water.formulation` (W1-W14) for one stage.  Storage is never built here:
that leaves plans out but admits none that the formulation forbids, and over one averaged period
(`averaged`) storage cannot help, so the relaxation stays valid with it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optimize.milp import MilpBuilder
from optimize.water.coefficients import BoolArray, Coefficients
from optimize.water.fast_layout import Draft, FlowModel, Part, pipe_row
from optimize.water.fast_locks import locked_decisions
from optimize.water.fast_policy import add_forced, add_pairs, add_policy, locked_bounds
from optimize.water.fast_revision import add_revision
from optimize.water.fast_rows import (
    add_budgets,
    add_cascades,
    add_conservation,
    add_goals,
    add_mix_columns,
    add_pipes,
    add_single_feeds,
    add_treatment,
    add_users,
)
from optimize.water.instance import Instance
from optimize.water.investments import IntArray
from optimize.water.locks import offers_zero_discharge

_EMPTY = MilpBuilder(True).build()
_NONE: IntArray = np.zeros(0, np.int64)


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


def build_flow_model(instance: Instance, c: Coefficients, part: Part, *, relaxed: bool = False) -> FlowModel:
    """Build the model over a part of the network.

    Parameters
    ----------
    relaxed : leave out what only forbids and is awkward over averaged periods ([W-PRICE], single
        feeds, pairs of projects); for bounds.
    """
    d = Draft(instance, c, MilpBuilder(maximise=True))
    b, num_periods = d.b, len(c.days)
    targets = instance.targets
    lane_at = np.argwhere(part.pipe.any(axis=2) | (c.existing_pipe_m3_per_d > 0))
    pipe_at = np.argwhere(part.pipe)
    module_at = np.flatnonzero(part.module)
    connected_at = np.flatnonzero(part.connected)
    tanker_at = np.flatnonzero(part.tanker & (c.tanker_plant >= 0))
    zld_at = np.flatnonzero(c.zld_candidate) if offers_zero_discharge(instance) else np.zeros(0, np.int64)
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
    mixes = add_mix_columns(
        d, {"pipe": (pipe, pipe_row(c, pipe_at), c.pipes), "module": (module, module_at, c.modules),
            "connection": (connected, connected_at, c.connections), "tanker": (tanker, tanker_at, c.tankers),
            "cascade": (cascade, np.arange(len(c.cascades)), c.cascades), "zld": (zld, zld_at, c.zld)},
    )  # fmt: skip
    model = FlowModel(
        c, _EMPTY, {}, pipe, pipe_at, module, module_at, connected, connected_at, tanker, tanker_at, cascade,
        zld, zld_at, pilot, refused, refused_at, mixes, lane_at, flow, product, product_at, delivered,
        delivered_at, hauled, hauled_at, reused, _NONE, np.unique(c.module_plant), _NONE, _NONE, {}, _NONE, _NONE, _NONE, _NONE, (),
    )  # fmt: skip
    add_treatment(d, model)
    add_pipes(d, model)
    add_conservation(d, model)
    add_users(d, model)
    add_cascades(d, model)
    add_policy(d, model, relaxed)
    add_budgets(d, model)
    add_goals(d, model)
    in_force = add_revision(d, model, relaxed)
    locks = locked_decisions(instance, c)
    add_forced(d, model, locks)
    feed = done = _NONE
    if not relaxed:
        feed = add_single_feeds(d, model) if c.single_feed.any() else _NONE
        done = add_pairs(d, model, locks)
    milp = b.build()
    milp = milp.with_bounds(*locked_bounds(model, milp, locks))
    goal_cost = {}
    for goal, terms in d.cost.items():
        goal_cost[goal] = np.zeros(milp.num_columns)
        for columns, values in terms:
            np.add.at(goal_cost[goal], columns, values)
    return replace(
        model, milp=milp.with_objective(goal_cost["npv"], True), goal_cost=goal_cost, rows_of=d.rows_of,
        upgraded=d.upgraded, upgraded_at=np.unique(c.module_plant) if len(d.upgraded) else _NONE,
        feed=feed, done=done, unbalanced=d.unbalanced, in_force=in_force, elastic=tuple(d.elastic),
        shortfall=np.array(d.shortfall, np.int64), shortfall_row=np.array(d.shortfall_row, np.int64),
    )  # fmt: skip

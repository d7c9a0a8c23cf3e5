"""Physical and money rows of the array model: (W1)-(W4), (W6), (W8), (W12), and the goals.

Equation numbers are those of `optimize.water.formulation`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from optimize.milp import MONEY, ElasticRows
from optimize.water.fast_layout import Draft, FlowModel, lane_key, pipe_row, position_of
from optimize.water.flow_bounds import most_useful_m3_per_d
from optimize.water.investments import FloatArray, IntArray, Investments

BUDGET_CLAUSE = "CITY-BUDGET"


def add_treatment(d: Draft, m: FlowModel) -> None:
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
        row = position_of(limited, p, shape["P"])
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
    of_module = position_of(key, c.module_plant[m.module_at] * shape["G"] + c.module_quality[m.module_at],
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


def add_pipes(d: Draft, m: FlowModel) -> None:
    """(W2), (W4)."""
    c, b = d.c, d.b
    size = c.shape["E"] * c.shape["G"]
    lane = position_of(lane_key(c, m.lane_at), lane_key(c, m.pipe_at), size)
    periods = np.arange(len(c.days))
    e, g = m.lane_at.T
    most = most_useful_m3_per_d(c)[e, g]
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


def add_conservation(d: Draft, m: FlowModel) -> None:
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


def add_users(d: Draft, m: FlowModel) -> None:
    """(W6)."""
    c, b = d.c, d.b
    num_periods, num_users = len(c.days), len(c.user_ids)
    periods = np.arange(num_periods)
    for name, columns, at, served, served_at, least in (
        ("delivered_only_if_connected", m.delivered, m.delivered_at, m.connected, m.connected_at, False),
        ("minimum_taken", m.delivered, m.delivered_at, m.connected, m.connected_at, True),
        ("hauled_only_if_tankered", m.hauled, m.hauled_at, m.tanker, m.tanker_at, False),
    ):
        user = position_of(served_at, c.demand_user, num_users)
        demands = np.flatnonzero(user >= 0)
        amount = c.demand_m3_per_d[0][demands]
        if least:
            amount = amount * c.min_take_share[demands, None]
        where = position_of(demands, at[:, 0], len(c.demand_ids))
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


def add_single_feeds(d: Draft, m: FlowModel) -> IntArray:
    """(W6): all inflow of a single-feed user comes by one corridor; returns a binary by way in."""
    c, b = d.c, d.b
    ways = []
    for direction, end in ((0, c.corridor_to), (1, c.corridor_from)):
        user_at = np.full(len(c.node_ids), -1, np.int64)
        single = np.flatnonzero(c.single_feed)
        user_at[c.user_node[single]] = single
        e = np.flatnonzero((user_at[end] >= 0) & ~((direction == 1) & c.directed))
        ways.append(np.column_stack([user_at[end[e]], e, np.full(len(e), direction)]))
    at = np.concatenate(ways).astype(np.int64)
    feed = b.add_columns("feed_used", len(at), upper=1.0, integral=True)
    b.add_rows("one_feed", len(c.user_ids), [(at[:, 0], feed, 1.0)], upper=1.0)
    widest = c.existing_pipe_m3_per_d + c.pipe_capacity_m3_per_d.max(initial=0.0)
    most = np.minimum(most_useful_m3_per_d(c), widest[:, :, None])
    for direction in (0, 1):
        own = np.flatnonzero(at[:, 2] == direction)
        way = position_of(at[own, 1], m.lane_at[:, 0], len(c.corridor_ids))
        lanes = np.flatnonzero(way >= 0)
        e, g = m.lane_at[lanes].T
        b.add_rows(
            "inflow_only_by_feed", (len(lanes), len(c.days)),
            [(None, m.flow[direction][lanes], 1.0), (None, feed[own[way[lanes]], None], -most[e, g])],
            upper=0.0,
        )  # fmt: skip
    return feed


def add_cascades(d: Draft, m: FlowModel) -> None:
    """(W8)."""
    c, b = d.c, d.b
    num = len(c.cascades)
    if not num:
        return
    b.add_rows(
        "reuse_only_if_built", m.reused.shape,
        [(None, m.reused, 1.0), (None, m.cascade[:, None], -c.cascade_limit_m3_per_d[0])], upper=0.0,
    )  # fmt: skip
    giver = position_of(m.refused_at, c.cascade_user, len(c.user_ids))
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


def add_mix_columns(
    d: Draft, kinds: Mapping[str, tuple[IntArray, IntArray, Investments]]
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
        ("pipe", m.pipe, pipe_row(c, m.pipe_at), c.pipes),
        ("module", m.module, m.module_at, c.modules),
        ("connection", m.connected, m.connected_at, c.connections),
        ("tanker", m.tanker, m.tanker_at, c.tankers),
        ("cascade", m.cascade, np.arange(len(c.cascades)), c.cascades),
        ("zld", m.zld, m.zld_at, c.zld),
    ]


def add_budgets(d: Draft, m: FlowModel) -> None:
    """(W12), one stage: no carry-over."""
    c = d.c
    finite = np.flatnonzero(np.isfinite(c.budgets.amount_cny[:, 0]))
    row = position_of(finite, np.arange(len(c.budgets.sources)), len(c.budgets.sources))
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
    rows = d.b.add_rows("budget_kept", len(finite), terms, upper=c.budgets.amount_cny[finite, 0])
    d.elastic += [
        ElasticRows(
            BUDGET_CLAUSE, f"{c.budgets.sources[source]} all years", "CNY", rows[[k]],
            float(c.budgets.amount_cny[source, 0]), is_cap=True, rank=MONEY,
        )
        for k, source in enumerate(finite)
    ]  # fmt: skip


def used_m3_per_a(m: FlowModel, users: IntArray | None = None) -> list[tuple[IntArray, FloatArray]]:
    """Reclaimed water of a year, m3/a, of the users named (None: all)."""
    c, terms = m.c, []
    for columns, at in ((m.delivered, m.delivered_at), (m.hauled, m.hauled_at)):
        keep = np.ones(len(at), bool) if users is None else np.isin(c.demand_user[at[:, 0]], users)
        terms.append((columns[keep], np.broadcast_to(c.days, columns[keep].shape)))
    return terms


def add_goals(d: Draft, m: FlowModel) -> None:
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
    for columns, values in used_m3_per_a(m):
        d.add_cost("volume", columns, values)
    for _, columns, rows, investments in investments_of(m):
        d.add_outlay(columns, investments.present_cost_cny[0][rows])
    growth = c.growth_m3_per_d[0] @ c.days * c.refusal_cost_cny_per_m3
    loss = np.array([growth[c.demand_user == u].sum() for u in m.refused_at])
    if len(loss):
        d.add_outlay(m.refused, weight * loss)

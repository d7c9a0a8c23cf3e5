"""Policy rows of the array model: clauses (W7)-(W11), (W13), and locks (W12).

Equation numbers are those of `optimize.water.formulation`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimize.milp import ElasticRows, Milp
from optimize.water.coefficients import Coefficients
from optimize.water.fast_layout import Draft, FlowModel, pipe_row, position_of
from optimize.water.fast_locks import LockedDecisions
from optimize.water.fast_rows import used_m3_per_a
from optimize.water.flow_bounds import most_useful_m3_per_d
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray, Investments
from optimize.water.locks import ProjectRef


def demand_row(
    d: Draft, clause: str, terms: list[tuple[IntArray, FloatArray]], required: float, constant: float = 0.0,
    where: str = "",
) -> None:  # fmt: skip
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
    row = d.b.add_rows(clause, 1, parts, lower=-np.inf if cap else side, upper=side if cap else np.inf)
    if target.hard:
        d.elastic.append(ElasticRows(clause, where, target.clause.unit, row, required, is_cap=cap))


def _negative(terms: list[tuple[IntArray, FloatArray]]) -> list[tuple[IntArray, FloatArray]]:
    return [(columns, -values) for columns, values in terms]


def add_policy(d: Draft, m: FlowModel, relaxed: bool) -> None:
    """(W7)-(W11), (W13)."""
    c, targets = d.c, d.instance.targets
    whole_year = c.days.sum()
    if "W-CASCADE" in targets:
        demand_row(d, "W-CASCADE", [(m.reused, np.broadcast_to(c.days / whole_year, m.reused.shape))],
                    targets["W-CASCADE"].required)  # fmt: skip
    if "W-QUOTA" in targets:
        listed = c.quota_listed[m.connected_at]
        ones = [(m.connected[listed], np.ones(listed.sum())), (m.refused, np.ones(len(m.refused)))]
        demand_row(d, "W-QUOTA", ones, targets["W-QUOTA"].required)
    if "W-CAP" in targets:
        _add_intake_caps(d, m)
    if "W-PILOT" in targets:
        _add_pilots(d, m)
    if len(m.zld):
        for column, park in zip(m.zld, m.zld_at, strict=True):
            users = c.park_user[park]
            own = np.isin(c.demand_user, users)
            needed = float(c.zld_min_share[park] * (c.demand_m3_per_d[0][own] @ c.days).sum())
            _plain_row(
                d,
                "zld_needs_reclaimed_water",
                [*used_m3_per_a(m, users), (np.array([column]), np.array([-needed]))],
                0.0,
            )
    if "W-ZLD" in targets:
        demand_row(d, "W-ZLD", [(m.zld, np.ones(len(m.zld)))], targets["W-ZLD"].required)
    if "W-VOLUME" in targets:
        demand_row(d, "W-VOLUME", used_m3_per_a(m), targets["W-VOLUME"].required)
    if "W-TN" in targets:
        demand_row(d, "W-TN", _nitrogen(m), targets["W-TN"].required)
    if "W-NEAR" in targets:
        _add_mean_distance(d, m)
    if "W-UPGRADE" in targets or d.instance.parameters.num_plants_exact > 0:
        _add_upgrades(d, m)
    if "W-PRICE" in targets and not relaxed:
        d.unbalanced = _add_prices(d, m)


def _add_mean_distance(d: Draft, m: FlowModel) -> None:
    """(W13): a mean is not linear in its limit: the row gives way in m3 km, told per m3 of all demand."""
    c, required = d.c, d.instance.targets["W-NEAR"].required
    length = np.broadcast_to((c.length_km[m.lane_at[:, 0], None] * c.days)[None], m.flow.shape)
    taken = np.broadcast_to(-required * c.days, m.delivered.shape)
    d.rows_of["W-NEAR"] = (d.b.num_rows, d.b.num_rows + 1)
    row = _plain_row(d, "W-NEAR", [(m.flow, length), (m.delivered, taken)], -np.inf, 0.0)
    whole = max(float((c.demand_m3_per_d[0] @ c.days).sum()), 1.0)
    d.elastic.append(ElasticRows("W-NEAR", "per m3 of all demand", "km", row, required, whole, is_cap=True))


def _plain_row(
    d: Draft, name: str, terms: list[tuple[IntArray, FloatArray]], lower: float, upper: float = np.inf
) -> IntArray:
    parts = [(np.zeros(col.size, np.int64), col.ravel(), v.ravel()) for col, v in terms]
    return d.b.add_rows(name, 1, parts, lower=lower, upper=upper)


def _nitrogen(m: FlowModel) -> list[tuple[IntArray, FloatArray]]:
    """Nitrogen kept out in a year, kg/a."""
    c = m.c
    p, g = m.product_at.T
    return [
        (m.product, c.production.tn_kg[p, g][:, None] * c.days),
        (m.reused, c.reuse.tn_kg[:, None] * c.days),
    ]


def _add_intake_caps(d: Draft, m: FlowModel) -> None:
    """(W11): fresh water is demand less refused growth less reclaimed."""
    c, instance = d.c, d.instance
    scopes = [(np.arange(len(c.user_ids)), instance.targets["W-CAP"].required, "")]
    caps = instance.intake_caps
    for scope, name, cap in zip(caps["scope"], caps["id"], caps["cap_m3_per_a"], strict=True):
        members = np.flatnonzero((instance.users[scope] == name).to_numpy())
        scopes.append((members, float(cap), f"{scope} {name}"))
    growth = c.growth_m3_per_d[0] @ c.days
    for users, cap, where in scopes:
        own = np.isin(c.demand_user, users)
        whole = float((c.demand_m3_per_d[0][own] @ c.days).sum())
        keep = np.isin(m.refused_at, users)
        refused = np.array([growth[c.demand_user == u].sum() for u in m.refused_at[keep]])
        terms = [*_negative(used_m3_per_a(m, users)), (m.refused[keep], -refused)]
        demand_row(d, "W-CAP", terms, cap, whole, where)


def _add_pilots(d: Draft, m: FlowModel) -> None:
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
            terms = [*used_m3_per_a(m, users), (m.pilot[[i]], np.array([-float(least_volume)]))]
            _plain_row(d, "pilot_needs_volume", terms, 0.0)
    demand_row(d, "W-PILOT", [(m.pilot, np.ones(len(m.pilot)))], target.required)
    for fits, minimum, where in pilot_requirements(instance):
        demand_row(d, "W-PILOT", [(m.pilot[fits], np.ones(fits.sum()))], minimum, where=where)


def pilot_users(instance: Instance, c: Coefficients) -> list[IntArray]:
    """Members of each pilot."""
    position = {user: u for u, user in enumerate(c.user_ids)}
    members = instance.pilot_members
    return [
        np.array([position[u] for u in members.loc[members["pilot"] == name, "user"]], dtype=np.int64)
        for name in instance.pilots["pilot"]
    ]


def pilot_requirements(instance: Instance) -> list[tuple[NDArray[np.bool_], float, str]]:
    """Which pilots count for each row of the table, how many of them there must be, and the row's name."""
    pilots, rows, found = instance.pilots, instance.pilot_requirements, []
    for kind, district, minimum in zip(rows["kind"], rows["district"], rows["minimum"], strict=True):
        fits = np.ones(len(pilots), dtype=bool)
        if kind != "*":
            fits &= (pilots["kind"] == kind).to_numpy()
        if district:
            fits &= (pilots["district"] == district).to_numpy()
        if minimum > 0:
            found.append((fits, float(minimum), f"{kind} {district}".strip()))
    return found


def _add_upgrades(d: Draft, m: FlowModel) -> None:
    """(W13): plants with a module count as upgraded; their exact number may be asked for."""
    c, b = d.c, d.b
    exact = d.instance.parameters.num_plants_exact
    plants = np.unique(c.module_plant)
    upgraded = b.add_columns("plant_upgraded", len(plants), upper=1.0, integral=True)
    d.upgraded = upgraded
    row = position_of(plants, c.module_plant[m.module_at], len(c.plant_ids))
    b.add_rows(
        "upgraded_only_by_module", len(plants), [(None, upgraded, 1.0), (row, m.module, -1.0)], upper=0.0
    )
    if exact > 0:
        b.add_rows(
            "module_upgrades_plant", len(m.module), [(None, m.module, 1.0), (None, upgraded[row], -1.0)],
            upper=0.0,
        )  # fmt: skip
        _plain_row(d, "exact_number_of_plants", [(upgraded, np.ones(len(plants)))], exact, exact)
    if "W-UPGRADE" in d.instance.targets:
        required = d.instance.targets["W-UPGRADE"].required
        demand_row(d, "W-UPGRADE", [(upgraded, np.ones(len(plants)))], required)


def _add_prices(d: Draft, m: FlowModel) -> IntArray:
    """(W10): a system out of balance is released by a binary where the clause allows some; returns these."""
    target, b = d.instance.targets["W-PRICE"], d.b
    earnings, costs = _money_of_systems(d, m)
    num = len(_systems(d)) * len(d.c.quality_ids)
    terms: list[Earning] = [*earnings, *((row, columns, -value) for row, columns, value, _ in costs)]
    if target.hard and target.required < 1:
        b.add_rows("revenue_covers_cost", num, terms, lower=0.0)
        return np.zeros(0, np.int64)
    most = np.zeros(num)
    for row, _, value, top in costs:
        at, money = np.broadcast_arrays(row, value * top)
        np.add.at(most, at.ravel(), money.ravel())
    unbalanced = b.add_columns("system_unbalanced", num, upper=1.0, integral=True)
    b.add_rows("revenue_covers_cost", num, [*terms, (None, unbalanced, most)], lower=0.0)
    demand_row(d, "W-PRICE", [(unbalanced, np.ones(num))], target.required)
    return unbalanced


Earning = tuple[IntArray | None, IntArray, FloatArray]
"""Rows, columns, and CNY a year per unit."""

Cost = tuple[IntArray, IntArray, FloatArray, FloatArray | float]
"""Rows, columns, CNY a year per unit, and the most units there can be."""


def _systems(d: Draft) -> list[str]:
    tables = d.instance
    return sorted({*tables.plants["system"], *tables.users["system"], *tables.corridors["system"]})


def _money_of_systems(d: Draft, m: FlowModel) -> tuple[list[Earning], list[Cost]]:
    """Yearly revenue and cost by row (price system, quality)."""
    c, tables = d.c, d.instance
    num_qualities = len(c.quality_ids)
    place = {name: k for k, name in enumerate(_systems(d))}
    plant, user, corridor = (
        np.array([place[name] for name in frame["system"]], dtype=np.int64)
        for frame in (tables.plants, tables.users, tables.corridors)
    )
    capital = tables.parameters.price_capital_share

    def yearly(investments: Investments, at: IntArray) -> FloatArray:
        return np.asarray(capital * investments.annual_capital_cny[at] + investments.yearly_cost_cny[at])

    def row(system: IntArray, quality: IntArray) -> IntArray:
        return np.asarray(system * num_qualities + quality)

    e, g = m.lane_at.T
    p, pg = m.product_at.T
    q, qg = m.delivered_at.T
    h, hg = m.hauled_at.T
    price, demand = c.max_price_cny_per_m3, c.demand_m3_per_d[0]
    widest = c.existing_pipe_m3_per_d[e, g] + c.pipe_capacity_m3_per_d.max(initial=0.0)
    carried = np.minimum(most_useful_m3_per_d(c)[e, g], widest[:, None])
    of_user = user[c.demand_user]
    giver = row(user[c.cascade_user], c.cascade_quality)
    earnings: list[Earning] = [
        (row(of_user[at], grade)[:, None], columns, price[at][:, None] * c.days)
        for columns, at, grade in ((m.delivered, q, qg), (m.hauled, h, hg))
    ]
    costs: list[Cost] = [
        (row(corridor[e], g)[:, None], m.flow[a], c.carriage.cost_cny[a][e][:, None] * c.days, carried)
        for a in (0, 1)
    ]
    costs += [
        (row(plant[p], pg)[:, None], m.product, c.production.cost_cny[p, pg][:, None] * c.days,
         c.available_m3_per_d[p] * c.recovery[p, pg][:, None]),
        (row(of_user[h], hg)[:, None], m.hauled, c.haulage.cost_cny[h][:, None] * c.days, demand[h]),
        (giver[:, None], m.reused, c.reuse.cost_cny[:, None] * c.days, c.cascade_limit_m3_per_d[0]),
        (giver, m.cascade, yearly(c.cascades, np.arange(len(c.cascades))), 1.0),
        (row(plant[c.module_plant[m.module_at]], c.module_quality[m.module_at]), m.module,
         yearly(c.modules, m.module_at), 1.0),
        (row(corridor[m.pipe_at[:, 0]], m.pipe_at[:, 1]), m.pipe, yearly(c.pipes, pipe_row(c, m.pipe_at)), 1.0),
    ]  # fmt: skip
    base = tables.user_demands["base_m3_per_d"].to_numpy(float)
    total = np.bincount(c.demand_user, weights=base, minlength=len(c.user_ids))
    share = base / np.maximum(total[c.demand_user], 1e-300)
    for columns, at, investments in (
        (m.connected, m.connected_at, c.connections),
        (m.tanker, m.tanker_at, c.tankers),
    ):
        where = position_of(at, c.demand_user, len(c.user_ids))
        own = np.flatnonzero(where >= 0)
        money = yearly(investments, at)[where[own]] * share[own]
        costs.append((row(of_user[own], c.demand_need[own]), columns[where[own]], money, 1.0))
    return earnings, costs


def add_pairs(d: Draft, m: FlowModel, locks: LockedDecisions) -> IntArray:
    """(W12): projects done only together, or not together; returns one binary by project of a pair."""
    projects = locks.paired_projects
    done = d.b.add_columns("project_done", len(projects), upper=1.0, integral=True)
    for column, project in zip(done, projects, strict=True):
        own = columns_of_project(m, project)
        _plain_row(d, "done_if_any", [(own, np.ones(len(own))), (column[None], np.array([-1.0]))], 0.0)
        d.b.add_rows("done_if_any", len(own), [(None, own, 1.0), (None, column, -1.0)], upper=0.0)
    for pair in locks.pairs:
        both = done[[projects.index(pair.first), projects.index(pair.second)]]
        if pair.together:
            _plain_row(d, "together", [(both, np.array([1.0, -1.0]))], 0.0, 0.0)
        else:
            _plain_row(d, "apart", [(both, np.ones(2))], -np.inf, 1.0)
    return done


def columns_of_project(m: FlowModel, project: ProjectRef) -> IntArray:
    """Columns of which one makes the project done (`optimize.water.locks`)."""
    i = project.position
    if project.table == "plants":
        return np.asarray(m.module[m.c.module_plant[m.module_at] == i])
    if project.table == "corridors":
        return np.asarray(m.pipe[m.pipe_at[:, 0] == i])
    if project.table == "users":
        return np.concatenate([m.connected[m.connected_at == i], m.tanker[m.tanker_at == i]])
    return m.cascade[[i]] if project.table == "cascades" else m.zld[m.zld_at == i]


def add_forced(d: Draft, m: FlowModel, locks: LockedDecisions) -> None:
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


def locked_bounds(m: FlowModel, milp: Milp, locks: LockedDecisions) -> tuple[FloatArray, FloatArray]:
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

"""What each option takes from every linking row, as sparse entries (R3-R12)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from optimize.clauses import REVISE, ClauseTarget
from optimize.datacenter.changes import derive_changes
from optimize.datacenter.instance import FloatArray, Instance, rows_of
from optimize.datacenter.kinds import CLOSE, NONE, NOTHING, OFFER, STAGED
from optimize.datacenter.measures import (
    BoolArray,
    IntArray,
    derive_measure_weeks,
    trades_of,
)
from optimize.datacenter.options import Options
from optimize.datacenter.packages import above_threshold, in_limit_scope
from optimize.datacenter.payments import Payments
from optimize.datacenter.schema import CLOSING

KWH_PER_MWH = 1000.0


@dataclass(frozen=True)
class Use:
    """Entries of a family of rows ``sum(amount * chosen[option]) <= limit``.

    Attributes
    ----------
    keys : what each row stands for, in order.
    row, option, amount : entries, one each.
    limit : shape (rows,).
    unit : of ``limit``.
    """

    keys: list[tuple[str, int]]
    row: IntArray
    option: IntArray
    amount: FloatArray
    limit: FloatArray
    unit: str


@dataclass(frozen=True)
class ClauseRow:
    """A clause as a row: ``constant + amount @ chosen`` against ``scale * required``; see `ClauseTarget`.

    ``scale`` is the size of one unit of the clause in the row (a share of n centres: n).
    """

    target: ClauseTarget
    option: IntArray
    amount: FloatArray
    scale: float
    constant: float = 0.0

    @property
    def side(self) -> float:
        """Right side of the row over the options."""
        return self.scale * self.target.required - self.constant


# --- R3 -----------------------------------------------------------------------------------------


def budget_use(instance: Instance, payments: Payments) -> Use:
    """Payments by source and year, CNY; sources without any limit are left out."""
    years = instance.num_years
    limit = np.zeros((len(payments.sources), years))
    budgets = instance.budgets
    if not (budgets["source"] == "owner").any():
        limit[payments.sources.index("owner")] = np.inf
    scale = float(instance.parameters["budgets.scale"])
    for row in rows_of(budgets):
        if 0 <= row.year - instance.base_year < years:
            position = payments.sources.index(row.source), row.year - instance.base_year
            limit[position] = row.amount_cny * scale
    used = np.zeros(len(payments.sources), dtype=np.bool_)
    used[payments.source] = True
    sources = np.flatnonzero(used & np.isfinite(limit).all(axis=1))
    place = np.full(len(payments.sources), NONE)
    place[sources] = np.arange(len(sources))
    entries = place[payments.source] >= 0
    row = place[payments.source[entries]] * years + payments.year[entries]
    amount = payments.amount_cny[entries]
    due = np.bincount(row, np.where(payments.contracted[entries], amount, 0.0), len(sources) * years)
    return Use(
        keys=_keys([payments.sources[s] for s in sources], instance),
        row=row,
        option=payments.option[entries],
        amount=amount,
        limit=_granting(
            instance, limit[sources], due.astype(np.float64).reshape(len(sources), years)
        ).ravel(),
        unit="CNY",
    )


def _granting(instance: Instance, limit: FloatArray, due: FloatArray) -> FloatArray:
    """Budgets, shape (sources, years), that what is contracted does not overrun.

    A year is granted what its contracts need beyond its own money and all that the years before could
    leave it, were nothing else paid.
    """
    share = float(instance.parameters["budgets.carry_over_share"])
    granted, kept = limit.copy(), np.zeros(len(limit))
    for t in range(limit.shape[1]):
        granted[:, t] += np.maximum(due[:, t] - limit[:, t] - kept, 0.0)
        kept = share * (granted[:, t] + kept - due[:, t])
    return granted


def _allowing_contracts(options: Options, use: Use) -> Use:
    """What is contracted is a fact: where it takes more than there is, that much is there, and no more."""
    due = np.bincount(use.row, use.amount * options.contracted[use.option], minlength=len(use.limit))
    return replace(use, limit=np.maximum(use.limit, due))


def _keys(names: list[str], instance: Instance) -> list[tuple[str, int]]:
    return [(name, instance.base_year + t) for name in names for t in range(instance.num_years)]


# --- R4 -----------------------------------------------------------------------------------------


def trade_use(instance: Instance, options: Options) -> Use:
    """Contractor weeks by trade and year."""
    trades, years = trades_of(instance), instance.num_years
    packages = options.packages
    retrofits = np.flatnonzero(options.first >= 0)
    staged = np.flatnonzero(options.kind == STAGED)
    closing = np.flatnonzero(options.kind == CLOSE)
    fixed, per_kw = derive_measure_weeks(instance, [CLOSING])
    load = instance.it_load_kw[options.centre[closing]]
    weeks = packages.weeks
    blocks = [
        (retrofits, options.year[retrofits], weeks[options.first[retrofits]]),
        (
            staged,
            options.second_year[staged],
            weeks[options.second[staged]] - weeks[options.first[staged]],
        ),
        (closing, options.year[closing], fixed + per_kw * load[:, None]),
    ]
    rows, taken, amounts = [], [], []
    for option, year, used in blocks:
        for trade in range(len(trades)):
            some = np.flatnonzero(used[:, trade] > 0)
            rows.append(trade * years + year[some])
            taken.append(option[some])
            amounts.append(used[some, trade])
    limit = np.zeros((len(trades), years))
    for row in rows_of(instance.trades):
        if 0 <= row.year - instance.base_year < years:
            limit[trades.index(row.trade), row.year - instance.base_year] = row.weeks
    use = Use(
        keys=_keys(trades, instance),
        row=_join(rows),
        option=_join(taken),
        amount=np.concatenate([*amounts, np.zeros(0)]),
        limit=limit.ravel(),
        unit="week",
    )
    return _allowing_contracts(options, use)


def _join(parts: list[IntArray]) -> IntArray:
    return np.concatenate([*parts, np.zeros(0, np.int64)]).astype(np.int64)


# --- R5 -----------------------------------------------------------------------------------------


def _works(options: Options) -> tuple[IntArray, IntArray]:
    """Options that endanger operation, and the year: one entry per option and year of works."""
    first = np.flatnonzero(options.works_first)
    second = np.flatnonzero(options.works_second)
    option = np.concatenate([first, second])
    return option, np.concatenate([options.year[first], options.second_year[second]])


def zone_use(instance: Instance, options: Options) -> Use:
    """IT load under works by zone and year, kW."""
    zones = instance.zones[instance.zones["max_share_under_works"] < 1.0]
    names = list(zones["zone"])
    place = {name: position for position, name in enumerate(names)}
    of_centre = np.array([place.get(z, NONE) for z in instance.centres["zone"]], dtype=np.int64)
    inside = of_centre >= 0
    load = np.bincount(of_centre[inside], instance.it_load_kw[inside], len(names))
    option, year = _works(options)
    zone = of_centre[options.centre[option]]
    option, year, zone = option[zone >= 0], year[zone >= 0], zone[zone >= 0]
    share = zones["max_share_under_works"].to_numpy(np.float64)
    use = Use(
        keys=_keys(names, instance),
        row=zone * instance.num_years + year,
        option=option,
        amount=instance.it_load_kw[options.centre[option]],
        limit=np.repeat(load * share, instance.num_years),
        unit="kW",
    )
    return _allowing_contracts(options, use)


def partner_use(instance: Instance, options: Options) -> Use:
    """Centres under works by redundancy group and year; at most one."""
    groups = instance.centres["redundancy_group"]
    sizes = groups[groups != ""].value_counts()
    names = sorted(sizes.index[sizes > 1])
    place = {name: position for position, name in enumerate(names)}
    of_centre = np.array([place.get(g, NONE) for g in groups], dtype=np.int64)
    option, year = _works(options)
    group = of_centre[options.centre[option]]
    option, year, group = option[group >= 0], year[group >= 0], group[group >= 0]
    use = Use(
        keys=_keys(names, instance),
        row=group * instance.num_years + year,
        option=option,
        amount=np.ones(len(option)),
        limit=np.ones(len(names) * instance.num_years),
        unit="count",
    )
    return _allowing_contracts(options, use)


# --- R6, R7 ---------------------------------------------------------------------------------------


def host_use(instance: Instance, options: Options) -> Use:
    """IT load moved to each host in each year from the closing on, kW; limit: what it has free."""
    years = instance.num_years
    hosts = instance.hosts
    closing = np.flatnonzero(options.kind == CLOSE)
    centre, host = options.centre[closing], options.host[closing]
    moved = instance.it_load_kw[centre] * hosts["consolidation_ratio"].to_numpy(np.float64)[host]
    rows, taken, amounts = [], [], []
    for year in range(years):
        there = options.year[closing] <= year
        rows.append(host[there] * years + year)
        taken.append(closing[there])
        amounts.append((moved * options.path.growth[centre, year])[there])
    capacity = np.zeros((len(hosts), years))
    names = list(hosts["host"])
    for row in rows_of(instance.host_capacity):
        if 0 <= row.year - instance.base_year < years:
            capacity[names.index(row.host), row.year - instance.base_year] = row.capacity_kw
    growth = 1.0 + hosts["own_growth_per_year"].to_numpy(np.float64)
    own = hosts["own_load_kw"].to_numpy(np.float64)[:, None] * growth[:, None] ** np.arange(years)
    use = Use(
        keys=_keys(names, instance),
        row=_join(rows),
        option=_join(taken),
        amount=np.concatenate([*amounts, np.zeros(0)]),
        limit=np.maximum(capacity - own, 0.0).ravel(),
        unit="kW",
    )
    return _allowing_contracts(options, use)


def sink_use(instance: Instance, options: Options) -> Use:
    """Heat delivered to each sink by month once the whole programme works, kWh."""
    sinks = list(instance.heat_sinks["sink"])
    linked = np.flatnonzero(options.link >= 0)
    link = options.link[linked]
    delivered = options.links.delivered_kwh[link]
    entry, month = np.nonzero(delivered > 0)
    capacity = np.zeros((len(sinks), 12))
    for row in rows_of(instance.sink_months):
        capacity[sinks.index(row.sink), row.month - 1] = row.capacity_kwh
    use = Use(
        keys=[(sink, month) for sink in sinks for month in range(1, 13)],
        row=options.links.sink[link][entry] * 12 + month,
        option=linked[entry],
        amount=delivered[entry, month],
        limit=capacity.ravel(),
        unit="kWh",
    )
    return _allowing_contracts(options, use)


# --- R8-R12: clauses --------------------------------------------------------------------------------


def clause_rows(instance: Instance, options: Options) -> list[ClauseRow]:
    """One row per clause asked for, in the order of the instance.

    [DC-SAFE] has no row: no option is generated where tier or residual life do not allow it.
    A share of no centres at all is met, and has no row.
    """
    rows = []
    for target in instance.targets.values():
        if target.id == "DC-SAFE":
            continue
        if target.id == REVISE:
            changes = derive_changes(instance, options)
            option = np.flatnonzero(changes.weight)
            of_nothing = changes.weight_of_nothing
            rows.append(ClauseRow(target, option, changes.weight[option], 1.0, of_nothing))
            continue
        amount, scale = _clause_amounts(instance, options, target)
        if scale > 0:
            option = np.flatnonzero(amount)
            rows.append(ClauseRow(target, option, amount[option], scale))
    return rows


def _clause_amounts(instance: Instance, options: Options, target: ClauseTarget) -> tuple[FloatArray, float]:
    last = instance.last_counting_year(target)
    in_time = np.maximum(options.year, options.second_year) <= last
    in_force = options.package_in_force(last)
    centre = options.centre

    def flag(values: BoolArray) -> BoolArray:
        """A property of the package in force, False where there is none."""
        return np.asarray(np.append(values, False)[in_force])

    if target.id == "DC-PUE":
        asked = above_threshold(instance)
        low = pue_at(instance, options, last) <= instance.setting("upgraded_max_pue") + 1e-9
        treated = (in_force >= 0) | ((options.kind == OFFER) & in_time)
        done = (treated & low) | options.closed_by(last)
        return (done & asked[centre]).astype(np.float64), float(asked.sum())
    if target.id == "DC-CLOSE":
        scattered = instance.centres["scattered"].to_numpy(np.bool_)
        return (options.closed_by(last) & scattered[centre]).astype(np.float64), float(scattered.sum())
    if target.id == "DC-LIMIT":
        return above_limit(instance, options, last).astype(np.float64), 1.0
    if target.id == "DC-GREEN":
        eligible = instance.centres["green_eligible"].to_numpy(np.bool_)[centre]
        low = pue_at(instance, options, last) <= instance.setting("green_max_pue") + 1e-9
        return (eligible & low & (in_force >= 0)).astype(np.float64), 1.0
    if target.id == "DC-BATT":
        eligible = instance.centres["battery_eligible"].to_numpy(np.bool_)[centre]
        return (eligible & flag(options.packages.battery)).astype(np.float64), 1.0
    if target.id == "DC-TECH":
        return flag(options.packages.advanced).astype(np.float64), 1.0
    if target.id == "DC-HEAT":
        yearly = np.append(options.links.delivered_kwh.sum(axis=1), 0.0) / KWH_PER_MWH
        return np.where(flag(options.packages.heat), yearly[options.link], 0.0), 1.0
    effects = {"DC-ENERGY": options.energy_mwh, "DC-CO2": options.co2_t, "DC-WATER": options.water_m3}
    return np.where(in_time, effects[target.id], 0.0), 1.0


def pue_at(instance: Instance, options: Options, last: int) -> FloatArray:
    """PUE of the option's centre through projects of years <= last (closed: as before)."""
    in_force = options.package_in_force(last)
    pue = instance.pue_before[options.centre].copy()
    some = in_force >= 0
    pue[some] = options.packages.pue[in_force[some]]
    offered = np.flatnonzero((options.kind == OFFER) & (options.year <= last))
    stated = instance.offers["pue_after"].to_numpy(np.float64)[options.offer[offered]]
    pue[offered] = np.where(np.isnan(stated), pue[offered], stated)
    return pue


def above_limit(instance: Instance, options: Options, last: int) -> BoolArray:
    """Options that leave their centre above the limit standard."""
    in_force = options.package_in_force(last)
    left_scope = np.append(options.packages.leaves_scope, False)[in_force]
    scope = in_limit_scope(instance)[options.centre] & ~left_scope & ~options.closed_by(last)
    high = pue_at(instance, options, last) > instance.setting("limit_pue") + 1e-9
    return np.asarray(scope & high)


# --- locks on pairs ------------------------------------------------------------------------------------


def pair_locks(instance: Instance, options: Options) -> list[tuple[str, str, str, int, int]]:
    """(kind, id, other, `nothing` option of id, of other) of every lock on a pair."""
    nothing = np.flatnonzero(options.kind == NOTHING)
    place = {name: position for position, name in enumerate(instance.centres["centre"])}
    return [
        (row.kind, row.id, row.other, int(nothing[place[row.id]]), int(nothing[place[row.other]]))
        for row in rows_of(instance.locks)
        if row.kind in ("together", "not_together")
    ]

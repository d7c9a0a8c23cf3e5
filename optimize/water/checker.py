"""Independent check of a reclaimed-water plan: every row of the model and every figure, from the raw tables.

Equation numbers are those of `formulation`.  Tolerance: 1e-6 of the row's own size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.checking import CheckReport, ClauseOutcome, Violation
from optimize.water.checker_revision import check_revision, contract_works, figures_of_changes
from optimize.water.instance import LOCKABLE, Instance
from optimize.water.recount import Facts, FloatArray, IntArray, Plan, read_plan, recount_facts
from optimize.water.recount_clauses import recount_clauses, stage_of, volume_by_user
from optimize.water.recount_figures import recount_figures
from optimize.water.recount_money import Ledger, recount_budgets, recount_ledger
from optimize.water.solution import Solution

TOLERANCE = 1e-6
_LISTED_PER_ROW_KIND = 10


@dataclass
class Findings:
    """Violations found so far, and how many rows were looked at."""

    violations: list[Violation] = field(default_factory=list)
    num_rows: int = 0

    def add(self, equation: str, where: str, required: str, found: str) -> None:
        self.violations.append(Violation(equation, where, required, found))

    def require(self, equation: str, where: str, holds: bool, required: str, found: str) -> None:
        self.num_rows += 1
        if not holds:
            self.add(equation, where, required, found)

    def at_most(
        self,
        equation: str,
        name: Callable[..., str],
        value: FloatArray,
        limit: FloatArray | float,
        size: FloatArray | float = 1.0,
    ) -> None:
        """``value <= limit`` elementwise; ``size`` is the scale of a row besides its limit."""
        bound = np.broadcast_to(np.asarray(limit, dtype=float), value.shape)
        scale = np.maximum(np.maximum(1.0, np.abs(np.where(np.isfinite(bound), bound, 1.0))), size)
        broken = ~(value <= bound + TOLERANCE * scale)
        self.num_rows += value.size
        for index in np.argwhere(broken)[:_LISTED_PER_ROW_KIND]:
            at = tuple(index)
            self.add(equation, name(*at), f"at most {bound[at]:,.9g}", f"{value[at]:,.9g}")


def check(instance: Instance, solution: Solution) -> CheckReport:
    """Re-derive feasibility and every figure of ``solution``."""
    facts = recount_facts(instance)
    plan = read_plan(instance, facts, solution)
    ledger = recount_ledger(instance, solution)
    findings = Findings()
    for frame, what in plan.faults:
        findings.add("plan", frame, "rows that name things of the instance, once", what)
    for where, required, found in ledger.faults:
        findings.add("W12", where, required, found)
    findings.num_rows += sum(
        len(frame) for frame in vars(solution).values() if isinstance(frame, pd.DataFrame)
    )
    _check_signs(facts, plan, findings)
    _check_treatment(instance, facts, plan, findings)
    _check_pipes(instance, facts, plan, findings)
    _check_conservation(instance, facts, plan, findings)
    _check_storage(instance, facts, plan, findings)
    _check_users(instance, facts, plan, findings)
    _check_cascades(instance, facts, plan, findings)
    _check_pilots(instance, facts, plan, findings)
    _check_locks(instance, facts, solution, findings)
    check_revision(instance, solution, findings.require)
    changes = figures_of_changes(instance, solution)
    money = _check_budgets(instance, ledger, findings)
    reached = recount_clauses(instance, facts, plan, ledger, changes["changes"])
    outcomes = _check_clauses(instance, reached, findings)
    figures = recount_figures(instance, facts, plan, ledger, _penalties_cny(outcomes), changes)
    for name, value in solution.reported.items():
        same = abs(figures[name] - value) <= TOLERANCE * max(1.0, abs(value))
        findings.require("figures", name, same, f"{value:,.9g}", f"{figures[name]:,.9g}")
    return CheckReport(
        violations=tuple(findings.violations),
        clauses=outcomes,
        figures=figures,
        money=money,
        num_rows_checked=findings.num_rows,
    )


def _check_signs(facts: Facts, plan: Plan, findings: Findings) -> None:
    for name in ("product", "delivered", "hauled", "reused", "stored_in", "stored_out", "level"):
        values = getattr(plan, name)
        findings.at_most("plan", lambda *at, name=name: f"{name} {at} not negative", -values, 0.0)


def _check_treatment(instance: Instance, facts: Facts, plan: Plan, findings: Findings) -> None:
    """(W1), (W4), exact number of plants."""
    a = facts.axes
    shape = (len(a.plants), len(a.qualities))
    at = _cells(instance.treatment, (("plant", a.plants), ("quality", a.qualities)))
    recovery, existing = np.full(shape, np.nan), np.zeros(shape)
    recovery[at] = instance.treatment["recovery"].to_numpy(float)
    existing[at] = instance.treatment["existing_m3_per_d"].to_numpy(float)
    makes = ~np.isnan(recovery)
    drawn = (plan.product / np.where(makes, recovery, 1.0)[:, :, None]).sum(axis=2)
    findings.at_most(
        "W1", lambda s, p, t: f"effluent drawn at {a.plants[p]}, period {t}", drawn, facts.available
    )
    limit = instance.plants["tn_limit_mg_per_l"].to_numpy(float)
    nitrogen = instance.plants["tn_mg_per_l"].to_numpy(float)
    kept = instance.qualities["tn_kept_out_share"].to_numpy(float)
    kept_out = np.einsum(
        "spgt,pg->spt", plan.product, nitrogen[:, None] * kept / np.where(makes, recovery, 1.0)
    )
    load = facts.effluent * nitrogen[:, None] - kept_out
    allowed = np.where(
        np.isnan(limit)[:, None], np.inf, limit[:, None] * (facts.effluent - plan.product.sum(axis=2))
    )
    findings.at_most(
        "W1", lambda s, p, t: f"nitrogen load g/d discharged by {a.plants[p]}, period {t}",
        load, allowed, np.abs(facts.effluent * nitrogen[:, None]),
    )  # fmt: skip
    module_at = _cells(instance.modules, (("plant", a.plants), ("quality", a.qualities)))
    size = instance.modules["capacity_m3_per_d"].to_numpy(float)
    capacity = np.zeros((len(plan.module), *shape))
    number = np.zeros((len(plan.module), *shape))
    for s, stands in enumerate(plan.module):
        np.add.at(capacity[s], module_at, size * stands)
        np.add.at(number[s], module_at, stands.astype(float))
    findings.at_most(
        "W4",
        lambda s, p, g, t: f"product {a.qualities[g]} of {a.plants[p]}, period {t}",
        plan.product,
        np.where(makes, existing + capacity, 0.0)[..., None],
    )
    findings.at_most("W1", lambda s, p, g: f"sizes of {a.qualities[g]} built at {a.plants[p]}", number, 1.0)
    exact = instance.parameters.num_plants_exact
    if exact > 0:
        upgraded = int((number[-1].sum(axis=1) > 0).sum())
        findings.require("W13", "plants with a module", upgraded == exact, str(exact), str(upgraded))


def _cells(frame: pd.DataFrame, axes: Iterable[tuple[str, pd.Index]]) -> tuple[NDArray[np.int64], ...]:
    return tuple(axis.get_indexer(pd.Index(frame[column])).astype(np.int64) for column, axis in axes)


def _check_pipes(instance: Instance, facts: Facts, plan: Plan, findings: Findings) -> None:
    """(W2), (W4)."""
    a, corridors = facts.axes, instance.corridors
    findings.at_most(
        "W2",
        lambda s, e, g: f"new diameters of {a.qualities[g]} on {a.corridors[e]}",
        plan.pipe.sum(axis=3).astype(float),
        1.0,
    )
    capacity = plan.pipe.astype(float) @ instance.pipes["capacity_m3_per_d"].to_numpy(float)
    lies = a.qualities.get_indexer(pd.Index(corridors["existing_quality"]))
    rows = np.flatnonzero(lies >= 0)
    capacity[:, rows, lies[rows]] += corridors["existing_m3_per_d"].to_numpy(float)[rows]
    findings.at_most(
        "W4",
        lambda s, e, g, t: f"flow of {a.qualities[g]} on {a.corridors[e]}, period {t}",
        np.abs(plan.flow),
        capacity[..., None],
    )
    one_way = corridors["directed"].to_numpy(bool)
    findings.at_most(
        "W2",
        lambda s, e, g, t: (
            f"flow against the direction of {a.corridors[np.flatnonzero(one_way)[e]]}, period {t}"
        ),
        -plan.flow[:, one_way],
        0.0,
    )


def _check_conservation(instance: Instance, facts: Facts, plan: Plan, findings: Findings) -> None:
    """(W3): what enters a node leaves it."""
    a = facts.axes
    stages, periods = len(a.years), a.num_periods
    shape = (stages, len(a.nodes), len(a.qualities), periods)
    net, through = np.zeros(shape), np.zeros(shape)

    def add(nodes: IntArray, amount: FloatArray, sign: float) -> None:
        for s in range(stages):
            np.add.at(net[s], nodes, sign * amount[s])
            np.add.at(through[s], nodes, np.abs(amount[s]))

    def add_one_quality(nodes: IntArray, quality: IntArray, amount: FloatArray, sign: float) -> None:
        spread = np.zeros((stages, len(nodes), len(a.qualities), periods))
        spread[:, np.arange(len(nodes)), quality] = amount
        add(nodes, spread, sign)

    def node_of(names: pd.Series) -> IntArray:
        return a.nodes.get_indexer(pd.Index(names)).astype(np.int64)

    add(node_of(instance.corridors["from_node"]), plan.flow, -1.0)
    add(node_of(instance.corridors["to_node"]), plan.flow, 1.0)
    add(node_of(instance.plants["plant"]), plan.product, 1.0)
    user = node_of(instance.user_demands["user"])
    add(user, plan.delivered, -1.0)
    filled_at = instance.user_demands["user"].map(instance.users.set_index("user")["tanker_plant"])
    add(np.maximum(node_of(filled_at), 0), plan.hauled, -1.0)
    add_one_quality(
        node_of(instance.cascades["user"]), _quality_of(facts, instance.cascades), plan.reused, 1.0
    )
    site = node_of(instance.storage_sites["node"])
    stored_quality = _quality_of(facts, instance.storage_sites)
    add_one_quality(site, stored_quality, plan.stored_in, -1.0)
    add_one_quality(site, stored_quality, plan.stored_out, 1.0)
    findings.at_most(
        "W3",
        lambda s, n, g, t: f"imbalance of {a.qualities[g]} at {a.nodes[n]}, period {t}",
        np.abs(net),
        0.0,
        through,
    )


def _quality_of(facts: Facts, frame: pd.DataFrame) -> IntArray:
    return facts.axes.qualities.get_indexer(pd.Index(frame["quality"])).astype(np.int64)


def _check_storage(instance: Instance, facts: Facts, plan: Plan, findings: Findings) -> None:
    """(W5)."""
    a = facts.axes
    volume = instance.storage_sites["volume_m3"].to_numpy(float) * plan.storage
    months = np.flatnonzero(facts.days > 0)
    levels = plan.level[..., months]
    net = (plan.stored_in - plan.stored_out)[..., months] * facts.days[months]
    drift = np.abs(levels - np.roll(levels, 1, axis=-1) - net)
    moved = ((plan.stored_in + plan.stored_out)[..., months] * facts.days[months]) + levels
    findings.at_most("W5", lambda s, h, t: f"level of {a.sites[h]}, period {t}", drift, 0.0, moved)
    findings.at_most(
        "W5",
        lambda s, h, t: f"level of {a.sites[h]} against its volume, period {t}",
        levels,
        volume[..., None],
    )
    peak = np.flatnonzero(facts.days == 0)
    findings.at_most(
        "W5",
        lambda s, h, t: f"peak-day release of {a.sites[h]}",
        plan.stored_out[..., peak],
        volume[..., None],
    )
    findings.at_most(
        "W5", lambda s, h, t: f"peak-day filling of {a.sites[h]}", plan.stored_in[..., peak], 0.0
    )


def _check_users(instance: Instance, facts: Facts, plan: Plan, findings: Findings) -> None:
    """(W6), (W7)."""
    a, u = facts.axes, facts.user_of_demand
    taken, hauled = plan.delivered.sum(axis=2), plan.hauled.sum(axis=2)
    piped, tankered = plan.piped[:, u, None], plan.tankered[:, u, None]
    findings.at_most(
        "W6", lambda s, q, t: f"delivery to {a.demands[q]}, period {t}", taken, facts.demand * piped
    )
    asked = instance.users["min_take_share"].to_numpy(float)
    contracts = contract_works(instance)  # what brings their water may come later, or not at all
    asked = np.where([("connection", user) in contracts for user in a.users], 0.0, asked)
    least = asked[u][:, None] * facts.demand * piped
    findings.at_most(
        "W6",
        lambda s, q, t: f"least take of {a.demands[q]}, period {t}: shortfall",
        least - taken,
        0.0,
        least,
    )
    findings.at_most(
        "W6", lambda s, q, t: f"tanker water of {a.demands[q]}, period {t}", hauled, facts.demand * tankered
    )
    wrong = np.where(facts.accepts[:, :, None], 0.0, plan.delivered + plan.hauled)
    findings.at_most(
        "W6", lambda s, q, g, t: f"{a.qualities[g]} for {a.demands[q]}, which does not accept it", wrong, 0.0
    )
    offered = instance.users["tanker_plant"].to_numpy() != ""
    findings.at_most(
        "W6", lambda s, i: f"tanker of {a.users[i]}", plan.tankered.astype(float), offered.astype(float)
    )
    ways = plan.piped.astype(float) + plan.tankered + plan.refused
    findings.at_most("W6", lambda s, i: f"ways of service of {a.users[i]}", ways, 1.0)
    listed = instance.users["quota_listed"].to_numpy(bool).astype(float)
    findings.at_most("W7", lambda s, i: f"growth refused to {a.users[i]}", plan.refused.astype(float), listed)
    _check_single_feeds(instance, facts, plan, findings)


def _check_single_feeds(instance: Instance, facts: Facts, plan: Plan, findings: Findings) -> None:
    corridors, users = instance.corridors, instance.users
    largest = np.abs(plan.flow).max(initial=1.0)
    inward = (plan.flow > TOLERANCE * largest).any(axis=(0, 2, 3))
    outward = (plan.flow < -TOLERANCE * largest).any(axis=(0, 2, 3))
    for user in users.loc[users["single_feed"], "user"]:
        feeds = int((inward & (corridors["to_node"] == user)).sum())
        feeds += int((outward & (corridors["from_node"] == user)).sum())
        findings.require("W6", f"corridors that feed {user}", feeds <= 1, "at most 1", str(feeds))


def _check_cascades(instance: Instance, facts: Facts, plan: Plan, findings: Findings) -> None:
    """(W8)."""
    a, cascades = facts.axes, instance.cascades
    giver = a.users.get_indexer(pd.Index(cascades["user"]))
    for i, u in enumerate(giver):
        own = facts.user_of_demand == u
        use = facts.demand[:, own].sum(axis=1) - facts.growth[:, own].sum(axis=1) * plan.refused[:, u, None]
        most = np.minimum(float(cascades["return_share"][i]) * use, float(cascades["capacity_m3_per_d"][i]))
        findings.at_most(
            "W8",
            lambda s, t, i=i: f"water from {a.cascades[i]}, period {t}",
            plan.reused[:, i],
            most * plan.cascade[:, i, None],
        )


def _check_pilots(instance: Instance, facts: Facts, plan: Plan, findings: Findings) -> None:
    """(W9): what is called a pilot is one."""
    a, pilots = facts.axes, instance.pilots
    target = instance.targets.get("W-PILOT")
    s = stage_of(instance, target)
    volume = volume_by_user(facts, plan, s)
    for i in np.flatnonzero(plan.pilot).tolist():
        rows = instance.pilot_members["pilot"] == a.pilots[i]
        members = a.users.get_indexer(pd.Index(instance.pilot_members.loc[rows, "user"].unique()))
        joined, used = int(plan.piped[s, members].sum()), float(volume[members].sum())
        least_users, least_volume = int(pilots["min_users"][i]), float(pilots["min_volume_m3_per_a"][i])
        findings.require(
            "W9", f"users of pilot {a.pilots[i]}", joined >= least_users, str(least_users), str(joined)
        )
        enough = used >= least_volume - TOLERANCE * max(1.0, least_volume)
        findings.require("W9", f"m3/a of pilot {a.pilots[i]}", enough, f"{least_volume:,.9g}", f"{used:,.9g}")
    contracts = contract_works(instance)
    for stage, park in np.argwhere(plan.zld).tolist():
        own = instance.users["park"].to_numpy()[facts.user_of_demand] == a.parks[park]
        share = 0.0 if ("zld", a.parks[park]) in contracts else float(instance.parks["zld_min_share"][park])
        needed = share * float((facts.demand[stage, own] @ facts.days).sum())
        members = (instance.users["park"] == a.parks[park]).to_numpy()
        used = float(volume_by_user(facts, plan, stage)[members].sum())
        enough = used >= needed - TOLERANCE * max(1.0, needed)
        findings.require(
            "W9", f"reclaimed water m3/a of {a.parks[park]}", enough, f"{needed:,.9g}", f"{used:,.9g}"
        )
        candidate = bool(instance.parks["zld_candidate"][park])
        findings.require("W9", f"near-zero discharge at {a.parks[park]}", candidate, "a candidate", "none")


def _check_budgets(instance: Instance, ledger: Ledger, findings: Findings) -> pd.DataFrame:
    """(W12)."""
    money = recount_budgets(instance, ledger.spent)
    spent, available = money["spent_cny"].to_numpy(float), money["available_cny"].to_numpy(float)
    findings.at_most("W12", lambda i: f"budget of {money['source'][i]} {money['year'][i]}", spent, available)
    findings.require(
        "W12",
        "money of all sources",
        bool(np.isclose(ledger.spent["amount_cny"].sum(), ledger.works["capex_cny"].sum(), rtol=TOLERANCE)),
        f"{ledger.works['capex_cny'].sum():,.9g}",
        f"{ledger.spent['amount_cny'].sum():,.9g}",
    )
    shown = money[(money["spent_cny"] > 0) | (money["budget_cny"] > 0)]
    return shown.drop(columns="available_cny").reset_index(drop=True)


def _check_locks(instance: Instance, facts: Facts, solution: Solution, findings: Findings) -> None:
    """(W12): decisions taken beforehand."""
    years = _years_by_project(solution)
    phased, base = instance.parameters.phased, instance.parameters.base_year
    table_of = {name: table for table, key in LOCKABLE for name in getattr(instance, table)[key]}
    locks = instance.locks
    for kind, name, other, value, year in zip(
        *(locks[column] for column in ("kind", "id", "other", "value", "year")), strict=True
    ):
        own = _done_of(years, table_of, name)
        done = bool(own)
        fixed_year = base if not phased else (year or None)
        if kind == "force_in":
            holds, required = done, "done"
        elif kind == "force_out" or (kind == "fix" and value == "none"):
            holds, required = not done, "not done"
        elif kind == "fix":
            holds = value in own and (fixed_year is None or own[value] == fixed_year)
            required = f"{value} {year or ''}".strip()
        elif kind == "earliest":
            holds, required = not phased or all(built >= year for built in own.values()), f"{year} or later"
        elif kind == "latest":
            holds, required = not phased or all(built <= year for built in own.values()), f"{year} or earlier"
        else:
            partner = bool(years.get((table_of[other], other), {}))
            holds = done == partner if kind == "together" else not (done and partner)
            required = f"{kind.replace('_', ' ')} with {other}"
        found = ", ".join(f"{way} {built}" for way, built in own.items()) or "not done"
        findings.require("W12", f"lock {kind} {name}", holds, required, found)


def _done_of(
    years: Mapping[tuple[str, str], dict[str, int]], table_of: Mapping[str, str], name: str
) -> dict[str, int]:
    """Ways of doing what a lock names, by the year; ``plant:quality`` and ``corridor:quality`` are parts of a project."""
    if name in table_of:
        return years.get((table_of[name], name), {})
    place, _, quality = name.rpartition(":")
    whole = years.get((table_of[place], place), {})
    return {way: year for way, year in whole.items() if way.rpartition(":")[0] == quality}


def _years_by_project(solution: Solution) -> Mapping[tuple[str, str], dict[str, int]]:
    """(table, id) -> {way of doing it: year}."""
    years: dict[tuple[str, str], dict[str, int]] = {}
    for name, quality, diameter, year in solution.pipes.itertuples(index=False):
        years.setdefault(("corridors", str(name)), {})[f"{quality}:{diameter}"] = int(str(year))
    for name, quality, step, year in solution.modules.itertuples(index=False):
        years.setdefault(("plants", str(name)), {})[f"{quality}:{step}"] = int(str(year))
    for name, mode, year in solution.connections.itertuples(index=False):
        years.setdefault(("users", str(name)), {})[str(mode)] = int(str(year))
    table = {"storage": "storage_sites", "cascade": "cascades", "zld": "parks"}
    for kind, name, year in solution.built.itertuples(index=False):
        if kind in table:
            years.setdefault((table[str(kind)], str(name)), {})["built"] = int(str(year))
    return years


def _check_clauses(
    instance: Instance, reached: Mapping[tuple[str, str], tuple[float, float]], findings: Findings
) -> tuple[ClauseOutcome, ...]:
    """Hard clauses hold; an outcome for every target and each of its rows by table."""
    outcomes = []
    for (clause, where), (value, required) in reached.items():
        target = replace(instance.targets[clause], required=required)
        outcome = ClauseOutcome(target, value, where)
        outcomes.append(outcome)
        if target.hard:
            findings.require(
                clause,
                where or target.clause.en,
                outcome.met,
                f"{target.clause.sense} {required:,.9g} {target.clause.unit}",
                f"{value:,.9g}",
            )
        else:
            findings.num_rows += 1
    return tuple(outcomes)


def _penalties_cny(outcomes: Iterable[ClauseOutcome]) -> float:
    return sum(
        max(-outcome.slack, 0.0) * outcome.target.penalty_cny_per_unit
        for outcome in outcomes
        if not outcome.target.hard
    )

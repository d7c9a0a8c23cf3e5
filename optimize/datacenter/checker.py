"""Independent check of a plan from the raw tables: every row, every figure, every clause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from optimize.checking import CheckReport, ClauseOutcome, Violation
from optimize.clauses import REVISE, ClauseTarget
from optimize.datacenter.checker_revision import DECISION, contracts_of, figures_of_changes, in_one_order
from optimize.datacenter.instance import Instance, rows_of
from optimize.datacenter.recount import Project, Recount, Stage
from optimize.datacenter.solution import Solution

TOLERANCE = 1e-6
# Of all centres that chose one option only: the "nothing" state.
_FIGURES = {
    "npv_cny": "npv_cny",
    "cost_cny": "cost_cny",
    "energy_saved_mwh_per_year": "energy_mwh",
    "co2_avoided_t_per_year": "co2_t",
    "water_m3_per_year": "water_m3",
}


@dataclass
class _Findings:
    violations: list[Violation] = field(default_factory=list)
    rows: int = 0

    def expect_at_most(self, equation: str, where: str, value: float, limit: float, unit: str) -> None:
        self.rows += 1
        if not value <= limit + TOLERANCE * max(1.0, abs(limit)):
            self.violations.append(Violation(equation, where, f"<= {limit:g} {unit}", f"{value:g} {unit}"))

    def expect_equal(self, equation: str, where: str, reported: float, recounted: float) -> None:
        self.rows += 1
        same = abs(reported - recounted) <= TOLERANCE * max(1.0, abs(recounted))
        if not (same or (np.isnan(reported) and np.isnan(recounted))):
            self.violations.append(Violation(equation, where, f"{recounted:.6f}", f"{reported:.6f} reported"))

    def expect(self, holds: bool, equation: str, where: str, required: str, found: str) -> None:
        self.rows += 1
        if not holds:
            self.violations.append(Violation(equation, where, required, found))


def check(instance: Instance, solution: Solution) -> CheckReport:
    """Re-derive feasibility and every figure of ``solution``."""
    findings = _Findings()
    recount = Recount(instance)
    rows: list[dict[str, object]] = [
        {str(name): value for name, value in row.items()} for row in solution.projects.to_dict("records")
    ]
    projects = [recount.project(row) for row in rows]
    contracted = set(contracts_of(instance)["centre"])
    due = [project for project in projects if project.centre in contracted]
    _check_revision(findings, instance, solution.projects)
    _check_projects(findings, recount, rows, projects)
    _check_payments(findings, recount, solution, projects)
    money = _check_budgets(findings, instance, projects, due)
    _check_weeks(findings, instance, projects, due)
    _check_works(findings, instance, recount, projects, due)
    _check_hosts(findings, instance, projects, due)
    _check_heat(findings, recount, rows, projects, contracted)
    _check_locks(findings, instance, rows)
    changes = figures_of_changes(instance, solution.projects)
    clauses = _clauses(instance, recount, projects, changes["changes"])
    penalty = 0.0
    for outcome in clauses:
        target = outcome.target
        findings.rows += 1
        if target.hard and not outcome.met:
            findings.violations.append(
                Violation(target.id, outcome.where, f"{target.required:g}", f"{outcome.reached:g}")
            )
        if not target.hard:
            penalty += target.penalty_cny_per_unit * max(0.0, -outcome.slack)
    return CheckReport(
        violations=tuple(findings.violations),
        clauses=tuple(clauses),
        figures=_figures(recount, rows, projects, penalty, changes),
        money=money,
        num_rows_checked=findings.rows,
    )


# --- revision ---------------------------------------------------------------------------------------------


def _check_revision(findings: _Findings, instance: Instance, projects: pd.DataFrame) -> None:
    """(R13) what is contracted is in the plan as it is; before the first open year begins nothing else."""
    opened = int(instance.parameters["revision.first_open_year"])
    if instance.plan_in_force.empty and not opened:
        return
    columns = ["centre", *DECISION.columns]
    projects = in_one_order(projects)
    planned = set(projects[columns].itertuples(index=False, name=None))
    before = set(in_one_order(instance.plan_in_force)[columns].itertuples(index=False, name=None))
    for contract in in_one_order(contracts_of(instance))[columns].itertuples(index=False, name=None):
        findings.expect(contract in planned, "R13", str(contract[0]), "as contracted", "not so")
    for project in projects.loc[projects["year"] < opened, columns].itertuples(index=False, name=None):
        findings.expect(
            project in before, "R13", str(project[0]), f"nothing new before {opened}", str(project)
        )


# --- projects ----------------------------------------------------------------------------------------


def _check_projects(
    findings: _Findings, recount: Recount, rows: list[dict[str, object]], projects: list[Project]
) -> None:
    """(R1, R2) one known, admissible option per centre; reported figures are the recounted ones."""
    seen: set[str] = set()
    for row, project in zip(rows, projects, strict=True):
        where = project.centre
        findings.expect(where not in seen, "R2", where, "one option", "more than one")
        seen.add(where)
        findings.rows += 1
        findings.violations += [Violation(eq, where, needed, found) for eq, needed, found in project.faults]
        if project.faults:
            continue
        for column, name in _FIGURES.items():
            findings.expect_equal(column, where, float(str(row[column])), getattr(project, name))
        capex = sum(project.capex_cny.values())
        findings.expect_equal("capex_cny", where, float(str(row["capex_cny"])), capex)
        before = recount.pue_before(recount.centres[where])
        findings.expect_equal("pue_before", where, float(str(row["pue_before"])), before)
        findings.expect_equal("pue_after", where, float(str(row["pue_after"])), project.stages[-1].pue)
    for name, centre in recount.centres.items():
        if centre["must_choose"]:
            findings.expect(name in seen, "R2", name, "an option", "nothing")


def _check_payments(
    findings: _Findings, recount: Recount, solution: Solution, projects: list[Project]
) -> None:
    """(R3) the reported payments are those of the plan."""
    reported: dict[tuple[str, str, int], float] = defaultdict(float)
    for row in rows_of(solution.payments):
        reported[row.centre, row.source, row.year - recount.base] += row.amount_cny
    due = {
        (project.centre, source, year): amount
        for project in projects
        for (source, year), amount in project.payments.items()
    }
    for key in sorted(set(due) | set(reported)):
        centre, source, year = key
        where = f"{centre} {source} {year + recount.base}"
        findings.expect_equal("R3", where, reported.get(key, 0.0), due.get(key, 0.0))


def _check_budgets(
    findings: _Findings, instance: Instance, projects: list[Project], due: list[Project]
) -> pd.DataFrame:
    """(R3) spending within budget and carried-over money; the largest carry-over is the best."""
    spent: dict[tuple[str, int], float] = defaultdict(float)
    for project in projects:
        for key, amount in project.payments.items():
            spent[key] += amount
    by_contract: dict[tuple[str, int], float] = defaultdict(float)
    for project in due:
        for key, amount in project.payments.items():
            by_contract[key] += amount
    scale = float(instance.parameters["budgets.scale"])
    share = float(instance.parameters["budgets.carry_over_share"])
    given = {(b.source, b.year): b.amount_cny * scale for b in rows_of(instance.budgets)}
    unlimited = {"owner"} - {source for source, _ in given}
    sources = dict.fromkeys([*(s for s, _ in given), *(s for s, _ in spent)])
    table = []
    for source in sources:
        carried = most_carried = 0.0
        for year in range(instance.num_years):
            calendar = year + instance.base_year
            amount = spent.get((source, year), 0.0)
            if source in unlimited:
                table.append((source, calendar, amount, np.nan))
                continue
            budget = given.get((source, calendar), 0.0)
            # contracts are paid, whatever the budget: what they lack at best is there, for nothing else
            lacking = max(by_contract.get((source, year), 0.0) - budget - most_carried, 0.0)
            there = budget + lacking
            most_carried = share * (there + most_carried - by_contract.get((source, year), 0.0))
            findings.expect_at_most("R3", f"budget {source} {calendar}", amount, there + carried, "CNY")
            table.append((source, calendar, amount, budget))
            carried = share * max(there + carried - amount, 0.0)
    outside = [key for key in spent if not 0 <= key[1] < instance.num_years]
    findings.expect(not outside, "R3", "payments", "in the programme's years", str(outside[:3]))
    return pd.DataFrame(table, columns=["source", "year", "spent_cny", "budget_cny"])


def _summed(parts: Iterable[Mapping[tuple[str, int], float]]) -> dict[tuple[str, int], float]:
    total: dict[tuple[str, int], float] = defaultdict(float)
    for part in parts:
        for key, amount in part.items():
            total[key] += amount
    return total


# --- physical limits -------------------------------------------------------------------------------------


def _check_weeks(
    findings: _Findings, instance: Instance, projects: list[Project], due: list[Project]
) -> None:
    """(R4) contractor weeks by trade and year."""
    used, needed = (_summed(p.weeks for p in some) for some in (projects, due))
    given = {(t.trade, t.year - instance.base_year): t.weeks for t in rows_of(instance.trades)}
    for key in sorted(set(used) | set(given)):
        where = f"{key[0]} {key[1] + instance.base_year}"
        limit = max(given.get(key, 0.0), needed.get(key, 0.0))
        findings.expect_at_most("R4", where, used.get(key, 0.0), limit, "weeks")


def _check_works(
    findings: _Findings, instance: Instance, recount: Recount, projects: list[Project], due: list[Project]
) -> None:
    """(R5) IT load under works by zone, redundancy partners apart."""
    under_works, partners = _under_works(recount, projects)
    due_works, due_partners = _under_works(recount, due)
    total = instance.centres.groupby("zone")["it_load_kw"].sum()
    for zone in rows_of(instance.zones):
        for year in range(instance.num_years):
            limit = zone.max_share_under_works * float(total.get(zone.zone, 0.0))
            limit = max(limit, due_works.get((zone.zone, year), 0.0))
            where = f"zone {zone.zone} {year + instance.base_year}"
            findings.expect_at_most("R5", where, under_works.get((zone.zone, year), 0.0), limit, "kW")
    for (group, year), count in partners.items():
        if group:
            where = f"redundancy group {group} {year + instance.base_year}"
            most = max(1.0, float(due_partners.get((group, year), 0)))
            findings.expect_at_most("R5", where, float(count), most, "centres")


def _under_works(
    recount: Recount, projects: list[Project]
) -> tuple[dict[tuple[str, int], float], dict[tuple[str, int], int]]:
    """IT load by zone and year, and centres by redundancy group and year."""
    load_kw: dict[tuple[str, int], float] = defaultdict(float)
    partners: dict[tuple[str, int], int] = defaultdict(int)
    for project in projects:
        for year in project.works:
            centre = recount.centres[project.centre]
            load_kw[centre["zone"], year] += centre["it_load_kw"]
            partners[centre["redundancy_group"], year] += 1
    return load_kw, partners


def _check_hosts(
    findings: _Findings, instance: Instance, projects: list[Project], due: list[Project]
) -> None:
    """(R6) moved load within what the host has left, in every year."""
    moved, due_moved = (_summed(p.moved_kw for p in some) for some in (projects, due))
    given = {(c.host, c.year): c.capacity_kw for c in rows_of(instance.host_capacity)}
    for host in rows_of(instance.hosts):
        for year in range(instance.num_years):
            calendar = year + instance.base_year
            own = host.own_load_kw * (1 + host.own_growth_per_year) ** year
            room = max(
                given.get((host.host, calendar), 0.0) - own, due_moved.get((host.host, year), 0.0), 0.0
            )
            where = f"host {host.host} {calendar}"
            findings.expect_at_most("R6", where, moved.get((host.host, year), 0.0), room, "kW")


def _check_heat(
    findings: _Findings,
    recount: Recount,
    rows: list[dict[str, object]],
    projects: list[Project],
    contracted: set[str],
) -> None:
    """(R7) heat delivered within what the sink takes, month by month."""
    delivered: dict[tuple[str, int], float] = defaultdict(float)
    due: dict[tuple[str, int], float] = defaultdict(float)
    for row, project in zip(rows, projects, strict=True):
        for month, heat in enumerate(project.heat_kwh, start=1):
            delivered[str(row["sink"]), month] += heat
            due[str(row["sink"]), month] += heat if project.centre in contracted else 0.0
    for (sink, month), heat in delivered.items():
        limit = max(recount.month_heat.get((sink, month), 0.0), due[sink, month])
        findings.expect_at_most("R7", f"heat sink {sink} month {month}", heat, limit, "kWh")


# --- locks -------------------------------------------------------------------------------------------------


def _check_locks(findings: _Findings, instance: Instance, rows: list[dict[str, object]]) -> None:
    plan = {str(row["centre"]): row for row in rows}
    for lock in rows_of(instance.locks):
        row, other = plan.get(lock.id), plan.get(lock.other)
        done = row is not None
        first = int(str(row["year"])) if row else 0
        last = max(first, int(str(row["later_year"]))) if row else 0
        holds = {
            "force_in": done,
            "force_out": not done,
            "fix": _is_fixed(row, lock.value) and (lock.year == 0 or not done or first == lock.year),
            "earliest": not done or first >= lock.year,
            "latest": not done or last <= lock.year,
            "together": done == (other is not None),
            "not_together": not (done and other is not None),
        }[lock.kind]
        where = f"{lock.id} {lock.other}".strip()
        findings.expect(holds, "lock", where, f"{lock.kind} {lock.value} {lock.year or ''}".strip(), str(row))


def _is_fixed(row: dict[str, object] | None, value: str) -> bool:
    if value == "nothing" or row is None:
        return value == "nothing" and row is None
    action = row["action"]
    if value == "":
        return True
    if value == "retrofit":
        return action in ("retrofit", "staged")
    if value == "close":
        return action == "close"
    if value.startswith("close:"):
        return action == "close" and row["host"] == value.removeprefix("close:")
    if action == "offer":
        return row["offer"] == value
    return action == "retrofit" and set(str(row["measures"]).split("+")) == set(value.split("+"))


# --- clauses and figures ----------------------------------------------------------------------------------------


def _clauses(
    instance: Instance, recount: Recount, projects: list[Project], changes: float
) -> list[ClauseOutcome]:
    return [
        ClauseOutcome(
            target, changes if target.id == REVISE else _reached(target, instance, recount, projects)
        )
        for target in instance.targets.values()
    ]


def _reached(target: ClauseTarget, instance: Instance, recount: Recount, projects: list[Project]) -> float:
    """What the plan reaches of a clause, in its unit, by projects up to the deadline."""
    last = instance.num_years - 1
    if target.deadline_year is not None:
        last = min(last, target.deadline_year - instance.base_year)
    setting = recount.setting
    states = {p.centre: p.state(last) for p in projects if not p.faults}
    if target.id == "DC-SAFE":
        return float(sum(p.unsafe for p in projects))
    if target.id in ("DC-PUE", "DC-CLOSE", "DC-LIMIT"):
        return _share_or_count(target.id, recount, states)
    count = 0.0
    for project in projects:
        if project.faults:
            continue
        centre, state = recount.centres[project.centre], states[project.centre]
        in_time = max(stage.year for stage in project.stages) <= last
        if target.id == "DC-GREEN":
            low = state is not None and bool(state.measures) and state.pue <= setting["green_max_pue"] + 1e-9
            count += bool(centre["green_eligible"] and low)
        elif target.id == "DC-BATT":
            count += bool(centre["battery_eligible"] and state is not None and state.battery)
        elif target.id == "DC-TECH":
            count += bool(state is not None and state.advanced)
        elif target.id == "DC-HEAT":
            if project.heat_year is not None and project.heat_year <= last:
                count += sum(project.heat_kwh) / 1000.0
        elif in_time:
            count += {
                "DC-ENERGY": project.energy_mwh,
                "DC-CO2": project.co2_t,
                "DC-WATER": project.water_m3,
            }[target.id]
    return count


def _share_or_count(clause: str, recount: Recount, states: dict[str, Stage | None]) -> float:
    """DC-PUE and DC-CLOSE as shares of those asked for; DC-LIMIT as the count above the limit."""
    setting = recount.setting
    asked = done = above = 0
    for name, centre in recount.centres.items():
        state = states.get(name)
        before = recount.pue_before(centre)
        closed = state is not None and state.closed
        pue = before if state is None else state.pue
        if clause == "DC-CLOSE":
            asked += bool(centre["scattered"])
            done += bool(centre["scattered"] and closed)
        elif clause == "DC-PUE":
            concerned = before >= setting["pue_threshold"] - 1e-9
            upgraded = state is not None and pue <= setting["upgraded_max_pue"] + 1e-9
            asked += concerned
            done += bool(concerned and (closed or upgraded))
        else:
            scope = recount.in_limit_scope(centre) if state is None else state.in_limit_scope
            above += bool(scope and not closed and pue > setting["limit_pue"] + 1e-9)
    if clause == "DC-LIMIT":
        return float(above)
    return done / asked if asked else 1.0


def _figures(
    recount: Recount,
    rows: list[dict[str, object]],
    projects: list[Project],
    penalty: float,
    changes: dict[str, float],
) -> dict[str, float]:
    owed = changes.get("cancellation_cost", 0.0)
    actions = [row["action"] for row in rows]
    treated = [
        (recount.centres[p.centre], p.stages[-1].pue)
        for p in projects
        if not p.faults and p.stages[-1].measures
    ]
    weight = sum(c["it_load_kw"] for c, _ in treated)
    before = sum(c["it_load_kw"] * recount.pue_before(c) for c, _ in treated)
    after = sum(c["it_load_kw"] * pue for c, pue in treated)
    return {
        "npv": sum(p.npv_cny for p in projects) - penalty - owed,
        "cost": sum(p.cost_cny for p in projects) + penalty + owed,
        "energy": sum(p.energy_mwh for p in projects),
        "co2": sum(p.co2_t for p in projects),
        "penalty_cny": penalty,
        "capex_cny": sum(sum(p.capex_cny.values()) for p in projects),
        "water_m3_per_year": sum(p.water_m3 for p in projects),
        "heat_mwh_per_year": sum(sum(p.heat_kwh) for p in projects) / 1000.0,
        "num_retrofits": float(actions.count("retrofit") + actions.count("staged")),
        "num_staged": float(actions.count("staged")),
        "num_closed": float(actions.count("close")),
        "num_offers": float(actions.count("offer")),
        "num_heat_links": float(sum(bool(p.heat_kwh) for p in projects)),
        "pue_before_of_treated": before / weight if weight else float("nan"),
        "pue_after_of_treated": after / weight if weight else float("nan"),
        **changes,
    }

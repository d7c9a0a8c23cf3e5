"""The city's plan against the raw tables: money, targets and cross-links recounted from the plans alone.

Each programme's own checker recounts its plan on its own tables with its share of the pool as budgets,
and with linked demands as the plan leaves them; what ties the programmes is recounted here from what
those checkers' recounts say of single projects.  Nothing of the model or the engine is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from optimize.checking import CheckReport, ClauseOutcome, Violation
from optimize.city.instance import (
    DATACENTER,
    MUNICIPAL,
    OWNER,
    PV_SITING,
    WATER,
    City,
    at_once,
    shared_goals,
    with_share,
)
from optimize.city.plan import CityPlan
from optimize.city.schema import ENERGY
from optimize.city.water_demand import present_water_m3, rows_by_id, with_demand_moved
from optimize.clauses import REVISE
from optimize.datacenter.recount import Project, Recount
from optimize.milp import FloatArray
from optimize.schema import InstanceData
from optimize.units import DAYS_PER_MONTH, DAYS_PER_YEAR, HOURS_PER_YEAR

_TOLERANCE = 1e-6
_PUBLIC_OWNERS = ("municipal", "district")
MONEY_GOALS = {"npv": -1.0, "cost": 1.0}


@dataclass(frozen=True)
class CityCheck:
    """The city's report, each programme's own, and its instance as the plan leaves it."""

    report: CheckReport
    parts: Mapping[str, CheckReport]
    instances: Mapping[str, Any]


@dataclass
class _Findings:
    violations: list[Violation] = field(default_factory=list)
    num_rows: int = 0

    def at_most(self, equation: str, where: str, found: float, limit: float, unit: str) -> None:
        self.num_rows += 1
        if not found <= limit + _TOLERANCE * max(1.0, abs(limit)):
            self.violations.append(
                Violation(equation, where, f"at most {limit:.10g} {unit}", f"{found:.10g}")
            )


def check_city(city: City, plan: CityPlan) -> CityCheck:
    """Recount the plan."""
    findings = _Findings()
    _check_split(city, plan, findings)
    projects = _recounted_centres(city, plan)
    data = {
        part.programme.name: with_share(part.data, city, plan.share_cny[k])
        for k, part in enumerate(city.parts)
    }
    if WATER in data:
        data[WATER] = with_demand_moved(data[WATER], _moved_demands(city, projects))
    instances = {part.programme.name: part.programme.load(data[part.programme.name]) for part in city.parts}
    reports = {
        part.programme.name: part.programme.check(
            instances[part.programme.name], plan.solutions[part.programme.name]
        )
        for part in city.parts
    }
    for name, report in reports.items():
        findings.num_rows += report.num_rows_checked
        findings.violations += [
            Violation(v.equation, f"{name}: {v.where}", v.required, v.found) for v in report.violations
        ]
    _check_heat(city, plan, projects, findings)
    clauses = [
        _changes_counted(reports, target, findings)
        if target.id == REVISE
        else _target_reached(city, plan, projects, target, findings)
        for target in city.targets.values()
    ]
    report = CheckReport(
        violations=tuple(findings.violations),
        clauses=tuple(clauses),
        figures=_figures(city, reports, clauses),
        money=_money(city, plan, reports),
        num_rows_checked=findings.num_rows,
    )
    return CityCheck(report, reports, instances)


# --- C1: money ------------------------------------------------------------------------------------


def _check_split(city: City, plan: CityPlan, findings: _Findings) -> None:
    for f, source in enumerate(city.sources):
        for t, year in enumerate(city.years):
            where = f"shares of {source} {year}"
            findings.at_most(
                "C1", where, float(plan.share_cny[:, f, t].sum()), float(city.pool_cny[f, t]), "CNY"
            )
            findings.at_most("C1", f"{where} not negative", float(-plan.share_cny[:, f, t].min()), 0.0, "CNY")


def _money(city: City, plan: CityPlan, reports: Mapping[str, CheckReport]) -> pd.DataFrame:
    """Spent by source and year over all programmes, from their own recounts; NaN: unlimited.

    A network built in one stage spends the money of all its years at once: each source's sum is told
    by year as its share is.
    """
    spent = np.zeros((len(city.sources), len(city.years)))
    owners = np.zeros(len(city.years))
    for k, part in enumerate(city.parts):
        table = spent_by_year(city, reports[part.programme.name].money)
        owners += table[-1]
        if at_once(part.data):
            share = plan.share_cny[k]
            total = share.sum(axis=1, keepdims=True)
            even = np.full_like(share, 1.0 / share.shape[1])
            part_of_year = np.where(total > 0, share / np.where(total > 0, total, 1.0), even)
            spent += table[:-1].sum(axis=1, keepdims=True) * part_of_year
        else:
            spent += table[:-1]
    rows = [
        (source, year, spent[f, t], city.pool_cny[f, t])
        for f, source in enumerate(city.sources)
        for t, year in enumerate(city.years)
    ]
    rows += [(OWNER, year, owners[t], np.nan) for t, year in enumerate(city.years)]
    money = pd.DataFrame(rows, columns=["source", "year", "spent_cny", "budget_cny"])
    idle = (money["spent_cny"] == 0) & ~(money["budget_cny"] > 0) & (money["source"] != MUNICIPAL)
    return money[~idle].reset_index(drop=True)


def spent_by_year(city: City, money: pd.DataFrame) -> FloatArray:
    """Shape (sources + 1, years), CNY; owners last."""
    place = {source: f for f, source in enumerate((*city.sources, OWNER))}
    table = np.zeros((len(place), len(city.years)))
    for source, year, amount in zip(money["source"], money["year"], money["spent_cny"], strict=True):
        table[place[source], city.years.index(int(year))] += amount
    return table


# --- C2: targets ----------------------------------------------------------------------------------


def _target_reached(
    city: City, plan: CityPlan, projects: Mapping[str, Project], target: Any, findings: _Findings
) -> ClauseOutcome:
    is_energy = target.id == ENERGY
    public = _public_centres(city)
    saved = sum(
        (project.energy_mwh if is_energy else project.co2_t)
        for centre, project in projects.items()
        if centre in public
    )
    if PV_SITING in city.names:
        saved += _pv_saved(city, plan, projects, is_energy=is_energy)
    baseline = city.baseline_energy_tce if is_energy else city.baseline_co2_t
    reached = baseline - (city.tce_per_mwh if is_energy else 1.0) * saved
    if target.hard:
        findings.at_most("C2", target.id, reached, target.required, target.clause.unit)
    return ClauseOutcome(target, reached)


def _changes_counted(reports: Mapping[str, CheckReport], target: Any, findings: _Findings) -> ClauseOutcome:
    """(C5) of all programmes that are revised."""
    reached = sum(report.figures.get("changes", 0.0) for report in reports.values())
    if target.hard:
        findings.at_most("C5", target.id, reached, target.required, target.clause.unit)
    return ClauseOutcome(target, reached)


def _public_centres(city: City) -> set[str]:
    if DATACENTER not in city.names:
        return set()
    centres = city.part(DATACENTER).data.tables["centres"]
    return set(centres.loc[centres["owner_kind"].isin(_PUBLIC_OWNERS), "centre"])


def _pv_saved(city: City, plan: CityPlan, projects: Mapping[str, Project], *, is_energy: bool) -> float:
    """MWh yielded, at linked centres no more than these still draw; or tCO2 avoided."""
    made = plan.solutions[PV_SITING].projects
    if not is_energy:
        return float(made["co2_t_per_a"].sum())
    yields = dict(zip(made["site"], pv_yield_mwh(city.part(PV_SITING).data, made), strict=True))
    total = sum(yields.values())
    drawn = _still_drawn_mwh(city, projects)
    for centre, rows in city.pv_at_centres.groupby("centre", sort=False):
        here = sum(yields.get(site, 0.0) for site in rows["site"])
        total -= max(here - drawn[str(centre)], 0.0)
    return float(total)


def pv_yield_mwh(data: InstanceData, projects: pd.DataFrame) -> FloatArray:
    """Yield of each project in the year after the last investment year, MWh."""
    kinds = rows_by_id(data, "kinds", "kind")
    kind_of = {name: row["kind"] for name, row in rows_by_id(data, "configurations", "configuration").items()}
    kind_of |= {name: row["kind"] for name, row in rows_by_id(data, "offers", "offer").items()}
    horizon = float(data.parameters["economics.horizon_years"])
    first = float(data.parameters["pv_siting.first_year_degradation"])
    later = float(data.parameters["pv_siting.degradation_per_a"])
    yields = []
    for row in projects.to_dict(orient="records"):
        kind = kind_of[row["configuration"] or row["offer"]]
        life = float(kinds[kind]["life_years"]) if kind else horizon
        age = int(data.parameters["base_year"]) + int(data.parameters["num_years"]) - int(row["year"])
        of_life = int((age - 1) % life) + 1
        standing = (1 - first) * (1 - later) ** (of_life - 1)
        yields.append(row["generation_kwh_per_a"] * standing / 1000.0)
    return np.array(yields, np.float64)


def _still_drawn_mwh(city: City, projects: Mapping[str, Project]) -> dict[str, float]:
    """What each linked centre draws in the year after the last investment year."""
    drawn = {}
    recount = Recount(city.part(DATACENTER).programme.load(city.part(DATACENTER).data))
    for name in dict.fromkeys(city.pv_at_centres["centre"]):
        row = recount.centres[name]
        before = recount.pue_before(row) * recount.load_kw(row, recount.years) * HOURS_PER_YEAR / 1000.0
        project = projects.get(name)
        closed = project is not None and _is_closed(project)
        drawn[name] = 0.0 if closed else before - (project.energy_mwh if project is not None else 0.0)
    return drawn


# --- C3: cross-links --------------------------------------------------------------------------------


def _recounted_centres(city: City, plan: CityPlan) -> dict[str, Project]:
    if DATACENTER not in city.names:
        return {}
    recount = Recount(city.part(DATACENTER).programme.load(city.part(DATACENTER).data))
    rows = plan.solutions[DATACENTER].projects.to_dict(orient="records")
    return {str(row["centre"]): recount.project(row) for row in rows}


def _is_closed(project: Project) -> bool:
    return any(stage.closed for stage in project.stages)


def moved_demands(city: City, plan: CityPlan) -> dict[str, float]:
    """Change of each linked demand under the plan, m3/a."""
    return _moved_demands(city, _recounted_centres(city, plan))


def _moved_demands(city: City, projects: Mapping[str, Project]) -> dict[str, float]:
    if not len(city.cooling_water):
        return {}
    present = present_water_m3(city.part(DATACENTER).data)
    change: dict[str, float] = {}
    for centre, demand in zip(city.cooling_water["centre"], city.cooling_water["demand"], strict=True):
        project = projects.get(centre)
        moved = 0.0
        if project is not None:
            moved = -present[centre] if _is_closed(project) else project.water_m3
        change[demand] = change.get(demand, 0.0) + moved
    return change


def _check_heat(city: City, plan: CityPlan, projects: Mapping[str, Project], findings: _Findings) -> None:
    if not len(city.shared_heat):
        return
    sink_of = dict(zip(*(plan.solutions[DATACENTER].projects[c] for c in ("centre", "sink")), strict=True))
    months = city.part(DATACENTER).data.tables["sink_months"]
    takes = {
        (sink, month): kwh
        for sink, month, kwh in zip(months["sink"], months["month"], months["capacity_kwh"], strict=True)
    }
    served = _served_kwh(city, plan)
    for sink, rows in city.shared_heat.groupby("sink", sort=False):
        for month, days in enumerate(DAYS_PER_MONTH, start=1):
            heat = sum(served.get(site, 0.0) for site in rows["site"]) * days / DAYS_PER_YEAR
            heat += sum(
                project.heat_kwh[month - 1]
                for centre, project in projects.items()
                if sink_of[centre] == sink and project.heat_kwh
            )
            findings.at_most(
                "C3", f"heat of {sink} month {month}", heat, takes.get((sink, month), 0.0), "kWh"
            )


def _served_kwh(city: City, plan: CityPlan) -> dict[str, float]:
    """Hot water each site's own system serves in a year."""
    data = city.part(PV_SITING).data
    share = {name: row["share_served"] for name, row in rows_by_id(data, "hot_water", "hot_water").items()}
    system = {
        name: row["hot_water"]
        for table, key in (("configurations", "configuration"), ("offers", "offer"))
        for name, row in rows_by_id(data, table, key).items()
    }
    needs = rows_by_id(data, "sites", "site")
    made = plan.solutions[PV_SITING].projects
    return {
        site: share.get(system[configuration or offer], 0.0) * needs[site]["hot_water_kwh_per_a"]
        for site, configuration, offer in zip(made["site"], made["configuration"], made["offer"], strict=True)
    }


# --- figures ----------------------------------------------------------------------------------------


def _figures(
    city: City, reports: Mapping[str, CheckReport], clauses: list[ClauseOutcome]
) -> dict[str, float]:
    """Goals that all programmes share, summed; and each programme's own."""
    figures: dict[str, float] = {}
    penalty = sum(
        max(-outcome.slack, 0.0) * outcome.target.penalty_cny_per_unit
        for outcome in clauses
        if not outcome.target.hard
    )
    for goal in city_goals(city):
        total = sum(report.figures[goal] for report in reports.values())
        figures[goal] = float(total + MONEY_GOALS.get(goal, 0.0) * penalty)
    for name, report in reports.items():
        figures |= {f"{name}.{goal}": report.figures[goal] for goal in city_goals(city)}
    return figures


def city_goals(city: City) -> list[str]:
    """Goals that every programme taken together knows."""
    return shared_goals([part.programme for part in city.parts])

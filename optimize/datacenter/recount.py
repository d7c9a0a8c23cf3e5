"""One project of a plan re-derived from the raw tables, year by year (part of the checker).

Nothing is shared with `options` and its kin: sums over years are written out, products are taken
measure by measure, payments source by source, so that an error there cannot hide here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from optimize.datacenter.instance import Instance, rows_of
from optimize.revision import FROZEN_STATES

Row = dict[str, Any]
OWN_LEVEL = {"municipal": "municipal", "district": "district", "enterprise": "owner"}
DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass
class Stage:
    """What is in force from the year after ``year`` on."""

    year: int
    measures: tuple[str, ...] = ()
    pue: float = math.nan
    saving: float = 0.0
    water: float = 0.0
    closed: bool = False
    advanced: bool = False
    battery: bool = False
    in_limit_scope: bool = False


@dataclass
class Project:
    """A project's figures; years are positions from the base year."""

    centre: str
    stages: list[Stage] = field(default_factory=list)
    npv_cny: float = 0.0
    cost_cny: float = 0.0
    energy_mwh: float = 0.0
    co2_t: float = 0.0
    water_m3: float = 0.0
    heat_year: int | None = None
    heat_kwh: list[float] = field(default_factory=list)
    capex_cny: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    payments: dict[tuple[str, int], float] = field(default_factory=lambda: defaultdict(float))
    weeks: dict[tuple[str, int], float] = field(default_factory=lambda: defaultdict(float))
    bound_cny: float = 0.0  # of the cost, what goes with CAPEX
    works: set[int] = field(default_factory=set)
    moved_kw: dict[tuple[str, int], float] = field(default_factory=dict)
    faults: list[tuple[str, str, str]] = field(default_factory=list)
    unsafe: int = 0

    def state(self, last: int) -> Stage | None:
        """Stage in force through projects of years <= last."""
        done = [stage for stage in self.stages if stage.year <= last]
        return done[-1] if done else None


class Recount:
    """Recounts projects against the raw tables."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        p = instance.parameters
        self.rate = float(p["economics.discount_rate"])
        self.horizon = int(p["economics.horizon_years"])
        self.years = int(p["num_years"])
        self.base = int(p["base_year"])
        self.grid = float(p["emissions.grid_kg_co2_per_kwh"]) / 1000.0
        self.carbon = float(p["prices.carbon_cny_per_t"])
        self.setting = {k.split(".", 1)[1]: v for k, v in p.items() if k.startswith("datacenter.")}
        self.centres = _rows(instance.centres, "centre")
        self.measures = _rows(instance.measures, "measure")
        self.hosts = _rows(instance.hosts, "host")
        self.sinks = _rows(instance.heat_sinks, "sink")
        self.offers = _rows(instance.offers, "offer")
        self.offered = set(instance.offers["centre"])
        self.month_heat = {(r.sink, r.month): r.capacity_kwh for r in rows_of(instance.sink_months)}
        self.trade_limited = set(instance.trades["trade"])
        self.weeks_of: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
        for r in rows_of(instance.measure_trades):
            self.weeks_of[r.measure].append((r.trade, r.fixed_weeks, r.weeks_per_100_kw))
        self.funding = list(_records(instance.funding))
        self.discount = (1.0 + self.rate) ** -np.arange(self.horizon + 1.0)
        payments = instance.offer_payments
        self.offer_payments = dict(list(payments.groupby("offer")))
        plan = instance.plan_in_force
        self.contracts = _rows(plan[plan["state"].isin(FROZEN_STATES)], "centre")

    # --- vocabulary -----------------------------------------------------------------------------

    def pue_before(self, c: Row) -> float:
        return float(1 + c["cooling_kwh_per_kwh_it"] + c["power_kwh_per_kwh_it"] + c["other_kwh_per_kwh_it"])

    def in_limit_scope(self, c: Row) -> bool:
        return bool(c["rack_count"] > self.setting["limit_min_racks"] and c["cooling_type"] != "liquid")

    def load_kw(self, c: Row, year: int) -> float:
        """IT load ``year`` years after the base year; frozen after the last investment year."""
        return float(c["it_load_kw"] * (1 + c["load_growth_per_year"]) ** min(year, self.years - 1))

    def price(self, c: Row) -> float:
        own = c["electricity_price_cny_per_kwh"]
        return float(self.setting["electricity_price_cny_per_kwh"] if math.isnan(own) else own)

    def annuity(self, capex: float, life: float) -> float:
        """Level yearly payment for ``capex`` over ``life`` years."""
        if self.rate == 0:
            return capex / life
        return float(capex * self.rate / (1 - (1 + self.rate) ** -life))

    def served(self, year: int) -> range:
        """Years in which a project built in ``year`` works."""
        return range(year + 1, self.horizon + 1)

    def present(self, yearly: float, year: int) -> float:
        """Present value of ``yearly`` in every year served."""
        return yearly * float(self.discount[year + 1 :].sum())

    def present_kwh(self, c: Row, year: int) -> float:
        return sum(8760.0 * self.load_kw(c, y) * float(self.discount[y]) for y in self.served(year))

    # --- projects --------------------------------------------------------------------------------

    def project(self, row: Row) -> Project:
        """Figures and faults of one row of the plan."""
        project = Project(str(row["centre"]))
        if project.centre not in self.centres:
            project.faults.append(("R2", "a known centre", project.centre))
            return project
        c = self.centres[project.centre]
        action = row["action"]
        contract = self.contracts.get(project.centre)
        if contract is None and (project.centre in self.offered) != (action == "offer"):
            project.faults.append(("R2", "an offer where and only where the centre has some", str(action)))
            return project
        recounts = {
            "retrofit": self._retrofit, "staged": self._retrofit, "close": self._close, "offer": self._offer,
        }  # fmt: skip
        if action not in recounts:
            project.faults.append(("R2", "retrofit, staged, close or offer", str(action)))
            return project
        recounts[action](project, c, row)
        for stage in project.stages:
            if not 0 <= stage.year < self.years:
                project.faults.append(("R2", "a year of the programme", str(stage.year + self.base)))
        if contract is not None:  # a fact, whether it could be decided anew or not
            project.faults, project.unsafe = [], 0
        return project

    def _retrofit(self, project: Project, c: Row, row: Row) -> None:
        plan = [(int(row["year"]) - self.base, row["measures"])]
        if row["action"] == "staged":
            plan.append((int(row["later_year"]) - self.base, row["later_measures"]))
            self._check_staging(project, c, plan)
        elif row["later_measures"] or row["later_year"]:
            project.faults.append(("R2", "one stage", "a later stage"))
        done: tuple[str, ...] = ()
        for year, text in plan:
            chosen = tuple(part for part in str(text).split("+") if part)
            unknown = [m for m in chosen if m not in self.measures]
            if unknown or not chosen:
                project.faults.append(("R1", "known measures", str(text)))
                return
            self._check_package(project, c, chosen, [m for m in chosen if m not in done], year)
            project.stages.append(self._stage(c, chosen, year))
            done = chosen
        self._value_stages(project, c)
        self._heat_link(project, c, row)
        self._take_actual_capex(project)
        self._pay(project, c, "retrofit", row)
        if row["host"] or row["offer"]:
            project.faults.append(("R2", "neither host nor offer", f"{row['host']}{row['offer']}"))

    def _check_staging(self, project: Project, c: Row, plan: list[tuple[int, str]]) -> None:
        first, second = (set(str(text).split("+")) for _, text in plan)
        if not (first < second and plan[0][0] < plan[1][0]):
            project.faults.append(("R2", "a larger package in a later year", str(plan)))
        if c["it_load_kw"] < self.setting["staging_min_it_load_kw"]:
            project.faults.append(("R2", "stages in large centres only", str(c["it_load_kw"])))

    def _check_package(
        self, project: Project, c: Row, chosen: tuple[str, ...], added: list[str], year: int
    ) -> None:
        """Conditions, prerequisites and exclusions of a package; [DC-SAFE]."""
        groups: dict[str, int] = defaultdict(int)
        density = c["it_load_kw"] / c["rack_count"] if c["rack_count"] else math.inf
        for name in chosen:
            m = self.measures[name]
            for group in _parts(m["exclusion_groups"]):
                groups[group] += 1
            needed = _parts(m["requires"])
            if needed and not set(needed) & set(chosen):
                project.faults.append(("R1", f"{name} with one of {', '.join(needed)}", "+".join(chosen)))
            types = _parts(m["cooling_types"])
            top = m["max_it_load_kw"]
            size_fits = m["min_it_load_kw"] <= c["it_load_kw"] and not c["it_load_kw"] > top
            if not size_fits or density < m["min_kw_per_rack"] or (types and c["cooling_type"] not in types):
                project.faults.append(("R1", f"{name} where its conditions hold", project.centre))
            safe = m["min_tier"] <= c["tier"] <= m["max_tier"]
            if name in added:
                safe = safe and c["residual_life_years"] - year >= m["min_residual_life_years"]
            if not safe:
                project.unsafe += 1
                project.faults.append(("R1", f"{name} where tier and residual life allow", project.centre))
        project.faults.extend(
            ("R1", f"one measure of group {group}", "+".join(chosen)) for group, n in groups.items() if n > 1
        )

    def _stage(self, c: Row, chosen: tuple[str, ...], year: int) -> Stage:
        left = {"cooling": 1.0, "power": 1.0, "other": 1.0, "it": 1.0, "none": 1.0}
        water = c["wue_l_per_kwh"]
        for name in chosen:
            m = self.measures[name]
            left[m["acts_on"]] *= 1 - m["saving_share"]
            water += m["water_change_l_per_kwh"]
        cooling = c["cooling_kwh_per_kwh_it"] * left["cooling"] * left["it"]
        power = c["power_kwh_per_kwh_it"] * left["power"] * left["it"]
        energy = left["it"] + cooling + power + c["other_kwh_per_kwh_it"] * left["other"]
        flags = {
            key: any(self.measures[m][key] for m in chosen)
            for key in ("advanced", "second_life_battery", "leaves_limit_scope")
        }
        return Stage(
            year=year,
            measures=chosen,
            pue=energy / left["it"],
            saving=self.pue_before(c) - energy,
            water=left["it"] * max(water, 0.0) - c["wue_l_per_kwh"],
            advanced=flags["advanced"],
            battery=flags["second_life_battery"],
            in_limit_scope=self.in_limit_scope(c) and not flags["leaves_limit_scope"],
        )

    def _value_stages(self, project: Project, c: Row) -> None:
        """Energy and water by year with the stage then in force; measures from their own year on."""
        done: tuple[str, ...] = ()
        for stage in project.stages:
            for name in stage.measures:
                if name in done:
                    continue
                m = self.measures[name]
                capex = c["cost_factor"] * (m["fixed_capex_cny"] + m["capex_cny_per_kw"] * c["it_load_kw"])
                yearly = self.annuity(capex, m["life_years"]) + m["om_share"] * capex
                project.cost_cny += self.present(yearly, stage.year)
                project.bound_cny += self.present(yearly, stage.year)
                project.capex_cny[stage.year] += capex
                self._take_weeks(project, c, name, stage.year)
                if m["downtime_weeks"] > 0:
                    project.works.add(stage.year)
            done = stage.measures
        benefit = 0.0
        for y in range(1, self.horizon + 1):
            stage_now = project.state(y - 1)
            if stage_now is not None:
                kwh = 8760.0 * self.load_kw(c, y)
                benefit += self._benefit(c, stage_now, kwh) * float(self.discount[y])
        project.npv_cny += benefit - project.cost_cny
        self._last_year_effect(project, c, project.stages[-1])

    def _benefit(self, c: Row, stage: Stage, it_kwh: float) -> float:
        """CNY a year of a stage: electricity, carbon and water."""
        electricity = stage.saving * it_kwh * (self.price(c) + self.carbon * self.grid)
        water_m3 = stage.water * it_kwh / 1000.0
        return float(electricity - water_m3 * self.setting["water_price_cny_per_m3"])

    def _last_year_effect(self, project: Project, c: Row, stage: Stage) -> None:
        it_kwh = 8760.0 * self.load_kw(c, self.years)
        project.energy_mwh += stage.saving * it_kwh / 1000.0
        project.co2_t += stage.saving * it_kwh * self.grid
        project.water_m3 += stage.water * it_kwh / 1000.0

    def _take_weeks(self, project: Project, c: Row, name: str, year: int) -> None:
        for trade, fixed, per_100_kw in self.weeks_of.get(name, []):
            if trade in self.trade_limited:
                project.weeks[trade, year] += fixed + per_100_kw * c["it_load_kw"] / 100.0

    def _heat_link(self, project: Project, c: Row, row: Row) -> None:
        recovering = [s for s in project.stages if any(self.measures[m]["recovers_heat"] for m in s.measures)]
        if bool(recovering) != bool(row["sink"]):
            project.faults.append(
                ("R2", "a heat sink where and only where heat is recovered", str(row["sink"]))
            )
            return
        if not recovering:
            return
        if row["sink"] not in self.sinks:
            project.faults.append(("R2", "a known heat sink", str(row["sink"])))
            return
        k, year = self.sinks[row["sink"]], recovering[0].year
        km = _distance_km(c["lon"], c["lat"], k["lon"], k["lat"])
        if not km <= k["max_distance_km"] * (1 + 1e-9):
            project.faults.append(("R2", f"at most {k['max_distance_km']} km to the sink", f"{km:.3f} km"))
        cop = float(self.setting["heat_pump_cop"])
        taken = self.setting["recoverable_heat_share"] * c["it_load_kw"]
        project.heat_year = year
        project.heat_kwh = [
            min(taken * 24.0 * days / (1 - 1 / cop), self.month_heat.get((row["sink"], month), 0.0))
            for month, days in enumerate(DAYS, start=1)
        ]
        heat = sum(project.heat_kwh)
        capex = k["link_fixed_cny"] + k["link_capex_cny_per_km"] * km
        co2 = heat * self.setting["heat_displaced_kg_co2_per_kwh"] / 1000.0 - heat / cop * self.grid
        income = heat * k["price_cny_per_kwh"] - heat / cop * self.price(c) + co2 * self.carbon
        cost = self.present(self.annuity(capex, k["link_life_years"]), year)
        project.capex_cny[year] += capex
        project.bound_cny += cost
        project.cost_cny += cost
        project.npv_cny += self.present(income, year) - cost
        project.energy_mwh -= heat / cop / 1000.0
        project.co2_t += co2

    def _close(self, project: Project, c: Row, row: Row) -> None:
        year = int(row["year"]) - self.base
        if row["measures"] or row["later_year"] or row["sink"] or row["offer"]:
            project.faults.append(("R2", "closing only", str(dict(row))))
        if row["host"] not in self.hosts:
            project.faults.append(("R2", "a known host", str(row["host"])))
            return
        h = self.hosts[row["host"]]
        kinds = _parts(h["accepts"])
        if not c["closable"] or (kinds and c["owner_kind"] not in kinds):
            project.faults.append(("R2", "a closable centre its host accepts", project.centre))
        ratio = h["consolidation_ratio"]
        stage = Stage(
            year=year,
            closed=True,
            saving=self.pue_before(c) - ratio * h["pue"],
            water=ratio * h["wue_l_per_kwh"] - c["wue_l_per_kwh"],
        )
        project.stages.append(stage)
        if not 0 <= year < self.years:
            return
        capex = c["cost_factor"] * (h["migration_fixed_cny"] + h["migration_cny_per_kw"] * c["it_load_kw"])
        fees = sum(
            h["hosting_fee_cny_per_kw_year"] * ratio * self.load_kw(c, y) * float(self.discount[y])
            for y in self.served(year)
        )
        project.cost_cny = self.present(self.annuity(capex, h["migration_life_years"]), year) + fees
        project.npv_cny = (
            self._benefit(c, stage, self.present_kwh(c, year))
            + self.present(c["site_om_cny_per_year"], year)
            - project.cost_cny
        )
        project.capex_cny[year] += capex
        self._last_year_effect(project, c, stage)
        project.bound_cny = self.present(self.annuity(capex, h["migration_life_years"]), year)
        self._take_actual_capex(project)
        self._take_weeks(project, c, "close", year)
        project.works.add(year)
        for y in range(year, self.years):
            project.moved_kw[row["host"], y] = ratio * self.load_kw(c, y)
        self._pay(project, c, "closing", row)

    def _offer(self, project: Project, c: Row, row: Row) -> None:
        offer = self.offers.get(row["offer"])
        if offer is None or offer["centre"] != project.centre:
            project.faults.append(("R2", "an offer of the centre", str(row["offer"])))
            return
        year = offer["year"] - self.base if offer["year"] > 0 else 0
        if project.centre in self.contracts:
            year = int(self.contracts[project.centre]["year"]) - self.base
        if int(row["year"]) - self.base != year:
            project.faults.append(("R2", f"year {year + self.base} of the offer", str(row["year"])))
        pue = offer["pue_after"]
        pue = self.pue_before(c) if math.isnan(pue) else pue
        project.stages.append(Stage(year=year, pue=pue, in_limit_scope=self.in_limit_scope(c)))
        project.npv_cny, project.cost_cny = offer["npv_cny"], offer["cost_cny"]
        project.energy_mwh = offer["energy_saved_kwh_per_year"] / 1000.0
        project.co2_t = offer["energy_saved_kwh_per_year"] * self.grid
        if offer["year"] > 0:
            project.works.add(year)
        payments = list(rows_of(self.offer_payments.get(row["offer"], pd.DataFrame())))
        total = sum(payment.amount_cny for payment in payments)
        actual = self._actual_capex_cny(project)
        dearer = 1.0 if math.isnan(actual) else actual / total
        for payment in payments:
            due = payment.year - self.base
            project.payments[payment.source, due] += dearer * payment.amount_cny
            more = (dearer - 1.0) * payment.amount_cny * (1.0 + self.rate) ** -due
            project.cost_cny += more
            project.npv_cny -= more

    def _actual_capex_cny(self, project: Project) -> float:
        """What a contracted project costs in fact, NaN where that is not stated."""
        contract = self.contracts.get(project.centre)
        return math.nan if contract is None else float(contract["actual_capex_cny"])

    def _take_actual_capex(self, project: Project) -> None:
        """CAPEX of every year, annuities and O&M in proportion; what was to cost nothing lasts the horizon."""
        actual = self._actual_capex_cny(project)
        if math.isnan(actual):
            return
        total = sum(project.capex_cny.values())
        first = min(project.capex_cny, default=project.stages[0].year)
        if total > 0:
            more = (actual / total - 1.0) * project.bound_cny
            for year in project.capex_cny:
                project.capex_cny[year] *= actual / total
        else:
            more = self.present(self.annuity(actual, self.horizon), first)
            project.capex_cny[first] = actual
        project.cost_cny += more
        project.npv_cny -= more

    # --- who pays ------------------------------------------------------------------------------------

    def _pay(self, project: Project, c: Row, what: str, row: Row) -> None:
        """Payments by source and year; ceilings hold for the project as a whole."""
        kind = f"{what}_{c['owner_kind']}"
        rules = [r for r in self.funding if r["project_kind"] == kind]
        rules = rules or [r for r in self.funding if r["project_kind"] == "*"]
        if project.centre in self.contracts:
            rules = self._rules_of_contract(kind, row["mix"])
        if bool(rules) != bool(row["mix"]):
            project.faults.append(
                ("R3", "a funding mix where and only where there are some", str(row["mix"]))
            )
            return
        mine = [r for r in rules if r["mix"] == row["mix"]]
        if rules and not mine:
            project.faults.append(("R3", f"a mix of {kind}", str(row["mix"])))
            return
        payer = {"municipal": "municipal", "district": c["district"], "owner": "owner"}
        paid: dict[str, float] = defaultdict(float)
        total = 0.0
        for year in sorted(project.capex_cny):
            total += project.capex_cny[year]
            due = _split(total, mine, OWN_LEVEL[c["owner_kind"]])
            for source, amount in due.items():
                project.payments[payer[source], year] += amount - paid[source]
                paid[source] = amount

    def _rules_of_contract(self, kind: str, mix: str) -> list[Row]:
        """The mix it was contracted with, open today or not; none: the owner's own level."""
        if not mix:
            return []
        own = [r for r in self.funding if r["project_kind"] == kind and r["mix"] == mix]
        return own or [r for r in self.funding if r["project_kind"] == "*" and r["mix"] == mix]


def _split(total: float, rules: list[Row], own_level: str) -> dict[str, float]:
    """Source class -> amount of a project of ``total`` CNY."""
    if not rules:
        return {own_level: total}
    due: dict[str, float] = defaultdict(float)
    for rule in rules:
        amount = rule["share"] * total
        due[rule["source"]] += amount if math.isnan(rule["ceiling_cny"]) else min(amount, rule["ceiling_cny"])
    rest = [rule["source"] for rule in rules if rule["takes_rest"]]
    due[rest[-1] if rest else "owner"] += total - sum(due.values())
    return due


def _distance_km(lon: float, lat: float, other_lon: float, other_lat: float) -> float:
    """Great circle, by the haversine of the central angle; NaN without a position."""
    a, b = math.radians(lat), math.radians(other_lat)
    h = (1 - math.cos(b - a) + math.cos(a) * math.cos(b) * (1 - math.cos(math.radians(other_lon - lon)))) / 2
    return 2 * 6371.0 * math.asin(math.sqrt(max(h, 0.0))) if not math.isnan(h) else math.nan


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split("|") if part.strip()]


def _rows(frame: pd.DataFrame, key: str) -> dict[str, Row]:
    return {row[key]: row for row in _records(frame)}


def _records(frame: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]

"""The typed instance of the public-sector PV programme and what a schema cannot say about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optimize.clauses import ClauseTarget
from optimize.errors import Fault, InputFaults
from optimize.pv_siting.in_force import PlanInForce, derive_plan_in_force, find_in_force_faults
from optimize.pv_siting.schema import DAY_KINDS, EMC, HOT_WATER_PROJECT, HOURS, OFFER, OWN_LEVEL
from optimize.pv_siting.site_codes import SiteCodes, derive_site_codes
from optimize.pv_siting.weather import read_weather_file
from optimize.revision import ChangeWeights
from optimize.schema import InstanceData

_PAIRS = ("together", "not_together")


@dataclass(frozen=True)
class PvParameters:
    """The ``pv_siting.*`` parameters; meanings and units stand in `schema.PARAMETERS`."""

    latitude_deg: float
    longitude_deg: float
    utc_offset_h: float
    ghi_kwh_per_m2_a: float
    albedo: float
    temperature_coefficient_per_k: float
    system_loss_share: float
    first_year_degradation: float
    degradation_per_a: float
    feed_in_cny_per_kwh: float
    subsidy_years: int
    capex_change_per_a: float
    kw_step: float
    min_roof_life_years: float
    first_share: float
    reference_capacity_kw: float
    hot_water_price_cny_per_kwh: float
    hot_water_kg_co2_per_kwh: float
    emc_allowed: bool
    emc_hurdle_rate: float
    emc_contract_years: int
    emc_host_discount: float
    emc_min_kw: float


@dataclass(frozen=True)
class Instance:
    """Raw tables in base units with the parameters and targets of one instance."""

    base_year: int
    num_years: int
    horizon_years: int
    discount_rate: float
    grid_kg_co2_per_kwh: float
    grid_kgce_per_kwh: float
    carbon_cny_per_t: float
    budget_scale: float
    carry_over_share: float
    first_open_year: int
    change_weights: ChangeWeights
    pv: PvParameters
    targets: Mapping[str, ClauseTarget]
    districts: pd.DataFrame
    sites: pd.DataFrame
    feeders: pd.DataFrame
    substations: pd.DataFrame
    kinds: pd.DataFrame
    storages: pd.DataFrame
    hot_water: pd.DataFrame
    configurations: pd.DataFrame
    load_profiles: pd.DataFrame
    weather: pd.DataFrame
    tariffs: pd.DataFrame
    installers: pd.DataFrame
    district_minima: pd.DataFrame
    offers: pd.DataFrame
    offer_payments: pd.DataFrame
    budgets: pd.DataFrame
    funding: pd.DataFrame
    locks: pd.DataFrame
    plan_in_force: pd.DataFrame

    @property
    def years(self) -> range:
        """Calendar years of investment."""
        return range(self.base_year, self.base_year + self.num_years)

    @cached_property
    def site_codes(self) -> SiteCodes:
        """What sites, offers, locks and configurations refer to, looked up once."""
        names = (
            "sites", "districts", "feeders", "tariffs", "offers", "locks", "configurations", "kinds", "storages",
            "hot_water",
        )  # fmt: skip
        return derive_site_codes({name: getattr(self, name) for name in names})

    @cached_property
    def mix_names(self) -> tuple[str, ...]:
        """All mixes there can be."""
        return (OWN_LEVEL, EMC, OFFER, *dict.fromkeys(self.funding["mix"]))

    @cached_property
    def in_force(self) -> PlanInForce | None:
        """The plan that is being revised; None where there is none."""
        if self.plan_in_force.empty:
            return None
        return derive_plan_in_force(self.plan_in_force, vars(self), self.mix_names, self.base_year)

    def deadline(self, clause: str) -> int:
        """Last calendar year that counts for ``clause``."""
        year = self.targets[clause].deadline_year
        return self.years[-1] if year is None else year


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a short table, each as column -> value."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def load(data: InstanceData) -> Instance:
    """The typed instance; a named weather file takes the place of the weather table."""
    value = data.parameters
    own = {path.removeprefix("pv_siting."): v for path, v in value.items() if path.startswith("pv_siting.")}
    weather_file = str(own.pop("weather_file"))
    tables = dict(data.tables)
    if weather_file:
        tables["weather"] = read_weather_file(Path(weather_file), float(own["utc_offset_h"]))
    return Instance(
        base_year=int(value["base_year"]),
        num_years=int(value["num_years"]),
        horizon_years=int(value["economics.horizon_years"]),
        discount_rate=float(value["economics.discount_rate"]),
        grid_kg_co2_per_kwh=float(value["emissions.grid_kg_co2_per_kwh"]),
        grid_kgce_per_kwh=float(value["emissions.grid_kgce_per_kwh"]),
        carbon_cny_per_t=float(value["prices.carbon_cny_per_t"]),
        budget_scale=float(value["budgets.scale"]),
        carry_over_share=float(value["budgets.carry_over_share"]),
        first_open_year=int(value["revision.first_open_year"]),
        change_weights=ChangeWeights.of(value),
        pv=PvParameters(**{path.replace(".", "_"): v for path, v in own.items()}),
        targets=dict(data.targets),
        **{name: frame.reset_index(drop=True) for name, frame in tables.items()},
    )


def find_faults(data: InstanceData) -> list[Fault]:
    """What the columns of each table alone cannot say. All faults at once."""
    return [
        *_faults_of_years(data),
        *_faults_of_sources(data),
        *_faults_of_funding(data),
        *_faults_of_configurations(data),
        *_faults_of_profiles(data),
        *_faults_of_weather(data),
        *_faults_of_locks(data),
        *_faults_of_targets(data),
        *find_in_force_faults(data),
    ]


def _investment_years(data: InstanceData) -> range:
    first = int(data.parameters["base_year"])
    return range(first, first + int(data.parameters["num_years"]))


def _quoted(value: object) -> str:
    return f'"{value}"'


def _rows(mask: pd.Series) -> Iterator[int]:
    return (int(row) for row in np.flatnonzero(mask.to_numpy()))


def _faults_of_years(data: InstanceData) -> Iterator[Fault]:
    years = _investment_years(data)
    expected = f"a year in {years[0]}..{years[-1]}"
    for table, column, may_be_zero in (
        ("offers", "year", True),
        ("offer_payments", "year", False),
        ("district_minima", "by_year", True),
    ):
        values = data.tables[table][column]
        wrong = ~values.isin(years) & ~((values == 0) & may_be_zero)
        for row in _rows(wrong):
            text = expected + (" or 0" if may_be_zero else "")
            yield Fault(table, column, text, str(values.iloc[row]), row=row)
    if int(data.parameters["economics.horizon_years"]) < len(years):
        yield Fault(
            "instance.toml", "economics.horizon_years", f"at least the {len(years)} investment years",
            str(data.parameters["economics.horizon_years"]),
        )  # fmt: skip


def _faults_of_sources(data: InstanceData) -> Iterator[Fault]:
    known = {"municipal", "owner", *data.tables["districts"]["district"]}
    for table in ("budgets", "offer_payments"):
        sources = data.tables[table]["source"]
        for row in _rows(~sources.isin(known)):
            yield Fault(table, "source", "municipal, owner or a district", f'"{sources.iloc[row]}"', row=row)


def _faults_of_funding(data: InstanceData) -> Iterator[Fault]:
    funding = data.tables["funding"]
    known = {"*", HOT_WATER_PROJECT, *data.tables["kinds"]["kind"]}
    for row in _rows(~funding["project_kind"].isin(known)):
        found = funding["project_kind"].iloc[row]
        yield Fault("funding", "project_kind", "a kind, hot_water or *", f'"{found}"', row=row)
    for row in _rows(funding["mix"] == EMC):
        yield Fault(
            "funding", "mix", "a name other than emc", EMC,
            mend="contracts are switched on by pv_siting.emc.allowed", row=row,
        )  # fmt: skip
    for (kind, mix), rows in funding.groupby(["project_kind", "mix"], sort=False):
        first = int(rows.index[0])
        total = float(rows["share"].sum())
        if total > 1 + 1e-9:
            yield Fault(
                "funding",
                "share",
                "shares of a mix that sum to at most 1",
                f"{kind}/{mix}: {total:g}",
                row=first,
            )
        if int(rows["takes_rest"].sum()) > 1:
            yield Fault(
                "funding", "takes_rest", "at most one row of a mix", f"{kind}/{mix}: several", row=first
            )


def _faults_of_configurations(data: InstanceData) -> Iterator[Fault]:
    frame = data.tables["configurations"]
    empty = (frame["kind"] == "") & (frame["hot_water"] == "")
    for row in _rows(empty):
        yield Fault("configurations", "kind", "a kind or a hot-water system", "neither", row=row)
    for table in ("configurations", "offers"):
        rows = data.tables[table]
        for row in _rows((rows["kind"] == "") & (rows["storage"] != "")):
            yield Fault(table, "storage", "a kind beside the storage", "storage without PV", row=row)
    clash = set(frame["configuration"]) & set(data.tables["offers"]["offer"])
    for row in _rows(data.tables["offers"]["offer"].isin(clash)):
        found = data.tables["offers"]["offer"].iloc[row]
        yield Fault("offers", "offer", "an id that no configuration has", f'"{found}"', row=row)


def _has_pv(data: InstanceData) -> bool:
    tables = data.tables
    return bool((tables["configurations"]["kind"] != "").any() or (tables["offers"]["kind"] != "").any())


def _faults_of_profiles(data: InstanceData) -> Iterator[Fault]:
    profiles = data.tables["load_profiles"]
    negative_or_empty = (
        profiles.groupby("type")[list(HOURS)].sum().sum(axis=1) if len(profiles) else pd.Series(dtype=float)
    )
    for name in negative_or_empty.index[negative_or_empty <= 0]:
        yield Fault("load_profiles", "h0..h23", "some power", f'"{name}": none at all')
    if not _has_pv(data):
        return
    complete = 12 * len(DAY_KINDS)
    count = profiles.groupby("type").size()
    for name in data.tables["sites"]["type"].drop_duplicates():
        found = int(count.get(name, 0))
        if found != complete:
            yield Fault(
                "load_profiles",
                "type",
                f"{complete} rows (month x day kind) for each type of site",
                f'"{name}": {found}',
            )


def _faults_of_weather(data: InstanceData) -> Iterator[Fault]:
    path = str(data.parameters["pv_siting.weather_file"])
    if path:
        try:
            read_weather_file(Path(path), float(data.parameters["pv_siting.utc_offset_h"]))
        except InputFaults as error:
            yield from error.faults
        return
    weather = data.tables["weather"]
    if weather.empty:
        if _has_pv(data):
            yield Fault(
                "weather", "rows", "typical days or hourly rows, or pv_siting.weather_file", "nothing"
            )
        return
    if _has_pv(data) and float((weather["ghi_w_per_m2"] * weather["days"]).sum()) <= 0:
        yield Fault("weather", "ghi_w_per_m2", "some sun in the year", "none")
    calendar = pd.to_datetime(
        pd.DataFrame({"year": 2021, "month": weather["month"], "day": weather["day"]}), errors="coerce"
    )
    leap = (weather["month"] == 2) & (weather["day"] == 29)
    for row in _rows(calendar.isna() & ~leap):
        found = f"{weather['month'].iloc[row]}-{weather['day'].iloc[row]}"
        yield Fault("weather", "day", "a day of the month", found, row=row)
    groups = weather.groupby(["month", "day", "sky"], sort=False)
    summary = groups.agg(hours=("hour", "nunique"), first=("days", "min"), last=("days", "max"))
    for key, day in zip(summary.index, records(summary), strict=True):
        if day["hours"] != 24:
            yield Fault("weather", "hour", "24 hours for each day", f"{key}: {day['hours']}")
        if day["first"] != day["last"]:
            several = f"{key}: {day['first']:g} and {day['last']:g}"
            yield Fault("weather", "days", "one value for the hours of a day", several)


def _faults_of_locks(data: InstanceData) -> Iterator[Fault]:
    locks, ids = data.tables["locks"], data.tables["sites"]["site"]
    sites = set(ids[ids.isin(pd.concat([locks["id"], locks["other"]]))])
    years = _investment_years(data)
    configurations = set(data.tables["configurations"]["configuration"])
    offers = dict(zip(data.tables["offers"]["offer"], data.tables["offers"]["site"], strict=True))
    for row, lock in enumerate(records(locks)):
        if lock["id"] not in sites:
            yield Fault("locks", "id", "a site", _quoted(lock["id"]), row=row)
        if lock["kind"] in _PAIRS and (lock["other"] not in sites or lock["other"] == lock["id"]):
            yield Fault("locks", "other", "another site", _quoted(lock["other"]), row=row)
        if (
            lock["kind"] == "fix"
            and lock["value"] not in configurations
            and offers.get(lock["value"]) != lock["id"]
        ):
            yield Fault(
                "locks", "value", "a configuration, or an offer of the site", _quoted(lock["value"]), row=row
            )
        needs_year = lock["kind"] in ("earliest", "latest")
        if (needs_year or lock["year"] > 0) and lock["year"] not in years:
            yield Fault("locks", "year", f"a year in {years[0]}..{years[-1]}", str(lock["year"]), row=row)


def _faults_of_targets(data: InstanceData) -> Iterator[Fault]:
    for clause, target in data.targets.items():
        if target.clause.unit == "share" and not 0 <= target.required <= 1:
            yield Fault(
                "instance.toml", f"targets.{clause}.required", "a share in 0..1", f"{target.required:g}"
            )
        deadline = target.deadline_year
        if deadline is not None and deadline < _investment_years(data)[0]:
            yield Fault(
                "instance.toml",
                f"targets.{clause}.deadline_year",
                "a year of the plan or later",
                str(deadline),
            )

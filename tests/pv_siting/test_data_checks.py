"""Every fault and warning has a case that triggers it; the example and the small instance have none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from optimize.errors import InputFaults
from optimize.io.validation import data_from_draft
from optimize.pv_siting import catalogue
from optimize.pv_siting.generator import example
from optimize.pv_siting.instance import find_faults
from optimize.pv_siting.plausibility import find_warnings
from optimize.pv_siting.schema import SCHEMA
from optimize.schema import InstanceDraft

from .conftest import changed, simple_draft, with_cells

OFFER = {
    "offers": pd.DataFrame({"offer": ["a"], "site": ["school"], "kind": ["rooftop"], "kw": [50.0]}),
    "offer_payments": pd.DataFrame({"offer": ["a"], "source": ["East"], "year": [2024], "amount_cny": [1e5]}),
}


def offer(**cells: Any) -> InstanceDraft:
    return changed(simple_draft(), tables={**OFFER, "offers": OFFER["offers"].assign(**cells)})


def paid(**cells: Any) -> InstanceDraft:
    return changed(
        simple_draft(), tables={**OFFER, "offer_payments": OFFER["offer_payments"].assign(**cells)}
    )


def lock(**cells: Any) -> InstanceDraft:
    row = {"kind": "force_in", "id": "school", "other": "", "value": "", "year": 0, **cells}
    return changed(simple_draft(), tables={"locks": pd.DataFrame([row])})


def funding(*rows: tuple[str, str, str, float, bool]) -> InstanceDraft:
    frame = pd.DataFrame(rows, columns=["project_kind", "mix", "source", "share", "takes_rest"])
    return changed(simple_draft(), tables={"funding": frame})


def weather(change: Callable[[pd.DataFrame], pd.DataFrame]) -> InstanceDraft:
    return changed(simple_draft(), tables={"weather": change(catalogue.typical_weather())})


def asked(clause: str, **keys: Any) -> InstanceDraft:
    return changed(simple_draft(), targets={clause: keys})


FAULTS: dict[str, tuple[Callable[[], InstanceDraft], str, str]] = {
    "offer's year": (lambda: offer(year=2031), "offers", "year"),
    "payment's year": (lambda: paid(year=2031), "offer_payments", "year"),
    "payment's source": (lambda: paid(source="Mars"), "offer_payments", "source"),
    "minimum's year": (
        lambda: changed(
            simple_draft(),
            tables={
                "district_minima": pd.DataFrame(
                    {"district": ["East"], "capacity_kw": [1.0], "by_year": [1999]}
                )
            },
        ),
        "district_minima",
        "by_year",
    ),
    "horizon": (
        lambda: changed(simple_draft(), parameters={"economics.horizon_years": 1}),
        "instance.toml",
        "economics.horizon_years",
    ),
    "budget's source": (
        lambda: with_cells(
            simple_draft(),
            "budgets",
            source=["Mars"] + ["municipal"] * 5,
            year=[2024, 2020, 2021, 2022, 2024, 2025],
        ),
        "budgets",
        "source",
    ),
    "funding's kind": (lambda: funding(("castle", "m", "owner", 1.0, True)), "funding", "project_kind"),
    "reserved mix": (lambda: funding(("*", "emc", "owner", 1.0, True)), "funding", "mix"),
    "shares above one": (
        lambda: funding(("*", "m", "owner", 0.8, True), ("*", "m", "district", 0.5, False)),
        "funding",
        "share",
    ),
    "two take the rest": (
        lambda: funding(("*", "m", "owner", 0.3, True), ("*", "m", "district", 0.5, True)),
        "funding",
        "takes_rest",
    ),
    "empty configuration": (
        lambda: with_cells(simple_draft(), "configurations", kind="", hot_water="", storage=""),
        "configurations",
        "kind",
    ),
    "storage without PV": (
        lambda: with_cells(
            simple_draft(), "configurations", kind="", hot_water="air_source", storage="battery"
        ),
        "configurations",
        "storage",
    ),
    "offer named like a configuration": (
        lambda: changed(
            simple_draft(),
            tables={
                "offers": OFFER["offers"].assign(offer="roof50"),
                "offer_payments": OFFER["offer_payments"].assign(offer="roof50"),
            },
        ),
        "offers",
        "offer",
    ),
    "profile missing": (
        lambda: changed(
            simple_draft(), tables={"load_profiles": catalogue.load_profiles().query("type != 'school'")}
        ),
        "load_profiles",
        "type",
    ),
    "profile of nothing": (
        lambda: with_cells(simple_draft(), "load_profiles", **{f"h{h}": 0.0 for h in range(24)}),
        "load_profiles",
        "h0..h23",
    ),
    "no weather": (lambda: weather(lambda w: w.iloc[:0]), "weather", "rows"),
    "no sun": (lambda: weather(lambda w: w.assign(ghi_w_per_m2=0.0)), "weather", "ghi_w_per_m2"),
    "hour missing": (lambda: weather(lambda w: w[w["hour"] != 5]), "weather", "hour"),
    "no such day": (lambda: weather(lambda w: w.assign(day=31)), "weather", "day"),
    "days differ": (lambda: weather(lambda w: w.assign(days=w["hour"] + 1.0)), "weather", "days"),
    "no weather file": (
        lambda: changed(simple_draft(), parameters={"pv_siting.weather_file": "nowhere.epw"}),
        "instance.toml",
        "pv_siting.weather_file",
    ),
    "lock's site": (lambda: lock(id="castle"), "locks", "id"),
    "lock's pair": (lambda: lock(kind="together", other="school"), "locks", "other"),
    "lock's value": (lambda: lock(kind="fix", value="castle"), "locks", "value"),
    "lock's year": (lambda: lock(kind="earliest"), "locks", "year"),
    "share above one": (lambda: asked("PV-LEAD", required=50), "instance.toml", "targets.PV-LEAD.required"),
    "deadline before the plan": (
        lambda: asked("PV-50MW", required=5, deadline_year=2019),
        "instance.toml",
        "targets.PV-50MW.deadline_year",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str) -> None:
    make, table, column = FAULTS[name]
    found = {(fault.table, fault.column) for fault in find_faults(data_from_draft(SCHEMA, make()))}
    assert (table, column) in found


def sites(**columns: Any) -> InstanceDraft:
    return with_cells(simple_draft(), "sites", **columns)


WARNINGS: dict[str, tuple[Callable[[], InstanceDraft], str]] = {
    "feeder is full": (lambda: sites(existing_pv_kw=[2e4, 0.0, 0.0]), "20000 kW standing"),
    "nothing fits": (
        lambda: sites(usable_roof_m2=[0.0, 800.0, 1500.0], hot_water_kwh_per_a=0.0),
        "1 sites where nothing fits",
    ),
    "offer too large": (lambda: offer(kw=500.0), "1000 m2 of roof"),
    "forced in and out": (
        lambda: changed(
            simple_draft(),
            tables={"locks": pd.DataFrame({"kind": ["force_in", "force_out"], "id": "school"})},
        ),
        "forced in and out",
    ),
    "forced in where nothing fits": (
        lambda: changed(
            sites(usable_roof_m2=0.0, hot_water_kwh_per_a=0.0),
            tables={"locks": pd.DataFrame({"kind": ["force_in"], "id": ["school"]})},
        ),
        "school: nothing does",
    ),
    "district cannot reach its minimum": (
        lambda: changed(
            simple_draft(),
            tables={"district_minima": pd.DataFrame({"district": ["West"], "capacity_kw": [9e4]})},
        ),
        "fit there",
    ),
    "roofs cannot reach the target": (lambda: asked("PV-50MW", required=9e5), "roofs and grid"),
    "grid cannot reach the target": (
        lambda: changed(
            with_cells(simple_draft(), "feeders", hosting_capacity_kw=[20.0, 20.0]),
            targets={"PV-50MW": {"required": 300}},
        ),
        "roofs and grid",
    ),
    "installers cannot reach the target": (
        lambda: changed(
            asked("PV-50MW", required=200),
            tables={"installers": pd.DataFrame({"year": [2024, 2025], "capacity_kw": [50.0, 60.0]})},
        ),
        "installers can build",
    ),
    "money cannot reach the target": (
        lambda: changed(asked("PV-50MW", required=200), parameters={"budgets.scale": 0.001}),
        "can pay for",
    ),
    "too few pilots": (lambda: asked("PV-CARPORT", required=40), "at most the 2 sites"),
    "contracts asked but switched off": (lambda: asked("PV-EMC", required=1), "emc.allowed"),
    "deadline after the plan": (
        lambda: asked("PV-50MW", required=5, deadline_year=2044),
        "a year of the plan",
    ),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_warning(name: str) -> None:
    make, text = WARNINGS[name]
    found = [str(warning) for warning in find_warnings(data_from_draft(SCHEMA, make()))]
    assert any(text in line for line in found), found


@pytest.mark.parametrize("make", [simple_draft, example])
def test_sound_instance_has_neither(make: Callable[[], InstanceDraft]) -> None:
    data = data_from_draft(SCHEMA, make())
    assert find_faults(data) == []
    assert find_warnings(data) == []


def test_schema_faults_come_with_row_and_neighbour() -> None:
    wrong = sites(feeder=["F1", "F-1", "F2"], usable_roof_m2=[1e9, 800.0, np.nan])
    with pytest.raises(InputFaults) as caught:
        data_from_draft(SCHEMA, wrong)
    columns = {fault.column for fault in caught.value.faults}
    assert {"feeder", "usable_roof_m2"} <= columns

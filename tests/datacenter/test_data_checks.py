"""Every data check has a case that triggers it."""

from __future__ import annotations

import pandas as pd
import pytest

from optimize.datacenter.data_checks import find_faults, find_warnings
from optimize.datacenter.example import example
from optimize.datacenter.schema import SCHEMA
from optimize.io.validation import data_from_draft
from tests.datacenter.cases import changed, locks, vary

FAULTS = {
    ("measures", "requires"): {"measures": changed("measures", 1, requires="nothing_known")},
    ("measures", "cooling_types"): {"measures": changed("measures", 2, cooling_types="ice")},
    ("hosts", "accepts"): {"hosts": changed("hosts", 0, accepts="city")},
    ("measure_trades", "measure"): {"measure_trades": changed("measure_trades", 0, measure="paint")},
    ("budgets", "source"): {"budgets": changed("budgets", 0, source="Atlantis")},
    ("offer_payments", "year"): {"offer_payments": changed("offer_payments", 0, year=2031)},
    ("offers", "year"): {"offers": changed("offers", 0, year=2031)},
    ("funding", "project_kind"): {"funding": changed("funding", 0, project_kind="paint_district")},
    ("funding", "share"): {"funding": changed("funding", 1, share=0.6)},
    ("locks", "id"): {"locks": locks(("force_in", "Z9", "", "", 0))},
    ("locks", "other"): {"locks": locks(("together", "A1", "Z9", "", 0))},
    ("locks", "value"): {"locks": locks(("fix", "A1", "", "paint", 0))},
    ("locks", "year"): {"locks": locks(("latest", "A1", "", "", 0))},
}


@pytest.mark.parametrize("place", FAULTS)
def test_fault(place: tuple[str, str]) -> None:
    tables = {name: frame.infer_objects() for name, frame in FAULTS[place].items()}
    faults = find_faults(data_from_draft(SCHEMA, vary(tables=tables)))
    assert place in {(fault.table, fault.column) for fault in faults}


def test_the_example_is_clean() -> None:
    data = data_from_draft(SCHEMA, example())
    assert not find_faults(data) and not find_warnings(data)


def _no_money() -> dict[str, pd.DataFrame]:
    centres = example().tables["centres"]
    return {
        "budgets": example().tables["budgets"].assign(amount_cny=0.0),
        "centres": centres[centres["owner_kind"] != "enterprise"],
    }


WARNINGS = {
    "it_load_kw": vary(tables={"centres": changed("centres", 0, it_load_kw=82_000.0).infer_objects()}),
    "value": vary(tables={"locks": locks(("fix", "B1", "", "setpoint", 0))}),
    "DC-GREEN": vary(targets={"DC-GREEN": {"required": 7}}),
    "DC-PUE": vary(targets={"DC-PUE": {"required": 1.2}}),
    "DC-HEAT": vary(targets={"DC-HEAT": {"required": 1e6}}),
    "amount_cny": vary(
        tables=_no_money(),
        targets={"DC-PUE": {"required": 0.5}},
        without=("offers", "offer_payments", "locks"),
    ),
    "max_share_under_works": vary(
        tables={"zones": example().tables["zones"].assign(max_share_under_works=0.3)}
    ),
    "own_load_kw": vary(tables={"hosts": changed("hosts", 0, own_load_kw=900.0).infer_objects()}),
    "max_distance_km": vary(tables={"heat_sinks": changed("heat_sinks", 0, lat=30.0).infer_objects()}),
}


@pytest.mark.parametrize("column", WARNINGS)
def test_warning(column: str) -> None:
    warnings = find_warnings(data_from_draft(SCHEMA, WARNINGS[column]))
    assert column in {warning.column for warning in warnings}

"""A small instance whose rows can be made to bind one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from optimize.io.validation import data_from_draft
from optimize.pv_siting import catalogue
from optimize.pv_siting.energy import Curves
from optimize.pv_siting.instance import Instance, load
from optimize.pv_siting.schema import SCHEMA
from optimize.schema import InstanceDraft

Make = Callable[..., Instance]


def simple_draft() -> InstanceDraft:
    """Three sites in two districts, two years, no limit that binds, no target."""
    sites = pd.DataFrame(
        {
            "site": ["school", "office", "hospital"],
            "type": ["school", "office", "hospital"],
            "level": ["district", "district", "municipal"],
            "district": ["East", "West", "East"],
            "goes_first": [False, True, True],
            "usable_roof_m2": [1000.0, 800.0, 1500.0],
            "structure_reserve_kg_per_m2": [70.0, 70.0, 70.0],
            "roof_residual_life_years": [30.0, 30.0, 30.0],
            "parking_m2": [0.0, 500.0, 900.0],
            "annual_load_kwh": [400_000.0, 600_000.0, 2_000_000.0],
            "hot_water_kwh_per_a": [50_000.0, 0.0, 300_000.0],
            "feeder": ["F1", "F1", "F2"],
            "tariff": ["household", "single", "two_part"],
        }
    )
    configurations = pd.DataFrame(
        [
            ("roof50", "rooftop", 0.5, "", ""),
            ("roof100", "rooftop", 1.0, "", ""),
            ("roof100_battery", "rooftop", 1.0, "battery", ""),
            ("flex", "rooftop", 0.5, "flex", ""),
            ("air_heat", "", 1.0, "", "air_source"),
            ("carport", "carport", 1.0, "", ""),
            ("bipv", "bipv", 0.5, "", ""),
        ],
        columns=["configuration", "kind", "fill_share", "storage", "hot_water"],
    )
    budgets = pd.DataFrame(
        [(source, year, 1e7) for source in ("municipal", "East", "West") for year in (2024, 2025)],
        columns=["source", "year", "amount_cny"],
    )
    return InstanceDraft(
        programme="pv_siting",
        name_zh="测试",
        name_en="test",
        tables={
            "districts": pd.DataFrame({"district": ["East", "West"]}),
            "sites": sites,
            "feeders": pd.DataFrame(
                {"feeder": ["F1", "F2"], "substation": "S", "hosting_capacity_kw": [1e4, 1e4]}
            ),
            "substations": pd.DataFrame({"substation": ["S"], "hosting_capacity_kw": [1e5]}),
            "kinds": catalogue.kinds(),
            "storages": catalogue.storages(),
            "hot_water": catalogue.hot_water(),
            "configurations": configurations,
            "load_profiles": catalogue.load_profiles(),
            "weather": catalogue.typical_weather(),
            "tariffs": catalogue.tariffs(),
            "budgets": budgets,
        },
        parameters={"base_year": 2024, "num_years": 2},
    )


def changed(
    draft: InstanceDraft,
    tables: Mapping[str, pd.DataFrame] | None = None,
    parameters: Mapping[str, Any] | None = None,
    targets: Mapping[str, Mapping[str, Any]] | None = None,
) -> InstanceDraft:
    """The draft with some tables, parameters and targets replaced."""
    return replace(
        draft,
        tables={**draft.tables, **(tables or {})},
        parameters={**draft.parameters, **(parameters or {})},
        targets={**draft.targets, **(targets or {})},
    )


def with_cells(draft: InstanceDraft, table: str, **columns: Any) -> InstanceDraft:
    """The draft with whole columns of one table replaced."""
    return changed(draft, tables={table: draft.tables[table].assign(**columns)})


def instance_of(draft: InstanceDraft) -> Instance:
    return load(data_from_draft(SCHEMA, draft))


# Nothing earns anything: the best plan is to build nothing unless a row asks for it.
WORTHLESS = {
    "pv_siting.feed_in_cny_per_kwh": 0.0,
    "pv_siting.hot_water.price_cny_per_kwh": 0.0,
    "prices.carbon_cny_per_t": 0.0,
    "pv_siting.subsidy_years": 0,
}


def worthless(draft: InstanceDraft) -> InstanceDraft:
    free = with_cells(draft, "tariffs", price_cny_per_kwh=0.0)
    return changed(with_cells(free, "kinds", other_income_cny_per_kw_a=0.0), parameters=WORTHLESS)


@pytest.fixture
def draft() -> InstanceDraft:
    return simple_draft()


@pytest.fixture(scope="module")
def same_weather() -> Iterator[None]:
    """The instances differ in neither weather nor profiles: curves are derived once."""
    with pytest.MonkeyPatch.context() as patch:
        curves = Curves(instance_of(simple_draft()))
        for module in ("options", "restated"):
            patch.setattr(f"optimize.pv_siting.{module}.Curves", lambda instance: curves)
        yield

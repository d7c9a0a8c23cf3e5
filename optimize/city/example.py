"""A small city with every cross-link; what `optimize template city` writes, and what the tests bend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from optimize.city.schema import SCHEMA
from optimize.datacenter.example import example as centres_example
from optimize.datacenter.schema import SCHEMA as CENTRES_SCHEMA
from optimize.names import CITY
from optimize.pv_siting import catalogue
from optimize.pv_siting.schema import SCHEMA as PV_SCHEMA
from optimize.schema import InstanceDraft, Schema
from optimize.water.schema import SCHEMA as WATER_SCHEMA

YEARS = (2024, 2025)
SOURCES = ("municipal", "East", "West")
_COMMON = {"base_year": YEARS[0], "num_years": len(YEARS), "budgets.carry_over_share": 0.5}
_NAME = ("示例城市", "Example city")
_DISTRICTS = pd.DataFrame(
    {"district": ["East", "West"], "name_zh": ["东区", "西区"], "name_en": ["East", "West"]}
)


@dataclass(frozen=True)
class Draw:
    """What differs between one city and another; by default nothing does.

    Attributes
    ----------
    money : shape (3 programmes, 3 sources, 2 years), CNY.
    scale : shape (8,), factors near one on loads, roofs and demands.
    energy : [CITY-ENERGY] as the toml states it.
    """

    money: np.ndarray[Any, np.dtype[np.float64]]
    scale: np.ndarray[Any, np.dtype[np.float64]]
    energy: dict[str, Any]

    @staticmethod
    def plain() -> Draw:
        by_year = np.array([1.4, 1.6])
        by_programme = np.array(
            [
                [400_000.0, 120_000.0, 100_000.0],
                [900_000.0, 250_000.0, 250_000.0],
                [500_000.0, 350_000.0, 300_000.0],
            ]
        )
        return Draw(by_programme[:, :, None] * by_year, np.ones(8), {"required": 3_970.0})

    @staticmethod
    def seeded(seed: int) -> Draw:
        random = np.random.default_rng(seed)
        plain = Draw.plain()
        return Draw(
            np.round(plain.money * random.uniform(0.2, 1.6, plain.money.shape), -3),
            random.uniform(0.6, 1.5, 8).round(2),
            {
                "required": float(random.integers(3_500, 3_800)),
                "hard": False,
                "penalty_cny_per_unit": 4_000.0,
            },
        )


def example_city(draw: Draw | None = None) -> list[tuple[Schema, InstanceDraft]]:
    """Drafts of the three programmes and of the city itself."""
    draw = draw or Draw.plain()
    return [
        (CENTRES_SCHEMA, _centres(draw)),
        (WATER_SCHEMA, _water(draw)),
        (PV_SCHEMA, _pv(draw)),
        (SCHEMA, _city(draw)),
    ]


def _draft(
    programme: str, tables: dict[str, pd.DataFrame], parameters: dict[str, Any], targets: dict[str, Any]
) -> InstanceDraft:
    shared = {} if programme == CITY else {"districts": _DISTRICTS}
    return InstanceDraft(
        programme,
        *_NAME,
        shared | tables,
        _COMMON | parameters,
        targets,
        "Invented figures of a plausible size.",
    )


def _budgets(money: np.ndarray[Any, np.dtype[np.float64]]) -> pd.DataFrame:
    rows = [
        (source, year, float(money[f, t])) for f, source in enumerate(SOURCES) for t, year in enumerate(YEARS)
    ]
    return pd.DataFrame(rows, columns=["source", "year", "amount_cny"])


def _city(draw: Draw) -> InstanceDraft:
    """A centre cooled with water that could be reclaimed, next to a clinic with a roof and hot water."""
    return _draft(
        CITY,
        {
            "cooling_water": pd.DataFrame(
                {"centre": ["DC1"], "demand": ["cooling-DC1"], "note": ["cooling towers"]}
            ),
            "shared_heat": pd.DataFrame(
                {"site": ["clinic"], "sink": ["clinic-heat"], "note": ["showers and laundry"]}
            ),
            "pv_at_centres": pd.DataFrame(
                {"site": ["campus"], "centre": ["DC2"], "note": ["roof of the computing centre"]}
            ),
        },
        {"city.baseline_energy_tce": 4_000.0, "city.baseline_co2_t": 14_000.0},
        {
            "CITY-ENERGY": draw.energy,
            "CITY-CO2": {"required": 13_800.0, "hard": False, "penalty_cny_per_unit": 300.0},
        },
    )


def _centres(draw: Draw) -> InstanceDraft:
    load = draw.scale[:3]
    base = centres_example()
    centres = pd.DataFrame(
        {
            "centre": ["DC1", "DC2", "room"],
            "name_zh": ["区域数据中心", "高校计算中心", "街道机房"],
            "owner_kind": ["enterprise", "municipal", "district"],
            "district": ["East", "West", "West"],
            "lon": [121.60, 121.40, 121.41],
            "lat": [31.20, 31.20, 31.21],
            "it_load_kw": (np.array([700.0, 65.0, 20.0]) * load).round(1),
            "cooling_kwh_per_kwh_it": [0.55, 0.62, 0.85],
            "power_kwh_per_kwh_it": [0.18, 0.20, 0.28],
            "other_kwh_per_kwh_it": [0.04, 0.04, 0.05],
            "cooling_type": ["water_chiller", "air_chiller", "dx"],
            "rack_count": [260, 110, 12],
            "residual_life_years": [12.0, 10.0, 8.0],
            "tier": [3, 2, 1],
            "wue_l_per_kwh": [2.0, 0.1, 0.0],
            "closable": [False, False, True],
            "site_om_cny_per_year": [0.0, 0.0, 15_000.0],
        }
    )
    measures = base.tables["measures"]
    keep = ["containment", "new_plant", "heat_pump"]
    measures = measures[measures["measure"].isin(keep)].reset_index(drop=True)
    measures["cooling_types"] = ["", "water_chiller|air_chiller", ""]
    measures["water_change_l_per_kwh"] = [-0.1, 0.3, 0.0]
    months = pd.DataFrame(
        [("clinic-heat", month, 45_000.0) for month in range(1, 13)],
        columns=["sink", "month", "capacity_kwh"],
    )
    return _draft(
        "datacenter",
        {
            "budgets": _budgets(draw.money[0]),
            "funding": base.tables["funding"],
            "centres": centres,
            "measures": measures,
            "hosts": base.tables["hosts"].iloc[:1],
            "host_capacity": pd.DataFrame({"host": "cloud", "year": YEARS, "capacity_kw": [60.0, 62.0]}),
            "heat_sinks": pd.DataFrame(
                {
                    "sink": ["clinic-heat"], "lon": [121.602], "lat": [31.201], "price_cny_per_kwh": [0.35],
                    "max_distance_km": [2.0], "link_fixed_cny": [60_000.0], "link_capex_cny_per_km": [900_000.0],
                }
            ),
            "sink_months": months,
        },
        {"datacenter.water_price_cny_per_m3": 5.5, "datacenter.staging_min_it_load_kw": 1e6},
        {
            "DC-WATER": {"required": 20_000.0},
            "DC-HEAT": {"required": 400.0, "hard": False, "penalty_cny_per_unit": 4_000.0},
        },
    )  # fmt: skip


def _water(draw: Draw) -> InstanceDraft:
    demand = draw.scale[3:6]
    profile = [0.6, 0.6, 0.8, 1.0, 1.2, 1.3, 1.5, 1.5, 1.2, 0.9, 0.7, 0.7]
    return _draft(
        "water",
        {
            "budgets": _budgets(draw.money[1]),
            "plants": pd.DataFrame(
                {"plant": ["P"], "district": ["East"], "effluent_m3_per_d": [1500.0], "tn_mg_per_l": [12.0]}
            ),
            "junctions": pd.DataFrame({"junction": ["J"]}),
            "qualities": pd.DataFrame({"quality": ["cooling"], "tn_kept_out_share": [0.9]}),
            "profiles": pd.DataFrame({"profile": "summer", "month": range(1, 13), "factor": profile}),
            "users": pd.DataFrame(
                {
                    "user": ["works", "gardens", "DC1-towers"],
                    "district": ["East", "West", "East"],
                    "connection_capex_cny": [120_000.0, 60_000.0, 90_000.0],
                    "min_take_share": [0.3, 0.0, 0.0],
                }
            ),
            "user_demands": pd.DataFrame(
                {
                    "demand": ["works-c", "gardens-u", "cooling-DC1"],
                    "user": ["works", "gardens", "DC1-towers"],
                    "need": "cooling",
                    "base_m3_per_d": [*(np.array([400.0, 150.0]) * demand[:2]).round(), 70.0],
                    "profile": ["", "summer", "summer"],
                    "alternative_cny_per_m3": [3.8, 2.6, 5.5],
                }
            ),
            "treatment": pd.DataFrame(
                {"plant": ["P"], "quality": ["cooling"], "opex_cny_per_m3": [0.6], "kwh_per_m3": [0.25], "recovery": [0.93]}
            ),
            "modules": pd.DataFrame(
                {
                    "plant": "P", "quality": "cooling", "step": ["small", "large"],
                    "capacity_m3_per_d": [300.0, 800.0], "capex_cny": [500_000.0, 950_000.0], "life_years": 15.0,
                }
            ),
            "pipes": pd.DataFrame(
                {
                    "diameter": ["DN100", "DN200"], "capacity_m3_per_d": [400.0, 1500.0],
                    "capex_cny_per_m": [500.0, 900.0], "life_years": 40.0,
                }
            ),
            "corridors": pd.DataFrame(
                {
                    "corridor": ["P-J", "J-works", "J-gardens", "J-DC1"],
                    "from_node": ["P", "J", "J", "J"],
                    "to_node": ["J", "works", "gardens", "DC1-towers"],
                    "length_m": [900.0, 500.0, 600.0, (400.0 * demand[2]).round()],
                    "district": ["East", "East", "West", "East"],
                }
            ),
            "funding": pd.DataFrame(
                {
                    "project_kind": ["pipe", "pipe"], "mix": "shared", "source": ["municipal", "district"],
                    "share": [0.5, 0.5], "takes_rest": [False, True],
                }
            ),
        },
        {"water.periods": 4},
        {"W-CAP": {"required": 260_000.0 * float(demand.max()) + 60_000.0}},
    )  # fmt: skip


def _pv(draw: Draw) -> InstanceDraft:
    roof = draw.scale[6:]
    return _draft(
        "pv_siting",
        {
            "budgets": _budgets(draw.money[2]),
            "sites": pd.DataFrame(
                {
                    "site": ["clinic", "campus", "school"],
                    "name_zh": ["社区医院", "计算中心", "小学"],
                    "type": ["hospital", "university", "school"],
                    "level": ["district", "municipal", "district"],
                    "district": ["East", "West", "West"],
                    "usable_roof_m2": [*(np.array([900.0, 6_000.0]) * roof).round(), 1_500.0],
                    "structure_reserve_kg_per_m2": [70.0, 70.0, 70.0],
                    "roof_residual_life_years": [30.0, 30.0, 30.0],
                    "annual_load_kwh": [900_000.0, 2_500_000.0, 260_000.0],
                    "hot_water_kwh_per_a": [480_000.0, 0.0, 30_000.0],
                    "tariff": ["single", "two_part", "household"],
                }
            ),
            "kinds": catalogue.kinds().iloc[:1],
            "storages": catalogue.storages().iloc[:1],
            "hot_water": catalogue.hot_water(),
            "configurations": pd.DataFrame(
                [
                    ("roof50", "rooftop", 0.5, "", ""),
                    ("roof100", "rooftop", 1.0, "", ""),
                    ("roof50_heat", "rooftop", 0.5, "", "air_source"),
                    ("air_heat", "", 1.0, "", "air_source"),
                ],
                columns=["configuration", "kind", "fill_share", "storage", "hot_water"],
            ),
            "load_profiles": catalogue.load_profiles(),
            "weather": catalogue.typical_weather(),
            "tariffs": catalogue.tariffs(),
        },
        {},
        {
            "PV-50MW": {"required": 100.0, "hard": False, "penalty_cny_per_unit": 500.0},
            "PV-HEAT": {"required": 2, "hard": False, "penalty_cny_per_unit": 150_000.0},
        },
    )

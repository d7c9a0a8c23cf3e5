"""A small instance that uses every table: what `optimize template water` writes."""

from __future__ import annotations

from typing import Any

import pandas as pd

from optimize.schema import InstanceDraft


def example() -> InstanceDraft:
    """Two plants, eight users, four seasons and a peak day; all figures are invented."""
    return InstanceDraft(
        programme="water",
        name_zh="再生水示例",
        name_en="Reclaimed-water example",
        description="Invented figures: two plants, one industrial park, every table in use.",
        tables={**_places(), **_water(), **_network(), **_policy(), **_money()},
        parameters={
            "base_year": 2022,
            "num_years": 3,
            "water.periods": 4,
            "water.peak_day": True,
            "water.price_capital_share": 0.5,
        },
        targets={
            "W-PILOT": {"required": 2},
            "W-QUOTA": {"required": 2},
            "W-CASCADE": {"required": 300, "hard": False, "penalty_cny_per_unit": 2000},
            "W-PRICE": {"required": 2},
            "W-CAP": {"required": 6_500_000, "hard": False, "penalty_cny_per_unit": 1},
            "W-TN": {"required": 20_000, "hard": False, "penalty_cny_per_unit": 20},
            "W-UPGRADE": {"required": 1},
            "W-VOLUME": {"required": 2_000_000, "hard": False, "penalty_cny_per_unit": 1},
            "W-ZLD": {"required": 1, "hard": False, "penalty_cny_per_unit": 5_000_000},
            "W-NEAR": {"required": 8},
        },
    )


def _table(columns: str, *rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=columns.split())


def _places() -> dict[str, pd.DataFrame]:
    return {
        "districts": _table(
            "district name_zh name_en ring new_city population lon lat",
            ("north", "北区", "North", "suburban", "", 600_000.0, 121.30, 31.38),
            ("south", "南区", "South", "central", "", 900_000.0, 121.42, 31.18),
        ),
        "plants": _table(
            "plant name_zh name_en district lon lat effluent_m3_per_d ecological_m3_per_d "
            "effluent_profile ecological_profile tn_mg_per_l tn_limit_mg_per_l",
            ("P-north", "北厂", "North plant", "north", 121.30, 31.40, 30_000.0, 8_000.0, "rain", "", 12.0, 15.0),
            ("P-south", "南厂", "South plant", "south", 121.42, 31.16, 20_000.0, 6_000.0, "", "rain", 14.0, None),
        ),
        "plant_months": _table(
            "plant month effluent_m3_per_d ecological_m3_per_d",
            *(("P-south", month, 19_000.0 + 400.0 * month, 6_000.0) for month in range(1, 13)),
        ),
        "junctions": _table("junction lon lat", ("J1", 121.32, 31.36), ("J2", 121.38, 31.26), ("J3", 121.40, 31.20)),
        "parks": _table(
            "park name_zh name_en district zld_candidate zld_min_share zld_capex_cny zld_opex_cny_per_a zld_life_years",
            ("chem", "化工园", "Chemical park", "north", True, 0.4, 6_000_000.0, 300_000.0, 15.0),
        ),
    }  # fmt: skip


def _water() -> dict[str, pd.DataFrame]:
    return {
        "qualities": _table(
            "quality name_zh name_en tn_kept_out_share pipe_capex_factor",
            ("urban", "城市杂用", "urban miscellaneous", 0.95, 1.0),
            ("cooling", "循环冷却", "recirculating cooling", 0.9, 1.0),
            ("pure", "工艺纯水", "process water", 0.1, 1.2),
        ),
        "accepts": _table("need quality", ("urban", "cooling"), ("urban", "pure"), ("cooling", "pure")),
        "profiles": _table(
            "profile month factor",
            *(("summer", m, f) for m, f in enumerate((0.6, 0.6, 0.8, 1.0, 1.2, 1.3, 1.5, 1.5, 1.2, 0.9, 0.7, 0.7), 1)),
            *(("rain", m, f) for m, f in enumerate((0.9, 0.9, 1.0, 1.0, 1.0, 1.1, 1.1, 1.1, 1.0, 1.0, 0.95, 0.95), 1)),
        ),
        "users": _table(
            "user name_zh name_en district park kind industry quota_listed connection_capex_cny min_take_share "
            "growth_share peak_day_factor single_feed tanker_plant tanker_cny_per_m3 tanker_capex_cny",
            ("steel", "钢厂", "Steel works", "north", "chem", "cooling", "steel", True, 600_000.0, 0.5, 0.1, 1.1, False, "", 15.0, 0.0),
            ("dye", "印染厂", "Dye works", "north", "chem", "process", "dyeing", True, 400_000.0, 0.4, 0.0, 1.2, False, "", 15.0, 0.0),
            ("chip", "芯片厂", "Chip plant", "north", "chem", "process", "electronics", False, 500_000.0, 0.6, 0.2, 1.1, True, "", 15.0, 0.0),
            ("park-n", "北公园", "North park", "north", "", "green", "", False, 100_000.0, 0.0, 0.0, 1.8, False, "", 15.0, 0.0),
            ("river", "南河", "South river", "south", "", "landscape", "", False, 50_000.0, 0.0, 0.0, 1.0, False, "", 15.0, 0.0),
            ("street", "道路保洁", "Street cleaning", "south", "", "urban", "", False, 80_000.0, 0.0, 0.0, 1.3, False, "P-south", 3.0, 20_000.0),
            ("cloud", "数据中心", "Data centre", "south", "", "datacenter", "", False, 300_000.0, 0.8, 0.3, 1.3, False, "", 15.0, 0.0),
            ("wash", "洗车场", "Car wash", "south", "", "urban", "", False, 60_000.0, 0.2, 0.0, 1.2, False, "", 15.0, 0.0),
        ),
        "user_demands": _table(
            "demand user need base_m3_per_d profile alternative_source alternative_cny_per_m3 user_opex_cny_per_m3 max_price_cny_per_m3",
            ("steel-c", "steel", "cooling", 5000.0, "summer", "river", 3.6, 0.1, None),
            ("dye-p", "dye", "pure", 900.0, "", "tap", 7.5, 0.2, None),
            ("dye-c", "dye", "cooling", 700.0, "summer", "tap", 4.9, 0.1, None),
            ("chip-p", "chip", "pure", 1500.0, "", "tap", 8.0, 0.2, 6.5),
            ("park-n-u", "park-n", "urban", 300.0, "summer", "river", 2.2, 0.0, None),
            ("river-u", "river", "urban", 2500.0, "", "river", 0.9, 0.0, 0.2),
            ("street-u", "street", "urban", 120.0, "", "tap", 5.2, 0.0, None),
            ("cloud-c", "cloud", "cooling", 1200.0, "summer", "tap", 5.6, 0.1, None),
            ("wash-u", "wash", "urban", 150.0, "", "tap", 5.6, 0.0, None),
        ),
        "treatment": _table(
            "plant quality opex_cny_per_m3 kwh_per_m3 recovery existing_m3_per_d",
            ("P-north", "urban", 0.25, 0.10, 0.97, 500.0),
            ("P-north", "cooling", 0.55, 0.25, 0.93, 0.0),
            ("P-north", "pure", 1.80, 0.90, 0.67, 0.0),
            ("P-south", "urban", 0.25, 0.10, 0.97, 0.0),
            ("P-south", "cooling", 0.60, 0.25, 0.93, 0.0),
        ),
        "modules": _table(
            "plant quality step capacity_m3_per_d capex_cny fixed_opex_cny_per_a life_years",
            ("P-north", "urban", "small", 1500.0, 600_000.0, 20_000.0, 20.0),
            ("P-north", "cooling", "small", 4000.0, 3_200_000.0, 60_000.0, 15.0),
            ("P-north", "cooling", "large", 9000.0, 6_000_000.0, 90_000.0, 15.0),
            ("P-north", "pure", "small", 3000.0, 7_500_000.0, 120_000.0, 10.0),
            ("P-south", "urban", "small", 3000.0, 1_000_000.0, 30_000.0, 20.0),
            ("P-south", "cooling", "small", 2500.0, 2_300_000.0, 50_000.0, 15.0),
        ),
    }  # fmt: skip


def _network() -> dict[str, pd.DataFrame]:
    return {
        "pipes": _table(
            "diameter capacity_m3_per_d capex_cny_per_m life_years",
            ("DN150", 1200.0, 750.0, 40.0),
            ("DN300", 5800.0, 1350.0, 40.0),
            ("DN400", 11_400.0, 1900.0, 40.0),
        ),
        "corridors": _table(
            "corridor from_node to_node length_m terrain_factor fixed_capex_cny unit_cost_cny_per_m3 directed "
            "static_head_m existing_quality existing_m3_per_d district",
            ("C01", "P-north", "J1", 2200.0, 1.0, 50_000.0, 0.0, False, 3.0, "", 0.0, "north"),
            ("C02", "J1", "steel", 900.0, 1.0, 0.0, 0.0, False, 0.0, "", 0.0, "north"),
            ("C03", "J1", "dye", 700.0, 1.2, 0.0, 0.0, False, 0.0, "", 0.0, "north"),
            ("C04", "steel", "dye", 400.0, 1.0, 0.0, 0.0, False, 0.0, "", 0.0, "north"),
            ("C05", "J1", "chip", 1500.0, 1.0, 0.0, 0.0, False, 1.0, "", 0.0, "north"),
            ("C06", "P-north", "park-n", 600.0, 1.0, 0.0, 0.02, True, -2.0, "urban", 400.0, "north"),
            ("C07", "J1", "J2", 6000.0, 1.3, 100_000.0, 0.0, False, 0.0, "", 0.0, "north"),
            ("C08", "J2", "J3", 4000.0, 1.0, 0.0, 0.0, False, -1.0, "", 0.0, "south"),
            ("C09", "P-south", "J3", 1800.0, 1.0, 0.0, 0.0, False, 2.0, "", 0.0, "south"),
            ("C10", "J3", "river", 500.0, 1.0, 0.0, 0.0, False, 0.0, "", 0.0, "south"),
            ("C11", "J3", "cloud", 1600.0, 1.1, 0.0, 0.0, False, 0.0, "", 0.0, "south"),
            ("C12", "J3", "street", 2500.0, 1.0, 0.0, 0.0, False, 0.0, "", 0.0, "south"),
            ("C13", "J2", "chip", 3000.0, 1.0, 0.0, 0.0, False, 0.0, "", 0.0, "north"),
            ("C14", "J3", "wash", 900.0, 1.0, 0.0, 0.0, False, 0.0, "", 0.0, "south"),
        ),
        "storage_sites": _table(
            "site node quality volume_m3 capex_cny life_years district",
            ("tank-J3", "J3", "cooling", 600.0, 600_000.0, 30.0, "south"),
        ),
        "cascades": _table(
            "cascade user quality return_share capacity_m3_per_d capex_cny opex_cny_per_m3 kwh_per_m3 "
            "tn_kept_out_kg_per_m3 life_years",
            ("chip-to-dye", "chip", "cooling", 0.5, 600.0, 350_000.0, 0.3, 0.1, 0.0, 15.0),
        ),
    }


def _policy() -> dict[str, pd.DataFrame]:
    return {
        "pilots": _table(
            "pilot name_zh name_en kind district min_users min_volume_m3_per_a",
            ("chem-park", "化工园试点", "Chemical park pilot", "park", "north", 2, 500_000.0),
            ("south-area", "南厂片区", "South plant area", "central_plant", "south", 1, 100_000.0),
            ("north-green", "北区绿化", "North green", "suburban_district", "north", 1, 50_000.0),
        ),
        "pilot_members": _table(
            "pilot user",
            ("chem-park", "steel"),
            ("chem-park", "dye"),
            ("chem-park", "chip"),
            ("south-area", "river"),
            ("south-area", "cloud"),
            ("south-area", "street"),
            ("north-green", "park-n"),
        ),
        "pilot_requirements": _table("kind district minimum", ("*", "south", 1), ("park", "", 1)),
        "intake_caps": _table(
            "scope id cap_m3_per_a", ("district", "south", 1_600_000.0), ("user", "steel", 1_200_000.0)
        ),
    }


def _money() -> dict[str, pd.DataFrame]:
    return {
        "budgets": _table(
            "source year amount_cny",
            ("municipal", 2022, 6_000_000.0),
            ("municipal", 2023, 6_000_000.0),
            ("municipal", 2024, 4_000_000.0),
            ("north", 2022, 2_000_000.0),
            ("north", 2023, 2_000_000.0),
            ("south", 2022, 1_500_000.0),
            ("south", 2023, 1_000_000.0),
        ),
        "funding": _table(
            "project_kind mix source share ceiling_cny takes_rest",
            ("pipe", "shared", "municipal", 0.6, None, False),
            ("pipe", "shared", "district", 0.4, None, True),
            ("module", "city", "municipal", 1.0, None, True),
            ("module", "co-funded", "municipal", 0.5, 2_000_000.0, False),
            ("module", "co-funded", "owner", 0.5, None, True),
        ),
        "locks": _table(
            "kind id other value year note",
            ("force_in", "P-north", "", "", 0, "contracted"),
            ("force_out", "C13", "", "", 0, "no right of way"),
            ("together", "C02", "steel", "", 0, "one contract"),
            ("not_together", "tank-J3", "C07", "", 0, "same site"),
        ),
    }

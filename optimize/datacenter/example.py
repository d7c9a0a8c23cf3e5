"""A tiny instance that touches every table and solves at once; what `optimize template` writes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optimize.datacenter.schema import PLAN_IN_FORCE
from optimize.schema import InstanceDraft

BASE_YEAR, NUM_YEARS = 2022, 3
YEARS = range(BASE_YEAR, BASE_YEAR + NUM_YEARS)


def example() -> InstanceDraft:
    """Nine centres, five measures, two hosts, one heat sink, one tendered offer."""
    return InstanceDraft(
        programme="datacenter",
        name_zh="示例：九个机房",
        name_en="Example: nine centres",
        tables={
            "districts": _frame(
                ["district", "name_zh", "name_en"],
                [("Pudong", "浦东新区", "Pudong"), ("Xuhui", "徐汇区", "Xuhui")],
            ),
            "budgets": _frame(
                ["source", "year", "amount_cny"],
                [
                    (s, y, a)
                    for s, a in (("municipal", 900_000.0), ("Pudong", 260_000.0), ("Xuhui", 240_000.0))
                    for y in YEARS
                ],
            ),
            "funding": _funding(),
            "locks": _frame(
                ["kind", "id", "other", "value", "year", "note"],
                [
                    ("earliest", "A2", "", "", 2023, "moves in 2022"),
                    ("not_together", "B1", "B2", "", 0, "one of the pair is kept as it is"),
                ],
            ),
            # no plan is in force yet; the header tells how one is given
            "plan_in_force": _frame([column.name for column in PLAN_IN_FORCE.columns], []),
            "centres": _centres(),
            "measures": _measures(),
            "measure_trades": _frame(
                ["measure", "trade", "fixed_weeks", "weeks_per_100_kw"],
                [
                    ("containment", "engineering", 1.0, 0.6),
                    ("new_plant", "engineering", 3.0, 1.0),
                    ("modular_ups", "engineering", 1.0, 0.6),
                    ("close", "it", 2.0, 2.0),
                ],
            ),
            "trades": _frame(
                ["trade", "year", "weeks"],
                [(t, y, w) for t, w in (("engineering", 14.0), ("it", 5.0)) for y in YEARS],
            ),
            "zones": _frame(["zone", "max_share_under_works"], [("east", 0.8), ("west", 0.7)]),
            "hosts": _hosts(),
            "host_capacity": _frame(
                ["host", "year", "capacity_kw"],
                [
                    (h, y, c + 6.0 * (y - BASE_YEAR))
                    for h, c in (("cloud", 46.0), ("campus", 25.0))
                    for y in YEARS
                ],
            ),
            "heat_sinks": _frame(
                [
                    "sink",
                    "name_zh",
                    "lon",
                    "lat",
                    "price_cny_per_kwh",
                    "max_distance_km",
                    "link_fixed_cny",
                    "link_capex_cny_per_km",
                ],
                [("pool", "游泳馆", 121.601, 31.201, 0.32, 1.5, 100_000.0, 1_500_000.0)],
            ),
            "sink_months": _frame(
                ["sink", "month", "capacity_kwh"],
                [("pool", m, 200_000.0 if m in (6, 7, 8) else 320_000.0) for m in range(1, 13)],
            ),
            "offers": _frame(
                ["offer", "centre", "npv_cny", "cost_cny", "energy_saved_kwh_per_year", "pue_after", "year"],
                [
                    ("O1", "B4", 350_000.0, 200_000.0, 90_000.0, 1.45, 2023),
                    ("O2", "B4", 260_000.0, 120_000.0, 60_000.0, 1.58, 2022),
                ],
            ),
            "offer_payments": _frame(
                ["offer", "source", "year", "amount_cny"],
                [
                    ("O1", "Xuhui", 2023, 150_000.0),
                    ("O1", "municipal", 2024, 80_000.0),
                    ("O2", "Xuhui", 2022, 120_000.0),
                ],
            ),
        },
        parameters={
            "base_year": BASE_YEAR,
            "num_years": NUM_YEARS,
            "budgets.carry_over_share": 0.5,
            "datacenter.green_max_pue": 1.45,
            "datacenter.staging_min_it_load_kw": 300.0,
        },
        targets={
            "DC-GREEN": {"required": 1},
            "DC-BATT": {"required": 1, "deadline_year": 2023},
            "DC-TECH": {"required": 1},
            "DC-PUE": {"required": 0.6},
            "DC-CLOSE": {"required": 0.5},
            "DC-LIMIT": {"required": 1, "hard": False, "penalty_cny_per_unit": 200_000.0},
            "DC-HEAT": {"required": 500.0, "hard": False, "penalty_cny_per_unit": 300.0},
            "DC-SAFE": {"required": 0},
            "DC-ENERGY": {"required": 800.0},
            "DC-CO2": {"required": 300.0},
            "DC-WATER": {"required": 5_000.0},
        },
        description="Invented figures of a plausible size.",
    )


def _frame(columns: list[str], rows: list[tuple[object, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns)


def _funding() -> pd.DataFrame:
    columns = ["project_kind", "mix", "source", "share", "ceiling_cny", "takes_rest"]
    return _frame(
        columns,
        [
            ("retrofit_district", "own", "district", 1.0, np.nan, True),
            ("retrofit_district", "shared", "municipal", 0.3, 60_000.0, False),
            ("retrofit_district", "shared", "district", 0.7, np.nan, True),
            ("retrofit_enterprise", "own", "owner", 1.0, np.nan, True),
            ("retrofit_enterprise", "subsidised", "municipal", 0.2, 300_000.0, False),
            ("retrofit_enterprise", "subsidised", "owner", 0.8, np.nan, True),
        ],
    )


def _centres() -> pd.DataFrame:
    columns = [
        "centre", "name_zh", "owner_kind", "district", "zone", "lon", "lat", "it_load_kw", "load_growth_per_year",
        "cooling_kwh_per_kwh_it", "power_kwh_per_kwh_it", "other_kwh_per_kwh_it", "cooling_type", "rack_count",
        "residual_life_years", "tier", "redundancy_group", "wue_l_per_kwh", "scattered", "closable",
        "green_eligible", "battery_eligible", "site_om_cny_per_year",
    ]  # fmt: skip
    return _frame(
        columns,
        [
            ("A1", "运营商数据中心", "enterprise", "Pudong", "east", 121.60, 31.20, 820.0, 0.02, 0.50, 0.18, 0.04, "water_chiller", 260, 12.0, 3, "G1", 2.5, False, False, True, True, 0.0),
            ("A2", "高校数据中心", "municipal", "Xuhui", "west", 121.44, 31.20, 210.0, 0.0, 0.62, 0.20, 0.04, "air_chiller", 110, 9.0, 2, "G1", 0.1, False, False, True, True, 0.0),
            ("A3", "老数据中心", "enterprise", "Pudong", "east", 121.61, 31.21, 300.0, 0.0, 0.66, 0.24, 0.05, "air_chiller", 150, 3.0, 2, "", 0.1, False, False, False, False, 0.0),
            ("B1", "区机关机房", "district", "Pudong", "east", 121.55, 31.22, 24.0, 0.02, 0.85, 0.28, 0.05, "dx", 14, 6.0, 1, "", 0.0, True, True, False, False, 21_000.0),
            ("B2", "街道机房", "district", "Pudong", "east", 121.56, 31.23, 9.0, 0.0, 0.90, 0.30, 0.05, "dx", 6, 2.0, 1, "", 0.0, True, True, False, False, 14_000.0),
            ("B3", "医院机房", "municipal", "Xuhui", "west", 121.45, 31.19, 46.0, 0.02, 0.75, 0.25, 0.05, "dx", 24, 10.0, 2, "", 0.0, False, True, False, True, 30_000.0),
            ("B4", "中学机房", "district", "Xuhui", "west", 121.43, 31.18, 12.0, 0.0, 0.80, 0.28, 0.05, "dx", 7, 8.0, 1, "", 0.0, False, True, False, False, 12_000.0),
            ("B5", "文化馆机房", "district", "Xuhui", "west", 121.42, 31.17, 16.0, 0.0, 0.88, 0.29, 0.05, "dx", 9, 3.0, 1, "", 0.0, True, True, False, False, 16_000.0),
            ("B6", "税务机房", "municipal", "Xuhui", "west", 121.46, 31.20, 30.0, 0.0, 0.78, 0.26, 0.05, "dx", 16, 9.0, 2, "", 0.0, False, True, False, False, 22_000.0),
        ],
    )  # fmt: skip


def _measures() -> pd.DataFrame:
    columns = [
        "measure", "name_zh", "name_en", "acts_on", "saving_share", "fixed_capex_cny", "capex_cny_per_kw", "om_share", "life_years",
        "downtime_weeks", "water_change_l_per_kwh", "requires", "exclusion_groups", "cooling_types", "min_residual_life_years",
        "min_it_load_kw", "advanced", "second_life_battery", "recovers_heat", "leaves_limit_scope",
    ]  # fmt: skip
    return _frame(
        columns,
        [
            ("containment", "通道封闭", "aisle containment", "cooling", 0.20, 15_000.0, 300.0, 0.01, 12.0, 1.0, 0.0, "", "", "", 2.0, 0.0, False, False, False, False),
            ("setpoint", "提高送风温度", "higher supply temperature", "cooling", 0.08, 2_000.0, 20.0, 0.0, 10.0, 0.0, 0.0, "containment", "", "", 0.0, 0.0, False, False, False, False),
            ("new_plant", "磁悬浮冷机与自然冷却", "magnetic-bearing plant with free cooling", "cooling", 0.40, 80_000.0, 1_500.0, 0.02, 15.0, 2.0, 0.2, "", "", "air_chiller|water_chiller", 5.0, 100.0, True, False, False, False),
            ("modular_ups", "模块化UPS", "modular UPS", "power", 0.5, 12_000.0, 900.0, 0.01, 13.0, 1.0, 0.0, "", "ups", "", 4.0, 0.0, False, False, False, False),
            ("battery_ups", "梯次电池UPS", "modular UPS on second-life batteries", "power", 0.5, 30_000.0, 1_250.0, 0.02, 8.0, 1.0, 0.0, "", "ups", "", 5.0, 0.0, False, True, False, False),
            ("heat_pump", "余热回收", "waste-heat recovery", "none", 0.0, 150_000.0, 1_000.0, 0.02, 15.0, 0.0, 0.0, "", "", "", 6.0, 300.0, False, False, True, False),
        ],
    )  # fmt: skip


def _hosts() -> pd.DataFrame:
    columns = [
        "host", "name_zh", "name_en", "accepts", "pue", "wue_l_per_kwh", "consolidation_ratio", "hosting_fee_cny_per_kw_year",
        "migration_fixed_cny", "migration_cny_per_kw", "migration_life_years", "own_load_kw", "own_growth_per_year",
    ]  # fmt: skip
    return _frame(
        columns,
        [
            ("cloud", "政务云", "government cloud", "municipal|district", 1.3, 1.4, 0.4, 9_000.0, 60_000.0, 6_000.0, 10.0, 30.0, 0.05),
            ("campus", "高校云", "campus cloud", "", 1.4, 0.2, 0.45, 7_500.0, 50_000.0, 6_500.0, 10.0, 18.0, 0.0),
        ],
    )  # fmt: skip

"""Seeded instances of any size for benchmarks, and the small example of the template."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optimize.errors import UsageError
from optimize.pv_siting import catalogue
from optimize.pv_siting.schema import PLAN_IN_FORCE
from optimize.pv_siting.shanghai import build_shanghai
from optimize.pv_siting.synthetic import draw_grid, draw_sites, draw_substations, potential_kw
from optimize.schema import InstanceDraft

NUM_SITES = {"2k": 2_000, "10k": 10_000, "100k": 100_000, "1m": 1_000_000}
SIZES = (*NUM_SITES, "shanghai")
# tight: substations are sized so that nearly all of them bind as well.
FAMILIES = ("standard", "tight")

_NUM_DISTRICTS = 16
_TYPE_SHARES = (0.46, 0.07, 0.26, 0.02, 0.11, 0.08)
_BASE_YEAR, _NUM_YEARS = 2022, 3
# Budgets cover this share of what building everything would cost: they bind hard.
_TIGHTNESS = 0.35
_CNY_PER_KW = 4_200.0


def generate(size: str, seed: int, family: str) -> InstanceDraft:
    """An instance of ``size``; the same arguments give the same instance."""
    if family not in FAMILIES:
        raise UsageError(f"family '{family}' is unknown; known: {', '.join(FAMILIES)}")
    if size == "shanghai":
        return build_shanghai(seed)
    if size not in NUM_SITES:
        raise UsageError(f"size '{size}' is unknown; known: {', '.join(SIZES)}")
    return _generate(NUM_SITES[size], size, seed, family)


def _generate(num_sites: int, size: str, seed: int, family: str) -> InstanceDraft:
    rng = np.random.default_rng([seed, num_sites])
    names = np.array([f"D{k + 1:02d}" for k in range(_NUM_DISTRICTS)], dtype=object)
    weight = rng.uniform(0.5, 2.0, _NUM_DISTRICTS)
    district = names[np.sort(rng.choice(_NUM_DISTRICTS, num_sites, p=weight / weight.sum()))]
    sites = draw_sites(rng, rng.choice(6, num_sites, p=_TYPE_SHARES), district)
    sites.insert(0, "site", [f"P{k + 1:07d}" for k in range(num_sites)])
    sites["feeder"], feeders, substations = draw_grid(rng, sites)
    if family == "standard":
        feeders["substation"], substations = draw_substations(
            np.random.default_rng([seed, num_sites, 1]), sites, feeders
        )
    possible = pd.Series(potential_kw(sites))
    by_purse = possible.groupby(np.where(sites["level"] == "municipal", "municipal", sites["district"])).sum()
    budgets = _budgets(rng, by_purse)
    minima = pd.DataFrame(
        {
            "district": names,
            "capacity_kw": (0.12 * possible.groupby(sites["district"]).sum()).reindex(names, fill_value=0.0).round().to_numpy(),
        }
    )  # fmt: skip
    total_kw = float(possible.sum())
    installers = pd.DataFrame(
        {"year": range(_BASE_YEAR, _BASE_YEAR + _NUM_YEARS), "capacity_kw": round(0.14 * total_kw)}
    )
    return InstanceDraft(
        programme="pv_siting",
        name_zh=f"公共机构光伏基准算例 {size}",
        name_en=f"public-sector PV benchmark {size} {family}, seed {seed}",
        description=f"Synthetic: {num_sites} institutions in {_NUM_DISTRICTS} districts.",
        tables={
            "districts": pd.DataFrame({"district": names, "name_en": names}),
            "sites": sites,
            "feeders": feeders,
            "substations": substations,
            "installers": installers,
            "district_minima": minima,
            "budgets": budgets,
            **_catalogues(),
        },
        parameters={
            "base_year": _BASE_YEAR,
            "num_years": _NUM_YEARS,
            "pv_siting.ghi_kwh_per_m2_a": 1300.0,
            "pv_siting.capex_change_per_a": -0.04,
            "pv_siting.first_share": 0.2,
        },
        targets={
            "PV-50MW": {"required": round(0.22 * total_kw)},
            "PV-LEAD": {"required": 0.5},
            "PV-BIPV": {"required": max(3, num_sites // 250)},
            "PV-CARPORT": {"required": max(3, num_sites // 100)},
            "PV-HEAT": {"required": max(3, num_sites // 50)},
            "PV-FLEX": {"required": max(2, num_sites // 500)},
        },
    )


def _budgets(rng: np.random.Generator, possible_kw: pd.Series) -> pd.DataFrame:
    yearly = _TIGHTNESS * possible_kw * _CNY_PER_KW / _NUM_YEARS
    rows = [
        (source, _BASE_YEAR + t, round(float(amount * factor), -4))
        for source, amount in yearly.items()
        for t, factor in enumerate(rng.uniform(0.8, 1.2, _NUM_YEARS))
    ]
    return pd.DataFrame(rows, columns=["source", "year", "amount_cny"])


def _catalogues() -> dict[str, pd.DataFrame]:
    return {
        "kinds": catalogue.kinds(),
        "storages": catalogue.storages(),
        "hot_water": catalogue.hot_water(),
        "configurations": catalogue.configurations(),
        "load_profiles": catalogue.load_profiles(),
        "weather": catalogue.typical_weather(),
        "tariffs": catalogue.tariffs(),
    }


def example() -> InstanceDraft:
    """Two districts, eight institutions, every table in use."""
    site_rows = [
        ("school-1", "第一小学", "school", "district", "East", False, 1800, 30, 25, 0, 0, 320_000, 40_000, "F1", 0, "household"),
        ("school-2", "第二中学", "school", "district", "West", False, 3200, 40, 20, 900, 0, 560_000, 0, "F2", 50, "household"),
        ("hospital-1", "中心医院", "hospital", "municipal", "East", True, 4200, 60, 30, 2500, 400, 6_500_000, 900_000, "F1", 0, "two_part"),
        ("office-1", "区政府办公楼", "office", "district", "East", True, 900, 25, 22, 600, 250, 900_000, 0, "F1", 0, "single"),
        ("office-2", "市级办公楼", "office", "municipal", "West", True, 1200, 18, 30, 0, 300, 1_200_000, 0, "F3", 0, "single"),
        ("university-1", "理工大学", "university", "municipal", "West", True, 12_000, 45, 28, 6000, 0, 9_000_000, 1_200_000, "F3", 200, "two_part"),
        ("care-1", "养老院", "care_home", "district", "West", False, 600, 65, 12, 0, 0, 300_000, 220_000, "F2", 0, "single"),
        ("venue-1", "体育馆", "venue", "district", "East", False, 2600, 22, 24, 3000, 0, 1_100_000, 60_000, "F2", 0, "single"),
    ]  # fmt: skip
    sites = pd.DataFrame(
        site_rows,
        columns=[
            "site", "name_zh", "type", "level", "district", "goes_first", "usable_roof_m2",
            "structure_reserve_kg_per_m2", "roof_residual_life_years", "parking_m2", "facade_m2",
            "annual_load_kwh", "hot_water_kwh_per_a", "feeder", "existing_pv_kw", "tariff",
        ],
    )  # fmt: skip
    districts = pd.DataFrame(
        {"district": ["East", "West"], "name_zh": ["东区", "西区"], "name_en": ["East", "West"]}
    )
    budgets = pd.DataFrame(
        [
            (source, year, amount)
            for source, amount in (("municipal", 1_500_000), ("East", 700_000), ("West", 800_000))
            for year in (2024, 2025, 2026)
        ],
        columns=["source", "year", "amount_cny"],
    )
    return InstanceDraft(
        programme="pv_siting",
        name_zh="公共机构光伏示例",
        name_en="public-sector PV example",
        description="Two districts, eight institutions; every table in use.",
        tables={
            "districts": districts,
            "sites": sites,
            "feeders": pd.DataFrame(
                {"feeder": ["F1", "F2", "F3"], "substation": ["S1", "S1", "S2"], "hosting_capacity_kw": [450, 400, 1500]}
            ),
            "substations": pd.DataFrame({"substation": ["S1", "S2"], "hosting_capacity_kw": [700, 2000]}),
            "installers": pd.DataFrame({"year": [2024, 2025], "capacity_kw": [450, 600]}),
            "district_minima": pd.DataFrame({"district": ["East", "West"], "capacity_kw": [150, 150], "by_year": [2026, 0]}),
            "offers": pd.DataFrame(
                {"offer": ["venue-1-a", "venue-1-b"], "site": "venue-1", "kind": "rooftop", "kw": [150.0, 220.0], "year": 2025}
            ),
            "offer_payments": pd.DataFrame(
                {
                    "offer": ["venue-1-a", "venue-1-a", "venue-1-b", "venue-1-b"],
                    "source": "East",
                    "year": [2025, 2026, 2025, 2026],
                    "amount_cny": [400_000, 180_000, 500_000, 350_000],
                }
            ),
            "budgets": budgets,
            "funding": pd.DataFrame(
                {
                    "project_kind": ["carport", "carport", "carport", "carport"],
                    "mix": ["municipal_grant", "municipal_grant", "district_only", "owner_share"],
                    "source": ["municipal", "district", "district", "owner"],
                    "share": [0.3, 0.7, 1.0, 1.0],
                    "ceiling_cny": [300_000, np.nan, np.nan, np.nan],
                    "takes_rest": [False, True, True, True],
                }
            ),
            "locks": pd.DataFrame(
                {"kind": ["force_in", "earliest"], "id": ["school-1", "hospital-1"], "year": [0, 2025], "note": ["已立项", "扩建后"]}
            ),
            # no plan is in force yet; the header tells how one is given
            "plan_in_force": pd.DataFrame(columns=[column.name for column in PLAN_IN_FORCE.columns]),
            **_catalogues(),
        },
        parameters={
            "base_year": 2024,
            "num_years": 3,
            "budgets.carry_over_share": 0.5,
            "pv_siting.ghi_kwh_per_m2_a": 1300.0,
            "pv_siting.capex_change_per_a": -0.03,
            "pv_siting.first_share": 0.2,
            "pv_siting.emc.allowed": True,
            "pv_siting.emc.min_kw": 100.0,
        },
        targets={
            "PV-50MW": {"required": 800, "deadline_year": 2026},
            "PV-LEAD": {"required": 0.3},
            "PV-CARPORT": {"required": 1},
            "PV-HEAT": {"required": 2},
            "PV-BIPV": {"required": 1, "hard": False, "penalty_cny_per_unit": 200_000.0},
        },
    )  # fmt: skip

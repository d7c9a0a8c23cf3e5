"""The Shanghai instance 2022-2026: real districts, counts and some real names, synthetic roofs and loads.

What is real and what is drawn from a seed stands in each row's `source` and in SOURCES.md.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.pv_siting import catalogue
from optimize.pv_siting.schema import SITES
from optimize.pv_siting.shanghai_names import KNOWN_INSTITUTIONS
from optimize.pv_siting.synthetic import TYPES, draw_grid, draw_sites
from optimize.schema import InstanceDraft

BASE_YEAR, NUM_YEARS = 2022, 5

# District id, zh, en, ring, new city, lon, lat of the centroid, area km2, population 2020 (census).
_DISTRICTS = (
    ("Huangpu", "黄浦区", "Huangpu", "central", "", 121.4841, 31.2164, 20.5, 662_030),
    ("Xuhui", "徐汇区", "Xuhui", "central", "", 121.4401, 31.1636, 54.9, 1_113_078),
    ("Changning", "长宁区", "Changning", "central", "", 121.3813, 31.2078, 37.2, 693_051),
    ("Jingan", "静安区", "Jing'an", "central", "", 121.4511, 31.2711, 37.4, 975_707),
    ("Putuo", "普陀区", "Putuo", "central", "", 121.3925, 31.2583, 55.5, 1_239_800),
    ("Hongkou", "虹口区", "Hongkou", "central", "", 121.486, 31.2771, 23.5, 757_498),
    ("Yangpu", "杨浦区", "Yangpu", "central", "", 121.5298, 31.2989, 60.6, 1_242_548),
    ("Minhang", "闵行区", "Minhang", "suburban", "", 121.4196, 31.0877, 372.6, 2_653_489),
    ("Baoshan", "宝山区", "Baoshan", "suburban", "", 121.4051, 31.3924, 271.0, 2_235_218),
    ("Jiading", "嘉定区", "Jiading", "suburban", "嘉定新城", 121.2449, 31.3586, 463.2, 1_834_258),
    ("Pudong", "浦东新区", "Pudong", "suburban", "南汇新城", 121.7505, 31.0881, 1210.4, 5_681_512),
    ("Jinshan", "金山区", "Jinshan", "suburban", "", 121.2558, 30.8193, 586.1, 822_776),
    ("Songjiang", "松江区", "Songjiang", "suburban", "松江新城", 121.2209, 31.0157, 605.6, 1_909_713),
    ("Qingpu", "青浦区", "Qingpu", "suburban", "青浦新城", 121.0856, 31.125, 670.1, 1_271_424),
    ("Fengxian", "奉贤区", "Fengxian", "suburban", "奉贤新城", 121.5628, 30.8985, 687.4, 1_140_872),
    ("Chongming", "崇明区", "Chongming", "suburban", "", 121.5866, 31.6149, 1185.5, 637_921),
)

# Institutions by type, in the order of TYPES.  Schools: Shanghai Daily 2022-09-23 (B); hospitals
# and universities: FACTS (D); offices, care homes, venues: orders of magnitude (D).
_COUNTS = (3_432, 430, 900, 64, 730, 350)
_TYPE_ZH = ("学校", "医院", "机关办公楼", "高校", "养老院", "文体场馆")
_TYPE_EN = ("school", "hospital", "office", "university", "care home", "venue")

# Money for public-sector PV, CNY a year (assumption, D): set so that it binds.
_MUNICIPAL_CNY = (26e6, 30e6, 24e6, 24e6, 24e6)
_DISTRICTS_CNY = (62e6, 72e6, 58e6, 58e6, 58e6)
_INSTALLERS_KW = (24_000, 30_000, 26_000, 26_000, 26_000)


def build_shanghai(seed: int) -> InstanceDraft:
    """Shanghai's public institutions; ``seed`` draws what is synthetic."""
    rng = np.random.default_rng([seed, 310_000])
    districts = _districts()
    type_code, district_code = _spread(districts["population"].to_numpy(np.float64))
    ids = districts["district"].to_numpy(dtype=object)
    drawn = draw_sites(rng, type_code, ids[district_code])
    sites = _named(drawn, type_code, district_code, districts)
    sites["lon"], sites["lat"] = _coordinates(rng, district_code)
    feeder, feeders, substations = draw_grid(rng, sites)
    sites["feeder"] = feeder.str.replace("F-0*", "F", regex=True)
    feeders["feeder"] = feeders["feeder"].str.replace("F-0*", "F", regex=True)
    sites["facade_azimuth_deg"] = sites["facade_azimuth_deg"].where(sites["facade_m2"] > 0)
    sites = sites[[column.name for column in SITES.columns if column.name in sites]]
    return InstanceDraft(
        programme="pv_siting",
        name_zh="上海市公共机构光伏 2022—2026",
        name_en="Shanghai public-sector PV 2022-2026",
        description=(
            "5 906 public institutions in 16 districts. PV-50MW and the pilots are due in 2023, "
            "budgets run to 2026. Roofs, loads, feeders and budgets are synthetic."
        ),
        tables={
            "districts": districts.drop(columns="area_km2"),
            "sites": sites,
            "feeders": feeders,
            "substations": substations,
            "installers": _installers(),
            "district_minima": _minima(districts),
            "budgets": _budgets(districts),
            "kinds": catalogue.kinds(),
            "storages": catalogue.storages(),
            "hot_water": catalogue.hot_water(),
            "configurations": catalogue.configurations(),
            "load_profiles": catalogue.load_profiles(),
            "weather": catalogue.typical_weather(),
            "tariffs": catalogue.tariffs(),
        },
        parameters={
            "base_year": BASE_YEAR,
            "num_years": NUM_YEARS,
            "budgets.carry_over_share": 1.0,
            "pv_siting.ghi_kwh_per_m2_a": 1300.0,
            "pv_siting.capex_change_per_a": -0.05,
            "pv_siting.first_share": 0.2,
            "pv_siting.emc.allowed": True,
            "pv_siting.emc.hurdle_rate": 0.10,
            "pv_siting.emc.host_discount": 0.15,
            "pv_siting.emc.min_kw": 400.0,
        },
        targets={
            "PV-50MW": {"required": 50_000, "deadline_year": 2023},
            "PV-FUND": {"required": 0},
            "PV-LEAD": {"required": 0.5},
            "PV-BIPV": {"required": 15, "deadline_year": 2023},
            "PV-CARPORT": {"required": 10, "deadline_year": 2023},
            "PV-HEAT": {"required": 90, "deadline_year": 2023},
            "PV-FLEX": {"required": 5, "deadline_year": 2025},
            "PV-EMC": {"required": 10},
        },
    )


def _districts() -> pd.DataFrame:
    frame = pd.DataFrame(
        _DISTRICTS,
        columns=[
            "district",
            "name_zh",
            "name_en",
            "ring",
            "new_city",
            "lon",
            "lat",
            "area_km2",
            "population",
        ],
    )
    frame["source"], frame["confidence"] = "census 2020; centroids from map data", "B"
    return frame


def apportion(total: int, weight: NDArray[np.float64]) -> NDArray[np.int64]:
    """``total`` split by ``weight`` into whole numbers by largest remainders."""
    exact = total * weight / weight.sum()
    whole = np.floor(exact).astype(np.int64)
    largest = np.argsort(whole - exact, kind="stable")[: total - int(whole.sum())]
    whole[largest] += 1
    return np.asarray(whole, dtype=np.int64)


def _spread(population: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Type and district of each institution: known ones where they are, the rest by population."""
    types, districts = [], []
    index = {row[0]: k for k, row in enumerate(_DISTRICTS)}
    for code, total in enumerate(_COUNTS):
        known = [index[d] for t, d, _, _ in KNOWN_INSTITUTIONS if t == TYPES[code]]
        least = np.bincount(np.array(known, dtype=np.int64), minlength=len(_DISTRICTS))
        rest = apportion(total - len(known), np.maximum(population / population.sum() * total - least, 0.0))
        count = least + rest
        types.append(np.full(total, code))
        districts.append(np.repeat(np.arange(len(_DISTRICTS)), count))
    return np.concatenate(types), np.concatenate(districts)


def _named(
    drawn: pd.DataFrame,
    type_code: NDArray[np.int64],
    district_code: NDArray[np.int64],
    districts: pd.DataFrame,
) -> pd.DataFrame:
    number = drawn.groupby(["type", "district"]).cumcount() + 1
    zh_district = districts["name_zh"].to_numpy(dtype=object)[district_code]
    en_district = districts["name_en"].to_numpy(dtype=object)[district_code]
    name_zh = [f"{d} {_TYPE_ZH[t]} {k:03d}" for d, t, k in zip(zh_district, type_code, number, strict=True)]
    name_en = [f"{d} {_TYPE_EN[t]} {k:03d}" for d, t, k in zip(en_district, type_code, number, strict=True)]
    source = ["synthetic"] * len(drawn)
    site = [f"P{k + 1:04d}" for k in range(len(drawn))]
    # The known ones take the first numbers of their type and district; only the name is known.
    position = {key: int(rows[0]) for key, rows in drawn.groupby(["type", "district"]).indices.items()}
    level = drawn["level"].to_numpy(dtype=object).copy()
    for kind, district, zh, en in KNOWN_INSTITUTIONS:
        row = position[kind, district]
        position[kind, district] += 1
        name_zh[row], name_en[row], source[row] = zh, en, "name: general knowledge; figures synthetic"
        if kind == "university" or zh.startswith("上海市") or zh.endswith("附属医院"):
            level[row] = "municipal"
    frame = drawn.assign(level=level)
    frame.insert(0, "site", site)
    frame.insert(1, "name_zh", name_zh)
    frame.insert(2, "name_en", name_en)
    frame["source"], frame["confidence"] = source, "D"
    return frame


def _coordinates(
    rng: np.random.Generator, district_code: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scattered around the district's centroid as far as its area reaches."""
    lon, lat, area = (np.array([row[k] for row in _DISTRICTS], dtype=np.float64) for k in (5, 6, 7))
    reach_km = 0.32 * np.sqrt(area[district_code])
    n = len(district_code)
    radius, angle = reach_km * np.sqrt(rng.random(n)), rng.uniform(0.0, 2.0 * np.pi, n)
    km_per_degree = 111.2
    east = radius * np.cos(angle) / (km_per_degree * np.cos(np.radians(31.2)))
    return (
        np.round(lon[district_code] + east, 3),
        np.round(lat[district_code] + radius * np.sin(angle) / km_per_degree, 3),
    )


def _installers() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "year": range(BASE_YEAR, BASE_YEAR + NUM_YEARS),
            "capacity_kw": _INSTALLERS_KW,
            "source": "assumption",
            "confidence": "D",
        }
    )


def _minima(districts: pd.DataFrame) -> pd.DataFrame:
    """Half of each district's share of 50 MW by population, by 2023."""
    share = districts["population"] / districts["population"].sum()
    return pd.DataFrame(
        {"district": districts["district"], "capacity_kw": (25_000.0 * share).round(-1), "by_year": 2023}
    )


def _budgets(districts: pd.DataFrame) -> pd.DataFrame:
    share = districts["population"] / districts["population"].sum()
    rows = [("municipal", BASE_YEAR + t, amount) for t, amount in enumerate(_MUNICIPAL_CNY)]
    for district, part in zip(districts["district"], share, strict=True):
        rows += [(district, BASE_YEAR + t, round(total * part, -4)) for t, total in enumerate(_DISTRICTS_CNY)]
    return pd.DataFrame(rows, columns=["source", "year", "amount_cny"])

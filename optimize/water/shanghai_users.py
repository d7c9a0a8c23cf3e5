"""Users of the Shanghai instance: named sites, and enterprises synthesised from the parks' industries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from optimize.water.shanghai_network import (
    FACTS,
    Floats,
    Ints,
    crosses_huangpu,
    degrees_of,
    km_of,
    land_of,
)

TAP_CNY_PER_M3 = (4.9, 6.2)  # non-residential supply and drainage together
RO_KWH_PER_M3 = 0.88  # of the user's own treatment that reclaimed water of RO quality saves
TAP_KWH_PER_M3, RIVER_KWH_PER_M3 = 0.5, 0.25
LEAST_DEMAND_M3_PER_D = 100.0
# Works on the user's site; the industry's factor stands for a second set of pipes inside buildings.
CONNECTION_FIXED_CNY, CONNECTION_CNY_AT_1000_M3D = 1.0e5, 3.0e5
# [W-QUOTA] lists high-consumption users that a plant with twice their demand to spare lies near.
QUOTA_FROM_M3_PER_D, QUOTA_ACCESS_KM, QUOTA_SPARE_FACTOR = 300.0, 15.0, 2.0
REFUSAL_COST_CNY_PER_M3 = 8.0
TANKER_BASE_CNY_PER_M3, TANKER_CNY_PER_M3_KM = 1.5, 0.4  # beyond driving to a hydrant
TANKER_CAPEX_CNY = 80e3

# Water per unit of size: m2 of green 115 l a year, 20 l a person and day, 2 m3/t of waste, 2.3 l per
# kWh of IT at 60 % load; power by its cooling in m3/MWh.
UNIT_DEMAND = {
    "m3/d": 1.0,
    "ha": 10_000 * 0.115 / 365,
    "persons": 0.020,
    "t/d": 2.0,
    "MW": 24 * 0.6 * 2.3,
}
POWER_M3_PER_MWH = {"once_through": 0.12, "recirculating": 0.8}
NEEDS = ("filtered", "denitrified", "uf", "ro")


def derive_users(rng: np.random.Generator, plants: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables ``users`` and ``user_demands``."""
    users = pd.concat([_enterprises(rng), _sites(), _power_plants(), _street_depots()], ignore_index=True)
    industries = pd.read_csv(FACTS / "shanghai_industries.csv", keep_default_na=False).set_index("industry")
    demands = _demands(rng, users, industries)
    total = demands.groupby("user")["base_m3_per_d"].sum().reindex(users["user"]).to_numpy(float)
    of_industry = industries.loc[users["industry"]]
    users["kind"] = of_industry["kind"].to_numpy()
    users["min_take_share"] = of_industry["min_take_share"].to_numpy(float)
    users["growth_share"] = of_industry["growth_share"].to_numpy(float)
    users["peak_day_factor"] = of_industry["peak_day_factor"].to_numpy(float)
    works_cny = CONNECTION_FIXED_CNY + CONNECTION_CNY_AT_1000_M3D * (total / 1000) ** 0.6
    users["connection_capex_cny"] = np.round(of_industry["connection_factor"].to_numpy(float) * works_cny, -3)
    nearest, distance_km = _nearest_plant(users, plants)
    plant = plants["plant"].to_numpy(object)[nearest]
    spare_m3_per_d = (plants["effluent_m3_per_d"] - plants["ecological_m3_per_d"]).to_numpy(float)[nearest]
    users["quota_listed"] = (
        (of_industry["high_consumption"].astype(str).str.lower() == "true").to_numpy()
        & (total >= QUOTA_FROM_M3_PER_D)
        & (distance_km <= QUOTA_ACCESS_KM)
        & (spare_m3_per_d >= QUOTA_SPARE_FACTOR * total)
    )
    users["refusal_cost_cny_per_m3"] = REFUSAL_COST_CNY_PER_M3
    # Sweepers fill their tanks themselves: they may drive to a plant instead of being piped to.
    by_tanker = (users["industry"] == "street").to_numpy()
    haulage = np.round(TANKER_BASE_CNY_PER_M3 + TANKER_CNY_PER_M3_KM * distance_km, 1)
    users["tanker_plant"] = np.where(by_tanker, plant, "")
    users["tanker_cny_per_m3"] = np.where(by_tanker, haulage, 15.0)
    users["tanker_capex_cny"] = np.where(by_tanker, TANKER_CAPEX_CNY, 0.0)
    columns = [
        "user", "name_zh", "name_en", "district", "park", "kind", "industry", "quota_listed", "lon", "lat",
        "connection_capex_cny", "min_take_share", "growth_share", "refusal_cost_cny_per_m3", "peak_day_factor",
        "tanker_plant", "tanker_cny_per_m3", "tanker_capex_cny", "source", "confidence",
    ]  # fmt: skip
    return users[columns], demands


def _enterprises(rng: np.random.Generator) -> pd.DataFrame:
    """Enterprises of every park, sizes drawn around the industry's part of the park's demand."""
    parks = pd.read_csv(FACTS / "shanghai_parks.csv")
    names = pd.read_csv(FACTS / "shanghai_industries.csv").set_index("industry")[["name_zh", "name_en"]]
    rows = []
    for row in parks.to_dict("records"):
        park: dict[str, Any] = {str(key): value for key, value in row.items()}
        share = {
            industry: float(part)
            for industry, part in (entry.split(":") for entry in park["industries"].split())
        }
        number = 0
        for industry, count in _counts(share, park["num_enterprises"]).items():
            size = rng.lognormal(0.0, 0.5, count)
            volumes = park["reclaimable_m3_per_d"] * share[industry] * size / size.sum()
            lon, lat = _around(rng, park, count)
            for k in range(count):
                number += 1
                rows.append(
                    {
                        "user": f"{park['park']}-{number:02d}",
                        "name_zh": f"{park['name_zh']}{names['name_zh'][industry]}企业{k + 1}（合成）",
                        "name_en": f"{park['name_en']}: {industry} enterprise {k + 1} (synthetic)",
                        "district": park["district"],
                        "park": park["park"],
                        "industry": industry,
                        "lon": lon[k],
                        "lat": lat[k],
                        "size_m3_per_d": volumes[k],
                        "source": "synthetic: industry mix of the park",
                    }
                )
    return pd.DataFrame(rows).assign(confidence="D")


def _counts(share: dict[str, float], number: int) -> dict[str, int]:
    """Enterprises per industry: at least one each, the rest by share (largest remainder)."""
    spare = max(number - len(share), 0)
    exact = {industry: spare * value for industry, value in share.items()}
    counts = {industry: 1 + int(value) for industry, value in exact.items()}
    by_remainder = sorted(exact, key=lambda industry: int(exact[industry]) - exact[industry])
    for industry in by_remainder[: len(share) + spare - sum(counts.values())]:
        counts[industry] += 1
    return counts


def _around(rng: np.random.Generator, park: dict[str, Any], count: int) -> tuple[Floats, Floats]:
    """Longitudes and latitudes in the park's disc, on its bank of the Huangpu."""
    centre = km_of(np.array([park["lon"]]), np.array([park["lat"]]))
    found = np.empty((0, 2))
    while len(found) < count:
        angle, radius = rng.uniform(0, 2 * np.pi), park["radius_km"] * np.sqrt(rng.uniform(0.03, 1.0))
        place = centre + radius * np.array([[np.cos(angle), np.sin(angle)]])
        if not crosses_huangpu(centre, place)[0]:
            found = np.vstack([found, place])
    return degrees_of(found)


def _sites() -> pd.DataFrame:
    """Named users other than enterprises; sizes in their own unit."""
    sites = pd.read_csv(FACTS / "shanghai_sites.csv").rename(columns={"site": "user"})
    sites["size_m3_per_d"] = sites["size"] * sites["size_unit"].map(UNIT_DEMAND)
    sites["source"] = "place: general knowledge; " + sites["size"].astype(str) + " " + sites["size_unit"]
    sites.loc[sites["user"] == "shipyard-waigaoqiao", "source"] = "1 900 m3/d: portnews.ru 2024-09-22"
    return sites.drop(columns=["size", "size_unit"]).assign(park="", confidence="D")


def _power_plants() -> pd.DataFrame:
    """Fuel-fired power plants; once-through units need process and boiler water only."""
    power = pd.read_csv(FACTS / "shanghai_power_plants.csv").rename(columns={"site": "user"})
    mwh_per_d = power["generation_gwh_per_a"] * 1000 / 365
    power["size_m3_per_d"] = mwh_per_d * power["cooling"].map(POWER_M3_PER_MWH)
    power["source"] = "Global Power Plant Database 1.3; cooling assumed " + power["cooling"].str.replace(
        "_", "-"
    )
    columns = ["user", "name_zh", "name_en", "district", "lon", "lat", "size_m3_per_d", "source"]
    return power[columns].assign(park="", industry="power", confidence="D")


def _street_depots() -> pd.DataFrame:
    """One street-cleaning depot a town."""
    towns = pd.read_csv(FACTS / "shanghai_towns.csv")
    return pd.DataFrame(
        {
            "user": "street-" + towns["town"],
            "name_zh": towns["name_zh"] + "道路清扫取水点",
            "name_en": towns["name_en"] + " street-cleaning depot",
            "district": towns["district"],
            "lon": towns["lon"],
            "lat": towns["lat"],
            "size_m3_per_d": towns["street_m3_per_d"].astype(float),
            "park": "",
            "industry": "street",
            "source": "place: general knowledge; volume assumed",
            "confidence": "D",
        }
    )


def _demands(rng: np.random.Generator, users: pd.DataFrame, industries: pd.DataFrame) -> pd.DataFrame:
    """One row per user and quality needed; parts too small to be piped apart join the largest."""
    tap = np.round(rng.uniform(*TAP_CNY_PER_M3, len(users)), 1)
    rows = []
    for user, industry, size, tap_price in zip(
        users["user"], users["industry"], users["size_m3_per_d"], tap, strict=True
    ):
        kind = industries.loc[industry]
        parts = {need: size * float(kind[f"{need}_share"]) for need in NEEDS}
        largest = max(parts, key=lambda need: parts[need])
        for need, part in parts.items():
            if need != largest and part < LEAST_DEMAND_M3_PER_D:
                parts[largest] += part
                parts[need] = 0.0
        source = str(kind["alternative_source"])
        water = tap_price if source == "tap" else float(kind["alternative_cny_per_m3"])
        kwh = TAP_KWH_PER_M3 if source == "tap" else RIVER_KWH_PER_M3
        for need, part in parts.items():
            if part > 0.0:
                own = float(kind["own_treatment_cny_per_m3"]) if need == "ro" else 0.0
                rows.append(
                    {
                        "demand": f"{user}:{need}",
                        "user": user,
                        "need": need,
                        "base_m3_per_d": max(10.0, round(part, -1)),
                        "profile": str(kind["profile"]),
                        "alternative_source": source,
                        "alternative_cny_per_m3": round(water + own, 2),
                        "alternative_kwh_per_m3": kwh + (RO_KWH_PER_M3 if need == "ro" else 0.0),
                        "user_opex_cny_per_m3": float(kind["user_opex_cny_per_m3"]),
                        "max_price_cny_per_m3": round(float(kind["price_share"]) * (water + own), 2),
                    }
                )
    return pd.DataFrame(rows).assign(source="unit demand and prices: SOURCES, D", confidence="D")


def _nearest_plant(users: pd.DataFrame, plants: pd.DataFrame) -> tuple[Ints, Floats]:
    """Row of the nearest plant on the user's land mass, and how far it is in km as the crow flies."""
    user_xy = km_of(users["lon"].to_numpy(float), users["lat"].to_numpy(float))
    plant_xy = km_of(plants["lon"].to_numpy(float), plants["lat"].to_numpy(float))
    apart = np.linalg.norm(user_xy[:, None] - plant_xy[None], axis=2)
    user_land = land_of(user_xy, users["district"].to_numpy(object))
    plant_land = land_of(plant_xy, plants["district"].to_numpy(object))
    apart[user_land[:, None] != plant_land[None]] = np.inf
    nearest = apart.argmin(axis=1)
    return nearest, apart[np.arange(len(users)), nearest]

"""Synthetic institutions and feeders: seeded, vectorised, by type of institution."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TYPES = ("school", "hospital", "office", "university", "care_home", "venue")
# By type, in that order.  Usable roof, m2 (FACTS: 100-350 / 150-800 / 30-200 / 1 000-8 000 kWp).
_MEDIAN_ROOF_M2 = np.array([1_500.0, 2_600.0, 700.0, 14_000.0, 600.0, 1_600.0])
# Floor area per usable roof m2, and electricity per floor area, kWh/(m2 a) (FACTS: 30-50 / 120-200 / 70-110).
_FLOOR_PER_ROOF = np.array([6.0, 14.0, 12.0, 10.0, 8.0, 5.0])
_KWH_PER_FLOOR_M2 = np.array([40.0, 150.0, 90.0, 65.0, 70.0, 80.0])
_SHARE_WITH_PARKING = np.array([0.25, 0.60, 0.45, 0.85, 0.25, 0.70])
_SHARE_WITH_HOT_WATER = np.array([0.20, 0.90, 0.10, 0.80, 0.90, 0.25])
_HOT_WATER_PER_FLOOR_M2 = np.array([5.0, 22.0, 2.0, 12.0, 35.0, 8.0])
_MUNICIPAL_SHARE = np.array([0.03, 0.12, 0.12, 0.90, 0.02, 0.15])
# Substations of 35 and 110 kV stand with two transformers of one of these sizes, and may be fed back
# 80 % of that (DL/T 2041); of which some share is left for public institutions (assumption, D).
_TRANSFORMER_MVA = np.array([20.0, 31.5, 40.0, 50.0])
_FEED_BACK_SHARE = 0.8
_SHARE_LEFT = (0.1, 0.5)
# Shanghai has about a thousand such substations for about 6 000 public institutions.
_FEEDERS_PER_SUBSTATION = 4
_TARIFF = np.array(["household", "two_part", "single", "two_part", "single", "single"], dtype=object)


def draw_sites(rng: np.random.Generator, type_code: IntArray, district: NDArray[np.object_]) -> pd.DataFrame:
    """Attributes of sites of the given types (positions in TYPES) and districts."""
    n = len(type_code)
    roof = _MEDIAN_ROOF_M2[type_code] * np.exp(rng.normal(0.0, 0.65, n))
    roof = np.clip(roof, 80.0, 80_000.0)
    floor = roof * _FLOOR_PER_ROOF[type_code] * np.exp(rng.normal(0.0, 0.25, n))
    load = floor * _KWH_PER_FLOOR_M2[type_code] * np.exp(rng.normal(0.0, 0.2, n))
    parking = np.where(
        rng.random(n) < _SHARE_WITH_PARKING[type_code],
        np.clip(0.35 * roof * np.exp(rng.normal(0.0, 0.5, n)), 150.0, 12_000.0),
        0.0,
    )
    facade = np.where(rng.random(n) < 0.15, np.clip(0.12 * roof, 60.0, 3_000.0), 0.0)
    hot = np.where(
        rng.random(n) < _SHARE_WITH_HOT_WATER[type_code],
        floor * _HOT_WATER_PER_FLOOR_M2[type_code] * np.exp(rng.normal(0.0, 0.3, n)),
        0.0,
    )
    flat = rng.random(n) < 0.75
    pitched_tilt = rng.choice(np.array([15.0, 20.0, 25.0]), n)
    pitched_azimuth = rng.choice(np.array([90.0, 135.0, 180.0, 180.0, 225.0, 270.0]), n)
    weak = rng.random(n) < 0.18
    large_hospital = (type_code == 1) & (roof > 4_000.0)
    level = np.where((rng.random(n) < _MUNICIPAL_SHARE[type_code]) | large_hospital, "municipal", "district")
    existing = np.where(rng.random(n) < 0.06, np.round(0.03 * roof), 0.0)
    return pd.DataFrame(
        {
            "type": np.array(TYPES, dtype=object)[type_code],
            "level": level,
            "district": district,
            "goes_first": np.isin(type_code, [2, 3]) | large_hospital,
            "usable_roof_m2": _significant(roof),
            "roof_tilt_deg": np.where(flat, 10.0, pitched_tilt),
            "roof_azimuth_deg": np.where(flat, 180.0, pitched_azimuth),
            "structure_reserve_kg_per_m2": np.where(weak, 10.0, rng.integers(16, 70, n)).astype(float),
            "roof_residual_life_years": rng.integers(3, 35, n).astype(float),
            "shading_share": np.round(np.clip(rng.beta(1.5, 14.0, n), 0.0, 0.5), 2),
            "parking_m2": _significant(parking),
            "facade_m2": _significant(facade),
            "facade_azimuth_deg": rng.choice(np.array([90.0, 135.0, 180.0, 180.0, 225.0]), n),
            "annual_load_kwh": _significant(load),
            "hot_water_kwh_per_a": _significant(hot),
            "existing_pv_kw": existing,
            "tariff": _TARIFF[type_code],
            "cost_factor": np.round(np.clip(np.exp(rng.normal(0.0, 0.1, n)), 0.7, 1.5), 2),
        }
    )


def potential_kw(sites: pd.DataFrame) -> FloatArray:
    """Rooftop and carport capacity a site could take, kW (rough, for calibrating limits)."""
    carries = sites["structure_reserve_kg_per_m2"] >= 20.0
    lasts = sites["roof_residual_life_years"] >= 10.0
    roof = sites["usable_roof_m2"] / 10.0 * (carries & lasts)
    return np.asarray(np.maximum(roof, sites["parking_m2"] / 7.0), dtype=np.float64)


def draw_grid(
    rng: np.random.Generator, sites: pd.DataFrame, per_substation: int = 40
) -> tuple[pd.Series, pd.DataFrame, pd.DataFrame]:
    """Feeders of 5 to 10 neighbouring sites of one district, and their substations.

    Returns
    -------
    feeder of each site; the feeders table; the substations table.
    """
    position = np.empty(len(sites), dtype=np.int64)
    substation: list[str] = []
    first = 0
    for district, members in sites.groupby("district", sort=True).indices.items():
        sizes = rng.integers(5, 11, len(members) // 5 + 1)
        local = np.repeat(np.arange(len(sizes)), sizes)[: len(members)]
        # Neighbours are neighbours in a random order: the coordinates are synthetic as well.
        position[rng.permutation(members)] = local + first
        num = int(local[-1]) + 1
        substation += [f"S-{district}-{k // per_substation + 1:02d}" for k in range(num)]
        first += num
    wanted = np.bincount(position, potential_kw(sites), minlength=first)
    existing = np.bincount(position, sites["existing_pv_kw"].to_numpy(np.float64), minlength=first)
    share = rng.uniform(0.25, 0.95, first)
    hosting = _significant(np.maximum(wanted * share, 60.0) + existing)
    ids = np.array([f"F-{k + 1:05d}" for k in range(first)], dtype=object)
    feeders = pd.DataFrame({"feeder": ids, "substation": substation, "hosting_capacity_kw": hosting})
    below = feeders.groupby("substation", sort=True)["hosting_capacity_kw"].sum()
    substations = pd.DataFrame(
        {"substation": below.index, "hosting_capacity_kw": _significant(0.55 * below.to_numpy())}
    )
    for frame in (feeders, substations):
        frame["source"], frame["confidence"] = "synthetic", "D"
    return pd.Series(ids[position]), feeders, substations


def draw_substations(
    rng: np.random.Generator, sites: pd.DataFrame, feeders: pd.DataFrame
) -> tuple[pd.Series, pd.DataFrame]:
    """Substations as they stand: a few feeders each, sized by their transformers, not by what is wished for.

    Parameters
    ----------
    sites : with ``feeder`` and ``district``.

    Returns
    -------
    substation of each feeder; the substations table.
    """
    district = sites.groupby("feeder")["district"].first().reindex(feeders["feeder"])
    number = district.groupby(district).cumcount().to_numpy() // _FEEDERS_PER_SUBSTATION + 1
    names = pd.Series([f"S-{d}-{k:03d}" for d, k in zip(district, number, strict=True)])
    ids = names.drop_duplicates()
    mva = 2.0 * rng.choice(_TRANSFORMER_MVA, len(ids)) * rng.uniform(*_SHARE_LEFT, len(ids))
    table = pd.DataFrame(
        {"substation": ids.to_numpy(), "hosting_capacity_kw": _significant(_FEED_BACK_SHARE * mva * 1e3)}
    )
    table["source"], table["confidence"] = "synthetic", "D"
    return names, table


def _significant(values: FloatArray, digits: int = 3) -> FloatArray:
    """Rounded to ``digits`` significant digits, at least to whole numbers."""
    magnitude = np.floor(np.log10(np.maximum(values, 1.0)))
    step = np.maximum(10.0 ** (magnitude - digits + 1), 1.0)
    return np.asarray(np.round(values / step) * step)

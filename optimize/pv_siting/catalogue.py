"""Starting catalogues: weather of a typical Shanghai year, load profiles, kinds, storage, hot water, tariffs.

Figures and their confidence grades: SOURCES.md of the Shanghai instance.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pvlib import irradiance, solarposition

from optimize.pv_siting.schema import DAY_KINDS, HOURS
from optimize.units import DAYS_PER_MONTH

FloatArray = NDArray[np.float64]

# Monthly global horizontal irradiation of the TMYx record for Shanghai, kWh/m2 (sum 1 481).
GHI_KWH_PER_M2 = (91, 79, 133, 155, 175, 129, 169, 160, 118, 108, 84, 80)
# Monthly mean air temperature, C (general knowledge of the climate normals).
MEAN_TEMP_C = (5.0, 6.8, 10.7, 16.0, 21.1, 24.7, 29.0, 28.6, 25.1, 20.0, 14.1, 7.9)
# Days whose declination is the month's mean (Klein 1977).
MEAN_DAYS = (17, 16, 16, 15, 15, 11, 17, 16, 15, 15, 14, 10)
# Sky states: share of the month's days and daily irradiation relative to the month's mean.
_SKIES = (("overcast", 0.30, 0.35), ("mixed", 0.35, None), ("clear", 0.35, 1.45))
_CLEAREST_INDEX = 0.74
_LATITUDE_DEG = 31.23


def typical_weather() -> pd.DataFrame:
    """Weather table of 12 months x 3 sky states x 24 hours.

    The month's irradiation is spread over an overcast, a mixed and a clear day, each over its
    hours by Collares-Pereira and Rabl (1979) and split into direct and diffuse by Erbs et al.
    (1982).  Irradiance is rounded to 1 W/m2.
    """
    parts = [
        _sky_day(month, day, sky, days, kwh)
        for month, day in enumerate(MEAN_DAYS, start=1)
        for sky, days, kwh in _skies_of(month, day)
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame["source"] = "own calculation from the monthly sums of a TMYx record"
    frame["confidence"] = "C"
    return frame


def _day_of_year(month: int, day: int) -> int:
    return sum(DAYS_PER_MONTH[: month - 1]) + day


def _sun(month: int, day: int) -> tuple[FloatArray, float]:
    """Hour angle at mid-hour in solar time, and the sunset hour angle, rad."""
    declination = solarposition.declination_spencer71(_day_of_year(month, day))
    sunset = float(np.arccos(-np.tan(np.radians(_LATITUDE_DEG)) * np.tan(declination)))
    return np.radians((np.arange(24) + 0.5 - 12.0) * 15.0), sunset


def _cos_zenith(month: int, day: int) -> FloatArray:
    hour_angle, _ = _sun(month, day)
    declination = solarposition.declination_spencer71(_day_of_year(month, day))
    latitude = np.radians(_LATITUDE_DEG)
    return np.asarray(
        np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(hour_angle)
    )


def _skies_of(month: int, day: int) -> list[tuple[str, float, float]]:
    """Name, days of the month and daily kWh/m2 of each sky state; their sum is the month's."""
    num_days = DAYS_PER_MONTH[month - 1]
    mean = GHI_KWH_PER_M2[month - 1] / num_days
    outside = float(irradiance.get_extra_radiation(_day_of_year(month, day)))
    outside_day = outside / 1000.0 * float(np.maximum(_cos_zenith(month, day), 0.0).sum())
    found, rest, rest_days = [], mean * num_days, float(num_days)
    for sky, share, relative in _SKIES:
        if relative is None:
            continue
        days = share * num_days
        kwh = min(relative * mean, _CLEAREST_INDEX * outside_day)
        found.append((sky, days, kwh))
        rest, rest_days = rest - days * kwh, rest_days - days
    found.insert(1, ("mixed", rest_days, rest / rest_days))
    return found


def _sky_day(month: int, day: int, sky: str, days: float, kwh: float) -> pd.DataFrame:
    hour_angle, sunset = _sun(month, day)
    cos_zenith = _cos_zenith(month, day)
    a = 0.409 + 0.5016 * np.sin(sunset - np.pi / 3.0)
    b = 0.6609 - 0.4767 * np.sin(sunset - np.pi / 3.0)
    shape = (a + b * np.cos(hour_angle)) * (np.cos(hour_angle) - np.cos(sunset))
    shape = np.where((np.abs(hour_angle) < sunset) & (cos_zenith > 0.02), np.maximum(shape, 0.0), 0.0)
    ghi = kwh * 1000.0 * shape / shape.sum()
    zenith = np.degrees(np.arccos(np.clip(cos_zenith, -1.0, 1.0)))
    split = irradiance.erbs(ghi, zenith, np.full(24, _day_of_year(month, day)))
    dhi = np.minimum(np.asarray(split["dhi"]), ghi)
    dni = np.where(cos_zenith > 0.02, (ghi - dhi) / np.maximum(cos_zenith, 0.02), 0.0)
    swing = {"overcast": 3.0, "mixed": 6.0, "clear": 9.0}[sky]
    temp = MEAN_TEMP_C[month - 1] + swing / 2.0 * np.cos(np.radians((np.arange(24) - 14.5) * 15.0))
    return pd.DataFrame(
        {
            "month": month,
            "day": day,
            "sky": sky,
            "hour": np.arange(24),
            "days": round(days, 2),
            "ghi_w_per_m2": ghi.round(),
            "dni_w_per_m2": dni.round(),
            "dhi_w_per_m2": dhi.round(),
            "temp_air_c": temp.round(1),
            "wind_m_per_s": 2.5,
        }
    )


# Relative power by hour on a weekday and on a weekend day, and by month.
_SHAPES: dict[str, tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]] = {
    "office": (
        (22, 21, 20, 20, 20, 22, 30, 55, 88, 97, 100, 98, 84, 92, 98, 97, 92, 76, 50, 40, 34, 30, 26, 24),
        (20, 19, 19, 19, 19, 19, 20, 22, 26, 28, 30, 30, 29, 29, 29, 28, 27, 25, 24, 23, 22, 21, 20, 20),
        (1.05, 1.00, 0.85, 0.75, 0.85, 1.10, 1.40, 1.40, 1.10, 0.80, 0.80, 1.00),
    ),
    "school": (
        (14, 13, 13, 13, 13, 16, 30, 62, 95, 100, 100, 96, 88, 92, 96, 90, 66, 42, 32, 28, 24, 20, 17, 15),
        (12, 12, 12, 12, 12, 12, 13, 15, 19, 21, 22, 22, 21, 21, 21, 20, 18, 16, 15, 14, 14, 13, 12, 12),
        (0.80, 0.50, 1.05, 0.95, 1.05, 1.25, 0.55, 0.45, 1.30, 0.95, 0.95, 1.10),
    ),
    "hospital": (
        (55, 53, 52, 52, 53, 57, 66, 82, 95, 100, 100, 98, 92, 93, 96, 95, 90, 82, 76, 72, 68, 64, 60, 57),
        (54, 52, 51, 51, 52, 55, 60, 68, 76, 80, 81, 80, 77, 77, 78, 77, 75, 72, 70, 68, 65, 62, 58, 56),
        (1.05, 1.00, 0.90, 0.82, 0.90, 1.08, 1.30, 1.30, 1.08, 0.85, 0.85, 1.00),
    ),
    "university": (
        (46, 42, 39, 38, 38, 40, 50, 66, 85, 95, 100, 98, 92, 90, 94, 94, 88, 84, 86, 88, 84, 76, 64, 54),
        (44, 41, 38, 37, 37, 39, 44, 52, 62, 68, 71, 71, 69, 68, 69, 69, 67, 67, 70, 72, 70, 65, 57, 49),
        (0.80, 0.60, 1.05, 0.95, 1.05, 1.30, 0.90, 0.75, 1.30, 0.95, 0.95, 1.10),
    ),
    "care_home": (
        (50, 48, 47, 47, 49, 58, 74, 82, 84, 84, 88, 94, 90, 84, 82, 82, 86, 96, 100, 94, 84, 72, 60, 54),
        (50, 48, 47, 47, 49, 58, 74, 82, 84, 84, 88, 94, 90, 84, 82, 82, 86, 96, 100, 94, 84, 72, 60, 54),
        (1.15, 1.05, 0.90, 0.80, 0.85, 1.00, 1.25, 1.25, 1.00, 0.82, 0.85, 1.08),
    ),
    "venue": (
        (18, 17, 16, 16, 16, 18, 24, 36, 58, 74, 82, 84, 82, 84, 88, 90, 92, 96, 100, 98, 84, 58, 34, 22),
        (18, 17, 16, 16, 16, 18, 24, 40, 70, 86, 94, 96, 94, 96, 98, 98, 98, 98, 100, 96, 82, 56, 34, 22),
        (0.95, 0.95, 0.88, 0.85, 0.92, 1.05, 1.35, 1.35, 1.05, 0.88, 0.85, 0.92),
    ),
}  # fmt: skip


def load_profiles() -> pd.DataFrame:
    """Load profiles of all types (own assumption)."""
    rows = []
    for name, (weekday, weekend, months) in _SHAPES.items():
        for month, factor in enumerate(months, start=1):
            for day_kind, shape in zip(DAY_KINDS, (weekday, weekend), strict=True):
                rows.append((name, month, day_kind, *(round(v * factor, 1) for v in shape)))
    return pd.DataFrame(rows, columns=["type", "month", "day_kind", *HOURS])


def kinds() -> pd.DataFrame:
    """Kinds of PV installation, CAPEX of 2022."""
    columns = [
        "kind", "name_zh", "name_en", "surface", "tilt_deg", "m2_per_kw", "kg_per_m2", "min_kw", "yield_factor",
        "capex_fixed_cny", "capex_cny_per_kw", "opex_cny_per_kw_a", "other_income_cny_per_kw_a", "life_years",
        "subsidy_cny_per_kwh", "counts_bipv", "counts_carport", "emc_allowed", "source", "confidence",
    ]  # fmt: skip
    rows = [
        ("rooftop", "屋顶光伏", "rooftop", "roof", np.nan, 10.0, 20.0, 10.0, 0.97, 60_000, 3_700, 55, 0, 25, 0.05, False, False, True, "pv_costs: rooftop flat; subsidy ECNS 2022-11-24", "D"),
        ("bipv", "建筑一体化屋面", "building-integrated roof", "roof", np.nan, 7.0, 15.0, 20.0, 0.95, 150_000, 6_000, 60, 0, 25, 0.30, True, False, False, "pv_costs: bipv_roof, roof-cover credit deducted; subsidy ECNS 2022-11-24", "D"),
        ("bipv_facade", "建筑一体化立面", "building-integrated façade", "facade", 90.0, 7.0, 0.0, 10.0, 0.93, 150_000, 8_500, 60, 0, 25, 0.30, True, False, False, "pv_costs: bipv_facade; subsidy ECNS 2022-11-24", "D"),
        ("carport", "光伏车棚+充电", "PV carport with chargers", "parking", 5.0, 7.0, 0.0, 20.0, 0.96, 120_000, 5_600, 60, 90, 25, 0.05, False, True, True, "pv_costs: pv_carport_with_chargers; charging margin assumed", "D"),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def storages() -> pd.DataFrame:
    """Storage; `flex` adds direct-current distribution and flexible load."""
    rows = [
        ("battery", 0.5, 40_000, 1_500, 15, 12, 0.88, 0.25, False, "general knowledge", "D"),
        ("flex", 1.0, 120_000, 1_700, 20, 12, 0.92, 0.50, True, "general knowledge", "D"),
    ]
    return pd.DataFrame(
        rows,
        columns=[
            "storage", "kwh_per_kw", "capex_fixed_cny", "capex_cny_per_kwh", "opex_cny_per_kwh_a", "life_years",
            "efficiency", "hosting_relief_share", "counts_flex", "source", "confidence",
        ],
    )  # fmt: skip


def hot_water() -> pd.DataFrame:
    """Hot-water systems."""
    rows = [
        ("solar_thermal", 0.6, 0.0016, 35.0, 0.04, 30_000, 2.6, 0.015, 15, "general knowledge", "D"),
        ("air_source", 1.0, 0.0001, 60.0, 0.30, 25_000, 0.9, 0.03, 12, "general knowledge", "D"),
    ]
    return pd.DataFrame(
        rows,
        columns=[
            "hot_water", "share_served", "roof_m2_per_kwh", "kg_per_m2", "electricity_kwh_per_kwh",
            "capex_fixed_cny", "capex_cny_per_kwh", "opex_share", "life_years", "source", "confidence",
        ],
    )  # fmt: skip


def tariffs() -> pd.DataFrame:
    """Tariff classes of 2022."""
    rows = [
        (
            "household",
            0.62,
            0.12,
            "tariffs_tou: school_household_tariff; subsidy ECNS 2022-11-24",
            "D",
        ),
        ("single", 0.76, 0.05, "tariffs_tou: flat_price_single_part", "D"),
        ("two_part", 0.66, 0.05, "tariffs_tou: flat_price_two_part_10kV", "D"),
    ]
    columns = ["tariff", "price_cny_per_kwh", "subsidy_cny_per_kwh", "source", "confidence"]
    return pd.DataFrame(rows, columns=columns)


def configurations() -> pd.DataFrame:
    """What may be built: size steps of rooftop PV, with storage, beside hot water, and the pilots."""
    rows = [
        ("roof50", "rooftop", 0.5, "", ""),
        ("roof100", "rooftop", 1.0, "", ""),
        ("roof100_battery", "rooftop", 1.0, "battery", ""),
        ("roof60_flex", "rooftop", 0.6, "flex", ""),
        ("roof75_solar_heat", "rooftop", 0.75, "", "solar_thermal"),
        ("roof75_air_heat", "rooftop", 0.75, "", "air_source"),
        ("air_heat", "", 1.0, "", "air_source"),
        ("bipv70", "bipv", 0.7, "", ""),
        ("facade", "bipv_facade", 1.0, "", ""),
        ("carport", "carport", 1.0, "", ""),
    ]
    return pd.DataFrame(rows, columns=["configuration", "kind", "fill_share", "storage", "hot_water"])

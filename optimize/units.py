"""Units of the tables and the alternative spellings that are converted on load.

Base units: CNY, kWh, kW, m3, m3/d, m, km, kg, tCO2, tce.  A column ``capex_cny`` may be
given as ``capex_wan_cny`` (万元); the reader multiplies and renames.
"""

from __future__ import annotations

from types import MappingProxyType

# Column-name suffix in base units -> {alternative suffix: factor to the base unit}.
ALTERNATIVE_SUFFIXES = MappingProxyType(
    {
        "_cny": {"_wan_cny": 1e4, "_mcny": 1e6},
        "_cny_per_kw": {"_cny_per_w": 1e3},
        "_kw": {"_mw": 1e3},
        "_kwh": {"_mwh": 1e3, "_gwh": 1e6},
        "_m3_per_d": {"_wan_m3_per_d": 1e4, "_ml_per_d": 1e3},
        "_m": {"_km": 1e3},
        "_m2": {"_ha": 1e4},
    }
)

HOURS_PER_YEAR = 8760.0
DAYS_PER_YEAR = 365.0
DAYS_PER_MONTH = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def alternative_names(column: str) -> dict[str, float]:
    """Other names under which ``column`` may appear, each with its factor to base units."""
    suffixes = sorted(ALTERNATIVE_SUFFIXES, key=len, reverse=True)
    for suffix in suffixes:
        if column.endswith(suffix):
            stem = column[: -len(suffix)]
            if stem.endswith("_per"):  # a price per kWh is no amount of kWh
                return {}
            return {stem + other: k for other, k in ALTERNATIVE_SUFFIXES[suffix].items()}
    return {}

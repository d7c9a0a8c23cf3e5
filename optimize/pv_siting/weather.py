"""Weather files (EPW, PVGIS typical year) as rows of the weather table."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pandas as pd
from pvlib import iotools

from optimize.errors import Fault, InputFaults

_COLUMNS = {
    "ghi": "ghi_w_per_m2",
    "dni": "dni_w_per_m2",
    "dhi": "dhi_w_per_m2",
    "temp_air": "temp_air_c",
    "wind_speed": "wind_m_per_s",
}


def read_weather_file(path: Path, utc_offset_h: float) -> pd.DataFrame:
    """Hourly rows of one year from an EPW or a PVGIS typical-year file (CSV or JSON).

    Hours are those of local standard time; 29 February is left out.

    Raises
    ------
    InputFaults : the file cannot be read or lacks a column.
    """
    try:
        frame = _read(path)
    except (OSError, ValueError, LookupError) as error:
        fault = Fault(
            "instance.toml", "pv_siting.weather_file", "an EPW or PVGIS TMY file", f"{path}: {error}"
        )
        raise InputFaults([fault]) from error
    missing = sorted(set(_COLUMNS) - set(frame.columns))
    if missing:
        raise InputFaults(
            [Fault(str(path), ", ".join(missing), "in the weather file", f"only {', '.join(frame.columns)}")]
        )
    index = pd.DatetimeIndex(frame.index)
    if index.tz is None:
        index = index.tz_localize("UTC")
    local = (index.tz_convert("UTC") + pd.Timedelta(hours=utc_offset_h)).tz_localize(None)
    rows = frame[list(_COLUMNS)].rename(columns=_COLUMNS).reset_index(drop=True)
    rows.insert(0, "month", local.month)
    rows.insert(1, "day", local.day)
    rows.insert(2, "sky", "file")
    rows.insert(3, "hour", local.hour)
    rows = rows[~((rows["month"] == 2) & (rows["day"] == 29))]
    rows = rows.groupby(["month", "day", "sky", "hour"], as_index=False).mean()
    rows["days"] = 365.0 / (len(rows) / 24.0)
    rows["source"], rows["confidence"] = path.name, "B"
    irradiance = ["ghi_w_per_m2", "dni_w_per_m2", "dhi_w_per_m2"]
    rows[irradiance] = rows[irradiance].clip(lower=0.0)
    return rows


def _read(path: Path) -> pd.DataFrame:
    if path.suffix.lower() == ".epw":
        return cast(pd.DataFrame, iotools.read_epw(path)[0])
    return cast(pd.DataFrame, iotools.read_pvgis_tmy(path)[0])

"""Weather files (EPW, PVGIS typical year, PVGIS hourly series) as rows of the weather table.

Hours are those of local standard time; 29 February is left out.  A typical year stands for one day
a day; each year of a series is a state of the sky of its own that stands for its share of the days,
because averaging years would blur clear and overcast days.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from optimize.errors import Fault, InputFaults
from optimize.pv_siting.schema import WEATHER

_COLUMNS = {
    "ghi": "ghi_w_per_m2",
    "dni": "dni_w_per_m2",
    "dhi": "dhi_w_per_m2",
    "temp_air": "temp_air_c",
    "wind_speed": "wind_m_per_s",
}
# What PVGIS gives of a horizontal plane when components are asked for.
_COMPONENTS = ("poa_direct", "poa_sky_diffuse", "solar_elevation")
_HOURS = 8760
_DOWNLOAD = "download it from PVGIS (TMY; or hourly, horizontal plane with radiation components), or an EPW"


def read_weather_file(path: Path, utc_offset_h: float) -> pd.DataFrame:
    """Hourly rows from an EPW file, or from PVGIS' typical year or hourly series (CSV or JSON).

    Raises
    ------
    InputFaults : there is no such file, it cannot be read, or it lacks columns or hours.
    """
    frame, by_year = _read(path)
    missing = [name for name in _COLUMNS if name not in frame.columns]
    if missing:
        raise InputFaults(
            [_fault(path, ", ".join(missing), "in the file", f"only {', '.join(frame.columns)}")]
        )
    index = pd.DatetimeIndex(frame.index)
    index = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
    local = index + pd.Timedelta(hours=utc_offset_h)
    rows = frame[list(_COLUMNS)].rename(columns=_COLUMNS).reset_index(drop=True)
    rows.insert(0, "month", local.month)
    rows.insert(1, "day", local.day)
    rows.insert(2, "sky", index.year.astype(str) if by_year else "file")
    rows.insert(3, "hour", local.hour)
    rows = rows[~((rows["month"] == 2) & (rows["day"] == 29))].reset_index(drop=True)
    faults = [*_faults_of_hours(path, rows), *_faults_of_values(path, rows)]
    if faults:
        raise InputFaults(faults)
    rows["days"] = 1.0 / rows["sky"].nunique()
    rows["source"], rows["confidence"] = path.name, "B"
    return rows


def _read(path: Path) -> tuple[pd.DataFrame, bool]:
    """Columns under pvlib's names by time, and whether each calendar year stands for itself."""
    from pvlib import iotools  # half a second, and few instances bring a weather file

    if not path.is_file():
        raise InputFaults(
            [
                Fault(
                    "instance.toml", "pv_siting.weather_file", "a file in the instance folder",
                    f'"{path}", which is not there', "put it there, or leave the parameter empty",
                )
            ]
        )  # fmt: skip
    try:
        if path.suffix.lower() == ".epw":
            return iotools.read_epw(path)[0], False
        text = path.read_text(encoding="utf-8")
        if "tmy_hourly" in text or "time(UTC)" in text:
            frame = iotools.read_pvgis_tmy(path)[0]
            return frame[frame.index.notna()], False  # pvlib fills a file cut short with empty rows
        frame, about = iotools.read_pvgis_hourly(path)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        # pvlib's parsers fail in these ways on what is not their format
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputFaults([_fault(path, "(file)", "an EPW or PVGIS file", reason)]) from error
    return _from_components(path, frame, about), True


def _from_components(path: Path, frame: pd.DataFrame, about: dict[str, object]) -> pd.DataFrame:
    """Global, direct normal and diffuse irradiance from those on PVGIS' horizontal plane, W/m2."""
    from pvlib import irradiance  # as in `_read`

    missing = [name for name in _COMPONENTS if name not in frame.columns]
    if missing:
        found = f"only {', '.join(frame.columns)}"
        raise InputFaults([_fault(path, ", ".join(missing), "radiation components", found)])
    slope = _slope_deg(about["inputs"])
    if slope != 0.0:
        raise InputFaults([_fault(path, "slope", "0 deg (a horizontal plane)", f"{slope:g} deg")])
    diffuse = frame["poa_sky_diffuse"]
    ghi = frame["poa_direct"] + diffuse
    dni = irradiance.dni(ghi, diffuse, 90.0 - frame["solar_elevation"]).fillna(0.0)
    # the quotient of two small numbers at a low sun: never more than arrives above the air
    outside = irradiance.get_extra_radiation(pd.DatetimeIndex(frame.index).day_of_year.to_numpy())
    return frame.assign(ghi=ghi, dhi=diffuse, dni=np.minimum(dni, outside))


def _slope_deg(inputs: object) -> float:
    """Slope of the plane: a line of the CSV's head, nested in the JSON."""
    assert isinstance(inputs, dict)
    if "Slope" in inputs:
        return float(str(inputs["Slope"]).split()[0])
    return float(inputs["mounting_system"]["fixed"]["slope"]["value"])


def _faults_of_hours(path: Path, rows: pd.DataFrame) -> Iterator[Fault]:
    for sky, part in rows.groupby("sky", sort=False):
        found = len(part.drop_duplicates(["month", "day", "hour"]))
        if found != _HOURS or len(part) != _HOURS:
            which = "" if sky == "file" else f" of {sky}"
            yield _fault(
                path, "time", f"each of the {_HOURS} hours{which} once", f"{len(part)} rows, {found} hours"
            )


def _faults_of_values(path: Path, rows: pd.DataFrame) -> Iterator[Fault]:
    for name in _COLUMNS.values():
        column = WEATHER.column(name)
        assert column.minimum is not None and column.maximum is not None
        values = rows[name].to_numpy(np.float64)
        wrong = np.flatnonzero(~((values >= column.minimum) & (values <= column.maximum)))
        if len(wrong):
            first = rows.iloc[wrong[0]]
            yield _fault(
                path, name, f"{column.unit} in {column.minimum:g}…{column.maximum:g}",
                f"{values[wrong[0]]:g} on {first['month']}-{first['day']} at {first['hour']} h "
                f"({len(wrong)} hours in all)",
            )  # fmt: skip


def _fault(path: Path, column: str, expected: str, found: str) -> Fault:
    return Fault(path.name, column, expected, found, _DOWNLOAD)

"""(P1) What a kilowatt generates, hour by hour, by tilt and azimuth, from the weather (pvlib).

Sun: Spencer's declination and equation of time with the analytical zenith and azimuth, at the
middle of each hour.  Plane of array: Hay and Davies.  Module temperature: Faiman.  Power: PVWatts
with one loss share.  `checker` re-implements the same equations without pvlib.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.pv_siting.instance import Instance

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class TypicalDays:
    """The weather as days of 24 hours.

    Attributes
    ----------
    month : shape (d,), 1..12.
    num_days : shape (d,), days of the year each stands for.
    frame : the rows, ordered by day and hour, length 24 d.
    sun : where the sun stands in the middle of each of these hours.
    """

    month: NDArray[np.int64]
    num_days: FloatArray
    frame: pd.DataFrame
    sun: pd.DataFrame


def derive_typical_days(instance: Instance) -> TypicalDays:
    """Order the weather rows by day and hour and scale them to the wanted irradiance."""
    rows = instance.weather
    rows = rows[~((rows["month"] == 2) & (rows["day"] == 29))]
    rows = rows.sort_values(["month", "day", "sky", "hour"], ignore_index=True)
    wanted = instance.pv.ghi_kwh_per_m2_a
    if wanted > 0:
        found = float((rows["ghi_w_per_m2"] * rows["days"]).sum()) / 1000.0
        columns = ["ghi_w_per_m2", "dni_w_per_m2", "dhi_w_per_m2"]
        rows = rows.assign(**{name: rows[name] * (wanted / found) for name in columns})
    first_hours = rows.iloc[::24]
    pv = instance.pv
    return TypicalDays(
        first_hours["month"].to_numpy(np.int64),
        first_hours["days"].to_numpy(np.float64),
        rows,
        _sun_position(rows, pv.latitude_deg, pv.longitude_deg, pv.utc_offset_h),
    )


def derive_generation_per_kw(
    instance: Instance, days: TypicalDays, tilt_deg: FloatArray, azimuth_deg: FloatArray
) -> FloatArray:
    """Generation of 1 kW on an unshaded open rack.

    Parameters
    ----------
    tilt_deg, azimuth_deg : shape (p,), distinct orientations.

    Returns
    -------
    shape (p, d, 24), kWh in each hour of each typical day.
    """
    from pvlib import irradiance, pvsystem, temperature  # half a second, for all who only import this module

    rows, sun, pv = days.frame, days.sun, instance.pv
    day_of_year = sun["day_of_year"].to_numpy()
    extraterrestrial = irradiance.get_extra_radiation(day_of_year, method="spencer")
    power = np.empty((len(tilt_deg), len(rows)))
    for position, (tilt, azimuth) in enumerate(zip(tilt_deg, azimuth_deg, strict=True)):
        plane = irradiance.get_total_irradiance(
            tilt,
            azimuth,
            sun["zenith_deg"].to_numpy(),
            sun["azimuth_deg"].to_numpy(),
            rows["dni_w_per_m2"].to_numpy(),
            rows["ghi_w_per_m2"].to_numpy(),
            rows["dhi_w_per_m2"].to_numpy(),
            dni_extra=extraterrestrial,
            albedo=pv.albedo,
            model="haydavies",
        )["poa_global"]
        cell = temperature.faiman(plane, rows["temp_air_c"].to_numpy(), rows["wind_m_per_s"].to_numpy())
        power[position] = pvsystem.pvwatts_dc(plane, cell, 1.0, pv.temperature_coefficient_per_k)
    kept = np.maximum(power, 0.0) * (1.0 - pv.system_loss_share)
    return kept.reshape(len(tilt_deg), -1, 24)


def _sun_position(
    rows: pd.DataFrame, latitude_deg: float, longitude_deg: float, utc_offset_h: float
) -> pd.DataFrame:
    from pvlib import solarposition  # as in `derive_generation_per_kw`

    # The year only has to be one without 29 February; positions depend on the day of the year.
    midnight = pd.to_datetime(pd.DataFrame({"year": 2021, "month": rows["month"], "day": rows["day"]}))
    local = pd.DatetimeIndex(midnight + pd.to_timedelta(rows["hour"] + 0.5, unit="h"))
    times = (local - pd.Timedelta(hours=utc_offset_h)).tz_localize("UTC")
    day_of_year = local.day_of_year.to_numpy(np.float64)
    hour_angle = np.radians(
        _wrap_half_turn(
            solarposition.hour_angle(
                times, longitude_deg, solarposition.equation_of_time_spencer71(day_of_year)
            )
        )
    )
    declination = solarposition.declination_spencer71(day_of_year)
    latitude = np.radians(latitude_deg)
    zenith = solarposition.solar_zenith_analytical(latitude, hour_angle, declination)
    azimuth = solarposition.solar_azimuth_analytical(latitude, hour_angle, declination, zenith)
    return pd.DataFrame(
        {
            "day_of_year": day_of_year,
            "zenith_deg": np.degrees(zenith),
            "azimuth_deg": np.degrees(azimuth),
        }
    )


def _wrap_half_turn(angle_deg: FloatArray) -> FloatArray:
    return (np.asarray(angle_deg) + 180.0) % 360.0 - 180.0

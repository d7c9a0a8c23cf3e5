"""Weather files: each format gives the same hours, faults say what is wrong, the content counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optimize.errors import Fault, InputFaults
from optimize.io.instance_folder import read_instance
from optimize.io.write import write_instance
from optimize.pv_siting.energy import derive_energy
from optimize.pv_siting.layouts import derive_layouts
from optimize.pv_siting.programme import PROGRAMME
from optimize.pv_siting.schema import SCHEMA
from optimize.pv_siting.weather import read_weather_file
from optimize.schema import InstanceDraft

from .conftest import changed, instance_of

GHI, DNI, DHI, TEMP, WIND = 500.0, 600.0, 200.0, 18.0, 2.0


def hours(years: tuple[int, ...] = (2021,)) -> pd.DataFrame:
    """Sun of constant strength from 8 to 16 o'clock in Shanghai (0 to 8 UTC), by UTC hour."""
    times = pd.DatetimeIndex(
        np.concatenate([pd.date_range(f"{y}-01-01", f"{y}-12-31 23:00", freq="h") for y in years])
    )
    return pd.DataFrame({"time": times, "shines": times.hour < 8})


def epw(frame: pd.DataFrame) -> str:
    head = "LOCATION,Shanghai,-,CHN,TEST,583620,31.2,121.5,8.0,7.0\n" + "X\n" * 7
    lines = []
    for time in pd.DatetimeIndex(frame["time"]):
        ghi, dni, dhi = (GHI, DNI, DHI) if 8 <= time.hour < 16 else (0, 0, 0)  # EPW is in local time
        values = [time.year, time.month, time.day, time.hour + 1, 60, "?", TEMP, 10, 50, 101325, 0, 0, 300]
        values += [
            ghi,
            dni,
            dhi,
            0,
            0,
            0,
            0,
            180,
            WIND,
            5,
            5,
            10,
            77777,
            9,
            999999999,
            20,
            0.1,
            0,
            88,
            0,
            0,
            0,
        ]
        lines.append(",".join(map(str, values)))
    return head + "\n".join(lines) + "\n"


def tmy_csv(frame: pd.DataFrame) -> str:
    lines = [
        "Latitude (decimal degrees): 31.230",
        "Longitude (decimal degrees): 121.470",
        "Elevation (m): 4.0",
    ]
    lines += ["month,year", *(f"{month},{2005 + month}" for month in range(1, 13))]
    lines.append("time(UTC),T2m,RH,G(h),Gb(n),Gd(h),IR(h),WS10m,WD10m,SP")
    for time, shines in zip(frame["time"], frame["shines"], strict=True):
        sun = (GHI, DNI, DHI) if shines else (0.0, 0.0, 0.0)
        lines.append(f"{time:%Y%m%d:%H%M},{TEMP},70,{sun[0]},{sun[1]},{sun[2]},300,{WIND},90,101325")
    return "\n".join([*lines, "", "T2m: 2-m air temperature (degree Celsius)", ""])


def tmy_json(frame: pd.DataFrame) -> str:
    rows = [
        {
            "time(UTC)": f"{time:%Y%m%d:%H%M}", "T2m": TEMP, "RH": 70.0, "G(h)": GHI * shines, "Gb(n)": DNI * shines,
            "Gd(h)": DHI * shines, "IR(h)": 300.0, "WS10m": WIND, "WD10m": 90.0, "SP": 101325.0,
        }
        for time, shines in zip(frame["time"], frame["shines"], strict=True)
    ]  # fmt: skip
    months = [{"month": month, "year": 2005 + month} for month in range(1, 13)]
    outputs = {"months_selected": months, "tmy_hourly": rows}
    return json.dumps({"inputs": {"location": {}}, "outputs": outputs, "meta": {"inputs": {}}})


# A sun of 30 degrees: a beam of 600 W/m2 gives 300 W/m2 on a horizontal plane.
BEAM_ON_PLANE, ELEVATION = 300.0, 30.0


def series_csv(frame: pd.DataFrame, slope: int = 0) -> str:
    lines = [
        "Latitude (decimal degrees):\t31.230",
        "Longitude (decimal degrees):\t121.470",
        "Elevation (m):\t4",
    ]
    lines += ["Radiation database:\tPVGIS-ERA5", "", f"Slope: {slope} deg. ", "Azimuth: 0 deg. "]
    lines.append("time,Gb(i),Gd(i),Gr(i),H_sun,T2m,WS10m,Int")
    for time, shines in zip(frame["time"], frame["shines"], strict=True):
        sun = (BEAM_ON_PLANE, DHI, ELEVATION) if shines else (0.0, 0.0, 0.0)
        lines.append(f"{time:%Y%m%d:%H}10,{sun[0]},{sun[1]},0.0,{sun[2]},{TEMP},{WIND},0.0")
    return "\n".join([*lines, "", "Gb(i): Beam irradiance", ""])


def series_json(frame: pd.DataFrame, slope: int = 0) -> str:
    rows = [
        {
            "time": f"{time:%Y%m%d:%H}10", "Gb(i)": BEAM_ON_PLANE * shines, "Gd(i)": DHI * shines, "Gr(i)": 0.0,
            "H_sun": ELEVATION * shines, "T2m": TEMP, "WS10m": WIND, "Int": 0.0,
        }
        for time, shines in zip(frame["time"], frame["shines"], strict=True)
    ]  # fmt: skip
    inputs = {"mounting_system": {"fixed": {"slope": {"value": slope}}}}
    return json.dumps({"inputs": inputs, "outputs": {"hourly": rows}, "meta": {"inputs": {}}})


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


FORMATS: dict[str, Callable[[pd.DataFrame], str]] = {
    "w.epw": epw,
    "tmy.csv": tmy_csv,
    "tmy.json": tmy_json,
    "series.csv": series_csv,
    "series.json": series_json,
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_local_hours(name: str, tmp_path: Path) -> None:
    rows = read_weather_file(written(tmp_path, name, FORMATS[name](hours())), 8.0)
    assert len(rows) == 8760 and rows["days"].tolist() == [1.0] * 8760
    assert not rows.duplicated(["month", "day", "sky", "hour"]).any()
    day = rows[(rows["month"] == 6) & (rows["day"] == 1)].sort_values("hour")
    shines = [8 <= hour < 16 for hour in range(24)]
    assert day["ghi_w_per_m2"].tolist() == [GHI * s for s in shines]
    assert day["dhi_w_per_m2"].tolist() == [DHI * s for s in shines]
    assert day["dni_w_per_m2"].tolist() == pytest.approx([DNI * s for s in shines])
    assert set(rows["temp_air_c"]) == {TEMP} and set(rows["wind_m_per_s"]) == {WIND}


def test_years_of_a_series_share_the_days_and_leap_days_are_left_out(tmp_path: Path) -> None:
    rows = read_weather_file(written(tmp_path, "series.csv", series_csv(hours((2019, 2020)))), 8.0)
    assert rows.groupby("sky").size().to_dict() == {"2019": 8760, "2020": 8760}
    assert rows["days"].sum() == pytest.approx(24 * 365.0)


def test_low_sun_gives_no_more_than_arrives_above_the_air(tmp_path: Path) -> None:
    text = series_csv(hours()).replace(f",{ELEVATION},", ",2.5,")
    rows = read_weather_file(written(tmp_path, "series.csv", text), 8.0)
    assert 1_300 < rows["dni_w_per_m2"].max() < 1_420


def test_the_file_takes_the_place_of_the_table(tmp_path: Path, draft: InstanceDraft) -> None:
    path = written(tmp_path, "tmy.csv", tmy_csv(hours()))
    instance = instance_of(changed(draft, parameters={"pv_siting.weather_file": str(path)}))
    assert len(instance.weather) == 8760
    layouts = derive_layouts(instance)
    energy = derive_energy(instance, layouts)
    plain = derive_energy(instance_of(draft), layouts)
    pv = layouts.kw > 0
    assert (energy.generation_kwh[pv] != plain.generation_kwh[pv]).all()
    assert (energy.generation_kwh[pv] / layouts.kw[pv] > 300).all()


FAULTS: dict[str, tuple[str, Callable[[], str], str, str]] = {
    # name: (file, content, column of the fault, words in it)
    "not a weather file": ("w.csv", lambda: "not,a,weather,file\n1,2,3,4\n", "(file)", "EPW or PVGIS"),
    "empty file": ("w.json", lambda: "", "(file)", "EPW or PVGIS"),
    "unknown kind": ("w.txt", lambda: tmy_csv(hours()), "(file)", "unknown"),
    "series cut short": ("w.csv", lambda: "\n".join(series_csv(hours()).splitlines()[:5000]), "time", "8760"),
    "EPW cut short": ("w.epw", lambda: "\n".join(epw(hours()).splitlines()[:-30]), "time", "8730"),
    "TMY cut short": ("w.csv", lambda: "\n".join(tmy_csv(hours()).splitlines()[:-32]), "time", "8730 hours"),
    "garbled number": ("w.csv", lambda: tmy_csv(hours()).replace("500.0", "5OO", 1), "(file)", "5OO"),
    "missing value code": ("w.epw", lambda: epw(hours()).replace(f",{GHI},", ",9999,"), "ghi_w_per_m2", "9999"),
    "an hour twice": ("w.epw", lambda: epw(hours()).replace("2021,1,2,1,", "2021,1,1,1,", 1), "time", "8759 hours"),
    "no components": ("w.csv", lambda: series_csv(hours()).replace("Gb(i)", "P", 1), "poa_direct", "components"),
    "tilted plane": ("w.csv", lambda: series_csv(hours(), slope=35), "slope", "horizontal"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_what_is_wrong_with_a_file_is_said(case: str, tmp_path: Path) -> None:
    name, content, column, words = FAULTS[case]
    path = written(tmp_path, name, content())
    with pytest.raises(InputFaults) as caught:
        read_weather_file(path, 8.0)
    fault = caught.value.faults[0]
    assert (fault.table, fault.column) == (name, column)
    assert words in str(fault) and "download it from PVGIS" in fault.mend


def instance_folder(tmp_path: Path, draft: InstanceDraft, weather: str | None) -> Path:
    folder = tmp_path / "town"
    write_instance(folder, [(SCHEMA, changed(draft, parameters={"pv_siting.weather_file": "tmy.csv"}))])
    if weather is not None:
        written(folder, "tmy.csv", weather)
    return folder


def test_the_content_of_the_file_belongs_to_the_fingerprint(tmp_path: Path, draft: InstanceDraft) -> None:
    text = tmy_csv(hours())
    folder = instance_folder(tmp_path, draft, text)
    first, again = (read_instance(folder, [PROGRAMME]).programmes[0].data for _ in range(2))
    assert first.fingerprint == again.fingerprint
    written(folder, "tmy.csv", text.replace("500.0", "501.0", 1))
    assert read_instance(folder, [PROGRAMME]).programmes[0].data.fingerprint != first.fingerprint


def faults_of(folder: Path) -> tuple[Fault, ...]:
    with pytest.raises(InputFaults) as caught:
        read_instance(folder, [PROGRAMME])
    return caught.value.faults


def test_a_missing_or_broken_file_stops_the_reading(tmp_path: Path, draft: InstanceDraft) -> None:
    folder = instance_folder(tmp_path, draft, None)
    fault = faults_of(folder)[0]
    assert (fault.table, fault.column) == ("instance.toml", "pv_siting.weather_file")
    assert "tmy.csv" in fault.found and "put it there" in fault.mend
    written(folder, "tmy.csv", "rain\n")
    assert faults_of(folder)[0].table == "tmy.csv"

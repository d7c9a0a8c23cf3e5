"""Part of `checker`: every project's figures re-derived from the raw tables, year by year, hour by hour.

Shares nothing with the derivation the solvers use: the sun's position and the plane-of-array
irradiance are written out here, own use is summed over the hours of every typical day, money is
summed over calendar years.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.pv_siting.checker_kernel import hourly_use
from optimize.pv_siting.instance import Instance
from optimize.revision import FROZEN_STATES

FloatArray = NDArray[np.float64]

_SOLAR_CONSTANT = 1366.1
_DAYS_BEFORE = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_NOT_COUNTED = ("name_zh", "name_en", "lon", "lat", "source", "confidence")


@dataclass(frozen=True)
class Figures:
    """Per project, in the order given: what the tables say its figures are.

    ``payments`` has the columns site, source, year, amount_cny; ``fit`` lists (row, required,
    found) of what does not fit.
    """

    kw: FloatArray
    hosting_kw: FloatArray
    capex_cny: FloatArray
    npv_cny: FloatArray
    cost_cny: FloatArray
    generation_kwh: FloatArray
    used_kwh: FloatArray
    energy_mwh: FloatArray
    co2_t: FloatArray
    bankable: NDArray[np.bool_]
    payments: pd.DataFrame


def join_projects(instance: Instance, projects: pd.DataFrame) -> pd.DataFrame:
    """Projects with everything the tables say about their site, kind, storage and hot water."""
    wide = projects[["site", "configuration", "offer", "year", "mix", "kw"]].merge(
        instance.sites.drop(columns=list(_NOT_COUNTED)), on="site", how="left"
    )
    wide = wide.merge(
        instance.configurations.add_prefix("c_"), left_on="configuration", right_on="c_configuration", how="left"
    ).merge(
        instance.offers.drop(columns=["source", "confidence"]).add_prefix("o_"),
        left_on="offer", right_on="o_offer", how="left",
    )  # fmt: skip
    offered = wide["offer"] != ""
    for part, catalogue in (
        ("kind", instance.kinds),
        ("storage", instance.storages),
        ("hot_water", instance.hot_water),
    ):
        wide[part] = wide[f"o_{part}"].where(offered, wide[f"c_{part}"]).fillna("")
        prefixed = catalogue.drop(columns=["source", "confidence"]).add_prefix(f"{part}_")
        wide = wide.merge(prefixed, left_on=part, right_on=f"{part}_{part}", how="left")
    plan = instance.plan_in_force
    if len(plan):
        contracted = plan.loc[plan["state"].isin(FROZEN_STATES), ["site", "kw", "actual_capex_cny"]]
        wide = wide.merge(
            contracted.add_prefix("contract_"), left_on="site", right_on="contract_site", how="left"
        )
    return wide.merge(
        instance.tariffs.add_prefix("tariff_"), left_on="tariff", right_on="tariff_tariff", how="left"
    )


def recount(instance: Instance, wide: pd.DataFrame) -> Figures:
    """All figures of the projects in ``wide`` (from `join_projects`)."""
    number = wide.select_dtypes("number")

    def of(column: str, absent: float = 0.0) -> FloatArray:
        if column not in number:
            return np.full(len(wide), absent)
        return number[column].fillna(absent).to_numpy(np.float64)

    offered = (wide["offer"] != "").to_numpy()
    has_pv = (wide["kind"] != "").to_numpy()
    has_heat = (wide["hot_water"] != "").to_numpy()
    heat_kwh = of("hot_water_kwh_per_a") * of("hot_water_share_served")
    kw = np.where(offered, of("o_kw"), fitting_kw(instance, wide))
    stated_kw = of("contract_kw", np.nan)
    kw = np.where(has_pv & ~np.isnan(stated_kw), stated_kw, kw)
    storage_kwh = kw * of("storage_kwh_per_kw")

    generation, used, drawn = _energy(instance, wide, kw, storage_kwh, of)
    exported = np.where(has_pv, np.maximum(generation - drawn, 0.0), 0.0)

    factor = of("cost_factor", 1.0)
    capex_parts = (
        factor * (of("kind_capex_fixed_cny") + of("kind_capex_cny_per_kw") * kw) * has_pv,
        factor * (of("storage_capex_fixed_cny") + of("storage_capex_cny_per_kwh") * storage_kwh),
        factor * (of("hot_water_capex_fixed_cny") + of("hot_water_capex_cny_per_kwh") * heat_kwh) * has_heat,
    )
    pv = instance.pv
    built = wide["year"].to_numpy(np.int64) - instance.base_year
    cheaper = (1.0 + pv.capex_change_per_a) ** built
    actual = np.where(offered, np.nan, of("contract_actual_capex_cny", np.nan)) / cheaper
    paid_parts = _as_paid(capex_parts, actual, has_pv)
    opex = (
        of("kind_opex_cny_per_kw_a") * kw
        + of("storage_opex_cny_per_kwh_a") * storage_kwh
        + of("hot_water_opex_share") * paid_parts[2]
    )
    module_life = of("kind_life_years", float(instance.horizon_years))
    lives = (
        module_life,
        of("storage_life_years", float(instance.horizon_years)),
        of("hot_water_life_years", float(instance.horizon_years)),
    )
    tariff = of("tariff_price_cny_per_kwh")
    per_heat = of("hot_water_electricity_kwh_per_kwh")
    subsidy = np.maximum(of("kind_subsidy_cny_per_kwh"), of("tariff_subsidy_cny_per_kwh"))
    charging = of("kind_other_income_cny_per_kw_a") * kw
    streams = _Streams(
        built=built,
        life=module_life,
        bought=used * tariff,
        exported=exported * pv.feed_in_cny_per_kwh,
        subsidy=np.where(has_pv, generation * subsidy, 0.0),
        charging=charging,
        heat=np.where(has_heat, heat_kwh * (pv.hot_water_price_cny_per_kwh - per_heat * tariff), 0.0),
        opex=opex,
        co2_kg=generation * instance.grid_kg_co2_per_kwh,
        heat_co2_kg=np.where(
            has_heat,
            heat_kwh * (pv.hot_water_kg_co2_per_kwh - per_heat * instance.grid_kg_co2_per_kwh),
            0.0,
        ),
    )
    own_value, contract_value, operation = _values(instance, streams)
    assets = np.zeros(len(wide))
    for part, life in zip(paid_parts, lives, strict=True):
        assets += _annuities(instance, part * cheaper, life, built)
    paid, capex_offered, assets_offered, assets_as_offered = _offer_money(
        instance, wide, np.where(has_pv, lives[0], lives[2]), of("contract_actual_capex_cny", np.nan)
    )
    assets = np.where(offered, assets_offered, assets)
    cost = assets + operation
    stated = of("o_npv_cny", np.nan)
    by_contract = (wide["mix"] == "emc").to_numpy()
    npv = np.where(by_contract, contract_value, own_value - cost)
    npv = np.where(offered & ~np.isnan(stated), stated - (assets_offered - assets_as_offered), npv)
    capex = np.where(offered, capex_offered, sum(paid_parts) * cheaper)
    age = instance.num_years - built
    standing = _standing(instance, age, module_life)
    payments = pd.concat([_own_payments(instance, wide, capex), paid], ignore_index=True)
    return Figures(
        kw=kw,
        hosting_kw=kw * (1.0 - of("storage_hosting_relief_share")),
        capex_cny=capex,
        npv_cny=npv,
        cost_cny=cost,
        generation_kwh=generation,
        used_kwh=used,
        energy_mwh=generation * standing / 1000.0,
        co2_t=(streams.co2_kg * standing + streams.heat_co2_kg) / 1000.0,
        bankable=_bankable(instance, streams, capex_parts, lives, cheaper),
        payments=payments[payments["amount_cny"] != 0.0].reset_index(drop=True),
    )


def _as_paid(
    parts: tuple[FloatArray, ...], actual: FloatArray, has_pv: NDArray[np.bool_]
) -> tuple[FloatArray, ...]:
    """Estimated CAPEX of PV, storage and hot water so that it sums to ``actual``, NaN: as estimated."""
    total = sum(parts)
    known = ~np.isnan(actual)
    free = known & (total == 0)
    scaled = [
        np.where(known & ~free, part * actual / np.where(total > 0, total, 1.0), part) for part in parts
    ]
    scaled[0] = np.where(free & has_pv, actual, scaled[0])
    scaled[2] = np.where(free & ~has_pv, actual, scaled[2])
    return tuple(scaled)


def fitting_kw(instance: Instance, wide: pd.DataFrame) -> FloatArray:
    """Capacity a configuration has at its site, kW, 0 without PV."""
    heat_m2 = (
        wide["hot_water_kwh_per_a"]
        * wide["hot_water_share_served"].fillna(0.0)
        * wide["hot_water_roof_m2_per_kwh"].fillna(0.0)
    )
    surface = wide["kind_surface"]
    free_m2 = (
        (wide["usable_roof_m2"] - heat_m2)
        .where(surface == "roof", wide["facade_m2"])
        .where(surface != "parking", wide["parking_m2"])
    )
    wanted = wide["c_fill_share"] * free_m2 / wide["kind_m2_per_kw"]
    wanted = pd.concat([wanted, wide["c_max_kw"]], axis=1).min(axis=1)
    steps = np.floor(wanted.fillna(0.0).to_numpy(np.float64) / instance.pv.kw_step + 1e-9)
    without_pv = (wide["kind"] == "").to_numpy()
    return np.asarray(np.where(without_pv, 0.0, steps * instance.pv.kw_step))


@dataclass(frozen=True)
class _Streams:
    """Yearly amounts of each project when new: CNY/a and kg/a."""

    built: NDArray[np.int64]
    life: FloatArray
    bought: FloatArray
    exported: FloatArray
    subsidy: FloatArray
    charging: FloatArray
    heat: FloatArray
    opex: FloatArray
    co2_kg: FloatArray
    heat_co2_kg: FloatArray


def _standing(instance: Instance, age: FloatArray | NDArray[np.int64], life: FloatArray) -> FloatArray:
    """Share of its first-day output a module still gives in year ``age`` of the installation."""
    of_module = np.floor(np.mod(age - 1.0, life))
    pv = instance.pv
    return np.asarray((1.0 - pv.first_year_degradation) * (1.0 - pv.degradation_per_a) ** of_module)


def _values(instance: Instance, s: _Streams) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Present values: all benefits, the public's benefits under a contract, O&M."""
    own, contract, operation = (np.zeros(len(s.built)) for _ in range(3))
    price = instance.carbon_cny_per_t / 1000.0
    for year in range(1, instance.horizon_years + 1):
        age = year - s.built
        works = age >= 1
        value = works * (1.0 + instance.discount_rate) ** -year
        standing = _standing(instance, np.maximum(age, 1), s.life)
        subsidised = age <= instance.pv.subsidy_years
        own += value * (
            standing * (s.bought + s.exported + price * s.co2_kg + subsidised * s.subsidy)
            + s.charging
            + s.heat
            + price * s.heat_co2_kg
        )
        operation += value * s.opex
        in_contract = age <= instance.pv.emc_contract_years
        contract += (
            value * in_contract * standing * (s.bought * instance.pv.emc_host_discount + price * s.co2_kg)
        )
    return own, contract, operation


def _annuities(
    instance: Instance, capex: FloatArray, life: FloatArray, built: FloatArray | NDArray[np.int64]
) -> FloatArray:
    """Present value of the yearly annuities of an asset from the year after it is built."""
    rate = instance.discount_rate
    yearly = capex / life if rate == 0 else capex * rate / (1.0 - (1.0 + rate) ** -life)
    value = np.zeros(len(capex))
    for year in range(1, instance.horizon_years + 1):
        value += (year > built) * yearly * (1.0 + rate) ** -year
    return value


def _bankable(
    instance: Instance,
    s: _Streams,
    capex_parts: tuple[FloatArray, ...],
    lives: tuple[FloatArray, ...],
    cheaper: FloatArray,
) -> NDArray[np.bool_]:
    """Investor's net present value at its hurdle rate, with the tolerance of a rounding error."""
    pv = instance.pv
    rate, years = pv.emc_hurdle_rate, pv.emc_contract_years
    value = np.zeros(len(s.built))
    scale = np.zeros(len(s.built))
    for age in range(1, years + 1):
        standing = _standing(instance, np.full(len(s.built), age), s.life)
        subsidised = age <= pv.subsidy_years
        cash = standing * (s.bought * (1.0 - pv.emc_host_discount) + s.exported + subsidised * s.subsidy)
        value += (1.0 + rate) ** -age * (cash + s.charging - s.opex)
    for part, life in zip(capex_parts, lives, strict=True):
        paid = np.minimum(life, years)
        yearly = part / paid if rate == 0 else part * rate / (1.0 - (1.0 + rate) ** -paid)
        for age in range(1, years + 1):
            value -= cheaper * yearly * (1.0 + rate) ** -age
        scale += part
    return np.asarray(value >= -1e-7 * np.maximum(scale, 1.0))


def _own_payments(instance: Instance, wide: pd.DataFrame, capex: FloatArray) -> pd.DataFrame:
    """Who pays for projects that are neither offers nor contracts."""
    funding = {
        (str(kind), str(mix)): part for (kind, mix), part in instance.funding.groupby(["project_kind", "mix"])
    }
    of_kind = {kind for kind, _ in funding}
    own = wide[["site", "level", "district", "year", "mix", "kind"]].assign(capex=capex)
    own = own[(wide["offer"] == "") & (wide["mix"] != "emc")]
    paid = []
    for (level, mix, kind), rows in own.groupby(["level", "mix", "kind"], sort=False):
        purse: dict[str, Any] = {"municipal": "municipal", "district": rows["district"], "owner": "owner"}
        project_kind = str(kind) or "hot_water"
        part = funding.get((project_kind if project_kind in of_kind else "*", str(mix)))
        if part is None:
            paid.append(rows.assign(source=purse[str(level)], amount_cny=rows["capex"]))
            continue
        left, rest_to = rows["capex"], "owner"
        for source, share, ceiling, takes_rest in zip(
            part["source"], part["share"], part["ceiling_cny"], part["takes_rest"], strict=True
        ):
            pays = (share * rows["capex"]).clip(upper=np.inf if np.isnan(ceiling) else ceiling)
            paid.append(rows.assign(source=purse[source], amount_cny=pays))
            left = left - pays
            rest_to = source if takes_rest else rest_to
        paid.append(rows.assign(source=purse[rest_to], amount_cny=left))
    columns = ["site", "source", "year", "amount_cny"]
    return _summed(pd.concat(paid)[columns] if paid else own.reindex(columns=columns))


def _summed(payments: pd.DataFrame) -> pd.DataFrame:
    return payments.groupby(["site", "source", "year"], sort=False, as_index=False)[["amount_cny"]].sum()


def _offer_money(
    instance: Instance, wide: pd.DataFrame, life: FloatArray, actual_cny: FloatArray
) -> tuple[pd.DataFrame, FloatArray, FloatArray, FloatArray]:
    """Payments of the offers taken, their sum, the present value of their annuities, and that as offered.

    ``actual_cny`` : what a contracted offer costs in fact, NaN: as offered; its payments go with it.
    """
    by_offer = (wide["offer"] != "").to_numpy()
    if not by_offer.any():
        none = np.zeros(len(wide))
        nothing = instance.offer_payments.iloc[:0][["source", "year", "amount_cny"]]
        return nothing.assign(site=nothing["source"]), none, none, none
    taken = wide.loc[by_offer, ["site", "offer"]].assign(life=life[by_offer], actual=actual_cny[by_offer])
    paid = instance.offer_payments.merge(taken, on="offer", how="inner")
    built = paid["year"].to_numpy(np.int64) - instance.base_year
    as_offered = paid["amount_cny"].to_numpy(np.float64)
    total = paid.groupby("offer")["amount_cny"].transform("sum")
    paid["amount_cny"] = (as_offered * paid["actual"] / total).where(paid["actual"].notna(), as_offered)
    lives = paid["life"].to_numpy(np.float64)
    paid["present"] = _annuities(instance, paid["amount_cny"].to_numpy(np.float64), lives, built)
    paid["present_as_offered"] = _annuities(instance, as_offered, lives, built)
    columns = ["amount_cny", "present", "present_as_offered"]
    sums = paid.groupby("offer")[columns].sum().reindex(wide["offer"]).fillna(0.0)
    frame = _summed(paid[["site", "source", "year", "amount_cny"]])
    capex, assets, assets_as_offered = (sums[column].to_numpy(np.float64) for column in columns)
    return frame, capex, assets, assets_as_offered


def _energy(instance: Instance, wide: pd.DataFrame, kw, storage_kwh, of):  # type: ignore[no-untyped-def]
    """Generation, own use and generation drawn for it, kWh/a, summed over hours."""
    stated = of("o_annual_kwh", np.nan)
    generation = np.nan_to_num(stated)
    used, drawn = np.zeros(len(wide)), np.zeros(len(wide))
    rows = np.flatnonzero((wide["kind"] != "").to_numpy())
    if not len(rows):
        return generation, used, drawn
    pv = wide.iloc[rows]
    facade = (pv["kind_surface"] == "facade").to_numpy()
    of_surface = np.where(facade, pv["facade_azimuth_deg"], pv["roof_azimuth_deg"])
    tilt = pv["kind_tilt_deg"].fillna(pd.Series(np.where(facade, 90.0, pv["roof_tilt_deg"]), index=pv.index))
    azimuth = pv["kind_azimuth_deg"].fillna(pd.Series(of_surface, index=pv.index))
    tilt_of, tilts = pd.factorize(tilt.to_numpy(np.float64))
    azimuth_of, azimuths = pd.factorize(azimuth.to_numpy(np.float64))
    pair_of, pairs = pd.factorize(tilt_of * len(azimuths) + azimuth_of)
    distinct = [(float(tilts[k // len(azimuths)]), float(azimuths[k % len(azimuths)])) for k in pairs]
    weather = _scaled_weather(instance)
    hourly = np.stack([_output_per_kw(instance, weather, *pair).reshape(-1, 24) for pair in distinct])
    days = weather["days"].to_numpy(np.float64)[::24]
    months = weather["month"].to_numpy(np.int64)[::24]
    per_kw = (hourly * days[None, :, None]).sum(axis=(1, 2))
    derate = pv["kind_yield_factor"].to_numpy(np.float64) * (1.0 - pv["shading_share"].to_numpy(np.float64))
    total_per_kw = per_kw[pair_of] * derate
    own = np.where(np.isnan(stated[rows]), kw[rows] * total_per_kw, stated[rows])
    generation[rows] = own
    before = pv["existing_pv_kw"].to_numpy(np.float64) * total_per_kw
    load_sum = pv["annual_load_kwh"].to_numpy(np.float64)
    loads = _load_days(instance, months, days)
    type_of = pd.Index(list(loads)).get_indexer(pd.Index(pv["type"]))
    direct, stored = hourly_use(
        type_of, pair_of, np.stack(list(loads.values())), hourly / per_kw[:, None, None],
        np.concatenate([days * 5.0 / 7.0, days * 2.0 / 7.0]),
        load_sum, own, before, storage_kwh[rows], of("storage_efficiency", 1.0)[rows],
    )  # fmt: skip
    used[rows] = direct + stored
    drawn[rows] = direct + stored / of("storage_efficiency", 1.0)[rows]
    return generation, used, drawn


def _scaled_weather(instance: Instance) -> pd.DataFrame:
    weather = instance.weather.sort_values(["month", "day", "sky", "hour"])
    weather = weather[(weather["month"] != 2) | (weather["day"] != 29)].reset_index(drop=True)
    wanted = instance.pv.ghi_kwh_per_m2_a
    if wanted > 0:
        factor = wanted * 1000.0 / float((weather["ghi_w_per_m2"] * weather["days"]).sum())
        for column in ("ghi_w_per_m2", "dni_w_per_m2", "dhi_w_per_m2"):
            weather[column] = weather[column] * factor
    return weather


def _load_days(instance: Instance, months: FloatArray, days: FloatArray) -> dict[str, FloatArray]:
    """Hourly load of each day (weekdays, then weekends) per unit of yearly load, by type."""
    hours = [f"h{hour}" for hour in range(24)]
    loads = {}
    for name, rows in instance.load_profiles.groupby("type"):
        keys = zip(rows["day_kind"], rows["month"], strict=True)
        by_month = dict(zip(keys, rows[hours].to_numpy(np.float64), strict=True))
        weekday = np.stack([by_month["weekday", month] for month in months])
        weekend = np.stack([by_month["weekend", month] for month in months])
        total = float((days @ (weekday * 5.0 / 7.0 + weekend * 2.0 / 7.0)).sum())
        loads[str(name)] = np.concatenate([weekday, weekend]) / total
    return loads


def _output_per_kw(instance: Instance, weather: pd.DataFrame, tilt: float, azimuth: float) -> FloatArray:
    """kWh of 1 kW in each weather row: Spencer, Hay-Davies, Faiman, PVWatts, written out."""
    pv = instance.pv
    day = np.array([_DAYS_BEFORE[m - 1] + d for m, d in zip(weather["month"], weather["day"], strict=True)])
    b = 2.0 * np.pi * (day - 1.0) / 365.0
    declination = (
        0.006918 - 0.399912 * np.cos(b) + 0.070257 * np.sin(b) - 0.006758 * np.cos(2 * b)
        + 0.000907 * np.sin(2 * b) - 0.002697 * np.cos(3 * b) + 0.00148 * np.sin(3 * b)
    )  # fmt: skip
    equation_min = (1440.0 / 2.0 / np.pi) * (
        0.0000075
        + 0.001868 * np.cos(b)
        - 0.032077 * np.sin(b)
        - 0.014615 * np.cos(2 * b)
        - 0.040849 * np.sin(2 * b)
    )
    clock = weather["hour"].to_numpy(np.float64) + 0.5
    hour_angle = np.radians(15.0 * (clock - 12.0 - pv.utc_offset_h) + pv.longitude_deg + equation_min / 4.0)
    latitude = np.radians(pv.latitude_deg)
    up = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(hour_angle)
    # Unit vector to the sun in east, north, up; unit normal of the plane likewise.
    east = -np.cos(declination) * np.sin(hour_angle)
    north = np.cos(latitude) * np.sin(declination) - np.sin(latitude) * np.cos(declination) * np.cos(
        hour_angle
    )
    slope, heading = np.radians(tilt), np.radians(azimuth)
    facing = (
        east * np.sin(slope) * np.sin(heading) + north * np.sin(slope) * np.cos(heading) + up * np.cos(slope)
    )
    facing = np.maximum(facing, 0.0)
    outside = _SOLAR_CONSTANT * (
        1.00011
        + 0.034221 * np.cos(b)
        + 0.00128 * np.sin(b)
        + 0.000719 * np.cos(2 * b)
        + 7.7e-05 * np.sin(2 * b)
    )
    ghi, dni, dhi = (
        weather[name].to_numpy(np.float64) for name in ("ghi_w_per_m2", "dni_w_per_m2", "dhi_w_per_m2")
    )
    anisotropy = dni / outside
    sky = dhi * anisotropy * facing / np.maximum(up, 0.01745)
    sky += dhi * (1.0 - anisotropy) * 0.5 * (1.0 + np.cos(slope))
    ground = ghi * pv.albedo * 0.5 * (1.0 - np.cos(slope))
    plane = dni * facing + sky + ground
    wind = weather["wind_m_per_s"].to_numpy(np.float64)
    cell = weather["temp_air_c"].to_numpy(np.float64) + plane / (25.0 + 6.84 * wind)
    output = plane / 1000.0 * (1.0 + pv.temperature_coefficient_per_k * (cell - 25.0))
    return np.asarray(np.maximum(output, 0.0) * (1.0 - pv.system_loss_share))

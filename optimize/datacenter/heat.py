"""Links of centres and heat sinks: what they deliver, cost and bring (R7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimize.datacenter.instance import FloatArray, Instance, rows_of
from optimize.datacenter.measures import IntArray
from optimize.finance import capital_recovery_factor
from optimize.units import DAYS_PER_MONTH

EARTH_RADIUS_KM = 6371.0
HOURS_PER_DAY = 24.0
KG_PER_T = 1000.0


@dataclass(frozen=True)
class HeatLinks:
    """Feasible links of centres and heat sinks, one row each.

    ``delivered_kwh`` has shape (links, 12): the smaller of what the centre can give and the sink
    can take in the month; links of one sink must fit together (R7).
    """

    centre: IntArray
    sink: IntArray
    distance_km: FloatArray
    delivered_kwh: FloatArray
    capex_cny: FloatArray
    annual_cny: FloatArray
    npv_per_annuity: FloatArray
    co2_t_per_year: FloatArray
    electricity_kwh_per_year: FloatArray


def distances_km(
    lon: FloatArray, lat: FloatArray, other_lon: FloatArray, other_lat: FloatArray
) -> FloatArray:
    """Great-circle distances (haversine); shape (len(lon), len(other_lon)), NaN without position."""
    a_lon, a_lat = np.radians(lon)[:, None], np.radians(lat)[:, None]
    b_lon, b_lat = np.radians(other_lon)[None, :], np.radians(other_lat)[None, :]
    half = np.sin((b_lat - a_lat) / 2) ** 2 + np.cos(a_lat) * np.cos(b_lat) * np.sin((b_lon - a_lon) / 2) ** 2
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(half)))


def derive_heat_links(instance: Instance) -> HeatLinks:
    """Centre-sink pairs within the sink's distance.

    Heat taken from the hall is ``recoverable_heat_share`` of the base-year IT load; a heat pump of
    the given COP adds its electricity: delivered = taken * COP / (COP - 1).
    """
    centres, sinks = instance.centres, instance.heat_sinks
    distance = distances_km(
        centres["lon"].to_numpy(np.float64), centres["lat"].to_numpy(np.float64),
        sinks["lon"].to_numpy(np.float64), sinks["lat"].to_numpy(np.float64),
    )  # fmt: skip
    reach = sinks["max_distance_km"].to_numpy(np.float64)
    centre, sink = np.nonzero(distance <= reach[None, :])
    km = distance[centre, sink]
    cop = instance.setting("heat_pump_cop")
    taken_kw = instance.setting("recoverable_heat_share") * instance.it_load_kw[centre]
    hours = np.array(DAYS_PER_MONTH) * HOURS_PER_DAY
    given = taken_kw[:, None] * hours * cop / (cop - 1.0)
    capacity = np.zeros((len(sinks), 12))
    positions = {name: number for number, name in enumerate(sinks["sink"])}
    for row in rows_of(instance.sink_months):
        capacity[positions[row.sink], row.month - 1] = row.capacity_kwh
    delivered = np.minimum(given, capacity[sink])
    yearly = delivered.sum(axis=1)
    electricity = yearly / cop
    capex = (
        sinks["link_fixed_cny"].to_numpy(np.float64)[sink]
        + sinks["link_capex_cny_per_km"].to_numpy(np.float64)[sink] * km
    )
    life = sinks["link_life_years"].to_numpy(np.float64)[sink]
    annual = capex * capital_recovery_factor(instance.discount_rate, life)
    grid = float(instance.parameters["emissions.grid_kg_co2_per_kwh"])
    co2 = (yearly * instance.setting("heat_displaced_kg_co2_per_kwh") - electricity * grid) / KG_PER_T
    income = (
        yearly * sinks["price_cny_per_kwh"].to_numpy(np.float64)[sink]
        - electricity * instance.electricity_price[centre]
        + co2 * float(instance.parameters["prices.carbon_cny_per_t"])
    )
    return HeatLinks(
        centre=centre,
        sink=sink,
        distance_km=km,
        delivered_kwh=delivered,
        capex_cny=capex,
        annual_cny=annual,
        npv_per_annuity=income - annual,
        co2_t_per_year=co2,
        electricity_kwh_per_year=electricity,
    )

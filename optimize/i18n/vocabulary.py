"""What columns, choices, figures, tables and units are called in English; their Chinese is in ``zh.po``.

Kinds of columns: ``id`` (a key of the tables), ``name``, ``choice`` (values in VALUES), ``text``,
``year``, ``whole``, ``number``, ``money`` (CNY), ``share`` (0 to 1), ``truth``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from optimize.i18n.catalogue import N_

ColumnKind = Literal["id", "name", "choice", "text", "year", "whole", "number", "money", "share", "truth"]


class ColumnWords(NamedTuple):
    """English heading without its unit, unit of the values, kind."""

    en: str
    unit: str = ""
    kind: ColumnKind = "text"


class FigureWords(NamedTuple):
    """A figure of a checker: English name and unit."""

    en: str
    unit: str = ""


COLUMNS: Mapping[str, ColumnWords] = {
    "action": ColumnWords(N_("What is done"), "", "choice"),
    "actual_capex_cny": ColumnWords(N_("Actual investment"), "CNY", "money"),
    "amount_cny": ColumnWords(N_("Amount"), "CNY", "money"),
    "approx_gain_per_unit": ColumnWords(N_("Worth of one unit, about"), "", "number"),
    "approx_value": ColumnWords(N_("Worth to the plan, about"), "", "number"),
    "block_bound": ColumnWords(N_("Bound of the block"), "", "number"),
    "budget_cny": ColumnWords(N_("Budget"), "CNY", "money"),
    "cancellation_cost_cny": ColumnWords(N_("Cancellation cost"), "CNY", "money"),
    "capacity_m3_per_d": ColumnWords(N_("Capacity"), "m3/d", "number"),
    "capex_cny": ColumnWords(N_("Investment"), "CNY", "money"),
    "cascade": ColumnWords(N_("Cascade"), "", "id"),
    "centre": ColumnWords(N_("Data centre"), "", "id"),
    "certified_gap": ColumnWords(N_("Gap proven by multipliers"), "", "share"),
    "change": ColumnWords(N_("Kind of change"), "", "choice"),
    "chosen": ColumnWords(N_("In the plan"), "", "truth"),
    "clause": ColumnWords(N_("Clause"), "", "id"),
    "co2_avoided_t_per_year": ColumnWords(N_("CO₂ avoided"), "tCO2/a", "number"),
    "co2_t_per_a": ColumnWords(N_("CO₂ avoided"), "tCO2/a", "number"),
    "configuration": ColumnWords(N_("Configuration"), "", "id"),
    "connection_capex_cny": ColumnWords(N_("Investment in the connection"), "CNY", "money"),
    "corridor": ColumnWords(N_("Corridor"), "", "id"),
    "cost_cny": ColumnWords(N_("Discounted cost"), "CNY", "money"),
    "decision": ColumnWords(N_("How, when, by whose money")),
    "delivered_m3_per_d": ColumnWords(N_("Delivered"), "m3/d", "number"),
    "demand": ColumnWords(N_("Demand"), "", "id"),
    "diameter": ColumnWords(N_("Diameter"), "", "id"),
    "district": ColumnWords(N_("District"), "", "id"),
    "energy_saved_mwh_per_year": ColumnWords(N_("Electricity saved"), "MWh/a", "number"),
    "flow_m3_per_d": ColumnWords(N_("Flow"), "m3/d", "number"),
    "forced": ColumnWords(N_("Without a choice"), "", "truth"),
    "from_node": ColumnWords(N_("From"), "", "id"),
    "generation_kwh_per_a": ColumnWords(N_("Generation, first year"), "kWh/a", "number"),
    "goal_unit": ColumnWords(N_("Unit of the goal")),
    "host": ColumnWords(N_("Moved to"), "", "id"),
    "hot_water": ColumnWords(N_("Hot water"), "", "choice"),
    "id": ColumnWords(N_("Project id"), "", "id"),
    "inflow_m3_per_d": ColumnWords(N_("Stored"), "m3/d", "number"),
    "it_load_kw": ColumnWords(N_("IT load"), "kW", "number"),
    "kind": ColumnWords(N_("Kind"), "", "choice"),
    "kw": ColumnWords(N_("Capacity"), "kW", "number"),
    "largest_delivery_m3_per_d": ColumnWords(N_("Largest delivery"), "m3/d", "number"),
    "lat": ColumnWords(N_("Latitude"), "deg", "number"),
    "later_measures": ColumnWords(N_("Measures of the second stage"), "", "choice"),
    "later_year": ColumnWords(N_("Year of the second stage"), "", "year"),
    "length_m": ColumnWords(N_("Length"), "m", "number"),
    "level": ColumnWords(N_("Level of government"), "", "choice"),
    "level_m3": ColumnWords(N_("Stock"), "m3", "number"),
    "lon": ColumnWords(N_("Longitude"), "deg", "number"),
    "measures": ColumnWords(N_("Measures"), "", "choice"),
    "mix": ColumnWords(N_("Who pays"), "", "choice"),
    "mode": ColumnWords(N_("Way of delivery"), "", "choice"),
    "multiplier": ColumnWords(N_("Multiplier"), "", "number"),
    "name": ColumnWords(N_("Name"), "", "name"),
    "name_en": ColumnWords(N_("English name"), "", "name"),
    "name_zh": ColumnWords(N_("Chinese name"), "", "name"),
    "npv_cny": ColumnWords(N_("Net present value"), "CNY", "money"),
    "num_projects": ColumnWords(N_("Projects"), "count", "whole"),
    "offer": ColumnWords(N_("Offer"), "", "id"),
    "outflow_m3_per_d": ColumnWords(N_("Taken from store"), "m3/d", "number"),
    "owner_kind": ColumnWords(N_("Owner"), "", "choice"),
    "period": ColumnWords(N_("Period"), "", "whole"),
    "plant": ColumnWords(N_("Plant"), "", "id"),
    "pool_cny": ColumnWords(N_("Pool"), "CNY", "money"),
    "product_m3_per_d": ColumnWords(N_("Produced"), "m3/d", "number"),
    "programme": ColumnWords(N_("Programme"), "", "choice"),
    "pue_after": ColumnWords(N_("PUE after"), "", "number"),
    "pue_before": ColumnWords(N_("PUE before"), "", "number"),
    "quality": ColumnWords(N_("Water quality"), "", "choice"),
    "reached": ColumnWords(N_("Reached"), "", "number"),
    "required": ColumnWords(N_("Required"), "", "number"),
    "row": ColumnWords(N_("Row"), "", "id"),
    "sense": ColumnWords(N_("Sense")),
    "share_cny": ColumnWords(N_("Share"), "CNY", "money"),
    "sink": ColumnWords(N_("Heat goes to"), "", "id"),
    "site": ColumnWords(N_("Site"), "", "id"),
    "source": ColumnWords(N_("Source of money"), "", "choice"),
    "spent_cny": ColumnWords(N_("Spent"), "CNY", "money"),
    "step": ColumnWords(N_("Size step"), "", "id"),
    "storage": ColumnWords(N_("Storage"), "", "choice"),
    "to_node": ColumnWords(N_("To"), "", "id"),
    "today_cny": ColumnWords(N_("Today's fixed share"), "CNY", "money"),
    "type": ColumnWords(N_("Type"), "", "choice"),
    "unit": ColumnWords(N_("Unit")),
    "used_on_site_kwh_per_a": ColumnWords(N_("Used on site, first year"), "kWh/a", "number"),
    "used_on_site_share": ColumnWords(N_("Used on site"), "", "share"),
    "user": ColumnWords(N_("User"), "", "id"),
    "water_m3_per_year": ColumnWords(N_("Additional water use"), "m3/a", "number"),
    "weight": ColumnWords(N_("Counts as changes"), "", "number"),
    "where": ColumnWords(N_("Where")),
    "year": ColumnWords(N_("Year"), "", "year"),
}


def column_words(name: str) -> ColumnWords | None:
    """What a column is called and holds; of a plan that revises another, ``year_before`` and ``year_after``, too."""
    stem, _, when = name.rpartition("_")
    if name not in COLUMNS and when in ("before", "after"):
        return COLUMNS.get(stem)
    return COLUMNS.get(name)


_SOURCES = {
    "municipal": N_("municipal"),
    "district": N_("district"),
    "owner": N_("owners"),
    "districts": N_("districts"),
}
_MIXES = {
    "own": N_("own budget"),
    "emc": N_("energy contract"),
    "offer": N_("as offered"),
    "shared": N_("shared by city and district"),
    "user": N_("the user"),
    "subsidised": N_("subsidised"),
    "special_fund": N_("special fund"),
    "district_led": N_("led by the district"),
    "city_share": N_("with a share of the city"),
}

VALUES: Mapping[str, Mapping[str, str]] = {
    "action": {
        "retrofit": N_("retrofit"),
        "staged": N_("retrofit in two stages"),
        "close": N_("closed and moved"),
        "offer": N_("tendered offer"),
        "nothing": N_("nothing"),
    },
    "type": {
        "school": N_("schools"),
        "hospital": N_("hospitals"),
        "office": N_("offices"),
        "university": N_("universities"),
        "care_home": N_("care homes"),
        "venue": N_("venues"),
    },
    "level": {"municipal": N_("municipal"), "district": N_("district")},
    "owner_kind": {
        "municipal": N_("municipal"),
        "district": N_("district"),
        "enterprise": N_("enterprise"),
    },
    "kind": {
        "rooftop": N_("rooftop PV"),
        "bipv": N_("building-integrated PV"),
        "carport": N_("PV carport"),
        "facade": N_("facade PV"),
        "": N_("hot water only"),
        "cooling": N_("cooling water"),
        "process": N_("process water"),
        "urban": N_("urban uses"),
        "green": N_("green space"),
        "landscape": N_("landscape water"),
        "datacenter": N_("data centres"),
        "other": N_("other uses"),
        "centre": N_("data centre"),
        "site": N_("PV site"),
        "treatment": N_("treatment works"),
        "pipe": N_("pipe"),
        "connection": N_("connection"),
        "other works": N_("other works"),
        "storage": N_("storage"),
        "cascade": N_("cascade link"),
        "zld": N_("near-zero discharge"),
        "pilot": N_("pilot"),
        "module": N_("treatment works"),
        "tanker": N_("tanker service"),
    },
    "mode": {"pipe": N_("by pipe"), "tanker": N_("by tanker")},
    "mix": _MIXES,
    "source": _SOURCES,
    "storage": {"battery": N_("battery"), "flex": N_("flexible load"), "": N_("none")},
    "hot_water": {
        "solar_thermal": N_("solar thermal"),
        "air_source": N_("air-source heat pump"),
        "": N_("none"),
    },
    "programme": {
        "datacenter": N_("Data centres"),
        "water": N_("Reclaimed water"),
        "pv_siting": N_("Public-sector PV"),
        "city": N_("One budget for the city"),
    },
    "confidence": {
        "A": N_("primary or official source"),
        "B": N_("secondary source"),
        "C": N_("own calculation from sourced figures"),
        "D": N_("unverified or synthetic"),
    },
    "stop_reason": {
        "optimal": N_("proven optimal"),
        "gap reached": N_("the gap asked for was reached"),
        "time limit": N_("time limit"),
        "interrupted": N_("stopped by hand"),
        "search ended": N_("the search ran to its end"),
        "infeasible": N_("infeasible"),
    },
    "change": {
        "added": N_("added"),
        "dropped": N_("dropped"),
        "moved": N_("moved"),
        "resized": N_("done otherwise"),
        "refunded": N_("paid otherwise"),
    },
    "difference": {
        "added": N_("added"),
        "dropped": N_("dropped"),
        "moved": N_("moved"),
        "resized": N_("done otherwise"),
        "differs": N_("differs"),
    },
}

FIGURES: Mapping[str, FigureWords] = {
    "npv": FigureWords(N_("Net present value"), "CNY"),
    "cost": FigureWords(N_("Discounted cost"), "CNY"),
    "energy": FigureWords(N_("Electricity a year"), "MWh/a"),
    "datacenter.energy": FigureWords(N_("Electricity saved a year"), "MWh/a"),
    "pv_siting.energy": FigureWords(N_("Generation a year"), "MWh/a"),
    "co2": FigureWords(N_("CO₂ avoided a year"), "tCO2/a"),
    "capacity": FigureWords(N_("New PV capacity"), "kW"),
    "capex": FigureWords(N_("Investment"), "CNY"),
    "capex_cny": FigureWords(N_("Investment"), "CNY"),
    "penalty": FigureWords(N_("Price of missed soft targets"), "CNY"),
    "penalty_cny": FigureWords(N_("Price of missed soft targets"), "CNY"),
    "penalties_cny": FigureWords(N_("Price of missed soft targets"), "CNY"),
    "coal_equivalent_tce": FigureWords(N_("Coal equivalent a year"), "tce/a"),
    "used_on_site_share": FigureWords(N_("Used on site"), "share"),
    "changes": FigureWords(N_("Changes to the plan in force"), "count"),
    "water_m3_per_year": FigureWords(N_("Additional water use"), "m3/a"),
    "heat_mwh_per_year": FigureWords(N_("Waste heat delivered"), "MWh/a"),
    "num_retrofits": FigureWords(N_("Retrofits"), "count"),
    "num_staged": FigureWords(N_("Retrofits in two stages"), "count"),
    "num_closed": FigureWords(N_("Rooms closed"), "count"),
    "num_offers": FigureWords(N_("Tendered offers taken"), "count"),
    "num_heat_links": FigureWords(N_("Heat links"), "count"),
    "pue_before_of_treated": FigureWords(N_("PUE of those retrofitted, before")),
    "pue_after_of_treated": FigureWords(N_("PUE of those retrofitted, after")),
    "volume": FigureWords(N_("Reclaimed water used"), "m3/a"),
    "tn": FigureWords(N_("Nitrogen kept out of the estuary"), "kg/a"),
    "gross_benefit_cny": FigureWords(N_("Gross benefit"), "CNY"),
    "running_cost_cny_per_a": FigureWords(N_("Running cost a year"), "CNY"),
    "cascade_m3_per_d": FigureWords(N_("Cascade water"), "m3/d"),
    "tanker_m3_per_a": FigureWords(N_("Water by tanker"), "m3/a"),
}

TABLES: Mapping[str, str] = {
    "projects": N_("Projects"),
    "payments": N_("Payments"),
    "carried_over": N_("Money carried over"),
    "by_district": N_("By district"),
    "by_type": N_("By type"),
    "by_year_and_kind": N_("By year and kind"),
    "plants": N_("Treatment works"),
    "users": N_("Users connected"),
    "pipes": N_("Pipes"),
    "other_works": N_("Other works"),
    "refusals": N_("Growth refused"),
    "funding": N_("Funding"),
    "flows": N_("Flows"),
    "production": N_("Production"),
    "deliveries": N_("Deliveries"),
    "reuse": N_("Cascade water"),
    "storage": N_("Storage"),
    "pilots": N_("Pilots"),
    "changes": N_("Changes to the plan in force"),
    "split": N_("Split of the money"),
    "shadow_prices": N_("Prices of budgets and targets"),
    "candidate_values": N_("Worth of every candidate"),
    "multipliers": N_("Multipliers"),
    "blocks": N_("Blocks of the proof"),
    "money": N_("Money by source and year"),
    "clauses": N_("Clauses"),
}

# Units of the tables as a reader sees them.
UNITS: Mapping[str, str] = {
    "CNY": N_("CNY"),
    "CNY/a": N_("CNY/a"),
    "kW": N_("kW"),
    "MW": N_("MW"),
    "kWh": N_("kWh"),
    "kWh/a": N_("kWh/a"),
    "MWh/a": N_("MWh/a"),
    "GWh/a": N_("GWh/a"),
    "m3": N_("m³"),
    "m3/a": N_("m³/a"),
    "m3/d": N_("m³/d"),
    "m": N_("m"),
    "km": N_("km"),
    "kg/a": N_("kg/a"),
    "t/a": N_("t/a"),
    "tCO2/a": N_("t CO₂/a"),
    "ktCO2/a": N_("kt CO₂/a"),
    "tce/a": N_("tce/a"),
    "deg": N_("°"),
    "count": N_("number"),
    "share": N_("share"),
}

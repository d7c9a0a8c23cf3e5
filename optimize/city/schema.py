"""What an instance folder may hold for the city as a whole: ``city/`` and ``[city]`` of the toml."""

from __future__ import annotations

from optimize.clauses import CLAUSES, REVISE
from optimize.names import CITY
from optimize.schema import COMMON_PARAMETERS, Column, Parameter, Schema, Table

BUDGETS = Table(
    "budgets",
    "the public money of all programmes together by source and year; a source and year without a row "
    "has none. Without this table the pool is the sum of the programmes' own budgets. What owners pay "
    "stays with each programme",
    (
        Column("source", "str", "`municipal` or a district id", key=True, zh="资金来源"),
        Column("year", "int", "calendar year", minimum=2000, maximum=2100, key=True, zh="年份"),
        Column("amount_cny", "float", "money available", "CNY", 0, typical=1e7, zh="金额"),
    ),
    optional=True,
    zh="全市预算",
)

COOLING_WATER = Table(
    "cooling_water",
    "data centres whose make-up water is part of a demand for reclaimed water: the demand moves with "
    "what the plan does to the centre",
    (
        Column("centre", "str", "data centre", key=True, zh="数据中心"),
        Column("demand", "str", "demand of water/user_demands, as it is before the plan", zh="用水需求"),
        Column("note", "str", "why", default="", zh="备注"),
    ),
    optional=True,
    zh="冷却补水",
)

SHARED_HEAT = Table(
    "shared_heat",
    "public institutions whose hot water is part of a waste-heat sink: heat from data centres and from "
    "the institution's own hot-water system together serve it once",
    (
        Column("site", "str", "institution", key=True, zh="机构"),
        Column("sink", "str", "heat sink of datacenter/heat_sinks", zh="用热方"),
        Column("note", "str", "why", default="", zh="备注"),
    ),
    optional=True,
    zh="共用热水",
)

PV_AT_CENTRES = Table(
    "pv_at_centres",
    "PV sites whose power goes to a data centre: towards the city's targets it counts up to what the "
    "centre still draws after its retrofit",
    (
        Column("site", "str", "institution", key=True, zh="机构"),
        Column("centre", "str", "data centre", zh="数据中心"),
        Column("note", "str", "why", default="", zh="备注"),
    ),
    optional=True,
    zh="数据中心光伏",
)

PARAMETERS = (
    Parameter(
        "city.baseline_energy_tce", "float",
        "[CITY-ENERGY] energy of public institutions in the year after the last investment year without any plan (electricity by emissions.grid_kgce_per_kwh)",
        "tce/a", minimum=0, default=None,
    ),
    Parameter(
        "city.baseline_co2_t", "float",
        "[CITY-CO2] CO2 of public institutions in the year after the last investment year without any plan",
        "tCO2/a", minimum=0, default=None,
    ),
)  # fmt: skip

ENERGY, CO2 = "CITY-ENERGY", "CITY-CO2"

SCHEMA = Schema(
    programme=CITY,
    tables=(BUDGETS, COOLING_WATER, SHARED_HEAT, PV_AT_CENTRES),
    parameters=COMMON_PARAMETERS + PARAMETERS,
    clauses=(CLAUSES[ENERGY], CLAUSES[CO2], CLAUSES[REVISE]),
)

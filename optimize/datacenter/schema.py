"""Tables, parameters and clauses of a data-centre instance."""

from __future__ import annotations

from optimize.clauses import clauses_of
from optimize.schema import (
    BUDGETS,
    COMMON_PARAMETERS,
    DISTRICTS,
    FUNDING,
    LOCKS,
    SOURCE_COLUMNS,
    Column,
    Parameter,
    Schema,
    Table,
    plan_in_force_table,
)

OWNER_KINDS = ("municipal", "district", "enterprise")
COOLING_TYPES = ("dx", "air_chiller", "water_chiller", "water_economiser", "air_economiser", "liquid")
COMPONENTS = ("cooling", "power", "other", "it", "none")
CLOSING = "close"  # stands for closing a centre in measure_trades and in `fix` locks

CENTRES = Table(
    "centres",
    "data centres and server rooms",
    (
        Column("centre", "str", "id", key=True, zh="编号"),
        Column("name_zh", "str", "Chinese name", default="", zh="中文名"),
        Column("name_en", "str", "English name", default="", zh="英文名"),
        Column("owner_kind", "str", "who owns it: its own level pays where no funding row says otherwise", default="enterprise", choices=OWNER_KINDS, zh="产权性质"),
        Column("district", "str", "district it lies in", references="districts.district", zh="区"),
        Column("zone", "str", "zone whose IT load under works is limited", default="", references="zones.zone", zh="片区"),
        Column("lon", "float", "longitude", "deg", -180, 180, default=None, zh="经度"),
        Column("lat", "float", "latitude", "deg", -90, 90, default=None, zh="纬度"),
        Column("it_load_kw", "float", "mean IT load in the base year", "kW", 0.1, 1e6, zh="IT负荷"),
        Column("load_growth_per_year", "float", "growth of the IT load up to the last investment year", "1/a", -0.5, 1.0, default=0.0, zh="负荷年增长率"),
        Column("cooling_kwh_per_kwh_it", "float", "cooling energy per IT energy", "kWh/kWh", 0, 3, zh="制冷系数"),
        Column("power_kwh_per_kwh_it", "float", "losses of the power chain per IT energy", "kWh/kWh", 0, 2, zh="供电损耗系数"),
        Column("other_kwh_per_kwh_it", "float", "lighting and other energy per IT energy", "kWh/kWh", 0, 1, default=0.0, zh="其他系数"),
        Column("cooling_type", "str", "kind of cooling plant", choices=COOLING_TYPES, default="dx", zh="制冷形式"),
        Column("rack_count", "int", "racks", minimum=0, maximum=200000, default=0, zh="机架数"),
        Column("age_years", "float", "age in the base year", "a", 0, 80, default=10.0, zh="机龄"),
        Column("residual_life_years", "float", "residual life of building and plant from the base year", "a", 0, 80, default=20.0, zh="残余寿命"),
        Column("tier", "int", "redundancy tier", minimum=1, maximum=4, default=2, zh="等级"),
        Column("redundancy_group", "str", "centres that back each other up: never under works in one year", default="", zh="互备组"),
        Column("wue_l_per_kwh", "float", "water use per IT energy", "L/kWh", 0, 20, default=0.0, zh="水效WUE"),
        Column("scattered", "bool", "small, old, scattered room of [DC-CLOSE]", default=False, zh="老小散旧"),
        Column("closable", "bool", "may be closed and moved to a host", default=True, zh="可关停"),
        Column("green_eligible", "bool", "may be a pilot of [DC-GREEN]", default=False, zh="可绿色试点"),
        Column("battery_eligible", "bool", "may be a demonstration of [DC-BATT]", default=False, zh="可电池示范"),
        Column("must_choose", "bool", "must take one of its options (no `nothing`)", default=False, zh="必选"),
        Column("site_om_cny_per_year", "float", "rent, staff and upkeep saved when it closes", "CNY/a", 0, default=0.0, zh="场地年费"),
        Column("cost_factor", "float", "multiplies the CAPEX of measures and of moving", "1", 0.1, 10, default=1.0, zh="造价系数"),
        Column("electricity_price_cny_per_kwh", "float", "price it pays; empty: datacenter.electricity_price_cny_per_kwh", "CNY/kWh", 0, 10, default=None, zh="电价"),
        *SOURCE_COLUMNS,
    ),
    zh="数据中心",
)  # fmt: skip

MEASURES = Table(
    "measures",
    "retrofit measures; a package is an admissible set of them",
    (
        Column("measure", "str", "id", key=True, zh="措施"),
        Column("name_zh", "str", "Chinese name", default="", zh="中文名"),
        Column("name_en", "str", "English name", default="", zh="英文名"),
        Column("acts_on", "str", "component of the energy it cuts", choices=COMPONENTS, zh="作用对象"),
        Column("saving_share", "float", "share of what is left of the component that it saves", "share", 0, 0.99, zh="节能比例"),
        Column("fixed_capex_cny", "float", "CAPEX per centre", "CNY", 0, default=0.0, zh="固定投资"),
        Column("capex_cny_per_kw", "float", "CAPEX per kW of IT load", "CNY/kW", 0, default=0.0, zh="单位投资"),
        Column("om_share", "float", "yearly O&M as a share of CAPEX", "1/a", 0, 1, default=0.0, zh="运维比例"),
        Column("life_years", "float", "technical life", "a", 1, 60, zh="寿命"),
        Column("downtime_weeks", "float", "weeks of works that endanger operation; 0: none", "week", 0, 52, default=0.0, zh="停机周数"),
        Column("water_change_l_per_kwh", "float", "change of the water use per IT energy", "L/kWh", -20, 20, default=0.0, zh="水耗变化"),
        Column("requires", "str", "measures one of which must be in the package, separated by |", default="", zh="前置措施"),
        Column("exclusion_groups", "str", "groups of which a package holds at most one measure, separated by |", default="", zh="互斥组"),
        Column("cooling_types", "str", "cooling types it fits, separated by |; empty: all", default="", zh="适用制冷形式"),
        Column("min_tier", "int", "lowest tier it is allowed at", minimum=1, maximum=4, default=1, zh="最低等级"),
        Column("max_tier", "int", "highest tier it is allowed at", minimum=1, maximum=4, default=4, zh="最高等级"),
        Column("min_residual_life_years", "float", "least residual life in the year of the works", "a", 0, 60, default=0.0, zh="最低残余寿命"),
        Column("min_it_load_kw", "float", "least IT load", "kW", 0, default=0.0, zh="最小负荷"),
        Column("max_it_load_kw", "float", "largest IT load; empty: none", "kW", 0, default=None, zh="最大负荷"),
        Column("min_kw_per_rack", "float", "least IT load per rack", "kW", 0, 200, default=0.0, zh="最小功率密度"),
        Column("advanced", "bool", "counts for [DC-TECH]", default=False, zh="先进技术"),
        Column("second_life_battery", "bool", "counts for [DC-BATT]", default=False, zh="梯次电池"),
        Column("recovers_heat", "bool", "needs a heat sink and delivers to it", default=False, zh="余热回收"),
        Column("leaves_limit_scope", "bool", "takes the centre out of the scope of the limit standard (liquid cooling)", default=False, zh="不适用限额"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="措施",
)  # fmt: skip

MEASURE_TRADES = Table(
    "measure_trades",
    "contractor weeks of a measure by trade; the measure `close` stands for closing a centre",
    (
        Column("measure", "str", "measure, or `close`", key=True, zh="措施"),
        Column("trade", "str", "trade; one without any row in `trades` is unlimited", key=True, zh="工种"),
        Column("fixed_weeks", "float", "weeks per centre", "week", 0, default=0.0, zh="固定周数"),
        Column("weeks_per_100_kw", "float", "weeks per 100 kW of IT load", "week", 0, default=0.0, zh="每百千瓦周数"),
    ),
    optional=True,
    zh="措施工时",
)  # fmt: skip

TRADES = Table(
    "trades",
    "contractor weeks on the market; a trade with rows has none in a year without one",
    (
        Column("trade", "str", "trade", key=True, zh="工种"),
        Column("year", "int", "calendar year", minimum=2000, maximum=2100, key=True, zh="年份"),
        Column("weeks", "float", "contractor weeks available", "week", 0, zh="周数"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="施工力量",
)  # fmt: skip

ZONES = Table(
    "zones",
    "zones in which only a share of the IT load may be under works in a year",
    (
        Column("zone", "str", "id", key=True, zh="片区"),
        Column("max_share_under_works", "float", "share of the zone's IT load", "share", 0, 1, default=1.0, zh="施工负荷上限"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="片区",
)  # fmt: skip

HOSTS = Table(
    "hosts",
    "government-cloud and other hosts that take the load of closed centres",
    (
        Column("host", "str", "id", key=True, zh="承接方"),
        Column("name_zh", "str", "Chinese name", default="", zh="中文名"),
        Column("name_en", "str", "English name", default="", zh="英文名"),
        Column("lon", "float", "longitude", "deg", -180, 180, default=None, zh="经度"),
        Column("lat", "float", "latitude", "deg", -90, 90, default=None, zh="纬度"),
        Column("accepts", "str", "owner kinds it takes, separated by |; empty: all", default="", zh="接收对象"),
        Column("pue", "float", "PUE of the host", "1", 1, 3, zh="PUE"),
        Column("wue_l_per_kwh", "float", "water use per IT energy", "L/kWh", 0, 20, default=0.0, zh="水效WUE"),
        Column("consolidation_ratio", "float", "IT load at the host per IT load moved (servers shrink)", "kW/kW", 0.01, 2, zh="整合比"),
        Column("hosting_fee_cny_per_kw_year", "float", "fee per kW of load at the host", "CNY/kW/a", 0, default=0.0, zh="托管费"),
        Column("migration_fixed_cny", "float", "moving, per centre", "CNY", 0, default=0.0, zh="迁移固定费"),
        Column("migration_cny_per_kw", "float", "moving, per kW of IT load moved", "CNY/kW", 0, default=0.0, zh="迁移单位费"),
        Column("migration_life_years", "float", "years after which the move is to be paid again", "a", 1, 60, default=20.0, zh="迁移有效期"),
        Column("own_load_kw", "float", "the host's own load in the base year", "kW", 0, default=0.0, zh="自有负荷"),
        Column("own_growth_per_year", "float", "growth of the own load", "1/a", -0.5, 1, default=0.0, zh="自有负荷增长率"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="承接方",
)  # fmt: skip

HOST_CAPACITY = Table(
    "host_capacity",
    "IT capacity of the hosts by year (own load included); none in a year without a row",
    (
        Column("host", "str", "host", key=True, references="hosts.host", zh="承接方"),
        Column("year", "int", "calendar year", minimum=2000, maximum=2100, key=True, zh="年份"),
        Column("capacity_kw", "float", "IT capacity", "kW", 0, zh="容量"),
    ),
    optional=True,
    zh="承接容量",
)  # fmt: skip

HEAT_SINKS = Table(
    "heat_sinks",
    "users of waste heat",
    (
        Column("sink", "str", "id", key=True, zh="用热方"),
        Column("name_zh", "str", "Chinese name", default="", zh="中文名"),
        Column("name_en", "str", "English name", default="", zh="英文名"),
        Column("lon", "float", "longitude", "deg", -180, 180, zh="经度"),
        Column("lat", "float", "latitude", "deg", -90, 90, zh="纬度"),
        Column("price_cny_per_kwh", "float", "what it pays for heat", "CNY/kWh", 0, 5, zh="热价"),
        Column("max_distance_km", "float", "longest link (straight line)", "km", 0, 50, default=2.0, zh="最远距离"),
        Column("link_fixed_cny", "float", "substation of a link", "CNY", 0, default=0.0, zh="换热站投资"),
        Column("link_capex_cny_per_km", "float", "heat pipe", "CNY/km", 0, default=0.0, zh="管道投资"),
        Column("link_life_years", "float", "life of the link", "a", 1, 60, default=30.0, zh="管道寿命"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="余热用户",
)  # fmt: skip

SINK_MONTHS = Table(
    "sink_months",
    "heat a sink can take by month; none in a month without a row",
    (
        Column("sink", "str", "sink", key=True, references="heat_sinks.sink", zh="用热方"),
        Column("month", "int", "month", minimum=1, maximum=12, key=True, zh="月份"),
        Column("capacity_kwh", "float", "heat it can take", "kWh", 0, zh="需热量"),
    ),
    optional=True,
    zh="月需热量",
)  # fmt: skip

OFFERS = Table(
    "offers",
    "tendered offers: a centre with offers chooses only among them (and nothing, unless must_choose)",
    (
        Column("offer", "str", "id", key=True, zh="报价"),
        Column("centre", "str", "centre", references="centres.centre", zh="数据中心"),
        Column("npv_cny", "float", "net present value as tendered", "CNY", zh="净现值"),
        Column("cost_cny", "float", "discounted cost as tendered", "CNY", default=0.0, zh="成本现值"),
        Column("energy_saved_kwh_per_year", "float", "electricity saved in the last year", "kWh/a", default=0.0, zh="年节电量"),
        Column("pue_after", "float", "PUE afterwards; empty: unchanged", "1", 1, 5, default=None, zh="改造后PUE"),
        Column("year", "int", "year of the works; 0: base year, no works counted", minimum=0, maximum=2100, default=0, zh="年份"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="报价",
)  # fmt: skip

OFFER_PAYMENTS = Table(
    "offer_payments",
    "what an offer takes from each source in each year",
    (
        Column("offer", "str", "offer", key=True, references="offers.offer", zh="报价"),
        Column("source", "str", "`municipal`, a district id, or `owner`", key=True, zh="资金来源"),
        Column("year", "int", "calendar year", minimum=2000, maximum=2100, key=True, zh="年份"),
        Column("amount_cny", "float", "payment", "CNY", 0, zh="金额"),
    ),
    optional=True,
    zh="报价付款",
)  # fmt: skip

PLAN_IN_FORCE = plan_in_force_table(
    Column("centre", "str", "centre", key=True, zh="数据中心"),
    Column("action", "str", "what is done", choices=("retrofit", "staged", "close", "offer"), zh="做法"),
    Column("year", "int", "calendar year", minimum=2000, maximum=2100, zh="年份"),
    Column("measures", "str", "measures of a retrofit, joined by +; of a staged one, those of its first stage", default="", zh="措施"),
    Column("later_year", "int", "calendar year of the second stage; 0: none", minimum=0, maximum=2100, default=0, zh="二期年份"),
    Column("later_measures", "str", "all measures after the second stage, joined by +", default="", zh="二期措施"),
    Column("host", "str", "where the load of a closed room goes", default="", zh="承接中心"),
    Column("sink", "str", "who takes its waste heat", default="", zh="热用户"),
    Column("offer", "str", "offer taken", default="", zh="报价"),
    Column("mix", "str", "funding mix; empty: the owner's own level", default="", zh="资金组合"),
)  # fmt: skip

PARAMETERS = (
    Parameter("datacenter.electricity_price_cny_per_kwh", "float", "price of electricity", "CNY/kWh", 0, 10, default=0.76),
    Parameter("datacenter.water_price_cny_per_m3", "float", "price of cooling water", "CNY/m3", 0, 100, default=5.5),
    Parameter("datacenter.pue_threshold", "float", "[DC-PUE] asks for centres at or above it", "1", 1, 5, default=1.7),
    Parameter("datacenter.upgraded_max_pue", "float", "[DC-PUE] counts a centre at or below it as upgraded", "1", 1, 5, default=1.6),
    Parameter("datacenter.green_max_pue", "float", "[DC-GREEN] counts a pilot at or below it", "1", 1, 5, default=1.4),
    Parameter("datacenter.limit_pue", "float", "[DC-LIMIT] the limit standard (GB 40879 grade 3)", "1", 1, 5, default=1.5),
    Parameter("datacenter.limit_min_racks", "int", "[DC-LIMIT] centres with more racks are in scope", "1", 0, 100000, default=100),
    Parameter("datacenter.recoverable_heat_share", "float", "share of the base-year IT load recovered as heat", "share", 0, 1, default=0.5),
    Parameter("datacenter.heat_pump_cop", "float", "heat delivered per electricity of the heat pump", "1", 1.01, 20, default=4.0),
    Parameter("datacenter.heat_displaced_kg_co2_per_kwh", "float", "CO2 of the boiler heat replaced", "kg/kWh", 0, 2, default=0.22),
    Parameter("datacenter.staging_min_it_load_kw", "float", "centres from this load on may be retrofitted in two stages", "kW", 0, 1e9, default=500.0),
    Parameter("datacenter.max_packages_per_centre", "int", "most packages offered per centre, 0: all; the bound then holds for the packages offered", "1", 0, 1000000, default=0),
    Parameter("datacenter.max_staged_packages_per_centre", "int", "most packages of a centre that staged projects combine, 0: all offered; the bound then holds for these", "1", 0, 1000000, default=0),
)  # fmt: skip

SCHEMA = Schema(
    programme="datacenter",
    tables=(
        DISTRICTS,
        BUDGETS,
        FUNDING,
        LOCKS,
        CENTRES,
        MEASURES,
        MEASURE_TRADES,
        TRADES,
        ZONES,
        HOSTS,
        HOST_CAPACITY,
        HEAT_SINKS,
        SINK_MONTHS,
        OFFERS,
        OFFER_PAYMENTS,
        PLAN_IN_FORCE,
    ),
    parameters=COMMON_PARAMETERS + PARAMETERS,
    clauses=clauses_of("datacenter"),
)

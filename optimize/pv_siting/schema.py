"""What an instance of the public-sector PV programme holds."""

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

SITE_TYPES = ("school", "hospital", "office", "university", "care_home", "venue")
LEVELS = ("municipal", "district")
DAY_KINDS = ("weekday", "weekend")
SURFACES = ("roof", "facade", "parking")
HOURS = tuple(f"h{hour}" for hour in range(24))
EMC = "emc"  # reserved name of the mix in which an investor pays under an energy contract
OWN_LEVEL = "own"  # the mix when the funding table says nothing: the site's own level pays
HOT_WATER_PROJECT = "hot_water"  # project kind of an installation without PV
OFFER = "offer"  # the mix of a tendered offer, which says itself who pays

SITES = Table(
    "sites",
    "public institutions that may get an installation",
    (
        Column("site", "str", "id of the institution", key=True, zh="机构"),
        Column("name_zh", "str", "Chinese name", default="", zh="中文名"),
        Column("name_en", "str", "English name", default="", zh="英文名"),
        Column("type", "str", "kind of institution; chooses the load profile", choices=SITE_TYPES, zh="类型"),
        Column("level", "str", "level of government it belongs to", choices=LEVELS, default="district", zh="隶属"),
        Column("district", "str", "where it lies", references="districts.district", zh="区"),
        Column("lon", "float", "longitude", "deg", -180, 180, default=None, zh="经度"),
        Column("lat", "float", "latitude", "deg", -90, 90, default=None, zh="纬度"),
        Column(
            "goes_first", "bool", "counted by the order rule (government office, university, large hospital)",
            default=False, zh="优先机构",
        ),
        Column("usable_roof_m2", "float", "free roof that may be built on", "m2", 0, 200_000, default=0.0, typical=1500, zh="可用屋面"),
        Column("roof_tilt_deg", "float", "tilt of modules on the roof", "deg", 0, 90, default=10.0, zh="倾角"),
        Column("roof_azimuth_deg", "float", "azimuth, 180 = south", "deg", 0, 360, default=180.0, zh="方位角"),
        Column("structure_reserve_kg_per_m2", "float", "dead load the roof may still take", "kg/m2", 0, 500, default=50.0, zh="结构余量"),
        Column("roof_residual_life_years", "float", "years until the roof is renewed, from the base year", "a", 0, 100, default=25.0, zh="屋面剩余寿命"),
        Column("shading_share", "float", "yield lost to shading", "share", 0, 0.9, default=0.0, zh="遮挡损失"),
        Column("parking_m2", "float", "parking that may be roofed", "m2", 0, 200_000, default=0.0, typical=800, zh="停车场"),
        Column("facade_m2", "float", "façade that may carry modules", "m2", 0, 50_000, default=0.0, typical=300, zh="立面"),
        Column("facade_azimuth_deg", "float", "azimuth of that façade", "deg", 0, 360, default=180.0, zh="立面方位角"),
        Column("annual_load_kwh", "float", "electricity used", "kWh/a", 0, 5e8, typical=500_000, zh="年用电量"),
        Column("hot_water_kwh_per_a", "float", "heat demand for hot water", "kWh/a", 0, 1e8, default=0.0, typical=100_000, zh="热水需热量"),
        Column("feeder", "str", "feeder it is connected to; empty: no limit", default="", references="feeders.feeder", zh="馈线"),
        Column("existing_pv_kw", "float", "PV already standing (its roof is not in `usable_roof_m2`)", "kW", 0, 50_000, default=0.0, zh="已有光伏"),
        Column("tariff", "str", "tariff class", references="tariffs.tariff", zh="电价类别"),
        Column("cost_factor", "float", "CAPEX relative to the catalogue", "1", 0.2, 5, default=1.0, zh="造价系数"),
        Column("must_choose", "bool", "exactly one of its options has to be taken", default=False, zh="必选其一"),
        *SOURCE_COLUMNS,
    ),
    zh="公共机构",
)  # fmt: skip

FEEDERS = Table(
    "feeders",
    "medium-voltage feeders",
    (
        Column("feeder", "str", "id", key=True, zh="馈线"),
        Column("substation", "str", "substation it hangs on; empty: no limit", default="", references="substations.substation", zh="变电站"),
        Column("hosting_capacity_kw", "float", "PV it can host, existing PV included", "kW", 0, typical=3000, zh="接纳能力"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="馈线",
)  # fmt: skip

SUBSTATIONS = Table(
    "substations",
    "substations",
    (
        Column("substation", "str", "id", key=True, zh="变电站"),
        Column("hosting_capacity_kw", "float", "PV it can host, existing PV included", "kW", 0, typical=30_000, zh="接纳能力"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="变电站",
)  # fmt: skip

KINDS = Table(
    "kinds",
    "kinds of PV installation",
    (
        Column("kind", "str", "id, also the project kind of the funding table", key=True, zh="类型"),
        Column("name_zh", "str", "Chinese name", default="", zh="中文名"),
        Column("name_en", "str", "English name", default="", zh="英文名"),
        Column("surface", "str", "what it is built on", choices=SURFACES, zh="安装面"),
        Column("tilt_deg", "float", "tilt; empty: that of the roof", "deg", 0, 90, default=None, zh="倾角"),
        Column("azimuth_deg", "float", "azimuth; empty: that of the surface", "deg", 0, 360, default=None, zh="方位角"),
        Column("m2_per_kw", "float", "surface taken", "m2/kW", 2, 30, typical=9, zh="单位面积"),
        Column("kg_per_m2", "float", "dead load on the roof", "kg/m2", 0, 200, default=0.0, zh="荷载"),
        Column("min_kw", "float", "smallest installation worth building", "kW", 0, default=5.0, zh="最小容量"),
        Column("yield_factor", "float", "yield relative to an open rack", "1", 0, 2, default=1.0, zh="发电系数"),
        Column("capex_fixed_cny", "float", "CAPEX per project", "CNY", 0, default=0.0, zh="固定投资"),
        Column("capex_cny_per_kw", "float", "CAPEX per kW", "CNY/kW", 0, typical=4000, zh="单位投资"),
        Column("opex_cny_per_kw_a", "float", "operation and maintenance", "CNY/(kW a)", 0, default=0.0, typical=60, zh="运维"),
        Column("other_income_cny_per_kw_a", "float", "income beside electricity (charging, saved roof cover)", "CNY/(kW a)", 0, default=0.0, zh="其他收入"),
        Column("life_years", "float", "technical life", "a", 1, 60, default=25.0, zh="寿命"),
        Column("subsidy_cny_per_kwh", "float", "generation subsidy", "CNY/kWh", 0, 2, default=0.0, zh="度电补贴"),
        Column("counts_bipv", "bool", "counts for PV-BIPV", default=False, zh="计入BIPV"),
        Column("counts_carport", "bool", "counts for PV-CARPORT", default=False, zh="计入车棚"),
        Column("emc_allowed", "bool", "may be built under an energy-management contract", default=True, zh="可合同能源管理"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="光伏类型",
)  # fmt: skip

STORAGES = Table(
    "storages",
    "storage that may be added to an installation",
    (
        Column("storage", "str", "id", key=True, zh="储能"),
        Column("kwh_per_kw", "float", "usable capacity per kW of PV", "kWh/kW", 0, 20, zh="配置"),
        Column("capex_fixed_cny", "float", "CAPEX per project", "CNY", 0, default=0.0, zh="固定投资"),
        Column("capex_cny_per_kwh", "float", "CAPEX per kWh of capacity", "CNY/kWh", 0, typical=1500, zh="单位投资"),
        Column("opex_cny_per_kwh_a", "float", "operation and maintenance", "CNY/(kWh a)", 0, default=0.0, zh="运维"),
        Column("life_years", "float", "technical life", "a", 1, 60, default=12.0, zh="寿命"),
        Column("efficiency", "float", "round trip", "share", 0.1, 1, default=0.9, zh="效率"),
        Column("hosting_relief_share", "float", "share by which it lowers the hosting capacity used", "share", 0, 1, default=0.0, zh="接纳减免"),
        Column("counts_flex", "bool", "counts for PV-FLEX (PV, storage, direct current, flexible load)", default=False, zh="计入光储直柔"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="储能",
)  # fmt: skip

HOT_WATER = Table(
    "hot_water",
    "solar or air-source hot-water systems",
    (
        Column("hot_water", "str", "id", key=True, zh="热水系统"),
        Column("share_served", "float", "share of the demand it serves", "share", 0, 1, default=1.0, zh="保证率"),
        Column("roof_m2_per_kwh", "float", "roof taken per kWh served a year", "m2/(kWh/a)", 0, 1, zh="单位屋面"),
        Column("kg_per_m2", "float", "dead load on the roof", "kg/m2", 0, 500, default=0.0, zh="荷载"),
        Column("electricity_kwh_per_kwh", "float", "electricity used per kWh served", "1", 0, 2, default=0.0, zh="耗电"),
        Column("capex_fixed_cny", "float", "CAPEX per project", "CNY", 0, default=0.0, zh="固定投资"),
        Column("capex_cny_per_kwh", "float", "CAPEX per kWh served a year", "CNY/(kWh/a)", 0, typical=2, zh="单位投资"),
        Column("opex_share", "float", "yearly O&M as a share of CAPEX", "1/a", 0, 0.5, default=0.02, zh="运维率"),
        Column("life_years", "float", "technical life", "a", 1, 60, default=15.0, zh="寿命"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="热水系统",
)  # fmt: skip

CONFIGURATIONS = Table(
    "configurations",
    "what may be built at a site: kind and size step x storage x hot water",
    (
        Column("configuration", "str", "id", key=True, zh="配置"),
        Column("kind", "str", "kind of PV; empty: none", default="", references="kinds.kind", zh="光伏类型"),
        Column("fill_share", "float", "share of the free surface used", "share", 0, 1, default=1.0, zh="铺设率"),
        Column("max_kw", "float", "no larger than this", "kW", 0, default=None, zh="最大容量"),
        Column("storage", "str", "storage; empty: none", default="", references="storages.storage", zh="储能"),
        Column("hot_water", "str", "hot-water system; empty: none", default="", references="hot_water.hot_water", zh="热水系统"),
    ),
    optional=True,
    zh="配置",
)  # fmt: skip

LOAD_PROFILES = Table(
    "load_profiles",
    "shape of the electricity demand: relative power by type, month, kind of day and hour",
    (
        Column("type", "str", "type of institution", choices=SITE_TYPES, key=True, zh="类型"),
        Column("month", "int", "month", minimum=1, maximum=12, key=True, zh="月"),
        Column("day_kind", "str", "weekday or weekend", choices=DAY_KINDS, key=True, zh="日类型"),
        *(Column(name, "float", f"power in the hour from {name[1:]} o'clock", "relative", 0) for name in HOURS),
    ),
    optional=True,
    zh="负荷曲线",
)  # fmt: skip

WEATHER = Table(
    "weather",
    "typical days of a year, hour by hour; a row with `days` = n stands for n days of its month "
    "(8760 hourly rows: one day each); sun positions are those of `month`, `day`",
    (
        Column("month", "int", "month", minimum=1, maximum=12, key=True, zh="月"),
        Column("day", "int", "day of the month", minimum=1, maximum=31, key=True, zh="日"),
        Column("sky", "str", "name of the sky state where several share a day", default="mean", key=True, zh="天空状况"),
        Column("hour", "int", "hour of local standard time, from its beginning", minimum=0, maximum=23, key=True, zh="时"),
        Column("days", "float", "days of the year the row stands for", "d", 0, 366, default=1.0, zh="代表天数"),
        Column("ghi_w_per_m2", "float", "global horizontal irradiance", "W/m2", 0, 1500, zh="总辐射"),
        Column("dni_w_per_m2", "float", "direct normal irradiance", "W/m2", 0, 1500, zh="直射辐射"),
        Column("dhi_w_per_m2", "float", "diffuse horizontal irradiance", "W/m2", 0, 1500, zh="散射辐射"),
        Column("temp_air_c", "float", "air temperature", "C", -50, 60, default=20.0, zh="气温"),
        Column("wind_m_per_s", "float", "wind speed", "m/s", 0, 60, default=1.0, zh="风速"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="气象",
)  # fmt: skip

TARIFFS = Table(
    "tariffs",
    "tariff classes",
    (
        Column("tariff", "str", "id", key=True, zh="电价类别"),
        Column("price_cny_per_kwh", "float", "price of electricity bought", "CNY/kWh", 0, 10, typical=0.7, zh="电价"),
        Column("subsidy_cny_per_kwh", "float", "generation subsidy of this class (the higher of this and the kind's is paid)", "CNY/kWh", 0, 2, default=0.0, zh="度电补贴"),
        *SOURCE_COLUMNS,
    ),
    zh="电价",
)  # fmt: skip

INSTALLERS = Table(
    "installers",
    "what installers can build in a year; a year without a row is not limited",
    (
        Column("year", "int", "calendar year", minimum=2000, maximum=2100, key=True, zh="年份"),
        Column("capacity_kw", "float", "PV that can be installed", "kW", 0, typical=30_000, zh="安装能力"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="安装能力",
)  # fmt: skip

DISTRICT_MINIMA = Table(
    "district_minima",
    "new capacity each district has to reach",
    (
        Column("district", "str", "district", references="districts.district", key=True, zh="区"),
        Column("capacity_kw", "float", "new PV", "kW", 0, typical=2000, zh="容量"),
        Column("by_year", "int", "calendar year; 0: the last", minimum=0, default=0, zh="截止年份"),
    ),
    optional=True,
    zh="各区下限",
)  # fmt: skip

OFFERS = Table(
    "offers",
    "tendered offers; a site with offers chooses among them only",
    (
        Column("offer", "str", "id", key=True, zh="报价"),
        Column("site", "str", "institution", references="sites.site", zh="机构"),
        Column("kind", "str", "kind of PV; empty: none", default="", references="kinds.kind", zh="光伏类型"),
        Column("storage", "str", "storage; empty: none", default="", references="storages.storage", zh="储能"),
        Column("hot_water", "str", "hot-water system; empty: none", default="", references="hot_water.hot_water", zh="热水系统"),
        Column("kw", "float", "PV capacity", "kW", 0, 100_000, default=0.0, zh="容量"),
        Column("year", "int", "calendar year it is built in; 0: the base year", minimum=0, default=0, zh="年份"),
        Column("npv_cny", "float", "stated net present value; empty: derived", "CNY", default=None, zh="净现值"),
        Column("annual_kwh", "float", "stated first-year generation; empty: derived", "kWh/a", 0, default=None, zh="年发电量"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="报价",
)  # fmt: skip

OFFER_PAYMENTS = Table(
    "offer_payments",
    "who pays what for an offer, and when",
    (
        Column("offer", "str", "offer", references="offers.offer", key=True, zh="报价"),
        Column("source", "str", "`municipal`, a district id, or `owner`", key=True, zh="资金来源"),
        Column("year", "int", "calendar year", minimum=2000, maximum=2100, key=True, zh="年份"),
        Column("amount_cny", "float", "payment (negative: money coming back)", "CNY", zh="金额"),
    ),
    optional=True,
    zh="报价付款",
)  # fmt: skip

PLAN_IN_FORCE = plan_in_force_table(
    Column("site", "str", "institution", key=True, zh="机构"),
    Column("configuration", "str", "what is built; empty where an offer is taken", default="", zh="配置"),
    Column("offer", "str", "offer taken; empty: none", default="", zh="报价"),
    Column("year", "int", "calendar year it is built in", minimum=2000, maximum=2100, zh="年份"),
    Column("mix", "str", "who pays (of an offer: those it names)", default=OWN_LEVEL, zh="资金组合"),
    Column("kw", "float", "capacity contracted; empty: what fits", "kW", 0, 100_000, default=None, zh="容量"),
)

PARAMETERS = (
    Parameter("pv_siting.weather_file", "str", "EPW file, PVGIS typical year or PVGIS hourly series (horizontal, with components; CSV or JSON) in the instance folder, used instead of the weather table", default="", is_file=True),
    Parameter("pv_siting.latitude_deg", "float", "latitude for sun positions", "deg", -66, 66, default=31.23),
    Parameter("pv_siting.longitude_deg", "float", "longitude for sun positions", "deg", -180, 180, default=121.47),
    Parameter("pv_siting.utc_offset_h", "float", "local standard time", "h", -12, 14, default=8.0),
    Parameter("pv_siting.ghi_kwh_per_m2_a", "float", "irradiance is scaled to this global horizontal sum; 0: as it is", "kWh/(m2 a)", 0, 3000, default=0.0),
    Parameter("pv_siting.albedo", "float", "ground reflection", "share", 0, 1, default=0.2),
    Parameter("pv_siting.temperature_coefficient_per_k", "float", "power change per kelvin above 25 C", "1/K", -0.01, 0, default=-0.0035),
    Parameter("pv_siting.system_loss_share", "float", "soiling, mismatch, wiring, inverter, outages", "share", 0, 0.9, default=0.14),
    Parameter("pv_siting.first_year_degradation", "float", "loss of the first year", "share", 0, 0.2, default=0.02),
    Parameter("pv_siting.degradation_per_a", "float", "loss of each later year", "1/a", 0, 0.1, default=0.005),
    Parameter("pv_siting.feed_in_cny_per_kwh", "float", "price of exported electricity", "CNY/kWh", 0, 10, default=0.4155),
    Parameter("pv_siting.subsidy_years", "int", "years a generation subsidy is paid", "a", 0, 60, default=5),
    Parameter("pv_siting.capex_change_per_a", "float", "real change of CAPEX per year", "1/a", -0.5, 0.5, default=0.0),
    Parameter("pv_siting.kw_step", "float", "capacities are rounded down to multiples of this", "kW", 1e-3, 1000, default=1.0),
    Parameter("pv_siting.min_roof_life_years", "float", "residual life a roof needs in the year it is built on", "a", 0, 60, default=10.0),
    Parameter("pv_siting.first_share", "float", "order rule: share of the capacity standing at the end of each year that is at institutions that go first", "share", 0, 1, default=0.0),
    Parameter("pv_siting.reference_capacity_kw", "float", "capacity by which a missing share (PV-LEAD) is turned into kW", "kW", 1, default=50_000.0),
    Parameter("pv_siting.hot_water.price_cny_per_kwh", "float", "what a kWh of hot water costs today", "CNY/kWh", 0, 10, default=0.45),
    Parameter("pv_siting.hot_water.kg_co2_per_kwh", "float", "emissions of a kWh of hot water today", "kg/kWh", 0, 2, default=0.24),
    Parameter("pv_siting.emc.allowed", "bool", "energy-management contracts may be used", default=False),
    Parameter("pv_siting.emc.hurdle_rate", "float", "return the investor asks for (real)", "1/a", 0, 0.5, default=0.08),
    Parameter("pv_siting.emc.contract_years", "int", "length of the contract", "a", 1, 60, default=20),
    Parameter("pv_siting.emc.host_discount", "float", "discount on its tariff the host gets (0: it pays its tariff)", "share", 0, 1, default=0.1),
    Parameter("pv_siting.emc.min_kw", "float", "smallest installation an investor takes", "kW", 0, default=0.0),
)  # fmt: skip

SCHEMA = Schema(
    "pv_siting",
    (
        DISTRICTS,
        SITES,
        FEEDERS,
        SUBSTATIONS,
        KINDS,
        STORAGES,
        HOT_WATER,
        CONFIGURATIONS,
        LOAD_PROFILES,
        WEATHER,
        TARIFFS,
        INSTALLERS,
        DISTRICT_MINIMA,
        OFFERS,
        OFFER_PAYMENTS,
        BUDGETS,
        FUNDING,
        LOCKS,
        PLAN_IN_FORCE,
    ),
    (*COMMON_PARAMETERS, *PARAMETERS),
    clauses_of("pv_siting"),
)

"""What an instance of the reclaimed-water programme holds.

The network has one node per plant, junction and user; their ids share one name space.  Corridors
join nodes; a corridor can hold one pipe per quality.  Water flows are m3/d, means over a period.
"""

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

NODE_REFERENCE = "plants.plant|junctions.junction|users.user"
USER_KINDS = ("cooling", "process", "urban", "green", "landscape", "datacenter", "other")
PROJECT_TABLES = ("plants", "pipes", "users", "other_works")
"""Tables of a plan that list its projects."""
PILOT_KINDS = ("suburban_district", "new_city", "central_plant", "park", "other")

_NAMES = (
    Column("name_zh", "str", "Chinese name", default="", zh="中文名"),
    Column("name_en", "str", "English name", default="", zh="英文名"),
)
_PLACE = (
    Column("lon", "float", "longitude", "deg", -180, 180, default=None, zh="经度"),
    Column("lat", "float", "latitude", "deg", -90, 90, default=None, zh="纬度"),
)
_ELEVATION = Column(
    "elevation_m", "float", "ground level, for `optimize hydraulics`; empty: from the static heads", "m", -500, 9000, default=None, zh="地面标高"
)  # fmt: skip
_DISTRICT = Column(
    "district", "str", "district whose purse pays the district share", default="",
    references="districts.district", zh="区",
)  # fmt: skip
_SYSTEM = Column(
    "system", "str", "price system its cost and revenue belong to [W-PRICE]", default="city", zh="计价系统"
)

PLANTS = Table(
    "plants",
    "wastewater plants that can supply reclaimed water",
    (
        Column("plant", "str", "id, also the id of its node", key=True, zh="水厂"),
        *_NAMES,
        _DISTRICT,
        *_PLACE,
        _ELEVATION,
        Column("effluent_m3_per_d", "float", "mean effluent of the year", "m3/d", 0, typical=5e4, zh="尾水量"),
        Column("ecological_m3_per_d", "float", "mean discharge the receiving water needs", "m3/d", 0, default=0.0, zh="生态基流"),
        Column("effluent_profile", "str", "monthly profile of the effluent; empty: even", default="", references="profiles.profile", zh="尾水月变化"),
        Column("ecological_profile", "str", "monthly profile of the ecological discharge; empty: even", default="", references="profiles.profile", zh="生态月变化"),
        Column("tn_mg_per_l", "float", "total nitrogen of the effluent", "mg/l", 0, 200, default=12.0, zh="总氮"),
        Column("tn_limit_mg_per_l", "float", "discharge limit the remaining effluent, concentrate included, must keep; empty: none", "mg/l", 0, 500, default=None, zh="总氮限值"),
        _SYSTEM,
        *SOURCE_COLUMNS,
    ),
    zh="再生水厂",
)  # fmt: skip

PLANT_MONTHS = Table(
    "plant_months",
    "measured effluent and ecological discharge of a plant by month; replaces mean times profile",
    (
        Column("plant", "str", "plant", references="plants.plant", key=True, zh="水厂"),
        Column("month", "int", "calendar month", minimum=1, maximum=12, key=True, zh="月"),
        Column("effluent_m3_per_d", "float", "effluent", "m3/d", 0, typical=5e4, zh="尾水量"),
        Column("ecological_m3_per_d", "float", "ecological discharge", "m3/d", 0, default=0.0, zh="生态基流"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="水厂逐月水量",
)  # fmt: skip

JUNCTIONS = Table(
    "junctions",
    "nodes that are neither plant nor user",
    (Column("junction", "str", "id of the node", key=True, zh="节点"), *_PLACE, _ELEVATION, *SOURCE_COLUMNS),
    optional=True,
    zh="管网节点",
)

PROFILES = Table(
    "profiles",
    "monthly factors; each profile needs twelve rows",
    (
        Column("profile", "str", "id", key=True, zh="曲线"),
        Column("month", "int", "calendar month", minimum=1, maximum=12, key=True, zh="月"),
        Column("factor", "float", "multiplies the mean of the year", "1", 0, 20, zh="系数"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="月变化曲线",
)

QUALITIES = Table(
    "qualities",
    "classes of reclaimed water; a pipe carries one",
    (
        Column("quality", "str", "id", key=True, zh="水质"),
        *_NAMES,
        Column("tn_kept_out_share", "float", "share of the nitrogen in the effluent drawn that does not return to the outfall (the concentrate of RO returns it)", "share", 0, 1, default=0.9, zh="总氮削减比例"),
        Column("pipe_capex_factor", "float", "multiplies the CAPEX of its pipes", "1", 0, 10, default=1.0, zh="管道造价系数"),
        *SOURCE_COLUMNS,
    ),
    zh="水质等级",
)  # fmt: skip

TREATMENT = Table(
    "treatment",
    "qualities a plant can make, with what running them costs",
    (
        Column("plant", "str", "plant", references="plants.plant", key=True, zh="水厂"),
        Column("quality", "str", "quality made", references="qualities.quality", key=True, zh="水质"),
        Column("opex_cny_per_m3", "float", "chemicals, membranes, labour per m3 of product, without electricity", "CNY/m3", 0, 50, zh="药剂人工成本"),
        Column("kwh_per_m3", "float", "electricity per m3 of product", "kWh/m3", 0, 20, default=0.0, zh="电耗"),
        Column("recovery", "float", "product per effluent drawn; the rest is concentrate and returns", "share", 0.05, 1, default=1.0, zh="回收率"),
        Column("existing_m3_per_d", "float", "capacity already standing", "m3/d", 0, default=0.0, zh="已有能力"),
        *SOURCE_COLUMNS,
    ),
    zh="处理工艺",
)  # fmt: skip

MODULES = Table(
    "modules",
    "sizes in which treatment can be built; at most one size per plant and quality",
    (
        Column("plant", "str", "plant", references="plants.plant", key=True, zh="水厂"),
        Column("quality", "str", "quality", references="qualities.quality", key=True, zh="水质"),
        Column("step", "str", "name of the size", key=True, zh="规模档"),
        Column("capacity_m3_per_d", "float", "product capacity", "m3/d", 0, typical=1e4, zh="能力"),
        Column("capex_cny", "float", "investment", "CNY", 0, typical=1e7, zh="投资"),
        Column("fixed_opex_cny_per_a", "float", "yearly cost whether it runs or not", "CNY/a", 0, default=0.0, zh="固定运行费"),
        Column("life_years", "float", "life", "a", 1, 100, default=20.0, zh="寿命"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="处理模块",
)  # fmt: skip

USERS = Table(
    "users",
    "users that could take reclaimed water",
    (
        Column("user", "str", "id, also the id of its node", key=True, zh="用户"),
        *_NAMES,
        _DISTRICT,
        Column("park", "str", "industrial park", default="", references="parks.park", zh="园区"),
        Column("kind", "str", "kind of use", default="other", choices=USER_KINDS, zh="用途"),
        Column("industry", "str", "industry, free text", default="", zh="行业"),
        Column("quota_listed", "bool", "high-consumption user with access that [W-QUOTA] names", default=False, zh="高耗水名单"),
        *_PLACE,
        _ELEVATION,
        Column("min_pressure_m", "float", "pressure its connection needs, for `optimize hydraulics`; empty: as called for there", "m", 0, 200, default=None, zh="最小服务水头"),
        Column("connection_capex_cny", "float", "cost on the user's site", "CNY", 0, default=0.0, typical=2e5, zh="接入投资"),
        Column("connection_life_years", "float", "life of it", "a", 1, 100, default=20.0, zh="接入寿命"),
        Column("min_take_share", "float", "least share of each demand taken in each period if connected", "share", 0, 1, default=0.0, zh="最低用量比例"),
        Column("growth_share", "float", "growth of demand until the last investment year", "share", -1, 20, default=0.0, zh="需求增长"),
        Column("refusal_cost_cny_per_m3", "float", "loss per m3 of growth refused [W-QUOTA]", "CNY/m3", 0, default=20.0, zh="限增损失"),
        Column("peak_day_factor", "float", "peak day over the mean of its month", "1", 1, 20, default=1.0, zh="日变化系数"),
        Column("single_feed", "bool", "takes its water through one corridor only", default=False, zh="单一接入"),
        Column("tanker_plant", "str", "plant a tanker would fill at; empty: no tanker", default="", references="plants.plant", zh="罐车取水点"),
        Column("tanker_cny_per_m3", "float", "haulage by tanker", "CNY/m3", 0, default=15.0, zh="罐车运费"),
        Column("tanker_capex_cny", "float", "tank and filling point of a tanker user", "CNY", 0, default=0.0, zh="罐车接收投资"),
        _SYSTEM,
        *SOURCE_COLUMNS,
    ),
    zh="用户",
)  # fmt: skip

USER_DEMANDS = Table(
    "user_demands",
    "demands of the users, one row per quality class needed",
    (
        Column("demand", "str", "id", key=True, zh="需求"),
        Column("user", "str", "user", references="users.user", zh="用户"),
        Column("need", "str", "lowest quality that will do", references="qualities.quality", zh="所需水质"),
        Column("base_m3_per_d", "float", "mean of the year before growth", "m3/d", 0, typical=1e3, zh="日均需水"),
        Column("profile", "str", "monthly profile; empty: even", default="", references="profiles.profile", zh="月变化"),
        Column("alternative_source", "str", "what reclaimed water replaces", default="tap", choices=("tap", "river", "well"), zh="替代水源"),
        Column("alternative_cny_per_m3", "float", "full cost of the water replaced", "CNY/m3", 0, 100, default=0.0, zh="替代水价"),
        Column("alternative_kwh_per_m3", "float", "electricity behind the water replaced", "kWh/m3", 0, 20, default=0.5, zh="替代水电耗"),
        Column("user_opex_cny_per_m3", "float", "user's extra cost of using reclaimed water", "CNY/m3", 0, 100, default=0.0, zh="用户附加成本"),
        Column("max_price_cny_per_m3", "float", "highest price it can be asked; empty: the alternative's", "CNY/m3", 0, 100, default=None, zh="最高售价"),
        *SOURCE_COLUMNS,
    ),
    zh="用水需求",
)  # fmt: skip

ACCEPTS = Table(
    "accepts",
    "qualities that will do for a need (dominance, not always a chain); the need itself always does",
    (
        Column("need", "str", "quality needed", references="qualities.quality", key=True, zh="所需水质"),
        Column(
            "quality",
            "str",
            "quality that also does",
            references="qualities.quality",
            key=True,
            zh="可用水质",
        ),
    ),
    optional=True,
    zh="水质替代",
)

PIPES = Table(
    "pipes",
    "diameters; capacity at the economic velocity",
    (
        Column("diameter", "str", "id", key=True, zh="管径"),
        Column("capacity_m3_per_d", "float", "capacity", "m3/d", 0, typical=1e4, zh="能力"),
        Column(
            "capex_cny_per_m",
            "float",
            "investment per metre in open ground",
            "CNY/m",
            0,
            typical=2e3,
            zh="单价",
        ),
        Column(
            "inner_diameter_mm",
            "float",
            "inner diameter, for `optimize hydraulics`; empty: the number in the id (DN300)",
            "mm",
            10,
            5000,
            default=None,
            zh="内径",
        ),
        Column(
            "roughness_c",
            "float",
            "Hazen-Williams C, for `optimize hydraulics`; empty: as called for there",
            "1",
            30,
            200,
            default=None,
            zh="海曾-威廉系数",
        ),
        Column("life_years", "float", "life", "a", 1, 100, default=40.0, zh="寿命"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="管径目录",
)

CORRIDORS = Table(
    "corridors",
    "where pipes can be laid",
    (
        Column("corridor", "str", "id", key=True, zh="路由"),
        Column("from_node", "str", "plant, junction or user", references=NODE_REFERENCE, zh="起点"),
        Column("to_node", "str", "plant, junction or user", references=NODE_REFERENCE, zh="终点"),
        Column("length_m", "float", "length", "m", 0, typical=2e3, zh="长度"),
        Column("terrain_factor", "float", "multiplies CAPEX per metre (river crossing, trenchless)", "1", 0, 20, default=1.0, zh="地形系数"),
        Column("fixed_capex_cny", "float", "CAPEX of any pipe besides its metres (shafts, crossing)", "CNY", 0, default=0.0, zh="固定投资"),
        Column("unit_cost_cny_per_m3", "float", "cost of each m3 carried besides pumping", "CNY/m3", 0, default=0.0, zh="单位输水费"),
        Column("directed", "bool", "water flows only from from_node to to_node", default=False, zh="单向"),
        Column("static_head_m", "float", "lift from from_node to to_node (negative: the other way)", "m", -500, 500, default=0.0, zh="静扬程"),
        Column("existing_quality", "str", "quality of a pipe that lies there", default="", references="qualities.quality", zh="已有管道水质"),
        Column("existing_m3_per_d", "float", "capacity of that pipe", "m3/d", 0, default=0.0, zh="已有管道能力"),
        Column("existing_diameter_mm", "float", "inner diameter of that pipe, for `optimize hydraulics`; empty: the smallest of the table `pipes` with its capacity", "mm", 10, 5000, default=None, zh="已有管道内径"),
        _DISTRICT,
        _SYSTEM,
        *SOURCE_COLUMNS,
    ),
    zh="管道路由",
)  # fmt: skip

STORAGE_SITES = Table(
    "storage_sites",
    "tanks or basins that can be built at a node, each for one quality",
    (
        Column("site", "str", "id", key=True, zh="调蓄点"),
        Column("node", "str", "where", references=NODE_REFERENCE, zh="节点"),
        Column("quality", "str", "what it holds", references="qualities.quality", zh="水质"),
        Column("volume_m3", "float", "volume", "m3", 0, typical=5e3, zh="容积"),
        Column("capex_cny", "float", "investment", "CNY", 0, typical=5e6, zh="投资"),
        Column("life_years", "float", "life", "a", 1, 100, default=30.0, zh="寿命"),
        _DISTRICT,
        _SYSTEM,
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="调蓄设施",
)

CASCADES = Table(
    "cascades",
    "users whose effluent can serve others [W-CASCADE]",
    (
        Column("cascade", "str", "id", key=True, zh="梯级"),
        Column("user", "str", "user that gives", references="users.user", zh="供方"),
        Column("quality", "str", "quality of its effluent", references="qualities.quality", zh="水质"),
        Column("return_share", "float", "effluent per m3 of its own use", "share", 0, 1, zh="排放比例"),
        Column("capacity_m3_per_d", "float", "capacity of the collecting works", "m3/d", 0, typical=1e3, zh="能力"),
        Column("capex_cny", "float", "investment", "CNY", 0, default=0.0, typical=1e6, zh="投资"),
        Column("opex_cny_per_m3", "float", "running cost without electricity", "CNY/m3", 0, 50, default=0.0, zh="运行费"),
        Column("kwh_per_m3", "float", "electricity", "kWh/m3", 0, 20, default=0.0, zh="电耗"),
        Column("tn_kept_out_kg_per_m3", "float", "nitrogen kept out per m3 used", "kg/m3", 0, 1, default=0.0, zh="总氮削减"),
        Column("life_years", "float", "life", "a", 1, 100, default=20.0, zh="寿命"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="梯级利用",
)  # fmt: skip

PARKS = Table(
    "parks",
    "industrial parks; a near-zero-discharge pilot [W-ZLD] needs its CAPEX and a share of reclaimed water",
    (
        Column("park", "str", "id", key=True, zh="园区"),
        *_NAMES,
        _DISTRICT,
        Column("zld_candidate", "bool", "can become a near-zero-discharge pilot", default=False, zh="近零排放候选"),
        Column("zld_min_share", "float", "share of the park's demand of the year that must be reclaimed", "share", 0, 1, default=0.5, zh="最低再生水比例"),
        Column("zld_capex_cny", "float", "investment (concentration, crystalliser)", "CNY", 0, default=0.0, typical=2e7, zh="投资"),
        Column("zld_opex_cny_per_a", "float", "running cost", "CNY/a", 0, default=0.0, zh="运行费"),
        Column("zld_life_years", "float", "life", "a", 1, 100, default=15.0, zh="寿命"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="工业园区",
)  # fmt: skip

PILOTS = Table(
    "pilots",
    "candidate reuse pilots [W-PILOT]",
    (
        Column("pilot", "str", "id", key=True, zh="试点"),
        *_NAMES,
        Column("kind", "str", "kind", choices=PILOT_KINDS, zh="类别"),
        _DISTRICT,
        Column(
            "min_users", "int", "members that must be connected by pipe", minimum=0, default=1, zh="最少用户"
        ),
        Column(
            "min_volume_m3_per_a",
            "float",
            "reclaimed water its members must use",
            "m3/a",
            0,
            default=0.0,
            zh="最少水量",
        ),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="再生水试点",
)

PILOT_MEMBERS = Table(
    "pilot_members",
    "users that belong to a pilot",
    (
        Column("pilot", "str", "pilot", references="pilots.pilot", key=True, zh="试点"),
        Column("user", "str", "user", references="users.user", key=True, zh="用户"),
    ),
    optional=True,
    zh="试点成员",
)

PILOT_REQUIREMENTS = Table(
    "pilot_requirements",
    "pilots by kind and district that [W-PILOT] asks for besides their number",
    (
        Column("kind", "str", "kind, `*` for all", choices=("*", *PILOT_KINDS), key=True, zh="类别"),
        Column("district", "str", "district; empty: anywhere", default="", references="districts.district", key=True, zh="区"),
        Column("minimum", "int", "least number", minimum=0, zh="最少个数"),
    ),
    optional=True,
    zh="试点布局",
)  # fmt: skip

INTAKE_CAPS = Table(
    "intake_caps",
    "caps on fresh water by district, park or user, in force when [W-CAP] is asked",
    (
        Column(
            "scope", "str", "what the id names", choices=("district", "park", "user"), key=True, zh="范围"
        ),
        Column("id", "str", "district, park or user", key=True, zh="对象"),
        Column("cap_m3_per_a", "float", "fresh water taken at most", "m3/a", 0, zh="取水上限"),
        *SOURCE_COLUMNS,
    ),
    optional=True,
    zh="取水总量控制",
)

PLAN_IN_FORCE = plan_in_force_table(
    Column("table", "str", "table of a run that lists it", choices=PROJECT_TABLES, key=True, zh="表"),
    Column("project", "str", "what it is there: plant:quality, corridor:quality, user, or kind:id of other works (storage, cascade, zld)", key=True, zh="项目"),
    Column("choice", "str", "step of a module, diameter of a pipe, pipe or tanker of a user; empty for other works", default="", zh="方案"),
    Column("year", "int", "calendar year it is built in; told apart only where water.phased is true", minimum=2000, maximum=2100, zh="年份"),
    Column("mix", "str", "who pays what is contracted; needed only where the funding table leaves several mixes open to its kind", default="", zh="资金组合"),
)  # fmt: skip

PARAMETERS = (
    *COMMON_PARAMETERS,
    Parameter("water.periods", "int", "operating periods of the year: 12 months, 4 seasons or 1", "1", 1, 12, default=12),
    Parameter("water.peak_day", "bool", "add a peak day that sizes plants and pipes", default=False),
    Parameter("water.phased", "bool", "decide the year of each project; false: all in the base year from the sum of the budgets", default=False),
    Parameter("water.num_plants_exact", "int", "plants with a module built, exactly; 0: free", "1", 0, default=0),
    Parameter("water.electricity_cny_per_kwh", "float", "electricity price of plants and pumps", "CNY/kWh", 0, 10, default=0.70),
    Parameter("water.pumping_kwh_per_m3_per_km", "float", "friction at the economic velocity", "kWh/m3/km", 0, 1, default=0.010),
    Parameter("water.pump_efficiency", "float", "of pump and motor, for the static head", "1", 0.1, 1, default=0.72),
    Parameter("water.network_o_and_m_share", "float", "yearly upkeep of pipes, storage and connections per CAPEX", "1/a", 0, 0.5, default=0.01),
    Parameter("water.tn_value_cny_per_kg", "float", "value of nitrogen kept out of the estuary", "CNY/kg", 0, 1000, default=20.0),
    Parameter("water.tanker_kg_co2_per_m3", "float", "emissions of tanker haulage", "kg/m3", 0, 100, default=0.3),
    Parameter("water.max_price_share", "float", "price of reclaimed water at most this share of the alternative's [W-PRICE]", "share", 0, 1, default=1.0),
    Parameter("water.price_capital_share", "float", "share of annualised CAPEX that prices must recover [W-PRICE]", "share", 0, 1, default=1.0),
)  # fmt: skip

SCHEMA = Schema(
    programme="water",
    tables=(
        DISTRICTS,
        PLANTS,
        PLANT_MONTHS,
        JUNCTIONS,
        USERS,
        USER_DEMANDS,
        QUALITIES,
        ACCEPTS,
        PROFILES,
        TREATMENT,
        MODULES,
        PIPES,
        CORRIDORS,
        STORAGE_SITES,
        CASCADES,
        PARKS,
        PILOTS,
        PILOT_MEMBERS,
        PILOT_REQUIREMENTS,
        INTAKE_CAPS,
        BUDGETS,
        FUNDING,
        LOCKS,
        PLAN_IN_FORCE,
    ),
    parameters=PARAMETERS,
    clauses=clauses_of("water"),
)

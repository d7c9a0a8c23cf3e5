"""Declarations of what an instance holds: tables, columns, parameters, and the loaded data.

The declarations are data, not code: reading, validation, templates and ``docs/instances.md`` are
all derived from them (`optimize.io`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from optimize.clauses import Clause, ClauseTarget
from optimize.revision import FROZEN_STATES, STATES

Kind = Literal["float", "int", "str", "bool"]
REQUIRED: Any = object()


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name : snake case, ending in the unit where it has one (``capex_cny``).
    kind : type of the values.
    meaning : one line for the reader, English.
    unit : unit of the values in base units; "" where there is none.
    minimum, maximum : inclusive range.
    default : value of an empty cell or a missing column; REQUIRED means there is none.  ``None``
        means "may be empty" (NaN for floats, "" for strings; not for int and bool).
    choices : allowed values of a string column.
    references : "table.column" that must hold each non-empty value; several separated by "|".
    key : part of the table's unique key.
    typical : a value more than 100 times above or below it draws a warning (kW for W, 万元 for 元).
    zh : Chinese heading.
    """

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    default: Any = REQUIRED
    choices: tuple[str, ...] = ()
    references: str = ""
    key: bool = False
    typical: float | None = None
    zh: str = ""

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@dataclass(frozen=True)
class Table:
    """One table: ``<programme>/<name>.csv`` (or .parquet); shared tables lie in the root folder."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    optional: bool = False
    shared: bool = False
    zh: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.key)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True)
class Parameter:
    """One value of ``instance.toml``; ``path`` is dotted (``economics.discount_rate``).

    ``is_file``: it names a file, relative to the instance folder, whose content belongs to the
    instance.
    """

    path: str
    kind: Kind
    meaning: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    default: Any = REQUIRED
    choices: tuple[str, ...] = ()
    is_file: bool = False


@dataclass(frozen=True)
class Schema:
    """Everything an instance of one programme may hold (its clauses: `optimize.clauses`)."""

    programme: str
    tables: tuple[Table, ...]
    parameters: tuple[Parameter, ...]
    clauses: tuple[Clause, ...]

    def table(self, name: str) -> Table:
        return next(table for table in self.tables if table.name == name)


@dataclass(frozen=True)
class InstanceData:
    """Validated data of one programme, in base units.

    ``tables`` holds every table of the schema (an absent optional table is an empty frame) with
    every declared column and a RangeIndex; ``parameters`` every declared path; ``targets`` the
    clauses set in ``instance.toml``.
    """

    programme: str
    name_zh: str
    name_en: str
    parameters: Mapping[str, Any]
    targets: Mapping[str, ClauseTarget]
    tables: Mapping[str, pd.DataFrame]
    fingerprint: str = ""


@dataclass(frozen=True)
class InstanceDraft:
    """An instance still to be written: what generators, templates and converters return.

    ``parameters`` and ``targets`` hold only what differs from the defaults; ``targets`` maps a
    clause id to the keys of its toml table (required, hard, penalty_cny_per_unit, deadline_year).
    """

    programme: str
    name_zh: str
    name_en: str
    tables: Mapping[str, pd.DataFrame]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    targets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    description: str = ""


SOURCE_COLUMNS = (
    Column("source", "str", "where the row's figures come from", default="", zh="来源"),
    Column(
        "confidence",
        "str",
        "A primary, B secondary, C own calculation, D unverified or synthetic",
        default="D",
        choices=("A", "B", "C", "D"),
        zh="置信度",
    ),
)

DISTRICTS = Table(
    "districts",
    "administrative districts",
    (
        Column("district", "str", "id used by the other tables", key=True, zh="区"),
        Column("name_zh", "str", "Chinese name", default="", zh="中文名"),
        Column("name_en", "str", "English name", default="", zh="英文名"),
        Column(
            "ring", "str", "central city or suburb", default="central",
            choices=("central", "suburban"), zh="圈层",
        ),
        Column("new_city", "str", "new town lying in the district, if any", default="", zh="新城"),
        Column("population", "float", "inhabitants", minimum=0, default=0.0, zh="人口"),
        Column("lon", "float", "longitude of the centroid", "deg", -180, 180, default=None, zh="经度"),
        Column("lat", "float", "latitude of the centroid", "deg", -90, 90, default=None, zh="纬度"),
        *SOURCE_COLUMNS,
    ),
    shared=True,
    zh="行政区",
)  # fmt: skip

BUDGETS = Table(
    "budgets",
    "money available by source and year; a public source and year without a row has none, "
    "`owner` without any row is unlimited",
    (
        Column("source", "str", "`municipal`, a district id, or `owner`", key=True, zh="资金来源"),
        Column("year", "int", "calendar year", minimum=2000, maximum=2100, key=True, zh="年份"),
        Column("amount_cny", "float", "money available", "CNY", 0, typical=1e7, zh="金额"),
    ),
    zh="预算",
)

FUNDING = Table(
    "funding",
    "eligible funding mixes: each project takes one mix of its kind; a source pays its share up to "
    "its ceiling, what is above falls on the row with `takes_rest`",
    (
        Column("project_kind", "str", "kind of project, `*` for all", key=True, zh="项目类型"),
        Column("mix", "str", "name of the mix", key=True, zh="资金组合"),
        Column(
            "source", "str", "who pays", choices=("municipal", "district", "owner"), key=True,
            zh="资金来源",
        ),
        Column("share", "float", "share of CAPEX", "share", 0, 1, zh="比例"),
        Column("ceiling_cny", "float", "most it pays for one project", "CNY", 0, default=None, zh="上限"),
        Column("takes_rest", "bool", "pays what the others' ceilings leave", default=False, zh="兜底"),
    ),
    optional=True,
    zh="资金规则",
)  # fmt: skip

LOCKS = Table(
    "locks",
    "decisions taken beforehand",
    (
        Column(
            "kind", "str", "what is locked", key=True, zh="类型",
            choices=("force_in", "force_out", "fix", "earliest", "latest", "together", "not_together"),
        ),
        Column("id", "str", "project", key=True, zh="项目"),
        Column("other", "str", "second project of a pair", default="", key=True, zh="另一项目"),
        Column("value", "str", "what it is fixed to (`fix`)", default="", zh="取值"),
        Column("year", "int", "calendar year of earliest, latest, fix; 0: none", minimum=0, default=0, zh="年份"),
        Column("note", "str", "why", default="", zh="备注"),
    ),
    optional=True,
    zh="锁定",
)  # fmt: skip


def plan_in_force_table(*decision: Column) -> Table:
    """The plan that is being revised: one row a project, with what its programme decides of it (`decision`)."""
    return Table(
        "plan_in_force",
        "the plan that is being revised, one row a project: those "
        f"{', '.join(FROZEN_STATES)} stay as they are, every other one may be changed",
        (
            *decision,
            Column("state", "str", "how far it is", choices=STATES, default=STATES[0], zh="状态"),
            Column("actual_capex_cny", "float", f"what it costs in fact ({', '.join(FROZEN_STATES)}); empty: as estimated", "CNY", 0, default=None, zh="实际投资"),
            Column("cancellation_cost_cny", "float", "owed where a project that is not yet contracted is dropped or becomes another one (not where it is only moved)", "CNY", 0, default=0.0, zh="取消费用"),
        ),
        optional=True,
        zh="现行计划",
    )  # fmt: skip


COMMON_PARAMETERS = (
    Parameter("base_year", "int", "first investment year; money is real money of it", "a", 2000, 2100),
    Parameter("num_years", "int", "investment years", "a", 1, 10, default=5),
    Parameter("economics.horizon_years", "int", "evaluation horizon from the base year", "a", 1, 60, default=20),
    Parameter("economics.discount_rate", "float", "real social discount rate", "1/a", 0, 0.3, default=0.06),
    Parameter("emissions.grid_kg_co2_per_kwh", "float", "grid emission factor", "kg/kWh", 0, 2, default=0.42),
    Parameter("emissions.grid_kgce_per_kwh", "float", "coal equivalent of electricity", "kgce/kWh", 0, 1, default=0.1229),
    Parameter("prices.carbon_cny_per_t", "float", "value of avoided CO2", "CNY/t", 0, 5000, default=55.0),
    Parameter("budgets.scale", "float", "multiplies every budget", "1", 0, 1e6, default=1.0),
    Parameter("budgets.carry_over_share", "float", "share of unspent money usable next year", "share", 0, 1, default=0.0),
    Parameter("revision.first_open_year", "int", "before it nothing starts but what `plan_in_force` holds, as it is there; 0: all years are open", "a", 0, 2100, default=0),
    Parameter("revision.weight_added", "float", "what a project that is not in the plan in force counts as a change", "1", 0, 1000, default=1.0),
    Parameter("revision.weight_dropped", "float", "what a dropped project counts", "1", 0, 1000, default=1.0),
    Parameter("revision.weight_resized", "float", "what a project with another scale, configuration or offer counts", "1", 0, 1000, default=1.0),
    Parameter("revision.weight_moved", "float", "what a project in another year counts", "1", 0, 1000, default=1.0),
    Parameter("revision.weight_refunded", "float", "what a project that others pay counts", "1", 0, 1000, default=1.0),
    Parameter("stress.costs_mean", "float", "`optimize stress`: CAPEX on average, times that of the tables", "1", 0.1, 10, default=1.0),
    Parameter("stress.costs_sd", "float", "standard deviation common to all CAPEX (logarithmic normal)", "1", 0, 1, default=0.1),
    Parameter("stress.project_costs_sd", "float", "standard deviation of each row's own CAPEX besides", "1", 0, 1, default=0.1),
    Parameter("stress.yields_mean", "float", "yields, savings or effluent on average, times those of the tables", "1", 0.1, 10, default=1.0),
    Parameter("stress.yields_sd", "float", "their standard deviation", "1", 0, 1, default=0.05),
    Parameter("stress.prices_mean", "float", "prices of what is saved or sold on average, times those of the tables", "1", 0.1, 10, default=1.0),
    Parameter("stress.prices_sd", "float", "their standard deviation", "1", 0, 1, default=0.1),
    Parameter("stress.demand_mean", "float", "demand on average, times that of the tables", "1", 0.1, 10, default=1.0),
    Parameter("stress.demand_sd", "float", "its standard deviation", "1", 0, 1, default=0.05),
    Parameter("robust.cost_deviation", "float", "`optimize robust`: by what share of its CAPEX a project at its worst is dearer", "share", 0, 5, default=0.2),
    Parameter("stress.delay_share", "float", "share of projects that come a year late, each by chance", "share", 0, 1, default=0.1),
)  # fmt: skip

"""The policy clauses: ids, labels in Chinese and English, units, and what an instance asks of them."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Sense = Literal[">=", "<="]


@dataclass(frozen=True)
class Clause:
    """One clause of a policy paper.

    ``sense`` is ``>=`` for a target and ``<=`` for a cap; ``unit`` is the unit of ``required``.
    """

    id: str
    programme: str
    zh: str
    en: str
    unit: str
    sense: Sense


@dataclass(frozen=True)
class ClauseTarget:
    """What an instance asks of a clause.

    ``penalty_cny_per_unit`` is the price of one missing unit where the clause is soft; it is part
    of the money goals (``npv``, ``cost``).  ``deadline_year`` is a calendar year, None = the last.
    """

    clause: Clause
    required: float
    hard: bool = True
    penalty_cny_per_unit: float = 0.0
    deadline_year: int | None = None

    @property
    def id(self) -> str:
        return self.clause.id


REVISE = "CITY-REVISE"
EVERY_PROGRAMME = "*"  # a clause that every programme may set

_ALL = (
    Clause("DC-PUE", "datacenter", "PUE≥1.7存量数据中心提标改造比例", "share of centres with PUE at or above the threshold upgraded or closed", "share", ">="),
    Clause("DC-CLOSE", "datacenter", "老小散旧机房关停迁移比例", "share of small, old, scattered rooms closed", "share", ">="),
    Clause("DC-TECH", "datacenter", "先进节能技术应用数量", "centres with an advanced measure (liquid cooling, AI control, magnetic-bearing chiller)", "count", ">="),
    Clause("DC-SAFE", "datacenter", "安全性与残余寿命条件", "measures only where tier and residual life allow (violations)", "count", "<="),
    Clause("DC-HEAT", "datacenter", "余热利用量", "waste heat delivered", "MWh/a", ">="),
    Clause("DC-BATT", "datacenter", "梯次利用动力电池UPS示范", "second-life battery UPS demonstrations", "count", ">="),
    Clause("DC-GREEN", "datacenter", "绿色数据中心试点", "green data-centre pilots", "count", ">="),
    Clause("DC-LIMIT", "datacenter", "能耗限额达标", "centres above the energy-consumption limit after the programme", "count", "<="),
    Clause("DC-ENERGY", "datacenter", "年节电量", "electricity saved in the last year", "MWh/a", ">="),
    Clause("DC-CO2", "datacenter", "年碳减排量", "CO2 avoided in the last year", "tCO2/a", ">="),
    Clause("DC-WATER", "datacenter", "新增用水量上限", "additional water use in the last year", "m3/a", "<="),
    Clause("W-NEAR", "water", "就近利用", "mean distance from plant to user", "km", "<="),
    Clause("W-UPGRADE", "water", "提标改造水厂数", "plants upgraded", "count", ">="),
    Clause("W-QUOTA", "water", "高耗水行业用户接入", "listed high-consumption users connected or refused growth", "count", ">="),
    Clause("W-CASCADE", "water", "串联梯级用水量", "cascade water used", "m3/d", ">="),
    Clause("W-PILOT", "water", "再生水利用试点", "reuse pilots", "count", ">="),
    Clause("W-PRICE", "water", "优质优价收支平衡", "supply systems whose revenue does not cover cost", "count", "<="),
    Clause("W-CAP", "water", "用水总量控制", "fresh-water intake", "m3/a", "<="),
    Clause("W-TN", "water", "入海总氮削减", "total nitrogen kept out of the estuary", "kg/a", ">="),
    Clause("W-ZLD", "water", "近零排放园区试点", "near-zero-discharge parks", "count", ">="),
    Clause("W-VOLUME", "water", "再生水利用量", "reclaimed water used", "m3/a", ">="),
    Clause("PV-50MW", "pv_siting", "新增光伏装机容量", "new PV capacity", "kW", ">="),
    Clause("PV-FUND", "pv_siting", "事权与支出责任一致", "projects paid by the wrong level of government", "count", "<="),
    Clause("PV-LEAD", "pv_siting", "学校医院装机占比", "share of capacity at schools and hospitals", "share", ">="),
    Clause("PV-BIPV", "pv_siting", "光伏建筑一体化试点", "building-integrated pilots", "count", ">="),
    Clause("PV-CARPORT", "pv_siting", "光伏车棚+充电项目", "PV carport and charging projects", "count", ">="),
    Clause("PV-HEAT", "pv_siting", "太阳能/空气源热水项目", "solar or air-source hot-water projects", "count", ">="),
    Clause("PV-FLEX", "pv_siting", "光储直柔试点", "PV, storage, direct current and flexible load pilots", "count", ">="),
    Clause("PV-EMC", "pv_siting", "合同能源管理项目", "projects under energy-management contracts", "count", ">="),
    Clause("PV-ENERGY", "pv_siting", "年发电量", "generation in the last year", "MWh/a", ">="),
    Clause("PV-CO2", "pv_siting", "年碳减排量", "CO2 avoided in the last year", "tCO2/a", ">="),
    Clause("CITY-BUDGET", "city", "预算", "budget by funding source and year", "CNY", "<="),
    Clause("CITY-ENERGY", "city", "公共机构能耗总量", "energy use of public institutions", "tce/a", "<="),
    Clause("CITY-CO2", "city", "公共机构碳排放总量", "CO2 of public institutions", "tCO2/a", "<="),
    Clause(REVISE, EVERY_PROGRAMME, "现行计划调整项数", "changes to the plan in force", "count", "<="),
)  # fmt: skip

CLAUSES = MappingProxyType({clause.id: clause for clause in _ALL})


def clauses_of(programme: str) -> tuple[Clause, ...]:
    """The clauses an instance of ``programme`` may set, in the order of the policy papers."""
    return tuple(clause for clause in _ALL if clause.programme in (programme, EVERY_PROGRAMME))

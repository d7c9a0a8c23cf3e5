"""The words of a change report in Chinese and English, and how it writes money and figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from optimize.report import text

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")

WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "title": "Change of the plan",
        "was": "was",
        "changed": "projects changed",
        "nothing": "No project changed",
        "no_choice": "without a choice",
        "why": "Why",
        "group": "Input changes",
        "differences": "differences",
        "effect": "Effect on the goal",
        "put_down": "projects put down to it",
        "num_differences": "Differences",
        "num_put_down": "Projects put down to it",
        "no plan found": "without it no plan was found",
        "examples": "For example",
        "projects": "Projects",
        "project": "Project",
        "name": "Name",
        "programme": "Programme",
        "district": "District",
        "what": "Change",
        "before": "Before",
        "after": "Now",
        "capex_before": "CAPEX before",
        "capex_after": "CAPEX now",
        "because": "Because of",
        "forced": "no choice: ledger or tables leave no other way",
        "together": "several together, or open within the gap",
        "stability": "Stability",
        "held": "this plan",
        "free": "plan without any hold",
        "changes": "changes",
        "price": "price of stability",
        "at_least": "at least",
        "at_most": "at most",
        "curve": "Value against number of changes",
        "best_possible": "none is better than",
        "penalty": "each change has to be worth",
        "most": "at most so many changes",
        "other_language": "中文",
        "added": "added",
        "dropped": "dropped",
        "moved": "moved",
        "resized": "done otherwise",
        "prices": "prices",
        "costs": "costs",
        "budgets": "budgets",
        "targets": "targets",
        "candidates": "candidates",
        "measurements": "measurements",
        "ledger": "ledger and locks",
        "other": "other",
    },
    "zh": {
        "title": "方案变更说明",
        "was": "上期",
        "changed": "个项目有变动",
        "nothing": "没有项目变动",
        "no_choice": "别无选择",
        "why": "变动原因",
        "group": "输入变化",
        "differences": "处差异",
        "effect": "对目标的影响",
        "put_down": "个项目归因于此",
        "num_differences": "差异数",
        "num_put_down": "归因项目数",
        "no plan found": "撤回该项变化后未找到方案",
        "examples": "例如",
        "projects": "项目",
        "project": "项目编号",
        "name": "名称",
        "programme": "专项",
        "district": "区",
        "what": "变动",
        "before": "原方案",
        "after": "现方案",
        "capex_before": "原投资",
        "capex_after": "现投资",
        "because": "原因",
        "forced": "别无选择：台账或数据所限",
        "together": "多项共同作用，或在证明间隙内无法区分",
        "stability": "稳定性",
        "held": "本期方案",
        "free": "不受约束的方案",
        "changes": "项变动",
        "price": "稳定性代价",
        "at_least": "至少",
        "at_most": "至多",
        "curve": "目标值与变动项数",
        "best_possible": "任何方案不优于",
        "penalty": "每项变动至少应带来",
        "most": "变动项数上限",
        "other_language": "English",
        "added": "新增",
        "dropped": "取消",
        "moved": "改期",
        "resized": "调整方案",
        "prices": "价格",
        "costs": "造价",
        "budgets": "预算",
        "targets": "目标",
        "candidates": "候选项目",
        "measurements": "实测数据",
        "ledger": "台账与锁定",
        "other": "其他",
    },
}

_YI, _WAN = 1e8, 1e4


def figure(value: float | None, unit: str, language: Language, *, signed: bool = False) -> str:
    """A figure with its unit; money in M CNY, in Chinese in 亿元 or 万元."""
    if value is None or math.isnan(value):
        return "—"
    sign = "+" if signed and value > 0 else ""
    if unit != "CNY":
        return sign + text.amount(value, unit)
    if language == "en":
        return f"{sign}{value / 1e6:,.3f} M CNY" if abs(value) >= 1e4 else f"{sign}{value:,.0f} CNY"
    if abs(value) >= _YI:
        return f"{sign}{value / _YI:,.3f} 亿元"
    return f"{sign}{value / _WAN:,.2f} 万元" if abs(value) >= 1e3 or value == 0 else f"{sign}{value:,.0f} 元"

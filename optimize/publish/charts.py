"""Charts that every programme has: money by year and source, districts, and how sure the plan is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from optimize.i18n.catalogue import N_
from optimize.i18n.words import Words
from optimize.publish.svg import SMALL_PX, Drawing, shortened, text_width

# A panel whose figures stay below this share of the largest panel's has a scale of its own, and says so.
_OWN_SCALE = 0.15
MUNICIPAL, DISTRICTS, OWNER = "municipal", "districts", "owner"
GROUP_NAMES = {
    MUNICIPAL: N_("municipal budget"),
    DISTRICTS: N_("district budgets"),
    OWNER: N_("owners' money"),
}


def source_groups(money: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of money by who pays: the city, its districts together, owners; groups without rows are left out.

    Each group's frame has year, spent_cny and budget_cny (NaN where it is unlimited), one row a year.
    """
    group = money["source"].map(lambda s: s if s in (MUNICIPAL, OWNER) else DISTRICTS)
    found = {}
    for name in (MUNICIPAL, DISTRICTS, OWNER):
        rows = money[group == name]
        if len(rows):
            sums = rows.groupby("year", sort=True)[["spent_cny", "budget_cny"]].sum(min_count=1)
            unlimited = rows["budget_cny"].isna().groupby(rows["year"]).any()
            sums["budget_cny"] = sums["budget_cny"].mask(unlimited)
            found[name] = sums.reset_index()
    return found


@dataclass(frozen=True)
class YearBar:
    """A year with what is spent or given (filled) and what it is held against (outlined; NaN: nothing)."""

    year: int
    value_cny: float
    limit_cny: float


def money_panels(money: pd.DataFrame, words: Words) -> list[Markup]:
    """What is spent each year against the budget, a panel for each group of `source_groups`.

    Parameters
    ----------
    money : source, year, spent_cny, budget_cny.
    """
    panels = {
        words.text(GROUP_NAMES[name]): [
            YearBar(int(year), float(spent), float(limit))
            for year, spent, limit in zip(
                rows["year"], rows["spent_cny"].tolist(), rows["budget_cny"].tolist(), strict=True
            )
        ]
        for name, rows in source_groups(money).items()
    }
    return year_panels(panels, words.text("spent"), words.text("budget of the year"), words)


def year_panels(
    panels: Mapping[str, Sequence[YearBar]], filled: str, outlined: str, words: Words
) -> list[Markup]:
    """Bars by year, a panel for each name, all to one scale but where one is far smaller than the others."""
    most = {
        name: max(
            (v for bar in bars for v in (bar.value_cny, bar.limit_cny) if not math.isnan(v)), default=0.0
        )
        for name, bars in panels.items()
    }
    largest = max(most.values(), default=0.0)
    return [
        _year_panel(
            name,
            bars,
            (filled, outlined),
            most[name] if most[name] < _OWN_SCALE * largest else largest,
            largest,
            words,
        )
        for name, bars in panels.items()
    ]


def _year_panel(
    name: str, bars: Sequence[YearBar], told: tuple[str, str], most: float, largest: float, words: Words
) -> Markup:
    unit, unit_name = (
        (1e4, words.text("10 000 CNY")) if words.language == "zh" else (1e6, words.text("M CNY"))
    )
    value, limit = math.fsum(bar.value_cny for bar in bars), math.fsum(bar.limit_cny for bar in bars)
    sums = words.money(value)
    if not math.isnan(limit):
        sums = words.text("{spent} of {limit}", spent=words.money(value), limit=words.money(limit))
    drawing = Drawing(
        340, 248, words.text("{name} by year, {unit}", name=capital(name), unit=unit_name), sums
    )
    drawing.text(0, 14, capital(name), "strong")
    drawing.text(0, 31, sums + (words.text(" · own scale") if most < largest else ""), "small soft")
    left, top, bottom, right = 8.0, 62.0, 200.0, 340.0
    scale = (bottom - top) / max(most, 1.0)
    step = (right - left) / max(len(bars), 1)
    wide = min(step * 0.66, 46.0)
    for k, bar in enumerate(bars):
        x, high = left + step * (k + 0.5), bottom - bar.value_cny * scale
        tip = words.text("{year}: {value}", year=bar.year, value=words.money(bar.value_cny))
        if not math.isnan(bar.limit_cny):
            tip = words.text(
                "{year}: {value} of {limit}",
                year=bar.year,
                value=words.money(bar.value_cny),
                limit=words.money(bar.limit_cny),
            )
            height = bar.limit_cny * scale
            drawing.add(
                "rect",
                "outline",
                "",
                tip,
                x=x - wide / 2 - 3,
                y=bottom - height,
                width=wide + 6,
                height=height,
            )
            high = min(high, bottom - height)
        drawing.bar(x - wide / 2, bottom - bar.value_cny * scale, wide, bar.value_cny * scale, "f1", tip)
        drawing.text(
            x,
            high - 6,
            words.number(bar.value_cny / unit, digits=0 if most / unit >= 1000 else 1),
            "small strong",
            "middle",
        )
        drawing.text(x, bottom + 17, str(bar.year), "small", "middle")
    drawing.line(left, bottom, right, bottom, "base")
    drawing.legend(left, 238, [("bar", "f1", told[0]), ("outline", "", told[1])], right - left)
    drawing.text(right, 31, unit_name, "small soft", "end")
    return drawing.markup()


def grades_chart(grades: Mapping[str, Mapping[str, int]], words: Words) -> Markup:
    """Share of each table's rows by grade of their source.

    Parameters
    ----------
    grades : by table's name as it is told, rows by grade A to D.
    """
    looks = {"A": "f1", "B": "f3", "C": "f2", "D": "f7"}
    label = min(max((text_width(name, SMALL_PX + 1) for name in grades), default=0.0) + 10, 215.0)
    pitch, top, right = 22.0, 8.0, 418.0
    drawing = Drawing(
        480, top + pitch * len(grades) + 30, words.text("Rows of each table by grade of their source")
    )
    for k, (name, counts) in enumerate(grades.items()):
        y, x, rows = top + pitch * k, label, sum(counts.values())
        drawing.text(label - 10, y + 13, shortened(name, label - 10, SMALL_PX + 1), "key", "end")
        for grade, look in looks.items():
            wide = (right - label) * counts.get(grade, 0) / max(rows, 1)
            drawing.bar(x, y + 2, wide, 14, look, f"{name} · {grade}: {words.number(counts.get(grade, 0))}")
            if wide > 16:
                drawing.text(
                    x + wide / 2,
                    y + 13,
                    grade,
                    "small onfill" if look == "f1" else "small",
                    "middle",
                )
            x += wide
        drawing.text(right + 8, y + 13, words.plural("{n} row", "{n} rows", rows), "small soft")
    entries = [("bar", look, grade) for grade, look in looks.items()]
    drawing.legend(label, top + pitch * len(grades) + 16, entries, 480 - label)
    return drawing.markup()


def bar_list(
    rows: Sequence[tuple[str, float]], unit: str, title: str, words: Words, *, fill: str = "f1"
) -> Markup:
    """Names with bars and figures, the longest first as given: districts, types, kinds."""
    label = min(max((text_width(name) for name, _ in rows), default=0.0) + 10, 215.0)
    figures = [words.amount(value, unit) for _, value in rows]
    room = max((text_width(text, SMALL_PX + 1) for text in figures), default=0.0) + 10
    most = max((value for _, value in rows), default=0.0)
    pitch, width = 22.0, 480.0
    drawing = Drawing(width, pitch * len(rows) + 6, title)
    for k, ((name, value), shown) in enumerate(zip(rows, figures, strict=True)):
        y = pitch * k + 4
        long = (width - label - room) * max(value, 0.0) / most if most > 0 else 0.0
        drawing.text(label - 10, y + 12, shortened(name, label - 10), "", "end")
        drawing.bar(label, y + 1, max(long, 0.5 if value else 0.0), 14, fill, f"{name}: {shown}")
        drawing.text(label + long + 6, y + 12, shown, "key")
    drawing.line(label, 2, label, pitch * len(rows) + 4, "base")
    return drawing.markup()


def stacked_list(
    rows: Sequence[tuple[str, Mapping[str, float]]],
    parts: Mapping[str, tuple[str, str]],
    unit: str,
    title: str,
    words: Words,
) -> Markup:
    """Names with bars made up of parts, and their sums.

    Parameters
    ----------
    parts : name and fill by key of the rows' amounts; those that no row has are left out.
    """
    used = {key: told for key, told in parts.items() if any(own.get(key) for _, own in rows)}
    label = min(max((text_width(name) for name, _ in rows), default=0.0) + 10, 190.0)
    sums = [math.fsum(own.values()) for _, own in rows]
    shown = [words.amount(total, unit) for total in sums]
    room = max((text_width(text, SMALL_PX + 1) for text in shown), default=0.0) + 10
    pitch, width, top = 22.0, 480.0, 10.0
    drawing = Drawing(width, 0.0, title)
    top += drawing.legend(label, top, [("bar", fill, name) for name, fill in used.values()], width - label)
    scale = (width - label - room) / max(max(sums, default=0.0), 1e-9)
    for k, ((name, own), text) in enumerate(zip(rows, shown, strict=True)):
        y, x = top + pitch * k, label
        drawing.text(label - 10, y + 12, shortened(name, label - 10), "", "end")
        for key, (part, fill) in used.items():
            drawing.bar(
                x,
                y + 1,
                own.get(key, 0.0) * scale,
                14,
                fill,
                f"{name}, {part}: {words.amount(own.get(key, 0.0), unit)}",
            )
            x += own.get(key, 0.0) * scale
        drawing.text(x + 6, y + 12, text, "key")
    drawing.height = top + pitch * len(rows) + 4
    drawing.line(label, top - 2, label, drawing.height - 4, "base")
    return drawing.markup()


def proof_interval(summary: Mapping[str, Any], words: Words) -> Markup | None:
    """The plan and what no plan can be better than, on one line; None where nothing is proven."""
    plan, bound, unit = summary["objective"], summary["bound"], str(summary["goal_unit"])
    if plan is None or bound is None:
        return None
    plan, bound = float(plan), float(bound)
    low, high = min(plan, bound), max(plan, bound)
    goal = words.either(summary["goal_zh"], summary["goal_en"])
    title = words.text("This plan and the best there could be: {goal}", goal=goal)
    drawing = Drawing(480, 96, title)
    span = max(high - low, 0.02 * max(abs(high), abs(low), 1.0))
    from_zero = low >= 0 and (high - low) > 0.08 * high
    start = 0.0 if from_zero else low - 0.9 * span
    end = high + (0.1 if from_zero else 0.9) * span

    def x(value: float) -> float:
        return 14 + (480 - 28) * (value - start) / (end - start)

    drawing.line(14, 50, 466, 50, "axis")
    if high > low:
        drawing.bar(x(low), 44, x(high) - x(low), 12, "f5")
    drawing.mark("circle", x(plan), 50, 8, "f1")
    drawing.line(x(bound), 36, x(bound), 64, "limit")
    plan_is_left = plan <= bound
    for value, label, y, is_left in (
        (plan, words.text("this plan {value}", value=words.amount(plan, unit)), 24.0, plan_is_left),
        (
            bound,
            words.text("no plan beyond {value}", value=words.amount(bound, unit)),
            82.0,
            not plan_is_left,
        ),
    ):
        at = x(value)
        wide = text_width(label)
        anchor = "start" if at + wide < 476 and is_left else "end" if at - wide > 4 else "middle"
        drawing.text(
            min(max(at, 4 + (wide / 2 if anchor == "middle" else 0)), 476),
            y,
            label,
            "strong" if value == plan else "",
            anchor,
        )
    return drawing.markup()


def capital(text: str) -> str:
    """A heading from words that stand inside sentences."""
    return text[:1].upper() + text[1:]

"""The explained change of a period as an Excel workbook: summary, projects, causes, stability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.chart import Reference, ScatterChart, Series
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from optimize.i18n.catalogue import Language
from optimize.monthly.change_report import (
    Report,
    counted,
    effect_columns,
    goal_name,
    group_effect,
    headline,
    programme_name,
    reason,
    stability_lines,
    title_of,
)
from optimize.monthly.change_words import words_of

_HEAD = PatternFill("solid", fgColor="DDEBF7")
_MOST_WIDE = 60
_LONGEST = 32_000


def write_workbook(report: Report, language: Language, path: Path) -> None:
    """Write the workbook; every cell is a value, none a formula."""
    words, change = words_of(language), report.change
    book = openpyxl.Workbook()
    summary = book.active
    assert isinstance(summary, Worksheet)
    summary.title = words["title"][:31]
    for line in (words["title"], headline(change, language), counted(change, language)):
        _append(summary, [line])
    summary["A1"].font = Font(bold=True, size=14)
    summary.column_dimensions["A"].width = 100
    effects = effect_columns(change, language)
    heading = [
        "programme",
        "project",
        "name",
        "district",
        "what",
        "before",
        "after",
        "capex_before",
        "capex_after",
    ]
    rows: list[Sequence[Any]] = [
        [
            programme_name(p.programme, language), p.project, title_of(p, language), p.district, words[p.kind],
            p.before, p.after, p.capex_before_cny, p.capex_after_cny,
            *(p.effects.get(name) for name, _, _ in effects), reason(p, language),
        ]
        for p in change.projects
    ]  # fmt: skip
    titles = [words[name] for name in heading]
    titles = [
        f"{t} (CNY)" if name.startswith("capex") else t for name, t in zip(heading, titles, strict=True)
    ]
    titles += [f"{title} ({unit})" if unit else title for _, title, unit in effects]
    _sheet(book, words["projects"], [*titles, words["because"]], rows)
    _sheet(
        book,
        words["why"],
        [words["group"], words["num_differences"], f"{words['effect']} ({change.goal_unit})", words["num_put_down"], words["examples"]],
        [
            [words[g.group], g.num_differences, group_effect(g, change.goal_unit, language) if g.effect is None else g.effect,
             g.num_projects, "\n".join(g.examples)]
            for g in change.groups
        ],
    )  # fmt: skip
    if report.unpriced:
        _append(summary, [f"{words['price']}: {words['no_price']}"])
    if report.stability is not None:
        for line in ["", words["stability"], *stability_lines(report.stability, language)]:
            _append(summary, [line])
        unit = report.stability.unit
        curve = [[point.changes, point.value, point.bound] for point in report.stability.curve]
        values = [f"{name} ({unit})" for name in (goal_name(change, language), words["best_possible"])]
        if curve:
            _draw_curve(_sheet(book, words["curve"], [words["changes"], *values], curve))
    book.save(path)


def _draw_curve(sheet: Worksheet) -> None:
    """A chart of the sheet's second column over its first, beside them."""
    chart = ScatterChart(style=13)
    chart.x_axis.title, chart.y_axis.title = sheet["A1"].value, sheet["B1"].value
    chart.x_axis.delete = chart.y_axis.delete = False
    chart.legend = None
    changes = Reference(sheet, min_col=1, min_row=2, max_row=sheet.max_row)
    line = Series(Reference(sheet, min_col=2, min_row=2, max_row=sheet.max_row), changes)
    line.marker.symbol = "circle"
    chart.series.append(line)
    sheet.add_chart(chart, "E2")


def _sheet(
    book: openpyxl.Workbook, title: str, heading: Sequence[str], rows: Sequence[Sequence[Any]]
) -> Worksheet:
    sheet: Worksheet = book.create_sheet(title[:31])
    for row in (heading, *rows):
        _append(sheet, row)
    for cell in sheet[1]:
        cell.font, cell.fill = Font(bold=True), _HEAD
        cell.alignment = Alignment(wrap_text=True, vertical="top")
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = sheet.dimensions
    for place in range(1, len(heading) + 1):
        longest = max((len(str(row[place - 1])) for row in (heading, *rows)), default=8)
        sheet.column_dimensions[get_column_letter(place)].width = min(longest + 2, _MOST_WIDE)
    return sheet


def _append(sheet: Worksheet, row: Sequence[Any]) -> None:
    number = sheet.max_row + 1 if sheet.max_row > 1 or sheet["A1"].value is not None else 1
    for place, value in enumerate(row, start=1):
        cell = sheet.cell(number, place)
        if isinstance(value, str):
            # a text is never a formula, not even once somebody edits it
            cell.value = ILLEGAL_CHARACTERS_RE.sub("", value)[:_LONGEST]
            cell.data_type = "s"
            cell.quotePrefix = value[:1] in ("=", "+", "-", "@")
        elif value is not None and not (isinstance(value, float) and not math.isfinite(value)):
            cell.value = value
            if isinstance(value, float):
                cell.number_format = "#,##0.00"

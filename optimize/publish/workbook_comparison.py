"""Plans side by side in a workbook: figures, clauses, and the projects that differ."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from xlsxwriter.worksheet import Worksheet

from optimize.i18n.vocabulary import FIGURES
from optimize.i18n.words import Words
from optimize.io.workbook_writer import Book
from optimize.publish.facts import PlanFacts
from optimize.publish.projects import project_rows
from optimize.publish.workbook_tables import TITLE, Column, Kind, TableWriter, add_bars
from optimize.studies.compare import Comparison
from optimize.studies.compare_sides import Side

_ROW_PIXELS = 20


@dataclass(frozen=True)
class Compared:
    """One plan of a comparison: what it is called, and its programmes' plans."""

    title: str
    parts: tuple[PlanFacts, ...]


def write_comparison(
    book: Book, comparison: Comparison, plans: Sequence[Compared], districts: Mapping[str, str], words: Words
) -> None:
    """Figures and clauses of each plan with the difference from the first; the projects that differ.

    Parameters
    ----------
    districts : names by id.
    """
    title = words.text("Comparison")
    sheet, writer = book.sheet(title), TableWriter(book, words)
    labels, sides = comparison.labels, comparison.sides
    book.write(sheet, 0, 0, title, **TITLE)
    sheet.set_row(0, 24)
    columns = [
        Column(words.text("Plan"), [f"{label}  {plan.title}" for label, plan in zip(labels, plans, strict=True)]),
        Column(words.text("Proven gap"), [words.percent(side.gap) for side in sides]),
        Column(_goal_heading(sides[0], writer, words), [side.objective for side in sides], _kind(sides[0].main_goal.unit)),
    ]  # fmt: skip
    placed = writer.write(sheet, title, 2, columns)
    row = placed.last + 2
    for label, side in zip(labels, sides, strict=True):
        told = words.text("Settings laid over the instance")
        book.write(
            sheet, row, 0, f"{label}  {told}: {_settings(side) or words.text('none')}", font_color="#5B6773"
        )
        row += 1
    height = 100 + 40 * len(sides)
    goal = sides[0].main_goal
    add_bars(
        book, placed, 0, [2], f"A{row + 2}", title=words.either(goal.zh, goal.en),
        axis=words.money_step()[1] if goal.unit == "CNY" else words.unit(goal.unit), across=True, size=(720, height),
    )  # fmt: skip
    row += 3 + height // _ROW_PIXELS
    for heading, rows in (
        (words.text("Figures"), _figure_rows(comparison, words)),
        (words.text("Clauses"), _clause_rows(comparison, words)),
    ):
        row = _write_side_by_side(book, sheet, title, row, heading, rows, labels, words)
    sheet.freeze_panes(0, 1)
    sheet.set_column(0, 0, 46)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    _write_differing(book, comparison, plans, districts, words)


def _settings(side: Side) -> str:
    """What was laid over the instance, as it would be typed."""
    told: dict[str, None] = {}
    for part in side.parts:
        told |= {
            f"{key}={json.dumps(value, ensure_ascii=False)}": None
            for key, value in part.manifest.get("overrides", {}).items()
        }
        told |= {json.dumps(change, ensure_ascii=False): None for change in part.manifest.get("changes", ())}
    return "; ".join(told)


_Rows = list[tuple[str, str, list[float | None]]]


def _figure_rows(comparison: Comparison, words: Words) -> _Rows:
    titles = {p.name: words.either(p.zh, p.en) for p in comparison.programmes}
    rows: _Rows = []
    for record in comparison.figures.to_dict(orient="records"):
        owner, _, figure = str(record["figure"]).rpartition(".")
        name = words.figure_name(figure)
        values = [_or_none(record[label]) for label in comparison.labels]
        unit = FIGURES[figure].unit if figure in FIGURES else str(record["unit"])
        rows.append((f"{titles[owner]}: {name}" if owner in titles else name, unit, values))
    return rows


def _clause_rows(comparison: Comparison, words: Words) -> _Rows:
    rows: _Rows = []
    for record in comparison.clauses.to_dict(orient="records"):
        sign = "≥" if record["sense"] == ">=" else "≤"
        where = f" ({record['where']})" if record["where"] else ""
        name = f"{record['clause']} {words.either(str(record['zh']), str(record['en']))}{where} {sign}"
        rows.append((name, str(record["unit"]), [_or_none(record[label]) for label in comparison.labels]))
    return rows


def _write_side_by_side(
    book: Book,
    sheet: Worksheet,
    title: str,
    row: int,
    heading: str,
    rows: _Rows,
    labels: Sequence[str],
    words: Words,
) -> int:
    """Name, unit, each plan's value and its difference from the first; the row below."""
    writer = TableWriter(book, words)
    step, money = words.money_step()

    def shown(value: float | None, unit: str) -> float | None:
        return None if value is None else value / step if unit == "CNY" else value

    scaled = [[shown(value, unit) for value in values] for _, unit, values in rows]
    columns = [
        Column(heading, [name for name, _, _ in rows], width=46),
        Column(words.text("Unit"), [money if unit == "CNY" else "" if unit == "count" else words.unit(unit) for _, unit, _ in rows], width=12),
    ]  # fmt: skip
    for k, label in enumerate(labels):
        columns.append(Column(label, [values[k] for values in scaled], "number"))
    for k, label in enumerate(labels[1:], start=1):
        columns.append(
            Column(f"{label} − {labels[0]}", [_difference(values, k) for values in scaled], "number")
        )
    placed = writer.write(sheet, title, row, columns)
    for at, (_, unit, _) in enumerate(rows):
        look = {
            "num_format": "0.0%" if unit == "share" else "#,##0.00",
            "border": 1,
            "border_color": "#B8C7D6",
        }
        for k in range(2, len(columns)):
            book.write(sheet, placed.first + at, k, columns[k].values[at], **look)
    return placed.last + 3


def _write_differing(
    book: Book, comparison: Comparison, plans: Sequence[Compared], districts: Mapping[str, str], words: Words
) -> None:
    """The projects that only some plans have, or do otherwise."""
    title = words.text("Projects that differ")
    sheet, writer = book.sheet(title), TableWriter(book, words)
    frame, labels = comparison.projects, comparison.labels
    titles = {p.name: words.either(p.zh, p.en) for p in comparison.programmes}
    columns = [Column(words.text("Project"), list(frame["id"]))]
    if len(titles) > 1:
        columns.insert(0, Column(words.text("Programme"), [titles[name] for name in frame["programme"]]))
    names = [words.either(zh, en) for zh, en in zip(frame["name_zh"], frame["name_en"], strict=True)]
    columns += [
        Column(words.text("Kind"), [words.value("kind", kind) for kind in frame["kind"]]),
        Column(words.text("Name"), names),
        Column(words.text("District"), [districts.get(name, name) or None for name in frame["district"]]),
    ]
    keys = list(zip(frame["programme"], frame["kind"], frame["id"], strict=True))
    for label, plan in zip(labels, plans, strict=True):
        told = _works(plan, words)
        decisions = zip(keys, frame[f"decision_{label}"], strict=True)
        columns.append(
            Column(label, [told.get(key, text) if text else "—" for key, text in decisions], width=38)
        )
    for label in labels:
        heading = f"{label}  {writer.money_heading(words.text('Investment'))}"
        columns.append(
            Column(heading, [_or_none(value) for value in frame[f"capex_{label}"]], "money", total=True)
        )
    same = words.plural(
        "{n} project is the same in all plans.",
        "{n} projects are the same in all plans.",
        comparison.num_same,
    )
    book.write(sheet, 0, 0, same, font_color="#5B6773")
    placed = writer.write(sheet, title, 2, columns, filtered=True)
    sheet.freeze_panes(placed.first, 2)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)


def _works(plan: Compared, words: Words) -> dict[tuple[str, str, str], str]:
    """By programme, kind and id what a plan does, in words; several works of one id one after the other."""
    told: dict[tuple[str, str, str], list[str]] = {}
    for part in plan.parts:
        for row in project_rows(part, words):
            works = " · ".join(text for text in (str(row.year), row.what, row.payer) if text)
            told.setdefault((part.name, row.kind, row.id), []).append(works)
    return {key: "\n".join(works) for key, works in told.items()}


def _goal_heading(side: Side, writer: TableWriter, words: Words) -> str:
    goal = side.main_goal
    return writer.with_unit(words.either(goal.zh, goal.en), goal.unit)


def _kind(unit: str) -> Kind:
    return "money" if unit == "CNY" else "number"


def _difference(values: Sequence[float | None], place: int) -> float | None:
    first, other = values[0], values[place]
    return None if first is None or other is None else other - first


def _or_none(value: object) -> float | None:
    number = math.nan if value is None or value is pd.NA else float(value)  # type: ignore[arg-type]
    return None if math.isnan(number) else number

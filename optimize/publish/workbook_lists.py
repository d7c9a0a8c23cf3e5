"""Lists of a plan's workbook that one filters: every clause, every project."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optimize.i18n.catalogue import N_
from optimize.i18n.vocabulary import FIGURES
from optimize.i18n.words import Words
from optimize.io.workbook_headings import LONGEST_TITLE
from optimize.io.workbook_writer import Book
from optimize.publish.facts import PlanFacts, RunFacts
from optimize.publish.projects import SHOWN_EFFECTS, ProjectRow, project_rows
from optimize.publish.workbook_tables import Column, TableWriter

Named = Sequence[tuple[str, RunFacts]]


def write_clauses(book: Book, runs: Named, words: Words) -> None:
    """What every clause requires and what the plan reaches."""
    title = words.text("Clauses")
    sheet, writer = book.sheet(title), TableWriter(book, words)
    rows = [(label, part, clause) for label, run in runs for part, clause in run.clauses]
    city = words.value("programme", "city")
    columns = [
        Column(words.text("Programme"), [city if part is None else part.title(words) for _, part, _ in rows]),
        Column(words.text("Clause"), [clause["id"] for _, _, clause in rows]),
        Column(words.text("What it asks for"), [words.either(clause["zh"], clause["en"]) for _, _, clause in rows], width=44),
        Column(words.text("Where"), [clause["where"] or None for _, _, clause in rows]),
        Column(words.text("Sense"), [{">=": "≥", "<=": "≤"}[clause["sense"]] for _, _, clause in rows]),
        Column(words.text("Required"), [clause["required"] for _, _, clause in rows], "number"),
        Column(words.text("Reached"), [clause["reached"] for _, _, clause in rows], "number"),
        Column(words.text("Unit"), [words.unit(clause["unit"]) for _, _, clause in rows]),
        Column(words.text("Met"), [bool(clause["met"]) for _, _, clause in rows], "mark"),
        Column(words.text("Hard"), [words.text(N_("yes") if clause["hard"] else N_("no")) for _, _, clause in rows]),
        Column(words.text("Binding"), [words.text(N_("yes") if clause["binding"] else N_("no")) for _, _, clause in rows]),
    ]  # fmt: skip
    placed = writer.write(
        sheet, title, 0, _with_plan(columns, [label for label, _, _ in rows], words), filtered=True
    )
    offset = 1 if any(label for label, _ in runs) else 0
    for row, (_, _, clause) in enumerate(rows, start=placed.first):
        if clause["unit"] == "share":
            for place in (5, 6):
                value = clause["required" if place == 5 else "reached"]
                book.write(
                    sheet, row, place + offset, value, num_format="0.0%", border=1, border_color="#B8C7D6"
                )
    sheet.freeze_panes(placed.first, 2 + offset)
    _for_print(sheet)


def write_projects(book: Book, runs: Named, words: Words) -> None:
    """A sheet for each programme: what is done where and when, who pays, what it brings."""
    plans: dict[str, list[tuple[str, PlanFacts]]] = {}
    for label, run in runs:
        for part in run.parts:
            plans.setdefault(part.name, []).append((label, part))
    for parts in plans.values():
        _write_projects_of(book, parts, len(plans) > 1, words)


def _write_projects_of(
    book: Book, parts: Sequence[tuple[str, PlanFacts]], several: bool, words: Words
) -> None:
    plan = parts[0][1]
    title = words.text("Projects")
    if several:
        title = f"{title}·{plan.title(words)}"[:LONGEST_TITLE]
    sheet, writer = book.sheet(title), TableWriter(book, words)
    rows: list[tuple[str, ProjectRow]] = [
        (label, row) for label, part in parts for row in project_rows(part, words)
    ]
    kinds = {row.kind for _, row in rows}
    columns = [Column(words.text("Project"), [row.id for _, row in rows])]
    if len(kinds) > 1:
        columns.append(Column(words.text("Kind"), [words.value("kind", row.kind) for _, row in rows]))
    columns += [
        Column(words.text("Name"), [row.name for _, row in rows]),
        Column(words.text("District"), [row.district_name or None for _, row in rows]),
        Column(words.text("Year"), [row.year for _, row in rows], "year"),
        Column(words.text("Works"), [row.what for _, row in rows], width=46),
    ]
    if any(row.payer for _, row in rows):
        columns.append(Column(words.text("Who pays"), [row.payer for _, row in rows]))
    columns.append(
        Column(
            writer.money_heading(words.text("Investment")), [_or_none(row.capex_cny) for _, row in rows], "money",
            total=len(parts) == 1,
        )
    )  # fmt: skip
    for figure in SHOWN_EFFECTS[plan.name]:
        unit = FIGURES[figure].unit
        values = [_or_none(row.effects.get(figure, math.nan)) for _, row in rows]
        kind = "money" if unit == "CNY" else "number"
        heading = writer.with_unit(words.figure_name(figure), unit)
        columns.append(
            Column(heading, values, "money" if kind == "money" else "number", total=len(parts) == 1)
        )
    labels = [label for label, _ in rows]
    placed = writer.write(sheet, title, 0, _with_plan(columns, labels, words), filtered=True)
    sheet.freeze_panes(placed.first, 2)
    _for_print(sheet)
    sheet.repeat_rows(placed.head)


def _with_plan(columns: list[Column], labels: Sequence[str], words: Words) -> list[Column]:
    """The columns after one that names the plan, where there are several."""
    return [Column(words.text("Plan"), labels), *columns] if any(labels) else columns


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _for_print(sheet: object) -> None:
    sheet.set_landscape()  # type: ignore[attr-defined]
    sheet.set_paper(9)  # type: ignore[attr-defined]
    sheet.fit_to_pages(1, 0)  # type: ignore[attr-defined]

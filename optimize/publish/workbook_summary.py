"""First and last sheet of a plan's workbook: the answer, and where it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from xlsxwriter.worksheet import Worksheet

from optimize.i18n.vocabulary import FIGURES
from optimize.i18n.words import Words
from optimize.io.workbook_writer import Book, shown_width
from optimize.publish import telling
from optimize.publish.explanations import price_rows
from optimize.publish.facts import RunFacts
from optimize.publish.workbook_tables import (
    ACCENT,
    CELL,
    NOTE,
    PAPER,
    PLAIN,
    RULE,
    SUBTITLE,
    TITLE,
    Column,
    TableWriter,
)
from optimize.studies.compare import unit_of

Named = Sequence[tuple[str, RunFacts]]

_WIDTH = 27
_TILES = 4
_LABEL = {
    "font_color": "#5B6773",
    "bg_color": PAPER,
    "top": 2,
    "top_color": ACCENT,
    "text_wrap": True,
    "valign": "top",
}
_VALUE = {"bold": True, "font_size": 16, "font_color": ACCENT, "bg_color": PAPER}
_UNDER = {"font_color": "#5B6773", "bg_color": PAPER, "text_wrap": True, "valign": "top", "bottom": 1, "bottom_color": RULE}  # fmt: skip


def write_summary(book: Book, runs: Named, words: Words) -> None:
    """What to build and what it buys, four figures, how sure that is, and all figures of the checker."""
    sheet = book.sheet(words.text("Summary"))
    sheet.hide_gridlines(2)
    sheet.set_column(0, _TILES - 1, _WIDTH)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    row = 0
    for label, run in runs:
        row = _write_run(book, sheet, row, label, run, words) + 2
    sheet.activate()


def _write_run(book: Book, sheet: Worksheet, row: int, label: str, run: RunFacts, words: Words) -> int:
    years = f"{run.years[0]}–{run.years[-1]}" if len(run.years) > 1 else str(run.years[0])
    title = f"{run.place(words)} · {run.title(words)} · {years}"
    book.write(sheet, row, 0, f"{label}  {title}" if label else title, **TITLE)
    sheet.set_row(row, 24)
    if run.scenario is not None:
        row += 1
        book.write(sheet, row, 0, words.text("Scenario: {name}", name=run.label(words)), **NOTE)
    row = _write_text(book, sheet, row + 1, telling.answer(run, words), PLAIN | {"font_size": 11})
    row += 1
    for place, figure in enumerate(telling.key_figures(run, words)[:_TILES]):
        book.write(sheet, row, place, figure.label, **_LABEL)
        book.write(sheet, row + 1, place, figure.value, **_VALUE)
        book.write(sheet, row + 2, place, figure.note or " ", **_UNDER)
    sheet.set_row(row + 1, 24)
    sheet.set_row(row + 2, 28)
    row += 4
    book.write(sheet, row, 0, words.text("How sure this is"), **SUBTITLE)
    sentences = telling.how_sure(run, words) + (telling.silo_words(run, words) if run.is_city else [])
    row += 1
    for sentence in sentences:
        row = _write_text(book, sheet, row, sentence, PLAIN)
    row += 1
    book.write(sheet, row, 0, words.text("Figures"), **SUBTITLE)
    row = _write_figures(book, sheet, row + 1, run, words)
    return _write_prices(book, sheet, row + 1, run, words)


def _write_text(book: Book, sheet: Worksheet, row: int, text: str, look: dict[str, Any]) -> int:
    """A text across the width; the next row."""
    sheet.merge_range(row, 0, row, _TILES - 1, "", book.format(**look))
    book.write(sheet, row, 0, text, **look)
    width = _WIDTH * _TILES * 10 / look.get("font_size", 10)
    lines = sum(int(shown_width(line) * 1.05 // width) + 1 for line in text.split("\n"))
    sheet.set_row(row, 14.5 * lines * look.get("font_size", 10) / 10)
    return row + 1


def _write_figures(book: Book, sheet: Worksheet, row: int, run: RunFacts, words: Words) -> int:
    """Figure, value, unit; a joint run's figures of its programmes follow their names."""
    programmes = [part.programme for part in run.parts]
    titles = {part.name: part.title(words) for part in run.parts}
    step, money = words.money_step()
    for name, value in run.figures.items():
        owner, _, figure = name.rpartition(".")
        shown = words.figure_name(figure)
        unit = FIGURES[figure].unit if figure in FIGURES else unit_of(programmes, name)
        sheet.merge_range(row, 0, row, 1, "", book.format(**CELL))
        book.write(sheet, row, 0, f"{titles[owner]}: {shown}" if owner in titles else shown, **CELL)
        digits = {"share": "0.0%", "count": "#,##0"}.get(unit, "#,##0.00")
        told = money if unit == "CNY" else "" if unit in ("count", "share") else words.unit(unit)
        size = value / step if unit == "CNY" and value is not None else value
        book.write(sheet, row, 2, size, **(CELL | {"num_format": digits}))
        book.write(sheet, row, 3, told, **CELL)
        row += 1
    return row


def _write_prices(book: Book, sheet: Worksheet, row: int, run: RunFacts, words: Words) -> int:
    """What a little more of the dearest budgets, or less of the dearest targets, would be worth."""
    told = [price for part in run.parts for price in price_rows(part, words)]
    if not told:
        return row
    book.write(sheet, row, 0, words.text("What a little more would be worth, about"), **SUBTITLE)
    for name, worth in told:
        row += 1
        sheet.merge_range(row, 0, row, 2, "", book.format(**CELL))
        book.write(sheet, row, 0, name, **CELL)
        book.write(sheet, row, 3, worth, **(CELL | {"align": "right"}))
    return row + 1


def write_provenance(book: Book, runs: Named, words: Words) -> None:
    """What each plan was made from, what is proven, what was checked, and with which versions."""
    title = words.text("Provenance")
    sheet = book.sheet(title)
    writer = TableWriter(book, words)
    table: dict[str, dict[str, Any]] = {}
    for number, (_, run) in enumerate(runs):
        for key, value in _facts(run, words):
            table.setdefault(key, {})[str(number)] = value
    columns = [Column(words.text("Item"), list(table), width=44)]
    for number, (label, run) in enumerate(runs):
        heading = f"{label}  {run.label(words)}" if label else words.text("Of this plan")
        columns.append(Column(heading, [row.get(str(number)) for row in table.values()], width=64))
    writer.write(sheet, title, 0, columns)
    sheet.freeze_panes(1, 1)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)


def _facts(run: RunFacts, words: Words) -> Iterator[tuple[str, Any]]:
    summary, manifest, unit = run.summary, run.manifest, str(run.summary["goal_unit"])
    text = words.text
    yield text("Folder of the run"), run.folder.as_posix()
    yield text("Instance"), str(manifest.get("instance", ""))
    yield text("Fingerprint of the inputs"), str(manifest.get("fingerprint", ""))
    yield text("Goal"), words.either(str(summary["goal_zh"]), str(summary["goal_en"]))
    yield text("Value of the plan"), words.amount(summary["objective"], unit)
    yield text("Proven bound"), words.amount(summary["bound"], unit)
    yield text("Proven gap"), words.percent(summary["gap"])
    certificate = summary.get("certificate")
    if certificate is not None and certificate["gap"] is not None:
        yield text("Gap proven by multipliers"), words.percent(certificate["gap"])
    yield text("Why the search ended"), words.value("stop_reason", str(summary["stop_reason"]))
    yield text("Time of the search"), words.duration(float(summary["seconds"]))
    checked = text(
        "passed: {rows} rows and figures recomputed from the tables",
        rows=words.number(summary["rows_checked"]),
    )
    yield text("Independent check"), checked if summary["checked"] else text("not passed")
    if "started_utc" in manifest:
        yield text("Solved"), words.time(str(manifest["started_utc"]))
    overrides = manifest.get("overrides") or {}
    yield (
        text("Settings laid over the instance"),
        json.dumps(overrides, ensure_ascii=False) if overrides else text("none"),
    )
    changes = manifest.get("changes") or []
    if changes:
        yield text("Changes to tables"), json.dumps(changes, ensure_ascii=False)
    for name, value in (manifest.get("options") or {}).items():
        yield text("Option: {name}", name=name), json.dumps(value, ensure_ascii=False)
    for name, value in (manifest.get("versions") or {}).items():
        yield text("Version: {name}", name=name), str(value)
    for name, digest in (manifest.get("instance_files") or {}).items():
        yield text("SHA-256 of {name}", name=name), str(digest)

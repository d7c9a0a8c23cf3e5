"""Sums of a plan's workbook, each adding up to the checker's figure, with native charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from xlsxwriter.worksheet import Worksheet

from optimize.i18n.vocabulary import FIGURES
from optimize.i18n.words import Words
from optimize.io.workbook_writer import Book
from optimize.publish.facts import RunFacts
from optimize.publish.workbook_tables import SUBTITLE, Column, Placed, TableWriter, add_bars
from optimize.studies.compare import NO_DISTRICT, REST, labels_of, sums_of, unit_of
from optimize.studies.compare_sides import Side

Named = Sequence[tuple[str, RunFacts]]

# Figures that districts and years are told by, besides money.
_EFFECTS = ("capacity", "energy", "co2", "npv")
_CHART_ROWS = 17
_CHART_COLUMN = "A"
# Excel draws no more series than can be told apart.
_MOST_SERIES = 8
_CENT = 0.005


def write_sums(book: Book, groups: Sequence[Sequence[Side]], runs: Sequence[RunFacts], words: Words) -> None:
    """By district and by year: what is spent and what it brings, for each group of plans that can be compared."""
    names = district_names(runs, words)
    for side in (side for group in groups for side in group):
        names |= {f"({p.en})": words.either(p.zh, p.en) for p in side.programmes}
    for by, heading, title in (
        ("district", words.text("District"), words.text("By district")),
        ("year", words.text("Year"), words.text("Year by year")),
    ):
        sheet, row = book.sheet(title), 0
        for group in groups:
            if len(groups) > 1:
                told = words.listed([words.either(p.zh, p.en) for p in group[0].programmes])
                book.write(sheet, row, 0, told, **SUBTITLE)
                row += 1
            row = _write_group(book, sheet, title, row, group, by, heading, names, words) + 2
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)


def _write_group(
    book: Book,
    sheet: Worksheet,
    title: str,
    row: int,
    group: Sequence[Side],
    by: str,
    heading: str,
    names: Mapping[str, str],
    words: Words,
) -> int:
    """One table and its chart; the row below both."""
    writer = TableWriter(book, words)
    labels = labels_of(group)
    money, effects = sums_of(group)
    shown = money[money["by"] == by]
    frames = [("", shown)]
    for figure in dict.fromkeys(effects["figure"]):
        if figure.rpartition(".")[2] in _EFFECTS and (len(group[0].parts) == 1 or "." not in figure):
            frames.append((figure, effects[(effects["figure"] == figure) & (effects["by"] == by)]))
    keys = list(dict.fromkeys(name for _, frame in frames for name in frame["name"]))
    keys = [k for k in keys if not k.startswith("(")] + [k for k in keys if k.startswith("(")]
    columns = [Column(heading, [_name(key, names, words) for key in keys])]
    told = labels if len(labels) > 1 else ("",)
    for figure, frame in frames:
        values = frame.set_index("name")
        unit = unit_of(group[0].programmes, figure) if figure else "CNY"
        words_of = words.figure_name(figure) if figure else words.text("Spent")
        for label, mark in zip(labels, told, strict=True):
            column = [float(values[label].get(key, 0.0)) for key in keys]
            text = writer.with_unit(words_of, unit)
            columns.append(
                Column(
                    f"{mark}  {text}" if mark else text,
                    column,
                    "money" if unit == "CNY" else "number",
                    total=True,
                )
            )
    placed = writer.write(sheet, title, row, columns)
    sheet.set_column(0, 0, 24)
    below = placed.last + 3
    num_named = sum(1 for key in keys if not key.startswith("("))
    charted = Placed(
        sheet,
        title,
        placed.head,
        placed.first,
        placed.first + max(num_named, 1) - 1,
        placed.left,
        placed.columns,
    )
    spent = list(range(1, 1 + len(labels)))[:_MOST_SERIES]
    heading_spent = words.text("Spent by district") if by == "district" else words.text("Spent by year")
    add_bars(
        book, charted, 0, spent, f"{_CHART_COLUMN}{below + 1}",
        title=heading_spent, axis=words.money_step()[1], across=by == "district" and num_named > 6,
        size=(620, 320 if num_named <= 10 else 26 * num_named + 80),
    )  # fmt: skip
    effect = next(
        (k for k, (figure, _) in enumerate(frames) if figure.rpartition(".")[2] in ("energy", "co2")), None
    )
    if effect is not None:
        series = [1 + effect * len(labels) + k for k in range(len(labels))][:_MOST_SERIES]
        figure = frames[effect][0]
        unit = words.unit(FIGURES[figure.rpartition(".")[2]].unit)
        add_bars(
            book, charted, 0, series, f"{_CHART_COLUMN}{below + 1}",
            right_of=640,
            title=words.figure_name(figure), axis=unit, across=by == "district" and num_named > 6,
            size=(620, 320 if num_named <= 10 else 26 * num_named + 80),
        )  # fmt: skip
    return below + (_CHART_ROWS if num_named <= 10 else 2 + (26 * num_named + 80) // 18)


def _payers(sources: Sequence[str]) -> dict[str, list[str]]:
    """Who pays, in columns that can be told apart: the districts together where there are many."""
    if len(sources) <= _MOST_SERIES:
        return {source: [source] for source in sources}
    districts = [source for source in sources if source not in ("municipal", "owner")]
    grouped = {"municipal": ["municipal"], "districts": districts, "owner": ["owner"]}
    return {
        payer: [s for s in paid_by if s in sources]
        for payer, paid_by in grouped.items()
        if set(paid_by) & set(sources)
    }


def write_money(book: Book, runs: Named, words: Words) -> None:
    """What each source spends in each year against its budget, as the checker counted it."""
    title = words.text("Money")
    sheet, writer = book.sheet(title), TableWriter(book, words)
    row = 0
    for label, run in runs:
        names = district_names([run], words)
        if label:
            book.write(sheet, row, 0, f"{label}  {run.title(words)} · {run.label(words)}", **SUBTITLE)
            row += 1
        row = _write_money_of(book, sheet, title, row, run, names, writer, words) + 2
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)


def _write_money_of(
    book: Book,
    sheet: Worksheet,
    title: str,
    row: int,
    run: RunFacts,
    names: Mapping[str, str],
    writer: TableWriter,
    words: Words,
) -> int:
    money = run.money.sort_values(["year"], kind="stable")
    sources = sorted(dict.fromkeys(money["source"]), key=lambda s: (s == "owner", s != "municipal"))
    years = sorted(dict.fromkeys(int(year) for year in money["year"]))
    spent = {
        (s, int(y)): float(v)
        for s, y, v in zip(money["source"], money["year"], money["spent_cny"], strict=True)
    }
    columns = [Column(words.text("Year"), [str(year) for year in years])]
    payers = _payers(sources)
    for payer, paid_by in payers.items():
        told = names.get(payer) or words.value("source", payer)
        values = [math.fsum(spent.get((source, year), 0.0) for source in paid_by) for year in years]
        columns.append(Column(writer.money_heading(told), values, "money", total=True))
    together = [math.fsum(spent.get((s, y), 0.0) for s in sources) for y in years]
    columns.append(Column(writer.money_heading(words.text("Total")), together, "money", total=True))
    placed = writer.write(sheet, title, row, columns)
    below = placed.last + 3
    add_bars(
        book, placed, 0, list(range(1, 1 + len(payers))), f"{_CHART_COLUMN}{below + 1}",
        title=words.text("Money by year and source"), axis=words.money_step()[1], stacked=True, size=(760, 340),
    )  # fmt: skip
    row = below + _CHART_ROWS + 2
    rows = money.sort_values(
        ["source", "year"], key=lambda c: c if c.name == "year" else c.map(sources.index)
    )
    budgets = [None if math.isnan(value) else float(value) for value in rows["budget_cny"]]
    left = [None if b is None else b - s for b, s in zip(budgets, rows["spent_cny"], strict=True)]
    columns = [
        Column(
            words.text("Source of money"), [names.get(s) or words.value("source", s) for s in rows["source"]]
        ),
        Column(words.text("Year"), [int(year) for year in rows["year"]], "year"),
        Column(
            writer.money_heading(words.text("Spent")),
            [float(v) for v in rows["spent_cny"]],
            "money",
            total=True,
        ),
        Column(writer.money_heading(words.text("Budget of the year")), budgets, "money"),
        Column(writer.money_heading(words.text("Budget less spending")), left, "money"),
    ]
    placed = writer.write(sheet, title, row, columns)
    row = placed.last + 3
    book.write(sheet, row, 0, words.text("More than a year's budget is spent only from what earlier years left over. Empty: not limited."), font_color="#5B6773")  # fmt: skip
    sheet.set_column(0, 0, 24)
    return row + 1


def _name(key: str, names: Mapping[str, str], words: Words) -> str:
    """A district or year as a reader knows it."""
    if key == REST:
        return words.text("not put down to single projects")
    if key == NO_DISTRICT:
        return words.text("no district")
    return names.get(key, key)


def district_names(runs: Sequence[RunFacts], words: Words) -> dict[str, str]:
    """The districts' names by their ids."""
    found: dict[str, str] = {}
    for run in runs:
        for part in run.parts:
            if part.instance is not None:
                for district in part.instance.tables["districts"]["district"]:
                    found.setdefault(str(district), part.district_name(str(district), words))
    return found

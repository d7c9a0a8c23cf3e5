"""An instance as a workbook to be filled in: a sheet for each table, parameters, targets, and how to use them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xlsxwriter.utility import xl_col_to_name, xl_range_abs
from xlsxwriter.worksheet import Worksheet

from optimize.errors import UsageError
from optimize.i18n.catalogue import N_, Language
from optimize.i18n.words import Words
from optimize.io.workbook_content import WorkbookContent, cells_of, columns_of
from optimize.io.workbook_headings import (
    PARAMETERS,
    TARGETS,
    choice_words,
    choices_told,
    heading,
    sheet_name,
    sheet_title,
    unit_words,
)
from optimize.io.workbook_rules import default_words, number_rule, range_words
from optimize.io.workbook_settings import TARGET_KEYS
from optimize.io.workbook_writer import MOST_ROWS, Book, fitting_width, shown_width, written_book
from optimize.schema import REQUIRED, Column, Parameter, Schema, Table
from optimize.units import alternative_names

_REQUIRED = {"bold": True, "bg_color": "#1F4E79", "font_color": "#FFFFFF", "text_wrap": True, "valign": "top", "border": 1, "border_color": "#8EA9C1"}  # fmt: skip
_OPTIONAL = {"bold": False, "bg_color": "#E4EDF5", "font_color": "#1B2733", "text_wrap": True, "valign": "top", "border": 1, "border_color": "#8EA9C1"}  # fmt: skip
_TITLE = {"bold": True, "font_size": 16, "font_color": "#1F4E79"}
_SOFT = {"font_color": "#5B6773", "text_wrap": True, "valign": "top"}
_PLAIN = {"text_wrap": True, "valign": "top"}
_INPUT = {"bg_color": "#FFF9E5", "border": 1, "border_color": "#C9BC8C", "valign": "top"}
_TAB = {True: "#1F4E79", False: "#9DB4C8"}
# Beyond what is filled in, so many rows are ready for more.
_SPARE_ROWS = 500
_LONGEST_LIST = 250
_LISTS = "_lists"
_SCANNED_ROWS = 200
# Wider tables would be too small to read on one page.
_COLUMNS_OF_A_PAGE = 14


def write_instance_workbook(path: Path, content: WorkbookContent, language: Language) -> None:
    """Write the workbook, at once or not at all.

    Raises
    ------
    UsageError : the file is there, or a table has more rows than a sheet can hold.
    InputFaults : a table cannot be read.
    """
    with written_book(path) as book:
        _InstanceBook(book, content, Words(language)).write()


class _InstanceBook:
    """The sheets of an instance's workbook while they are written."""

    def __init__(self, book: Book, content: WorkbookContent, words: Words) -> None:
        self._book, self._content, self._words = book, content, words
        self._tables: dict[str, tuple[Schema, Table]] = {}
        for schema in content.schemas:
            for table in schema.tables:
                self._tables.setdefault(sheet_name(schema, table), (schema, table))
        self._titles: dict[str, str] = {}
        named = [(PARAMETERS, N_("Parameters")), (TARGETS, N_("Targets"))]
        in_words = {name: words.text(text) if words.language == "zh" else "" for name, text in named}
        in_words |= {
            name: table.zh if words.language == "zh" else "" for name, (_, table) in self._tables.items()
        }
        for name, text in in_words.items():
            self._titles[name] = sheet_title(name, text, list(self._titles.values()))
        self._truths = [words.text("yes"), words.text("no")]
        self._lists: list[tuple[str, ...]] = []
        self._list_sheet: Worksheet | None = None

    def write(self) -> None:
        guide = self._book.sheet("# " + self._words.text("How to fill in"))
        sheets = {name: self._book.sheet(title) for name, title in self._titles.items()}
        self._list_sheet = self._book.sheet(_LISTS)
        self._list_sheet.hide()
        self._write_guide(guide)
        self._write_parameters(sheets[PARAMETERS])
        self._write_targets(sheets[TARGETS])
        for name, (schema, table) in self._tables.items():
            self._write_table(sheets[name], name, schema, table)
        for sheet in (guide, sheets[PARAMETERS], sheets[TARGETS]):
            sheet.set_landscape()
            sheet.set_paper(9)
            sheet.fit_to_pages(1, 0)
        guide.activate()

    def _told(self, value: Any) -> Any:
        """A value as it is written: truths in words, which every program keeps as they are."""
        return self._truths[0 if value else 1] if isinstance(value, bool) else value

    # --- explanations ---------------------------------------------------------------------------------

    def _write_guide(self, sheet: Worksheet) -> None:
        words, book = self._words, self._book
        sheet.hide_gridlines(2)
        sheet.set_column(0, 0, 30)
        sheet.set_column(1, 1, 74)
        sheet.set_column(2, 3, 12)
        settings = self._content.settings
        title = words.either(str(settings.get("name.zh", "")), str(settings.get("name.en", "")))
        book.write(sheet, 0, 0, words.text("Data of an instance: {name}", name=title), **_TITLE)
        row = 2
        for text in _GUIDE:
            sheet.merge_range(row, 0, row, 3, "", book.format(**_PLAIN))
            book.write(sheet, row, 0, words.text(text), **_PLAIN)
            sheet.set_row(row, _height(words.text(text), 122))
            row += 1
        row += 1
        book.write(sheet, row, 0, words.text("Required column"), **_REQUIRED)
        book.write(sheet, row, 1, words.text("Every row needs a value; marked with *."), **_SOFT)
        book.write(sheet, row + 1, 0, words.text("Optional column"), **_OPTIONAL)
        book.write(
            sheet,
            row + 1,
            1,
            words.text("May be empty; what is then supposed stands in the comment of its heading."),
            **_SOFT,
        )
        row += 3
        for place, text in enumerate((N_("Sheet"), N_("What it holds"), N_("Needed"), N_("Rows"))):
            book.write(sheet, row, place, words.text(text), **_REQUIRED)
        about = {
            PARAMETERS: (
                words.text("Years, prices and other settings; an empty value means the default."),
                True,
            ),
            TARGETS: (words.text("What the policy papers ask for; an empty row asks for nothing."), False),
        }
        for name, title in self._titles.items():
            row += 1
            needed, rows = about.get(name, ("", False))[1], None
            if name in self._tables:
                _, table = self._tables[name]
                raw = self._content.tables.get(name)
                meaning, needed, rows = (
                    words.text(table.meaning),
                    not table.optional,
                    0 if raw is None else len(raw),
                )
            else:
                meaning = about[name][0]
            sheet.write_url(
                row,
                0,
                f"internal:'{title}'!A1",
                book.format(font_color="#1F4E79", underline=1, valign="top"),
                title,
            )
            book.write(sheet, row, 1, meaning, **_PLAIN)
            book.write(sheet, row, 2, words.text("yes") if needed else words.text("no"), **_PLAIN)
            book.write(sheet, row, 3, rows, valign="top", num_format="#,##0")
            sheet.set_row(row, _height(meaning, 74))

    # --- parameters and targets -----------------------------------------------------------------------

    def _write_parameters(self, sheet: Worksheet) -> None:
        words, book = self._words, self._book
        headings = (N_("What it means"), N_("Value"), N_("Unit"), N_("Range"), N_("Default"), N_("Parameter"))
        self._head(sheet, [words.text(h) for h in headings], (66, 18, 14, 16, 14, 44))
        sheet.freeze_panes(1, 1)
        described = {p.path: p for schema in self._content.schemas for p in schema.parameters}
        settings = {k: v for k, v in self._content.settings.items() if ".clauses." not in k}
        paths = list(dict.fromkeys([*_NAMES, *described, *settings]))
        for row, path in enumerate(paths, start=1):
            parameter = described.get(path)
            meaning = parameter.meaning if parameter else _NAMES.get(path)
            needed = parameter is not None and parameter.default is REQUIRED
            shown = None if meaning is None else words.text(meaning) + (" *" if needed else "")
            book.write(sheet, row, 0, shown, **(_PLAIN | {"bold": needed}))
            book.write(sheet, row, 1, self._told(settings.get(path)), **_INPUT)
            book.write(sheet, row, 5, path, **_SOFT)
            sheet.set_row(row, _height(shown or "", 66))
            if parameter is not None:
                book.write(sheet, row, 2, unit_words(parameter.unit, words.language), **_SOFT)
                book.write(sheet, row, 3, range_words(parameter), **_SOFT)
                book.write(sheet, row, 4, default_words(parameter, words), **_SOFT)
                self._validate(sheet, row, row, 1, parameter)

    def _write_targets(self, sheet: Worksheet) -> None:
        words, book = self._words, self._book
        widths = {N_("What it asks for"): 62, N_("Required"): 16, N_("Unit"): 12, N_("Hard"): 11, N_("Penalty"): 18, N_("Deadline"): 12, N_("Clause"): 14, N_("Programme"): 14}  # fmt: skip
        self._head(sheet, [words.text(h) for h in widths], list(widths.values()))
        for place, text in _TARGET_COMMENTS.items():
            sheet.write_comment(0, place, words.text(text), {"x_scale": 1.6, "author": "optimize"})
        sheet.freeze_panes(1, 1)
        row = 0
        for schema in self._content.schemas:
            for clause in schema.clauses:
                row += 1
                path = f"{schema.programme}.clauses.{clause.id}"
                given = [self._content.settings.get(f"{path}.{key}") for key in TARGET_KEYS]
                sign = {">=": "≥", "<=": "≤"}[clause.sense]
                name = f"{words.either(clause.zh, clause.en)}  {sign}"
                book.write(sheet, row, 0, name, **_PLAIN)
                book.write(sheet, row, 1, self._told(given[0]), **_INPUT)
                book.write(sheet, row, 2, unit_words(clause.unit, words.language), **_SOFT)
                for place, value in enumerate(given[1:], start=3):
                    book.write(sheet, row, place, self._told(value), **_INPUT)
                book.write(sheet, row, 6, clause.id, **_SOFT)
                book.write(sheet, row, 7, schema.programme, **_SOFT)
                sheet.set_row(row, _height(name, 62))
        last = row + _SPARE_ROWS
        for place in (1, 4):
            sheet.data_validation(
                1, place, last, place, {"validate": "decimal", "criteria": ">=", "value": 0}
            )
        sheet.data_validation(1, 3, last, 3, {"validate": "list", "source": self._truths})
        years = {"validate": "integer", "criteria": "between", "minimum": 2000, "maximum": 2100}
        sheet.data_validation(1, 5, last, 5, years)

    def _head(self, sheet: Worksheet, headings: Sequence[str], widths: Sequence[float]) -> None:
        for place, (text, width) in enumerate(zip(headings, widths, strict=True)):
            self._book.write(sheet, 0, place, text, **_REQUIRED)
            sheet.set_column(place, place, width)

    # --- tables ---------------------------------------------------------------------------------------

    def _write_table(self, sheet: Worksheet, name: str, schema: Schema, table: Table) -> None:
        raw = self._content.tables.get(name)
        columns = columns_of(table, raw)
        rows = 0 if raw is None else len(raw)
        if rows >= MOST_ROWS:
            raise UsageError(f"{name} has {rows:,} rows; a sheet holds {MOST_ROWS - 1:,}")
        sheet.set_tab_color(_TAB[not table.optional])
        for place, (column_called, column, position) in enumerate(columns):
            cells = [] if raw is None or position is None else cells_of(raw, position, column)
            self._write_column(sheet, place, column_called, column, cells)
            if column is not None:
                self._explain(sheet, place, column_called, column, schema, rows + _SPARE_ROWS)
        num_keys = sum(1 for _, column, _ in columns[:2] if column is not None and column.key)
        sheet.freeze_panes(1, max(num_keys, 1))
        sheet.autofilter(0, 0, max(rows, 1), len(columns) - 1)
        sheet.set_row(0, 44)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.repeat_rows(0)
        if len(columns) <= _COLUMNS_OF_A_PAGE:
            sheet.fit_to_pages(1, 0)

    def _write_column(
        self, sheet: Worksheet, place: int, called: str, column: Column | None, cells: Sequence[Any]
    ) -> None:
        words, book = self._words, self._book
        shown = called
        if column is not None:
            shown = heading(column, words.language, called) + (" *" if column.required else "")
        book.write(
            sheet, 0, place, shown, **(_REQUIRED if column is not None and column.required else _OPTIONAL)
        )
        is_text = column is None or column.kind == "str"
        look = {"num_format": "@"} if is_text else {}
        offered = {} if column is None else choices_told(column, words.language)
        for row, cell in enumerate(cells, start=1):
            value = offered.get(cell, cell) if offered else cell
            if value is not None:
                book.write(sheet, row, place, self._told(value), **look)
        longest = max((shown_width(str(v)) for v in cells[:_SCANNED_ROWS] if v is not None), default=0.0)
        width = fitting_width(max(longest, min(shown_width(shown), 14.0)))
        sheet.set_column(place, place, width, book.format(**look))

    def _explain(
        self, sheet: Worksheet, place: int, called: str, column: Column, schema: Schema, last: int
    ) -> None:
        """The comment of a heading, and what may be typed below it."""
        box = {"x_scale": 2.2, "y_scale": 1.5, "author": "optimize"}
        sheet.write_comment(0, place, self._comment(called, column), box)
        if column.references and not column.choices:
            # only a warning: the row of the other sheet may come later
            source = "" if "|" in column.references else self._referred(schema, column.references)
            if source:
                rule = {"validate": "list", "source": source, "error_type": "warning"}
                sheet.data_validation(1, place, last, place, rule)
        elif called == column.name:
            self._validate(sheet, 1, last, place, column)

    def _comment(self, called: str, column: Column) -> str:
        words = self._words
        lines = [words.text(column.meaning)]
        if column.unit:
            lines.append(
                words.text("Unit: {unit}", unit=unit_words(column.unit, words.language) or column.unit)
            )
        if column.choices:
            told = choice_words(column, words.language)
            values = [f"{choice} ({told[choice]})" if choice in told else choice for choice in column.choices]
            lines.append(words.text("One of: {values}", values=", ".join(values)))
        if range_words(column):
            lines.append(words.text("Range: {range}", range=range_words(column)))
        if column.references:
            lines.append(words.text("An entry of: {table}", table=column.references.replace("|", ", ")))
        default = default_words(column, words)
        lines.append(
            words.text("Must be filled in")
            if column.required
            else words.text("If empty: {default}", default=default)
        )
        others = ", ".join(alternative_names(column.name))
        lines.append(words.text("Column: {name}", name=called))
        if others:
            lines.append(words.text("In other units by the headings: {names}", names=others))
        return "\n".join(lines)

    def _validate(
        self, sheet: Worksheet, first: int, last: int, place: int, item: Column | Parameter
    ) -> None:
        """What may be typed into the cells."""
        rule: dict[str, Any] | None = None
        if item.choices:
            told = choices_told(item, self._words.language) if isinstance(item, Column) else {}
            choices = tuple(told.get(choice, choice) for choice in item.choices)
            rule = {"validate": "list", "source": self._listed(choices)}
        elif item.kind == "bool":
            rule = {"validate": "list", "source": self._truths}
        elif item.kind in ("int", "float"):
            rule = number_rule(item)
        if rule is None:
            return
        if item.kind in ("int", "float"):
            rule |= {
                "error_title": self._words.text("Not in the range"),
                "error_message": self._words.text("Allowed: {range}", range=range_words(item)),
            }
        sheet.data_validation(first, place, last, place, rule)

    def _listed(self, choices: tuple[str, ...]) -> list[str] | str:
        """A list for validation: in the rule itself, or on the hidden sheet where it is too long for that."""
        if len(",".join(choices)) <= _LONGEST_LIST:
            return list(choices)
        if choices not in self._lists:
            assert self._list_sheet is not None
            for row, choice in enumerate(choices):
                self._book.write(self._list_sheet, row, len(self._lists), choice)
            self._lists.append(choices)
        column = self._lists.index(choices)
        return f"={_LISTS}!{xl_range_abs(0, column, len(choices) - 1, column)}"

    def _referred(self, schema: Schema, references: str) -> str:
        """The cells of another sheet that hold the ids; "" where that sheet is not here."""
        other, _, field = references.partition(".")
        table = next((table for table in schema.tables if table.name == other), None)
        if table is None or not field:
            return ""
        name = sheet_name(schema, table)
        raw = self._content.tables.get(name)
        names = [called if column is None else column.name for called, column, _ in columns_of(table, raw)]
        letter = xl_col_to_name(names.index(field))
        last = (0 if raw is None else len(raw)) + _SPARE_ROWS
        return f"='{self._titles[name]}'!${letter}$2:${letter}${last}"


_NAMES = {"name.zh": N_("Name of the city in Chinese"), "name.en": N_("Name of the city in English")}
_TARGET_COMMENTS = {
    1: N_("What is asked for; empty: the clause asks for nothing."),
    3: N_("yes: every plan must reach it; no: missing it costs the penalty."),
    4: N_("CNY for each unit missed, where the clause is not hard."),
    5: N_("Calendar year; empty: the last investment year."),
}
_GUIDE = (
    N_("Each sheet is a table: one row for each thing, one column for each figure. Row 1 holds the headings; do not merge cells."),
    N_("Headings may be in Chinese or in English; the comment of a heading says what the column means, its unit and its range."),
    N_("The rows that are filled in are an example that solves as it is. Replace them by your own."),
    N_("Sheets whose names begin with # are left alone: keep your own notes there. A column whose heading begins with note is left alone, too."),
    N_("Check: optimize check FILE.xlsx lists every fault with its sheet and cell; with --marked COPY.xlsx it also writes a copy with these cells coloured and commented."),
    N_("Solve: optimize solve FILE.xlsx. Money may be given in 万元 by writing the unit into the heading."),
)  # fmt: skip


def _height(text: str, width: float) -> float:
    """The height of a row for a text that is wrapped in a column of ``width``."""
    return 14.5 * max(1, math.ceil(shown_width(text) * 1.06 / width))

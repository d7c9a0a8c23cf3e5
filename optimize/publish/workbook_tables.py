"""Tables and charts on the sheets of a plan's workbook."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from xlsxwriter.utility import xl_rowcol_to_cell
from xlsxwriter.worksheet import Worksheet

from optimize.i18n.words import Words
from optimize.io.workbook_writer import Book, fitting_width, shown_width

Kind = Literal["text", "money", "number", "share", "whole", "year", "mark"]

INK, ACCENT, PAPER, RULE, SOFT = "#1B2733", "#1F4E79", "#E4EDF5", "#B8C7D6", "#5B6773"
GOOD, BAD = "#1E6B3A", "#A3261B"
# Told apart in black and white by their lightness.
SERIES = ("#1F4E79", "#E08E2B", "#7FB2D9", "#5C3D2E", "#9BBB59", "#7A5195", "#BFBFBF", "#2A9D8F")
HEAD = {"bold": True, "bg_color": ACCENT, "font_color": "#FFFFFF", "text_wrap": True, "valign": "top", "border": 1, "border_color": RULE}  # fmt: skip
CELL = {"border": 1, "border_color": RULE, "valign": "top"}
TOTAL = {"bold": True, "bg_color": PAPER, "border": 1, "border_color": RULE}
TITLE = {"bold": True, "font_size": 16, "font_color": ACCENT}
SUBTITLE = {"bold": True, "font_size": 12, "font_color": ACCENT}
NOTE = {"font_color": SOFT, "text_wrap": True, "valign": "top"}
PLAIN = {"text_wrap": True, "valign": "top"}

_MONEY_FORMAT = {"zh": "#,##0.00", "en": "#,##0.0"}
_SCANNED_ROWS = 300
# Two lines.
_HEAD_HEIGHT = 29
_LINE_HEIGHT = 13.5


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    kind : how values are written; ``money`` is in CNY and is shown in the language's step, ``mark`` is a truth
        that is shown as a tick or a cross.
    total : whether there is a sum of the rows that a filter leaves.
    """

    heading: str
    values: Sequence[Any]
    kind: Kind = "text"
    total: bool = False
    width: float | None = None


@dataclass(frozen=True)
class Placed:
    """Where a table stands, rows and columns from 0."""

    sheet: Worksheet
    title: str
    head: int
    first: int
    last: int
    left: int
    columns: tuple[Column, ...]

    def cells(self, column: int) -> list[Any]:
        """The values of a column as charts name them."""
        return [self.title, self.first, self.left + column, self.last, self.left + column]

    def heading(self, column: int) -> list[Any]:
        return [self.title, self.head, self.left + column]


class TableWriter:
    """Writes tables in one language."""

    def __init__(self, book: Book, words: Words) -> None:
        self.book, self.words = book, words

    def money_heading(self, text: str) -> str:
        """A heading with the unit in which money is shown."""
        unit = self.words.money_step()[1]
        return f"{text}（{unit}）" if self.words.language == "zh" else f"{text} ({unit})"

    def with_unit(self, text: str, unit: str) -> str:
        """A heading with a unit of figures, which are shown as they are."""
        if unit in ("", "count", "share"):
            return text
        if unit == "CNY":
            return self.money_heading(text)
        shown = self.words.unit(unit)
        return f"{text}（{shown}）" if self.words.language == "zh" else f"{text} ({shown})"

    def write(
        self,
        sheet: Worksheet,
        title: str,
        top: int,
        columns: Sequence[Column],
        *,
        left: int = 0,
        filtered: bool = False,
    ) -> Placed:
        """Headings in row ``top``, rows, and below them the sums; of a table that is filtered, above the headings."""
        num_rows = len(columns[0].values)
        summed = any(column.total for column in columns) and num_rows > 0
        head = top + 1 if filtered and summed else top
        first, last = head + 1, head + num_rows
        sheet.set_row(head, _HEAD_HEIGHT)
        for place, column in enumerate(columns, start=left):
            self.book.write(sheet, head, place, column.heading, **HEAD)
            step = self.words.money_step()[0] if column.kind == "money" else 1.0
            look = {**CELL, **self._look(column)}
            for row, value in enumerate(column.values, start=first):
                self._write_cell(sheet, row, place, column, value, step, look)
            if summed:
                self._write_total(
                    sheet, top if filtered else last + 1, place, left, column, first, last, step
                )
            self._fit(sheet, place, column)
        self._raise_rows(sheet, first, columns)
        if filtered and num_rows:
            sheet.autofilter(head, left, last, left + len(columns) - 1)
        return Placed(sheet, title, head, first, max(last, first), left, tuple(columns))

    def _raise_rows(self, sheet: Worksheet, first: int, columns: Sequence[Column]) -> None:
        """Room for texts of several lines; not every program makes it by itself."""
        wrapped = [column for column in columns if column.width is not None]
        for number in range(len(columns[0].values)):
            told = [(str(column.values[number] or ""), column.width or 1.0) for column in wrapped]
            lines = max(
                (
                    sum(1 + int(shown_width(line) * 1.06 // width) for line in text.split("\n"))
                    for text, width in told
                ),
                default=1,
            )
            if lines > 1:
                sheet.set_row(first + number, _LINE_HEIGHT * lines)

    def _write_cell(
        self,
        sheet: Worksheet,
        row: int,
        place: int,
        column: Column,
        value: Any,
        step: float,
        look: dict[str, Any],
    ) -> None:
        if column.kind == "mark":
            if value is None:
                self.book.write(sheet, row, place, None, **look)
                return
            colour = GOOD if value else BAD
            text = f"✔ {self.words.text('yes')}" if value else f"✘ {self.words.text('no')}"
            self.book.write(sheet, row, place, text, **{**look, "font_color": colour, "bold": not value})
            return
        if isinstance(value, int | float) and not isinstance(value, bool) and step != 1.0:
            value = float(value) / step
        self.book.write(sheet, row, place, value, **look)

    def _write_total(
        self,
        sheet: Worksheet,
        row: int,
        place: int,
        left: int,
        column: Column,
        first: int,
        last: int,
        step: float,
    ) -> None:
        if not column.total:
            self.book.write(
                sheet,
                row,
                place,
                self.words.text("Sum of the rows shown") if place == left else None,
                **TOTAL,
            )
            return
        cells = f"{xl_rowcol_to_cell(first, place)}:{xl_rowcol_to_cell(last, place)}"
        told = [float(v) / step for v in column.values if isinstance(v, int | float) and math.isfinite(v)]
        look = self.book.format(**{**TOTAL, **self._look(column)})
        sheet.write_formula(row, place, f"=SUBTOTAL(109,{cells})", look, math.fsum(told))

    def _look(self, column: Column) -> dict[str, Any]:
        match column.kind:
            case "money":
                return {"num_format": _MONEY_FORMAT[self.words.language]}
            case "share":
                return {"num_format": "0.0%"}
            case "whole":
                return {"num_format": "#,##0"}
            case "year":
                return {"num_format": "0", "align": "left"}
            case "number":
                return {"num_format": number_format(column.values)}
            case _:
                return {"text_wrap": True} if column.width is not None else {}

    def _fit(self, sheet: Worksheet, place: int, column: Column) -> None:
        if column.width is not None:
            sheet.set_column(place, place, column.width)
            return
        if column.kind in ("text", "mark"):
            shown = [str(v) for v in column.values[:_SCANNED_ROWS] if v is not None]
            longest = max((shown_width(text) for text in shown), default=0.0)
        else:
            longest = 11.0
        sheet.set_column(place, place, fitting_width(max(longest, min(shown_width(column.heading), 12.0))))


def number_format(values: Sequence[Any]) -> str:
    """Enough digits to tell the values apart, no more."""
    sizes = [abs(float(v)) for v in values if isinstance(v, int | float) and math.isfinite(v) and v]
    most = max(sizes, default=0.0)
    if all(size == round(size) for size in sizes) or most >= 10_000:
        return "#,##0"
    return "#,##0.0" if most >= 100 else "#,##0.00" if most >= 1 else "0.0000"


def add_bars(
    book: Book,
    placed: Placed,
    names: int,
    series: Sequence[int],
    at: str,
    *,
    title: str,
    axis: str,
    stacked: bool = False,
    across: bool = False,
    size: tuple[int, int] = (620, 320),
    right_of: int = 0,
) -> None:
    """A native bar chart of columns of a table, beside it at the cell ``at``.

    Parameters
    ----------
    names, series : places of columns within the table.
    across : bars lie, for names that are long or many.
    right_of : pixels that are taken already, from the cell on.
    """
    kind: dict[str, Any] = {"type": "bar" if across else "column"}
    if stacked:
        kind["subtype"] = "stacked"
    chart = book.writer.add_chart(kind)
    for number, column in enumerate(series):
        chart.add_series(
            {
                "name": placed.heading(column),
                "categories": placed.cells(names),
                "values": placed.cells(column),
                "fill": {"color": SERIES[number % len(SERIES)]},
                "border": {"color": "#FFFFFF", "width": 0.75},
                "gap": 60,
            }
        )
    chart.set_title({"name": title, "name_font": {"size": 12, "color": ACCENT}, "overlay": False})
    value_axis: dict[str, Any] = {"name": axis, "name_font": {"bold": False, "size": 9}, "num_format": "#,##0", "major_gridlines": {"visible": True, "line": {"color": "#DDE3E9"}}, "line": {"none": True}}  # fmt: skip
    drawn = [v for column in series for v in placed.columns[column].values if isinstance(v, int | float)]
    if min(drawn, default=0.0) >= 0:
        value_axis["min"] = 0  # a bar is as long as its figure is large
    name_axis = {"num_font": {"size": 9}, "line": {"color": RULE}}
    if across:
        chart.set_x_axis(value_axis)
        chart.set_y_axis({**name_axis, "reverse": True, "major_gridlines": {"visible": False}})
    else:
        chart.set_x_axis(name_axis)
        chart.set_y_axis(value_axis)
    chart.set_legend({"none": True} if len(series) == 1 else {"position": "bottom"})
    chart.set_size({"width": size[0], "height": size[1]})
    placed.sheet.insert_chart(at, chart, {"object_position": 2, "description": title, "x_offset": right_of})

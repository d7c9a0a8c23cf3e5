"""Writing workbooks: cells that are what they were, to the last digit, and never become a formula."""

from __future__ import annotations

import math
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from optimize.errors import UsageError

MOST_ROWS = 1_048_576
LONGEST_TEXT = 32_767
# What a spreadsheet takes for the beginning of a formula when a cell is edited or pasted elsewhere.
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
# XML 1.0 has no place for these.
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_FONT = "Arial"
_WIDEST, _NARROWEST = 46.0, 7.0


class ExactSheet(Worksheet):  # type: ignore[misc]
    """A sheet whose numbers are written so that they read back as the same numbers.

    XlsxWriter writes 16 digits; some numbers need 17.
    """

    def _xml_number_element(self, number: float, attributes: Any = ()) -> None:
        told = "".join(f' {key}="{value}"' for key, value in attributes)
        shown = (
            repr(float(number)) if not float(number).is_integer() or abs(number) >= 1e15 else str(int(number))
        )
        self.fh.write(f"<c{told}><v>{shown}</v></c>")


class Book:
    """A workbook that is being written.

    Formats are made once and asked for by their properties.
    """

    def __init__(self, path: Path) -> None:
        options = {
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "nan_inf_to_errors": False,
        }
        self._book = Workbook(path, options)
        self._book.formats[0].set_font_name(_FONT)
        self._book.formats[0].set_font_size(10)
        self._formats: dict[tuple[tuple[str, Any], ...], Format] = {}

    @property
    def writer(self) -> Workbook:
        """The library's own workbook, for charts and defined names."""
        return self._book

    def format(self, **properties: Any) -> Format:
        key = tuple(sorted(properties.items()))
        if key not in self._formats:
            self._formats[key] = self._book.add_format({"font_name": _FONT, "font_size": 10, **properties})
        return self._formats[key]

    def sheet(self, title: str) -> Worksheet:
        return self._book.add_worksheet(title, ExactSheet)

    def write(self, sheet: Worksheet, row: int, column: int, value: Any, **properties: Any) -> None:
        """Write one cell (row and column from 0); nothing where there is no value, NaN included."""
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            if properties:
                sheet.write_blank(row, column, None, self.format(**properties))
            return
        if isinstance(value, bool):
            sheet.write_boolean(row, column, value, self.format(**properties))
        elif isinstance(value, int | float):
            sheet.write_number(row, column, value, self.format(**properties))
        else:
            text = safe_text(str(value))
            if text.startswith(_FORMULA_SIGNS):
                properties = {**properties, "quote_prefix": True}
            sheet.write_string(row, column, text, self.format(**properties))


@contextmanager
def written_book(path: Path) -> Iterator[Book]:
    """A workbook that takes the name ``path`` once it is whole; nothing half-written is left.

    Raises
    ------
    UsageError : ``path`` is there already, or does not end in .xlsx.
    """
    if path.suffix.lower() != ".xlsx":
        raise UsageError(f"{path}: the name of a workbook ends in .xlsx")
    if path.exists():
        raise UsageError(f"{path} exists already; choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}-", dir=path.parent) as home:
        place = Path(home) / "book.xlsx"
        book = Book(place)
        yield book
        book.writer.close()
        place.rename(path)


def safe_text(text: str) -> str:
    """A text that a cell can hold."""
    return _NOT_IN_XML.sub("", text)[:LONGEST_TEXT]


def shown_width(text: str) -> float:
    """How many digits wide a text is; Chinese characters take two."""
    lines = text.split("\n")
    return max(sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line) for line in lines)


def fitting_width(width: float) -> float:
    """The width of a column for the widest of its texts."""
    return min(max(width + 2, _NARROWEST), _WIDEST)

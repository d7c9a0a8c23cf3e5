"""The cells of a workbook as they were saved: values by calamine, and what it is silent about from the XML.

Errors (``#DIV/0!``) and formulas that were never calculated come out of calamine as empty cells; they are
found in the sheet's own XML, so that no figure is lost without a word.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from functools import cached_property
from html import unescape
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from python_calamine import CalamineError, CalamineWorkbook, PasswordError

from optimize.errors import UsageError
from optimize.io.workbook_safety import LIMITS, Limits, refuse_unsafe_workbook

_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRICT_RELATION = "{http://purl.oclc.org/ooxml/officeDocument/relationships}id"
# A cell whose first content is a formula, or whose type says error.
_TAG = rb"(?:[A-Za-z_][\w.-]*:)?"
_FORMULA = re.compile(
    rb"<" + _TAG + rb"c\s([^>]*)>\s*<" + _TAG + rb"f\b([^>]*?)(?:/>|>(.*?)</" + _TAG + rb"f>)(.*?)</" + _TAG + rb"c>",
    re.DOTALL,
)  # fmt: skip
_ERROR = re.compile(
    rb"<" + _TAG + rb"c\s([^>]*\bt\s*=\s*[\"']e[\"'][^>]*)>(.*?)</" + _TAG + rb"c>", re.DOTALL
)
_REFERENCE = re.compile(rb"\br\s*=\s*[\"']([A-Za-z]+)(\d+)")
_TYPE_TEXT = re.compile(rb"\bt\s*=\s*[\"']str[\"']")
_VALUE = re.compile(rb"<" + _TAG + rb"v>([^<]+)</")
_LONGEST_FORMULA = 40


@dataclass(frozen=True)
class Flaw:
    """A cell without a value of its own: an error, or a formula that was never calculated."""

    found: str
    mend: str

    def __str__(self) -> str:
        return self.found


@dataclass(frozen=True)
class Sheet:
    """One sheet, from A1 on.

    Attributes
    ----------
    rows : of any length; cells are str, float, bool, date, datetime, time, timedelta, `Flaw`; "" where empty.
    merged : (first row, first column, last row, last column), from 0.
    """

    title: str
    rows: list[list[Any]]
    merged: tuple[tuple[int, int, int, int], ...]


class Book:
    """A workbook whose sheets are read when they are asked for.

    Raises
    ------
    UsageError : it is no workbook, or not one that is safe to read.
    """

    def __init__(self, path: Path, limits: Limits = LIMITS) -> None:
        refuse_unsafe_workbook(path, limits)
        self.path = path
        try:
            self._book = CalamineWorkbook.from_path(path)
        except PasswordError as error:
            raise UsageError(f"{path.name} is protected by a password: save it without") from error
        except (CalamineError, OSError) as error:
            raise UsageError(f"{path.name} cannot be read as an Excel workbook: {error}") from error
        self.titles = tuple(self._book.sheet_names)

    def sheet(self, title: str) -> Sheet:
        try:
            sheet = self._book.get_sheet_by_name(title)
            rows: list[list[Any]] = sheet.to_python(skip_empty_area=False)
            ranges = sheet.merged_cell_ranges or []
        except (CalamineError, OSError) as error:
            raise UsageError(f"{self.path.name}: sheet {title} cannot be read: {error}") from error
        merged = tuple((first[0], first[1], last[0], last[1]) for first, last in ranges)
        for (row, column), flaw in self._flaws(title).items():
            rows += [[] for _ in range(row + 1 - len(rows))]
            rows[row] += [""] * (column + 1 - len(rows[row]))
            rows[row][column] = flaw
        return Sheet(title, rows, merged)

    def _flaws(self, title: str) -> dict[tuple[int, int], Flaw]:
        part = self._parts.get(title)
        if part is None:
            return {}
        with zipfile.ZipFile(self.path) as archive:
            text = archive.read(part)
        return {**_uncalculated(text), **_errors(text)}

    @cached_property
    def _parts(self) -> dict[str, str]:
        """The entry of the archive that holds a sheet, by its title."""
        with zipfile.ZipFile(self.path) as archive:
            entries = set(archive.namelist())
            home = next(
                (e for e in sorted(entries) if e.lower() in ("xl/workbook.xml", "xl/workbook2.xml")), ""
            )
            relations = f"xl/_rels/{PurePosixPath(home).name}.rels"
            if not home or relations not in entries:
                return {}
            targets = {
                relation.get("Id"): relation.get("Target", "")
                for relation in ElementTree.fromstring(archive.read(relations))
            }
            found = {}
            for element in ElementTree.fromstring(archive.read(home)).iter():
                if element.tag.rpartition("}")[2] == "sheet":
                    target = targets.get(element.get(_RELATION) or element.get(_STRICT_RELATION), "")
                    entry = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
                    if entry in entries:
                        found[element.get("name", "")] = entry
        return found


def _uncalculated(text: bytes) -> dict[tuple[int, int], Flaw]:
    if b"<f" not in text and b":f" not in text:
        return {}
    found = {}
    for attributes, _, formula, rest in _FORMULA.findall(text):
        place = _place(attributes)
        if place is not None and not _VALUE.search(rest) and not _TYPE_TEXT.search(attributes):
            shown = unescape(formula.decode("utf-8", "replace"))[:_LONGEST_FORMULA]
            found[place] = Flaw(
                f"a formula without a value (={shown})", "open the workbook in Excel and save it"
            )
    return found


def _errors(text: bytes) -> dict[tuple[int, int], Flaw]:
    if b'"e"' not in text and b"'e'" not in text:
        return {}
    found = {}
    for attributes, content in _ERROR.findall(text):
        place, value = _place(attributes), _VALUE.search(content)
        if place is not None:
            error = value[1].decode("utf-8", "replace") if value else "an error"
            found[place] = Flaw(f"the error {error}", "mend the formula, or write the value")
    return found


def _place(attributes: bytes) -> tuple[int, int] | None:
    named = _REFERENCE.search(attributes)
    if named is None:
        return None
    column = 0
    for letter in named[1].upper():
        column = column * 26 + letter - 64
    return int(named[2]) - 1, column - 1

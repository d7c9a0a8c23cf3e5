"""A copy of a workbook in which the cells at fault are coloured and say what is wrong."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import openpyxl
from openpyxl.comments import Comment
from openpyxl.styles import Font, PatternFill
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet.worksheet import Worksheet

from optimize.errors import Fault, UsageError
from optimize.i18n.catalogue import N_, Language
from optimize.i18n.faults import fault_text
from optimize.i18n.words import Words
from optimize.io.workbook_safety import refuse_unsafe_workbook
from optimize.io.workbook_writer import safe_text

# Dark enough to show in black and white; the comment's mark in the corner tells it, too.
_FAULT = PatternFill("solid", fgColor="F4B183")
_LIST_TITLE = "# faults"
_AUTHOR = "optimize"
_HEADINGS = (N_("Cell"), N_("Column"), N_("Expected"), N_("Found"), N_("How to mend it"))
_WIDTHS = (34, 24, 44, 40, 60)


def write_marked_copy(path: Path, faults: Sequence[Fault], out: Path, language: Language) -> int:
    """Write the copy and return how many cells it marks; faults without a cell are in its list, too.

    A sheet ``# faults`` at the beginning lists all of them with links; the reader leaves it alone, so that the
    mended copy can be read as it is.  Marks of an earlier copy are taken away.

    Raises
    ------
    UsageError : ``out`` is there already or is no .xlsx; ``path`` cannot be read.
    """
    if out.suffix.lower() != ".xlsx":
        raise UsageError(f"{out}: the name of a workbook ends in .xlsx")
    if out.exists():
        raise UsageError(f"{out} exists already; choose another name")
    refuse_unsafe_workbook(path)
    words = Words(language)
    try:
        book = openpyxl.load_workbook(path)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise UsageError(f"{path} cannot be copied with marks: {error}") from error
    for sheet in book.worksheets:
        _take_marks_away(sheet)
    if _LIST_TITLE in book.sheetnames:
        book.remove(book[_LIST_TITLE])
    texts: dict[tuple[str, str], list[str]] = {}
    for fault in faults:
        title, _, cell = fault.cell.rpartition("!")
        if title in book.sheetnames:
            texts.setdefault((title, cell), []).append(_told(fault, words))
    for (title, cell), told in texts.items():
        place = book[title][cell]
        if not hasattr(place, "comment") or type(place).__name__ == "MergedCell":
            continue  # within merged cells, which are named at their first
        before = f"\n{place.comment.text}" if place.comment is not None else ""
        place.fill = _FAULT
        place.comment = Comment("\n".join(told) + before, _AUTHOR, width=360, height=140)
    _write_list(book, faults, words)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.part")
    try:
        book.save(draft)
        draft.rename(out)
    finally:
        draft.unlink(missing_ok=True)
    return len(texts)


def _told(fault: Fault, words: Words) -> str:
    expected, found, mend = (fault_text(text, words) for text in (fault.expected, fault.found, fault.mend))
    told = words.text(
        "{column}: expected {expected}, found {found}", column=fault.column, expected=expected, found=found
    )
    return f"✘ {told} → {mend}" if mend else f"✘ {told}"


def _take_marks_away(sheet: Worksheet) -> None:
    for row in sheet.iter_rows():
        for cell in row:
            if cell.comment is not None and cell.comment.text.startswith("✘"):
                rest = [line for line in cell.comment.text.split("\n") if not line.startswith("✘")]
                cell.comment = Comment("\n".join(rest), _AUTHOR, width=360, height=140) if rest else None
                cell.fill = PatternFill()


def _write_list(book: openpyxl.Workbook, faults: Sequence[Fault], words: Words) -> None:
    sheet = book.create_sheet(_LIST_TITLE, 0)
    for place, heading in enumerate(_HEADINGS, start=1):
        sheet.cell(1, place, words.text(heading)).font = Font(bold=True)
        sheet.column_dimensions[sheet.cell(1, place).column_letter].width = _WIDTHS[place - 1]
    for row, fault in enumerate(faults, start=2):
        for place, text in enumerate(_columns(fault, words), start=1):
            cell = sheet.cell(row, place)
            cell.value = safe_text(text)
            cell.data_type = "s"  # never a formula
            cell.quotePrefix = text.startswith(("=", "+", "-", "@"))
        if fault.cell:
            title, _, name = fault.cell.rpartition("!")
            sheet.cell(row, 1).hyperlink = f"#'{title}'!{name}"
            sheet.cell(row, 1).style = "Hyperlink"
    sheet.freeze_panes = "A2"
    book.active = 0


def _columns(fault: Fault, words: Words) -> Iterator[str]:
    yield fault.cell or fault.table
    yield fault.column
    for text in (fault.expected, fault.found, fault.mend):
        yield fault_text(text, words)

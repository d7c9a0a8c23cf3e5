"""An instance in a workbook: the same data as in a folder, faults at their cells, nothing lost on the way."""

from __future__ import annotations

import datetime
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from optimize.city.example import example_city
from optimize.city.reading import read_city
from optimize.errors import Fault, InputFaults, UsageError
from optimize.i18n.catalogue import LANGUAGES, chinese
from optimize.i18n.faults import fault_text
from optimize.i18n.words import Words
from optimize.io.instance_folder import LoadedInstance, read_instance
from optimize.io.place import place_of
from optimize.io.workbook import open_workbook, unpack_workbook, workbook_to_folder
from optimize.io.workbook_cells import Book as CalamineBook
from optimize.io.workbook_content import content_of_drafts, content_of_place
from optimize.io.workbook_marks import write_marked_copy
from optimize.io.workbook_template import write_instance_workbook
from optimize.io.workbook_writer import written_book
from optimize.io.write import write_instance
from optimize.monthly.instance_files import SCHEMAS
from optimize.programme import Programme
from optimize.registry import PROGRAMMES, find_programme
from tests.repair_prompts import repair_reasons

SITES, BUDGETS = "pv_siting.sites", "pv_siting.budgets"


@pytest.fixture
def book(folder: Path, programme: Programme, tmp_path: Path) -> Path:
    """The toy town as a workbook."""
    path = tmp_path / "town.xlsx"
    write_instance_workbook(path, content_of_place(place_of(folder), [programme.schema]), "en")
    return path


@pytest.fixture
def edited(book: Path, tmp_path: Path) -> Callable[[Callable[[openpyxl.Workbook], None]], Path]:
    """The workbook with changes, as Excel would save it."""

    def edit(change: Callable[[openpyxl.Workbook], None]) -> Path:
        opened = openpyxl.load_workbook(book)
        change(opened)
        opened.save(tmp_path / "edited.xlsx")
        return tmp_path / "edited.xlsx"

    return edit


def read(path: Path, programme: Programme) -> LoadedInstance:
    return read_instance(path, [programme])


def faults_of(path: Path, programme: Programme) -> list[Fault]:
    with pytest.raises(InputFaults) as caught:
        read(path, programme)
    return list(caught.value.faults)


def assert_same_data(one: LoadedInstance, other: LoadedInstance) -> None:
    assert (one.name_zh, one.name_en) == (other.name_zh, other.name_en)
    for a, b in zip(one.programmes, other.programmes, strict=True):
        assert a.data.parameters == b.data.parameters and a.data.targets == b.data.targets
        assert (a.num_tables, a.num_rows) == (b.num_tables, b.num_rows)
        for name, frame in a.data.tables.items():
            pd.testing.assert_frame_equal(frame, b.data.tables[name], check_exact=True)


# --- the same data --------------------------------------------------------------------------------


def test_a_folder_a_workbook_and_its_folder_again_are_the_same(
    folder: Path, book: Path, programme: Programme, tmp_path: Path
) -> None:
    there = read(book, programme)
    assert_same_data(read(folder, programme), there)
    workbook_to_folder(book, tmp_path / "again", [programme.schema])
    again = read(tmp_path / "again", programme)
    assert_same_data(there, again)
    assert again.programmes[0].data.fingerprint == there.programmes[0].data.fingerprint
    with pytest.raises(UsageError, match="exists already"):
        workbook_to_folder(book, tmp_path / "again", [programme.schema])


def test_how_the_file_was_saved_does_not_change_the_fingerprint(
    book: Path, edited: Any, programme: Programme
) -> None:
    def dress_up(opened: openpyxl.Workbook) -> None:
        opened[SITES].column_dimensions["A"].width = 50
        opened[SITES].insert_rows(1, 2)
        opened[SITES]["A1"] = "Candidates of the town"
        opened.move_sheet(BUDGETS, -2)
        opened.create_sheet("# notes")["A1"] = "=1/0"

    fingerprint = read(book, programme).programmes[0].data.fingerprint
    assert read(edited(dress_up), programme).programmes[0].data.fingerprint == fingerprint
    other = edited(lambda opened: opened[SITES].__setitem__("D2", 1001))
    assert read(other, programme).programmes[0].data.fingerprint != fingerprint


def test_examples_of_all_programmes_are_the_same_in_a_workbook(tmp_path: Path) -> None:
    """With headings and explanations in Chinese; the example solves as the folder does, being the same."""
    write_instance(tmp_path / "city", example_city())
    write_instance_workbook(tmp_path / "city.xlsx", content_of_drafts(example_city()), "zh")
    there, _ = read_city(tmp_path / "city.xlsx", PROGRAMMES)
    assert_same_data(read_city(tmp_path / "city", PROGRAMMES)[0], there)
    titles = openpyxl.load_workbook(tmp_path / "city.xlsx", read_only=True).sheetnames
    assert "公共机构·pv_siting.sites" in titles
    assert len(titles) >= sum(len(schema.tables) for schema in SCHEMAS) - 4  # districts are shared


def test_every_meaning_of_tables_columns_and_parameters_has_chinese_words() -> None:
    """Comments of a workbook are told in both languages."""
    meanings = {
        item.meaning
        for schema in SCHEMAS
        for item in (
            *schema.tables,
            *schema.parameters,
            *(c for table in schema.tables for c in table.columns),
        )
    }
    missing = sorted(meanings - set(chinese()))
    assert not missing, f"add them to optimize/i18n/schema.zh.po: {missing}"


def test_the_language_of_a_workbook_is_nothing_of_the_instance(tmp_path: Path) -> None:
    programme = find_programme("datacenter")
    fingerprints = set()
    for language in LANGUAGES:
        path = tmp_path / f"{language}.xlsx"
        write_instance_workbook(path, content_of_drafts([(programme.schema, programme.example())]), language)
        assert repair_reasons(path) == []
        fingerprints.add(read_instance(path, PROGRAMMES).programmes[0].data.fingerprint)
    assert len(fingerprints) == 1


def test_headings_may_be_words_of_either_language_or_names_with_any_unit(
    edited: Any, programme: Programme, folder: Path
) -> None:
    def rename(opened: openpyxl.Workbook) -> None:
        budgets = opened[BUDGETS]
        assert [cell.value for cell in budgets[1]] == ["source *", "year *", "amount (CNY) *"]
        budgets["A1"], budgets["B1"], budgets["C1"] = "资金来源", " 年 份", "金额（万元）"
        budgets["C2"] = 500
        opened[SITES]["D1"] = "ROOF_M2"

    assert_same_data(read(folder, programme), read(edited(rename), programme))


def test_choices_and_truths_may_be_words(edited: Any, programme: Programme) -> None:
    def say(opened: openpyxl.Workbook) -> None:
        sheet = opened[SITES]
        names = [str(cell.value).strip(" *") for cell in sheet[1]]
        sheet.cell(2, names.index("kind") + 1, "hospital")
        for row, word in enumerate(("是", "否", True, "TRUE", "no", 1), start=2):
            sheet.cell(row, names.index("listed") + 1, word)
        sheet.cell(2, names.index("confidence") + 1, "二手来源")

    sites = read(edited(say), programme).programmes[0].data.tables["sites"]
    assert sites["listed"].tolist()[:7] == [True, False, True, True, False, True, False]
    assert sites["confidence"].tolist()[:2] == ["B", "D"]


def test_numbers_come_back_to_the_last_bit_and_texts_as_texts(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    numbers = [*(rng.standard_normal(300) * 10.0 ** rng.integers(-12, 12, 300)), 0.1 + 0.2, 1e15, 1e300, 5e-324, -0.0, 2**53]  # fmt: skip
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=HYPERLINK(\"http://x\")", "007", "1e5", "TRUE", "<f>1</f>", "a\x00b"]  # fmt: skip
    with written_book(tmp_path / "cells.xlsx") as book:
        sheet = book.sheet("cells")
        for row, value in enumerate(numbers):
            book.write(sheet, row, 0, float(value))
        for row, text in enumerate(hostile):
            book.write(sheet, row, 1, text)
    rows = CalamineBook(tmp_path / "cells.xlsx").sheet("cells").rows
    assert [row[0] for row in rows] == numbers
    assert [row[1] for row in rows[: len(hostile) - 1]] == hostile[:-1] and rows[len(hostile) - 1][1] == "ab"
    with zipfile.ZipFile(tmp_path / "cells.xlsx") as archive:
        assert b"<f" not in archive.read("xl/worksheets/sheet1.xml")
    sheet = openpyxl.load_workbook(tmp_path / "cells.xlsx")["cells"]
    for row in range(1, 7):
        assert sheet.cell(row, 2).data_type == "s" and sheet.cell(row, 2).quotePrefix


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), written_book(tmp_path / "a.xlsx") as book:
        book.sheet("one")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    (tmp_path / "a.xlsx").write_text("kept")
    with pytest.raises(UsageError, match="exists already"), written_book(tmp_path / "a.xlsx"):
        pass
    assert (tmp_path / "a.xlsx").read_text() == "kept"


# --- faults ---------------------------------------------------------------------------------------


def _spoil(opened: openpyxl.Workbook) -> None:
    sites, budgets = opened[SITES], opened[BUDGETS]
    sites["D3"], sites["D4"], sites["D5"] = "1,003", "=1/0", "#DIV/0!"
    sites["D5"].data_type = "e"
    sites["B6"], sites["C7"] = "Sauth", "scool"
    sites["F1"] = "flors"
    budgets.insert_rows(1)
    budgets["A1"] = "Money of the town"
    budgets["B3"] = datetime.date(2022, 1, 1)
    budgets.append(["municipal", 2023, 1])
    budgets["B4"].number_format = "yyyy-mm-dd"
    opened["instance"]["B6"] = "soon"
    opened["targets"]["B2"] = -1
    opened.create_sheet("pv_siting.sitess")["A1"] = "id"


def test_all_faults_come_at_once_with_sheet_and_cell(edited: Any, programme: Programme) -> None:
    path = edited(_spoil)
    found = faults_of(path, programme)
    told = {fault.cell: str(fault) for fault in found}
    parameter = openpyxl.load_workbook(path)["instance"]["F6"].value
    expected = {
        f"{SITES}!D3": "write 1003",
        f"{SITES}!D4": "a formula without a value (=1/0)",
        f"{SITES}!D5": "the error #DIV/0!",
        f"{SITES}!B6": 'did you mean "South"?',
        f"{SITES}!C7": 'did you mean "school"?',
        f"{SITES}!F1": 'did you mean "floors"?',
        f"{BUDGETS}!B3": "write 2022",
        f"{BUDGETS}!B4": "its number is 2023",
        "instance!B6": f"{parameter}: expected",
        "targets!B2": "from 0",
        "": 'did you mean "pv_siting.sites"?',
    }
    assert set(told) == set(expected), told
    for cell, words in expected.items():
        assert words in told[cell]
    assert [fault.line for fault in found if fault.table == BUDGETS] == [3, 4]


def test_the_same_faults_in_a_folder_are_found_at_the_same_cells(
    edited: Any, programme: Programme, tmp_path: Path
) -> None:
    """What the web page does: unpacked as it is, checked as a folder, told by cell."""
    path = edited(lambda opened: opened[SITES].__setitem__("D3", "1,003"))
    (tmp_path / "in").mkdir()
    origins, faults = unpack_workbook(path, tmp_path / "in", [programme.schema])
    assert not faults and origins["pv_siting/sites.csv"] == SITES
    located = open_workbook(path).located_all(faults_of(tmp_path / "in", programme))
    assert [fault.cell for fault in located] == [f"{SITES}!D3"]


def test_merged_cells_and_lost_zeros_are_named(edited: Any, programme: Programme) -> None:
    def merge(opened: openpyxl.Workbook) -> None:
        opened[SITES].merge_cells("B2:B3")

    merged = faults_of(edited(merge), programme)
    assert "merged cells B2:B3" in str(merged[0]) and merged[0].cell == f"{SITES}!B2"

    def drop_zeros(opened: openpyxl.Workbook) -> None:
        opened["districts"]["A2"] = "007"
        for row in range(2, 14, 2):
            opened[SITES].cell(row, 2, 7)

    lost = faults_of(edited(drop_zeros), programme)
    assert all('did you mean "007"? format the column as text' in str(fault) for fault in lost)


def test_a_sheet_that_is_missing_or_empty_is_told(edited: Any, programme: Programme) -> None:
    def drop(opened: openpyxl.Workbook) -> None:
        opened.remove(opened[BUDGETS])
        opened["districts"].delete_rows(1, 9)

    told = [str(fault) for fault in faults_of(edited(drop), programme)]
    assert any("pv_siting.budgets (sheet)" in text and "no such sheet" in text for text in told)
    assert any(text.startswith("districts (header)") for text in told)


def test_a_marked_copy_shows_the_faults_and_can_be_mended(
    edited: Any, programme: Programme, folder: Path, tmp_path: Path
) -> None:
    path = edited(_spoil)
    faults = faults_of(path, programme)
    number = write_marked_copy(path, faults, tmp_path / "marked.xlsx", "zh")
    opened = openpyxl.load_workbook(tmp_path / "marked.xlsx")
    assert repair_reasons(tmp_path / "marked.xlsx") == []
    assert number == 10
    for fault in faults:
        if fault.cell:
            title, _, cell = fault.cell.rpartition("!")
            assert opened[title][cell].fill.fgColor.rgb.endswith("F4B183")
            assert opened[title][cell].comment.text.startswith("✘")
            assert "应为" in opened[title][cell].comment.text
    listed = opened["# faults"]
    assert listed.max_row == len(faults) + 1 and listed["D4"].data_type == "s"
    with pytest.raises(UsageError, match="exists already"):
        write_marked_copy(path, faults, tmp_path / "marked.xlsx", "zh")
    _mend(opened)
    opened.save(tmp_path / "mended.xlsx")
    assert_same_data(read(folder, programme), read(tmp_path / "mended.xlsx", programme))
    write_marked_copy(tmp_path / "mended.xlsx", [], tmp_path / "clean.xlsx", "en")
    clean = openpyxl.load_workbook(tmp_path / "clean.xlsx")
    assert clean[SITES]["D3"].comment is None and clean[SITES]["D3"].fill.fill_type is None
    assert clean[SITES]["F1"].comment.text.startswith("floors")  # the heading's own explanation stays


def test_what_validation_finds_is_told_in_chinese(edited: Any, programme: Programme) -> None:
    """Nothing of a reader's common faults is left in English but names, codes and units."""
    words = Words("zh")
    left = [
        told
        for fault in faults_of(edited(_spoil), programme)
        for english in (fault.expected, fault.found, fault.mend)
        if english
        and not re.search("[一-鿿]", told := fault_text(english, words))
        and re.search("[a-z]{3,} ", told)
    ]
    assert not left
    assert fault_text("one of school, hospital", words) == "下列之一：school, hospital"
    assert fault_text("kg/m2 in 0…50 000", words) == "kg/m2，范围 0–50 000"
    assert fault_text("a whole number (a) in 2000…2100", words) == "整数（a），范围 2000–2100"
    assert fault_text("a plan that fits", words) == "a plan that fits"


def _mend(opened: openpyxl.Workbook) -> None:
    sites, budgets = opened[SITES], opened[BUDGETS]
    assert isinstance(sites, Worksheet) and isinstance(budgets, Worksheet)
    for row in (3, 4, 5):
        sites.cell(row, 4, 1000.0 + row - 2)
    sites["B6"], sites["C7"], sites["F1"] = "North", "school", "floors"
    budgets["B3"] = 2022
    budgets["B3"].number_format = "0"
    budgets.delete_rows(4)
    opened["instance"]["B6"], opened["targets"]["B2"] = None, 40
    opened.remove(opened["pv_siting.sitess"])


# --- other programs -------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed here")
def test_libreoffice_opens_and_saves_it_without_loss(
    edited: Any, programme: Programme, tmp_path: Path
) -> None:
    """Saved anew by another program, the workbook is the same instance, to the fingerprint."""

    def fill(opened: openpyxl.Workbook) -> None:
        sites = opened[SITES]
        listed = [cell.value for cell in sites[1]].index("listed") + 1
        for row, value in enumerate((True, False, "yes", "是"), start=2):
            sites.cell(row, listed, value)
        sites["A2"], sites["D3"] = "007", 0.1 + 0.2 + 1e3

    path, home = edited(fill), tmp_path / "saved"
    command = ["soffice", f"-env:UserInstallation=file://{tmp_path / 'profile'}", "--headless", "--convert-to", "xlsx",
               "--outdir", str(home), str(path)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    first, saved = read(path, programme), read(home / path.name, programme)
    assert first.programmes[0].data.tables["sites"]["listed"].tolist()[:4] == [True, False, True, True]
    assert_same_data(first, saved)
    assert saved.programmes[0].data.fingerprint == first.programmes[0].data.fingerprint

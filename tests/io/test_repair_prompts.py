"""What looks for Excel's repair prompts finds each of their known causes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import xlsxwriter

from tests.repair_prompts import repair_reasons

SHEET, BOOK = "xl/worksheets/sheet1.xml", "xl/workbook.xml"


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "sound.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet, other = book.add_worksheet("Sites"), book.add_worksheet("Lists")
        sheet.write_row(0, 0, ["site", "type"])
        sheet.write_row(1, 0, ["a", 1.5])
        sheet.write_formula(2, 1, "=SUM(B2:B2)")
        sheet.data_validation(1, 0, 9, 0, {"validate": "list", "source": ["a", "b"], "input_title": "t"})
        sheet.write_comment(0, 0, "what it is")
        sheet.autofilter(0, 0, 2, 1)
        sheet.conditional_format(1, 1, 2, 1, {"type": "no_blanks", "format": book.add_format({"bold": True})})
        other.write_url(0, 0, "internal:'Sites'!A1")
        book.define_name("sites", "=Sites!$A$2:$A$2")
        chart = book.add_chart({"type": "bar"})
        chart.add_series({"values": "=Sites!$B$2:$B$2"})
        sheet.insert_chart("E2", chart)
    assert repair_reasons(path) == []
    return path


@pytest.mark.parametrize(
    ("part", "before", "after", "reason"),
    [
        (BOOK, 'name="Lists"', 'name="sites"', "sheet sites is there 2 times"),
        (BOOK, 'name="Lists"', 'name="Li/sts"', "no name of a sheet"),
        (BOOK, 'name="Lists"', f'name="{"L" * 32}"', "no name of a sheet"),
        (BOOK, ">Sites!$A$2:$A$2<", ">#REF!<", "refers to nothing"),
        (BOOK, 'name="sites"', 'name="AB12"', "no name that can be defined"),
        (SHEET, '"a,b"', f'"{"x," * 130}"', "a list of 260 characters"),
        (SHEET, 'promptTitle="t"', f'promptTitle="{"t" * 33}"', "promptTitle of 33 characters"),
        (SHEET, '<row r="2"', '<row r="1"', "row 1 after row 1"),
        (SHEET, 'r="B2"', 'r="A2"', "cell A2 is not in its place"),
        (SHEET, 'r="B2"', 'r="B2" s="99"', "a style that is not there"),
        (SHEET, "SUM(B2:B2)", "SUM(Gone!B2)", "names a sheet that is not there"),
        (SHEET, "SUM(B2:B2)", "[1]Sites!B2", "has the formula"),
        (SHEET, 'dxfId="0"', 'dxfId="7"', "a conditional format that is not there"),
        (SHEET, '<drawing r:id="rId1"', '<drawing r:id="rId9"', "asks for rId9"),
        ("xl/charts/chart1.xml", "Sites!$B$2", "Gone!$B$2", "names a sheet that is not there"),
        ("xl/sharedStrings.xml", ">site<", f">{'x' * 32_768}<", "more than 32 767 characters"),
        ("xl/_rels/workbook.xml.rels", "worksheets/sheet2.xml", "worksheets/sheet9.xml", "sheet9.xml, which is not there"),
        ("[Content_Types].xml", "/xl/comments1.xml", "/xl/comments7.xml", "comments7.xml, which is not there"),
    ],
)  # fmt: skip
def test_each_known_cause_is_found(
    sound: Path, tmp_path: Path, part: str, before: str, after: str, reason: str
) -> None:
    broken = tmp_path / "broken.xlsx"
    with zipfile.ZipFile(sound) as source, zipfile.ZipFile(broken, "w") as target:
        for name in source.namelist():
            content = source.read(name).decode()
            if name == part:
                assert before in content
                content = content.replace(before, after, 1)
            target.writestr(name, content)
    try:
        found = repair_reasons(broken)
    except KeyError as error:  # a part that is not there
        found = [f"{error.args[0]}, which is not there"]
    assert any(reason in told for told in found), found

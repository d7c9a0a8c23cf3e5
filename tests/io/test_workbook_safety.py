"""Hostile and broken files are refused with a clear message before anything parses them."""

from __future__ import annotations

import io
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from optimize.errors import UsageError
from optimize.io.workbook import open_workbook
from optimize.io.workbook_safety import Limits, refuse_unsafe_workbook, refuse_unsafe_zip

_CONTENTS = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
)
_SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'
_SMALL = Limits(
    file_bytes=1 << 20, unpacked_bytes=4 << 20, entries=50, ratio_from_bytes=1 << 20, grid_cells=100_000
)


def _book(path: Path, sheet: str = "", more: dict[str, str | bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", _CONTENTS)
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", _SHEET.format(sheet))
        for name, content in (more or {}).items():
            archive.writestr(name, content)
    return path


def _with_claimed_size(path: Path, name: str, claimed: int) -> Path:
    """The same archive, in which one entry says that it is ``claimed`` bytes large."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(name)
    data[info.header_offset + 22 : info.header_offset + 26] = struct.pack("<I", claimed)
    place = data.find(b"PK\x01\x02")
    while place >= 0:
        length = struct.unpack("<H", data[place + 28 : place + 30])[0]
        if data[place + 46 : place + 46 + length] == name.encode():
            data[place + 24 : place + 28] = struct.pack("<I", claimed)
            crc = zlib.crc32(zipfile.ZipFile(path).read(name)[:claimed])
            data[place + 16 : place + 20] = struct.pack("<I", crc)
        place = data.find(b"PK\x01\x02", place + 4)
    path.write_bytes(bytes(data))
    return path


def _encrypted(path: Path) -> Path:
    data = bytearray(_book(path).read_bytes())
    place = data.find(b"PK\x01\x02")
    data[place + 8] |= 1
    path.write_bytes(bytes(data))
    return path


def _many_long_texts(path: Path) -> Path:
    cells = "".join(f'<row r="{r}"><c r="A{r}" t="s"><v>0</v></c></row>' for r in range(1, 3001))
    return _book(path, cells, {"xl/sharedStrings.xml": f"<sst><si><t>{'x' * 30_000}</t></si></sst>"})


def _bytes(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _zip(path: Path, entries: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def _twice(path: Path) -> Path:
    with zipfile.ZipFile(_book(path), "a") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return path


_HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "empty": (lambda p: _bytes(p, b""), "not an Excel workbook"),
    "text": (lambda p: _bytes(p, b"site,type\nS1,school\n"), "not an Excel workbook"),
    "old excel or password": (lambda p: _bytes(p, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600), "protected by a password"),
    "cut off": (lambda p: _bytes(p, _book(p).read_bytes()[:-30]), "not an Excel workbook"),
    "another zip": (lambda p: _zip(p, {"a.txt": "a"}), "no Excel workbook"),
    "too large a file": (lambda p: _bytes(p, b"PK\x03\x04" + b"\0" * (2 << 20)), "are not read"),
    "too many entries": (lambda p: _book(p, more={f"xl/{k}.xml": "<a/>" for k in range(60)}), "entries"),
    "zip bomb": (lambda p: _book(p, more={"xl/media/a.xml": b" " * (3 << 20)}), "-fold"),
    "larger altogether": (lambda p: _book(p, more={f"xl/media/{k}.bin": bytes(range(256)) * 3900 for k in range(5)}), "MiB"),
    "false size": (lambda p: _with_claimed_size(_book(p, "<c/>" * 500), "xl/worksheets/sheet1.xml", 40), "larger than it says"),
    "encrypted": (_encrypted, "password"),
    "entities": (lambda p: _book(p, more={"xl/sharedStrings.xml": '<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><sst>&b;</sst>'}), "declares entities"),
    "other encoding": (lambda p: _book(p, more={"xl/styles.xml": "<!DOCTYPE x>".encode("utf-16")}), "UTF-8"),
    "far cell": (lambda p: _book(p, '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'), "too large"),
    "far cell by another spelling": (lambda p: _book(p, "<x:row r = '9'><x:c s='1' r = 'xfd1048576' ><x:v>1</x:v></x:c></x:row>"), "too large"),
    "far cell without a name": (lambda p: _book(p, '<row r="1048576">' + "<c><v>1</v></c>" * 400 + "</row>"), "too large"),
    "far cell in another entry": (lambda p: _book(p, more={"xl/other.bin": '<row r="1"><c r="ZZZ999999"/></row>'}), "too large"),
    "long texts many times": (_many_long_texts, "its texts"),
    "macros": (lambda p: _book(p, more={"xl/vbaProject.bin": b"x"}), "macros"),
    "outside links": (lambda p: _book(p, more={"xl/externalLinks/externalLink1.xml": "<a/>"}), "links to other files"),
    "connections": (lambda p: _book(p, more={"xl/connections.xml": "<a/>"}), "connections"),
    "embedded files": (lambda p: _book(p, more={"xl/embeddings/oleObject1.bin": b"x"}), "embedded files"),
    "entry twice": (_twice, "twice"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", _HOSTILE)
def test_what_could_harm_is_refused_in_clear_words(name: str, tmp_path: Path) -> None:
    make, words = _HOSTILE[name]
    path = make(tmp_path / "upload.xlsx")
    began = time.monotonic()
    with pytest.raises(UsageError) as caught:
        refuse_unsafe_workbook(path, _SMALL)
    assert words in str(caught.value), str(caught.value)
    assert "upload.xlsx" in str(caught.value) and time.monotonic() - began < 5


def test_overlapping_entries_are_refused(tmp_path: Path) -> None:
    """One compressed block that several entries of the directory claim."""
    path = _book(tmp_path / "a.xlsx", more={"xl/media/a.bin": bytes(range(256)) * 40})
    data = path.read_bytes()
    start = data.find(b"PK\x01\x02")
    end = data.find(b"PK\x05\x06")
    entry = next(e for e in _directory(data[start:end]) if b"a.bin" in e)
    copies = b"".join(entry.replace(b"a.bin", f"{k}.bin".encode()) for k in "bcdefghij")
    tail = bytearray(data[end:])
    number = struct.unpack("<H", tail[10:12])[0] + 9
    tail[8:12] = struct.pack("<HH", number, number)
    tail[12:16] = struct.pack("<I", end - start + len(copies))
    path.write_bytes(data[:end] + copies + bytes(tail))
    with pytest.raises(UsageError, match="overlap"):
        refuse_unsafe_workbook(path)


def _directory(block: bytes) -> list[bytes]:
    places = []
    place = block.find(b"PK\x01\x02")
    while place >= 0:
        places.append(place)
        place = block.find(b"PK\x01\x02", place + 4)
    return [block[a:b] for a, b in zip(places, [*places[1:], len(block)], strict=True)]


def test_a_plain_workbook_passes_whatever_its_pieces(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in range(3000):
        book.active.append([f"text {row}", row, row / 7, None, "é漢字" * 20])  # type: ignore[union-attr]
    book.save(tmp_path / "plain.xlsx")
    refuse_unsafe_workbook(tmp_path / "plain.xlsx")
    assert open_workbook(tmp_path / "plain.xlsx").titles == {"Sheet": "Sheet"}


@pytest.mark.parametrize(
    ("ending", "words"), [(".xls", "Excel workbook"), (".xlsm", "Excel workbook"), (".ods", "Excel workbook")]
)
def test_other_formats_are_named_by_what_to_do(ending: str, words: str, tmp_path: Path) -> None:
    path = _bytes(tmp_path / f"city{ending}", b"x")
    with pytest.raises(UsageError, match=words):
        open_workbook(path)


_ESCAPING = {
    "above": ("../evil.csv", "leads outside"),
    "absolute": ("/etc/evil", "leads outside"),
    "windows": ("..\\evil.csv", "leads outside"),
    "drive": ("C:/evil.csv", "leads outside"),
    "within": ("a/../../evil.csv", "leads outside"),
}


@pytest.mark.parametrize("name", _ESCAPING)
def test_a_zip_that_would_write_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    entry, words = _ESCAPING[name]
    with pytest.raises(UsageError, match=words):
        refuse_unsafe_zip(_zip(tmp_path / "a.zip", {"instance.toml": "", entry: "x"}))


def test_links_and_bombs_in_a_zip_are_refused_and_a_plain_one_passes(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.csv")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UsageError, match="link or a device"):
        refuse_unsafe_zip(tmp_path / "link.zip")
    with pytest.raises(UsageError, match="twice"):
        refuse_unsafe_zip(_zip(tmp_path / "case.zip", {"Sites.csv": "a", "sites.csv": "b"}))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("instance.toml", b"\0" * (3 << 20))
    with pytest.raises(UsageError, match="-fold"):
        refuse_unsafe_zip(_bytes(tmp_path / "bomb.zip", stream.getvalue()), _SMALL)
    refuse_unsafe_zip(_zip(tmp_path / "good.zip", {"instance.toml": "", "pv_siting/sites.csv": "site\n"}))

"""Uploads of every kind that means harm, and those that are merely no instances: name, bytes, what the refusal says."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

MIB = 1 << 20
TOML = "format = 1\nbase_year = 2024\n"
SITES = "pv_siting/sites.csv"
CONTENT_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
)


def packed(files: Mapping[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of these files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def folder_packed(folder: Path, changes: Mapping[str, str | bytes] | None = None) -> bytes:
    """An instance folder as a zip archive, with some files replaced or added."""
    files: dict[str, str | bytes] = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    return packed(files | dict(changes or {}))


def workbook(files: Mapping[str, str | bytes]) -> bytes:
    """Something that begins like a workbook."""
    return packed({"[Content_Types].xml": CONTENT_TYPES, "xl/workbook.xml": "<workbook/>", **files})


def _entry(name: str, *, mode: int = 0, flags: int = 0, content: bytes = b"x") -> bytes:
    """An archive with one entry whose head is not as `zipfile` would write it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, content)
        archive.writestr("instance.toml", TOML)
    data = bytearray(stream.getvalue())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.index(magic) + offset
        data[place : place + 2] = struct.pack("<H", flags)
    return bytes(data)


def _false_size(claimed: int) -> bytes:
    """An entry that claims to be small and is not."""
    data = bytearray(packed({SITES: b"0" * (8 * MIB), "instance.toml": TOML}))
    for magic, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(magic) + offset
        data[place : place + 4] = struct.pack("<I", claimed)
    return bytes(data)


def _overlapping() -> bytes:
    """Many names for the same bytes."""
    body = zlib.compress(b"0" * MIB)[2:-4]
    crc = zlib.crc32(b"0" * MIB)
    head = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 8, 0, 0, crc, len(body), MIB, 1, 0) + b"a"
    directory = b""
    for number in range(200):
        name = f"{number}.csv".encode()
        directory += (
            struct.pack(
                "<4s6H3L5H2L",
                b"PK\x01\x02",
                20,
                20,
                0,
                8,
                0,
                0,
                crc,
                len(body),
                MIB,
                len(name),
                0,
                0,
                0,
                0,
                0,
                0,
            )
            + name
        )
    start = len(head) + len(body)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 200, 200, len(directory), start, 0)
    return head + body + directory + end


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../x"))
    return stream.getvalue()


class _Trap:
    """Unpickled it would run something."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        import os

        return os.system, ("touch /tmp/was-here",)


_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + "".join(f'<!ENTITY lol{k} "{f"&lol{k - 1 if k > 1 else str()};" * 10}">' for k in range(1, 10))
    + "]><worksheet>&lol9;</worksheet>"
)
_OUTSIDE = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><worksheet>&e;</worksheet>'
)
_FAR = '<worksheet><sheetData><row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData></worksheet>'

HOSTILE: dict[str, tuple[str, bytes, str]] = {
    # paths
    "parent": ("a.zip", packed({"instance.toml": TOML, "../../evil.csv": "x"}), "outside"),
    "parent inside": ("a.zip", packed({"instance.toml": TOML, "pv_siting/../../x.csv": "x"}), "outside"),
    "absolute": ("a.zip", packed({"instance.toml": TOML, "/etc/cron.d/x": "x"}), "outside"),
    "drive": ("a.zip", packed({"instance.toml": TOML, "C:/x.csv": "x"}), "outside"),
    "backslashes": ("a.zip", packed({"instance.toml": TOML, "..\\..\\x.csv": "x"}), "outside"),
    "stream": ("a.zip", packed({"instance.toml": TOML, "sites.csv:hidden": "x"}), "outside"),
    "symlink": ("a.zip", _entry("pv_siting/sites.csv", mode=0o120777, content=b"/etc/passwd"), "link"),
    "device": ("a.zip", _entry("pv_siting/sites.csv", mode=0o020666), "device"),
    "pipe": ("a.zip", _entry("pv_siting/sites.csv", mode=0o010666), "device"),
    "twice": ("a.zip", packed({"instance.toml": TOML, "INSTANCE.toml": TOML}), "twice"),
    "hidden": ("a.zip", packed({"instance.toml": TOML, ".git/config": "x"}), "no table"),
    "deep": ("a.zip", packed({"instance.toml": TOML, "pv_siting/a/b.csv": "x"}), "no table"),
    "long name": ("a.zip", packed({"instance.toml": TOML, f"{'a' * 300}.csv": "x"}), "no table"),
    "control characters": ("a.zip", packed({"instance.toml": TOML, "a\x1b[2J.csv": "x"}), "no table"),
    # code and what could hold some
    "script": ("a.zip", packed({"instance.toml": TOML, "run.sh": "rm -rf /"}), "no table"),
    "python": ("a.zip", packed({"instance.toml": TOML, "optimize.py": "1/0"}), "no table"),
    "pickle inside": ("a.zip", packed({"instance.toml": TOML, "pv_siting/sites.pkl": pickle.dumps(_Trap())}), "no table"),
    "pickle as csv": ("a.zip", packed({"instance.toml": TOML, SITES: b"\x80\x04" + b"\x00" * 64}), "no text"),
    "pickle as zip": ("a.zip", pickle.dumps(_Trap()), "not a zip"),
    "pickle": ("a.pkl", pickle.dumps(_Trap()), "neither"),
    "parquet": ("a.zip", packed({"instance.toml": TOML, "pv_siting/sites.parquet": b"PAR1"}), "no table"),
    "archive inside": ("a.zip", packed({"instance.toml": TOML, "more.zip": packed({"x": "y"})}), "no table"),
    "web page": ("a.html", b"<script>alert(1)</script>", "neither"),
    "picture": ("a.svg", b"<svg onload='alert(1)'/>", "neither"),
    "script as name": ("<img src=x onerror=alert(1)>.zip", b"PK", "not a zip"),
    # bombs and lies
    "bomb": ("a.zip", packed({"instance.toml": TOML, SITES: b"0" * (6 * MIB)}), "-fold"),
    "many": ("a.zip", packed({f"{k}.csv": "" for k in range(600)}), "entries"),
    "smaller than it is": ("a.zip", _false_size(10), "larger than it says"),
    "larger than it is": ("a.zip", _false_size(9 * MIB), "not read"),
    "overlapping": ("a.zip", _overlapping(), "overlap"),
    "encrypted": ("a.zip", _entry("pv_siting/sites.csv", flags=1), "password"),
    "unusual packing": ("a.zip", packed({"instance.toml": TOML}, zipfile.ZIP_LZMA), "unusual"),
    # no archives
    "cut off": ("a.zip", packed({"instance.toml": TOML * 100})[:-30], "not a zip"),
    "empty": ("a.zip", b"", "empty"),
    "empty archive": ("a.zip", packed({}), "found none"),
    "noise": ("a.zip", bytes(range(256)) * 16, "not a zip"),
    "tar": ("a.zip", _tar(), "not a zip"),
    "gzip": ("a.zip", gzip.compress(b"x"), "not a zip"),
    "no ending": ("a", b"x", "neither"),
    # no instances
    "no toml": ("a.zip", packed({SITES: "site\n"}), "found none"),
    "two instances": ("a.zip", packed({"a/instance.toml": TOML, "b/instance.toml": TOML}), "2 of them"),
    "deep toml": ("a.zip", packed({"instance.toml": "a = " + "[" * 20_000}), "deep"),
    "long toml": ("a.zip", packed({"instance.toml": "# " + "x" * (2 * MIB)}, zipfile.ZIP_STORED), "MiB"),
    "file outside": ("a.zip", packed({"instance.toml": TOML + '[pv_siting]\nweather_file = "/etc/passwd"\n'}), "beside"),
    "file above": ("a.zip", packed({"instance.toml": TOML + '[pv_siting]\nweather_file = "../../secret"\n'}), "beside"),
    "deep shapes": ("a.zip", packed({"instance.toml": TOML, "districts.geojson": "[" * 200_000}), "deep"),
    # workbooks
    "laughs": ("a.xlsx", workbook({"xl/worksheets/sheet1.xml": _LAUGHS}), "entities"),
    "outside entity": ("a.xlsx", workbook({"xl/worksheets/sheet1.xml": _OUTSIDE}), "entities"),
    "macros": ("a.xlsx", workbook({"xl/vbaProject.bin": b"x"}), "macros"),
    "links": ("a.xlsx", workbook({"xl/externalLinks/externalLink1.xml": "<x/>"}), "links"),
    "far cell": ("a.xlsx", workbook({"xl/worksheets/sheet1.xml": _FAR}), "large"),
    "sheet bomb": ("a.xlsx", workbook({"xl/worksheets/sheet1.xml": b" " * (6 * MIB)}), "-fold"),
    "old workbook": ("a.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600, "old .xls"),
    "zip as workbook": ("a.xlsx", packed({"instance.toml": TOML}), "no Excel workbook"),
    "macro workbook": ("a.xlsm", workbook({}), "neither"),
}  # fmt: skip

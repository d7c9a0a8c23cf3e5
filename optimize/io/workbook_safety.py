"""What is refused before anything parses it: archives and workbooks that would eat memory or carry code.

An .xlsx is a zip of XML.  Sizes in its directory are claims of whoever made it, so each entry is unpacked
here once, in small pieces that are thrown away, and counted; the first that grows beyond its claim or the
limits ends the reading.  Only then may a parser see the file.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from optimize.errors import UsageError

_MIB = 1 << 20
_PIECE = _MIB
# Text that may lie across two pieces.
_OVERLAP = 4096
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x1
_CONTENTS = "[Content_Types].xml"
_XML = (".xml", ".rels", ".vml")
# Pictures may be XML with a declaration; no reader of tables opens them as such.
_PICTURES = "xl/media/"
# By the beginning of an entry's name: what it is, and how to get rid of it.
_ACTIVE = {
    "xl/vbaproject": ("VBA macros", "save it as .xlsx, without macros"),
    "xl/macrosheets/": ("Excel 4 macros", "save it as .xlsx, without macros"),
    "xl/dialogsheets/": ("dialogue sheets", "delete them"),
    "xl/externallinks/": ("links to other files", "break them in Excel: Data, Edit Links, Break Link"),
    "xl/connections": ("connections to outside data", "delete them in Excel: Data, Queries and Connections"),
    "xl/activex/": ("ActiveX controls", "delete them"),
    "xl/embeddings/": ("embedded files", "delete them"),
}
_CELL = re.compile(
    rb"<(?:[A-Za-z_][\w.-]*:)?c\s[^>]{0,200}?\br\s*=\s*[\"']\s*\$?([A-Za-z]{1,8})\$?(\d{1,12})"
)
_ANY_CELL = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?c[\s/>]")
_ROW = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?row[\s/>]")
_ROW_NUMBER = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?row\s[^>]{0,200}?\br\s*=\s*[\"']\s*(\d{1,12})")
_STORED_TEXT = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?si\b")
_NAMED_TEXT = re.compile(rb"\bt\s*=\s*[\"']s[\"'][^>]{0,200}>\s*<(?:[A-Za-z_][\w.-]*:)?v>\s*(\d{1,12})")
# Excel takes 32 767 characters a cell; where none is longer than this, no workbook within the limits grows much.
_LONG_TEXT = 2000
_DECLARATION = re.compile(rb"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)


@dataclass(frozen=True)
class Limits:
    """The most that is read.

    Attributes
    ----------
    file_bytes : of the file as it lies there.
    unpacked_bytes : of all entries together.
    entries : how many.
    ratio : unpacked to packed, for entries above ``ratio_from_bytes``.
    grid_cells : rows x columns of the sheets together, up to their last cells.
    """

    file_bytes: int = 256 * _MIB
    unpacked_bytes: int = 2048 * _MIB
    entries: int = 5000
    ratio: float = 250.0
    ratio_from_bytes: int = 16 * _MIB
    grid_cells: int = 40_000_000


LIMITS = Limits()


def refuse_unsafe_workbook(path: Path, limits: Limits = LIMITS) -> None:
    """Return if ``path`` is an .xlsx that can be read safely.

    Raises
    ------
    UsageError : it is none, is too large, claims false sizes, or holds macros, outside links or XML declarations.
    """
    with _archive(path, limits, "an Excel workbook (.xlsx)") as archive:
        infos = archive.infolist()
        names = {info.filename for info in infos}
        if _CONTENTS not in names or not any(name.lower().startswith("xl/workbook") for name in names):
            raise UsageError(f"{path.name} is a zip, but no Excel workbook (.xlsx)")
        for name in sorted(names):
            for start, (what, mend) in _ACTIVE.items():
                if name.lower().startswith(start):
                    raise UsageError(f"{path.name} holds {what} ({name}), which are not read: {mend}")
        cells = 0
        for info, pieces in _unpacked(path, archive, limits):
            scan = _XmlScan(path.name, info.filename)
            for piece in pieces:
                scan.see(piece)
                if cells + scan.grid > limits.grid_cells:
                    raise UsageError(
                        f"{path.name} is too large: {info.filename} has a cell in row {scan.rows:,}, column "
                        f"{scan.columns:,}; more than {limits.grid_cells:,} cells are not read. Delete what lies far "
                        "from the table"
                    )
            cells += scan.grid
        _refuse_long_texts(path.name, archive, limits)


def _refuse_long_texts(name: str, archive: zipfile.ZipFile, limits: Limits) -> None:
    """A text is stored once and named by every cell that shows it; a reader holds it once for each."""
    entries = [info.filename for info in archive.infolist()]
    lengths = [
        len(text)
        for entry in entries
        if "sharedstrings" in entry.lower()
        for text in _STORED_TEXT.split(archive.read(entry))[1:]
    ]
    if max(lengths, default=0) < _LONG_TEXT:
        return
    told = 0
    for entry in entries:
        if "sharedstrings" not in entry.lower():
            places = map(int, _NAMED_TEXT.findall(archive.read(entry)))
            told += sum(lengths[place] for place in places if place < len(lengths))
    if told > limits.unpacked_bytes:
        raise UsageError(f"{name} is not read: its texts would take {told / _MIB:,.0f} MiB")


def refuse_unsafe_zip(path: Path, limits: Limits = LIMITS) -> None:
    """Return if ``path`` is a zip whose files can be unpacked safely below one folder.

    Raises
    ------
    UsageError : it is none, is too large, claims false sizes, or has entries that lead outside or are no plain files.
    """
    with _archive(path, limits, "a zip archive") as archive:
        seen: set[str] = set()
        for info in archive.infolist():
            name = info.filename
            parts = PurePosixPath(name).parts
            outside = name.startswith("/") or ".." in parts or "\\" in name or ":" in name or "\x00" in name
            if outside or not parts:
                raise UsageError(f"{path.name}: the entry {name!r} leads outside the archive")
            kind = info.external_attr >> 16 & 0o170000
            if kind not in (0, 0o100000, 0o040000):
                raise UsageError(f"{path.name}: the entry {name!r} is a link or a device, no file")
            if name.casefold() in seen:
                raise UsageError(f"{path.name} has the entry {name!r} twice")
            seen.add(name.casefold())
        for _, pieces in _unpacked(path, archive, limits):
            for _piece in pieces:
                pass


def _archive(path: Path, limits: Limits, wanted: str) -> zipfile.ZipFile:
    if not path.is_file():
        raise UsageError(f"{path} is not a file")
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise UsageError(
            f"{path.name} has {size / _MIB:,.0f} MiB; more than {limits.file_bytes / _MIB:,.0f} MiB are not read"
        )
    with path.open("rb") as stream:
        start = stream.read(8)
    if start == _OLD_EXCEL:
        raise UsageError(
            f"{path.name} is an old .xls, or protected by a password: save it as .xlsx without a password"
        )
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UsageError(f"{path.name} is not {wanted}, or is damaged: {error}") from error
    infos = archive.infolist()
    wrong = ""
    if len(infos) > limits.entries:
        wrong = f"it has {len(infos):,} entries; more than {limits.entries:,} are not read"
    elif sum(info.compress_size for info in infos) > size:
        wrong = "its entries overlap"
    elif sum(info.file_size for info in infos) > limits.unpacked_bytes:
        wrong = f"unpacked it would be more than {limits.unpacked_bytes / _MIB:,.0f} MiB"
    elif len({info.filename for info in infos}) < len(infos):
        wrong = "it has an entry twice"
    if wrong:
        archive.close()
        raise UsageError(f"{path.name} is not read: {wrong}")
    return archive


def _unpacked(
    path: Path, archive: zipfile.ZipFile, limits: Limits
) -> Iterator[tuple[zipfile.ZipInfo, Iterator[bytes]]]:
    """Each entry with its content in pieces; nothing is kept."""
    with path.open("rb") as stream:
        for info in archive.infolist():
            if info.flag_bits & _ENCRYPTED:
                raise UsageError(f"{path.name} is protected by a password: save it without")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise UsageError(f"{path.name}: {info.filename!r} is packed in an unusual way; save it anew")
            if info.file_size > limits.ratio_from_bytes and info.file_size > limits.ratio * max(
                info.compress_size, 1
            ):
                raise UsageError(
                    f"{path.name} is not read: {info.filename!r} grows {info.file_size / max(info.compress_size, 1):,.0f}-fold "
                    "when it is unpacked"
                )
            yield info, _pieces(path.name, stream, info)


def _pieces(name: str, stream: IO[bytes], info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The content of one entry as it really is, not as long as it claims to be.

    `zipfile` stops at the size an entry claims; other readers do not, so the packed bytes are followed to their end.
    """
    damaged = f"{name} is damaged: {info.filename!r} "
    stream.seek(info.header_offset)
    head = stream.read(_LOCAL_HEADER.size)
    if len(head) < _LOCAL_HEADER.size or head[:4] != b"PK\x03\x04":
        raise UsageError(f"{damaged}has no beginning")
    fields = _LOCAL_HEADER.unpack(head)
    stream.seek(fields[9] + fields[10], 1)
    left, size = info.compress_size, 0
    unpack = zlib.decompressobj(-zlib.MAX_WBITS) if info.compress_type == zipfile.ZIP_DEFLATED else None
    pending = b""
    while True:
        if not pending and left:
            pending = stream.read(min(left, _PIECE))
            if not pending:
                raise UsageError(f"{damaged}ends too early")
            left -= len(pending)
        if unpack is None:
            piece, pending = pending, b""
        else:
            try:
                piece = unpack.decompress(pending, _PIECE)
            except zlib.error as error:
                raise UsageError(f"{damaged}cannot be unpacked ({error})") from error
            pending = unpack.unconsumed_tail
            if unpack.eof and (left or unpack.unused_data):
                raise UsageError(f"{damaged}has more than it says")
        size += len(piece)
        if size > info.file_size:
            raise UsageError(f"{damaged}is larger than it says")
        if piece:
            yield piece
        elif not left and not pending:
            break
    if size != info.file_size or (unpack is not None and not unpack.eof):
        raise UsageError(f"{damaged}ends too early")


class _XmlScan:
    """Looks for declarations, and for the last cell of a sheet, in XML that comes in pieces."""

    def __init__(self, file: str, entry: str) -> None:
        self._file, self._entry = file, entry
        self._is_xml = entry.lower().endswith(_XML)
        self._is_picture = entry.lower().startswith(_PICTURES)
        self._kept = b""
        self._first = True
        self._unnamed = 0
        self.rows = self.columns = 0

    @property
    def grid(self) -> int:
        return self.rows * self.columns

    def see(self, piece: bytes) -> None:
        if (
            self._first
            and self._is_xml
            and (b"\x00" in piece[:64] or piece[:2] in (b"\xff\xfe", b"\xfe\xff"))
        ):
            raise UsageError(f"{self._file}: {self._entry!r} is not in UTF-8; save it anew in Excel")
        self._first = False
        text = self._kept + piece
        if not self._is_picture and _DECLARATION.search(text):
            raise UsageError(
                f"{self._file} is not read: {self._entry!r} declares entities of its own, which Excel never does"
            )
        self._measure(text)  # whatever it is called: what a sheet is called is up to the workbook
        self._kept = text[-_OVERLAP:]

    def _measure(self, text: bytes) -> None:
        named = _CELL.findall(text)
        self.rows = max(self.rows, *(int(row) for _, row in named), *map(int, _ROW_NUMBER.findall(text)), 0)
        self.columns = max(self.columns, *map(_column_number, {letters for letters, _ in named}), 0)
        if len(_ANY_CELL.findall(text)) > len(named):  # cells without a name follow one another in their row
            first, *others = _ROW.split(text)
            counts = [
                self._unnamed + len(_ANY_CELL.findall(first)),
                *(len(_ANY_CELL.findall(o)) for o in others),
            ]
            self.columns, self._unnamed = max(self.columns, *counts), counts[-1]


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number

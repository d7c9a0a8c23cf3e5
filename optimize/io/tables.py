"""Raw tables from CSV (UTF-8, UTF-8 with BOM, GB18030) or Parquet: text cells and file lines."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from optimize.errors import Fault

# Tables above this many rows are written as Parquet: as CSV nobody reads them any more.
PARQUET_FROM_ROWS = 100_000
# CSV tables up to this size are kept as read, the last ones used: a month of a job, a batch and a study
# read the same small instance many times over.
KEPT_UP_TO_BYTES = 1 << 17
NUM_KEPT = 256
# pandas stores an index without a name under this one.
_INDEX_COLUMN = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True, eq=False)
class RawTable:
    """Cells as found: strings from CSV, typed values from Parquet; the same only as itself.

    Attributes
    ----------
    names : headings in file order.
    lines : shape (rows,), file line of each row.
    cells : position of a heading -> that column; from Parquet it is read only when asked for.  A
        column that cannot be read is a fault.
    is_kept : the same content gives this very table again, so that what follows from it may be kept with it.
    """

    path: str
    names: tuple[str, ...]
    lines: NDArray[np.int64]
    cells: Callable[[int], pd.Series | Fault]
    is_kept: bool = False

    def __len__(self) -> int:
        return len(self.lines)

    @classmethod
    def of_frame(cls, path: str, frame: pd.DataFrame, lines: NDArray[np.int64]) -> RawTable:
        """A table that is in memory already; ``frame`` has a RangeIndex."""
        columns = [column for _, column in frame.items()]
        return cls(path, tuple(map(str, frame.columns)), lines, columns.__getitem__)


def find_table(folder: Path, name: str) -> Path | None:
    """The file of a table in ``folder``, CSV before Parquet; None where there is none."""
    for ending in (".csv", ".parquet"):
        path = folder / f"{name}{ending}"
        if path.is_file():
            return path
    return None


def read_table(path: Path, shown_as: str) -> RawTable | Fault:
    """Read one table. A file that cannot be read at all is a fault, not an exception."""
    if path.suffix == ".parquet":
        return _read_parquet(path, shown_as)
    return read_csv_bytes(path.read_bytes(), shown_as)


def read_csv_bytes(data: bytes, shown_as: str) -> RawTable | Fault:
    """Read the content of a CSV file; the same small content gives the same table again."""
    return _read_kept(data, shown_as) if len(data) <= KEPT_UP_TO_BYTES else _read_bytes(data, shown_as)


@lru_cache(maxsize=NUM_KEPT)
def _read_kept(data: bytes, shown_as: str) -> RawTable | Fault:
    raw = _read_bytes(data, shown_as)
    return raw if isinstance(raw, Fault) else replace(raw, is_kept=True)


def _read_bytes(data: bytes, shown_as: str) -> RawTable | Fault:
    text = decode(data)
    if text is None:
        return Fault(shown_as, "(file)", "text in UTF-8 or GB18030", "other bytes", "save as CSV UTF-8")
    return _read_csv(text, shown_as)


def decode(data: bytes) -> str | None:
    """Text of a file in UTF-8, UTF-8 with BOM or GB18030 (GBK, GB2312); None where it is neither."""
    if b"\x00" in data[:4096]:
        return None
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def _read_csv(text: str, shown_as: str) -> RawTable | Fault:
    # Comment lines stand before the header only; templates explain the columns there.
    skipped = 0
    for line in text.splitlines():
        if line.startswith("#") or not line.strip().strip(","):
            skipped += 1
        else:
            break
    body = "".join(text.splitlines(keepends=True)[skipped:])
    if not body.strip():
        return Fault(shown_as, "(file)", "a header line", "an empty file", "see `optimize template`")
    try:
        frame = pd.read_csv(
            io.StringIO(body),
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,
            skipinitialspace=True,
        )
    except (pd.errors.ParserError, csv.Error) as error:
        return Fault(shown_as, "(file)", "a CSV table", str(error).strip(), "check quotes and commas")
    if isinstance(frame.index, pd.MultiIndex) or not isinstance(frame.index, pd.RangeIndex):
        return Fault(
            shown_as,
            "(header)",
            "as many columns as the rows have cells",
            "longer rows",
            "remove the surplus commas",
        )
    frame.columns = [str(name).strip() for name in frame.columns]
    if _ends_within_a_row(body, len(frame.columns)):
        mend = "is the file whole? End its last line, or give all its cells"
        return Fault(
            shown_as, "(file)", "a last line with as many cells as the header", "fewer, and no line end", mend
        )
    lines = np.arange(len(frame), dtype=np.int64) + skipped + 2
    columns = [pa.array(column, from_pandas=True) for _, column in frame.items()]
    if any(cells.null_count for cells in columns):  # short rows
        frame = frame.fillna("")
    filled = _rows_with_a_cell(columns, len(frame))
    if not filled.all():
        frame, lines = frame[filled].reset_index(drop=True), lines[filled]
    return RawTable.of_frame(shown_as, frame, lines)


def _rows_with_a_cell(columns: Iterable[pa.Array], num_rows: int) -> NDArray[np.bool_]:
    """Rows that hold anything; the first column, most often a key, tells it of most tables."""
    filled = np.zeros(num_rows, dtype=np.bool_)
    for cells in columns:
        filled |= pc.fill_null(pc.not_equal(cells, ""), False).to_numpy(zero_copy_only=False)
        if filled.all():
            break
    return filled


def _ends_within_a_row(body: str, num_columns: int) -> bool:
    """Whether a file was cut off: its last line neither ends nor has a cell for every column."""
    if body.endswith(("\n", "\r")):
        return False
    last = body.rsplit("\n", 1)[-1]
    if last.count('"') % 2:  # the end of a quoted cell of several lines
        return False
    cells = next(csv.reader([last]), [])
    return len(cells) < num_columns


def _read_parquet(path: Path, shown_as: str) -> RawTable | Fault:
    try:
        with pq.ParquetFile(path) as file:
            names, num_rows = file.schema_arrow.names, file.metadata.num_rows
    except (OSError, ValueError) as error:
        return Fault(shown_as, "(file)", "a Parquet table", str(error).strip().split("\n")[0])
    kept = tuple(name for name in names if not _INDEX_COLUMN.fullmatch(name))

    def cells(position: int) -> pd.Series | Fault:
        name = kept[position]
        try:
            column: pd.Series = pq.read_table(path, columns=[name]).column(0).to_pandas()
        except (OSError, ValueError, LookupError) as error:
            return Fault(shown_as, name, "a Parquet column", str(error).strip().split("\n")[0])
        return column

    return RawTable(shown_as, kept, np.arange(num_rows, dtype=np.int64) + 1, cells)

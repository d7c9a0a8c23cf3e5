"""Tables of studies: aligned for the terminal, plain for JSON, as CSV files that Excel opens."""

from __future__ import annotations

import math
import os
import tempfile
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from optimize.errors import UsageError


def aligned(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1, words_last: bool = False
) -> list[str]:
    """Rows in columns, the first ``left`` of them aligned left; Chinese characters take two places.

    ``words_last`` : the last column holds words and is aligned left too.
    """
    cells = [list(head), *(list(row) for row in rows)]
    widths = [max(_width(row[k]) for row in cells) for k in range(len(head))]
    lines = []
    for row in cells:
        padded = []
        for k, cell in enumerate(row):
            gap = " " * (widths[k] - _width(cell))
            padded.append(cell + gap if k < left or (words_last and k == len(head) - 1) else gap + cell)
        lines.append("  " + "  ".join(padded).rstrip())
    return lines


def _width(text: str) -> int:
    return (
        len(text)
        if text.isascii()
        else sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)
    )


def plain_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON can hold them: what is missing or not finite is null."""
    return [
        {str(key): _plain(value) for key, value in row.items()} for row in frame.to_dict(orient="records")
    ]


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> list[Path]:
    """Each table as a CSV file in ``folder`` (UTF-8 with BOM); a file of that name is replaced.

    Raises
    ------
    UsageError : the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_write(folder / f"{name}.csv", frame) for name, frame in tables.items()]
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from error


def _write(path: Path, frame: pd.DataFrame) -> Path:
    handle, name = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    os.close(handle)
    place = Path(name)
    try:
        frame.to_csv(place, index=False, encoding="utf-8-sig", lineterminator="\n")
        place.chmod(0o644)
        place.replace(path)
    except BaseException:
        place.unlink(missing_ok=True)
        raise
    return path

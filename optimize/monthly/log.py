"""``log.jsonl``: what a job did, one JSON object a line, appended for years."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

Echo = Callable[[str], None]


class Log:
    """The log of a job; remembers the lines of this run.

    Every line is one write, so that a run that is killed leaves no half one; the torn line that a full
    disk may leave is cut off when the next run begins.

    Parameters
    ----------
    file : to append to.
    now : the clock of the job.
    echo : called with each line for a person, as it is told.
    """

    def __init__(self, file: Path, now: Callable[[], datetime], echo: Echo | None = None) -> None:
        self._now, self._echo = now, echo
        self.period = ""
        self.entries: list[dict[str, Any]] = []
        self._file = file
        _cut_torn_line(file)

    def tell(self, event: str, text: str, **facts: Any) -> None:
        """Append one entry; raises OSError where it cannot be written."""
        now = self._now()
        entry = {
            "at": now.isoformat(timespec="seconds"),
            "period": self.period,
            "event": event,
            "text": text,
            **facts,
        }
        self.entries.append(entry)
        if self._echo is not None:
            self._echo(self.line(entry))
        _append(self._file, _json_line(entry))

    @staticmethod
    def line(entry: dict[str, Any]) -> str:
        """An entry as a person reads it."""
        return f"{entry['at'][:16].replace('T', ' ')}  {entry['text']}"

    def as_text(self) -> str:
        """The lines of this run, to be kept with its period."""
        return "".join(_json_line(entry) for entry in self.entries)


def _json_line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, default=str) + "\n"


def _append(file: Path, text: str) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        data = text.encode()
        if os.write(handle, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
    finally:
        os.close(handle)


def _cut_torn_line(file: Path) -> None:
    if not file.is_file():
        return
    with file.open("r+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        whole = size
        while whole and _byte_before(stream, whole) != b"\n":
            whole -= 1
        if whole != size:
            stream.truncate(whole)


def _byte_before(stream: Any, position: int) -> bytes:
    stream.seek(position - 1)
    found: bytes = stream.read(1)
    return found

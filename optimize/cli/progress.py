"""What a terminal sees while a solve runs, and how it is stopped."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from optimize.programme import Programme
from optimize.report import text
from optimize.result import TracePoint, relative_gap


@contextlib.contextmanager
def stopping_softly(interrupt: threading.Event) -> Iterator[None]:
    """First Ctrl-C or SIGTERM: end with the best plan so far. Second Ctrl-C: end now."""

    def on_signal(number: int, frame: object) -> None:
        if interrupt.is_set():
            raise KeyboardInterrupt
        interrupt.set()
        print("stopping with the best plan so far; again to stop at once", file=sys.stderr)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class ProgressLine:
    """Plan, bound, gap and time on one line, drawn anew several times a second."""

    def __init__(self, title: str, unit: str) -> None:
        self._title = title
        self._unit = unit
        self._began = time.monotonic()
        self._point: TracePoint | None = None

    def __call__(self, point: TracePoint) -> None:
        self._point = point

    def __rich__(self) -> Text:
        parts = [f"{self._title}  solving"]
        if self._point is not None:
            plan, bound = self._point.plan, self._point.bound
            parts += [
                f"{word} {text.amount(value, self._unit)}"
                for word, value in (("plan", plan), ("bound", bound))
                if value is not None
            ]
            gap = relative_gap(plan, bound)
            if gap is not None:
                parts.append(f"gap {text.percent(gap)}")
        parts.append(f"{time.monotonic() - self._began:.0f} s")
        return Text("  ".join(parts))


@contextlib.contextmanager
def live_line(programme: Programme, goal: str, *, quiet: bool) -> Iterator[ProgressLine | None]:
    """Live progress on a terminal; nothing in a pipe."""
    with titled_line(programme.en, programme.goal(goal).unit, quiet=quiet) as line:
        yield line


@contextlib.contextmanager
def titled_line(title: str, unit: str, *, quiet: bool) -> Iterator[ProgressLine | None]:
    """As `live_line`, for what is no single programme."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    line = ProgressLine(title, unit)
    with Live(line, console=console, refresh_per_second=4, transient=True):
        yield line


Told = Callable[[TracePoint], None]
# Lines of a progress file come no faster than this; what comes in between is told by the next one.
_LEAST_S_BETWEEN_LINES = 0.2


class _ProgressLines:
    """Writes each new best plan or bound as a JSON line, the newest at the latest when it is closed."""

    def __init__(self, stream: TextIO, about: dict[str, Any]) -> None:
        self._stream, self._about = stream, about
        self._written_at = 0.0
        self._waiting: TracePoint | None = None
        # engines tell from several threads
        self._lock = threading.Lock()

    def __call__(self, point: TracePoint) -> None:
        with self._lock:
            self._waiting = point
            if time.monotonic() - self._written_at >= _LEAST_S_BETWEEN_LINES:
                self._write()

    def close(self) -> None:
        with self._lock:
            self._write()

    def _write(self) -> None:
        point = self._waiting
        if point is None:
            return
        told = {"seconds": round(point.seconds, 3), "plan": point.plan, "bound": point.bound}
        line = {**self._about, **told, "gap": relative_gap(point.plan, point.bound)}
        print(json.dumps(line), file=self._stream, flush=True)
        self._waiting, self._written_at = None, time.monotonic()


@contextlib.contextmanager
def progress_lines(path: Path | None, **about: Any) -> Iterator[Told | None]:
    """Appends a JSON object per new plan or bound to a file, for programs that watch a solve; None: nowhere.

    Parameters
    ----------
    about : programme, goal and unit, repeated in every line.
    """
    if path is None:
        yield None
        return
    with path.open("a", encoding="utf-8") as stream:
        lines = _ProgressLines(stream, about)
        try:
            yield lines
        finally:
            lines.close()


def told_to(*listeners: Told | None) -> Told | None:
    """One listener for those that are there; None where nobody listens."""
    present = [listener for listener in listeners if listener is not None]
    if not present:
        return None

    def tell(point: TracePoint) -> None:
        for listener in present:
            listener(point)

    return tell

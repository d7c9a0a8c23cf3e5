"""One run of a job at a time, by a lock of the operating system.

The lock belongs to the open file, not to its content: the kernel gives it back when the process ends,
however it ends, so that there is no stale lock to clear away.  What stands in the file only says whose
it was last.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optimize.errors import ExitCode, OptimizeError

_LOCK = ".lock"
# Who asks for the status holds the lock for a moment; that is waited out.
_ATTEMPTS, _PAUSE_S = 5, 0.05


class JobBusy(OptimizeError):
    """Another run of the job is at work."""

    exit_code = ExitCode.BUSY


@contextlib.contextmanager
def held(home: Path) -> Iterator[None]:
    """Hold the job whose periods lie in ``home``; raises JobBusy where another process does."""
    home.mkdir(parents=True, exist_ok=True)
    handle = os.open(home / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _taken(handle):
            raise JobBusy(f"another run of this job is at work{_whose(home)}; this one has changed nothing")
        _sign(handle)
        yield
    finally:
        os.close(handle)  # gives the lock back


def holder(home: Path) -> Mapping[str, Any] | None:
    """Process, machine and start of the run at work; None where there is none."""
    try:
        handle = os.open(home / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # a shared lock is refused while a run holds its own; it stops no run for longer than this question
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return _signature(home)
    finally:
        os.close(handle)
    return None


def _taken(handle: int) -> bool:
    for _ in range(_ATTEMPTS):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            time.sleep(_PAUSE_S)
        else:
            return True
    return False


def _sign(handle: int) -> None:
    whose = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(whose).encode(), 0)


def _signature(home: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((home / _LOCK).read_bytes())
    except (ValueError, OSError):
        return {}  # it is being signed just now
    return found if isinstance(found, dict) else {}


def _whose(home: Path) -> str:
    whose = _signature(home)
    return f" (process {whose['pid']} on {whose['host']} since {whose['since']})" if "since" in whose else ""

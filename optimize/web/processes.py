"""Processes of the product's own commands: started without our secrets, held within memory and time, ended for good."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

# Address space beyond resident memory: libraries map far more than they use.
_MAPPED_MB = 12_288
_NICE = 10
_LOOK_S = 0.05
# Of the server's surroundings a process is told what it needs to run.
_PASSED_ON = (
    "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "NUMBA_CACHE_DIR", "NUMBA_CPU_NAME",
)  # fmt: skip


def start(
    module: Sequence[str], folder: Path, stdout: IO[bytes], stderr: IO[bytes], memory_mb: int
) -> subprocess.Popen[bytes]:
    """Begin ``python -m MODULE ARGUMENT…`` in a folder, as the leader of a session of its own.

    Pages come before it; its address space is bounded, its resident memory is for the caller to watch.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", *module],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env=_surroundings(),
        start_new_session=True,
    )
    mapped = (memory_mb + _MAPPED_MB) * 1_000_000
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(process.pid, resource.RLIMIT_AS, (mapped, mapped))
        resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
    return process


@dataclass(frozen=True)
class Ended:
    """How a short process ended; ``limit`` says which one stopped it ("" : none, "memory", "time")."""

    code: int
    stdout: str
    stderr: str
    limit: str = ""


def run_confined(module: Sequence[str], folder: Path, seconds: float, memory_mb: int) -> Ended:
    """Run a short process to its end, or to the limits."""
    limit = ""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = start(module, folder, stdout, stderr, memory_mb)
        deadline = time.monotonic() + seconds
        try:
            while process.poll() is None:
                if time.monotonic() > deadline:
                    limit = "time"
                elif resident_bytes(process.pid) > memory_mb * 1e6:
                    limit = "memory"
                if limit:
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_S)
        finally:
            if process.poll() is None:
                kill(process.pid)
            process.wait()
        return Ended(process.returncode, _text(stdout), _text(stderr), limit)


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", errors="replace")


def _surroundings() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}


def began(pid: int) -> float:
    """When a process began, s since 1970; 0 where there is none."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def resident_bytes(pid: int) -> float:
    """Resident memory of a process and those it started."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0.0
    total = 0.0
    for member in family:
        with contextlib.suppress(psutil.Error):
            total += member.memory_info().rss
    return total


def kill(pid: int) -> None:
    """End a process and the session it leads."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)

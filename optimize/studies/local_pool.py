"""Worker processes on this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any, Self

from optimize.studies.batch_case import name_folder

_LOOK_S = 1.0


class LocalPool:
    """``jobs`` processes that know one instance folder; a pool broken by a lost process is replaced."""

    def __init__(self, jobs: int, name: str, folder: Path) -> None:
        self._jobs, self._name, self._folder = jobs, name, folder
        self._executor = self._started()

    @property
    def width(self) -> int:
        return self._jobs

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        try:
            return self._executor.submit(function, *arguments)
        except BrokenExecutor:  # a process was lost, and with it the others of its pool
            self._executor.shutdown(wait=False)
            self._executor = self._started()
            return self._executor.submit(function, *arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        # spawned, not forked: solvers and progress bars have threads
        return ProcessPoolExecutor(
            self._jobs,
            multiprocessing.get_context("spawn"),
            _begin,
            (self._name, self._folder.resolve(), os.getpid()),
        )


def _begin(name: str, folder: Path, parent: int) -> None:
    """First thing in a worker: Ctrl-C is the coordinator's, and nobody outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    name_folder(name, folder)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)

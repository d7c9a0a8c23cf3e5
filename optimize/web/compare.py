"""Runs of the workspace side by side."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from optimize.errors import UsageError
from optimize.registry import PROGRAMMES
from optimize.studies.compare import Comparison, compare_runs
from optimize.studies.compare_sides import read_sides
from optimize.web.jobs import Job
from optimize.web.workspace import Workspace

MOST_RUNS = 6


def compared(space: Workspace, runs: Sequence[Job]) -> Comparison:
    """Two to six runs of the same programmes.

    Raises
    ------
    UsageError : they cannot be compared.
    """
    if not 2 <= len(runs) <= MOST_RUNS:
        raise UsageError(f"choose two to {MOST_RUNS} runs")
    if len({run.id for run in runs}) < len(runs):
        raise UsageError("choose each run once")
    folders = [space.run_folder(run) for run in runs]
    return _compared(tuple(folder for folder in folders if folder is not None))


@functools.lru_cache(maxsize=32)  # runs never change
def _compared(folders: tuple[Path, ...]) -> Comparison:
    return compare_runs(read_sides([folder.as_posix() for folder in folders], PROGRAMMES))

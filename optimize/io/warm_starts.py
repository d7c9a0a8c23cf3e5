"""Warm starts in the folders of runs: ``projects.csv`` and ``multipliers.csv``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from optimize.io.run_store import read_text_table
from optimize.warm_start import WarmStart

PROJECTS, MULTIPLIERS = "projects.csv", "multipliers.csv"


def read_warm_start(folder: Path) -> WarmStart | None:
    """Projects and multipliers of a run; None where its plan has no such table of projects."""
    projects, multipliers = folder / PROJECTS, folder / MULTIPLIERS
    if not projects.is_file():
        return None
    if not multipliers.is_file():
        return warm_start_of(read_text_table(projects), pd.DataFrame({"row": [], "multiplier": []}))
    return warm_start_of(read_text_table(projects), read_text_table(multipliers))


def warm_start_of(projects: pd.DataFrame, multipliers: pd.DataFrame) -> WarmStart:
    """From tables of text cells."""
    return WarmStart(projects, multipliers.assign(multiplier=multipliers["multiplier"].astype(np.float64)))

"""Which stored runs are joint plans; apart from `verify`, which loads every programme's arrays."""

from __future__ import annotations

from pathlib import Path

from optimize.io.run_store import read_summary
from optimize.names import CITY


def is_city_run(run: Path) -> bool:
    """Whether a run folder holds a joint plan; raises UsageError where it is no run."""
    return bool(read_summary(run).get("programme") == CITY)

"""Which runs of a store stay, by policy; the others are removed one by one, each in one step."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from optimize.errors import UsageError
from optimize.io.run_store import read_manifest
from optimize.studies.store_index import RunQuery, query_runs

_DAY_S = 86_400.0
_REMOVING = ".removing-"
_LEFTOVERS = (".writing-", _REMOVING)
# What is being written is younger than this.
_LEFTOVER_DAYS = 1.0


@dataclass(frozen=True)
class Policy:
    """What stays.

    Attributes
    ----------
    newest : so many runs of each programme, instance and scenario.
    days : all runs begun within these.
    named : run folders that stay whatever their age.
    """

    newest: int = 3
    days: float = 90.0
    named: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Sweep:
    """What a policy removes.

    Attributes
    ----------
    gone : runs, as paths within the store, the oldest first.
    leftovers : what killed processes left, older than a day.
    kept : how many runs stay.
    bytes : what is freed.
    """

    gone: tuple[str, ...]
    leftovers: tuple[Path, ...]
    kept: int
    bytes: int


def plan_sweep(store: Path, policy: Policy, now: float | None = None) -> Sweep:
    """What ``policy`` would remove; nothing is removed.

    Parameters
    ----------
    now : seconds since the epoch; None: this moment.

    Raises
    ------
    UsageError : there is no such store, or a run that is named is not in it.
    """
    now = time.time() if now is None else now
    index = query_runs(store, RunQuery()).frame  # the newest first
    rank = index.groupby(["programme", "instance", "scenario"], sort=False).cumcount()
    started = pd.to_datetime(index["started"], utc=True)
    young = (pd.Timestamp(now, unit="s", tz="UTC") - started).dt.total_seconds() <= policy.days * _DAY_S
    named = index["run"].isin(_named_in(store, policy.named))
    stays = set(index.loc[(rank < policy.newest) | young | named, "run"])
    stays |= _started_from(store, stays)
    gone = [run for run in index["run"][::-1] if run not in stays]
    leftovers = tuple(
        path for path in _leftovers(store) if now - path.stat().st_mtime > _LEFTOVER_DAYS * _DAY_S
    )
    size = sum(_size(store / run) for run in gone) + sum(_size(path) for path in leftovers)
    return Sweep(tuple(gone), leftovers, len(index) - len(gone), size)


def sweep_store(store: Path, sweep: Sweep) -> None:
    """Remove what was planned: each run is out of sight in one step before it is deleted."""
    for run in sweep.gone:
        folder = store / run
        aside = folder.with_name(f"{_REMOVING}{folder.name}")
        if aside.exists():
            shutil.rmtree(aside)
        folder.rename(aside)
        shutil.rmtree(aside)
    for path in sweep.leftovers:
        if path.exists():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for home in {(store / run).parent for run in sweep.gone}:
        if not any(home.iterdir()):
            home.rmdir()


def _named_in(store: Path, named: Sequence[Path]) -> list[str]:
    found = []
    for path in named:
        try:
            found.append(path.resolve().relative_to(store.resolve()).as_posix())
        except ValueError as error:
            raise UsageError(f"{path} is not in {store}") from error
        if not path.is_dir():
            raise UsageError(f"{path} is not there")
    return found


def _started_from(store: Path, runs: set[str]) -> set[str]:
    """Runs that others were started from, which cannot be made again without them."""
    found: set[str] = set()
    waiting = list(runs)
    while waiting:
        run = waiting.pop()
        place = read_manifest(store / run).get("start")
        if place is None:
            continue
        path = Path(os.path.normpath(store / run / str(place)))
        start = path.relative_to(store).as_posix() if path.is_relative_to(store) else ""
        if start and start not in found and (store / start).is_dir():
            found.add(start)
            waiting.append(start)
    return found


def _leftovers(store: Path) -> list[Path]:
    return sorted(path for path in store.glob("*/*/.*") if path.name.startswith(_LEFTOVERS))


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())

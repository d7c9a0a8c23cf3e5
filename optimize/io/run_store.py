"""Runs on disk: ``results/<programme>/<fingerprint>/<run>/``, written at once, never changed.

A run holds the plan's tables (CSV, UTF-8 with BOM so that Excel shows Chinese), ``summary.json``
(what a person or program asks first) and ``manifest.json`` (what is needed to do it again).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from optimize.errors import UsageError

SUMMARY = "summary.json"
MANIFEST = "manifest.json"


def save_run(
    store: Path,
    programme: str,
    fingerprint: str,
    tables: Mapping[str, pd.DataFrame],
    summary: Mapping[str, Any],
    manifest: Mapping[str, Any],
) -> Path:
    """Write a run under the next free number and return its folder."""
    home = store / programme / fingerprint
    home.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=".writing-", dir=home))
    try:
        for name, frame in tables.items():
            _write_csv(frame, place / f"{name}.csv")
        _write_json(summary, place / SUMMARY)
        _write_json(manifest, place / MANIFEST)
        place.chmod(0o755)
        return _publish(place, home)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def read_summary(run: Path) -> dict[str, Any]:
    """``summary.json`` of a run folder.

    Raises
    ------
    UsageError : the folder is not a run.
    """
    path = run / SUMMARY
    if not path.is_file():
        raise UsageError(f"{run} is not a run: it holds no {SUMMARY}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UsageError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} is damaged: not an object")
    return content


def _publish(place: Path, home: Path) -> Path:
    number = 1 + max((int(p.name) for p in home.iterdir() if p.name.isdigit()), default=0)
    while True:
        run = home / f"{number:04d}"
        try:
            # rename onto an existing non-empty folder fails, so two processes cannot share a number
            place.rename(run)
        except OSError:
            if not run.exists():
                raise
            number += 1
            continue
        return run


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    shown = frame.copy()
    for name in shown.columns:
        if shown[name].dtype == bool:
            shown[name] = shown[name].map({True: "true", False: "false"})
    shown.to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\n", float_format="%.10g")


def _write_json(content: Mapping[str, Any], path: Path) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")

"""Runs on disk: ``results/<programme>/<fingerprint>/<run>/``, written at once, never changed.

A run holds the plan's tables (CSV, UTF-8 with BOM so that Excel shows Chinese), ``summary.json``
(what a person or program asks first) and ``manifest.json`` (what is needed to do it again).  The
manifest holds the SHA-256 of every other file and, as its ``seal``, of its own other content.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from optimize.errors import UsageError
from optimize.io.fingerprint import Content

SUMMARY = "summary.json"
MANIFEST = "manifest.json"
NETWORK_MULTIPLIERS = "network_multipliers.npz"
"""Multipliers that prove the bound of a network, in numpy's format."""
HYDRAULICS = "hydraulics.json"
"""Of a plan that `optimize hydraulics` repaired: its simulation, and the pumping stations its tables do not know."""


def save_run(
    store: Path,
    programme: str,
    fingerprint: str,
    tables: Mapping[str, pd.DataFrame],
    summary: Mapping[str, Any],
    manifest: Mapping[str, Any],
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> Path:
    """Write a run under the next free number and return its folder.

    Floats are written with as many digits as give back the same number.

    Parameters
    ----------
    files : further ones by name, which are sealed with the rest.
    """
    home = store / programme / fingerprint
    home.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=".writing-", dir=home))
    try:
        for name, frame in tables.items():
            _write_csv(frame, place / f"{name}.csv")
        for name, content in files.items():
            (place / name).write_bytes(content)
        _write_json(summary, place / SUMMARY)
        digests = {path.name: file_digest(path) for path in sorted(place.iterdir())}
        sealed = dict(manifest) | {"files": digests}
        _write_json(sealed | {"seal": seal_of(sealed)}, place / MANIFEST)
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
    return _read_json(run, SUMMARY)


def read_manifest(run: Path) -> dict[str, Any]:
    """``manifest.json`` of a run folder; raises like `read_summary`."""
    return _read_json(run, MANIFEST)


def read_text_table(path: Path) -> pd.DataFrame:
    """Text cells of a table of a run; an empty cell is an empty text."""
    return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")


def text_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """A table as `read_text_table` gives it once it has been stored."""
    return pd.read_csv(io.StringIO(_csv_of(frame)), dtype=str, keep_default_na=False)


def table_digest(frame: pd.DataFrame) -> str:
    """SHA-256 of the file that a table is stored as."""
    return hashlib.sha256(_csv_of(frame).encode("utf-8-sig")).hexdigest()


def folders_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Runs below a folder, and sealed folders that are no runs (published periods); hidden ones are left out."""
    runs, sealed = [], []
    for found, names, files in os.walk(folder):  # follows no links
        place = Path(found)
        names[:] = sorted(name for name in names if not name.startswith("."))
        if SUMMARY in files:
            runs.append(place)
            names.clear()
        elif MANIFEST in files:
            sealed.append(place)
    return runs, sealed


def altered_files(run: Path, manifest: Mapping[str, Any]) -> list[str]:
    """What is not as it was written, in words; empty when nothing was touched."""
    digests = manifest.get("files")
    if not isinstance(digests, Mapping):
        return [f"{MANIFEST} holds no hashes of the files"]
    found = []
    content = {key: value for key, value in manifest.items() if key != "seal"}
    if manifest.get("seal") != seal_of(content):
        found.append(f"{MANIFEST} was changed: it does not match its seal")
    for name, digest in digests.items():
        path = run / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif file_digest(path) != digest:
            found.append(f"{name} was changed: its SHA-256 is not the one in {MANIFEST}")
    return found


def file_digest(content: Content) -> str:
    """SHA-256 of a file, or of what a file would hold."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def seal_of(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest's content, whatever the order of its keys."""
    text = json.dumps(manifest, ensure_ascii=False, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _read_json(run: Path, name: str) -> dict[str, Any]:
    path = run / name
    if not path.is_file():
        raise UsageError(f"{run} is not a run: it holds no {name}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
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
    path.write_bytes(_csv_of(frame).encode("utf-8-sig"))


def _csv_of(frame: pd.DataFrame) -> str:
    shown = frame.copy()
    for name in shown.columns:
        if shown[name].dtype == bool:
            shown[name] = shown[name].map({True: "true", False: "false"})
    text: str = shown.to_csv(index=False, lineterminator="\n")
    return text


def _write_json(content: Mapping[str, Any], path: Path) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")

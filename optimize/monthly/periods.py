"""The published periods of a job, and which of them holds the plan in force.

``<home>/2026-12/`` is one period; planned again by force it is ``2026-12-r2``, beside the first.  A
period is written elsewhere in the same file system, flushed to the disk, and becomes a period by one
rename; it is never changed afterwards.  Its manifest holds the SHA-256 of every other file in it, and a
seal.  ``current`` points to the newest; it is convenience, not truth: whoever needs the plan in force
looks at the periods, so that a damaged pointer loses nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import total_ordering
from pathlib import Path
from typing import Any

from optimize.errors import UsageError
from optimize.io.run_store import MANIFEST, altered_files, file_digest, read_manifest, seal_of

CURRENT = "current"
STAGING = ".staging-"
REMOVING = ".removing-"
_NAME = re.compile(r"(\d{4}-(?:0[1-9]|1[0-2]))(?:-r([2-9]|[1-9]\d+))?")
_MONTHS = 12


@total_ordering
@dataclass(frozen=True)
class Name:
    """Month of a period and how often it was planned."""

    month: str
    edition: int = 1

    @classmethod
    def read(cls, text: str) -> Name | None:
        """None where ``text`` is no period's name."""
        match = _NAME.fullmatch(text)
        return None if match is None else cls(match[1], int(match[2] or 1))

    def next_edition(self) -> Name:
        return Name(self.month, self.edition + 1)

    def __str__(self) -> str:
        return self.month if self.edition == 1 else f"{self.month}-r{self.edition}"

    def __lt__(self, other: Name) -> bool:
        return (self.month, self.edition) < (other.month, other.edition)


@dataclass(frozen=True)
class Period:
    """A published period that is as it was written."""

    name: Name
    folder: Path
    manifest: Mapping[str, Any]

    @property
    def runs(self) -> dict[str, Path]:
        """Run folder by programme (``city``: the joint plan)."""
        return {name: self.folder / place for name, place in self.manifest["runs"].items()}


def parse_month(text: str) -> str:
    """``text`` if it is a month; raises UsageError where it is none."""
    name = Name.read(text)
    if name is None or name.edition != 1:
        raise UsageError(f"--period {text}: write a month as YYYY-MM")
    return text


def months_between(first: str, second: str) -> int:
    """Months from ``first`` to ``second``, negative where that is earlier."""
    years = int(second[:4]) - int(first[:4])
    return years * _MONTHS + int(second[5:]) - int(first[5:])


def names_in(home: Path) -> list[Name]:
    """Periods that are there, damaged ones too, the earliest first."""
    if not home.is_dir():
        return []
    found = (Name.read(path.name) for path in home.iterdir() if path.is_dir() and not path.is_symlink())
    return sorted(name for name in found if name is not None)


def open_period(home: Path, name: Name) -> tuple[Period | None, list[str]]:
    """A period, or what is not as it was written."""
    folder = home / str(name)
    try:
        manifest = read_manifest(folder)
    except UsageError as error:
        return None, [str(error)]
    faults = altered_files(folder, manifest)
    if not isinstance(manifest.get("runs"), Mapping):
        faults.append(f"{MANIFEST} names no runs")
    return (None, faults) if faults else (Period(name, folder, manifest), [])


def last_good(home: Path, before: str | None = None) -> tuple[Period | None, dict[Name, list[str]]]:
    """The newest period that is as it was written, and the damaged ones that are newer.

    Parameters
    ----------
    before : only periods of earlier months.
    """
    damaged: dict[Name, list[str]] = {}
    for name in reversed(names_in(home)):
        if before is not None and name.month >= before:
            continue
        period, faults = open_period(home, name)
        if period is not None:
            return period, damaged
        damaged[name] = faults
    return None, damaged


# --- publishing -----------------------------------------------------------------------------------


@contextlib.contextmanager
def staging(home: Path) -> Iterator[Path]:
    """A folder beside the periods, gone at the end unless it was published."""
    place = Path(tempfile.mkdtemp(prefix=STAGING, dir=home))
    try:
        yield place
    finally:
        if place.exists():
            shutil.rmtree(place)


def sweep(home: Path) -> list[str]:
    """Remove what killed runs left; only for who holds the job's lock."""
    left = [path for path in home.iterdir() if path.name.startswith((STAGING, REMOVING, f".{CURRENT}-"))]
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return [path.name for path in left]


def publish(place: Path, home: Path, name: Name, content: Mapping[str, Any]) -> Period:
    """Seal the staged folder and make it a period by one rename.

    Parameters
    ----------
    content : of the manifest; hashes and seal are added.

    Raises
    ------
    UsageError : there is such a period already.
    """
    folder = home / str(name)
    if folder.exists():
        raise UsageError(f"{folder} is there already; a period is never written over")
    manifest = seal_folder(place, content)
    place.chmod(0o755)
    flush_tree(place)
    place.rename(folder)
    flush_folder(home)
    return Period(name, folder, manifest)


def seal_folder(place: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest of a folder: ``content``, the hash of every file below it, and the seal."""
    files = sorted(path for path in place.rglob("*") if path.is_file() and path != place / MANIFEST)
    manifest: dict[str, Any] = {
        **content, "files": {path.relative_to(place).as_posix(): file_digest(path) for path in files}
    }  # fmt: skip
    manifest["seal"] = seal_of(manifest)
    text = json.dumps(manifest, ensure_ascii=False, indent=2, allow_nan=False)
    (place / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def flush_tree(place: Path) -> None:
    """Have the disk hold every file and folder below ``place``."""
    for folder, _, files in os.walk(place):
        for name in files:
            _flush(Path(folder) / name, os.O_RDONLY)
        flush_folder(Path(folder))


def flush_folder(folder: Path) -> None:
    _flush(folder, os.O_RDONLY | os.O_DIRECTORY)


def _flush(path: Path, flags: int) -> None:
    handle = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- the pointer ----------------------------------------------------------------------------------


def read_current(home: Path) -> Name | None:
    """What ``current`` points to; None where it points to no period."""
    pointer = home / CURRENT
    try:
        text = (
            str(pointer.readlink()) if pointer.is_symlink() else pointer.read_text(encoding="utf-8").strip()
        )
    except (OSError, UnicodeDecodeError):
        return None
    name = Name.read(text.rstrip("/"))
    return name if name is not None and (home / str(name)).is_dir() else None


def point_current(home: Path, name: Name) -> None:
    """Let ``current`` point to a period, in one step."""
    holder = Path(tempfile.mkdtemp(prefix=f".{CURRENT}-", dir=home))
    try:
        fresh = holder / CURRENT
        try:
            fresh.symlink_to(str(name), target_is_directory=True)
        except (OSError, NotImplementedError):  # a file system without links
            fresh.write_text(f"{name}\n", encoding="utf-8")
            _flush(fresh, os.O_RDONLY)
        _make_way(home / CURRENT)
        fresh.replace(home / CURRENT)
        flush_folder(home)
    finally:
        shutil.rmtree(holder)


def _make_way(pointer: Path) -> None:
    """A folder in the pointer's place (a copy tool follows links) is kept under another name."""
    if not pointer.is_dir() or pointer.is_symlink():
        return
    number = 1
    while (aside := pointer.with_name(f"{CURRENT}.displaced-{number}")).exists():
        number += 1
    pointer.rename(aside)

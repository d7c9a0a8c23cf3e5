"""Files of runs to be taken away, made by the product's own commands and kept: runs never change."""

from __future__ import annotations

import functools
import hashlib
import shutil
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from optimize.errors import UsageError
from optimize.names import CITY, PROGRAMME_NAMES
from optimize.web.instances import Record
from optimize.web.jobs import STDOUT, Job, State
from optimize.web.processes import run_confined
from optimize.web.workspace import Workspace

_REPORT = "report.html"
_SECONDS, _MEMORY_MB = 180.0, 4096
_LAST_LINES = 3


@dataclass(frozen=True)
class Download:
    """A file that a command makes: its arguments for runs, language and target."""

    media_type: str
    by_language: bool
    command: Callable[[Sequence[str], str, str], list[str]]


DOWNLOADS: Mapping[str, Download] = {
    "plan.xlsx": Download(
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        True,
        lambda runs, language, out: ["workbook", *runs, "--lang", language, "--out", out],
    ),
    _REPORT: Download(
        "text/html", True, lambda runs, language, out: ["report", *runs, "--lang", language, "--out", out]
    ),
    "plan.geojson": Download(
        "application/geo+json", False, lambda runs, language, out: ["export", *runs, "--geojson", out]
    ),
    "plan.gpkg": Download(
        "application/geopackage+sqlite3", False, lambda runs, language, out: ["export", *runs, "--gpkg", out]
    ),
}

_LOCKS: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)


def download(space: Workspace, runs: Sequence[Job], file: str, language: str) -> Path:
    """The file of one run or several, made where it is not there yet.

    Raises
    ------
    UsageError : the command cannot make it.
    """
    kind = DOWNLOADS[file]
    # a report tells what was explained of its runs by the time it is made
    told = [job.id for run in runs for job in space.explanations(run) if job.state is State.DONE]
    more = told if file == _REPORT else []
    names = "+".join([*(run.id for run in runs), *sorted(more)])
    short = names if names == runs[0].id else f"{runs[0].id}-{hashlib.sha256(names.encode()).hexdigest()[:6]}"
    folder = space.jobs_folder / runs[0].id / "files"
    stem, dot, ending = file.partition(".")
    target = folder / f"{stem}-{short}{f'-{language}' if kind.by_language else ''}{dot}{ending}"
    with _LOCKS[target]:
        if not target.is_file():
            folder.mkdir(exist_ok=True)
            command = functools.partial(kind.command, [str(space.run_folder(run)) for run in runs], language)
            records = [f"--with={space.jobs_folder / name / STDOUT}" for name in more]
            _make(target, lambda out: [*command(out), *records])
    return target


def template(space: Workspace, programme: str, language: str) -> Path:
    """A workbook to be filled in, with an example in it.

    Raises
    ------
    UsageError : there is no such programme.
    """
    if programme not in (*PROGRAMME_NAMES, CITY):
        raise UsageError(f"there is no template of {programme}")
    target = space.folder / "templates" / f"{programme}-{language}.xlsx"
    with _LOCKS[target]:
        if not target.is_file():
            target.parent.mkdir(exist_ok=True)
            _make(target, lambda out: ["template", programme, out, "--lang", language])
    return target


def instance_workbook(space: Workspace, record: Record, language: str) -> Path:
    """An instance as it is now, as a workbook; kept until it is changed."""
    folder = space.instances.folder_of(record)
    stamp = "".join(c for c in record.changed if c.isdigit())
    target = folder.parent / "files" / f"instance-{record.id}-{stamp}-{language}.xlsx"
    with _LOCKS[target]:
        if not target.is_file():
            shutil.rmtree(target.parent, ignore_errors=True)
            target.parent.mkdir()
            _make(target, lambda out: ["convert", str(folder), out, "--lang", language])
    return target


def _make(target: Path, command: Callable[[str], list[str]]) -> None:
    with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as place:
        made = Path(place).resolve() / target.name
        ended = run_confined(["optimize", *command(str(made))], Path(place), _SECONDS, _MEMORY_MB)
        if ended.limit or ended.code != 0 or not made.is_file():
            print(ended.stderr, file=sys.stderr, flush=True)
            words = " ".join(ended.stderr.strip().splitlines()[-_LAST_LINES:])
            raise UsageError(
                f"{target.name} could not be made: {ended.limit or words or 'nothing was written'}"
            )
        made.replace(target)

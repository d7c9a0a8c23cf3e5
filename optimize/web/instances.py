"""Instances of a workspace: one folder each, with what is known about it.  No name of a user's becomes a path."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optimize.errors import Fault, UsageError
from optimize.web.processes import run_confined
from optimize.web.queue import new_id

FOLDER = "instance"
# Where the cells of a workbook came from (`optimize.web.intake`).
ORIGIN = "origin.json"
_RECORD = "record.json"
_ID = re.compile(r"[0-9a-f]{12}")
# An upload that takes longer or more than this is refused.
_CHECK_S, _CHECK_MB = 120.0, 2048
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Record:
    """What is known about an instance.

    Attributes
    ----------
    source : name of the uploaded file or example, as the user's machine calls it: shown, never opened.
    found : the last `optimize.web.intake.Intake`, as plain data.
    """

    id: str
    owner: str
    source: str
    created: str
    changed: str
    found: Mapping[str, Any]

    @property
    def is_valid(self) -> bool:
        return str(self.found["status"]) == "valid"

    @property
    def programmes(self) -> list[str]:
        return [part["name"] for part in self.found["programmes"]]


class Instances:
    """The instances below one folder."""

    def __init__(self, folder: Path, incoming: Path) -> None:
        self._folder, self._incoming = folder, incoming
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(incoming, ignore_errors=True)  # what an earlier server did not finish receiving
        incoming.mkdir(parents=True)
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)

    def listed(self) -> list[Record]:
        """The newest first."""
        found = [self.get(path.name) for path in self._folder.iterdir()]
        return sorted(
            (record for record in found if record is not None), key=lambda r: r.created, reverse=True
        )

    def get(self, name: str) -> Record | None:
        """None where there is none."""
        path = self._folder / name / _RECORD
        if not _ID.fullmatch(name) or not path.is_file():
            return None
        return Record(**json.loads(path.read_text(encoding="utf-8")))

    def folder_of(self, record: Record) -> Path:
        """Where its tables lie."""
        return self._folder / record.id / FOLDER

    @contextmanager
    def being_received(self) -> Iterator[Path]:
        """A folder for an upload and what is made of it; nothing of it outlives the block."""
        place = Path(tempfile.mkdtemp(dir=self._incoming))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def receive(self, upload: Path, source: str, owner: str) -> Record:
        """Keep an uploaded file (in a folder of `being_received`) as an instance.

        Raises
        ------
        UsageError : it is refused; nothing is kept.
        """
        folder = upload.parent / FOLDER
        found = _intake(upload.parent, "receive", upload.name, FOLDER)
        if found["status"] == "refused":
            raise UsageError(found["error"].replace(upload.name, source))
        return self._keep(folder, source, owner, found)

    def adopt(self, folder: Path, source: str, owner: str) -> Record:
        """Keep a copy of an instance folder that is ours to read (an example, or one named at the start)."""
        with self.being_received() as place:
            shutil.copytree(folder, place / FOLDER)
            found = _intake(place, "check", FOLDER)
            if found["status"] == "refused":
                raise UsageError(found["error"])
            return self._keep(place / FOLDER, source, owner, found)

    def _keep(self, folder: Path, source: str, owner: str, found: Mapping[str, Any]) -> Record:
        now = _now()
        record = Record(new_id(), owner, source[:_LONGEST_NAME], now, now, found)
        home = folder.parent / record.id
        home.mkdir()
        folder.rename(home / FOLDER)
        origin = folder.parent / ORIGIN
        if origin.is_file():
            origin.rename(home / ORIGIN)
        _write(home / _RECORD, record)
        home.rename(self._folder / record.id)
        return record

    @contextmanager
    def being_changed(self, record: Record) -> Iterator[Path]:
        """The instance's folder, for one change at a time."""
        with self._locks[record.id]:
            if self.get(record.id) is None:
                raise UsageError("this instance has been deleted meanwhile")
            yield self.folder_of(record)

    def check(self, record: Record) -> Record:
        """Validate an instance again after a change, and keep what was found."""
        with self._locks[record.id]:
            found = _intake(self._folder / record.id, "check", FOLDER)
            if found["status"] == "refused":
                raise UsageError(found["error"])
            changed = replace(record, changed=_now(), found=found)
            _write(self._folder / record.id / _RECORD, changed)
            return changed

    def scenario_faults(self, record: Record, text: str, file: str) -> list[Fault]:
        """What is wrong with a file of scenarios that is to be an instance's.

        Raises
        ------
        UsageError : it is no such file at all.
        """
        with self.being_received() as place:
            (place / file).write_text(text, encoding="utf-8")
            found = _intake(place, "scenarios", str(self.folder_of(record)), file)
        if found["status"] == "refused":
            raise UsageError(found["error"])
        return [
            Fault(f["table"], f["column"], f["expected"], f["found"], f["mend"], line=f["row"])
            for f in found["faults"]
        ]

    def delete(self, record: Record) -> None:
        """Remove an instance; its runs keep the tables they were made from."""
        with self._locks[record.id], self.being_received() as place:
            (self._folder / record.id).rename(place / record.id)

    def snapshot(self, record: Record, target: Path) -> None:
        """The instance as it is now, without copying: changes write files anew and leave these as they are."""
        with self._locks[record.id]:
            shutil.copytree(self.folder_of(record), target, copy_function=os.link)


def _intake(folder: Path, *arguments: str) -> dict[str, Any]:
    """What `optimize.web.intake` says, in a process of its own; its failures are refusals."""
    ended = run_confined(["optimize.web.intake", *arguments], folder, _CHECK_S, _CHECK_MB)
    if ended.limit:
        what = f"{_CHECK_S:.0f} s" if ended.limit == "time" else f"{_CHECK_MB} MB of memory"
        return {"status": "refused", "error": f"it is not read: that would take more than {what}"}
    if ended.code != 0:
        print(
            ended.stderr, file=sys.stderr, flush=True
        )  # a bug: whoever looks after the server sees it whole
        return {"status": "refused", "error": "it cannot be read; the server's log says why"}
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def _write(path: Path, record: Record) -> None:
    written = path.with_name(f".{path.name}")
    written.write_text(json.dumps(asdict(record), ensure_ascii=False), encoding="utf-8")
    written.replace(path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

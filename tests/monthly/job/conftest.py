"""Jobs on a tiny instance, and real processes that run them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from optimize.cli import main
from optimize.monthly.failures import list_failures, read_failure
from optimize.monthly.job import read_job
from optimize.monthly.periods import last_good, names_in, open_period, read_current

_ZYGOTE = Path(__file__).with_name("zygote.py")
_LEFT_OUT = (
    "heat_sinks", "sink_months", "hosts", "host_capacity", "offers", "offer_payments", "trades", "measure_trades",
    "locks",
)  # fmt: skip
# What may lie beside the periods once a run has ended by itself.
_BESIDE = {".lock", "log.jsonl", "current", "checkpoints", "failures"}


@dataclass
class Process:
    """A run of the command line; ``wait`` gives its exit code (negative: killed) and what it printed."""

    zygote: Zygote
    pid: int
    out: Path

    def wait(self) -> tuple[int, str]:
        code = self.zygote.ask({"wait": self.pid})["code"]
        return code, self.out.read_text(encoding="utf-8")


class Zygote:
    """Starts processes that have everything loaded."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._number = folder, 0
        self._process = subprocess.Popen(
            [sys.executable, str(_ZYGOTE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        assert self._answer() == {"ready": True}

    def start(self, *words: object, now: str | None = None, largest_file: int | None = None) -> Process:
        self._number += 1
        out = self._folder / f"{self._number}.txt"
        request = {
            "call": [str(word) for word in words],
            "cwd": str(self._folder),
            "out": str(out),
            "now": now,
            "largest_file": largest_file,
        }
        return Process(self, self.ask(request)["pid"], out)

    def run(self, *words: object, **how: Any) -> tuple[int, str]:
        return self.start(*words, **how).wait()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the zygote has ended"
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    found = Zygote(tmp_path_factory.mktemp("runs"))
    yield found
    found.close()


@dataclass
class Place:
    """A job in a folder of its own, with its instance beside it."""

    folder: Path
    zygote: Zygote

    @property
    def instance(self) -> Path:
        return self.folder / "town"

    @property
    def file(self) -> Path:
        return self.folder / "job.toml"

    @property
    def home(self) -> Path:
        return read_job(self.file).home

    @property
    def failures(self) -> list[dict[str, Any]]:
        return [dict(read_failure(record)) for record in list_failures(self.home)]

    @property
    def log(self) -> list[dict[str, Any]]:
        """All entries; a half line would not be one."""
        file = self.home / "log.jsonl"
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]

    def events(self) -> list[str]:
        return [entry["event"] for entry in self.log]

    def say(self, text: str = "") -> None:
        """What the job's file says beside the instance."""
        self.file.write_text(
            f'[job]\nname = "town"\n[instance]\nfolder = "town"\n[revise]\nprice = false\n{text}',
            encoding="utf-8",
        )

    def copy_of(self, folder: Path) -> Place:
        """This place with all that lies in another."""
        shutil.copytree(folder, self.folder, symlinks=True, dirs_exist_ok=True)
        return self

    def start(self, month: str, *words: object, **how: Any) -> Process:
        """Begin a run on the first of a month."""
        return self.zygote.start("monthly", self.file, *words, now=f"{month}-01T02:00:00+08:00", **how)

    def run(self, month: str, *words: object, **how: Any) -> tuple[int, str]:
        return self.start(month, *words, **how).wait()

    def status(self, month: str) -> tuple[int, dict[str, Any]]:
        now = f"{month}-01T12:00:00+08:00"
        code, out = self.zygote.run("status", self.file, "--json", now=now)
        return code, json.loads(out)

    def seals(self) -> dict[str, bytes]:
        """The manifest of every period there is; none of which is damaged."""
        found = {}
        for name in names_in(self.home):
            period, faults = open_period(self.home, name)
            assert period is not None, faults
            found[str(name)] = (period.folder / "manifest.json").read_bytes()
        return found

    def manifests(self) -> dict[str, bytes]:
        """The manifest of every period, read without a look at its files."""
        return {str(n): (self.home / str(n) / "manifest.json").read_bytes() for n in names_in(self.home)}

    def newest(self) -> str:
        period, _ = last_good(self.home)
        return "" if period is None else str(period.name)

    def assert_settled(self, month: str) -> None:
        """A run has ended well: the month is published and pointed to, and nothing half-written lies about."""
        assert self.newest().startswith(month)
        assert str(read_current(self.home)) == self.newest()
        periods = set(self.manifests())
        assert {path.name for path in self.home.iterdir()} <= periods | _BESIDE
        hidden = [p for p in self.home.rglob(".*") if p.name != ".lock"]
        assert not hidden, hidden
        assert self.log

    def wait_for(self, event: str, since: int, limit_s: float = 60.0) -> None:
        """Until the log holds ``event`` after its first ``since`` entries."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if (self.home / "log.jsonl").is_file() and event in self.events()[since:]:
                return
            time.sleep(0.01)
        raise AssertionError(f"no '{event}' within {limit_s} s; the log has {self.events()[since:]}")


@pytest.fixture(scope="session")
def hamlet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example of data centres with the fewest tables it can do with: reading is most of a tiny run."""
    town = tmp_path_factory.mktemp("hamlet") / "town"
    assert main(["template", "datacenter", str(town)]) == 0
    for name in _LEFT_OUT:
        (town / "datacenter" / f"{name}.csv").unlink()
    file = town / "instance.toml"
    clauses = r"(?ms)^\[datacenter\.clauses\.(?!DC-GREEN)[^\]]*\]\n.*?(?=^\[|\Z)"
    file.write_text(re.sub(clauses, "", file.read_text(encoding="utf-8")), encoding="utf-8")
    return town


@pytest.fixture
def place(tmp_path: Path, zygote: Zygote, hamlet: Path) -> Place:
    """A job that has not run yet."""
    found = Place(tmp_path, zygote)
    shutil.copytree(hamlet, found.instance)
    found.say()
    return found


@pytest.fixture(scope="session")
def january(hamlet: Path, zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job with its first period, to be copied."""
    first = Place(tmp_path_factory.mktemp("january"), zygote)
    shutil.copytree(hamlet, first.instance)
    first.say()
    assert first.run("2026-01")[0] == 0
    return first.folder


@pytest.fixture
def begun(january: Path, zygote: Zygote, tmp_path: Path) -> Place:
    """A job whose plan of 2026-01 is in force."""
    return Place(tmp_path, zygote).copy_of(january)

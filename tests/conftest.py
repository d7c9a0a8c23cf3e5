"""Fixtures that run the command line: as its users do, as a process, or without the seconds that one takes to start."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optimize.cli import main

ROOT = Path(__file__).resolve().parents[1]

# Groups and files of tests that take longest: begun first, so that no worker is left alone with one at the end.
DEAREST = (
    "served",
    "random PV instances",
    "drill",
    "tests/published/test_water_cases.py",
    "tests/test_cli.py",
    "stored runs",
    "tests/datacenter/test_engines.py",
    "tests/verification/test_run.py",
    "tests/water/test_behaviour.py",
    "tests/studies/test_fronts.py",
    "tests/pv_siting/test_engines.py",
    "tests/city/test_revision.py",
    "publish",
    "tests/monthly/test_twelve_months.py",
    "tests/water/test_revision.py",
    "stored cities",
    "tests/studies/test_robust.py",
    "tests/studies/test_batch.py",
    "tests/studies/test_cluster.py",
    "tests/monthly/test_revise.py",
    "tests/city/test_joint.py",
    "tests/bench/test_race.py",
)

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under xdist a whole file goes to one worker, so that what its tests share is made once; the dearest first.

    Files that share dear fixtures of a folder name one group themselves.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.relative_to(ROOT).as_posix()))
    place = {name: position for position, name in enumerate(DEAREST)}
    items.sort(key=lambda item: place.get(_group_of(item), len(DEAREST)))


def pytest_collection_finish() -> None:
    """What is loaded by now stays, so that no search for garbage need look through it: a twentieth of all the time."""
    gc.collect()
    gc.freeze()


def _group_of(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    assert marker is not None
    return str(marker.args[0])


@pytest.fixture
def process(tmp_path: Path) -> Run:
    """Run ``optimize`` as a process in an empty folder; returns the finished process."""

    def call(*arguments: object, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "optimize", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=tmp_path,
        )

    return call


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """As ``process``, but in this process: for what does not depend on there being one."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in arguments]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

    return call


@pytest.fixture
def lines() -> Callable[[str], list[dict[str, Any]]]:
    """The JSON objects of an output, one per line."""
    return lambda text: [json.loads(line) for line in text.splitlines() if line.strip()]

"""Fixtures that run the command line as its users do: as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run ``optimize`` in an empty folder; returns the finished process."""

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
def lines() -> Callable[[str], list[dict[str, Any]]]:
    """The JSON objects of an output, one per line."""
    return lambda text: [json.loads(line) for line in text.splitlines() if line.strip()]

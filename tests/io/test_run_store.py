"""Runs are written at once, numbered, never overwritten, and readable by Excel."""

from __future__ import annotations

import threading
from pathlib import Path

import pandas as pd
import pytest

from optimize.errors import UsageError
from optimize.io.run_store import read_summary, save_run

PLAN = {"projects": pd.DataFrame({"id": ["S1"], "name_zh": ["第一小学"], "built": [True], "kw": [0.1 + 0.2]})}


def save(store: Path) -> Path:
    return save_run(store, "pv_siting", "abc", PLAN, {"status": "solved"}, {"versions": {}})


def test_a_run_is_stored_and_read_again(tmp_path: Path) -> None:
    run = save(tmp_path)
    assert run == tmp_path / "pv_siting" / "abc" / "0001"
    assert read_summary(run) == {"status": "solved"}
    data = (run / "projects.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") and "第一小学,true,0.30000000000000004\n".encode() in data


def test_runs_never_share_a_number(tmp_path: Path) -> None:
    runs: list[Path] = []
    threads = [threading.Thread(target=lambda: runs.append(save(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(run.name for run in runs) == [f"{k:04d}" for k in range(1, 9)]


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        save_run(tmp_path, "pv_siting", "abc", PLAN, {"objective": float("nan")}, {})
    assert list((tmp_path / "pv_siting" / "abc").iterdir()) == []


def test_what_is_no_run_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a run"):
        read_summary(tmp_path)
    (tmp_path / "summary.json").write_text("{half")
    with pytest.raises(UsageError, match="damaged"):
        read_summary(tmp_path)

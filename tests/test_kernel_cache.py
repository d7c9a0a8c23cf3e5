"""Compiled kernels: kept where one can write, and ready before the first solve."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from optimize import kernel_cache

COUNT_KERNELS = """
import numba
from optimize.engine import network_bound, network_design, network_search
from optimize.io.validation import data_from_draft
from optimize.programme import SolveOptions
from optimize.water.fast import solve_fast
from optimize.water.generator import generate
from optimize.water.instance import load
from optimize.water.schema import SCHEMA

def versions():
    modules = (network_search, network_bound)
    kernels = [k for m in modules for k in vars(m).values() if hasattr(k, "signatures")]
    return sum(len(kernel.signatures) for kernel in kernels)

network_design.compile_kernels()
network_bound.compile_kernels()
before = versions()
solve_fast(load(data_from_draft(SCHEMA, generate("s", 1))), SolveOptions(time_limit_s=1.5))
print(before, versions())
"""


def test_kernels_compiled_beforehand_are_those_a_solve_uses() -> None:
    done = subprocess.run([sys.executable, "-c", COUNT_KERNELS], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before == after >= 8


@pytest.mark.parametrize("writable", [True, False])
def test_a_writable_folder_is_chosen(writable: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(kernel_cache.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(kernel_cache.os, "access", lambda folder, mode: writable)
    kernel_cache.choose_writable_folder()
    chosen = os.environ.pop("NUMBA_CACHE_DIR", None)
    assert chosen is None if writable else str(chosen).startswith(str(tmp_path))


def test_a_folder_chosen_by_the_user_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/anywhere")
    monkeypatch.setattr(kernel_cache.os, "access", lambda folder, mode: False)
    kernel_cache.choose_writable_folder()
    assert os.environ["NUMBA_CACHE_DIR"] == "/anywhere"

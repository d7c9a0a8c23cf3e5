"""Seeded instances: reproducible, sound, solvable; the committed Shanghai tables are the generator's."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from optimize.datacenter.checker import check
from optimize.datacenter.data_checks import find_faults
from optimize.datacenter.fast import solve_fast
from optimize.datacenter.generator import generate
from optimize.datacenter.instance import load
from optimize.datacenter.schema import SCHEMA
from optimize.errors import UsageError
from optimize.io.validation import data_from_draft
from optimize.io.write import write_tables
from optimize.programme import SolveOptions
from tests.datacenter.cases import instance_of

COMMITTED = Path(__file__).resolve().parents[2] / "instances" / "shanghai" / "datacenter"


def test_same_seed_same_instance() -> None:
    first, second, other = generate("200", 3), generate("200", 3), generate("200", 4)
    pd.testing.assert_frame_equal(first.tables["centres"], second.tables["centres"])
    pd.testing.assert_frame_equal(first.tables["budgets"], second.tables["budgets"])
    assert not first.tables["centres"].equals(other.tables["centres"])


def test_unknown_size_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="300"):
        generate("300", 0)


def test_benchmark_is_sound_and_its_counts_bind() -> None:
    data = data_from_draft(SCHEMA, generate("200", 1))
    assert not find_faults(data)
    instance = load(data)
    result = solve_fast(instance, SolveOptions(gap=0.05, time_limit_s=25.0))
    assert result.solution is not None
    report = check(instance, result.solution)
    assert report.passed
    reached = {outcome.target.id: outcome for outcome in report.clauses}
    assert reached["DC-BATT"].binding


def test_shanghai_has_the_size_asked_for() -> None:
    instance = instance_of(generate("shanghai", 2022))
    large = instance.centres["centre"].str.startswith("DC")
    assert large.sum() >= 70 and (~large).sum() >= 500
    assert instance.hosts["host"].nunique() >= 3 and len(instance.districts) == 16
    assert instance.targets["DC-GREEN"].required == 20 and instance.targets["DC-BATT"].required == 10


def test_committed_shanghai_tables_are_the_generators(tmp_path: Path) -> None:
    write_tables(tmp_path, SCHEMA, generate("shanghai", 2022))
    written = {path.name: path for path in tmp_path.rglob("*.csv")}
    assert COMMITTED.is_dir()
    for path in COMMITTED.glob("*.csv"):
        assert written[path.name].read_text(encoding="utf-8") == path.read_text(encoding="utf-8"), path.name
        assert path.stat().st_size < 1_000_000

"""A year of the monthly job: contracts never move, plans are stable, and every month starts from the last."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.twelve_months import MONTHS, Year, chosen_changes, line, reduced

SHANGHAI = Path(__file__).resolve().parents[2] / "instances" / "shanghai"


def test_twelve_months_of_a_part_of_shanghai(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each month's plan is checked against the tables of its revised instance, and against what was signed."""
    reduced(SHANGHAI, tmp_path / "instance", ("Chongming",), 0.5)
    year = Year(tmp_path, gap=0.03, limit_s=60.0, timed=False, through_job=False, compared_every=6)
    months = list(year.run())
    with capsys.disabled():
        print("", *map(line, months), sep="\n")
    assert [month.period for month in months] == list(MONTHS)
    assert months[-1].contracted >= 3
    assert not any(month.moved_contracts for month in months)
    assert sum(month.forced for month in months) > 0
    held, free = chosen_changes(months)
    assert held < 0.1 * free

"""Traces and claims with answers worked out by hand."""

from __future__ import annotations

import pytest

from optimize.bench.marks import Claim, contradictions, marks_of, without_refuted_bounds
from optimize.result import TracePoint


def test_times_are_those_of_the_first_point_within_each_gap() -> None:
    marks = marks_of(
        [
            TracePoint(0.5, None, 1200.0),
            TracePoint(1.0, 900.0, 1200.0),  # 33 %
            TracePoint(2.0, 1000.0, 1010.0),  # 1 % exactly
            TracePoint(3.0, 1000.0, 1002.0),  # 0.2 %
            TracePoint(4.0, 1000.0, 1000.5),  # 0.05 %
            TracePoint(9.0, 1000.0, 1000.5),
        ]
    )
    assert marks.time_to == {0.01: 2.0, 0.001: 4.0, 0.0001: None}
    assert marks.first_plan_s == 1.0
    assert marks.gap == pytest.approx(0.0005)


def test_one_point_may_reach_every_mark_at_once() -> None:
    marks = marks_of([TracePoint(0.1, None, 7.0), TracePoint(0.3, 7.0, 7.0)])
    assert marks.time_to == {0.01: 0.3, 0.001: 0.3, 0.0001: 0.3}
    assert marks.gap == 0.0


def test_the_gap_is_relative_to_the_size_of_a_negative_plan() -> None:
    marks = marks_of([TracePoint(1.0, -200.0, -199.0)])
    assert marks.gap == pytest.approx(0.005)
    assert marks.time_to[0.01] == 1.0 and marks.time_to[0.001] is None


@pytest.mark.parametrize(
    ("points", "first_plan_s"),
    [([], None), ([TracePoint(1.0, None, 5.0)], None), ([TracePoint(1.0, 5.0, None)], 1.0)],
)
def test_without_plan_or_bound_nothing_is_reached(
    points: list[TracePoint], first_plan_s: float | None
) -> None:
    marks = marks_of(points)
    assert set(marks.time_to.values()) == {None}
    assert marks.gap is None
    assert marks.first_plan_s == first_plan_s


def test_a_plan_better_than_anothers_bound_is_a_contradiction() -> None:
    claims = [Claim("a", 101.0, 102.0), Claim("b", 99.0, 100.0), Claim("c", None, 100.5)]
    found = contradictions(claims, maximise=True)
    assert [(one.contender, dict(one.plans)) for one in found] == [("b", {"a": 101.0}), ("c", {"a": 101.0})]
    assert "b calls 100 a proven bound" in str(found[0]) and "a 101" in str(found[0])


def test_when_minimising_a_bound_lies_below() -> None:
    claims = [Claim("a", 100.0, 98.0), Claim("b", 103.0, 101.0)]
    assert [one.contender for one in contradictions(claims, maximise=False)] == ["b"]


def test_rounding_is_no_contradiction() -> None:
    claims = [Claim("a", 1e8 + 50.0, 1e8 + 50.0), Claim("b", 1e8, 1e8)]
    assert contradictions(claims, maximise=True) == []
    claims = [Claim("a", 1e8 + 150.0, 1e8 + 150.0), Claim("b", 1e8, 1e8)]
    assert [one.contender for one in contradictions(claims, maximise=True)] == ["b"]


def test_what_was_reached_by_a_refuted_bound_does_not_count() -> None:
    points = [TracePoint(1.0, 90.0, 110.0), TracePoint(2.0, 100.0, 100.0)]
    kept = without_refuted_bounds(points, [101.0], maximise=True)
    assert kept == [TracePoint(1.0, 90.0, 110.0), TracePoint(2.0, 100.0, None)]
    assert marks_of(kept).time_to[0.01] is None

"""The proof by the averaged relaxation: claimed only where the whole model agrees, never of a case with a plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from optimize.io.validation import data_from_draft
from optimize.programme import SolveOptions
from optimize.result import StopReason
from optimize.water.example import example
from optimize.water.infeasible import prove_infeasible, solve_fast_or_explain
from optimize.water.instance import load
from optimize.water.schema import SCHEMA

OPTIONS = SolveOptions(time_limit_s=20.0)


def test_target_beyond_demand_is_proven_and_measured(town: Any, solved: Any) -> None:
    town.parameters["water.periods"] = 12
    town.aim("W-VOLUME", 1_000_000)
    assert solved(town.instance())[0].stop is StopReason.INFEASIBLE
    ways = prove_infeasible(town.instance(), OPTIONS)
    assert ways is not None
    (row,) = ways[0].rows
    assert row.clause == "W-VOLUME"
    assert row.reachable == pytest.approx(500 * 365, rel=1e-6)


def test_fast_path_reports_the_proof(town: Any) -> None:
    for row in town.rows["budgets"].values():
        row["amount_cny"] = 0.0
    town.aim("W-VOLUME", 1000)
    result = solve_fast_or_explain(town.instance(), OPTIONS)
    assert result.stop is StopReason.INFEASIBLE
    assert {row.clause for way in result.relaxations for row in way.rows} >= {"W-VOLUME", "CITY-BUDGET"}


@pytest.mark.parametrize("clause", ["W-VOLUME", "W-CAP"])
def test_what_can_be_reached_is_not_called_infeasible(clause: str, town: Any, solved: Any) -> None:
    town.aim(clause, 365 * 100)
    assert solved(town.instance())[0].solution is not None
    assert prove_infeasible(town.instance(), OPTIONS) is None


def test_example_is_not_called_infeasible() -> None:
    instance = load(data_from_draft(SCHEMA, example()))
    assert prove_infeasible(instance, OPTIONS) is None
    phased = replace(instance, parameters=replace(instance.parameters, phased=True))
    assert prove_infeasible(phased, OPTIONS) is None


def test_counts_out_of_reach_are_whole(town: Any) -> None:
    """Half a module would pay for half an upgrade; the way out says none."""
    for row in town.rows["budgets"].values():
        row["amount_cny"] = 25_000.0
    town.aim("W-UPGRADE", 1)
    ways = prove_infeasible(town.instance(), OPTIONS)
    assert ways is not None
    assert {row.reachable for way in ways for row in way.rows if row.clause == "W-UPGRADE"} == {0.0}

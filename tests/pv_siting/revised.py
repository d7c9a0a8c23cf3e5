"""Small PV instances with a plan in force, and how they are solved and looked at."""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd
import pytest

from optimize.programme import SolveOptions
from optimize.pv_siting.checker import check
from optimize.pv_siting.fast import solve_fast
from optimize.pv_siting.formulation import solve_formulation
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.solution import Solution
from optimize.result import Result
from optimize.schema import InstanceDraft

from .conftest import changed, simple_draft

EXACT = SolveOptions(gap=0.0, time_limit_s=30.0)
ENGINES = {"formulation": solve_formulation, "fast": solve_fast}


def in_force(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([{"state": "proposed"} | row for row in rows])


def revised(*rows: dict[str, Any], draft: InstanceDraft | None = None, **parameters: Any) -> InstanceDraft:
    return changed(
        draft or simple_draft(),
        tables={"plan_in_force": in_force(*rows)},
        parameters={name.replace("__", "."): value for name, value in parameters.items()},
    )


def asking(draft: InstanceDraft, required: float, **how: Any) -> InstanceDraft:
    return changed(draft, targets={"CITY-REVISE": {"required": required, **how}})


def budgets(amounts: dict[tuple[str, int], float]) -> pd.DataFrame:
    rows = [(source, year, amount) for (source, year), amount in amounts.items()]
    return pd.DataFrame(rows, columns=["source", "year", "amount_cny"])


def solved(instance: Instance, engine: str = "fast", *goal: str) -> tuple[Result[Solution], pd.DataFrame]:
    """The best plan, checked, and its projects by site."""
    options = dataclasses.replace(EXACT, goal=goal or ("npv",))
    result = ENGINES[engine](instance, options)
    assert result.solution is not None
    report = check(instance, result.solution)
    assert report.passed, report.violations
    assert report.figures[options.goal[-1]] == pytest.approx(result.objective, rel=1e-7, abs=1e-6)
    return result, result.solution.projects.set_index("site")


SCHOOL = {"site": "school", "configuration": "roof50", "year": 2024}
OFFICE = {"site": "office", "configuration": "carport", "year": 2025}

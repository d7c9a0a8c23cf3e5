"""Robust rows and cases recounted from the raw tables by the checker's arithmetic; nothing here solves.

A project's overrun of each budget is the difference of two recounts of its payments, as the tables stand
and with its CAPEX at the worst; the worst for a budget are then simply the largest ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from optimize.checking import CheckReport
from optimize.errors import FailedCheck
from optimize.milp import FloatArray
from optimize.programme import Programme
from optimize.schema import InstanceData
from optimize.studies.factors import with_factors

# Spending above a budget by less than this share of it is rounding.
_WITHIN = 1e-6
_SAME = 1e-6


@dataclass(frozen=True)
class _Purse:
    """What a source has and owes by a year, earlier years included as they are carried over."""

    there_cny: float
    spent_cny: float
    overrun_cny: Mapping[str, float]


def recount_budgets(
    programme: Programme,
    data: InstanceData,
    solution: Any,
    report: CheckReport,
    deviation: float,
    most: float,
) -> pd.DataFrame:
    """Every limited budget with the plan's worst overrun of it.

    Parameters
    ----------
    report : of the checker on the plan; its money says what is limited.
    deviation : share of its CAPEX by which a project at its worst is dearer.
    most : projects at their worst at once.

    Returns
    -------
    columns source, year, there_cny (with what earlier years leave), planned_cny, worst_cny (planned and
    overrun), room_cny, num_at_worst.
    """
    assert programme.recount_projects is not None
    planned, dearer = (
        programme.recount_projects(programme.load(with_factors(programme, data, {"costs": by})), solution)
        for by in (1.0, 1.0 + deviation)
    )
    of_purse = _overruns(planned.payments, dearer.payments)
    share = float(data.parameters["budgets.carry_over_share"])
    rows, purses = [], dict[tuple[str, int], _Purse]()
    money = report.money.sort_values(["source", "year"], kind="stable")
    for source, year, spent, budget in zip(
        money["source"], money["year"].astype(int), money["spent_cny"], money["budget_cny"], strict=True
    ):
        if not np.isfinite(budget):
            continue
        own = of_purse.get((source, year), {})
        purse = _Purse(float(budget), float(spent), own)
        before = purses.get((source, year - 1))
        if before is not None and share > 0:
            purse = _joined(purse, before, share)
        purses[source, year] = purse
        largest = sorted((v for v in purse.overrun_cny.values() if v > 0), reverse=True)
        at_worst = largest[: int(min(most, len(largest)))]
        room = purse.there_cny - purse.spent_cny - sum(at_worst)
        # Before what is lacking, a year has its own budget and what the plan leaves it.
        there = float(spent) + purse.there_cny - purse.spent_cny
        rows.append((source, year, there, float(spent), float(spent) + sum(at_worst), room, len(at_worst)))
    return pd.DataFrame(
        rows,
        columns=["source", "year", "there_cny", "planned_cny", "worst_cny", "room_cny", "num_at_worst"],
    )


def _overruns(planned: pd.DataFrame, dearer: pd.DataFrame) -> dict[tuple[str, int], dict[str, float]]:
    """By source and year, what each project pays more than planned."""
    overruns: dict[tuple[str, int], dict[str, float]] = {}
    for sign, payments in ((1.0, dearer), (-1.0, planned)):
        columns = (payments["id"], payments["source"], payments["year"].astype(int), payments["amount_cny"])
        for name, source, year, amount in zip(*columns, strict=True):
            of_purse = overruns.setdefault((source, year), {})
            of_purse[name] = of_purse.get(name, 0.0) + sign * float(amount)
    return overruns


def _joined(own: _Purse, before: _Purse, share: float) -> _Purse:
    names = dict.fromkeys([*own.overrun_cny, *before.overrun_cny])
    return _Purse(
        own.there_cny + share * before.there_cny,
        own.spent_cny + share * before.spent_cny,
        {k: own.overrun_cny.get(k, 0.0) + share * before.overrun_cny.get(k, 0.0) for k in names},
    )


def recount_cases(
    programme: Programme,
    data: InstanceData,
    solution: Any,
    report: CheckReport,
    cases: Sequence[tuple[Mapping[str, float], Mapping[str, FloatArray]]],
) -> FloatArray:
    """Net present value of the plan in every case, CNY; penalties of soft targets as planned."""
    assert programme.recount_projects is not None
    planned = programme.recount_projects(programme.load(data), solution)
    penalty = float(planned.npv_cny.sum()) - float(report.figures["npv"])
    values = [
        float(
            programme.recount_projects(
                programme.load(with_factors(programme, data, factors, own)), solution
            ).npv_cny.sum()
        )
        for factors, own in cases
    ]
    return np.array(values) - penalty


def mean_of_worst(cases: FloatArray, tail: float) -> float:
    """Mean of the smallest ``tail`` of equally likely cases; the last of them may count in part."""
    left, total = tail * len(cases), 0.0
    for value in sorted(cases.tolist()):
        part = min(left, 1.0)
        if part <= 0:
            break
        total += part * value
        left -= part
    return total / (tail * len(cases))


def overspent(budgets: pd.DataFrame) -> pd.DataFrame:
    """Those of `recount_budgets` that do not hold at the worst."""
    allowed = _WITHIN * np.maximum(1.0, budgets["there_cny"].abs())
    return budgets[budgets["room_cny"] < -allowed]


def refuse_broken(programme: Programme, budgets: pd.DataFrame) -> None:
    """Raise FailedCheck where a budget is overspent at the worst."""
    broken = overspent(budgets)
    if len(broken):
        first = broken.iloc[0]
        raise FailedCheck(
            f"a plan of {programme.name} failed its check: at the worst, budget {first['source']} "
            f"{first['year']} is overspent by {-first['room_cny']:.6g} CNY"
        )


def refuse_different(programme: Programme, what: str, told: float, recounted: float) -> None:
    """Raise FailedCheck where a figure is not the recounted one."""
    if abs(told - recounted) > _SAME * max(1.0, abs(recounted)):
        raise FailedCheck(
            f"a plan of {programme.name} failed its check: {what} is {told:.12g}, recomputed {recounted:.12g}"
        )

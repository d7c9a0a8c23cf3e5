"""What is asked of robust plans, and the plans with what they cost."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from optimize.errors import ExitCode, OptimizeError
from optimize.programme import Programme
from optimize.result import StopReason, relative_gap
from optimize.studies.stress import Stress


class NoPlan(OptimizeError):
    """There was no plan within the limits."""

    exit_code = ExitCode.NO_PLAN


@dataclass(frozen=True)
class Question:
    """What plans have to withstand.

    Attributes
    ----------
    gammas : numbers of projects that may be at their worst at once (infinite: all), ascending; or
    weights : of the worst cases, in (0, 1], ascending.
    alpha : the worst share ``1 - alpha`` of the cases counts as the tail.
    num_cases, seed : of the cases; fresh samples are drawn by the next seed.
    num_fresh : fresh samples that every plan is put through afterwards.
    """

    gammas: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    alpha: float = 0.9
    num_cases: int = 50
    seed: int = 0
    num_fresh: int = 100

    @property
    def by_cost(self) -> bool:
        return bool(self.gammas)

    @property
    def levels(self) -> tuple[float, ...]:
        return self.gammas or self.weights

    @property
    def tail(self) -> float:
        return 1.0 - self.alpha


@dataclass(frozen=True)
class RobustPlan:
    """The best plan of one level; level 0 is the one without robustness.

    Attributes
    ----------
    value, bound : of the goal that is asked for (the mix of mean and tail, where cases are); the bound
        holds for every plan that withstands the level.
    planned : the programme's goal, by the tables as they stand.
    lost : by how much ``planned`` falls short of the plan without robustness.
    lost_low, lost_high : what the best plans' loss is proven to lie between; None where no bound says so.
    mean_cny, tail_cny : over the cases the plan was made for; None where there are none.
    overspent_without : budgets that the plan without robustness could overspend at this level; None where
        cases are asked for.
    budgets : every budget at its worst (`recount_budgets`); empty where cases are asked for.
    fresh : the plan under fresh samples; None: not asked for.
    """

    level: float
    stop: StopReason
    value: float | None
    bound: float | None
    planned: float | None = None
    lost: float | None = None
    lost_low: float | None = None
    lost_high: float | None = None
    mean_cny: float | None = None
    tail_cny: float | None = None
    overspent_without: int | None = None
    budgets: pd.DataFrame | None = None
    fresh: Stress | None = None
    run: Path | None = None
    seconds: float = 0.0

    @property
    def gap(self) -> float | None:
        return relative_gap(self.value, self.bound)


@dataclass(frozen=True)
class Robustness:
    """The plan without robustness and one for each level; ``not_begun``: levels a stop left out."""

    programme: Programme
    goal: str
    question: Question
    deviation: float
    plain: RobustPlan
    plans: tuple[RobustPlan, ...]
    not_begun: tuple[float, ...]


@dataclass(frozen=True)
class Place:
    """Where runs go, and what their manifests say about where they come from."""

    results: Path
    instance: Path
    overrides: Mapping[str, Any]


def named_level(question: Question, level: float) -> str:
    """A level in words."""
    if not question.by_cost:
        return f"weight {level:g}"
    return "all projects" if math.isinf(level) else f"{level:g} project{'' if level == 1 else 's'}"


def with_losses(
    question: Question, first: RobustPlan, found: Sequence[RobustPlan], *, maximise: bool
) -> tuple[RobustPlan, ...]:
    """What each level costs against the plan without robustness.

    A bound of a level of dearer projects holds for the more robust levels too.

    Parameters
    ----------
    found : ascending by level.
    """
    sign = 1.0 if maximise else -1.0
    assert first.planned is not None
    plans: list[RobustPlan] = []
    bounds = [] if first.bound is None else [sign * first.bound]
    for plan in found:
        bound, lost, low, high = plan.bound, None, None, None
        if question.by_cost:
            bounds += [] if bound is None else [sign * bound]
            bound = sign * min(bounds) if bounds else None
        if plan.planned is not None:
            lost = sign * (first.planned - plan.planned)
        if question.by_cost and bound is not None:
            low = max(sign * (first.planned - bound), 0.0)
        if question.by_cost and plan.planned is not None and first.bound is not None:
            high = sign * (first.bound - plan.planned)
        plans.append(dataclasses.replace(plan, bound=bound, lost=lost, lost_low=low, lost_high=high))
    return tuple(plans)

"""Why a period's plan is not the last one: each change of a project put down to groups of changed inputs.

The inputs of the two periods are compared cell by cell and the differences put into groups (prices, costs,
budgets, targets, candidates, measurements, ledger, other).  Each group is then taken back by itself and the
instance solved again from the new plan: what reverts with a group is put down to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

GROUPS = ("prices", "costs", "budgets", "targets", "candidates", "measurements", "ledger", "other")


@dataclass(frozen=True)
class PlanView:
    """A plan as its changes are told.

    Attributes
    ----------
    projects : by programme, the projects in the shape of `optimize.studies.stored_runs.StoredRun.projects`.
    objective, bound : of the last goal.
    """

    projects: Mapping[str, pd.DataFrame]
    objective: float
    bound: float | None


SolveAgain = Callable[[Path], PlanView | None]
"""Solves an instance folder from the period's own plan; None where no plan was found in time."""


@dataclass(frozen=True)
class ProjectChange:
    """One project that is not as it was.

    Attributes
    ----------
    kind : ``added``, ``dropped``, ``moved`` (another year, all else the same) or ``resized`` (done otherwise).
    before, after : decisions in words; "" where it is not in the plan.
    capex_before_cny, capex_after_cny : CNY; NaN where the plan does not say.
    effects : by figure, the change from before to after.
    forced : nothing was chosen: the ledger or the tables leave no other way.
    causes : groups that bring the old decision back when they are taken back, by themselves; () where only
        several together do, or where the gaps leave the choice open.
    """

    programme: str
    table: str
    project: str
    name_zh: str
    name_en: str
    district: str
    kind: str
    before: str
    after: str
    capex_before_cny: float
    capex_after_cny: float
    effects: Mapping[str, float]
    forced: bool
    causes: tuple[str, ...]


@dataclass(frozen=True)
class GroupEffect:
    """One group of changed inputs.

    Attributes
    ----------
    num_differences : cells and rows that differ.
    examples : a few of them in words.
    objective_without : of the plan with the group taken back; None where none was found.
    effect : objective of the period minus ``objective_without``: what the group does to it.
    num_projects : changes put down to it.
    """

    group: str
    num_differences: int
    examples: tuple[str, ...]
    objective_without: float | None
    bound_without: float | None
    effect: float | None
    num_projects: int


@dataclass(frozen=True)
class ChangeExplained:
    """The change from one period's plan to the next, and why.

    ``stability`` is what staying near the old plan costs (`optimize.monthly.stability`), where it was asked.
    """

    period_before: str
    period: str
    goal: str
    goal_unit: str
    objective_before: float
    objective: float
    bound: float | None
    projects: tuple[ProjectChange, ...]
    groups: tuple[GroupEffect, ...]
    words: tuple[tuple[str, str], ...]


def explain_change(
    before: tuple[str, Path, PlanView],
    now: tuple[str, Path, PlanView],
    measured: Sequence[tuple[str, str, str]],
    solve_again: SolveAgain,
    scratch: Path,
    *,
    goal: str,
    goal_unit: str,
) -> ChangeExplained:
    """Compare two periods' plans and put each change down to groups of changed inputs.

    Parameters
    ----------
    before, now : period, folder of the revised instance and plan.
    measured : (table, key, column) of values the ledger measured.
    solve_again : called once for each group that differs, with a folder in ``scratch``.
    """
    raise NotImplementedError("lands with the next commits")

"""What an independent check of a plan reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.clauses import ClauseTarget


@dataclass(frozen=True)
class Violation:
    """A row of the model that the plan breaks, or a reported figure that is not true."""

    equation: str
    where: str
    required: str
    found: str

    def __str__(self) -> str:
        return f"({self.equation}) {self.where}: required {self.required}, found {self.found}"


@dataclass(frozen=True)
class ClauseOutcome:
    """A policy clause against the plan, in the clause's unit."""

    target: ClauseTarget
    reached: float
    where: str = ""

    @property
    def slack(self) -> float:
        """Room left (negative: short by)."""
        if self.target.clause.sense == ">=":
            return self.reached - self.target.required
        return self.target.required - self.reached

    @property
    def met(self) -> bool:
        return self.slack >= -1e-6 * max(1.0, abs(self.target.required))

    @property
    def binding(self) -> bool:
        """No room worth a whole unit (counts) or a thousandth (quantities)."""
        if self.target.clause.unit == "count":
            return self.slack < 1.0
        return self.slack <= 1e-3 * max(1.0, abs(self.target.required))


@dataclass(frozen=True)
class ProjectFigures:
    """A plan's projects one by one, recounted from the raw tables.

    Attributes
    ----------
    ids : of the projects, in the plan's order.
    npv_cny : shape of ``ids``, present value of each, CNY.
    payments : columns id, source, year (calendar), amount_cny.
    """

    ids: tuple[str, ...]
    npv_cny: NDArray[np.float64]
    payments: pd.DataFrame


@dataclass(frozen=True)
class CheckReport:
    """Result of re-deriving feasibility and every figure from the raw tables.

    Attributes
    ----------
    violations : everything that does not hold.
    clauses : every clause the instance asks for, with what the plan reaches.
    figures : named figures recomputed from the tables; contains one entry per goal of the
        programme (same name and unit as the goal).
    money : columns source, year, spent_cny, budget_cny (NaN: unlimited).
    num_rows_checked : how many rows and figures were re-computed.
    """

    violations: tuple[Violation, ...]
    clauses: tuple[ClauseOutcome, ...]
    figures: Mapping[str, float]
    money: pd.DataFrame
    num_rows_checked: int

    @property
    def passed(self) -> bool:
        return not self.violations

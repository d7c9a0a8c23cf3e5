"""What a solve returns: why it stopped, apart from what is held, with its proven bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

S = TypeVar("S")


class StopReason(StrEnum):
    """Why an engine stopped."""

    OPTIMAL = "optimal"
    GAP_REACHED = "gap reached"
    TIME_LIMIT = "time limit"
    INTERRUPTED = "interrupted"
    SEARCH_ENDED = "search ended"  # a bounded search ran to its end; the gap may be open
    INFEASIBLE = "infeasible"


@dataclass(frozen=True)
class TracePoint:
    """Best plan and best proven bound after ``seconds``; None where there is none yet."""

    seconds: float
    plan: float | None
    bound: float | None


@dataclass(frozen=True)
class RelaxedRow:
    """One policy row that has to give way, in its own unit."""

    clause: str
    where: str
    required: float
    reachable: float
    unit: str

    @property
    def change(self) -> float:
        return self.reachable - self.required


@dataclass(frozen=True)
class Relaxation:
    """A set of rows that together suffice to make the instance solvable.

    Not ``exact``: the amounts are proven to be needed at least; more may be.
    """

    rows: tuple[RelaxedRow, ...]
    exact: bool = True


def relative_gap(objective: float | None, bound: float | None) -> float | None:
    """|bound - objective| / |objective|; None while either is missing."""
    if objective is None or bound is None:
        return None
    difference = abs(bound - objective)
    return 0.0 if difference < 1e-9 else difference / max(abs(objective), 1e-9)


@dataclass(frozen=True)
class Result(Generic[S]):
    """Outcome of one engine on one instance.

    ``objective`` and ``bound`` belong to the last goal of ``goal``; ``maximise`` tells on which
    side of the plan the bound lies.  ``relaxations`` is filled when ``stop`` is INFEASIBLE.
    """

    stop: StopReason
    solution: S | None
    objective: float | None
    bound: float | None
    maximise: bool
    goal: tuple[str, ...]
    engine: str
    trace: tuple[TracePoint, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    relaxations: tuple[Relaxation, ...] = ()

    @property
    def gap(self) -> float | None:
        return relative_gap(self.objective, self.bound)

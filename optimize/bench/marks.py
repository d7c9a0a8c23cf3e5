"""What a trace of plans and bounds amounts to, and whether several traces can all be true."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from optimize.result import TracePoint, relative_gap

MARKS = (0.01, 0.001, 0.0001)
"""Proven relative gaps whose time is taken."""

# Solvers work to feasibility tolerances of 1e-6: figures that differ by less do not contradict each other.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Marks:
    """Seconds to each gap of `MARKS` (None: not reached) and to the first plan, and the last gap."""

    time_to: Mapping[float, float | None]
    first_plan_s: float | None
    gap: float | None


@dataclass(frozen=True)
class Claim:
    """What a contender ended with: a verified plan's value, and a bound it calls proven.

    That there is no plan at all is a bound too, and an infinite one.
    """

    contender: str
    plan: float | None
    bound: float | None


def marks_of(points: Sequence[TracePoint]) -> Marks:
    """Read off a trace in order of time."""
    time_to: dict[float, float | None] = dict.fromkeys(MARKS)
    first_plan_s = None
    gap = None
    for point in points:
        if first_plan_s is None and point.plan is not None:
            first_plan_s = point.seconds
        gap = relative_gap(point.plan, point.bound)
        for mark in MARKS:
            if time_to[mark] is None and gap is not None and gap <= mark:
                time_to[mark] = point.seconds
    return Marks(time_to, first_plan_s, gap)


@dataclass(frozen=True)
class Contradiction:
    """A bound called proven, and verified plans of others that are better: the bound cannot be one."""

    contender: str
    bound: float
    plans: Mapping[str, float]

    def __str__(self) -> str:
        plans = ", ".join(f"{name} {value:.10g}" for name, value in self.plans.items())
        claim = (
            f"{self.bound:.10g} a proven bound" if math.isfinite(self.bound) else "the instance infeasible"
        )
        return f"{self.contender} calls {claim}; better verified plans: {plans}"


def contradictions(claims: Sequence[Claim], maximise: bool) -> list[Contradiction]:
    """Bounds that are refuted by a verified plan."""
    found = []
    for claim in claims:
        better = {
            other.contender: other.plan
            for other in claims
            if other.plan is not None and refutes(other.plan, claim.bound, maximise)
        }
        if claim.bound is not None and better:
            found.append(Contradiction(claim.contender, claim.bound, better))
    return found


def refutes(plan: float, bound: float | None, maximise: bool) -> bool:
    """Whether a plan is better than ``bound`` says any can be, by more than rounding."""
    if bound is None:
        return False
    better = plan - bound if maximise else bound - plan
    return better > TOLERANCE * max(1.0, abs(plan))


def without_refuted_bounds(
    points: Sequence[TracePoint], plans: Sequence[float], maximise: bool
) -> list[TracePoint]:
    """The trace with each bound left out that one of the verified ``plans`` refutes."""
    return [
        replace(point, bound=None) if any(refutes(plan, point.bound, maximise) for plan in plans) else point
        for point in points
    ]

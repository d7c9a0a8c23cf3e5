"""What staying near the plan in force costs: the plan held beside the free one, and value against number of changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from optimize.clauses import REVISE
from optimize.errors import UsageError
from optimize.programme import Programme, SolveOptions
from optimize.schema import InstanceData
from optimize.studies.fronts import trace_front

CHANGES = "changes"
# Goals in which a soft clause's penalty is counted.
_MONEY_GOALS = {"npv": -1.0, "cost": 1.0}


@dataclass(frozen=True)
class Planned:
    """A plan by what it is worth.

    Attributes
    ----------
    value : of the goal, without what its changes were fined.
    bound : no plan under the same conditions is worth more (less, where the goal is minimised); None: not known,
        as where changes are fined.
    changes : projects that are not as in the plan in force.
    forced : those among them that had no choice; no limit counts them.
    """

    value: float
    bound: float | None
    changes: int
    forced: int = 0


@dataclass(frozen=True)
class CurvePoint:
    """The best value with at most so many changes by choice; ``bound``: no plan with as many is better."""

    changes: float
    value: float
    bound: float | None


@dataclass(frozen=True)
class Stability:
    """The price of stability.

    Attributes
    ----------
    held : the plan that stays near the one in force.
    free : the plan without any such condition (what is contracted stays in both).
    penalty_cny_per_change, max_changes : what held it.
    curve : from no change to as many as are worth anything; () where it was not asked for.
    """

    goal: str
    unit: str
    maximise: bool
    held: Planned
    free: Planned
    penalty_cny_per_change: float
    max_changes: int | None
    curve: tuple[CurvePoint, ...] = ()

    @property
    def price(self) -> tuple[float, float | None]:
        """What the best free plan is worth more than the one held: at least, and at most (None: not known).

        The plan held is a free plan as well, so that the best one is never worth less.
        """
        side = 1.0 if self.maximise else -1.0
        least = max(side * (self.free.value - self.held.value), 0.0)
        return least, None if self.free.bound is None else max(
            side * (self.free.bound - self.held.value), least
        )


def undominated(points: Iterable[CurvePoint], *, maximise: bool) -> tuple[CurvePoint, ...]:
    """The points that no other beats with as many changes or fewer, from few changes to many."""
    side = 1.0 if maximise else -1.0
    kept: list[CurvePoint] = []
    for point in sorted(points, key=lambda point: (point.changes, -side * point.value)):
        if not kept or side * (point.value - kept[-1].value) > 0:
            kept.append(point)
    return tuple(kept)


def without_fines(goal: str, value: float, changes: float, data: InstanceData) -> float:
    """A figure of the goal without what the changes were fined by a soft clause."""
    target = data.targets.get(REVISE)
    if target is None or target.hard or goal not in _MONEY_GOALS:
        return value
    fine = target.penalty_cny_per_unit * max(changes - target.required, 0.0)
    return value - _MONEY_GOALS[goal] * fine


def trace_changes(
    programme: Programme,
    data: InstanceData,
    goal: str,
    points: int,
    options: SolveOptions,
    told: Callable[[str], None] = lambda words: None,
) -> tuple[CurvePoint, ...]:
    """The most of a goal at each number of changes against the plan in force; () where there is no plan.

    Parameters
    ----------
    data : of the free instance: what limits or fines changes would bend the curve.
    options : the time limit is for all points together.

    Raises
    ------
    UsageError : the programme does not count changes, or they are limited or fined in ``data``.
    """
    if all(known.name != CHANGES for known in programme.goals):
        raise UsageError(f"{programme.name} does not count changes against a plan in force")
    if REVISE in data.targets:
        raise UsageError(f"{REVISE} limits or fines the changes; the curve is of the instance without it")
    front = trace_front(programme, data, (goal, CHANGES), points, options, told)
    if front is None:
        return ()
    found = [CurvePoint(point.values[CHANGES], point.values[goal], point.bound) for point in front.points]
    return tuple(sorted(found, key=lambda point: point.changes))

"""Which scenario starts from which: a tree of neighbours, wide enough to be solved in parallel.

Scenarios are taken farthest first from those already taken, and each starts from the nearest of
them.  Nothing here depends on how many processes there are or which of them is quick, so a batch
gives the same runs wherever it is solved.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimize.studies.scenarios import Scenario

# Something that is there in one scenario and not in the other, or another text, counts as much as
# a figure that doubles.
_OTHER = 1.0
# Under other prices a plan stays a plan; under other budgets or targets it breaks them or leaves room, so that
# these count so much more.
_RIGID = 10.0
_RIGID_WORDS = ("budgets", "clauses")


@dataclass(frozen=True)
class Step:
    """A scenario (position) and the one whose plan it starts from; None: from nothing."""

    position: int
    parent: int | None


def order_by_neighbours(scenarios: Sequence[Scenario]) -> list[Step]:
    """All scenarios, each after its parent."""
    if not scenarios:
        return []
    features = [_features(scenario) for scenario in scenarios]
    nearest = _distances(features, 0)
    parent = np.zeros(len(scenarios), dtype=np.int64)
    taken = np.zeros(len(scenarios), dtype=np.bool_)
    taken[0] = True
    steps = [Step(0, None)]
    for _ in range(len(scenarios) - 1):
        position = int(np.argmax(np.where(taken, -1.0, nearest)))
        taken[position] = True
        steps.append(Step(position, int(parent[position])))
        distance = _distances(features, position)
        closer = distance < nearest
        nearest[closer], parent[closer] = distance[closer], position
    return steps


def _features(scenario: Scenario) -> dict[str, Any]:
    """Everything the scenario sets, by what it sets."""
    found = {f"set {key}": value for key, value in scenario.overrides.items()}
    for number, change in enumerate(scenario.changes):
        where = f"{number} {change.table} {json.dumps(change.where, sort_keys=True, default=str)}"
        for kind in ("set", "scale", "add"):
            found |= {f"{where} {kind} {column}": v for column, v in getattr(change, kind).items()}
        found[f"{where} rows"] = json.dumps([change.drop, change.only, list(change.rows)], default=str)
    return found


def _distances(features: Sequence[dict[str, Any]], position: int) -> NDArray[np.float64]:
    return np.array([_distance(other, features[position]) for other in features])


def _distance(a: dict[str, Any], b: dict[str, Any]) -> float:
    return sum(_weight(key) * _apart(a.get(key), b.get(key)) for key in a.keys() | b.keys())


def _weight(key: str) -> float:
    """What a difference in ``key`` (of `_features`) counts."""
    return _RIGID if any(word in key for word in _RIGID_WORDS) else 1.0


def _apart(a: Any, b: Any) -> float:
    if a == b:
        return 0.0
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in (a, b)):
        return float(min(abs(a - b) / max(abs(a), abs(b)), _OTHER))
    return _OTHER

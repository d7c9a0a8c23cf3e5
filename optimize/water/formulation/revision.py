"""(W14) What is contracted stands, nothing else starts before the first open year, changes are counted."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyomo.environ import Any as AnyIndex
from pyomo.environ import Constraint, Objective, minimize, quicksum

from optimize.clauses import REVISE
from optimize.water.changes import NO_STAGE
from optimize.water.formulation.model import WaterModel
from optimize.water.investments import FloatArray


def add_revision(w: WaterModel) -> None:
    m, revision = w.m, w.c.revision
    m.contracts_stand = Constraint(AnyIndex)
    m.nothing_new_in_closed_years = Constraint(AnyIndex)
    for kind, (_, built, position) in w.built_of_kind.items():
        works = sorted({index[:-1] for index in built})
        if not works:
            continue
        rows = np.array([position(index if len(index) > 1 else index[0]) for index in works], dtype=np.int64)
        contracted, may = revision.frozen_stage(kind, rows), revision.may_start(kind, rows)
        for n, index in enumerate(works):
            if contracted[n] != NO_STAGE:
                _stand(w, kind, built, index, int(contracted[n]))
            _start_when_open(w, kind, built, index, np.flatnonzero(~may[:, n]).tolist())
    m.changes_limited = Constraint(AnyIndex)
    changes = _changes(w)
    if REVISE in w.targets:
        w.demand(REVISE, "", m.changes_limited, changes, w.targets[REVISE].required, "all")
    m.goal_changes = Objective(expr=changes, sense=minimize)


def _stand(w: WaterModel, kind: str, built: Any, index: tuple[int, ...], stage: int) -> None:
    w.m.contracts_stand[kind, *index, "built"] = built[(*index, stage)] >= 1
    if stage > 0:
        w.m.contracts_stand[kind, *index, "not earlier"] = built[(*index, stage - 1)] <= 0


def _start_when_open(w: WaterModel, kind: str, built: Any, index: tuple[int, ...], closed: list[int]) -> None:
    """In a closed stage stands only what stood before it."""
    for s in closed:
        before = built[(*index, s - 1)] if s > 0 else 0.0
        w.m.nothing_new_in_closed_years[kind, *index, s] = built[(*index, s)] <= before


def _changes(w: WaterModel) -> Any:
    """Changes to the plan in force."""
    revision = w.c.revision
    return revision.total_weight() + _sum_of_starts(w, revision.weights)


def cancellations_cny(w: WaterModel) -> Any:
    """Present value of what is owed for projects that are dropped or become others."""
    revision = w.c.revision
    if not revision.has_cancellations:
        return 0.0
    return revision.total_owed_cny() + _sum_of_starts(w, revision.owed_cny)


def _sum_of_starts(w: WaterModel, amount_of: Any) -> Any:
    """Sum over all investments of an amount by the stage in which they start."""
    terms = []
    last = w.stages[-1]
    for kind, (_, built, position) in w.built_of_kind.items():
        indices = list(built)
        rows = np.array(
            [position(index[:-1] if len(index) > 2 else index[0]) for index in indices], dtype=np.int64
        )
        amount: FloatArray = amount_of(kind, rows)
        for n, index in enumerate(indices):
            s = index[-1]
            # standing by stage s but not by s - 1 means started in s: the sum telescopes
            step = float(amount[s, n] - (amount[s + 1, n] if s < last else 0.0))
            if step != 0.0:
                terms.append(step * built[index])
    return quicksum(terms)

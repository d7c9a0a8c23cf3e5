"""(W14) on the fast path: changes and cancellations in the array model, what the search is told of them, where it begins.

Equation numbers are those of `optimize.water.formulation`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from optimize.clauses import REVISE
from optimize.revision import FROZEN_STATES
from optimize.water.coefficients import Coefficients
from optimize.water.fast_layout import Draft, FlowModel, Part
from optimize.water.fast_policy import demand_row
from optimize.water.fast_rows import investments_of
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray

_NONE: IntArray = np.zeros(0, np.int64)
_SEARCHED = {"pipe": "pipes", "module": "modules", "connection": "connections", "cascade": "cascades"}


def add_revision(d: Draft, m: FlowModel, relaxed: bool) -> IntArray:
    """Changes as a goal, a row of [CITY-REVISE] and cancellation costs; what they are where nothing is built
    stands on a column that is always 1, which is returned (none where that is nothing).

    Storage, which no array model builds, is dropped here; a relaxation does not count it.
    """
    revision = d.c.revision.without("storage") if relaxed else d.c.revision
    of_nothing, owed_cny = revision.total_weight(), revision.total_owed_cny()
    terms: list[tuple[IntArray, FloatArray]] = []
    for kind, columns, rows, _ in investments_of(m):
        weight = revision.weights(kind, rows)[0]
        d.add_cost("changes", columns, weight)
        terms.append((columns, weight))
        if revision.has_cancellations:
            d.add_outlay(columns, revision.owed_cny(kind, rows)[0])
    constant = _NONE
    if of_nothing or owed_cny:
        constant = d.b.add_columns("plan_in_force", 1, lower=1.0, upper=1.0)
        d.add_cost("changes", constant, of_nothing)
        d.add_outlay(constant, owed_cny)
    if REVISE in d.instance.targets:
        demand_row(d, REVISE, terms, d.instance.targets[REVISE].required, of_nothing)
    return constant


def with_change_prices(instance: Instance, c: Coefficients) -> Coefficients:
    """Investments at what they cost with the penalty of the change that each is, for the search; not below nothing."""
    target, revision = instance.targets.get(REVISE), c.revision
    penalty = 0.0 if target is None or target.hard else target.penalty_cny_per_unit
    if penalty == 0.0 and not revision.has_cancellations:
        return c
    priced: dict[str, Any] = {}
    for kind, name in _SEARCHED.items():
        investments = getattr(c, name)
        rows = np.arange(len(investments))
        extra = penalty * revision.weights(kind, rows) + revision.owed_cny(kind, rows)
        present = np.maximum(investments.present_cost_cny + extra, 0.0)
        priced[name] = replace(investments, present_cost_cny=present)
    return replace(c, **priced)


def in_force_part(c: Coefficients) -> Part:
    """The works in force that can stay."""
    shape, revision = c.shape, c.revision
    pipe = revision.in_force("pipe", np.arange(len(c.pipes)))
    return Part(
        pipe.reshape(shape["E"], shape["G"], shape["D"]) & Part.whole(c).pipe,
        revision.in_force("module", np.arange(len(c.modules))),
        revision.in_force("connection", np.arange(shape["U"])),
        revision.in_force("tanker", np.arange(shape["U"])),
    )


def holds_contracted_storage(instance: Instance) -> bool:
    """Whether a storage site is contracted, which no array model can build."""
    plan = instance.plan_in_force
    return bool((plan["state"].isin(FROZEN_STATES) & plan["project"].str.startswith("storage:")).any())

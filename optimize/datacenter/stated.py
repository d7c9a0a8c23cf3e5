"""The programme as arrays with names for rows and columns, for bounds and prices; no solver."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optimize.datacenter import linking
from optimize.datacenter.arrays import build_milp, derive_budget_use, impossible_options, objectives_of
from optimize.datacenter.instance import Instance
from optimize.datacenter.kinds import NOTHING
from optimize.datacenter.options import Options, derive_options
from optimize.datacenter.plan import describe_options, plan_from_choice
from optimize.milp import BlockNames, ElasticRows, Milp, Objective
from optimize.programme import PricedRows, StatedArrays


def state_arrays(instance: Instance, goals: tuple[str, ...]) -> StatedArrays:
    """The programme for ``goals`` with names for its rows and columns."""
    options = derive_options(instance, goals)
    budget = derive_budget_use(instance, options)
    milp, elastic, penalty = build_milp(instance, options, budget)
    upper = milp.upper.copy()
    upper[np.flatnonzero(impossible_options(instance, options, budget))] = 0.0
    milp = milp.with_bounds(milp.lower, upper)
    return name_arrays(instance, options, milp, elastic, objectives_of(instance, options, goals, penalty))


def name_arrays(
    instance: Instance,
    options: Options,
    milp: Milp,
    elastic: Sequence[ElasticRows],
    objectives: Sequence[Objective],
) -> StatedArrays:
    """The arrays with the names a planner knows their rows and columns by."""
    assert isinstance(milp.row_names, BlockNames)
    is_soft = any(not target.hard for target in instance.targets.values())
    candidate = np.full(milp.num_columns, -1, dtype=np.int64)
    candidate[: len(options)] = np.where(options.kind == NOTHING, -1, options.centre)
    idle = np.full(len(instance.centres), -1, dtype=np.int64)
    nothing = np.flatnonzero(options.kind == NOTHING)
    idle[options.centre[nothing]] = nothing
    soft = [
        PricedRows(
            clause=clause.target.id,
            where="",
            unit=clause.target.clause.unit,
            required=clause.target.required,
            is_cap=clause.target.clause.sense == "<=",
            rows=milp.row_names.members(f"clause_{clause.target.id}"),
            per_unit=np.array([clause.scale]),
        )
        for clause in (linking.clause_rows(instance, options) if is_soft else ())
        if not clause.target.hard
    ]
    return StatedArrays(
        milp=milp,
        objectives={objective.name: objective for objective in objectives},
        priced=(*(PricedRows.of(group) for group in elastic), *soft),
        candidate=candidate,
        candidate_ids=list(instance.centres["centre"]),
        candidate_kind="centre",
        idle=idle,
        describe=lambda columns: describe_options(instance, options, columns),
        plan_of=lambda x: plan_from_choice(instance, options, np.flatnonzero((x > 0.5) & (candidate >= 0))),
    )

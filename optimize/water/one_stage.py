"""A phased instance as one of a single stage: the views that plans are looked for in, and that bounds are proven on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from optimize.water.coefficients import Coefficients
from optimize.water.instance import Instance
from optimize.water.investments import Investments, clause_stage


def one_stage(c: Coefficients, stage: int, weight: float, building_years: slice) -> Coefficients:
    """The instance of one stage, its works at the least price of some years, all years' money in one purse."""
    kinds = ("pipes", "modules", "connections", "tankers", "storage", "cascades", "zld")
    priced: dict[str, Any] = {}
    for kind in kinds:
        investments: Investments = getattr(c, kind)
        least = investments.present_cost_cny[building_years].min(axis=0, keepdims=True)
        priced[kind] = replace(investments, present_cost_cny=least)
    return replace(
        c,
        stage_weight=np.array([weight]),
        demand_m3_per_d=c.demand_m3_per_d[[stage]],
        growth_m3_per_d=c.growth_m3_per_d[[stage]],
        cascade_limit_m3_per_d=c.cascade_limit_m3_per_d[[stage]],
        budgets=replace(c.budgets, amount_cny=c.budgets.amount_cny.sum(axis=1, keepdims=True)),
        revision=c.revision.in_one_stage(),
        **priced,
    )


def view_for_bound(instance: Instance, c: Coefficients, goal: str) -> tuple[Instance, Coefficients]:
    """An instance of one stage whose relaxation bounds every phased plan.

    Investments cost at least what they cost in the cheapest year, and no year's carry-over adds to the
    money of all years.  ``volume``, ``tn``, ``co2`` are those of the last stage, which is a plan of this
    instance; ``cost`` is at least that of the last stage.  For ``npv`` let v be the best running value of
    any stage: the weights add up, so all stages together are worth at most that of v throughout.  Its
    flows need not meet the last stage's clauses, nor the least take of users connected later; so
    these are left out, and refusing costs nothing.
    """
    last = len(c.stage_weight) - 1
    final = {
        clause: target
        for clause, target in instance.targets.items()
        if clause_stage(instance.parameters, target) == last
    }
    if goal == "npv":
        view = one_stage(c, last, float(c.stage_weight.sum()), slice(None))
        nothing = np.zeros_like(c.min_take_share)
        view = replace(view, min_take_share=nothing, refusal_cost_cny_per_m3=nothing)
        return replace(instance, targets={}), view
    return replace(instance, targets=final), one_stage(c, last, float(c.stage_weight[-1]), slice(None))

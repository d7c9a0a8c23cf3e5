"""(W12) Budgets and who pays; the goals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pyomo.environ import Any as AnyIndex
from pyomo.environ import (
    Binary,
    Constraint,
    NonNegativeReals,
    Objective,
    Var,
    maximize,
    minimize,
    quicksum,
)

from optimize.engine.pyomo_bridge import ElasticConstraint
from optimize.water.flow_arrays import FlowRates
from optimize.water.formulation.model import (
    Index,
    WaterModel,
    used_m3_per_a,
)
from optimize.water.formulation.revision import cancellations_cny
from optimize.water.investments import FloatArray

BUDGET_CLAUSE = "CITY-BUDGET"


def add_budgets(w: WaterModel) -> None:
    """(W12): money by source and build year, one mix per investment."""
    m, c = w.m, w.c
    m.mix_used = Var(AnyIndex, domain=Binary, dense=False)
    m.one_mix_if_built = Constraint(AnyIndex)
    m.mix_stays = Constraint(AnyIndex)
    spent: dict[tuple[int, int], list[Any]] = {}
    for kind, (investments, built, position) in w.built_of_kind.items():
        source = c.budgets.source_of(investments.district)
        for index in built:
            i, s = position(index[:-1] if len(index) > 2 else index[0]), index[-1]
            if investments.capex_cny[i] == 0:
                continue
            for mix in range(len(investments.mixes)):
                now, before = (
                    _paid_state(w, kind, index, mix),
                    _paid_state(w, kind, (*index[:-1], s - 1), mix),
                )
                for amount, f in zip(investments.paid_cny[mix, i].tolist(), source[i].tolist(), strict=True):
                    if amount != 0 and np.isfinite(c.budgets.amount_cny[f, s]):
                        spent.setdefault((f, s), []).append(amount * (now - before))
            if len(investments.mixes) > 1:
                chosen = [m.mix_used[kind, *index, mix] for mix in range(len(investments.mixes))]
                m.one_mix_if_built[kind, *index] = quicksum(chosen) == built[index]
                for mix in range(len(investments.mixes)) if s > 0 else ():
                    before = m.mix_used[kind, *index[:-1], s - 1, mix]
                    m.mix_stays[kind, *index, mix] = m.mix_used[kind, *index, mix] >= before
    _add_budget_rows(w, spent)


def _paid_state(w: WaterModel, kind: str, index: Index, mix: int) -> Any:
    """Binary of "stands and was paid by this mix"; 0 before the first stage."""
    investments, built, _ = w.built_of_kind[kind]
    if index[-1] < 0:
        return 0.0
    if len(investments.mixes) == 1:
        return built[index]
    if (kind, *index, mix) not in w.m.mix_used:
        w.m.mix_used[kind, *index, mix] = 0
    return w.m.mix_used[kind, *index, mix]


def _add_budget_rows(w: WaterModel, spent: dict[tuple[int, int], list[Any]]) -> None:
    m, c, parameters = w.m, w.c, w.instance.parameters
    share = parameters.carry_over_share if parameters.phased else 0.0
    m.carry = Var(AnyIndex, domain=NonNegativeReals, dense=False)
    m.budget_kept = Constraint(AnyIndex)
    m.carry_over_limited = Constraint(AnyIndex)
    for f in sorted({source for source, _ in spent}):
        before = 0.0
        for s in w.stages:
            amount = float(c.budgets.amount_cny[f, s])
            money = quicksum(spent.get((f, s), ()))
            if (f, s) in spent:
                m.budget_kept[f, s] = money - before <= amount
                year = str(parameters.base_year + s) if parameters.phased else "all years"
                where = f"{c.budgets.sources[f]} {year}"
                w.elastic.append(
                    ElasticConstraint(BUDGET_CLAUSE, where, "CNY", m.budget_kept[f, s], amount, is_cap=True)
                )
            if share > 0 and s < w.stages[-1]:
                m.carry[f, s] = 0.0
                m.carry_over_limited[f, s] = m.carry[f, s] <= share * (amount + before - money)
                before = m.carry[f, s]


def _flow_classes(w: WaterModel) -> list[tuple[Any, FlowRates, Callable[[Index], Any]]]:
    """Every flow variable with its rates and the position of its rate."""
    m, c = w.m, w.c
    return [
        (m.product, c.production, lambda index: (index[0], index[1])),
        (m.flow, c.carriage, lambda index: (index[1], index[0])),
        (m.delivered, c.delivery, lambda index: index[0]),
        (m.hauled, c.delivery, lambda index: index[0]),
        (m.hauled, c.haulage, lambda index: index[0]),
        (m.reused, c.reuse, lambda index: index[0]),
    ]


def _sum_over_year(
    w: WaterModel, rate_of: Callable[[FlowRates], FloatArray], stage_factor: FloatArray
) -> Any:
    """Sum of rate x m3/d x days over all flows, each stage times its factor."""
    total = []
    for variable, rates, position in _flow_classes(w):
        rate = rate_of(rates)
        for index in variable:
            amount = float(rate[position(index)] * w.c.days[index[-1]] * stage_factor[index[-2]])
            if amount != 0.0:
                total.append(amount * variable[index])
    return quicksum(total)


def add_goals(w: WaterModel) -> None:
    m, c, parameters = w.m, w.c, w.instance.parameters
    last = np.zeros(len(c.stage_weight))
    last[-1] = 1.0
    outlay = _present_outlay(w)
    value = _sum_over_year(
        w,
        lambda r: r.net_value_cny(parameters.carbon_cny_per_t, parameters.tn_value_cny_per_kg),
        c.stage_weight,
    )
    m.goal_npv = Objective(expr=value - outlay, sense=maximize)
    m.goal_cost = Objective(
        expr=_sum_over_year(w, lambda r: r.cost_cny, c.stage_weight) + outlay, sense=minimize
    )
    m.goal_volume = Objective(expr=used_m3_per_a(w, w.stages[-1]), sense=maximize)
    m.goal_tn = Objective(expr=_sum_over_year(w, lambda r: r.tn_kg, last), sense=maximize)
    m.goal_co2 = Objective(expr=_sum_over_year(w, lambda r: r.co2_kg / 1000.0, last), sense=maximize)


def _present_outlay(w: WaterModel) -> Any:
    """Present cost of investments and of refused growth, and penalties, CNY."""
    m, c = w.m, w.c
    terms = []
    for investments, built, position in w.built_of_kind.values():
        for index in built:
            i, s = position(index[:-1] if len(index) > 2 else index[0]), index[-1]
            # Standing by stage s but not by s - 1 means built in s: the sum telescopes.
            later = investments.present_cost_cny[s + 1, i] if s < w.stages[-1] else 0.0
            terms.append(float(investments.present_cost_cny[s, i] - later) * built[index])
    for u, s in m.growth_refused:
        own = c.demand_user == u
        loss = float((c.growth_m3_per_d[s, own] @ c.days) @ c.refusal_cost_cny_per_m3[own])
        terms.append(float(c.stage_weight[s]) * loss * m.growth_refused[u, s])
    for clause, where in m.shortfall:
        terms.append(w.targets[clause].penalty_cny_per_unit * m.shortfall[clause, where])
    return quicksum(terms) + cancellations_cny(w)

"""The programme as arrays, equation by equation as in `formulation`; no Pyomo and no solver."""

from __future__ import annotations

from typing import Any

import numpy as np

from optimize.datacenter import linking
from optimize.datacenter.changes import derive_changes
from optimize.datacenter.instance import FloatArray, Instance
from optimize.datacenter.kinds import NONE
from optimize.datacenter.measures import BoolArray, IntArray
from optimize.datacenter.options import Options
from optimize.datacenter.payments import derive_payments
from optimize.funding import elastic_budgets
from optimize.milp import OTHER, ElasticRows, Milp, MilpBuilder, Objective

MONEY_GOALS = ("npv", "cost")
MINIMISED = ("cost", "changes")
_ROOM = 1e-6


def build_milp(
    instance: Instance, options: Options, budget: linking.Use | None = None
) -> tuple[Milp, list[ElasticRows], FloatArray]:
    """All rows over the option columns, what may give way, and the penalty per column, CNY.

    ``budget`` as in `derive_budget_use`, where it is at hand already.
    """
    budget = budget or derive_budget_use(instance, options)
    builder = MilpBuilder(maximise=True)
    chosen = builder.add_columns(
        "chosen", len(options), lower=0.0, upper=options.allowed.astype(np.float64), integral=True
    )
    num_centres = len(instance.centres)
    builder.add_rows(
        "R2_one_option_per_centre",
        num_centres,
        [(options.centre, chosen, 1.0)],
        lower=1.0,
        upper=1.0,
    )
    elastic = _add_budgets(builder, instance, budget)
    limits = (
        ("R4_contractor_weeks", "contractor weeks", linking.trade_use(instance, options)),
        ("R5_works_in_zone", "zone works share", linking.zone_use(instance, options)),
        ("R5_partners_apart", "", linking.partner_use(instance, options)),
        ("R6_host_capacity", "host capacity", linking.host_use(instance, options)),
        ("R7_heat_sink_capacity", "", linking.sink_use(instance, options)),
    )
    for name, label, use in limits:
        rows = builder.add_rows(name, len(use.limit), [(use.row, use.option, use.amount)], upper=use.limit)
        if label:
            elastic += _elastic_caps(label, use, rows)
    penalties: list[tuple[int, float]] = []
    for clause in linking.clause_rows(instance, options):
        elastic += _add_clause(builder, clause, penalties)
    _add_pair_locks(builder, instance, options)
    milp = builder.build()
    penalty = np.zeros(milp.num_columns)
    for column, price in penalties:
        penalty[column] = price
    return milp, elastic, penalty


def derive_budget_use(instance: Instance, options: Options) -> linking.Use:
    """What every option takes from every budget (R3)."""
    return linking.budget_use(instance, derive_payments(instance, options))


def impossible_options(instance: Instance, options: Options, budget: linking.Use | None = None) -> BoolArray:
    """Options that alone break a row: no plan holds them, but the relaxation would take a part.

    With carry-over a year has at most its own budget and what all earlier years could leave it.
    ``budget`` as in `derive_budget_use`, where it is at hand already.
    """
    budget = budget or derive_budget_use(instance, options)
    return beyond_budgets(instance, options, budget) | beyond_capacities(instance, options)


def beyond_budgets(instance: Instance, options: Options, budget: linking.Use) -> BoolArray:
    """Options that alone take more of a budget than can be there."""
    share = float(instance.parameters["budgets.carry_over_share"])
    most = budget.limit.reshape(-1, instance.num_years).copy()
    for year in range(1, instance.num_years):
        most[:, year] += share * most[:, year - 1]
    return _beyond(options, budget, most.ravel())


def beyond_capacities(instance: Instance, options: Options) -> BoolArray:
    """Options that alone take more weeks, works or host capacity than there are."""
    impossible = np.zeros(len(options), dtype=np.bool_)
    for derive in (linking.trade_use, linking.zone_use, linking.host_use):
        use = derive(instance, options)
        impossible |= _beyond(options, use, use.limit)
    return impossible


def _beyond(options: Options, use: linking.Use, limit: FloatArray) -> BoolArray:
    most_of_row = limit[use.row]
    too_much = use.amount > most_of_row + _ROOM * np.maximum(1.0, np.abs(most_of_row))
    impossible = np.zeros(len(options), dtype=np.bool_)
    impossible[use.option[too_much]] = True
    return impossible


def _elastic_caps(label: str, use: linking.Use, rows: IntArray) -> list[ElasticRows]:
    return [
        ElasticRows(
            clause=label,
            where=f"{name} {year}",
            unit=use.unit,
            rows=np.array([row]),
            required=float(limit),
            is_cap=True,
            rank=OTHER,
        )
        for (name, year), row, limit in zip(use.keys, rows, use.limit, strict=True)
    ]


def _add_budgets(builder: MilpBuilder, instance: Instance, use: linking.Use) -> list[ElasticRows]:
    """(R3) spent_t <= B_t + carry_{t-1};  carry_t <= share * (B_t + carry_{t-1} - spent_t)."""
    years = instance.num_years
    share = float(instance.parameters["budgets.carry_over_share"])
    sources = len(use.limit) // years
    carried_in: list[Any] = []
    carry_row = np.full(len(use.limit), NONE)
    if share > 0 and years > 1 and sources:
        budget = use.limit.reshape(sources, years)[:, :-1]
        most = share * np.cumsum(budget, axis=1)
        carry = builder.add_columns("carried_over", (sources, years - 1), upper=most)
        place = np.arange(sources)[:, None] * years + np.arange(1, years)[None, :]
        carried_in.append((place, carry, -1.0))
        position = np.arange(sources)[:, None] * (years - 1) + np.arange(years - 1)[None, :]
        row_of = np.full(sources * years, -1)
        row_of[(np.arange(sources)[:, None] * years + np.arange(years - 1)[None, :])] = position
        paid = row_of[use.row] >= 0
        carry_rows: list[Any] = [
            (position, carry, 1.0),
            (row_of[use.row[paid]], use.option[paid], share * use.amount[paid]),
            (position[:, 1:], carry[:, :-1], -share),
        ]
        added = builder.add_rows(
            "R3_carried_over", sources * (years - 1), carry_rows, upper=share * budget.ravel()
        )
        carry_row = np.where(row_of >= 0, added[row_of], NONE)
    rows = builder.add_rows(
        "R3_budget", len(use.limit), [(use.row, use.option, use.amount), *carried_in], upper=use.limit
    )
    names = [f"{name} {year}" for name, year in use.keys]
    return elastic_budgets(names, use.limit, rows, carry_row, share)


def _add_clause(
    builder: MilpBuilder, clause: linking.ClauseRow, penalties: list[tuple[int, float]]
) -> list[ElasticRows]:
    """(R8-R12) a target or cap, with a priced shortfall where it is soft."""
    target = clause.target
    is_cap = target.clause.sense == "<="
    side = clause.side
    zeros = np.zeros(len(clause.option), dtype=np.int64)
    terms: list[tuple[IntArray, IntArray, FloatArray]] = [(zeros, clause.option, clause.amount)]
    if not target.hard:
        short = builder.add_columns(f"shortfall_{target.id}", 1, upper=_most_short(clause, is_cap))
        penalties.append((int(short[0]), target.penalty_cny_per_unit))
        terms.append(
            (np.zeros(1, dtype=np.int64), short, np.array([-clause.scale if is_cap else clause.scale]))
        )
    rows = builder.add_rows(
        f"clause_{target.id}",
        1,
        terms,
        lower=-np.inf if is_cap else side,
        upper=side if is_cap else np.inf,
    )
    if not target.hard:
        return []
    return [
        ElasticRows(
            clause=target.id,
            where="",
            unit=target.clause.unit,
            rows=rows,
            required=target.required,
            per_unit=clause.scale,
            is_cap=is_cap,
        )
    ]


def _most_short(clause: linking.ClauseRow, is_cap: bool) -> float:
    """No plan misses the clause by more, in its own unit."""
    reach = np.where(clause.amount > 0, clause.amount, 0.0) if is_cap else np.minimum(clause.amount, 0.0)
    side = clause.side
    return float(max(reach.sum() - side if is_cap else side - reach.sum(), 0.0) / clause.scale)


def _add_pair_locks(builder: MilpBuilder, instance: Instance, options: Options) -> None:
    for kind, _, _, idle, other_idle in linking.pair_locks(instance, options):
        together = kind == "together"
        builder.add_rows(
            f"lock_{kind}",
            1,
            [(0, idle, 1.0), (0, other_idle, -1.0 if together else 1.0)],
            lower=0.0 if together else 1.0,
            upper=0.0 if together else np.inf,
        )


def objectives_of(
    instance: Instance, options: Options, goals: tuple[str, ...], penalty: FloatArray
) -> list[Objective]:
    """The goals on the columns; money goals pay the penalties of soft clauses and cancellation costs."""
    changes = derive_changes(instance, options)
    values = {
        "npv": options.npv_cny,
        "cost": options.cost_cny,
        "energy": options.energy_mwh,
        "co2": options.co2_t,
        "changes": changes.weight,
    }
    objectives = []
    for goal in goals:
        maximise = goal not in MINIMISED
        cost = np.zeros(len(penalty))
        cost[: len(options)] = values[goal]
        offset = changes.weight_of_nothing if goal == "changes" else 0.0
        if goal in MONEY_GOALS:
            paid = -1.0 if maximise else 1.0
            cost += paid * penalty
            cost[: len(options)] += paid * changes.owed_cny
            offset = paid * changes.owed_for_nothing_cny
        objectives.append(Objective(goal, cost, maximise, offset))
    return objectives

"""The programme as arrays, equation by equation as in `formulation`; no Pyomo and no solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimize.funding import elastic_budgets
from optimize.milp import OTHER, ElasticRows, Milp, MilpBuilder, Objective
from optimize.pv_siting.changes import Changes
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.limits import MINIMISED, Limits, TargetRow
from optimize.pv_siting.options import Options

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Arrays:
    """The arrays with what is needed to read a plan and to relax rows; ``soft`` clauses give way at a price.

    ``shortfalls`` : column of each of ``soft``.
    """

    milp: Milp
    chosen: IntArray
    carried: IntArray
    carried_pairs: tuple[tuple[int, int], ...]
    shortfalls: IntArray
    objectives: dict[str, Objective]
    elastic: tuple[ElasticRows, ...]
    soft: tuple[ElasticRows, ...]


GOALS = ("npv", "cost", "energy", "co2", "capacity", "changes")


def build_arrays(
    instance: Instance, candidates: Options, limits: Limits, goals: Sequence[str] = GOALS
) -> Arrays:
    """All rows, and the objectives of ``goals``."""
    builder = MilpBuilder(maximise=True)
    x = builder.add_columns("option_chosen", len(candidates), upper=1.0, integral=True)
    elastic = [
        *_add_choice(builder, instance, candidates, limits, x),
        *_add_order_and_capacities(builder, instance, candidates, limits, x),
    ]
    _add_grid(builder, candidates, limits, x)
    shortfall, of_targets, soft = _add_targets(builder, limits, x)
    carried, pairs, of_budgets = _add_budgets(builder, instance, candidates, limits, x)
    milp = builder.build()
    return Arrays(
        milp=milp,
        chosen=x,
        carried=carried,
        carried_pairs=pairs,
        shortfalls=np.array([column for column, _ in shortfall], dtype=np.int64),
        objectives={
            goal: _objective(goal, milp.num_columns, candidates, limits.changes, x, shortfall)
            for goal in goals
        },
        elastic=(*elastic, *of_targets, *of_budgets),
        soft=tuple(soft),
    )


def _add_choice(
    builder: MilpBuilder, instance: Instance, candidates: Options, limits: Limits, x: IntArray
) -> list[ElasticRows]:
    is_first = np.diff(candidates.site, prepend=-1) > 0  # options are ordered by site
    row = np.cumsum(is_first) - 1
    stays = limits.changes.frozen[is_first].astype(np.float64)
    builder.add_rows("one_option_per_site", len(stays), [(row, x, 1.0)], lower=stays, upper=1.0)  # (P3)
    elastic = []
    position = np.full(len(instance.sites), -1, dtype=np.int64)
    required = np.array([r.site for r in limits.required], dtype=np.int64)
    position[required] = np.arange(len(required))
    row = position[candidates.site]
    rows = builder.add_rows(
        "required_sites_get_one", len(required), [(row[row >= 0], x[row >= 0], 1.0)], lower=1.0
    )
    for requirement, r in zip(limits.required, rows, strict=True):
        site = str(instance.sites["site"].iloc[requirement.site])
        elastic.append(ElasticRows(requirement.reason, site, "count", r.reshape(1), 1.0, rank=OTHER))
    for name, pairs, sign, lower, upper in (
        ("together", limits.together, -1.0, 0.0, 0.0),
        ("not_together", limits.not_together, 1.0, -np.inf, 1.0),
    ):
        for a, b in pairs:
            of_a, of_b = (x[slice(*np.searchsorted(candidates.site, [site, site + 1]))] for site in (a, b))
            zero_a, zero_b = np.zeros_like(of_a), np.zeros_like(of_b)
            builder.add_rows(name, 1, [(zero_a, of_a, 1.0), (zero_b, of_b, sign)], lower=lower, upper=upper)
    return elastic


def _add_targets(
    builder: MilpBuilder, limits: Limits, x: IntArray
) -> tuple[list[tuple[int, TargetRow]], list[ElasticRows], list[ElasticRows]]:
    """(P4), (P5 PV-FUND), (P7 share), (P8), (P11 count), (P12): shortfalls, hard rows, soft rows."""
    shortfall: list[tuple[int, TargetRow]] = []
    hard: list[ElasticRows] = []
    soft: list[ElasticRows] = []
    for row in limits.targets:
        used = np.flatnonzero(row.coefficient)
        here = np.zeros(len(used), dtype=np.int64)
        terms: list[tuple[IntArray, IntArray, FloatArray]] = [(here, x[used], row.coefficient[used])]
        if not row.target.hard:
            column = builder.add_columns(f"shortfall_{row.target.id}", 1, upper=row.shortfall_bound)
            loosens = -row.per_unit if row.is_cap else row.per_unit
            terms.append((np.zeros(1, dtype=np.int64), column, np.array([loosens])))
            shortfall.append((int(column[0]), row))
        side = {"upper": row.side} if row.is_cap else {"lower": row.side}
        rows = builder.add_rows(row.target.id, 1, terms, **side)
        (hard if row.target.hard else soft).append(
            ElasticRows(
                clause=row.target.id,
                where="",
                unit=row.target.clause.unit,
                rows=rows,
                required=row.target.required,
                per_unit=row.per_unit,
                is_cap=row.is_cap,
            )
        )
    return shortfall, hard, soft


def _add_budgets(
    builder: MilpBuilder, instance: Instance, candidates: Options, limits: Limits, x: IntArray
) -> tuple[IntArray, tuple[tuple[int, int], ...], list[ElasticRows]]:
    """(P5) with carry-over."""
    budget, share = limits.budget_cny, instance.carry_over_share
    pairs = tuple(
        (int(f), t)
        for f in limits.limited_sources
        for t in range(instance.num_years)
        if np.isfinite(budget[f, t])
    )
    row_of = np.full(budget.shape, -1, dtype=np.int64)
    for r, pair in enumerate(pairs):
        row_of[pair] = r
    side = np.array([budget[pair] for pair in pairs])
    row = row_of[candidates.payment_source, candidates.payment_year]
    bound = row >= 0
    row, column = row[bound], x[candidates.payment_option[bound]]
    paid = candidates.payment_cny[bound]
    terms = [(row, column, paid)]
    if share == 0 or not pairs:
        rows = builder.add_rows("spending_within_budget", len(pairs), terms, upper=side)
        carried = np.zeros(0, dtype=np.int64)
        carry_rows = np.full(len(pairs), -1, dtype=np.int64)
    else:
        most = most_carried_over(budget, pairs, share)
        carried = builder.add_columns("carried_over", len(pairs), upper=most)
        before = np.array([row_of[f, t - 1] if t > 0 else -1 for f, t in pairs])
        received = np.flatnonzero(before >= 0)
        from_before = carried[before[received]]
        rows = builder.add_rows(
            "spending_within_budget", len(pairs), [*terms, (received, from_before, -1.0)], upper=side
        )
        carry_rows = builder.add_rows(
            "carry_within_unspent",
            len(pairs),
            [
                (np.arange(len(pairs)), carried, 1.0),
                (received, from_before, -share),
                (row, column, share * paid),
            ],
            upper=share * side,
        )
    names = [f"{candidates.source_names[f]} {instance.base_year + t}" for f, t in pairs]
    elastic = elastic_budgets(names, side, rows, carry_rows, share)
    return carried, pairs, elastic


def most_carried_over(budget: FloatArray, pairs: Sequence[tuple[int, int]], share: float) -> FloatArray:
    """Upper bound, CNY, of what each (source, year) can leave to the next; ``budget`` as in `Limits`."""
    return np.array(
        [share * float(budget[f, : t + 1][np.isfinite(budget[f, : t + 1])].sum()) for f, t in pairs]
    )


def _add_grid(builder: MilpBuilder, candidates: Options, limits: Limits, x: IntArray) -> None:
    """(P6)."""
    for name, group, left in (
        ("feeder_hosts", limits.feeder, limits.feeder_left_kw),
        ("substation_hosts", limits.substation, limits.substation_left_kw),
    ):
        members = np.flatnonzero(group >= 0)
        present = np.flatnonzero(np.bincount(group[members], minlength=len(left)))
        row = np.zeros(len(left), dtype=np.int32)
        row[present] = np.arange(len(present))
        builder.add_rows(
            name,
            len(present),
            [(row[group[members]], x[members], candidates.hosting_kw[members])],
            upper=left[present],
        )


def _add_order_and_capacities(
    builder: MilpBuilder, instance: Instance, candidates: Options, limits: Limits, x: IntArray
) -> list[ElasticRows]:
    """(P7 order), (P9), (P10)."""
    elastic = []
    years = [str(year) for year in instance.years]
    share = instance.pv.first_share
    if share > 0:
        for t, year in enumerate(years):
            built = np.flatnonzero(candidates.year <= t)
            coefficient = (limits.first[built] - share) * candidates.kw[built]
            rows = builder.add_rows(
                "first_share",
                1,
                [(np.zeros_like(built), x[built], coefficient)],
                lower=limits.first_side_kw[t],
            )
            elastic.append(
                ElasticRows(
                    "order", year, "share", rows, share, instance.pv.reference_capacity_kw, rank=OTHER
                )
            )
    for district, least, last in zip(
        limits.minimum_district, limits.minimum_kw, limits.minimum_year, strict=True
    ):
        counted = np.flatnonzero((limits.district == district) & (candidates.year <= last))
        terms = [(np.zeros_like(counted), x[counted], candidates.kw[counted])]
        rows = builder.add_rows("district_minimum", 1, terms, lower=least)
        name = str(instance.districts["district"].iloc[district])
        elastic.append(ElasticRows("district minimum", name, "kW", rows, float(least)))
    for t in np.flatnonzero(np.isfinite(limits.installer_kw)).tolist():
        built = np.flatnonzero(candidates.year == t)
        terms = [(np.zeros_like(built), x[built], candidates.kw[built])]
        most = float(limits.installer_kw[t])
        rows = builder.add_rows("installers", 1, terms, upper=most)
        elastic.append(ElasticRows("installers", years[t], "kW", rows, most, is_cap=True, rank=OTHER))
    return elastic


def _objective(
    goal: str,
    num_columns: int,
    candidates: Options,
    changes: Changes,
    x: IntArray,
    shortfall: list[tuple[int, TargetRow]],
) -> Objective:
    # figure, constant, what a CNY of penalties or cancellations counts
    figure, constant, of_cny = {
        "npv": (candidates.npv_cny, 0.0, -1.0),
        "cost": (candidates.cost_cny, 0.0, 1.0),
        "energy": (candidates.energy_mwh, 0.0, 0.0),
        "co2": (candidates.co2_t, 0.0, 0.0),
        "capacity": (candidates.kw, 0.0, 0.0),
        "changes": (changes.weight, changes.weight_of_nothing, 0.0),
    }[goal]
    cost = np.zeros(num_columns)
    for column, row in shortfall:
        cost[column] = of_cny * row.target.penalty_cny_per_unit
    cost[x] = figure
    if of_cny and changes.owed_for_nothing_cny:
        cost[x] += of_cny * changes.owed_cny
    offset = constant + of_cny * changes.owed_for_nothing_cny
    return Objective(goal, cost, goal not in MINIMISED, offset)

"""Reclaimed water as a part of the city: whole where it is small, else as plans to choose from.

The network is the one part whose arrays branch and cut cannot take at city size.  There the city
chooses among plans that the programme itself has found for some share of the money (`plans_part`),
and its bound comes from a relaxation (`relaxed_part`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optimize.city.instance import WATER, City, with_share
from optimize.city.part import CityPart, Entries, MoneyRows, split_budgets
from optimize.city.water_demand import rows_by_id, with_demand_moved, yearly_per_base
from optimize.milp import FloatArray, Milp, MilpBuilder, Objective
from optimize.schema import InstanceData
from optimize.water.coefficients import Coefficients, derive_coefficients
from optimize.water.fast_goal import MINIMISED
from optimize.water.fast_layout import FlowModel, Part
from optimize.water.fast_model import build_flow_model
from optimize.water.fast_rows import BUDGET_CLAUSE
from optimize.water.instance import Instance, load
from optimize.water.solution import Solution
from optimize.water.stated import state_arrays, state_relaxation

# Corridors x qualities x periods up to which the whole network goes into one programme.
EXACT_LANES = 600
ALL_YEARS = "all years"
_REST = 1e-6


@dataclass(frozen=True)
class WaterPlan:
    """A plan of the water programme and what it takes of what is shared.

    Attributes
    ----------
    solution : the plan; ``values`` its figure by goal.
    spent_cny : shape (sources, years); where the network is built in one stage the money of all years
        stands in the first.
    taken : by (demand, period) of linked demands, m3/d.
    intake_m3 : by [W-CAP] scope with a linked demand: intake if no linked demand moved from the tables'.
    """

    solution: Solution
    values: dict[str, float]
    spent_cny: FloatArray
    taken: dict[tuple[str, int], float]
    intake_m3: dict[tuple[str, str], float]


def is_exact(city: City, exact_lanes: int = EXACT_LANES) -> bool:
    """Whether the whole network, all its rows, can stand in one programme."""
    instance = load(city.part(WATER).data)
    lanes = len(instance.corridors) * len(instance.qualities) * instance.parameters.periods
    return not instance.parameters.phased and not len(instance.storage_sites) and lanes <= exact_lanes


def widest_data(city: City, largest_m3: dict[str, float], share_cny: FloatArray) -> InstanceData:
    """The programme with ``share_cny`` and linked demands at the largest any plan can make them."""
    return with_demand_moved(with_share(city.part(WATER).data, city, share_cny), largest_m3)


def exact_part(city: City, goals: Sequence[str], largest_m3: dict[str, float]) -> CityPart:
    """All rows of the water programme, linked demands at their largest; the city's rows cut them back."""
    instance = load(widest_data(city, largest_m3, city.pool_cny))
    c = derive_coefficients(instance)
    model = build_flow_model(instance, c, Part.whole(c))
    intake = _intake_rows(city, instance, model.milp)
    capped = _capped_as_stated(model.milp, intake, linked_scopes(city, instance), largest_m3)
    stated = state_relaxation(replace(model, milp=capped), goals)  # all rows, and a bound on every column
    money, rest = split_budgets(city, model.elastic, BUDGET_CLAUSE, ALL_YEARS)

    def read_plan(x: FloatArray) -> Solution:
        return model.solution(instance, model.without_counterflows(x))

    return CityPart(
        name=WATER,
        milp=stated.milp,
        objectives=stated.objectives,
        elastic=rest,
        money=money,
        group=np.full(stated.milp.num_columns, -1, dtype=np.int64),
        read_plan=read_plan,
        changes=model.goal_cost["changes"],
        water_taken=_taken(city, model),
        water_needed=_needed(city),
        intake_rows=_with_demands(intake, linked_scopes(city, instance)),
    )


def _capped_as_stated(
    milp: Milp, rows: dict[tuple[str, str], int], scopes: dict[tuple[str, str], list[str]],
    largest_m3: dict[str, float],
) -> Milp:  # fmt: skip
    """[W-CAP] rows as they stand while the linked demands are as the tables state them."""
    upper = milp.row_upper.copy()
    for scope, row in rows.items():
        upper[row] += sum(largest_m3[demand] for demand in scopes[scope])
    return replace(milp, row_upper=upper)


def _taken(city: City, model: FlowModel) -> dict[tuple[str, int], Entries]:
    c, entries = model.c, {}
    for demand in dict.fromkeys(city.cooling_water["demand"]):
        q = c.demand_ids.index(demand)
        piped, hauled = model.delivered_at[:, 0] == q, model.hauled_at[:, 0] == q
        for t in range(len(c.days)):
            columns = np.concatenate([model.delivered[piped, t], model.hauled[hauled, t]])
            entries[demand, t] = Entries(columns, np.ones(len(columns)))
    return entries


def linked_scopes(city: City, instance: Instance) -> dict[tuple[str, str], list[str]]:
    """[W-CAP] scopes (kind, id; both empty: the city) with the linked demands within each, in the rows' order."""
    scopes: dict[tuple[str, str], list[str]] = {}
    if "W-CAP" not in instance.targets:
        return scopes
    user_of = dict(zip(instance.user_demands["demand"], instance.user_demands["user"], strict=True))
    users = instance.users.set_index("user")
    demands = list(dict.fromkeys(city.cooling_water["demand"]))
    scopes["", ""] = demands
    for kind, name in zip(instance.intake_caps["scope"], instance.intake_caps["id"], strict=True):
        of_user = dict(zip(users.index, users.index if kind == "user" else users[kind], strict=True))
        scopes[str(kind), str(name)] = [d for d in demands if of_user[user_of[d]] == name]
    return scopes


def _intake_rows(city: City, instance: Instance, milp: Milp) -> dict[tuple[str, str], int]:
    names: Any = milp.row_names
    scopes = linked_scopes(city, instance)
    rows = names.members("W-CAP")
    return {scope: int(row) for (scope, inside), row in zip(scopes.items(), rows, strict=True) if inside}


def plans_part(city: City, goals: Sequence[str], plans: Sequence[WaterPlan]) -> CityPart:
    """One of ``plans`` is carried out."""
    builder = MilpBuilder(maximise=True)
    chosen = builder.add_columns("plan_chosen", len(plans), upper=1.0, integral=True)
    builder.add_rows("one_plan", 1, [(np.zeros(len(plans), np.int64), chosen, 1.0)], lower=1.0, upper=1.0)
    phased = load(city.part(WATER).data).parameters.phased
    row, source, year = [], [], []
    spent = np.stack([plan.spent_cny for plan in plans])
    for f in np.flatnonzero(spent.any(axis=(0, 2))).tolist():
        for t in range(len(city.years)) if phased else [0]:
            amounts = spent[:, f, t] if phased else spent[:, f].sum(axis=1)
            rows = builder.add_rows(
                "spends", 1, [(np.zeros(len(plans), np.int64), chosen, amounts)], upper=0.0
            )
            years = [t] if phased else list(range(len(city.years)))
            row += [int(rows[0])] * len(years)
            source += [f] * len(years)
            year += years
    intake = {}
    caps = _caps(city)
    for scope in plans[0].intake_m3:
        amounts = np.array([plan.intake_m3[scope] for plan in plans])
        rows = builder.add_rows(
            "W-CAP", 1, [(np.zeros(len(plans), np.int64), chosen, amounts)], upper=caps[scope]
        )
        intake[scope] = int(rows[0])
    milp = builder.build()
    return CityPart(
        name=WATER,
        milp=milp,
        objectives={
            goal: Objective(goal, np.array([plan.values[goal] for plan in plans]), goal not in MINIMISED)
            for goal in goals
        },
        elastic=(),
        money=MoneyRows(
            np.array(row, np.int64), np.array(source, np.int64), np.array(year, np.int64), np.ones(len(row))
        ),
        group=np.zeros(len(plans), dtype=np.int64),
        read_plan=lambda x: plans[int(np.argmax(x))].solution,
        changes=np.array([plan.values["changes"] for plan in plans]),
        water_taken={
            key: Entries(chosen, np.array([plan.taken[key] for plan in plans])) for key in plans[0].taken
        },
        water_needed=_needed(city),
        intake_rows=_with_demands(intake, linked_scopes(city, load(city.part(WATER).data))),
    )


def _caps(city: City) -> dict[tuple[str, str], float]:
    """Caps of [W-CAP] by scope, m3/a."""
    data = city.part(WATER).data
    target = data.targets.get("W-CAP")
    if target is None:
        return {}
    rows = data.tables["intake_caps"]
    return {("", ""): target.required} | {
        (str(kind), str(name)): float(cap)
        for kind, name, cap in zip(rows["scope"], rows["id"], rows["cap_m3_per_a"], strict=True)
    }


def read_water_plan(
    city: City, data: InstanceData, solution: Solution, figures: dict[str, float], intake: dict[str, float],
    spent_cny: FloatArray,
) -> WaterPlan:  # fmt: skip
    """What a plan of the programme takes of what is shared.

    Parameters
    ----------
    data : the programme as it was solved, linked demands where they then were.
    intake : reached of [W-CAP] by ``where``, as the checker tells it.
    spent_cny : shape (sources, years); see `WaterPlan`.
    """
    instance = load(data)
    delivered = solution.deliveries.groupby(["demand", "period"])["delivered_m3_per_d"].sum()
    periods = len(derive_coefficients(instance).days)
    taken = {
        (demand, t): float(delivered.get((demand, t), 0.0))
        for demand in dict.fromkeys(city.cooling_water["demand"])
        for t in range(periods)
    }
    stated = rows_by_id(city.part(WATER).data, "user_demands", "demand")
    solved = rows_by_id(data, "user_demands", "demand")

    def moved(demand: str) -> float:
        change = solved[demand]["base_m3_per_d"] - stated[demand]["base_m3_per_d"]
        return float(change) * yearly_per_base(data, demand)

    return WaterPlan(
        solution,
        figures,
        spent_cny,
        taken,
        {
            scope: intake[" ".join(scope).strip()] - sum(moved(demand) for demand in inside)
            for scope, inside in linked_scopes(city, instance).items()
            if inside
        },
    )


def relaxed_part(
    city: City, goals: Sequence[str], largest_m3: dict[str, float], smallest_m3: dict[str, float]
) -> CityPart | None:
    """A relaxation over the averaged year for bounds; None where there is none (phased building).

    Linked demands are as large as any plan can make them, and [W-CAP] has the room that the smallest
    would leave, so every plan of the city has a point here.
    """
    data = widest_data(city, largest_m3, city.pool_cny)
    if largest_m3 and "W-CAP" in data.targets:
        data = _with_wider_caps(data, sum(largest_m3.values()) - sum(smallest_m3.values()))
    stated = state_arrays(load(data), tuple(dict.fromkeys((*goals, "changes"))))
    if stated is None:
        return None
    names: Any = stated.milp.row_names
    c = derive_coefficients(load(data))
    finite = np.flatnonzero(np.isfinite(c.budgets.amount_cny[:, 0]))
    at = {c.budgets.sources[f]: row for f, row in zip(finite, names.members("budget_kept"), strict=True)}
    num = len(city.years)
    rows = np.repeat([at[source] for source in city.sources], num).astype(np.int64)
    return CityPart(
        name=WATER,
        milp=_continuous(stated.milp),
        objectives=stated.objectives,
        elastic=(),
        money=MoneyRows(
            rows,
            np.repeat(np.arange(len(city.sources)), num),
            np.tile(np.arange(num), len(city.sources)),
            np.ones(len(rows)),
        ),
        group=np.full(stated.milp.num_columns, -1, dtype=np.int64),
        read_plan=_no_plan,
        changes=stated.objectives["changes"].cost,
    )


def _no_plan(x: FloatArray) -> Any:
    raise AssertionError("a relaxation holds no plan")


def _continuous(milp: Milp) -> Milp:
    """The linear relaxation as a programme of its own: its integers are bounded by branch and cut elsewhere."""
    return replace(milp, integral=np.zeros(milp.num_columns, np.bool_))


def _with_wider_caps(data: InstanceData, room_m3: float) -> InstanceData:
    target = data.targets["W-CAP"]
    caps = data.tables["intake_caps"].copy()
    caps["cap_m3_per_a"] = caps["cap_m3_per_a"] + room_m3
    return replace(
        data,
        targets={**data.targets, "W-CAP": replace(target, required=target.required + room_m3)},
        tables={**data.tables, "intake_caps": caps},
    )


def _needed(city: City) -> dict[tuple[str, int], tuple[float, float]]:
    """By (demand, period) of linked demands: need per m3 of the year, and need as stated, m3/d."""
    data = city.part(WATER).data
    stated = rows_by_id(data, "user_demands", "demand")
    demands = list(dict.fromkeys(city.cooling_water["demand"]))
    if not demands:
        return {}
    # one m3/d of base each, so that a demand stated as nothing has a profile too
    to_one = {d: yearly_per_base(data, d) * (1.0 - stated[d]["base_m3_per_d"]) for d in demands}
    c: Coefficients = derive_coefficients(load(with_demand_moved(data, to_one)))
    needed = {}
    for demand in demands:
        per_base = c.demand_m3_per_d[0][c.demand_ids.index(demand)]
        base = float(stated[demand]["base_m3_per_d"])
        for t, need in enumerate(per_base.tolist()):
            needed[demand, t] = (need / yearly_per_base(data, demand), need * base)
    return needed


def _with_demands(
    rows: dict[tuple[str, str], int], scopes: dict[tuple[str, str], list[str]]
) -> dict[int, list[str]]:
    return {row: scopes[scope] for scope, row in rows.items()}

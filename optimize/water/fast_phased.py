"""Phased building on the fast path: one design for the end, built in the order of what it buys.

1. The unphased fast path designs the network of the last stage with the money of all years.
2. Its users are taken year by year, dearest value for the money first, each with the works it still
   lacks, as long as every source's budget of the year (and what is carried over) allows.
3. With the works of every stage known, each stage's volumes are set by a model of its own.
4. The bound lets everything stand from the start, at the price of the cheapest year, out of one purse
   by source, for the demand of the last stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optimize.engine.highs import solve_milp
from optimize.engine.stopping import Watch
from optimize.water.coefficients import BoolArray, Coefficients
from optimize.water.fast_goal import Weights, weights_of
from optimize.water.fast_layout import FlowModel, Part, pipe_row
from optimize.water.fast_model import build_flow_model
from optimize.water.fast_network import cheapest_mix
from optimize.water.fast_policy import pilot_users
from optimize.water.fast_steps import Solve
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray, Investments, clause_stage
from optimize.water.plan import PlanValues

LEAST_STAGE_S = 1.0
KINDS = ("pipe", "module", "connection", "cascade")
PRUNING_ROUNDS = 4
_MONEY_GOALS = ("npv", "cost")


def unsupported_when_phased(instance: Instance, goals: tuple[str, ...]) -> str | None:
    """What phased building cannot be combined with here; None if all can be taken."""
    locks, targets = instance.locks, instance.targets
    if len(goals) > 1:
        return "phased building (water.phased) with a list of goals"
    if locks["kind"].isin(["earliest", "latest"]).any() or (locks["year"] > 0).any():
        return "phased building (water.phased) with locks that name a year"
    for clause in ("W-ZLD", "W-CASCADE"):
        if clause in targets and targets[clause].hard:
            return f"phased building (water.phased) with {clause} that must be met"
    return None


# ------------------------------------------------------------------------------ views of one stage


def _one_stage(c: Coefficients, stage: int, weight: float, building_years: slice) -> Coefficients:
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
        **priced,
    )


def view_for_search(c: Coefficients) -> Coefficients:
    """The last stage, as if everything were built in the middle year."""
    middle = (len(c.stage_weight) - 1) // 2
    weight = float(c.stage_weight[middle:].sum())
    return _one_stage(c, len(c.stage_weight) - 1, weight, slice(middle, middle + 1))


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
        view = _one_stage(c, last, float(c.stage_weight.sum()), slice(None))
        nothing = np.zeros_like(c.min_take_share)
        view = replace(view, min_take_share=nothing, refusal_cost_cny_per_m3=nothing)
        return replace(instance, targets={}), view
    return replace(instance, targets=final), _one_stage(c, last, float(c.stage_weight[-1]), slice(None))


def _operation_of(instance: Instance, c: Coefficients, stage: int) -> tuple[Instance, Coefficients]:
    """The running of one stage: its own clauses, money spent elsewhere."""
    view = _one_stage(c, stage, float(c.stage_weight[stage]), slice(None))
    free: dict[str, Any] = {
        kind: replace(
            getattr(view, kind), present_cost_cny=np.zeros_like(getattr(view, kind).present_cost_cny)
        )
        for kind in ("pipes", "modules", "connections", "tankers", "cascades", "zld")
    }
    unlimited = np.full_like(view.budgets.amount_cny, np.inf)
    last = stage == len(c.stage_weight) - 1
    targets = {
        clause: target
        for clause, target in instance.targets.items()
        if clause_stage(instance.parameters, target) == stage
    }
    locks = instance.locks
    forbids = (locks["kind"] == "force_out") | ((locks["kind"] == "fix") & (locks["value"] == "none"))
    staged = replace(
        instance,
        targets=targets,
        locks=locks if last else locks[forbids].reset_index(drop=True),
        parameters=instance.parameters if last else replace(instance.parameters, num_plants_exact=0),
    )
    return staged, replace(view, budgets=replace(view.budgets, amount_cny=unlimited), **free)


# ------------------------------------------------------------------------------------- schedule


@dataclass(frozen=True)
class _Works:
    """Works of a plan in one list: by kind.

    Attributes
    ----------
    kind, row : (W,) position in `KINDS` and row of the kind's investments.
    paid_cny : (W, F) by source under the mix chosen, ``mix`` (W,).
    of_user : works each piped user needs.
    value : (U,) yearly worth of a user's water at the plan's volumes, CNY/a; 0 if not served.
    """

    kind: IntArray
    row: IntArray
    paid_cny: FloatArray
    mix: IntArray
    of_user: dict[int, IntArray]
    value: FloatArray


def _works_of(c: Coefficients, model: FlowModel, x: FloatArray, weights: Weights) -> _Works:
    """Works of an unphased plan; a user needs whatever water of its own qualities comes through."""
    shape = c.shape
    pipe, module, connected = (
        at[x[columns] > 0.5]
        for at, columns in (
            (model.pipe_at, model.pipe), (model.module_at, model.module), (model.connected_at, model.connected)
        )
    )  # fmt: skip
    cascade = np.flatnonzero(x[model.cascade] > 0.5)
    rows: list[IntArray] = [pipe_row(c, pipe), module, connected, cascade]
    kind = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    first = np.cumsum([0, *(len(row) for row in rows)])
    pipe_at = np.full((shape["E"], shape["G"]), -1, np.int64)
    pipe_at[pipe[:, 0], pipe[:, 1]] = np.arange(len(pipe))
    makers: Makers = {}
    for start, node, quality in (
        (first[1], c.plant_node[c.module_plant[module]], c.module_quality[module]),
        (first[3], c.user_node[c.cascade_user[cascade]], c.cascade_quality[cascade]),
    ):
        for k, place in enumerate(zip(node.tolist(), quality.tolist(), strict=True)):
            makers.setdefault(place, []).append(int(start) + k)
    yearly = x[model.delivered] @ c.days
    taken = np.zeros((shape["U"], shape["G"]))
    np.add.at(taken, (c.demand_user[model.delivered_at[:, 0]], model.delivered_at[:, 1]), yearly)
    inflows = _inflows(c, model, x)
    of_user = {
        int(u): np.unique([
            first[2] + k,
            *(
                work
                for g in np.flatnonzero(taken[u] > 0)
                for work in _upstream(int(c.user_node[u]), int(g), inflows, pipe_at, makers)
            ),
        ]).astype(np.int64)
        for k, u in enumerate(connected)
    }  # fmt: skip
    worth = yearly * (
        weights.per_m3(c.delivery, delivers=True)[model.delivered_at[:, 0]]
        + _worth_of_making(c, model, x, weights)[model.delivered_at[:, 1]]
    )
    value = np.bincount(c.demand_user[model.delivered_at[:, 0]], weights=worth, minlength=shape["U"])
    paid, mix = _paid(c, kind, np.concatenate(rows))
    return _Works(kind, np.concatenate(rows), paid, mix, of_user, value.astype(np.float64))


def _worth_of_making(c: Coefficients, model: FlowModel, x: FloatArray, weights: Weights) -> FloatArray:
    """Mean worth of making a m3 of each quality in the plan, (G,)."""
    p, g = model.product_at.T
    made = x[model.product] @ c.days
    total = np.bincount(g, weights=made, minlength=len(c.quality_ids))
    spent = np.bincount(g, weights=made * weights.per_m3(c.production)[p, g], minlength=len(total))
    return np.asarray(spent / np.maximum(total, 1e-9))


Inflows = dict[tuple[int, int], list[tuple[int, int]]]
"""Corridors, and the nodes they come from, by the node and quality that they bring water to."""


def _inflows(c: Coefficients, model: FlowModel, x: FloatArray) -> Inflows:
    net = x[model.flow[0]] - x[model.flow[1]]
    found: Inflows = {}
    for sign, start, end in ((1, c.corridor_from, c.corridor_to), (-1, c.corridor_to, c.corridor_from)):
        for lane in np.flatnonzero((sign * net > 1e-9).any(axis=1)):
            e, g = (int(i) for i in model.lane_at[lane])
            found.setdefault((int(end[e]), g), []).append((e, int(start[e])))
    return found


Makers = dict[tuple[int, int], list[int]]
"""Works that make a quality at a node."""


def _upstream(node: int, g: int, inflows: Inflows, pipe_at: IntArray, makers: Makers) -> set[int]:
    """Works that water of a quality passes on its ways to a node."""
    works: set[int] = set()
    seen, waiting = {node}, [node]
    while waiting:
        at = waiting.pop()
        works.update(makers.get((at, g), ()))
        for e, before in inflows.get((at, g), ()):
            works.add(int(pipe_at[e, g]))
            if before not in seen:
                seen.add(before)
                waiting.append(before)
    return works - {-1}


def _investments(c: Coefficients) -> tuple[Investments, ...]:
    """In the order of KINDS."""
    return c.pipes, c.modules, c.connections, c.cascades


def _paid(c: Coefficients, kind: IntArray, row: IntArray) -> tuple[FloatArray, IntArray]:
    """Money by source (W, F) and the mix (W,) that burdens the budgets least."""
    paid = np.zeros((len(kind), len(c.budgets.sources)))
    mix = np.zeros(len(kind), np.int64)
    total = c.budgets.amount_cny.sum(axis=1)
    for k, investments in enumerate(_investments(c)):
        at = np.flatnonzero(kind == k)
        source = c.budgets.source_of(investments.district)
        mix[at] = cheapest_mix(investments, total, source)[row[at]]
        for share in range(3):
            np.add.at(
                paid, (at, source[row[at], share]), investments.paid_cny[mix[at], row[at], share]
            )  # fmt: skip
    return paid, mix


def _order_of(works: _Works, first: IntArray) -> list[int]:
    """Users by worth for their fair share of the works' money; those of ``first`` before all others."""
    users = list(works.of_user)
    used_by = np.zeros(len(works.kind))
    for u in users:
        used_by[works.of_user[u]] += max(works.value[u], 1.0)
    money = works.paid_cny.sum(axis=1)
    ratio = {
        u: works.value[u]
        / max(
            float((money[works.of_user[u]] / used_by[works.of_user[u]]).sum()) * max(works.value[u], 1.0), 1.0
        )
        for u in users
    }
    early = set(first.tolist())
    return sorted(users, key=lambda u: (u not in early, -ratio[u], u))


def _schedule(
    instance: Instance, c: Coefficients, works: _Works, first: IntArray, without: set[int]
) -> IntArray:  # fmt: skip
    """Stage in which each work is built, (W,), the number of stages where it is never."""
    num_stages = len(c.stage_weight)
    stage = np.full(len(works.kind), num_stages)
    waiting = [u for u in _order_of(works, first) if u not in without]
    shared = np.unique(np.concatenate([np.zeros(0, np.int64), *works.of_user.values()]))
    alone = np.setdiff1d(np.arange(len(works.kind)), shared)  # what locks and counts ask for
    share = instance.parameters.carry_over_share
    carried = np.zeros(len(c.budgets.sources))
    for s in range(num_stages):
        left = c.budgets.amount_cny[:, s] + carried
        for work in alone:
            if stage[work] == num_stages and (works.paid_cny[work] <= left).all():
                stage[work] = s
                left = left - works.paid_cny[work]
        still = []
        for u in waiting:
            new = works.of_user[u][stage[works.of_user[u]] == num_stages]
            money = works.paid_cny[new].sum(axis=0)
            if (money <= left).all():
                stage[new] = s
                left = left - money
            else:
                still.append(u)
        waiting = still
        if share < 1.0:
            later = c.budgets.amount_cny[:, s + 1 :].sum(axis=1)
            left = _begin_next(works, stage, waiting, s, left, later)
        carried = share * np.where(np.isfinite(left), left, 0.0)
    complete = [own for own in works.of_user.values() if (stage[own] < num_stages).all()]
    begun_only = np.setdiff1d(shared, np.concatenate([np.zeros(0, np.int64), *complete]))
    stage[begun_only] = num_stages
    return stage


def _begin_next(
    works: _Works, stage: IntArray, waiting: list[int], now: int, left: FloatArray, later: FloatArray
) -> FloatArray:
    """Build what there is money for of the next user, where the rest can follow; money that would lapse.

    Returns what is left, (F,); ``stage`` is changed in place.
    """
    for u in waiting:
        new = works.of_user[u][stage[works.of_user[u]] > now]
        if (works.paid_cny[new].sum(axis=0) > left + later).any():
            continue
        for work in new[:-1]:
            if (works.paid_cny[work] <= left).all():
                stage[work] = now
                left = left - works.paid_cny[work]
        break
    return left


# ----------------------------------------------------------------------------------------- plan


@dataclass(frozen=True)
class PhasedPlan:
    """A plan over all stages; ``value`` counts so that more is better."""

    values: PlanValues
    value: float


def build_in_phases(
    solve: Solve, instance: Instance, c: Coefficients, wanted_first: IntArray, watch: Watch
) -> PhasedPlan | None:
    """An unphased plan built year by year, with the best volumes of every stage; None where a clause fails.

    Parameters
    ----------
    solve : the solve of `view_for_search`, whose plan this is.
    wanted_first : users served before all others (pilots have a deadline).
    """
    assert solve.model is not None and solve.x is not None
    works = _works_of(solve.c, solve.model, solve.x, weights_of(instance, solve.c, solve.goal))
    best: PhasedPlan | None = None
    without: set[int] = set()
    for _ in range(PRUNING_ROUNDS if solve.goal == "npv" else 1):
        stage = _schedule(instance, c, works, wanted_first, without)
        best = better(best, _complete(instance, c, works, stage, solve.goal, watch))
        losing = _losing(c, works, stage, float(solve.c.stage_weight[0])) - set(wanted_first.tolist())
        if not losing or watch.must_stop:
            break
        without |= losing
    return best


def _losing(c: Coefficients, works: _Works, stage: IntArray, weight: float) -> set[int]:
    """Users whose own works, built when they are, cost more than their water is worth from then on.

    Looked at one by one and as all users of a trunk or module; ``weight`` is what a yearly CNY counts
    for in `_Works.value`.
    """
    num_stages = len(c.stage_weight)
    from_stage = np.append(c.stage_weight[::-1].cumsum()[::-1], 0.0) / weight
    cost = np.zeros(len(works.kind))
    for k, investments in enumerate(_investments(c)):
        built = np.flatnonzero((works.kind == k) & (stage < num_stages))
        cost[built] = investments.present_cost_cny[stage[built], works.row[built]]
    served = {u: own for u, own in works.of_user.items() if (stage[own] < num_stages).all()}
    worth = {u: works.value[u] * from_stage[stage[own].max()] for u, own in served.items()}
    users_of: dict[int, list[int]] = {}
    for u, own in served.items():
        for work in own.tolist():
            users_of.setdefault(work, []).append(u)
    losing: set[int] = set()
    for group in {tuple(users) for users in users_of.values()}:
        members = set(group)
        needed = {work for u in group for work in served[u].tolist()}
        saved = sum(cost[work] for work in needed if members.issuperset(users_of[work]))
        if saved > sum(worth[u] for u in group):
            losing |= members
    return losing


def _complete(
    instance: Instance, c: Coefficients, works: _Works, stage: IntArray, goal: str, watch: Watch
) -> PhasedPlan | None:
    """The plan of a schedule: best volumes of every stage."""
    parts = [_standing(c, works, stage <= s) for s in range(len(c.stage_weight))]
    reuses = [works.row[(works.kind == 3) & (stage <= s)] for s in range(len(parts))]
    models: list[tuple[FlowModel, FloatArray]] = []
    for s in reversed(range(len(parts))):  # the last stage has most of the clauses
        found = _operate(instance, c, s, parts[s], reuses[s], goal, watch)
        if found is None:
            return None
        models.insert(0, found)
    values = [model.values(x, s) for s, (model, x) in enumerate(models)]
    merged = {
        name: {key: value for one in values for key, value in getattr(one, name).items()}
        for name in PlanValues.__dataclass_fields__
    }
    for k in range(len(instance.pilots)):
        merged["pilot_done"][k] = max((one.pilot_done.get(k, 0.0) for one in values), default=0.0)
    merged["mix_used"] = dict(_mixes(c, works, stage))
    return PhasedPlan(PlanValues(**merged), _value(c, works, stage, models, goal))


def _standing(c: Coefficients, works: _Works, stands: BoolArray) -> Part:
    shape = c.shape
    pipe = np.zeros(shape["E"] * shape["G"] * shape["D"], bool)
    module, connected = np.zeros(len(c.modules), bool), np.zeros(shape["U"], bool)
    for k, own in enumerate((pipe, module, connected)):
        own[works.row[stands & (works.kind == k)]] = True
    none = np.zeros(shape["U"], bool)
    return Part(pipe.reshape(shape["E"], shape["G"], shape["D"]), module, connected, none)


def _operate(
    instance: Instance, c: Coefficients, stage: int, part: Part, cascades: IntArray, goal: str, watch: Watch
) -> tuple[FlowModel, FloatArray] | None:
    """Best volumes of one stage with the works that stand."""
    staged, view = _operation_of(instance, c, stage)
    last = stage == len(c.stage_weight) - 1
    model = build_flow_model(staged, view, part).aimed_at(goal if last or goal in _MONEY_GOALS else "npv")
    lower, upper = model.milp.lower.copy(), model.milp.upper.copy()
    for columns in (model.cascade, model.zld):
        upper[columns] = 0.0
    upper[model.cascade[cascades]] = 1.0
    for columns in (model.pipe, model.module, model.connected, model.cascade[cascades]):
        lower[columns] = 1.0
    if (lower > upper).any():
        return None  # a lock asks for what the schedule has no money for
    seconds = max(watch.remaining(), LEAST_STAGE_S)
    grace = Watch(replace(watch.options, time_limit_s=seconds), True)
    outcome = solve_milp(model.milp.with_bounds(lower, upper), grace.child(gap=1e-4))
    return None if outcome.x is None else (model, outcome.x)


def _mixes(
    c: Coefficients, works: _Works, stage: IntArray
) -> Iterator[tuple[tuple[object, ...], float]]:  # fmt: skip
    """Mix of every work of a kind with several, by stage from the one in which it is built."""
    shape = c.shape
    for work in np.flatnonzero(stage < len(c.stage_weight)):
        k, row = int(works.kind[work]), int(works.row[work])
        investments = _investments(c)[k]
        if len(investments.mixes) < 2 or investments.capex_cny[row] == 0:
            continue
        at = np.unravel_index(row, (shape["E"], shape["G"], shape["D"])) if k == 0 else (row,)
        for s in range(int(stage[work]), len(c.stage_weight)):
            yield (KINDS[k], *(int(i) for i in at), s, int(works.mix[work])), 1.0


def _value(
    c: Coefficients, works: _Works, stage: IntArray, models: list[tuple[FlowModel, FloatArray]], goal: str
) -> float:
    if goal not in _MONEY_GOALS:
        model, x = models[-1]
        return model.milp.value(x)
    running = sum(model.milp.value(x) for model, x in models)
    built = np.flatnonzero(stage < len(c.stage_weight))
    outlay = sum(
        float(_investments(c)[works.kind[work]].present_cost_cny[stage[work], works.row[work]])
        for work in built
    )
    return float(running - outlay)


def asked_first(instance: Instance, solve: Solve) -> IntArray:
    """Users that make up the pilots of an unphased plan."""
    assert solve.model is not None and solve.x is not None
    done = np.flatnonzero(solve.x[solve.model.pilot] > 0.5)
    members = pilot_users(instance, solve.c)
    served = solve.model.connected_at[solve.x[solve.model.connected] > 0.5]
    users = np.concatenate([np.zeros(0, np.int64), *(members[i] for i in done)])
    return np.intersect1d(users, served)


def better(plan: PhasedPlan | None, other: PhasedPlan | None) -> PhasedPlan | None:
    """The plan worth more."""
    if plan is None or (other is not None and other.value > plan.value):
        return other
    return plan

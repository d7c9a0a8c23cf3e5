"""Phased building on the fast path: one design for the end, built in the order of what it buys.

1. The unphased fast path designs the network of the last stage with the money of all years.
2. Its users are taken year by year, dearest value for the money first, each with the works it still
   lacks, as long as every source's budget of the year (and what is carried over) allows.
3. With the works of every stage known, each stage's volumes are set by a model of its own.
4. The bound lets everything stand from the start, at the price of the cheapest year, out of one purse
   by source, for the demand of the last stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optimize.clauses import REVISE
from optimize.engine.highs import solve_milp
from optimize.engine.stopping import Watch
from optimize.revision import FROZEN_STATES
from optimize.water.changes import NO_STAGE
from optimize.water.coefficients import BoolArray, Coefficients
from optimize.water.fast_goal import weights_of
from optimize.water.fast_layout import FlowModel, Part
from optimize.water.fast_model import build_flow_model
from optimize.water.fast_policy import pilot_users
from optimize.water.fast_schedule import (
    KINDS,
    Works,
    held_by_contract,
    held_in_force,
    investments_of_kinds,
    schedule,
    works_of,
)
from optimize.water.fast_steps import Solve
from optimize.water.in_force import TANKER
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray, clause_stage
from optimize.water.one_stage import one_stage
from optimize.water.plan import PlanValues

LEAST_STAGE_S = 1.0
PRUNING_ROUNDS = 4
_MONEY_GOALS = ("npv", "cost")
_ROUNDING = 1e-6


def unsupported_when_phased(instance: Instance, goals: tuple[str, ...]) -> str | None:
    """What phased building cannot be combined with here; None if all can be taken."""
    locks, targets = instance.locks, instance.targets
    if len(goals) > 1:
        return "phased building (water.phased) with a list of goals"
    if ((locks["kind"] == "latest") | ((locks["kind"] != "earliest") & (locks["year"] > 0))).any():
        return "phased building (water.phased) with locks that name a last or only year"
    plan = instance.plan_in_force
    contracted = plan["state"].isin(FROZEN_STATES)
    if (contracted & ((plan["choice"] == TANKER) | plan["project"].str.startswith("zld:"))).any():
        return "phased building (water.phased) with contracted tankers or near-zero-discharge works"
    for clause in ("W-ZLD", "W-CASCADE"):
        if clause in targets and targets[clause].hard:
            return f"phased building (water.phased) with {clause} that must be met"
    return None


# ------------------------------------------------------------------------------ views of one stage


def view_for_search(c: Coefficients) -> Coefficients:
    """The last stage, as if everything were built in the middle year."""
    middle = (len(c.stage_weight) - 1) // 2
    weight = float(c.stage_weight[middle:].sum())
    view = one_stage(c, len(c.stage_weight) - 1, weight, slice(middle, middle + 1))
    return replace(view, budgets=replace(view.budgets, amount_cny=_money_left(c)))


def _money_left(c: Coefficients) -> FloatArray:
    """Money by source, (F, 1): of open years all, of closed ones what is in force there."""
    amount, opened = c.budgets.amount_cny, c.revision.first_open
    taken = np.zeros_like(amount)
    for kind, investments in zip(KINDS, investments_of_kinds(c), strict=True):
        stage = c.revision.own_stage(kind, np.arange(len(investments)))
        rows = np.flatnonzero(stage != NO_STAGE)
        source = c.budgets.source_of(investments.district)[rows]
        for share in range(3):
            np.add.at(taken, (source[:, share], stage[rows]), investments.paid_cny[0, rows, share])
    past = np.minimum(amount[:, :opened], taken[:, :opened]).sum(axis=1)
    return np.asarray(past + amount[:, opened:].sum(axis=1))[:, None]


def _operation_of(instance: Instance, c: Coefficients, stage: int) -> tuple[Instance, Coefficients]:
    """The running of one stage: its own clauses, money spent elsewhere."""
    view = one_stage(c, stage, float(c.stage_weight[stage]), slice(None))
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
        if clause_stage(instance.parameters, target) == stage and clause != REVISE
    }
    locks = instance.locks
    forbids = (locks["kind"] == "force_out") | ((locks["kind"] == "fix") & (locks["value"] == "none"))
    staged = replace(
        instance,
        targets=targets,
        locks=locks if last else locks[forbids].reset_index(drop=True),
        parameters=instance.parameters if last else replace(instance.parameters, num_plants_exact=0),
    )
    settled = view.revision.without_plan()  # when what is built has been decided
    budgets = replace(view.budgets, amount_cny=unlimited)
    return staged, replace(view, budgets=budgets, revision=settled, **free)


# ----------------------------------------------------------------------------------------- plan


@dataclass(frozen=True)
class PhasedPlan:
    """A plan over all stages; ``value`` counts so that more is better."""

    values: PlanValues
    value: float


def build_in_phases(
    solve: Solve, instance: Instance, c: Coefficients, earliest: Mapping[str, IntArray], wanted_first: IntArray,
    watch: Watch,
) -> PhasedPlan | None:  # fmt: skip
    """An unphased plan built year by year, with the best volumes of every stage; None where a clause fails.

    Parameters
    ----------
    solve : the solve of `view_for_search`, whose plan this is.
    instance : `without_dates`.
    earliest : `optimize.water.fast_locks.earliest_stages`.
    wanted_first : users served before all others (pilots have a deadline).
    """
    assert solve.model is not None and solve.x is not None
    weights = weights_of(instance, solve.c, solve.goal)
    works = works_of(solve.c, solve.model, solve.x, weights, c.revision, earliest)
    best = _built_in_turn(solve, instance, c, works, wanted_first, held_by_contract(works), watch)
    if not c.revision.is_empty:
        held = held_in_force(works)
        best = better(best, _built_in_turn(solve, instance, c, works, wanted_first, held, watch))
    return best


def _built_in_turn(
    solve: Solve, instance: Instance, c: Coefficients, works: Works, wanted_first: IntArray, held: IntArray,
    watch: Watch,
) -> PhasedPlan | None:  # fmt: skip
    """The best of a few schedules that keep what is ``held``, each without users at whose works the one before lost."""
    best: PhasedPlan | None = None
    without: set[int] = set()
    for _ in range(PRUNING_ROUNDS if solve.goal == "npv" else 1):
        stage = schedule(instance, c, works, wanted_first, without, held)
        if stage is None:
            break
        best = better(best, _complete(instance, c, works, stage, solve.goal, watch))
        losing = _losing(c, works, stage, float(solve.c.stage_weight[0])) - set(wanted_first.tolist())
        if not losing or watch.must_stop:
            break
        without |= losing
    return best


def _losing(c: Coefficients, works: Works, stage: IntArray, weight: float) -> set[int]:
    """Users whose own works, built when they are, cost more than their water is worth from then on.

    Looked at one by one and as all users of a trunk or module; ``weight`` is what a yearly CNY counts
    for in `Works.value`.
    """
    num_stages = len(c.stage_weight)
    from_stage = np.append(c.stage_weight[::-1].cumsum()[::-1], 0.0) / weight
    cost = np.zeros(len(works.kind))
    for k, investments in enumerate(investments_of_kinds(c)):
        built = np.flatnonzero((works.kind == k) & (stage < num_stages) & (works.contracted == NO_STAGE))
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
    instance: Instance, c: Coefficients, works: Works, stage: IntArray, goal: str, watch: Watch
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
    changed = _revised(instance, c, works, stage)
    if changed is None:
        return None
    changes, lost_cny = changed
    value = -changes if goal == "changes" else _value(c, works, stage, models, goal)
    return PhasedPlan(PlanValues(**merged), value - (lost_cny if goal in _MONEY_GOALS else 0.0))


def _revised(
    instance: Instance, c: Coefficients, works: Works, stage: IntArray
) -> tuple[float, float] | None:
    """Changes of a schedule, and what they cost (cancellations, penalty); None: more than there may be."""
    started = {}
    for k, kind in enumerate(KINDS):
        built = np.flatnonzero((works.kind == k) & (stage < len(c.stage_weight)))
        started[kind] = (works.row[built], stage[built])
    changes, owed_cny = c.revision.count(started)
    target = instance.targets.get(REVISE)
    if target is None:
        return changes, owed_cny
    if target.hard:
        return (changes, owed_cny) if changes <= target.required + _ROUNDING else None
    return changes, owed_cny + target.penalty_cny_per_unit * max(changes - target.required, 0.0)


def _standing(c: Coefficients, works: Works, stands: BoolArray) -> Part:
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
    told = goal in _MONEY_GOALS or (last and goal != "changes")
    model = build_flow_model(staged, view, part).aimed_at(goal if told else "npv")
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
    c: Coefficients, works: Works, stage: IntArray
) -> Iterator[tuple[tuple[object, ...], float]]:  # fmt: skip
    """Mix of every work of a kind with several, by stage from the one in which it is built."""
    shape = c.shape
    for work in np.flatnonzero(stage < len(c.stage_weight)):
        k, row = int(works.kind[work]), int(works.row[work])
        investments = investments_of_kinds(c)[k]
        if len(investments.mixes) < 2 or investments.capex_cny[row] == 0:
            continue
        at = np.unravel_index(row, (shape["E"], shape["G"], shape["D"])) if k == 0 else (row,)
        for s in range(int(stage[work]), len(c.stage_weight)):
            yield (KINDS[k], *(int(i) for i in at), s, int(works.mix[work])), 1.0


def _value(
    c: Coefficients, works: Works, stage: IntArray, models: list[tuple[FlowModel, FloatArray]], goal: str
) -> float:
    if goal not in _MONEY_GOALS:
        model, x = models[-1]
        return model.milp.value(x)
    running = sum(model.milp.value(x) for model, x in models)
    built = np.flatnonzero(stage < len(c.stage_weight))
    outlay = sum(
        float(investments_of_kinds(c)[works.kind[work]].present_cost_cny[stage[work], works.row[work]])
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

"""Bound on a goal: the averaged year, first as a linear, then as a Lagrangian relaxation.

What the bound leaves out only forbids plans or costs money: pilots, quota, caps, prices, single feeds,
minimum takes of single months, the peak day, penalties.  What adds possibilities is in: tankers,
cascades, existing works, every funding mix.  Storage cannot help over one averaged year.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from optimize.engine.certificate import linear_certificate
from optimize.engine.highs import solve_lp
from optimize.engine.network_bound import AveragedNetwork, LagrangianBound
from optimize.engine.stopping import Watch
from optimize.result import Certificate, KeptGoal, StopReason
from optimize.water.coefficients import Coefficients
from optimize.water.fast_goal import Kept, Weights, weights_of
from optimize.water.fast_layout import FlowModel, Part, sign_of
from optimize.water.fast_locks import LockedDecisions
from optimize.water.fast_model import averaged, build_flow_model
from optimize.water.fast_network import purses_of
from optimize.water.fast_thin import thinned
from optimize.water.flow_arrays import FlowRates
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray, Investments
from optimize.water.stated import state_relaxation

MOST_MULTIPLIERS = 60_000_000
"""Above this the Lagrangian takes too much memory (four arrays of this size)."""


def gross_bound(c: Coefficients, weights: Weights) -> float:
    """Bound without any network: every demand met from the plant that makes its water best."""
    worth = weights.per_m3
    best_make = np.where(c.can_treat, worth(c.production), -np.inf).max(axis=0, initial=-np.inf)
    reuse = worth(c.reuse)
    for i, quality in enumerate(c.cascade_quality):
        best_make[quality] = max(best_make[quality], reuse[i])
    make = np.where(c.accepts, best_make[None, :], -np.inf).max(axis=1, initial=-np.inf)
    haulage = np.maximum(worth(c.haulage), 0.0)
    delivery = worth(c.delivery, delivers=True)
    margin = np.maximum(delivery + haulage + np.where(np.isfinite(make), make, -np.inf), 0.0)
    return float((c.demand_m3_per_d[0] @ c.days) @ margin)


class WaterBound:
    """The bound of one goal, improved in slices of time; goals to be minimised count negatively.

    Parameters
    ----------
    kept : earlier goals of a list and what they reached; only the linear relaxation knows them.
    """

    def __init__(
        self, instance: Instance, c: Coefficients, locks: LockedDecisions, goal: str = "npv",
        kept: Sequence[Kept] = (),
    ) -> None:  # fmt: skip
        self._instance = instance
        self._goal, self._kept = goal, kept
        self._c = averaged(c, [np.flatnonzero(c.days > 0)])
        self._locks = locks
        self._lagrangian: LagrangianBound | None = None
        self.certificate: Certificate | None = None

    def start(self, watch: Watch) -> float | None:
        """Linear relaxation; its multipliers start the Lagrangian.  None where time runs out."""
        instance, c = self._instance, self._c
        thin = thinned(c, self._locks)
        model = build_flow_model(instance, thin, Part.whole(thin), relaxed=True)
        outcome = solve_lp(model.aimed_at(self._goal, self._kept).milp, watch)
        if outcome.row_duals is not None:
            self.certificate = self._certificate(model, outcome.row_duals)
        budget = c.budgets.amount_cny[:, 0]
        finite, purses = np.flatnonzero(np.isfinite(budget)), purses_of(c, budget)
        weights = weights_of(instance, c, self._goal)
        network = averaged_network(instance, c, self._locks, purses, weights)
        potentials = np.zeros((len(c.node_ids), len(c.quality_ids)))
        price, raw = np.zeros(len(purses)), np.zeros(len(network.source_node))
        effect = np.zeros(len(network.effect_need))
        if outcome.stop is StopReason.OPTIMAL and outcome.row_duals is not None:
            duals = outcome.row_duals
            potentials = -_duals(model, duals, "water_conserved").reshape(potentials.shape)
            price = np.maximum(_duals(model, duals, "budget_kept"), 0.0)[np.isin(finite, purses)]
            raw[: len(c.plant_ids)] = np.maximum(_duals(model, duals, "effluent_not_overdrawn"), 0.0)
            effect = np.array([
                max(-_duals(model, duals, clause).sum(), 0.0) for clause in _steered(instance)
            ])  # fmt: skip
        if len(c.node_ids) * len(network.requirement_of) <= MOST_MULTIPLIERS:
            self._lagrangian = LagrangianBound(network, potentials, price, raw, effect)
        return outcome.objective if outcome.stop is StopReason.OPTIMAL else None

    def _certificate(self, model: FlowModel, row_duals: FloatArray) -> Certificate:
        """The relaxation's multipliers in the goal's own sense, on arrays that anyone can state again."""
        goals = (*(earlier.goal for earlier in self._kept), self._goal)
        kept = [KeptGoal(earlier.goal, earlier.reached) for earlier in self._kept]
        # the model has every goal turned so that it is maximised
        turned = sign_of(self._goal) * row_duals
        for place, earlier in enumerate(self._kept, start=len(row_duals) - len(kept)):
            turned[place] *= sign_of(earlier.goal)
        milp = state_relaxation(model, goals).for_goals(goals, kept)
        return replace(linear_certificate(milp, turned), kept=tuple(kept))

    def improve(self, watch: Watch, target: float, most_iterations: int) -> float | None:
        """Volume method towards the best plan; the best bound so far."""
        if self._lagrangian is None:
            return None
        return self._lagrangian.run(watch, target, most_iterations)


def _duals(model: FlowModel, duals: FloatArray, block: str) -> FloatArray:
    rows = model.rows_of[block]
    return duals[rows[0] : rows[1]]


def _spend_by_mix(investments: Investments, c: Coefficients, purses: IntArray, num_mixes: int) -> FloatArray:
    """Money from each finite purse by mix, (X, n, R); kinds with fewer mixes repeat their last."""
    source = c.budgets.source_of(investments.district)
    position = np.full(len(c.budgets.sources), len(purses))
    position[purses] = np.arange(len(purses))
    rows = np.arange(len(investments))
    spend = np.zeros((num_mixes, len(investments), len(purses) + 1))
    for mix in range(num_mixes):
        paid = investments.paid_cny[min(mix, len(investments.mixes) - 1)]
        for column in range(3):
            np.add.at(spend[mix], (rows, position[source[:, column]]), paid[:, column])
    return spend[:, :, : len(purses)]


def averaged_network(
    instance: Instance, c: Coefficients, locks: LockedDecisions, purses: IntArray, weights: Weights
) -> AveragedNetwork:
    """Arrays of the Lagrangian relaxation from averaged coefficients."""
    shape = c.shape
    num_edges, num_grades, num_sizes = shape["E"], shape["G"], shape["D"]
    money, days = weights.money, float(c.days[0])

    def worth(rates: FlowRates, *, delivers: bool = False) -> FloatArray:
        return days * weights.per_m3(rates, delivers=delivers)

    q = np.argsort(c.demand_user, kind="stable")
    demand = c.demand_m3_per_d[0][q, 0]
    made = np.asarray(Part.whole(c).pipe.any(axis=(0, 2)))
    requirement, grade = np.nonzero(c.accepts[q] & made[None, :])
    by_grade = np.argsort(grade, kind="stable")
    by_requirement = np.argsort(requirement[by_grade], kind="stable")
    num_mixes = max(len(i.mixes) for i in (c.pipes, c.modules, c.connections, c.tankers, c.cascades))
    pipe_cost = np.zeros((num_edges, num_grades, num_sizes + 1))
    pipe_cost[:, :, 1:] = np.where(
        locks.pipe_may, money * c.pipes.present_cost_cny[0].reshape(num_edges, num_grades, num_sizes), np.inf
    )
    forced = locks.pipe_must.any(axis=2)
    pipe_cost[forced] = np.where(
        np.concatenate([np.zeros((forced.sum(), 1), bool), locks.pipe_must[forced]], axis=1),
        pipe_cost[forced], np.inf,
    )  # fmt: skip
    capacity = c.existing_pipe_m3_per_d[:, :, None] + np.concatenate([[0.0], c.pipe_capacity_m3_per_d])
    pipe_spend = np.zeros((num_mixes, *pipe_cost.shape, len(purses)))
    pipe_spend[:, :, :, 1:] = _spend_by_mix(c.pipes, c, purses, num_mixes).reshape(
        num_mixes, num_edges, num_grades, num_sizes, len(purses)
    )
    connect = money * c.connections.present_cost_cny[0]
    connect[locks.connected_must] = -np.inf
    connect[~locks.connected_may] = np.inf
    idle = money * _idle_cost(instance, c)
    sources = _source_arrays(c, locks, weights, purses, num_mixes)
    effects = _effects(instance, c, q, len(sources["source_node"]))
    return AveragedNetwork(
        tail=c.corridor_from.astype(np.int64), head=c.corridor_to.astype(np.int64),
        flow_cost=np.ascontiguousarray(
            np.stack([-worth(c.carriage)[0], np.where(c.directed, 1e15, -worth(c.carriage)[1])], axis=1)
        ),
        size_capacity=np.ascontiguousarray(capacity),
        pipe_cost=pipe_cost, pipe_spend=pipe_spend,
        **sources,
        customer_node=c.user_node.astype(np.int64),
        connect_cost=connect, connect_spend=_spend_by_mix(c.connections, c, purses, num_mixes),
        idle_cost=idle,
        haul_node=np.where(
            locks.tanker_may & (c.tanker_plant >= 0) & (idle == 0.0), c.plant_node[np.maximum(c.tanker_plant, 0)], -1
        ).astype(np.int64) if shape["P"] else np.full(shape["U"], -1, np.int64),
        haul_cost=money * c.tankers.present_cost_cny[0], haul_spend=_spend_by_mix(c.tankers, c, purses, num_mixes),
        haul_unit_cost=np.ascontiguousarray(-worth(c.haulage)[q]),
        first_requirement=np.searchsorted(c.demand_user[q], np.arange(shape["U"] + 1)).astype(np.int64),
        demand=np.ascontiguousarray(demand), least_take=np.ascontiguousarray(demand * c.min_take_share[q]),
        unit_value=np.ascontiguousarray(worth(c.delivery, delivers=True)[q]),
        grade_start=np.searchsorted(grade[by_grade], np.arange(num_grades + 1)).astype(np.int64),
        requirement_of=requirement[by_grade].astype(np.int64),
        first_commodity=np.searchsorted(
            requirement[by_grade][by_requirement], np.arange(len(demand) + 1)
        ).astype(np.int64),
        commodities_of=by_requirement.astype(np.int64),
        budget=c.budgets.amount_cny[purses, 0],
        **effects,
    )  # fmt: skip


def _source_arrays(
    c: Coefficients, locks: LockedDecisions, weights: Weights, purses: IntArray, num_mixes: int
) -> dict[str, Any]:
    """Plants first, then every cascade."""
    days, money = float(c.days[0]), weights.money
    shape = c.shape
    num_plants, num_grades, num_cascades = shape["P"], shape["G"], len(c.cascades)
    num = num_plants + num_cascades
    count = np.zeros((num_plants, num_grades), np.int64)
    np.add.at(count, (c.module_plant, c.module_quality), 1)
    num_steps = max(int(count.max(initial=0)), 1)
    capacity = np.zeros((num, num_grades, num_steps + 1))
    cost = np.full_like(capacity, np.inf)
    cost[:, :, 0] = 0.0
    spend = np.zeros((num_mixes, *capacity.shape, len(purses)))
    module_spend = _spend_by_mix(c.modules, c, purses, num_mixes)
    place = np.zeros((num_plants, num_grades), np.int64)
    for k in range(len(c.modules)):
        at = (c.module_plant[k], c.module_quality[k])
        place[at] += 1
        s = place[at]
        capacity[(*at, s)] = c.module_capacity_m3_per_d[k]
        if locks.module_may[k]:
            cost[(*at, s)] = money * c.modules.present_cost_cny[0, k]
        if locks.module_must[k]:
            cost[(*at, 0)] = np.inf
        spend[(slice(None), *at, s)] = module_spend[:, k]
    capacity[:num_plants] += c.existing_treatment_m3_per_d[:, :, None]
    per_unit = np.full((num, num_grades), np.inf)
    per_unit[:num_plants] = np.where(c.can_treat, 1.0 / c.recovery, np.inf)
    unit = np.full((num, num_grades), np.inf)
    unit[:num_plants] = np.where(c.can_treat, -days * weights.per_m3(c.production), np.inf)
    cascade_spend = _spend_by_mix(c.cascades, c, purses, num_mixes)
    reuse = -days * weights.per_m3(c.reuse)
    for i in range(num_cascades):
        at = (num_plants + i, c.cascade_quality[i])
        per_unit[at], unit[at] = 1.0, reuse[i]
        capacity[(*at, 1)] = c.cascade_limit_m3_per_d[0, i, 0]
        if locks.cascade_may[i]:
            cost[(*at, 1)] = money * c.cascades.present_cost_cny[0, i]
        spend[(slice(None), *at, 1)] = cascade_spend[:, i]
    return {
        "source_node": np.concatenate([c.plant_node, c.user_node[c.cascade_user]]).astype(np.int64),
        "unit_cost": unit,
        "raw_available": np.concatenate([c.available_m3_per_d[:, 0], c.cascade_limit_m3_per_d[0, :, 0]]),
        "raw_per_unit": per_unit, "step_capacity": capacity, "step_cost": cost, "step_spend": spend,
    }  # fmt: skip


def _steered(instance: Instance) -> list[str]:
    """Hard clauses the Lagrangian prices."""
    targets = instance.targets
    return [clause for clause in ("W-VOLUME", "W-TN") if clause in targets and targets[clause].hard]


def _idle_cost(instance: Instance, c: Coefficients) -> FloatArray:
    """Cost of not connecting a user: the loss of refused growth where [W-QUOTA] asks for every listed one."""
    idle = np.zeros(len(c.user_ids))
    quota = instance.targets.get("W-QUOTA")
    if quota is not None and quota.hard and quota.required >= c.quota_listed.sum():
        loss = c.growth_m3_per_d[0] @ c.days * c.refusal_cost_cny_per_m3 * float(c.stage_weight[0])
        by_user = np.bincount(c.demand_user, weights=loss, minlength=len(idle))
        idle[c.quota_listed] = by_user[c.quota_listed]
    return idle


def _effects(instance: Instance, c: Coefficients, q: IntArray, num_sources: int) -> dict[str, Any]:
    """Hard [W-VOLUME] and [W-TN]: totals by unit of daily flow."""
    targets, days = instance.targets, float(c.days[0])
    need, delivered, made = [], [], []
    num_grades = len(c.quality_ids)
    volume = targets.get("W-VOLUME")
    if volume is not None and volume.hard:
        need.append(volume.required)
        delivered.append(np.full(len(q), days))
        made.append(np.zeros((num_sources, num_grades)))
    nitrogen = targets.get("W-TN")
    if nitrogen is not None and nitrogen.hard:
        per_source = np.zeros((num_sources, num_grades))
        per_source[: len(c.plant_ids)] = np.where(c.can_treat, c.production.tn_kg, 0.0) * days
        for i in range(len(c.cascades)):
            per_source[len(c.plant_ids) + i, c.cascade_quality[i]] = c.reuse.tn_kg[i] * days
        need.append(nitrogen.required)
        delivered.append(np.zeros(len(q)))
        made.append(per_source)
    return {
        "effect_need": np.array(need, float),
        "effect_delivered": np.array(delivered, float).reshape(len(need), len(q)).T.copy(),
        "effect_made": np.moveaxis(
            np.array(made, float).reshape(len(need), num_sources, num_grades), 0, 2
        ).copy(),
    }

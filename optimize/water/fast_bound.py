"""Bound on a goal: the averaged year, first as a linear, then as a Lagrangian relaxation.

What the bound leaves out only forbids plans or costs money: pilots, quota, caps, prices, single feeds,
minimum takes of single months, the peak day, penalties.  What adds possibilities is in: tankers,
cascades, existing works, every funding mix.  Storage cannot help over one averaged year.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optimize.engine.certificate import linear_certificate
from optimize.engine.highs import solve_lp
from optimize.engine.network_bound import BoundSettings, LagrangianBound, Prices
from optimize.engine.network_start import start_over_cheapest_ways
from optimize.engine.seasonal_network import SeasonalNetwork
from optimize.engine.stopping import Watch
from optimize.result import Certificate, KeptGoal, StopReason
from optimize.water.coefficients import Coefficients
from optimize.water.fast_goal import Kept, Weights, weights_of
from optimize.water.fast_ingredients import ALL, Ingredients
from optimize.water.fast_layout import FlowModel, Part, sign_of
from optimize.water.fast_locks import LockedDecisions
from optimize.water.fast_model import averaged, build_flow_model
from optimize.water.fast_network import purses_of
from optimize.water.fast_proof import SECONDS_PER_MULTIPLIER, network_certificate, unstored_certificate
from optimize.water.fast_thin import thinned
from optimize.water.flow_arrays import FlowRates
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray, Investments
from optimize.water.stated import state_relaxation

MOST_MULTIPLIERS = 10_000_000
"""Of the Lagrangian by season, about; where there would be more, those far from customers are shared."""
FIRST_MULTIPLIERS, WIDER, WIDE_ENOUGH = 40_000, 4, 0.25
"""How many the Lagrangian begins with, by what factor there are more each time it hardly gains any more, and up to
what share of those in full: the rest costs three times the time of a round and brings next to nothing."""
QUICK_MULTIPLIERS = 6_000_000
"""Up to this a bound over more seasons is worth the time of its rounds."""
MOST_LINEAR_COLUMNS = 150_000
"""Above this the linear relaxation takes longer than the rest of the bound."""
FIRST_NODES = 8
"""At least around how many nodes each commodity has its own to begin with; with 25 size l is behind at any time of the first minute."""
LEAST_ROUNDS = 200
"""With as many multipliers, however little they gain: the first rounds after a change gain little."""
MOST_TO_PROVE = 60_000_000
"""Above this multipliers in full, as a certificate has them, take too much memory."""
SECONDS_PER_WIDER, SECONDS_PER_REFINED = 1.5e-6, 3e-7
"""What it takes to begin with so many more multipliers, or seasons, for each multiplier there is then."""
WORTH_BEGINNING = 4.0
"""Times as long as it takes to begin with more multipliers has to be left, or what they bring does not pay for that."""
SETTLED_SHARE = 0.01
"""Share of the open gap that a slice has to close, or the bound goes on to more seasons."""


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


@dataclass(frozen=True)
class _Relaxed:
    """The linear relaxation solved: its model, value and multipliers."""

    model: FlowModel
    value: float
    row_duals: FloatArray | None


class WaterBound:
    """The bound of one goal, improved in slices of time; goals to be minimised count negatively.

    The Lagrangian begins with the mean of all periods; where it hardly gains any more, and there is
    no storage that shifts water between periods, every period becomes a season of its own.

    Parameters
    ----------
    kept : earlier goals of a list and what they reached; only the linear relaxation knows them.
    """

    def __init__(
        self, instance: Instance, c: Coefficients, locks: LockedDecisions, goal: str = "npv",
        kept: Sequence[Kept] = (), ingredients: Ingredients = ALL,
    ) -> None:  # fmt: skip
        self._instance = instance
        self._ingredients = ingredients
        self._goal, self._kept = goal, kept
        self._all = c
        self._groups = [np.flatnonzero(c.days > 0)]
        self._c = averaged(c, self._groups)
        self._locks = locks
        self._lagrangian: LagrangianBound | None = None
        self._best = np.inf
        self.threads = 1  # may be changed at any time, from any thread
        self.certificate: Certificate | None = None

    @property
    def num_seasons(self) -> int:
        """Into how many seasons the year is split by now; 0 without a Lagrangian."""
        return 0 if self._lagrangian is None else self._lagrangian.network.num_seasons

    def start(self, watch: Watch) -> float | None:
        """Linear relaxation; its multipliers start the Lagrangian.  None where time runs out."""
        relaxed = self._solve_linear(watch) if self._ingredients.linear else None
        if self._ingredients.lagrangian:
            self._begin_lagrangian(relaxed)
        return None if relaxed is None else relaxed.value

    def _solve_linear(self, watch: Watch) -> _Relaxed | None:
        """The linear relaxation; its multipliers are a certificate even where time runs out."""
        model = self._linear_model()
        if model.milp.num_columns > MOST_LINEAR_COLUMNS:
            return None
        outcome = solve_lp(model.aimed_at(self._goal, self._kept).milp, watch)
        if outcome.row_duals is not None:
            self.certificate = self._certificate(model, outcome.row_duals)
        if outcome.stop is not StopReason.OPTIMAL or outcome.objective is None:
            return None
        return _Relaxed(model, outcome.objective, outcome.row_duals)

    def _linear_model(self) -> FlowModel:
        thin = thinned(self._c, self._locks)
        return build_flow_model(self._instance, thin, Part.whole(thin), relaxed=True)

    def _begin_lagrangian(self, relaxed: _Relaxed | None) -> None:
        """Multipliers from the linear relaxation where it was solved, else over the cheapest ways."""
        network = self._network(self._c, one_way=len(self._all.days) == 1)
        if relaxed is None or relaxed.row_duals is None:
            start = start_over_cheapest_ways(network)
            potentials, prices = start.potential, start.prices
        else:
            potentials, prices = self._relaxed_multipliers(network, relaxed.model, relaxed.row_duals)
        first = max(FIRST_MULTIPLIERS, FIRST_NODES * len(network.requirement_of))
        most = min(first, MOST_MULTIPLIERS) if self._ingredients.widening else MOST_MULTIPLIERS
        settings = BoundSettings(origins=self._ingredients.origins, most_multipliers=most)
        self._lagrangian = LagrangianBound(network, potentials, prices, settings)

    def _relaxed_multipliers(
        self, network: SeasonalNetwork, model: FlowModel, duals: FloatArray
    ) -> tuple[FloatArray, Prices]:
        """Potentials (N, G) and prices of the linear relaxation."""
        c = self._c
        budget = c.budgets.amount_cny[:, 0]
        finite, purses = np.flatnonzero(np.isfinite(budget)), purses_of(c, budget)
        price = np.maximum(_duals(model, duals, "budget_kept"), 0.0)[np.isin(finite, purses)]
        raw = np.zeros(network.raw_available.shape)
        raw[0, : len(c.plant_ids)] = np.maximum(_duals(model, duals, "effluent_not_overdrawn"), 0.0)
        effect = np.array([abs(_duals(model, duals, clause).sum()) for clause in _steered(self._instance)])
        potentials = -_duals(model, duals, "water_conserved").reshape(network.num_nodes, -1)
        return potentials, Prices(price, raw, effect)

    def _network(self, c: Coefficients, *, one_way: bool) -> SeasonalNetwork:
        purses = purses_of(c, c.budgets.amount_cny[:, 0])
        weights = weights_of(self._instance, c, self._goal)
        one_way = one_way and self._ingredients.one_way
        return seasonal_network(self._instance, c, self._locks, purses, weights, one_way=one_way)

    def _certificate(self, model: FlowModel, row_duals: FloatArray | None) -> Certificate:
        """The relaxation's multipliers (None: all 0) in the goal's own sense, on arrays that anyone can state again."""
        goals = (*(earlier.goal for earlier in self._kept), self._goal)
        kept = [KeptGoal(earlier.goal, earlier.reached) for earlier in self._kept]
        milp = state_relaxation(model, goals).for_goals(goals, kept)
        # the model has every goal turned so that it is maximised
        turned = np.zeros(milp.num_rows) if row_duals is None else sign_of(self._goal) * row_duals
        for place, earlier in enumerate(self._kept, start=len(turned) - len(kept)):
            turned[place] *= sign_of(earlier.goal)
        return replace(linear_certificate(milp, turned), kept=tuple(kept))

    @property
    def seconds_to_prove(self) -> float:
        """What `prove` takes."""
        if self._lagrangian is None:
            return 0.0
        in_full = self._num_multipliers_in_full(self._lagrangian.network)
        return SECONDS_PER_MULTIPLIER * in_full if in_full <= MOST_TO_PROVE else 0.0

    @staticmethod
    def _num_multipliers_in_full(network: SeasonalNetwork) -> int:
        return network.num_seasons * network.num_nodes * len(network.requirement_of)

    def prove(self, *, stored: bool = True) -> Certificate | None:
        """A certificate with the Lagrangian's multipliers too; None where these prove no more than the linear relaxation.

        Parameters
        ----------
        stored : False: there is no time to write the multipliers down, so the certificate only tells what they proved.
        """
        lagrangian, side = self._lagrangian, sign_of(self._goal)
        if lagrangian is None or not np.isfinite(lagrangian.best):
            return None
        linear = self.certificate or self._certificate(self._linear_model(), None)
        if lagrangian.best >= side * linear.bound:
            return None
        in_full = self._num_multipliers_in_full(lagrangian.network)
        state = network_certificate if stored and in_full <= MOST_TO_PROVE else unstored_certificate
        network = state(self._instance, self._all, self._goal, lagrangian, self._groups)
        return replace(linear, network=network) if side * network.bound < side * linear.bound else None

    def improve(self, watch: Watch, target: float, most_iterations: int) -> float | None:
        """Volume method towards the best plan; the best bound so far."""
        if self._lagrangian is None:
            return None
        if self._lagrangian.settings.threads != self.threads:
            self._lagrangian.use_threads(self.threads)
        before = self._lagrangian.best
        best = self._lagrangian.run(watch, target, most_iterations)
        self._best = min(self._best, best)
        settled = before - best < SETTLED_SHARE * abs(best - target)
        if settled and self._lagrangian.iterations >= LEAST_ROUNDS:
            if self._may_widen():
                wider = min(WIDER * self._lagrangian.settings.most_multipliers, MOST_MULTIPLIERS)
                if watch.remaining() > WORTH_BEGINNING * SECONDS_PER_WIDER * wider:
                    self._lagrangian = self._lagrangian.widened(wider)
            elif self._may_refine() and watch.remaining() > WORTH_BEGINNING * self._seconds_to_refine():
                self._refine()
            # at once, so that there is always something that proves the bound
            self._best = min(self._best, self._lagrangian.run(watch, target, 0))
        return self._best

    def _may_widen(self) -> bool:
        """While the year is one season: with more of them there are more multipliers already."""
        assert self._lagrangian is not None
        network, most = self._lagrangian.network, self._lagrangian.settings.most_multipliers
        in_full = network.num_nodes * len(network.requirement_of)
        return network.num_seasons == 1 and most < min(WIDE_ENOUGH * in_full, MOST_MULTIPLIERS)

    def _may_refine(self) -> bool:
        assert self._lagrangian is not None
        network = self._lagrangian.network
        periods = int(np.count_nonzero(self._all.days > 0))
        size = self._lagrangian.multipliers.size * periods
        if not self._ingredients.seasons:
            return False
        return network.num_seasons < periods and len(self._all.storage) == 0 and size <= QUICK_MULTIPLIERS

    def _seconds_to_refine(self) -> float:
        """To begin with every period as a season, and more than now to prove the bound in the end."""
        assert self._lagrangian is not None
        periods = int(np.count_nonzero(self._all.days > 0))
        more = SECONDS_PER_REFINED * self._lagrangian.multipliers.size * periods
        return more + (periods / self._lagrangian.network.num_seasons - 1) * self.seconds_to_prove

    def _refine(self) -> None:
        """Every period a season."""
        assert self._lagrangian is not None
        periods = np.flatnonzero(self._all.days > 0)
        self._groups = [np.array([period]) for period in periods]
        seasons = averaged(self._all, self._groups)
        share = seasons.days / seasons.days.sum()
        network = self._network(seasons, one_way=True)
        self._lagrangian = self._lagrangian.refined(network, share, np.zeros(len(periods), np.int64))


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
    return np.ascontiguousarray(spend[:, :, : len(purses)])


def seasonal_network(
    instance: Instance, c: Coefficients, locks: LockedDecisions, purses: IntArray, weights: Weights, *,
    one_way: bool,
) -> SeasonalNetwork:  # fmt: skip
    """Arrays of the Lagrangian relaxation; every period of the coefficients is a season."""
    shape = c.shape
    num_edges, num_grades, num_sizes = shape["E"], shape["G"], shape["D"]
    money = weights.money

    def worth(rates: FlowRates, *, delivers: bool = False) -> FloatArray:
        """By season first."""
        per_m3 = weights.per_m3(rates, delivers=delivers)
        return np.multiply.outer(c.days, per_m3)

    q = np.argsort(c.demand_user, kind="stable")
    demand = np.ascontiguousarray(c.demand_m3_per_d[0][q].T)
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
    carriage = worth(c.carriage)
    return SeasonalNetwork(
        tail=c.corridor_from.astype(np.int64), head=c.corridor_to.astype(np.int64),
        flow_cost=np.ascontiguousarray(
            np.stack([-carriage[:, 0], np.where(c.directed, 1e15, -carriage[:, 1])], axis=2)
        ),
        one_way=one_way,
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
        haul_unit_cost=np.ascontiguousarray(-worth(c.haulage)[:, q]),
        first_requirement=np.searchsorted(c.demand_user[q], np.arange(shape["U"] + 1)).astype(np.int64),
        demand=demand, least_take=demand * c.min_take_share[q],
        unit_value=np.ascontiguousarray(worth(c.delivery, delivers=True)[:, q]),
        grade_start=np.searchsorted(grade[by_grade], np.arange(num_grades + 1)).astype(np.int64),
        requirement_of=requirement[by_grade].astype(np.int64),
        first_commodity=np.searchsorted(
            requirement[by_grade][by_requirement], np.arange(len(q) + 1)
        ).astype(np.int64),
        commodities_of=by_requirement.astype(np.int64),
        budget=c.budgets.amount_cny[purses, 0],
        **effects,
    )  # fmt: skip


def _source_arrays(
    c: Coefficients, locks: LockedDecisions, weights: Weights, purses: IntArray, num_mixes: int
) -> dict[str, Any]:
    """Plants first, then every cascade."""
    money = weights.money
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
    num_seasons = len(c.days)
    per_unit = np.full((num, num_grades), np.inf)
    per_unit[:num_plants] = np.where(c.can_treat, 1.0 / c.recovery, np.inf)
    unit = np.full((num_seasons, num, num_grades), np.inf)
    made = np.multiply.outer(c.days, weights.per_m3(c.production))
    unit[:, :num_plants] = np.where(c.can_treat, -made, np.inf)
    cascade_spend = _spend_by_mix(c.cascades, c, purses, num_mixes)
    reuse = -np.multiply.outer(c.days, weights.per_m3(c.reuse))
    for i in range(num_cascades):
        at = (num_plants + i, c.cascade_quality[i])
        per_unit[at] = 1.0
        unit[(slice(None), *at)] = reuse[:, i]
        capacity[(*at, 1)] = c.cascade_limit_m3_per_d[0, i].max()
        if locks.cascade_may[i]:
            cost[(*at, 1)] = money * c.cascades.present_cost_cny[0, i]
        spend[(slice(None), *at, 1)] = cascade_spend[:, i]
    return {
        "source_node": np.concatenate([c.plant_node, c.user_node[c.cascade_user]]).astype(np.int64),
        "unit_cost": unit,
        "raw_available": np.ascontiguousarray(
            np.concatenate([c.available_m3_per_d, c.cascade_limit_m3_per_d[0]]).T
        ),
        "raw_per_unit": per_unit, "step_capacity": capacity, "step_cost": cost, "step_spend": spend,
    }  # fmt: skip


def _steered(instance: Instance) -> list[str]:
    """Hard clauses the Lagrangian prices."""
    targets = instance.targets
    return [clause for clause in ("W-VOLUME", "W-TN", "W-NEAR") if clause in targets and targets[clause].hard]


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
    """Hard [W-VOLUME], [W-TN] and [W-NEAR]: totals by unit of daily flow.

    The mean distance counts what pipes deliver; here water off the network may count as well, which
    only allows more.
    """
    num_grades, num_edges = len(c.quality_ids), len(c.corridor_ids)
    clauses = _steered(instance)
    need = np.zeros(len(clauses))
    delivered = np.zeros((len(q), len(clauses)))
    made = np.zeros((num_sources, num_grades, len(clauses)))
    carried = np.zeros((num_edges, len(clauses)))
    for k, clause in enumerate(clauses):
        required = instance.targets[clause].required
        if clause == "W-VOLUME":
            need[k], delivered[:, k] = required, 1.0
        elif clause == "W-TN":
            need[k] = required
            made[: len(c.plant_ids), :, k] = np.where(c.can_treat, c.production.tn_kg, 0.0)
            made[len(c.plant_ids) + np.arange(len(c.cascades)), c.cascade_quality, k] = c.reuse.tn_kg
        else:
            delivered[:, k], carried[:, k] = required, -c.length_km
    return {
        "effect_need": need,
        "effect_delivered": np.multiply.outer(c.days, delivered),
        "effect_made": np.multiply.outer(c.days, made),
        "effect_carried": np.multiply.outer(c.days, carried),
    }

"""The subproblems of a network's relaxation at given multipliers of its global rows, from the instance's coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimize.water.coefficients import BoolArray, Coefficients
from optimize.water.fast_goal import Weights, weights_of
from optimize.water.fast_locks import LockedDecisions
from optimize.water.flow_arrays import FlowRates
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray, Investments
from optimize.water.proof.multipliers import NetworkMultipliers, commodities, steered_clauses


@dataclass(frozen=True)
class Lanes:
    """Corridors E with every quality G and choice of pipe S (the first: none); costs inf where not allowed."""

    tail: IntArray  # (E,) node
    head: IntArray  # (E,)
    fare: FloatArray  # (T, 2, E) per m3/d from tail to head, and back
    allowed: BoolArray  # (2, E)
    single: BoolArray  # (T,) in which water runs one way only
    capacity: FloatArray  # (E, G, S) m3/d
    cost: FloatArray  # (E, G, S)


@dataclass(frozen=True)
class Sources:
    """Plants, then cascades (O), with every quality and step K (the first: what stands)."""

    node: IntArray  # (O,)
    makes: BoolArray  # (O, G)
    unit: FloatArray  # (T, O, G) cost of a m3/d
    limit: FloatArray  # (T, O, G) m3/d from the raw water there is
    origin_limit: FloatArray  # (T, O, G) m3/d that any step allows
    capacity: FloatArray  # (O, G, K) m3/d
    cost: FloatArray  # (O, G, K)


@dataclass(frozen=True)
class Users:
    """What the users ask for, and what it costs to serve them."""

    node: IntArray  # (U,)
    haul_node: IntArray  # (U,) where a tanker is filled, -1: it may not be
    connect: FloatArray  # (U,) inf: must not
    must: BoolArray  # (U,) has to be connected
    haul: FloatArray  # (U,)
    idle: FloatArray  # (U,) of serving a user in neither way
    of_demand: IntArray  # (Q,)
    demand: FloatArray  # (T, Q) m3/d
    least: FloatArray  # (T, Q) m3/d that a connected user takes
    value: FloatArray  # (T, Q) of a m3/d
    haulage: FloatArray  # (T, Q) cost of a m3/d by tanker


@dataclass(frozen=True)
class Terms:
    """The whole relaxation at some prices; worth counts up, costs down."""

    quality: IntArray  # (W,) of each commodity, rising
    demand: IntArray  # (W,)
    lanes: Lanes
    sources: Sources
    users: Users
    constants: tuple[float, ...]


def state_terms(
    instance: Instance, c: Coefficients, locks: LockedDecisions, goal: str, single: BoolArray,
    prices: NetworkMultipliers,
) -> Terms:  # fmt: skip
    """Subproblems at the prices of purses, raw water and effects.

    Parameters
    ----------
    c : over the seasons (`optimize.water.fast_model.averaged`).
    single : shape (T,), seasons of one period.
    """
    pricing = _Pricing(instance, c, weights_of(instance, c, goal), prices)
    quality, demand = commodities(c)
    lanes = pricing.lanes(locks, single)
    return Terms(
        quality, demand, lanes, pricing.sources(locks), pricing.users(locks), pricing.constants()
    )  # fmt: skip


@dataclass(frozen=True)
class _Pricing:
    instance: Instance
    c: Coefficients
    weights: Weights
    prices: NetworkMultipliers

    def _price_of(self, clause: str) -> float:
        clauses = steered_clauses(self.instance)
        return float(self.prices.effect[clauses.index(clause)]) if clause in clauses else 0.0

    def _required(self, clause: str) -> float:
        return float(self.instance.targets[clause].required) if self._price_of(clause) else 0.0

    def _worth(self, rates: FlowRates, *, delivers: bool = False) -> FloatArray:
        """Of a m3/d in each season, season first."""
        per_m3 = self.weights.per_m3(rates, delivers=delivers)
        return np.asarray(self.c.days.reshape(-1, *([1] * per_m3.ndim)) * per_m3)

    def _days(self, ndim: int) -> FloatArray:
        return self.c.days.reshape(-1, *([1] * ndim))

    def _cost(self, investments: Investments) -> FloatArray:
        """Present cost, and the money of the mix that is cheapest at the prices of the purses, (n,)."""
        source = self.c.budgets.source_of(investments.district)
        money = (investments.paid_cny * self.prices.purse[source]).sum(axis=2).min(axis=0)
        return np.asarray(self.weights.money * investments.present_cost_cny[0] + money)

    def constants(self) -> tuple[float, ...]:
        c, prices = self.c, self.prices
        priced = np.flatnonzero(prices.purse)
        budgets = prices.purse[priced] * c.budgets.amount_cny[priced, 0]
        raw = prices.raw * _raw_available(c)
        steered = [self._price_of(k) * self._required(k) for k in ("W-VOLUME", "W-TN")]
        return (*budgets.tolist(), *raw.ravel().tolist(), *(-need for need in steered))

    def lanes(self, locks: LockedDecisions, single: BoolArray) -> Lanes:
        c = self.c
        carriage = self._worth(c.carriage)
        far = self._price_of("W-NEAR") * self._days(1) * c.length_km
        fare = far[:, None, :] - carriage
        shape = (c.shape["E"], c.shape["G"])
        built = self._cost(c.pipes).reshape(*shape, -1)
        forced: BoolArray = np.asarray(locks.pipe_must.any(axis=2))
        may = np.concatenate([np.ones((*shape, 1), bool), locks.pipe_may], axis=2)
        must = np.concatenate([np.zeros((*shape, 1), bool), locks.pipe_must], axis=2)
        allowed = np.where(forced[:, :, None], must & may, may)
        cost = np.where(allowed, np.concatenate([np.zeros((*shape, 1)), built], axis=2), np.inf)
        capacity = c.existing_pipe_m3_per_d[:, :, None] + np.concatenate([[0.0], c.pipe_capacity_m3_per_d])
        return Lanes(
            tail=c.corridor_from,
            head=c.corridor_to,
            fare=fare,
            allowed=np.stack([np.ones(len(c.directed), bool), ~c.directed]),
            # opposite flows of a period cancel out, at no loss as long as carrying costs something
            single=single & (fare.sum(axis=1) >= 0.0).all(axis=1),
            capacity=capacity,
            cost=cost,
        )

    def sources(self, locks: LockedDecisions) -> Sources:
        c = self.c
        num_plants, num_qualities, num_cascades = c.shape["P"], c.shape["G"], len(c.cascades)
        num = num_plants + num_cascades
        own = (num_plants + np.arange(num_cascades), c.cascade_quality)
        makes = np.zeros((num, num_qualities), bool)
        makes[:num_plants] = c.can_treat
        makes[own] = True
        tn_price = self._price_of("W-TN")
        unit = np.zeros((len(c.days), num, num_qualities))
        limit = np.zeros_like(unit)
        raw = self.prices.raw[:, :, None]
        unit[:, :num_plants] = raw[:, :num_plants] / c.recovery - self._worth(c.production)
        unit[:, :num_plants] -= self._days(2) * tn_price * c.production.tn_kg
        unit[:, *own] = self.prices.raw[:, num_plants:] - self._worth(c.reuse)
        unit[:, *own] -= self._days(1) * tn_price * c.reuse.tn_kg
        available = _raw_available(c)
        limit[:, :num_plants] = available[:, :num_plants, None] * c.recovery
        limit[:, *own] = available[:, num_plants:]
        capacity, cost = self._steps(locks, own)
        largest = np.where(np.isfinite(cost), capacity, 0.0).max(axis=2)
        return Sources(
            node=np.concatenate([c.plant_node, c.user_node[c.cascade_user]]).astype(np.int64),
            makes=makes,
            unit=unit,
            limit=limit,
            origin_limit=np.where(makes, np.minimum(limit, largest), 0.0),
            capacity=capacity,
            cost=cost,
        )

    def _steps(
        self, locks: LockedDecisions, cascade_at: tuple[IntArray, IntArray]
    ) -> tuple[FloatArray, FloatArray]:
        """Capacity and cost of every step a source may take, (O, G, K); unused steps cost inf."""
        c = self.c
        num_plants, num_qualities = c.shape["P"], c.shape["G"]
        place = c.module_plant * num_qualities + c.module_quality
        rank = np.zeros(len(place), np.int64)
        for own in np.unique(place):
            rank[place == own] = 1 + np.arange(np.count_nonzero(place == own))
        steps = 1 + max(int(rank.max(initial=0)), 1)
        capacity = np.zeros((num_plants + len(c.cascades), num_qualities, steps))
        cost = np.full_like(capacity, np.inf)
        cost[:, :, 0] = 0.0
        capacity[c.module_plant, c.module_quality, rank] = c.module_capacity_m3_per_d
        cost[c.module_plant, c.module_quality, rank] = np.where(
            locks.module_may, self._cost(c.modules), np.inf
        )
        cost[c.module_plant[locks.module_must], c.module_quality[locks.module_must], 0] = np.inf
        capacity[:num_plants] += c.existing_treatment_m3_per_d[:, :, None]
        capacity[*cascade_at, 1] = c.cascade_limit_m3_per_d[0].max(axis=1, initial=0.0)
        cost[*cascade_at, 1] = np.where(locks.cascade_may, self._cost(c.cascades), np.inf)
        return capacity, cost

    def users(self, locks: LockedDecisions) -> Users:
        c = self.c
        idle = self.weights.money * self._refusal_cost()
        by_tanker = locks.tanker_may & (c.tanker_plant >= 0) & (idle == 0.0)
        filled_at = c.plant_node[np.maximum(c.tanker_plant, 0)] if len(c.plant_node) else c.tanker_plant
        asked = self._price_of("W-VOLUME") + self._price_of("W-NEAR") * self._required("W-NEAR")
        demand = c.demand_m3_per_d[0].T
        return Users(
            node=c.user_node,
            haul_node=np.where(by_tanker, filled_at, -1),
            connect=np.where(locks.connected_may, self._cost(c.connections), np.inf),
            must=locks.connected_must,
            haul=self._cost(c.tankers),
            idle=idle,
            of_demand=c.demand_user,
            demand=demand,
            least=demand * c.min_take_share,
            value=self._worth(c.delivery, delivers=True) + self._days(1) * asked,
            haulage=-self._worth(c.haulage),
        )

    def _refusal_cost(self) -> FloatArray:
        """CNY lost by leaving a user out where [W-QUOTA] asks for every listed one: then it is refused growth, (U,).

        Who is refused growth has no tanker either.
        """
        c, quota = self.c, self.instance.targets.get("W-QUOTA")
        lost = np.zeros(len(c.user_ids))
        if quota is not None and quota.hard and quota.required >= c.quota_listed.sum():
            yearly = c.growth_m3_per_d[0] @ c.days * c.refusal_cost_cny_per_m3
            np.add.at(lost, c.demand_user, float(c.stage_weight[0]) * yearly)
        return np.where(c.quota_listed, lost, 0.0)


def _raw_available(c: Coefficients) -> FloatArray:
    """m3/d of effluent by season, plants and cascades, (T, O)."""
    return np.concatenate([c.available_m3_per_d, c.cascade_limit_m3_per_d[0]]).T

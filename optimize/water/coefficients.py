"""The instance as flat arrays: what both solving paths need, without any solver.

Axes: N nodes (plants, junctions, users, in this order), P plants, U users, Q demands, G qualities,
E corridors, D diameters, K module rows, C cascades, H storage sites, T periods (the peak day, if
any, is the last and has 0 days), S stages (build years; 1 unless phased).

Economics.  Building in year s costs ``present_cost_cny[s]``; running 1 CNY/a while stage s operates
is worth ``stage_weight[s]``.  A rate below is per m3; multiply by m3/d, ``days[t]`` and
``stage_weight[s]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimize.units import DAYS_PER_MONTH
from optimize.water.changes import Revision, derive_revision
from optimize.water.in_force import PlanInForce, derive_plan_in_force
from optimize.water.instance import Instance, accepted_qualities
from optimize.water.investments import (
    Budgets,
    FloatArray,
    IntArray,
    Investments,
    derive_budgets,
    derive_investments,
    derive_stage_weights,
    due_by_contract,
    index_of,
    with_contracts,
)

BoolArray = NDArray[np.bool_]

GRAVITY_M_PER_S2 = 9.80665
SEASONS = ((2, 3, 4), (5, 6, 7), (8, 9, 10), (11, 0, 1))
"""Months (0-based) of spring, summer, autumn, winter."""


@dataclass(frozen=True)
class FlowRates:
    """What one m3 of a flow brings and costs; arrays of one shape.

    ``benefit_cny`` counts for the net present value only; ``co2_kg`` and ``tn_kg`` are avoided
    emissions (negative where the flow emits) and nitrogen kept out.
    """

    benefit_cny: FloatArray
    cost_cny: FloatArray
    co2_kg: FloatArray
    tn_kg: FloatArray

    def net_value_cny(self, carbon_cny_per_t: float, tn_value_cny_per_kg: float) -> FloatArray:
        """Net value per m3 in the net present value."""
        return (
            self.benefit_cny
            - self.cost_cny
            + carbon_cny_per_t / 1000.0 * self.co2_kg
            + tn_value_cny_per_kg * self.tn_kg
        )


@dataclass(frozen=True)
class Coefficients:
    """See the module's docstring for the axes; ids are in the order of the tables."""

    node_ids: tuple[str, ...]
    plant_ids: tuple[str, ...]
    user_ids: tuple[str, ...]
    demand_ids: tuple[str, ...]
    quality_ids: tuple[str, ...]
    corridor_ids: tuple[str, ...]
    diameter_ids: tuple[str, ...]

    days: FloatArray  # (T,)
    stage_weight: FloatArray  # (S,)

    plant_node: IntArray  # (P,)
    available_m3_per_d: FloatArray  # (P, T) effluent less ecological discharge
    effluent_m3_per_d: FloatArray  # (P, T)
    tn_mg_per_l: FloatArray  # (P,)
    tn_limit_mg_per_l: FloatArray  # (P,), nan: none
    can_treat: BoolArray  # (P, G)
    recovery: FloatArray  # (P, G), 1 where it cannot treat
    existing_treatment_m3_per_d: FloatArray  # (P, G)
    production: FlowRates  # (P, G)

    module_plant: IntArray  # (K,)
    module_quality: IntArray  # (K,)
    module_capacity_m3_per_d: FloatArray  # (K,)
    modules: Investments  # n = K

    user_node: IntArray  # (U,)
    single_feed: BoolArray  # (U,)
    quota_listed: BoolArray  # (U,)
    tanker_plant: IntArray  # (U,), -1: none
    connections: Investments  # n = U
    tankers: Investments  # n = U

    demand_user: IntArray  # (Q,)
    demand_need: IntArray  # (Q,)
    accepts: BoolArray  # (Q, G)
    demand_m3_per_d: FloatArray  # (S, Q, T) with growth
    growth_m3_per_d: FloatArray  # (S, Q, T) part of it that can be refused
    min_take_share: FloatArray  # (Q,)
    delivery: FlowRates  # (Q,)
    haulage: FlowRates  # (Q,) of a m3 by tanker besides what `delivery` says
    refusal_cost_cny_per_m3: FloatArray  # (Q,)
    max_price_cny_per_m3: FloatArray  # (Q,)

    corridor_from: IntArray  # (E,) node
    corridor_to: IntArray  # (E,) node
    length_km: FloatArray  # (E,)
    directed: BoolArray  # (E,)
    carriage: FlowRates  # (2, E): 0 from -> to, 1 to -> from
    existing_pipe_m3_per_d: FloatArray  # (E, G)
    pipe_capacity_m3_per_d: FloatArray  # (D,)
    pipes: Investments  # n = E * G * D, pipe (e, g, d) at (e * G + g) * D + d

    storage_node: IntArray  # (H,)
    storage_quality: IntArray  # (H,)
    storage_volume_m3: FloatArray  # (H,)
    storage: Investments  # n = H

    cascade_user: IntArray  # (C,)
    cascade_quality: IntArray  # (C,)
    cascade_return_share: FloatArray  # (C,)
    cascade_limit_m3_per_d: FloatArray  # (S, C, T) capacity and effluent of the giver, with growth
    reuse: FlowRates  # (C,)
    cascades: Investments  # n = C

    park_user: tuple[IntArray, ...]  # users of each park
    zld_candidate: BoolArray  # (parks,)
    zld_min_share: FloatArray  # (parks,)
    zld: Investments  # n = parks

    budgets: Budgets
    plan: PlanInForce
    revision: Revision

    @property
    def shape(self) -> dict[str, int]:
        """Lengths of the axes."""
        return {
            "N": len(self.node_ids),
            "P": len(self.plant_ids),
            "U": len(self.user_ids),
            "Q": len(self.demand_ids),
            "G": len(self.quality_ids),
            "E": len(self.corridor_ids),
            "D": len(self.diameter_ids),
            "T": len(self.days),
            "S": len(self.stage_weight),
        }

    def pipe_row(self, e: int, g: int, d: int) -> int:
        """Row of a pipe among the investments."""
        return (e * len(self.quality_ids) + g) * len(self.diameter_ids) + d

    @property
    def pipe_capex_cny(self) -> FloatArray:
        """CAPEX of each pipe, shape (E, G, D)."""
        shape = (len(self.corridor_ids), len(self.quality_ids), len(self.diameter_ids))
        return self.pipes.capex_cny.reshape(shape)


@dataclass(frozen=True)
class Calendar:
    """Operating periods: ``average`` (12, T) turns monthly means into means over a period."""

    days: FloatArray
    average: FloatArray
    peak_month: int | None


def derive_calendar(instance: Instance) -> Calendar:
    """Periods of the year.

    The peak day stands for the worst day of the month in which all users together need most
    (the first of equals); it has no days of its own, so it sizes works and earns nothing.
    """
    parameters = instance.parameters
    month_days = np.array(DAYS_PER_MONTH, dtype=np.float64)
    groups = {
        1: (tuple(range(12)),),
        4: SEASONS,
        12: tuple((month,) for month in range(12)),
    }[parameters.periods]
    average = np.zeros((12, len(groups)))
    for period, months in enumerate(groups):
        share = month_days[list(months)]
        average[list(months), period] = share / share.sum()
    days = np.array([month_days[list(months)].sum() for months in groups])
    if not parameters.peak_day:
        return Calendar(days, average, None)
    base = _grown(instance, 1.0)
    monthly = (base[:, None] * _profile_factors(instance, instance.user_demands["profile"].tolist())).sum(
        axis=0
    )
    return Calendar(np.append(days, 0.0), average, int(monthly.argmax()))


def derive_coefficients(instance: Instance) -> Coefficients:
    """All arrays of the instance."""
    calendar = derive_calendar(instance)
    plants = tuple(instance.plants["plant"])
    users = tuple(instance.users["user"])
    qualities = tuple(instance.qualities["quality"])
    nodes = tuple(instance.nodes)
    plan = derive_plan_in_force(instance)
    works = {
        **_module_arrays(instance, plan),
        **_user_arrays(instance, nodes, plan),
        **_pipe_arrays(instance, plan),
        **_storage_arrays(instance, nodes, plan),
        **_cascade_arrays(instance, calendar, plan),
        **_park_arrays(instance, plan),
    }
    budgets = derive_budgets(instance)
    due_cny = due_by_contract(budgets, [k for k in works.values() if isinstance(k, Investments)], plan)
    return Coefficients(
        node_ids=nodes,
        plant_ids=plants,
        user_ids=users,
        demand_ids=tuple(instance.user_demands["demand"]),
        quality_ids=qualities,
        corridor_ids=tuple(instance.corridors["corridor"]),
        diameter_ids=tuple(instance.pipes["diameter"]),
        days=calendar.days,
        stage_weight=derive_stage_weights(instance.parameters),
        **_plant_arrays(instance, calendar),
        **_demand_arrays(instance, calendar, plan),
        **_corridor_arrays(instance, nodes),
        **works,
        budgets=with_contracts(budgets, due_cny, instance.parameters.carry_over_share),
        plan=plan,
        revision=derive_revision(instance, plan),
    )


def _plant_arrays(instance: Instance, calendar: Calendar) -> dict[str, Any]:
    plants, treatment = instance.plants, instance.treatment
    qualities = list(instance.qualities["quality"])
    effluent, ecological = _monthly_effluent(instance)
    shape = (len(plants), len(qualities))
    at = (index_of(list(plants["plant"]), treatment["plant"]), index_of(qualities, treatment["quality"]))

    def spread(values: FloatArray, fill: float = 0.0) -> FloatArray:
        out = np.full(shape, fill)
        out[at] = values
        return out

    recovery = spread(treatment["recovery"].to_numpy(float), 1.0)
    kwh = spread(treatment["kwh_per_m3"].to_numpy(float))
    kept = instance.qualities["tn_kept_out_share"].to_numpy(float)
    nitrogen = plants["tn_mg_per_l"].to_numpy(float)
    electricity = instance.parameters.electricity_cny_per_kwh
    can_treat = np.zeros(shape, dtype=bool)
    can_treat[at] = True
    return {
        "plant_node": np.arange(len(plants)),
        "effluent_m3_per_d": _by_period(effluent, calendar),
        "available_m3_per_d": _by_period(np.maximum(effluent - ecological, 0.0), calendar),
        "tn_mg_per_l": nitrogen,
        "tn_limit_mg_per_l": plants["tn_limit_mg_per_l"].to_numpy(float),
        "can_treat": can_treat,
        "recovery": recovery,
        "existing_treatment_m3_per_d": spread(treatment["existing_m3_per_d"].to_numpy(float)),
        "production": FlowRates(
            benefit_cny=np.zeros(shape),
            cost_cny=spread(treatment["opex_cny_per_m3"].to_numpy(float)) + electricity * kwh,
            co2_kg=-instance.parameters.grid_kg_co2_per_kwh * kwh,
            # mg/l of the effluent drawn (1 / recovery m3 per m3 of product) are g per m3
            tn_kg=np.where(can_treat, nitrogen[:, None] * kept[None, :] / recovery / 1000.0, 0.0),
        ),
    }


def _monthly_effluent(instance: Instance) -> tuple[FloatArray, FloatArray]:
    """Effluent and ecological discharge of each plant, (P, 12), m3/d."""
    plants = instance.plants
    effluent = plants["effluent_m3_per_d"].to_numpy(float)[:, None] * _profile_factors(
        instance, plants["effluent_profile"].tolist()
    )
    ecological = plants["ecological_m3_per_d"].to_numpy(float)[:, None] * _profile_factors(
        instance, plants["ecological_profile"].tolist()
    )
    months = instance.plant_months
    at = (index_of(list(plants["plant"]), months["plant"]), months["month"].to_numpy(int) - 1)
    effluent[at] = months["effluent_m3_per_d"].to_numpy(float)
    ecological[at] = months["ecological_m3_per_d"].to_numpy(float)
    return effluent, ecological


def _profile_factors(instance: Instance, names: list[str]) -> FloatArray:
    """Monthly factors of each named profile, (n, 12); the empty name is even."""
    table = instance.profiles
    profiles = list(dict.fromkeys(table["profile"]))
    factors = np.ones((len(profiles) + 1, 12))
    factors[index_of(profiles, table["profile"]), table["month"].to_numpy(int) - 1] = table["factor"]
    return factors[index_of(profiles, names)]


def _by_period(monthly: FloatArray, calendar: Calendar, peak_factor: FloatArray | float = 1.0) -> FloatArray:
    """Means over the periods from monthly means in the last axis, the peak day appended."""
    periods = monthly @ calendar.average
    if calendar.peak_month is None:
        return periods
    peak = monthly[..., calendar.peak_month] * peak_factor
    return np.concatenate([periods, peak[..., None]], axis=-1)


def _module_arrays(instance: Instance, plan: PlanInForce) -> dict[str, Any]:
    modules = instance.modules
    plant = index_of(list(instance.plants["plant"]), modules["plant"])
    districts = index_of(list(instance.districts["district"]), instance.plants["district"])
    return {
        "module_plant": plant,
        "module_quality": index_of(list(instance.qualities["quality"]), modules["quality"]),
        "module_capacity_m3_per_d": modules["capacity_m3_per_d"].to_numpy(float),
        "modules": derive_investments(
            instance,
            "module",
            plan.at_actual_cost("module", modules["capex_cny"].to_numpy(float)),
            modules["life_years"].to_numpy(float),
            modules["fixed_opex_cny_per_a"].to_numpy(float),
            districts[plant],
            plan,
        ),
    }


def _user_arrays(instance: Instance, nodes: tuple[str, ...], plan: PlanInForce) -> dict[str, Any]:
    users = instance.users
    district = index_of(list(instance.districts["district"]), users["district"])
    upkeep = instance.parameters.network_o_and_m_share
    life = users["connection_life_years"].to_numpy(float)
    connection = plan.at_actual_cost("connection", users["connection_capex_cny"].to_numpy(float))
    tanker = plan.at_actual_cost("tanker", users["tanker_capex_cny"].to_numpy(float))
    return {
        "user_node": index_of(nodes, users["user"]),
        "single_feed": users["single_feed"].to_numpy(bool),
        "quota_listed": users["quota_listed"].to_numpy(bool),
        "tanker_plant": index_of(list(instance.plants["plant"]), users["tanker_plant"]),
        "connections": derive_investments(
            instance, "connection", connection, life, upkeep * connection, district, plan
        ),
        "tankers": derive_investments(instance, "tanker", tanker, life, upkeep * tanker, district, plan),
    }


def _grown(instance: Instance, growth_reached: float) -> FloatArray:
    """Mean demand of the year with a part of the growth, (Q,)."""
    growth = instance.users["growth_share"].to_numpy(float)[_demand_user(instance)]
    base = instance.user_demands["base_m3_per_d"].to_numpy(float)
    return np.asarray(base * (1.0 + growth * growth_reached))


def _demand_user(instance: Instance) -> IntArray:
    return index_of(list(instance.users["user"]), instance.user_demands["user"])


def _stage_demand(instance: Instance, calendar: Calendar) -> tuple[FloatArray, FloatArray]:
    """Demand and its part that is growth, (S, Q, T); growth is linear over the stages."""
    stages = len(derive_stage_weights(instance.parameters))
    factors = _profile_factors(instance, instance.user_demands["profile"].tolist())
    peak = instance.users["peak_day_factor"].to_numpy(float)[_demand_user(instance)]
    reached = [(stage + 1) / stages for stage in range(stages)]
    shape = _by_period(factors, calendar, peak)
    demand = np.stack([_grown(instance, share)[:, None] * shape for share in reached])
    base = _grown(instance, 0.0)[:, None] * shape
    return demand, np.maximum(demand - base, 0.0)


def _demand_arrays(instance: Instance, calendar: Calendar, plan: PlanInForce) -> dict[str, Any]:
    demands, parameters = instance.user_demands, instance.parameters
    user = _demand_user(instance)
    qualities = list(instance.qualities["quality"])
    accepted = accepted_qualities({"qualities": instance.qualities, "accepts": instance.accepts})
    allowed = np.array([[q in accepted[need] for q in qualities] for need in qualities], dtype=bool)
    need = index_of(qualities, demands["need"])
    demand, growth = _stage_demand(instance, calendar)
    zero = np.zeros(len(demands))
    alternative = demands["alternative_cny_per_m3"].to_numpy(float)
    user_opex = demands["user_opex_cny_per_m3"].to_numpy(float)
    cap = demands["max_price_cny_per_m3"].to_numpy(float)
    by_user = instance.users.iloc[user]
    # what brings the water of a contracted connection may come later, or not at all
    contracted = np.isin(user, plan.rows_of("connection"))
    return {
        "demand_user": user,
        "demand_need": need,
        "accepts": allowed[need].reshape(len(demands), len(qualities)),
        "demand_m3_per_d": demand,
        "growth_m3_per_d": growth,
        "min_take_share": np.where(contracted, 0.0, by_user["min_take_share"].to_numpy(float)),
        "delivery": FlowRates(
            benefit_cny=alternative,
            cost_cny=user_opex,
            co2_kg=parameters.grid_kg_co2_per_kwh * demands["alternative_kwh_per_m3"].to_numpy(float),
            tn_kg=zero,
        ),
        "haulage": FlowRates(
            benefit_cny=zero,
            cost_cny=by_user["tanker_cny_per_m3"].to_numpy(float),
            co2_kg=np.full(len(demands), -parameters.tanker_kg_co2_per_m3),
            tn_kg=zero,
        ),
        "refusal_cost_cny_per_m3": by_user["refusal_cost_cny_per_m3"].to_numpy(float),
        "max_price_cny_per_m3": np.maximum(
            np.fmin(cap, np.minimum(alternative * parameters.max_price_share, alternative - user_opex)), 0.0
        ),
    }


def _corridor_arrays(instance: Instance, nodes: tuple[str, ...]) -> dict[str, Any]:
    corridors, parameters = instance.corridors, instance.parameters
    length_km = corridors["length_m"].to_numpy(float) / 1000.0
    head = corridors["static_head_m"].to_numpy(float)
    # 1 m3 weighs 1000 kg: kWh = 1000 g h / (3.6e6 J/kWh * efficiency); water running down earns nothing
    lift = np.maximum(np.stack([head, -head]), 0.0) * (GRAVITY_M_PER_S2 / 3600.0 / parameters.pump_efficiency)
    kwh = parameters.pumping_kwh_per_m3_per_km * length_km + lift
    existing = np.zeros((len(corridors), len(instance.qualities)))
    quality = index_of(list(instance.qualities["quality"]), corridors["existing_quality"])
    rows = np.flatnonzero(quality >= 0)
    existing[rows, quality[rows]] = corridors["existing_m3_per_d"].to_numpy(float)[rows]
    return {
        "corridor_from": index_of(nodes, corridors["from_node"]),
        "corridor_to": index_of(nodes, corridors["to_node"]),
        "length_km": length_km,
        "directed": corridors["directed"].to_numpy(bool),
        "existing_pipe_m3_per_d": existing,
        "carriage": FlowRates(
            benefit_cny=np.zeros_like(kwh),
            cost_cny=corridors["unit_cost_cny_per_m3"].to_numpy(float)
            + parameters.electricity_cny_per_kwh * kwh,
            co2_kg=-parameters.grid_kg_co2_per_kwh * kwh,
            tn_kg=np.zeros_like(kwh),
        ),
    }


def _pipe_arrays(instance: Instance, plan: PlanInForce) -> dict[str, Any]:
    corridors, pipes = instance.corridors, instance.pipes
    factor = instance.qualities["pipe_capex_factor"].to_numpy(float)
    metres = corridors["length_m"].to_numpy(float) * corridors["terrain_factor"].to_numpy(float)
    capex = corridors["fixed_capex_cny"].to_numpy(float)[:, None, None] + metres[:, None, None] * factor[
        None, :, None
    ] * pipes["capex_cny_per_m"].to_numpy(float)
    shape = capex.shape
    capex = plan.at_actual_cost("pipe", capex.ravel())
    life = np.broadcast_to(pipes["life_years"].to_numpy(float), shape)
    district = index_of(list(instance.districts["district"]), corridors["district"])
    return {
        "pipe_capacity_m3_per_d": pipes["capacity_m3_per_d"].to_numpy(float),
        "pipes": derive_investments(
            instance,
            "pipe",
            capex,
            life.ravel(),
            instance.parameters.network_o_and_m_share * capex,
            np.repeat(district, shape[1] * shape[2]),
            plan,
        ),
    }


def _storage_arrays(instance: Instance, nodes: tuple[str, ...], plan: PlanInForce) -> dict[str, Any]:
    sites = instance.storage_sites
    capex = plan.at_actual_cost("storage", sites["capex_cny"].to_numpy(float))
    return {
        "storage_node": index_of(nodes, sites["node"]),
        "storage_quality": index_of(list(instance.qualities["quality"]), sites["quality"]),
        "storage_volume_m3": sites["volume_m3"].to_numpy(float),
        "storage": derive_investments(
            instance,
            "storage",
            capex,
            sites["life_years"].to_numpy(float),
            instance.parameters.network_o_and_m_share * capex,
            index_of(list(instance.districts["district"]), sites["district"]),
            plan,
        ),
    }


def _cascade_arrays(instance: Instance, calendar: Calendar, plan: PlanInForce) -> dict[str, Any]:
    cascades, parameters = instance.cascades, instance.parameters
    giver = index_of(list(instance.users["user"]), cascades["user"])
    share = cascades["return_share"].to_numpy(float)
    demand, _ = _stage_demand(instance, calendar)
    of_giver = (giver[:, None] == _demand_user(instance)).astype(float)
    used = np.einsum("cq,sqt->sct", of_giver, demand)
    kwh = cascades["kwh_per_m3"].to_numpy(float)
    district = index_of(list(instance.districts["district"]), instance.users["district"])
    return {
        "cascade_user": giver,
        "cascade_quality": index_of(list(instance.qualities["quality"]), cascades["quality"]),
        "cascade_return_share": share,
        "cascade_limit_m3_per_d": np.minimum(
            share[:, None] * used, cascades["capacity_m3_per_d"].to_numpy(float)[:, None]
        ),
        "reuse": FlowRates(
            benefit_cny=np.zeros(len(cascades)),
            cost_cny=cascades["opex_cny_per_m3"].to_numpy(float) + parameters.electricity_cny_per_kwh * kwh,
            co2_kg=-parameters.grid_kg_co2_per_kwh * kwh,
            tn_kg=cascades["tn_kept_out_kg_per_m3"].to_numpy(float),
        ),
        "cascades": derive_investments(
            instance,
            "cascade",
            plan.at_actual_cost("cascade", cascades["capex_cny"].to_numpy(float)),
            cascades["life_years"].to_numpy(float),
            np.zeros(len(cascades)),
            district[giver],
            plan,
        ),
    }


def _park_arrays(instance: Instance, plan: PlanInForce) -> dict[str, Any]:
    parks = instance.parks
    contracted = np.isin(np.arange(len(parks)), plan.rows_of("zld"))
    home = index_of(list(parks["park"]), instance.users["park"])
    return {
        "park_user": tuple(np.flatnonzero(home == park) for park in range(len(parks))),
        "zld_candidate": parks["zld_candidate"].to_numpy(bool),
        # as with connections: the water may come later
        "zld_min_share": np.where(contracted, 0.0, parks["zld_min_share"].to_numpy(float)),
        "zld": derive_investments(
            instance,
            "zld",
            plan.at_actual_cost("zld", parks["zld_capex_cny"].to_numpy(float)),
            parks["zld_life_years"].to_numpy(float),
            parks["zld_opex_cny_per_a"].to_numpy(float),
            index_of(list(instance.districts["district"]), parks["district"]),
            plan,
        ),
    }

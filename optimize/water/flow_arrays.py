"""Arrays of what flows: effluent and what can be made of it, demands, corridors, with what each m3 brings and costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optimize.water.calendar import Calendar, by_period, demand_user, profile_factors, stage_demand
from optimize.water.in_force import PlanInForce
from optimize.water.instance import Instance, accepted_qualities
from optimize.water.investments import (
    FloatArray,
    index_of,
)

GRAVITY_M_PER_S2 = 9.80665


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


def plant_arrays(instance: Instance, calendar: Calendar) -> dict[str, Any]:
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
        "effluent_m3_per_d": by_period(effluent, calendar),
        "available_m3_per_d": by_period(np.maximum(effluent - ecological, 0.0), calendar),
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
    effluent = plants["effluent_m3_per_d"].to_numpy(float)[:, None] * profile_factors(
        instance, plants["effluent_profile"].tolist()
    )
    ecological = plants["ecological_m3_per_d"].to_numpy(float)[:, None] * profile_factors(
        instance, plants["ecological_profile"].tolist()
    )
    months = instance.plant_months
    at = (index_of(list(plants["plant"]), months["plant"]), months["month"].to_numpy(int) - 1)
    effluent[at] = months["effluent_m3_per_d"].to_numpy(float)
    ecological[at] = months["ecological_m3_per_d"].to_numpy(float)
    return effluent, ecological


def demand_arrays(instance: Instance, calendar: Calendar, plan: PlanInForce) -> dict[str, Any]:
    demands, parameters = instance.user_demands, instance.parameters
    user = demand_user(instance)
    qualities = list(instance.qualities["quality"])
    accepted = accepted_qualities({"qualities": instance.qualities, "accepts": instance.accepts})
    allowed = np.array([[q in accepted[need] for q in qualities] for need in qualities], dtype=bool)
    need = index_of(qualities, demands["need"])
    demand, growth = stage_demand(instance, calendar)
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


def corridor_arrays(instance: Instance, nodes: tuple[str, ...]) -> dict[str, Any]:
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

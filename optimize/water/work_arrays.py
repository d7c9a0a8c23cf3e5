"""Arrays of what is built: modules, connections, pipes, storage, cascades, near-zero-discharge works."""

from __future__ import annotations

from typing import Any

import numpy as np

from optimize.water.calendar import Calendar, demand_user, stage_demand
from optimize.water.flow_arrays import FlowRates
from optimize.water.in_force import PlanInForce
from optimize.water.instance import Instance
from optimize.water.investments import (
    derive_investments,
    index_of,
)


def module_arrays(instance: Instance, plan: PlanInForce) -> dict[str, Any]:
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


def user_arrays(instance: Instance, nodes: tuple[str, ...], plan: PlanInForce) -> dict[str, Any]:
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


def pipe_arrays(instance: Instance, plan: PlanInForce) -> dict[str, Any]:
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


def storage_arrays(instance: Instance, nodes: tuple[str, ...], plan: PlanInForce) -> dict[str, Any]:
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


def cascade_arrays(instance: Instance, calendar: Calendar, plan: PlanInForce) -> dict[str, Any]:
    cascades, parameters = instance.cascades, instance.parameters
    giver = index_of(list(instance.users["user"]), cascades["user"])
    share = cascades["return_share"].to_numpy(float)
    demand, _ = stage_demand(instance, calendar)
    of_giver = (giver[:, None] == demand_user(instance)).astype(float)
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


def park_arrays(instance: Instance, plan: PlanInForce) -> dict[str, Any]:
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

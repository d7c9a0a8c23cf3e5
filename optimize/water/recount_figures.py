"""The figures of a plan, one per goal, from the raw tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from optimize.water.instance import Instance
from optimize.water.recount import (
    Facts,
    Plan,
    carriage_cost_cny_per_m3,
    carriage_kwh_per_m3,
    production_kwh_per_m3,
)
from optimize.water.recount_clauses import nitrogen_kg_per_a, volume_by_user
from optimize.water.recount_money import Ledger


def recount_figures(
    instance: Instance,
    facts: Facts,
    plan: Plan,
    ledger: Ledger,
    penalties_cny: float,
    changes: Mapping[str, float],
) -> dict[str, float]:
    """Goals (npv, cost, volume, tn, co2, changes) and what they are made of.

    ``changes`` : figures of what changes of the plan in force, cancellation costs among them.
    """
    p = instance.parameters
    stages = range(len(facts.axes.years))
    running = sum(facts.year_weight[s] * _running_cost(instance, facts, plan, s) for s in stages)
    benefit = sum(facts.year_weight[s] * _avoided_cost(instance, facts, plan, s) for s in stages)
    nitrogen = sum(facts.year_weight[s] * nitrogen_kg_per_a(instance, facts, plan, s) for s in stages)
    carbon = sum(facts.year_weight[s] * _avoided_co2_t(instance, facts, plan, s) for s in stages)
    refusal = sum(facts.year_weight[s] * _refusal_loss(instance, facts, plan, s) for s in stages)
    works = float(ledger.works["present_cost_cny"].sum())
    gross = benefit + p.tn_value_cny_per_kg * nitrogen + p.carbon_cny_per_t * carbon
    cost = running + refusal + works + penalties_cny + changes.get("cancellation_cost", 0.0)
    last = len(stages) - 1
    return {
        "npv": float(gross - cost),
        "cost": float(cost),
        "volume": float(volume_by_user(facts, plan, last).sum()),
        "tn": nitrogen_kg_per_a(instance, facts, plan, last),
        "co2": _avoided_co2_t(instance, facts, plan, last),
        "gross_benefit_cny": float(gross),
        "capex_cny": float(ledger.works["capex_cny"].sum()),
        "running_cost_cny_per_a": _running_cost(instance, facts, plan, last),
        "penalties_cny": float(penalties_cny),
        "cascade_m3_per_d": float((plan.reused[last] @ facts.days).sum() / facts.days.sum()),
        "tanker_m3_per_a": float((plan.hauled[last].sum(axis=1) @ facts.days).sum()),
        **changes,
    }


def _running_cost(instance: Instance, facts: Facts, plan: Plan, s: int) -> float:
    """CNY of a year of stage s: treatment, carriage, reuse, tankers, users' own extra cost."""
    p, a, days = instance.parameters, facts.axes, facts.days
    treatment = instance.treatment
    made = plan.product[s] @ days
    at = (
        a.plants.get_indexer(pd.Index(treatment["plant"])),
        a.qualities.get_indexer(pd.Index(treatment["quality"])),
    )
    chemicals = float((made[at] * treatment["opex_cny_per_m3"].to_numpy(float)).sum())
    power = float((made * production_kwh_per_m3(instance, facts)).sum()) * p.electricity_cny_per_kwh
    along, against = carriage_cost_cny_per_m3(instance)
    forward, backward = np.maximum(plan.flow[s], 0) @ days, np.maximum(-plan.flow[s], 0) @ days
    carriage = float((forward.sum(axis=1) * along + backward.sum(axis=1) * against).sum())
    cascades = instance.cascades
    reuse_rate = cascades["opex_cny_per_m3"].to_numpy(float) + (
        p.electricity_cny_per_kwh * cascades["kwh_per_m3"].to_numpy(float)
    )
    reuse = float((reuse_rate * (plan.reused[s] @ days)).sum())
    piped, hauled = plan.delivered[s].sum(axis=1) @ days, plan.hauled[s].sum(axis=1) @ days
    own_cost = instance.user_demands["user_opex_cny_per_m3"].to_numpy(float)
    tanker_rate = instance.users["tanker_cny_per_m3"].to_numpy(float)[facts.user_of_demand]
    users = float((own_cost * (piped + hauled) + tanker_rate * hauled).sum())
    return chemicals + power + carriage + reuse + users


def _avoided_cost(instance: Instance, facts: Facts, plan: Plan, s: int) -> float:
    """CNY of a year of stage s that the water replaced would have cost."""
    used = (plan.delivered[s] + plan.hauled[s]).sum(axis=1) @ facts.days
    return float(used @ instance.user_demands["alternative_cny_per_m3"].to_numpy(float))


def _avoided_co2_t(instance: Instance, facts: Facts, plan: Plan, s: int) -> float:
    """tCO2 of a year of stage s: electricity of the water replaced less our own and the tankers'."""
    p, days = instance.parameters, facts.days
    hauled = plan.hauled[s].sum(axis=1) @ days
    used = plan.delivered[s].sum(axis=1) @ days + hauled
    replaced = float(used @ instance.user_demands["alternative_kwh_per_m3"].to_numpy(float))
    treated = float(((plan.product[s] @ days) * production_kwh_per_m3(instance, facts)).sum())
    along, against = carriage_kwh_per_m3(instance)
    pumped = float(along @ (np.maximum(plan.flow[s], 0) @ days).sum(axis=1))
    pumped += float(against @ (np.maximum(-plan.flow[s], 0) @ days).sum(axis=1))
    reused = float((plan.reused[s] @ days) @ instance.cascades["kwh_per_m3"].to_numpy(float))
    kwh = replaced - treated - pumped - reused
    return (p.grid_kg_co2_per_kwh * kwh - p.tanker_kg_co2_per_m3 * float(hauled.sum())) / 1000.0


def _refusal_loss(instance: Instance, facts: Facts, plan: Plan, s: int) -> float:
    """CNY lost in a year of stage s by growth that was refused."""
    rate = instance.users["refusal_cost_cny_per_m3"].to_numpy(float)[facts.user_of_demand]
    refused = plan.refused[s][facts.user_of_demand]
    return float(((facts.growth[s] @ facts.days) * rate * refused).sum())

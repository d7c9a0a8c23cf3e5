"""What a plan reaches of each clause, from the raw tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from optimize.clauses import REVISE, ClauseTarget
from optimize.water.instance import Instance
from optimize.water.recount import Facts, FloatArray, Plan, carriage_cost_cny_per_m3, production_kwh_per_m3
from optimize.water.recount_money import Ledger

Reached = dict[tuple[str, str], tuple[float, float]]


def recount_clauses(
    instance: Instance, facts: Facts, plan: Plan, ledger: Ledger, changes: float
) -> Mapping[tuple[str, str], tuple[float, float]]:
    """(clause, where) -> (reached, required); where is empty for the clause itself.

    ``changes`` : to the plan in force.
    """
    reached: Reached = {}
    for clause, target in instance.targets.items():
        if clause == REVISE:
            reached[clause, ""] = (changes, target.required)
            continue
        s = stage_of(instance, target)
        value = _value_of(clause, instance, facts, plan, ledger, s)
        reached[clause, ""] = (value, target.required)
        if clause == "W-PILOT":
            reached.update(_pilots_by_requirement(instance, plan))
        if clause == "W-CAP":
            reached.update(_intake_by_table(instance, facts, plan, s))
    return reached


def _value_of(clause: str, instance: Instance, facts: Facts, plan: Plan, ledger: Ledger, s: int) -> float:
    """What the plan reaches of the clause itself at stage s, in its unit."""
    match clause:
        case "W-NEAR":
            return _mean_distance_km(instance, facts, plan, s)
        case "W-UPGRADE":
            return float(instance.modules["plant"][plan.module[s]].nunique())
        case "W-QUOTA":
            return _settled_listed_users(instance, plan, s)
        case "W-CASCADE":
            return float((plan.reused[s] @ facts.days).sum() / facts.days.sum())
        case "W-PILOT":
            return float(plan.pilot.sum())
        case "W-PRICE":
            return _systems_out_of_balance(instance, facts, plan, ledger, s)
        case "W-CAP":
            return float(_intake_by_user(instance, facts, plan, s).sum())
        case "W-TN":
            return nitrogen_kg_per_a(instance, facts, plan, s)
        case "W-ZLD":
            return float(plan.zld[s].sum())
        case "W-VOLUME":
            return float(volume_by_user(facts, plan, s).sum())
    raise ValueError(f"clause {clause} is not one of the water programme")


def stage_of(instance: Instance, target: ClauseTarget | None) -> int:
    """Stage whose state a clause looks at: what is built by its deadline counts."""
    stages = instance.parameters.num_years if instance.parameters.phased else 1
    if target is None or target.deadline_year is None:
        return stages - 1
    return min(target.deadline_year - instance.parameters.base_year, stages - 1)


def volume_by_user(facts: Facts, plan: Plan, s: int) -> FloatArray:
    """Reclaimed water used in a year of stage s, (U,), m3/a."""
    by_demand = (plan.delivered[s] + plan.hauled[s]).sum(axis=1) @ facts.days
    total = np.bincount(facts.user_of_demand, weights=by_demand, minlength=len(facts.axes.users))
    return np.asarray(total, dtype=np.float64)


def nitrogen_kg_per_a(instance: Instance, facts: Facts, plan: Plan, s: int) -> float:
    """Nitrogen that does not reach the estuary: drawn with the effluent, not returned with the concentrate."""
    a = facts.axes
    concentration = instance.plants.set_index("plant")["tn_mg_per_l"]
    kept = instance.qualities.set_index("quality")["tn_kept_out_share"]
    total = 0.0
    for plant, quality, recovery in zip(
        instance.treatment["plant"],
        instance.treatment["quality"],
        instance.treatment["recovery"],
        strict=True,
    ):
        made = plan.product[s, a.plants.get_loc(plant), a.qualities.get_loc(quality)] @ facts.days
        total += float(made) / recovery * concentration[plant] * kept[quality] / 1000.0
    by_cascade = plan.reused[s] @ facts.days
    return total + float((by_cascade * instance.cascades["tn_kept_out_kg_per_m3"].to_numpy(float)).sum())


def _mean_distance_km(instance: Instance, facts: Facts, plan: Plan, s: int) -> float:
    """Pipe kilometres of a m3 delivered by pipe."""
    length = instance.corridors["length_m"].to_numpy(float) / 1000.0
    carried = float(length @ (np.abs(plan.flow[s]).sum(axis=1) @ facts.days))
    taken = float((plan.delivered[s].sum(axis=1) @ facts.days).sum())
    return carried / taken if taken > 0 else 0.0


def _settled_listed_users(instance: Instance, plan: Plan, s: int) -> float:
    listed = instance.users["quota_listed"].to_numpy(bool)
    return float((listed & (plan.piped[s] | plan.refused[s])).sum())


def _intake_by_user(instance: Instance, facts: Facts, plan: Plan, s: int) -> FloatArray:
    """Fresh water taken in a year of stage s, (U,), m3/a."""
    num_users = len(facts.axes.users)
    need = np.bincount(facts.user_of_demand, facts.demand[s] @ facts.days, num_users)
    growth = np.bincount(facts.user_of_demand, facts.growth[s] @ facts.days, num_users)
    return np.asarray(need - growth * plan.refused[s] - volume_by_user(facts, plan, s))


def _intake_by_table(instance: Instance, facts: Facts, plan: Plan, s: int) -> Reached:
    intake = _intake_by_user(instance, facts, plan, s)
    caps = instance.intake_caps
    return {
        ("W-CAP", f"{scope} {name}"): (
            float(intake[(instance.users[scope] == name).to_numpy()].sum()),
            float(cap),
        )
        for scope, name, cap in zip(caps["scope"], caps["id"], caps["cap_m3_per_a"], strict=True)
    }


def _pilots_by_requirement(instance: Instance, plan: Plan) -> Reached:
    rows, done = instance.pilot_requirements, instance.pilots[plan.pilot]
    reached: Reached = {}
    for kind, district, minimum in zip(rows["kind"], rows["district"], rows["minimum"], strict=True):
        fitting = done if kind == "*" else done[done["kind"] == kind]
        if district:
            fitting = fitting[fitting["district"] == district]
        if minimum > 0:
            reached["W-PILOT", f"{kind} {district}".strip()] = (float(len(fitting)), float(minimum))
    return reached


def _systems_out_of_balance(instance: Instance, facts: Facts, plan: Plan, ledger: Ledger, s: int) -> float:
    """Price systems (by quality) whose highest revenue does not cover their cost."""
    revenue = _revenue_by_system(instance, facts, plan, s)
    cost = _running_cost_by_system(instance, facts, plan, s).add(
        _works_by_system(instance, facts, ledger, s), fill_value=0.0
    )
    both = pd.concat([revenue.rename("revenue"), cost.rename("cost")], axis=1).fillna(0.0)
    short = both["cost"] - both["revenue"]
    return float((short > 1e-6 * np.maximum(1.0, both["cost"])).sum())


def _revenue_by_system(instance: Instance, facts: Facts, plan: Plan, s: int) -> pd.Series:
    demands = instance.user_demands
    alternative = demands["alternative_cny_per_m3"].to_numpy(float)
    price = np.minimum(
        alternative * instance.parameters.max_price_share,
        alternative - demands["user_opex_cny_per_m3"].to_numpy(float),
    )
    asked = demands["max_price_cny_per_m3"].to_numpy(float)
    price = np.maximum(np.where(np.isnan(asked), price, np.minimum(price, asked)), 0.0)
    used = (plan.delivered[s] + plan.hauled[s]) @ facts.days
    return _summed(_system_of_demand(instance), facts, used * price[:, None])


def _system_of_demand(instance: Instance) -> list[str]:
    return instance.user_demands["user"].map(instance.users.set_index("user")["system"]).tolist()


def _summed(systems: list[str], facts: Facts, amount: FloatArray) -> pd.Series:
    """Sum of rows (n, G) by system and quality."""
    frame = pd.DataFrame(amount, columns=facts.axes.qualities).assign(system=systems)
    sums: pd.Series = frame.melt("system", var_name="quality").groupby(["system", "quality"])["value"].sum()
    return sums


def _one_quality(facts: Facts, qualities: pd.Series, amount: FloatArray) -> FloatArray:
    spread = np.zeros((len(amount), len(facts.axes.qualities)))
    spread[np.arange(len(amount)), facts.axes.qualities.get_indexer(pd.Index(qualities))] = amount
    return spread


def _running_cost_by_system(instance: Instance, facts: Facts, plan: Plan, s: int) -> pd.Series:
    p, days = instance.parameters, facts.days
    opex = np.zeros((len(facts.axes.plants), len(facts.axes.qualities)))
    at = (
        facts.axes.plants.get_indexer(pd.Index(instance.treatment["plant"])),
        facts.axes.qualities.get_indexer(pd.Index(instance.treatment["quality"])),
    )
    opex[at] = instance.treatment["opex_cny_per_m3"].to_numpy(float)
    opex = opex + p.electricity_cny_per_kwh * production_kwh_per_m3(instance, facts)
    along, against = carriage_cost_cny_per_m3(instance)
    forward, backward = np.maximum(plan.flow[s], 0) @ days, np.maximum(-plan.flow[s], 0) @ days
    carriage = forward * along[:, None] + backward * against[:, None]
    haulage = instance.users["tanker_cny_per_m3"].to_numpy(float)[facts.user_of_demand]
    cascades = instance.cascades
    reuse_cost = cascades["opex_cny_per_m3"].to_numpy(float) + (
        p.electricity_cny_per_kwh * cascades["kwh_per_m3"].to_numpy(float)
    )
    giver_system = cascades["user"].map(instance.users.set_index("user")["system"]).tolist()
    parts = [
        _summed(instance.plants["system"].tolist(), facts, opex * (plan.product[s] @ days)),
        _summed(instance.corridors["system"].tolist(), facts, carriage),
        _summed(_system_of_demand(instance), facts, haulage[:, None] * (plan.hauled[s] @ days)),
        _summed(
            giver_system,
            facts,
            _one_quality(facts, cascades["quality"], reuse_cost * (plan.reused[s] @ days)),
        ),
    ]
    sums: pd.Series = pd.concat(parts).groupby(level=[0, 1]).sum()
    return sums


def _works_by_system(instance: Instance, facts: Facts, ledger: Ledger, s: int) -> pd.Series:
    """Annual cost of the works standing by stage s; those on a user's site by its demands' base size."""
    standing = ledger.works[ledger.works["year"] <= instance.parameters.base_year + s]
    network = standing[standing["quality"] != ""][["system", "quality", "annual_cost_cny"]]
    demands = instance.user_demands[["user", "need", "base_m3_per_d"]]
    total = demands.groupby("user")["base_m3_per_d"].transform("sum")
    shares = demands.assign(share=(demands["base_m3_per_d"] / total.where(total > 0)).fillna(0.0))
    on_site = standing[standing["kind"].isin(["connection", "tanker"])].merge(
        shares, left_on="id", right_on="user"
    )
    split = pd.DataFrame(
        {
            "system": on_site["system"],
            "quality": on_site["need"],
            "annual_cost_cny": on_site["annual_cost_cny"] * on_site["share"],
        }
    )
    both = pd.concat([network, split], ignore_index=True)
    sums: pd.Series = both.groupby(["system", "quality"])["annual_cost_cny"].sum()
    return sums

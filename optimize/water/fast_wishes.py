"""Clauses of an instance as wishes for the search: groups of users and yearly totals.

Pilots and near-zero-discharge parks are chosen beforehand (those a plan already meets, then the most
promising ones) and asked for by their members; the model that completes the plan chooses again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimize.water.coefficients import BoolArray, Coefficients
from optimize.water.fast_locks import LockedDecisions
from optimize.water.fast_network import Wishes, cascade_sources
from optimize.water.fast_policy import pilot_requirements, pilot_users
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray
from optimize.water.locks import offers_zero_discharge

HARD_VALUE_CNY_PER_M3 = 50.0


@dataclass(frozen=True)
class Asked:
    """Wishes, and the money kept back for works the search does not decide on, (F,)."""

    wishes: Wishes
    reserved_cny: FloatArray


def ask(
    instance: Instance, c: Coefficients, locks: LockedDecisions, served: BoolArray, money: float = 1.0
) -> Asked:
    """Wishes that follow from the clauses and locks.

    Parameters
    ----------
    served : (U,) users served by the plan at hand, the starting point for choosing pilots.
    money : worth of a present CNY; a goal that leaves money out does not mind penalties.
    """
    wishes = Wishes.none()
    targets = instance.targets
    yearly = c.demand_m3_per_d[0] @ c.days
    weight = float(c.stage_weight[0])
    big = float((yearly * np.maximum(c.delivery.benefit_cny, 0.1)).sum()) * weight
    per_m3 = HARD_VALUE_CNY_PER_M3 * weight
    num_sources = len(c.plant_ids) + len(cascade_sources(c)[locks.cascade_may[cascade_sources(c)]])
    nothing_made = np.zeros((num_sources, len(c.quality_ids)))
    nothing_delivered = np.zeros(len(yearly))
    forced = np.unique(np.concatenate([np.flatnonzero(locks.connected_must), locks.any_way_of]))
    wishes.add_group(forced, float(len(forced)), big, True)

    def volume_of(users: IntArray, need: float, price: float, hard: bool) -> None:
        own = np.isin(c.demand_user, users).astype(float)
        wishes.add_effect(own, nothing_made, need, per_m3 if hard else price, hard)

    if "W-QUOTA" in targets:
        target = targets["W-QUOTA"]
        listed = np.flatnonzero(c.quota_listed)
        loss = (
            weight * (c.growth_m3_per_d[0] @ c.days * c.refusal_cost_cny_per_m3).sum() / max(len(listed), 1)
        )
        # refusing growth is always open, so the clause costs at most that
        price = loss if target.hard else min(loss, target.penalty_cny_per_unit)
        wishes.add_group(listed, target.required, price, False)
    if "W-VOLUME" in targets:
        target = targets["W-VOLUME"]
        volume_of(np.arange(len(c.user_ids)), target.required, target.penalty_cny_per_unit, target.hard)
    if "W-TN" in targets:
        target = targets["W-TN"]
        made = nothing_made.copy()
        made[: len(c.plant_ids)] = np.where(c.can_treat, c.production.tn_kg, 0.0)
        price = big / max(target.required, 1.0) if target.hard else target.penalty_cny_per_unit
        wishes.add_effect(nothing_delivered, made, target.required, price, target.hard)
    if "W-CASCADE" in targets:
        target = targets["W-CASCADE"]
        made = nothing_made.copy()
        kept = cascade_sources(c)
        kept = kept[locks.cascade_may[kept]]
        made[len(c.plant_ids) + np.arange(len(kept)), c.cascade_quality[kept]] = 1.0 / c.days.sum()
        price = big / max(target.required, 1.0) if target.hard else target.penalty_cny_per_unit
        wishes.add_effect(nothing_delivered, made, target.required, price, target.hard)
    if "W-CAP" in targets:
        _ask_caps(instance, c, yearly, volume_of)
    if "W-PILOT" in targets:
        target = targets["W-PILOT"]
        price = big if target.hard else target.penalty_cny_per_unit
        members = pilot_users(instance, c)
        for i in _choose_pilots(instance, c, members, served, yearly):
            pilots = instance.pilots
            wishes.add_group(members[i], float(pilots["min_users"].iloc[i]), price, target.hard)
            volume = float(pilots["min_volume_m3_per_a"].iloc[i])
            volume_of(members[i], volume, price / max(volume, 1.0), target.hard)
    reserved = _reserve_for_zero_discharge(instance, c, locks, yearly, volume_of)
    for prices, hard in ((wishes.group_price, wishes.group_hard), (wishes.effect_price, wishes.effect_hard)):
        prices[:] = [price if must else money * price for price, must in zip(prices, hard, strict=True)]
    return Asked(wishes, reserved)


def _ask_caps(instance: Instance, c: Coefficients, yearly: FloatArray, volume_of) -> None:  # type: ignore[no-untyped-def]
    target = instance.targets["W-CAP"]
    scopes = [(np.arange(len(c.user_ids)), target.required)]
    caps = instance.intake_caps
    for scope, name, cap in zip(caps["scope"], caps["id"], caps["cap_m3_per_a"], strict=True):
        scopes.append((np.flatnonzero((instance.users[scope] == name).to_numpy()), float(cap)))
    for users, cap in scopes:
        need = float(yearly[np.isin(c.demand_user, users)].sum()) - cap
        volume_of(users, need, target.penalty_cny_per_unit, target.hard)


def _choose_pilots(
    instance: Instance, c: Coefficients, members: list[IntArray], served: BoolArray, yearly: FloatArray
) -> list[int]:
    """Pilots that together meet the number and the layout asked for, the nearest to done first."""
    pilots = instance.pilots
    volume = np.bincount(c.demand_user, weights=yearly, minlength=len(c.user_ids))
    rank = np.zeros(len(pilots))
    for i, users in enumerate(members):
        have = min(served[users].sum() / max(pilots["min_users"].iloc[i], 1), 1.0)
        water = volume[users][served[users]].sum() / max(pilots["min_volume_m3_per_a"].iloc[i], 1.0)
        possible = (
            len(users) >= pilots["min_users"].iloc[i]
            and volume[users].sum() >= pilots["min_volume_m3_per_a"].iloc[i]
        )
        ease = volume[users].sum() / (volume.sum() + 1.0)
        rank[i] = min(have, water, 1.0) + ease if possible else -1.0
    by_rank = np.argsort(-rank, kind="stable")
    chosen = np.zeros(len(pilots), bool)
    whole = (np.ones(len(pilots), bool), instance.targets["W-PILOT"].required, "")
    for fits, minimum, _ in [*pilot_requirements(instance), whole]:
        for i in by_rank:
            if (chosen & fits).sum() >= minimum:
                break
            if fits[i] and rank[i] >= 0:
                chosen[i] = True
    return np.flatnonzero(chosen).tolist()


def _reserve_for_zero_discharge(  # type: ignore[no-untyped-def]
    instance: Instance, c: Coefficients, locks: LockedDecisions, yearly: FloatArray, volume_of
) -> FloatArray:
    """Ask for the water of the near-zero-discharge parks to be, and keep their money back."""
    reserved = np.zeros(len(c.budgets.sources))
    if not offers_zero_discharge(instance):
        return reserved
    target = instance.targets.get("W-ZLD")
    parks = np.flatnonzero(c.zld_candidate & locks.zld_may)
    order = np.argsort(c.zld.present_cost_cny[0, parks], kind="stable")
    least = int(np.ceil(target.required)) if target is not None and target.hard else 0
    wanted = parks[order][:least]
    source = c.budgets.source_of(c.zld.district)
    for park in np.union1d(wanted, np.flatnonzero(locks.zld_must)):
        own = np.isin(c.demand_user, c.park_user[park])
        volume_of(c.park_user[park], float(c.zld_min_share[park] * yearly[own].sum()), 0.0, True)
        np.add.at(reserved, source[park], c.zld.paid_cny[0, park])
    return reserved

"""(W7)-(W9), (W11), (W13) What clauses ask for."""

from __future__ import annotations

from itertools import product as every
from typing import Any

import numpy as np
from pyomo.environ import Any as AnyIndex
from pyomo.environ import (
    Binary,
    Constraint,
    Var,
    quicksum,
)

from optimize.engine.pyomo_bridge import ElasticConstraint
from optimize.water.formulation.model import (
    WaterModel,
    used_m3_per_a,
)


def add_cascades(w: WaterModel) -> None:
    """(W8), [W-CASCADE]."""
    m, c = w.m, w.c
    m.reuse_only_if_built = Constraint(AnyIndex)
    m.reuse_within_reduced_effluent = Constraint(AnyIndex)
    for i, s, t in every(range(len(c.cascades)), w.stages, w.periods):
        u = int(c.cascade_user[i])
        m.reuse_only_if_built[i, s, t] = (
            m.reused[i, s, t] <= float(c.cascade_limit_m3_per_d[s, i, t]) * m.cascade_built[i, s]
        )
        own = c.demand_user == u
        growth = float(c.growth_m3_per_d[s, own, t].sum())
        if (u, s) in m.growth_refused and growth > 0:
            used = float(c.demand_m3_per_d[s, own, t].sum())
            m.reuse_within_reduced_effluent[i, s, t] = m.reused[i, s, t] <= float(
                c.cascade_return_share[i]
            ) * (used - growth * m.growth_refused[u, s])
    m.cascade_target = Constraint(AnyIndex)
    if "W-CASCADE" in w.targets:
        s = w.stage_of("W-CASCADE")
        mean = quicksum(
            float(c.days[t] / c.days.sum()) * m.reused[i, s, t]
            for i, t in every(range(len(c.cascades)), w.periods)
        )
        w.demand("W-CASCADE", "", m.cascade_target, mean, w.targets["W-CASCADE"].required, "all")


def add_quota_and_caps(w: WaterModel) -> None:
    """(W7) [W-QUOTA], (W11) [W-CAP]."""
    m, c = w.m, w.c
    m.quota_target = Constraint(AnyIndex)
    m.intake_capped = Constraint(AnyIndex)
    if "W-QUOTA" in w.targets:
        s = w.stage_of("W-QUOTA")
        settled = quicksum(
            m.user_connected[u, s] + m.growth_refused[u, s] for u in np.flatnonzero(c.quota_listed).tolist()
        )
        w.demand("W-QUOTA", "", m.quota_target, settled, w.targets["W-QUOTA"].required, "all")
    if "W-CAP" in w.targets:
        s = w.stage_of("W-CAP")
        everyone = set(range(len(c.user_ids)))
        w.demand("W-CAP", "", m.intake_capped, _intake(w, s, everyone), w.targets["W-CAP"].required, "all")
        caps = w.instance.intake_caps
        for scope, name, cap in zip(caps["scope"], caps["id"], caps["cap_m3_per_a"], strict=True):
            users = set(np.flatnonzero((w.instance.users[scope] == name).to_numpy()).tolist())
            w.demand(
                "W-CAP", f"{scope} {name}", m.intake_capped, _intake(w, s, users), float(cap), (scope, name)
            )


def _intake(w: WaterModel, s: int, users: set[int]) -> Any:
    """Fresh water taken by ``users`` in a year of stage s, m3/a."""
    m, c = w.m, w.c
    own = np.isin(c.demand_user, list(users))
    whole = float((c.demand_m3_per_d[s, own] @ c.days).sum())
    refused = quicksum(
        float((c.growth_m3_per_d[s, c.demand_user == u] @ c.days).sum()) * m.growth_refused[u, s]
        for u in sorted(users)
        if (u, s) in m.growth_refused
    )
    return whole - refused - used_m3_per_a(w, s, users)


def add_pilots(w: WaterModel) -> None:
    """(W9) [W-PILOT], [W-ZLD]."""
    m, c, pilots = w.m, w.c, w.instance.pilots
    m.pilot_done = Var(range(len(pilots)) if "W-PILOT" in w.targets else [], domain=Binary)
    m.pilot_needs_users = Constraint(AnyIndex)
    m.pilot_needs_volume = Constraint(AnyIndex)
    m.pilot_target = Constraint(AnyIndex)
    if "W-PILOT" in w.targets:
        s = w.stage_of("W-PILOT")
        position = {user: u for u, user in enumerate(c.user_ids)}
        members = w.instance.pilot_members
        for i, (name, least_users, least_volume) in enumerate(
            zip(pilots["pilot"], pilots["min_users"], pilots["min_volume_m3_per_a"], strict=True)
        ):
            users = {position[user] for user in members.loc[members["pilot"] == name, "user"]}
            if least_users > 0:
                joined = quicksum(m.user_connected[u, s] for u in sorted(users))
                m.pilot_needs_users[i] = joined >= int(least_users) * m.pilot_done[i]
            if least_volume > 0:
                m.pilot_needs_volume[i] = used_m3_per_a(w, s, users) >= float(least_volume) * m.pilot_done[i]
        w.demand(
            "W-PILOT",
            "",
            m.pilot_target,
            quicksum(m.pilot_done.values()),
            w.targets["W-PILOT"].required,
            "all",
        )
        rows = w.instance.pilot_requirements
        for kind, district, minimum in zip(rows["kind"], rows["district"], rows["minimum"], strict=True):
            fits = np.ones(len(pilots), dtype=bool)
            if kind != "*":
                fits &= (pilots["kind"] == kind).to_numpy()
            if district:
                fits &= (pilots["district"] == district).to_numpy()
            count = quicksum(m.pilot_done[i] for i in np.flatnonzero(fits).tolist())
            where = f"{kind} {district}".strip()
            if minimum > 0:
                w.demand("W-PILOT", where, m.pilot_target, count, float(minimum), (kind, district))
    _add_zero_discharge(w)


def _add_zero_discharge(w: WaterModel) -> None:
    m, c = w.m, w.c
    m.zld_needs_reclaimed_water = Constraint(AnyIndex)
    m.zld_target = Constraint(AnyIndex)
    for i, s in m.zld_built:
        users = set(c.park_user[i].tolist())
        own = np.isin(c.demand_user, list(users))
        needed = float(c.zld_min_share[i] * (c.demand_m3_per_d[s, own] @ c.days).sum())
        m.zld_needs_reclaimed_water[i, s] = used_m3_per_a(w, s, users) >= needed * m.zld_built[i, s]
    if "W-ZLD" in w.targets:
        s = w.stage_of("W-ZLD")
        count = quicksum(m.zld_built[i, s] for i in np.flatnonzero(c.zld_candidate).tolist())
        w.demand("W-ZLD", "", m.zld_target, count, w.targets["W-ZLD"].required, "all")


def add_effect_targets(w: WaterModel) -> None:
    """(W13) [W-TN], [W-VOLUME], [W-NEAR]."""
    m, c = w.m, w.c
    m.nitrogen_target = Constraint(AnyIndex)
    m.volume_target = Constraint(AnyIndex)
    m.near_target = Constraint(AnyIndex)
    if "W-TN" in w.targets:
        kept = _nitrogen_kg_per_a(w, w.stage_of("W-TN"))
        w.demand("W-TN", "", m.nitrogen_target, kept, w.targets["W-TN"].required, "all")
    if "W-VOLUME" in w.targets:
        used = used_m3_per_a(w, w.stage_of("W-VOLUME"))
        w.demand("W-VOLUME", "", m.volume_target, used, w.targets["W-VOLUME"].required, "all")
    if "W-NEAR" in w.targets:
        s, target = w.stage_of("W-NEAR"), w.targets["W-NEAR"]
        carried = quicksum(
            float(c.length_km[index[0]] * c.days[index[-1]]) * m.flow[index]
            for index in m.flow
            if index[3] == s
        )
        taken = quicksum(
            float(c.days[index[-1]]) * m.delivered[index] for index in m.delivered if index[2] == s
        )
        m.near_target["all"] = carried <= target.required * taken
        # A mean is not linear in its limit: the row gives way in m3 km, told per m3 of all demand.
        whole = max(float((c.demand_m3_per_d[s] @ c.days).sum()), 1.0)
        row = m.near_target["all"]
        w.elastic.append(
            ElasticConstraint(
                "W-NEAR", "per m3 of all demand", "km", row, target.required, whole, is_cap=True
            )
        )


def _nitrogen_kg_per_a(w: WaterModel, s: int) -> Any:
    m, c = w.m, w.c
    treated = quicksum(
        float(c.days[t] * c.production.tn_kg[p, g]) * m.product[p, g, s, t]
        for p, g, stage, t in m.product
        if stage == s
    )
    reused = quicksum(
        float(c.days[t] * c.reuse.tn_kg[i]) * m.reused[i, s, t] for i, stage, t in m.reused if stage == s
    )
    return treated + reused


def add_plant_counts(w: WaterModel) -> None:
    """(W13) [W-UPGRADE], exact number of plants."""
    m, c = w.m, w.c
    exact = w.instance.parameters.num_plants_exact
    counted = exact > 0 or "W-UPGRADE" in w.targets
    plants = sorted(set(c.module_plant.tolist())) if counted else []
    m.plant_upgraded = Var(plants, w.stages, domain=Binary)
    m.upgraded_only_by_module = Constraint(AnyIndex)
    m.module_upgrades_plant = Constraint(AnyIndex)
    m.exact_number_of_plants = Constraint(AnyIndex)
    m.upgrade_target = Constraint(AnyIndex)
    for p, s in m.plant_upgraded:
        modules = np.flatnonzero(c.module_plant == p).tolist()
        m.upgraded_only_by_module[p, s] = m.plant_upgraded[p, s] <= quicksum(
            m.module_built[k, s] for k in modules
        )
        if exact > 0:
            for k in modules:
                m.module_upgrades_plant[p, k, s] = m.module_built[k, s] <= m.plant_upgraded[p, s]
    if exact > 0:
        m.exact_number_of_plants["all"] = (
            m.nothing + quicksum(m.plant_upgraded[p, w.stages[-1]] for p in plants) == exact
        )
    if "W-UPGRADE" in w.targets:
        s = w.stage_of("W-UPGRADE")
        count = quicksum(m.plant_upgraded[p, s] for p in plants)
        w.demand("W-UPGRADE", "", m.upgrade_target, count, w.targets["W-UPGRADE"].required, "all")

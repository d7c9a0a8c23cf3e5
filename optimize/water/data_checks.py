"""What a schema cannot say about an instance of the reclaimed-water programme: contradictions, and what looks wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from optimize.errors import Fault
from optimize.revision import find_revision_faults
from optimize.schema import InstanceData
from optimize.water.in_force_faults import find_in_force_faults
from optimize.water.instance import LOCKABLE, accepted_qualities

PERIOD_COUNTS = (1, 4, 12)
# Locks that may name one quality of a plant or corridor.
_BY_QUALITY = ("force_out", "earliest", "latest")


def find_faults(data: InstanceData) -> list[Fault]:
    """Contradictions between tables that make the instance meaningless."""
    return [
        *_parameter_faults(data),
        *_id_faults(data),
        *_profile_faults(data),
        *_treatment_faults(data),
        *_corridor_faults(data),
        *_lock_faults(data),
        *_other_reference_faults(data),
        *find_revision_faults(data.programme, data.parameters, data.targets),
        *find_in_force_faults(data),
    ]


def find_warnings(data: InstanceData) -> list[Fault]:
    """What is allowed but looks wrong: unreachable users, targets beyond supply or money."""
    return [
        *_unreachable_users(data),
        *_target_warnings(data),
        *_pilot_warnings(data),
        *_budget_warnings(data),
        *_lock_warnings(data),
        *_revision_warnings(data),
    ]


def _revision_warnings(data: InstanceData) -> Iterator[Fault]:
    opened = int(data.parameters["revision.first_open_year"])
    first, behind = (
        int(data.parameters["base_year"]),
        int(data.parameters["base_year"]) + int(data.parameters["num_years"]),
    )
    if first < opened < behind and not data.parameters["water.phased"]:
        yield Fault(
            "instance.toml",
            "revision.first_open_year",
            f"0 or {behind} where water.phased is false: all is built in one stage, which is open until all years are closed",
            str(opened),
            "set water.phased to true to tell years apart",
        )


def _parameter_faults(data: InstanceData) -> Iterator[Fault]:
    periods = data.parameters["water.periods"]
    if periods not in PERIOD_COUNTS:
        yield Fault("instance.toml", "water.periods", "1, 4 or 12", str(periods))
    if data.parameters["economics.horizon_years"] < _num_stages(data):
        yield Fault(
            "instance.toml",
            "economics.horizon_years",
            f"at least the {_num_stages(data)} investment years",
            str(data.parameters["economics.horizon_years"]),
        )
    for clause, target in data.targets.items():
        if target.deadline_year is not None and target.deadline_year < data.parameters["base_year"]:
            yield Fault(
                "instance.toml",
                f"water.clauses.{clause}.deadline_year",
                f"{data.parameters['base_year']} or later",
                str(target.deadline_year),
            )
    if "W-NEAR" in data.targets and not data.targets["W-NEAR"].hard:
        yield Fault(
            "instance.toml",
            "water.clauses.W-NEAR.hard",
            "true (a mean distance cannot be priced by the kilometre)",
            "false",
        )


def _num_stages(data: InstanceData) -> int:
    return int(data.parameters["num_years"]) if data.parameters["water.phased"] else 1


def _id_faults(data: InstanceData) -> Iterator[Fault]:
    """Ids that a node or a lock could confuse."""
    groups = (
        (("plants", "plant"), ("junctions", "junction"), ("users", "user")),
        LOCKABLE,
    )
    for group in groups:
        seen: dict[str, str] = {}
        for table, key in group:
            for row, name in enumerate(data.tables[table][key]):
                if name in seen and seen[name] != table:
                    yield Fault(
                        table, key, f"an id not used in {seen[name]}", name, "rename one of the two", row
                    )
                seen.setdefault(name, table)


def _profile_faults(data: InstanceData) -> Iterator[Fault]:
    profiles = data.tables["profiles"]
    for name, rows in profiles.groupby("profile", sort=False):
        if len(rows) != 12:
            yield Fault("profiles", "month", f"12 rows for {name}", str(len(rows)), row=int(rows.index[0]))
    months = data.tables["plant_months"]
    for name, rows in months.groupby("plant", sort=False):
        if len(rows) != 12:
            yield Fault(
                "plant_months", "month", f"12 rows for {name}", str(len(rows)), row=int(rows.index[0])
            )


def _treatment_faults(data: InstanceData) -> Iterator[Fault]:
    modules, treatment = data.tables["modules"], data.tables["treatment"]
    known = set(zip(treatment["plant"], treatment["quality"], strict=True))
    for row, pair in enumerate(zip(modules["plant"], modules["quality"], strict=True)):
        if pair not in known:
            yield Fault(
                "modules",
                "quality",
                f"a row of treatment for plant {pair[0]}",
                pair[1],
                "add its running cost to treatment",
                row,
            )


def _corridor_faults(data: InstanceData) -> Iterator[Fault]:
    corridors = data.tables["corridors"]
    for row in np.flatnonzero((corridors["from_node"] == corridors["to_node"]).to_numpy()):
        yield Fault(
            "corridors", "to_node", "another node than from_node", corridors["to_node"][row], row=int(row)
        )
    half = (corridors["existing_m3_per_d"] > 0) & (corridors["existing_quality"] == "")
    for row in np.flatnonzero(half.to_numpy()):
        yield Fault(
            "corridors", "existing_quality", "the quality of the existing pipe", "nothing", row=int(row)
        )


def _lock_faults(data: InstanceData) -> Iterator[Fault]:
    locks = data.tables["locks"]
    table_of = {name: table for table, key in LOCKABLE for name in data.tables[table][key]}
    first = data.parameters["base_year"]
    last = first + _num_stages(data) - 1
    columns = (locks[name] for name in ("kind", "id", "other", "value", "year"))
    for row, (kind, name, other, value, year) in enumerate(zip(*columns, strict=True)):
        named = {"id": name, "other": other} if kind in ("together", "not_together") else {"id": name}
        for column, project in named.items():
            if project not in table_of and not (kind in _BY_QUALITY and _names_a_quality(data, project)):
                expected = "a plant, user, corridor, storage site, cascade or park"
                if kind in _BY_QUALITY:
                    expected += ", or plant:quality, corridor:quality"
                yield Fault("locks", column, expected, project or "nothing", row=row)
        if kind in ("earliest", "latest") and year == 0:
            yield Fault("locks", "year", f"a calendar year for {kind}", "0", row=row)
        if kind == "fix" and name in table_of:
            allowed = fix_values(data.tables, table_of[name], name)
            if value not in allowed:
                yield Fault("locks", "value", f"one of {', '.join(allowed[:8])}", value, row=row)
            if year and not first <= year <= last:
                yield Fault("locks", "year", f"{first} to {last}", str(year), row=row)


def _names_a_quality(data: InstanceData, name: str) -> bool:
    """Whether a lock names one quality of a plant or corridor."""
    place, _, quality = name.rpartition(":")
    there = {*data.tables["plants"]["plant"], *data.tables["corridors"]["corridor"]}
    return place in there and quality in set(data.tables["qualities"]["quality"])


def fix_values(tables: Mapping[str, pd.DataFrame], table: str, name: str) -> list[str]:
    """Values a `fix` lock may give a project: ``none``, or how it is done.

    A plant is fixed to ``quality:step``, a corridor to ``quality:diameter``, a user to ``pipe`` or
    ``tanker``, everything else to ``built``.
    """
    if table == "plants":
        own = tables["modules"][tables["modules"]["plant"] == name]
        return ["none", *(own["quality"] + ":" + own["step"])]
    if table == "corridors":
        return [
            "none",
            *(f"{q}:{d}" for q in tables["qualities"]["quality"] for d in tables["pipes"]["diameter"]),
        ]
    return ["none", "pipe", "tanker"] if table == "users" else ["none", "built"]


def _other_reference_faults(data: InstanceData) -> Iterator[Fault]:
    """References that depend on another column."""
    tables = data.tables
    known = {
        "district": set(tables["districts"]["district"]),
        "park": set(tables["parks"]["park"]),
        "user": set(tables["users"]["user"]),
    }
    caps = tables["intake_caps"]
    for row, (scope, name) in enumerate(zip(caps["scope"], caps["id"], strict=True)):
        if name not in known[scope]:
            yield Fault("intake_caps", "id", f"an id of a {scope}", name, row=row)
    sources = {"municipal", "owner"} | known["district"]
    for row, source in enumerate(tables["budgets"]["source"]):
        if source not in sources:
            yield Fault("budgets", "source", "municipal, owner or a district", source, row=row)


def _unreachable_users(data: InstanceData) -> Iterator[Fault]:
    """Users that no water of a quality they accept can reach, by pipe or by tanker."""
    tables = data.tables
    accepted = accepted_qualities(tables)
    corridors, treatment = tables["corridors"], tables["treatment"]
    reached: dict[str, set[str]] = {}
    edges: dict[str, list[str]] = {}
    for start, end, directed in zip(
        corridors["from_node"], corridors["to_node"], corridors["directed"], strict=True
    ):
        edges.setdefault(start, []).append(end)
        if not directed:
            edges.setdefault(end, []).append(start)
    sources: dict[str, set[str]] = {}
    for plant, quality in zip(treatment["plant"], treatment["quality"], strict=True):
        sources.setdefault(quality, set()).add(plant)
    for user, quality in zip(tables["cascades"]["user"], tables["cascades"]["quality"], strict=True):
        sources.setdefault(quality, set()).add(user)
    for quality, starts in sources.items():
        reached[quality] = _spread(starts, edges)
    tanker = dict(zip(tables["users"]["user"], tables["users"]["tanker_plant"], strict=True))
    for row, (user, need) in enumerate(
        zip(tables["user_demands"]["user"], tables["user_demands"]["need"], strict=True)
    ):
        if not any(
            user in reached.get(quality, ()) or tanker[user] in sources.get(quality, ())
            for quality in accepted[need]
        ):
            yield Fault(
                "user_demands",
                "user",
                "a way from a source of a quality it accepts",
                f"{user} cannot be reached with {' or '.join(accepted[need])}",
                "add corridors or treatment",
                row,
            )


def _spread(starts: set[str], edges: Mapping[str, list[str]]) -> set[str]:
    reached, front = set(starts), list(starts)
    while front:
        for node in edges.get(front.pop(), ()):
            if node not in reached:
                reached.add(node)
                front.append(node)
    return reached


def _target_warnings(data: InstanceData) -> Iterator[Fault]:
    """Targets beyond what supply, demand or the candidates could give at most."""
    tables, targets = data.tables, data.targets
    demand_m3_per_a = 365.0 * _grown_demand_m3_per_d(tables)
    drawable = (tables["plants"]["effluent_m3_per_d"] - tables["plants"]["ecological_m3_per_d"]).clip(lower=0)
    supply_m3_per_a = 365.0 * float(drawable.sum()) + 365.0 * float(
        tables["cascades"]["capacity_m3_per_d"].sum()
    )
    tn_kg_per_a = 365.0 * float((drawable * tables["plants"]["tn_mg_per_l"]).sum()) / 1000.0
    most: dict[str, tuple[float, str]] = {
        "W-VOLUME": (min(supply_m3_per_a, demand_m3_per_a), "supply and demand"),
        "W-TN": (tn_kg_per_a, "nitrogen in the drawable effluent"),
        "W-CASCADE": (float(tables["cascades"]["capacity_m3_per_d"].sum()), "cascade works"),
        "W-PILOT": (float(len(tables["pilots"])), "candidate pilots"),
        "W-ZLD": (float(tables["parks"]["zld_candidate"].sum()), "candidate parks"),
        "W-UPGRADE": (float(tables["modules"]["plant"].nunique()), "plants with modules"),
        "W-QUOTA": (float(tables["users"]["quota_listed"].sum()), "listed users"),
    }
    for clause, (reachable, what) in most.items():
        if clause in targets and targets[clause].required > reachable * (1 + 1e-9):
            yield Fault(
                "instance.toml",
                f"water.clauses.{clause}.required",
                f"at most {reachable:,.0f} {targets[clause].clause.unit} ({what})",
                f"{targets[clause].required:,.0f}",
            )
    if "W-CAP" in targets:
        least = demand_m3_per_a - min(supply_m3_per_a, demand_m3_per_a)
        if targets["W-CAP"].required < least:
            yield Fault(
                "instance.toml",
                "water.clauses.W-CAP.required",
                f"at least {least:,.0f} m3/a (demand less supply)",
                f"{targets['W-CAP'].required:,.0f}",
            )


def _pilot_warnings(data: InstanceData) -> Iterator[Fault]:
    """Requirements by kind and district that have too few candidates."""
    if "W-PILOT" not in data.targets:
        return
    pilots, rows = data.tables["pilots"], data.tables["pilot_requirements"]
    for row, (kind, district, minimum) in enumerate(
        zip(rows["kind"], rows["district"], rows["minimum"], strict=True)
    ):
        fits = (pilots["kind"] == kind) | (kind == "*")
        fits &= (pilots["district"] == district) | (district == "")
        if minimum > fits.sum():
            expected = f"at most the {int(fits.sum())} candidates of that kind and district"
            yield Fault("pilot_requirements", "minimum", expected, str(minimum), "add candidate pilots", row)


def _grown_demand_m3_per_d(tables: Mapping[str, pd.DataFrame]) -> float:
    growth = tables["user_demands"]["user"].map(tables["users"].set_index("user")["growth_share"])
    return float((tables["user_demands"]["base_m3_per_d"] * (1 + growth)).sum())


def _budget_warnings(data: InstanceData) -> Iterator[Fault]:
    budgets = data.tables["budgets"]
    first = data.parameters["base_year"]
    last = first + data.parameters["num_years"] - 1
    for row in np.flatnonzero(((budgets["year"] < first) | (budgets["year"] > last)).to_numpy()):
        yield Fault(
            "budgets",
            "year",
            f"{first} to {last}",
            str(budgets["year"][row]),
            "the row is not used",
            int(row),
        )
    if data.targets and float(budgets["amount_cny"].sum()) == 0.0 and not len(data.tables["funding"]):
        yield Fault("budgets", "amount_cny", "money for the plants and pipes the targets ask for", "none")


def _lock_warnings(data: InstanceData) -> Iterator[Fault]:
    if data.parameters["water.phased"]:
        return
    locks = data.tables["locks"]
    for row in np.flatnonzero(locks["kind"].isin(["earliest", "latest"]).to_numpy()):
        yield Fault(
            "locks", "kind", "years only where water.phased is true", locks["kind"][row],
            "the lock has no effect", int(row),
        )  # fmt: skip

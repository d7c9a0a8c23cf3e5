"""The projects of a plan in a reader's words: what is done where and when, who pays, what it brings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from optimize.i18n.words import Words
from optimize.publish.facts import PlanFacts
from optimize.report.summary import frame_records

Row = Mapping[str, Any]

# Figures of the checker that a list of projects shows, by programme: those projects add up to.
SHOWN_EFFECTS: Mapping[str, tuple[str, ...]] = {
    "pv_siting": ("capacity", "energy", "co2", "npv"),
    "datacenter": ("energy", "co2", "npv"),
    "water": (),
}


@dataclass(frozen=True)
class ProjectRow:
    """One project.

    Attributes
    ----------
    id : as `optimize explain` takes it.
    district : id of the district, "" where it has none.
    what : what is done, in words; ``payer`` who pays, "" where the plan does not say.
    capex_cny : NaN where the plan does not say.
    effects : by figure of the checker.
    """

    kind: str
    id: str
    name: str
    district: str
    district_name: str
    year: int
    what: str
    payer: str
    capex_cny: float
    effects: Mapping[str, float] = field(default_factory=dict)


def project_rows(plan: PlanFacts, words: Words) -> list[ProjectRow]:
    """Every project of a plan, the dearest first; those without a price last."""
    rows = _READERS[plan.name](plan, words)
    return sorted(
        rows,
        key=lambda row: (
            math.isnan(row.capex_cny),
            -row.capex_cny if row.capex_cny == row.capex_cny else 0.0,
            row.id,
        ),
    )


def _pv(plan: PlanFacts, words: Words) -> list[ProjectRow]:
    return [
        ProjectRow(
            kind="site", id=row["site"], name=words.name(row), district=row["district"],
            district_name=plan.district_name(row["district"], words), year=int(row["year"]),
            what=pv_words(plan, row, words), payer=words.value("mix", row["mix"]), capex_cny=row["capex_cny"],
            effects={
                "capacity": row["kw"], "energy": row["generation_kwh_per_a"] / 1000.0,
                "co2": row["co2_t_per_a"], "npv": row["npv_cny"],
            },
        )
        for row in frame_records(plan.table("projects"))
    ]  # fmt: skip


def pv_words(plan: PlanFacts, row: Row, words: Words) -> str:
    """Kind of system, capacity, storage and hot water of a row of ``projects``."""
    parts = []
    if row["kind"]:
        parts.append(f"{plan.named('kinds', row['kind'], words)} {words.amount(row['kw'], 'kW')}")
    if row["storage"]:
        parts.append(words.value("storage", row["storage"]))
    if row["hot_water"]:
        parts.append(words.value("hot_water", row["hot_water"]))
    if row["offer"]:
        parts.append(words.text("offer {offer}", offer=row["offer"]))
    return " + ".join(parts)


def _datacenter(plan: PlanFacts, words: Words) -> list[ProjectRow]:
    return [
        ProjectRow(
            kind="centre", id=row["centre"], name=words.name(row), district=row["district"],
            district_name=plan.district_name(row["district"], words), year=int(row["year"]),
            what=centre_words(plan, row, words), payer=words.value("mix", row["mix"]), capex_cny=row["capex_cny"],
            effects={
                "energy": row["energy_saved_mwh_per_year"], "co2": row["co2_avoided_t_per_year"], "npv": row["npv_cny"],
            },
        )
        for row in frame_records(plan.table("projects"))
    ]  # fmt: skip


def centre_words(plan: PlanFacts, row: Row, words: Words) -> str:
    """Measures and their years, where a room moves to, where its heat goes, of a row of ``projects``."""
    first, second = _measures(plan, row["measures"], words), _measures(plan, row["later_measures"], words)
    parts = []
    if row["action"] == "close":
        parts.append(words.text("closed, moved to {host}", host=plan.named("hosts", row["host"], words)))
    elif row["offer"]:
        parts.append(words.text("offer {offer}", offer=row["offer"]))
    elif second:
        added = [name for name in second if name not in first]
        parts.append(words.text("{year}: {measures}", year=int(row["year"]), measures=words.listed(first)))
        parts.append(
            words.text(
                "{year}: {measures}", year=int(row["later_year"]), measures=words.listed(added or second)
            )
        )
    elif first:
        parts.append(words.listed(first))
    if row["sink"]:
        parts.append(words.text("heat to {sink}", sink=plan.named("heat_sinks", row["sink"], words)))
    return ("；" if words.language == "zh" else "; ").join(parts)


def _measures(plan: PlanFacts, names: str, words: Words) -> list[str]:
    return [plan.named("measures", name, words) for name in names.split("+") if name]


def _water(plan: PlanFacts, words: Words) -> list[ProjectRow]:
    rows = []
    for key, row in _listed(plan, "plants", "treatment"):
        what = f"{plan.named('qualities', row['quality'], words)} {words.amount(row['capacity_m3_per_d'], 'm3/d')}"
        rows.append(
            _work(plan, words, "treatment", key, words.name(row) or row["plant"], row, what, row["capex_cny"])
        )
    for key, row in _listed(plan, "pipes", "pipe"):
        ends = words.text(
            "{start} to {end}",
            start=node_name(plan, row["from_node"], words), end=node_name(plan, row["to_node"], words),
        )  # fmt: skip
        quality = plan.named("qualities", row["quality"], words)
        what = words.listed([str(row["diameter"]), words.number(row["length_m"] / 1000.0, "km", 2), quality])
        rows.append(_work(plan, words, "pipe", key, ends, row, what, row["capex_cny"]))
    for key, row in _listed(plan, "users", "connection"):
        mode = words.value("kind", "connection" if row["mode"] == "pipe" else "tanker")
        what = words.listed([mode, words.value("kind", row["kind"])])
        cost = row["connection_capex_cny"] if row["mode"] == "pipe" else math.nan
        rows.append(_work(plan, words, "connection", key, words.name(row) or row["user"], row, what, cost))
    for key, row in _listed(plan, "other_works", "other works"):
        table = _WORKS.get(row["kind"])
        name = plan.named("" if table is None else table[0], row["id"], words)
        rows.append(
            _work(
                plan,
                words,
                "other works",
                key,
                name,
                row,
                words.value("kind", row["kind"]),
                _price_of(plan, row),
            )
        )
    return rows


def _listed(plan: PlanFacts, table: str, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Rows of a table, each with the id of its project."""
    projects = plan.projects
    return list(
        zip(projects.loc[projects["kind"] == kind, "id"], frame_records(plan.table(table)), strict=True)
    )


# Works that are no pipes, plants or users: the instance's table, its key, and the column of their price ("": none).
_WORKS = {
    "cascade": ("cascades", "cascade", "capex_cny"),
    "storage": ("storage_sites", "site", "capex_cny"),
    "zld": ("parks", "park", "zld_capex_cny"),
    "pilot": ("pilots", "pilot", ""),
}


def _price_of(plan: PlanFacts, row: Row) -> float:
    """The price that the instance gives; NaN where it has none, or is not there."""
    if plan.instance is None or row["kind"] not in _WORKS:
        return math.nan
    table, key, column = _WORKS[row["kind"]]
    if not column:
        return math.nan
    rows = plan.instance.tables[table]
    return float(rows.loc[rows[key] == row["id"], column].sum())


def node_name(plan: PlanFacts, node: str, words: Words) -> str:
    """A node of the network: a plant, a user, or a junction, which has no name but its id."""
    for table in ("plants", "users"):
        if (table, node) in plan.names:
            return plan.named(table, node, words)
    return node


def _work(
    plan: PlanFacts, words: Words, kind: str, key: str, name: str, row: Row, what: str, capex_cny: float
) -> ProjectRow:
    district = str(row.get("district", ""))
    return ProjectRow(
        kind=kind, id=key, name=name, district=district, district_name=plan.district_name(district, words) if district else "",
        year=int(row["year"]), what=what, payer=words.value("mix", str(row.get("mix", ""))), capex_cny=float(capex_cny),
    )  # fmt: skip


_READERS: Mapping[str, Callable[[PlanFacts, Words], list[ProjectRow]]] = {
    "pv_siting": _pv,
    "datacenter": _datacenter,
    "water": _water,
}

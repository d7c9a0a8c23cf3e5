"""Notable choices in a reader's words: what the plan depends on, what was just missed, and what stops it.

From exact answers of ``optimize explain --json`` where they are given; else from the run's own prices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from optimize.clauses import CLAUSES
from optimize.i18n.catalogue import N_
from optimize.i18n.words import Words
from optimize.publish.facts import PlanFacts
from optimize.publish.projects import centre_words, project_rows
from optimize.report.summary import frame_records

_SHOWN = 5
# Prices shown, the dearest of each kind.
_MOST_BUDGETS, _MOST_TARGETS, _MOST_OTHERS = 4, 4, 3
_LEAST_PRICE = 1e-12
_NOTHING = 1e-9  # of the plan's goal
# What programmes call the rows of budgets.
_BUDGETS = ("budget", "CITY-BUDGET")


@dataclass(frozen=True)
class Choice:
    """One choice: the project, whether the plan has it, its best way, and why, in sentences."""

    id: str
    name: str
    district: str
    chosen: bool
    way: str
    why: tuple[str, ...]
    worth: float = math.nan


def explained(plan: PlanFacts, records: Sequence[Mapping[str, Any]], words: Words) -> list[Choice]:
    """Projects solved again with and without, as ``explain --json`` tells them; those of other plans are left out."""
    rows = {row.id: row for row in project_rows(plan, words)}
    known = _candidates(plan)
    found = []
    for record in records:
        name = str(record["id"])
        if name not in rows and name not in known:
            continue
        row = rows.get(name)
        is_ranked = "chosen" not in record
        if is_ranked and record.get("loss") is None:
            continue
        district = row.district_name if row else plan.district_name(str(record.get("district", "")), words)
        found.append(
            Choice(
                name,
                row.name if row else known.get(name, name),
                district,
                True if is_ranked else bool(record["chosen"]),
                row.what if row else str(record["decision"]),
                tuple(why(record, str(plan.summary["goal_unit"]), words)),
                _number(record.get("approx_value")),
            )
        )
    return found


def why(record: Mapping[str, Any], unit: str, words: Words) -> list[str]:
    """The answer about one project in sentences; ``unit`` is that of the run's goal."""
    if record.get("forbidden") and record.get("chosen"):
        return [words.text("It stays whatever else is planned: a lock or a contract holds it in.")]
    if record.get("forbidden"):
        return [words.text("It takes no part: the data rule it out.")]
    if record.get("impossible"):
        if record.get("chosen", True):
            cannot = words.text("The plan cannot do without it: a hard target or budget would be missed.")
        else:
            cannot = words.text("It cannot be taken in: a hard target or budget would be missed.")
        return [cannot, *_ways_out(record.get("relaxations", ()), words)]
    loss, low, high = (_number(record.get(key)) for key in ("loss", "low", "high"))
    if math.isnan(loss):
        return [words.text("What it is worth was not found in the time given.")]
    is_open = not math.isnan(low) and not math.isnan(high) and low <= 0 < high
    if is_open:
        told = words.text("Whether anything is lost is open: at most {high}.", high=words.amount(high, unit))
    elif loss == 0:
        told = words.text("Nothing is lost either way: an equally good plan was found.")
    elif record.get("chosen", True):
        told = words.text("Without it the best plan loses {loss}.", loss=words.amount(loss, unit))
    else:
        told = words.text("With it the best plan loses {loss}.", loss=words.amount(loss, unit))
    stops = [
        words.text("It is stopped by {row}.", row=row_name(str(row["name"]), words))
        for row in record.get("stopping", ())[:2]
    ]
    even = record.get("break_even")
    if even:
        stops.append(
            words.text(
                "A subsidy of {money} would make it worth while.", money=words.money(even["subsidy_cny"])
            )
        )
    return [told, *stops]


def _ways_out(ways: Sequence[Mapping[str, Any]], words: Words) -> list[str]:
    if not ways:
        return []
    rows = ways[0]["rows"]
    told = [
        words.text(
            "{clause} would reach {reachable} instead of {required}.",
            clause=row_name(f"{row['clause']} {row['where']}".strip(), words),
            reachable=words.amount(row["reachable"], row["unit"]), required=words.amount(row["required"], row["unit"]),
        )
        for row in rows
    ]  # fmt: skip
    return told[:2]


def by_prices(plan: PlanFacts, words: Words) -> tuple[list[Choice], list[Choice]]:
    """From the run's prices: what the plan gains most from, and what was just missed; empty where it stores none."""
    if "candidate_values" not in plan.table_names or plan.prices is None:
        return [], []
    values = plan.table("candidate_values")
    key = values.columns[0]
    unit = str(plan.summary["goal_unit"])
    rows = {row.id: row for row in project_rows(plan, words)}
    names, districts = _candidates(plan), _districts(plan)
    budgets = _budget_prices(plan.prices)
    chosen = values[values["chosen"]].nlargest(_SHOWN, "approx_value")
    missed = values[~values["chosen"]].nlargest(_SHOWN, "approx_value")

    def choice(record: Mapping[str, Any], why: str, *more: str) -> Choice:
        name = str(record[key])
        row = rows.get(name)
        return Choice(
            name, row.name if row else words.either(*names.get(name, (name, name))),
            row.district_name if row else plan.district_name(districts.get(name, ""), words),
            bool(record["chosen"]), row.what if row else _way(plan, record, words), (why, *(m for m in more if m)), float(record["approx_value"]),
        )  # fmt: skip

    top = [
        choice(
            record,
            words.text(
                "At the plan's prices it adds about {value}.",
                value=words.amount(record["approx_value"], unit),
            ),
        )
        for record in frame_records(chosen)
    ]
    near = []
    for record in frame_records(missed):
        value = float(record["approx_value"])
        if abs(value) <= _NOTHING * abs(float(plan.summary["objective"])):
            why = words.text("It is worth just what it takes of budgets and targets.")
        elif value > 0:
            why = words.text(
                "Worth about {value} at the plan's prices, but it no longer fits.",
                value=words.amount(value, unit),
            )
        else:
            why = words.text(
                "What it takes of budgets and targets is worth about {value} more elsewhere.",
                value=words.amount(-value, unit),
            )
        near.append(
            choice(
                record, why, _stopped(plan, record, districts.get(str(record[key]), ""), budgets, unit, words)
            )
        )
    return top, near


def _stopped(
    plan: PlanFacts,
    record: Mapping[str, Any],
    district: str,
    budgets: Mapping[str, float],
    unit: str,
    words: Words,
) -> str:
    """The budget it would draw on, where that has a price."""
    year = int(record["year"])
    found = [
        (source, budgets[f"{source} {year}"])
        for source in ("municipal", district)
        if budgets.get(f"{source} {year}")
    ]
    if not found:
        return ""
    source, price = max(found, key=lambda pair: pair[1])
    name = words.value("source", source) if source == "municipal" else plan.district_name(source, words)
    return words.text(
        "In {year} 10 000 CNY of the {source} budget buy about {worth} elsewhere.",
        year=year, source=name, worth=words.amount(1e4 * price, unit),
    )  # fmt: skip


def _budget_prices(prices: pd.DataFrame) -> dict[str, float]:
    rows = prices[prices["clause"].isin(_BUDGETS)]
    return dict(zip(rows["where"], rows["approx_gain_per_unit"].tolist(), strict=True))


def price_rows(plan: PlanFacts, words: Words) -> list[tuple[str, str]]:
    """What one more of each priced budget, or one less of each target, is worth: the dearest, (name, worth)."""
    if plan.prices is None:
        return []
    prices = plan.prices[plan.prices["approx_gain_per_unit"].abs() > _LEAST_PRICE]
    prices = prices.assign(stake=(prices["approx_gain_per_unit"] * prices["required"].clip(lower=1.0)).abs())
    is_budget, is_clause = prices["clause"].isin(_BUDGETS), prices["clause"].isin(list(CLAUSES))
    rows = pd.concat(
        prices[chosen].nlargest(number, "stake")
        for chosen, number in (
            (is_budget, _MOST_BUDGETS),
            (is_clause & ~is_budget, _MOST_TARGETS),
            (~is_clause & ~is_budget, _MOST_OTHERS),
        )
    )
    unit = str(plan.summary["goal_unit"])
    told = []
    for row in frame_records(rows):
        name = row_name(f"{row['clause']} {row['where']}".strip(), words, plan.district_name)
        told_step, step = _step_words(row, name, words)
        told.append((told_step, words.amount(step * row["approx_gain_per_unit"], unit)))
    return told


def _step_words(row: Mapping[str, Any], name: str, words: Words) -> tuple[str, float]:
    """A step that a planner thinks in, in words, and how many units it has."""
    is_target, unit = row["sense"] == ">=", str(row["unit"])
    if unit == "CNY":
        return words.text("10 000 CNY more of {name}", name=name), 1e4
    if unit == "share":
        return words.text("one percentage point less of {name}", name=name), 0.01
    if unit == "count":
        return words.text("one less of {name}", name=name) if is_target else words.text(
            "one more of {name}", name=name
        ), 1.0
    shown = words.unit(unit)
    if is_target:
        return words.text("one {unit} less of {name}", unit=shown, name=name), 1.0
    return words.text("one {unit} more of {name}", unit=shown, name=name), 1.0


# Rows of a model that are no clauses and no budgets, by the words they begin with.
_ROWS = {
    "contractor weeks": N_("working weeks of the trades"),
    "district minimum": N_("district minimum"),
    "host capacity": N_("room in the host"),
    "installers": N_("installers' capacity"),
    "order": N_("schools and hospitals first"),
    "zone works share": N_("share of a zone under works"),
    "lock": N_("a lock"),
    "its backup partner is under works in the same year": N_(
        "its backup partner is under works in the same year"
    ),
    "the heat user takes no more in some month": N_("the heat user takes no more in some month"),
    "a lock: together with another": N_("a lock: together with another project or not at all"),
    "a lock: not together with another": N_("a lock: not together with another project"),
    "one installation for each site": N_("one installation for each site"),
    "the feeder it hangs on takes no more": N_("the feeder it hangs on takes no more"),
    "the substation it hangs on takes no more": N_("the substation it hangs on takes no more"),
}


def row_name(name: str, words: Words, district: Callable[[str, Words], str] | None = None) -> str:
    """A budget or target in words: clauses by their titles, budgets by source and year; ``district`` names districts."""
    clause, _, where = name.partition(" ")
    if clause in _BUDGETS:
        if where.startswith("all sources"):
            return words.text("the budget, all sources and years in proportion")
        source, _, year = where.rpartition(" ")
        is_district = source not in ("municipal", "owner")
        shown = district(source, words) if district and is_district else words.value("source", source)
        return words.text("the budget {source} {year}", source=shown, year=year)
    if clause in CLAUSES:
        title = words.either(CLAUSES[clause].zh, CLAUSES[clause].en)
        return " ".join(
            part for part in (words.text("{id} ({title})", id=clause, title=title), where) if part
        )
    for start, text in _ROWS.items():
        if name == start or name.startswith(start + " "):
            where = name[len(start) :].strip()
            return f"{words.text(text)} {where if district is None else district(where, words)}".strip()
    return name


def _way(plan: PlanFacts, record: Mapping[str, Any], words: Words) -> str:
    """The best way of a candidate that is not in the plan."""
    if plan.name == "datacenter":
        return centre_words(plan, record, words)
    parts = []
    if plan.instance is not None and record.get("configuration"):
        table = plan.instance.tables["configurations"].set_index("configuration")
        row = table.loc[record["configuration"]]
        if row["kind"]:
            parts.append(plan.named("kinds", str(row["kind"]), words))
        parts += [words.value(name, str(row[name])) for name in ("storage", "hot_water") if row[name]]
    elif record.get("configuration"):
        parts.append(str(record["configuration"]))
    if record.get("offer"):
        parts.append(words.text("offer {offer}", offer=record["offer"]))
    return words.text("{what} in {year}", what=" + ".join(parts), year=int(record["year"]))


def _candidates(plan: PlanFacts) -> dict[str, Any]:
    table = {"pv_siting": "sites", "datacenter": "centres", "water": "users"}[plan.name]
    return {key: names for (of, key), names in plan.names.items() if of == table}


def _districts(plan: PlanFacts) -> dict[str, str]:
    table, key = {
        "pv_siting": ("sites", "site"),
        "datacenter": ("centres", "centre"),
        "water": ("users", "user"),
    }[plan.name]
    if plan.instance is None:
        return {}
    rows = plan.instance.tables[table]
    return dict(zip(rows[key], rows["district"], strict=True))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)

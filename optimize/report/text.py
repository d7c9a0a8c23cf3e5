"""A run for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size

from optimize.clauses import CLAUSES
from optimize.errors import Fault
from optimize.result import StopReason

_LABEL_WIDTH = 9
# Prices shown, the dearest of each kind.
_MOST_BUDGETS, _MOST_TARGETS, _MOST_OTHERS = 4, 3, 2
# What programmes call the rows of budgets.
_BUDGETS = ("budget", "CITY-BUDGET")
# Steps a planner thinks in, where the unit itself is not one.
_STEPS = {"CNY": (1e4, "万元 "), "share": (0.01, "percentage point "), "count": (1.0, "")}


def amount(value: float | None, unit: str) -> str:
    """A figure with thousands by thin space, money in M CNY."""
    if value is None:
        return "unlimited" if unit == "CNY" else "none"
    if unit == "CNY":
        return f"{grouped(value / 1e6, 1 if abs(value) < 1e10 else 0)} M CNY"
    digits = 0 if abs(value) >= 1000 or value == int(value) else 3 if abs(value) < 10 else 1
    return f"{grouped(value, digits)} {unit}".rstrip()


def money(value: float, unit: str) -> str:
    """An amount small enough for one project: 万元 below a million CNY."""
    if unit != "CNY" or abs(value) >= 1e6:
        return amount(value, unit)
    return f"{value / 1e4:.2f} 万元" if abs(value) >= 1e3 else f"{value:.0f} CNY"


def grouped(value: float, digits: int = 0) -> str:
    return f"{value:,.{digits}f}".replace(",", " ")


def percent(share: float | None) -> str:
    if share is None:
        return "unknown"
    if 5e-9 < share < 1e-3:  # two digits that count: a small gap is not none
        return f"{100 * share:.{1 - math.floor(math.log10(100 * share))}f} %"
    return f"{100 * share:.2f} %" if share < 0.1 else f"{100 * share:.1f} %"


def run_lines(summary: Mapping[str, Any], run: str | None) -> list[str]:
    """The whole summary of one programme's run."""
    head = f"{summary['programme_en']} · {summary['programme_zh']} · {summary['instance_en']}"
    if "scenario" in summary:
        name, title = summary["scenario"]["name"], summary["scenario"]["en"]
        head += f" · scenario {name}" + (f": {title}" if title != name else "")
    if summary["status"] == "infeasible":
        return [head, *relaxation_lines(summary["relaxations"])]
    if summary["status"] == "no plan":
        notes = _labelled("note", summary.get("notes", []))
        return [head, no_plan_line(summary, " or another engine (--engine)"), *notes]
    lines = [head]
    lines += _labelled("build", summary["build"])
    lines += _labelled("effect", summary["effect"])
    lines += _labelled("money", money_lines(summary["money"]))
    lines += _labelled("clauses", clause_lines(summary["clauses"]))
    lines += _labelled("proof", [proof_line(summary)])
    lines += _labelled("note", summary.get("notes", []))
    lines += _labelled("prices", price_lines(summary))
    lines += _labelled("checked", [checked_line(summary)])
    for violation in summary["violations"][:20]:
        lines.append(f"            {violation}")
    if run is not None:
        lines += _labelled("tables", [run])
    return lines


def no_plan_line(summary: Mapping[str, Any], instead: str = "") -> str:
    """Why there is no plan, and what to give; ``instead`` of more time."""
    bound = summary["bound"]
    proven = "" if bound is None else f"; proven bound {amount(bound, summary['goal_unit'])}"
    if summary["stop_reason"] == StopReason.INTERRUPTED.value:
        return (
            f"  Stopped after {summary['seconds']:.0f} s, before there was a plan{proven}. "
            "Nothing was stored; the same command begins anew."
        )
    return (
        f"  No plan within the limits ({summary['stop_reason']} after {summary['seconds']:.0f} s)"
        f"{proven}. Give more time (--time-limit){instead}."
    )


def proof_line(summary: Mapping[str, Any]) -> str:
    unit = summary["goal_unit"]
    better = "more" if summary["maximise"] else "less"
    text = (
        f"{summary['goal_en']} {amount(summary['objective'], unit)} · "
        f"bound {amount(summary['bound'], unit) if summary['bound'] is not None else 'none proven'} · "
        f"gap {percent(summary['gap'])} · {summary['stop_reason']} after {summary['seconds']:.0f} s "
        f"({summary['engine']})"
    )
    if summary["bound"] is not None:
        distance = abs(summary["bound"] - summary["objective"])
        text += f"; no plan can have over {amount(distance, unit)} {better}"
    return text


def price_lines(summary: Mapping[str, Any]) -> list[str]:
    """What a little more of the dearest budgets and targets is worth."""
    rows = summary.get("shadow_prices", [])
    if not rows:
        return []
    certified = percent(summary["certificate"]["gap"])
    lines = [f"approximate, by multipliers that prove a gap of {certified}; all in shadow_prices.csv"]
    budgets = [row for row in rows if row["unit"] == "CNY"]
    targets = [row for row in rows if row["clause"] in CLAUSES]
    others = [row for row in rows if row not in budgets and row not in targets]
    for row in (*budgets[:_MOST_BUDGETS], *targets[:_MOST_TARGETS], *others[:_MOST_OTHERS]):
        step, words = _STEPS.get(row["unit"], (1.0, f"{row['unit']} "))
        gain = _gain(step * row["approx_gain_per_unit"], summary["goal_unit"])
        name = f"{row['clause']} {row['where']}".strip()
        more = "more" if row["sense"] == "<=" else "less"
        lines.append(f"one {words}{more} of {name} is worth about {gain}")
    return lines


def _gain(value: float, unit: str) -> str:
    if unit == "CNY" and abs(value) >= 1e5:
        return f"{grouped(value / 1e6, 2)} M CNY"
    digits = 0 if abs(value) >= 100 else 2 if abs(value) >= 1 else 4
    return f"{grouped(value, digits)} {unit}"


def checked_line(summary: Mapping[str, Any]) -> str:
    rows = grouped(summary["rows_checked"])
    if summary["checked"]:
        return f"passed ({rows} rows and figures re-computed from the tables)"
    return f"FAILED: {len(summary['violations'])} violations in {rows} rows; the plan was not stored"


def money_lines(money: Sequence[Mapping[str, Any]]) -> list[str]:
    """Spending by year, then by source and year against its budget (districts added up)."""
    if not money:
        return []
    years = sorted({row["year"] for row in money})
    totals = {y: sum(row["spent_cny"] for row in money if row["year"] == y) for y in years}
    whole = sum(totals.values())
    lines = [" · ".join(f"{y} {totals[y] / 1e6:.1f} M" for y in years) + f" · total {whole / 1e6:.1f} M CNY"]
    for label, sources in _source_groups(money):
        cells = []
        for year in years:
            rows = [r for r in money if r["year"] == year and r["source"] in sources]
            spent = sum(r["spent_cny"] for r in rows) / 1e6
            limits = [r["budget_cny"] for r in rows]
            limit = "" if not limits or None in limits else f"/{sum(limits) / 1e6:.1f}"
            cells.append(f"{year} {spent:.1f}{limit}")
        spent_all = sum(r["spent_cny"] for r in money if r["source"] in sources)
        share = f" ({100 * spent_all / whole:.0f} %)" if whole > 0 else ""
        lines.append(f"{label}{share}: " + " · ".join(cells))
    return lines


def _source_groups(money: Sequence[Mapping[str, Any]]) -> list[tuple[str, set[str]]]:
    sources = list(dict.fromkeys(row["source"] for row in money))
    districts = {s for s in sources if s not in ("municipal", "owner")}
    groups = [
        ("municipal", {"municipal"}),
        (f"{len(districts)} district{'s' if len(districts) != 1 else ''}", districts),
        ("owners", {"owner"}),
    ]
    return [(label, names & set(sources)) for label, names in groups if names & set(sources)]


def clause_lines(clauses: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for clause in clauses:
        mark = "✔" if clause["met"] else "✘"
        sense = "≥" if clause["sense"] == ">=" else "≤"
        where = f" {clause['where']}" if clause["where"] else ""
        notes = [
            note
            for note, holds in (
                ("binding", clause["binding"] and clause["met"]),
                ("soft", not clause["hard"]),
                (f"short by {amount(_shortfall(clause), clause['unit'])}", not clause["met"]),
            )
            if holds
        ]
        tail = f" ({', '.join(notes)})" if notes else ""
        lines.append(
            f"{mark} {clause['id']:<11}{where} {amount(clause['reached'], '')} {sense} "
            f"{amount(clause['required'], clause['unit'])}{tail}  {clause['en']}"
        )
    return lines


def _shortfall(clause: Mapping[str, Any]) -> float:
    return abs(float(clause["reached"] or 0.0) - float(clause["required"]))


def relaxation_lines(relaxations: Sequence[Sequence[Mapping[str, Any]]]) -> list[str]:
    if not relaxations:
        return [
            "  No plan meets every hard target, and relaxing the budgets and targets alone does not help.",
            "  Look at locks, capacities and eligibility.",
        ]
    is_enough = all(row["exact"] for way in relaxations for row in way)
    means = "each suffices alone" if is_enough else "each by itself; at least: what is proven to be needed"
    lines = [f"  No plan meets every hard target. The smallest ways out ({means}):"]
    for letter, way in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", relaxations, strict=False):
        for position, row in enumerate(way):
            start = f"  {letter} " if position == 0 else "    and "
            lines.append(f"{start} {way_out_words(row)}")
    if len(relaxations) == 1 and relaxations[0][0].get("only"):
        lines.append("  Without this nothing helps, not all other targets and any money together.")
    return lines


def way_out_words(row: Mapping[str, Any]) -> str:
    """One row that gives way, in the words and the unit of its clause."""
    is_budget = row["clause"] in _BUDGETS
    name = f"{'budget' if is_budget else row['clause']} {row['where']}".strip()
    least = "" if row["exact"] else "at least "
    reachable, required = (_of_target(row[key], row["unit"]) for key in ("reachable", "required"))
    sign = "+" if row["change"] > 0 else "−"
    change = _of_target(abs(row["change"]), row["unit"])
    if row["unit"] == "share":
        change = change.replace("%", "points")
    words = "" if is_budget or row["clause"] not in CLAUSES else f"  {CLAUSES[row['clause']].en}"
    return f"{name}: {least}{reachable} instead of {required} ({sign}{change}){words}"


def _of_target(value: float, unit: str) -> str:
    """What a target asks for, as a planner writes it: shares as per cent, small money in 万元, counts bare."""
    if unit == "share":
        return f"{100 * value:.1f} %".replace(".0 %", " %")
    return money(value, unit) if unit == "CNY" else amount(value, "" if unit == "count" else unit)


def fault_lines(faults: Sequence[Fault], *, word: str = "fault") -> list[str]:
    """Faults or warnings in columns: place, expected, found, how to mend."""
    tables = len({fault.table for fault in faults})
    plural = "" if len(faults) == 1 else "s"
    head = f"{len(faults)} {word}{plural} in {tables} table{'' if tables == 1 else 's'}"
    rows = [
        (
            fault.cell or fault.table,
            "" if fault.line is None or fault.cell else f"row {fault.line}",
            fault.column,
            f"expected {fault.expected}, found {fault.found}",
            f"→ {fault.mend}" if fault.mend else "",
        )
        for fault in faults
    ]
    widths = [
        max((cell_len(row[k]) for row in rows), default=0) for k in range(3)
    ]  # Chinese takes two columns
    return [
        head,
        *(
            "  "
            + "  ".join(set_cell_size(cell, width) for cell, width in zip(row[:3], widths, strict=True))
            + f"  {row[3]}  {row[4]}".rstrip()
            for row in rows
        ),
    ]


def _labelled(label: str, lines: Sequence[str]) -> list[str]:
    return [
        f"  {label if position == 0 else '':<{_LABEL_WIDTH}} {line}" for position, line in enumerate(lines)
    ]

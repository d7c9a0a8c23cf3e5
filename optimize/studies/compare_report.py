"""A comparison for the terminal, for programs, and as tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from optimize.names import CITY
from optimize.report.text import amount, grouped, money, percent
from optimize.studies.compare import REST, Comparison, title_of
from optimize.studies.tables import aligned, plain_records

# Projects listed on a terminal, the dearest first; the CSV has all.
_MOST_PROJECTS = 20
_LONGEST_NAME = 28
_SMALLEST_REST = 1.0
# Differences this small are sums in another order.
_ROUNDING = 1e-9


def comparison_tables(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """The frames by the names of their files."""
    return {
        "figures": comparison.figures,
        "clauses": comparison.clauses,
        "money": comparison.money,
        "effects": comparison.effects,
        "projects": comparison.projects,
    }


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """The object ``compare --json`` prints."""
    return {
        "programme": _name(comparison),
        "programmes": [programme.name for programme in comparison.programmes],
        "runs": [
            {
                "label": label,
                "run": side.name,
                "scenario": side.scenario,
                "goal": list(side.goal),
                "objective": side.objective,
                "bound": side.bound,
                "gap": side.gap,
                "fingerprint": "+".join(side.question or ()) or None,
                "inputs": list(comparison.inputs[label]),
            }
            for label, side in zip(comparison.labels, comparison.sides, strict=True)
        ],
        "verdicts": list(comparison.verdicts),
        "num_projects_same": comparison.num_same,
        **{name: plain_records(frame) for name, frame in comparison_tables(comparison).items()},
    }


def comparison_lines(comparison: Comparison) -> list[str]:
    """The whole comparison, as one reads it on a terminal."""
    labels = comparison.labels
    names = [f"{programme.en} · {programme.zh}" for programme in comparison.programmes]
    lines = [f"{len(labels)} plans of {' + '.join(names)}"]
    for label, side in zip(labels, comparison.sides, strict=True):
        gap = "" if side.gap is None else f" · gap {percent(side.gap)}"
        scenario = f" · scenario {side.scenario}" if side.scenario else ""
        lines.append(
            f"  {label}  {side.name}{scenario} · {', '.join(side.goal)} "
            f"{amount(side.objective, side.main_goal.unit)}{gap}"
        )
        lines += [f"     {word}" for word in comparison.inputs[label]]
    lines += [f"  {word}" for word in comparison.verdicts]
    lines += ["", *_figure_lines(comparison), "", *_clause_lines(comparison)]
    for by in (
        ("programme", "year", "source", "district") if len(names) > 1 else ("year", "source", "district")
    ):
        lines += ["", *_money_lines(comparison, by)]
    effects = comparison.effects[comparison.effects["unit"] != "CNY"]
    for figure in dict.fromkeys(effects["figure"]):
        lines += ["", *_effect_lines(comparison, figure)]
    return [*lines, "", *_project_lines(comparison)]


def _name(comparison: Comparison) -> str:
    """The programme, or the city where there are several."""
    return comparison.programmes[0].name if len(comparison.programmes) == 1 else CITY


def _figure_lines(comparison: Comparison) -> list[str]:
    rows = [
        [title_of(comparison.programmes, row["figure"]), *_cells(row, comparison.labels, row["unit"])]
        for row in plain_records(comparison.figures)
    ]
    return aligned(["figures", *_heads(comparison)], rows)


def _clause_lines(comparison: Comparison) -> list[str]:
    rows = []
    for row in plain_records(comparison.clauses):
        sense = "≥" if row["sense"] == ">=" else "≤"
        required = [row[f"required_{label}"] for label in comparison.labels]
        wanted = [amount(value, "") for value in dict.fromkeys(v for v in required if not _missing(v))]
        cells = _cells(row, comparison.labels, row["unit"])
        for position, label in enumerate(comparison.labels):
            if row[f"met_{label}"] is False:
                cells[position] = f"✘ {cells[position]}"
        name = f"{row['clause']} {row['where']}".strip()
        rows.append([f"{name} {sense} {' | '.join(wanted)}", *cells])
    return aligned(["clauses", *_heads(comparison)], rows)


def _money_lines(comparison: Comparison, by: str) -> list[str]:
    frame = comparison.money
    rows = [
        [row["name"] or "total", *_cells(row, comparison.labels, "CNY")]
        for row in _shown_sums(comparison, frame[frame["by"].isin((by, "total"))])
    ]
    return aligned([f"money by {by}", *_heads(comparison)], rows)


def _effect_lines(comparison: Comparison, figure: str) -> list[str]:
    """An effect by the year of the works; by district it is in the tables."""
    frame = comparison.effects[comparison.effects["figure"] == figure]
    title = title_of(comparison.programmes, figure)
    unit = str(frame["unit"].iloc[0])
    rows = [
        [row["name"] or "total", *_cells(row, comparison.labels, unit)]
        for row in _shown_sums(comparison, frame[frame["by"].isin(("year", "total"))])
    ]
    return aligned([f"{title} by year of the works", *_heads(comparison)], rows)


def _shown_sums(comparison: Comparison, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of sums; a rest that no reader would see is left to the tables."""
    rest = frame[list(comparison.labels)].abs().max(axis=1)
    return plain_records(frame[(frame["name"] != REST) | (rest >= _SMALLEST_REST)])


def _project_lines(comparison: Comparison) -> list[str]:
    frame = comparison.projects
    counts = frame["difference"].value_counts(sort=False).sort_index()
    told = " · ".join(f"{grouped(number)} {word}" for word, number in counts.items())
    lines = [f"projects: {grouped(comparison.num_same)} the same in all" + (f" · {told}" if told else "")]
    rows = [
        [
            row["kind"],
            row["id"],
            (row["name_en"] or row["name_zh"])[:_LONGEST_NAME],
            row["district"],
            *((row[f"decision_{label}"] or "—")[:_LONGEST_NAME] for label in comparison.labels),
        ]
        for row in plain_records(frame.head(_MOST_PROJECTS))
    ]
    if rows:
        lines += aligned(["", "", "", "", *comparison.labels], rows, left=4 + len(comparison.labels))
    if len(frame) > _MOST_PROJECTS:
        lines.append(f"  … and {grouped(len(frame) - _MOST_PROJECTS)} more; all with --csv FOLDER or --json")
    return lines


def _heads(comparison: Comparison) -> list[str]:
    first, *others = comparison.labels
    return [first, *others, *(f"{label} − {first}" for label in others)]


def _cells(row: Mapping[str, Any], labels: Sequence[str], unit: str) -> list[str]:
    values = [math.nan if _missing(row[label]) else float(row[label]) for label in labels]
    return [_shown(v, unit) for v in values] + [_signed(v, values[0], unit) for v in values[1:]]


def _shown(value: float, unit: str) -> str:
    return "—" if math.isnan(value) else amount(value if abs(value) > _ROUNDING else 0.0, unit)


def _signed(value: float, base: float, unit: str) -> str:
    difference = value - base
    if math.isnan(difference):
        return "—"
    if abs(difference) <= _ROUNDING * max(1.0, abs(value), abs(base)):
        return amount(0.0, unit)
    return f"{'+' if difference > 0 else '−'}{money(abs(difference), unit)}"


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))

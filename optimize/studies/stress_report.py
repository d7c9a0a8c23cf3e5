"""A stress test for the terminal and for programs."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from optimize.report.text import amount, grouped
from optimize.studies.stress import Stress
from optimize.studies.tables import aligned, plain_records

_MOST_BUDGETS, _MOST_CONDITIONS = 6, 5
_NORMAL_95 = 1.96


def stress_tables(stress: Stress) -> dict[str, pd.DataFrame]:
    """The frames by the names of their files."""
    return {
        "goals": stress.goals,
        "clauses": stress.clauses,
        "budgets": stress.budgets,
        "conditions": stress.conditions,
        "samples": stress.samples,
    }


def stress_json(stress: Stress, run: str) -> dict[str, Any]:
    """The object ``stress --json`` prints; the samples themselves are in the CSV."""
    shares = {
        name: None if math.isnan(value) else value
        for name, value in (
            ("all_clauses_share", stress.all_clauses_share),
            ("all_budgets_share", stress.all_budgets_share),
            ("all_share", stress.all_share),
            ("negative_share", stress.negative_share),
        )
    }
    tables = {
        name: plain_records(frame) for name, frame in stress_tables(stress).items() if name != "samples"
    }
    return {
        "run": run, "programme": stress.programme.name, "samples": stress.num_samples, "seed": stress.seed,
        **shares, **tables,
    }  # fmt: skip


def stress_lines(stress: Stress, run: str) -> list[str]:
    """How the plan fares, in shares of the samples."""
    number = stress.num_samples
    lines = [
        f"{run}: the plan as it stands in {grouped(number)} sample{'' if number == 1 else 's'} of costs, yields, prices, demand and delays",
        f"  all hard targets met {share_of_samples(stress.all_clauses_share, number)} · all budgets kept "
        f"{share_of_samples(stress.all_budgets_share, number)} · both {share_of_samples(stress.all_share, number)}",
    ]
    if not math.isnan(stress.negative_share):
        lines.append(f"  net present value below zero {share_of_samples(stress.negative_share, number)}")
    rows = [
        [r["en"], *(amount(r[name], r["unit"]) for name in ("planned", "p05", "p25", "p50", "p75", "p95"))]
        for r in plain_records(stress.goals)
    ]
    lines += ["", *aligned(["", "planned", "5 %*", "25 %", "middle", "75 %", "95 %"], rows)]
    lines.append("  * 5 % of the samples are at or below this figure")
    rows = [
        [
            f"{r['clause']} {r['where']}".strip() + ("" if r["hard"] else " (soft)"),
            f"{'≥' if r['sense'] == '>=' else '≤'} {amount(r['required'], r['unit'])}",
            amount(r["planned"], ""), amount(r["p05"], ""), amount(r["p95"], ""), share_of_samples(r["met_share"], number),
        ]
        for r in plain_records(stress.clauses)
    ]  # fmt: skip
    lines += ["", *aligned(["target", "required", "planned", "5 %", "95 %", "met"], rows, left=2)]
    lines += ["", *_budget_lines(stress)]
    if len(stress.conditions):
        lines += ["", "  other conditions that some samples break"]
        for r in plain_records(stress.conditions.head(_MOST_CONDITIONS)):
            lines.append(
                f"    {r['equation']:<5} {share_of_samples(r['broken_share'], number)}, e.g. {r['example']}"
            )
    return lines


def _budget_lines(stress: Stress) -> list[str]:
    tight = stress.budgets.sort_values(["kept_share", "source", "year"], kind="stable")
    tight = tight[tight["kept_share"] < 1.0]
    if tight.empty:
        return [f"  every one of {len(stress.budgets)} budgets holds in all samples"]
    rows = [
        [
            f"{r['source']} {r['year']}", amount(r["budget_cny"], "CNY"), amount(r["planned_cny"], "CNY"),
            amount(r["p95_cny"], "CNY"), share_of_samples(r["kept_share"], stress.num_samples),
        ]
        for r in plain_records(tight.head(_MOST_BUDGETS))
    ]  # fmt: skip
    lines = aligned(["budget", "there is", "planned", "95 %", "kept"], rows)
    if len(tight) > _MOST_BUDGETS:
        lines.append(
            f"  … and {len(tight) - _MOST_BUDGETS} more that some samples exceed; all with --csv FOLDER"
        )
    return lines


def share_of_samples(value: float, number: int) -> str:
    """A share of samples with the half width of its 95 % interval."""
    half = _NORMAL_95 * math.sqrt(max(value * (1 - value), 0.0) / number)
    return f"{100 * value:.0f} %" + (f" ±{100 * half:.0f}" if half >= 0.005 else "")

"""Robust plans for the terminal and for programs: what each level gives up and what it buys."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from optimize.report.text import amount, money, percent
from optimize.studies.robust_plans import Robustness, RobustPlan, named_level
from optimize.studies.stress_report import share_of_samples
from optimize.studies.tables import aligned, plain_records

_MOST_BUDGETS = 5


def robust_tables(found: Robustness) -> dict[str, pd.DataFrame]:
    """The frames by the names of their files."""
    tables = {"robust": pd.DataFrame([_record(found, plan) for plan in (found.plain, *found.plans)])}
    budgets = [
        plan.budgets.assign(level=_level(plan.level)) for plan in found.plans if plan.budgets is not None
    ]
    return tables | ({"budgets": pd.concat(budgets, ignore_index=True)} if budgets else {})


def robust_json(found: Robustness) -> dict[str, Any]:
    """The object ``robust --json`` prints."""
    question = found.question
    asked: dict[str, Any] = {"kind": "gamma", "cost_deviation": found.deviation}
    if not question.by_cost:
        asked = {"kind": "cvar", "alpha": question.alpha, "samples": question.num_cases}
    return {
        "programme": found.programme.name,
        "goal": found.goal,
        "asked": asked | {"seed": question.seed, "fresh_samples": question.num_fresh},
        "not_begun": [_level(level) for level in found.not_begun],
        **{name: plain_records(frame) for name, frame in robust_tables(found).items()},
    }


def _level(level: float) -> float | str:
    return "all" if math.isinf(level) else level


def _record(found: Robustness, plan: RobustPlan) -> dict[str, Any]:
    record: dict[str, Any] = {
        "level": _level(plan.level),
        "stop_reason": plan.stop.value,
        "planned": plan.planned,
        "value": plan.value,
        "bound": plan.bound,
        "gap": plan.gap,
        "lost": plan.lost,
        "lost_low": plan.lost_low,
        "lost_high": plan.lost_high,
    }
    if found.question.by_cost:
        record |= {"budgets_overspent_without": plan.overspent_without}
    else:
        record |= {"mean_cny": plan.mean_cny, "tail_cny": plan.tail_cny}
    if plan.fresh is not None:
        record |= {
            "fresh_budgets_share": plan.fresh.all_budgets_share,
            "fresh_clauses_share": plan.fresh.all_clauses_share,
            "fresh_npv_p05_cny": _npv(plan, "p05"),
            "fresh_npv_p50_cny": _npv(plan, "p50"),
        }
    record |= {"seconds": round(plan.seconds, 3), "run": None if plan.run is None else plan.run.as_posix()}
    return record


def _npv(plan: RobustPlan, column: str) -> float:
    assert plan.fresh is not None
    goals = plan.fresh.goals
    return float(goals[column].to_numpy(np.float64)[(goals["goal"] == "npv").to_numpy()][0])


def robust_lines(found: Robustness) -> list[str]:
    """What every level gives up and buys, then where it binds."""
    programme, question = found.programme, found.question
    head = f"{programme.en} · {programme.zh}: "
    if question.by_cost:
        lines = [
            f"{head}plans that overspend no budget although some projects, whichever they are, "
            f"turn out {100 * found.deviation:g} % dearer"
        ]
    else:
        lines = [
            f"{head}plans for {question.num_cases} sampled cases of costs, yields, prices and demand; "
            f"the worst {100 * question.tail:g} % of them count by the weight"
        ]
    lines += ["", *_curve(found)]
    if question.num_fresh and found.plain.fresh is not None:
        lines.append(
            f"  * in {question.num_fresh} fresh samples of costs, yields, prices, demand and delays, the same for all"
        )
    for plan in found.plans:
        if plan.planned is None:
            named = named_level(question, plan.level)
            words = (
                "no plan can withstand this" if plan.stop.value == "infeasible" else "no plan found in time"
            )
            lines.append(f"  {named}: {words}")
    if question.by_cost:
        lines += _tightest(found)
    if found.not_begun:
        lines.append(
            "  stopped before: " + ", ".join(named_level(question, level) for level in found.not_begun)
        )
    return lines


def _curve(found: Robustness) -> list[str]:
    by_cost, unit = found.question.by_cost, found.programme.goal(found.goal).unit
    head = ["dearer at once" if by_cost else "weight of the worst", "as planned"]
    head += [] if by_cost else ["mean", f"worst {100 * found.question.tail:g} %", "of both"]
    head += ["none is better than", "gap", "given up"]
    head += ["given up by the best", "overspent without"] if by_cost else []
    fresh = found.plain.fresh is not None
    head += ["budgets kept*", "targets met*", "NPV 5 %*", "NPV middle*"] if fresh else []
    return aligned(
        head,
        [_row(found, plan, unit) for plan in (found.plain, *found.plans) if plan.planned is not None],
    )


def _row(found: Robustness, plan: RobustPlan, unit: str) -> list[str]:
    by_cost, plain = found.question.by_cost, plan.level == 0.0
    name = "none" if plain else "all" if math.isinf(plan.level) else f"{plan.level:g}"
    row = [name, amount(plan.planned, unit)]
    if not by_cost:
        row += [amount(plan.mean_cny, unit), amount(plan.tail_cny, unit)]
        row += ["" if plain else amount(plan.value, unit)]
    row += ["" if plan.bound is None else amount(plan.bound, unit)]
    row += ["" if plan.bound is None else percent(plan.gap)]
    row += ["" if plain else _lost(found, plan, unit)]
    if by_cost:
        row += ["" if plain else _lost_by_best(plan, unit)]
        row += ["" if plain else _budgets(plan.overspent_without)]
    if found.plain.fresh is not None:
        row += _fresh_cells(plan)
    return row


def _lost(found: Robustness, plan: RobustPlan, unit: str) -> str:
    assert plan.lost is not None and found.plain.planned is not None
    share = plan.lost / max(abs(found.plain.planned), 1e-9)
    return f"{money(plan.lost, unit)} ({100 * share:.1f} %)"


def _budgets(number: int | None) -> str:
    return "" if number is None else f"{number} budget{'' if number == 1 else 's'}"


def _lost_by_best(plan: RobustPlan, unit: str) -> str:
    """What lies between: the best plan without robustness against the best with it."""
    if plan.lost_low is None or plan.lost_high is None:
        return ""
    return f"{money(plan.lost_low, unit)} to {money(plan.lost_high, unit)}"


def _fresh_cells(plan: RobustPlan) -> list[str]:
    if plan.fresh is None:
        return ["", "", "", ""]
    number = plan.fresh.num_samples
    return [
        share_of_samples(plan.fresh.all_budgets_share, number),
        share_of_samples(plan.fresh.all_clauses_share, number),
        amount(_npv(plan, "p05"), "CNY"),
        amount(_npv(plan, "p50"), "CNY"),
    ]


def _tightest(found: Robustness) -> list[str]:
    """Where the most robust plan has least room at the worst."""
    plans = [plan for plan in found.plans if plan.budgets is not None and len(plan.budgets)]
    if not plans:
        return []
    plan = plans[-1]
    budgets = plan.budgets
    assert budgets is not None
    there = budgets["there_cny"].to_numpy(np.float64)
    room = budgets["room_cny"].to_numpy(np.float64) / np.maximum(1.0, there)
    tight = budgets.iloc[np.argsort(room, kind="stable")[:_MOST_BUDGETS]]
    rows = [
        [f"{r['source']} {r['year']}", *(money(r[c], "CNY") for c in ("there_cny", "planned_cny", "worst_cny", "room_cny")),
         f"{r['num_at_worst']:.0f}"]
        for r in plain_records(tight)
    ]  # fmt: skip
    at_once = "all projects" if math.isinf(plan.level) else f"up to {named_level(found.question, plan.level)}"
    lines = ["", f"  the budgets with least room when {at_once} of a budget turn out dearer"]
    lines += aligned(["budget", "there is", "planned", "at the worst", "room", "projects dearer"], rows)
    if len(budgets) > _MOST_BUDGETS:
        lines.append(f"  … and {len(budgets) - _MOST_BUDGETS} more with --csv FOLDER")
    return lines

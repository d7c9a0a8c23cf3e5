"""Fronts and margins for the terminal and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from optimize.report.text import amount, grouped, money, percent
from optimize.studies.fronts import Front
from optimize.studies.margins import Margin, Margins, Nested, margins_tables
from optimize.studies.tables import aligned, plain_records

# From this gap on a front says what such a gap means.
_WIDE = 0.05
# Figures below these are shown with a digit more.
_SMALL_CNY, _SMALL = 1e8, 1e4


def front_table(front: Front) -> pd.DataFrame:
    """A row for each point: values by goal, levels asked, bound, gap, and what it is."""
    first, *others = front.goals
    rows: list[dict[str, Any]] = [
        {goal: point.values[goal] for goal in front.goals}
        | {f"asked_{goal}": point.at_least[goal] for goal in others}
        | {
            f"bound_{first}": point.bound,
            "gap": point.gap,
            "best_of": point.best_of or "",
            "knee": point.knee,
        }
        for point in front.points
    ]
    return pd.DataFrame(rows)


def front_json(front: Front) -> dict[str, Any]:
    """The object ``front --json`` prints."""
    return {
        "programme": front.programme.name,
        "goals": list(front.goals),
        "units": {goal: front.programme.goal(goal).unit for goal in front.goals},
        "points": plain_records(front_table(front)),
        "singles": {goal: {"value": value, "bound": bound} for goal, (value, bound) in front.singles.items()},
        "not_reached": [{"levels": dict(level), "why": why} for level, why in front.not_reached],
    }


def front_lines(front: Front) -> list[str]:
    """A line for each point, the best of the first goal first."""
    goals = [front.programme.goal(name) for name in front.goals]
    rows = []
    for position, point in enumerate(front.points, start=1):
        words = [f"best {point.best_of}"] if point.best_of else []
        words += ["◆ knee: gives up least of all together"] if point.knee else []
        rows.append(
            [
                str(position),
                *(_figure(point.values[g.name], g.unit) for g in goals),
                percent(point.gap),
                "  ".join(words),
            ]
        )
    names = " and ".join(goal.en for goal in goals)
    lines = [f"{front.programme.en}: {len(front.points)} plans of which none beats another in {names}"]
    table = aligned(["", *(goal.en for goal in goals), f"gap of {goals[0].name}", ""], rows)
    lines += [line.rstrip() for line in table]
    lines.append(
        f"  gap: how much more {goals[0].en} any plan could have at most that keeps the other columns"
    )
    if any(point.gap is None or point.gap > _WIDE for point in front.points):
        lines.append(
            "  where the gap is wide each row is still a checked plan, but better ones may exist there: what the proof\n"
            "  leaves open may be search or bound; more time (--time-limit) or fewer --points narrow it"
        )
    for level, why in front.not_reached:
        asked = ", ".join(
            f"{goal} {amount(value, front.programme.goal(goal).unit)}" for goal, value in level.items()
        )
        lines.append(f"  {asked}: {why}")
    return lines


def _figure(value: float, unit: str) -> str:
    """With a digit or two more than a summary: points of a front lie close together."""
    if unit == "CNY" and abs(value) < _SMALL_CNY:
        return f"{grouped(value / 1e6, 2)} M CNY"
    return f"{grouped(value, 1)} {unit}" if unit != "CNY" and abs(value) < _SMALL else amount(value, unit)


def margins_json(margins: Margins) -> dict[str, Any]:
    """The object ``margins --json`` prints."""
    tables = {name: plain_records(frame) for name, frame in margins_tables(margins).items()}
    return {
        "programme": margins.programme.name,
        "goal": margins.goal,
        "value": margins.value,
        "bound": margins.bound,
        **tables,
    }


def margins_lines(margins: Margins) -> list[str]:
    """Budgets, targets, and nested budgets if asked for."""
    goal = margins.programme.goal(margins.goal)
    bound = "none" if margins.bound is None else amount(margins.bound, goal.unit)
    lines = [
        f"{margins.programme.en}: {goal.en} {amount(margins.value, goal.unit)} as it is · bound {bound}",
        "",
    ]
    lines += _margin_lines("more of a budget", margins.budgets, goal.unit)
    if margins.targets:
        lines += ["", *_margin_lines("less of a target", margins.targets, goal.unit)]
    if margins.nested:
        lines += ["", *_nested_lines(margins.nested, goal.unit)]
    return [
        *lines,
        "  proven: what the best plan gains lies between these; from 0 to more: the gaps leave it open; 0 to 0: nothing is gained",
    ]


def _margin_lines(title: str, margins: Sequence[Margin], unit: str) -> list[str]:
    rows = [
        [
            m.what,
            m.step,
            amount(m.amount, m.unit),
            _known(m.gain, unit),
            f"{_known(m.low, unit)} … {_known(m.high, unit)}",
        ]
        for m in margins
    ]
    return aligned([title, "step", "amount", "gain", "proven"], rows, left=1)


def _nested_lines(chain: Sequence[Nested], unit: str) -> list[str]:
    rows = [
        [
            f"+{100 * n.share:g} %", _known(n.free_value, unit), _known(n.nested_value, unit), _known(n.price, unit),
            f"{_known(n.low, unit)} … {_known(n.high, unit)}",
        ]
        for n in chain
    ]  # fmt: skip
    return aligned(["all budgets", "chosen anew", "earlier choices kept", "price of keeping", "proven"], rows)


def _known(value: float | None, unit: str) -> str:
    return "—" if value is None else money(value, unit)

"""Pictures of studies: trade-off fronts, scenarios with their proofs, stress tests, prices of the year."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from optimize.i18n.words import Words
from optimize.programme import Goal
from optimize.publish.charts import capital
from optimize.publish.svg import Drawing, shortened, text_width, ticks


def front_chart(front: Mapping[str, Any], goals: Mapping[str, Goal], words: Words) -> Markup:
    """Plans of which none beats another: the first goal upwards over the second.

    Parameters
    ----------
    front : what ``optimize front --json`` prints.
    goals : of its programme, by name.
    """
    first, second = (goals[name] for name in front["goals"][:2])
    points = sorted(front["points"], key=lambda point: float(point[second.name]))
    names = [words.either(goal.zh, goal.en) for goal in (first, second)]
    title = words.text("Trade-off between {first} and {second}", first=names[0], second=names[1])
    drawing = Drawing(
        480, 330, title, words.text("{n} plans of which none beats another in both", n=len(points))
    )
    left, right, top, bottom = 92.0, 466.0, 50.0, 264.0
    xs = [float(point[second.name]) for point in points]
    ys = [float(point[first.name]) for point in points]
    bounds = [
        float(point[f"bound_{first.name}"])
        for point in points
        if point.get(f"bound_{first.name}") is not None
    ]
    x_low, x_high = _span(xs)
    y_low, y_high = _span([*ys, *bounds])

    def x(value: float) -> float:
        return left + (right - left) * (value - x_low) / (x_high - x_low)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - y_low) / (y_high - y_low)

    for value in (v for v in ticks(y_high, 4, y_low) if y_low <= v <= y_high):
        drawing.line(left, y(value), right, y(value), "axis")
        drawing.text(left - 8, y(value) + 4, words.amount(value, first.unit), "small soft", "end")
    for value in (v for v in ticks(x_high, 3, x_low) if x_low <= v <= x_high):
        drawing.line(x(value), bottom, x(value), bottom + 4, "base")
        drawing.text(x(value), bottom + 18, words.amount(value, second.unit), "small soft", "middle")
    drawing.line(left, bottom, right, bottom, "base")
    drawing.text(0, 18, capital(names[0]), "strong")
    drawing.text(right, bottom + 38, f"{capital(names[1])} →", "strong", "end")
    drawing.add(
        "path", "curve s1", d="M" + "L".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(xs, ys, strict=True))
    )
    for point, a, b in zip(points, xs, ys, strict=True):
        bound = point.get(f"bound_{first.name}")
        if bound is not None and abs(y(float(bound)) - y(b)) > 1.5:
            drawing.line(x(a), y(b), x(a), y(float(bound)), "dashed")
            drawing.line(x(a) - 5, y(float(bound)), x(a) + 5, y(float(bound)), "limit")
        tip = f"{words.amount(b, first.unit)} · {words.amount(a, second.unit)}"
        shape, fill, _ = _point_key(point, first.name, goals, words)
        drawing.mark(shape, x(a), y(b), 5 if shape == "circle" else 7, fill, tip)
    keys = dict.fromkeys(_point_key(point, first.name, goals, words) for point in points)
    entries = [*sorted(keys, key=lambda key: key[0]), ("line", "limit", words.text("no plan beyond"))]
    used = drawing.legend(0, 318, entries, 480)
    drawing.height = 318 + used - 4
    return drawing.markup()


def _point_key(
    point: Mapping[str, Any], first: str, goals: Mapping[str, Goal], words: Words
) -> tuple[str, str, str]:
    """Shape, fill and words of a point of a front: the best of a goal, the knee, or any other."""
    if point["best_of"]:
        goal = goals[point["best_of"]]
        name = words.either(goal.zh, goal.en)
        told = (
            words.text("most {goal}", goal=name) if goal.maximise else words.text("least {goal}", goal=name)
        )
        return ("triangle" if goal.name == first else "square"), "f1", told
    if point["knee"]:
        return "diamond", "f4", words.text("gives up least of all together")
    return "circle", "f1", words.text("plan")


@dataclass(frozen=True)
class Proven:
    """A plan of a comparison: its name, what it reaches, and what no plan of its question can be better than."""

    name: str
    value: float
    bound: float | None


def scenario_chart(plans: Sequence[Proven], unit: str, goal: str, words: Words) -> Markup:
    """Plans below each other with what is proven of each: a mark for the plan, a bar up to its bound."""
    title = words.text("{goal} of each plan, and what is proven", goal=goal)
    label = min(max(text_width(plan.name) for plan in plans) + 12, 170.0)
    pitch, top, right = 34.0, 30.0, 466.0
    drawing = Drawing(480, top + pitch * len(plans) + 40, title)
    values = [v for plan in plans for v in (plan.value, plan.bound) if v is not None]
    low, high = _span(values, from_zero=0.55)

    def x(value: float) -> float:
        return label + (right - label) * (value - low) / (high - low)

    drawing.text(0, 14, capital(goal), "strong")
    bottom = top + pitch * len(plans)
    for value in (v for v in ticks(high, 3, low) if low <= v <= high):
        drawing.line(x(value), top, x(value), bottom, "axis")
        drawing.text(x(value), bottom + 14, words.amount(value, unit), "small soft", "middle")
    for k, plan in enumerate(plans):
        y = top + pitch * k + pitch / 2
        drawing.text(label - 10, y + 4, shortened(plan.name, label - 12), "key", "end")
        if plan.bound is not None:
            a, b = sorted((x(plan.value), x(plan.bound)))
            drawing.bar(a, y - 5, b - a, 10, "f5")
            drawing.line(x(plan.bound), y - 8, x(plan.bound), y + 8, "limit")
        drawing.mark("circle", x(plan.value), y, 6, "f1", f"{plan.name}: {words.amount(plan.value, unit)}")
        shown = words.amount(plan.value, unit)
        is_right = x(plan.value) + text_width(shown, 11) > right
        drawing.text(x(plan.value), y - 10, shown, "small strong", "end" if is_right else "middle")
    drawing.legend(
        0,
        bottom + 32,
        [
            ("circle", "f1", words.text("plan")),
            ("bar", "f5", words.text("could be better by this much at most")),
        ],
        480,
    )
    return drawing.markup()


def stress_chart(stress: Mapping[str, Any], words: Words) -> Markup:
    """Each goal in samples of what may turn out otherwise: the middle half, nine tenths, and what was planned.

    Parameters
    ----------
    stress : what ``optimize stress --json`` prints.
    """
    rows = [
        row
        for row in stress["goals"]
        if row["goal"] != "changes" and row["p05"] is not None and row["p95"] > row["p05"]
    ]
    title = words.text(
        "The plan if things turn out otherwise, {n} samples", n=words.number(stress["samples"])
    )
    pitch, top, left, right = 46.0, 8.0, 4.0, 476.0
    drawing = Drawing(480, top + pitch * len(rows) + 28, title)
    for k, row in enumerate(rows):
        y = top + pitch * k + 30
        values = [float(row[name]) for name in ("p05", "p25", "p50", "p75", "p95", "planned")]
        low, high = _span(values)

        def x(value: float, low: float = low, high: float = high) -> float:
            return left + (right - left) * (value - low) / (high - low)

        drawing.text(0, y - 14, capital(words.either(row["zh"], row["en"])), "key strong")
        drawing.text(
            right,
            y - 14,
            words.text(
                "{low} to {high}",
                low=words.amount(values[0], row["unit"]),
                high=words.amount(values[4], row["unit"]),
            ),
            "small soft",
            "end",
        )
        drawing.line(x(values[0]), y, x(values[4]), y, "base")
        drawing.bar(x(values[1]), y - 6, x(values[3]) - x(values[1]), 12, "f5")
        drawing.line(x(values[2]), y - 7, x(values[2]), y + 7, "limit")
        drawing.mark(
            "diamond",
            x(values[5]),
            y,
            5,
            "f4",
            words.text("planned {value}", value=words.amount(values[5], row["unit"])),
        )
    y = top + pitch * len(rows) + 16
    drawing.legend(
        0,
        y,
        [
            ("bar", "f5", words.text("middle half")),
            ("line", "base", words.text("nine in ten")),
            ("diamond", "f4", words.text("planned")),
        ],
        480,
    )
    return drawing.markup()


def _span(values: Sequence[float], from_zero: float = 0.0) -> tuple[float, float]:
    """Least and largest with some room; from zero where the least is below that share of the largest."""
    low, high = min(values), max(values)
    if 0 < low < from_zero * high:
        return 0.0, high * 1.06
    room = 0.08 * (high - low) or 0.05 * max(abs(high), 1.0)
    return low - room, high + room

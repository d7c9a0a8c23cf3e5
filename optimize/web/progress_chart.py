"""Plan and bound over time, as a solve that is under way tells them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from optimize.i18n.words import Words
from optimize.publish.svg import Drawing, text_width, ticks

_WIDTH, _HEIGHT = 480.0, 280.0
_RIGHT, _TOP, _BOTTOM = 466.0, 40.0, 240.0
_GAP = 8.0
# First plans are often far off; the picture begins where they come near, so that the end can be seen.
_NEAR = 0.5


def gap_chart(lines: Sequence[Mapping[str, Any]], words: Words) -> Markup | None:
    """Steps of the best plan and the proven bound; what lies between them is still open.

    Parameters
    ----------
    lines : seconds, plan, bound (None where there is none yet) and unit of each, in order.

    Returns
    -------
    None where there is nothing to be drawn yet.
    """
    plans = [(line["seconds"], line["plan"]) for line in lines if line["plan"] is not None]
    bounds = [(line["seconds"], line["bound"]) for line in lines if line["bound"] is not None]
    if not plans and not bounds:
        return None
    unit, end = str(lines[-1]["unit"]), 1.06 * max(float(lines[-1]["seconds"]), 1.0)
    low, high = _window(plans, bounds)
    column = words.column(unit, high)
    values = [value for value in ticks(high, 4, low) if low <= value <= high]
    labels = [words.number(value / column.step, digits=_digits(values, column.step)) for value in values]
    left = _GAP + max(text_width(label) for label in (*labels, column.unit))
    drawing = Drawing(
        _WIDTH,
        _HEIGHT,
        words.text("Best plan and proven bound over time"),
        _told(lines[-1], unit, words),
        "progress",
    )

    def x(seconds: float) -> float:
        return left + (_RIGHT - left) * seconds / end

    def y(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return _BOTTOM - (_BOTTOM - _TOP) * share

    drawing.text(left - _GAP, _TOP - 8, column.unit, "soft", "end")
    for value, label in zip(values, labels, strict=True):
        drawing.line(left, y(value), _RIGHT, y(value), "axis")
        drawing.text(left - _GAP, y(value) + 4, label, "soft", "end")
    for second in ticks(end, 4):
        if second <= end:
            drawing.text(x(second), _BOTTOM + 18, words.duration(second), "soft", "middle")
    drawing.line(left, _BOTTOM, _RIGHT, _BOTTOM, "base")
    for points, classes, mark, fill in (
        (bounds, "curve s4 d2", "down", "f4"),
        (plans, "curve s1", "circle", "f1"),
    ):
        if points:
            drawing.add("path", classes, d=_steps([(x(s), y(v)) for s, v in points], _RIGHT))
            drawing.mark(mark, _RIGHT, y(points[-1][1]), 5, fill)
    drawing.legend(
        left,
        10,
        [("line", "curve s1", words.text("best plan")), ("line", "curve s4 d2", words.text("proven bound"))],
        500,
    )
    return drawing.markup()


def _window(
    plans: Sequence[tuple[float, float]], bounds: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """The values shown: those near where plan and bound are now."""
    ends = [points[-1][1] for points in (plans, bounds) if points]
    span = max(abs(value) for value in ends) * _NEAR
    near = [v for _, v in (*plans, *bounds) if min(abs(v - e) for e in ends) <= span] or ends
    low, high = min(near), max(near)
    room = (high - low or abs(high) or 1.0) * 0.08
    return low - room, high + room


def _digits(values: Sequence[float], step: float) -> int:
    """Digits that tell the marks of an axis apart."""
    between = abs(values[1] - values[0]) / step if len(values) > 1 else 1.0
    return max(0, math.ceil(-math.log10(between) - 1e-9)) + (0 if _is_round(between) else 1)


def _is_round(between: float) -> bool:
    """Whether a step is 1, 2 or 5 times a power of ten, not 2.5 times."""
    return not f"{between:.6e}".startswith("2.5")


def _steps(points: Sequence[tuple[float, float]], end: float) -> str:
    """A value holds until the next one."""
    parts = [f"M{points[0][0]:.1f},{points[0][1]:.1f}"]
    parts += [f"H{x:.1f}V{y:.1f}" for x, y in points[1:]]
    return "".join([*parts, f"H{end:.1f}"])


def _told(last: Mapping[str, Any], unit: str, words: Words) -> str:
    return words.text(
        "after {seconds}: plan {plan}, bound {bound}, gap {gap}",
        seconds=words.duration(last["seconds"]), plan=words.amount(last["plan"], unit),
        bound=words.amount(last["bound"], unit), gap=words.percent(last["gap"]),
    )  # fmt: skip

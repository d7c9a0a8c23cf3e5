"""What plans of data centres and public PV bring: PUE before and after, generation and self-consumption."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from markupsafe import Markup

from optimize.i18n.words import Words
from optimize.milp import FloatArray
from optimize.publish.facts import PlanFacts
from optimize.publish.svg import SMALL_PX, Drawing, shortened, text_width, ticks

_CLASS = 0.1  # width of a class of PUE
_LARGEST_PUE = 2.4  # what is above stands in the last class


def pue_before_after(plan: PlanFacts, words: Words) -> Markup | None:
    """IT load of the retrofitted centres by PUE class, before and after; None where none is retrofitted."""
    projects = plan.table("projects")
    treated = projects[(projects["action"] != "close") & projects["pue_after"].notna()]
    if treated.empty:
        return None
    first = math.floor(float(treated[["pue_before", "pue_after"]].to_numpy(np.float64).min()) / _CLASS + 1e-9)
    last = math.floor(_LARGEST_PUE / _CLASS + 1e-9)
    load = treated["it_load_kw"].to_numpy(float) / 1000.0
    sums = {
        column: _by_class(treated[column].to_numpy(float), load, first, last)
        for column in ("pue_before", "pue_after")
    }
    filled = max(int(np.flatnonzero(values)[-1]) for values in sums.values())
    before, after = (sums[name][: filled + 1] for name in ("pue_before", "pue_after"))
    means = [plan.figures[f"pue_{when}_of_treated"] for when in ("before", "after")]
    title = words.text("IT load of the centres retrofitted by PUE, before and after")
    told = words.text(
        "PUE on average from {before} to {after}",
        before=words.number(means[0], digits=2),
        after=words.number(means[1], digits=2),
    )
    return _pue_drawing(before, after, first, (means[0], means[1]), title, told, words)


def _by_class(pue: FloatArray, load: FloatArray, first: int, last: int) -> FloatArray:
    position = np.clip(np.floor(pue / _CLASS + 1e-9).astype(int), first, last) - first
    sums: FloatArray = np.bincount(position, weights=load, minlength=last - first + 1).astype(np.float64)
    return sums


def _pue_drawing(
    before: FloatArray,
    after: FloatArray,
    first: int,
    means: tuple[float, float],
    title: str,
    told: str,
    words: Words,
) -> Markup:
    width, left, right, top, bottom = 480.0, 44.0, 472.0, 62.0, 226.0
    drawing = Drawing(width, 280, title, told)
    marks = ticks(float(max(before.max(), after.max())))
    scale = (bottom - top) / marks[-1]
    for value in marks:
        y = bottom - value * scale
        drawing.line(left, y, right, y, "axis")
        drawing.text(
            left - 6, y + 4, words.number(value, digits=0 if marks[1] >= 1 else 1), "small soft", "end"
        )
    drawing.text(0, 14, words.text("MW of IT load"), "small soft")
    step = (right - left) / len(before)
    for k, (was, now) in enumerate(zip(before, after, strict=True)):
        x, low = left + k * step, (first + k) * _CLASS
        span = f"{words.number(low, digits=1)}–{words.number(low + _CLASS, digits=1)}"
        tip = words.text(
            "PUE {span}: {before} MW before, {after} MW after",
            span=span,
            before=words.number(was),
            after=words.number(now),
        )
        half = step * 0.42
        drawing.bar(x + step * 0.08, bottom - was * scale, half, was * scale, "f2", tip)
        drawing.bar(x + step * 0.08 + half, bottom - now * scale, half, now * scale, "f1", tip)
        drawing.text(x, bottom + 15, words.number(low, digits=1), "small", "middle")
    drawing.line(left, bottom, right, bottom, "base")
    for mean, label, y in ((means[0], words.text("before {pue}", pue=words.number(means[0], digits=2)), 40.0),
                           (means[1], words.text("after {pue}", pue=words.number(means[1], digits=2)), 40.0)):  # fmt: skip
        x = left + (mean / _CLASS - first) * step
        drawing.line(x, y + 5, x, bottom, "dashed")
        is_left = mean == min(means)
        drawing.text(
            x + (-4 if is_left else 4), y, label, "strong key", "end" if is_left and x > 90 else "start"
        )
    drawing.text((left + right) / 2, bottom + 32, "PUE", "small soft", "middle")
    drawing.legend(
        left,
        272,
        [
            ("bar", "f2", words.text("before")),
            ("bar", "f1", words.text("after")),
            ("line", "dashed", words.text("average")),
        ],
        right - left,
    )
    return drawing.markup()


def generation(plan: PlanFacts, words: Words, by: str = "type") -> Markup | None:
    """First-year generation by type of institution (or another column), used on site and fed in; None without PV."""
    projects = plan.table("projects")
    sums = projects.groupby(by, sort=False)[["generation_kwh_per_a", "used_on_site_kwh_per_a"]].sum()
    sums = sums[sums["generation_kwh_per_a"] > 0].sort_values("generation_kwh_per_a", ascending=False)
    if sums.empty:
        return None
    if by == "year":
        sums = sums.sort_index()
    title = words.text("First-year generation: used on site and fed in")
    told = words.text("{share} is used on site", share=words.percent(plan.figures["used_on_site_share"]))
    names = [
        words.value(by, str(name)) if by != "kind" else plan.named("kinds", str(name), words)
        for name in sums.index
    ]
    return _generation_drawing(names, sums, title, told, words)


def _generation_drawing(names: list[str], sums: pd.DataFrame, title: str, told: str, words: Words) -> Markup:
    width, pitch, top = 480.0, 30.0, 34.0
    label = min(max(text_width(name) for name in names) + 10, 150.0)
    shown = [
        f"{words.amount(made, 'kWh/a')} · {words.percent(used / made, digits=0)}"
        for made, used in zip(sums["generation_kwh_per_a"], sums["used_on_site_kwh_per_a"], strict=True)
    ]
    room = max(text_width(text, SMALL_PX + 1) for text in shown) + 8
    scale = (width - label - room) / float(sums["generation_kwh_per_a"].max())
    drawing = Drawing(width, top + pitch * len(names) + 4, title, told)
    drawing.legend(
        label,
        12,
        [("bar", "f1", words.text("used on site")), ("bar", "f2", words.text("fed into the grid"))],
        width - label,
    )
    for k, name in enumerate(names):
        made, used = (
            float(sums[column].iloc[k]) for column in ("generation_kwh_per_a", "used_on_site_kwh_per_a")
        )
        y = top + pitch * k
        drawing.text(label - 10, y + 15, shortened(name, label - 10), "", "end")
        drawing.bar(label, y + 2, used * scale, 18, "f1", f"{name}: {words.amount(used, 'kWh/a')}")
        drawing.bar(
            label + used * scale,
            y + 2,
            (made - used) * scale,
            18,
            "f2",
            f"{name}: {words.amount(made - used, 'kWh/a')}",
        )
        drawing.text(label + made * scale + 6, y + 15, shown[k], "key")
    drawing.line(label, top - 2, label, top + pitch * len(names) - 4, "base")
    return drawing.markup()

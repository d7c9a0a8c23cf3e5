"""The water balance as flows: origins to qualities to uses, for a year and period by period.

No charting library at hand draws flows of given thickness through columns (Sankey) as static SVG with
text; the layout here is plain: nodes by size, ribbons in the order of their ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from optimize.i18n.catalogue import N_
from optimize.i18n.words import Words
from optimize.publish.facts import PlanFacts
from optimize.publish.svg import FILLS, SMALL_PX, Drawing, shortened, text_width
from optimize.publish.water_balance import CASCADE, STORE, UNKNOWN, WaterBalance, water_balance_of

_MOST_ORIGINS = 9
_OTHERS = "*others"
_SEASONS = (N_("spring"), N_("summer"), N_("autumn"), N_("winter"))
_NODE_PX, _SPACE_PX = 11.0, 8.0
_COLUMNS_PX = (235.0, 408.0, 584.0)  # left sides of origins, qualities, uses, with room for their names

Link = tuple[str, str, float, str]  # from, to, amount, fill


@dataclass(frozen=True)
class _Node:
    x: float
    y: float
    height: float


def water_flows(plan: PlanFacts, words: Words, period: int | None = None) -> Markup | None:
    """Origins, qualities and uses of the reclaimed water; None where there is none.

    Parameters
    ----------
    period : position of a period (m3/d); None: the year (m3/a).
    """
    balance = water_balance_of(plan)
    if balance is None:
        return None
    unit = "m3/a" if period is None else "m3/d"
    fills = quality_fills(plan)
    made, used = _links(balance, period, fills)
    names = _names(plan, balance, words)
    when = words.text("in a year") if period is None else period_name(balance, period, words)
    title = words.text("Reclaimed water from plants to users, {when}", when=when)
    told = words.text("{amount} used", amount=words.amount(balance.total(period), unit))
    columns = [_sizes(made, 0), _sizes(used, 0), _sizes(used, 1)]
    height = 64.0 + max(sum(column.values()) > 0 and len(column) for column in columns) * 30.0
    drawing = Drawing(800, max(height, 300.0), title, told)
    heads = (words.text("plants"), words.text("water quality"), words.text("users"))
    places = _place(columns, _COLUMNS_PX, 34.0, drawing.height - 40.0)
    for head, x, anchor in zip(
        heads,
        (_COLUMNS_PX[0] + _NODE_PX, _COLUMNS_PX[1] + _NODE_PX / 2, _COLUMNS_PX[2]),
        ("end", "middle", "start"),
        strict=True,
    ):
        drawing.text(x, 16, head, "small soft", anchor)
    _ribbons(drawing, made, places[0], places[1], words, names, unit)
    _ribbons(drawing, used, places[1], places[2], words, names, unit)
    for position, (column, place) in enumerate(zip(columns, places, strict=True)):
        for name, node in place.items():
            shown = words.amount(column[name], unit)
            drawing.bar(
                node.x,
                node.y,
                _NODE_PX,
                max(node.height, 1.0),
                fills.get(name, "f1") if position == 1 else "f1",
                f"{names[name]}: {shown}",
            )
            middle = node.y + node.height / 2
            if position == 0:
                wide = _COLUMNS_PX[0] - 8 - text_width(shown, SMALL_PX) - 12
                drawing.text(
                    _COLUMNS_PX[0] - 8 - text_width(shown, SMALL_PX) - 6,
                    middle + 4,
                    shortened(names[name], wide, 12.0),
                    "key",
                    "end",
                )
                drawing.text(_COLUMNS_PX[0] - 6, middle + 4, shown, "small soft", "end")
            elif position == 1:
                drawing.text(node.x + _NODE_PX + 5, middle - 1, names[name], "key strong halo")
                drawing.text(node.x + _NODE_PX + 5, middle + 13, shown, "small halo")
            else:
                drawing.text(node.x + _NODE_PX + 6, middle + 4, names[name], "key")
                drawing.text(
                    node.x + _NODE_PX + 10 + text_width(names[name], 12.0), middle + 4, shown, "small soft"
                )
    return drawing.markup()


def water_periods(plan: PlanFacts, words: Words) -> list[Markup]:
    """A small picture for each month or season, all to one scale, qualities to uses; empty for a single period."""
    balance = water_balance_of(plan)
    if balance is None or balance.num_periods == 1:
        return []
    fills = quality_fills(plan)
    names = _names(plan, balance, words)
    most = max(balance.total(period) for period in range(balance.num_periods))
    found = []
    for period in range(balance.num_periods):
        _, used = _links(balance, period, fills)
        total = balance.total(period)
        when, amount = period_name(balance, period, words), words.amount(total, "m3/d")
        drawing = Drawing(
            150, 112, words.text("Reclaimed water by quality and use, {when}", when=when), amount
        )
        drawing.text(0, 12, when, "strong key")
        drawing.text(150, 12, amount, "small", "end")
        columns = [_sizes(used, 0), _sizes(used, 1)]
        shrunk = 22.0 + (112.0 - 22.0) * total / most
        places = _place(columns, (2.0, 138.0), 22.0, shrunk, space=2.0)
        _ribbons(drawing, used, places[0], places[1], words, names, "m3/d")
        for column, place in zip(columns, places, strict=True):
            for name, node in place.items():
                drawing.bar(
                    node.x,
                    node.y,
                    9,
                    max(node.height, 0.7),
                    fills.get(name, "f1"),
                    f"{names[name]}: {words.amount(column[name], 'm3/d')}",
                )
        found.append(drawing.markup())
    return found


def quality_fills(plan: PlanFacts) -> dict[str, str]:
    """A fill for each quality, the same in every picture of a plan."""
    own = list(plan.instance.tables["qualities"]["quality"]) if plan.instance is not None else []
    made, used = plan.table("plants")["quality"], plan.table("deliveries")["quality"]
    return {q: FILLS[k % len(FILLS)] for k, q in enumerate(dict.fromkeys([*own, *made, *used]))}


def period_name(balance: WaterBalance, period: int, words: Words) -> str:
    """Month or season."""
    if balance.num_periods == 12:
        return words.month(period + 1)
    return words.text(_SEASONS[period])


def _links(
    balance: WaterBalance, period: int | None, fills: Mapping[str, str]
) -> tuple[list[Link], list[Link]]:
    made = balance.made.assign(amount=balance.amounts(balance.made, period))
    used = balance.used.assign(amount=balance.amounts(balance.used, period))
    largest = made.groupby("origin")["amount"].sum().sort_values(ascending=False)
    plants = [name for name in largest.index if name not in (CASCADE, STORE)]
    kept = (
        set(plants[:_MOST_ORIGINS]) | {CASCADE, STORE}
        if len(plants) > _MOST_ORIGINS + 1
        else {*plants, CASCADE, STORE}
    )
    made["origin"] = [name if name in kept else _OTHERS for name in made["origin"]]
    first, second = _summed(made, "origin", "quality"), _summed(used, "quality", "use")
    return (
        [(a, b, amount, fills[b]) for (a, b), amount in first.items() if amount > 0],
        [(a, b, amount, fills[a]) for (a, b), amount in second.items() if amount > 0],
    )


def _summed(rows: pd.DataFrame, start: str, end: str) -> dict[tuple[str, str], float]:
    sums: dict[tuple[str, str], float] = {}
    for a, b, amount in zip(rows[start], rows[end], rows["amount"], strict=True):
        sums[a, b] = sums.get((a, b), 0.0) + float(amount)
    return sums


def _names(plan: PlanFacts, balance: WaterBalance, words: Words) -> dict[str, str]:
    names = {name: plan.named("plants", name, words) for name in balance.made["origin"]}
    names |= {name: plan.named("qualities", name, words) for name in balance.made["quality"]}
    names |= {name: plan.named("qualities", name, words) for name in balance.used["quality"]}
    names |= {name: words.value("kind", name) for name in balance.used["use"]}
    return names | {
        CASCADE: words.text("cascade between users"),
        STORE: words.text("store"),
        UNKNOWN: words.text("users"),
        _OTHERS: words.text("other plants"),
    }


def _sizes(links: Sequence[Link], end: int) -> dict[str, float]:
    """Amount at each node of one end, the largest first, what is collected under others last."""
    sums: dict[str, float] = {}
    for link in links:
        sums[str(link[end])] = sums.get(str(link[end]), 0.0) + link[2]
    return dict(sorted(sums.items(), key=lambda item: (item[0] == _OTHERS, -item[1])))


def _place(
    columns: Sequence[Mapping[str, float]],
    x: Sequence[float],
    top: float,
    bottom: float,
    space: float = _SPACE_PX,
) -> list[dict[str, _Node]]:
    """Nodes of each column below each other, all columns to one scale."""
    scale = min(
        (bottom - top - space * (len(column) - 1)) / sum(column.values()) for column in columns if column
    )
    places = []
    for column, at in zip(columns, x, strict=True):
        used = sum(column.values()) * scale
        gap = (bottom - top - used) / max(len(column) - 1, 1) if len(column) > 1 else 0.0
        gap = min(gap, 3 * space)
        y = top + (bottom - top - used - gap * (len(column) - 1)) / 2
        nodes = {}
        for name, amount in column.items():
            nodes[name] = _Node(at, y, amount * scale)
            y += amount * scale + gap
        places.append(nodes)
    return places


def _ribbons(
    drawing: Drawing, links: Sequence[Link], left: Mapping[str, _Node], right: Mapping[str, _Node], words: Words,
    names: Mapping[str, str], unit: str,
) -> None:  # fmt: skip
    wide = 9.0 if drawing.width < 200 else _NODE_PX
    totals = [_sizes(links, 0), _sizes(links, 1)]
    out, into = dict.fromkeys(left, 0.0), dict.fromkeys(right, 0.0)
    order = sorted(links, key=lambda k: (list(left).index(k[0]), list(right).index(k[1])))
    starts = {}
    for a, b, amount, _ in order:
        starts[a, b] = left[a].y + out[a]
        out[a] += amount / totals[0][a] * left[a].height
    for a, b, amount, fill in sorted(links, key=lambda k: (list(right).index(k[1]), list(left).index(k[0]))):
        y1, y2 = starts[a, b], right[b].y + into[b]
        thick1 = amount / totals[0][a] * left[a].height
        thick2 = amount / totals[1][b] * right[b].height
        into[b] += thick2
        x1, x2 = left[a].x + wide, right[b].x
        middle = (x1 + x2) / 2
        path = (
            f"M{x1:.1f},{y1:.1f}C{middle:.1f},{y1:.1f} {middle:.1f},{y2:.1f} {x2:.1f},{y2:.1f}"
            f"V{y2 + thick2:.1f}C{middle:.1f},{y2 + thick2:.1f} {middle:.1f},{y1 + thick1:.1f} {x1:.1f},{y1 + thick1:.1f}Z"
        )
        tip = f"{names[a]} → {names[b]}: {words.amount(amount, unit)}"
        drawing.add("path", f"{fill} ribbon", "", tip, d=path)

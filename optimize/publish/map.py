"""Where a plan's works are: sites by capacity, centres by what is done, plants, pipes and users.

Own SVG: the map has to stand in a page without network and scripts, with real links and titles on its
marks; libraries that draw maps draw pictures, or need tiles or a script.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup

from optimize.i18n.catalogue import N_
from optimize.i18n.words import Words
from optimize.publish.facts import PlanFacts
from optimize.publish.map_frame import (
    Frame,
    Window,
    dense_window,
    draw_ground,
    draw_places,
    points_in,
    window_of,
)
from optimize.publish.svg import FILLS, MARKS, Drawing
from optimize.report.summary import frame_records

Link = Callable[[str], str]

_WIDTH = 640.0
_LARGEST_PX, _SMALLEST_PX = 12.0, 2.0
# Pipes: least and largest line, by rank of the diameter; parallel pipes of one corridor lie this far apart.
_THIN_PX, _THICK_PX, _APART_PX = 0.9, 4.2, 2.4
_DASHES = ("", "d2", "d3", "d4")


@dataclass(frozen=True)
class Mark:
    """Something at a place: ``key`` says which entry of the legend it is."""

    lon: float
    lat: float
    size: float
    key: str
    tip: str
    project: str = ""


@dataclass(frozen=True)
class Key:
    """An entry of the legend: shape, classes, text."""

    shape: str
    classes: str
    text: str


@dataclass(frozen=True)
class Line:
    """A pipe or link between two places."""

    ends: tuple[float, float, float, float]
    width: float
    classes: str
    side: float
    tip: str
    project: str = ""


@dataclass(frozen=True)
class Layers:
    """What is drawn, from below to above.

    Attributes
    ----------
    keys : legend by key of the marks, in order.
    line_keys : legend of lines: classes and text.
    size_words : what the area of a mark says.
    """

    title: str
    lines: Sequence[Line]
    marks: Sequence[Mark]
    keys: Mapping[str, Key]
    line_keys: Sequence[tuple[str, str]]
    size_words: str


def plan_map(plan: PlanFacts, words: Words, link: Link | None = None) -> list[Markup]:
    """The map, and where many works lie close together a second one of that part; empty where no place is known.

    Parameters
    ----------
    link : address of the page of a project, by its id; None: marks are no links.
    """
    layers = _LAYERS[plan.name](plan, words)
    if layers is None or not layers.marks:
        return []
    lon, lat = points_in([m.lon for m in layers.marks], [m.lat for m in layers.marks])
    window = window_of(lon, lat, plan.shapes)
    dense = dense_window(lon, lat, window)
    maps = [_draw(layers, plan, words, window, 1.0, dense, link)]
    if dense is not None:
        maps.append(_draw(layers, plan, words, dense, 1.7, None, link))
    return maps


def _draw(
    layers: Layers,
    plan: PlanFacts,
    words: Words,
    window: Window,
    zoom: float,
    detail: Window | None,
    link: Link | None,
) -> Markup:
    frame = Frame(window, _WIDTH, 0.0)
    is_detail = zoom > 1.0
    title = words.text("{title}: detail", title=layers.title) if is_detail else layers.title
    drawing = Drawing(_WIDTH, frame.height + 8, title, layers.size_words, "map")
    draw_ground(drawing, frame, plan)
    drawing.clipped(0, frame.top, frame.width, frame.height)
    for line in layers.lines:
        _line(drawing, frame, line, zoom, link)
    largest = max((mark.size for mark in layers.marks), default=1.0) or 1.0
    for mark in sorted(layers.marks, key=lambda m: (list(layers.keys).index(m.key), -m.size)):
        if not window.holds(np.array([mark.lon]), np.array([mark.lat]))[0]:
            continue
        key = layers.keys[mark.key]
        radius = max(_LARGEST_PX * zoom * math.sqrt(mark.size / largest), _SMALLEST_PX * zoom**0.5)
        drawing.mark(
            key.shape,
            frame.x(mark.lon),
            frame.y(mark.lat),
            radius,
            f"point {key.classes}",
            mark.tip,
            link(mark.project) if link and mark.project else "",
        )
    drawing.end_clipped()
    if detail is not None:
        drawing.add(
            "rect",
            "window",
            x=frame.x(detail.west),
            y=frame.y(detail.north),
            width=frame.x(detail.east) - frame.x(detail.west),
            height=frame.y(detail.south) - frame.y(detail.north),
        )
    draw_places(drawing, frame, plan, words)
    if not is_detail:
        used = {mark.key for mark in layers.marks}
        entries = [
            (key.shape, f"point {key.classes}", key.text) for name, key in layers.keys.items() if name in used
        ]
        entries += [("line", classes, text) for classes, text in layers.line_keys]
        below = frame.height + 20
        below += drawing.legend(2, below, entries, _WIDTH - 4)
        drawing.text(2, below + 4, layers.size_words, "small soft")
        drawing.height = below + 12
    return drawing.markup()


def _line(drawing: Drawing, frame: Frame, line: Line, zoom: float, link: Link | None) -> None:
    x1, y1, x2, y2 = (
        frame.x(line.ends[0]),
        frame.y(line.ends[1]),
        frame.x(line.ends[2]),
        frame.y(line.ends[3]),
    )
    long = math.hypot(x2 - x1, y2 - y1)
    if long > 0 and line.side:
        dx, dy = (
            -(y2 - y1) / long * line.side * _APART_PX * zoom,
            (x2 - x1) / long * line.side * _APART_PX * zoom,
        )
        x1, y1, x2, y2 = x1 + dx, y1 + dy, x2 + dx, y2 + dy
    linked = link(line.project) if link and line.project else ""
    drawing.linked(
        "line",
        f"pipe {line.classes}",
        line.tip,
        linked,
        x1=x1,
        y1=y1,
        x2=x2,
        y2=y2,
        **{"stroke-width": f"{line.width * zoom:.1f}"},
    )


# --- the programmes -----------------------------------------------------------------------------------


def _pv(plan: PlanFacts, words: Words) -> Layers | None:
    projects = plan.table("projects")
    projects = projects[projects["lon"].notna() & projects["lat"].notna()]
    if projects.empty:
        return None
    order = list(projects.groupby("type")["kw"].sum().sort_values(ascending=False).index)
    keys = {
        str(kind): Key(MARKS[k % len(MARKS)], FILLS[k % len(FILLS)], words.value("type", str(kind)))
        for k, kind in enumerate(order)
    }
    marks = [
        Mark(
            float(row["lon"]), float(row["lat"]), float(row["kw"]), str(row["type"]),
            words.listed([words.name(row), words.amount(row["kw"], "kW"), str(row["year"]), words.money(row["capex_cny"])]), str(row["site"]),
        )
        for row in frame_records(projects)
    ]  # fmt: skip
    most = words.amount(float(projects["kw"].max()), "kW")
    return Layers(
        words.text("PV sites by capacity and type of institution"),
        (),
        marks,
        keys,
        (),
        words.text("Area of a mark: capacity; the largest is {most}", most=most),
    )


_RETROFIT, _ADVANCED, _STAGED, _CLOSED, _OFFER, _HOST, _SINK = (
    "retrofit",
    "advanced",
    "staged",
    "close",
    "offer",
    "host",
    "sink",
)
_CENTRE_KEYS = {
    _CLOSED: ("down", "f2", N_("closed and moved")),
    _RETROFIT: ("circle", "f1", N_("retrofit")),
    _STAGED: ("diamond", "f3", N_("retrofit in two stages")),
    _ADVANCED: ("square", "f4", N_("retrofit with advanced technology")),
    _OFFER: ("triangle", "f5", N_("tendered offer")),
    _SINK: ("cross", "f6", N_("takes waste heat")),
    _HOST: ("hexagon", "f6", N_("takes over closed rooms")),
}


def _centres(plan: PlanFacts, words: Words) -> Layers | None:
    if plan.instance is None:
        return None
    tables = plan.instance.tables
    places = tables["centres"].set_index("centre")[["lon", "lat"]]
    projects = plan.table("projects").join(places, on="centre")
    measures = tables["measures"]
    advanced = set(measures.loc[measures["advanced"], "measure"])
    marks = []
    for row in frame_records(projects):
        done = {*str(row["measures"]).split("+"), *str(row["later_measures"]).split("+")}
        key = _ADVANCED if row["action"] in (_RETROFIT, _STAGED) and done & advanced else str(row["action"])
        told = [
            words.name(row),
            words.value("action", str(row["action"])),
            str(row["year"]),
            words.amount(row["it_load_kw"], "kW"),
            words.money(row["capex_cny"]),
        ]
        marks.append(
            Mark(
                float(row["lon"]),
                float(row["lat"]),
                float(row["it_load_kw"]),
                key,
                words.listed(told),
                str(row["centre"]),
            )
        )
    most = words.amount(float(projects["it_load_kw"].max()), "kW")
    middling = 0.15 * float(projects["it_load_kw"].max())
    marks += _ends(tables["hosts"], "host", set(projects["host"]), _HOST, middling, words)
    marks += _ends(tables["heat_sinks"], "sink", set(projects["sink"]), _SINK, middling / 3, words)
    marks = [mark for mark in marks if math.isfinite(mark.lon) and math.isfinite(mark.lat)]
    keys = {name: Key(shape, fill, words.text(text)) for name, (shape, fill, text) in _CENTRE_KEYS.items()}
    return Layers(
        words.text("Data centres by what is done"),
        (),
        marks,
        keys,
        (),
        words.text("Area of a mark: IT load; the largest is {most}", most=most),
    )


def _ends(rows: pd.DataFrame, key: str, used: set[str], kind: str, size: float, words: Words) -> list[Mark]:
    return [
        Mark(float(row["lon"]), float(row["lat"]), size, kind, words.name(row))
        for row in frame_records(rows)
        if row[key] in used
    ]


_PLANT, _IDLE_PLANT, _SERVED, _UNSERVED = "plant", "idle plant", "served", "unserved"


def _network(plan: PlanFacts, words: Words) -> Layers | None:
    if plan.instance is None:
        return None
    tables = plan.instance.tables
    nodes = _node_places(tables)
    works = plan.table("plants")
    capacity: dict[str, float] = {}
    for plant, size in zip(works["plant"], works["capacity_m3_per_d"].tolist(), strict=True):
        capacity[plant] = capacity.get(plant, 0.0) + float(size)
    users = plan.table("users").set_index("user")
    largest = max(capacity.values(), default=1.0)
    marks = []
    for row in frame_records(tables["users"]):
        served = row["user"] in users.index
        told = [words.name(row), words.value("kind", str(row["kind"]))]
        if served:
            told.append(words.amount(float(users.at[row["user"], "largest_delivery_m3_per_d"]), "m3/d"))
        told.append(words.text("served") if served else words.text("not served"))
        marks.append(
            Mark(
                *nodes[row["user"]],
                0.03 * largest,
                _SERVED if served else _UNSERVED,
                words.listed(told),
                str(row["user"]) if served else "",
            )
        )
    for row in frame_records(tables["plants"]):
        built = capacity.get(row["plant"], 0.0)
        told = [words.name(row), words.amount(built, "m3/d") if built else words.text("not upgraded")]
        marks.append(
            Mark(
                *nodes[row["plant"]],
                built or 0.05 * largest,
                _PLANT if built else _IDLE_PLANT,
                words.listed(told),
            )
        )
    keys = {
        _UNSERVED: Key("circle", "hollow", words.text("user not served")),
        _SERVED: Key("circle", "f4", words.text("user served")),
        _IDLE_PLANT: Key("square", "hollow", words.text("plant as it is")),
        _PLANT: Key("square", "f1", words.text("plant upgraded")),
    }
    lines, line_keys = _pipes(plan, words, nodes)
    most = words.amount(largest, "m3/d")
    size_words = words.text(
        "Area of a plant's mark: new capacity, the largest {most}; width of a line: diameter", most=most
    )
    return Layers(
        words.text("Plants, pipes and users of reclaimed water"), lines, marks, keys, line_keys, size_words
    )


def _node_places(tables: Mapping[str, pd.DataFrame]) -> dict[str, tuple[float, float]]:
    places: dict[str, tuple[float, float]] = {}
    for table, key in (("plants", "plant"), ("junctions", "junction"), ("users", "user")):
        rows = tables[table]
        places |= {
            str(k): (float(x), float(y))
            for k, x, y in zip(rows[key], rows["lon"].tolist(), rows["lat"].tolist(), strict=True)
        }
    return places


def _pipes(
    plan: PlanFacts, words: Words, nodes: Mapping[str, tuple[float, float]]
) -> tuple[list[Line], list[tuple[str, str]]]:
    assert plan.instance is not None
    pipes = plan.table("pipes")
    sizes = plan.instance.tables["pipes"].sort_values("capacity_m3_per_d")["diameter"]
    rank = {str(name): k / max(len(sizes) - 1, 1) for k, name in enumerate(sizes)}
    qualities = [q for q in plan.instance.tables["qualities"]["quality"] if (pipes["quality"] == q).any()]
    looks = {q: f"s{k % 6 + 1} {_DASHES[k % len(_DASHES)]}".strip() for k, q in enumerate(qualities)}
    beside: dict[str, int] = {}
    lines = []
    for row in frame_records(pipes):
        nth = beside[row["corridor"]] = beside.get(row["corridor"], -1) + 1
        width = _THIN_PX + (_THICK_PX - _THIN_PX) * rank[row["diameter"]]
        told = [
            str(row["diameter"]),
            plan.named("qualities", row["quality"], words),
            words.number(row["length_m"] / 1000.0, "km"),
            str(row["year"]),
            words.money(row["capex_cny"]),
        ]
        ends = (*nodes[row["from_node"]], *nodes[row["to_node"]])
        lines.append(
            Line(
                ends,
                width,
                looks[row["quality"]],
                (0, 1, -1, 2, -2)[nth % 5],
                words.listed(told),
                f"{row['corridor']}:{row['quality']}",
            )
        )
    lines.sort(key=lambda line: -line.width)
    return lines, [(f"{looks[q]} curve", plan.named("qualities", q, words)) for q in qualities]


_LAYERS: Mapping[str, Callable[[PlanFacts, Words], Layers | None]] = {
    "pv_siting": _pv,
    "datacenter": _centres,
    "water": _network,
}

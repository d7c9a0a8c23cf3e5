"""What a map shows of each programme: marks, lines and their legend."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from optimize.i18n.catalogue import N_
from optimize.i18n.words import Words
from optimize.publish.facts import PlanFacts
from optimize.publish.svg import FILLS, MARKS
from optimize.report.summary import frame_records

# Pipes: least and largest line, by rank of the diameter.
_THIN_PX, _THICK_PX = 0.8, 3.6
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


def layers_of(plan: PlanFacts, words: Words) -> Layers | None:
    """Everything a map of the plan shows; None where no place is known."""
    return _LAYERS[plan.name](plan, words)


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
    nodes = node_places(tables)
    works = plan.table("plants")
    capacity: dict[str, float] = {}
    for plant, size in zip(works["plant"], works["capacity_m3_per_d"].tolist(), strict=True):
        capacity[plant] = capacity.get(plant, 0.0) + float(size)
    connected = plan.table("users")
    users = dict(zip(connected["user"], connected["largest_delivery_m3_per_d"].tolist(), strict=True))
    largest = max(capacity.values(), default=1.0)
    marks = []
    for row in frame_records(tables["users"]):
        served = row["user"] in users
        told = [words.name(row), words.value("kind", str(row["kind"]))]
        if served:
            told.append(words.amount(users[row["user"]], "m3/d"))
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


def node_places(tables: Mapping[str, pd.DataFrame]) -> dict[str, tuple[float, float]]:
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

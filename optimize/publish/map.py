"""Where a plan's works are: sites by capacity, centres by what is done, plants, pipes and users.

Own SVG: the map has to stand in a page without network and scripts, with real links and titles on its
marks; libraries that draw maps draw pictures, or need tiles or a script.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from markupsafe import Markup

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
from optimize.publish.map_layers import Layers, Line, layers_of
from optimize.publish.svg import Drawing

Link = Callable[[str], str]

_WIDTH = 480.0
_LARGEST_PX, _SMALLEST_PX = 9.5, 1.6
# Pipes of one corridor lie this far apart.
_APART_PX = 2.4


def plan_map(plan: PlanFacts, words: Words, link: Link | None = None) -> list[Markup]:
    """The map, and where many works lie close together a second one of that part; empty where no place is known.

    Parameters
    ----------
    link : address of the page of a project, by its id; None: marks are no links.
    """
    layers = layers_of(plan, words)
    if layers is None:
        return []
    lon, lat = points_in([m.lon for m in layers.marks], [m.lat for m in layers.marks])
    if not len(lon):
        return []
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

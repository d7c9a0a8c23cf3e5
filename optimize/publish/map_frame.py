"""The ground of a map: projection, graticule, district shapes and names, scale bar; no tiles, no network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optimize.i18n.words import Words
from optimize.io.shapes import Shapes
from optimize.milp import FloatArray
from optimize.publish.facts import PlanFacts
from optimize.publish.svg import Drawing, text_width

_KM_PER_DEGREE = 111.32
_ASPECT = (0.72, 1.1)  # least and largest height by width
_MARGIN = 0.05
_GRID_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_LABEL_PX = 52.0
_DENSE_SHARE, _DENSE_ZOOM = 0.3, 4.0


@dataclass(frozen=True)
class Window:
    """Degrees that a map shows."""

    west: float
    south: float
    east: float
    north: float

    def holds(self, lon: FloatArray, lat: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        found: np.ndarray[tuple[int], np.dtype[np.bool_]] = (
            (lon >= self.west) & (lon <= self.east) & (lat >= self.south) & (lat <= self.north)
        )
        return found


@dataclass(frozen=True)
class Frame:
    """A window in a drawing; equirectangular, true to scale at its middle latitude."""

    window: Window
    width: float
    top: float

    @property
    def height(self) -> float:
        return (
            self.width
            * (self.window.north - self.window.south)
            / (self._shrink * (self.window.east - self.window.west))
        )

    @property
    def _shrink(self) -> float:
        return math.cos(math.radians((self.window.south + self.window.north) / 2))

    def x(self, lon: float) -> float:
        return self.width * (lon - self.window.west) / (self.window.east - self.window.west)

    def y(self, lat: float) -> float:
        return self.top + self.height * (self.window.north - lat) / (self.window.north - self.window.south)

    @property
    def px_per_km(self) -> float:
        return self.width / ((self.window.east - self.window.west) * self._shrink * _KM_PER_DEGREE)


def window_of(lon: FloatArray, lat: FloatArray, shapes: Shapes) -> Window:
    """All points, or all shapes where there are any, with a margin, in a handy aspect."""
    if shapes:
        points = np.array(
            [
                point
                for polygons in shapes.values()
                for polygon in polygons
                for ring in polygon
                for point in ring
            ]
        )
        lon, lat = np.append(lon, points[:, 0]), np.append(lat, points[:, 1])
    west, east, south, north = float(lon.min()), float(lon.max()), float(lat.min()), float(lat.max())
    shrink = math.cos(math.radians((south + north) / 2))
    wide, high = max((east - west) * shrink, 0.01), max(north - south, 0.01)
    wide, high = wide * (1 + 2 * _MARGIN), high * (1 + 2 * _MARGIN)
    wide, high = max(wide, high / _ASPECT[1]), max(high, wide * _ASPECT[0])
    x, y = (west + east) / 2, (south + north) / 2
    return Window(x - wide / shrink / 2, y - high / 2, x + wide / shrink / 2, y + high / 2)


def dense_window(lon: FloatArray, lat: FloatArray, window: Window) -> Window | None:
    """The part, a quarter as wide and high, with the most points; None where it has no large share of them."""
    if len(lon) < 40:
        return None
    cells = 24
    x = np.clip(((lon - window.west) / (window.east - window.west) * cells).astype(int), 0, cells - 1)
    y = np.clip(((lat - window.south) / (window.north - window.south) * cells).astype(int), 0, cells - 1)
    count = np.zeros((cells + 1, cells + 1))
    np.add.at(count, (x + 1, y + 1), 1)
    below = count.cumsum(axis=0).cumsum(axis=1)
    size = round(cells / _DENSE_ZOOM)
    inside = below[size:, size:] - below[:-size, size:] - below[size:, :-size] + below[:-size, :-size]
    if inside.max() < _DENSE_SHARE * len(lon):
        return None
    i, j = np.unravel_index(int(inside.argmax()), inside.shape)
    dx, dy = (window.east - window.west) / cells, (window.north - window.south) / cells
    west, south = window.west + float(i) * dx, window.south + float(j) * dy
    return Window(west, south, west + size * dx, south + size * dy)


def draw_ground(drawing: Drawing, frame: Frame, plan: PlanFacts) -> None:
    """Sea or paper, shapes of the districts where there are any, and the graticule with its degrees."""
    drawing.add("rect", "sea", x=0, y=frame.top, width=frame.width, height=frame.height)
    for name, polygons in plan.shapes.items():
        path = "".join(
            "M" + "L".join(f"{frame.x(lon):.1f},{frame.y(lat):.1f}" for lon, lat in ring) + "Z"
            for polygon in polygons
            for ring in polygon
        )
        drawing.add("path", "land", "", name, d=path, **{"fill-rule": "evenodd"})
    window = frame.window
    step = next((s for s in _GRID_STEPS if (window.east - window.west) / s <= 6), _GRID_STEPS[-1])
    for lon in _multiples(window.west, window.east, step):
        drawing.line(frame.x(lon), frame.top, frame.x(lon), frame.top + frame.height, "grid")
        if frame.x(lon) > frame.width - _LABEL_PX:
            continue
        drawing.text(
            frame.x(lon) + 3,
            frame.top + 13,
            f"{_degrees(lon)}°E" if lon >= 0 else f"{_degrees(-lon)}°W",
            "small soft minor",
        )
    for lat in _multiples(window.south, window.north, step):
        drawing.line(0, frame.y(lat), frame.width, frame.y(lat), "grid")
        drawing.text(
            4,
            frame.y(lat) - 4,
            f"{_degrees(lat)}°N" if lat >= 0 else f"{_degrees(-lat)}°S",
            "small soft minor",
        )


def draw_places(drawing: Drawing, frame: Frame, plan: PlanFacts, words: Words) -> None:
    """Names of districts where they have room, over the marks; the frame and the scale bar."""
    if plan.instance is not None:
        taken: list[tuple[float, float, float]] = []
        rows = plan.instance.tables["districts"]
        for district, lon, lat in zip(rows["district"], rows["lon"], rows["lat"], strict=True):
            if not (
                math.isfinite(lon)
                and frame.window.west < lon < frame.window.east
                and frame.window.south < lat < frame.window.north
            ):
                continue
            name = plan.district_name(str(district), words)
            x, y, half = frame.x(lon), frame.y(lat), text_width(name, 11.0) / 2 + 3
            x = min(max(x, half), frame.width - half)
            if all(
                abs(y - other_y) > 15 or abs(x - other_x) > half + other_half
                for other_x, other_y, other_half in taken
            ):
                drawing.text(x, y, name, "place")
                taken.append((x, y, half))
    _scale_bar(drawing, frame, words)
    drawing.add("rect", "frame", x=0.5, y=frame.top + 0.5, width=frame.width - 1, height=frame.height - 1)


def _scale_bar(drawing: Drawing, frame: Frame, words: Words) -> None:
    wished = 0.2 * frame.width / frame.px_per_km
    power = 10.0 ** math.floor(math.log10(wished))
    length = next(k * power for k in (5.0, 2.0, 1.0) if k * power <= wished)
    right, y = frame.width - 14, frame.top + frame.height - 14
    left = right - length * frame.px_per_km
    drawing.add("path", "outline", d=f"M{left:.1f},{y - 5:.1f}V{y:.1f}H{right:.1f}V{y - 5:.1f}")
    drawing.text((left + right) / 2, y - 6, words.number(length, "km"), "small", "middle")


def points_in(
    lon: Sequence[float] | FloatArray, lat: Sequence[float] | FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Points with known coordinates."""
    x, y = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    return x[known], y[known]


def _multiples(low: float, high: float, step: float) -> list[float]:
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _degrees(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")

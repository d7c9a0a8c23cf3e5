"""Outlines of districts that an instance may bring along for its maps: ``districts.geojson``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from optimize.errors import Fault, InputFaults
from optimize.io.validation import nearest

SHAPES_FILE = "districts.geojson"
_NAME = "district"
_LISTED = 20
_LEAST_POINTS = 4

Ring = Sequence[tuple[float, float]]
Polygon = Sequence[Ring]  # the outer ring, then holes
Shapes = Mapping[str, Sequence[Polygon]]


def read_shapes(folder: Path) -> Shapes:
    """Polygons (lon, lat, degrees) of each district; empty where the instance has none.

    Raises
    ------
    InputFaults : the file is not GeoJSON of polygons in degrees with a property ``district``.
    """
    features, faults = _features(folder)
    faults += [fault for number, feature in enumerate(features, 1) for fault in _faults_of(number, feature)]
    if faults:
        raise InputFaults(faults[:_LISTED])
    return {str(f["properties"][_NAME]): _polygons(f["geometry"]) for f in features}


def shape_faults(folder: Path, districts: Sequence[str] | None) -> list[Fault]:
    """What is wrong with an instance's outlines; names, too, where it is known which ``districts`` there are."""
    features, faults = _features(folder)
    seen: set[str] = set()
    for number, feature in enumerate(features, 1):
        wrong = list(_faults_of(number, feature))
        faults += wrong
        if wrong:
            continue
        name, where = str(feature["properties"][_NAME]), f"feature {number} {_NAME}"
        if districts is not None and name not in districts:
            mend = nearest(name, districts)
            faults.append(Fault(SHAPES_FILE, where, "an entry of districts.district", f'"{name}"', mend))
        elif name in seen:
            mend = "make one MultiPolygon of it"
            faults.append(Fault(SHAPES_FILE, where, "each district once", f'"{name}"', mend))
        seen.add(name)
    return faults[:_LISTED]


def _features(folder: Path) -> tuple[list[Any], list[Fault]]:
    """What the file lists, or why it lists nothing."""
    path = folder / SHAPES_FILE
    if not path.is_file():
        return [], []
    mend = "save it as GeoJSON in WGS 84 (EPSG:4326), or remove it"
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        found = "JSON nested too deeply" if isinstance(error, RecursionError) else str(error)
        return [], [Fault(SHAPES_FILE, "(file)", "GeoJSON", found, mend)]
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list):
        return [], [Fault(SHAPES_FILE, "(file)", "a FeatureCollection", "something else", mend)]
    return features, []


def _faults_of(number: int, feature: Any) -> Iterator[Fault]:
    """What is wrong with one feature by itself."""
    where = f"feature {number}"
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(properties, dict) or not isinstance(properties.get(_NAME), str | int):
        yield Fault(SHAPES_FILE, where, f"a property `{_NAME}`", "none", "name the district by its id")
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if geometry is None or kind not in ("Polygon", "MultiPolygon"):
        yield Fault(SHAPES_FILE, f"{where} geometry", "a Polygon or MultiPolygon", str(kind or "none"))
        return
    try:
        rings = [ring for polygon in _polygons(geometry) for ring in polygon]
    except (KeyError, TypeError, ValueError):
        rings = []
    where = f"{where} coordinates"
    if not rings:
        yield Fault(SHAPES_FILE, where, "rings of [longitude, latitude]", "something else")
    for ring in rings:
        outside = [f"{x:g}, {y:g}" for x, y in ring if not (-180 <= x <= 180 and -90 <= y <= 90)]
        if outside:
            mend = "save it in WGS 84 (EPSG:4326)"
            yield Fault(SHAPES_FILE, where, "longitude and latitude in degrees", outside[0], mend)
            return
        if len(ring) < _LEAST_POINTS or not _is_closed(ring):
            expected = "rings of at least four points, the last as the first"
            yield Fault(SHAPES_FILE, where, expected, f"{len(ring)} points")
            return


def _is_closed(ring: Ring) -> bool:
    return all(math.isclose(a, b, abs_tol=1e-9) for a, b in zip(ring[0], ring[-1], strict=True))


def _polygons(geometry: Mapping[str, Any]) -> list[list[list[tuple[float, float]]]]:
    found = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    return [[[(float(x), float(y)) for x, y, *_ in ring] for ring in polygon] for polygon in found]

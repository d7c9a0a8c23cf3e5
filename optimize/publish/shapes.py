"""District shapes that an instance brings along: ``districts.geojson``, features with a property ``district``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optimize.errors import UsageError

SHAPES_FILE = "districts.geojson"

Ring = Sequence[tuple[float, float]]
Polygon = Sequence[Ring]  # the outer ring, then holes
Shapes = Mapping[str, Sequence[Polygon]]


def read_shapes(folder: Path) -> Shapes:
    """Polygons (lon, lat) of each district; empty where the instance has none.

    Raises
    ------
    UsageError : the file is not GeoJSON of polygons in degrees with a property ``district``.
    """
    path = folder / SHAPES_FILE
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        features = content["features"]
        return {str(f["properties"]["district"]): _polygons(f["geometry"]) for f in features}
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path}: expected a FeatureCollection of polygons in degrees, each with a property `district`; "
            f"found {type(error).__name__}: {error}; mend the file or remove it"
        ) from error


def _polygons(geometry: Mapping[str, Any]) -> list[list[list[tuple[float, float]]]]:
    kind = geometry["type"]
    if kind not in ("Polygon", "MultiPolygon"):
        raise ValueError(f"a geometry of type {kind}")
    found = [geometry["coordinates"]] if kind == "Polygon" else geometry["coordinates"]
    polygons = [[[(float(x), float(y)) for x, y, *_ in ring] for ring in polygon] for polygon in found]
    points = [point for polygon in polygons for ring in polygon for point in ring]
    if not points or any(not (-180 <= x <= 180 and -90 <= y <= 90) for x, y in points):
        raise ValueError("coordinates that are no degrees")
    return polygons

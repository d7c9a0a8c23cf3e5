"""District shapes that an instance brings along: ``districts.geojson``, features with a property ``district``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optimize.errors import UsageError

SHAPES_FILE = "districts.geojson"

Ring = Sequence[tuple[float, float]]
Shapes = Mapping[str, Sequence[Ring]]


def read_shapes(folder: Path) -> Shapes:
    """Rings (lon, lat) of each district, outer and inner alike; empty where the instance has none.

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
        return {str(f["properties"]["district"]): _rings(f["geometry"]) for f in features}
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path}: expected a FeatureCollection of polygons in degrees, each with a property `district`; "
            f"found {type(error).__name__}: {error}; mend the file or remove it"
        ) from error


def _rings(geometry: Mapping[str, Any]) -> list[list[tuple[float, float]]]:
    kind = geometry["type"]
    if kind not in ("Polygon", "MultiPolygon"):
        raise ValueError(f"a geometry of type {kind}")
    polygons = [geometry["coordinates"]] if kind == "Polygon" else geometry["coordinates"]
    rings = [[(float(x), float(y)) for x, y, *_ in ring] for polygon in polygons for ring in polygon]
    if any(not (-180 <= x <= 180 and -90 <= y <= 90) for ring in rings for x, y in ring):
        raise ValueError("coordinates that are no degrees")
    return rings

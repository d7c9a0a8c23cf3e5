"""A plan for geographic information systems: GeoJSON, and GeoPackage with a layer for each kind of works.

A GeoPackage is an SQLite file with four tables and geometries as well-known binary (OGC 12-128r19); the
libraries that write it bring GDAL along (tens of megabytes), for what are a few INSERTs here.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from optimize.errors import UsageError
from optimize.publish.facts import PlanFacts, RunFacts
from optimize.publish.map_layers import node_places
from optimize.studies.tables import plain_records

_WGS84 = 4326
_WKB_POINT, _WKB_LINE, _WKB_MULTIPOLYGON = 1, 2, 6
_KINDS = {"Point": _WKB_POINT, "LineString": _WKB_LINE, "MultiPolygon": _WKB_MULTIPOLYGON}
_SQL_TYPES = {"int": "INTEGER", "float": "REAL", "bool": "BOOLEAN", "str": "TEXT"}


@dataclass(frozen=True)
class GeoLayer:
    """Features of one kind.

    Attributes
    ----------
    name : of the layer, in ASCII.
    kind : Point, LineString or MultiPolygon.
    coordinates : of each feature, as GeoJSON has them, longitude first, degrees (WGS 84).
    attributes : a row for each feature; columns as in the run's tables.
    """

    name: str
    kind: str
    coordinates: Sequence[Any]
    attributes: pd.DataFrame


def geo_layers(run: RunFacts) -> list[GeoLayer]:
    """Everything of a run that has a place.

    Raises
    ------
    UsageError : the places are in the instance, which is not there or has changed.
    """
    if run.instance_folder is None and any(part.name != "pv_siting" for part in run.parts):
        raise UsageError(
            f"places are read from the instance: {run.instance_missing}; name it with --instance"
        )
    layers = [layer for part in run.parts for layer in _of_plan(part)]
    shapes = run.parts[0].shapes
    if shapes:
        names = pd.DataFrame({"district": list(shapes)})
        outlines = [
            [[[list(point) for point in ring] for ring in polygon] for polygon in polygons]
            for polygons in shapes.values()
        ]
        layers.append(GeoLayer("districts", "MultiPolygon", outlines, names))
    return [layer for layer in layers if len(layer.attributes)]


def _of_plan(plan: PlanFacts) -> list[GeoLayer]:
    if plan.name == "pv_siting":
        return [_points("pv_siting_projects", plan.table("projects"))]
    assert plan.instance is not None
    tables = plan.instance.tables
    if plan.name == "datacenter":
        places = tables["centres"][["centre", "lon", "lat"]]
        projects = plan.table("projects").merge(places, on="centre", how="left")
        used = tables["hosts"][tables["hosts"]["host"].isin(projects["host"])]
        return [_points("datacenter_projects", projects), _points("datacenter_hosts", used)]
    nodes = node_places(tables)
    pipes = plan.table("pipes")
    ends = [(nodes[a], nodes[b]) for a, b in zip(pipes["from_node"], pipes["to_node"], strict=True)]
    placed = [all(math.isfinite(degree) for end in pair for degree in end) for pair in ends]
    lines = [[list(start), list(end)] for (start, end), there in zip(ends, placed, strict=True) if there]
    served = plan.table("users")[["user", "mode", "year", "largest_delivery_m3_per_d"]]
    users = tables["users"][["user", "name_zh", "name_en", "district", "kind", "lon", "lat"]]
    users = users.merge(served, on="user", how="left")
    users["served"] = users["mode"].notna()
    users["mode"] = users["mode"].fillna("")
    plants = plan.table("plants").merge(tables["plants"][["plant", "lon", "lat"]], on="plant", how="left")
    return [
        GeoLayer("water_pipes", "LineString", lines, pipes[placed].reset_index(drop=True)),
        _points("water_plants", plants),
        _points("water_users", users),
    ]


def _points(name: str, rows: pd.DataFrame) -> GeoLayer:
    """Rows with columns lon and lat; those without a place are left out."""
    rows = rows[rows["lon"].notna() & rows["lat"].notna()].reset_index(drop=True)
    places = [[float(x), float(y)] for x, y in zip(rows["lon"].tolist(), rows["lat"].tolist(), strict=True)]
    return GeoLayer(name, "Point", places, rows.drop(columns=["lon", "lat"]))


def write_geojson(layers: Sequence[GeoLayer], path: Path) -> None:
    """One FeatureCollection (RFC 7946); the property ``layer`` says what a feature is."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": layer.kind, "coordinates": place},
            "properties": {"layer": layer.name, **row},
        }
        for layer in layers
        for place, row in zip(layer.coordinates, plain_records(layer.attributes), strict=True)
    ]
    text = json.dumps(
        {"type": "FeatureCollection", "features": features}, ensure_ascii=False, allow_nan=False
    )
    _at_once(path, lambda place: place.write_text(text + "\n", encoding="utf-8"))


def write_geopackage(layers: Sequence[GeoLayer], path: Path) -> None:
    """A GeoPackage 1.3 with a table for each layer."""

    def write(place: Path) -> None:
        place.unlink()
        with closing(sqlite3.connect(place)) as base, base:
            _begin(base)
            for layer in layers:
                _add_layer(base, layer)

    _at_once(path, write)


def _begin(base: sqlite3.Connection) -> None:
    base.execute(f"PRAGMA application_id = {0x47504B47}")
    base.execute("PRAGMA user_version = 10300")
    base.execute(
        "CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY, organization TEXT NOT NULL, "
        "organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT)"
    )
    base.executemany(
        "INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)",
        [
            ("Undefined cartesian SRS", -1, "NONE", -1, "undefined", None),
            ("Undefined geographic SRS", 0, "NONE", 0, "undefined", None),
            ("WGS 84", _WGS84, "EPSG", _WGS84, _WGS84_TEXT, "longitude/latitude in degrees"),
        ],
    )
    base.execute(
        "CREATE TABLE gpkg_contents (table_name TEXT PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE, "
        "description TEXT DEFAULT '', last_change DATETIME NOT NULL, min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, "
        "srs_id INTEGER REFERENCES gpkg_spatial_ref_sys(srs_id))"
    )
    base.execute(
        "CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL REFERENCES gpkg_contents(table_name), column_name TEXT NOT NULL, "
        "geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL REFERENCES gpkg_spatial_ref_sys(srs_id), z TINYINT NOT NULL, "
        "m TINYINT NOT NULL, PRIMARY KEY (table_name, column_name))"
    )


def _add_layer(base: sqlite3.Connection, layer: GeoLayer) -> None:
    records = plain_records(layer.attributes)
    names = [str(name) for name in layer.attributes.columns]
    types = {name: _SQL_TYPES[_type_of(records, name)] for name in names}
    columns = "".join(f', "{name}" {types[name]}' for name in names)
    base.execute(
        f'CREATE TABLE "{layer.name}" (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom {layer.kind.upper()}{columns})'
    )
    points = [point for place in layer.coordinates for point in _flat(place)]
    west, east = min(p[0] for p in points), max(p[0] for p in points)
    south, north = min(p[1] for p in points), max(p[1] for p in points)
    changed = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    base.execute(
        "INSERT INTO gpkg_contents VALUES (?, 'features', ?, '', ?, ?, ?, ?, ?, ?)",
        (layer.name, layer.name, changed, west, south, east, north, _WGS84),
    )
    base.execute(
        "INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', ?, ?, 0, 0)",
        (layer.name, layer.kind.upper(), _WGS84),
    )
    marks = ", ".join("?" for _ in range(len(names) + 1))
    listed = "".join(f', "{name}"' for name in names)
    base.executemany(
        f'INSERT INTO "{layer.name}" (geom{listed}) VALUES ({marks})',
        [
            (_blob(layer.kind, place), *(record[name] for name in names))
            for place, record in zip(layer.coordinates, records, strict=True)
        ],
    )


def _type_of(records: Sequence[Mapping[str, Any]], name: str) -> str:
    found = {type(record[name]).__name__ for record in records if record[name] is not None}
    if found == {"int", "float"}:
        return "float"
    return found.pop() if len(found) == 1 and found <= _SQL_TYPES.keys() else "str"


def _blob(kind: str, place: Any) -> bytes:
    """Header without an envelope, then little-endian well-known binary."""
    return b"GP\x00\x01" + struct.pack("<i", _WGS84) + _wkb(kind, place)


def _wkb(kind: str, place: Any) -> bytes:
    head = struct.pack("<BI", 1, _KINDS[kind])
    if kind == "Point":
        return head + struct.pack("<dd", *place)
    if kind == "LineString":
        return head + struct.pack("<I", len(place)) + b"".join(struct.pack("<dd", *point) for point in place)
    polygons = []
    for rings in place:
        body = b"".join(
            struct.pack("<I", len(ring)) + b"".join(struct.pack("<dd", *point) for point in ring)
            for ring in rings
        )
        polygons.append(struct.pack("<BI", 1, 3) + struct.pack("<I", len(rings)) + body)
    return head + struct.pack("<I", len(polygons)) + b"".join(polygons)


def _flat(place: Any) -> list[Sequence[float]]:
    """All points of a geometry."""
    if isinstance(place[0], float | int):
        return [place]
    return [point for part in place for point in _flat(part)]


def _at_once(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside the file and put it in its place at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    os.close(handle)
    place = Path(name)
    try:
        write(place)
        place.chmod(0o644)
        place.replace(path)
    except BaseException:
        place.unlink(missing_ok=True)
        raise


_WGS84_TEXT = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],'
    'AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,'
    'AUTHORITY["EPSG","9122"]],AUTHORITY["EPSG","4326"]]'
)

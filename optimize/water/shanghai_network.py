"""The corridor graph of the Shanghai instance: where pipes could follow roads.

Roads are abstracted.  Trunk corridors run between neighbouring plants, parks and towns, with a
junction every few kilometres; all nodes of one land mass are joined by their relative-neighbourhood
graph.  The Huangpu can be crossed at a price; the islands of Chongming are not joined to the mainland.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Delaunay, cKDTree

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Names = NDArray[np.object_]

FACTS = Path(__file__).parent / "facts"
CENTRE_LON, CENTRE_LAT = 121.47, 31.23  # People's Square
KM_PER_DEG_LON, KM_PER_DEG_LAT = 95.2, 111.2  # at the latitude of the centre

TRUNK_FROM_KM, JUNCTION_EVERY_KM, LONGEST_DETOUR_TRUNK_KM = 6.0, 6.0, 12.0
DETOUR = (1.2, 1.4)
LEAST_LENGTH_M = 60.0
# Terrain factor by distance from the centre: pipes are laid trenchless where the city is dense.
TERRAIN_RINGS = ((6.0, 2.2), (11.0, 1.7), (18.0, 1.3), (np.inf, 1.0))
CROSSING_TERRAIN = 2.0
CROSSING_CAPEX_CNY = 15e6  # two shafts and the drive under the Huangpu


@dataclass(frozen=True)
class Places:
    """Nodes: ``xy`` (n, 2) in km from the centre, ``land`` and ``district`` names, ``hub`` flags."""

    node: Names
    xy: Floats
    land: Names
    district: Names
    hub: NDArray[np.bool_]

    def __add__(self, other: Places) -> Places:
        return Places(
            np.concatenate([self.node, other.node]),
            np.vstack([self.xy, other.xy]),
            np.concatenate([self.land, other.land]),
            np.concatenate([self.district, other.district]),
            np.concatenate([self.hub, other.hub]),
        )

    def subset(self, rows: NDArray[np.bool_]) -> Places:
        return Places(self.node[rows], self.xy[rows], self.land[rows], self.district[rows], self.hub[rows])


def km_of(lon: Floats, lat: Floats) -> Floats:
    """Places in km east and north of the centre, (n, 2)."""
    return np.column_stack([(lon - CENTRE_LON) * KM_PER_DEG_LON, (lat - CENTRE_LAT) * KM_PER_DEG_LAT])


def degrees_of(xy: Floats) -> tuple[Floats, Floats]:
    """Longitude and latitude of places in km, rounded to about 10 m."""
    return (
        np.round(CENTRE_LON + xy[:, 0] / KM_PER_DEG_LON, 4),
        np.round(CENTRE_LAT + xy[:, 1] / KM_PER_DEG_LAT, 4),
    )


def land_of(xy: Floats, district: Names) -> Names:
    """Land mass: Changxing and Hengsha lie south of the northern channel's middle, east of 121.6 E."""
    lon, lat = degrees_of(xy)
    on_changxing = (lon > 121.6) & (lat < 31.45)
    return np.where(
        district == "Chongming", np.where(on_changxing, "changxing", "chongming"), "mainland"
    ).astype(object)


def derive_network(rng: np.random.Generator, places: Places) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Junctions along the trunks, and corridors; all nodes of a land mass are connected."""
    junctions, trunks = _trunks(rng, places)
    everything = places + junctions
    index = {name: row for row, name in enumerate(everything.node)}
    pairs = [np.array([[index[a], index[b]] for a, b in trunks], dtype=np.int64)]
    for land in dict.fromkeys(everything.land):
        rows = np.flatnonzero(everything.land == land)
        pairs.append(rows[_relative_neighbours(everything.xy[rows])])
    edges = np.unique(np.sort(np.vstack(pairs), axis=1), axis=0)
    lon, lat = degrees_of(junctions.xy)
    table = pd.DataFrame(
        {
            "junction": junctions.node,
            "lon": lon,
            "lat": lat,
            "source": "synthetic: on the line between neighbouring centres",
            "confidence": "D",
        }
    )
    return table, _corridors(rng, everything, edges)


def count_components(num_nodes: int, edges: Ints) -> int:
    """Connected parts of a graph."""
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(num_nodes, num_nodes))
    count, _ = connected_components(graph, directed=False)
    return int(count)


def crosses_huangpu(tail: Floats, head: Floats) -> NDArray[np.bool_]:
    """Whether each segment tail-head, (n, 2) in km, meets the river's polyline."""
    river = pd.read_csv(FACTS / "huangpu_river.csv")
    bend = km_of(river["lon"].to_numpy(float), river["lat"].to_numpy(float))
    start, end = bend[None, :-1], bend[None, 1:]
    tail, head = tail[:, None], head[:, None]
    apart = _side(start, end, tail) * _side(start, end, head) < 0
    straddles = _side(tail, head, start) * _side(tail, head, end) < 0
    return np.asarray((apart & straddles).any(axis=1))


def _side(origin: Floats, target: Floats, point: Floats) -> Floats:
    """Positive where ``point`` lies left of the line origin-target."""
    along, aside = target - origin, point - origin
    return np.asarray(along[..., 0] * aside[..., 1] - along[..., 1] * aside[..., 0])


def _trunks(rng: np.random.Generator, places: Places) -> tuple[Places, list[tuple[str, str]]]:
    """Junctions every few kilometres between neighbouring hubs, and the links they form."""
    nodes: list[str] = []
    xy: list[Floats] = []
    land: list[str] = []
    district: list[str] = []
    links: list[tuple[str, str]] = []
    for mass in dict.fromkeys(places.land):
        hubs = places.subset(places.hub & (places.land == mass))
        for a, b in _neighbouring_hubs(hubs.xy):
            distance = float(np.linalg.norm(hubs.xy[a] - hubs.xy[b]))
            num = int(distance // JUNCTION_EVERY_KM) if distance > TRUNK_FROM_KM else 0
            chain = [str(hubs.node[a])]
            for share in np.arange(1, num + 1) / (num + 1):
                name = f"J{len(nodes) + 1:03d}"
                nodes.append(name)
                xy.append(hubs.xy[a] * (1 - share) + hubs.xy[b] * share + rng.normal(0.0, 0.25, 2))
                land.append(mass)
                district.append(hubs.district[a] if share < 0.5 else hubs.district[b])
                chain.append(name)
            chain.append(str(hubs.node[b]))
            links += list(pairwise(chain))
    junctions = Places(
        np.array(nodes, dtype=object),
        np.array(xy),
        np.array(land, dtype=object),
        np.array(district, dtype=object),
        np.zeros(len(nodes), bool),
    )
    return junctions, links


def _neighbouring_hubs(xy: Floats) -> Ints:
    """Relative neighbours, and Gabriel neighbours no further apart than a trunk worth its length.

    Two places are Gabriel neighbours when no third lies in the circle that has them as diameter.
    """
    pairs, length, apart = _triangulation(xy)
    squares = apart[pairs[:, 0]] ** 2 + apart[pairs[:, 1]] ** 2
    # the two ends themselves give exactly length squared
    gabriel = (squares.min(axis=1) >= length**2 - 1e-9) & (length <= LONGEST_DETOUR_TRUNK_KM)
    return np.unique(np.vstack([pairs[gabriel], _relative_neighbours(xy)]), axis=0)


def _relative_neighbours(xy: Floats) -> Ints:
    """Pairs with no third place nearer to both than they are to each other; a connected graph."""
    pairs, length, apart = _triangulation(xy)
    third = np.maximum(apart[pairs[:, 0]], apart[pairs[:, 1]]).min(axis=1)
    return np.asarray(pairs[third >= length - 1e-9], dtype=np.int64)


def _triangulation(xy: Floats) -> tuple[Ints, Floats, Floats]:
    """Delaunay pairs (lower index first), their lengths, and all distances; all pairs of up to three."""
    if len(xy) < 4:
        pairs = np.array([(i, j) for j in range(len(xy)) for i in range(j)], dtype=np.int64)
    else:
        triangles = Delaunay(xy).simplices
        sides = np.vstack([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
        pairs = np.unique(np.sort(sides, axis=1), axis=0)
    apart = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    return pairs, apart[pairs[:, 0], pairs[:, 1]], apart


def _corridors(rng: np.random.Generator, places: Places, edges: Ints) -> pd.DataFrame:
    tail, head = places.xy[edges[:, 0]], places.xy[edges[:, 1]]
    middle = (tail + head) / 2
    length_m = 1000 * np.linalg.norm(tail - head, axis=1) * rng.uniform(*DETOUR, len(edges))
    crossing = crosses_huangpu(tail, head)
    ring = np.searchsorted([outer for outer, _ in TERRAIN_RINGS], np.linalg.norm(middle, axis=1))
    terrain = np.array([factor for _, factor in TERRAIN_RINGS])[ring]
    known = places.subset(places.district != "")
    nearest = cKDTree(known.xy).query(middle)[1]
    return pd.DataFrame(
        {
            "corridor": [f"C{k + 1:04d}" for k in range(len(edges))],
            "from_node": places.node[edges[:, 0]],
            "to_node": places.node[edges[:, 1]],
            "length_m": np.maximum(np.round(length_m, -1), LEAST_LENGTH_M),
            "terrain_factor": np.where(crossing, np.maximum(terrain, CROSSING_TERRAIN), terrain),
            "fixed_capex_cny": np.where(crossing, CROSSING_CAPEX_CNY, 0.0),
            "district": known.district[nearest],
            "source": np.where(crossing, "synthetic; crosses the Huangpu", "synthetic"),
            "confidence": "D",
        }
    )

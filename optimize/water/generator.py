"""Seeded benchmark instances of the reclaimed-water programme.

Two families.  `parks`: users cluster in industrial parks, most plants lie near them, a few anchor
users are large; two thirds of the users are worth serving.  `sparse`: small users all over the
place; a quarter is worth serving and plans fall into many small systems.  Figures: calibration
trials of the programme (prices and unit costs of Chinese practice, synthetic geography).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Delaunay, cKDTree

from optimize.errors import UsageError
from optimize.schema import InstanceDraft
from optimize.water.shanghai import shanghai

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Size:
    """How large an instance is; ``side_km`` is the edge of the square it lies in."""

    num_plants: int
    num_users: int
    num_periods: int
    side_km: float
    num_districts: int


SIZES = {
    "s": Size(8, 60, 4, 18.0, 3),
    "m": Size(20, 300, 12, 40.0, 6),
    "l": Size(42, 1500, 12, 90.0, 16),
    "xl": Size(200, 10000, 12, 230.0, 60),
}
FAMILIES = ("parks", "sparse")

QUALITIES = ("A", "B", "C")
OPEX_CNY_PER_M3 = (0.30, 0.90, 2.60)  # electricity included
KWH_PER_M3 = (0.20, 0.50, 1.60)
RECOVERY = (0.97, 0.85, 0.65)
PIPE_CAPEX_FACTOR = (1.00, 1.05, 1.25)
VALUE_CNY_PER_M3 = ((2.6, 3.6), (3.4, 4.6), (7.0, 8.5))
DIAMETERS_MM = (100, 150, 200, 300, 400, 600, 800, 1000)
PIPE_CAPACITY_M3_PER_D = (800, 1900, 3600, 8600, 16000, 39000, 74000, 125000)
PIPE_CAPEX_CNY_PER_M = (500, 700, 950, 1500, 2100, 3400, 5000, 6800)
PUMPING_CNY_PER_M3_KM = 0.012
ELECTRICITY_CNY_PER_KWH = 0.70
STEP_SHARE = (0.15, 0.40, 1.00)  # capacity of a treatment step in the plant's largest free effluent
STEP_CAPEX_CNY_AT_1000_M3_PER_D = (1.1e6, 2.6e6, 6.0e6)  # filtration, membranes, reverse osmosis
STEP_CAPEX_EXPONENT = 0.85
USERS_PER_PARK = 30
PARK_SPREAD_KM = 0.8
ECOLOGICAL_SHARE = 0.3
UNCONSTRAINED_CNY_PER_M3_PER_D = {"parks": 4200.0, "sparse": 7700.0}
"""What plans without a budget spend per m3/d of demand (search on sizes s and m, three seeds each)."""
BUDGET_SHARE = 0.5


def generate(size: str, seed: int = 0, family: str = "parks") -> InstanceDraft:
    """Make one benchmark instance.

    Parameters
    ----------
    size : one of SIZES, or ``shanghai`` (one family only).
    seed : the same seed gives the same tables.
    family : one of FAMILIES.
    """
    if size == "shanghai":
        return shanghai(seed)
    if size not in SIZES:
        raise UsageError(f"size: expected one of {', '.join(SIZES)} or shanghai, found {size!r}")
    if family not in FAMILIES:
        raise UsageError(f"family: expected one of {', '.join(FAMILIES)}, found {family!r}")
    shape = SIZES[size]
    rng = np.random.default_rng([seed, FAMILIES.index(family)])
    parks, park_weight = _parks(rng, shape)
    plants = _plant_places(rng, shape, parks)
    users = _user_places(rng, shape, parks, park_weight, family)
    junctions = _junction_places(rng, shape, parks, plants)
    places = np.vstack([plants, junctions, users])
    names = np.array(
        [f"P{i + 1:03d}" for i in range(len(plants))]
        + [f"J{i + 1:05d}" for i in range(len(junctions))]
        + [f"U{i + 1:05d}" for i in range(len(users))]
    )
    centres = rng.uniform(0, shape.side_km, (shape.num_districts, 2))
    district = np.array([f"D{k + 1:02d}" for k in range(shape.num_districts)])
    nearest = cKDTree(centres)
    plant_district = district[nearest.query(plants)[1]]
    user_district = district[nearest.query(users)[1]]
    demands = _demands(rng, shape, family)
    total = float(demands["base_m3_per_d"].sum())
    plant_rows = _plant_rows(rng, names, plants, plant_district, shape, total)
    tables = {
        "districts": _district_rows(district, centres),
        "plants": plant_rows,
        "junctions": _junction_rows(names, junctions, shape),
        "users": _user_rows(rng, names, users, user_district, demands, shape),
        "user_demands": demands,
        "qualities": _quality_rows(),
        "accepts": pd.DataFrame({"need": ["A", "A", "B"], "quality": ["B", "C", "C"]}),
        "profiles": _profile_rows(rng),
        "treatment": _treatment_rows(plant_rows),
        "modules": _module_rows(plant_rows),
        "pipes": _pipe_rows(),
        "corridors": _corridor_rows(rng, names, places, shape),
        "pilots": _pilot_rows(district, user_district),
        "pilot_members": _pilot_members(names[-shape.num_users :], user_district),
        "pilot_requirements": _pilot_requirements(district, user_district),
        "budgets": _budget(demands, family),
        "funding": _funding_rows(),
    }
    return InstanceDraft(
        programme="water",
        name_zh=f"再生水基准算例 {size} {family} {seed}",
        name_en=f"Reclaimed water benchmark {size} {family}, seed {seed}",
        tables=tables,
        parameters={
            "base_year": 2022,
            "num_years": 1,
            "water.periods": shape.num_periods,
            "water.electricity_cny_per_kwh": ELECTRICITY_CNY_PER_KWH,
            "water.pumping_kwh_per_m3_per_km": PUMPING_CNY_PER_M3_KM / ELECTRICITY_CNY_PER_KWH,
            "water.network_o_and_m_share": 0.0,
        },
        targets={"W-PILOT": {"required": float(len(np.unique(user_district))), "hard": True}},
        description="Synthetic; seeded generator of the package.",
    )


def _parks(rng: np.random.Generator, shape: Size) -> tuple[Floats, Floats]:
    """Centres of the parks and how many users each draws."""
    num = max(3, shape.num_users // USERS_PER_PARK)
    weight = rng.pareto(1.5, num) + 0.5
    return rng.uniform(0.05 * shape.side_km, 0.95 * shape.side_km, (num, 2)), weight / weight.sum()


def _plant_places(rng: np.random.Generator, shape: Size, parks: Floats) -> Floats:
    """Plants well apart (best of twelve candidates), two thirds of them near parks."""
    places = np.empty((shape.num_plants, 2))
    for i in range(shape.num_plants):
        if rng.random() < 0.35:
            candidates = rng.uniform(0, shape.side_km, (12, 2))
        else:
            near = parks[rng.integers(0, len(parks), 12)] + rng.normal(0, 1.6, (12, 2))
            candidates = np.clip(near, 0, shape.side_km)
        if i == 0:
            places[i] = candidates[0]
        else:
            apart = np.linalg.norm(candidates[:, None] - places[None, :i], axis=2).min(axis=1)
            places[i] = candidates[np.argmax(apart)]
    return places


def _user_places(rng: np.random.Generator, shape: Size, parks: Floats, weight: Floats, family: str) -> Floats:
    """Users around park centres (wider around large parks), the rest anywhere."""
    scattered = rng.random(shape.num_users) < (0.06 if family == "parks" else 0.7)
    park = rng.choice(len(parks), shape.num_users, p=weight)
    spread = PARK_SPREAD_KM * (1 + 0.35 * np.sqrt(weight[park] * len(parks)))
    clustered = parks[park] + rng.normal(0, 1.0, (shape.num_users, 2)) * spread[:, None]
    anywhere = rng.uniform(0, shape.side_km, (shape.num_users, 2))
    return np.clip(np.where(scattered[:, None], anywhere, clustered), 0, shape.side_km)


def _junction_places(rng: np.random.Generator, shape: Size, parks: Floats, plants: Floats) -> Floats:
    """Junctions at the parks and along lines from parks to near parks and plants."""
    hubs = np.vstack([parks, plants])
    num = int(0.35 * shape.num_users) + 2 * shape.num_plants
    start = rng.integers(0, len(parks), num)
    near = np.asarray(cKDTree(hubs).query(parks[start], k=min(4, len(hubs)))[1], np.int64)
    end = near[np.arange(num), rng.integers(1, near.shape[1], num)]
    along = rng.random(num)[:, None]
    between = parks[start] * (1 - along) + hubs[end] * along + rng.normal(0, 0.5, (num, 2))
    return np.vstack([parks + rng.normal(0, 0.3, parks.shape), between])


def _neighbour_graph(places: Floats) -> Ints:
    """Relative-neighbourhood edges of the places plus two nearest neighbours each, connected.

    An edge of the Delaunay triangulation stays when no third place (looked for among the sixteen
    nearest of both ends) is nearer to both of its ends than they are to each other.
    """
    triangles = Delaunay(places).simplices
    pairs = np.vstack([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    all_edges = np.unique(np.sort(pairs, axis=1), axis=0).astype(np.int64)
    length = np.linalg.norm(places[all_edges[:, 0]] - places[all_edges[:, 1]], axis=1)
    near = np.asarray(cKDTree(places).query(places, k=min(17, len(places)))[1], np.int64)
    blocked = np.zeros(len(all_edges), bool)
    for side in (0, 1):
        other = near[all_edges[:, side], 1:]
        to_tail = np.linalg.norm(places[other] - places[all_edges[:, 0], None], axis=2)
        to_head = np.linalg.norm(places[other] - places[all_edges[:, 1], None], axis=2)
        ends = (other == all_edges[:, [0]]) | (other == all_edges[:, [1]])
        blocked |= (~ends & (np.maximum(to_tail, to_head) < length[:, None] - 1e-9)).any(axis=1)
    nearest = np.sort(
        np.vstack([np.column_stack([np.arange(len(places)), near[:, k]]) for k in (1, 2)]), axis=1
    )
    edges = np.unique(np.vstack([all_edges[~blocked], nearest]), axis=0)
    return _connect_components(edges, all_edges, length, len(places))


def _connect_components(edges: Ints, all_edges: Ints, length: Floats, num_places: int) -> Ints:
    """Add the shortest Delaunay edges between components until the graph is connected."""
    while True:
        graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(num_places, num_places))
        count, component = connected_components(graph, directed=False)
        if count == 1:
            return edges
        crossing = np.flatnonzero(component[all_edges[:, 0]] != component[all_edges[:, 1]])
        ordered = crossing[np.argsort(length[crossing], kind="stable")]
        _, first = np.unique(component[all_edges[ordered, 0]], return_index=True)
        edges = np.unique(np.vstack([edges, all_edges[ordered[first]]]), axis=0)


def _place_columns(places: Floats, shape: Size) -> dict[str, Floats]:
    """Longitude and latitude of places given in km, around 121.4 E, 31.2 N."""
    offset = places - shape.side_km / 2
    return {
        "lon": np.round(121.4 + offset[:, 0] / 95.2, 5),
        "lat": np.round(31.2 + offset[:, 1] / 111.2, 5),
    }


def _district_rows(district: NDArray[np.str_], centres: Floats) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "district": district,
            "name_en": [f"District {name}" for name in district],
            "name_zh": [f"第{k + 1}区" for k in range(len(district))],
            "ring": np.where(np.arange(len(district)) % 3 == 0, "central", "suburban"),
        }
    )


def _plant_rows(
    rng: np.random.Generator, names: NDArray[np.str_], places: Floats, district: NDArray[np.str_],
    shape: Size, total_m3_per_d: float,
) -> pd.DataFrame:  # fmt: skip
    share = rng.pareto(2.0, len(places)) + 0.5
    effluent = np.round(1.8 * total_m3_per_d * share / share.sum(), -2)
    return pd.DataFrame(
        {
            "plant": names[: len(places)],
            "district": district,
            **_place_columns(places, shape),
            "effluent_m3_per_d": effluent,
            "ecological_m3_per_d": np.round(ECOLOGICAL_SHARE * effluent, -1),
            "effluent_profile": "wet_summer",
            "ecological_profile": "ecological",
            "tn_mg_per_l": np.round(rng.uniform(9, 14, len(places)), 1),
            "confidence": "D",
            "source": "synthetic",
        }
    )


def _junction_rows(names: NDArray[np.str_], places: Floats, shape: Size) -> pd.DataFrame:
    first = shape.num_plants
    return pd.DataFrame(
        {
            "junction": names[first : first + len(places)],
            **_place_columns(places, shape),
            "source": "synthetic",
        }
    )


def _demands(rng: np.random.Generator, shape: Size, family: str) -> pd.DataFrame:
    """One or two requirements a user; a few anchors; one of three seasonal shapes."""
    kind = rng.choice(4, shape.num_users, p=[0.52, 0.26, 0.08, 0.14])
    first = np.array([0, 1, 2, 0])[kind]
    twice = np.flatnonzero(kind == 3)
    user = np.concatenate([np.arange(shape.num_users), twice])
    need = np.concatenate([first, np.ones(len(twice), int)])
    order = np.argsort(user, kind="stable")
    user, need = user[order], need[order]
    median, spread = (350.0, 1.0) if family == "parks" else (120.0, 0.9)
    base = np.minimum(rng.lognormal(np.log(median), spread, len(user)), 8000.0)
    base = np.where(need == 2, 0.7 * base, base)
    if family == "parks":
        anchors = rng.choice(len(user), max(2, round(0.03 * len(user))), replace=False)
        large = np.clip(rng.lognormal(np.log(14000.0), 0.6, len(anchors)), 6000.0, 45000.0)
        base[anchors] = np.where(need[anchors] == 2, 0.5, 1.0) * large
    low, high = np.array(VALUE_CNY_PER_M3)[need].T
    season = rng.choice(3, shape.num_users, p=[0.5, 0.3, 0.2])
    strength = rng.integers(0, 4, shape.num_users)
    shapes = np.array([f"{name}_{k}" for name in ("summer", "winter", "even") for k in range(4)])
    return pd.DataFrame(
        {
            "demand": [f"Q{k + 1:05d}" for k in range(len(user))],
            "user": [f"U{j + 1:05d}" for j in user],
            "need": np.array(QUALITIES)[need],
            "base_m3_per_d": np.maximum(np.round(base, 0), 20.0),
            "profile": shapes[(4 * season + strength)[user]],
            "alternative_source": np.array(["river", "tap", "tap"])[need],
            "alternative_cny_per_m3": np.round(rng.uniform(low, high), 2),
            "alternative_kwh_per_m3": 0.0,
            "confidence": "D",
            "source": "synthetic",
        }
    )


def _profile_rows(rng: np.random.Generator) -> pd.DataFrame:
    """Seasonal shapes with mean one: summer or winter peak of four strengths, noise of 4 %."""
    angle = np.arange(12) / 12 * 2 * np.pi
    shapes: dict[str, Floats] = {
        "wet_summer": 1 - 0.15 * np.cos(angle),
        "ecological": np.where(np.cos(angle) > 0.3, 1.3, 1.0),
    }
    for name, wave in (("summer", -np.cos(angle)), ("winter", np.cos(angle)), ("even", np.zeros(12))):
        for k, amplitude in enumerate((0.10, 0.20, 0.30, 0.40)):
            noise = np.clip(rng.normal(0, 0.04, 12), -0.1, 0.1)
            shapes[f"{name}_{k}"] = 1 + amplitude * wave + noise
    return pd.DataFrame(
        [
            {"profile": name, "month": month + 1, "factor": round(float(value), 3)}
            for name, factors in shapes.items()
            for month, value in enumerate(factors / (1 if name == "ecological" else factors.mean()))
        ]
    )


def _user_rows(
    rng: np.random.Generator, names: NDArray[np.str_], places: Floats, district: NDArray[np.str_],
    demands: pd.DataFrame, shape: Size,
) -> pd.DataFrame:  # fmt: skip
    volume = demands.groupby("user", sort=True)["base_m3_per_d"].sum().to_numpy()
    steady = rng.random(shape.num_users) < 0.4
    return pd.DataFrame(
        {
            "user": names[-shape.num_users :],
            "district": district,
            **_place_columns(places, shape),
            "kind": rng.choice(
                ["cooling", "process", "urban", "green"], shape.num_users, p=[0.4, 0.3, 0.2, 0.1]
            ),
            "connection_capex_cny": np.round(5e4 + 1.2e5 * (volume / 1000) ** 0.6, -3),
            "connection_life_years": 30.0,
            "min_take_share": np.where(steady, 1.0, rng.choice([0.4, 0.6], shape.num_users)),
            "confidence": "D",
            "source": "synthetic",
        }
    )


def _quality_rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "quality": QUALITIES,
            "name_zh": ["一般回用", "优质回用", "高纯回用"],
            "name_en": ["general reuse", "high-grade reuse", "ultrapure reuse"],
            "pipe_capex_factor": PIPE_CAPEX_FACTOR,
            "source": "synthetic",
        }
    )


def _treatment_rows(plants: pd.DataFrame) -> pd.DataFrame:
    running = np.array(OPEX_CNY_PER_M3) - ELECTRICITY_CNY_PER_KWH * np.array(KWH_PER_M3)
    num = len(plants)
    return pd.DataFrame(
        {
            "plant": np.repeat(plants["plant"].to_numpy(), len(QUALITIES)),
            "quality": np.tile(QUALITIES, num),
            "opex_cny_per_m3": np.tile(np.round(running, 3), num),
            "kwh_per_m3": np.tile(KWH_PER_M3, num),
            "recovery": np.tile(RECOVERY, num),
            "source": "synthetic",
        }
    )


def _module_rows(plants: pd.DataFrame) -> pd.DataFrame:
    """Three steps a plant and quality: 15, 40 and 100 % of the largest free effluent."""
    free = 1.15 * plants["effluent_m3_per_d"].to_numpy() - plants["ecological_m3_per_d"].to_numpy()
    capacity = np.round(free[:, None] * np.array(STEP_SHARE), -1)
    at_1000 = np.array(STEP_CAPEX_CNY_AT_1000_M3_PER_D)[None, :, None]
    capex = np.round(at_1000 * (capacity[:, None, :] / 1000) ** STEP_CAPEX_EXPONENT, -4)
    shape = (len(plants), len(QUALITIES), len(STEP_SHARE))
    return pd.DataFrame(
        {
            "plant": np.repeat(plants["plant"].to_numpy(), shape[1] * shape[2]),
            "quality": np.tile(np.repeat(QUALITIES, shape[2]), shape[0]),
            "step": np.tile([f"{round(100 * share)} %" for share in STEP_SHARE], shape[0] * shape[1]),
            "capacity_m3_per_d": np.broadcast_to(capacity[:, None, :], shape).ravel(),
            "capex_cny": capex.ravel(),
            "life_years": 20.0,
            "source": "synthetic",
        }
    )


def _pipe_rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "diameter": [f"DN{mm}" for mm in DIAMETERS_MM],
            "capacity_m3_per_d": np.array(PIPE_CAPACITY_M3_PER_D, float),
            "capex_cny_per_m": np.array(PIPE_CAPEX_CNY_PER_M, float),
            "life_years": 30.0,
            "source": "synthetic",
        }
    )


def _corridor_rows(
    rng: np.random.Generator, names: NDArray[np.str_], places: Floats, shape: Size
) -> pd.DataFrame:
    edges = _neighbour_graph(places)
    straight = np.linalg.norm(places[edges[:, 0]] - places[edges[:, 1]], axis=1)
    length = straight * rng.uniform(1.15, 1.45, len(edges)) + 0.02
    return pd.DataFrame(
        {
            "corridor": [f"C{k + 1:05d}" for k in range(len(edges))],
            "from_node": names[edges[:, 0]],
            "to_node": names[edges[:, 1]],
            "length_m": np.round(1000 * length, 0),
            "source": "synthetic",
        }
    )


def _pilot_rows(district: NDArray[np.str_], user_district: NDArray[np.str_]) -> pd.DataFrame:
    used = [name for name in district if name in set(user_district)]
    return pd.DataFrame(
        {
            "pilot": [f"pilot-{name}" for name in used],
            "kind": "suburban_district",
            "district": used,
            "min_users": 1,
        }
    )


def _pilot_members(users: NDArray[np.str_], user_district: NDArray[np.str_]) -> pd.DataFrame:
    return pd.DataFrame({"pilot": [f"pilot-{name}" for name in user_district], "user": users})


def _pilot_requirements(district: NDArray[np.str_], user_district: NDArray[np.str_]) -> pd.DataFrame:
    used = [name for name in district if name in set(user_district)]
    return pd.DataFrame({"kind": "suburban_district", "district": used, "minimum": 1})


def _funding_rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "project_kind": ["*"],
            "mix": ["municipal"],
            "source": ["municipal"],
            "share": [1.0],
            "takes_rest": [True],
        }
    )


def _budget(demands: pd.DataFrame, family: str) -> pd.DataFrame:
    """A municipal budget of half of what a plan without a budget would spend."""
    total = float(demands["base_m3_per_d"].sum())
    amount = BUDGET_SHARE * UNCONSTRAINED_CNY_PER_M3_PER_D[family] * total
    return pd.DataFrame({"source": ["municipal"], "year": [2022], "amount_cny": [round(amount, -5)]})

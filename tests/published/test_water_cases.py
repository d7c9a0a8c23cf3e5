"""Cases of others with published optima, written as water instances through the public format.

Facility location: plants with a fixed cost, free pipes with a unit cost, every user served in full.
Capacitated p-median: exactly p plants, every user on one feed.  Fixed-charge networks: directed
corridors with a fixed and a unit cost and one pipe size that is large enough.
One year, one period, no discounting: the goal `cost` is the published objective.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optimize.io.instance_folder import read_instance
from optimize.io.write import write_instance
from optimize.programme import SolveOptions
from optimize.schema import InstanceDraft
from optimize.solve import solve
from optimize.water.programme import PROGRAMME

CASES = Path(__file__).resolve().parents[2] / ".." / "shared" / "benchmarks"
DAYS = 365.0
YEAR = 2022

pytestmark = pytest.mark.skipif(
    not (CASES / "published.csv").exists(), reason="../shared/benchmarks is not there"
)


def published(kind: str, name: str) -> tuple[float, float]:
    """Lower and upper bound of the published optimum."""
    table = pd.read_csv(CASES / "published.csv")
    row = table[(table["kind"] == kind) & (table["name"] == name)].iloc[0]
    return float(row["lower"]), float(row["upper"])


def case(kind: str, name: str) -> dict:
    return json.loads((CASES / kind / f"{name}.json").read_text(encoding="utf-8"))


def draft(name: str, tables: dict[str, pd.DataFrame], **parameters: int) -> InstanceDraft:
    """One undiscounted year whose cost counts each m3/d as DAYS m3."""
    users = tables["users"]["user"]
    everyone_served = pd.DataFrame({"kind": "force_in", "id": users})
    common = {
        "districts": pd.DataFrame({"district": ["all"]}),
        "qualities": pd.DataFrame({"quality": ["water"]}),
        "budgets": pd.DataFrame({"source": ["municipal"], "year": [YEAR], "amount_cny": [1e12]}),
        "locks": everyone_served,
    }
    return InstanceDraft(
        programme="water",
        name_zh=name,
        name_en=name,
        tables={**common, **tables},
        parameters={
            "base_year": YEAR,
            "num_years": 1,
            "economics.horizon_years": 1,
            "economics.discount_rate": 0.0,
            "water.periods": 1,
            "water.electricity_cny_per_kwh": 0.0,
            "water.network_o_and_m_share": 0.0,
            **{f"water.{key}": value for key, value in parameters.items()},
        },
    )


def demands(users: list[str], amount_m3_per_d: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "demand": [f"d-{user}" for user in users],
            "user": users,
            "need": "water",
            "base_m3_per_d": amount_m3_per_d,
        }
    )


def stations(plants: list[str], capacity: list[float], fixed_cost: list[float]) -> dict[str, pd.DataFrame]:
    """Plants whose module is the facility."""
    return {
        "plants": pd.DataFrame({"plant": plants, "effluent_m3_per_d": capacity}),
        "treatment": pd.DataFrame({"plant": plants, "quality": "water", "opex_cny_per_m3": 0.0}),
        "modules": pd.DataFrame(
            {
                "plant": plants,
                "quality": "water",
                "step": "open",
                "capacity_m3_per_d": capacity,
                "capex_cny": fixed_cost,
                "life_years": 1.0,
            }
        ),
    }


def star(plants: list[str], users: list[str], unit_cost: np.ndarray, capacity: float) -> pd.DataFrame:
    """An existing pipe from every plant to every user; ``unit_cost`` is (users, plants) per m3/d and year."""
    pairs = [(p, u) for u in range(len(users)) for p in range(len(plants))]
    return pd.DataFrame(
        {
            "corridor": [f"{plants[p]}>{users[u]}" for p, u in pairs],
            "from_node": [plants[p] for p, _ in pairs],
            "to_node": [users[u] for _, u in pairs],
            "length_m": 0.0,
            "unit_cost_cny_per_m3": [unit_cost[u, p] / DAYS for p, u in pairs],
            "directed": True,
            "existing_quality": "water",
            "existing_m3_per_d": capacity,
        }
    )


def facility_location(name: str) -> InstanceDraft:
    data = case("cfl", name)
    need = np.array(data["demand"], dtype=float)
    plants = [f"P{i}" for i in range(len(data["capacity"]))]
    users = [f"U{j}" for j in range(len(need))]
    unit = np.array(data["serve_all_cost"], dtype=float) / np.where(need > 0, need, 1.0)[:, None]
    return draft(
        name,
        {
            **stations(plants, data["capacity"], data["fixed_cost"]),
            "users": pd.DataFrame({"user": users, "min_take_share": 1.0}),
            "user_demands": demands(users, data["demand"]),
            "corridors": star(plants, users, unit, float(need.sum())),
        },
    )


def p_median(name: str) -> InstanceDraft:
    data = case("capacitated_p_median", name)
    points = data["points_id_x_y_demand"]
    plants, users = [f"P{i}" for i, *_ in points], [f"U{i}" for i, *_ in points]
    place = np.array([(x, y) for _, x, y, _ in points], dtype=float)
    need = np.array([d for *_, d in points], dtype=float)
    distance = np.floor(np.linalg.norm(place[:, None] - place[None], axis=2))
    size = float(data["capacity"])
    return draft(
        name,
        {
            **stations(plants, [size] * len(plants), [0.0] * len(plants)),
            "users": pd.DataFrame({"user": users, "min_take_share": 1.0, "single_feed": True}),
            "user_demands": demands(users, need.tolist()),
            "corridors": star(plants, users, distance / need[:, None], float(need.max())),
        },
        num_plants_exact=int(data["p"]),
    )


def fixed_charge_network(name: str) -> InstanceDraft:
    data = case("fixed_charge_network", name)
    arcs = data["arcs_from_to_fixed_unit"]
    need = {node: float(amount) for node, amount in data["demand"].items()}
    total = sum(amount for amount in need.values() if amount > 0)
    sources = [node for node, amount in need.items() if amount < 0]
    sinks = [node for node, amount in need.items() if amount > 0]
    others = sorted({node for arc in arcs for node in arc[:2]} - set(sources) - set(sinks))
    supply = [-need[node] for node in sources]
    tables = {
        "plants": pd.DataFrame({"plant": sources, "effluent_m3_per_d": supply}),
        "treatment": pd.DataFrame(
            {"plant": sources, "quality": "water", "opex_cny_per_m3": 0.0, "existing_m3_per_d": supply}
        ),
        "junctions": pd.DataFrame({"junction": others}),
        "users": pd.DataFrame({"user": sinks, "min_take_share": 1.0}),
        "user_demands": demands(sinks, [need[node] for node in sinks]),
        "pipes": pd.DataFrame(
            {"diameter": ["any"], "capacity_m3_per_d": [total], "capex_cny_per_m": [0.0], "life_years": [1.0]}
        ),
        "corridors": pd.DataFrame(
            {
                "corridor": [f"{start}>{end}#{k}" for k, (start, end, _, _) in enumerate(arcs)],
                "from_node": [arc[0] for arc in arcs],
                "to_node": [arc[1] for arc in arcs],
                "length_m": 0.0,
                "fixed_capex_cny": [float(arc[2]) for arc in arcs],
                "unit_cost_cny_per_m3": [arc[3] / DAYS for arc in arcs],
                "directed": True,
            }
        ),
    }
    return draft(name, tables)


CONVERTERS = {
    "cfl": facility_location,
    "capacitated_p_median": p_median,
    "fixed_charge_network": fixed_charge_network,
}

CLOSED = [
    *(("cfl", f"cap{number}") for number in (41, 42, 43, 44, 51, 61, 62, 63, 64, 71, 72, 73, 74)),
    ("capacitated_p_median", "pmedcap01"),
    ("capacitated_p_median", "pmedcap02"),
    ("capacitated_p_median", "pmedcap03"),
    ("capacitated_p_median", "pmedcap04"),
    ("capacitated_p_median", "pmedcap05"),
    ("fixed_charge_network", "r20x100"),
    ("fixed_charge_network", "g40x132"),
    ("fixed_charge_network", "k14x182"),
    ("fixed_charge_network", "p50x288"),
    ("fixed_charge_network", "k16x240"),
]
# capa_8000 and capa_10000 take 25 to 40 s: tests/benchmarks/one_commodity.py


def solved(kind: str, name: str, folder: Path, seconds: float, gap: float):
    """Write the case as an instance folder, read it back, solve it."""
    write_instance(folder / name, [(PROGRAMME.schema, CONVERTERS[kind](name))])
    data = read_instance(folder / name, [PROGRAMME]).programmes[0].data
    options = SolveOptions(goal=("cost",), gap=gap, time_limit_s=seconds)
    return solve(PROGRAMME, data, options)


@pytest.mark.parametrize(("kind", "name"), CLOSED)
def test_published_optimum_is_reproduced(kind: str, name: str, tmp_path: Path) -> None:
    outcome = solved(kind, name, tmp_path, seconds=60.0, gap=1e-7)
    lower, upper = published(kind, name)
    assert outcome.check is not None
    assert outcome.check.passed, outcome.check.violations[:3]
    assert outcome.check.figures["cost"] <= upper * (1 + 1e-6)
    assert outcome.check.figures["cost"] >= lower * (1 - 1e-6)
    assert outcome.result.bound == pytest.approx(lower, rel=1e-6)

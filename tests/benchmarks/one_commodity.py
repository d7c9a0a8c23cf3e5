"""Location and network design through the public water format: published cases, and larger ones that are drawn.

    python tests/benchmarks/one_commodity.py capa_8000 capa_10000
    python tests/benchmarks/one_commodity.py location:100x1000:1 network:200x740:1 two_stage:12x30x150:1 --seconds 120

Drawn cases are ``kind:size:seed``.  Prints one line for each: plan, proven bound, gap, processor seconds, and when
the bound and the plan came.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
from scipy.spatial import Delaunay

from optimize.io.validation import data_from_draft
from optimize.programme import SolveOptions
from optimize.schema import InstanceDraft
from optimize.solve import solve
from optimize.water.programme import PROGRAMME

ROOT = Path(__file__).resolve().parents[2]


def published_cases() -> ModuleType:
    """The converters of the tests."""
    path = ROOT / "tests" / "published" / "test_water_cases.py"
    spec = importlib.util.spec_from_file_location("published_cases", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CASES = published_cases()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="+")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--engine", default="auto")
    call = parser.parse_args()
    for name in call.cases:
        data = data_from_draft(PROGRAMME.schema, draft_of(name))
        started = time.process_time()
        options = SolveOptions(
            goal=("cost",), gap=1e-7, time_limit_s=call.seconds, threads=call.threads, engine=call.engine
        )
        solved = solve(PROGRAMME, data, options)
        result = solved.result
        used = time.process_time() - started
        checked = solved.check is not None and solved.check.passed
        print(f"{name}: plan {result.objective}, bound {result.bound}, gap {result.gap}, {result.stop.value}, "
              f"checked {checked}, {used:.1f} s of processor, {time.process_time():.1f} s with reading")  # fmt: skip
        for point in result.trace[:: max(len(result.trace) // 8, 1)]:
            print(f"    {point.seconds:7.1f} s  plan {point.plan}  bound {point.bound}")


def draft_of(name: str) -> InstanceDraft:
    kind, _, rest = name.partition(":")
    if not rest:
        known = {"cap": "cfl", "pme": "capacitated_p_median"}
        return CASES.CONVERTERS[known.get(name[:3], "fixed_charge_network")](name)
    size, _, seed = rest.partition(":")
    numbers = [int(part) for part in size.split("x")]
    draw = {"location": location, "network": network, "two_stage": two_stage}[kind]
    return draw(*numbers, np.random.default_rng(int(seed)))


def location(num_sites: int, num_customers: int, rng: np.random.Generator) -> InstanceDraft:
    """Sites and customers in a square, costs by distance, sizes that differ, a sixth of them needed."""
    need = rng.integers(10, 100, num_customers).astype(float)
    capacity = np.round(need.sum() / (num_sites / 6.0) * rng.uniform(0.6, 1.4, num_sites))
    sites, places = rng.random((num_sites, 2)), rng.random((num_customers, 2))
    distance = np.linalg.norm(places[:, None] - sites[None], axis=2)
    price = np.round(rng.uniform(0.5, 1.0, num_sites) * capacity * 120.0)
    plants, users = [f"P{i}" for i in range(num_sites)], [f"U{j}" for j in range(num_customers)]
    tables = {
        **CASES.stations(plants, capacity.tolist(), price.tolist()),
        "users": pd.DataFrame({"user": users, "min_take_share": 1.0}),
        "user_demands": CASES.demands(users, need.tolist()),
        "corridors": CASES.star(plants, users, 1_000.0 * distance, float(need.sum())),
    }
    return CASES.draft("location", tables)


def network(num_nodes: int, num_arcs: int, rng: np.random.Generator) -> InstanceDraft:
    """Short edges between places in a square, both ways, a tenth of the nodes sources and a fifth sinks."""
    edges = _edges(rng.random((num_nodes, 2)), num_arcs // 2)
    ends = np.concatenate([edges, edges[:, ::-1]])
    fixed, unit = rng.integers(100, 1_000, len(ends)), rng.integers(1, 10, len(ends))
    order = rng.permutation(num_nodes)
    amounts = {
        **dict(
            zip(
                order[: num_nodes // 10].tolist(),
                (-_parts(rng, num_nodes // 10, 2_000)).tolist(),
                strict=True,
            )
        ),
        **dict(
            zip(order[-(num_nodes // 5) :].tolist(), _parts(rng, num_nodes // 5, 2_000).tolist(), strict=True)
        ),
    }
    sources, sinks = ([n for n, amount in amounts.items() if sign * amount > 0] for sign in (-1, 1))
    name = [f"n{k}" for k in range(num_nodes)]
    supply = [-amounts[n] for n in sources]
    plants, users = [name[n] for n in sources], [name[n] for n in sinks]
    tables = {
        "plants": pd.DataFrame({"plant": plants, "effluent_m3_per_d": supply}),
        "treatment": pd.DataFrame(
            {"plant": plants, "quality": "water", "opex_cny_per_m3": 0.0, "existing_m3_per_d": supply}
        ),
        "junctions": pd.DataFrame({"junction": [name[n] for n in range(num_nodes) if n not in amounts]}),
        "users": pd.DataFrame({"user": users, "min_take_share": 1.0}),
        "user_demands": CASES.demands(users, [amounts[n] for n in sinks]),
        "pipes": _one_pipe(2_000.0),
        "corridors": _corridors([name[a] for a, _ in ends], [name[b] for _, b in ends], fixed, unit),
    }
    return CASES.draft("network", tables)


def two_stage(
    num_plants: int, num_reservoirs: int, num_users: int, rng: np.random.Generator
) -> InstanceDraft:
    """Plants feed reservoirs, reservoirs users; both have a price and a capacity (a corridor through each reservoir)."""
    need = rng.integers(10, 100, num_users).astype(float)
    total = float(need.sum())
    places = [rng.random((num, 2)) for num in (num_plants, num_reservoirs, num_users)]
    plants, users = [f"P{i}" for i in range(num_plants)], [f"U{j}" for j in range(num_users)]
    inlets, outlets = ([f"{end}{k}" for k in range(num_reservoirs)] for end in ("in", "out"))
    capacity = np.round(total / (num_plants / 3.0) * rng.uniform(0.7, 1.3, num_plants))
    size = float(np.round(total / (num_reservoirs / 4.0)))
    links = []
    for starts, ends, a, b in ((plants, inlets, 0, 1), (outlets, users, 1, 2)):
        distance = np.linalg.norm(places[a][:, None] - places[b][None], axis=2)
        near = distance <= np.quantile(distance, 0.5, axis=0)
        links += [(starts[i], ends[j], distance[i, j]) for i, j in np.argwhere(near)]
    free = pd.DataFrame(
        {
            "corridor": [f"{a}>{b}" for a, b, _ in links],
            "from_node": [a for a, _, _ in links],
            "to_node": [b for _, b, _ in links],
            "length_m": 0.0,
            "unit_cost_cny_per_m3": [1_000.0 * d / CASES.DAYS for _, _, d in links],
            "directed": True,
            "existing_quality": "water",
            "existing_m3_per_d": total,
        }
    )
    price = np.round(rng.uniform(0.5, 1.0, num_reservoirs) * size * 60.0)
    through = _corridors(inlets, outlets, price, np.zeros(num_reservoirs))
    tables = {
        **CASES.stations(
            plants, capacity.tolist(), np.round(rng.uniform(0.5, 1.0, num_plants) * capacity * 90.0).tolist()
        ),
        "junctions": pd.DataFrame({"junction": [*inlets, *outlets]}),
        "users": pd.DataFrame({"user": users, "min_take_share": 1.0}),
        "user_demands": CASES.demands(users, need.tolist()),
        "pipes": _one_pipe(size),
        "corridors": pd.concat([free, through], ignore_index=True),
    }
    return CASES.draft("two_stage", tables)


def _one_pipe(capacity: float) -> pd.DataFrame:
    return pd.DataFrame(
        {"diameter": ["any"], "capacity_m3_per_d": [capacity], "capex_cny_per_m": [0.0], "life_years": [1.0]}
    )


def _corridors(starts: list[str], ends: list[str], fixed: np.ndarray, unit: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "corridor": [f"{a}>{b}#{k}" for k, (a, b) in enumerate(zip(starts, ends, strict=True))],
            "from_node": starts,
            "to_node": ends,
            "length_m": 0.0,
            "fixed_capex_cny": fixed.astype(float),
            "unit_cost_cny_per_m3": unit / CASES.DAYS,
            "directed": True,
        }
    )


def _edges(places: np.ndarray, num: int) -> np.ndarray:
    """The shortest edges of a triangulation that join all places, and the next shortest, (num, 2)."""
    corners = Delaunay(places).simplices
    pairs = np.unique(
        np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]]), axis=1), axis=0
    )
    pairs = pairs[np.argsort(np.linalg.norm(places[pairs[:, 0]] - places[pairs[:, 1]], axis=1))]
    part, joins = np.arange(len(places)), []
    for a, b in pairs:
        joins.append(part[a] != part[b])
        part[part == part[b]] = part[a]
    first = np.argsort(~np.array(joins), kind="stable")
    return pairs[first[:num]]


def _parts(rng: np.random.Generator, num: int, total: int) -> np.ndarray:
    """Whole amounts that add up to the total."""
    cuts = np.sort(rng.choice(np.arange(1, total), num - 1, replace=False))
    return np.diff(np.concatenate([[0], cuts, [total]])).astype(float)


if __name__ == "__main__":
    main()

"""Tiny random towns: enumeration of every design = formulation = checker's figure (= fast path)."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from optimize.programme import SolveOptions
from optimize.water.checker import check
from optimize.water.fast import solve_fast, unsupported_by_fast
from optimize.water.formulation import solve_formulation

CORRIDORS = ("PJ", "JA", "JB", "AB")
ENDS = {"PJ": ("P", "J"), "JA": ("J", "A"), "JB": ("J", "B"), "AB": ("A", "B")}


def random_town(town: Any, seed: int) -> None:
    """One quality, one period, everything random enough that half of it is worth building."""
    rng = np.random.default_rng(seed)
    for name in ("P-hi-m",):
        del town.rows["modules"][name]
    del town.rows["treatment"]["P-hi"]
    for row in town.rows["corridors"].values():
        row["length_m"] = float(rng.integers(100, 4000))
    for row in town.rows["user_demands"].values():
        row["base_m3_per_d"] = float(rng.integers(50, 500))
        row["alternative_cny_per_m3"] = float(rng.uniform(1.0, 4.0))
    for row in town.rows["users"].values():
        row["min_take_share"] = float(rng.choice([0.0, 0.5, 1.0]))
        row["connection_capex_cny"] = float(rng.integers(0, 100_000))
    town.rows["plants"]["P"]["effluent_m3_per_d"] = float(rng.integers(100, 900))
    budget = float(rng.integers(500_000, 3_000_000))
    town.rows["budgets"]["m22"]["amount_cny"] = budget
    del town.rows["budgets"]["m23"]


def crf(life: float, rate: float = 0.06) -> float:
    return rate / (1 - (1 + rate) ** -life)


def best_by_enumeration(town: Any, goal: str = "npv", least_m3_per_a: float = 0.0) -> float:
    """Best value of a goal over every choice of module, pipe diameters and connections.

    At least ``least_m3_per_a`` has to be delivered.
    """
    rows = town.rows
    annuity = 1 / crf(20)
    budget = rows["budgets"]["m22"]["amount_cny"]
    sizes = [None, *rows["modules"].values()]
    diameters = [None, *rows["pipes"].values()]
    best = 0.0 if least_m3_per_a == 0.0 else -np.inf
    for module in sizes:
        for pipes in itertools.product(diameters, repeat=len(CORRIDORS)):
            pipe_capex = sum(
                rows["corridors"][name]["length_m"] * pipe["capex_cny_per_m"]
                for name, pipe in zip(CORRIDORS, pipes, strict=True)
                if pipe
            )
            capex = pipe_capex + (module["capex_cny"] if module else 0.0)
            if capex > budget:
                continue
            fixed = pipe_capex * (crf(40) + 0.01) * annuity
            fixed += module["capex_cny"] * crf(20) * annuity if module else 0.0
            for users in itertools.product((False, True), repeat=2):
                on_site = sum(
                    rows["users"][name]["connection_capex_cny"]
                    for name, joined in zip("AB", users, strict=True)
                    if joined
                )
                value = running_value(rows, module, pipes, users, goal, least_m3_per_a)
                if value is None:
                    continue
                if goal == "volume":
                    best = max(best, value)
                else:
                    best = max(best, value * annuity - fixed - on_site * (crf(20) + 0.01) * annuity)
    return -best if goal == "cost" else best


def running_value(
    rows: Any, module: Any, pipes: Any, users: Any, goal: str = "npv", least_m3_per_a: float = 0.0
) -> float | None:
    """Best yearly value of a design; None if it cannot give its users their least take.

    For ``cost`` the value is the running cost with its sign turned, for ``volume`` m3/a.

    Columns: product, flow along and against each corridor, delivery to A and B.
    """
    demands = [rows["user_demands"]["a"], rows["user_demands"]["b"]]
    capacity = min(module["capacity_m3_per_d"] if module else 0.0, rows["plants"]["P"]["effluent_m3_per_d"])
    tn_per_m3 = 10 / 1000 * 0.9
    cost = [{"npv": 0.5 - 20.0 * tn_per_m3, "cost": 0.5, "volume": 0.0}[goal]]
    bounds = [(0.0, capacity)]
    nodes = ("P", "J", "A", "B")
    balance = {node: np.zeros(1 + 2 * len(CORRIDORS) + 2) for node in nodes}
    balance["P"][0] = 1.0
    pairs, limits = [], []
    for k, (name, pipe) in enumerate(zip(CORRIDORS, pipes, strict=True)):
        start, end = ENDS[name]
        size = pipe["capacity_m3_per_d"] if pipe else 0.0
        kwh = 0.010 * rows["corridors"][name]["length_m"] / 1000
        carriage = {"npv": 0.70 * kwh + 0.055 * 0.42 * kwh, "cost": 0.70 * kwh, "volume": 0.0}[goal]
        for way, sign in ((1 + 2 * k, 1.0), (2 + 2 * k, -1.0)):
            cost.append(carriage)
            bounds.append((0.0, size))
            balance[start][way] -= sign
            balance[end][way] += sign
        row = np.zeros(1 + 2 * len(CORRIDORS) + 2)
        row[[1 + 2 * k, 2 + 2 * k]] = 1.0
        pairs.append(row)
        limits.append(size)
    for k, (name, demand, joined) in enumerate(zip("AB", demands, users, strict=True)):
        column = 1 + 2 * len(CORRIDORS) + k
        avoided = demand["alternative_cny_per_m3"] + 0.055 * 0.42 * 0.5
        cost.append({"npv": -avoided, "cost": 0.0, "volume": -1.0}[goal])
        most = demand["base_m3_per_d"] if joined else 0.0
        bounds.append((rows["users"][name]["min_take_share"] * most, most))
        balance[name][column] = -1.0
    delivered = np.zeros(1 + 2 * len(CORRIDORS) + 2)
    delivered[-2:] = -365.0
    pairs.append(delivered)
    limits.append(-least_m3_per_a)
    answer = linprog(
        np.array(cost) * 365, A_ub=np.array(pairs), b_ub=limits,
        A_eq=np.array(list(balance.values())), b_eq=np.zeros(4), bounds=bounds,
    )  # fmt: skip
    return -float(answer.fun) if answer.status == 0 else None


@pytest.mark.parametrize("seed", range(5))
def test_enumeration_formulation_fast_and_checker_agree(seed: int, town: Any) -> None:
    random_town(town, seed)
    instance = town.instance()
    options = SolveOptions(gap=0.0, time_limit_s=20.0)
    result = solve_formulation(instance, options)
    best = best_by_enumeration(town)
    assert result.objective == pytest.approx(best, rel=1e-6, abs=1.0)
    assert result.bound == pytest.approx(best, rel=1e-6, abs=1.0)
    report = check(instance, result.solution)
    assert report.passed, report.violations
    assert report.figures["npv"] == pytest.approx(best, rel=1e-6, abs=1.0)
    assert unsupported_by_fast(instance, options) is None
    fast = solve_fast(instance, options)
    assert fast.objective == pytest.approx(best, rel=1e-6, abs=1.0)
    assert fast.bound is not None
    assert fast.bound >= best - 1e-6 * max(1.0, best)
    assert check(instance, fast.solution).passed

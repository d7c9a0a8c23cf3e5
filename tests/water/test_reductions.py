"""Reductions: each leaves something out, and the optimum stays what it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from optimize.engine.highs import solve_milp
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions
from optimize.water.checker import check
from optimize.water.coefficients import Coefficients, derive_coefficients
from optimize.water.fast import solve_fast
from optimize.water.fast_layout import FlowModel, Part
from optimize.water.fast_locks import locked_decisions
from optimize.water.fast_model import build_flow_model
from optimize.water.flow_bounds import find_bridges, most_useful_m3_per_d
from optimize.water.formulation import solve_formulation
from optimize.water.instance import Instance
from optimize.water.reductions import Reduced, ReductionSettings, reduce_network
from tests.water.conftest import Town

OPTIONS = SolveOptions(gap=0.0, time_limit_s=20.0)


def reduced(instance: Instance, goal: str = "npv", **only: bool) -> Reduced:
    c = derive_coefficients(instance)
    settings = (
        ReductionSettings(**{**vars(ReductionSettings.none()), **only}) if only else ReductionSettings()
    )
    return reduce_network(instance, c, locked_decisions(instance, c), (goal,), settings)


def solved(instance: Instance, c: Coefficients, goal: str = "npv") -> tuple[FlowModel, Any]:
    model = build_flow_model(instance, c, Part.whole(c)).aimed_at(goal)
    return model, solve_milp(model.milp, Watch(OPTIONS, maximise=True))


def far_user(town: Town) -> None:
    """A hamlet at the end of a long pipe: its water is worth less than the way there."""
    town.add("junctions", "K", junction="K")
    town.add("corridors", "BK", corridor="BK", from_node="B", to_node="K", length_m=30_000.0)
    for name in ("C", "D"):
        town.add("users", name, user=name, district="d", connection_capex_cny=1000.0)
        town.add(
            "user_demands", name, demand=name, user=name, need="lo", base_m3_per_d=100.0, alternative_cny_per_m3=5.0
        )  # fmt: skip
        town.add("corridors", f"K{name}", corridor=f"K{name}", from_node="K", to_node=name, length_m=100.0)


def dear_connection(town: Town) -> None:
    town.rows["users"]["B"]["connection_capex_cny"] = 1e7


def cheap_water(town: Town) -> None:
    """Less than making it costs, and a tanker besides."""
    town.rows["user_demands"]["b"]["alternative_cny_per_m3"] = 0.01
    town.rows["users"]["B"].update(tanker_plant="P", tanker_cny_per_m3=1.0, tanker_capex_cny=10.0)


def dead_end(town: Town) -> None:
    town.add("junctions", "K", junction="K")
    town.add("corridors", "JK", corridor="JK", from_node="J", to_node="K", length_m=100.0)


def one_way_out(town: Town) -> None:
    """A user that water may leave only."""
    town.rows["corridors"].pop("AB")
    town.rows["corridors"]["JB"].update(from_node="B", to_node="J", directed=True)


def wide_pipes(town: Town) -> None:
    town.add("pipes", "XL", diameter="XL", capacity_m3_per_d=9000.0, capex_cny_per_m=900.0)


def large_module(town: Town) -> None:
    town.add(
        "modules", "P-lo-x", plant="P", quality="lo", step="x", capacity_m3_per_d=9000.0, capex_cny=200_000.0
    )


def even_year(town: Town) -> None:
    town.parameters["water.periods"] = 12


def two_seasons(town: Town) -> None:
    town.parameters["water.periods"] = 12
    for month in range(1, 13):
        town.add("profiles", f"s{month}", profile="s", month=month, factor=1.5 if 4 < month < 11 else 0.5)
    town.rows["user_demands"]["a"]["profile"] = "s"


CASES: list[tuple[Callable[[Town], None], str, dict[str, int]]] = [
    (far_user, "users", {"users": 2}),
    (dear_connection, "users", {"users": 1}),
    (cheap_water, "users", {"users": 1, "tankers": 1}),
    (one_way_out, "users", {"users": 1}),
    (dead_end, "pipes", {"lanes": 2}),
    (wide_pipes, "pipes", {"lanes": 0}),
    (large_module, "modules", {"modules": 1}),
    (even_year, "periods", {"periods": 11}),
    (two_seasons, "periods", {"periods": 10}),
]


@pytest.mark.parametrize(("change", "rule", "removed"), CASES)
def test_each_rule_leaves_out_what_no_best_plan_needs(
    change: Callable[[Town], None], rule: str, removed: dict[str, int], town: Town
) -> None:
    change(town)
    instance = town.instance()
    small = reduced(instance, **{rule: True})
    assert {name: getattr(small.removed, name) for name in removed} == removed
    assert sum(vars(small.removed).values()) > 0
    whole, outcome = solved(instance, derive_coefficients(instance))
    model, found = solved(instance, small.c)
    assert found.objective == pytest.approx(outcome.objective, rel=1e-9)
    assert model.milp.num_columns < whole.milp.num_columns
    report = check(instance, model.solution(instance, found.x))
    assert report.passed, report.violations
    assert report.figures["npv"] == pytest.approx(outcome.objective, rel=1e-9)


def test_widest_pipes_go_where_a_narrower_one_carries_all(town: Town) -> None:
    """A takes 300 and B 200 m3/d: 250 are enough for B's own corridor, 1000 for the others."""
    wide_pipes(town)
    town.rows["corridors"].pop("AB")
    c = reduced(town.instance(), pipes=True).c
    assert c.reduction is not None
    kept = {
        name: [c.diameter_ids[d] for d in np.flatnonzero(c.reduction.offered.pipe[e, 0])]
        for e, name in enumerate(c.corridor_ids)
    }
    assert kept == {"PJ": ["S", "L"], "JA": ["S", "L"], "JB": ["S"]}


def test_a_network_of_pipes_that_are_there_has_none_to_leave_out(town: Town) -> None:
    town.rows["pipes"] = {}
    for row in town.rows["corridors"].values():
        row.update(existing_quality="lo", existing_m3_per_d=400.0)
    instance = town.instance()
    _, outcome = solved(instance, derive_coefficients(instance))
    _, found = solved(instance, reduced(instance).c)
    assert found.objective == pytest.approx(outcome.objective, rel=1e-9)
    assert outcome.objective > 0


def by_quota(town: Town) -> None:
    town.rows["users"]["B"]["quota_listed"] = True
    town.aim("W-QUOTA", 1)


def by_pilot(town: Town) -> None:
    town.add("pilots", "p", pilot="p", kind="park", district="d", min_users=1)
    town.add("pilot_members", "pB", pilot="p", user="B")
    town.aim("W-PILOT", 1)


def by_volume(town: Town) -> None:
    town.aim("W-VOLUME", 170_000)


def by_cap(town: Town) -> None:
    town.aim("W-CAP", 20_000)


def by_nitrogen(town: Town) -> None:
    town.aim("W-TN", 1400)


def by_mean_distance(town: Town) -> None:
    """B lies beside the plant: its connection lets A be served."""
    town.rows["corridors"]["JB"]["length_m"] = 1.0
    town.aim("W-NEAR", 0.62)


def by_lock(town: Town) -> None:
    town.lock("force_in", "B")


def by_pair(town: Town) -> None:
    town.lock("together", "A", other="B")


def by_plan_in_force(town: Town) -> None:
    town.rows["plan_in_force"] = {
        "B": {"table": "users", "project": "B", "choice": "pipe", "year": 2022, "state": "proposed"}
    }
    town.aim("CITY-REVISE", 0.0)


@pytest.mark.parametrize(
    "reason",
    [
        by_quota,
        by_pilot,
        by_volume,
        by_cap,
        by_nitrogen,
        by_mean_distance,
        by_lock,
        by_pair,
        by_plan_in_force,
    ],
)
def test_a_user_that_some_row_wants_is_not_left_out(reason: Callable[[Town], None], town: Town) -> None:
    """It brings less than it costs, and is served all the same where a row asks for it."""
    town.rows["users"]["B"]["connection_capex_cny"] = 5e6
    assert reduced(town.instance()).removed.users == 1
    reason(town)
    instance = town.instance()
    small = reduced(instance)
    assert small.removed.users == 0
    _, outcome = solved(instance, derive_coefficients(instance))
    _, found = solved(instance, small.c)
    assert found.objective == pytest.approx(outcome.objective, rel=1e-9)


@pytest.mark.parametrize("goal", ["volume", "cost"])
def test_profit_decides_only_where_it_is_the_goal(goal: str, town: Town) -> None:
    dear_connection(town)
    assert reduced(town.instance(), goal).removed.users == 0


def test_plans_of_merged_periods_tell_every_period(town: Town) -> None:
    two_seasons(town)
    instance = town.instance()
    fast, plain = solve_fast(instance, OPTIONS), solve_formulation(instance, OPTIONS)
    assert fast.objective == pytest.approx(plain.objective, rel=1e-9)
    for result in (fast, plain):
        assert set(result.solution.deliveries["period"]) == set(range(12))
        assert check(instance, result.solution).passed


def test_periods_are_told_apart_where_water_is_stored(town: Town) -> None:
    even_year(town)
    town.add("storage_sites", "T", site="T", node="J", quality="lo", volume_m3=100.0, capex_cny=1.0)
    result = solve_formulation(town.instance(), OPTIONS)
    assert check(town.instance(), result.solution).passed


@pytest.mark.parametrize("seed", range(20))
def test_bridges_are_the_corridors_that_cut_the_network(seed: int) -> None:
    rng = np.random.default_rng(seed)
    num = int(rng.integers(2, 12))
    tail, head = rng.integers(0, num, (2, int(rng.integers(1, 16))))
    bridges = find_bridges(num, tail, head)
    parts = [_part_of(num, np.delete(tail, e), np.delete(head, e)) for e in range(len(tail))]
    cut = {e for e in range(len(tail)) if parts[e][tail[e]] != parts[e][head[e]]}
    assert set(bridges.corridor.tolist()) == cut
    weight = rng.integers(0, 9, num).astype(float)
    for k, e in enumerate(bridges.corridor):
        far = head[e] if bridges.head_behind[k] else tail[e]
        near = tail[e] if bridges.head_behind[k] else head[e]
        assert bridges.nodes_behind(k).tolist() == (parts[e] == parts[e][far]).tolist()
        assert bridges.behind(weight)[k] == weight[parts[e] == parts[e][far]].sum()
        assert bridges.before(weight)[k] == pytest.approx(weight[parts[e] == parts[e][near]].sum())


def _part_of(num: int, tail: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Number of the connected part of each node, the slow way."""
    part = np.arange(num)
    for _ in range(num):
        for a, b in zip(tail, head, strict=True):
            part[[a, b]] = min(part[a], part[b])
    return part


def test_flow_bounds_are_what_lies_behind(town: Town) -> None:
    """Two users behind one bridge; water that a plant of 150 m3/d makes there may come back."""
    town.rows["corridors"]["PJ"]["directed"] = False
    town.add("plants", "R", plant="R", effluent_m3_per_d=150.0)
    town.add("treatment", "R", plant="R", quality="lo", existing_m3_per_d=400.0, opex_cny_per_m3=0.5)
    town.add("corridors", "RA", corridor="RA", from_node="R", to_node="A", length_m=10.0)
    c = reduced(town.instance(), periods=True).c
    most = dict(zip(c.corridor_ids, most_useful_m3_per_d(c)[:, 0, 0], strict=True))
    assert most["PJ"] == pytest.approx(500.0)  # both users; 600 could come
    assert most["RA"] == pytest.approx(150.0)
    assert most["JA"] == most["AB"] == pytest.approx(500.0)  # on a circle: all users

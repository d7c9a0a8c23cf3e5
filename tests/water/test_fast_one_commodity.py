"""Instances that are a network of one commodity: the engine agrees with the formulation, or leaves them alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from optimize.io.validation import data_from_draft
from optimize.programme import SolveOptions
from optimize.schema import InstanceDraft
from optimize.solve import solve
from optimize.water.fast_one_commodity import is_one_commodity
from optimize.water.instance import Instance, load
from optimize.water.programme import PROGRAMME

YEAR = 2022


def random_draft(seed: int, **parameters: object) -> InstanceDraft:
    """Two plants with modules (one treats already), four users, corridors with pipes of two sizes, both ways open."""
    rng = np.random.default_rng(seed)
    plants, users, junctions = ["P0", "P1"], [f"U{k}" for k in range(4)], ["J0", "J1"]
    nodes = [*plants, *users, *junctions]
    ends = [(a, b) for k, a in enumerate(nodes) for b in nodes[k + 1 :] if rng.random() < 0.5]
    need = rng.integers(100, 900, len(users)).astype(float)
    total = float(need.sum())
    existing = rng.random(len(ends)) < 0.15
    corridors = pd.DataFrame(
        {
            "corridor": [f"{a}-{b}" for a, b in ends],
            "from_node": [a for a, _ in ends],
            "to_node": [b for _, b in ends],
            "length_m": rng.integers(200, 2_000, len(ends)).astype(float),
            "unit_cost_cny_per_m3": rng.uniform(0.0, 0.3, len(ends)),
            "directed": rng.random(len(ends)) < 0.3,
            "existing_quality": np.where(existing, "water", ""),
            "existing_m3_per_d": np.where(existing, 300.0, 0.0),
        }
    )
    modules = [("P0", "small", 0.4), ("P0", "large", 1.0), ("P1", "one", 0.8)]
    tables = {
        "districts": pd.DataFrame({"district": ["all"]}),
        "qualities": pd.DataFrame({"quality": ["water"]}),
        "budgets": pd.DataFrame({"source": ["municipal"], "year": [YEAR], "amount_cny": [1e12]}),
        "locks": pd.DataFrame({"kind": "force_in", "id": users}),
        "plants": pd.DataFrame({"plant": plants, "effluent_m3_per_d": [total, 0.9 * total]}),
        "treatment": pd.DataFrame(
            {"plant": plants, "quality": "water", "opex_cny_per_m3": [0.4, 0.5], "existing_m3_per_d": [0.0, 200.0]}
        ),
        "modules": pd.DataFrame(
            {
                "plant": [plant for plant, _, _ in modules],
                "quality": "water",
                "step": [step for _, step, _ in modules],
                "capacity_m3_per_d": [share * total for _, _, share in modules],
                "capex_cny": [3e5, 6e5, 5e5],
                "life_years": 10.0,
            }
        ),
        "junctions": pd.DataFrame({"junction": junctions}),
        "users": pd.DataFrame({"user": users, "min_take_share": 1.0, "connection_capex_cny": 1e4}),
        "user_demands": pd.DataFrame(
            {
                "demand": [f"d-{user}" for user in users], "user": users, "need": "water", "base_m3_per_d": need,
                "alternative_cny_per_m3": 4.0,
            }
        ),
        "pipes": pd.DataFrame(
            {
                "diameter": ["narrow", "wide"], "capacity_m3_per_d": [0.35 * total, total],
                "capex_cny_per_m": [300.0, 700.0], "life_years": 20.0,
            }
        ),
        "corridors": corridors,
    }  # fmt: skip
    settings = {"base_year": YEAR, "num_years": 1, "water.periods": 1, **parameters}
    return InstanceDraft("water", "net", "net", tables=tables, parameters=settings)


def solved(draft: InstanceDraft, engine: str, goal: str = "cost"):
    data = data_from_draft(PROGRAMME.schema, draft)
    return solve(PROGRAMME, data, SolveOptions(goal=(goal,), gap=1e-8, time_limit_s=60.0, engine=engine))


def instance_of(draft: InstanceDraft) -> Instance:
    return load(data_from_draft(PROGRAMME.schema, draft))


@pytest.mark.parametrize(("goal", "seeds"), [("cost", range(2)), ("npv", range(4, 5))])
def test_the_network_gives_what_the_formulation_gives(goal: str, seeds: range) -> None:
    found = 0
    for seed in seeds:
        draft = random_draft(seed)
        assert is_one_commodity(instance_of(draft), goal)
        fast, plain = solved(draft, "fast", goal), solved(draft, "formulation", goal)
        if plain.result.objective is None:
            assert fast.result.objective is None
            continue
        found += 1
        assert fast.check is not None
        assert fast.check.passed, fast.check.violations[:3]
        assert fast.result.objective == pytest.approx(plain.result.objective, rel=1e-7)
        assert fast.result.bound == pytest.approx(plain.result.objective, rel=1e-6)
        assert fast.result.timings["one_commodity"] > 0.0
        assert "construct" not in fast.result.timings  # nothing was left for the search
    assert found == len(seeds)


def test_an_even_year_is_one_period() -> None:
    draft = random_draft(1, **{"water.periods": 12})
    assert is_one_commodity(instance_of(draft), "cost")
    year, once = solved(draft, "fast"), solved(random_draft(1), "fast")
    assert year.check is not None and year.check.passed
    assert year.result.objective == pytest.approx(once.result.objective, rel=1e-9)
    assert year.result.bound == pytest.approx(year.result.objective, rel=1e-6)
    assert "construct" not in year.result.timings


def test_the_number_of_plants_is_kept() -> None:
    for count in (1,):
        draft = random_draft(1, **{"water.num_plants_exact": count})
        fast, plain = solved(draft, "fast"), solved(draft, "formulation")
        assert fast.check is not None
        assert fast.check.passed
        assert fast.result.objective == pytest.approx(plain.result.objective, rel=1e-7)


def test_a_budget_that_binds_is_kept_and_the_networks_bound_holds() -> None:
    draft = random_draft(2)
    connections = draft.tables["users"]["connection_capex_cny"].sum()  # paid by their owners
    spent = solved(draft, "fast").check.figures["capex_cny"] - connections
    tight = draft.tables["budgets"].assign(amount_cny=0.97 * spent)
    tables = {**draft.tables, "budgets": tight}
    poorer = InstanceDraft("water", "net", "net", tables=tables, parameters=draft.parameters)
    plain, fast = solved(poorer, "formulation"), solved(poorer, "fast")
    assert plain.result.objective is not None
    assert fast.check is not None
    assert fast.check.passed, fast.check.violations[:3]
    assert fast.result.bound <= plain.result.objective * (1 + 1e-9)
    assert fast.result.objective >= plain.result.objective * (1 - 1e-9)


def test_what_is_more_than_one_commodity_is_left_alone() -> None:
    draft = random_draft(0)
    some = draft.tables["locks"].iloc[:-1]
    partly = draft.tables["users"].assign(min_take_share=0.5)
    seasons = pd.DataFrame({"profile": "summer", "month": range(1, 13), "factor": [0.5] * 6 + [1.5] * 6})
    summer = {
        **draft.tables,
        "profiles": seasons,
        "user_demands": draft.tables["user_demands"].assign(profile="summer"),
    }
    year = {**draft.parameters, "water.periods": 4}
    assert not is_one_commodity(instance_of(InstanceDraft("water", "n", "n", summer, year)), "cost")
    assert not is_one_commodity(instance_of(draft), "volume")
    for changed in ({"locks": some}, {"users": partly}):
        tables = {**draft.tables, **changed}
        other = InstanceDraft("water", "net", "net", tables=tables, parameters=draft.parameters)
        assert not is_one_commodity(instance_of(other), "cost")

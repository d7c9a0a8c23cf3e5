"""Benchmark instances: sizes, seeds, validity, calibration."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from optimize.errors import UsageError
from optimize.io.validation import data_from_draft
from optimize.water.data_checks import find_faults
from optimize.water.generator import FAMILIES, SIZES, generate
from optimize.water.instance import load
from optimize.water.schema import SCHEMA


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", ["s", "m", "l"])
def test_size_is_as_stated_and_valid(size: str, family: str) -> None:
    draft = generate(size, 1, family)
    shape = SIZES[size]
    assert len(draft.tables["plants"]) == shape.num_plants
    assert len(draft.tables["users"]) == shape.num_users
    assert draft.parameters["water.periods"] == shape.num_periods
    data = data_from_draft(SCHEMA, draft)
    assert find_faults(data) == []
    assert len(load(data).nodes) == sum(len(draft.tables[name]) for name in ("plants", "junctions", "users"))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_node_can_be_reached(family: str) -> None:
    tables = generate("m", 5, family).tables
    nodes = [*tables["plants"]["plant"], *tables["junctions"]["junction"], *tables["users"]["user"]]
    place = {name: k for k, name in enumerate(nodes)}
    ends = [tables["corridors"][name].map(place).to_numpy() for name in ("from_node", "to_node")]
    graph = coo_matrix((np.ones(len(ends[0])), ends), shape=(len(nodes), len(nodes)))
    assert connected_components(graph, directed=False)[0] == 1


def test_seed_decides_the_tables() -> None:
    same, other = generate("s", 3), generate("s", 4)
    for name, table in generate("s", 3).tables.items():
        pd.testing.assert_frame_equal(table, same.tables[name])
    assert not same.tables["users"].equals(other.tables["users"])


def test_parks_have_anchors_and_sparse_does_not() -> None:
    parks, sparse = (generate("l", 0, family).tables["user_demands"]["base_m3_per_d"] for family in FAMILIES)
    assert 0.02 <= (parks >= 3000).mean() <= 0.05
    assert parks.max() <= 45_000
    assert (sparse >= 3000).mean() < 0.01


def test_profiles_have_mean_one() -> None:
    profiles = generate("s", 0).tables["profiles"]
    seasonal = profiles[profiles["profile"] != "ecological"]
    assert seasonal.groupby("profile")["factor"].mean().between(0.999, 1.001).all()


def test_the_largest_is_made_quickly() -> None:
    started = time.monotonic()
    draft = generate("xl", 0)
    assert len(draft.tables["users"]) == 10_000
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(("size", "family"), [("xxl", "parks"), ("s", "desert")])
def test_unknown_names_are_refused(size: str, family: str) -> None:
    with pytest.raises(UsageError, match="expected one of"):
        generate(size, 0, family)

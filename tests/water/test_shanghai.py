"""The committed Shanghai tables: reproducible, plausible on the map, complete in their sources."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optimize.io.validation import data_from_draft
from optimize.io.write import write_tables
from optimize.water.data_checks import find_faults, find_warnings
from optimize.water.generator import generate
from optimize.water.schema import SCHEMA
from optimize.water.shanghai import shanghai
from optimize.water.shanghai_network import count_components, crosses_huangpu, km_of

COMMITTED = Path(__file__).parents[2] / "instances" / "shanghai" / "water"
SEED = 2022
LONGEST_KM_TO_NEIGHBOUR = 20.0


@pytest.fixture(scope="module")
def draft():
    return shanghai(SEED)


@pytest.fixture(scope="module")
def places(draft):
    """Longitude and latitude by node."""
    frames = [("plants", "plant"), ("junctions", "junction"), ("users", "user")]
    return pd.concat([draft.tables[t].set_index(key)[["lon", "lat"]] for t, key in frames])


def test_committed_tables_are_what_the_generator_makes(draft, tmp_path):
    write_tables(tmp_path, SCHEMA, draft)
    made = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "water").glob("*.csv")}
    committed = {path.name: path.read_text(encoding="utf-8") for path in COMMITTED.glob("*.csv")}
    assert sorted(made) == sorted(committed)
    for name, text in made.items():
        assert text == committed[name], f"{name} differs: write the tables anew"


def test_committed_files_stay_small():
    assert max(path.stat().st_size for path in COMMITTED.glob("*.csv")) < 1_000_000


def test_same_seed_same_tables_other_seed_others(draft):
    again, other = generate("shanghai", SEED), generate("shanghai", SEED + 1)
    pd.testing.assert_frame_equal(again.tables["corridors"], draft.tables["corridors"])
    assert not other.tables["user_demands"].equals(draft.tables["user_demands"])


def test_instance_has_neither_faults_nor_warnings(draft):
    data = data_from_draft(SCHEMA, draft)
    assert find_faults(data) == []
    assert find_warnings(data) == []


def test_size_is_what_was_asked_for(draft, places):
    tables = draft.tables
    assert len(tables["plants"]) == 39
    assert len(tables["users"]) >= 500
    assert len(tables["parks"]) >= 60
    assert tables["users"]["district"].nunique() == 16
    assert 700 <= len(places) <= 1000
    assert 1000 <= len(tables["corridors"]) <= 2000


def test_islands_are_connected_in_themselves_only(draft, places):
    row = {node: k for k, node in enumerate(places.index)}
    corridors = draft.tables["corridors"]
    edges = np.array(
        [[row[a], row[b]] for a, b in zip(corridors["from_node"], corridors["to_node"], strict=True)]
    )
    assert count_components(len(places), edges) == 3  # mainland, Chongming, Changxing


def test_corridors_are_no_shorter_than_the_crow_flies(draft, places):
    corridors = draft.tables["corridors"]
    xy = km_of(places["lon"].to_numpy(), places["lat"].to_numpy())
    xy = pd.DataFrame(xy, index=places.index)
    straight = np.linalg.norm(
        xy.loc[corridors["from_node"]].to_numpy() - xy.loc[corridors["to_node"]].to_numpy(), axis=1
    )
    length = corridors["length_m"].to_numpy() / 1000
    assert (length >= straight - 0.02).all()
    assert (length <= np.maximum(1.45 * straight + 0.02, 0.07)).all()


def test_every_user_has_a_neighbour_nearby(draft):
    corridors = draft.tables["corridors"]
    ends = pd.concat(
        [
            corridors[[end, "length_m"]].set_axis(["node", "length_m"], axis=1)
            for end in ("from_node", "to_node")
        ]
    )
    nearest_m = ends.groupby("node")["length_m"].min()
    assert nearest_m[draft.tables["users"]["user"]].max() < 1000 * LONGEST_KM_TO_NEIGHBOUR


@pytest.mark.parametrize(
    ("tail", "head", "crosses"),
    [
        ((121.475, 31.232), (121.520, 31.236), True),  # People's Square - Lujiazui
        ((121.388, 31.005), (121.440, 30.935), True),  # Minhang - Fengxian
        ((121.475, 31.232), (121.437, 31.193), False),  # People's Square - Xujiahui
        ((121.551, 31.216), (121.692, 31.192), False),  # Century Park - Chuansha
    ],
)
def test_the_huangpu_is_where_it_is(tail, head, crosses):
    ends = [km_of(np.array([lon]), np.array([lat])) for lon, lat in (tail, head)]
    assert bool(crosses_huangpu(*ends)[0]) is crosses


def test_crossings_cost_more(draft):
    corridors = draft.tables["corridors"]
    crossing = corridors["fixed_capex_cny"] > 0
    assert 10 <= crossing.sum() <= 0.1 * len(corridors)
    assert corridors.loc[crossing, "terrain_factor"].min() >= 2.0
    assert corridors["terrain_factor"].between(1.0, 2.5).all()


def test_every_row_names_its_source_and_confidence(draft):
    graded = [table.name for table in SCHEMA.tables if any(c.name == "confidence" for c in table.columns)]
    given = [name for name in graded if name in draft.tables]
    assert len(given) >= 14
    for name in given:
        frame = draft.tables[name]
        assert (frame["source"].str.len() > 0).all(), name
        assert frame["confidence"].isin(list("ABCD")).all(), name


def test_synthetic_enterprises_say_so(draft):
    users = draft.tables["users"]
    in_park = users["park"] != ""
    assert users.loc[in_park, "name_zh"].str.contains("合成").all()
    assert (users.loc[in_park, "confidence"] == "D").all()


def test_profiles_keep_the_mean_of_the_year(draft):
    means = draft.tables["profiles"].groupby("profile")["factor"].mean()
    assert np.allclose(means, 1.0, atol=1e-3)


def test_enterprises_ask_for_what_their_park_can_reuse(draft):
    facts = pd.read_csv(Path(__file__).parents[2] / "optimize/water/facts/shanghai_parks.csv").set_index(
        "park"
    )
    users = draft.tables["users"].set_index("user")
    demands = draft.tables["user_demands"]
    asked = demands.groupby(demands["user"].map(users["park"]))["base_m3_per_d"].sum().drop("")
    expected = facts["reclaimable_m3_per_d"].reindex(asked.index)
    # each demand is rounded to 10 m3/d
    assert (
        abs(asked - expected) <= 6.0 * demands["user"].map(users["park"]).value_counts().reindex(asked.index)
    ).all()


def test_pilots_can_be_met(draft):
    tables = draft.tables
    pilots = tables["pilots"].set_index("pilot")
    members = tables["pilot_members"]
    volume = tables["user_demands"].groupby("user")["base_m3_per_d"].sum() * 365
    counted = members.groupby("pilot")["user"].size().reindex(pilots.index)
    could_use = members.assign(volume=members["user"].map(volume)).groupby("pilot")["volume"].sum()
    assert (counted >= pilots["min_users"]).all()
    assert (could_use.reindex(pilots.index) >= 1.5 * pilots["min_volume_m3_per_a"]).all()
    for kind, district, minimum in tables["pilot_requirements"].itertuples(index=False):
        fitting = pilots[(pilots["kind"] == kind) & ((pilots["district"] == district) | (district == ""))]
        assert len(fitting) >= minimum


def test_listed_users_are_high_consumption_and_have_access(draft):
    users = draft.tables["users"]
    listed = users[users["quota_listed"]]
    assert set(listed["industry"]) <= {"power", "petrochemical", "steel", "paper", "textile"}
    assert draft.targets["W-QUOTA"]["required"] == len(listed) > 0


def test_budgets_cover_every_year_and_district(draft):
    budgets = draft.tables["budgets"]
    sources = {"municipal", *draft.tables["districts"]["district"]}
    assert set(budgets["source"]) == sources
    assert (budgets.groupby("source")["year"].nunique() == 5).all()
    assert (budgets["amount_cny"] > 0).all()

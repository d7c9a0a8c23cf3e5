"""The Shanghai instance of the reclaimed-water programme.

Facts (plants, parks, named users, catalogues) are read from ``facts/``; what is not public is
synthesised from a seed and says so.  Every row carries its source and confidence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from optimize.schema import InstanceDraft
from optimize.water.shanghai_network import FACTS, Names, Places, derive_network, km_of, land_of
from optimize.water.shanghai_users import derive_users

BASE_YEAR, NUM_YEARS = 2022, 5

# Share of the mean effluent the receiving water needs: much for inland rivers, little at the estuary.
ECOLOGICAL_SHARE = {"inland": 0.40, "estuary": 0.05}
TN_MG_PER_L = {"central": (12.0, 14.5), "estuary": (9.5, 12.0), "inland": (8.5, 12.0)}
TN_LIMIT_MG_PER_L = 15.0  # GB 18918 class 1A
CENTRAL_PLANTS = (
    "tianshan", "longhua", "quyang", "taopu", "changqiao", "changqiao-south", "sitang", "wusong", "minhang",
)  # fmt: skip
NAME_CONFIDENCE = {"high": "B", "medium": "C", "low": "D"}

STEPS_M3_PER_D = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
DRAWABLE_SHARE = 0.9  # of the effluent the receiving water can spare, for the largest module
ELECTRICITY_CNY_PER_KWH = 0.70
PIPE_LIFE_YEARS = 40.0

# A near-zero-discharge pilot line treats a side stream of the park, per m3/d of its demand.
ZLD_CAPEX_CNY_PER_M3D, ZLD_OPEX_CNY_PER_M3D = 600.0, 150.0
ZLD_MIN_SHARE = 0.4

ACCEPTS = {
    "filtered": ("denitrified", "uf", "ro"),
    "denitrified": ("ro",),
    "uf": ("ro",),
}
"""Better qualities that also do: neither of denitrified and ultrafiltered water replaces the other."""

INTAKE_CAP_SHARE = 0.95  # of the demand of 2026, in the districts with the largest industrial demand
CAPPED_DISTRICTS = ("Pudong", "Baoshan", "Jiading", "Songjiang", "Minhang", "Qingpu")

FUNDING = (
    ("module", "shared", "municipal", 0.6, None, False),
    ("module", "shared", "district", 0.4, None, True),
    ("pipe", "shared", "municipal", 0.5, None, False),
    ("pipe", "shared", "district", 0.5, None, True),
    ("pipe", "district_led", "municipal", 0.2, None, False),
    ("pipe", "district_led", "district", 0.8, None, True),
    ("connection", "user", "owner", 1.0, None, True),
    ("tanker", "user", "owner", 1.0, None, True),
    ("cascade", "subsidised", "municipal", 0.2, 3e6, False),
    ("cascade", "subsidised", "owner", 0.8, None, True),
    ("zld", "subsidised", "municipal", 0.3, 10e6, False),
    ("zld", "subsidised", "owner", 0.7, None, True),
)

TARGETS: dict[str, dict[str, object]] = {
    "W-PILOT": {"required": 10.0, "hard": True, "deadline_year": 2025},
    "W-PRICE": {"required": 0.0, "hard": True},
    "W-NEAR": {"required": 8.0, "hard": True},
    "W-CAP": {"required": 370e6, "hard": True},
    "W-UPGRADE": {"required": 15.0, "hard": True},
    "W-VOLUME": {"required": 80e6, "hard": True},
    "W-TN": {"required": 480e3, "hard": True},
    "W-CASCADE": {"required": 2_000.0, "hard": False, "penalty_cny_per_unit": 10_000.0},
    "W-ZLD": {"required": 1.0, "hard": False, "penalty_cny_per_unit": 30e6},
}


def shanghai(seed: int) -> InstanceDraft:
    """Build the instance; the same seed gives the same tables."""
    rng = np.random.default_rng([seed, 310000])
    plants = _plants(rng)
    users, demands = derive_users(rng, plants)
    parks = pd.read_csv(FACTS / "shanghai_parks.csv")
    places = _places(plants, parks, users)
    trunk_junctions, corridors = derive_network(rng, places)
    tables = {
        "districts": _districts(),
        "plants": plants,
        "junctions": pd.concat([_park_junctions(parks), trunk_junctions], ignore_index=True),
        "profiles": _profiles(),
        "qualities": _qualities(),
        "treatment": _treatment(plants),
        "modules": _modules(plants),
        "users": users,
        "user_demands": demands,
        "accepts": pd.DataFrame(
            [(need, quality) for need, qualities in ACCEPTS.items() for quality in qualities],
            columns=["need", "quality"],
        ),
        "pipes": _pipes(),
        "corridors": corridors,
        "cascades": _cascades(users, demands),
        "parks": _parks(parks),
        **_pilots(users),
        "intake_caps": _intake_caps(users, demands),
        "budgets": _budgets(),
        "funding": pd.DataFrame(
            FUNDING, columns=["project_kind", "mix", "source", "share", "ceiling_cny", "takes_rest"]
        ),
    }
    return InstanceDraft(
        programme="water",
        name_zh="上海再生水利用规划",
        name_en="Shanghai reclaimed water plan",
        tables=tables,
        parameters={
            "base_year": BASE_YEAR,
            "num_years": NUM_YEARS,
            "water.periods": 12,
            "water.electricity_cny_per_kwh": ELECTRICITY_CNY_PER_KWH,
            "water.pumping_kwh_per_m3_per_km": 0.011,
        },
        # every listed user is connected or gets no new permit, so the clause can always be met
        targets={**TARGETS, "W-QUOTA": {"required": float(users["quota_listed"].sum()), "hard": True}},
        description=(
            "39 plants of HydroWASTE v1.0 (CC BY 4.0), parks and named users from general knowledge, "
            "enterprises and corridors synthetic; see SOURCES.md before using a figure."
        ),
    )


def _places(plants: pd.DataFrame, parks: pd.DataFrame, users: pd.DataFrame) -> Places:
    """Nodes of plants, park junctions and users; trunks run between plants, parks and towns."""

    def places(frame: pd.DataFrame, node: Names, hub: np.ndarray) -> Places:
        xy = km_of(frame["lon"].to_numpy(float), frame["lat"].to_numpy(float))
        district = frame["district"].to_numpy(object)
        return Places(node, xy, land_of(xy, district), district, hub)

    return (
        places(plants, plants["plant"].to_numpy(object), np.ones(len(plants), bool))
        + places(parks, ("J-" + parks["park"]).to_numpy(object), np.ones(len(parks), bool))
        + places(users, users["user"].to_numpy(object), (users["industry"] == "street").to_numpy())
    )


def _districts() -> pd.DataFrame:
    districts = pd.read_csv(FACTS / "shanghai_districts.csv", keep_default_na=False)
    return districts.assign(source="2020 census; centroids", confidence="B")


def _plants(rng: np.random.Generator) -> pd.DataFrame:
    facts = pd.read_csv(FACTS / "shanghai_plants.csv")
    water = np.where(facts["plant"].isin(CENTRAL_PLANTS), "central", facts["outlet"])
    low, high = np.array([TN_MG_PER_L[kind] for kind in water]).T
    effluent = facts["effluent_m3_per_d"].astype(float)
    return pd.DataFrame(
        {
            "plant": "wwtp-" + facts["plant"],
            "name_zh": facts["name_zh"] + "污水处理厂",
            "name_en": facts["name_en"] + " WWTP",
            "district": facts["district"],
            "lon": facts["lon"],
            "lat": facts["lat"],
            "effluent_m3_per_d": effluent,
            "ecological_m3_per_d": np.round(effluent * facts["outlet"].map(ECOLOGICAL_SHARE), -2),
            "effluent_profile": "effluent",
            "ecological_profile": "ecological",
            "tn_mg_per_l": np.round(rng.uniform(low, high), 1),
            "tn_limit_mg_per_l": TN_LIMIT_MG_PER_L,
            "source": "HydroWASTE v1.0 id "
            + facts["hydrowaste_id"].astype(str)
            + " (CC BY 4.0); name by place and flow ("
            + facts["name_confidence"]
            + "); TN and ecological share D",
            "confidence": facts["name_confidence"].map(NAME_CONFIDENCE),
        }
    )


def _park_junctions(parks: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "junction": "J-" + parks["park"],
            "lon": parks["lon"],
            "lat": parks["lat"],
            "source": "centre of the park, general knowledge",
            "confidence": "D",
        }
    )


def _profiles() -> pd.DataFrame:
    facts = pd.read_csv(FACTS / "shanghai_profiles.csv")
    months = [f"m{month}" for month in range(1, 13)]
    factors = facts[months].div(facts[months].mean(axis=1), axis=0).round(3)
    return pd.DataFrame(
        {
            "profile": np.repeat(facts["profile"].to_numpy(object), 12),
            "month": np.tile(np.arange(1, 13), len(facts)),
            "factor": factors.to_numpy().ravel(),
            "source": np.repeat(facts["basis"].to_numpy(object), 12),
            "confidence": "D",
        }
    )


def _trains() -> pd.DataFrame:
    """Treatment trains at the middle of their cost ranges."""
    trains = pd.read_csv(FACTS / "shanghai_trains.csv")
    trains["capex_cny_per_m3d"] = trains[["capex_lo_cny_per_m3d", "capex_hi_cny_per_m3d"]].mean(axis=1)
    running = trains[["opex_lo_cny_per_m3", "opex_hi_cny_per_m3"]].mean(axis=1)
    trains["opex_cny_per_m3"] = (running - ELECTRICITY_CNY_PER_KWH * trains["kwh_per_m3"]).round(3)
    trains["source"] = "train " + trains["train"] + ", middle of range"
    return trains


def _qualities() -> pd.DataFrame:
    trains = _trains()
    return trains[["quality", "name_zh", "name_en", "tn_kept_out_share", "source"]].assign(confidence="D")


def _treatment(plants: pd.DataFrame) -> pd.DataFrame:
    columns = ["quality", "opex_cny_per_m3", "kwh_per_m3", "recovery", "source"]
    return plants[["plant"]].merge(_trains()[columns], how="cross").assign(confidence="D")


def _modules(plants: pd.DataFrame) -> pd.DataFrame:
    """Steps up to what the plant can spare, at capacity to the power of the train's scale exponent."""
    steps = pd.DataFrame({"capacity_m3_per_d": np.array(STEPS_M3_PER_D, float)})
    rows = plants.merge(_trains(), how="cross", suffixes=("_plant", "")).merge(steps, how="cross")
    spare = DRAWABLE_SHARE * (rows["effluent_m3_per_d"] - rows["ecological_m3_per_d"]) * rows["recovery"]
    rows = rows[rows["capacity_m3_per_d"] <= np.minimum(spare, rows["largest_step_m3_per_d"])]
    scale = (rows["capacity_m3_per_d"] / rows["ref_m3_per_d"]) ** (rows["scale_exponent"] - 1)
    return pd.DataFrame(
        {
            "plant": rows["plant"],
            "quality": rows["quality"],
            "step": (rows["capacity_m3_per_d"] / 1000).astype(int).astype(str) + "k",
            "capacity_m3_per_d": rows["capacity_m3_per_d"],
            "capex_cny": (rows["capacity_m3_per_d"] * rows["capex_cny_per_m3d"] * scale).round(-4),
            "life_years": rows["life_years"].astype(float),
            "source": rows["source"],
            "confidence": "D",
        }
    ).reset_index(drop=True)


def _pipes() -> pd.DataFrame:
    facts = pd.read_csv(FACTS / "shanghai_pipes.csv")
    return pd.DataFrame(
        {
            "diameter": "DN" + facts["dn_mm"].astype(str),
            "capacity_m3_per_d": facts["capacity_m3_per_d"].astype(float),
            "capex_cny_per_m": facts["capex_cny_per_m"].astype(float),
            "life_years": PIPE_LIFE_YEARS,
            "source": "capacity at "
            + facts["velocity_m_per_s"].astype(str)
            + " m/s (C); unit cost, middle, open cut (D)",
            "confidence": "D",
        }
    )


def _cascades(users: pd.DataFrame, demands: pd.DataFrame) -> pd.DataFrame:
    """The largest enterprise of an industry in each listed park gives its effluent."""
    facts = pd.read_csv(FACTS / "shanghai_cascades.csv")
    volume = demands.groupby("user")["base_m3_per_d"].sum()
    by_size = users.assign(volume=users["user"].map(volume)).sort_values(
        ["volume", "user"], ascending=[False, True]
    )
    largest = by_size.drop_duplicates(["park", "industry"])[["park", "industry", "user"]]
    rows = facts.merge(largest, on=["park", "industry"], how="left", validate="one_to_one")
    columns = ["cascade", "user", "quality", "return_share", "capacity_m3_per_d", "capex_cny", "opex_cny_per_m3", "kwh_per_m3"]  # fmt: skip
    return rows[columns].assign(tn_kept_out_kg_per_m3=0.005, source="synthetic", confidence="D")


def _parks(parks: pd.DataFrame) -> pd.DataFrame:
    candidate = parks["zld_candidate"].astype(bool)
    demand = parks["reclaimable_m3_per_d"].where(candidate, 0.0)
    return pd.DataFrame(
        {
            "park": parks["park"],
            "name_zh": parks["name_zh"],
            "name_en": parks["name_en"],
            "district": parks["district"],
            "zld_candidate": candidate,
            "zld_min_share": ZLD_MIN_SHARE,
            "zld_capex_cny": (ZLD_CAPEX_CNY_PER_M3D * demand).round(-5),
            "zld_opex_cny_per_a": (ZLD_OPEX_CNY_PER_M3D * demand).round(-5),
            "source": "name and place: general knowledge; demand and pilot line assumed",
            "confidence": "D",
        }
    )


def _intake_caps(users: pd.DataFrame, demands: pd.DataFrame) -> pd.DataFrame:
    """Fresh water the users of a district may take, a little below what they will need."""
    of_user = users.set_index("user")
    grown = demands["base_m3_per_d"] * (1.0 + demands["user"].map(of_user["growth_share"]))
    by_district = 365.0 * grown.groupby(demands["user"].map(of_user["district"])).sum()
    cap = (INTAKE_CAP_SHARE * by_district.loc[list(CAPPED_DISTRICTS)]).round(-5)
    return pd.DataFrame({"scope": "district", "id": cap.index, "cap_m3_per_a": cap.to_numpy()}).assign(
        source=f"{INTAKE_CAP_SHARE:.0%} of the demand of the last year, assumed", confidence="D"
    )


def _pilots(users: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Candidate pilots; members are the enterprises of a park or the users round a place."""
    facts = pd.read_csv(FACTS / "shanghai_pilots.csv", keep_default_na=False)
    xy = km_of(users["lon"].to_numpy(float), users["lat"].to_numpy(float))
    land = land_of(xy, users["district"].to_numpy(object))
    members = []
    for row in facts.to_dict("records"):
        pilot: dict[str, Any] = {str(key): value for key, value in row.items()}
        if pilot["park"]:
            inside = (users["park"] == pilot["park"]).to_numpy()
        else:
            centre = km_of(np.array([float(pilot["lon"])]), np.array([float(pilot["lat"])]))
            here = land_of(centre, np.array([pilot["district"]], dtype=object))
            inside = (np.linalg.norm(xy - centre, axis=1) <= float(pilot["radius_km"])) & (land == here)
            if pilot["kind"] != "central_plant":
                inside &= (users["district"] == pilot["district"]).to_numpy()
        members += [(pilot["pilot"], user) for user in users.loc[inside, "user"]]
    columns = ["pilot", "name_zh", "name_en", "kind", "district", "min_users", "min_volume_m3_per_a"]
    suburban = facts.loc[facts["kind"] == "suburban_district", "district"].drop_duplicates()
    requirements = [("suburban_district", district, 1) for district in suburban] + [("central_plant", "", 1)]
    return {
        "pilots": facts[columns].assign(
            source="candidate proposed here; rules of 沪发改环资〔2022〕6号", confidence="D"
        ),
        "pilot_members": pd.DataFrame(members, columns=["pilot", "user"]),
        "pilot_requirements": pd.DataFrame(requirements, columns=["kind", "district", "minimum"]),
    }


def _budgets() -> pd.DataFrame:
    """Public money by source and year, from 万元."""
    facts = pd.read_csv(FACTS / "shanghai_budgets.csv").set_index("source")
    years = [int(column.removeprefix("y")) for column in facts.columns]
    return pd.DataFrame(
        {
            "source": np.repeat(facts.index.to_numpy(object), len(years)),
            "year": np.tile(years, len(facts)),
            "amount_cny": 1e4 * facts.to_numpy(float).ravel(),
        }
    )

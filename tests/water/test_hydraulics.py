"""Hydraulics of small networks against what one computes by hand, and against all ways to lay their pipes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optimize.errors import InputFaults, UsageError
from optimize.water.coefficients import derive_coefficients
from optimize.water.hydraulics.assumptions import ASSUMPTIONS, Standards
from optimize.water.hydraulics.design import State, operate
from optimize.water.hydraulics.epanet import designed_model, load_simulator, simulate, write_inp
from optimize.water.hydraulics.funding import refunded
from optimize.water.hydraulics.layout import look_at_layout
from optimize.water.hydraulics.network import MEAN, PEAK, Network, build_network
from optimize.water.hydraulics.repair import Repaired, repair
from optimize.water.hydraulics.terrain import derive_terrain
from optimize.water.hydraulics.works import NO_WORKS, derive_prices, stations, with_stations, with_works
from optimize.water.instance import Instance
from optimize.water.solution import (
    DELIVERY_COLUMNS,
    FLOW_COLUMNS,
    FUNDING_COLUMNS,
    PIPE_COLUMNS,
    PRODUCTION_COLUMNS,
    Solution,
    nothing_built,
)
from tests.water.conftest import YEAR, Town, make_town

# Millimetres by the town's diameters.
_MM = {"S": 80.0, "L": 100.0, "XL": 150.0, "XXL": 200.0}
_FEW_FEET = 1e-3


def _town(metres: float = 500.0) -> Town:
    """The plant's pipe is ``metres`` long; four diameters."""
    town = make_town()
    town.add("pipes", "XL", diameter="XL", capacity_m3_per_d=2000.0, capex_cny_per_m=700.0)
    town.add("pipes", "XXL", diameter="XXL", capacity_m3_per_d=4000.0, capex_cny_per_m=1000.0)
    for name, row in town.rows["pipes"].items():
        row["inner_diameter_mm"] = _MM[name]
    town.rows["corridors"]["PJ"]["length_m"] = metres
    return town


def _plan(
    pipes: dict[str, str], flows: dict[str, float], given: dict[str, float], used: dict[str, float]
) -> Solution:
    """A plan of quality "lo" in one period: diameters and flows by corridor, product by plant, water by demand."""
    return replace(
        nothing_built(),
        pipes=pd.DataFrame([(c, "lo", d, YEAR) for c, d in pipes.items()], columns=list(PIPE_COLUMNS)),
        flows=pd.DataFrame([(YEAR, c, "lo", 0, f) for c, f in flows.items()], columns=list(FLOW_COLUMNS)),
        production=pd.DataFrame(
            [(YEAR, p, "lo", 0, v) for p, v in given.items()], columns=list(PRODUCTION_COLUMNS)
        ),
        deliveries=pd.DataFrame(
            [(YEAR, q, "lo", 0, "pipe", v) for q, v in used.items()], columns=list(DELIVERY_COLUMNS)
        ),
    )


def _both(pj: str = "L", ja: str = "S", jb: str = "S") -> Solution:
    return _plan(
        {"PJ": pj, "JA": ja, "JB": jb},
        {"PJ": 500.0, "JA": 300.0, "JB": 200.0},
        {"P": 500.0},
        {"a": 300.0, "b": 200.0},
    )


def _network(town: Town, plan: Solution, **standards: float) -> Network:
    return build_network(town.instance(), plan, YEAR, Standards(**standards))


def _loss_m(metres: float, m3_per_d: float, mm: float, c: float = 120.0) -> float:
    """Hazen and Williams as GB 50013 writes it: i = 10.67 q^1.852 / (C^1.852 d^4.87)."""
    return metres * 10.67 * (m3_per_d / 86_400.0) ** 1.852 / (c**1.852 * (mm / 1000.0) ** 4.871)


def _pressure(state: State, node: str, load: int = PEAK) -> float:
    return float(state.pressure_m[load, np.flatnonzero(state.network.nodes["node"] == node)[0]])


def test_head_loss_velocity_and_pump_are_those_of_the_formula() -> None:
    state = operate(_network(_town(), _both(), peak_hour_factor=1.5))
    on_the_way = _loss_m(500.0, 750.0, 100.0)
    to_a, to_b = _loss_m(200.0, 450.0, 80.0), _loss_m(300.0, 300.0, 80.0)
    assert to_a > to_b  # A is the user that the pump is made for
    assert state.violations.empty
    assert state.duty.head_m[PEAK, 0] == pytest.approx(10.0 + on_the_way + to_a, rel=_FEW_FEET)
    assert _pressure(state, "A") == pytest.approx(10.0, abs=0.01)
    assert _pressure(state, "B") == pytest.approx(10.0 + to_a - to_b, rel=_FEW_FEET)
    main = int(np.flatnonzero(state.network.lines["corridor"] == "PJ")[0])
    assert state.velocity_m_per_s[PEAK, main] == pytest.approx(750 / 86_400 / (np.pi * 0.1**2 / 4), rel=1e-4)
    assert state.loss_m_per_km[PEAK, main] == pytest.approx(2 * on_the_way, rel=_FEW_FEET)
    # on the average day the pump follows the user again, by less
    mean_head = 10.0 + _loss_m(500.0, 500.0, 100.0) + _loss_m(200.0, 300.0, 80.0)
    assert state.duty.head_m[MEAN, 0] == pytest.approx(mean_head, rel=_FEW_FEET)
    pump = state.pumps(0.8).iloc[0]
    assert pump["kwh_per_a"] == pytest.approx(500.0 * 365 * mean_head * 9.80665 / 3600 / 0.8, rel=_FEW_FEET)


def test_pipes_side_by_side_share_the_water_by_what_they_can_carry() -> None:
    town = _town()
    town.rows["corridors"]["PJ"] |= {
        "existing_quality": "lo", "existing_m3_per_d": 400.0, "existing_diameter_mm": 120.0,
    }  # fmt: skip
    state = operate(_network(town, _both(), peak_hour_factor=1.0, existing_roughness_c=90.0))
    pipes = state.network.pipes
    on_main = pipes["line"].map(state.network.lines["corridor"]) == "PJ"
    old, new = (
        state.flow_m3_per_s[PEAK, np.flatnonzero(on_main & (pipes["is_new"] == is_new))[0]]
        for is_new in (False, True)
    )
    assert old / new == pytest.approx(90 / 120 * (120 / 100) ** (4.871 / 1.852), rel=1e-3)
    assert (old + new) * 86_400 == pytest.approx(500.0, rel=1e-4)


def test_users_state_their_pressure_and_pipes_their_roughness() -> None:
    town = _town()
    town.rows["users"]["B"]["min_pressure_m"] = 35.0
    town.rows["pipes"]["L"]["roughness_c"] = 140.0
    state = operate(_network(town, _both(), peak_hour_factor=1.0))
    assert _pressure(state, "B") == pytest.approx(35.0, abs=0.01)
    lifted = 35.0 + _loss_m(300.0, 200.0, 80.0) + _loss_m(500.0, 500.0, 100.0, c=140.0)
    assert state.duty.head_m[PEAK, 0] == pytest.approx(lifted, rel=_FEW_FEET)


def test_ground_is_as_stated_or_as_the_static_heads_have_it() -> None:
    by_head, by_level = _town(), _town()
    by_head.rows["corridors"]["PJ"]["static_head_m"] = 20.0
    by_level.rows["plants"]["P"]["elevation_m"] = 4.0
    for node, table in (("J", "junctions"), ("A", "users"), ("B", "users")):
        by_level.rows[table][node]["elevation_m"] = 24.0
    flat = operate(_network(_town(), _both())).duty.head_m
    for town in (by_head, by_level):
        assert operate(_network(town, _both())).duty.head_m == pytest.approx(flat + 20.0, abs=0.02)
    by_level.rows["corridors"]["PJ"]["static_head_m"] = 15.0
    assert derive_terrain(by_level.instance()).disagreement_m == pytest.approx(5.0)
    assert derive_terrain(by_head.instance()).disagreement_m == pytest.approx(0.0, abs=1e-6)


def test_water_that_runs_down_by_itself_needs_no_pump() -> None:
    town = _town()
    town.rows["corridors"]["PJ"]["static_head_m"] = -60.0
    state = operate(_network(town, _both(), peak_hour_factor=1.0))
    assert state.violations.empty
    assert state.pumps(0.7)["kwh_per_a"].sum() == pytest.approx(0.0, abs=1e-6)
    on_the_way = _loss_m(500.0, 500.0, 100.0) + _loss_m(200.0, 300.0, 80.0)
    assert _pressure(state, "A") == pytest.approx(60.0 - on_the_way, abs=0.05)


def test_a_valley_deeper_than_the_largest_pressure_is_told() -> None:
    town = _town()
    town.rows["corridors"]["PJ"]["static_head_m"] = -120.0
    found = operate(_network(town, _both())).violations
    assert set(found["kind"]) == {"high_pressure"}
    assert {"J", "A", "B"} == set(found["where"])


def test_every_source_of_a_ring_gives_what_the_plan_has_it_give() -> None:
    """Two plants, and a ring J-A-B: heads decide the flows, pumps keep the plants' shares."""
    town = _town()
    town.add("plants", "Q", plant="Q", district="d", effluent_m3_per_d=2000.0)
    town.add("corridors", "QB", corridor="QB", from_node="Q", to_node="B", length_m=800.0, district="d")
    plan = _plan(
        {"PJ": "L", "JA": "S", "JB": "S", "AB": "S", "QB": "S"},
        {"PJ": 380.0, "JA": 250.0, "JB": 130.0, "AB": -50.0, "QB": 120.0},
        {"P": 380.0, "Q": 120.0},
        {"a": 300.0, "b": 200.0},
    )
    state = operate(_network(town, plan))
    flow = dict(zip(state.network.lines["corridor"], state.line_flow_m3_per_s[MEAN] * 86_400, strict=True))
    assert flow["PJ"] == pytest.approx(380.0, rel=1e-3)
    assert flow["QB"] == pytest.approx(120.0, rel=1e-3)
    loss = {
        c: np.sign(flow[c]) * _loss_m(metres, abs(flow[c]), 80.0)
        for c, metres in (("JA", 200.0), ("AB", 300.0), ("JB", 300.0))
    }
    assert loss["JA"] + loss["AB"] == pytest.approx(loss["JB"], abs=0.01)
    assert look_at_layout(state.network, plan, town.instance()).num_rings == 1


def test_shares_of_sources_hold_where_limits_do_not() -> None:
    """Two plants far apart: the near one's pump would have to lift too high, which is told; each gives its share."""
    town = _town(12_000.0)
    town.add("plants", "Q", plant="Q", district="d", effluent_m3_per_d=2000.0)
    town.add("corridors", "QB", corridor="QB", from_node="Q", to_node="B", length_m=100.0, district="d")
    plan = _plan(
        {"PJ": "L", "JA": "S", "JB": "S", "QB": "S"},
        {"PJ": 400.0, "JA": 300.0, "JB": 100.0, "QB": 100.0},
        {"P": 400.0, "Q": 100.0},
        {"a": 300.0, "b": 200.0},
    )
    network = _network(town, plan, peak_hour_factor=2.0)
    before = operate(network)
    assert ("high_pressure", "P") in set(
        zip(before.violations["kind"], before.violations["where"], strict=True)
    )
    flow = dict(zip(network.lines["corridor"], before.line_flow_m3_per_s[PEAK] * 86_400, strict=True))
    assert flow["QB"] == pytest.approx(200.0, rel=1e-3)
    assert _prices(town.instance(), network).state.violations.empty


def test_a_ring_is_repaired_from_the_flows_that_its_pipes_make() -> None:
    town = _town(8_000.0)
    town.rows["corridors"]["JA"]["length_m"] = 3_000.0
    town.rows["corridors"]["JB"]["length_m"] = 2_000.0
    plan = _plan(
        {"PJ": "L", "JA": "S", "JB": "S", "AB": "S"},
        {"PJ": 500.0, "JA": 250.0, "JB": 250.0, "AB": -50.0},
        {"P": 500.0},
        {"a": 300.0, "b": 200.0},
    )
    network = _network(town, plan, peak_hour_factor=2.0, booster_cny=1e12)
    assert len(operate(network).violations) > 0
    repaired = _prices(town.instance(), network)
    assert repaired.state.violations.empty and repaired.rounds >= 1


def _prices(instance: Instance, network: Network) -> Repaired:
    prices = derive_prices(network, instance, derive_coefficients(instance), only_capex=True)
    return repair(operate(network), prices)


def _capex(instance: Instance, sizes: tuple[str, ...]) -> float:
    metre = instance.pipes.set_index("diameter")["capex_cny_per_m"]
    length = instance.corridors.set_index("corridor")["length_m"]
    return float(sum(length[c] * metre[d] for c, d in zip(("PJ", "JA", "JB"), sizes, strict=True)))


@pytest.mark.parametrize("metres", [4_000.0, 12_000.0])
def test_a_repair_by_pipes_is_the_cheapest_of_all(metres: float) -> None:
    town = _town(metres)
    town.rows["corridors"]["JA"]["length_m"] = 2_500.0
    town.rows["corridors"]["JB"]["length_m"] = 3_000.0
    instance = town.instance()
    network = build_network(instance, _both(), YEAR, Standards(booster_cny=1e12))
    assert len(operate(network).violations) > 0
    repaired = _prices(instance, network)
    assert repaired.state.violations.empty
    lines = repaired.state.network.lines.set_index("corridor")["diameter"]
    sizes = ["S", "L", "XL", "XXL"]

    def sound(pj: str, ja: str, jb: str) -> bool:
        main = _loss_m(metres, 700.0, _MM[pj])
        way_a, way_b = main + _loss_m(2_500.0, 420.0, _MM[ja]), main + _loss_m(3_000.0, 280.0, _MM[jb])
        return max(way_a, way_b) <= 90.0 and 700 / 86_400 / (np.pi * (_MM[pj] / 1000) ** 2 / 4) <= 2.5

    ways = [way for way in itertools.product(sizes[1:], sizes, sizes) if sound(*way)]
    assert _capex(instance, tuple(lines[c] for c in ("PJ", "JA", "JB"))) == min(
        _capex(instance, w) for w in ways
    )


def test_a_station_is_built_where_it_is_cheaper_than_pipes_and_counts_in_the_check() -> None:
    town = _town(3_000.0)
    town.rows["corridors"]["JA"]["length_m"] = 3_000.0
    instance = town.instance()
    network = build_network(instance, _both(), YEAR, Standards(booster_cny=1e5, booster_cny_per_kw=1e3))
    repaired = _prices(instance, network)
    assert repaired.state.violations.empty
    built = stations(repaired.state, 0.72)
    (corridor,) = built["corridor"]
    assert corridor == "JA"
    row = built.iloc[0]
    assert row["kw"] == pytest.approx(row["flow_m3_per_h"] * row["head_m"] * 9.80665 / 3600 / 0.72, rel=1e-6)
    plan = with_works(_both(), instance, NO_WORKS.with_state(repaired.state))
    costlier = with_stations(instance, plan, built)
    more = costlier.corridors["fixed_capex_cny"].sum() - instance.corridors["fixed_capex_cny"].sum()
    assert more == pytest.approx(built["capex_cny"].sum())


def test_an_old_pipe_gets_a_new_one_beside_it_that_is_paid() -> None:
    town = _town(6_000.0)
    town.rows["corridors"]["PJ"] |= {
        "existing_quality": "lo", "existing_m3_per_d": 600.0, "existing_diameter_mm": 80.0,
    }  # fmt: skip
    for mix in ("one", "two"):
        town.add("funding", mix, project_kind="pipe", mix=mix, source="municipal", share=1.0, takes_rest=True)
    instance = town.instance()
    plan = _both()
    plan = replace(plan, pipes=plan.pipes[plan.pipes["corridor"] != "PJ"].reset_index(drop=True))
    repaired = _prices(instance, build_network(instance, plan, YEAR, Standards(booster_cny=1e12)))
    assert repaired.state.violations.empty
    repaired_plan = with_works(plan, instance, NO_WORKS.with_state(repaired.state))
    (row,) = repaired_plan.pipes[repaired_plan.pipes["corridor"] == "PJ"].itertuples(index=False)
    assert (row.quality, row.year) == ("lo", YEAR) and row.diameter in _MM
    assert ("pipe", f"PJ:lo:{row.diameter}", "one", YEAR) in set(
        repaired_plan.funding.itertuples(index=False, name=None)
    )


def test_a_purse_that_does_not_hold_is_relieved_by_the_fewest_other_mixes() -> None:
    town = _town()
    for mix, source in (("city", "municipal"), ("local", "district")):
        town.add("funding", mix, project_kind="pipe", mix=mix, source=source, share=1.0, takes_rest=True)
    capex = {"PJ": 500 * 500.0, "JA": 200 * 300.0, "JB": 300 * 300.0}
    plan = _both()
    diameters = dict(zip(plan.pipes["corridor"], plan.pipes["diameter"], strict=True))
    paid = [("pipe", f"{corridor}:lo:{diameters[corridor]}", "city", YEAR) for corridor in capex]
    plan = replace(plan, funding=pd.DataFrame(paid, columns=list(FUNDING_COLUMNS)))

    def mixes(municipal: float, district: float) -> list[str] | None:
        town.rows["budgets"] = {
            source: {"source": source, "year": YEAR, "amount_cny": money}
            for source, money in (("municipal", municipal), ("d", district))
        }
        found = refunded(town.instance(), plan)
        return None if found is None else found.funding["mix"].tolist()

    assert mixes(sum(capex.values()), 0.0) == ["city", "city", "city"]
    assert mixes(320_000.0, 100_000.0) == ["city", "city", "local"]  # 400 000 less JB's 90 000
    assert mixes(320_000.0, 60_000.0) is None  # JA alone does not relieve it enough


def test_what_is_contracted_keeps_its_diameter() -> None:
    town = _town(12_000.0)
    contract = {"table": "pipes", "project": "PJ:lo", "choice": "L", "year": YEAR, "state": "contracted"}
    town.rows["plan_in_force"] = {"PJ": contract}
    instance = town.instance()
    repaired = _prices(instance, build_network(instance, _both(), YEAR, Standards()))
    lines = repaired.state.network.lines.set_index("corridor")
    assert lines.loc["PJ", "diameter"] == "L"
    assert lines.loc["PJ", "booster_m"] == 0.0
    assert len(repaired.state.violations) > 0  # nothing else helps, and that is told


def test_too_fast_water_gets_a_larger_pipe() -> None:
    town = _town()
    instance = town.instance()
    network = build_network(instance, _both("S"), YEAR, Standards(max_velocity_m_per_s=1.2))
    before = operate(network)
    assert {"velocity"} == set(before.violations["kind"])
    repaired = _prices(instance, network)
    assert repaired.state.violations.empty
    assert repaired.state.velocity_m_per_s.max() <= 1.2


def test_the_file_for_epanet_holds_the_same_pipes_and_gives_the_same_pressures(tmp_path: Path) -> None:
    network = _network(_town(2_000.0), _both())
    state = operate(network)
    write_inp(network, state.duty, ["a town"], tmp_path / "plan.inp")
    model = load_simulator().network.WaterNetworkModel(str(tmp_path / "plan.inp"))
    found = {name: (pipe.diameter, pipe.length, pipe.roughness) for name, pipe in model.pipes()}
    assert found == {
        "PJ.lo": pytest.approx((0.1, 2000.0, 120.0)),
        "JA.lo": pytest.approx((0.08, 200.0, 120.0)),
        "JB.lo": pytest.approx((0.08, 300.0, 120.0)),
    }
    again = simulate(model, network)
    assert again.head_m == pytest.approx(
        simulate(designed_model(network, state.duty), network).head_m, abs=0.01
    )
    assert [p.name for p in tmp_path.iterdir()] == ["plan.inp"]


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    network = _network(_town(), _both())
    with pytest.raises(UsageError, match="cannot be written"):
        write_inp(network, operate(network).duty, [], tmp_path / "nowhere" / "plan.inp")


def test_ids_that_epanet_cannot_take_become_numbers() -> None:
    town = _town()
    town.add("users", "A", user="一个名字带空格 的用户", district="d")
    town.rows["user_demands"]["a"]["user"] = "一个名字带空格 的用户"
    for name in ("JA", "AB"):
        row = town.rows["corridors"][name]
        row |= {end: "一个名字带空格 的用户" for end in ("from_node", "to_node") if row[end] == "A"}
    state = operate(_network(town, _both()))
    assert _pressure(state, "一个名字带空格 的用户") == pytest.approx(10.0, abs=0.01)


def test_diameters_without_a_size_are_all_named() -> None:
    town = make_town()
    with pytest.raises(InputFaults) as told:
        _network(town, _both())
    assert [(fault.column, fault.found) for fault in told.value.faults] == [
        ("inner_diameter_mm", "S"),
        ("inner_diameter_mm", "L"),
    ]


def test_nominal_diameters_need_no_column() -> None:
    town = make_town()
    town.rows["pipes"] = {
        name: row | {"diameter": name}
        for name, row in zip(("DN80", "DN100"), town.rows["pipes"].values(), strict=True)
    }
    network = _network(town, _both("DN100", "DN80", "DN80"))
    assert network.catalogue.diameter_m == pytest.approx([0.08, 0.1])


def test_dry_and_large_pipes_twins_and_crossings_are_found() -> None:
    town = _town()
    places = {
        "P": (0.0, 0.0),
        "J": (1.0, 0.0),
        "A": (2.0, 1.0),
        "B": (2.0, -1.0),
        "X": (1.5, 1.0),
        "Y": (1.8, -1.5),
    }
    town.add("junctions", "X", junction="X")
    town.add("junctions", "Y", junction="Y")
    for table in ("plants", "junctions", "users"):
        for name, row in town.rows[table].items():
            row["lon"], row["lat"] = places[name]
    town.add("corridors", "PJ2", corridor="PJ2", from_node="J", to_node="P", length_m=600.0, district="d")
    town.add("corridors", "XY", corridor="XY", from_node="X", to_node="Y", length_m=100.0, district="d")
    plan = _both("XL")
    more = pd.DataFrame([("PJ2", "lo", "S", YEAR), ("XY", "lo", "S", YEAR)], columns=list(PIPE_COLUMNS))
    plan = replace(plan, pipes=pd.concat([plan.pipes, more], ignore_index=True))
    network = _network(town, plan)
    found = look_at_layout(network, plan, town.instance())
    assert found.dry["corridor"].tolist() == ["PJ2", "XY"]
    assert found.dry["capex_cny"].tolist() == [600.0 * 300, 100.0 * 300]
    assert found.oversized[["corridor", "enough", "saving_cny"]].to_numpy().tolist() == [
        ["PJ", "L", 500.0 * 200]
    ]
    assert found.twins[["corridor", "other"]].to_numpy().tolist() == [["PJ", "PJ2"]]
    assert {tuple(pair) for pair in found.crossing[["corridor", "other"]].to_numpy()} == {
        ("JA", "XY"),
        ("JB", "XY"),
    }
    assert operate(network).violations.empty  # what is dry is shut, and disturbs nothing


@pytest.mark.parametrize("wrong", [{"peak_hour_factor": 0.9}, {"min_pressure_m": 100.0}])
def test_standards_that_nobody_can_keep_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Standards(**wrong)


def test_every_assumption_says_where_it_comes_from() -> None:
    assert {a.name for a in ASSUMPTIONS} == set(vars(Standards()))
    assert all(a.source and a.grade in "BCD" for a in ASSUMPTIONS)

"""Fixed-charge networks: every way to solve one agrees with branch and cut on its plain programme."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optimize.engine.cut_rounds import tighten
from optimize.engine.cut_sets import CutSets
from optimize.engine.fixed_charge import FixedChargeNetwork, build_network_model, fewest, incidence
from optimize.engine.fixed_charge_solve import solve_fixed_charge
from optimize.engine.highs import solve_milp
from optimize.engine.location import Location, location_of, solve_location
from optimize.engine.location_bound import LocationBound
from optimize.engine.send_and_split import is_few_terminals, solve_few_terminals
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions


def watch(gap: float = 0.0) -> Watch:
    return Watch(SolveOptions(gap=gap, time_limit_s=60.0), maximise=False)


def random_network(seed: int, *, capacitated: bool = False, balanced: bool = False) -> FixedChargeNetwork:
    """Few nodes, arcs that may be free, parallel or form circles."""
    rng = np.random.default_rng(seed)
    nodes = int(rng.integers(3, 9))
    num = 4 * nodes
    tail = rng.integers(0, nodes, num)
    head = (tail + rng.integers(1, nodes, num)) % nodes
    demand = np.zeros(nodes)
    num_sinks = int(rng.integers(1, nodes - 1))
    demand[:num_sinks] = rng.integers(1, 9, num_sinks)
    sources = np.arange(num_sinks, int(rng.integers(num_sinks + 1, nodes + 1)))
    demand[sources] = -rng.integers(1, 9, len(sources))
    demand[sources[0]] -= max(demand.sum(), 0.0) + (0.0 if balanced else 2.0)
    if balanced:
        demand[sources[0]] -= demand.sum()
        if demand[sources[0]] >= 0:
            demand[sources[1:]] = 0.0
            demand[sources[0]] = -demand[:num_sinks].sum()
    return FixedChargeNetwork(
        tail, head,
        np.append(rng.integers(4, 20, num - 1), 0.5) if capacitated else np.full(num, np.inf),
        rng.integers(0, 9, num) * (rng.random(num) < 0.7).astype(float), rng.integers(0, 4, num).astype(float),
        demand, np.full(num, -1), np.zeros(num, bool), None, np.zeros(nodes, bool),
    )  # fmt: skip


def optimum(network: FixedChargeNetwork) -> float | None:
    return solve_milp(build_network_model(network).milp, watch()).objective


def assert_is_plan(network: FixedChargeNetwork, flow: np.ndarray) -> None:
    got = incidence(network) @ flow
    upper = np.where(network.demand < 0, 0.0, network.demand)
    assert (got >= network.demand - 1e-6).all()
    assert (got <= upper + 1e-6).all()
    assert (flow >= -1e-9).all()
    assert (flow <= network.capacity + 1e-6).all()


@pytest.mark.parametrize("balanced", [False, True])
def test_send_and_split_finds_the_optimum(balanced: bool) -> None:
    found = 0
    for seed in range(30):
        network = random_network(seed, balanced=balanced)
        assert is_few_terminals(network)
        flow, best = solve_few_terminals(network, watch()), optimum(network)
        assert (flow is None) == (best is None)
        if flow is not None:
            assert_is_plan(network, flow)
            assert network.cost(flow) == pytest.approx(best)
            found += 1
    assert found >= 15


@pytest.mark.parametrize("balanced", [False, True])
def test_networks_with_capacities_are_closed(balanced: bool) -> None:
    found = 0
    for seed in range(6):
        network = random_network(100 + seed, capacitated=True, balanced=balanced)
        assert not is_few_terminals(network)
        outcome, best = solve_fixed_charge(network, watch()), optimum(network)
        assert (outcome.flow is None) == (best is None)
        if outcome.flow is not None:
            assert_is_plan(network, outcome.flow)
            assert network.cost(outcome.flow) == pytest.approx(best)
            assert outcome.bound == pytest.approx(best)
            found += 1
    assert found >= 3


def test_rows_of_node_sets_cut_off_no_plan_and_raise_the_bound() -> None:
    raised = 0
    for seed in range(30):
        network = random_network(seed, capacitated=seed % 2 == 0)
        model = build_network_model(network)
        best = solve_milp(model.milp, watch())
        if best.x is None:
            continue
        plain = solve_milp(replace(model.milp, integral=np.zeros_like(model.milp.integral)), watch())
        tightened = tighten(model.milp, CutSets(network, model), watch())
        assert tightened is not None
        assert best.objective is not None
        assert plain.objective is not None
        assert tightened.milp.violation(best.x) <= 1e-6
        assert tightened.bound <= best.objective + 1e-6
        assert tightened.narrowed(best.objective + 1.0).violation(best.x) <= 1e-6
        raised += tightened.bound > plain.objective + 1e-3
    assert raised >= 10


def random_location(
    seed: int, *, whole: bool = False, same_size: bool = False, num_open: int | None = None
) -> FixedChargeNetwork:
    """Each facility behind an arc of its own, some customers out of reach of some facilities."""
    rng = np.random.default_rng(seed)
    num_sites, num_customers = 6, 9
    need = rng.integers(1, 9, num_customers).astype(float)
    total = float(need.sum())
    capacity = (
        np.full(num_sites, np.ceil(0.4 * total))
        if same_size
        else np.ceil(rng.uniform(0.25, 0.6, num_sites) * total)
    )
    pairs = np.argwhere(rng.random((num_customers, num_sites)) < 0.9)
    num = num_sites + len(pairs)
    counted = np.arange(num) < num_sites
    single = np.zeros(2 * num_sites + num_customers, bool)
    single[2 * num_sites :] = whole
    return FixedChargeNetwork(
        np.concatenate([np.arange(num_sites), num_sites + pairs[:, 1]]),
        np.concatenate([num_sites + np.arange(num_sites), 2 * num_sites + pairs[:, 0]]),
        np.concatenate([capacity, np.full(len(pairs), np.inf)]),
        np.concatenate([rng.integers(5, 40, num_sites).astype(float), np.zeros(len(pairs))]),
        np.concatenate([rng.integers(0, 2, num_sites), rng.integers(1, 9, len(pairs))]).astype(float),
        np.concatenate([-capacity, np.zeros(num_sites), need]),
        np.full(num, -1), counted, num_open, single,
    )  # fmt: skip


def shares_of(location: Location, flow: np.ndarray) -> np.ndarray:
    return np.where(location.arc >= 0, flow[location.arc], 0.0) / location.need[:, None]


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"same_size": True},
        {"whole": True},
        {"whole": True, "num_open": 4},
        {"num_open": 4, "same_size": True},
    ],
)
def test_location_is_closed(kind: dict) -> None:
    found = 0
    for seed in range(5):
        network = random_location(seed, **kind)
        location = location_of(network)
        assert location is not None
        own = watch()
        flow, best = solve_location(location, own), optimum(network)
        assert (flow is None) == (best is None)
        if flow is not None:
            assert_is_plan(network, flow)
            assert location.cost(shares_of(location, flow)) == pytest.approx(best)
            assert own.bound == pytest.approx(best)
            found += 1
    assert found >= 3


def test_every_price_gives_a_bound_and_fixing_keeps_the_optimum() -> None:
    for seed in range(12):
        network = random_location(seed, whole=seed % 2 == 0, same_size=seed % 3 == 0)
        best = solve_milp(build_network_model(network).milp, watch())
        p = location_of(network)
        assert p is not None
        if best.objective is None or best.x is None:
            continue
        bound = LocationBound(p.fixed, p.capacity, p.need, p.serve, p.whole, p.num_open, p.least_open)
        prices = bound.improve(watch())
        assert prices.bound <= best.objective + 1e-6
        allowed, must = bound.left(prices, best.objective)
        used = build_network_model(network).used[:6]
        is_open = best.x[used] > 0.5
        assert (is_open <= allowed).all()
        assert (must <= is_open).all()


def test_a_network_with_something_between_is_no_location() -> None:
    assert location_of(random_network(0)) is None
    network = random_location(0)
    grouped = replace(network, group=np.where(network.counted, 0, -1))
    assert location_of(grouped) is None


def test_fewest_items() -> None:
    sizes = np.array([2.0, 5.0, 3.0])
    assert [fewest(sizes, total) for total in (5.0, 5.1, 8.0, 10.0, 11.0)] == [1, 2, 2, 3, 4]

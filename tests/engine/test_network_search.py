"""The network search on small random networks: book-keeping, feasibility, determinism, oracle."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from optimize.engine import network_design
from optimize.engine import network_search as kernel
from optimize.engine.network_data import Network, arcs_of, empty_loads
from optimize.engine.network_design import (
    SHARES,
    Design,
    DesignSearch,
    SearchSettings,
    cumulated_shares,
    loads_of,
)
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions

GRADES, SIZES, STEPS, PERIODS = 2, 3, 2, 3


def random_network(seed: int, customers: int = 6, budget: float = 400.0) -> Network:
    """Two sources, a few junctions and customers on a random tree with some chords."""
    rng = np.random.default_rng(seed)
    sources, junctions = 2, 3
    nodes = sources + junctions + customers
    order = rng.permutation(nodes)
    tail = np.array([order[rng.integers(0, k)] for k in range(1, nodes)] + list(rng.integers(0, nodes, 4)))
    head = np.array(list(order[1:]) + [(t + 1 + rng.integers(0, nodes - 1)) % nodes for t in tail[-4:]])
    edges = len(tail)
    first, tip, edge, sign = arcs_of(nodes, tail, head)
    length = rng.uniform(1.0, 5.0, edges)
    capacity = np.array([0.0, 10.0, 25.0, 70.0, np.inf])
    pipe_cost = length[:, None, None] * np.array([0.0, 4.0, 7.0, 12.0, 1e9]) * np.ones((1, GRADES, 1))
    step_capacity = np.broadcast_to(np.array([0.0, 20.0, 60.0]), (sources, GRADES, STEPS + 1)).copy()
    step_cost = np.broadcast_to(np.array([0.0, 15.0, 30.0]), (sources, GRADES, STEPS + 1)).copy()
    need = rng.integers(0, 2, customers)
    demand = rng.uniform(3.0, 12.0, (customers, 1)) * rng.uniform(0.8, 1.2, (customers, PERIODS))
    at = np.full(nodes, -1, np.int64)
    at[:sources] = np.arange(sources)
    none = np.zeros(0)
    return Network(
        first, tip, edge, sign, np.array([100.0, 165.0, 100.0]), capacity, np.zeros((edges, GRADES)), pipe_cost,
        np.where(pipe_cost < 1e8, pipe_cost, 0.0)[..., None].copy(), np.zeros((edges, GRADES), np.int64),
        np.full((edges, GRADES), SIZES), np.repeat(length[:, None] * 1e-5, 2, axis=1),
        np.arange(sources), at, rng.uniform(20, 60, (sources, PERIODS)),
        np.broadcast_to(np.array([1.0, 1.3]), (sources, GRADES)).copy(), np.zeros((sources, GRADES)),
        step_capacity, step_cost, step_cost[..., None].copy(), np.zeros((sources, GRADES), np.int64),
        np.full((sources, GRADES), STEPS), np.broadcast_to(np.array([1e-3, 3e-3]), (sources, GRADES)).copy(),
        np.arange(nodes - customers, nodes), rng.uniform(0.5, 2.0, customers),
        rng.uniform(0.5, 2.0, (customers, 1)), np.ones(customers, np.int64),
        np.arange(customers + 1), np.arange(customers), np.arange(GRADES)[None, :] >= need[:, None],
        demand, 0.5 * demand, np.repeat(rng.uniform(0.01, 0.03, (customers, 1)), GRADES, axis=1),
        np.array([budget]), np.zeros(customers + 1, np.int64), np.zeros(0, np.int64), none, none,
        np.zeros(0, np.int64), none, none, np.zeros(0, np.int64), np.zeros((customers, GRADES, 0)),
        np.zeros((sources, GRADES, 0)),
        np.array([[k for k in range(customers) if k != j] for j in range(customers)], np.int64),
    )  # fmt: skip


def watch(seconds: float = 60.0) -> Watch:
    return Watch(SolveOptions(time_limit_s=seconds), maximise=True)


def searched(network: Network, seed: int = 0, iterations: int = 300) -> Design:
    search = DesignSearch(network, seed)
    search.construct(watch())
    search.improve(watch(), iterations)
    return search.design()


def worth(network: Network, design: Design) -> float:
    """Worth of a design from its assignment alone, by other means than the kernels'."""
    plan = design.assignment
    flow = np.zeros((*network.pipe_existing.shape, PERIODS))
    made = np.zeros((*network.unit_cost.shape, PERIODS))
    total = 0.0
    for q in np.flatnonzero(plan.served[network.customer_of]):
        grade = plan.grade[q]
        if grade < 0:
            continue
        node = network.source_node[plan.source[q]]
        for arc in plan.path[q, : plan.path_length[q]]:
            assert network.first_arc[node] <= arc < network.first_arc[node + 1], "path is broken"
            flow[network.arc_edge[arc], grade] += network.arc_sign[arc] * plan.take[q]
            node = network.arc_tip[arc]
        assert node == network.customer_node[network.customer_of[q]]
        made[plan.source[q], grade] += plan.take[q]
        total += network.unit_value[q, grade] * (plan.take[q] @ network.weight)
    total -= network.connect_cost[plan.served > 0].sum()
    along, against = network.flow_cost.T[:, :, None, None]
    total -= ((np.maximum(flow, 0) * along + np.maximum(-flow, 0) * against) @ network.weight).sum()
    total -= ((made @ network.weight) * network.unit_cost).sum()
    e, g = np.indices(design.size.shape)
    p, h = np.indices(design.step.shape)
    total -= network.pipe_cost[e, g, design.size].sum() + network.step_cost[p, h, design.step].sum()
    assert (np.abs(flow).max(axis=2) <= network.size_capacity[design.size] + 1e-6).all()
    assert (made.max(axis=2) <= network.step_capacity[p, h, design.step] + 1e-6).all()
    raw = (made * network.raw_per_unit[:, :, None]).sum(axis=1)
    assert (raw <= network.raw_available + 1e-6).all()
    return float(total)


@pytest.mark.parametrize("seed", range(6))
def test_worth_and_capacities_hold(seed: int) -> None:
    network = random_network(seed)
    design = searched(network)
    assert design.violation == 0.0
    assert worth(network, design) == pytest.approx(design.net, abs=1e-6)


def test_same_seed_same_design_and_taken_apart_nothing_is_left() -> None:
    network = random_network(3)
    first, second = searched(network, 7), searched(network, 7)
    assert first.net == second.net
    assert (first.size == second.size).all()
    loads = loads_of(network, first.assignment)
    plan = first.assignment
    for customer in range(len(plan.served)):
        kernel.remove_customer(network, loads, plan, customer)
    for left, fresh in zip(loads, empty_loads(network), strict=True):
        assert np.allclose(left, fresh, atol=1e-6)


@pytest.mark.parametrize("budget", [0.0, 20.0, 60.0, 150.0])
def test_budget_is_kept_and_more_money_is_not_worse(budget: float) -> None:
    poor, rich = random_network(1, budget=budget), random_network(1, budget=2 * budget + 10)
    low, high = searched(poor, iterations=600), searched(rich, iterations=600)
    assert low.violation == 0.0
    assert loads_of(poor, low.assignment).spent[0] <= budget + 1e-6
    assert high.net >= low.net - 0.02 * abs(low.net)


def test_a_hard_group_is_reached_even_at_a_loss() -> None:
    network = random_network(2)
    dear = network._replace(
        unit_value=network.unit_value * 0.01,
        first_group=np.arange(len(network.customer_node) + 1),
        group_of=np.zeros(len(network.customer_node), np.int64),
        group_need=np.array([2.0]), group_price=np.array([1e6]), group_hard=np.array([1]),
    )  # fmt: skip
    design = searched(dear)
    assert design.violation == 0.0
    assert design.assignment.served.sum() == 2
    assert design.net < 0


def test_an_effect_is_reached() -> None:
    network = random_network(4)
    delivered = np.ones((*network.unit_value.shape, 1))
    volume = 0.5 * float((network.demand @ network.weight).sum())
    asked = network._replace(
        unit_value=network.unit_value * 0.05, effect_delivered=delivered,
        effect_made=np.zeros((*network.unit_cost.shape, 1)), effect_need=np.array([volume]),
        effect_price=np.array([1.0]), effect_hard=np.array([1]),
    )  # fmt: skip
    free = searched(asked._replace(effect_hard=np.array([0]), effect_price=np.array([0.0])))
    design = searched(asked, iterations=600)
    assert design.violation == 0.0
    assert loads_of(asked, design.assignment).effect[0] >= volume - 1e-6
    assert design.net <= free.net + 1e-6


def line(budget: float = 1e6) -> Network:
    """Source - junction - two customers; small enough to enumerate who is served."""
    network = random_network(0, customers=2)
    tail, head = np.array([0, 2, 2]), np.array([2, 3, 4])
    first, tip, edge, sign = arcs_of(5, tail, head)
    length = np.array([4.0, 1.0, 2.0])
    cost = length[:, None, None] * np.array([0.0, 4.0, 7.0, 12.0, 1e9]) * np.ones((1, GRADES, 1))
    return network._replace(
        first_arc=first, arc_tip=tip, arc_edge=edge, arc_sign=sign, pipe_cost=cost,
        pipe_spend=np.where(cost < 1e8, cost, 0.0)[..., None].copy(), pipe_existing=np.zeros((3, GRADES)),
        pipe_min=np.zeros((3, GRADES), np.int64), pipe_max=np.full((3, GRADES), SIZES),
        flow_cost=np.zeros((3, 2)), source_node=np.array([0, 1]), source_at=np.array([0, 1, -1, -1, -1]),
        customer_node=np.array([3, 4]), accepts=np.ones((2, GRADES), bool),
        raw_available=np.full((2, PERIODS), 200.0), demand=np.array([[8.0] * 3, [9.0] * 3]),
        least_take=np.array([[8.0] * 3, [9.0] * 3]), unit_cost=np.zeros((2, GRADES)),
        connect_cost=np.zeros(2), connect_spend=np.zeros((2, 1)), unit_value=np.full((2, GRADES), 0.02),
        budget=np.array([budget]),
    )  # fmt: skip


@pytest.mark.parametrize("budget", [1e6, 52.0, 38.0, 30.0])
@pytest.mark.parametrize("value", [0.001, 0.01, 0.02, 0.05])
def test_agrees_with_enumeration_on_a_line(budget: float, value: float) -> None:
    network = line(budget)._replace(unit_value=np.full((2, GRADES), value))
    best = 0.0
    for served in product((0, 1), repeat=2):
        flows = np.array([8.0 * served[0] + 9.0 * served[1], 8.0 * served[0], 9.0 * served[1]])
        size = np.searchsorted(network.size_capacity[:4], flows)
        step = int(np.searchsorted(network.step_capacity[0, 0], flows[0]))
        cost = network.pipe_cost[np.arange(3), 0, size].sum() + network.step_cost[0, 0, step]
        if cost <= budget:
            best = max(best, value * 365.0 * flows[0] - cost)
    assert searched(network).net == pytest.approx(best, abs=1e-6)


def test_two_flows_that_cancel_out_do_not_hide_an_overload() -> None:
    network = line()
    loads = loads_of(network, searched(network).assignment)
    assert (loads.size < len(network.size_capacity) - 1).all()


@pytest.mark.parametrize("seed", range(3))
def test_scouts_go_ahead_the_best_is_kept_and_it_repeats(seed: int) -> None:
    network = random_network(seed, budget=60.0)
    values = []
    for scouts in (0, 3, 3):
        search = DesignSearch(network, 0)
        search.construct(watch())
        first = search.net
        search.improve_in_rounds(watch(), 400, scouts)
        assert search.iterations == 400 + 100 * scouts
        design = search.design()
        assert worth(network, design) == pytest.approx(design.net, abs=1e-6)
        assert design.net >= first
        values.append(design.net)
    assert values[0] <= values[1] == values[2]


@pytest.mark.parametrize("move", SHARES)
def test_each_move_keeps_the_accounts(move: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one move alone: what it adds up is what a count from scratch finds, and it changes the plan."""
    monkeypatch.setattr(network_design, "SHARES", {name: float(name == move) for name in SHARES})
    changed = 0.0
    for seed in range(4):
        network = random_network(seed, customers=12, budget=90.0)
        search = DesignSearch(network, seed, SearchSettings(starts=False))
        search.construct(watch())
        first = search.net
        search.improve(watch(), 200)
        counted = loads_of(network, search._plan)
        for kept, fresh in zip(search.loads, counted, strict=True):
            assert np.allclose(kept, fresh, atol=1e-6)
        assert (search._work.mark == 0).all()
        assert [int(x[0]) for x in (search._work.opened, search._work.closed, search._work.forced)] == [
            -1
        ] * 3
        design = search.design()
        assert design.violation == 0.0
        assert worth(network, design) == pytest.approx(design.net, abs=1e-6)
        changed += design.net - first
    assert changed > 0.0


def test_moves_left_out_leave_their_share_to_the_others() -> None:
    none = SearchSettings(trunks=False, episodes=False, forced=False)
    assert cumulated_shares(none, num_sources=2).tolist() == [1.0] * 5
    shares = cumulated_shares(SearchSettings(forced=False), num_sources=2)
    assert shares[-1] == pytest.approx(1.0)
    assert (np.diff(shares) > 0).all()
    assert cumulated_shares(SearchSettings(), num_sources=0)[2:].tolist() == pytest.approx(
        [shares_without_sources()] * 3
    )


def shares_without_sources() -> float:
    """Share of all moves but those that open or close a source and that which forces customers in."""
    others = SHARES["area"] + SHARES["trunk"] + SHARES["source"]
    return others / (others + SHARES["force"])


def test_short_of_time_both_phases_get_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[bool, float]] = []
    improve = kernel.improve

    def recorded(*arguments: Any) -> int:
        calls.append((arguments[-1], arguments[-3]))
        return improve(*arguments)

    monkeypatch.setattr(kernel, "improve", recorded)
    search = DesignSearch(random_network(0), 0)
    search.construct(watch())
    search.improve(watch(0.4), 10**7)
    heat = [value for strict, value in calls if not strict]
    assert 0 < len(heat) < len(calls)
    assert heat[-1] < 0.6 * heat[0]
    assert search.violation == 0.0


def test_stops_when_told() -> None:
    search = DesignSearch(random_network(0), 0)
    search.construct(watch(0.0))
    search.improve(watch(0.0), 1000)
    assert search.iterations == 0
    assert search.design().violation == 0.0

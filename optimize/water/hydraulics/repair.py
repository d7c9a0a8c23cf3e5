"""Larger diameters, more head at the plants and pumping stations on the way, until nothing is broken.

In a tree the plan's water fixes every flow, so heads are linear in what is chosen: one small mixed-integer
programme for each system that breaks something finds its cheapest works exactly.

    min   sum cost[l,d] x[l,d] + sum (fixed[l] y[l] + per_m[l] b[l]) + sum per_m[s] head at source s
    s.t.  sum_d x[l,d] = 1
          h[up(l)] + b[l] - h[down(l)] = sum_d loss[l,d] x[l,d]          (friction)
          level[n] + least[n] <= h[n] <= level[n] + largest                (pressure)
          h[up(l)] + b[l] <= level[up(l)] + largest,  b[l] <= largest y[l] (pumping stations)

Only diameters that keep the velocity and carry no less than the plan's own stand for choice.  In a ring the
pipe with the least flow is left out of (friction), and flows move with the diameters: EPANET looks at the
result, and what is still broken is repaired again from its flows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import minimum_spanning_tree

from optimize.engine.highs import solve_milp
from optimize.engine.stopping import Watch
from optimize.milp import Milp, MilpBuilder
from optimize.programme import SolveOptions
from optimize.water.hydraulics.design import KWH_PER_M3_AND_M, State, operate
from optimize.water.hydraulics.friction import losses_m, velocities_m_per_s
from optimize.water.hydraulics.network import MEAN, PEAK, BoolArray, FloatArray, IntArray, Network

_MOST_ROUNDS = 6
_GAP = 1e-3
_SECONDS_PER_SYSTEM = 20.0
# Kept from every limit, so that rounding of EPANET's results breaks none.
_MARGIN_M = 0.1
_MARGIN_M_PER_S = 0.01


@dataclass(frozen=True)
class Prices:
    """What works cost a planner who looks for the cheapest ones.

    Attributes
    ----------
    pipe_cny : shape (lines, diameters of the catalogue), a new pipe.
    station_cny, station_cny_per_kw : shape (lines,), a pumping station on a line, and its power.
    energy_cny_per_kwh_a : CNY for each kWh a year of pumping; 0: energy does not count.
    pump_efficiency : of pump and motor.
    """

    pipe_cny: FloatArray
    station_cny: FloatArray
    station_cny_per_kw: FloatArray
    energy_cny_per_kwh_a: float
    pump_efficiency: float


@dataclass(frozen=True)
class Repaired:
    """The end of a repair.

    Attributes
    ----------
    state : of the network as it is then; its violations are what no works repair.
    rounds : of sizing and simulating.
    """

    state: State
    rounds: int


def repair(
    state: State, prices: Prices, told: Callable[[int, int], None] = lambda round_, left: None
) -> Repaired:
    """Repair every system that breaks something; ``told`` hears of each round and the violations before it."""
    for round_ in range(_MOST_ROUNDS):
        broken = sorted(set(state.violations["system"].astype(int)))
        told(round_, len(state.violations))
        if not broken:
            return Repaired(state, round_)
        network = state.network
        diameter = network.lines["diameter"].to_numpy(object).copy()
        booster = network.lines["booster_m"].to_numpy(float).copy()
        for system in broken:
            lines = _lines_of(network, system)
            works = _sized(state, system, lines, prices)
            if works is not None:
                diameter[lines], booster[lines] = works
        same = (diameter == network.lines["diameter"]).all() and np.allclose(
            booster, network.lines["booster_m"]
        )
        if same:
            return Repaired(state, round_)
        state = operate(network.with_works(list(diameter), booster, state.line_flow_m3_per_s))
    return Repaired(state, _MOST_ROUNDS)


def _lines_of(network: Network, system: int) -> IntArray:
    own = network.nodes["system"].to_numpy(int)[network.lines["start"].to_numpy(int)]
    return np.asarray(np.flatnonzero(own == system), np.int64)


def _sized(state: State, system: int, lines: IntArray, prices: Prices) -> tuple[list[str], FloatArray] | None:
    """Diameters and heads of pumping stations of one system's lines; None: nothing keeps the limits."""
    sizing = _Sizing(state, system, lines, prices)
    options = SolveOptions(gap=_GAP, time_limit_s=_SECONDS_PER_SYSTEM)
    outcome = solve_milp(sizing.milp, Watch(options, maximise=False))
    return None if outcome.x is None else sizing.works(outcome.x)


class _Sizing:
    """The programme of one system."""

    def __init__(self, state: State, system: int, lines: IntArray, prices: Prices) -> None:
        network = state.network
        self.network, self.lines = network, lines
        self.flow = state.line_flow_m3_per_s[:, lines]
        self.names = ["", *network.catalogue.ids]
        self.allowed = self._allowed()
        nodes = np.flatnonzero(network.nodes["system"].to_numpy(int) == system)
        self._build(nodes, prices)

    def _allowed(self) -> BoolArray:
        """(lines, "" and diameters): the plan's own, or a larger one that is fast enough; all settled ones stay."""
        network, own = self.network, self.network.lines.iloc[self.lines]
        position = np.array([self.names.index(name) for name in own["diameter"]])
        speed = np.maximum(
            *(velocities_m_per_s(network, flow).to_numpy() for flow in self._on_all_lines())
        )[self.lines]  # fmt: skip
        keeps = speed <= network.standards.max_velocity_m_per_s - _MARGIN_M_PER_S
        capacity = np.concatenate([[0.0], network.catalogue.capacity_m3_per_d])
        larger = (np.arange(len(self.names)) >= position[:, None]) & (capacity >= capacity[position][:, None])
        present = np.arange(len(self.names)) == position[:, None]
        free = ~own["settled"].to_numpy(bool)[:, None] & (self.flow[PEAK] != 0)[:, None]
        allowed: BoolArray = np.where(free, larger & keeps, present)
        # where nothing is large enough the largest there is; EPANET will tell what it breaks
        allowed[~allowed.any(axis=1), -1] = True
        return allowed

    def _on_all_lines(self) -> FloatArray:
        flow = np.zeros((2, len(self.network.lines)))
        flow[:, self.lines] = self.flow
        return flow

    def _build(self, nodes: IntArray, prices: Prices) -> None:
        network, own = self.network, self.network.lines.iloc[self.lines]
        level = network.nodes["level_m"].to_numpy(float)[nodes]
        served = (network.use[PEAK] > 0)[nodes] | ~network.nodes["is_user"].to_numpy(bool)[nodes]
        least = np.where(served, network.nodes["least_m"].to_numpy(float)[nodes], 0.0)
        most = network.standards.max_pressure_m
        row = np.full(len(network.nodes), -1)
        row[nodes] = np.arange(len(nodes))
        forward = self.flow[PEAK] >= 0
        ends = row[own[["start", "end"]].to_numpy(int)]
        up, down = np.where(forward, ends[:, 0], ends[:, 1]), np.where(forward, ends[:, 1], ends[:, 0])
        built = MilpBuilder(maximise=False)
        self.head = built.add_columns(
            "head", len(nodes), lower=level + least + _MARGIN_M, upper=level + most - _MARGIN_M,
            cost=self._cost_of_head(nodes, prices),
        )  # fmt: skip
        self.line, self.option = np.nonzero(self.allowed)
        cost = np.column_stack([np.zeros(len(network.lines)), prices.pipe_cny])[self.lines]
        self.laid = built.add_columns(
            "laid", len(self.line), upper=1.0, cost=cost[self.line, self.option], integral=True
        )
        fixed, per_m = self._cost_of_stations(prices)
        # a station is built and paid with a new pipe of ours, so there has to be one
        ours = (own["diameter"] != "").to_numpy(bool) & ~own["settled"].to_numpy(bool)
        self.boost = built.add_columns("boost", len(self.lines), upper=np.where(ours, most, 0.0), cost=per_m)
        stands = built.add_columns("stands", len(self.lines), upper=1.0, cost=fixed, integral=True)
        built.add_rows("one_diameter", len(self.lines), [(self.line, self.laid, 1.0)], lower=1.0, upper=1.0)
        self._add_friction(built, up, down)
        built.add_rows(
            "station_stands", len(self.lines), [(None, self.boost, 1.0), (None, stands, -most)], upper=0.0
        )
        built.add_rows(
            "station_below_limit", len(self.lines), [(None, self.head[up], 1.0), (None, self.boost, 1.0)],
            upper=level[up] + most - _MARGIN_M,
        )  # fmt: skip
        self.milp: Milp = built.build()

    def _add_friction(self, built: MilpBuilder, up: IntArray, down: IntArray) -> None:
        loss = losses_m(self.network, self._on_all_lines()[PEAK]).to_numpy()[self.lines]
        in_tree = self._tree(up, down)
        place = np.full(len(self.lines), -1)
        place[in_tree] = np.arange(len(in_tree))
        chosen = place[self.line] >= 0
        each = np.arange(len(in_tree))
        built.add_rows(
            "friction",
            len(in_tree),
            [
                (each, self.head[up[in_tree]], 1.0),
                (each, self.head[down[in_tree]], -1.0),
                (each, self.boost[in_tree], 1.0),
                (place[self.line[chosen]], self.laid[chosen], -loss[self.line[chosen], self.option[chosen]]),
            ],
            lower=0.0,
            upper=0.0,
        )

    def _tree(self, up: IntArray, down: IntArray) -> IntArray:
        """Lines that join all nodes without a ring, those with most flow."""
        number = int(max(up.max(initial=0), down.max(initial=0))) + 1
        low, high = np.minimum(up, down), np.maximum(up, down)
        # the one with most flow of lines side by side; a weight of 0 would be no edge
        weight = 2.0 - np.abs(self.flow[PEAK]) / max(float(np.abs(self.flow[PEAK]).max(initial=0.0)), 1e-12)
        order = np.lexsort((weight, high, low))
        first = np.ones(len(order), np.bool_)
        first[1:] = (np.diff(low[order]) != 0) | (np.diff(high[order]) != 0)
        single = order[first]
        graph = sp.csr_array(
            sp.coo_array((weight[single], (low[single], high[single])), shape=(number, number))
        )
        kept = minimum_spanning_tree(graph).tocoo()
        chosen = set(zip(kept.row.tolist(), kept.col.tolist(), strict=True))
        return np.array([k for k in single.tolist() if (int(low[k]), int(high[k])) in chosen], dtype=np.int64)

    def _cost_of_head(self, nodes: IntArray, prices: Prices) -> FloatArray:
        """CNY for each m of head at the sources, on the average day as the flow's resistance goes."""
        network = self.network
        supply = np.zeros((2, len(network.nodes)))
        for load in (PEAK, MEAN):
            np.add.at(supply[load], network.sources["node"].to_numpy(int), network.supply[load])
        share = supply[MEAN].sum() / max(float(supply[PEAK].sum()), 1e-12)
        kwh_per_m = supply[MEAN] * share**2 * 3600.0 * 8760.0 * KWH_PER_M3_AND_M / prices.pump_efficiency
        found: FloatArray = (kwh_per_m * prices.energy_cny_per_kwh_a)[nodes]
        return found

    def _cost_of_stations(self, prices: Prices) -> tuple[FloatArray, FloatArray]:
        """CNY of each line's pumping station, and for each m of its head."""
        peak, mean = np.abs(self.flow)
        kw_per_m = peak * 3600.0 * KWH_PER_M3_AND_M / prices.pump_efficiency
        share = mean / np.maximum(peak, 1e-12)
        kwh_per_m = mean * share**2 * 3600.0 * 8760.0 * KWH_PER_M3_AND_M / prices.pump_efficiency
        per_m = kw_per_m * prices.station_cny_per_kw[self.lines] + kwh_per_m * prices.energy_cny_per_kwh_a
        return prices.station_cny[self.lines], per_m

    def works(self, x: FloatArray) -> tuple[list[str], FloatArray]:
        """Diameter of each line, and the head of its pumping station (0: none)."""
        chosen = np.flatnonzero(x[self.laid] > 0.5)
        diameter = [""] * len(self.lines)
        for k in chosen.tolist():
            diameter[int(self.line[k])] = self.names[int(self.option[k])]
        boost = x[self.boost]
        return diameter, np.where(boost > _MARGIN_M, boost, 0.0)

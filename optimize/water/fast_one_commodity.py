"""The instance as one commodity in a network of fixed and unit costs, where it is nearly that.

One period (or equal ones), one quality, every user served in full: then plants, pipes and users are sources, arcs and
demands, and `optimize.engine.fixed_charge_solve` closes cases that branch and cut on the whole model does not.
Rows that tie works together otherwise (budgets, counts, pairs) are left out: what bounds the network
bounds the instance, and the network's plan is a plan if the whole model, its works and idle pipes held, says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimize.engine import cut_set_kernels, send_and_split
from optimize.engine.fixed_charge import NEGLIGIBLE, FixedChargeNetwork
from optimize.engine.fixed_charge_solve import solve_fixed_charge
from optimize.engine.highs import solve_milp
from optimize.engine.stopping import Watch
from optimize.result import relative_gap
from optimize.water.coefficients import Coefficients, derive_coefficients
from optimize.water.fast_layout import FlowModel, Part, position_of
from optimize.water.fast_locks import LockedDecisions, locked_decisions
from optimize.water.fast_steps import Solve
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray
from optimize.water.merged_periods import merge_periods

GOALS = ("cost", "npv")
CERTIFY_SECONDS = 60.0
"""A network's plan in hand is made a plan of the instance even where the time is up."""
ROUNDING = 2e-10
"""Share of a sum by which a bound is taken wider than computed."""
EXACT = 1e-9
SMALL_SHARE = 0.1
"""Of the wanted gap, where what users bring stands against the cost: the sum may be small."""


@dataclass(frozen=True)
class OneCommodity:
    """The network, what every plan costs besides, and which columns of the model each arc stands for (-1: none)."""

    network: FixedChargeNetwork
    constant: float
    flow: IntArray
    pipe: IntArray
    module: IntArray


def is_one_commodity(instance: Instance, goal: str) -> bool:
    """Whether the instance is a network of one commodity for this goal."""
    told = len(instance.locks) + len(instance.plan_in_force)
    if goal not in GOALS or len(instance.storage_sites) or not told:
        return False  # nobody has to be served; and the whole of a large instance need not be derived
    c = merge_periods(derive_coefficients(instance))
    return _serves_all_with_one(instance, c, locked_decisions(instance, c))


def solve_as_network(solve: Solve) -> None:
    """Bound and plan of the goal at hand by its network, where the instance is one; else nothing."""
    if solve.goal not in GOALS or not _serves_all_with_one(solve.instance, solve.c, solve.locks):
        return
    model = solve.model_of(Part.whole(solve.c))
    found = one_commodity_of(solve.instance, model)
    if found is None:
        return
    watch = _NetworkWatch(solve, found.constant)
    outcome = solve_fixed_charge(found.network, watch)
    if outcome.flow is not None:
        _certify(solve, model, found, outcome.flow)
    if _is_same(solve.watch.bound, solve.watch.plan):
        solve.offer_bound(solve.value)


def _is_same(bound: float | None, plan: float | None) -> bool:
    """Whether nothing but rounding lies between a bound and a plan."""
    gap = relative_gap(plan, bound)
    return gap is not None and gap <= EXACT


def compile_kernels() -> None:
    """Compile (or load from the cache on disk) what `solve_as_network` needs."""
    cut_set_kernels.compile_kernels()
    send_and_split.compile_kernels()


class _NetworkWatch(Watch):
    """The watch of a network: what it proves is passed on as a bound of the goal."""

    def __init__(self, solve: Solve, constant: float) -> None:
        super().__init__(solve.watch.options, maximise=False)
        self._started = solve.watch._started
        self._deadline = solve.watch._deadline
        self._solve, self._constant = solve, constant
        self.gap = solve.watch.gap * (SMALL_SHARE if constant < 0 else 1.0)

    def offer_bound(self, value: float) -> None:
        super().offer_bound(value)
        total = value + self._constant
        self._solve.offer_bound(-(total - ROUNDING * (abs(value) + abs(self._constant))))


def _serves_all_with_one(instance: Instance, c: Coefficients, locks: LockedDecisions) -> bool:
    """One period, one quality in use, and every user must be served by pipe in full."""
    if len(c.days) != 1 or c.days[0] <= 0 or instance.parameters.phased:
        return False
    if len(c.storage) or len(c.cascades) or len(np.flatnonzero(c.can_treat.any(axis=0))) != 1:
        return False
    quality = int(c.can_treat.any(axis=0).argmax())
    asks = c.demand_m3_per_d[0, :, 0] > 0
    must = locks.connected_must.copy()
    must[locks.any_way_of] |= ~locks.tanker_may[locks.any_way_of]
    served = must[c.demand_user] & (c.min_take_share >= 1.0) & c.accepts[:, quality]
    return bool(asks.any() and served[asks].all())


def one_commodity_of(instance: Instance, model: FlowModel) -> OneCommodity | None:
    """The network of an instance that `_serves_all_with_one`; None where a flow or a work would earn money."""
    arcs = _Arcs(model, -model.milp.cost)
    arcs.add_lanes()
    demand = arcs.add_plants()
    c = model.c
    np.add.at(demand, c.user_node[c.demand_user], c.demand_m3_per_d[0, :, 0])
    single = np.zeros(len(demand), np.bool_)
    single[c.user_node] = c.single_feed
    tail, head, flow, pipe, module = (np.array(part, np.int64) for part in arcs.places)
    capacity, fixed, unit = (np.array(part, float) for part in arcs.amounts)
    if (fixed < 0).any() or (unit < 0).any() or not np.isfinite(arcs.constant):
        return None
    exact = instance.parameters.num_plants_exact
    network = FixedChargeNetwork(
        tail, head, capacity, fixed, unit, demand, np.array(arcs.group, np.int64), module >= 0,
        exact if exact > 0 else None, single,
    )  # fmt: skip
    return OneCommodity(network, arcs.constant, flow, pipe, module)


class _Arcs:
    """Collects the arcs of the network, and what all plans cost alike."""

    def __init__(self, model: FlowModel, cost: FloatArray) -> None:
        self._model, self._c, self._cost = model, model.c, cost
        self.places: tuple[list[int], ...] = ([], [], [], [], [])
        self.amounts: tuple[list[float], ...] = ([], [], [])
        self.group: list[int] = []
        self._num_groups = 0
        self.constant = -model.milp.offset + self._cost_of_others()

    def _cost_of_others(self) -> float:
        """Least that everything besides arcs costs; all demands are delivered."""
        m, c, milp = self._model, self._c, self._model.milp
        demand = c.demand_m3_per_d[0, m.delivered_at[:, 0], 0]
        sum_of = float(self._cost[m.connected].sum() + self._cost[m.delivered[:, 0]] @ demand)
        others = np.ones(milp.num_columns, np.bool_)
        for columns in (m.pipe, m.module, m.connected, m.flow, m.product, m.delivered):
            others[columns] = False
        cost = self._cost[others]
        side = np.where(cost > 0, milp.lower[others], milp.upper[others])
        return sum_of + float((cost * np.where(cost == 0, 0.0, side)).sum())

    def _add(
        self, tail: int, head: int, capacity: float, fixed: float, unit: float, *, flow: int = -1,
        pipe: int = -1, module: int = -1, group: int = -1,
    ) -> None:  # fmt: skip
        for part, value in zip(self.places, (tail, head, flow, pipe, module), strict=True):
            part.append(value)
        for amounts, amount in zip(self.amounts, (capacity, fixed, unit), strict=True):
            amounts.append(amount)
        self.group.append(group)

    def _works(self, columns: IntArray) -> tuple[list[tuple[int, float]], int]:
        """Works that may be built, with their price, and their group; what must stand is paid by all plans."""
        milp = self._model.milp
        open_works = []
        for column in columns[milp.upper[columns] > 0.5]:
            stands = milp.lower[column] > 0.5
            self.constant += self._cost[column] if stands else 0.0
            open_works.append((int(column), 0.0 if stands else float(self._cost[column])))
        if len(open_works) < 2:
            return open_works, -1
        self._num_groups += 1
        return open_works, self._num_groups - 1

    def add_lanes(self) -> None:
        """Corridors: an existing pipe, and each size that may be laid, in each direction that is open."""
        m, c = self._model, self._c
        ends = (c.corridor_from, c.corridor_to)
        shape = c.shape
        lane = position_of(m.lane_at[:, 0] * shape["G"] + m.lane_at[:, 1],
                           m.pipe_at[:, 0] * shape["G"] + m.pipe_at[:, 1], shape["E"] * shape["G"])  # fmt: skip
        order = np.argsort(lane, kind="stable")
        first = np.searchsorted(lane[order], np.arange(len(m.lane_at) + 1))
        for k, (e, g) in enumerate(m.lane_at.tolist()):
            own = order[first[k] : first[k + 1]]
            size = dict(
                zip(m.pipe[own].tolist(), c.pipe_capacity_m3_per_d[m.pipe_at[own, 2]].tolist(), strict=True)
            )
            works, group = self._works(m.pipe[own])
            for direction in (0, 1):
                column = int(m.flow[direction, k, 0])
                if m.milp.upper[column] <= 0:
                    continue
                tail, head = int(ends[direction][e]), int(ends[1 - direction][e])
                unit = float(self._cost[column])
                existing = float(c.existing_pipe_m3_per_d[e, g])
                if existing > 0:
                    self._add(tail, head, existing, 0.0, unit, flow=column)
                for pipe, price in works:
                    self._add(tail, head, size[pipe], price, unit, flow=column, pipe=pipe, group=group)

    def add_plants(self) -> FloatArray:
        """Plants, with a node of their effluent each where something is decided; returns demand by node."""
        m, c = self._model, self._c
        demand = np.zeros(len(c.node_ids) + len(m.product_at))
        for k, (p, g) in enumerate(m.product_at.tolist()):
            node, raw = int(c.plant_node[p]), len(c.node_ids) + k
            supply = float(c.available_m3_per_d[p, 0] * c.recovery[p, g])
            own = np.flatnonzero((c.module_plant[m.module_at] == p) & (c.module_quality[m.module_at] == g))
            works, group = self._works(m.module[own])
            size = dict(
                zip(
                    m.module[own].tolist(), c.module_capacity_m3_per_d[m.module_at[own]].tolist(), strict=True
                )
            )
            unit, existing = float(self._cost[m.product[k, 0]]), float(c.existing_treatment_m3_per_d[p, g])
            if not works and unit == 0.0:
                demand[node] -= min(supply, existing)
                continue
            demand[raw] -= supply
            if existing > 0:
                self._add(raw, node, existing, 0.0, unit)
            for module, price in works:
                self._add(raw, node, size[module], price, unit, module=module, group=group)
        return demand


def _certify(solve: Solve, model: FlowModel, found: OneCommodity, flow: FloatArray) -> None:
    """The whole model with the network's works built and only the ways it uses open."""
    milp, used = model.milp, flow > NEGLIGIBLE * found.network.total
    lower, upper = milp.lower.copy(), milp.upper.copy()
    free_modules = found.network.num_counted is not None  # idle ones may be needed for the count
    for columns, every in ((found.pipe, model.pipe), (found.module, model.module)):
        if every is not model.module or not free_modules:
            upper[every] = lower[every]
        built = columns[used & (columns >= 0)]
        lower[built], upper[built] = 1.0, 1.0
    closed = np.setdiff1d(model.flow, found.flow[used & (found.flow >= 0)])
    upper[closed] = 0.0
    grace = Watch(solve.watch.options, True).child(seconds=CERTIFY_SECONDS, gap=0.0)
    solve.keep(model, solve_milp(milp.with_bounds(lower, upper), grace).x)

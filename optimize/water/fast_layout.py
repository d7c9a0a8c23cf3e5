"""Columns of the array model: which part of the network it spans, where each block stands, how a plan is read.

See `optimize.water.fast_model` for the model itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from optimize.milp import ElasticRows, Milp, MilpBuilder
from optimize.water.coefficients import BoolArray, Coefficients
from optimize.water.fast_goal import MINIMISED, Kept
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray
from optimize.water.plan import PlanValues, plan_from_values
from optimize.water.solution import Solution

KEPT_SLACK = 1e-9
"""Share of an earlier goal's value that rounding may cost it."""


@dataclass(frozen=True)
class Part:
    """The part of the network a model may build; True is allowed."""

    pipe: BoolArray  # (E, G, D)
    module: BoolArray  # (K,)
    connected: BoolArray  # (U,)
    tanker: BoolArray  # (U,)

    @staticmethod
    def whole(c: Coefficients) -> Part:
        """Everything but what has no use: pipes of qualities nobody makes, and what a reduction left out."""
        shape = c.shape
        made: BoolArray = np.array(c.can_treat.any(axis=0))
        made[c.cascade_quality] = True
        pipe = np.broadcast_to(made[None, :, None], (shape["E"], shape["G"], shape["D"])).copy()
        module, connected, tanker = (
            np.ones(len(c.modules), bool),
            np.ones(shape["U"], bool),
            c.tanker_plant >= 0,
        )
        if c.reduction is not None:
            offered = c.reduction.offered
            pipe, module = pipe & offered.pipe, module & offered.module
            connected, tanker = connected & offered.connected, tanker & offered.tanker
        return Part(pipe, module, connected, tanker)


@dataclass(frozen=True)
class FlowModel:
    """Arrays of the model and where its columns are.

    A table of positions stands beside each block of columns: row k of ``pipe_at`` is (e, g, d) of
    column ``pipe[k]``, and so on; flow, product, delivered, hauled and reused have a second axis
    of periods, flow a first one of two directions.
    """

    c: Coefficients
    milp: Milp
    goal_cost: Mapping[str, FloatArray]
    pipe: IntArray
    pipe_at: IntArray
    module: IntArray
    module_at: IntArray
    connected: IntArray
    connected_at: IntArray
    tanker: IntArray
    tanker_at: IntArray
    cascade: IntArray
    zld: IntArray
    zld_at: IntArray
    pilot: IntArray
    refused: IntArray
    refused_at: IntArray
    mix: Mapping[str, IntArray]
    lane_at: IntArray
    flow: IntArray
    product: IntArray
    product_at: IntArray
    delivered: IntArray
    delivered_at: IntArray
    hauled: IntArray
    hauled_at: IntArray
    reused: IntArray
    upgraded: IntArray
    upgraded_at: IntArray
    shortfall: IntArray
    shortfall_row: IntArray
    rows_of: Mapping[str, tuple[int, int]]
    feed: IntArray
    done: IntArray
    unbalanced: IntArray
    in_force: IntArray
    elastic: Sequence[ElasticRows]

    def aimed_at(self, goal: str, kept: Sequence[Kept] = ()) -> FlowModel:
        """The model with another goal, turned so that it is maximised, and earlier goals kept."""
        milp = self.milp.with_objective(sign_of(goal) * self.goal_cost[goal], True)
        for earlier in kept:
            reached = sign_of(earlier.goal) * earlier.reached
            least = reached - KEPT_SLACK * max(1.0, abs(reached))
            row = sign_of(earlier.goal) * self.goal_cost[earlier.goal]
            milp = milp.with_row(row, least, np.inf, f"keep_{earlier.goal}")
        return replace(self, milp=milp)

    def works(self, x: FloatArray) -> Part:
        """What the plan ``x`` builds, connects and serves by tanker."""
        c = self.c
        pipe = np.zeros((len(c.corridor_ids), len(c.quality_ids), len(c.diameter_ids)), bool)
        pipe[tuple(self.pipe_at[x[self.pipe] > 0.5].T)] = True
        module = np.zeros(len(c.modules), bool)
        connected, tanker = np.zeros(len(c.user_ids), bool), np.zeros(len(c.user_ids), bool)
        module[self.module_at[x[self.module] > 0.5]] = True
        connected[self.connected_at[x[self.connected] > 0.5]] = True
        tanker[self.tanker_at[x[self.tanker] > 0.5]] = True
        return Part(pipe, module, connected, tanker)

    def all_built(self) -> Milp:
        """The model with every pipe and module of its part built and every user connected."""
        lower = self.milp.lower.copy()
        for columns in (self.pipe, self.module, self.connected):
            lower[columns] = 1.0
        return self.milp.with_bounds(lower, np.maximum(lower, self.milp.upper))

    def without_counterflows(self, x: FloatArray) -> FloatArray:
        """The plan with opposite flows of a lane cancelled: never worse, and what the plan's tables hold.

        A goal that leaves carrying costs out does not mind them; the next goal of a list does.
        """
        y = x.copy()
        y[self.flow] -= np.minimum(x[self.flow[0]], x[self.flow[1]])
        return y

    def start_from(self, other: FlowModel, x: FloatArray) -> FloatArray:
        """The plan ``x`` of a model over another part, as far as this part holds it.

        The plan stays feasible where this part contains the other one.
        """
        c, y = self.c, np.zeros(self.milp.num_columns)
        lanes = len(c.corridor_ids) * len(c.quality_ids)
        pairs = max(len(c.plant_ids), len(c.demand_ids)) * len(c.quality_ids)

        def pair(at: IntArray) -> IntArray:
            return np.asarray(at[:, 0] * len(c.quality_ids) + at[:, 1])

        blocks = [
            (pipe_row(c, other.pipe_at), pipe_row(c, self.pipe_at), other.pipe, self.pipe, len(c.pipes)),
            (other.module_at, self.module_at, other.module, self.module, len(c.modules)),
            (other.connected_at, self.connected_at, other.connected, self.connected, len(c.user_ids)),
            (other.tanker_at, self.tanker_at, other.tanker, self.tanker, len(c.user_ids)),
            (pair(other.lane_at), pair(self.lane_at), other.flow[0], self.flow[0], lanes),
            (pair(other.lane_at), pair(self.lane_at), other.flow[1], self.flow[1], lanes),
            (pair(other.product_at), pair(self.product_at), other.product, self.product, pairs),
            (pair(other.delivered_at), pair(self.delivered_at), other.delivered, self.delivered, pairs),
            (pair(other.hauled_at), pair(self.hauled_at), other.hauled, self.hauled, pairs),
        ]
        same = [(other.cascade, self.cascade), (other.zld, self.zld), (other.pilot, self.pilot),
                (other.refused, self.refused), (other.reused, self.reused), (other.feed, self.feed),
                (other.done, self.done), (other.unbalanced, self.unbalanced), (other.in_force, self.in_force)]  # fmt: skip
        for kind in self.mix:
            at = {"pipe": 0, "module": 1, "connection": 2, "tanker": 3}.get(kind)
            if at is None:
                same.append((other.mix[kind], self.mix[kind]))
            elif kind in other.mix:
                blocks.append((*blocks[at][:2], other.mix[kind], self.mix[kind], blocks[at][4]))
        for theirs, ours, from_columns, to_columns, size in blocks:
            place = position_of(ours, theirs, size)
            y[to_columns[place[place >= 0]]] = x[from_columns[place >= 0]]
        for from_columns, to_columns in same:
            y[to_columns] = x[from_columns]
        built = c.module_plant[self.module_at[y[self.module] > 0.5]]
        y[self.upgraded] = np.isin(self.upgraded_at, built)
        activity = self.milp.matrix[self.shortfall_row] @ y
        short = np.maximum(
            self.milp.row_lower[self.shortfall_row] - activity,
            activity - self.milp.row_upper[self.shortfall_row],
        )
        y[self.shortfall] = np.maximum(short, 0.0)
        return y

    def solution(self, instance: Instance, x: FloatArray) -> Solution:
        """Frames of the plan."""
        return plan_from_values(instance, self.c, self.values(x))

    def values(self, x: FloatArray, stage: int = 0) -> PlanValues:
        """Values by index; all of them belong to ``stage``."""

        def by(at: IntArray, columns: IntArray) -> dict[tuple[int, ...], float]:
            values = x[columns]
            return {
                (*(int(i) for i in np.atleast_1d(at[k])), stage): float(values[k])
                for k in np.flatnonzero(values > 0.5)
            }

        def flows(at: IntArray, columns: IntArray) -> dict[tuple[int, ...], float]:
            values = np.maximum(x[columns], 0.0)
            return {
                (*(int(i) for i in np.atleast_1d(at[k])), stage, int(t)): float(values[k, t])
                for k, t in zip(*np.nonzero(values > 1e-12), strict=True)
            }

        carried = {
            (int(self.lane_at[k, 0]), a, int(self.lane_at[k, 1]), stage, int(t)): float(x[self.flow[a, k, t]])
            for a, k, t in zip(*np.nonzero(x[self.flow] > 1e-12), strict=True)
        }
        mixes: dict[tuple[object, ...], float] = {}
        for kind, columns in self.mix.items():
            at = {"pipe": self.pipe_at, "module": self.module_at, "connection": self.connected_at,
                  "tanker": self.tanker_at, "zld": self.zld_at}.get(kind, np.arange(len(columns)))  # fmt: skip
            for k, m in zip(*np.nonzero(x[columns] > 0.5), strict=True):
                mixes[(kind, *(int(i) for i in np.atleast_1d(at[k])), stage, int(m))] = 1.0
        return PlanValues(
                pipe_built=by(self.pipe_at, self.pipe),
                module_built=by(self.module_at, self.module),
                user_connected=by(self.connected_at, self.connected),
                tanker_served=by(self.tanker_at, self.tanker),
                storage_built={},
                cascade_built=by(np.arange(len(self.cascade)), self.cascade),
                zld_built=by(self.zld_at, self.zld),
                pilot_done={k: float(value) for k, value in enumerate(x[self.pilot])},
                growth_refused=by(self.refused_at, self.refused),
                mix_used=mixes,
                flow=carried,
                product=flows(self.product_at, self.product),
                delivered=flows(self.delivered_at, self.delivered),
                hauled=flows(self.hauled_at, self.hauled),
                reused=flows(np.arange(len(self.cascade)), self.reused),
                stored_in={}, stored_out={}, level={},
            )  # fmt: skip


@dataclass
class Draft:
    """A model under construction."""

    instance: Instance
    c: Coefficients
    b: MilpBuilder
    cost: dict[str, list[tuple[IntArray, FloatArray]]] = field(default_factory=dict)
    rows_of: dict[str, tuple[int, int]] = field(default_factory=dict)
    elastic: list[ElasticRows] = field(default_factory=list)
    shortfall: list[int] = field(default_factory=list)
    shortfall_row: list[int] = field(default_factory=list)
    upgraded: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    unbalanced: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    def add_cost(self, goal: str, columns: IntArray, values: FloatArray | float) -> None:
        wide = np.broadcast_to(np.asarray(values, float), columns.shape)
        self.cost.setdefault(goal, []).append((columns.ravel(), wide.ravel()))

    def add_outlay(self, columns: IntArray, present_cost_cny: FloatArray | float) -> None:
        self.add_cost("npv", columns, -np.asarray(present_cost_cny, float))
        self.add_cost("cost", columns, present_cost_cny)


def sign_of(goal: str) -> float:
    return -1.0 if goal in MINIMISED else 1.0


def pipe_row(c: Coefficients, pipe_at: IntArray) -> IntArray:
    """Rows of the pipe investments of pipes (e, g, d)."""
    return np.asarray(
        (pipe_at[:, 0] * len(c.quality_ids) + pipe_at[:, 1]) * len(c.diameter_ids) + pipe_at[:, 2]
    )


def position_of(keys: IntArray, wanted: IntArray, size: int) -> IntArray:
    """Position of each wanted key among ``keys``, -1 where it is missing; keys are below ``size``."""
    table = np.full(size, -1, np.int64)
    table[keys] = np.arange(len(keys))
    return table[wanted]


def lane_key(c: Coefficients, at: IntArray) -> IntArray:
    return np.asarray(at[:, 0] * len(c.quality_ids) + at[:, 1])

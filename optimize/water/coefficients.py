"""The instance as flat arrays: what both solving paths need, without any solver.

Axes: N nodes (plants, junctions, users, in this order), P plants, U users, Q demands, G qualities,
E corridors, D diameters, K module rows, C cascades, H storage sites, T periods (the peak day, if
any, is the last and has 0 days), S stages (build years; 1 unless phased).

Economics.  Building in year s costs ``present_cost_cny[s]``; running 1 CNY/a while stage s operates
is worth ``stage_weight[s]``.  A rate below is per m3; multiply by m3/d, ``days[t]`` and
``stage_weight[s]``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimize.water.calendar import derive_calendar
from optimize.water.changes import Revision, derive_revision
from optimize.water.flow_arrays import FlowRates, corridor_arrays, demand_arrays, plant_arrays
from optimize.water.in_force import PlanInForce, derive_plan_in_force
from optimize.water.instance import Instance
from optimize.water.investments import (
    Budgets,
    FloatArray,
    IntArray,
    Investments,
    derive_budgets,
    derive_stage_weights,
    due_by_contract,
    with_contracts,
)
from optimize.water.work_arrays import (
    cascade_arrays,
    module_arrays,
    park_arrays,
    pipe_arrays,
    storage_arrays,
    user_arrays,
)

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Offered:
    """What may be built, as far as anything good can come of it; True is open."""

    pipe: BoolArray  # (E, G, D)
    module: BoolArray  # (K,)
    connected: BoolArray  # (U,)
    tanker: BoolArray  # (U,)

    @staticmethod
    def everything(c: Coefficients) -> Offered:
        """All that the tables hold."""
        shape = c.shape
        return Offered(
            pipe=np.ones((shape["E"], shape["G"], shape["D"]), bool),
            module=np.ones(len(c.modules), bool),
            connected=np.ones(shape["U"], bool),
            tanker=np.asarray(c.tanker_plant >= 0),
        )


@dataclass(frozen=True)
class Reduction:
    """What `optimize.water.reductions` made a network smaller by.

    ``period_of`` tells, for each period of ``whole``, which of the smaller network's it became.
    """

    whole: Coefficients
    offered: Offered
    period_of: IntArray


@dataclass(frozen=True)
class Coefficients:
    """See the module's docstring for the axes; ids are in the order of the tables."""

    node_ids: tuple[str, ...]
    plant_ids: tuple[str, ...]
    user_ids: tuple[str, ...]
    demand_ids: tuple[str, ...]
    quality_ids: tuple[str, ...]
    corridor_ids: tuple[str, ...]
    diameter_ids: tuple[str, ...]

    days: FloatArray  # (T,)
    stage_weight: FloatArray  # (S,)

    plant_node: IntArray  # (P,)
    available_m3_per_d: FloatArray  # (P, T) effluent less ecological discharge
    effluent_m3_per_d: FloatArray  # (P, T)
    tn_mg_per_l: FloatArray  # (P,)
    tn_limit_mg_per_l: FloatArray  # (P,), nan: none
    can_treat: BoolArray  # (P, G)
    recovery: FloatArray  # (P, G), 1 where it cannot treat
    existing_treatment_m3_per_d: FloatArray  # (P, G)
    production: FlowRates  # (P, G)

    module_plant: IntArray  # (K,)
    module_quality: IntArray  # (K,)
    module_capacity_m3_per_d: FloatArray  # (K,)
    modules: Investments  # n = K

    user_node: IntArray  # (U,)
    single_feed: BoolArray  # (U,)
    quota_listed: BoolArray  # (U,)
    tanker_plant: IntArray  # (U,), -1: none
    connections: Investments  # n = U
    tankers: Investments  # n = U

    demand_user: IntArray  # (Q,)
    demand_need: IntArray  # (Q,)
    accepts: BoolArray  # (Q, G)
    demand_m3_per_d: FloatArray  # (S, Q, T) with growth
    growth_m3_per_d: FloatArray  # (S, Q, T) part of it that can be refused
    min_take_share: FloatArray  # (Q,)
    delivery: FlowRates  # (Q,)
    haulage: FlowRates  # (Q,) of a m3 by tanker besides what `delivery` says
    refusal_cost_cny_per_m3: FloatArray  # (Q,)
    max_price_cny_per_m3: FloatArray  # (Q,)

    corridor_from: IntArray  # (E,) node
    corridor_to: IntArray  # (E,) node
    length_km: FloatArray  # (E,)
    directed: BoolArray  # (E,)
    carriage: FlowRates  # (2, E): 0 from -> to, 1 to -> from
    existing_pipe_m3_per_d: FloatArray  # (E, G)
    pipe_capacity_m3_per_d: FloatArray  # (D,)
    pipes: Investments  # n = E * G * D, pipe (e, g, d) at (e * G + g) * D + d

    storage_node: IntArray  # (H,)
    storage_quality: IntArray  # (H,)
    storage_volume_m3: FloatArray  # (H,)
    storage: Investments  # n = H

    cascade_user: IntArray  # (C,)
    cascade_quality: IntArray  # (C,)
    cascade_return_share: FloatArray  # (C,)
    cascade_limit_m3_per_d: FloatArray  # (S, C, T) capacity and effluent of the giver, with growth
    reuse: FlowRates  # (C,)
    cascades: Investments  # n = C

    park_user: tuple[IntArray, ...]  # users of each park
    zld_candidate: BoolArray  # (parks,)
    zld_min_share: FloatArray  # (parks,)
    zld: Investments  # n = parks

    budgets: Budgets
    plan: PlanInForce
    revision: Revision
    reduction: Reduction | None = None

    @property
    def whole(self) -> Coefficients:
        """The network before any reduction."""
        return self if self.reduction is None else self.reduction.whole

    @property
    def shape(self) -> dict[str, int]:
        """Lengths of the axes."""
        return {
            "N": len(self.node_ids),
            "P": len(self.plant_ids),
            "U": len(self.user_ids),
            "Q": len(self.demand_ids),
            "G": len(self.quality_ids),
            "E": len(self.corridor_ids),
            "D": len(self.diameter_ids),
            "T": len(self.days),
            "S": len(self.stage_weight),
        }

    def pipe_row(self, e: int, g: int, d: int) -> int:
        """Row of a pipe among the investments."""
        return (e * len(self.quality_ids) + g) * len(self.diameter_ids) + d

    @property
    def pipe_capex_cny(self) -> FloatArray:
        """CAPEX of each pipe, shape (E, G, D)."""
        shape = (len(self.corridor_ids), len(self.quality_ids), len(self.diameter_ids))
        return self.pipes.capex_cny.reshape(shape)


def derive_coefficients(instance: Instance) -> Coefficients:
    """All arrays of the instance."""
    calendar = derive_calendar(instance)
    plants = tuple(instance.plants["plant"])
    users = tuple(instance.users["user"])
    qualities = tuple(instance.qualities["quality"])
    nodes = tuple(instance.nodes)
    plan = derive_plan_in_force(instance)
    works = {
        **module_arrays(instance, plan),
        **user_arrays(instance, nodes, plan),
        **pipe_arrays(instance, plan),
        **storage_arrays(instance, nodes, plan),
        **cascade_arrays(instance, calendar, plan),
        **park_arrays(instance, plan),
    }
    budgets = derive_budgets(instance)
    due_cny = due_by_contract(budgets, [k for k in works.values() if isinstance(k, Investments)], plan)
    return Coefficients(
        node_ids=nodes,
        plant_ids=plants,
        user_ids=users,
        demand_ids=tuple(instance.user_demands["demand"]),
        quality_ids=qualities,
        corridor_ids=tuple(instance.corridors["corridor"]),
        diameter_ids=tuple(instance.pipes["diameter"]),
        days=calendar.days,
        stage_weight=derive_stage_weights(instance.parameters),
        **plant_arrays(instance, calendar),
        **demand_arrays(instance, calendar, plan),
        **corridor_arrays(instance, nodes),
        **works,
        budgets=with_contracts(budgets, due_cny, instance.parameters.carry_over_share),
        plan=plan,
        revision=derive_revision(instance, plan),
    )

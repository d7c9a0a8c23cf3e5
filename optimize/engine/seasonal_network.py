"""A network design over a few seasons, as `network_bound` reads it."""

from __future__ import annotations

from dataclasses import dataclass

from optimize.engine.network_data import Floats, Ints


@dataclass(frozen=True)
class SeasonalNetwork:
    """Works serve all seasons; flows are per day of a season, values per unit of that flow over the horizon.

    T seasons, N nodes, E corridors, G grades, S sizes (index 0: none), P sources, K steps (index 0:
    none), U customers, Q requirements sorted by customer, W commodities (a requirement in a grade)
    sorted by grade, R purses, M effects.  A decision that may not be taken costs inf.
    """

    tail: Ints  # (E,)
    head: Ints  # (E,)
    flow_cost: Floats  # (T, E, 2)
    one_way: bool  # in a season all water of a pipe runs one way
    size_capacity: Floats  # (E, G, S+1) existing pipe included
    pipe_cost: Floats  # (E, G, S+1)
    pipe_spend: Floats  # (X, E, G, S+1, R) by funding mix
    source_node: Ints  # (P,)
    unit_cost: Floats  # (T, P, G), inf where it cannot be made
    raw_available: Floats  # (T, P)
    raw_per_unit: Floats  # (P, G), inf where it cannot be made
    step_capacity: Floats  # (P, G, K+1) existing included
    step_cost: Floats  # (P, G, K+1)
    step_spend: Floats  # (X, P, G, K+1, R)
    customer_node: Ints  # (U,)
    connect_cost: Floats  # (U,) -inf: must be connected, +inf: must not
    connect_spend: Floats  # (X, U, R)
    idle_cost: Floats  # (U,) of not serving a customer
    haul_node: Ints  # (U,) where water for a delivery off the network is drawn, -1: none
    haul_cost: Floats  # (U,)
    haul_spend: Floats  # (X, U, R)
    haul_unit_cost: Floats  # (T, Q)
    first_requirement: Ints  # (U+1,)
    demand: Floats  # (T, Q)
    least_take: Floats  # (T, Q)
    unit_value: Floats  # (T, Q)
    grade_start: Ints  # (G+1,) commodities of each grade
    requirement_of: Ints  # (W,)
    first_commodity: Ints  # (Q+1,)
    commodities_of: Ints  # commodities of each requirement, ragged
    budget: Floats  # (R,)
    effect_need: Floats  # (M,) totals that have to be reached; below 0 for a cap, counted negatively
    effect_delivered: Floats  # (T, Q, M) per unit of daily flow
    effect_made: Floats  # (T, P, G, M)
    effect_carried: Floats  # (T, E, M) either way

    @property
    def num_nodes(self) -> int:
        return 1 + max(
            int(a.max(initial=0)) for a in (self.tail, self.head, self.customer_node, self.source_node)
        )

    @property
    def num_seasons(self) -> int:
        return len(self.demand)

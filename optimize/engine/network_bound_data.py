"""Arrays that the kernels of the Lagrangian bound of a network work on: see `network_bound_kernels`.

Multipliers are known by their places in one vector only: what there is at which node says
`network_multipliers`.  A *lane* is the pipe of one grade in one corridor.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from optimize.engine.network_data import Floats, Ints

Places = NDArray[np.int32]


class Lanes(NamedTuple):
    """Entries of each lane in one layer (commodities or origins), M of all lanes together.

    The amounts of items that share a multiplier at both ends are one entry.
    """

    first: Ints  # (E * G + 1,) entries of each lane
    at_tail: Places  # (M,) place of the multiplier at the corridor's tail
    at_head: Places  # (M,)
    item: Places  # (M,) column of the layer's amounts


class Ends(NamedTuple):
    """Where sources and customers meet the multipliers, and what never changes about them."""

    source_first: Ints  # (P * G + 1,) entries of each source and grade
    source_at: Places  # places of the commodities' multipliers at the source
    source_item: Places
    origin_at: Ints  # (P, G) place of a source's own origin at its node, -1 where it cannot make a grade
    first_requirement: Ints  # (U+1,)
    first_commodity: Ints  # (Q+1,)
    commodities_of: Ints  # commodities of each requirement, ragged
    grade_of: Ints  # (W,)
    pipe_at: Places  # by `commodities_of`: place of its multiplier at the customer
    haul_at: Places  # the same where water for deliveries is drawn
    customer_node: Ints  # (U,)
    haul_node: Ints  # (U,) -1: none
    node_first: Ints  # (N * G + 1,) origins that have a multiplier of their own at a node, by place
    node_item: Places
    node_common: Ints  # (N * G,) place of all others', -1: there are none


class Fixed(NamedTuple):
    """Amounts and limits, which prices do not change."""

    one_way: bool
    amount: Floats  # (T, items) of commodities
    limit: Floats  # (T, items) of origins
    size_capacity: Floats  # (E * G, S+1)
    step_capacity: Floats  # (P, G, K+1)
    source_limit: Floats  # (T, P, G) inf where a grade cannot be made
    idle_cost: Floats  # (U,)
    haul_unit_cost: Floats  # (T, Q)
    demand: Floats  # (T, Q)
    least_take: Floats  # (T, Q)


class Priced(NamedTuple):
    """Costs and values at the current prices of money, raw amounts and effects."""

    fare: Floats  # (T, E, 2)
    pipe: Floats  # (E * G, S+1)
    step: Floats  # (P, G, K+1)
    connect: Floats  # (U,)
    haul: Floats  # (U,)
    unit: Floats  # (T, P, G)
    value: Floats  # (T, Q)


class Tangents(NamedTuple):
    """Tangents to what flows of a lane are worth, from when it was last found not to pay: K of each direction."""

    commodity: Floats  # (T, E * G, 2, K) gain of the commodity of the last unit
    origin: Floats  # (T, E * G, 2, K)


class Chosen(NamedTuple):
    """What the subproblems choose."""

    size: Ints  # (E * G,)
    carried: Floats  # (T, E)
    step: Ints  # (P, G)
    connected: Ints  # (U,)
    hauled: Ints  # (U,)
    made: Floats  # (T, P, G)
    taken: Floats  # (T, Q)


class Scratch(NamedTuple):
    """What is known of the lane at hand, by season and direction; C and O are the most entries of a lane."""

    rise: Floats  # (T, C) of commodities
    origin_rise: Floats  # (T, O)
    best: Floats  # (T, 2) best gain of a commodity
    best_origin: Floats  # (T, 2) best gain of an origin, less the fare
    entry: Ints  # (T, 2, C) commodities that may gain, best first
    gain: Floats  # (T, 2, C)
    slot: Ints  # (C,)
    num_entries: Ints  # (T, 2)
    origin: Ints  # (T, 2, O)
    origin_gain: Floats  # (T, 2, O)
    num_origins: Ints  # (T, 2)
    flow: Floats  # (T, 3, C + O) flow up to a break point: ahead, back, and both ways together
    worth: Floats  # (T, 3, C + O)
    pay: Floats  # (T, 3, C + O) per unit of flow before a break point
    last_gain: Floats  # (T, 2, C + O) of the commodity before a break point
    next_origin: Floats  # (T, 2) gain of the origin that comes after the last break point
    most: Floats  # (S,) worth of each size at most: ahead (or both ways), and back
    most_back: Floats
    part: Floats  # (C,) amounts of commodities
    origin_part: Floats  # (O,)
    ahead: Floats  # (T, C + O) of the flow both ways, what runs ahead
    num_points: Ints  # (T, 3)
    value: Floats  # (S,)


def new_scratch(num_seasons: int, most_entries: int, most_origins: int, num_sizes: int) -> Scratch:
    """Scratch for one thread."""
    t, c, o = num_seasons, most_entries + 1, most_origins + 1
    return Scratch(
        np.zeros((t, c)), np.zeros((t, o)), np.zeros((t, 2)), np.zeros((t, 2)),
        np.zeros((t, 2, c), np.int64), np.zeros((t, 2, c)), np.zeros(max(c, o), np.int64), np.zeros((t, 2), np.int64),
        np.zeros((t, 2, o), np.int64), np.zeros((t, 2, o)), np.zeros((t, 2), np.int64),
        np.zeros((t, 3, 2 * (c + o))), np.zeros((t, 3, 2 * (c + o))), np.zeros((t, 3, 2 * (c + o))),
        np.zeros((t, 2, 2 * (c + o))), np.zeros((t, 2)), np.zeros(num_sizes), np.zeros(num_sizes),
        np.zeros(c), np.zeros(o), np.zeros((t, 2 * (c + o))), np.zeros((t, 3), np.int64), np.zeros(num_sizes),
    )  # fmt: skip


def no_tangents(num_seasons: int, num_lanes: int, number: int) -> Tangents:
    """Before any lane was looked at: they tell nothing."""
    shape = (num_seasons, num_lanes, 2, number)
    return Tangents(np.full(shape, 1e300), np.full(shape, 1e300))

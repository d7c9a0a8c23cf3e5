"""Data of a fixed-charge network design with discrete sizes: what `network_search` works on.

A set of *customers* asks for *requirements* (an amount in each period, to be met in one of the
accepted *grades*); *sources* make grades out of a raw amount, in capacity *steps*; *corridors*
carry each grade in one pipe of a discrete *size* each.  Money comes from several *purses*.  Counts
of chosen customers (*groups*) and totals of delivered amounts (*effects*) may have to reach a level.

All index sets start at 0; for sizes and steps index 0 means "none".  The last size stands for
"overload": taking a customer off can raise the net flow of a pipe in which two flows cancelled out,
and a plan on its way may be overloaded for a while at a prohibitive cost.  Values and costs are present values of the whole horizon.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Network(NamedTuple):
    """Immutable arrays of one problem.

    Shapes: N nodes, E corridors, G grades, S sizes (without "none" and "overload"), P sources, K
    steps (without "none"), U customers, Q requirements (sorted by customer), T periods, R purses, C groups,
    M effects.  A flow of 1 is one unit per day; ``weight`` turns it into an amount per year.
    """

    first_arc: Ints  # (N+1,) arcs that leave a node
    arc_tip: Ints  # (2E,)
    arc_edge: Ints  # (2E,)
    arc_sign: Ints  # (2E,) +1 where the arc runs along the corridor's direction
    weight: Floats  # (T,) days of each period in a year
    size_capacity: Floats  # (S+2,) flow, increasing; the last is inf
    pipe_existing: Floats  # (E, G) flow that existing pipes carry
    pipe_cost: Floats  # (E, G, S+2) present cost
    pipe_spend: Floats  # (E, G, S+2, R) money from each purse
    pipe_min: Ints  # (E, G) smallest size index that has to be laid
    pipe_max: Ints  # (E, G) largest size index that may be laid
    flow_cost: Floats  # (E, 2) present cost per yearly unit along and against the corridor
    source_node: Ints  # (P,)
    source_at: Ints  # (N,) source at a node, -1 none
    raw_available: Floats  # (P, T)
    raw_per_unit: Floats  # (P, G) raw flow for one unit of a grade, inf where it cannot be made
    step_existing: Floats  # (P, G) flow that can be made already
    step_capacity: Floats  # (P, G, K+1), increasing
    step_cost: Floats  # (P, G, K+1)
    step_spend: Floats  # (P, G, K+1, R)
    step_min: Ints  # (P, G)
    step_max: Ints  # (P, G)
    unit_cost: Floats  # (P, G) present cost per yearly unit made
    customer_node: Ints  # (U,)
    connect_cost: Floats  # (U,)
    connect_spend: Floats  # (U, R)
    may_serve: Ints  # (U,) 0/1
    first_requirement: Ints  # (U+1,)
    customer_of: Ints  # (Q,)
    accepts: NDArray[np.bool_]  # (Q, G)
    demand: Floats  # (Q, T)
    least_take: Floats  # (Q, T)
    unit_value: Floats  # (Q, G) present value per yearly unit delivered
    budget: Floats  # (R,)
    first_group: Ints  # (U+1,)
    group_of: Ints  # groups of each customer, ragged by first_group
    group_need: Floats  # (C,)
    group_price: Floats  # (C,) penalty of one customer missing
    group_hard: Ints  # (C,) 0/1
    effect_need: Floats  # (M,)
    effect_price: Floats  # (M,) penalty of one unit missing
    effect_hard: Ints  # (M,) 0/1
    effect_delivered: Floats  # (Q, G, M) effect of one yearly unit delivered
    effect_made: Floats  # (P, G, M) effect of one yearly unit made
    neighbours: Ints  # (U, B) nearest customers, nearest first


class Assignment(NamedTuple):
    """Who is served from where: one path, source and grade for each requirement."""

    served: Ints  # (U,) 0/1
    grade: Ints  # (Q,) -1: not delivered
    source: Ints  # (Q,)
    path_length: Ints  # (Q,)
    path: NDArray[np.int32]  # (Q, L) arcs from the source to the customer
    take: Floats  # (Q, T)


class Loads(NamedTuple):
    """What an assignment puts on the network, kept up to date with it."""

    flow: Floats  # (E, G, T) along the corridor positive
    size: Ints  # (E, G)
    peak: Floats  # (E, G) largest flow over the periods, either way
    sense: Ints  # (E, G) +1 or -1 where all flows run one way, 0 empty or mixed
    made: Floats  # (P, G, T)
    raw_used: Floats  # (P, T)
    step: Ints  # (P, G)
    group_count: Floats  # (C,)
    effect: Floats  # (M,)
    spent: Floats  # (R,)
    net: Floats  # (1,) present value without penalties


class Prices(NamedTuple):
    """Costs at the current prices of money and of effects."""

    of_purse: Floats  # (R,)
    of_effect: Floats  # (M,)
    pipe: Floats  # (E, G, S+2)
    step: Floats  # (P, G, K+1)
    connect: Floats  # (U,)
    unit: Floats  # (P, G), least over sources of a grade is 0
    value: Floats  # (Q, G), the shift of `unit` taken off


class Workspace(NamedTuple):
    """Scratch arrays of the path search."""

    distance: Floats  # (N,)
    parent: Ints  # (N,)
    stamp: Ints  # (N,)
    clock: Ints  # (1,)
    heap_key: Floats
    heap_node: Ints
    mark: Ints  # (U,)
    chosen: Ints  # (U,)
    order: Ints  # (U,)
    order_key: Floats  # (U,)
    closed: Ints  # (1,) source nobody may be served from for now, -1 none
    opened: Ints  # (1,) source whose steps cost nothing for now, -1 none
    forced: Ints  # (1,) customer served whatever that costs for now, -1 none


def arcs_of(num_nodes: int, tail: Ints, head: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Adjacency of an undirected graph: first_arc, arc_tip, arc_edge, arc_sign."""
    edge = np.arange(len(tail))
    start = np.concatenate([tail, head])
    order = np.argsort(start, kind="stable")
    counts = np.bincount(start, minlength=num_nodes)
    first = np.concatenate([[0], np.cumsum(counts)])
    tip = np.concatenate([head, tail])[order]
    sign = np.concatenate([np.ones(len(tail)), -np.ones(len(tail))])[order]
    return (
        first.astype(np.int64), tip.astype(np.int64),
        np.concatenate([edge, edge])[order].astype(np.int64), sign.astype(np.int64),
    )  # fmt: skip


def copy_of(assignment: Assignment) -> Assignment:
    """An independent copy."""
    return Assignment(
        assignment.served.copy(), assignment.grade.copy(), assignment.source.copy(),
        assignment.path_length.copy(), assignment.path.copy(), assignment.take.copy(),
    )  # fmt: skip


LONGEST_PATH = 400


def empty_assignment(network: Network) -> Assignment:
    """Nobody is served."""
    num_requirements, num_periods = network.demand.shape
    longest = min(LONGEST_PATH, len(network.first_arc))
    return Assignment(
        np.zeros(len(network.customer_node), np.int64),
        np.full(num_requirements, -1, np.int64),
        np.zeros(num_requirements, np.int64),
        np.zeros(num_requirements, np.int64),
        np.zeros((num_requirements, longest), np.int32),
        np.zeros((num_requirements, num_periods)),
    )


def empty_loads(network: Network) -> Loads:
    """The network with nothing but what has to be built."""
    num_edges, num_grades = network.pipe_existing.shape
    num_sources = len(network.source_node)
    num_periods = len(network.weight)
    e, g = np.indices((num_edges, num_grades))
    p, h = np.indices((num_sources, num_grades))
    spent = network.pipe_spend[e, g, network.pipe_min].sum(axis=(0, 1))
    spent = spent + network.step_spend[p, h, network.step_min].sum(axis=(0, 1))
    cost = network.pipe_cost[e, g, network.pipe_min].sum() + network.step_cost[p, h, network.step_min].sum()
    return Loads(
        np.zeros((num_edges, num_grades, num_periods)),
        network.pipe_min.copy(),
        np.zeros((num_edges, num_grades)),
        np.zeros((num_edges, num_grades), np.int64),
        np.zeros((num_sources, num_grades, num_periods)),
        np.zeros((num_sources, num_periods)),
        network.step_min.copy(),
        np.zeros(len(network.group_need)),
        np.zeros(len(network.effect_need)),
        spent,
        np.array([-cost]),
    )


def new_prices(network: Network) -> Prices:
    """Prices of zero; `network_search.reprice` fills the rest."""
    return Prices(
        np.zeros(len(network.budget)),
        np.zeros(len(network.effect_need)),
        network.pipe_cost.copy(),
        network.step_cost.copy(),
        network.connect_cost.copy(),
        network.unit_cost.copy(),
        network.unit_value.copy(),
    )


def new_workspace(network: Network) -> Workspace:
    """Scratch arrays of the right sizes."""
    num_nodes, num_arcs = len(network.first_arc) - 1, len(network.arc_tip)
    num_customers = len(network.customer_node)
    return Workspace(
        np.zeros(num_nodes),
        np.zeros(num_nodes, np.int64),
        np.zeros(num_nodes, np.int64),
        np.zeros(1, np.int64),
        np.zeros(num_arcs + num_nodes + 1),
        np.zeros(num_arcs + num_nodes + 1, np.int64),
        np.zeros(num_customers, np.int64),
        np.zeros(num_customers, np.int64),
        np.zeros(num_customers, np.int64),
        np.zeros(num_customers),
        np.full(1, -1, np.int64),
        np.full(1, -1, np.int64),
        np.full(1, -1, np.int64),
    )

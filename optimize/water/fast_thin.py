"""A network with fewer columns whose linear relaxation is one of the network itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optimize.water.changes import NO_STAGE
from optimize.water.coefficients import BoolArray, Coefficients
from optimize.water.fast_locks import LockedDecisions
from optimize.water.flow_bounds import most_useful_m3_per_d
from optimize.water.investments import FloatArray


def thinned(c: Coefficients, locks: LockedDecisions) -> Coefficients:
    """`one_size` where it is a relaxation, else the network as it is; contracted pipes lie there."""
    contracted = _contracted_pipes(c)
    if names_pipes(replace(locks, pipe_must=locks.pipe_must & ~contracted)):
        return c
    return one_size(_with_pipes_laid(c, contracted) if contracted.any() else c)


def _contracted_pipes(c: Coefficients) -> BoolArray:
    """Pipes that stand by contract, (E, G, D)."""
    shape = c.shape
    stage = c.revision.frozen_stage("pipe", np.arange(len(c.pipes)))
    return np.asarray(stage != NO_STAGE).reshape(shape["E"], shape["G"], shape["D"])


def _with_pipes_laid(c: Coefficients, laid: BoolArray) -> Coefficients:
    """The same network with these pipes in the ground, paid for: what they cost is owed whatever is built."""
    capacity = np.where(laid, c.pipe_capacity_m3_per_d, 0.0).sum(axis=2)
    rows = np.flatnonzero(laid.ravel())
    paid = np.zeros_like(c.budgets.amount_cny)
    # all mixes of a contract pay what was agreed
    for row, sources in zip(rows, c.budgets.source_of(c.pipes.district)[rows], strict=True):
        np.add.at(paid[:, 0], sources, c.pipes.paid_cny[0, row])
    cost_cny = float(c.pipes.present_cost_cny[0, rows].sum())
    return replace(
        c,
        existing_pipe_m3_per_d=c.existing_pipe_m3_per_d + capacity,
        budgets=replace(c.budgets, amount_cny=c.budgets.amount_cny - paid),
        revision=c.revision.owing("pipes laid", cost_cny),
    )


def names_pipes(locks: LockedDecisions) -> bool:
    """Whether a lock speaks of the pipes of a corridor: then diameters may not be melted into one."""
    return bool(locks.pipe_must.any() or not locks.pipe_may.all() or len(locks.any_pipe_of))


def one_size(c: Coefficients) -> Coefficients:
    """The same network with one diameter, as wide as the widest, at the best price per capacity of any.

    With y_d built of diameter d, cost is sum cost_d y_d >= min_d (cost_d / cap_d) * sum cap_d y_d, which
    is at least that price times the flow; present cost and each purse take their own minimum.  So the
    linear relaxation over it is one of the original, with a ninth of the columns.  Not so where some
    pipe has to be laid whatever flows (`names_pipes`): the widest costs more than a narrow one.
    """
    shape = c.shape
    if shape["D"] <= 1:
        return c
    lanes = (shape["E"], shape["G"])
    most = most_useful_m3_per_d(c).max(axis=2)
    capacity = np.minimum(c.pipe_capacity_m3_per_d, np.maximum(most, 1e-6)[:, :, None])
    widest = capacity.max(axis=2)

    def cheapest(money: FloatArray) -> FloatArray:
        """Least money per capacity over the diameters times the widest, money (..., E, G, D)."""
        return np.asarray((money / capacity).min(axis=-1) * widest)

    pipes = c.pipes
    paid = pipes.paid_cny.reshape(len(pipes.mixes), *lanes, shape["D"], 3)
    present = pipes.present_cost_cny.reshape(len(pipes.present_cost_cny), *lanes, shape["D"])
    first = np.arange(lanes[0] * lanes[1]) * shape["D"]
    return replace(
        c,
        revision=c.revision.without("pipe"),  # one pipe stands for several, of which one may be no change
        diameter_ids=("widest",),
        pipe_capacity_m3_per_d=c.pipe_capacity_m3_per_d.max(keepdims=True),
        pipes=replace(
            pipes,
            capex_cny=cheapest(pipes.capex_cny.reshape(*lanes, shape["D"])).ravel(),
            yearly_cost_cny=pipes.yearly_cost_cny[first],
            life_years=pipes.life_years[first],
            annual_capital_cny=pipes.annual_capital_cny[first],
            present_cost_cny=cheapest(present).reshape(len(present), -1),
            paid_cny=np.stack([cheapest(paid[..., k]).reshape(len(paid), -1) for k in range(3)], axis=-1),
            district=pipes.district[first],
        ),
    )

"""Pipes of a plan that carry nothing, or could be narrower: what is left of its works without them.

A design's pipes are laid for the water the search sends; the volumes that are best for all periods may need
less.  All else is as good with less pipe, so the smaller works hold the same plan, cheaper.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optimize.water.coefficients import BoolArray
from optimize.water.fast_layout import FlowModel, Part
from optimize.water.fast_locks import LockedDecisions
from optimize.water.investments import FloatArray

# Of a capacity: a flow this much above it is the solver's rounding.
_ROUNDING = 1e-9


def trimmed(model: FlowModel, x: FloatArray, locks: LockedDecisions) -> Part | None:
    """The works of the plan ``x`` with no pipe larger than its largest flow; None where that is all of them.

    Pipes that locks, contracts or pairs of projects speak of stay as they are.
    """
    c = model.c
    shape = (len(c.corridor_ids), len(c.quality_ids), len(c.diameter_ids))
    works = model.works(x)
    built = works.pipe
    peak = np.zeros(shape[:2])
    peak[tuple(model.lane_at.T)] = np.abs(x[model.flow[0]] - x[model.flow[1]]).max(axis=1, initial=0.0)
    needed = np.maximum(peak - c.existing_pipe_m3_per_d, 0.0)[:, :, None]
    enough = locks.pipe_may & (c.pipe_capacity_m3_per_d >= needed * (1 - _ROUNDING))
    cost = np.where(enough, c.pipes.present_cost_cny[0].reshape(shape), np.inf)
    least: BoolArray = np.arange(shape[2]) == cost.argmin(axis=2)[:, :, None]
    changed = built & ~_spoken_of(locks)[:, :, None] & ~((needed > 0) & least)
    cheaper = changed.any(axis=2) & (
        (needed[:, :, 0] == 0) | (cost.min(axis=2) < np.where(built, cost, -np.inf).max(axis=2))
    )
    if not cheaper.any():
        return None
    pipe = np.where(cheaper[:, :, None], least & (needed > 0), built)
    return replace(works, pipe=pipe)


def _spoken_of(locks: LockedDecisions) -> BoolArray:
    """Lanes (E, G) whose pipes are settled."""
    settled: BoolArray = np.asarray(locks.pipe_must.any(axis=2))
    settled[locks.any_pipe_of] = True
    for project in locks.paired_projects:
        if project.table == "corridors":
            settled[project.position] = True
    return settled

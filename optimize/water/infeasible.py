"""Proof that no plan exists, for instances too large to ask the whole model.

The year is averaged into one period, diameters become one at the best price per capacity, integrality,
fixed sizes, single feeds, pairs of projects and [W-PRICE] are dropped: all of it only widens what is possible, so if even that has no
answer, the instance has none.  The relaxations found are those of this wider
problem: what it cannot reach, nothing can (the true relaxation may have to be larger).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from optimize.engine.elastic import smallest_relaxations
from optimize.engine.highs import solve_lp
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions
from optimize.result import Relaxation, RelaxedRow, Result, StopReason
from optimize.water.coefficients import derive_coefficients
from optimize.water.fast import solve_fast
from optimize.water.fast_layout import Part
from optimize.water.fast_locks import locked_decisions
from optimize.water.fast_model import averaged, build_flow_model
from optimize.water.fast_thin import names_pipes, one_size
from optimize.water.instance import Instance
from optimize.water.one_stage import view_for_bound
from optimize.water.solution import Solution

LEAST_SECONDS = 10.0
"""Below this limit a proof is not tried: building its problem alone may take longer."""


def solve_fast_or_explain(instance: Instance, options: SolveOptions) -> Result[Solution]:
    """The fast path; where it ends without a plan, the proof that there is none, if there is one."""
    result = solve_fast(instance, options)
    if result.solution is not None or options.interrupt.is_set() or options.time_limit_s < LEAST_SECONDS:
        return result
    relaxations = prove_infeasible(instance, options)
    if relaxations is None:
        return result
    return replace(result, stop=StopReason.INFEASIBLE, bound=None, relaxations=relaxations)


def prove_infeasible(instance: Instance, options: SolveOptions) -> tuple[Relaxation, ...] | None:
    """Smallest relaxations, by optimistic reckoning, if no plan can exist; None if that is not proven.

    Takes at most as long again as the solve was given.
    """
    watch = Watch(options, maximise=False)
    c = derive_coefficients(instance)
    if instance.parameters.phased:
        instance, c = view_for_bound(instance, c, "volume")
    c = averaged(c, [np.flatnonzero(c.days > 0)])
    instance = _without_fixed_sizes(instance)
    if not names_pipes(locked_decisions(instance, c)):
        c = one_size(c)
    model = build_flow_model(instance, c, Part.whole(c), relaxed=True)
    milp = model.milp
    relaxed = replace(
        milp, cost=np.zeros(milp.num_columns), integral=np.zeros(milp.num_columns, dtype=np.bool_)
    )
    if solve_lp(relaxed, watch, "ipm").stop is not StopReason.INFEASIBLE:
        return None
    # Without a relaxation in hand the claim has no second witness: then it is not made.
    found = smallest_relaxations(relaxed, model.elastic, watch).ways
    return tuple(Relaxation(tuple(_whole(row) for row in way.rows)) for way in found or ()) or None


def _whole(row: RelaxedRow) -> RelaxedRow:
    """Counts are whole: a target that reaches 1.5 at best reaches 1."""
    return replace(row, reachable=math.floor(row.reachable + 1e-6)) if row.unit == "count" else row


def _without_fixed_sizes(instance: Instance) -> Instance:
    sizes_fixed = (instance.locks["kind"] == "fix") & (instance.locks["value"] != "none")
    return replace(instance, locks=instance.locks[~sizes_fixed].reset_index(drop=True))

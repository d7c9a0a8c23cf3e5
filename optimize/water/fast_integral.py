"""Bound by branch and cut on the averaged year: the solver's own cuts see fixed charges that the linear relaxation spreads.

One averaged period has a twelfth of the flows, and every plan of the year has its mean as a plan of it
(`optimize.water.fast_model.averaged`), so the solver's bound holds at any moment it is stopped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optimize.engine.highs import solve_milp
from optimize.engine.stopping import Watch
from optimize.water.coefficients import Coefficients
from optimize.water.fast_goal import Kept
from optimize.water.fast_layout import Part
from optimize.water.fast_model import averaged, build_flow_model
from optimize.water.instance import Instance

MOST_PIPES = 3_000
"""Corridors x qualities x diameters above which the Lagrangian proves more in the same time."""


def is_worth_branching(c: Coefficients) -> bool:
    return len(c.pipes) <= MOST_PIPES


def integral_bound(
    instance: Instance, c: Coefficients, goal: str, kept: Sequence[Kept], watch: Watch
) -> float | None:
    """Bound on the goal, turned so that it is maximised; None where the solver proves nothing in time.

    Parameters
    ----------
    watch : a watch that maximises; used up unless the averaged year is solved before.
    """
    c = averaged(c, [np.flatnonzero(c.days > 0)])
    model = build_flow_model(instance, c, Part.whole(c), relaxed=True).aimed_at(goal, kept)
    return solve_milp(model.milp, watch).bound

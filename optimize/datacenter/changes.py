"""(R13) What each option changes of the plan in force, and what dropping its projects costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimize.datacenter.instance import FloatArray, Instance
from optimize.datacenter.kinds import NOTHING
from optimize.datacenter.options import Options
from optimize.revision import ChangeWeights


@dataclass(frozen=True)
class Changes:
    """Changes and cancellation costs are ``constant + coefficient @ chosen``.

    Attributes
    ----------
    weight, weight_of_nothing : changes, shape (n,) and the constant: what they are where nothing is done.
    owed_cny, owed_for_nothing_cny : present value of cancellation costs likewise.
    """

    weight: FloatArray
    weight_of_nothing: float
    owed_cny: FloatArray
    owed_for_nothing_cny: float


def derive_changes(instance: Instance, options: Options) -> Changes:
    """What each option adds.

    A project in force whose decision is no longer among the options has to change: what becomes of it
    is counted by no row.  Its cancellation costs are owed all the same.
    """
    weights, plan = ChangeWeights.of(instance.parameters), options.in_force
    something = options.kind != NOTHING
    if plan is None:
        return Changes(weights.added * something, 0.0, np.zeros(len(options)), 0.0)
    row = plan.of_centre[options.centre]
    can_stay = np.zeros(len(plan.frozen), dtype=np.bool_)
    can_stay[row[plan.holds(options.ids) & something]] = True
    counted = can_stay & ~plan.frozen
    dropped = np.where(counted, weights.dropped, 0.0)
    in_force = np.where(counted[row], plan.weight_of(options.ids) - dropped[row], 0.0)
    spared = something & plan.same_project(options.ids)
    return Changes(
        weight=something * np.where(row < 0, weights.added, in_force),
        weight_of_nothing=float(dropped.sum()),
        owed_cny=np.where(spared, -plan.owed_cny[row], 0.0),
        owed_for_nothing_cny=float(plan.owed_cny.sum()),
    )

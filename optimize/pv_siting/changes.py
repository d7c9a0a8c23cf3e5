"""(P13) What each option changes of the plan in force, and what dropping its projects costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimize.finance import discount_factor
from optimize.pv_siting.in_force import weights_of
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.options import OptionKeys, Options

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Changes:
    """Changes and cancellation costs are ``constant + coefficient @ option_chosen``.

    Attributes
    ----------
    frozen : shape (n,), options that are contracted or later.
    weight, weight_of_nothing : changes, shape (n,) and the constant: what they are when nothing is chosen.
    owed_cny, owed_for_nothing_cny : present value of cancellation costs likewise.
    """

    frozen: BoolArray
    weight: FloatArray
    weight_of_nothing: float
    owed_cny: FloatArray
    owed_for_nothing_cny: float


def derive_changes(instance: Instance, options: Options | OptionKeys) -> Changes:
    """What each option adds.

    A project in force whose decision is no longer among the options has to change: what becomes of it
    is counted by no row.  Its cancellation costs are owed all the same.
    """
    number, plan = len(options.site), instance.in_force
    if plan is None:
        # without memory of their own: there may be millions of options
        weight = np.broadcast_to(instance.change_weights.added, number)
        return Changes(np.zeros(number, np.bool_), weight, 0.0, np.broadcast_to(0.0, number), 0.0)
    weights = instance.change_weights
    decision = (options.site, options.configuration, options.offer, options.year, options.mix)
    row = plan.of_site[options.site]
    can_stay = np.zeros(len(plan.site), dtype=np.bool_)
    can_stay[row[plan.holds(*decision)]] = True
    counted = can_stay & ~plan.frozen
    dropped = np.where(counted, weights.dropped, 0.0)
    changed = weights_of(plan, weights, *decision)
    owed = plan.cancellation_cny * float(
        discount_factor(instance.discount_rate, max(instance.first_open_year - instance.base_year, 0))
    )
    stays_one = plan.same_project(options.site, options.configuration, options.offer)
    return Changes(
        frozen=plan.is_frozen(options.site),
        weight=np.where(row < 0, changed, np.where(counted[row], changed - dropped[row], 0.0)),
        weight_of_nothing=float(dropped.sum()),
        owed_cny=np.where(stays_one, -owed[row], 0.0),
        owed_for_nothing_cny=float(owed.sum()),
    )

"""(P1) How much of its own generation an institution uses, exactly, from hourly profiles.

With yearly generation G and yearly load L, r = G / L, and per typical day d and kind of day s the
hourly shapes g (per unit of G) and l (per unit of L), direct use per unit of L is

    F(r) = sum_{d,s,h} w_ds min(r g_dh, l_dsh),

piecewise linear and concave in r with a breakpoint at l/g of each hour.  Sorting the breakpoints
once and keeping cumulative sums evaluates F exactly for any number of sites at the cost of one
binary search each.  Storage moves, within each day, min(eta * surplus, deficit, capacity): surplus
and deficit of a day are r*sum(g) - F_d(r) and sum(l) - F_d(r) (`storage_kernel`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.pv_siting.generation import TypicalDays
from optimize.pv_siting.schema import DAY_KINDS, HOURS
from optimize.pv_siting.storage_kernel import use_through_storage

FloatArray = NDArray[np.float64]

# Weekdays and weekend days in a week: each typical day stands for both in this proportion.
_DAY_KIND_SHARE = {"weekday": 5.0 / 7.0, "weekend": 2.0 / 7.0}


def derive_load_shapes(load_profiles: pd.DataFrame, days: TypicalDays) -> dict[str, FloatArray]:
    """Hourly load per unit of yearly load, by type.

    Returns
    -------
    type -> shape (2 d, 24): weekdays of all typical days, then weekends.
    """
    shapes: dict[str, FloatArray] = {}
    weights = derive_day_weights(days)
    for name, rows in load_profiles.groupby("type", sort=False):
        table = rows.set_index(["day_kind", "month"])[list(HOURS)]
        power = np.concatenate(
            [table.loc[day_kind].reindex(days.month).to_numpy(np.float64) for day_kind in DAY_KINDS]
        )
        shapes[str(name)] = power / float(weights @ power.sum(axis=1))
    return shapes


def derive_day_weights(days: TypicalDays) -> FloatArray:
    """Days of the year each row of a load shape stands for, shape (2 d,)."""
    return np.concatenate([days.num_days * _DAY_KIND_SHARE[kind] for kind in DAY_KINDS])


@dataclass(frozen=True)
class UseCurve:
    """Use of own generation for one load shape and one generation shape.

    Parameters
    ----------
    weights : shape (k,), days each row stands for.
    load, generation : shape (k, 24), per unit of the yearly sums.
    """

    weights: FloatArray
    load: FloatArray
    generation: FloatArray

    def direct(self, ratio: FloatArray) -> FloatArray:
        """Direct use per unit of yearly load, for generation / load = ``ratio``, shape (n,)."""
        weight = np.repeat(self.weights, 24)
        return _clipped_sum(ratio, weight, self.generation.ravel(), self.load.ravel())

    def shifted(self, ratio: FloatArray, capacity: FloatArray, efficiency: float) -> FloatArray:
        """Use through storage per unit of yearly load.

        ``capacity`` is the storage's usable kWh per kWh of yearly load, shape (n,).
        """
        return np.asarray(
            use_through_storage(ratio, capacity, efficiency, self.weights, self.load, self.generation)
        )


def _clipped_sum(
    ratio: FloatArray, weight: FloatArray, generation: FloatArray, load: FloatArray
) -> FloatArray:
    """sum_h weight min(ratio generation, load), exactly."""
    shines = generation > 0
    breakpoints = load[shines] / generation[shines]
    order = np.argsort(breakpoints)
    full = np.concatenate([[0.0], np.cumsum((weight * load)[shines][order])])
    part = np.cumsum((weight * generation)[shines][order])
    still = (part[-1] if len(part) else 0.0) - np.concatenate([[0.0], part])
    place = np.searchsorted(breakpoints[order], ratio)
    return np.asarray(full[place] + ratio * still[place])

"""Compiled loop of `self_consumption`: what storage moves within each typical day."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def use_through_storage(
    ratio: FloatArray,
    capacity: FloatArray,
    efficiency: float,
    weights: FloatArray,
    load: FloatArray,
    generation: FloatArray,
) -> FloatArray:
    """sum_d weight_d min(efficiency * surplus_d, deficit_d, capacity) for each of n sites.

    Parameters
    ----------
    ratio, capacity : shape (n,), yearly generation and usable storage per unit of yearly load.
    weights : shape (k,), days each row stands for.
    load, generation : shape (k, 24), per unit of the yearly sums.

    Returns
    -------
    shape (n,), per unit of yearly load.
    """
    num_days, hours = load.shape
    load_of_day, generation_of_day = load.sum(axis=1), generation.sum(axis=1)
    use = np.zeros(len(ratio))
    for i in range(len(ratio)):
        total = 0.0
        for day in range(num_days):
            direct = 0.0
            for hour in range(hours):
                direct += min(ratio[i] * generation[day, hour], load[day, hour])
            surplus = efficiency * (ratio[i] * generation_of_day[day] - direct)
            deficit = load_of_day[day] - direct
            total += weights[day] * min(surplus, deficit, capacity[i])
        use[i] = total
    return use

"""Part of `checker`: own use of every project, summed hour by hour (compiled)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def hourly_use(
    type_of: IntArray,
    pair_of: IntArray,
    loads: FloatArray,
    shapes: FloatArray,
    weight: FloatArray,
    load_kwh: FloatArray,
    new_kwh: FloatArray,
    standing_kwh: FloatArray,
    storage_kwh: FloatArray,
    efficiency: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """What n projects use on site at once and through storage beyond what stands already, kWh/a.

    Parameters
    ----------
    type_of, pair_of : shape (n,), rows of ``loads`` and ``shapes``.
    loads : shape (types, 2 d, 24), hourly load of weekdays, then weekend days, per unit of the year.
    shapes : shape (pairs, d, 24), hourly generation per unit of the year.
    weight : shape (2 d,), days of the year.
    load_kwh, new_kwh, standing_kwh, storage_kwh, efficiency : shape (n,).
    """
    num_days = shapes.shape[1]
    direct, stored = np.zeros(len(type_of)), np.zeros(len(type_of))
    for i in range(len(type_of)):
        if load_kwh[i] <= 0.0:
            continue
        load, shape = loads[type_of[i]], shapes[pair_of[i]]
        whole = new_kwh[i] + standing_kwh[i]
        for day in range(2 * num_days):
            power_met, met_before, surplus, deficit = 0.0, 0.0, 0.0, 0.0
            for hour in range(24):
                demand = load[day, hour] * load_kwh[i]
                power = shape[day % num_days, hour] * whole
                met = min(power, demand)
                power_met += met
                met_before += min(shape[day % num_days, hour] * standing_kwh[i], demand)
                surplus += power - met
                deficit += demand - met
            direct[i] += weight[day] * (power_met - met_before)
            stored[i] += weight[day] * min(surplus * efficiency[i], deficit, storage_kwh[i])
    return direct, stored

"""The programme as arrays with names for rows and columns, for bounds and prices; no solver."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.programme import PricedRows, StatedArrays
from optimize.pv_siting.arrays import Arrays, build_arrays
from optimize.pv_siting.extraction import carried_over, extract_solution
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.limits import derive_limits
from optimize.pv_siting.options import OptionKeys, derive_chosen_options, derive_options
from optimize.pv_siting.solution import Solution

IntArray = NDArray[np.int64]


def state_arrays(instance: Instance, goals: tuple[str, ...]) -> StatedArrays:
    """The programme for ``goals`` with names for its rows and columns."""
    candidates = derive_options(instance)
    arrays = build_arrays(instance, candidates, derive_limits(instance, candidates), goals)
    return name_arrays(instance, OptionKeys.of(candidates), candidates.mix_names, arrays)


def name_arrays(
    instance: Instance, keys: OptionKeys, mix_names: tuple[str, ...], arrays: Arrays
) -> StatedArrays:
    """``arrays`` with the names a planner knows its rows and columns by."""
    candidate = np.full(arrays.milp.num_columns, -1, dtype=np.int64)
    candidate[arrays.chosen] = keys.site

    def describe(columns: IntArray) -> pd.DataFrame:
        return _described(instance, keys.take(columns - arrays.chosen[0]), mix_names)

    return StatedArrays(
        milp=arrays.milp,
        objectives=arrays.objectives,
        priced=tuple(PricedRows.of(rows) for rows in (*arrays.elastic, *arrays.soft)),
        candidate=candidate,
        candidate_ids=list(instance.sites["site"]),
        candidate_kind="site",
        idle=np.full(len(instance.sites), -1, dtype=np.int64),
        describe=describe,
        plan_of=lambda x: _plan_of(instance, keys, arrays, x),
    )


def _plan_of(instance: Instance, keys: OptionKeys, arrays: Arrays, x: NDArray[np.float64]) -> Solution:
    chosen = np.flatnonzero(x[arrays.chosen] > 0.5)
    options = derive_chosen_options(instance, keys.take(chosen))
    return extract_solution(instance, *options, carried_over(instance, arrays, x))


def _described(instance: Instance, keys: OptionKeys, mix_names: tuple[str, ...]) -> pd.DataFrame:
    configurations = np.append(instance.configurations["configuration"].to_numpy(dtype=object), "")
    offers = np.append(instance.offers["offer"].to_numpy(dtype=object), "")
    return pd.DataFrame(
        {
            "configuration": configurations[keys.configuration],
            "offer": offers[keys.offer],
            "year": keys.year.astype(np.int64) + instance.base_year,
            "mix": np.array(mix_names, dtype=object)[keys.mix],
        }
    )

"""The options of an earlier plan among those of a programme."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.milp import BlockNames
from optimize.pv_siting.arrays import Arrays
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.options import OptionKeys
from optimize.warm_start import match_rows, positions_of, with_amounts

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def recall_options(
    instance: Instance, keys: OptionKeys, mix_names: tuple[str, ...], projects: pd.DataFrame
) -> IntArray:
    """Positions in ``keys`` of the projects that the programme still has."""
    wanted = (
        positions_of(list(instance.sites["site"]), list(projects["site"])),
        positions_of(list(instance.configurations["configuration"]), list(projects["configuration"])),
        positions_of(list(instance.offers["offer"]), list(projects["offer"])),
        pd.to_numeric(projects["year"]).to_numpy(np.int64) - instance.base_year,
        positions_of(mix_names, list(projects["mix"])),
    )
    found = match_rows((keys.site, keys.configuration, keys.offer, keys.year, keys.mix), wanted)
    return found[found >= 0]


def plan_to_begin_from(
    instance: Instance, arrays: Arrays, keys: OptionKeys, mix_names: tuple[str, ...], projects: pd.DataFrame
) -> FloatArray:
    """The earlier plan's ``projects`` as a point of the programme, shape (n,), with what is contracted by now.

    Money is carried over and soft clauses are short as the projects leave them; rows that no longer hold
    are left broken.
    """
    chosen = recall_options(instance, keys, mix_names, projects)
    if instance.in_force is not None:
        chosen = np.union1d(chosen, np.flatnonzero(instance.in_force.is_frozen(keys.site)))
    milp = arrays.milp
    x = np.clip(np.zeros(milp.num_columns), milp.lower, milp.upper)
    x[arrays.chosen[chosen]] = 1.0
    assert isinstance(milp.row_names, BlockNames)
    shortfalls = [
        (c, int(soft.rows[0])) for c, soft in zip(arrays.shortfalls.tolist(), arrays.soft, strict=True)
    ]
    carry_rows = milp.row_names.members("carry_within_unspent").tolist()
    return with_amounts(milp, x, shortfalls, list(zip(arrays.carried.tolist(), carry_rows, strict=True)))

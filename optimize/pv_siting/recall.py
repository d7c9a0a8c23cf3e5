"""The options of an earlier plan among those of a programme."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.milp import BlockNames
from optimize.pv_siting.arrays import Arrays
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.options import OptionKeys
from optimize.warm_start import match_rows, positions_of

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
    taken = milp.matrix @ x
    for column, soft in zip(arrays.shortfalls.tolist(), arrays.soft, strict=True):
        row = int(soft.rows[0])
        per_unit = float(milp.matrix[[row]].toarray()[0, column])
        missing = milp.row_upper[row] - taken[row] if soft.is_cap else milp.row_lower[row] - taken[row]
        x[column] = np.clip(missing / per_unit, milp.lower[column], milp.upper[column])
    if len(arrays.carried):
        _carry_over(instance.carry_over_share, arrays, taken, x)
    return x


def _carry_over(share: float, arrays: Arrays, taken: FloatArray, x: FloatArray) -> None:
    """All that each purse leaves of a year goes to the next one as far as it may."""
    milp = arrays.milp
    assert isinstance(milp.row_names, BlockNames)
    budgets = milp.row_names.members("spending_within_budget")
    for k, (source, year) in enumerate(arrays.carried_pairs):
        follows = k > 0 and arrays.carried_pairs[k - 1] == (source, year - 1)
        before = x[arrays.carried[k - 1]] if follows else 0.0
        left = milp.row_upper[budgets[k]] + before - taken[budgets[k]]
        x[arrays.carried[k]] = np.clip(share * left, 0.0, milp.upper[arrays.carried[k]])

"""The programme as arrays with names for rows and columns, for bounds and prices; no solver."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.milp import BlockNames, ElasticRows
from optimize.programme import PricedRows, StatedArrays
from optimize.pv_siting.arrays import Arrays, build_arrays
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.limits import Limits, derive_limits
from optimize.pv_siting.options import Options, derive_options

IntArray = NDArray[np.int64]


def state_arrays(instance: Instance, goals: tuple[str, ...]) -> StatedArrays:
    """The programme for ``goals`` with names for its rows and columns."""
    candidates = derive_options(instance)
    limits = derive_limits(instance, candidates)
    arrays = build_arrays(instance, candidates, limits, goals)
    return name_arrays(instance, candidates, limits, arrays)


def name_arrays(instance: Instance, candidates: Options, limits: Limits, arrays: Arrays) -> StatedArrays:
    """``arrays`` with the names a planner knows its rows and columns by."""
    milp = arrays.milp
    assert isinstance(milp.row_names, BlockNames)
    candidate = np.full(milp.num_columns, -1, dtype=np.int64)
    candidate[arrays.chosen] = candidates.site
    soft = [
        PricedRows(
            clause=row.target.id,
            where="",
            unit=row.target.clause.unit,
            required=row.target.required,
            is_cap=row.is_cap,
            rows=milp.row_names.members(row.target.id),
            per_unit=np.array([row.per_unit]),
        )
        for row in limits.targets
        if not row.target.hard
    ]

    def describe(columns: IntArray) -> pd.DataFrame:
        return _described(instance, candidates, columns - arrays.chosen[0])

    return StatedArrays(
        milp=milp,
        objectives=arrays.objectives,
        priced=(*_priced(instance, milp.row_names, arrays.elastic), *soft),
        candidate=candidate,
        candidate_ids=list(instance.sites["site"]),
        describe=describe,
    )


def _priced(instance: Instance, names: BlockNames, elastic: tuple[ElasticRows, ...]) -> list[PricedRows]:
    """Elastic rows; more budget is also more that may be carried over."""
    of_budget = names.members("spending_within_budget")
    of_carry = names.members("carry_within_unspent")
    carry_of = dict(zip(of_budget.tolist(), of_carry.tolist(), strict=True)) if len(of_carry) else {}
    priced = []
    for group in elastic:
        found = PricedRows.of(group)
        carry = carry_of.get(int(group.rows[0])) if len(group.rows) == 1 else None
        if carry is not None:
            found = replace(
                found,
                rows=np.append(found.rows, carry),
                per_unit=np.append(found.per_unit, instance.carry_over_share),
            )
        priced.append(found)
    return priced


def _described(instance: Instance, candidates: Options, option: IntArray) -> pd.DataFrame:
    configurations = np.append(instance.configurations["configuration"].to_numpy(dtype=object), "")
    offers = np.append(instance.offers["offer"].to_numpy(dtype=object), "")
    return pd.DataFrame(
        {
            "configuration": configurations[candidates.configuration[option]],
            "offer": offers[candidates.offer[option]],
            "year": candidates.year[option] + instance.base_year,
            "mix": np.array(candidates.mix_names, dtype=object)[candidates.mix[option]],
        }
    )

"""Instances with costs, yields, prices or demand multiplied."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from optimize.milp import FloatArray
from optimize.programme import Programme
from optimize.schema import InstanceData


def with_factors(
    programme: Programme,
    data: InstanceData,
    factors: Mapping[str, float],
    own: Mapping[str, FloatArray] | None = None,
) -> InstanceData:
    """``data`` with the figures of each named factor multiplied.

    Columns with a largest allowed value that is a share (a yield below 1) stay within it.

    Parameters
    ----------
    own : by ``table.column``, a further multiplier of each row.
    """
    tables, parameters = dict(data.tables), dict(data.parameters)
    own = own or {}
    for factor in programme.factors:
        by = factors.get(factor.name, 1.0)
        for place in factor.columns:
            if by == 1.0 and place not in own:
                continue
            table, _, column = place.partition(".")
            most = programme.schema.table(table).column(column).maximum
            values = tables[table][column].to_numpy(np.float64) * by * own.get(place, 1.0)
            if most is not None and most <= 1.0:
                values = np.minimum(values, most)
            tables[table] = tables[table].assign(**{column: values})
        for path in factor.parameters:
            parameters[path] = float(parameters[path]) * by
    return dataclasses.replace(data, tables=tables, parameters=parameters)

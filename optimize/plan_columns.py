"""From the text cells of a stored plan table back to typed columns, to the last digit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from optimize.errors import UnreadablePlan


def plan_columns(
    tables: Mapping[str, pd.DataFrame],
    name: str,
    *,
    texts: Sequence[str] = (),
    whole: Sequence[str] = (),
    floats: Sequence[str] = (),
    order: Sequence[str] = (),
) -> pd.DataFrame:
    """The wanted columns of one table; an empty cell of ``floats`` is NaN.

    Parameters
    ----------
    order : all wanted columns in their order; () means texts, whole, floats.

    Raises
    ------
    UnreadablePlan : the table or a column is missing, or a cell is no number.
    """
    if name not in tables:
        raise UnreadablePlan(f"{name}.csv is missing")
    table = tables[name]
    wanted = [*texts, *whole, *floats]
    missing = [column for column in wanted if column not in table]
    if missing:
        raise UnreadablePlan(f"{name}.csv has no column {', '.join(missing)}")
    columns: dict[str, object] = {}
    for column in wanted:
        cells = table[column]
        if column in texts:
            columns[column] = cells.astype(object)
            continue
        try:
            # float() rounds correctly, which the faster parsers of tables do not promise
            numbers = [float(cell) if cell else float("nan") for cell in cells]
        except ValueError as error:
            raise UnreadablePlan(f"{name}.csv column {column}: {error}") from error
        values = np.array(numbers, dtype=np.float64)
        if column in whole:
            if not (values == np.round(values)).all():
                raise UnreadablePlan(f"{name}.csv column {column}: not whole numbers")
            columns[column] = values.astype(np.int64)
        else:
            columns[column] = values
    return pd.DataFrame(columns, index=table.index)[list(order or wanted)]

"""The rows of a table that no other row beats: compiled, because a centre has thousands of sets."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)  # type: ignore[untyped-decorator]
def _keep(table: NDArray[np.float64], kept: NDArray[np.int64]) -> int:
    count = 0
    num_rows, num_columns = table.shape
    for row in range(num_rows):
        beaten = False
        for position in range(count):
            other = kept[position]
            no_worse = True
            for column in range(num_columns):
                if table[other, column] > table[row, column]:
                    no_worse = False
                    break
            if no_worse:
                beaten = True
                break
        if not beaten:
            kept[count] = row
            count += 1
    return count


def undominated(table: NDArray[np.float64]) -> NDArray[np.int64]:
    """Positions of the rows for which no other row is at most as large in every column.

    Of equal rows the first in lexicographic order stays.  Rows are visited in lexicographic
    order, in which whatever dominates a row comes before it, so one pass over the rows kept so
    far is enough.
    """
    order = np.lexsort(table.T[::-1])
    kept = np.empty(len(table), dtype=np.int64)
    count = _keep(np.ascontiguousarray(table[order]), kept)
    return np.sort(order[kept[:count]])

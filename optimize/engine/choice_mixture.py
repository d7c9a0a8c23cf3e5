"""The fractional plan behind a cutting-plane bound: which maximisers it mixes, part by part.

The multipliers of the cuts of the last cutting-plane model, of one part, are weights that sum to one:
mixed by them, the maximisers found keep the linking rows on average (Dantzig and Wolfe 1960).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_WEIGHS = 1e-7


class Mixture:
    """Choices of all groups at the multipliers tried, and their weights.

    Attributes
    ----------
    part_of_group : shape (groups,), part of the cutting-plane model of each group.
    """

    def __init__(self, part_of_group: IntArray, num_parts: int) -> None:
        self.part_of_group = part_of_group
        self._num_parts = num_parts
        self._chosen: list[NDArray[np.int32]] = []
        self._weights = np.zeros(0)

    def add(self, chosen: IntArray) -> None:
        """``chosen``: shape (groups,), the column chosen in each, -1: none."""
        self._chosen.append(chosen.astype(np.int32))

    @property
    def num_cuts(self) -> int:
        return len(self._chosen) * self._num_parts

    def weigh(self, weights: FloatArray) -> None:
        """``weights``: shape (cuts,), those of each maximiser by part, in the order they were added."""
        self._weights = weights

    def undecided(self) -> tuple[BoolArray, IntArray]:
        """Groups of which several columns have a weight, shape (groups,), and all columns with one.

        No groups and no columns where nothing was weighed.
        """
        number = len(self._weights) // self._num_parts
        weighs = self._weights.reshape(number, self._num_parts) > _WEIGHS
        first = np.full(len(self.part_of_group), -2, dtype=np.int32)
        several = np.zeros(len(first), dtype=np.bool_)
        columns = [np.zeros(0, dtype=np.int64)]
        for chosen, parts in zip(self._chosen, weighs, strict=False):
            own = parts[self.part_of_group]
            columns.append(np.unique(chosen[own & (chosen >= 0)]).astype(np.int64))
            several |= own & (first != -2) & (first != chosen)
            first = np.where(own & (first == -2), chosen, first)
        return several, np.unique(np.concatenate(columns))

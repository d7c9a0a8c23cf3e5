"""Part of `checker`: rows looked at, counted, and kept where they do not hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from optimize.checking import Violation

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

RELATIVE = 1e-6
LISTED = 20  # more violations of one row are counted, not listed


def floats(values: ArrayLike) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def _slack(side: FloatArray) -> FloatArray:
    """What rounding may cost: a millionth of the side, where that is finite."""
    return np.where(np.isfinite(side), RELATIVE * np.maximum(1.0, np.abs(side)), 0.0)


class Labels(Sequence[str]):
    """Names of rows, written out only for those that do not hold."""

    def __init__(self, ids: pd.Series, text: str = "{}") -> None:
        self._ids, self._text = ids, text

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, position):  # type: ignore[no-untyped-def]
        return self._text.format(self._ids.iloc[position])

    def of_projects(self, positions: IntArray) -> list[int]:
        """Labels of the joined table's rows these stand for."""
        return [int(label) for label in self._ids.index[positions]]


class Rows:
    """Counts the rows looked at and keeps those that do not hold."""

    def __init__(self) -> None:
        self.count = 0
        self.violations: list[Violation] = []

    def at_most(self, equation: str, where: Sequence[str], found: ArrayLike, most: ArrayLike) -> None:
        value, side = floats(found), floats(most)
        self._keep(equation, where, value <= side + _slack(side), value, side, "at most")

    def at_least(self, equation: str, where: Sequence[str], found: ArrayLike, least: ArrayLike) -> None:
        value, side = floats(found), floats(least)
        self._keep(equation, where, value >= side - _slack(side), value, side, "at least")

    def equal(self, equation: str, where: Sequence[str], found: ArrayLike, true: ArrayLike) -> None:
        value, side = floats(found), floats(true)
        self._keep(equation, where, np.abs(value - side) <= _slack(side), value, side, "")

    def true(self, equation: str, where: Sequence[str], holds: BoolArray, required: str) -> None:
        self.count += len(where)
        failing = np.flatnonzero(~holds)
        self._note(where, failing)
        for position in failing[:LISTED]:
            self.violations.append(Violation(equation, where[position], required, "not so"))

    def _keep(
        self,
        equation: str,
        where: Sequence[str],
        holds: BoolArray,
        found: FloatArray,
        side: FloatArray,
        word: str,
    ) -> None:
        self.count += len(where)
        failing = np.flatnonzero(~holds)
        self._note(where, failing)
        for position in failing[:LISTED]:
            required = f"{word} {side[position]:.6g}".strip()
            self.violations.append(Violation(equation, where[position], required, f"{found[position]:.6g}"))

    def _note(self, where: Sequence[str], failing: IntArray) -> None:
        """What else is kept of rows that do not hold."""


class FailingProjects(Rows):
    """Keeps which projects break a row, by their label in the joined table."""

    def __init__(self) -> None:
        super().__init__()
        self.projects: set[int] = set()

    def _note(self, where: Sequence[str], failing: IntArray) -> None:
        assert isinstance(where, Labels)
        self.projects.update(where.of_projects(failing))

"""A mixed-integer linear programme as arrays, and a builder that fills it block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Milp:
    """max or min ``cost @ x + offset`` over ``row_lower <= matrix @ x <= row_upper``, box, integrality.

    Attributes
    ----------
    cost, lower, upper : shape (n,); bounds may be infinite.
    matrix : scipy CSR, shape (m, n).
    row_lower, row_upper : shape (m,); may be infinite.
    integral : shape (n,), True for integer columns.
    """

    cost: FloatArray
    matrix: sp.csr_array
    row_lower: FloatArray
    row_upper: FloatArray
    lower: FloatArray
    upper: FloatArray
    integral: BoolArray
    maximise: bool
    offset: float = 0.0
    column_names: Sequence[str] | None = None
    row_names: Sequence[str] | None = None

    @property
    def num_columns(self) -> int:
        return len(self.cost)

    @property
    def num_rows(self) -> int:
        return len(self.row_lower)

    def value(self, x: FloatArray) -> float:
        return float(self.cost @ x) + self.offset

    def violation(self, x: FloatArray) -> float:
        """Largest violation of a row or bound, each relative to max(1, |side|)."""
        worst = 0.0
        for values, low, high in (
            (self.matrix @ x, self.row_lower, self.row_upper),
            (x, self.lower, self.upper),
        ):
            for excess, side in ((low - values, low), (values - high, high)):
                broken = np.flatnonzero(excess > 0)
                if len(broken):
                    scaled = excess[broken] / np.maximum(1.0, np.abs(side[broken]))
                    worst = max(worst, float(scaled.max()))
        return worst

    def with_objective(self, cost: FloatArray, maximise: bool, offset: float = 0.0) -> Milp:
        return replace(self, cost=cost, maximise=maximise, offset=offset)

    def with_bounds(self, lower: FloatArray, upper: FloatArray) -> Milp:
        return replace(self, lower=lower, upper=upper)

    def restricted(self, free: BoolArray, x: FloatArray) -> Milp:
        """The programme on the ``free`` columns, all others held at ``x``; see `restriction`."""
        return self.restriction(free, x)[0]

    def restriction(self, free: BoolArray, x: FloatArray) -> tuple[Milp, IntArray]:
        """The programme on the ``free`` columns, all others held at ``x``, and which rows it has.

        Rows without a free column are left out; one that the held columns alone break stays, so
        that the restriction is infeasible too.
        """
        held = np.where(free, 0.0, x)
        used = self.matrix @ held
        part = sp.csr_array(self.matrix[:, np.flatnonzero(free)])
        low, high = self.row_lower - used, self.row_upper - used
        broken = (low > 1e-6 * np.maximum(1, np.abs(self.row_lower))) | (
            high < -1e-6 * np.maximum(1, np.abs(self.row_upper))
        )
        rows = np.flatnonzero((np.diff(part.indptr) > 0) | broken)
        rest = Milp(
            cost=self.cost[free],
            matrix=sp.csr_array(part[rows]),
            row_lower=low[rows],
            row_upper=high[rows],
            lower=self.lower[free],
            upper=self.upper[free],
            integral=self.integral[free],
            maximise=self.maximise,
            offset=self.offset + float(self.cost @ held),
        )
        return rest, np.asarray(rows, dtype=np.int64)

    def with_row(self, coefficients: FloatArray, lower: float, upper: float, name: str) -> Milp:
        """The same programme with one more (last) row."""
        row = sp.csr_array(coefficients.reshape(1, -1))
        names = self.row_names
        if isinstance(names, BlockNames):
            names = names.followed_by(name)
        elif names is not None:
            names = [*names, name]
        return replace(
            self,
            matrix=cast(sp.csr_array, sp.vstack([self.matrix, row], format="csr")),
            row_lower=np.append(self.row_lower, lower),
            row_upper=np.append(self.row_upper, upper),
            row_names=names,
        )


@dataclass(frozen=True)
class Objective:
    """A goal on the programme's columns. ``cost`` has shape (n,)."""

    name: str
    cost: FloatArray
    maximise: bool
    offset: float = 0.0


# Which way out a planner asks for first (`ElasticRows.rank`).
TARGET, MONEY, OTHER = range(3)


@dataclass(frozen=True)
class ElasticRows:
    """Rows of one policy statement that may give way.

    Parameters
    ----------
    clause, where, unit : how the statement is named to a planner.
    rows : row ids in the programme; they share one amount of relaxation.
    per_unit : change of a row's side per reported unit (1 where the row is in that unit); one for
        all rows or one for each.
    required : the statement's own figure, in ``unit``.
    is_cap : a cap gives way upwards, a target downwards.
    rank : TARGET, MONEY or OTHER.
    """

    clause: str
    where: str
    unit: str
    rows: IntArray
    required: float
    per_unit: float | FloatArray = 1.0
    is_cap: bool = False
    rank: int = TARGET


Term = tuple[ArrayLike | None, ArrayLike, ArrayLike]


class MilpBuilder:
    """Collects columns and rows as blocks of arrays."""

    def __init__(self, maximise: bool) -> None:
        self.maximise = maximise
        self._cost: list[FloatArray] = []
        self._lower: list[FloatArray] = []
        self._upper: list[FloatArray] = []
        self._integral: list[BoolArray] = []
        self._row_lower: list[FloatArray] = []
        self._row_upper: list[FloatArray] = []
        self._parts: list[sp.csr_array] = []
        self._column_blocks: list[tuple[str, int]] = []
        self._row_blocks: list[tuple[str, int]] = []
        self.num_columns = 0
        self.num_rows = 0

    def add_columns(
        self,
        name: str,
        shape: int | tuple[int, ...],
        *,
        lower: ArrayLike = 0.0,
        upper: ArrayLike = np.inf,
        cost: ArrayLike = 0.0,
        integral: bool = False,
    ) -> IntArray:
        """Add a block of columns; returns their indices in ``shape``. Arguments broadcast."""
        dims = (shape,) if isinstance(shape, int) else shape
        size = int(np.prod(dims))

        def spread(values: ArrayLike) -> FloatArray:
            return np.broadcast_to(np.asarray(values, dtype=np.float64), dims).ravel()

        self._cost.append(spread(cost))
        self._lower.append(spread(lower))
        self._upper.append(spread(upper))
        self._integral.append(np.full(size, integral))
        self._column_blocks.append((name, size))
        first = self.num_columns
        self.num_columns += size
        return np.arange(first, first + size, dtype=np.int64).reshape(dims)

    def add_rows(
        self,
        name: str,
        shape: int | tuple[int, ...],
        terms: Sequence[Term],
        *,
        lower: ArrayLike = -np.inf,
        upper: ArrayLike = np.inf,
    ) -> IntArray:
        """Add a block of rows ``lower <= sum of terms <= upper``; returns their ids in ``shape``.

        Each term is ``(rows, columns, coefficients)``; ``rows`` are local positions 0..size-1 in
        the block (None: 0..size-1 in ``shape``); the three broadcast against each other.
        """
        dims = (shape,) if isinstance(shape, int) else shape
        size = int(np.prod(dims))
        first = self.num_rows
        own = np.arange(size, dtype=np.int64).reshape(dims)
        self._parts.append(_rows_as_csr(size, self.num_columns, own, terms))
        self._row_lower.append(np.broadcast_to(np.asarray(lower, dtype=np.float64), dims).ravel())
        self._row_upper.append(np.broadcast_to(np.asarray(upper, dtype=np.float64), dims).ravel())
        self._row_blocks.append((name, size))
        self.num_rows += size
        return own + first

    def build(self) -> Milp:
        """The programme; entries given twice for one cell are added up. Empties the builder."""
        matrix = _stacked(self._parts, self.num_columns)

        def join(parts: list[FloatArray]) -> FloatArray:
            return np.concatenate(parts) if parts else np.zeros(0)

        return Milp(
            cost=join(self._cost),
            matrix=matrix,
            row_lower=join(self._row_lower),
            row_upper=join(self._row_upper),
            lower=join(self._lower),
            upper=join(self._upper),
            integral=np.concatenate(self._integral) if self._integral else np.zeros(0, np.bool_),
            maximise=self.maximise,
            column_names=BlockNames(self._column_blocks),
            row_names=BlockNames(self._row_blocks),
        )


def _rows_as_csr(size: int, num_columns: int, own: IntArray, terms: Sequence[Term]) -> sp.csr_array:
    """Rows of one block: 32-bit indices, ascending in each row, no zeros."""
    parts = []
    for rows, columns, coefficients in terms:
        r, c, v = np.broadcast_arrays(
            own if rows is None else np.asarray(rows),
            np.asarray(columns),
            np.asarray(coefficients, dtype=np.float64),
        )
        parts.append((r.ravel().astype(np.int32), c.ravel().astype(np.int32), v.ravel()))
    if not parts:
        return sp.csr_array((size, num_columns))
    r, c, v = parts[0] if len(parts) == 1 else (np.concatenate(part) for part in zip(*parts, strict=True))
    block = sp.csr_array(sp.coo_array((v, (r, c)), shape=(size, num_columns)))
    block.eliminate_zeros()
    return block


def _stacked(parts: list[sp.csr_array], num_columns: int) -> sp.csr_array:
    """The blocks one below the other; each is let go of as it is copied, so that they lie there once."""
    counts = [np.diff(part.indptr) for part in parts]
    starts = np.concatenate([np.zeros(1, np.int64), *counts]).cumsum()
    index = np.int32 if starts[-1] <= np.iinfo(np.int32).max else np.int64
    indices, data = np.empty(starts[-1], dtype=index), np.empty(starts[-1])
    end = int(starts[-1])
    while parts:
        part = parts.pop()
        first = end - part.nnz
        indices[first:end], data[first:end] = part.indices, part.data
        end = first
    return sp.csr_array((data, indices, starts.astype(index)), shape=(len(starts) - 1, num_columns))


class BlockNames(Sequence[str]):
    """Names ``block[position]`` made only when asked for; blocks of one name are counted through."""

    def __init__(self, blocks: Sequence[tuple[str, int]]) -> None:
        self._blocks = tuple(blocks)
        self._names = [name for name, _ in blocks]
        self._ends = np.cumsum([size for _, size in blocks], dtype=np.int64)
        so_far: dict[str, int] = {}
        self._shifts = []
        for (name, size), end in zip(blocks, self._ends.tolist(), strict=True):
            self._shifts.append(so_far.get(name, 0) - (end - size))
            so_far[name] = so_far.get(name, 0) + size

    def followed_by(self, name: str) -> BlockNames:
        """The same names and one more block of one."""
        return BlockNames([*self._blocks, (name, 1)])

    def prefixed(self, prefix: str) -> list[tuple[str, int]]:
        """The blocks with a prefix before each name, to put several programmes side by side."""
        return [(prefix + name, size) for name, size in self._blocks]

    def members(self, name: str) -> IntArray:
        """Positions of all names ``name[...]``, in order."""
        parts = [
            np.arange(end - size, end, dtype=np.int64)
            for (block, size), end in zip(self._blocks, self._ends.tolist(), strict=True)
            if block == name
        ]
        return np.concatenate([*parts, np.zeros(0, np.int64)])

    def find(self, names: Sequence[str]) -> IntArray:
        """Position of each name; -1 where there is no such name."""
        found = np.full(len(names), -1, dtype=np.int64)
        members: dict[str, IntArray] = {}
        for k, name in enumerate(names):
            block, bracket, place = name.removesuffix("]").rpartition("[")
            if not bracket or not name.endswith("]") or not place.isdecimal():
                continue
            if block not in members:
                members[block] = self.members(block)
            if str(int(place)) == place and int(place) < len(members[block]):
                found[k] = members[block][int(place)]
        return found

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"row or column {index} of {len(self)}")
        block = int(np.searchsorted(self._ends, index, side="right"))
        return f"{self._names[block]}[{index + self._shifts[block]}]"

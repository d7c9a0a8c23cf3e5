"""What a solve returns: why it stopped, apart from what is held, with its proven bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import numpy as np
import pandas as pd

if TYPE_CHECKING:  # scipy would come with it
    from optimize.milp import FloatArray, IntArray


S = TypeVar("S")


class StopReason(StrEnum):
    """Why an engine stopped."""

    OPTIMAL = "optimal"
    GAP_REACHED = "gap reached"
    TIME_LIMIT = "time limit"
    INTERRUPTED = "interrupted"
    SEARCH_ENDED = "search ended"  # a bounded search ran to its end; the gap may be open
    INFEASIBLE = "infeasible"


@dataclass(frozen=True)
class TracePoint:
    """Best plan and best proven bound after ``seconds``; None where there is none yet."""

    seconds: float
    plan: float | None
    bound: float | None


@dataclass(frozen=True)
class RelaxedRow:
    """One policy row that has to give way, in its own unit."""

    clause: str
    where: str
    required: float
    reachable: float
    unit: str

    @property
    def change(self) -> float:
        return self.reachable - self.required


@dataclass(frozen=True)
class Relaxation:
    """A set of rows that together suffice to make the instance solvable.

    Not ``exact``: the amounts are proven to be needed at least; more may be.  ``only``: everything else
    together does not help without these rows.
    """

    rows: tuple[RelaxedRow, ...]
    exact: bool = True
    only: bool = False


@dataclass(frozen=True)
class KeptGoal:
    """What a plan must reach of an earlier goal for the bound on the last one to hold."""

    goal: str
    reached: float


@dataclass(frozen=True)
class NetworkCertificate:
    """Multipliers of a network's Lagrangian relaxation, from which anyone can compute its bound again.

    Attributes
    ----------
    bound : what the stored multipliers prove, in the goal's own sense.
    content : the file a run keeps; None: it was too large to keep, so nobody can compute the bound again.
    num_bytes : of the file.
    num_seasons, num_multipliers : seasons of the relaxation's year, and multipliers of all of them.
    """

    bound: float
    content: bytes | None
    num_bytes: int
    num_seasons: int
    num_multipliers: int


@dataclass(frozen=True)
class NetworkProof:
    """What a stored `NetworkCertificate` proves, computed again from the instance."""

    bound: float
    num_seasons: int
    num_multipliers: int


@dataclass(frozen=True)
class Certificate:
    """Multipliers from which anyone can compute a bound on the last goal again.

    The programme's own arrays, its kept goals as further rows, these multipliers and the names of
    the rows solved exactly are all that `optimize.verification` needs; ``bound`` and
    ``block_bounds`` are claims it checks.

    Attributes
    ----------
    kind : ``lagrangian`` where rows are solved exactly inside blocks, else ``linear``.
    bound : what the multipliers prove; the bound of a run may be better (branch and cut).
    multipliers : shape (m,), d objective / d side of every row; 0: the row is not priced.
    row_names : shape (m,), names of the rows, each once.
    block_rows : rows solved exactly, one for each block that has one.
    block_bounds : shape of ``block_rows``, largest reduced objective of the block (smallest where
        the goal is minimised).
    kept : earlier goals; their rows are the last of the m, in this order.
    network : another proof of a bound, on a network's own relaxation; it counts where it is closer.
    """

    kind: Literal["lagrangian", "linear"]
    bound: float
    multipliers: FloatArray
    row_names: Sequence[str]
    block_rows: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    block_bounds: FloatArray = field(default_factory=lambda: np.zeros(0))
    kept: tuple[KeptGoal, ...] = ()
    network: NetworkCertificate | None = None

    def closest(self, maximise: bool) -> float:
        """The best bound of all that is stored with the certificate."""
        if self.network is None or self.network.content is None:
            return self.bound
        return min(self.bound, self.network.bound) if maximise else max(self.bound, self.network.bound)


@dataclass(frozen=True)
class Prices:
    """What the certificate's multipliers say about rows and candidates; approximate, as is every price.

    Attributes
    ----------
    rows : a budget or target a row: clause, where, sense, unit, required, and
        ``approx_gain_per_unit``, how much better the goal gets, per unit, when the row gives way a
        little (a cap rises, a target falls; in the goal's unit, never a loss).
    candidates : one row each: its id (first column), its best option, and ``approx_value``, what
        that adds to the goal at these prices, against doing nothing (money saved where the goal is
        a cost); negative: it is not worth the budgets and targets it takes.
    """

    rows: pd.DataFrame
    candidates: pd.DataFrame


def relative_gap(objective: float | None, bound: float | None) -> float | None:
    """|bound - objective| / |objective|; None while either is missing."""
    if objective is None or bound is None:
        return None
    difference = abs(bound - objective)
    return 0.0 if difference < 1e-9 else difference / max(abs(objective), 1e-9)


@dataclass(frozen=True)
class Result(Generic[S]):
    """Outcome of one engine on one instance.

    ``objective`` and ``bound`` belong to the last goal of ``goal``; ``maximise`` tells on which
    side of the plan the bound lies.  ``relaxations`` is filled when ``stop`` is INFEASIBLE.
    ``certificate`` proves a bound by multipliers, not always the same as ``bound``.
    ``notes`` tell people what the engine could not look at, or why it is not the one expected.
    """

    stop: StopReason
    solution: S | None
    objective: float | None
    bound: float | None
    maximise: bool
    goal: tuple[str, ...]
    engine: str
    trace: tuple[TracePoint, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    relaxations: tuple[Relaxation, ...] = ()
    certificate: Certificate | None = None
    prices: Prices | None = None
    notes: tuple[str, ...] = ()

    @property
    def gap(self) -> float | None:
        return relative_gap(self.objective, self.bound)

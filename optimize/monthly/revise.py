"""From the ledger and the plan in force to what a period's instance has to say about them.

The revision is ordinary input: rows of ``plan_in_force``, locks, budgets without sunk money, measured values
instead of estimates, and settings.  It is laid over the instance folder of the period, so that whatever reads
that folder afterwards (solving, checking, `optimize front`, `optimize verify`) needs to know nothing of ledgers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optimize.io.table_changes import TableChange
from optimize.monthly.ledger import Ledger


@dataclass(frozen=True)
class RevisionRules:
    """What a job asks of revisions.

    Attributes
    ----------
    amendment_months : months (1–12) in which this year's list may be changed; in others nothing new starts
        before next year.  (): all.
    penalty_cny_per_change : what a change against the plan in force has to be worth; 0: nothing.
    max_changes : at most so many; None: as many as are worth it.
    """

    amendment_months: tuple[int, ...] = ()
    penalty_cny_per_change: float = 0.0
    max_changes: int | None = None


@dataclass(frozen=True)
class Revision:
    """What is laid over a period's instance.

    Attributes
    ----------
    overrides : dotted parameter path -> value.
    changes : of tables, in order; each ``programme/table``.
    groups : by position in ``changes``, ``ledger`` or ``measurements``.
    words : (zh, en) of each thing a reader of the period's log should know.
    """

    overrides: Mapping[str, Any] = field(default_factory=dict)
    changes: tuple[TableChange, ...] = ()
    groups: tuple[str, ...] = ()
    words: tuple[tuple[str, str], ...] = ()


def revise(
    folder: Path, ledger: Ledger, in_force: Mapping[str, Path], period: str, rules: RevisionRules
) -> Revision:
    """What the ledger up to ``period`` and the plan in force say about the instance in ``folder``.

    Parameters
    ----------
    folder : the period's instance as read (`optimize.monthly.sources.read_source`).
    in_force : by programme, the run folder of the plan in force (a joint run for each of its programmes);
        {}: the first period.
    period : ``YYYY-MM``; entries of later periods do not count yet.

    Raises
    ------
    InputFaults : ledger and instance contradict each other (a contracted project that the tables do not know,
        a measured value of no column, sunk money above a budget ...), all at once.
    """
    raise NotImplementedError("lands with the next commits")


def write_revised(folder: Path, revision: Revision, out: Path) -> None:
    """The instance in ``folder`` with the revision laid over it, as the folder ``out``; at once or not at all."""
    raise NotImplementedError("lands with the next commits")

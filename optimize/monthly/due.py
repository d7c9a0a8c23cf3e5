"""Which period a run is about, and whether there is anything left to do for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from optimize.errors import UsageError
from optimize.monthly.periods import Name, Period, months_between, names_in, open_period, parse_month

# A clock that is further ahead of the last period than this is asked about before it is believed.
_MOST_MONTHS_AHEAD = 24


@dataclass(frozen=True)
class Asked:
    """What the call says.

    Attributes
    ----------
    period : month, None: that of the clock.
    force : plan it although it is published.
    accept_lost_rows : tables that have lost many rows are meant so.
    """

    period: str | None = None
    force: bool = False
    accept_lost_rows: bool = False


@dataclass(frozen=True)
class Due:
    """The period to plan; ``published``: there it is already, and nothing is to be done."""

    name: Name
    published: Period | None = None


def find_due(home: Path, asked: Asked, now: datetime) -> Due:
    """What a run begun at ``now`` is about.

    Raises
    ------
    UsageError : the clock, or the month asked for, does not fit what is published.
    """
    names = names_in(home)
    month = f"{now:%Y-%m}" if asked.period is None else parse_month(asked.period)
    if names:
        _refuse_odd_month(month, names[-1].month, asked)
    editions = [name for name in names if name.month == month]
    if not asked.force:
        for name in reversed(editions):
            period, _ = open_period(home, name)
            if period is not None:
                return Due(name, period)
    return Due(editions[-1].next_edition() if editions else Name(month))


def _refuse_odd_month(month: str, last: str, asked: Asked) -> None:
    ahead = months_between(last, month)
    again = f"`--period {month} --force` plans it again without moving `current`"
    if ahead < 0 and asked.period is None:
        raise UsageError(
            f"the clock says {month}, but {last} is published already: is the clock right? {again}"
        )
    if ahead < 0 and not asked.force:
        raise UsageError(f"--period {month}: {last} is published already; {again}")
    if ahead > _MOST_MONTHS_AHEAD and asked.period is None:
        raise UsageError(
            f"the clock says {month}, {ahead} months after the last period {last}: is the clock right? "
            f"If it is, say so once with --period {month}"
        )

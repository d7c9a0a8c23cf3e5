"""Several races, one per seed, taken together."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from optimize.bench.ingredients import share_of
from optimize.bench.race import Entry, Race


@dataclass(frozen=True)
class Standing:
    """One contender over all seeds; figures of all of them are None where one seed has none.

    Attributes
    ----------
    gaps : proven relative gap by seed.
    first_plan_s : the slowest.
    closes : mean share of the gap that what it leaves out closes.
    plans_apart : how far the worst plan lies behind the best, where all seeds solve one instance.
    """

    contender: str
    gaps: tuple[float | None, ...]
    mean_gap: float | None
    mean_gap_of_gross: float | None
    first_plan_s: float | None
    closes: float | None
    plans_apart: float | None

    def record(self) -> dict[str, Any]:
        return {**vars(self), "gaps": list(self.gaps)}


def standings(races: Sequence[Race], maximise: bool, *, one_instance: bool) -> list[Standing]:
    """Every contender's standing after some races of the same contenders."""
    return [
        _standing([race.entries[place] for race in races], races, maximise, one_instance)
        for place in range(len(races[0].entries))
    ]


def _standing(
    own: Sequence[Entry], races: Sequence[Race], maximise: bool, one_instance: bool
) -> Standing:  # fmt: skip
    shares = [share_of(race.entries[0], entry, maximise) for race, entry in zip(races, own, strict=True)]
    plans = [entry.plan for entry in own if entry.plan is not None]
    best = (max if maximise else min)(plans, default=0.0)
    complete = one_instance and len(plans) == len(own) and best != 0.0
    return Standing(
        own[0].contender,
        tuple(entry.marks.gap for entry in own),
        _of_all([entry.marks.gap for entry in own], statistics.fmean),
        _of_all([entry.gap_of_gross for entry in own], statistics.fmean),
        _of_all([entry.marks.first_plan_s for entry in own], max),
        _of_all([None if share is None else share.closed for share in shares], statistics.fmean)
        if own[0].without
        else None,
        (max(plans) - min(plans)) / abs(best) if complete else None,
    )


def _of_all(values: Sequence[float | None], figure: Callable[[Sequence[float]], float]) -> float | None:
    known = [value for value in values if value is not None]
    return figure(known) if known and len(known) == len(values) else None

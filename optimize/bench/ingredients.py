"""What each step of the product's fast engine brings: the whole against a run that leaves it out.

The gap that is open without a step is closed by the whole partly through a better plan, partly through a
better bound; both are shares of that gap, and negative where the step cost more than it gave.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from optimize.bench.contenders import PRODUCT, Contender, find_contenders
from optimize.bench.race import Entry, Race
from optimize.errors import UsageError
from optimize.programme import Programme

EVERY = "all"
"""Each ingredient by itself."""


@dataclass(frozen=True)
class Share:
    """Shares of the gap open without some steps that the whole closes."""

    by_plan: float
    by_bound: float

    @property
    def closed(self) -> float:
        return self.by_plan + self.by_bound


def product_without(names: str, programme: Programme) -> tuple[Contender, ...]:
    """The product, then the product without each of the named ingredients.

    Parameters
    ----------
    names : ingredients separated by commas, ``+`` between those left out together, or `EVERY`.

    Raises
    ------
    UsageError : an unknown name, none at all, or a programme that has no ingredients.
    """
    known = programme.ingredients
    if not known:
        raise UsageError(f"--without {names}: {programme.name} has no ingredients that can be left out")
    asked = list(known) if names == EVERY else [item.strip() for item in names.split(",") if item.strip()]
    groups = [tuple(name.strip() for name in item.split("+")) for item in asked]
    if not groups or not {name for group in groups for name in group} <= set(known):
        raise UsageError(f"--without {names}: known are {EVERY}, {', '.join(known)}")
    (whole,) = find_contenders(PRODUCT)
    return (whole, *(replace(whole, without=group) for group in dict.fromkeys(groups)))


def share_of(whole: Entry, without: Entry, maximise: bool) -> Share | None:
    """What the steps bring that ``without`` leaves out; None where one did not end with a plan that holds and a bound."""
    ended = whole.checked and without.checked
    if not ended or whole.marks.gap is None or without.marks.gap is None:  # a refuted bound leaves no gap
        return None
    if whole.plan is None or whole.bound is None or without.plan is None or without.bound is None:
        return None
    sign = 1.0 if maximise else -1.0
    gap = sign * (without.bound - without.plan)
    if gap <= 0.0:
        return None
    return Share(sign * (whole.plan - without.plan) / gap, sign * (without.bound - whole.bound) / gap)


def change(value: float | None, reference: float | None) -> float | None:
    """Relative to the size of the reference."""
    if value is None or reference is None or reference == 0.0:
        return None
    return (value - reference) / abs(reference)


def shares_record(race: Race, maximise: bool) -> list[dict[str, Any]]:
    """What each ingredient left out brings, for programs."""
    whole, *others = race.entries
    found = []
    for entry in others:
        share = share_of(whole, entry, maximise)
        found.append(
            {
                "without": list(entry.without),
                "plan_change": change(entry.plan, whole.plan),
                "bound_change": change(entry.bound, whole.bound),
                "closes": None if share is None else share.closed,
                "closes_by_plan": None if share is None else share.by_plan,
                "closes_by_bound": None if share is None else share.by_bound,
            }
        )
    return found

"""What the fast path is made of: steps that can be left out, one by one, to see what each brings.

Every solve uses all of them; only `optimize bench water --without NAME` leaves some out.  A step left out
makes plans worse or bounds weaker, never wrong: what is found is certified and checked, what is proven holds.
A flag is read in one place, where its step begins; engine modules have settings of their own, filled from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from optimize.errors import UsageError
from optimize.programme import SolveOptions


def _step(says: str) -> bool:
    """A flag that is on, with a sentence of what its step does."""
    flag: bool = field(default=True, metadata={"says": says})
    return flag


@dataclass(frozen=True)
class Ingredients:
    """Which steps are taken."""

    reductions: bool = _step("users, pipes, modules and periods that no best plan needs left out, first")
    one_commodity: bool = _step("networks of one quality and full service solved as such, first")
    linear: bool = _step("bound: linear relaxation of the mean year; its prices begin the Lagrangian")
    lagrangian: bool = _step(
        "bound: Lagrangian of every pipe, plant and user, prices by node and requirement"
    )
    origins: bool = _step("Lagrangian: water told apart by the plant it comes from")
    seasons: bool = _step("Lagrangian: every period a season instead of their mean")
    one_way: bool = _step("Lagrangian: a pipe flows one way in each season")
    integral: bool = _step("bound: branch and cut on the mean year, for small networks")
    starts: bool = _step("search: first designs at further prices of money, for small networks")
    search: bool = _step("search: users taken out and put back elsewhere, thousands of times")
    episodes: bool = _step("search: plants opened or closed as a whole")
    rounds: bool = _step("search: begun several times from the first design")
    near_model: bool = _step("plan: branch and cut over works near the plan")
    trim: bool = _step("plan: empty pipes left out, half-empty ones made narrower")

    @classmethod
    def of(cls, options: SolveOptions) -> Ingredients:
        """All but those that the options leave out.

        Raises
        ------
        UsageError : an ingredient that is not known.
        """
        unknown = sorted(set(options.without) - set(INGREDIENTS))
        if unknown:
            raise UsageError(
                f"ingredient {', '.join(unknown)} is unknown to water; known: {', '.join(INGREDIENTS)}"
            )
        return cls(**dict.fromkeys(options.without, False))


INGREDIENTS: Mapping[str, str] = {step.name: step.metadata["says"] for step in fields(Ingredients)}
"""What each step does, by name."""

ALL = Ingredients()

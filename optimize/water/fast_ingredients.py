"""What the fast path is made of: steps that can be left out, one by one, to see what each brings.

Every solve uses all of them; only `optimize bench water --without NAME` leaves some out.  A step left out
makes plans worse or bounds weaker, never wrong: what is found is certified and checked, what is proven holds.
A flag is read in one place, where its step begins; engine modules have settings of their own, filled from here.
Where what is left leaves no multipliers, `optimize.solve` solves the linear relaxation for a certificate all the
same, so that its bound is there even without ``linear`` and ``lagrangian``.
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

    reductions: bool = _step(
        "what no best plan needs (users, pipes, modules, periods like others) left out, first"
    )
    one_commodity: bool = _step("networks of one quality and full service solved as such, first")
    linear: bool = _step("linear relaxation of the mean year: a bound, and the Lagrangian's first prices")
    lagrangian: bool = _step(
        "Lagrangian bound over every pipe, plant and user, prices by node and requirement"
    )
    origins: bool = _step("in the Lagrangian, water told apart by the plant it comes from")
    widening: bool = _step("in the Lagrangian, few prices at first, those far from users shared")
    seasons: bool = _step("in the Lagrangian, every period a season instead of their mean")
    one_way: bool = _step("in the Lagrangian, a pipe flows one way in each season")
    integral: bool = _step("bound by branch and cut on the mean year, for small networks")
    starts: bool = _step("first designs at further prices of money, for small networks")
    search: bool = _step("users taken out and put back elsewhere, thousands of times")
    trunks: bool = _step("in the search, all users of a trunk or of a plant taken out together")
    episodes: bool = _step("in the search, plants opened or closed as a whole")
    forced: bool = _step("in the search, users without service served at any price, for a try")
    scouts: bool = _step("short searches first, of which the best is gone on with")
    restarts: bool = _step("searches from the beginning with other chances, while there is time")
    neighbourhoods: bool = _step("branch and cut over one region after another, around the best plan")
    near_model: bool = _step("branch and cut over works near the plan")
    trim: bool = _step("pipes without flow left out of the plan, narrower ones where they do")

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

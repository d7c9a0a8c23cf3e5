"""The city by splits of its money: each programme answers a split with its plan, prices say which split.

1. Today's fixed shares: every programme on its own share.
2. Each programme in turn is improved with all money the others leave, the others' plans held, cross-links and
   targets kept.
3. The relaxation of all programmes of choices together (`bound`) gives prices of money and the split it would
   make; each is solved again on that share, and improved as before.  A large city has a plan from these prices
   instead, which is improved across programmes (`across`).
4. The network is asked for a plan on a share moved up or down; it joins the plans to choose from, and the
   improving begins again.
5. What time is left is spent on all together, from the best plan: a small city is closed by it.

Every plan kept is a plan of the whole city, so the joint plan is never worse than the fixed shares'.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from optimize.city.across import improved_across
from optimize.city.bound import CityBound, bound_with_network, relax
from optimize.city.instance import WATER, City
from optimize.city.network import scaled_share
from optimize.city.part import CityPart
from optimize.city.parts import certified_arrays
from optimize.city.result import CityResult
from optimize.city.search import IMPROVE_SHARE, PART_SHARE, Search
from optimize.city.shares import read_city_plan
from optimize.city.todays_shares import (
    OnTodaysShares,
    as_silos,
    improved_silos,
    on_todays_shares,
    with_what_fits,
)
from optimize.city.water_part import relaxed_part
from optimize.engine.goals import solve_goals
from optimize.engine.stopping import Watch
from optimize.milp import FloatArray
from optimize.programme import SolveOptions
from optimize.result import StopReason

# Shares of the whole time limit: the relaxations.
_RELAX_SHARE = 0.3
_BOUND_SHARE = 0.2
_MOST_ROUNDS = 12
# What the network's share is multiplied by, more money and less in turn, further each time.
_MORE, _LESS = 1.25, 0.8


def decompose(city: City, parts: Sequence[CityPart], options: SolveOptions, watch: Watch) -> CityResult:
    """The best joint plan found within the limits, and a proven bound on all; one goal.

    Parameters
    ----------
    parts : the programmes that are arrays; the network, where the city has one that is not, is asked.
    """
    search = Steps(city, list(parts), options, watch)
    silos = search.run()
    plan = objective = None
    if search.x is not None:
        plan = read_city_plan(search.arrays, search.x, search.goal)
        objective = search.value
    return CityResult(
        city=city,
        goal=options.goal,
        maximise=watch.maximise,
        stop=search.stop_reason(),
        plan=plan,
        objective=objective,
        bound=watch.bound,
        silos=as_silos(city, silos, search.goal).bounded_by(watch.bound, watch.maximise),
        engine="decomposition",
        network=None if WATER not in city.names else "relaxed" if search.has_network else "whole",
        trace=tuple(watch.trace),
        timings=search.timings,
        relaxations=search.relaxations,
        certificate=search.certificate,
    )


class Steps(Search):
    """The steps of the search, from one plan of the whole city to a better one."""

    def run(self) -> OnTodaysShares:
        """All steps; the best plan is then ``x`` on ``arrays``.  Returns the plan on today's shares."""
        silos = self.timed("silos", lambda: on_todays_shares(self))
        if self.x is None:
            self.timed("any", self.find_any)
        if self.x is None and self.has_network:
            self.timed("none", self.find_impossible)
        if self.x is not None and not self.is_large and not self.watch.must_stop:
            self.timed("leftover", self._improve_in_turn)
        self.timed("relax", self.relax)
        if self.is_large:
            self.timed("prices", self.plan_from_prices)
        self.timed("bound", self.prove)
        if not self.is_large:
            self.timed("split", self.on_guided_split)
        if self.is_large:
            silos = self.timed("silos_again", lambda: improved_silos(self, silos))
        self.timed("improve", self.improve_until_time)
        return with_what_fits(self, silos)

    # --- 3: the split the prices make -------------------------------------------------------------------

    def find_any(self) -> None:
        """A plan on any split, where today's shares hold none; what would have to give way where none does."""
        if (self.has_network and not self.plans) or self.watch.must_stop:
            return
        arrays = self.arrays
        can_tell = not self.has_network  # other plans of the network might do
        outcome = solve_goals(
            arrays.milp, [arrays.objectives[self.goal]], self.own_options(2 * PART_SHARE),
            group=arrays.group, elastic=arrays.elastic if can_tell else (),
            whole=arrays.unbounded() if can_tell else None,
        )  # fmt: skip
        self.keep(outcome.x)
        if outcome.stop is StopReason.INFEASIBLE and can_tell:
            self.infeasible, self.relaxations = True, outcome.relaxations

    def find_impossible(self) -> None:
        """Whether even the network's relaxation leaves no plan, and what would have to give way at least."""
        network = relaxed_part(self.city, (self.goal,), self.largest, self.smallest)
        if network is None or self.watch.must_stop:
            return
        arrays = certified_arrays(self.city, self.parts, network, (self.goal,))
        outcome = solve_goals(
            arrays.milp, [arrays.objectives[self.goal]], self.own_options(2 * PART_SHARE),
            group=arrays.group, elastic=arrays.elastic, whole=arrays.unbounded(),
        )  # fmt: skip
        if outcome.stop is StopReason.INFEASIBLE:
            self.infeasible = True
            self.relaxations = tuple(dataclasses.replace(way, exact=False) for way in outcome.relaxations)

    def relax(self) -> None:
        """Relax all programmes together, the network as the plans there are."""
        if (self.has_network and not self.plans) or self.watch.must_stop or self.watch.gap_reached:
            return
        known = np.zeros(self.arrays.milp.num_rows)
        for k in range(len(self.arrays.parts)):
            of_part = self.known_multipliers(k)
            known = known if of_part is None else _larger(known, of_part)
        watch = self.watch.child(seconds=self.seconds(_RELAX_SHARE))
        self.relaxed = relax(self.arrays, self.goal, watch, known if known.any() else None)

    def on_guided_split(self) -> None:
        """Solve each programme again on what the relaxation gives it."""
        if self.relaxed is None or self.watch.must_stop or self.watch.gap_reached:
            return
        if self.city.is_coupled:
            return
        x, _, _ = self.one_by_one(self.arrays, self.arrays.share_cny(self.relaxed.x))
        self.keep(x)

    # --- 2: each in turn --------------------------------------------------------------------------------

    def improve_until_time(self) -> None:
        """Rounds of improving in turn, and a question to the network while there is time for its answer."""
        for round_ in range(_MOST_ROUNDS):
            if self.watch.must_stop or self.watch.gap_reached or self.x is None:
                return
            gained = self._improve_across() if self.is_large else self._improve_in_turn()
            asked = self.has_network and self._ask_guided(round_)
            if not gained and not asked:
                self.improve(np.ones(self.arrays.milp.num_columns, dtype=np.bool_), None, 1.0)
                return

    def _improve_across(self) -> bool:
        """Neighbourhoods of all programmes; in turns with questions to the network where there is one."""
        if self.relaxed is None:
            return self._improve_in_turn()
        assert self.x is not None
        share = IMPROVE_SHARE if self.has_network else 1.0
        watch = self.watch.child(seconds=self.seconds(share), plans=True)
        watch.offer_bound(self.relaxed.bound)
        return self.keep(improved_across(self.arrays, self.relaxed, self.x, watch))

    def _improve_in_turn(self) -> bool:
        gained = False
        sizes = [part.milp.num_columns for part in self.arrays.parts]
        small_first = np.argsort(sizes, kind="stable").tolist()
        for k in small_first:
            if self.watch.must_stop or self.watch.gap_reached:
                break
            gained |= self.improve(self.freed(k), k)
        return gained

    # --- 4: the network on another share ----------------------------------------------------------------

    def _ask_guided(self, round_: int) -> bool:
        """Ask for a plan on a share moved by the prices; True where a plan came back."""
        if self.relaxed is None or self.watch.remaining() < IMPROVE_SHARE * self.options.time_limit_s:
            return False
        assert self.x is not None
        k = self.city.names.index(WATER)
        factor = (_MORE, _LESS)[round_ % 2] ** (1 + round_ // 2)
        share = scaled_share(self.city, self.arrays.share_cny(self.x)[k], factor)
        asked = self.ask(share, self.arrays.moved_m3(self.x))
        if asked.plan is None:
            return False
        self.add_plan(asked.plan)
        self.improve(self.freed(k), k)
        return True

    # --- the bound --------------------------------------------------------------------------------------

    def prove(self) -> None:
        """A bound on every split; with a network, from its averaged relaxation."""
        found = self._bound()
        if found is not None and np.isfinite(found.bound):
            self.watch.offer_bound(found.bound)
            self.certificate = found.certificate

    def _bound(self) -> CityBound | None:
        if not self.has_network:
            if self.relaxed is None:
                return None
            return CityBound(self.relaxed.bound, self.relaxed.certificate)
        network = relaxed_part(self.city, (self.goal,), self.largest, self.smallest)
        if network is None:
            return None
        part = self.watch.child(seconds=self.seconds(_BOUND_SHARE))
        return bound_with_network(self.city, self.parts, network, self.goal, self.relaxed, part)


def _larger(one: FloatArray, other: FloatArray) -> FloatArray:
    """Of two prices of each row the larger."""
    return np.where(np.abs(other) > np.abs(one), other, one)

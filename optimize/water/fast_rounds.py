"""What the time goes to once there is a plan and a first bound: searches, models over works near plans, the bound.

With one thread these take turns: whichever has gained more per second of late, and none of them starves.  With two
the bound has a thread of its own, and a second one whenever it is its turn.  They end before the time only where
neither can be expected to gain: many searches in a row found nothing better, and the bound stands still.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

import numpy as np

from optimize.engine.network_design import DesignSearch
from optimize.water.fast_bound import WaterBound
from optimize.water.fast_goal import MINIMISED
from optimize.water.fast_integral import integral_bound, is_worth_branching
from optimize.water.fast_locks import locked_decisions
from optimize.water.fast_steps import Solve, improve_by_model, plan_of, search_anew

LINEAR_SHARE, INTEGRAL_SHARE, PROOF_SHARE = 0.3, 0.5, 0.2
LEAST_KEPT_BACK = 0.25
"""Of the time kept back for the proof, what must be left of it to begin."""
BOUND_SLICE, SLICE_S = 50, 1.0
"""Iterations of the bound, or seconds with its second thread, between looks at who is to go on."""
STILL_ITERATIONS, STILL_SHARE = 3_000, 1e-4
"""A bound that closes less than this share of the gap in so many iterations stands still."""
PATIENCE, MOST_WITHOUT_PLAN = 40, 12
"""Searches in a row without a better plan, or any, after which another is not expected to find one."""
SEED_STEP = 7_919
NEARLY_AS_GOOD = 0.01
"""A design this much worse than the best may still be the better plan once its volumes are set and a model betters it."""
MODEL_SHARE, MOST_IDLE_MODELS = 0.07, 2
"""Of the whole time for a model near a searched plan; after so many in a row cut short without a gain there are no more."""
DEAR_SHARE = 0.05
"""Of the time limit: a search that takes longer waits until others gain little."""
LEAST_TIME = 0.3
"""Of what a search takes, has to be left for another."""
FAIR = 4.0
"""Whoever had this much more time than another waits, however fast it gains."""
WORTH_GAINING = 0.01
"""Share of the gap that somebody's pace has to promise for the time left, or it counts for nothing."""
PACE_SHARE = 0.1
"""Of the time limit: a gain this long ago counts for a third."""


class Pace:
    """Gain per second, the older the less it counts."""

    def __init__(self, memory_s: float) -> None:
        self.spent_s = 0.0
        self._memory_s = max(memory_s, 1e-3)
        self._seconds = self._gain = 0.0

    def add(self, seconds: float, gain: float) -> None:
        fade = math.exp(-seconds / self._memory_s)
        self.spent_s += seconds
        self._seconds, self._gain = (fade * self._seconds + seconds, fade * self._gain + gain)

    @property
    def per_second(self) -> float:
        """Infinite before anything was tried."""
        return self._gain / self._seconds if self._seconds > 0.0 else math.inf


class Player(Protocol):
    """Something that may go on gaining while there is time."""

    step: str
    pace: Pace

    @property
    def why_ended(self) -> str: ...

    def alive(self, left_s: float) -> bool: ...

    def advance(self, left_s: float) -> None: ...


class Bounding:
    """Computes the bound: by slices, or beside the search where there is a second thread."""

    step = "bound"

    def __init__(self, solve: Solve) -> None:
        self._solve = solve
        self.pace = Pace(PACE_SHARE * solve.watch.options.time_limit_s)
        # the whole network: who computes the bound again knows nothing of reductions
        c = solve.c.whole
        locks = solve.locks if c is solve.c else locked_decisions(solve.instance, c)
        self._bound = WaterBound(solve.instance, c, locks, solve.goal, solve.kept, solve.ingredients)
        self._executor = ThreadPoolExecutor(1) if solve.watch.options.threads > 1 else None
        self._future: Future[None] | None = None
        self._begun = self._still = self._branched = False
        self._iterations, self._last_look = 0, math.inf  # since the last look at whether it stands still

    def begin(self) -> None:
        """Linear relaxation (and, beside the search, all that follows)."""
        if self._solve.done:
            return
        self._begun = True
        if self._executor is not None:
            self._future = self._executor.submit(self._compute)
        else:
            self._solve.timed("bound", self._start)

    @property
    def why_ended(self) -> str:
        return "the bound stands still" if self._begun else "no bound was due"

    def alive(self, left_s: float) -> bool:
        """Whether more time may still make it better; ``left_s`` without what it takes to prove it."""
        return self._begun and not self._still and (self._future is not None or left_s > 0.0)

    @property
    def seconds_to_prove(self) -> float:
        """Kept back for writing down what proves the bound; none where that would take too much of the solve."""
        seconds = self._bound.seconds_to_prove
        return seconds if seconds <= PROOF_SHARE * self._solve.watch.options.time_limit_s else 0.0

    def advance(self, left_s: float) -> None:
        """A slice of the bound; with a thread of its own, a moment in which it has both."""
        if self._future is None:
            self._tighten()
            return
        self._bound.threads = 2
        wait([self._future], timeout=min(SLICE_S, max(left_s, 0.0)))
        self._bound.threads = 1
        self._still = self._still or self._future.done()

    def finish(self) -> None:
        """Come back with what there is, written down; beside the search after all the time that is left."""
        if self._future is not None:
            self._bound.threads = 2  # the search needs none any more
            self._future.result()
        elif self._begun:
            self._prove()
        if self._executor is not None:
            self._executor.shutdown()

    def _compute(self) -> None:
        self._start()
        while (
            not self._still and not self._solve.done and self._solve.watch.remaining() > self.seconds_to_prove
        ):
            self._tighten()
        self._still = True
        self._prove()

    def _start(self) -> None:
        watch = self._solve.watch
        linear = self._bound.start(watch.child(seconds=LINEAR_SHARE * watch.remaining(), maximise=True))
        if linear is not None:
            self._solve.offer_bound(linear)
        if self._bound.certificate is not None:
            self._solve.watch.offer_certificate(self._bound.certificate)
        first = self._bound.improve(watch, _target_of(self._solve), 0)
        if first is not None:
            self._solve.offer_bound(first)

    def _tighten(self) -> None:
        """Branch and cut on the averaged year where it may close the gap, first; then some rounds of the Lagrangian."""
        solve = self._solve
        if not self._branched:
            self._branched = True
            if solve.ingredients.integral and is_worth_branching(solve.c):
                watch = solve.watch.child(seconds=INTEGRAL_SHARE * solve.watch.remaining(), maximise=True)
                integral = integral_bound(solve.instance, solve.c, solve.goal, solve.kept, watch)
                if integral is not None:
                    solve.offer_bound(integral)
                return
        began, before = time.monotonic(), solve.bound
        watch = solve.watch.child(seconds=solve.watch.remaining() - self.seconds_to_prove)
        best = self._bound.improve(watch, _target_of(solve), BOUND_SLICE)
        if best is None:
            self._still = True
            return
        solve.offer_bound(best)
        self._iterations += BOUND_SLICE
        gain = before - solve.bound
        self.pace.add(time.monotonic() - began, gain if np.isfinite(gain) else 0.0)
        if self._iterations >= STILL_ITERATIONS:
            gained, gap = self._last_look - solve.bound, abs(solve.bound - _target_of(solve))
            # without a plan it need not be good
            self._still = gained < STILL_SHARE * gap or not np.isfinite(solve.value)
            self._iterations, self._last_look = 0, solve.bound

    def _prove(self) -> None:
        seconds = self._bound.seconds_to_prove
        # the time for it was kept back, and the last slice may have taken a little of that
        stored = self.seconds_to_prove > 0.0 and self._solve.fits(LEAST_KEPT_BACK * seconds)
        certificate = self._bound.prove(stored=stored)
        if certificate is not None:
            self._solve.watch.offer_certificate(certificate)


class Plans:
    """Searches from the beginning, each with its own chances, and models over works near what they find.

    A longer search hardly leaves the basin in which it ends, and basins differ by a tenth of the value.
    """

    step = "restarts"

    def __init__(self, solve: Solve, search: DesignSearch | None) -> None:
        """
        Parameters
        ----------
        search : the one that found the plan at hand; None: none is to follow.
        """
        self._solve, self._search = solve, search
        self.pace = Pace(PACE_SHARE * solve.watch.options.time_limit_s)
        # what the first plan took counts as time, but tells nothing of what the next ones will gain
        self._usual_s = solve.timings.get("improve", 0.0)
        if self._usual_s > DEAR_SHARE * solve.watch.options.time_limit_s:
            # another one is not tried only because none was
            self.pace.add(self._usual_s, 0.0)
        self.pace.spent_s = sum(solve.timings.get(step, 0.0) for step in ("improve", "model"))
        self._best = -math.inf if search is None or search.violation > 0.0 else search.net
        self._tried = self._fruitless = self._idle_models = 0
        self._modelled: set[float] = set()

    def alive(self, left_s: float) -> bool:
        """Whether another search may find a better plan, and has the time to."""
        taken = self._solve.ingredients
        if self._search is None or not (taken.search and taken.restarts) or self._solve.closed:
            return False
        patience = MOST_WITHOUT_PLAN if self._solve.x is None else PATIENCE
        return self._fruitless < patience and left_s > LEAST_TIME * self._usual_s

    @property
    def why_ended(self) -> str:
        if self._solve.closed:
            return "the model over all works is solved to the end"
        if self._fruitless and self._fruitless >= (MOST_WITHOUT_PLAN if self._solve.x is None else PATIENCE):
            return f"{self._fruitless} searches in a row found no better plan"
        return "too little time for another search" if self._search is not None else "no searches were due"

    def run_for(self, seconds: float, most: int) -> None:
        """At most so many searches in so much time."""
        watch = self._solve.watch.child(seconds=seconds)
        for _ in range(most):
            if self._solve.done or not self.alive(watch.remaining()):
                return
            self.advance(watch.remaining())

    def advance(self, left_s: float) -> None:
        """One more search, and where it comes near the best, a model over works near its plan."""
        solve, before, began = self._solve, self._solve.value, time.monotonic()
        assert self._search is not None
        self._tried += 1
        watch = solve.watch.child(seconds=left_s)
        other = search_anew(solve, self._search, self._search.seed + self._tried * SEED_STEP, watch)
        self._usual_s = time.monotonic() - began
        if other.net > self._best - NEARLY_AS_GOOD * abs(self._best):
            self._settle(other, watch.remaining())
        if other.violation == 0.0:
            self._best = max(self._best, other.net)
        gain = solve.value - before
        self._fruitless = 0 if gain > 0.0 else self._fruitless + 1
        self.pace.add(time.monotonic() - began, gain if np.isfinite(gain) else 0.0)

    def _settle(self, search: DesignSearch, left_s: float) -> None:
        solve = self._solve
        found = plan_of(solve, search.design(), widen=False)
        if found is None:
            return
        solve.keep(*found)
        value = found[0].milp.value(found[1])
        seconds = min(MODEL_SHARE * solve.watch.options.time_limit_s, left_s)
        while self._idle_models < MOST_IDLE_MODELS and value not in self._modelled and not solve.done:
            self._modelled.add(value)
            began = time.monotonic()
            found = improve_by_model(solve, seconds, found) or found
            better = found[0].milp.value(found[1])
            cut_short = time.monotonic() - began >= seconds
            self._idle_models = self._idle_models + 1 if cut_short and better <= value else 0
            value = better


def use_time_left(solve: Solve, bounding: Bounding, *plans: Player) -> None:
    """Whoever gains more in turn, until the time is up, the gap is reached or nobody can gain."""
    players: tuple[Player, ...] = (bounding, *plans)
    while not solve.done:
        left_s = solve.watch.remaining() - bounding.seconds_to_prove
        alive = [player for player in players if player.alive(left_s)]
        if not alive:
            reasons = ", ".join(player.why_ended for player in players)
            solve.ended = f"ended before the time limit: {reasons}"
            break
        gap = solve.bound - solve.value if np.isfinite(solve.value) else 0.0
        player = _next_of(alive, WORTH_GAINING * gap / max(left_s, 1e-3))
        solve.timed(player.step, lambda: player.advance(left_s))  # noqa: B023
    solve.timed("bound", bounding.finish)


def _next_of(players: Sequence[Player], worth_it: float) -> Player:
    """The one that gains fastest, or of those that hardly gain (less than ``worth_it`` per second) that with the least time."""
    least_s = min(player.pace.spent_s for player in players)
    fair = [player for player in players if player.pace.spent_s <= FAIR * least_s]

    def merit(player: Player) -> tuple[float, float]:
        pace = player.pace.per_second
        return pace if pace >= worth_it else 0.0, -player.pace.spent_s

    return max(fair, key=merit)


def _target_of(solve: Solve) -> float:
    """The best plan, or a value no better than the optimum, for the steps of the bound."""
    if np.isfinite(solve.value):
        return solve.value
    return 0.0 if solve.goal not in MINIMISED else -abs(solve.watch.bound or 0.0)

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
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from optimize.city.across import improved_across, plan_from_prices
from optimize.city.arrays import CityArrays, join_parts
from optimize.city.bound import CityBound, Relaxed, bound_with_network, relax
from optimize.city.instance import WATER, City
from optimize.city.network import Asked, ask_water, scaled_share
from optimize.city.part import CityPart
from optimize.city.parts import certified_arrays, extreme_changes
from optimize.city.plan import CityPlan
from optimize.city.result import CityResult, Silos
from optimize.city.shares import read_city_plan
from optimize.city.water_part import WaterPlan, plans_part, relaxed_part
from optimize.engine.goals import solve_goals
from optimize.engine.highs import solve_lp
from optimize.engine.stopping import Watch
from optimize.milp import BoolArray, FloatArray
from optimize.programme import SolveOptions
from optimize.result import Certificate, Relaxation, StopReason, TracePoint

T = TypeVar("T")
# A programme's own point (None: none found), its bound, and why it stopped.
_OwnAnswer = tuple[FloatArray | None, float | None, StopReason]

# Shares of the whole time limit: each answer on today's shares and on the guided split, the relaxations,
# one round of improving in turn, and each further question to the network.
_NETWORK_SHARE = 0.22
_PART_SHARE = 0.1
_COLUMNS_SHARE = 0.12
_RELAX_SHARE = 0.3
_IMPROVE_SHARE = 0.1
_BOUND_SHARE = 0.2
# Above this many integer columns plans come from the relaxation's prices, across programmes.
_LARGE = 8_000
# So that a large city has a plan early, programmes are first solved to this gap, and a network is first
# asked for so long.
_ROUGH_GAP = 0.02
_EARLY_SHARE = 0.08
# Where an answer has no plan when its time is over, it is waited for up to this share.
_PATIENCE = 0.5
_MOST_ROUNDS = 12
# What the network's share is multiplied by, more money and less in turn, further each time.
_MORE, _LESS = 1.25, 0.8
_FEASIBLE = 1e-6


def decompose(city: City, parts: Sequence[CityPart], options: SolveOptions, watch: Watch) -> CityResult:
    """The best joint plan found within the limits, and a proven bound on all; one goal.

    Parameters
    ----------
    parts : the programmes that are arrays; the network, where the city has one that is not, is asked.
    """
    search = Search(city, list(parts), options, watch)
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
        silos=_as_silos(city, silos, search.goal).bounded_by(watch.bound, watch.maximise),
        engine="decomposition",
        network=None if WATER not in city.names else "relaxed" if search.has_network else "whole",
        trace=tuple(watch.trace),
        timings=search.timings,
        relaxations=search.relaxations,
        certificate=search.certificate,
    )


@dataclass(frozen=True)
class OnTodaysShares:
    """The best point on today's fixed shares (None: none), on the arrays that fix them, and its bound."""

    x: FloatArray | None
    arrays: CityArrays | None
    bound: float | None
    stop: StopReason


def _as_silos(city: City, found: OnTodaysShares, goal: str) -> Silos:
    if found.x is None or found.arrays is None:
        return Silos(None, None, found.bound, found.stop)
    solutions = read_city_plan(found.arrays, found.x, goal, tidy=False).solutions
    plan = CityPlan(city.today_cny, solutions)
    return Silos(plan, found.arrays.milp.value(found.x), found.bound, found.stop)


class _PlanInHand(threading.Event):
    """Set by the user's interrupt, or when the time is over and there is a plan."""

    def __init__(self, outer: threading.Event, seconds: float) -> None:
        super().__init__()
        self._outer = outer
        self._until = time.monotonic() + seconds
        self._has_plan = False

    def told(self, point: TracePoint) -> None:
        self._has_plan |= point.plan is not None

    def is_set(self) -> bool:
        return self._outer.is_set() or (self._has_plan and time.monotonic() > self._until)


@dataclass
class Search:
    """State of the search: plans of the network so far, the best point on `arrays`, the last relaxation."""

    city: City
    parts: list[CityPart]
    options: SolveOptions
    watch: Watch
    plans: list[WaterPlan] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    x: FloatArray | None = None
    relaxed: Relaxed | None = None
    infeasible: bool = False
    relaxations: tuple[Relaxation, ...] = ()
    multipliers: dict[str, FloatArray] = field(default_factory=dict)
    certificate: Certificate | None = None

    def __post_init__(self) -> None:
        self.goal = self.options.goal[0]
        self.sign = 1.0 if self.watch.maximise else -1.0
        self.has_network = WATER in self.city.names and not any(p.name == WATER for p in self.parts)
        self.is_large = sum(int(part.milp.integral.sum()) for part in self.parts) > _LARGE
        self.smallest, self.largest = extreme_changes(self.parts)
        self._arrays: CityArrays | None = None

    def run(self) -> OnTodaysShares:
        """All steps; the best plan is then ``x`` on ``arrays``.  Returns the plan on today's shares."""
        silos = self.timed("silos", self.on_todays_shares)
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
            silos = self.timed("silos_again", lambda: self._silos_improved(silos))
        self.timed("improve", self.improve_until_time)
        return self._with_what_fits(silos)

    # --- the programme at hand ----------------------------------------------------------------------

    def in_order(self) -> list[CityPart]:
        by_name = {part.name: part for part in self.parts}
        if self.has_network:
            by_name[WATER] = plans_part(self.city, (self.goal,), self.plans)
        return [by_name[name] for name in self.city.names]

    @property
    def arrays(self) -> CityArrays:
        if self._arrays is None:
            self._arrays = self._aimed(join_parts(self.city, self.in_order(), (self.goal,)))
        return self._arrays

    def _aimed(self, arrays: CityArrays) -> CityArrays:
        objective = arrays.objectives[self.goal]
        milp = arrays.milp.with_objective(objective.cost, objective.maximise, objective.offset)
        return dataclasses.replace(arrays, milp=milp)

    def add_plan(self, plan: WaterPlan) -> None:
        """A further plan to choose from; the point in hand stays what it is."""
        old = self._arrays
        self.plans.append(plan)
        self._arrays = None
        if self.x is not None and old is not None:
            self.x = self.arrays.carried_from(old, self.x)

    @property
    def value(self) -> float:
        assert self.x is not None
        return self.arrays.milp.value(self.x)

    def keep(self, x: FloatArray | None) -> bool:
        """Hold a point if it is a plan of the whole city and the best so far."""
        if x is None or self.arrays.milp.violation(x) > _FEASIBLE:
            return False
        if self.x is not None and self.sign * (self.arrays.milp.value(x) - self.value) <= 0:
            return False
        self.x = x
        self.watch.offer_plan(self.value)
        return True

    # --- time -----------------------------------------------------------------------------------------

    def timed(self, name: str, step: Callable[[], T]) -> T:
        began = self.watch.seconds()
        value = step()
        self.timings[f"{name}_s"] = self.watch.seconds() - began
        return value

    def seconds(self, share: float) -> float:
        return max(min(share * self.options.time_limit_s, self.watch.remaining()), 1e-2)

    def own_options(self, share: float) -> SolveOptions:
        return dataclasses.replace(
            self.options, time_limit_s=self.seconds(share), progress=None, write_model=None
        )

    def stop_reason(self) -> StopReason:
        if self.x is None and self.infeasible:
            return StopReason.INFEASIBLE
        return self.watch.stop_reason()

    # --- 1: today's shares ------------------------------------------------------------------------------

    def on_todays_shares(self) -> OnTodaysShares:
        city = self.city
        bounds: list[float | None] = []
        known: dict[str, _OwnAnswer] = {}
        if self.is_large and not city.is_coupled:
            known = self._answers_on_todays_shares()
        if self.has_network:
            asked = self.ask(city.today_cny[city.names.index(WATER)], {})
            bounds.append(asked.bound)
            if asked.plan is None:
                richer = self.ask(city.pool_cny, {})
                if richer.plan is not None:
                    self.add_plan(richer.plan)
                elif richer.stop is StopReason.INFEASIBLE and not len(city.cooling_water):
                    self.infeasible, self.relaxations = True, richer.relaxations
                return OnTodaysShares(None, None, None, asked.stop)
            self.add_plan(asked.plan)
            if any(value < 0 for value in self.smallest.values()) and not self.watch.must_stop:
                # a network that counts on demand a retrofit takes away would forbid the retrofit
                careful = self.ask(city.today_cny[city.names.index(WATER)], self.smallest)
                if careful.plan is not None:
                    self.add_plan(careful.plan)
        fixed = self._aimed(join_parts(city, self.in_order(), (self.goal,), city.today_cny))
        if city.is_coupled:
            x, bound, stop = self._as_a_whole(fixed, 2 * _PART_SHARE)
            bounds = [None]
            if not self.has_network:
                bounds = [bound]
        else:
            x, own, stop = self._one_by_one(fixed, city.today_cny, known)
            bounds += own
        whole = None if x is None or fixed.milp.violation(x) > _FEASIBLE else x
        proven = [bound for bound in bounds if bound is not None]
        bound = float(sum(proven)) if len(proven) == len(bounds) else None
        self.keep(whole)
        return OnTodaysShares(whole, fixed, bound, stop)

    def _today(self, name: str) -> FloatArray:
        """Today's share of a programme, shape (sources, years)."""
        return np.asarray(self.city.today_cny[self.city.names.index(name)])

    def _answers_on_todays_shares(self) -> dict[str, _OwnAnswer]:
        """Every programme of choices on its own share, roughly: so that there is a plan of the city soon."""
        rough = {
            part.name: self._answer(part, self._today(part.name), None, max(_ROUGH_GAP, self.watch.gap))
            for part in self.parts
        }
        if any(x is None for x, _, _ in rough.values()) or self.watch.must_stop:
            return rough
        if self.has_network:
            asked = self.ask(self._today(WATER), {}, _EARLY_SHARE)
            if asked.plan is not None:
                self.add_plan(asked.plan)
        if self.plans or not self.has_network:
            fixed = self._aimed(join_parts(self.city, self.in_order(), (self.goal,), self.city.today_cny))
            self.keep(self._one_by_one(fixed, self.city.today_cny, rough)[0])
        return rough

    def _with_what_fits(self, silos: OnTodaysShares) -> OnTodaysShares:
        """Today's shares with every programme's plan that was found later and keeps to them.

        Otherwise planning together would be credited with what longer search alone has found.
        """
        if silos.x is None or silos.arrays is None or self.x is None:
            return silos
        milp, best = silos.arrays.milp, silos.x
        for k in range(len(silos.arrays.parts)):
            own, later = silos.arrays.of_part(k, best), self.arrays.of_part(k, self.x)
            if len(own) != len(later):
                continue  # the network has plans since that today's shares do not know
            trial = best.copy()
            trial[silos.arrays.first[k] : silos.arrays.first[k + 1]] = later
            free = ~milp.integral
            rest = solve_lp(milp.restricted(free, trial), Watch(SolveOptions(), self.watch.maximise))
            if rest.x is None:
                continue
            trial[free] = rest.x
            if self.sign * (milp.value(trial) - milp.value(best)) > 0:
                best = trial
        return dataclasses.replace(silos, x=best)

    def _silos_improved(self, silos: OnTodaysShares) -> OnTodaysShares:
        """Today's shares with every programme's own search, which they began with in a large city.

        Otherwise planning together would be credited with what its search has found.
        """
        if silos.x is None or silos.arrays is None or self.city.is_coupled or self.watch.must_stop:
            return silos
        x, bound = silos.x.copy(), silos.bound
        bounds: list[float | None] = [None] if self.has_network else []
        for k, part in enumerate(silos.arrays.parts):
            if part.name != WATER or not self.has_network:
                own, of_part, _ = self._answer(part, self._today(part.name), silos.arrays.of_part(k, x))
                bounds.append(of_part)
                if own is not None:
                    x[silos.arrays.first[k] : silos.arrays.first[k + 1]] = own
        if silos.arrays.milp.violation(x) > _FEASIBLE:
            return silos
        if len(x) == self.arrays.milp.num_columns and self.keep(x):
            self.plan_from_prices()
        known = [value for value in bounds if value is not None]
        if len(known) == len(bounds) and (bound is None or self.sign * (sum(known) - bound) < 0):
            bound = sum(known)
        return dataclasses.replace(silos, x=x, bound=bound)

    def ask(
        self, share_cny: FloatArray, moved_m3: dict[str, float], time_share: float = _NETWORK_SHARE
    ) -> Asked:
        return ask_water(self.city, share_cny, moved_m3, self.options, self.seconds(time_share))

    def _as_a_whole(
        self, arrays: CityArrays, share: float
    ) -> tuple[FloatArray | None, float | None, StopReason]:
        objective = arrays.objectives[self.goal]
        outcome = solve_goals(arrays.milp, [objective], self.own_options(share), group=arrays.group)
        return outcome.x, outcome.bound, outcome.stop

    def _one_by_one(
        self, arrays: CityArrays, share_cny: FloatArray, known: Mapping[str, _OwnAnswer] | None = None
    ) -> tuple[FloatArray | None, list[float | None], StopReason]:
        """Each programme of arrays on its share; the network carries out its best plan so far.

        ``known`` : answers on these shares that there are already.
        """
        known = known or {}
        x = np.zeros(arrays.milp.num_columns)
        some = arrays.shares >= 0
        x[arrays.shares[some]] = share_cny[some]
        bounds: list[float | None] = []
        stop = StopReason.OPTIMAL
        for k, part in enumerate(arrays.parts):
            start = None if self.x is None else self.arrays.of_part(k, self.x)
            answer = known.get(part.name) or self._answer(part, share_cny[k], start)
            own, bound, stop_of_part = answer
            if part.name != WATER or not self.has_network:
                bounds.append(bound)
            if own is None:
                return None, bounds, stop_of_part
            if stop_of_part is not StopReason.OPTIMAL:
                stop = stop_of_part
            x[arrays.first[k] : arrays.first[k + 1]] = own
        return x, bounds, stop

    def _answer(
        self, part: CityPart, share_cny: FloatArray, start: FloatArray | None, gap: float | None = None
    ) -> _OwnAnswer:
        """A programme alone under its share of the pool; ``gap`` to stop at, None: that of the city."""
        upper = part.milp.row_upper.copy()
        upper[part.money.row] = 0.0
        money = part.money
        np.add.at(upper, money.row, money.per_cny * share_cny[money.source, money.year])
        milp = dataclasses.replace(part.milp, row_upper=upper)
        objective = part.objectives[self.goal]
        enough = _PlanInHand(
            self.options.interrupt, self.seconds(_COLUMNS_SHARE if part.by_columns else _PART_SHARE)
        )
        own = dataclasses.replace(
            self.own_options(_PATIENCE),
            interrupt=enough,
            progress=enough.told,
            gap=self.watch.gap if gap is None else gap,
        )
        outcome = solve_goals(
            milp, [objective], own, start=start, group=part.group if part.by_columns else None,
            row_multipliers=self.multipliers.get(part.name),
        )  # fmt: skip
        if outcome.certificate is not None:
            self.multipliers[part.name] = outcome.certificate.multipliers
        is_ours = outcome.stop is StopReason.INTERRUPTED and not self.watch.interrupted
        return outcome.x, outcome.bound, StopReason.TIME_LIMIT if is_ours else outcome.stop

    # --- 3: the split the prices make -------------------------------------------------------------------

    def find_any(self) -> None:
        """A plan on any split, where today's shares hold none; what would have to give way where none does."""
        if (self.has_network and not self.plans) or self.watch.must_stop:
            return
        arrays = self.arrays
        can_tell = not self.has_network  # other plans of the network might do
        outcome = solve_goals(
            arrays.milp, [arrays.objectives[self.goal]], self.own_options(2 * _PART_SHARE),
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
            arrays.milp, [arrays.objectives[self.goal]], self.own_options(2 * _PART_SHARE),
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
            of_part = self._known_multipliers(k)
            known = known if of_part is None else _larger(known, of_part)
        watch = self.watch.child(seconds=self.seconds(_RELAX_SHARE))
        self.relaxed = relax(self.arrays, self.goal, watch, known if known.any() else None)

    def plan_from_prices(self) -> None:
        """A plan at the relaxation's prices, or the one in hand with what gains most at them."""
        if self.relaxed is None or self.watch.must_stop or self.watch.gap_reached:
            return
        self.keep(plan_from_prices(self.arrays, self.relaxed, self.x, self.watch.child()))

    def on_guided_split(self) -> None:
        """Solve each programme again on what the relaxation gives it."""
        if self.relaxed is None or self.watch.must_stop or self.watch.gap_reached:
            return
        if self.city.is_coupled:
            return
        x, _, _ = self._one_by_one(self.arrays, self.arrays.share_cny(self.relaxed.x))
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
                self._improve(np.ones(self.arrays.milp.num_columns, dtype=np.bool_), None, 1.0)
                return

    def _improve_across(self) -> bool:
        """Neighbourhoods of all programmes; in turns with questions to the network where there is one."""
        if self.relaxed is None:
            return self._improve_in_turn()
        assert self.x is not None
        share = _IMPROVE_SHARE if self.has_network else 1.0
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
            gained |= self._improve(self._freed(k), k)
        return gained

    def _freed(self, k: int) -> BoolArray:
        """A programme's columns, all shares, and the city's own columns."""
        free = np.zeros(self.arrays.milp.num_columns, dtype=np.bool_)
        free[self.arrays.first[k] : self.arrays.first[k + 1]] = True
        free[self.arrays.first[-1] :] = True
        return free | ~self.arrays.milp.integral

    def _improve(self, free: BoolArray, k: int | None, share: float = _IMPROVE_SHARE) -> bool:
        """The best plan with all but the ``free`` columns held, those of part ``k`` (None: of all)."""
        assert self.x is not None
        rest, rows = self.arrays.milp.restriction(free, self.x)
        objective = dataclasses.replace(self.arrays.objectives[self.goal], cost=rest.cost, offset=rest.offset)
        by_columns = k is None or self.arrays.parts[k].by_columns
        known = None if k is None else self._known_multipliers(k)
        outcome = solve_goals(
            rest, [objective], self.own_options(share), start=self.x[free],
            group=self.arrays.group[free] if by_columns else None,
            row_multipliers=None if known is None else known[rows],
        )  # fmt: skip
        if outcome.x is None:
            return False
        x = self.x.copy()
        x[free] = outcome.x
        return self.keep(x)

    def _known_multipliers(self, k: int) -> FloatArray | None:
        """What a part's earlier answer says of its own rows and of the pool's; None where there is none."""
        part = self.arrays.parts[k]
        own = self.multipliers.get(part.name)
        if own is None:
            return None
        known = np.zeros(self.arrays.milp.num_rows)
        known[self.arrays.first_row[k] : self.arrays.first_row[k + 1]] = own
        money = part.money
        np.add.at(known, self.arrays.pool_rows[money.source, money.year], money.per_cny * own[money.row])
        return known

    # --- 4: the network on another share ----------------------------------------------------------------

    def _ask_guided(self, round_: int) -> bool:
        """Ask for a plan on a share moved by the prices; True where a plan came back."""
        if self.relaxed is None or self.watch.remaining() < _IMPROVE_SHARE * self.options.time_limit_s:
            return False
        assert self.x is not None
        k = self.city.names.index(WATER)
        factor = (_MORE, _LESS)[round_ % 2] ** (1 + round_ // 2)
        share = scaled_share(self.city, self.arrays.share_cny(self.x)[k], factor)
        asked = self.ask(share, self.arrays.moved_m3(self.x))
        if asked.plan is None:
            return False
        self.add_plan(asked.plan)
        self._improve(self._freed(k), k)
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

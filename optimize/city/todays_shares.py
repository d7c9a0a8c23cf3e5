"""The plan of the city on today's fixed shares of its money: what planning together is compared with."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from optimize.city.arrays import CityArrays, join_parts
from optimize.city.instance import WATER, City
from optimize.city.plan import CityPlan
from optimize.city.result import Silos
from optimize.city.search import FEASIBLE, PART_SHARE, OwnAnswer, Search
from optimize.city.shares import read_city_plan
from optimize.clauses import REVISE
from optimize.engine.highs import solve_lp
from optimize.engine.stopping import Watch
from optimize.milp import FloatArray
from optimize.programme import SolveOptions
from optimize.result import StopReason

# So that a large city has a plan early, programmes are first solved to this gap, and a network is first
# asked for so long.
_ROUGH_GAP = 0.02
_EARLY_SHARE = 0.08


@dataclass(frozen=True)
class OnTodaysShares:
    """The best point on today's fixed shares (None: none), on the arrays that fix them, and its bound."""

    x: FloatArray | None
    arrays: CityArrays | None
    bound: float | None
    stop: StopReason


def as_silos(city: City, found: OnTodaysShares, goal: str) -> Silos:
    """What the result tells of it."""
    if found.x is None or found.arrays is None:
        return Silos(None, None, found.bound, found.stop)
    solutions = read_city_plan(found.arrays, found.x, goal, tidy=False).solutions
    plan = CityPlan(city.today_cny, solutions)
    return Silos(plan, found.arrays.milp.value(found.x), found.bound, found.stop)


def on_todays_shares(search: Search) -> OnTodaysShares:
    """Every programme solved on its share; the network asked first, and its plan kept."""
    city = search.city
    bounds: list[float | None] = []
    known: dict[str, OwnAnswer] = {}
    if search.is_large and not city.is_coupled:
        known = _answers_on_todays_shares(search)
    if search.has_network:
        asked = search.ask(city.today_cny[city.names.index(WATER)], {})
        bounds.append(asked.bound)
        if asked.plan is None:
            richer = search.ask(city.pool_cny, {})
            if richer.plan is not None:
                search.add_plan(richer.plan)
            elif richer.stop is StopReason.INFEASIBLE and not len(city.cooling_water):
                search.infeasible, search.relaxations = True, richer.relaxations
            return OnTodaysShares(None, None, None, asked.stop)
        search.add_plan(asked.plan)
        if any(value < 0 for value in search.smallest.values()) and not search.watch.must_stop:
            # a network that counts on demand a retrofit takes away would forbid the retrofit
            careful = search.ask(city.today_cny[city.names.index(WATER)], search.smallest)
            if careful.plan is not None:
                search.add_plan(careful.plan)
        if REVISE in city.targets and len(city.part(WATER).data.tables["plan_in_force"]):
            still = search.ask(city.today_cny[city.names.index(WATER)], {}, fewest_changes=True)
            if still.plan is not None:
                search.add_plan(still.plan)
    fixed = search.aimed(join_parts(city, search.in_order(), (search.goal,), city.today_cny))
    if city.is_coupled:
        x, bound, stop = search.as_a_whole(fixed, 2 * PART_SHARE)
        bounds = [None]
        if not search.has_network:
            bounds = [bound]
    else:
        x, own, stop = search.one_by_one(fixed, city.today_cny, known)
        bounds += own
    whole = None if x is None or fixed.milp.violation(x) > FEASIBLE else x
    proven = [bound for bound in bounds if bound is not None]
    bound = float(sum(proven)) if len(proven) == len(bounds) else None
    search.keep(whole)
    return OnTodaysShares(whole, fixed, bound, stop)


def _today(search: Search, name: str) -> FloatArray:
    """Today's share of a programme, shape (sources, years)."""
    return np.asarray(search.city.today_cny[search.city.names.index(name)])


def _answers_on_todays_shares(search: Search) -> dict[str, OwnAnswer]:
    """Every programme of choices on its own share, roughly: so that there is a plan of the city soon."""
    rough = {
        part.name: search.answer(part, _today(search, part.name), None, max(_ROUGH_GAP, search.watch.gap))
        for part in search.parts
    }
    if any(x is None for x, _, _ in rough.values()) or search.watch.must_stop:
        return rough
    if search.has_network:
        asked = search.ask(_today(search, WATER), {}, _EARLY_SHARE)
        if asked.plan is not None:
            search.add_plan(asked.plan)
    if search.plans or not search.has_network:
        fixed = search.aimed(
            join_parts(search.city, search.in_order(), (search.goal,), search.city.today_cny)
        )
        search.keep(search.one_by_one(fixed, search.city.today_cny, rough)[0])
    return rough


def with_what_fits(search: Search, silos: OnTodaysShares) -> OnTodaysShares:
    """Today's shares with every programme's plan that was found later and keeps to them.

    Otherwise planning together would be credited with what longer search alone has found.
    """
    if silos.x is None or silos.arrays is None or search.x is None:
        return silos
    milp, best = silos.arrays.milp, silos.x
    for k in range(len(silos.arrays.parts)):
        own, later = silos.arrays.of_part(k, best), search.arrays.of_part(k, search.x)
        if len(own) != len(later):
            continue  # the network has plans since that today's shares do not know
        trial = best.copy()
        trial[silos.arrays.first[k] : silos.arrays.first[k + 1]] = later
        free = ~milp.integral
        rest = solve_lp(milp.restricted(free, trial), Watch(SolveOptions(), search.watch.maximise))
        if rest.x is None:
            continue
        trial[free] = rest.x
        if search.sign * (milp.value(trial) - milp.value(best)) > 0:
            best = trial
    return dataclasses.replace(silos, x=best)


def improved_silos(search: Search, silos: OnTodaysShares) -> OnTodaysShares:
    """Today's shares with every programme's own search, which they began with in a large city.

    Otherwise planning together would be credited with what its search has found.
    """
    if silos.x is None or silos.arrays is None or search.city.is_coupled or search.watch.must_stop:
        return silos
    x, bound = silos.x.copy(), silos.bound
    bounds: list[float | None] = [None] if search.has_network else []
    for k, part in enumerate(silos.arrays.parts):
        if part.name != WATER or not search.has_network:
            own, of_part, _ = search.answer(part, _today(search, part.name), silos.arrays.of_part(k, x))
            bounds.append(of_part)
            if own is not None:
                x[silos.arrays.first[k] : silos.arrays.first[k + 1]] = own
    if silos.arrays.milp.violation(x) > FEASIBLE:
        return silos
    if len(x) == search.arrays.milp.num_columns and search.keep(x):
        search.plan_from_prices()
    known = [value for value in bounds if value is not None]
    if len(known) == len(bounds) and (bound is None or search.sign * (sum(known) - bound) < 0):
        bound = sum(known)
    return dataclasses.replace(silos, x=x, bound=bound)

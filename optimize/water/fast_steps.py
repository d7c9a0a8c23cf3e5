"""Steps of the fast path for one goal: construct, certify, improve by search, improve by a model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from optimize.clauses import REVISE
from optimize.engine.highs import solve_milp
from optimize.engine.network_design import Design, DesignSearch, SearchSettings
from optimize.engine.stopping import Watch
from optimize.result import StopReason
from optimize.water.coefficients import BoolArray, Coefficients
from optimize.water.fast_goal import MINIMISED, Kept, search_weights
from optimize.water.fast_ingredients import Ingredients
from optimize.water.fast_layout import FlowModel, Part, sign_of
from optimize.water.fast_locks import LockedDecisions
from optimize.water.fast_model import build_flow_model
from optimize.water.fast_narrow import needed_besides, one_way_in, settle, without_pairs
from optimize.water.fast_network import derive_network
from optimize.water.fast_policy import columns_of_project
from optimize.water.fast_revision import in_force_part, with_change_prices
from optimize.water.fast_trim import trimmed
from optimize.water.fast_wishes import ask
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray

T = TypeVar("T")

SEARCH_SHARE = 0.6
CONSTRUCT_SHARE = 0.6
PRICE_WEIGHTS = (4.0, 8.0)
SETTLE_ROUNDS = 4
CERTIFY_ATTEMPTS = 3
IN_FORCE_SHARE = 0.15
REPAIR_SLICES, REPAIR_ITERATIONS = 20, 50
WHOLE_MODEL_LANES = 1_000
SCOUTS, SMALL_SCOUTS = 6, 3
ITERATIONS_PER_USER, MOST_ITERATIONS = 60.0, 60_000
SMALL_NUM_USERS, SMALL_ITERATIONS, SMALL_ITERATIONS_ANEW = 150, 20_000, 8_000
"""A small network takes a few seconds for as many iterations; two shorter searches find more than one longer."""
FIRST_PLAN_GRACE_S = 1.5
"""A first plan in hand must be made certain even where the search used up the time."""
INTERRUPTED_GRACE_S = 3.0
"""For the volumes of the design in hand where somebody wants the solve to end."""
QUICK_S, TIMES_FIXED = 0.5, 50.0
"""Where a model with all works fixed takes longer than this, one over works near a plan is begun only with this many
times as long: its root alone is many times dearer."""
SHORT_S, SHORT_SHARE = 1.0, 0.01
"""Steps that take no more than this, or this share of the time limit, are begun even where the time is up."""
FIRST_EFFECT_SHARE = 0.06
"""First price of what is asked for, as a share of its penalty, where nothing else makes water worth its cost."""


@dataclass
class Solve:
    """State of the solve for one goal; values count so that more is better."""

    instance: Instance
    c: Coefficients
    locks: LockedDecisions
    goals: tuple[str, ...]
    kept: Sequence[Kept]
    watch: Watch
    timings: dict[str, float] = field(default_factory=dict)
    model: FlowModel | None = None
    x: FloatArray | None = None
    value: float = -np.inf
    closed: bool = False
    """Whether no plan that models can hold is better than the one at hand."""
    ended: str | None = None
    """Why there was nothing more to do before the time was up."""
    fixed_s: float = 0.0
    """What the last model with all its works fixed took."""
    narrowed: LockedDecisions = field(init=False)
    """Locks of the network the search works on."""
    ingredients: Ingredients = field(init=False)

    def __post_init__(self) -> None:
        self.narrowed = self.locks
        self.ingredients = Ingredients.of(self.watch.options)

    @property
    def goal(self) -> str:
        """The goal at hand, the first of those left."""
        return self.goals[0]

    @property
    def done(self) -> bool:
        return self.watch.must_stop or self.watch.gap_reached

    @property
    def bound(self) -> float:
        """The best so far, so that less is better."""
        best = self.watch.bound
        return np.inf if best is None else sign_of(self.goal) * best

    def fits(self, seconds: float) -> bool:
        """Whether a step of so many seconds may still begin."""
        short = max(SHORT_S, SHORT_SHARE * self.watch.options.time_limit_s)
        return seconds <= max(self.watch.remaining(), short)

    def timed(self, name: str, step: Callable[[], T]) -> T:
        """Run a step and add its seconds to the timings."""
        started = time.monotonic()
        value = step()
        self.timings[name] = self.timings.get(name, 0.0) + time.monotonic() - started
        return value

    def model_of(self, part: Part) -> FlowModel:
        """The model over a part with this goal, earlier ones kept."""
        return build_flow_model(self.instance, self.c, part).aimed_at(self.goal, self.kept)

    def keep(self, model: FlowModel, x: FloatArray | None) -> bool:
        """Hold a plan if it is the best so far."""
        if x is None:
            return False
        x = model.without_counterflows(x)
        value = model.milp.value(x)
        if value <= self.value:
            return False
        self.model, self.x, self.value = model, x, value
        self.watch.offer_plan(sign_of(self.goal) * value)
        return True

    def offer_bound(self, value: float) -> None:
        self.watch.offer_bound(sign_of(self.goal) * value)


def counts_changes(solve: Solve) -> bool:
    """Whether a plan is looked for by models alone, because the search counts no changes."""
    target = solve.instance.targets.get(REVISE)
    return solve.goal == "changes" or (target is not None and target.hard)


def begin_in_force(solve: Solve) -> None:
    """The best of what is in force, as a first plan; where that alone is none, with works near it."""
    c = solve.c
    if c.revision.is_empty:
        return
    part = in_force_part(c)
    for own in (part, _near_works(c, part.pipe, part.module, part.connected)):
        if solve.done:
            return
        model = solve.model_of(own)
        outcome = solve_milp(model.milp, solve.watch.child(seconds=IN_FORCE_SHARE * solve.watch.remaining()))
        if solve.keep(model, outcome.x):
            return


def construct(solve: Solve) -> DesignSearch:
    """First design, improved until it reaches what is asked, if it does, and certified.

    Where suppliers have to balance [W-PRICE], their balance is weighed more until the plan holds.
    """
    price = solve.instance.targets.get("W-PRICE")
    strict = price is not None and price.hard and price.required < 1
    watch = solve.watch.child(seconds=CONSTRUCT_SHARE * solve.watch.remaining())
    free = one_way_in(solve.c, solve.locks)
    attempts = [(free, weight) for weight in (PRICE_WEIGHTS if strict else (0.0,))]
    if any(pair.together for pair in solve.locks.pairs):
        attempts.append((without_pairs(solve.c, free), attempts[-1][1]))
    for attempt, (locks, price_weight) in enumerate(attempts):
        search = _settled_search(solve, locks, price_weight, watch)
        if _certify_after_repair(solve, search, watch, widen=attempt == len(attempts) - 1):
            break
    return search


def _settled_search(
    solve: Solve, locks: LockedDecisions, price_weight: float, watch: Watch
) -> DesignSearch:  # fmt: skip
    """A design that reaches what is asked, if one is found, with pairs and numbers of plants settled."""
    nobody = np.zeros(len(solve.c.user_ids), bool)
    weights = search_weights(solve.instance, solve.c, solve.goals)
    priced = with_change_prices(solve.instance, solve.c)
    for _ in range(SETTLE_ROUNDS):
        solve.narrowed = locks
        asked = ask(solve.instance, solve.c, locks, nobody, weights.money)
        network = derive_network(
            solve.instance, priced, locks, asked.wishes, asked.reserved_cny, weights, price_weight
        )
        taken = solve.ingredients
        settings = SearchSettings(taken.starts, taken.trunks, taken.episodes, taken.forced)
        search = DesignSearch(network, solve.watch.options.seed, settings)
        search.construct(watch, FIRST_EFFECT_SHARE if solve.goal in MINIMISED else 0.0)
        for _ in range(REPAIR_SLICES):
            if search.violation == 0.0 or watch.must_stop:
                break
            search.improve(watch, REPAIR_ITERATIONS)
        locks = settle(solve.instance, solve.c, locks, search.design())
        if locks is solve.narrowed or watch.must_stop:
            break
    return search


def _certify_after_repair(solve: Solve, search: DesignSearch, watch: Watch, *, widen: bool) -> bool:
    """Certify the design, or one that more search makes of it; True also where the time is up."""
    for attempt in range(CERTIFY_ATTEMPTS):
        stops = watch.must_stop
        last = widen and attempt == CERTIFY_ATTEMPTS - 1
        if certify(solve, search.design(), widen=last or stops) or stops:
            return True
        search.improve(watch, 2 * REPAIR_ITERATIONS)
    return False


def improve_by_search(solve: Solve, search: DesignSearch) -> None:
    """Large-neighbourhood search in its share of the time, and the plan it ends with."""
    if not solve.ingredients.search:
        return
    watch = solve.watch.child(seconds=SEARCH_SHARE * solve.watch.remaining())
    _search_long(solve, search, watch, SMALL_ITERATIONS)


def search_anew(solve: Solve, search: DesignSearch, seed: int, watch: Watch) -> DesignSearch:
    """Another search of the same network from the beginning, with chances of its own."""
    other = DesignSearch(search.network, seed, search.settings)
    other.construct(watch, FIRST_EFFECT_SHARE if solve.goal in MINIMISED else 0.0)
    _search_long(solve, other, watch, SMALL_ITERATIONS_ANEW)
    return other


def _search_long(solve: Solve, search: DesignSearch, watch: Watch, most_if_small: int) -> None:
    num_users = len(solve.c.user_ids)
    small = num_users <= SMALL_NUM_USERS
    num = min(most_if_small if small else int(ITERATIONS_PER_USER * num_users), MOST_ITERATIONS)
    scouts = SMALL_SCOUTS if small else SCOUTS
    search.improve_in_rounds(watch, num, scouts if solve.ingredients.scouts else 0)


def certify(solve: Solve, design: Design, *, widen: bool = True) -> bool:
    """Hold the plan of a design's works; False where there is none (see `plan_of`)."""
    found = plan_of(solve, design, widen=widen)
    if found is not None:
        solve.keep(*found)
    return found is not None


def plan_of(solve: Solve, design: Design, *, widen: bool) -> tuple[FlowModel, FloatArray] | None:
    """The best volumes for a design's works, as a plan of the full model.

    Pipes, modules and connections are fixed, but for those of paired projects; pilots, refusals, parks and funding mixes are chosen.
    Where that holds no plan, ``widen`` lets works be left out or taken one size off.
    """
    if design.violation > 0.0 and solve.x is not None:
        return None
    began, locks = time.monotonic(), solve.narrowed
    part = _part_of(solve.c, locks, design, 0)
    besides = needed_besides(solve.instance, solve.c, locks, design)
    model = solve.model_of(_union(part, besides))
    lower = model.milp.lower.copy()
    for columns, own in (
        (model.pipe, part.pipe[tuple(model.pipe_at.T)]),
        (model.module, part.module[model.module_at]),
        (model.connected, part.connected[model.connected_at]),
    ):
        lower[columns[own]] = 1.0
    for project in locks.paired_projects:
        columns = columns_of_project(model, project)
        lower[columns] = model.milp.lower[columns]
    seconds = solve.watch.remaining()
    if solve.x is None:
        seconds = max(seconds, FIRST_PLAN_GRACE_S)
    options = solve.watch.options
    if solve.watch.interrupted:  # what the search found until then is not to be lost
        options, seconds = replace(options, interrupt=threading.Event()), min(seconds, INTERRUPTED_GRACE_S)
    grace = Watch(replace(options, time_limit_s=seconds), True)
    fixed = model.milp.with_bounds(lower, np.maximum(lower, model.milp.upper))
    outcome = solve_milp(fixed, grace.child(gap=1e-4))
    solve.fixed_s = time.monotonic() - began
    if outcome.x is None and outcome.stop is StopReason.INFEASIBLE and widen and not grace.must_stop:
        model = solve.model_of(_union(_part_of(solve.c, locks, design, 1), besides))
        outcome = solve_milp(model.milp, grace.child(gap=1e-3, seconds=0.5 * grace.remaining()))
    return None if outcome.x is None else (model, outcome.x)


def _part_of(c: Coefficients, locks: LockedDecisions, design: Design, reach: int) -> Part:
    """Works of a design and those whose size index is at most ``reach`` away."""
    shape = c.shape
    order = np.argsort(c.pipe_capacity_m3_per_d, kind="stable")
    pipe = np.zeros((shape["E"], shape["G"], shape["D"]), bool)
    e, g = np.nonzero(design.size)
    for step in range(-reach, reach + 1):
        at = np.clip(design.size[e, g] + step, 1, shape["D"]) - 1
        pipe[e, g, order[at]] = True
    module = np.zeros(len(c.modules), bool)
    by_capacity = np.argsort(c.module_capacity_m3_per_d, kind="stable")
    allowed = by_capacity[locks.module_may[by_capacity]]
    key = c.module_plant[allowed] * shape["G"] + c.module_quality[allowed]
    for p, quality in zip(*np.nonzero(design.step[: shape["P"]]), strict=True):
        steps = allowed[key == p * shape["G"] + quality]
        chosen = design.step[p, quality] - 1
        module[steps[max(chosen - reach, 0) : chosen + reach + 1]] = True
    connected = design.assignment.served > 0
    return Part(pipe, module, connected, locks.tanker_must.copy())


def _union(one: Part, other: Part) -> Part:
    return Part(*(a | b for a, b in zip(vars(one).values(), vars(other).values(), strict=True)))


def improve_by_model(
    solve: Solve, seconds: float, plan: tuple[FlowModel, FloatArray] | None = None
) -> tuple[FlowModel, FloatArray] | None:
    """A model over the works near a plan, started from it; then what is too wide or idle goes.

    Parameters
    ----------
    plan : None: the best.

    Returns
    -------
    The model's plan; None where it has none or there is no time for it.
    """
    found = None
    may_end = solve.fixed_s <= QUICK_S or seconds >= TIMES_FIXED * solve.fixed_s
    if solve.ingredients.near_model and may_end:
        assert solve.model is not None and solve.x is not None
        found = _solve_near(solve, seconds, *(plan or (solve.model, solve.x)))
    if solve.ingredients.trim:
        trim(solve)
    return found


def _solve_near(
    solve: Solve, seconds: float, model: FlowModel, x: FloatArray
) -> tuple[FlowModel, FloatArray] | None:
    part = _near(solve, model, x)
    watch = solve.watch.child(seconds=seconds, maximise=True)
    wider = solve.model_of(part)
    outcome = solve_milp(wider.milp, watch, wider.start_from(model, x))
    solve.keep(wider, outcome.x)
    if _is_whole(solve, part):
        solve.closed = outcome.stop in (StopReason.OPTIMAL, StopReason.GAP_REACHED)
        if outcome.bound is not None and len(solve.c.storage) == 0:
            solve.offer_bound(outcome.bound)
    return None if outcome.x is None else (wider, outcome.x)


def trim(solve: Solve) -> None:
    """Leave out pipes that carry nothing, and take narrower ones where they are enough."""
    assert solve.model is not None and solve.x is not None
    part = trimmed(solve.model, solve.x, solve.locks)
    if part is None or solve.done or not solve.fits(solve.fixed_s):
        return
    began, model = time.monotonic(), solve.model_of(part)
    solve.keep(model, solve_milp(model.all_built(), solve.watch.child(gap=1e-4)).x)
    solve.fixed_s = time.monotonic() - began


def _is_whole(solve: Solve, part: Part) -> bool:
    """Whether a model over this part is the formulation itself but for storage."""
    whole = Part.whole(solve.c)
    return all(
        (own == other).all() for own, other in zip(vars(part).values(), vars(whole).values(), strict=True)
    )


def _near(solve: Solve, model: FlowModel, x: FloatArray) -> Part:
    """Works of the plan, one size up and down, and for small networks all works."""
    works = model.works(x)
    offered = works.connected.copy()
    offered[model.connected_at] = True
    return _near_works(solve.c, works.pipe, works.module, offered)


def _near_works(c: Coefficients, built: BoolArray, module_built: BoolArray, offered: BoolArray) -> Part:
    """Works one size up and down from those built, users at or beside them; for small networks all works."""
    shape = c.shape
    whole = Part.whole(c)
    if shape["E"] * shape["G"] * len(c.days) <= WHOLE_MODEL_LANES:
        return whole
    pipe = built.copy()
    pipe[:, :, 1:] |= built[:, :, :-1]
    pipe[:, :, :-1] |= built[:, :, 1:]
    reached = np.zeros(shape["N"], bool)
    e, _, _ = np.nonzero(built)
    reached[c.corridor_from[e]] = True
    reached[c.corridor_to[e]] = True
    module = np.zeros(len(c.modules), bool)
    key = c.module_plant * shape["G"] + c.module_quality
    module[np.isin(key, key[module_built])] = True
    connected = offered | reached[c.user_node]
    tanker = c.tanker_plant >= 0
    return Part(pipe & whole.pipe, module, connected, tanker)

"""The fast path: search for a plan, certify it by a model over its works, bound it by a relaxation.

1. A constructive search and large-neighbourhood improvement (`optimize.engine.network_design`) decide
   which pipes, modules and connections are built.
2. A model over those works alone sets the volumes of all periods and the few remaining decisions; its
   plan is what is returned.
3. The averaged-period relaxation, tightened by a Lagrangian, bounds every plan of the full model.
4. A model over works near the plan improves it in the time that is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from optimize.engine.highs import solve_milp
from optimize.engine.network_design import Design, DesignSearch, compile_kernels
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions
from optimize.result import Result, StopReason
from optimize.water.coefficients import Coefficients, derive_coefficients
from optimize.water.fast_bound import WaterBound, gross_bound
from optimize.water.fast_locks import LockedDecisions, locked_decisions
from optimize.water.fast_model import FlowModel, Part, build_flow_model
from optimize.water.fast_network import derive_network
from optimize.water.fast_wishes import ask
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray
from optimize.water.solution import Solution

T = TypeVar("T")

LARGE_NUM_FLOWS = 2_000
SMALL_LANE_PERIODS = 600
"""Corridors x qualities x periods up to which the whole model is solved before anything else."""
LINEAR_SHARE, SEARCH_SHARE = 0.3, 0.6
BOUND_ITERATIONS, BOUND_SLICE = 4_000, 50
PRICE_WEIGHTS = (4.0, 8.0)
CERTIFY_ATTEMPTS = 3
REPAIR_SLICES, REPAIR_ITERATIONS = 20, 50
WHOLE_MODEL_LANES = 4_000
ITERATIONS_PER_USER = 20.0
LEAST_ITERATIONS, MOST_ITERATIONS = 3_000, 20_000


def unsupported_by_fast(instance: Instance, options: SolveOptions) -> str | None:
    """What of this instance or these goals the fast path cannot take; None if it takes all."""
    if options.goal != ("npv",):
        return "goals other than npv alone"
    if instance.parameters.phased:
        return "phased building"
    if instance.parameters.num_plants_exact > 0:
        return "an exact number of plants"
    if instance.users["single_feed"].any():
        return "single-feed users"
    if options.write_model is not None:
        return "writing the model"
    price = instance.targets.get("W-PRICE")
    if price is not None and not (price.hard and price.required < 1):
        return "W-PRICE with losing systems allowed"
    near = instance.targets.get("W-NEAR")
    if near is not None and not near.hard:
        return "soft W-NEAR"
    pairs = set(instance.locks["kind"]) & {"together", "not_together"}
    if pairs:
        return f"locks of kind {', '.join(sorted(pairs))}"
    sites = set(instance.storage_sites["site"])
    forced = instance.locks["kind"].isin(["force_in"]) | (
        (instance.locks["kind"] == "fix") & (instance.locks["value"] != "none")
    )
    if set(instance.locks.loc[forced, "id"]) & sites:
        return "storage forced in"
    return None


def prefer_fast(instance: Instance, options: SolveOptions) -> bool:
    """Whether the instance is too large for the formulation to do better."""
    flows = 2 * len(instance.corridors) * len(instance.qualities) * instance.parameters.periods
    return flows > LARGE_NUM_FLOWS


@dataclass
class _Solve:
    """State of one solve."""

    instance: Instance
    c: Coefficients
    locks: LockedDecisions
    watch: Watch
    model: FlowModel | None = None
    x: FloatArray | None = None
    value: float = -np.inf
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return self.watch.must_stop or self.watch.gap_reached

    def timed(self, name: str, step: Callable[[], T]) -> T:
        """Run a step and add its seconds to the timings."""
        started = time.monotonic()
        value = step()
        self.timings[name] = self.timings.get(name, 0.0) + time.monotonic() - started
        return value

    def keep(self, model: FlowModel, x: FloatArray | None) -> bool:
        """Hold a plan if it is the best so far."""
        if x is None:
            return False
        value = model.milp.value(x)
        if value <= self.value:
            return False
        self.model, self.x, self.value = model, x, value
        self.watch.offer_plan(value)
        return True


def solve_fast(instance: Instance, options: SolveOptions) -> Result[Solution]:
    """Solve by search, a model over the found works, and a relaxation; see the module's docstring.

    With two threads or more the bound is computed beside the search.
    """
    started = time.monotonic()
    compile_kernels()  # once per installation; not charged to the time limit of the solve
    compiled_s = time.monotonic() - started
    watch = Watch(options, maximise=True)
    c = derive_coefficients(instance)
    solve = _Solve(instance, c, locked_decisions(instance, c), watch)
    solve.timings["compile"] = compiled_s
    watch.offer_bound(gross_bound(instance, c))
    bounding = _Bounding(solve)
    search = solve.timed("construct", lambda: _construct(solve))
    bounding.begin()
    small = _lane_periods(c) <= SMALL_LANE_PERIODS
    if small and solve.x is not None and not solve.done:
        solve.timed("model", lambda: _improve_by_model(solve, 0.6 * watch.remaining()))
    if not solve.done:
        solve.timed("improve", lambda: _improve_by_search(solve, search))
        solve.timed("certify", lambda: _certify(solve, search.design()))
    if solve.x is not None and not small and not solve.done:
        solve.timed("model", lambda: _improve_by_model(solve, 0.4 * watch.remaining()))
    solve.timed("bound", bounding.finish)
    return _result(solve, options)


class _Bounding:
    """Computes the bound: beside the search where there is a second thread, else in turn."""

    def __init__(self, solve: _Solve) -> None:
        self._solve = solve
        self._bound = WaterBound(solve.instance, solve.c, solve.locks)
        self._executor = ThreadPoolExecutor(1) if solve.watch.options.threads > 1 else None
        self._future: Future[None] | None = None

    def begin(self) -> None:
        """Linear relaxation (and, beside the search, all that follows)."""
        if self._solve.done:
            return
        if self._executor is not None:
            self._future = self._executor.submit(self._compute)
        else:
            self._solve.timed("bound", self._start)

    def finish(self) -> None:
        """Use the time that is left, and come back with what there is."""
        if self._future is not None:
            self._future.result()
        elif self._executor is None and not self._solve.done:
            self._tighten()
        if self._executor is not None:
            self._executor.shutdown()

    def _compute(self) -> None:
        self._start()
        self._tighten()

    def _start(self) -> None:
        watch = self._solve.watch
        linear = self._bound.start(watch.child(seconds=LINEAR_SHARE * watch.options.time_limit_s))
        if linear is not None:
            watch.offer_bound(linear)

    def _tighten(self) -> None:
        solve, left = self._solve, BOUND_ITERATIONS
        while left > 0 and not solve.done:
            step = min(left, BOUND_SLICE)
            best = self._bound.improve(solve.watch, max(solve.value, 0.0), step)
            left -= step
            if best is None:
                return
            solve.watch.offer_bound(best)


def _lane_periods(c: Coefficients) -> int:
    return len(c.corridor_ids) * len(c.quality_ids) * len(c.days)


def _improve_by_search(solve: _Solve, search: DesignSearch) -> None:
    num = int(np.clip(ITERATIONS_PER_USER * len(solve.c.user_ids), LEAST_ITERATIONS, MOST_ITERATIONS))
    search.improve(solve.watch.child(seconds=SEARCH_SHARE * solve.watch.remaining()), num)


def _result(solve: _Solve, options: SolveOptions) -> Result[Solution]:
    watch = solve.watch
    solution = None
    if solve.model is not None and solve.x is not None:
        solution = solve.model.solution(solve.instance, solve.x)
    return Result(
        stop=watch.stop_reason(),
        solution=solution,
        objective=None if solution is None else solve.value,
        bound=watch.bound,
        maximise=True,
        goal=options.goal,
        engine="fast",
        trace=tuple(watch.trace),
        timings=solve.timings,
    )


def _construct(solve: _Solve) -> DesignSearch:
    """First design, improved until it reaches what is asked, if it does, and certified.

    Where suppliers have to balance [W-PRICE], their balance is weighed more until the plan holds.
    """
    nobody = np.zeros(len(solve.c.user_ids), bool)
    asked = ask(solve.instance, solve.c, solve.locks, nobody)
    weights = PRICE_WEIGHTS if "W-PRICE" in solve.instance.targets else (0.0,)
    for weight in weights:
        network = derive_network(
            solve.instance, solve.c, solve.locks, asked.wishes, asked.reserved_cny, weight
        )
        search = DesignSearch(network, solve.watch.options.seed)
        search.construct(solve.watch)
        for _ in range(REPAIR_SLICES):
            if search.violation == 0.0 or solve.watch.must_stop:
                break
            search.improve(solve.watch, REPAIR_ITERATIONS)
        for attempt in range(CERTIFY_ATTEMPTS):
            last = weight == weights[-1] and attempt == CERTIFY_ATTEMPTS - 1
            if _certify(solve, search.design(), widen=last or solve.watch.must_stop) or solve.watch.must_stop:
                return search
            search.improve(solve.watch, 2 * REPAIR_ITERATIONS)
    return search


def _part_of(solve: _Solve, design: Design, reach: int) -> Part:
    """Works of a design and those whose size index is at most ``reach`` away."""
    c, shape = solve.c, solve.c.shape
    order = np.argsort(c.pipe_capacity_m3_per_d, kind="stable")
    pipe = np.zeros((shape["E"], shape["G"], shape["D"]), bool)
    e, g = np.nonzero(design.size)
    for step in range(-reach, reach + 1):
        at = np.clip(design.size[e, g] + step, 1, shape["D"]) - 1
        pipe[e, g, order[at]] = True
    module = np.zeros(len(c.modules), bool)
    by_capacity = np.argsort(c.module_capacity_m3_per_d, kind="stable")
    allowed = by_capacity[solve.locks.module_may[by_capacity]]
    key = c.module_plant[allowed] * shape["G"] + c.module_quality[allowed]
    for p, quality in zip(*np.nonzero(design.step[: shape["P"]]), strict=True):
        steps = allowed[key == p * shape["G"] + quality]
        chosen = design.step[p, quality] - 1
        module[steps[max(chosen - reach, 0) : chosen + reach + 1]] = True
    connected = design.assignment.served > 0
    return Part(pipe, module, connected, solve.locks.tanker_must.copy())


def _certify(solve: _Solve, design: Design, *, widen: bool = True) -> bool:
    """The best volumes for a design's works, as a plan of the full model.

    Pipes, modules and connections are fixed; pilots, refusals, parks and funding mixes are chosen.
    Where that holds no plan, ``widen`` lets works be left out or taken one size off.
    """
    if design.violation > 0.0 and solve.x is not None:
        return False
    part = _part_of(solve, design, 0)
    model = build_flow_model(solve.instance, solve.c, part)
    lower = model.milp.lower.copy()
    for columns in (model.pipe, model.module, model.connected):
        lower[columns] = 1.0
    # the plan in hand must be made certain even where the search used up the time
    grace = Watch(replace(solve.watch.options, time_limit_s=10.0), True)
    fixed = model.milp.with_bounds(lower, np.maximum(lower, model.milp.upper))
    outcome = solve_milp(fixed, grace.child(gap=1e-4))
    if outcome.x is None and outcome.stop is StopReason.INFEASIBLE and widen:
        wider = build_flow_model(solve.instance, solve.c, _part_of(solve, design, 1))
        model, outcome = wider, solve_milp(wider.milp, grace.child(gap=1e-3))
    solve.keep(model, outcome.x)
    return outcome.x is not None


def _improve_by_model(solve: _Solve, seconds: float) -> None:
    """A model over the works near the best plan, started from it."""
    model, x = solve.model, solve.x
    assert model is not None and x is not None
    part = _near(solve, model, x)
    wider = build_flow_model(solve.instance, solve.c, part)
    start = wider.start_from(model, x)
    outcome = solve_milp(wider.milp, solve.watch.child(seconds=seconds), start)
    solve.keep(wider, outcome.x)
    if outcome.bound is not None and _is_complete(solve, part):
        solve.watch.offer_bound(outcome.bound)


def _is_complete(solve: _Solve, part: Part) -> bool:
    """Whether a model over this part is the formulation itself, so that its bound is one of all plans."""
    whole = Part.whole(solve.c)
    same = all(
        (own == other).all() for own, other in zip(vars(part).values(), vars(whole).values(), strict=True)
    )
    return same and len(solve.c.storage) == 0


def _near(solve: _Solve, model: FlowModel, x: FloatArray) -> Part:
    """Works of the plan, one size up and down, and for small networks all works."""
    c = solve.c
    shape = c.shape
    whole = Part.whole(c)
    if shape["E"] * shape["G"] * len(c.days) <= WHOLE_MODEL_LANES:
        return whole
    built = np.zeros_like(whole.pipe)
    built[tuple(model.pipe_at[x[model.pipe] > 0.5].T)] = True
    pipe = built.copy()
    pipe[:, :, 1:] |= built[:, :, :-1]
    pipe[:, :, :-1] |= built[:, :, 1:]
    reached = np.zeros(shape["N"], bool)
    e, _, _ = np.nonzero(built)
    reached[c.corridor_from[e]] = True
    reached[c.corridor_to[e]] = True
    module = np.zeros(len(c.modules), bool)
    key = c.module_plant * shape["G"] + c.module_quality
    module[np.isin(key, key[model.module_at[x[model.module] > 0.5]])] = True
    connected = np.zeros(shape["U"], bool)
    connected[model.connected_at] = True
    connected |= reached[c.user_node]
    tanker = c.tanker_plant >= 0
    return Part(pipe & whole.pipe, module, connected, tanker)

"""The fast path: search for a plan, certify it by a model over its works, bound it by a relaxation.

0. What no best plan needs is left out, where plans are looked for (`optimize.water.reductions`).
1. A constructive search and large-neighbourhood improvement (`optimize.engine.network_design`) decide
   which pipes, modules and connections are built.
2. A model over those works alone sets the volumes of all periods and the few remaining decisions; its
   plan is what is returned.
3. The averaged-period relaxation, tightened by a Lagrangian, bounds every plan of the full model.
4. A model over works near the plan improves it in the time that is left.

Where one period, one quality and full service make the instance a network of one commodity, that is solved
first (`fast_one_commodity`), mostly to the end.

Of a list of goals the first is solved so; each later one starts from the plan of those before, keeps
what they reached, and is improved by a model over works near it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from optimize.engine import network_bound, network_design
from optimize.engine.goals import settled
from optimize.engine.highs import solve_milp
from optimize.engine.network_design import DesignSearch
from optimize.engine.stopping import Watch
from optimize.programme import SolveOptions
from optimize.result import Result, StopReason
from optimize.water import fast_one_commodity
from optimize.water.coefficients import Coefficients, derive_coefficients
from optimize.water.fast_bound import gross_bound
from optimize.water.fast_goal import MINIMISED, Kept, weights_of
from optimize.water.fast_ingredients import Ingredients
from optimize.water.fast_layout import Part, sign_of
from optimize.water.fast_locks import LockedDecisions, earliest_stages, locked_decisions, without_dates
from optimize.water.fast_neighbourhoods import Neighbourhoods
from optimize.water.fast_one_commodity import is_one_commodity, solve_as_network
from optimize.water.fast_phased import (
    PhasedPlan,
    asked_first,
    better,
    build_in_phases,
    unsupported_when_phased,
    view_for_search,
)
from optimize.water.fast_revision import holds_contracted_storage
from optimize.water.fast_rounds import Bounding, Plans, use_time_left
from optimize.water.fast_steps import (
    Solve,
    begin_in_force,
    certify,
    construct,
    counts_changes,
    improve_by_model,
    improve_by_search,
)
from optimize.water.instance import Instance
from optimize.water.one_stage import view_for_bound
from optimize.water.plan import plan_from_values
from optimize.water.reductions import Reduced, reduce_network
from optimize.water.solution import Solution

LARGE_NUM_FLOWS = 2_000
SMALL_LANE_PERIODS = 600
"""Corridors x qualities x periods up to which the whole model is solved before anything else."""
NEAR_SHARE, NEAR_SHARE_IF_LARGE = 0.2, 0.02
"""Of the time left after the first search for a model over works near its plan; in large networks that finds little."""
LARGE_LANE_PERIODS = 5_000
PHASED_SHARE, PHASED_SEARCHES = 0.4, 12
"""Of the time left then for further searches where the network is built in phases, and how many at most."""
REVISION_SHARE = 0.8
NO_PLAN_SHARE = 0.4
FIRST_GOAL_SHARE = 0.7
"""Share of the time of a list of goals that the first may use."""


def unsupported_by_fast(instance: Instance, options: SolveOptions) -> str | None:
    """What of this instance or these options the fast path cannot take; None if it takes all."""
    if instance.parameters.phased:
        reason = unsupported_when_phased(instance, options.goal)
        if reason is not None:
            return reason
    if options.write_model is not None:
        return "writing the model"
    if holds_contracted_storage(instance):
        return "a storage site that is contracted"
    sites = set(instance.storage_sites["site"])
    locks = instance.locks
    forced = locks["kind"].isin(["force_in", "together", "not_together"]) | (
        (locks["kind"] == "fix") & (locks["value"] != "none")
    )
    if sites & {*locks.loc[forced, "id"], *locks.loc[forced, "other"]}:
        return "locks that ask for a storage site or pair it with something"
    return None


def left_out_by_fast(instance: Instance) -> tuple[str, ...]:
    """What an instance offers that plans of the fast path never have."""
    sites = len(instance.storage_sites)
    if sites == 0:
        return ()
    return (f"storage sites offered: {sites}; the fast engine builds none, --engine formulation may",)


def prefer_fast(instance: Instance, options: SolveOptions) -> bool:
    """Whether the instance is too large for the formulation to do better, or of a kind that is closed apart."""
    flows = 2 * len(instance.corridors) * len(instance.qualities) * instance.parameters.periods
    return flows > LARGE_NUM_FLOWS or is_one_commodity(instance, options.goal[0])


def solve_fast(instance: Instance, options: SolveOptions) -> Result[Solution]:
    """Solve by search, a model over the found works, and a relaxation; see the module's docstring.

    With two threads or more the bound is computed beside the search.
    """
    started = time.monotonic()
    # Once per installation (`optimize.compile_kernels`); not charged to the time limit of the solve.
    network_design.compile_kernels()
    network_bound.compile_kernels()
    if is_one_commodity(instance, options.goal[0]):
        fast_one_commodity.compile_kernels()
    timings = {"compile": time.monotonic() - started}
    watch = Watch(options, maximise=options.goal[-1] not in MINIMISED)
    c = derive_coefficients(instance)
    if instance.parameters.phased:
        return _solve_phased(instance, c, options, watch, timings)
    small = _reduced(instance, c, locked_decisions(instance, c), options)
    solve = solve_for_first(instance, small.c, small.locks, options.goal, watch, timings)
    for position in range(1, len(options.goal)):
        solve = _solve_next(solve, options.goal[position:], watch)
    solution = None
    if solve.model is not None and solve.x is not None:
        solution = solve.model.solution(instance, solve.x)
    return Result(
        stop=watch.stop_reason(),
        solution=solution,
        objective=None if solution is None else sign_of(solve.goal) * solve.value,
        bound=watch.bound,
        maximise=watch.maximise,
        goal=options.goal,
        engine="fast",
        trace=tuple(watch.trace),
        timings=timings,
        certificate=watch.certificate,
        notes=(*left_out_by_fast(instance), *_why_ended(solve)),
    )


def _why_ended(solve: Solve) -> tuple[str, ...]:
    ended = solve.watch.stop_reason() is StopReason.SEARCH_ENDED
    return (solve.ended,) if ended and solve.ended is not None else ()


def _reduced(instance: Instance, c: Coefficients, locks: LockedDecisions, options: SolveOptions) -> Reduced:
    """The network that plans are looked for in; bounds are proven for the whole of it."""
    if not Ingredients.of(options).reductions:
        return Reduced(c, locks)
    return reduce_network(instance, c, locks, options.goal)


def solve_for_first(
    instance: Instance, c: Coefficients, locks: LockedDecisions, goals: tuple[str, ...], watch: Watch,
    timings: dict[str, float] | None = None,
) -> Solve:  # fmt: skip
    """The first goal of a list: search, certify, bound."""
    timings = {} if timings is None else timings
    part = watch if len(goals) == 1 else _watch_of(goals[0], watch, FIRST_GOAL_SHARE * watch.remaining())
    solve = Solve(instance, c, locks, goals, (), part, timings)
    solve.offer_bound(gross_bound(c, weights_of(instance, c, goals[0])))
    if solve.ingredients.one_commodity:
        solve.timed("one_commodity", lambda: solve_as_network(solve))
    if solve.done and solve.x is not None:
        return solve
    bounding = Bounding(solve)
    search = _find_plans(solve, bounding.begin)
    use_time_left(solve, bounding, Plans(solve, search), Neighbourhoods(solve))
    return solve


def _find_plans(solve: Solve, when_constructed: Callable[[], None]) -> DesignSearch | None:
    """The first plan, then better ones by search and by models; the search, where others may follow it."""
    solve.timed("in_force", lambda: begin_in_force(solve))
    if solve.x is not None and counts_changes(solve):
        when_constructed()
        if not solve.done:
            solve.timed("model", lambda: improve_by_model(solve, REVISION_SHARE * solve.watch.remaining()))
        return None
    search = solve.timed("construct", lambda: construct(solve))
    when_constructed()
    small = _lane_periods(solve.c) <= SMALL_LANE_PERIODS
    if small and solve.x is None and not solve.done:
        solve.timed("model", lambda: _find_by_model(solve, NO_PLAN_SHARE * solve.watch.remaining()))
    if small and solve.x is not None and not solve.done:
        solve.timed("model", lambda: improve_by_model(solve, 0.6 * solve.watch.remaining()))
    if not solve.done:
        solve.timed("improve", lambda: improve_by_search(solve, search))
        solve.timed("certify", lambda: certify(solve, search.design()))
    if solve.x is not None and not small and not solve.done:
        share = NEAR_SHARE if _lane_periods(solve.c) <= LARGE_LANE_PERIODS else NEAR_SHARE_IF_LARGE
        solve.timed("model", lambda: improve_by_model(solve, share * solve.watch.remaining()))
    return search


def _find_by_model(solve: Solve, seconds: float) -> None:
    """Branch and cut on all of a small network for which the search, blind to what some rows want, found no plan."""
    if not solve.ingredients.near_model:
        return
    model = solve.model_of(Part.whole(solve.c))
    outcome = solve_milp(model.milp, solve.watch.child(seconds=seconds, maximise=True))
    solve.keep(model, outcome.x)
    if outcome.bound is not None and not len(solve.c.storage):
        solve.offer_bound(outcome.bound)


def _solve_next(before: Solve, goals: tuple[str, ...], watch: Watch) -> Solve:
    """The next goal of a list, from the plan of the one before."""
    last = len(goals) == 1
    part = watch if last else _watch_of(goals[0], watch, watch.remaining() / len(goals))
    kept = [*before.kept, Kept(before.goal, sign_of(before.goal) * before.value)]
    solve = Solve(before.instance, before.c, before.locks, goals, kept, part, before.timings)
    if before.model is None or before.x is None:
        return solve
    model = before.model.aimed_at(goals[0], kept)
    solve.keep(model, settled(model.milp, before.x, watch))
    improve_kept(solve, part)
    return solve


def improve_kept(solve: Solve, watch: Watch) -> None:
    """Improve the plan at hand (without one there is only a bound) by a model over works near it; bound it."""
    solve.offer_bound(gross_bound(solve.c, weights_of(solve.instance, solve.c, solve.goal)))
    if solve.done:
        return
    bounding = Bounding(solve)
    bounding.begin()
    if solve.x is not None:
        solve.timed("model", lambda: improve_by_model(solve, 0.6 * watch.remaining()))
    use_time_left(solve, bounding, Plans(solve, None))


def _solve_phased(
    dated: Instance, c: Coefficients, options: SolveOptions, watch: Watch, timings: dict[str, float]
) -> Result[Solution]:
    """Search for the last stage's network, build it year by year; see `optimize.water.fast_phased`."""
    goal = options.goal[0]
    earliest, instance = earliest_stages(dated, c), without_dates(dated)
    locks = locked_decisions(instance, c)
    bounded, c_bound = view_for_bound(instance, c, goal)
    proof = Solve(bounded, c_bound, locks, options.goal, (), watch, timings)
    small = _reduced(instance, c, locks, options)
    c = small.c
    proof.offer_bound(gross_bound(c_bound, weights_of(bounded, c_bound, goal)))
    inner = watch.child(maximise=goal not in MINIMISED)
    unphased = Solve(instance, view_for_search(c), small.locks, options.goal, (), inner, timings)
    bounding = Bounding(proof)
    best: PhasedPlan | None = None

    def build() -> PhasedPlan | None:
        if unphased.x is None:
            return best
        plan = build_in_phases(unphased, instance, c, earliest, asked_first(instance, unphased), watch)
        if plan is not None:
            watch.offer_plan(sign_of(goal) * plan.value)
        return better(best, plan)

    def build_and_bound() -> None:
        nonlocal best
        best = proof.timed("phase", build)
        bounding.begin()

    search = _find_plans(unphased, build_and_bound)
    plans = Plans(unphased, search)
    unphased.timed(
        "restarts", lambda: plans.run_for(PHASED_SHARE * unphased.watch.remaining(), PHASED_SEARCHES)
    )
    best = proof.timed("phase", build)
    if best is not None:
        proof.value = best.value
    use_time_left(proof, bounding, Plans(proof, None))
    return Result(
        stop=watch.stop_reason(),
        solution=None if best is None else plan_from_values(instance, c, best.values),
        objective=None if best is None else sign_of(goal) * best.value,
        bound=watch.bound,
        maximise=watch.maximise,
        goal=options.goal,
        engine="fast",
        trace=tuple(watch.trace),
        timings=timings,
        certificate=watch.certificate,
        notes=(*left_out_by_fast(instance), *_why_ended(proof)),
    )


def _watch_of(goal: str, watch: Watch, seconds: float) -> Watch:
    return watch.child(seconds=seconds, maximise=goal not in MINIMISED)


def _lane_periods(c: Coefficients) -> int:
    return len(c.corridor_ids) * len(c.quality_ids) * len(c.days)

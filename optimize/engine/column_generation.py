"""Linear relaxation of a programme with many columns per candidate, by generating its columns.

Only few columns of such a programme matter to its relaxation.  A restricted relaxation over some
columns gives row multipliers; these price *all* columns; the columns that would improve it are
added until none is left.  Weak duality gives a proven bound from the multipliers of every round
(`certificate.dual_bound`), so the loop may stop early and is still right.

A programme over the columns closest to the relaxation, with every candidate's plainest column
("do nothing") and nothing else, then gives plans; it grows until a plan is close to the bound.
What cannot move in any better plan is fixed by its reduced cost, and the rest solved as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from optimize.engine.certificate import dual_bound, linear_certificate
from optimize.engine.choice import LagrangianBound, solve_from_multipliers
from optimize.engine.choice_structure import find_structure, group_rows
from optimize.engine.core import Relaxation, solve_by_core
from optimize.engine.highs import MilpOutcome, solve_lp, solve_milp
from optimize.engine.stopping import Watch
from optimize.milp import Milp
from optimize.result import StopReason, relative_gap

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_MOST_ROUNDS = 60
_FIRST_PER_GROUP = 3
_ADDED_PER_GROUP = 3
# The relaxation is close enough when it is this share of the wanted gap from its bound.
_SHARE_OF_GAP = 0.25
# Multipliers of a sample of every fourth candidate choose the first columns, those of a sample of the
# sample its own, down to this many; rows that tie few candidates do not scale.
_SAMPLE = 600
_SAMPLE_STRIDE = 4
_SAMPLE_GAP = 1e-3
_FEW_CANDIDATES = 24
_FIRST_CORE = 8_000
# With more candidates than this a core holds only those the relaxation is undecided about, with so many
# columns of each.
_MANY_CANDIDATES = 800
_NEAR_COLUMNS = 12
_UNDECIDED = 200
# With more candidates than this the multipliers of a sample are taken for all, and so many of the
# least decided candidates solved around the others.
_MOST_IN_RELAXATION = 30_000
_UNDECIDED_OF_MANY = 5_000
_MOST_IN_SAMPLE = 12_000
_ROOM_IN_BROKEN_ROWS = 2.0
_SHARE_OF_ROUND = 0.3
# Neighbourhoods: a share of the candidates is free, with this many columns, for as many nodes.
_NEIGHBOURHOOD_SHARE = 0.25
_NEIGHBOURHOOD_COLUMNS = 3_000
_NEIGHBOURHOOD_NODES = 200
_FRUITLESS_ROUNDS = 6
_CORE_GROWTH = 2
_CORE_NODES = 500
# What is left after fixing is solved as a whole below this many columns.
_CLOSE_BELOW = 30_000
# Below this many columns the solver's cuts on the whole programme tighten the bound: how much of the
# time neighbourhoods have before, and how much of what is then left the cuts have.
_TIGHTEN_BELOW = 120_000
_SHARE_BEFORE_TIGHTENING = 0.3
_SHARE_OF_TIGHTENING = 0.9
# Price of breaking a row while too few columns are there, relative to the largest value of a column;
# raised while rows that could hold break.
_BREAKING = 10.0
_PRICE_RAISES = 4
_UNBROKEN = 1e-6
# Rows that miss each other by less than this share of their coefficients are left to branch and cut.
_PROOF = 1e-5


def solve_by_columns(
    milp: Milp,
    group: IntArray,
    watch: Watch,
    start: FloatArray | None = None,
    row_multipliers: FloatArray | None = None,
) -> MilpOutcome:
    """Solve ``milp``; same contract as `highs.solve_milp`.

    ``group`` as in `relax_by_columns`; ``row_multipliers``, shape (m,), of a similar programme choose
    the first columns.
    """
    if len(np.unique(group[group >= 0])) > _MOST_IN_RELAXATION:
        around = _solve_around_sample(milp, group, watch, start)
        if around is not None:
            return around
    inside = None if row_multipliers is None else _best_columns(milp, group, row_multipliers)
    return _solve_relaxed(milp, group, watch, relax_by_columns(milp, group, watch, inside), start)


def _solve_relaxed(
    milp: Milp, group: IntArray, watch: Watch, found: ColumnRelaxation, start: FloatArray | None
) -> MilpOutcome:
    if found.infeasible:
        return MilpOutcome(StopReason.INFEASIBLE, None, None, None)
    relaxed = found.relaxation
    if relaxed is None:
        return solve_by_core(milp, watch, start)
    best = start if start is not None and milp.violation(start) <= 1e-6 else None
    if best is not None:
        watch.offer_plan(milp.value(best))
    if len(np.unique(group[group >= 0])) > _MANY_CANDIDATES:
        best = _search_undecided(milp, group, watch, relaxed, best)
        structure = None if found.row_duals is None else find_structure(milp)
        if structure is not None and found.row_duals is not None:
            bound = LagrangianBound(structure)
            bound.others = relaxed.x[structure.others]
            prices = structure.linking_multipliers(found.row_duals)
            return solve_from_multipliers(milp, bound, prices, watch, best)
    plainest = _plainest(milp, group)
    ranked = np.sort(relaxed.distance[milp.integral])
    size = _FIRST_CORE
    while not watch.must_stop and not watch.gap_reached:
        left = milp.integral & (milp.upper > milp.lower)
        if best is not None:
            left &= relaxed.loss <= abs(relaxed.bound - milp.value(best)) * (1 + 1e-9) + 1e-9
        whole = size >= len(ranked) or (best is not None and int(left.sum()) <= _CLOSE_BELOW)
        reach = np.inf if whole else ranked[size]
        free = ~milp.integral | (left & (relaxed.distance <= reach))
        if not whole:
            free |= plainest
        best = _search(milp, watch, relaxed, free, best, whole)
        if whole:
            break
        tighten = size == _FIRST_CORE and len(ranked) <= _TIGHTEN_BELOW
        if best is not None and not watch.must_stop and not watch.gap_reached:
            share = _SHARE_BEFORE_TIGHTENING if tighten else 1.0
            part = watch.child(seconds=share * watch.remaining(), plans=True)
            best = _improve(milp, group, part, relaxed, best)
        if best is not None and tighten and not watch.gap_reached:
            every = ~milp.integral | (milp.upper > milp.lower)
            best = _search(milp, watch, relaxed, every, best, whole=True, share=_SHARE_OF_TIGHTENING)
        size *= _CORE_GROWTH
    if best is None and not watch.must_stop:
        return solve_milp(milp, watch)
    return _outcome(milp, watch, best)


def _row_sizes(milp: Milp) -> FloatArray:
    entries = sp.coo_array(milp.matrix)
    size = np.zeros(milp.num_rows)
    np.maximum.at(size, entries.coords[0], np.abs(entries.data))
    return np.maximum(size, 1e-9)


def _improve(milp: Milp, group: IntArray, watch: Watch, relaxed: Relaxation, best: FloatArray) -> FloatArray:
    """Re-optimise random shares of the candidates, the others held, until rounds bear no fruit."""
    random = np.random.default_rng(watch.options.seed)
    names = np.unique(group[group >= 0])
    fruitless = 0
    while fruitless < _FRUITLESS_ROUNDS and not watch.must_stop and not watch.gap_reached:
        some = random.choice(names, max(int(len(names) * _NEIGHBOURHOOD_SHARE), 1), replace=False)
        own = np.isin(group, some)
        ranked = np.sort(relaxed.distance[own])
        reach = ranked[min(_NEIGHBOURHOOD_COLUMNS, len(ranked)) - 1]
        free = ~milp.integral | (own & ((relaxed.distance <= reach) | (best > 0.5)))
        part = watch.child(seconds=0.25 * watch.remaining(), gap=0.1 * watch.gap, plans=True)
        rest = milp.restricted(free, best)
        outcome = solve_milp(rest, part, best[free], max_nodes=_NEIGHBOURHOOD_NODES)
        fruitless += 1
        if outcome.x is not None:
            found = best.copy()
            found[free] = outcome.x
            gain = milp.value(found) - milp.value(best)
            if abs(gain) > 1e-7 * abs(milp.value(best)) and (gain > 0) == milp.maximise:
                best, fruitless = found, 0
    return best


def _search(
    milp: Milp,
    watch: Watch,
    relaxed: Relaxation,
    free: BoolArray,
    best: FloatArray | None,
    whole: bool,
    share: float = 1.0,
) -> FloatArray | None:
    """Best plan with the columns that are not ``free`` at their relaxed value (whole) or at zero.

    ``share``: of the time left that a whole programme may take.

    ``whole``: no better plan has other columns, so the bound found is one of ``milp``.
    """
    idle = np.clip(0.0, milp.lower, milp.upper)
    held = np.where(free, 0.0, np.round(relaxed.x) if whole else idle)
    fits = best is not None and bool((np.abs(best - held)[~free] < 0.5).all())
    share = share if whole else 0.3
    part = watch.child(seconds=share * watch.remaining(), plans=True)
    part.gap = watch.gap * (1.0 if whole else 0.2)
    outcome = solve_milp(
        milp.restricted(free, held),
        part,
        best[free] if best is not None and fits else None,
        max_nodes=None if whole else _CORE_NODES,
    )
    if whole and best is None and outcome.bound is not None:
        watch.offer_bound(outcome.bound)
    elif whole and best is not None:
        value = milp.value(best)
        if outcome.stop is StopReason.INFEASIBLE:
            watch.offer_bound(value)  # nothing better than the plan in hand is left
        elif outcome.bound is not None:
            bounds = (outcome.bound, value)
            watch.offer_bound(max(bounds) if milp.maximise else min(bounds))
    if outcome.x is None:
        return best
    found = held.copy()
    found[free] = outcome.x
    if best is None:
        return found
    gain = milp.value(found) - milp.value(best)
    return found if (gain > 0) == milp.maximise else best


def _solve_around_sample(
    milp: Milp, group: IntArray, watch: Watch, start: FloatArray | None
) -> MilpOutcome | None:
    """Bound and plan from the multipliers of a sample; None: these leave no room for a plan.

    At the multipliers most candidates have one clearly best column.  They keep it; the least
    decided ones, and enough of those in rows that this breaks, are a programme of their own under
    what the others leave of every row.  Its multipliers know the true sides, so they bound the
    whole better than the sample's; with them the same is done once more.
    """
    prices = sampled_multipliers(milp, group, watch)
    number = _UNDECIDED_OF_MANY
    solved: tuple[Milp, BoolArray, FloatArray, ColumnRelaxation] | None = None
    settled = False
    while prices is not None and not watch.must_stop:
        before = watch.bound
        watch.offer_certificate(linear_certificate(milp, prices))
        after = watch.bound
        if solved is not None and before is not None and after is not None:
            settled = abs(before - after) <= _SHARE_OF_GAP * watch.gap * abs(after)
        if settled:
            break
        held, undecided = _decided(milp, group, prices, number)
        if int(undecided.sum()) > _MOST_IN_RELAXATION:
            break
        free = ~milp.integral | (group < 0) | undecided[group]
        rest, rows = milp.restriction(free, held)
        own = group[free]
        inside = (own < 0) | _plainest(rest, own) | _best_columns(rest, own, prices[rows])
        part = watch.child(seconds=_SHARE_OF_ROUND * watch.remaining())
        found = relax_by_columns(rest, own, part, inside)
        if found.row_duals is None:
            number *= _CORE_GROWTH
            continue
        solved = rest, free, held, found
        prices = prices.copy()
        prices[rows] = found.row_duals
    if solved is None:
        return None
    rest, free, held, found = solved
    part = watch.child(plans=True)
    outcome = _solve_relaxed(rest, group[free], part, found, None if start is None else start[free])
    if outcome.x is None:
        return None
    x = held.copy()
    x[free] = outcome.x
    if start is not None and (milp.value(start) > milp.value(x)) == milp.maximise:
        x = start
    return _outcome(milp, watch, x)


def _decided(milp: Milp, group: IntArray, prices: FloatArray, number: int) -> tuple[FloatArray, BoolArray]:
    """Each candidate's best column at ``prices``, as a point (n,), and who had better stay undecided.

    Undecided are the ``number`` candidates whose second best column is least worse, and of those
    that use a broken row as many as take up twice what is too much.
    """
    sign = 1.0 if milp.maximise else -1.0
    worth = sign * (milp.cost - milp.matrix.T @ prices)
    two = _best_of_group(worth, group, milp.upper > milp.lower, 2)
    leading = np.r_[True, group[two[1:]] != group[two[:-1]]]
    first, second = two[leading], two[~leading]
    num_groups = int(group.max()) + 1
    best = np.full(num_groups, np.nan)
    best[group[first]] = worth[first]
    lead = np.full(num_groups, np.inf)
    lead[group[second]] = best[group[second]] - worth[second]
    # Leaving an optional candidate out is worth nothing.
    optional = _optional(milp, group)
    lead = np.where(optional, np.minimum(lead, np.abs(best)), lead)
    held = np.clip(np.zeros(milp.num_columns), milp.lower, milp.upper)
    held[first] = np.where(optional[group[first]] & (worth[first] < 0), 0.0, 1.0)
    undecided = np.zeros(num_groups, dtype=np.bool_)
    undecided[np.argsort(lead, kind="stable")[:number]] = True
    use = milp.matrix @ held
    for row in np.flatnonzero((use > milp.row_upper + _UNBROKEN) | (use < milp.row_lower - _UNBROKEN)):
        start, end = milp.matrix.indptr[row], milp.matrix.indptr[row + 1]
        columns, amounts = milp.matrix.indices[start:end], milp.matrix.data[start:end]
        owners = group[columns]
        inside = owners >= 0
        if use[row] > milp.row_upper[row]:
            # Who uses the row now can use less of it.
            change = amounts * held[columns]
            missing = use[row] - milp.row_upper[row]
        else:
            # Who could use the row more.
            change = amounts * (1.0 - held[columns])
            missing = milp.row_lower[row] - use[row]
        inside &= change > 0
        names, place = np.unique(owners[inside], return_inverse=True)
        most = np.zeros(len(names))
        np.maximum.at(most, place, change[inside])
        order = np.argsort(lead[names], kind="stable")
        enough = int(np.searchsorted(np.cumsum(most[order]), _ROOM_IN_BROKEN_ROWS * missing)) + 1
        undecided[names[order[:enough]]] = True
    return held, undecided


def _optional(milp: Milp, group: IntArray) -> BoolArray:
    """Candidates of which no column needs to be chosen; shape (candidates,)."""
    optional = np.ones(int(group.max()) + 1, dtype=np.bool_)
    rows = group_rows(milp, milp.integral & (milp.lower == 0) & (milp.upper <= 1))
    asked = rows[milp.row_lower[rows] >= 1]
    optional[group[milp.matrix.indices[milp.matrix.indptr[asked]]]] = False
    return optional


def _search_undecided(
    milp: Milp, group: IntArray, watch: Watch, relaxed: Relaxation, best: FloatArray | None
) -> FloatArray | None:
    """A plan that differs from the relaxation only where it is undecided; None: not found in time.

    With many candidates and few rows a vertex of the relaxation has hardly more fractional
    candidates than rows that bind; a few more, nearly undecided, make room for whole ones.  More
    and more are free, while that pays.
    """
    movable = milp.integral & (milp.upper > milp.lower)
    near = np.zeros(milp.num_columns, dtype=np.bool_)
    near[_best_of_group(-relaxed.distance, group, movable, _NEAR_COLUMNS)] = True
    near |= relaxed.x > _UNBROKEN
    fractional = np.minimum(relaxed.x - milp.lower, milp.upper - relaxed.x) > _UNBROKEN
    num_groups = int(group.max(initial=-1)) + 1
    # How much the second best column of each candidate costs.
    two = _best_of_group(-relaxed.distance, group, movable, 2)
    doubt = np.full(num_groups, -np.inf)
    np.maximum.at(doubt, group[two], relaxed.distance[two])
    doubt[group[fractional & (group >= 0)]] = -1.0
    order = np.argsort(doubt, kind="stable")
    order = order[doubt[order] > -np.inf]
    number = int((doubt[order] < 0).sum()) + _UNDECIDED
    # A plan within the gap of the bound ends everything.
    side = -1.0 if milp.maximise else 1.0
    target = relaxed.bound + side * 0.98 * watch.gap * abs(relaxed.bound) if watch.gap > 0 else None
    least = _SHARE_OF_GAP * watch.gap * abs(relaxed.bound)
    whole = np.where(milp.integral, np.round(relaxed.x), relaxed.x)
    while not watch.must_stop and not watch.gap_reached:
        chosen = np.zeros(num_groups, dtype=np.bool_)
        chosen[order[:number]] = True
        free = ~milp.integral | (near & (group >= 0) & chosen[group])
        held = np.where(free, 0.0, whole)
        agrees = best is not None and bool((np.abs(best - held)[~free] < 0.5).all())
        part = watch.child(seconds=0.3 * watch.remaining(), plans=True, gap=0.2 * watch.gap)
        start = best[free] if best is not None and agrees else None
        outcome = solve_milp(milp.restricted(free, held), part, start, target, max_nodes=_CORE_NODES)
        before = None if best is None else milp.value(best)
        if outcome.x is not None:
            found = held.copy()
            found[free] = outcome.x
            if before is None or (milp.value(found) > before) == milp.maximise:
                best = found
        worth_going_on = best is None or before is None or abs(milp.value(best) - before) > least
        if number >= len(order) or not worth_going_on:
            break
        number *= _CORE_GROWTH
    return best


def _outcome(milp: Milp, watch: Watch, x: FloatArray | None) -> MilpOutcome:
    objective = None if x is None else milp.value(x)
    bound = watch.bound
    if objective is not None:
        watch.offer_plan(objective)
        if bound is not None:
            bound = max(bound, objective) if milp.maximise else min(bound, objective)
    gap = relative_gap(objective, bound)
    reached = gap is not None and gap <= watch.gap
    return MilpOutcome(StopReason.GAP_REACHED if reached else watch.stop_reason(), x, objective, bound)


@dataclass(frozen=True)
class ColumnRelaxation:
    """What generating columns found out about a relaxation.

    Attributes
    ----------
    relaxation : None where the rows cannot all hold, or time ran out.
    infeasible : True: proven by weak duality that no point keeps all rows.
    inside : shape (n,), the columns generated; a programme over these alone is a good restriction.
    row_duals : shape (m,), of the relaxation.
    """

    relaxation: Relaxation | None
    infeasible: bool
    inside: BoolArray
    row_duals: FloatArray | None = None


@dataclass(frozen=True)
class _Generated:
    """End of one run of generation: the restricted relaxation solved last."""

    x: FloatArray
    bound: float
    broken: float
    reduced: FloatArray
    row_duals: FloatArray
    inside: BoolArray
    ended: bool


def relax_by_columns(
    milp: Milp, group: IntArray, watch: Watch, inside: BoolArray | None = None
) -> ColumnRelaxation:
    """The relaxation of ``milp`` over few of its columns, proven for all of them.

    Parameters
    ----------
    group : shape (n,), candidate of each column; -1: the column is always kept.
    inside : shape (n,), columns to begin with; None: the best of each candidate.
    """
    if inside is None:
        prices = sampled_multipliers(milp, group, watch)
        if prices is None:
            inside = _first_columns(milp, group)
        else:
            inside = (group < 0) | _plainest(milp, group) | _best_columns(milp, group, prices)
    else:
        inside = inside | _first_columns(milp, group, 1)
    price = _BREAKING * max(float(np.abs(milp.cost).max(initial=0.0)), 1.0)
    for _ in range(_PRICE_RAISES):
        found = _generate(milp, group, watch, inside, price)
        if found is None:
            break
        inside = found.inside
        if found.broken <= _UNBROKEN:
            return ColumnRelaxation(_read_off(milp, found), False, inside, found.row_duals)
        if not found.ended:
            break
        # Rows break at this price: because they cannot all hold, or because the price is too low.
        infeasible, inside = prove_infeasible(milp, group, watch, inside)
        if infeasible:
            return ColumnRelaxation(None, True, inside)
        price *= _BREAKING**2
    return ColumnRelaxation(None, False, inside)


def prove_infeasible(
    milp: Milp, group: IntArray, watch: Watch, inside: BoolArray | None = None
) -> tuple[bool, BoolArray]:
    """Whether multipliers prove that no point keeps all rows, and the columns generated on the way.

    Without an objective, any multipliers with a positive bound on "minimise 0" are such a proof
    (Farkas).  False: the rows can hold together, or time ran out.
    """
    aimless = milp.with_objective(np.zeros(milp.num_columns), maximise=False)
    inside = _first_columns(milp, group) if inside is None else inside
    found = _generate(aimless, group, watch.child(maximise=False), inside, 1.0, until_above=_PROOF)
    if found is None:
        return False, inside
    return found.bound > _PROOF, found.inside


def _generate(
    milp: Milp,
    group: IntArray,
    watch: Watch,
    inside: BoolArray,
    price: float,
    until_above: float | None = None,
) -> _Generated | None:
    """Rounds of restricted relaxation and pricing; None: not one relaxation was solved in time.

    Parameters
    ----------
    price : of breaking a row by its largest coefficient.
    until_above : a bound above this ends the rounds, and so does an unbroken point; None: rounds go
        on until no column improves the relaxation by enough.
    """
    sign = 1.0 if milp.maximise else -1.0
    movable = milp.upper > milp.lower
    by_column = sp.csc_array(milp.matrix)
    size = _row_sizes(milp)
    inside = inside.copy()
    found: _Generated | None = None
    for _ in range(_MOST_ROUNDS):
        outcome = solve_lp(_with_breaking(milp, by_column, inside, size, price), watch.child(bounds=False))
        if outcome.x is None or outcome.row_duals is None or outcome.objective is None:
            return found
        bound, reduced = dual_bound(milp, outcome.row_duals)
        num_inside = int(inside.sum())
        broken = float(outcome.x[num_inside:].sum())
        x = np.where(milp.lower > 0, milp.lower, 0.0)
        x[inside] = outcome.x[:num_inside]
        if until_above is None:
            watch.offer_bound(bound)
        attractive = sign * reduced
        fresh = _best_of_group(attractive, group, movable & ~inside & (attractive > 1e-9), _ADDED_PER_GROUP)
        if until_above is None:
            value = outcome.objective
            close = abs(bound - value) <= _SHARE_OF_GAP * watch.gap * max(abs(value), 1.0)
            ended = (close and broken <= _UNBROKEN) or not len(fresh)
        else:
            ended = bound > until_above or broken <= _UNBROKEN or not len(fresh)
        found = _Generated(x, bound, broken, reduced, outcome.row_duals, inside.copy(), ended)
        if ended or watch.must_stop:
            if until_above is None:
                watch.offer_certificate(linear_certificate(milp, outcome.row_duals))
            return found
        inside[fresh] = True
    return found


def _read_off(milp: Milp, found: _Generated) -> Relaxation:
    attractive = found.reduced if milp.maximise else -found.reduced
    low = found.x - milp.lower < 0.5
    high = milp.upper - found.x < 0.5
    loss = np.where(low & (attractive < 0), -attractive, np.where(high & (attractive > 0), attractive, 0.0))
    return Relaxation(found.x, found.bound, np.abs(found.reduced), loss)


def _first_columns(milp: Milp, group: IntArray, count: int = _FIRST_PER_GROUP) -> BoolArray:
    """Columns of no candidate, and of each candidate the plainest and the ``count`` best."""
    gain = milp.cost if milp.maximise else -milp.cost
    inside = group < 0
    movable = milp.upper > milp.lower
    inside[_best_of_group(gain + _tie(len(gain)), group, movable, count)] = True
    return np.asarray(inside | _plainest(milp, group))


def _best_columns(milp: Milp, group: IntArray, row_duals: FloatArray) -> BoolArray:
    """The columns of each candidate that are worth most at given multipliers."""
    sign = 1.0 if milp.maximise else -1.0
    worth = sign * (milp.cost - milp.matrix.T @ row_duals)
    inside = np.zeros(milp.num_columns, dtype=np.bool_)
    inside[_best_of_group(worth, group, milp.upper > milp.lower, _FIRST_PER_GROUP)] = True
    return inside


def sampled_multipliers(milp: Milp, group: IntArray, watch: Watch) -> FloatArray | None:
    """Row multipliers of the relaxation over evenly chosen candidates, the sides scaled down to them.

    Rows that tie few candidates do not scale and are left out (multiplier 0); candidates' own rows
    too.  None: there are not many more candidates than the sample would have, or time ran out.
    """
    names, number = np.unique(group[group >= 0], return_inverse=True)
    stride = min(max(_SAMPLE_STRIDE, len(names) // _MOST_IN_SAMPLE), len(names) // _SAMPLE)
    if stride < 2:
        return None
    place = np.full(milp.num_columns, -1, dtype=np.int64)
    place[group >= 0] = number
    columns = np.flatnonzero((place < 0) | (place % stride == 0))
    own_group = np.where(place[columns] >= 0, place[columns] // stride, -1)
    rows, own = _wide_rows(milp, group)
    part = milp.matrix[:, columns]
    used = np.flatnonzero((rows | own) & (np.diff(sp.csr_array(part).indptr) > 0))
    fraction = (int(own_group.max()) + 1) / len(names)
    scale = np.where(own[used], 1.0, fraction)
    box = np.where(own_group < 0, fraction, 1.0)
    sample = replace(
        milp,
        cost=milp.cost[columns],
        matrix=sp.csr_array(sp.csr_array(part)[used]),
        row_lower=milp.row_lower[used] * scale,
        row_upper=milp.row_upper[used] * scale,
        lower=milp.lower[columns] * box,
        upper=milp.upper[columns] * box,
        integral=milp.integral[columns],
        column_names=None,
        row_names=None,
    )
    found = relax_by_columns(sample, own_group, watch.child(seconds=0.2 * watch.remaining(), gap=_SAMPLE_GAP))
    if found.row_duals is None:
        return None
    prices = np.zeros(milp.num_rows)
    prices[used] = np.where(own[used], 0.0, found.row_duals)
    return prices


def _wide_rows(milp: Milp, group: IntArray) -> tuple[BoolArray, BoolArray]:
    """Rows that tie many candidates, and rows of one candidate only; shape (m,) each."""
    matrix = milp.matrix
    row_of = np.repeat(np.arange(milp.num_rows), np.diff(matrix.indptr))
    owner = group[matrix.indices]
    # Entries of a row lie in the order of the columns, so candidates change where the owner does.
    fresh = np.r_[True, (owner[1:] != owner[:-1]) | (row_of[1:] != row_of[:-1])] & (owner >= 0)
    tied = np.bincount(row_of[fresh], minlength=milp.num_rows)
    return tied > _FEW_CANDIDATES, tied == 1


def candidates_of(milp: Milp) -> IntArray:
    """Candidate of each column, shape (n,): the row by which one of its columns at most is chosen."""
    rows = group_rows(milp, milp.integral & (milp.lower == 0) & (milp.upper <= 1))
    group = np.full(milp.num_columns, -1, dtype=np.int64)
    part = milp.matrix[rows]
    group[part.indices] = np.repeat(np.arange(len(rows)), np.diff(part.indptr))
    return group


def _tie(size: int) -> FloatArray:
    """So small that it only tells equal columns apart."""
    return np.asarray(np.arange(size, 0, -1) * 1e-12)


def _best_of_group(worth: FloatArray, group: IntArray, usable: BoolArray, count: int) -> IntArray:
    """Up to ``count`` usable columns of the largest worth in each group."""
    columns = np.flatnonzero(usable & (group >= 0))
    columns = columns[np.lexsort((-worth[columns], group[columns]))]
    own = group[columns]
    starts = np.flatnonzero(np.r_[True, own[1:] != own[:-1]]) if len(own) else np.zeros(0, np.int64)
    rank = np.arange(len(own)) - np.repeat(starts, np.diff(np.r_[starts, len(own)]))
    return columns[rank < count]


def _plainest(milp: Milp, group: IntArray) -> BoolArray:
    """Columns with the fewest entries of each group: usually "do nothing"."""
    entries = np.bincount(milp.matrix.indices, minlength=milp.num_columns).astype(np.float64)
    chosen = np.zeros(milp.num_columns, dtype=np.bool_)
    chosen[_best_of_group(-entries, group, milp.upper > milp.lower, 1)] = True
    return chosen


def _with_breaking(
    milp: Milp, by_column: sp.csc_array, inside: BoolArray, size: FloatArray, price: float
) -> Milp:
    """The restricted relaxation; rows may break at a price, so that it always has a point.

    Breaking costs ``price`` for as much as the row's largest coefficient, shape (m,) ``size``.
    """
    columns = np.flatnonzero(inside)
    rows_low = np.flatnonzero(np.isfinite(milp.row_lower))
    rows_high = np.flatnonzero(np.isfinite(milp.row_upper))
    number = len(rows_low) + len(rows_high)
    rows = np.concatenate([rows_low, rows_high])
    amount = np.concatenate([size[rows_low], -size[rows_high]])
    slack = sp.csc_array((amount, (rows, np.arange(number))), shape=(milp.num_rows, number))
    n = len(columns)
    return replace(
        milp,
        cost=np.concatenate([milp.cost[columns], np.full(number, -price if milp.maximise else price)]),
        matrix=sp.csr_array(sp.hstack([by_column[:, columns], slack], format="csr")),
        lower=np.concatenate([milp.lower[columns], np.zeros(number)]),
        upper=np.concatenate([milp.upper[columns], np.full(number, np.inf)]),
        integral=np.zeros(n + number, dtype=np.bool_),
        column_names=None,
        row_names=None,
    )

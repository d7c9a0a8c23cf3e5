"""Compiled subproblems of the Lagrangian relaxation of a network design, pipes and sources: see `network_bound`.

A pipe's water is counted twice: by who gets it (commodities) and by who made it (origins).  Both
counts of a flow F are equal, so its worth is the sum of two concave functions of F, each a list of
gains filled from the best downwards.

No function here makes an array, so that none counts references (`network_search.entry`); all that is
called per lane is inlined and hence in this file, as numba's cache on disk does not see changes in
other files.
"""

from __future__ import annotations

from typing import cast

import numba
import numpy as np

from optimize.engine.network_bound_data import Chosen, Ends, Fixed, Lanes, Places, Priced, Scratch, Tangents
from optimize.engine.network_data import Floats, Ints
from optimize.engine.network_search import Function, entry, inlined

OUTWARD = 1.0 + 1e-12  # so that rounding never passes over a pipe that pays
NUM_TANGENTS = 3  # enough for 98 in 100 pipes that do not pay
TAKEN, HALVINGS = 0.6, 4  # of what a size lacks to pay, a tangent there may take; how closely it does


def summing(function: Function) -> Function:
    """As `entry`, with sums in any order, which lets several terms be added at a time."""
    decorate = numba.njit(
        cache=True, nogil=True, error_model="numpy", _nrt=False, fastmath={"reassoc", "nsz", "contract"}
    )
    return cast(Function, decorate(function))


@inlined
def _look(
    x: Floats, first: int, last: int, lanes: Lanes, amount: Floats, rise: Floats, part: Floats
) -> tuple[float, float]:
    """Note rises and amounts of the entries of a lane; lowest and highest rise of those with an amount."""
    lowest, top = np.inf, -np.inf
    for j in range(first, last):
        own, most = x[lanes.at_head[j]] - x[lanes.at_tail[j]], amount[lanes.item[j]]
        rise[j - first], part[j - first] = own, most
        if most > 0.0:
            lowest = own if own < lowest else lowest
            top = own if own > top else top
    return lowest, top


@inlined
def _gain_above(level: float, sign: float, count: int, rise: Floats, part: Floats) -> float:
    """What entries gain above a level in all."""
    total = 0.0
    for j in range(count):
        gain = sign * rise[j] - level
        total += (gain if gain > 0.0 else 0.0) * part[j]
    return total


@inlined
def _may_pay(
    lane: int, corridor: int, x: Floats, lanes: Lanes, origins: Lanes, fixed: Fixed, priced: Priced,
    tangents: Tangents, scratch: Scratch,
) -> bool:  # fmt: skip
    """Whether some size of a pipe could be worth its cost, told without sorting what it carries.

    A flow F is worth at most (a + b - fare) F and what commodities gain above a and origins above b, for any a
    and b: zero or the highest gain of the one kind with nothing of the other, and the tangents of the lane.
    """
    first, last = lanes.first[lane], lanes.first[lane + 1]
    first_origin, last_origin = origins.first[lane], origins.first[lane + 1]
    cost, capacity, within = priced.pipe[lane], fixed.size_capacity[lane], scratch.value
    for s in range(len(cost)):
        within[s] = 0.0
    for t in range(len(x)):
        rise, origin_rise = scratch.rise[t], scratch.origin_rise[t]
        part, origin_part = scratch.part, scratch.origin_part
        fare, fare_back = priced.fare[t, corridor, 0], priced.fare[t, corridor, 1]
        lowest, top = _look(
            x[t], first_origin, last_origin, origins, fixed.limit[t], origin_rise, origin_part
        )
        best_origin, best_origin_back = top - fare, -lowest - fare_back
        scratch.best_origin[t, 0], scratch.best_origin[t, 1] = best_origin, best_origin_back
        lowest, top = _look(x[t], first, last, lanes, fixed.amount[t], rise, part)
        scratch.best[t, 0], scratch.best[t, 1] = top, -lowest
        highest, highest_back = max(top + best_origin, 0.0), max(best_origin_back - lowest, 0.0)
        everything = _gain_above(-best_origin, 1.0, last - first, rise, part)
        everything_back = _gain_above(-best_origin_back, -1.0, last - first, rise, part)
        for s in range(len(cost)):
            flow = capacity[s]
            worth, worth_back = min(everything, highest * flow), min(everything_back, highest_back * flow)
            scratch.most[s], scratch.most_back[s] = worth, worth_back
            if not fixed.one_way:
                scratch.most[s] = min(worth + worth_back, max(highest, highest_back) * flow)
        for k in range(NUM_TANGENTS):
            above, above_origin = tangents.commodity[t, lane, 0, k], tangents.origin[t, lane, 0, k]
            pay = max(above + above_origin - fare, 0.0)
            more = _gain_above(above, 1.0, last - first, rise, part)
            more += _gain_above(above_origin, 1.0, last_origin - first_origin, origin_rise, origin_part)
            above, above_origin = tangents.commodity[t, lane, 1, k], tangents.origin[t, lane, 1, k]
            pay_back = max(above + above_origin - fare_back, 0.0)
            more_back = _gain_above(above, -1.0, last - first, rise, part)
            more_back += _gain_above(above_origin, -1.0, last_origin - first_origin, origin_rise, origin_part)
            if fixed.one_way:
                for s in range(len(cost)):
                    scratch.most[s] = min(scratch.most[s], pay * capacity[s] + more)
                    scratch.most_back[s] = min(scratch.most_back[s], pay_back * capacity[s] + more_back)
            else:
                for s in range(len(cost)):
                    scratch.most[s] = min(
                        scratch.most[s], max(pay, pay_back) * capacity[s] + more + more_back
                    )
        for s in range(len(cost)):
            within[s] += max(scratch.most[s], scratch.most_back[s]) if fixed.one_way else scratch.most[s]
    if not np.isfinite(cost[0]) or cost[0] < 0.0:
        return True
    pays = False
    for s in range(len(cost)):
        pays = pays or not within[s] * OUTWARD <= cost[s]
    return pays


@inlined
def _line(t: int, d: int, touch: float, capacity: float, scratch: Scratch) -> float:
    """Worth at a capacity on the tangent to the worths of flows that touches them at the flow ``touch``."""
    n, at = scratch.num_points[t, d], 0
    while at < n and scratch.flow[t, d, at] < touch:
        at += 1
    worth = _worth_before(t, d, at, n, touch, scratch)
    if at < n:
        worth += scratch.pay[t, d, at] * (capacity - touch)
    return worth


@inlined
def _tangent(touch: float, capacity: float, fixed: Fixed, scratch: Scratch) -> float:
    """The same over all seasons."""
    worth = 0.0
    for t in range(len(scratch.best)):
        if scratch.num_points[t, 0] + scratch.num_points[t, 1] == 0:
            continue
        if fixed.one_way:
            worth += max(_line(t, 0, touch, capacity, scratch), _line(t, 1, touch, capacity, scratch))
        else:
            worth += _line(t, 2, touch, capacity, scratch)
    return worth


@inlined
def _pay_at(t: int, d: int, flow: float, scratch: Scratch) -> float:
    """What the last unit of a flow gains."""
    n, at = scratch.num_points[t, d], 0
    while at < n and scratch.flow[t, d, at] < flow:
        at += 1
    pay: float = scratch.pay[t, d, at] if at < n else 0.0
    return pay


@inlined
def _gain_at(t: int, d: int, fare: float, pay: float, scratch: Scratch) -> float:
    """Gain of a commodity, between the last that is worth ``pay`` and the next, where with its origin it is worth that."""
    n, at = scratch.num_points[t, d], 0
    gain: float = scratch.best[t, d]
    if n == 0:
        return gain if np.isfinite(gain) else 0.0
    while at < n and scratch.pay[t, d, at] > pay:
        at += 1
    origin_gain = scratch.next_origin[t, d]
    if at < n:
        origin_gain = scratch.pay[t, d, at] + fare - scratch.last_gain[t, d, at]
    gain = pay + fare - origin_gain
    return min(gain, scratch.last_gain[t, d, at - 1]) if at > 0 else gain


@inlined
def _remember(
    lane: int, corridor: int, capacity: Floats, cost: Floats, fixed: Fixed, priced: Priced, tangents: Tangents,
    scratch: Scratch,
) -> None:  # fmt: skip
    """Keep tangents of a lane that does not pay, from small sizes to large, each at as large a flow as tells enough."""
    sizes, seasons, value = len(cost), len(scratch.best), scratch.value
    s, touch = 0, 0.0
    for k in range(NUM_TANGENTS):
        while s < sizes and (
            not np.isfinite(cost[s]) or not capacity[s] > 0.0
            or (k > 0 and _tangent(touch, capacity[s], fixed, scratch) <= cost[s] + (1.0 - TAKEN) * value[s])
        ):  # fmt: skip
            s += 1
        if s < sizes:
            touch, beyond, most = capacity[s], 0.0, cost[s] + (1.0 - TAKEN) * value[s]
            for after in range(s + 1, sizes):
                if _tangent(capacity[after], capacity[s], fixed, scratch) > most:
                    beyond = capacity[after]
                    break
                touch = capacity[after]
            for _ in range(HALVINGS if beyond > 0.0 else 0):
                middle = 0.5 * (touch + beyond)
                if _tangent(middle, capacity[s], fixed, scratch) > most:
                    beyond = middle
                else:
                    touch = middle
            s += 1
        for t in range(seasons):
            flows = scratch.num_points[t, 0] + scratch.num_points[t, 1] > 0
            for d in range(2):
                fare, pay = priced.fare[t, corridor, d], 0.0
                if flows:
                    pay = _pay_at(t, d if fixed.one_way else 2, touch, scratch)
                gain = _gain_at(t, d, fare, pay, scratch)
                tangents.commodity[t, lane, d, k], tangents.origin[t, lane, d, k] = gain, pay + fare - gain


@inlined
def _list_best(
    d: int, first: int, order: Places, item: Places, amount: Floats, rise: Floats, floor: float, entries: Ints,
    gain: Floats, slot: Ints,
) -> int:  # fmt: skip
    """List entries whose gain lies above ``floor``, best first; how many there are.

    Multipliers move little from one evaluation to the next, so the last ``order`` by falling rise is
    nearly the new one; direction 1 reads it from its end.
    """
    count, last, sign = 0, len(order) - 1, 1.0 - 2.0 * d
    for i in range(len(order)):
        place = i if d == 0 else last - i
        j = order[place]
        own = sign * rise[j]
        if own > floor and amount[item[first + j]] > 0.0:
            slot[count] = place
            k = count
            while k > 0 and gain[k - 1] < own:
                gain[k], entries[k] = gain[k - 1], entries[k - 1]
                k -= 1
            gain[k], entries[k] = own, j
            count += 1
    for i in range(count):
        order[slot[i]] = entries[i]
    return count


@inlined
def _merge(
    n: int, gains: Floats, entries: Ints, item: Places, amount: Floats,
    m: int, origin_gains: Floats, origin_entries: Ints, origin_item: Places, limit: Floats,
    fare: float, top: float, flows: Floats, worths: Floats, pays: Floats, last_gains: Floats,
) -> tuple[int, float]:  # fmt: skip
    """Break points of the best worth of a flow, up to where one more unit no longer pays or fits (``top``).

    Returns how many there are, and the gain of the origin that comes next.
    """
    i, j, count, flow, worth, left, room = -1, -1, 0, 0.0, 0.0, 0.0, 0.0
    while flow < top:
        if left <= 0.0:
            i += 1
            if i >= n:
                break
            left = amount[item[entries[i]]]
        if room <= 0.0:
            j += 1
            if j >= m:
                break
            room = limit[origin_item[origin_entries[j]]]
        gain = gains[i] + origin_gains[j] - fare
        if gain <= 0.0:
            break
        part = min(left, room)
        flow += part
        worth += gain * part
        flows[count], worths[count], pays[count], last_gains[count] = flow, worth, gain, gains[i]
        count += 1
        left -= part
        room -= part
    return count, origin_gains[j] if 0 <= j < m else -1e300


@inlined
def _merge_directions(t: int, scratch: Scratch) -> None:
    """Flows ahead and back share a pipe: break points of their worth together."""
    i, j, count, flow, worth, ahead = 0, 0, 0, 0.0, 0.0, 0.0
    n, m = scratch.num_points[t, 0], scratch.num_points[t, 1]
    while i < n or j < m:
        if j >= m or (i < n and scratch.pay[t, 0, i] >= scratch.pay[t, 1, j]):
            part = scratch.flow[t, 0, i] - (scratch.flow[t, 0, i - 1] if i > 0 else 0.0)
            gain = scratch.pay[t, 0, i]
            ahead += part
            i += 1
        else:
            part = scratch.flow[t, 1, j] - (scratch.flow[t, 1, j - 1] if j > 0 else 0.0)
            gain = scratch.pay[t, 1, j]
            j += 1
        flow += part
        worth += gain * part
        scratch.flow[t, 2, count], scratch.worth[t, 2, count], scratch.pay[t, 2, count] = flow, worth, gain
        scratch.ahead[t, count] = ahead
        count += 1
    scratch.num_points[t, 2] = count


@inlined
def _add_worths(t: int, d: int, capacity: Floats, scratch: Scratch, ways: int, value: Floats) -> None:
    """Add to the value of each size the best worth of a flow within it, the better of ``ways`` directions."""
    at, other, before = 0, 0, 0.0
    n, m = scratch.num_points[t, d], scratch.num_points[t, 1]
    for s in range(len(capacity)):
        if capacity[s] < before:
            at, other = 0, 0
        before = capacity[s]
        while at < n and scratch.flow[t, d, at] < before:
            at += 1
        worth = _worth_before(t, d, at, n, before, scratch)
        if ways == 2:
            while other < m and scratch.flow[t, 1, other] < before:
                other += 1
            worth = max(worth, _worth_before(t, 1, other, m, before, scratch))
        value[s] += worth


@inlined
def _worth_before(t: int, d: int, at: int, n: int, capacity: float, scratch: Scratch) -> float:
    """Worth of a flow as large as ``capacity``, which lies before break point ``at``."""
    flow, worth = 0.0, 0.0
    if at > 0:
        flow, worth = scratch.flow[t, d, at - 1], scratch.worth[t, d, at - 1]
    if at < n:
        worth += scratch.pay[t, d, at] * (capacity - flow)
    return worth


@inlined
def _flow_within(t: int, d: int, capacity: float, scratch: Scratch) -> tuple[float, float, float]:
    """Best flow in all and ahead within a capacity, and its worth."""
    n, at = scratch.num_points[t, d], 0
    while at < n and scratch.flow[t, d, at] < capacity:
        at += 1
    worth = _worth_before(t, d, at, n, capacity, scratch)
    if at == n:
        flow = scratch.flow[t, d, n - 1] if n > 0 else 0.0
        return flow, scratch.ahead[t, n - 1] if n > 0 else 0.0, worth
    before = scratch.flow[t, d, at - 1] if at > 0 else 0.0
    ahead_before = scratch.ahead[t, at - 1] if at > 0 else 0.0
    share = (capacity - before) / (scratch.flow[t, d, at] - before)
    return capacity, ahead_before + share * (scratch.ahead[t, at] - ahead_before), worth


@inlined
def _fill(
    t: int, d: int, flow: float, first: int, lanes: Lanes, amount: Floats, first_origin: int, origins: Lanes, limit: Floats,
    scratch: Scratch, slope: Floats,
) -> None:  # fmt: skip
    """Write what a flow carries, by who gets it and who made it, to the subgradient."""
    sign = 1.0 - 2.0 * d
    left = flow
    for i in range(scratch.num_entries[t, d]):
        if left <= 0.0:
            break
        j = first + scratch.entry[t, d, i]
        part = min(left, amount[lanes.item[j]])
        left -= part
        slope[lanes.at_head[j]] += sign * part
        slope[lanes.at_tail[j]] -= sign * part
    left = flow
    for i in range(scratch.num_origins[t, d]):
        if left <= 0.0:
            break
        j = first_origin + scratch.origin[t, d, i]
        part = min(left, limit[origins.item[j]])
        left -= part
        slope[origins.at_head[j]] += sign * part
        slope[origins.at_tail[j]] -= sign * part


@summing
def fill_pipes(
    first_corridor: int, last_corridor: int, x: Floats, lanes: Lanes, origins: Lanes, order: Places,
    origin_order: Places, fixed: Fixed, priced: Priced, tangents: Tangents, chosen: Chosen, slope: Floats,
    scratch: Scratch,
) -> tuple[float, float]:  # fmt: skip
    """Best size of every lane of some corridors, and what it carries; worth, and sum of sizes of its terms.

    ``x`` (T, M) are the multipliers of conservation; the subgradient is added to ``slope``.  The orders,
    (T, entries), keep the entries of each lane by falling rise, as last seen.
    """
    total, gross = 0.0, 0.0
    num_grades = len(chosen.size) // chosen.carried.shape[1]
    seasons, value, num_points = len(x), scratch.value, scratch.num_points
    for corridor in range(first_corridor, last_corridor):
        chosen.carried[:, corridor] = 0.0
        for lane in range(corridor * num_grades, (corridor + 1) * num_grades):
            chosen.size[lane] = 0
            if not _may_pay(lane, corridor, x, lanes, origins, fixed, priced, tangents, scratch):
                continue
            first, last = lanes.first[lane], lanes.first[lane + 1]
            first_origin, last_origin = origins.first[lane], origins.first[lane + 1]
            cost, capacity = priced.pipe[lane], fixed.size_capacity[lane]
            top = 0.0
            for s in range(len(cost)):
                value[s] = -cost[s]
                if np.isfinite(cost[s]):
                    top = max(top, capacity[s])
            for t in range(seasons):
                for d in range(2):
                    num_points[t, d] = 0
                    best, best_origin = scratch.best[t, d], scratch.best_origin[t, d]
                    if not best + best_origin > 0.0:
                        continue
                    fare = priced.fare[t, corridor, d]
                    gain, entries = scratch.gain[t, d], scratch.entry[t, d]
                    origin_gain, origin_entries = scratch.origin_gain[t, d], scratch.origin[t, d]
                    n = _list_best(
                        d, first, order[t, first:last], lanes.item, fixed.amount[t], scratch.rise[t],
                        -best_origin, entries, gain, scratch.slot,
                    )  # fmt: skip
                    m = _list_best(
                        d, first_origin, origin_order[t, first_origin:last_origin], origins.item, fixed.limit[t],
                        scratch.origin_rise[t], fare - best, origin_entries, origin_gain, scratch.slot,
                    )  # fmt: skip
                    scratch.num_entries[t, d], scratch.num_origins[t, d] = n, m
                    num_points[t, d], scratch.next_origin[t, d] = _merge(
                        n, gain, entries, lanes.item[first:last], fixed.amount[t],
                        m, origin_gain, origin_entries, origins.item[first_origin:last_origin], fixed.limit[t],
                        fare, top, scratch.flow[t, d], scratch.worth[t, d], scratch.pay[t, d],
                        scratch.last_gain[t, d],
                    )  # fmt: skip
                if num_points[t, 0] + num_points[t, 1] == 0:
                    continue
                if fixed.one_way:
                    _add_worths(t, 0, capacity, scratch, 2, value)
                else:
                    _merge_directions(t, scratch)
                    _add_worths(t, 2, capacity, scratch, 1, value)
            size, best_value = 0, -np.inf
            for s in range(len(cost)):
                if value[s] > best_value:
                    size, best_value = s, value[s]
            chosen.size[lane] = size
            total += best_value
            gross += abs(best_value) + 2.0 * abs(cost[size])
            if size == 0 and best_value == 0.0:
                _remember(lane, corridor, capacity, cost, fixed, priced, tangents, scratch)
                continue
            for t in range(seasons):
                if num_points[t, 0] + num_points[t, 1] == 0:
                    continue
                if fixed.one_way:
                    flow, _, worth = _flow_within(t, 0, capacity[size], scratch)
                    back, _, worth_back = _flow_within(t, 1, capacity[size], scratch)
                    ahead = flow if worth >= worth_back else 0.0
                    back = 0.0 if worth >= worth_back else back
                else:
                    flow, ahead, _ = _flow_within(t, 2, capacity[size], scratch)
                    back = flow - ahead
                chosen.carried[t, corridor] += ahead + back
                if ahead > 0.0:
                    _fill(
                        t,
                        0,
                        ahead,
                        first,
                        lanes,
                        fixed.amount[t],
                        first_origin,
                        origins,
                        fixed.limit[t],
                        scratch,
                        slope[t],
                    )
                if back > 0.0:
                    _fill(
                        t,
                        1,
                        back,
                        first,
                        lanes,
                        fixed.amount[t],
                        first_origin,
                        origins,
                        fixed.limit[t],
                        scratch,
                        slope[t],
                    )
    return total, gross


@entry
def fill_sources(
    x: Floats, ends: Ends, order: Places, fixed: Fixed, priced: Priced, chosen: Chosen, slope: Floats,
    scratch: Scratch,
) -> tuple[float, float]:  # fmt: skip
    """Best step of every source and grade, and what it makes."""
    total, gross = 0.0, 0.0
    num_sources, num_grades, num_steps = priced.step.shape
    seasons, value = len(x), scratch.value
    for p in range(num_sources):
        for g in range(num_grades):
            chosen.step[p, g] = 0
            chosen.made[:, p, g] = 0.0
            own = ends.origin_at[p, g]
            if own < 0:
                continue
            first, last = ends.source_first[p * num_grades + g], ends.source_first[p * num_grades + g + 1]
            cost, capacity = priced.step[p, g], fixed.step_capacity[p, g]
            top = 0.0
            for s in range(num_steps):
                value[s] = -cost[s]
                if np.isfinite(cost[s]):
                    top = max(top, capacity[s])
            for t in range(seasons):
                for j in range(first, last):
                    scratch.rise[t, j - first] = x[t, ends.source_at[j]]
                floor = priced.unit[t, p, g] - x[t, own]
                n = _list_best(
                    0, first, order[t, first:last], ends.source_item, fixed.amount[t], scratch.rise[t], floor,
                    scratch.entry[t, 0], scratch.gain[t, 0], scratch.slot,
                )  # fmt: skip
                scratch.num_entries[t, 0] = n
                most = min(top, fixed.source_limit[t, p, g])
                flow, worth, count = 0.0, 0.0, 0
                for i in range(n):
                    part = min(fixed.amount[t, ends.source_item[first + scratch.entry[t, 0, i]]], most - flow)
                    if part > 0.0:
                        gain = scratch.gain[t, 0, i] - floor
                        flow += part
                        worth += gain * part
                        scratch.flow[t, 0, count], scratch.worth[t, 0, count] = flow, worth
                        scratch.pay[t, 0, count] = gain
                        count += 1
                scratch.num_points[t, 0] = count
                _add_worths(t, 0, capacity, scratch, 1, value[:num_steps])
            step, best_value = 0, -np.inf
            for s in range(num_steps):
                if value[s] > best_value:
                    step, best_value = s, value[s]
            chosen.step[p, g] = step
            total += best_value
            gross += abs(best_value) + 2.0 * abs(cost[step])
            for t in range(seasons):
                left = min(capacity[step], fixed.source_limit[t, p, g])
                for i in range(scratch.num_entries[t, 0]):
                    if left <= 0.0:
                        break
                    j = first + scratch.entry[t, 0, i]
                    part = min(left, fixed.amount[t, ends.source_item[j]])
                    left -= part
                    slope[t, ends.source_at[j]] += part
                    slope[t, own] += part
                    chosen.made[t, p, g] += part
    return total, gross

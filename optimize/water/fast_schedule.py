"""In which year each work of a design is built: users in the order of what they are worth, as budgets allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from optimize.water.changes import NO_STAGE, Revision
from optimize.water.coefficients import Coefficients
from optimize.water.fast_goal import Weights
from optimize.water.fast_layout import FlowModel, pipe_row
from optimize.water.fast_network import cheapest_mix
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray, Investments

KINDS = ("pipe", "module", "connection", "cascade")
_ROUNDING_CNY = 1e-6


@dataclass(frozen=True)
class Works:
    """Works of a plan in one list: by kind.

    Attributes
    ----------
    kind, row : (W,) position in `KINDS` and row of the kind's investments.
    paid_cny : (W, F) by source under the mix chosen, ``mix`` (W,).
    contracted : (W,) stage in which it stands by contract, `NO_STAGE` where there is none.
    in_force : (W,) stage in which it is in force and can stay, `NO_STAGE` where it is not.
    earliest : (W,) stage before which a lock does not let it be built.
    of_user : works each piped user needs.
    value : (U,) yearly worth of a user's water at the plan's volumes, CNY/a; 0 if not served.
    """

    kind: IntArray
    row: IntArray
    paid_cny: FloatArray
    mix: IntArray
    contracted: IntArray
    in_force: IntArray
    earliest: IntArray
    of_user: dict[int, IntArray]
    value: FloatArray


def works_of(
    c: Coefficients, model: FlowModel, x: FloatArray, weights: Weights, revision: Revision,
    earliest: Mapping[str, IntArray],
) -> Works:  # fmt: skip
    """Works of an unphased plan; a user needs whatever water of its own qualities comes through.

    Parameters
    ----------
    revision : of the instance with all its stages.
    earliest : by kind, the stage before which each investment may not be built.
    """
    shape = c.shape
    pipe, module, connected = (
        at[x[columns] > 0.5]
        for at, columns in (
            (model.pipe_at, model.pipe), (model.module_at, model.module), (model.connected_at, model.connected)
        )
    )  # fmt: skip
    cascade = np.flatnonzero(x[model.cascade] > 0.5)
    rows: list[IntArray] = [pipe_row(c, pipe), module, connected, cascade]
    kind = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    first = np.cumsum([0, *(len(row) for row in rows)])
    pipe_at = np.full((shape["E"], shape["G"]), -1, np.int64)
    pipe_at[pipe[:, 0], pipe[:, 1]] = np.arange(len(pipe))
    makers: Makers = {}
    for start, node, quality in (
        (first[1], c.plant_node[c.module_plant[module]], c.module_quality[module]),
        (first[3], c.user_node[c.cascade_user[cascade]], c.cascade_quality[cascade]),
    ):
        for k, place in enumerate(zip(node.tolist(), quality.tolist(), strict=True)):
            makers.setdefault(place, []).append(int(start) + k)
    yearly = x[model.delivered] @ c.days
    taken = np.zeros((shape["U"], shape["G"]))
    np.add.at(taken, (c.demand_user[model.delivered_at[:, 0]], model.delivered_at[:, 1]), yearly)
    inflows = _inflows(c, model, x)
    of_user = {
        int(u): np.unique([
            first[2] + k,
            *(
                work
                for g in np.flatnonzero(taken[u] > 0)
                for work in _upstream(int(c.user_node[u]), int(g), inflows, pipe_at, makers)
            ),
        ]).astype(np.int64)
        for k, u in enumerate(connected)
    }  # fmt: skip
    worth = yearly * (
        weights.per_m3(c.delivery, delivers=True)[model.delivered_at[:, 0]]
        + _worth_of_making(c, model, x, weights)[model.delivered_at[:, 1]]
    )
    value = np.bincount(c.demand_user[model.delivered_at[:, 0]], weights=worth, minlength=shape["U"])
    paid, mix = _paid(c, kind, np.concatenate(rows))
    contracted, in_force = (
        np.concatenate([of(name, own) for name, own in zip(KINDS, rows, strict=True)])
        for of in (revision.frozen_stage, revision.own_stage)
    )
    put_off = np.concatenate([earliest[name][own] for name, own in zip(KINDS, rows, strict=True)])
    return Works(
        kind,
        np.concatenate(rows),
        paid,
        mix,
        contracted,
        in_force,
        put_off,
        of_user,
        value.astype(np.float64),
    )


def _worth_of_making(c: Coefficients, model: FlowModel, x: FloatArray, weights: Weights) -> FloatArray:
    """Mean worth of making a m3 of each quality in the plan, (G,)."""
    p, g = model.product_at.T
    made = x[model.product] @ c.days
    total = np.bincount(g, weights=made, minlength=len(c.quality_ids))
    spent = np.bincount(g, weights=made * weights.per_m3(c.production)[p, g], minlength=len(total))
    return np.asarray(spent / np.maximum(total, 1e-9))


Inflows = dict[tuple[int, int], list[tuple[int, int]]]
"""Corridors, and the nodes they come from, by the node and quality that they bring water to."""


def _inflows(c: Coefficients, model: FlowModel, x: FloatArray) -> Inflows:
    net = x[model.flow[0]] - x[model.flow[1]]
    found: Inflows = {}
    for sign, start, end in ((1, c.corridor_from, c.corridor_to), (-1, c.corridor_to, c.corridor_from)):
        for lane in np.flatnonzero((sign * net > 1e-9).any(axis=1)):
            e, g = (int(i) for i in model.lane_at[lane])
            found.setdefault((int(end[e]), g), []).append((e, int(start[e])))
    return found


Makers = dict[tuple[int, int], list[int]]
"""Works that make a quality at a node."""


def _upstream(node: int, g: int, inflows: Inflows, pipe_at: IntArray, makers: Makers) -> set[int]:
    """Works that water of a quality passes on its ways to a node."""
    works: set[int] = set()
    seen, waiting = {node}, [node]
    while waiting:
        at = waiting.pop()
        works.update(makers.get((at, g), ()))
        for e, before in inflows.get((at, g), ()):
            works.add(int(pipe_at[e, g]))
            if before not in seen:
                seen.add(before)
                waiting.append(before)
    return works - {-1}


def investments_of_kinds(c: Coefficients) -> tuple[Investments, ...]:
    """In the order of KINDS."""
    return c.pipes, c.modules, c.connections, c.cascades


def _paid(c: Coefficients, kind: IntArray, row: IntArray) -> tuple[FloatArray, IntArray]:
    """Money by source (W, F) and the mix (W,) that burdens the budgets least."""
    paid = np.zeros((len(kind), len(c.budgets.sources)))
    mix = np.zeros(len(kind), np.int64)
    total = c.budgets.amount_cny.sum(axis=1)
    for k, investments in enumerate(investments_of_kinds(c)):
        at = np.flatnonzero(kind == k)
        source = c.budgets.source_of(investments.district)
        mix[at] = cheapest_mix(investments, total, source)[row[at]]
        for share in range(3):
            np.add.at(
                paid, (at, source[row[at], share]), investments.paid_cny[mix[at], row[at], share]
            )  # fmt: skip
    return paid, mix


def _order_of(works: Works, first: IntArray) -> list[int]:
    """Users by worth for their fair share of the works' money; those of ``first`` before all others."""
    users = list(works.of_user)
    used_by = np.zeros(len(works.kind))
    for u in users:
        used_by[works.of_user[u]] += max(works.value[u], 1.0)
    money = works.paid_cny.sum(axis=1)
    ratio = {
        u: works.value[u]
        / max(
            float((money[works.of_user[u]] / used_by[works.of_user[u]]).sum()) * max(works.value[u], 1.0), 1.0
        )
        for u in users
    }
    early = set(first.tolist())
    return sorted(users, key=lambda u: (u not in early, -ratio[u], u))


def held_by_contract(works: Works) -> IntArray:
    """Only contracts keep their stage, (W,); `NO_STAGE`: it is chosen."""
    return works.contracted


def held_in_force(works: Works) -> IntArray:
    """All that is in force keeps its stage, (W,), but for users whose other works come later than they."""
    held = np.where(works.contracted != NO_STAGE, works.contracted, works.in_force)
    for own in works.of_user.values():
        (connection,) = own[works.kind[own] == KINDS.index("connection")]
        late = (held[own] == NO_STAGE) | (held[own] > held[connection])
        if late.any() and works.contracted[connection] == NO_STAGE:
            held[connection] = NO_STAGE
    return held


def schedule(
    instance: Instance, c: Coefficients, works: Works, first: IntArray, without: set[int], held: IntArray
) -> IntArray | None:
    """Stage in which each work is built, (W,), the number of stages where it is never.

    Parameters
    ----------
    held : (W,) stage that is settled, `NO_STAGE` where it is chosen here, no earlier than the first open one.

    Returns
    -------
    None: there is not the money for what is held.
    """
    num_stages = len(c.stage_weight)
    settled = held != NO_STAGE
    stage = np.where(settled, held, num_stages)
    waiting = [u for u in _order_of(works, first) if u not in without]
    shared = np.unique(np.concatenate([np.zeros(0, np.int64), *works.of_user.values()]))
    alone = np.setdiff1d(np.arange(len(works.kind)), shared)  # what locks and counts ask for
    share = instance.parameters.carry_over_share
    due, kept_back = _due(c, works, held, share)
    carried = np.zeros(len(c.budgets.sources))
    for s in range(num_stages):
        free = c.budgets.amount_cny[:, s] + carried - due[s]
        if (free < kept_back[s] - _ROUNDING_CNY).any():
            return None
        left = free - kept_back[s]
        if s >= c.revision.first_open:
            left, waiting = _build(works, stage, alone, waiting, s, left, num_stages)
            if share < 1.0:
                later = c.budgets.amount_cny[:, s + 1 :].sum(axis=1) - due[s + 1 :].sum(axis=0)
                left = _begin_next(works, stage, waiting, num_stages, s, left, later)
        left = left + kept_back[s]
        carried = share * np.where(np.isfinite(left), left, 0.0)
    complete = [own for own in works.of_user.values() if (stage[own] < num_stages).all()]
    begun_only = np.setdiff1d(shared, np.concatenate([np.zeros(0, np.int64), *complete]))
    stage[begun_only[works.contracted[begun_only] == NO_STAGE]] = num_stages
    return stage


def _due(c: Coefficients, works: Works, held: IntArray, share: float) -> tuple[FloatArray, FloatArray]:
    """What is settled takes of each source by stage, and what each stage has to leave for later ones, (S, F)."""
    due = np.zeros((len(c.stage_weight), len(c.budgets.sources)))
    settled = np.flatnonzero(held != NO_STAGE)
    np.add.at(due, held[settled], works.paid_cny[settled])
    kept_back = np.zeros_like(due)
    for s in reversed(range(len(due) - 1)):
        missing = np.maximum(due[s + 1] + kept_back[s + 1] - c.budgets.amount_cny[:, s + 1], 0.0)
        kept_back[s] = missing / share if share > 0.0 else 0.0
    return due, kept_back


def _build(
    works: Works, stage: IntArray, alone: IntArray, waiting: list[int], now: int, left: FloatArray, never: int
) -> tuple[FloatArray, list[int]]:
    """Build now what there is money for; ``stage`` is changed in place.

    Returns
    -------
    what is left, (F,), and the users that still wait.
    """
    for work in alone:
        if stage[work] == never and works.earliest[work] <= now and (works.paid_cny[work] <= left).all():
            stage[work] = now
            left = left - works.paid_cny[work]
    still = []
    for u in waiting:
        own = works.of_user[u]
        new = own[stage[own] == never]
        money = works.paid_cny[new].sum(axis=0)
        stands_later = (stage[own] > now) & (stage[own] < never)
        put_off = (works.earliest[new] > now).any()
        if (money <= left).all() and not stands_later.any() and not put_off:
            stage[new] = now
            left = left - money
        else:
            still.append(u)
    return left, still


def _begin_next(
    works: Works,
    stage: IntArray,
    waiting: list[int],
    never: int,
    now: int,
    left: FloatArray,
    later: FloatArray,
) -> FloatArray:
    """Build what there is money for of the next user, where the rest can follow; money that would lapse.

    Returns what is left, (F,); ``stage`` is changed in place.
    """
    for u in waiting:
        new = works.of_user[u][stage[works.of_user[u]] == never]
        if (works.paid_cny[new].sum(axis=0) > left + later).any() or (works.earliest[new] > now + 1).any():
            continue
        for work in new[:-1]:
            if works.earliest[work] <= now and (works.paid_cny[work] <= left).all():
                stage[work] = now
                left = left - works.paid_cny[work]
        break
    return left

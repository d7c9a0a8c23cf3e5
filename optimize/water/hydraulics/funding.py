"""Who pays a repaired plan: other mixes of sources, where those of the plan overrun a purse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optimize.engine.highs import solve_milp
from optimize.engine.stopping import Watch
from optimize.milp import MilpBuilder
from optimize.programme import SolveOptions
from optimize.water.coefficients import Coefficients, derive_coefficients
from optimize.water.hydraulics.network import FloatArray
from optimize.water.instance import Instance
from optimize.water.investments import Investments
from optimize.water.recount_money import recount_ledger
from optimize.water.solution import Solution

_SECONDS = 5.0


def refunded(instance: Instance, solution: Solution) -> Solution | None:
    """The plan with the fewest works paid by another mix, so that every purse holds; None where there is none.

    Built in one stage only: what may be carried over from year to year is left to the plan itself.
    """
    c = derive_coefficients(instance)
    if len(c.stage_weight) != 1 or not len(solution.funding):
        return None
    kinds: dict[str, Investments] = {
        "module": c.modules, "pipe": c.pipes, "connection": c.connections, "tanker": c.tankers,
        "storage": c.storage, "cascade": c.cascades, "zld": c.zld,
    }  # fmt: skip
    works = list(zip(solution.funding["kind"], solution.funding["id"], solution.funding["mix"], strict=True))
    rows = [_row(instance, c, kind, name) for kind, name, _ in works]
    number = len(c.budgets.sources)
    spent = _spent(instance, solution, c)
    built, place, pays = MilpBuilder(maximise=False), [], []
    for (kind, _, mix), row in zip(works, rows, strict=True):
        own = kinds[kind]
        source = c.budgets.source_of(own.district)[row]
        paid = np.zeros((len(own.mixes), number))
        for m in range(len(own.mixes)):
            np.add.at(paid[m], source, own.paid_cny[m, row])
        now = own.mixes.index(mix)
        spent -= paid[now]
        agreed = bool(c.plan.agreed_mix(kind, row))
        free = np.full(len(own.mixes), 0.0 if agreed else 1.0)
        free[now] = 1.0
        changed = np.arange(len(own.mixes)) != now
        place.append(built.add_columns("mix", len(own.mixes), upper=free, cost=changed, integral=True))
        pays.append(paid)
    work = np.repeat(np.arange(len(place)), [len(columns) for columns in place])
    columns, amounts = np.concatenate(place), np.concatenate(pays)
    built.add_rows("one_mix", len(place), [(work, columns, 1.0)], lower=1.0, upper=1.0)
    purse = np.broadcast_to(np.arange(number), amounts.shape)
    room = c.budgets.amount_cny[:, 0] - spent
    built.add_rows("purse_holds", number, [(purse, columns[:, None], amounts / 1e4)], upper=room / 1e4)
    outcome = solve_milp(built.build(), Watch(SolveOptions(gap=0.0, time_limit_s=_SECONDS), maximise=False))
    if outcome.x is None:
        return None
    chosen = [
        kinds[kind].mixes[int(np.argmax(outcome.x[own]))]
        for (kind, _, _), own in zip(works, place, strict=True)
    ]
    return replace(solution, funding=solution.funding.assign(mix=chosen))


def _spent(instance: Instance, solution: Solution, c: Coefficients) -> FloatArray:
    """What each source pays now."""
    spent = np.zeros(len(c.budgets.sources))
    found = recount_ledger(instance, solution).spent
    at = [c.budgets.sources.index(name) for name in found["source"]]
    np.add.at(spent, at, found["amount_cny"].to_numpy(float))
    return spent


def _row(instance: Instance, c: Coefficients, kind: str, name: str) -> int:
    """Row of a work among the investments of its kind."""
    if kind == "pipe":
        corridor, quality, diameter = name.rsplit(":", 2)
        places = (
            c.corridor_ids.index(corridor),
            c.quality_ids.index(quality),
            c.diameter_ids.index(diameter),
        )
        return c.pipe_row(*places)
    if kind == "module":
        modules = instance.modules
        names = (modules["plant"] + ":" + modules["quality"] + ":" + modules["step"]).tolist()
        return names.index(name)
    table, key = {
        "connection": (instance.users, "user"), "tanker": (instance.users, "user"),
        "storage": (instance.storage_sites, "site"), "cascade": (instance.cascades, "cascade"), "zld": (instance.parks, "park"),
    }[kind]  # fmt: skip
    return table[key].tolist().index(name)

"""Smaller networks with the same optimum: what can be left out before anything is solved.

Every rule has its proof in its docstring, of the same form: from any plan that uses what is left out, a plan
without it follows that keeps every row and is worth no less.  What a lock, a contract, a plan in force or a
count (pilots, quota, parks) names by itself is never left out.  What is left keeps its place in the tables: a
reduced network is the same `Coefficients` with fewer periods and with `Offered` works, so that plans of it are
plans of the instance as they stand (`optimize.water.plan` gives merged periods their values back).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimize.water.coefficients import BoolArray, Coefficients, Offered, Reduction
from optimize.water.fast_locks import LockedDecisions
from optimize.water.flow_bounds import most_useful_m3_per_d
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray, Investments
from optimize.water.merged_periods import merge_periods
from optimize.water.useful_users import settled_corridors, spoken_of, useful_users


@dataclass(frozen=True)
class ReductionSettings:
    """Which rules are used."""

    periods: bool = True
    users: bool = True
    pipes: bool = True
    modules: bool = True

    @staticmethod
    def none() -> ReductionSettings:
        """No rule at all."""
        return ReductionSettings(periods=False, users=False, pipes=False, modules=False)


@dataclass(frozen=True)
class Removed:
    """How much was left out: periods, users' pipes and tankers, pipes (corridor, quality, diameter), modules.

    ``lanes`` are corridors by quality on which no pipe is left to be laid.
    """

    periods: int = 0
    users: int = 0
    tankers: int = 0
    lanes: int = 0
    pipes: int = 0
    modules: int = 0


@dataclass(frozen=True)
class Reduced:
    """A reduced network, its locks, and how much smaller it is."""

    c: Coefficients
    locks: LockedDecisions
    removed: Removed = Removed()


def reduce_network(
    instance: Instance, c: Coefficients, locks: LockedDecisions, goals: Sequence[str] = (),
    settings: ReductionSettings = ReductionSettings(),
) -> Reduced:  # fmt: skip
    """The network without what no best plan needs.

    Parameters
    ----------
    goals : what plans are compared by; where they are not known (``()``), only what holds for all is used.
    """
    small = merge_periods(c) if settings.periods else c
    period_of = np.arange(len(c.days)) if small.reduction is None else small.reduction.period_of
    offered = Offered.everything(c)
    if settings.users:
        offered = useful_users(instance, small, locks, goals, offered)
    small = replace(small, reduction=Reduction(c, offered, period_of))
    if settings.pipes:
        offered = replace(offered, pipe=useful_pipes(small, locks))
    if settings.modules:
        offered = replace(offered, module=useful_modules(instance, small, locks))
    small = replace(small, reduction=Reduction(c, offered, period_of))
    return Reduced(small, _narrowed(locks, offered), _removed(c, small, offered))


def _narrowed(locks: LockedDecisions, offered: Offered) -> LockedDecisions:
    return replace(
        locks,
        pipe_may=locks.pipe_may & offered.pipe,
        module_may=locks.module_may & offered.module,
        connected_may=locks.connected_may & offered.connected,
        tanker_may=locks.tanker_may & offered.tanker,
    )


def _removed(c: Coefficients, small: Coefficients, offered: Offered) -> Removed:
    return Removed(
        periods=len(c.days) - len(small.days),
        users=int((~offered.connected).sum()),
        tankers=int(((c.tanker_plant >= 0) & ~offered.tanker).sum()),
        lanes=int((~offered.pipe.any(axis=2)).sum()) if len(c.diameter_ids) else 0,
        pipes=int((~offered.pipe).sum()),
        modules=int((~offered.module).sum()),
    )


def useful_pipes(c: Coefficients, locks: LockedDecisions) -> BoolArray:
    """Pipes without those no best plan lays, (E, G, D).

    Proof.  No plan needs more flow on a corridor than `most_useful_m3_per_d`, less what an existing pipe carries.
    Where that is nothing, a plan is as good without the pipe.  A pipe wider than another that carries that
    much, and no cheaper in any year, for any purse, or in what prices recover, can be replaced by the other.
    """
    shape = locks.pipe_may.shape
    most = most_useful_m3_per_d(c).max(axis=2)
    room = np.maximum(most - c.existing_pipe_m3_per_d, 0.0)
    capacity = np.minimum(c.pipe_capacity_m3_per_d, room[:, :, None])
    useful = _without_dominated(c.pipes, capacity, c.pipe_capacity_m3_per_d, locks.pipe_may, shape)
    useful &= (room > 0)[:, :, None]
    return np.asarray(useful | settled_corridors(c, locks)[:, None, None])


def useful_modules(instance: Instance, c: Coefficients, locks: LockedDecisions) -> BoolArray:
    """Modules without those no best plan builds, (K,).

    Proof.  A plant makes no more of a quality than its effluent yields and users take, less what its standing
    works make; a larger module that is no cheaper than one that makes that much can be replaced by it.
    """
    shape = c.shape
    useful = np.einsum("qg,sqt->sgt", c.accepts.astype(float), c.demand_m3_per_d).max(axis=0)
    most = np.minimum(c.available_m3_per_d[:, None, :] * c.recovery[:, :, None], useful).max(axis=2)
    room = np.maximum(most - c.existing_treatment_m3_per_d, 0.0)
    kept = locks.module_must | spoken_of(c, "module", len(c.modules))
    open_module = np.ones(len(c.modules), bool)
    counted = instance.parameters.num_plants_exact > 0 or "W-UPGRADE" in instance.targets
    named = {int(plant) for plant in locks.any_module_of}
    named |= {project.position for project in locks.paired_projects if project.table == "plants"}
    key = c.module_plant * shape["G"] + c.module_quality
    for own in (np.flatnonzero(key == k) for k in np.unique(key)):
        p, g = c.module_plant[own[0]], c.module_quality[own[0]]
        if kept[own].any():
            continue
        size = c.module_capacity_m3_per_d[own]
        rows = _rows_of(c.modules, own)
        open_module[own] = _without_dominated(
            rows, np.minimum(size, room[p, g])[None], size, locks.module_may[own][None], (1, len(own))
        )[0]
        if room[p, g] <= 0 and not counted and int(p) not in named:
            open_module[own] = False
    return open_module


def _without_dominated(
    investments: Investments, useful: FloatArray, size: FloatArray, may: BoolArray, shape: tuple[int, ...]
) -> BoolArray:
    """Which of the sizes in the last axis are not larger, no more useful and no cheaper than another that may be built."""
    num = shape[-1]
    keep = np.ones(shape, bool)
    if not len(investments):  # only pipes that are there
        return keep
    prices = _prices(investments).reshape(-1, *shape)
    for larger in range(num):
        for smaller in range(num):
            if size[smaller] < size[larger]:
                no_cheaper = (prices[..., smaller] <= prices[..., larger]).all(axis=0)
                enough = useful[..., smaller] >= useful[..., larger]
                keep[..., larger] &= ~(may[..., smaller] & no_cheaper & enough)
    return keep


def _prices(investments: Investments) -> FloatArray:
    """Everything an investment costs anyone: (rows, n)."""
    return np.concatenate([
        investments.present_cost_cny,
        investments.yearly_cost_cny[None],
        investments.annual_capital_cny[None],
        investments.paid_cny.transpose(0, 2, 1).reshape(-1, len(investments)),
    ])  # fmt: skip


def _rows_of(investments: Investments, rows: IntArray) -> Investments:
    return replace(
        investments,
        capex_cny=investments.capex_cny[rows],
        yearly_cost_cny=investments.yearly_cost_cny[rows],
        life_years=investments.life_years[rows],
        present_cost_cny=investments.present_cost_cny[:, rows],
        annual_capital_cny=investments.annual_capital_cny[rows],
        paid_cny=investments.paid_cny[:, rows],
        district=investments.district[rows],
    )

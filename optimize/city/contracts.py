"""What is contracted in each programme has to be paid, whatever the budgets say."""

from __future__ import annotations

import numpy as np

from optimize.datacenter.solution import Solution as CentrePlan
from optimize.io.instance_folder import LoadedProgramme
from optimize.milp import FloatArray
from optimize.pv_siting.solution import Solution as PvPlan
from optimize.revision import FROZEN_STATES
from optimize.water.recount_money import due_by_contract


def contracts_cny(part: LoadedProgramme, sources: tuple[str, ...], years: tuple[int, ...]) -> FloatArray:
    """Public money that a programme's contracts take, by their checker's recount, shape (sources, years).

    Of a network that is built in one stage all stands in the base year (see `over_years`).
    """
    money = np.zeros((len(sources), len(years)))
    plan = part.data.tables["plan_in_force"]
    frozen = plan[plan["state"].isin(FROZEN_STATES)].reset_index(drop=True)
    if frozen.empty:
        return money
    instance = part.programme.load(part.data)
    if part.programme.recount_projects is None:
        paid = due_by_contract(instance)
    else:
        none, is_pv = frozen.iloc[:0], part.programme.name == "pv_siting"
        solution: object = PvPlan(frozen, none, none) if is_pv else CentrePlan(frozen, none)
        paid = part.programme.recount_projects(instance, solution).payments
    place = {source: row for row, source in enumerate(sources)}
    for source, year, amount in zip(paid["source"], paid["year"], paid["amount_cny"], strict=True):
        if source in place and int(year) in years:
            money[place[source], years.index(int(year))] += amount
    return money


def over_years(due_cny: FloatArray, room_cny: FloatArray) -> FloatArray:
    """What is due of each source at once, spread over the years as there is room, shape (sources, years).

    Parameters
    ----------
    due_cny : shape (sources,); room_cny : shape (sources, years).
    """
    total = room_cny.sum(axis=1, keepdims=True)
    even = np.full_like(room_cny, 1.0 / room_cny.shape[1])
    return np.asarray(
        due_cny[:, None] * np.where(total > 0, room_cny / np.where(total > 0, total, 1.0), even)
    )


def granted(budget_cny: FloatArray, contracts: FloatArray, carry_over_share: float) -> FloatArray:
    """Budgets, shape (sources, years), that contracts do not overrun.

    A year is granted what they need beyond its own money and all that the years before could leave it,
    were nothing else paid.
    """
    granted_cny, kept = budget_cny.copy(), np.zeros(len(budget_cny))
    for t in range(budget_cny.shape[1]):
        granted_cny[:, t] += np.maximum(contracts[:, t] - budget_cny[:, t] - kept, 0.0)
        kept = carry_over_share * (granted_cny[:, t] + kept - contracts[:, t])
    return granted_cny


def split_after_contracts(pool_cny: FloatArray, own_cny: FloatArray, contracts: FloatArray) -> FloatArray:
    """The pool split over the parts, shape (parts, sources, years): contracts first, the rest as ``own_cny``.

    In equal parts where the programmes have no budgets of their own.
    """
    due, total = contracts.sum(axis=0), own_cny.sum(axis=0)
    paid = contracts * np.minimum(1.0, pool_cny / np.where(due > 0, due, 1.0))
    share = np.where(total > 0, own_cny / np.where(total > 0, total, 1.0), 1.0 / len(own_cny))
    return np.asarray(paid + share * (pool_cny - paid.sum(axis=0)))

"""The yes/no investments of an instance as flat arrays: CAPEX, present cost by build year, who pays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.clauses import ClauseTarget
from optimize.finance import annuity_factor, discount_factor, present_cost_of_asset
from optimize.funding import SOURCE_CLASSES, mixes_of, split_capex
from optimize.water.in_force import PlanInForce
from optimize.water.instance import Instance, Parameters

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

DEFAULT_PAYER = {
    "module": "municipal",
    "pipe": "municipal",
    "storage": "municipal",
    "connection": "owner",
    "tanker": "owner",
    "cascade": "owner",
    "zld": "owner",
}
"""Project kinds, with the source class that pays where ``funding`` has no row for the kind."""

DEFAULT_MIX = "default"


@dataclass(frozen=True)
class Investments:
    """Investments of one kind; n of them, S build years, M funding mixes.

    Attributes
    ----------
    kind : key of DEFAULT_PAYER.
    capex_cny : shape (n,), CNY, paid in the year of building.
    yearly_cost_cny : shape (n,), CNY/a, from the year after building to the horizon.
    life_years : shape (n,), a.
    present_cost_cny : shape (S, n), CNY, of building in year s: annuities of CAPEX and yearly cost.
    annual_capital_cny : shape (n,), CNY/a, CAPEX times the capital recovery factor.
    mixes : names of the M mixes open to the kind.
    paid_cny : shape (M, n, 3), CNY, CAPEX paid by municipal, own district, owner under each mix.
    district : shape (n,), index of the district, -1 where there is none (its share is municipal).
    """

    kind: str
    capex_cny: FloatArray
    yearly_cost_cny: FloatArray
    life_years: FloatArray
    present_cost_cny: FloatArray
    annual_capital_cny: FloatArray
    mixes: tuple[str, ...]
    paid_cny: FloatArray
    district: IntArray

    def __len__(self) -> int:
        return len(self.capex_cny)


@dataclass(frozen=True)
class Budgets:
    """Money by source and build year: ``amount_cny`` has shape (F, S), inf where unlimited.

    ``sources`` are municipal, the districts in the order of their table, owner.  Where the instance
    is not phased, S = 1 and the amounts are summed over the investment years.
    """

    sources: tuple[str, ...]
    amount_cny: FloatArray

    def source_of(self, district: IntArray) -> IntArray:
        """Source index of municipal, district and owner shares: shape (n, 3)."""
        source = np.zeros((len(district), 3), dtype=np.int64)
        source[:, 1] = np.where(district < 0, 0, district + 1)
        source[:, 2] = len(self.sources) - 1
        return source


def num_stages(parameters: Parameters) -> int:
    """Build years that are told apart: all of them if phased, else one."""
    return parameters.num_years if parameters.phased else 1


def clause_stage(parameters: Parameters, target: ClauseTarget) -> int:
    """Stage at which a clause is looked at: what is built by its deadline counts."""
    last = num_stages(parameters) - 1
    if target.deadline_year is None:
        return last
    return min(target.deadline_year - parameters.base_year, last)


def derive_stage_weights(parameters: Parameters) -> FloatArray:
    """Present value of 1 CNY/a while stage s operates, shape (S,).

    What is built by year s works from year s + 1; the last stage works until the horizon.
    """
    stages = num_stages(parameters)
    rate, horizon = parameters.discount_rate, parameters.horizon_years
    weight = discount_factor(rate, np.arange(1, stages + 1))
    weight[-1] = annuity_factor(rate, horizon) - annuity_factor(rate, stages - 1)
    return weight


def derive_investments(
    instance: Instance,
    kind: str,
    capex_cny: FloatArray,
    life_years: FloatArray,
    yearly_cost_cny: FloatArray,
    district: IntArray,
    plan: PlanInForce,
) -> Investments:
    """Present costs and funding splits of the investments of one kind; of what is contracted as agreed."""
    parameters = instance.parameters
    rate, horizon = parameters.discount_rate, float(parameters.horizon_years)
    weight = derive_stage_weights(parameters)
    years_running = weight[::-1].cumsum()[::-1]
    capital = np.stack(
        [present_cost_of_asset(rate, life_years, float(year), horizon) for year in range(len(weight))]
    )
    mixes, paid = split_by_mix(instance.funding, kind, capex_cny)
    paid = plan.paid_as_agreed(kind, mixes, paid)
    return Investments(
        kind=kind,
        capex_cny=capex_cny,
        yearly_cost_cny=yearly_cost_cny,
        life_years=life_years,
        present_cost_cny=capital * capex_cny + years_running[:, None] * yearly_cost_cny,
        annual_capital_cny=capex_cny / annuity_factor(rate, life_years),
        mixes=mixes,
        paid_cny=paid,
        district=district,
    )


def split_by_mix(
    funding: pd.DataFrame, kind: str, capex_cny: FloatArray
) -> tuple[tuple[str, ...], FloatArray]:
    """Mixes open to ``kind`` and what each source class pays under them, shape (M, n, 3)."""
    mixes = mixes_of(funding, kind)
    if mixes:
        return tuple(mixes), np.stack([split_capex(funding, kind, mix, capex_cny) for mix in mixes])
    paid = np.zeros((1, len(capex_cny), 3))
    paid[0, :, SOURCE_CLASSES.index(DEFAULT_PAYER[kind])] = capex_cny
    return (DEFAULT_MIX,), paid


def derive_budgets(instance: Instance) -> Budgets:
    """Budgets by source and build year."""
    parameters = instance.parameters
    sources = ("municipal", *instance.districts["district"], "owner")
    amount = np.zeros((len(sources), parameters.num_years))
    row_of = {source: row for row, source in enumerate(sources)}
    for source, year, money in zip(
        instance.budgets["source"], instance.budgets["year"], instance.budgets["amount_cny"], strict=True
    ):
        if 0 <= year - parameters.base_year < parameters.num_years:
            amount[row_of[source], year - parameters.base_year] += money
    amount *= parameters.budget_scale
    if not (instance.budgets["source"] == "owner").any():
        amount[-1] = np.inf
    if not parameters.phased:
        amount = amount.sum(axis=1, keepdims=True)
    return Budgets(sources, amount)


def with_contracts(budgets: Budgets, due_cny: FloatArray, carry_over_share: float) -> Budgets:
    """Budgets that what is contracted does not overrun.

    A year is granted what its contracts need beyond its own money and all that the years before could leave
    it, were nothing else paid.

    Parameters
    ----------
    due_cny : (F, S) what contracts take.
    """
    amount = budgets.amount_cny.copy()
    kept = np.zeros(len(amount))
    for s in range(amount.shape[1]):
        amount[:, s] += np.maximum(due_cny[:, s] - amount[:, s] - kept, 0.0)
        left = amount[:, s] + kept - due_cny[:, s]
        kept = carry_over_share * np.where(np.isfinite(left), left, 0.0)
    return Budgets(budgets.sources, amount)


def due_by_contract(budgets: Budgets, kinds: Iterable[Investments], plan: PlanInForce) -> FloatArray:
    """What contracts take of each source and build year, (F, S)."""
    due = np.zeros_like(budgets.amount_cny)
    for investments in kinds:
        rows, at = plan.rows_of(investments.kind), plan.contracts(investments.kind)
        source = budgets.source_of(investments.district)[rows]
        for j, row, own in zip(at, rows, source, strict=True):
            mix = investments.mixes.index(plan.mix[j]) if plan.mix[j] in investments.mixes else 0
            np.add.at(due, (own, plan.stage[j]), investments.paid_cny[mix, row])
    return due


def index_of(names: Iterable[str], wanted: Iterable[str]) -> IntArray:
    """Position of each wanted name, -1 for the empty one."""
    position = {name: index for index, name in enumerate(names)}
    position[""] = -1
    return np.array([position[name] for name in wanted], dtype=np.int64)

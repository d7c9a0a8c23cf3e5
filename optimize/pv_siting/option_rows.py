"""(P2) Which layout is built when and paid by whom: rows of options, before locks and dominance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optimize.finance import present_cost_of_asset
from optimize.funding import mixes_of, split_capex
from optimize.pv_siting import economics as money
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.layouts import Layouts
from optimize.pv_siting.schema import EMC, HOT_WATER_PROJECT, OFFER, OWN_LEVEL
from optimize.pv_siting.site_codes import positions

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Rows:
    """Option columns, shape (n,); see `Options`."""

    layout: IntArray
    year: IntArray
    mix: IntArray
    municipal_cny: FloatArray
    district_cny: FloatArray
    owner_cny: FloatArray
    capex_cny: FloatArray
    npv_cny: FloatArray
    cost_cny: FloatArray

    def take(self, index: IntArray | BoolArray) -> Rows:
        return Rows(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def built_in(
    instance: Instance, layouts: Layouts, figures: money.Economics, own: IntArray, year: int
) -> list[Rows]:
    """The layouts ``own`` built in ``year``, once for each mix open to them."""
    lasting = own[_roof_lasts(instance, layouts, year)[own]]
    worth = _Worth(instance, figures, year)
    parts = [
        worth.paid_by(mix, members, paid)
        for mix, members, paid in _funded(instance, layouts, worth.capex_cny, lasting)
    ]
    if instance.pv.emc_allowed:
        members = lasting[_may_be_contracted(instance, layouts, figures, year)[lasting]]
        parts.append(worth.by_contract(members))
    return parts


def standing(instance: Instance, layouts: Layouts, figures: money.Economics) -> list[Rows]:
    """What is contracted or later, as it is: in its year and by its mix, whatever may be built anew."""
    plan = instance.in_force
    if plan is None:
        return []
    row = np.where(layouts.offer < 0, plan.frozen_row(layouts.site), -1)
    parts = []
    for year in np.unique(plan.year[row[row >= 0]]):
        worth = _Worth(instance, figures, int(year))
        now = np.flatnonzero((row >= 0) & (plan.year[row] == year))
        for mix in np.unique(plan.mix[row[now]]):
            members, name = now[plan.mix[row[now]] == mix], instance.mix_names[mix]
            if name == EMC:
                parts.append(worth.by_contract(members))
            elif name == OWN_LEVEL:
                paid = _paid_by_own_level(instance, layouts, worth.capex_cny, members)
                parts.append(worth.paid_by(name, members, paid))
            else:
                parts += [
                    worth.paid_by(
                        name, some, split_capex(instance.funding, kind, name, worth.capex_cny[some])
                    )
                    for kind, some in _by_project_kind(instance, layouts, members)
                ]
    return parts


class _Worth:
    """Money of every layout when it is built in one year."""

    def __init__(self, instance: Instance, figures: money.Economics, year: int) -> None:
        self._instance, self._figures, self._year = instance, figures, year
        self.capex_cny: FloatArray = figures.capex_cny.sum(axis=1) * money.price_factor(instance, year)
        operation = money.operation_cny(instance, figures, year)
        self._cost_cny = money.asset_cny(instance, figures, year) + operation
        self._npv_cny = money.benefit_cny(instance, figures, year) - self._cost_cny

    def paid_by(self, mix: str, members: IntArray, paid: FloatArray) -> Rows:
        """``paid`` : shape (members, 3), what municipal, district and owner pay."""
        return self._rows(mix, members, paid, self._npv_cny[members])

    def by_contract(self, members: IntArray) -> Rows:
        worth = money.contract_value_cny(self._instance, self._figures, self._year)
        return self._rows(EMC, members, np.zeros((len(members), 3)), worth[members])

    def _rows(self, mix: str, members: IntArray, paid: FloatArray, npv_cny: FloatArray) -> Rows:
        return Rows(
            layout=members,
            year=np.full(len(members), self._year, dtype=np.int64),
            mix=np.full(len(members), self._instance.mix_names.index(mix), dtype=np.int64),
            municipal_cny=paid[:, 0],
            district_cny=paid[:, 1],
            owner_cny=paid[:, 2],
            capex_cny=self.capex_cny[members],
            npv_cny=npv_cny,
            cost_cny=self._cost_cny[members],
        )


def _roof_lasts(instance: Instance, layouts: Layouts, year: int) -> BoolArray:
    on_roof = np.append((instance.kinds["surface"] == "roof").to_numpy(np.bool_), False)[layouts.kind]
    on_roof |= layouts.hot_water >= 0
    left = instance.sites["roof_residual_life_years"].to_numpy(np.float64)[layouts.site] - year
    return np.asarray(~on_roof | (left >= instance.pv.min_roof_life_years))


def _may_be_contracted(
    instance: Instance, layouts: Layouts, figures: money.Economics, year: int
) -> BoolArray:
    allowed = np.append(instance.kinds["emc_allowed"].to_numpy(np.bool_), False)[layouts.kind]
    return np.asarray(
        allowed
        & (layouts.hot_water < 0)
        & (layouts.kw >= instance.pv.emc_min_kw)
        & money.contract_is_bankable(instance, figures, year)
    )


def _funded(
    instance: Instance, layouts: Layouts, capex: FloatArray, members: IntArray
) -> list[tuple[str, IntArray, FloatArray]]:
    """Members of each mix with what municipal, district and owner pay."""
    found = []
    for project_kind, chosen in _by_project_kind(instance, layouts, members):
        mixes = mixes_of(instance.funding, project_kind)
        for mix in mixes:
            found.append((mix, chosen, split_capex(instance.funding, project_kind, mix, capex[chosen])))
        if not mixes:
            found.append((OWN_LEVEL, chosen, _paid_by_own_level(instance, layouts, capex, chosen)))
    return found


def _by_project_kind(
    instance: Instance, layouts: Layouts, members: IntArray
) -> Iterator[tuple[str, IntArray]]:
    """The members of each project kind that has some."""
    for position, project_kind in enumerate((*instance.kinds["kind"], HOT_WATER_PROJECT)):
        of_kind = position if position < len(instance.kinds) else -1
        chosen = members[layouts.kind[members] == of_kind]
        if len(chosen):
            yield project_kind, chosen


def _paid_by_own_level(
    instance: Instance, layouts: Layouts, capex: FloatArray, members: IntArray
) -> FloatArray:
    paid = np.zeros((len(members), 3))
    municipal = instance.site_codes.municipal[layouts.site[members]]
    paid[np.arange(len(members)), np.where(municipal, 0, 1)] = capex[members]
    return paid


def offered(instance: Instance, layouts: Layouts, figures: money.Economics) -> Rows:
    """Offers: their own payments are the CAPEX, annuitised from the year of each payment."""
    members = np.flatnonzero(layouts.offer >= 0)
    offer = layouts.offer[members]
    stated_year = instance.offers["year"].to_numpy(np.int64)[offer]
    year = np.where(stated_year > 0, stated_year - instance.base_year, 0)
    if instance.in_force is not None:
        row = instance.in_force.frozen_row(layouts.site[members])
        year = np.where(row >= 0, instance.in_force.year[row], year)
    payments = instance.offer_payments
    paid_offer = positions(instance.offers["offer"], payments["offer"])
    amount = money.offer_payments_cny(instance)
    life_of_offer = np.full(len(instance.offers), float(instance.horizon_years))
    life_of_offer[offer] = np.where(
        layouts.kind[members] >= 0,
        figures.life_years[members, 0],
        figures.life_years[members, 2],
    )
    present = amount * present_cost_of_asset(
        instance.discount_rate,
        life_of_offer[paid_offer],
        payments["year"].to_numpy(np.float64) - instance.base_year,
        float(instance.horizon_years),
    )
    capex = _floats(np.bincount(paid_offer, amount, minlength=len(instance.offers)))[offer]
    assets = _floats(np.bincount(paid_offer, present, minlength=len(instance.offers)))[offer]
    cost, npv = np.zeros(len(members)), np.zeros(len(members))
    for t in np.unique(year):
        now = np.flatnonzero(year == t)
        at = members[now]
        cost[now] = assets[now] + money.operation_cny(instance, figures, int(t))[at]
        npv[now] = money.benefit_cny(instance, figures, int(t))[at] - cost[now]
    stated = instance.offers["npv_cny"].to_numpy(np.float64)[offer]
    if instance.in_force is not None:  # what was stated supposed the payments of the offer
        as_offered = present * payments["amount_cny"].to_numpy(np.float64) / np.where(amount, amount, 1.0)
        offered_assets = _floats(np.bincount(paid_offer, as_offered, minlength=len(instance.offers)))[offer]
        stated = stated - (assets - offered_assets)
    nothing = np.zeros(len(members))
    return Rows(
        layout=members,
        year=year,
        mix=np.full(len(members), instance.mix_names.index(OFFER), dtype=np.int64),
        municipal_cny=nothing,
        district_cny=nothing,
        owner_cny=nothing,
        capex_cny=capex,
        npv_cny=np.where(np.isnan(stated), npv, stated),
        cost_cny=cost,
    )


def _floats(values: ArrayLike) -> FloatArray:
    return np.asarray(values, dtype=np.float64)  # an empty bincount is of integers

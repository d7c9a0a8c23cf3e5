"""(P2) The options of every site as flat arrays: what fits x year x who pays.

No solver here.  An option is left out when

* it does not fit (`layouts`), the roof would not last ``min_roof_life_years`` from the year built,
  a lock excludes it, or, under a contract, the investor's return is below its hurdle (P11);
* another option of the same site, year, capacity and mix is at least as good in everything a goal or
  a row can see: value, cost, energy, CO2, every count it serves; and takes no more of anything
  limited: payments to each source, hosting capacity.  Replacing the one by the other then keeps
  every row (capacity, shares, district minima and installers see equal kW in the same year) and
  worsens no goal, so some best plan never uses it, whatever goal, targets and budgets are, and also
  when rows are relaxed.  Sites named by a `fix` lock keep what the lock names.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from optimize.finance import present_cost_of_asset
from optimize.funding import mixes_of, split_capex
from optimize.pv_siting import economics as money
from optimize.pv_siting.energy import Curves, Energy, derive_energy
from optimize.pv_siting.instance import HOT_WATER_PROJECT, Instance
from optimize.pv_siting.layouts import Layouts, derive_connection_room, derive_layouts
from optimize.pv_siting.schema import EMC
from optimize.pv_siting.site_codes import positions

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
CodeArray = NDArray[np.int32] | NDArray[np.int16]
BoolArray = NDArray[np.bool_]

# Sites whose options are derived at once: keeps what is needed on the way small.
_SITES_PER_PART = 50_000

OWN_LEVEL = "own"  # the mix when the funding table says nothing: the site's own level pays
OFFER = "offer"


@dataclass(frozen=True)
class _Rows:
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

    def take(self, index: IntArray | BoolArray) -> _Rows:
        return _Rows(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass(frozen=True)
class Options:
    """All options, ordered by site.

    Attributes
    ----------
    site : shape (n,), position in the sites table; ``configuration``, ``offer`` likewise or -1.
    year : investment year, 0 = base year.
    mix : position in ``mix_names``.
    kw, hosting_kw : PV and hosting capacity used, kW.
    capex_cny : CAPEX whoever pays; ``npv_cny``, ``cost_cny`` present values (goals).
    generation_kwh, used_kwh : first year, kWh/a.
    energy_mwh, co2_t : in the year after the last investment year, MWh/a and tCO2/a.
    bipv, carport, heat, flex, contract, wrong_payer : counted by their clauses.
    payment_option, payment_source, payment_year, payment_cny : who pays what when; sources as in
        ``source_names`` (`municipal`, the districts in table order, `owner`).
    """

    site: CodeArray
    configuration: CodeArray
    offer: CodeArray
    year: CodeArray
    mix: CodeArray
    kw: FloatArray
    hosting_kw: FloatArray
    capex_cny: FloatArray
    npv_cny: FloatArray
    cost_cny: FloatArray
    generation_kwh: FloatArray
    used_kwh: FloatArray
    energy_mwh: FloatArray
    co2_t: FloatArray
    bipv: BoolArray
    carport: BoolArray
    heat: BoolArray
    flex: BoolArray
    contract: BoolArray
    wrong_payer: BoolArray
    payment_option: CodeArray
    payment_source: CodeArray
    payment_year: CodeArray
    payment_cny: FloatArray
    mix_names: tuple[str, ...]
    source_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.site)


@dataclass(frozen=True)
class OptionKeys:
    """What tells the options apart, without their figures; shape (n,), as in `Options`."""

    site: CodeArray
    configuration: CodeArray
    offer: CodeArray
    year: CodeArray
    mix: CodeArray

    @classmethod
    def of(cls, options: Options) -> OptionKeys:
        return cls(**{f.name: getattr(options, f.name) for f in fields(cls)})

    def take(self, index: IntArray) -> OptionKeys:
        return OptionKeys(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def derive_chosen_options(instance: Instance, keys: OptionKeys) -> tuple[Options, IntArray]:
    """Options of the sites among ``keys``, and which of them the keys name (one a site)."""
    sites = np.unique(keys.site).astype(np.int64)
    options = derive_options(instance, sites)
    row_of_site = np.full(len(instance.sites), -1, dtype=np.int64)
    row_of_site[keys.site] = np.arange(len(keys.site))
    row = row_of_site[options.site]
    named = np.ones(len(options), dtype=np.bool_)
    for f in fields(OptionKeys):
        named &= getattr(options, f.name) == getattr(keys, f.name)[row]
    chosen = np.flatnonzero(named)
    assert len(chosen) == len(keys.site) == len(sites)
    return options, chosen


def derive_options(instance: Instance, sites: IntArray | None = None) -> Options:
    """All options of the sites at the ascending positions ``sites`` (None: all sites)."""
    sites = np.arange(len(instance.sites)) if sites is None else sites
    room, curves = derive_connection_room(instance), Curves(instance)
    starts = range(0, max(len(sites), 1), _SITES_PER_PART)
    columns = _Columns()
    for first in starts:
        layouts = derive_layouts(instance, sites[first : first + _SITES_PER_PART], room)
        part = _options_of_layouts(instance, _unlocked(instance, layouts), curves, columns.num_options)
        if len(starts) == 1:
            return part
        columns.append(part, len(sites) / min(len(sites), first + _SITES_PER_PART))
    return columns.options(_mix_names(instance), source_names(instance))


def _options_of_layouts(instance: Instance, layouts: Layouts, curves: Curves, num_before: int) -> Options:
    """Options of some sites; payments count them from ``num_before``."""
    energy = derive_energy(instance, layouts, curves)
    figures = money.derive_economics(instance, layouts, energy)
    mix_names = _mix_names(instance)
    own = np.flatnonzero(layouts.configuration >= 0)
    rows = [
        part
        for year in range(instance.num_years)
        for part in _built_in(instance, layouts, figures, own, year, mix_names)
    ]
    rows.append(_offered(instance, layouts, figures, mix_names))
    joined = _Rows(
        **{f.name: np.concatenate([getattr(part, f.name) for part in rows]) for f in fields(_Rows)}
    )
    order = np.lexsort((joined.mix, joined.year, joined.layout))
    if len(instance.locks):
        order = order[_within_locked_years(instance, layouts, joined)[order]]
    joined = joined.take(order)
    joined = joined.take(~_dominated(instance, layouts, energy, figures, joined))
    return _finish(instance, layouts, energy, figures, joined, mix_names, num_before)


class _Columns:
    """Columns of `Options` filled part by part: joining parts at the end would hold all twice."""

    def __init__(self) -> None:
        self.num_options = 0
        self._columns: dict[str, NDArray[Any]] = {}
        self._lengths: dict[str, int] = {}

    def append(self, part: Options, expected_growth: float) -> None:
        """``expected_growth`` : length in the end relative to now, this part included."""
        for field in fields(Options):
            values = getattr(part, field.name)
            if not isinstance(values, np.ndarray):
                continue
            first = self._lengths.get(field.name, 0)
            end = first + len(values)
            column = self._columns.get(field.name, values[:0])
            if end > len(column):
                # room not yet written to takes no memory
                roomier = np.empty(int(1.05 * expected_growth * end), dtype=values.dtype)
                roomier[:first] = column[:first]
                self._columns[field.name] = column = roomier
            column[first:end] = values
            self._lengths[field.name] = end
        self.num_options += len(part)

    def options(self, mix_names: tuple[str, ...], source_names: tuple[str, ...]) -> Options:
        filled = {name: column[: self._lengths[name]] for name, column in self._columns.items()}
        return Options(**filled, mix_names=mix_names, source_names=source_names)


def derive_site_type_flags(instance: Instance) -> tuple[BoolArray, BoolArray]:
    """(P7) Sites that lead (schools, hospitals), and sites that go first."""
    sites = instance.sites
    return (
        sites["type"].isin(["school", "hospital"]).to_numpy(),
        sites["goes_first"].to_numpy(np.bool_),
    )


def _mix_names(instance: Instance) -> tuple[str, ...]:
    return (OWN_LEVEL, EMC, OFFER, *dict.fromkeys(instance.funding["mix"]))


def _unlocked(instance: Instance, layouts: Layouts) -> Layouts:
    """Without sites forced out, and with what is fixed only, where something is fixed."""
    locks, site_of_lock = instance.locks, instance.site_codes.of_lock
    if locks.empty:
        return layouts
    kept = ~np.isin(layouts.site, site_of_lock[(locks["kind"] == "force_out").to_numpy()])
    is_fix = (locks["kind"] == "fix").to_numpy() & np.isin(site_of_lock, layouts.site)
    fixed = locks[is_fix]
    configuration = positions(instance.configurations["configuration"], fixed["value"])
    offer = positions(instance.offers["offer"], fixed["value"])
    for site, own, offered in zip(site_of_lock[is_fix], configuration, offer, strict=True):
        wanted = (layouts.configuration == own) if own >= 0 else (layouts.offer == offered)
        kept &= (layouts.site != site) | wanted
    return layouts.take(kept)


def _within_locked_years(instance: Instance, layouts: Layouts, rows: _Rows) -> BoolArray:
    locks, site = instance.locks, instance.site_codes.of_lock
    first = np.zeros(len(instance.sites), dtype=np.int64)
    last = np.full(len(instance.sites), instance.num_years - 1, dtype=np.int64)
    year = locks["year"].to_numpy(np.int64) - instance.base_year
    dated = locks["year"].to_numpy(np.int64) > 0
    for kinds, bound, keep in (
        (("earliest", "fix"), first, np.maximum),
        (("latest", "fix"), last, np.minimum),
    ):
        chosen = locks["kind"].isin(kinds).to_numpy() & dated
        keep.at(bound, site[chosen], year[chosen])
    at = layouts.site[rows.layout]
    return np.asarray((rows.year >= first[at]) & (rows.year <= last[at]))


def _built_in(
    instance: Instance,
    layouts: Layouts,
    figures: money.Economics,
    own: IntArray,
    year: int,
    mix_names: tuple[str, ...],
) -> list[_Rows]:
    lasting = own[_roof_lasts(instance, layouts, year)[own]]
    capex = figures.capex_cny.sum(axis=1) * money.price_factor(instance, year)
    cost = money.asset_cny(instance, figures, year) + money.operation_cny(instance, figures, year)
    npv = money.benefit_cny(instance, figures, year) - cost
    parts = []
    for mix, members, paid in _funded(instance, layouts, capex, lasting):
        parts.append(
            _Rows(
                layout=members,
                year=np.full(len(members), year, dtype=np.int64),
                mix=np.full(len(members), mix_names.index(mix), dtype=np.int64),
                municipal_cny=paid[:, 0],
                district_cny=paid[:, 1],
                owner_cny=paid[:, 2],
                capex_cny=capex[members],
                npv_cny=npv[members],
                cost_cny=cost[members],
            )
        )
    if instance.pv.emc_allowed:
        members = lasting[_may_be_contracted(instance, layouts, figures, year)[lasting]]
        nothing = np.zeros(len(members))
        parts.append(
            _Rows(
                layout=members,
                year=np.full(len(members), year, dtype=np.int64),
                mix=np.full(len(members), mix_names.index(EMC), dtype=np.int64),
                municipal_cny=nothing,
                district_cny=nothing,
                owner_cny=nothing,
                capex_cny=capex[members],
                npv_cny=money.contract_value_cny(instance, figures, year)[members],
                cost_cny=cost[members],
            )
        )
    return parts


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
    municipal = instance.site_codes.municipal[layouts.site]
    project_kinds = [*instance.kinds["kind"], HOT_WATER_PROJECT]
    found = []
    for position, project_kind in enumerate(project_kinds):
        of_kind = position if position < len(instance.kinds) else -1
        chosen = members[layouts.kind[members] == of_kind]
        if not len(chosen):
            continue
        mixes = mixes_of(instance.funding, project_kind)
        for mix in mixes:
            found.append((mix, chosen, split_capex(instance.funding, project_kind, mix, capex[chosen])))
        if not mixes:
            paid = np.zeros((len(chosen), 3))
            paid[np.arange(len(chosen)), np.where(municipal[chosen], 0, 1)] = capex[chosen]
            found.append((OWN_LEVEL, chosen, paid))
    return found


def _offered(
    instance: Instance, layouts: Layouts, figures: money.Economics, mix_names: tuple[str, ...]
) -> _Rows:
    """Offers: their own payments are the CAPEX, annuitised from the year of each payment."""
    members = np.flatnonzero(layouts.offer >= 0)
    offer = layouts.offer[members]
    stated_year = instance.offers["year"].to_numpy(np.int64)[offer]
    year = np.where(stated_year > 0, stated_year - instance.base_year, 0)
    payments = instance.offer_payments
    paid_offer = positions(instance.offers["offer"], payments["offer"])
    amount = payments["amount_cny"].to_numpy(np.float64)
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
    nothing = np.zeros(len(members))
    return _Rows(
        layout=members,
        year=year,
        mix=np.full(len(members), mix_names.index(OFFER), dtype=np.int64),
        municipal_cny=nothing,
        district_cny=nothing,
        owner_cny=nothing,
        capex_cny=capex,
        npv_cny=np.where(np.isnan(stated), npv, stated),
        cost_cny=cost,
    )


def _floats(values: ArrayLike) -> FloatArray:
    return np.asarray(values, dtype=np.float64)  # an empty bincount is of integers


def _dominated(
    instance: Instance, layouts: Layouts, energy: Energy, figures: money.Economics, rows: _Rows
) -> BoolArray:
    """Options another one replaces safely (module docstring); offers are left alone.

    Options that agree in every figure keep the first.
    """
    rivals = np.flatnonzero(_has_rival(layouts)[rows.layout])
    result = np.zeros(len(rows.layout), dtype=np.bool_)
    result[rivals] = _beaten(instance, layouts, energy, figures, rows.take(rivals))
    return result


def _has_rival(layouts: Layouts) -> BoolArray:
    """Layouts that share site and capacity with another one."""
    order = np.lexsort((layouts.kw, layouts.site))
    site, kw = layouts.site[order], layouts.kw[order]
    as_next = (site[1:] == site[:-1]) & (kw[1:] == kw[:-1])
    result = np.zeros(len(layouts), dtype=np.bool_)
    result[order[:-1][as_next]] = True
    result[order[1:][as_next]] = True
    return result


def _beaten(
    instance: Instance, layouts: Layouts, energy: Energy, figures: money.Economics, rows: _Rows
) -> BoolArray:
    layout = rows.layout
    site, kw = layouts.site[layout], layouts.kw[layout]
    counts = _counts(instance, layouts)
    better_high = [
        rows.npv_cny,
        -rows.cost_cny,
        *_effects(instance, layouts, energy, figures, rows),
        -rows.municipal_cny,
        -rows.district_cny,
        -rows.owner_cny,
        -layouts.hosting_kw[layout],
        *(flag[layout].astype(np.float64) for flag in counts),
    ]
    key = (site * instance.num_years + rows.year) * len(_mix_names(instance)) + rows.mix
    order = np.lexsort((layout, kw, key))
    keys = key[order]
    kw_sorted = kw[order]
    comparable = layouts.offer[layout][order] < 0
    values = [column[order] for column in better_high]
    dropped = np.zeros(len(order), dtype=np.bool_)
    for distance in range(1, len(order)):
        same = (keys[distance:] == keys[:-distance]) & (kw_sorted[distance:] == kw_sorted[:-distance])
        same &= comparable[distance:] & comparable[:-distance]
        pairs = np.flatnonzero(same)
        if not len(pairs):
            break
        early, late = pairs, pairs + distance
        early_wins = np.ones(len(pairs), dtype=np.bool_)
        late_wins = np.ones(len(pairs), dtype=np.bool_)
        for column in values:
            early_wins &= column[early] >= column[late]
            late_wins &= column[late] >= column[early]
        dropped[late[early_wins]] = True
        dropped[early[late_wins & ~early_wins]] = True
    result = np.zeros(len(order), dtype=np.bool_)
    result[order] = dropped
    return result


def _effects(
    instance: Instance, layouts: Layouts, energy: Energy, figures: money.Economics, rows: _Rows
) -> tuple[FloatArray, FloatArray]:
    """Generation (MWh) and avoided CO2 (t) in the year after the last investment year."""
    layout = rows.layout
    age = instance.num_years - rows.year.astype(np.float64)
    life = figures.module_life_years[layout]
    standing = money.degraded_share(instance, np.floor((age - 1.0) % life) + 1.0)
    return (
        energy.generation_kwh[layout] * standing / 1000.0,
        (figures.generation_co2_kg_a[layout] * standing + figures.heat_co2_kg_a[layout]) / 1000.0,
    )


def _counts(instance: Instance, layouts: Layouts) -> tuple[BoolArray, BoolArray, BoolArray, BoolArray]:
    kinds = instance.kinds
    bipv = np.append(kinds["counts_bipv"].to_numpy(np.bool_), False)[layouts.kind]
    carport = np.append(kinds["counts_carport"].to_numpy(np.bool_), False)[layouts.kind]
    flex = np.append(instance.storages["counts_flex"].to_numpy(np.bool_), False)[layouts.storage]
    return bipv, carport, np.asarray(layouts.hot_water >= 0), flex


def _finish(
    instance: Instance,
    layouts: Layouts,
    energy: Energy,
    figures: money.Economics,
    rows: _Rows,
    mix_names: tuple[str, ...],
    num_before: int,
) -> Options:
    layout = rows.layout
    site = layouts.site[layout]
    bipv, carport, heat, flex = (flag[layout] for flag in _counts(instance, layouts))
    energy_mwh, co2_t = _effects(instance, layouts, energy, figures, rows)
    payment_option, source, payment_year, amount = _payments(instance, layouts, rows)
    district = instance.site_codes.district[site]
    return Options(
        site=site.astype(np.int32),
        configuration=layouts.configuration[layout].astype(np.int32),
        offer=layouts.offer[layout].astype(np.int32),
        year=rows.year.astype(np.int16),
        mix=rows.mix.astype(np.int32),
        kw=layouts.kw[layout],
        hosting_kw=layouts.hosting_kw[layout],
        capex_cny=rows.capex_cny,
        npv_cny=rows.npv_cny,
        cost_cny=rows.cost_cny,
        generation_kwh=energy.generation_kwh[layout],
        used_kwh=energy.used_kwh[layout],
        energy_mwh=energy_mwh,
        co2_t=co2_t,
        bipv=bipv,
        carport=carport,
        heat=heat,
        flex=flex,
        contract=rows.mix == mix_names.index(EMC),
        wrong_payer=_wrong_payer(instance, site, district, payment_option, source, amount),
        payment_option=(payment_option + num_before).astype(np.int32),
        payment_source=source.astype(np.int32),
        payment_year=payment_year.astype(np.int16),
        payment_cny=amount,
        mix_names=mix_names,
        source_names=source_names(instance),
    )


def source_names(instance: Instance) -> tuple[str, ...]:
    """All purses: `municipal`, the districts, `owner`."""
    return ("municipal", *instance.districts["district"], "owner")


def _payments(
    instance: Instance, layouts: Layouts, rows: _Rows
) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    district = instance.site_codes.district[layouts.site[rows.layout]].astype(np.int64)
    owner = len(instance.districts) + 1
    option, source, year, amount = [], [], [], []
    for column, purse in (
        (rows.municipal_cny, np.zeros_like(district)),
        (rows.district_cny, district + 1),
        (rows.owner_cny, np.full_like(district, owner)),
    ):
        paid = np.flatnonzero(column != 0)
        option.append(paid)
        source.append(purse[paid])
        year.append(rows.year[paid])
        amount.append(column[paid])
    offer = layouts.offer[rows.layout]
    option_of_offer = pd.Series(np.flatnonzero(offer >= 0), index=offer[offer >= 0])
    payments = instance.offer_payments
    of_payment = option_of_offer.reindex(positions(instance.offers["offer"], payments["offer"]))
    present = of_payment.notna().to_numpy()
    option.append(of_payment.to_numpy()[present].astype(np.int64))
    source.append(positions(pd.Series(source_names(instance)), payments["source"])[present])
    year.append(payments["year"].to_numpy(np.int64)[present] - instance.base_year)
    amount.append(payments["amount_cny"].to_numpy(np.float64)[present])
    return np.concatenate(option), np.concatenate(source), np.concatenate(year), np.concatenate(amount)


def _wrong_payer(
    instance: Instance,
    site: IntArray,
    district: CodeArray,
    payment_option: IntArray,
    source: IntArray,
    amount: FloatArray,
) -> BoolArray:
    """[PV-FUND] Options for which another government than the site's own pays something."""
    own = np.where(instance.site_codes.municipal[site], 0, district + 1)[payment_option]
    by_government = source <= len(instance.districts)
    foreign = by_government & (source != own) & (amount > 0)
    wrong = np.zeros(len(site), dtype=np.bool_)
    wrong[payment_option[foreign]] = True
    return wrong

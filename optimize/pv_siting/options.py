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
from numpy.typing import NDArray

from optimize.pv_siting import economics as money
from optimize.pv_siting.energy import Curves, Energy, derive_energy
from optimize.pv_siting.in_force import weights_of
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.layouts import Layouts, derive_connection_room, derive_layouts
from optimize.pv_siting.option_rows import Rows, built_in, offered, standing
from optimize.pv_siting.schema import EMC
from optimize.pv_siting.site_codes import positions

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
CodeArray = NDArray[np.int32] | NDArray[np.int16]
BoolArray = NDArray[np.bool_]

# Sites whose options are derived at once: keeps what is needed on the way small.
_SITES_PER_PART = 50_000


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
    return columns.options(instance.mix_names, source_names(instance))


def _options_of_layouts(instance: Instance, layouts: Layouts, curves: Curves, num_before: int) -> Options:
    """Options of some sites; payments count them from ``num_before``."""
    energy = derive_energy(instance, layouts, curves)
    figures = money.derive_economics(instance, layouts, energy)
    figures = money.at_actual_costs(instance, layouts, figures)
    open_to_change = layouts.configuration >= 0
    if instance.in_force is not None:
        open_to_change &= ~instance.in_force.is_frozen(layouts.site)
    own = np.flatnonzero(open_to_change)
    rows = [
        part for year in range(instance.num_years) for part in built_in(instance, layouts, figures, own, year)
    ]
    rows += [*standing(instance, layouts, figures), offered(instance, layouts, figures)]
    joined = Rows(**{f.name: np.concatenate([getattr(part, f.name) for part in rows]) for f in fields(Rows)})
    order = np.lexsort((joined.mix, joined.year, joined.layout))
    if len(instance.locks):
        order = order[_within_locked_years(instance, layouts, joined)[order]]
    if instance.first_open_year > instance.base_year:
        order = order[_open_or_in_force(instance, layouts, joined)[order]]
    joined = joined.take(order)
    joined = joined.take(~_dominated(instance, layouts, energy, figures, joined))
    return _finish(instance, layouts, energy, figures, joined, num_before)


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
    for site, own, tendered in zip(site_of_lock[is_fix], configuration, offer, strict=True):
        wanted = (layouts.configuration == own) if own >= 0 else (layouts.offer == tendered)
        kept &= (layouts.site != site) | wanted
    return layouts.take(kept)


def _within_locked_years(instance: Instance, layouts: Layouts, rows: Rows) -> BoolArray:
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


def _open_or_in_force(instance: Instance, layouts: Layouts, rows: Rows) -> BoolArray:
    """Years from the first open one on, and the decisions in force in theirs."""
    return np.asarray(
        (rows.year + instance.base_year >= instance.first_open_year) | _in_force(instance, layouts, rows)
    )


def _in_force(instance: Instance, layouts: Layouts, rows: Rows) -> BoolArray:
    plan, at = instance.in_force, rows.layout
    if plan is None:
        return np.zeros(len(at), dtype=np.bool_)
    return plan.holds(layouts.site[at], layouts.configuration[at], layouts.offer[at], rows.year, rows.mix)


def _dominated(
    instance: Instance, layouts: Layouts, energy: Energy, figures: money.Economics, rows: Rows
) -> BoolArray:
    """Options another one replaces safely (module docstring); offers and what is in force are left alone.

    Options that agree in every figure keep the first.
    """
    rivals = np.flatnonzero(_has_rival(layouts)[rows.layout])
    result = np.zeros(len(rows.layout), dtype=np.bool_)
    result[rivals] = _beaten(instance, layouts, energy, figures, rows.take(rivals))
    return result & ~_in_force(instance, layouts, rows)


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
    instance: Instance, layouts: Layouts, energy: Energy, figures: money.Economics, rows: Rows
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
        *_little_changed(instance, layouts, rows),
    ]
    key = (site * instance.num_years + rows.year) * len(instance.mix_names) + rows.mix
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


def _little_changed(instance: Instance, layouts: Layouts, rows: Rows) -> list[FloatArray]:
    """What a revision sees of an option, more is better: how little it counts as a change, costs spared."""
    plan, at = instance.in_force, rows.layout
    if plan is None:
        return []
    decision = (layouts.site[at], layouts.configuration[at], layouts.offer[at], rows.year, rows.mix)
    same = plan.same_project(*decision[:3])
    return [-weights_of(plan, instance.change_weights, *decision), same.astype(np.float64)]


def _effects(
    instance: Instance, layouts: Layouts, energy: Energy, figures: money.Economics, rows: Rows
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
    rows: Rows,
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
        contract=rows.mix == instance.mix_names.index(EMC),
        wrong_payer=_wrong_payer(instance, site, district, payment_option, source, amount),
        payment_option=(payment_option + num_before).astype(np.int32),
        payment_source=source.astype(np.int32),
        payment_year=payment_year.astype(np.int16),
        payment_cny=amount,
        mix_names=instance.mix_names,
        source_names=source_names(instance),
    )


def source_names(instance: Instance) -> tuple[str, ...]:
    """All purses: `municipal`, the districts, `owner`."""
    return ("municipal", *instance.districts["district"], "owner")


def _payments(
    instance: Instance, layouts: Layouts, rows: Rows
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
    amount.append(money.offer_payments_cny(instance)[present])
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

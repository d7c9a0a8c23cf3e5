"""Packages offered to each centre: admissible sets of measures without the dominated ones (R1).

Dominance, and why it is safe
-----------------------------
Package ``a`` may stand in for package ``b`` of the same centre in every plan when, with the same
year, funding mix and heat sink,

* CAPEX(a) <= CAPEX(b): payments by every mix are non-decreasing in the CAPEX of the project
  (``min(share * capex, ceiling)`` and the rest), so no budget of any source and year is strained;
* the yearly net value of ``a`` is no less at the smallest and at the largest IT load of the
  investment years: it is linear in the load, so it is no less in any year, and the NPV from any
  year on is a non-negative sum over years (asked where ``npv`` is a goal);
* its annuitised CAPEX plus O&M is no more (where ``cost`` is a goal) and it saves no less energy
  (where energy or CO2 is a goal or a target);
* its weeks are no more in every trade that can bind, it endangers operation only if ``b`` does
  (where a zone or redundancy row counts the centre), its water use is no more ([DC-WATER]);
* it counts wherever ``b`` counts: upgraded, green, battery, advanced, not above the limit;
* both or neither recover heat; and it may be built in every year in which ``b`` may.

Hence every row stays feasible and every goal is no worse.  "Nothing" is compared as the empty set,
unless a lock or ``must_choose`` forbids it.  Packages named in a ``fix`` lock are never dropped.
Rows that the instance does not use (a clause that is not asked, a trade whose weeks cannot bind)
ask for nothing, which is what keeps the lists short.
The staged options of R2 are pairs of offered packages; that is their definition here.  Their number
grows with the square of the list: `datacenter.max_staged_packages_per_centre` has them combine the most
wanted packages only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from optimize.datacenter.front import keep_most_wanted, undominated, undominated_of_each
from optimize.datacenter.instance import FloatArray, Instance, rows_of
from optimize.datacenter.measures import (
    BoolArray,
    IntArray,
    MeasureSets,
    derive_eligibility,
    derive_measure_weeks,
    derive_sets,
    enumerate_masks,
    trades_of,
)
from optimize.datacenter.schema import CLOSING
from optimize.finance import annuity_factor, discount_factor
from optimize.units import HOURS_PER_YEAR

L_PER_M3 = 1000.0
# Centres of one class are looked at together up to this many packages: about 8 MB of columns, which stay
# in the processor's cache and are not asked of the system anew each time.
_CELLS_AT_ONCE = 50_000
Columns = dict[str, Any]
KG_PER_T = 1000.0


@dataclass(frozen=True)
class Packages:
    """Packages offered, centre by centre; one row each, centres in order.

    Attributes
    ----------
    centre : shape (N,), position of the centre.
    mask : shape (N,), its measures as bits.
    saving : kWh saved per kWh of (present) IT energy.
    pue : PUE afterwards.
    water : change of water use, L per kWh of (present) IT energy.
    capex_cny, annual_cny : CAPEX; annuity of it plus O&M, CNY/a.
    weeks : shape (N, limited trades).
    works, advanced, battery, heat, leaves_scope : flags as in `MeasureSets`.
    staged : it may be a stage of a staged project.
    num_enumerated : admissible sets over all centres before any was dropped.
    """

    centre: IntArray
    mask: IntArray
    saving: FloatArray
    pue: FloatArray
    water: FloatArray
    capex_cny: FloatArray
    annual_cny: FloatArray
    weeks: FloatArray
    works: BoolArray
    advanced: BoolArray
    battery: BoolArray
    heat: BoolArray
    leaves_scope: BoolArray
    staged: BoolArray
    num_enumerated: int

    def __len__(self) -> int:
        return len(self.centre)


@dataclass(frozen=True)
class Needs:
    """Which goals and linking rows a dominating package must respect (module docstring)."""

    npv: bool
    cost: bool
    energy: bool
    water: bool
    trades: IntArray
    upgraded: BoolArray
    green: BoolArray
    battery: BoolArray
    advanced: bool
    limit: BoolArray
    works: BoolArray
    may_do_nothing: BoolArray


@dataclass(frozen=True)
class CentreFacts:
    """Columns of the centres table as arrays, looked up once."""

    load: FloatArray
    overhead: FloatArray
    wue: FloatArray
    cost_factor: FloatArray
    residual_life: FloatArray
    value_per_kwh: FloatArray
    pue_before: FloatArray


@dataclass(frozen=True)
class LoadPath:
    """IT energy and discounting; ``last`` is the first year in which the whole programme works.

    The IT load grows up to the last investment year and stays there: no forecast beyond.

    Attributes
    ----------
    growth : shape (n, horizon+1), load of year y over that of the base year.
    energy_pv : shape (n, T), discounted kWh of IT energy over years t+1..horizon.
    annuity : shape (T,), discounted sum of 1 a year over years t+1..horizon.
    last_kwh : shape (n,), IT energy a year after the last investment year, kWh/a.
    """

    growth: FloatArray
    energy_pv: FloatArray
    annuity: FloatArray
    last_kwh: FloatArray


def derive_load_path(instance: Instance) -> LoadPath:
    """Loads, discounted IT energy and annuities from each investment year on."""
    years = np.arange(instance.horizon_years + 1)
    rate = instance.centres["load_growth_per_year"].to_numpy(np.float64)
    growth = (1.0 + rate)[:, None] ** np.minimum(years, instance.num_years - 1)
    discount = discount_factor(instance.discount_rate, years)
    investing = np.arange(instance.num_years)
    yearly_kwh = instance.it_load_kw * HOURS_PER_YEAR
    # Sum over y > t of growth * discount, for every t: reversed cumulative sums.
    tail = np.cumsum((growth * discount)[:, ::-1], axis=1)[:, ::-1]
    tail = np.concatenate([tail, np.zeros((len(tail), instance.num_years + 1))], axis=1)
    served = np.maximum(instance.horizon_years - investing, 0)
    return LoadPath(
        growth=growth,
        energy_pv=yearly_kwh[:, None] * tail[:, investing + 1],
        annuity=annuity_factor(instance.discount_rate, served)
        * discount_factor(instance.discount_rate, investing),
        last_kwh=yearly_kwh * (1.0 + rate) ** (instance.num_years - 1),
    )


def value_per_kwh(instance: Instance) -> FloatArray:
    """Value of 1 kWh of electricity not used, by centre: price and carbon, CNY/kWh."""
    carbon = (
        float(instance.parameters["prices.carbon_cny_per_t"])
        * float(instance.parameters["emissions.grid_kg_co2_per_kwh"])
        / KG_PER_T
    )
    return instance.electricity_price + carbon


def derive_facts(instance: Instance) -> CentreFacts:
    centres = instance.centres
    parts = [f"{part}_kwh_per_kwh_it" for part in ("cooling", "power", "other")]
    return CentreFacts(
        load=instance.it_load_kw,
        overhead=centres[parts].to_numpy(np.float64),
        wue=centres["wue_l_per_kwh"].to_numpy(np.float64),
        cost_factor=centres["cost_factor"].to_numpy(np.float64),
        residual_life=centres["residual_life_years"].to_numpy(np.float64),
        value_per_kwh=value_per_kwh(instance),
        pue_before=instance.pue_before,
    )


def in_limit_scope(instance: Instance) -> BoolArray:
    """Centres the limit standard [DC-LIMIT] applies to: air-cooled and not an edge room."""
    racks = instance.centres["rack_count"].to_numpy()
    cooling = instance.centres["cooling_type"].to_numpy()
    return np.asarray((racks > instance.setting("limit_min_racks")) & (cooling != "liquid"))


def above_threshold(instance: Instance) -> BoolArray:
    """Centres that [DC-PUE] asks for."""
    return np.asarray(instance.pue_before >= instance.setting("pue_threshold") - 1e-9)


def derive_needs(
    instance: Instance, goals: tuple[str, ...], most_weeks: FloatArray, may_do_nothing: BoolArray
) -> Needs:
    """What dominance must respect for these goals; ``most_weeks``: shape (trades,)."""
    targets = instance.targets
    centres = instance.centres
    available = np.zeros((len(most_weeks), instance.num_years))
    trades = trades_of(instance)
    for row in rows_of(instance.trades):
        if 0 <= row.year - instance.base_year < instance.num_years:
            available[trades.index(row.trade), row.year - instance.base_year] = row.weeks
    groups = centres["redundancy_group"].to_numpy()
    limited = instance.zones.loc[instance.zones["max_share_under_works"] < 1.0, "zone"]
    everyone = np.ones(len(centres), dtype=np.bool_)
    asked = {name: everyone & (name in targets) for name in ("DC-PUE", "DC-GREEN", "DC-BATT", "DC-LIMIT")}
    return Needs(
        npv="npv" in goals,
        cost="cost" in goals,
        energy=bool({"energy", "co2"} & set(goals)) or bool({"DC-ENERGY", "DC-CO2"} & set(targets)),
        water="DC-WATER" in targets,
        trades=np.flatnonzero(most_weeks > available.min(axis=1) * (1.0 - 1e-9)),
        upgraded=asked["DC-PUE"] & above_threshold(instance),
        green=asked["DC-GREEN"] & centres["green_eligible"].to_numpy(np.bool_),
        battery=asked["DC-BATT"] & centres["battery_eligible"].to_numpy(np.bool_),
        advanced="DC-TECH" in targets,
        limit=asked["DC-LIMIT"] & in_limit_scope(instance),
        works=np.asarray((groups != "") | np.isin(centres["zone"].to_numpy(), limited)),
        may_do_nothing=may_do_nothing,
    )


def derive_packages(
    instance: Instance,
    goals: tuple[str, ...],
    path: LoadPath,
    *,
    may_do_nothing: BoolArray,
    has_sink: BoolArray,
    protected: dict[int, frozenset[int]] | None = None,
    standing: dict[int, frozenset[int]] | None = None,
    drop_dominated: bool = True,
) -> Packages:
    """Packages offered to every centre without offers of its own.

    Parameters
    ----------
    may_do_nothing, has_sink : shape (n,); heat is recovered only where a sink is in reach.
    protected : centre -> masks that must stay on its list.
    standing : centre -> the masks its list is made of, whatever else it may use.
    drop_dominated : False keeps every admissible set (tests of the rule).
    """
    facts = derive_facts(instance)
    eligible = derive_eligibility(instance)
    recovering = sum(1 << bit for bit, heat in enumerate(instance.measures["recovers_heat"]) if heat)
    eligible = np.where(has_sink, eligible, eligible & ~np.int64(recovering))
    tendered = instance.centres["centre"].isin(instance.offers["centre"]).to_numpy()
    eligible = np.where(tendered, 0, eligible)
    standing = standing or {}
    eligible[list(standing)] = 0
    classes, member = np.unique(eligible, return_inverse=True)
    sets_of_class = [derive_sets(instance, enumerate_masks(instance.measures, int(mask))) for mask in classes]
    num_enumerated = int(sum(np.sum(member == c) * len(s) for c, s in enumerate(sets_of_class)))
    needs = derive_needs(instance, goals, _most_weeks(instance, sets_of_class, member), may_do_nothing)
    if drop_dominated:
        kept_masks = {mask for masks in (protected or {}).values() for mask in masks}
        sets_of_class = [_drop_in_class(sets, kept_masks) for sets in sets_of_class]
    parts = [
        part
        for number, sets in enumerate(sets_of_class)
        if len(sets)
        for part in _offered_to_class(
            instance, needs, facts, path, sets, np.flatnonzero(member == number), protected or {},
            drop_dominated=drop_dominated,
        )
    ]  # fmt: skip
    for centre, masks in standing.items():
        if not masks:
            continue
        sets = derive_sets(instance, np.array(sorted(masks), dtype=np.int64))
        all_of_them = np.ones((1, len(sets)), dtype=np.bool_)
        columns = apply_sets(facts, sets, np.array([centre]))
        parts.append(_listed(columns | {"staged": all_of_them}, all_of_them))
    if not parts:
        parts = [apply_sets(facts, derive_sets(instance, np.zeros(0, np.int64)), np.zeros(1, np.int64))]
        none = np.zeros((1, 0), dtype=np.bool_)
        parts = [_listed(parts[0] | {"staged": none}, none)]
    order = np.argsort(np.concatenate([part["centre"] for part in parts]), kind="stable")
    joined = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
    return Packages(**joined, num_enumerated=num_enumerated)


def _offered_to_class(
    instance: Instance,
    needs: Needs,
    facts: CentreFacts,
    path: LoadPath,
    sets: MeasureSets,
    centres: IntArray,
    protected: dict[int, frozenset[int]],
    *,
    drop_dominated: bool,
) -> Iterator[Columns]:
    """Lists of the centres that share their sets, some centres at a time."""
    at_once = max(1, _CELLS_AT_ONCE // len(sets))
    for start in range(0, len(centres), at_once):
        some = centres[start : start + at_once]
        offered = apply_sets(facts, sets, some)
        stays = staged = np.ones((len(some), len(sets)), dtype=np.bool_)
        if drop_dominated:
            stays, staged = _staying(instance, needs, facts, path, offered, sets, some)
            for row, centre in enumerate(some.tolist()):
                if centre in protected:
                    kept = np.isin(sets.mask, list(protected[centre]))
                    stays[row] |= kept
                    staged[row] |= kept
        yield _listed(offered | {"staged": staged}, stays)


def _most_weeks(instance: Instance, sets_of_class: list[MeasureSets], member: IntArray) -> FloatArray:
    """Weeks of each trade if every centre chose the option that takes most of them."""
    close_fixed, close_per_kw = derive_measure_weeks(instance, [CLOSING])
    most = np.zeros(close_fixed.shape[1])
    for number, sets in enumerate(sets_of_class):
        load = instance.it_load_kw[member == number]
        fixed, per_kw = close_fixed[0], close_per_kw[0]
        if len(sets):
            fixed = np.maximum(fixed, sets.weeks_fixed.max(axis=0))
            per_kw = np.maximum(per_kw, sets.weeks_per_kw.max(axis=0))
        most += len(load) * fixed + load.sum() * per_kw
    return most


def _drop_in_class(sets: MeasureSets, protected: set[int]) -> MeasureSets:
    """Sets beaten for every load and overhead: costs and remains compared part by part.

    The IT share left must be equal, because cutting IT energy raises the PUE.
    """
    if not len(sets):
        return sets
    table = np.column_stack(
        [
            sets.capex_fixed, sets.capex_per_kw, sets.annual_fixed, sets.annual_per_kw,
            sets.left, -sets.left[:, 3], sets.weeks_fixed, sets.weeks_per_kw, sets.water_change,
            sets.min_residual_life, sets.works, ~sets.advanced, ~sets.battery, sets.heat,
            ~sets.heat, ~sets.leaves_scope,
        ]
    ).astype(np.float64)  # fmt: skip
    keep = undominated(table)
    named = np.flatnonzero(np.isin(sets.mask, list(protected)))
    return sets.take(np.union1d(keep, named))


def apply_sets(facts: CentreFacts, sets: MeasureSets, centres: IntArray) -> Columns:
    """Every set of the class at some centres, as columns of `Packages` of shape (centres, sets)."""
    load = facts.load[centres, None]
    cooling, power, other = (facts.overhead[centres, k, None] for k in range(3))
    it_left = sets.left[:, 3]
    # Lighting and the like do not shrink with the servers; cooling and losses do.
    per_it = 1.0 + cooling * sets.left[:, 0] + power * sets.left[:, 1]
    total = it_left * per_it + other * sets.left[:, 2]
    factor, wue = facts.cost_factor[centres, None], facts.wue[centres, None]
    shape = total.shape
    return {
        "centre": np.broadcast_to(centres[:, None], shape),
        "mask": np.broadcast_to(sets.mask, shape),
        "saving": (1.0 + cooling + power + other) - total,
        "pue": total / it_left,
        "water": it_left * np.maximum(wue + sets.water_change, 0.0) - wue,
        "capex_cny": factor * (sets.capex_fixed + sets.capex_per_kw * load),
        "annual_cny": factor * (sets.annual_fixed + sets.annual_per_kw * load),
        "weeks": sets.weeks_fixed + sets.weeks_per_kw * load[:, :, None],
        "works": np.broadcast_to(sets.works, shape),
        "advanced": np.broadcast_to(sets.advanced, shape),
        "battery": np.broadcast_to(sets.battery, shape),
        "heat": np.broadcast_to(sets.heat, shape),
        "leaves_scope": np.broadcast_to(sets.leaves_scope, shape),
    }


def _listed(offered: Columns, stays: BoolArray) -> Columns:
    """Columns of the packages that stay, centre by centre."""
    return {name: values[stays] for name, values in offered.items()}


def _staying(
    instance: Instance,
    needs: Needs,
    facts: CentreFacts,
    path: LoadPath,
    offered: Columns,
    sets: MeasureSets,
    centres: IntArray,
) -> tuple[BoolArray, BoolArray]:
    """Packages that stay on the lists of ``centres``, and those that staged projects combine.

    Shape (centres, sets) each.
    """
    water_price = instance.setting("water_price_cny_per_m3") / L_PER_M3
    yearly_kwh = facts.load[centres, None] * HOURS_PER_YEAR
    growth = path.growth[centres]
    worth = facts.value_per_kwh[centres, None] * offered["saving"] - water_price * offered["water"]
    first, last = (
        yearly_kwh * growth[:, year, None] * worth - offered["annual_cny"]
        for year in (min(1, growth.shape[1] - 1), -1)
    )
    pue, before = offered["pue"], facts.pue_before[centres]
    limit_pue = instance.setting("limit_pue") + 1e-9
    high = {name: pue > instance.setting(f"{name}_pue") + 1e-9 for name in ("upgraded_max", "green_max")}
    above = (pue > limit_pue) & ~offered["leaves_scope"]
    at_the_end = facts.residual_life[centres, None] - (instance.num_years - 1)
    residual = np.maximum(sets.min_residual_life - at_the_end, 0.0)
    # Smaller is better; where a row does not look at the centre, its column is zero throughout.
    # Each with what doing nothing has there.
    table: list[tuple[Any, Any]] = [
        (offered["capex_cny"], 0.0),
        (offered["heat"], 0.0),
        (~offered["heat"], 1.0),  # what recovers heat is compared with its like only
        (residual, 0.0),
        (needs.works[centres, None] & offered["works"], 0.0),
        (needs.upgraded[centres, None] & high["upgraded_max"], needs.upgraded[centres]),
        (needs.green[centres, None] & high["green_max"], needs.green[centres]),
        (needs.limit[centres, None] & above, needs.limit[centres] & (before > limit_pue)),
        (needs.battery[centres, None] & ~offered["battery"], needs.battery[centres]),
    ]
    table += [(-first, 0.0), (-last, 0.0)] if needs.npv else []
    table += [(offered["annual_cny"], 0.0)] if needs.cost else []
    table += [(-offered["saving"], 0.0)] if needs.energy else []
    table += [(offered["water"], 0.0)] if needs.water else []
    table += [(offered["weeks"][:, :, trade], 0.0) for trade in needs.trades]
    table += [(~offered["advanced"], 1.0)] if needs.advanced else []
    rows = np.empty((len(centres), 1 + len(sets), len(table)))
    for column, (of_sets, of_nothing) in enumerate(table):
        rows[:, 0, column], rows[:, 1:, column] = of_nothing, of_sets
    stays = undominated_of_each(rows, needs.may_do_nothing[centres])
    most = int(instance.setting("max_packages_per_centre"))
    if most > 0:
        _shorten(instance, needs, offered, first, most, stays)
    staged = stays.copy()
    most = int(instance.setting("max_staged_packages_per_centre"))
    if most > 0:
        _shorten(instance, needs, offered, first, most, staged)
    return stays, staged


# Yearly prices at which packages compete for a short list: of CAPEX (1/a), of a week (CNY/a).
_CAPEX_PRICES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
_WEEK_PRICES = (0.0, 500.0, 2_000.0, 10_000.0)


def _shorten(
    instance: Instance, needs: Needs, offered: Columns, net: FloatArray, most: int, stays: BoolArray
) -> None:
    """The ``most`` packages that are best of their kind at most prices of money and weeks.

    A package that is best at no price is chosen only to fill a budget exactly; leaving it out costs
    little, but it is a restriction: `datacenter.max_packages_per_centre` says so.
    """
    thresholds = (instance.setting(f"{name}_pue") for name in ("upgraded_max", "green_max", "limit"))
    flags = [offered[name] for name in ("heat", "battery", "advanced", "works", "leaves_scope")]
    flags += [offered["pue"] <= threshold + 1e-9 for threshold in thresholds]
    kind = np.zeros(stays.shape, dtype=np.int64)
    for bit, flag in enumerate(flags):
        kind |= flag.astype(np.int64) << bit
    weeks = np.ascontiguousarray(offered["weeks"][:, :, needs.trades].sum(axis=2))
    price, week_price = (g.ravel() for g in np.meshgrid(_CAPEX_PRICES, _WEEK_PRICES))
    keep_most_wanted(stays, kind, net, offered["capex_cny"], weeks, price, week_price, most)

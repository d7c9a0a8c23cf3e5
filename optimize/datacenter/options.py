"""Options of the centres and what each takes from every linking row: pure arrays, no solver.

An option (R2) is: nothing; a package in year t; a package in year t1 and a larger one from the
same list in year t2 > t1; closing in year t with the load moved to a host; a tendered offer.
Retrofits and closures come once per funding mix, and what recovers heat once per heat sink in reach.

A project built in year t works from year t + 1 until the horizon, so its values are sums over
years t+1..horizon: ``energy_pv[i, t]`` discounted IT energy, ``annuity[t]`` discounted years.
For a staged option everything telescopes: first package from t1, minus it and plus the second from t2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from optimize.datacenter.effects import derive_effects
from optimize.datacenter.heat import HeatLinks, derive_heat_links
from optimize.datacenter.in_force import OptionIds, PlanInForce
from optimize.datacenter.instance import FloatArray, Instance, split_list
from optimize.datacenter.kinds import CLOSE, COLUMNS, NONE, NOTHING, OFFER, PACKAGE, STAGED
from optimize.datacenter.locks import Locks, Mixes
from optimize.datacenter.measures import BoolArray, IntArray
from optimize.datacenter.packages import LoadPath, Packages, derive_load_path, derive_packages
from optimize.warm_start import match_rows


@dataclass(frozen=True)
class Options:
    """All options, sorted by centre; the first of each centre is `nothing`.

    Attributes
    ----------
    centre, kind : position of the centre; NOTHING, PACKAGE, STAGED, CLOSE or OFFER.
    first, second : rows of `packages` (NONE where there is none).
    year, second_year : investment years, positions; NONE where there is none.
    host, link, offer : rows of hosts, `links` and offers, or NONE.
    mix : position in `mixes`, or NONE where the owner's own level pays.
    allowed : False for a `nothing` that locks or ``must_choose`` forbid.
    npv_cny, cost_cny, energy_mwh, co2_t, water_m3 : value, discounted cost, and yearly effect in
        the first year in which the whole programme works.
    capex_first_cny, capex_second_cny : paid in ``year`` and ``second_year``.
    works_first, works_second : operation is endangered in that year.
    """

    centre: IntArray
    kind: IntArray
    first: IntArray
    second: IntArray
    year: IntArray
    second_year: IntArray
    host: IntArray
    link: IntArray
    offer: IntArray
    mix: IntArray
    allowed: BoolArray
    npv_cny: FloatArray
    cost_cny: FloatArray
    energy_mwh: FloatArray
    co2_t: FloatArray
    water_m3: FloatArray
    capex_first_cny: FloatArray
    capex_second_cny: FloatArray
    works_first: BoolArray
    works_second: BoolArray
    packages: Packages
    links: HeatLinks
    path: LoadPath
    mixes: tuple[str, ...]
    in_force: PlanInForce | None

    def __len__(self) -> int:
        return len(self.centre)

    def take(self, rows: IntArray) -> Options:
        """The options at ``rows`` only."""
        shared = {"packages", "links", "path", "mixes", "in_force"}
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        return Options(**{name: v if name in shared else v[rows] for name, v in columns.items()})

    @cached_property
    def ids(self) -> OptionIds:
        """What tells the options apart, by the ids of the tables."""
        return ids_of(vars(self), self.packages, self.links)

    @cached_property
    def contracted(self) -> BoolArray:
        """Options that are contracted or later, shape (n,)."""
        if self.in_force is None:
            return np.zeros(len(self), dtype=np.bool_)
        return np.asarray((self.in_force.frozen_row[self.centre] >= 0) & (self.kind != NOTHING))

    def package_in_force(self, last_year: int) -> IntArray:
        """Package row at work through projects of years <= last_year, NONE where none."""
        first = np.where((self.first >= 0) & (self.year <= last_year), self.first, NONE)
        later = (self.second >= 0) & (self.second_year <= last_year)
        return np.where(later, self.second, first)

    def closed_by(self, last_year: int) -> BoolArray:
        return np.asarray((self.kind == CLOSE) & (self.year <= last_year))


def derive_options(instance: Instance, goals: tuple[str, ...], *, drop_dominated: bool = True) -> Options:
    """Every option of every centre that locks, safety and residual life allow."""
    path = derive_load_path(instance)
    links = derive_heat_links(instance)
    locks = Locks(instance)
    plan = None if instance.plan_in_force.empty else PlanInForce(instance)
    fixed = {centre: frozenset({mask}) for centre, mask in locks.fixed_mask.items()}
    free_to_rest = locks.may_do_nothing & ~locks.in_pair
    frozen = np.zeros(len(instance.centres), dtype=np.bool_)
    if plan is not None:
        # a project in force is told from all others, "nothing" among them, by what changing it counts
        for centre, masks in plan.masks_of_centre().items():
            fixed[centre] = fixed.get(centre, frozenset()) | masks
        free_to_rest &= plan.of_centre < 0
        frozen = plan.frozen_row >= 0
        locks.may_do_nothing &= ~frozen
    has_sink = np.isin(np.arange(len(instance.centres)), links.centre)
    packages = derive_packages(
        instance,
        goals,
        path,
        may_do_nothing=free_to_rest,
        has_sink=has_sink,
        protected=fixed,
        standing={centre: masks for centre, masks in fixed.items() if frozen[centre]},
        drop_dominated=drop_dominated,
    )
    mixes = Mixes(instance)
    parts = [
        _nothing(instance),
        _single(instance, packages, links, mixes),
        _staged(instance, packages, links, mixes),
        _closures(instance, mixes),
        _offers(instance),
    ]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}
    open_ = (columns["kind"] == NOTHING) | ~frozen[columns["centre"]]
    columns = {name: values[open_] for name, values in columns.items()}
    keep = locks.allows(columns, packages, instance)
    if plan is not None or int(instance.parameters["revision.first_open_year"]) > instance.base_year:
        keep &= _open_or_in_force(instance, plan, columns, packages, links)
    if plan is not None:
        standing = _standing(plan, packages, links)
        columns = {name: np.concatenate([values, standing[name]]) for name, values in columns.items()}
        keep = np.append(keep, np.ones(len(standing["centre"]), np.bool_))
    allowed = keep | (columns["kind"] == NOTHING)
    order = np.flatnonzero(allowed)
    order = order[np.lexsort((columns["kind"][order], columns["centre"][order]))]
    columns = {name: values[order] for name, values in columns.items()}
    return Options(
        **columns,
        allowed=keep[order],
        **derive_effects(instance, columns, packages, links, path, plan),
        packages=packages,
        links=links,
        path=path,
        mixes=tuple(mixes.names),
        in_force=plan,
    )


def ids_of(columns: Mapping[str, IntArray], packages: Packages, links: HeatLinks) -> OptionIds:
    """The ids behind positions in ``packages`` and ``links``."""
    masks, sinks = np.append(packages.mask, 0), np.append(links.sink, NONE)
    return OptionIds(
        first=masks[columns["first"]],
        second=masks[columns["second"]],
        sink=sinks[columns["link"]],
        **{name: columns[name] for name in ("centre", "kind", "year", "second_year", "host", "offer", "mix")},
    )


def _open_or_in_force(
    instance: Instance,
    plan: PlanInForce | None,
    columns: dict[str, IntArray],
    packages: Packages,
    links: HeatLinks,
) -> BoolArray:
    """ "Nothing", years from the first open one on, and the decisions in force in theirs."""
    first_open = int(instance.parameters["revision.first_open_year"]) - instance.base_year
    may_begin = (columns["kind"] == NOTHING) | (columns["year"] >= first_open)
    if plan is not None:
        may_begin |= plan.holds(ids_of(columns, packages, links))
    return np.asarray(may_begin)


def _standing(plan: PlanInForce, packages: Packages, links: HeatLinks) -> dict[str, IntArray]:
    """What is contracted or later, as it is, whatever may be decided anew."""
    row = plan.frozen_row[plan.frozen_row >= 0]
    ids = plan.ids
    centre = ids.centre[row]
    return {
        "centre": centre,
        "kind": ids.kind[row],
        "first": match_rows((packages.centre, packages.mask), (centre, ids.first[row])),
        "second": match_rows((packages.centre, packages.mask), (centre, ids.second[row])),
        "year": ids.year[row],
        "second_year": ids.second_year[row],
        "host": ids.host[row],
        "link": match_rows((links.centre, links.sink), (centre, ids.sink[row])),
        "offer": ids.offer[row],
        "mix": ids.mix[row],
    }


def _complete(columns: dict[str, IntArray], kind: int) -> dict[str, IntArray]:
    size = len(columns["centre"])
    empty = {name: np.full(size, NONE, dtype=np.int64) for name in COLUMNS}
    return empty | columns | {"kind": np.full(size, kind, dtype=np.int64)}


def _nothing(instance: Instance) -> dict[str, IntArray]:
    return _complete({"centre": np.arange(len(instance.centres))}, NOTHING)


def _residual_need(instance: Instance, masks: IntArray) -> FloatArray:
    """Residual life the measures of each mask ask for in the year of their works."""
    need = np.zeros(len(masks))
    for bit, years in enumerate(instance.measures["min_residual_life_years"]):
        np.maximum(need, np.where(masks >> bit & 1, years, 0.0), out=need)
    return need


def _with_links(columns: dict[str, IntArray], heat: BoolArray, links: HeatLinks) -> dict[str, IntArray]:
    """Rows that recover heat once per link of their centre, the others as they are."""
    starts = np.searchsorted(links.centre, columns["centre"], side="left")
    ends = np.searchsorted(links.centre, columns["centre"], side="right")
    count = np.where(heat, ends - starts, 1)
    rows = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    spread = {name: values[rows] for name, values in columns.items()}
    spread["link"] = np.where(heat[rows], starts[rows] + within, NONE)
    return spread


def _single(instance: Instance, packages: Packages, links: HeatLinks, mixes: Mixes) -> dict[str, IntArray]:
    years = instance.num_years
    first = np.repeat(np.arange(len(packages)), years)
    year = np.tile(np.arange(years), len(packages))
    residual = instance.centres["residual_life_years"].to_numpy(np.float64)[packages.centre]
    safe = residual[first] - year >= _residual_need(instance, packages.mask)[first]
    first, year = first[safe], year[safe]
    columns = {"centre": packages.centre[first], "first": first, "year": year}
    columns = _with_links(columns, packages.heat[first], links)
    return _complete(mixes.spread("retrofit", columns), PACKAGE)


def _staged(instance: Instance, packages: Packages, links: HeatLinks, mixes: Mixes) -> dict[str, IntArray]:
    smaller, larger = _nested_pairs(instance, packages)
    early, late = np.triu_indices(instance.num_years, k=1)
    first, second = np.repeat(smaller, len(early)), np.repeat(larger, len(early))
    year, second_year = np.tile(early, len(smaller)), np.tile(late, len(smaller))
    centre = packages.centre[first]
    residual = instance.centres["residual_life_years"].to_numpy(np.float64)[centre]
    added = packages.mask[second] & ~packages.mask[first]
    safe = residual - year >= _residual_need(instance, packages.mask[first])
    safe &= residual - second_year >= _residual_need(instance, added)
    columns = {
        "centre": centre[safe], "first": first[safe], "second": second[safe],
        "year": year[safe], "second_year": second_year[safe],
    }  # fmt: skip
    columns = _with_links(columns, packages.heat[columns["second"]], links)
    return _complete(mixes.spread("retrofit", columns), STAGED)


def _nested_pairs(instance: Instance, packages: Packages) -> tuple[IntArray, IntArray]:
    """Package rows (p, q) of one centre with the measures of p all in q, and more in q."""
    large = instance.it_load_kw >= instance.setting("staging_min_it_load_kw")
    bounds = np.searchsorted(packages.centre, np.arange(len(instance.centres) + 1))
    smaller, larger = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for number in np.flatnonzero(large).tolist():
        low, high = bounds[number], bounds[number + 1]
        place = low + np.flatnonzero(packages.staged[low:high])
        mask = packages.mask[place]
        nested = ((mask[:, None] & mask[None, :]) == mask[:, None]) & (mask[:, None] != mask[None, :])
        p, q = np.nonzero(nested)
        smaller.append(place[p])
        larger.append(place[q])
    return np.concatenate(smaller), np.concatenate(larger)


def _closures(instance: Instance, mixes: Mixes) -> dict[str, IntArray]:
    centres = instance.centres
    tendered = centres["centre"].isin(instance.offers["centre"]).to_numpy()
    closable = centres["closable"].to_numpy(np.bool_) & ~tendered
    owner = centres["owner_kind"].to_numpy()
    accepted = np.zeros((len(centres), len(instance.hosts)), dtype=np.bool_)
    for position, text in enumerate(instance.hosts["accepts"]):
        kinds = split_list(text)
        accepted[:, position] = closable & (np.isin(owner, kinds) if kinds else True)
    of_centre, host = np.nonzero(accepted)
    years = instance.num_years
    columns = {
        "centre": np.repeat(of_centre, years),
        "host": np.repeat(host, years),
        "year": np.tile(np.arange(years), len(of_centre)),
    }
    return _complete(mixes.spread("closing", columns), CLOSE)


def _offers(instance: Instance) -> dict[str, IntArray]:
    positions = {name: number for number, name in enumerate(instance.centres["centre"])}
    year = instance.offers["year"].to_numpy(np.int64)
    columns = {
        "centre": np.array([positions[c] for c in instance.offers["centre"]], dtype=np.int64),
        "offer": np.arange(len(instance.offers)),
        "year": np.where(year > 0, year - instance.base_year, 0),
    }
    return _complete(columns, OFFER)

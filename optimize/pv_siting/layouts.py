"""(P2) What physically fits at each institution: configurations and offers, before years and money."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.pv_siting.instance import Instance
from optimize.pv_siting.site_codes import positions

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_ROUNDING = 1e-9  # keeps 29.999999999 from being rounded down to 29


@dataclass(frozen=True)
class Layouts:
    """Flat arrays, one entry per site and configuration (or offer) that fits.

    Attributes
    ----------
    site, configuration, offer : positions in the tables; -1: not from that table.
    kind, storage, hot_water : positions in the catalogues; -1: none.
    kw, storage_kwh, heat_kwh : PV (kW), usable storage (kWh), hot water served (kWh/a).
    hosting_kw : hosting capacity used (kW).
    """

    site: IntArray
    configuration: IntArray
    offer: IntArray
    kind: IntArray
    storage: IntArray
    hot_water: IntArray
    kw: FloatArray
    storage_kwh: FloatArray
    heat_kwh: FloatArray
    hosting_kw: FloatArray

    def __len__(self) -> int:
        return len(self.site)

    def take(self, index: IntArray | BoolArray) -> Layouts:
        return Layouts(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def derive_hosting_left(instance: Instance) -> tuple[FloatArray, FloatArray]:
    """Hosting capacity left by existing PV, by feeder and by substation, kW, never negative."""
    sites, feeders, substations = instance.sites, instance.feeders, instance.substations
    feeder = instance.site_codes.feeder
    known = feeder >= 0
    existing = np.bincount(feeder[known], sites["existing_pv_kw"].to_numpy()[known], minlength=len(feeders))
    substation = positions(substations["substation"], feeders["substation"])
    linked = substation >= 0
    below = np.bincount(substation[linked], existing[linked], minlength=len(substations))
    return (
        np.maximum(feeders["hosting_capacity_kw"].to_numpy(np.float64) - existing, 0.0),
        np.maximum(substations["hosting_capacity_kw"].to_numpy(np.float64) - below, 0.0),
    )


def derive_connection_room(instance: Instance) -> FloatArray:
    """Hosting capacity each site finds when it is alone, kW, shape (sites,); inf: no limit."""
    feeder_left, substation_left = derive_hosting_left(instance)
    substation = positions(instance.substations["substation"], instance.feeders["substation"])
    by_feeder = np.minimum(
        feeder_left, np.where(substation >= 0, np.append(substation_left, np.inf)[substation], np.inf)
    )
    return np.asarray(np.append(by_feeder, np.inf)[instance.site_codes.feeder])


def derive_layouts(
    instance: Instance, sites: IntArray | None = None, connection_room_kw: FloatArray | None = None
) -> Layouts:
    """Every configuration that fits a site, and every offer, ordered by site.

    A configuration fits when its surface gives at least the kind's smallest size after the hot
    water's share of the roof, the roof carries its dead load, the site has a hot-water demand where
    it serves one, and its hosting capacity is there on feeder and substation when it is alone.
    A site with offers has no other layouts.  A site whose project is contracted or later has that one only,
    whether it would fit anew or not.

    Parameters
    ----------
    sites : ascending positions of the sites asked for; None: all.
    connection_room_kw : from `derive_connection_room`, where many layouts are derived in parts.
    """
    sites = np.arange(len(instance.sites)) if sites is None else sites
    room = derive_connection_room(instance) if connection_room_kw is None else connection_room_kw
    plan = instance.in_force
    frozen = np.zeros(len(sites), np.bool_) if plan is None else plan.is_frozen(sites)
    own = sites[~instance.site_codes.offered[sites] & ~frozen]
    parts = [_of_configuration(instance, own, position) for position in range(len(instance.configurations))]
    parts = [part.take(part.hosting_kw <= room[part.site] * (1 + 1e-9)) for part in parts]
    if len(own) < len(sites) or not parts:
        parts += [_of_offers(instance, sites[~frozen]), *_standing(instance, sites[frozen])]
    joined = Layouts(
        **{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Layouts)}
    )
    # configurations stand before offers and each is in its table's order already
    return joined.take(np.argsort(joined.site, kind="stable"))


def _standing(instance: Instance, sites: IntArray) -> Iterator[Layouts]:
    """What is contracted or later at the sites, with the capacity that is stated or else fits."""
    plan = instance.in_force
    if plan is None or not len(sites):
        return
    row = plan.frozen_row(sites)
    offered = _of_offers(instance, sites)
    yield _with_stated_kw(instance, offered.take(plan.offer[plan.of_site[offered.site]] == offered.offer))
    for position in np.unique(plan.configuration[row]):
        if position >= 0:
            at = sites[plan.configuration[row] == position]
            yield _with_stated_kw(instance, _of_configuration(instance, at, int(position), must_fit=False))


def _with_stated_kw(instance: Instance, layouts: Layouts) -> Layouts:
    assert instance.in_force is not None
    stated = instance.in_force.kw[instance.in_force.of_site[layouts.site]]
    return _assemble(
        instance,
        **{
            name: getattr(layouts, name)
            for name in ("site", "configuration", "offer", "kind", "storage", "hot_water")
        },
        kw=np.where(np.isnan(stated) | (layouts.kind < 0), layouts.kw, stated),
    )


def _of_configuration(instance: Instance, at: IntArray, position: int, must_fit: bool = True) -> Layouts:
    """Layouts of one configuration at those of the sites ``at`` where it fits (or at all of them)."""
    configurations, codes, sites = instance.configurations, instance.site_codes, instance.sites
    kind = int(codes.configuration_kind[position])
    storage = int(codes.configuration_storage[position])
    heat = int(codes.configuration_hot_water[position])
    fits = np.ones(len(at), dtype=np.bool_)
    reserve = sites["structure_reserve_kg_per_m2"].to_numpy(np.float64)[at]
    heat_m2 = np.zeros(len(at))
    surface_m2 = {
        "roof": sites["usable_roof_m2"],
        "facade": sites["facade_m2"],
        "parking": sites["parking_m2"],
    }
    if heat >= 0:
        share_served, m2_per_kwh, kg_per_m2 = _numbers(
            instance.hot_water, heat, "share_served", "roof_m2_per_kwh", "kg_per_m2"
        )
        heat_kwh = sites["hot_water_kwh_per_a"].to_numpy(np.float64)[at] * share_served
        heat_m2 = heat_kwh * m2_per_kwh
        roof = surface_m2["roof"].to_numpy(np.float64)[at]
        fits &= (heat_kwh > 0) & (heat_m2 <= roof) & (kg_per_m2 <= reserve)
    kw = np.zeros(len(at))
    if kind >= 0:
        surface = str(instance.kinds["surface"].iloc[kind])
        m2_per_kw, kg_per_m2, min_kw = _numbers(instance.kinds, kind, "m2_per_kw", "kg_per_m2", "min_kw")
        fill_share, max_kw = _numbers(configurations, position, "fill_share", "max_kw")
        free_m2 = surface_m2[surface].to_numpy(np.float64)[at]
        if surface == "roof":
            free_m2 = free_m2 - heat_m2
            fits &= kg_per_m2 <= reserve
        largest = np.inf if np.isnan(max_kw) else max_kw
        kw = _round_down(np.minimum(fill_share * free_m2 / m2_per_kw, largest), instance.pv.kw_step)
        fits &= (kw >= min_kw) & (kw > 0)
    fits |= not must_fit
    site = at[fits]
    return _assemble(
        instance,
        site=site,
        configuration=np.full(len(site), position, dtype=np.int64),
        offer=np.full(len(site), -1, dtype=np.int64),
        kind=np.full(len(site), kind, dtype=np.int64),
        storage=np.full(len(site), storage, dtype=np.int64),
        hot_water=np.full(len(site), heat, dtype=np.int64),
        kw=kw[fits],
    )


def _numbers(table: pd.DataFrame, row: int, *columns: str) -> tuple[float, ...]:
    """Cells of one row; a row as a Series would be made of a copy of each column's cell as an object."""
    return tuple(float(table[column].to_numpy(np.float64)[row]) for column in columns)


def _round_down(kw: FloatArray, step: float) -> FloatArray:
    return np.maximum(np.floor(kw / step + _ROUNDING), 0.0) * step


def _of_offers(instance: Instance, sites: IntArray) -> Layouts:
    offer = np.flatnonzero(np.isin(instance.site_codes.of_offer, sites))
    offers = instance.offers.iloc[offer]
    return _assemble(
        instance,
        site=instance.site_codes.of_offer[offer],
        configuration=np.full(len(offers), -1, dtype=np.int64),
        offer=offer,
        kind=positions(instance.kinds["kind"], offers["kind"]),
        storage=positions(instance.storages["storage"], offers["storage"]),
        hot_water=positions(instance.hot_water["hot_water"], offers["hot_water"]),
        kw=offers["kw"].to_numpy(np.float64),
    )


def _assemble(
    instance: Instance,
    *,
    site: IntArray,
    configuration: IntArray,
    offer: IntArray,
    kind: IntArray,
    storage: IntArray,
    hot_water: IntArray,
    kw: FloatArray,
) -> Layouts:
    kwh_per_kw = gather(instance.storages, "kwh_per_kw", storage)
    relief = gather(instance.storages, "hosting_relief_share", storage)
    served = gather(instance.hot_water, "share_served", hot_water)
    return Layouts(
        site=site,
        configuration=configuration,
        offer=offer,
        kind=kind,
        storage=storage,
        hot_water=hot_water,
        kw=kw,
        storage_kwh=kw * kwh_per_kw,
        heat_kwh=instance.sites["hot_water_kwh_per_a"].to_numpy(np.float64)[site] * served,
        hosting_kw=kw * (1.0 - relief),
    )


def gather(
    catalogue: pd.DataFrame, column: str, position: IntArray | NDArray[np.int32], absent: float = 0.0
) -> FloatArray:
    """``catalogue[column]`` at ``position``, ``absent`` where the position is -1."""
    return np.asarray(np.append(catalogue[column].to_numpy(np.float64), absent)[position])

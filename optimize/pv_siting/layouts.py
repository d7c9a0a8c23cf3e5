"""(P2) What physically fits at each institution: configurations and offers, before years and money."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.pv_siting.generation import derive_generation_per_kw, derive_typical_days
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.self_consumption import UseCurve, derive_day_weights, derive_load_shapes

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_ROUNDING = 1e-9  # keeps 29.999999999 from being rounded down to 29


def positions(keys: pd.Series, values: pd.Series) -> IntArray:
    """Position of each value among ``keys``; -1 where it is empty or unknown."""
    return np.asarray(pd.Index(keys).get_indexer(pd.Index(values)), dtype=np.int64)


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
    feeder = positions(feeders["feeder"], sites["feeder"])
    known = feeder >= 0
    existing = np.bincount(feeder[known], sites["existing_pv_kw"].to_numpy()[known], minlength=len(feeders))
    substation = positions(substations["substation"], feeders["substation"])
    linked = substation >= 0
    below = np.bincount(substation[linked], existing[linked], minlength=len(substations))
    return (
        np.maximum(feeders["hosting_capacity_kw"].to_numpy(np.float64) - existing, 0.0),
        np.maximum(substations["hosting_capacity_kw"].to_numpy(np.float64) - below, 0.0),
    )


def derive_layouts(instance: Instance) -> Layouts:
    """Every configuration that fits a site, and every offer, ordered by site.

    A configuration fits when its surface gives at least the kind's smallest size after the hot
    water's share of the roof, the roof carries its dead load, the site has a hot-water demand where
    it serves one, and its hosting capacity is there on feeder and substation when it is alone.
    A site with offers has no other layouts.
    """
    parts = [_of_configuration(instance, position) for position in range(len(instance.configurations))]
    parts.append(_of_offers(instance))
    joined = Layouts(
        **{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Layouts)}
    )
    room = _connection_room(instance)
    joined = joined.take((joined.hosting_kw <= room[joined.site] * (1 + 1e-9)) | (joined.offer >= 0))
    order = np.lexsort((joined.offer, joined.configuration, joined.site))
    return joined.take(order)


def _connection_room(instance: Instance) -> FloatArray:
    feeder_left, substation_left = derive_hosting_left(instance)
    substation = positions(instance.substations["substation"], instance.feeders["substation"])
    by_feeder = np.minimum(
        feeder_left, np.where(substation >= 0, np.append(substation_left, np.inf)[substation], np.inf)
    )
    feeder = positions(instance.feeders["feeder"], instance.sites["feeder"])
    return np.asarray(np.append(by_feeder, np.inf)[feeder])


def _of_configuration(instance: Instance, position: int) -> Layouts:
    row = instance.configurations.iloc[position]
    sites = instance.sites
    kind, storage, heat = (
        int(positions(table[name], pd.Series([row[name]]))[0])
        for name, table in (
            ("kind", instance.kinds),
            ("storage", instance.storages),
            ("hot_water", instance.hot_water),
        )
    )
    fits = ~sites["site"].isin(instance.offers["site"]).to_numpy()
    reserve = sites["structure_reserve_kg_per_m2"].to_numpy()
    roof = sites["usable_roof_m2"].to_numpy(np.float64)
    heat_kwh = np.zeros(len(sites))
    heat_m2 = np.zeros(len(sites))
    if heat >= 0:
        system = instance.hot_water.iloc[heat]
        heat_kwh = sites["hot_water_kwh_per_a"].to_numpy() * system["share_served"]
        heat_m2 = heat_kwh * system["roof_m2_per_kwh"]
        fits &= (heat_kwh > 0) & (heat_m2 <= roof) & (system["kg_per_m2"] <= reserve)
    kw = np.zeros(len(sites))
    if kind >= 0:
        pv = instance.kinds.iloc[kind]
        surface = {"roof": roof - heat_m2, "facade": sites["facade_m2"], "parking": sites["parking_m2"]}
        free_m2 = np.asarray(surface[pv["surface"]], dtype=np.float64)
        largest = np.inf if np.isnan(row["max_kw"]) else float(row["max_kw"])
        kw = _round_down(
            np.minimum(row["fill_share"] * free_m2 / pv["m2_per_kw"], largest), instance.pv.kw_step
        )
        fits &= (kw >= pv["min_kw"]) & (kw > 0)
        if pv["surface"] == "roof":
            fits &= pv["kg_per_m2"] <= reserve
    site = np.flatnonzero(fits)
    return _assemble(
        instance,
        site=site,
        configuration=np.full(len(site), position, dtype=np.int64),
        offer=np.full(len(site), -1, dtype=np.int64),
        kind=np.full(len(site), kind, dtype=np.int64),
        storage=np.full(len(site), storage, dtype=np.int64),
        hot_water=np.full(len(site), heat, dtype=np.int64),
        kw=kw[site],
    )


def _round_down(kw: FloatArray, step: float) -> FloatArray:
    return np.maximum(np.floor(kw / step + _ROUNDING), 0.0) * step


def _of_offers(instance: Instance) -> Layouts:
    offers = instance.offers
    return _assemble(
        instance,
        site=positions(instance.sites["site"], offers["site"]),
        configuration=np.full(len(offers), -1, dtype=np.int64),
        offer=np.arange(len(offers), dtype=np.int64),
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


def gather(catalogue: pd.DataFrame, column: str, position: IntArray, absent: float = 0.0) -> FloatArray:
    """``catalogue[column]`` at ``position``, ``absent`` where the position is -1."""
    return np.asarray(np.append(catalogue[column].to_numpy(np.float64), absent)[position])


@dataclass(frozen=True)
class Energy:
    """Yearly energy of each layout when new, kWh/a."""

    generation_kwh: FloatArray
    used_kwh: FloatArray
    exported_kwh: FloatArray


def derive_energy(instance: Instance, layouts: Layouts) -> Energy:
    """(P1) Generation, own use and export of each layout.

    A stated yearly generation of an offer replaces the derived one.  PV already standing is taken
    to have the layout's orientation and uses the load first.  A layout without PV kind generates
    what its offer states and uses none of it.
    """
    generation = _stated_generation(instance, layouts)
    energy = Energy(np.nan_to_num(generation), np.zeros(len(layouts)), np.nan_to_num(generation))
    with_pv = np.flatnonzero(layouts.kind >= 0)
    if not len(with_pv):
        return energy
    days = derive_typical_days(instance)
    weights = derive_day_weights(days)
    loads = derive_load_shapes(instance.load_profiles, days)
    pv = layouts.take(with_pv)
    tilt, azimuth = _orientation(instance, pv)
    pairs, orientation = np.unique(np.stack([tilt, azimuth], axis=1), axis=0, return_inverse=True)
    per_kw = derive_generation_per_kw(instance, days, pairs[:, 0], pairs[:, 1])
    yearly_per_kw = np.einsum("pdh,d->p", per_kw, days.num_days)

    sites = instance.sites
    own_factor = gather(instance.kinds, "yield_factor", pv.kind) * (
        1.0 - sites["shading_share"].to_numpy(np.float64)[pv.site]
    )
    kwh_per_kw = yearly_per_kw[orientation.ravel()] * own_factor
    stated = generation[with_pv]
    generated = np.where(np.isnan(stated), pv.kw * kwh_per_kw, stated)
    existing = sites["existing_pv_kw"].to_numpy(np.float64)[pv.site] * kwh_per_kw
    load = sites["annual_load_kwh"].to_numpy(np.float64)[pv.site]
    type_codes, type_names = pd.factorize(sites["type"])
    group = np.stack([type_codes[pv.site], orientation.ravel(), pv.storage], axis=1)
    used = np.zeros(len(pv))
    drawn = np.zeros(len(pv))
    for (type_code, pair, storage), members in _groups(group):
        curve = UseCurve(
            weights,
            loads[type_names[type_code]],
            np.concatenate([per_kw[pair], per_kw[pair]]) / yearly_per_kw[pair],
        )
        using = members[load[members] > 0]
        used[using], drawn[using] = _use_of_members(
            instance, curve, storage, using, generated + existing, existing, load, pv.storage_kwh
        )
    energy.generation_kwh[with_pv] = generated
    energy.used_kwh[with_pv] = used
    energy.exported_kwh[with_pv] = np.maximum(generated - drawn, 0.0)
    return energy


def _use_of_members(
    instance: Instance,
    curve: UseCurve,
    storage: int,
    members: IntArray,
    total: FloatArray,
    existing: FloatArray,
    load: FloatArray,
    storage_kwh: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Own use, and generation drawn for it, of what is new at the ``members``, kWh/a."""
    demand = load[members]
    ratio = total[members] / demand
    direct = curve.direct(ratio) - curve.direct(existing[members] / demand)
    if storage < 0:
        return direct * demand, direct * demand
    efficiency = float(instance.storages["efficiency"].iloc[storage])
    shifted = curve.shifted(ratio, storage_kwh[members] / demand, efficiency)
    return (direct + shifted) * demand, (direct + shifted / efficiency) * demand


def _stated_generation(instance: Instance, layouts: Layouts) -> FloatArray:
    return gather(instance.offers, "annual_kwh", layouts.offer, absent=np.nan)


def _orientation(instance: Instance, layouts: Layouts) -> tuple[FloatArray, FloatArray]:
    sites, kinds = instance.sites, instance.kinds
    tilt = gather(kinds, "tilt_deg", layouts.kind)
    azimuth = gather(kinds, "azimuth_deg", layouts.kind)
    on_facade = (kinds["surface"] == "facade").to_numpy()[layouts.kind]
    of_roof = sites["roof_tilt_deg"].to_numpy(np.float64)[layouts.site]
    of_surface = np.where(
        on_facade,
        sites["facade_azimuth_deg"].to_numpy(np.float64)[layouts.site],
        sites["roof_azimuth_deg"].to_numpy(np.float64)[layouts.site],
    )
    return (
        np.where(np.isnan(tilt), np.where(on_facade, 90.0, of_roof), tilt),
        np.where(np.isnan(azimuth), of_surface, azimuth),
    )


def _groups(keys: IntArray) -> list[tuple[tuple[int, int, int], IntArray]]:
    """Members of each distinct row of ``keys``, shape (n, 3)."""
    base = keys.max(axis=0) - keys.min(axis=0) + 1
    shifted = keys - keys.min(axis=0)
    code = (shifted[:, 0] * base[1] + shifted[:, 1]) * base[2] + shifted[:, 2]
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    return [
        ((int(keys[m[0], 0]), int(keys[m[0], 1]), int(keys[m[0], 2])), m) for m in np.split(order, starts[1:])
    ]

"""(P1) Yearly energy of each layout: generation, own use, export."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.pv_siting.generation import TypicalDays, derive_generation_per_kw, derive_typical_days
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.layouts import Layouts, gather
from optimize.pv_siting.schema import SITE_TYPES
from optimize.pv_siting.self_consumption import UseCurve, derive_day_weights, derive_load_shapes

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Orientation = tuple[float, float]


@dataclass(frozen=True)
class Energy:
    """Yearly energy of each layout when new, kWh/a."""

    generation_kwh: FloatArray
    used_kwh: FloatArray
    exported_kwh: FloatArray


class Curves:
    """Generation by orientation and own use by type and orientation, each derived once when asked for."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._hours: dict[Orientation, FloatArray] = {}
        self._uses: dict[tuple[str, Orientation], UseCurve] = {}

    @cached_property
    def _days(self) -> TypicalDays:
        return derive_typical_days(self._instance)

    @cached_property
    def _loads(self) -> dict[str, FloatArray]:
        return derive_load_shapes(self._instance.load_profiles, self._days)

    def yearly_kwh_per_kw(self, orientation: Orientation) -> float:
        """What 1 kW on an unshaded open rack generates in a year."""
        return float(np.einsum("dh,d->", self._generation(orientation), self._days.num_days))

    def use(self, site_type: str, orientation: Orientation) -> UseCurve:
        """Own use at sites of one type and orientation."""
        key = (site_type, orientation)
        if key not in self._uses:
            shape = self._generation(orientation) / self.yearly_kwh_per_kw(orientation)
            self._uses[key] = UseCurve(
                derive_day_weights(self._days), self._loads[site_type], np.concatenate([shape, shape])
            )
        return self._uses[key]

    def _generation(self, orientation: Orientation) -> FloatArray:
        """kWh of 1 kW in each hour of each typical day, shape (d, 24)."""
        if orientation not in self._hours:
            tilt, azimuth = orientation
            self._hours[orientation] = derive_generation_per_kw(
                self._instance, self._days, np.array([tilt]), np.array([azimuth])
            )[0]
        return self._hours[orientation]


def derive_energy(instance: Instance, layouts: Layouts, curves: Curves | None = None) -> Energy:
    """(P1) Generation, own use and export of each layout.

    A stated yearly generation of an offer replaces the derived one.  PV already standing is taken
    to have the layout's orientation and uses the load first.  A layout without PV kind generates
    what its offer states and uses none of it.

    Parameters
    ----------
    curves : those of ``instance``; kept by the caller where many layouts are derived in parts.
    """
    generation = gather(instance.offers, "annual_kwh", layouts.offer, absent=np.nan)
    energy = Energy(np.nan_to_num(generation), np.zeros(len(layouts)), np.nan_to_num(generation))
    with_pv = np.flatnonzero(layouts.kind >= 0)
    if not len(with_pv):
        return energy
    curves = Curves(instance) if curves is None else curves
    pv = layouts.take(with_pv)
    tilt, azimuth = _orientation(instance, pv)
    type_code = instance.site_codes.type[pv.site]
    sites = instance.sites
    factor = gather(instance.kinds, "yield_factor", pv.kind) * (
        1.0 - sites["shading_share"].to_numpy(np.float64)[pv.site]
    )
    existing_kw = sites["existing_pv_kw"].to_numpy(np.float64)[pv.site]
    load = sites["annual_load_kwh"].to_numpy(np.float64)[pv.site]
    generated = generation[with_pv]
    used, drawn = np.zeros(len(pv)), np.zeros(len(pv))
    for members in _groups(type_code, tilt, azimuth, pv.storage):
        first = members[0]
        orientation = (float(tilt[first]), float(azimuth[first]))
        kwh_per_kw = curves.yearly_kwh_per_kw(orientation) * factor[members]
        stated = generated[members]
        generated[members] = np.where(np.isnan(stated), pv.kw[members] * kwh_per_kw, stated)
        using = load[members] > 0
        if using.any():
            curve = curves.use(SITE_TYPES[type_code[first]], orientation)
            existing = (existing_kw[members] * kwh_per_kw)[using]
            here = members[using]
            used[here], drawn[here] = _use_of_members(
                instance, curve, int(pv.storage[first]), generated[here], existing, load[here], pv.storage_kwh[here]
            )  # fmt: skip
    energy.generation_kwh[with_pv] = generated
    energy.used_kwh[with_pv] = used
    energy.exported_kwh[with_pv] = np.maximum(generated - drawn, 0.0)
    return energy


def _use_of_members(
    instance: Instance,
    curve: UseCurve,
    storage: int,
    generated: FloatArray,
    existing: FloatArray,
    demand: FloatArray,
    storage_kwh: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Own use, and generation drawn for it, of what is new at layouts of one kind, kWh/a."""
    ratio = (generated + existing) / demand
    direct = curve.direct(ratio)
    standing = np.flatnonzero(existing)
    direct[standing] -= curve.direct(existing[standing] / demand[standing])
    if storage < 0:
        return direct * demand, direct * demand
    efficiency = float(instance.storages["efficiency"].iloc[storage])
    shifted = curve.shifted(ratio, storage_kwh / demand, efficiency)
    return (direct + shifted) * demand, (direct + shifted / efficiency) * demand


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


def _groups(*keys: NDArray[np.generic]) -> list[IntArray]:
    """Positions of equal ``keys``; each key has shape (n,)."""
    code = np.zeros(len(keys[0]), dtype=np.int64)
    for key in keys:
        own, distinct = pd.factorize(key)
        code = code * len(distinct) + own
        code = pd.factorize(code)[0]  # kept small however many keys there are
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    return np.split(order, starts[1:])

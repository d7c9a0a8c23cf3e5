"""The parts of a city as arrays; no solver, so that what is stored can be verified without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from optimize.city.arrays import CityArrays, join_parts
from optimize.city.datacenter_part import datacenter_part
from optimize.city.instance import DATACENTER, PV_SITING, WATER, City
from optimize.city.part import CityPart
from optimize.city.pv_part import pv_part
from optimize.city.water_part import exact_part, is_exact


def choice_parts(city: City, goals: Sequence[str]) -> list[CityPart]:
    """Programmes made of choices; their arrays stand for them at any size."""
    make = {DATACENTER: datacenter_part, PV_SITING: pv_part}
    return [make[name](city, goals) for name in city.names if name in make]


def with_exact_water(
    city: City, parts: Sequence[CityPart], goals: Sequence[str], exact_lanes: int
) -> list[CityPart] | None:
    """All parts as arrays, in the city's order; None where the network is too large for that."""
    if WATER not in city.names:
        return list(parts)
    if not is_exact(city, exact_lanes):
        return None
    water = exact_part(city, goals, extreme_changes(parts)[1])
    by_name = {part.name: part for part in (*parts, water)}
    return [by_name[name] for name in city.names]


def extreme_changes(parts: Sequence[CityPart]) -> tuple[dict[str, float], dict[str, float]]:
    """Smallest and largest change of each linked demand that any plan could make, m3/a."""
    centres = next((part for part in parts if part.name == DATACENTER), None)
    smallest: dict[str, float] = {}
    largest: dict[str, float] = {}
    if centres is None:
        return smallest, largest
    for demand, change in centres.water_m3.items():
        low, high = np.zeros(int(centres.group.max()) + 1), np.zeros(int(centres.group.max()) + 1)
        np.minimum.at(low, centres.group[change.columns], change.amounts)
        np.maximum.at(high, centres.group[change.columns], change.amounts)
        smallest[demand], largest[demand] = float(low.sum()), float(high.sum())
    return smallest, largest


def certified_arrays(
    city: City, parts: Sequence[CityPart], relaxed_network: CityPart | None, goals: Sequence[str]
) -> CityArrays:
    """The arrays a stored certificate stands on: programmes of choices whole, the network relaxed."""
    if relaxed_network is None:
        return join_parts(city, parts, goals)
    return join_parts(without_water_links(city), in_order(city, parts, relaxed_network), goals)


def without_water_links(city: City) -> City:
    """The city whose network does not hear of retrofits: its relaxation has the room any of them leaves."""
    return replace(city, cooling_water=city.cooling_water.iloc[:0])


def money_only(city: City) -> City:
    """The city of which money is all that is shared."""
    return replace(
        city,
        targets={},
        cooling_water=city.cooling_water.iloc[:0],
        shared_heat=city.shared_heat.iloc[:0],
        pv_at_centres=city.pv_at_centres.iloc[:0],
    )


def in_order(city: City, parts: Sequence[CityPart], network: CityPart) -> list[CityPart]:
    """All parts in the city's order."""
    by_name = {part.name: part for part in (*parts, network)}
    return [by_name[name] for name in city.names]

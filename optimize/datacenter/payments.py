"""Who pays which option, when, by which funding mix (R3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from optimize.datacenter.instance import FloatArray, Instance
from optimize.datacenter.kinds import CLOSE, NONE, OFFER, PACKAGE, STAGED
from optimize.datacenter.measures import IntArray
from optimize.datacenter.options import Options
from optimize.funding import split_capex


@dataclass(frozen=True)
class Payments:
    """Who pays what when: one row per (option, source, year) with an amount, CNY."""

    option: IntArray
    source: IntArray
    year: IntArray
    amount_cny: FloatArray
    sources: tuple[str, ...]


def derive_payments(instance: Instance, options: Options) -> Payments:
    """Split of every option's CAPEX over municipality, districts and owner.

    Ceilings hold for the whole project: the second stage pays what the split of the total leaves.
    """
    sources = _sources(instance)
    position = {name: number for number, name in enumerate(sources)}
    district = np.array([position[d] for d in instance.centres["district"]], dtype=np.int64)
    parts: list[tuple[IntArray, IntArray, IntArray, FloatArray]] = []
    for rows, kind, mix in _groups_of_one_split(instance, options):
        first = _split(instance, kind, mix, options.capex_first_cny[rows])
        total = _split(instance, kind, mix, options.capex_first_cny[rows] + options.capex_second_cny[rows])
        centre = options.centre[rows]
        payers = (
            np.full(len(rows), position["municipal"]),
            district[centre],
            np.full(len(rows), position["owner"]),
        )
        for column, payer in enumerate(payers):
            parts.append((rows, payer, options.year[rows], first[:, column]))
            later = total[:, column] - first[:, column]
            parts.append((rows, payer, options.second_year[rows], later))
    parts.append(_offer_payments(instance, options, position))
    option, source, year, amount = (np.concatenate([np.asarray(part[k]) for part in parts]) for k in range(4))
    paid = (np.abs(amount) > 0.0) & (year >= 0)
    return Payments(option[paid], source[paid], year[paid], amount[paid], sources)


def _sources(instance: Instance) -> tuple[str, ...]:
    named = ["municipal", *instance.districts["district"], "owner"]
    return tuple(dict.fromkeys(named))


def _groups_of_one_split(instance: Instance, options: Options) -> list[tuple[IntArray, str, str | None]]:
    """Rows of options with the same project kind and mix."""
    owner_kinds, owner = np.unique(instance.centres["owner_kind"], return_inverse=True)
    groups = []
    for what, kinds in (("retrofit", (PACKAGE, STAGED)), ("closing", (CLOSE,))):
        chosen = np.isin(options.kind, kinds)
        for number, name in enumerate(owner_kinds):
            of_owner = chosen & (owner[options.centre] == number)
            for mix in np.unique(options.mix[of_owner]):
                rows = np.flatnonzero(of_owner & (options.mix == mix))
                label = None if mix == NONE else options.mixes[mix]
                groups.append((rows, f"{what}_{name}", label))
    return groups


def _split(instance: Instance, kind: str, mix: str | None, capex_cny: FloatArray) -> FloatArray:
    if mix is not None:
        return split_capex(instance.funding, kind, mix, capex_cny)
    paid = np.zeros((len(capex_cny), 3))
    own_level = {"municipal": 0, "district": 1, "enterprise": 2}[kind.split("_")[1]]
    paid[:, own_level] = capex_cny
    return paid


def _offer_payments(
    instance: Instance, options: Options, position: dict[str, int]
) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    rows = np.flatnonzero(options.kind == OFFER)
    option_of = pd.Series(rows, index=instance.offers["offer"].to_numpy()[options.offer[rows]])
    payments = instance.offer_payments
    payments = payments[payments["offer"].isin(option_of.index)]
    return (
        option_of.loc[payments["offer"]].to_numpy(np.int64),
        np.array([position[s] for s in payments["source"]], dtype=np.int64),
        payments["year"].to_numpy(np.int64) - instance.base_year,
        payments["amount_cny"].to_numpy(np.float64),
    )

"""Who pays which option, when, by which funding mix (R3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from optimize.datacenter.instance import FloatArray, Instance
from optimize.datacenter.kinds import CLOSE, NONE, OFFER, PACKAGE, STAGED
from optimize.datacenter.measures import BoolArray, IntArray
from optimize.datacenter.options import Options
from optimize.funding import split_capex


@dataclass(frozen=True)
class Payments:
    """Who pays what when: one row per (option, source, year) with an amount, CNY; ``contracted``: in any case."""

    option: IntArray
    source: IntArray
    year: IntArray
    amount_cny: FloatArray
    contracted: BoolArray
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
        parts += _paid(rows, options.year, first, district[options.centre[rows]], position)
        later = np.flatnonzero(options.second_year[rows] >= 0)
        if len(later):
            twice = rows[later]
            total = _split(
                instance, kind, mix, options.capex_first_cny[twice] + options.capex_second_cny[twice]
            )
            rest = total - first[later]
            parts += _paid(twice, options.second_year, rest, district[options.centre[twice]], position)
    parts.append(_offer_payments(instance, options, position))
    option, source, year, amount = (np.concatenate([np.asarray(part[k]) for part in parts]) for k in range(4))
    return Payments(option, source, year, amount, options.contracted[option], sources)


def _paid(
    rows: IntArray, year: IntArray, amount_cny: FloatArray, district: IntArray, position: dict[str, int]
) -> list[tuple[IntArray, IntArray, IntArray, FloatArray]]:
    """What municipality, district and owner pay, shape (rows, 3), for the options ``rows``; zeros left out."""
    payers = (position["municipal"], None, position["owner"])
    parts = []
    for column, payer in enumerate(payers):
        some = np.flatnonzero((np.abs(amount_cny[:, column]) > 0.0) & (year[rows] >= 0))
        paid_by = district[some] if payer is None else np.full(len(some), payer)
        parts.append((rows[some], paid_by, year[rows[some]], amount_cny[some, column]))
    return parts


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
    option = option_of.loc[payments["offer"]].to_numpy(np.int64)
    source = np.array([position[s] for s in payments["source"]], dtype=np.int64)
    year = payments["year"].to_numpy(np.int64) - instance.base_year
    amount = payments["amount_cny"].to_numpy(np.float64) * _actual_share(options, option, payments)
    paid = (np.abs(amount) > 0.0) & (year >= 0)
    return option[paid], source[paid], year[paid], amount[paid]


def _actual_share(options: Options, option: IntArray, payments: pd.DataFrame) -> FloatArray:
    """What each payment of an offer is of the one tendered: other than 1 where its actual CAPEX is known."""
    if options.in_force is None:
        return np.ones(len(option))
    row = options.in_force.frozen_row[options.centre[option]]
    actual = np.where(row >= 0, options.in_force.actual_capex_cny[row], np.nan)
    total = payments.groupby("offer")["amount_cny"].transform("sum").to_numpy(np.float64)
    return np.where(np.isnan(actual), 1.0, actual / np.where(total > 0, total, 1.0))

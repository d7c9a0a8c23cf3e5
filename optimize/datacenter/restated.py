"""The options of an instance under other figures: what each is then worth, and who then pays what.

Nothing is chosen anew: the options are those the instance offers with its own figures, also where other
figures would give a centre another list of packages.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from optimize.datacenter.effects import derive_effects
from optimize.datacenter.heat import derive_heat_links
from optimize.datacenter.instance import FloatArray, Instance
from optimize.datacenter.kinds import COLUMNS
from optimize.datacenter.measures import derive_sets
from optimize.datacenter.options import Options, derive_options
from optimize.datacenter.packages import Packages, apply_sets, derive_facts, derive_load_path
from optimize.datacenter.payments import derive_payments
from optimize.programme import OptionPayments, RestatedOptions

_OF_FIGURES = ("saving", "pue", "water", "capex_cny", "annual_cny")


def restate_options(instance: Instance, goals: tuple[str, ...]) -> RestatedOptions:
    """The options of ``instance`` for instances that differ in costs, yields, prices and demand."""
    options = derive_options(instance, goals)

    def npv_cny(other: Instance) -> FloatArray:
        return np.asarray(_restated(other, options).npv_cny, dtype=np.float64)

    def payments(other: Instance) -> OptionPayments:
        paid = derive_payments(other, _restated(other, options))
        return OptionPayments(
            paid.option, paid.source, paid.year + other.base_year, paid.amount_cny, paid.sources
        )

    return RestatedOptions(npv_cny, payments)


def _restated(other: Instance, options: Options) -> Options:
    """The same options with the figures of another instance."""
    packages = _packages(other, options.packages)
    path, links = derive_load_path(other), derive_heat_links(other)
    columns = {name: getattr(options, name) for name in COLUMNS}
    effects = derive_effects(other, columns, packages, links, path, options.in_force)
    return dataclasses.replace(options, packages=packages, links=links, path=path, **effects)


def _packages(other: Instance, packages: Packages) -> Packages:
    """Effect and cost of the listed packages, one set of measures after another."""
    facts = derive_facts(other)
    masks, set_of = np.unique(packages.mask, return_inverse=True)
    sets = derive_sets(other, masks)
    figures: dict[str, Any] = {name: np.empty(len(packages)) for name in _OF_FIGURES}
    order = np.argsort(set_of, kind="stable")
    bounds = np.searchsorted(set_of[order], np.arange(len(masks) + 1))
    for position in range(len(masks)):
        rows = order[bounds[position] : bounds[position + 1]]
        applied = apply_sets(facts, sets.take(np.array([position])), packages.centre[rows])
        for name in _OF_FIGURES:
            figures[name][rows] = applied[name][:, 0]
    return dataclasses.replace(packages, **figures)

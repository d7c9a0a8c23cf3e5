"""The Lagrangian bound of a network as a certificate: its multipliers in the order and by the names of the tables."""

from __future__ import annotations

import math

import numpy as np

from optimize.engine.network_bound import LagrangianBound, Prices
from optimize.result import NetworkCertificate
from optimize.water.coefficients import Coefficients
from optimize.water.fast_layout import sign_of
from optimize.water.fast_network import purses_of
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray
from optimize.water.proof.multipliers import (
    COARSE_BITS,
    GRID_BITS,
    MOST_BYTES,
    NetworkMultipliers,
    commodities,
    names_of,
    pack,
    rounded,
    shapes_of,
)

ROUNDING = 1e-9
_BYTES = 4  # of a multiplier that is not packed
SECONDS_PER_MULTIPLIER = 6e-7
"""What rounding, packing and one more evaluation take, on the safe side."""


def network_certificate(
    instance: Instance, c: Coefficients, goal: str, lagrangian: LagrangianBound, groups: list[IntArray]
) -> NetworkCertificate:
    """The best multipliers, rounded, and the bound that they prove then.

    Parameters
    ----------
    c : over all periods.
    groups : periods of each season of the Lagrangian's network.
    """
    order = Order(c, lagrangian, groups)
    names = names_of(instance, c)
    exact = order.stated(*lagrangian.best_multipliers())
    for bits in (GRID_BITS, COARSE_BITS):
        kept, grid = rounded(exact, bits)
        content = pack(kept, grid, names)
        if len(content) <= MOST_BYTES:
            break
    value = lagrangian.value_at(*order.of_engine(kept)) + _rounding(lagrangian, kept)
    fits = len(content) <= MOST_BYTES
    return NetworkCertificate(
        sign_of(goal) * value, content if fits else None, len(content), exact.num_seasons, exact.size
    )


def _rounding(lagrangian: LagrangianBound, multipliers: NetworkMultipliers) -> float:
    """By how much the bound is claimed weaker, so that its rounding outwards elsewhere does not refute it."""
    demand = lagrangian.network.demand.sum(axis=1)
    dearest = np.abs(multipliers.potential).max(axis=(1, 2), initial=0.0)
    return ROUNDING * float(demand @ dearest)


def unstored_certificate(
    instance: Instance, c: Coefficients, goal: str, lagrangian: LagrangianBound, groups: list[IntArray]
) -> NetworkCertificate:
    """What multipliers proved that are not kept; parameters as of `network_certificate`."""
    shapes = shapes_of(names_of(instance, c), len(groups))
    size = sum(math.prod(shape) for shape in shapes.values())
    return NetworkCertificate(sign_of(goal) * lagrangian.best, None, _BYTES * size, len(groups), size)


class Order:
    """Multipliers as the engine has them, and as the certificate does.

    The engine has commodities by quality and user and knows finite purses only.
    """

    def __init__(self, c: Coefficients, lagrangian: LagrangianBound, groups: list[IntArray]) -> None:
        network = lagrangian.network
        requirement = np.argsort(c.demand_user, kind="stable")
        num_qualities, num_demands = len(network.grade_start) - 1, len(requirement)
        grade = np.repeat(np.arange(num_qualities), np.diff(network.grade_start))
        key = grade * num_demands + requirement[network.requirement_of]
        quality, demand = commodities(c)
        self._of_engine = np.argsort(key, kind="stable")
        assert (key[self._of_engine] == quality * num_demands + demand).all()
        self._purses = purses_of(c, c.budgets.amount_cny[:, 0])
        self._num_sources = len(c.budgets.sources)
        self._season = np.full(len(c.days), -1, np.int64)
        for season, periods in enumerate(groups):
            self._season[periods] = season

    def stated(self, potential: FloatArray, birth: FloatArray, prices: Prices) -> NetworkMultipliers:
        """As the certificate has them."""
        purse = np.zeros(self._num_sources)
        purse[self._purses] = prices.purse
        return NetworkMultipliers(
            self._season, potential[:, :, self._of_engine], birth, purse, prices.raw, prices.effect
        )

    def of_engine(self, multipliers: NetworkMultipliers) -> tuple[FloatArray, FloatArray, Prices]:
        """As the engine has them."""
        potential = np.empty_like(multipliers.potential)
        potential[:, :, self._of_engine] = multipliers.potential
        purse = multipliers.purse[self._purses]
        return potential, multipliers.birth, Prices(purse, multipliers.raw, multipliers.effect)

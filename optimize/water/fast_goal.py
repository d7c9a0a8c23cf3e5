"""Goals as one weighted sum, always maximised: what the search, the model and the bounds look at.

Every goal is a worth per m3 of each flow and a price of each investment.  ``npv`` counts benefits
less all money, ``cost`` is money with its sign turned, ``volume``, ``tn`` and ``co2`` are totals of a
year and leave money out: there only the budgets limit what is built.  ``changes`` counts investments only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optimize.water.coefficients import Coefficients
from optimize.water.flow_arrays import FlowRates
from optimize.water.instance import Instance, Parameters
from optimize.water.investments import FloatArray

MINIMISED = ("cost", "changes")
SECOND_GOAL_SHARE = 0.02
"""Weight of net present value in the search for a goal that leaves money out: it breaks ties."""


@dataclass(frozen=True)
class Kept:
    """An earlier goal of a list and the value its own plan reached, in the goal's unit."""

    goal: str
    reached: float


@dataclass(frozen=True)
class Weights:
    """Worth of one unit of each goal; the sum is maximised, so `cost` counts negatively."""

    parameters: Parameters
    stage_weight: float
    npv: float = 0.0
    cost: float = 0.0
    volume: float = 0.0
    tn: float = 0.0
    co2: float = 0.0
    changes: float = 0.0  # of which no m3 brings any

    @property
    def money(self) -> float:
        """Worth lost per present CNY of an investment, a refusal or a penalty."""
        return self.npv + self.cost

    def per_m3(self, rates: FlowRates, *, delivers: bool = False) -> FloatArray:
        """Worth of 1 m3 a year; ``delivers`` for flows that count as reclaimed water used."""
        own = self.parameters
        value = rates.net_value_cny(own.carbon_cny_per_t, own.tn_value_cny_per_kg)
        worth = self.stage_weight * (self.npv * value - self.cost * rates.cost_cny)
        worth = worth + self.tn * rates.tn_kg + self.co2 * rates.co2_kg / 1000.0
        return np.asarray(worth + self.volume if delivers else worth, float)


def weights_of(instance: Instance, c: Coefficients, goal: str) -> Weights:
    """One goal alone, as the model and the bounds have it."""
    shares = {goal: 1.0}
    return Weights(instance.parameters, float(c.stage_weight[0]), **shares)


def search_weights(instance: Instance, c: Coefficients, goals: Sequence[str]) -> Weights:
    """The first goal in amounts like those of the net present value, and a small share of the next.

    Prices of money, penalties and temperatures of the search are tuned to present values.  A goal that
    leaves money out is joined by the net present value where no other goal follows.
    """
    first = goals[0]
    second = goals[1] if len(goals) > 1 else "npv"
    shares = {first: _scale_of(instance, c, first)}
    if second != first and (len(goals) > 1 or first not in ("npv", "cost")):
        shares[second] = SECOND_GOAL_SHARE * _scale_of(instance, c, second)
    return Weights(instance.parameters, float(c.stage_weight[0]), **shares)


def _scale_of(instance: Instance, c: Coefficients, goal: str) -> float:
    """Present CNY that one unit of a goal is counted for."""
    if goal in ("npv", "cost", "changes"):
        return 1.0
    yearly = c.demand_m3_per_d[0] @ c.days
    gross = float(yearly @ np.maximum(weights_of(instance, c, "npv").per_m3(c.delivery), 0.0))
    most = _most_of(c, goal, yearly)
    return gross / most if most > 0 and gross > 0 else 1.0


def _most_of(c: Coefficients, goal: str, yearly: FloatArray) -> float:
    """Total of a goal if every demand were met, m3/a, kg/a or t/a."""
    per_m3: Mapping[str, FloatArray | float] = {
        "volume": 1.0,
        "tn": float(np.where(c.can_treat, c.production.tn_kg, 0.0).max(initial=0.0)),
        "co2": np.maximum(c.delivery.co2_kg, 0.0) / 1000.0,
    }
    return float((yearly * per_m3[goal]).sum())

"""Lagrangian bound of capacitated location: each customer's row has a price, each facility is a knapsack.

With prices v_j of serving customer j,

    L(v) = sum_j v_j + min over y of sum_i (fixed_i + K_i(v)) y_i,
    K_i(v) = min of sum_j (serve_ij - v_j) x_ij,  sum_j need_j x_ij <= capacity_i,  0 <= x_ij <= 1,

where y has the number of facilities asked for, or enough of them to hold all demand.  Any v gives a bound.
K_i is a continuous knapsack; where all customers are on a single feed and needs are whole, one of whole items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimize.engine.fixed_charge import NEGLIGIBLE, BoolArray, FloatArray, IntArray
from optimize.engine.stopping import Watch

_MOST_ITERATIONS = 600
_FIRST_STEP, _STEP_FALL, _PATIENCE, _LEAST_STEP = 1.5, 0.6, 12, 0.01
# The first target lies this share above the bound; later ones follow the bound or the best plan guessed.
_TARGET = 0.01
# Demand is held in so many parts where facilities differ in size: sizes are rounded up.
_PARTS = 1_000
# Whole knapsacks up to this capacity.
_MOST_WHOLE = 4_000


@dataclass(frozen=True)
class LocationPrices:
    """Prices of the customers (J,), the bound they prove, and what opening each facility is worth (I,; least best)."""

    customer: FloatArray
    bound: float
    worth: FloatArray
    is_open: BoolArray


class LocationBound:
    """The bound of the module's docstring; arguments as in `location.Location`."""

    def __init__(
        self, fixed: FloatArray, capacity: FloatArray, need: FloatArray, serve: FloatArray, whole: BoolArray,
        num_open: int | None, least_open: int,
    ) -> None:  # fmt: skip
        self._fixed, self._capacity, self._need = fixed, capacity, need
        self._num_open, self._least_open = num_open, least_open
        self._dear = (
            float(np.abs(fixed).sum() + np.where(np.isfinite(serve), np.abs(serve), 0.0).max(axis=1).sum())
            + 1.0
        )
        self._serve = np.where(np.isfinite(serve), serve, self._dear)
        self._is_whole = bool(
            whole.all() and (need == np.round(need)).all() and capacity.max(initial=0.0) <= _MOST_WHOLE
        )
        part = float(need.sum()) / _PARTS
        self._same_size = bool(np.ptp(capacity) == 0.0) if len(capacity) else True
        self._parts = np.minimum(np.ceil(capacity / part * (1 - NEGLIGIBLE)), _PARTS).astype(np.int64)

    def improve(self, watch: Watch) -> LocationPrices:
        """Subgradient steps of Polyak's length towards a target a little above the bound."""
        second = np.sort(self._serve, axis=1)[:, min(1, self._serve.shape[1] - 1)]
        v = second.copy()
        best, step, fruitless = self._evaluate(v)[0], _FIRST_STEP, 0
        for _ in range(_MOST_ITERATIONS):
            prices, served = self._evaluate(v)
            if prices.bound > best.bound + 1e-7 * abs(best.bound):
                best, fruitless = prices, 0
            else:
                fruitless += 1
            if watch.must_stop or step < _LEAST_STEP:
                break
            if fruitless >= _PATIENCE:
                step, fruitless, v = step * _STEP_FALL, 0, best.customer.copy()
                continue
            lacking = 1.0 - served
            norm = float(lacking @ lacking)
            if norm == 0.0:
                break
            target = best.bound + max(_TARGET * step / _FIRST_STEP, 1e-4) * abs(best.bound)
            v = v + step * (target - prices.bound) / norm * lacking
        return best

    def left(self, prices: LocationPrices, cost: float) -> tuple[BoolArray, BoolArray]:
        """Facilities that a plan cheaper than ``cost`` may open, and those that it must, (I,) each."""
        num = len(self._fixed)
        allowed, must = np.ones(num, np.bool_), np.zeros(num, np.bool_)
        if not np.isfinite(cost):
            return allowed, must
        beyond = 1.0 + float(np.abs(prices.worth).sum())
        fewer = float(prices.customer.sum())
        limit = cost + 1e-9 * abs(cost)
        for i in range(num):
            forced = prices.worth.copy()
            if prices.is_open[i]:
                forced[i] += beyond
                is_open = self._choose(forced)
                must[i] = is_open[i] or fewer + prices.worth[is_open].sum() > limit
            else:
                forced[i] -= beyond
                allowed[i] = fewer + prices.worth[self._choose(forced)].sum() <= limit
        return allowed, must

    def _evaluate(self, v: FloatArray) -> tuple[LocationPrices, FloatArray]:
        """The bound at prices (J,), and how often each customer is served there."""
        value, x = self._whole_knapsacks(v) if self._is_whole else self._knapsacks(v)
        worth = self._fixed + value
        is_open = self._choose(worth)
        bound = float(v.sum() + worth[is_open].sum())
        return LocationPrices(v, bound, worth, is_open), x[:, is_open].sum(axis=1)

    def _knapsacks(self, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values (I,) and shares (J, I) of the continuous knapsacks."""
        gain = self._serve - v[:, None]
        order = np.argsort(gain / self._need[:, None], axis=0)
        need = self._need[order]
        room = self._capacity[None] - (np.cumsum(need, axis=0) - need)
        sorted_gain = np.take_along_axis(gain, order, axis=0)
        taken = np.where(sorted_gain < 0, np.clip(room / need, 0.0, 1.0), 0.0)
        x = np.zeros_like(gain)
        np.put_along_axis(x, order, taken, axis=0)
        return (sorted_gain * taken).sum(axis=0), x

    def _whole_knapsacks(self, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values (I,) and items (J, I) of the knapsacks of whole items, all facilities side by side."""
        gain = np.minimum(self._serve - v[:, None], 0.0)
        need = self._need.astype(np.int64)
        most = int(self._capacity.max())
        value = np.zeros((gain.shape[1], most + 1))
        taken = np.zeros((len(need), *value.shape), np.bool_)
        for j in range(len(need)):
            if need[j] > most:
                continue
            with_j = value[:, : most + 1 - need[j]] + gain[j][:, None]
            better = with_j < value[:, need[j] :]
            taken[j, :, need[j] :] = better
            value[:, need[j] :] = np.where(better, with_j, value[:, need[j] :])
        left: IntArray = np.floor(self._capacity + 1e-9).astype(np.int64)
        every, total = np.arange(gain.shape[1]), value[np.arange(gain.shape[1]), left]
        x = np.zeros_like(gain)
        for j in range(len(need) - 1, -1, -1):
            own = taken[j, every, left]
            x[j] = own
            left = left - own * need[j]
        return total, x

    def _choose(self, worth: FloatArray) -> BoolArray:
        """The cheapest facilities that are as many as asked for, or hold all demand, (I,)."""
        is_open = np.zeros(len(worth), np.bool_)
        order = np.argsort(worth, kind="stable")
        if self._num_open is not None:
            is_open[order[: self._num_open]] = True
            return is_open
        is_open[worth < 0] = True
        if self._same_size:
            is_open[order[: self._least_open]] = True
            return is_open
        if self._parts[is_open].sum() >= _PARTS:
            return is_open
        return self._cover(worth, is_open)

    def _cover(self, worth: FloatArray, is_open: BoolArray) -> BoolArray:
        """Facilities that are cheapest to add until the parts of demand are held: least cost by parts held."""
        held = int(self._parts[is_open].sum())
        cost = np.full(_PARTS + 1 - held, np.inf)
        cost[0] = 0.0
        others = np.flatnonzero(~is_open)
        taken = np.zeros((len(others), len(cost)), np.bool_)
        reach = np.arange(len(cost))
        for k, i in enumerate(others):
            # holding more than all demand counts as holding it
            from_state = np.maximum(reach - self._parts[i], 0)
            with_i = cost[from_state] + worth[i]
            with_i[0] = np.inf
            taken[k] = with_i < cost
            cost = np.where(taken[k], with_i, cost)
        chosen, state = is_open.copy(), len(cost) - 1
        for k in range(len(others) - 1, -1, -1):
            if taken[k, state]:
                chosen[others[k]] = True
                state = max(state - int(self._parts[others[k]]), 0)
        return chosen

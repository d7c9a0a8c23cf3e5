"""What the search for a joint plan holds: the best point, the network's plans, prices, and its questions to programmes."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from optimize.city.across import plan_from_prices
from optimize.city.arrays import CityArrays, join_parts
from optimize.city.bound import Relaxed
from optimize.city.instance import WATER, City
from optimize.city.network import Asked, ask_water
from optimize.city.part import CityPart
from optimize.city.parts import extreme_changes
from optimize.city.water_part import WaterPlan, plans_part
from optimize.engine.goals import solve_goals
from optimize.engine.stopping import Watch
from optimize.milp import BoolArray, FloatArray
from optimize.programme import SolveOptions
from optimize.result import Certificate, Relaxation, StopReason, TracePoint

T = TypeVar("T")
# A programme's own point (None: none found), its bound, and why it stopped.
OwnAnswer = tuple[FloatArray | None, float | None, StopReason]

# Shares of the whole time limit: each question to a programme or to the network.
PART_SHARE = 0.1
_NETWORK_SHARE = 0.22
_COLUMNS_SHARE = 0.12
IMPROVE_SHARE = 0.1
# Above this many integer columns plans come from the relaxation's prices, across programmes.
_LARGE = 8_000
# Where an answer has no plan when its time is over, it is waited for up to this share.
_PATIENCE = 0.5
FEASIBLE = 1e-6


class _PlanInHand(threading.Event):
    """Set by the user's interrupt, or when the time is over and there is a plan."""

    def __init__(self, outer: threading.Event, seconds: float) -> None:
        super().__init__()
        self._outer = outer
        self._until = time.monotonic() + seconds
        self._has_plan = False

    def told(self, point: TracePoint) -> None:
        self._has_plan |= point.plan is not None

    def is_set(self) -> bool:
        return self._outer.is_set() or (self._has_plan and time.monotonic() > self._until)


@dataclass
class Search:
    """State of the search: plans of the network so far, the best point on `arrays`, the last relaxation."""

    city: City
    parts: list[CityPart]
    options: SolveOptions
    watch: Watch
    plans: list[WaterPlan] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    x: FloatArray | None = None
    relaxed: Relaxed | None = None
    infeasible: bool = False
    relaxations: tuple[Relaxation, ...] = ()
    multipliers: dict[str, FloatArray] = field(default_factory=dict)
    certificate: Certificate | None = None

    def __post_init__(self) -> None:
        self.goal = self.options.goal[0]
        self.sign = 1.0 if self.watch.maximise else -1.0
        self.has_network = WATER in self.city.names and not any(p.name == WATER for p in self.parts)
        self.is_large = sum(int(part.milp.integral.sum()) for part in self.parts) > _LARGE
        self.smallest, self.largest = extreme_changes(self.parts)
        self._arrays: CityArrays | None = None

    # --- the programme at hand ----------------------------------------------------------------------

    def in_order(self) -> list[CityPart]:
        by_name = {part.name: part for part in self.parts}
        if self.has_network:
            by_name[WATER] = plans_part(self.city, (self.goal,), self.plans)
        return [by_name[name] for name in self.city.names]

    @property
    def arrays(self) -> CityArrays:
        if self._arrays is None:
            self._arrays = self.aimed(join_parts(self.city, self.in_order(), (self.goal,)))
        return self._arrays

    def aimed(self, arrays: CityArrays) -> CityArrays:
        objective = arrays.objectives[self.goal]
        milp = arrays.milp.with_objective(objective.cost, objective.maximise, objective.offset)
        return dataclasses.replace(arrays, milp=milp)

    def add_plan(self, plan: WaterPlan) -> None:
        """A further plan to choose from; the point in hand stays what it is."""
        old = self._arrays
        self.plans.append(plan)
        self._arrays = None
        if self.x is not None and old is not None:
            self.x = self.arrays.carried_from(old, self.x)

    @property
    def value(self) -> float:
        assert self.x is not None
        return self.arrays.milp.value(self.x)

    def keep(self, x: FloatArray | None) -> bool:
        """Hold a point if it is a plan of the whole city and the best so far."""
        if x is None or self.arrays.milp.violation(x) > FEASIBLE:
            return False
        if self.x is not None and self.sign * (self.arrays.milp.value(x) - self.value) <= 0:
            return False
        self.x = x
        self.watch.offer_plan(self.value)
        return True

    def plan_from_prices(self) -> None:
        """A plan at the relaxation's prices, or the one in hand with what gains most at them."""
        if self.relaxed is None or self.watch.must_stop or self.watch.gap_reached:
            return
        self.keep(plan_from_prices(self.arrays, self.relaxed, self.x, self.watch.child()))

    # --- time -----------------------------------------------------------------------------------------

    def timed(self, name: str, step: Callable[[], T]) -> T:
        began = self.watch.seconds()
        value = step()
        self.timings[f"{name}_s"] = self.watch.seconds() - began
        return value

    def seconds(self, share: float) -> float:
        return max(min(share * self.options.time_limit_s, self.watch.remaining()), 1e-2)

    def own_options(self, share: float) -> SolveOptions:
        return dataclasses.replace(
            self.options, time_limit_s=self.seconds(share), progress=None, write_model=None
        )

    def stop_reason(self) -> StopReason:
        if self.x is None and self.infeasible:
            return StopReason.INFEASIBLE
        return self.watch.stop_reason()

    # --- questions -----------------------------------------------------------------------------------------

    def ask(
        self, share_cny: FloatArray, moved_m3: dict[str, float], time_share: float = _NETWORK_SHARE,
        *, fewest_changes: bool = False,
    ) -> Asked:  # fmt: skip
        """A plan of the network; ``fewest_changes``: one that changes least of the plan in force."""
        options = self.options
        if fewest_changes:
            phased = bool(self.city.part(WATER).data.parameters["water.phased"])
            options = dataclasses.replace(options, goal=("changes",) if phased else ("changes", self.goal))
        return ask_water(self.city, share_cny, moved_m3, options, self.seconds(time_share))

    def as_a_whole(
        self, arrays: CityArrays, share: float
    ) -> tuple[FloatArray | None, float | None, StopReason]:
        objective = arrays.objectives[self.goal]
        outcome = solve_goals(arrays.milp, [objective], self.own_options(share), group=arrays.group)
        return outcome.x, outcome.bound, outcome.stop

    def one_by_one(
        self, arrays: CityArrays, share_cny: FloatArray, known: Mapping[str, OwnAnswer] | None = None
    ) -> tuple[FloatArray | None, list[float | None], StopReason]:
        """Each programme of arrays on its share; the network carries out its best plan so far.

        ``known`` : answers on these shares that there are already.
        """
        known = known or {}
        x = np.zeros(arrays.milp.num_columns)
        some = arrays.shares >= 0
        x[arrays.shares[some]] = share_cny[some]
        bounds: list[float | None] = []
        stop = StopReason.OPTIMAL
        for k, part in enumerate(arrays.parts):
            start = None if self.x is None else self.arrays.of_part(k, self.x)
            answer = known.get(part.name) or self.answer(part, share_cny[k], start)
            own, bound, stop_of_part = answer
            if part.name != WATER or not self.has_network:
                bounds.append(bound)
            if own is None:
                return None, bounds, stop_of_part
            if stop_of_part is not StopReason.OPTIMAL:
                stop = stop_of_part
            x[arrays.first[k] : arrays.first[k + 1]] = own
        return x, bounds, stop

    def answer(
        self, part: CityPart, share_cny: FloatArray, start: FloatArray | None, gap: float | None = None
    ) -> OwnAnswer:
        """A programme alone under its share of the pool; ``gap`` to stop at, None: that of the city."""
        upper = part.milp.row_upper.copy()
        upper[part.money.row] = 0.0
        money = part.money
        np.add.at(upper, money.row, money.per_cny * share_cny[money.source, money.year])
        milp = dataclasses.replace(part.milp, row_upper=upper)
        objective = part.objectives[self.goal]
        enough = _PlanInHand(
            self.options.interrupt, self.seconds(_COLUMNS_SHARE if part.by_columns else PART_SHARE)
        )
        own = dataclasses.replace(
            self.own_options(_PATIENCE),
            interrupt=enough,
            progress=enough.told,
            gap=self.watch.gap if gap is None else gap,
        )
        outcome = solve_goals(
            milp, [objective], own, start=start, group=part.group if part.by_columns else None,
            row_multipliers=self.multipliers.get(part.name),
        )  # fmt: skip
        if outcome.certificate is not None:
            self.multipliers[part.name] = outcome.certificate.multipliers
        is_ours = outcome.stop is StopReason.INTERRUPTED and not self.watch.interrupted
        return outcome.x, outcome.bound, StopReason.TIME_LIMIT if is_ours else outcome.stop

    def freed(self, k: int) -> BoolArray:
        """A programme's columns, all shares, and the city's own columns."""
        free = np.zeros(self.arrays.milp.num_columns, dtype=np.bool_)
        free[self.arrays.first[k] : self.arrays.first[k + 1]] = True
        free[self.arrays.first[-1] :] = True
        return free | ~self.arrays.milp.integral

    def improve(self, free: BoolArray, k: int | None, share: float = IMPROVE_SHARE) -> bool:
        """The best plan with all but the ``free`` columns held, those of part ``k`` (None: of all)."""
        assert self.x is not None
        rest, rows = self.arrays.milp.restriction(free, self.x)
        objective = dataclasses.replace(self.arrays.objectives[self.goal], cost=rest.cost, offset=rest.offset)
        by_columns = k is None or self.arrays.parts[k].by_columns
        known = None if k is None else self.known_multipliers(k)
        outcome = solve_goals(
            rest, [objective], self.own_options(share), start=self.x[free],
            group=self.arrays.group[free] if by_columns else None,
            row_multipliers=None if known is None else known[rows],
        )  # fmt: skip
        if outcome.x is None:
            return False
        x = self.x.copy()
        x[free] = outcome.x
        return self.keep(x)

    def known_multipliers(self, k: int) -> FloatArray | None:
        """What a part's earlier answer says of its own rows and of the pool's; None where there is none."""
        part = self.arrays.parts[k]
        own = self.multipliers.get(part.name)
        if own is None:
            return None
        known = np.zeros(self.arrays.milp.num_rows)
        known[self.arrays.first_row[k] : self.arrays.first_row[k + 1]] = own
        money = part.money
        np.add.at(known, self.arrays.pool_rows[money.source, money.year], money.per_cny * own[money.row])
        return known

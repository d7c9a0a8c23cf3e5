"""Branch and cut over one neighbourhood of the best plan after another, in a year of few periods.

The search changes a few users at a time and ends where no such change pays; over all works and periods branch
and cut finds nothing.  In between: around some node every work may be built, farther out the plan's own works may
stay or go, so that their money and water can be spent anew, and the farthest stay.  Neighbourhoods are solved over
the mean year first, where they are smallest, then over groups of like periods.  What they find is a plan of the
year as it is only once a model over those works has set the volumes of all periods.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from optimize.engine.highs import solve_milp
from optimize.engine.stopping import Watch
from optimize.result import StopReason
from optimize.water.coefficients import BoolArray, Coefficients
from optimize.water.fast_layout import FlowModel, Part
from optimize.water.fast_model import averaged, build_flow_model
from optimize.water.fast_rounds import PACE_SHARE, Pace
from optimize.water.fast_steps import Solve
from optimize.water.investments import FloatArray, IntArray

MOST_GROUPS = 3
"""Of like periods that the year is cast into; over the mean year alone what is found mostly does not hold."""
FIRST_CORRIDORS, FEWEST_CORRIDORS, WIDER = 20, 6, 1.2
"""How many corridors of a neighbourhood may have any works; more where it was solved in vain, fewer where time ran out."""
MOST_FREE_LANES = 150
"""So many of the plan's lanes, the nearest, may be left out; the rest stay."""
REGION_SECONDS, REGION_SHARE = 6.0, 0.05
"""Longest for one neighbourhood, and of the whole time limit."""
PLAN_ENDS_SHARE = 0.7
"""Of neighbourhoods around an end of one of the plan's pipes; the others are around any node."""
BLUR = 0.3
"""Distances are stretched by up to this share at random, so that no two neighbourhoods are quite alike."""
LEAST_GAIN = 1e-6
"""Relative; a plan of a year of few periods better by less is the same."""


def like_periods(c: Coefficients, num_groups: int) -> list[IntArray]:
    """Periods with days in at most so many groups, alike in what users want and plants have (Ward 1963)."""
    periods = np.flatnonzero(c.days > 0)
    if num_groups >= len(periods):
        return [np.array([period]) for period in periods]
    seen = np.concatenate([c.demand_m3_per_d[0], c.available_m3_per_d])[:, periods]
    group = (
        np.ones(1, np.int64)
        if len(periods) == 1
        else fcluster(linkage(seen.T, "ward"), num_groups, "maxclust")
    )
    return [periods[group == k] for k in np.unique(group)]


@dataclass
class _Held:
    """The best plan over the year of few periods."""

    model: FlowModel
    x: FloatArray
    value: float


class Neighbourhoods:
    """One neighbourhood of the best plan at a time; see the module's docstring."""

    step = "neighbourhoods"

    def __init__(self, solve: Solve) -> None:
        self._solve, c = solve, solve.c
        self.pace = Pace(PACE_SHARE * solve.watch.options.time_limit_s)
        groups = like_periods(c, MOST_GROUPS)
        self._is_whole_year = len(groups) == len(c.days)
        self._c = c if self._is_whole_year else averaged(c, groups)
        self._whole = Part.whole(c)
        self._step = c.module_plant * c.shape["G"] + c.module_quality
        self._random = np.random.default_rng(solve.watch.options.seed)
        self._lengths = csr_array(
            (np.maximum(c.length_km, 1e-3), (c.corridor_from, c.corridor_to)), shape=(c.shape["N"],) * 2
        )
        self._held: _Held | None = None
        self._begun_from = -np.inf  # value of the plan in hand when that was held
        self._corridors = min(FIRST_CORRIDORS, c.shape["E"])
        self._tried: set[int] = set()
        """Centres of neighbourhoods as large that gained nothing since the last gain."""
        self._exhausted = not solve.ingredients.neighbourhoods

    @property
    def why_ended(self) -> str:
        return "no neighbourhood holds a better plan"

    def alive(self, left_s: float) -> bool:
        """Whether there is a plan to better, and a neighbourhood that was not tried."""
        solve = self._solve
        if solve.x is None or solve.closed or left_s <= 0.0:
            return False
        return not self._exhausted or (solve.ingredients.neighbourhoods and solve.value > self._begun_from)

    def advance(self, left_s: float) -> None:
        """One neighbourhood."""
        solve, before, began = self._solve, self._solve.value, time.monotonic()
        watch = solve.watch.child(seconds=left_s)
        if solve.value > self._begun_from:
            self._held = self._begin(watch)
            self._begun_from, self._exhausted = solve.value, self._held is None
            self._tried.clear()
        centre = None if self._held is None else self._centre()
        if centre is None:
            self._exhausted = True
        else:
            self._try_around(centre, watch)
            self._begun_from = max(self._begun_from, solve.value)
        self.pace.add(time.monotonic() - began, solve.value - before)

    def _model(self, part: Part) -> FlowModel:
        model = build_flow_model(self._solve.instance, self._c, part)
        return model.aimed_at(self._solve.goal, self._solve.kept)

    def _begin(self, watch: Watch) -> _Held | None:
        """The best plan's works over this year; None where they hold no plan of it."""
        assert self._solve.model is not None and self._solve.x is not None
        model = self._model(self._solve.model.works(self._solve.x))
        x = solve_milp(model.all_built(), watch.child(gap=1e-4)).x
        return None if x is None else _Held(model, x, model.milp.value(x))

    def _centre(self) -> int | None:
        """Around which node to try next; None where the largest neighbourhoods of all have been tried."""
        assert self._held is not None
        c, held = self._solve.c, self._held
        if len(self._tried) == c.shape["N"]:
            if self._corridors >= c.shape["E"]:
                return None
            self._corridors *= 2
            self._tried.clear()
        works = held.model.works(held.x)
        open_nodes = np.setdiff1d(np.arange(c.shape["N"]), list(self._tried))
        ends = open_nodes[self._ends(np.asarray(works.pipe.any(axis=(1, 2))))[open_nodes]]
        near_plan = len(ends) > 0 and self._random.random() < PLAN_ENDS_SHARE
        return int(self._random.choice(ends if near_plan else open_nodes))

    def _try_around(self, centre: int, watch: Watch) -> None:
        assert self._held is not None
        c, held = self._solve.c, self._held
        km = self._km_from(centre)
        part, stays = self._neighbourhood(held.model.works(held.x), km)
        model = self._model(part)
        lower = model.milp.lower.copy()
        lower[model.pipe[stays[tuple(model.pipe_at.T)]]] = 1.0
        milp = model.milp.with_bounds(lower, model.milp.upper)
        limit_s = min(REGION_SECONDS, REGION_SHARE * watch.options.time_limit_s)
        own = watch.child(seconds=limit_s, maximise=True)
        outcome = solve_milp(milp, own, model.start_from(held.model, held.x))
        if self._hold(model, outcome.x, watch):
            self._tried.clear()
            return
        self._tried.add(centre)
        if outcome.stop is StopReason.TIME_LIMIT:
            self._corridors = max(FEWEST_CORRIDORS, int(self._corridors / WIDER))
        else:
            self._corridors = min(c.shape["E"], int(np.ceil(self._corridors * WIDER)))

    def _hold(self, model: FlowModel, x: FloatArray | None, watch: Watch) -> bool:
        """Hold a plan of this year if it is better, and what its works make of the year as it is."""
        assert self._held is not None
        least = self._held.value + LEAST_GAIN * abs(self._held.value)
        if x is None or model.milp.value(x) <= least:
            return False
        self._held = _Held(model, x, model.milp.value(x))
        if self._is_whole_year:
            self._solve.keep(model, x)
        else:
            whole = self._solve.model_of(model.works(x))
            self._solve.keep(whole, solve_milp(whole.all_built(), watch.child(gap=1e-4)).x)
        return True

    def _km_from(self, centre: int) -> FloatArray:
        """Kilometres (E,) along corridors to the nearer end of each, stretched at random."""
        c = self._solve.c
        km = dijkstra(self._lengths, directed=False, indices=np.array([centre]))[0]
        nearer = np.minimum(km[c.corridor_from], km[c.corridor_to])
        return np.asarray(nearer * (1.0 + BLUR * self._random.random(len(nearer))))

    def _neighbourhood(self, works: Part, km: FloatArray) -> tuple[Part, BoolArray]:
        """Works that may be built, and which of the plan's pipes (E, G, D) stay as they are."""
        c, whole = self._solve.c, self._whole
        region = np.zeros(c.shape["E"], bool)
        region[np.argsort(km, kind="stable")[: self._corridors]] = True
        lane = np.argwhere(works.pipe.any(axis=2) & ~region[:, None])
        far = lane[np.argsort(km[lane[:, 0]], kind="stable")[MOST_FREE_LANES:]]
        stays = np.zeros_like(works.pipe)
        stays[far[:, 0], far[:, 1]] = works.pipe[far[:, 0], far[:, 1]]
        reached = self._ends(region)
        pipe = works.pipe | (whole.pipe & region[:, None, None])
        module = np.isin(self._step, self._step[works.module]) | reached[c.plant_node[c.module_plant]]
        beside = reached | self._ends(np.asarray(works.pipe.any(axis=(1, 2))))
        connected = works.connected | (whole.connected & beside[c.user_node])
        tanker = works.tanker | (whole.tanker & reached[c.user_node])
        return Part(pipe, works.module | (whole.module & module), connected, tanker), stays

    def _ends(self, corridors: BoolArray) -> BoolArray:
        """Nodes (N,) at which one of the corridors (E,) ends."""
        c = self._solve.c
        ends = np.zeros(c.shape["N"], bool)
        ends[c.corridor_from[corridors]] = True
        ends[c.corridor_to[corridors]] = True
        return ends

"""Branch and cut over one neighbourhood of the best plan after another.

The search changes a few users at a time and ends where no such change pays; over all works and periods branch
and cut finds nothing.  In between: around some node every work may be built, farther out the plan's own works may
stay or go, so that their money and water can be spent anew, and the farthest stay, though not, but in very large networks,
how much they carry.
"""

from __future__ import annotations

import time

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from optimize.engine.highs import solve_milp
from optimize.engine.stopping import Watch
from optimize.result import StopReason
from optimize.water.coefficients import BoolArray
from optimize.water.fast_layout import FlowModel, Part
from optimize.water.fast_rounds import PACE_SHARE, Pace
from optimize.water.fast_steps import Solve
from optimize.water.investments import FloatArray, IntArray

FIRST_CORRIDORS, FEWEST_CORRIDORS, WIDER = 16, 6, 1.2
"""How many corridors of a neighbourhood may have any works; more where it was solved in vain, fewer where time ran out."""
MOST_FREE_LANES = 40
"""So many of the plan's lanes, the nearest, may be left out, and what lies at their ends changed; the rest stays."""
MOST_FREE_FLOWS = 60_000
"""Lanes x periods of a network above which what far pipes carry and far users take stays, too: else a neighbourhood's
linear relaxation alone takes seconds."""
LONGEST_S, LONGEST_SHARE = 6.0, 0.05
"""For one neighbourhood, and as a share of the whole time limit."""
PLAN_ENDS_SHARE = 0.7
"""Of neighbourhoods around an end of one of the plan's pipes; the others are around any node."""
BLUR = 0.3
"""Distances are stretched by up to this share at random, so that no two neighbourhoods are quite alike."""
LEAST_GAIN = 1e-6
"""Relative; where a plan is better by less, the neighbourhood counts as tried in vain."""


class Neighbourhoods:
    """One neighbourhood of the best plan at a time; see the module's docstring."""

    step = "neighbourhoods"

    def __init__(self, solve: Solve) -> None:
        self._solve, c = solve, solve.c
        self.pace = Pace(PACE_SHARE * solve.watch.options.time_limit_s)
        self._whole = Part.whole(c)
        self._step = c.module_plant * c.shape["G"] + c.module_quality
        self._random = np.random.default_rng(solve.watch.options.seed)
        self._lengths = csr_array(
            (np.maximum(c.length_km, 1e-3), (c.corridor_from, c.corridor_to)), shape=(c.shape["N"],) * 2
        )
        self._keeps_far_flows = c.shape["E"] * c.shape["G"] * len(c.days) > MOST_FREE_FLOWS
        self._corridors = min(FIRST_CORRIDORS, c.shape["E"])
        self._tried: set[int] = set()
        """Centres around which nothing was gained since the plan in hand last changed."""
        self._tried_of, self._exhausted = -np.inf, False

    @property
    def why_ended(self) -> str:
        return "no neighbourhood holds a better plan" if self._exhausted else "no neighbourhoods were due"

    def alive(self, left_s: float) -> bool:
        """Whether there is a plan to better, and a neighbourhood that was not tried."""
        solve = self._solve
        if not solve.ingredients.neighbourhoods or solve.x is None or solve.closed or left_s <= 0.0:
            return False
        return not self._exhausted or solve.value > self._tried_of

    def advance(self, left_s: float) -> None:
        """One neighbourhood."""
        solve, before, began = self._solve, self._solve.value, time.monotonic()
        if solve.value > self._tried_of:
            self._tried.clear()
            self._tried_of, self._exhausted = solve.value, False
        centre = self._centre()
        if centre is None:
            self._exhausted = True
        else:
            self._try_around(centre, solve.watch.child(seconds=left_s))
        self.pace.add(time.monotonic() - began, solve.value - before)

    def _works(self) -> Part:
        assert self._solve.model is not None and self._solve.x is not None
        return self._solve.model.works(self._solve.x)

    def _centre(self) -> int | None:
        """Around which node to try next; None where the largest neighbourhoods of all have been tried."""
        c = self._solve.c
        if len(self._tried) == c.shape["N"]:
            if self._corridors >= c.shape["E"]:
                return None
            self._corridors = min(2 * self._corridors, c.shape["E"])
            self._tried.clear()
        untried = np.setdiff1d(np.arange(c.shape["N"]), list(self._tried))
        ends = untried[self._ends(np.asarray(self._works().pipe.any(axis=(1, 2))))[untried]]
        near_plan = len(ends) > 0 and self._random.random() < PLAN_ENDS_SHARE
        return int(self._random.choice(ends if near_plan else untried))

    def _try_around(self, centre: int, watch: Watch) -> None:
        solve, held, x = self._solve, self._solve.model, self._solve.x
        assert held is not None and x is not None
        part, stays, near = self._neighbourhood(self._works(), self._km_from(centre))
        model = solve.model_of(part)
        lower, start = model.milp.lower.copy(), model.start_from(held, x)
        lower[model.pipe[stays.pipe[tuple(model.pipe_at.T)]]] = 1.0
        lower[model.module[stays.module[model.module_at]]] = 1.0
        lower[model.connected[stays.connected[model.connected_at]]] = 1.0
        upper = np.maximum(lower, model.milp.upper)
        if self._keeps_far_flows:
            far = _far_flows(model, stays, near)
            lower[far] = upper[far] = start[far]
        milp = model.milp.with_bounds(lower, upper)
        longest_s = min(LONGEST_S, LONGEST_SHARE * watch.options.time_limit_s)
        least = solve.value + LEAST_GAIN * abs(solve.value)
        own = watch.child(seconds=longest_s, maximise=True)
        outcome = solve_milp(milp, own, start)
        if solve.keep(model, outcome.x) and solve.value > least:
            return
        self._tried.add(centre)
        self._tried_of = solve.value
        if outcome.stop is StopReason.TIME_LIMIT:
            self._corridors = max(FEWEST_CORRIDORS, int(self._corridors / WIDER))
        else:
            self._corridors = min(solve.c.shape["E"], int(np.ceil(self._corridors * WIDER)))

    def _km_from(self, centre: int) -> FloatArray:
        """Kilometres (E,) along corridors to the nearer end of each, stretched at random."""
        c = self._solve.c
        km = dijkstra(self._lengths, directed=False, indices=np.array([centre]))[0]
        nearer = np.minimum(km[c.corridor_from], km[c.corridor_to])
        return np.asarray(nearer * (1.0 + BLUR * self._random.random(len(nearer))))

    def _neighbourhood(self, works: Part, km: FloatArray) -> tuple[Part, Part, BoolArray]:
        """Works that may be built, which of the plan's stay, and nodes (N,) where anything may change."""
        c, whole = self._solve.c, self._whole
        region = np.zeros(c.shape["E"], bool)
        region[np.argsort(km, kind="stable")[: self._corridors]] = True
        lane = np.argwhere(works.pipe.any(axis=2) & ~region[:, None])
        lane = lane[np.argsort(km[lane[:, 0]], kind="stable")]
        free, far = lane[:MOST_FREE_LANES, 0], lane[MOST_FREE_LANES:]
        reached = self._ends(region)
        near = reached.copy()
        near[c.corridor_from[free]] = True
        near[c.corridor_to[free]] = True
        near_plant, near_user = near[c.plant_node[c.module_plant]], near[c.user_node]
        step = np.isin(self._step, self._step[works.module]) & near_plant
        step |= reached[c.plant_node[c.module_plant]]
        may = Part(
            works.pipe | (whole.pipe & region[:, None, None]),
            works.module | (whole.module & step),
            works.connected | (whole.connected & near_user),
            works.tanker | (whole.tanker & reached[c.user_node]),
        )
        stays = np.zeros_like(works.pipe)
        stays[far[:, 0], far[:, 1]] = works.pipe[far[:, 0], far[:, 1]]
        must = Part(
            stays, works.module & ~near_plant, works.connected & ~near_user, np.zeros_like(works.tanker)
        )
        return may, must, near

    def _ends(self, corridors: BoolArray) -> BoolArray:
        """Nodes (N,) at which one of the corridors (E,) ends."""
        c = self._solve.c
        ends = np.zeros(c.shape["N"], bool)
        ends[c.corridor_from[corridors]] = True
        ends[c.corridor_to[corridors]] = True
        return ends


def _far_flows(model: FlowModel, stays: Part, near: BoolArray) -> IntArray:
    """Columns of what flows, is made and is delivered where nothing may change."""
    c = model.c
    far: BoolArray = np.asarray(stays.pipe.any(axis=2))
    lane = far[tuple(model.lane_at.T)]
    made = ~near[c.plant_node[model.product_at[:, 0]]]
    taken = ~near[c.user_node[c.demand_user[model.delivered_at[:, 0]]]]
    columns = (model.flow[:, lane], model.product[made], model.delivered[taken])
    return np.concatenate([block.ravel() for block in columns])

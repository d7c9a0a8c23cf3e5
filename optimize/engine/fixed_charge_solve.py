"""A fixed-charge network solved with proof, by what suits it.

* Few terminals and nothing that fills up: exactly, by `send_and_split`.
* Facilities and customers, nothing between: by `location`.
* Otherwise: a plan by slopes; the relaxation tightened by rows of node sets (`cut_sets`); a programme over the
  arcs that relaxed optima use; decisions that cost more than the room between bound and plan are fixed;
  neighbourhoods; and branch and cut on what is left, which proves the rest.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from optimize.engine.cut_rounds import Tightened, tighten
from optimize.engine.cut_sets import CutSets
from optimize.engine.fixed_charge import (
    NEGLIGIBLE,
    FixedChargeNetwork,
    FloatArray,
    build_network_model,
)
from optimize.engine.fixed_charge_plans import Neighbourhoods, flow_programme, improve_among, plan_by_slopes
from optimize.engine.highs import solve_lp, solve_milp
from optimize.engine.location import location_of, solve_location
from optimize.engine.send_and_split import is_few_terminals, solve_few_terminals
from optimize.engine.stopping import Watch
from optimize.milp import Milp
from optimize.result import StopReason

_ROOT_SHARE, _SUPPORT_SHARE, _SEARCH_SHARE = 0.35, 0.15, 0.3
_SLOPE_SHARE = 0.1
# What so many nodes do not close is searched for better plans before it is branched on to the end.
_FIRST_SHARE, _FIRST_NODES = 0.2, 30
# Values closer than this share of one another are equal.
_EXACT = 1e-11


@dataclass(frozen=True)
class NetworkOutcome:
    """The best flow found, shape (A,) (None: none), and the proven bound of its cost (None: none)."""

    flow: FloatArray | None
    bound: float | None


def solve_fixed_charge(network: FixedChargeNetwork, watch: Watch) -> NetworkOutcome:
    """Solve; bounds and plans are offered to ``watch``, which minimises, as they come."""
    if is_few_terminals(network):
        flow = solve_few_terminals(network, watch)
        if flow is not None:
            cost = network.cost(flow)
            watch.offer_plan(cost)
            watch.offer_bound(cost * (1.0 - _EXACT))
            return NetworkOutcome(flow, cost * (1.0 - _EXACT))
    location = location_of(network)
    if location is not None:
        return NetworkOutcome(solve_location(location, watch), watch.bound)
    return _NetworkSolve(network, watch).run()


class _NetworkSolve:
    def __init__(self, network: FixedChargeNetwork, watch: Watch) -> None:
        self._network, self._watch = network, watch
        self._model = build_network_model(network)
        self._best: FloatArray | None = None

    def run(self) -> NetworkOutcome:
        watch = self._watch
        flow = plan_by_slopes(self._network, watch.child(seconds=_SLOPE_SHARE * watch.remaining()))
        if flow is not None:
            self._keep(self._model.point(flow, NEGLIGIBLE * self._network.total))
        root = watch.child(seconds=_ROOT_SHARE * watch.remaining(), bounds=True)
        root.plan = watch.plan
        tightened = tighten(self._model.milp, CutSets(self._network, self._model), root)
        if tightened is None:
            return self._outcome()
        self._search_support(tightened)
        if not self._done:
            self._close(tightened)
        return self._outcome()

    @property
    def _done(self) -> bool:
        return self._watch.must_stop or self._watch.gap_reached

    def _search_support(self, tightened: Tightened) -> None:
        """Plans over what relaxed optima, or the plan in hand, use."""
        if self._done:
            return
        allowed = tightened.supported.copy()
        if self._best is not None:
            allowed |= self._best > 0.5
        part = self._watch.child(seconds=_SUPPORT_SHARE * self._watch.remaining(), plans=True)
        self._keep(improve_among(tightened.milp, allowed, part, self._best))

    def _close(self, tightened: Tightened) -> None:
        """Branch and cut on what is not fixed, beside or after a search."""
        watch = self._watch
        first = watch.child(seconds=_FIRST_SHARE * watch.remaining())
        if self._branch(self._narrowed(tightened), first, _FIRST_NODES) or self._done:
            return
        milp = self._narrowed(tightened)
        search = Neighbourhoods(self._network, self._model, tightened.milp, watch.options.seed)
        searching = watch.child(plans=True)
        with ThreadPoolExecutor(1) as executor:
            future = None
            if self._best is not None and watch.options.threads > 1:
                future = executor.submit(search.improve, self._best, searching)
            elif self._best is not None:
                share = watch.child(seconds=_SEARCH_SHARE * watch.remaining(), plans=True)
                self._keep(search.improve(self._best, share))
                milp = self._narrowed(tightened)
            self._branch(milp, watch)
            if future is not None:
                searching.end()
                self._keep(future.result())

    def _branch(self, milp: Milp, watch: Watch, max_nodes: int | None = None) -> bool:
        """Solve what is left, True where that holds no plan; what was fixed holds none better than that in hand."""
        outcome = solve_milp(milp, watch.child(plans=True), self._best, max_nodes=max_nodes)
        best = None if self._best is None else milp.value(self._best)
        if outcome.stop is StopReason.INFEASIBLE:
            if best is not None:
                self._watch.offer_bound(best)
            return True
        self._keep(outcome.x)
        if outcome.bound is not None:
            self._watch.offer_bound(outcome.bound if best is None else min(outcome.bound, best))
        return False

    def _narrowed(self, tightened: Tightened) -> Milp:
        if self._best is None:
            return tightened.milp
        return tightened.narrowed(tightened.milp.value(self._best))

    def _keep(self, x: FloatArray | None) -> None:
        milp = self._model.milp
        if x is None or milp.violation(x) > 1e-6:
            return
        if self._best is None or milp.value(x) < milp.value(self._best):
            self._best = x
            self._watch.offer_plan(milp.value(x))

    def _outcome(self) -> NetworkOutcome:
        flow = None if self._best is None else self._cheapest_flow(self._best)
        return NetworkOutcome(flow, self._watch.bound)

    def _cheapest_flow(self, x: FloatArray) -> FloatArray:
        """The flow of a plan without the traces that the solver's tolerances leave on arcs not in use."""
        used = self._model.used_or_one(x) > 0.5
        programme = flow_programme(
            self._network, self._network.unit_cost, np.where(used, self._network.widest, 0.0)
        )
        flow = solve_lp(programme, Watch(self._watch.options, maximise=False)).x
        return x[self._model.flow] if flow is None else np.maximum(flow, 0.0)

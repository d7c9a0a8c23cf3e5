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

from optimize.engine.cut_rounds import Tightened, tighten
from optimize.engine.cut_sets import CutSets
from optimize.engine.fixed_charge import (
    NEGLIGIBLE,
    FixedChargeNetwork,
    FloatArray,
    build_network_model,
)
from optimize.engine.fixed_charge_plans import Neighbourhoods, improve_among, plan_by_slopes
from optimize.engine.highs import solve_milp
from optimize.engine.location import location_of, solve_location
from optimize.engine.send_and_split import is_few_terminals, solve_few_terminals
from optimize.engine.stopping import Watch
from optimize.milp import Milp
from optimize.result import StopReason

_ROOT_SHARE, _SUPPORT_SHARE, _SEARCH_SHARE = 0.35, 0.15, 0.3
_SLOPE_SHARE = 0.1
# Values closer than this share of one another are equal.
_EXACT = 1e-11


@dataclass(frozen=True)
class NetworkOutcome:
    """The best flow found, shape (A,) (None: none), and the proven bound of its cost (None: none)."""

    flow: FloatArray | None
    bound: float | None
    proven_infeasible: bool = False


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
            infeasible = self._close(tightened)
            if infeasible and self._best is None:
                return NetworkOutcome(None, None, proven_infeasible=True)
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

    def _close(self, tightened: Tightened) -> bool:
        """Branch and cut on what is not fixed, beside or after a search; True where there is no plan at all."""
        milp, watch = self._narrowed(tightened), self._watch
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
            infeasible = self._branch(milp)
            if future is not None:
                searching.end()
                self._keep(future.result())
        return infeasible

    def _branch(self, milp: Milp) -> bool:
        """Solve what is left; what was fixed holds no better plan than the one in hand."""
        outcome = solve_milp(milp, self._watch.child(plans=True), self._best)
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
        flow = None if self._best is None else self._best[self._model.flow]
        return NetworkOutcome(flow, self._watch.bound)

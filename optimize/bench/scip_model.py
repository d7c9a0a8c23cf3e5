"""SCIP by its own Python interface, where it is installed; an optional extra, imported when asked for.

OR-Tools brings a SCIP too, but one that solves its linear programmes with GLOP and tells nothing on the
way: the separate one is what somebody who chooses SCIP would take.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from optimize.engine.highs import MilpOutcome, write_model
from optimize.engine.stopping import Watch
from optimize.errors import SolverError
from optimize.milp import FloatArray, Milp
from optimize.result import StopReason


def solve_by_scip(milp: Milp, watch: Watch, on_built: Callable[[], None]) -> MilpOutcome:
    """Branch and cut by SCIP, its own settings; plans and bounds are offered as they come.

    Raises
    ------
    SolverError : SCIP ends in a state that is neither plan, bound, infeasible nor limit.
    """
    import pyscipopt

    model = pyscipopt.Model()
    model.hideOutput()
    _read(model, milp)
    events = pyscipopt.SCIP_EVENTTYPE
    wanted = events.BESTSOLFOUND | events.DUALBOUNDIMPROVED | events.LPSOLVED | events.NODESOLVED

    class Listener(pyscipopt.Eventhdlr):  # type: ignore[misc]
        def eventinit(self) -> None:
            self.model.catchEvent(wanted, self)

        def eventexec(self, event: Any) -> None:
            _offer(self.model, watch)

    model.includeEventhdlr(Listener(), "listener", "plans and bounds as they come")
    model.setParam("limits/gap", watch.gap)
    model.setParam("randomization/randomseedshift", watch.options.seed)
    on_built()
    model.setParam("limits/time", max(watch.remaining(), 1e-3))
    model.optimize()
    status = model.getStatus()
    if status in ("infeasible", "inforunbd"):
        return MilpOutcome(StopReason.INFEASIBLE, None, None, None)
    if status not in ("optimal", "gaplimit", "timelimit", "userinterrupt"):
        raise SolverError(f"SCIP stopped with '{status}'")
    _offer(model, watch)
    if model.getNSols() == 0:
        return MilpOutcome(watch.stop_reason(), None, None, watch.bound)
    stop = StopReason.GAP_REACHED if status in ("optimal", "gaplimit") else watch.stop_reason()
    return MilpOutcome(stop, _point(model, milp), float(model.getObjVal()), watch.bound)


def _read(model: Any, milp: Milp) -> None:
    """Through a file: stating rows one by one in Python would be the slowest part by far."""
    plain = dataclasses.replace(milp, column_names=None, row_names=None, offset=0.0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.mps"
        write_model(plain, path)
        model.readProblem(str(path))
    model.addObjoffset(milp.offset)


def _point(model: Any, milp: Milp) -> FloatArray:
    """The best plan by column; the file calls column k ``c<k>``, unused ones stay at their bound next to 0."""
    best = model.getBestSol()
    x = np.clip(0.0, milp.lower, milp.upper)
    for variable in model.getVars():
        x[int(variable.name.removeprefix("c"))] = best[variable]
    return np.asarray(x)


def _offer(model: Any, watch: Watch) -> None:
    infinity = model.infinity()
    bound = model.getDualbound()
    if abs(bound) < infinity:
        watch.offer_bound(float(bound))
    if model.getNSols() > 0:
        plan = model.getPrimalbound()
        if abs(plan) < infinity:
            watch.offer_plan(float(plan))

"""The water programme asked for plans: under a share of the money, with demands as the other plans leave them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from optimize.checking import CheckReport
from optimize.city.checker import spent_by_year
from optimize.city.instance import WATER, City, with_share
from optimize.city.water_demand import with_demand_moved
from optimize.city.water_part import WaterPlan, read_water_plan
from optimize.milp import FloatArray
from optimize.programme import SolveOptions
from optimize.result import Relaxation, StopReason
from optimize.schema import InstanceData
from optimize.solve import solve
from optimize.water.solution import Solution


@dataclasses.dataclass(frozen=True)
class Asked:
    """What came back: a plan (None: none in time), the bound under that share, why it stopped, ways out."""

    plan: WaterPlan | None
    bound: float | None
    stop: StopReason
    relaxations: tuple[Relaxation, ...] = ()


def ask_water(
    city: City, share_cny: FloatArray, moved_m3: Mapping[str, float], options: SolveOptions, seconds: float
) -> Asked:
    """Solve the water programme alone.

    Parameters
    ----------
    share_cny : shape (sources, years), its share of the pool.
    moved_m3 : change of each linked demand, m3/a.
    """
    part = city.part(WATER)
    data = with_demand_moved(with_share(part.data, city, share_cny), moved_m3)
    own = dataclasses.replace(options, time_limit_s=seconds, progress=None, engine="auto", write_model=None)
    solved = solve(part.programme, data, own)
    solution = solved.result.solution
    if solution is None or solved.check is None or not solved.check.passed:
        return Asked(None, solved.result.bound, solved.result.stop, solved.result.relaxations)
    plan = checked_water_plan(city, data, solution, solved.check, share_cny)
    return Asked(plan, solved.result.bound, solved.result.stop)


def checked_water_plan(
    city: City, data: InstanceData, solution: Solution, report: CheckReport, share_cny: FloatArray
) -> WaterPlan:
    """What a plan of the network takes of what is shared, from its check under ``share_cny``.

    Parameters
    ----------
    data : the programme as it was checked, linked demands where they then were.
    share_cny : shape (sources, years).
    """
    spent = spent_by_year(city, report.money)[:-1]
    if data.parameters["water.phased"]:
        spent = needed_share(spent, share_cny, city.carry_over_share)
    intake = {outcome.where: outcome.reached for outcome in report.clauses if outcome.target.id == "W-CAP"}
    return read_water_plan(city, data, solution, dict(report.figures), intake, spent)


def scaled_share(city: City, held_cny: FloatArray, factor: float) -> FloatArray:
    """A share of ``factor`` times the money held of each source, from all years alike, within the pool."""
    pool = city.pool_cny
    most = pool.sum(axis=1, keepdims=True)
    wanted = np.minimum(factor * held_cny.sum(axis=1, keepdims=True), most)
    return np.where(most > 0, wanted * pool / np.where(most > 0, most, 1.0), 0.0)


def needed_share(spent_cny: FloatArray, share_cny: FloatArray, carry_over_share: float) -> FloatArray:
    """The least of each year's share that pays for what is spent, the latest money first.

    What a year cannot pay out of its own share is carried over from the year before, of which
    ``carry_over_share`` arrives.
    """
    needed = np.zeros_like(spent_cny)
    later = np.zeros(len(spent_cny))
    for t in range(spent_cny.shape[1] - 1, -1, -1):
        asked = spent_cny[:, t] + later
        needed[:, t] = np.minimum(asked, share_cny[:, t])
        missing = asked - needed[:, t]
        later = missing / carry_over_share if carry_over_share > 0 else np.zeros_like(missing)
    return needed

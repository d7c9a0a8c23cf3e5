"""A joint run as one programme on arrays with its plan as a point in it.

Data centres and public PV stand there option by option.  A network that was planned as arrays stands there
with all its rows and is planned anew with every change; a larger one keeps the plan it has, and the answers
are said to suppose so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optimize.city.arrays import CityArrays, join_parts
from optimize.city.checker import check_city, moved_demands
from optimize.city.instance import WATER, City, with_share
from optimize.city.network import checked_water_plan
from optimize.city.part import CityPart
from optimize.city.parts import choice_parts, extreme_changes, in_order
from optimize.city.plan import CityPlan, read_plan, tables_of
from optimize.city.reading import read_city_of
from optimize.city.water_demand import with_demand_moved
from optimize.city.water_part import exact_part, plans_part
from optimize.engine.highs import solve_milp
from optimize.engine.stopping import Watch
from optimize.io.run_instance import folder_of
from optimize.io.run_store import read_text_table
from optimize.milp import FloatArray, Milp
from optimize.programme import Programme, SolveOptions, StatedArrays
from optimize.result import KeptGoal
from optimize.studies.plan_model import (
    SAME_VALUE,
    ModelPart,
    PlanModel,
    kept_rows,
    other_value,
    plan_point,
    settled_plan,
    stored_multipliers,
)
from optimize.studies.stored_runs import StoredCity

_FEASIBLE = 1e-6
# Below this a network's own plan, the others' held, is closed.
_GAP_OF_NETWORK = 1e-9
_AS_PLANNED = "reclaimed water is built as planned, whatever else changes"
# What the city's own rows stand for, by the first word of their names.
_ROW_WORDS = {
    "demand_left": "the retrofit leaves less demand for the reclaimed water that is sold:",
    "heat_serves_once": "waste heat and the sites' own systems serve the same hot water:",
    "power_counts_once": "PV at the centre counts up to what the centre draws:",
}


def load_city_of(run: StoredCity, programmes: Sequence[Programme], instance: Path | None = None) -> City:
    """The city of a joint run as it was; raises UsageError where it is not there or has changed."""
    return read_city_of(run.folder, run.manifest, programmes, folder_of(run.folder, run.manifest, instance))


def load_city_model(run: StoredCity, city: City, options: SolveOptions) -> PlanModel | None:
    """The run's programmes on arrays; None where none of them names single projects (reclaimed water alone).

    Parameters
    ----------
    city : of the run, as it was.
    options : the time limit holds for planning a network again around the others' plans.

    Raises
    ------
    UsageError : the instance's options do not hold the plan.
    """
    goals = tuple(run.summary["goal"])
    parts = choice_parts(city, goals)
    named = {part.name: part.named() for part in parts if part.named is not None}
    if not named:
        return None
    tables = {path.stem: read_text_table(path) for path in sorted(run.folder.glob("*.csv"))}
    loading = _Loading(run, city, goals, parts, named, tables)
    found = loading.with_whole_network(options) or loading.with_network_as_planned()
    arrays, milp, x, keeps_network = found
    value, told = milp.value(x), float(run.summary["objective"])
    better = value - told if milp.maximise else told - value
    if better < -SAME_VALUE * max(1.0, abs(told)) or milp.violation(x) > _FEASIBLE:
        raise other_value(run.folder, value, told)
    multipliers, all_found = stored_multipliers(run.folder, milp)
    if keeps_network and multipliers is not None:
        multipliers = _with_price_of_network(arrays, multipliers)
    by_budget = np.zeros(milp.num_columns, np.bool_)
    by_budget[arrays.shares[arrays.shares >= 0]] = True
    return PlanModel(
        parts=tuple(loading.model_parts(arrays)),
        goals=goals,
        milp=milp,
        x=x,
        value=value,
        bound=run.summary["bound"],
        multipliers=multipliers,
        elastic=(*arrays.elastic, *kept_rows(milp, city.parts[0].programme, loading.kept)),
        by_budget=by_budget,
        row_words=_row_words(city),
        certified=all_found and not keeps_network,
        remark=_AS_PLANNED if keeps_network else "",
    )


@dataclasses.dataclass(frozen=True)
class _Loading:
    run: StoredCity
    city: City
    goals: tuple[str, ...]
    parts: Sequence[CityPart]
    named: Mapping[str, StatedArrays]
    tables: Mapping[str, pd.DataFrame]

    @property
    def kept(self) -> list[KeptGoal]:
        return [KeptGoal(name, float(self.run.summary["figures"][name])) for name in self.goals[:-1]]

    def with_whole_network(self, options: SolveOptions) -> tuple[CityArrays, Milp, FloatArray, bool] | None:
        """Every row of every programme; None where the network is too large for that, or has no plan in time."""
        if WATER not in self.city.names:
            arrays = join_parts(self.city, self.parts, self.goals)
            milp = self._aimed(arrays)
            return arrays, milp, settled_plan(milp, self._point(arrays)), False
        if self.run.manifest.get("network") != "whole":
            return None
        water = exact_part(self.city, self.goals, extreme_changes(self.parts)[1])
        arrays = join_parts(self.city, in_order(self.city, self.parts, water), self.goals)
        milp, x = self._aimed(arrays), self._point(arrays)
        free = np.ones(milp.num_columns, np.bool_)
        for k, part in enumerate(arrays.parts):
            if part.name != WATER:
                own = slice(arrays.first[k], arrays.first[k + 1])
                free[own] = ~milp.integral[own]
        own_options = dataclasses.replace(options, gap=_GAP_OF_NETWORK)
        outcome = solve_milp(milp.restricted(free, x), Watch(own_options, milp.maximise))
        if outcome.x is None:
            return None
        x[free] = outcome.x
        return arrays, milp, x, False

    def with_network_as_planned(self) -> tuple[CityArrays, Milp, FloatArray, bool]:
        plan = read_plan(self.city, self.tables)
        water = plans_part(self.city, self.goals, [self._water_plan(plan)])
        arrays = join_parts(self.city, in_order(self.city, self.parts, water), self.goals)
        milp, x = self._aimed(arrays), self._point(arrays)
        k = self.city.names.index(WATER)
        x[arrays.first[k] : arrays.first[k + 1]] = 1.0
        return arrays, milp, settled_plan(milp, x), True

    def _water_plan(self, plan: CityPlan) -> Any:
        k = self.city.names.index(WATER)
        share = plan.share_cny[k]
        data = with_share(self.city.part(WATER).data, self.city, share)
        data = with_demand_moved(data, moved_demands(self.city, plan))
        report = check_city(self.city, plan).parts[WATER]
        return checked_water_plan(self.city, data, plan.solutions[WATER], report, share)

    def _aimed(self, arrays: CityArrays) -> Milp:
        return arrays.stated().for_goals(self.goals, self.kept)

    def _point(self, arrays: CityArrays) -> FloatArray:
        """The plan's options; every other column at its lower bound."""
        milp = arrays.milp
        x = np.clip(np.zeros(milp.num_columns), milp.lower, milp.upper)
        for k, part in enumerate(arrays.parts):
            if part.name in self.named:
                objective = part.objectives[self.goals[-1]]
                own = part.milp.with_objective(objective.cost, objective.maximise)
                projects = tables_of(part.name, self.tables)["projects"]
                x[arrays.first[k] : arrays.first[k + 1]] = plan_point(self.named[part.name], own, projects)
        return x

    def model_parts(self, arrays: CityArrays) -> list[ModelPart]:
        found: list[ModelPart] = []
        taken = 0
        stored = {part.programme.name: part for part in self.run.parts}
        for k, part in enumerate(arrays.parts):
            if part.name not in self.named:
                continue
            own = self.city.part(part.name)
            stated = self.named[part.name]
            found.append(
                ModelPart(
                    own.programme, own.data, own.programme.load(own.data), stated, stored[part.name].projects,
                    int(arrays.first[k]), taken,
                )
            )  # fmt: skip
            taken += len(stated.candidate_ids)
        return found


def _with_price_of_network(arrays: CityArrays, multipliers: FloatArray) -> FloatArray:
    """What the network's plan spends is priced like the pool it is paid from: the cheapest year's, so that no
    share of it seems worth more than it costs."""
    k = next(k for k, part in enumerate(arrays.parts) if part.name == WATER)
    money, priced = arrays.parts[k].money, multipliers.copy()
    for row in np.unique(money.row).tolist():
        own = money.row == row
        pools = multipliers[arrays.pool_rows[money.source[own], money.year[own]]] / money.per_cny[own]
        priced[arrays.first_row[k] + row] = pools[np.argmin(np.abs(pools))]
    return priced


def _row_words(city: City) -> dict[str, str]:
    words = {
        f"{part.programme.name}.{block}": told
        for part in city.parts
        for block, told in part.programme.row_words.items()
    }
    return words | _ROW_WORDS

"""A stored run as a programme on arrays with its plan as a point in it: what re-solves start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optimize.clauses import CLAUSES
from optimize.engine.highs import solve_lp
from optimize.engine.stopping import Watch
from optimize.errors import UsageError
from optimize.io.run_instance import read_instance_of
from optimize.io.run_store import read_text_table
from optimize.milp import MONEY, OTHER, TARGET, ElasticRows, FloatArray, IntArray, Milp
from optimize.programme import PricedRows, Programme, SolveOptions, StatedArrays
from optimize.result import KeptGoal
from optimize.schema import InstanceData
from optimize.studies.stored_runs import StoredRun

# The plan read back and the figure it was stored with are sums in another order.
_SAME_VALUE = 1e-6


@dataclass(frozen=True)
class PlanModel:
    """A run's programme and plan.

    Attributes
    ----------
    milp : the programme for the run's last goal, what it kept of earlier ones as last rows.
    x : shape (n,), the plan.
    value, bound : of the last goal; the bound as the run states it (None: none).
    multipliers : shape (m,), of the run's certificate; None where it has none.
    elastic : budgets, targets and kept goals that may give way.
    """

    run: StoredRun
    data: InstanceData
    instance: Any
    goals: tuple[str, ...]
    stated: StatedArrays
    milp: Milp
    x: FloatArray
    value: float
    bound: float | None
    multipliers: FloatArray | None
    elastic: tuple[ElasticRows, ...]

    @property
    def programme(self) -> Programme:
        return self.run.programme

    def columns_of(self, candidate: int) -> IntArray:
        """Option columns of a candidate that are open."""
        return np.flatnonzero((self.stated.candidate == candidate) & (self.milp.upper > 0))

    def chosen_column(self, candidate: int) -> int:
        """The option the plan takes of a candidate; -1: none."""
        columns = self.columns_of(candidate)
        taken = columns[self.x[columns] > 0.5]
        return int(taken[0]) if len(taken) else -1


def load_plan_model(
    run: StoredRun, programmes: Sequence[Programme], instance: Path | None = None
) -> PlanModel | None:
    """The run's programme on arrays; None where it has none (reclaimed water).

    Raises
    ------
    UsageError : the instance is not there or has changed, or its options do not hold the plan.
    """
    _, data = read_instance_of(run.folder, run.manifest, run.programme, programmes, instance)
    loaded = run.programme.load(data)
    goals = tuple(run.summary["goal"])
    stated = run.programme.state_arrays(loaded, goals)
    if stated is None or stated.plan_of is None:
        return None  # a relaxation, in which plans cannot be told apart
    kept = [KeptGoal(name, float(run.summary["figures"][name])) for name in goals[:-1]]
    milp = stated.for_goals(goals, kept)
    x = settled_plan(milp, plan_point(stated, milp, read_text_table(run.folder / "projects.csv")))
    value, told = milp.value(x), float(run.summary["objective"])
    if abs(value - told) > _SAME_VALUE * max(1.0, abs(told)):
        raise UsageError(
            f"{run.folder}: its plan is worth {value:.12g} in the instance's options, {told:.12g} is stored; "
            "`optimize verify` says more"
        )
    return PlanModel(
        run=run,
        data=data,
        instance=loaded,
        goals=goals,
        stated=stated,
        milp=milp,
        x=x,
        value=value,
        bound=run.summary["bound"],
        multipliers=_stored_multipliers(run.folder, milp),
        elastic=(*(elastic_rows(priced) for priced in stated.priced), *_kept_rows(milp, run.programme, kept)),
    )


def plan_point(stated: StatedArrays, milp: Milp, projects: pd.DataFrame) -> FloatArray:
    """The plan of a run's table as a point, shape (n,); what is not a choice is at its lower bound.

    Raises
    ------
    UsageError : a project is none of the options.
    """
    kind = stated.candidate_kind
    place = {name: position for position, name in enumerate(stated.candidate_ids)}
    chosen = np.zeros(len(place), dtype=np.bool_)
    chosen[[place[name] for name in projects[kind] if name in place]] = True
    columns = np.flatnonzero((stated.candidate >= 0) & chosen[stated.candidate])
    described = stated.describe(columns)
    names = list(described.columns)
    ids = np.asarray(stated.candidate_ids, dtype=object)[stated.candidate[columns]]
    keys = zip(ids, *(described[name].astype(str) for name in names), strict=True)
    column_of: dict[tuple[str, ...], int] = {}
    for key, column in zip(keys, columns.tolist(), strict=True):
        # of options that read the same the better one was taken
        if key not in column_of or _better(milp, column, column_of[key]):
            column_of[key] = column
    x = np.clip(np.zeros(milp.num_columns), milp.lower, milp.upper)
    for row in zip(projects[kind], *(projects[name] for name in names), strict=True):
        if row not in column_of:
            raise UsageError(
                f"the plan's project {row[0]} ({' '.join(row[1:])}) is none of the instance's options"
            )
        x[column_of[row]] = 1.0
    resting = np.flatnonzero(~chosen & (stated.idle >= 0))
    x[stated.idle[resting]] = 1.0
    return x


def _better(milp: Milp, one: int, other: int) -> bool:
    gain = float(milp.cost[one] - milp.cost[other])
    return gain > 0 if milp.maximise else gain < 0


def settled_plan(milp: Milp, x: FloatArray) -> FloatArray:
    """The choices of ``x`` with shortfalls and money carried over at their best; ``x`` where they cannot hold."""
    free = ~milp.integral
    if not free.any():
        return x
    part, _ = milp.restriction(free, x)
    outcome = solve_lp(part, Watch(SolveOptions(time_limit_s=60.0), milp.maximise))
    if outcome.x is None:
        return x
    settled = x.copy()
    settled[free] = outcome.x
    return settled


def _stored_multipliers(run: Path, milp: Milp) -> FloatArray | None:
    path = run / "multipliers.csv"
    names: Any = milp.row_names
    if not path.is_file():
        return None
    table = read_text_table(path)
    multipliers = np.zeros(milp.num_rows)
    rows = names.find(list(table["row"]))
    if (rows < 0).any():
        return None
    multipliers[rows] = [float(cell) for cell in table["multiplier"]]
    return multipliers


def elastic_rows(priced: PricedRows) -> ElasticRows:
    rank = MONEY if priced.unit == "CNY" else TARGET if priced.clause in CLAUSES else OTHER
    return ElasticRows(
        priced.clause,
        priced.where,
        priced.unit,
        priced.rows,
        priced.required,
        priced.per_unit,
        priced.is_cap,
        rank,
    )


def _kept_rows(milp: Milp, programme: Programme, kept: Sequence[KeptGoal]) -> list[ElasticRows]:
    """Earlier goals of the run as rows that may give way too."""
    first = milp.num_rows - len(kept)
    return [
        ElasticRows(
            clause=f"goal {keep.goal}",
            where="",
            unit=programme.goal(keep.goal).unit,
            rows=np.array([first + position]),
            required=keep.reached,
            is_cap=not programme.goal(keep.goal).maximise,
        )
        for position, keep in enumerate(kept)
    ]


def candidate_words(model: PlanModel, column: int) -> str:
    """What an option builds, when, who pays: the ids of its tables."""
    described = model.stated.describe(np.array([column])).iloc[0]
    return " · ".join(str(value) for value in described if str(value) not in ("", "0"))

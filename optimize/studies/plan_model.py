"""A stored run as a programme on arrays with its plan as a point in it: what re-solves start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
from optimize.milp import MONEY, OTHER, TARGET, BoolArray, ElasticRows, FloatArray, IntArray, Milp
from optimize.programme import Goal, PricedRows, Programme, SolveOptions, StatedArrays
from optimize.result import KeptGoal
from optimize.revision import contracted_ids
from optimize.schema import InstanceData
from optimize.studies.stored_runs import StoredRun

# The plan read back and the figure it was stored with are sums in another order.
SAME_VALUE = 1e-6


@dataclass(frozen=True)
class ModelPart:
    """One programme of a model: its arrays with the names of its projects, and where they stand in the model.

    Attributes
    ----------
    stated : of the programme alone; its columns stand in the model from ``first`` on, its candidates from
        ``first_candidate`` on.
    projects : of the plan.
    """

    programme: Programme
    data: InstanceData
    instance: Any
    stated: StatedArrays
    projects: pd.DataFrame
    first: int = 0
    first_candidate: int = 0

    @property
    def num_candidates(self) -> int:
        return len(self.stated.candidate_ids)

    def about(self, candidate: int) -> tuple[str, str, str]:
        """Id, name and district of one of the model's candidates, from its table."""
        name = str(self.stated.candidate_ids[candidate - self.first_candidate])
        return (name, *self._names[name])

    @cached_property
    def _names(self) -> dict[str, tuple[str, str]]:
        table, key = self.programme.lockable[0]
        frame = self.data.tables[table]
        shown = frame["name_en"].where(frame["name_en"] != "", frame["name_zh"])
        return {i: (n, d) for i, n, d in zip(frame[key], shown, frame["district"], strict=True)}

    def words(self, column: int) -> str:
        """What an option of the model's builds, when, who pays: the ids of its tables."""
        described = self.stated.describe(np.array([column - self.first])).iloc[0]
        return " · ".join(str(value) for value in described if str(value) not in ("", "0"))

    def lock_on(self, candidate: int, kinds: Sequence[str]) -> str:
        """The first lock of these kinds on a project; "" where there is none."""
        locks, name = self.data.tables["locks"], self.stated.candidate_ids[candidate - self.first_candidate]
        found = [kind for kind in locks.loc[locks["id"] == name, "kind"] if kind in kinds]
        return str(found[0]) if found else ""

    def contract_on(self, candidate: int) -> str:
        """How far the contract of a project is; "" where it has none."""
        key = self.programme.lockable[0][1]
        name = str(self.stated.candidate_ids[candidate - self.first_candidate])
        return contracted_ids(self.data.tables, key).get(name, "")

    def plan_with_only(self, column: int) -> Any:
        """The programme's plan of one of the model's options and nothing else."""
        assert self.stated.plan_of is not None
        alone = np.zeros(self.stated.milp.num_columns)
        alone[column - self.first] = 1.0
        return self.stated.plan_of(alone)


@dataclass(frozen=True)
class PlanModel:
    """The programmes of a run and its plan.

    Attributes
    ----------
    milp : for the run's last goal, what it kept of earlier ones as last rows.
    x : shape (n,), the plan.
    value, bound : of the last goal; the bound as the run states it (None: none).
    multipliers : shape (m,), of the run's certificate; None where it has none.
    certified : whether these are the certificate's own; else they only come near to its prices.
    elastic : budgets, targets and kept goals that may give way.
    by_budget : shape (n,), columns whose upper bound is a budget's, and goes with it.
    row_words : what rows without a name of their own stand for, by the first word of their block.
    remark : what every answer supposes, in words; "" where it supposes nothing.
    """

    parts: tuple[ModelPart, ...]
    goals: tuple[str, ...]
    milp: Milp
    x: FloatArray
    value: float
    bound: float | None
    multipliers: FloatArray | None
    elastic: tuple[ElasticRows, ...]
    by_budget: BoolArray
    row_words: Mapping[str, str]
    certified: bool = True
    remark: str = ""

    @property
    def goal(self) -> Goal:
        return self.parts[0].programme.goal(self.goals[-1])

    @cached_property
    def candidate(self) -> IntArray:
        """Shape (n,), candidate each column is an option of; -1: of none."""
        found = np.full(self.milp.num_columns, -1, dtype=np.int64)
        for part in self.parts:
            own = part.stated.candidate
            found[part.first : part.first + len(own)] = np.where(own >= 0, own + part.first_candidate, -1)
        return found

    @cached_property
    def idle(self) -> IntArray:
        """Shape (candidates,), the column that says "nothing is done"; -1: none does."""
        return np.concatenate(
            [np.where(part.stated.idle >= 0, part.stated.idle + part.first, -1) for part in self.parts]
        )

    def part_of(self, candidate: int) -> ModelPart:
        return next(part for part in reversed(self.parts) if candidate >= part.first_candidate)

    def columns_of(self, candidate: int) -> IntArray:
        """Option columns of a candidate that are open."""
        return np.flatnonzero((self.candidate == candidate) & (self.milp.upper > 0))

    def chosen_column(self, candidate: int) -> int:
        """The option the plan takes of a candidate; -1: none."""
        columns = self.columns_of(candidate)
        taken = columns[self.x[columns] > 0.5]
        return int(taken[0]) if len(taken) else -1

    def with_any_budget(self, milp: Milp) -> Milp:
        """A variant of the model in which each bound that stands for a budget is as wide as all of them together."""
        most = float(milp.upper[self.by_budget].sum())
        return milp.with_bounds(milp.lower, np.where(self.by_budget, most, milp.upper))


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
    if abs(value - told) > SAME_VALUE * max(1.0, abs(told)):
        raise other_value(run.folder, value, told)
    multipliers, found = stored_multipliers(run.folder, milp)
    return PlanModel(
        parts=(ModelPart(run.programme, data, loaded, stated, run.projects),),
        goals=goals,
        milp=milp,
        x=x,
        value=value,
        bound=run.summary["bound"],
        multipliers=multipliers if found else None,
        elastic=(*(elastic_rows(priced) for priced in stated.priced), *kept_rows(milp, run.programme, kept)),
        by_budget=np.zeros(milp.num_columns, np.bool_),
        row_words=run.programme.row_words,
    )


def other_value(folder: Path, value: float, told: float) -> UsageError:
    return UsageError(
        f"{folder}: its plan is worth {value:.12g} in the instance's options, {told:.12g} is stored; "
        "`optimize verify` says more"
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


def stored_multipliers(run: Path, milp: Milp) -> tuple[FloatArray | None, bool]:
    """A run's multipliers of the rows of ``milp``, by their names, and whether all of them were found."""
    path = run / "multipliers.csv"
    names: Any = milp.row_names
    if not path.is_file():
        return None, False
    table = read_text_table(path)
    multipliers = np.zeros(milp.num_rows)
    rows = names.find(list(table["row"]))
    values = np.array([float(cell) for cell in table["multiplier"]])
    multipliers[rows[rows >= 0]] = values[rows >= 0]
    return multipliers, bool((rows >= 0).all())


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


def kept_rows(milp: Milp, programme: Programme, kept: Sequence[KeptGoal]) -> list[ElasticRows]:
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

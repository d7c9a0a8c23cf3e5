"""What a programme is to the rest of the system: a record of functions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from optimize.checking import CheckReport, ProjectFigures
from optimize.errors import Fault
from optimize.names import Engine
from optimize.result import KeptGoal, NetworkProof, Result, TracePoint
from optimize.schema import InstanceData, InstanceDraft, Schema

if TYPE_CHECKING:  # scipy would come with it
    from optimize.milp import ElasticRows, FloatArray, IntArray, Milp, Objective
    from optimize.warm_start import WarmStart


@dataclass(frozen=True)
class SolveOptions:
    """How to solve.

    Parameters
    ----------
    goal : names of goals, the most important first (lexicographic when more than one).
    gap : stop when the proven relative gap is at most this.
    time_limit_s : wall seconds for the whole solve, model building included.
    threads : cores to use.
    seed : the same inputs, seed and threads give the same plan where no limit cuts in.
    progress : called with each new best plan or bound; must return quickly.
    interrupt : set by the caller to stop; the engine returns the best plan so far.
    write_model : write the formulation as .mps or .lp before solving.
    warm_start : plan and multipliers of a similar case to begin from; engines that cannot use it do not.
    without : ingredients of the fast engine (`Programme.ingredients`) left out, to measure what they bring.
    """

    goal: tuple[str, ...] = ("npv",)
    gap: float = 1e-3
    time_limit_s: float = 300.0
    threads: int = 1
    seed: int = 0
    engine: Engine = "auto"
    progress: Callable[[TracePoint], None] | None = None
    interrupt: threading.Event = field(default_factory=threading.Event)
    write_model: Path | None = None
    warm_start: WarmStart | None = None
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Goal:
    """A goal a programme can be solved for; the checker recomputes ``figures[name]``.

    ``gross``: the figure before costs that a gap is measured against as well, as the net may be small; "" for none.
    """

    name: str
    maximise: bool
    unit: str
    zh: str
    en: str
    gross: str = ""


@dataclass(frozen=True)
class Summary:
    """The plan in a few lines for a person."""

    build: tuple[str, ...]
    effect: tuple[str, ...]


@dataclass(frozen=True)
class PricedRows:
    """A budget or target, and how the sides of its rows move with it.

    Attributes
    ----------
    clause, where, unit, required : as a planner names it.
    is_cap : more of it is more room; of a target, less is.
    rows : rows of the programme.
    per_unit : shape of ``rows``, change of each side when ``required`` rises by one ``unit``.
    """

    clause: str
    where: str
    unit: str
    required: float
    is_cap: bool
    rows: IntArray
    per_unit: FloatArray

    @classmethod
    def of(cls, elastic: ElasticRows) -> PricedRows:
        """What may give way has a price as well."""
        return cls(
            clause=elastic.clause,
            where=elastic.where,
            unit=elastic.unit,
            required=elastic.required,
            is_cap=elastic.is_cap,
            rows=elastic.rows,
            per_unit=np.broadcast_to(np.asarray(elastic.per_unit, np.float64), elastic.rows.shape),
        )


@dataclass(frozen=True)
class StatedArrays:
    """A programme as arrays, with the names a planner knows its rows and columns by.

    Attributes
    ----------
    milp : all rows; row names are each there once.
    objectives : by goal.
    priced : budgets and targets.
    candidate : shape (n,), position in ``candidate_ids`` of the project each column is an option
        of, -1 for other columns.
    candidate_kind : what a candidate is, as the plan's projects name it.
    idle : shape of ``candidate_ids``, the column that says "nothing is done", -1 where none does.
    describe : a row of ids (what is built, when, who pays) for each of some option columns.
    plan_of : the plan of a point, shape (n,); None: the arrays are a relaxation, which has none.
    """

    milp: Milp
    objectives: Mapping[str, Objective]
    priced: tuple[PricedRows, ...]
    candidate: IntArray
    candidate_ids: Sequence[str]
    candidate_kind: str
    idle: IntArray
    describe: Callable[[IntArray], pd.DataFrame]
    plan_of: Callable[[FloatArray], Any] | None = None

    def for_goals(self, goals: Sequence[str], kept: Sequence[KeptGoal]) -> Milp:
        """The programme for the last of ``goals``; what must be kept of the others as last rows.

        A kept goal's row gives way by a billionth, so that the plan that reached it is a plan.
        """
        milp = self.milp
        for keep in kept:
            objective = self.objectives[keep.goal]
            reached = keep.reached - objective.offset
            slack = 1e-9 * max(1.0, abs(reached))
            low, high = (reached - slack, np.inf) if objective.maximise else (-np.inf, reached + slack)
            milp = milp.with_row(objective.cost, low, high, f"keep_{keep.goal}")
        last = self.objectives[goals[-1]]
        return milp.with_objective(last.cost, last.maximise, last.offset)


@dataclass(frozen=True)
class ProjectTable:
    """A table of a run that lists projects, and what its columns say.

    Attributes
    ----------
    name : of the table.
    kind : what a row is, in a planner's word.
    id : columns that together name a project.
    decision : columns that say how and when it is done, and by whose money.
    capex : column of its CAPEX, CNY; "" where the table has none.
    effects : by figure of the checker, the column that adds up to it and the factor to its unit.
    lock : columns of its id by which locks name it; (): all.
    """

    name: str
    kind: str
    id: tuple[str, ...]
    decision: tuple[str, ...]
    capex: str = ""
    effects: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    lock: tuple[str, ...] = ()

    def lock_name(self, project: str) -> str:
        """The id by which locks name a project; ``project``: its id, the columns joined by ``:``."""
        if not self.lock:
            return project
        own = dict(zip(self.id, project.split(":", len(self.id) - 1), strict=False))
        return ":".join(own[name] for name in self.lock)


@dataclass(frozen=True)
class Factor:
    """Something uncertain by which figures of an instance are multiplied.

    Attributes
    ----------
    name : ``costs``, ``yields``, ``prices`` or ``demand``.
    columns : ``table.column`` each, multiplied in every row.
    parameters : paths of parameters multiplied with them.
    """

    name: str
    columns: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Levels:
    """A programme stated for one goal, to be restated for instances that share its options.

    Attributes
    ----------
    restate : arrays of such an instance, columns as in all others; None: its options are others.
    group : shape (n,), candidate of each column (-1: of none); None: the engine finds them.
    plan_of : the plan of an instance from its columns x.
    """

    restate: Callable[[Any], Milp | None]
    group: IntArray | None
    plan_of: Callable[[Any, FloatArray], Any]


@dataclass(frozen=True)
class OptionPayments:
    """Who pays what for every option of a programme.

    Attributes
    ----------
    option : position of the option, which is that of its column.
    source : position in ``sources``.
    year : calendar year.
    amount_cny : CNY.
    """

    option: IntArray
    source: IntArray
    year: IntArray
    amount_cny: FloatArray
    sources: tuple[str, ...]


@dataclass(frozen=True)
class RestatedOptions:
    """The options of one instance, which are the first columns of its arrays, under other figures.

    Attributes
    ----------
    npv_cny : present value of every option in an instance with the same rows, shape (options,), CNY.
    payments : who then pays what for every option.
    """

    npv_cny: Callable[[Any], FloatArray]
    payments: Callable[[Any], OptionPayments]


class GoalLevels(Protocol):
    """One instance solved again and again for one goal while others have to reach a level; plans found serve later
    questions."""

    def best(self, goal: str, options: SolveOptions) -> Result[Any]:
        """The best plan of one goal."""

    def at(self, goal: str, levels: Mapping[str, float], options: SolveOptions) -> Result[Any]:
        """The best plan of ``goal`` that reaches ``levels`` of others (at most that, where they are minimised)."""


@dataclass(frozen=True)
class Programme:
    """One programme (data centres, reclaimed water, public PV).

    ``find_faults`` and ``find_warnings`` look at validated tables for what a schema cannot say;
    ``load`` turns them into the typed instance; ``unsupported_by_fast`` names what the fast path
    cannot take (None: it takes all).  ``check`` shares no derivation with the two solvers.
    ``read_plan`` is the inverse of ``plan_tables`` on tables of text cells.  ``state_arrays`` gives
    the arrays for some goals, or those of a relaxation, without any solver (None: there are none for
    this instance, so its bounds cannot be recomputed from multipliers).  ``project_tables`` say which
    of the plan's tables list its projects; ``lockable`` are the tables, with their key, whose ids a lock
    may name; ``row_words`` say in a planner's words what rows without a name of their own (by block)
    stand for; ``factors`` are what `optimize.studies` varies.  ``goal_levels`` solves
    an instance with goals held at levels, where the arrays hold no plans (None: they do).  ``state_levels`` derives the options once
    for many instances that differ in budgets and targets only (None: every instance is stated anew).
    ``restate_options`` values the options under other figures; ``recount_projects`` counts a plan's
    projects one by one as the checker does (None: the arrays hold no single projects).  ``resumes``: its
    search goes on from a warm start.  ``ingredients``: steps of its fast engine that can be left out to see what
    they bring, by name with a sentence each.  ``prove_network`` computes again, without any solver, what the file
    of a `NetworkCertificate` proves of an instance (None: the programme has no network).
    ``state_bounding`` gives arrays that bound an instance where ``state_arrays`` gives none.
    """

    name: str
    zh: str
    en: str
    schema: Schema
    goals: tuple[Goal, ...]
    find_faults: Callable[[InstanceData], Sequence[Fault]]
    find_warnings: Callable[[InstanceData], Sequence[Fault]]
    load: Callable[[InstanceData], Any]
    solve_formulation: Callable[[Any, SolveOptions], Result[Any]]
    solve_fast: Callable[[Any, SolveOptions], Result[Any]] | None
    unsupported_by_fast: Callable[[Any, SolveOptions], str | None]
    prefer_fast: Callable[[Any, SolveOptions], bool]
    check: Callable[[Any, Any], CheckReport]
    plan_tables: Callable[[Any, Any], Mapping[str, pd.DataFrame]]
    read_plan: Callable[[Mapping[str, pd.DataFrame]], Any]
    state_arrays: Callable[[Any, tuple[str, ...]], StatedArrays | None]
    summarise: Callable[[Any, Any, CheckReport], Summary]
    example: Callable[[], InstanceDraft]
    sizes: tuple[str, ...]
    families: tuple[str, ...]
    generate: Callable[[str, int, str], InstanceDraft]
    project_tables: tuple[ProjectTable, ...] = ()
    goal_levels: Callable[[Any], GoalLevels] | None = None
    state_levels: Callable[[Any, str], Levels] | None = None
    lockable: tuple[tuple[str, str], ...] = ()
    row_words: Mapping[str, str] = field(default_factory=dict)
    factors: tuple[Factor, ...] = ()
    restate_options: Callable[[Any, tuple[str, ...]], RestatedOptions] | None = None
    recount_projects: Callable[[Any, Any], ProjectFigures] | None = None
    resumes: bool = False
    ingredients: Mapping[str, str] = field(default_factory=dict)
    prove_network: Callable[[Any, tuple[str, ...], bytes], NetworkProof] | None = None
    state_bounding: Callable[[Any, tuple[str, ...]], StatedArrays | None] | None = None

    def goal(self, name: str) -> Goal:
        return next(goal for goal in self.goals if goal.name == name)

    def bounding_arrays(self, instance: Any, goals: tuple[str, ...]) -> StatedArrays | None:
        """The arrays that a certificate's multipliers belong to; None: there are none."""
        return (self.state_bounding or self.state_arrays)(instance, goals)

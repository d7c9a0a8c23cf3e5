"""What a programme is to the rest of the system: a record of functions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from optimize.checking import CheckReport
from optimize.errors import Fault
from optimize.result import Result, TracePoint
from optimize.schema import InstanceData, InstanceDraft, Schema

Engine = Literal["auto", "formulation", "fast"]


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


@dataclass(frozen=True)
class Goal:
    """A goal a programme can be solved for; the checker recomputes ``figures[name]``."""

    name: str
    maximise: bool
    unit: str
    zh: str
    en: str


@dataclass(frozen=True)
class Summary:
    """The plan in a few lines for a person."""

    build: tuple[str, ...]
    effect: tuple[str, ...]


@dataclass(frozen=True)
class Programme:
    """One programme (data centres, reclaimed water, public PV).

    ``find_faults`` and ``find_warnings`` look at validated tables for what a schema cannot say;
    ``load`` turns them into the typed instance; ``unsupported_by_fast`` names what the fast path
    cannot take (None: it takes all).  ``check`` shares no derivation with the two solvers.
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
    summarise: Callable[[Any, Any, CheckReport], Summary]
    example: Callable[[], InstanceDraft]
    sizes: tuple[str, ...]
    families: tuple[str, ...]
    generate: Callable[[str, int, str], InstanceDraft]

    def goal(self, name: str) -> Goal:
        return next(goal for goal in self.goals if goal.name == name)

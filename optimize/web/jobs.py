"""What a job is: its kinds, its states, and the product's command each stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What is asked."""

    SOLVE = "solve"
    FRONT = "front"
    EXPLAIN = "explain"


class State(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Outcome(StrEnum):
    """What a job that is over came to."""

    SOLVED = "solved"
    INFEASIBLE = "infeasible"
    NO_PLAN = "no plan"
    FAILED_CHECK = "failed check"
    BAD_INPUT = "bad input"
    MEMORY = "memory"
    TIME = "time"
    LOST = "lost"
    ERROR = "error"


OVER = frozenset({State.DONE, State.FAILED, State.CANCELLED})

# Answers that somebody waits for on the page come before solves.
PRIORITIES: Mapping[Kind, int] = {Kind.EXPLAIN: 0, Kind.SOLVE: 1, Kind.FRONT: 1}

SNAPSHOT, RESULTS, SCENARIOS, PROGRESS = "instance", "results", "scenarios.toml", "progress.jsonl"
STDOUT, STDERR = "stdout", "stderr"


@dataclass(frozen=True)
class Job:
    """One job as the queue keeps it.

    Attributes
    ----------
    instance : id of the instance; "" where it belongs to a run.
    spec : what is asked, by kind (see `command_of`), and how it is called on the page.
    cores : cores it takes.
    created, started, ended : ISO 8601, UTC; "" where that is still to come.
    pid, pid_started : of its process and when that began (s since 1970), so that another process which has got
        the same number is not taken for it.
    result : what its command told, as plain data.
    message : why there is no plan, in words.
    """

    id: str
    kind: Kind
    owner: str
    instance: str
    spec: Mapping[str, Any]
    cores: int
    state: State
    created: str
    started: str = ""
    ended: str = ""
    cancelling: bool = False
    pid: int = 0
    pid_started: float = 0.0
    attempts: int = 0
    outcome: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""

    @property
    def is_over(self) -> bool:
        return self.state in OVER

    @property
    def has_plan(self) -> bool:
        return self.kind is Kind.SOLVE and bool(self.result.get("run"))


def command_of(job: Job) -> list[str]:
    """The arguments of ``python -m optimize`` that do the job, to be run in the job's folder.

    ``spec`` of a solve: programme ("" with ``joint``), scenario, goal, gap, time_limit_s, seed; of a front:
    programme, goals, points, gap, time_limit_s; of an explanation: run (its folder as seen from the job's), instance, asked, time_limit_s.
    Values come after ``=`` or from lists of known names, so that none is taken for an option.
    """
    spec = job.spec
    limit = f"--time-limit={spec['time_limit_s']:g}"
    if job.kind is Kind.EXPLAIN:
        instance = f"--instance={spec['instance']}"
        return ["explain", "--json", limit, instance, "--", str(spec["run"]), str(spec["asked"])]
    shared = [SNAPSHOT, "--json", limit, f"--gap={spec['gap']:g}"]
    if spec.get("programme"):
        shared.append(f"--programme={spec['programme']}")
    if job.kind is Kind.FRONT:
        return ["front", *shared, f"--goals={spec['goals']}", f"--points={spec['points']}"]
    arguments = ["solve", *shared, f"--goal={spec['goal']}", f"--seed={spec['seed']}"]
    arguments += [f"--threads={job.cores}", f"--results={RESULTS}", f"--progress={PROGRESS}"]
    if spec.get("joint"):
        arguments.append("--joint")
    if spec.get("scenario"):
        arguments += [f"--scenarios={SCENARIOS}", f"--scenario={spec['scenario']}"]
    return arguments

"""What a period changes against the plan in force, what staying near it costs, and why it changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optimize.io.run_store import read_summary, text_cells
from optimize.monthly.decide import Plan, Question, runs_by_programme, subjects_in, tables_in
from optimize.monthly.inputs import Inputs
from optimize.monthly.ledger_states import fold
from optimize.monthly.periods import Name
from optimize.monthly.revise import RevisionRules, revise, write_revised
from optimize.monthly.solving import ProjectKey, Subject

_FREE = "free"


@dataclass(frozen=True)
class Changes:
    """Projects that are not as in the plan in force."""

    added: tuple[ProjectKey, ...] = ()
    dropped: tuple[ProjectKey, ...] = ()
    altered: tuple[ProjectKey, ...] = ()

    @classmethod
    def between(cls, before: Mapping[ProjectKey, str], now: Mapping[ProjectKey, str]) -> Changes:
        return cls(
            tuple(key for key in now if key not in before),
            tuple(key for key in before if key not in now),
            tuple(key for key, decision in now.items() if key in before and before[key] != decision),
        )

    @property
    def all(self) -> tuple[ProjectKey, ...]:
        return (*self.added, *self.dropped, *self.altered)

    def __len__(self) -> int:
        return len(self.added) + len(self.dropped) + len(self.altered)


@dataclass(frozen=True)
class Free:
    """The plan without any stability: what it would be worth, and what it would change."""

    status: str
    objective: float | None
    bound: float | None
    changes: int | None


@dataclass(frozen=True)
class SubjectChange:
    """What changed for one programme, or the city.

    Attributes
    ----------
    objective_before : of the plan in force, as it was published; None: there was none.
    objective_standing : of the plan in force under the present inputs; None: it breaks a rule of theirs.
    frozen : changes to projects that the ledger has as contracted (there must be none).
    free : None where it was not asked for.
    """

    subject: str
    goal: str
    unit: str
    maximise: bool
    objective: float
    objective_before: float | None
    objective_standing: float | None
    changes: Changes
    frozen: int
    free: Free | None


@dataclass(frozen=True)
class Explained:
    """All of a period."""

    subjects: tuple[SubjectChange, ...]
    inputs: Mapping[str, int] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """As plain data for the manifest."""
        told = []
        for change in self.subjects:
            content = dataclasses.asdict(change)
            content["changes"] = {
                kind: [":".join(key) for key in getattr(change.changes, kind)]
                for kind in ("added", "dropped", "altered")
            }
            told.append(content)
        return {"subjects": told, "inputs": dict(self.inputs)}


def explain_period(
    question: Question, name: Name, read: Inputs, planned: list[Plan], scratch: Path
) -> Explained:
    """Count the changes of a period's plans, and plan once more without stability where the job asks what it costs."""
    free_subjects = _free_subjects(question, name, read, scratch / _FREE)
    frozen = {key for key, record in fold(read.ledger, name.month).projects.items() if record.frozen}
    found = []
    for plan in planned:
        subject, goal = plan.subject, plan.found.options.goal[-1]
        now = _projects(subject, subject.tables(plan.found))
        run = question.run_in_force(subject)
        before = None if run is None else subject.projects(tables_in(run))
        changes = Changes() if before is None else Changes.between(before, now)
        known = next(known for known in subject.goals if known.name == goal)
        free = free_subjects.get(subject.name)
        found.append(
            SubjectChange(
                subject=subject.name,
                goal=goal,
                unit=known.unit,
                maximise=known.maximise,
                objective=plan.found.figures[goal],
                objective_before=_published_objective(question, subject, goal),
                objective_standing=None if plan.standing is None else plan.standing.figures[goal],
                changes=changes,
                frozen=len(frozen & set(changes.all)),
                free=None if free is None or before is None else _freely(question, free, plan, before),
            )
        )
    return Explained(tuple(found))


def _free_subjects(question: Question, name: Name, read: Inputs, folder: Path) -> dict[str, Subject]:
    """The instance as it is without anything that holds the plan in force, but for what is contracted."""
    job, in_force = question.job, question.in_force
    rules = job.revising.rules
    held = rules.max_changes is not None or rules.penalty_cny_per_change > 0
    if in_force is None or not job.revising.price or not held:
        return {}
    free = RevisionRules(amendment_months=rules.amendment_months)
    revision = revise(read.folder, read.ledger, runs_by_programme(in_force), name.month, free)
    settings = {**job.solving.settings, **revision.overrides}
    write_revised(read.folder, dataclasses.replace(revision, overrides=settings), folder)
    return {subject.name: subject for subject in subjects_in(job, folder)}


def _freely(question: Question, subject: Subject, plan: Plan, before: Mapping[ProjectKey, str]) -> Free:
    """Solve without stability, from the plan just found."""
    options = dataclasses.replace(question.options(subject), warm_start=plan.found.start)
    found = subject.solve(options, dataclasses.replace(question.slices, checkpoints=None))
    if found.status != "solved":
        return Free(found.status, None, None, None)
    changes = Changes.between(before, _projects(subject, subject.tables(found)))
    return Free(found.status, found.figures[options.goal[-1]], found.solved.result.bound, len(changes))


def _projects(subject: Subject, tables: Mapping[str, Any]) -> dict[ProjectKey, str]:
    return subject.projects({name: text_cells(frame) for name, frame in tables.items()})


def _published_objective(question: Question, subject: Subject, goal: str) -> float | None:
    run = question.run_in_force(subject)
    if run is None:
        return None
    value = read_summary(run)["figures"].get(goal)
    return None if value is None else float(value)

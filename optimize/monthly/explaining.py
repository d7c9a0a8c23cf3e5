"""What a period changes against the plan in force, why, and what staying near it costs; with the report of it.

Every question here is one more solve.  They share one time; what there is no time for is told as not known.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optimize.errors import InputFaults
from optimize.io.run_store import text_cells
from optimize.monthly.attribution import (
    Asked,
    ChangeExplained,
    LedgerSays,
    PeriodPlan,
    PlanView,
    explain_change,
    find_changes,
    view_of_run,
    view_of_tables,
)
from optimize.monthly.change_files import write_reports
from optimize.monthly.change_report import KINDS, Report
from optimize.monthly.decide import Plan, Question, runs_by_programme, subjects_in, subjects_under
from optimize.monthly.inputs import INSTANCE, LEDGER, Inputs
from optimize.monthly.ledger import read_ledger
from optimize.monthly.ledger_states import Key, ProjectRecord, fold
from optimize.monthly.periods import Name, Period
from optimize.monthly.revise import Revision, holding_plan, write_revised
from optimize.monthly.solving import CitySubject, Found, ProgrammeSubject, Subject
from optimize.monthly.stability import CHANGES, CurvePoint, Planned, Stability, trace_changes, undominated

REPORTS = "report"
# Of the period's gap: what a group of inputs does is smaller than the whole.
_FINER_GAP = 0.2


@dataclass(frozen=True)
class SubjectChange:
    """What changed for one programme, or the city.

    Attributes
    ----------
    objective : without what changes were fined.
    objective_before : of the plan in force as it was published; None: there was none.
    explained : None where there was no plan in force.
    frozen : contracted projects that are not as the ledger has them (there must be none).
    stability : None where its price was not asked for, or no free plan was found in time.
    """

    subject: str
    goal: str
    unit: str
    objective: float
    objective_before: float | None = None
    explained: ChangeExplained | None = None
    frozen: int = 0
    stability: Stability | None = None

    @property
    def num_changes(self) -> int:
        return 0 if self.explained is None else len(self.explained.changed)

    @property
    def num_forced(self) -> int:
        """Changes that had no choice, which no limit counts."""
        return 0 if self.explained is None else sum(project.forced for project in self.explained.projects)

    def record(self) -> dict[str, Any]:
        """In short, for the period's manifest; the rest stands in the report."""
        counts = {} if self.explained is None else {
            kind: self.explained.count(kind) for kind in KINDS
        }  # fmt: skip
        stability = self.stability
        free = (
            None if stability is None else {"value": stability.free.value, "changes": stability.free.changes}
        )
        return {
            "subject": self.subject, "goal": self.goal, "unit": self.unit, "objective": self.objective,
            "objective_before": self.objective_before, "changes": self.num_changes, **counts, "forced": self.num_forced,
            "frozen": self.frozen, "free": free,
        }  # fmt: skip


@dataclass(frozen=True)
class Explained:
    """All of a period; ``inputs``: by group, how many cells and rows differ."""

    subjects: tuple[SubjectChange, ...]
    inputs: Mapping[str, int] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether any plan is the first of its kind, or any project is not as in the plan in force."""
        return any(change.objective_before is None or change.num_changes for change in self.subjects)

    def record(self) -> dict[str, Any]:
        return {"subjects": [change.record() for change in self.subjects], "inputs": dict(self.inputs)}


def explain_period(
    question: Question, name: Name, read: Inputs, revision: Revision, planned: Sequence[Plan],
    runs: Mapping[str, Path], place: Path, scratch: Path,
) -> Explained:  # fmt: skip
    """Explain a staged period and write its reports into it.

    Parameters
    ----------
    runs : folders of its runs.
    place : the staged period; scratch : a folder for instances that are solved on the way.
    """
    work = _Work(question, name, read, revision, place, scratch)
    found = tuple(work.explain(plan, runs[plan.subject.name]) for plan in planned)
    inputs: dict[str, int] = {}
    for change in found:
        for group in () if change.explained is None else change.explained.groups:
            if group.group != "ledger":  # the plan in force is among its rows: not news
                inputs[group.group] = inputs.get(group.group, 0) + group.num_differences
    if question.in_force is not None:
        inputs["ledger entries"] = len(read.ledger.entries) - question.in_force.manifest["ledger"]["entries"]
    return Explained(found, inputs)


class _Work:
    """Explaining one period, within the time there is for it."""

    def __init__(
        self, question: Question, name: Name, read: Inputs, revision: Revision, place: Path, scratch: Path
    ) -> None:
        self._question, self._name, self._read, self._revision = question, name, read, revision
        self._place, self._scratch = place, scratch
        self._deadline = time.monotonic() + question.job.solving.explain_s
        self._free: dict[str, Subject] | None = None

    def explain(self, plan: Plan, run: Path) -> SubjectChange:
        """One plan against the one in force."""
        subject, goal = plan.subject, plan.found.options.goal[-1]
        known = next(known for known in subject.goals if known.name == goal)
        value = subject.unfined(plan.found)
        change = SubjectChange(subject.name, goal, known.unit, value)
        in_force = self._question.in_force
        before_run = self._question.run_in_force(subject)
        if in_force is None or before_run is None:
            return change
        then = _published_objective(in_force, subject.name)
        held, planned = view_of_run(before_run, then), view_of_run(run, value)
        if plan.found.kept and not self._question.job.revising.price and not find_changes(held, planned):
            return dataclasses.replace(change, objective_before=then)  # there is nothing to tell
        before = PeriodPlan(str(in_force.name), self._then(in_force), held)
        now = PeriodPlan(str(self._name), self._place / INSTANCE, planned)
        ledger = fold(self._read.ledger, self._name.month).projects
        asked = Asked(goal, known.unit, known.maximise, self._revision.measured, _says(ledger))
        folder = self._scratch / subject.name
        folder.mkdir(parents=True)
        explained = explain_change(
            before, now, asked, lambda again: self._solve_again(again, subject, plan), folder
        )
        stability = self._stability(plan, before.plan)
        reports = self._place / REPORTS / subject.name
        reports.mkdir(parents=True)
        unpriced = stability is None and self._priced
        if unpriced:
            self._question.slices.log.tell(
                "no price", f"{subject.name}: no plan without any hold was found in time (solve.explain_s)"
            )
        write_reports(Report(explained, stability, unpriced), reports)
        contracted = {key for key, record in ledger.items() if record.frozen}
        frozen = sum(
            c.counted and (c.programme, c.table, c.project) in contracted for c in explained.projects
        )
        return dataclasses.replace(
            change, objective_before=then, explained=explained, frozen=frozen, stability=stability
        )

    def _then(self, in_force: Period) -> Path | None:
        """The instance of the plan in force with that plan in it, and with what the ledger knew of it then.

        None: it was read by another version of ours, and this one asks for more.
        """
        out = self._scratch / "then"
        if out.exists():
            return out
        rules = self._question.job.revising.rules
        try:
            then = read_ledger(in_force.folder / LEDGER)
            holding = holding_plan(in_force.folder / INSTANCE, then, runs_by_programme(in_force), rules)
            write_revised(in_force.folder / INSTANCE, holding, out)
        except InputFaults as error:
            told = f"the inputs of {in_force.name} are none any more ({error.faults[0]}): no causes are looked for"
            self._question.slices.log.tell("not compared", told)
            return None
        return out

    def _solve_again(self, folder: Path, subject: Subject, plan: Plan) -> PlanView | None:
        """The plan of an instance with some inputs taken back."""
        other = next(s for s in subjects_in(self._question.job, folder) if s.name == subject.name)
        gap = _FINER_GAP * self._question.job.solving.gap
        found = self._solve(other, plan, gap)
        return None if found is None else _view(other, found)

    def _solve(self, subject: Subject, plan: Plan, gap: float) -> Found | None:
        """One more solve, from what the period's own began from, in the time that is left."""
        left = self._deadline - time.monotonic()
        if left <= 0 or self._question.interrupt.is_set():
            return None
        options = self._question.options(subject)
        asked = dataclasses.replace(
            options, gap=gap, time_limit_s=min(options.time_limit_s, left), warm_start=plan.found.start
        )
        found = subject.solve(asked, dataclasses.replace(self._question.slices, checkpoints=None))
        return found if found.status == "solved" else None

    @property
    def _priced(self) -> bool:
        """Whether the price of stability is asked for, and anything holds the plan."""
        rules = self._question.job.revising.rules
        held = rules.max_changes is not None or rules.penalty_cny_per_change > 0
        return self._question.job.revising.price and held

    # --- stability --------------------------------------------------------------------------------

    def _stability(self, plan: Plan, before: PlanView) -> Stability | None:
        """The plan without anything that holds it near the one in force, beside the one that is held."""
        if not self._priced:
            return None
        rules = self._question.job.revising.rules
        subject = self._free_subjects()[plan.subject.name]
        found = self._solve(subject, plan, self._question.job.solving.gap)
        if found is None:
            return None
        goal = next(g for g in subject.goals if g.name == found.options.goal[-1])
        return Stability(
            goal=goal.name,
            unit=goal.unit,
            maximise=goal.maximise,
            held=_planned(plan.subject, plan.found, before),
            free=_planned(subject, found, before),
            penalty_cny_per_change=rules.penalty_cny_per_change,
            max_changes=rules.max_changes,
            curve=self._curve(subject, found, plan),
        )

    def _curve(self, subject: Subject, found: Found, plan: Plan) -> tuple[CurvePoint, ...]:
        """The goal's value against the number of changes, where the job asks for it and there is time.

        The period's own plan and the free one are points like any other.
        """
        points = self._question.job.revising.curve_points
        left = self._deadline - time.monotonic()
        counted = any(goal.name == CHANGES for goal in subject.goals)
        if not points or not counted or left <= 0 or not isinstance(subject, ProgrammeSubject):
            return ()
        options = dataclasses.replace(found.options, time_limit_s=left, warm_start=None)
        if subject.data.parameters.get("water.phased", False):
            self._question.slices.log.tell(
                "no curve", f"{subject.name}: built in phases, no curve of changes"
            )
            return ()
        traced = trace_changes(subject.programme, subject.data, options.goal[-1], points, options)
        goal = next(g for g in subject.goals if g.name == options.goal[-1])
        own = (
            CurvePoint(known.figures[CHANGES], of.unfined(known), None)
            for of, known in ((plan.subject, plan.found), (subject, found))
        )
        return undominated((*traced, *own), maximise=goal.maximise) if traced else ()

    def _free_subjects(self) -> dict[str, Subject]:
        """The instance without anything that holds the plan in force, but for what is contracted."""
        if self._free is None:
            in_force = self._question.in_force
            assert in_force is not None
            rules = dataclasses.replace(
                self._question.job.revising.rules, penalty_cny_per_change=0.0, max_changes=None
            )
            self._free = subjects_under(
                self._question.job, self._read, in_force, self._name, rules, self._scratch / "free"
            )
        return self._free


def _view(subject: Subject, found: Found) -> PlanView:
    tables = {name: text_cells(frame) for name, frame in subject.tables(found).items()}
    joint = isinstance(subject, CitySubject)
    return view_of_tables(
        tables, subject.programmes, subject.unfined(found), found.solved.result.bound, joint=joint
    )


def _planned(subject: Subject, found: Found, before: PlanView) -> Planned:
    view = _view(subject, found)
    changes = find_changes(before, view)
    fined = view.objective != found.figures[found.options.goal[-1]]
    forced = sum(change.forced for change in changes)
    counted = sum(change.counted for change in changes)
    return Planned(view.objective, None if fined else view.bound, counted + forced, forced)


def _says(projects: Mapping[Key, ProjectRecord]) -> dict[Key, LedgerSays]:
    """What the ledger has to say of each project."""
    return {
        key: LedgerSays(record.state, record.year if record.delayed else 0, record.note)
        for key, record in projects.items()
    }


def _published_objective(period: Period, subject: str) -> float:
    """Of the plan in force, without what its changes were fined when it was made."""
    told = next(row for row in period.manifest["changes"]["subjects"] if row["subject"] == subject)
    return float(told["objective"])

"""One period from the lock to the published plan.

Everything is written into a staged folder beside the published periods; nothing that is published changes
before the one rename that publishes the whole, and nothing after it is needed for the plan to be found.
Whatever goes wrong on the way is recorded outside the periods and told by the exit code.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from optimize.errors import ExitCode, OptimizeError
from optimize.monthly import decide, failures, inputs, keeping, record, telling
from optimize.monthly.checkpoints import Checkpoints
from optimize.monthly.due import Asked, find_due
from optimize.monthly.explaining import REPORTS, explain_period
from optimize.monthly.job import Job
from optimize.monthly.lock import held
from optimize.monthly.log import Echo, Log
from optimize.monthly.periods import (
    Name,
    Period,
    last_good,
    names_in,
    point_current,
    publish,
    read_current,
    staging,
    sweep,
)
from optimize.monthly.revise import revise, write_revised
from optimize.monthly.solving import Slices, Subject

LOG = "log.jsonl"


@dataclass(frozen=True)
class End:
    """How a run ended.

    Attributes
    ----------
    outcome : ``changed``, ``kept`` (nothing was worth changing) or ``already`` (it was published before).
    lines : what a person is told; of ``kept`` nothing need be.
    """

    outcome: str
    period: Period
    lines: tuple[str, ...]


class NothingToPublish(OptimizeError):
    """There is no checked plan for the period."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = code


def run_period(
    job: Job,
    asked: Asked,
    now: Callable[[], datetime],
    interrupt: threading.Event,
    echo: Echo | None = None,
    warn: Echo | None = None,
) -> End:
    """Plan and publish what is due.

    Parameters
    ----------
    now : the clock, in the job's time zone.
    interrupt : set to stop; what was found so far is kept as a checkpoint, and nothing is published.
    echo : called with every line of the log.
    warn : called with what a person has to know although it fails nothing (a record that could not be
        written, a webhook that did not answer).

    Raises
    ------
    JobBusy : another run of the job is at work; nothing was read or written.
    OptimizeError, OSError : why nothing was published; it is recorded, and ``current`` is untouched.
    """
    warn = warn or (lambda text: None)
    with held(job.home):
        log = Log(job.home / LOG, now, echo)
        try:
            end = _Run(job, asked, now, interrupt, log).end()
        except BaseException as error:
            with _told_if_unwritten(warn, error):
                failures.record_failure(job.home, log.period, error, log, now())
            _tell(job, telling.failed(job, log.period, error), log, warn)
            raise
        if end.outcome != "already":
            _tell(job, telling.ended(job, end.outcome, end.period, end.lines), log, warn)
        return end


def settle(home: Path, log: Log) -> Period | None:
    """Let ``current`` point to the newest period that is as it was written, whatever happened to it; that period."""
    newest, damaged = last_good(home)
    for name, faults in damaged.items():
        log.tell("damaged", f"period {name} is not as it was written ({faults[0]}) and is left aside")
    held_by = read_current(home)
    if newest is None:
        if names_in(home):
            log.tell(
                "no good period", "no published period is as it was written: planned without a plan in force"
            )
        return None
    # an earlier month planned again lies beside its first edition; `current` is the newest month's newest
    if held_by != newest.name:
        point_current(home, newest.name)
        word = "pointed to nothing" if held_by is None else f"pointed to {held_by}"
        log.tell("current mended", f"current {word}; it points to the last good plan again: {newest.name}")
    return newest


@dataclass
class _Run:
    job: Job
    asked: Asked
    now: Callable[[], datetime]
    interrupt: threading.Event
    log: Log

    def __post_init__(self) -> None:
        self.started = self.now()

    def end(self) -> End:
        home = self.job.home
        self.log.period = self.asked.period or f"{self.now():%Y-%m}"
        left = sweep(home)
        if left:
            self.log.tell("swept", f"removed what an interrupted run left: {', '.join(left)}")
        settle(home, self.log)
        due = find_due(home, self.asked, self.now())
        if due.published is not None:
            return _already(due.published)
        in_force, _ = last_good(home, before=due.name.month)
        with staging(home) as place, staging(home) as scratch:
            planned, content, lines = self._plan(due.name, in_force, place, scratch)
            self.log.tell("publishing", f"checked: passed · published as {due.name}")
            (place / LOG).write_text(self.log.as_text(), encoding="utf-8")
            period = publish(place, home, due.name, content)
        newest = self._newest(due.name)
        if newest == due.name:
            point_current(home, due.name)
        Checkpoints(home / record.CHECKPOINTS).clear()
        keeping.tidy(self.job, self.log)
        shown = "" if newest == due.name else f" (it stays at {newest})"
        self.log.tell("published", f"current → {newest}{shown} · {planned}", outcome=planned)
        pages = sorted((period.folder / REPORTS).rglob("*.zh.html"))
        report = f" · report {', '.join(map(str, pages))}" if pages else ""
        last = f"checked: passed · current → {newest}{shown}{report}"
        return End(planned, period, (*lines, telling.stamped(self.now(), last)))

    def _plan(
        self, name: Name, in_force: Period | None, place: Path, scratch: Path
    ) -> tuple[str, dict[str, Any], tuple[str, ...]]:
        """Everything of the period, staged in ``place``: how it ended, what the manifest says, what is told."""
        job, log = self.job, self.log
        since = "no plan is in force yet" if in_force is None else f"plan in force: {in_force.name}"
        log.tell("begun", f"period {name} · {since}", since="" if in_force is None else str(in_force.name))
        read = inputs.read_inputs(job, place, in_force, log, accept_lost_rows=self.asked.accept_lost_rows)
        log.tell(
            "read",
            f"{len(read.rows)} tables, {sum(read.rows.values())} rows; ledger: {len(read.ledger.entries)} entries",
        )
        runs = {} if in_force is None else decide.runs_by_programme(in_force)
        revision = revise(read.folder, read.ledger, runs, name.month, job.revising.rules)
        settings = {**job.solving.settings, **revision.overrides}
        write_revised(read.folder, dataclasses.replace(revision, overrides=settings), place / inputs.INSTANCE)
        for _, english in revision.words:
            log.tell("revised", english)
        inputs.share_unchanged(place / inputs.INSTANCE, read.folder)
        slices = Slices(job.solving.checkpoint_s, Checkpoints(job.home / record.CHECKPOINTS), log)

        @functools.cache
        def stand_still() -> Mapping[str, Subject]:
            assert in_force is not None
            rules = dataclasses.replace(job.revising.rules, max_changes=0)
            return decide.subjects_under(job, read, in_force, name, rules, scratch / "still")

        question = decide.Question(job, self.interrupt, slices, in_force, stand_still)
        planned = [question.plan(subject) for subject in decide.subjects_in(job, place / inputs.INSTANCE)]
        self._refuse_unplanned(planned)
        known_as = job.home / str(name) / inputs.INSTANCE
        runs_now = {
            plan.subject.name: record.store(plan, place, place / inputs.INSTANCE, known_as, self.started)
            for plan in planned
        }
        record.verify(runs_now, place / inputs.INSTANCE)
        explained = explain_period(question, name, read, revision, planned, runs_now, place, scratch)
        outcome = "changed" if explained.changed else "kept"
        content = record.manifest(
            job, name, in_force, outcome, read, planned, runs_now, explained, self.now()
        )
        revised = [english for _, english in revision.words]
        lines = telling.period_lines(job, name, in_force, planned, explained, revised, self.now())
        for line in lines:
            log.tell("told", line.split("  ", 1)[-1])
        return outcome, content, lines

    def _newest(self, name: Name) -> Name:
        """The newest good period: the one just published, unless that was an earlier month again."""
        newest, _ = last_good(self.job.home)
        return name if newest is None else newest.name

    def _refuse_unplanned(self, planned: list[decide.Plan]) -> None:
        """All or nothing: a period has a checked plan of everything the job plans."""
        if self.interrupt.is_set():
            raise NothingToPublish(
                "stopped by a signal; what was found is kept, and the next run goes on from it",
                ExitCode.NO_PLAN,
            )
        short = [plan for plan in planned if plan.found.status != "solved"]
        if short:
            code, text = decide.why_not(short)
            raise NothingToPublish(text, code)


def _already(period: Period) -> End:
    name = period.name
    line = (
        f"period {name} is published already ({period.folder}); nothing was changed. --force plans it again"
    )
    return End("already", period, (line,))


@contextlib.contextmanager
def _told_if_unwritten(warn: Echo, error: BaseException) -> Iterator[None]:
    """A record that cannot be written is told; the failure it should have recorded is what counts."""
    try:
        yield
    except OSError as unwritten:
        warn(f"the failure ({failures.words_of(error)}) could not be recorded: {unwritten}")


def _tell(job: Job, message: Mapping[str, Any] | None, log: Log, warn: Echo) -> None:
    """Post to the webhook; whoever does not answer does not change how the run ended."""
    if message is None:
        return
    problem = telling.post(job.telling, message)
    if problem:
        warn(f"the webhook was not reached: {problem}")
        with contextlib.suppress(OSError):  # the run's own end is recorded, or told not to be
            log.tell("webhook failed", f"the webhook was not reached: {problem}")

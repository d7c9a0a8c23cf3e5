"""One workspace: instances, the queue and its worker, finished runs; what pages and API both ask."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import anyio

from optimize.city.instance import shared_goals
from optimize.errors import InputFaults, UsageError
from optimize.names import CITY
from optimize.programme import Goal, Programme
from optimize.publish.facts import RunFacts, read_run
from optimize.registry import PROGRAMMES, find_programme
from optimize.web import scenario_table
from optimize.web.explanations import asked_id
from optimize.web.instances import Instances, Record
from optimize.web.jobs import PROGRESS, SCENARIOS, SNAPSHOT, Job, Kind, State
from optimize.web.queue import Queue, new_id
from optimize.web.settings import Settings
from optimize.web.worker import Worker

# Waiting jobs of one user, and all that are kept: an office, not a computing centre.
_MOST_WAITING = 100
_MOST_PROGRESS_LINES = 4000


@dataclass(frozen=True)
class SolveQuestion:
    """What is asked of a solve; ``programme`` is the city's name where all share one budget."""

    programme: str
    scenario: str
    goals: Sequence[str]
    gap: float
    time_limit_s: float
    cores: int
    seed: int = 0


@dataclass(frozen=True)
class FrontQuestion:
    """What is asked of a front: two or three goals, the one optimised first."""

    programme: str
    goals: Sequence[str]
    points: int
    gap: float
    time_limit_s: float


class Workspace:
    """Everything one server holds.  Only one server at a time has a workspace."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = settings.workspace
        self.jobs_folder = self.folder / "jobs"
        self.jobs_folder.mkdir(parents=True, exist_ok=True)
        self._lock = _held(self.folder / "lock")
        self.instances = Instances(self.folder / "instances", self.folder / "incoming")
        self.queue = Queue(self.folder / "queue.sqlite")
        self.worker = Worker(settings, self.queue, self.jobs_folder)
        # uploads are looked at two at a time, in threads that pages do not wait for
        self.intake_limiter = anyio.CapacityLimiter(2)

    def start(self) -> None:
        self._forget_unfinished()
        self.worker.start()

    def stop(self) -> None:
        self.worker.stop()
        self._lock.close()

    def _forget_unfinished(self) -> None:
        """Folders of jobs that were never queued, because the server went away in between."""
        for folder in self.jobs_folder.iterdir():
            if self.queue.get(folder.name) is None:
                shutil.rmtree(folder, ignore_errors=True)

    # --- asking for work ------------------------------------------------------------------------------

    def solve(self, record: Record, owner: str, question: SolveQuestion) -> Job:
        """Queue one solve of an instance.

        Raises
        ------
        UsageError : the instance has faults, or does not have what is asked.
        """
        self._refuse_too_many(owner)
        goals = goals_of(record, question.programme)
        if not question.goals or any(goal not in [g.name for g in goals] for goal in question.goals):
            raise UsageError(f"{question.programme} knows the goals {', '.join(g.name for g in goals)}")
        if question.cores > self.settings.cores:
            raise UsageError(f"this server has {self.settings.cores} cores for jobs")
        spec: dict[str, Any] = {
            "programme": "" if question.programme == CITY else question.programme,
            "joint": question.programme == CITY,
            "scenario": question.scenario,
            "title": self._title(record, question.scenario),
            "goal": ",".join(question.goals),
            "gap": question.gap,
            "time_limit_s": self._time(question.time_limit_s),
            "seed": question.seed,
        }
        return self._queued(Kind.SOLVE, owner, record, spec, question.cores)

    def front(self, record: Record, owner: str, question: FrontQuestion) -> Job:
        """Queue a front of one programme; raises like `solve`."""
        self._refuse_too_many(owner)
        goals = goals_of(record, question.programme)
        known = [goal.name for goal in goals]
        if question.programme == CITY:
            raise UsageError("a front is one programme's")
        if len(set(question.goals)) not in (2, 3) or any(goal not in known for goal in question.goals):
            raise UsageError(f"name two or three different goals of {', '.join(known)}")
        spec = {
            "programme": question.programme,
            "goals": ",".join(question.goals),
            "points": question.points,
            "gap": question.gap,
            "time_limit_s": self._time(question.time_limit_s),
            "title": self._title(record, ""),
        }
        return self._queued(Kind.FRONT, owner, record, spec, 1)

    def explain(self, run: Job, owner: str, project: str, time_limit_s: float = 10.0) -> Job:
        """Queue the explanation of a project of a run; the one there is already where it was asked before."""
        for job in self.explanations(run):
            if job.spec["project"] == project and job.state not in (State.CANCELLED, State.FAILED):
                return job
        self._refuse_too_many(owner)
        home = Path("..") / run.id
        spec = {
            "of": run.id,
            "run": (home / str(run.result["run"])).as_posix(),
            "instance": (home / SNAPSHOT).as_posix(),
            "project": project,
            "asked": asked_id(self.facts(run), project),
            "time_limit_s": self._time(time_limit_s),
        }
        name = new_id()
        (self.jobs_folder / name).mkdir()
        job = self.queue.add(Kind.EXPLAIN, owner, "", spec, 1, name)
        self.worker.look()
        return job

    def explanations(self, run: Job) -> list[Job]:
        return [job for job in self.queue.listed(kind=Kind.EXPLAIN, newest=1000) if job.spec["of"] == run.id]

    def cancel(self, job: Job) -> None:
        """End a job: one that runs keeps its best plan so far."""
        self.queue.cancel(job.id)
        self.worker.look()

    def delete(self, job: Job) -> None:
        """Forget a job that is over, with its run and what was explained about it.

        Raises
        ------
        UsageError : it is not over.
        """
        if not job.is_over:
            raise UsageError("this job is still at work; cancel it first")
        for other in self.explanations(job):
            if other.is_over:
                self.queue.forget(other.id)
                shutil.rmtree(self.jobs_folder / other.id, ignore_errors=True)
        self.queue.forget(job.id)
        shutil.rmtree(self.jobs_folder / job.id, ignore_errors=True)

    def _queued(self, kind: Kind, owner: str, record: Record, spec: Mapping[str, Any], cores: int) -> Job:
        name = new_id()
        folder = self.jobs_folder / name
        folder.mkdir()
        try:
            self.instances.snapshot(record, folder / SNAPSHOT)
            if spec.get("scenario"):
                shutil.copyfile(folder / SNAPSHOT / scenario_table.FILE, folder / SCENARIOS)
            job = self.queue.add(kind, owner, record.id, spec, cores, name)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self.worker.look()
        return job

    def _title(self, record: Record, scenario: str) -> dict[str, str]:
        """How a run is called in both languages: the scenario's title; "" for the instance as it is."""
        if not scenario:
            return {"zh": "", "en": ""}
        try:
            found = scenario_table.scenarios_of(self.instances.folder_of(record))
        except InputFaults as error:
            raise UsageError("the scenarios of this instance have faults; mend them first") from error
        for known in found:
            if known.name == scenario:
                return {"zh": known.zh, "en": known.en}
        raise UsageError(f"this instance has no scenario {scenario}")

    def _time(self, seconds: float) -> float:
        if seconds > self.settings.job_time_s:
            raise UsageError(f"a job may take at most {self.settings.job_time_s:g} s here")
        return seconds

    def _refuse_too_many(self, owner: str) -> None:
        waiting = sum(job.owner == owner for job in self.queue.in_state(State.QUEUED))
        if waiting >= _MOST_WAITING:
            raise UsageError(f"{waiting} of your jobs are waiting already; cancel some or come back later")

    def save_scenarios(self, record: Record, text: str) -> None:
        """Replace the file of scenarios by one that can be solved; an empty text removes it.

        Raises
        ------
        InputFaults, UsageError : it cannot, with everything that is wrong; the file stays as it was.
        """
        with self.instances.being_changed(record) as folder:
            if text.strip():
                faults = self.instances.scenario_faults(record, text, scenario_table.FILE)
                if faults:
                    raise InputFaults(faults)
            scenario_table.save_text(folder, text)

    # --- what has come of it --------------------------------------------------------------------------

    def run_folder(self, job: Job) -> Path | None:
        """Where the run of a finished solve lies; None where it has no plan."""
        return self.jobs_folder / job.id / str(job.result["run"]) if job.has_plan else None

    def facts(self, job: Job) -> RunFacts:
        """A run as reports and pages read it, with its instance as it was then.

        Raises
        ------
        UsageError : it has no plan.
        """
        folder = self.run_folder(job)
        if folder is None:
            raise UsageError("this job has no plan")
        return _facts(folder, self.jobs_folder / job.id / SNAPSHOT)

    def runs(self) -> list[Job]:
        """Solves with a plan, the newest first."""
        return [job for job in self.queue.listed(kind=Kind.SOLVE, newest=1000) if job.has_plan]

    def progress(self, job: Job) -> list[dict[str, Any]]:
        """Plans and bounds of a solve over time: seconds, plan, bound, gap, goal, unit of each."""
        path = self.jobs_folder / job.id / PROGRESS
        if not path.is_file():
            return []
        lines = path.read_text(encoding="utf-8").split("\n")[:-1][-_MOST_PROGRESS_LINES:]
        return [json.loads(line) for line in lines]


@functools.lru_cache(maxsize=32)  # runs never change
def _facts(folder: Path, instance: Path) -> RunFacts:
    return read_run(folder, instance=instance)


def goals_of(record: Record, programme: str) -> list[Goal]:
    """The goals a programme of an instance can be solved for; of the city, those its programmes share.

    Raises
    ------
    UsageError : the instance has faults, or no such programme.
    """
    if not record.is_valid:
        raise UsageError("this instance has faults; mend them first")
    if programme == CITY:
        if len(record.programmes) < 2:
            raise UsageError("one budget for all needs an instance of several programmes")
        parts = programmes_of(record)
        return [parts[0].goal(name) for name in shared_goals(parts)]
    if programme not in record.programmes:
        raise UsageError(f"this instance has {', '.join(record.programmes)}")
    return list(find_programme(programme).goals)


def programmes_of(record: Record) -> list[Programme]:
    return [programme for programme in PROGRAMMES if programme.name in record.programmes]


def _held(path: Path) -> IO[str]:
    """A lock that lasts as long as the process.

    Raises
    ------
    UsageError : another server has it.
    """
    stream = path.open("a")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        stream.close()
        raise UsageError(f"another server is at work in {path.parent}; name another --workspace") from error
    os.set_inheritable(stream.fileno(), False)
    return stream

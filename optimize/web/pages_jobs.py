"""Pages of jobs: the queue, and one job with its plan and bound over time."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from optimize.i18n.words import Words
from optimize.web.fronts import front_of
from optimize.web.jobs import SNAPSHOT, Job, Kind, Outcome, State
from optimize.web.naming import (
    district_name,
    goal_name,
    instance_name,
    job_name,
    job_programme,
    job_state,
    programme_name,
    scenario_name,
)
from optimize.web.progress_chart import gap_chart
from optimize.web.rendering import Form, Reader, Space, page
from optimize.web.ways_out import ways_out
from optimize.web.workspace import Workspace

router = APIRouter()
_SHOWN = 100


def _job(name: str, space: Space) -> Job:
    job = space.queue.get(name)
    if job is None:
        raise HTTPException(404, "there is no such job; perhaps it was deleted")
    return job


Work = Annotated[Job, Depends(_job)]


@router.get("/jobs")
def jobs_page(request: Request, space: Space, words: Reader) -> Response:
    return page(request, "jobs.html", **_listed(space, words))


@router.get("/jobs/rows")
def jobs_rows(request: Request, space: Space, words: Reader) -> Response:
    """The table of the queue alone; it asks for itself again as long as something is under way."""
    return page(request, "jobs_live.html", **_listed(space, words))


def _listed(space: Workspace, words: Words) -> dict[str, Any]:
    jobs = space.queue.listed(newest=_SHOWN)
    names = {record.id: instance_name(record, words) for record in space.instances.listed()}
    latest = {
        job.id: _latest(space, job) for job in jobs if job.kind is Kind.SOLVE and job.state is State.RUNNING
    }
    return {
        "jobs": jobs,
        "live": any(not job.is_over for job in jobs),
        "instance_names": names,
        "latest": latest,
        "cores": space.settings.cores,
        "cores_busy": sum(job.cores for job in jobs if job.state is State.RUNNING),
        "job_name": functools.partial(job_name, words=words),
        "job_state": functools.partial(job_state, words=words),
    }


def _latest(space: Workspace, job: Job) -> Mapping[str, Any]:
    lines = space.progress(job)
    return lines[-1] if lines else {}


@router.get("/jobs/{name}")
def job_page(request: Request, job: Work, space: Space, words: Reader) -> Response:
    if job.kind is Kind.EXPLAIN:  # shown where it was asked
        return RedirectResponse(f"/runs/{job.spec['of']}/project?id={job.spec['project']}", 303)
    record = space.instances.get(job.instance)
    return page(
        request,
        "job.html",
        instance=None if record is None else instance_name(record, words),
        programme_name=functools.partial(programme_name, words=words),
        **_shown(job, space, words),
    )


@router.get("/jobs/{name}/live")
def job_live(request: Request, job: Work, space: Space, words: Reader) -> Response:
    """What changes while a job runs; once it is over it asks no more."""
    return page(request, "job_live.html", **_shown(job, space, words))


def _shown(job: Job, space: Workspace, words: Words) -> dict[str, Any]:
    lines = space.progress(job) if job.kind is Kind.SOLVE else []
    is_infeasible = job.outcome == Outcome.INFEASIBLE
    return {
        "job": job,
        "name": job_name(job, words),
        "programme": job_programme(job),
        "scenario": scenario_name(job, words),
        "goal": goal_name(job, words),
        "state": job_state(job, words),
        "latest": lines[-1] if lines else {},
        "chart": gap_chart(lines, words),
        "ahead": space.queue.position(job),
        "ways_out": _ways_out(job, space, words) if is_infeasible else [],
        "front": front_of(job, words) if job.kind is Kind.FRONT and job.result.get("points") else None,
        "unit": lines[-1]["unit"] if lines else "",
    }


def _ways_out(job: Job, space: Workspace, words: Words) -> list[list[str]]:
    folder = space.jobs_folder / job.id / SNAPSHOT
    return ways_out(job.result.get("relaxations", ()), words, functools.partial(district_name, folder))


@router.post("/jobs/{name}/cancel")
def cancel(job: Work, space: Space, form: Form) -> Response:
    space.cancel(job)
    return RedirectResponse(f"/jobs/{job.id}", 303)


@router.post("/jobs/{name}/delete")
def delete(job: Work, space: Space, form: Form) -> Response:
    space.delete(job)
    return RedirectResponse("/jobs", 303)

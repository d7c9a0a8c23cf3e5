"""The REST API: what the pages do, for programs.  Long work is asked for (202 and an id) and then looked after."""

from __future__ import annotations

import functools
import json
from typing import Annotated, Any, Literal

import anyio
from fastapi import APIRouter, Depends, File, HTTPException, Query, Request, UploadFile
from fastapi import Path as PathValue
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from optimize.names import CITY, PROGRAMME_NAMES
from optimize.studies.compare_report import comparison_json
from optimize.web import cells, scenario_table
from optimize.web.compare import MOST_RUNS, compared
from optimize.web.instances import Record
from optimize.web.jobs import Job, Kind
from optimize.web.receiving import receive_upload
from optimize.web.scenario_table import ScenarioRow
from optimize.web.workspace import FrontQuestion, SolveQuestion, Workspace

Name = Annotated[str, PathValue(pattern=r"^[0-9a-f]{12}$", description="an id as the API gave it")]
Asked = Literal["datacenter", "water", "pv_siting", "city"]
assert set(Asked.__args__) == {*PROGRAMME_NAMES, CITY}  # type: ignore[attr-defined]
_Gap = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Seconds = Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)]
_Text = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00-\x08\x0b-\x1f]*$")]
_Short = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$")]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SolveBody(_Asked):
    """One solve of an instance."""

    programme: Asked
    scenario: _Short = Field(
        "", description="name of a scenario of the instance; empty: the instance as it is"
    )
    goals: list[_Short] = Field(["npv"], min_length=1, max_length=6, description="the first first")
    gap: _Gap = 0.001
    time_limit_s: _Seconds = 300.0
    cores: int = Field(1, ge=1, le=64)
    seed: int = Field(0, ge=0, le=2**31 - 1)


class FrontBody(_Asked):
    """The most of one goal at each level of another."""

    programme: Asked
    goals: list[_Short] = Field(["npv", "co2"], min_length=2, max_length=3)
    points: int = Field(7, ge=2, le=25)
    gap: _Gap = 0.001
    time_limit_s: _Seconds = 300.0


class ExplanationBody(_Asked):
    """Why a project is in the plan or not."""

    project: _Short = Field(min_length=1)
    time_limit_s: _Seconds = 10.0


class CellBody(_Asked):
    """One cell of a table."""

    table: _Short
    row: int = Field(ge=1, le=10_000_000, description="line of the file, as faults name it")
    column: _Short
    value: _Text


class ScenarioBody(_Asked):
    """A row of the table of scenarios."""

    name: _Short
    zh: _Short = ""
    en: _Short = ""
    base: _Short = ""
    settings: _Text = Field("", description="key = value, one a line, e.g. budgets.scale = 0.8")
    was: _Short = Field("", description="its name before, so that its changes of tables are kept")


class Fault(BaseModel):
    """One thing wrong in an instance; ``cell`` where it came as a workbook."""

    table: str
    row: int | None
    column: str
    expected: str
    found: str
    mend: str
    cell: str = ""


class InstanceAnswer(BaseModel):
    id: str
    source: str
    created: str
    changed: str
    status: Literal["valid", "faulty"]
    name_zh: str
    name_en: str
    programmes: list[dict[str, Any]]
    faults: list[Fault]
    warnings: list[Fault]


class JobAnswer(BaseModel):
    id: str
    kind: Kind
    state: str
    outcome: str
    owner: str = Field(description="who asked; local or token where nobody is told apart")
    instance: str
    asked: dict[str, Any]
    created: str
    started: str
    ended: str
    cancelling: bool
    waiting_ahead: int
    run: str | None = Field(description="address of the run, when there is a plan")
    result: dict[str, Any]
    message: str


class Refusal(BaseModel):
    error: str
    faults: list[Fault] = []


_REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "refused, with the reason"},
    401: {"model": Refusal, "description": "nobody we know"},
    404: {"model": Refusal, "description": "there is none of that id"},
    422: {"description": "the request itself is malformed, or tables have faults"},
}

router = APIRouter(prefix="/api/v1", responses=_REFUSED)


def _workspace(request: Request) -> Workspace:
    workspace: Workspace = request.app.state.workspace
    return workspace


def _user(request: Request) -> str:
    return str(request.state.user)


Space = Annotated[Workspace, Depends(_workspace)]
User = Annotated[str, Depends(_user)]


def _record(name: Name, space: Space) -> Record:
    record = space.instances.get(name)
    if record is None:
        raise HTTPException(404, "there is no such instance")
    return record


def _job(name: Name, space: Space) -> Job:
    job = space.queue.get(name)
    if job is None:
        raise HTTPException(404, "there is no such job")
    return job


def _run(name: Name, space: Space) -> Job:
    job = space.queue.get(name)
    if job is None or not job.has_plan:
        raise HTTPException(404, "there is no such run")
    return job


Instance = Annotated[Record, Depends(_record)]
Work = Annotated[Job, Depends(_job)]
Run = Annotated[Job, Depends(_run)]


# --- instances -----------------------------------------------------------------------------------------


@router.get("/instances", summary="All instances")
def list_instances(space: Space) -> list[InstanceAnswer]:
    return [_instance_answer(record) for record in space.instances.listed()]


@router.post("/instances", status_code=201, summary="Upload a workbook (.xlsx) or a zip of CSV tables")
async def upload_instance(space: Space, user: User, file: Annotated[UploadFile, File()]) -> InstanceAnswer:
    return _instance_answer(await receive_upload(space, file, user))


@router.get("/instances/{name}", summary="One instance with its faults and warnings")
def read_instance(record: Instance) -> InstanceAnswer:
    return _instance_answer(record)


@router.delete("/instances/{name}", status_code=204, summary="Delete an instance; its runs stay")
def delete_instance(record: Instance, space: Space) -> None:
    space.instances.delete(record)


@router.get("/instances/{name}/tables", summary="The tables of an instance")
def list_tables(record: Instance, space: Space) -> list[str]:
    return [place.key for place in cells.places(space.instances.folder_of(record))]


@router.get("/instances/{name}/tables/{table}", summary="Rows of a table, as text")
def read_table(
    record: Instance,
    space: Space,
    table: str,
    first: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    most: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    folder = space.instances.folder_of(record)
    page = cells.read_page(folder, cells.find_place(folder, table), first, most)
    return {
        "columns": list(page.names),
        "number": page.number,
        "rows": [{"row": line, "cells": list(row)} for line, row in page.rows],
    }


@router.patch("/instances/{name}/cells", summary="Write one cell; the answer says what is at fault then")
async def write_cell(record: Instance, space: Space, body: CellBody) -> InstanceAnswer:
    def write() -> Record:
        with space.instances.being_changed(record) as folder:
            cells.write_cell(folder, cells.find_place(folder, body.table), body.row, body.column, body.value)
        return space.instances.check(record)

    return _instance_answer(await anyio.to_thread.run_sync(write, limiter=space.intake_limiter))


@router.get("/instances/{name}/scenarios", summary="The scenarios that are spelled out, as rows")
def read_scenarios(record: Instance, space: Space) -> list[ScenarioBody]:
    rows = scenario_table.rows_of(scenario_table.read_text(space.instances.folder_of(record)))
    return [
        ScenarioBody(name=row.name, zh=row.zh, en=row.en, base=row.base, settings=row.settings, was=row.was)
        for row in rows
    ]


@router.put(
    "/instances/{name}/scenarios", summary="Replace the rows; grids, samples and changes of tables stay"
)
async def write_scenarios(
    record: Instance, space: Space, body: Annotated[list[ScenarioBody], Field(max_length=200)]
) -> list[ScenarioBody]:
    rows = [
        ScenarioRow(row.name, row.zh, row.en, row.base, row.settings, (), row.was or row.name) for row in body
    ]
    folder = space.instances.folder_of(record)
    text = scenario_table.with_rows(scenario_table.read_text(folder), rows)
    save = functools.partial(space.save_scenarios, record, text)
    await anyio.to_thread.run_sync(save, limiter=space.intake_limiter)
    return read_scenarios(record, space)


# --- jobs ----------------------------------------------------------------------------------------------


@router.post("/instances/{name}/solves", status_code=202, summary="Ask for a solve")
def ask_solve(record: Instance, space: Space, user: User, body: SolveBody) -> JobAnswer:
    question = SolveQuestion(
        body.programme, body.scenario, body.goals, body.gap, body.time_limit_s, body.cores, body.seed
    )
    return _job_answer(space.solve(record, user, question), space)


@router.post("/instances/{name}/fronts", status_code=202, summary="Ask for a front")
def ask_front(record: Instance, space: Space, user: User, body: FrontBody) -> JobAnswer:
    question = FrontQuestion(body.programme, body.goals, body.points, body.gap, body.time_limit_s)
    return _job_answer(space.front(record, user, question), space)


@router.post("/runs/{name}/explanations", status_code=202, summary="Ask why a project is in the plan or not")
def ask_explanation(run: Run, space: Space, user: User, body: ExplanationBody) -> JobAnswer:
    return _job_answer(space.explain(run, user, body.project, body.time_limit_s), space)


@router.get("/jobs", summary="All jobs, the newest first")
def list_jobs(space: Space) -> list[JobAnswer]:
    return [_job_answer(job, space) for job in space.queue.listed()]


@router.get("/jobs/{name}", summary="How far a job is, and what came of it")
def read_job(job: Work, space: Space) -> JobAnswer:
    return _job_answer(job, space)


@router.get("/jobs/{name}/progress", summary="Plan, bound and gap of a solve over time")
def read_progress(job: Work, space: Space) -> list[dict[str, Any]]:
    return space.progress(job)


@router.post("/jobs/{name}/cancel", status_code=202, summary="End a job; a solve keeps its best plan so far")
def cancel_job(job: Work, space: Space) -> JobAnswer:
    space.cancel(job)
    return _job_answer(space.queue.get(job.id) or job, space)


@router.delete("/jobs/{name}", status_code=204, summary="Forget a job that is over, and its run")
def delete_job(job: Work, space: Space) -> None:
    space.delete(job)


# --- runs ----------------------------------------------------------------------------------------------


@router.get("/runs", summary="Solves that have a plan, the newest first")
def list_runs(space: Space) -> list[JobAnswer]:
    return [_job_answer(job, space) for job in space.runs()]


@router.get("/runs/{name}", summary="The summary of a run: figures, clauses, money, proof")
def read_run(run: Run, space: Space) -> dict[str, Any]:
    summary: dict[str, Any] = space.facts(run).summary  # type: ignore[assignment]
    return dict(summary)


@router.get("/runs/{name}/tables", summary="The tables of a run")
def list_run_tables(run: Run, space: Space) -> list[str]:
    folder = space.facts(run).folder
    return sorted(path.stem for path in folder.glob("*.csv"))


@router.get("/runs/{name}/projects", summary="The projects of a plan")
def read_projects(run: Run, space: Space) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in space.facts(run).parts:
        found += json.loads(
            part.projects.assign(programme=part.name).to_json(orient="records", force_ascii=False)
        )
    return found


@router.get("/compare", summary="Two to six runs side by side")
def compare(
    space: Space, run: Annotated[list[str], Query(min_length=2, max_length=MOST_RUNS, description="ids")]
) -> JSONResponse:
    runs = [_run(name, space) for name in run]
    return JSONResponse(comparison_json(compared(space, runs)))


# --- answers -------------------------------------------------------------------------------------------


def _instance_answer(record: Record) -> InstanceAnswer:
    found = record.found
    return InstanceAnswer(
        id=record.id,
        source=record.source,
        created=record.created,
        changed=record.changed,
        status=found["status"],
        name_zh=found["name_zh"],
        name_en=found["name_en"],
        programmes=found["programmes"],
        faults=[Fault(**fault) for fault in found["faults"]],
        warnings=[Fault(**fault) for fault in found["warnings"]],
    )


def _job_answer(job: Job, space: Workspace) -> JobAnswer:
    hidden = ("run", "instance")  # folders are the server's own business
    return JobAnswer(
        id=job.id,
        kind=job.kind,
        state=job.state.value,
        outcome=job.outcome,
        owner=job.owner,
        instance=job.instance,
        asked={key: value for key, value in job.spec.items() if key not in hidden},
        created=job.created,
        started=job.started,
        ended=job.ended,
        cancelling=job.cancelling,
        waiting_ahead=space.queue.position(job),
        run=f"/api/v1/runs/{job.id}" if job.has_plan else None,
        result={key: value for key, value in job.result.items() if key != "run"},
        message=job.message,
    )

"""Pages of plans: the answer first, then map, money, clauses and projects; why a project; and what can be taken away."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import anyio
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from optimize.i18n.vocabulary import FIGURES
from optimize.i18n.words import Words
from optimize.publish.chapters import chapter_of
from optimize.publish.facts import RunFacts
from optimize.publish.projects import SHOWN_EFFECTS, ProjectRow, project_rows
from optimize.publish.study_files import Studies
from optimize.web.downloads import DOWNLOADS, download
from optimize.web.explanations import told
from optimize.web.guard import REPORT_POLICY
from optimize.web.jobs import Job, State
from optimize.web.kept import Kept
from optimize.web.naming import instance_name, job_programme, job_state, programme_name, scenario_name
from optimize.web.rendering import Form, Reader, Space, User, field, fragment, page
from optimize.web.workspace import Workspace

router = APIRouter()

_PER_PAGE, _FIRST_PROJECTS = 50, 10
_KEPT = Kept(64)


def _run(name: str, space: Space) -> Job:
    job = space.queue.get(name)
    if job is None or not job.has_plan:
        raise HTTPException(404, "there is no such plan; perhaps it was deleted")
    return job


Run = Annotated[Job, Depends(_run)]


@router.get("/runs")
def runs_page(request: Request, space: Space, words: Reader) -> Response:
    return page(
        request,
        "runs.html",
        jobs=space.runs(),
        instance_names={record.id: instance_name(record, words) for record in space.instances.listed()},
        programme_name=functools.partial(programme_name, words=words),
        scenario_name=functools.partial(scenario_name, words=words),
        job_state=functools.partial(job_state, words=words),
    )


@router.get("/runs/{name}")
def run_page(request: Request, run: Run, space: Space, words: Reader) -> Response:
    head, body = _KEPT.get((run.id, words.language), lambda: _drawn(run, space.facts(run), words))
    return page(
        request,
        "run.html",
        job=run,
        scenario=scenario_name(run, words),
        programme=programme_name(job_programme(run), words),
        instance_is_there=space.instances.get(run.instance) is not None,
        head=head,
        body=body,
    )


def _drawn(run: Job, facts: RunFacts, words: Words) -> tuple[dict[str, Any], str]:
    """What costs something to make, the sections as they stand in a report; runs never change, so it is kept."""
    link = functools.partial(project_address, run.id)
    chapter = chapter_of(facts, words, Studies(), link)
    head = {"place": facts.place(words), "answer": chapter.answer, "figures": chapter.key_figures}
    return head, fragment("run_body.html", words, chapter=chapter, job=run, link=link, shown=_FIRST_PROJECTS)


# --- projects ------------------------------------------------------------------------------------------


def project_address(run: str, project: str) -> str:
    return f"/runs/{run}/project?{urlencode({'id': project})}"


@router.get("/runs/{name}/projects")
def projects_page(
    request: Request,
    run: Run,
    space: Space,
    words: Reader,
    programme: str = "",
    district: str = "",
    q: str = "",
    first: int = 0,
) -> Response:
    facts = space.facts(run)
    names = [part.name for part in facts.parts]
    part = facts.part(programme) if programme in names else facts.parts[0]
    rows = _KEPT.get((run.id, words.language, "projects", part.name), lambda: project_rows(part, words))
    districts = sorted(
        {(row.district, row.district_name) for row in rows if row.district}, key=lambda d: d[1]
    )
    found = _matching(rows, district, q)
    first = max(first, 0)
    return page(
        request,
        "projects.html",
        job=run,
        parts=[(p.name, p.title(words)) for p in facts.parts],
        programme=part.name,
        scenario=scenario_name(run, words),
        district=district,
        districts=districts,
        q=q,
        rows=found[first : first + _PER_PAGE],
        num_found=len(found),
        num_all=len(rows),
        first=first,
        step=_PER_PAGE,
        effects=[(name, words.figure_name(name), FIGURES[name].unit) for name in SHOWN_EFFECTS[part.name]],
        total_capex=math.fsum(row.capex_cny for row in found if not math.isnan(row.capex_cny)),
        link=functools.partial(project_address, run.id),
        address=functools.partial(_address, run.id, part.name, district, q),
    )


def _matching(rows: Sequence[ProjectRow], district: str, q: str) -> list[ProjectRow]:
    wanted = q.casefold().strip()
    return [
        row
        for row in rows
        if (not district or row.district == district)
        and (not wanted or wanted in f"{row.id} {row.name} {row.what}".casefold())
    ]


def _address(run: str, programme: str, district: str, q: str, first: int) -> str:
    return f"/runs/{run}/projects?" + urlencode(
        {"programme": programme, "district": district, "q": q, "first": first}
    )


@router.get("/runs/{name}/project")
def project_page(request: Request, run: Run, space: Space, words: Reader, id: str) -> Response:
    """One project, in the plan or not, and why."""
    return page(request, "project.html", **_project(run, space, words, id))


@router.get("/runs/{name}/project/live")
def project_live(request: Request, run: Run, space: Space, words: Reader, id: str) -> Response:
    return page(request, "project_live.html", **_project(run, space, words, id))


def _project(run: Job, space: Workspace, words: Words, project: str) -> dict[str, Any]:
    rows = [
        (part, row)
        for part in space.facts(run).parts
        for row in _KEPT.get(
            (run.id, words.language, "projects", part.name), functools.partial(project_rows, part, words)
        )
        if row.id == project
    ]
    asked = [job for job in space.explanations(run) if job.spec["project"] == project]
    job = asked[0] if asked else None
    done = job is not None and job.state is State.DONE
    return {
        "run": run,
        "project": project,
        "rows": [row for _, row in rows],
        "effects": [
            [
                (words.figure_name(name), words.amount(row.effects[name], FIGURES[name].unit))
                for name in SHOWN_EFFECTS[part.name]
            ]
            for part, row in rows
        ],
        "scenario": scenario_name(run, words),
        "explanation": job,
        "explanation_state": None if job is None else job_state(job, words),
        "told": told(job.result, space.facts(run), words) if job is not None and done else [],
    }


@router.get("/runs/{name}/find")
def find_project(run: Run, id: str) -> Response:
    """Any project by its id, from a form."""
    return RedirectResponse(project_address(run.id, id.strip()), 303)


@router.post("/runs/{name}/explain")
def explain(run: Run, space: Space, user: User, form: Form) -> Response:
    project = field(form, "project").strip()
    if not project or len(project) > 200 or not project.isprintable():
        raise HTTPException(400, "name a project by its id")
    space.explain(run, user, project)
    return RedirectResponse(f"{project_address(run.id, project)}#why", 303)


# --- to be taken away ----------------------------------------------------------------------------------


@router.get("/runs/{name}/{file}")
async def take_away(run: Run, space: Space, words: Reader, file: str, lang: str = "") -> Response:
    """Workbook, report and map data, made by the product's own commands when they are first asked for."""
    if file not in DOWNLOADS:
        raise HTTPException(404, "there is no such file")
    language = lang if lang in ("zh", "en", "both") else words.language
    path: Path = await anyio.to_thread.run_sync(
        functools.partial(download, space, [run], file, language), limiter=space.intake_limiter
    )
    headers = {"content-security-policy": REPORT_POLICY} if path.suffix == ".html" else {}
    return FileResponse(path, media_type=DOWNLOADS[file].media_type, filename=path.name, headers=headers)

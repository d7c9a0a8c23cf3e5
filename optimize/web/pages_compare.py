"""The page on which two to six plans stand side by side."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Annotated

import anyio
from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response

from optimize.errors import UsageError
from optimize.i18n.words import Words
from optimize.publish.comparison import compare_section
from optimize.web.compare import MOST_RUNS
from optimize.web.downloads import DOWNLOADS, download
from optimize.web.jobs import Job
from optimize.web.kept import Kept
from optimize.web.naming import job_programme, programme_name, scenario_name
from optimize.web.rendering import Reader, Space, fragment, page
from optimize.web.workspace import Workspace

router = APIRouter()
_KEPT = Kept(32)
_FILES = ("plan.xlsx", "report.html")

Chosen = Annotated[list[str], Query(default_factory=list)]


@router.get("/compare")
def compare_page(request: Request, space: Space, words: Reader, run: Chosen) -> Response:
    runs = _runs(space, run)
    names = tuple(job.id for job in runs)
    body = _KEPT.get((names, words.language), lambda: _drawn(space, runs, words))
    return page(
        request,
        "compare.html",
        runs=[(job.id, scenario_name(job, words)) for job in runs],
        programme=programme_name(job_programme(runs[0]), words),
        query="&".join(f"run={name}" for name in names),
        body=body,
    )


def _drawn(space: Workspace, runs: Sequence[Job], words: Words) -> str:
    """The section as it stands in a report; runs never change, so it is kept."""
    section = compare_section([space.facts(run) for run in runs], words)
    return fragment("compare_body.html", words, comparison=section)


@router.get("/compare/{file}")
async def take_away(space: Space, words: Reader, file: str, run: Chosen) -> Response:
    """The plans in one workbook or report."""
    runs = _runs(space, run)
    if file not in _FILES:
        raise UsageError("there is no such file")
    path = await anyio.to_thread.run_sync(
        functools.partial(download, space, runs, file, words.language), limiter=space.intake_limiter
    )
    return FileResponse(path, media_type=DOWNLOADS[file].media_type, filename=path.name)


def _runs(space: Workspace, names: Sequence[str]) -> list[Job]:
    if not 2 <= len(set(names)) <= MOST_RUNS:
        raise UsageError(f"choose two to {MOST_RUNS} plans of the same programme")
    found = [space.queue.get(name) for name in dict.fromkeys(names)]
    runs = [job for job in found if job is not None and job.has_plan]
    if len(runs) < len(found):
        raise UsageError("one of these plans is not there any more; choose again")
    return runs

"""The application: guard, pages, API, and the worker that lives as long as they do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from optimize import __version__
from optimize.errors import InputFaults, OptimizeError
from optimize.web import api, pages
from optimize.web.guard import Guard
from optimize.web.sessions import Failures, Signer
from optimize.web.settings import Settings, refuse_unsafe
from optimize.web.workspace import Workspace

_STATIC = Path(__file__).with_name("static")
_ABOUT = (
    "Instances, solves, fronts, explanations and comparisons. Long work is asked for with POST, which answers 202 "
    "and an id; GET /api/v1/jobs/{id} says how far it is. Where the server asks who you are: Authorization: Bearer TOKEN."
)


def create_app(settings: Settings) -> FastAPI:
    """The server's application; the workspace is made where it is not there.

    Raises
    ------
    UsageError : the settings would let in anybody, or the workspace is another server's.
    """
    refuse_unsafe(settings)
    settings.workspace.mkdir(parents=True, exist_ok=True)
    settings.workspace.chmod(0o700)
    workspace = Workspace(settings)
    signer, failures = Signer(settings.workspace), Failures()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        workspace.start()
        yield
        workspace.stop()

    app = FastAPI(
        title="optimize",
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,  # its page needs scripts from elsewhere; /api shows the same from openapi.json
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.workspace, app.state.signer, app.state.failures = workspace, signer, failures
    app.include_router(api.router)
    app.include_router(pages.router, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    app.add_exception_handler(OptimizeError, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(ClientDisconnect, _too_large)
    app.add_middleware(Guard, settings=settings, signer=signer, failures=failures)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    """What was asked cannot be done: for programs as JSON, for people as a page."""
    assert isinstance(error, OptimizeError)
    faults = error.faults if isinstance(error, InputFaults) else ()
    status = 422 if faults else 400
    records = [fault.record() for fault in faults]
    if not _is_api(request):
        return pages.refusal(request, status, "" if faults else str(error), records)
    return JSONResponse({"error": str(error), "faults": records}, status)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if not _is_api(request):
        return pages.refusal(request, error.status_code, str(error.detail))
    return JSONResponse({"error": str(error.detail), "faults": []}, error.status_code, error.headers)


async def _malformed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    told = [f"{'.'.join(map(str, fault['loc'][1:]))}: {fault['msg']}" for fault in error.errors()]
    if not _is_api(request):
        return pages.refusal(request, 422, "; ".join(told))
    return JSONResponse({"error": "; ".join(told), "faults": []}, 422)


async def _too_large(request: Request, error: Exception) -> Response:
    if not _is_api(request):
        return pages.refusal(request, 413, "more was sent than is taken")
    return JSONResponse({"error": "more was sent than is taken", "faults": []}, 413)


def _is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")

"""All pages, and those that belong to nothing else: the first, the token, the language, the look, the API's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anyio
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from optimize.web import pages_compare, pages_editing, pages_instances, pages_jobs, pages_runs
from optimize.web.guard import SESSION_COOKIE
from optimize.web.rendering import (
    Form,
    Reader,
    Space,
    back_of,
    choose_language,
    field,
    look_css,
    page,
    words_of,
)
from optimize.web.sessions import SESSION_S

router = APIRouter()
router.include_router(pages_instances.router)
router.include_router(pages_editing.router)
router.include_router(pages_jobs.router)
router.include_router(pages_runs.router)
router.include_router(pages_compare.router)

_WRONG_TOKEN_S = 0.5


@router.get("/health")
def health() -> PlainTextResponse:
    """Whether the server is there."""
    return PlainTextResponse("ok\n")


@router.get("/look.css")
def look() -> Response:
    return Response(look_css(), media_type="text/css", headers={"cache-control": "public, max-age=300"})


@router.post("/language")
def language(request: Request, space: Space, form: Form) -> Response:
    response = RedirectResponse(back_of(request), 303)
    choose_language(response, field(form, "language"), secure=space.settings.behind_https)
    return response


@router.get("/login")
def login_page(request: Request) -> Response:
    return page(request, "login.html", wrong="")


@router.post("/login")
async def login(request: Request, space: Space, words: Reader, form: Form) -> Response:
    address = request.client.host if request.client else ""
    failures = request.app.state.failures
    if failures.too_many(address):
        return page(request, "login.html", 429, wrong=words.text("Too many wrong tokens; wait a minute."))
    owner = space.settings.owner_of(field(form, "token").strip())
    if owner is None:
        failures.note(address)
        await anyio.sleep(_WRONG_TOKEN_S)
        return page(request, "login.html", 401, wrong=words.text("This is not the token."))
    response = RedirectResponse("/", 303)
    response.set_cookie(
        SESSION_COOKIE,
        request.app.state.signer.session(owner, space.settings.digests[owner]),
        max_age=SESSION_S,
        httponly=True,
        samesite="strict",
        secure=space.settings.behind_https,
    )
    return response


@router.post("/logout")
def logout(form: Form) -> Response:
    response = RedirectResponse("/login", 303)
    response.delete_cookie(SESSION_COOKIE)
    return response


@router.get("/api")
def api_page(request: Request) -> Response:
    """The REST API in words, from its own OpenAPI."""
    described: dict[str, Any] = request.app.openapi()
    calls = [
        {
            "method": method.upper(),
            "path": path,
            "summary": call.get("summary", ""),
            "body": _body(described, call),
        }
        for path, methods in described["paths"].items()
        for method, call in methods.items()
    ]
    return page(request, "api.html", calls=calls, base=str(request.base_url).rstrip("/"))


def _body(described: dict[str, Any], call: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of a call's JSON body: name, default, and what it is."""
    schema = call.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    named = schema.get("$ref", schema.get("items", {}).get("$ref", "")).rpartition("/")[2]
    fields = described["components"]["schemas"].get(named, {}).get("properties", {}) if named else {}
    return [
        {"name": name, "default": told.get("default"), "about": told.get("description", "")}
        for name, told in fields.items()
    ]


def refusal(request: Request, status: int, reason: str, faults: Sequence[Mapping[str, Any]] = ()) -> Response:
    """A page that says why something was not done."""
    words = words_of(request)
    title = words.text("There is no such page") if status == 404 else words.text("This was not done")
    return page(
        request, "refusal.html", status, title=title, reason=reason, faults=faults, back=back_of(request)
    )

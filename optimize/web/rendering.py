"""Pages from templates: the reader's language, the form token, and who asks."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

import jinja2
from fastapi import Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from optimize import publish
from optimize.i18n.catalogue import LANGUAGES, Language
from optimize.i18n.faults import fault_text
from optimize.i18n.words import Words
from optimize.web.sessions import Signer
from optimize.web.workspace import Workspace

LANGUAGE_COOKIE, FORM_COOKIE = "optimize_language", "optimize_form"
_TEMPLATES = Path(__file__).with_name("templates")
_STATIC = Path(__file__).with_name("static")
_SHARED = Path(publish.__file__).with_name("templates")
_STYLES = (_SHARED / "look.css", _SHARED / "report.css", _STATIC / "web.css")
_YEAR_S = 365 * 86_400


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        # sections of plans are those of the report
        loader=jinja2.ChoiceLoader(
            [jinja2.FileSystemLoader(_TEMPLATES), jinja2.PackageLoader("optimize.publish")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def language_of(request: Request) -> Language:
    """What the reader chose, else what the browser asks for, else English."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in LANGUAGES:
        return chosen
    wishes: list[tuple[float, int, str]] = []
    for wish in request.headers.get("accept-language", "").split(","):
        tag, _, weight = wish.strip().partition(";q=")
        try:
            wishes.append((-float(weight or 1), len(wishes), tag.split("-")[0].lower()))
        except ValueError:
            continue
    for _, _, language in sorted(wishes):
        if language in LANGUAGES:
            return language
    return "en"


def words_of(request: Request) -> Words:
    return Words(language_of(request))


def workspace_of(request: Request) -> Workspace:
    return cast(Workspace, request.app.state.workspace)


def user_of(request: Request) -> str:
    return str(request.state.user)


Space = Annotated[Workspace, Depends(workspace_of)]
Reader = Annotated[Words, Depends(words_of)]
User = Annotated[str, Depends(user_of)]


def page(request: Request, template: str, status: int = 200, **content: Any) -> HTMLResponse:
    """A page or a part of one; sets the cookie its forms belong to where there is none."""
    cookie = request.cookies.get(FORM_COOKIE) or secrets.token_hex(16)
    words = words_of(request)
    signer = cast(Signer, request.app.state.signer)
    settings = workspace_of(request).settings
    html = (
        _environment()
        .get_template(template)
        .render(
            _=words.text,
            in_words=functools.partial(fault_text, words=words),
            words=words,
            language=words.language,
            form_token=signer.form_token(cookie),
            user=getattr(request.state, "user", ""),
            asks_who=settings.asks_who,
            has_token=settings.takes_tokens,
            knows_users=settings.tells_users_apart,
            signed_in=getattr(request.state, "user", "") in settings.digests,
            here=request.url.path,
            is_update="hx-request" in request.headers,
            **content,
        )
    )
    response = HTMLResponse(html, status)
    response.headers["content-language"] = words.language
    response.headers["vary"] = "Cookie, Accept-Language"
    if request.cookies.get(FORM_COOKIE) != cookie:
        response.set_cookie(
            FORM_COOKIE, cookie, httponly=True, samesite="strict", secure=settings.behind_https
        )
    return response


def fragment(template: str, words: Words, **content: Any) -> Markup:
    """A part of a page that says the same to every reader of a language."""
    html = _environment().get_template(template)
    return Markup(html.render(_=words.text, words=words, language=words.language, **content))


def choose_language(response: Response, language: str, *, secure: bool) -> None:
    if language in LANGUAGES:
        response.set_cookie(
            LANGUAGE_COOKIE, language, max_age=_YEAR_S, samesite="strict", secure=secure, httponly=True
        )


def back_of(request: Request) -> str:
    """The page of ours the reader came from, without its host; the first page where there is none."""
    parts = urlsplit(request.headers.get("referer", ""))
    if (
        parts.netloc != request.headers.get("host")
        or not parts.path.startswith("/")
        or parts.path.startswith("//")
    ):
        return "/"
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


async def own_form(request: Request) -> Mapping[str, Sequence[str]]:
    """The fields of a form of ours, each with its values in order.

    Raises
    ------
    HTTPException : 403, the form is not from a page of this server.
    """
    form = await request.form()
    signer = cast(Signer, request.app.state.signer)
    given = request.headers.get("x-form-token") or form.get("form_token") or ""
    cookie = request.cookies.get(FORM_COOKIE, "")
    if not isinstance(given, str) or not signer.is_form_token(cookie, given):
        raise HTTPException(
            403, "this form is too old or not from here; go back, load the page again, and send it again"
        )
    fields: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if isinstance(value, str):
            fields.setdefault(name, []).append(value)
    return fields


Form = Annotated[Mapping[str, Sequence[str]], Depends(own_form)]


def field(form: Mapping[str, Sequence[str]], name: str, default: str = "") -> str:
    """The last value of a field."""
    values = form.get(name)
    return values[-1] if values else default


@functools.cache
def look_css() -> str:
    """The style of charts and sections, which reports share, and the pages' own after it."""
    return "\n".join(path.read_text(encoding="utf-8") for path in _STYLES)

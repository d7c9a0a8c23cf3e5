"""What every request passes before anything looks at it: whose it is, where it comes from, how large it may be."""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from optimize.i18n.faults import fault_text
from optimize.i18n.words import Words
from optimize.web.rendering import language_of
from optimize.web.sessions import Failures, Signer
from optimize.web.settings import LOCAL, LONGEST_NAME, Settings

SESSION_COOKIE = "optimize_session"
# Nobody has to be known for these: the form that asks, what it looks like, and whether the server is there.
_OPEN = ("/login", "/look.css", "/static/", "/health", "/language")
_SAFE = ("GET", "HEAD", "OPTIONS")
_SMALL_BODY = 2 << 20
_SHELL = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# A report is a document of its own: its style is within it, and it may do nothing else.
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
)
_HEADERS = {
    "content-security-policy": _SHELL,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class _Refused(Exception):
    """A request that goes no further."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Guard:
    """ASGI middleware; ``scope["state"]["user"]`` is who asks."""

    def __init__(self, app: ASGIApp, settings: Settings, signer: Signer, failures: Failures) -> None:
        self._app, self._settings, self._signer, self._failures = app, settings, signer, failures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        guarded = _with_headers(send, scope["path"])
        headers = Headers(scope=scope)
        try:
            self._refuse_strange_host(headers)
            self._refuse_other_sites(scope, headers)
            self._refuse_large(scope, headers)
            user = self._user(scope, headers)
        except _Refused as refused:
            await _answer(scope, guarded, refused.status, str(refused))
            return
        if user is None:
            await self._ask_who(scope, guarded)
            return
        scope.setdefault("state", {})["user"] = user
        await self._app(scope, _counted(receive, self._most_bytes(scope)), guarded)

    # --- what is refused ------------------------------------------------------------------------------

    def _refuse_strange_host(self, headers: Headers) -> None:
        """A page elsewhere can have its name point to this machine; it cannot have ours."""
        name = headers.get("host", "").lower()
        bare = name[: name.index("]") + 1] if name.startswith("[") and "]" in name else name.partition(":")[0]
        if bare not in self._settings.known_hosts:
            raise _Refused(421, "this server is not called that; --allow-host names what it is called")

    def _refuse_other_sites(self, scope: Scope, headers: Headers) -> None:
        """Browsers say where a request comes from; other programs do not, and carry no cookies by accident."""
        if scope["method"] in _SAFE:
            return
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        own = {f"{scheme}://{headers.get('host', '')}" for scheme in ("http", "https")}
        if (origin is not None and origin not in own) or site not in (None, "same-origin", "none"):
            raise _Refused(403, "this request comes from another site")

    def _refuse_large(self, scope: Scope, headers: Headers) -> None:
        told = headers.get("content-length", "")
        if told and (not told.isdigit() or int(told) > self._most_bytes(scope)):
            raise _Refused(413, f"more than {self._most_bytes(scope) >> 20} MiB are not taken")

    def _most_bytes(self, scope: Scope) -> int:
        uploads = scope["method"] == "POST" and scope["path"] in ("/instances", "/api/v1/instances")
        return (self._settings.upload_mb << 20) + _SMALL_BODY if uploads else _SMALL_BODY

    # --- who it is ------------------------------------------------------------------------------------

    def _user(self, scope: Scope, headers: Headers) -> str | None:
        settings = self._settings
        if not settings.asks_who:
            return LOCAL
        if settings.identity_header:
            user = headers.get(settings.identity_header, "").strip()
            address = scope["client"][0] if scope.get("client") else ""
            if user and address in settings.proxies and len(user) <= LONGEST_NAME and user.isprintable():
                return user
        if settings.takes_tokens:
            user = self._shows_token(scope, headers) or ""
            if user:
                return user
        is_open = any(
            scope["path"] == path or (path.endswith("/") and scope["path"].startswith(path)) for path in _OPEN
        )
        return "" if is_open else None

    def _shows_token(self, scope: Scope, headers: Headers) -> str | None:
        """Whose token or session it is; None: nobody's."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            address = scope["client"][0] if scope.get("client") else ""
            if self._failures.too_many(address):
                raise _Refused(429, "too many wrong tokens; wait a minute")
            owner = self._settings.owner_of(given.strip())
            if owner is None:
                self._failures.note(address)
            return owner
        cookie = cookies_of(headers).get(SESSION_COOKIE, "")
        return self._signer.owner_of(cookie, self._settings.digests)

    async def _ask_who(self, scope: Scope, send: Send) -> None:
        if self._settings.takes_tokens and not scope["path"].startswith("/api/"):
            await send({"type": "http.response.start", "status": 303, "headers": [(b"location", b"/login")]})
            await send({"type": "http.response.body", "body": b""})
            return
        words = (
            "show who you are: Authorization: Bearer TOKEN"
            if self._settings.takes_tokens
            else "come through the proxy"
        )
        await _answer(scope, send, 401, words)


def cookies_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The cookies of a request; none where they cannot be read."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in jar.items()}


def _counted(receive: Receive, most: int) -> Receive:
    """As ``receive``; what grows beyond ``most`` bytes ends as if the sender had gone."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        return {"type": "http.disconnect"} if seen > most else message

    return counted


def _with_headers(send: Send, path: str) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            lasting = "public, max-age=86400" if path.startswith("/static/") else "no-store"
            headers.setdefault("cache-control", lasting)
        await send(message)

    return sending


async def _answer(scope: Scope, send: Send, status: int, words: str) -> None:
    if scope["path"].startswith("/api/"):
        body = json.dumps({"error": words}).encode()
    else:
        body = fault_text(words, Words(language_of(Request(scope)))).encode()
    kind = b"application/json" if scope["path"].startswith("/api/") else b"text/plain; charset=utf-8"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

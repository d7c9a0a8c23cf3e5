"""Signed cookies: who has shown the token, and which forms are ours."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from pathlib import Path

SESSION_S = 12 * 3600
_KEY_BYTES = 32
_MOST_FAILURES, _WITHIN_S = 10, 60.0


class Signer:
    """Signs with a key that only this workspace has."""

    def __init__(self, workspace: Path) -> None:
        path = workspace / "secret"
        if not path.is_file():
            with path.open("xb") as stream:
                path.chmod(0o600)
                stream.write(secrets.token_bytes(_KEY_BYTES))
        self._key = path.read_bytes()

    def _sign(self, purpose: str, value: str) -> str:
        return hmac.new(self._key, f"{purpose}:{value}".encode(), hashlib.sha256).hexdigest()

    def session(self, name: str, digest: str) -> str:
        """A cookie for somebody who has shown the token with this digest; another token ends it."""
        value = f"{int(time.time()) + SESSION_S}.{secrets.token_hex(8)}.{name.encode().hex()}"
        return f"{value}.{self._sign('session', value + digest)}"

    def owner_of(self, cookie: str, digests: Mapping[str, str]) -> str | None:
        """Whose session a cookie is, of those who have a token; None: nobody's, or it has ended."""
        value, _, signature = cookie.rpartition(".")
        try:
            ends, _, name = value.split(".")
            owner = bytes.fromhex(name).decode()
            digest, is_over = digests[owner], int(ends) <= time.time()
        except (ValueError, KeyError):
            return None
        right = hmac.compare_digest(signature.encode(), self._sign("session", value + digest).encode())
        return owner if right and not is_over else None

    def form_token(self, cookie: str) -> str:
        """What a form of the page that set ``cookie`` carries."""
        return self._sign("form", cookie)

    def is_form_token(self, cookie: str, given: str) -> bool:
        return bool(cookie) and hmac.compare_digest(given.encode(), self.form_token(cookie).encode())


class Failures:
    """Wrong tokens by address; too many within a minute, and nobody from there is listened to for a while."""

    def __init__(self) -> None:
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    def too_many(self, address: str) -> bool:
        with self._lock:
            times = self._recent(address)
            return len(times) >= _MOST_FAILURES

    def note(self, address: str) -> None:
        with self._lock:
            self._recent(address)
            self._times[address].append(time.monotonic())

    def _recent(self, address: str) -> deque[float]:
        if len(self._times) > 10_000:  # addresses are cheap
            self._times.clear()
        times = self._times[address]
        while times and times[0] < time.monotonic() - _WITHIN_S:
            times.popleft()
        return times

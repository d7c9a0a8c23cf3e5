"""What the server is told at its start: where things lie, who may come in, and how much a job may take."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from optimize.errors import UsageError

LEAST_TOKEN, LONGEST_NAME = 16, 100
# Who comes in with the token for all, and who is at the machine itself.
SHARED, LOCAL = "token", "local"
_RESERVED = (SHARED, LOCAL)
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class Settings:
    """Settings of one server.

    Attributes
    ----------
    workspace : folder of instances, jobs and the queue.
    cores : cores all running jobs take together.
    job_memory_mb : resident memory at which a job is ended, MB.
    job_time_s : most seconds a job may ask for.
    upload_mb : largest upload, MB.
    token : what callers must know; None: there is no token for all.
    named_tokens : by name, the SHA-256 (hexadecimal) of a token of one's own; see `read_named_tokens`.  Where there
        is no token and no identity header nobody is asked, which only a loopback address allows.
    identity_header : header in which a reverse proxy names the user; "" : there is none.
    proxies : addresses whose identity header is believed.
    hosts : names in the Host header that are answered.
    behind_https : cookies are sent over HTTPS only.
    """

    workspace: Path
    host: str = "127.0.0.1"
    port: int = 8000
    cores: int = 2
    job_memory_mb: int = 4096
    job_time_s: float = 3600.0
    upload_mb: int = 64
    token: str | None = None
    named_tokens: Mapping[str, str] = field(default_factory=dict)
    identity_header: str = ""
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    hosts: tuple[str, ...] = ()
    behind_https: bool = False
    known_hosts: frozenset[str] = field(init=False)
    digests: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        own = {"localhost", "127.0.0.1", "[::1]"} if is_loopback(self.host) else {self.host}
        object.__setattr__(self, "known_hosts", frozenset(name.lower() for name in {*own, *self.hosts}))
        shared = {} if self.token is None else {SHARED: digest(self.token)}
        object.__setattr__(self, "digests", {**self.named_tokens, **shared})

    @property
    def takes_tokens(self) -> bool:
        """Whether a token lets somebody in."""
        return bool(self.digests)

    @property
    def tells_users_apart(self) -> bool:
        """Whether it is known who asks for what."""
        return bool(self.named_tokens or self.identity_header)

    @property
    def asks_who(self) -> bool:
        """Whether a caller has to show a token or come through a proxy."""
        return self.takes_tokens or bool(self.identity_header)

    def owner_of(self, token: str) -> str | None:
        """Whose token it is; None: nobody's.  Every token takes as long as any other."""
        given, found = digest(token), None
        for name, known in self.digests.items():
            if hmac.compare_digest(given, known):
                found = name
        return found


def digest(token: str) -> str:
    """What is kept of a token: tokens are long and drawn at random, so a plain hash does not give them away."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_named_tokens(path: Path) -> dict[str, str]:
    """A line for each user: the name, and the SHA-256 of the token in 64 hexadecimal digits; ``#`` begins a comment.

    Raises
    ------
    UsageError : there is no such file, a line is none, or a name or a token stands there twice.
    """
    if not path.is_file():
        raise UsageError(f"--users {path} is not there; docs/web.md says what it holds")
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, known = line.strip().rpartition(" ")
        name = name.strip()
        if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME or not _DIGEST.fullmatch(known):
            raise UsageError(
                f"--users {path} line {number}: expected a name and the SHA-256 of a token, 64 hexadecimal digits"
            )
        if name in found or name in _RESERVED or known.lower() in found.values():
            raise UsageError(f"--users {path} line {number}: each name and each token once")
        found[name] = known.lower()
    if not found:
        raise UsageError(f"--users {path} names nobody")
    return found


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_unsafe(settings: Settings) -> None:
    """Refuse to be open to a network without asking who comes in.

    Raises
    ------
    UsageError : with what to do.
    """
    if not is_loopback(settings.host) and not settings.asks_who:
        raise UsageError(
            f"--host {settings.host} can be reached by others: give --token-file FILE, --users FILE, or --identity-header NAME "
            "with --proxy ADDRESS behind a reverse proxy that names its users; see docs/web.md"
        )
    if settings.token is not None and len(settings.token) < LEAST_TOKEN:
        raise UsageError(
            f"the token is shorter than {LEAST_TOKEN} characters; `openssl rand -hex 32` makes one"
        )
    wildcard = settings.host in ("0.0.0.0", "::")
    if wildcard and not settings.hosts:
        raise UsageError(
            f"--host {settings.host} listens on every address: name with --allow-host what the page is called"
        )
    for proxy in settings.proxies:
        try:
            ipaddress.ip_address(proxy)
        except ValueError as error:
            raise UsageError(f"--proxy {proxy}: expected an address such as 10.0.0.5") from error

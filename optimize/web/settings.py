"""What the server is told at its start: where things lie, who may come in, and how much a job may take."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from optimize.errors import UsageError

LEAST_TOKEN = 16


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
    token : what callers must know; None: nobody is asked, which only a loopback address allows.
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
    identity_header: str = ""
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    hosts: tuple[str, ...] = ()
    behind_https: bool = False
    known_hosts: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        own = {"localhost", "127.0.0.1", "[::1]"} if is_loopback(self.host) else {self.host}
        object.__setattr__(self, "known_hosts", frozenset(name.lower() for name in {*own, *self.hosts}))

    @property
    def asks_who(self) -> bool:
        """Whether a caller has to show a token or come through a proxy."""
        return self.token is not None or bool(self.identity_header)


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
            f"--host {settings.host} can be reached by others: give --token-file FILE, or --identity-header NAME "
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

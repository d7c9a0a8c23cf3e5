"""A real PostgreSQL server for the tests, started by themselves where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

# Debian keeps the server's programs out of the way of the client's.
_DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class Server:
    """A server of our own: no port, a socket in its folder."""

    programs: Path
    home: Path

    def address(self, database: str) -> str:
        return f"postgresql+psycopg://tests@/{database}?host={self.home}"

    def sql(self, statements: str, database: str = "postgres") -> str:
        """Run statements as an administrator would, each its own transaction; what they answer, row by row."""
        call = [
            self.programs / "psql",
            "-h",
            self.home,
            "-U",
            "tests",
            "-d",
            database,
            "-qAtv",
            "ON_ERROR_STOP=1",
        ]
        done = subprocess.run(call, input=statements, text=True, check=True, capture_output=True)
        return done.stdout

    def control(self, *words: str) -> None:
        log = self.home / "server.log"
        call = [self.programs / "pg_ctl", "-D", self.home / "data", "-l", log, "-w", *words]
        subprocess.run([str(word) for word in call], check=True, capture_output=True, **_unprivileged())

    def start(self) -> None:
        self.control(
            "start", "-o", f"-c listen_addresses='' -c unix_socket_directories={self.home} -c fsync=off"
        )

    def stop(self) -> None:
        self.control("stop", "-m", "immediate")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """The server; the test is skipped, which shows, where PostgreSQL is not installed."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    # the path of a socket must be short, and readable to the server's user
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp", ignore_cleanup_errors=True) as name:
        home = Path(name)
        if os.geteuid() == 0:
            shutil.chown(home, _user())
        initdb = [
            programs / "initdb",
            "-D",
            home / "data",
            "-U",
            "tests",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "-N",
        ]
        subprocess.run([str(word) for word in initdb], check=True, capture_output=True, **_unprivileged())
        server = Server(programs, home)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _programs() -> Path | None:
    """The newest server's folder of programs."""
    folders = sorted(_DEBIAN.glob("*/bin"), key=lambda folder: int(folder.parent.name), reverse=True)
    found = shutil.which("initdb")
    folders += [] if found is None else [Path(found).resolve().parent]
    return next((folder for folder in folders if (folder / "pg_ctl").exists()), None)


def _user() -> str:
    return "postgres"


def _unprivileged() -> dict[str, str]:
    """The server refuses to run as root."""
    return {"user": _user(), "cwd": "/tmp"} if os.geteuid() == 0 else {}

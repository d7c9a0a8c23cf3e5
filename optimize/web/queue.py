"""The queue of jobs in SQLite: what is asked, who asked, how far it is.  A server that comes back finds it as it was."""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optimize.web.jobs import OVER, PRIORITIES, Job, Kind, State

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL, owner TEXT NOT NULL, instance TEXT NOT NULL, spec TEXT NOT NULL,
    cores INTEGER NOT NULL, state TEXT NOT NULL,
    created TEXT NOT NULL, started TEXT NOT NULL DEFAULT '', ended TEXT NOT NULL DEFAULT '',
    cancelling INTEGER NOT NULL DEFAULT 0, pid INTEGER NOT NULL DEFAULT 0, pid_started REAL NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0, outcome TEXT NOT NULL DEFAULT '',
    result TEXT NOT NULL DEFAULT '{}', message TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state);
CREATE INDEX IF NOT EXISTS jobs_by_instance ON jobs (instance);
"""
_BUSY_S = 10.0
_COLUMNS = (
    "id", "kind", "owner", "instance", "spec", "cores", "state", "created", "started", "ended",
    "cancelling", "pid", "pid_started", "attempts", "outcome", "result", "message",
)  # fmt: skip


class Queue:
    """All jobs of a workspace; every call has a connection of its own, so any thread may call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._connected() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(_SCHEMA)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=_BUSY_S)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    # --- asking ---------------------------------------------------------------------------------------

    def get(self, job: str) -> Job | None:
        found = self._select("WHERE id = ?", (job,))
        return found[0] if found else None

    def listed(
        self, *, instance: str | None = None, kind: Kind | None = None, newest: int = 200
    ) -> list[Job]:
        """The newest jobs first."""
        conditions, values = ["1"], list[Any]()
        if instance is not None:
            conditions.append("instance = ?")
            values.append(instance)
        if kind is not None:
            conditions.append("kind = ?")
            values.append(kind.value)
        return self._select(
            f"WHERE {' AND '.join(conditions)} ORDER BY number DESC LIMIT ?", (*values, newest)
        )

    def in_state(self, state: State) -> list[Job]:
        """The oldest first."""
        return self._select("WHERE state = ? ORDER BY number", (state.value,))

    def position(self, job: Job) -> int:
        """How many jobs that wait are ahead."""
        ahead = [other.id for other in self._waiting()]
        return ahead.index(job.id) if job.id in ahead else 0

    def next_fitting(self, free_cores: int) -> Job | None:
        """The job to be started next: answers before solves, then whoever has least running, then the oldest.

        A job that needs more cores than are free waits, and those behind it wait with it, so that it gets its turn.
        """
        waiting = self._waiting()
        return waiting[0] if waiting and waiting[0].cores <= free_cores else None

    def _waiting(self) -> list[Job]:
        taken: dict[str, int] = {}
        for job in self.in_state(State.RUNNING):
            taken[job.owner] = taken.get(job.owner, 0) + job.cores
        # sorted() is stable: the oldest of equals stays first
        return sorted(
            self.in_state(State.QUEUED), key=lambda job: (PRIORITIES[job.kind], taken.get(job.owner, 0))
        )

    def _select(self, rest: str, values: tuple[Any, ...]) -> list[Job]:
        with self._connected() as connection:
            rows = connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM jobs {rest}", values).fetchall()
        return [_job_of(dict(zip(_COLUMNS, row, strict=True))) for row in rows]

    # --- telling --------------------------------------------------------------------------------------

    def add(
        self, kind: Kind, owner: str, instance: str, spec: Mapping[str, Any], cores: int, job: str
    ) -> Job:
        """Queue a job under the id `new_id` gave; its folder is ready by now."""
        with self._connected() as connection:
            connection.execute(
                "INSERT INTO jobs (id, kind, owner, instance, spec, cores, state, created) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (job, kind.value, owner, instance, json.dumps(dict(spec)), cores, State.QUEUED.value, _now()),
            )
        added = self.get(job)
        assert added is not None
        return added

    def begin(self, job: str) -> bool:
        """Take a job from the queue; False where it was cancelled meanwhile."""
        return self._change(
            "state = ?, started = ?, attempts = attempts + 1",
            (State.RUNNING.value, _now()),
            job,
            State.QUEUED,
        )

    def name_process(self, job: str, pid: int, pid_started: float) -> None:
        self._change("pid = ?, pid_started = ?", (pid, pid_started), job, State.RUNNING)

    def end(self, job: str, state: State, outcome: str, result: Mapping[str, Any], message: str) -> None:
        values = (state.value, outcome, json.dumps(dict(result)), message, _now())
        self._change(
            "state = ?, outcome = ?, result = ?, message = ?, ended = ?, pid = 0", values, job, State.RUNNING
        )

    def requeue(self, job: str) -> None:
        """A job whose server went away begins again."""
        self._change("state = ?, started = '', pid = 0", (State.QUEUED.value,), job, State.RUNNING)

    def cancel(self, job: str) -> None:
        """A waiting job is over at once; a running one is marked, and the worker tells it."""
        self._change(
            "state = ?, ended = ?, cancelling = 1", (State.CANCELLED.value, _now()), job, State.QUEUED
        )
        self._change("cancelling = 1", (), job, State.RUNNING)

    def forget(self, job: str) -> None:
        """Remove a job that is over."""
        marks = ", ".join("?" for _ in OVER)
        with self._connected() as connection:
            connection.execute(
                f"DELETE FROM jobs WHERE id = ? AND state IN ({marks})",
                (job, *(state.value for state in OVER)),
            )

    def _change(self, what: str, values: tuple[Any, ...], job: str, only_in: State) -> bool:
        with self._connected() as connection:
            done = connection.execute(
                f"UPDATE jobs SET {what} WHERE id = ? AND state = ?", (*values, job, only_in.value)
            )
            return done.rowcount == 1


def new_id() -> str:
    """A name that nobody can guess and that is safe as a folder's."""
    return secrets.token_hex(6)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _job_of(row: dict[str, Any]) -> Job:
    return Job(
        **{
            **row,
            "kind": Kind(row["kind"]),
            "state": State(row["state"]),
            "spec": json.loads(row["spec"]),
            "result": json.loads(row["result"]),
            "cancelling": bool(row["cancelling"]),
        }
    )

"""A server with an empty workspace: by itself for what a browser or program does, in this process for the rest."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from optimize.city.example import example_city
from optimize.cli import main
from optimize.io.write import write_instance
from optimize.names import CITY
from optimize.registry import find_programme
from optimize.web import instances, intake
from optimize.web.app import create_app
from optimize.web.jobs import Outcome, State, command_of
from optimize.web.settings import Settings
from tests.web.archives import folder_packed

TOKEN = "a-token-that-is-long-enough"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of ``optimize serve``, a process of its own with one core for jobs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("served")
    command = [
        sys.executable,
        "-m",
        "optimize",
        "serve",
        "--port",
        str(port),
        "--workspace",
        str(folder / "workspace"),
    ]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [*command, "--cores", "1"], stdout=log, stderr=log, env={**os.environ, "OPTIMIZE_TOKEN": ""}
    )
    address = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(address) or process.poll() is not None, 60)
        assert process.poll() is None, (folder / "log").read_text()
        yield address
    finally:
        process.terminate()
        process.wait(20)
        log.close()
    assert "Traceback" not in (folder / "log").read_text()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def until(holds: Callable[[], Any], seconds: float) -> Any:
    """What ``holds`` returns as soon as that is true; fails when it takes longer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = holds()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds:g} s")


@pytest.fixture
def make_client(tmp_path: Path) -> Callable[..., TestClient]:
    """A client of an application without a worker: jobs wait for ever."""

    def make(**settings: Any) -> TestClient:
        app = create_app(Settings(workspace=tmp_path / "workspace", hosts=("testserver",), **settings))
        return TestClient(app, follow_redirects=False)

    return make


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One for all tests that leave it as they found it: as of ``make_client``, and uploads are looked at in this process,
    by the same function as in one of their own."""
    app = create_app(
        Settings(workspace=tmp_path_factory.mktemp("shared") / "workspace", hosts=("testserver",))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instances, "_intake", _intake_here)
        yield TestClient(app, follow_redirects=False)


@pytest.fixture(scope="session")
def uploaded(client: TestClient, example: Callable[[str], Path]) -> str:
    """Id of the example of public PV, which the shared client has."""
    upload = {"file": ("city.zip", folder_packed(example("pv_siting")))}
    answer = client.post("/api/v1/instances", files=upload)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.fixture(scope="session")
def solved(client: TestClient) -> Callable[[str], str]:
    """Solve an instance of the shared client as its worker would, in this process; the id of the run."""

    def solve(instance: str) -> str:
        asked = {"programme": "pv_siting", "time_limit_s": 30}
        job_id = client.post(f"/api/v1/instances/{instance}/solves", json=asked).json()["id"]
        space = client.app.state.workspace  # type: ignore[attr-defined]
        job, said = space.queue.get(job_id), io.StringIO()
        assert space.queue.begin(job_id)
        with contextlib.chdir(space.jobs_folder / job_id), contextlib.redirect_stdout(said):
            assert main(command_of(job)) == 0
        result = json.loads(said.getvalue().splitlines()[-1])
        space.queue.end(job_id, State.DONE, Outcome.SOLVED, result, "")
        return str(job_id)

    return solve


def _intake_here(folder: Path, *arguments: str) -> dict[str, Any]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        found = intake.answer(arguments)
    finally:
        os.chdir(before)
    assert found is not None
    told: dict[str, Any] = json.loads(json.dumps(intake.asdict(found)))
    return told


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a programme's example, or of the city's."""
    home = tmp_path_factory.mktemp("examples")

    def make(name: str) -> Path:
        folder = home / name
        if not folder.exists():
            if name == CITY:
                write_instance(folder, example_city())
            else:
                programme = find_programme(name)
                write_instance(folder, [(programme.schema, programme.example())])
        return folder

    return make

"""What people upload: workbooks and archives come in with their faults at the cells, harm stays outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from tests.web.archives import HOSTILE, folder_packed, packed

Example = Callable[[str], Path]


def _files(client: TestClient) -> set[str]:
    """Everything that lies in the workspace, but what the queue writes by itself."""
    folder = client.app.state.workspace.folder  # type: ignore[attr-defined]
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if not path.name.startswith("queue.")
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_harm_is_refused_and_nothing_is_written(client: TestClient, name: str) -> None:
    file, content, said = HOSTILE[name]
    before, listed = _files(client), client.get("/api/v1/instances").json()
    answer = client.post("/api/v1/instances", files={"file": (file, content)})
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["error"]
    assert "upload." not in answer.json()["error"]  # it is called as its owner calls it
    assert _files(client) == before
    assert client.get("/api/v1/instances").json() == listed


def test_there_are_fifty_of_them() -> None:
    assert len(HOSTILE) >= 50


@pytest.mark.xdist_group("served")
@pytest.mark.parametrize("name", ["bomb", "laughs"])
def test_harm_is_refused_by_the_process_that_looks_at_it(server: str, name: str) -> None:
    file, content, said = HOSTILE[name]
    answer = httpx.post(f"{server}/api/v1/instances", files={"file": (file, content)}, timeout=60)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert httpx.get(f"{server}/health").text == "ok\n"


def test_an_upload_above_the_limit_is_refused_before_it_is_read(
    make_client: Callable[..., TestClient],
) -> None:
    client = make_client(upload_mb=1)
    answer = client.post("/api/v1/instances", files={"file": ("a.zip", b"0" * (4 << 20))})
    assert answer.status_code == 413


def test_an_upload_of_unknown_length_ends_at_the_limit(make_client: Callable[..., TestClient]) -> None:
    client = make_client(upload_mb=1)
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'

    def pieces():  # type: ignore[no-untyped-def]
        yield head
        for _ in range(8):
            yield b"0" * (1 << 20)

    answer = client.post(
        "/api/v1/instances", content=pieces(), headers={"content-type": "multipart/form-data; boundary=b"}
    )
    assert answer.status_code in (400, 413)


def test_an_archive_of_the_folder_itself_comes_in(client: TestClient, example: Example) -> None:
    folder = example("pv_siting")
    files = {
        f"my city/{p.relative_to(folder).as_posix()}": p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file()
    }
    extra = {"__MACOSX/._x": b"\x00", "my city/README.md": "words", "my city/.DS_Store": b"\x00"}
    answer = client.post("/api/v1/instances", files={"file": ("城市.zip", packed({**files, **extra}))})
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "valid"
    assert answer.json()["source"] == "城市.zip"
    assert answer.json()["programmes"][0]["name"] == "pv_siting"


def test_names_in_data_are_text_on_every_page(client: TestClient, example: Example) -> None:
    """Whatever an instance calls things, pages show it and do nothing with it."""
    folder = example("pv_siting")
    bad = "<script>alert(1)</script>"
    sites = (folder / "pv_siting" / "sites.csv").read_text(encoding="utf-8").replace("第一小学", bad)
    toml = (folder / "instance.toml").read_text()
    toml = "\n".join(line for line in toml.splitlines() if not line.startswith("name"))
    changed = {
        "instance.toml": f'name = {{zh = "{bad}", en = "{bad}"}}\n{toml}',
        "pv_siting/sites.csv": sites,
    }
    answer = client.post("/api/v1/instances", files={"file": (f"{bad}.zip", folder_packed(folder, changed))})
    assert answer.status_code == 201, answer.text
    name = answer.json()["id"]
    for page in (
        "/",
        f"/instances/{name}",
        f"/instances/{name}/scenarios",
        f"/instances/{name}/tables/pv_siting.sites",
    ):
        html = client.get(page).text
        assert bad not in html
        assert "&lt;script&gt;" in html

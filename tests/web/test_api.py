"""The REST API: a whole day's work through it, and anything at all thrown at it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from starlette.testclient import TestClient

from tests.web.archives import folder_packed
from tests.web.conftest import until

Example = Callable[[str], Path]
Client = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def there(client: TestClient, solved: Callable[[str], str], example: Example) -> dict[str, Any]:
    """What the calls of a program can be about: instances, runs, a job that waits, and what is asked of them."""

    def upload() -> str:
        file = {"file": ("a.zip", folder_packed(example("pv_siting")))}
        return str(client.post("/api/v1/instances", files=file).json()["id"])

    instance, asked = upload(), {"programme": "pv_siting", "time_limit_s": 9}
    runs = [solved(instance), solved(instance)]
    waiting, over = (
        client.post(f"/api/v1/instances/{instance}/solves", json=asked).json()["id"] for _ in range(2)
    )
    client.post(f"/api/v1/jobs/{over}/cancel")
    sites = client.get(f"/api/v1/instances/{instance}/tables/pv_siting.sites").json()
    return {
        "instances": instance,
        "DELETE instances": upload(),
        "jobs": runs[0],
        "POST jobs": waiting,
        "DELETE jobs": over,
        "runs": runs[0],
        "compare": runs,
        "scenarios": [{"name": "less", "settings": "budgets.scale = 0.9"}],
        "upload": folder_packed(example("pv_siting")),
        "body": {
            "scenario": "", "project": "school-1", "table": "pv_siting.sites", "row": sites["rows"][0]["row"],
            "column": "name_zh", "value": "一", "time_limit_s": 9,
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def call(server: str) -> Client:
    def ask(method: str, path: str, **content: Any) -> httpx.Response:
        return httpx.request(method, f"{server}/api/v1{path}", timeout=60, **content)

    return ask


def _over(call: Client, job: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = call("GET", f"/jobs/{job}").json()
        return found if found["ended"] else None

    found: dict[str, Any] = until(ended, 60)
    return found


@pytest.mark.xdist_group("served")
def test_a_days_work(call: Client, example: Example) -> None:
    upload = {"file": ("city.zip", folder_packed(example("pv_siting")))}
    instance = call("POST", "/instances", files=upload).json()
    home = f"/instances/{instance['id']}"
    rows = [{"name": "less", "zh": "少", "en": "Less", "settings": "budgets.scale = 0.9"}]
    assert call("PUT", f"{home}/scenarios", json=rows).json()[0]["settings"] == "budgets.scale = 0.9"

    asked = call(
        "POST", f"{home}/solves", json={"programme": "pv_siting", "scenario": "less", "time_limit_s": 30}
    )
    assert asked.status_code == 202
    job = _over(call, asked.json()["id"])
    assert (job["state"], job["outcome"]) == ("done", "solved")
    lines = call("GET", f"/jobs/{job['id']}/progress").json()
    assert lines[-1]["plan"] == pytest.approx(job["result"]["objective"])

    summary = call("GET", f"/runs/{job['id']}").json()
    assert summary["checked"] and summary["scenario"]["name"] == "less"
    projects = call("GET", f"/runs/{job['id']}/projects").json()
    assert sum(row["capex_cny"] for row in projects) == pytest.approx(summary["figures"]["capex"])

    first = call("GET", f"{home}/tables/pv_siting.budgets").json()["rows"][0]["row"]
    cell = {"table": "pv_siting.budgets", "row": first, "column": "amount_cny"}
    faulty = call("PATCH", f"{home}/cells", json={**cell, "value": "much"}).json()
    assert (faulty["status"], faulty["faults"][0]["row"], faulty["faults"][0]["found"]) == (
        "faulty",
        first,
        '"much"',
    )
    assert call("POST", f"{home}/solves", json={"programme": "pv_siting"}).status_code == 400
    assert call("PATCH", f"{home}/cells", json={**cell, "value": "9"}).json()["status"] == "valid"
    assert call("GET", f"/runs/{job['id']}").json() == summary  # the run keeps its tables

    assert call("DELETE", home).status_code == 204
    assert call("GET", home).status_code == 404
    assert call("GET", f"/runs/{job['id']}").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("POST", "/instances/{i}/solves", {"programme": "water"}, "this instance has pv_siting"),
        ("POST", "/instances/{i}/solves", {"programme": "city"}, "several programmes"),
        ("POST", "/instances/{i}/solves", {"programme": "pv_siting", "goals": ["gold"]}, "knows the goals"),
        ("POST", "/instances/{i}/solves", {"programme": "pv_siting", "scenario": "none"}, "no scenario"),
        ("POST", "/instances/{i}/solves", {"programme": "pv_siting", "cores": 64}, "cores"),
        ("POST", "/instances/{i}/solves", {"programme": "pv_siting", "time_limit_s": 9999}, "at most"),
        ("POST", "/instances/{i}/solves", {"programme": "pv_siting", "overrides": {}}, "Extra"),
        ("POST", "/instances/{i}/fronts", {"programme": "pv_siting", "goals": ["npv", "npv"]}, "different goals"),
        ("GET", "/instances/{i}/tables/nobody", None, "no table"),
        ("PATCH", "/instances/{i}/cells", {"table": "districts", "row": 999, "column": "a", "value": ""}, "no cell"),
        ("GET", "/runs/000000000000", None, "no such run"),
        ("GET", "/compare?run=000000000000&run=000000000001", None, "no such run"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(
    client: TestClient, uploaded: str, method: str, path: str, body: Any, said: str
) -> None:
    answer = client.request(method, f"/api/v1{path.replace('{i}', uploaded)}", json=body)
    assert 400 <= answer.status_code < 500
    assert said in answer.json()["error"]


def test_whatever_is_asked_the_server_has_an_answer(client: TestClient, there: Mapping[str, Any]) -> None:
    """Every call of the OpenAPI document with made-up values, right and wrong: never a fault of the server's."""
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", client.app)
    answers = {
        f"{operation.ok().method} {operation.ok().path}": answers_of(operation.ok(), there)
        for operation in schema.get_all_operations()
    }
    assert sum(map(len, answers.values())) > 70
    # what is there was really asked for, and what is made up was refused
    silent = [call for call, given in answers.items() if not any(status < 300 for status in given)]
    assert not silent
    assert sum(status in (400, 404, 422) for given in answers.values() for status in given) > 20


def answers_of(operation: Any, there: Mapping[str, Any]) -> list[int]:
    """The statuses of the calls of one operation, every other one about something that is there."""
    answers: list[int] = []

    @settings(
        max_examples=4, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        if len(answers) % 2:
            _mean(case, there)
        answer = case.call(headers={"host": "localhost"})
        assert answer.status_code < 500, f"{case.method} {case.formatted_path}: {answer.text[:500]}"
        answers.append(answer.status_code)

    ask()
    return answers


def _mean(case: Any, there: Mapping[str, Any]) -> None:
    """Have a call be about an instance, a job or a run that is there, and about what it holds."""
    room = case.path.split("/")[3]
    name = there[f"{case.method} {room}"] if f"{case.method} {room}" in there else there[room]
    if "{name}" in case.path:
        case.path_parameters = {**(case.path_parameters or {}), "name": name}
    if "{table}" in case.path:
        case.path_parameters["table"] = "pv_siting.sites"
    if room == "compare":
        case.query = {"run": there["compare"]}
    if case.path.endswith("/scenarios") and case.method == "PUT":
        case.body = there["scenarios"]
    elif case.path == "/api/v1/instances" and case.method == "POST":
        case.body = {"file": there["upload"]}
    elif isinstance(case.body, dict):
        case.body = {**case.body, **{key: value for key, value in there["body"].items() if key in case.body}}
        if case.path.endswith(("/solves", "/fronts")):
            case.body |= {"programme": "pv_siting", "goals": ["npv", "co2"], "time_limit_s": 9, "cores": 1}
            if case.path.endswith("/fronts"):
                case.body.pop("cores")

"""Who may come in, from where, and what pages may do in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from optimize.errors import UsageError
from optimize.web import pages, pages_compare, pages_editing, pages_instances, pages_jobs, pages_runs
from optimize.web.app import create_app
from optimize.web.rendering import own_form
from optimize.web.sessions import Signer
from optimize.web.settings import Settings, digest, read_named_tokens
from tests.web.archives import folder_packed
from tests.web.conftest import TOKEN

Make = Callable[..., TestClient]
_PAGES = (
    "/",
    "/jobs",
    "/runs",
    "/api",
    "/api/v1/jobs",
    "/look.css",
    "/static/icon.svg",
    "/nothing",
    "/login",
)


def _form_token(client: TestClient, page: str = "/") -> str:
    found = re.search(r'name="form_token" value="(\w+)"', client.get(page).text)
    assert found is not None
    return found.group(1)


@pytest.mark.parametrize("path", _PAGES)
def test_every_answer_forbids_what_pages_do_not_need(client: TestClient, path: str) -> None:
    answer = client.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert "unsafe-inline" not in policy and "unsafe-eval" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/", "/jobs", "/runs", "/api", "/login"])
def test_pages_hold_no_script_and_no_style_of_their_own(client: TestClient, path: str) -> None:
    html = client.get(path).text
    assert re.findall(r"<script(?! src=\"/static/)", html) == []
    assert "<style" not in html
    assert re.findall(r"\s(style|on\w+)=", html) == []


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example:8000"]
)
def test_a_name_that_is_not_ours_is_not_answered(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
def test_our_own_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/examples", "/api/v1/instances"])
def test_other_sites_cannot_send_anything(client: TestClient, path: str, headers: dict[str, str]) -> None:
    assert client.post(path, headers=headers).status_code == 403


def test_a_form_has_to_be_ours(make_client: Make) -> None:
    client = make_client()
    token = _form_token(client)
    assert client.post("/language", data={"language": "zh"}).status_code == 403
    assert client.post("/language", data={"language": "zh", "form_token": "0" * 64}).status_code == 403
    assert client.post("/language", data={"language": "zh", "form_token": token}).status_code == 303
    client.cookies.delete("optimize_form")  # the token of another browser is none here
    assert client.post("/language", data={"language": "zh", "form_token": token}).status_code == 403


def test_every_form_of_a_page_asks_for_the_token() -> None:
    """A page's route that changes something takes a form of ours; only the API's take none."""
    changing = [
        route
        for module in (pages, pages_instances, pages_editing, pages_jobs, pages_runs, pages_compare)
        for route in module.router.routes
        if isinstance(route, APIRoute) and "POST" in route.methods
    ]
    assert len(changing) > 10
    for route in changing:
        assert own_form in [asked.call for asked in route.dependant.dependencies], route.path


def test_with_a_token_nobody_comes_in_without(make_client: Make) -> None:
    client = make_client(token=TOKEN)
    assert client.get("/api/v1/jobs").status_code == 401
    assert client.get("/").headers["location"] == "/login"
    assert client.get("/api/openapi.json").status_code == 401
    assert client.get("/health").status_code == 200
    asked = client.get("/login").text  # with what it looks like, which nobody has to be known for
    for address in re.findall(r'(?:href|src)="(/[^"]+\.(?:css|js|svg))"', asked):
        assert client.get(address).status_code == 200, address
    for wrong in ("", "x", TOKEN + "x", TOKEN[:-1]):
        assert client.get("/api/v1/jobs", headers={"authorization": f"Bearer {wrong}"}).status_code in (
            401,
            429,
        )
    assert client.get("/api/v1/jobs", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_wrong_tokens_are_not_listened_to_for_ever(make_client: Make) -> None:
    client = make_client(token=TOKEN)
    for _ in range(10):
        client.get("/api/v1/jobs", headers={"authorization": "Bearer wrong-wrong-wrong"})
    assert client.get("/api/v1/jobs", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 429


def test_signing_in_and_out(make_client: Make) -> None:
    client = make_client(token=TOKEN)
    form = {"form_token": _form_token(client, "/login")}
    assert client.post("/login", data={**form, "token": "not this one at all"}).status_code == 401
    entered = client.post("/login", data={**form, "token": TOKEN})
    assert entered.status_code == 303
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert client.get("/").status_code == 200
    session = client.cookies["optimize_session"]
    client.post("/logout", data=form)
    assert client.get("/").status_code == 303
    for forged in (
        session[:-1] + ("0" if session[-1] != "0" else "1"),
        "9999999999." + session.partition(".")[2],
        "x",
    ):
        client.cookies.set("optimize_session", forged)
        assert client.get("/").status_code == 303


def test_each_user_has_a_token_and_jobs_say_who_asked(
    make_client: Make, tmp_path: Path, example: Callable[[str], Path]
) -> None:
    users = tmp_path / "users"
    users.write_text(f"# who may come in\nWang Li {digest(TOKEN)}\nanna {digest(TOKEN + '2').upper()}\n")
    client = make_client(named_tokens=read_named_tokens(users))
    assert (
        client.get("/api/v1/jobs", headers={"authorization": "Bearer no-such-token-here"}).status_code == 401
    )
    anna = {"authorization": f"Bearer {TOKEN}2"}
    upload = {"file": ("a.zip", folder_packed(example("pv_siting")))}
    instance = client.post("/api/v1/instances", files=upload, headers=anna).json()["id"]
    asked = client.post(f"/api/v1/instances/{instance}/solves", json={"programme": "pv_siting"}, headers=anna)
    assert asked.json()["owner"] == "anna"

    form = {"form_token": _form_token(client, "/login"), "token": TOKEN}
    assert client.post("/login", data=form).status_code == 303
    page = client.get("/jobs").text
    assert "Wang Li" in page and ">anna</td>" in page and "Sign out" in page


def test_a_session_ends_with_its_token(tmp_path: Path) -> None:
    signer, digests = Signer(tmp_path), {"Wang Li": digest(TOKEN), "anna": digest("another")}
    cookie = signer.session("Wang Li", digests["Wang Li"])
    assert signer.owner_of(cookie, digests) == "Wang Li"
    assert signer.owner_of(cookie, digests | {"Wang Li": digest("a new one")}) is None
    assert signer.owner_of(cookie, {"anna": digests["anna"]}) is None
    ends, nonce, _, signature = cookie.split(".")
    assert signer.owner_of(f"{ends}.{nonce}.{b'anna'.hex()}.{signature}", digests) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("anna secret", "expected a name and the SHA-256"),
        ("0" * 64, "expected a name"),
        (f"anna {'0' * 64}\nanna {'1' * 64}", "line 2: each name"),
        (f"anna {'0' * 64}\nbert {'0' * 64}", "line 2: each name"),
        (f"local {'0' * 64}", "line 1: each name"),
        ("# nobody", "names nobody"),
    ],
)
def test_a_file_of_users_that_is_none_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "users").write_text(text)
    with pytest.raises(UsageError, match=said):
        read_named_tokens(tmp_path / "users")


def test_a_proxy_names_the_user_and_nobody_else_does(make_client: Make) -> None:
    named = {"x-user": "wang@example.org"}
    client = make_client(identity_header="X-User", proxies=("127.0.0.1",))
    assert client.get("/api/v1/jobs", headers=named).status_code == 401  # the test's address is no proxy's
    inside = TestClient(client.app, client=("127.0.0.1", 1), follow_redirects=False)
    assert inside.get("/api/v1/jobs").status_code == 401
    assert inside.get("/api/v1/jobs", headers=named).status_code == 200
    assert "wang@example.org" in inside.get("/", headers=named).text
    assert inside.get("/api/v1/jobs", headers={"x-user": "a" * 200}).status_code == 401


def test_a_network_is_not_served_without_asking_who(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--token-file"):
        create_app(Settings(workspace=tmp_path, host="192.0.2.1"))
    with pytest.raises(UsageError, match="shorter"):
        create_app(Settings(workspace=tmp_path, host="192.0.2.1", token="short"))
    with pytest.raises(UsageError, match="--allow-host"):
        create_app(Settings(workspace=tmp_path, host="0.0.0.0", token=TOKEN))
    with pytest.raises(UsageError, match="--proxy"):
        create_app(Settings(workspace=tmp_path, identity_header="X-User", proxies=("anybody",)))
    assert list(tmp_path.iterdir()) == []


def test_two_servers_do_not_share_a_workspace(tmp_path: Path) -> None:
    first = create_app(Settings(workspace=tmp_path))
    with pytest.raises(UsageError, match="another server"):
        create_app(Settings(workspace=tmp_path))
    first.state.workspace._lock.close()


@pytest.mark.parametrize(
    "path",
    [
        "/instances/..%2f..%2fetc", "/static/..%2f..%2fapp.py", "/static/%2e%2e/app.py", "/runs/..%2f..%2fx/plan.xlsx",
        "/api/v1/instances/..%2fsecret", "/jobs/%00", "/templates/..%2f..%2fx.xlsx",
    ],
)  # fmt: skip
def test_no_address_leads_out_of_the_workspace(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (400, 404, 422)
    assert "import" not in answer.text

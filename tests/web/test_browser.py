"""A budget office's day in a real browser: from a faulty workbook to two plans compared, read and taken away."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from optimize.io.place import place_of
from optimize.io.workbook_content import content_of_place
from optimize.io.workbook_template import write_instance_workbook
from optimize.registry import find_programme

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here"),
    pytest.mark.xdist_group("served"),
]

SHEET = "pv_siting.sites"
LONG_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, server: str) -> Iterator[Page]:
    """A page that may log nothing: no refused style or script, no missing file."""
    context = browser.new_context(base_url=server, locale="en-GB", accept_downloads=True)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.set_default_timeout(LONG_MS)
    yield page
    context.close()
    assert said == []


@pytest.fixture
def faulty(tmp_path: Path, example: Callable[[str], Path]) -> tuple[Path, dict[str, str]]:
    """A workbook with three faults, and what mends each cell; its sites have places, so that there is a map."""
    path = tmp_path / "our city.xlsx"
    programme = find_programme("pv_siting")
    write_instance_workbook(path, content_of_place(place_of(example("pv_siting")), [programme.schema]), "en")
    book = openpyxl.load_workbook(path)
    sheet = book[SHEET]
    columns = {str(cell.value).split(" (")[0].removesuffix(" *"): cell.column for cell in sheet[1]}
    for row in range(2, 9):
        sheet.cell(row, columns["lon"], 121.4 + 0.01 * row)
        sheet.cell(row, columns["lat"], 31.2 + 0.01 * (row % 3))
    mends = {}
    for row, column, value in ((2, "usable roof", "1,8e3"), (3, "feeder", "F22"), (4, "district", "")):
        cell = sheet.cell(row, columns[column])
        mends[f"{SHEET}!{cell.coordinate}"] = str(cell.value)
        cell.value = value
    book.save(path)
    return path, mends


def test_from_a_faulty_workbook_to_two_plans_taken_away(
    page: Page, server: str, faulty: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    workbook, mends = faulty
    _upload_and_mend(page, workbook, mends)
    instance = page.url.partition("#")[0]
    _change_a_cell(page, instance)
    page.goto(instance)
    _write_a_scenario(page)
    page.goto(instance)
    page.get_by_label("A tenth less").check()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    _watch(page)
    page.goto(f"{instance}")
    for box in page.locator("input[name=run]").all():
        box.check()
    page.get_by_role("button", name="Compare the plans chosen").click()
    runs = _compare(page, server)
    page.goto(f"/runs/{runs[0]}")
    _explain(page)
    page.goto(f"/runs/{runs[0]}")
    summary = httpx.get(f"{server}/api/v1/runs/{runs[0]}").json()
    _take_away(page, summary, tmp_path)
    _read_in_chinese(page)


def _upload_and_mend(page: Page, workbook: Path, mends: dict[str, str]) -> None:
    page.goto("/")
    page.get_by_label("Excel workbook").set_input_files(workbook)
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_role("heading", name="3 faults to be mended")).to_be_visible()
    expect(page.get_by_role("button", name="Run", exact=True)).to_have_count(0)
    for number, (place, value) in enumerate(mends.items()):
        page.locator(".fault", has_text=place).get_by_role("textbox").fill(value)
        page.locator(".fault", has_text=place).get_by_role("button").press("Enter")
        left = len(mends) - number - 1
        told = f"{left} fault{'s' * (left != 1)} to be mended" if left else "The tables are in order"
        expect(page.get_by_role("heading", name=told)).to_be_visible()


def _change_a_cell(page: Page, instance: str) -> None:
    """A cell becomes a field where it stands, and the table comes back with what was written."""
    page.goto(f"{instance}/tables/{SHEET}")
    first = page.locator("tbody tr").first
    first.get_by_role("link", name="第一小学").click()
    first.get_by_role("textbox").fill("第一小学（改）")
    first.get_by_role("button", name="Save").click()
    expect(page.get_by_role("link", name="第一小学（改）")).to_be_visible()
    expect(page).to_have_url(re.compile("line=2"))


def _write_a_scenario(page: Page) -> None:
    page.get_by_role("link", name="Edit the scenarios").click()
    row = page.locator("tbody tr").first
    for label, value in (
        ("Name", "less"),
        ("Chinese title", "减一成"),
        ("English title", "A tenth less"),
        ("Sets", "budgets.scale = 0.9"),
    ):
        row.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Save the scenarios").click()
    expect(page.locator("tbody tr").first.get_by_label("Name", exact=True)).to_have_value("less")


def _watch(page: Page) -> None:
    """One job after the other, as there is one core; the page tells by itself how far they are."""
    page.locator("tbody th a").first.click()
    expect(page.locator(".state.big")).to_have_text(re.compile("waiting|running|done"))
    expect(page.locator(".state.big")).to_have_text("done", timeout=LONG_MS)
    expect(page.get_by_role("img", name="Best plan and proven bound over time")).to_be_visible()
    expect(page.get_by_role("link", name="Look at the plan")).to_be_visible()
    page.goto("/jobs")
    expect(page.locator("tbody .state.busy, tbody .state.calm")).to_have_count(0, timeout=LONG_MS)


def _compare(page: Page, server: str) -> list[str]:
    expect(page.get_by_role("heading", name="2 plans side by side")).to_be_visible()
    runs = [str(link.get_attribute("href")).rpartition("/")[2] for link in page.locator(".legend a").all()]
    row = page.locator("table.compare tr", has_text="Net present value").first
    for number, run in enumerate(runs):
        npv = httpx.get(f"{server}/api/v1/runs/{run}").json()["figures"]["npv"]
        expect(row.locator("td").nth(number)).to_have_text(f"{npv / 1e6:.2f} M CNY")
    return runs


def _explain(page: Page) -> None:
    """A site is chosen on the map."""
    page.locator(".map a[href*='project?id=']").first.click()
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_text("It is in the plan.", exact=True)).to_be_visible(timeout=LONG_MS)
    expect(page.locator("#why p", has_text=re.compile("lost|loses|cannot do without|open"))).to_be_visible()


def _take_away(page: Page, summary: dict[str, Any], folder: Path) -> None:
    spent = sum(row["spent_cny"] for row in summary["money"])
    for name in ("Workbook", "Report"):
        with page.expect_download(timeout=LONG_MS) as started:
            page.get_by_role("link", name=name, exact=True).click()
        started.value.save_as(folder / started.value.suggested_filename)
    book = openpyxl.load_workbook(next(folder.glob("plan-*.xlsx")), read_only=True)
    rows = book["Summary"].iter_rows(values_only=True)
    figures = {row[0]: [cell for cell in row[1:] if isinstance(cell, int | float)] for row in rows}
    assert 1000 * figures["Net present value"][0] == pytest.approx(summary["figures"]["npv"])
    assert 1000 * figures["Investment"][0] == pytest.approx(summary["figures"]["capex"])
    report = page.context.new_page()
    report.goto(next(folder.glob("report-*.html")).as_uri())
    total = report.locator("table.money").first.locator("tr.sum data").last.get_attribute("value")
    assert float(str(total)) == pytest.approx(spent, abs=0.01)
    report.close()


def _read_in_chinese(page: Page) -> None:
    page.get_by_role("button", name="中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.get_by_role("link", name="工作簿")).to_be_visible()
    expect(page.locator("h1")).to_contain_text("光伏")
    page.get_by_role("link", name="任务", exact=True).click()
    expect(page.locator("tbody .state").first).to_have_text("已完成")


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_nothing_is_wider_than_a_phone(browser: Browser, server: str, language: str) -> None:
    context = browser.new_context(base_url=server, locale=language, viewport={"width": 390, "height": 844})
    page = context.new_page()
    made = httpx.get(f"{server}/api/v1/instances").json()
    jobs = httpx.get(f"{server}/api/v1/jobs").json()
    paths = ["/", "/jobs", "/runs", "/api", "/nothing"]
    paths += [
        f"/instances/{i['id']}{more}"
        for i in made[:1]
        for more in ("", "/settings", "/scenarios", f"/tables/{SHEET}")
    ]
    paths += [f"/jobs/{job['id']}" for job in jobs[:1]] + [
        f"/runs/{job['id']}" for job in jobs if job["run"]
    ][:1]
    for path in paths:
        page.goto(path)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, path
    context.close()


def test_everything_can_be_done_from_the_keyboard(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    seen = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.add(
            page.evaluate(
                "(document.activeElement.name || document.activeElement.textContent).trim().slice(0, 30)"
            )
        )
    assert {"file", "Upload and check", "programme", "Make an instance of it"} <= seen


def test_controls_have_names_and_pages_one_heading(page: Page, server: str) -> None:
    instance = httpx.get(f"{server}/api/v1/instances").json()
    paths = ["/", "/jobs", "/runs", "/api"] + [
        f"/instances/{i['id']}{more}" for i in instance[:1] for more in ("", "/settings", "/scenarios")
    ]
    for path in paths:
        page.goto(path)
        nameless = page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a')].filter(e =>"
            " !(e.labels && e.labels.length) && !e.getAttribute('aria-label') && !e.textContent.trim()).map(e => e.outerHTML)"
        )
        assert nameless == [], path
        assert page.locator("h1").count() == 1, path
        assert page.locator("html").get_attribute("lang") == "en"

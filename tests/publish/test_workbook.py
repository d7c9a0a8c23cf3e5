"""Plans as workbooks: every figure the checker's to the cent, every text a text, in either language."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from optimize.cli import main
from optimize.errors import UsageError
from optimize.i18n.catalogue import Language
from optimize.i18n.words import Words
from optimize.io.workbook_cells import Book
from optimize.publish.facts import RunFacts
from optimize.publish.workbook import write_plan_workbook
from optimize.registry import PROGRAMMES
from optimize.studies.compare import compare_runs
from optimize.studies.compare_sides import read_sides
from tests.repair_prompts import repair_reasons

_CENT = 0.005
_ZH = Words("zh")
# Words that stand in a Chinese workbook as they are: ids, units, names of files and versions.
_SENTENCE = re.compile(r"(?:\b[a-z]{2,} ){3,}[a-z]{2,}")


@pytest.fixture(scope="module")
def written(
    every_run: Mapping[str, RunFacts], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """The workbook of runs, written once."""
    home = tmp_path_factory.mktemp("plans")

    def write(*names: str, language: Language = "zh") -> Path:
        path = home / f"{'-'.join(names)}-{language}.xlsx"
        if not path.exists():
            write_plan_workbook([every_run[name].folder for name in names], path, language)
        return path

    return write


def _rows(path: Path, title: str) -> list[list[Any]]:
    return Book(path).sheet(title).rows


def _table(rows: list[list[Any]], heading: str) -> tuple[list[str], list[list[Any]]]:
    """Headings and rows of the first table that has ``heading``, up to the next empty row."""
    top = next(k for k, row in enumerate(rows) if heading in row)
    body = rows[top + 1 :]
    end = next((k for k, row in enumerate(body) if all(cell == "" for cell in row)), len(body))
    return [str(cell) for cell in rows[top]], body[:end]


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("name", ["pv", "city"])
def test_money_is_the_checkers_to_the_cent(
    name: str, language: Language, written: Callable[..., Path], every_run: Mapping[str, RunFacts]
) -> None:
    run, words = every_run[name], Words(language)
    path, (step, _) = written(name, language=language), words.money_step()
    total = math.fsum(run.money["spent_cny"])
    money = _rows(path, words.text("Money"))
    years, rows = _table(money, words.text("Year"))
    assert abs(rows[-1][len(years) - 1] * step - total) < _CENT
    by_cell = {(int(year), source): value for source, year, value in
               zip(run.money["source"], run.money["year"], run.money["spent_cny"], strict=True)}  # fmt: skip
    shown = [cell for row in rows[:-1] for cell in row[1 : len(years) - 1]]
    assert abs(math.fsum(shown) * step - math.fsum(by_cell.values())) < _CENT
    for sheet in ("By district", "Year by year"):
        headings, rows = _table(
            _rows(path, words.text(sheet)), words.text("District" if sheet == "By district" else "Year")
        )
        place = next(k for k, heading in enumerate(headings) if heading.startswith(words.text("Spent")))
        assert abs(rows[-1][place] * step - total) < _CENT
        assert abs(math.fsum(row[place] for row in rows[:-1]) * step - total) < _CENT


def test_projects_and_effects_are_the_runs_own(written: Callable[..., Path], pv: RunFacts) -> None:
    rows = _rows(written("pv"), _ZH.text("Projects"))
    headings, body = _table(rows, _ZH.text("Project"))
    table = pv.parts[0].table("projects")
    assert len(body) == len(table)
    capex = next(k for k, heading in enumerate(headings) if heading.startswith("投资"))
    by_id = {row[0]: row for row in body}
    for site, cny in zip(table["site"], table["capex_cny"], strict=True):
        assert abs(by_id[site][capex] * 1e4 - cny) < _CENT
    assert abs(rows[0][capex] * 1e4 - pv.figures["capex"]) < _CENT
    district, parts = _table(_rows(written("pv"), _ZH.text("By district")), _ZH.text("District"))
    energy = next(k for k, heading in enumerate(district) if heading.startswith("年电量"))
    assert parts[-1][energy] == pytest.approx(pv.figures["energy"], rel=1e-12)


@pytest.mark.parametrize("name", ["pv", "city"])
def test_figures_and_clauses_are_the_summarys(
    name: str, written: Callable[..., Path], every_run: Mapping[str, RunFacts]
) -> None:
    run = every_run[name]
    shown = [
        cell for row in _rows(written(name), _ZH.text("Summary")) for cell in row if isinstance(cell, float)
    ]
    for value in run.figures.values():
        if value is not None:
            assert any(math.isclose(cell, value / step, rel_tol=1e-12, abs_tol=1e-12) for cell in shown for step in (1, 1e4)), value  # fmt: skip
    headings, clauses = _table(_rows(written(name), _ZH.text("Clauses")), _ZH.text("Clause"))
    reached, required = headings.index(_ZH.text("Reached")), headings.index(_ZH.text("Required"))
    assert [(row[required], row[reached]) for row in clauses] == [
        (clause["required"], clause["reached"]) for _, clause in run.clauses
    ]


def test_plans_stand_side_by_side_as_compare_has_them(
    written: Callable[..., Path], pv: RunFacts, less_pv: RunFacts
) -> None:
    path = written("pv", "less_pv")
    comparison = compare_runs(read_sides([str(pv.folder), str(less_pv.folder)], PROGRAMMES))
    rows = _rows(path, _ZH.text("Comparison"))
    _, figures = _table(rows, _ZH.text("Figures"))
    for row, record in zip(figures, comparison.figures.to_dict(orient="records"), strict=True):
        step = 1e4 if row[1] == "万元" else 1.0
        assert row[2] * step == pytest.approx(record["A"], rel=1e-12)
        assert (row[3] - row[2]) == pytest.approx(row[4], abs=1e-9)
    headings, projects = _table(_rows(path, _ZH.text("Projects that differ")), _ZH.text("Project"))
    assert [row[0] for row in projects] == list(comparison.projects["id"])
    assert headings[-2:] == ["A  投资（万元）", "B  投资（万元）"]
    assert {
        _ZH.text("Summary"),
        _ZH.text("Clauses"),
        _ZH.text("Projects"),
        _ZH.text("By district"),
        _ZH.text("Year by year"),
        _ZH.text("Money"),
        _ZH.text("Comparison"),
        _ZH.text("Projects that differ"),
        _ZH.text("Provenance"),
    } == set(Book(path).titles)


def test_a_joint_plan_stands_beside_its_fixed_shares(written: Callable[..., Path], city: RunFacts) -> None:
    assert repair_reasons(written("city")) == []
    rows = _rows(written("city"), _ZH.text("Comparison"))
    _, plans = _table(rows, _ZH.text("Plan"))
    assert plans[0][2] * 1e4 == pytest.approx(city.summary["objective"], rel=1e-12)
    assert plans[1][2] * 1e4 == pytest.approx(city.summary["silos"]["objective"], rel=1e-12)


def test_no_text_is_a_formula_and_names_stand_as_they_are(
    written: Callable[..., Path], hostile_name: str
) -> None:
    path = written("pv")
    with zipfile.ZipFile(path) as archive:
        parts = [archive.read(name) for name in archive.namelist() if name.startswith("xl/worksheets/sheet")]
    formulas = {found for part in parts for found in re.findall(rb"<f[^>]*>([^<]*)</f>", part)}
    assert formulas and all(formula.startswith(b"SUBTOTAL(109,") for formula in formulas)
    assert any(hostile_name in row for row in _rows(path, _ZH.text("Projects")))


@pytest.mark.parametrize("names", [("pv", "less_pv"), ("city",)])
def test_the_chinese_workbook_holds_no_english_sentence(
    names: tuple[str, ...], written: Callable[..., Path]
) -> None:
    book = openpyxl.load_workbook(written(*names), read_only=True)
    left = [
        cell
        for sheet in book.worksheets
        for row in sheet.iter_rows(values_only=True)
        for cell in row
        if isinstance(cell, str) and _SENTENCE.search(cell)
    ]
    assert not left


def test_charts_are_native_and_provenance_tells_bound_check_and_versions(
    written: Callable[..., Path], pv: RunFacts
) -> None:
    with zipfile.ZipFile(written("pv", "less_pv")) as archive:
        charts = [name for name in archive.namelist() if name.startswith("xl/charts/chart")]
    assert len(charts) >= 6
    assert repair_reasons(written("pv", "less_pv")) == []
    told = {row[0]: row[1:] for row in _rows(written("pv", "less_pv"), _ZH.text("Provenance"))}
    assert told[_ZH.text("Fingerprint of the inputs")][0] == pv.manifest["fingerprint"]
    assert (
        "budgets.scale" in told[_ZH.text("Settings laid over the instance")][1]
        and told[_ZH.text("Version: {name}", name="highspy")][0]
    )


def test_wrong_calls_write_nothing(tmp_path: Path, pv: RunFacts) -> None:
    (tmp_path / "plan.xlsx").write_text("kept")
    assert main(["workbook", str(pv.folder), "--out", str(tmp_path / "plan.xlsx")]) == 2
    assert (tmp_path / "plan.xlsx").read_text() == "kept"
    assert main(["workbook", str(pv.folder), "--out", str(tmp_path / "plan.csv")]) == 2
    assert main(["workbook", str(tmp_path), "--out", str(tmp_path / "other.xlsx")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["plan.xlsx"]
    with pytest.raises(UsageError, match="1 to 12 runs"):
        write_plan_workbook([], tmp_path / "none.xlsx", "zh")


def test_a_workbook_is_solved_verified_and_held_to_what_it_was(
    pv: RunFacts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a template in a workbook to a verified run; when the workbook has changed, the run is told so.

    Beside a run of another programme it stands in one workbook, without comparison.
    """
    path, results = tmp_path / "town.xlsx", tmp_path / "results"
    assert main(["template", "datacenter", str(path), "--lang", "en"]) == 0
    assert main(["solve", str(path), "--results", str(results), "--gap", "0.01"]) == 0
    (run,) = results.glob("datacenter/*/*")
    assert main(["verify", str(run)]) == 0
    write_plan_workbook([pv.folder, run], tmp_path / "both.xlsx", "en")
    titles = Book(tmp_path / "both.xlsx").titles
    assert "Comparison" not in titles and sum(title.startswith("Projects") for title in titles) == 2
    book = openpyxl.load_workbook(path)
    book["datacenter.budgets"]["C2"] = 1.0
    book.save(path)
    capsys.readouterr()
    assert main(["verify", str(run)]) == 2
    assert "datacenter/budgets.csv was changed" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed here")
def test_libreoffice_opens_it_and_shows_the_same_figures(
    written: Callable[..., Path], tmp_path: Path
) -> None:
    path = written("pv", "less_pv")
    command = ["soffice", f"-env:UserInstallation=file://{tmp_path / 'profile'}", "--headless", "--convert-to", "xlsx",
               "--outdir", str(tmp_path), str(path)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    before, after = Book(path), Book(tmp_path / path.name)
    assert after.titles == before.titles
    for title in before.titles:
        numbers = [
            [cell for row in book.sheet(title).rows for cell in row if isinstance(cell, float)]
            for book in (before, after)
        ]
        assert numbers[1] == pytest.approx(numbers[0], rel=1e-9)

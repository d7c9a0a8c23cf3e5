"""The report: its money is the checker's, it needs no network, and it says nothing in the wrong language."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable, Mapping
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from optimize.cli import main
from optimize.errors import UsageError
from optimize.i18n.vocabulary import COLUMNS, TABLES
from optimize.i18n.words import Words
from optimize.publish.chapters import chapter_of, where_words
from optimize.publish.comparison import compare_section
from optimize.publish.document import render_report, write_report
from optimize.publish.facts import RunFacts, read_run
from optimize.publish.study_files import Studies, read_studies

RUNS = ("pv", "city")


class _Tables(HTMLParser):
    """Amounts of ``<data value>`` by table and row, and the visible words of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[tuple[str, list[list[float]]]] = []
        self.words: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "table":
            self.tables.append((told.get("data-table") or told.get("class") or "", []))
        elif tag == "tr" and self.tables:
            self.tables[-1][1].append([])
        elif tag == "data":
            self.tables[-1][1][-1].append(float(told["value"] or "nan"))
        self._hidden += tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.words.append(data.strip())

    def rows(self, kind: str) -> list[list[list[float]]]:
        return [[row for row in rows if row] for name, rows in self.tables if name == kind]


def _parsed(text: str) -> _Tables:
    parser = _Tables()
    parser.feed(text)
    return parser


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_money_adds_up_to_the_checkers_figures_to_the_cent(
    name: str, language: str, every_run: Mapping[str, RunFacts]
) -> None:
    run = every_run[name]
    tables = _parsed(render_report([run], ["zh" if language == "zh" else "en"]))
    spent = {}
    for row in run.summary["money"]:
        spent[row["year"]] = [*spent.get(row["year"], []), row["spent_cny"]]
    by_year = [math.fsum(spent[year]) for year in sorted(spent)]
    checked = [*by_year, math.fsum(by_year)] if len(by_year) > 1 else by_year
    for kind in ("groups", "sources"):
        for *lines, total in tables.rows(kind):
            assert total == pytest.approx(checked, abs=0.005)
            for k, amount in enumerate(total):
                assert math.fsum(line[k] for line in lines) == pytest.approx(amount, abs=0.005 * len(lines))
    assert tables.rows("groups")
    for part, (*districts, total) in zip(run.parts, tables.rows("districts"), strict=True):
        capex = part.figures["capex" if "capex" in part.figures else "capex_cny"]
        assert total[0] == pytest.approx(capex, abs=0.005)
        assert math.fsum(line[0] for line in districts) == pytest.approx(capex, abs=0.005 * len(districts))


@pytest.mark.parametrize("name", RUNS)
def test_nothing_is_loaded_from_anywhere(name: str, every_run: Mapping[str, RunFacts]) -> None:
    text = render_report([every_run[name]], ["zh", "en"])
    assert "<script" not in text and "@import" not in text and "javascript:" not in text
    assert not re.findall(r"(?:src|action|formaction)\s*=", text)
    assert set(re.findall(r'href="([^"]*)"', text)) <= {f"#{a}" for a in re.findall(r'id="([^"]*)"', text)}
    addresses = {a for a in re.findall(r"https?://[^\s\"'<)]+", text) if a != "http://www.w3.org/2000/svg"}
    assert not addresses
    assert not re.findall(r"url\((?!#)", text)
    assert len(re.findall(r'id="([^"]*)"', text)) == len(set(re.findall(r'id="([^"]*)"', text)))


_LATIN = re.compile(r"[A-Za-z][A-Za-z'’-]+(?:[ ,]+[A-Za-z][A-Za-z'’-]+){2,}")


@pytest.mark.parametrize("name", RUNS)
def test_the_chinese_report_holds_no_english_sentence(name: str, every_run: Mapping[str, RunFacts]) -> None:
    text = re.sub(r'<ul class="sources".*?</ul>', "", render_report([every_run[name]], ["zh"]), flags=re.S)
    titles = [unescape(t) for t in re.findall(r'aria-label="([^"]*)"', text)]
    told = [*_parsed(text).words, *titles]
    assert any("净现值" in word for word in told)
    left = {match for word in told for match in _LATIN.findall(word) if not _is_allowed(match)}
    assert not left


def _is_allowed(words: str) -> bool:
    """Commands that a reader types, and names of software."""
    return words.startswith(("optimize verify", "optimize explain"))


def test_both_languages_are_in_one_file_and_one_is_shown(pv: RunFacts) -> None:
    text = render_report([pv], ["zh", "en"])
    assert text.count('type="radio"') == 2 and text.count(" checked>") == 1
    assert '<article class="document zh" lang="zh-Hans">' in text
    assert '<article class="document en" lang="en">' in text


def test_names_are_written_as_they_stand(pv: RunFacts, hostile_name: str) -> None:
    text = render_report([pv], ["zh"])
    assert "<b>" not in text
    assert hostile_name in unescape(text)


@pytest.mark.parametrize("name", RUNS)
def test_every_column_of_every_table_of_a_run_has_a_heading(
    name: str, every_run: Mapping[str, RunFacts]
) -> None:
    for part in every_run[name].parts:
        for table in part.table_names:
            assert table in TABLES
            unknown = set(part.table(table).columns) - set(COLUMNS)
            assert not unknown, (table, unknown)
            for column in part.table(table).columns:
                assert (
                    Words("zh").heading(column) != Words("en").heading(column) or COLUMNS[column].en.isupper()
                )


def test_clauses_and_key_figures_are_the_summarys(pv: RunFacts) -> None:
    words = Words("en")
    chapter = chapter_of(pv, words, Studies())
    (lines,) = [lines for _, lines in chapter.clauses]
    assert [line.id for line in lines] == [clause["id"] for clause in pv.summary["clauses"]]
    assert [line.met for line in lines] == [clause["met"] for clause in pv.summary["clauses"]]
    assert chapter.key_figures[0].value == words.amount(pv.summary["objective"], "CNY")
    assert words.money(pv.figures["capex"]) in chapter.answer


def test_places_of_clauses_are_named(city: RunFacts) -> None:
    water, words = city.part("water"), Words("zh")
    assert water.instance is not None
    district = water.instance.tables["districts"].iloc[0]
    cap = {"id": "W-CAP", "where": f"district {district['district']}"}
    assert where_words(water, cap, words) == district["name_zh"]
    pilot = {"id": "W-PILOT", "where": f"suburban_district {district['district']}"}
    assert where_words(water, pilot, words) == f"郊区 {district['name_zh']}"
    assert where_words(water, {"id": "W-PILOT", "where": ""}, words) == ""


def test_a_joint_run_tells_what_planning_together_is_worth(city: RunFacts) -> None:
    text = render_report([city], ["en"])
    assert "One budget against fixed shares" in text
    assert [part.name for part in city.parts] == [p["name"] for p in city.summary["programmes"]]
    assert city.split is not None
    assert math.fsum(city.split["share_cny"]) > 0


def test_runs_stand_side_by_side(pv: RunFacts, less_pv: RunFacts) -> None:
    words = Words("en")
    section = compare_section([pv, less_pv], words)
    assert section.letters == ("A", "B") and section.heads[1] == "budgets.scale = 0.7"
    npv = next(row for row in section.tables[0].rows if row.name == words.figure_name("npv"))
    assert npv.cells == [words.amount(run.figures["npv"], "CNY") for run in (pv, less_pv)]
    assert npv.differences == [words.amount(less_pv.figures["npv"] - pv.figures["npv"], "CNY", signed=True)]
    text = render_report([pv, less_pv], ["zh", "en"])
    assert "The plans side by side" in text and "方案对比" in text


def test_without_its_instance_a_run_is_reported_without_map(
    pv: RunFacts, solved: Callable[..., Path], tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(pv.folder, alone)
    run = read_run(alone)
    moved = read_run(alone, instance=pv.instance_folder)
    assert moved.instance_folder == pv.instance_folder
    if run.instance_folder is None:
        assert "has changed since" in render_report([run], ["en"])


def test_a_report_is_written_at_once_or_not_at_all(pv: RunFacts, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.html"
    write_report([pv], path, ["en"])
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_files_of_studies_are_told_by_their_keys(tmp_path: Path) -> None:
    good, bad, none = (tmp_path / name for name in ("explain.jsonl", "other.json", "none.json"))
    good.write_text('{"id": "a", "decision": "", "approx_value": null, "loss": 1.0}\n')
    bad.write_text('{"colour": 1}\n')
    assert len(read_studies([good]).explanations) == 1
    with pytest.raises(UsageError, match=r"none\.json.*; .*other\.json.*colour"):
        read_studies([none, bad])


def test_a_plan_that_builds_nothing_is_told_as_one(pv: RunFacts, tmp_path: Path) -> None:
    assert pv.instance_folder is not None
    bare = tmp_path / "bare"
    shutil.copytree(pv.instance_folder, bare)
    sections = re.split(r"(?m)^(?=\[)", (bare / "instance.toml").read_text(encoding="utf-8"))
    kept = "".join(part for part in sections if ".clauses." not in part.split("]")[0])
    (bare / "instance.toml").write_text(kept, encoding="utf-8")
    for table in ("locks", "district_minima"):
        (bare / "pv_siting" / f"{table}.csv").unlink(missing_ok=True)
    assert (
        main(["solve", str(bare), "--goal", "cost", "--set", "budgets.scale=0", "--results", str(tmp_path)])
        == 0
    )
    (folder,) = tmp_path.glob("pv_siting/*/*")
    text = render_report([read_run(folder)], ["zh", "en"])
    assert "Build nothing" in text and "不建设" in text

"""Cells, settings and scenarios written on the page: one thing changes, all else stays as it was."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from optimize.errors import InputFaults, UsageError
from optimize.i18n.words import Words
from optimize.web import cells, scenario_table
from optimize.web.scenario_table import ScenarioRow, read_sound, rows_of, save_text, with_rows
from optimize.web.settings_table import settings_of, write_settings

FILE = """# what we ask
[scenarios.today]
en = "As it is"

[scenarios.cheap]
zh = "降价"
set = { "budgets.scale" = 0.9 }
# panels only
[[scenarios.cheap.change]]
table = "pv_siting/kinds"
scale = { capex_cny_per_kw = 0.85 }

[grids.money]
set = { "budgets.scale" = [0.9, 1.1] }
"""


@pytest.fixture
def folder(tmp_path: Path, example: Callable[[str], Path]) -> Path:
    return Path(shutil.copytree(example("pv_siting"), tmp_path / "instance"))


# --- cells ---------------------------------------------------------------------------------------------


def test_a_cell_is_written_where_its_line_says(folder: Path) -> None:
    place = cells.find_place(folder, "pv_siting.sites")
    page = cells.read_page(folder, place)
    line = page.rows[2][0]
    before = [row for number, row in page.rows if number != line]
    cells.write_cell(folder, place, line, "usable_roof_m2", 'a "quoted", value')
    assert cells.read_cell(folder, place, line, "usable_roof_m2") == 'a "quoted", value'
    assert [row for number, row in cells.read_page(folder, place).rows if number != line] == before


def test_lines_are_those_of_faults_whatever_stands_above(folder: Path) -> None:
    path = folder / "pv_siting" / "sites.csv"
    path.write_bytes(b"# a comment\n\n" + path.read_bytes())
    place = cells.find_place(folder, "pv_siting.sites")
    line = cells.read_page(folder, place).rows[0][0]
    assert line == 4
    cells.write_cell(folder, place, line, "type", "palace")
    assert path.read_text(encoding="utf-8-sig").splitlines()[line - 1].split(",")[2] == "palace"


@pytest.mark.parametrize(("line", "column"), [(1, "type"), (10_000, "type"), (3, "none"), (-1, "type")])
def test_a_cell_that_is_not_there_is_not_written(folder: Path, line: int, column: str) -> None:
    place = cells.find_place(folder, "pv_siting.sites")
    before = (folder / place.path).read_bytes()
    with pytest.raises(UsageError):
        cells.write_cell(folder, place, line, column, "x")
    assert (folder / place.path).read_bytes() == before


@pytest.mark.parametrize("value", ["two\nlines", "\x00", "x" * 3000])
def test_a_cell_holds_one_line(folder: Path, value: str) -> None:
    place = cells.find_place(folder, "pv_siting.sites")
    with pytest.raises(UsageError):
        cells.write_cell(folder, place, 3, "type", value)


@pytest.mark.parametrize("key", ["../../etc/passwd", "pv_siting/sites", "instance", ""])
def test_only_tables_of_the_schema_are_found(folder: Path, key: str) -> None:
    with pytest.raises(UsageError, match="no table"):
        cells.find_place(folder, key)


def test_a_snapshot_keeps_what_it_was_made_of(folder: Path, tmp_path: Path) -> None:
    import os

    shutil.copytree(folder, tmp_path / "snapshot", copy_function=os.link)
    place = cells.find_place(folder, "pv_siting.sites")
    line = cells.read_page(folder, place).rows[0][0]
    cells.write_cell(folder, place, line, "type", "palace")
    write_settings(folder, {"base_year": "2031"})
    assert cells.read_cell(tmp_path / "snapshot", place, line, "type") != "palace"
    assert "2031" not in (tmp_path / "snapshot" / "instance.toml").read_text(encoding="utf-8")


# --- settings ------------------------------------------------------------------------------------------


def test_a_setting_is_written_with_its_kind_and_the_file_keeps_its_comments(folder: Path) -> None:
    (folder / "instance.toml").write_text(
        "# ours\n" + (folder / "instance.toml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    target = "pv_siting.clauses.PV-50MW"
    write_settings(
        folder,
        {"base_year": "2025", f"{target}.required": "900", f"{target}.hard": "false", "budgets.scale": ""},
    )
    text = (folder / "instance.toml").read_text(encoding="utf-8")
    tree = tomllib.loads(text)
    assert text.startswith("# ours\n")
    assert tree["base_year"] == 2025
    assert tree["pv_siting"]["clauses"]["PV-50MW"]["required"] == 900.0
    assert tree["pv_siting"]["clauses"]["PV-50MW"]["hard"] is False
    assert "scale" not in tree.get("budgets", {})


def test_settings_that_are_none_are_all_told_and_nothing_is_written(folder: Path) -> None:
    before = (folder / "instance.toml").read_bytes()
    with pytest.raises(InputFaults) as told:
        write_settings(folder, {"base_year": "soon", "budgets.scale": "much", "num_years": "3"})
    assert {fault.column for fault in told.value.faults} == {"base_year", "budgets.scale"}
    assert (folder / "instance.toml").read_bytes() == before


def test_no_setting_reaches_a_file_outside_or_a_key_of_nobodys(folder: Path) -> None:
    with pytest.raises(UsageError, match="beside"):
        write_settings(folder, {"pv_siting.weather_file": "/etc/passwd"})
    write_settings(folder, {"nobody.knows": "this"})
    assert "nobody" not in (folder / "instance.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["datacenter", "water", "pv_siting", "city"])
def test_every_setting_has_words(example: Callable[[str], Path], name: str) -> None:
    for language in ("zh", "en"):
        groups = settings_of(example(name), Words(language), {})
        assert all(s.label for group in groups for s in group.settings)
        assert any(target.fields[0].value for group in groups for target in group.targets)


# --- scenarios -----------------------------------------------------------------------------------------


def test_rows_that_are_not_touched_leave_the_file_what_it_says() -> None:
    again = with_rows(FILE, rows_of(FILE))
    assert tomllib.loads(again) == tomllib.loads(FILE)
    assert "# what we ask" in again and "# panels only" in again


def test_a_renamed_row_keeps_its_changes_of_tables_and_a_removed_one_goes() -> None:
    cheap = rows_of(FILE)[1]
    rows = [
        ScenarioRow("cheaper", cheap.zh, "Cheaper", "", "budgets.scale = 0.7", (), "cheap"),
        ScenarioRow("new", base="cheaper"),
    ]
    tree = tomllib.loads(with_rows(FILE, rows))
    assert list(tree["scenarios"]) == ["cheaper", "new"]
    assert tree["scenarios"]["cheaper"]["change"] == tomllib.loads(FILE)["scenarios"]["cheap"]["change"]
    assert tree["scenarios"]["cheaper"]["set"] == {"budgets.scale": 0.7}
    assert tree["grids"] == tomllib.loads(FILE)["grids"]


def test_faults_of_rows_are_all_told() -> None:
    rows = [
        ScenarioRow("a", settings="nonsense"),
        ScenarioRow("a", settings="x = [1"),
        ScenarioRow("", zh="无名"),
    ]
    with pytest.raises(InputFaults) as told:
        with_rows("", rows)
    assert len(told.value.faults) == 4


def test_an_unsound_file_does_not_replace_a_sound_one(folder: Path) -> None:
    save_text(folder, FILE)
    for text, error in (
        ("[scenarios.a]\nbase = 'nobody'", InputFaults),
        ("a = [", UsageError),
        ("[" * 5000, UsageError),
    ):
        with pytest.raises(error):
            save_text(folder, text)
    assert scenario_table.read_text(folder) == FILE
    save_text(folder, "  ")
    assert read_sound(folder) == []


@pytest.mark.parametrize(
    "setting",
    ['{ "pv_siting.weather_file" = "/etc/passwd" }', '{ pv_siting = { weather_file = "../x" } }', '{ "pv_siting.weather_file" = ["../x"] }'],
)  # fmt: skip
def test_no_scenario_reaches_a_file_outside(folder: Path, setting: str) -> None:
    kind = "grids" if "[" in setting else "scenarios"
    with pytest.raises(UsageError, match="beside"):
        save_text(folder, f"[{kind}.a]\nset = {setting}\n")

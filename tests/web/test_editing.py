"""Cells, settings and scenarios written on the page: one thing changes, all else stays as it was."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from optimize.errors import InputFaults, UsageError
from optimize.i18n.words import Words
from optimize.web import cells, scenario_table
from optimize.web.intake import check_scenarios
from optimize.web.scenario_table import ScenarioRow, rows_of, save_text, scenarios_of, with_rows
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
    assert scenarios_of(folder) == []


_WRONG = [
    {"name": "typo", "settings": "budgets.scal = 0.8"},
    {"name": "large", "settings": "economics.discount_rate = 6", "base": "sound"},
    {"name": "sound", "settings": "budgets.scale = 0.9"},
]


def test_scenarios_that_could_not_be_solved_are_not_saved(client: TestClient, uploaded: str) -> None:
    """Found when they are saved, at their row: by a program with 422, on the page beside the settings."""
    home = f"/api/v1/instances/{uploaded}/scenarios"
    answer = client.put(home, json=_WRONG)
    assert answer.status_code == 422
    faults = {fault["column"]: fault for fault in answer.json()["faults"]}
    assert set(faults) == {"typo.set.budgets.scal", "large.set.economics.discount_rate"}
    assert faults["typo.set.budgets.scal"]["mend"] == 'did you mean "budgets.scale"?'
    assert client.get(home).json() == []

    fields: dict[str, list[str]] = {key: [] for key in ("name", "zh", "en", "base", "settings", "was")}
    for row in _WRONG:
        for key, values in fields.items():
            values.append(row.get(key, ""))
    page = f"/instances/{uploaded}/scenarios"
    token = re.search(r'name="form_token" value="(\w+)"', client.get(page).text)
    assert token is not None
    said = client.post(page, data={**fields, "form_token": token.group(1)}, headers={"accept-language": "zh"})
    assert said.status_code == 422
    rows = said.text.split("<tr>")
    assert "是否为“budgets.scale”" in rows[2] and "0–0.3" in rows[3] and "why" not in rows[4]


@pytest.mark.parametrize(
    ("change", "column", "expected"),
    [
        ('table = "pv_siting/sits"\ndrop = true', "a.change.pv_siting/sits", "a table of an instance"),
        ('table = "pv_siting/sites"\nwhere = { site = "nobody" }\ndrop = true', "a.change.pv_siting/sites site",
         "a value of pv_siting/sites.site"),
        ('table = "pv_siting/locks"\nrows = [{ id = "nobody", kind = "force_in" }]', "a.change.pv_siting/locks:", "a site"),
    ],
)  # fmt: skip
def test_what_a_scenario_changes_in_tables_is_looked_at(
    folder: Path, tmp_path: Path, change: str, column: str, expected: str
) -> None:
    file = tmp_path / scenario_table.FILE
    file.write_text(f"[scenarios.a]\n[[scenarios.a.change]]\n{change}\n")
    found = check_scenarios(folder, file)
    assert found.status == "faulty"
    assert any(f["column"].startswith(column) and f["expected"] == expected for f in found.faults)


def test_of_a_grid_all_settings_are_looked_at(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / scenario_table.FILE
    file.write_text('[grids.g]\nset = { "budgets.scale" = [0.9, -1, 1.1] }\n')
    (fault,) = check_scenarios(folder, file).faults
    assert (fault["column"], fault["found"]) == ("g.set.budgets.scale", "-1")


@pytest.mark.parametrize(
    "setting",
    ['{ "pv_siting.weather_file" = "/etc/passwd" }', '{ pv_siting = { weather_file = "../x" } }', '{ "pv_siting.weather_file" = ["../x"] }'],
)  # fmt: skip
def test_no_scenario_reaches_a_file_outside(folder: Path, setting: str) -> None:
    kind = "grids" if "[" in setting else "scenarios"
    with pytest.raises(UsageError, match="beside"):
        save_text(folder, f"[{kind}.a]\nset = {setting}\n")

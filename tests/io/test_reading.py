"""Reading instances: every kind of fault is found, named by place, and all come at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from optimize.errors import Fault, InputFaults, UsageError
from optimize.io.instance_folder import LoadedInstance, read_instance
from optimize.io.write import write_instance
from optimize.programme import Programme

Edit = Callable[[str, str, str], None]
SITES = "pv_siting/sites.csv"
TOML = "instance.toml"


def read(folder: Path, programme: Programme, **more: object) -> LoadedInstance:
    return read_instance(folder, [programme], **more)  # type: ignore[arg-type]


def faults_of(folder: Path, programme: Programme) -> list[Fault]:
    with pytest.raises(InputFaults) as caught:
        read(folder, programme)
    return list(caught.value.faults)


def test_a_good_folder_is_read_with_types_defaults_and_targets(folder: Path, programme: Programme) -> None:
    part = read(folder, programme).programmes[0]
    sites = part.data.tables["sites"]
    assert sites["roof_m2"].tolist() == [1000.0 + i for i in range(12)]
    assert sites["floors"].tolist() == [1] * 12 and sites["listed"].tolist() == [False] * 12
    assert part.data.parameters["base_year"] == 2022
    assert part.data.parameters["economics.discount_rate"] == 0.06
    assert part.data.targets["PV-50MW"].required == 40.0
    assert part.data.name_zh == "小城"
    assert not part.warnings


CASES: dict[str, tuple[str, str, str, tuple[str, int | None, str], str]] = {
    # name: (file, old, new, (table, line, column) of the fault, words in it)
    "number with thousands comma": (SITES, "1003", '"1,003"', (SITES, 5, "roof_m2"), "1003"),
    "number with decimal comma": (SITES, "1003", '"1,2e4"', (SITES, 5, "roof_m2"), "write 12000"),
    "text for a number": (SITES, "1003", "large", (SITES, 5, "roof_m2"), '"large"'),
    "number out of range": (SITES, "1003", "3", (SITES, 5, "roof_m2"), "10…200 000"),
    "negative load": (SITES, "1003,100", "1003,-100", (SITES, 5, "load_kw"), "-100"),
    "required cell empty": (SITES, "1003", "", (SITES, 5, "roof_m2"), "empty"),
    "infinite number": (SITES, "1003", "inf", (SITES, 5, "roof_m2"), "inf"),
    "unknown reference": (SITES, "S3,South", "S3,Sauth", (SITES, 5, "district"), 'did you mean "South"'),
    "wrong choice": (SITES, "S3,South,school", "S3,South,scool", (SITES, 5, "kind"), 'did you mean "school"'),
    "duplicate id": (SITES, "S3,", "S2,", (SITES, 5, "id"), "as in row 4"),
    "column missing": (SITES, "roof_m2", "note_roof", (SITES, None, "roof_m2"), "missing"),
    "column misspelt": (SITES, "load_kw", "laod_kw", (SITES, None, "laod_kw"), 'did you mean "load_kw"'),
    "unknown budget column": ("pv_siting/budgets.csv", "amount_cny", "amount", ("pv_siting/budgets.csv", None, "amount_cny"), "missing"),
    "year not whole": ("pv_siting/budgets.csv", "2022", "2022.5", ("pv_siting/budgets.csv", 2, "year"), "whole number"),
    "unknown parameter": (TOML, "num_years", "num_yaers", (TOML, None, "num_yaers"), 'did you mean "num_years"'),
    "parameter of wrong type": (TOML, "base_year = 2022", 'base_year = "soon"', (TOML, None, "base_year"), "soon"),
    "parameter out of range": (TOML, "num_years = 2", "num_years = 99", (TOML, None, "num_years"), "1…10"),
    "unknown clause": (TOML, "PV-50MW", "PV-50KW", (TOML, None, "pv_siting.clauses.PV-50KW"), "PV-50MW"),
    "target without a figure": (TOML, "required = 40.0", "hard = true", (TOML, None, "pv_siting.clauses.PV-50MW.required"), "missing"),
    "negative target": (TOML, "required = 40.0", "required = -1", (TOML, None, "pv_siting.clauses.PV-50MW.required"), "from 0"),
    "broken toml": (TOML, "[pv_siting", "[[pv_siting", (TOML, None, "(file)"), "TOML"),
    "surplus cells": (SITES, "1003,100", "1003,100,1,2,3,4,5", (SITES, None, "(file)"), "fields"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_kind_of_fault_is_named_by_its_place(
    case: str, folder: Path, programme: Programme, edit: Edit
) -> None:
    file, old, new, place, words = CASES[case]
    edit(file, old, new)
    found = faults_of(folder, programme)
    matching = [f for f in found if (f.table, f.line, f.column) == place]
    assert matching, [str(f) for f in found]
    assert words in str(matching[0])


def test_all_faults_come_at_once(folder: Path, programme: Programme, edit: Edit) -> None:
    edit(SITES, "S3,South", "S3,Sauth")
    edit(SITES, "1005", "x")
    edit(TOML, "num_years = 2", "num_years = 99")
    edit("pv_siting/budgets.csv", "2022", "1900")
    places = {(f.table, f.line, f.column) for f in faults_of(folder, programme)}
    assert places == {
        (SITES, 5, "district"),
        (SITES, 7, "roof_m2"),
        (TOML, None, "num_years"),
        ("pv_siting/budgets.csv", 2, "year"),
    }


def test_lines_are_those_of_the_file_with_comments_and_blank_lines(
    folder: Path, programme: Programme
) -> None:
    path = folder / SITES
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(["# a comment", "", lines[0], lines[1], "", "S1,West,school,1001,100"]))
    found = faults_of(folder, programme)
    assert [(f.line, f.column) for f in found] == [(6, "district")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_encodings_of_chinese_windows_are_read(folder: Path, programme: Programme, encoding: str) -> None:
    path = folder / "districts.csv"
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    names = read(folder, programme).programmes[0].data.tables["districts"]["name_zh"]
    assert names.tolist() == ["北区", "南区"]


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02\x00", b"\xff\xfe\x00x\x00"])
def test_a_file_that_is_no_table_is_one_fault(folder: Path, programme: Programme, content: bytes) -> None:
    (folder / SITES).write_bytes(content)
    found = faults_of(folder, programme)
    assert (found[0].table, found[0].column) == (SITES, "(file)")


def test_a_file_that_was_cut_off_within_a_row_is_a_fault(folder: Path, programme: Programme) -> None:
    """Short rows within a file are filled with defaults; a last one that does not even end is no row."""
    path = folder / SITES
    content = path.read_text(encoding="utf-8").rstrip("\n")
    path.write_text(content, encoding="utf-8")  # whole, but for the last line's end
    read_instance(folder, [programme])
    path.write_text(content[: content.rindex(",")], encoding="utf-8")
    with pytest.raises(InputFaults, match="a last line with as many cells as the header"):
        read_instance(folder, [programme])


def test_missing_and_unknown_tables(folder: Path, programme: Programme) -> None:
    (folder / "pv_siting/budgets.csv").rename(folder / "pv_siting/budget.csv")
    found = {(f.table, f.found) for f in faults_of(folder, programme)}
    assert found == {
        ("pv_siting/budgets.csv", "missing file"),
        ("pv_siting/budget.csv", "unknown table"),
    }


def test_a_table_with_a_header_only_has_no_rows(folder: Path, programme: Programme) -> None:
    path = folder / SITES
    path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n")
    assert [(f.column, f.found) for f in faults_of(folder, programme)] == [("(rows)", "none")]


def test_columns_in_other_units_are_converted(folder: Path, programme: Programme, edit: Edit) -> None:
    edit("pv_siting/budgets.csv", "amount_cny", "amount_wan_cny")
    edit(SITES, "load_kw", "load_mw")
    data = read(folder, programme).programmes[0].data
    assert data.tables["budgets"]["amount_cny"].tolist() == [5e10]
    assert data.tables["sites"]["load_kw"].tolist() == [1e5] * 12


def test_a_whole_column_in_the_wrong_unit_is_warned_of(
    folder: Path, programme: Programme, edit: Edit
) -> None:
    path = folder / SITES
    path.write_text(path.read_text(encoding="utf-8").replace(",100\n", ",100000\n"), encoding="utf-8")
    warnings = read(folder, programme).programmes[0].warnings
    assert [(w.column, "kW" in w.mend) for w in warnings] == [("load_kw", True)]


def test_one_cell_far_from_the_others_is_warned_of(folder: Path, programme: Programme, edit: Edit) -> None:
    edit(SITES, "1003,100", "1003,90000")
    warnings = read(folder, programme).programmes[0].warnings
    assert [(w.line, w.column) for w in warnings] == [(5, "load_kw")]
    assert "900 x the median" in warnings[0].found


def test_faults_of_the_programme_get_file_and_line(folder: Path, programme: Programme, edit: Edit) -> None:
    edit(SITES, "1003,100", "1003,9000000")
    found = faults_of(folder, programme)
    assert [(f.table, f.line, f.column) for f in found] == [(SITES, 5, "load_kw")]


def test_overrides_are_checked_like_the_file(folder: Path, programme: Programme) -> None:
    data = read(folder, programme, overrides={"budgets.scale": 0.5}).programmes[0].data
    assert data.parameters["budgets.scale"] == 0.5
    with pytest.raises(InputFaults, match=r"budgets\.scael"):
        read(folder, programme, overrides={"budgets.scael": 0.5})
    with pytest.raises(UsageError, match="not a section"):
        read(folder, programme, overrides={"base_year.x": 1})


def test_the_fingerprint_follows_content_and_overrides(
    folder: Path, programme: Programme, edit: Edit
) -> None:
    first = read(folder, programme).programmes[0].data.fingerprint
    assert read(folder, programme).programmes[0].data.fingerprint == first
    other = read(folder, programme, overrides={"budgets.scale": 0.5}).programmes[0].data.fingerprint
    edit(SITES, "1003", "1004")
    assert len({first, other, read(folder, programme).programmes[0].data.fingerprint}) == 3


def test_what_is_no_instance_is_said_so(tmp_path: Path, folder: Path, programme: Programme) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        read(tmp_path / "nowhere", programme)
    with pytest.raises(UsageError, match=r"no instance\.toml"):
        read(tmp_path, programme)
    with pytest.raises(UsageError, match="no tables for water"):
        read(folder, programme, wanted=["water"])


def test_parquet_is_read_like_csv(folder: Path, programme: Programme) -> None:
    csv = folder / SITES
    frame = pd.read_csv(csv)
    frame.to_parquet(folder / "pv_siting/sites.parquet", index=False)
    from_csv = read(folder, programme).programmes[0].data.tables["sites"]
    csv.unlink()
    from_parquet = read(folder, programme).programmes[0].data.tables["sites"]
    pd.testing.assert_frame_equal(from_csv, from_parquet)


def test_a_template_is_commented_and_reads_back(tmp_path: Path, programme: Programme) -> None:
    place = tmp_path / "template"
    write_instance(place, [(programme.schema, programme.example())], commented=True)
    text = (place / SITES).read_text(encoding="utf-8")
    assert "# sites: candidate sites" in text and "roof_m2: roof; [m2]; range 10…200000; required" in text
    assert "# real social discount rate" in (place / TOML).read_text(encoding="utf-8")
    assert read(place, programme).programmes[0].data.parameters["base_year"] == 2022


def test_writing_leaves_nothing_behind_when_it_fails(
    tmp_path: Path, folder: Path, programme: Programme, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="not empty"):
        write_instance(folder, [(programme.schema, programme.example())])

    def full_disk(*arguments: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_instance(tmp_path / "new", [(programme.schema, programme.example())])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["town"]


def test_a_table_read_before_is_nobodys_to_change(folder: Path, programme: Programme) -> None:
    """Small tables are kept as read; what one reader writes into his frame is not what the next one gets."""
    first = read(folder, programme).programmes[0].data.tables["sites"]
    before = first.copy(deep=True)
    first["roof_m2"] = 0.0
    first.loc[0, "district"] = "Nowhere"
    first.pop("floors")
    again = read(folder, programme).programmes[0].data.tables["sites"]
    pd.testing.assert_frame_equal(again, before)
    with pytest.raises(ValueError, match="read-only"):
        again["load_kw"].to_numpy()[0] = 1.0


def test_a_table_is_known_by_its_content(folder: Path, programme: Programme) -> None:
    """Not by its name, size or time: another table in its place is read as it is."""
    file = folder / SITES
    assert read(folder, programme).programmes[0].data.tables["sites"]["roof_m2"][3] == 1003.0
    stat = file.stat()
    file.write_text(file.read_text(encoding="utf-8").replace("1003", "1004"), encoding="utf-8")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert read(folder, programme).programmes[0].data.tables["sites"]["roof_m2"][3] == 1004.0

"""The ledger: appended to and never edited, with only such events as may follow."""

from __future__ import annotations

import datetime
import itertools
import multiprocessing
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize.cli import main
from optimize.errors import InputFaults
from optimize.monthly.ledger import Entry, Ledger, append_entries, read_ledger
from optimize.monthly.ledger_states import entry_faults, fold

NOW = datetime.datetime(2024, 3, 5, 8, tzinfo=datetime.UTC)
SCHOOL = ("pv_siting", "projects", "school-1")


def _entry(event: str, period: str = "2024-03", **said: object) -> Entry:
    return replace(Entry(period, "pv_siting", "school-1", event), **said)  # type: ignore[arg-type]


def _write(path: Path, *entries: Entry) -> Ledger:
    return append_entries(path, entries, entry_faults, NOW)


def _faults(ledger: Sequence[Entry], *entries: Entry) -> str:
    return "\n".join(str(f) for f in entry_faults(Ledger(tuple(ledger), ("",) * len(ledger)), entries))


def test_what_is_appended_is_read_back_and_what_stood_there_stays_bit_by_bit(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    first = _entry(
        "tendered", decision={"configuration": "roof-60", "mix": "own"}, actual_cost_cny=1.25e6 / 3
    )
    _write(path, first)
    before = path.read_bytes()
    _write(path, _entry("paid", paid_cny=1e5, source="municipal", note="=first\npart, of three"))
    assert path.read_bytes().startswith(before)
    ledger = read_ledger(path)
    assert [replace(e, line=0, recorded_at="") for e in ledger.entries] == [
        first, _entry("paid", paid_cny=1e5, source="municipal", note="'=first part, of three"),
    ]  # fmt: skip
    assert ledger.entries[1].recorded_at == "2024-03-05T08:00:00+00:00"
    assert len(set(ledger.hashes)) == 2


@pytest.mark.parametrize("damage", ["edit", "drop", "swap", "insert", "cut", "hash"])
def test_damage_of_any_kind_is_found_and_nothing_is_appended_to_it(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "ledger.csv"
    _write(path, _entry("proposed"), _entry("budgeted"), _entry("tendered", actual_cost_cny=5e5))
    heading, *rows = path.read_text(encoding="utf-8").splitlines()
    if damage == "edit":
        rows[1] = rows[1].replace("budgeted", "contracted")
    elif damage == "drop":
        del rows[1]
    elif damage == "swap":
        rows[0], rows[1] = rows[1], rows[0]
    elif damage == "insert":
        rows.insert(1, rows[0])
    elif damage == "hash":
        rows[2] = rows[2][:-1] + ("0" if rows[2][-1] != "0" else "1")
    text = "\n".join([heading, *rows]) + "\n"
    path.write_text(text[:-3] if damage == "cut" else text, encoding="utf-8")
    left = path.read_bytes()
    with pytest.raises(InputFaults):
        _write(path, _entry("contracted"))
    assert path.read_bytes() == left
    assert main(["ledger", "verify", str(path)]) == 5


def test_numbers_of_arrays_are_written_as_numbers(tmp_path: Path) -> None:
    _write(tmp_path / "ledger.csv", _entry("contracted", actual_cost_cny=np.float64(1.5e6)))
    assert read_ledger(tmp_path / "ledger.csv").entries[0].actual_cost_cny == 1.5e6


def test_rows_cut_off_at_the_end_are_found_by_a_head_that_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    head = _write(path, _entry("proposed"), _entry("budgeted")).head
    assert main(["ledger", "verify", str(path), "--head", head[:12]]) == 0
    whole = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(whole[:-1]), encoding="utf-8")
    assert main(["ledger", "verify", str(path)]) == 0  # the rest is as it was written
    assert main(["ledger", "verify", str(path), "--head", head[:12]]) == 5


def test_the_steps_of_a_project_and_what_may_not_follow() -> None:
    steps = [
        _entry(e) for e in ("idea", "proposed", "budgeted", "tendered", "contracted", "on_site", "accepted")
    ]
    assert not _faults([], *steps)
    assert "event" in _faults(steps, _entry("cancelled"))
    assert "event" in _faults(steps[:5], _entry("tendered"))
    assert not _faults(steps[:4], _entry("budgeted"))  # no bids
    assert not _faults([*steps[:5], _entry("cancelled")], _entry("proposed"))
    assert "event" in _faults([*steps[:5], _entry("cancelled")], _entry("contracted"))
    assert "event" in _faults([], _entry("contracted"), _entry("idea"))  # within one lot


def test_every_fault_of_a_lot_is_told_at_once() -> None:
    told = _faults(
        [_entry("contracted", "2024-05")],
        _entry("accepted", "2024-04"),
        replace(_entry("idea"), programme="pv"),
        _entry("proposed", project="b", decision={"year": "2025", "colour": "red"}),
        _entry("delayed"),
        _entry("paid"),
        replace(_entry("contracted"), programme="water"),
        _entry("measured", decision={"sites.roof": "3"}),
        _entry("measured", decision={"sites.annual_load_kwh": "many"}),
        _entry("measured", project="", decision={"prices.carbon_cny_per_t": "60"}),
    )
    assert len(told.splitlines()) == 11, told
    assert "did you mean" in told
    for words in ("row 2 period", "row 3 programme", "row 4 decision", "row 5 year", "row 6 paid_cny",
                  "row 7 table", "row 8 decision", "row 9 decision"):  # fmt: skip
        assert words in told


def test_what_a_ledger_amounts_to() -> None:
    entries = (
        _entry("budgeted", "2024-01", decision={"configuration": "roof-30"}, cancellation_cost_cny=2e4),
        _entry("contracted", "2024-02", actual_cost_cny=5e5, year=2024),
        _entry("paid", "2024-03", paid_cny=2e5, source="East"),
        _entry("delayed", "2024-04", year=2025),
        _entry("contracted", "2024-05", actual_cost_cny=5.5e5),
        _entry("cancelled", "2024-06", paid_cny=3e4, source="East"),
        _entry("measured", "2024-06", decision={"sites.annual_load_kwh": "4e5"}),
        _entry("measured", "2024-07", decision={"sites.annual_load_kwh": "5e5"}),
    )
    ledger = Ledger(entries, ("",) * len(entries))
    may = fold(ledger, "2024-05").projects[SCHOOL]
    assert (may.state, may.since, may.year, may.delayed, may.actual_cost_cny) == (
        "contracted",
        "2024-02",
        2025,
        True,
        5.5e5,
    )
    assert may.frozen and may.decision == {"configuration": "roof-30"}
    june = fold(ledger, "2024-06")
    assert june.projects[SCHOOL].ended and june.projects[SCHOOL].paid_cny == 2.3e5
    assert june.measured == {("pv_siting/sites.annual_load_kwh", "school-1"): "4e5"}
    again = fold(Ledger((*entries, _entry("proposed", "2024-08")), ("",) * 9)).projects[SCHOOL]
    assert (again.year, again.actual_cost_cny, again.decision, again.paid_cny) == (0, None, {}, 2.3e5)


@given(st.lists(st.sampled_from(["idea", "proposed", "budgeted", "tendered", "contracted", "on_site", "accepted",
                                 "cancelled", "failed", "delayed", "paid"]), max_size=8))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_contracted_project_ends_or_goes_on_but_never_back(events: list[str]) -> None:
    entries = [
        _entry(e, year=2025 if e == "delayed" else 0, paid_cny=1.0 if e == "paid" else None, source="East")
        for e in events
    ]
    if _faults([], *entries):
        return
    seen = [fold(Ledger(tuple(entries[:k]), ("",) * k)).projects[SCHOOL] for k in range(1, len(entries) + 1)]
    for before, after in itertools.pairwise(seen):
        if before.frozen:
            assert after.frozen or after.ended


def _add_one(path: str) -> None:
    append_entries(
        Path(path), [Entry("2024-03", "pv_siting", "x", "paid", paid_cny=1.0, source="owner")], entry_faults
    )


def test_two_who_append_at_once_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.map(_add_one, [str(path)] * 12)
    assert len(read_ledger(path).entries) == 12


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "ledger.csv")
    said = ["ledger", "add", path, "contracted", "pv_siting", "school-1", "--period", "2024-03"]
    assert main([*said, "--cost", "1.2e6", "--year", "2024"]) == 0
    assert main([*said, "--decision", "nonsense"]) == 2
    lot = tmp_path / "lot.csv"
    lot.write_text(
        "period,programme,project,event,paid_wan_cny,source\n2024-04,pv_siting,school-1,paid,30,municipal\n",
        encoding="utf-8",
    )
    assert main(["ledger", "add", path, "--from", str(lot)]) == 0
    assert read_ledger(Path(path)).entries[1].paid_cny == 3e5
    lot.write_text("period,programme,project,event\n2024-13,pv_siting,school-1,spent\n", encoding="utf-8")
    assert main(["ledger", "add", path, "--from", str(lot)]) == 2
    told = capsys.readouterr().err
    assert "2024-13" in told and "spent" in told and "nothing was written" in told
    assert main(["ledger", "show", path]) == 0
    shown = capsys.readouterr().out
    assert "pv_siting/projects/school-1  contracted  2024-03  2024  1.2 M CNY  30.00 万元" in shown
    assert main(["ledger", "show", path, "--project", "nobody"]) == 2

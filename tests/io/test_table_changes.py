"""Changes laid over tables: what they do, and what is said when they cannot be done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from optimize.errors import InputFaults
from optimize.io.instance_folder import read_instance
from optimize.io.table_changes import TableChange, changes_of
from optimize.io.write import write_instance
from optimize.pv_siting.programme import PROGRAMME
from optimize.registry import PROGRAMMES


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("changes") / "town"
    write_instance(folder, [(PROGRAMME.schema, PROGRAMME.example())])
    return folder


def _table(town: Path, name: str, *changes: TableChange) -> pd.DataFrame:
    return read_instance(town, PROGRAMMES, changes=changes).programmes[0].data.tables[name]


def _fault(town: Path, change: TableChange) -> str:
    with pytest.raises(InputFaults) as caught:
        read_instance(town, PROGRAMMES, changes=[change])
    return str(caught.value)


def test_cells_are_scaled_set_and_raised(town: Path) -> None:
    before = _table(town, "kinds")
    change = TableChange(
        "pv_siting/kinds",
        where={"kind": "rooftop"},
        scale={"capex_cny_per_kw": 0.5},
        add={"opex_cny_per_kw_a": 7.0},
        set={"life_years": 30, "emc_allowed": False},
    )
    after = _table(town, "kinds", change)
    row = before["kind"] == "rooftop"
    assert (after.loc[row, "capex_cny_per_kw"] == 0.5 * before.loc[row, "capex_cny_per_kw"]).all()
    assert (after.loc[row, "opex_cny_per_kw_a"] == before.loc[row, "opex_cny_per_kw_a"] + 7).all()
    assert (after.loc[row, "life_years"] == 30).all() and not after.loc[row, "emc_allowed"].any()
    pd.testing.assert_frame_equal(after[~row], before[~row])


def test_values_may_be_given_in_another_unit(town: Path) -> None:
    change = TableChange("pv_siting/budgets", set={"amount_wan_cny": 250})
    assert (_table(town, "budgets", change)["amount_cny"] == 2_500_000).all()


@pytest.mark.parametrize(
    ("where", "keeps"),
    [
        ({"type": "school"}, lambda t: t["type"] == "school"),
        ({"type": ["school", "hospital"]}, lambda t: t["type"].isin(["school", "hospital"])),
        ({"usable_roof_m2": {"min": 900, "max": 5000}}, lambda t: t["usable_roof_m2"].between(900, 5000)),
    ],
)
def test_rows_are_kept_or_left_out(town: Path, where: dict[str, Any], keeps: Any) -> None:
    before = _table(town, "sites")
    meant = keeps(before)
    assert 0 < meant.sum() < len(before)
    only = read_only(town, TableChange("pv_siting/sites", where=where, only=True))
    rest = read_only(town, TableChange("pv_siting/sites", where=where, drop=True))
    assert only == list(before.loc[meant, "site"])
    assert rest == list(before.loc[~meant, "site"])


def read_only(town: Path, change: TableChange) -> list[str]:
    """Sites after the change; what refers to sites that are gone is not this test's business."""
    gone = TableChange("pv_siting/locks", drop=True)
    offers = TableChange("pv_siting/offers", drop=True)
    payments = TableChange("pv_siting/offer_payments", drop=True)
    present = [c for c in (gone, offers, payments) if (town / f"{c.table}.csv").is_file()]
    return list(_table(town, "sites", change, *present)["site"])


def test_rows_are_added_and_validated_like_any_other(town: Path) -> None:
    row = {"source": "municipal", "year": 2030, "amount_cny": 5e6}
    after = _table(town, "budgets", TableChange("pv_siting/budgets", rows=[row]))
    assert after.iloc[-1]["amount_cny"] == 5e6
    assert "year" in _fault(town, TableChange("pv_siting/budgets", rows=[{**row, "year": "soon"}]))


def test_a_change_that_cannot_be_done_is_a_fault(town: Path) -> None:
    assert "did you mean" in _fault(town, TableChange("pv_siting/kinds", scale={"capex_cny_per_kW": 2.0}))
    told = _fault(
        town, TableChange("pv_siting/kinds", where={"kind": "roof top"}, scale={"capex_cny_per_kW": 2.0})
    )
    assert 'a value of pv_siting/kinds.kind, found roof top -> did you mean "rooftop"?' in told
    assert 'did you mean "capex_cny_per_kw"?' in told  # all that is wrong at once
    kind = {"kind": "rooftop", "capex_cny_per_kw": {"max": 1e9, "min": 1e8}}
    assert "≥ 1e+08 and ≤ 1e+09" in _fault(town, TableChange("pv_siting/kinds", where=kind, drop=True))
    assert "numbers" in _fault(town, TableChange("pv_siting/kinds", scale={"kind": 2.0}))
    assert "found -" in _fault(town, TableChange("pv_siting/kinds", scale={"capex_cny_per_kw": -1.0}))


def test_other_programmes_tables_leave_the_fingerprint_alone(town: Path) -> None:
    def fingerprint(*changes: TableChange) -> str:
        return read_instance(town, PROGRAMMES, changes=changes).programmes[0].data.fingerprint

    own = TableChange("pv_siting/kinds", scale={"capex_cny_per_kw": 2.0})
    assert fingerprint(TableChange("water/plants", drop=True)) == fingerprint()
    assert fingerprint(own) != fingerprint()


def test_a_record_says_all_and_nothing_else() -> None:
    change = TableChange("pv_siting/kinds", where={"kind": "bipv"}, scale={"capex_cny_per_kw": 0.9})
    assert set(change.record()) == {"table", "where", "scale"}
    assert changes_of([change.record()]) == (change,)


def test_a_change_in_words() -> None:
    change = TableChange(
        "pv_siting/sites",
        where={"type": "school", "kw": {"min": 100, "max": 500}},
        set={"locked": True},
        scale={"usable_roof_m2": 0.9},
        add={"annual_load_kwh": -50.0},
    )
    assert change.words() == (
        "pv_siting/sites (type school, kw ≥ 100 and ≤ 500): "
        "locked = true, usable_roof_m2 × 0.9, annual_load_kwh − 50"
    )
    assert TableChange("districts", drop=True).words() == "districts: left out"
    assert TableChange("districts", only=True, rows=[{"district": "North"}]).words() == (
        "districts: only these, 1 row added"
    )

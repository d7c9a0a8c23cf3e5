"""Odd but legal input is solved and checked by either way; what is no number is refused at the door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from optimize.errors import InputFaults
from optimize.io.instance_folder import read_instance
from optimize.io.validation import data_from_draft
from optimize.io.write import write_instance
from optimize.programme import SolveOptions
from optimize.pv_siting.programme import PROGRAMME
from optimize.pv_siting.schema import SCHEMA
from optimize.result import StopReason
from optimize.schema import InstanceDraft
from optimize.solve import solve

from .conftest import changed, simple_draft, with_cells


def equal_sites() -> InstanceDraft:
    """Twelve sites nobody could tell apart, money for some of them."""
    draft = simple_draft()
    school = draft.tables["sites"].iloc[[0]]
    many = pd.concat([school.assign(site=f"school-{k}") for k in range(12)], ignore_index=True)
    money = draft.tables["budgets"].assign(amount_cny=1.1e6)
    return changed(draft, tables={"sites": many, "budgets": money})


def one_option_each() -> InstanceDraft:
    draft = simple_draft()
    only = draft.tables["configurations"].iloc[[1]].reset_index(drop=True)
    return changed(draft, tables={"configurations": only}, parameters={"num_years": 1})


def scaled_money(factor: float) -> InstanceDraft:
    """Everything that is paid or earned in a currency of another size."""
    draft = simple_draft()
    tables = {}
    for name in ("kinds", "storages", "hot_water", "budgets"):
        frame = draft.tables[name]
        money = [column for column in frame.columns if "cny" in column and "per_kwh" not in column]
        tables[name] = frame.assign(**{column: frame[column] * factor for column in money})
    return changed(draft, tables=tables)


def without(*tables: str) -> InstanceDraft:
    draft = simple_draft()
    return changed(draft, tables={name: draft.tables[name].iloc[:0] for name in tables})


def unconnected() -> InstanceDraft:
    return with_cells(without("feeders", "substations"), "sites", feeder="")


CASES: dict[str, Callable[[], InstanceDraft]] = {
    "no money": lambda: with_cells(simple_draft(), "budgets", amount_cny=0.0),
    "money for nothing": lambda: with_cells(simple_draft(), "budgets", amount_cny=1e-9),
    "no budget row of one source": lambda: changed(
        simple_draft(), tables={"budgets": simple_draft().tables["budgets"].iloc[:2]}
    ),
    "one option each": one_option_each,
    "a site where nothing fits": lambda: with_cells(simple_draft(), "sites", usable_roof_m2=[0.0, 800.0, 1500.0]),
    "nothing fits anywhere": lambda: with_cells(
        simple_draft(), "sites", usable_roof_m2=0.0, parking_m2=0.0, hot_water_kwh_per_a=0.0
    ),
    "sites all alike": equal_sites,
    "no room on any feeder": lambda: with_cells(simple_draft(), "feeders", hosting_capacity_kw=0.0),
    "no feeders at all": unconnected,
    "no configurations": lambda: without("configurations"),
    "no load": lambda: with_cells(simple_draft(), "sites", annual_load_kwh=0.0),
    "next to no load": lambda: with_cells(simple_draft(), "sites", annual_load_kwh=1e-9),
    "money times a million": lambda: scaled_money(1e6),
    "money by a million": lambda: scaled_money(1e-6),
    "budgets without end": lambda: with_cells(simple_draft(), "budgets", amount_cny=1e15),
    "a target of nothing": lambda: changed(simple_draft(), targets={"PV-50MW": {"required": 0.0}}),
    "a soft target beyond reach": lambda: changed(
        simple_draft(), targets={"PV-50MW": {"required": 1e12, "hard": False, "penalty_cny_per_unit": 1e-9}}
    ),
    "a dear soft target": lambda: changed(
        simple_draft(), targets={"PV-50MW": {"required": 1e5, "hard": False, "penalty_cny_per_unit": 1e9}}
    ),
    "a target beyond reach": lambda: changed(simple_draft(), targets={"PV-50MW": {"required": 1e9}}),
}  # fmt: skip
INFEASIBLE = {"a target beyond reach"}


@pytest.mark.parametrize("case", CASES)
def test_odd_input_is_solved_and_checked(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_from_draft(SCHEMA, CASES[case]())
    objectives = []
    for engine, core_from in (("formulation", 8_000), ("fast", 8_000), ("fast", 0)):
        monkeypatch.setattr("optimize.engine.goals._CORE_FROM", core_from)
        solved = solve(PROGRAMME, data, SolveOptions(gap=1e-6, time_limit_s=20.0, engine=engine))  # type: ignore[arg-type]
        result = solved.result
        if case in INFEASIBLE:
            assert result.stop is StopReason.INFEASIBLE and result.relaxations
            continue
        assert solved.check is not None and solved.check.passed, solved.check
        assert result.objective is not None and result.bound is not None
        objectives.append(result.objective)
    assert objectives == pytest.approx(objectives[:1] * len(objectives), rel=2e-6, abs=1e-3)


def write(folder: Path, draft: InstanceDraft) -> Path:
    write_instance(folder, [(SCHEMA, draft)])
    return folder


@pytest.mark.parametrize("cell", ["nan", "NaN", "inf", "-inf", "1e400", ""])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_is_no_number_is_refused(cell: str, ending: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "town", simple_draft())
    path = folder / "pv_siting" / "sites.csv"
    frame = pd.read_csv(path, dtype=str)
    if ending == "csv":
        frame.assign(annual_load_kwh=[cell, "1", "1"]).to_csv(path, index=False)
    else:
        path.unlink()
        number = np.nan if cell == "" else float(cell)
        typed = pd.read_csv(write(tmp_path / "other", simple_draft()) / "pv_siting" / "sites.csv")
        typed.assign(annual_load_kwh=[number, 1.0, 1.0]).to_parquet(path.with_suffix(".parquet"))
    with pytest.raises(InputFaults) as caught:
        read_instance(folder, [PROGRAMME])
    assert [fault.column for fault in caught.value.faults] == ["annual_load_kwh"]


def test_a_damaged_parquet_column_is_a_fault(tmp_path: Path) -> None:
    folder = write(tmp_path / "town", simple_draft())
    path = folder / "pv_siting" / "sites.csv"
    parquet = path.with_suffix(".parquet")
    pd.read_csv(path).to_parquet(parquet)
    path.unlink()
    content = bytearray(parquet.read_bytes())
    content[4:400] = b"\x00" * 396  # pages of the first columns; the footer that names them stays
    parquet.write_bytes(content)
    with pytest.raises(InputFaults) as caught:
        read_instance(folder, [PROGRAMME])
    assert any(fault.expected == "a Parquet column" for fault in caught.value.faults)


def test_only_declared_parquet_columns_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "town", simple_draft())
    path = folder / "pv_siting" / "sites.csv"
    pd.read_csv(path).assign(note_internal="kept for ourselves").to_parquet(path.with_suffix(".parquet"))
    path.unlink()
    asked: list[str] = []
    plain = pq.read_table
    monkeypatch.setattr(
        "optimize.io.tables.pq.read_table",
        lambda path, columns: asked.extend(columns) or plain(path, columns=columns),
    )
    read_instance(folder, [PROGRAMME])
    assert "site" in asked and "note_internal" not in asked

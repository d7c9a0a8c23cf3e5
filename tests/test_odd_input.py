"""Odd but legal tables, and illegal ones, on the command line: solved, explained or refused, never an internal error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from optimize.cli import main

CANDIDATES = {"datacenter": "centres", "pv_siting": "sites"}
LOAD = {"datacenter": "it_load_kw", "pv_siting": "annual_load_kwh"}


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("templates")
    for name in CANDIDATES:
        assert main(["template", name, str(home / name)]) == 0
    return {name: home / name for name in CANDIDATES}


@pytest.fixture(params=CANDIDATES)
def town(request: pytest.FixtureRequest, templates: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a template that a test may spoil; its tables lie in the folder of its programme's name."""
    return Path(shutil.copytree(templates[request.param], tmp_path / request.param))


def edit(town: Path, table: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = town / town.name / f"{table}.csv"
    change(pd.read_csv(path, comment="#", dtype=str)).to_csv(path, index=False)


def solve(town: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON answer ({} where there is none), and what was said beside it."""
    capsys.readouterr()
    code = main(
        ["solve", str(town), "--json", "--time-limit", "20", "--results", str(town / "results"), *more]
    )
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines() if line.startswith("{")]
    return code, lines[-1] if lines else {}, said.out + said.err


def no_money(town: Path) -> None:
    edit(town, "budgets", lambda frame: frame.assign(amount_cny="0"))


def money_without_end(town: Path) -> None:
    edit(town, "budgets", lambda frame: frame.assign(amount_cny="1e15"))


def one_candidate(town: Path) -> None:
    for table in ("locks", "hosts", "host_capacity", "offers", "offer_payments", "district_minima"):
        if (town / town.name / f"{table}.csv").exists():
            edit(town, table, lambda frame: frame.iloc[:0])
    edit(town, CANDIDATES[town.name], lambda frame: frame.iloc[:1])


@pytest.mark.parametrize("spoil", [no_money, money_without_end, one_candidate])
def test_odd_tables_are_solved_or_explained(
    town: Path, spoil: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(town)
    code, answer, said = solve(town, capsys)
    assert code in (0, 3), said
    if code == 0:
        assert answer["checked"] is True and answer["status"] == "solved"
    else:
        assert answer["status"] == "infeasible"


@pytest.mark.parametrize("cell", ["nan", "1e400"])
def test_what_is_no_number_is_refused(town: Path, cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    column = LOAD[town.name]
    edit(town, CANDIDATES[town.name], lambda frame: frame.assign(**{column: [cell, *frame[column][1:]]}))
    code, _, said = solve(town, capsys)
    assert code == 2
    assert column in said and CANDIDATES[town.name] in said
    assert not (town / "results").exists()


def test_no_candidates_at_all_is_refused(town: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(town, CANDIDATES[town.name], lambda frame: frame.iloc[:0])
    code, answer, said = solve(town, capsys)
    assert code == 2
    assert answer["faults"][0]["table"].endswith(f"{CANDIDATES[town.name]}.csv"), said
    assert answer["faults"][0]["expected"] == "at least one row"

"""``optimize hydraulics`` on runs of a town whose plant lies far out: what it tells, stores, and refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from optimize.errors import UsageError
from optimize.io.run_store import altered_files, read_manifest
from optimize.io.write import write_instance
from optimize.registry import PROGRAMMES
from optimize.studies.hydraulics import study_hydraulics
from optimize.studies.stored_runs import read_run
from optimize.water.hydraulics.assumptions import Standards
from optimize.water.schema import SCHEMA
from tests.water.conftest import Town, make_town

Command = Callable[..., tuple[int, str, str]]
_DIAMETERS = (
    ("DN80", 250.0, 300.0),
    ("DN100", 1000.0, 500.0),
    ("DN150", 2000.0, 700.0),
    ("DN200", 4000.0, 1000.0),
)


def _town(metres: float) -> Town:
    town = make_town()
    town.price(30.0)
    town.rows["corridors"]["PJ"]["length_m"] = metres
    town.rows["pipes"] = {
        name: {"diameter": name, "capacity_m3_per_d": capacity, "capex_cny_per_m": capex}
        for name, capacity, capex in _DIAMETERS
    }
    return town


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory, solve: Callable[..., Path]) -> Callable[..., Path]:
    """The run of a town, and its results beside it."""

    def call(town: Town) -> Path:
        home = tmp_path_factory.mktemp("town")
        write_instance(home / "town", [(SCHEMA, town.draft())])
        return solve(home / "town", home / "results", "--gap", "1e-6")

    return call


@pytest.fixture(scope="module")
def far(solved: Callable[..., Path]) -> Path:
    """Its main of 12 km is too narrow for the peak hour."""
    return solved(_town(12_000.0))


def _asked(command: Command, run: Path, *more: object) -> tuple[int, dict[str, Any]]:
    code, out, err = command("hydraulics", run, "--results", run.parents[2], "--json", *more)
    assert out, err
    return code, json.loads(out)


def test_a_repaired_plan_is_a_run_of_its_own_that_verifies_and_is_sound(
    far: Path, command: Command, tmp_path: Path
) -> None:
    code, told = _asked(command, far, "--inp", tmp_path / "plan.inp", "--csv", tmp_path)
    assert (code, told["hydraulics"]) == (0, "repaired")
    assert told["violations"] and not told["repaired"]["violations_left"]
    (pipe,) = told["repaired"]["pipes"]
    assert (pipe["corridor"], pipe["before"], pipe["after"]) == ("PJ", "DN100", "DN150")
    assert told["repaired"]["extra_capex_cny"] == pytest.approx(12_000 * 200.0)
    assert told["repaired"]["npv_lost_cny"] > 0
    stored = Path(told["stored"])
    assert stored != far and not altered_files(far, read_manifest(far))
    code, out, _ = command("verify", stored)
    assert code == 0 and "certified by multipliers" in out
    assert (stored / "plan.inp").read_text() == (tmp_path / "plan.inp").read_text()
    assert json.loads((stored / "hydraulics.json").read_text(encoding="utf-8"))["repaired"]["pipes"] == [pipe]
    tables = {path.stem for path in tmp_path.glob("*.csv")}
    assert {
        "violations",
        "hydraulic_pipes",
        "pressures",
        "pumps",
        "larger_pipes",
        "pumping_stations",
    } <= tables
    pipes = pd.read_csv(tmp_path / "hydraulic_pipes.csv").set_index("corridor")
    assert pipes.loc["PJ", "inner_diameter_mm"] == 150.0

    code, again = _asked(command, stored)
    assert (code, again["hydraulics"], again["stored"]) == (0, "clean", None)
    code, _, err = command("reproduce", stored)
    assert code == 2 and "repaired" in err


def test_stations_of_a_repaired_plan_are_there_when_it_is_looked_at_again(
    solved: Callable[..., Path], command: Command
) -> None:
    town = _town(3_000.0)
    for corridor, metres in (("JA", 9_000.0), ("AB", 60_000.0)):
        town.rows["corridors"][corridor]["length_m"] = metres
    run = solved(town)
    cheap = ("--station-cny", "1e4", "--station-cny-per-kw", "100")
    code, told = _asked(command, run, *cheap)
    assert code == 0 and told["repaired"]["stations"]
    assert told["repaired"]["capex_cny"] > told["capex_cny"]
    code, again = _asked(command, Path(told["stored"]), *cheap)
    assert (code, again["hydraulics"]) == (0, "clean")
    assert again["capex_cny"] == pytest.approx(told["repaired"]["capex_cny"], rel=1e-6)


def test_what_is_no_longer_within_its_budget_is_said_and_not_stored(
    far: Path, solved: Callable[..., Path], command: Command
) -> None:
    spent = json.loads((far / "summary.json").read_text(encoding="utf-8"))["money"][0]["spent_cny"]
    town = _town(12_000.0)
    town.rows["budgets"] = {"m22": {"source": "municipal", "year": 2022, "amount_cny": spent * 1.05}}
    tight = solved(town)
    code, out, _ = command("hydraulics", tight, "--results", tight.parents[2])
    assert code == 5 and "budget of municipal 2022" in out
    assert [place.name for place in tight.parent.iterdir()] == ["0001"]


def test_what_nothing_repairs_is_left_and_told(far: Path, command: Command) -> None:
    code, told = _asked(command, far, "--max-velocity", 0.1)
    assert (code, told["hydraulics"], told["stored"]) == (4, "violations left", None)
    assert told["repaired"]["violations_left"]


def test_without_repair_it_only_says_what_is_broken(far: Path, command: Command) -> None:
    runs = sorted(far.parent.iterdir())
    code, out, _ = command("hydraulics", far, "--no-repair", "--results", far.parents[2])
    assert code == 5 and "below the pressure needed" in out
    assert sorted(far.parent.iterdir()) == runs


def test_every_stage_is_looked_at(solved: Callable[..., Path], command: Command) -> None:
    town = _town(12_000.0)
    town.parameters["water.phased"] = True
    code, told = _asked(command, solved(town))
    assert (code, told["hydraulics"]) == (0, "repaired")
    assert {row["year"] for row in told["violations"]} == {2022, 2023}


def test_wrong_calls_are_refused(far: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("hydraulics", far, "--peak-hour", 0.5)[0] == 2
    assert command("hydraulics", far.parent)[0] == 2
    code, _, err = command("hydraulics", far, "--inp", far.parent / "nowhere" / "plan.inp", "--no-repair")
    assert code == 2 and "cannot be written" in err
    monkeypatch.setitem(sys.modules, "wntr", None)
    code, _, err = command("hydraulics", far)
    assert code == 2 and "wntr" in err and "pip install" in err


def test_only_reclaimed_water_has_pipes(far: Path) -> None:
    run = read_run(far, PROGRAMMES)
    other = next(programme for programme in PROGRAMMES if programme.name != "water")
    with pytest.raises(UsageError, match="only reclaimed water"):
        study_hydraulics(replace(run, programme=other), PROGRAMMES, Standards())


def test_as_a_process(far: Path, process: Any) -> None:
    done = process("hydraulics", far, "--json", "--no-repair")
    assert done.returncode == 5 and not done.stderr
    assert json.loads(done.stdout)["programme"] == "water"

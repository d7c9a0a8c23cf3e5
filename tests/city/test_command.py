"""``optimize solve --joint`` as typed: what is seen, stored, shown and verified."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optimize.cli import main
from optimize.io.run_store import MANIFEST, SUMMARY, file_digest, seal_of

Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*words: object) -> tuple[int, str]:
        code = main([str(word) for word in words])
        found = capsys.readouterr()
        return code, found.out + found.err

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("joint") / "town"
    assert main(["template", "city", str(place)]) == 0
    return place


@pytest.fixture(scope="module")
def answer(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The JSON line of one solve, and where its run lies."""
    results = tmp_path_factory.mktemp("results")
    words = ["solve", str(folder), "--joint", "--json", "--gap", "1e-6", "--results", str(results)]
    with pytest.MonkeyPatch.context() as patched:
        printed: list[str] = []
        patched.setattr("builtins.print", lambda *text, **_: printed.append(" ".join(map(str, text))))
        assert main(words) == 0
    line = json.loads(printed[-1])
    return line, Path(line["run"])


def test_the_answer_holds_the_split_today_s_shares_and_the_price(answer: tuple[dict[str, Any], Path]) -> None:
    line, run = answer
    assert line["programme"] == "city" and line["checked"] is True and line["gap"] <= 1e-6
    price = line["price_of_silos"]
    assert price["found"] == pytest.approx(line["objective"] - line["silos"]["objective"])
    assert 0.0 <= price["at_least"] <= price["found"] * (1 + 1e-6) <= price["at_most"] * (1 + 2e-6)
    pool: dict[tuple[str, int], float] = {}
    for row in line["split"]:
        pool[row["source"], row["year"]] = pool.get((row["source"], row["year"]), 0.0) + row["share_cny"]
        assert row["share_cny"] >= 0.0
    assert all(
        pool[row["source"], row["year"]] <= row["pool_cny"] * (1 + 1e-9) + 1e-6 for row in line["split"]
    )
    names = {path.name for path in run.iterdir()}
    assert {
        "split.csv",
        "datacenter.projects.csv",
        "water.pipes.csv",
        "silos.pv_siting.projects.csv",
    } <= names


def test_a_stored_joint_plan_is_shown_and_verified(answer: tuple[dict[str, Any], Path], call: Call) -> None:
    _, run = answer
    code, text = call("show", run)
    assert code == 0
    for word in ("on today's fixed shares", "planning together is worth", "left in the pool", "CITY-ENERGY"):
        assert word in text
    code, text = call("verify", run, "--json")
    verdict = json.loads(text)
    assert code == 0 and verdict["status"] == "verified" and verdict["programme"] == "city"
    assert verdict["bound_certified"] >= verdict["objective"]


def test_what_the_summary_invents_is_found(
    answer: tuple[dict[str, Any], Path], call: Call, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(answer[1], tmp_path / "run"))
    summary = json.loads((run / SUMMARY).read_text(encoding="utf-8"))
    summary["silos"].update(objective=1.0)
    summary["price_of_silos"].update(found=7.0)
    summary["split"][0].update(share_cny=-1.0)
    summary["parts"]["pv_siting"]["money"][0].update(spent_cny=-2.0)
    summary["silos"]["parts"]["datacenter"]["figures"].update(co2=-3.0)
    (run / SUMMARY).write_text(json.dumps(summary), encoding="utf-8")
    manifest = json.loads((run / MANIFEST).read_text(encoding="utf-8"))
    del manifest["seal"]
    manifest["files"][SUMMARY] = file_digest(run / SUMMARY)
    (run / MANIFEST).write_text(json.dumps(manifest | {"seal": seal_of(manifest)}), encoding="utf-8")
    code, text = call("verify", run)
    assert code == 5
    for told in ("silos' objective is 1.0", "the price of silos is 7.0", "share_cny is -1.0",
                 "money municipal 2024 is -2.0", "plan on today's shares: datacenter figure co2 is -3.0"):  # fmt: skip
        assert told in text


def test_wrong_calls_say_what_to_type(folder: Path, call: Call) -> None:
    code, text = call("solve", folder, "--joint", "--engine", "fast")
    assert code == 2 and "leave --engine out" in text
    code, text = call("solve", folder, "--joint", "--goal", "volume")
    assert code == 2 and "share the goals npv, cost, co2" in text
    code, text = call("check", folder, "--set", "city.clauses.CITY-ENERGY.required=-1")
    assert code == 2 and "city.clauses.CITY-ENERGY.required" in text


def test_a_target_beyond_all_programmes_is_told_with_the_way_out(
    folder: Path, call: Call, tmp_path: Path
) -> None:
    code, text = call(
        "solve", folder, "--joint", "--set", "city.clauses.CITY-ENERGY.required=1000", "--results", tmp_path,
        "--programme", "datacenter", "--programme", "pv_siting", "--time-limit", 10,
    )  # fmt: skip
    assert code == 3 and "CITY-ENERGY" in text and "instead of 1 000 tce/a" in text.replace(",", " ")
    assert not list(tmp_path.iterdir())

"""Races as processes: who agrees, who is killed, who is not there."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from optimize.bench import race
from optimize.bench.child import Task
from optimize.bench.contenders import Contender, find_contenders
from optimize.cli import main
from optimize.errors import ExitCode

TASK = Task("", "pv_siting", "nowhere", "npv", gap=1e-4, time_limit_s=0.1, threads=1, seed=1)
RUNNING = """
import json, sys, time
for line in (
    {"event": "ready", "fingerprint": "f", "start_mb": 1.0},
    {"event": "built", "seconds": 0.1},
    {"event": "point", "seconds": 0.2, "cpu_s": 0.1, "plan": None, "bound": 101.0},
    {"event": "point", "seconds": 0.4, "cpu_s": 0.2, "plan": 100.0, "bound": 101.0},
):
    print(json.dumps(line), flush=True)
"""
FOREVER = RUNNING + "time.sleep(60)"


def run_scripts(monkeypatch: pytest.MonkeyPatch, scripts: dict[str, str]) -> race.Race:
    """A race in which each contender is the script under its name."""
    monkeypatch.setattr(race, "_command", lambda task: [sys.executable, "-c", scripts[task.contender]])
    contenders = [Contender(name, None, (), "sys") for name in scripts]  # type: ignore[arg-type]
    return race.run_race(contenders, TASK, maximise=True, tell=lambda entry: None)


def ended(
    plan: float | None, bound: float | None, objective: float, passed: bool = True, stop: str = "optimal"
) -> str:
    """A script that claims ``plan`` and ``bound`` after one second and is verified at ``objective``."""
    lines = [
        {"event": "ready", "fingerprint": "f", "start_mb": 1.0},
        {"event": "ended", "seconds": 1.0, "stop": stop, "plan": plan, "bound": bound, "cpu_s": 0.9, "peak_mb": 2.0, "engine": ""},
    ]  # fmt: skip
    if plan is not None:
        note = "" if passed else "broken"
        lines.append({"event": "verified", "passed": passed, "objective": objective, "note": note})
    return "\n".join(f"print({json.dumps(line)!r})" for line in lines)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A race over the data-centre template, each contender as a process."""
    case = tmp_path_factory.mktemp("race") / "case"
    printed = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["template", "datacenter", str(case)]) == 0
    with contextlib.redirect_stdout(printed):
        code = main(
            ["bench", "datacenter", "--instance", str(case), "--gap", "0", "--time-limit", "20", "--json",
             "--against", "highs,pyomo-highs,scip,cp-sat"]
        )  # fmt: skip
    assert code == 0, printed.getvalue()
    return dict(json.loads(printed.getvalue()))


def test_all_end_with_the_same_proven_and_verified_optimum(played: dict[str, Any]) -> None:
    rows = played["contenders"]
    assert [row["contender"] for row in rows] == ["optimize", "highs", "pyomo-highs", "scip", "cp-sat"]
    assert played["contradictions"] == []
    plans = [row["plan"] for row in rows]
    assert plans == pytest.approx([plans[0]] * len(rows), rel=1e-6)
    for row in rows:
        assert row["checked"] is True, row
        assert row["gap"] <= 1e-6, row


def test_the_object_has_the_promised_shape(played: dict[str, Any]) -> None:
    for row in played["contenders"]:
        assert set(row) >= {
            "contender",
            "time_to",
            "cpu_time_to",
            "gap",
            "first_plan_s",
            "build_s",
            "peak_mb",
        }
        assert list(row["time_to"]) == ["0.01", "0.001", "0.0001"]
        times = [row["first_plan_s"], *row["time_to"].values(), row["seconds"]]
        assert all(0 < earlier <= later for earlier, later in itertools.pairwise(times)), row
        assert 0 < row["build_s"] < row["seconds"]
        assert 0 < row["cpu_s"] < 4 * row["seconds"]
        assert 50 < row["start_mb"] <= row["peak_mb"] < 4_000
        assert row["versions"]


def test_a_contender_that_overruns_is_killed_and_keeps_what_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "GRACE_S", 0.2)
    (entry,) = run_scripts(monkeypatch, {"slow": FOREVER}).entries
    assert entry.status == "killed" and "still running" in entry.note
    assert entry.marks.time_to == {0.01: 0.4, 0.001: None, 0.0001: None}
    assert entry.cpu_marks.time_to == {0.01: 0.2, 0.001: None, 0.0001: None}
    assert (entry.plan, entry.bound, entry.checked, entry.build_s) == (100.0, 101.0, None, 0.1)
    assert entry.peak_mb is not None and entry.peak_mb > 1


def test_a_contender_that_dies_is_a_row_and_the_race_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    dying = RUNNING + "sys.exit('no licence')"
    played = run_scripts(monkeypatch, {"dying": dying, "sound": ended(100.0, 100.0, 100.0)})
    assert [entry.status for entry in played.entries] == ["failed", "optimal"]
    assert "no licence" in played.entries[0].note
    assert played.entries[0].plan == 100.0


def test_interruption_ends_the_child_and_keeps_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    told = threading.Event()
    noted = race._note

    def note(entry: race.Entry, event: str, said: Any) -> None:
        noted(entry, event, said)
        if event == "point":
            told.set()

    monkeypatch.setattr(race, "_note", note)
    monkeypatch.setattr(race, "GRACE_S", 30.0)
    threading.Thread(target=lambda: told.wait(20) and os.kill(os.getpid(), signal.SIGTERM)).start()
    played = run_scripts(monkeypatch, {"slow": FOREVER, "next": FOREVER})
    assert played.interrupted
    assert [entry.status for entry in played.entries] == ["interrupted", "not run"]
    assert played.entries[0].bound == 101.0


def test_a_plan_that_does_not_hold_wins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = {"sound": ended(100.0, 100.0, 100.0), "cheat": ended(120.0, 120.0, 120.0, passed=False)}
    played = run_scripts(monkeypatch, scripts)
    cheat = played.entries[1]
    assert (cheat.status, cheat.plan, cheat.marks.first_plan_s) == ("wrong plan", None, None)
    assert played.contradictions == () and played.exit_code is ExitCode.SOLVED


def test_a_refuted_bound_is_said_and_ends_with_code_5(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = {"sound": ended(100.0, 100.0, 100.0), "hasty": ended(90.0, 90.0, 90.0)}
    played = run_scripts(monkeypatch, scripts)
    assert [one.contender for one in played.contradictions] == ["hasty"]
    assert played.exit_code is ExitCode.FAILED_CHECK
    hasty = played.entries[1]
    assert hasty.status == "wrong bound" and hasty.marks.time_to[0.01] is None


def test_infeasible_is_refuted_by_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    denying = ended(None, None, 0.0, stop="infeasible")
    played = run_scripts(monkeypatch, {"denying": denying, "sound": ended(100.0, 100.0, 100.0)})
    assert [str(one) for one in played.contradictions] == [
        "denying calls the instance infeasible; better verified plans: sound 100"
    ]
    assert played.exit_code is ExitCode.FAILED_CHECK


def test_a_peer_that_is_not_installed_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Contender, "is_installed", property(lambda self: False))
    (entry,) = race.run_race(find_contenders("linopy")[1:], TASK, True, lambda entry: None).entries
    assert entry.status == "not installed" and "[bench]" in entry.note
    assert entry.marks.gap is None and entry.plan is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["pv_siting", "--size", "2k", "--against", "gurobi"], "cp-sat"),
        (["pv_siting", "--size", "huge"], "10k"),
        (["pv_siting", "--size", "2k", "--goal", "fame"], "capacity"),
        (["water", "--size", "s", "--family", "none"], "sparse"),
        (["pv_siting", "--instance", "nowhere"], "nowhere"),
        (["water", "--size", "s", "--without", "luck"], "near_model"),
        (["pv_siting", "--size", "2k", "--without", "all"], "no ingredients"),
    ],
)
def test_a_wrong_call_ends_with_code_2_and_what_is_known(
    arguments: list[str], named: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["bench", *arguments]) == 2
    assert named in capfd.readouterr().err

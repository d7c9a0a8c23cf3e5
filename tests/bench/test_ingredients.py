"""The product against itself with ingredients left out, and several seeds taken together."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from optimize.bench import race
from optimize.bench.child import Task, run_task
from optimize.bench.contenders import PRODUCT
from optimize.bench.ingredients import product_without, share_of, shares_record
from optimize.bench.race import Entry, Race
from optimize.bench.report import share_lines, standing_lines
from optimize.bench.seeds import standings
from optimize.cli import main
from optimize.errors import UsageError
from optimize.io.write import write_instance
from optimize.registry import find_programme
from optimize.result import TracePoint
from optimize.water import fast
from tests.bench.test_race import ended, run_scripts
from tests.water.conftest import make_town

WATER = find_programme("water")
NPV = WATER.goal("npv")


def entry(
    name: str, plan: float | None, bound: float | None, gross: float = 400e6, **keys: Any
) -> Entry:  # fmt: skip
    points = [TracePoint(1.0, plan, bound)]
    return Entry(
        name,
        plan=plan,
        bound=bound,
        points=points,
        gross=gross if plan else None,
        cpu_at_s=[1.0],
        **{"checked": plan is not None, **keys},
    )


def whole_and_without(plan: float | None, bound: float | None) -> Race:
    """The whole ends at 100 M and 120 M, 400 M before costs."""
    left_out = entry("without trim", plan, bound, without=("trim",))
    return Race((entry("optimize", 100e6, 120e6), left_out), (), False)


def test_the_whole_runs_first_then_each_left_out_by_itself() -> None:
    every = product_without("all", WATER)
    assert [one.without for one in every] == [(), *((name,) for name in WATER.ingredients)]
    some = product_without("trim, seasons+search, trim", WATER)
    assert [one.title for one in some] == ["optimize", "without trim", "without seasons + search"]
    assert {one.name for one in some} == {"optimize"}


@pytest.mark.parametrize("names", ["", ",", "trim,luck", "trim+", "all,trim"])
def test_what_is_no_ingredient_is_answered_with_those_known(names: str) -> None:
    with pytest.raises(UsageError, match=r"known are all, .*near_model, trim"):
        product_without(names, WATER)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_gap_without_is_closed_by_plan_and_by_bound(sign: float) -> None:
    whole, left_out = (
        entry("whole", sign * 100.0, sign * 120.0),
        entry("without", sign * 90.0, sign * 130.0),
    )
    share = share_of(whole, left_out, maximise=sign > 0)
    assert share is not None
    assert (share.by_plan, share.by_bound, share.closed) == pytest.approx((0.25, 0.25, 0.5))


@pytest.mark.parametrize(("plan", "bound"), [(None, 130e6), (90e6, None), (100e6, 100e6)])
def test_where_no_gap_is_known_or_left_nothing_is_said_to_be_closed(
    plan: float | None, bound: float | None
) -> None:
    played = whole_and_without(plan, bound)
    assert share_of(*played.entries, maximise=True) is None
    (record,) = shares_record(played, maximise=True)
    assert record["closes"] is None and record["without"] == ["trim"]
    assert "without trim" in "\n".join(share_lines(played, NPV, WATER.ingredients))


def test_a_run_that_was_stopped_before_its_plan_was_checked_closes_nothing() -> None:
    whole, left_out = whole_and_without(90e6, 130e6).entries
    assert share_of(whole, left_out, maximise=True) is not None
    assert share_of(whole, dataclasses.replace(left_out, checked=None), maximise=True) is None


def test_a_refuted_bound_closes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    played = run_scripts(
        monkeypatch, {"whole": ended(90.0, 95.0, 90.0), "without": ended(100.0, 120.0, 100.0)}
    )
    assert [one.status for one in played.entries] == ["wrong bound", "optimal"]
    assert share_of(*played.entries, maximise=True) is None


def test_the_table_says_change_gaps_and_shares() -> None:
    lines = share_lines(whole_and_without(90e6, 130e6), NPV, WATER.ingredients)
    titles, whole, left_out = (re.split(r"\s{2,}", line.strip()) for line in lines[:3])
    assert titles[2:11] == [
        "plan", "change", "bound", "change", "gap", "of gross", "closes", "by plan", "by bound",
    ]  # fmt: skip
    assert whole[2:11] == ["100.0 M CNY", "–", "120.0 M CNY", "–", "20.0 %", "5.000 %", "–", "–", "–"]
    assert left_out[2:11] == [
        "90.0 M CNY", "-10.00 %", "130.0 M CNY", "+8.33 %", "44.4 %", "10.0 %", "+50.00 %", "+25.00 %", "+25.00 %",
    ]  # fmt: skip
    assert any(WATER.ingredients["trim"] in line for line in lines[3:])


def test_seeds_are_taken_together_and_what_one_lacks_is_no_mean() -> None:
    races = [whole_and_without(90e6, 130e6), whole_and_without(95e6, 120e6)]
    whole, left_out = standings(races, True, one_instance=True)
    assert whole.gaps == (0.2, 0.2) and whole.mean_gap_of_gross == pytest.approx(0.05)
    assert whole.closes is None and whole.plans_apart == 0.0
    assert left_out.closes == pytest.approx((0.5 + 0.2) / 2)
    assert left_out.plans_apart == pytest.approx(5 / 95)
    lines = standing_lines([whole, left_out], [1, 2], NPV)
    assert "gap, seed 2" in lines[0] and "closes" in lines[0] and "plans apart" in lines[0]
    assert "+35.00 %" in lines[2]
    lacking = standings([*races, whole_and_without(None, 130e6)], True, one_instance=False)[1]
    assert lacking.mean_gap is None and lacking.closes is None and lacking.plans_apart is None
    assert lacking.gaps[2] is None


def test_an_instance_the_fast_engine_cannot_take_ends_the_race(monkeypatch: pytest.MonkeyPatch) -> None:
    line = json.dumps({"event": "unsuited", "note": "a storage site that is contracted"})
    with pytest.raises(UsageError, match=r"fast engine.*cannot take a storage site"):
        run_scripts(monkeypatch, {"optimize": f"print({line!r})"})


class Heard:
    """Keeps what a child tells, by event."""

    def __init__(self) -> None:
        self.began = 0.0
        self.said: dict[str, dict[str, Any]] = {}

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def tell(self, event: str, **values: Any) -> None:
        self.said[event] = values


def test_a_child_leaves_out_what_its_task_says(town_folder: Path) -> None:
    """Without anything that bounds, only the certificate's linear relaxation is left as a bound."""
    ended = []
    for without in ((), ("linear", "lagrangian", "integral", "near_model")):
        heard = Heard()
        task = Task(PRODUCT, "water", str(town_folder), "npv", 0.0, 5.0, 1, 1, "fast", without)
        run_task(task, heard)  # type: ignore[arg-type]
        assert heard.said["ended"]["engine"] == "fast"
        assert heard.said["verified"]["passed"]
        assert heard.said["verified"]["gross"] > heard.said["verified"]["objective"]
        ended.append(heard.said["ended"])
    whole, left_out = ended
    assert left_out["bound"] > 1.001 * whole["bound"] >= whole["plan"]


def test_a_child_says_what_the_fast_engine_cannot_take(
    town_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast, "holds_contracted_storage", lambda instance: True)
    heard = Heard()
    run_task(Task(PRODUCT, "water", str(town_folder), "npv", 0.0, 5.0, 1, 1, "fast"), heard)  # type: ignore[arg-type]
    assert heard.said["unsuited"]["note"] == "a storage site that is contracted"


def test_the_object_has_shares_for_each_seed_and_standings(
    town_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[Task] = []

    def command(task: Task) -> list[str]:
        told.append(task)
        plan = 90.0 if task.without else 100.0
        return [sys.executable, "-c", ended(plan, 130.0, plan)]

    monkeypatch.setattr(race, "_command", command)
    call = [
        "bench",
        "water",
        "--instance",
        str(town_folder),
        "--without",
        "trim,seasons+search",
        "--seeds",
        "3,4",
    ]
    assert main([*call, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [one["seed"] for one in record["races"]] == [3, 4]
    assert {task.engine for task in told} == {"fast"}
    assert [task.without for task in told] == 2 * [(), ("trim",), ("seasons", "search")]
    share = record["races"][1]["shares"][1]
    assert share["without"] == ["seasons", "search"] and share["closes_by_plan"] == pytest.approx(0.25)
    assert [one["contender"] for one in record["standings"]] == [
        "optimize", "without trim", "without seasons + search",
    ]  # fmt: skip
    assert main(call) == 0
    assert "plans apart" in capsys.readouterr().out


@pytest.fixture(scope="module")
def town_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "town"
    write_instance(folder, [(WATER.schema, make_town().draft())])
    return folder

"""`optimize front` and `optimize margins` against solving each question for itself."""

from __future__ import annotations

import csv
import dataclasses
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optimize.errors import UsageError
from optimize.io.instance_folder import LoadedProgramme, read_instance
from optimize.programme import SolveOptions
from optimize.registry import PROGRAMMES
from optimize.studies import stated_levels
from optimize.studies.front_report import margins_lines
from optimize.studies.fronts import Front, FrontPoint, _apart, _nondominated, trace_front
from optimize.studies.margin_questions import ALL
from optimize.studies.margins import Margins, find_margins
from optimize.studies.stated_levels import SharedTime
from optimize.studies.sweep import data_at

_OPTIONS = SolveOptions(gap=1e-7, time_limit_s=30.0)


@pytest.fixture(scope="module")
def town(towns: Path) -> LoadedProgramme:
    return read_instance(towns / "pv_siting", PROGRAMMES).programmes[0]


@pytest.fixture(scope="module")
def front(town: LoadedProgramme) -> Front:
    found = trace_front(town.programme, town.data, ("npv", "co2"), 5, _OPTIONS)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def margins(town: LoadedProgramme) -> Margins:
    found = find_margins(town.programme, town.data, _OPTIONS, [0.5], nested=True)
    assert found is not None
    return found


def best(town: LoadedProgramme, goal: str, data: Any = None) -> float:
    """Optimum of one goal by the engine on the tables."""
    assert town.programme.solve_fast is not None
    options = dataclasses.replace(_OPTIONS, goal=(goal,))
    value = town.programme.solve_fast(town.programme.load(data or town.data), options).objective
    assert value is not None
    return value


def test_front_holds_the_single_optima_and_nothing_that_is_beaten(
    town: LoadedProgramme, front: Front
) -> None:
    for goal in front.goals:
        optimum = best(town, goal)
        assert front.singles[goal][0] == pytest.approx(optimum, rel=1e-6)
        ends = [p for p in front.points if p.best_of == goal]
        assert len(ends) == 1 and ends[0].values[goal] == pytest.approx(optimum, rel=1e-6)
    values = [(p.values["npv"], p.values["co2"]) for p in front.points]
    assert len(values) >= 3
    for one in values:
        assert not any(o[0] >= one[0] and o[1] >= one[1] and o != one for o in values)
    assert values == sorted(values, reverse=True)
    assert all(p.gap is not None and p.gap <= 1e-6 for p in front.points)
    assert sum(p.knee for p in front.points) == 1 and not front.not_reached


def test_each_point_is_the_best_at_its_level(town: LoadedProgramme, front: Front) -> None:
    """A clause that asks for the same level leaves the same best plan."""
    clause = next(c for c in town.programme.schema.clauses if c.id == "PV-CO2")
    any_target = next(iter(town.data.targets.values()))
    for point in front.points[1:-1]:
        target = dataclasses.replace(
            any_target, clause=clause, required=point.at_least["co2"], hard=True, deadline_year=None
        )
        data = dataclasses.replace(town.data, targets={**town.data.targets, "PV-CO2": target})
        assert point.values["npv"] == pytest.approx(best(town, "npv", data), rel=1e-6)


def test_large_programmes_are_searched_around_the_plans_in_hand(
    town: LoadedProgramme, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No point is better than its level allows, and every proven gap holds the true optimum."""
    monkeypatch.setattr(stated_levels, "_LARGE", 5)
    options = dataclasses.replace(_OPTIONS, gap=1e-3, time_limit_s=4.0)
    large = trace_front(town.programme, town.data, ("npv", "co2"), 3, options)
    assert large is not None and len(large.points) >= 2
    for point in large.points:
        exact = max(
            p.values["npv"] for p in front.points if p.values["co2"] >= point.values["co2"] * (1 - 1e-9)
        )
        assert point.bound is not None and point.bound >= exact * (1 - 1e-6)
    assert large.points[0].values["npv"] == pytest.approx(front.points[0].values["npv"], rel=2e-3)


def test_three_goals_and_levels_nobody_reaches(town: LoadedProgramme) -> None:
    front = trace_front(town.programme, town.data, ("npv", "co2", "cost"), 2, _OPTIONS)
    assert front is not None
    assert {p.best_of for p in front.points} >= {"npv", "co2", "cost"}
    assert front.not_reached and all(why == "no plan reaches this" for _, why in front.not_reached)


def test_what_another_point_beats_is_dropped() -> None:
    def point(npv: float, cost: float) -> FrontPoint:
        return FrontPoint({"npv": npv, "cost": cost}, {"cost": cost}, None, None)

    kept = _nondominated(
        [point(5, 3), point(5, 2), point(4, 2), point(3, 1), point(5, 2)],
        ("npv", "cost"),
        {"npv": 1.0, "cost": -1.0},
    )
    assert [(p.values["npv"], p.values["cost"]) for p in kept] == [(5, 2), (3, 1)]


def test_points_closer_than_their_gap_are_one() -> None:
    def point(npv: float, co2: float, gap: float) -> FrontPoint:
        return FrontPoint({"npv": npv, "co2": co2}, {"co2": co2}, None, gap)

    points = [point(1000, 10, 0.001), point(999.5, 10.005, 0.001), point(900, 20, 0), point(899.9, 20.001, 0)]
    points += [point(800, 30, 0.5), point(798, 30.1, 0.5), point(500, 40, 0.5), point(499.9, 40.001, 0.5)]
    kept = _apart(points, ("npv", "co2"), {"npv": 1.0, "co2": 1.0})
    assert [p.values["npv"] for p in kept] == [1000, 900, 899.9, 800, 798, 500, 499.9]


def test_margins_of_all_budgets_are_those_of_a_larger_scale(town: LoadedProgramme, margins: Margins) -> None:
    base = best(town, "npv")
    assert margins.value == pytest.approx(base, rel=1e-6)
    for margin, share in zip([m for m in margins.budgets if m.what == ALL], (0.5,), strict=True):
        scale = float(town.data.parameters["budgets.scale"]) * (1 + share)
        gain = best(town, "npv", data_at(town.data, "budgets.scale", scale)) - base
        assert margin.gain == pytest.approx(gain, abs=2.0)
        assert margin.low is not None and margin.high is not None
        assert margin.low - 2.0 <= gain <= margin.high + 2.0
    assert any(m.gain and m.gain > 0 for m in margins.budgets)


def test_margins_of_targets_are_those_of_asking_less(town: LoadedProgramme, margins: Margins) -> None:
    """A share is part of every coefficient of its row: moving the row's side would be another question."""
    lead = next(m for m in margins.targets if m.what == "PV-LEAD")
    assert lead.amount == 0.01 and lead.gain is not None
    for required, gain in ((0.29, lead.gain), (0.0, None)):
        there = best(town, "npv", data_at(town.data, "targets.PV-LEAD.required", required)) - margins.value
        assert there == pytest.approx(gain, abs=2.0) if gain is not None else there > 0
    assert {m.what for m in margins.targets} == {t.id for t in town.data.targets.values() if t.required > 0}


def test_keeping_earlier_choices_never_gains(margins: Margins) -> None:
    assert len(margins.nested) == 1
    for step in margins.nested:
        assert step.free_value is not None and step.nested_value is not None and step.price is not None
        assert step.nested_value <= step.free_value + 1.0
        assert step.nested_value >= margins.value - 1.0
    assert any(step.price is not None and step.price > 0 for step in margins.nested)
    text = "\n".join(margins_lines(margins))
    for words in (
        "more of a budget",
        "all sources",
        "less of a target",
        "PV-LEAD",
        "price of keeping",
        "proven",
    ):
        assert words in text


def test_commands(towns: Path, command: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    pv = towns / "pv_siting"
    code, out, err = command("front", pv, "--points", "2", "--gap", "1e-6", "--csv", tmp_path / "f")
    assert (code, err) == (0, "") and "none beats another" in out and "best co2" in out
    with (tmp_path / "f" / "front.csv").open(encoding="utf-8-sig", newline="") as stream:
        assert {"npv", "co2", "asked_co2", "bound_npv", "gap"} <= set(next(csv.DictReader(stream)))


def test_margins_of_a_stored_run(
    runs: dict[str, list[Path]], command: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = command("margins", runs["pv_siting"][1], "--step", "0.01", "--source", "West", "--json")
    content = json.loads(out)
    assert (code, err) == (0, "") and content["goal"] == "npv" and content["targets"]
    assert [row["what"] for row in content["budgets"]] == ["West"]
    assert command("margins", runs["pv_siting"][1], "--set", "budgets.scale=1")[0] == 2


def test_calls_that_make_no_sense_are_refused(
    towns: Path, town: LoadedProgramme, command: Callable[..., tuple[int, str, str]]
) -> None:
    pv = towns / "pv_siting"
    for words in (
        ["front", pv, "--goals", "npv"],
        ["front", pv, "--goals", "npv,npv"],
        ["front", pv, "--goals", "npv,beauty"],
        ["front", pv, "--points", "1"],
        ["front", towns / "water", "--set", "water.phased=true"],
        ["margins", towns / "water", "--nested"],
        ["margins", pv, "--goal", "npv,co2"],
        ["margins", pv, "--step", "-0.1"],
        ["margins", pv, "--source", "Wets"],
        ["margins", towns / "nowhere"],
    ):
        code, out, err = command(*words)
        assert code == 2 and err and not out, words
    code, out, _ = command("front", pv, "--set", "pv_siting.clauses.PV-50MW.required=1e9")
    assert code == 3 and "optimize solve" in out
    with pytest.raises(UsageError, match="two or three different goals"):
        trace_front(town.programme, town.data, (), 3, _OPTIONS)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, command: Callable[..., tuple[int, str, str]]) -> Path:
    """A network of three users, whose programme is solved to its optimum in a moment."""
    place = tmp_path_factory.mktemp("network") / "town"
    assert command("template", "city", place)[0] == 0
    return place


def test_a_network_at_levels_is_what_a_clause_that_asks_for_them_leaves(network: Path) -> None:
    water = read_instance(network, PROGRAMMES, ["water"]).programmes[0]
    options = dataclasses.replace(_OPTIONS, gap=1e-6, time_limit_s=20.0)
    front = trace_front(water.programme, water.data, ("cost", "volume"), 4, options)
    assert front is not None and len(front.points) >= 3
    assert {p.best_of for p in front.points} >= {"cost", "volume"}
    clause = next(c for c in water.programme.schema.clauses if c.id == "W-VOLUME")
    any_target = next(iter(water.data.targets.values()))
    for point in front.points:
        target = dataclasses.replace(
            any_target,
            clause=clause,
            required=point.at_least["volume"] * (1 - 1e-9),
            hard=True,
            deadline_year=None,
        )
        data = dataclasses.replace(water.data, targets={**water.data.targets, "W-VOLUME": target})
        assert point.values["cost"] == pytest.approx(best(water, "cost", data), rel=1e-5, abs=1.0)
        assert point.bound is not None and point.bound <= point.values["cost"] * (1 + 1e-6) + 1.0


def test_margins_of_a_network(network: Path, command: Callable[..., tuple[int, str, str]]) -> None:
    """Solved anew: as with a larger scale; a target's last unit as with a smaller one."""
    code, out, err = command(
        "margins", network, "--programme", "water", "--step", "0.5", "--gap", "1e-6", "--json",
        "--time-limit", "60", "--set", "budgets.scale=0.3",
    )  # fmt: skip
    content = json.loads(out)
    assert (code, err) == (0, "") and {row["what"] for row in content["targets"]} == {"W-CAP"}
    told = next(row for row in content["budgets"] if row["what"] == ALL)
    water = read_instance(network, PROGRAMMES, ["water"], {"budgets.scale": 0.45}).programmes[0]
    gain = best(water, "npv") - content["value"]
    assert gain > 0 and told["gain"] == pytest.approx(gain, rel=1e-4)
    assert told["low"] <= gain * (1 + 1e-4) and told["high"] >= gain * (1 - 1e-4)


def test_the_time_limit_is_for_all_points_together(town: LoadedProgramme) -> None:
    """What is not reached in time is listed as such; what is stopped ends with the points there are."""
    said: list[str] = []
    options = dataclasses.replace(_OPTIONS, interrupt=threading.Event())

    def told(words: str) -> None:
        said.append(words)
        if " with CO2 avoided a year ≥ " in words:
            options.interrupt.set()

    front = trace_front(town.programme, town.data, ("npv", "co2"), 5, options, told)
    assert front is not None and len(front.points) >= 2
    assert [why for _, why in front.not_reached] == ["not begun: stopped"] * 3
    assert "the best net present value alone" in said and any("s left" in words for words in said)
    time = SharedTime(dataclasses.replace(_OPTIONS, time_limit_s=10.0))
    time.expect(4.0)
    assert time.next(2.0).time_limit_s == pytest.approx(5.0, abs=0.1)
    assert time.next().time_limit_s == pytest.approx(
        5.0, abs=0.1
    )  # half of what is left, which is nearly all
    assert time.next().time_limit_s == pytest.approx(10.0, abs=0.1) and not time.is_over

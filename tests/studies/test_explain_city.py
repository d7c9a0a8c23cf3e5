"""`optimize explain` of joint plans: what is said of a project is what solving the city with a lock says."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from optimize.city.instance import City
from optimize.city.solve import solve_city
from optimize.errors import UsageError
from optimize.programme import SolveOptions
from optimize.registry import PROGRAMMES
from optimize.report.city import store_city, summarise_city
from optimize.result import StopReason
from optimize.studies import resolve
from optimize.studies.city_model import load_city_model, load_city_of
from optimize.studies.explain import Explainer, Explanation, places_of
from optimize.studies.plan_model import PlanModel
from optimize.studies.stored_runs import StoredCity, read_city_run

pytestmark = pytest.mark.xdist_group("stored cities")  # fixtures of the folder that take seconds

_OPTIONS = SolveOptions(gap=1e-7, time_limit_s=30.0)
_PROJECTS = ("campus", "room", "clinic")


@pytest.fixture(scope="module")
def poor(
    city_runs: Mapping[str, Path], solve: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A joint run with so little money that a site is left out for it."""
    town = Path(json.loads((city_runs["city"] / "manifest.json").read_text(encoding="utf-8"))["instance"])
    results = tmp_path_factory.mktemp("poor")
    return solve(town, results, "--joint", "--gap", "1e-6", "--set", "budgets.scale=0.4")


@pytest.fixture(scope="module")
def stored(poor: Path) -> tuple[StoredCity, City]:
    run = read_city_run(poor, PROGRAMMES)
    return run, load_city_of(run, PROGRAMMES)


@pytest.fixture(scope="module")
def model(stored: tuple[StoredCity, City]) -> PlanModel:
    found = load_city_model(*stored, _OPTIONS)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def told(model: PlanModel) -> dict[str, Explanation]:
    explainer = Explainer(model, _OPTIONS)
    return dict(zip(_PROJECTS, map(explainer.explain, explainer.find(_PROJECTS)), strict=True))


def solved_with_lock(city: City, kind: str, name: str) -> float | None:
    """Best value of the city with a lock in the programme's table; None: infeasible."""
    parts = []
    for part in city.parts:
        table, key = part.programme.lockable[0]
        locks = part.data.tables["locks"]
        if name in set(part.data.tables[table][key]):
            row = dict.fromkeys(locks.columns, "") | {"kind": kind, "id": name, "year": 0}
            locks = pd.concat([locks, pd.DataFrame([row])], ignore_index=True)
        data = dataclasses.replace(part.data, tables={**part.data.tables, "locks": locks})
        parts.append(dataclasses.replace(part, data=data))
    result = solve_city(dataclasses.replace(city, parts=tuple(parts)), _OPTIONS).result
    return None if result.stop is StopReason.INFEASIBLE else result.objective


def test_losses_are_those_of_solving_the_city_with_a_lock(
    stored: tuple[StoredCity, City], model: PlanModel, told: dict[str, Explanation]
) -> None:
    assert {e.chosen for e in told.values()} == {True, False} and model.remark == ""
    for name, e in told.items():
        value = solved_with_lock(stored[1], "force_out" if e.chosen else "force_in", name)
        assert value is not None and e.loss == pytest.approx(model.value - value, rel=1e-6, abs=30.0), name
        assert e.low is not None and e.high is not None and e.low <= e.loss + 30.0 <= e.high + 60.0, name


def test_the_pool_stops_a_site_and_its_break_even_is_told(told: dict[str, Explanation]) -> None:
    campus = told["campus"]
    assert not campus.chosen and any(
        row.name.startswith("budget municipal") and row.short > 0 for row in campus.stopping
    )
    assert campus.break_even is not None and campus.break_even.subsidy_cny == campus.loss
    assert campus.break_even.price_factor is not None and campus.break_even.price_factor > 1.0


def test_a_network_planned_apart_keeps_its_plan(
    stored: tuple[StoredCity, City], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers say so; those of the search around the plan lie where those of the whole solve lie."""
    run, city = stored
    first = threading.Event()  # the first plan is as good as any here
    options = dataclasses.replace(
        _OPTIONS, interrupt=first, progress=lambda point: first.set() if point.plan is not None else None
    )
    solved = solve_city(city, options, exact_lanes=0)
    assert solved.result.network == "relaxed"
    summary = summarise_city(solved, 1.0)
    overrides = dict(run.manifest["overrides"])
    folder = store_city(
        tmp_path,
        Path(run.manifest["instance"]),
        solved,
        _OPTIONS,
        summary,
        overrides,
        "2026-01-01T00:00:00+00:00",
    )
    assert folder is not None
    apart = read_city_run(folder, PROGRAMMES)
    model = load_city_model(apart, load_city_of(apart, PROGRAMMES), _OPTIONS)
    assert model is not None and model.value == pytest.approx(solved.result.objective)
    whole = Explainer(model, _OPTIONS)
    exact = [whole.explain(k) for k in whole.find(_PROJECTS)]
    assert all(e.supposing.startswith("reclaimed water is built as planned") for e in exact)
    monkeypatch.setattr(resolve, "_WHOLE_UP_TO", 5)
    large = Explainer(model, dataclasses.replace(_OPTIONS, time_limit_s=1.0))
    for e, true in zip((large.explain(k) for k in large.find(_PROJECTS)), exact, strict=True):
        assert e.low is not None and e.high is not None and e.loss is not None and true.loss is not None
        assert e.low - 1.0 <= true.loss <= e.high + 1.0 and e.loss >= true.loss - 1.0


def test_ids_of_several_programmes_are_told_apart(model: PlanModel) -> None:
    centres, sites = model.parts
    twice = dataclasses.replace(sites, stated=centres.stated)
    assert "DC1" in places_of((centres, sites))
    assert {"datacenter/DC1", "pv_siting/DC1"} <= set(places_of((centres, twice)))
    assert "DC1" not in places_of((centres, twice))


def test_command(poor: Path, command: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    """Sites, centres and works of the network are asked for in one call."""
    code, out, err = command("explain", poor, "campus", "gardens", "--json")
    site, work = (json.loads(line) for line in out.splitlines())
    assert (code, err) == (0, "") and not site["chosen"] and site["loss"] > 0
    assert work["question"] in ("with", "without") and work["loss"] >= 0.0
    code, out, _ = command("explain", poor, "--top", "1", "--csv", tmp_path)
    assert code == 0 and "the most important first" in out
    ranking: Any = pd.read_csv(tmp_path / "importance.csv")
    assert {"DC1", "room", "P"} <= set(ranking["id"]) and ranking["loss"].notna().sum() == 1
    code, _, err = command("explain", poor, "campsu")
    assert code == 2 and "did you mean campus" in err


def test_a_changed_instance_is_refused(poor: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not the instance of"):
        load_city_of(read_city_run(poor, PROGRAMMES), PROGRAMMES, tmp_path)

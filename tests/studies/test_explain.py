"""`optimize explain`: what is said of a project is what solving with a lock in the table says."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from optimize.errors import UsageError
from optimize.io.run_instance import read_instance_of
from optimize.milp import ElasticRows, MilpBuilder
from optimize.programme import SolveOptions
from optimize.registry import PROGRAMMES
from optimize.result import StopReason
from optimize.studies import resolve
from optimize.studies.explain import Explainer, Explanation
from optimize.studies.explain_by_locks import LockExplainer
from optimize.studies.explain_report import Wording, explanation_lines
from optimize.studies.explain_rows import forced, shortfalls
from optimize.studies.factors import with_factors
from optimize.studies.plan_model import PlanModel, load_plan_model
from optimize.studies.stored_runs import read_run

pytestmark = pytest.mark.xdist_group("stored runs")  # fixtures of the folder that take seconds

_OPTIONS = SolveOptions(gap=1e-7, time_limit_s=30.0)


def model_of(folder: Path) -> PlanModel:
    model = load_plan_model(read_run(folder, PROGRAMMES), PROGRAMMES)
    assert model is not None
    return model


@pytest.fixture(scope="module")
def models(runs: dict[str, list[Path]]) -> dict[str, PlanModel]:
    return {name: model_of(runs[name][0]) for name in ("pv_siting", "datacenter")}


@pytest.fixture(scope="module")
def told(models: dict[str, PlanModel]) -> dict[str, list[Explanation]]:
    """Projects of both templates explained: all sites, and centres of every kind of answer."""
    asked = {
        "pv_siting": list(models["pv_siting"].parts[0].stated.candidate_ids),
        "datacenter": ["A3", "B2", "B6"],
    }
    found = {}
    for name, ids in asked.items():
        explainer = Explainer(models[name], _OPTIONS)
        found[name] = [explainer.explain(k) for k in explainer.find(ids)]
    return found


def solved_with_lock(model: PlanModel, kind: str, name: str) -> float | None:
    """Best value with a lock in the table, by the engine on that instance; None: infeasible."""
    locks = model.parts[0].data.tables["locks"]
    row = dict.fromkeys(locks.columns, "") | {"kind": kind, "id": name, "year": 0}
    tables = dict(model.parts[0].data.tables) | {
        "locks": pd.concat([locks, pd.DataFrame([row])], ignore_index=True)
    }
    options = dataclasses.replace(_OPTIONS, goal=model.goals)
    assert model.parts[0].programme.solve_fast is not None
    data = dataclasses.replace(model.parts[0].data, tables=tables)
    result = model.parts[0].programme.solve_fast(model.parts[0].programme.load(data), options)
    return None if result.stop is StopReason.INFEASIBLE else result.objective


@pytest.mark.parametrize("name", ["pv_siting", "datacenter"])
def test_losses_are_those_of_solving_with_a_lock(
    name: str, models: dict[str, PlanModel], told: dict[str, list[Explanation]]
) -> None:
    model = models[name]
    asked = [e for e in told[name] if not e.forbidden]
    assert {e.chosen for e in asked} == {True, False} and any(e.impossible for e in asked)
    for e in asked[:4]:
        value = solved_with_lock(model, "force_out" if e.chosen else "force_in", e.id)
        assert e.impossible == (value is None), e.id
        if value is not None:
            assert e.loss == pytest.approx(model.value - value, rel=1e-6, abs=1.0), e.id
            assert (
                e.low is not None and e.high is not None and e.low <= e.loss + 1.0 and e.loss <= e.high + 1.0
            )


def test_a_lock_is_the_whole_answer(told: dict[str, list[Explanation]]) -> None:
    locked = next(e for e in told["pv_siting"] if e.id == "school-1")
    assert locked.forbidden == "a lock (force_in) keeps it in" and locked.loss is None


def test_impossible_is_said_in_the_clauses_words(told: dict[str, list[Explanation]]) -> None:
    needed = next(e for e in told["pv_siting"] if e.id == "hospital-1")
    text = "\n".join(explanation_lines(needed, Wording("CNY", "net present value", True)))
    assert "it cannot be left out: PV-HEAT would be missed by 1" in text and "MILP" not in text


def test_break_even_makes_up_for_the_loss(
    models: dict[str, PlanModel], told: dict[str, list[Explanation]]
) -> None:
    found = 0
    for name, model in models.items():
        for e in told[name]:
            if e.break_even is None or e.break_even.price_factor is None or e.loss is None:
                continue
            found += 1
            candidate = list(model.parts[0].stated.candidate_ids).index(e.id)
            columns = [c for c in model.columns_of(candidate) if e.decision == words_of(model, int(c))]
            assert model.parts[0].stated.plan_of is not None
            alone = np.zeros(model.milp.num_columns)
            alone[columns[0]] = 1.0
            plan = model.parts[0].stated.plan_of(alone)
            dearer = with_factors(
                model.parts[0].programme, model.parts[0].data, {"prices": e.break_even.price_factor}
            )
            now = model.parts[0].programme.check(model.parts[0].instance, plan).figures["npv"]
            then = model.parts[0].programme.check(model.parts[0].programme.load(dearer), plan).figures["npv"]
            assert then - now == pytest.approx(e.loss, rel=1e-3), e.id
            assert e.break_even.subsidy_cny == e.loss
    assert found


def words_of(model: PlanModel, column: int) -> str:
    row = model.parts[0].stated.describe(np.array([column])).iloc[0]
    return " · ".join(str(v) for v in row if str(v) not in ("", "0"))


def test_what_stops_a_project_is_what_it_breaks(
    models: dict[str, PlanModel], told: dict[str, list[Explanation]]
) -> None:
    """B2 must not meet B1, which the plan closes; the host has no room for both."""
    b2 = next(e for e in told["datacenter"] if e.id == "B2")
    names = [row.name for row in b2.stopping]
    assert "a lock: not together with another centre" in names
    assert any(name.startswith("host capacity campus") for name in names)
    short = next(row for row in b2.stopping if row.short > 0)
    assert short.unit == "kW" and 0 < short.short < 100


def test_forcing_in_agrees_with_enumeration() -> None:
    """Three candidates of two options under one budget, by trying all plans."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        builder = MilpBuilder(maximise=True)
        gain, cost = rng.uniform(1, 9, 6), rng.uniform(1, 5, 6)
        x = builder.add_columns("x", 6, upper=1.0, cost=gain, integral=True)
        group = np.arange(6) // 2
        builder.add_rows("choose", 3, [(group, x, 1.0)], upper=1.0)
        builder.add_rows("budget", 1, [(np.zeros(6, np.int64), x, cost)], upper=6.0)
        milp = forced(builder.build(), -1, np.array([2, 3]))
        plans = [np.array(p, dtype=float) for p in itertools.product((0, 1), repeat=6)]
        best = max(
            gain @ p for p in plans
            if (np.bincount(group, p) <= 1).all() and cost @ p <= 6.0 and p[2] + p[3] == 1
        )  # fmt: skip
        held = [gain @ p for p in plans if milp.violation(p) <= 1e-9]
        assert max(held) == pytest.approx(best)


def test_large_programmes_are_searched_around_the_plan(
    models: dict[str, PlanModel], told: dict[str, list[Explanation]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proven intervals hold the exact loss, and no loss is told smaller than it is."""
    monkeypatch.setattr(resolve, "_WHOLE_UP_TO", 10)
    explainer = Explainer(models["pv_siting"], SolveOptions(gap=1e-7, time_limit_s=2.0))
    asked = [k for k, exact in enumerate(told["pv_siting"]) if exact.loss is not None]
    for position in asked[:3]:
        e, exact = explainer.explain(position), told["pv_siting"][position]
        assert e.loss is not None and e.low is not None and e.high is not None and exact.loss is not None
        assert e.low - 1.0 <= exact.loss <= e.high + 1.0 and e.loss >= exact.loss - 1.0


@pytest.mark.parametrize(
    ("loss", "low", "high", "words"),
    [
        (2e6, 0.0, 5e6, "indistinguishable: the plan found has 2.0 M CNY less npv, but the gaps leave open"),
        (0.0, 0.0, 5e6, "indistinguishable: an equally good one was found, but"),
        (2e6, 1e6, 3e6, "1.0 M CNY to 3.0 M CNY less npv: the plan found has 2.0 M CNY less npv"),
        (2e6, 2e6, 2e6, "without it  2.0 M CNY less npv"),
        (0.0, 0.0, 0.0, "nothing is lost"),
        (2e6, None, None, "indistinguishable"),
    ],
)
def test_a_loss_is_told_as_sure_as_it_is(loss: float, low: float, high: float, words: str) -> None:
    e = Explanation("S", "", "", True, "roof", "without", loss=loss, low=low, high=high, better_by=1e5)
    text = "\n".join(explanation_lines(e, Wording("CNY", "npv", True)))
    assert words in text and "one better by 10.00 万元 was found" in text


def test_both_sides_are_compared_with_the_best_plan_known(
    models: dict[str, PlanModel], told: dict[str, list[Explanation]]
) -> None:
    """A run whose plan is not the best: what a project is worth is not told against that plan."""
    model = models["pv_siting"]
    explainer = Explainer(model, _OPTIONS)
    lost = [e for e in told["pv_siting"] if e.chosen and e.loss]
    (left_out,) = explainer.find([lost[0].id])
    upper = model.milp.upper.copy()
    upper[model.columns_of(left_out)] = 0.0
    milp = model.milp.with_bounds(model.milp.lower, upper)
    poorer = explainer.resolver.solve(milp, np.minimum(model.x, upper))
    assert poorer.x is not None and poorer.value is not None and poorer.value < model.value - 1.0
    again = Explainer(dataclasses.replace(model, x=poorer.x, value=poorer.value), _OPTIONS)
    kept = next(e for e in lost[1:] if again.model.chosen_column(again.find([e.id])[0]) >= 0)
    found = again.explain(again.find([kept.id])[0])
    assert found.better_by == pytest.approx(model.value - poorer.value, abs=1.0) and kept.better_by == 0.0
    assert found.loss == pytest.approx(kept.loss, abs=1.0)


def test_ranking_begins_with_what_is_worth_most(models: dict[str, PlanModel]) -> None:
    ranking = Explainer(models["datacenter"], _OPTIONS).rank()
    assert list(ranking["id"]) and ranking["approx_value"].is_monotonic_decreasing
    assert set(ranking["id"]) == set(models["datacenter"].parts[0].projects["id"])


def test_water_is_explained_by_locks(runs: dict[str, list[Path]], towns: Path) -> None:
    from_store = read_run(runs["water"][0], PROGRAMMES)
    assert load_plan_model(from_store, PROGRAMMES) is None
    _, data = read_instance_of(from_store.folder, from_store.manifest, from_store.programme, PROGRAMMES)
    explainer = LockExplainer(from_store, data, SolveOptions(gap=1e-6, time_limit_s=60.0))
    assert explainer.find(["C11"]) == ["C11"]
    with pytest.raises(UsageError, match="did you mean"):
        explainer.find(["C1l"])
    lost = explainer.explain("C11")
    assert lost.chosen and lost.loss is not None and lost.loss > 1e7
    assert lost.low == pytest.approx(lost.loss, rel=1e-3) and not lost.indistinguishable
    assert explainer.explain("P-north").forbidden == "a lock (force_in) decides it"
    pipe = from_store.projects[from_store.projects["id"].str.startswith("C11:")].iloc[0]
    row = {
        "table": "pipes",
        "project": pipe["id"],
        "choice": "DN150",
        "year": pipe["year"],
        "state": "on_site",
    }
    plan = pd.DataFrame([row]).reindex(columns=data.tables["plan_in_force"].columns)
    contracted = dataclasses.replace(data, tables={**data.tables, "plan_in_force": plan})
    told = LockExplainer(from_store, contracted, SolveOptions()).explain("C11")
    assert told.forbidden == f"it stays: {pipe['id']} is on site"


def test_command(
    runs: dict[str, list[Path]], command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    run = runs["pv_siting"][0]
    code, out, err = command("explain", run, "university-1", "care-1")
    assert (code, err) == (0, "") and "exactly that" in out and "without it" in out
    code, out, _ = command("explain", run, "university-1", "--json")
    record: dict[str, Any] = json.loads(out)
    assert (
        code == 0 and record["chosen"] is True and record["loss"] > 0 and record["indistinguishable"] is False
    )
    code, out, _ = command("explain", run, "--all", "--top", "2", "--csv", tmp_path)
    assert code == 0 and "the most important first" in out
    with (tmp_path / "importance.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 7 and sum(bool(row["loss"]) for row in rows) <= 2


def test_calls_that_make_no_sense_are_refused(
    runs: dict[str, list[Path]], command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    run = runs["pv_siting"][0]
    code, out, err = command("explain", run, "univercity-1", "nothing")
    assert (code, out) == (2, "") and "did you mean university-1" in err and "'nothing'" in err
    for words in ([run], [run, "care-1", "--all"], [run, "care-1", "--csv", tmp_path], [tmp_path, "care-1"]):
        assert command("explain", *words)[0] == 2
    assert command("explain", run, "care-1", "--instance", tmp_path)[0] == 2


def test_large_budgets_are_short_by_what_is_missing_and_no_more() -> None:
    """One CNY of half a milliard is less than a solver's tolerance unless it is weighed."""
    builder = MilpBuilder(maximise=True)
    chosen = builder.add_columns("chosen", 2, upper=1.0, integral=True)
    share = builder.add_columns("share", 2, upper=2e9)
    both = np.zeros(2, np.int64)
    builder.add_rows("spent", 1, [(both, chosen, [5e8, 4e5]), (both, share, -1.0)], upper=0.0)
    pool = builder.add_rows("pool", 2, [(np.arange(2), share, 1.0)], upper=[3e8, 2e8])
    budgets = [ElasticRows("budget", str(k), "CNY", pool[[k]], (3e8, 2e8)[k], is_cap=True) for k in (0, 1)]
    milp = builder.build()
    short, unnamed = shortfalls(milp, np.array([1.0, 0.0, 3e8, 2e8]), budgets)
    assert short.sum() < 1.0 and not unnamed
    short, unnamed = shortfalls(milp, np.array([1.0, 1.0, 3e8, 2e8]), budgets)
    assert short.sum() == pytest.approx(4e5, rel=1e-4) and not unnamed

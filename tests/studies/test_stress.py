"""`optimize stress`: what samples say is what the checker says about the changed tables."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimize.errors import UsageError
from optimize.io.run_instance import read_instance_of
from optimize.io.run_store import read_text_table
from optimize.registry import PROGRAMMES
from optimize.schema import InstanceData
from optimize.studies.factors import with_factors
from optimize.studies.stored_runs import StoredRun, read_run
from optimize.studies.stress import PlanUnderStress, kept_within, stress_plan, stress_run

pytestmark = pytest.mark.xdist_group("stored runs")  # fixtures of the folder that take seconds

_STILL = {f"stress.{name}_sd": 0.0 for name in ("costs", "project_costs", "yields", "prices", "demand")}


@pytest.fixture(scope="module")
def town(runs: dict[str, list[Path]]) -> tuple[StoredRun, InstanceData]:
    return opened(runs["pv_siting"][0])


def opened(folder: Path) -> tuple[StoredRun, InstanceData]:
    run = read_run(folder, PROGRAMMES)
    return run, read_instance_of(run.folder, run.manifest, run.programme, PROGRAMMES)[1]


def with_parameters(data: InstanceData, **changed: float) -> InstanceData:
    named = {name.replace("__", "."): value for name, value in changed.items()}
    return dataclasses.replace(
        data, parameters={**data.parameters, **_STILL, "stress.delay_share": 0.0, **named}
    )


@pytest.mark.parametrize("name", ["pv_siting", "datacenter", "water"])
def test_without_spread_every_sample_is_the_plan(name: str, runs: dict[str, list[Path]]) -> None:
    run, data = opened(runs[name][0])
    stress = stress_plan(run, with_parameters(data), 2, 0)
    for goal in stress.goals.to_dict(orient="records"):
        told = run.summary["figures"][goal["goal"]]
        assert goal["planned"] == goal["mean"] == goal["p05"] == goal["p95"] == pytest.approx(told, rel=1e-12)
    assert stress.all_budgets_share == stress.all_clauses_share == stress.all_share == 1.0
    assert stress.conditions.empty and (stress.budgets["kept_share"] == 1.0).all()


def test_a_mean_is_a_factor_on_the_tables(town: tuple[StoredRun, InstanceData]) -> None:
    run, data = town
    dearer = with_parameters(data, stress__costs_mean=1.3)
    stress = stress_plan(run, dearer, 1, 0)
    tables = {path.stem: read_text_table(path) for path in run.folder.glob("*.csv")}
    instance = run.programme.load(with_factors(run.programme, data, {"costs": 1.3}))
    report = run.programme.check(instance, run.programme.read_plan(tables))
    assert stress.goals.set_index("goal").loc["npv", "mean"] == pytest.approx(
        report.figures["npv"], rel=1e-12
    )
    assert report.figures["npv"] < run.summary["figures"]["npv"]
    assert stress.all_budgets_share == 0.0 and stress.all_clauses_share == 1.0
    worst = stress.budgets.sort_values("kept_share").iloc[0]
    spent = report.money.set_index(["source", "year"])["spent_cny"]
    assert worst["kept_share"] == 0.0 and worst["p95_cny"] == spent[worst["source"], worst["year"]]


def test_a_delay_moves_projects_and_money_and_drops_what_comes_too_late(
    town: tuple[StoredRun, InstanceData],
) -> None:
    run, data = town
    stress = stress_plan(run, with_parameters(data, stress__delay_share=1.0), 1, 0)
    last = int(data.parameters["base_year"]) + int(data.parameters["num_years"]) - 1
    stay = run.projects[run.projects["year"] < last]
    assert 0 < len(stay) < len(run.projects)
    sample = stress.samples.iloc[0]
    assert sample["delayed"] == len(run.projects)
    assert sample["capacity"] == pytest.approx(stay["capacity"].sum())


def test_spread_is_that_of_the_section(town: tuple[StoredRun, InstanceData]) -> None:
    run, data = town
    varied = with_parameters(data, stress__prices_mean=0.8, stress__prices_sd=0.2)
    rng, under = np.random.default_rng(3), PlanUnderStress(run, varied)
    factors = np.array([under.draw(rng).factors["prices"] for _ in range(500)])
    assert factors.mean() == pytest.approx(0.8, abs=0.03) and factors.std() == pytest.approx(0.2, abs=0.03)
    assert (factors > 0).all()


def test_the_same_seed_draws_the_same(town: tuple[StoredRun, InstanceData]) -> None:
    one, same, other = (stress_plan(*town, 2, seed).samples for seed in (1, 1, 2))
    assert one.equals(same) and not one.equals(other)


def test_budgets_keep_what_earlier_years_leave() -> None:
    keys = [("city", 2022), ("city", 2023), ("owner", 2022)]
    budget = np.array([10.0, 10.0, np.nan])
    spent = np.array([[4.0, 13.0, 99.0], [4.0, 14.0, 99.0], [11.0, 10.0, 0.0]])
    assert kept_within(spent, budget, keys, 0.5).tolist() == [
        [True, True, True],
        [True, False, True],
        [False, True, True],
    ]


def test_command(
    runs: dict[str, list[Path]], command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    run = runs["pv_siting"][0]
    code, out, err = command("stress", run, "--samples", "3", "--csv", tmp_path / "s")
    assert (code, err) == (0, "") and "all hard targets met" in out and "PV-50MW" in out
    with (tmp_path / "s" / "samples.csv").open(encoding="utf-8-sig", newline="") as stream:
        samples = list(csv.DictReader(stream))
    assert len(samples) == 3 and {"factor_costs", "delayed", "npv"} <= set(samples[0])
    code, out, _ = command("stress", run, "--samples", "3", "--json")
    content: dict[str, Any] = json.loads(out)
    assert code == 0 and content["samples"] == 3 and 0 <= content["all_share"] <= content["all_budgets_share"]
    assert {"goals", "clauses", "budgets", "conditions"} <= set(content)


def test_calls_that_make_no_sense_are_refused(
    runs: dict[str, list[Path]], command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    run = runs["pv_siting"][0]
    assert command("stress", run, "--samples", "0")[0] == 2
    assert command("stress", tmp_path)[0] == 2
    assert command("stress", run, "--instance", tmp_path)[0] == 2
    with pytest.raises(UsageError, match="at least one sample"):
        stress_run(read_run(run, PROGRAMMES), PROGRAMMES, 0, 0)


def test_the_section_is_checked(towns: Path, command: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = command(
        "check", towns / "pv_siting", "--set", "stress.costs_sd=-1", "--set", "stress.cost_sd=0.1"
    )
    assert code == 2 and "stress.costs_sd" in err and "stress.cost_sd" in err

"""Studies of a plan that is revised: contracts are not asked about, cancellation costs count everywhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optimize.io.run_instance import read_instance_of
from optimize.registry import PROGRAMMES
from optimize.studies.plan_model import load_plan_model
from optimize.studies.robust_question import draw_cases, tail_value
from optimize.studies.robust_recount import recount_cases
from optimize.studies.stored_runs import read_run
from optimize.studies.stress import PlanUnderStress

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def revised(
    towns: Path,
    solve: Callable[..., Path],
    runs: dict[str, list[Path]],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path, str]:
    """The PV template with its plan in force and less money, the run of that, and a contracted site."""
    town = tmp_path_factory.mktemp("revised") / "town"
    shutil.copytree(towns / "pv_siting", town)
    plan = pd.read_csv(runs["pv_siting"][0] / "projects.csv", encoding="utf-8-sig", keep_default_na=False)
    plan = plan[["site", "configuration", "offer", "year", "mix", "kw"]]
    plan = plan.assign(
        state=np.where(np.arange(len(plan)) == 0, "contracted", "proposed"), cancellation_cost_cny=50_000.0
    )
    # dropping what is not worth its cost is owed for, and so it is worth more than nothing
    plan.loc[len(plan)] = ["gone", "roof50", "", 2025, "own", 50.0, "budgeted", 50_000.0]
    plan.to_csv(town / "pv_siting" / "plan_in_force.csv", index=False)
    run = solve(town, town.parent / "results", "--gap", "1e-6", "--set", "budgets.scale=0.6")
    return town, run, str(plan["site"].iloc[0])


def test_run_is_verified_and_tells_its_changes(revised: tuple[Path, Path, str], command: Command) -> None:
    _, run, site = revised
    code, out, err = command("verify", run)
    assert code == 0 and "VERIFIED" in out, out + err
    changes = pd.read_csv(run / "changes.csv", encoding="utf-8-sig")
    assert len(changes) and site not in set(changes["site"])
    figures = json.loads((run / "summary.json").read_text(encoding="utf-8"))["figures"]
    assert figures["changes"] == changes["weight"].sum()


def test_contracts_are_explained_as_such(revised: tuple[Path, Path, str], command: Command) -> None:
    _, run, site = revised
    code, out, err = command("explain", run, site)
    assert code == 0 and "it stays: it is contracted" in out, out + err


def test_contracts_are_not_late(revised: tuple[Path, Path, str]) -> None:
    run = read_run(revised[1], PROGRAMMES)
    data = read_instance_of(run.folder, run.manifest, run.programme, PROGRAMMES)[1]
    testing = PlanUnderStress(run, data)
    place = list(testing.tables["projects"]["site"]).index(revised[2])
    assert not testing.may_be_late[place] and testing.may_be_late.sum() == len(testing.may_be_late) - 1
    delayed = np.array([testing.draw(np.random.default_rng(seed)).delayed for seed in range(60)])
    assert delayed.any() and not delayed[:, place].any()


def test_sampled_cases_count_cancellation_costs(revised: tuple[Path, Path, str]) -> None:
    """What a robust plan is chosen by is what the checker recounts in every case."""
    model = load_plan_model(read_run(revised[1], PROGRAMMES), PROGRAMMES)
    assert model is not None
    part = model.parts[0]
    programme, stated = part.programme, part.stated
    assert programme.restate_options is not None and stated.plan_of is not None
    cases = draw_cases(programme, part.data, 2, 0)
    restated = programme.restate_options(part.instance, ("npv",))
    told = tail_value(programme, part.data, stated, restated, cases, 0.5).cases(model.x)
    solution = stated.plan_of(model.x)
    report = programme.check(part.instance, solution)
    assert report.figures["cancellation_cost"] > 0
    drawn = [(case.factors, case.own) for case in cases]
    assert told == pytest.approx(recount_cases(programme, part.data, solution, report, drawn), rel=1e-9)


def test_front_of_value_and_changes(revised: tuple[Path, Path, str], command: Command) -> None:
    code, out, err = command(
        "front", revised[0], "--programme", "pv_siting", "--goals", "npv,changes", "--points", "3", "--json",
        "--set", "budgets.scale=0.6", "--time-limit", "40",
    )  # fmt: skip
    assert code == 0, out + err
    points = json.loads(out)["points"]
    changes = [point["changes"] for point in points]
    assert len(points) >= 2 and changes == sorted(changes, reverse=True)

"""`optimize robust` against enumerating plans, dearer projects and cases, counted by the checker's arithmetic."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from optimize.engine import contest
from optimize.errors import FailedCheck, UsageError
from optimize.io.instance_folder import read_instance
from optimize.io.run_store import read_summary, read_text_table
from optimize.io.validation import data_from_draft
from optimize.milp import FloatArray
from optimize.programme import Programme, SolveOptions
from optimize.pv_siting.programme import PROGRAMME as PV
from optimize.registry import PROGRAMMES
from optimize.schema import InstanceData
from optimize.studies.factors import with_factors
from optimize.studies.robust import find_robust
from optimize.studies.robust_plans import Place, Question, Robustness
from optimize.studies.robust_question import draw_cases
from optimize.studies.robust_recount import mean_of_worst, recount_budgets, refuse_broken
from optimize.studies.stress import kept_within
from tests.pv_siting.conftest import simple_draft

_OPTIONS = SolveOptions(gap=1e-9, time_limit_s=30.0)
_CARRIED = 0.6


@pytest.fixture(scope="module")
def data() -> InstanceData:
    """Three sites, a funding mix with a ceiling, money that is carried over in part, budgets that bind."""
    draft = simple_draft()
    configurations = draft.tables["configurations"]
    kept = configurations[configurations["configuration"].isin(["roof50", "roof100"])]
    funding = pd.DataFrame(
        [
            ("*", "shared", "municipal", 0.5, 150_000.0, False),
            ("*", "shared", "district", 0.5, math.nan, True),
        ],
        columns=["project_kind", "mix", "source", "share", "ceiling_cny", "takes_rest"],
    )
    budgets = pd.DataFrame(
        [(source, year, cny) for source, cny in (("municipal", 240_000.0), ("East", 330_000.0), ("West", 160_000.0))
         for year in (2024, 2025)],
        columns=["source", "year", "amount_cny"],
    )  # fmt: skip
    tables = {**draft.tables, "configurations": kept, "funding": funding, "budgets": budgets}
    parameters = {
        **draft.parameters,
        "budgets.carry_over_share": _CARRIED,
        "robust.cost_deviation": 0.3,
        "pv_siting.emc.allowed": False,
        "pv_siting.first_share": 0.0,
    }
    changed = dataclasses.replace(draft, tables=tables, parameters=parameters)
    return data_from_draft(PV.schema, changed)


class Town:
    """Every option of a small instance as a plan by itself, and all plans of them."""

    def __init__(self, programme: Programme, data: InstanceData) -> None:
        self.programme, self.data = programme, data
        instance = programme.load(data)
        stated = programme.state_arrays(instance, ("npv",))
        assert stated is not None and stated.plan_of is not None
        self.solutions: list[Any] = []
        self.of_candidate: dict[int, list[int]] = {}
        for column in np.flatnonzero(stated.candidate >= 0):
            x = np.zeros(stated.milp.num_columns)
            x[column] = 1.0
            self.of_candidate.setdefault(int(stated.candidate[column]), []).append(len(self.solutions))
            self.solutions.append(stated.plan_of(x))
        # options that no site and year tell apart are counted one after another
        apart: dict[tuple[str, int], int] = {}
        self.batches: list[list[int]] = []
        for number, solution in enumerate(self.solutions):
            project = solution.projects.iloc[0]
            batch = apart.get((project["site"], project["year"]), 0)
            apart[project["site"], project["year"]] = batch + 1
            if batch == len(self.batches):
                self.batches.append([])
            self.batches[batch].append(number)
        money = programme.check(instance, self.solutions[0]).money
        self.keys = list(zip(money["source"], money["year"].astype(int), strict=True))
        self.budget = money["budget_cny"].to_numpy(np.float64)
        self.npv, self.paid = self.counted({})
        _, self.paid_at_worst = self.counted({"costs": 1.0 + float(data.parameters["robust.cost_deviation"])})

    def counted(
        self, factors: Mapping[str, float], own: Mapping[str, FloatArray] | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Value of each option, and what it pays of each budget, by the checker's arithmetic."""
        assert self.programme.recount_projects is not None
        instance = self.programme.load(with_factors(self.programme, self.data, factors, own))
        npv, paid = np.zeros(len(self.solutions)), np.zeros((len(self.solutions), len(self.keys)))
        for options in self.batches:
            projects = pd.concat([self.solutions[k].projects for k in options], ignore_index=True)
            together = dataclasses.replace(self.solutions[options[0]], projects=projects)
            figures = self.programme.recount_projects(instance, together)
            npv[options] = figures.npv_cny
            option_of = dict(zip(zip(projects["site"], projects["year"], strict=True), options, strict=True))
            for row in figures.payments.to_dict("records"):
                key = self.keys.index((row["source"], int(row["year"])))
                paid[option_of[row["id"], row["year"]], key] += row["amount_cny"]
        return npv, paid

    def plans(self) -> list[list[int]]:
        choices = [[-1, *options] for options in self.of_candidate.values()]
        return [[option for option in chosen if option >= 0] for chosen in itertools.product(*choices)]

    def withstands(self, plan: list[int], gamma: float) -> bool:
        """Every set of projects turns out dearer, year by year, with what each year then leaves."""
        spent = []
        for dearer in itertools.combinations(plan, int(min(gamma, len(plan)))):
            rest = [option for option in plan if option not in dearer]
            spent.append(self.paid[rest].sum(axis=0) + self.paid_at_worst[list(dearer)].sum(axis=0))
        return bool(kept_within(np.array(spent), self.budget, self.keys, _CARRIED).all())


@pytest.fixture(scope="module")
def town(data: InstanceData) -> Town:
    return Town(PV, data)


def robust(
    data: InstanceData,
    question: Question,
    folder: Path,
    results: Path,
    programme: Programme = PV,
    gap: float = _OPTIONS.gap,
) -> Robustness:
    options = dataclasses.replace(_OPTIONS, gap=gap)
    found = find_robust(programme, data, question, options, Place(results, folder, {}))
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["pv_siting", "datacenter"])
def test_options_under_other_figures_are_what_the_checker_counts(name: str, towns: Path) -> None:
    """Dearer, with other prices and yields and more demand: value and payments of one option a candidate."""
    part = read_instance(towns / name, PROGRAMMES).programmes[0]
    programme = part.programme
    instance = programme.load(part.data)
    stated = programme.state_arrays(instance, ("npv",))
    assert stated is not None and stated.plan_of is not None
    assert programme.restate_options is not None and programme.recount_projects is not None
    restated = programme.restate_options(instance, ("npv",))
    rng = np.random.default_rng(1)
    factors = {"costs": 1.4, "prices": 0.8, "yields": 0.9, "demand": 1.3}
    other = programme.load(with_factors(programme, part.data, factors))
    npv, payments = restated.npv_cny(other), restated.payments(other)
    for _ in range(3):
        x = np.zeros(stated.milp.num_columns)
        chosen = {}
        for candidate in np.unique(stated.candidate[stated.candidate >= 0]):
            column = int(rng.choice(np.flatnonzero(stated.candidate == candidate)))
            x[column] = 1.0
            chosen[stated.candidate_ids[candidate]] = column
        counted = programme.recount_projects(other, stated.plan_of(x))
        assert len(counted.ids) == len(chosen)
        assert npv[[chosen[name] for name in counted.ids]] == pytest.approx(counted.npv_cny, rel=1e-9)
        paid: dict[tuple[int, str, int], float] = {}
        for option, source, year, amount in zip(
            payments.option, payments.source, payments.year, payments.amount_cny, strict=True
        ):
            if x[option] > 0:
                key = (int(option), payments.sources[source], int(year))
                paid[key] = paid.get(key, 0.0) + float(amount)
        due = {
            (chosen[row["id"]], row["source"], int(row["year"])): row["amount_cny"]
            for row in counted.payments.to_dict("records")
        }
        assert paid == pytest.approx(due)


def test_gamma_agrees_with_enumeration(data: InstanceData, town: Town, towns: Path, tmp_path: Path) -> None:
    found = robust(
        data, Question(gammas=(0.0, 1.0, 2.0, math.inf), num_fresh=0), towns / "pv_siting", tmp_path
    )
    best_first = sorted(town.plans(), key=lambda plan: -town.npv[plan].sum())
    levels = {0.0: found.plain} | {plan.level: plan for plan in found.plans}
    best: list[float] = []
    for level, plan in sorted(levels.items()):
        best.append(next(town.npv[p].sum() for p in best_first if town.withstands(p, level)))
        assert plan.planned == pytest.approx(best[-1], rel=1e-6)
        assert plan.bound == pytest.approx(best[-1], rel=1e-6)
    assert best[0] > best[1] >= best[2]  # or the instance shows nothing
    for plan, own in zip(found.plans, best[1:], strict=True):
        assert plan.lost == pytest.approx(best[0] - own, rel=1e-5)
        assert plan.lost_low is not None and plan.lost_high is not None
        assert plan.lost_low <= plan.lost * (1 + 1e-9) and plan.lost_high >= plan.lost * (1 - 1e-9)
        assert plan.budgets is not None and (plan.budgets["room_cny"] >= -1.0).all()
    plain = found.plain.run
    assert plain is not None
    solution = PV.read_plan({path.stem: read_text_table(path) for path in plain.glob("*.csv")})
    report = PV.check(PV.load(data), solution)
    refuse_broken(PV, recount_budgets(PV, data, solution, report, 0.3, 0.0))
    with pytest.raises(FailedCheck, match="overspent"):
        refuse_broken(PV, recount_budgets(PV, data, solution, report, 0.3, 1.0))


def test_cases_agree_with_enumeration(data: InstanceData, town: Town, towns: Path, tmp_path: Path) -> None:
    spread = {
        "stress.prices_sd": 0.4,
        "stress.costs_sd": 0.4,
        "stress.project_costs_sd": 0.5,
        "stress.yields_sd": 0.0,
    }
    wild = dataclasses.replace(data, parameters={**data.parameters, **spread})
    question = Question(weights=(1.0,), alpha=0.6, num_cases=4, seed=3, num_fresh=0)
    found = robust(wild, question, towns / "pv_siting", tmp_path)
    drawn = draw_cases(PV, wild, 4, 3)
    npv = np.array([town.counted(case.factors, case.own)[0] for case in drawn])

    def worst(plan: list[int]) -> float:
        return mean_of_worst(npv[:, plan].sum(axis=1), question.tail)

    worths = sorted(((worst(plan), plan) for plan in town.plans()), key=lambda pair: -pair[0])
    best = next(value for value, plan in worths if town.withstands(plan, 0.0))
    (plan,) = found.plans
    assert plan.value == pytest.approx(best, rel=1e-6) == plan.bound
    assert found.plain.tail_cny is not None and found.plain.tail_cny <= best + 1.0
    assert plan.planned is not None and plan.planned <= found.plain.planned + 1.0  # type: ignore[operator]
    assert plan.mean_cny is not None and plan.tail_cny == plan.value


def test_dearer_data_centres_whole_and_by_ordinary_programmes(
    towns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both recounts pass, more robust is never better, and the large way agrees with the exact one."""
    part = read_instance(towns / "datacenter", PROGRAMMES, overrides={"budgets.scale": 0.6}).programmes[0]

    def found(*gammas: float, gap: float = _OPTIONS.gap) -> Robustness:
        question = Question(gammas=gammas, num_fresh=0)
        return robust(part.data, question, towns / "datacenter", tmp_path, part.programme, gap)

    exact = found(1.0, math.inf)
    values = [plan.planned for plan in (exact.plain, *exact.plans)]
    assert all(value is not None for value in values)
    assert values == sorted(values, reverse=True) and values[0] > values[-1]  # type: ignore[type-var,operator]
    assert all(plan.gap is not None and plan.gap < 1e-6 for plan in exact.plans)
    monkeypatch.setattr(contest, "_WHOLE_COLUMNS", 0)
    (large,) = found(1.0, gap=0.01).plans
    assert large.value is not None and large.bound is not None and values[1] is not None
    assert large.value <= values[1] * (1 + 1e-9) and large.bound >= values[1] * (1 - 1e-9)
    assert large.value == pytest.approx(values[1], rel=0.02)


def test_a_stop_keeps_what_is_found(data: InstanceData, towns: Path, tmp_path: Path) -> None:
    interrupt = threading.Event()
    options = dataclasses.replace(_OPTIONS, interrupt=interrupt)

    def told(words: str) -> None:
        if words == "robust at 2 projects":
            interrupt.set()

    question = Question(gammas=(1.0, 2.0, math.inf), num_fresh=0)
    found = find_robust(PV, data, question, options, Place(tmp_path, towns / "pv_siting", {}), told)
    assert found is not None and found.not_begun == (1.0,)
    assert found.plans[-1].level == math.inf and found.plans[-1].run is not None


def test_water_and_other_goals_are_refused(towns: Path, tmp_path: Path) -> None:
    water = read_instance(towns / "water", PROGRAMMES).programmes[0]
    with pytest.raises(UsageError, match="no robust plans"):
        robust(water.data, Question(gammas=(1.0,)), towns / "water", tmp_path, water.programme)


def test_command(towns: Path, command: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    where = ("--results", tmp_path / "r")
    code, out, err = command(
        "robust", towns / "pv_siting", "--gamma", "0,all", "--fresh", "1", "--json", "--csv", tmp_path / "c", *where
    )  # fmt: skip
    assert code == 0, out + err
    content = json.loads(out)
    assert [row["level"] for row in content["robust"]] == [0.0, "all"] and content["not_begun"] == []
    assert content["asked"]["cost_deviation"] == 0.2
    for row in content["robust"]:
        assert row["planned"] <= row["bound"] * (1 + 1e-9) and 0 <= row["fresh_budgets_share"] <= 1
        assert read_summary(Path(row["run"]))["checked"]
    assert read_summary(Path(content["robust"][1]["run"]))["robust"]["gamma"] == "all"
    assert {path.name for path in (tmp_path / "c").iterdir()} == {"robust.csv", "budgets.csv"}
    assert command("verify", content["robust"][1]["run"])[0] == 0
    code, out, err = command(
        "robust", towns / "datacenter", "--cvar", "0.8", "--samples", "4", "--fresh", "0", *where
    )
    assert (code, err) == (0, "") and "worst 20 %" in out and "weight of the worst" in out


def test_every_fault_at_once(towns: Path, command: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = command(
        "robust", towns / "pv_siting", "--json", "--gamma=-1,x,2", "--cvar", "1", "--weight", "0",
        "--samples", "1", "--fresh", "-2", "--set", "budgets.scale=-1",
    )  # fmt: skip
    assert code == 2
    faults = json.loads(out)["faults"]
    assert [(f["column"], f["found"]) for f in faults[:7]] == [
        ("--gamma or --cvar", "both"), ("--gamma", "-1"), ("--gamma", "x"), ("--cvar", "1"),
        ("--weight", "0"), ("--samples", "1"), ("--fresh", "-2"),
    ]  # fmt: skip
    assert faults[7]["column"] == "budgets.scale"


def test_nothing_uncertain_is_a_fault(towns: Path, command: Callable[..., tuple[int, str, str]]) -> None:
    town = towns / "pv_siting"
    code, _, err = command("robust", town, "--gamma", "1", "--set", "robust.cost_deviation=0")
    assert code == 2 and "robust.cost_deviation" in err
    still = [
        w
        for n in ("costs", "project_costs", "yields", "prices", "demand")
        for w in ("--set", f"stress.{n}_sd=0")
    ]
    code, _, err = command("robust", town, "--cvar", "0.9", *still)
    assert code == 2 and "a spread above 0" in err
    assert command("robust", town)[0] == 2
    assert command("robust", town, "--gamma", "1", "--goal", "joy")[0] == 2
    assert command("robust", town, "--cvar", "0.9", "--goal", "co2")[0] == 2


def test_what_cannot_be_withstood_is_said(
    towns: Path, command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    call = ("robust", towns / "pv_siting", "--gamma", "3", "--fresh", "0", "--results", tmp_path)
    code, out, err = command(*call, "--set", "robust.cost_deviation=4.5")
    assert (code, err) == (3, "") and "3 projects: no plan can withstand this" in out
    assert len(list(tmp_path.glob("*/*/*/summary.json"))) == 1  # the plan without robustness

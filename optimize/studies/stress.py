"""A plan under other costs, yields, prices, demand and delays than it was made for.

Each sample multiplies the raw tables, delays some projects, and lets the programme's checker count the
plan anew: nothing of the plan is chosen again.  Factors are logarithmic normal with the mean and
standard deviation of the instance's ``[stress]`` section; CAPEX varies in common and, besides, by row.
A project that comes later than the last investment year is not built within the programme.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optimize.checking import CheckReport
from optimize.clauses import CLAUSES
from optimize.errors import UsageError
from optimize.io.run_instance import read_instance_of
from optimize.io.run_store import read_text_table
from optimize.milp import BoolArray, FloatArray
from optimize.programme import Programme
from optimize.revision import contracted_ids
from optimize.schema import InstanceData
from optimize.studies.factors import with_factors
from optimize.studies.stored_runs import StoredRun

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_COSTS = "costs"
# Spending above a budget by less than this share of it is rounding.
_WITHIN = 1e-6
# Rows of the models are numbered; other equations of a checker compare figures, which have to move.
_MODEL_ROW = re.compile(r"[A-Z]+[0-9]+")
_BUDGET_ROWS = ("P5", "R3", "W12")
_YEARS = ("year", "later_year")


@dataclass(frozen=True)
class Stress:
    """What the samples say.

    Attributes
    ----------
    samples : one row per sample: its factors, ``delayed`` projects, and every figure.
    goals : per goal: name, unit, planned, mean, and the quantiles.
    clauses : per clause: id, where, sense, required, unit, planned, met_share, and quantiles of what
        is reached.
    budgets : per source and year: budget_cny, planned_cny, kept_share, and the 95 % quantile spent.
    conditions : rows of the model that some samples break: equation, broken_share, an example.
    all_clauses_share, all_budgets_share, all_share : of samples that meet all of them.
    negative_share : of samples in which the plan's net present value is negative; NaN: no such goal.
    """

    programme: Programme
    seed: int
    samples: pd.DataFrame
    goals: pd.DataFrame
    clauses: pd.DataFrame
    budgets: pd.DataFrame
    conditions: pd.DataFrame
    all_clauses_share: float
    all_budgets_share: float
    all_share: float
    negative_share: float

    @property
    def num_samples(self) -> int:
        return len(self.samples)


@dataclass(frozen=True)
class _Drawn:
    factors: Mapping[str, float]
    own: Mapping[str, FloatArray]
    delayed: BoolArray


def stress_run(
    run: StoredRun,
    programmes: Sequence[Programme],
    num_samples: int,
    seed: int,
    instance: Path | None = None,
    told: Callable[[int], None] = lambda done: None,
) -> Stress:
    """Sample and count.

    Raises
    ------
    UsageError : no samples, or the run's instance is not there or has changed.
    """
    if num_samples < 1:
        raise UsageError("a stress test needs at least one sample")
    _, data = read_instance_of(run.folder, run.manifest, run.programme, programmes, instance)
    return stress_plan(run, data, num_samples, seed, told)


def stress_plan(
    run: StoredRun,
    data: InstanceData,
    num_samples: int,
    seed: int,
    told: Callable[[int], None] = lambda done: None,
) -> Stress:
    """`stress_run` on the run's instance as it has been read."""
    testing = PlanUnderStress(run, data)
    planned = testing.counted(testing.nothing())
    rng = np.random.default_rng(seed)
    draws, reports = [], []
    for number in range(num_samples):
        drawn = testing.draw(rng)
        draws.append(drawn)
        reports.append(testing.counted(drawn))
        told(number + 1)
    return _summed_up(run.programme, data, seed, planned, draws, reports)


class PlanUnderStress:
    """One run's plan, counted under other figures."""

    def __init__(self, run: StoredRun, data: InstanceData) -> None:
        self.programme, self.data = run.programme, data
        self.tables = {path.stem: read_text_table(path) for path in sorted(run.folder.glob("*.csv"))}
        # Only plans with payments by project can have one of them moved.
        self.movable = len(run.projects) if run.payments is not None else 0
        self.may_be_late = np.ones(self.movable, np.bool_)
        if self.movable:  # when a contracted project comes is settled
            (key,) = run.programme.project_tables[0].id
            contracted = list(contracted_ids(data.tables, key))
            self.may_be_late = ~self.tables["projects"][key].isin(contracted).to_numpy(np.bool_)
        self.last_year = int(data.parameters["base_year"]) + int(data.parameters["num_years"]) - 1

    def nothing(self) -> _Drawn:
        return _Drawn({}, {}, np.zeros(self.movable, np.bool_))

    def draw(self, rng: np.random.Generator) -> _Drawn:
        parameters = self.data.parameters
        factors = {
            factor.name: float(
                _factor(
                    rng, parameters[f"stress.{factor.name}_mean"], parameters[f"stress.{factor.name}_sd"], 1
                )[0]
            )
            for factor in self.programme.factors
        }
        own = {}
        spread = float(parameters["stress.project_costs_sd"])
        for factor in self.programme.factors:
            if factor.name == _COSTS:
                for place in factor.columns:
                    rows = len(self.data.tables[place.partition(".")[0]])
                    own[place] = _factor(rng, 1.0, spread, rows)
        delayed = rng.random(self.movable) < float(parameters["stress.delay_share"])
        return _Drawn(factors, own, delayed & self.may_be_late)

    def counted(self, drawn: _Drawn) -> CheckReport:
        """The checker's report on the plan, with delays, under the drawn figures."""
        data = with_factors(self.programme, self.data, drawn.factors, drawn.own)
        plan = self.programme.read_plan(self._delayed(drawn.delayed))
        return self.programme.check(self.programme.load(data), plan)

    def _delayed(self, delayed: BoolArray) -> dict[str, pd.DataFrame]:
        if not delayed.any():
            return self.tables
        projects = self.tables["projects"].copy()
        (key,) = self.programme.project_tables[0].id
        late = projects.index[delayed]
        over = np.zeros(len(projects), np.bool_)
        for column in _YEARS:
            if column in projects:
                year = projects[column].astype(np.int64)
                moved = year.where((year == 0) | ~delayed, year + 1)
                over |= (moved > self.last_year).to_numpy()
                projects[column] = moved.astype(str)
        payments = self.tables["payments"].copy()
        is_late = payments[key].isin(projects.loc[late, key])
        year = payments["year"].astype(np.int64)
        payments["year"] = year.where(~is_late, year + 1).astype(str)
        gone = set(projects.loc[over, key])
        return self.tables | {
            "projects": projects[~over].reset_index(drop=True),
            "payments": payments[~payments[key].isin(gone)].reset_index(drop=True),
        }


def _factor(rng: np.random.Generator, mean: float, sd: float, number: int) -> FloatArray:
    """Logarithmic normal with this mean and standard deviation."""
    variance = np.log1p((float(sd) / float(mean)) ** 2)
    return np.asarray(float(mean) * np.exp(rng.normal(-0.5 * variance, np.sqrt(variance), number)))


# --- summing up -----------------------------------------------------------------------------------


def _summed_up(
    programme: Programme,
    data: InstanceData,
    seed: int,
    planned: CheckReport,
    draws: Sequence[_Drawn],
    reports: Sequence[CheckReport],
) -> Stress:
    samples = pd.DataFrame(
        [
            {f"factor_{name}": value for name, value in drawn.factors.items()}
            | {"delayed": int(drawn.delayed.sum())}
            | dict(report.figures)
            for drawn, report in zip(draws, reports, strict=True)
        ]
    )
    clauses, met = _clauses(planned, reports)
    budgets, kept = _budgets(data, planned, reports)
    hard = np.array([outcome.target.hard for outcome in planned.clauses], dtype=np.bool_)
    all_met, all_kept = met[:, hard].all(axis=1), kept.all(axis=1)
    has_npv = "npv" in samples
    return Stress(
        programme=programme,
        seed=seed,
        samples=samples,
        goals=_goals(programme, planned, samples),
        clauses=clauses,
        budgets=budgets,
        conditions=_conditions(reports),
        all_clauses_share=float(all_met.mean()),
        all_budgets_share=float(all_kept.mean()),
        all_share=float((all_met & all_kept).mean()),
        negative_share=float((samples["npv"] < 0).mean()) if has_npv else float("nan"),
    )


def _quantiles(values: FloatArray) -> dict[str, float]:
    return {f"p{round(100 * q):02d}": float(np.quantile(values, q)) for q in QUANTILES}


def _goals(programme: Programme, planned: CheckReport, samples: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {"goal": g.name, "en": g.en, "zh": g.zh, "unit": g.unit, "planned": planned.figures[g.name]}
        | {"mean": float(samples[g.name].mean())}
        | _quantiles(samples[g.name].to_numpy(np.float64))
        for g in programme.goals
    ]
    return pd.DataFrame(rows)


def _clauses(planned: CheckReport, reports: Sequence[CheckReport]) -> tuple[pd.DataFrame, BoolArray]:
    reached = np.array([[c.reached for c in report.clauses] for report in reports], dtype=np.float64)
    met = np.array([[c.met for c in report.clauses] for report in reports], dtype=np.bool_)
    reached = reached.reshape(len(reports), len(planned.clauses))
    met = met.reshape(len(reports), len(planned.clauses))
    rows = [
        {
            "clause": outcome.target.id, "where": outcome.where, "en": outcome.target.clause.en,
            "sense": outcome.target.clause.sense, "required": outcome.target.required,
            "unit": outcome.target.clause.unit, "hard": outcome.target.hard,
            "planned": outcome.reached, "met_share": float(met[:, k].mean()),
        }
        | _quantiles(reached[:, k])
        for k, outcome in enumerate(planned.clauses)
    ]  # fmt: skip
    return pd.DataFrame(rows), met


def _budgets(
    data: InstanceData, planned: CheckReport, reports: Sequence[CheckReport]
) -> tuple[pd.DataFrame, BoolArray]:
    """Spending of each source and year against its budget and what earlier years could leave it."""
    money = planned.money.reset_index(drop=True)
    place = {key: k for k, key in enumerate(zip(money["source"], money["year"].astype(int), strict=True))}
    spent = np.zeros((len(reports), len(money)))
    for number, report in enumerate(reports):
        keys = zip(report.money["source"], report.money["year"].astype(int), strict=True)
        for key, amount in zip(keys, report.money["spent_cny"], strict=True):
            if key in place:
                spent[number, place[key]] = amount
    budget = money["budget_cny"].to_numpy(np.float64)
    kept = kept_within(spent, budget, list(place), float(data.parameters["budgets.carry_over_share"]))
    limited = np.flatnonzero(np.isfinite(budget))
    frame = pd.DataFrame(
        {
            "source": money["source"].iloc[limited].to_numpy(),
            "year": money["year"].iloc[limited].astype(int).to_numpy(),
            "budget_cny": budget[limited],
            "planned_cny": money["spent_cny"].iloc[limited].to_numpy(np.float64),
            "kept_share": kept[:, limited].mean(axis=0),
            "p95_cny": np.quantile(spent[:, limited], 0.95, axis=0) if len(limited) else np.zeros(0),
        }
    )
    return frame, kept[:, limited]


def kept_within(
    spent: FloatArray, budget: FloatArray, keys: Sequence[tuple[Any, int]], carry_share: float
) -> BoolArray:
    """Which budgets hold, shape of ``spent`` (samples, budgets); what is left is carried to the next year.

    Parameters
    ----------
    budget : shape (budgets,), NaN: unlimited.
    keys : source and year of each.
    """
    kept = np.ones(spent.shape, np.bool_)
    carried: dict[tuple[Any, int], FloatArray] = {}
    for k, (source, year) in sorted(enumerate(keys), key=lambda item: item[1][1]):
        if not np.isfinite(budget[k]):
            continue
        there = budget[k] + carried.get((source, year - 1), np.zeros(len(spent)))
        kept[:, k] = spent[:, k] <= there + _WITHIN * max(1.0, abs(budget[k]))
        carried[source, year] = carry_share * np.maximum(there - spent[:, k], 0.0)
    return kept


def _conditions(reports: Sequence[CheckReport]) -> pd.DataFrame:
    """Rows of the model beside budgets and clauses that samples break, the most often broken first."""
    counts: dict[str, int] = {}
    examples: dict[str, str] = {}
    for report in reports:
        broken = {
            v.equation: f"{v.where}: {v.required}"
            for v in reversed(report.violations)
            if _MODEL_ROW.fullmatch(v.equation)
            and v.equation not in _BUDGET_ROWS
            and v.where.partition(" ")[0] not in CLAUSES
            and not _is_number(v.required)
        }
        for equation, example in broken.items():
            counts[equation] = counts.get(equation, 0) + 1
            examples.setdefault(equation, example)
    rows = [(e, counts[e] / len(reports), examples[e]) for e in sorted(counts, key=lambda e: (-counts[e], e))]
    return pd.DataFrame(rows, columns=["equation", "broken_share", "example"])


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True

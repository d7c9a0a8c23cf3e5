"""Robust plans of a choice programme, beside the plan without robustness: what they cost and what they buy.

Every plan is checked twice, its ordinary rows by the programme's checker and what it has to withstand by
`robust_recount`, and stored as a run like any other.  A run's bound is the one without robustness, which
holds for every plan; what is proven about robust plans stands in its summary under ``robust``.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from optimize.checking import CheckReport
from optimize.engine.budgeted_rows import BudgetedRows
from optimize.engine.contest import Contest, ContestOutcome, WorstCases, WorstRows, solve_contest
from optimize.engine.tail_value import TailValue
from optimize.errors import FailedCheck, InputFaults, UsageError
from optimize.io.run_store import read_text_table
from optimize.milp import FloatArray
from optimize.programme import Programme, RestatedOptions, SolveOptions, StatedArrays
from optimize.report.store import store_run
from optimize.report.summary import summarise_run
from optimize.result import Result, StopReason
from optimize.schema import InstanceData
from optimize.solve import Solved, solve
from optimize.studies.plan_model import plan_point, settled_plan
from optimize.studies.robust_plans import (
    NoPlan,
    Place,
    Question,
    Robustness,
    RobustPlan,
    named_level,
    with_losses,
)
from optimize.studies.robust_question import (
    DEVIATION,
    Case,
    budgeted_rows,
    draw_cases,
    engine_for,
    tail_value,
    unstated,
)
from optimize.studies.robust_recount import (
    mean_of_worst,
    overspent,
    recount_budgets,
    recount_cases,
    refuse_broken,
    refuse_different,
)
from optimize.studies.stored_runs import read_run
from optimize.studies.stress import Stress, stress_plan

_ENGINE = "robust"


def find_robust(
    programme: Programme,
    data: InstanceData,
    question: Question,
    options: SolveOptions,
    place: Place,
    told: Callable[[str], None] = lambda words: None,
) -> Robustness | None:
    """The plans; None where the targets cannot be met at all.

    Parameters
    ----------
    options : one goal; the limits hold for each solve.

    Raises
    ------
    InputFaults : the instance states nothing uncertain.
    UsageError : a programme without single projects, or a goal that cases do not have.
    NoPlan : none without robustness in time.
    FailedCheck : a plan fails one of its checks.
    """
    refuse_unsuitable(programme, question, options.goal)
    faults = unstated(data, by_cost=question.by_cost)
    if faults:
        raise InputFaults(faults)
    study = _Study(programme, data, question, options, place, told)
    return study.robustness()


def refuse_unsuitable(programme: Programme, question: Question, goals: Sequence[str]) -> None:
    """Raise UsageError where the programme or the goal has no robust plans."""
    if programme.restate_options is None or programme.recount_projects is None:
        raise UsageError(
            f"{programme.name} has no robust plans: its arrays hold no single projects; "
            "`optimize stress` tests a plan of it"
        )
    if len(goals) != 1:
        raise UsageError("a robust plan has one goal")
    if not question.by_cost and goals != ("npv",):
        raise UsageError("cases vary the net present value; leave --goal at npv")


class _Study:
    def __init__(
        self,
        programme: Programme,
        data: InstanceData,
        question: Question,
        options: SolveOptions,
        place: Place,
        told: Callable[[str], None],
    ) -> None:
        self.programme, self.data, self.question = programme, data, question
        self.options, self.place, self.told = options, place, told
        self.goal = options.goal[0]
        self.tested: dict[tuple[str, ...], Stress] = {}
        self.points: dict[float, tuple[FloatArray, Solved]] = {}
        self.started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")

    def robustness(self) -> Robustness | None:
        self.told("the plan without robustness")
        began = time.monotonic()
        plain = solve(self.programme, self.data, self.options)
        if plain.result.stop is StopReason.INFEASIBLE:
            return None
        if plain.result.solution is None or plain.check is None:
            raise NoPlan(
                "no plan within the limits, so that there is none to compare with; give more (--time-limit)"
            )
        self.plain, self.instance = plain, plain.instance
        seconds = time.monotonic() - began
        if not plain.check.passed:
            raise FailedCheck(f"the plan without robustness failed its check: {plain.check.violations[0]}")
        self._state(seconds)
        first = self._described(0.0, plain.result.stop, self.x, plain, seconds, plain.result.bound)
        found = self._levels()
        first = self._best_plain(first, found)
        found = [self._with_overspent_without(plan) for plan in found]
        plans = with_losses(self.question, first, found, maximise=self.milp.maximise)
        reached = {0.0, *(plan.level for plan in plans)}
        return Robustness(
            self.programme,
            self.goal,
            self.question,
            float(self.data.parameters[DEVIATION]),
            first,
            plans,
            tuple(level for level in self.question.levels if level not in reached),
        )

    def _state(self, seconds: float) -> None:
        """The arrays with the plan without robustness as a point of them, and what varies."""
        stated = self.programme.state_arrays(self.instance, (self.goal,))
        assert stated is not None and self.programme.restate_options is not None
        objective = stated.objectives[self.goal]
        self.stated: StatedArrays = stated
        self.milp = stated.milp.with_objective(objective.cost, objective.maximise, objective.offset)
        self.restated: RestatedOptions = self.programme.restate_options(self.instance, (self.goal,))
        self.engine = engine_for(stated)
        self.plain_run = self._stored(self.plain, {"level": 0.0}, seconds)
        point = plan_point(stated, self.milp, read_text_table(self.plain_run / "projects.csv"))
        self.x: FloatArray = settled_plan(self.milp, point)
        self.cases: list[Case] = []
        self.values: TailValue | None = None
        if not self.question.by_cost:
            self.cases = draw_cases(self.programme, self.data, self.question.num_cases, self.question.seed)
            self.values = tail_value(
                self.programme, self.data, stated, self.restated, self.cases, self.question.tail, self.told
            )

    # --- levels ---------------------------------------------------------------------------------------

    def _levels(self) -> list[RobustPlan]:
        """The most robust first: its plan withstands the others too."""
        found: list[RobustPlan] = []
        for level in sorted(self.question.levels, reverse=True):
            if self.options.interrupt.is_set():
                break
            if level == 0.0:
                continue
            self.told(f"robust at {named_level(self.question, level)}")
            began = time.monotonic()
            outcome = self._solved(level)
            seconds = time.monotonic() - began
            if outcome.x is None:
                found.append(RobustPlan(level, outcome.stop, None, outcome.bound, seconds=seconds))
                continue
            solved = self._as_solved(outcome)
            self.points[level] = (outcome.x, solved)
            found.append(self._described(level, outcome.stop, outcome.x, solved, seconds, outcome.bound))
        return found[::-1]

    def _solved(self, level: float) -> ContestOutcome:
        """One level, from the best of the plans in hand."""
        certificate = self.plain.result.certificate
        multipliers = None if certificate is None else certificate.multipliers
        if multipliers is not None and len(multipliers) != self.milp.num_rows:
            multipliers = None
        contest, sign = self._contest(level), 1.0 if self.milp.maximise else -1.0
        worth = [(contest.worth(self.milp, x), x) for x in (self.x, *(x for x, _ in self.points.values()))]
        standing = [(sign * value, x) for value, x in worth if value is not None]
        return solve_contest(
            self.milp,
            contest,
            self.options,
            self.engine,
            start=max(standing, key=lambda item: item[0])[1] if standing else None,
            near=self.x,
            row_multipliers=multipliers,
            bound=self.plain.result.bound if self.question.by_cost else None,
        )

    def _best_plain(self, first: RobustPlan, found: Sequence[RobustPlan]) -> RobustPlan:
        """The plan without robustness, or a robust one that the longer search has made better than it."""
        sign = 1.0 if self.milp.maximise else -1.0
        known = [plan for plan in found if plan.planned is not None]
        best = max(known, key=lambda plan: sign * _number(plan.planned), default=first)
        if sign * _number(best.planned) <= sign * _number(first.planned):
            return first
        self.plain = self.points[best.level][1]
        value = best.planned if self.question.by_cost else best.mean_cny
        return dataclasses.replace(
            first,
            value=value,
            planned=best.planned,
            mean_cny=best.mean_cny,
            tail_cny=best.tail_cny,
            fresh=best.fresh,
            run=best.run,
        )

    def _contest(self, level: float) -> Contest:
        if self.values is not None:
            return WorstCases(dataclasses.replace(self.values, weight=level))
        return WorstRows(dataclasses.replace(self._budgeted_rows, most=level))

    @cached_property
    def _budgeted_rows(self) -> BudgetedRows:
        return budgeted_rows(self.programme, self.data, self.stated, self.restated, 0.0)

    def _as_solved(self, outcome: ContestOutcome) -> Solved:
        """The plan as that of an ordinary solve: checked, with the bound that holds for all plans."""
        assert outcome.x is not None and self.stated.plan_of is not None
        plain = self.plain.result
        solution = self.stated.plan_of(outcome.x)
        report = self.programme.check(self.instance, solution)
        told = self.milp.value(outcome.x)
        if not report.passed:
            raise FailedCheck(f"a plan of {self.programme.name} failed its check: {report.violations[0]}")
        refuse_different(self.programme, self.goal, told, report.figures[self.goal])
        bound = plain.bound
        if bound is not None:
            bound = max(bound, told) if plain.maximise else min(bound, told)
        result: Result[Any] = Result(
            stop=StopReason.SEARCH_ENDED,
            solution=solution,
            objective=told,
            bound=bound,
            maximise=plain.maximise,
            goal=plain.goal,
            engine=_ENGINE,
            certificate=plain.certificate,
            prices=plain.prices,
        )
        return Solved(self.instance, result, report)

    def _described(
        self,
        level: float,
        stop: StopReason,
        x: FloatArray,
        solved: Solved,
        seconds: float,
        bound: float | None,
    ) -> RobustPlan:
        """The plan recounted, stored and put through fresh samples."""
        assert solved.check is not None and solved.result.objective is not None
        planned = float(solved.result.objective)
        plan = RobustPlan(level, stop, planned, bound, planned=planned, seconds=seconds)
        if self.values is None:
            budgets = self._recounted_budgets(level, solved.result.solution, solved.check)
            plan = dataclasses.replace(plan, budgets=budgets)
        else:
            plan = self._with_cases(plan, x, solved)
        run = self.plain_run if level == 0.0 else self._stored(solved, self._summary(plan), seconds)
        return dataclasses.replace(plan, run=run, fresh=self._fresh(run, level))

    def _recounted_budgets(self, level: float, solution: Any, report: CheckReport) -> pd.DataFrame:
        deviation = float(self.data.parameters[DEVIATION])
        budgets = recount_budgets(self.programme, self.data, solution, report, deviation, level)
        if level > 0:
            refuse_broken(self.programme, budgets)
        return budgets

    def _with_overspent_without(self, plan: RobustPlan) -> RobustPlan:
        """With the number of budgets that the plan without robustness could overspend at this level."""
        if not self.question.by_cost:
            return plan
        assert self.plain.check is not None
        deviation = float(self.data.parameters[DEVIATION])
        solution, report = self.plain.result.solution, self.plain.check
        budgets = recount_budgets(self.programme, self.data, solution, report, deviation, plan.level)
        return dataclasses.replace(plan, overspent_without=len(overspent(budgets)))

    def _with_cases(self, plan: RobustPlan, x: FloatArray, solved: Solved) -> RobustPlan:
        assert self.values is not None and solved.check is not None
        goal = dataclasses.replace(self.values, weight=plan.level)
        self.told(f"recounting the plan in {len(self.cases)} cases")
        cases = recount_cases(
            self.programme,
            self.data,
            solved.result.solution,
            solved.check,
            [(case.factors, case.own) for case in self.cases],
        )
        mean, tail = float(cases.mean()), mean_of_worst(cases, self.question.tail)
        value = (1.0 - plan.level) * mean + plan.level * tail
        refuse_different(self.programme, "the goal over the cases", goal.of(x), value)
        bound = plan.bound if plan.level > 0 else None
        return dataclasses.replace(plan, value=value, bound=bound, mean_cny=mean, tail_cny=tail)

    def _summary(self, plan: RobustPlan) -> dict[str, Any]:
        """What the run's summary says about robustness."""
        question = self.question
        asked: dict[str, Any] = (
            {"gamma": plan.level, "cost_deviation": float(self.data.parameters[DEVIATION])}
            if question.by_cost
            else {
                "alpha": question.alpha,
                "weight": plan.level,
                "cases": question.num_cases,
                "seed": question.seed,
                "mean_cny": plan.mean_cny,
                "tail_cny": plan.tail_cny,
            }
        )
        if math.isinf(plan.level):
            asked["gamma"] = "all"
        return asked | {
            "value": plan.value,
            "bound": plan.bound,
            "gap": plan.gap,
            "stop_reason": plan.stop.value,
        }

    def _stored(self, solved: Solved, robust: Mapping[str, Any], seconds: float) -> Path:
        summary = summarise_run(self.programme, self.data, solved, self.options, seconds)
        summary |= {"robust": dict(robust)}
        folder = store_run(
            self.place.results,
            self.place.instance,
            self.programme,
            self.data,
            solved,
            self.options,
            summary,
            self.place.overrides,
            self.started,
        )
        assert folder is not None
        return folder

    def _fresh(self, run: Path, level: float) -> Stress | None:
        """The stored plan under samples it was not made for, the same ones for every plan."""
        if self.question.num_fresh == 0 or self.options.interrupt.is_set():
            return None
        # Levels often have the same plan.
        stored = read_run(run, [self.programme])
        same = tuple(stored.projects["id"] + " " + stored.projects["decision"])
        if same not in self.tested:
            named = "without robustness" if level == 0.0 else f"at {named_level(self.question, level)}"
            number = self.question.num_fresh
            self.tested[same] = stress_plan(
                stored,
                self.data,
                number,
                self.question.seed + 1,
                lambda done: self.told(f"the plan {named} in fresh sample {done} of {number}"),
            )
        return self.tested[same]


def _number(value: float | None) -> float:
    assert value is not None
    return value

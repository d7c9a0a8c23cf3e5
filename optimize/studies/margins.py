"""What a little more of each budget, and a little less of each target, is worth: whole plans solved again.

With plan z and bound B as it is, z' and B' with the change, the best plan gains at least z' - B and at
most B' - z.  Shadow prices hold for the first coin only; these answers hold for the whole step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from optimize.clauses import ClauseTarget
from optimize.errors import UsageError
from optimize.programme import Goal, Programme, SolveOptions
from optimize.report.text import money, percent
from optimize.result import StopReason
from optimize.schema import InstanceData
from optimize.studies.front_questions import Found
from optimize.studies.margin_questions import MarginQuestions, margin_questions_of
from optimize.studies.stated_levels import SharedTime

# The smallest step a planner would take back of a target, in its own unit.
_LAST_UNIT = {"count": 1.0, "share": 0.01}
_LAST_SHARE = 0.01
# The plan as it is, with which all are compared, has the time of so many steps.
_PARTS_OF_BASE = 3.0


@dataclass(frozen=True)
class Margin:
    """One step: ``gain`` of the plans found, between ``low`` and ``high`` for the best there are.

    Attributes
    ----------
    what : source of a budget, or clause of a target.
    step : in words.
    amount, unit : of the step.
    gain, low, high : in the goal's unit; None where there is no plan or no bound.
    """

    what: str
    step: str
    amount: float
    unit: str
    gain: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Nested:
    """All budgets raised step by step, earlier choices kept, beside choosing anew.

    ``price`` is what keeping them costs, between ``low`` and ``high``.
    """

    share: float
    free_value: float | None
    nested_value: float | None
    price: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Margins:
    programme: Programme
    goal: str
    value: float
    bound: float | None
    budgets: tuple[Margin, ...]
    targets: tuple[Margin, ...]
    nested: tuple[Nested, ...]


def find_margins(
    programme: Programme,
    data: InstanceData,
    options: SolveOptions,
    shares: Sequence[float],
    *,
    sources: Sequence[str] = (),
    nested: bool = False,
    told: Callable[[str], None] = lambda words: None,
) -> Margins | None:
    """Margins of every budget by source (all its years in proportion) and of every target.

    Parameters
    ----------
    options : one goal; the gap holds for each solve, the time limit for all together.
    shares : steps of the budgets, ascending, as shares of them.
    sources : budgets asked for; () means all, and all together.

    Returns
    -------
    None : the targets cannot be met as it is.

    Raises
    ------
    UsageError : several goals, an unknown source, or no plan in time.
    """
    if len(options.goal) != 1:
        raise UsageError("margins are of one goal")
    time = SharedTime(options)
    questions = margin_questions_of(programme, data, options.goal[0], time, nested=nested)
    study = _Study(questions, list(data.targets.values()), programme.goal(options.goal[0]), time, told)
    return study.margins(programme, sorted(shares), sources, nested)


class _Study:
    def __init__(
        self, questions: MarginQuestions, targets: Sequence[ClauseTarget], goal: Goal, time: SharedTime,
        told: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.questions, self.goal, self.time, self.told = questions, goal, time, told
        # a cap of nothing (safety) is not for sale
        self.targets = [target for target in targets if target.required > 0]
        self.sign = 1.0 if goal.maximise else -1.0

    def margins(
        self, programme: Programme, shares: Sequence[float], sources: Sequence[str], nested: bool
    ) -> Margins | None:
        budgets_of = self.questions.budgets_cny()
        unknown = [name for name in sources if name not in budgets_of]
        if unknown:
            raise UsageError(f"no budget of {', '.join(unknown)}; there are those of {', '.join(budgets_of)}")
        chosen = {source: cny for source, cny in budgets_of.items() if not sources or source in sources}
        num_steps = len(chosen) * len(shares) + len(self.targets) + (2 * len(shares) if nested else 0)
        self.time.expect(_PARTS_OF_BASE + num_steps)
        self.told("the plan as it is")
        base = self.questions.base(_PARTS_OF_BASE)
        if base.stop is StopReason.INFEASIBLE:
            return None
        if base.value is None:
            raise UsageError("no plan within the limits; give more (--time-limit)")
        self.told(self._answer(base))
        budgets = [
            self._margin(
                base, partial(self.questions.raised, source, share), f"budget {source}", source,
                f"+{100 * share:g} %", share * cny, "CNY",
            )
            for source, cny in chosen.items()
            for share in shares
        ]  # fmt: skip
        targets = [self._of_target(base, target) for target in self.targets]
        chain = self._nested(shares) if nested else ()
        return Margins(
            programme, self.goal.name, base.value, base.bound, tuple(budgets), tuple(targets), chain
        )

    def _of_target(self, base: Found, target: ClauseTarget) -> Margin:
        amount = _LAST_UNIT.get(target.clause.unit, _LAST_SHARE * abs(target.required))
        eased = amount if target.clause.sense == "<=" else -amount
        ask = partial(self.questions.asking, target, max(target.required + eased, 0.0))
        words = f"{'+' if eased > 0 else '−'}{amount:g}"
        return self._margin(base, ask, f"target {target.id}", target.id, words, amount, target.clause.unit)

    def _margin(
        self, base: Found, ask: Callable[[], Found], question: str, what: str, step: str, amount: float,
        unit: str,
    ) -> Margin:  # fmt: skip
        if self.time.is_over:
            return Margin(what, step, amount, unit, None, None, None)
        self.told(f"{question} {step}")
        found = ask()
        self.told(self._answer(found))
        if found.value is None or base.value is None:
            return Margin(what, step, amount, unit, None, None, None)
        low = None if base.bound is None else max(self.sign * (found.value - base.bound), 0.0)
        high = None if found.bound is None else max(self.sign * (found.bound - base.value), low or 0.0)
        # The plan as it is keeps every row that gives way.
        gain = max(self.sign * (found.value - base.value), 0.0)
        return Margin(what, step, amount, unit, gain, low, high)

    def _answer(self, found: Found) -> str:
        if found.value is None:
            return "  no plan found in its time"
        value, gap = money(found.value, self.goal.unit), percent(found.gap)
        return f"  {value} · gap {gap} · {self.time.remaining_s:.0f} s left"

    def _nested(self, shares: Sequence[float]) -> tuple[Nested, ...]:
        chain = []
        for share in shares:
            if self.time.is_over:
                chain.append(Nested(share, None, None, None, None, None))
                continue
            self.told(f"all budgets +{100 * share:g} %, earlier choices kept")
            chain.append(_price(share, *self.questions.nested(share), self.sign))
        return tuple(chain)


def _price(share: float, free: Found, held: Found, sign: float) -> Nested:
    if free.value is None or held.value is None:
        return Nested(share, free.value, held.value, None, None, None)
    price = max(sign * (free.value - held.value), 0.0)
    low = None if held.bound is None else max(sign * (free.value - held.bound), 0.0)
    high = None if free.bound is None else max(sign * (free.bound - held.value), low or 0.0)
    return Nested(
        share,
        max(free.value, held.value) if sign > 0 else min(free.value, held.value),
        held.value,
        price,
        low,
        high,
    )


def margins_tables(margins: Margins) -> dict[str, pd.DataFrame]:
    """The margins as frames by the names of their files."""
    names = [field.name for field in dataclasses.fields(Margin)]
    tables = {
        "budgets": pd.DataFrame([dataclasses.asdict(m) for m in margins.budgets], columns=names),
        "targets": pd.DataFrame([dataclasses.asdict(m) for m in margins.targets], columns=names),
    }
    if margins.nested:
        tables["nested"] = pd.DataFrame([dataclasses.asdict(n) for n in margins.nested])
    return tables

"""Why a project is in the plan or not: what is lost without it, what it would cost, what stops it.

For a chosen project the programme is solved again without it (*lock-out*), for one left out with it
(*force-in*).  The difference of the best plans is known up to the gaps: with plan z and bound B of the
programme, z' and B' of the variant, the best variant is worse by at least z - B' and at most B - z'.
Where that interval holds 0 the two are called indistinguishable.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from optimize.errors import UsageError
from optimize.finance import discount_factor
from optimize.milp import FloatArray, IntArray
from optimize.programme import SolveOptions
from optimize.result import Relaxation
from optimize.studies.explain_rows import forced, shortfalls
from optimize.studies.factors import with_factors
from optimize.studies.plan_model import ModelPart, PlanModel
from optimize.studies.resolve import Answer, Resolver

Question = Literal["without", "with"]
# Rows and projects told of each answer.
_MOST_STOPPING, _MOST_CHANGED = 4, 6
# Money and effects below this share of the objective are rounding.
_ROUNDING = 1e-9
_SHORT = 1e-6
_PRICE_STEP = 0.01
# Spending within a budget, and what it leaves for the next year.
_ROWS_OF_A_BUDGET = 2
# Columns of a ranking.
RANKING = ("id", "name", "district", "decision", "capex_cny", "approx_value")


@dataclass(frozen=True)
class StoppingRow:
    """A budget, target or capacity in the way.

    ``short`` : by how much, in ``unit``, when the project is added to the plan as it is (0: not);
    ``worth`` : what it takes of the row is worth elsewhere at the run's shadow prices, in the goal's
    unit (NaN: no price).
    """

    name: str
    unit: str
    short: float
    worth: float


@dataclass(frozen=True)
class BreakEven:
    """From where on a project left out would be as good as what stands in its place.

    ``subsidy_cny`` : present value; ``capex_cut_share`` : of its CAPEX, once, in its year;
    ``price_factor`` : times today's prices of what it saves or sells; None where there is none.
    """

    subsidy_cny: float
    capex_cut_share: float | None
    price_factor: float | None


@dataclass(frozen=True)
class Explanation:
    """What is known of one project; values in the goal's unit, positive: the plan gets worse.

    Attributes
    ----------
    decision : how it is done in the plan, or its best way at the shadow prices; "" where nothing fits.
    question : what was changed; None where there was nothing to solve.
    loss : by how much the best plan found with the change is worse than the best one known, from 0.
    low, high : proven interval of the loss between the best plans there are (None: not bounded).
    approx_value : value at the run's shadow prices against doing nothing (NaN: none stored).
    impossible : no plan has the change; ``relaxations`` are the smallest ways out.
    supposing : what the answer supposes of what was not planned anew ("": nothing).
    forbidden : why it takes no part at all, in words ("" where it does).
    own_value : of its best option alone.
    enters, leaves : projects that come and go when the programme is solved again.
    better_by : by how much the best plan known by now is better than the run's own (0: the run's is the best).
    """

    id: str
    name: str
    district: str
    chosen: bool
    decision: str
    question: Question | None
    loss: float | None = None
    low: float | None = None
    high: float | None = None
    approx_value: float = float("nan")
    impossible: bool = False
    relaxations: tuple[Relaxation, ...] = ()
    forbidden: str = ""
    own_value: float | None = None
    stopping: tuple[StoppingRow, ...] = ()
    break_even: BreakEven | None = None
    enters: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    supposing: str = ""
    better_by: float = 0.0

    @property
    def indistinguishable(self) -> bool:
        """The gaps leave open whether anything is lost at all."""
        return self.low is None or (self.low <= 0.0 and (self.high is None or self.high > 0.0))


class Explainer:
    """Answers about the projects of one run."""

    def __init__(self, model: PlanModel, options: SolveOptions) -> None:
        self.model = model
        self.options = options
        self._resolver: Resolver | None = None
        self._place = places_of(model.parts)
        self._sign = 1.0 if model.milp.maximise else -1.0
        self._worth = _values_at_prices(model)
        # "All budgets in proportion" is the sum of the others.
        self._named = [g for g in model.elastic if g.unit != "CNY" or len(g.rows) <= _ROWS_OF_A_BUDGET]

    @property
    def resolver(self) -> Resolver:
        if self._resolver is None:
            self._resolver = Resolver(self.model, self.options)
        return self._resolver

    def find(self, names: Sequence[str]) -> list[int]:
        """Positions of projects by their ids.

        Raises
        ------
        UsageError : with the nearest ids for each that is unknown.
        """
        unknown = [name for name in names if name not in self._place]
        if unknown:
            raise UsageError(unknown_words(unknown, list(self._place), self.kind))
        return [self._place[name] for name in names]

    @property
    def known(self) -> list[str]:
        """The ids there are."""
        return list(self._place)

    @property
    def kind(self) -> str:
        """What a project is, in a planner's word."""
        kinds = [part.stated.candidate_kind for part in self.model.parts]
        return kinds[0] if len(kinds) == 1 else "project"

    def explain(self, candidate: int) -> Explanation:
        """Everything about one project, the programme solved again for it."""
        chosen = self.model.chosen_column(candidate)
        if chosen >= 0:
            return self._without(candidate, chosen)
        columns = self.model.columns_of(candidate)
        if not len(columns):
            return self._plain(candidate, -1, None, forbidden=self._why_no_option(candidate))
        return self._with(candidate, columns)

    def rank(self) -> pd.DataFrame:
        """The plan's projects by their value at the shadow prices (by CAPEX where there are none).

        Columns: id, name, district, decision, capex_cny, approx_value; the most important first.
        """
        names = {place: name for name, place in self._place.items()}
        rows = []
        for part in self.model.parts:
            own = {name: k + part.first_candidate for k, name in enumerate(part.stated.candidate_ids)}
            for project in part.projects.itertuples():
                place = own[str(project.id)]
                _, shown, district = part.about(place)
                approx = self._approx_value(place, self.model.chosen_column(place))
                told = (names[place], shown, district, project.decision, project.capex_cny, approx)
                rows.append(told)
        frame = pd.DataFrame(rows, columns=RANKING)
        by = "capex_cny" if self._worth is None else "approx_value"
        return frame.sort_values(by, ascending=False, kind="stable", ignore_index=True)

    # --- the two questions ---

    def _without(self, candidate: int, chosen: int) -> Explanation:
        model = self.model
        contract = model.part_of(candidate).contract_on(candidate)
        if contract:
            return self._plain(
                candidate, chosen, None, forbidden=f"it stays: it is {contract.replace('_', ' ')}"
            )
        keeping = model.part_of(candidate).lock_on(candidate, ("force_in", "fix"))
        if keeping:
            return self._plain(candidate, chosen, None, forbidden=f"a lock ({keeping}) keeps it in")
        upper = model.milp.upper.copy()
        upper[model.columns_of(candidate)] = 0.0
        near = self.resolver.reference.x
        assert near is not None
        near = np.minimum(near, upper)
        idle = int(model.idle[candidate])
        if idle >= 0:
            near[idle] = 1.0
            if model.milp.upper[idle] == 0:
                return self._plain(candidate, chosen, "without", impossible=True)
        answer = self.resolver.solve(model.milp.with_bounds(model.milp.lower, upper), near)
        return self._answered(candidate, chosen, "without", answer)

    def _with(self, candidate: int, columns: IntArray) -> Explanation:
        model = self.model
        best = self._best_option(columns)
        milp = forced(model.milp, model.idle[candidate], columns)
        near = self.resolver.reference.x
        assert near is not None
        near = near.copy()
        near[best] = 1.0
        if model.idle[candidate] >= 0:
            near[model.idle[candidate]] = 0.0
        free = np.zeros(milp.num_columns, np.bool_)
        free[columns] = True
        answer = self.resolver.solve(milp, near, free)
        taken = best
        if answer.x is not None:
            taken = int(columns[np.argmax(answer.x[columns])])
        told = self._answered(candidate, taken, "with", answer)
        stopping = self._stopping(candidate, best)
        own = self._sign * float(model.milp.cost[best])
        break_even = None if told.loss is None else self._break_even(taken, told.loss)
        return dataclasses.replace(told, own_value=own, stopping=stopping, break_even=break_even)

    def _answered(self, candidate: int, column: int, question: Question, answer: Answer) -> Explanation:
        if answer.infeasible:
            return self._plain(candidate, column, question, impossible=True, relaxations=answer.relaxations)
        reference = self.resolver.reference
        assert reference.value is not None and reference.x is not None
        room = _ROUNDING * max(1.0, abs(reference.value))
        best = reference.value
        if answer.value is not None:  # with or without a project, a plan is one of the programme as it is
            best = self._sign * max(self._sign * best, self._sign * answer.value)
        loss = low = high = None
        if answer.value is not None:
            loss = _rounded(self._sign * (best - answer.value), room)
        if answer.bound is not None:
            low = max(_rounded(self._sign * (best - answer.bound), room), 0.0)
        if answer.value is not None and reference.bound is not None:
            high = max(_rounded(self._sign * (reference.bound - answer.value), room), low or 0.0)
        enters, leaves = ((), ()) if answer.x is None else self._changed(reference.x, answer.x, candidate)
        return self._plain(
            candidate, column, question, loss=loss, low=low, high=high, enters=enters, leaves=leaves,
            better_by=max(_rounded(self._sign * (best - self.model.value), room), 0.0),
        )  # fmt: skip

    def _plain(self, candidate: int, column: int, question: Question | None, **known: object) -> Explanation:
        part = self.model.part_of(candidate)
        name, shown, district = part.about(candidate)
        return Explanation(
            id=name,
            name=shown,
            district=district,
            chosen=self.model.chosen_column(candidate) >= 0,
            decision="" if column < 0 else part.words(column),
            question=question,
            supposing=self.model.remark,
            approx_value=self._approx_value(candidate, column),
            **known,  # type: ignore[arg-type]
        )

    # --- what is known without solving ---

    def _approx_value(self, candidate: int, column: int) -> float:
        if self._worth is None or column < 0:
            return float("nan")
        idle = int(self.model.idle[candidate])
        return float(self._worth[column] - (self._worth[idle] if idle >= 0 else 0.0))

    def _best_option(self, columns: IntArray) -> int:
        """The option with the best value at the shadow prices; by its own value where there are none."""
        value = self._sign * self.model.milp.cost if self._worth is None else self._worth
        return int(columns[np.argmax(value[columns])])

    def _why_no_option(self, candidate: int) -> str:
        keeping = self.model.part_of(candidate).lock_on(candidate, ("force_out", "fix"))
        if keeping:
            return f"a lock ({keeping}) keeps it out"
        return "nothing fits there: no option meets the technical conditions of its table row, or all would alone exceed a budget"

    def _changed(
        self, before: FloatArray, after: FloatArray, candidate: int
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Other projects that come and go."""
        model = self.model
        option = (model.candidate >= 0) & (model.candidate != candidate)
        comes = np.flatnonzero(option & (after > 0.5) & (before < 0.5))
        goes = np.flatnonzero(option & (before > 0.5) & (after < 0.5))
        new, old = set(model.candidate[comes].tolist()), set(model.candidate[goes].tolist())

        def ids(places: set[int]) -> list[str]:
            return sorted(model.part_of(place).about(place)[0] for place in places)

        enters = ids(new - old) + [f"{name} differently" for name in ids(new & old)]
        return tuple(enters), tuple(ids(old - new))

    def _stopping(self, candidate: int, option: int) -> tuple[StoppingRow, ...]:
        """Rows that the option breaks in the plan as it is, and what it takes of scarce ones."""
        model = self.model
        x = model.x.copy()
        x[option] = 1.0
        if model.idle[candidate] >= 0:
            x[model.idle[candidate]] = 0.0
        short, unnamed = shortfalls(model.with_any_budget(model.milp), x, self._named)
        worth = self._taken(option)
        rows = [
            StoppingRow(f"{group.clause} {group.where}".strip(), group.unit, float(short[k]), float(worth[k]))
            for k, group in enumerate(self._named)
            if short[k] > _SHORT * max(1.0, abs(group.required)) or worth[k] > 0.0
        ]
        rows.sort(key=lambda row: (row.short <= 0, -(0.0 if np.isnan(row.worth) else row.worth)))
        words = [StoppingRow(self._row_words(row), "", float("nan"), float("nan")) for row in unnamed]
        return (*words, *rows[:_MOST_STOPPING])

    def _row_words(self, row: int) -> str:
        names = self.model.milp.row_names
        block = "a row" if names is None else names[row].partition("[")[0]
        words = self.model.row_words
        first, _, rest = block.partition(" ")
        return words.get(block) or f"{words.get(first, first.replace('_', ' '))} {rest}".strip()

    def _taken(self, option: int) -> FloatArray:
        """What the option takes of each budget and target, at the shadow prices; NaN: no prices."""
        model = self.model
        if model.multipliers is None:
            return np.full(len(self._named), np.nan)
        use = np.asarray(model.milp.matrix[:, [option]].todense()).ravel()
        paid = self._sign * model.multipliers * use
        return np.array([float(paid[group.rows].sum()) for group in self._named])

    def _break_even(self, option: int, loss: float) -> BreakEven | None:
        """Only where the goal is money: what a project has to bring besides equals what it costs the plan."""
        model = self.model
        part = model.part_of(int(model.candidate[option]))
        if model.goal.unit != "CNY" or loss <= 0 or part.stated.plan_of is None:
            return None
        plan = part.plan_with_only(option)
        row = part.programme.plan_tables(part.instance, plan)["projects"].iloc[0]
        parameters = part.data.parameters
        year = int(row["year"]) - int(parameters["base_year"])
        now = loss / float(discount_factor(float(parameters["economics.discount_rate"]), year))
        capex = float(row["capex_cny"])
        return BreakEven(
            subsidy_cny=loss,
            capex_cut_share=now / capex if capex >= now > 0 else None,
            price_factor=self._price_factor(part, plan, loss),
        )

    def _price_factor(self, part: ModelPart, plan: object, loss: float) -> float | None:
        """Prices times this make up for ``loss``: the project alone, by the checker, at dearer prices."""
        programme, goal = part.programme, self.model.goal.name
        dearer = programme.load(with_factors(programme, part.data, {"prices": 1.0 + _PRICE_STEP}))
        now = programme.check(part.instance, plan).figures[goal]
        then = programme.check(dearer, plan).figures[goal]
        slope = self._sign * (then - now) / _PRICE_STEP
        return 1.0 + loss / slope if slope > _ROUNDING * max(1.0, abs(now)) else None


# --- parts ----------------------------------------------------------------------------------------


def places_of(parts: Sequence[ModelPart]) -> dict[str, int]:
    """Candidates by their ids; an id of several programmes after the programme's name: ``pv_siting/S1``."""
    number = Counter(name for part in parts for name in part.stated.candidate_ids)
    return {
        name if number[name] == 1 else f"{part.programme.name}/{name}": position
        for part in parts
        for position, name in enumerate(part.stated.candidate_ids, start=part.first_candidate)
    }


def unknown_words(unknown: Sequence[str], known: Sequence[str], kind: str) -> str:
    """What to type instead of ids that there are not."""
    words = []
    for name in unknown:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        words.append(f"'{name}'" + (f" (did you mean {', '.join(near)}?)" if near else ""))
    if not len(known):
        return f"no {kind} {', '.join(words)}"
    return f"no {kind} {', '.join(words)}; ids are those of the run's tables, e.g. {known[0]}"


def _rounded(value: float, room: float) -> float:
    return 0.0 if abs(value) <= room else float(value)


def _values_at_prices(model: PlanModel) -> FloatArray | None:
    """Value of each column less what it takes, at the run's multipliers; better is more."""
    if model.multipliers is None:
        return None
    sign = 1.0 if model.milp.maximise else -1.0
    return np.asarray(sign * (model.milp.cost - model.milp.matrix.T @ model.multipliers))

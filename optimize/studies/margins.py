"""What a little more of each budget, and a little less of each target, is worth: whole plans solved again.

With plan z and bound B as it is, z' and B' with the change, the best plan gains at least z' - B and at
most B' - z.  Shadow prices hold for the first coin only; these answers hold for the whole step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optimize.clauses import ClauseTarget
from optimize.errors import UsageError
from optimize.milp import FloatArray, IntArray, Milp
from optimize.programme import PricedRows, Programme, SolveOptions
from optimize.result import StopReason
from optimize.schema import InstanceData
from optimize.studies.stated_levels import Ladder, Point, StatedProgramme
from optimize.studies.sweep import data_at

ALL = "all sources"
# The smallest step a planner would take back of a target, in its own unit.
_LAST_UNIT = {"count": 1.0, "share": 0.01}
_LAST_SHARE = 0.01


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
    options : one goal; the limits hold for each solve.
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
    study = _Study(StatedProgramme(programme, data, options.goal), options, told)
    return study.margins(sorted(shares), sources, nested)


class _Study:
    def __init__(self, stated: StatedProgramme, options: SolveOptions, told: Callable[[str], None]) -> None:
        self.stated, self.options, self.told = stated, options, told
        self.milp = stated.milp_for(options.goal[0])
        self.sign = 1.0 if self.milp.maximise else -1.0
        self.ladder = Ladder(options)

    def margins(self, shares: Sequence[float], sources: Sequence[str], nested: bool) -> Margins | None:
        budgets_of = self._sources()
        unknown = [name for name in sources if name not in budgets_of]
        if unknown:
            raise UsageError(f"no budget of {', '.join(unknown)}; there are those of {', '.join(budgets_of)}")
        self.told("the plan as it is")
        base = self.ladder.solve(self.milp)
        if base.stop is StopReason.INFEASIBLE:
            return None
        if base.x is None or base.value is None:
            raise UsageError("no plan within the limits; give more (--time-limit)")
        self.stated.checked(base.x)
        budgets = []
        for source, groups in budgets_of.items():
            if sources and source not in sources:
                continue
            whole = sum(group.required for group in groups if len(groups) == 1 or not _is_total(group))
            for share in shares:
                words = f"+{100 * share:g} %"
                self.told(f"budget {source} {words}")
                changed = self._raised(groups, share)
                budgets.append(self._margin(base, changed, source, words, share * whole, "CNY"))
        targets = []
        for target in self._targets():
            amount = _LAST_UNIT.get(target.clause.unit, _LAST_SHARE * abs(target.required))
            eased = amount if target.clause.sense == "<=" else -amount
            self.told(f"target {target.id}")
            changed = self._asking(target, target.required + eased)
            words = f"{'+' if eased > 0 else '−'}{amount:g}"
            targets.append(self._margin(base, changed, target.id, words, amount, target.clause.unit))
        chain = self._nested(base, shares) if nested else ()
        goal = self.options.goal[0]
        return Margins(
            self.stated.programme, goal, base.value, base.bound, tuple(budgets), tuple(targets), chain
        )

    # --- what is changed ---

    def _sources(self) -> dict[str, list[PricedRows]]:
        """Budget rows by source; first all of them in proportion."""
        budgets = [g for g in self.stated.stated.priced if g.clause == "budget" and g.required > 0]
        found: dict[str, list[PricedRows]] = {}
        for group in budgets:
            found.setdefault(ALL if _is_total(group) else group.where.rpartition(" ")[0], []).append(group)
        first = {ALL: found.pop(ALL)} if ALL in found else {}
        return first | found

    def _targets(self) -> list[ClauseTarget]:
        """Targets that ask for something; a cap of nothing (safety) is not for sale."""
        return [target for target in self.stated.data.targets.values() if target.required > 0]

    def _asking(self, target: ClauseTarget, required: float) -> Milp:
        """Stated anew: a share is part of every coefficient of its row."""
        data = data_at(self.stated.data, f"targets.{target.id}.required", max(required, 0.0))
        return StatedProgramme(self.stated.programme, data, self.options.goal).milp_for(self.options.goal[0])

    def _raised(self, groups: Sequence[PricedRows], share: float) -> Milp:
        milp = self._moved([(group, share * group.required) for group in groups])
        # Money may be carried over up to a share of the budgets as they were.
        rest = ~milp.integral & np.isfinite(milp.upper) & (milp.cost == 0)
        return milp.with_bounds(milp.lower, np.where(rest, (1.0 + share) * milp.upper, milp.upper))

    def _moved(self, changes: Sequence[tuple[PricedRows, float]]) -> Milp:
        lower, upper = self.milp.row_lower.copy(), self.milp.row_upper.copy()
        for group, amount in changes:
            lower[group.rows] += amount * group.per_unit
            upper[group.rows] += amount * group.per_unit
        return dataclasses.replace(self.milp, row_lower=lower, row_upper=upper)

    def _margin(self, base: Point, changed: Milp, what: str, step: str, amount: float, unit: str) -> Margin:
        point = self.ladder.solve(changed)
        if point.value is None or base.value is None:
            return Margin(what, step, amount, unit, None, None, None)
        low = None if base.bound is None else max(self.sign * (point.value - base.bound), 0.0)
        high = None if point.bound is None else max(self.sign * (point.bound - base.value), low or 0.0)
        # The plan as it is keeps every row that gives way.
        gain = max(self.sign * (point.value - base.value), 0.0)
        return Margin(what, step, amount, unit, gain, low, high)

    # --- nested budgets ---

    def _nested(self, base: Point, shares: Sequence[float]) -> tuple[Nested, ...]:
        groups = self._sources().get(ALL) or [g for many in self._sources().values() for g in many]
        kept, chain = base.x, []
        for share in shares:
            self.told(f"all budgets +{100 * share:g} %, earlier choices kept")
            raised = self._raised(groups, share)
            assert kept is not None
            free, held = self.ladder.solve(raised), Ladder(self.options).solve(self._held(raised, kept))
            chain.append(_price(share, free, held, self.sign))
            kept = held.x if held.x is not None else kept
        return tuple(chain)

    def _held(self, milp: Milp, x: FloatArray) -> Milp:
        """``milp`` in which every project of ``x`` stays as it is."""
        stated = self.stated.stated
        has = stated.candidate >= 0
        chosen = np.zeros(len(stated.candidate_ids), np.bool_)
        chosen[stated.candidate[has & (x > 0.5)]] = True
        of_chosen = has & chosen[stated.candidate]
        upper = np.where(of_chosen & (x < 0.5), 0.0, milp.upper)
        resting = stated.idle[chosen & (stated.idle >= 0)]
        upper[resting] = 0.0
        lower = milp.row_lower.copy()
        choosing = choice_rows(milp, stated.candidate, len(stated.candidate_ids))[chosen]
        lower[choosing[choosing >= 0]] = 1.0
        return dataclasses.replace(milp, upper=upper, row_lower=lower)


def choice_rows(milp: Milp, candidate: IntArray, num_candidates: int) -> IntArray:
    """Row that lets each candidate choose at most one of its options; -1: none found. Shape (candidates,)."""
    counts = np.diff(milp.matrix.indptr)
    filled = np.flatnonzero((counts > 0) & (milp.row_upper == 1))
    matrix = sp.csr_array(milp.matrix[filled])
    starts = matrix.indptr[:-1]
    member = candidate[matrix.indices]
    least, most = np.minimum.reduceat(member, starts), np.maximum.reduceat(member, starts)
    ones = np.minimum.reduceat(matrix.data, starts) == np.maximum.reduceat(matrix.data, starts)
    size = np.bincount(candidate[candidate >= 0], minlength=num_candidates)
    whole = (least == most) & (least >= 0) & ones & (matrix.data[starts] == 1.0)
    whole &= np.diff(matrix.indptr) == size[np.maximum(least, 0)]
    rows = np.full(num_candidates, -1, dtype=np.int64)
    rows[least[whole]] = filled[whole]
    return rows


def _price(share: float, free: Point, held: Point, sign: float) -> Nested:
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


def _is_total(group: PricedRows) -> bool:
    return group.where.startswith("all sources")


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

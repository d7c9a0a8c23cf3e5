"""What a robust plan has to withstand, as rows and cases of a programme's arrays.

Costs by budgeted uncertainty: whichever few projects turn out dearer by the share ``robust.cost_deviation``
of their CAPEX, no budget of any source and year is overspent; what a year leaves goes on to the next as
it then is.  Values by sampled cases: the net present value of every option under the factors of the
instance's ``[stress]`` section.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from optimize.engine.budgeted_rows import BudgetedRows
from optimize.engine.contest import Engine
from optimize.engine.goals import GoalsOutcome, solve_goals
from optimize.engine.stopping import Watch
from optimize.engine.tail_value import TailValue
from optimize.errors import Fault
from optimize.milp import FloatArray, IntArray, Milp, Objective
from optimize.programme import OptionPayments, Programme, RestatedOptions, StatedArrays
from optimize.schema import InstanceData
from optimize.studies.factors import with_factors

COSTS = "costs"
DEVIATION = "robust.cost_deviation"
_SPREADS = ("costs", "project_costs", "yields", "prices", "demand")


@dataclass(frozen=True)
class Case:
    """One sample: a factor by name, and a further one for each row of a table's column."""

    factors: Mapping[str, float]
    own: Mapping[str, FloatArray]


def unstated(data: InstanceData, *, by_cost: bool) -> list[Fault]:
    """Faults where the instance says that nothing is uncertain."""
    if by_cost:
        if float(data.parameters[DEVIATION]) > 0:
            return []
        wanted = "by what share of its CAPEX a project may be dearer, above 0"
        return [Fault("instance.toml", DEVIATION, wanted, "0", f"--set {DEVIATION}=0.2")]
    if any(float(data.parameters[f"stress.{name}_sd"]) > 0 for name in _SPREADS):
        return []
    names = ", ".join(f"{name}_sd" for name in _SPREADS)
    return [Fault("instance.toml", "stress", f"a spread above 0: one of {names}", "0 everywhere",
                  "--set stress.prices_sd=0.1")]  # fmt: skip


def budgeted_rows(
    programme: Programme, data: InstanceData, stated: StatedArrays, restated: RestatedOptions, most: float
) -> BudgetedRows:
    """The budgets' rows, and by how much each option can overrun them.

    Row t of a source reads ``spent_t - carried_t-1 <= budget_t``.  With all that is left carried over in
    the share s, an overrun of year k < t lacks in t by ``s^(t-k)`` of it: the deviation in row t is the sum
    of those up to t.
    """
    instance = programme.load(data)
    worst = programme.load(with_factors(programme, data, {COSTS: 1.0 + float(data.parameters[DEVIATION])}))
    row_of = {
        _purse(priced.where): int(priced.rows[0])
        for priced in stated.priced
        if priced.clause == "budget" and priced.where.rpartition(" ")[2].isdecimal()
    }
    shape = stated.milp.matrix.shape
    dearer = sp.csr_array(
        _paid(restated.payments(worst), row_of, shape) - _paid(restated.payments(instance), row_of, shape)
    )
    share = float(data.parameters["budgets.carry_over_share"])
    lacking: dict[tuple[str, int], Any] = {}
    for source, year in sorted(row_of):
        own = dearer[[row_of[source, year]]]
        before = lacking.get((source, year - 1))
        lacking[source, year] = own if before is None or share == 0.0 else own + share * before
    deviation = sp.csr_array(sp.vstack([*lacking.values(), sp.csr_array((0, shape[1]))], format="csr"))
    # An overrun that takes less of a year is no harm to it.
    deviation.data = np.maximum(deviation.data, 0.0)
    deviation.eliminate_zeros()
    rows = np.array([row_of[key] for key in lacking], dtype=np.int64)
    return BudgetedRows(rows, deviation, stated.candidate, most)


def _purse(where: str) -> tuple[str, int]:
    source, _, year = where.rpartition(" ")
    return source, int(year)


def _paid(
    payments: OptionPayments, row_of: Mapping[tuple[str, int], int], shape: tuple[int, int]
) -> sp.csr_array:
    years = np.unique(payments.year)
    table = np.array([[row_of.get((s, int(y)), -1) for y in years] for s in payments.sources]).reshape(
        len(payments.sources), len(years)
    )
    row = table[payments.source, np.searchsorted(years, payments.year)]
    some = row >= 0
    place = (row[some], payments.option[some])
    return sp.csr_array((payments.amount_cny[some], place), shape=shape)


def draw_cases(programme: Programme, data: InstanceData, number: int, seed: int) -> list[Case]:
    """Samples of the factors of ``[stress]``, without delays; the same seed draws the same."""
    rng = np.random.default_rng(seed)
    return [_drawn(programme, data, rng) for _ in range(number)]


def _drawn(programme: Programme, data: InstanceData, rng: np.random.Generator) -> Case:
    factors = {
        factor.name: float(
            _factor(
                rng,
                float(data.parameters[f"stress.{factor.name}_mean"]),
                float(data.parameters[f"stress.{factor.name}_sd"]),
                1,
            )[0]
        )
        for factor in programme.factors
    }
    spread = float(data.parameters["stress.project_costs_sd"])
    own = {
        place: _factor(rng, 1.0, spread, len(data.tables[place.partition(".")[0]]))
        for factor in programme.factors
        if factor.name == COSTS
        for place in factor.columns
    }
    return Case(factors, own)


def _factor(rng: np.random.Generator, mean: float, sd: float, number: int) -> FloatArray:
    """Logarithmic normal with this mean and standard deviation."""
    variance = np.log1p((sd / mean) ** 2)
    return np.asarray(mean * np.exp(rng.normal(-0.5 * variance, np.sqrt(variance), number)))


def tail_value(
    programme: Programme,
    data: InstanceData,
    stated: StatedArrays,
    restated: RestatedOptions,
    cases: list[Case],
    tail: float,
    told: Callable[[str], None] = lambda words: None,
) -> TailValue:
    """Net present value of every option in every case, with weight 0; penalties of soft targets as planned."""
    objective = stated.objectives["npv"]
    cost = objective.cost
    planned = restated.npv_cny(programme.load(data))
    number = len(planned)
    values = np.zeros((len(cases), len(cost)))
    for position, case in enumerate(cases):
        told(f"valuing every option in case {position + 1} of {len(cases)}")
        instance = programme.load(with_factors(programme, data, case.factors, case.own))
        values[position, :number] = restated.npv_cny(instance)
    fixed = cost.copy()
    fixed[:number] -= planned
    return TailValue(values, fixed, tail, 0.0, objective.offset)


def engine_for(stated: StatedArrays) -> Engine:
    """The engine for the ordinary programmes of these arrays."""
    group: IntArray | None = None
    idle = np.flatnonzero(stated.idle >= 0)
    if len(idle):
        group = stated.candidate.copy()
        group[stated.idle[idle]] = idle

    def solved(
        milp: Milp, watch: Watch, start: FloatArray | None, row_multipliers: FloatArray | None
    ) -> GoalsOutcome:
        objective = Objective("goal", milp.cost, milp.maximise, milp.offset)
        limits = dataclasses.replace(watch.options, time_limit_s=watch.remaining(), progress=None)
        return solve_goals(
            milp, [objective], limits, start=start, watch=watch, group=group, row_multipliers=row_multipliers
        )

    return solved

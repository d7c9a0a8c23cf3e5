"""A proven bound on every split: multipliers of what the programmes share, answered by each programme.

With multipliers y of the shared rows (money by source and year, targets, heat) the city's programme falls
apart, and

    L(y) = y'b + sum_p max { c_p x - y'(use of x) : x in X_p }

bounds every joint plan (docs/formulations/city.md).  Programmes made of choices answer together: the
relaxation of `optimize.engine` prices all their linking rows at once.  The network answers by its averaged
linear relaxation, once for each set of prices; each answer is a cut on what it can be worth for the money it
takes, so that the next prices know of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimize.city.arrays import CityArrays, join_parts
from optimize.city.instance import WATER, City
from optimize.city.part import CityPart, MoneyRows
from optimize.city.parts import certified_arrays, in_order, money_only, without_water_links
from optimize.engine.certificate import linear_certificate
from optimize.engine.choice import LagrangianBound
from optimize.engine.choice_structure import find_structure
from optimize.engine.column_generation import relax_by_columns
from optimize.engine.column_relaxation import best_columns
from optimize.engine.highs import solve_lp
from optimize.engine.stopping import Watch
from optimize.milp import BlockNames, FloatArray, Milp, MilpBuilder, Objective
from optimize.result import Certificate, StopReason
from optimize.verification.bound import prove_bound

# Below this many integer columns the linear relaxation is solved as it stands.
_COLUMNS_FROM = 8_000
_MOST_ANSWERS = 6
_SHARE_OF_ANSWERS = 0.7
_SETTLED = 1e-4


@dataclass(frozen=True)
class Relaxed:
    """What a relaxation says.

    Attributes
    ----------
    bound : on the goal, in its own sense.
    x : its point; the split of it guides the search.
    row_duals : multipliers of the arrays' rows, d objective / d side.
    certificate : the closest there is for those rows.
    """

    arrays: CityArrays
    bound: float
    x: FloatArray
    row_duals: FloatArray
    certificate: Certificate

    @property
    def price_of_money(self) -> FloatArray:
        """What one CNY more of each source and year would add, shape (sources, years)."""
        sign = 1.0 if self.arrays.milp.maximise else -1.0
        rows = self.arrays.pool_rows
        duals = self.certificate.multipliers[np.maximum(rows, 0)]
        return np.where(rows >= 0, np.maximum(sign * duals, 0.0), 0.0)


@dataclass(frozen=True)
class Answer:
    """The network at given prices of money: its best worth less the money at these prices, and the proof."""

    price: FloatArray
    worth: float
    duals: FloatArray


@dataclass(frozen=True)
class CityBound:
    """A proven bound; ``certificate`` stands on the arrays of `parts.certified_arrays`."""

    bound: float
    certificate: Certificate


def relax(
    arrays: CityArrays, goal: str, watch: Watch, row_multipliers: FloatArray | None = None
) -> Relaxed | None:
    """The relaxation of the city's programme; None where it is not solved in time or has no point.

    Parameters
    ----------
    row_multipliers : shape (m,), of a similar programme: they choose the columns to begin with.
    """
    objective = arrays.objectives[goal]
    milp = arrays.milp.with_objective(objective.cost, objective.maximise, objective.offset)
    arrays = replace(arrays, milp=milp)
    if int(milp.integral.sum()) <= _COLUMNS_FROM:
        outcome = solve_lp(milp, watch)
        if outcome.x is None or outcome.row_duals is None:
            return None
        certificate = linear_certificate(milp, outcome.row_duals)
        return Relaxed(arrays, certificate.bound, outcome.x, outcome.row_duals, certificate)
    inner = watch.child(maximise=milp.maximise)
    inside = None if row_multipliers is None else best_columns(milp, arrays.group, row_multipliers)
    found = relax_by_columns(milp, arrays.group, inner, inside)
    if found.relaxation is None or found.row_duals is None:
        return None
    certificate = inner.certificate or linear_certificate(milp, found.row_duals)
    tighter = _with_exact_blocks(milp, found.row_duals, found.relaxation.x)
    if tighter is not None and _is_tighter(milp, tighter.bound, certificate.bound):
        certificate = tighter
    return Relaxed(arrays, certificate.bound, found.relaxation.x, found.row_duals, certificate)


def _is_tighter(milp: Milp, bound: float, than: float) -> bool:
    return bound < than if milp.maximise else bound > than


def _with_exact_blocks(milp: Milp, row_duals: FloatArray, x: FloatArray) -> Certificate | None:
    """The same multipliers with small knapsacks (feeders, sinks) solved exactly."""
    structure = find_structure(milp)
    if structure is None:
        return None
    bound = LagrangianBound(structure)
    bound.others = x[structure.others]
    prices = structure.sign * row_duals[structure.origin] / structure.scale
    prices = np.where(structure.equal, prices, np.maximum(prices, 0.0))
    return bound.certificate(milp, prices)


def bound_with_network(
    city: City, parts: Sequence[CityPart], network: CityPart, goal: str, guide: Relaxed | None, watch: Watch
) -> CityBound | None:
    """The bound where the network is relaxed, from prices that are answered until they settle.

    Parameters
    ----------
    guide : a relaxation of the city with the network as some plans: its prices are the first asked for, and
        with their answer a bound already.
    """
    price = np.zeros(city.pool_cny.shape) if guide is None else guide.price_of_money
    answers: list[Answer] = []
    best: CityBound | None = None
    while len(answers) < _MOST_ANSWERS and not watch.must_stop:
        answer = _answer(
            city, network, goal, price, watch.child(seconds=_SHARE_OF_ANSWERS * watch.remaining())
        )
        if answer is None:
            break
        answers.append(answer)
        if best is None and guide is not None:
            best = _joined(city, parts, network, goal, guide.certificate, answers, np.ones(1))
        cuts = _cuts_part(city, network, goal, answers)
        arrays = join_parts(without_water_links(city), in_order(city, parts, cuts), (goal,))
        known = None if guide is None else carried(guide.certificate, arrays)
        relaxed = relax(arrays, goal, watch.child(seconds=_SHARE_OF_ANSWERS * watch.remaining()), known)
        if relaxed is None:
            break
        found = _joined(
            city, parts, network, goal, relaxed.certificate, answers, _mixture(relaxed.certificate)
        )
        settled = best is not None and abs(best.bound - found.bound) <= _SETTLED * abs(best.bound)
        if best is None or _is_tighter(relaxed.arrays.milp, found.bound, best.bound):
            best = found
        if settled:
            break
        price = relaxed.price_of_money
    return best


def carried(certificate: Certificate, arrays: CityArrays) -> FloatArray:
    """Multipliers of the rows of the same names, shape (m,); 0 for the others."""
    names, known_names = arrays.milp.row_names, certificate.row_names
    assert isinstance(names, BlockNames)
    place = names.find([known_names[row] for row in range(len(certificate.multipliers))])
    multipliers = np.zeros(arrays.milp.num_rows)
    multipliers[place[place >= 0]] = certificate.multipliers[place >= 0]
    return multipliers


def _mixture(certificate: Certificate) -> FloatArray:
    """How much of each answer the multipliers take."""
    assert isinstance(certificate.row_names, BlockNames)
    return np.abs(certificate.multipliers[certificate.row_names.members(f"{WATER}.worth_of_money")])


def _answer(city: City, network: CityPart, goal: str, price: FloatArray, watch: Watch) -> Answer | None:
    """max worth - price of the money, over the relaxation; more is better whatever the goal's sense."""
    arrays = join_parts(money_only(city), [network], (goal,))
    objective = arrays.objectives[goal]
    sign = 1.0 if objective.maximise else -1.0
    cost = sign * objective.cost
    some = arrays.shares[0] >= 0
    cost[arrays.shares[0][some]] -= price[some]
    milp = arrays.milp.with_objective(cost, True)
    # each share alone is at most the pool; the rows over all programmes are priced instead
    milp = replace(milp, row_upper=np.where(_is_pool_row(arrays), np.inf, milp.row_upper))
    outcome = solve_lp(milp, watch)
    if outcome.stop is not StopReason.OPTIMAL or outcome.row_duals is None:
        return None
    certificate = linear_certificate(milp, outcome.row_duals)
    return Answer(price, certificate.bound, certificate.multipliers[: network.milp.num_rows])


def _is_pool_row(arrays: CityArrays) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    is_pool = np.zeros(arrays.milp.num_rows, dtype=np.bool_)
    is_pool[arrays.pool_rows[arrays.pool_rows >= 0]] = True
    return is_pool


def _cuts_part(city: City, network: CityPart, goal: str, answers: Sequence[Answer]) -> CityPart:
    """What the network can be worth for its money: worth <= answer + price' share, for every answer."""
    objective = network.objectives[goal]
    sign = 1.0 if objective.maximise else -1.0
    most = min(answer.worth + float((answer.price * city.pool_cny).sum()) for answer in answers)
    builder = MilpBuilder(maximise=True)
    least = min(answer.worth for answer in answers) - 1.0  # no share makes a cut lower than that
    worth = builder.add_columns("worth", 1, lower=least, upper=max(most, least))
    whole = builder.add_columns("whole", 1, lower=1.0, upper=1.0)
    zero = np.zeros(1, dtype=np.int64)
    rows, sources, years, per_cny = [], [], [], []
    for answer in answers:
        terms = [(zero, worth, 1.0), (zero, whole, -answer.worth)]
        row = int(builder.add_rows("worth_of_money", 1, terms, upper=0.0)[0])
        f, t = np.nonzero(answer.price)
        rows.append(np.full(len(f), row, dtype=np.int64))
        sources.append(f)
        years.append(t)
        per_cny.append(answer.price[f, t])
    cost = np.array([sign, 0.0])
    return CityPart(
        name=WATER,
        milp=builder.build(),
        objectives={goal: Objective(goal, cost, objective.maximise, objective.offset)},
        elastic=(),
        money=MoneyRows(
            np.concatenate(rows), np.concatenate(sources), np.concatenate(years), np.concatenate(per_cny)
        ),
        group=np.full(2, -1, dtype=np.int64),
        read_plan=network.read_plan,
    )


def _joined(
    city: City, parts: Sequence[CityPart], network: CityPart, goal: str, found: Certificate,
    answers: Sequence[Answer], mixture: FloatArray,
) -> CityBound:  # fmt: skip
    """What multipliers of the choices and the city, and the answers' in their mixture, prove together.

    They stand on `certified_arrays`; recomputed with outward rounding.
    """
    whole = certified_arrays(city, parts, network, (goal,))
    objective = whole.objectives[goal]
    milp = whole.milp.with_objective(objective.cost, objective.maximise, objective.offset)
    sign = 1.0 if objective.maximise else -1.0
    assert isinstance(milp.row_names, BlockNames) and isinstance(found.row_names, BlockNames)
    multipliers = np.zeros(milp.num_rows)
    place = milp.row_names.find([found.row_names[row] for row in range(len(found.multipliers))])
    known = place >= 0
    multipliers[place[known]] = found.multipliers[known]
    total = float(mixture.sum())
    own = np.zeros(network.milp.num_rows)
    for weight, answer in zip(mixture / total if total > 0 else mixture, answers, strict=False):
        own += weight * answer.duals
    first = int(whole.first_row[city.names.index(WATER)])
    multipliers[first : first + len(own)] = sign * own
    blocks = milp.row_names.find([found.row_names[int(row)] for row in found.block_rows])
    proven = prove_bound(milp, multipliers, blocks)
    kept = ~np.isnan(proven.block_bounds)
    multipliers[proven.left_out] = 0.0
    certificate = Certificate(
        kind=found.kind,
        bound=proven.bound,
        multipliers=multipliers,
        row_names=milp.row_names,
        block_rows=blocks[kept],
        block_bounds=proven.block_bounds[kept],
    )
    return CityBound(proven.bound, certificate)

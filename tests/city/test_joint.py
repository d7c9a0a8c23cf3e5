"""The joint plan against the whole city as one programme, and against enumeration."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from optimize.city import decomposition
from optimize.city import search as joint_search
from optimize.city.arrays import join_parts
from optimize.city.checker import moved_demands
from optimize.city.decomposition import Steps
from optimize.city.instance import DATACENTER, PV_SITING, WATER, City, derive_city, with_share
from optimize.city.network import needed_share, scaled_share
from optimize.city.parts import choice_parts, with_exact_water
from optimize.city.plan import CityPlan
from optimize.city.solve import solve_city
from optimize.city.water_demand import with_demand_moved
from optimize.city.water_part import EXACT_LANES
from optimize.engine.goals import solve_goals
from optimize.engine.stopping import Watch
from optimize.milp import FloatArray
from optimize.programme import SolveOptions
from optimize.result import StopReason
from optimize.solve import solve
from tests.city.cities import drawn_city, example

EXACT = SolveOptions(gap=1e-7, time_limit_s=60)
CLOSE = 1e-6


def budgets_drawn(city: City, seed: int) -> City:
    """The same programmes with other budgets; the pool is their sum."""
    random = np.random.default_rng(seed)
    today = city.today_cny * random.uniform(0.15, 1.0, city.today_cny.shape)
    return dataclasses.replace(city, today_cny=today, pool_cny=today.sum(axis=0))


def without_links(city: City) -> City:
    return dataclasses.replace(
        city,
        targets={},
        **{name: getattr(city, name).iloc[:0] for name in ("cooling_water", "shared_heat", "pv_at_centres")},
    )


@pytest.mark.parametrize("seed", range(5))
def test_splits_reach_the_optimum_of_the_whole(seed: int) -> None:
    """Ten budgets each: 50 cities; cross-links and targets cost something, and the bound holds."""
    base = drawn_city(seed)
    parts = with_exact_water(base, choice_parts(base, ("npv",)), ("npv",), EXACT_LANES)
    assert parts is not None
    for draw in range(10):
        city = budgets_drawn(base, 100 * seed + draw)
        whole = join_parts(city, parts, ("npv",))
        best = solve_goals(whole.milp, [whole.objectives["npv"]], EXACT)
        search = Steps(city, parts, EXACT, Watch(EXACT, maximise=True))
        silos = search.run()
        assert best.objective is not None and search.watch.bound is not None
        size = abs(best.objective)
        assert search.value == pytest.approx(best.objective, rel=CLOSE)
        assert search.watch.bound >= best.objective - CLOSE * size
        if silos.x is not None and silos.arrays is not None:
            value = silos.arrays.milp.value(silos.x)
            assert value <= best.objective + CLOSE * size
            assert silos.bound is None or silos.bound >= value - CLOSE * size
        if draw == 0:
            loose = join_parts(without_links(city), parts, ("npv",))
            free = solve_goals(loose.milp, [loose.objectives["npv"]], EXACT)
            assert free.objective is not None
            assert free.objective - best.objective > 1000.0


def test_plans_of_a_network_that_is_only_asked_are_plans_of_the_city(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decomposition, "_MOST_ROUNDS", 1)
    city = drawn_city(3)
    whole = solve_city(city, EXACT)
    asked = solve_city(city, EXACT, monolith_up_to=0, exact_lanes=0)
    assert whole.check is not None and whole.check.report.passed
    assert asked.check is not None and asked.check.report.passed
    best, found, bound = whole.result.objective, asked.result.objective, asked.result.bound
    assert best is not None and found is not None and bound is not None
    assert found <= best * (1 + CLOSE) and bound >= best * (1 - CLOSE)
    assert asked.result.network == "relaxed" and asked.result.certificate is not None
    assert asked.result.certificate.bound >= best * (1 - CLOSE)


@pytest.mark.parametrize("linked", [True, False])
def test_a_large_city_has_a_plan_soon_and_improves_it_across_programmes(
    monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    """The way of large cities on a small one, whose optimum is known."""
    monkeypatch.setattr(joint_search, "_LARGE", 0)
    base = drawn_city(2)
    base = base if linked else without_links(base)
    city = dataclasses.replace(
        base, parts=(base.part(DATACENTER), base.part(PV_SITING)), today_cny=base.today_cny[[0, 2]],
        pool_cny=base.today_cny[[0, 2]].sum(axis=0), cooling_water=base.cooling_water.iloc[:0],
    )  # fmt: skip
    parts = choice_parts(city, ("npv",))
    whole = join_parts(city, parts, ("npv",))
    best = solve_goals(whole.milp, [whole.objectives["npv"]], EXACT)
    search = Steps(city, parts, EXACT, Watch(EXACT, maximise=True))
    silos = search.run()
    assert best.objective is not None and search.watch.bound is not None and search.is_large
    assert search.value == pytest.approx(best.objective, rel=CLOSE)
    assert search.watch.bound >= best.objective * (1 - CLOSE)
    assert silos.x is not None and silos.arrays is not None
    assert silos.arrays.milp.violation(silos.x) <= 1e-6
    assert silos.arrays.milp.value(silos.x) <= best.objective * (1 + CLOSE)
    across = ("prices_s", "silos_again_s")
    assert all(name in search.timings for name in across) and "split_s" not in search.timings


def test_price_of_silos_lies_where_it_is_said_to() -> None:
    solved = solve_city(drawn_city(1), EXACT).result
    least, most = solved.price_range
    assert solved.price_of_silos is not None and most is not None
    assert 0.0 < least <= solved.price_of_silos * (1 + CLOSE) and solved.price_of_silos <= most * (1 + CLOSE)


def test_a_single_programme_is_its_own_silo() -> None:
    base = drawn_city(2)
    alone = dataclasses.replace(
        without_links(base), parts=(base.part(PV_SITING),), today_cny=base.today_cny[2:],
        pool_cny=base.today_cny[2],
    )  # fmt: skip
    joint = solve_city(alone, EXACT)
    own = solve(base.part(PV_SITING).programme, base.part(PV_SITING).data, EXACT)
    assert joint.result.objective == pytest.approx(own.result.objective, rel=CLOSE)
    assert joint.result.price_of_silos == pytest.approx(0.0, abs=1.0)


def test_the_whole_is_what_enumeration_finds() -> None:
    """Every plan of the roofs and one centre, and the best network for what it leaves of money and demand."""
    base = _tiny(drawn_city(4))
    found = solve_city(base, EXACT)
    assert found.check is not None and found.check.report.passed
    best = max(_values_by_enumeration(base))
    assert found.result.objective == pytest.approx(best, rel=CLOSE)


def _tiny(city: City) -> City:
    """One year, one centre with two measures, two sites, the money of the year far too little."""
    first = city.years[0]

    def cut(name: str, **tables: int) -> object:
        part = city.part(name)
        data = part.data
        kept = {
            table: data.tables[table].iloc[:rows].reset_index(drop=True) for table, rows in tables.items()
        }
        year = {"num_years": 1} | ({"water.periods": 1} if name == WATER else {})
        trimmed = dataclasses.replace(
            data, tables={**data.tables, **kept}, parameters={**data.parameters, **year}, targets={}
        )
        return dataclasses.replace(part, data=trimmed)

    parts = (
        cut(
            DATACENTER,
            centres=1,
            measures=2,
            funding=2,
            heat_sinks=0,
            sink_months=0,
            hosts=0,
            host_capacity=0,
        ),
        cut(WATER, budgets=6),
        cut(PV_SITING, sites=1, configurations=2),
    )
    pool = city.pool_cny[:, :1] * np.array([[0.45], [0.5], [0.6]])
    return dataclasses.replace(
        without_links(city),
        parts=parts,
        years=(first,),
        pool_cny=pool,
        today_cny=np.stack([pool / 3] * 3),
        cooling_water=city.cooling_water,
    )  # type: ignore[arg-type]


def _values_by_enumeration(city: City) -> list[float]:
    parts = {part.name: part for part in choice_parts(city, ("npv",))}
    values = []
    for centre, roofs in itertools.product(_choices(parts[DATACENTER]), _choices(parts[PV_SITING])):
        solutions = {
            DATACENTER: parts[DATACENTER].read_plan(centre), PV_SITING: parts[PV_SITING].read_plan(roofs)
        }  # fmt: skip
        spent = _spent(city, solutions)
        left = city.pool_cny - spent.sum(axis=0)
        if left.min() < 0:
            continue
        moved = moved_demands(city, CityPlan(np.zeros_like(city.today_cny), solutions))
        part = city.part(WATER)
        data = with_demand_moved(with_share(part.data, city, left), moved)
        network = solve(part.programme, data, dataclasses.replace(EXACT, engine="formulation"))
        if network.result.solution is None:
            continue
        worth = network.result.objective
        worth += sum(float(plan.projects["npv_cny"].sum()) for plan in solutions.values())
        values.append(worth)
    return values


def _choices(part: object) -> list[FloatArray]:
    """Every combination of one column a candidate; candidates may do nothing."""
    group = part.group  # type: ignore[attr-defined]
    upper = part.milp.upper  # type: ignore[attr-defined]
    columns = [np.flatnonzero((group == k) & (upper > 0)) for k in range(int(group.max()) + 1)]
    must = part.milp.row_lower >= 1  # type: ignore[attr-defined]
    options = [list(own) if must.any() else [-1, *own] for own in columns]
    points = []
    for chosen in itertools.product(*options):
        x = np.zeros(part.milp.num_columns)  # type: ignore[attr-defined]
        x[[column for column in chosen if column >= 0]] = 1.0
        points.append(x)
    return points


def _spent(city: City, solutions: dict[str, object]) -> FloatArray:
    """Public money of the two programmes of choices, shape (2, sources, years)."""
    spent = np.zeros((2, len(city.sources), len(city.years)))
    for k, name in enumerate((DATACENTER, PV_SITING)):
        payments = solutions[name].payments  # type: ignore[attr-defined]
        for source, amount in zip(payments["source"], payments["amount_cny"], strict=True):
            if source in city.sources:
                spent[k, city.sources.index(source), 0] += amount
    return spent


def test_the_least_share_that_pays_for_a_plan_takes_carried_money_as_it_arrives() -> None:
    spent, share = np.array([[10.0, 30.0, 0.0]]), np.array([[60.0, 20.0, 50.0]])
    assert needed_share(spent, share, 0.5) == pytest.approx(np.array([[30.0, 20.0, 0.0]]))
    assert needed_share(spent[:, :1], share[:, :1], 0.0) == pytest.approx(np.array([[10.0]]))


def test_a_network_is_asked_for_more_or_less_than_it_holds_within_the_pool() -> None:
    city = drawn_city(0)
    held = 0.5 * city.pool_cny
    assert scaled_share(city, held, 1.2).sum(axis=1) == pytest.approx(0.6 * city.pool_cny.sum(axis=1))
    assert scaled_share(city, held, 9.0) == pytest.approx(city.pool_cny)


def test_a_network_planned_apart_does_not_hide_that_there_is_no_plan() -> None:
    """What even the network's relaxation cannot reach is told as the least that has to give way."""
    parts, own = example()
    target = dataclasses.replace(own.targets["CITY-ENERGY"], required=3_700.0, hard=True)
    city = derive_city(parts, dataclasses.replace(own, targets={**own.targets, "CITY-ENERGY": target}))
    options = SolveOptions(gap=1e-4, time_limit_s=15.0)
    apart = solve_city(city, options, monolith_up_to=0, exact_lanes=0).result
    whole = solve_city(city, options).result
    assert apart.stop is StopReason.INFEASIBLE and whole.stop is StopReason.INFEASIBLE
    (needed,), (enough,) = apart.relaxations[0].rows, whole.relaxations[0].rows
    assert not apart.relaxations[0].exact and needed.clause == enough.clause == "CITY-ENERGY"
    assert 0 < needed.change <= enough.change * (1 + 1e-6)

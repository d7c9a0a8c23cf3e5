"""Money carried over, taken out of the rows: the same choices and the same bound."""

from dataclasses import replace

import numpy as np
import pytest

from optimize.engine.choice import LagrangianBound
from optimize.engine.choice_projection import project
from optimize.engine.choice_structure import ChoiceStructure, find_structure
from optimize.engine.highs import solve_lp
from optimize.engine.stopping import Watch
from optimize.milp import Milp, MilpBuilder
from optimize.programme import SolveOptions

SHARE, YEARS, GROUPS, OPTIONS = 0.4, 3, 12, 4


def programme(seed: int, *, most: float = 10.0) -> Milp:
    """Two sources with a budget a year, a share of what is left carried over to the next."""
    rng = np.random.default_rng(seed)
    builder = MilpBuilder(maximise=True)
    x = builder.add_columns(
        "x", (GROUPS, OPTIONS), upper=1, cost=rng.uniform(1, 3, (GROUPS, OPTIONS)), integral=True
    )
    carried = builder.add_columns("carried", (2, YEARS), upper=most)
    group = np.repeat(np.arange(GROUPS), OPTIONS).reshape(x.shape)
    builder.add_rows("choose", GROUPS, [(group, x, 1.0)], upper=1)
    year = rng.integers(0, YEARS, (GROUPS, OPTIONS))
    source = rng.integers(0, 2, (GROUPS, OPTIONS))
    paid, row = rng.uniform(0.2, 1.5, (GROUPS, OPTIONS)), source * YEARS + year
    budget = rng.uniform(0.8, 2.5, 2 * YEARS)
    later = np.array([0, 1, 3, 4]) + 1
    before = carried.ravel()[later - 1]
    builder.add_rows("spend", 2 * YEARS, [(row, x, paid), (later, before, -1.0)], upper=budget)
    builder.add_rows(
        "carry",
        2 * YEARS,
        [(None, carried.ravel(), 1.0), (later, before, -SHARE), (row, x, SHARE * paid)],
        upper=SHARE * budget,
    )
    return builder.build()


def keeps_rows(s: ChoiceStructure, chosen: np.ndarray) -> bool:
    use = np.zeros(len(s.side))
    for column in chosen[chosen >= 0]:
        entries = slice(s.link_start[column], s.link_start[column + 1])
        np.add.at(use, s.link_row[entries], s.link_coefficient[entries])
    return bool((use <= s.side + 1e-9).all())


@pytest.mark.parametrize("seed", range(4))
def test_the_same_choices_are_left(seed: int) -> None:
    milp = programme(seed)
    s = find_structure(milp)
    assert s is not None
    projection = project(s)
    assert projection is not None and not len(projection.kept)
    assert len(projection.structure.side) == 2 * YEARS  # of each year and source, the floor says the same
    rng = np.random.default_rng(seed)
    watch, verdicts = Watch(SolveOptions(), True), set()
    for _ in range(40):
        chosen = np.array([rng.integers(s.group_start[g], s.group_start[g + 1]) for g in range(s.num_groups)])
        chosen[rng.random(len(chosen)) < rng.uniform(0.2, 0.9)] = -1
        x = np.zeros(milp.num_columns)
        x[s.columns[chosen[chosen >= 0]]] = 1.0
        free = np.zeros(milp.num_columns, dtype=np.bool_)
        free[s.others] = True
        holds = solve_lp(milp.restricted(free, x), watch).x is not None
        assert keeps_rows(projection.structure, chosen) == holds
        verdicts.add(holds)
    assert verdicts == {True, False}


def test_multipliers_of_the_new_rows_prove_the_same_bound() -> None:
    s = find_structure(programme(1))
    assert s is not None
    projection, bound = project(s), LagrangianBound(s)
    assert projection is not None
    best = bound.minimise(Watch(SolveOptions(gap=1e-9), True))
    assert best is not None
    own, moved = bound.evaluate(best), LagrangianBound(projection.structure)
    of_new = moved.evaluate(projection.multipliers(best))
    assert own is not None and of_new is not None
    assert of_new.bound == pytest.approx(own.bound, rel=1e-6)


def test_columns_that_do_more_than_help_stay() -> None:
    s = find_structure(programme(2))
    assert s is not None
    assert project(replace(s, others_value=np.full(len(s.others), -0.1))) is None
    assert project(replace(s, others_upper=np.full(len(s.others), 0.01))) is None


@pytest.mark.parametrize("maximise", [True, False])
def test_a_price_that_is_always_paid_goes_to_the_choices(maximise: bool) -> None:
    rng = np.random.default_rng(5)
    sign = 1.0 if maximise else -1.0
    builder = MilpBuilder(maximise=maximise)
    value = rng.uniform(1, 3, (GROUPS, OPTIONS))
    x = builder.add_columns("x", (GROUPS, OPTIONS), upper=1, cost=sign * value, integral=True)
    changes = builder.add_columns("changes", 1, upper=100.0, cost=-sign * 0.7)
    group = np.repeat(np.arange(GROUPS), OPTIONS).reshape(x.shape)
    builder.add_rows("choose", GROUPS, [(group, x, 1.0)], upper=1)
    for _ in range(2):  # one is solved inside a block
        builder.add_rows("budget", 1, [(0, x, rng.uniform(1, 2, x.shape))], upper=6.0)
    # the first option of four groups is what is in force: without it, that is a change too
    count = np.ones((GROUPS, OPTIONS))
    count[:4] = 0.0
    count[:4, 0] = -1.0
    builder.add_rows("changed", 1, [(0, x, count), (0, changes[0], -2.0)], upper=-4.0)
    milp = builder.build()
    s = find_structure(milp)
    assert s is not None
    projection = project(s)
    assert projection is not None and not len(projection.kept) and len(projection.structure.side) == 1
    moved = projection.structure
    for _ in range(20):
        chosen = np.array([rng.integers(s.group_start[g], s.group_start[g + 1]) for g in range(s.num_groups)])
        chosen = chosen[rng.random(len(chosen)) < 0.5]
        point = np.zeros(milp.num_columns)
        point[s.columns[chosen]] = 1.0
        point[changes] = (count[point[x] > 0.5].sum() + 4.0) / 2.0
        assert moved.sign * moved.value[chosen].sum() + moved.offset == pytest.approx(milp.value(point))
    # a limit above what some choice uses is not always paid, nor is one of too small a column
    some = replace(s, side=s.side + 0.5 * (s.scale * 4.0))
    assert project(some) is None
    assert project(replace(s, others_upper=np.full(len(s.others), 1.0))) is None

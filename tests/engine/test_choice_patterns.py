"""Patterns of blocks against enumeration by hand; plans made of them keep every row."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from optimize.engine.choice import LagrangianBound
from optimize.engine.choice_patterns import PatternSearch, list_patterns
from optimize.engine.choice_polish import Polish
from optimize.engine.choice_search import PlanSearch, Prices
from optimize.engine.choice_structure import ChoiceStructure, find_structure
from optimize.engine.stopping import Watch
from optimize.milp import Milp, MilpBuilder
from optimize.programme import SolveOptions


def programme(seed: int, groups: int = 120) -> Milp:
    """Groups in blocks of four with a capacity, some of which must choose; three budgets and a count."""
    rng = np.random.default_rng(seed)
    b = MilpBuilder(maximise=True)
    value, size = rng.uniform(1, 20, (groups, 3)), rng.uniform(1, 9, (groups, 3))
    x = b.add_columns("x", (groups, 3), upper=1, cost=value, integral=True)
    group = np.arange(groups)[:, None]
    must = np.where(rng.random(groups) < 0.1, 1.0, -np.inf)
    b.add_rows("one", groups, [(group, x, 1.0)], lower=must, upper=1)
    b.add_rows("block", groups // 4, [(group // 4, x, size)], upper=rng.uniform(12, 20, groups // 4))
    use = size * rng.uniform(0.5, 1.5, size.shape)
    b.add_rows("budget", 3, [(group % 3, x, use)], upper=0.05 * use.sum())
    b.add_rows("count", 1, [(0, x[:, 0], 1.0)], lower=groups // 8)
    return b.build()


def prepared(seed: int) -> tuple[Milp, ChoiceStructure, LagrangianBound, Prices, Watch]:
    milp = programme(seed)
    structure = find_structure(milp)
    assert structure is not None
    watch = Watch(SolveOptions(gap=1e-6, time_limit_s=2.0, threads=2), maximise=True)
    bound = LagrangianBound(structure)
    multipliers = bound.minimise(watch)
    assert multipliers is not None
    return milp, structure, bound, bound.prices(multipliers), watch


@pytest.mark.parametrize("seed", range(6))
def test_patterns_are_those_of_least_regret(seed: int) -> None:
    _, s, bound, prices, _ = prepared(seed)
    search = PlanSearch(s, prices, bound.clusters, 0)
    patterns = list_patterns(s, prices, search.link)
    link = search.link.toarray()
    for block in range(s.num_blocks):
        groups = range(s.block_start[block], s.block_start[block + 1])
        choices = [
            [*range(s.group_start[g], s.group_start[g + 1]), *([] if s.must_choose[g] else [-1])]
            for g in groups
        ]
        worth = {}
        for picked in itertools.product(*choices):
            columns = [j for j in picked if j >= 0]
            if s.weight[columns].sum() <= s.capacity[block]:
                worth[frozenset(columns)] = prices.reduced[columns].sum()
        own = range(patterns.start[block], patterns.start[block + 1])
        listed = [frozenset(patterns.column[patterns.first[k] : patterns.first[k + 1]].tolist()) for k in own]
        assert len(set(listed)) == len(listed)
        best = max(worth.values())
        assert worth[listed[0]] == pytest.approx(best)
        for k, columns in zip(own, listed, strict=True):
            assert patterns.regret[k] == pytest.approx(best - worth[columns], abs=1e-9)
            assert patterns.value[k] == pytest.approx(s.value[list(columns)].sum())
            assert patterns.use[[k]].toarray()[0] == pytest.approx(link[:, list(columns)].sum(axis=1))
        left_out = min((best - w for c, w in worth.items() if c not in set(listed)), default=np.inf)
        assert left_out >= patterns.regret[own].max() - 1e-9


@pytest.mark.parametrize("seed", range(6))
def test_plans_from_patterns_keep_every_row_and_never_get_worse(seed: int) -> None:
    milp, s, bound, prices, watch = prepared(seed)
    polish = Polish(milp, s, prices, bound.clusters, bound.others, watch)
    first = polish.first_plan()
    assert first is not None and milp.violation(first) <= 1e-7
    better = polish.improved(first)
    assert milp.violation(better) <= 1e-7
    assert milp.value(better) >= milp.value(first)
    assert watch.bound is not None and milp.value(better) <= watch.bound * (1 + 1e-9)


def test_branch_and_cut_over_patterns_mends_a_poor_plan() -> None:
    milp, s, bound, prices, watch = prepared(3)
    polish = Polish(milp, s, prices, bound.clusters, bound.others, watch)
    quick = polish.quick_plan()
    assert quick is not None
    search = PatternSearch(s, prices, bound.clusters, PlanSearch(s, prices, bound.clusters, 0).link, watch)
    chosen = np.full(s.num_groups, -1, dtype=np.int64)
    picked = np.flatnonzero(quick[s.columns] > 0.5)
    chosen[s.group_of_column[picked]] = picked
    # without one of its choices that no count asks for, the plan is a plan, but a poor one
    free = np.flatnonzero((chosen >= 0) & ~s.must_choose & (s.columns[chosen] % 3 != 0))
    chosen[free[np.argmax(s.value[chosen[free]])]] = -1
    _, gained = search.improved(chosen, quick[s.others], 40)
    assert gained > 0
    kept, gained = search.improved(
        chosen, quick[s.others], 40, enough=float(s.value[chosen[chosen >= 0]].sum())
    )
    assert gained == 0 and np.array_equal(kept, chosen)

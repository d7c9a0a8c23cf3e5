"""Small choice problems by the tree: the same optimum as branch and cut, whatever the rows; odd input survived."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize.engine.choice_tree import solve_by_tree
from optimize.engine.choice_tree_kernels import explore
from optimize.engine.choice_tree_lp import DOUBTS, PLAN
from optimize.engine.choice_tree_problem import small_choice_of
from optimize.engine.choice_tree_search import Neighbourhoods, plant
from optimize.engine.goals import solve_goals
from optimize.engine.highs import MilpOutcome, solve_lp, solve_milp
from optimize.engine.stopping import Watch
from optimize.milp import Milp, MilpBuilder, Objective
from optimize.programme import SolveOptions
from optimize.result import StopReason


def watch_for(milp: Milp, seconds: float = 20.0, gap: float = 0.0) -> Watch:
    return Watch(SolveOptions(gap=gap, time_limit_s=seconds), milp.maximise)


def solved(milp: Milp, start: np.ndarray | None = None) -> MilpOutcome:
    outcome = solve_by_tree(milp, watch_for(milp), start)
    assert outcome is not None
    return outcome


def by_branch_and_cut(milp: Milp) -> MilpOutcome:
    return solve_milp(milp, watch_for(milp))


def random_choice(seed: int, *, num_groups: int = 7, num_options: int = 4, num_rows: int = 3) -> Milp:
    """Rows of all kinds (≤, ≥, =, two sides), groups that must choose and such that may, single binaries,
    columns held at a bound, either sense, whole or broken values."""
    rng = np.random.default_rng(seed)
    b = MilpBuilder(maximise=bool(rng.integers(2)))
    whole = bool(rng.integers(2))

    def values(shape: int | tuple[int, ...]) -> np.ndarray:
        return rng.integers(-5, 20, shape).astype(float) if whole else rng.uniform(-5.0, 20.0, shape)

    x = b.add_columns(
        "x", (num_groups, num_options), upper=1.0, cost=values((num_groups, num_options)), integral=True
    )
    single = b.add_columns("single", 4, upper=1.0, cost=values(4), integral=True)
    b.add_columns("off", 2, upper=0.0, cost=values(2), integral=True)
    on = b.add_columns("on", 1, lower=1.0, upper=1.0, cost=values(1), integral=True)
    must = rng.integers(0, 2, num_groups).astype(float)
    b.add_rows("one", num_groups, [(np.arange(num_groups)[:, None], x, 1.0)], lower=must, upper=1.0)
    columns = np.concatenate([x.ravel(), single, on])
    for row in range(num_rows):
        use = rng.integers(-2, 9, len(columns)).astype(float)
        plan = use[rng.permutation(len(columns))[: num_groups + 2]].sum()
        kind = rng.integers(5)
        low = plan - (kind == 3) * 4.0 if kind in (1, 2, 3) else -np.inf
        high = plan + (kind == 3) * 4.0 if kind in (0, 2, 3, 4) else np.inf
        b.add_rows(f"row{row}", 1, [(0, columns, use)], lower=low, upper=high)
    return b.build()


@pytest.mark.parametrize("seed", range(60))
def test_same_optimum_as_branch_and_cut(seed: int) -> None:
    milp = random_choice(seed)
    ours, theirs = solved(milp), by_branch_and_cut(milp)
    assert ours.stop is theirs.stop
    if theirs.stop is StopReason.INFEASIBLE:
        return
    assert ours.x is not None and milp.violation(ours.x) <= 1e-6
    assert (ours.x == np.round(ours.x)).all()
    assert ours.objective == pytest.approx(theirs.objective, rel=1e-7, abs=1e-7)
    assert ours.bound == pytest.approx(ours.objective, rel=1e-9, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.sampled_from([1e-9, 1e-3, 7.0, 1e6]))
def test_scaling_rows_and_values_changes_nothing(seed: int, factor: float) -> None:
    milp = random_choice(seed, num_groups=5)
    scaled = dataclasses.replace(
        milp.with_objective(milp.cost * factor, milp.maximise),
        matrix=sp.csr_array(milp.matrix * 1.0),
        row_lower=milp.row_lower.copy(),
    )
    last = milp.num_rows - 1
    scaled.matrix.data[scaled.matrix.indptr[last] :] *= factor
    scaled.row_lower[last] *= factor
    scaled = dataclasses.replace(
        scaled, row_upper=np.append(milp.row_upper[:-1], milp.row_upper[last] * factor)
    )
    ours, other = solved(milp), solved(scaled)
    assert ours.stop is other.stop
    if ours.objective is not None:
        assert other.objective == pytest.approx(factor * ours.objective, rel=1e-6, abs=1e-9 * factor)


def budgets(
    value: np.ndarray, use: np.ndarray, side: np.ndarray | float, *, must: float = 1.0, maximise: bool = True
) -> Milp:
    """Groups (g) of options (o) under rows (r): value (g, o), use (g, o, r), side (r,)."""
    num_groups, _, num_rows = use.shape
    b = MilpBuilder(maximise=maximise)
    x = b.add_columns("x", value.shape, upper=1.0, cost=value, integral=True)
    b.add_rows("one", num_groups, [(np.arange(num_groups)[:, None], x, 1.0)], lower=must, upper=1.0)
    rows = np.arange(num_rows)[:, None, None]
    b.add_rows("budget", num_rows, [(rows, x[None], np.moveaxis(use, 2, 0))], upper=side)
    return b.build()


def hard_set(num_groups: int = 14, num_rows: int = 10, seed: int = 5) -> Milp:
    rng = np.random.default_rng(seed)
    use = rng.integers(0, 10, (num_groups, 10, num_rows)).astype(float)
    value = np.round(use.sum(axis=2) * 2 + rng.integers(0, 60, (num_groups, 10)))
    return budgets(value, use, np.round(use.mean(axis=1).sum(axis=0)))


def test_a_hard_set_is_closed_and_twice_alike() -> None:
    milp = hard_set()
    outcome = solved(milp)
    assert outcome.stop is StopReason.OPTIMAL
    again = solved(milp)
    assert again.objective == outcome.objective and (again.x == outcome.x).all()


def test_two_threads_prove_the_same_optimum_twice_alike() -> None:
    milp = hard_set()
    one = solved(milp)
    options = SolveOptions(gap=0.0, time_limit_s=60.0, threads=2)
    two = [solve_by_tree(milp, Watch(options, milp.maximise)) for _ in range(2)]
    for outcome in two:
        assert outcome is not None and outcome.stop is StopReason.OPTIMAL
        assert outcome.objective == one.objective and (outcome.x == two[0].x).all()  # type: ignore[union-attr]


def test_two_threads_end_at_the_limit() -> None:
    milp = hard_set(num_groups=60, num_rows=20)
    watch = Watch(SolveOptions(gap=0.0, time_limit_s=0.5, threads=2), milp.maximise)
    outcome = solve_by_tree(milp, watch)
    assert outcome is not None and outcome.stop is StopReason.TIME_LIMIT
    assert outcome.x is not None and milp.violation(outcome.x) <= 1e-9
    assert watch.seconds() < 3.0


def test_bounds_on_the_way_are_proven() -> None:
    """Stopped early at any time: plan <= optimum <= every bound that was offered."""
    milp = hard_set(num_groups=12)
    best = solved(milp).objective
    assert best is not None
    for seconds in (0.0, 0.02, 0.1, 0.3):
        watch = watch_for(milp, seconds)
        outcome = solve_by_tree(milp, watch)
        assert outcome is not None
        assert all(point.bound is None or point.bound >= best - 1e-6 for point in watch.trace)
        assert outcome.objective is None or outcome.objective <= best + 1e-6


def test_the_certificate_proves_the_relaxation() -> None:
    milp = hard_set()
    watch = watch_for(milp)
    assert solve_by_tree(milp, watch) is not None
    relaxed = solve_lp(milp, watch_for(milp))
    assert watch.certificate is not None
    assert watch.certificate.bound == pytest.approx(relaxed.objective, rel=1e-9)


def test_a_wanted_gap_ends_the_search() -> None:
    milp = hard_set(num_groups=50)
    watch = watch_for(milp, gap=0.02)
    outcome = solve_by_tree(milp, watch)
    assert outcome is not None and outcome.stop in (StopReason.GAP_REACHED, StopReason.OPTIMAL)
    assert outcome.objective is not None and outcome.bound is not None
    assert outcome.bound - outcome.objective <= 0.02 * outcome.objective + 1e-9


def test_the_start_is_kept_where_nothing_is_better() -> None:
    milp = hard_set(num_groups=10)
    best = solved(milp)
    watch = watch_for(milp, seconds=0.0)
    outcome = solve_by_tree(milp, watch, best.x)
    assert outcome is not None and outcome.objective == best.objective


def test_neighbourhoods_and_cores_give_plans_that_hold() -> None:
    milp = hard_set(num_groups=30)
    choice = small_choice_of(milp)
    assert choice is not None
    tree = plant(choice.knapsacks, -np.inf, -np.inf, 1.0)
    explore(choice.knapsacks, tree, 1)
    search = Neighbourhoods(choice.knapsacks, tree.multiplier[0], float(tree.bound[0]), 0)
    first = search.first_plan(watch_for(milp))
    assert first is not None
    better = search.improved(first, 1.0, 30, watch_for(milp))
    values = [milp.value(choice.plan(options)) for options in (first, better)]
    assert all(milp.violation(choice.plan(options)) <= 1e-9 for options in (first, better))
    assert values[0] < values[1] <= tree.bound[0]


def test_neighbourhoods_end_when_their_work_is_spent() -> None:
    milp = hard_set(num_groups=30)
    choice = small_choice_of(milp)
    assert choice is not None
    tree = plant(choice.knapsacks, -np.inf, -np.inf, 1.0)
    explore(choice.knapsacks, tree, 1)
    search = Neighbourhoods(choice.knapsacks, tree.multiplier[0], float(tree.bound[0]), 0)
    plan = search.first_plan(watch_for(milp))
    assert plan is not None
    search.improved(plan, 1.0, 10_000, watch_for(milp), most_work=1.0)
    assert search.work > 0 and search.fruitless <= 1
    spent = search.work
    search.improved(plan, 1.0, 10_000, watch_for(milp), most_work=1e6)
    assert 1e6 <= search.work - spent < 1e8


def test_a_search_left_and_taken_up_is_the_same_search() -> None:
    choice = small_choice_of(hard_set(num_groups=12))
    assert choice is not None
    at_once = plant(choice.knapsacks, -np.inf, -np.inf, 1.0)
    assert explore(choice.knapsacks, at_once, 10**6)
    in_parts = plant(choice.knapsacks, -np.inf, -np.inf, 1.0)
    while not explore(choice.knapsacks, in_parts, 7):
        pass
    assert (at_once.counter == in_parts.counter).all() and at_once.counter[DOUBTS] == 0
    assert at_once.goal[PLAN] == in_parts.goal[PLAN]


def one_free_column(milp: Milp) -> Milp:
    return dataclasses.replace(milp, integral=np.append(milp.integral[:-1], False))


def wider_integer(milp: Milp) -> Milp:
    return milp.with_bounds(milp.lower, np.append(milp.upper[:-1], 3.0))


@pytest.mark.parametrize("change", [one_free_column, wider_integer])
def test_what_is_no_choice_is_left_to_others(change) -> None:  # type: ignore[no-untyped-def]
    milp = change(hard_set(num_groups=4))
    assert solve_by_tree(milp, watch_for(milp)) is None


def options_of(seed: int = 0, shape: tuple[int, int, int] = (6, 3, 2)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(1, 20, shape[:2]).astype(float), rng.integers(1, 9, shape).astype(float)


def odd_programmes() -> dict[str, Milp]:
    value, use = options_of()
    some = use.mean(axis=1).sum(axis=0)
    huge, tiny = 10.0 ** np.array([12, -12])
    mixed = use * np.array([huge, tiny])
    return {
        "no money": budgets(value, use, 0.0, must=0.0),
        "no money but must": budgets(value, use, 0.0),
        "money without end": budgets(value, use, 1e300, must=0.0),
        "no limit": budgets(value, use, np.inf),
        "one option each": budgets(value[:, :1], use[:, :1], some, must=0.0),
        "one option each, must": budgets(value[:, :1], use[:, :1], 1e3),
        "one group": budgets(value[:1], use[:1], 5.0),
        "all alike": budgets(np.full_like(value, 3.0), np.full_like(use, 2.0), 7.0, must=0.0),
        "nothing worth anything": budgets(np.zeros_like(value), use, some),
        "nothing but losses": budgets(-value, use, some, must=0.0),
        "uses nothing": budgets(value, np.zeros_like(use), 0.0),
        "huge and tiny rows": budgets(value, mixed, some * np.array([huge, tiny])),
        "huge values": budgets(value * 1e15, use, some),
        "tiny values": budgets(value * 1e-15, use, some),
        "huge beside tiny values": budgets(value * 10.0 ** (3 * np.arange(3.0)), use, some),
        "rows that cannot hold": budgets(value, use, -1.0),
        "money back": budgets(value, use * np.array([1.0, -1.0]), np.array([some[0], -some[1]])),
        "to the last digit": budgets(np.array([[0.1], [0.2], [0.3]]), np.full((3, 1, 1), 0.1), 0.3, must=0.0),
        "many rows alike": budgets(value, np.repeat(use, 8, axis=2), np.repeat(some, 8)),
        "least cost": budgets(value, -use, -some, maximise=False),
    }  # fmt: skip


@pytest.mark.parametrize("case", odd_programmes())
def test_odd_programmes_are_survived(case: str) -> None:
    milp = odd_programmes()[case]
    ours, theirs = solved(milp), by_branch_and_cut(milp)
    assert (ours.stop is StopReason.INFEASIBLE) == (theirs.stop is StopReason.INFEASIBLE)
    if theirs.stop is not StopReason.INFEASIBLE:
        assert ours.x is not None and milp.violation(ours.x) <= 1e-6
        size = float(np.abs(milp.cost).max()) * 1e-9
        assert ours.objective == pytest.approx(theirs.objective, rel=1e-7, abs=size)
        assert ours.bound == pytest.approx(ours.objective, rel=1e-9, abs=size)


def at_least_one_apart(seed: int, barred: int) -> Milp:
    """Sixty groups with "at most one" and "at least one" as rows of their own, and a row in every group that bars
    the first ``barred`` of its three options and says nothing of the others."""
    value, use = options_of(seed, (60, 3, 2))
    groups = np.arange(60)
    b = MilpBuilder(maximise=True)
    x = b.add_columns("x", value.shape, upper=1.0, cost=value, integral=True)
    b.add_rows("most", 60, [(groups[:, None], x, 1.0)], upper=1.0)
    b.add_rows("least", 60, [(groups[:, None], x, 1.0)], lower=1.0)
    b.add_rows("barred", 60, [(groups[:, None], x, [3.0] * barred + [2.0] * (3 - barred))], upper=2.5)
    side = np.round(use.mean(axis=1).sum(axis=0))
    b.add_rows("budget", 2, [(np.arange(2)[:, None, None], x[None], np.moveaxis(use, 2, 0))], upper=side)
    return b.build()


@pytest.mark.parametrize("barred", [0, 1, 2])
def test_rows_of_one_group_leave_it_fewer_options(barred: int) -> None:
    for seed in range(3):
        milp = at_least_one_apart(seed, barred)
        choice = small_choice_of(milp)
        assert choice is not None and choice.knapsacks.use.shape[1] <= 2
        assert len(choice.column) <= 60 * (3 - barred) and (choice.column >= 0).all()
        ours, theirs = solved(milp), by_branch_and_cut(milp)
        assert ours.stop is theirs.stop
        if theirs.objective is not None:
            assert ours.objective == pytest.approx(theirs.objective, rel=1e-9)
            assert ours.x is not None and milp.violation(ours.x) <= 1e-9


def test_rows_of_one_group_that_leave_it_nothing() -> None:
    milp = at_least_one_apart(0, 3)
    goal = Objective("value", milp.cost, milp.maximise)
    assert solve_goals(milp, [goal], SolveOptions(gap=0.0)).stop is StopReason.INFEASIBLE


def test_no_column_at_all_is_left_to_others() -> None:
    milp = hard_set(num_groups=2)
    nothing = milp.with_bounds(milp.lower, milp.lower)
    assert solve_by_tree(nothing, watch_for(nothing)) is None


@pytest.mark.parametrize("case", odd_programmes())
def test_odd_programmes_are_survived_by_the_engine_for_large_ones(case: str) -> None:
    milp = odd_programmes()[case]
    goal = Objective("value", milp.cost, milp.maximise)
    options = SolveOptions(gap=0.0, time_limit_s=20.0)
    large = solve_goals(milp, [goal], options, strategy="core")
    small = solve_goals(milp, [goal], options)
    assert large.stop is small.stop
    if small.objective is not None:
        size = float(np.abs(milp.cost).max()) * 1e-9
        assert large.x is not None and milp.violation(large.x) <= 1e-6
        assert large.objective == pytest.approx(small.objective, rel=1e-7, abs=size)
        assert large.bound == pytest.approx(large.objective, rel=1e-7, abs=size)


def test_a_start_that_holds_a_beaten_option_is_bettered() -> None:
    """The values of what is left when beaten options are gone have a larger step than the start's."""
    b = MilpBuilder(maximise=True)
    x = b.add_columns("x", 3, upper=1, cost=[1.0, 3.0, 9.0], integral=True)
    b.add_rows("one", 1, [(0, x, 1.0)], upper=1)
    b.add_rows("kept", 1, [(0, x, [4.0, 4.0, 1.0])], lower=4.0)
    outcome = solve_by_tree(b.build(), Watch(SolveOptions(gap=0.0), maximise=True), np.array([1.0, 0.0, 0.0]))
    assert outcome is not None and outcome.x is not None
    assert outcome.x.tolist() == [0.0, 1.0, 0.0]
    assert outcome.bound == pytest.approx(3.0)

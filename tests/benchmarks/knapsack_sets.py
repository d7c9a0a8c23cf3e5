"""Generated knapsack sets: the engine for small choice problems against plain HiGHS, by plan and by bound.

    python tests/benchmarks/knapsack_sets.py [--sets mmkp,mkp] [--only NAME,…] [--time-limit 60] [--seed 1]

Not a test and not run by pytest.  Multiple choice (``mmkp-<groups>x<options>x<rows>``) is drawn as Khan's sets
were: uses 0 to 9, each row at the mean use of all options, values either correlated with the use
(``c``) or not (``u``).  Multidimensional knapsacks (``mkp-<rows>x<items>-<tightness>``) are drawn as Chu
and Beasley's (J. Heuristics 4, 1998).  Both ways get the same arrays, one thread, one process, gap 0;
kernels are loaded before the clock.  ``lp`` is the bound before any branching.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from optimize.engine.choice_tree import solve_by_tree
from optimize.engine.highs import MilpOutcome, solve_lp, solve_plainly
from optimize.engine.stopping import Watch
from optimize.milp import Milp, MilpBuilder
from optimize.programme import SolveOptions
from optimize.result import relative_gap

MMKP_SIZES = (
    (30, 10, 10), (50, 10, 10), (100, 10, 5), (100, 10, 10), (100, 10, 15), (100, 10, 25), (200, 10, 10),
    (200, 10, 30), (250, 20, 10), (300, 10, 10), (400, 10, 5), (400, 10, 10), (400, 10, 25),
)  # fmt: skip
MKP_SIZES = ((5, 100), (5, 250), (10, 100), (10, 250), (30, 100), (30, 250), (30, 500))
TIGHTNESS = (0.25, 0.5, 0.75)
_CLOSED = 1e-9


def multiple_choice(num_groups: int, num_options: int, num_rows: int, correlated: bool, seed: int) -> Milp:
    """One option per group under ``num_rows`` budgets."""
    rng = np.random.default_rng([seed, num_groups, num_options, num_rows, correlated])
    use = rng.integers(0, 10, size=(num_groups, num_options, num_rows)).astype(float)
    if correlated:
        price = rng.integers(1, 10, size=num_rows) / 2
        value = np.round(use @ price + rng.integers(0, 15 * num_rows + 1, size=(num_groups, num_options)))
    else:
        value = rng.integers(1, 25 * num_rows + 1, size=(num_groups, num_options)).astype(float)
    b = MilpBuilder(maximise=True)
    x = b.add_columns("x", (num_groups, num_options), upper=1.0, cost=value, integral=True)
    b.add_rows("one", num_groups, [(np.arange(num_groups)[:, None], x, 1.0)], lower=1.0, upper=1.0)
    side = np.round(use.mean(axis=1).sum(axis=0))
    rows = np.arange(num_rows)[:, None, None]
    b.add_rows("budget", num_rows, [(rows, x[None], np.moveaxis(use, 2, 0))], upper=side)
    return b.build()


def multidimensional(num_rows: int, num_items: int, tightness: float, seed: int) -> Milp:
    """Items taken or not under ``num_rows`` budgets."""
    rng = np.random.default_rng([seed, num_rows, num_items, int(100 * tightness)])
    use = rng.integers(0, 1001, size=(num_rows, num_items)).astype(float)
    value = np.round(use.sum(axis=0) / num_rows + 500 * rng.random(num_items))
    b = MilpBuilder(maximise=True)
    x = b.add_columns("x", num_items, upper=1.0, cost=value, integral=True)
    side = np.floor(tightness * use.sum(axis=1))
    b.add_rows("budget", num_rows, [(np.arange(num_rows)[:, None], x[None], use)], upper=side)
    return b.build()


def cases(seed: int) -> Iterator[tuple[str, Callable[[], Milp]]]:
    for groups, options, rows in MMKP_SIZES:
        for correlated in (False, True):
            name = f"mmkp-{groups}x{options}x{rows}-{'c' if correlated else 'u'}"
            yield name, lambda g=groups, o=options, r=rows, c=correlated: multiple_choice(g, o, r, c, seed)
    for rows, items in MKP_SIZES:
        for tightness in TIGHTNESS:
            name = f"mkp-{rows}x{items}-{tightness}"
            yield name, lambda r=rows, i=items, t=tightness: multidimensional(r, i, t, seed)


def timed(
    solve: Callable[[Milp, Watch], MilpOutcome | None], milp: Milp, seconds: float
) -> dict[str, object]:
    watch = Watch(SolveOptions(gap=0.0, time_limit_s=seconds), milp.maximise)
    began = time.perf_counter()
    outcome = solve(milp, watch)
    taken = time.perf_counter() - began
    plan, bound = (watch.plan, watch.bound) if outcome is None else (outcome.objective, outcome.bound)
    gap = relative_gap(plan, bound)
    closed = gap is not None and gap <= _CLOSED
    return {
        "plan": plan,
        "bound": bound,
        "gap_%": None if gap is None else 100 * gap,
        "s": taken if closed else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", default="mmkp,mkp")
    parser.add_argument("--only", default="", help="cases whose names hold one of these, separated by commas")
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ways", default="tree,highs")
    call = parser.parse_args()
    ways = {"tree": solve_by_tree, "highs": solve_plainly}
    wanted = {way: ways[way] for way in call.ways.split(",")}
    timed(solve_by_tree, multiple_choice(8, 4, 2, True, 0), 600.0)
    rows = []
    for name, build in cases(call.seed):
        if not name.startswith(tuple(call.sets.split(","))) or not any(
            w in name for w in call.only.split(",")
        ):
            continue
        milp = build()
        relaxed = solve_lp(milp, Watch(SolveOptions(time_limit_s=call.time_limit), milp.maximise))
        row: dict[str, object] = {"case": name, "lp": relaxed.objective}
        for way, solve in wanted.items():
            row |= {f"{way} {key}": figure for key, figure in timed(solve, milp, call.time_limit).items()}
        rows.append(row)
        print(row, flush=True)
    print(pd.DataFrame(rows).set_index("case").to_string(float_format=lambda figure: f"{figure:.4g}"))


if __name__ == "__main__":
    main()

"""``python -m optimize.compile_kernels``: compile all search kernels now, so that no solve has to wait.

Part of the installation; takes about a minute once, and is kept on disk.  Without it the first solve
of each programme compiles what it needs.
"""

from __future__ import annotations

import compileall
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from optimize.datacenter import front
from optimize.engine import (
    choice_tree_search,
    cut_set_kernels,
    network_bound,
    network_design,
    rounding_kernels,
    send_and_split,
)
from optimize.engine.choice import LagrangianBound, solve_by_choice
from optimize.engine.choice_polish import Polish
from optimize.engine.choice_structure import find_structure
from optimize.engine.stopping import Watch
from optimize.io.validation import data_from_draft
from optimize.milp import BlockNames, Milp, MilpBuilder
from optimize.programme import SolveOptions
from optimize.pv_siting.programme import PROGRAMME as PV_SITING
from optimize.solve import solve
from optimize.verification.bound import prove_bound


def main() -> None:
    """Compile everything, side by side on the cores there are, and say how long it took."""
    started = time.monotonic()
    # An editable installation has no bytecode, and where PYTHONDONTWRITEBYTECODE is set, as in containers, no
    # command would write any: each would compile half the product anew.
    compileall.compile_dir(Path(__file__).parent, quiet=1)
    with ProcessPoolExecutor(min(os.cpu_count() or 1, len(_PARTS))) as pool:
        for done in [pool.submit(part) for part in _PARTS]:
            done.result()
    print(f"search kernels ready after {time.monotonic() - started:.0f} s")


def _solve_a_choice_as_if_large() -> None:
    milp, watch = _small_choice(), Watch(SolveOptions(gap=0.0, time_limit_s=600.0), maximise=True)
    solve_by_choice(milp, watch)
    structure = find_structure(milp)
    assert structure is not None
    bound = LagrangianBound(structure)
    multipliers = np.full(len(structure.side), 1e-3)
    Polish(milp, structure, bound.prices(multipliers), bound.clusters, bound.others, watch).first_plan()
    _verify(milp)


def _plan_the_pv_example() -> None:
    """Options with storage and the check of a plan: both have a loop of their own."""
    data = data_from_draft(PV_SITING.schema, PV_SITING.example())
    solve(PV_SITING, data, SolveOptions(gap=0.05, time_limit_s=600.0, engine="fast"))


def _verify(milp: Milp) -> None:
    """What `optimize verify` compiles, at prices that make the blocks of `_small_choice` tight."""
    assert isinstance(milp.row_names, BlockNames)
    multipliers = np.zeros(milp.num_rows)
    multipliers[milp.row_names.members("budget")] = 1e-3
    prove_bound(milp, multipliers, milp.row_names.members("block"))


def _small_choice() -> Milp:
    """Groups of options in blocks of four under a capacity, with a budget: enough to call every kernel."""
    num_groups, num_options = 24, 3
    rng = np.random.default_rng(0)
    b = MilpBuilder(maximise=True)
    value, size = rng.uniform(1.0, 9.0, (2, num_groups, num_options))
    x = b.add_columns("x", (num_groups, num_options), upper=1.0, cost=value, integral=True)
    group = np.arange(num_groups)[:, None]
    b.add_rows("one", num_groups, [(group, x, 1.0)], upper=1.0)
    b.add_rows("block", num_groups // 4, [(group // 4, x, size)], upper=12.0)
    b.add_rows("budget", 1, [(0, x, size * rng.uniform(0.8, 1.2, size.shape))], upper=0.3 * size.sum())
    return b.build()


# The longest first.
_PARTS = (
    choice_tree_search.compile_kernels,
    network_design.compile_kernels,
    network_bound.compile_kernels,
    _plan_the_pv_example,
    _solve_a_choice_as_if_large,
    front.compile_kernels,
    rounding_kernels.compile_kernels,
    cut_set_kernels.compile_kernels,
    send_and_split.compile_kernels,
)


if __name__ == "__main__":
    main()

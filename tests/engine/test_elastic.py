"""Ways out of an infeasible programme: few rows first, money shared where no single budget is enough, the only one said to be so."""

from __future__ import annotations

import numpy as np

from optimize.engine.elastic import smallest_relaxations
from optimize.engine.stopping import Watch
from optimize.milp import MONEY, TARGET, ElasticRows, Milp, MilpBuilder
from optimize.programme import SolveOptions
from optimize.report.summary import relaxation_records
from optimize.report.text import relaxation_lines
from optimize.result import Relaxation


def programme(most: float) -> tuple[Milp, list[ElasticRows]]:
    """Two sources of 2 each, works of at most ``most`` each by source, ten wanted in all."""
    builder = MilpBuilder(maximise=True)
    works = builder.add_columns("works", 2, upper=most, integral=True)
    spent = builder.add_rows("budget", 2, [(np.arange(2), works, 1.0)], upper=2.0)
    wanted = builder.add_rows("wanted", 1, [(np.zeros(2, np.int64), works, 1.0)], lower=10.0)
    budgets = [
        ElasticRows("budget", f"{source} 2024", "CNY", spent[[k]], 2.0, is_cap=True, rank=MONEY)
        for k, source in enumerate(("East", "West"))
    ]
    target = ElasticRows("PV-BIPV", "", "count", wanted, 10.0, rank=TARGET)
    return builder.build(), [target, *budgets]


def ways_out(most: float) -> tuple[Relaxation, ...]:
    milp, elastic = programme(most)
    return smallest_relaxations(milp, elastic, Watch(SolveOptions(time_limit_s=10.0), False)).ways


def changes(way: Relaxation) -> dict[str, float]:
    return {f"{row.clause} {row.where}".strip(): round(row.change, 6) for row in way.rows}


def test_budgets_share_what_none_of_them_can_give_alone() -> None:
    alone, together = ways_out(5.0)
    assert changes(alone) == {"PV-BIPV": -6.0} and not alone.only
    assert changes(together) == {"budget East 2024": 3.0, "budget West 2024": 3.0}


def test_one_budget_that_is_enough_is_told_alone() -> None:
    told = [changes(way) for way in ways_out(9.0)]
    assert told[0] == {"PV-BIPV": -6.0}
    assert {"budget East 2024": 6.0} in told and {"budget West 2024": 6.0} in told


def test_the_only_way_out_is_said_to_be_it() -> None:
    """With works of one each no money reaches ten."""
    (way,) = ways_out(1.0)
    assert way.only and changes(way) == {"PV-BIPV": -8.0}
    lines = relaxation_lines(relaxation_records([way]))
    assert "PV-BIPV: 2 instead of 10 (−8)  building-integrated pilots" in lines[1]
    assert lines[2].strip().startswith("Without this nothing helps")
